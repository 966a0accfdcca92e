r"""How to spend a budget: the N and D of the lowest loss that C FLOP can buy.

Training costs C = 6 N D. Under Chinchilla's law and its parent, the best N and D have a closed form
(Hoffmann et al. 2022, eq. 4): set the derivative of A N^-alpha + B (C / 6N)^-beta to zero.

    N* = G (C/6)^a,    D* = (C/6)^b / G,    a = beta / (alpha + beta),    b = 1 - a,
    G  = (alpha A / beta B)^(1 / (alpha + beta))

a is the share of every further order of magnitude of compute that goes into parameters. "Twenty
tokens per parameter" is this ratio at one budget; it stays put only if alpha = beta.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from lmlib.scaling.checks import FLOP_PER_PARAMETER_AND_TOKEN as TRAINING
from lmlib.scaling.checks import positive

INFERENCE = 2  # FLOP per parameter and token read or written: the forward pass alone


def compute_optimal(compute, A, B, alpha, beta, q=1.0):
    """The compute-optimal N and D of Chinchilla's law (q = 1), or of a power mean.

    The power mean falls with A^q N^(-q alpha) + B^q D^(-q beta), which is Chinchilla's law in other
    constants: so the coupling q moves G but not the exponents a and b.

    Parameters
    ----------
    compute : float or array, FLOP
    A, B, alpha, beta, q : float > 0, constants of the law; E does not matter

    Returns
    -------
    params, tokens : arrays like compute, with 6 · params · tokens = compute

    Raises
    ------
    ValueError : for anything that is not positive and finite

    Examples
    --------
    >>> N, D = compute_optimal(600.0, A=1.0, B=1.0, alpha=0.3, beta=0.3)   # G = 1, a = 1/2
    >>> round(float(N), 9), round(float(D), 9)
    (10.0, 10.0)
    """
    compute, A, B, alpha, beta, q = positive(compute=compute, A=A, B=B, alpha=alpha, beta=beta, q=q)
    log_N = _log_G(A, B, alpha, beta, q) + beta / (alpha + beta) * np.log(compute / TRAINING)
    params = np.exp(log_N)
    return params, compute / TRAINING / params


def optimal_tokens(params, A, B, alpha, beta, q=1.0):
    """The D for which a model of N parameters is the compute-optimal one: the same line, by size.

        D = (N / G)^(1/a) / N

    Parameters
    ----------
    params : float or array, N
    A, B, alpha, beta, q : as in `compute_optimal`

    Returns
    -------
    tokens : array like params

    Examples
    --------
    >>> N, D = compute_optimal(6e18, **(law := dict(A=400.0, B=900.0, alpha=0.3, beta=0.4)))
    >>> bool(np.isclose(optimal_tokens(N, **law), D))
    True
    """
    params, A, B, alpha, beta, q = positive(params=params, A=A, B=B, alpha=alpha, beta=beta, q=q)
    log_N = np.log(params)
    log_C = (log_N - _log_G(A, B, alpha, beta, q)) * (alpha + beta) / beta  # of C / 6
    return np.exp(log_C - log_N)


def _log_G(A, B, alpha, beta, q):
    return (np.log(alpha / beta) / q + np.log(A / B)) / (alpha + beta)


def numeric_optimum(loss, compute, inference_tokens=0.0):
    """The best N and D under any law, by search: for laws and budgets without a closed form.

    Every N leaves D = (C / N - 2 · inference_tokens) / 6 tokens for training: what the model will
    be asked to read and write later is paid from the same budget.

    Parameters
    ----------
    loss : (params, tokens) -> loss, taking arrays; any law with its constants filled in
    compute : float, FLOP for training and inference together
    inference_tokens : float >= 0, tokens the model will process in its life

    Returns
    -------
    params, tokens : float

    Raises
    ------
    ValueError : for a budget that is not positive and finite, negative demand, or a law whose
        loss has no minimum between one parameter and one token

    Examples
    --------
    >>> N, D = numeric_optimum(lambda N, D: 1 / N**0.3 + 1 / D**0.3, 600.0)
    >>> round(N, 4), round(D, 4)
    (10.0, 10.0)
    """
    (compute,) = positive(compute=compute)
    if not (np.isfinite(inference_tokens) and inference_tokens >= 0):
        raise ValueError(f"inference_tokens must be at least 0, got {inference_tokens}.")

    def tokens(log_params):
        return (compute * np.exp(-log_params) - INFERENCE * inference_tokens) / TRAINING

    # The largest model that can still afford one token; one parameter is the smallest.
    top = np.log(compute / (TRAINING + INFERENCE * inference_tokens))
    if top <= 0:
        raise ValueError(f"{compute} FLOP do not pay for one parameter and one token.")
    grid = np.linspace(0, top, 400)
    with np.errstate(over="ignore"):
        values = np.asarray(loss(np.exp(grid), np.maximum(tokens(grid), 1.0)))
    best = int(values.argmin())
    if best in (0, len(grid) - 1):
        raise ValueError(
            "the loss has no minimum inside the budget: it is best with "
            + ("one parameter." if best == 0 else "one token.")
        )
    found = minimize_scalar(
        lambda log_params: float(loss(np.exp(log_params), tokens(log_params))),
        bounds=(grid[best - 1], grid[best + 1]),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(found.x)), float(tokens(found.x))


def inference_optimal(loss, inference_tokens, E, A, B, alpha, beta):
    """The cheapest way to a given loss, counting what the model will be used for.

        minimise  6 N D + 2 N D_inf   such that   E + A / N^alpha + B / D^beta = loss

    (Sardana et al. 2023.) The more the model is used, the smaller it should be, and the longer
    trained. Write x for the share of loss - E that is due to N. The derivative vanishes where

        alpha x = beta (1 - x) (1 + D_inf / 3 D(x))

    which has exactly one root: the left side rises with x, the right side falls.

    Parameters
    ----------
    loss : float > E, nats per token, the quality to reach
    inference_tokens : float >= 0, tokens the model will process in its life
    E, A, B, alpha, beta : constants of Chinchilla's law

    Returns
    -------
    params, tokens : float, N and the D to train it on

    Raises
    ------
    ValueError : if loss <= E (no model reaches it), or for constants that are not positive

    Examples
    --------
    >>> law = dict(E=1.0, A=100.0, B=100.0, alpha=0.5, beta=0.5)
    >>> [round(x) for x in inference_optimal(2.0, 0, **law)]         # training alone: N = D
    [40000, 40000]
    >>> [round(x) for x in inference_optimal(2.0, 1e6, **law)]       # smaller, trained longer
    [17658, 163308]
    """
    A, B, alpha, beta = positive(A=A, B=B, alpha=alpha, beta=beta)
    if not (np.isfinite(inference_tokens) and inference_tokens >= 0):
        raise ValueError(f"inference_tokens must be at least 0, got {inference_tokens}.")
    if not loss > E:
        raise ValueError(f"no model reaches a loss of {loss}: the law's floor E is {E}.")
    excess = loss - E

    def log_tokens(x):
        return np.log(B / (excess * (1 - x))) / beta

    def slope(x):
        usage = INFERENCE / TRAINING * inference_tokens * np.exp(-log_tokens(x))
        return alpha * x - beta * (1 - x) * (1 + usage)

    x = brentq(slope, 0.0, 1 - 1e-15, xtol=1e-15)
    return float((A / (excess * x)) ** (1 / alpha)), float(np.exp(log_tokens(x)))


class Plans(NamedTuple):
    """The cheapest ways to one loss, by how much the model will be used.

    inference_tokens, params, tokens : (K,) arrays
    cost : (K,) array of FLOP, training and use together
    saved : (K,) array, the share of the cost of using the model that is optimal to *train* instead
    """

    inference_tokens: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    cost: np.ndarray
    saved: np.ndarray


def inference_plans(loss, inference_tokens, E, A, B, alpha, beta):
    """`inference_optimal` for several demands, beside the model that ignores them.

    Parameters
    ----------
    loss, E, A, B, alpha, beta : as in `inference_optimal`
    inference_tokens : (K,) sequence of float >= 0

    Returns
    -------
    plans : `Plans`

    Raises
    ------
    ValueError : as `inference_optimal`

    Examples
    --------
    >>> plans = inference_plans(2.0, [0, 1e6], E=1.0, A=100.0, B=100.0, alpha=0.5, beta=0.5)
    >>> plans.params.round(), plans.saved.round(2)
    (array([40000., 17658.]), array([0.  , 0.41]))
    """
    law = {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}
    demand = np.atleast_1d(np.asarray(inference_tokens, float))
    N, D = np.array([inference_optimal(loss, tokens, **law) for tokens in demand]).T
    unused = inference_optimal(loss, 0.0, **law)

    def cost(params, tokens):
        return params * (TRAINING * tokens + INFERENCE * demand)

    return Plans(demand, N, D, cost(N, D), 1 - cost(N, D) / cost(*unused))


def implied_demand(params, tokens, A, B, alpha, beta):
    """How much use makes a model of N parameters and D tokens the cheapest of its quality.

        D_inf = 3 D [ alpha A N^-alpha / (beta B D^-beta) - 1 ]

    It is `inference_optimal` solved for the demand: 0 on the compute-optimal line, negative for a
    model so large for its data that no amount of use would justify it.

    Parameters
    ----------
    params, tokens : float or array
    A, B, alpha, beta : constants of Chinchilla's law

    Returns
    -------
    inference_tokens : array

    Examples
    --------
    >>> law = dict(A=100.0, B=100.0, alpha=0.5, beta=0.5)
    >>> implied_demand(np.array([40_000, 80_000]), 40_000, **law).round()
    array([     0., -35147.])
    """
    params, tokens = positive(params=params, tokens=tokens)
    A, B, alpha, beta = positive(A=A, B=B, alpha=alpha, beta=beta)
    balance = alpha * A * params**-alpha / (beta * B * tokens**-beta)
    return TRAINING / INFERENCE * tokens * (balance - 1)
