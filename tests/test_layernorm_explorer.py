"""The layer-norm chapter's explorables: NumPy, the table of runs and the page say the same."""

import base64
import functools
import gzip
import json
import re
from fractions import Fraction
from html import escape
from pathlib import Path

import numpy as np
import pytest
import site_checks as checks
from explorer_page import (
    STATIC,
    Tables,
    expect_text,
    overflow,
    stays_in_place,
    visits,
    write_pages,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import corpora
from lmlib.figures import trainability
from lmlib.layernorm import VARIANCES
from lmlib.layernorm_explorer import (
    COLLAPSED,
    DESIGNS,
    DIVERGED,
    LEVELS,
    OVER,
    SLIDER,
    VALUES,
    exact_variance,
    float_microscope,
    map_browser,
    stored,
    verdict,
)
from sphinx_ext.site import EXPLORERS, SHARED

ROOT = Path(__file__).parents[1]
SIZE_LIMIT = 9000  # bytes, script and style together, gzipped
DATA_LIMIT = 40_000  # bytes of one element's data
GUESSING = 3.0991
DEPTHS, RATES = (2, 4, 8, 16), (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@functools.cache
def browser_of_maps():
    return map_browser(GUESSING)


@functools.cache
def microscope():
    return float_microscope()


@functools.cache
def losses():
    """design → (depths, rates, seeds), as the chapter reads them; the same for the dependence."""
    runs = corpora.measured("layernorm_maps")
    return tuple(
        {name: runs[column][runs["design"] == name].reshape(4, 5, 3) for name in DESIGNS}
        for column in ("held_out", "dependence")
    )


def steps_of(runs):
    return [name for name in runs if name.startswith("to_")]


# ------------------------------------------------------------------------------ the maps in Python
def test_maps_speak_the_language_of_the_figures():
    assert LEVELS == trainability.LEVELS and DIVERGED == trainability.DIVERGED
    runs = corpora.measured("layernorm_maps")
    assert {*DESIGNS} == {*runs["design"]} and len(DESIGNS) == 13
    table = trainability.tolerance_table(losses()[0], DEPTHS, GUESSING)
    for name, learned, diverged, *_ in table.rows:
        found = [verdict(*runs, GUESSING) for runs in runs_of(name)]
        assert f"{found.count('learned')} of 20" == learned
        assert str(sum(word.endswith("diverged") for word in found)) == diverged


def runs_of(name):
    """(held-out losses, dependences) of the 20 cells of a design."""
    return zip(*(which[name].reshape(20, 3) for which in losses()), strict=True)


def test_collapsed_is_a_clear_case():
    """No seed that fails lies near the bound, so the word does not hang on it."""
    held_out, dependence = (np.array([*which.values()]) for which in losses())
    fails = (
        (held_out >= GUESSING) & (held_out < DIVERGED) & ~(held_out >= DIVERGED).any(-1)[..., None]
    )
    fails &= ~np.isnan(held_out).any(-1)[..., None]
    low = dependence[fails] < COLLAPSED
    assert 40 < low.sum() < fails.sum()
    assert dependence[fails][low].max() < 0.09 and dependence[fails][~low].min() > 0.3
    slow = {n for n, runs in zip(DESIGNS, map(runs_of, DESIGNS), strict=True)
            for r in runs if verdict(*r, GUESSING).endswith("guessing")}  # fmt: skip
    assert slow == {"rezero"}


@settings(max_examples=200)
@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from([2.4, 3.0, GUESSING, 3.2, 9.9, DIVERGED, 50.0, None]),
            st.sampled_from([0.0, 0.05, 0.1, 0.4]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_verdict_is_what_it_says(runs):
    seeds, found = len(runs), verdict(*zip(*runs, strict=True), GUESSING)
    broken = [loss for loss, _ in runs if loss is None or loss >= DIVERGED]
    failed = [dependence for loss, dependence in runs if loss is not None and loss >= GUESSING]
    if broken:
        assert found == f"{len(broken)} of {seeds} diverged"
    elif not failed:
        assert found == "learned"
    else:
        word = "collapsed" if max(failed) < COLLAPSED else "no better than guessing"
        assert found == f"{len(failed)} of {seeds} {word}"


def test_data_hold_the_table_of_runs():
    view, runs = browser_of_maps().view, corpora.measured("layernorm_maps")
    assert view == json.loads(json.dumps(view))
    assert view["depths"] == [*DEPTHS] and view["rates"] == [*RATES]
    assert view["steps"] == [int(name[3:]) for name in steps_of(runs)]
    packed = np.frombuffer(base64.b64decode(view["curves"]), "<u2").reshape(13, 4, 5, 3, -1)
    for k in range(runs["seed"].size):
        place = (
            [*DESIGNS].index(runs["design"][k]),
            view["depths"].index(int(runs["depth"][k])),
            view["rates"].index(runs["learning_rate"][k]),
            int(runs["seed"][k]),
        )
        for name, digits in (("held_out", 5e-5), ("dependence", 5e-5)):
            found = functools.reduce(lambda part, at: part[at], place, view[name])
            np.testing.assert_allclose(
                np.nan if found is None else found, runs[name][k], rtol=0, atol=digits
            )
        curve = np.array([runs[name][k] for name in steps_of(runs)])
        over = ~(curve < OVER / 1e4)
        assert (packed[place][over] == OVER).all()
        np.testing.assert_allclose(packed[place][~over] / 1e4, curve[~over], rtol=0, atol=1e-9)


# -------------------------------------------------------------------------- the numbers in Python
finite = st.floats(-100, 100, width=32)


@given(values=st.lists(finite, min_size=2, max_size=7), offset=st.sampled_from(SLIDER))
def test_exact_variance_is_exact(values, offset):
    x = [Fraction(float(np.float32(np.float64(v) + offset))) for v in values]
    assert stored(values, [offset])[0].tolist() == [float(v) for v in x]
    n = len(x)
    pairs = sum((a - b) ** 2 for a in x for b in x) / (2 * n * n)  # the variance, without a mean
    assert exact_variance(stored(values, [offset])[0]) == float(pairs)


def test_microscope_shows_what_it_promises():
    view = microscope().view
    assert view == json.loads(json.dumps(view)) and view["offset"] == 1000
    x = stored(VALUES, view["offsets"])
    for name, variance in VARIANCES.items():
        assert view["variances"][name] == variance(x).tolist()
    assert view["exact"] == [exact_variance(row) for row in x]
    error = {
        k: np.abs(np.subtract(v, view["exact"])) / view["exact"]
        for k, v in view["variances"].items()
    }
    assert error["naive"][3] > 0.05 and error["naive"][4] > 10
    assert max(*error["careful"], *error["shifted"]) < 1e-6
    assert 100_000 in view["offsets"] and min(view["variances"]["naive"]) < 0
    assert float_microscope(6300).view["offsets"].count(6300) == 1
    negative = [o for o, v in zip(SLIDER, naive_on_the_slider(), strict=True) if v < 0]
    assert negative[0] == 6300 and len(negative) >= 5  # the reader meets one on the way up


def naive_on_the_slider():
    return VARIANCES["naive"](stored(VALUES, SLIDER))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: map_browser(GUESSING, "post", "poste"), "no design 'poste'; there are: post, pre"),
        (lambda: map_browser(GUESSING, first="Pre"), "no design 'Pre'"),
        (lambda: map_browser(2.8), "costs 2.8 nats. Expected a loss between 2.8 and 10"),
        (lambda: map_browser(float("nan")), "costs nan nats"),
        (lambda: float_microscope(1234), "no offset 1234: the nearest is 1300"),
        (lambda: float_microscope(values=[1.0]), r"2 to 7 numbers .* got \[1.0\]"),
        (lambda: float_microscope(values=[1.0] * 8), "2 to 7 numbers"),
        (lambda: float_microscope(values=[1.0, 101.0]), "between -100 and 100"),
        (lambda: float_microscope(values=[1.0, float("nan")]), "between -100 and 100"),
    ],
)
def test_what_cannot_be_shown_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# ------------------------------------------------------------------------------- static fallback
def test_static_map_has_the_numbers():
    found = Tables(browser_of_maps().html)
    assert len(found.captions) == 1 and "Guessing by frequency costs 3.10" in found.captions[0]
    assert escape(DESIGNS["pre"]) in escape(found.captions[0])
    assert found.scopes == ["col"] * 3 + ["row"] * 20
    heads, *rows = found.rows
    assert heads[1:] == ["post", "pre"]
    expected = zip(*(runs_of(name) for name in ("post", "pre")), strict=True)
    settings_ = [f"{depth} layers, {rate:g}" for depth in DEPTHS for rate in RATES]
    for setting, row, both in zip(settings_, rows, expected, strict=True):
        assert row[0] == setting
        for cell, (loss, dependence) in zip(row[1:], both, strict=True):
            numbers = f"{loss.mean():.2f} ± {np.ptp(loss) / 2:.2f} ({dependence.mean():.2f})"
            word = verdict(loss, dependence, GUESSING)
            assert cell == (numbers if word == "learned" else f"{numbers}, {word}")
    assert "3 of 3 diverged" in map_browser(GUESSING, "none", "none scaled").text


