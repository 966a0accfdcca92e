"""Scaling laws: what loss to expect of how many parameters, tokens and FLOP.

`laws` states them, `fitting` fits them to runs and says how far to trust the result, `isoflop` and
`selection` are two other ways to look at the same runs, `allocation` spends a budget, `accounting`
counts what a transformer costs, `overoptimisation` is the law of alignment, `published` holds other
people's numbers, `audit` shows how they came to differ, and `sweep` makes new ones on any executor.
`prediction` seals what a law says of a run before it is done, and scores it after. Two modules
train: `networks` of many sizes, and `study`, an experiment on a text of known entropy. They need
torch; import them by their names.

>>> from lmlib import scaling
>>> gpt2 = scaling.Shape(layers=12, width=768, heads=12, vocabulary=50257, context=1024)
>>> round(sum(scaling.parameters(gpt2).values()) / 1e6)
124
"""

from lmlib.scaling import audit, published, sweep
from lmlib.scaling.accounting import (
    Shape,
    chinchilla_shape,
    flop_per_token,
    parameters,
    without_embedding,
)
from lmlib.scaling.allocation import (
    compute_optimal,
    implied_demand,
    inference_optimal,
    inference_plans,
    numeric_optimum,
    optimal_tokens,
)
from lmlib.scaling.fitting import (
    Fit,
    fit_chinchilla,
    fit_kaplan,
    fit_power_mean,
    fit_repetition,
    local_minima,
)
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
from lmlib.scaling.overoptimisation import (
    best_of_n,
    best_of_n_kl,
    fit_gold_reward,
    gold_reward,
    simulate_best_of_n,
)
from lmlib.scaling.prediction import Prediction, Score, predict_run, seal
from lmlib.scaling.selection import Extrapolation, extrapolation

__all__ = [
    "Extrapolation",
    "Fit",
    "Minima",
    "Prediction",
    "Score",
    "Shape",
    "audit",
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
    "fit_repetition",
    "flop_per_token",
    "gold_reward",
    "implied_demand",
    "inference_optimal",
    "inference_plans",
    "isoflop_bias",
    "isoflop_minima",
    "kaplan",
    "kaplan_as_power_mean",
    "local_minima",
    "numeric_optimum",
    "optimal_tokens",
    "parameters",
    "power_law",
    "power_mean",
    "predict_run",
    "published",
    "seal",
    "simulate_best_of_n",
    "sweep",
    "without_embedding",
]
