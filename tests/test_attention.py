"""lmlib.attention in NumPy: against loops, against finite differences, against what must hold.

The agreement with torch is in test_attention_torch.py.
"""

import doctest
import math
import subprocess
import sys
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import attention as att

FUZZ = settings(max_examples=60, deadline=None)  # a busy machine is no error
FEW = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 6)
LEADS = st.sampled_from([(), (2,), (2, 3)])
POSITIONS = st.sampled_from([None, "rope", "alibi"])


def rng_of(seed):
    return np.random.default_rng(seed)


def draw_qkv(rng, lead, T_q, T_k, D, D_v, spread=1.0):
    shapes = (*lead, T_q, D), (*lead, T_k, D), (*lead, T_k, D_v)
    return [rng.normal(0, spread, shape) for shape in shapes]


def draw_mask(rng, shape):
    """Random, but every row allows something."""
    mask = rng.random(shape) < 0.5
    mask[..., 0] |= ~mask.any(-1)
    return mask


def draw_layer(rng, C):
    return att.Projections(*rng.normal(0, C**-0.5, (4, C, C)))


# ------------------------------------------------------------------- the specification, in loops
def spec_attention(query, key, value, mask, scale):
    """One head, straight from the definition."""
    output = np.zeros((len(query), value.shape[1]))
    weights = np.zeros((len(query), len(key)))
    for i, q in enumerate(query):
        allowed = [j for j in range(len(key)) if mask[i, j]]
        scores = [scale * sum(a * b for a, b in zip(q, key[j], strict=True)) for j in allowed]
        exps = [math.exp(s - max(scores)) for s in scores]
        for j, e in zip(allowed, exps, strict=True):
            weights[i, j] = e / sum(exps)
            output[i] += weights[i, j] * value[j]
    return output, weights


def spec_multi_head(x, layer, heads, mask):
    """(T, C): every head with its own three C × D matrices, then side by side."""
    C = x.shape[1]
    D = C // heads
    parts = []
    for h in range(heads):
        own = slice(h * D, (h + 1) * D)
        q, k, v = (x @ matrix[:, own] for matrix in layer[:3])
        parts.append(spec_attention(q, k, v, mask, 1 / math.sqrt(D))[0])
    return np.concatenate(parts, 1) @ layer.output


def slopes(f, x, step=1e-5):
    """The gradient of the number f() with respect to the array x, by central differences."""
    gradient = np.empty_like(x)
    for at in np.ndindex(x.shape):
        kept = x[at]
        x[at] = kept + step
        above = f()
        x[at] = kept - step
        gradient[at] = (above - f()) / (2 * step)
        x[at] = kept
    return gradient


# ---------------------------------------------------------------------------------- the attention
@given(SEEDS, LEADS, SIZES, SIZES, SIZES, SIZES, st.sampled_from([None, 0.3, 2.0]))
@FUZZ
def test_attention_agrees_with_the_specification(seed, lead, T_q, T_k, D, D_v, scale):
    rng = rng_of(seed)
    query, key, value = draw_qkv(rng, lead, T_q, T_k, D, D_v)
    mask = draw_mask(rng, (*lead, T_q, T_k))
    output, weights = att.attention(query, key, value, mask, scale)
    for at in np.ndindex(lead):
        spec = spec_attention(query[at], key[at], value[at], mask[at], scale or 1 / math.sqrt(D))
        assert np.allclose(output[at], spec[0], rtol=0, atol=1e-12)
        assert np.allclose(weights[at], spec[1], rtol=0, atol=1e-12)


@given(SEEDS, LEADS, SIZES, SIZES, SIZES, SIZES, st.sampled_from([1.0, 30.0, 1e4]))
@FUZZ
def test_weights_are_an_average_over_what_the_mask_allows(seed, lead, T_q, T_k, D, D_v, spread):
    rng = rng_of(seed)
    query, key, value = draw_qkv(rng, lead, T_q, T_k, D, D_v, spread)
    mask = draw_mask(rng, (T_q, T_k))
    output, weights = att.attention(query, key, value, mask)
    assert np.all(weights >= 0)
    assert np.all(weights[..., ~mask] == 0)
    assert np.allclose(weights.sum(-1), 1, rtol=0, atol=1e-12)
    edge = 1e-9 * spread
    assert np.all(output <= value.max(-2, keepdims=True) + edge)
    assert np.all(output >= value.min(-2, keepdims=True) - edge)


