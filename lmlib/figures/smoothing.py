"""The figures and tables of chapter 1's second half: smoothing, its limit, and the cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lmlib.figures.base import (
    MARKERS,
    PALETTE,
    SERIES,
    TEXT,
    Figure,
    Table,
    figure_of_panels,
    label,
    log_axis,
    new_axes,
    percent_axis,
    spread_labels,
    styled,
)
from lmlib.ngram import Perplexity


def effective_counts_table(effective: Mapping[str, np.ndarray], discount: float) -> Table:
    """What pairs seen r times count for elsewhere, beside what three rules make of r.

    effective : as `ngram.effective_counts` gives it
    """
    elsewhere, add_one, turing = (effective[k] for k in ("elsewhere", "add_one", "good_turing"))
    rows = [[0, *(f"{column[0]:.4f}" for column in (elsewhere, add_one, turing)), "–"]]
    for r in range(1, len(elsewhere)):
        values = (elsewhere[r], add_one[r], turing[r], r - discount)
        rows.append([r, *(f"{value:.2f}" for value in values)])
    return Table(
        ["seen here", "seen elsewhere", "add-one", "Good–Turing r*", f"r − {discount:.2f}"],
        rows,
        f"Table 1.6. Pairs seen once in one half of the text are seen {elsewhere[1]:.2f} times in "
        f"the other, on average. Good and Turing say {turing[1]:.2f}; add-one makes it "
        f"{add_one[1]:.2f}.",
    )


def contexts_table(rows: Sequence[tuple[str, int, int]], share: Sequence[tuple]) -> Table:
    """Words with how often and after how many words they occur, and the two unigram estimates."""
    body = [
        [word, count, before, f"{1e4 * by_count:.1f}", f"{1e4 * by_context:.1f}"]
        for (word, count, before), (by_count, by_context) in zip(rows, share, strict=True)
    ]
    first = body[0]
    return Table(
        [
            "word",
            "times seen",
            "different words before it",
            "share of tokens, 1/10⁴",
            "share of contexts, 1/10⁴",
        ],
        body,
        f"Table 1.7. “{first[0]}” was seen {first[1]} times, after {first[2]} different words. "
        "Counting contexts instead of tokens moves it from the frequent words to the rare ones.",
    )


def stupid_table(scores: Mapping[int, tuple[float, float, np.ndarray]]) -> Table:
    """Raw and normalised perplexity of stupid backoff, with the normaliser Z, by order."""
    rows = [
        [
            f"n\u00a0=\u00a0{n}",
            f"{raw:.1f}",
            f"{proper:.1f}",
            f"{z.mean():.2f}",
            f"{z.min():.2f}",
            f"{z.max():.2f}",
        ]
        for n, (raw, proper, z) in scores.items()
    ]
    return Table(
        [
            "order",
            "“perplexity” of the scores",
            "perplexity, normalised",
            "Z, mean",
            "Z, least",
            "Z, largest",
        ],
        rows,
        "Table 1.8. Stupid backoff’s scores sum to Z, which is 1 by accident only. Where Z is "
        "above 1 the raw number flatters, where it is below it slanders.",
    )


def unknown_table(scores: Mapping[int, tuple[int, Perplexity]]) -> Table:
    """Perplexities of one method on one text, by how many rare words were made <unk>."""
    rows = [
        [
            f"{least}",
            f"{size:,}",
            f"{100 * p.oov / p.tokens:.1f} %",
            f"{p.value:.1f}",
            f"{p.excluding_oov:.1f}",
        ]
        for least, (size, p) in scores.items()
    ]
    return Table(
        [
            "words kept if seen at least",
            "vocabulary",
            "tokens that are <unk>",
            "perplexity",
            "perplexity without <unk>",
        ],
        rows,
        f"Table 1.9. One text, one method, and perplexities from {rows[0][3]} to {rows[-1][3]}: "
        "the fewer words a model has to tell apart, the better it looks.",
    )


def cure_table(measured: Mapping[str, np.ndarray]) -> Table:
    """Test perplexity of counting, net and mixture by training size: mean and range over seeds."""
    rows = []
    for share in np.unique(measured["share"]):
        here = measured["share"] == share
        cells = [f"{measured['tokens'][here].mean():,.0f}"]
        for model in ("counts", "net", "mixture"):
            values = measured["perplexity"][here & (measured["model"] == model)]
            cells.append(f"{values.mean():.1f} ({values.min():.1f}–{values.max():.1f})")
        weights = measured["weight_of_net"][here & (measured["model"] == "mixture")]
        rows.append([*cells, f"{weights.mean():.2f}"])
    seeds = np.unique(measured["seed"]).size
    return Table(
        ["training tokens", "modified Kneser–Ney", "net", "mixture", "weight of the net"],
        rows,
        f"Table 1.10. On the course’s text, the mean of {seeds} seeds (and their range): "
        "the mixture is best at every size.",
    )


def known_texts_table(measured: Mapping[str, np.ndarray]) -> Table:
    """What modified Kneser-Ney costs on known texts: the longest order measured on each."""
    rows = []
    for name in dict.fromkeys(measured["text"]):
        row = np.flatnonzero(measured["text"] == name)
        row = row[np.argmax(measured["n"][row])]
        rows.append(
            [
                name,
                f"{int(measured['n'][row])}\u00a0{measured['unit'][row]}",
                f"{int(measured['tokens'][row]):,}",
                f"{measured['perplexity'][row]:.2f}",
                f"{measured['excluding_oov'][row]:.2f}",
                f"{measured['nats'][row]:.3f}",
            ]
        )
    return Table(
        ["text", "n", "tokens predicted", "perplexity", "without <unk>", "nats per token"],
        rows,
        f"Table 1.11. Modified Kneser–Ney on texts that others have measured. On the Penn Treebank "
        f"its 5-gram has a perplexity of {rows[0][3]}.",
    )


@styled
def methods_by_order(
    training: Sequence[float], add_one: Sequence[float], methods: Mapping[str, Sequence[float]]
) -> Figure:
    """Held-out perplexity against n for every method: an overview, and the crowd magnified.

    training, add_one, and each method : (orders,) perplexities, n = 1 first
    """
    fig, (wide, near) = figure_of_panels(2, height=3.6)
    orders = np.arange(1, len(training) + 1)
    best = min(methods, key=lambda name: methods[name][-1])
    for name, values, colour, marker in (
        ("add-one", add_one, PALETTE["vermillion"], "s"),
        (best, methods[best], PALETTE["blue"], "o"),
        ("no smoothing,\non training text", training, PALETTE["muted"], "v"),
    ):
        wide.plot(orders, values, marker=marker, color=colour)
        label(wide, orders[-1], values[-1], name, colour)
    wide.set(ylabel="perplexity", ylim=(0.8, 3e4))
    log_axis(wide.yaxis, "y", wide)
    ends = []
    for (name, values), colour, marker in zip(
        methods.items(), _many(len(methods)), _marks(len(methods)), strict=True
    ):
        near.plot(orders[1:], values[1:], marker=marker, color=colour)
        ends.append((orders[-1], values[-1], name, colour))
    low = 5 * np.floor(min(v[1:].min() for v in map(np.asarray, methods.values())) / 5) - 5
    high = max(v[1:].max() for v in map(np.asarray, methods.values())) + 5
    near.set(ylim=(low, high), ylabel="perplexity, held out", xlabel="n", xlim=(0.8, 9.4))
    spread_labels(near, ends, gap=0.083, span=(low, high))
    near.set_xticks(orders)
    alt = (
        "Two line charts of perplexity against n. Top, logarithmic: the training perplexity of "
        f"relative frequencies falls from {training[0]:.0f} to {training[-1]:.2f}; held out, "
        f"add-one rises from {add_one[0]:.0f} to {add_one[-1]:,.0f}, while {best} falls from "
        f"{methods[best][0]:.0f} to {methods[best][-1]:.1f}. Bottom, the held-out perplexities "
        f"of the smoothing methods for n = 2 to {orders[-1]}: "
        + " ".join(
            f"{name}: " + ", ".join(f"{v:.1f}" for v in values[1:]) + "."
            for name, values in methods.items()
        )
    )
    return Figure(fig, alt, {"training": training, "add-one": add_one} | dict(methods))


@styled
def crossings(
    sizes: Sequence[float], longer: Mapping[str, Sequence[float]], katz_over_jm: np.ndarray
) -> Figure:
    """Where rankings change: 5-gram over 3-gram by size and method, and two methods by size.

    sizes : (S,) training tokens; longer : method -> (S,) perplexity at n = 5 over that at n = 3;
    katz_over_jm : (seeds, S) Katz over Jelinek-Mercer at n = 2
    """
    fig, (top, bottom) = figure_of_panels(2, height=3.3)
    ends = []
    for (name, ratio), colour, marker in zip(
        longer.items(), _many(len(longer)), _marks(len(longer)), strict=True
    ):
        top.plot(sizes, ratio, marker=marker, color=colour)
        ends.append((sizes[-1], ratio[-1], name, colour))
    spread_labels(top, ends, gap=0.09, span=top.get_ylim())
    mean = katz_over_jm.mean(0)
    bottom.plot(sizes, mean, marker="o", color=PALETTE["purple"])
    for seed in katz_over_jm:
        bottom.plot(sizes, seed, ".", color=PALETTE["purple"], ms=5, mew=0)
    for ax, title in ((top, "5-gram over 3-gram"), (bottom, "Katz over Jelinek–Mercer, pairs")):
        ax.axhline(1, color=PALETTE["ink"], lw=1)
        ax.set_title(title, loc="left", fontsize=TEXT, pad=10)
        ax.set_ylabel("ratio of perplexities")
    log_axis(bottom.xaxis, "x", bottom)
    bottom.set(xlabel="training text, tokens", xlim=(sizes[0] / 1.3, sizes[-1] * 45))
    bottom.set_xticks([10**k for k in range(3, 6)])
    alt = (
        "Two line charts of a ratio of perplexities against the size of the training text, "
        f"{sizes[0]:,.0f} to {sizes[-1]:,.0f} tokens, logarithmic; above 1 the first is worse. "
        "Top, "
        "5-gram over 3-gram. "
        + " ".join(
            f"{name}: " + ", ".join(f"{v:.3f}" for v in ratio) + "."
            for name, ratio in longer.items()
        )
        + " Bottom, Katz over Jelinek–Mercer for pairs: "
        + ", ".join(f"{v:.3f}" for v in mean)
        + f", mean of {len(katz_over_jm)} seeds."
    )
    return Figure(fig, alt, dict(longer) | {"Katz over Jelinek–Mercer": mean})


@styled
def longest_match(length: np.ndarray, correct: np.ndarray, up_to: int = 9) -> Figure:
    """The infinity-gram: how far contexts match, and how often it is right, by matched length.

    length : (tokens,) symbols of context found in the training text; correct : (tokens,) bool
    """
    fig, (share, right) = figure_of_panels(2, height=2.7)
    bins = np.arange(1, up_to + 1)
    capped = np.minimum(length, up_to)
    shares = np.array([np.mean(capped == b) for b in bins])
    accuracy = np.array([np.mean(correct[capped == b]) for b in bins])
    error = np.array(
        [np.std(correct[capped == b]) / np.sqrt(max(1, np.sum(capped == b))) for b in bins]
    )
    share.bar(bins, shares, color=PALETTE["sky"], width=0.72)
    right.errorbar(bins, accuracy, 2 * error, marker="o", color=PALETTE["blue"], capsize=3)
    share.set_ylabel("of all tokens")
    right.set(
        ylabel="predicted right", xlabel="symbols of context found in the text", ylim=(0, None)
    )
    right.set_xticks(bins, [*map(str, bins[:-1]), f"{up_to}+"])
    for ax in (share, right):
        percent_axis(ax.yaxis)
    alt = (
        "Two charts with the same horizontal axis: how many symbols of context the training text "
        f"contains, 1 to {up_to} or more. Top, bars: share of held-out tokens: "
        + ", ".join(f"{b}: {100 * s:.1f} %" for b, s in zip(bins, shares, strict=True))
        + ". Bottom, line with two standard errors: how often the most frequent follower is "
        "right: "
        + ", ".join(f"{b}: {100 * a:.0f} %" for b, a in zip(bins, accuracy, strict=True))
        + "."
    )
    return Figure(fig, alt, {"share": shares, "accuracy": accuracy})


@styled
def cure_by_size(sizes: Sequence[int], lines: Mapping[str, np.ndarray], floor: float) -> Figure:
    """Perplexity on the language of known entropy, against training tokens; a dot per seed.

    lines : model -> (S, seeds) perplexities; floor : exp of the entropy rate
    """
    fig, ax = new_axes(4.0)
    ends = [(sizes[-1], floor, "the floor", PALETTE["muted"])]
    ax.axhline(floor, ls=":", color=PALETTE["muted"])
    for (name, values), colour, marker in zip(lines.items(), SERIES, MARKERS, strict=False):
        mean = values.mean(1)
        ax.plot(sizes, mean, color=colour, marker=marker)
        ax.plot(
            np.repeat(sizes, values.shape[1]),
            values.ravel(),
            ".",
            color=colour,
            ms=5,
            alpha=0.5,
            mew=0,
        )
        ends.append((sizes[-1], mean[-1], name, colour))
    ax.set(xlabel="training text, tokens", ylabel="perplexity, held out")
    log_axis(ax.xaxis, "x", ax)
    ax.set_yscale("log")
    highest = max(values.max() for values in lines.values())
    ticks = [t for t in (50, 100, 200, 400, 800, 1600) if 0.8 * floor < t < 1.3 * highest]
    ax.set_yticks(ticks, [f"{t:,}" for t in ticks])
    ax.minorticks_off()
    spread_labels(ax, ends, gap=0.2, log=True)
    seeds = next(iter(lines.values())).shape[1]
    alt = (
        f"Line chart on two logarithmic axes. Horizontal: training tokens, {sizes[0]:,} to "
        f"{sizes[-1]:,}. Vertical: held-out perplexity, {seeds} seeds. "
        + " ".join(
            f"{name}: " + ", ".join(f"{v:.0f}" for v in values.mean(1)) + "."
            for name, values in lines.items()
        )
        + f" A dotted line marks the floor, {floor:.1f}, which no model can pass."
    )
    return Figure(fig, alt, {n: v.mean(1) for n, v in lines.items()} | {"floor": floor})


@styled
def gain_by_match(length: Sequence[str], gain: np.ndarray, share: Sequence[float]) -> Figure:
    """Net minus counting, in nats per token, by how much of the context training contains.

    gain : (lengths, seeds) mean difference of log-probabilities; share : (lengths,) of tokens
    """
    fig, ax = new_axes(3.4)
    x = np.arange(len(length))
    mean = gain.mean(1)
    colours = [PALETTE["blue"] if m > 0 else PALETTE["vermillion"] for m in mean]
    ax.bar(x, mean, color=colours, width=0.7)
    ax.plot(np.repeat(x, gain.shape[1]), gain.ravel(), ".", color=PALETTE["ink"], ms=6)
    ax.axhline(0, color=PALETTE["ink"], lw=1)
    ax.set_xticks(x, length)
    ax.set(xlabel="symbols of context found in training", ylabel="net − counting, nats")
    alt = (
        "Bar chart with a dot per seed. Horizontal: how many symbols of the context the training "
        "text contains. Vertical: mean log-probability of the net minus that of modified "
        "Kneser–Ney, in nats per token; above 0 the net is better. "
        + ", ".join(
            f"{k}: {g:+.3f} ({100 * s:.0f} % of tokens)"
            for k, g, s in zip(length, mean, share, strict=True)
        )
        + "."
    )
    return Figure(fig, alt, {"gain": mean, "share": share})


def _many(lines: int) -> list[str]:
    """Colours for more lines than the palette has hues: the first ones again, at the end."""
    hues = [*SERIES, PALETTE["muted"], PALETTE["ink"]]
    return [hues[k % len(hues)] for k in range(lines)]


def _marks(lines: int) -> list[str]:
    marks = [*MARKERS, "P", "X", "*"]
    return [marks[k % len(marks)] for k in range(lines)]
