"""Figures: same arrays, same bytes; words that replace the picture; colours the book can change."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from figure_rules import RULES, drawn_in

from lmlib import corpora
from lmlib.figures import PALETTE, Figure, Table, new_axes, smoothing, sparsity
from lmlib.figures.base import STYLE, log_axis, styled

CHAPTERS = sorted((Path(__file__).parents[1] / "chapters").glob("*.ipynb"))

SHARES = np.linspace(0.1, 0.9, 5)
EXAMPLES = {
    "unseen_by_order": lambda: sparsity.unseen_by_order({"one": SHARES, "two": SHARES + 0.05}),
    "unseen_by_size": lambda: sparsity.unseen_by_size(
        [1000, 10_000], np.array([SHARES + 0.1, SHARES])
    ),
    "zipf": lambda: sparsity.zipf(np.array([1000, 500, 300, 200, 5, 1, 1]), -1.0, (1, 4)),
    "growth": lambda: sparsity.growth(
        [1000, 10_000], np.array([[100, 200, 300, 400, 500], [500, 2000, 4000, 6000, 9000]]), SHARES
    ),
    "seen_how_often": lambda: sparsity.seen_how_often(
        {"once": SHARES, "twice": (1 - SHARES) / 2, "more": (1 - SHARES) / 2}
    ),
    "possible_and_stored": lambda: sparsity.possible_and_stored(
        [10.0**k for k in range(1, 6)], [10, 50, 80, 90, 95], 100
    ),
    "prediction_gap": lambda: sparsity.prediction_gap({"random": np.outer(SHARES, SHARES) / 50}),
    "reach": lambda: sparsity.reach({"few": {2: [1, 0.5], 4: [1, 1]}, "many": {2: [1, 0.5]}}),
    "methods_by_order": lambda: smoothing.methods_by_order(
        np.array([300, 30, 2]), np.array([300, 900, 4000]), METHODS
    ),
    "crossings": lambda: smoothing.crossings(
        [1e3, 1e4, 1e5], METHODS_BY_SIZE, np.array([[1.2, 1.0, 0.9], [1.1, 0.95, 0.97]])
    ),
    "longest_match": lambda: smoothing.longest_match(
        np.arange(400) % 11, np.arange(400) % 11 > np.arange(400) % 10
    ),
    "cure_by_size": lambda: smoothing.cure_by_size(
        [3e3, 1e5], {"counting": np.array([[300, 310], [200, 201]]), "net": np.full((2, 2), 99)}, 78
    ),
    "gain_by_match": lambda: smoothing.gain_by_match(
        ["1", "2", "3+"], np.array([[0.2, 0.1], [0.1, 0.12], [-0.1, -0.2]]), [0.5, 0.3, 0.2]
    ),
}
METHODS = {
    f"{name} Kneser–Ney": np.array([300, 100 + 9 * k, 90 + 9 * k])
    for k, name in enumerate(["modified", "plain", "backoff", "other", "fifth", "sixth", "last"])
}
METHODS_BY_SIZE = {name: 1 + values / 1e4 for name, values in METHODS.items()}


def test_every_figure_of_the_chapter_has_an_example():
    assert drawn_in(sparsity, smoothing) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_figure(rule, name):
    rule(EXAMPLES[name])


def test_a_changed_number_changes_the_digest():
    a = sparsity.unseen_by_order({"one": SHARES, "two": SHARES})
    b = sparsity.unseen_by_order({"one": SHARES * 1.001, "two": SHARES})
    assert repr(a) != repr(b)


@pytest.mark.parametrize("alt", ["", "figure-1", "unseen.png", "A chart."])
def test_a_figure_without_meaningful_alt_text_is_refused(alt):
    figure, _ = styled(new_axes)()
    with pytest.raises(ValueError, match="too short to replace the figure"):
        Figure(figure, alt, {})


def contrast(a, b):
    """WCAG 2 contrast ratio of two hex colours."""

    def luminance(colour):
        c = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [
            0.2126,
            0.7152,
            0.0722,
        ]

    light, dark = sorted([luminance(a), luminance(b)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["ink", "muted", "blue", "vermillion", "green", "purple", "ochre"])
def test_colours_of_text_and_lines_are_legible_on_paper(name):
    assert contrast(PALETTE[name], PALETTE["paper"]) >= 4.5


def test_a_table_is_text_and_accessible_html():
    table = Table(["row", "a<b"], [["x", 1], ["long", 22]], "Caption & more.")
    assert repr(table).splitlines() == ["row   a<b", "x       1", "long   22"]
    html = table._repr_mimebundle_()["text/html"]
    assert '<th scope="row">x</th><td>1</td>' in html
    assert '<th scope="col">a&lt;b</th>' in html
    assert "<caption>Caption &amp; more.</caption>" in html


def test_tables_of_measurements_give_mean_and_range_over_seeds():
    runs = {
        "share": [1.0, 1, 1, 1, 1, 1],
        "seed": [0, 0, 0, 1, 1, 1],
        "model": ["counts", "net", "mixture"] * 2,
        "tokens": [1000.0] * 6,
        "perplexity": [100.0, 90, 80, 110, 92, 84],
        "weight_of_net": [np.nan, np.nan, 0.5, np.nan, np.nan, 0.7],
    }
    text = repr(smoothing.cure_table({name: np.array(column) for name, column in runs.items()}))
    assert "105.0 (100.0–110.0)  91.0 (90.0–92.0)  82.0 (80.0–84.0)  " in text
    assert text.endswith("0.60")


def test_the_table_of_known_texts_shows_the_longest_order_of_each():
    text = repr(smoothing.known_texts_table(corpora.measured("known_texts")))
    assert "5\u00a0words" in text
    assert "3\u00a0words" not in text
    assert "141.19" in text


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [(["", "a"], [["x", 1]], "has no head"), (["row", "a"], [["x"]], "1 cells, not 2")],
)
def test_a_table_needs_heads_and_full_rows(columns, rows, message):
    with pytest.raises(ValueError, match=message):
        Table(columns, rows, "A caption.")


def test_logarithmic_ticks_are_written_out():
    figure, ax = styled(new_axes)()
    log_axis(ax.xaxis, "x", ax)
    ax.set_xlim(0.5, 2e4)
    figure.savefig(io.BytesIO())
    assert {"1", "10", "100", "1,000", "10⁴"} <= {t.get_text() for t in ax.get_xticklabels()}


def test_style_is_not_left_behind():
    import matplotlib as mpl

    before = mpl.rcParams["font.size"]
    EXAMPLES["zipf"]()
    assert mpl.rcParams["font.size"] == before != STYLE["font.size"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_no_stored_figure_lacks_alt_text(path):
    for cell in json.loads(path.read_text("utf8"))["cells"]:
        for output in cell.get("outputs", []):
            if "image/svg+xml" in output.get("data", {}):
                alt = output["metadata"]["image/svg+xml"]["alt"]
                assert len(alt) > 100, cell["id"]
                assert cell["metadata"]["mystnb"]["image"]["alt"] == alt
