"""Train the model that the attention chapter's explorable runs in the page.

    python3 run.py bench attention_model [--write]

trains it on the language of the paired conjunctions, without the clause 虽然下雨了 that the chapter
asks about, and prints how often it picks the right second conjunction, whole and with each head
knocked out, and what it says about the chapter's sentence. --write stores its weights, rounded to
16 bits, in lmlib/data/attention_model.json; all numbers printed are those of the rounded weights.
One thread, about 10 CPU seconds. The same settings give the same weights on the same machine and
nearly the same elsewhere.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import base64  # imports from here on: the thread count is read when NumPy and torch come
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch

from lmlib.attention import conjunctions, parameter_count, training

torch.set_num_threads(1)
TARGET = Path(__file__).parents[1] / "lmlib" / "data" / "attention_model.json"


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers."""

    seed: int = 0
    width: int = 44
    depth: int = 2
    heads: int = 2
    hidden: int = 88
    steps: int = 500
    batch: int = 32
    longest: int = 6  # clauses between the halves, in training
    never: str = "虽然下雨了"
    test_seed: int = 99
    tested: int = 192
    fillers: tuple = (0, 2, 6, 12, 24, 40)


def build(settings, generator=None):
    layers = training.attention_layers(
        settings.depth, settings.width, settings.heads, hidden=settings.hidden, generator=generator
    )
    vocabulary = len(conjunctions.CHARACTERS)
    return training.SequenceModel(vocabulary, settings.width, layers, generator=generator)


def trained(settings):
    """The model and its mean loss over the last 20 steps, in nats."""
    model = build(settings, torch.Generator().manual_seed(settings.seed))
    rng = np.random.default_rng([settings.seed, 1])

    def batch():
        drawn = conjunctions.sentences(rng, settings.batch, settings.longest, never=settings.never)
        return conjunctions.encode([sentence.text for sentence in drawn])

    history = training.train(model, batch, settings.steps)
    return model, history.loss[-20:].mean()


def without(model, layer, head):
    """A copy of the model in which nothing of one head reaches the output."""
    copy = build(Settings())
    copy.load_state_dict(model.state_dict())
    width = copy.layers[layer].width // copy.layers[layer].heads
    with torch.no_grad():
        copy.layers[layer].output.weight[:, head * width : (head + 1) * width] = 0
    return copy


@torch.no_grad()
def accuracy(model, drawn):
    """How often the second conjunction is the likeliest of the six, and its mean probability."""
    tokens, _ = conjunctions.encode([sentence.text for sentence in drawn])
    chances = model(torch.from_numpy(tokens)).softmax(-1).numpy()
    rows, pairs = np.arange(len(drawn)), np.array([sentence.pair for sentence in drawn])
    asked = chances[rows, [sentence.second - 1 for sentence in drawn]][:, conjunctions.SECONDS]
    return np.mean(asked.argmax(1) == pairs), asked[rows, pairs].mean()


@torch.no_grad()
def after_first_half(model):
    """Next characters and their probabilities after 虽然下雨了，, likeliest first."""
    text = conjunctions.SENTENCE[: conjunctions.SENTENCE.index("，") + 2]
    chances = model(torch.from_numpy(conjunctions.encode([text])[0]))[0, -1].softmax(-1).numpy()
    return [(conjunctions.CHARACTERS[k], float(chances[k])) for k in chances.argsort()[::-1]]


def store(model, settings):
    """Names, shapes and, in the same order, all weights: little-endian float16 in base64."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    weights = np.concatenate([array.ravel() for array in state.values()]).astype("<f2")
    content = {
        "characters": conjunctions.CHARACTERS,
        "heads": settings.heads,
        "shapes": {name: list(array.shape) for name, array in state.items()},
        "weights": base64.b64encode(weights.tobytes()).decode("ascii"),
    }
    TARGET.write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8")


def main(arguments):
    settings, start = Settings(), process_time()
    model, loss = trained(settings)
    before = after_first_half(model)[0]
    model.half().float()  # what is shipped
    print(
        f"{parameter_count(model):,} parameters, {settings.steps} steps, seed {settings.seed}, "
        f"{process_time() - start:.0f} CPU s; loss {loss:.3f} nats\n"
    )
    tests = {
        count: conjunctions.sentences(
            np.random.default_rng(settings.test_seed), settings.tested, fillers=count
        )
        for count in settings.fillers
    }
    heads = [(layer, head) for layer in range(settings.depth) for head in range(settings.heads)]
    models = {"whole": model}
    for layer, head in heads:
        models[f"without {layer + 1}.{head + 1}"] = without(model, 2 * layer, head)
    print(f"Share of {settings.tested} sentences with the right second conjunction (its mean")
    print("probability), by clauses between the halves; without layer.head.\n")
    print(f"| model | {' | '.join(map(str, tests))} |\n|---|{'---:|' * len(tests)}")
    for name, tested in models.items():
        cells = ["{:.2f} ({:.2f})".format(*accuracy(tested, drawn)) for drawn in tests.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    first = before[0]
    print(f"\nAfter 虽然下雨了，(first in 32 bits: {first} {before[1]:.4f})")
    for name, tested in models.items():
        chances = after_first_half(tested)
        top = ", ".join(f"{character} {chance:.3f}" for character, chance in chances[:4])
        print(f"{name}: P({first}) = {dict(chances)[first]:.3f}; {top}")
    if "--write" in arguments:
        store(model, settings)
        print(f"\n{TARGET.name}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
