"""What the book's explorables share on their Python side: plain tables, and the object to display.

An explorable is a custom element. Its attribute data-view holds what a script of the book needs to
start; inside are plain tables with the same numbers, for every place that runs no scripts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Explorable:
    """What a notebook displays: `view` holds the numbers, `html` and `text` say them."""

    view: dict
    html: str
    text: str

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


def element(tag: str, data: dict, *tables: str) -> str:
    """The custom element `tag` with its data and, for where no script runs, its tables."""
    content = escape(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    return f'<{tag} data-view="{content}"><div>{"".join(tables)}</div></{tag}>'


def static_table(
    caption: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]
) -> str:
    """An accessible table in HTML; every argument is HTML already. A row is its head, its cells."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for name, cells in rows
    )
    return (
        f"<table><caption>{caption}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def text_table(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """The same table for a terminal: the first column to the left, the others to the right."""
    lines = [tuple(heads), *((name, *cells) for name, cells in rows)]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [first.ljust(wide[0]), *(c.rjust(w) for c, w in zip(cells, wide[1:], strict=True))]
        )
        for first, *cells in lines
    )