def test_static_microscope_has_the_numbers():
    found, view = Tables(microscope().html), microscope().view
    assert found.scopes == ["col"] * 7 + ["row"] * 7 + ["col"] * 3 + ["row"] * 4
    for k, (offset, exact, *cells) in enumerate(found.rows[1:8]):
        assert offset == f"{view['offsets'][k]:,.0f}" and float(exact) == pytest.approx(
            view["exact"][k], rel=1e-6
        )
        assert cells == [f"{view['variances'][name][k]:.7g}" for name in VARIANCES]
    x = stored(VALUES, [1000])[0]
    lost = {row[0]: row[1:] for row in found.rows[9:]}
    assert lost["mean of the squares"] == [f"{np.mean(x * x):,.4f}", "0.0625"]
    assert lost["square of the mean"] == [f"{np.mean(x) ** 2:,.0f}", "0.0625"]
    assert lost["their difference, the naive variance"][0] == "0.8125"


@pytest.mark.parametrize("make", [browser_of_maps, microscope])
def test_data_survive_html_and_text_has_every_number(make):
    found = Tables(make().html)
    assert found.data == [make().view]
    size = len(re.search(r'data-view="([^"]*)"', make().html)[1].encode())
    assert size <= DATA_LIMIT
    bundle = make()._repr_mimebundle_()
    assert bundle["text/plain"] == repr(make()) == repr(make.__wrapped__())
    assert bundle["text/html"] == make.__wrapped__().html
    for row in found.rows:
        assert all(cell in bundle["text/plain"] for cell in row)


