"""lmlib.scaling.study and .prediction: the experiment, its shipped results, and sealed promises."""

import doctest
import hashlib
from concurrent.futures import Executor, Future
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import corpora, scaling
from lmlib.scaling import networks, prediction, study

SMALL = {"budgets": (2e6, 4e6), "widths": (4, 6, 8)}  # a thousand tokens or two


@pytest.fixture
def shortest(monkeypatch):
    """Designs may contain runs of a few hundred tokens."""
    monkeypatch.setattr(study, "TOKENS", (1, 1_300_000))


# --------------------------------------------------------------------------------------- the design
def test_the_design_has_27_runs_of_reasonable_length():
    configurations = study.design(seed=3)
    assert len(configurations) == 27
    assert {c["seed"] for c in configurations} == {3}
    for c in configurations:
        N = networks.parameters(c["width"], study.known_source())
        assert 1e4 <= c["budget"] / 6 / N <= 1.3e6
    kept = {(c["budget"], c["width"]) for c in configurations}
    for budget in study.BUDGETS:
        for width in study.WIDTHS:
            N = networks.parameters(width, study.known_source())
            assert ((budget, width) in kept) == (1e4 <= budget / 6 / N <= 1.3e6)


def test_the_test_text_is_always_the_same():
    text = study.held_out_text()
    assert text.shape == (2048, 34)
    source = study.known_source()
    again = source.sample(np.random.default_rng([0, 1]), 2048, 34)
    assert (text == again).all()
    floor = -np.log(source.token_probabilities(text)).mean()
    assert floor == pytest.approx(2.7170, abs=5e-5)
    assert floor == pytest.approx(source.entropy, abs=0.02)


# --------------------------------------------------------------------------------------- one cell
def test_measure_is_training_and_testing():
    found = study.measure(4e6, 6, seed=7, replicas=2)
    source = study.known_source()
    N = networks.parameters(6, source)
    D = int(4e6 / 6 / N)
    nets, curve = networks.train(source, 6, D, [(7, 6, D, 0), (7, 6, D, 1)])
    losses = networks.held_out(nets, study.held_out_text())
    assert (found["params"], found["tokens"]) == (N, D)
    assert [found["loss_0"], found["loss_1"]] == losses.tolist()
    steps = curve.shape[1]
    for k, share in enumerate((1, 0.5**0.5, 0.5, 0.5**1.5, 0.25)):
        end = round(share * steps)
        expected = curve[:, int(0.75 * end) : end].mean()
        assert found[f"train_{k}"] == pytest.approx(expected, rel=1e-9)
    assert list(found) == [
        "params", "tokens", "loss_0", "loss_1", *(f"train_{k}" for k in range(5))
    ]  # fmt: skip
    assert found["train_4"] > found["train_0"], "it learned"


def test_every_run_reads_a_text_of_its_own(monkeypatch):
    seen = []

    def train(source, width, tokens, seeds):
        seen.extend(seeds)
        return None, np.ones((len(seeds), 40))

    monkeypatch.setattr(study, "train", train)
    monkeypatch.setattr(study, "held_out", lambda nets, text: np.ones(2))
    study.isoflop([*study.design(seed=0), *study.design(seed=1)])
    assert len(seen) == len(set(seen)) == 4 * 27


# ---------------------------------------------------------------------------------------- the sweep
class Here(Executor):
    def __init__(self):
        self.calls = 0

    def submit(self, function, /, *args, **kwargs):
        self.calls += 1
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


def test_isoflop_runs_on_any_executor_and_goes_on_where_it_stopped(tmp_path, shortest):
    configurations = study.design(**SMALL, seed=1)
    assert len(configurations) == 6
    executor = Here()
    first = study.isoflop(configurations[:4], tmp_path / "runs.csv", executor)
    assert executor.calls == 4
    runs = study.isoflop(configurations, tmp_path / "runs.csv", executor)
    assert executor.calls == 6
    assert runs.budget.tolist() == [2e6] * 3 + [4e6] * 3
    assert runs.width.tolist() == [4, 6, 8] * 2
    for i, c in enumerate(configurations):
        alone = study.measure(**c)
        assert (runs.params[i], runs.tokens[i]) == (alone["params"], alone["tokens"])
        assert runs.losses[i].tolist() == [alone["loss_0"], alone["loss_1"]]
        assert runs.curves[i].tolist() == [alone[f"train_{k}"] for k in range(5)]
        assert runs.loss[i] == pytest.approx((alone["loss_0"] + alone["loss_1"]) / 2)
    assert (first.losses == runs.losses[:4]).all()
    again = study.isoflop(configurations)  # without a file, without an executor
    assert (again.losses == runs.losses).all()


