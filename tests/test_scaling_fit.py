"""Fitting a law: exact where the data are, honest where they are not."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from lmlib import corpora, scaling
from lmlib.scaling import audit, forms, published

FUZZ = settings(deadline=None)  # a busy machine is no error
NAMES = ("E", "A", "B", "alpha", "beta")


def grid(sizes, amounts):
    return tuple(axis.ravel() for axis in np.meshgrid(sizes, amounts))


def chinchilla_design():
    """Sizes of Table A9 on nine budgets from 6e18 to 3e21 FLOP, tokens in the published range."""
    N, C = grid([row[0] * 1e6 for row in published.TABLE_A9], np.geomspace(6e18, 3e21, 9))
    D = C / 6 / N
    kept = (D >= 8.19e8) & (D <= 3.18e11)
    return N[kept], D[kept]


def noisy(rng, N, D, law=published.HUBER_OPTIMUM, noise=0.0087):
    """Losses with the scatter of the published runs: 0.0218 nats of about 2.5."""
    return scaling.chinchilla(N, D, **law) * np.exp(noise * rng.standard_normal(len(N)))


def values(fit):
    return np.array([fit.constants[name] for name in NAMES])


def huber_sum(theta, N, D, L, delta, weights=1.0):
    """The objective of Hoffmann et al. (2022), eq. 3, and its gradient, as it is written there."""
    E, A, B, alpha, beta = np.exp(theta[0]), *np.exp(theta[1:3]), *theta[3:]
    by_size, by_data = A / N**alpha, B / D**beta
    loss = E + by_size + by_data
    r = np.log(loss) - np.log(L)
    inside = np.abs(r) <= delta
    cost = weights * np.where(inside, r**2 / 2, delta * (np.abs(r) - delta / 2))
    slope = weights * np.where(inside, r, delta * np.sign(r)) / loss
    parts = (E, by_size, by_data, -by_size * np.log(N), -by_data * np.log(D))
    return cost.sum(), np.array([np.sum(slope * part) for part in parts])


@st.composite
def designs(draw, per_axis=5):
    """N and D over one and a half decades or more, at any scale."""

    def axis():
        low = draw(st.floats(3, 9))
        return np.logspace(low, low + draw(st.floats(1.5, 3.5)), per_axis)

    return grid(axis(), axis())


@st.composite
def additive(draw, design):
    """A law under which both shortages matter in the middle of the design."""
    N, D = design
    alpha, beta = draw(st.floats(0.1, 0.9)), draw(st.floats(0.1, 0.9))
    sizes = st.floats(0.1, 3.0)
    return {
        "E": draw(st.floats(0.5, 4)),
        "A": draw(sizes) * np.exp(alpha * np.log(N).mean()),
        "B": draw(sizes) * np.exp(beta * np.log(D).mean()),
        "alpha": alpha,
        "beta": beta,
    }


def same(fit, law, tolerance):
    assert fit.constants.keys() == law.keys()
    for name, value in law.items():
        assert fit.constants[name] == pytest.approx(value, rel=tolerance), name
        assert getattr(fit, name) == fit.constants[name]


# ------------------------------------------------------------------------------- exact recovery
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_noise_free_chinchilla_is_recovered_exactly(data):
    N, D = design = data.draw(designs())
    law = data.draw(additive(design))
    fit = scaling.fit_chinchilla(N, D, scaling.chinchilla(N, D, **law))
    same(fit, law, 1e-9)
    assert fit.objective < 1e-20


@settings(max_examples=15, deadline=None)
@given(st.data(), st.floats(-2, 2))
def test_noise_free_kaplan_is_recovered_exactly(data, balance):
    N, D = data.draw(designs())
    alpha_N, alpha_D = data.draw(st.floats(0.05, 0.5)), data.draw(st.floats(0.05, 0.5))
    law = {"D_c": np.exp(np.log(D).mean()) * data.draw(st.floats(10, 1e4))}
    # Both terms of the sum matter: (N_c / N)^(alpha_N / alpha_D) is e^balance times D_c / D.
    middle = np.log(law["D_c"]) - np.log(D).mean() + balance
    law["N_c"] = np.exp(np.log(N).mean() + middle * alpha_D / alpha_N)
    law |= {"alpha_N": alpha_N, "alpha_D": alpha_D}
    fit = scaling.fit_kaplan(N, D, scaling.kaplan(N, D, **law))
    same(fit, {name: law[name] for name in ("N_c", "D_c", "alpha_N", "alpha_D")}, 1e-6)


@settings(max_examples=10, deadline=None)
@given(st.data(), st.floats(0.8, 4.0))
def test_noise_free_power_mean_is_recovered_exactly(data, q):
    N, D = design = data.draw(designs(6))
    law = data.draw(additive(design)) | {"q": q}
    same(scaling.fit_power_mean(N, D, scaling.power_mean(N, D, **law)), law, 1e-6)


@pytest.mark.parametrize("fitter", [scaling.fit_chinchilla, scaling.fit_power_mean])
def test_units_change_A_and_B_and_nothing_else(fitter):
    N, D = chinchilla_design()
    L = noisy(np.random.default_rng(0), N, D)
    one, other = fitter(N, D, L), fitter(N / 1e6, D / 1e9, L)
    assert other.objective == pytest.approx(one.objective, rel=1e-10)
    for name in ("E", "alpha", "beta"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6)
    rescaled = one.A / 1e6**one.alpha, one.B / 1e9**one.beta
    assert pytest.approx(rescaled, rel=1e-5) == (other.A, other.B)
    assert other.predict(70e3, 1.4e3) == pytest.approx(one.predict(70e9, 1.4e12), rel=1e-8)
    millions, billions = other.optimal(5.76e23 / 1e15)
    assert (millions * 1e6, billions * 1e9) == pytest.approx(one.optimal(5.76e23), rel=1e-5)


def test_the_order_of_the_runs_does_not_matter():
    N, D = chinchilla_design()
    rng = np.random.default_rng(1)
    L, order = noisy(rng, N, D), rng.permutation(len(N))
    one, other = (
        scaling.fit_chinchilla(N, D, L),
        scaling.fit_chinchilla(*(a[order] for a in (N, D, L))),
    )
    assert values(other) == pytest.approx(values(one), rel=1e-8)


# ------------------------------------------------------------- against an independent optimiser
@pytest.mark.parametrize("delta", [1e-3, 1e-1])
def test_scipy_finds_no_lower_objective(delta):
    N, D = chinchilla_design()
    N, D = N[::3], D[::3]
    L = noisy(np.random.default_rng(2), N, D)
    fit = scaling.fit_chinchilla(N, D, L, delta=delta)
    here = np.r_[np.log(values(fit)[:3]), fit.alpha, fit.beta]
    cost, slope = huber_sum(here, N, D, L, delta)
    assert fit.objective == pytest.approx(cost, rel=1e-12)
    # At the minimum the gradient is rounding beside the sum of what cancels in it.
    assert np.abs(slope).max() < 1e-8 * delta * len(L)
    for start in ((0.5, 5, 5, 0.3, 0.3), (0, 10, 10, 0.5, 0.5), (0.5, 5, 10, 0.5, 0.25)):
        found = minimize(
            huber_sum,
            start,
            (N, D, L, delta),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 5000, "ftol": 1e-15, "gtol": 1e-12},
        )
        assert found.fun >= fit.objective * (1 - 1e-9)
    assert min(found.fun, cost) == pytest.approx(fit.objective, rel=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_a_tiny_delta_finds_the_least_absolute_deviations(seed):
    """Where hardly a run lies inside delta there is little to descend by; it must still arrive."""
    N, D = chinchilla_design()
    L = noisy(np.random.default_rng(seed), N, D)
    for elsewhere in (1e-2, 1e-3, 1e-4):
        theta = values(scaling.fit_chinchilla(N, D, L, delta=elsewhere))
        theta[:3] = np.log(theta[:3])
        cost, _ = huber_sum(theta, N, D, L, 1e-6)
        assert scaling.fit_chinchilla(N, D, L, delta=1e-6).objective <= cost * (1 + 1e-6)


@pytest.mark.parametrize("form", [forms.CHINCHILLA, forms.KAPLAN, forms.POWER_MEAN])
def test_gradient_and_hessian_are_those_of_finite_differences(form):
    rng = np.random.default_rng(3)
    x, y, t = rng.normal(0, 1, (3, 20))
    problem = form.problem(x, y, t, 0.7)  # some runs inside delta, some outside
    theta = rng.normal(0.3, 0.4, (3, len(form.names)))
    weights = rng.integers(0, 4, (5, 20)).astype(float)
    rows = np.array([4, 0, 2])
    value, gradient, hessian = problem.evaluate(theta, weights, rows)
    # The value, from the law itself.
    constants = form.constants(theta, 0.0, 0.0)
    for p, row in enumerate(rows):
        r = np.log(form.law(np.exp(x), np.exp(y), *np.abs(constants[p]))) - t
        cost = np.where(np.abs(r) <= 0.7, r**2 / 2, 0.7 * (np.abs(r) - 0.35))
        if (constants[p] > 0).all():
            assert value[p] == pytest.approx(np.sum(weights[row] * cost))
    h = 1e-6
    for j in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[:, j] = h
        up, down = (problem.evaluate(theta + s, weights, rows) for s in (step, -step))
        assert gradient[:, j] == pytest.approx((up[0] - down[0]) / (2 * h), rel=1e-5, abs=1e-7)
        assert hessian[:, j] == pytest.approx((up[1] - down[1]) / (2 * h), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("form", [forms.KAPLAN, forms.POWER_MEAN])
def test_a_wild_step_is_refused_not_warned_about(form):
    """Warnings are errors here; a step to nowhere must compare as no better."""
    x, y, t = np.random.default_rng(0).normal(0, 1, (3, 20))
    problem = form.problem(x, y, t, 1e-3)
    value, *_ = problem.evaluate(np.full((1, len(form.names)), 800.0))
    assert not value[0] < 1.0


def test_many_problems_at_once_are_the_same_as_one_at_a_time():
    N, D = chinchilla_design()
    fit = scaling.fit_chinchilla(N, D, noisy(np.random.default_rng(4), N, D))
    problem, rng = fit._problem, np.random.default_rng(5)
    theta = fit._theta + rng.normal(0, 0.01, (150, 5))  # more than two chunks
    weights = rng.integers(0, 3, (150, len(N))).astype(float)
    together = problem.evaluate(theta, weights)
    for p in (0, 63, 64, 149):
        alone = problem.evaluate(theta[p : p + 1], weights[p : p + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            assert all_of_them[p] == pytest.approx(one[0], rel=1e-12)


# ------------------------------------------------------------------------ resampling, intervals
def test_each_draw_is_the_fit_of_its_resample():
    """Drawn runs repeated as rows, fitted from scratch."""
    N, D = chinchilla_design()
    N, D = N[::4], D[::4]
    n = len(N)
    L = noisy(np.random.default_rng(6), N, D)
    draws = scaling.fit_chinchilla(N, D, L).bootstrap(5, np.random.default_rng(7))
    assert draws.shape == (5, 5)
    weights = np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), 5)
    for draw, weight in zip(draws, weights, strict=True):
        rows = np.repeat(np.arange(n), weight)
        again = scaling.fit_chinchilla(N[rows], D[rows], L[rows])
        assert draw == pytest.approx(values(again), rel=1e-4)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say():
    """200 simulated studies, 95 % intervals: the truth is inside in 90 to 97 % of them."""
    N, D = chinchilla_design()
    truth = np.array([published.HUBER_OPTIMUM[name] for name in NAMES])
    inside = []
    for study in range(200):
        rng = np.random.default_rng(study)
        draws = scaling.fit_chinchilla(N, D, noisy(rng, N, D)).bootstrap(200, rng)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        inside.append((low <= truth) & (truth <= high))
    coverage = np.mean(inside, axis=0)
    assert np.all((coverage >= 0.90) & (coverage <= 0.97)), coverage


def test_a_chinchilla_like_study_returns_the_constants():
    N, D = chinchilla_design()
    truth = np.array([published.HUBER_OPTIMUM[name] for name in NAMES])
    found = np.array(
        [
            values(scaling.fit_chinchilla(N, D, noisy(np.random.default_rng(s), N, D)))
            for s in range(20)
        ]
    )
    assert np.all(np.abs(found[:, [0, 3, 4]].mean(0) / truth[[0, 3, 4]] - 1) < 0.02)
    assert np.all(np.abs(np.log(found[:, [1, 2]]).mean(0) - np.log(truth[[1, 2]])) < 0.1)
    assert np.all(np.abs(found.mean(0) - truth) < 3 * found.std(0))
    assert found[:, 0].std() < 0.03  # as the published interval: 1.769 to 1.871


def test_the_summary_gives_intervals_and_refuses_a_floor_it_cannot_see():
    N, D = chinchilla_design()
    fit = scaling.fit_chinchilla(N, D, noisy(np.random.default_rng(8), N, D))
    draws = fit.bootstrap(300, np.random.default_rng(9))
    low, high = np.quantile(draws[:, 0], [0.05, 0.95])
    text = fit.summary(draws, level=0.9)
    assert f"E  {fit.E:.5g}  [{low:.5g}, {high:.5g}]" in text and "90% intervals" in text
    assert "E" not in repr(fit).replace("Fit", "")  # no floor without its interval

    # Real text looks like this at small size: no floor in sight, the additive form a poor match.
    N, D = grid(np.geomspace(1e4, 1e6, 5), np.geomspace(1e5, 1e6, 4))
    rng = np.random.default_rng(10)
    L = scaling.kaplan(N, D, 6e13, 2e13, 0.14, 0.16) * np.exp(0.03 * rng.standard_normal(len(N)))
    wide = scaling.fit_chinchilla(N, D, L)
    draws = wide.bootstrap(300, rng)
    line = next(s for s in wide.summary(draws).splitlines() if s.split()[0] == "E")
    assert "not determined by these runs: anything from" in line
    assert f"{wide.E:.4g}" not in line
    # A floor pressed to zero has a narrow interval too, and is no measurement either.
    table = corpora.measured("scaling_text")
    gpt = table["learner"] == "GPT"
    none = scaling.fit_chinchilla(*(table[c][gpt] for c in ("params", "tokens", "loss")))
    line = next(
        s for s in none.summary(none.bootstrap(100, rng)).splitlines() if s.split()[0] == "E"
    )
    assert "pressed to zero" in line and "[" not in line
    with pytest.raises(ValueError, match="expected draws of 5 constants"):
        wide.summary(draws[:, :4])
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        wide.summary(draws, level=95)
    with pytest.raises(ValueError, match="at least 1 resample"):
        wide.bootstrap(0, rng)


# --------------------------------------------------------------------------------- the profile
def test_the_profile_is_the_minimum_over_everything_else():
    N, D = chinchilla_design()
    N, D = N[::4], D[::4]
    L = noisy(np.random.default_rng(11), N, D)
    fit = scaling.fit_chinchilla(N, D, L)
    alphas, betas = [0.2, fit.alpha, 0.6], [fit.beta, 0.5]
    profile = fit.profile(alphas, betas)
    assert profile.shape == (3, 2)
    assert profile[1, 0] == pytest.approx(fit.objective, rel=1e-9)
    assert np.all(profile >= fit.objective * (1 - 1e-12))
    for i, j in ((0, 0), (2, 1)):
        exponents = [alphas[i], betas[j]]
        found = minimize(
            lambda part, e=exponents: huber_sum(np.r_[part, e], N, D, L, 1e-3)[0],
            np.log([1.5, N.mean() ** exponents[0] * 0.3, D.mean() ** exponents[1] * 0.3]),
            method="Nelder-Mead",
            options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 5000, "maxfev": 5000},
        )
        assert profile[i, j] == pytest.approx(found.fun, rel=1e-5)


def test_the_profile_certifies_one_basin_around_the_fit():
    N, D = chinchilla_design()
    fit = scaling.fit_chinchilla(N, D, noisy(np.random.default_rng(12), N, D))
    exponents = np.geomspace(0.05, 1.5, 24)
    places = scaling.local_minima(fit.profile(exponents, exponents))
    assert len(places) == 1
    step = exponents[1] / exponents[0]
    for found, place in zip((fit.alpha, fit.beta), places[0], strict=True):
        assert 1 / step <= found / exponents[place] <= step


def test_local_minima_are_found_on_edges_and_in_order():
    y, x = np.mgrid[0:6, 0:6]
    map_ = np.minimum((x - 1) ** 2 + (y - 2) ** 2 + 1.0, (x - 5) ** 2 + (y - 5) ** 2 + 0.5)
    assert scaling.local_minima(map_) == [(5, 5), (2, 1)]
    assert scaling.local_minima(np.zeros((3, 3))) == []  # a plain has no lowest place


def test_only_the_additive_law_has_a_profile():
    N, D = grid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e7, 1e10, 4))
    fit = scaling.fit_kaplan(N, D, scaling.kaplan(N, D, 8e13, 5e13, 0.08, 0.1))
    with pytest.raises(ValueError, match="only the additive law"):
        fit.profile([0.1], [0.1])


# ----------------------------------------------------------------- predictions and allocations
def test_a_fit_predicts_and_spends_as_its_law_does():
    N, D = chinchilla_design()
    fit = scaling.fit_chinchilla(N, D, noisy(np.random.default_rng(13), N, D))
    law = fit.constants
    assert np.array_equal(fit.predict(N, D), scaling.chinchilla(N, D, **law))
    best = fit.optimal(1e21)
    assert best == pytest.approx(
        scaling.numeric_optimum(lambda n, d: fit.predict(n, d) - fit.E, 1e21), rel=1e-4
    )
    draws = fit.bootstrap(50, np.random.default_rng(0))
    spread = scaling.chinchilla(1e10, 2e11, *draws.T)  # a prediction with its interval
    assert spread.shape == (50,) and spread.min() < fit.predict(1e10, 2e11) < spread.max()


@pytest.mark.parametrize(
    ("fitter", "law"),
    [
        (scaling.fit_kaplan, {"N_c": 8e13, "D_c": 5e13, "alpha_N": 0.08, "alpha_D": 0.1}),
        (
            scaling.fit_power_mean,
            {"E": 1.5, "A": 300.0, "B": 900.0, "alpha": 0.33, "beta": 0.35, "q": 1.8},
        ),
    ],
)
def test_the_other_laws_spend_and_resample_too(fitter, law):
    N, D = grid(np.geomspace(1e6, 1e10, 7), np.geomspace(1e8, 1e12, 7))
    fit = fitter(N, D, getattr(scaling, fitter.__name__.removeprefix("fit_"))(N, D, **law))
    best = fit.optimal(1e20)
    assert best == pytest.approx(scaling.numeric_optimum(fit.predict, 1e20), rel=1e-4)
    draws = fit.bootstrap(3, np.random.default_rng(0))  # without noise, all resamples agree
    assert draws == pytest.approx(np.tile(list(law.values()), (3, 1)), rel=1e-4)
    assert all(name in fit.summary(draws) for name in law)


def test_extrapolation_prefers_the_law_that_made_the_data():
    N, D = grid(np.geomspace(1e4, 1e7, 7), np.geomspace(1e5, 1e8, 7))
    L = scaling.power_mean(N, D, E=0.3, A=14, B=16, alpha=0.17, beta=0.16, q=4)
    additive, coupled, parent = (
        scaling.extrapolation(fitter, N, D, L, held_out=8)
        for fitter in (scaling.fit_chinchilla, scaling.fit_kaplan, scaling.fit_power_mean)
    )
    assert parent.held_out < 1e-4 < coupled.held_out < additive.held_out
    cost = N * D
    kept = cost < np.sort(cost)[-8] * (1 - 1e-9)
    assert len(additive.fit.loss) == kept.sum() <= len(N) - 8
    error = scaling.fit_chinchilla(N[kept], D[kept], L[kept]).predict(N, D) - L
    assert additive.bias == pytest.approx(error[~kept].mean())
    assert additive.held_out == pytest.approx(np.sqrt(np.mean(error[~kept] ** 2)))
    assert additive.fitted == pytest.approx(np.sqrt(np.mean(error[kept] ** 2)))


def test_extrapolation_keeps_runs_of_one_cost_together():
    N = np.array([1.0, 2, 4, 1, 2, 4, 1, 2, 4]) * 1e6
    D = np.array([4.0, 2, 1, 8, 4, 2, 16, 8, 4]) * 1e8
    L = scaling.chinchilla(N, D, **published.HUBER_OPTIMUM)
    assert len(scaling.extrapolation(scaling.fit_chinchilla, N, D, L, 1).fit.loss) == 6
    for wrong in (0, 9):
        with pytest.raises(ValueError, match="held_out must be between 1 and 8"):
            scaling.extrapolation(scaling.fit_chinchilla, N, D, L, wrong)
    with pytest.raises(ValueError, match="all runs cost the same"):
        scaling.extrapolation(scaling.fit_chinchilla, N[:3], D[:3], L[:3], 1)


# ------------------------------------------------------------------------------------- IsoFLOP
def valleys(law, span, sizes, budgets):
    """Runs on each budget, sizes from N* / span to N* · span."""
    C = np.repeat(budgets, sizes)
    best, _ = scaling.compute_optimal(C, *(law[name] for name in ("A", "B", "alpha", "beta")))
    N = best * np.tile(np.geomspace(1 / span, span, sizes), len(budgets))
    return N, C / 6 / N, C


@FUZZ
@given(st.floats(0.15, 0.8), st.floats(15.0, 20.0), st.floats(0.01, 0.5))
def test_a_parabola_is_found_exactly(a, log_scale, curvature):
    budgets = np.geomspace(1e18, 1e20, 3)
    bottoms = np.exp(log_scale) * (budgets / 1e18) ** a
    N = np.concatenate([b * np.geomspace(0.1, 8, 9) for b in bottoms])
    C = np.repeat(budgets, 9)
    loss = 2 + curvature * np.log(N / np.repeat(bottoms, 9)) ** 2
    order = np.random.default_rng(0).permutation(len(N))
    found = scaling.isoflop_minima(*(v[order] for v in (N, C / 6 / N, loss, C)))
    assert found.params == pytest.approx(bottoms, rel=1e-6)
    assert found.exponent == pytest.approx(a, abs=1e-6)
    assert found.loss == pytest.approx(np.full(3, 2.0))
    assert np.array_equal(found.compute, budgets)
    assert 6 * found.params * found.tokens == pytest.approx(budgets)


def test_the_parabola_is_biased_by_a_known_amount():
    """alpha .30, beta .40, nine sizes over one decade each way: N* comes out 6.3 % low."""
    law = {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.3, "beta": 0.4}
    N, D, C = valleys(law, 10, 9, np.geomspace(1e17, 1e21, 5))
    bias = scaling.isoflop_bias(N, D, C, window=1e3, **law)
    assert bias.round(3).tolist() == [0.937] * 5
    found = scaling.isoflop_minima(N, D, scaling.chinchilla(N, D, **law), C, window=1e3)
    assert found.exponent == pytest.approx(0.4 / 0.7)  # the same at every budget: no harm to a
    narrow = scaling.isoflop_bias(N, D, C, window=3.0, **law)
    assert np.all(np.abs(narrow - 1) < np.abs(bias - 1) / 2)


@FUZZ
@given(st.floats(0.1, 0.8), st.floats(2.0, 30.0))
def test_equal_exponents_leave_the_parabola_without_bias(exponent, span):
    law = {"E": 1.0, "A": 300.0, "B": 800.0, "alpha": exponent, "beta": exponent}
    N, D, C = valleys(law, span, 9, [1e18, 1e20])
    assert scaling.isoflop_bias(N, D, C, window=1e3, **law) == pytest.approx(1, abs=1e-6)


def test_both_approaches_agree_within_the_known_bias():
    law = published.HUBER_OPTIMUM
    N, D, C = valleys(law, 8, 15, np.geomspace(6e18, 3e21, 9))
    L = noisy(np.random.default_rng(14), N, D, noise=0.001)
    found, fit = scaling.isoflop_minima(N, D, L, C), scaling.fit_chinchilla(N, D, L)
    assert found.exponent == pytest.approx(fit.beta / (fit.alpha + fit.beta), abs=0.02)
    corrected = found.params / scaling.isoflop_bias(N, D, C, **fit.constants)
    assert corrected == pytest.approx(fit.optimal(found.compute)[0], rel=0.15)


def test_a_valley_without_a_bottom_is_refused():
    law = published.HUBER_OPTIMUM
    N, D, C = valleys(law, 10, 9, [1e20])
    L = scaling.chinchilla(N, D, **law)
    for kept, side in ((slice(5, None), "smallest"), (slice(0, 4), "largest")):
        with pytest.raises(ValueError, match=f"at 1e\\+20 FLOP the {side} model is the best"):
            scaling.isoflop_minima(N[kept], D[kept], L[kept], C[kept])
    with pytest.raises(ValueError, match="fewer than three sizes lie within the window"):
        scaling.isoflop_minima(N, D, L, C, window=1.1)
    with pytest.raises(ValueError, match="window must be a factor above 1"):
        scaling.isoflop_minima(N, D, L, C, window=1.0)
    with pytest.raises(ValueError, match="one budget per run"):
        scaling.isoflop_minima(N, D, L, C[:3])
    N, D, C = (np.repeat(v, 2) for v in (N, D, C))
    L = np.full(len(N), 3.0)
    L[6], L[7] = 2.0, 4.5  # two seeds that disagree more than the valley dips
    with pytest.raises(ValueError, match="opens downwards"):
        scaling.isoflop_minima(N, D, L, C, window=2.0)
    one = scaling.isoflop_minima(*valleys(law, 10, 9, [1e20])[:2], *two_columns(law))
    assert math.isnan(one.exponent)


def two_columns(law):
    N, D, C = valleys(law, 10, 9, [1e20])
    return scaling.chinchilla(N, D, **law), C


# ------------------------------------------------------------------------------------ bad input
FITTERS = pytest.mark.parametrize(
    "fitter", [scaling.fit_chinchilla, scaling.fit_kaplan, scaling.fit_power_mean]
)


@FITTERS
@pytest.mark.parametrize("wrong", [0.0, -2.5, math.nan, math.inf])
def test_losses_that_are_none_are_refused_with_their_row(fitter, wrong):
    N, D = grid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10])
    L = scaling.chinchilla(N, D, **published.HUBER_OPTIMUM)
    L[4] = wrong
    with pytest.raises(ValueError, match=r"loss must be positive .* in row 4: a run that diverged"):
        fitter(N, D, L)
    N[2] = wrong
    with pytest.raises(ValueError, match=r"params must be positive .* in row 2"):
        fitter(N, D, np.abs(np.nan_to_num(L)) + 1)


@FITTERS
def test_too_few_runs_or_sizes_are_refused(fitter):
    N, D = grid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10])
    L = scaling.chinchilla(N, D, **published.HUBER_OPTIMUM)
    with pytest.raises(ValueError, match=r"3 runs cannot determine [456] constants"):
        fitter(N[::4], D[::4], L[::4])
    with pytest.raises(ValueError, match="different values of params: 1, and this law needs"):
        fitter(np.full(9, 1e7), np.geomspace(1e7, 1e9, 9), L)
    with pytest.raises(ValueError, match="different values of tokens: 1"):
        fitter(np.geomspace(1e7, 1e9, 9), np.full(9, 1e7), L)
    with pytest.raises(ValueError, match="three flat columns of equal length"):
        fitter(N, D[:-1], L)
    with pytest.raises(ValueError, match="three flat columns"):
        fitter(N.reshape(3, 3), D.reshape(3, 3), L.reshape(3, 3))
    with pytest.raises(ValueError, match="delta must be positive"):
        fitter(N, D, L, delta=0)


def test_two_sizes_are_enough_for_a_law_without_a_floor_only():
    N, D = grid([1e6, 1e8], [1e8, 1e9, 1e10])
    L = scaling.kaplan(N, D, 8e13, 5e13, 0.08, 0.1)
    assert scaling.fit_kaplan(N, D, L).alpha_N == pytest.approx(0.08)
    with pytest.raises(ValueError, match="different values of params: 2"):
        scaling.fit_chinchilla(N, D, L)


def test_a_loss_that_rises_is_refused():
    N, D = grid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4))
    rising = 2 + (N / 1e8) ** 0.3 + 100 / D**0.3
    with pytest.raises(ValueError, match="does not fall with params"):
        scaling.fit_chinchilla(N, D, rising)
    rising = 2 + 100 / N**0.3 + (D / 1e10) ** 0.3
    with pytest.raises(ValueError, match="does not fall with tokens"):
        scaling.fit_chinchilla(N, D, rising)


@FITTERS
def test_nonsense_gives_numbers_or_an_explanation(fitter):
    """Losses that follow no law at all: never nan, a warning, or an error from deep inside."""
    outcomes = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = rng.integers(6, 30)
        N, D = np.exp(rng.uniform(0, 25, n)), np.exp(rng.uniform(0, 30, n))
        L = np.exp(rng.normal(1, (0.1, 1, 5)[seed % 3], n))
        try:
            fit = fitter(N, D, L, delta=(1e-6, 1e-3)[seed % 2])
        except ValueError as error:
            outcomes.add(str(error)[:27])
        else:
            outcomes.add("a fit")
            assert np.isfinite([fit.objective, *fit.constants.values()]).all()
            assert not np.isnan(fit.bootstrap(5, rng)).any()
    assert outcomes == {"a fit", "the loss does not fall with"}


@FITTERS
def test_mixed_units_are_noticed_beside_the_flop(fitter):
    N, D = grid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4))
    L = scaling.chinchilla(N, D, **published.HUBER_OPTIMUM)
    C = 6 * N * D
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitter(N, D, L, compute=C * 1.9)
        fitter(N / 1e6, D / 1e9, L)  # consistent units of one's own are fine
    with pytest.warns(UserWarning, match=r"compute is 1e\+09 times 6 · params · tokens"):
        fitter(N, D / 1e9, L, compute=C)
    with pytest.warns(UserWarning, match="compute is 0.17 times"):
        fitter(N, D, L, compute=N * D)
    with pytest.raises(ValueError, match="compute must be positive"):
        fitter(N, D, L, compute=C * 0)


def test_the_warning_points_at_the_callers_line():
    N, D = grid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4))
    L = scaling.chinchilla(N, D, **published.HUBER_OPTIMUM)
    with pytest.warns(UserWarning, match="units") as caught:
        scaling.fit_chinchilla(N, D, L, compute=N)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("fitter", [scaling.fit_chinchilla, scaling.fit_kaplan])
def test_the_exponent_is_that_of_the_optimum(fitter):
    N, D = grid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e8, 1e11, 5))
    fit = fitter(N, D, scaling.kaplan(N, D, 6e13, 2e13, 0.08, 0.1))
    (small, _), (large, _) = fit.optimal(1e18), fit.optimal(1e21)
    assert fit.exponent == pytest.approx(math.log10(large / small) / 3)


# ------------------------------------------------------------------------------- repetition
@FUZZ
@given(st.floats(3, 50), st.integers(3, 7))
def test_the_constant_of_repetition_is_recovered(R_star, steps):
    epochs = 2.0 ** np.arange(steps)
    worth = scaling.effective(epochs, 1, R_star)
    assert scaling.fit_repetition(epochs, worth) == pytest.approx((R_star, epochs[-1]), rel=1e-4)
    # Where more epochs hurt, they do not count.
    hurt = np.r_[worth, 0.9 * worth[-1]]
    again = scaling.fit_repetition(np.r_[epochs, 2 * epochs[-1]], hurt)
    assert again == pytest.approx((R_star, epochs[-1]), rel=1e-4)


def test_the_constant_of_repetition_fits_the_logarithms():
    epochs, worth = np.array([1.0, 2, 4, 8]), np.array([1.1, 1.7, 3.3, 4.0])
    R_star, _ = scaling.fit_repetition(epochs, worth)

    def error(R):
        return sum(
            math.log((1 + R * (1 - math.exp(-(e - 1) / R))) / w) ** 2
            for e, w in zip(epochs, worth, strict=True)
        )

    assert error(R_star) < min(error(1.001 * R_star), error(R_star / 1.001))


@pytest.mark.parametrize(
    ("epochs", "multiple", "says"),
    [
        ([1, 2, 4], [1, 2, math.nan], "multiple must be positive and finite"),
        ([1, 4, 2], [1, 2, 3], "rising epochs"),
        ([1, 2, 4], [1, 2], "rising epochs"),
        ([1, 2, 4], [1, 2, 1.5], "two epochs beyond the first"),
        ([0.5, 2, 4], [0.5, 2, 3], "none below 1"),
    ],
)
def test_repetition_refuses(epochs, multiple, says):
    with pytest.raises(ValueError, match=says):
        scaling.fit_repetition(epochs, multiple)


# ------------------------------------------------------------------------- the published runs
PUBLISHED_RUNS = "svg_extracted_data.csv"


def test_the_240_published_runs_have_the_known_optimum():
    """Besiroglu et al. (2024) read them off a figure; the file has no licence, so bring your own:
    data/svg_extracted_data.csv of github.com/epoch-research/analyzing-chinchilla."""
    path = corpora.cache_dir() / PUBLISHED_RUNS
    if not path.exists():
        pytest.skip(f"needs the published runs: place {PUBLISHED_RUNS} in {path.parent}")
    N, D, L = audit.without_highest(*audit.published_runs(path), 5)
    assert len(L) == 240
    fit = scaling.fit_chinchilla(N, D, L)
    assert fit.objective <= 1.01827401780e-3 * (1 + 1e-9)
    for name, value in published.HUBER_OPTIMUM.items():
        assert getattr(fit, name) == pytest.approx(value, rel=1.5e-6), name
    N_best, D_best = fit.optimal(5.76e23)
    assert (round(N_best / 1e9, 1), round(D_best / 1e12, 2)) == (73.2, 1.31)
    # With a tiny delta it is the least-absolute-deviation fit that was published.
    published_fit = scaling.fit_chinchilla(N, D, L, delta=1e-6)
    assert pytest.approx((482.01, 2085.43), rel=5e-4) == (published_fit.A, published_fit.B)
    exponents = np.geomspace(0.05, 1.5, 30)
    assert len(scaling.local_minima(fit.profile(exponents, exponents))) == 1
