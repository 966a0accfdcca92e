"""The figures of the scaling chapter's flagship: a study with the answer key.

Losses are in nats per token, compute C in FLOP, sizes N in parameters that multiply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lmlib.figures.base import (
    MARKERS,
    PALETTE,
    SERIES,
    TEXT,
    Figure,
    label,
    log_axis,
    new_axes,
    spread_labels,
    styled,
)
from lmlib.scaling import Minima, Prediction
from lmlib.scaling.checks import FLOP_PER_PARAMETER_AND_TOKEN


@styled
def valleys(
    budget: np.ndarray,
    params: np.ndarray,
    loss: np.ndarray,
    bottoms: Minima,
    window: float = 6.0,
) -> Figure:
    """IsoFLOP valleys: loss against N, one series for each budget, with its parabola.

    budget, params, loss : (n,), the runs
    bottoms : what `isoflop_minima` found with this `window`
    """
    fig, ax = new_axes(4.3)
    ends, said, digest = [], [], {}
    lowest = zip(bottoms.compute, bottoms.params, bottoms.loss, strict=True)
    for (C, best, bottom), colour, marker in zip(lowest, SERIES, MARKERS, strict=False):
        here = np.flatnonzero(np.isclose(budget, C, rtol=1e-6))
        here = here[np.argsort(params[here])]
        N, L = params[here], loss[here]
        ax.plot(N, L, ls="none", marker=marker, color=colour, alpha=0.75)
        centre = N[L.argmin()]
        near = np.abs(np.log(N / centre)) <= np.log(window)
        # The least-squares parabola with this vertex: its one free number is the curvature.
        u = np.log(N[near] / best)
        curvature = ((L[near] - bottom) * u**2).sum() / (u**4).sum()
        x = np.geomspace(N[near].min(), N[near].max(), 60)
        ax.plot(x, bottom + curvature * np.log(x / best) ** 2, color=colour)
        ax.plot(best, bottom, marker="x", ms=10, mew=2.5, color=PALETTE["ink"], zorder=5)
        ends.append((N[-1], L[-1], _flop(C), colour))
        said.append(
            f"{_flop(C)} FLOP: {len(N)} sizes from {N[0]:,.0f} to {N[-1]:,.0f} parameters; loss "
            f"{L[0]:.3f} for the smallest, {L[-1]:.3f} for the largest, and {bottom:.3f} at the "
            f"bottom of the parabola, at {best:,.0f} parameters."
        )
        digest[f"{C:.3g} FLOP"] = [best, bottom]
    log_axis(ax.xaxis, "x", ax)
    ax.set(xlabel="parameters N", ylabel="held-out loss, nats")
    right = params.max()
    ends = [
        (right, y, text if k else f"{text} FLOP", colour)
        for k, (_, y, text, colour) in enumerate(ends)
    ]
    spread_labels(ax, ends, gap=0.09, span=ax.get_ylim())
    alt = (
        "Scatter chart of valleys, one for each training budget, each with a fitted parabola and a "
        "cross at its bottom. Horizontal, logarithmic: parameters. Vertical: held-out loss in "
        "nats per token. " + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def straight_only_without_floor(
    compute: np.ndarray,
    loss: np.ndarray,
    E: float,
    measured_compute: Sequence[float],
    measured_loss: Sequence[float],
) -> Figure:
    """The best loss for each budget, raw and less the floor E, both axes logarithmic.

    compute, loss : (points,), the fitted law along its own optimum, from far below to far above
        what was measured
    measured_compute, measured_loss : the bottoms of the valleys, and any larger run
    """
    fig, ax = new_axes(4.0)
    excess = loss - E
    measured_loss = np.asarray(measured_loss, float)
    slopes = np.diff(np.log([loss, excess])) / np.diff(np.log(compute))
    raw, straight = SERIES[:2]
    ax.axhline(E, ls=":", color=PALETTE["muted"])
    ax.plot(compute, loss, color=raw)
    ax.plot(compute, excess, color=straight)
    ax.plot(measured_compute, measured_loss, ls="none", marker="o", color=raw)
    ax.plot(measured_compute, measured_loss - E, ls="none", marker="s", color=straight)
    log_axis(ax.xaxis, "x", ax)
    ax.set(yscale="log", xlabel="compute C, FLOP", ylabel="nats")
    ticks = [t for t in (0.03, 0.1, 0.3, 1, 3, 10) if excess.min() / 2 < t < 2 * loss.max()]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_ylim(0.6 * excess.min(), 2 * loss.max())
    label(ax, compute[-1], loss[-1], "loss L", raw, va="bottom")
    label(ax, compute[-1], E, f"E = {E:.2f}", PALETTE["muted"], va="top", xytext=(6, -4))
    label(ax, compute[-1], excess[-1], "L − E", straight)
    alt = (
        "Line chart, both axes logarithmic. Horizontal: compute from "
        f"{compute[0]:.1e} to {compute[-1]:.1e} FLOP. Vertical: nats per token. The loss itself "
        f"bends: its slope is {slopes[0, 0]:.3f} at the left and {slopes[0, -1]:.3f} at the right, "
        f"where it comes to rest on the floor E = {E:.3f}. The loss less E is a straight line of "
        f"slope {slopes[1, 0]:.3f}. Measured, L and L − E: "
        + "; ".join(
            f"{L:.3f} and {L - E:.3f} at {C:.2g} FLOP"
            for C, L in zip(measured_compute, measured_loss, strict=True)
        )
        + "."
    )
    digest = {
        "slope of L": slopes[0, [0, -1]],
        "slope of L − E": slopes[1, [0, -1]],
        "measured L − E": measured_loss - E,
    }
    return Figure(fig, alt, digest)


@styled
def envelope(
    draws: np.ndarray, E: float, interval: tuple[float, float], truth: float | None = None
) -> Figure:
    """What the study says about E, and, once the envelope is open, the truth.

    draws : (n,), E of the resamples; E : the fit; interval : (low, high), 95 %
    truth : entropy of the test text, None while the envelope is closed
    """
    fig, ax = new_axes(3.2)
    low, high = interval
    reach = [low, high, E] if truth is None else [low, high, E, truth]
    margin = 0.35 * (max(reach) - min(reach))
    left, right = min(reach) - margin, max(reach) + margin
    counts, edges = np.histogram(draws, bins=np.linspace(left, right, 41))
    ax.stairs(counts, edges, fill=True, color=PALETTE["sky"], alpha=0.6)
    top = 1.2 * counts.max()
    ax.plot([low, high], [1.08 * counts.max()] * 2, color=PALETTE["blue"], lw=4)
    ax.plot(E, 1.08 * counts.max(), marker="o", ms=9, color=PALETTE["blue"])
    ax.set(xlim=(left, right), ylim=(0, top), xlabel="E, nats per token", ylabel="resamples")
    fitted = f"fit {E:.3f}  [{low:.3f}, {high:.3f}]"
    ax.set_title(fitted, loc="left", color=PALETTE["blue"], fontsize=TEXT)
    alt = (
        f"Histogram of E in {len(draws):,} resamples of the runs, in nats per token. The fit says "
        f"{E:.4f}, with a 95 % interval from {low:.4f} to {high:.4f}."
    )
    digest = {"E": [E, low, high]}
    if truth is None:
        alt += " The truth is not shown yet."
    else:
        ax.axvline(truth, color=PALETTE["vermillion"], lw=2.5)
        inside = low <= truth <= high
        ha, shift = ("right", -6) if truth < E else ("left", 6)  # away from the bulk
        ink = PALETTE["vermillion"]
        label(ax, truth, 0.8 * counts.max(), f"truth {truth:.3f}", ink, ha=ha, xytext=(shift, 0))
        alt += (
            f" The true entropy of the test text, {truth:.4f}, lies "
            f"{'inside' if inside else 'outside'} the interval; the fit is "
            f"{100 * (E / truth - 1):+.2f} % off."
        )
        digest["truth"] = truth
    return Figure(fig, alt, digest)


@styled
def approaches(exponents: Mapping[str, np.ndarray]) -> Figure:
    """The exponent a of N* ∝ C^a by several approaches: a dot for each study, the mean as a bar.

    exponents : name → (studies,)
    """
    fig, ax = new_axes(0.62 * len(exponents) + 1.2)
    names = list(exponents)[::-1]
    said = []
    for row, name in enumerate(names):
        values = np.sort(np.asarray(exponents[name], float))
        colour = SERIES[(len(names) - 1 - row) % len(SERIES)]
        # Dots side by side would hide one another: raise and lower every other one a little.
        jitter = np.resize([0.0, 0.14, -0.14], values.size)
        ax.plot(values, row + jitter, ls="none", marker="o", ms=5, alpha=0.5, color=colour)
        ax.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=colour, lw=3)
        label(
            ax,
            1,
            row,
            f"{values.mean():.3f} ± {_sd(values):.3f}",
            colour,
            xycoords=ax.get_yaxis_transform(),
        )
        said.append(
            f"{name}: mean {values.mean():.3f}, standard deviation {_sd(values):.3f}, from "
            f"{values[0]:.3f} to {values[-1]:.3f}."
        )
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="exponent a of N* ∝ Cᵃ", ylim=(-0.5, len(names) - 0.5))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    studies = len(next(iter(exponents.values())))
    alt = (
        f"Dot chart: the exponent a from {studies} studies, a row for each approach, the mean as a "
        "bar. " + " ".join(said[::-1])
    )
    return Figure(fig, alt, {name: [np.mean(v), _sd(v)] for name, v in exponents.items()})


@styled
def signed(
    compute: np.ndarray,
    loss: np.ndarray,
    bottoms: Minima,
    prediction: Prediction,
    measured: Sequence[float] = (),
) -> Figure:
    """The law continued to a larger run: what was predicted of it, and what came.

    compute, loss : (points,), the fitted law along its optimum, up to the large run
    bottoms : of the valleys that were measured
    prediction : for the large run
    measured : its losses, one for each network; empty before it is trained
    """
    fig, ax = new_axes(4.0)
    expected, low, high = prediction.loss, prediction.low, prediction.high
    C = FLOP_PER_PARAMETER_AND_TOKEN * prediction.params * prediction.tokens
    seen = compute <= 1.0001 * bottoms.compute.max()
    ax.plot(compute[seen], loss[seen], color=PALETTE["blue"])
    ax.plot(compute[~seen], loss[~seen], color=PALETTE["blue"], ls=":")
    ax.plot(bottoms.compute, bottoms.loss, ls="none", marker="o", color=PALETTE["blue"])
    ax.plot([C, C], [low, high], color=PALETTE["vermillion"], lw=4, alpha=0.7)
    ax.plot(C, expected, marker="s", ms=8, color=PALETTE["vermillion"])
    log_axis(ax.xaxis, "x", ax)
    bottom = min(low, *measured) if len(measured) else low
    ax.set(xlabel="compute C, FLOP", ylabel="held-out loss, nats")
    ax.set(xlim=(compute[0] / 1.3, C * 1.7), ylim=(bottom - 0.06, None))
    ax.annotate(
        f"predicted\n{expected:.3f}\n[{low:.3f}, {high:.3f}]",
        (1, 1),
        xycoords="axes fraction",
        ha="right",
        va="top",
        color=PALETTE["vermillion"],
    )
    alt = (
        "Line chart: the fitted law along its optimum, loss in nats against compute on a "
        "logarithmic axis, with the bottoms of the valleys, "
        + ", ".join(
            f"{L:.3f} at {c:.2g} FLOP" for c, L in zip(bottoms.compute, bottoms.loss, strict=True)
        )
        + f". Continued to {C:.2g} FLOP it predicts {expected:.4f}, with a 95 % interval from "
        f"{low:.4f} to {high:.4f}."
    )
    digest = {"predicted": [expected, low, high]}
    if len(measured):
        mean = float(np.mean(measured))
        beside = [1.25 * C] * len(measured)  # or they would cover the prediction
        ax.plot(beside, measured, ls="none", marker="D", ms=5, color=PALETTE["ink"])
        label(ax, C, low, f"measured {mean:.3f}", ha="right", va="top", xytext=(6, -4))
        alt += (
            " Measured: " + ", ".join(f"{m:.4f}" for m in measured) + f", on average {mean:.4f}, "
            f"{'inside' if low <= mean <= high else 'outside'} the interval and "
            f"{abs(expected / mean - 1):.2%} from the prediction."
        )
        digest["measured"] = measured
    return Figure(fig, alt, digest)


@styled
def coverage(
    estimate: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    truth: np.ndarray,
    xlabel: str,
    name: str = "the truth",
) -> Figure:
    """Intervals of many studies about the truth, which is drawn as zero; misses stand out.

    estimate, low, high, truth : (studies,); xlabel : what is estimated, with its unit; name : what
    the truth is called, such as "the measured loss"
    """
    fig, ax = new_axes(4.6)
    estimate, low, high = (np.asarray(v) - truth for v in (estimate, low, high))
    order = np.argsort(estimate)
    inside = (low <= 0) & (high >= 0)
    ax.axvline(0, color=PALETTE["ink"], lw=1.5)
    for row, k in enumerate(order):
        colour, marker = (SERIES[0], "o") if inside[k] else (SERIES[1], "x")
        ax.plot([low[k], high[k]], [row, row], color=colour, lw=2.5, alpha=0.8)
        ax.plot(estimate[k], row, marker=marker, mew=2, color=colour)
    ax.set(xlabel=xlabel, ylabel="study, by its estimate", yticks=[])
    ax.locator_params(axis="x", nbins=5)  # or the numbers touch
    ax.set_title(f"{inside.sum()} of {inside.size} hold {name}", loc="left", fontsize=TEXT)
    ax.grid(axis="y", visible=False)
    missed = ", ".join(
        f"study {k}: from {low[k]:+.4f} to {high[k]:+.4f}" for k in np.flatnonzero(~inside)
    )
    alt = (
        f"Interval chart of {inside.size} studies, horizontal: {xlabel}, {name} being zero. The "
        f"95 % intervals of {inside.sum()} hold it, where {0.95 * inside.size:g} are expected. "
        f"Estimates lie from {estimate.min():+.4f} to {estimate.max():+.4f}, on average "
        f"{estimate.mean():+.4f} with a standard deviation of {_sd(estimate):.4f}; the intervals "
        f"are {np.mean(high - low):.4f} wide on average. "
        + (f"Missed: {missed}." if missed else "None missed.")
    )
    digest = {
        "inside": [inside.sum(), inside.size],
        "estimate − truth": [estimate.mean(), _sd(estimate)],
        "width": np.mean(high - low),
    }
    return Figure(fig, alt, digest)


def _sd(values) -> float:
    return float(np.std(values, ddof=1)) if np.size(values) > 1 else 0.0


def _flop(C: float) -> str:
    exponent = int(np.floor(np.log10(C) + 1e-9))
    digits = f"{C / 10**exponent:.2g}".rstrip("0").rstrip(".")
    power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if digits == "1" else f"{digits}·{power}"