def test_replicas_are_part_of_the_design(shortest):
    runs = study.isoflop(study.design((2e6,), (4,), seed=0, replicas=3))
    assert runs.losses.shape == (1, 3)
    assert len(set(runs.losses[0])) == 3


# -------------------------------------------------------------------------------------- Approach 1
def runs_of_a_law(exponent, widths):
    """Runs whose training loss, at any C, is lowest at N = C^exponent."""
    rows = [(C, N) for C in (1e9, 4e9, 1.6e10) for N in widths]
    C, N = np.array(rows).T
    spent = C[:, None] * 2 ** (-np.arange(5) / 2)
    curves = 2 + (np.log(N)[:, None] - exponent * np.log(spent)) ** 2
    return study.Runs(C, N.astype(int), N, C / 6 / N, curves[:, :1], curves)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.3, 0.6))
def test_the_envelope_finds_the_exponent_of_a_known_valley(exponent):
    runs = runs_of_a_law(exponent, np.geomspace(100, 3e6, 800))
    found = study.training_envelope(runs)
    assert found.exponent == pytest.approx(exponent, abs=0.01)
    assert len(found.compute) == 13  # from 1e9 / 4 to 1.6e10, √2 apart
    assert (np.diff(found.compute) > 0).all()
    np.testing.assert_allclose(found.params, found.compute**exponent, rtol=0.01)
    np.testing.assert_allclose(6 * found.params * found.tokens, found.compute)
    np.testing.assert_allclose(found.loss, 2, atol=1e-3)


def test_the_envelope_takes_the_lowest_of_all_runs_at_the_same_compute():
    runs = runs_of_a_law(0.45, np.array([3000.0, 9000.0, 30000.0]))
    rng = np.random.default_rng(0)
    runs = runs._replace(curves=runs.curves + rng.normal(0, 1, runs.curves.shape))
    found = study.training_envelope(runs)
    for C, N, loss in zip(found.compute, found.params, found.loss, strict=True):
        rivals = {
            runs.curves[i, k]: runs.params[i]
            for i in range(len(runs.budget))
            for k in range(5)
            if abs(runs.budget[i] * 2 ** (-k / 2) / C - 1) < 1e-6
        }
        assert loss == min(rivals)
        assert rivals[loss] == N
    slope = np.polyfit(np.log(found.compute), np.log(found.params), 1)[0]
    assert found.exponent == pytest.approx(slope)


def test_the_envelope_skips_amounts_that_few_sizes_reached():
    runs = runs_of_a_law(0.45, np.geomspace(1000, 1e5, 7))
    two = runs.budget < 2e9
    few = np.flatnonzero(two)[2:]
    kept = np.setdiff1d(np.arange(len(two)), few)
    found = study.training_envelope(study.Runs(*(column[kept] for column in runs)))
    assert len(found.compute) == 9, (
        "the run of 1e9 FLOP has two sizes; four of its points are alone"
    )


# ------------------------------------------------------------------------------------- predictions
FIT = scaling.fit_chinchilla(
    *(grid.ravel() for grid in np.meshgrid([1e3, 1e4, 1e5], [1e4, 1e5, 1e6])),
    (
        scaling.chinchilla(
            *np.meshgrid([1e3, 1e4, 1e5], [1e4, 1e5, 1e6]), E=2.0, A=20, B=30, alpha=0.5, beta=0.4
        )
        * np.exp(np.random.default_rng(0).normal(0, 0.003, (3, 3)))
    ).ravel(),
)
DRAWS = FIT.bootstrap(300, np.random.default_rng(1))


