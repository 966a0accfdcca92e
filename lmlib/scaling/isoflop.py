r"""Approach 2 of Hoffmann et al. (2022): for each budget, the bottom of the valley.

Train several sizes on the same compute. Loss against log N is a valley; a parabola through the
runs near its lowest point gives N*, and log N* against log C a line, whose slope is the exponent a.

The parabola is an approximation, and a biased one. A valley of A N^-alpha + B (C / 6N)^-beta is
steeper on one side unless alpha = beta, and the wider the window, the further the parabola's vertex
leans to the flat side. The bias of log N* is the same at every budget when the window is, so it
leaves the exponent alone and shifts the constant (Czech et al. 2026); `isoflop_bias` measures it.
"""

from typing import NamedTuple

import numpy as np

from lmlib.scaling import checks, laws
from lmlib.scaling.allocation import compute_optimal


class Minima(NamedTuple):
    """The bottoms of K valleys.

    compute, params, tokens, loss : (K,) arrays, C, N*, D* = C / 6 N* and the loss there
    exponent : float, a of N* ∝ C^a, the slope of the line through log N*; nan for one budget
    """

    compute: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    exponent: float


def isoflop_minima(params, tokens, loss, compute, *, window=6.0):
    """The bottom of each IsoFLOP valley, by a parabola in log N.

    Parameters
    ----------
    params, tokens, loss : (n,) sequences, one run each
    compute : (n,) sequence, the FLOP budget each run belongs to; equal values make one valley
    window : float > 1, runs with N within this factor of the valley's lowest run are used

    Returns
    -------
    minima : `Minima`, budgets in rising order

    Raises
    ------
    ValueError : for columns as in `fit_chinchilla`; for a valley with fewer than three sizes in the
        window, or whose lowest run is its smallest or its largest model, so that the bottom may lie
        outside; for a parabola that opens downwards

    Warns
    -----
    UserWarning : if compute is not within a factor of two of 6 N D

    Examples
    --------
    >>> N = np.geomspace(1e6, 1e8, 9)
    >>> loss = 2 + 0.1 * np.log(N / 2e7) ** 2                       # a parabola, bottom at 2e7
    >>> found = isoflop_minima(N, 6e16 / 6 / N, loss, np.full(9, 6e16))
    >>> float(found.params[0].round(3)), float(found.tokens[0].round(3))
    (20000000.0, 500000000.0)
    """
    params, tokens, loss = checks.runs(params, tokens, loss, 3)
    (compute,) = checks.positive(compute=compute)
    if compute.shape != loss.shape:
        raise ValueError(f"one budget per run: {len(loss)} runs, compute of shape {compute.shape}.")
    if not window > 1:
        raise ValueError(f"window must be a factor above 1, got {window}.")
    checks.same_units(params, tokens, compute, stacklevel=2)
    bottoms = [
        _bottom(np.log(params[valley]), loss[valley], budget, np.log(window))
        for budget in np.unique(compute)
        for valley in [compute == budget]
    ]
    budgets, (best, lowest) = np.unique(compute), np.array(bottoms).T
    slope = np.polyfit(np.log(budgets), best, 1)[0] if len(budgets) > 1 else np.nan
    at = np.exp(best)
    per_token = checks.FLOP_PER_PARAMETER_AND_TOKEN * at
    return Minima(budgets, at, budgets / per_token, lowest, float(slope))


def _bottom(log_N, loss, budget, window):
    """log N* and the loss there, for one valley."""
    lowest = log_N[loss.argmin()]
    if lowest in (log_N.min(), log_N.max()):
        side = "smallest" if lowest == log_N.min() else "largest"
        raise ValueError(
            f"at {budget:.3g} FLOP the {side} model is the best, so the valley's bottom may lie "
            f"beyond it: train {'smaller' if side == 'smallest' else 'larger'} ones."
        )
    near = np.abs(log_N - lowest) <= window
    if len(np.unique(log_N[near])) < 3:
        raise ValueError(
            f"at {budget:.3g} FLOP fewer than three sizes lie within the window: a parabola needs "
            "three. Widen the window, or train sizes closer together."
        )
    curve, slope, height = np.polyfit(log_N[near] - lowest, loss[near], 2)
    if curve <= 0:
        raise ValueError(
            f"at {budget:.3g} FLOP the runs near the best one make no valley (the parabola opens "
            "downwards): the noise is larger than the dip, or the window is too narrow."
        )
    shift = -slope / (2 * curve)
    return lowest + shift, height + slope * shift / 2


def isoflop_bias(params, tokens, compute, *, window=6.0, E, A, B, alpha, beta):
    """N* by parabola over the true N*, if the law were exact and the runs had no noise.

    The same sizes, budgets and window, with losses from Chinchilla's law: what differs from 1 is
    the parabola's own error. Divide N* by it, or report it.

    Parameters
    ----------
    params, tokens, compute, window : as in `isoflop_minima`
    E, A, B, alpha, beta : constants of Chinchilla's law, for example ``**fit.constants``

    Returns
    -------
    ratio : (K,) array, one per budget

    Raises
    ------
    ValueError : as `isoflop_minima`
    """
    loss = laws.chinchilla(params, tokens, E, A, B, alpha, beta)
    found = isoflop_minima(params, tokens, loss, compute, window=window)
    return found.params / compute_optimal(found.compute, A, B, alpha, beta)[0]
