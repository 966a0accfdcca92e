r"""Two toy worlds whose scaling law can be worked out before anything is run.

In both, what there is to learn comes in separate pieces, and piece i is met with a chance that
falls as Zipf's law says, a little faster than 1 / i:

    theta_i = i^-(1 + alpha) / Z,    Z = zeta(1 + alpha),    i = 1, 2, 3 …

The *memoriser* keeps up to N pieces and knows one after meeting it once; not knowing costs 1 nat.
The *counting model* is a language model: its pieces are contexts, and in each it must learn how
often every symbol follows, from counts. Which exponents either will show can be written down from
alpha alone (Hutter 2021 for the data, Michaud et al. 2023 for both):

    limited by size   excess ∝ N^-alpha            the pieces that find no room
    limited by data   excess ∝ D^-alpha/(1+alpha)  the pieces not met yet
    C ∝ N D           N* ∝ C^1/(2+alpha)           as for any law with these two exponents

Symbols: N pieces kept, D tokens seen, V contexts, K symbols.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import entr, gamma, gammainc, zeta

from lmlib.scaling.checks import positive

HEAD = 10_000  # pieces summed one by one; beyond, an integral is exact to about 1e-7


class Exponents(NamedTuple):
    """How the excess falls in the two limits, as N^-alpha and as D^-beta."""

    alpha: float
    beta: float

    @property
    def allocation(self):
        """a of N* ∝ C^a, where C ∝ N D."""
        return self.beta / (self.alpha + self.beta)

    @property
    def frontier(self):
        """The exponent of the lowest excess that C can buy, ∝ C^-frontier."""
        return self.alpha * self.allocation


def exponents(alpha):
    """The exponents of both toy worlds, from the chances of their pieces alone.

        beta = alpha / (1 + alpha)

    Parameters
    ----------
    alpha : float > 0, of the chances theta_i ∝ i^-(1 + alpha)

    Returns
    -------
    exponents : `Exponents`

    Raises
    ------
    ValueError : for alpha that is not positive and finite

    Examples
    --------
    >>> theory = exponents(0.5)
    >>> round(theory.beta, 4), round(theory.allocation, 4), round(theory.frontier, 4)
    (0.3333, 0.4, 0.2)
    """
    alpha = _one(alpha)
    return Exponents(alpha, alpha / (1 + alpha))


def memoriser_limits(alpha):
    r"""A and B of the Zipf memoriser: its excess is A N^-alpha or B D^-beta where one limit rules.

        A = 1 / (alpha Z),    B = Γ(beta) Z^(-1 / (1 + alpha)) / (1 + alpha)

    Both are integrals in place of sums: of theta from N on, and of theta exp(-D theta).

    Parameters
    ----------
    alpha : float > 0

    Returns
    -------
    A, B : float, nats per token at N = 1 and at D = 1

    Raises
    ------
    ValueError : for alpha that is not positive and finite
    """
    alpha, beta = exponents(alpha)
    Z = zeta(1 + alpha)
    return float(1 / (alpha * Z)), float(gamma(beta) * Z ** (-1 / (1 + alpha)) / (1 + alpha))


def memoriser_excess(params, tokens, alpha):
    """What a Zipf memoriser still has to pay, on average over the texts it may have seen.

        excess = sum_{i <= N} theta_i (1 - theta_i)^D  +  sum_{i > N} theta_i

    The first sum is what it has room for and has not met, the second what it has no room for. The
    world has no end: the sums run over all pieces, the far ones as an integral with a closed form.

    Parameters
    ----------
    params : array >= 0, N, pieces it has room for, the most frequent ones; np.inf for no limit
    tokens : array >= 0 that broadcasts against it, D, pieces met; np.inf for no limit
    alpha : float > 0, of the chances theta_i ∝ i^-(1 + alpha)

    Returns
    -------
    excess : array, nats per token, between 0 and 1

    Raises
    ------
    ValueError : for negative or undefined sizes, or alpha that is not positive and finite

    Examples
    --------
    >>> float(memoriser_excess(0, 100, alpha=0.5))       # no room: it pays for everything
    1.0
    >>> float(memoriser_excess(np.inf, [1e4, 1e6], alpha=1.0).round(5)[0])
    0.00691
    """
    alpha, beta = exponents(alpha)
    A, B = memoriser_limits(alpha)
    s, Z = 1 + alpha, zeta(1 + alpha)
    params, tokens = np.broadcast_arrays(*_sizes(params=params, tokens=tokens))
    theta = np.arange(1, HEAD + 1) ** -s / Z  # (HEAD,)
    kept = np.arange(HEAD + 1.0)
    known = np.empty(params.shape)
    for D in np.unique(tokens):
        at = tokens == D
        met = -theta * np.expm1(D * np.log1p(-theta))  # (HEAD,) theta (1 - (1 - theta)^D)
        known[at] = np.interp(params[at], kept, np.r_[0, np.cumsum(met)])
    # The pieces from HEAD to N: x + 1/2 makes the integral of theta(x) agree with its sum.
    near, far = HEAD + 0.5, np.maximum(params, HEAD) + 0.5
    met = A * (near**-alpha - far**-alpha)
    with np.errstate(divide="ignore", invalid="ignore"):  # no tokens, or no limit: see below
        unmet = gammainc(beta, tokens * near**-s / Z) - gammainc(beta, tokens * far**-s / Z)
        met -= np.where((tokens > 0) & (tokens < np.inf), B * tokens**-beta * unmet, 0)
    known += np.where(tokens > 0, met, 0)
    return np.maximum(1 - known, 0)


def random_memorisers(tokens, alpha, runs, rng):
    """Let memorisers without a limit of size read random texts: the spread around the average.

    Parameters
    ----------
    tokens : (D,) sequence of int >= 1, after how many pieces to look
    alpha : float > 0
    runs : int >= 1, how many memorisers, each with a text of its own
    rng : numpy.random.Generator

    Returns
    -------
    excess : (runs, D) array, the chance of what each has not met, in nats at 1 nat a miss

    Raises
    ------
    ValueError : for a number of tokens or runs below 1, or alpha that is not positive and finite
    """
    alpha = _one(alpha)
    tokens = np.asarray(tokens, int)
    if tokens.ndim != 1 or not tokens.size or tokens.min() < 1 or runs < 1:
        raise ValueError(
            f"expected a row of numbers of tokens and one run or more, all at least 1; got tokens "
            f"{tokens} and {runs} runs."
        )
    excess = np.empty((runs, tokens.size))
    for run in range(runs):
        text = rng.zipf(1 + alpha, tokens.max())
        piece, first = np.unique(text, return_index=True)
        gain = np.zeros(text.size)
        gain[first] = piece ** -(1.0 + alpha) / zeta(1 + alpha)  # a piece counts when first met
        excess[run] = 1 - np.cumsum(gain)[tokens - 1]
    return excess


# ------------------------------------------------------------------------------ the counting model
@dataclass(frozen=True, eq=False)
class ContextSource:
    """A source of (context, next symbol) pairs, drawn one by one, whose entropy is known.

    chances : (V,) float64, of the contexts, the most frequent first
    next_chances : (V, K) float64, of the symbols after each
    """

    chances: np.ndarray
    next_chances: np.ndarray

    @property
    def entropy(self):
        """E, in nats: the mean of the contexts' entropies; no model does better."""
        return float(self.chances @ entr(self.next_chances).sum(1))

    def sample(self, rng, count):
        """(count,) contexts and (count,) symbols, as integer ids."""
        contexts = np.searchsorted(self.chances.cumsum(), rng.random(count))
        contexts = np.minimum(contexts, self.chances.size - 1)  # the last sum may be 1 - 1e-16
        cumulative = self.next_chances.cumsum(1)[:, :-1]  # the last symbol is what remains
        symbols = (cumulative[contexts] <= rng.random((count, 1))).sum(1)
        return contexts, symbols


