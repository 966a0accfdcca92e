"""lmlib.attention held against torch: our NumPy, our modules, and torch's own kernels."""

import doctest
import math
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import attention as att
from lmlib.attention.modules import rotate

FUZZ = settings(max_examples=60, deadline=None)  # a busy machine is no error
FEW = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
HEADS = st.integers(2, 4)  # with one head, D = C hides the commonest mistakes
POSITIONS = [None, "sinusoidal", "learned", "rope", "alibi"]
MIXERS = {
    "rnn": att.RNN,
    "lstm": att.LSTM,
    "cnn": att.CNN,
    "dilated cnn": lambda *a, **k: att.CNN(*a, dilations=(1, 2, 4), **k),
    "attention": lambda width, **k: att.MultiHeadAttention(width, 2, **k),
    "attention with positions": lambda w, **k: att.MultiHeadAttention(w, 2, "learned", **k),
}


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def close(ours, theirs, tolerance):
    return np.allclose(np.asarray(ours), theirs.detach().numpy(), rtol=0, atol=tolerance)


def tensors(*arrays):
    return [torch.from_numpy(a).clone().requires_grad_() for a in arrays]


def as_projections(layer):
    """The module's four matrices, transposed: torch computes x Wᵀ."""
    linears = layer.query, layer.key, layer.value, layer.output
    return att.Projections(*(linear.weight.detach().numpy().T for linear in linears))


# ------------------------------------------------------------- NumPy against torch's own kernels
@given(SEEDS, HEADS, st.integers(1, 9), st.integers(1, 9), st.integers(1, 8), st.integers(1, 8))
@FUZZ
def test_attention_agrees_with_torch_forward_and_backward(seed, H, T_q, T_k, D, D_v):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(2, H, n, w)) for n, w in ((T_q, D), (T_k, D), (T_k, D_v))]
    mask = rng.random((2, 1, T_q, T_k)) < 0.6
    mask[..., 0] |= ~mask.any(-1)
    output, cache = att.attention_forward(*arrays, mask)
    theirs = tensors(*arrays)
    reference = F.scaled_dot_product_attention(*theirs, attn_mask=torch.from_numpy(mask))
    assert close(output, reference, 1e-12)
    d_output = rng.normal(size=output.shape)
    reference.backward(torch.from_numpy(d_output))
    for ours, x in zip(att.attention_backward(d_output, cache), theirs, strict=True):
        assert close(ours, x.grad, 1e-10)


@given(SEEDS, HEADS, st.integers(1, 70), st.integers(1, 8), st.booleans(), st.integers(5, 30))
@FUZZ
def test_blocked_attention_agrees_with_torch_forward_and_backward(seed, H, T, D, causal, block):
    rng = np.random.default_rng(seed)
    arrays = rng.normal(size=(3, 2, H, T, D))
    output, cache = att.blocked_attention_forward(*arrays, causal, block)
    theirs = tensors(*arrays)
    reference = F.scaled_dot_product_attention(*theirs, is_causal=causal)
    assert close(output, reference, 1e-12)
    d_output = rng.normal(size=output.shape)
    reference.backward(torch.from_numpy(d_output))
    for ours, x in zip(att.blocked_attention_backward(d_output, cache), theirs, strict=True):
        assert close(ours, x.grad, 1e-10)


@pytest.mark.parametrize("causal", [False, True])
def test_float32_blocks_are_as_good_as_torch_in_float32(causal):
    x64 = np.random.default_rng(0).normal(size=(3, 2, 700, 64))
    x32 = x64.astype(np.float32)
    exact = att.blocked_attention(*x64, causal)
    theirs = F.scaled_dot_product_attention(*torch.from_numpy(x32), is_causal=causal).numpy()
    ours = att.blocked_attention(*x32, causal, block=128)
    assert np.abs(ours - exact).max() < max(2 * np.abs(theirs - exact).max(), 5e-7)


