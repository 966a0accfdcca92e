"""The figures of the LayerNorm chapter, held to what every figure of the book keeps."""

import numpy as np
import pytest
from figure_rules import RULES, drawn_in
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from lmlib.figures import PALETTE, layernorm, trainability

RNG = np.random.default_rng(0)
CLOUD = RNG.normal(size=(40, 3)) + 1
PLANE = CLOUD - CLOUD.mean(1, keepdims=True)
SPHERE = PLANE / PLANE.std(1, keepdims=True)
DEPTHS, RATES, GUESSING = (2, 4, 8, 16), (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), 2.95
LOSS = np.linspace(2.2, 3.3, 60).reshape(4, 5, 3)
BROKEN = np.where(np.arange(5)[:, None] > 2, np.nan, LOSS)
BY_DEPTH = {
    name: np.outer(np.array(DEPTHS, float) ** power, [0.9, 1, 1.1])
    for name, power in {"post": 0, "pre": -0.5, "peri": -0.4, "reordered": -0.45, "none": 2}.items()
}
EXAMPLES = {
    "geometry": lambda: layernorm.geometry(
        {"x": CLOUD, "x − mean": PLANE, "x̂": SPHERE}, followed=(0, 1, 2)
    ),
    "leak": lambda: layernorm.leak(
        {"LayerNorm": np.triu(np.ones((8, 8))), "BatchNorm": np.full((8, 8), 0.1)}
    ),
    "variance_errors": lambda: layernorm.variance_errors(
        (1e0, 1e2, 1e4, 1e6),
        {name: [1e-7, 1e-6, 1e-3, 10.0**k] for k, name in enumerate("abcde")},
        (0, 0, 0.3, 0.4),
    ),
    "gradient_by_depth": lambda: layernorm.gradient_by_depth(
        DEPTHS, BY_DEPTH, dict.fromkeys(BY_DEPTH, -0.5)
    ),
    "gradient_by_layer": lambda: layernorm.gradient_by_layer(
        {"post": np.linspace(2, 1, 24), "pre": np.linspace(1, 0.2, 24)}
    ),
    "amplification_by_depth": lambda: layernorm.amplification_by_depth(DEPTHS, BY_DEPTH),
    "maps": lambda: trainability.maps(
        {f"design {k}": BROKEN if k % 2 else LOSS for k in range(12)}, DEPTHS, RATES, GUESSING
    ),
    "curves": lambda: trainability.curves(
        (1, 10, 100, 200),
        {"post, no warm-up": np.full((3, 4), 3.2), "pre": np.linspace(4, 2, 12).reshape(3, 4)},
        GUESSING,
        top=4.2,
    ),
    "held_out_by": lambda: trainability.held_out_by(
        (1, 4, 16), {"LayerNorm": LOSS[0, :3], "BatchNorm": BROKEN[1, 1:4]}, "batch"
    ),
    "learned_by_heart": lambda: trainability.learned_by_heart(
        {"pre": [3, 2, 1.5], "none": [3, 2.1, 1.6]}, {"pre": [3, 2.5, 2.8], "none": [3, 2.4, 2.6]}
    ),
}


def test_every_figure_has_an_example():
    assert drawn_in(layernorm, trainability) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_figure(rule, name):
    rule(EXAMPLES[name])


# ----------------------------------------------------------------- what is drawn is what was given
def squares(figure):
    """(x, y, colour, alpha) of the cells of each panel."""
    return [
        [
            (p.get_x() + 0.5, p.get_y() + 0.5, to_hex(p.get_facecolor()), p.get_alpha())
            for p in cells
        ]
        for ax in figure.figure.axes
        if (cells := [p for p in ax.patches if isinstance(p, Rectangle)])
    ]


def test_a_map_shades_by_loss_and_marks_what_does_not_learn():
    loss = np.array([[[2.49], [2.5], [2.79]], [[2.94], [2.95], [10.0]]])
    loss = np.concatenate([loss, np.full((1, 3, 1), np.nan)]).repeat(3, axis=2)
    figure = trainability.maps({"a design": loss}, (2, 4, 8), (1e-3, 1e-2, 1e-1), GUESSING)
    cells = squares(figure)[-1]  # after the legend
    blue, muted, red = (PALETTE[colour] for colour in ("blue", "muted", "vermillion"))
    expected = [(blue, 0.95), (blue, 0.62), (blue, 0.36), (blue, 0.16), (muted, 0.25), (red, 0.45)]
    expected += [(red, 0.45)] * 3
    assert [(colour, alpha) for *_, colour, alpha in cells] == expected
    assert [(x, y) for x, y, *_ in cells] == [(x, y) for y in range(3) for x in range(3)]
    marks = [[t.get_text() for t in ax.texts] for ax in figure.figure.axes]
    assert ["", "", "", "", "–", "×", "×", "×", "×"] in marks