def test_a_prediction_is_the_fit_with_the_scatter_of_its_runs():
    promise = scaling.predict_run(FIT, 2e5, 4e6, DRAWS, np.random.default_rng(2))
    assert (promise.params, promise.tokens) == (200_000, 4_000_000)
    assert promise.loss == pytest.approx(float(FIT.predict(2e5, 4e6)), abs=5e-5)
    rng = np.random.default_rng(2)
    residuals = [
        np.log(L) - np.log(FIT.predict(N, D))
        for N, D, L in zip(FIT.params, FIT.tokens, FIT.loss, strict=True)
    ]
    drawn = rng.choice(residuals, len(DRAWS))
    runs = [
        (E + A / 2e5**alpha + B / 4e6**beta) * np.exp(r * (9 / (9 - 5)) ** 0.5)
        for (E, A, B, alpha, beta), r in zip(DRAWS, drawn, strict=True)
    ]
    low, high = np.quantile(runs, [0.025, 0.975])
    assert (promise.low, promise.high) == pytest.approx((low, high), abs=6e-5)
    half = scaling.predict_run(FIT, 2e5, 4e6, DRAWS, np.random.default_rng(2), level=0.5)
    assert promise.low < half.low <= half.loss <= half.high < promise.high
    assert half.level == 0.5


def test_intervals_of_the_run_hold_new_runs():
    """60 studies of an exact law with noise: a run ten times dearer lies inside about 57 times."""
    N, D = (g.ravel() for g in np.meshgrid(np.geomspace(1e3, 1e5, 6), np.geomspace(1e4, 1e6, 5)))
    law = {"E": 2.0, "A": 20.0, "B": 30.0, "alpha": 0.5, "beta": 0.4}
    inside = curve_inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        fit = scaling.fit_chinchilla(
            N, D, scaling.chinchilla(N, D, **law) * np.exp(rng.normal(0, 0.003, 30))
        )
        draws = fit.bootstrap(200, rng)
        measured = scaling.chinchilla(3e5, 3e6, **law) * np.exp(rng.normal(0, 0.003))
        inside += scaling.predict_run(fit, 3e5, 3e6, draws, rng).score(measured).inside
        low, high = np.quantile(scaling.chinchilla(3e5, 3e6, *draws.T), [0.025, 0.975])
        curve_inside += low <= measured <= high
    assert 52 <= inside <= 60
    assert curve_inside < inside - 3, "the interval of the curve is not one of runs"


PROMISE = scaling.Prediction(34_000, 780_000, 2.88634, 2.8635, 2.9023)


def test_the_seal_is_the_sha256_of_what_is_printed():
    said = "34000 parameters, 780000 tokens: 2.8863 nats per token, 95 % between 2.8635 and 2.9023"
    assert str(PROMISE) == said
    assert scaling.seal(PROMISE) == hashlib.sha256(said.encode("utf-8")).hexdigest()


def test_the_seal_holds_what_was_written_and_nothing_else():
    same = scaling.Prediction(34_000.0, np.int64(780_000), np.float64(2.88631), 2.86350001, 2.9023)
    assert same == PROMISE and scaling.seal(same) == scaling.seal(PROMISE)
    for changed in (
        (34_001, 780_000, 2.8863, 2.8635, 2.9023),
        (34_000, 780_001, 2.8863, 2.8635, 2.9023),
        (34_000, 780_000, 2.8864, 2.8635, 2.9023),
        (34_000, 780_000, 2.8863, 2.8634, 2.9023),
        (34_000, 780_000, 2.8863, 2.8635, 2.9024),
        (34_000, 780_000, 2.8863, 2.8635, 2.9023, 0.9),
    ):
        assert scaling.seal(scaling.Prediction(*changed)) != scaling.seal(PROMISE)


