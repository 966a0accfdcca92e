"""Which designs train, over depth and learning rate: 13 designs, 4 depths, 5 rates, 3 seeds.

    OMP_NUM_THREADS=1 python3 run.py bench layernorm_maps [--write]

prints a table for each design; --write stores every run, one a row, in lmlib/data/ as
layernorm_maps.csv.

Each model is a character model of the embedded corpus, its last tenth held out. All models of one
design and depth are trained together (`layernorm.train`), from the same initial weights for each
seed and on the same batches. Nothing is tuned for a design: Adam, a constant learning rate, no
clipping. The columns:

    held_out      loss after the last step, nats per character
    dependence    how far a prediction lies from the average prediction (total variation, 0 to 1):
                  near 0 where a model says the same whatever it reads
    to_1, to_4 …  training loss, averaged over the steps since the column before

About 25 minutes on one core. After an interruption the same command goes on where it stopped.
"""

import os

THREADS = "1"
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), THREADS))

import sys  # noqa: E402  (the thread count is read when NumPy and torch are imported)
import zlib  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from time import process_time  # noqa: E402

import _tables  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from lmlib import corpora, layernorm  # noqa: E402

torch.set_num_threads(int(THREADS))

ROOT = Path(__file__).parents[1]
DESIGNS = {  # arguments of Decoder; "scaled" multiplies every branch by 1/√(2N)
    "post": {"placement": "post"},
    "pre": {"placement": "pre"},
    "peri": {"placement": "peri"},
    "none": {"placement": "none"},
    "none scaled": {"placement": "none", "scaled": True},
    "deepnorm": {"placement": "deepnorm"},
    "rezero": {"placement": "rezero"},
    "reordered": {"placement": "reordered"},
    "pre RMSNorm": {"placement": "pre", "norm": "RMSNorm"},
    "pre DyT": {"placement": "pre", "norm": "DyT"},
    "post warm-up": {"placement": "post", "warmup": 50},
    "pre without final norm": {"placement": "pre", "final_norm": False},
    "pre scaled": {"placement": "pre", "scaled": True},
}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers."""

    designs: dict = field(default_factory=lambda: DESIGNS)
    depths: tuple = (2, 4, 8, 16)
    learning_rates: tuple = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    seeds: tuple = (0, 1, 2)
    width: int = 32
    heads: int = 2
    steps: int = 200
    batch: int = 8
    time: int = 32
    curve: tuple = (1, 4, 10, 20, 35, 50, 70, 90, 110, 140, 170, 200)  # the steps of its columns


def text():
    """The characters of the corpus, their ids for training, and the last tenth of them."""
    characters, ids = np.unique(list(corpora.load().text), return_inverse=True)
    return characters, *torch.from_numpy(ids).tensor_split([len(ids) * 9 // 10])


def builder(design, depth, settings, alphabet):
    """What `train` needs: a function from a generator to a model of this design."""
    design = {name: value for name, value in settings.designs[design].items() if name != "warmup"}
    scale = (2 * depth) ** -0.5 if design.pop("scaled", False) else 1.0
    norm = getattr(layernorm, design.pop("norm", "LayerNorm"))
    norm = partial(norm, **design.pop("options", {}))

    def build(generator):
        return layernorm.Decoder(
            alphabet,
            settings.time,
            settings.width,
            settings.heads,
            depth,
            norm=norm,
            branch_scale=scale,
            generator=generator,
            **design,
        )

    return build


def cell(design, depth, settings, alphabet, ids, held_out_ids):
    """Train one design at one depth; one row for each learning rate and seed."""
    training = layernorm.Settings(
        settings.learning_rates,
        settings.seeds,
        settings.steps,
        settings.batch,
        settings.time,
        settings.designs[design].get("warmup", 0),
    )
    build = builder(design, depth, settings, alphabet)
    trained = layernorm.train(build, ids, held_out_ids, training)
    depends = dependence(trained.ensemble, held_out_ids, settings)
    pieces = trained.losses.tensor_split(settings.curve[:-1], -1)
    curves = torch.stack([piece.mean(-1) for piece in pieces], -1)  # (L, S, points)
    for row, rate in enumerate(settings.learning_rates):
        for column, seed in enumerate(settings.seeds):
            values = [trained.held_out[row, column], depends[row, column], *curves[row, column]]
            names = ["held_out", "dependence", *(f"to_{end}" for end in settings.curve)]
            numbers = (f"{value:.5g}" for value in values)
            yield {"learning_rate": rate, "seed": seed} | dict(zip(names, numbers, strict=True))


@torch.no_grad()
def dependence(ensemble, ids, settings):
    """(L, S): how much the predictions of each member vary with what it reads."""
    windows = layernorm.spread_windows(ids, settings.time)[:, :-1]
    p = ensemble(windows.expand(len(ensemble), -1, -1)).softmax(-1)  # (E, B, T, V)
    distance = (p - p.mean((1, 2), keepdim=True)).abs().sum(-1) / 2  # (E, B, T)
    return distance.mean((1, 2)).view(len(settings.learning_rates), len(settings.seeds))


def rows(settings, unfinished):
    """All rows, from `unfinished` those that an interrupted run has left there."""
    found = _tables.kept(unfinished)
    done = {(row["design"], int(row["depth"])) for row in found}
    characters, ids, held_out_ids = text()
    for design in settings.designs:
        for depth in settings.depths:
            if (design, depth) in done:
                continue
            start = process_time()
            new = [
                {"design": design, "depth": depth} | row
                for row in cell(design, depth, settings, len(characters), ids, held_out_ids)
            ]
            seconds = process_time() - start
            print(f"{design}, depth {depth}: {seconds:.0f} CPU seconds", file=sys.stderr)
            _tables.write(unfinished, new, append=bool(found))
            found += new
    return found


def table(design, rows, settings):
    """Held-out loss by depth and learning rate: the mean of the seeds ± half their range."""
    print(f"\n{design}\n\n| depth | {' | '.join(f'{r:g}' for r in settings.learning_rates)} |")
    print("|---:|" + "---:|" * len(settings.learning_rates))
    for depth in settings.depths:
        cells = []
        for rate in settings.learning_rates:
            found = np.array(
                [
                    float(row["held_out"])
                    for row in rows
                    if (row["design"], int(row["depth"])) == (design, depth)
                    and float(row["learning_rate"]) == rate
                ]
            )
            good = found[found < 10]  # NaN is not
            cells.append(
                f"{good.mean():.2f} ± {np.ptp(good) / 2:.2f}"
                if len(good) == len(found)
                else f"{len(found) - len(good)} of {len(found)} diverged"
            )
        print(f"| {depth} | {' | '.join(cells)} |")


def main(arguments):
    settings = Settings()
    # Other settings, another file: what is left of one experiment is not mixed into the next.
    mark = zlib.crc32(repr(settings).encode())
    unfinished = ROOT / ".venv" / f"layernorm_maps_{mark:08x}.csv"
    found = rows(settings, unfinished)
    for design in settings.designs:
        table(design, found, settings)
    if "--write" in arguments:
        _tables.write(ROOT / "lmlib" / "data" / "layernorm_maps.csv", found)
    unfinished.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
