"""Which law to believe: fit the small runs, predict the large ones, compare.

A law with more constants fits the runs it has seen better, always. What a scaling law is for is
the run nobody has paid for yet, so that is what it should be judged by.
"""

from typing import NamedTuple

import numpy as np

from lmlib.scaling import checks


class Extrapolation(NamedTuple):
    """How a law fitted to the cheaper runs predicts the dearer ones; losses in nats per token.

    fit : the `Fit` of the cheaper runs
    fitted : float, root mean square error on the runs it was fitted to
    held_out : float, root mean square error on those it was not
    bias : float, mean of predicted minus measured there; positive is pessimistic
    """

    fit: object
    fitted: float
    held_out: float
    bias: float


def extrapolation(fitter, params, tokens, loss, held_out):
    """Hold out the runs that cost most, fit the rest, predict what was held out.

    Parameters
    ----------
    fitter : (params, tokens, loss) -> Fit, such as `fit_chinchilla`
    params, tokens, loss : (n,) sequences, one run each
    held_out : int, how many runs to hold out, those with the largest 6 N D; runs of the same cost
        stay together, so it may be a few more

    Returns
    -------
    result : `Extrapolation`; the law to prefer has the smallest `held_out`

    Raises
    ------
    ValueError : if held_out is not between 1 and n - 1, or nothing is left to fit; as the fitter

    Examples
    --------
    >>> from lmlib.scaling import fit_chinchilla
    >>> N, D = (grid.ravel() for grid in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
    >>> result = extrapolation(fit_chinchilla, N, D, 2 + 100 / N**0.5 + 200 / D**0.25, held_out=1)
    >>> bool(result.held_out < 1e-6)
    True
    """
    params, tokens, loss = checks.runs(params, tokens, loss, 2, needs=1)
    if not 1 <= held_out < len(loss):
        raise ValueError(f"held_out must be between 1 and {len(loss) - 1} runs, got {held_out}.")
    cost = np.log(params) + np.log(tokens)
    # Equal products differ in their last digits, hence the tolerance.
    far = cost >= np.sort(cost)[-held_out] - 1e-9
    if far.all():
        raise ValueError("all runs cost the same: there is no cheaper run to fit.")
    fit = fitter(params[~far], tokens[~far], loss[~far])
    error = fit.predict(params, tokens) - loss
    return Extrapolation(
        fit,
        float(np.sqrt(np.mean(error[~far] ** 2))),
        float(np.sqrt(np.mean(error[far] ** 2))),
        float(np.mean(error[far])),
    )
