"""The figures of chapter 1. Every function takes arrays and returns a `Figure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lmlib.corpora import Corpus
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
from lmlib.ngram import Counts, Perplexity


def count_table(counts: Counts) -> Table:
    """Every pair of a very small text: contexts down, followers across, empty cells as a dot."""
    words = [*counts.vocabulary.words[3:], "</s>"]
    rows = []
    for context in ["<s>", *words[:-1]]:
        followers = dict(zip(*counts.followers([context]), strict=True))
        rows.append([context, *(followers.get(word, "·") for word in words)])
    filled = counts.types(2)
    return Table(
        ["context", *words],
        rows,
        f"Table 1.1. Of {len(rows)} × {len(words)} = {len(rows) * len(words)} possible pairs, "
        f"{filled} were seen. A dot is a pair never seen.",
    )


def corpus_table(corpus: Corpus) -> Table:
    """Title, sentences, tokens and different tokens of each work, and of the whole."""
    rows = []
    for title, sentences in [
        *((work.title, work.sentences()) for work in corpus),
        ("all six", corpus.sentences()),
    ]:
        tokens = [token for sentence in sentences for token in sentence]
        numbers = len(sentences), len(tokens), len(set(tokens))
        rows.append([title, *(f"{number:,}" for number in numbers)])
    whole = rows[-1]
    return Table(
        ["work", "sentences", "tokens", "different"],
        rows,
        f"Table 1.2. The text of this book has {whole[2]} tokens (lower-cased words, numbers and "
        f"punctuation marks), {whole[3]} of them different.",
    )


def copies_table(copies: Mapping[int, float]) -> Table:
    """Share of sampled sentences that stand in the training text word for word, by order."""
    rows = [[f"n\u00a0=\u00a0{n}", f"{100 * share:.0f} %"] for n, share in copies.items()]
    return Table(
        ["model", "sentences copied"],
        rows,
        f"Table 1.3. The longer the window, the more the model recites: with n = {max(copies)}, "
        f"{rows[-1][1]} of its sentences stand in the training text.",
    )


def zero_table(scores: Mapping[int, tuple[Perplexity, Perplexity]]) -> Table:
    """Perplexity on training and held-out text per order, and how many held-out tokens got zero."""
    rows = [
        [
            f"n\u00a0=\u00a0{n}",
            f"{train.value:.2f}",
            "∞" if np.isinf(held_out.value) else f"{held_out.value:.2f}",
            f"{100 * held_out.zeros / held_out.tokens:.1f} %",
        ]
        for n, (train, held_out) in scores.items()
    ]
    best = min(train.value for train, _ in scores.values())
    return Table(
        ["order", "perplexity, training", "perplexity, held out", "held-out tokens with p = 0"],
        rows,
        f"Table 1.4. The training perplexity falls to {best:.2f}; the held-out perplexity is "
        "infinite throughout.",
    )


def prophecy_table(predicted: Sequence[float], measured: Sequence[float]) -> Table:
    """Predicted and measured share of unseen n-grams, by order."""
    rows = [
        [f"n\u00a0=\u00a0{n}", f"{100 * p:.2f} %", f"{100 * m:.2f} %", f"{100 * (m - p):+.2f}"]
        for n, (p, m) in enumerate(zip(predicted, measured, strict=True), start=1)
    ]
    miss = max(abs(m - p) for p, m in zip(predicted, measured, strict=True))
    return Table(
        ["order", "predicted, n₁/N", "measured, held out", "difference, points"],
        rows,
        f"Table 1.5. Predicted from the training text alone, the share of new n-grams is right to "
        f"{100 * miss:.1f} points at every n.",
    )


@styled
def unseen_by_order(shares: Mapping[str, Sequence[float]]) -> Figure:
    """Share of held-out n-grams never seen in training, against n, one line per kind of split.

    shares : name of the split → (orders,) shares, n = 1 first
    """
    fig, ax = new_axes()
    orders = np.arange(1, len(next(iter(shares.values()))) + 1)
    for (name, share), colour, marker in zip(shares.items(), SERIES, MARKERS, strict=False):
        ax.plot(orders, share, marker=marker, color=colour, label=name)
    ax.set(xlabel="n, the length of the window", ylabel="never seen in training", ylim=(0, 1.03))
    ax.set_xticks(orders)
    percent_axis(ax.yaxis)
    ax.legend(loc="lower right", frameon=False, handlelength=1.4, borderaxespad=0)
    first, *_, last = shares
    alt = (
        "Line chart. Horizontal axis: n from 1 to "
        f"{orders[-1]}. Vertical axis: share of held-out n-grams never seen in training. "
        + " ".join(
            f"Held out {name}: " + ", ".join(f"{100 * s:.1f} %" for s in share) + "."
            for name, share in shares.items()
        )
        + f" Every line climbs steeply and flattens near 100 %; {last} lies above {first} "
        "at every n."
    )
    return Figure(fig, alt, shares)


@styled
def unseen_by_size(sizes: Sequence[int], shares: np.ndarray) -> Figure:
    """Share of held-out n-grams never seen, against the size of the training text, per order.

    sizes : (S,) training tokens; shares : (S, orders)
    """
    fig, ax = new_axes(3.7)
    ends = []
    for n, (share, colour, marker) in enumerate(
        zip(np.transpose(shares), SERIES, MARKERS, strict=False), start=1
    ):
        ax.plot(sizes, share, marker=marker, color=colour)
        ends.append((sizes[-1], share[-1], f"n = {n}", colour))
    spread_labels(ax, ends, gap=0.075)
    ax.set(xlabel="training text, tokens", ylabel="never seen in training", ylim=(0, 1.03))
    log_axis(ax.xaxis, "x", ax)
    percent_axis(ax.yaxis)
    alt = (
        f"Line chart, one line per n. Horizontal axis, logarithmic: training tokens from "
        f"{sizes[0]:,} to {sizes[-1]:,}. Vertical axis: share of held-out n-grams never seen. "
        + " ".join(
            f"n = {n}: falls from {100 * s[0]:.1f} % to {100 * s[-1]:.1f} %."
            for n, s in enumerate(np.transpose(shares), start=1)
        )
        + " The larger n, the higher and the flatter the line."
    )
    return Figure(fig, alt, {f"n = {n}": s for n, s in enumerate(np.transpose(shares), start=1)})


@styled
def zipf(frequency: np.ndarray, slope: float, ranks: tuple[int, int]) -> Figure:
    """Frequency against rank, both logarithmic, with the line fitted between two ranks."""
    fig, ax = new_axes()
    rank = np.arange(1, frequency.size + 1)
    # A line through a few hundred points looks the same as thousands, at a tenth of the bytes.
    shown = np.unique(np.geomspace(1, rank[-1], 250).round().astype(int)) - 1
    ax.plot(rank[shown], frequency[shown], color=PALETTE["blue"], linewidth=2.5)
    low, high = ranks
    centre = np.exp(np.mean(np.log(frequency[low - 1 : high])))
    middle = np.exp(np.mean(np.log(rank[low - 1 : high])))
    span = np.array([1.0, rank[-1]])
    ax.plot(span, centre * (span / middle) ** slope, "--", color=PALETTE["vermillion"], lw=1.5)
    ax.annotate(
        f"slope {slope:.2f}".replace("-", "−"),
        (60, centre * (60 / middle) ** slope),
        xytext=(14, 8),
        textcoords="offset points",
        color=PALETTE["vermillion"],
    )
    once = int(np.sum(frequency == 1))
    ax.annotate(
        f"{once:,} words seen once",
        (rank[-1] - once, 1),
        xytext=(-10, -4),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=PALETTE["blue"],
    )
    ax.set(xlabel="rank of the word", ylabel="times seen", ylim=(0.7, None))
    log_axis(ax.xaxis, "x", ax)
    log_axis(ax.yaxis, "y", ax)
    alt = (
        f"Line chart on two logarithmic axes. Horizontal: rank of the word, 1 to {rank[-1]:,}. "
        f"Vertical: how often it was seen, from {frequency[0]:,} down to 1. The line is nearly "
        f"straight; between ranks {low} and {high:,} its slope is {slope:.2f}. It ends in a flat "
        f"step: {once:,} words were seen once."
    )
    digest = {"slope": slope, "types": frequency.size, "seen once": once, "top": frequency[:5]}
    return Figure(fig, alt, digest)


@styled
def growth(sizes: Sequence[int], types: np.ndarray, slopes: Sequence[float]) -> Figure:
    """Different n-grams against tokens read, on logarithmic axes, below the ceiling types = tokens.

    sizes : (S,) tokens read; types : (S, orders); slopes : (orders,) growth exponents
    """
    fig, ax = new_axes(3.7)
    ax.plot(sizes, sizes, ":", color=PALETTE["muted"])
    ends = [(sizes[-1], sizes[-1], "one per token", PALETTE["muted"])]
    for n in (1, 2, 3, types.shape[1]):
        ax.plot(sizes, types[:, n - 1], marker=MARKERS[n - 1], color=SERIES[n - 1])
        ends.append((sizes[-1], types[-1, n - 1], f"n = {n}", SERIES[n - 1]))
    spread_labels(ax, ends, gap=0.136, log=True)
    ax.set(xlabel="tokens read", ylabel="different n-grams")
    log_axis(ax.xaxis, "x", ax)
    log_axis(ax.yaxis, "y", ax)
    alt = (
        f"Line chart on two logarithmic axes. Horizontal: tokens read, {sizes[0]:,} to "
        f"{sizes[-1]:,}. Vertical: different n-grams seen. "
        + " ".join(
            f"n = {n}: ends at {types[-1, n - 1]:,}, growing with exponent {slopes[n - 1]:.2f}."
            for n in (1, 2, 3, types.shape[1])
        )
        + " Every line stays below the dotted ceiling of one new n-gram per token, and the larger "
        "n, the closer it comes."
    )
    return Figure(fig, alt, {"types at the end": types[-1], "exponents": slopes})


@styled
def seen_how_often(bands: Mapping[str, Sequence[float]]) -> Figure:
    """For each order, the share of n-gram types seen once, twice, … as stacked bars.

    bands : name of the band → (orders,) shares that sum to 1 over the bands
    """
    fig, ax = new_axes(3.1)
    orders = np.arange(1, len(next(iter(bands.values()))) + 1)
    left = np.zeros(orders.size)
    colours = (PALETTE["blue"], PALETTE["sky"], PALETTE["grid"])
    inks = (PALETTE["paper"], PALETTE["ink"], PALETTE["ink"])
    for (name, share), colour, ink in zip(bands.items(), colours, inks, strict=True):
        share = np.asarray(share)
        ax.barh(orders, share, left=left, color=colour, height=0.72)
        for y, (start, width) in enumerate(zip(left, share, strict=True), start=1):
            if width > 0.11:
                ax.text(
                    start + width / 2,
                    y,
                    f"{100 * width:.0f} %",
                    ha="center",
                    va="center",
                    color=ink,
                )
        ax.text(left[0] + share[0] / 2, 0.45, name, ha="center", va="bottom")
        left += share
    ax.set(xlabel="share of the different n-grams", xlim=(0, 1))
    ax.set_yticks(orders, [f"n = {n}" for n in orders])
    ax.set_ylim(orders[-1] + 0.5, 0.05)
    ax.grid(False)
    percent_axis(ax.xaxis)
    once = next(iter(bands.values()))
    alt = (
        "Stacked bar chart, one bar per n: the share of different n-grams by how often they were "
        "seen. "
        + " ".join(
            f"n = {n}: "
            + ", ".join(f"{name} {100 * s[n - 1]:.1f} %" for name, s in bands.items())
            + "."
            for n in orders
        )
        + f" Those seen once grow from {100 * once[0]:.0f} % to {100 * once[-1]:.0f} %."
    )
    return Figure(fig, alt, bands)


@styled
def possible_and_stored(possible: Sequence[float], types: Sequence[int], tokens: int) -> Figure:
    """The cells of the full table V^n against the n-grams a corpus can fill, by n, logarithmic."""
    fig, ax = new_axes()
    orders = np.arange(1, len(possible) + 1)
    ax.plot(orders, possible, marker="o", color=PALETTE["vermillion"])
    ax.plot(orders, types, marker="s", color=PALETTE["blue"])
    ax.axhline(tokens, ls=":", color=PALETTE["muted"])
    label(
        ax,
        orders[-1],
        possible[-1],
        "possible, Vⁿ",
        PALETTE["vermillion"],
        ha="right",
        xytext=(-12, 2),
    )
    label(ax, orders[-1], types[-1], "seen", PALETTE["blue"], ha="right", va="top", xytext=(0, -8))
    label(
        ax,
        orders[-1],
        tokens,
        "tokens in the text",
        PALETTE["muted"],
        ha="right",
        va="bottom",
        xytext=(0, 4),
    )
    ax.set(xlabel="n, the length of the window", ylabel="n-grams")
    ax.set_xticks(orders)
    log_axis(ax.yaxis, "y", ax)
    alt = (
        f"Line chart with a logarithmic vertical axis: number of n-grams, against n from 1 to "
        f"{orders[-1]}. Possible n-grams rise in a straight line from {possible[0]:,.0f} to "
        f"{possible[-1]:.1e}. Seen n-grams go from {types[0]:,} to {types[-1]:,} and flatten "
        f"below the {tokens:,} tokens of the text."
    )
    return Figure(fig, alt, {"possible": possible, "seen": types, "tokens": tokens})


@styled
def prediction_gap(gaps: Mapping[str, np.ndarray]) -> Figure:
    """Measured minus predicted share of the unseen, in percentage points, per way of holding out.

    gaps : name of the split → (runs, orders); every run is a faint dot, the mean a large mark
    """
    fig, ax = new_axes(3.7)
    orders = np.arange(1, next(iter(gaps.values())).shape[1] + 1)
    ax.axhline(0, color=PALETTE["ink"], lw=1)
    for k, ((name, gap), colour, marker) in enumerate(
        zip(gaps.items(), SERIES, MARKERS, strict=False)
    ):
        x = orders + 0.24 * (k - (len(gaps) - 1) / 2)
        points = 100 * gap
        ax.plot(
            np.repeat(x[None], len(gap), 0).ravel(),
            points.ravel(),
            ".",
            ms=5,
            alpha=0.45,
            color=colour,
            mew=0,
        )
        ax.plot(x, points.mean(0), marker, color=colour, ms=8, label=name)
    ax.set(xlabel="n, the length of the window", ylabel="measured − predicted, points")
    ax.set_xticks(orders)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.28 * (high - low))  # room for the legend above the dots
    ax.legend(loc="upper right", frameon=False, title="held out", alignment="left")
    alt = (
        "Dot plot. Horizontal axis: n. Vertical axis: measured minus predicted share of unseen "
        "n-grams, in percentage points; each run is a dot, each mean a large mark. "
        + " ".join(
            f"Held out {name}, {len(g)} runs: mean gap "
            + ", ".join(f"{v:+.1f}" for v in 100 * g.mean(0))
            + f", largest single gap {100 * g.max():+.1f}."
            for name, g in gaps.items()
        )
    )
    return Figure(fig, alt, {name: 100 * g.mean(0) for name, g in gaps.items()})


@styled
def reach(accuracy: Mapping[str, Mapping[int, Sequence[float]]]) -> Figure:
    """How often a model closes the right bracket, against the distance to the opening one.

    accuracy : title of the panel → order n → (distances,) share of right answers
    """
    fig, axes = figure_of_panels(len(accuracy), height=2.7)
    said = []
    for ax, (title, lines) in zip(axes, accuracy.items(), strict=True):
        for (n, share), colour, marker in zip(lines.items(), SERIES, MARKERS, strict=False):
            distance = np.arange(1, len(share) + 1)
            ax.plot(distance, share, marker=marker, color=colour, label=f"n = {n}")
            said.append(f"{title}, n = {n}: " + ", ".join(f"{100 * s:.0f} %" for s in share) + ".")
        ax.axhline(0.5, ls=":", color=PALETTE["muted"])
        ax.set(ylim=(0.42, 1.05), ylabel="right bracket")
        ax.set_xticks(distance)
        ax.set_title(title, loc="left", fontsize=TEXT, pad=10)
        percent_axis(ax.yaxis)
    axes[0].legend(loc="upper right", frameon=False, bbox_to_anchor=(1, 0.97))
    axes[-1].set_xlabel("words between the two brackets")
    alt = (
        "Two line charts with the same axes. Horizontal: words between the opening and the closing "
        "bracket, 1 to 8. Vertical: share of closing brackets predicted right; guessing gives "
        "50 %. " + " ".join(said)
    )
    digest = {f"{t}, n = {n}": s for t, lines in accuracy.items() for n, s in lines.items()}
    return Figure(fig, alt, digest)
