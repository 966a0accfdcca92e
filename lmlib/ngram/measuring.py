"""How sparse a text is: what is new, what was seen once, and what the counts themselves predict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from lmlib.ngram.counting import Counts, encode


def unseen_share(counts: Counts, sentences: Iterable[Sequence[str]]) -> np.ndarray:
    """The share of n-gram tokens in `sentences` that training never showed, for each order.

        unseen(n) = #{windows of n symbols with training count 0} / #{windows of n symbols}

    Returns (order,) float64, n = 1 first. Repetitions count: this is the chance that the next
    window you meet is new, not the share of types. Windows shorter than n (at the start of a
    sentence) are left out. The order of `counts` must fit in the longest sentence.
    """
    stream = encode(sentences, counts.vocabulary)
    shares = []
    for n, rows in enumerate(counts.index.rows(stream), start=1):
        window = stream.depth >= max(n - 1, 1)  # at n = 1, <s> is not a token
        if not window.any():
            raise ValueError(f"no sentence has {n} symbols, so there is no {n}-gram to look for.")
        new = rows < 0 if n > 1 else counts.counts(1)[rows] == 0
        shares.append(np.mean(new[window]))
    return np.array(shares)


def missing_mass(counts: Counts, n: int) -> float:
    """Good-Turing's estimate of the chance that the next n-gram is one never seen before.

        P(new) = n_1 / N        (Good 1953, after Turing: the total probability of the unseen)

    n_1 is the number of n-grams seen exactly once, N the number of n-gram tokens. Justified when
    the next n-gram comes from the same source as the training ones, independently.
    """
    return float(counts.counts_of_counts(n, 1)[0] / counts.tokens(n))


def singleton_share(counts: Counts, n: int) -> float:
    """The share of n-gram types that were seen exactly once: n_1 / types."""
    return float(counts.counts_of_counts(n, 1)[0] / counts.types(n))


def rank_frequency(counts: Counts, n: int = 1) -> np.ndarray:
    """(types,) int64: the counts of all n-grams, largest first (entry r - 1 has rank r)."""
    seen = counts.counts(n)
    return np.sort(seen[seen > 0])[::-1]


def power_law_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least-squares slope of log y against log x: the exponent b of y = a · x^b."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.size < 2:
        raise ValueError(f"x and y must be equally long, 2 or more; got {x.shape}, {y.shape}.")
    if np.any(x <= 0) or np.any(y <= 0):
        raise ValueError("x and y must be positive: a power law is a straight line in logarithms.")
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def counts_elsewhere(
    counts: Counts, sentences: Iterable[Sequence[str]], n: int
) -> tuple[np.ndarray, int]:
    """How often each n-gram of the training text occurs in other sentences.

    Returns (types,) int64 by row, and the number of n-gram tokens there that training never
    showed. Grouped by the training count, the mean is what Good-Turing's r* estimates
    (Church & Gale 1991 compare the two on halves of one corpus).
    """
    stream = encode(sentences, counts.vocabulary)
    rows = next(islice(counts.index.rows(stream), n - 1, None))
    rows = rows[stream.depth >= max(n - 1, 1)]
    types = counts.counts(n).size
    return np.bincount(rows[rows >= 0], minlength=types), int(np.sum(rows < 0))


def effective_counts(
    counts: Counts, sentences: Iterable[Sequence[str]], n: int, up_to: int = 8
) -> dict[str, np.ndarray]:
    r"""What a count of r is worth: in other sentences, and by two rules of smoothing.

    Returns a dict of (up_to + 1,) float64 arrays; entry r is the mean over the n-grams that were
    seen r times here. At r = 0 these are all the n-grams of a context that was seen and any symbol
    of the vocabulary but ``<s>``.

        elsewhere     how often they occur in `sentences`
        add_one       (r + 1) S(c) / (S(c) + |V|): what add-one leaves of r
        good_turing   r* = (r + 1) n_{r+1} / n_r
        ngrams        n_r, how many n-grams the mean is taken over
    """
    here = counts.counts(n)
    elsewhere, new = counts_elsewhere(counts, sentences, n)
    V = len(counts.vocabulary) - 1
    total = counts.context_totals(n)  # (contexts,)
    kept = total / (total + V)
    unseen = np.where(total > 0, V - counts.per_context(n, here > 0), 0)  # (contexts,)
    group = np.minimum(here, up_to + 1)  # (types,)
    n_r = np.bincount(group[here > 0], minlength=up_to + 2).astype(float)
    n_r[0] = unseen.sum()

    def mean(values, at_zero):
        sums = np.bincount(group[here > 0], values[here > 0], up_to + 2)
        sums[0] = at_zero
        return (sums / np.where(n_r > 0, n_r, np.nan))[: up_to + 1]

    add_one = (here + 1) * kept[counts.index.contexts(n)]
    n_next = counts.counts_of_counts(n, up_to + 1)  # n_1 … n_{up_to + 1}
    r = np.arange(up_to + 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # nan where no n-gram was seen r times
        good_turing = np.where(n_r[:-1] > 0, (r + 1) * n_next / n_r[:-1], np.nan)
    return {
        "elsewhere": mean(elsewhere, new),
        "add_one": mean(add_one, (unseen * kept).sum()),
        "good_turing": good_turing,
        "ngrams": n_r[: up_to + 1],
    }
