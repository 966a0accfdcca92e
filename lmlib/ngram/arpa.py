r"""The ARPA file format: n-gram models as text, as KenLM, SRILM and others read and write them.

    \data\
    ngram 1=3
    …
    \1-grams:
    log10 P  <tab>  n-gram  <tab>  log10 of the backoff weight
    …
    \end\

The highest order has no backoff weights. ``<s>`` carries a probability that nobody uses; lmplz
writes log10 P = 0 for it, and so do we. -99 stands for log10 of zero.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np

from lmlib.corpora import Vocabulary
from lmlib.ngram.counting import BOS, MARKS, Index
from lmlib.ngram.model import BackoffModel

ZERO = -99.0  # log10 of a probability of zero
BETWEEN = r"[ \t\r\n\0]+"  # what ends a word for KenLM; str.split would know more


def write(model: BackoffModel, path: str | Path) -> None:
    """Write a model, eight digits after the point, UTF-8.

    Raises
    ------
    ValueError : for a word that is empty or has a space, tab, line end or NUL in it, which the
        format cannot hold; other white space, such as a no-break space, is part of a word
    """
    words = np.array(model.vocabulary.words, object)
    if bad := [w for w in model.vocabulary.words if not w or re.search(BETWEEN, w)]:
        raise ValueError(f"an ARPA file separates words by spaces; it cannot hold {bad[0]!r}.")
    names = words
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        sizes = [f"ngram {n}={p.size}\n" for n, p in enumerate(model.probability, start=1)]
        file.write("\\data\\\n" + "".join(sizes))
        for n, probability in enumerate(model.probability, start=1):
            if n > 1:
                index = model.index
                names = names[index.contexts(n)] + " " + words[index.words(n)]
            columns = [_log10(probability), names.tolist()]
            if n == 1:
                columns[0][BOS] = 0.0
            if n < model.order:
                columns.append(_log10(model.backoff[n - 1]))
            file.write(f"\n\\{n}-grams:\n")
            file.writelines("\t".join(map(str, line)) + "\n" for line in zip(*columns, strict=True))
        file.write("\n\\end\\\n")


def _log10(values: np.ndarray) -> list[float]:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log10(values).round(8), ZERO).tolist()


def read(path: str | Path) -> BackoffModel:
    """Read a model; the inverse of `write` up to the digits written.

    Raises
    ------
    ValueError : for a file that is not ARPA, is cut short, has more or fewer n-grams than it
        announces, lists an n-gram twice, or lists one whose context it does not list
    """
    with open(path, encoding="utf-8") as file:
        lines = (line.rstrip("\r\n") for line in file)
        sizes = _header(lines, path)
        vocabulary, keys, probability, backoff = None, [], [], []
        rows = {"": 0}  # n-gram of the order before -> its row
        for n, size in enumerate(sizes, start=1):
            entries = _section(lines, n, size, path)
            p, names, b = zip(*entries, strict=True)
            p, b = _power(p, n, path, 0), _power(b, n, path, 99)
            if n == 1:
                if len(set(names)) < size:
                    raise ValueError(f"{path}: an n-gram of order 1 is listed twice.")
                names, p, b = _with_marks(names, p, b)
                vocabulary = Vocabulary(names[len(MARKS) :])
                key = np.arange(len(names))
            else:
                key = _keys(names, rows, vocabulary, path)
            order = np.argsort(key)
            key = key[order]
            if np.any(key[1:] == key[:-1]):
                raise ValueError(f"{path}: an n-gram of order {n} is listed twice.")
            keys.append(key)
            probability.append(p[order])
            if n < len(sizes):
                backoff.append(b[order])
                rows = {names[old]: new for new, old in enumerate(order)}
        _expect(lines, "\\end\\", path)
    return BackoffModel(Index(vocabulary, keys), probability, backoff)


def _header(lines, path) -> list[int]:
    for line in lines:
        if line.strip() == "\\data\\":
            break
    else:
        raise ValueError(f"{path} is not an ARPA file: it has no line \\data\\.")
    sizes = []
    for line in lines:
        match = re.fullmatch(r"ngram +(\d+) *= *(\d+)", line.strip())
        if not match:
            break
        sizes.append(int(match[2]))
        if int(match[1]) != len(sizes) or sizes[-1] < 1:
            raise ValueError(
                f"{path}: {line!r} does not fit; the header must announce one or more n-grams of "
                "each order, 1 first."
            )
    if not sizes:
        raise ValueError(f"{path} is not an ARPA file: no 'ngram 1=…' follows \\data\\.")
    return sizes


def _section(lines, n, size, path) -> list[tuple[str, str, str]]:
    """The lines of one order, as (log10 P, n-gram, log10 backoff)."""
    _expect(lines, f"\\{n}-grams:", path)
    entries = []
    for line in islice(lines, size):
        fields = line.split("\t")
        if len(fields) == 1:  # some tools separate everything by spaces
            parts = re.split(BETWEEN, line.strip(" "))
            fields = [*parts[:1], " ".join(parts[1 : n + 1]), *parts[n + 1 :]]
        if len(fields) not in (2, 3) or len(fields[1].split(" ")) != n:
            raise ValueError(
                f"{path}: expected {size:,} {n}-grams, found {len(entries):,} and then {line!r}. "
                "Is the file cut short?"
            )
        entries.append((fields[0], fields[1], fields[2] if len(fields) == 3 else "0"))
    if len(entries) < size:
        raise ValueError(f"{path}: expected {size:,} {n}-grams, found {len(entries):,}.")
    return entries


def _expect(lines, wanted, path) -> None:
    """Read the line that must come next, after nothing but empty lines."""
    line = next((line.strip() for line in lines if line.strip()), None)
    if line is None:
        raise ValueError(f"{path}: the line {wanted} is missing. Is the file cut short?")
    if line != wanted:
        raise ValueError(
            f"{path}: expected the line {wanted}, found {line!r}. Are there more n-grams than the "
            "header announces?"
        )


def _power(log10, n, path, highest) -> np.ndarray:
    """10 to the numbers of one column, 0 where they are -99 or less."""
    try:
        log10 = np.array(log10, float)
        if not np.all(log10 <= highest):  # nan is not
            raise ValueError(f"found {log10[~(log10 <= highest)][0]}")
    except ValueError as error:
        raise ValueError(
            f"{path}: the {n}-grams need a number for log10 of the probability, at most 0, and of "
            f"the backoff weight: {error}."
        ) from None
    return np.where(log10 <= ZERO, 0, 10**log10)


def _with_marks(names, p, b):
    """The unigrams with <unk>, <s>, </s> first; a file without <unk> gives it probability 0."""
    listed = {name: i for i, name in enumerate(names)}
    order = [listed.get(mark, -1) for mark in MARKS]
    order += [i for name, i in listed.items() if name not in MARKS]
    p, b = np.append(p, 0.0)[order], np.append(b, 1.0)[order]
    p[BOS] = 0
    return [*MARKS, *(name for name in listed if name not in MARKS)], p, b


def _keys(names, rows, vocabulary, path) -> np.ndarray:
    contexts, last = zip(*(name.rsplit(" ", 1) for name in names), strict=True)
    row = np.fromiter((rows.get(c, -1) for c in contexts), np.int64, len(contexts))
    if np.any(row < 0):
        bad = names[int(np.argmin(row))]
        raise ValueError(f"{path}: {bad!r} is listed, but its context is not.")
    try:
        word = vocabulary.encode(last, unknown="raise")
    except ValueError as error:
        raise ValueError(f"{path}: an n-gram has a word that is no unigram. {error}") from None
    return row * len(vocabulary) + word
