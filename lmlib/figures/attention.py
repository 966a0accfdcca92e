"""The figures of the attention chapter. Arrays in, a `Figure` out; a seed is never averaged away.

Where several seeds were run, a line is their mean and the band around it their range.

The sentence is Chinese, and no font with Chinese characters can be assumed where a figure is drawn
or read. So figures label its characters in pinyin, and the alt text gives the characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from lmlib.figures.base import (
    MARKERS,
    PALETTE,
    SERIES,
    TEXT,
    Figure,
    Table,
    figure_of_panels,
    log_axis,
    new_axes,
    percent_axis,
    spread_labels,
    styled,
)


def path_table() -> Table:
    """The table of the notes, completed: path, what runs one after the other, cost of a layer."""
    rows = [
        ["RNN", "d", "T", "T·C²"],
        ["LSTM", "d, gated", "T", "8·T·C²"],
        ["CNN, kernel K", "d / (K − 1)", "1", "K·T·C²"],
        ["dilated CNN", "log d", "1", "K·T·C²"],
        ["self-attention", "1", "1", "T²·C + 4·T·C²"],
    ]
    return Table(
        ["layer", "path between tokens d apart", "steps in a row", "multiplications"],
        rows,
        "Table 3.1. In self-attention any two tokens are one step apart, and the price is T². The "
        "path counts the layers, or steps, that a gradient has to pass.",
    )


@styled
def sentence_weights(weights: np.ndarray, text: str, pinyin: Sequence[str]) -> Figure:
    """Who looks at whom: a square for each pair of characters, its area the weight.

    weights : (T, T), rows are queries; text : T characters; pinyin : T labels
    """
    T = len(weights)
    fig, ax = new_axes(5.2)
    side = np.sqrt(weights)
    squares = [
        Rectangle(
            (key - side[query, key] / 2, query - side[query, key] / 2), *[side[query, key]] * 2
        )
        for query, key in np.argwhere(weights > 1e-3)
    ]
    ax.add_collection(PatchCollection(squares, facecolor=PALETTE["blue"], edgecolor="none"))
    ax.set(xlim=(-0.6, T - 0.4), ylim=(T - 0.4, -0.6), aspect="equal")
    ax.set_xticks(range(T), pinyin, rotation=90)
    ax.set_yticks(range(T), pinyin)
    ax.set(xlabel="looked at (key)", ylabel="looking (query)")
    top = weights.argmax(1)
    alt = (
        f"Grid of squares for the sentence {text} ({' '.join(pinyin)}). Each row is a character "
        "that looks, each column one that is looked at, and the area of a square is the weight. "
        "The largest weight of each row: "
        + ", ".join(f"{text[q]} at {text[k]} {weights[q, k]:.2f}" for q, k in enumerate(top))
        + "."
    )
    return Figure(fig, alt, {"looked at": top, "weight": weights.max(1)})


@styled
def gradient_by_distance(distance: Sequence[int], gradients: Mapping[str, np.ndarray]) -> Figure:
    """Size of ∂ output / ∂ input against the distance between them, both axes logarithmic.

    distance : (distances,) int >= 1; gradients : name → (seeds, distances), geometric mean drawn;
    where it is exactly 0 the line ends
    """
    fig, ax = new_axes(5.2)
    for k, (name, values) in enumerate(gradients.items()):
        logs = np.log(np.where(values > 0, values, np.nan))  # (seeds, distances)
        style = "-" if k < len(SERIES) else "--"
        ax.plot(distance, np.exp(logs.mean(0)), style, color=SERIES[k % len(SERIES)], label=name)
    log_axis(ax.xaxis, "x", ax)
    log_axis(ax.yaxis, "y", ax)
    ax.set(xlabel="distance d, tokens", ylabel="size of the gradient", ylim=(1e-8, 3))
    ax.set_xlim(0.9, distance[-1] * 1.1)
    ax.set_xticks([d for d in (1, 10, 100) if d <= distance[-1]])
    fig.legend(loc="outside lower center", ncols=2, frameon=False, handlelength=1.6)
    alt = (
        "Line chart, logarithmic vertical axis: the size of the gradient of the last output by an "
        f"input d tokens back, at initialisation, d from {distance[0]} to {distance[-1]}. "
        + " ".join(
            f"{name}: "
            + ", ".join(
                f"{_short(gradient)} at {d}"
                for d, gradient in zip(distance, values.mean(0), strict=True)
                if d in (1, 10, 100, distance[-1])
            )
            + "."
            for name, values in gradients.items()
        )
        + f" Mean of {len(next(iter(gradients.values())))} seeds."
    )
    return Figure(fig, alt, {name: values.mean(0)[::8] for name, values in gradients.items()})


@styled
def accuracy_by_distance(
    distance: Sequence[int],
    panels: Mapping[str, Mapping[str, np.ndarray]],
    trained_to: int,
    chance: float,
) -> Figure:
    """Share of right answers against the distance to the one token that decides them.

    panels : title → name → (seeds, distances); trained_to : the longest distance in training
    """
    fig, axes = figure_of_panels(len(panels), height=3.3)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        ends = []
        for name, values in lines.items():
            k = names.index(name)
            _band(ax, distance, values, k)
            ends.append((distance[-1], values[:, -1].mean(), name, SERIES[k]))
        _share_panel(ax, title, chance, trained_to)
        log_axis(ax.xaxis, "x", ax)
        ax.set_xlim(0.9, distance[-1] * 14)
        _names(ax, ends, distance[-1], gap=0.115)
        ax.set_xticks([d for d in (1, 10, 100) if d <= distance[-1]])
    axes[-1].set_xlabel("distance to the cue, tokens")
    alt = (
        f"{_number(len(panels))} of the share of right answers against distance, logarithmic, "
        f"1 to {distance[-1]} tokens; training went to {trained_to}, guessing gives "
        f"{100 * chance:.0f} %. " + _told(panels, distance)
    )
    return Figure(fig, alt, _digest(panels))


@styled
def capacity(pairs: Sequence[int], accuracy: Mapping[str, np.ndarray], chance: float) -> Figure:
    """Share of right answers against how many pairs of key and value had to be remembered.

    accuracy : name → (seeds, pairs)
    """
    fig, ax = new_axes(3.8)
    ends = []
    for k, (name, values) in enumerate(accuracy.items()):
        _band(ax, pairs, values, k)
        ends.append((pairs[-1], values[:, -1].mean(), name, SERIES[k]))
    _share_panel(ax, None, chance, None)
    ax.set_xscale("log", base=2)
    ax.set_xticks([n for n in pairs if n & (n - 1) == 0])
    ax.xaxis.set_major_formatter(lambda n, _: f"{n:g}")
    ax.set(xlabel="pairs to remember", xlim=(0.9 * pairs[0], pairs[-1] * 9))
    _names(ax, ends, pairs[-1], gap=0.095)
    alt = (
        "Line chart: share of right answers against the number of key-value pairs to remember, "
        f"{', '.join(map(str, pairs))}; guessing gives {100 * chance:.1f} %. "
        + _told({"": accuracy}, pairs)
    )
    return Figure(fig, alt, _digest({"": accuracy}))


@styled
def positions(
    panels: Mapping[str, tuple[Sequence[float], float, Mapping[str, np.ndarray]]],
) -> Figure:
    """Ways to encode positions on several tasks, inside and beyond the lengths of training.

    panels : title → (distances, longest in training, name → (seeds, distances))
    """
    fig, axes = figure_of_panels(len(panels), height=3.4)
    furthest = max(max(distance) for distance, _, _ in panels.values())
    for ax, (title, (distance, trained_to, lines)) in zip(axes, panels.items(), strict=True):
        ends = []
        for k, (name, values) in enumerate(lines.items()):
            _band(ax, distance, values, k)
            ends.append((distance[-1], values[:, -1].mean(), name, SERIES[k]))
        _share_panel(ax, title, None, trained_to)
        log_axis(ax.xaxis, "x", ax)
        ax.set_xlim(6, furthest * 6)
        _names(ax, ends, distance[-1], gap=0.105)
        ax.set_xticks([10, 100])
    axes[-1].set_xlabel("distance, tokens")
    alt = f"{_number(len(panels))} of the share of right answers against distance. " + " ".join(
        f"{title}, trained to {trained_to:.0f} tokens: {_told({'': lines}, np.round(distance))}"
        for title, (distance, trained_to, lines) in panels.items()
    )
    return Figure(fig, alt, _digest({title: panel[2] for title, panel in panels.items()}))


@styled
def phase_change(
    steps: Sequence[int], accuracy: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray]
) -> Figure:
    """Training with one layer and with two; below, the two heads that make the difference.

    accuracy, scores : name → (seeds, steps); every seed is a thin line
    """
    fig, axes = figure_of_panels(2, height=2.9)
    for ax, lines, title, first in (
        (axes[0], accuracy, "right answers", 0),
        (axes[1], scores, "weight of the best head, two layers", 2),
    ):
        ends = []
        for k, (name, values) in enumerate(lines.items(), start=first):
            for seed in values:
                ax.plot(steps, seed, color=SERIES[k], lw=1.2, alpha=0.8)
            ends.append((steps[-1], values[:, -1].mean(), name, SERIES[k]))
        _share_panel(ax, title, None, None)
        ax.set_xlim(0, steps[-1] * 1.42)
        _names(ax, ends, steps[-1], gap=0.135 * (1 + max(name.count("\n") for name in lines)))
    axes[-1].set_xlabel("training steps")
    axes[-1].set_xticks([s for s in steps if s % 100 == 0])
    alt = f"Two line charts over {steps[-1]} training steps, one thin line per seed. " + " ".join(
        f"{name}: " + "; ".join(_jump(steps, seed) for seed in values) + "."
        for name, values in {**accuracy, **scores}.items()
    )
    return Figure(
        fig, alt, {name: values.mean(0)[::4] for name, values in {**accuracy, **scores}.items()}
    )


@styled
def dispersion(
    lengths: Sequence[int], weight: Mapping[str, np.ndarray], predicted: np.ndarray
) -> Figure:
    """Weight of the one token that matters against the length; dots measured, lines predicted.

    weight : name → (seeds, lengths), the head as trained first; predicted : (seeds, lengths) for it
    """
    fig, ax = new_axes(3.8)
    ends = []
    for k, (name, values) in enumerate(weight.items()):
        for seed in values:
            ax.plot(lengths, seed, MARKERS[k], color=SERIES[k], ms=5)
        ends.append((lengths[-1], values[:, -1].mean(), name, SERIES[k]))
    for seed in predicted:
        ax.plot(lengths, seed, color=SERIES[0], lw=1.2)
    _share_panel(ax, None, None, None)
    ax.set(ylabel="weight of the cue", xlabel="tokens to choose from, n")
    log_axis(ax.xaxis, "x", ax)
    ax.set_xlim(lengths[0] / 1.5, lengths[-1] * 60)
    ax.set_xticks([10**k for k in range(2, 5)])
    _names(ax, ends, lengths[-1], gap=0.12)
    alt = (
        "Dot plot: the weight that the last token gives to the cue, against the number of tokens, "
        f"{', '.join(f'{n:,}' for n in lengths)}. "
        + _told({"": weight}, lengths)
        + " Predicted by the closed form: "
        + ", ".join(f"{v:.2f}" for v in predicted.mean(0))
        + "."
    )
    return Figure(fig, alt, _digest({"": weight}) | {"predicted": predicted.mean(0)})


@styled
def saturation(widths: Sequence[int], largest: Mapping[str, np.ndarray]) -> Figure:
    """The largest weight of a fresh head against its width, with and without 1/√D.

    largest : name → (seeds, widths)
    """
    fig, ax = new_axes(3.4)
    ends = []
    for k, (name, values) in enumerate(largest.items()):
        _band(ax, widths, values, k)
        ends.append((widths[-1], values[:, -1].mean(), name, SERIES[k]))
    _share_panel(ax, None, None, None)
    log_axis(ax.xaxis, "x", ax)
    ax.set(xlabel="width D of the head", ylabel="largest weight", xlim=(0.8, widths[-1] * 22))
    ax.set_xticks([1, 10, 100, 1000])
    _names(ax, ends, widths[-1], gap=0.1)
    alt = (
        "Line chart: the largest of the weights of a query, on average, against the width of the "
        f"head, {', '.join(map(str, widths))}. " + _told({"": largest}, widths)
    )
    return Figure(fig, alt, _digest({"": largest}))


@styled
def same_output(weights: np.ndarray, others: np.ndarray) -> Figure:
    """Two sets of weights with one output: as the softmax gave them, and on as few as possible.

    weights, others : (T,), tokens in the order of `weights`, largest first
    """
    order = np.argsort(-weights)
    fig, axes = figure_of_panels(2, height=2.2)
    for ax, values, title, colour in (
        (axes[0], weights, "weights of the softmax", PALETTE["blue"]),
        (axes[1], others, "other weights, the same output", PALETTE["vermillion"]),
    ):
        ax.vlines(np.arange(len(values)), 0, values[order], color=colour, lw=1.8)
        ax.set_ylim(0)
        ax.set_title(title, loc="left", fontsize=TEXT, pad=8)
        ax.set(ylabel="weight")
    axes[-1].set_xlabel("tokens, the most attended first")
    alt = (
        f"Two bar charts of the weights of the same {len(weights)} tokens, the most attended "
        f"first. Top: all {np.count_nonzero(weights)} are positive, the largest is "
        f"{weights.max():.3f}. Bottom: only {np.count_nonzero(others)} are positive, the token "
        f"with the largest weight above has {others[order[0]]:.3f} here, and the output is the "
        f"same. Half the sum of the differences is {np.abs(weights - others).sum() / 2:.2f}."
    )
    return Figure(fig, alt, {"softmax": weights[order][:8], "other": others[order][:8]})


def _band(ax, x, values: np.ndarray, k: int) -> None:
    """The mean over seeds with its marker, and the range over seeds as a band."""
    ax.plot(x, values.mean(0), color=SERIES[k], marker=MARKERS[k])
    ax.fill_between(x, values.min(0), values.max(0), color=SERIES[k], alpha=0.18, lw=0)


def _share_panel(ax, title: str | None, chance: float | None, trained_to: float | None) -> None:
    """What panels with a vertical axis of shares have in common."""
    ax.set_ylim(-0.03, 1.06)
    percent_axis(ax.yaxis)
    if title is None:
        ax.set_ylabel("right answers")
    else:
        ax.set_title(title, loc="left", fontsize=TEXT, pad=8)
    if chance is not None:
        ax.axhline(chance, ls=":", color=PALETTE["muted"])
    if trained_to is not None:
        ax.axvline(trained_to, ls="--", lw=1.2, color=PALETTE["muted"])


def _names(ax, ends: list[tuple], x: float, gap: float) -> None:
    """Name lines at the right edge of the data, in their order there."""
    spread_labels(ax, [(x, *rest) for _, *rest in ends], gap)


def _short(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}" if value < 0.001 else f"{value:.3f}"


def _number(panels: int) -> str:
    return {1: "Line chart", 2: "Two line charts"}.get(panels, f"{panels} line charts")


def _told(panels: Mapping[str, Mapping[str, np.ndarray]], x: Sequence) -> str:
    """Every line in words: the mean at up to nine x, the widest range over seeds."""
    said, x = [], np.asarray(x)
    told = np.unique(np.linspace(0, x.size - 1, min(x.size, 9)).round().astype(int))
    for title, lines in panels.items():
        for name, values in lines.items():
            means = ", ".join(f"{100 * values[:, k].mean():.0f} % at {x[k]:g}" for k in told)
            widest = 100 * np.ptp(values, 0).max()
            heading = ", ".join(part for part in (title, name.replace("\n", " ")) if part)
            said.append(f"{heading}: {means}; seeds differ by at most {widest:.0f} points.")
    return " ".join(said)


def _jump(steps: Sequence[int], values: np.ndarray) -> str:
    above = np.flatnonzero(values > 0.5)
    when = f"above one half from step {steps[above[0]]}" if above.size else "never above one half"
    return f"{when}, {values[-1]:.2f} at the end"


def _digest(panels: Mapping[str, Mapping[str, np.ndarray]]) -> dict:
    return {
        ", ".join(part for part in (title, name.replace("\n", " ")) if part): values.mean(0)
        for title, lines in panels.items()
        for name, values in lines.items()
    }
