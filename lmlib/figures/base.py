"""What every figure of the book shares: palette, style, and the object a notebook displays.

A `Figure` displays as SVG and as PNG (JupyterLab shows no SVG in an untrusted notebook), says in
words what it shows (`alt`), and prints a few of its numbers (`digest`), because a test can compare
text but not pixels. The same arrays give the same bytes.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure
from matplotlib.ticker import NullFormatter

# Hues of Okabe & Ito (2008), darkened until text in them has a contrast of 4.5 : 1 on white.
# The book turns each of these exact values into a CSS variable, so that dark mode can lighten it.
PALETTE = {
    "ink": "#1a1a1a",
    "muted": "#6b6b6b",
    "grid": "#d9d9d9",
    "paper": "#ffffff",
    "blue": "#0068a8",
    "vermillion": "#b84a00",
    "green": "#00734f",
    "purple": "#9c3f75",
    "ochre": "#7f6000",
    "sky": "#56b4e9",  # for areas only: too light for text or thin lines
}
SERIES = tuple(PALETTE[c] for c in ("blue", "vermillion", "green", "purple", "ochre"))
MARKERS = ("o", "s", "^", "D", "v")  # a second cue beside colour

WIDTH = 5.2  # inches
TEXT = 13.5  # points: on the 358 px a phone gives a figure, 12.9 px, its caption's size
STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "figure.facecolor": PALETTE["paper"],
    "axes.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "legend.title_fontsize": TEXT,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "text.color": PALETTE["ink"],
    "axes.labelcolor": PALETTE["ink"],
    "axes.edgecolor": PALETTE["muted"],
    "xtick.color": PALETTE["ink"],
    "ytick.color": PALETTE["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALETTE["grid"],
    "grid.linewidth": 0.8,
    "axes.prop_cycle": mpl.cycler(color=SERIES),
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "svg.hashsalt": "lmlib",  # the same figure gets the same ids, hence the same bytes
}


def styled(function):
    """Run a drawing function in the book's style, whatever the notebook has set."""

    @functools.wraps(function)
    def in_style(*args, **kwargs):
        with mpl.rc_context(STYLE):
            return function(*args, **kwargs)

    return in_style


def new_axes(height: float = 3.4, **kwargs) -> tuple[MplFigure, Axes]:
    """A figure of the book's width with one set of axes; call it from a `styled` function."""
    figure = MplFigure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot(**kwargs)


def figure_of_panels(panels: int, height: float) -> tuple[MplFigure, list[Axes]]:
    """Panels above one another with one horizontal axis: a phone has no room side by side."""
    figure = MplFigure(figsize=(WIDTH, height * panels), layout="constrained")
    return figure, list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])


def label(ax: Axes, x: float, y: float, text: str, color: str = PALETTE["ink"], **kwargs):
    """Name a series beside its line, which spares the reader a legend."""
    kwargs = {"ha": "left", "va": "center", "xytext": (6, 0)} | kwargs
    ax.annotate(text, (x, y), textcoords="offset points", color=color, **kwargs)