# -------------------------------------------------------------------------------------- the page
def test_size_and_registration():
    both = [(STATIC / f"layernorm-explorer.{kind}").read_bytes() for kind in ("js", "css")]
    assert len(gzip.compress(b"".join(both), 9)) <= SIZE_LIMIT
    for element in ("lm-map-browser", "lm-float-microscope"):
        assert EXPLORERS[element] == "layernorm-explorer"
    assert all((STATIC / f"{name}.{kind}").is_file() for name in (SHARED, *EXPLORERS.values())
               for kind in ("js", "css"))  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    maps, lens = browser_of_maps().html, microscope().html
    write_pages(root, "layernorm-explorer", maps=[maps], lens=[lens], both=[maps, lens, maps, lens])
    yield from checks.serve(root)


browser = pytest.fixture(scope="module")(checks.open_browser)


@pytest.fixture
def visit(browser, base):
    yield from visits(browser, base)


def expect_says(tab, pattern):
    """Wait until the (first) headline matches."""
    expect_text(tab, ".lm-x-says", pattern)


def test_page_computes_the_bits_of_numpy(visit):
    rng, asked = np.random.default_rng(3), [(VALUES, offset) for offset in SLIDER]
    for seed in range(200):
        values = rng.normal(size=2 + seed % 6).round(seed % 8).tolist()
        asked.append((values, float(rng.choice(SLIDER))))
    asked += [([5.0, 5.0, 5.0], 1000.0), ([0.0, 0.0], 1.0), ([-100.0, 100.0], 1e6)]
    tab = visit("lens")
    found = tab.evaluate(
        """asked => asked.map(([values, offset]) =>
            document.querySelector("lm-float-microscope").look(values, offset))""",
        asked,
    )
    negative = 0
    for (values, offset), answer in zip(asked, found, strict=True):
        x = stored(values, [offset])
        assert answer["x"] == x[0].tolist()
        for name, variance in VARIANCES.items():
            assert answer["ways"][name] == variance(x)[0], (name, values, offset)
        assert answer["squares"] == (x * x).mean(-1)[0] and answer["square"] == (x.mean(-1) ** 2)[0]
        assert answer["exact"] == pytest.approx(exact_variance(x[0]), rel=1e-12, abs=0)
        negative += answer["ways"]["naive"] < 0
    assert negative > 10 and tab.problems == []


