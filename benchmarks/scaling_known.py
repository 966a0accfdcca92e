"""A scaling study with the answer key: 27 small networks, twice each, on a text of known entropy.

    OMP_NUM_THREADS=1 python3 run.py bench scaling_known [--write]

repeats the study of the scaling chapter with 20 seeds, each with texts and networks of its own, and
asks of each: does the interval of E hold the entropy of the test text? How far off is the loss
predicted for a run with ten times the compute of the largest budget? What is the exponent a of
N* ∝ C^a by each of the three approaches? --write stores in lmlib/data/

    scaling_runs.csv    every run, those with ten times the compute among them
    scaling_known.csv   a row for each seed, computed from the former:
        truth                     entropy of the very test tokens, nats
        E, alpha, beta            Approach 3: fit_chinchilla, with 95 % intervals (_low, _high) from
                                  1,000 resamples of the 27 runs
        rms                       of the residuals, nats
        a_1                       Approach 1: the envelope of the training curves
        a_2, a_2_narrow, a_2_wide Approach 2: parabolas over a factor of 6, 3 and 20 to either side
        a_grid                    the lowest run of each budget, without a parabola
        a_3                       beta / (alpha + beta)
        params, tokens            of the large run, the fit's own optimum
        predicted, low, high      its loss and the 95 % interval of the run (`predict_run`)
        curve_low, curve_high     the 95 % interval of the curve alone
        measured                  mean of two networks

About 11 minutes on one core. After an interruption the same command goes on where it stopped.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import _tables
import numpy as np

from lmlib import scaling
from lmlib.scaling import networks, study

ROOT = Path(__file__).parents[1]
DATA = ROOT / "lmlib" / "data"
DIGITS = 5


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers; the recipe of training is in `networks`."""

    seeds: tuple = tuple(range(20))
    budgets: tuple = study.BUDGETS
    widths: tuple = study.WIDTHS
    large: float = 1.6e11  # FLOP
    resamples: int = 1000
    windows: tuple = (("a_2", 6.0), ("a_2_narrow", 3.0), ("a_2_wide", 20.0))


def studied(seed, settings, path):
    """The runs of one seed, rounded as they will be stored, and the large one chosen by them."""
    design = study.design(settings.budgets, settings.widths, seed=seed)
    small = rounded(study.isoflop(design, path))
    fit = scaling.fit_chinchilla(small.params, small.tokens, small.loss)
    width = networks.width_for(fit.optimal(settings.large)[0], study.known_source())
    large = study.isoflop([{"budget": settings.large, "width": width, "seed": seed}], path)
    return small, rounded(large)


def rounded(runs):
    return runs._replace(losses=runs.losses.round(DIGITS), curves=runs.curves.round(DIGITS))


def analysed(seed, small, large, truth, settings):
    """The row of one seed."""
    fit = scaling.fit_chinchilla(small.params, small.tokens, small.loss)
    draws = fit.bootstrap(settings.resamples, np.random.default_rng([seed, 3]))
    intervals = np.quantile(draws, [0.025, 0.975], axis=0).T  # (5, 2)
    a_draws = draws[:, 4] / (draws[:, 3] + draws[:, 4])
    row = {"seed": seed, "truth": truth}
    for name, interval in zip(fit.constants, intervals, strict=True):
        if name in ("E", "alpha", "beta"):
            row |= spread(name, getattr(fit, name), interval)
    row["rms"] = np.sqrt(np.mean((fit.predict(small.params, small.tokens) - small.loss) ** 2))
    row["a_1"] = study.training_envelope(small).exponent
    row["a_grid"] = grid_exponent(small)
    for name, window in settings.windows:
        columns = small.params, small.tokens, small.loss, small.budget
        row[name] = scaling.isoflop_minima(*columns, window=window).exponent
    row |= spread("a_3", fit.exponent, np.quantile(a_draws, [0.025, 0.975]))
    N, D = large.params[0], large.tokens[0]
    rng = np.random.default_rng([seed, 4])
    prediction = scaling.predict_run(fit, N, D, draws, rng)
    curve = np.quantile(scaling.chinchilla(N, D, *draws.T), [0.025, 0.975])
    row |= {"params": int(N), "tokens": int(D), "predicted": prediction.loss}
    row |= {"low": prediction.low, "high": prediction.high}
    row |= {"curve_low": curve[0], "curve_high": curve[1], "measured": large.loss[0]}
    return {k: round(float(v), DIGITS) if isinstance(v, float) else v for k, v in row.items()}


