"""lmlib.layernorm in NumPy: against a specification in loops, and against what must always hold."""

import doctest
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lmlib import layernorm
from lmlib.layernorm import fast

EPS = 1e-5
FUZZ = settings(max_examples=100, deadline=None)  # a busy machine is no error
FEW = settings(max_examples=30, deadline=None)


# ------------------------------------------------------------------- the specification, in loops
def spec_layer_norm(x, gain, bias, eps):
    y = np.empty_like(x)
    for position in np.ndindex(x.shape[:-1]):
        vector = x[position]
        mean = sum(vector) / len(vector)
        variance = sum((v - mean) ** 2 for v in vector) / len(vector)
        for c, v in enumerate(vector):
            y[(*position, c)] = gain[c] * (v - mean) / (variance + eps) ** 0.5 + bias[c]
    return y


def spec_rms_norm(x, gain, eps):
    y = np.empty_like(x)
    for position in np.ndindex(x.shape[:-1]):
        mean_square = sum(v * v for v in x[position]) / x.shape[-1]
        y[position] = gain * x[position] / (mean_square + eps) ** 0.5
    return y


def spec_batch_norm(x, gain, bias, eps, over):
    y = np.empty_like(x)
    B, T, C = x.shape
    for t, c in np.ndindex(T, C):
        values = x[:, t, c] if over == "batch" else x[:, :, c].ravel()
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        for b in range(B):
            y[b, t, c] = gain[c] * (x[b, t, c] - mean) / (variance + eps) ** 0.5 + bias[c]
    return y


def example(*shape, seed=0, dtype=np.float64):
    """x, gain, bias and d_y, none of them special."""
    rng = np.random.default_rng(seed)
    x = 3 * rng.normal(size=shape) + 2
    gain, bias = rng.normal(size=(2, shape[-1]))
    return [a.astype(dtype) for a in (x, gain, bias, rng.normal(size=shape))]


def numerical(function, at, d_y, step=1e-6):
    """d(sum of d_y * function)/d(at), by central differences."""
    gradient = np.empty_like(at)
    for i in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (d_y * (function(up) - function(down))).sum() / (2 * step)
    return gradient


def plain(x, eps=1e-12):
    """Only the normalisation, with an eps that does not matter."""
    return layernorm.layer_norm(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1]), eps)[0]


def plain_rms(x):
    return layernorm.rms_norm(x, np.ones(x.shape[-1]), 1e-12)[0]


def plain_batch(x):
    return layernorm.batch_norm(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1]), 1e-12)[0]


SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


@st.composite
def vectors(draw, dtype=np.float64):
    """x of any shape, spread from 1e-3 to 1e3, around an offset; gain, bias, d_y beside it."""
    shape = (*draw(SHAPES), draw(st.integers(2, 9)))
    x, gain, bias, d_y = example(*shape, seed=draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** draw(st.integers(-3, 3))
    x = scale * (x + draw(st.sampled_from([0.0, 1.0, -100.0])))
    return [a.astype(dtype) for a in (x, gain, bias, d_y)]


# ------------------------------------------------------------------------------------- the forward
@FUZZ
@given(vectors(), st.sampled_from([1e-12, EPS, 0.1, 10.0]))
def test_layer_norm_agrees_with_the_loops(inputs, eps):
    x, gain, bias, _ = inputs
    y, _ = layernorm.layer_norm(x, gain, bias, eps)
    np.testing.assert_allclose(y, spec_layer_norm(x, gain, bias, eps), rtol=1e-9, atol=1e-9)


@FUZZ
@given(vectors(), st.sampled_from([EPS, 0.1]))
def test_rms_norm_agrees_with_the_loops(inputs, eps):
    x, gain, _, _ = inputs
    y, _ = layernorm.rms_norm(x, gain, eps)
    np.testing.assert_allclose(y, spec_rms_norm(x, gain, eps), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("over", ["batch", "batch_time"])
@pytest.mark.parametrize("eps", [EPS, 0.1])
def test_batch_norm_agrees_with_the_loops(over, eps):
    x, gain, bias, _ = example(5, 4, 3)
    y, _ = layernorm.batch_norm(x, gain, bias, eps, over)
    np.testing.assert_allclose(y, spec_batch_norm(x, gain, bias, eps, over), atol=1e-13)


def test_four_features_tell_n_from_n_minus_1():
    x = np.array([1.0, 2.0, 3.0, 6.0])  # mean 3, squares 4 + 1 + 0 + 9
    np.testing.assert_allclose(plain(x), (x - 3) / np.sqrt(14 / 4), atol=1e-9)
    rows = np.stack([x, x], 1)
    np.testing.assert_allclose(plain_batch(rows)[:, 0], (x - 3) / np.sqrt(14 / 4), atol=1e-9)


@FUZZ
@given(vectors(), st.sampled_from([1e-8, EPS, 0.1, 10.0]))
def test_output_has_mean_zero_and_variance_v_over_v_plus_eps(inputs, eps):
    x = inputs[0]
    width = x.shape[-1]
    y, _ = layernorm.layer_norm(x, np.ones(width), np.zeros(width), eps)
    variance = x.var(-1)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-10)
    np.testing.assert_allclose(y.var(-1), variance / (variance + eps), rtol=1e-8)


def test_eps_is_a_scale():
    """An input as small as sqrt(eps) comes out at 0.7 instead of 1, a tenth of that at 0.1."""
    x, *_ = example(200, 64)
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    spread = [plain(size * EPS**0.5 * x, EPS).std() for size in (10, 1, 0.1)]
    np.testing.assert_allclose(spread, [0.995, 0.707, 0.0995], atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3e10])
