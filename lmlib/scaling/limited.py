r"""How to spend a budget when the text is limited, and when the model will be used.

Two optima under Chinchilla's law with repetition (Muennighoff et al. 2023), for which `allocation`
has the closed forms of unlimited text:

    lowest loss      minimise L(N, D)             such that 6 N D = C
    serving counted  minimise 6 N D + 2 N D_inf   such that L(N, D) = loss

Each has one condition: at the optimum, one per cent more of N and one per cent more of D lower the
loss in proportion to what they cost. Write u and v for -dL/dlog N and -dL/dlog D:

    u = v            and            u = v (1 + D_inf / 3 D)

All functions take arrays, so that a thousand draws of the constants are one call.
"""

import numpy as np

from lmlib.scaling.allocation import INFERENCE, TRAINING, compute_optimal
from lmlib.scaling.checks import positive
from lmlib.scaling.laws import effective, enough_params


def limited_optimal(compute, unique_tokens, E, A, B, alpha, beta, R_N, R_D):
    """The N and D of the lowest loss that C FLOP can buy when the text is limited.

        minimise  E + A / N'^alpha + B / D'^beta   such that   6 N D = C

    N' and D' as in `laws.data_constrained`. In log N the excess is a sum of two convex terms,
    so -dL/dlog N falls, -dL/dlog D rises along the budget, and they cross once.

    Parameters
    ----------
    compute : float or array, FLOP
    unique_tokens : float or array, U; where the optimum needs fewer, nothing repeats and the
        answer is `compute_optimal`
    E, A, B, alpha, beta, R_N, R_D : constants of the law, floats or arrays

    Returns
    -------
    params, tokens : arrays, tokens with repetitions

    Raises
    ------
    ValueError : for anything that is not positive and finite

    Examples
    --------
    >>> law = dict(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
    >>> N, D = limited_optimal(5.76e23, 1e11, **law, R_N=5.309743, R_D=15.387756)
    >>> round(float(N) / 1e9), round(float(D) / 1e9)      # in billions: 20 epochs
    (47, 2034)
    """
    compute, unique_tokens, R_N, R_D = positive(
        compute=compute, unique_tokens=unique_tokens, R_N=R_N, R_D=R_D
    )
    params, tokens = compute_optimal(compute, A, B, alpha, beta)
    if np.all(tokens <= unique_tokens):
        return params, tokens
    enough = enough_params(unique_tokens, A, B, alpha, beta)

    def surplus(log_params):  # what tokens are worth, over what parameters are
        size = np.exp(log_params)
        by_data = _log_value(compute / TRAINING / size, unique_tokens, B, beta, R_D)
        return by_data - _log_value(size, enough, A, alpha, R_N)

    low = np.zeros_like(params)  # one parameter; one token is the other end
    size = _crossing(surplus, low, low + np.log(compute / TRAINING))
    params = np.where(tokens <= unique_tokens, params, np.exp(size))[()]
    return params, compute / TRAINING / params


def limited_inference_optimal(
    loss, inference_tokens, unique_tokens, E, A, B, alpha, beta, R_N, R_D
):
    """The cheapest way to a given loss, counting serving, when the text is limited.

        minimise  6 N D + 2 N D_inf   such that   E + A / N'^alpha + B / D'^beta = loss

    Sardana's rule (`inference_optimal`) with Muennighoff's repetition. Write x for the
    share of loss - E that is due to N. As x grows, N falls, D grows, and the two sides of

        -dL/dlog N = -dL/dlog D (1 + D_inf / 3 D)

    cross once.

    Parameters
    ----------
    loss : float or array, nats per token, reachable under the law
    inference_tokens : float >= 0, tokens the model will process in its life
    unique_tokens, E, A, B, alpha, beta, R_N, R_D : as in `limited_optimal`

    Returns
    -------
    params, tokens : arrays, tokens with repetitions

    Raises
    ------
    ValueError : for a loss that the law cannot reach with these unique tokens
    """
    unique_tokens, R_N, R_D = positive(unique_tokens=unique_tokens, R_N=R_N, R_D=R_D)
    enough = enough_params(unique_tokens, A, B, alpha, beta)
    lowest = E + A / (enough * (1 + R_N)) ** alpha + B / (unique_tokens * (1 + R_D)) ** beta
    if not np.all(loss > lowest):
        raise ValueError(
            f"no model reaches a loss of {np.min(loss)} nats on these {unique_tokens:g} unique "
            f"tokens: under this law the lowest is {np.max(lowest):.4g}."
        )
    excess = loss - E

    def amounts(share):
        params = _amount((A / (excess * share)) ** (1 / alpha), enough, R_N)
        tokens = _amount((B / (excess * (1 - share))) ** (1 / beta), unique_tokens, R_D)
        return params, tokens

    def surplus(share):
        params, tokens = amounts(share)
        by_size = np.log(alpha * share) + _log_elasticity(params, enough, R_N)
        by_data = np.log(beta * (1 - share)) + _log_elasticity(tokens, unique_tokens, R_D)
        return by_size - by_data - np.log1p(INFERENCE / TRAINING * inference_tokens / tokens)

    with np.errstate(divide="ignore"):  # a share of exactly 1 leaves nothing to the tokens
        share = _crossing(surplus, np.zeros_like(excess), np.ones_like(excess))
    return amounts(share)


def _log_value(amount, unique, scale, exponent, R_star):
    """log of -dL/dlog amount, for the term scale / worth^exponent."""
    log_worth = np.log(effective(amount, unique, R_star))
    log_elasticity = _log_elasticity(amount, unique, R_star)
    return np.log(exponent * scale) - exponent * log_worth + log_elasticity


def _log_elasticity(amount, unique, R_star):
    """log of dlog worth / dlog amount; -inf where the amount is infinite.

    In logarithms: far beyond R*, exp(-repetitions / R*) would underflow.
    """
    finite = np.where(np.isfinite(amount), amount, unique)
    log_worth = np.log(effective(finite, unique, R_star))
    falls = np.log(finite) - np.maximum(finite / unique - 1, 0) / R_star - log_worth
    return np.where(np.isfinite(amount), falls, -np.inf)


def _amount(worth, unique, R_star):
    """The inverse of `laws.effective`: infinite for a worth that no repetition reaches."""
    used = np.clip((worth / unique - 1) / R_star, 0, 1)
    repeated = unique * (1 - R_star * np.log1p(-np.minimum(used, 1 - 1e-16)))
    return np.where(worth <= unique, worth, np.where(used < 1, repeated, np.inf))[()]


def _crossing(rising, low, high):
    """Where a rising function crosses zero, row by row: bisection down to the last bit."""
    for _ in range(64):
        middle = (low + high) / 2
        above = rising(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2
