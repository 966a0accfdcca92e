"""What a learner sees: plain text for terminals, HTML for notebooks, both short and bounded."""

import html
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lmlib.exercises import messages
from lmlib.exercises.compare import is_tensor, plain

# The book's colour variables, with fallbacks that show on JupyterLab's light and dark pages.
_COLOURS = {
    "right": "var(--lm-green, #00936a)",
    "wrong": "var(--lm-vermillion, #d55e00)",
    "error": "var(--lm-purple, #b05a8a)",
    "todo": "var(--lm-muted, #808080)",
}
_BOX = "border-left:.25rem solid {colour};padding:.7rem 1rem;margin:.5rem 0"
_LIST = (
    "display:grid;grid-template-columns:max-content minmax(0,1fr);"
    "gap:.15rem .75rem;margin:.4rem 0 0"
)
_VALUE = "white-space:pre-wrap;overflow-wrap:anywhere"


@dataclass(frozen=True, repr=False)
class Note:
    """A titled text with a plain and an HTML form; never more than text."""

    title: str
    message: str
    details: tuple[tuple[str, str], ...] = ()  # label, text

    _state = "todo"
    _headline = ("", "")

    def __repr__(self):
        _, headline = self._headline
        lines = [f"[{headline}] {self.title}" if headline else self.title, self.message]
        width = max((len(label) for label, _ in self.details), default=0)
        for label, text in self.details:
            first, *rest = text.splitlines() or [""]
            lines.append(f"  {label:<{width}}  {first}")
            lines += [f"  {'':<{width}}  {line}" for line in rest]
        return "\n".join(line for line in lines if line)

    def _repr_html_(self):
        symbol, headline = self._headline
        title = f"{symbol} {headline.capitalize()}: {self.title}" if headline else self.title
        box = _BOX.format(colour=_COLOURS[self._state])
        return (
            f'<div class="lm-check lm-{self._state}" role="status" style="{box}">'
            f"<strong>{in_html(title)}</strong><br>{in_html(self.message)}{self._rows_html()}</div>"
        )

    def _rows_html(self):
        rows = "".join(
            f'<dt>{in_html(label)}</dt><dd style="margin:0">'
            f'<code style="{_VALUE}">{html.escape(text)}</code></dd>'
            for label, text in self.details
        )
        return f'<dl style="{_LIST}">{rows}</dl>' if rows else ""


@dataclass(frozen=True, repr=False)
class Result(Note):
    """The outcome of one check.

    Attributes
    ----------
    state : "todo" (not attempted), "error" (the code stopped), "wrong" or "right"
    misconception : the name of the misconception that the answer coincides with, or None
    message : what to do next, in one to three sentences
    details : (label, text) pairs: the smallest failing input, what was got and expected
    id, title : of the exercise
    """

    id: str = ""
    state: str = "error"
    misconception: str | None = None

    @property
    def _state(self):
        return self.state

    @property
    def _headline(self):
        return messages.HEADLINES[self.state]


_EMPHASIS = re.compile(r"(?<![\w*])\*(\w(?:[^*]*\w)?)\*(?![\w*])")


def in_html(text):
    """Escaped, with `code` and *emphasis*: the only marks a message may use."""
    parts = re.split(r"`([^`]+)`", html.escape(text))  # every other part was between backticks
    parts[1::2] = [f"<code>{part}</code>" for part in parts[1::2]]
    parts[::2] = [_EMPHASIS.sub(r"<em>\1</em>", part).replace("\n", "<br>") for part in parts[::2]]
    return "".join(parts)


class _Short(reprlib.Repr):
    def __init__(self):
        super().__init__()
        self.maxlevel, self.maxdict = 4, 8
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12
        self.maxstring, self.maxother = 120, 160

    def repr1(self, x, level):
        x = plain(x)  # NumPy 2 writes np.float64(0.5)
        if isinstance(x, Mapping):
            return self.repr_dict(x, level)
        if is_tensor(x) or isinstance(x, np.ndarray):
            name = "tensor(" if is_tensor(x) else "array("
            values = x.detach().cpu().numpy() if is_tensor(x) else x
            text = np.array2string(
                values, threshold=30, edgeitems=3, precision=6, separator=", ", prefix=name
            )
            return f"{name}{text})"
        return super().repr1(x, level)

    def repr_float(self, x, level):
        text = repr(x)
        return text if len(text) <= 10 else f"{x:.8g}"  # 15.999999999999998 says less than 16


_SHORT = _Short()


def show(value, limit=400) -> str:
    """A bounded repr that never raises, whatever the object's own `__repr__` does."""
    try:
        return shorten(_SHORT.repr(value), limit)
    except BaseException:  # this also words the engine's own faults: the last place to be safe
        return messages.NOT_SHOWN


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 4] + " ..."