CELLS = """() => document.querySelector("lm-map-browser").panels.map(panel => panel.cells.map(
    line => line.map(cell => [cell.textContent, cell.className, cell.ariaLabel])))"""


def test_map_shows_every_cell_of_the_table(visit):
    tab = visit("maps")
    names = [*DESIGNS]
    for first, second in zip(names, [*names[1:], names[0]], strict=True):
        tab.get_by_label("First design").select_option(first)
        tab.get_by_label("Second design").select_option(second)
        for name, panel, counts in zip(
            (first, second),
            tab.evaluate(CELLS),
            tab.locator(".lm-m-maps > div > span").all(),
            strict=True,
        ):
            loss = losses()[0][name]
            mean, diverged = trainability._mean(loss), trainability._diverged(loss)
            learned = (loss < GUESSING).all(-1)
            for place in np.ndindex(4, 5):
                text, kind, label = panel[place[0]][place[1]]
                shade = np.searchsorted(LEVELS, mean[place], side="right")
                word = verdict(loss[place], losses()[1][name][place], GUESSING)
                expected = (
                    "diverged" if diverged[place] else f"shade{shade}" if learned[place] else "bad"
                )
                assert kind == f"lm-m-cell lm-m-{expected}" and label == f"{text}, {word}"
                assert text == ("×" if diverged[place] else f"{mean[place]:.2f}")
            count = f"learned in {learned.sum()} of 20"
            count += f", diverged in {diverged.sum()}" if diverged.any() else ""
            assert counts.text_content() == count
    assert tab.problems == []


PATHS = """[...document.querySelectorAll(".lm-m-chart path")].map(
    path => [path.className.baseVal, path.getAttribute("d")])"""


