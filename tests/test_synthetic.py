"""The sources of known entropy against enumeration, a loop, and long samples."""

import doctest
import math
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import corpora
from lmlib.corpora import synthetic

SOURCES = st.builds(
    lambda seed, *sizes: corpora.hidden_classes(np.random.default_rng(seed), *sizes),
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(1, 3),
    st.floats(1, 8),
    st.floats(0.05, 5),
)


# ---------------------------------------------------------------------- the specification, in loops
def spec_probabilities(source, sentence):
    """The probability of every word of one sentence and of its end, from the definition."""
    outside, p = source.transitions.shape[-1], []
    older = newer = outside
    for position, word in enumerate(sentence):
        now, rank = "abcdefghijklmnopqrstuvwxyz".index(word[0]), int(word[1:])
        chance = source.transitions[older, newer, now] * source.emissions[rank - 1]
        p.append(chance * (1 - source.stop) if position else chance)
        older, newer = newer, now
    return [*p, source.stop if sentence else 0.0]


# ------------------------------------------------------------------------------------ probabilities
@settings(deadline=None)
@given(SOURCES, st.data())
def test_token_probabilities_agree_with_the_specification(source, data):
    words = st.lists(st.sampled_from(source.words), max_size=6)
    text = data.draw(st.lists(words, min_size=1, max_size=4))
    expected = [p for sentence in text for p in spec_probabilities(source, sentence)]
    assert source.token_probabilities(text) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(SOURCES, st.data())
def test_what_can_follow_has_probability_one(source, data):
    before = data.draw(st.lists(st.sampled_from(source.words), max_size=4))
    after = source.token_probabilities([[*before, word] for word in source.words])
    after = after.reshape(len(source.words), -1)[:, len(before)].sum()
    assert after + source.token_probabilities([before])[-1] == pytest.approx(1, abs=1e-12)


# ------------------------------------------------------------------------------------------ entropy
@pytest.mark.parametrize("length", [1, 1.25, 2])
def test_entropy_is_that_of_all_sentences(length):
    source = corpora.hidden_classes(np.random.default_rng(3), 2, 1, length)
    nats = tokens = total = 0.0
    for count in range(1, 14):  # longer ones have a share of 2^-13 or less
        for sentence in product(source.words, repeat=count):
            p = math.prod(spec_probabilities(source, sentence))
            nats -= p * math.log(p) if p > 0 else 0
            tokens += p * (count + 1)
            total += p
    assert total == pytest.approx(1, abs=2e-4)
    assert source.entropy == pytest.approx(nats / tokens, rel=1e-3 if length == 2 else 1e-6)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(1, 50))
def test_entropy_of_one_class_is_known_in_closed_form(words, length):
    source = corpora.hidden_classes(np.random.default_rng(0), 1, words, length)
    zipf = 1 / np.arange(1, words + 1) / np.sum(1 / np.arange(1, words + 1))
    s = 1 / length
    stop = -s * math.log(s) - ((1 - s) * math.log(1 - s) if s < 1 else 0)
    expected = length * (-np.sum(zipf * np.log(zipf)) + stop) / (length + 1)
    assert source.entropy == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_text_costs_its_entropy(seed):
    source = corpora.hidden_classes(np.random.default_rng(seed), length=7)
    text = source.sample(np.random.default_rng([seed, 1]), 20_000)
    p = source.token_probabilities(text)
    ends = np.cumsum([len(sentence) + 1 for sentence in text])
    cost = np.add.reduceat(-np.log(p), ends - np.diff(ends, prepend=0))  # nats of each sentence
    excess = cost - source.entropy * np.diff(ends, prepend=0)  # mean 0 if the entropy is right
    assert abs(excess.mean()) < 4 * excess.std() / len(text) ** 0.5
    assert excess.std() / len(text) ** 0.5 < 0.05  # so that a wrong entropy cannot hide


# ------------------------------------------------------------------------------------------ samples
def test_samples_follow_the_rules():
    source = corpora.hidden_classes(np.random.default_rng(5), 3, 4, 6, 1.0)
    text = source.sample(np.random.default_rng(6), 30_000)
    assert all(text) and len(text) == 30_000
    assert np.mean([len(sentence) for sentence in text]) == pytest.approx(6, abs=0.15)
    assert np.mean([len(sentence) == 1 for sentence in text]) == pytest.approx(1 / 6, abs=0.01)
    ranks = Counter(word[1:] for sentence in text for word in sentence)
    shares = [ranks[str(r)] / ranks.total() for r in range(1, 5)]
    assert shares == pytest.approx(source.emissions, abs=0.005)
    seen = np.zeros((4, 4, 3))
    for sentence in text:
        path = [3, 3, *("abc".index(word[0]) for word in sentence)]
        for a, b, c in zip(path, path[1:], path[2:], strict=False):
            seen[a, b, c] += 1
    totals = seen.sum(-1)
    assert not seen[:3, 3].any()  # nothing stands before the start
    often = totals > 1000
    assert often.sum() > 8
    shares = seen[often] / totals[often][:, None]
    assert shares == pytest.approx(source.transitions[often], abs=0.05)