@given(SEEDS, HEADS, st.integers(2, 5), st.integers(1, 7), st.booleans())
@FUZZ
def test_multi_head_attention_agrees_with_torch_forward_and_backward(seed, H, D, T, causal):
    rng = np.random.default_rng(seed)
    C = H * D
    x, layer = rng.normal(size=(2, T, C)), att.Projections(*rng.normal(0, C**-0.5, (4, C, C)))
    theirs = torch.nn.MultiheadAttention(C, H, bias=False, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.from_numpy(np.concatenate(layer[:3], 1).T))
        theirs.out_proj.weight.copy_(torch.from_numpy(layer.output.T))
    (tx,) = tensors(x)
    mask = att.causal_mask(T)
    drop = torch.from_numpy(~mask) if causal else None  # there, True = may *not* attend
    reference, their_weights = theirs(tx, tx, tx, attn_mask=drop, average_attn_weights=False)
    mask = mask if causal else None
    output, cache = att.multi_head_attention_forward(x, layer, H, mask)
    assert close(output, reference, 1e-12)
    assert close(cache.attention.weights, their_weights, 1e-12)
    d_output = rng.normal(size=output.shape)
    reference.backward(torch.from_numpy(d_output))
    d_x, d_layer = att.multi_head_attention_backward(d_output, cache)
    assert close(d_x, tx.grad, 1e-10)
    assert close(np.concatenate(d_layer[:3], 1).T, theirs.in_proj_weight.grad, 1e-10)
    assert close(d_layer.output.T, theirs.out_proj.weight.grad, 1e-10)


# ---------------------------------------------------------------- our module: three paths, one law
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_numpy_explicit_and_fused_are_one_function(positions, causal, padded):
    rng = np.random.default_rng(0)
    B, T, C, H = 3, 7, 12, 3
    layer = att.MultiHeadAttention(C, H, positions, causal, generator=generator(1))
    x = rng.normal(size=(B, T, C))
    padding = att.padding_mask([7, 4, 1], T) if padded else np.ones((B, 1, T), bool)
    mask = att.causal_mask(T) & padding if causal else padding
    code = 0
    if positions == "sinusoidal":
        code = att.sinusoidal_positions(T, C)
    elif positions == "learned":
        code = layer.added.table[:T].detach().numpy()
    inside = positions if positions in ("rope", "alibi") else None
    output, cache = att.multi_head_attention_forward(
        x + code, as_projections(layer), H, mask, inside
    )
    d_output = rng.normal(size=output.shape)
    d_x, d_layer = att.multi_head_attention_backward(d_output, cache)

    given_mask = torch.from_numpy(padding) if padded else None
    _, weights = layer(torch.from_numpy(x), given_mask, return_weights=True)
    assert close(cache.attention.weights, weights, 1e-12)
    for fused in (False, True):
        layer.fused = fused
        layer.zero_grad()
        (tx,) = tensors(x)
        y = layer(tx, given_mask)
        assert close(output, y, 1e-12)
        y.backward(torch.from_numpy(d_output))
        assert close(d_x, tx.grad, 1e-10)
        for ours, linear in zip(
            d_layer, (layer.query, layer.key, layer.value, layer.output), strict=True
        ):
            assert close(ours.T, linear.weight.grad, 1e-10)
        if positions == "learned":
            assert close(d_x.sum(0), layer.added.table.grad[:T], 1e-10)
            assert not layer.added.table.grad[T:].any()


def test_the_fused_path_really_takes_torchs_kernel(monkeypatch):
    calls = []
    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *a, **k: calls.append(k) or kernel(*a, **k)
    )
    layer = att.MultiHeadAttention(4, 2)
    x = torch.ones(1, 3, 4)
    layer(x)
    assert not calls
    layer.fused = True
    layer(x, return_weights=True)
    assert not calls
    layer(x)
    assert calls == [{"is_causal": True}]  # no T × T mask where a flag will do
    layer(x, torch.ones(3, 3, dtype=torch.bool))
    assert calls[1]["attn_mask"].shape == (3, 3)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("positions", POSITIONS)
