r"""How famous disagreements arose: the same runs, one detail changed.

Two papers fit the same law and differ by a factor of five in how many tokens a model should see.
Nothing in the world differs between them. What differs is a word in an objective, a digit of a
constant, five runs left out, a table of embeddings counted or not; here each can be changed alone.

    runs = chinchilla_like(rng)                              240 runs whose true law is known
    descend(*runs, starting_points(), reduction="mean")      one word: `sum`, `mean`
    tokens_per_parameter(law, compute)                       rounding, as tokens per parameter
    exponents_without_highest(*runs, numbers)                runs left out
    without_embedding_view(law)                              embeddings not counted

The exponent is a of N* ∝ C^a (see `allocation`): 0.5 gives compute to both in equal shares.
"""

import csv
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from lmlib.scaling import checks, published
from lmlib.scaling.allocation import compute_optimal
from lmlib.scaling.fitting import fit_chinchilla
from lmlib.scaling.laws import chinchilla

RUNS, BUDGETS = 240, 9
SCATTER, FREEDOM = 0.004, 2.67  # Student's t that fits the residuals of log L of the published runs
SHORT_SIZES = (2007, 2283, 2639, 2980, 6796)  # millions; the five runs the paper left out
SHORT_BUDGET = 9.5e18  # FLOP


# ------------------------------------------------------------------------------------------ runs
def chinchilla_like(rng, *, short=False, law=published.HUBER_OPTIMUM):
    """Runs like those of Hoffmann et al. (2022), with a law that is known.

    Sizes of Table A9 on nine budgets from 6e18 to 3e21 FLOP, in the published range of tokens and
    of tokens per parameter; 240 of the 271 pairs are drawn. The scatter of log L is Student's t
    with the width and the tails of the published residuals.

    Parameters
    ----------
    rng : numpy Generator
    short : bool, add five runs that ended too early for any law: large models on the cheapest
        budget, 0.2 to 0.8 billion tokens, with log L too high by 0.05 (1e9 / D)^1.4. They have the
        sizes, and about the excess, of the five highest published runs.
    law : dict, constants of Chinchilla's law

    Returns
    -------
    params, tokens, loss : (240,) or (245,) arrays; the loss in nats per token

    Examples
    --------
    >>> N, D, L = chinchilla_like(np.random.default_rng(0))
    >>> len(L), fit_chinchilla(N, D, L).alpha.__round__(2)
    (240, 0.34)
    """
    sizes = 1e6 * np.array([row[0] for row in published.TABLE_A9])
    N, C = (axis.ravel() for axis in np.meshgrid(sizes, np.geomspace(6e18, 3e21, BUDGETS)))
    D = C / 6 / N
    possible = (D >= 8.19e8) & (D <= 3.18e11) & (D / N > 0.4) & (D / N < 400)
    chosen = rng.choice(np.flatnonzero(possible), RUNS, replace=False)
    N, D, excess = N[chosen], D[chosen], np.zeros(RUNS)
    if short:
        large = 1e6 * np.array(SHORT_SIZES)
        few = SHORT_BUDGET / 6 / large
        N, D, excess = np.r_[N, large], np.r_[D, few], np.r_[excess, 0.05 * (1e9 / few) ** 1.4]
    noise = SCATTER * rng.standard_t(FREEDOM, len(N))
    return N, D, chinchilla(N, D, **law) * np.exp(excess + noise)


def published_runs(path):
    """The runs of Hoffmann et al. (2022), as Besiroglu et al. (2024) read them off a figure.

    The file has no licence, so the course does not carry it; it is data/svg_extracted_data.csv of
    github.com/epoch-research/analyzing-chinchilla.

    Parameters
    ----------
    path : str or Path of that file

    Returns
    -------
    params, tokens, loss : (245,) arrays, tokens as C / 6 N; the paper leaves out the five highest
        losses, see `without_highest`

    Raises
    ------
    ValueError : for a file with other columns
    """
    columns = ("Model Size", "Training FLOP", "loss")
    with open(path, newline="") as file:
        rows = csv.DictReader(file)
        if missing := set(columns) - set(rows.fieldnames or ()):
            raise ValueError(f"{path} has no column {sorted(missing)}: is it the published file?")
        N, C, L = np.array([[float(row[name]) for name in columns] for row in rows]).T
    return N, C / (6 * N), L


