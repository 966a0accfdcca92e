"""What every n-gram model can do, and how its predictions are judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lmlib.corpora import Vocabulary
from lmlib.ngram.counting import BOS, EOS, UNK, Index, Stream, encode


@dataclass(frozen=True)
class Perplexity:
    """exp of the mean negative log-probability per predicted token (words and ``</s>``).

    value : over all tokens; inf as soon as one has probability zero
    excluding_oov : the same without the out-of-vocabulary tokens' own terms
    tokens : how many tokens were predicted
    oov : how many of them are outside the vocabulary
    zeros : how many got probability zero (the out-of-vocabulary ones among them)
    bits_per_character : the cost of the whole text in bits, shared among its characters. It is
        the number to compare when two models cut the text into different tokens.
    """

    value: float
    excluding_oov: float
    tokens: int
    oov: int
    zeros: int
    bits_per_character: float


class LanguageModel:
    """A rule that gives every next symbol a probability.

    A model sets `order` (None: no limit to the context) and `vocabulary`, and answers two
    questions, in ids: `_token_probabilities(stream)`, the (tokens,) probabilities of the symbols
    that a stream predicts, and `_distribution(context)`, the (V,) probabilities of all symbols
    after one context. Everything else follows from these.
    """

    order: int | None
    vocabulary: Vocabulary

    def probabilities(self, context: Sequence[str]) -> np.ndarray:
        """P(· | context) as (V,) float64 over ``vocabulary``; it sums to 1, ``<s>`` has 0.

        Only the last order - 1 symbols matter. The context is taken as it is: begin it with
        ``<s>`` to mean the start of a sentence. A word outside the vocabulary is read as
        ``<unk>``.
        """
        if isinstance(context, str):
            raise ValueError(f"expected a list of words, got the str {context!r}.")
        return self._distribution(self._tail(self.vocabulary.encode(context)))

    def token_probabilities(self, sentences: Iterable[Sequence[str]]) -> np.ndarray:
        """(tokens,) float64: the probability of every predicted token, in reading order."""
        return self._token_probabilities(encode(sentences, self.vocabulary))

    def perplexity(self, sentences: Iterable[Sequence[str]], separator: str = " ") -> Perplexity:
        r"""Perplexity of `sentences`, with the numbers that make it comparable.

            PP = exp( -1/N · sum over i of ln p_i )     N predicted tokens, ``</s>`` among them

        `separator` stands between two tokens when the text is written out, one sentence a line;
        it decides how many characters the bits are shared among. For tokens that are characters
        it is the empty string.

        Raises
        ------
        ValueError : no sentences, or no token is left to take the mean over
        """
        sentences = list(sentences) if not isinstance(sentences, str) else sentences
        stream = encode(sentences, self.vocabulary)
        p = self._token_probabilities(stream)
        oov = stream.ids[stream.predicted] == UNK
        with np.errstate(divide="ignore"):  # log 0 = -inf is the honest answer here
            log_p = np.log(p)
        characters = sum(
            sum(map(len, s)) + len(separator) * max(0, len(s) - 1) + 1 for s in sentences
        )
        return Perplexity(
            value=_perplexity(log_p),
            excluding_oov=_perplexity(log_p[~oov]),
            tokens=p.size,
            oov=int(oov.sum()),
            zeros=int(np.sum(p == 0)),
            bits_per_character=float(-log_p.sum() / np.log(2) / characters),
        )

    def sample(
        self, rng: np.random.Generator, max_words: int = 50, temperature: float = 1.0
    ) -> list[str]:
        """Draw one sentence word by word, until ``</s>`` or `max_words`.

        Each word is drawn with probability proportional to p^(1 / temperature): below 1 the
        likely words become likelier, above 1 all become more alike. ``<unk>`` can be drawn, as
        the model's word for "some other word".
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature!r}.")
        ids = [BOS]
        while len(ids) <= max_words:
            p = self._distribution(self._tail(np.array(ids)))
            heap = np.cumsum((p / p.max()) ** (1 / temperature))
            word = int(np.searchsorted(heap, rng.random() * heap[-1], side="right"))
            if word == EOS:
                break
            ids.append(word)
        return self.vocabulary.decode(ids[1:])

    def _tail(self, context: np.ndarray) -> np.ndarray:
        """The part of the context that the model looks at."""
        if self.order is None:
            return context
        return context[max(0, len(context) - self.order + 1) :]

    def _token_probabilities(self, stream: Stream) -> np.ndarray:
        raise NotImplementedError

    def _distribution(self, context: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def _perplexity(log_p: np.ndarray) -> float:
    if log_p.size == 0:
        raise ValueError("a perplexity over no tokens is undefined: every token was excluded.")
    return float(np.exp(-log_p.mean()))


class BackoffModel(LanguageModel):
    r"""An n-gram model in the form in which all smoothed models can be stored.

        P(w | c) = probability(c w)           if the n-gram c w is known
                   backoff(c) · P(w | c')     otherwise; c' is c without its first symbol

    and the backoff weight of an unknown context is 1 (Katz 1987; the ARPA file format). Models
    that *interpolate* fit as well: their `probability` already contains the lower orders' share,
    and `backoff(c)` is that share.

    index : where every known n-gram stands
    probability : for n = 1 … order, (types,) float64 by row
    backoff : for n = 1 … order - 1, (types,) float64 by row, of the n-gram as a context
    """

    def __init__(self, index: Index, probability: list[np.ndarray], backoff: list[np.ndarray]):
        self.index = index
        self.order = index.order
        self.vocabulary = index.vocabulary
        self.probability = probability
        self.backoff = backoff

    def _token_probabilities(self, stream: Stream) -> np.ndarray:
        rows = self.index.rows(stream)
        before = next(rows)
        p = self.probability[0][before]  # (T,)
        for probability, backoff, here in zip(
            self.probability[1:], self.backoff, rows, strict=True
        ):
            after = np.flatnonzero(before[:-1] >= 0) + 1
            p[after] *= backoff[before[after - 1]]
            known = np.flatnonzero(here >= 0)
            p[known] = probability[here[known]]
            before = here
        return p[stream.predicted]

    def _distribution(self, context: np.ndarray) -> np.ndarray:
        p = self.probability[0].copy()  # (V,)
        for n in range(2, len(context) + 2):
            row = self.index.row(context[len(context) - n + 1 :])
            if row >= 0:
                here = self.index.children(row, n)
                p *= self.backoff[n - 2][row]
                p[self.index.words(n, here)] = self.probability[n - 1][here]
        return p

    def to_arpa(self, path) -> None:
        """Write the model as an ARPA file, which KenLM and SRILM read; see `arpa.write`."""
        from lmlib.ngram import arpa

        arpa.write(self, path)
