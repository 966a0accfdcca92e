"""What repeated tokens are worth: one network, the same text read 1 to 32 times.

    OMP_NUM_THREADS=1 python3 run.py bench scaling_repeat [--write]

prints the tables; --write stores every run, one a row, in lmlib/data/ as scaling_repeat.csv.

A network of `scaling.networks` (64 hidden units, N = 6,144) reads U tokens of its source, in a new
random order in every epoch. Beside it the same network reads fresh tokens only, and this curve of
loss against D is the yardstick: a run that ends with the loss of D' fresh tokens is worth D', and
`multiple` is D' / U. There is no regularisation of any kind. Of several learning rates the one
whose loss is lowest on average over the seeds counts, for fresh and repeated tokens alike.

R* of Muennighoff et al. (2023) is fitted to the epochs before the turn, where more of the same
begins to hurt: their form can only rise.

About 4 minutes on one core. After an interruption the same command goes on where it stopped.
"""

import sys
import zlib
from dataclasses import dataclass
from time import process_time

import _tables
import numpy as np
import scaling_text as text  # before torch: it sets the number of threads
import torch

from lmlib import scaling
from lmlib.scaling import networks, published
from lmlib.scaling.study import known_source


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers."""

    width: int = 64
    unique: tuple = (2**13, 2**15, 2**17)
    epochs: tuple = (1, 2, 4, 8, 16, 32)
    fresh: tuple = tuple(2**k for k in range(12, 22))
    rates: tuple = (0.125, 0.25, 0.5, 1.0)  # factors of `networks.learning_rate`
    seeds: tuple = (0, 1, 2)


def cell(unique, epochs, texts, test, settings):
    """The rows of one U and number of epochs: a seed each."""
    replicas = [(seed, rate) for seed in settings.seeds for rate in settings.rates]
    source, tokens = known_source(), unique * epochs
    model = networks.Networks(
        source, settings.width, [torch.Generator().manual_seed(seed) for seed, _ in replicas]
    )
    orders = [torch.Generator().manual_seed(seed) for seed, _ in replicas]
    starts = torch.stack(
        [torch.cat([torch.randperm(unique, generator=g) for _ in range(epochs)]) for g in orders]
    )
    batches = text.windows_in_turn(
        texts[[settings.seeds.index(seed) for seed, _ in replicas]],
        starts,
        source.order + 1,
        networks.batch_size(tokens),
    )
    rule = networks.learning_rate(settings.width, tokens)
    text.descend(model.losses, model.weights, [rule * rate for _, rate in replicas], batches)
    losses = networks.held_out(model, test.numpy()).reshape(len(settings.seeds), -1)
    best = losses.mean(0).argmin()
    for seed, row in zip(settings.seeds, losses, strict=True):
        yield {
            "unique": unique,
            "epochs": epochs,
            "seed": seed,
            "loss": f"{row[best]:.5f}",
            "rate": settings.rates[best],
        }


def rows(settings, unfinished):
    """All rows but their `multiple`, from `unfinished` those of an interrupted run."""
    found = _tables.kept(unfinished)
    done = {(int(row["unique"]), int(row["epochs"])) for row in found}
    _, read, test = text.generated(settings)
    length = max(settings.fresh) + known_source().order + 1
    texts = torch.stack([read(seed, length) for seed in settings.seeds])
    for unique, epochs in design(settings):
        if (unique, epochs) in done:
            continue
        start = process_time()
        new = list(cell(unique, epochs, texts, test, settings))
        seconds = process_time() - start
        print(f"{unique} tokens, {epochs} epochs: {seconds:.0f} CPU seconds", file=sys.stderr)
        _tables.write(unfinished, new, append=bool(found))
        found += new
    return found


def design(settings):
    """Every U and number of epochs; fresh tokens are one epoch of as many unique ones."""
    repeated = [(unique, epochs) for unique in settings.unique for epochs in settings.epochs]
    return sorted({(tokens, 1) for tokens in settings.fresh} | set(repeated))


def with_multiple(found, settings):
    """The rows with `multiple`, D' / U: nan where the loss lies outside the curve of fresh ones."""
    fresh = [mean_loss(found, tokens, 1) for tokens in settings.fresh]
    for row in found:
        worth = np.interp(
            -float(row["loss"]), np.negative(fresh), np.log(settings.fresh), np.nan, np.nan
        )
        yield row | {"multiple": f"{np.exp(worth) / int(row['unique']):.4g}"}


def values(found, name, unique, epochs):
    """The column `name`, a seed each."""
    here = [r for r in found if (int(r["unique"]), int(r["epochs"])) == (unique, epochs)]
    return np.array([float(row[name]) for row in here])


def mean_loss(found, unique, epochs):
    return values(found, "loss", unique, epochs).mean()


def report(found, settings):
    source = known_source()
    N = networks.parameters(settings.width, source)
    print(f"N = {N:,}; entropy of the source {source.entropy:.4f} nats")
    print(
        "\nLoss of fresh tokens, mean of the seeds ± half their range\n\n| D | loss |\n|---:|---:|"
    )
    for tokens in settings.fresh:
        losses = values(found, "loss", tokens, 1)
        print(f"| {tokens:,} | {losses.mean():.4f} ± {np.ptp(losses) / 2:.4f} |")
    print("\nD' / U by epochs, mean of the seeds ± half their range\n")
    print(f"| U | {' | '.join(map(str, settings.epochs))} | turn | R* | largest error before |")
    print("|---:|" + "---:|" * (len(settings.epochs) + 3))
    epochs = np.array(settings.epochs)
    for unique in settings.unique:
        by_epochs = np.array([values(found, "multiple", unique, e) for e in epochs])  # (e, seeds)
        means = by_epochs.mean(1)
        cells = [f"{m:.2f} ± {np.ptp(v) / 2:.2f}" for m, v in zip(means, by_epochs, strict=True)]
        R_star, turn = scaling.fit_repetition(epochs, means)
        rising = epochs <= turn
        off = scaling.effective(epochs[rising], 1, R_star) / means[rising] - 1
        cells += [f"{turn:g}", f"{R_star:.2f}", f"{np.abs(off).max():.1%}"]
        print(f"| {unique:,} | {' | '.join(cells)} |")
    theirs = scaling.effective(epochs, 1, published.MUENNIGHOFF["R_D"])
    print("| Muennighoff et al. | " + " | ".join(f"{m:.2f}" for m in theirs) + " | – | | |")


def main(arguments):
    settings = Settings()
    mark = zlib.crc32(repr(settings).encode())
    unfinished = text.ROOT / ".venv" / f"scaling_repeat_{mark:08x}.csv"
    start = process_time()
    found = list(with_multiple(rows(settings, unfinished), settings))
    report(found, settings)
    print(f"\n{process_time() - start:.0f} CPU seconds")
    if "--write" in arguments:
        _tables.write(text.ROOT / "lmlib" / "data" / "scaling_repeat.csv", found)
    unfinished.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
