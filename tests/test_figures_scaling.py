"""The figures of the scaling chapter's study, held to what every figure of the book keeps."""

import numpy as np
import pytest
from figure_rules import RULES, drawn_in
from matplotlib.colors import to_hex

from lmlib.figures import PALETTE, scaling
from lmlib.scaling import Minima, Prediction

SIZES = np.geomspace(500, 50_000, 9)
BUDGET = np.repeat([1e9, 4e9, 1.6e10], 9)
PARAMS = np.tile(SIZES, 3)
BOTTOMS = Minima(
    np.array([1e9, 4e9, 1.6e10]),
    np.array([4000.0, 7700.0, 13_500.0]),
    np.array([4.2e4, 8.7e4, 2.0e5]),
    np.array([3.23, 3.09, 2.99]),
    0.44,
)
LOSS = np.concatenate(
    [
        low + 0.04 * np.log(SIZES / best) ** 2
        for best, low in zip(BOTTOMS.params, BOTTOMS.loss, strict=True)
    ]
)
COMPUTE = np.geomspace(1e7, 1e15, 40)
FRONTIER = 2.74 + 0.5 * (COMPUTE / 1e9) ** -0.24
DRAWS = np.random.default_rng(0).normal(2.74, 0.02, 1000)
LAW = np.geomspace(1e9, 1.6e11, 30)
ON_LAW = 2.74 + 0.49 * (LAW / 1e9) ** -0.24
PREDICTION = Prediction(32_000, 833_333, 2.8863, 2.8628, 2.9042)
STUDIES = np.random.default_rng(1).normal(size=20)
EXPONENTS = {
    "1: curves": 0.4 + 0.02 * STUDIES,
    "2: parabolas": 0.44 + 0.005 * STUDIES,
    "3: law": 0.42 + 0.006 * STUDIES[::-1],
}
ESTIMATE = 2.735 + 0.012 * STUDIES
TRUTH = np.full(20, 2.717)
SEEN = (BOTTOMS.compute, BOTTOMS.loss)
EXAMPLES = {
    "valleys": lambda: scaling.valleys(BUDGET, PARAMS, LOSS, BOTTOMS),
    "straight_only_without_floor": lambda: scaling.straight_only_without_floor(
        COMPUTE, FRONTIER, 2.74, *SEEN
    ),
    "envelope": lambda: scaling.envelope(DRAWS, 2.74, (2.70, 2.78), 2.717),
    "envelope, closed": lambda: scaling.envelope(DRAWS, 2.74, (2.70, 2.78)),
    "envelope, far off": lambda: scaling.envelope(DRAWS, 2.74, (2.70, 2.78), 2.84),
    "approaches": lambda: scaling.approaches(EXPONENTS),
    "signed": lambda: scaling.signed(LAW, ON_LAW, BOTTOMS, PREDICTION, [2.8781, 2.8811]),
    "signed, before": lambda: scaling.signed(LAW, ON_LAW, BOTTOMS, PREDICTION),
    "coverage": lambda: scaling.coverage(
        ESTIMATE, ESTIMATE - 0.03, ESTIMATE + 0.03, TRUTH, "E − truth, nats"
    ),
}


