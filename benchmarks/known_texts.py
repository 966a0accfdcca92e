"""Modified Kneser-Ney on texts that others have measured: PTB, Brown, Tiny Shakespeare, names.

    python3 run.py bench known_texts [--write]

Tiny Shakespeare and the names are downloaded once (`corpora.fetch`). The Penn Treebank and Brown
are not free to pass on: put Mikolov's ptb.train.txt, ptb.valid.txt and ptb.test.txt in a folder
`ptb`, and the files of NLTK's brown.zip in a folder `brown`, both inside the cache folder
(`corpora.cache_dir()`); a text that is not there is left out. `--write` stores the table as
lmlib/data/known_texts.csv, which the sparsity chapter shows.
"""

import csv
import math
import random
import re
import sys
from pathlib import Path

import numpy as np

from lmlib import corpora, ngram

TABLE = Path(__file__).parents[1] / "lmlib" / "data" / "known_texts.csv"
COLUMNS = ("text", "unit", "n", "tokens", "oov", "perplexity", "excluding_oov", "nats")


def tiny_shakespeare_stream():
    """nanoGPT's split: characters, the first nine tenths against the last, one long line each."""
    text = corpora.fetch("tiny-shakespeare").read_text()
    cut = int(0.9 * len(text))
    return "letters", [list(text[:cut])], [list(text[cut:])]


def tiny_shakespeare_words():
    """Lower-cased words and marks, a line is a sentence; 90 % to train, the last 5 % to test."""
    text = corpora.fetch("tiny-shakespeare").read_text().lower()
    lines = [re.findall(r"[a-z]+(?:'[a-z]+)*|[^\sa-z]", line) for line in text.splitlines()]
    lengths = np.cumsum([len(line) + 1 for line in text.splitlines()])
    first, last = np.searchsorted(lengths, [0.9 * len(text), 0.95 * len(text)])
    return "words", [s for s in lines[:first] if s], [s for s in lines[last:] if s]


def names():
    """makemore's split: shuffled with seed 42; 80 % to train, and the 10 % it calls dev to test."""
    words = corpora.fetch("names").read_text().splitlines()
    random.Random(42).shuffle(words)
    train, dev = (
        words[: int(0.8 * len(words))],
        words[int(0.8 * len(words)) : int(0.9 * len(words))],
    )
    return "letters", [list(word) for word in train], [list(word) for word in dev]


def penn_treebank():
    """Mikolov's files, a closed vocabulary of 10,000; <unk> in the text is an ordinary word."""
    folder = corpora.cache_dir() / "ptb"
    texts = [(folder / f"ptb.{part}.txt").read_text() for part in ("train", "test")]
    parts = [[line.split() for line in text.replace("<unk>", "UNK").splitlines()] for text in texts]
    return "words", *parts


def brown():
    """The first 800,000 tokens to train, the last 160,000 to test, as Bengio et al. (2003)."""
    files = sorted((corpora.cache_dir() / "brown").glob("c[a-r][0-9][0-9]"))
    if not files:
        raise FileNotFoundError
    lines = (line.split() for file in files for line in file.read_text().splitlines())
    sentences = [[word.rpartition("/")[0] for word in line] for line in lines if line]
    ends = np.cumsum([len(s) for s in sentences])
    return (
        "words",
        sentences[: np.searchsorted(ends, 800_000)],
        sentences[np.searchsorted(ends, 1_000_000) :],
    )


TEXTS = {
    "Penn Treebank": (penn_treebank, (3, 5)),
    "Brown": (brown, (3, 5)),
    "Tiny Shakespeare, words": (tiny_shakespeare_words, (3, 5)),
    "Tiny Shakespeare, nanoGPT's split": (tiny_shakespeare_stream, (5, 7)),
    "names, makemore's split": (names, (4, 6)),
}


def measure(name):
    """One row of the table for each order."""
    load, orders = TEXTS[name]
    unit, train, test = load()
    for n in orders:
        model = ngram.fit(train, n, discount_fallback=True, kenlm_compatible=True)
        p = model.perplexity(test)
        yield dict(
            zip(
                COLUMNS,
                (
                    name,
                    unit,
                    n,
                    p.tokens,
                    p.oov,
                    f"{p.value:.4f}",
                    f"{p.excluding_oov:.4f}",
                    f"{math.log(p.value):.4f}",
                ),
                strict=True,
            )
        )


def main():
    rows = []
    print("| text | unit | n | tokens | OOV | perplexity | without OOV | nats |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name in TEXTS:
        try:
            measured = list(measure(name))
        except (FileNotFoundError, corpora.DownloadError):
            print(f"| {name} | not in {corpora.cache_dir()} | | | | | | |")
            continue
        rows += measured
        for row in measured:
            print("| " + " | ".join(str(row[c]) for c in COLUMNS) + " |")
    if "--write" in sys.argv[1:]:
        with open(TABLE, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
