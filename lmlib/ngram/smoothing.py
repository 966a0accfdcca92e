r"""Smoothing: how to keep something back for what was never seen.

Chen & Goodman (1999) write nearly every method in one of two forms. With a(c w) what a method
makes of the count of c w, c' the context without its first symbol, and P_0 = 1 / |V|,

    interpolated:   P(w | c) = alpha(c w) + gamma(c) · P(w | c')
    backed off:     P(w | c) = alpha(c w) if c w was seen, else gamma(c) · P(w | c')

Each function below takes `Counts` and returns a model; what differs between them is alpha and
gamma. |V| counts ``<unk>`` and ``</s>``, not ``<s>``. Where nothing was ever seen after c,
P(w | c) = P(w | c').
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lmlib.ngram.counting import BOS, UNK, Counts, encode, tally
from lmlib.ngram.mixture import expectation_maximisation
from lmlib.ngram.model import BackoffModel

KENLM_FALLBACK = (0.5, 1.0, 1.5)  # what lmplz --discount_fallback uses for D1, D2, D3+


class _Level:
    """One order n of the counts: `numbers` by n-gram, and their sum S by context."""

    def __init__(self, counts: Counts, n: int, numbers: np.ndarray | None = None):
        self.n = n
        self.numbers = counts.counts(n) if numbers is None else numbers
        self.context = counts.index.contexts(n)  # (types,) row of each n-gram's context
        self.suffix = counts.suffixes(n)  # (types,) row of each n-gram without its first symbol
        self.size = counts.counts(n - 1).size if n > 1 else 1
        self.total = self.sum(self.numbers)  # (contexts,) S(c)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """(contexts,) the sum of `values` over the n-grams of each context."""
        return np.bincount(self.context, values, self.size)

    def share(self, values: np.ndarray, total: np.ndarray | None = None) -> np.ndarray:
        """(types,) `values` divided by the total of their context (S when None)."""
        total = self.total if total is None else total
        return values / np.where(total > 0, total, 1)[self.context]


# ------------------------------------------------------------------------------ the two forms
def _interpolate(
    counts: Counts, parts: Callable[[int], tuple[_Level, np.ndarray, np.ndarray]]
) -> BackoffModel:
    """P(w | c) = alpha(c w) + gamma(c) · P(w | c'); `parts(n)` gives the level, alpha, gamma."""
    probability, backoff = [], []
    for n in range(1, counts.order + 1):
        level, alpha, gamma = parts(n)
        gamma = np.where(level.total > 0, gamma, 1.0)
        if n == 1:
            p = _over_uniform(counts, alpha, gamma)
        else:
            p = gamma[level.context]  # (types,)
            p *= probability[-1][level.suffix]
            p += alpha
            backoff.append(gamma)
        probability.append(p)
    return BackoffModel(counts.index, probability, backoff)


def _over_uniform(counts: Counts, alpha: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """(V,) the unigrams alpha(w) + gamma / |V|."""
    p = alpha + gamma / (len(counts.vocabulary) - 1)
    p[BOS] = 0
    return p


def _back_off(
    counts: Counts,
    unigrams: np.ndarray,
    parts: Callable[[int], tuple[_Level, np.ndarray, np.ndarray]],
) -> BackoffModel:
    """P(w | c) = alpha(c w) where seen, else what is left of the mass, in proportion to P(w | c').

        gamma(c) = left(c) / (sum of P(w | c') over the words not seen after c)

    `unigrams` are P(w), (V,). `parts(n)` for n >= 2 gives the level, alpha, and
    left(c) = 1 - sum of alpha(c w).
    """
    V = len(counts.vocabulary)
    probability, backoff = [unigrams], []
    kept, left_below, suffix = np.array([1.0]), np.array([0.0]), np.zeros(V, np.int32)
    for n in range(2, counts.order + 1):
        level, alpha, left = parts(n)
        # where every word was seen there is nobody to give the rest to: the seen words keep it
        full = level.sum(np.ones(alpha.size)) == V - 1
        alpha = alpha / np.where(full, 1 - left, 1)[level.context]
        left[full] = 0
        # what P(· | c') gives to the words not seen after c: those seen after c' but not after c,
        # plus those not even seen after c'. Written so, nothing cancels that is not equal.
        seen_below = level.sum(probability[-1][level.suffix])
        unseen = np.maximum(kept[suffix] - seen_below, 0) + left_below[suffix]
        with np.errstate(invalid="ignore", divide="ignore"):
            gamma = np.where(level.total > 0, np.where(full, 0, left / unseen), 1.0)
        backoff.append(gamma)
        probability.append(alpha)
        kept, left_below = level.sum(alpha), left
        suffix = level.suffix
    return BackoffModel(counts.index, probability, backoff)


# --------------------------------------------------------------------------------- Witten-Bell
def witten_bell(counts: Counts) -> BackoffModel:
    r"""Interpolate with a weight that grows with the number of different continuations.

        P(w | c) = (C(c w) + T(c) · P(w | c')) / (S(c) + T(c))

    T(c) is the number of different words seen after c: how often a new one has turned up there
    (Witten & Bell 1991; in this form Chen & Goodman 1999).
    """

    return _interpolate(counts, lambda n: _witten_bell(counts, n))


def _witten_bell(counts: Counts, n: int) -> tuple[_Level, np.ndarray, np.ndarray]:
    level = _Level(counts, n)
    types = level.sum(level.numbers > 0)
    both = level.total + types
    return level, level.share(level.numbers, both), types / np.where(both > 0, both, 1)


def witten_bell_unigrams(counts: Counts) -> np.ndarray:
    """(V,) where Katz and stupid backoff end, so that every word has a share."""
    _, alpha, gamma = _witten_bell(counts, 1)
    return _over_uniform(counts, alpha, gamma)


# ----------------------------------------------------------------------------- Jelinek-Mercer
def jelinek_mercer(
    counts: Counts, held_out: Iterable[Sequence[str]] | None = None, buckets: bool = True
) -> BackoffModel:
    r"""Interpolate relative frequencies with weights learned from held-out text.

        P(w | c) = lambda · C(c w) / S(c) + (1 - lambda) · P(w | c')

    One lambda per order, or (`buckets`) one for each order and each floor(log2 S(c)): a context
    seen a thousand times deserves more trust than one seen twice. From the unigrams up, each
    order's lambdas maximise the likelihood of `held_out`, by expectation-maximisation
    (Jelinek & Mercer 1980). One imaginary token for each lambda keeps it below 1: a bucket that
    held-out text visits once would else trust its counts blindly, and give zeros again.

    Raises
    ------
    ValueError : without `held_out`: on the training text itself the best lambda is 1
    """
    if held_out is None:
        raise ValueError(
            "Jelinek-Mercer learns its weights from text that was not counted: pass "
            "held_out=sentences. On the training text the best weight of the counts is 1."
        )
    stream = encode(held_out, counts.vocabulary)
    rows = counts.index.rows(stream)
    before = np.zeros(stream.ids.size, np.int64)  # the empty context
    p = np.full(stream.ids.size, 1 / (len(counts.vocabulary) - 1))  # P of the order below

    def parts(n):
        nonlocal before
        level = _Level(counts, n)
        here = next(rows)
        bucket = (
            np.log2(np.maximum(level.total, 1)).astype(int)
            if buckets
            else np.zeros(level.size, int)
        )
        usable = (before >= 0) & stream.predicted
        usable[usable] = level.total[before[usable]] > 0
        known = usable & (here >= 0)
        frequency = np.zeros(p.size)
        frequency[known] = level.numbers[here[known]] / level.total[before[known]]
        both = np.stack([frequency[usable], p[usable]])  # (2, tokens)
        group = bucket[before[usable]]
        weight = expectation_maximisation(both, group, int(bucket.max()) + 1, imaginary=1)[0]
        p[usable] = weight[group] * both[0] + (1 - weight[group]) * both[1]  # weight: (buckets,)
        before = np.concatenate(([-1], here[:-1]))
        trust = weight[bucket]  # (contexts,)
        return level, level.share(level.numbers) * trust[level.context], 1 - trust

    return _interpolate(counts, parts)


# ------------------------------------------------------------------------ Good-Turing and Katz
def good_turing_counts(counts_of_counts: np.ndarray) -> np.ndarray:
    r"""(R - 1,) float64: r* for r = 1 … R - 1, from n_1 … n_R.

        r* = (r + 1) n_{r+1} / n_r            (Good 1953, after Turing)

    The mean number of times that an n-gram seen r times in this text is expected in another of the
    same size and source. nan where n_r = 0.
    """
    n = np.asarray(counts_of_counts, float)
    r = np.arange(1, n.size)
    return (r + 1) * n[1:] / np.where(n[:-1] > 0, n[:-1], np.nan)


def katz(counts: Counts, k: int = 5, discount_fallback: bool = False) -> BackoffModel:
    r"""Back off, with counts up to k discounted as Good and Turing say (Katz 1987).

        alpha(c w) = d_r r / S(c),   d_r = (r*/r - A) / (1 - A),   A = (k + 1) n_{k+1} / n_1

    for 1 <= r <= k, and d_r = 1 above; k >= 2, because k = 1 makes d_1 = 0. A context whose every
    count is above k would keep nothing back: there S(c) + 1 is used in place of S(c). The unigrams
    are Witten-Bell's.

    Raises
    ------
    ValueError : if some d_r falls outside (0, 1), as it does on small or artificial data.
        `discount_fallback` then takes 1/2 off every count up to k instead.
    """
    if not isinstance(k, int | np.integer) or k < 2:
        raise ValueError(f"k must be an integer of at least 2, got {k!r}.")

    def parts(n):
        level = _Level(counts, n)
        n_r = counts.counts_of_counts(n, k + 1)
        r = np.arange(1, k + 1)
        with np.errstate(all="ignore"):
            tail = (k + 1) * n_r[k] / n_r[0]
            d = (good_turing_counts(n_r) / r - tail) / (1 - tail)
        # a ratio of 1 would leave nothing after a context whose every n-gram was seen r times
        if not np.all((d > 0) & (d < 1 - 1e-9)):
            if not discount_fallback:
                raise _no_discount(n, n_r, f"Good-Turing's ratios d_1 … d_{k} are {d.round(3)}")
            d = 1 - 0.5 / r
        ratio = np.concatenate(([1.0], d, [1.0]))[np.minimum(level.numbers, k + 1)]
        alpha = level.share(level.numbers * ratio)
        frequent = level.sum(level.numbers <= k) == 0
        alpha *= np.where(frequent, level.total / (level.total + 1), 1)[level.context]
        left = level.sum(level.numbers * (1 - ratio)) / np.maximum(level.total, 1)
        return level, alpha, np.where(frequent, 1 / (level.total + 1), left)

    return _back_off(counts, witten_bell_unigrams(counts), parts)


# ------------------------------------------------- absolute discounting and Kneser-Ney
def absolute_discounting(counts: Counts, discount_fallback: bool = False) -> BackoffModel:
    r"""Take the same D off every count, and interpolate with what it frees (Ney et al. 1994).

        P(w | c) = (C(c w) - D) / S(c) + D T(c) / S(c) · P(w | c'),   D = n_1 / (n_1 + 2 n_2)

    One D per order, from its counts of counts. T(c) is the number of different words after c.
    """
    return _interpolate(
        counts, lambda n: _discount(counts, n, counts.counts(n), 1, discount_fallback)
    )


def kneser_ney(
    counts: Counts, backoff: bool = False, discount_fallback: bool = False
) -> BackoffModel:
    r"""Absolute discounting in which the lower orders count contexts (Kneser & Ney 1995).

        a(w) = number of different symbols seen before w

    takes the place of the count in every order but the highest; see `continuation_counts`. With
    `backoff`, the discounted estimate is used alone where c w was seen, as first published;
    otherwise the two are interpolated (Chen & Goodman 1999).
    """
    numbers = continuation_counts(counts)

    def parts(n):
        return _discount(counts, n, numbers[n - 1], 1, discount_fallback)

    if backoff:
        _, alpha, gamma = parts(1)
        return _back_off(counts, _over_uniform(counts, alpha, gamma), parts)
    return _interpolate(counts, parts)


def modified_kneser_ney(
    counts: Counts,
    discount_fallback: bool | tuple[float, float, float] = False,
    kenlm_compatible: bool = False,
) -> BackoffModel:
    r"""Interpolated Kneser-Ney with three discounts (Chen & Goodman 1999, section 3).

        P(w | c) = (a(c w) - D(a)) / S(c) + gamma(c) · P(w | c'),  S(c) = sum over v of a(c v)
        gamma(c) = (D_1 N_1(c) + D_2 N_2(c) + D_3+ N_3+(c)) / S(c)
        D_i = i - (i + 1) Y n_{i+1} / n_i,   Y = n_1 / (n_1 + 2 n_2),   i = 1, 2, 3+

    a is the continuation count (`continuation_counts`), the count itself at the highest order.
    N_i(c) is the number of words w with a(c w) = i, n_i the number of n-grams with a = i.

    discount_fallback : use (0.5, 1, 1.5), or the three numbers given, for an order whose discounts
        cannot be estimated
    kenlm_compatible : reproduce KenLM's lmplz to the last counted n-gram. In every order but the
        highest, lmplz tallies the very last n-gram of its stream (the one that ends in the newest
        word) by its count instead of its continuation count, which moves the discounts a little
        (kpu/kenlm issues 405 and 427). Needs the default vocabulary, ids by first appearance.

    Raises
    ------
    ValueError : if n_1, n_2 or n_3 is 0 or a discount falls outside [0, i]: small or artificial
        data, such as characters at low orders
    """
    numbers = continuation_counts(counts)
    fallback = KENLM_FALLBACK if discount_fallback is True else discount_fallback
    quirk = _last_of_stream(counts, numbers) if kenlm_compatible else {}
    return _interpolate(
        counts, lambda n: _discount(counts, n, numbers[n - 1], 3, fallback, quirk.get(n))
    )


def continuation_counts(counts: Counts) -> list[np.ndarray]:
    r"""For n = 1 … order, (types,) int32: what Kneser-Ney counts.

        a(g) = number of different symbols seen just before g       below the highest order
        a(g) = C(g)                       at the highest order, and where g begins with ``<s>``

    Nothing can stand before ``<s>``, so an n-gram that begins with it keeps its count.
    """
    numbers = []
    first = slice(BOS, BOS + 1)  # rows that begin with <s>: one block, because rows are sorted
    for n in range(1, counts.order):
        a = np.bincount(counts.suffixes(n + 1), minlength=counts.counts(n).size).astype(np.int32)
        a[first] = counts.counts(n)[first]  # at n = 1 this is <s> itself, count 0
        numbers.append(a)
        low = counts.index.children(first.start, n + 1).start
        first = slice(low, counts.index.children(first.stop - 1, n + 1).stop)
    return [*numbers, counts.counts(counts.order)]


def discounts(counts_of_counts: np.ndarray) -> np.ndarray:
    r"""(3,) float64: D_1, D_2, D_3+ of modified Kneser-Ney, from n_1 … n_4.

        D_i = i - (i + 1) Y n_{i+1} / n_i,   Y = n_1 / (n_1 + 2 n_2)

    D_1 alone is the single discount of absolute discounting, n_1 / (n_1 + 2 n_2). nan or a number
    outside [0, i] where the counts of counts do not determine it.
    (Chen & Goodman 1999, section 3; D_1 as in Ney et al. 1994.)
    """
    n = np.asarray(counts_of_counts, float)
    i = np.arange(1, 4)
    with np.errstate(all="ignore"):
        y = n[0] / (n[0] + 2 * n[1])
        d = i - (i + 1) * y * n[1:4] / n[:3]
    return np.where(n[:3] > 0, d, np.nan)


def _discount(counts, n, numbers, how_many, fallback, quirk=None):
    """The level, alpha and gamma when 1 or 3 discounts are taken off `numbers`."""
    fixed = None if fallback is False else _fixed_discounts(fallback)
    level = _Level(counts, n, numbers)
    n_r = tally(numbers, 4)
    if quirk is not None:
        wrong, right = (np.eye(5, dtype=int)[min(c, 5) - 1] if c else 0 for c in quirk)
        n_r = tally(numbers, 5) - wrong + right
        n_r = n_r[:4]
    d = discounts(n_r)[:how_many]
    # a single discount of 1 would leave nothing of the n-grams seen once
    upper = np.array([1.0, 2.0, 3.0]) if how_many == 3 else np.array([1 - 1e-9])
    if not np.all((d >= 0) & (d <= upper)):
        if fixed is None:
            raise _no_discount(n, n_r, f"the discounts are {d.round(3)}")
        d = fixed[:how_many]
    off = np.concatenate(([0.0], d))[np.minimum(numbers, how_many)]  # (types,)
    total = np.where(level.total > 0, level.total, 1)
    freed = level.sum(off) / total
    alpha = np.subtract(numbers, off, out=off)  # in place: at 10^7 tokens each array counts
    alpha /= total[level.context]
    return level, alpha, freed


def _fixed_discounts(given: bool | Sequence[float]) -> np.ndarray:
    """(3,) the discounts to fall back on, KenLM's for True."""
    fixed = np.array(KENLM_FALLBACK if given is True else given, float)
    if fixed.shape != (3,) or not np.all((fixed > 0) & (fixed <= [1, 2, 3])):
        raise ValueError(
            "discount_fallback must be True, False, or three discounts with 0 < D_1 <= 1, "
            f"0 < D_2 <= 2 and 0 < D_3+ <= 3; got {given!r}."
        )
    return fixed


def _no_discount(n: int, n_r: np.ndarray, what: str) -> ValueError:
    return ValueError(
        f"the discounts of order {n} cannot be estimated: {what}, from the counts of counts "
        f"{', '.join(f'n_{r} = {c:,}' for r, c in enumerate(n_r, start=1))}. Is this small or "
        "artificial data? discount_fallback=True uses fixed discounts for such an order."
    )


def _last_of_stream(counts: Counts, numbers: list[np.ndarray]) -> dict[int, tuple[int, int]]:
    """For each order below the highest: (continuation count, count) of lmplz's last n-gram.

    lmplz sorts n-grams by their last word id, then the one before, and so on. The last in that
    order ends in the newest word; among those, in the highest word before it; and so on.
    """
    once = counts.counts(1)
    if once[UNK] or not once[3:].all():
        raise ValueError(
            "kenlm_compatible needs the vocabulary of the training text itself, in order of first "
            "appearance: leave vocabulary=None, as lmplz knows no other."
        )
    row, last = once.size - 1, {}
    for n in range(1, counts.order):
        last[n] = (int(numbers[n - 1][row]), int(counts.counts(n)[row]))
        longer = np.flatnonzero(counts.suffixes(n + 1) == row)
        first = longer
        for m in range(n + 1, 1, -1):  # up to the first symbol, one context at a time
            first = counts.index.contexts(m)[first]
        if first.max() == BOS:
            break  # longer ones begin with <s>, and are tallied by their count anyway
        row = int(longer[np.argmax(first)])
    return last