@pytest.mark.parametrize("in_place", [False, True])
def test_equal_features_give_the_bias(value, in_place):
    _, gain, bias, _ = example(1, 6)
    y, _ = layernorm.layer_norm(np.full((2, 6), value), gain, bias, in_place=in_place)
    np.testing.assert_allclose(y, np.broadcast_to(bias, (2, 6)), atol=1e-3)


def test_dtype_follows_x_and_inputs_stay_as_they_were():
    for dtype in (np.float32, np.float64):
        x, gain, bias, d_y = example(3, 4, dtype=dtype)
        wide = gain.astype(np.float64)
        kept = [a.copy() for a in (x, wide, bias, d_y)]
        y, cache = layernorm.layer_norm(x, wide, bias, np.float64(EPS))
        r, rms_cache = layernorm.rms_norm(x, wide, np.float64(EPS))
        b, batch_cache = layernorm.batch_norm(x, wide, bias, np.float64(EPS))
        running = layernorm.update_statistics(None, batch_cache, np.float64(0.1))
        gradients = [
            *layernorm.layer_norm_backward(d_y, cache),
            *layernorm.rms_norm_backward(d_y, rms_cache),
            *layernorm.batch_norm_backward(d_y, batch_cache),
        ]
        jacobian = layernorm.layer_norm_jacobian(x[0])
        assert {a.dtype for a in (y, r, b, *running, *gradients, jacobian)} == {np.dtype(dtype)}
        assert all((a == k).all() for a, k in zip((x, wide, bias, d_y), kept, strict=True))


# ------------------------------------------------------------------------------------ the backward
@FEW
@given(st.integers(0, 2**32 - 1), st.sampled_from([EPS, 0.1, 10.0]), st.integers(2, 6))
def test_layer_norm_gradients_are_those_of_finite_differences(seed, eps, width):
    x, gain, bias, d_y = example(3, width, seed=seed)
    x = 3 * plain(x) + x.mean(-1, keepdims=True)  # no vector so short that the step is long
    d_x, d_gain, d_bias = layernorm.layer_norm_backward(
        d_y, layernorm.layer_norm(x, gain, bias, eps)[1]
    )
    close = {"rtol": 1e-6, "atol": 1e-7}
    of = layernorm.layer_norm
    np.testing.assert_allclose(d_x, numerical(lambda a: of(a, gain, bias, eps)[0], x, d_y), **close)
    np.testing.assert_allclose(
        d_gain, numerical(lambda a: of(x, a, bias, eps)[0], gain, d_y), **close
    )
    np.testing.assert_allclose(
        d_bias, numerical(lambda a: of(x, gain, a, eps)[0], bias, d_y), **close
    )


