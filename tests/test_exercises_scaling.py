"""The scaling exercises against the library, and against independent laws.

What holds for every exercise (stubs, solutions, misconceptions) is proved in `test_exercises`.
"""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from lmlib import scaling
from lmlib.exercises import catalogue

SOLVED = {exercise.id: exercise.solution for exercise in catalogue()}
LAW = {"E": 1.7, "A": 300.0, "B": 800.0, "alpha": 0.34, "beta": 0.4}


def test_three_runs_lie_on_one_law():
    loss, floor = SOLVED["scaling_laws.three-runs"]()
    N = 8.0 ** np.arange(4)
    np.testing.assert_allclose(floor + 1.2 * N ** -(1 / 3), [3.2, 2.6, 2.3, loss])


def test_the_exponent_is_that_of_the_law():
    N = np.geomspace(1e6, 1e9, 7)
    loss = scaling.chinchilla(N, 1e30, **LAW)
    got = SOLVED["scaling_laws.exponent"](N, loss, LAW["E"] + LAW["B"] / 1e30 ** LAW["beta"])
    assert got == pytest.approx([LAW["alpha"], LAW["A"]])


def test_the_cost_agrees_with_the_accounting():
    shape = scaling.Shape(10, 1000, 8, 20_000, 512, head_width=100, biases=False, norms=False)
    params, flop = SOLVED["scaling_laws.cost"]()
    assert params == scaling.without_embedding(shape)
    parts = scaling.flop_per_token(shape)
    assert flop == (parts["projections"] + parts["feedforward"]) * 10e9


@pytest.mark.parametrize("window", [3.0, 6.0])
def test_the_valley_has_the_bottom_that_the_library_finds(window):
    N = np.geomspace(1e6, 3e8, 12)[np.random.default_rng(0).permutation(12)]
    loss = scaling.chinchilla(N, 3e16 / 6 / N, **LAW)
    expected = scaling.isoflop_minima(N, 3e16 / 6 / N, loss, np.full(12, 3e16), window=window)
    got = SOLVED["scaling_laws.isoflop-minimum"](N, loss, window)
    assert got == pytest.approx(expected.params[0])