def test_chances_that_round_to_less_than_one_leave_no_gap():
    source = corpora.hidden_classes(np.random.default_rng(0), 3, 2)
    source = replace(source, transitions=source.transitions * 0.9)  # far more than rounding does
    text = source.sample(np.random.default_rng(0), 200)
    assert {word for sentence in text for word in sentence} <= set(source.words)


def test_zipf_and_names():
    source = corpora.hidden_classes(np.random.default_rng(0), 2, 3)
    assert source.words == ("a1", "a2", "a3", "b1", "b2", "b3")
    assert source.emissions == pytest.approx(np.array([6, 3, 2]) / 11)
    assert source.transitions.sum(-1) == pytest.approx(np.ones((3, 3)))


def test_the_seed_decides():
    first, again, other = (corpora.hidden_classes(np.random.default_rng(s)) for s in (1, 1, 2))
    assert (first.transitions == again.transitions).all()
    assert first.entropy != other.entropy
    texts = [first.sample(np.random.default_rng(s), 5) for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@settings(deadline=None)
@given(SOURCES, st.integers(1, 20))
def test_a_sample_is_possible(source, count):
    text = source.sample(np.random.default_rng(0), count)
    assert len(text) == count
    assert (source.token_probabilities(text) > 0).all()


# ---------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "1 … 26"),
        ({"classes": 27}, "1 … 26"),
        ({"words": 0}, "words must be at least 1"),
        ({"length": 0.5}, "length must be a mean of at least 1"),
        ({"length": float("nan")}, "length must be a mean of at least 1"),
        ({"length": float("inf")}, "length must be a mean of at least 1"),
        ({"concentration": 0}, "concentration must be positive"),
        ({"concentration": float("nan")}, "concentration must be positive"),
    ],
)
def test_bad_sizes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        corpora.hidden_classes(np.random.default_rng(0), **options)


def test_bad_calls_are_named():
    with pytest.raises(ValueError, match="rng must be a numpy Generator, got 0"):
        corpora.hidden_classes(0)
    source = corpora.hidden_classes(np.random.default_rng(0), 2, 3)
    with pytest.raises(ValueError, match="at least 1 sentence, got 0"):
        source.sample(np.random.default_rng(0), 0)
    with pytest.raises(ValueError, match="'salt' is not a word of this source"):
        source.token_probabilities([["a1", "salt"]])
    with pytest.raises(ValueError, match="sentences is empty"):
        source.token_probabilities([])


# ------------------------------------------------------------------------------- the Markov source
MARKOV = st.builds(
    lambda seed, symbols, scales, zipf: corpora.markov_logits(
        np.random.default_rng(seed), symbols, tuple(scales), zipf
    ),
    st.integers(0, 2**32),
    st.integers(2, 5),
    st.lists(st.floats(0, 2), min_size=1, max_size=3),
    st.floats(0, 2),
)


def spec_markov(rng, symbols, scales, zipf, past):
    """The chances after a past, oldest symbol first, one logit at a time."""
    tables = [rng.standard_normal((symbols,) * (k + 1)) for k in range(1, len(scales) + 1)]
    weights = []
    for w in range(symbols):
        logit = -zipf * math.log(w + 1)
        for k, (scale, table) in enumerate(zip(scales, tables, strict=True), 1):
            logit += scale * table[(*past[-k:], w)]
        weights.append(math.exp(logit))
    return [weight / sum(weights) for weight in weights]


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(2, 5),
    st.lists(st.floats(0, 2), min_size=1, max_size=3),
    st.floats(0, 2),
    st.data(),
)
def test_markov_chances_follow_from_the_logits(seed, symbols, scales, zipf, data):
    source = corpora.markov_logits(np.random.default_rng(seed), symbols, tuple(scales), zipf)
    assert (source.symbols, source.order) == (symbols, len(scales))
    digits = st.integers(0, symbols - 1)
    past = tuple(data.draw(st.lists(digits, min_size=len(scales), max_size=len(scales))))
    expected = spec_markov(np.random.default_rng(seed), symbols, scales, zipf, past)
    np.testing.assert_allclose(source.probabilities[past], expected, rtol=1e-9)


