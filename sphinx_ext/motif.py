"""The picture on the first page: which common words follow which in the embedded corpus.

Drawn from the corpus while building, so it shows what the first chapter measures. One dot a pair
of the commonest words that occurs; its size grows with the logarithm of the count.
"""

import math
import re
from collections import Counter
from html import escape
from itertools import pairwise
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SIDE = 56  # words on each side of the square
STEP = 10  # SVG units between dots
SIZES = (2.4, 4, 5.6, 7.2)  # diameters, for counts from 1, 3, 12, 50


def pair_counts(texts: list[str], side: int) -> tuple[list[str], list[list[int]]]:
    """The `side` commonest lower-cased words and, for each, how often each of them follows it."""
    streams = [re.findall(r"[a-z]+(?:['-][a-z]+)*|[.!?]", text.lower()) for text in texts]
    counts = Counter(word for stream in streams for word in stream if word[0].isalpha())
    words = [word for word, _ in counts.most_common(side)]
    place = {word: i for i, word in enumerate(words)}
    table = [[0] * side for _ in words]
    for stream in streams:
        for first, second in pairwise(stream):  # a full stop stands between two sentences
            if first in place and second in place:
                table[place[first]][place[second]] += 1
    return words, table


def draw(table: list[list[int]]) -> str:
    """One path for each dot size: zero-length strokes with round ends."""
    dots = {size: [] for size in SIZES}
    for row, counts in enumerate(table):
        for column, count in enumerate(counts):
            if count:
                grade = min(int(math.log(count, 3.5)), len(SIZES) - 1)
                dots[SIZES[grade]].append(f"M{column * STEP + 5} {row * STEP + 5}h0")
    return "".join(
        f'<path stroke-width="{size}" d="{"".join(path)}"/>' for size, path in dots.items()
    )


class PairMatrix(SphinxDirective):
    """`{pair-matrix} <corpus folder>`: the picture, its alternative text and its caption."""

    required_arguments = 1

    def run(self):
        folder = Path(self.env.srcdir, self.arguments[0])
        works = sorted(folder.glob("[0-9]*.txt"))
        for work in works:
            self.env.note_dependency(str(work))
        words, table = pair_counts([work.read_text("utf-8") for work in works], SIDE)
        seen = sum(count > 0 for row in table for count in row)
        alt = (
            f"A square of {SIDE} by {SIDE} places, one for each pair of the commonest words, from "
            f"{words[0]!r} to {words[-1]!r}. Dots mark the {seen} pairs that occur in the corpus; "
            f"they crowd near the top left, the other {SIDE * SIDE - seen} places are empty."
        )
        caption = (
            f"The {SIDE} commonest words of the course’s text, each followed by each. A dot means "
            f"that the pair occurs: {seen:,} of {SIDE * SIDE:,} do. "
            "For rarer words the square is nearly empty."
        )
        html = (
            '<figure class="lm-motif">'
            f'<svg viewBox="0 0 {SIDE * STEP} {SIDE * STEP}" role="img" aria-label="{escape(alt)}">'
            f"{draw(table)}</svg><figcaption>{caption}</figcaption></figure>"
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx):
    app.add_directive("pair-matrix", PairMatrix)
