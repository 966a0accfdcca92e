"""Modified Kneser-Ney against KenLM's own figures, kept in reference/lmplz.json."""

import hashlib
import json
from functools import cache
from pathlib import Path

import lmplz_corpus
import numpy as np
import pytest

from lmlib import corpora, ngram

FIGURES = json.loads(Path(__file__, "../reference/lmplz.json").resolve().read_text("utf-8"))
CORPORA = FIGURES["corpora"]
MODELS = [(name, int(order)) for name in CORPORA for order in CORPORA[name]["models"]]


@cache
def text(name):
    """(train, test) of one corpus."""
    if name == "embedded":
        sentences = corpora.load().sentences()
        return corpora.split_iid(sentences, held_out=0.1, rng=np.random.default_rng(0))
    return lmplz_corpus.make(name)


@cache
def counts(name, order):
    return ngram.Counts(text(name)[0], order)


@cache
def fitted(name, order):
    return ngram.modified_kneser_ney(
        counts(name, order),
        discount_fallback=CORPORA[name]["discount_fallback"],
        kenlm_compatible=True,
    )


def figures(name, order):
    return CORPORA[name]["models"][str(order)]


def test_every_corpus_has_four_orders():
    assert len(MODELS) == 20
    assert {name for name, order in MODELS if figures(name, order)["quirk_in_orders"]} >= {"coda"}


@pytest.mark.parametrize("name", CORPORA)
def test_the_text_is_the_one_that_kenlm_read(name):
    for part, size, digest in zip(
        text(name), CORPORA[name]["sentences"], CORPORA[name]["sha256"], strict=True
    ):
        assert len(part) == size
        lines = "".join(" ".join(sentence) + "\n" for sentence in part)
        assert hashlib.sha256(lines.encode("utf-8")).hexdigest() == digest


@pytest.mark.parametrize(("name", "order"), MODELS)
def test_counts_are_exact(name, order):
    c = counts(name, order)
    # lmplz counts <unk>, <s> and </s> among the unigrams
    types = [len(c.vocabulary), *(c.types(n) for n in range(2, order + 1))]
    assert types == figures(name, order)["counts"]


@pytest.mark.parametrize(("name", "order"), MODELS)
def test_discounts(name, order):
    """What the model took off each number, found again from its probabilities."""
    c, model = counts(name, order), fitted(name, order)
    for n, (a, expected) in enumerate(
        zip(ngram.continuation_counts(c), figures(name, order)["discounts"], strict=True), start=1
    ):
        context = c.index.contexts(n)
        total = np.bincount(context, a)[context]
        if n == 1:
            lower = np.full(a.size, model.probability[0][ngram.UNK])  # <unk> has nothing else
        else:
            lower = model.backoff[n - 2][context] * model.probability[n - 2][c.suffixes(n)]
        off = a - (model.probability[n - 1] - lower) * total
        for i, d in enumerate(expected, start=1):
            like = off[a == i] if i < 3 else off[a >= 3]
            if like.size:
                error = 1e-5 * d + 1e-9 * total.max()
                assert d - error < like.min() <= like.max() < d + error, (n, i)


@pytest.mark.parametrize(("name", "order"), MODELS)
def test_perplexity(name, order):
    expected, score = figures(name, order), fitted(name, order).perplexity(text(name)[1])
    assert (score.tokens, score.oov) == (expected["tokens"], expected["oov"])
    assert score.value == pytest.approx(expected["perplexity"], rel=1e-6)
    assert score.excluding_oov == pytest.approx(expected["perplexity_excluding_oov"], rel=1e-6)


@pytest.mark.parametrize(("name", "order"), MODELS)
def test_tokens(name, order):
    expected = figures(name, order)["token_log10"]
    p = fitted(name, order).token_probabilities(text(name)[1][: len(expected)])
    assert np.log10(p) == pytest.approx(np.concatenate(expected), abs=1e-6)


@pytest.mark.parametrize(("name", "order"), MODELS)
def test_lines_of_the_arpa_file(name, order):
    model = fitted(name, order)
    for line, log_p, log_backoff in figures(name, order)["arpa"]:
        words = line.split(" ")
        n, row = len(words), model.index.row(model.vocabulary.encode(words, unknown="raise"))
        assert row >= 0
        if line != "<s>":  # a probability that nobody uses
            assert np.log10(model.probability[n - 1][row]) == pytest.approx(log_p, abs=1e-6)
        assert (log_backoff is None) == (n == order)
        if n < order:
            assert np.log10(model.backoff[n - 1][row]) == pytest.approx(log_backoff, abs=1e-6)


@pytest.mark.parametrize(("name", "order"), MODELS)
def test_without_the_quirk_only_the_discounts_named_differ(name, order):
    fallback = CORPORA[name]["discount_fallback"]
    exact = ngram.modified_kneser_ney(counts(name, order), fallback)
    same = fitted(name, order)
    moved = [
        n
        for n in range(1, order + 1)
        if (
            exact.probability[0][ngram.UNK] != same.probability[0][ngram.UNK]
            if n == 1
            else not np.array_equal(exact.backoff[n - 2], same.backoff[n - 2])
        )
    ]
    assert moved == figures(name, order)["quirk_in_orders"]