def zipf_contexts(alpha, rng, contexts=2**17, symbols=16, spread=1.5):
    """Make a source whose contexts follow Zipf's law; see `ContextSource`.

    Parameters
    ----------
    alpha : float > 0, of the chances of the contexts, ∝ i^-(1 + alpha)
    rng : numpy.random.Generator, draws what follows each context
    contexts, symbols : int >= 2, V and K
    spread : float > 0, standard deviation of the logits of what follows: 0 would make all alike

    Returns
    -------
    source : `ContextSource`

    Raises
    ------
    ValueError : for sizes below 2, or alpha or spread that are not positive and finite

    Examples
    --------
    >>> source = zipf_contexts(0.5, np.random.default_rng(0))
    >>> bool(0 < source.entropy < np.log(16))
    True
    """
    alpha = _one(alpha)
    positive(spread=spread)
    if contexts < 2 or symbols < 2:
        raise ValueError(f"a source needs 2 contexts and 2 symbols, got {contexts} and {symbols}.")
    chances = np.arange(1, contexts + 1) ** -(1 + alpha)
    weights = np.exp(spread * rng.standard_normal((contexts, symbols)))
    return ContextSource(chances / chances.sum(), weights / weights.sum(1, keepdims=True))


def counting_losses(source, params, tokens, rng, prior=2.0):
    """Train counting models of every size on every amount of one text; their exact losses.

    A model keeps the counts of the N contexts it has met most often, and in any other context falls
    back on how often each symbol came up at all:

        q(y | x) = (count(x, y) + prior · g(y)) / (count(x) + prior)    if x is kept
        q(y | x) = g(y) = (count(y) + 1) / (D + K)                      if not

    The loss is the expectation over the source, so that no test text adds noise. Sorted by
    frequency, what each context saves adds up, so all sizes cost one cumulative sum.

    Parameters
    ----------
    source : `ContextSource`
    params : (N,) sequence of int >= 0, contexts kept
    tokens : (D,) sequence of int >= 1, read from the start of the same text
    rng : numpy.random.Generator, draws the text
    prior : float > 0, how many counts the fall-back is worth

    Returns
    -------
    loss : (N, D) array, nats per token

    Raises
    ------
    ValueError : for sizes that are not whole numbers in range, or a prior that is not positive

    Examples
    --------
    >>> source = zipf_contexts(0.5, np.random.default_rng(0))
    >>> loss = counting_losses(source, [16, 256], [1000, 4000], np.random.default_rng(1))
    >>> bool((loss > source.entropy).all())
    True
    """
    params, tokens = (np.asarray(sizes) for sizes in (params, tokens))
    for name, sizes, least in (("params", params, 0), ("tokens", tokens, 1)):
        if sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iu" or sizes.min() < least:
            raise ValueError(f"{name} must be a row of whole numbers >= {least}, got {sizes}.")
    positive(prior=prior)
    (V, K), p = source.next_chances.shape, source.next_chances
    contexts, symbols = source.sample(rng, tokens.max())
    loss = np.empty((params.size, tokens.size))
    for column, D in enumerate(tokens):
        count = np.bincount(contexts[:D] * K + symbols[:D], minlength=V * K).reshape(V, K)
        met = np.flatnonzero(count.any(1))
        fall_back = (count.sum(0) + 1) / (D + K)  # (K,)
        unkept = -p @ np.log(fall_back)  # (V,) cross-entropy in each context
        seen = count[met].sum(1, keepdims=True)  # (met, 1)
        q = (count[met] + prior * fall_back) / (seen + prior)  # (met, K)
        saved = source.chances[met] * (unkept[met] + (p[met] * np.log(q)).sum(1))
        most_seen = np.argsort(-seen[:, 0], kind="stable")
        total = np.r_[0, np.cumsum(saved[most_seen])]  # what the n most-seen save together
        loss[:, column] = source.chances @ unkept - total[np.minimum(params, met.size)]
    return loss


def _one(alpha):
    (alpha,) = positive(alpha=alpha)
    if alpha.ndim:
        raise ValueError(f"alpha must be one number, got shape {alpha.shape}: loop over several.")
    return float(alpha)


def _sizes(**values):
    arrays = [np.asarray(value, float) for value in values.values()]
    for name, array in zip(values, arrays, strict=True):
        if not np.all(array >= 0):
            raise ValueError(f"{name} must be at least 0 (np.inf for no limit), got {array}.")
    return arrays