def test_curves_are_those_of_the_runs(visit):
    tab, runs = visit("maps"), corpora.measured("layernorm_maps")
    tab.get_by_role("button", name="none / none scaled").click()
    for depth, rate in ((2, 0.01), (16, 0.03), (4, 0.0003)):
        cell = tab.locator("lm-map-browser").evaluate_handle(
            "(e, at) => e.panels[0].cells[at[0]][at[1]]", [DEPTHS.index(depth), RATES.index(rate)]
        )
        cell.as_element().click()
        expect_says(tab, f"^Depth {depth}, learning rate {rate:g}")
        paths = tab.evaluate(PATHS)
        assert [kind for kind, _ in paths] == ["lm-m-side0"] * 3 + ["lm-m-side1"] * 3
        for k, (_, path) in enumerate(paths):
            row = (runs["design"] == ("none", "none scaled")[k // 3]) & (runs["depth"] == depth)
            row &= (runs["learning_rate"] == rate) & (runs["seed"] == k % 3)
            curve = np.array([runs[name][row][0] for name in steps_of(runs)])
            points = np.array(re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path), float)
            np.testing.assert_allclose(
                200 * points[:, 0], [int(n[3:]) for n in steps_of(runs)], atol=0.02
            )
            shown = 5.2 - 3 * points[:, 1]
            np.testing.assert_allclose(shown, np.where(curve < 6.5535, curve, 6.5535), atol=2e-4)
    legend = tab.locator(".lm-m-runs li").first.text_content()
    loss = losses()[0]["none"][1, 0]
    assert legend.endswith(", ".join(f"{v:.2f}" for v in loss))
    assert "each seed" in tab.locator(".lm-m-chart").get_attribute("aria-label")


def test_a_reader_with_a_keyboard_only_finds_every_cell(visit):
    tab = visit("maps")
    press = tab.keyboard.press
    while tab.evaluate("document.activeElement.tagName") != "SELECT":
        press("Tab")
    assert tab.evaluate("document.activeElement.labels[0].textContent") == "First design"
    press("Tab")  # into the grid, where one cell is a stop
    focus = "document.activeElement.getAttribute('aria-label')"
    assert tab.evaluate(focus) == "3.09, 2 of 3 collapsed"
    outline = "getComputedStyle(document.activeElement).outlineWidth"
    assert tab.evaluate(outline) == "3px"
    expect_says(tab, r"^Depth 8, learning rate 0.003. post: 2 of 3 collapsed, held-out loss "
                     r"3.09 ± 0.05, dependence 0.05. pre: learned, held-out loss 2.53 ± 0.01, "
                     r"dependence 0.41. $")  # fmt: skip
    for key, says in (
        ("ArrowUp", "Depth 16, learning rate 0.003"),
        ("ArrowUp", "Depth 16, learning rate 0.003"),  # the edge holds
        ("ArrowLeft", "Depth 16, learning rate 0.001"),
        ("ArrowDown", "Depth 8, learning rate 0.001"),
        ("End", "Depth 8, learning rate 0.03"),
        ("ArrowRight", "Depth 8, learning rate 0.03"),
        ("Home", "Depth 8, learning rate 0.0003"),
    ):
        press(key)
        expect_says(tab, f"^{says}. post: .* pre: ")
    assert tab.locator("td[tabindex='0']").count() == 2  # one stop in each map
    selected = tab.locator("td[aria-selected=true]").all_inner_texts()
    assert selected == ["2.97", "2.88"]
    press("Tab")
    press("Tab")
    press("ArrowUp")
    expect_says(tab, "^Depth 16, learning rate 0.0003")
    assert tab.evaluate(focus) == "2.86, learned" and tab.problems == []


def test_pointing_and_tapping(visit):
    tab = visit("maps")
    first = tab.get_by_role("grid", name="post:")
    first.get_by_text("2.71").hover()
    expect_says(tab, "^Depth 8, learning rate 0.001. post: learned, held-out loss 2.71 ± 0.10")
    assert tab.evaluate("document.activeElement.tagName") == "BODY"  # pointing moves no focus
    tab = visit("maps", width=390, has_touch=True, is_mobile=True)
    tab.get_by_role("grid", name="pre:").get_by_text("2.78").tap()
    expect_says(tab, "^Depth 16, learning rate 0.03. post: 3 of 3 collapsed, .*0.00. pre: learned")
    tab.get_by_role("button", name="none / none scaled").tap()
    expect_says(tab, "none: 3 of 3 diverged. none scaled: learned, held-out loss 2.60")
    tab.get_by_label("First design").select_option("rezero")
    tab.get_by_role("grid", name="rezero:").get_by_text("3.50").tap()
    expect_says(
        tab, "rezero: 3 of 3 no better than guessing, held-out loss 3.50 ± 0.02, dep.* 0.34"
    )
    assert tab.problems == []


BITS = """() => document.querySelector("lm-float-microscope").bits.map(row =>
    [row.value.textContent, row.cells.map(c => [c.className, c.textContent])])"""


def test_bits_are_those_of_the_numbers(visit):
    tab = visit("lens")
    slider = tab.get_by_role("slider")
    for k, offset in enumerate(SLIDER):
        slider.fill(str(k))
        x = stored(VALUES, [offset])[0]
        squares, square = np.mean(x * x), np.float32(np.mean(x) ** 2)
        naive, exact = squares - square, exact_variance(x)
        last = float(np.spacing(square))
        rows = tab.evaluate(BITS)
        for row, (value, step) in enumerate(
            ((squares, last), (square, last), (naive, last), (exact, 0.0))
        ):
            text, cells = rows[row]
            assert len(cells) == 48
            shown = sum(2.0 ** (39 - j) for j, (_, digit) in enumerate(cells) if digit == "1")
            floor = max(step, 2.0**-8)
            assert shown == abs(float(value)) // floor * floor, (offset, row)
            gone = [2.0 ** (39 - j) for j, (kind, _) in enumerate(cells) if "lm-m-gone" in kind]
            assert gone == [2.0**p for p in range(39, -9, -1) if 2.0**p < step]
            if row < 2:
                in_full, said = text.split("; ")
                last_bit = float(said.removeprefix("its last bit is worth ").replace(",", ""))
                assert last_bit == pytest.approx(float(np.spacing(value)), rel=5e-3)
                assert float(in_full.replace(",", "")) == pytest.approx(float(value), rel=1e-12)
        same = [["lm-m-same" in kind for kind, _ in rows[row][1]] for row in (0, 1)]
        digits = [[digit for _, digit in rows[row][1]] for row in (0, 1)]
        above = next((j for j in range(48) if digits[0][j] != digits[1][j]), 48)
        for row in (0, 1):
            expected = [j < above and digits[row][j] != "" for j in range(48)]
            assert same[row] == expected or above == 48
    assert tab.problems == []


def number(value, digits=13):
    """As the page writes it: rounded to some digits, with commas in its whole part."""
    text = np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")
    whole, *rest = text.split(".")
    return ".".join([f"{int(whole):,}", *rest])


def test_the_moment_the_variance_turns_negative_is_named(visit):
    tab = visit("lens")
    expect_says(
        tab, "^At offset 1,000 the naive variance is 0.8125; exact is 0.9033256. .* 10\u00a0%"
    )
    negative = [o for o, v in zip(SLIDER, naive_on_the_slider(), strict=True) if v < 0]
    jump = tab.get_by_role("button", name="next offset with a negative variance")
    for offset in (*negative, negative[0]):  # and round again
        jump.click()
        naive = naive_on_the_slider()[SLIDER.index(offset)]
        expect_says(tab, f"^At offset {offset:,.0f} the naive variance is −{-naive:.0f}; .* It is "
                         "negative, .* NaN.$")  # fmt: skip
        row = tab.locator(".lm-m-rows .lm-m-negative").inner_text()
        assert row.startswith("their difference") and ", negative" in row
        assert tab.locator("tr.lm-m-negative th").inner_text().startswith("naive")
        assert tab.locator("tr.lm-m-negative").count() == 1
    assert tab.locator(".lm-m-over .lm-m-dot").count() == len(negative)
    slider = tab.get_by_role("slider")
    slider.fill(str(SLIDER.index(1e6)))
    expect_says(tab, "naive variance is 0; .* count as equal")
    slider.fill(str(SLIDER.index(10_000)))
    expect_says(tab, "wrong by 2,?600\u00a0%: most of the bits")
    assert tab.locator(".lm-m-negative").count() == 0
    slider.fill("0")
    expect_says(tab, "All five agree to six digits")
    assert slider.get_attribute("aria-valuetext") == "1" and tab.problems == []


def test_table_and_note_of_the_microscope(visit):
    tab = visit("lens")
    tab.get_by_role("slider").fill(str(SLIDER.index(100_000)))
    expect_says(tab, "^At offset 100,000")
    x = stored(VALUES, [100_000])
    rows = tab.locator(".lm-m-ways tbody tr")
    for k, (name, variance) in enumerate(VARIANCES.items()):
        head, value, error = rows.nth(k).locator("th, td").all_inner_texts()
        assert head.startswith(name) and value.replace("−", "-") == f"{variance(x)[0]:.7g}"
        wrong = abs(float(variance(x)[0]) - exact_variance(x[0])) / exact_variance(x[0])
        assert float(error.replace("−", "-")) == pytest.approx(float(f"{wrong:.0e}"))
    note = tab.locator(".lm-m-numbers").text_content()
    assert note.endswith("multiples of 0.00781.") and "0.3, −1.2, 0.8" in note
    for value in x[0]:
        assert number(value, 9) in note
    paths = [kind for kind, _ in tab.evaluate(PATHS)]
    assert sorted(paths) == [f"lm-m-way{k}" for k in range(5)]


def test_other_numbers(visit):
    tab = visit("lens")
    draw = tab.get_by_role("button", name="other numbers")
    before = tab.locator(".lm-m-numbers").text_content()
    draw.click()
    assert tab.locator(".lm-m-numbers").text_content() != before
    values = tab.evaluate("document.querySelector('lm-float-microscope').values")
    assert len(values) == 6 and all(abs(v) <= 6 and round(v, 1) == v for v in values)
    naive = VARIANCES["naive"](stored(values, [1000]))[0]
    expect_says(tab, f"naive variance is {re.escape(f'{naive:.7g}'.replace('-', '−'))};")
    tab.evaluate("document.querySelector('lm-float-microscope').values = [1, 1.5]")
    tab.get_by_role("slider").fill("0")
    expect_says(tab, "exact is 0.0625")
    if not (VARIANCES["naive"](stored([1, 1.5], SLIDER)) < 0).any():
        tab.get_by_role("button", name="next offset").click()
        expect_says(tab, "never negative")


def test_two_of_each_keep_their_own_state(visit):
    tab = visit("both")
    tab.wait_for_load_state("networkidle")
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids)) and len(ids) > 4
    one, two = tab.locator("lm-map-browser").all()
    one.get_by_role("button", name="pre / none scaled").click()
    assert two.locator("select").first.input_value() == "post"
    assert not [url for url in tab.requests if re.search(r"csv|json", url)] and tab.problems == []


