"""The layer normalisation exercises against the library, and against other right answers.

What holds for every exercise (stubs, solutions, misconceptions) is proved in `test_exercises`.
"""

import numpy as np
import pytest

from lmlib import corpora, layernorm
from lmlib.exercises import check
from lmlib.exercises.declare import find
from lmlib.exercises.layernorm_axes import LAYERS, SEQUENCE


def solution(name):
    return find(f"layernorm.{name}").solution


def random_input(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# ------------------------------------------------------------------------- the library agrees


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_norms_agree_with_the_library(eps):
    x, gain, bias = random_input(2, 3, 4), random_input(4, seed=1), random_input(4, seed=2)
    expected, _ = layernorm.layer_norm(x, gain, bias, eps)
    np.testing.assert_allclose(solution("forward")(x, gain, bias, eps), expected, atol=1e-14)
    expected, _ = layernorm.rms_norm(x, gain, eps)
    np.testing.assert_allclose(solution("rms")(x, gain, eps), expected, atol=1e-14)
    running = layernorm.Statistics(random_input(4, seed=3), np.array([1.0, 2, 3, 4]))
    for training, statistics in ((True, None), (False, running)):
        plain = np.ones(4), np.zeros(4), eps, "batch_time"
        expected, _ = layernorm.batch_norm(x, *plain, statistics)
        got = solution("batch-norm")(x, *running, training, eps)
        np.testing.assert_allclose(got, expected, atol=1e-14)


def test_values_by_hand_agree_with_the_library():
    x = np.array([2.0, 4, 4, 10])  # as in the statement
    expected, _ = layernorm.layer_norm(x, np.array([1.0, 2, 4, 2]), np.array([1.0, 1, 0, 0]), 7)
    np.testing.assert_allclose(solution("by-hand")(), expected)
    quiet = 0.001 * np.array([1.0, -1, 1, -1])
    passed, _ = layernorm.layer_norm(quiet, np.ones(4), np.zeros(4), 1e-5)
    assert solution("epsilon")() == pytest.approx(passed.std())


def test_gradients_agree_with_the_library():
    x, d_y, gain = random_input(2, 3, 5), random_input(2, 3, 5, seed=1), random_input(5, seed=2)
    _, cache = layernorm.layer_norm(x, gain, np.zeros(5))
    d_x, *expected = layernorm.layer_norm_backward(d_y, cache)
    for b in range(2):
        got = solution("backward")(d_y[b], cache.normalised[b], cache.rstd[b], gain)
        np.testing.assert_allclose(got, d_x[b], atol=1e-14)
    got = solution("gain-gradient")(d_y, cache.normalised)
    np.testing.assert_allclose(got, expected, atol=1e-14)


def test_the_gain_can_be_folded_away():
    x, gain, bias = random_input(3, 4), random_input(4, seed=1), random_input(4, seed=2)
    W, b = random_input(4, 5, seed=3), random_input(5, seed=4)
    y, cache = layernorm.layer_norm(x, gain, bias)
    W2, b2 = solution("fold")(gain, bias, W, b)
    np.testing.assert_allclose(cache.normalised @ W2 + b2, y @ W + b, atol=1e-13)


def test_the_leak_test_tells_the_norms_apart():
    plain = np.ones(3), np.zeros(3)
    leaks = solution("leak")
    assert not leaks(lambda x: layernorm.layer_norm(x, *plain)[0], SEQUENCE)
    assert leaks(lambda x: layernorm.batch_norm(x, *plain)[0], SEQUENCE)


def test_layers_leak_as_a_jacobian_says():
    """By finite differences at every pair of positions, for the layers that the cases use."""
    leaks = solution("leak")
    for layer in LAYERS:
        above = 0
        for s, c in np.ndindex(SEQUENCE.shape):
            nudge = np.zeros_like(SEQUENCE)
            nudge[s, c] = 1e-3
            above += np.abs(layer(SEQUENCE + nudge) - layer(SEQUENCE))[:s].sum()
        assert leaks(layer, SEQUENCE) == (above > 1e-6), layer
    names = {repr(layer) for layer in LAYERS if not leaks(layer, SEQUENCE)}
    assert names == {
        "hears_nothing",
        "norm_of_each_token",
        "mean_of_the_past",
        "hears_only_the_previous",
        "hears_the_previous",
    }


def test_pre_norm_is_the_library_s_wiring():
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    model = layernorm.Decoder(9, 5, width=8, depth=3, placement="pre", generator=generator).double()
    sublayers = [block.sublayer for layer in model.layers for block in layer]
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        got = solution("residual")(
            model.stream(tokens)[0], sublayers, layernorm.LayerNorm(8).double()
        )
        torch.testing.assert_close(model.head(got), model(tokens))


def test_the_map_is_read_as_the_chapter_reads_it():
    runs = corpora.measured("layernorm_maps")
    read = solution("read-map")
    for design, cells in (("pre", 20), ("none scaled", 20), ("post", 10)):
        losses = runs["held_out"][runs["design"] == design].reshape(4, 5, 3)
        learned, lowest = read(losses, 3.0991, 0)
        assert learned == cells
        assert lowest == pytest.approx(np.nanmin(losses.mean(-1)))


# ------------------------------------------------------------------------- other right answers


def one_by_one(x, gain, bias, eps):
    y = np.empty_like(x)
    for at in np.ndindex(x.shape[:-1]):
        mean = sum(x[at]) / len(x[at])
        variance = sum(value**2 for value in x[at]) / len(x[at]) - mean**2
        y[at] = [(v - mean) * (variance + eps) ** -0.5 for v in x[at]]
        y[at] = y[at] * gain + bias
    return y


def one_after_the_other(d_y, normalised, rstd, gain):
    d_x = gain * d_y
    for direction in (np.ones_like(normalised), normalised):
        length = (direction**2).sum(-1, keepdims=True)
        d_x = d_x - direction * (d_x * direction).sum(-1, keepdims=True) / length
    return rstd * d_x


def by_the_jacobian(d_y, normalised, rstd, gain):
    C = len(gain)
    return np.array(
        [
            r * (np.eye(C) - 1 / C - np.outer(n, n) / C) @ (gain * d)
            for d, n, r in zip(d_y, normalised, rstd, strict=True)
        ]
    )


def everything_ahead_at_once(layer, x):
    for s in range(1, len(x)):
        changed = x.copy()
        changed[s:] = 7 + np.random.default_rng(s).normal(size=x[s:].shape)
        if (layer(changed)[:s] != layer(x)[:s]).any():
            return True
    return False


def a_small_nudge(layer, x):
    found = False
    for s in range(1, len(x)):
        changed = x.copy()
        changed[s] += 1e-3 * np.random.default_rng(s).normal(size=x.shape[1])
        found = found or not np.allclose(layer(changed)[:s], layer(x)[:s])
    return np.bool_(found)


def in_base_two(depth, gradient, start, target):
    kept = depth >= start
    x, y = np.log2(depth[kept]), np.log2(gradient[kept])
    p = np.cov(x, y, ddof=0)[0, 1] / x.var()
    return np.array([p, 2 ** (y.mean() + p * (np.log2(target) - x.mean()))])


def cell_by_cell(losses, guessing, margin):
    passed = [c for row in losses for c in row if all(loss < guessing - margin for loss in c)]
    return np.array([len(passed), min(sum(cell) / len(cell) for cell in passed)])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("by-hand", (0.25, 0.5, -1, 2.5)),
        ("by-hand", np.array([0.25, 0.5, -1, 2.5])),
        ("epsilon", 0.302),
        ("forward", one_by_one),
        ("backward", one_after_the_other),
        ("backward", by_the_jacobian),
        ("gain-gradient", lambda d, n: np.stack([np.einsum("btc,btc->c", d, n), d.sum(0).sum(0)])),
        ("leak", everything_ahead_at_once),
        ("leak", a_small_nudge),
        *(("variance", layernorm.VARIANCES[way]) for way in ("shifted", "Welford", "careful")),
        ("variance", lambda x: x.astype(np.float64).var(-1)),
        ("exponent", in_base_two),
        ("read-map", cell_by_cell),
        ("fold", lambda gain, bias, W, b: [np.diag(gain) @ W, b + W.T @ bias]),
    ],
)
def test_another_right_answer_is_right(name, answer):
    result = check(f"layernorm.{name}", answer)
    assert result.state == "right", result


def test_a_constant_stays_hidden_from_an_exact_comparison():
    def leaks(layer, x):
        for s in range(1, len(x)):
            changed = x.copy()
            changed[s] += 0.1
            if not np.array_equal(layer(changed)[:s], layer(x)[:s]):
                return True
        return False

    assert check("layernorm.leak", leaks).misconception == "adds a constant to the token"


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: np.mean(x**2, axis=1) - np.mean(x, axis=1) ** 2,
        lambda x: (x**2).sum(1) / x.shape[1] - (x.sum(1) / x.shape[1]) ** 2,
    ],
)
def test_the_naive_variance_is_recognised_however_it_is_written(answer):
    """What it returns is rounding, so two ways to write it must round alike."""
    result = check("layernorm.variance", answer)
    assert result.misconception == "the mean of the squares less the square of the mean"
