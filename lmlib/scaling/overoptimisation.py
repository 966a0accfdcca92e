r"""Optimise a proxy too hard and the true reward falls: the scaling law of alignment.

A reward model stands in for what people want. Pushing a policy towards its high scores first
raises the true (gold) reward, then lowers it. Gao, Schulman & Hilton (2022) measured how, against
the distance d = sqrt(KL(policy || initial policy)):

    best of n                  R(d) = d (alpha - beta d)         highest at d = alpha / 2 beta
    reinforcement learning     R(d) = d (alpha - beta log d)     highest at d = e^(alpha/beta - 1)

Rewards are in units of their standard deviation under the initial policy, d in roots of nats.

Why a parabola, for best of n? The proxy score p of the winner grows about as d. If what a score is
truly worth, E[gold | p], first rises with p and bends down, a p - b p^2, then so does the winner's
gold reward in d. `simulate_best_of_n` builds such a world: people want one thing, every excess
costs a little, and a small proxy has not learned about excess.
"""

from typing import NamedTuple

import numpy as np

from lmlib.scaling.checks import positive

BLOCK = 1000  # samples whose curves fit a processor's cache
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


class Overoptimised(NamedTuple):
    """What best-of-n sampling against F proxies of different size does, at K values of n.

    n, kl : (K,) arrays
    features : (F,) tuple of int, the size of each proxy
    gold : (F, K) array, true reward of the sample that the proxy likes best among n
    proxy : (F, K) array, the proxy's own score of it, in its standard deviations
    correlation : (F,) array, of proxy and gold over the initial policy
    """

    n: np.ndarray
    kl: np.ndarray
    features: tuple
    gold: np.ndarray
    proxy: np.ndarray
    correlation: np.ndarray

    @property
    def law(self):
        """(F, 2) array: alpha and beta of `gold_reward` for each proxy."""
        return np.array([fit_gold_reward(self.kl, gold) for gold in self.gold])

    @property
    def peak(self):
        """(F,) array: the n of the highest gold reward, among those tried."""
        return self.n[self.gold.argmax(1)]


def simulate_best_of_n(
    rng,
    features=(0, 64, 256),
    *,
    n=(2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2000),
    samples=200_000,
    labels=4000,
    noise=1.0,
    excess=0.2,
    dimensions=16,
):
    """Best-of-n against proxies that learned a gold reward from noisy labels.

    A response is a point x of independent normal coordinates. Its gold reward, before it is
    scaled to a standard deviation of 1, is one wanted direction minus the cost of every excess:

        gold(x) = w · x - excess (|x|^2 - dimensions),      |w| = 1

    A proxy is fitted by ridge regression (penalty 1) to `labels` gold rewards with normal noise. It
    sees the coordinates of x, and as many curves cos(v · x + b), random v and b, as it has
    features: with none it knows straight lines only, and with many it can learn about excess.

    Parameters
    ----------
    rng : numpy Generator
    features : tuple of int >= 0, sizes of the proxies; they share their first features
    n : sequence of int >= 1; expectations are over one large sample, see `best_of_n`, so that n
        should stay below `samples` / 20
    samples : int, responses of the initial policy
    labels : int, responses people have judged
    noise : float, standard deviation of a judgement, in those of gold
    excess : float, what excess costs; 0: gold is a straight line and nothing is over-optimised
    dimensions : int

    Returns
    -------
    result : `Overoptimised`

    Raises
    ------
    ValueError : for an n beyond samples / 100, or fewer than two labels
    """
    n = np.asarray(n)
    if not (n.max() <= samples / 100 and labels >= 2):
        raise ValueError(
            f"the largest n, {n.max()}, needs {100 * n.max()} samples or more, got {samples}; and "
            f"a proxy needs two labels or more, got {labels}."
        )
    wanted = rng.standard_normal(dimensions)
    wanted /= np.linalg.norm(wanted)
    # |v| is about 1/2: over the responses, a curve bends, but does not ripple.
    directions = 0.5 * rng.standard_normal((dimensions, max(features))) / np.sqrt(dimensions)
    phases = rng.uniform(0, 2 * np.pi, max(features))
    spread = np.sqrt(1 + 2 * dimensions * excess**2)  # of gold: Var |x|² = 2 · dimensions

    def gold_of(x):
        return (x @ wanted - excess * ((x**2).sum(1) - dimensions)) / spread

    def curves_of(x):  # (M, features)
        curves = x @ directions
        curves += phases
        return np.cos(curves, out=curves)

    judged = rng.standard_normal((labels, dimensions))
    target = gold_of(judged) + noise * rng.standard_normal(labels)
    basis = np.c_[judged, curves_of(judged)]
    weights = np.zeros((basis.shape[1], len(features)))
    for proxy, number in enumerate(features):
        known = basis[:, : dimensions + number]
        normal = known.T @ known + np.eye(known.shape[1])
        weights[: dimensions + number, proxy] = np.linalg.solve(normal, known.T @ target)
    straight, curved = np.split(weights, [dimensions])
    gold, scores = np.empty(samples), np.empty((len(features), samples))
    for start in range(0, samples, BLOCK):
        block = slice(start, min(start + BLOCK, samples))
        x = rng.standard_normal((block.stop - start, dimensions))
        gold[block] = gold_of(x)
        scores[:, block] = (x @ straight + curves_of(x) @ curved).T
    gold -= gold.mean()
    scores = (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)
    return Overoptimised(
        n,
        best_of_n_kl(n),
        tuple(features),
        np.array([best_of_n(score, gold, n) for score in scores]),
        np.array([best_of_n(score, score, n) for score in scores]),
        np.array([np.corrcoef(score, gold)[0, 1] for score in scores]),
    )


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
