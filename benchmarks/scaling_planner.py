"""The laws of the budget planner, and how well runs like the published ones pin them down.

    python3 run.py bench scaling_planner [--write]

prints each law with the spread of its constants; --write stores them in
lmlib/data/scaling_planner.json, which `lmlib.planner` and the book's page read.

Chinchilla's law stands with the constants of Besiroglu et al. (2024). The runs behind them have no
licence, so the spread around them comes from a parametric bootstrap: 240 runs with sizes from the
published table, on nine budgets, near the optimum of each, with losses that the law itself
predicts plus scatter as published (0.0218 nats of about 2.5); fit, and repeat. The window around
the optimum is not published. It is set so that the standard errors come out near the published
ones (alpha .015, beta .021, E .026). Over all published sizes they would be half of that, and with
the tails of the published scatter (`lmlib.scaling.audit.chinchilla_like`) a third: as if the
paper's runs did not scatter independently.

The law of our own small networks is fitted to lmlib/data/scaling_runs.csv (`scaling_known`): the
point to all 20 studies together, the draws to ten resamples of each study of 27 runs. Run this
again with --write when that table changes. A further law is one more function in LAWS.

About 5 seconds on one core.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmlib import corpora, scaling
from lmlib.scaling import published

TARGET = Path(__file__).parents[1] / "lmlib" / "data" / "scaling_planner.json"
NAMES = ("E", "A", "B", "alpha", "beta")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers."""

    seed: int = 0
    draws: int = 200
    largest: float = 1.6e10  # FLOP of our own runs; those beyond are kept to check the law
    resamples: int = 10  # of each of our studies
    runs: int = 240
    budgets: tuple = (6e18, 3e21, 9)  # from, to, how many
    fewest_tokens: float = 8.19e8  # of the published runs
    most_tokens: float = 3.18e11
    window: float = 3.0  # sizes up to so many times smaller or larger than the optimum
    noise: float = 0.0087  # of log loss


def design(settings):
    """N and D of all sizes and budgets in the window."""
    sizes = [row[0] * 1e6 for row in published.TABLE_A9]
    low, high, number = settings.budgets
    N, C = (g.ravel() for g in np.meshgrid(sizes, np.geomspace(low, high, number)))
    D = C / 6 / N
    best, _ = scaling.compute_optimal(C, *(published.BESIROGLU[name] for name in NAMES[1:]))
    kept = (settings.fewest_tokens <= D) & (settings.most_tokens >= D)
    kept &= np.abs(np.log(N / best)) <= np.log(settings.window)
    return N[kept], D[kept]


def draws(settings):
    """(draws, 5) constants, each fitted to runs of its own."""
    rng = np.random.default_rng(settings.seed)
    N, D = design(settings)
    expected = scaling.chinchilla(N, D, **published.BESIROGLU)
    found = []
    for _ in range(settings.draws):
        at = rng.integers(len(N), size=settings.runs)
        loss = expected[at] * np.exp(settings.noise * rng.standard_normal(settings.runs))
        fit = scaling.fit_chinchilla(N[at], D[at], loss)
        found.append([fit.constants[name] for name in NAMES])
    return np.array(found)


def power_law(N, compute, exponent):
    """[scale, exponent] of the rule N = scale · C^exponent through one point."""
    return [N / compute**exponent, exponent]


