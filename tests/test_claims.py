"""The prose is held to its numbers: the claims machinery, and every chapter's claims."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmlib.claims import Claims, numbers_in, prose, unsupported
from sphinx_ext.claims import MIME, read_verdicts

CHAPTERS = sorted((Path(__file__).parents[1] / "chapters").glob("*.ipynb"))


# ------------------------------------------------------------------------------ reading numbers
@pytest.mark.parametrize(
    ("phrase", "values"),
    [
        ("21.1 % of the pairs", [0.211]),
        ("from 1,022 to 198,286 tokens", [1022, 198286]),
        ("reach 2.7 × 10¹⁹", [2.7e19]),
        ("a slope of −1.12", [-1.12]),
        ("one in 4.6 × 10^-11", [4.6e-11]),
        ("a 5-gram model, n − 1 symbols, V² cells", [1]),
        ("50 % or 0.5", [0.5, 0.5]),
        ("no numbers here", []),
    ],
)
def test_numbers_are_read_as_written(phrase, values):
    assert [q.value for q in numbers_in(phrase)] == pytest.approx(values)


@given(st.floats(0.001, 0.999), st.integers(0, 4))
def test_a_correctly_rounded_number_is_accepted_and_the_next_one_is_not(share, decimals):
    claims = Claims("test")
    quoted = f"{100 * share:.{decimals}f} %"
    claims.says(quoted, share)
    step = 10.0**-decimals
    with pytest.raises(AssertionError, match="but the notebook computes"):
        claims.says(f"{float(quoted[:-2]) + 2 * step:.{decimals}f} %", share)


def test_a_wrong_number_in_the_prose_fails():
    with pytest.raises(AssertionError, match=r"the prose says '21.1 %'.*computes 0.212"):
        Claims("test").says("21.1 % of the pairs", 0.212)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_equal_no_number(value):
    with pytest.raises(AssertionError):
        Claims("test").says("21.1 %", value)


def test_the_number_of_values_must_match():
    with pytest.raises(ValueError, match="quotes 2 numbers"):
        Claims("test").says("from 1.5 to 2.5", 1.5)


def test_words_and_verdicts_need_a_true_condition():
    claims = Claims("test")
    with pytest.raises(AssertionError, match="finds otherwise"):
        claims.holds("half of them", False)
    with pytest.raises(AssertionError, match="condition is false"):
        claims.verdict("S4", "holds", False, cell="x")
    with pytest.raises(ValueError, match="unknown verdict"):
        claims.verdict("S4", "proven", True, cell="x")
    with pytest.raises(ValueError, match="needs a source"):
        claims.given("29,066 types", source="")


# --------------------------------------------------------------------------- reading the prose
def test_prose_drops_what_is_not_said():
    text = "## 3.1 A head\n> *One* in `12` [Good 1953](https://x.y/19), $V^{12}$, figure 1.3: 14 %."
    assert numbers_in(prose(text)) == numbers_in("14 %")


@pytest.mark.parametrize(
    "cell",
    [
        "as Kneser and Ney (1995) do",
        "(Liu et al. 2024)",
        "run in November 2026.",
        "sections 1.9 to 1.13 build",
        "in exercise 1.1, and",
    ],
)
def test_the_year_of_a_paper_and_a_section_are_names(cell):
    assert unsupported(cell, []) == []


@pytest.mark.parametrize(
    "cell", ["Brown has 1995 tokens", "of 2024 quotations", "1.9 to 1.13 nats"]
)
def test_a_number_that_looks_like_a_year_is_a_number(cell):
    assert unsupported(cell, []) != []


def test_an_unsupported_number_is_reported():
    cell = "**Figure 1.1.** Of 10 words, 21.1 % are new and 1,234 are not."
    assert unsupported(cell, ["Of 10 words, 21.1 % are new"]) != []
    assert unsupported(cell, ["21.1 % are new and 1,234 are not"]) == []
    assert len(unsupported(cell, [])) == 2  # ten is a word, not a measurement
    assert len(unsupported(cell.replace("21.1", "21.2"), ["21.1 % are new and 1,234"])) == 2


# ----------------------------------------------------------------------------- every chapter
def chapter(path):
    """Prose cells by id, and the claims that the last cell displays."""
    cells = json.loads(path.read_text("utf8"))["cells"]
    text = {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "markdown"}
    shown = [o["data"][MIME] for o in cells[-1]["outputs"] if MIME in o.get("data", {})]
    assert len(shown) == 1, "the last cell must display the chapter's Claims"
    return text, shown[0]


def own_prose(text):
    """Cells of the chapter's own prose; hints and solutions are declared and tested elsewhere."""
    return {i: t for i, t in text.items() if not t.startswith("<details>")}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_every_claimed_phrase_stands_in_the_prose(path):
    text, claims = chapter(path)
    said = [prose(t) for t in own_prose(text).values()]
    missing = [n["phrase"] for n in claims["numbers"] if not any(n["phrase"] in s for s in said)]
    assert not missing


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_every_number_in_the_prose_is_claimed(path):
    text, claims = chapter(path)
    phrases = [n["phrase"] for n in claims["numbers"]]
    missing = {i: m for i, t in own_prose(text).items() if (m := unsupported(t, phrases))}
    assert not missing


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_verdicts_in_prose_and_claims_agree(path):
    verdicts, problems = read_verdicts(path, path.stem)
    assert problems == []
    decided = chapter(path)[1]["verdicts"]
    assert {v.id: v.verdict for v in verdicts} == {v["id"]: v["verdict"] for v in decided}
