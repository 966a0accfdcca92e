"""The figures of toy worlds, couplings, real text and repetition keep the book's rules."""

import numpy as np
import pytest
from figure_rules import RULES, drawn_in
from matplotlib.colors import to_hex

from lmlib import corpora, scaling
from lmlib.figures import PALETTE, scaling_data

X = 10.0 ** np.arange(1, 6)
PARAMS, TOKENS = np.array([16, 64, 256, 1024, 4096]), 2 ** np.arange(10, 17)
GRID = np.meshgrid(PARAMS, TOKENS, indexing="ij")
LAW = {"A": 2.0, "B": 20.0, "alpha": 0.4, "beta": 0.35}
EXCESS = scaling.power_mean(*GRID, E=0.0, q=3.0, **LAW)
ADDED = scaling.chinchilla(*GRID, E=0.0, **LAW)
FAR = np.multiply(*GRID) > 2**25
EPOCHS = np.array([1, 2, 4, 8, 16, 32])
WORTH = np.array([1.0, 1.9, 3.2, 4.5, 4.0, 3.0]) * np.array([[0.98], [1.0], [1.02]])
FORM = np.where(EPOCHS <= 8, scaling.effective(EPOCHS, 1, 4.0), np.nan)

EXAMPLES = {
    "two_limits": lambda: scaling_data.two_limits(
        X,
        {"limited by data": X**-0.33, "limited by size": np.stack([X**-0.5, 1.2 * X**-0.5])},
        {"limited by data": X ** (-1 / 3), "limited by size": X**-0.5},
        {"limited by data": 1 / 3, "limited by size": 0.5},
    ),
    "couplings": lambda: scaling_data.couplings(
        PARAMS,
        TOKENS,
        EXCESS,
        {"additive": 0.8 * ADDED - 0.4, "power mean": EXCESS},
        {"additive": 0.31, "power mean": 0.47},
        0.467,
    ),
    "extrapolations": lambda: scaling_data.extrapolations(
        PARAMS, TOKENS, EXCESS + 1, {"additive": ADDED + 0.9, "Kaplan": EXCESS + 1}, FAR
    ),
    "floors": lambda: scaling_data.floors(
        {"generated": (2.6, 2.8, 2.7), "corpus, additive": (0.8, 1.4, 1.2), "mean": (0, 1, 0.2)},
        {"generated": 2.9, "corpus, additive": 1.5, "mean": 1.5},
        {"generated": 2.72},
    ),
    "repetition": lambda: scaling_data.repetition(
        EPOCHS,
        {"U = 8,192": WORTH, "U = 131,072": WORTH**1.3},
        {"U = 8,192": FORM, "U = 131,072": FORM**1.3},
        {"U = 8,192": 4.0, "U = 131,072": 9.0},
        scaling.effective(EPOCHS, 1, 15.4),
    ),
}


def test_every_figure_has_an_example():
    assert drawn_in(scaling_data) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_figure(rule, name):
    rule(EXAMPLES[name])


# ----------------------------------------------------------------- what is drawn is what was given
def drawn(ax):
    """The (x, y) of every plot call on these axes, in order."""
    return [line.get_xydata() for line in ax.lines]


def test_theory_is_a_line_and_every_run_a_marker():
    figure = EXAMPLES["two_limits"]()
    (ax,) = figure.figure.axes
    line, marks, _, runs = drawn(ax)
    np.testing.assert_allclose(line, np.c_[X, X ** (-1 / 3)])
    np.testing.assert_allclose(marks, np.c_[X, X**-0.33])
    np.testing.assert_allclose(runs, np.c_[np.r_[X, X], np.r_[X**-0.5, 1.2 * X**-0.5]])
    assert [handle.get_linestyle() for handle in ax.lines] == ["-", "None", "-", "None"]
    np.testing.assert_allclose(figure.digest["limited by size"], [0.5, 0.5, 1.1])
    np.testing.assert_allclose(figure.digest["limited by data"], [1 / 3, 0.33, 1e5 ** (1 / 300)])
    assert "(mean of 2 runs), the excess falls from 0.348 at 10 to 0.00348 at 100,000" in figure.alt
    assert "theory says exponent 0.3333; measured, the excess" in figure.alt