def test_the_objective_is_the_one_the_library_fits():
    rng = np.random.default_rng(0)
    N, D = (grid.ravel() for grid in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
    loss = scaling.chinchilla(N, D, **LAW) * np.exp(rng.normal(0, 0.01, 9))
    fit = scaling.fit_chinchilla(N, D, loss, delta=0.005)
    got = SOLVED["scaling_laws.huber-sum"](fit.predict(N, D), loss, 0.005)
    assert got == pytest.approx(fit.objective)


def test_the_budget_is_spent_as_the_library_does():
    A, B, alpha, beta = (LAW[name] for name in ("A", "B", "alpha", "beta"))
    got = SOLVED["scaling_laws.optimum"](1e21, A, B, alpha, beta)
    assert got == pytest.approx(scaling.compute_optimal(1e21, A, B, alpha, beta))


def test_the_interval_is_that_of_each_line_fitted_to_all_runs():
    rng = np.random.default_rng(0)
    compute, picks = 1e9 * 4.0 ** np.arange(5), rng.integers(0, 5, (41, 5))
    excess = (compute[:, None] / 1e9) ** -0.2 * np.exp(rng.normal(0, 0.1, (5, 3)))
    new, predicted = 1e13, []
    for row in picks:
        x, y = [], []
        for configuration in row:
            for value in excess[configuration]:
                x.append(np.log10(compute[configuration]))
                y.append(np.log10(value))
        slope = np.cov(x, y, bias=True)[0, 1] / np.var(x)
        predicted.append(10 ** (np.mean(y) + slope * (np.log10(new) - np.mean(x))))
    predicted.sort()
    got = SOLVED["scaling_laws.interval"](compute, excess, new, picks)
    assert got == pytest.approx([predicted[1], predicted[-2]])


def test_the_hold_out_agrees_with_the_library():
    """`extrapolation` with the same forms chooses the same."""
    rng = np.random.default_rng(0)
    compute = np.geomspace(1e9, 1e12, 10)

    class Polynomial:
        def __init__(self, degree, N, D, loss):
            self.constants = np.polyfit(np.log(6 * N * D), np.log(loss), degree)

        def predict(self, N, D):
            return np.exp(np.polyval(self.constants, np.log(6 * N * D)))

    for floor in (0, 1, 2):
        loss = floor + (compute / 1e9) ** -0.3 * np.exp(rng.normal(0, 0.003, 10))
        N = D = np.sqrt(compute / 6)
        miss = {
            degree: scaling.extrapolation(
                lambda *runs, degree=degree: Polynomial(degree, *runs), N, D, loss, 3
            ).held_out
            for degree in (1, 2, 3)
        }
        got = SOLVED["scaling_laws.hold-out"](compute, loss, [1, 2, 3], compute[6] * 1.01)
        assert got == min(miss, key=miss.get)


def test_the_exponents_are_those_of_counted_shapes():
    models = [(2, 64, 2e7), (4, 128, 8e7), (8, 256, 6e8)]
    counted = []
    for embedding in (True, False):
        log_N, log_C = [], []
        for layers, width, tokens in models:
            shape = scaling.Shape(
                layers, width, 4, 32_000, 512, biases=False, positions="none", norms=False
            )
            parts = scaling.parameters(shape)
            N = sum(parts.values()) if embedding else scaling.without_embedding(shape)
            log_N.append(np.log(N))
            log_C.append(np.log(6 * N * tokens))
        counted.append(np.cov(log_C, log_N)[0, 1] / np.var(log_C, ddof=1))
    got = SOLVED["scaling_laws.what-counts"](models, 32_000)
    assert got == pytest.approx(counted)
    assert got[0] < got[1]


@pytest.mark.parametrize("epochs", [1.0, 2.5, 40.0])
def test_repeated_tokens_are_worth_what_the_library_says(epochs):
    got = SOLVED["scaling_laws.repetition"](3e8, epochs, 15.4)
    assert got == pytest.approx(scaling.effective(3e8 * epochs, 3e8, 15.4))


@pytest.mark.parametrize("demand", [0.0, 1e9, 1e11])
def test_the_cheapest_size_is_the_one_the_library_finds(demand):
    expected = scaling.inference_optimal(3.0, demand, **LAW)
    sizes = expected[0] * 1.1 ** np.arange(-9.0, 10.0)
    got = SOLVED["scaling_laws.inference"](sizes, 3.0, demand, LAW)
    assert got == pytest.approx(expected, rel=1e-6)


def test_best_of_n_stops_at_the_peak_of_the_library():
    n = np.arange(1, 300)
    reward = scaling.gold_reward(scaling.best_of_n_kl(n), 1.0, 0.3)
    got = SOLVED["scaling_laws.best-of-n"](n, 1.0, 0.3)
    assert got == pytest.approx([n[reward.argmax()], reward.max()])
    assert 1 < got[0] < 299


@pytest.mark.parametrize("unique", [1e6, 3e8, 1e12])
def test_the_plan_agrees_with_the_library(unique):
    """With data for all, R_N beyond measure switches the discount of parameters off."""
    sizes, compute = np.geomspace(1e6, 1e9, 13), 1e18
    loss = scaling.data_constrained(sizes, compute / 6 / sizes, unique, **LAW, R_N=1e9, R_D=15.4)
    got = SOLVED["scaling_laws.limited-data"](sizes, compute, unique, LAW)
    assert got == pytest.approx([sizes[loss.argmin()], loss.min()], rel=1e-6)


def test_a_search_finds_the_same_split():
    A, B, alpha, beta = 406.4, 410.7, 0.34, 0.28
    found = minimize_scalar(
        lambda x: A / np.exp(x) ** alpha + B / (5.76e23 / 6 / np.exp(x)) ** beta, bounds=(0, 50)
    )
    N = np.exp(found.x)
    assert SOLVED["scaling_laws.optimum"](5.76e23, A, B, alpha, beta)[0] == pytest.approx(N, 1e-3)