@settings(deadline=None)
@given(MARKOV)
def test_markov_contexts_and_entropy_agree_with_the_eigenvector(source):
    V, K = source.symbols, source.order
    step = np.zeros((V**K, V**K))  # from each context to the next
    for past in product(range(V), repeat=K):
        for w in range(V):
            index = [np.ravel_multi_index(c, (V,) * K) for c in (past, (*past[1:], w))]
            step[*index] += source.probabilities[(*past, w)]
    values, vectors = np.linalg.eig(step.T)
    share = vectors[:, np.abs(values - 1).argmin()].real
    share /= share.sum()
    np.testing.assert_allclose(source.contexts.ravel(), share, atol=1e-9)
    nats = sum(
        -s * p * math.log(p)
        for s, row in zip(share, source.probabilities.reshape(-1, V), strict=True)
        for p in row
    )
    assert source.entropy == pytest.approx(nats, rel=1e-8, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(MARKOV, st.integers(0, 2**32))
def test_markov_token_probabilities_agree_with_a_loop(source, seed):
    text = source.sample(np.random.default_rng(seed), 3, source.order + 4)
    assert text.shape == (3, source.order + 4)
    for line, p in zip(text.tolist(), source.token_probabilities(text), strict=True):
        expected = [
            source.probabilities[tuple(line[i : i + source.order + 1])] for i in range(len(p))
        ]
        assert p.tolist() == expected
        assert len(p) == 4


def test_markov_samples_follow_the_rules_from_the_first_symbol_on():
    source = corpora.markov_logits(np.random.default_rng(1), 4, (1.0, 0.7), 0.5)
    text = source.sample(np.random.default_rng(2), 40_000, 5)
    for start in range(3):  # at the beginning as everywhere
        seen = np.zeros((4, 4, 4))
        np.add.at(seen, tuple(text[:, start : start + 3].T), 1)
        pairs = seen.sum(-1)
        np.testing.assert_allclose(pairs / pairs.sum(), source.contexts, atol=0.008)
        np.testing.assert_allclose(
            seen / pairs[..., None], source.probabilities, atol=4 * 0.5 / pairs.min() ** 0.5
        )


def test_a_long_markov_text_costs_its_entropy():
    source = corpora.markov_logits(np.random.default_rng(0), 16)
    text = source.sample(np.random.default_rng(1), 2000, 52)
    cost = -np.log(source.token_probabilities(text)).mean(1)  # texts are independent
    assert abs(cost.mean() - source.entropy) < 4 * cost.std() / len(cost) ** 0.5 < 0.02


def test_the_largest_random_number_stays_in_its_row():
    class Highest:
        def choice(self, n, size, p):
            return np.full(size, n - 1)

        def random(self, size):
            return np.full(size, 1 - 2**-53)

    source = corpora.markov_logits(np.random.default_rng(0), 3, (1.0, 1.0))
    assert (source.sample(Highest(), 2, 6) == 2).all()


def test_a_source_that_goes_in_circles_has_no_long_run():
    source = corpora.MarkovSource(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert source.entropy == pytest.approx(0, abs=1e-12)  # it starts in its long run
    lopsided = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [1.0, 0, 0, 0], [1, 0, 0, 0]])
    with pytest.raises(ValueError, match="cycle"):
        corpora.MarkovSource(lopsided).entropy  # noqa: B018


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": 1}, "symbols must be at least 2"),
        ({"scales": ()}, "one or more finite numbers"),
        ({"scales": (1.0, -0.1)}, "one or more finite numbers"),
        ({"scales": (1.0, float("nan"))}, "one or more finite numbers"),
        ({"zipf": -1}, "zipf must be finite"),
        ({"zipf": float("inf")}, "zipf must be finite"),
        ({"symbols": 1000, "scales": (1, 1)}, "choose fewer symbols"),
    ],
)
def test_bad_markov_sources_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        corpora.markov_logits(np.random.default_rng(0), **options)


def test_bad_markov_calls_are_named():
    with pytest.raises(ValueError, match="rng must be a numpy Generator, got 0"):
        corpora.markov_logits(0)
    source = corpora.markov_logits(np.random.default_rng(0), 4)
    for texts, length in ((0, 5), (5, 1)):
        with pytest.raises(ValueError, match="2 symbols or more"):
            source.sample(np.random.default_rng(0), texts, length)
    for ids in (np.zeros(5, int), np.zeros((5, 2), int), np.zeros((5, 5))):
        with pytest.raises(ValueError, match=r"expected whole numbers, \(texts, length\)"):
            source.token_probabilities(ids)
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match=r"0 … 3"):
            source.token_probabilities(np.full((2, 4), wrong))


def test_the_examples_run():
    assert doctest.testmod(synthetic).failed == 0
