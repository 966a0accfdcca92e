"""Relative frequencies: maximum likelihood, and the first repair of its zeros, add-k."""

from __future__ import annotations

import numpy as np

from lmlib.ngram.counting import Counts, Stream
from lmlib.ngram.model import LanguageModel


class RelativeFrequency(LanguageModel):
    r"""The n-gram model whose probabilities are relative frequencies, k added to each count.

        P(w | c) = (C(c w) + k) / (S(c) + k |V|),      S(c) = sum over v of C(c v)

    c is the n - 1 symbols before w, or fewer at the start of a sentence; |V| counts the symbols
    that can be predicted, ``<unk>`` and ``</s>`` among them, ``<s>`` not. k = 0 is the
    maximum-likelihood estimate: no other gives the training text a higher probability, and it
    gives zero to every n-gram it has not seen (Jurafsky & Martin, ch. 3). k = 1 is Laplace's rule.
    """

    def __init__(self, counts: Counts, k: float = 0.0):
        if not (np.isfinite(k) and k >= 0):
            raise ValueError(f"k must be a finite number of at least 0, got {k!r}.")
        self.counts = counts
        self.k = k
        self.order = counts.order
        self.vocabulary = counts.vocabulary
        self._totals = [counts.context_totals(n) for n in range(1, self.order + 1)]
        self._added = k * (len(self.vocabulary) - 1)  # k |V|: what k adds to each S(c)

    def _distribution(self, context: np.ndarray) -> np.ndarray:
        n = len(context) + 1
        rows = self.counts.index.followers(context)
        counts = self.counts.counts(n)[rows]
        if not counts.any() and self.k == 0:
            words = " ".join(self.vocabulary.decode(context))
            raise ValueError(
                f"the context {words!r} never occurs in the training text, so its "
                "maximum-likelihood estimate is 0/0. Shorten the context or use smoothing."
            )
        p = np.full(len(self.vocabulary), self.k)
        p[self.counts.index.words(n, rows)] += counts
        p[self.vocabulary.bos] = 0
        return p / (counts.sum() + self._added)

    def _token_probabilities(self, stream: Stream) -> np.ndarray:
        seen = np.zeros(stream.ids.size)  # C(c w) and S(c) for the token at each position
        total = np.zeros(stream.ids.size)
        before = np.zeros(stream.ids.size, np.int64)  # the empty context, row 0
        for n, here in enumerate(self.counts.index.rows(stream), start=1):
            # the longest window that fits: order n inside a sentence, shorter after its <s>
            fits = stream.depth >= n - 1 if n == self.order else stream.depth == n - 1
            known = np.flatnonzero(fits & (here >= 0))
            seen[known] = self.counts.counts(n)[here[known]]
            context = np.flatnonzero(fits & (before >= 0))
            total[context] = self._totals[n - 1][before[context]]
            before = np.concatenate(([-1], here[:-1]))
        # with k = 0 an unknown context gives 0/0; its token was not predicted, so it gets 0
        total = np.maximum(total + self._added, np.finfo(float).tiny)
        return ((seen + self.k) / total)[stream.predicted]
