"""lmlib.layernorm beside torch: the NumPy functions, the modules, the blocks, the ensemble."""

import doctest
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmlib import layernorm
from lmlib.layernorm import blocks

V, CONTEXT, WIDTH = 11, 8, 12
SHAPES = [(4,), (3, 4), (2, 5, 4), (7, 2), (2, 3, 64), (2, 2, 2, 768)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def example(*shape, seed=0):
    rng = np.random.default_rng(seed)
    x = 3 * rng.normal(size=shape) + 2
    gain, bias = rng.normal(size=(2, shape[-1]))
    return x, gain, bias, rng.normal(size=shape)


def tensors(*arrays):
    return [torch.tensor(a, requires_grad=True) for a in arrays]


def assert_close(ours, theirs, tolerance):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


# ------------------------------------------------------------------------ NumPy and torch, float64
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("in_place", [False, True])
def test_layer_norm_is_torchs(shape, eps, in_place):
    x, gain, bias, d_y = example(*shape)
    inputs = tensors(x, gain, bias)
    theirs = F.layer_norm(inputs[0], (shape[-1],), *inputs[1:], eps)
    gradients = torch.autograd.grad(theirs, inputs, torch.tensor(d_y))
    y, cache = layernorm.layer_norm(x, gain, bias, eps, in_place=in_place)
    assert_close(y, theirs, 1e-13)
    ours = layernorm.layer_norm_backward(d_y, cache, in_place=in_place)
    for a, b in zip(ours, gradients, strict=True):
        assert_close(a, b, 1e-11)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_rms_norm_is_torchs(shape, eps):
    x, gain, _, d_y = example(*shape)
    inputs = tensors(x, gain)
    theirs = F.rms_norm(inputs[0], (shape[-1],), inputs[1], eps)
    gradients = torch.autograd.grad(theirs, inputs, torch.tensor(d_y))
    y, cache = layernorm.rms_norm(x, gain, eps)
    assert_close(y, theirs, 1e-13)
    for a, b in zip(layernorm.rms_norm_backward(d_y, cache), gradients, strict=True):
        assert_close(a, b, 1e-11)


@pytest.mark.parametrize("over", ["batch", "batch_time"])
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_norm_is_torchs_in_training_and_in_use(over, eps):
    """torch's BatchNorm1d on (B·T, C), or on (B, T·C) for statistics of each position."""
    B, T, C = 6, 3, 4
    x, gain, bias, d_y = example(B, T, C)
    features = C if over == "batch_time" else T * C
    peer = nn.BatchNorm1d(features, eps, momentum=0.3, affine=False).double()
    inputs = tensors(x, gain, bias)
    statistics = None

    def run_peer():
        flat = inputs[0].reshape(-1, features)
        return peer(flat).reshape(B, T, C) * inputs[1] + inputs[2]

    def compare(statistics):
        theirs = run_peer()
        gradients = torch.autograd.grad(theirs, inputs, torch.tensor(d_y))
        y, cache = layernorm.batch_norm(x, gain, bias, eps, over, statistics)
        assert_close(y, theirs, 1e-13)
        for a, b in zip(layernorm.batch_norm_backward(d_y, cache), gradients, strict=True):
            assert_close(a, b, 1e-11)
        return cache

    for _ in range(2):
        statistics = layernorm.update_statistics(statistics, compare(None), momentum=0.3)
        assert_close(statistics.mean.ravel(), peer.running_mean, 1e-13)
        assert_close(statistics.variance.ravel(), peer.running_var, 1e-13)
    peer.eval()
    compare(statistics)


def test_float32_beside_torch():
    x, gain, bias, d_y = (a.astype(np.float32) for a in example(32, 64, 256))
    inputs = tensors(x, gain, bias)
    theirs = F.layer_norm(inputs[0], (256,), *inputs[1:])
    gradients = torch.autograd.grad(theirs, inputs, torch.tensor(d_y))
    y, cache = layernorm.layer_norm(x, gain, bias)
    assert_close(y, theirs, 1e-5)
    for a, b, tolerance in zip(
        layernorm.layer_norm_backward(d_y, cache), gradients, (1e-5, 1e-3, 1e-3), strict=True
    ):
        assert_close(a, b, tolerance)


# -------------------------------------------------------------------------------------- the modules
def randomised(module, seed=0):
    """The module in float64 with no parameter left at its starting value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.normal_(generator=generator)
    return module


PEERS = {
    "LayerNorm": (layernorm.LayerNorm, lambda m, x: F.layer_norm(x, (4,), m.gain, m.bias, 0.1)),
    "RMSNorm": (layernorm.RMSNorm, lambda m, x: F.rms_norm(x, (4,), m.gain, 0.1)),
}


@pytest.mark.parametrize("name", PEERS)
def test_modules_are_torchs(name):
    make, peer = PEERS[name]
    module = randomised(make(4, eps=0.1))
    x = torch.tensor(example(3, 5, 4)[0], requires_grad=True)
    d_y = torch.tensor(example(3, 5, 4)[3])
    parameters = [x, *module.parameters()]
    ours, theirs = module(x), peer(module, x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    for a, b in zip(
        torch.autograd.grad(ours, parameters, d_y),
        torch.autograd.grad(theirs, parameters, d_y),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_layer_norm_module_without_gain_and_bias():
    module = layernorm.LayerNorm(4, affine=False).double()
    assert list(module.parameters()) == []
    x = torch.tensor(example(3, 4)[0])
    torch.testing.assert_close(module(x), F.layer_norm(x, (4,)))


def test_dyt_is_a_scaled_tanh():
    module = randomised(layernorm.DyT(4))
    x, _, _, d_y = example(3, 5, 4)
    alpha, gain, bias = (p.detach().numpy() for p in (module.alpha, module.gain, module.bias))
    squashed = np.tanh(alpha * x)
    assert_close(gain * squashed + bias, module(torch.tensor(x)), 1e-14)
    (d_alpha,) = torch.autograd.grad(module(torch.tensor(x)), module.alpha, torch.tensor(d_y))
    assert math.isclose(d_alpha, (d_y * gain * (1 - squashed**2) * x).sum(), rel_tol=1e-12)
    assert layernorm.DyT(4).alpha == 0.5


@pytest.mark.parametrize("length", [None, 5])
def test_batch_norm_module_is_the_numpy_function(length):
    over = "batch_time" if length is None else "batch"
    module = randomised(layernorm.BatchNorm(4, length, eps=0.1, momentum=0.3))
    gain, bias = module.gain.detach().numpy(), module.bias.detach().numpy()
    statistics = None
    for seed in range(3):
        x = example(6, 5, 4, seed=seed)[0]
        y, cache = layernorm.batch_norm(x, gain, bias, 0.1, over)
        statistics = layernorm.update_statistics(statistics, cache, 0.3)
        assert_close(y, module(torch.tensor(x, requires_grad=True)), 1e-13)
        assert not module.mean.requires_grad  # or each batch would keep all before it alive
    assert_close(statistics.mean, module.mean, 1e-14)
    assert_close(statistics.variance, module.variance, 1e-13)
    module.eval()
    y, _ = layernorm.batch_norm(x, gain, bias, 0.1, over, statistics)
    assert_close(y, module(torch.tensor(x)), 1e-13)


@pytest.mark.parametrize("detach", [None, "mean", "variance", "both"])
def test_detached_statistics_change_the_backward_pass_only(detach):
    module = layernorm.LayerNorm(6, detach=detach).double()
    x, _, _, d_y = example(3, 6)
    ones, zeros = np.ones(6), np.zeros(6)
    y, cache = layernorm.layer_norm(x, ones, zeros)
    x = torch.tensor(x, requires_grad=True)
    assert_close(y, module(x), 1e-13)
    (d_x,) = torch.autograd.grad(module(x), x, torch.tensor(d_y))
    along_ones = d_y.mean(-1, keepdims=True)
    along_self = cache.normalised * (d_y * cache.normalised).mean(-1, keepdims=True)
    expected = d_y.copy()
    if detach not in ("mean", "both"):
        expected -= along_ones
    if detach not in ("variance", "both"):
        expected -= along_self
    assert_close(cache.rstd * expected, d_x, 1e-13)


def test_modules_name_what_is_wrong():
    makers = (layernorm.LayerNorm, layernorm.RMSNorm, layernorm.BatchNorm)
    for make in makers:
        with pytest.raises(ValueError, match="width must be at least 2, got 1"):
            make(1)
        with pytest.raises(ValueError, match="eps must be a positive number"):
            make(4, eps=0)
    with pytest.raises(ValueError, match="detach must be one of"):
        layernorm.LayerNorm(4, detach="std")
    for module in (*(make(4) for make in makers), layernorm.DyT(4)):
        with pytest.raises(ValueError, match=r"float32 \(2, 3, 5\); expected floats with 4"):
            module(torch.zeros(2, 3, 5))
        with pytest.raises(ValueError, match=r"torch.int64"):
            module(torch.zeros(2, 3, 4, dtype=torch.long))
        with pytest.raises(ValueError, match=r"\(\)"):
            module(torch.tensor(1.0))
    for module, wrong in (
        (layernorm.BatchNorm(4), torch.zeros(3, 4)),
        (layernorm.BatchNorm(4, 5), torch.zeros(2, 3, 4)),
    ):
        with pytest.raises(ValueError, match=r"expected \(batch, (time|5), 4\)"):
            module(wrong)
    for module, lone in (
        (layernorm.BatchNorm(4, 5), torch.zeros(1, 5, 4)),
        (layernorm.BatchNorm(4), torch.zeros(1, 1, 4)),
    ):
        with pytest.raises(ValueError, match="one value for each mean"):
            module(lone)
        assert module.eval()(lone).shape == lone.shape


# ------------------------------------------------------------------------------------- the blocks
def norm(module, x):
    """LayerNorm without lmlib."""
    return F.layer_norm(x, (x.shape[-1],), module.gain, module.bias)


SPECIFICATION = {
    "post": lambda b, f, x: norm(b.norm_sum, x + f(x)),
    "pre": lambda b, f, x: x + f(norm(b.norm_in, x)),
    "peri": lambda b, f, x: x + norm(b.norm_out, f(norm(b.norm_in, x))),
    "reordered": lambda b, f, x: x + norm(b.norm_out, f(x)),
    "deepnorm": lambda b, f, x: norm(b.norm_sum, 6**0.25 * x + f(x)),  # N = 3
    "rezero": lambda b, f, x: x + b.scale * f(x),
    "none": lambda b, f, x: x + f(x),
}


@pytest.mark.parametrize("placement", SPECIFICATION)
@pytest.mark.parametrize("branch_scale", [1.0, 6**-0.5])
def test_every_placement_is_its_formula(placement, branch_scale):
    sublayer = nn.Linear(WIDTH, WIDTH)
    block = randomised(
        layernorm.ResidualBlock(sublayer, WIDTH, placement, depth=3, branch_scale=branch_scale)
    )
    x = torch.tensor(example(2, 5, WIDTH)[0])
    if placement in ("post", "deepnorm"):  # the branch is inside the normalisation
        expected = SPECIFICATION[placement](block, lambda z: branch_scale * sublayer(z), x)
    else:
        expected = x + branch_scale * (SPECIFICATION[placement](block, sublayer, x) - x)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_rezero_starts_as_the_identity():
    x = torch.tensor(example(2, 5, WIDTH)[0])
    block = layernorm.ResidualBlock(nn.Linear(WIDTH, WIDTH), WIDTH, "rezero").double()
    assert torch.equal(block(x), x)
    assert torch.autograd.grad(block(x).sum(), block.scale)[0] != 0  # and can leave it


def test_there_are_no_other_placements():
    assert list(layernorm.PLACEMENTS) == list(SPECIFICATION)
    for make in (
        lambda: layernorm.ResidualBlock(nn.Identity(), WIDTH, "before"),
        lambda: layernorm.Decoder(V, CONTEXT, placement="before"),
    ):
        with pytest.raises(ValueError, match=r"placement must be one of post, pre.*'before'"):
            make()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def decoder(seed=0, **kwargs):
    return layernorm.Decoder(
        V, CONTEXT, **{"width": WIDTH, "heads": 3, "generator": generator(seed)} | kwargs
    )


def windows(count=4, seed=0):
    return torch.randint(V, (count, CONTEXT + 1), generator=generator(seed))


@pytest.mark.parametrize("placement", SPECIFICATION)
def test_decoder_is_its_parts_in_order(placement):
    model = randomised(decoder(placement=placement, depth=3))
    tokens = windows()[:, :-1]
    x = model.token.weight[tokens] + model.position.table[:CONTEXT]
    for attention, mlp in model.layers:
        x = SPECIFICATION[placement](attention, attention.sublayer, x)
        f = mlp.sublayer
        x = SPECIFICATION[placement](mlp, lambda z, f=f: f.down(F.gelu(f.up(z))), x)
    if placement in ("pre", "peri", "reordered"):
        x = norm(model.final_norm, x)
    expected = x @ model.head.weight.T
    torch.testing.assert_close(model(tokens), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("placement", SPECIFICATION)
def test_no_token_sees_the_future(placement):
    model = decoder(placement=placement)
    tokens = windows()[:, :-1]
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % V
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :-1], after[:, :-1])  # bitwise
    assert (before[:, -1] != after[:, -1]).any()


def test_batch_norm_in_a_decoder_leaks_the_future():
    model = decoder(norm=layernorm.BatchNorm)
    tokens = windows()[:, :-1]
    changed = tokens.clone()
    changed[0, -1] = (changed[0, -1] + 1) % V
    with torch.no_grad():
        moved = (model(tokens) - model(changed)).abs()
        assert moved[0, :-1].max() > 1e-3  # the past of the same sequence
        assert moved[1:].max() > 1e-3  # and the other sequences
        model.eval()
        assert torch.equal(model(tokens)[1:], model(changed)[1:])


def test_decoder_starts_as_its_docstring_says():
    """Xavier normal; value, output and MLP smaller in deepnorm; a stream of variance 1."""
    large = {"width": 128, "heads": 4, "depth": 4}

    def spread(tensor):
        return float(tensor.detach().std())

    for placement, shrink in (("pre", 1.0), ("deepnorm", 32**-0.25)):
        model = decoder(placement=placement, **large)
        for attention, mlp in model.layers:
            a, m = attention.sublayer, mlp.sublayer
            expected = {
                a.query: (256, 1.0),
                a.key: (256, 1.0),
                a.value: (256, shrink),
                a.output: (256, shrink),
                m.up: (640, shrink),
                m.down: (640, shrink),
            }
            for linear, (fans, factor) in expected.items():
                assert spread(linear.weight) == pytest.approx(factor * (2 / fans) ** 0.5, rel=0.05)
                assert linear.bias is None or (linear.bias == 0).all()
        assert attention.skip == pytest.approx(8**0.25 if placement == "deepnorm" else 1)
    stream = model.stream(windows(64)[:, :-1])
    assert len(stream) == 5
    assert spread(stream[0]) == pytest.approx(1, rel=0.05)
    assert spread(model.head.weight) == pytest.approx(128**-0.5, rel=0.1)


def test_the_generator_decides_all_initial_weights():
    state = torch.random.get_rng_state()
    a, b, c = decoder(0), decoder(0), decoder(1)
    pairs = zip(a.parameters(), b.parameters(), c.parameters(), strict=True)
    differ = 0
    for x, y, z in pairs:
        assert torch.equal(x, y)
        differ += not torch.equal(x, z)
    assert differ >= 15  # all but gains and biases
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("norm", [layernorm.RMSNorm, layernorm.DyT, nn.Identity])
def test_norm_and_final_norm_can_be_chosen(norm):
    model = decoder(norm=norm)
    assert all(isinstance(block.norm_in, norm) for layer in model.layers for block in layer)
    assert isinstance(model.final_norm, norm)
    assert isinstance(decoder(norm=norm, final_norm=False).final_norm, nn.Identity)
    assert isinstance(decoder(placement="post").final_norm, nn.Identity)
    assert isinstance(decoder(placement="post", final_norm=True).final_norm, layernorm.LayerNorm)


def test_decoder_names_what_is_wrong():
    with pytest.raises(ValueError, match="depth must be at least 1"):
        decoder(depth=0)
    with pytest.raises(ValueError, match="5"):
        decoder(heads=5)
    for wrong in (torch.zeros(CONTEXT, dtype=torch.long), torch.zeros(2, CONTEXT)):
        with pytest.raises(ValueError, match=r"tokens must be \(batch, time\) integers"):
            decoder()(wrong)
    with pytest.raises(ValueError, match="positions were learned for 8"):
        decoder()(torch.zeros(1, CONTEXT + 1, dtype=torch.long))


# ------------------------------------------------------------------------------------ the ensemble
TEXT = torch.randint(V, (400,), generator=generator(7))
SETTINGS = layernorm.Settings((1e-3, 3e-2), (0, 1, 2), steps=6, batch=3, time=CONTEXT)
DESIGNS = {
    **{placement: partial(decoder, placement=placement) for placement in SPECIFICATION},
    "RMSNorm": partial(decoder, norm=layernorm.RMSNorm),
    "DyT": partial(decoder, norm=layernorm.DyT),
    "no statistics in backward": partial(decoder, norm=partial(layernorm.LayerNorm, detach="both")),
    "scaled": partial(decoder, placement="none", branch_scale=0.5),
}


def build(design, given):
    return DESIGNS[design](generator=given).double()


def alone(design, rate, seed, steps, warmup=0):
    """One model, trained with torch's own optimiser on the windows of its seed."""
    model, given = build(design, generator(seed)), generator(seed)
    optimiser = torch.optim.Adam(model.parameters(), rate, betas=(0.9, 0.98))
    losses = []
    for step in range(steps):
        starts = torch.randint(len(TEXT) - CONTEXT, (3, 1), generator=given)
        batch = TEXT[starts + torch.arange(CONTEXT + 1)]
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / warmup) if warmup else rate
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return model, losses


