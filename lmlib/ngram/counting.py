r"""Counting n-grams with sorted integers.

A sentence w_1 … w_T is read as ``<s> w_1 … w_T </s>``: one start mark, never predicted, and one
end mark, predicted like a word. An n-gram is a window of n neighbouring symbols in that line.

Everything rests on one idea (the sorted-array layout of KenLM, Heafield 2011). The n-gram that
ends at position i is named by a single integer,

    key = row of the (n-1)-gram that ends at i-1  ·  V  +  id of the word at i,

and its own row is the place of that key among the sorted ones. So counting n-grams is sorting
integers, one sort for each order, and looking one up is a binary search. No Python loop runs over
the tokens.

Symbols: V vocabulary size, N number of n-gram tokens (windows), n order, n_r number of n-gram
types seen exactly r times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmlib.corpora import Vocabulary

UNK, BOS, EOS = 0, 1, 2  # ids that every Vocabulary reserves: <unk>, <s>, </s>
MARKS = {"<unk>": UNK, "<s>": BOS, "</s>": EOS}


# ------------------------------------------------------------------------------- the id stream
@dataclass(frozen=True)
class Stream:
    """Sentences laid end to end as integers.

    ids : (T,) int32, one ``<s>`` and one ``</s>`` around every sentence
    depth : (T,) int32, how many symbols of the same sentence stand to the left (0 at ``<s>``);
        the window of n symbols that ends at i exists when depth[i] >= n - 1
    """

    ids: np.ndarray
    depth: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """(T,) bool: the positions a model must predict, that is all but ``<s>``."""
        return self.depth > 0


def encode(sentences: Iterable[Sequence[str]], vocabulary: Vocabulary) -> Stream:
    """Turn sentences into one `Stream`; words outside the vocabulary become ``<unk>``.

    Raises
    ------
    ValueError : no sentences, a sentence that is a str, a word that is none, ``<s>`` or ``</s>``
        inside a sentence (both are added here)
    """
    return _read(sentences, vocabulary)[0]


def _read(
    sentences: Iterable[Sequence[str]], vocabulary: Vocabulary | None
) -> tuple[Stream, Vocabulary]:
    """The stream and the vocabulary, built from the sentences themselves when None.

    One pass, a chunk of words at a time: a corpus read from a file never stands in memory as
    Python strings.
    """
    if isinstance(sentences, str):
        raise ValueError(
            "sentences is one str; expected an iterable of lists of words. "
            "Split the text first: corpora.split_sentences, then corpora.tokenise."
        )
    seen = dict(MARKS)  # word -> id, in the order of first appearance
    parts, lengths, chunk = [], [], []

    def flush():
        distinct = _distinct(chunk, unk_allowed=vocabulary is not None)
        if vocabulary is None:
            for word in distinct:
                seen.setdefault(word, len(seen))
            parts.append(np.fromiter(map(seen.__getitem__, chunk), np.int32, len(chunk)))
        else:
            parts.append(vocabulary.encode(chunk, unknown="map").astype(np.int32))

    for sentence in sentences:
        if isinstance(sentence, str):
            raise ValueError(
                f"each sentence must be a list of words, got the str {sentence[:40]!r}. "
                "Tokenise it first: corpora.tokenise(sentence)."
            )
        before = len(chunk)
        try:
            chunk.extend(sentence)
        except TypeError:
            raise ValueError(
                f"each sentence must be a list of words, got {sentence!r}. "
                "Was one sentence passed where a list of sentences is expected?"
            ) from None
        lengths.append(len(chunk) - before)
        if len(chunk) > 50_000:
            flush()
            chunk = []
    if not lengths:
        raise ValueError("sentences is empty: there is nothing to count.")
    flush()
    if vocabulary is None:
        if len(seen) == len(MARKS):
            raise ValueError("no tokens: every sentence is empty, so there is nothing to count.")
        vocabulary = Vocabulary(list(seen)[len(MARKS) :])
    return _framed(parts, np.array(lengths)), vocabulary


def _framed(parts: list[np.ndarray], lengths: np.ndarray) -> Stream:
    """Put ``<s>`` and ``</s>`` around each sentence of a run of word ids."""
    lengths = lengths + 2
    ends = np.cumsum(lengths)
    depth = np.arange(ends[-1], dtype=np.int32)  # (T,)
    depth -= np.repeat((ends - lengths).astype(np.int32), lengths)
    ids = np.full(ends[-1], EOS, np.int32)
    ids[ends - lengths] = BOS
    inside = depth > 0
    inside[ends - 1] = False
    ids[inside] = np.concatenate(parts)
    return Stream(ids, depth)


def _distinct(words: list[str], unk_allowed: bool) -> dict[str, None]:
    """The different words in order of first appearance, or a ValueError that names the slip."""
    try:
        distinct = dict.fromkeys(words)
    except TypeError:
        bad = next(word for word in words if not isinstance(word, str))
        raise ValueError(
            f"words must be str, got {bad!r} ({type(bad).__name__}). Is there one level of "
            "lists too many?"
        ) from None
    for word in distinct:
        if not isinstance(word, str):
            raise ValueError(f"words must be str, got {word!r} ({type(word).__name__}).")
    marks = [mark for mark in MARKS if mark in distinct and not (unk_allowed and mark == "<unk>")]
    if marks:
        raise ValueError(
            f"the text contains {marks}, the library's own marks: <s> and </s> are added here, "
            "and <unk> belongs to the vocabulary. Remove them, or rename <unk> to UNK."
        )
    return distinct


# ------------------------------------------------------------------------------- looking up
class Index:
    """Where every known n-gram stands: one ascending int64 array of keys per order.

    Row r of order n is the n-gram with key ``keys[n - 1][r]``; at order 1 the row is the word id.
    The rows of all n-grams with one context are neighbours, and so are the rows of all n-grams
    with one first symbol.
    """

    def __init__(self, vocabulary: Vocabulary, keys: list[np.ndarray]):
        self.vocabulary = vocabulary
        self.keys = keys
        self.order = len(keys)

    def ids(self, words: Sequence[str]) -> np.ndarray:
        """(n,) int64 ids of a window or context, in which marks are allowed."""
        if isinstance(words, str):
            raise ValueError(f"expected a list of words, got the str {words!r}. Use {[words]}.")
        return self.vocabulary.encode(words, unknown="map")

    def row(self, ids: np.ndarray) -> int:
        """Row of one n-gram, -1 if unknown."""
        row = int(ids[0])
        for n, word in enumerate(ids[1:], start=2):
            keys, key = self.keys[n - 1], row * len(self.vocabulary) + int(word)
            at = int(np.searchsorted(keys, key))
            if at == keys.size or keys[at] != key:
                return -1
            row = at
        return row

    def rows(self, stream: Stream) -> Iterator[np.ndarray]:
        """Find every window of a stream: yields one (T,) int64 array per order, -1 where unknown.

        At order n, entry i is the row of the window that ends at i. A window that would cross the
        start of its sentence is -1 as well.
        """
        V = len(self.vocabulary)
        found = stream.ids.astype(np.int64)
        yield found
        for keys in self.keys[1:]:
            # across a sentence start nothing is found: no table holds </s> <s>
            last = np.flatnonzero(found[:-1] >= 0) + 1  # where the context is known
            wanted = found[last - 1] * V + stream.ids[last]
            at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
            hit = keys[at] == wanted
            found = np.full(stream.ids.size, -1)
            found[last[hit]] = at[hit]
            yield found

    def followers(self, context: np.ndarray) -> slice:
        """The rows of order len(context) + 1 that begin with this context; empty if unknown."""
        row = self.row(context) if len(context) else 0
        return self.children(row, len(context) + 1) if row >= 0 else slice(0, 0)

    def children(self, row: int, n: int) -> slice:
        """The rows of order n whose context is this row of order n - 1."""
        V = len(self.vocabulary)
        low, high = np.searchsorted(self.keys[n - 1], [row * V, (row + 1) * V])
        return slice(int(low), int(high))

    def words(self, n: int, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Id of the last word of each n-gram of order n."""
        return self.keys[n - 1][rows] % len(self.vocabulary)

    def contexts(self, n: int) -> np.ndarray:
        """Row of the context of each n-gram of order n: its first n - 1 symbols."""
        return self.keys[n - 1] // len(self.vocabulary)


