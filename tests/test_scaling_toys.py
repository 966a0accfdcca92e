"""lmlib.scaling.toys: the law is known beforehand, so measurement and theory check each other."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import zeta

from lmlib import scaling
from lmlib.scaling import toys

FUZZ = settings(deadline=None, max_examples=40)  # a busy machine is no error
ALPHAS = st.floats(0.15, 2.0)
SMALL = toys.zipf_contexts(0.5, np.random.default_rng(0), contexts=300, symbols=5)


def test_examples_in_the_docstrings_run():
    failed, tried = doctest.testmod(toys)
    assert (failed, tried > 8) == (0, True)


# ------------------------------------------------------------------------------ the memoriser
def memoriser_spec(N, D, alpha):
    """The definition, piece by piece; the tail without a limit is a Hurwitz zeta function."""
    Z = zeta(1 + alpha)
    theta = [i ** -(1 + alpha) / Z for i in range(1, N + 1)]
    return math.fsum(t * (1 - t) ** D for t in theta) + zeta(1 + alpha, N + 1) / Z


@given(ALPHAS, st.integers(0, 300), st.integers(0, 5000))
@FUZZ
def test_the_excess_is_the_sum_over_pieces(alpha, N, D):
    assert toys.memoriser_excess(N, D, alpha) == pytest.approx(memoriser_spec(N, D, alpha))


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("D", [0, 300, 10_000, 1_000_000])
def test_the_far_pieces_are_an_integral(alpha, D):
    N = 40_000  # beyond the head
    expected = memoriser_spec(N, D, alpha)
    assert toys.memoriser_excess(N, D, alpha) == pytest.approx(expected, rel=1e-6)
    # Without a limit of size, the pieces beyond N are met at most once in a while.
    tail = zeta(1 + alpha, N + 1) / zeta(1 + alpha)
    rarest = N ** -(1 + alpha) / zeta(1 + alpha)
    value = toys.memoriser_excess(np.inf, D, alpha)
    assert expected - tail * -math.expm1(D * math.log1p(-rarest)) <= value * (1 + 1e-6)
    assert value <= expected * (1 + 1e-6)


def test_without_limits_nothing_is_left_to_pay():
    excess = toys.memoriser_excess([0, np.inf, np.inf, 0], [np.inf, 0, np.inf, 0], 0.5)
    np.testing.assert_allclose(excess, [1, 1, 0, 1], atol=1e-12)
    assert toys.memoriser_excess(7, np.inf, 0.5) == pytest.approx(zeta(1.5, 8) / zeta(1.5))


@given(ALPHAS, st.floats(1, 1e8), st.floats(1, 1e8))
@FUZZ
def test_the_two_shortages_neither_add_nor_hide_each_other(alpha, N, D):
    both = toys.memoriser_excess(N, D, alpha)
    alone = toys.memoriser_excess(N, np.inf, alpha), toys.memoriser_excess(np.inf, D, alpha)
    assert max(alone) <= both + 1e-9
    assert both <= sum(alone) + 1e-9
    assert toys.memoriser_excess(2 * N, D, alpha) <= both + 1e-9
    assert toys.memoriser_excess(N, 2 * D, alpha) <= both + 1e-9


@given(ALPHAS)
@FUZZ
def test_the_limits_are_what_theory_says(alpha):
    (A, B), theory = toys.memoriser_limits(alpha), toys.exponents(alpha)
    far = 1e5 ** (1 / max(1, alpha))  # before the excess is lost in rounding
    assert toys.memoriser_excess(far, np.inf, alpha) == pytest.approx(
        A * far**-theory.alpha, rel=5 / far
    )
    assert toys.memoriser_excess(np.inf, 1e8, alpha) == pytest.approx(
        B * 1e8**-theory.beta, rel=1e-4
    )


@given(st.floats(0.1, 2), st.floats(0.1, 2))
def test_exponents_agree_with_the_allocation_of_any_law(alpha, beta):
    pair = toys.Exponents(alpha, beta)
    law = {"A": 3.0, "B": 5.0, "alpha": alpha, "beta": beta}
    (N, D), (more_N, more_D) = (scaling.compute_optimal(C, **law) for C in (1e9, 1e12))
    assert math.log(more_N / N) / math.log(1e3) == pytest.approx(pair.allocation)
    excess, less = (scaling.chinchilla(n, d, E=0, **law) for n, d in ((N, D), (more_N, more_D)))
    assert math.log(excess / less) / math.log(1e3) == pytest.approx(pair.frontier)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_the_best_split_of_compute_follows_the_theory(alpha):
    theory = toys.exponents(alpha)
    assert theory.allocation == pytest.approx(1 / (2 + alpha))
    assert theory.frontier == pytest.approx(alpha / (2 + alpha))

    def loss(N, D):
        return toys.memoriser_excess(N, D, alpha)

    (N, D), (more_N, more_D) = (scaling.numeric_optimum(loss, C) for C in (1e7, 1e11))
    assert math.log(more_N / N) / math.log(1e4) == pytest.approx(theory.allocation, abs=0.002)
    assert math.log(loss(N, D) / loss(more_N, more_D)) / math.log(1e4) == pytest.approx(
        theory.frontier, abs=0.001
    )


def test_random_memorisers_read_as_a_loop_would():
    looks, alpha = [1, 7, 50, 200], 0.7
    excess = toys.random_memorisers(looks, alpha, 3, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    for run in excess:
        text = rng.zipf(1 + alpha, 200).tolist()
        for D, value in zip(looks, run, strict=True):
            met = math.fsum(i ** -(1 + alpha) / zeta(1 + alpha) for i in set(text[:D]))
            assert value == pytest.approx(1 - met)


def test_random_memorisers_scatter_around_the_exact_average():
    looks = [10, 100, 1000, 10_000]
    excess = toys.random_memorisers(looks, 0.5, 200, np.random.default_rng(0))
    exact = toys.memoriser_excess(np.inf, looks, 0.5)
    error = excess.std(0) / 200**0.5
    assert (np.abs(excess.mean(0) - exact) < 4 * error).all()
    assert (np.diff(excess.std(0) / exact) < 0).all(), "large texts are all alike"


# ------------------------------------------------------------------------- the counting model
def counting_spec(source, N, contexts, symbols, prior):
    """One model, trained and judged with dictionaries."""
    V, K = source.next_chances.shape
    D = len(contexts)
    total, count = [0] * K, {}
    for x, y in zip(contexts, symbols, strict=True):
        total[y] += 1
        count.setdefault(x, [0] * K)[y] += 1
    g = [(c + 1) / (D + K) for c in total]
    kept = sorted(count, key=lambda x: (-sum(count[x]), x))[:N]
    loss = 0.0
    for x in range(V):
        q = g
        if x in kept:
            n = sum(count[x])
            q = [(c + prior * b) / (n + prior) for c, b in zip(count[x], g, strict=True)]
        cost = -sum(p * math.log(b) for p, b in zip(source.next_chances[x], q, strict=True))
        loss += source.chances[x] * cost
    return loss


@pytest.mark.parametrize("prior", [0.3, 2.0])
def test_counting_losses_are_those_of_a_model_made_of_dictionaries(prior):
    params, tokens = [0, 1, 5, 40, 300], [1, 10, 300]
    losses = toys.counting_losses(SMALL, params, tokens, np.random.default_rng(3), prior=prior)
    contexts, symbols = SMALL.sample(np.random.default_rng(3), 300)
    expected = [
        [
            counting_spec(SMALL, N, contexts[:D].tolist(), symbols[:D].tolist(), prior)
            for D in tokens
        ]
        for N in params
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_a_source_is_what_it_says():
    p, total = SMALL.next_chances, 0.0
    for chance, row in zip(SMALL.chances, p, strict=True):
        total -= chance * sum(x * math.log(x) for x in row)
    assert SMALL.entropy == pytest.approx(total)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(SMALL.chances / SMALL.chances[0], np.arange(1, 301) ** -1.5)
    assert SMALL.chances.sum() == pytest.approx(1)
    spreads = [
        np.log(toys.zipf_contexts(1, np.random.default_rng(0), 5000, 4, spread).next_chances)
        for spread in (0.5, 2.0)
    ]
    for logits, spread in zip(spreads, (0.5, 2.0), strict=True):
        assert (logits - logits.mean(1, keepdims=True)).var() == pytest.approx(
            spread**2 * 3 / 4, rel=0.05
        )


def test_samples_come_as_often_as_they_should():
    count = 200_000
    contexts, symbols = SMALL.sample(np.random.default_rng(1), count)
    for x in (0, 1, 10):
        here = contexts == x
        expected = SMALL.chances[x]
        assert abs(here.mean() - expected) < 4 * (expected / count) ** 0.5
        shares = np.bincount(symbols[here], minlength=5) / here.sum()
        p = SMALL.next_chances[x]
        assert (np.abs(shares - p) < 4 * (p / here.sum()) ** 0.5).all()


@given(st.integers(0, 2**32), st.floats(0.2, 1.5))
@settings(deadline=None, max_examples=15)
def test_no_counting_model_beats_the_entropy(seed, alpha):
    rng = np.random.default_rng(seed)
    source = toys.zipf_contexts(alpha, rng, contexts=100, symbols=4)
    losses = toys.counting_losses(source, [0, 3, 100], [20, 30_000], rng)
    assert (losses > source.entropy).all()
    assert losses[2, 1] == losses.min() < source.entropy + 0.05


def test_the_counting_model_keeps_the_law_and_only_one_coupling_reads_it():
    theory = toys.exponents(0.5)
    params, tokens = 2 ** np.arange(4, 14), 2 ** np.arange(12, 20)
    N, D = (grid.ravel() for grid in np.meshgrid(params, tokens, indexing="ij"))
    read = {scaling.fit_chinchilla: [], scaling.fit_power_mean: []}
    for seed in range(4):
        source = toys.zipf_contexts(0.5, np.random.default_rng([seed, 0]), 2**16)
        loss = toys.counting_losses(source, params, tokens, np.random.default_rng([seed, 1]))
        excess = loss - source.entropy
        by_size = -np.polyfit(np.log(params[:6]), np.log(excess[:6, -1]), 1)[0]
        by_data = -np.polyfit(np.log(tokens[2:]), np.log(excess[-1, 2:]), 1)[0]
        assert by_size == pytest.approx(theory.alpha, abs=0.08)
        assert by_data == pytest.approx(theory.beta, abs=0.05)
        for fitter, found in read.items():
            law = fitter(N, D, loss.ravel()).shape
            found.append(toys.Exponents(law["alpha"], law["beta"]).allocation)
    additive, coupled = read.values()
    assert np.mean(coupled) == pytest.approx(theory.allocation, abs=0.03)
    assert np.mean(additive) < theory.allocation - 0.06
    assert (np.array(additive) < coupled).all()


# --------------------------------------------------------------------------------- bad input
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: toys.exponents(0), "alpha must be positive"),
        (lambda: toys.exponents([0.5, 1]), "alpha must be one number"),
        (lambda: toys.memoriser_limits(np.nan), "alpha must be positive"),
        (lambda: toys.memoriser_excess(-1, 5, 0.5), "params must be at least 0"),
        (lambda: toys.memoriser_excess(1, [5, np.nan], 0.5), "tokens must be at least 0"),
        (lambda: toys.random_memorisers([0, 5], 0.5, 2, RNG), "all at least 1"),
        (lambda: toys.random_memorisers([5], 0.5, 0, RNG), "0 runs"),
        (lambda: toys.random_memorisers(5, 0.5, 1, RNG), "a row of numbers"),
        (lambda: toys.zipf_contexts(-1, RNG), "alpha must be positive"),
        (lambda: toys.zipf_contexts(1, RNG, contexts=1), "2 contexts and 2 symbols"),
        (lambda: toys.zipf_contexts(1, RNG, symbols=1), "2 contexts and 2 symbols"),
        (lambda: toys.zipf_contexts(1, RNG, 10, spread=0), "spread must be positive"),
        (lambda: toys.counting_losses(SMALL, [-1], [5], RNG), "params must be a row"),
        (lambda: toys.counting_losses(SMALL, [1.5], [5], RNG), "params must be a row"),
        (lambda: toys.counting_losses(SMALL, [1], [0], RNG), "tokens must be a row"),
        (lambda: toys.counting_losses(SMALL, [1], 5, RNG), "tokens must be a row"),
        (lambda: toys.counting_losses(SMALL, [1], [5], RNG, prior=0), "prior must be positive"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