@pytest.mark.parametrize("eps", [EPS, 0.1])
def test_rms_norm_gradients_are_those_of_finite_differences(eps):
    x, gain, _, d_y = example(3, 2, 5)
    of = layernorm.rms_norm
    d_x, d_gain = layernorm.rms_norm_backward(d_y, of(x, gain, eps)[1])
    np.testing.assert_allclose(d_x, numerical(lambda a: of(a, gain, eps)[0], x, d_y), atol=1e-7)
    np.testing.assert_allclose(d_gain, numerical(lambda a: of(x, a, eps)[0], gain, d_y), atol=1e-7)


@pytest.mark.parametrize("over", ["batch", "batch_time"])
@pytest.mark.parametrize("mode", ["training", "inference"])
def test_batch_norm_gradients_are_those_of_finite_differences(over, mode):
    x, gain, bias, d_y = example(4, 3, 2)
    statistics = None
    if mode == "inference":
        _, cache = layernorm.batch_norm(example(4, 3, 2, seed=1)[0], gain, bias, over=over)
        statistics = cache.statistics

    def of(x, gain, bias):
        return layernorm.batch_norm(x, gain, bias, 0.1, over, statistics)

    d_x, d_gain, d_bias = layernorm.batch_norm_backward(d_y, of(x, gain, bias)[1])
    close = {"atol": 1e-7}
    np.testing.assert_allclose(d_x, numerical(lambda a: of(a, gain, bias)[0], x, d_y), **close)
    np.testing.assert_allclose(d_gain, numerical(lambda a: of(x, a, bias)[0], gain, d_y), **close)
    np.testing.assert_allclose(d_bias, numerical(lambda a: of(x, gain, a)[0], bias, d_y), **close)


# ---------------------------------------------------------------------------------- the geometry
@FUZZ
@given(vectors())
def test_gradient_is_orthogonal_to_ones_and_to_the_normalised_vector(inputs):
    x, gain, bias, d_y = inputs
    _, cache = layernorm.layer_norm(x, gain, bias, 1e-30)
    d_x, _, _ = layernorm.layer_norm_backward(d_y, cache)
    # In units of the size of d_x before the projection.
    size = cache.rstd[..., 0] * np.linalg.norm(gain * d_y, axis=-1) * np.sqrt(x.shape[-1])
    assert (np.abs(d_x.sum(-1)) <= 1e-12 * size).all()
    assert (np.abs((d_x * cache.normalised).sum(-1)) <= 1e-12 * size).all()


def test_what_eps_leaves_along_the_normalised_vector():
    """At a large eps the vector's length still counts: orthogonal to 1, not to x̂."""
    x, gain, bias, d_y = example(4, 8)
    d_x, _, _ = layernorm.layer_norm_backward(d_y, layernorm.layer_norm(x, gain, bias, 10.0)[1])
    assert np.abs(d_x.sum(-1)).max() < 1e-14
    assert (np.abs((d_x * plain(x)).sum(-1)) > 1e-3).all()


@pytest.mark.parametrize("width", [2, 3, 8, 64])
def test_jacobian_has_rank_width_minus_2_and_one_singular_value(width):
    x, *_ = example(width)
    x = x - x.mean()
    jacobian = layernorm.layer_norm_jacobian(x, 1e-14)
    values = np.linalg.svd(jacobian, compute_uv=False)
    np.testing.assert_allclose(values[: width - 2], 1 / x.std(), rtol=1e-10)
    assert values[width - 2 :].max() < 1e-10 / x.std()
    for direction in (np.ones(width), x):
        assert np.abs(jacobian @ direction).max() < 1e-10


def test_jacobian_is_what_the_backward_pass_applies():
    x, *_ = example(6)
    repeated = np.tile(x, (6, 1))
    _, cache = layernorm.layer_norm(repeated, np.ones(6), np.zeros(6), 0.1)
    rows, _, _ = layernorm.layer_norm_backward(np.eye(6), cache)
    np.testing.assert_allclose(layernorm.layer_norm_jacobian(x, 0.1), rows, atol=1e-14)


def test_three_features_become_a_circle():
    x, *_ = example(100, 3)
    y = plain(x)
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.sqrt(3))
    np.testing.assert_allclose(y @ np.ones(3), 0, atol=1e-9)


# ------------------------------------------------------- the invariances (Ba, Kiros & Hinton 2016)
INVARIANT = {  # changed: (LayerNorm, BatchNorm, RMSNorm)
    "whole matrix rescaled": (True, True, True),
    "whole matrix recentred": (True, False, False),
    "one weight vector rescaled": (False, True, False),
    "data rescaled": (True, True, True),
    "data recentred": (False, True, False),
    "one example rescaled": (True, False, True),
}