@given(SEEDS, LEADS, SIZES, SIZES, SIZES)
@FUZZ
def test_the_same_vector_added_to_every_key_changes_nothing(seed, lead, T_q, T_k, D):
    rng = rng_of(seed)
    query, key, value = draw_qkv(rng, lead, T_q, T_k, D, 3)
    moved = att.attention(query, key + rng.normal(size=D), value)[1]
    assert np.allclose(moved, att.attention(query, key, value)[1], rtol=0, atol=1e-12)


def test_scale_zero_is_the_plain_mean_and_bias_is_added_to_the_scaled_scores():
    rng = rng_of(0)
    query, key, value = draw_qkv(rng, (2,), 3, 4, 5, 6)
    flat, _ = att.attention(query, key, value, scale=0)
    assert np.allclose(flat, value.mean(-2, keepdims=True), rtol=0, atol=1e-12)
    weights = rng.dirichlet(np.ones(4), (2, 3))
    _, got = att.attention(query, key, value, scale=0, bias=np.log(weights))
    assert np.allclose(got, weights, rtol=0, atol=1e-12)
    one = np.log(weights[:1])  # a leading axis of length 1 stands for any
    _, shared = att.attention(query, key, value, scale=0, bias=one)
    assert np.allclose(shared, np.broadcast_to(weights[:1], got.shape), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_leaves_the_dtype_of_the_input_and_no_input_is_changed(dtype):
    rng = rng_of(0)
    x = rng.normal(size=(2, 5, 6)).astype(dtype)
    layer = att.Projections(*rng.normal(size=(4, 6, 6)).astype(dtype))
    kept = x.copy()
    for positions in (None, "rope", "alibi"):
        y, cache = att.multi_head_attention_forward(x, layer, 3, att.causal_mask(5), positions)
        d_x, d_layer = att.multi_head_attention_backward(y, cache)
        step = att.decode_step(x, layer, 3, att.KeyValueCache(5, 6, 3, (2,), dtype), positions)
        assert {a.dtype for a in (y, step, d_x, *d_layer)} == {np.dtype(dtype)}
    scale = np.float64(0.5)  # NumPy's own scalars would turn float32 into float64
    y, cache = att.blocked_attention_forward(x, x, x, causal=True, block=2, scale=scale)
    d = att.blocked_attention_backward(y, cache)
    assert {a.dtype for a in (y, *d)} == {np.dtype(dtype)}
    y, cache = att.attention_forward(x, x, x, scale=scale)
    assert {a.dtype for a in (y, *att.attention_backward(y, cache))} == {np.dtype(dtype)}
    assert np.array_equal(x, kept)


# -------------------------------------------------------------------------------------- the masks
@given(st.integers(1, 8), st.integers(0, 5))
@FUZZ
def test_causal_mask(T, past):
    mask = att.causal_mask(T, past)
    assert mask.dtype == bool and mask.shape == (T, past + T)
    assert all(mask[i, j] == (j <= past + i) for i in range(T) for j in range(past + T))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
@FUZZ
def test_padding_changes_nothing_for_the_tokens_that_are_there(lengths):
    rng = rng_of(len(lengths))
    T, B = 5, len(lengths)
    layer = draw_layer(rng, 6)
    x = rng.normal(size=(B, T, 6))
    mask = att.causal_mask(T) & att.padding_mask(np.array(lengths), T)
    assert mask.shape == (B, T, T)
    for both in (mask, att.padding_mask(lengths, T)):
        batch, _ = att.multi_head_attention(x, layer, 2, both)
        for b, n in enumerate(lengths):
            own = att.causal_mask(n) if both is mask else None
            alone, _ = att.multi_head_attention(x[b, :n], layer, 2, own)
            assert np.allclose(batch[b, :n], alone, rtol=0, atol=1e-12)


@given(SEEDS, st.integers(2, 7), st.data())
@FUZZ
def test_no_output_depends_on_a_later_token_not_even_in_the_last_bit(seed, T, data):
    rng = rng_of(seed)
    j = data.draw(st.integers(1, T - 1))
    x = rng.normal(size=(2, T, 6))
    changed = x.copy()
    changed[:, j] = rng.normal(0, 100, (2, 6))
    layer, mask = draw_layer(rng, 6), att.causal_mask(T)

    def outputs(x):
        yield att.attention(x, x, x, mask)[0]
        yield att.blocked_attention(x, x, x, causal=True, block=2)
        for positions in (None, "rope", "alibi"):
            yield att.multi_head_attention(x, layer, 3, mask, positions)[0]
            cache = att.KeyValueCache(T, 6, 3, (2,))
            yield att.decode_step(x, layer, 3, cache, positions)

    for before, after in zip(outputs(x), outputs(changed), strict=True):
        assert np.array_equal(before[:, :j], after[:, :j])
        assert not np.allclose(before[:, j], after[:, j])


def test_a_finite_mask_fill_leaks_and_minus_infinity_does_not():
    """Every allowed score lies below the fill, so the fill wins the softmax."""
    query = np.full((1, 4, 4), 200.0)
    key = -query  # every score is 4 · 200 · (−200) / 2 = −80,000
    value = np.arange(4.0)[:, None].repeat(2, 1)[None]
    mask = att.causal_mask(4)
    scores = query @ key.swapaxes(1, 2) / 2
    leaky = att.masked_softmax(np.where(mask, scores, -1e4))
    assert leaky[0, 0].tolist() == [0, 1 / 3, 1 / 3, 1 / 3]  # all weight on the future
    # random scores, however large, do not show it: some allowed score is always above the fill
    harmless = rng_of(0).normal(0, 100, (1, 4, 4))
    filled = att.masked_softmax(np.where(mask, harmless, -1e4))
    assert np.array_equal(filled, att.masked_softmax(harmless, mask))
    output, weights = att.attention(query, key, value, mask)
    assert np.allclose(weights, mask / mask.sum(-1, keepdims=True))
    assert np.allclose(output[0, :, 0], [0, 0.5, 1, 1.5])
    assert np.allclose(att.blocked_attention(query, key, value, causal=True, block=2), output)


# ------------------------------------------------------------------------------------- the order
@given(SEEDS, st.integers(2, 6))
@FUZZ
def test_without_mask_and_positions_a_permutation_passes_through(seed, T):
    rng = rng_of(seed)
    x, layer, order = rng.normal(size=(T, 6)), draw_layer(rng, 6), rng.permutation(T)
    straight, weights = att.multi_head_attention(x, layer, 2)
    permuted, permuted_weights = att.multi_head_attention(x[order], layer, 2)
    assert np.allclose(permuted, straight[order], rtol=0, atol=1e-12)
    assert np.allclose(permuted_weights, weights[:, order][:, :, order], rtol=0, atol=1e-12)


def test_mask_and_positions_break_the_symmetry():
    rng = rng_of(1)
    T = 6
    x, layer, order = rng.normal(size=(T, 8)), draw_layer(rng, 8), np.arange(T)[::-1]

    def broken(f):
        return np.abs(f(x[order]) - f(x)[order]).max() > 0.01

    def heads(x, **more):
        return att.multi_head_attention(x, layer, 2, **more)[0]

    assert not broken(heads)
    assert broken(lambda x: heads(x, mask=att.causal_mask(T)))
    assert broken(lambda x: heads(x, positions="rope"))
    assert broken(lambda x: heads(x + att.sinusoidal_positions(T, 8)))
    assert broken(lambda x: heads(x + att.learned_positions(T, 8, rng_of(0))))
    # without a causal mask ALiBi knows how far, not in which direction
    assert not broken(lambda x: heads(x, positions="alibi"))
    order = np.array([1, 0, 2, 3, 4, 5])
    assert broken(lambda x: heads(x, positions="alibi"))


def test_one_causal_layer_sees_its_past_as_a_set_and_two_do_not():
    rng = rng_of(2)
    x, first, second = rng.normal(size=(6, 8)), draw_layer(rng, 8), draw_layer(rng, 8)
    shuffled = x[[2, 0, 3, 1, 4, 5]]
    mask = att.causal_mask(6)

    def last(x, layers):
        for layer in layers:
            x = x + att.multi_head_attention(x, layer, 2, mask)[0]
        return x[-1]

    assert np.allclose(last(x, [first]), last(shuffled, [first]), rtol=0, atol=1e-12)
    assert np.abs(last(x, [first, second]) - last(shuffled, [first, second])).max() > 0.01


# ---------------------------------------------------------------------------------- the gradients
@given(SEEDS, LEADS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
@FEW
def test_attention_backward_is_the_slope(seed, lead, T_q, T_k, D, D_v):
    rng = rng_of(seed)
    inputs = draw_qkv(rng, lead, T_q, T_k, D, D_v)
    mask, bias = draw_mask(rng, (T_q, T_k)), rng.normal(size=(T_q, T_k))
    output, cache = att.attention_forward(*inputs, mask, 0.7, bias)
    d_output = rng.normal(size=output.shape)

    def loss():
        return np.sum(d_output * att.attention(*inputs, mask, 0.7, bias)[0])

    for got, x in zip(att.attention_backward(d_output, cache), inputs, strict=True):
        assert np.allclose(got, slopes(loss, x), rtol=1e-6, atol=1e-8)


def test_a_key_that_nobody_may_see_gets_no_gradient_and_no_say():
    rng = rng_of(0)
    query, key, value = draw_qkv(rng, (2,), 4, 5, 3, 3)
    mask = np.ones((4, 5), bool)
    mask[:, 2] = False
    output, cache = att.attention_forward(query, key, value, mask)
    d_query, d_key, d_value = att.attention_backward(np.ones_like(output), cache)
    assert not d_key[:, 2].any() and not d_value[:, 2].any()
    # all ones: every output is an average, so moving all values up by 1 moves the loss by T_q · D_v
    assert d_value.sum() == pytest.approx(output.size)
    assert np.abs(d_query).max() > 0.01


@given(SEEDS, st.sampled_from([(3, 4), (2, 4), (1, 6)]), st.booleans(), POSITIONS)
@FEW
def test_multi_head_backward_is_the_slope(seed, heads_and_width, causal, positions):
    rng = rng_of(seed)
    heads, D = heads_and_width
    C = heads * D
    x, layer = rng.normal(size=(2, 3, C)), draw_layer(rng, C)
    mask = att.causal_mask(3) if causal else None
    output, cache = att.multi_head_attention_forward(x, layer, heads, mask, positions)
    d_output = rng.normal(size=output.shape)

    def loss():
        return np.sum(d_output * att.multi_head_attention(x, layer, heads, mask, positions)[0])

    d_x, d_layer = att.multi_head_attention_backward(d_output, cache)
    assert np.allclose(d_x, slopes(loss, x), rtol=1e-6, atol=1e-7)
    for got, matrix in zip(d_layer, layer, strict=True):
        entry = tuple(rng.integers(0, C, 2))
        part = matrix[entry[0], entry[1] : entry[1] + 1]  # a view: slopes moves it in place
        assert np.allclose(got[entry], slopes(loss, part), rtol=1e-6, atol=1e-7)


# -------------------------------------------------------------------------------------- the heads
@given(SEEDS, st.integers(1, 4), st.integers(1, 3), st.integers(1, 5))
@FUZZ
def test_heads_agree_with_separate_small_attentions(seed, heads, D, T):
    rng = rng_of(seed)
    C = heads * D
    x, layer, mask = rng.normal(size=(2, T, C)), draw_layer(rng, C), draw_mask(rng, (2, T, T))
    output, weights = att.multi_head_attention(x, layer, heads, mask)
    assert weights.shape == (2, heads, T, T)
    for b in range(2):
        spec = spec_multi_head(x[b], layer, heads, mask[b])
        assert np.allclose(output[b], spec, rtol=0, atol=1e-12)


@given(SEEDS, LEADS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
@FUZZ
def test_splitting_takes_columns_and_merging_puts_them_back(seed, lead, heads, D, T):
    x = rng_of(seed).normal(size=(*lead, T, heads * D))
    split = att.split_heads(x, heads)
    assert split.shape == (*lead, heads, T, D)
    for h in range(heads):
        assert np.array_equal(split[..., h, :, :], x[..., h * D : (h + 1) * D])
    assert np.array_equal(att.merge_heads(split), x)


# ------------------------------------------------------------------------------ attention in blocks
@given(SEEDS, LEADS, st.integers(1, 20), st.integers(1, 20), st.booleans(), st.integers(1, 25))
@FUZZ
def test_blocks_change_neither_output_nor_gradient(seed, lead, T_q, T_k, causal, block):
    rng = rng_of(seed)
    T_k = T_q if causal else T_k
    inputs = draw_qkv(rng, lead, T_q, T_k, 4, 3, spread=2.0)
    mask = att.causal_mask(T_q) if causal else None
    whole, whole_cache = att.attention_forward(*inputs, mask, 0.4)
    output, cache = att.blocked_attention_forward(*inputs, causal, block, 0.4)
    assert np.allclose(output, whole, rtol=0, atol=1e-12)
    assert np.array_equal(output, att.blocked_attention(*inputs, causal, block, 0.4))
    d_output = rng.normal(size=output.shape)
    expected = att.attention_backward(d_output, whole_cache)
    for got, want in zip(att.blocked_attention_backward(d_output, cache), expected, strict=True):
        assert np.allclose(got, want, rtol=0, atol=1e-12)


def test_blocks_take_views_and_the_default_scale():
    rng = rng_of(0)
    query, key, value = rng.normal(size=(3, 2, 7, 4, 6)).swapaxes(2, 3)  # not contiguous
    whole, whole_cache = att.attention_forward(query, key, value)
    output, cache = att.blocked_attention_forward(query, key, value, block=3)
    assert np.allclose(output, whole, rtol=0, atol=1e-12)
    d_output = rng.normal(size=output.shape)
    for got, want in zip(
        att.blocked_attention_backward(d_output, cache),
        att.attention_backward(d_output, whole_cache),
        strict=True,
    ):
        assert np.allclose(got, want, rtol=0, atol=1e-12)


def test_log_total_is_the_logarithm_of_the_softmax_denominator():
    query, key, value = draw_qkv(rng_of(0), (), 9, 11, 4, 3)
    _, cache = att.blocked_attention_forward(query, key, value, block=4)
    assert np.allclose(cache.log_total, np.log(np.exp(query @ key.T / 2).sum(1)))


def test_blocks_survive_rising_scores_that_would_overflow_exp():
    """Each block brings a larger maximum, so everything before must be shrunk."""
    key = np.arange(12.0)[:, None] * 300
    query, value = np.ones((12, 1)), np.arange(12.0)[:, None]
    assert np.allclose(att.blocked_attention(query, key, value, block=2), 11)
    assert np.allclose(att.blocked_attention(query, key[::-1].copy(), value, block=2), 0)


def test_causal_blocks_above_the_diagonal_are_never_computed(monkeypatch):
    x = rng_of(0).normal(size=(8, 4))
    calls = []
    matmul = np.matmul
    monkeypatch.setattr(np, "matmul", lambda *a, **k: calls.append(1) or matmul(*a, **k))
    for causal, blocks in ((False, 16), (True, 10)):
        calls.clear()
        output, cache = att.blocked_attention_forward(x, x, x, causal, block=2)
        assert len(calls) == blocks
        calls.clear()
        att.blocked_attention_backward(output, cache)
        assert len(calls) == 2 * blocks  # scores again, and d_weights


def test_memory_of_blocks_grows_with_t_and_memory_of_the_matrix_with_its_square():
    def peak(f, T):
        x = rng_of(0).normal(size=(T, 8))
        tracemalloc.start()
        try:
            f(x)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def forward_and_backward(x):
        output, cache = att.blocked_attention_forward(x, x, x, causal=True, block=32)
        att.blocked_attention_backward(output, cache)

    assert peak(forward_and_backward, 2048) < 5 * peak(forward_and_backward, 512)
    assert peak(lambda x: att.attention(x, x, x), 1024) > 10 * peak(forward_and_backward, 1024)


# --------------------------------------------------------------------------- decoding with a cache
@given(SEEDS, LEADS, st.lists(st.integers(1, 3), min_size=1, max_size=5), POSITIONS)
@FUZZ
def test_decoding_piece_by_piece_is_attending_at_once(seed, lead, pieces, positions):
    rng = rng_of(seed)
    T, heads, C = sum(pieces), 3, 12
    x, layer = rng.normal(size=(*lead, T, C)), draw_layer(rng, C)
    whole, _ = att.multi_head_attention(x, layer, heads, att.causal_mask(T), positions)
    cache = att.KeyValueCache(T, C, heads, lead)
    start = 0
    for n in pieces:
        now = slice(start, start + n)
        step = att.decode_step(x[..., now, :], layer, heads, cache, positions)
        assert np.allclose(step, whole[..., now, :], rtol=0, atol=1e-12)
        start += n
        assert cache.length == start
    plain = att.split_heads(x @ layer.value, heads)
    assert np.allclose(cache.value, plain) and cache.key.shape == plain.shape


def test_a_cache_says_what_it_costs_and_refuses_what_does_not_fit():
    cache = att.KeyValueCache(capacity=4, width=6, heads=3, lead=(2,), dtype=np.float32)
    assert cache.nbytes == 2 * 2 * 4 * 6 * 4 and cache.capacity == 4
    k = np.ones((2, 3, 3, 2), np.float32)
    cache.append(k, k)
    for key, value, message in [
        (k, k, "holds 4 tokens and has 3: 3 more"),
        (k[:, :, :1], k[:, :2, :1], r"value is float32 \(2, 2, 1, 2\)"),
        (k[:1, :, :1], k[:, :, :1], "key is"),
        (k[:, :, :1].astype(float), k[:, :, :1], "float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            cache.append(key, value)
        assert cache.length == 3


# --------------------------------------------------------------------------------------- positions
@given(st.integers(1, 12), st.integers(1, 5), st.sampled_from([100.0, 10_000.0]))
@FUZZ
def test_sinusoidal_positions_agree_with_the_formula(T, half, base):
    code = att.sinusoidal_positions(T, 2 * half, base)
    for p in range(T):
        for i in range(half):
            angle = p / base ** (2 * i / (2 * half))
            assert code[p, 2 * i] == pytest.approx(math.sin(angle), abs=1e-12)
            assert code[p, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-12)
    products = code @ code.T  # clocks: the product depends on the distance alone
    assert np.allclose(products[1:, 1:], products[:-1, :-1], rtol=0, atol=1e-12)


def test_learned_positions_are_a_table_drawn_from_the_generator():
    table = att.learned_positions(400, 50, rng_of(3), scale=0.5)
    assert table.shape == (400, 50)
    assert table.std() == pytest.approx(0.5, rel=0.02) and abs(table.mean()) < 0.02
    assert np.array_equal(table, att.learned_positions(400, 50, rng_of(3), scale=0.5))


@given(SEEDS, LEADS, st.integers(1, 6), st.integers(1, 4))
@FUZZ
def test_rope_is_a_rotation_of_neighbouring_pairs(seed, lead, T, half):
    x = rng_of(seed).normal(size=(*lead, T, 2 * half))
    turned = att.rope(x)
    # a pair is a complex number, and turning it is multiplying by exp(i · angle)
    pairs, turned_pairs = (z[..., 0::2] + 1j * z[..., 1::2] for z in (x, turned))
    frequency = 10_000.0 ** (-np.arange(half) / half)
    expected = pairs * np.exp(1j * np.arange(T)[:, None] * frequency)
    assert np.allclose(turned_pairs, expected, rtol=0, atol=1e-12)


@given(SEEDS, st.integers(-50, 50), st.integers(0, 40), st.integers(0, 40))
@FUZZ
def test_rope_makes_scores_depend_on_the_distance_alone(seed, shift, p, r):
    query, key = rng_of(seed).normal(size=(2, 1, 8))

    def score(p, r):
        return (att.rope(query, np.array([p])) @ att.rope(key, np.array([r])).T).item()

    assert score(p, r) == pytest.approx(score(p + shift, r + shift), abs=1e-11)


@given(SEEDS, st.sampled_from([None, [7, 3, 3, 0], np.array([1, 2, 3, 4], np.uint8)]))
@FUZZ
def test_rope_backward_is_the_transpose(seed, positions):
    x, y = rng_of(seed).normal(size=(2, 3, 4, 6))
    forward = np.sum(att.rope(x, positions, base=50.0) * y)
    assert np.sum(x * att.rope_backward(y, positions, base=50.0)) == pytest.approx(forward)


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 4))
@FUZZ
def test_alibi_is_a_slope_times_a_distance(heads, T, past):
    bias = att.alibi_bias(heads, T, past)
    assert bias.shape == (heads, T, past + T)
    for h, i, j in np.ndindex(*bias.shape):
        slope = 2 ** (-8 * (h + 1) / heads)
        assert bias[h, i, j] == pytest.approx(-slope * abs(past + i - j))


def test_alibi_slopes_of_the_paper():
    assert att.alibi_slopes(8).tolist() == [2.0**-h for h in range(1, 9)]


# ------------------------------------------------------------------------------ additive attention
@given(SEEDS, LEADS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
@FUZZ
def test_additive_attention_agrees_with_the_specification(seed, lead, T_q, T_k, A):
    rng = rng_of(seed)
    query, key = rng.normal(size=(*lead, T_q, 2)), rng.normal(size=(*lead, T_k, 3))
    value, mask = rng.normal(size=(*lead, T_k, 5)), draw_mask(rng, (T_q, T_k))
    W, U, w = rng.normal(size=(2, A)), rng.normal(size=(3, A)), rng.normal(size=A)
    output, weights = att.additive_attention(query, key, value, W, U, w, mask)
    for at in np.ndindex(*lead, T_q):
        allowed = np.flatnonzero(mask[at[-1]])
        scores = [w @ np.tanh(query[at] @ W + key[at[:-1]][j] @ U) for j in allowed]
        expected = np.exp(scores) / np.exp(scores).sum()
        assert np.allclose(weights[at][allowed], expected, rtol=0, atol=1e-12)
        assert np.allclose(output[at], expected @ value[at[:-1]][allowed], rtol=0, atol=1e-12)
    assert np.all(weights[..., ~mask] == 0)


# --------------------------------------------------------------------------------------- bad input
GOOD = np.ones((2, 3, 4))
LAYER = att.Projections(*np.ones((4, 4, 4)))
ONE_EMPTY_ROW = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 1]], bool)
NAN = np.full((2, 3, 4), np.nan)
HUGE = np.full((2, 3, 4), 1e200)


def attend(query=GOOD, key=GOOD, value=GOOD, **more):
    return att.attention(query, key, value, **more)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attend(key=GOOD[:, :2]), "differ in length"),
        (lambda: attend(value=GOOD[:, :2]), "differ in length"),
        (lambda: attend(query=GOOD[..., :2]), "equally wide"),
        (lambda: attend(key=GOOD[:1], value=GOOD[:1]), "same leading axes"),
        (lambda: attend(query=GOOD[0]), "same leading axes"),
        (lambda: attend(query=GOOD.astype(int)), "query is int64.*Token ids need"),
        (lambda: attend(value=GOOD.tolist()), "value is list"),
        (lambda: attend(query=GOOD.astype(np.float32)), "one dtype.*float32"),
        (lambda: attend(key=GOOD[:, :0], value=GOOD[:, :0]), "nothing empty"),
        (lambda: attend(query=GOOD[0, 0]), "time, width"),
        (lambda: attend(query=NAN), r"query contains nan at \(0, 0, 0\)"),
        (lambda: attend(value=-np.inf * GOOD), "value contains -inf"),
        (lambda: attend(query=HUGE, key=HUGE), "scores are not finite"),
        (lambda: attend(query=HUGE, key=-HUGE), "scores are not finite"),
        (lambda: attend(scale=np.nan), "one finite number, got nan"),
        (lambda: attend(scale=np.ones(3)), "one finite number"),
        (lambda: attend(mask=np.ones((3, 3))), "the mask is float64; expected a bool"),
        (lambda: attend(mask=[[True] * 3] * 3), "the mask is list"),
        (lambda: attend(mask=np.ones((3, 4), bool)), r"mask of shape \(3, 4\) does not fit"),
        (lambda: attend(mask=np.ones(3, bool)), "does not fit"),
        (lambda: attend(mask=np.ones((3, 1), bool)), "does not fit"),
        (lambda: attend(mask=np.ones((3, 3, 3), bool)), "does not fit"),
        (lambda: attend(mask=np.ones((2, 2, 3, 3), bool)), "does not fit"),
        (lambda: attend(mask=ONE_EMPTY_ROW), r"row \(1,\) of the mask allows no key"),
        (lambda: attend(bias=np.ones((2, 4))), "a bias .* does not fit"),
        (lambda: attend(bias=np.ones((3, 3), np.float32)), "a bias float32"),
        (lambda: attend(bias=np.full((3, 3), -np.inf)), "bias contains -inf"),
        (lambda: att.masked_softmax(np.ones((2, 2), int)), "scores are int64"),
        (lambda: att.causal_mask(0), "length must be an integer of at least 1, got 0"),
        (lambda: att.causal_mask(2.0), "got 2.0"),
        (lambda: att.causal_mask(True), "got True"),
        (lambda: att.causal_mask(2, -1), "past must be"),
        (lambda: att.padding_mask([0, 2], 3), "1 … 3, got 0 … 2.*empty sequence"),
        (lambda: att.padding_mask([4], 3), "got 4 … 4"),
        (lambda: att.padding_mask([1.0], 3), "integers"),
        (lambda: att.padding_mask([[1]], 3), "flat sequence"),
        (lambda: att.split_heads(GOOD, 3), "width 4 .* 3 heads.*not whole. 2 heads of 2"),
        (lambda: att.split_heads(GOOD, 0), "heads must be"),
        (lambda: att.multi_head_attention(GOOD.astype(int), LAYER, 2), "x is int64"),
        (lambda: att.multi_head_attention(GOOD[0, 0], LAYER, 2), "time, width"),
        (lambda: att.multi_head_attention(GOOD[..., :2], LAYER, 2), "needs float64 .2, 2."),
        (lambda: att.multi_head_attention(GOOD, LAYER, 4, positions="rope"), "even; got 1"),
        (lambda: att.multi_head_attention(GOOD, LAYER, 2, positions="sinusoidal"), "added to x"),
        (lambda: att.blocked_attention(GOOD, GOOD[:, :2], GOOD[:, :2], True), "as many queries"),
        (lambda: att.blocked_attention(GOOD, GOOD, GOOD, block=0), "block must be"),
        (lambda: att.blocked_attention(GOOD, GOOD, GOOD[:, :2]), "differ in length"),
        (lambda: att.blocked_attention(NAN, GOOD, GOOD), "query contains nan"),
        (lambda: att.blocked_attention(HUGE, HUGE, GOOD), "scores are not finite"),
        (lambda: att.blocked_attention(HUGE, -HUGE, GOOD), "scores are not finite"),
        (lambda: att.KeyValueCache(0, 4, 2), "capacity must be"),
        (lambda: att.KeyValueCache(4, 4, 3), "cannot be split into 3 heads"),
        (lambda: att.sinusoidal_positions(3, 5), "must be even; got 5"),
        (lambda: att.sinusoidal_positions(3, 4, base=0), "base must be"),
        (lambda: att.learned_positions(0, 4, rng_of(0)), "length must be"),
        (lambda: att.rope(np.ones((3, 5))), "even; got 5"),
        (lambda: att.rope(np.ones(4)), "time, width"),
        (lambda: att.rope(NAN), "x contains nan"),
        (lambda: att.rope(GOOD, np.arange(2)), "2 positions for 3 vectors"),
        (lambda: att.rope(GOOD, np.array([0, 1, np.nan])), "finite"),
        (lambda: att.rotary_angles([[1]], 4), "flat sequence"),
        (lambda: att.alibi_slopes(0), "heads must be"),
        (lambda: att.alibi_bias(2, 0), "length must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("bad", [GOOD[:, :2], GOOD.astype(np.float32), GOOD.astype(int), NAN])
def test_a_gradient_that_is_not_shaped_like_the_output_is_refused(bad):
    _, plain = att.attention_forward(GOOD, GOOD, GOOD)
    _, blocked = att.blocked_attention_forward(GOOD, GOOD, GOOD)
    _, heads = att.multi_head_attention_forward(GOOD, LAYER, 2)
    for backward, cache in (
        (att.attention_backward, plain),
        (att.blocked_attention_backward, blocked),
        (att.multi_head_attention_backward, heads),
    ):
        with pytest.raises(ValueError, match="d_output"):
            backward(bad, cache)


def test_a_mask_per_sequence_never_lines_up_with_the_heads():
    """(B, T, T) against (B, H, T, T) with B = H broadcasts silently, and wrongly."""
    x = np.ones((3, 3, 5, 2))
    with pytest.raises(ValueError, match=r"insert the head axis: mask\[:, None\]"):
        att.attention(x, x, x, np.ones((3, 5, 5), bool))


@pytest.mark.parametrize("name", ["query", "key_weight", "score_weight"])
def test_additive_attention_refuses_what_does_not_fit(name):
    good = {"query": np.ones((2, 3)), "key": np.ones((4, 5)), "value": np.ones((4, 6))}
    good |= {"query_weight": np.ones((3, 7)), "key_weight": np.ones((5, 7))}
    good |= {"score_weight": np.ones(7)}
    att.additive_attention(**good)
    for bad in (good[name][..., :-1], good[name][..., :0]):
        with pytest.raises(ValueError, match="expected query"):
            att.additive_attention(**good | {name: bad})
    with pytest.raises(ValueError, match=f"{name} contains nan"):
        att.additive_attention(**good | {name: good[name] * np.nan})
    for value in (np.ones((3, 6)), np.ones((2, 4, 6)), np.ones(6)):
        with pytest.raises(ValueError, match="expected query"):
            att.additive_attention(**good | {"value": value})
    with pytest.raises(ValueError, match="allows no key"):
        att.additive_attention(**good, mask=np.zeros((2, 4), bool))


# ------------------------------------------------------------------------------------- the package
def test_the_numpy_part_does_not_import_torch_and_unknown_names_are_errors():
    code = "import sys, lmlib.attention as a; a.attention; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
    with pytest.raises(AttributeError, match="no attribute 'MultiheadAttention'"):
        att.MultiheadAttention  # noqa: B018
    assert "MultiHeadAttention" in dir(att)


@pytest.mark.parametrize(
    "module", ["core", "positions", "multihead", "blocked", "decoding", "additive"]
)
def test_the_examples_in_the_docstrings_are_true(module):
    assert doctest.testmod(import_module(f"lmlib.attention.{module}")).failed == 0
