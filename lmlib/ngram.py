r"""Counting n-grams, and the model that is nothing but counts.

A sentence w_1 … w_T is read as ``<s> w_1 … w_T </s>``: one start mark, never predicted, and one
end mark, predicted like a word. An n-gram is a window of n neighbouring symbols in that line.

Everything rests on one idea (the sorted-array layout of KenLM, Heafield 2011). The n-gram that
ends at position i is named by a single integer,

    key = id of the (n-1)-gram that ends at i-1  ·  V  +  id of the word at i,

so counting n-grams is sorting integers, and looking one up is a binary search. No Python loop
runs over the tokens.

Symbols: V vocabulary size, N number of n-gram tokens (windows), n order, n_r number of n-gram
types seen exactly r times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from lmlib.corpora import Vocabulary

UNK, BOS, EOS = 0, 1, 2  # ids that every Vocabulary reserves: <unk>, <s>, </s>


# ------------------------------------------------------------------------------- the id stream
@dataclass(frozen=True)
class Stream:
    """Sentences laid end to end as integers.

    ids : (T,) int64, one ``<s>`` and one ``</s>`` around every sentence
    depth : (T,) int64, how many symbols of the same sentence stand to the left (0 at ``<s>``);
        the window of n symbols that ends at i exists when depth[i] >= n - 1
    """

    ids: np.ndarray
    depth: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """(T,) bool: the positions a model must predict, that is all but ``<s>``."""
        return self.depth > 0


def encode(sentences: Iterable[Sequence[str]], vocabulary: Vocabulary) -> Stream:
    """Turn sentences into one `Stream`; words outside the vocabulary become ``<unk>``."""
    return _encode(_checked(sentences), vocabulary)


def _encode(sentences: list[Sequence[str]], vocabulary: Vocabulary) -> Stream:
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences)) + 2  # plus <s>, </s>
    ends = np.cumsum(lengths)
    depth = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)  # (T,)
    ids = np.full(ends[-1], EOS, np.int64)
    ids[ends - lengths] = BOS
    inside = depth > 0
    inside[ends - 1] = False
    ids[inside] = vocabulary.encode(list(chain.from_iterable(sentences)), unknown="map")
    return Stream(ids, depth)


def _checked(sentences: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """The sentences as a list, or a ValueError that names the likely slip."""
    if isinstance(sentences, str):
        raise ValueError(
            "sentences is one str; expected an iterable of lists of words. "
            "Split the text first: corpora.split_sentences, then corpora.tokenise."
        )
    sentences = list(sentences)
    if not sentences:
        raise ValueError("sentences is empty: there is nothing to count.")
    for s in sentences:
        if isinstance(s, str):
            raise ValueError(
                f"each sentence must be a list of words, got the str {s[:40]!r}. "
                "Tokenise it first: corpora.tokenise(sentence)."
            )
        for word in s:
            if not isinstance(word, str):
                raise ValueError(f"words must be str, got {word!r} ({type(word).__name__}).")
    return sentences


# ------------------------------------------------------------------------------------ counting
@dataclass(frozen=True)
class Table:
    """All n-grams of one order, sorted by key.

    keys : (types,) int64, prefix · V + last word, ascending
    counts : (types,) int64, how often each was seen
    prefix : (types,) int64, row of the (n-1)-gram without the last word, in its own table
    word : (types,) int64, id of the last word
    """

    keys: np.ndarray
    counts: np.ndarray
    prefix: np.ndarray
    word: np.ndarray


class Counts:
    """How often every n-gram of order 1 … `order` occurs in the training sentences.

    Parameters
    ----------
    sentences : iterable of lists of words
    order : int >= 1, the longest n-gram counted
    vocabulary : taken from the sentences themselves when None

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
        sentences = _checked(sentences)
        self.order = int(order)
        self.vocabulary = vocabulary or Vocabulary.from_sentences(sentences)
        stream = _encode(sentences, self.vocabulary)
        longest = int(stream.depth.max()) + 1
        if order > longest:
            raise ValueError(
                f"order {order} is longer than every sentence: with <s> and </s> the longest "
                f"has {longest} symbols. Lower the order, or check how the text was split."
            )
        V = len(self.vocabulary)
        once = np.bincount(stream.ids, minlength=V)
        once[BOS] = 0  # <s> is never predicted, so it is no unigram token
        words = np.arange(V)
        self._tables = [Table(words, once, np.zeros(V, np.int64), words)]  # dense at n = 1
        row = stream.ids  # row[i]: where the n-gram that ends at i stands in its table
        for n in range(2, self.order + 1):
            at = np.flatnonzero(stream.depth >= n - 1)
            keys, counts, rows = _group(row[at - 1] * V + stream.ids[at])
            self._tables.append(Table(keys, counts, keys // V, keys % V))
            row = np.full(stream.ids.size, -1)
            row[at] = rows

    def table(self, n: int) -> Table:
        """The `Table` of order n."""
        return self._tables[self._valid(n) - 1]

    def types(self, n: int) -> int:
        """How many different n-grams were seen."""
        return int(np.count_nonzero(self.table(n).counts))

    def tokens(self, n: int) -> int:
        """How many n-grams were seen, repetitions included (N)."""
        return int(self.table(n).counts.sum())

    def possible(self, n: int) -> float:
        """V^n: the cells of the full table over V words, ``</s>`` included, ``<s>`` not."""
        return float(len(self.vocabulary) - 2) ** self._valid(n)  # no <s>, no <unk>

    def counts_of_counts(self, n: int, up_to: int = 5) -> np.ndarray:
        """(up_to,) int64: n_1, n_2, …; n_r is the number of n-grams seen exactly r times."""
        return np.bincount(self.table(n).counts, minlength=up_to + 1)[1 : up_to + 1]

    def count(self, ngram: Sequence[str]) -> int:
        """How often one n-gram was seen (0 if never)."""
        ids = self._ids(ngram)
        row = self._row(ids)
        return 0 if row < 0 else int(self.table(len(ids)).counts[row])

    def followers(self, context: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The words seen after `context`, most frequent first, and their counts.

        `context` has at most order - 1 words; the empty context gives the words themselves.
        """
        ids, counts = self._followers(context)
        return self.vocabulary.decode(ids), counts

    def _followers(self, context: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`followers` as ids."""
        ids = self._ids(context)
        if len(ids) >= self.order:
            raise ValueError(
                f"a context of {len(ids)} words needs n-grams of order {len(ids) + 1}, "
                f"but only order {self.order} was counted."
            )
        table = self.table(len(ids) + 1)
        V = len(self.vocabulary)
        row = self._row(ids) if len(ids) else 0
        low, high = np.searchsorted(table.keys, [row * V, (row + 1) * V]) if row >= 0 else (0, 0)
        counts, words = table.counts[low:high], table.word[low:high]
        by_count = np.lexsort((words, -counts))
        by_count = by_count[counts[by_count] > 0]
        return words[by_count], counts[by_count]

    def context_totals(self, n: int) -> np.ndarray:
        """(contexts,) int64: S(c), how many n-gram tokens begin with each (n-1)-gram c."""
        table = self.table(n)
        contexts = self.table(n - 1).counts.size if n > 1 else 1
        return np.bincount(table.prefix, table.counts, contexts).astype(np.int64)

    def rows(self, stream: Stream) -> list[np.ndarray]:
        """Find every window of a stream: one (T,) int64 array per order, -1 where unseen.

        At order n, entry i is the row in ``table(n)`` of the window that ends at i. A window
        that would cross the start of its sentence is -1 as well.
        """
        V = len(self.vocabulary)
        found = [np.where(self.table(1).counts[stream.ids] > 0, stream.ids, -1)]
        found[0][stream.ids == BOS] = BOS  # a context, though never a prediction
        for n in range(2, self.order + 1):
            # across a sentence start nothing is found: no table holds </s> <s>
            before = np.concatenate(([-1], found[-1][:-1]))
            keys = self.table(n).keys
            wanted = before * V + stream.ids
            at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
            found.append(np.where((before >= 0) & (keys[at] == wanted), at, -1))
        return found

    def _ids(self, words: Sequence[str]) -> np.ndarray:
        if isinstance(words, str):
            raise ValueError(f"expected a list of words, got the str {words!r}. Use {[words]}.")
        marks = {"<s>": BOS, "</s>": EOS}
        plain = self.vocabulary.encode([w for w in words if w not in marks], unknown="map")
        rest = iter(plain)
        return np.array([marks[w] if w in marks else next(rest) for w in words], np.int64)

    def _row(self, ids: np.ndarray) -> int:
        """Row of one n-gram in its table, -1 if unseen."""
        row = int(ids[0])
        for n, word in enumerate(ids[1:], start=2):
            keys, key = self.table(n).keys, row * len(self.vocabulary) + int(word)
            at = int(np.searchsorted(keys, key))
            if at == keys.size or keys[at] != key:
                return -1
            row = at
        return row

    def _valid(self, n: int) -> int:
        if not 1 <= n <= self.order:
            raise ValueError(f"n must lie in 1 … {self.order}, the orders counted; got {n}.")
        return n


def _group(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct keys, how often each occurs, and for every input the place of its key."""
    bits = int(keys.size).bit_length()
    if int(keys.max()) < 1 << (63 - bits):
        # key and position in one int64: a plain value sort, several times faster than argsort
        packed = np.sort((keys << bits) | np.arange(keys.size))
        by_key, ordered = packed & ((1 << bits) - 1), packed >> bits
    else:
        by_key = np.argsort(keys, kind="stable")
        ordered = keys[by_key]
    new = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    start = np.flatnonzero(new)
    rows = np.empty(keys.size, np.int64)
    rows[by_key] = np.cumsum(new) - 1
    return ordered[start], np.diff(np.append(start, keys.size)), rows


# ------------------------------------------------------------------------- measuring sparsity
def unseen_share(counts: Counts, sentences: Iterable[Sequence[str]]) -> np.ndarray:
    """The share of n-gram tokens in `sentences` that training never showed, for each order.

        unseen(n) = #{windows of n symbols with training count 0} / #{windows of n symbols}

    Returns (order,) float64, n = 1 first. Repetitions count: this is the chance that the next
    window you meet is new, not the share of types. Windows shorter than n (at the start of a
    sentence) are left out. The order of `counts` must fit in the longest sentence.
    """
    stream = encode(sentences, counts.vocabulary)
    shares = []
    for n, rows in enumerate(counts.rows(stream), start=1):
        window = stream.depth >= max(n - 1, 1)  # at n = 1, <s> is not a token
        if not window.any():
            raise ValueError(f"no sentence has {n} symbols, so there is no {n}-gram to look for.")
        shares.append(np.mean(rows[window] < 0))
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
    seen = counts.table(n).counts
    return np.sort(seen[seen > 0])[::-1]


def power_law_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least-squares slope of log y against log x: the exponent b of y = a · x^b."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.size < 2:
        raise ValueError(f"x and y must be equally long, 2 or more; got {x.shape}, {y.shape}.")
    if np.any(x <= 0) or np.any(y <= 0):
        raise ValueError("x and y must be positive: a power law is a straight line in logarithms.")
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


# ---------------------------------------------------------------------------------- the model
@dataclass(frozen=True)
class Perplexity:
    """exp of the mean negative log-probability per predicted token (words and ``</s>``).

    value : over all tokens; inf as soon as one has probability zero
    excluding_oov : the same without the out-of-vocabulary tokens' own terms
    tokens : how many tokens were predicted
    oov : how many of them are outside the vocabulary
    zeros : how many got probability zero (the out-of-vocabulary ones among them)
    """

    value: float
    excluding_oov: float
    tokens: int
    oov: int
    zeros: int


class MaximumLikelihood:
    r"""The n-gram model whose probabilities are relative frequencies.

        P(w | c) = C(c w) / S(c),      S(c) = sum over v of C(c v)

    c is the n - 1 symbols before w, or fewer at the start of a sentence. It is the model that
    gives the training text its highest probability (Jurafsky & Martin, ch. 3), and it gives
    probability zero to every n-gram it has not seen.
    """

    def __init__(self, counts: Counts):
        self.counts = counts
        self.order = counts.order
        self.vocabulary = counts.vocabulary
        self._totals = [counts.context_totals(n) for n in range(1, self.order + 1)]

    def probabilities(self, context: Sequence[str]) -> np.ndarray:
        """P(· | context) as (V,) float64 over ``vocabulary``; only the last n - 1 words matter.

        Raises
        ------
        ValueError : if that context never occurs. The estimate is then 0/0: there is no
            distribution, and inventing one is what smoothing is for.
        """
        context = list(context)[max(0, len(context) - self.order + 1) :]
        ids, counts = self.counts._followers(context)
        if not ids.size:
            raise ValueError(
                f"the context {' '.join(context)!r} never occurs in the training text, so its "
                "maximum-likelihood estimate is 0/0. Shorten the context or use smoothing."
            )
        p = np.zeros(len(self.vocabulary))
        p[ids] = counts / counts.sum()
        return p

    def token_probabilities(self, sentences: Iterable[Sequence[str]]) -> np.ndarray:
        """(tokens,) float64: the probability of every predicted token, in reading order."""
        return self._token_probabilities(encode(sentences, self.vocabulary))

    def _token_probabilities(self, stream: Stream) -> np.ndarray:
        p = np.zeros(stream.ids.size)
        rows = self.counts.rows(stream)
        for n in range(1, self.order + 1):
            # the longest window that fits: order n inside a sentence, shorter after its <s>
            here = stream.predicted & (
                stream.depth >= n - 1 if n == self.order else stream.depth == n - 1
            )
            here &= rows[n - 1] >= 0
            row = rows[n - 1][here]
            table = self.counts.table(n)
            p[here] = table.counts[row] / self._totals[n - 1][table.prefix[row]]
        return p[stream.predicted]

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """Perplexity of `sentences`, with the numbers that make it comparable."""
        stream = encode(sentences, self.vocabulary)
        p = self._token_probabilities(stream)
        oov = stream.ids[stream.predicted] == UNK
        return Perplexity(
            _perplexity(p), _perplexity(p[~oov]), p.size, int(oov.sum()), int(np.sum(p == 0))
        )

    def sample(self, rng: np.random.Generator, max_words: int = 50) -> list[str]:
        """Draw one sentence word by word, until ``</s>`` or `max_words`."""
        sentence = ["<s>"]
        while len(sentence) <= max_words:
            words, counts = self.counts.followers(
                sentence[1 - self.order :] if self.order > 1 else []
            )
            word = words[rng.choice(len(words), p=counts / counts.sum())]
            if word == "</s>":
                break
            sentence.append(word)
        return sentence[1:]


def _perplexity(p: np.ndarray) -> float:
    if p.size == 0:
        raise ValueError("a perplexity over no tokens is undefined: every token was excluded.")
    with np.errstate(divide="ignore"):  # log 0 = -inf is the honest answer here
        return float(np.exp(-np.mean(np.log(p))))


METHODS = {"mle": MaximumLikelihood}


def fit(
    sentences: Iterable[Sequence[str]],
    order: int,
    method: str = "mle",
    vocabulary: Vocabulary | None = None,
) -> MaximumLikelihood:
    """Train an n-gram model of the given order; `method` is one of ``METHODS``.

    Raises
    ------
    ValueError : an unknown method, or anything that `Counts` refuses
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(sorted(METHODS))}.")
    return METHODS[method](Counts(sentences, order, vocabulary))