@pytest.mark.parametrize("design", DESIGNS)
def test_a_member_is_the_model_trained_alone(design):
    trained = layernorm.train(partial(build, design), TEXT, TEXT[:100], SETTINGS)
    assert trained.losses.shape == (2, 3, 6)
    for row, rate in enumerate(SETTINGS.learning_rates):
        for column, seed in enumerate(SETTINGS.seeds):
            if (row, column) not in ((0, 0), (1, 2)):
                continue
            model, losses = alone(design, rate, seed, SETTINGS.steps)
            np.testing.assert_allclose(trained.losses[row, column], losses, rtol=1e-9)
            member = trained.ensemble.member(row * 3 + column)
            for ours, theirs in zip(member.parameters(), model.parameters(), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
            held_out = layernorm.spread_windows(TEXT[:100], CONTEXT)
            logits = model(held_out[:, :-1])
            expected = F.cross_entropy(logits.flatten(0, 1), held_out[:, 1:].flatten())
            assert trained.held_out[row, column] == pytest.approx(expected.item(), rel=1e-8)


def test_warm_up_is_a_straight_rise():
    settings = layernorm.Settings((3e-2,), (5,), steps=6, batch=3, time=CONTEXT, warmup=4)
    trained = layernorm.train(partial(build, "post"), TEXT, TEXT[:100], settings)
    _, losses = alone("post", 3e-2, 5, 6, warmup=4)
    np.testing.assert_allclose(trained.losses[0, 0], losses, rtol=1e-9)


def test_a_diverging_member_does_not_touch_the_others():
    def run(rates):
        settings = layernorm.Settings(rates, (0, 1), steps=12, batch=3, time=CONTEXT)
        return layernorm.train(partial(decoder_float32, "none"), TEXT, TEXT[:100], settings)

    calm, wild = run((1e-3, 1e-3, 3e-3)), run((1e-3, 1e30, 3e-3))
    assert not torch.isfinite(wild.held_out[1]).any()
    for row in (0, 2):  # bitwise: losses, parameters, held-out loss
        assert torch.equal(calm.losses[row], wild.losses[row])
        assert torch.equal(calm.held_out[row], wild.held_out[row])
        for m in (2 * row, 2 * row + 1):
            for a, b in zip(
                calm.ensemble.member(m).parameters(),
                wild.ensemble.member(m).parameters(),
                strict=True,
            ):
                assert torch.equal(a, b)


def decoder_float32(placement, given):
    return decoder(placement=placement, generator=given)


def test_seeds_share_their_windows_over_rates_and_designs():
    """The first loss depends on the seed only, and no two seeds see the same text."""
    trained = layernorm.train(partial(build, "pre"), TEXT, TEXT[:100], SETTINGS)
    first = trained.losses[:, :, 0]
    assert torch.equal(first[0], first[1])
    assert len(first[0].unique()) == 3
    a, b = (layernorm.random_windows(TEXT, 5, CONTEXT, generator(s)) for s in (0, 1))
    assert a.shape == (5, CONTEXT + 1)
    assert not torch.equal(a, b)


def test_windows_are_pieces_of_the_text():
    text = torch.arange(30)
    every = layernorm.random_windows(text, 2000, 8, generator())
    assert torch.equal(every - every[:, :1], torch.arange(9).expand(2000, 9))
    assert every[:, 0].unique().tolist() == list(range(22))  # the first and the last included
    spread = layernorm.spread_windows(text, 8, count=5)
    assert spread[:, 0].tolist() == [0, 5, 10, 15, 21]
    assert len(layernorm.spread_windows(text, 8)) == 22  # no window twice
    assert len(layernorm.spread_windows(text[:9], 8)) == 1


def test_a_decoder_learns_one_batch_by_heart():
    settings = layernorm.Settings((1e-2,), (0, 1), steps=150, batch=4, time=CONTEXT)
    pattern = torch.arange(11).repeat(40)
    trained = layernorm.train(partial(decoder_float32, "pre"), pattern, pattern, settings)
    assert (trained.held_out < 0.05).all()


def test_ensemble_and_settings_name_what_is_wrong():
    with pytest.raises(ValueError, match="at least one member"):
        layernorm.Ensemble([])
    with pytest.raises(ValueError, match=r"buffers \(.*mean.*one at a time"):
        layernorm.Ensemble([decoder(norm=layernorm.BatchNorm)])
    for wrong, says in (
        ({"learning_rates": ()}, "at least one learning rate"),
        ({"seeds": ()}, "one seed"),
        ({"learning_rates": (1e-3, 0.0)}, "must be positive"),
        ({"learning_rates": (math.nan,)}, "must be positive"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"time": 0}, "time must be at least 1"),
        ({"warmup": -1}, "warmup must not be negative"),
    ):
        with pytest.raises(ValueError, match=says):
            layernorm.Settings(**{"learning_rates": (1e-3,), "seeds": (0,)} | wrong)
    for text in (TEXT[:CONTEXT], TEXT[None], TEXT.double()):
        with pytest.raises(ValueError, match="a window needs 9 integer ids in one row"):
            layernorm.random_windows(text, 2, CONTEXT, generator())
        with pytest.raises(ValueError, match="a window needs 9 integer ids in one row"):
            layernorm.spread_windows(text, CONTEXT)
    assert len(layernorm.Ensemble([decoder(s) for s in range(3)])) == 3


