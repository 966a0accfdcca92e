"""Counting against sharing: modified Kneser-Ney, a neural n-gram model, and their mixture.

    OMP_NUM_THREADS=1 python3 run.py bench cure [--write]

prints the tables; --write stores the runs behind them, one a row, in lmlib/data/ as
cure_synthetic.csv, cure_text.csv and cure_by_match.csv.

1. A source of known entropy. Both kinds of model are given the same N tokens; the network sets a
   tenth of them aside, to choose its dropout and when to stop. All words are known beforehand.
2. The embedded corpus, its sentences split at random, 81 : 9 : 10. Every model tells apart the
   same words, those seen twice in the whole training text, so `<unk>` is trained, and all predict
   the same tokens, `<unk>` and `</s>` among them. The validation text chooses the order of the
   counts, the network's dropout and when it stops, and the weights of the mixture.
3. The same test tokens by the length of the context that the training text contains. To select by
   the context alone is fair. To select by the context *and the target* is a trap, kept here for an
   exercise: where the target was seen, counting was bound to do well.

About 12 minutes on one core.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import _tables
import numpy as np

from lmlib import corpora, ngram
from lmlib.ngram.neural import fit_neural

DATA = Path(__file__).parents[1] / "lmlib" / "data"
NONE = float("nan")  # what a row does not have


@dataclass(frozen=True)
class Network:
    """The settings of one network; `dropouts` are tried in turn."""

    order: int
    width: int
    hidden: int
    learning_rate: float
    batch: int
    steps: int
    dropouts: tuple
    evaluations: int


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers. Seeds decide the texts, the splits and the networks."""

    seeds: tuple = (0, 1, 2)
    source: int = 0  # the seed of the source's rules: one source, so that the floor is one line
    sizes: tuple = (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)  # tokens
    test_sentences: int = 2_500
    synthetic_orders: tuple = (2, 3, 4)
    synthetic: Network = Network(3, 16, 128, 0.01, 256, 4000, (0.0, 0.2), 20)
    held_out: float = 0.1
    min_count: int = 2
    text_orders: tuple = (2, 3, 4, 5, 6)
    text: tuple = (  # by share of the training sentences
        (0.05, Network(6, 32, 192, 0.008, 512, 500, (0.2, 0.4), 10)),
        (0.2, Network(6, 32, 192, 0.008, 512, 1000, (0.1, 0.2), 10)),
        (1.0, Network(6, 32, 192, 0.008, 512, 3000, (0.1,), 10)),
    )
    longest_match: int = 5


def best_network(network, train, validation, seed, vocabulary):
    """The model whose dropout suits the validation text best, and that dropout."""
    models = {
        dropout: fit_neural(
            train,
            validation,
            network.order,
            width=network.width,
            hidden=network.hidden,
            dropout=dropout,
            learning_rate=network.learning_rate,
            batch=network.batch,
            steps=network.steps,
            rng=np.random.default_rng([seed, 1]),
            vocabulary=vocabulary,
            evaluations=network.evaluations,
        )
        for dropout in network.dropouts
    }
    dropout = min(models, key=lambda d: min(perplexity for _, perplexity in models[d].history))
    return models[dropout], dropout


def numbers_in(model):
    """How many numbers a model stores."""
    if isinstance(model, ngram.BackoffModel):
        return sum(map(len, [*model.probability, *model.backoff]))
    if isinstance(model, ngram.Mixture):
        return sum(map(numbers_in, model.models))
    return sum(p.size for p in model.parameters.values())


