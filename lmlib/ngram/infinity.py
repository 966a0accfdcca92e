r"""The infinity-gram: a context of any length, as long as the training text has seen it.

A table of n-grams has to fix n before it counts. A *suffix array* does not: it is the list of all
positions of a text, sorted by what follows them, so all places where some words occur stand in
neighbouring rows, however many words they are. One array answers for every n at once (Liu et al.
2024, infini-gram).

Symbols: n symbols in the training text, marks included; V vocabulary size; Q queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lmlib.corpora import Vocabulary
from lmlib.ngram.counting import BOS, EOS, Stream, _read, encode
from lmlib.ngram.model import LanguageModel


def suffix_array(ids: np.ndarray) -> np.ndarray:
    """The positions of a sequence, sorted by the suffix that begins there.

    Prefix doubling (Manber & Myers 1993): when every position has a rank by its first k symbols,
    the pair (rank of i, rank of i + k) ranks it by its first 2k. The rounds end when all ranks
    differ, so their number is about log2 of the longest passage that occurs twice. Where one
    suffix is the beginning of another, the shorter comes first.

    Parameters
    ----------
    ids : (n,) integer array

    Returns
    -------
    rows : (n,) int64, a permutation of 0 … n - 1. While sorting, about 41 bytes for each symbol.

    Raises
    ------
    ValueError : if `ids` is not a flat sequence of integers

    Examples
    --------
    >>> suffix_array([3, 1, 2, 1, 2])  # 1 2 | 1 2 1 2 | 2 | 2 1 2 | 3 1 2 1 2
    array([3, 1, 4, 2, 0])
    """
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(
            f"ids must be a flat sequence of integers, got {ids.dtype} of shape {ids.shape}. "
            "Encode words or characters first: a suffix array sorts numbers."
        )
    n = ids.size
    symbols, rank = np.unique(ids, return_inverse=True)
    rank += 1  # 0 is left for what lies past the end
    distinct, k = symbols.size, 1
    while distinct < n:
        width, place = int(distinct).bit_length(), int(n).bit_length()
        key = rank << width
        key[: n - k] |= rank[k:]
        if 2 * width + place <= 63:
            # both ranks and the position in one int64: a value sort, faster than argsort
            key <<= place
            key |= np.arange(n)
            key.sort()
            rows = key & ((1 << place) - 1)
            key >>= place
        else:
            rows = np.argsort(key)
            key = key[rows]
        rank[rows] = np.cumsum(np.concatenate(([True], key[1:] != key[:-1])))
        distinct, k = int(rank[rows[-1]]), 2 * k
    rows = np.empty(n, np.int64)
    rows[rank - 1] = np.arange(n)
    return rows


@dataclass(frozen=True)
class Matches:
    """What an infinity-gram saw at every predicted token, in reading order: (tokens,) arrays.

    length : int64, symbols in the longest known context (``<s>`` counts as one); 0 if even the
        symbol before was never seen
    occurrences : int64, how often that context was followed by anything in training
    sparse : bool, whether always by the same symbol
    probability : float64, the relative frequency of the token after that context
    correct : bool, whether the token is the context's most frequent follower (of equals the one
        with the lowest id, as in ``probabilities(context).argmax()``)
    """

    length: np.ndarray
    occurrences: np.ndarray
    sparse: np.ndarray
    probability: np.ndarray
    correct: np.ndarray


class InfinityGram(LanguageModel):
    r"""The n-gram model without an n (Liu et al. 2024, infini-gram).

        P(w | h) = C(c w) / C(c),      c the longest suffix of h that occurs in training

    h is the whole history of the sentence, ``<s>`` included, and C(c) counts the occurrences of c
    that something follows. After the empty context stand the relative frequencies of the words,
    so every history has a distribution and it sums to 1.

    There is no smoothing: a word that never followed c has probability zero, so on new text the
    perplexity is almost always infinite. The model is good for its best guess, for finding what
    was copied, and as one part of a mixture.

    Parameters
    ----------
    sentences : iterable of lists of words; it is read once
    vocabulary : taken from the sentences themselves when None. With a given one, every other
        word is read as ``<unk>``.

    Raises
    ------
    ValueError : no sentences, a sentence that is a str, words that are not str, marks in the text

    Notes
    -----
    Kept are three arrays, 16 bytes for each symbol of training text: the ids, the suffix array,
    and for `_extend` the symbol to the left of each row. Scoring takes two binary searches for each
    matched symbol of each context. On new text these are few; a sentence of T symbols that training
    has seen whole costs T² of them, so cut a text into sentences before you score it.

    Examples
    --------
    >>> model = InfinityGram([["to", "be", "or", "not", "to", "be"], ["to", "see"]])
    >>> model.count(["to"]), model.count(["not", "to", "be"]), model.count(["be", "not"])
    (3, 1, 0)
    >>> found = model.matches([["not", "to", "see"]])  # to predict: not, to, see, </s>
    >>> found.length, found.probability
    (array([1, 1, 2, 2]), array([0., 1., 0., 1.]))
    """

    order = None

    def __init__(self, sentences: Iterable[Sequence[str]], vocabulary: Vocabulary | None = None):
        stream, self.vocabulary = _read(sentences, vocabulary)
        n = stream.ids.size
        self._ids = stream.ids  # (n,)
        rows = suffix_array(self._ids)
        self._left = np.sort(self._ids[rows - 1] * np.int64(n) + np.arange(n))  # (n,)
        self._rows = rows.astype(np.int32)  # (n,)
        self._predicted = int(np.count_nonzero(stream.predicted))

    def count(self, ngram: Sequence[str]) -> int:
        """How often an n-gram of any length was seen (0 if never); ``<s>`` alone is none."""
        ids = self.vocabulary.encode(ngram)
        if not ids.size:
            raise ValueError("the n-gram is empty; expected a list of one word or more.")
        if ids[-1] == BOS or EOS in ids[:-1]:
            return 0
        length, low, high = self._search(ids, np.array([ids.size]), np.array([ids.size]))
        return int(high[0] - low[0]) if length[0] == ids.size else 0

    def matches(self, sentences: Iterable[Sequence[str]]) -> Matches:
        """The longest known context of every predicted token, and how well it predicts."""
        stream = encode(sentences, self.vocabulary)
        length, low, high = self._contexts(stream)
        hits, occurrences = self._frequencies(stream, length, low, high)
        best, times = self._most_frequent(length, low, high)
        return Matches(
            length=length,
            occurrences=occurrences,
            sparse=times == occurrences,
            probability=hits / occurrences,
            correct=best == stream.ids[stream.predicted],
        )

    def _token_probabilities(self, stream: Stream) -> np.ndarray:
        hits, occurrences = self._frequencies(stream, *self._contexts(stream))
        return hits / occurrences

    def _distribution(self, context: np.ndarray) -> np.ndarray:
        # nothing follows </s>, so a context reaches back to it at most
        context = context[np.flatnonzero(np.append(EOS, context) == EOS)[-1] :]
        size = np.array([context.size])
        length, low, high = self._search(context, size, size)
        follower = self._ids[self._rows[low[0] : high[0]] + length[0]]
        p = np.bincount(follower, minlength=len(self.vocabulary)).astype(float)  # (V,)
        p[BOS] = 0
        return p / p.sum()

    def _contexts(self, stream: Stream) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`_search` for the longest known context of every predicted token."""
        at = np.flatnonzero(stream.predicted)
        return self._search(stream.ids, at, stream.depth[at])

    def _frequencies(
        self, stream: Stream, length: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(tokens,) int64 each: C(c w), how often the token followed its context, and C(c)."""
        end = np.flatnonzero(stream.predicted) + 1
        found, first, last = self._search(stream.ids, end, length + 1)
        # what follows the empty context is any predicted symbol: every row but those of <s>
        occurrences = np.where(length > 0, high - low, self._predicted)
        return np.where(found == length + 1, last - first, 0), occurrences

    def _search(
        self, ids: np.ndarray, end: np.ndarray, limit: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The longest windows ids[end - length : end], length <= limit, that training knows.

        Returns (Q,) int64 arrays: length, and low, high: the window begins the suffixes in rows
        low … high - 1 of the suffix array, so high - low is its count.
        """
        length = np.zeros(end.size, np.int64)
        low, high = length.copy(), np.full(end.size, self._ids.size)
        active = np.flatnonzero(limit > 0)
        while active.size:
            symbol = ids[end[active] - 1 - length[active]]
            first, last = self._extend(symbol, low[active], high[active])
            known = first < last
            active = active[known]
            low[active], high[active] = first[known], last[known]
            length[active] += 1
            active = active[length[active] < limit[active]]
        return length, low, high

    def _extend(
        self, symbol: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """From the rows low … high - 1 of windows to those of the windows one symbol longer.

        Backward search (Ferragina & Manzini 2000). Sort all pairs (symbol to the left of row r, r):
        pair number j belongs to the suffix in row j, grown by one symbol. So the place of
        (symbol, low) among the sorted pairs *is* the new low: one binary search, at any length.
        """
        # symbol · n + row names a pair. The pairs of </s> are one place off around the text's
        # first row, whose left neighbour is the text's end; no window grows by </s>.
        pair = symbol * np.int64(self._ids.size)
        return np.searchsorted(self._left, pair + low), np.searchsorted(self._left, pair + high)

    def _most_frequent(
        self, length: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(Q,) the symbol that followed each context most often, and (Q,) how often it did."""
        best, times = np.empty_like(length), np.empty_like(length)
        V = len(self.vocabulary)
        # contexts of one length share no row, so no more than n rows are looked at together
        for k in np.unique(length):
            here = np.flatnonzero(length == k)
            start, one, which = np.unique(low[here], return_index=True, return_inverse=True)
            size = high[here][one] - start  # (contexts,)
            context = np.repeat(np.arange(size.size), size)  # (rows,)
            row = np.arange(context.size) + np.repeat(start - (np.cumsum(size) - size), size)
            follower = self._ids[self._rows[row] + k]
            # within a context the rows are sorted, so equal followers are neighbours
            pair = context * V + follower
            run = np.flatnonzero(np.concatenate(([True], pair[1:] != pair[:-1])))
            count = np.diff(np.append(run, pair.size))
            count[follower[run] == BOS] = 0  # in a row of the empty context, but never predicted
            # one integer ranks by count, then by the lower id
            rank = count * V + (V - 1 - follower[run])
            top = np.maximum.reduceat(rank, np.searchsorted(context[run], np.arange(size.size)))
            best[here], times[here] = (V - 1 - top % V)[which], (top // V)[which]
        return best, times
