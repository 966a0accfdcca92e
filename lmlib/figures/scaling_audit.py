"""How disagreements arose, what use costs, and what a proxy is worth: figures of the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lmlib.figures.base import (
    MARKERS,
    PALETTE,
    SERIES,
    Figure,
    figure_of_panels,
    label,
    log_axis,
    new_axes,
    percent_axis,
    spread_labels,
    styled,
)
from lmlib.scaling import Fit, gold_reward
from lmlib.scaling.allocation import Plans
from lmlib.scaling.audit import Descents
from lmlib.scaling.overoptimisation import Overoptimised

LEVELS = (0.01, 0.1, 1.0)  # how far above the lowest objective the lines of the map lie


@styled
def stops(
    alphas: np.ndarray,
    betas: np.ndarray,
    profile: np.ndarray,
    fit: Fit,
    stopped: Mapping[str, Descents],
) -> Figure:
    """Where descents stopped, on the map of the objective they all went down.

    alphas, betas : (I,), (J,); profile : (I, J) as from `fit.profile`; fit : the exact optimum;
    stopped : word → `Descents`, one for each objective; a star marks the best start of each
    """
    fig, ax = new_axes(4.6)
    above = profile.T / fit.objective - 1
    ax.contourf(
        alphas, betas, above, [-1, *LEVELS], colors=[PALETTE["sky"]] * len(LEVELS), alpha=0.25
    )
    lines = ax.contour(
        alphas, betas, above, LEVELS, colors=[PALETTE["blue"]] * len(LEVELS), linewidths=1
    )
    for level, pieces in zip(LEVELS[1:], lines.allsegs[1:], strict=True):
        if pieces:  # the line may lie outside of the map, and the innermost is too small
            x, y = min(np.concatenate(pieces), key=lambda point: point[1])
            name = f"+{100 * level:,.0f} %"
            label(ax, x, y, name, PALETTE["blue"], ha="center", va="top", xytext=(0, -3))
    said, digest = [], {"optimum": [fit.alpha, fit.beta]}
    for (word, descents), colour, marker in zip(
        stopped.items(), (PALETTE["green"], PALETTE["vermillion"]), MARKERS, strict=False
    ):
        alpha, beta = descents.constants[:, 3:].T
        best = descents.objective[0] / fit.objective - 1
        share = np.mean(descents.objective <= 1.01 * fit.objective)
        inside = (alpha >= alphas[0]) & (alpha <= alphas[-1])
        inside &= (beta >= betas[0]) & (beta <= betas[-1])
        ax.plot(alpha[inside], beta[inside], marker, color=colour, ms=3.5, alpha=0.35, mew=0)
        ax.plot(alpha[0], beta[0], "*", color=colour, ms=17, mec=PALETTE["paper"], mew=1)
        label(
            ax,
            alpha[0],
            beta[0],
            f"{word}: a = {descents.exponent[0]:.3f}",
            colour,
            xytext=(14, 16 if marker == MARKERS[0] else -16),
            bbox={"fc": PALETTE["paper"], "ec": "none", "alpha": 0.8, "pad": 1},
        )
        said.append(
            f"{word}: the best of {len(alpha)} starts stopped at α = {alpha[0]:.3f}, β = "
            f"{beta[0]:.3f}, a = {descents.exponent[0]:.3f}, {100 * best:.1f} % above the lowest "
            f"objective; {100 * share:.1f} % of the starts came within 1 % of it, and "
            f"{inside.sum()} stopped on this map."
        )
        digest[word] = [alpha[0], beta[0], descents.exponent[0], best, share, inside.sum()]
    ax.set(
        xlim=(alphas[0], alphas[-1]),
        ylim=(betas[0], betas[-1]),
        xlabel="α, exponent of parameters",
        ylabel="β, exponent of tokens",
    )
    alt = (
        "Map of the objective. Horizontal: α, vertical: β; lines where it is "
        + ", ".join(f"{100 * level:,.0f} %" for level in LEVELS)
        + " above its lowest value, one around the other. "
        f"The optimum: α = {fit.alpha:.3f}, β = {fit.beta:.3f}, "
        f"a = {fit.exponent:.3f}. " + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def left_out(numbers: Sequence[int], exponents: Mapping[str, np.ndarray]) -> Figure:
    """The exponent a against how many of the highest losses were left out.

    numbers : (K,); exponents : name → (K,) or (K, seeds), where the line is their mean
    """
    fig, ax = new_axes(3.9)
    ends, said, digest = [], [], {}
    low = min(np.min(values) for values in exponents.values())
    high = max(np.max(values) for values in exponents.values())
    for (name, values), colour, marker in zip(exponents.items(), SERIES, MARKERS, strict=False):
        values = np.reshape(values, (len(numbers), -1))  # (K, seeds)
        mean = values.mean(1)
        ax.fill_between(numbers, values.min(1), values.max(1), color=colour, alpha=0.16, lw=0)
        ax.plot(numbers, mean, color=colour, marker=marker)
        ends.append((numbers[-1], mean[-1], name, colour))
        said.append(f"{name}: " + ", ".join(f"{value:.3f}" for value in mean) + ".")
        digest[name] = mean
    ax.set(
        xlabel="highest losses left out",
        ylabel="exponent a",
        xlim=(numbers[0] - 0.3, numbers[-1] * 1.9),
        xticks=[n for n in numbers if n in (0, 5, 15) or len(numbers) < 4],
    )
    spread_labels(ax, ends, gap=0.1, span=(low, high))
    alt = (
        "Line chart. Horizontal: how many of the highest losses were left out, "
        + ", ".join(map(str, numbers))
        + ". Vertical: the exponent a of the fit to the rest. "
        + " ".join(said)
    )
    return Figure(fig, alt, digest)


@styled
def steps(rows: Sequence[tuple[str, float, float, float]], goal: float = 0.5) -> Figure:
    """An exponent with its interval after one change after another.

    rows : (what was changed, exponent, low, high), first to last; goal : a line to compare with
    """
    fig, ax = new_axes(0.62 * len(rows) + 0.9)
    ax.axvline(goal, ls=":", color=PALETTE["muted"])
    for k, (_, value, low, high) in enumerate(rows):
        ax.plot([low, high], [k, k], color=PALETTE["blue"], lw=5, solid_capstyle="butt", alpha=0.5)
        ax.plot(value, k, "o", color=PALETTE["blue"])
        label(ax, high, k, f"{value:.3f}", xytext=(8, 0))
    for k, (name, *_) in enumerate(rows):
        sign = "" if k == 0 else "+ "
        ax.text(goal + 0.008, k - 0.42, sign + name, ha="left", va="center", color=PALETTE["ink"])
    ax.set(
        xlim=(min(goal, *(row[2] for row in rows)) - 0.03, max(row[3] for row in rows) + 0.08),
        ylim=(len(rows) - 0.6, -0.8),
        xlabel="exponent a of parameters",
    )
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")
    alt = (
        f"Dots with intervals, one row for each change, from top to bottom. Horizontal: the "
        f"exponent a; a dotted line at {goal:g}. "
        + ", then ".join(f"{name}: {v:.3f} ({lo:.3f} to {hi:.3f})" for name, v, lo, hi in rows)
        + "."
    )
    return Figure(fig, alt, {name: [v, lo, hi] for name, v, lo, hi in rows})


@styled
def tokens_of_models(
    models: Mapping[str, tuple[float, float]], optimal: Mapping[str, float], law: str
) -> Figure:
    """Tokens per parameter of public models, beside what a law asks for on the same compute.

    models : name → (parameters, training tokens); optimal : name → tokens per parameter;
    law : its name, for the reader
    """
    names = sorted(models, key=lambda name: models[name][1] / models[name][0])
    ratios = [models[name][1] / models[name][0] for name in names]
    fig, ax = new_axes(0.4 * len(names) + 1.2)
    rows = np.arange(len(names))
    wanted = [optimal[name] for name in names]
    for row, ratio, best in zip(rows, ratios, wanted, strict=True):
        colour = PALETTE["vermillion"] if ratio < best else PALETTE["blue"]
        ax.plot([ratio, best], [row, row], color=colour, lw=2, alpha=0.35)
        ax.plot(ratio, row, "o", color=colour)
        text = f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}"
        label(
            ax, ratio, row, text, colour, ha="right" if ratio < best else "left",
            xytext=(-8 if ratio < best else 8, 0),
        )  # fmt: skip
    ax.plot(wanted, rows, "|", color=PALETTE["ink"], ms=15, mew=2)
    label(ax, wanted[-1], rows[-1], f"{law}", ha="right", xytext=(-8, 0))
    ax.set_yticks(rows, names)
    log_axis(ax.xaxis, "x", ax)
    ax.set(
        xlabel="training tokens per parameter",
        ylim=(-0.7, len(names) - 0.3),
        xlim=(min(ratios) / 10, max(ratios) * 15),
    )
    ax.grid(False, axis="y")
    alt = (
        "Dots, one row a model, on a logarithmic axis of training tokens per parameter; a stroke "
        f"in each row marks what the law ({law}) asks for on the same compute. "
        + "; ".join(
            f"{name}: {ratio:.3g}, asked for {best:.3g}"
            for name, ratio, best in zip(names, ratios, wanted, strict=True)
        )
        + "."
    )
    return Figure(fig, alt, dict(zip(names, ratios, strict=True)) | {law: wanted})


@styled
def use(plans: Plans) -> Figure:
    """What demand changes: size, tokens per parameter and what planning for it saves.

    plans : `Plans`, demands > 0 in rising order
    """
    fig, axes = figure_of_panels(3, 1.75)
    demand, ratio = plans.inference_tokens, plans.tokens / plans.params
    columns = (
        (plans.params / 1e9, "parameters,\nbillions", PALETTE["blue"], "o"),
        (ratio, "tokens per\nparameter", PALETTE["vermillion"], "s"),
        (plans.saved, "compute\nsaved", PALETTE["green"], "^"),
    )
    for ax, (values, name, colour, marker) in zip(axes, columns, strict=True):
        ax.plot(demand, values, color=colour, marker=marker, ms=5)
        ax.set_ylabel(name)
    axes[0].set(ylim=(0, None))
    axes[1].set(yscale="log")
    ticks = [
        n for n in (10, 20, 50, 100, 200, 500, 1000) if ratio.min() <= 1.2 * n <= 1.5 * ratio.max()
    ]
    axes[1].set_yticks(ticks, [f"{n:,}" for n in ticks])
    axes[1].minorticks_off()
    percent_axis(axes[2].yaxis)
    axes[2].set(ylim=(0, None))
    log_axis(axes[2].xaxis, "x", axes[2])
    axes[2].set_xlabel("tokens the model will read and write")
    alt = (
        "Three line charts above one another. Horizontal, logarithmic: tokens the model will "
        "process in its life. Vertical: parameters of the cheapest model of one loss; its training "
        "tokens per parameter; and the share of all compute that planning for use saves. "
        + " ".join(
            f"At {use:.0e} tokens: {n / 1e9:.3g} billion parameters, {r:.3g} tokens each, "
            f"{100 * s:.1f} % saved."
            for use, n, r, s in zip(demand, plans.params, ratio, plans.saved, strict=True)
        )
    )
    digest = {"demand": demand, "params": plans.params, "ratio": ratio, "saved": plans.saved}
    return Figure(fig, alt, digest)


@styled
def best_of_n(studies: Sequence[Overoptimised]) -> Figure:
    """Gold reward against distance for proxies of several sizes; dots are seeds, curves the law.

    studies : one `Overoptimised` a seed, of the same n and sizes
    """
    fig, ax = new_axes(4.6)
    first = studies[0]
    d = np.sqrt(first.kl)
    gold = np.array([study.gold for study in studies])  # (seeds, F, K)
    own = np.mean([study.proxy for study in studies], axis=0)  # (F, K)
    laws = np.array([study.law for study in studies])  # (seeds, F, 2)
    fine = np.linspace(0, d[-1], 200)
    ends, said, digest = [], [], {"d": d}
    for k, (size, colour) in enumerate(zip(first.features, SERIES, strict=False)):
        alpha, beta = laws[:, k].mean(0)
        curve, peak = gold_reward(fine**2, alpha, beta), alpha / (2 * beta)
        ax.plot(fine, curve, color=colour)
        ax.plot(d, gold[:, k].T, ".", color=colour, ms=6, alpha=0.7)
        ax.plot(d, own[k], ls="--", lw=1.2, color=colour, alpha=0.8)
        if peak < d[-1]:
            ax.plot(peak, curve.max(), "*", color=colour, ms=15, mec=PALETTE["paper"])
        name = f"{size} curves" if size else "no curve"
        ends.append((d[-1], curve[-1], name, colour))
        highest = gold[:, k].mean(0)
        at = int(highest.argmax())
        said.append(
            f"{name}: gold "
            + ", ".join(f"{value:.2f}" for value in highest)
            + f"; highest at n = {first.n[at]}; fitted α = {alpha:.2f}, β = {beta:.2f}, peak at "
            f"d = {peak:.2f}; its own score ends at {own[k, -1]:.2f}."
        )
        digest[name] = [*highest, alpha, beta]
    top = max(own.max(), gold.max()) * 1.05
    ax.set(
        xlabel="distance d = √KL, √nats",
        ylabel="reward of the best of n, σ",
        xlim=(0, d[-1] * 1.45),
        ylim=(0, top),
    )
    spread_labels(ax, ends, gap=0.09, span=(0, top))
    label(ax, 0.03 * d[-1], top * 0.95, "dashed: what the proxy says", PALETTE["muted"])
    label(ax, 0.03 * d[-1], top * 0.87, "dots, lines: gold", PALETTE["muted"])
    alt = (
        f"Line chart, a dot for each of {len(studies)} seeds. Horizontal: distance d, "
        + ", ".join(f"{value:.2f}" for value in d)
        + " (n = "
        + ", ".join(map(str, first.n))
        + "). Vertical: reward in standard deviations. Solid: gold reward with its fitted curve "
        "d(α − βd), a star at its peak; dashed: the proxy's own score, which keeps rising. "
        + " ".join(said)
    )
    return Figure(fig, alt, digest)