def test_a_cell_with_one_diverged_seed_has_diverged():
    loss = np.full((1, 2, 3), 2.5)
    loss[0, 1, 2] = np.nan
    figure = trainability.maps({"a design": loss}, (2,), (1e-3, 1e-2), GUESSING)
    assert "1 of 2 cells below guessing, 1 diverged, best loss by depth 2.50." in figure.alt
    assert figure.digest["a design"] == [1, 1, 2.5]
    table = trainability.tolerance_table({"a design": loss}, (2,), GUESSING)
    assert table.rows == [["a design", "1 of 2", "1", "2.50"]]
    loss[0, 1, 2] = 3.0  # one seed learns nothing, and the mean is below guessing
    cells = squares(trainability.maps({"a design": loss}, (2,), (1e-3, 1e-2), GUESSING))[-1]
    assert [colour for _, _, colour, _ in cells] == [PALETTE["blue"], PALETTE["muted"]]
    table = trainability.tolerance_table({"a design": loss}, (2,), GUESSING)
    assert table.rows == [["a design", "1 of 2", "0", "2.50"]]
    loss[:] = 3.0  # it learns nothing, without diverging
    table = trainability.tolerance_table({"a design": loss}, (2,), GUESSING)
    assert table.rows == [["a design", "0 of 2", "0", "3.00"]]
    loss[:] = np.nan
    table = trainability.tolerance_table({"a design": loss}, (2,), GUESSING)
    assert table.rows == [["a design", "0 of 2", "2", "–"]]
    figure = trainability.maps({"a design": loss}, (2,), (1e-3, 1e-2), GUESSING)
    assert "0 of 2 cells below guessing, 2 diverged, best loss by depth none." in figure.alt


def test_the_legend_of_the_maps_has_their_shades():
    figure = EXAMPLES["maps"]()
    shades, marks, first, second, *_ = squares(figure)
    legend = {(colour, alpha) for *_, colour, alpha in shades + marks}
    assert {(colour, alpha) for *_, colour, alpha in first + second} == legend
    assert [t.get_text() for t in figure.figure.axes[0].texts if t.get_text()] == [
        f"below {bound} nats" for bound in ("2.5", "2.6", "2.8", "2.95")
    ]
    heights = {alpha: y for _, y, _, alpha in shades}
    assert sorted(heights, reverse=True) == sorted(heights, key=heights.get, reverse=True)
    assert min(y for _, y, *_ in shades) == 0, "the panel shows rows 0 to 3"


def test_a_leak_into_the_past_has_a_colour_of_its_own():
    change = np.zeros((3, 3))
    change[0, 2] = change[1, 1] = 0.5  # the token itself, and what comes after
    change[2, 0] = 0.25  # what came before
    figure = layernorm.leak({"a": change})
    (cells,) = squares(figure)
    assert {(x, y): colour for x, y, colour, _ in cells} == {
        (3, 1): PALETTE["blue"],
        (2, 2): PALETTE["blue"],
        (1, 3): PALETTE["vermillion"],
    }
    assert figure.digest["a"] == [1 / 3, 0.25, 0.5]
    assert "a: 1 of 3 outputs before the changed token move, the most by 0.25." in figure.alt


def test_the_geometry_is_seen_without_distortion():
    figure = layernorm.geometry({"x": CLOUD, "x̂": SPHERE}, followed=(3,))
    points = []
    for ax in figure.figure.axes[:4:2]:  # both views of the first stage
        points.append(ax.lines[0].get_xydata())
    side, along = points
    assert np.array_equal(side[:, 0], along[:, 0])
    rebuilt = np.column_stack([side, along[:, 1]])
    np.testing.assert_allclose(rebuilt @ rebuilt.T, CLOUD @ CLOUD.T, atol=1e-12)
    np.testing.assert_allclose(side[:, 1], CLOUD.mean(1) * 3**0.5)
    np.testing.assert_allclose(figure.digest["x̂"], [0, 3**0.5, 3**0.5], atol=1e-12)


def test_means_dots_and_gaps_of_held_out_by():
    figure = EXAMPLES["held_out_by"]()
    assert "BatchNorm: 2.55 ± 0.02, 2.61 ± 0.02, not possible." in figure.alt
    names = {t.get_text(): t.xy for t in figure.figure.axes[0].texts}
    assert names["LayerNorm"][0] == 16
    assert names["BatchNorm"][0] == 4, "the name stands at the last point there is"


def test_amplification_is_told_by_its_median():
    ratios = {
        "pre": np.array([[1.0, 2, 9], [3, 4, 50]]),
        "post": np.array([[1.0, 1, 1], [9, 9, 9]]),
    }
    figure = layernorm.amplification_by_depth((2, 4), ratios)
    assert list(figure.digest["pre"]) == [2, 4]
    every, alone = figure.figure.axes
    drawn = [line.get_ydata().tolist() for ax in (every, alone) for line in ax.lines]
    assert drawn.count([2.0, 4.0]) == 2, "once among all, once alone"
    assert [1, 2, 9, 3, 4, 50] in drawn, "a dot for each seed"
    assert all(
        line.get_xdata().tolist() == [2, 2, 2, 4, 4, 4]
        for line in every.lines
        if len(line.get_xdata()) == 6
    )
    assert {t.get_text(): t.xy[0] for t in every.texts} == {"pre": 4, "post": 4}
    assert "each step to the right adds 2.0e+00 to 2.0e+00" in figure.alt


def test_studies_table_gives_mean_and_half_the_range():
    table = trainability.studies_table(
        {"a": np.array([[1.0, 1.2, 1.1], [np.nan, 1, 1]])}, ["0.001", "0.01"], "design", "Caption."
    )
    assert table.rows == [["a", "1.10 ± 0.10", "not possible"]]
    assert table.columns == ["design", "0.001", "0.01"]


def test_a_changed_number_changes_the_digest():
    changed = {name: norm * 1.001 for name, norm in BY_DEPTH.items()}
    power = dict.fromkeys(BY_DEPTH, -0.5)
    before = layernorm.gradient_by_depth(DEPTHS, BY_DEPTH, power)
    after = layernorm.gradient_by_depth(DEPTHS, changed, power)
    for name in BY_DEPTH:
        np.testing.assert_allclose(after.digest[name], 1.001 * before.digest[name])
        np.testing.assert_allclose(before.digest[name], BY_DEPTH[name].mean(1))
