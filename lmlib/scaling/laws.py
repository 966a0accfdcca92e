r"""The laws: what loss to expect from a model of N parameters, trained on D tokens.

Each law is one function with named constants, in these units:

    N  parameters        D  tokens        C  FLOP        L  nats per token

Chinchilla's law adds the two shortages, Kaplan's couples them, and both are cases of one parent,
the power mean, which is why all three can be fitted by the same few lines:

    power mean   L = E + [ (A / N^alpha)^q + (B / D^beta)^q ]^(1/q)
    Chinchilla   q = 1
    Kaplan       E = 0, q = 1 / beta
    bottleneck   q → ∞: the larger shortage alone counts

Published constants stand in `lmlib.scaling.published`; `chinchilla(N, D, **published.HOFFMANN)`.
"""

import numpy as np

from lmlib.scaling.checks import positive


def power_law(x, scale, exponent):
    """One scarce resource, no floor (Kaplan et al. 2020, eqs. 1.1 to 1.3).

        L(x) = (scale / x)^exponent

    Parameters
    ----------
    x : array, N, D or C, in the units of `scale`
    scale, exponent : float > 0

    Returns
    -------
    loss : array like x, nats per token

    Raises
    ------
    ValueError : for anything that is not positive and finite

    Examples
    --------
    >>> float(power_law(100.0, scale=10_000.0, exponent=0.5))
    10.0
    """
    x, scale, exponent = positive(x=x, scale=scale, exponent=exponent)
    return (scale / x) ** exponent


def chinchilla(params, tokens, E, A, B, alpha, beta):
    """The additive law (Hoffmann et al. 2022, eq. 2).

        L(N, D) = E + A / N^alpha + B / D^beta

    E is the loss that no model and no amount of data can go below: the entropy of the text.

    Parameters
    ----------
    params, tokens : arrays that broadcast against each other
    E : float >= 0, nats per token
    A, B : float > 0, nats per token at N = 1 and D = 1; they carry the units of N and D
    alpha, beta : float > 0

    Returns
    -------
    loss : array, nats per token

    Raises
    ------
    ValueError : for parameters or tokens that are not positive and finite, impossible constants

    Examples
    --------
    >>> float(chinchilla(10_000, 100, E=1.0, A=200.0, B=10.0, alpha=0.5, beta=0.5))
    4.0
    """
    params, tokens = positive(params=params, tokens=tokens)
    A, B, alpha, beta = positive(A=A, B=B, alpha=alpha, beta=beta)
    return _floor(E) + A / params**alpha + B / tokens**beta


def power_mean(params, tokens, E, A, B, alpha, beta, q):
    """The common parent of Chinchilla's and Kaplan's laws.

        L(N, D) = E + [ (A / N^alpha)^q + (B / D^beta)^q ]^(1/q)

    The coupling q says how far one shortage can hide behind the other: with q = 1 they add, and
    the larger q, the more the larger one counts alone.

    Parameters and errors are those of `chinchilla`, and q : float > 0.

    Examples
    --------
    >>> round(float(power_mean(1, 1, E=0.0, A=3.0, B=4.0, alpha=0.5, beta=0.5, q=2.0)), 9)
    5.0
    """
    params, tokens = positive(params=params, tokens=tokens)
    A, B, alpha, beta, q = positive(A=A, B=B, alpha=alpha, beta=beta, q=q)
    by_size = q * (np.log(A) - alpha * np.log(params))
    by_data = q * (np.log(B) - beta * np.log(tokens))
    # In logarithms: A^q alone would overflow for q = 100.
    return _floor(E) + np.exp(np.logaddexp(by_size, by_data) / q)


def kaplan(params, tokens, N_c, D_c, alpha_N, alpha_D):
    """The coupled law (Kaplan et al. 2020, eq. 1.5).

        L(N, D) = [ (N_c / N)^(alpha_N / alpha_D) + D_c / D ]^alpha_D

    N counts parameters without embeddings. The law has no floor: with enough of both, L → 0.

    Parameters
    ----------
    params, tokens : arrays that broadcast against each other
    N_c, D_c : float > 0, in parameters and in tokens
    alpha_N, alpha_D : float > 0

    Returns
    -------
    loss : array, nats per token

    Raises
    ------
    ValueError : for anything that is not positive and finite

    Examples
    --------
    >>> round(float(kaplan(1e4, 1e4, N_c=1e4, D_c=3e4, alpha_N=0.1, alpha_D=0.5)), 9)
    2.0
    """
    constants = positive(N_c=N_c, D_c=D_c, alpha_N=alpha_N, alpha_D=alpha_D)
    return power_mean(params, tokens, **kaplan_as_power_mean(*constants))


