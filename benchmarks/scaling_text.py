"""Which law real text obeys: two kinds of learner on the embedded corpus, one on generated text.

    OMP_NUM_THREADS=1 python3 run.py bench scaling_text [--write]

prints a table and three fits for each study; --write stores every run, one a row, in lmlib/data/ as
scaling_text.csv.

corpus      the embedded corpus by characters. Its paragraphs, each kept once, are split at random,
            a tenth held out; every seed reads the others in an order of its own.
generated   the source of `scaling.study`, whose entropy is known: 64 symbols, of which two
            decide the next. Every seed reads a text of its own.

MLP         `scaling.networks.Networks`: on the corpus it reads 8 characters, on the other text 2
GPT         `layernorm.Decoder`, Pre-LN, two layers, windows of 64 characters

Every run reads D tokens, each once, in random order: Adam, warm-up, cosine to zero. The learning
rate follows a rule for each learner, found by searches beforehand. Of the MLP on the corpus each
cell is trained at 0.6 of it as well, and `rate` says which was better on average over the seeds:
the rule, nearly always. N counts the weights that multiply; attention's own FLOP are left out of
6 N D, though they are half of all in the narrowest GPT.

About 10 minutes on one core. After an interruption the same command goes on where it stopped.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import sys  # after the thread count, which is read when NumPy and torch are imported
import zlib
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from types import SimpleNamespace

import _tables
import numpy as np
import torch

from lmlib import corpora, layernorm, scaling
from lmlib.scaling import networks
from lmlib.scaling import study as known

torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
FITTERS = (scaling.fit_chinchilla, scaling.fit_kaplan, scaling.fit_power_mean)


@dataclass(frozen=True)
class Study:
    """One learner on one text; `rates` are factors of its rule for the learning rate."""

    learner: str
    text: str
    widths: tuple
    tokens: tuple
    rates: tuple
    context: int


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers."""

    studies: tuple = (
        Study(
            "MLP",
            "corpus",
            (16, 32, 64, 128, 256),
            (2**14, 2**15, 2**16, 2**17, 2**18, 2**19, 3 * 2**18),
            (0.6, 1.0),
            8,
        ),
        Study(
            "MLP",
            "generated",
            (16, 32, 64, 128, 256),
            (2**14, 2**15, 2**16, 2**17, 2**18, 2**19, 3 * 2**18),
            (1.0,),
            2,
        ),
        Study(
            "GPT",
            "corpus",
            (8, 16, 32, 64),
            (2**15, 2**16, 2**17, 2**18, 2**19),
            (1.0,),
            64,
        ),
    )
    seeds: tuple = (0, 1, 2)
    split: int = 0  # the seed of the split: all runs are tested on one text
    held_out: float = 0.1
    test_tokens: int = 2**16
    depth: int = 2
    head_width: int = 16
    held_out_runs: float = 0.2  # share of the runs, the dearest, that the laws have to predict
    resamples: int = 1000


# ------------------------------------------------------------------------------------- the texts
def corpus(settings):
    """V, a function from a seed to a long row of ids, and the ids of the test text."""
    whole = corpora.load().text
    paragraphs = [line for line in dict.fromkeys(whole.split("\n")) if line.strip()]
    rng = np.random.default_rng(settings.split)
    train, test = corpora.split_iid(paragraphs, settings.held_out, rng)
    table = {character: i for i, character in enumerate(sorted(set(whole)))}

    def ids(lines):
        return torch.tensor([table[c] for line in lines for c in line + "\n"])

    def text(seed, length):
        order = np.random.default_rng([seed, 1]).permutation(len(train))
        return ids(train[i] for i in order)[:length]

    return len(table), text, ids(test)[: settings.test_tokens]


