r"""The layer-norm chapter's explorables: a browser of training maps, a floating-point microscope.

Each function returns what a notebook displays. In the book, ``static/layernorm-explorer.js`` turns
it into something to touch; everywhere else (JupyterLab, GitHub, no scripts, print) it is tables.

`map_browser` shows the runs of ``lmlib/data/layernorm_maps.csv``: 13 designs, 4 depths, 5 learning
rates, 3 seeds. As in `lmlib.figures.trainability`, a cell of a map has

    diverged            if a seed ended at 10 nats or more, or not at a number
    learned             if every seed ended below guessing by frequency
    no better           otherwise

A cell that is no better has *collapsed* if its seeds above guessing predict the same whatever they
read (dependence below 0.1; all others of the table have more than 0.3).

`float_microscope` computes the variance of six numbers around an offset in float32, in the five
ways of `lmlib.layernorm.variance`, and shows which bits there were to compute it from. Python, with
NumPy, and the page, with Math.fround, compute the same numbers to the last bit.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from fractions import Fraction
from html import escape

import numpy as np

from lmlib import corpora
from lmlib.explorable import Explorable, element, static_table, text_table
from lmlib.layernorm import VARIANCES

LEVELS = (2.5, 2.6, 2.8)  # nats: where one shade of a map ends and the next begins
DIVERGED = 10.0  # nats
COLLAPSED = 0.1  # dependence
SEEDS = 3
OVER = 65_535  # of the packed curves: 6.5535 nats and more, or not a number
DESIGNS = {
    "post": "x ← norm(x + f(x)), as in the first Transformer",
    "pre": "x ← x + f(norm(x)), one norm more before the head",
    "peri": "x ← x + norm(f(norm(x)))",
    "none": "x ← x + f(x), nothing is normalised",
    "none scaled": "x ← x + f(x) / √(2N), nothing is normalised",
    "deepnorm": "x ← norm(α x + f(x)), α = (2N)^¼, f starts smaller",
    "rezero": "x ← x + a f(x), each a is learned and starts at 0",
    "reordered": "x ← x + norm(f(x))",
    "pre RMSNorm": "pre, with a norm that leaves the mean in",
    "pre DyT": "pre, with tanh(a x) in place of the norm",
    "post warm-up": "post, the learning rate rises over the first 50 steps",
    "pre without final norm": "pre, and no norm before the head",
    "pre scaled": "x ← x + f(norm(x)) / √(2N), as in GPT-2",
}

SLIDER = tuple(float(f"{10 ** (k / 10):.2g}") for k in range(61))  # offsets, 1 … 1,000,000
VALUES = (0.3, -1.2, 0.8, 1.5, -0.6, -0.8)  # mean 0
MOST = 7  # values: NumPy adds fewer than eight numbers one after the other, as the page does


def map_browser(guessing: float, first: str = "post", second: str = "pre") -> Explorable:
    """Two designs' maps of depth and learning rate, and the loss curves behind every cell.

    Parameters
    ----------
    guessing : the loss of a model that knows the frequencies of the characters alone, in nats
    first, second : the designs shown at first, keys of DESIGNS; the reader changes them in the book

    Returns
    -------
    explorable : its `view` has, ready for JSON,
        designs : name → what it computes;  shown : [first, second]
        depths, rates, steps : the axes (steps: where each piece of a training curve ends)
        guessing, levels, diverged, collapsed : as above
        held_out, dependence : [design][depth][rate][seed], None where there is no number
        curves : training losses in the same order, then by step, as little-endian uint16 of
            1/10,000 nats in base64, at most 65,535

    Raises
    ------
    ValueError : for another design, or a guessing that no map could be drawn with
    """
    for name in (first, second):
        if name not in DESIGNS:
            raise ValueError(f"there is no design {name!r}; there are: {', '.join(DESIGNS)}.")
    if not LEVELS[-1] < guessing < DIVERGED:
        raise ValueError(
            f"guessing costs {guessing} nats? Expected a loss between {LEVELS[-1]} and {DIVERGED:g}"
            ": for the embedded corpus by characters it is 3.10."
        )
    view = _maps() | {"shown": [first, second], "guessing": round(float(guessing), 6)}
    heads = ["Depth and learning rate", first, second]
    rows = [
        (
            f"{depth} layers, {rate:g}",
            [_cell(view, [*DESIGNS].index(name), row, column) for name in (first, second)],
        )
        for row, depth in enumerate(view["depths"])
        for column, rate in enumerate(view["rates"])
    ]
    title = (
        f"Held-out loss in nats per character, mean of {SEEDS} seeds ± half their range, in "
        "brackets how far predictions depend on what is read (0 to 1). Guessing by frequency costs "
        f"{guessing:.2f}. {first}: {DESIGNS[first]}. {second}: {DESIGNS[second]}."
    )
    html = element("lm-map-browser", view, static_table(escape(title), heads, rows))
    return Explorable(view, html, f"{title}\n{text_table(heads, rows)}")


def float_microscope(offset: float = 1000, values: Sequence[float] = VALUES) -> Explorable:
    """The variance of a few numbers around an offset, in float32, five ways; and its bits.

    Parameters
    ----------
    offset : where the slider stands at first, a number of SLIDER (1, 1.3, 1.6, 2, … 1,000,000)
    values : 2 to 7 numbers between -100 and 100; the offset is added to each before it is stored
        as a float32

    Returns
    -------
    explorable : its `view` has, ready for JSON, `values`, `offset`, `offsets` (those of the table),
        `variances` (name → one for each of `offsets`) and `exact`, the variance of the stored
        numbers without any rounding

    Raises
    ------
    ValueError : for an offset that is not on the slider, too few, too many or too large values
    """
    values = [float(value) for value in values]
    if not 2 <= len(values) <= MOST or not all(abs(value) <= 100 for value in values):
        raise ValueError(
            f"expected 2 to {MOST} numbers between -100 and 100, got {values}: more would not fit "
            "on a phone, larger ones leave nothing for the offset to spoil."
        )
    if offset not in SLIDER:
        nearest = min(SLIDER, key=lambda stop: abs(stop - offset))
        raise ValueError(f"the slider has no offset {offset}: the nearest is {nearest:g}.")
    offsets = sorted({*(10.0**k for k in range(7)), float(offset)})
    x = stored(values, offsets)  # (offsets, C)
    exact = [exact_variance(row) for row in x]
    found = {name: [float(v) for v in variance(x)] for name, variance in VARIANCES.items()}
    view = {
        "values": values,
        "offset": float(offset),
        "offsets": offsets,
        "variances": found,
        "exact": exact,
    }
    listed = ", ".join(f"{value:g}" for value in values)
    title = (
        f"Variance of the numbers {listed} after an offset is added to each, in float32, five ways"
    )
    heads = ["Offset", "exact", *VARIANCES]
    rows = [
        (f"{offset:,.0f}", [_short(exact[k]), *(_short(found[name][k]) for name in VARIANCES)])
        for k, offset in enumerate(offsets)
    ]
    lost_title, lost_heads, lost = _lost(stored(values, [offset])[0], offset)
    html = element(
        "lm-float-microscope",
        view,
        static_table(escape(title), heads, rows),
        static_table(escape(lost_title), lost_heads, lost),
    )
    text = f"{title}\n{text_table(heads, rows)}\n\n{lost_title}\n{text_table(lost_heads, lost)}"
    return Explorable(view, html, text)


def verdict(held_out: Sequence[float], dependence: Sequence[float], guessing: float) -> str:
    """What became of the seeds of one cell: "learned", or how many of them did what else.

    Examples
    --------
    >>> verdict([3.11, 3.03, 3.12], [0.0, 0.15, 0.0], 3.1)
    '2 of 3 collapsed'
    """
    held_out, dependence = np.array(held_out, float), np.array(dependence, float)
    failed, word = ~(held_out < DIVERGED), "diverged"  # a NaN is below nothing
    if not failed.any():
        failed, word = ~(held_out < guessing), "no better than guessing"
        if (dependence[failed] < COLLAPSED).all():
            word = "collapsed"
    return f"{failed.sum()} of {held_out.size} {word}" if failed.any() else "learned"


def stored(values: Sequence[float], offsets: Sequence[float]) -> np.ndarray:
    """(offsets, C) float32: the values, moved by each offset and rounded."""
    return (np.array(values) + np.array(offsets, float)[:, None]).astype(np.float32)


def exact_variance(x: np.ndarray) -> float:
    """The variance of a (C,) vector as it is stored, rounded once, to float64."""
    numbers = [Fraction(float(value)) for value in x]
    mean = sum(numbers) / len(numbers)
    return float(sum((number - mean) ** 2 for number in numbers) / len(numbers))


def _maps() -> dict:
    """The table of runs as the page wants it."""
    runs = corpora.measured("layernorm_maps")
    depths, rates = (np.unique(runs[name]) for name in ("depth", "learning_rate"))
    shape = (len(DESIGNS), depths.size, rates.size, SEEDS)
    design = np.array([[*DESIGNS].index(name) for name in runs["design"]])
    order = np.lexsort((runs["seed"], runs["learning_rate"], runs["depth"], design))
    columns = [name for name in runs if name.startswith("to_")]
    curves = np.stack([runs[name][order] for name in columns], -1)  # (runs, steps)
    packed = np.where(curves < OVER / 1e4, np.round(1e4 * curves), OVER).astype("<u2")

    def nested(name, digits):
        numbers = [None if np.isnan(v) else round(float(v), digits) for v in runs[name][order]]
        return np.array(numbers, object).reshape(shape).tolist()

    return {
        "designs": DESIGNS,
        "depths": depths.astype(int).tolist(),
        "rates": rates.tolist(),
        "steps": [int(name.removeprefix("to_")) for name in columns],
        "levels": list(LEVELS),
        "diverged": DIVERGED,
        "collapsed": COLLAPSED,
        "held_out": nested("held_out", 4),
        "dependence": nested("dependence", 4),
        "curves": base64.b64encode(packed.tobytes()).decode("ascii"),
    }


def _cell(view: dict, design: int, row: int, column: int) -> str:
    held_out, dependence = (view[name][design][row][column] for name in ("held_out", "dependence"))
    found = verdict(held_out, dependence, view["guessing"])
    if found.endswith("diverged"):
        return found
    numbers = f"{np.mean(held_out):.2f} ± {np.ptp(held_out) / 2:.2f} ({np.mean(dependence):.2f})"
    return numbers if found == "learned" else f"{numbers}, {found}"


def _lost(x: np.ndarray, offset: float) -> tuple[str, list[str], list[tuple[str, list[str]]]]:
    """Caption, heads and rows of the table on what the naive variance is computed from."""
    squares, square = (x * x).mean(), x.mean() ** 2
    rows = [
        (name, [f"{value:,.13g}", f"{np.spacing(value):g}"])
        for name, value in (("mean of the squares", squares), ("square of the mean", square))
    ]
    rows += [
        ("their difference, the naive variance", [_short(float(squares - square)), ""]),
        ("exact variance", [_short(exact_variance(x)), ""]),
    ]
    title = f"What the naive variance is computed from at offset {offset:,.0f}"
    return title, ["", "value", "its last bit is worth"], rows


def _short(value: float) -> str:
    """Seven digits, which is what a float32 has."""
    return f"{value:.7g}"
