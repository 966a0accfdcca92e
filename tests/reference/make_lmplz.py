"""Write lmplz.json: what KenLM's own programs say about five corpora.

    python3 tests/reference/make_lmplz.py FOLDER --note "commit …, compiler …"

FOLDER holds the programs `lmplz` and `query`, for example the `bin` of a KenLM build. How to build
them, and what stands in the file: README.md beside this script. It needs the library's own
dependencies, because the embedded corpus is one of the five.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

import lmplz_corpus  # noqa: E402  (needs the path above)

from lmlib import corpora  # noqa: E402

ORDERS = (2, 3, 4, 5)
FALLBACK = ("letters",)
SENTENCES = 8  # whose words are listed with their log10 probabilities
SAMPLES = {"plain": 6, "<s>": 2, "</s>": 2}  # lines of an ARPA file, in each order


def parts(name):
    """(train, test) of the corpus with this name."""
    if name == "embedded":
        sentences = corpora.load().sentences()
        return corpora.split_iid(sentences, held_out=0.1, rng=np.random.default_rng(0))
    return lmplz_corpus.make(name)


def text(sentences):
    """One sentence a line, the last one ended too: without its newline lmplz drops a </s>."""
    return "".join(" ".join(words) + "\n" for words in sentences).encode("utf-8")


def commands(order, train, arpa, scratch, fallback):
    """The command lines of lmplz and query, the latter with the test text on its standard input."""
    lmplz = ["lmplz", "-o", order, "-S", "300M", "-T", scratch, "--text", train, "--arpa", arpa]
    query = ["query", "-v", "word", "-v", "summary", arpa]
    return lmplz + ["--discount_fallback"] * fallback, query


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("programs", type=Path, help="folder with lmplz and query")
    arguments.add_argument("--note", required=True, help="which KenLM, and how it was built")
    options = arguments.parse_args()
    names = (*lmplz_corpus.RECIPES, "embedded")
    figures = {
        "kenlm": options.note,
        "commands": [" ".join(c) for c in commands("ORDER", "TRAIN", "ARPA", "SCRATCH/", False)],
        "corpora": {name: corpus(name, options.programs) for name in names},
    }
    out = json.dumps(figures, ensure_ascii=False, indent=1)
    out = re.sub(r"\[\n\s+([^][{}]*?)\n\s+\]", _on_one_line, out)  # a short list is one line
    (HERE / "lmplz.json").write_text(out + "\n", encoding="utf-8", newline="\n")


def _on_one_line(match):
    return "[" + re.sub(r"\n\s+", " ", match[1]) + "]"


def corpus(name, programs):
    """The figures of one corpus."""
    train, test = parts(name)
    return {
        "sentences": [len(train), len(test)],
        "sha256": [hashlib.sha256(text(part)).hexdigest() for part in (train, test)],
        "discount_fallback": name in FALLBACK,
        "models": {str(order): model(name, train, test, order, programs) for order in ORDERS},
    }


def model(name, train, test, order, programs):
    """What lmplz and query say about one order."""
    with tempfile.TemporaryDirectory() as scratch:
        corpus, arpa = Path(scratch, "train"), Path(scratch, "arpa")
        corpus.write_bytes(text(train))
        lmplz, query = commands(str(order), str(corpus), str(arpa), scratch + "/", name in FALLBACK)
        _, said = run(programs, lmplz)
        scored, _ = run(programs, query, text(test))
        lines = arpa.read_text("utf-8").split("\n")
    statistics = re.findall(r"^\d+ (\d+) D1=(\S+) D2=(\S+) D3\+=(\S+)$", said, re.MULTILINE)
    assert len(statistics) == order, said
    words, summary = scored.split("Perplexity including OOVs:\t")
    perplexity, excluding_oov, oov, tokens = re.findall(r"[\d.]+", summary)
    return {
        "counts": [int(count) for count, *_ in statistics],
        "discounts": [[float(d) for d in discounts] for _, *discounts in statistics],
        "quirk_in_orders": quirk(train, order),
        "perplexity": float(perplexity),
        "perplexity_excluding_oov": float(excluding_oov),
        "oov": int(oov),
        "tokens": int(tokens),
        "token_log10": token_log10(words, test),
        "arpa": sample(lines),
    }


def run(programs, command, content=b""):
    done = subprocess.run(
        [programs / command[0], *command[1:]], input=content, capture_output=True, check=True
    )
    return done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


def token_log10(words, test):
    """log10 p of every word and </s> of the first sentences: one list a sentence."""
    values = iter(re.findall(r"=\d+ \d+ (\S+)\t", words))
    return [[float(next(values)) for _ in range(len(s) + 1)] for s in test[:SENTENCES]]


def sample(lines):
    """[n-gram, log10 p, log10 back-off] of some lines, the back-off null where the file has none.

    All of <unk>, <s> and </s>; then of each order the lines whose hash is lowest, so that they
    come from everywhere in the file: six plain ones, two that begin and two that end a sentence.
    """
    kept = []
    kinds = defaultdict(list)
    for line in lines:
        entry = line.split("\t")
        if len(entry) < 2:
            continue
        value, ngram, *backoff = entry
        words = ngram.split(" ")
        row = [ngram, float(value), float(backoff[0]) if backoff else None]
        if len(words) == 1 and ngram in ("<unk>", "<s>", "</s>"):
            kept.append(row)
            continue
        kind = "<s>" if words[0] == "<s>" else "</s>" if words[-1] == "</s>" else "plain"
        kinds[len(words), kind].append(row)
    for (_, kind), rows in sorted(kinds.items()):
        rows.sort(key=lambda row: hashlib.sha256(row[0].encode("utf-8")).digest())
        kept += rows[: SAMPLES[kind]]
    return kept


def quirk(train, order):
    """The orders below the highest whose last n-gram lmplz counts by its raw count to effect.

    For each order k < N, lmplz tallies the k-gram that its stream ends with (the highest word id
    last, then the highest before it, and so on) by its raw count when it estimates discounts. Here
    are those k where the raw and the adjusted count differ below 5, so that the discounts differ.
    """
    ids = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for sentence in train:
        for word in sentence:
            ids.setdefault(word, len(ids))
    raw = defaultdict(int)
    left = defaultdict(set)
    for sentence in train:
        line = [ids["<s>"], *map(ids.__getitem__, sentence), ids["</s>"]]
        for i in range(1, len(line)):
            for k in range(1, min(order, i + 1) + 1):
                ngram = tuple(line[i - k + 1 : i + 1])
                raw[ngram] += 1
                if i - k >= 0:
                    left[ngram].add(line[i - k])
    longest = [g for g in raw if len(g) == order or g[0] == ids["<s>"]]
    last = max(longest, key=lambda g: g[::-1] + (ids["<s>"],) * (order - len(g)))
    found = []
    for k in range(1, min(order, len(last) + 1)):
        ngram = last[-k:]
        adjusted = raw[ngram] if ngram[0] == ids["<s>"] else len(left[ngram])
        if min(raw[ngram], 5) != min(adjusted, 5):
            found.append(k)
    return found


if __name__ == "__main__":
    main()