def percent_axis(axis) -> None:
    """Write an axis of shares (0 … 1) in per cent."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:g} %")


def log_axis(axis, name: str, ax: Axes) -> None:
    """A logarithmic axis with ticks written 1, 10, 100, 1,000, 10⁴, 10⁵ …"""
    ax.set(**{f"{name}scale": "log"})
    axis.set_major_formatter(lambda value, _: _power(value))
    axis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    exponent = round(np.log10(value))
    if 0 <= exponent <= 3:
        return f"{10**exponent:,}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def spread_labels(
    ax: Axes, ends: list[tuple], gap: float, log: bool = False, span: tuple = (0, 1)
) -> None:
    """Name lines at their right ends, pushing names apart that would overlap.

    ends : (x, y, text, colour) of each line; gap : least distance between two names, as a share of
    the axis, which runs over `span`, or of the decades between the lowest and highest end (`log`)
    """
    ends = sorted(ends, key=lambda end: end[1])
    ys = np.array([end[1] for end in ends], float)
    if log:
        ys = np.log10(ys)
    low, high = (ys.min(), ys.max()) if log else span
    least = gap * (high - low)
    placed = ys.copy()
    for k in range(1, placed.size):
        placed[k] = max(placed[k], placed[k - 1] + least)
    placed -= max(0, placed[-1] - max(ys[-1], high))
    for k in range(placed.size - 2, -1, -1):
        placed[k] = min(placed[k], placed[k + 1] - least)
    for (x, _, text, colour), y in zip(ends, placed, strict=True):
        label(ax, x, 10**y if log else y, text, colour)


class Figure:
    """A matplotlib figure together with its alt text and a digest of its numbers.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : what a reader who cannot see it must know: kind of chart, axes, trend, extremes
    digest : name → numbers; printed, so that a re-run notebook is compared in numbers

    Raises
    ------
    ValueError : if the alt text is too short to say anything
    """

    def __init__(self, figure: MplFigure, alt: str, digest: Mapping[str, object]):
        self.alt = " ".join(alt.split())
        if len(self.alt) < 40 or " " not in self.alt:
            raise ValueError(
                f"alt text {alt!r} is too short to replace the figure: say what kind of chart it "
                "is, what the axes are, and which trend and extremes it shows."
            )
        self.figure = figure
        self.digest = dict(digest)

    def __repr__(self) -> str:
        lines = [f"  {name}: {_numbers(values)}" for name, values in self.digest.items()]
        return "\n".join([f"Figure: {self.alt}", *lines])

    def svg(self) -> str:
        """The figure as SVG text, free of dates and of anything that varies between runs."""
        buffer = io.StringIO()
        with mpl.rc_context(STYLE):
            self.figure.savefig(
                buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None}
            )
        text = buffer.getvalue()
        return re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.S)

    def png(self) -> bytes:
        """The figure as PNG bytes."""
        buffer = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {
            "image/svg+xml": self.svg(),
            "image/png": base64.b64encode(self.png()).decode(),
            "text/plain": repr(self),
        }
        alt = {"alt": self.alt}
        return data, {"image/svg+xml": alt, "image/png": alt}


@dataclass(frozen=True)
class Table:
    """A small table: text for a terminal, an accessible HTML table for the book.

    columns : column heads; rows : one sequence per row, its first entry heads the row;
    caption : its first sentence states the finding

    Raises
    ------
    ValueError : if a column has no head, or a row not as many cells as there are columns
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str

    def __post_init__(self):
        if not all(str(head).strip() for head in self.columns):
            raise ValueError(f"a column has no head in {self.columns}: a screen reader needs one.")
        if ragged := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"{ragged[0]} has {len(ragged[0])} cells, not {len(self.columns)}.")

    def __repr__(self) -> str:
        cells = [list(map(str, self.columns)), *(list(map(str, row)) for row in self.rows)]
        widths = [max(len(row[k]) for row in cells) for k in range(len(self.columns))]
        first, *rest = widths
        return "\n".join(
            row[0].ljust(first) + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], rest, strict=True))
            for row in cells
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        head = "".join(f'<th scope="col">{html.escape(str(c))}</th>' for c in self.columns)
        body = "".join(
            f'<tr><th scope="row">{html.escape(str(row[0]))}</th>'
            + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        return {
            "text/plain": repr(self),
            "text/html": (
                f'<table class="lm-table"><caption>{html.escape(self.caption)}</caption>'
                f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            ),
        }


def _numbers(values) -> str:
    """Numbers with four significant digits: they catch a change and ignore rounding noise."""
    flat = np.atleast_1d(np.asarray(values)).ravel()
    if flat.dtype.kind in "OUS":
        return " ".join(map(str, flat))
    return " ".join(f"{v:.4g}" for v in flat.astype(float))