def chinchilla(settings):
    """The entry of Chinchilla's law, refitted."""
    rounded = [published.HOFFMANN_ROUNDED[name] for name in NAMES[1:]]
    share = rounded[3] / (rounded[2] + rounded[3])
    return {
        "name": "Chinchilla, refitted (Besiroglu et al. 2024)",
        "constants": published.BESIROGLU,
        # measured on other runs, by Muennighoff et al. (2023): no interval of its own
        "repetition": {name: published.MUENNIGHOFF[name] for name in ("R_N", "R_D")},
        "measured": [1.4e18, 1.3e22],  # FLOP, the published runs
        "reach": {"compute": [1e17, 1e28], "served": [1e9, 1e16], "unique": [1e8, 1e14]},
        # mistaken rules, N = scale · C^exponent
        "rules": {
            "twenty": [120**-0.5, 0.5],
            # Kaplan et al. (2020), table 6: 1.3e9 parameters for a petaflop-day
            "kaplan": power_law(1.3e9, published.PETAFLOP_DAY, 0.73),
            "hoffmann": power_law(float(scaling.compute_optimal(1e23, *rounded)[0]), 1e23, share),
        },
        # Pearce & Song (2024): N = M + 47,491 M^(1/3) parameters, M of them not in the embeddings
        "embedding": 47_491,
        "budgets": [1e19, 1e21, 5.76e23, 3.8e25],  # of the table without scripts
        "examples": [
            ["1e21 FLOP", 1e21, 0, None],
            ["Chinchilla", 5.76e23, 0, None],
            ["Llama 3 405B", 3.8e25, 0, None],
            ["serve 10 T tokens", 5.76e23, 1e13, None],
            ["only 100 B unique tokens", 5.76e23, 0, 1e11],
        ],
        "draws": draws(settings),
    }


def networks(settings):
    """The entry of the small networks on a text of known entropy."""
    table = corpora.measured("scaling_runs")
    kept = table["budget"] <= settings.largest
    seed, budget, N, D = (table[k][kept] for k in ("seed", "budget", "params", "tokens"))
    loss = (table["loss_0"][kept] + table["loss_1"][kept]) / 2
    whole = scaling.fit_chinchilla(N, D, loss, compute=budget)
    rng = np.random.default_rng(settings.seed)
    resampled = [
        scaling.fit_chinchilla(N[study], D[study], loss[study]).bootstrap(settings.resamples, rng)
        for study in (seed == number for number in np.unique(seed))
    ]
    smallest = budget.min()
    return {
        "name": "Small networks on a text of known entropy (our own runs)",
        "constants": {name: float(f"{value:.6g}") for name, value in whole.constants.items()},
        "repetition": None,  # see `scaling_repeat`: not of Muennighoff's form
        "measured": [smallest, settings.largest],
        "reach": {"compute": [1e8, 1e13], "served": [1e5, 1e11], "unique": [1e4, 1e9]},
        "rules": {
            "twenty": [120**-0.5, 0.5],
            "kaplan": power_law(float(whole.optimal(smallest)[0]), smallest, 0.73),
        },
        "embedding": None,  # N counts what is multiplied, so no table of embeddings
        "budgets": [1e9, 4e9, 1.6e10, 1.6e11],
        "examples": [
            ["1e10 FLOP", 1e10, 0, None],
            ["ten times the largest run", 1.6e11, 0, None],
            ["serve 1 B tokens", 1.6e10, 1e9, None],
        ],
        "draws": np.concatenate(resampled),
    }


LAWS = {"chinchilla": chinchilla, "networks": networks}


def main(write):
    laws = {name: build(Settings()) for name, build in LAWS.items()}
    for law in laws.values():
        found = law["draws"]
        share = found[:, 4] / (found[:, 3] + found[:, 4])
        print(law["name"], "from", len(found), "draws: constant, standard deviation, 95 % of them")
        values = {name: law["constants"][name] for name in NAMES}
        values["a"] = values["beta"] / (values["alpha"] + values["beta"])
        for (name, value), column in zip(values.items(), [*found.T, share], strict=True):
            low, high = np.quantile(column, [0.025, 0.975])
            print(f"{name:>6} {value:10.5g} {column.std():10.3g}   {low:.5g} … {high:.5g}")
        # five digits: the sixth moves no number that the page shows
        law["draws"] = [[float(f"{value:.5g}") for value in row] for row in found]
    text = json.dumps(laws, ensure_ascii=False).replace("], [", "],\n[")  # a draw is a line
    if write:
        TARGET.write_text(text + "\n", "utf-8")
        print(f"wrote {TARGET.name}, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