@pytest.mark.parametrize("change", INVARIANT)
@pytest.mark.parametrize("column", range(3), ids=["LayerNorm", "BatchNorm", "RMSNorm"])
def test_invariance_table(change, column):
    """What survives in norm(x @ weights) when the weights or the data change."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(16, 8)), rng.normal(size=(8, 12))
    norm = (plain, plain_batch, plain_rms)[column]
    first_column, first_row = np.ones(12), np.ones((16, 1))
    first_column[0], first_row[0] = 4, 4
    changed = {
        "whole matrix rescaled": (x, 4 * weights),
        "whole matrix recentred": (x, weights + rng.normal(size=(8, 1))),  # to all the same
        "one weight vector rescaled": (x, weights * first_column),
        "data rescaled": (4 * x, weights),
        "data recentred": (x + rng.normal(size=8), weights),
        "one example rescaled": (x * first_row, weights),
    }[change]
    moved = np.abs(norm(x @ weights) - norm(changed[0] @ changed[1])).max()
    assert moved < 1e-9 if INVARIANT[change][column] else moved > 0.1


@FUZZ
@given(vectors(), st.sampled_from([1e-2, 3.0, 1e3]), st.sampled_from([-20.0, 0.0, 0.5]))
def test_scale_and_offset_of_a_vector_vanish_with_eps_scaled_along(inputs, scale, offset):
    x, gain, bias, _ = inputs
    a, _ = layernorm.layer_norm(x, gain, bias, EPS)
    moved = scale * (x + offset)
    b, _ = layernorm.layer_norm(moved, gain, bias, EPS * scale**2)
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


# -------------------------------------------------------------------------------------- the leak
def test_batch_norm_lets_the_future_in_and_layer_norm_does_not():
    x, gain, bias, _ = example(4, 6, 8)
    future, neighbours = x.copy(), x.copy()
    future[0, -1] += 1
    neighbours[1:] += 1

    def earlier(changed, norm, **kwargs):
        """How far the outputs of sequence 0 before the last token move; 0 is bitwise."""
        before, after = (norm(a, gain, bias, **kwargs)[0][0, :-1] for a in (x, changed))
        return np.abs(before - after).max()

    for norm in (layernorm.layer_norm, lambda x, gain, bias: layernorm.rms_norm(x, gain)):
        assert earlier(future, norm) == 0
        assert earlier(neighbours, norm) == 0
    assert earlier(future, layernorm.batch_norm, over="batch_time") > 1e-2
    assert earlier(future, layernorm.batch_norm, over="batch") == 0  # each position by itself
    for over in ("batch", "batch_time"):
        assert earlier(neighbours, layernorm.batch_norm, over=over) > 0.1


def test_batch_norm_in_inference_looks_at_no_one_else():
    x, gain, bias, _ = example(4, 6, 8)
    _, cache = layernorm.batch_norm(x, gain, bias, over="batch_time")
    statistics = layernorm.update_statistics(None, cache, momentum=1.0)
    together, _ = layernorm.batch_norm(x, gain, bias, over="batch_time", statistics=statistics)
    alone, _ = layernorm.batch_norm(x[:1, :1], gain, bias, over="batch_time", statistics=statistics)
    assert (together[0, 0] == alone[0, 0]).all()
    expected = gain * (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1), ddof=1) + EPS) + bias
    np.testing.assert_allclose(together, expected, atol=1e-13)


def test_running_statistics_are_a_moving_average():
    gain, bias = np.ones(2), np.zeros(2)
    batches = np.random.default_rng(0).normal(3, 2, size=(400, 8, 2))
    statistics = None
    mean, variance = np.zeros(2), np.ones(2)
    for batch in batches:
        _, cache = layernorm.batch_norm(batch, gain, bias)
        statistics = layernorm.update_statistics(statistics, cache, 0.05)
        mean = 0.95 * mean + 0.05 * batch.mean(0)
        variance = 0.95 * variance + 0.05 * batch.var(0, ddof=1)
    np.testing.assert_allclose(statistics, [mean, variance])
    np.testing.assert_allclose(statistics.variance, 4, rtol=0.3)


# ----------------------------------------------------------------------------- floating point
@pytest.mark.parametrize("algorithm", layernorm.VARIANCES.values(), ids=layernorm.VARIANCES)
@FEW
@given(inputs=vectors())
def test_every_variance_is_the_variance_near_zero(algorithm, inputs):
    x = inputs[0] - inputs[0].mean(-1, keepdims=True)
    np.testing.assert_allclose(algorithm(x), x.var(-1), rtol=1e-9)
    assert algorithm(x.astype(np.float32)).dtype == np.float32


@pytest.fixture(scope="module")
def far_from_zero():
    """256 vectors of 768 values N(10,000, 1) in float32, and their exact variances."""
    x = np.random.default_rng(0).normal(1e4, 1, size=(256, 768)).astype(np.float32)
    return x, x.astype(np.float64).var(-1)


def test_one_variance_of_five_turns_negative(far_from_zero):
    x, exact = far_from_zero
    error = {
        name: np.median(np.abs(algorithm(x) - exact) / exact)
        for name, algorithm in layernorm.VARIANCES.items()
    }
    negative = {name: (algorithm(x) < 0).any() for name, algorithm in layernorm.VARIANCES.items()}
    assert [name for name, below in negative.items() if below] == ["naive"]
    assert error["naive"] > 1
    assert 1e-5 < error["Welford"] < 1e-3
    assert max(error[name] for name in ("shifted", "two-pass", "careful")) < 1e-6
    further = x + np.float32(9e4)
    exact = further.astype(np.float64).var(-1)
    relative = [
        np.median(np.abs(algorithm(further) - exact) / exact)
        for algorithm in (layernorm.two_pass_variance, layernorm.careful_variance)
    ]
    assert relative[1] < 1e-6 < relative[0]


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("offset", [0, 1e2, 1e4, 1e6])
def test_float32_far_from_zero_keeps_the_output(offset, in_place):
    x = np.random.default_rng(0).normal(offset, 1, size=(64, 768)).astype(np.float32)
    exact = plain(x.astype(np.float64), EPS)
    y, _ = layernorm.layer_norm(x, np.ones(768), np.zeros(768), in_place=in_place)
    assert np.abs(y - exact).max() <= 1e-5  # the issue asks for 1e-4 at 1e4


def test_batch_norm_float32_far_from_zero_keeps_the_output():
    x = np.random.default_rng(0).normal(1e4, 1, size=(768, 4)).astype(np.float32)
    assert np.abs(plain_batch(x) - plain_batch(x.astype(np.float64))).max() <= 1e-5


# ---------------------------------------------------------------------------------- the fast path
@pytest.mark.parametrize("block_bytes", [1, 200, 2**20])
@FEW
@given(inputs=vectors(), eps=st.sampled_from([EPS, 0.1]))
def test_in_place_is_the_reference(block_bytes, inputs, eps):
    x, gain, bias, d_y = inputs
    y, cache = layernorm.layer_norm(x, gain, bias, eps)
    gradients = layernorm.layer_norm_backward(d_y, cache)
    unprojected = cache.rstd * gain * d_y  # the size to measure d_x by, which may cancel to 0
    sizes = [np.abs(a).max() for a in (y, *cache, unprojected, *gradients[1:])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "BLOCK_BYTES", block_bytes)
        fast_y, fast_cache = layernorm.layer_norm(x, gain, bias, eps, in_place=True)
        fast_gradients = layernorm.layer_norm_backward(d_y, fast_cache, in_place=True)
    assert fast_y is x
    assert fast_gradients[0] is d_y
    ours, reference = (fast_y, *fast_cache, *fast_gradients), (y, *cache, *gradients)
    for a, b, size in zip(ours, reference, sizes, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=1e-9 * size, rtol=0)


def test_no_rows_is_no_error():
    x, gain, bias, _ = example(0, 4)
    for in_place in (False, True):
        y, cache = layernorm.layer_norm(x, gain, bias, in_place=in_place)
        d_x, d_gain, _ = layernorm.layer_norm_backward(x, cache, in_place=in_place)
        assert y.shape == d_x.shape == (0, 4)
        assert (d_gain == 0).all()


# ------------------------------------------------------------------------------------- bad input
ONES, ZEROS = np.ones(3), np.zeros(3)


def nan_at(*index):
    x = np.ones((4, 3))
    x[index] = np.nan
    return x


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.ones((4, 1)), "at least 2 features.*equals its own mean"),
        (np.float64(3), "at least 2 features"),
        (np.ones((4, 3), int), "int64: .*x.astype"),
        (np.ones((4, 3), bool), "bool"),
        (np.ones((4, 3), complex), "complex"),
        (np.ones((4, 3), np.float16), "float16: .*convert to float32"),
        (nan_at(2, 1), r"1 of 12 values that are NaN.*nan.*\(2, 1\)"),
        (np.full((4, 3), np.inf), r"12 of 12 .* infinite"),
        (np.eye(4, 3) * 1e200, r"overflow float64.*1e\+200"),
        (np.eye(4, 3, dtype=np.float32) * np.float32(1e20), r"overflow float32.*1e\+20"),
    ],
)
def test_bad_x_is_named(x, says):
    functions = [
        lambda: layernorm.layer_norm(x, ONES, ZEROS),
        lambda: layernorm.layer_norm(x, ONES, ZEROS, in_place=True),
        lambda: layernorm.rms_norm(x, ONES),
        lambda: layernorm.batch_norm(x, ONES, ZEROS),
        *(lambda f=f: f(x) for f in layernorm.VARIANCES.values()),
    ]
    for function in functions:
        with pytest.raises(ValueError, match=says):
            function()


def test_bad_parameters_are_named():
    x = np.ones((4, 3))
    for norm in (layernorm.layer_norm, layernorm.batch_norm):
        with pytest.raises(ValueError, match=r"gain must have shape \(3,\).*\(4,\)"):
            norm(x, np.ones(4), ZEROS)
        with pytest.raises(ValueError, match=r"bias must have shape \(3,\).*\(1,\)"):
            norm(x, ONES, np.zeros(1))  # would broadcast
        with pytest.raises(ValueError, match="bias must hold finite"):
            norm(x, ONES, np.array([0, np.inf, 0]))
    with pytest.raises(ValueError, match=r"gain must have shape \(3,\).*\(\)"):
        layernorm.rms_norm(x, 1.0)
    with pytest.raises(ValueError, match="gain must hold finite"):
        layernorm.rms_norm(x, np.array([1, np.nan, 1]))
    with pytest.raises(ValueError, match="gain must hold finite real"):
        layernorm.rms_norm(x, np.ones(3, complex))


@pytest.mark.parametrize("eps", [0, -1e-5, np.nan, np.inf, None, "1e-5", np.array([1e-5])])
def test_bad_eps_is_named(eps):
    x = np.ones((4, 3))
    for norm in (
        lambda: layernorm.layer_norm(x, ONES, ZEROS, eps),
        lambda: layernorm.rms_norm(x, ONES, eps),
        lambda: layernorm.batch_norm(x, ONES, ZEROS, eps),
        lambda: layernorm.layer_norm_jacobian(x[0], eps),
    ):
        with pytest.raises(ValueError, match="eps must be a positive number"):
            norm()


def test_an_eps_that_float32_rounds_to_zero_is_refused():
    layernorm.layer_norm(np.ones((4, 3)), ONES, ZEROS, 1e-50)
    with pytest.raises(ValueError, match=r"float32 can hold, got 1e-50"):
        layernorm.layer_norm(np.ones((4, 3), np.float32), ONES, ZEROS, 1e-50)


def test_a_lone_value_cannot_be_batch_normalised():
    x = np.ones((1, 5, 3))
    with pytest.raises(ValueError, match="a lone value is its own mean"):
        layernorm.batch_norm(x, ONES, ZEROS)
    with pytest.raises(ValueError, match="a lone value is its own mean"):
        layernorm.batch_norm(x[:, :1], ONES, ZEROS, over="batch_time")
    layernorm.batch_norm(x, ONES, ZEROS, over="batch_time")  # five values each


def test_bad_batch_norm_calls_are_named():
    x = np.ones((4, 5, 3))
    with pytest.raises(ValueError, match=r'over must be "batch" or "batch_time", got "?\'?time'):
        layernorm.batch_norm(x, ONES, ZEROS, over="time")
    for wrong, over in ((x[0], "batch_time"), (x[0, 0], "batch"), (x[None], "batch")):
        with pytest.raises(ValueError, match=r"x must be \(B, C\) or \(B, T, C\)"):
            layernorm.batch_norm(wrong, ONES, ZEROS, over=over)
    one_each = layernorm.Statistics(ZEROS, ONES)
    with pytest.raises(ValueError, match=r"must have shape \(5, 3\)"):
        layernorm.batch_norm(x, ONES, ZEROS, statistics=one_each)
    with pytest.raises(ValueError, match="variance not negative"):
        layernorm.batch_norm(
            x, ONES, ZEROS, over="batch_time", statistics=layernorm.Statistics(ZEROS, -ONES)
        )
    bad = x.copy()
    bad[2, 2, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 of 60 values that are NaN"):
        layernorm.batch_norm(bad, ONES, ZEROS, over="batch_time", statistics=one_each)
    _, cache = layernorm.batch_norm(x, ONES, ZEROS, over="batch_time", statistics=one_each)
    with pytest.raises(ValueError, match="running statistics and has none to add"):
        layernorm.update_statistics(one_each, cache)
    _, cache = layernorm.batch_norm(x, ONES, ZEROS)
    for momentum in (0, 1.5, np.nan):
        with pytest.raises(ValueError, match="momentum must be in"):
            layernorm.update_statistics(None, cache, momentum)


def test_bad_gradients_are_named():
    x, gain, bias, d_y = example(4, 3)
    backward = [
        (layernorm.layer_norm_backward, layernorm.layer_norm(x, gain, bias)[1]),
        (layernorm.rms_norm_backward, layernorm.rms_norm(x, gain)[1]),
        (layernorm.batch_norm_backward, layernorm.batch_norm(x, gain, bias)[1]),
        (
            lambda d_y, cache: layernorm.layer_norm_backward(d_y.copy(), cache, in_place=True),
            layernorm.layer_norm(x, gain, bias)[1],
        ),
    ]
    for function, cache in backward:
        with pytest.raises(ValueError, match=r"shape of y, \(4, 3\), got float64 \(3,\)"):
            function(d_y[0], cache)  # would broadcast
        with pytest.raises(ValueError, match="must be a float array"):
            function(np.ones((4, 3), int), cache)
        with pytest.raises(ValueError, match=r"d_y holds 1 of 12 .* \(3, 0\)"):
            function(nan_at(3, 0), cache)


def test_in_place_needs_an_array_that_can_be_overwritten():
    x, gain, bias, _ = example(4, 3)
    frozen = x.copy()
    frozen.flags.writeable = False
    for given_x in (frozen, np.asfortranarray(x), x[::2]):
        with pytest.raises(ValueError, match=r"x cannot be overwritten.*x.copy\(\)"):
            layernorm.layer_norm(given_x, gain, bias, in_place=True)
    with pytest.raises(ValueError, match=r"in_place writes over x.*got list"):
        layernorm.layer_norm(x.tolist(), gain, bias, in_place=True)
    _, cache = layernorm.layer_norm(x, gain, bias)
    with pytest.raises(ValueError, match=r"in_place writes over d_y.*float64 array, got float32"):
        layernorm.layer_norm_backward(x.astype(np.float32), cache, in_place=True)
    with pytest.raises(ValueError, match="d_y cannot be overwritten"):
        layernorm.layer_norm_backward(frozen, cache, in_place=True)


def test_the_jacobian_wants_one_vector():
    with pytest.raises(ValueError, match=r"one vector, got x of shape \(4, 3\)"):
        layernorm.layer_norm_jacobian(np.ones((4, 3)))


# ------------------------------------------------------------------------------------- the package
def test_the_numpy_part_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from lmlib import layernorm\n"
        "layernorm.layer_norm([1.0, 2.0], [1, 1], [0, 0])\n"
        "assert 'Decoder' in dir(layernorm)\n"
        "try: layernorm.Decoder\n"
        "except ImportError: print('needs torch')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "needs torch\n"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="has no attribute 'group_norm'"):
        layernorm.group_norm  # noqa: B018


@pytest.mark.parametrize(
    "module", [layernorm.batch, layernorm.norms, layernorm.variance], ids=lambda m: m.__name__
)
def test_doctests_run(module):
    result = doctest.testmod(module, extraglobs={"np": np})
    assert result.attempted > 0
    assert result.failed == 0
