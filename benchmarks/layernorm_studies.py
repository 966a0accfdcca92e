"""What normalisation does, asked one question at a time.

    OMP_NUM_THREADS=1 python3 run.py bench layernorm_studies [--write]

prints a table for each study; --write stores the runs behind it, one a row, in lmlib/data/.

warmup   Does a warm-up rescue Post-LN, and up to which depth?
detach   Which half of LayerNorm's gradient matters, the mean's or the variance's? Beside it
         RMSNorm, which has no mean, and LayerNorm without gain and bias.
batch    BatchNorm in a language model: batches of 1 to 64, and sequences of 4 to 32 characters
         padded to 32. `held_out` is the loss in use, with running statistics; `own_statistics`
         that with the statistics of each held-out batch itself.
small    Better generalisation? A text so small that the models learn it by heart: training and
         held-out loss along the way.
length   Long sequences? The same number of characters in each step, in longer windows.

Text, models and training are those of layernorm_maps, and so are the columns of warmup, detach
and length. About 8 minutes on one core.
"""

import sys
from dataclasses import dataclass, field
from functools import partial
from time import process_time

import _tables
import layernorm_maps as maps  # before torch: it sets the number of threads
import numpy as np
import torch
import torch.nn.functional as F

from lmlib import layernorm

PRE, POST, PLAIN = maps.DESIGNS["pre"], maps.DESIGNS["post"], maps.DESIGNS["none scaled"]
BARE = PRE | {"options": {"affine": False}}
NO_TARGET = -1  # where a sequence is padded
CURVE = (1, 5, 10, 20, 35, 50, 75, 100, 125, 150, 175, 200, 225, 250, 275, 300, 325, 350, 375, 400)


