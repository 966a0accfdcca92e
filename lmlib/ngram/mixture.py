"""Mixing models: two that err in different places are better together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lmlib.ngram.counting import Stream, encode
from lmlib.ngram.model import LanguageModel


class Mixture(LanguageModel):
    r"""A weighted mean of models over the same vocabulary.

        P(w | c) = sum over m of lambda_m · P_m(w | c),      lambda_m >= 0, sum of lambda_m = 1

    Raises
    ------
    ValueError : vocabularies that differ (the models predict different symbols), or weights that
        are negative, do not sum to 1, or are not one per model
    """

    def __init__(self, models: Sequence[LanguageModel], weights: Sequence[float]):
        self.models = tuple(models)
        self.weights = np.asarray(weights, float)
        if self.weights.shape != (len(self.models),) or not self.models:
            raise ValueError(
                f"a mixture needs one or more models and as many weights; got {len(self.models)} "
                f"models and weights of shape {self.weights.shape}."
            )
        if not (np.all(self.weights >= 0) and abs(self.weights.sum() - 1) <= 1e-9):
            raise ValueError(f"weights must be >= 0 and sum to 1, got {self.weights}.")
        self.vocabulary = self.models[0].vocabulary
        if any(model.vocabulary != self.vocabulary for model in self.models[1:]):
            raise ValueError(
                "the models have different vocabularies, so they predict different symbols: train "
                "them with the same vocabulary=."
            )
        orders = [model.order for model in self.models]
        self.order = None if None in orders else max(orders)

    @classmethod
    def fit(cls, models: Sequence[LanguageModel], held_out: Iterable[Sequence[str]]) -> Mixture:
        """Choose the weights that make `held_out` most likely, by expectation-maximisation.

        `held_out` must be text that none of the models was trained on, and not the text that the
        mixture is judged on.
        """
        equal = cls(models, np.full(len(models), 1 / max(1, len(models))))
        stream = encode(held_out, equal.vocabulary)
        p = np.stack([model._token_probabilities(stream) for model in models])  # (models, tokens)
        return cls(models, expectation_maximisation(p)[:, 0])

    def _token_probabilities(self, stream: Stream) -> np.ndarray:
        parts = [model._token_probabilities(stream) for model in self.models]
        return self.weights @ np.stack(parts)

    def _distribution(self, context: np.ndarray) -> np.ndarray:
        parts = [model._distribution(model._tail(context)) for model in self.models]
        return self.weights @ np.stack(parts)


def expectation_maximisation(
    p: np.ndarray,
    group: np.ndarray | None = None,
    groups: int = 1,
    imaginary: float = 0.0,
    tolerance: float = 1e-7,
) -> np.ndarray:
    r"""Mixture weights that maximise the likelihood, one set for each group of tokens.

        lambda_m  <-  mean over tokens of  lambda_m p_m / sum over k of lambda_k p_k

    p : (models, tokens), the probability that each model gives to each token
    group : (tokens,) int in 0 … groups - 1
    imaginary : so many tokens more in every group, shared out equally among the models. They
        keep a weight that few tokens speak for off 0 and 1.

    Returns (models, groups) weights; equal ones for a group without tokens. Each step raises the
    likelihood, and the likelihood is concave, so the limit is the best (Dempster et al. 1977).

    Raises
    ------
    ValueError : if a token has probability zero under every model
    """
    if hopeless := int(np.sum(~(p.max(0) > 0))):
        raise ValueError(
            f"{hopeless:,} of {p.shape[1]:,} held-out tokens have probability zero under every "
            "model, so no weights help: mix in a smoothed model."
        )
    group = np.zeros(p.shape[1], int) if group is None else group
    size = np.bincount(group, minlength=groups)
    weights = np.full((p.shape[0], groups), 1 / p.shape[0])
    for _ in range(1000):
        joint = weights[:, group] * p  # (models, tokens)
        joint /= joint.sum(0)
        new = np.stack([np.bincount(group, part, groups) for part in joint])
        new = new + imaginary / p.shape[0]  # not in place: without tokens the sums are integers
        new = np.where(size > 0, new / (np.maximum(size, 1) + imaginary), weights)
        step = np.abs(new - weights).max()
        weights = new
        if step < tolerance:
            break
    return weights / weights.sum(0)
