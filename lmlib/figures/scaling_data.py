"""What a law says beside what was measured: toy worlds, two couplings, real text, repetition.

Losses are in nats per token, compute C = 6 N D in FLOP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from lmlib.figures.base import (
    MARKERS,
    PALETTE,
    SERIES,
    TEXT,
    Figure,
    figure_of_panels,
    log_axis,
    new_axes,
    spread_labels,
    styled,
)

_count = "{:,.0f}".format


@styled
def two_limits(
    x: Sequence[float],
    excess: Mapping[str, np.ndarray],
    theory: Mapping[str, np.ndarray],
    exponents: Mapping[str, float],
    xlabel: str = "pieces N, or tokens D",
) -> Figure:
    """The excess of a toy world under either limit, beside the line that theory drew before.

    x : (X,), sizes N or amounts D
    excess : limit → (X,), or (runs, X) for several learners, measured
    theory : limit → (X,), the line; exponents : limit → its slope, without the sign
    """
    fig, ax = new_axes(4.0)
    ends, said, digest = [], [], {}
    x = np.asarray(x, float)
    for (name, measured), colour, marker in zip(excess.items(), SERIES, MARKERS, strict=False):
        runs = np.atleast_2d(measured)
        line, mean = theory[name], runs.mean(0)
        ax.plot(x, line, color=colour, lw=1.5)
        ax.plot(np.tile(x, len(runs)), runs.ravel(), marker, color=colour, alpha=0.6, mew=0)
        ends.append((x[-1], line[-1], name, colour))
        slopes = -np.diff(np.log(mean)) / np.diff(np.log(x))
        many = f" (mean of {len(runs)} runs)" if len(runs) > 1 else ""
        said.append(
            f"{name}: theory says exponent {exponents[name]:.4g}; measured{many}, the excess falls "
            f"from {mean[0]:.3g} at {_count(x[0])} to {mean[-1]:.3g} at {_count(x[-1])}, the last "
            f"step with exponent {slopes[-1]:.4g}; measured over theory is "
            f"{mean[0] / line[0]:.3f} at the left and {mean[-1] / line[-1]:.3f} at the right."
        )
        digest[name] = [exponents[name], slopes[-1], mean[-1] / line[-1]]
    log_axis(ax.xaxis, "x", ax)
    log_axis(ax.yaxis, "y", ax)
    ax.set(xlabel=xlabel, ylabel="excess, nats")
    spread_labels(ax, ends, gap=0.12, log=True)
    alt = (
        "Line chart, both axes logarithmic: lines for the theory, markers for what was measured. "
        f"Horizontal: {xlabel}. Vertical: excess over the entropy, nats per token. "
        + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def couplings(
    params: Sequence[int],
    tokens: Sequence[int],
    excess: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    allocation: Mapping[str, float],
    theory: float,
) -> Figure:
    """The excess of one grid of runs under two laws, a panel each: markers measured, lines fitted.

    params, tokens : (N,), (D,); excess : (N, D), loss less the true entropy
    predicted : law → (N, D), the same from the fit; allocation : law → a; theory : the true a
    """
    fig, axes = figure_of_panels(len(predicted), 3.2)
    said, digest = [], {"theory": [theory]}
    for ax, (name, law) in zip(axes, predicted.items(), strict=True):
        ax.set_yscale("log")
        _plain_ticks(ax.yaxis)
        # Where a law lies below the true entropy there is no logarithm to draw.
        _lines(ax, tokens, excess, np.where(law > 0, law, np.nan))
        ends = [
            (tokens[-1], row[-1], _count(N), colour)
            for N, row, colour in zip(params, excess, SERIES, strict=False)
        ]
        ends[0] = (*ends[0][:2], f"N = {ends[0][2]}", ends[0][3])
        spread_labels(ax, ends, gap=0.16, log=True)
        ax.set(ylabel="excess, nats")
        ax.set_title(
            f"{name}: a = {allocation[name]:.2f}, theory {theory:.2f}", loc="left", fontsize=TEXT
        )
        off = np.sqrt(np.mean((law / excess - 1) ** 2))
        said.append(
            f"{name}: a = {allocation[name]:.3f} where theory says {theory:.3f}; it misses the "
            f"excess by {100 * off:.1f} % (root mean square), at worst "
            f"{100 * np.abs(law / excess - 1).max():.0f} %."
        )
        digest[name] = [allocation[name], off]
    log_axis(axes[-1].xaxis, "x", axes[-1])
    axes[-1].set(xlabel="tokens D")
    alt = (
        f"{len(axes)} panels, one for each law, with the same runs as markers and the fitted law "
        f"as lines, a line for each size N = {', '.join(map(_count, params))}. Horizontal, "
        f"logarithmic: tokens from {_count(tokens[0])} to {_count(tokens[-1])}. Vertical, "
        f"logarithmic: excess over the entropy, from {excess.max():.3g} to {excess.min():.3g} nats "
        "per token. " + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def extrapolations(
    params: np.ndarray,
    tokens: np.ndarray,
    loss: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    held_out: np.ndarray,
) -> Figure:
    """Runs on one text, and what laws fitted to the cheap ones say of the dear ones; a panel each.

    params, tokens : (N,), (D,); loss : (N, D), mean of the seeds
    predicted : law → (N, D); held_out : (N, D) bool, the runs the fit has not seen
    """
    fig, axes = figure_of_panels(len(predicted), 3.4)
    compute = 6 * np.outer(params, tokens).astype(float)
    said, digest = [], {}
    for ax, (name, law) in zip(axes, predicted.items(), strict=True):
        _lines(ax, compute, loss, law, hollow=held_out)
        ends = [
            (compute[-1, -1], row[-1], _count(N), colour)
            for N, row, colour in zip(params, loss, SERIES, strict=False)
        ]
        ends[0] = (*ends[0][:2], f"N = {ends[0][2]}", ends[0][3])
        ax.set(ylabel="held-out loss, nats")
        spread_labels(ax, ends, gap=0.13, span=ax.get_ylim())
        error = (law - loss)[held_out]
        ax.set_title(
            f"{name}: error {np.sqrt(np.mean(error**2)):.3f} nats ahead", loc="left", fontsize=TEXT
        )
        fitted = (law - loss)[~held_out]
        rms, before = (np.sqrt(np.mean(part**2)) for part in (error, fitted))
        worst = np.unravel_index(np.abs(np.where(held_out, law - loss, 0)).argmax(), loss.shape)
        said.append(
            f"{name}: it misses the runs it was fitted to by {before:.3f} nats (root mean square) "
            f"and those it has not seen by {rms:.3f}, {error.mean():+.3f} on average; its "
            f"largest error is at N = {_count(params[worst[0]])}, D = {_count(tokens[worst[1]])}: "
            f"predicted {law[worst]:.3f}, measured {loss[worst]:.3f}."
        )
        digest[name] = [before, rms, error.mean()]
    log_axis(axes[-1].xaxis, "x", axes[-1])
    axes[-1].set(xlabel="compute 6 N D, FLOP")
    alt = (
        f"{len(axes)} panels, one for each law, with the same runs as markers and the law as "
        "lines, one for each size. Filled markers: runs the law was fitted to; hollow markers: the "
        f"{held_out.sum()} dearest of {loss.size} runs, which it had to predict. Horizontal, "
        f"logarithmic: compute from {compute.min():.1e} to {compute.max():.1e} FLOP. Vertical: "
        "held-out loss in nats per token. "
        + " ".join(
            f"N = {_count(N)}: {row[0]:.2f} at {_count(tokens[0])} tokens, {row[-1]:.2f} at "
            f"{_count(tokens[-1])}."
            for N, row in zip(params, loss, strict=True)
        )
        + " "
        + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def floors(
    intervals: Mapping[str, tuple[float, float, float]],
    lowest: Mapping[str, float],
    truth: Mapping[str, float],
) -> Figure:
    """What fits say about E: one bar for each, and how far it is from the lowest measured loss.

    intervals : name → (low, high, E), 95 %; lowest : name → the lowest measured loss
    truth : name → the entropy, for those whose entropy is known
    """
    fig, ax = new_axes(1.3 + 0.75 * len(intervals))
    said, digest = [], {}
    right = max(max(lowest.values()), max(high for _, high, _ in intervals.values()))
    for row, (name, (low, high, E)) in enumerate(intervals.items()):
        colour = SERIES[0] if name in truth else SERIES[1]
        ax.plot([low, high], [row, row], color=colour, lw=5, solid_capstyle="butt")
        ax.plot(E, row, "o", color=colour, ms=7)
        ax.plot(lowest[name], row, "|", color=PALETTE["muted"], ms=18, mew=2)
        ax.text(0, row - 0.36, name, color=colour, ha="left", va="center")
        known = ""
        if name in truth:
            # Below the bar, which may be shorter than the cross is wide.
            ax.plot(truth[name], row + 0.27, "x", color=PALETTE["ink"], ms=9, mew=2.5)
            known = f", and the truth is {truth[name]:.3f}"
        said.append(
            f"{name}: interval {low:.2f} to {high:.2f}, {high - low:.2f} nats wide, around "
            f"{E:.2f}; the lowest loss measured is {lowest[name]:.2f}{known}."
        )
        digest[name] = [low, high, E, lowest[name]]
    ax.set(xlim=(-0.04 * right, 1.06 * right), ylim=(len(intervals) - 0.5, -0.7))
    ax.set(xlabel="E, nats per token (| lowest loss, × truth)")
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")
    alt = (
        "Horizontal bars, one for each fit: the 95 % interval of the floor E with a dot at the "
        "fit. A grey stroke marks the lowest loss measured, a cross the true entropy where it is "
        "known. " + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def repetition(
    epochs: Sequence[int],
    multiple: Mapping[str, np.ndarray],
    fitted: Mapping[str, np.ndarray],
    R_star: Mapping[str, float],
    published: np.ndarray,
) -> Figure:
    """What the same tokens are worth when they are read again, in fresh tokens.

    epochs : (E,); multiple : amount → (seeds, E), D' / U, measured
    fitted : amount → (E,), the form with its R_star, nan where it does not hold
    published : (E,), the form with the constant of Muennighoff et al.
    """
    fig, ax = new_axes(4.6)
    ax.plot(epochs, epochs, ls=":", color=PALETTE["muted"])
    ax.plot(epochs, published, ls="--", color=PALETTE["muted"])
    ends = [
        (epochs[-1], epochs[-1], "all fresh", PALETTE["muted"]),
        (epochs[-1], published[-1], "R* = 15.4", PALETTE["muted"]),
    ]
    said, digest = [], {"R* = 15.4": published}
    for (name, runs), colour, marker in zip(multiple.items(), SERIES, MARKERS, strict=False):
        mean = runs.mean(0)
        ax.plot(np.tile(epochs, len(runs)), runs.ravel(), ".", color=colour, alpha=0.5, mew=0)
        ax.plot(epochs, mean, ls="none", marker=marker, color=colour)
        ax.plot(epochs, fitted[name], color=colour)
        held = ~np.isnan(fitted[name])
        ends.append((epochs[-1], mean[-1], name, colour))
        peak = int(mean.argmax())
        off = np.abs(fitted[name][held] / mean[held] - 1).max()
        said.append(
            f"{name}: "
            + ", ".join(
                f"{m:.2f} ± {np.ptp(r) / 2:.2f} after {e}"
                for e, m, r in zip(epochs, mean, runs.T, strict=True)
            )
            + f" epochs; most after {epochs[peak]}. The form with R* = {R_star[name]:.2f} holds "
            f"within {100 * off:.0f} % up to {np.asarray(epochs)[held][-1]} epochs."
        )
        digest[name] = [R_star[name], *mean]
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(epochs, [str(e) for e in epochs])
    _plain_ticks(ax.yaxis)
    ax.minorticks_off()
    ax.set(xlabel="epochs", ylabel="worth, in fresh tokens: D′ / U")
    spread_labels(ax, ends, gap=0.09, log=True)
    alt = (
        "Line chart, both axes logarithmic. Horizontal: epochs over the same U tokens, "
        + ", ".join(map(str, epochs))
        + ". Vertical: how many fresh tokens give the same loss, as a multiple of U; a dot for "
        "each seed, a marker for the mean, a line for the fitted form as far as it holds. A dotted "
        "diagonal: if every repetition were as good as new. A dashed line, the constant of "
        "Muennighoff et al., R* = 15.4: "
        + ", ".join(f"{m:.1f} after {e}" for e, m in zip(epochs, published, strict=True))
        + ". "
        + " ".join(said)
    )
    return Figure(fig, alt, digest)


def _plain_ticks(axis) -> None:
    """1, 2, 5 of every decade, written out: for a logarithmic axis of one decade or two."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _lines(
    ax: Axes, x: np.ndarray, measured: np.ndarray, law: np.ndarray, hollow: np.ndarray | None = None
) -> None:
    """A series for each row: markers measured, a line for the law."""
    x = np.broadcast_to(x, measured.shape)
    hollow = np.zeros(measured.shape, bool) if hollow is None else hollow
    for k, (colour, marker) in enumerate(zip(SERIES, MARKERS, strict=True)):
        if k == len(measured):
            break
        for part, face in ((~hollow[k], colour), (hollow[k], PALETTE["paper"])):
            ax.plot(
                x[k][part],
                measured[k][part],
                ls="none",
                marker=marker,
                color=colour,
                mfc=face,
                ms=6,
            )
        ax.plot(x[k], law[k], color=colour, lw=1.5)
