r"""Optimise a proxy too hard and the true reward falls: the scaling law of alignment.

A reward model stands in for what people want. Pushing a policy towards its high scores first
raises the true (gold) reward, then lowers it. Gao, Schulman & Hilton (2022) measured how, against
the distance d = sqrt(KL(policy || initial policy)):

    best of n                  R(d) = d (alpha - beta d)         highest at d = alpha / 2 beta
    reinforcement learning     R(d) = d (alpha - beta log d)     highest at d = e^(alpha/beta - 1)

Rewards are in units of their standard deviation under the initial policy, d in roots of nats.
"""

import numpy as np

from lmlib.scaling.checks import positive

_METHODS = {"best of n": lambda d: d, "rl": np.log}


def best_of_n_kl(n):
    """How far best-of-n sampling moves a policy, in nats.

        KL = log n - (n - 1) / n

    Exact when no two samples score the same.

    Parameters
    ----------
    n : int or array >= 1, samples drawn, of which the highest-scoring is kept

    Examples
    --------
    >>> best_of_n_kl(np.array([1, 2, 100])).round(3)
    array([0.   , 0.193, 3.615])
    """
    n = np.asarray(n, float)
    if not np.all(n >= 1):
        raise ValueError(f"n must be at least 1 sample, got {n.min()}.")
    return np.log(n) - (n - 1) / n


def best_of_n(score, reward, n):
    """The expected reward of the sample with the highest score among n: exact, no sampling.

    The sample of rank i (of M, lowest score first) wins when all n draws have rank i or less but
    not all have less:  P(i) = (i / M)^n - ((i - 1) / M)^n.

    Parameters
    ----------
    score : (M,) array, what the proxy says of M samples of the initial policy, all different
    reward : (M,) array, what counts, for the same samples; pass `score` to see the proxy's own view
    n : int or (K,) array >= 1, draws with replacement

    Returns
    -------
    expected : float or (K,) array

    Raises
    ------
    ValueError : for scores and rewards of different length, ties or NaN among the scores, n < 1

    Examples
    --------
    >>> best_of_n(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([1, 2]))
    array([0.5 , 0.75])
    """
    score, reward, n = np.asarray(score, float), np.asarray(reward, float), np.asarray(n, float)
    if score.ndim != 1 or score.shape != reward.shape or not score.size:
        raise ValueError(f"one score and one reward a sample: got {score.shape}, {reward.shape}.")
    if len(np.unique(score)) < len(score) or not np.all(np.isfinite(score)):
        raise ValueError("scores must be finite and all different: a tie has no highest sample.")
    if not np.all(n >= 1):
        raise ValueError(f"n must be at least 1 sample, got {n.min()}.")
    ranks = np.arange(len(score) + 1) / len(score)
    wins = np.diff(ranks ** n[..., None])  # (K, M)
    return wins @ reward[np.argsort(score)]


def gold_reward(kl, alpha, beta, method="best of n"):
    """The gold reward at a distance from the initial policy (Gao et al. 2022).

    Parameters
    ----------
    kl : float or array >= 0, nats
    alpha, beta : float, how fast reward is gained at first, and how fast it is lost
    method : "best of n" or "rl"

    Examples
    --------
    >>> gold_reward(np.array([0.0, 4.0, 16.0]), alpha=1.0, beta=0.25)
    array([0., 1., 0.])
    """
    d = _distance(kl, method)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(d > 0, d * (alpha - beta * _METHODS[method](d)), 0.0)


def fit_gold_reward(kl, reward, method="best of n"):
    """alpha and beta of `gold_reward`, by least squares; the law is linear in both.

    Parameters
    ----------
    kl : (K,) array > 0, nats
    reward : (K,) array, gold reward, measured from 0 at the initial policy

    Returns
    -------
    alpha, beta : float

    Raises
    ------
    ValueError : for fewer than two distances, NaN, an unknown method

    Examples
    --------
    >>> kl = np.array([1.0, 4.0, 9.0])
    >>> [round(x, 6) for x in fit_gold_reward(kl, gold_reward(kl, 1.5, 0.25))]
    [1.5, 0.25]
    """
    (kl,) = positive(kl=kl)
    reward = np.asarray(reward, float)
    if kl.shape != reward.shape or len(np.unique(kl)) < 2 or not np.all(np.isfinite(reward)):
        raise ValueError(
            "two constants need rewards, all finite, at two or more distances: got "
            f"{kl.shape} and {reward.shape}."
        )
    d = _distance(kl, method)
    (alpha, beta), *_ = np.linalg.lstsq(np.c_[d, -d * _METHODS[method](d)], reward, rcond=None)
    return float(alpha), float(beta)


def _distance(kl, method):
    if method not in _METHODS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(_METHODS)}.")
    kl = np.asarray(kl, float)
    if not np.all(kl >= 0):
        raise ValueError(f"a KL divergence is at least 0, got {kl.min()}.")
    return np.sqrt(kl)