# -------------------------------------------------------------------------------------- the probes
def test_down_gradients_are_those_of_backward():
    model, batch = decoder(depth=3), windows()
    F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()
    expected = [mlp.sublayer.down.weight.grad.norm() for _, mlp in model.layers]
    torch.testing.assert_close(layernorm.down_gradients(model, batch), torch.stack(expected))


def slope(placement, measure, depths=(4, 8, 16, 32), seeds=3):
    """Exponent of a measure in depth, averaged over seeds."""
    make = partial(decoder, placement=placement, width=32, heads=2)
    values = [np.mean([measure(make(s, depth=d)) for s in range(seeds)]) for d in depths]
    return np.polyfit(np.log(depths), np.log(values), 1)[0]


def test_the_last_gradient_shrinks_with_depth_in_pre_and_not_in_post():
    """Xiong et al. 2020, Theorem 1: O(1) in depth for post, O(1/√N) for pre."""

    def last(model):
        return float(layernorm.down_gradients(model, windows(8))[-1])

    assert -0.6 < slope("pre", last) < -0.2
    assert -0.2 < slope("post", last) < 0.25


def test_post_amplifies_more_with_depth_than_pre():
    """Liu et al. 2020: about N for post, about log N for pre."""
    tokens = windows(8)[:, :-1]

    def amplified(model):
        return layernorm.amplification(model, tokens, generator(1))

    assert slope("pre", amplified) < 0.8 < slope("post", amplified)
    model = decoder()
    kept = [p.clone() for p in model.parameters()]
    once, twice = (layernorm.amplification(model, tokens, generator(1), s) for s in (1e-4, 2e-4))
    assert twice == pytest.approx(4 * once, rel=0.01)  # squared, and proportional to the noise
    assert all(torch.equal(p, k) for p, k in zip(model.parameters(), kept, strict=True))


def test_doctests_run():
    assert doctest.testmod(blocks, extraglobs={"torch": torch}).failed == 0