@dataclass(frozen=True)
class Batch:
    """BatchNorm beside LayerNorm in a decoder of two layers."""

    batches: tuple = (1, 2, 4, 16, 64)
    padded_batch: int = 16
    shortest: int = 4
    seeds: tuple = (0, 1, 2)
    learning_rate: float = 3e-3
    steps: int = 200
    time: int = 32
    width: int = 32
    heads: int = 2
    depth: int = 2


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers."""

    warmup: tuple = (
        maps.Settings(
            {
                "post": POST,
                "post warm-up 50": POST | {"warmup": 50},
                "post warm-up 200": POST | {"warmup": 200},
                "pre": PRE,
            },
            depths=(8,),
            learning_rates=(3e-3, 1e-2),
            steps=400,
            curve=CURVE,
        ),
        maps.Settings(
            {"post warm-up 200": POST | {"warmup": 200}},
            depths=(16,),
            learning_rates=(1e-3, 3e-3),
            steps=400,
            curve=CURVE,
        ),
    )
    detach: tuple = (
        maps.Settings(
            {
                "LayerNorm": PRE,
                "mean detached": PRE | {"options": {"detach": "mean"}},
                "variance detached": PRE | {"options": {"detach": "variance"}},
                "both detached": PRE | {"options": {"detach": "both"}},
                "RMSNorm": PRE | {"norm": "RMSNorm"},
                "no gain and bias": BARE,
            },
            depths=(6,),
            learning_rates=(1e-3, 3e-3, 1e-2),
        ),
    )
    length: tuple = tuple(
        maps.Settings(
            {"pre": PRE, "none scaled": PLAIN},
            depths=(4,),
            learning_rates=(3e-3, 1e-2),
            batch=256 // time,
            time=time,
        )
        for time in (16, 64, 256)
    )
    batch: Batch = field(default_factory=Batch)
    small: maps.Settings = field(
        default_factory=lambda: maps.Settings(
            {
                "pre": PRE,
                "pre without gain and bias": BARE,
                "post": POST,
                "none scaled": PLAIN,
            },
            depths=(4,),
            learning_rates=(3e-3, 1e-2),
            steps=800,
        )
    )
    small_characters: int = 10_000
    small_every: int = 100  # steps between two looks


def grid(parts, alphabet, ids, held_out_ids):
    """The rows of a study that is a small map."""
    for settings in parts:
        for design in settings.designs:
            for depth in settings.depths:
                start = process_time()
                setting = {"design": design, "depth": depth, "time": settings.time}
                for row in maps.cell(design, depth, settings, alphabet, ids, held_out_ids):
                    yield setting | row
                tell(f"{design}, depth {depth}, time {settings.time}", start)


# --------------------------------------------------------------------------------------- BatchNorm
def batches(settings, alphabet, ids, held_out_ids):
    """Rows by norm, batch and seed; at one batch, with sequences of different lengths as well."""
    norms = {
        "LayerNorm": layernorm.LayerNorm,
        "BatchNorm": layernorm.BatchNorm,
        "BatchNorm per position": partial(layernorm.BatchNorm, length=settings.time),
    }
    cases = [(size, "equal") for size in settings.batches] + [(settings.padded_batch, "different")]
    windows = layernorm.spread_windows(held_out_ids, settings.time)
    for name, norm in norms.items():
        start = process_time()
        for size, lengths in cases:
            if size == 1 and name == "BatchNorm per position":
                continue  # refused by the library: one value for each mean
            for seed in settings.seeds:
                model = trained_alone(norm, size, lengths, seed, settings, alphabet, ids)
                with torch.no_grad():
                    model.eval()
                    held_out = nats(model, windows[:, :-1], windows[:, 1:])
                    model.train()  # after the line above: it moves the running statistics
                    own = [nats(model, w[:, :-1], w[:, 1:]) for w in windows.split(size)]
                yield {
                    "norm": name,
                    "batch": size,
                    "lengths": lengths,
                    "seed": seed,
                    "held_out": f"{held_out:.5g}",
                    "own_statistics": f"{torch.stack(own).mean():.5g}",
                }
        tell(name, start)


def trained_alone(norm, size, lengths, seed, settings, alphabet, ids):
    """One model: running statistics do not fit an ensemble. The padding is an id of its own."""
    generator = torch.Generator().manual_seed(seed)
    model = layernorm.Decoder(
        alphabet + 1,
        settings.time,
        settings.width,
        settings.heads,
        settings.depth,
        norm=norm,
        generator=generator,
    )
    optimiser = torch.optim.Adam(model.parameters(), settings.learning_rate, (0.9, 0.98))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.steps):
        windows = layernorm.random_windows(ids, size, settings.time, generator)
        tokens, targets = windows[:, :-1], windows[:, 1:]
        if lengths == "different":
            ends = torch.randint(
                settings.shortest, settings.time + 1, (size, 1), generator=generator
            )
            filling = torch.arange(settings.time) >= ends  # (B, T)
            tokens = tokens.masked_fill(filling, alphabet)
            targets = targets.masked_fill(filling, NO_TARGET)
        loss = nats(model, tokens, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def nats(model, tokens, targets):
    """Mean cross-entropy of the targets."""
    return F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET)


# ------------------------------------------------------------------------------------ a small text
def small(settings, every, alphabet, ids, held_out_ids):
    """Rows by design, rate, seed and step: the loss on the small text and on held-out text."""
    (depth,) = settings.depths
    L, S = len(settings.learning_rates), len(settings.seeds)
    seen, unseen = (
        layernorm.spread_windows(text, settings.time).expand(L * S, -1, -1)
        for text in (ids, held_out_ids)
    )
    for design in settings.designs:
        start = process_time()
        build = maps.builder(design, depth, settings, alphabet)
        members = [
            build(torch.Generator().manual_seed(seed))
            for _ in settings.learning_rates
            for seed in settings.seeds
        ]
        ensemble = layernorm.Ensemble(members)
        rates = torch.tensor(settings.learning_rates).repeat_interleave(S)
        optimiser = layernorm.Adam(list(ensemble.parameters.values()), rates, (0.9, 0.98))
        generators = [torch.Generator().manual_seed(seed) for seed in settings.seeds]
        for step in range(1, settings.steps + 1):
            windows = torch.stack(
                [
                    layernorm.random_windows(ids, settings.batch, settings.time, generator)
                    for generator in generators
                ]
            )  # (S, B, T + 1)
            losses = ensemble.losses(windows.repeat(L, 1, 1))
            optimiser.step(torch.autograd.grad(losses.sum(), optimiser.parameters))
            if step % every:
                continue
            with torch.no_grad():
                train, held_out = ensemble.losses(seen), ensemble.losses(unseen)
            for m in range(L * S):
                yield {
                    "design": design,
                    "learning_rate": settings.learning_rates[m // S],
                    "seed": settings.seeds[m % S],
                    "step": step,
                    "train": f"{train[m]:.5g}",
                    "held_out": f"{held_out[m]:.5g}",
                }
        tell(f"{design} on a small text", start)


# -------------------------------------------------------------------------------------- the tables
def tell(what, start):
    print(f"{what}: {process_time() - start:.0f} CPU seconds", file=sys.stderr)


def table(rows, lines, columns, value):
    """Markdown: the mean of `value` over the seeds ± half their range."""
    heads = list(dict.fromkeys(columns(row) for row in rows))
    print(f"\n| | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    for line in dict.fromkeys(lines(row) for row in rows):
        cells = []
        for head in heads:
            found = [
                float(row[value]) for row in rows if (lines(row), columns(row)) == (line, head)
            ]
            cells.append(
                f"{np.mean(found):.3f} ± {np.ptp(found) / 2:.3f}" if found else "not possible"
            )
        print(f"| {line} | {' | '.join(cells)} |")


def print_tables(runs):
    for study in ("warmup", "detach", "length"):
        for value in ("held_out", "dependence"):
            print(f"\n{study}: {value}")
            table(
                runs[study],
                lambda row: f"{row['design']}, depth {row['depth']}, time {row['time']}",
                lambda row: f"{row['learning_rate']:g}",
                value,
            )
    for value in ("held_out", "own_statistics"):
        print(f"\nbatch: {value}")
        table(
            runs["batch"],
            lambda row: row["norm"],
            lambda row: f"{row['batch']}, {row['lengths']} lengths",
            value,
        )
    for value in ("train", "held_out"):
        print(f"\nsmall: {value}, by step")
        table(
            runs["small"],
            lambda row: f"{row['design']}, {row['learning_rate']:g}",
            lambda row: str(row["step"]),
            value,
        )


def main(arguments):
    start = process_time()
    settings = Settings()
    characters, ids, held_out_ids = maps.text()
    text = len(characters), ids, held_out_ids
    short = len(characters), ids[: settings.small_characters], held_out_ids
    studies = {  # generators: nothing runs before its turn
        "warmup": grid(settings.warmup, *text),
        "detach": grid(settings.detach, *text),
        "batch": batches(settings.batch, *text),
        "small": small(settings.small, settings.small_every, *short),
        "length": grid(settings.length, *text),
    }
    runs = {}
    for name, rows in studies.items():
        runs[name] = list(rows)
        if "--write" in arguments:
            _tables.write(maps.ROOT / "lmlib" / "data" / f"layernorm_{name}.csv", runs[name])
    print_tables(runs)
    print(f"\n{process_time() - start:.0f} CPU seconds")


if __name__ == "__main__":
    main(sys.argv[1:])