# ------------------------------------------------------------------------------------ counting
class Counts:
    """How often every n-gram of order 1 … `order` occurs in the training sentences.

    Parameters
    ----------
    sentences : iterable of lists of words; it is read once
    order : int >= 1, the longest n-gram counted
    vocabulary : taken from the sentences themselves when None. With a given one, every other
        word is counted as ``<unk>``.

    Raises
    ------
    ValueError : no sentences, order < 1, words that are not str, no window of `order` symbols

    Examples
    --------
    >>> c = Counts([["a", "b", "a"], ["a"]], order=2)
    >>> c.count(["a", "b"]), c.count(["<s>", "a"]), c.count(["b", "b"])
    (1, 2, 0)
    """

    def __init__(
        self,
        sentences: Iterable[Sequence[str]],
        order: int,
        vocabulary: Vocabulary | None = None,
    ):
        if not isinstance(order, int | np.integer) or order < 1:
            raise ValueError(f"order must be an integer of at least 1, got {order!r}.")
        stream, self.vocabulary = _read(sentences, vocabulary)
        self.order = int(order)
        longest = int(stream.depth.max()) + 1
        if order > longest:
            raise ValueError(
                f"order {order} is longer than every sentence: with <s> and </s> the longest "
                f"has {longest} symbols. Lower the order, or check how the text was split."
            )
        V = len(self.vocabulary)
        once = np.bincount(stream.ids, minlength=V).astype(np.int32)
        once[BOS] = 0  # <s> is never predicted, so it is no unigram token
        keys, self._counts, self._suffix = [np.arange(V)], [once], [np.zeros(V, np.int32)]
        row = stream.ids  # row[i]: where the n-gram that ends at i stands in its table
        for n in range(2, self.order + 1):
            at = np.flatnonzero(stream.depth >= n - 1).astype(np.int32)
            key = row[at - 1] * np.int64(V)
            key += stream.ids[at]
            distinct, start, by_key = _group(key, at)
            keys.append(distinct)
            self._counts.append(np.diff(np.append(start, at.size)).astype(np.int32))
            self._suffix.append(row[by_key[start]])
            if n < self.order:
                row = np.full(stream.ids.size, -1, np.int32)
                row[by_key] = np.repeat(np.arange(start.size, dtype=np.int32), self._counts[-1])
        self.index = Index(self.vocabulary, keys)

    def counts(self, n: int) -> np.ndarray:
        """(types,) int32: how often each n-gram was seen, by row. At n = 1, by word id."""
        self._check(n)
        return self._counts[n - 1]

    def suffixes(self, n: int) -> np.ndarray:
        """(types,) int32: for each n-gram, the row of the (n-1)-gram without its first symbol."""
        self._check(n)
        return self._suffix[n - 1]

    def types(self, n: int) -> int:
        """How many different n-grams were seen."""
        return int(np.count_nonzero(self.counts(n)))

    def tokens(self, n: int) -> int:
        """How many n-grams were seen, repetitions included (N)."""
        return int(self.counts(n).sum())

    def possible(self, n: int) -> float:
        """V^n: the cells of the full table over V words, ``</s>`` included, ``<s>`` not."""
        self._check(n)
        return float(len(self.vocabulary) - 2) ** n  # no <s>, no <unk>

    def counts_of_counts(self, n: int, up_to: int = 5) -> np.ndarray:
        """(up_to,) int64: n_1, n_2, …; n_r is the number of n-grams seen exactly r times."""
        return tally(self.counts(n), up_to)

    def count(self, ngram: Sequence[str]) -> int:
        """How often one n-gram was seen (0 if never)."""
        ids = self.index.ids(ngram)
        self._check(len(ids))
        row = self.index.row(ids)
        return 0 if row < 0 else int(self.counts(len(ids))[row])

    def followers(self, context: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The words seen after `context`, most frequent first, and their counts.

        `context` has at most order - 1 words; the empty context gives the words themselves.
        """
        ids = self.index.ids(context)
        if len(ids) >= self.order:
            raise ValueError(
                f"a context of {len(ids)} words needs n-grams of order {len(ids) + 1}, "
                f"but only order {self.order} was counted."
            )
        rows = self.index.followers(ids)
        words, counts = self.index.words(len(ids) + 1, rows), self.counts(len(ids) + 1)[rows]
        by_count = np.lexsort((words, -counts))
        by_count = by_count[counts[by_count] > 0]
        return self.vocabulary.decode(words[by_count]), counts[by_count]

    def context_totals(self, n: int) -> np.ndarray:
        """(contexts,) int64: S(c), how many n-gram tokens begin with each (n-1)-gram c."""
        return self.per_context(n, self.counts(n)).astype(np.int64)

    def per_context(self, n: int, values: np.ndarray) -> np.ndarray:
        """(contexts,) float64: the sum of `values`, one per n-gram, over each context's n-grams."""
        contexts = self.counts(n - 1).size if n > 1 else 1
        return np.bincount(self.index.contexts(n), values, contexts)

    def _check(self, n: int) -> None:
        if not 1 <= n <= self.order:
            raise ValueError(f"n must lie in 1 … {self.order}, the orders counted; got {n}.")


def tally(counts: np.ndarray, up_to: int) -> np.ndarray:
    """(up_to,) int64: how many entries equal 1, 2, …, up_to."""
    return np.bincount(np.minimum(counts, up_to + 1), minlength=up_to + 1)[1 : up_to + 1]


def _group(key: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort positions `at` by their key.

    Returns the distinct keys; where the group of each begins in the sorted order; the positions in
    that order. `key` is used up.
    """
    bits = int(at[-1]).bit_length()
    if int(key.max()) < 1 << (63 - bits):
        # key and position in one int64: a plain value sort, several times faster than argsort
        key <<= bits
        key |= at
        key.sort()
        by_key = np.empty(key.size, np.int32)
        np.bitwise_and(key, (1 << bits) - 1, out=by_key, casting="unsafe")
        key >>= bits
    else:
        order = np.argsort(key, kind="stable")
        by_key, key = at[order], key[order]
    start = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    return key[start], start, by_key
