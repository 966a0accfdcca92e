"""Words to integers and back, with a stated policy for words that were never seen."""

from collections import Counter
from itertools import chain, compress
from numbers import Integral

import numpy as np

RESERVED = ("<unk>", "<s>", "</s>")


class Vocabulary:
    """A fixed map between words and the ids 0, 1, ..., V - 1.

    The first three ids are reserved: `<unk>` = 0 stands for every word outside the vocabulary,
    `<s>` = 1 and `</s>` = 2 for the begin and the end of a sentence.  The words follow in the
    order in which the training text first uses them.  A vocabulary never changes once built; build
    it from the training text alone, or the held-out text has no unknown words to speak of.

    Parameters
    ----------
    words : iterable of str, all different, without the reserved symbols

    Raises
    ------
    ValueError : for a word that is repeated, reserved or not a str

    Examples
    --------
    >>> vocabulary = Vocabulary.from_sentences([["the", "salt", "road"], ["the", "boat"]])
    >>> len(vocabulary), vocabulary.words[3:]
    (7, ('the', 'salt', 'road', 'boat'))
    >>> vocabulary.encode(["the", "goat"])
    array([3, 0])
    """

    __slots__ = ("_ids", "_words")

    unk, bos, eos = 0, 1, 2  # the ids of RESERVED

    def __init__(self, words):
        words = tuple(words)
        for word in words:
            if not isinstance(word, str):
                raise ValueError(f"a word must be a str, got {word!r}")
        if reserved := set(RESERVED).intersection(words):
            raise ValueError(
                f"the text contains {sorted(reserved)}, which are the vocabulary's own symbols: "
                "rename them in the text first, e.g. <unk> to UNK"
            )
        self._words = RESERVED + words
        self._ids = {word: i for i, word in enumerate(self._words)}
        if len(self._ids) < len(self._words):
            repeated = next(w for i, w in enumerate(self._words) if self._ids[w] != i)
            raise ValueError(f"the words must all be different, got {repeated!r} more than once")

    @classmethod
    def from_tokens(cls, tokens, min_count=1, max_size=None):
        """Build a vocabulary from a text, given as one sequence of tokens.

        Parameters
        ----------
        tokens : iterable of str
        min_count : int >= 1, words seen less often are left out
        max_size : int >= 1 or None, keep at most so many words (the reserved three not counted):
            the most frequent, and among equals those that come first in the text

        Raises
        ------
        ValueError : if the text is empty or no word is left, contains a reserved symbol, or a
            limit is not a positive integer
        """
        _check_limit("min_count", min_count)
        counts = Counter(_flat(tokens))  # keeps the order of first appearance
        if not counts:
            raise ValueError("no tokens: a vocabulary needs a text that is not empty")
        kept = {word for word, count in counts.items() if count >= min_count}
        if not kept:
            raise ValueError(
                f"no word occurs min_count = {min_count} times: the most frequent, "
                f"{max(counts, key=counts.get)!r}, occurs {max(counts.values())} times"
            )
        if max_size is not None:
            _check_limit("max_size", max_size)
            kept.intersection_update(word for word, _ in counts.most_common(max_size))
        # A reserved symbol is an error even where it is too rare to be kept.
        return cls(word for word in counts if word in kept or word in RESERVED)

    @classmethod
    def from_sentences(cls, sentences, min_count=1, max_size=None):
        """Build a vocabulary from a list of sentences, each a list of tokens; see `from_tokens`."""
        tokens = chain.from_iterable(_flat(sentence) for sentence in sentences)
        return cls.from_tokens(tokens, min_count, max_size)

    @property
    def words(self):
        """tuple of V str: the word of every id, the three reserved symbols first."""
        return self._words

    def __len__(self):
        """V, the number of ids, the three reserved ones included."""
        return len(self._words)

    def __contains__(self, word):
        return word in self._ids

    def __eq__(self, other):
        return isinstance(other, Vocabulary) and self._words == other._words

    def __hash__(self):
        return hash(self._words)

    def __repr__(self):
        return f"<Vocabulary of {len(self):,} ids: {', '.join(self._words[:6])}, ...>"

    def encode(self, tokens, unknown="map"):
        """Give the id of each token.

        Parameters
        ----------
        tokens : sequence of T str
        unknown : "map" or "raise", what becomes of a token outside the vocabulary: the id of
            `<unk>`, or an error.  Count the mapped ones, `(ids == vocabulary.unk).sum()`, and
            report them with every perplexity.

        Returns
        -------
        ids : (T,) int64 array

        Raises
        ------
        ValueError : under "raise", naming the unknown tokens; for any other policy; if `tokens`
            is a str or a list of lists
        """
        if unknown not in ("map", "raise"):
            raise ValueError(f'unknown must be "map" or "raise", got {unknown!r}')
        tokens, get = _flat(tokens), self._ids.get
        ids = np.fromiter((get(token, -1) for token in tokens), np.int64, len(tokens))  # (T,)
        missing = ids < 0
        if unknown == "raise" and missing.any():
            words = list(dict.fromkeys(compress(tokens, missing)))
            raise ValueError(
                f"{missing.sum():,} of {len(ids):,} tokens are not in the vocabulary, such as "
                f'{words[:5]}: build it from this text too, or use unknown="map"'
            )
        ids[missing] = self.unk
        return ids

    def decode(self, ids):
        """Give the word of each id, the inverse of `encode` on known words.

        Parameters
        ----------
        ids : (T,) array or sequence of int, 0 <= id < V

        Returns
        -------
        tokens : list of T str

        Raises
        ------
        ValueError : if an id is outside the vocabulary, not an integer, or `ids` is not flat
        """
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise ValueError(
                f"ids must be a flat sequence of integers, got {ids.dtype} of shape {ids.shape}"
            )
        # Checked here, because Python would read a negative id from the end of the table.
        if outside := [i for i in ids.tolist() if not 0 <= i < len(self)]:
            raise ValueError(
                f"id {outside[0]} is outside 0 ... {len(self) - 1}: is it from another vocabulary?"
            )
        return [self._words[i] for i in ids.tolist()]


def _flat(tokens):
    """The tokens as a list, unless they are a text or a list of sentences by mistake."""
    if isinstance(tokens, str):
        raise ValueError(
            f"expected a list of words, got the text {tokens[:40]!r}: tokenise it first"
        )
    tokens = list(tokens)
    if tokens and isinstance(tokens[0], (list, tuple)):
        raise ValueError(
            f"expected a list of words, got a list that begins with the list {tokens[0][:5]!r}: "
            "encode one sentence at a time, and build a vocabulary with from_sentences"
        )
    return tokens


def _check_limit(name, value):
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