def test_masks_of_every_shape_mean_the_same(fused, positions):
    layer = att.MultiHeadAttention(6, 3, positions, causal=False, fused=fused)
    x = torch.randn(2, 5, 6, generator=generator(0))
    past = torch.from_numpy(att.causal_mask(5))
    expected = layer(x, past)
    assert torch.allclose(expected, layer(x, past.expand(2, 5, 5)), rtol=0, atol=1e-12)
    layer.causal = True
    assert torch.allclose(expected, layer(x), rtol=0, atol=1e-12)
    assert torch.allclose(
        expected, layer(x, torch.ones(2, 1, 5, dtype=torch.bool)), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("positions", POSITIONS)
def test_only_positions_and_the_mask_break_the_symmetry(positions):
    layer = att.MultiHeadAttention(8, 2, positions, causal=False, generator=generator(3))
    x = torch.randn(1, 6, 8, generator=generator(4))
    order = torch.tensor([1, 0, 2, 3, 4, 5])
    gap = (layer(x[:, order]) - layer(x)[:, order]).abs().max()
    assert gap < 1e-12 if positions is None else gap > 1e-3
    layer.causal = True
    assert (layer(x[:, order]) - layer(x)[:, order]).abs().max() > 1e-3


# ---------------------------------------------------------------------------- the common interface
@pytest.mark.parametrize("name", MIXERS)
def test_no_mixer_lets_an_output_see_a_later_input_not_even_in_the_last_bit(name):
    mixer = MIXERS[name](8, generator=generator(0))
    x = torch.randn(2, 9, 8, generator=generator(1))
    for j in range(1, 9):
        changed = x.clone()
        changed[:, j] = 100.0
        before, after = mixer(x), mixer(changed)
        assert before.shape == x.shape
        assert torch.equal(before[:, :j], after[:, :j])
        assert not torch.allclose(before[:, j], after[:, j])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("positions", POSITIONS)
def test_causal_attention_is_causal_bit_by_bit(positions, fused):
    layer = att.MultiHeadAttention(12, 3, positions, fused=fused, generator=generator(0))
    x = torch.randn(2, 9, 12, generator=generator(1))
    changed = x.clone()
    changed[:, 5] = 100.0
    assert torch.equal(layer(x)[:, :5], layer(changed)[:, :5])
    assert not torch.allclose(layer(x)[:, 5:], layer(changed)[:, 5:])


@pytest.mark.parametrize("name", MIXERS)
def test_initial_weights_come_from_the_generator_alone(name):
    state = torch.get_rng_state()
    a, b, c = (MIXERS[name](8, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(a.parameters(), b.parameters(), c.parameters(), strict=True))
    assert all(torch.equal(p, q) for p, q, _ in pairs)
    assert not any(torch.equal(p, r) for p, _, r in pairs if p.ndim > 1)
    torch.manual_seed(5)
    d = MIXERS[name](8)
    torch.manual_seed(5)
    e = MIXERS[name](8)
    assert all(torch.equal(p, q) for p, q in zip(d.parameters(), e.parameters(), strict=True))


@pytest.mark.parametrize("name", MIXERS)
def test_the_initial_distribution_is_torchs_default(name):
    for layer in MIXERS[name](64, generator=generator(0)).modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv1d):
            bound = layer.weight[0].numel() ** -0.5
        elif isinstance(layer, torch.nn.LSTM):
            bound = layer.hidden_size**-0.5
        else:
            continue
        for key, weight in layer.named_parameters(recurse=False):
            if "bias" not in key:
                assert weight.abs().max() <= bound
                assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_refuses_what_is_not_batch_time_width(name):
    mixer = MIXERS[name](8)
    for bad in (torch.ones(2, 8), torch.ones(1, 2, 7), torch.ones(1, 2, 8, dtype=torch.int64)):
        with pytest.raises(ValueError, match=r"expected floats of shape \(batch, time, 8\)"):
            mixer(bad)


# -------------------------------------------------------------------------------------- the rivals
def test_the_rnn_is_its_equation():
    rnn = att.RNN(4, hidden=6, gain=0.9, generator=generator(0))
    r = rnn.recurrence
    x = torch.randn(2, 5, 4, generator=generator(1))
    U = r.weight_hh_l0
    assert torch.allclose(U @ U.T, 0.81 * torch.eye(6), rtol=0, atol=1e-12)
    h, outputs = torch.zeros(2, 6), []
    for t in range(5):
        h = torch.tanh(x[:, t] @ r.weight_ih_l0.T + h @ U.T + r.bias_ih_l0 + r.bias_hh_l0)
        outputs.append(h @ rnn.output.weight.T + rnn.output.bias)
    assert torch.allclose(rnn(x), torch.stack(outputs, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 3.0])
def test_the_lstm_is_its_equation_and_forgets_as_told(forget_bias):
    lstm = att.LSTM(4, hidden=6, forget_bias=forget_bias, generator=generator(0))
    r = lstm.recurrence
    bias = r.bias_ih_l0 + r.bias_hh_l0
    assert torch.equal(bias[6:12], torch.full((6,), forget_bias))
    assert bias[:6].abs().min() > 0 and bias[12:].abs().min() > 0
    x = torch.randn(2, 5, 4, generator=generator(1))
    h, c, outputs = torch.zeros(2, 6), torch.zeros(2, 6), []
    for t in range(5):
        i, f, g, o = (x[:, t] @ r.weight_ih_l0.T + h @ r.weight_hh_l0.T + bias).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h @ lstm.output.weight.T + lstm.output.bias)
    assert torch.allclose(lstm(x), torch.stack(outputs, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("dilations", "kernel"), [((1, 1), 3), ((1, 2, 4), 3), ((3,), 2), ((2, 1), 1)]
)
def test_the_cnn_is_its_equation(dilations, kernel):
    cnn = att.CNN(4, hidden=5, dilations=dilations, kernel=kernel, generator=generator(0))
    x = torch.randn(2, 12, 4, generator=generator(1))
    h = x @ cnn.input.weight.T + cnn.input.bias
    for layer, dilation in zip(cnn.layers, dilations, strict=True):
        # (out, in, K), as torch keeps it: the last tap is the present
        new = torch.zeros_like(h)
        for t in range(12):
            total = layer.bias
            for k in range(kernel):
                if t - k * dilation >= 0:
                    total = total + h[:, t - k * dilation] @ layer.weight[:, :, kernel - 1 - k].T
            new[:, t] = h[:, t] + F.gelu(total)
        h = new
    expected = h @ cnn.output.weight.T + cnn.output.bias
    assert torch.allclose(cnn(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dilations", [(1, 1, 1, 1), (1, 2, 4), (5,)])
def test_a_cnn_sees_its_receptive_field_and_nothing_more(dilations):
    cnn = att.CNN(4, dilations=dilations, generator=generator(0))
    x = torch.randn(1, 20, 4, generator=generator(1)).requires_grad_()
    cnn(x)[0, -1].sum().backward()
    seen = x.grad[0].abs().sum(-1).flip(0) > 0  # by distance
    assert seen[cnn.receptive_field - 1] and not seen[cnn.receptive_field :].any()
    if len(dilations) > 1:
        assert seen[: cnn.receptive_field].all()


@given(st.integers(300, 60_000), st.sampled_from(["rnn", "lstm", "cnn", "dilated cnn"]))
@FEW
def test_matched_hidden_is_the_closest_width(parameters, name):
    def count(hidden):
        return att.parameter_count(MIXERS[name](16, hidden=hidden))

    state = torch.get_rng_state()
    hidden = att.matched_hidden(lambda h: MIXERS[name](16, hidden=h), parameters)
    assert torch.equal(torch.get_rng_state(), state)
    gap = abs(count(hidden) - parameters)
    assert gap <= abs(count(hidden + 1) - parameters)
    assert hidden == 1 or gap <= abs(count(hidden - 1) - parameters)


def test_parameter_count():
    assert att.parameter_count(att.MultiHeadAttention(12, 3)) == 4 * 12 * 12
    assert att.parameter_count(att.MultiHeadAttention(12, 3, "learned", max_length=7)) == 660
    assert att.parameter_count(att.MultiHeadAttention(12, 3, "sinusoidal")) == 576
    frozen = att.LSTM(8)
    frozen.requires_grad_(False)
    assert att.parameter_count(frozen) == 0


# ---------------------------------------------------------------------------------------- positions
def test_added_positions_are_added_and_scaled():
    x = torch.randn(2, 5, 6, generator=generator(0))
    for scale in (1.0, 0.5):
        code = att.AddedPositions(6, "sinusoidal", scale=scale)(x) - x
        assert close(np.stack([scale * att.sinusoidal_positions(5, 6)] * 2), code, 1e-12)
    added = att.AddedPositions(60, "learned", 500, scale=0.5, generator=generator(0))
    assert added.table.std().item() == pytest.approx(0.5, rel=0.02)
    x = torch.zeros(2, 9, 60)
    assert torch.equal(added(x), added.table[:9].expand(2, 9, 60))


@pytest.mark.parametrize("positions", POSITIONS)
def test_float32_modules_stay_in_float32(positions):
    layer = att.MultiHeadAttention(8, 2, positions, generator=generator(0))
    x = torch.randn(1, 600, 8, generator=generator(1))
    exact = layer(x)
    single = layer.float()(x.float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), exact, rtol=0, atol=5e-6)


def test_far_positions_are_turned_exactly_in_float32_too():
    x = torch.ones(1, 1, 20_000, 8)
    exact = att.rope(x.numpy())
    assert np.allclose(rotate(x.float()).numpy(), exact, rtol=0, atol=5e-7)
    assert np.allclose(att.rope(x.float().numpy()), exact, rtol=0, atol=5e-7)


# ---------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: att.MultiHeadAttention(8, 3), "cannot be split into 3 heads"),
        (lambda x: att.MultiHeadAttention(6, 2, "rope"), "must be even; got 3"),
        (lambda x: att.MultiHeadAttention(9, 3, "sinusoidal"), "must be even; got 9"),
        (lambda x: att.MultiHeadAttention(8, 2, "rotary"), "positions must be one of .*'rotary'"),
        (lambda x: att.MultiHeadAttention(8, 2)(x, torch.ones(4, 4)), "float64; expected bool"),
        (lambda x: att.MultiHeadAttention(8, 2)(x, torch.ones(3, 4).bool()), r"mask of shape"),
        (lambda x: att.MultiHeadAttention(8, 2)(x, torch.ones(2, 2, 4, 4).bool()), "head axis"),
        (lambda x: att.MultiHeadAttention(8, 2)(x, torch.zeros(2, 1, 4).bool()), "nothing to att"),
        (
            lambda x: att.MultiHeadAttention(8, 2, fused=True)(x, ~torch.ones(4, 4).tril().bool()),
            "nothing to attend",
        ),
        (
            lambda x: att.MultiHeadAttention(8, 2, "learned", max_length=3)(x),
            "4 tokens, but positions were learned for 3",
        ),
        (lambda x: att.AddedPositions(8, "rope"), "kind must be"),
        (lambda x: att.AddedPositions(8, "learned", 0), "max_length must be"),
        (lambda x: att.RNN(8, 0), "hidden must be"),
        (lambda x: att.LSTM(8, 2.5), "hidden must be"),
        (lambda x: att.CNN(8, kernel=0), "kernel must be"),
        (lambda x: att.CNN(8, dilations=(1, 0)), "every dilation must be"),
        (lambda x: att.matched_hidden(lambda h: att.RNN(64, h), 90), "hidden = 1 has 195"),
        (lambda x: att.matched_hidden(lambda h: att.RNN(64, h), 0), "parameters must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(2, 4, 8))


@pytest.mark.parametrize("module", ["modules", "mixers"])
def test_the_examples_in_the_docstrings_are_true(module):
    names = {name: getattr(att, name) for name in att.__all__}
    module = import_module(f"lmlib.attention.{module}")
    assert doctest.testmod(module, extraglobs=names).failed == 0