@given(st.floats(2.5, 3.5))
def test_the_score(measured):
    score = PROMISE.score(measured)
    assert score.error == pytest.approx(2.8863 - measured)
    assert score.percent == pytest.approx(100 * (2.8863 / measured - 1))
    assert score.inside == (2.8635 <= measured <= 2.9023)
    assert PROMISE.score(2.8635).inside and PROMISE.score(2.9023).inside


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": 0}, "params must be positive"),
        ({"loss": float("nan")}, "loss must be positive"),
        ({"low": 2.9}, "low <= loss <= high"),
        ({"high": 2.8}, "low <= loss <= high"),
        ({"level": 95}, "a level between 0 and 1"),
    ],
)
def test_impossible_predictions_are_named(change, message):
    promise = {"params": 10, "tokens": 10, "loss": 2.886, "low": 2.8, "high": 3.0}
    with pytest.raises(ValueError, match=message):
        scaling.Prediction(**promise | change)


def test_bad_calls_are_named():
    with pytest.raises(ValueError, match="draws of 5 constants"):
        scaling.predict_run(FIT, 1e5, 1e6, DRAWS[:, :4], np.random.default_rng(0))
    bare = SimpleNamespace(constants=FIT.constants, loss=FIT.loss[:5])
    with pytest.raises(ValueError, match="no residuals"):
        scaling.predict_run(bare, 1e5, 1e6, DRAWS, np.random.default_rng(0))
    with pytest.raises(ValueError, match="measured must be positive"):
        PROMISE.score(float("nan"))


def test_the_examples_run():
    assert doctest.testmod(prediction).failed == 0


# ------------------------------------------------------------------------------- what was measured
KNOWN = corpora.measured("scaling_known")


def test_the_shipped_summary_follows_from_the_shipped_runs():
    assert KNOWN["seed"].tolist() == list(range(20)), "no seed is left out"
    for seed in (0, 7, 19):
        row = {name: column[seed] for name, column in KNOWN.items()}
        runs, large = study.recorded(seed)
        assert len(runs.loss) == 27 and len(large.loss) == 1
        assert runs.losses.shape == (27, 2)
        fit = scaling.fit_chinchilla(runs.params, runs.tokens, runs.loss)
        expected = [row[name] for name in ("E", "alpha", "beta")]
        assert [fit.E, fit.alpha, fit.beta] == pytest.approx(expected, abs=1e-4)
        draws = fit.bootstrap(1000, np.random.default_rng([seed, 3]))
        interval = np.quantile(draws[:, 0], [0.025, 0.975])
        assert interval == pytest.approx((row["E_low"], row["E_high"]), abs=5e-4)
        assert study.training_envelope(runs).exponent == pytest.approx(row["a_1"], abs=1e-5)
        lowest = {}
        for C, N, L in sorted(zip(runs.budget, runs.params, runs.loss, strict=True)):
            if C not in lowest or lowest[C][1] > L:
                lowest[C] = N, L
        slope = np.polyfit(np.log(list(lowest)), np.log([N for N, _ in lowest.values()]), 1)[0]
        assert slope == pytest.approx(row["a_grid"], abs=1e-5)
        for name, window in (("a_2", 6.0), ("a_2_narrow", 3.0), ("a_2_wide", 20.0)):
            found = scaling.isoflop_minima(
                runs.params, runs.tokens, runs.loss, runs.budget, window=window
            )
            assert found.exponent == pytest.approx(row[name], abs=1e-5)
        assert fit.beta / (fit.alpha + fit.beta) == pytest.approx(row["a_3"], abs=1e-4)
        assert (large.params[0], large.tokens[0]) == (row["params"], row["tokens"])
        assert large.budget[0] == pytest.approx(10 * runs.budget.max())
        assert row["predicted"] == pytest.approx(
            float(fit.predict(large.params[0], large.tokens[0])), abs=1e-4
        )
        assert row["measured"] == pytest.approx(large.loss[0], abs=1e-5)


def test_one_shipped_run_can_be_trained_again():
    runs, _ = study.recorded(4)
    i = np.flatnonzero((runs.budget == 1e9) & (runs.width == 96))[0]
    again = study.measure(1e9, 96, 4)
    # Another processor rounds otherwise, and training makes much of it; seeds differ by 0.006.
    assert [again["loss_0"], again["loss_1"]] == pytest.approx(runs.losses[i], abs=0.02)


def test_a_seed_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match=r"seed 20 was not measured; there are \[0, 1"):
        study.recorded(20)
