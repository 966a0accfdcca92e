"""Keeping the prose honest: every number a chapter quotes is recomputed at its end.

The last cell of a notebook declares its claims. Each one binds a phrase of the prose to values:

>>> claims = Claims("sparsity")
>>> claims.says("half of them, 52.1 %, are new", 0.5211)

The numbers are read from the phrase itself and compared at the precision quoted there; a wrong one
raises in the notebook. A test then looks for each phrase in the notebook's prose, and refuses any
number there that no phrase covers. `verdict` records what an experiment decided about a claim of
the student's notes; the book's ledger is made from these.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

# A number in prose: sign, digits with thousands commas, decimals, × 10^k, per cent sign.
NUMBER = re.compile(
    r"""(?<![\w.^{−-])                                   # not inside a word, an exponent, a range
    (?P<sign>[−-])?
    (?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)
    (?:\s*(?:×|\\times)\s*10\^?\{?(?P<power>[−-]?\d+|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)\}?)?
    (?P<percent>[\s\u00a0\u202f]*\\?%)?
    (?![\d]|-[a-z])                                     # nor the 5 of "5-gram"
    """,
    re.X,
)
_SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
VERDICTS = {
    "holds": "holds",
    "holds with a condition": "holds with a condition",
    "wrong as stated": "is wrong as stated",
}


@dataclass(frozen=True)
class Quoted:
    """A number as written: its value and half a unit of its last digit."""

    text: str
    value: float
    tolerance: float


def numbers_in(phrase: str) -> list[Quoted]:
    """The numbers quoted in a phrase, in order; 52.1 % is 0.521 give or take 0.0005."""
    found = []
    for m in NUMBER.finditer(phrase):
        digits = m["digits"].replace(",", "")
        decimals = len(digits.partition(".")[2])
        power = (m["power"] or "0").translate(_SUPERSCRIPT).replace("−", "-")
        scale = 10.0 ** int(power) * (0.01 if m["percent"] else 1)
        sign = -1 if m["sign"] else 1
        # Half a unit, and a hair more for values that sit exactly on the rounding boundary.
        tolerance = 0.5 * 10.0**-decimals * scale * (1 + 1e-9)
        found.append(Quoted(m[0].strip(), sign * float(digits) * scale, tolerance))
    return found


_UNCHECKED = re.compile(
    r"""```.*?``` | `[^`]*` | \$\$.*?\$\$ | \$[^$]*\$         # code and formulas
    | !?\[[^\]]*\]\([^)]*\)                                # links: their years and addresses
    | ^\#.*?$ | <[^>]*>                                     # headings, tags
    | \b(?:[Ff]igure|[Tt]able|[Ee]xercise|Claim|[Ss]ection|[Cc]hapter|equation)s?\     # names
      \(?[A-Z]?\d+(?:\.\d+)?\)?(?:\ (?:and|to)\ \d+\.\d+)?
    | \b[A-Z]\w+(?:\ et\ al\.)?\ \(?(?:19|20)\d\d(?=[).,:;])      # Ney (1995): the year of a paper
    | \(\d+\.\d+\) | \b\d+\ minutes\b                      # equation numbers, time to plan
    """,
    re.X | re.S | re.M,
)


def prose(markdown: str) -> str:
    """The words of a Markdown cell: no code, formulas, links, headings or names of figures."""
    kept = _UNCHECKED.sub(" ¶ ", markdown)
    kept = re.sub(r"^\s*(?:>\s?|\d+\.\s|[-*]\s)", "", kept, flags=re.M)
    return " ".join(kept.replace("*", "").split())


def unsupported(markdown: str, phrases: list[str]) -> list[str]:
    """The numbers in a Markdown cell that none of the phrases covers, each with its surroundings.

    Whole numbers up to ten are words of the language, unless a per cent sign or a power of ten
    makes them a measurement.
    """
    text = prose(markdown)
    covered = [
        found.span()
        for phrase in phrases
        for found in re.finditer(re.escape(" ".join(phrase.split())), text)
    ]
    missing = []
    for m in NUMBER.finditer(text):
        plain = not (m["percent"] or m["power"] or "." in m["digits"] or "," in m["digits"])
        if plain and int(m["digits"]) <= 10:
            continue
        if not any(start <= m.start() and m.end() <= end for start, end in covered):
            missing.append(text[max(0, m.start() - 40) : m.end() + 30])
    return missing


class Claims:
    """The claims of one chapter; display it as the last line of the chapter's last cell."""

    def __init__(self, chapter: str):
        self.chapter = chapter
        self.numbers: list[dict] = []
        self.verdicts: list[dict] = []

    def says(self, phrase: str, *values: float) -> None:
        """The prose contains `phrase`, and its numbers are these values, in this order.

        Raises
        ------
        AssertionError : a number differs from its value at the precision quoted
        ValueError : the phrase quotes more or fewer numbers than values given
        """
        quoted = numbers_in(phrase)
        if len(quoted) != len(values):
            raise ValueError(
                f"{phrase!r} quotes {len(quoted)} numbers ({', '.join(q.text for q in quoted)}), "
                f"but {len(values)} values were given."
            )
        for q, value in zip(quoted, values, strict=True):
            assert abs(q.value - value) <= q.tolerance, (
                f"the prose says {q.text!r} in {phrase!r}, but the notebook computes {value:.6g}."
            )
        self.numbers.append({"phrase": phrase, "values": [float(f"{v:.6g}") for v in values]})

    def holds(self, phrase: str, condition: bool) -> None:
        """The prose contains `phrase`, a statement in words, and this condition decides it."""
        assert condition, f"the prose says {phrase!r}, but the notebook finds otherwise."
        self.numbers.append({"phrase": phrase, "values": [], "checked": True})

    def given(self, phrase: str, source: str) -> None:
        """The prose contains `phrase`, whose numbers come from `source`, not from this notebook."""
        if not source:
            raise ValueError(f"{phrase!r} needs a source: where do its numbers come from?")
        self.numbers.append({"phrase": phrase, "values": [], "source": source})

    def verdict(self, claim: str, verdict: str, condition: bool, cell: str) -> None:
        """The experiment in `cell` decides claim `claim` of the notes, because `condition` is true.

        The sentence itself stands in the prose as ``> **Claim S4 holds.** …``.
        """
        if verdict not in VERDICTS:
            raise ValueError(f"unknown verdict {verdict!r}; expected one of {list(VERDICTS)}.")
        assert condition, f"claim {claim} is said to be {verdict!r}, but its condition is false."
        self.verdicts.append({"id": claim, "verdict": verdict, "evidence": cell})

    def __repr__(self) -> str:
        said = [f"  ✓ {_plain(n)}" for n in self.numbers]
        decided = [
            f"  ✓ Claim {v['id']} {VERDICTS[v['verdict']]} ({v['evidence']})" for v in self.verdicts
        ]
        head = f"{len(self.numbers)} statements and {len(self.verdicts)} verdicts hold."
        return "\n".join([head, *said, *decided])

    def _repr_mimebundle_(self, include=None, exclude=None):
        rows = "".join(
            f"<tr><td>{html.escape(n['phrase'])}</td><td>{html.escape(_values(n))}</td></tr>"
            for n in self.numbers
        )
        head = html.escape(repr(self).partition("\n")[0])
        return {
            "text/plain": repr(self),
            "text/html": (
                f'<table class="lm-claims"><caption>{head}</caption><thead><tr>'
                '<th scope="col">The prose says</th><th scope="col">This notebook computes</th>'
                f"</tr></thead><tbody>{rows}</tbody></table>"
            ),
            "application/vnd.lmlib.claims+json": {
                "chapter": self.chapter,
                "numbers": self.numbers,
                "verdicts": self.verdicts,
            },
        }


def _values(number: dict) -> str:
    if "source" in number:
        return f"quoted from {number['source']}"
    if "checked" in number:
        return "true"
    return ", ".join(f"{v:.6g}" for v in number["values"])


def _plain(number: dict) -> str:
    return f"{number['phrase']} [{_values(number)}]"
