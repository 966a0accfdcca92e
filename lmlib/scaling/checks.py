"""What every function of this package asks of its input, said once."""

import warnings

import numpy as np

FLOP_PER_PARAMETER_AND_TOKEN = 6  # 2 forward, 4 backward (Kaplan et al. 2020, section 2.1)


def positive(**values):
    """The values as float arrays, or a ValueError that names the first one that is not positive."""
    arrays = []
    for name, value in values.items():
        array = np.asarray(value, float)
        if not np.all(np.isfinite(array) & (array > 0)):
            wrong = array[~(np.isfinite(array) & (array > 0))].flat[0]
            raise ValueError(f"{name} must be positive and finite, got {wrong}.")
        arrays.append(array)
    return arrays


def runs(params, tokens, loss, constants, needs=3):
    """One row per run as float64 arrays, or a ValueError that names the likely slip.

    Parameters
    ----------
    params, tokens, loss : (n,) sequences, N, D and L of n training runs
    constants : int, how many constants will be fitted
    needs : int, how many different N, and D, the law needs
    """
    columns = {
        name: np.asarray(column, float)
        for name, column in (("params", params), ("tokens", tokens), ("loss", loss))
    }
    shapes = {name: column.shape for name, column in columns.items()}
    if len(set(shapes.values())) > 1 or columns["loss"].ndim != 1:
        raise ValueError(
            f"expected three flat columns of equal length, one row a run; got {shapes}."
        )
    n = len(columns["loss"])
    if n < constants:
        raise ValueError(
            f"{n} runs cannot determine {constants} constants: measure more, or fit a smaller law."
        )
    for name, column in columns.items():
        bad = ~(np.isfinite(column) & (column > 0))
        if bad.any():
            cause = {
                "loss": "a run that diverged? drop it, and say so",
                "params": "parameters are counted, not in logarithms",
                "tokens": "tokens are counted, not in logarithms",
            }[name]
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"{name} must be positive and finite, got {column[row]} in row {row}: {cause}."
            )
    for name in ("params", "tokens"):
        different = len(np.unique(columns[name]))
        if different < needs:
            raise ValueError(
                f"different values of {name}: {different}, and this law needs {needs} or more to "
                "tell its exponent from its other constants."
            )
    return columns["params"], columns["tokens"], columns["loss"]


def same_units(params, tokens, compute, stacklevel):
    """Warn when 6 N D and the stated FLOP differ twofold, which is how mixed units show."""
    (compute,) = positive(compute=compute)
    ratio = float(np.median(compute / (FLOP_PER_PARAMETER_AND_TOKEN * params * tokens)))
    if not 0.5 <= ratio <= 2:
        warnings.warn(
            f"compute is {ratio:.2g} times 6 · params · tokens (median). Training costs about "
            "6 FLOP per parameter and token, so the units may be mixed: count parameters and "
            "tokens one by one, not in millions or billions, and compute in FLOP.",
            stacklevel=stacklevel + 1,
        )