def generated(settings):
    source = known.known_source()

    def text(seed, length):
        rng = np.random.default_rng([seed, 2])
        # Many texts end to end: at the seams a context is of two texts, one symbol in 2,000.
        return torch.from_numpy(source.sample(rng, -(-length // 4096), 4096)).flatten()[:length]

    return source.symbols, text, torch.from_numpy(known.held_out_text())


# ---------------------------------------------------------------------------------- the learners
def descend(losses, weights, rates, batches):
    """Train replicas side by side: Adam, warm-up, cosine to zero.

    losses : windows (R, B, T + 1) → (R,); weights : list of tensors that begin with R; rates : (R,)
    batches : list of functions that give the windows of a step
    """
    optimiser = layernorm.Adam(weights, torch.as_tensor(rates), betas=(0.9, 0.98))
    for step, batch in enumerate(batches):
        # The derivative of the sum by one replica's weights is that of its own loss.
        gradients = torch.autograd.grad(losses(batch()).sum(), weights)
        optimiser.step(gradients, networks.schedule(step, len(batches)))


def windows_in_turn(texts, starts, length, batch):
    """The steps that read the windows of `length` ids at `starts` (R, n) of texts, B at a time."""
    within = torch.arange(length)
    rows = torch.arange(len(texts))[:, None, None]
    return [
        lambda at=at: texts[rows, at[..., None] + within]  # (R, B, length)
        for at in starts.split(batch, 1)
        if at.shape[1] == batch
    ]


def train_mlp(study, symbols, width, tokens, texts, test, rates, seeds):
    """(R,) held-out losses, and N; each replica reads its own row of texts."""
    shape = SimpleNamespace(order=study.context, symbols=symbols)
    model = networks.Networks(shape, width, [torch.Generator().manual_seed(s) for s in seeds])
    starts = torch.stack(
        [torch.randperm(tokens, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )
    batches = windows_in_turn(texts, starts, study.context + 1, networks.batch_size(tokens))
    rule = networks.learning_rate(width, tokens)
    descend(model.losses, model.weights, [rule * rate for rate in rates], batches)
    if test.ndim == 1:
        test = test[None]
    return networks.held_out(model, test.numpy()), networks.parameters(width, shape)


def gpt_rate(width):
    """The highest learning rate of a decoder, from searches at widths 16 and 64."""
    return min(0.04, 0.64 / width)


def train_gpt(study, symbols, width, tokens, texts, test, rates, seeds, settings):
    T, heads = study.context, max(1, width // settings.head_width)
    model = layernorm.Ensemble(
        [
            layernorm.Decoder(
                symbols,
                T,
                width,
                heads,
                settings.depth,
                generator=torch.Generator().manual_seed(s),
            )
            for s in seeds
        ]
    )
    starts = torch.stack(
        [torch.randperm(tokens // T, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )
    # Windows of T + 1 ids, T apart: every character is predicted once.
    batches = windows_in_turn(texts, T * starts, T + 1, max(1, networks.batch_size(tokens) // T))
    rates = [gpt_rate(width) * rate for rate in rates]
    descend(model.losses, list(model.parameters.values()), rates, batches)
    with torch.no_grad():
        parts = layernorm.spread_windows(test, T, count=512).split(64)
        losses = torch.stack([model.losses(part.expand(len(seeds), -1, -1)) for part in parts])
    shape = scaling.Shape(settings.depth, width, heads, symbols, T, biases=False, tied=False)
    counted = scaling.parameters(shape)
    return losses.mean(0), sum(counted[part] for part in ("attention", "feedforward", "output"))


def cell(study, width, tokens, data, settings):
    """The rows of one width and one D: a seed each."""
    symbols, texts, test = data
    replicas = [(seed, rate) for seed in settings.seeds for rate in study.rates]
    seeds, rates = zip(*replicas, strict=True)
    texts = texts[list(map(settings.seeds.index, seeds))]
    arguments = study, symbols, width, tokens, texts, test, rates, seeds
    if study.learner == "MLP":
        losses, params = train_mlp(*arguments)
    else:
        losses, params = train_gpt(*arguments, settings)
    losses = np.asarray(losses).reshape(len(settings.seeds), len(study.rates))
    best = losses.mean(0).argmin()
    for seed, row in zip(settings.seeds, losses, strict=True):
        yield {
            "learner": study.learner,
            "text": study.text,
            "width": width,
            "params": params,
            "tokens": tokens,
            "seed": seed,
            "loss": f"{row[best]:.5f}",
            "rate": study.rates[best],
        }


# --------------------------------------------------------------------------------------- the runs
def rows(settings, unfinished):
    """All rows, from `unfinished` those that an interrupted run has left there."""
    found = _tables.kept(unfinished)
    done = {(r["learner"], r["text"], int(r["width"]), int(r["tokens"])) for r in found}
    for study in settings.studies:
        symbols, text, test = (corpus if study.text == "corpus" else generated)(settings)
        length = max(study.tokens) + study.context + 1
        texts = torch.stack([text(seed, length) for seed in settings.seeds])
        for width in study.widths:
            for tokens in study.tokens:
                if (study.learner, study.text, width, tokens) in done:
                    continue
                start = process_time()
                new = list(cell(study, width, tokens, (symbols, texts, test), settings))
                seconds = process_time() - start
                loss = np.mean([float(row["loss"]) for row in new])
                print(
                    f"{study.learner}, {study.text}, width {width}, {tokens} tokens: "
                    f"{loss:.3f} nats, {seconds:.1f} CPU seconds",
                    file=sys.stderr,
                    flush=True,
                )
                _tables.write(unfinished, new, append=bool(found))
                found += new
    return found


def report(study, found, settings):
    """The losses, then what each law makes of them."""
    here = [r for r in found if (r["learner"], r["text"]) == (study.learner, study.text)]
    print(f"\n{study.learner}, {study.text}: loss, nats, mean of the seeds ± half their range\n")
    print("| N | " + " | ".join(f"{tokens:,}" for tokens in study.tokens) + " |")
    print("|---:|" + "---:|" * len(study.tokens))
    for width in study.widths:
        of_width = [r for r in here if int(r["width"]) == width]
        cells = []
        for tokens in study.tokens:
            losses = [float(r["loss"]) for r in of_width if int(r["tokens"]) == tokens]
            cells.append(f"{np.mean(losses):.3f} ± {np.ptp(losses) / 2:.3f}")
        print(f"| {int(of_width[0]['params']):,} | " + " | ".join(cells) + " |")
    N, D, loss = (np.array([float(r[name]) for r in here]) for name in ("params", "tokens", "loss"))
    for fitter in FITTERS:
        fit = fitter(N, D, loss)
        rms = np.sqrt(np.mean((fit.predict(N, D) - loss) ** 2))
        R2 = 1 - rms**2 / loss.var()
        print(f"\n{fitter.__name__}: rms {rms:.4f} nats, R² {R2:.4f}")
        print(fit.summary(fit.bootstrap(settings.resamples, np.random.default_rng(0))))
        result = scaling.extrapolation(
            fitter, N, D, loss, held_out=round(settings.held_out_runs * len(loss))
        )
        held_out = len(loss) - len(result.fit.loss)
        print(
            f"fitted to all but the {held_out} dearest runs: error there {result.held_out:.4f} "
            f"nats, bias {result.bias:+.4f}; on the others {result.fitted:.4f}"
        )
    if study.text == "generated":
        print(f"\nentropy of the source {known.known_source().entropy:.4f} nats")


def main(arguments):
    settings = Settings()
    # Other settings, another file: what is left of one experiment is not mixed into the next.
    mark = zlib.crc32(repr(settings).encode())
    unfinished = ROOT / ".venv" / f"scaling_text_{mark:08x}.csv"
    start = process_time()
    found = rows(settings, unfinished)
    for study in settings.studies:
        report(study, found, settings)
    print(f"\n{process_time() - start:.0f} CPU seconds")
    if "--write" in arguments:
        _tables.write(ROOT / "lmlib" / "data" / "scaling_text.csv", found)
    unfinished.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
