"""The figures of the audit, held to what every figure of the book keeps."""

import numpy as np
import pytest
from figure_rules import RULES, drawn_in
from matplotlib.colors import to_hex

from lmlib import scaling
from lmlib.figures import PALETTE, scaling_audit
from lmlib.scaling import audit, published
from lmlib.scaling.overoptimisation import Overoptimised

RUNS = audit.chinchilla_like(np.random.default_rng(0))
FIT = scaling.fit_chinchilla(*RUNS)
EXPONENTS = np.linspace(0.1, 0.6, 15)
PROFILE = FIT.profile(EXPONENTS, EXPONENTS)
STOPPED = {
    word: audit.Descents(
        np.array([[1.8, 400, 900, FIT.alpha + shift, 0.35], [1, 1, 1, 0.5, 0.2], [1, 1, 1, 9, 0]]),
        FIT.objective * np.array([1 + shift, 3.0, 9.0]),
        99,
    )
    for word, shift in (("sum", 0.0), ("mean", 0.05))
}
NUMBERS = (0, 1, 5, 15)
PLANS = scaling.inference_plans(1.97, np.geomspace(1e10, 1e14, 5), **published.HUBER_OPTIMUM)
ASKED = {
    name: float(audit.tokens_per_parameter(published.HUBER_OPTIMUM, 6 * N * D))
    for name, (N, D) in published.MODELS.items()
}
N_DRAWN = np.array([2, 16, 128, 1000])
KL = scaling.best_of_n_kl(N_DRAWN)


def study(shift):
    """Gold on the law itself: alpha 1, beta .3, and alpha 1.2, beta .1, by proxies of 0 and 64."""
    gold = np.array([scaling.gold_reward(KL, 1.0, 0.3), scaling.gold_reward(KL, 1.2, 0.1)])
    return Overoptimised(
        N_DRAWN, KL, (0, 64), gold + shift, np.array([KL, KL / 2]), np.array([0.6, 0.9])
    )


STUDIES = [study(shift) for shift in (-0.02, 0.0, 0.02)]
EXAMPLES = {
    "stops": lambda: scaling_audit.stops(EXPONENTS, EXPONENTS, PROFILE, FIT, STOPPED),
    "left_out": lambda: scaling_audit.left_out(
        NUMBERS,
        {
            "published, Huber": [0.56, 0.54, 0.51, 0.49],
            "generated, squares": np.linspace(0.6, 0.5, 12).reshape(4, 3),
        },
    ),
    "steps": lambda: scaling_audit.steps(published.PORIAN),
    "tokens_of_models": lambda: scaling_audit.tokens_of_models(
        published.MODELS, ASKED, "the refit"
    ),
    "use": lambda: scaling_audit.use(PLANS),
    "best_of_n": lambda: scaling_audit.best_of_n(STUDIES),
}


def test_every_figure_has_an_example():
    assert drawn_in(scaling_audit) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_figure(rule, name):
    rule(EXAMPLES[name])


# ----------------------------------------------------------------- what is drawn is what was given
def lines(ax, marker):
    """(x, y) arrays of the lines of an axes drawn with this marker."""
    return [line.get_xydata().T for line in ax.lines if line.get_marker() == marker]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_stops_are_starred_where_the_best_start_of_each_word_ended():
    figure = EXAMPLES["stops"]()
    (ax,) = figure.figure.axes
    stars = np.array([star[:, 0] for star in lines(ax, "*")])
    assert stars == pytest.approx(np.array([[FIT.alpha, 0.35], [FIT.alpha + 0.05, 0.35]]))
    for marker in ("o", "s"):  # the third start ended outside of the map
        assert lines(ax, marker)[0].shape == (2, 2)
    a = 0.35 / (FIT.alpha + 0.35), 0.35 / (FIT.alpha + 0.40)
    assert {f"sum: a = {a[0]:.3f}", f"mean: a = {a[1]:.3f}", "+10 %", "+100 %"} == set(texts(ax))
    assert "5.0 % above the lowest" in figure.alt and "2 stopped on this map" in figure.alt
    assert "33.3 % of the starts came within 1 %" in figure.alt
    assert figure.digest["mean"][3:5] == pytest.approx([0.05, 0.0])
    assert figure.digest["sum"][3:5] == pytest.approx([0.0, 1 / 3])


def test_the_map_has_alpha_across_and_beta_upwards():
    alphas, betas = np.linspace(0.1, 0.6, 15), np.linspace(0.2, 0.5, 11)
    figure = scaling_audit.stops(alphas, betas, FIT.profile(alphas, betas), FIT, STOPPED)
    (ax,) = figure.figure.axes
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.1, 0.6), (0.2, 0.5))
    assert ax.get_xlabel().startswith("α") and ax.get_ylabel().startswith("β")