def test_every_figure_has_an_example():
    assert drawn_in(scaling) == {name.split(",")[0] for name in EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_figure(rule, name):
    rule(EXAMPLES[name])


# ----------------------------------------------------------------- what is drawn is what was given
def lines(figure):
    return figure.figure.axes[0].lines


def test_valleys_draw_the_runs_and_the_parabola_of_the_runs_in_the_window():
    rng = np.random.default_rng(0)
    noisy = LOSS + rng.normal(0, 0.01, LOSS.size)
    x, y = np.log(SIZES), noisy[:9]
    near = np.abs(x - x[y.argmin()]) <= np.log(6)
    curve, slope, height = np.polyfit(x[near], y[near], 2)
    best = -slope / (2 * curve)
    bottom = height + slope * best / 2
    found = Minima(*np.array([[1e9], [np.exp(best)], [1], [bottom]]), np.nan)
    figure = scaling.valleys(BUDGET[::-1], PARAMS[::-1], noisy[::-1], found)
    dots, parabola, cross = lines(figure)
    np.testing.assert_allclose(dots.get_xydata(), np.c_[SIZES, y])
    u, drawn = parabola.get_xydata().T
    np.testing.assert_allclose(drawn, np.polyval([curve, slope, height], np.log(u)), rtol=1e-9)
    assert (u[0], u[-1]) == pytest.approx((SIZES[near][0], SIZES[near][-1]))
    assert cross.get_xydata()[0] == pytest.approx((np.exp(best), bottom))
    assert "10⁹ FLOP: 9 sizes from 500 to 50,000 parameters" in figure.alt
    assert figure.digest["1e+09 FLOP"] == pytest.approx([np.exp(best), bottom])


def test_valleys_are_named_by_their_budget():
    figure = EXAMPLES["valleys"]()
    named = [t.get_text() for t in figure.figure.axes[0].texts]
    assert sorted(named) == sorted(["10⁹ FLOP", "4·10⁹", "1.6·10¹⁰"])
    heights = {t.get_text(): t.xy[1] for t in figure.figure.axes[0].texts}
    assert heights["10⁹ FLOP"] == pytest.approx(LOSS[8])
    for best, low in zip(BOTTOMS.params, BOTTOMS.loss, strict=True):
        assert f"{low:.3f} at the bottom of the parabola, at {best:,.0f} parameters" in figure.alt


def test_only_the_excess_is_straight():
    figure = EXAMPLES["straight_only_without_floor"]()
    floor, raw, excess, seen, seen_excess = lines(figure)
    assert set(floor.get_ydata()) == {2.74}
    np.testing.assert_allclose(raw.get_ydata() - excess.get_ydata(), 2.74)
    np.testing.assert_allclose(seen.get_ydata(), SEEN[1])
    np.testing.assert_allclose(seen.get_ydata() - seen_excess.get_ydata(), 2.74)
    assert figure.digest["slope of L − E"] == pytest.approx([-0.24, -0.24])
    first, last = figure.digest["slope of L"]
    assert first < -0.05 < -0.01 < last < 0
    assert "straight line of slope -0.240" in figure.alt
    assert "3.230 and 0.490 at 1e+09 FLOP" in figure.alt


def test_the_envelope_stays_closed_until_it_is_opened():
    closed, opened = EXAMPLES["envelope, closed"](), EXAMPLES["envelope"]()
    assert "2.717" not in closed.svg() + repr(closed)
    assert "truth" not in closed.digest
    assert PALETTE["vermillion"] not in closed.svg()
    assert [tuple(line.get_xdata()) for line in lines(opened)][:2] == [(2.70, 2.78), (2.74,)]
    assert set(lines(opened)[2].get_xdata()) == {2.717}
    assert "2.7170, lies inside the interval; the fit is +0.85 % off" in opened.alt
    far = EXAMPLES["envelope, far off"]()
    assert "2.8400, lies outside the interval" in far.alt
    low, high = far.figure.axes[0].get_xlim()
    assert low < 2.70 and high > 2.84
    assert opened.digest == {"E": [2.74, 2.70, 2.78], "truth": 2.717}


def test_approaches_stand_in_the_order_given_with_mean_and_spread():
    figure = EXAMPLES["approaches"]()
    ax = figure.figure.axes[0]
    shown = [t.get_text() for t in ax.get_yticklabels()]
    assert shown == list(EXPONENTS)[::-1], "rows count from below"
    for row, name in enumerate(shown):
        dots, mean = ax.lines[2 * row : 2 * row + 2]
        np.testing.assert_allclose(dots.get_xdata(), np.sort(EXPONENTS[name]))
        assert np.abs(dots.get_ydata() - row).max() < 0.3
        assert mean.get_xdata() == pytest.approx([EXPONENTS[name].mean()] * 2)
        sd = np.std(EXPONENTS[name], ddof=1)
        written = f"{EXPONENTS[name].mean():.3f} ± {sd:.3f}"
        assert [t.get_text() for t in ax.texts][row] == written
        assert figure.digest[name] == pytest.approx([EXPONENTS[name].mean(), sd])
    assert scaling.approaches({"one study": [0.4]}).digest["one study"] == [0.4, 0.0]


def test_what_was_signed_and_what_came():
    before, after = EXAMPLES["signed, before"](), EXAMPLES["signed"]()
    known, continued, bottoms, interval, expected = lines(before)
    assert known.get_xdata().max() <= 1.6e10 * 1.001 < continued.get_xdata().min()
    assert continued.get_xdata().max() == pytest.approx(1.6e11)
    assert bottoms.get_xydata().tolist() == np.transpose(SEEN).tolist()
    np.testing.assert_allclose(
        interval.get_xydata(), [[1.6e11, 2.8628], [1.6e11, 2.9042]], rtol=1e-6
    )
    np.testing.assert_allclose(expected.get_xydata(), [[1.6e11, 2.8863]], rtol=1e-6)
    assert "easured:" not in before.alt
    assert lines(after)[5].get_ydata().tolist() == [2.8781, 2.8811]
    assert "on average 2.8796, inside the interval and 0.23% from the prediction" in after.alt
    missed = scaling.signed(LAW, ON_LAW, BOTTOMS, PREDICTION, [2.91])
    assert "on average 2.9100, outside the interval" in missed.alt


def test_coverage_counts_and_marks_what_missed():
    estimate, truth = np.array([1.0, 2.0, 3.5]), np.array([1.2, 1.0, 3.0])
    figure = scaling.coverage(
        estimate, estimate - [0.3, 0.5, 0.5], estimate + 0.4, truth, "E, nats"
    )
    _, *drawn = lines(figure)
    spans = [line.get_xdata() - 0 for line in drawn[::2]]
    expected = [[-0.5, 0.2], [0.0, 0.9], [0.5, 1.4]]  # in rising order; ends belong to an interval
    np.testing.assert_allclose(spans, expected, atol=1e-12)
    blue, red = PALETTE["blue"], PALETTE["vermillion"]
    assert [to_hex(line.get_color()) for line in drawn[::2]] == [blue, blue, red]
    assert [line.get_marker() for line in drawn[1::2]] == ["o", "o", "x"]
    assert "The 95 % intervals of 2 hold it, where 2.85 are expected" in figure.alt
    assert "Missed: study 1: from +0.5000 to +1.4000." in figure.alt
    assert figure.figure.axes[0].get_title(loc="left") == "2 of 3 hold the truth"
    assert figure.digest["inside"] == [2, 3]
    assert figure.digest["width"] == pytest.approx((0.7 + 0.9 + 0.9) / 3)
    assert figure.digest["estimate − truth"] == pytest.approx(
        [1.3 / 3, np.std([-0.2, 1.0, 0.5], ddof=1)]
    )
    wide = scaling.coverage(ESTIMATE, ESTIMATE - 1, ESTIMATE + 1, TRUTH, "E, nats")
    assert "None missed." in wide.alt
    named = scaling.coverage(ESTIMATE, ESTIMATE, ESTIMATE, TRUTH, "E, nats", "the measured loss")
    assert named.figure.axes[0].get_title(loc="left") == "0 of 20 hold the measured loss"
    assert "the measured loss being zero" in named.alt


def test_a_changed_number_changes_the_digest():
    for name, change in {
        "valleys": lambda: scaling.valleys(
            BUDGET, PARAMS, LOSS, BOTTOMS._replace(params=1.01 * BOTTOMS.params)
        ),
        "envelope": lambda: scaling.envelope(DRAWS, 2.75, (2.70, 2.78), 2.717),
        "coverage": lambda: scaling.coverage(
            ESTIMATE + 1e-3, ESTIMATE - 0.03, ESTIMATE + 0.03, TRUTH, "E − truth, nats"
        ),
    }.items():
        assert repr(EXAMPLES[name]()).split("\n")[1:] != repr(change()).split("\n")[1:]
