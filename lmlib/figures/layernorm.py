"""What a normalisation does to vectors, to rounding, and to a model before training.

Every function takes arrays and returns a `Figure`. What training makes of it is in `trainability`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure
from matplotlib.patches import Circle, Rectangle

from lmlib.figures.base import (
    MARKERS,
    PALETTE,
    SERIES,
    TEXT,
    WIDTH,
    Figure,
    figure_of_panels,
    log_axis,
    new_axes,
    spread_labels,
    styled,
)

# Where we look from: the direction along 1, and two that span the plane across it.
ALONG = np.ones(3) / 3**0.5
ACROSS = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])


@styled
def geometry(stages: Mapping[str, np.ndarray], followed: Sequence[int]) -> Figure:
    """Points in three dimensions, stage by stage, from two sides: with 1 upwards, and along 1.

    stages : name → (n, 3) the same points after each step; followed : up to five points to mark
    """
    heights = np.concatenate([points @ ALONG for points in stages.values()])
    reach = 0.3 + max(np.abs(points @ ACROSS.T).max() for points in stages.values())
    low, high = min(0, heights.min()) - 0.3, max(0, heights.max()) + 0.3
    fig = MplFigure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = fig.subplots(
        2, len(stages), sharex=True, sharey="row", height_ratios=(high - low, 2 * reach)
    )
    for column, (name, points) in zip(axes.T, stages.items(), strict=True):
        height, (right, depth) = points @ ALONG, ACROSS @ points.T
        for ax, y, limits in zip(
            column, (height, depth), ((low, high), (-reach, reach)), strict=True
        ):
            ax.plot(right, y, ".", color=PALETTE["muted"], ms=4, mew=0, alpha=0.6)
            for point, colour, marker in zip(followed, SERIES, MARKERS, strict=False):
                ax.plot(right[point], y[point], marker, color=colour, ms=8)
            ax.set(xlim=(-reach, reach), ylim=limits, aspect="equal", xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        column[0].axhline(0, color=PALETTE["grid"], lw=1.2, zorder=0)
        column[0].set_title(name, fontsize=TEXT)
    axes[1, -1].add_patch(Circle((0, 0), 3**0.5, fill=False, color=PALETTE["grid"], zorder=0))
    axes[0, 0].set_ylabel("from the side")
    axes[1, 0].set_ylabel("along 1")
    spread = {
        name: (np.abs(points @ ALONG).max(), np.linalg.norm(points @ ACROSS.T, axis=1))
        for name, points in stages.items()
    }
    alt = (
        f"Three pairs of dot plots of the same {len(points)} points with three features. Upper "
        "row, from the side, the direction of equal features upwards; lower row, looked at along "
        "that direction. "
        + " ".join(
            f"{name}: heights up to {high:.2f}, distances from the axis {away.min():.2f} to "
            f"{away.max():.2f}."
            for name, (high, away) in spread.items()
        )
        + " A cloud becomes a flat disc, and the disc a circle of radius √3 = 1.73; the points "
        "keep their direction in the disc."
    )
    digest = {name: [high, away.min(), away.max()] for name, (high, away) in spread.items()}
    return Figure(fig, alt, digest)


@styled
def leak(moved: Mapping[str, np.ndarray]) -> Figure:
    """Which outputs move when one token is changed, one panel for each normalisation.

    moved : name → (T, T), row: the token changed, column: the output; largest change of a logit
    """
    fig = MplFigure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = np.atleast_1d(fig.subplots(1, len(moved), sharey=True))
    said, digest = [], {}
    for ax, (name, change) in zip(axes, moved.items(), strict=True):
        T = len(change)
        future = np.tri(T, k=-1, dtype=bool)  # outputs that stand before the changed token
        for row, column in np.argwhere(change > 0):
            colour = PALETTE["vermillion" if future[row, column] else "blue"]
            square(ax, column + 1, row + 1, colour, 0.85)
        ax.set(xlim=(0.5, T + 0.5), ylim=(T + 0.5, 0.5), aspect="equal", xlabel="output")
        ax.set_xticks([1, T])
        ax.set_yticks([1, T])
        ax.set_title(name, fontsize=TEXT)
        ax.grid(False)
        backwards = change[future]
        said.append(
            f"{name}: {(backwards > 0).sum()} of {backwards.size} outputs before the changed token "
            f"move, the most by {backwards.max():.2g}."
        )
        digest[name] = [(backwards > 0).mean(), backwards.max(), change[~future].max()]
    axes[0].set_ylabel("token changed")
    alt = (
        f"Grids of {T} × {T} cells. Row: which token was changed. Column: which output is looked "
        "at. A cell is filled where the output moved; on and above the diagonal the output comes "
        "at or after the token, as it should. " + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def variance_errors(
    offsets: Sequence[float], errors: Mapping[str, Sequence[float]], negative: Sequence[float]
) -> Figure:
    """Relative error of each way to a variance against the mean of the numbers, in float32.

    offsets : (O,) positive; errors : name → (O,); negative : (O,) share of naive results below 0
    """
    fig, ax = new_axes(4.0)
    ends = []
    for (name, error), colour, marker in zip(errors.items(), SERIES, MARKERS, strict=True):
        ax.plot(offsets, error, color=colour, marker=marker)
        ends.append((offsets[-1], error[-1], name, colour))
    ax.axhline(1, ls=":", color=PALETTE["muted"])
    ax.annotate(
        "all digits lost",
        (offsets[0], 1),
        xytext=(0, 4),
        textcoords="offset points",
        color=PALETTE["muted"],
        va="bottom",
    )
    ax.set(xlabel="mean of the numbers, spread 1", ylabel="relative error of the variance")
    log_axis(ax.xaxis, "x", ax)
    log_axis(ax.yaxis, "y", ax)
    spread_labels(ax, ends, gap=0.085, log=True)
    alt = (
        "Line chart on two logarithmic axes. Horizontal: the mean of the numbers, "
        f"{offsets[0]:,.0f} to {offsets[-1]:,.0f}, their spread being 1. Vertical: relative error "
        "of the variance in float32. "
        + " ".join(
            f"{name}: " + ", ".join(f"{e:.1e}" for e in error) + "."
            for name, error in errors.items()
        )
        + " Share of naive variances below zero: "
        + ", ".join(f"{100 * share:.0f} %" for share in negative)
        + "."
    )
    return Figure(fig, alt, dict(errors) | {"naive below 0": negative})


@styled
def gradient_by_depth(
    depths: Sequence[int], norms: Mapping[str, np.ndarray], exponents: Mapping[str, float]
) -> Figure:
    """Size of the last layer's gradient before training, against depth; a dot for each seed.

    norms : placement → (depths, seeds); exponents : placement → fitted power of the depth
    """
    fig, ax = new_axes(3.9)
    ends = []
    for (name, norm), colour, marker in zip(norms.items(), SERIES, MARKERS, strict=False):
        dots(ax, depths, norm, colour)
        ax.plot(depths, norm.mean(1), color=colour, marker=marker)
        power = f"{exponents[name]:+.2f}".replace("-", "−")
        ends.append((depths[-1], norm[-1].mean(), f"{name}, {power}", colour))
    ax.set(xlabel="depth, layers", ylabel="gradient of the last layer")
    _depth_axis(ax, depths)
    ax.set_yscale("log")
    _plain_ticks(ax)
    spread_labels(ax, ends, gap=0.11, log=True)
    alt = (
        f"Line chart on two logarithmic axes. Horizontal: depth, {depths[0]} to {depths[-1]} "
        "layers. Vertical: norm of the gradient of the last layer’s second matrix before training. "
        + " ".join(
            f"{name}: "
            + ", ".join(f"{v:.3f}" for v in norm.mean(1))
            + f"; power of the depth {exponents[name]:+.2f}."
            for name, norm in norms.items()
        )
    )
    digest = {name: norm.mean(1) for name, norm in norms.items()}
    return Figure(fig, alt, digest | {"exponents": list(exponents.values())})


@styled
def gradient_by_layer(norms: Mapping[str, Sequence[float]]) -> Figure:
    """Size of the gradient in each layer of one deep model before training.

    norms : placement → (N,), first layer first
    """
    fig, ax = new_axes(3.6)
    ends = []
    for (name, norm), colour, marker in zip(norms.items(), SERIES, MARKERS, strict=False):
        layers = np.arange(1, len(norm) + 1)
        ax.plot(layers, norm, color=colour, marker=marker, ms=4)
        ends.append((layers[-1], norm[-1], name, colour))
    ax.set(xlabel="layer, the first one left", ylabel="gradient", yscale="log")
    _plain_ticks(ax)
    spread_labels(ax, ends, gap=0.1, log=True)
    alt = (
        "Line chart with a logarithmic vertical axis: norm of the gradient of each layer’s second "
        f"matrix before training, from layer 1 to layer {len(layers)}. "
        + " ".join(
            f"{name}: {norm[0]:.3f} at the first layer, {norm[len(norm) // 2]:.3f} in the middle, "
            f"{norm[-1]:.3f} at the last."
            for name, norm in norms.items()
        )
    )
    return Figure(fig, alt, norms)


@styled
def amplification_by_depth(
    depths: Sequence[int], ratios: Mapping[str, np.ndarray], straight: str = "pre"
) -> Figure:
    """How far weight noise moves the output, against depth; below, one placement by itself.

    Lines are medians: in deep models a few draws of the noise move the output far more than most.

    ratios : placement → (depths, seeds); straight : the placement drawn alone on a plain axis
    """
    fig, (every, one) = figure_of_panels(2, height=3.0)
    ends = []
    for (name, ratio), colour, marker in zip(ratios.items(), SERIES, MARKERS, strict=False):
        for ax in (every, one) if name == straight else (every,):
            dots(ax, depths, ratio, colour)
            ax.plot(depths, np.median(ratio, 1), color=colour, marker=marker)
        ends.append((depths[-1], np.median(ratio[-1]), name, colour))
    every.set_ylabel("output moved")
    log_axis(every.yaxis, "y", every)
    one.set(ylabel=f"{straight} alone, 10⁻⁴", xlabel="depth, layers", ylim=(0, None))
    one.yaxis.set_major_formatter(lambda value, _: f"{1e4 * value:g}")
    _depth_axis(one, depths)
    spread_labels(every, ends, gap=0.1, log=True)
    steps = np.diff(np.median(ratios[straight], 1))
    alt = (
        f"Two line charts against depth, {depths[0]} to {depths[-1]} layers, logarithmic: squared "
        "change of the output, relative, after noise of 1 % on the weights; medians. Top, also "
        "vertically logarithmic: "
        + " ".join(
            f"{name}: " + ", ".join(f"{v:.2g}" for v in np.median(ratio, 1)) + "."
            for name, ratio in ratios.items()
        )
        + f" Bottom, {straight} alone on a plain axis, where a straight line is growth with the "
        f"logarithm of the depth: each step to the right adds {steps.min():.1e} to "
        f"{steps.max():.1e}."
    )
    return Figure(fig, alt, {name: np.median(ratio, 1) for name, ratio in ratios.items()})


# ------------------------------------------------------------------------ shared with trainability
def square(ax: Axes, x: float, y: float, colour: str, alpha: float) -> None:
    """A cell of a grid around (x, y), in a colour the book can change."""
    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, alpha=alpha, lw=0))


def dots(ax: Axes, x: Sequence[float], values: np.ndarray, colour: str) -> None:
    """(len(x), seeds) values as faint dots."""
    repeated = np.repeat(x, values.shape[1])
    ax.plot(repeated, values.ravel(), ".", color=colour, ms=5, alpha=0.5, mew=0)


def _depth_axis(ax: Axes, depths: Sequence[int]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(depths, [str(depth) for depth in depths])
    ax.minorticks_off()


def _plain_ticks(ax: Axes) -> None:
    """1, 2, 5 of every decade in sight, written out: a log axis over less than two decades."""
    low, high = ax.get_ylim()
    ticks = [
        digit * 10.0**power
        for power in range(-6, 7)
        for digit in (1, 2, 5)
        if low <= digit * 10.0**power <= high
    ]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
