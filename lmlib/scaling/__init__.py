"""Scaling laws: what loss to expect of how many parameters, tokens and FLOP.

`laws` states them, `fitting` fits them to runs and says how far to trust the result, `isoflop` and
`selection` are two other ways to look at the same runs, `allocation` spends a budget, `accounting`
counts what a transformer costs, `overoptimisation` is the law of alignment, `published` holds other
people's numbers, and `sweep` makes new ones on any executor.

>>> from lmlib import scaling
>>> gpt2 = scaling.Shape(layers=12, width=768, heads=12, vocabulary=50257, context=1024)
>>> round(sum(scaling.parameters(gpt2).values()) / 1e6)
124
"""

from lmlib.scaling import published, sweep
from lmlib.scaling.accounting import (
    Shape,
    chinchilla_shape,
    flop_per_token,
    parameters,
    without_embedding,
)
from lmlib.scaling.allocation import compute_optimal, inference_optimal, numeric_optimum
from lmlib.scaling.fitting import Fit, fit_chinchilla, fit_kaplan, fit_power_mean, local_minima
from lmlib.scaling.isoflop import Minima, isoflop_bias, isoflop_minima
from lmlib.scaling.laws import (
    chinchilla,
    data_constrained,
    effective,
    kaplan,
    kaplan_as_power_mean,
    power_law,
    power_mean,
)
from lmlib.scaling.overoptimisation import best_of_n, best_of_n_kl, fit_gold_reward, gold_reward
from lmlib.scaling.selection import Extrapolation, extrapolation

__all__ = [
    "Extrapolation",
    "Fit",
    "Minima",
    "Shape",
    "best_of_n",
    "best_of_n_kl",
    "chinchilla",
    "chinchilla_shape",
    "compute_optimal",
    "data_constrained",
    "effective",
    "extrapolation",
    "fit_chinchilla",
    "fit_gold_reward",
    "fit_kaplan",
    "fit_power_mean",
    "flop_per_token",
    "gold_reward",
    "inference_optimal",
    "isoflop_bias",
    "isoflop_minima",
    "kaplan",
    "kaplan_as_power_mean",
    "local_minima",
    "numeric_optimum",
    "parameters",
    "power_law",
    "power_mean",
    "published",
    "sweep",
    "without_embedding",
]
