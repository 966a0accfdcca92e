"""What attention's distance of one buys, and what it does not: the measurements of the chapter.

    python3 run.py bench attention_experiments
    OMP_NUM_THREADS=1 python3 benchmarks/attention_experiments.py [parts] [--write]

prints the tables; --write stores the runs behind them, one a row, in lmlib/data/ as
attention_<part>.csv. The parts:

gradient    ‖∂ output / ∂ input‖ against their distance, at initialisation
distance    accuracy against distance after training, at equal parameters and steps, and with more
            steps for the recurrent nets; beside it, the gradient at the cue once training is over
capacity    accuracy against the number of key-value pairs to remember
positions   five ways to encode positions on two tasks, inside and beyond the training length
dispersion  the weight of the one token that matters, against length, with and without log-n scaling
scale       what the softmax does without 1/√D: fresh queries and keys, no training

A seed decides the weights, the training data and nothing else; test data are the same for all. One
learning rate per architecture, not tuned per task, so a small difference between architectures
means nothing. One thread; about 19 minutes on one core.
"""

import os

# read when NumPy and torch are imported
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import _tables
import numpy as np
import torch

from lmlib import attention as att
from lmlib.attention import conjunctions, probes, tasks, training

torch.set_num_threads(1)
DATA = Path(__file__).parents[1] / "lmlib" / "data"
TEST = 99  # seed of all test data


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers."""

    seeds: tuple = (0, 1, 2)
    batch: int = 32
    width: int = 64
    heads: int = 2
    hidden: int = 128  # of the feed-forward layer beside attention
    learning_rate: float = 3e-3
    rnn_learning_rate: float = 1e-3  # at 3e-3 the plain RNN is unstable
    dilations: tuple = (1, 2, 4, 8, 16, 32, 64)

    gradient_length: int = 256
    gradient_inputs: int = 4

    recall_length: int = 128
    recall_steps: int = 300
    recall_more_steps: int = 1500
    distances: tuple = (1, 2, 4, 8, 16, 32, 64, 100, 127, 160, 200, 256, 300, 400, 512)
    gradient_distances: tuple = (1, 4, 16, 64, 127)

    pairs: tuple = (1, 2, 4, 8, 16, 24, 32)
    capacity_steps: int = 1000
    capacity_more_steps: int = 2500

    positions: tuple = ("none", "sinusoidal", "learned", "rope", "alibi")
    sentence_width: int = 44
    sentence_steps: int = 400
    sentence_fillers: tuple = (0, 1, 2, 4, 6, 8, 12, 16, 24, 40)
    copy_heads: int = 4
    copy_steps: int = 1200
    copy_gap: int = 40  # the longest in training, fillers before the first span included
    copy_gaps: tuple = (8, 24, 40, 64, 96, 128, 256, 512)

    dispersion_width: int = 32
    dispersion_length: int = 64
    dispersion_lengths: tuple = (16, 64, 256, 1024, 4096, 16384, 65536)

    head_widths: tuple = (1, 4, 16, 64, 256, 1024)
    scale_keys: int = 64
    scale_queries: int = 2000


def weights_of(seed):
    return torch.Generator().manual_seed(seed)


def data_of(seed):
    return np.random.default_rng([seed, 1])


# ---------------------------------------------------------------------------- the rivals, matched
def rivals(settings, seed):
    """{name: layers}, each with nearly the parameters of attention and its feed-forward layer."""
    C, g = settings.width, weights_of(seed)
    attention = training.attention_layers(1, C, settings.heads, hidden=settings.hidden, generator=g)
    target = sum(map(att.parameter_count, attention))
    builds = {
        "RNN": lambda h, g=None: att.RNN(C, h, generator=g),
        "LSTM": lambda h, g=None: att.LSTM(C, h, generator=g),
        "CNN": lambda h, g=None: att.CNN(C, h, generator=g),
        "dilated CNN": lambda h, g=None: att.CNN(C, h, settings.dilations, generator=g),
    }
    matched = {
        name: [build(att.matched_hidden(build, target), weights_of(seed))]
        for name, build in builds.items()
    }
    return {**matched, "attention": attention}


def rate(settings, name):
    return settings.rnn_learning_rate if name == "RNN" else settings.learning_rate


# ------------------------------------------------------------------------------------ 1. gradient
def gradient(settings):
    """Rows by architecture, seed and distance; a layer as it is initialised, nothing around it."""
    C, T = settings.width, settings.gradient_length
    makes = {
        "RNN": lambda g: att.RNN(C, generator=g),
        "RNN, gain 1.2": lambda g: att.RNN(C, gain=1.2, generator=g),
        "LSTM, forget bias 0": lambda g: att.LSTM(C, forget_bias=0.0, generator=g),
        "LSTM, forget bias 1": lambda g: att.LSTM(C, forget_bias=1.0, generator=g),
        "LSTM, forget bias 5": lambda g: att.LSTM(C, forget_bias=5.0, generator=g),
        "CNN": lambda g: att.CNN(C, generator=g),
        "dilated CNN": lambda g: att.CNN(C, dilations=settings.dilations, generator=g),
        "attention": lambda g: att.MultiHeadAttention(C, settings.heads, generator=g),
        "attention, ALiBi": lambda g: att.MultiHeadAttention(C, 8, "alibi", generator=g),
    }
    shown = np.unique([*range(33), 50, 100, 200, *np.geomspace(33, T - 1, 24).astype(int)])
    for name, make in makes.items():
        for seed in settings.seeds:
            g = weights_of(seed)
            layer = make(g).double()
            norm = np.mean(
                [
                    probes.gradient_by_distance(
                        layer, torch.randn(T, C, generator=g, dtype=torch.float64)
                    )
                    for _ in range(settings.gradient_inputs)
                ],
                0,
            )
            for d in shown:
                yield {
                    "model": name,
                    "seed": seed,
                    "distance": int(d),
                    "gradient": f"{norm[d]:.4e}",
                }


# ------------------------------------------------------------------------------------ 2. distance
def distance(settings):
    """Rows by architecture, steps, seed and distance."""
    test = tasks.recall(np.random.default_rng(TEST), 256, max(settings.distances) + 1, position=0)
    runs = [
        (name, steps)
        for steps in (settings.recall_steps, settings.recall_more_steps)
        for name in ("RNN", "LSTM", "CNN", "dilated CNN", "attention")
        if steps == settings.recall_steps or name in ("RNN", "LSTM")
    ]
    for name, steps in runs:
        for seed in settings.seeds:
            start, rng = process_time(), data_of(seed)
            layers = rivals(settings, seed)[name]
            model = training.SequenceModel(
                24, settings.width, layers, 8, generator=weights_of(seed)
            )
            training.train(
                model,
                lambda rng=rng: tasks.recall(rng, settings.batch, settings.recall_length),
                steps,
                rate(settings, name),
            )
            report(name, steps, seed, start)
            accuracy = np.nanmean(training.right(model, *test)[:, 1:], 0)  # (distance,)
            at_cue = {}
            model.double()
            for d in settings.gradient_distances:
                tokens, _ = tasks.recall(np.random.default_rng(TEST), 4, d + 1, position=0)
                at_cue[d] = np.mean(
                    [
                        probes.gradient_by_distance(model.read_out, x)[-1]
                        for x in model.embed(torch.from_numpy(tokens))
                    ]
                )
            for d in settings.distances:
                yield {
                    "model": name,
                    "parameters": att.parameter_count(model),
                    "steps": steps,
                    "seed": seed,
                    "distance": d,
                    "accuracy": round(float(accuracy[d - 1]), 4),
                    "gradient": f"{at_cue[d]:.4e}" if d in at_cue else "nan",
                }


# ------------------------------------------------------------------------------------ 3. capacity
def capacity(settings):
    """Rows by architecture, steps, seed and number of pairs."""
    tests = {n: tasks.key_value(np.random.default_rng(TEST), 256, n) for n in settings.pairs}
    runs = [
        (name, settings.capacity_steps) for name in ("RNN", "LSTM", "dilated CNN", "attention")
    ] + [("LSTM", settings.capacity_more_steps)]
    for name, steps in runs:
        for seed in settings.seeds:
            start, rng = process_time(), data_of(seed)
            layers = rivals(settings, seed)[name]
            model = training.SequenceModel(
                288, settings.width, layers, 8, generator=weights_of(seed)
            )
            training.train(
                model,
                lambda rng=rng: tasks.key_value(
                    rng, settings.batch, int(rng.choice(settings.pairs))
                ),
                steps,
                rate(settings, name),
            )
            report(name, steps, seed, start)
            for n, test in tests.items():
                yield {
                    "model": name,
                    "parameters": att.parameter_count(model),
                    "steps": steps,
                    "seed": seed,
                    "pairs": n,
                    "accuracy": round(float(np.nanmean(training.right(model, *test))), 4),
                }


# ----------------------------------------------------------------------------------- 4. positions
def with_positions(kind, vocabulary, depth, width, heads, hidden, longest, seed):
    """A model whose positions are added once, below the first layer, or act in every layer."""
    g = weights_of(seed)
    inside = kind if kind in ("rope", "alibi") else None
    layers = training.attention_layers(depth, width, heads, inside, hidden, g)
    added = None
    if kind in ("sinusoidal", "learned"):
        added = att.AddedPositions(width, kind, longest, scale=0.5, generator=g)
    return training.SequenceModel(vocabulary, width, layers, positions=added, generator=g)


def positions(settings):
    """Rows by task, kind of positions, seed and distance or gap."""
    yield from positions_for_sentences(settings)
    yield from positions_for_copies(settings)


def positions_for_sentences(settings):
    tests = {
        k: conjunctions.sentences(np.random.default_rng(TEST), 192, fillers=k, before=4)
        for k in settings.sentence_fillers
    }
    C = settings.sentence_width
    for kind in settings.positions:
        for seed in settings.seeds:
            start, rng = process_time(), data_of(seed)
            model = with_positions(kind, len(conjunctions.CHARACTERS), 2, C, 2, 2 * C, 512, seed)
            training.train(
                model,
                lambda rng=rng: conjunctions.batch(rng, settings.batch, before=4),
                settings.sentence_steps,
                settings.learning_rate,
            )
            report(kind, settings.sentence_steps, seed, start)
            for k, drawn in tests.items():
                tokens, _ = conjunctions.encode([s.text for s in drawn])
                with torch.no_grad():
                    logits = model(torch.from_numpy(tokens)).numpy()
                right = conjunctions.right_pairs(logits, drawn)
                yield {
                    "task": "conjunctions",
                    "positions": kind,
                    "seed": seed,
                    "fillers": k,
                    "distance": round(float(np.mean([s.second - s.first for s in drawn])), 1),
                    "accuracy": round(float(right.mean()), 4),
                }


def positions_for_copies(settings):
    tests = {gap: tasks.copies(np.random.default_rng(TEST), 64, gap) for gap in settings.copy_gaps}
    longest = 24 + max(settings.copy_gaps)

    def batch(rng):
        gap = int(rng.integers(settings.copy_gap + 1))
        before = int(rng.integers(settings.copy_gap + 1 - gap))
        return tasks.copies(rng, settings.batch, gap, before)

    for kind in settings.positions:
        for seed in settings.seeds:
            start, rng = process_time(), data_of(seed)
            model = with_positions(
                kind, 64, 2, settings.width, settings.copy_heads, None, longest, seed
            )
            training.train(
                model, lambda rng=rng: batch(rng), settings.copy_steps, settings.learning_rate
            )
            report(kind, settings.copy_steps, seed, start)
            for gap, test in tests.items():
                yield {
                    "task": "copies",
                    "positions": kind,
                    "seed": seed,
                    "fillers": gap,
                    "distance": gap + 12,
                    "accuracy": round(float(np.nanmean(training.right(model, *test))), 4),
                }


# ---------------------------------------------------------------------------------- 5. dispersion
def dispersion(settings):
    """Rows by seed, length and whether the scores are scaled by log n."""
    C, trained_at = settings.dispersion_width, settings.dispersion_length
    for seed in settings.seeds:
        rng = data_of(seed)
        layers = training.attention_layers(1, C, 1, hidden=2 * C, generator=weights_of(seed))
        model = training.SequenceModel(24, C, layers, 8, generator=weights_of(seed))
        training.train(
            model,
            lambda rng=rng: tasks.recall(rng, settings.batch, trained_at),
            settings.recall_steps,
            settings.learning_rate,
        )
        margin = margins(model)
        for n in settings.dispersion_lengths:
            tokens, _ = tasks.recall(np.random.default_rng(TEST), 128, n, position=0)
            cue = np.arange(128) % 8
            tokens[:, 0], tokens[:, -1] = 16 + cue, np.arange(128) // 8  # every cue, every query
            for scaled in (0, 1):
                factor = max(1.0, np.log(n) / np.log(trained_at)) if scaled else 1.0
                parts = [
                    last_query(model, torch.from_numpy(tokens[k : k + 16]), factor)
                    for k in range(0, 128, 16)
                ]
                weight, answers = map(np.concatenate, zip(*parts, strict=True))
                predicted = 1 / (1 + (n - 1) * np.exp(-factor * margin))
                yield {
                    "seed": seed,
                    "length": n,
                    "scaled": scaled,
                    "weight": round(float(weight.mean()), 4),
                    "predicted": round(float(predicted.mean()), 4),
                    "accuracy": round(float((answers == cue).mean()), 4),
                    "margin_least": round(float(margin.min()), 3),
                    "margin_mean": round(float(margin.mean()), 3),
                }


@torch.no_grad()
def margins(model):
    """(16, 8) score of each cue minus the log-mean-exp score of the noise, for each noise query."""
    attention = model.layers[0]
    z = model.norms[0](model.embedding)  # (24, C): without positions a token is all there is
    scores = attention.query(z[:16]) @ attention.key(z).T * attention.width**-0.5  # (16, 24)
    noise = scores[:, :16].double().exp().mean(1, keepdim=True).log()
    return (scores[:, 16:].double() - noise).numpy()


@torch.no_grad()
def last_query(model, tokens, factor):
    """The weight on the first token and the answers, for the last position alone: O(T) memory."""
    attention, feed_forward = model.layers
    x = model.embed(tokens)  # (B, T, C)
    z = model.norms[0](x)
    scores = attention.query(z[:, -1:]) @ attention.key(z).transpose(1, 2)  # (B, 1, T)
    weights = (factor * attention.width**-0.5 * scores).softmax(-1)
    last = x[:, -1:] + attention.output(weights @ attention.value(z))
    last = last + feed_forward(model.norms[1](last))
    return weights[:, 0, 0].numpy(), model.head(model.norm(last))[:, 0].argmax(-1).numpy()


# --------------------------------------------------------------------------------------- 6. scale
def scale(settings):
    """Rows by seed, head width and whether the scores are divided by √D."""
    for D in settings.head_widths:
        for seed in settings.seeds:
            rng = np.random.default_rng([seed, D])
            query = rng.standard_normal((settings.scale_queries, D))
            key = rng.standard_normal((settings.scale_keys, D))
            for scaled in (0, 1):
                factor = D**-0.5 if scaled else 1.0
                _, p = att.attention(query, key, key, scale=factor)
                square, cube = (p**2).sum(1), (p**3).sum(1)
                log_p = np.log(np.where(p > 0, p, 1))  # 0 log 0 = 0
                yield {
                    "seed": seed,
                    "head_width": D,
                    "scaled": scaled,
                    "scores_sd": round(float(factor * (query @ key.T).std()), 4),
                    "largest": round(float(p.max(1).mean()), 4),
                    "above_99": round(float((p.max(1) > 0.99).mean()), 4),
                    "entropy": round(float(-(p * log_p).sum(1).mean()), 4),
                    # ‖diag(p) − p pᵀ‖_F, the size of the softmax's Jacobian
                    "jacobian": round(
                        float(np.sqrt(np.maximum(square - 2 * cube + square**2, 0)).mean()), 4
                    ),
                }


# -------------------------------------------------------------------------------------- the tables
def report(name, steps, seed, start):
    print(f"{name}, {steps} steps, seed {seed}: {process_time() - start:.1f} s", file=sys.stderr)


def table(rows, lines, columns, value, form="{:.2f}"):
    """Markdown: the mean of `value` over the seeds, and half the range they span."""
    heads = list(dict.fromkeys(columns(row) for row in rows))
    print(f"\n| | {' | '.join(map(str, heads))} |\n|---|{'---:|' * len(heads)}")
    for line in dict.fromkeys(lines(row) for row in rows):
        cells = []
        for head in heads:
            here = [row for row in rows if (lines(row), columns(row)) == (line, head)]
            found = [float(row[value]) for row in here]
            spread = form.format(np.ptp(found) / 2)
            cells.append(f"{form.format(np.mean(found))} ± {spread}" if found else "")
        print(f"| {line} | {' | '.join(cells)} |")


def tables(part, rows):
    if part == "gradient":
        shown = [row for row in rows if row["distance"] in (0, 1, 10, 100, 255)]
        table(shown, lambda r: r["model"], lambda r: r["distance"], "gradient", "{:.1e}")
    elif part in ("distance", "capacity"):
        unit = "distance" if part == "distance" else "pairs"

        def name(row):
            return f"{row['model']}, {row['parameters']:,} parameters, {row['steps']} steps"

        table(rows, name, lambda r: r[unit], "accuracy")
        if part == "distance":
            known = [row for row in rows if row["gradient"] != "nan"]
            table(known, name, lambda r: r["distance"], "gradient", "{:.1e}")
    elif part == "positions":
        for task in ("conjunctions", "copies"):
            here = [row for row in rows if row["task"] == task]
            table(here, lambda r: r["positions"], lambda r: r["distance"], "accuracy")
    elif part == "dispersion":
        for value in ("weight", "predicted", "accuracy"):
            print(f"\n{value}")
            table(rows, lambda r: ["plain", "log n"][r["scaled"]], lambda r: r["length"], value)
    else:
        for value in ("largest", "above_99", "entropy", "jacobian"):
            print(f"\n{value}")
            table(rows, lambda r: ["1", "1/√D"][r["scaled"]], lambda r: r["head_width"], value)


PARTS = {
    part.__name__: part for part in (gradient, distance, capacity, positions, dispersion, scale)
}


def main(arguments):
    settings = Settings()
    chosen = [a for a in arguments if a != "--write"] or list(PARTS)
    for part in chosen:
        start = process_time()
        rows = list(PARTS[part](settings))
        print(f"\n## {part}, {process_time() - start:.0f} CPU seconds")
        tables(part, rows)
        if "--write" in arguments:
            path = DATA / f"attention_{part}.csv"
            _tables.write(path, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