def without_highest(params, tokens, loss, number):
    """The runs with a loss below the `number`-th highest, in their order.

    The recipe of the published fits. Runs that tie with the last one to go, go with it.

    Examples
    --------
    >>> [column.tolist() for column in without_highest([1, 2, 3], [6, 5, 4], [2.0, 9.0, 3.0], 1)]
    [[1.0, 3.0], [6.0, 4.0], [2.0, 3.0]]
    """
    params, tokens, loss = checks.runs(params, tokens, loss, 1, needs=1)
    if not 0 <= number < len(loss):
        raise ValueError(f"cannot leave out {number} of {len(loss)} runs.")
    kept = loss < (np.sort(loss)[-number] if number else np.inf)
    return params[kept], tokens[kept], loss[kept]


# -------------------------------------------------------------------------------- one word
class Descents(NamedTuple):
    """Where an optimiser stopped, from each starting point, lowest first.

    constants : (S, 5) array, E, A, B, alpha, beta
    objective : (S,) array, always the *sum* of Huber's loss, so that both words can be compared
    evaluations : int, of the objective, over all starts
    """

    constants: np.ndarray
    objective: np.ndarray
    evaluations: int

    @property
    def exponent(self):
        """(S,) array: a = beta / (alpha + beta) of each."""
        alpha, beta = self.constants[:, 3:].T
        with np.errstate(invalid="ignore"):  # a descent may end with both at 0
            return beta / (alpha + beta)


def starting_points(every=1):
    """The 4,500 starting points of Hoffmann et al. (2022), or every so many of them.

    log A, log B in 0, 5 … 25;  log E in -1, -0.5 … 1;  alpha, beta in 0, 0.5 … 2

    Returns
    -------
    starts : (S, 5) array, columns log A, log B, log E, alpha, beta
    """
    log_A, exponents = np.arange(0.0, 26.0, 5.0), np.arange(0.0, 2.1, 0.5)
    grid = product(log_A, log_A, np.arange(-1.0, 1.1, 0.5), exponents, exponents)
    return np.array(list(grid))[::every]


def descend(params, tokens, loss, starts, *, reduction="sum", delta=1e-3):
    """Minimise the objective of Hoffmann et al. (2022, eq. 3) as papers do: L-BFGS-B, many starts.

        objective = sum or mean over the runs of Huber_delta( log L(N, D) - log L )

    The gradient is exact and every option of scipy.optimize.minimize is left at its default. Both
    words have the same minimum. But the defaults stop a descent when the objective falls by less
    than 2.2e-9, an absolute amount for objectives below 1, or when no slope is above 1e-5. With
    delta = 1e-3 the sum over 240 runs is about 1e-3, and their mean about 4e-6: for the mean, "too
    small to matter" comes early.

    Parameters
    ----------
    params, tokens, loss : (n,) sequences, one run each
    starts : (S, 5) array as from `starting_points`
    reduction : "sum" or "mean"
    delta : float > 0

    Returns
    -------
    stopped : `Descents`, lowest objective first

    Raises
    ------
    ValueError : for another reduction, or columns as in `fit_chinchilla`
    """
    params, tokens, loss = checks.runs(params, tokens, loss, 5)
    checks.positive(delta=delta)
    if reduction not in ("sum", "mean"):
        raise ValueError(f'reduction must be "sum" or "mean", got {reduction!r}.')
    starts = np.asarray(starts, float)
    if starts.ndim != 2 or starts.shape[1] != 5:
        raise ValueError(f"expected starts of shape (S, 5), got {starts.shape}.")
    x, y, t = np.log(params), np.log(tokens), np.log(loss)
    scale = 1.0 if reduction == "sum" else 1 / len(t)

    def objective(theta):
        a, b, e, alpha, beta = theta
        u, v = a - alpha * x, b - beta * y
        top = np.maximum(np.maximum(u, v), e)  # log-sum-exp: e^25 and worse lie on the way
        by_size, by_data, floor = np.exp(u - top), np.exp(v - top), np.exp(e - top)
        total = by_size + by_data + floor
        residual = np.log(total) + top - t
        psi = np.clip(residual, -delta, delta)
        slope = psi / total
        by_size, by_data = slope * by_size, slope * by_data
        gradient = by_size.sum(), by_data.sum(), slope @ floor, -(by_size @ x), -(by_data @ y)
        return scale * (psi @ (residual - psi / 2)), scale * np.array(gradient)

    found = [minimize(objective, start, jac=True, method="L-BFGS-B") for start in starts]
    value = np.array([result.fun for result in found]) / scale
    order = np.argsort(value, kind="stable")
    theta = np.array([result.x for result in found])[order]
    with np.errstate(over="ignore"):  # a descent may end anywhere
        A, B, E = np.exp(theta[:, :3]).T
    constants = np.stack([E, A, B, theta[:, 3], theta[:, 4]], 1)
    return Descents(constants, value[order], sum(result.nfev for result in found))