def test_couplings_say_how_far_each_law_is_off():
    figure = EXAMPLES["couplings"]()
    additive, exact = figure.figure.axes
    law = 0.8 * ADDED - 0.4
    off = law / EXCESS - 1
    assert figure.digest["additive"] == [0.31, pytest.approx(np.sqrt(np.mean(off**2)))]
    assert figure.digest["power mean"] == [0.47, 0]
    assert f"at worst {100 * np.abs(off).max():.0f} %" in figure.alt
    assert "a = 0.310 where theory says 0.467" in figure.alt
    assert (law < 0).any(), "the example tests what has no logarithm"
    for ax, values in ((additive, law), (exact, EXCESS)):
        lines = [line.get_ydata() for line in ax.lines if line.get_linestyle() == "-"]
        np.testing.assert_allclose(lines, np.where(values > 0, values, np.nan))
    titles = [ax.get_title(loc="left") for ax in figure.figure.axes]
    assert titles[0] == "additive: a = 0.31, theory 0.47"
    names = [text.get_text() for text in exact.texts]
    assert set(names) == {"N = 16", "64", "256", "1,024", "4,096"}


def test_runs_the_law_has_not_seen_are_hollow():
    figure = EXAMPLES["extrapolations"]()
    paper, ax = PALETTE["paper"], figure.figure.axes[0]
    seen, unseen = [], []
    for line in ax.lines:
        if line.get_linestyle() == "None":
            hollow = to_hex(line.get_markerfacecolor()) == paper
            (unseen if hollow else seen).extend(map(tuple, line.get_xydata()))
    compute = 6.0 * np.multiply(*GRID)
    expected = set(zip(compute[FAR], EXCESS[FAR] + 1, strict=True))
    assert set(unseen) == expected and 0 < len(expected) < FAR.size
    assert len(seen) == (~FAR).sum()
    lines = [line.get_xydata() for line in ax.lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose([xy[:, 1] for xy in lines], ADDED + 0.9)
    error = (ADDED + 0.9 - EXCESS - 1)[FAR]
    before = (ADDED + 0.9 - EXCESS - 1)[~FAR]
    np.testing.assert_allclose(
        figure.digest["additive"],
        [np.sqrt(np.mean(before**2)), np.sqrt(np.mean(error**2)), error.mean()],
    )
    assert figure.digest["Kaplan"] == [0, 0, 0]
    assert f"the {FAR.sum()} dearest of 35 runs" in figure.alt
    worst = np.unravel_index(np.abs(np.where(FAR, ADDED - EXCESS - 0.1, 0)).argmax(), FAR.shape)
    predicted, measured = ADDED[worst] + 0.9, EXCESS[worst] + 1
    assert f"predicted {predicted:.3f}, measured {measured:.3f}" in figure.alt


def test_floors_show_interval_fit_lowest_loss_and_truth():
    figure = EXAMPLES["floors"]()
    (ax,) = figure.figure.axes
    bar, fit, lowest, truth, *rest = drawn(ax)
    np.testing.assert_array_equal(bar, [[2.6, 0], [2.8, 0]])
    np.testing.assert_array_equal([*fit, *lowest, *truth], [[2.7, 0], [2.9, 0], [2.72, 0.27]])
    assert len(rest) == 6, "a truth only where it is known"
    assert figure.digest["mean"] == [0, 1, 0.2, 1.5]
    assert "generated: interval 2.60 to 2.80, 0.20 nats wide, around 2.70" in figure.alt
    assert figure.alt.count("the truth is 2.720") == figure.alt.count("the truth is") == 1


def test_repetition_draws_the_form_only_as_far_as_it_holds():
    figure = EXAMPLES["repetition"]()
    (ax,) = figure.figure.axes
    diagonal, theirs, dots, means, form, *_ = drawn(ax)
    np.testing.assert_array_equal(diagonal[:, 1], EPOCHS)
    np.testing.assert_allclose(theirs[:, 1], scaling.effective(EPOCHS, 1, 15.4))
    np.testing.assert_allclose(dots, np.c_[np.tile(EPOCHS, 3), WORTH.ravel()])
    np.testing.assert_allclose(means[:, 1], WORTH.mean(0))
    np.testing.assert_allclose(form[:, 1], FORM)
    assert "4.50 ± 0.09 after 8, 4.00 ± 0.08 after 16" in figure.alt
    off = np.abs(FORM[:4] / WORTH.mean(0)[:4] - 1).max()
    assert f"R* = 4.00 holds within {100 * off:.0f} % up to 8 epochs" in figure.alt
    assert "most after 8." in figure.alt
    np.testing.assert_allclose(figure.digest["U = 8,192"], [4.0, *WORTH.mean(0)])


# ------------------------------------------------- what the tables behind the figures have to say
FITTERS = (scaling.fit_chinchilla, scaling.fit_kaplan, scaling.fit_power_mean)


def study(learner, text):
    """N, D and the mean loss of the seeds, a run each."""
    table = corpora.measured("scaling_text")
    here = (table["learner"] == learner) & (table["text"] == text)
    cells = {}
    for N, D, loss in zip(*(table[c][here] for c in ("params", "tokens", "loss")), strict=True):
        cells.setdefault((N, D), []).append(loss)
    assert {len(losses) for losses in cells.values()} == {3}
    return (*np.array(list(cells)).T, np.array([np.mean(losses) for losses in cells.values()]))


def errors_ahead(learner, text):
    """Of the three laws: the error on the dearest fifth of the runs, which they have not seen."""
    N, D, loss = study(learner, text)
    held_out = round(0.2 * len(loss))
    return [scaling.extrapolation(fitter, N, D, loss, held_out).held_out for fitter in FITTERS]


def test_the_form_that_extrapolates_depends_on_the_text():
    additive, kaplan, parent = errors_ahead("MLP", "corpus")
    assert parent < 0.02 < 0.04 < kaplan < 0.055 < 0.08 < additive
    additive, kaplan, parent = errors_ahead("MLP", "generated")
    assert max(additive, parent) < 0.01 < 0.07 < kaplan
    assert min(errors_ahead("GPT", "corpus")) > 0.25, "no law holds across a bend"


def test_the_floor_is_found_where_it_is_known_and_refused_on_real_text():
    floors = {}
    for text in ("generated", "corpus"):
        for fitter in (scaling.fit_chinchilla, scaling.fit_power_mean):
            fit = fitter(*study("MLP", text))
            draws = fit.bootstrap(1000, np.random.default_rng(0))
            refused = "E  not determined by these runs" in fit.summary(draws)
            if (text, fitter) != ("corpus", scaling.fit_power_mean):  # as wide as the limit
                assert refused == (text == "corpus")
            floors[text, fitter] = np.quantile(draws[:, 0], [0.025, 0.975])
            if text == "generated":
                low, high = floors[text, fitter]
                assert low < 2.7164 < high
    additive, parent = (floors["corpus", f][1] - floors["corpus", f][0] for f in FITTERS[::2])
    assert additive > 3 * parent > 0.7, "nats"


def test_repeated_tokens_are_worth_more_where_there_are_more_of_them():
    table = corpora.measured("scaling_repeat")
    worth = {}
    for unique in (2**13, 2**15, 2**17):
        epochs, multiple = corpora.runs(table, "multiple", "epochs", unique=unique)
        np.testing.assert_array_equal(epochs, EPOCHS)
        assert multiple.shape == (3, 6)
        assert (multiple <= 1.1 * epochs).all()
        worth[unique] = multiple
    few, some, many = worth.values()
    assert (few[:, 3:].max(1) < some[:, 3:].min(1)).all()
    assert (some[:, 3:].max(1) < many[:, 3:].min(1)).all()
    assert (few.mean(0)[3:] < few.mean(0)[2]).all(), "after four epochs it hurts"
    assert (many.mean(0)[2:] < scaling.effective(EPOCHS, 1, 15.387756)[2:]).all()
