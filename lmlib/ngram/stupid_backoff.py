"""Stupid backoff: a score that does not sum to one, and the exact number it sums to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lmlib.ngram.counting import Counts, encode
from lmlib.ngram.model import BackoffModel
from lmlib.ngram.smoothing import _Level, witten_bell_unigrams


class StupidBackoff(BackoffModel):
    r"""Relative frequency where the n-gram was seen, else alpha times the shorter one's score.

        S(w | c) = C(c w) / S(c)  if seen,  else  alpha · S(w | c')   (Brants et al. 2007)

    Nothing is held back, so the scores after c sum to

        Z(c) = 1 + alpha · (Z(c') - sum of S(w | c') over the words w seen after c)

    and Z(c) = alpha Z(c') after a context never seen. As a `LanguageModel` this class is the
    normalised S(w | c) / Z(c); `scores` and `normalisers` give S and Z. The recursion ends in
    Witten-Bell's unigrams, so that ``<unk>`` has a share.
    """

    def __init__(self, counts: Counts, alpha: float = 0.4):
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must lie in (0, 1], got {alpha!r}.")
        self.alpha = alpha
        score, z, suffix = witten_bell_unigrams(counts), np.ones(1), None
        probability, backoff, self._z = [score], [], [z]
        for n in range(2, counts.order + 1):
            level = _Level(counts, n)
            below = z[suffix] if suffix is not None else np.ones(level.size)  # Z(c')
            z = 1 + alpha * (below - level.sum(score[level.suffix]))
            z = np.where(level.total > 0, z, alpha * below)
            score = level.share(level.numbers)  # (types,) S(w | c)
            probability.append(score / z[level.context])
            backoff.append(alpha * below / z)
            suffix = level.suffix
            self._z.append(z)
        super().__init__(counts.index, probability, backoff)

    def normalisers(self, sentences: Iterable[Sequence[str]]) -> np.ndarray:
        """(tokens,) float64: Z of the context of every predicted token, in reading order."""
        stream = encode(sentences, self.vocabulary)
        z = np.ones(stream.ids.size)
        for n, (z_n, before) in enumerate(
            zip(self._z[1:], self.index.rows(stream), strict=False), start=2
        ):
            known = np.concatenate(([False], before[:-1] >= 0))
            z = np.where(stream.depth >= n - 1, self.alpha * z, z)  # one symbol more, unseen
            z[known] = z_n[before[:-1][known[1:]]]
        return z[stream.predicted]

    def scores(self, sentences: Iterable[Sequence[str]]) -> np.ndarray:
        """(tokens,) float64: S of every predicted token, which is not a probability."""
        sentences = list(sentences)
        return self.token_probabilities(sentences) * self.normalisers(sentences)