# ----------------------------------------------------------------- rounding, runs left out
def tokens_per_parameter(law, compute):
    """D* / N*, what a law asks for on a budget of `compute` FLOP.

    Parameters
    ----------
    law : dict with A, B, alpha, beta, as in `published`; E does not matter
    compute : float or array

    Examples
    --------
    >>> float(tokens_per_parameter(published.HOFFMANN, 5.76e23).round(1))
    58.9
    >>> float(tokens_per_parameter(published.HOFFMANN | {"beta": 0.28}, 5.76e23).round(1))
    87.5
    """
    params, tokens = compute_optimal(compute, **_allocating(law))
    return tokens / params


def exponents_without_highest(params, tokens, loss, numbers, *, delta=1e-3):
    """The exponent a, fitted again and again with the highest losses left out.

    Parameters
    ----------
    params, tokens, loss : (n,) sequences, one run each
    numbers : (K,) sequence of int, how many runs to leave out
    delta : float, as in `fit_chinchilla`: 1 and more is least squares

    Returns
    -------
    exponents : (K,) array of a = beta / (alpha + beta)
    """
    fits = [
        fit_chinchilla(*without_highest(params, tokens, loss, number), delta=delta)
        for number in numbers
    ]
    return np.array([fit.exponent for fit in fits])


# ------------------------------------------------------------------------------ embeddings
class View(NamedTuple):
    """Chinchilla's optimum as someone sees it who does not count embeddings.

    compute, params : (K,) arrays, 6 N D* and N*, N without embeddings; compute evenly spaced in log
    exponent : float, slope of the line through log N* against log C
    """

    compute: np.ndarray
    params: np.ndarray
    exponent: float


def without_embedding_view(law, *, smallest=768.0, largest=1.5e9, omega=47_491.0, points=200):
    """Why Kaplan et al. (2020) saw a = 0.73: a true law, looked at without the embeddings.

    Pearce & Song (2024): the models of a family have N parameters without, and N_T with embeddings,

        N_T = N + omega N^(1/3)

    so that a law in N_T is no power law in N. With C = 6 N D the optimum lies where

        alpha A N_T^-(alpha + 1) (dN_T / dN) N = beta B D^-beta

    and log N* against log C is a curve. A straight line through it, over the sizes that Kaplan et
    al. trained, is steeper than the law: small models are nearly all embedding.

    Parameters
    ----------
    law : dict with A, B, alpha, beta, in total parameters; E does not matter
    smallest, largest : float, range of N; the defaults are Kaplan's
    omega : float, of the Chinchilla models; 0 counts everything
    points : int, budgets the line is fitted to

    Returns
    -------
    view : `View`
    """
    A, B, alpha, beta = checks.positive(**_allocating(law))
    smallest, largest = checks.positive(smallest=smallest, largest=largest)
    if not smallest < largest or not omega >= 0 or points < 2:
        raise ValueError(
            f"expected smallest < largest, omega >= 0 and points >= 2; got {smallest}, {largest}, "
            f"{omega}, {points}."
        )
    N = np.geomspace(smallest, largest, 20 * points)
    total, slope = N + omega * N ** (1 / 3), 1 + omega / 3 * N ** (-2 / 3)
    gain = alpha * A * total ** -(alpha + 1) * slope * N
    log_C = np.log(6 * N) - np.log(gain / (beta * B)) / beta
    even = np.linspace(log_C[0], log_C[-1], points)
    log_N = np.interp(even, log_C, np.log(N))
    return View(np.exp(even), np.exp(log_N), float(np.polyfit(even, log_N, 1)[0]))


def _allocating(law):
    """The constants that decide how a budget is split."""
    return {name: law[name] for name in ("A", "B", "alpha", "beta")}