# ------------------------------------------------------------------------------- 1. known entropy
def on_known_source(settings):
    """One row for each seed, size and model."""
    source = corpora.hidden_classes(np.random.default_rng(settings.source))
    vocabulary = corpora.Vocabulary(source.words)
    test = source.sample(np.random.default_rng([settings.source, 1]), settings.test_sentences)
    floor = np.exp(-np.log(source.token_probabilities(test)).mean())
    for seed in settings.seeds:
        rng = np.random.default_rng([seed, 2])
        whole = source.sample(rng, max(settings.sizes) // 15)
        ends = np.cumsum([len(sentence) + 1 for sentence in whole])
        for size in settings.sizes:
            train = whole[: np.searchsorted(ends, size, side="right")]
            aside = max(1, len(train) // 10)
            net, chosen = best_network(
                settings.synthetic, train[aside:], train[:aside], seed, vocabulary
            )
            counts = [
                ngram.fit(train, n, vocabulary=vocabulary, discount_fallback=True)
                for n in settings.synthetic_orders
            ]
            same_class = [net.neighbours(word, 1)[0][0] == word[0] for word in source.words]
            for model in [*counts, net]:
                yield {
                    "seed": seed,
                    "tokens": size,
                    "model": "net" if model is net else "counts",
                    "order": model.order,
                    "dropout": chosen if model is net else NONE,
                    "numbers": numbers_in(model),
                    "perplexity": round(model.perplexity(test).value, 3),
                    "floor": round(float(floor), 3),
                    "source_perplexity": round(float(np.exp(source.entropy)), 3),
                    "same_class": round(float(np.mean(same_class)), 4) if model is net else NONE,
                }


# ---------------------------------------------------------------------------- 2. and 3. real text
def on_text(settings):
    """Rows by seed, share and model; and rows by seed and matched context at the largest share."""
    sentences = corpora.load().sentences()
    runs, matches = [], []
    for seed in settings.seeds:
        rng = np.random.default_rng([seed, 3])
        rest, test = corpora.split_iid(sentences, settings.held_out, rng)
        whole, validation = corpora.split_iid(rest, settings.held_out, rng)
        vocabulary = corpora.Vocabulary.from_sentences(whole, settings.min_count)
        shuffled = [whole[i] for i in rng.permutation(len(whole))]
        for share, network in settings.text:
            train = shuffled[: round(share * len(shuffled))]
            counts = min(
                (
                    ngram.fit(train, n, vocabulary=vocabulary, discount_fallback=True)
                    for n in settings.text_orders
                ),
                key=lambda model: model.perplexity(validation).value,
            )
            start = process_time()
            net, chosen = best_network(network, train, validation, seed, vocabulary)
            seconds = (process_time() - start) / len(network.dropouts)
            print(f"seed {seed}, share {share}: {seconds:.0f} s for a network", file=sys.stderr)
            mixture = ngram.Mixture.fit([counts, net], validation)
            models = {"counts": counts, "net": net, "mixture": mixture}
            for name, model in models.items():
                result = model.perplexity(test)
                runs.append(
                    {
                        "seed": seed,
                        "share": share,
                        "tokens": sum(len(sentence) + 1 for sentence in train),
                        "vocabulary": len(vocabulary),
                        "model": name,
                        "order": model.order,
                        "dropout": chosen if model is net else NONE,
                        "steps": network.steps if model is net else NONE,
                        "numbers": numbers_in(model),
                        "weight_of_net": (
                            round(float(mixture.weights[1]), 4) if model is mixture else NONE
                        ),
                        "validation": round(model.perplexity(validation).value, 3),
                        "perplexity": round(result.value, 3),
                        "excluding_oov": round(result.excluding_oov, 3),
                        "test_tokens": result.tokens,
                        "oov": result.oov,
                    }
                )
        matches += by_match(seed, train, test, models, settings.longest_match)
    return runs, matches


def by_match(seed, train, test, models, longest):
    """Rows: the mean log-probability of the test tokens, by what the training text contains."""
    vocabulary = models["counts"].vocabulary
    stream = ngram.encode(test, vocabulary)
    index = ngram.Counts(train, longest + 1, vocabulary).index
    seen = [rows >= 0 for rows in index.rows(stream)]  # by order: was the window here seen?
    at = np.flatnonzero(stream.predicted)
    lengths = {
        "context": sum(windows[at - 1] for windows in seen[:longest]),
        "context and target": sum(windows[at] for windows in seen[1:]),
    }
    log_p = {name: np.log(model.token_probabilities(test)) for name, model in models.items()}
    for selected_by, length in lengths.items():
        for symbols in np.unique(length):
            here = length == symbols
            yield {
                "seed": seed,
                "selected_by": selected_by,
                "matched": int(symbols),  # symbols of context; <s> counts as one
                "tokens": int(here.sum()),
                **{name: round(float(p[here].mean()), 4) for name, p in log_p.items()},
            }


# -------------------------------------------------------------------------------------- the tables
def table(rows, lines, columns, value, digits):
    """Markdown: the mean of `value` over the seeds, and half the range they span."""
    heads = list(dict.fromkeys(columns(row) for row in rows))
    print(f"\n| | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    for line in dict.fromkeys(lines(row) for row in rows):
        cells = []
        for head in heads:
            found = [value(row) for row in rows if (lines(row), columns(row)) == (line, head)]
            cells.append(f"{np.mean(found):.{digits}f} ± {np.ptp(found) / 2:.{digits}f}")
        print(f"| {line} | {' | '.join(cells)} |")


def main(arguments):
    start = process_time()
    settings = Settings()
    known = list(on_known_source(settings))
    runs, matches = on_text(settings)

    print(f"Perplexity by tokens of training text; the floor is {known[0]['floor']}.")
    table(
        known,
        lambda row: f"{row['tokens']:,}",
        lambda row: f"{row['model']}, n = {row['order']}",
        lambda row: row["perplexity"],
        1,
    )
    print("\nWords whose nearest neighbour is of their own class; by chance, 0.1.")
    nets = [row for row in known if row["model"] == "net"]
    table(
        nets,
        lambda row: f"{row['tokens']:,}",
        lambda row: "share",
        lambda row: row["same_class"],
        3,
    )
    print("\nPerplexity on the embedded corpus, by share of the training sentences.")
    table(
        runs,
        lambda row: f"{row['share']:.0%}",
        lambda row: row["model"],
        lambda row: row["perplexity"],
        2,
    )
    for selected_by in ("context", "context and target"):
        print(f"\nMean log-probability, in nats, by symbols of {selected_by} seen in training.")
        cells = [
            (row["matched"], name, row[name])
            for row in matches
            if row["selected_by"] == selected_by
            for name in ("tokens", "counts", "net", "mixture")
        ]
        table(cells, lambda cell: cell[0], lambda cell: cell[1], lambda cell: cell[2], 3)
    print(f"\n{process_time() - start:.0f} CPU seconds")

    if "--write" in arguments:
        for name, rows in {"synthetic": known, "text": runs, "by_match": matches}.items():
            _tables.write(DATA / f"cure_{name}.csv", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
