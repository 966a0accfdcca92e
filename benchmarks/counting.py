"""Counting all n-grams up to order 5: `ngram.Counts` beside a Counter of tuples, in one run.

    python3 run.py bench counting

The text is generated: words drawn from a Zipf law over 50,000 types, so that its size can grow.
Times are CPU seconds; the ratio is Counter / lmlib, so above 1 lmlib is faster.
"""

import time
from collections import Counter
from itertools import chain

import numpy as np

from lmlib import ngram

ORDER = 5
TYPES = 50_000
SENTENCE = 20
SIZES = (10_000, 100_000, 1_000_000)


def generated(tokens, rng):
    """Sentences of SENTENCE words each, drawn independently with P(rank r) ∝ 1/r."""
    weights = 1 / np.arange(1, TYPES + 1)
    ids = rng.choice(TYPES, size=(tokens // SENTENCE, SENTENCE), p=weights / weights.sum())
    return [[f"w{i}" for i in line] for line in ids.tolist()]


def with_counter(sentences):
    """The same counts in a few lines of plain Python."""
    counts = [Counter() for _ in range(ORDER)]
    for sentence in sentences:
        line = ("<s>", *sentence, "</s>")
        for n, table in enumerate(counts, start=1):
            table.update(zip(*(line[k:] for k in range(n)), strict=False))
    return counts


def seconds(function, *args):
    """CPU seconds of one call, and its result."""
    start = time.process_time()
    result = function(*args)
    return time.process_time() - start, result


def main():
    rng = np.random.default_rng(0)
    print("| tokens | lmlib, s | Counter, s | ratio |")
    print("|---:|---:|---:|---:|")
    for size in SIZES:
        sentences = generated(size, rng)
        ours, counts = seconds(ngram.Counts, sentences, ORDER)
        theirs, tables = seconds(with_counter, sentences)
        assert counts.types(ORDER) == len(tables[-1]), "the two must count the same n-grams"
        tokens = sum(1 for _ in chain.from_iterable(sentences))
        print(f"| {tokens:,} | {ours:.3f} | {theirs:.3f} | {theirs / ours:.1f} |")


if __name__ == "__main__":
    main()