def kaplan_as_power_mean(N_c, D_c, alpha_N, alpha_D):
    """Kaplan's constants in the names of `power_mean`: no floor, and a coupling tied to beta.

    E = 0,  A = N_c^alpha_N,  B = D_c^alpha_D,  alpha = alpha_N,  beta = alpha_D,  q = 1 / alpha_D

    Examples
    --------
    >>> kaplan_as_power_mean(16.0, 81.0, 0.5, 0.25)
    {'E': 0.0, 'A': 4.0, 'B': 3.0, 'alpha': 0.5, 'beta': 0.25, 'q': 4.0}
    """
    return {
        "E": 0.0,
        "A": N_c**alpha_N,
        "B": D_c**alpha_D,
        "alpha": alpha_N,
        "beta": alpha_D,
        "q": 1 / alpha_D,
    }


def effective(amount, unique, R_star):
    """What repeated data (or surplus parameters) are worth (Muennighoff et al. 2023).

        effective = U + U R* (1 - exp(-R / R*)),      R = amount / U - 1   repetitions

    The first pass over U unique tokens counts in full, a few more count almost as much as fresh
    ones, and no number of passes is worth more than (1 + R*) U.

    Parameters
    ----------
    amount : array, tokens seen in training, repetitions included
    unique : float or array, U; where `amount` is smaller, nothing repeats and amount is the answer
    R_star : float > 0, R*, in repetitions: after so many, 1 - 1/e = 63 % of all that repetition can
        ever give has been had

    Returns
    -------
    effective : array, at most `amount`

    Raises
    ------
    ValueError : for anything that is not positive and finite

    Examples
    --------
    >>> round(float(effective(4e9, unique=1e9, R_star=15.387756)) / 1e9, 2)   # four epochs
    3.73
    """
    amount, unique, R_star = positive(amount=amount, unique=unique, R_star=R_star)
    once = np.minimum(amount, unique)
    repetitions = amount / once - 1
    return once * (1 - R_star * np.expm1(-repetitions / R_star))


def data_constrained(params, tokens, unique_tokens, E, A, B, alpha, beta, R_N, R_D):
    """Chinchilla's law when data repeat (Muennighoff et al. 2023).

        L = E + A / N'^alpha + B / D'^beta

    D' is the `effective` number of tokens. N' discounts parameters in the same way, beyond the
    number that would be optimal for the unique tokens: a model too large for its data is not
    worth its size either.

    Parameters
    ----------
    params, tokens : arrays, tokens seen in training with repetitions
    unique_tokens : float or array
    E, A, B, alpha, beta : as in `chinchilla`
    R_N, R_D : float > 0, R* of surplus parameters and of repeated tokens

    Returns
    -------
    loss : array, nats per token

    Raises
    ------
    ValueError : as `chinchilla`
    """
    params, tokens, unique_tokens = positive(
        params=params, tokens=tokens, unique_tokens=unique_tokens
    )
    A, B, alpha, beta = positive(A=A, B=B, alpha=alpha, beta=beta)
    return chinchilla(
        effective(params, enough_params(unique_tokens, A, B, alpha, beta), R_N),
        effective(tokens, unique_tokens, R_D),
        E,
        A,
        B,
        alpha,
        beta,
    )


def enough_params(tokens, A, B, alpha, beta):
    """The N for which D tokens are optimal: N* and D* without the compute between them."""
    balance = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return balance * (balance * tokens) ** (beta / alpha)


def _floor(E):
    E = np.asarray(E, float)
    if not np.all(np.isfinite(E) & (E >= 0)):
        raise ValueError(f"E must be a finite number of nats, at least 0; got {E}.")
    return E
