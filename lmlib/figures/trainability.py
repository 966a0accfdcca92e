"""What training makes of a normalisation: maps of depth and learning rate, and single studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure

from lmlib.figures.base import (
    MARKERS,
    PALETTE,
    SERIES,
    TEXT,
    WIDTH,
    Figure,
    Table,
    new_axes,
    spread_labels,
    styled,
)
from lmlib.figures.layernorm import dots, square

LEVELS = (2.5, 2.6, 2.8)  # nats: where one shade of a map ends and the next begins
SHADES = (0.95, 0.62, 0.36, 0.16)
DIVERGED = 10.0  # nats: more than guessing among 20,000 characters


@styled
def maps(
    losses: Mapping[str, np.ndarray],
    depths: Sequence[int],
    rates: Sequence[float],
    guessing: float,
) -> Figure:
    """Small multiples: one map of depth and learning rate for each design, a shade for the loss.

    A cell has diverged, or learned no more than the frequencies, if one of its seeds has.

    losses : design → (depths, rates, seeds) held-out losses, NaN where training diverged
    guessing : the loss of a model that knows the frequencies of the characters alone
    """
    columns = 2
    lines = -(-(len(losses) + 2) // columns)  # two panels more, for the legend
    fig = MplFigure(figsize=(WIDTH, 1.55 * lines + 0.35), layout="constrained")
    grid = fig.subplots(lines, columns, squeeze=False)
    _legend(grid[0], guessing)
    axes = grid[1:].ravel()
    said, digest = [], {}
    for ax, (name, loss) in zip(axes, losses.items(), strict=False):
        _map(ax, loss, guessing)
        ax.set_title(name, fontsize=TEXT, pad=4)
        worst, mean = _diverged(loss), _mean(loss)
        learned = (loss < guessing).all(-1)
        said.append(
            f"{name}: {learned.sum()} of {learned.size} cells below guessing, {worst.sum()} "
            f"diverged, best loss by depth "
            + ", ".join("none" if np.isnan(row).all() else f"{np.nanmin(row):.2f}" for row in mean)
            + "."
        )
        digest[name] = [learned.sum(), worst.sum(), np.where(worst, np.inf, mean).min()]
    for k, ax in enumerate(axes):
        ax.set(xlim=(-0.5, len(rates) - 0.5), ylim=(-0.5, len(depths) - 0.5))
        ax.set_xticks([-0.5, len(rates) - 0.5], [f"{rates[0]:g}", f"{rates[-1]:g}"])
        for tick, side in zip(ax.get_xticklabels(), ("left", "right"), strict=True):
            tick.set_ha(side)
        ax.set_yticks(range(len(depths)), [str(depth) for depth in depths])
        ax.tick_params(length=0, labelbottom=len(losses) - columns <= k, labelleft=k % columns == 0)
        ax.spines[:].set_visible(False)
        ax.grid(False)
    fig.supxlabel("learning rate", fontsize=TEXT)
    fig.supylabel("depth, layers", fontsize=TEXT)
    for ax in axes[len(losses) :]:
        ax.set_axis_off()
    alt = (
        f"{len(losses)} small maps. Horizontal: learning rate "
        + ", ".join(f"{rate:g}" for rate in rates)
        + ". Vertical: depth "
        + ", ".join(str(depth) for depth in depths)
        + f". Shade: held-out loss, the darker the lower; guessing costs {guessing:.2f} nats. "
        + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def curves(
    steps: Sequence[int], losses: Mapping[str, np.ndarray], guessing: float, top: float
) -> Figure:
    """Training loss along the way; the band spans the seeds.

    steps : (points,); losses : name → (seeds, points); guessing : as in `maps`; top : of the axis
    """
    fig, ax = new_axes(3.9)
    ax.axhline(guessing, ls=":", color=PALETTE["muted"])
    ends = [(steps[-1], guessing, "guessing", PALETTE["muted"])]
    for (name, loss), colour, marker in zip(losses.items(), SERIES, MARKERS, strict=False):
        ax.fill_between(steps, loss.min(0), loss.max(0), color=colour, alpha=0.16, lw=0)
        ax.plot(steps, loss.mean(0), color=colour, marker=marker, ms=4)
        ends.append((steps[-1], loss[:, -1].mean(), name, colour))
    bottom = min(loss.min() for loss in losses.values()) - 0.1
    ax.set(xlabel="step", ylabel="training loss, nats", ylim=(bottom, top))
    spread_labels(ax, ends, gap=0.095, span=(bottom, top))
    alt = (
        f"Line chart with a band over {len(loss)} seeds. Horizontal: training step, to "
        f"{steps[-1]}. Vertical: training loss in nats per character. "
        + " ".join(
            f"{name}: "
            + ", ".join(f"{loss[:, k].mean():.2f} at {steps[k]}" for k in _some(len(steps)))
            + f", the seeds end between {loss[:, -1].min():.2f} and {loss[:, -1].max():.2f}."
            for name, loss in losses.items()
        )
        + f" Guessing by frequency costs {guessing:.2f}."
    )
    return Figure(fig, alt, {name: loss.mean(0) for name, loss in losses.items()})


@styled
def held_out_by(x: Sequence[float], losses: Mapping[str, np.ndarray], xlabel: str) -> Figure:
    """Held-out loss against a setting on a logarithmic axis; a dot for each seed.

    x : (X,); losses : name → (X, seeds), NaN where a setting is not possible
    """
    fig, ax = new_axes(3.7)
    ends = []
    for (name, loss), colour, marker in zip(losses.items(), SERIES, MARKERS, strict=False):
        dots(ax, x, loss, colour)
        ax.plot(x, loss.mean(1), color=colour, marker=marker)
        last = np.flatnonzero(~np.isnan(loss).any(1))[-1]
        ends.append((x[last], loss[last].mean(), name, colour))
    ax.set(xlabel=xlabel, ylabel="held-out loss, nats", xscale="log")
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.minorticks_off()
    spread_labels(ax, ends, gap=0.1, span=ax.get_ylim())
    alt = (
        f"Line chart, a dot for each of {loss.shape[1]} seeds. Horizontal, logarithmic: {xlabel}, "
        + ", ".join(f"{value:g}" for value in x)
        + ". Vertical: held-out loss in nats per character. "
        + " ".join(
            f"{name}: "
            + ", ".join(
                "not possible" if np.isnan(v).any() else f"{v.mean():.2f} ± {np.ptp(v) / 2:.2f}"
                for v in loss
            )
            + "."
            for name, loss in losses.items()
        )
    )
    return Figure(fig, alt, {name: loss.mean(1) for name, loss in losses.items()})


@styled
def learned_by_heart(
    train: Mapping[str, Sequence[float]], held_out: Mapping[str, Sequence[float]]
) -> Figure:
    """Held-out loss against training loss while models learn a small text by heart.

    train, held_out : design → (looks,) mean losses, in the order of training
    """
    fig, ax = new_axes(3.9)
    ends = []
    for (name, x), colour, marker in zip(train.items(), SERIES, MARKERS, strict=False):
        y = held_out[name]
        ax.plot(x, y, color=colour, marker=marker, ms=5)
        ends.append((x[-1], y[-1], name, colour))
    ax.set(xlabel="training loss, nats", ylabel="held-out loss, nats")
    ax.invert_xaxis()  # training goes to the right
    right = min(x[-1] for x in train.values())
    spread_labels(ax, [(right, y, name, c) for _, y, name, c in ends], gap=0.1, span=ax.get_ylim())
    alt = (
        "Line chart, one line for each design, traced while it trains. Horizontal: training loss, "
        "falling to the right. Vertical: held-out loss. "
        + " ".join(
            f"{name}: lowest held-out loss {np.min(held_out[name]):.2f}, where the training loss "
            f"is {x[int(np.argmin(held_out[name]))]:.2f}; at the end {held_out[name][-1]:.2f} "
            f"and {x[-1]:.2f}."
            for name, x in train.items()
        )
    )
    digest = {
        f"{name}, {what}": values[name]
        for name in train
        for what, values in (("training", train), ("held out", held_out))
    }
    return Figure(fig, alt, digest)


def tolerance_table(
    losses: Mapping[str, np.ndarray], depths: Sequence[int], guessing: float
) -> Table:
    """How many cells of its map each design can be trained in, and its best loss by depth."""
    rows = []
    for name, loss in losses.items():
        worst, learned = _diverged(loss), (loss < guessing).all(-1)
        best = ("–" if np.isnan(row).all() else f"{np.nanmin(row):.2f}" for row in _mean(loss))
        rows.append([name, f"{learned.sum()} of {learned.size}", str(worst.sum()), *best])
    return Table(
        ["design", "below guessing", "diverged", *(f"best, depth {depth}" for depth in depths)],
        rows,
        f"Table 4.1. In how many of {learned.size} settings of depth and learning rate every seed "
        f"gets below guessing ({guessing:.2f} nats), and the best held-out loss at each depth.",
    )


def studies_table(
    losses: Mapping[str, np.ndarray], columns: Sequence[str], head: str, caption: str
) -> Table:
    """Held-out losses of one study: the mean of the seeds, and half the range they span.

    losses : row → (columns, seeds); head : of the first column
    """
    rows = [
        [
            name,
            *(
                "not possible" if np.isnan(v).any() else f"{v.mean():.2f} ± {np.ptp(v) / 2:.2f}"
                for v in loss
            ),
        ]
        for name, loss in losses.items()
    ]
    return Table([head, *columns], rows, caption)


def _diverged(loss: np.ndarray) -> np.ndarray:
    """(depths, rates): whether any seed did; a NaN is not below the bound."""
    return ~(loss < DIVERGED).all(-1)


def _mean(loss: np.ndarray) -> np.ndarray:
    """(depths, rates): the mean of the seeds, NaN where one diverged."""
    return np.where(_diverged(loss), np.nan, np.where(loss < DIVERGED, loss, 0).mean(-1))


def _map(ax: Axes, loss: np.ndarray, guessing: float) -> None:
    for row, column in np.ndindex(loss.shape[:2]):
        seeds = loss[row, column]
        if not (seeds < DIVERGED).all():
            colour, alpha, mark = PALETTE["vermillion"], 0.45, "×"
        elif not (seeds < guessing).all():
            colour, alpha, mark = PALETTE["muted"], 0.25, "–"
        else:
            shade = int(np.searchsorted(LEVELS, seeds.mean(), side="right"))
            colour, alpha, mark = PALETTE["blue"], SHADES[shade], ""
        square(ax, column, row, colour, alpha)
        ink = PALETTE["paper" if alpha > 0.5 else "ink"]
        ax.text(column, row, mark, ha="center", va="center", color=ink)


def _legend(axes: Sequence[Axes], guessing: float) -> None:
    """The shades and marks, in the places of two maps."""
    bounds = (*(f"{level:g}" for level in LEVELS), f"{guessing:.2f}")
    shades = [
        (PALETTE["blue"], shade, "", f"below {bound} nats")
        for bound, shade in zip(bounds, SHADES, strict=True)
    ]
    marks = [
        (PALETTE["muted"], 0.25, "–", "no better"),
        (PALETTE["vermillion"], 0.45, "×", "diverged"),
    ]
    for ax, entries in zip(axes, (shades, marks), strict=True):
        for k, (colour, alpha, mark, text) in enumerate(entries):
            y = len(SHADES) - 1 - k
            square(ax, 0, y, colour, alpha)
            ax.text(0, y, mark, ha="center", va="center")
            ax.text(0.8, y, text, va="center")
        ax.set(xlim=(-0.5, 4.5), ylim=(-0.5, len(SHADES) - 0.5))
        ax.set_axis_off()


def _some(points: int) -> list[int]:
    """A few of the points, the last one among them: an alt text is heard, not skimmed."""
    return sorted({*range(0, points, max(1, points // 5)), points - 1})
