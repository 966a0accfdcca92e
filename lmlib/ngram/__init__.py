"""N-gram language models: counting, smoothing, and the first network that needs no smoothing.

>>> from lmlib import ngram
>>> sentences = [["the", "sea", "is", "salt"], ["the", "salt", "road", "is", "old"]]
>>> model = ngram.fit(sentences, order=2, method="witten_bell")
>>> p = model.probabilities(["the"])
>>> float(round(p.sum(), 12)), model.vocabulary.words[int(p.argmax())]
(1.0, 'salt')

`fit` counts (`Counts`) and smooths; `METHODS` names every way to do it. `InfinityGram` has no n;
`lmlib.ngram.neural` is the network. The rules of a sentence,
of ``<s>``, ``</s>`` and ``<unk>`` are stated in `counting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lmlib.corpora import Vocabulary
from lmlib.ngram.arpa import read as read_arpa
from lmlib.ngram.counting import BOS, EOS, UNK, Counts, Index, Stream, encode
from lmlib.ngram.infinity import InfinityGram, Matches, suffix_array
from lmlib.ngram.measuring import (
    counts_elsewhere,
    effective_counts,
    missing_mass,
    power_law_slope,
    rank_frequency,
    singleton_share,
    unseen_share,
)
from lmlib.ngram.mixture import Mixture, expectation_maximisation
from lmlib.ngram.model import BackoffModel, LanguageModel, Perplexity
from lmlib.ngram.relative_frequency import RelativeFrequency
from lmlib.ngram.smoothing import (
    absolute_discounting,
    continuation_counts,
    discounts,
    good_turing_counts,
    jelinek_mercer,
    katz,
    kneser_ney,
    modified_kneser_ney,
    witten_bell,
)
from lmlib.ngram.stupid_backoff import StupidBackoff

__all__ = [
    "BOS",
    "EOS",
    "METHODS",
    "UNK",
    "BackoffModel",
    "Counts",
    "Index",
    "InfinityGram",
    "LanguageModel",
    "Matches",
    "Mixture",
    "Perplexity",
    "RelativeFrequency",
    "Stream",
    "StupidBackoff",
    "absolute_discounting",
    "continuation_counts",
    "counts_elsewhere",
    "discounts",
    "effective_counts",
    "encode",
    "expectation_maximisation",
    "fit",
    "good_turing_counts",
    "jelinek_mercer",
    "katz",
    "kneser_ney",
    "missing_mass",
    "modified_kneser_ney",
    "power_law_slope",
    "rank_frequency",
    "read_arpa",
    "singleton_share",
    "suffix_array",
    "unseen_share",
    "witten_bell",
]


def _add_k(counts: Counts, k: float = 1.0) -> RelativeFrequency:
    return RelativeFrequency(counts, k)


def _backoff_kneser_ney(counts: Counts, discount_fallback: bool = False) -> BackoffModel:
    return kneser_ney(counts, backoff=True, discount_fallback=discount_fallback)


METHODS = {
    "mle": RelativeFrequency,
    "add_k": _add_k,
    "witten_bell": witten_bell,
    "jelinek_mercer": jelinek_mercer,
    "katz": katz,
    "absolute_discounting": absolute_discounting,
    "backoff_kneser_ney": _backoff_kneser_ney,
    "kneser_ney": kneser_ney,
    "modified_kneser_ney": modified_kneser_ney,
    "stupid_backoff": StupidBackoff,
}


def fit(
    sentences: Iterable[Sequence[str]],
    order: int,
    method: str = "modified_kneser_ney",
    vocabulary: Vocabulary | None = None,
    **options,
) -> LanguageModel:
    """Train an n-gram model.

    Parameters
    ----------
    sentences : iterable of lists of words, read once
    order : int >= 1, n
    method : one of ``METHODS``
    vocabulary : the words to tell apart; taken from the sentences when None
    options : passed to the method, such as ``k=0.1`` for add_k, ``held_out=`` for
        jelinek_mercer, ``discount_fallback=True`` for the discounting ones

    Raises
    ------
    ValueError : an unknown method, anything that `Counts` refuses, or discounts that these
        counts do not determine
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(METHODS)}.")
    return METHODS[method](Counts(sentences, order, vocabulary), **options)