def test_exponents_of_several_seeds_are_drawn_as_their_mean_and_range():
    figure = EXAMPLES["left_out"]()
    (ax,) = figure.figure.axes
    one, many = lines(ax, "o")[0], lines(ax, "s")[0]
    assert one.tolist() == [list(NUMBERS), [0.56, 0.54, 0.51, 0.49]]
    seeds = np.linspace(0.6, 0.5, 12).reshape(4, 3)
    assert many[1] == pytest.approx(seeds.mean(1))
    band = ax.collections[1].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.5, 0.6))
    assert "published, Huber: 0.560, 0.540, 0.510, 0.490." in figure.alt


def test_steps_show_each_exponent_with_its_interval_from_top_to_bottom():
    (ax,) = EXAMPLES["steps"]().figure.axes
    values = [line.get_xydata().T for line in ax.lines if line.get_marker() == "o"]
    assert [v[:, 0].tolist() for v in values] == [
        [row[1], k] for k, row in enumerate(published.PORIAN)
    ]
    bars = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 5]
    assert [list(bar) for bar in bars] == [list(row[2:]) for row in published.PORIAN]
    assert ax.yaxis_inverted()
    assert "Kaplan's setup: 0.835 (0.824 to 0.846)" in EXAMPLES["steps"]().alt


def test_models_are_sorted_and_coloured_by_the_side_of_the_law_they_are_on():
    figure = EXAMPLES["tokens_of_models"]()
    (ax,) = figure.figure.axes
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names[0] == "MT-NLG" and names[-1] == "Llama 3 8B"
    colours = {}
    for line in ax.lines:
        if line.get_marker() == "o":
            x, y = line.get_xydata()[0]
            N, D = published.MODELS[names[int(y)]]
            assert x == pytest.approx(D / N)
            colours[names[int(y)]] = to_hex(line.get_color())
    few = {name for name, colour in colours.items() if colour == PALETTE["vermillion"]}
    assert few == {"LaMDA", "GPT-3", "Jurassic-1", "Gopher", "MT-NLG"}
    strokes = lines(ax, "|")[0]
    assert strokes[0] == pytest.approx([ASKED[name] for name in names])
    assert {"1,875", "1.7", "0.51", "39", "the refit"} <= set(texts(ax))
    assert "Chinchilla: 20, asked for 17.9" in figure.alt


def test_use_is_drawn_in_three_panels_and_told_in_numbers():
    figure = EXAMPLES["use"]()
    params, ratio, saved = (ax.lines[0].get_xydata().T for ax in figure.figure.axes)
    for line, values in (
        (params, PLANS.params / 1e9),
        (ratio, PLANS.tokens / PLANS.params),
        (saved, PLANS.saved),
    ):
        assert line == pytest.approx(np.array([PLANS.inference_tokens, values]))
    at = 2
    assert (
        f"At 1e+12 tokens: {PLANS.params[at] / 1e9:.3g} billion parameters, "
        f"{PLANS.tokens[at] / PLANS.params[at]:.3g} tokens each, {100 * PLANS.saved[at]:.1f} %"
    ) in figure.alt


def test_best_of_n_shows_every_seed_and_stars_the_peak_of_the_law():
    figure = EXAMPLES["best_of_n"]()
    (ax,) = figure.figure.axes
    dots = [line.get_xydata() for line in ax.lines if line.get_marker() == "."]
    assert len(dots) == 6  # three seeds, two proxies
    assert dots[0][:, 0] == pytest.approx(np.sqrt(KL))
    drawn = np.array([line[:, 1] for line in dots]).reshape(2, 3, -1)  # proxies, seeds, n
    assert drawn == pytest.approx(np.stack([study.gold for study in STUDIES], 1))
    alpha, beta = np.mean([study.law[0] for study in STUDIES], axis=0)
    (star,) = lines(ax, "*")  # the other peak, at d = 6, lies beyond what was tried
    assert star[:, 0] == pytest.approx([alpha / 2 / beta, alpha**2 / 4 / beta], abs=1e-3)
    dashed = [line.get_ydata() for line in ax.lines if line.get_linestyle() == "--"]
    assert np.array(dashed) == pytest.approx(STUDIES[0].proxy)
    assert {"no curve", "64 curves"} <= set(texts(ax))
    highest = N_DRAWN[STUDIES[1].gold[0].argmax()]
    assert f"highest at n = {highest}; fitted α = {alpha:.2f}, β = {beta:.2f}" in figure.alt
    assert figure.digest["no curve"][-2:] == [alpha, beta]