def grid_exponent(runs):
    """What becomes of Approach 2 if the best size tried is taken for the best size."""
    budgets = np.unique(runs.budget)
    best = [
        runs.params[valley][runs.loss[valley].argmin()]
        for valley in (runs.budget == budget for budget in budgets)
    ]
    return np.polyfit(np.log(budgets), np.log(best), 1)[0]


def spread(name, value, interval):
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}


def stored(seed, runs):
    """Rows of scaling_runs.csv."""
    for i, budget in enumerate(runs.budget):
        yield (
            {"seed": seed, "budget": f"{budget:g}", "width": runs.width[i]}
            | {"params": int(runs.params[i]), "tokens": int(runs.tokens[i])}
            | {f"loss_{r}": loss for r, loss in enumerate(runs.losses[i].tolist())}
            | {f"train_{k}": loss for k, loss in enumerate(runs.curves[i].tolist())}
        )


def report(rows):
    """Markdown: a line for each seed, and what they say together."""
    c = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    print(f"Entropy of the test text: {c['truth'][0]:.4f} nats.\n")
    print("| seed | E [95 %] | rms | a₁ | a₂ | a₃ [95 %] | predicted [95 %] | measured |")
    print("|---:|---|---:|---:|---:|---|---|---:|")
    for r in rows:
        print(
            f"| {r['seed']} | {r['E']:.3f} [{r['E_low']:.3f}, {r['E_high']:.3f}] | {r['rms']:.4f} "
            f"| {r['a_1']:.3f} | {r['a_2']:.3f} | {r['a_3']:.3f} [{r['a_3_low']:.3f}, "
            f"{r['a_3_high']:.3f}] | {r['predicted']:.4f} [{r['low']:.4f}, {r['high']:.4f}] "
            f"| {r['measured']:.4f} |"
        )
    held = (c["E_low"] <= c["truth"]) & (c["truth"] <= c["E_high"])
    error = c["predicted"] - c["measured"]
    inside = (c["low"] <= c["measured"]) & (c["measured"] <= c["high"])
    on_curve = (c["curve_low"] <= c["measured"]) & (c["measured"] <= c["curve_high"])
    print(
        f"\nE: {c['E'].mean():.4f} ± {c['E'].std(ddof=1):.4f}; the interval holds the truth in "
        f"{held.sum()} of {len(rows)} studies."
    )
    print(
        f"Large run: predicted minus measured {error.mean():.4f} ± {error.std(ddof=1):.4f} nats, "
        f"at most {np.max(np.abs(error) / c['measured']):.2%}; inside the interval of the run "
        f"{inside.sum()}, of the curve {on_curve.sum()} of {len(rows)}."
    )
    for name in ("a_1", "a_grid", "a_2", "a_2_narrow", "a_2_wide", "a_3", "alpha", "beta"):
        print(f"{name}: {c[name].mean():.4f} ± {c[name].std(ddof=1):.4f}")


def main(arguments):
    start = process_time()
    settings = Settings()
    source, test = study.known_source(), study.held_out_text()
    truth = float(-np.log(source.token_probabilities(test)).mean())
    # Other settings, another file: what is left of one experiment is not mixed into the next.
    mark = zlib.crc32(repr(settings).encode())
    unfinished = ROOT / ".venv" / f"scaling_known_{mark:08x}.csv"
    runs, rows = [], []
    for seed in settings.seeds:
        small, large = studied(seed, settings, unfinished)
        runs += [*stored(seed, small), *stored(seed, large)]
        rows.append(analysed(seed, small, large, truth, settings))
        print(f"seed {seed}: {process_time() - start:.0f} CPU seconds so far", file=sys.stderr)
    report(rows)
    if "--write" in arguments:
        for name, table in {"runs": runs, "known": rows}.items():
            _tables.write(DATA / f"scaling_{name}.csv", table)
    unfinished.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