def test_without_scripts_and_in_print_there_are_tables(visit):
    tab = visit("both", java_script_enabled=False, width=390)
    assert tab.locator("table").count() == 6
    assert all(table.is_visible() for table in tab.locator("table").all())
    tab = visit("both")
    assert not tab.locator("[data-view] > div:not(.lm-x-live) table").first.is_visible()
    tab.emulate_media(media="print")
    assert tab.locator("[data-view] > div:not(.lm-x-live) table").first.is_visible()
    assert not tab.locator(".lm-x-live").first.is_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_and_within_the_screen(visit, theme, width):
    tab = visit("both", theme=theme, width=width, reduced_motion="reduce")
    assert overflow(tab) <= 0 and checks.axe_violations(tab) == []
    tab.get_by_role("button", name="none / none scaled").first.click()
    tab.get_by_role("slider").first.fill(str(SLIDER.index(6300)))
    expect_says(tab, "none scaled: learned")
    assert overflow(tab) <= 0 and checks.axe_violations(tab) == []
    tab.get_by_role("slider").first.fill("60")
    for narrow in (320, 700):
        tab.set_viewport_size({"width": narrow, "height": 800})
        assert overflow(tab) <= 0
    moving = """[...document.querySelectorAll(".lm-x-live *")].filter(
        e => getComputedStyle(e).transitionDuration !== "0s").length"""
    assert tab.evaluate(moving) == 0


@pytest.mark.parametrize("page", ["maps", "lens"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_when_the_script_arrives(visit, page, width):
    assert stays_in_place(visit, "layernorm-explorer", page, width)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_while_the_reader_plays(visit, width):
    tab = visit("both", width=width)
    height = "[...document.querySelectorAll('[data-view]')].map(e => e.offsetHeight)"
    before = tab.evaluate(height)
    for first, second in (("none", "none scaled"), ("rezero", "post warm-up")):
        tab.get_by_label("First design").first.select_option(first)
        tab.get_by_label("Second design").first.select_option(second)
    expect_says(tab, "rezero: .* post warm-up: ")
    for k in (0, 15, 38, 60):
        tab.get_by_role("slider").first.fill(str(k))
    tab.wait_for_timeout(300)
    assert np.abs(np.subtract(tab.evaluate(height), before)).max() <= (3 if width > 600 else 45)
