r"""A scaling study with the answer key: networks of many sizes on a text whose entropy is known.

    runs = study.isoflop(study.design(seed=0))               # half a minute on one core
    fit = scaling.fit_chinchilla(runs.params, runs.tokens, runs.loss)

The law's E is what the loss would come down to, with networks and texts without end. No study of
real text can check it. Here the text comes from `known_source`, and E has a right answer: the mean
of -log P over the very tokens that every network is tested on.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmlib.corpora import MarkovSource, markov_logits, measured
from lmlib.scaling import sweep
from lmlib.scaling.checks import FLOP_PER_PARAMETER_AND_TOKEN
from lmlib.scaling.isoflop import Minima
from lmlib.scaling.networks import held_out, parameters, train

BUDGETS = (1e9, 4e9, 1.6e10)  # FLOP
WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
TOKENS = (10_000, 1_300_000)  # with fewer, warm-up is most of training; more take too long
TEST = (2048, 32)  # texts, predictions in each
CHECKPOINTS = tuple(2 ** (-k / 2) for k in range(5))  # shares of a run, from all to a quarter


@cache
def known_source() -> MarkovSource:
    """The source of the study: 64 symbols, of which two decide the next."""
    return markov_logits(np.random.default_rng(0), symbols=64, scales=(1.5, 1.0), zipf=0.8)


@cache
def held_out_text() -> np.ndarray:
    """(texts, length) ids that every network of the study is tested on: 65,536 predictions."""
    texts, predictions = TEST
    source = known_source()
    return source.sample(np.random.default_rng([0, 1]), texts, source.order + predictions)


def measure(budget: float, width: int, seed: int, replicas: int = 2) -> dict:
    """Spend a budget on networks of one width, for `sweep.run`.

    Parameters
    ----------
    budget : float, C in FLOP, of each network
    width, seed : int
    replicas : int >= 1, R

    Returns
    -------
    results : dict of params (N), tokens (D = C / 6N), the held-out losses loss_0, loss_1 … of the
        replicas, and the training losses train_0, train_1 … when a share of the budget was spent,
        the shares being those of `CHECKPOINTS`; averaged over the replicas and a quarter of the
        steps up to there
    """
    source = known_source()
    params = parameters(width, source)
    tokens = int(budget / (FLOP_PER_PARAMETER_AND_TOKEN * params))
    # Width and length are part of the seed, or all runs would read the same text, and a strange
    # one would shift them all alike, where no resampling of runs could see it.
    seeds = [(seed, width, tokens, r) for r in range(replicas)]
    networks, curve = train(source, width, tokens, seeds)
    ends = [round(share * curve.shape[1]) for share in CHECKPOINTS]
    return (
        {"params": params, "tokens": tokens}
        | {f"loss_{r}": loss for r, loss in enumerate(held_out(networks, held_out_text()).tolist())}
        | {f"train_{k}": float(curve[:, 3 * end // 4 : end].mean()) for k, end in enumerate(ends)}
    )


def design(
    budgets: Iterable[float] = BUDGETS, widths: Iterable[int] = WIDTHS, *, seed: int, **more
) -> list[dict]:
    """The configurations of an IsoFLOP study: all widths that have a reasonable D at a budget."""
    source, (fewest, most) = known_source(), TOKENS
    return [
        {"budget": float(budget), "width": width, "seed": seed} | more
        for budget in budgets
        for width in widths
        if fewest <= budget / (FLOP_PER_PARAMETER_AND_TOKEN * parameters(width, source)) <= most
    ]


class Runs(NamedTuple):
    """The runs of a study, one an entry.

    budget, params, tokens : (n,) float64, C, N and D
    width : (n,) int64
    losses : (n, R) float64, held-out loss of each replica, nats
    curves : (n, checkpoints) float64, training loss after each of `CHECKPOINTS`, nats
    """

    budget: np.ndarray
    width: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    losses: np.ndarray
    curves: np.ndarray

    @property
    def loss(self) -> np.ndarray:
        """(n,) float64, the mean of the replicas."""
        return self.losses.mean(1)


def isoflop(
    configurations: Iterable[dict],
    path: str | Path | None = None,
    executor: Executor | None = None,
    *,
    progress: bool = False,
) -> Runs:
    """Train every network of a design.

    Parameters
    ----------
    configurations : as from `design`
    path : the CSV that keeps the runs, and from which an interrupted study goes on; None for none
    executor : any Executor, as in `sweep.run`; None trains one network after the other, here
    progress : bool, show a bar

    Returns
    -------
    runs : Runs
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as here:
        path = path or Path(folder, "runs.csv")
        rows = sweep.run(configurations, measure, path, executor or here, progress=progress)
    return runs_of({name: [row[name] for row in rows] for name in rows[0]})


def runs_of(table: Mapping[str, Sequence]) -> Runs:
    """The columns of a sweep, or of the shipped CSV, as `Runs`."""

    def block(prefix):
        return np.stack([table[name] for name in table if name.startswith(prefix)], 1)

    return Runs(
        np.asarray(table["budget"], float),
        np.asarray(table["width"], int),
        np.asarray(table["params"], float),
        np.asarray(table["tokens"], float),
        block("loss_"),
        block("train_"),
    )


def recorded(seed: int) -> tuple[Runs, Runs]:
    """What `isoflop` gave for a seed, and the larger run after it: measured, and shipped.

    Returns
    -------
    runs, large : Runs

    Raises
    ------
    ValueError : for a seed that was not measured
    """
    table = measured("scaling_runs")
    here = table["seed"] == seed
    if not here.any():
        seeds = np.unique(table["seed"]).astype(int).tolist()
        raise ValueError(f"seed {seed} was not measured; there are {seeds}.")
    large = table["budget"] > max(BUDGETS)
    return tuple(
        runs_of({name: column[here & part] for name, column in table.items()})
        for part in (~large, large)
    )


def training_envelope(runs: Runs) -> Minima:
    """Approach 1 of Hoffmann et al. (2022): at each amount of compute, the best run so far.

    Every checkpoint of every run is a network of N parameters that has cost a share of its budget.
    For each amount of compute at which there are three sizes or more, the lowest training loss
    names N*. Two known weaknesses: N* is always one of the sizes that were trained, and a run that
    has not come to its end has not had its learning rate lowered, so that it looks worse than a run
    that was planned to end there.

    Returns
    -------
    minima : Minima, as `isoflop_minima` gives it for Approach 2
    """
    compute = runs.budget[:, None] * np.array(CHECKPOINTS)  # (n, checkpoints)
    key = np.log2(compute).round(6)  # from two budgets, the last digits of equal compute differ
    best = []
    for amount in np.unique(key):
        run, point = np.nonzero(key == amount)
        if len(np.unique(runs.params[run])) >= 3:
            lowest = runs.curves[run, point].argmin()
            run, point = run[lowest], point[lowest]
            best.append((compute[run, point], runs.params[run], runs.curves[run, point]))
    compute, params, loss = np.array(best).T
    tokens = compute / (FLOP_PER_PARAMETER_AND_TOKEN * params)
    exponent = np.polyfit(np.log(compute), np.log(params), 1)[0]
    return Minima(compute, params, tokens, loss, float(exponent))
