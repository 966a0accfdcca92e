"""The infinity-gram against its definition in loops, and its suffix array against sorted()."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import corpora
from lmlib.ngram.counting import BOS, Counts
from lmlib.ngram.infinity import InfinityGram, suffix_array

WORDS = ["a", "b", "c", "été", "虽然"]
ALL_DIFFERENT = [["a", "b", "c"], ["d"], ["e", "f"]]
# one sentence, one repeated word, all words different, an empty sentence, and whatever comes
SENTENCES = st.one_of(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=7), min_size=1, max_size=7).filter(any),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=20).map(lambda s: [s]),
    st.lists(st.integers(0, 6).map(lambda k: ["a"] * k), min_size=1, max_size=4).filter(any),
    st.just(ALL_DIFFERENT),
)
TEXT = st.lists(st.lists(st.sampled_from([*WORDS, "new"]), max_size=9), min_size=1, max_size=5)


# ------------------------------------------------------------------- the specification, in loops
def lines(sentences, known):
    return [["<s>", *(w if w in known else "<unk>" for w in s), "</s>"] for s in sentences]


def followers(context, training):
    """What stands after each occurrence of the longest known suffix of `context`; its length."""
    for size in range(len(context), -1, -1):
        c = context[len(context) - size :]
        found = Counter(
            line[j + size]
            for line in training
            for j in range(len(line) - size)
            if line[j : j + size] == c and line[j + size] != "<s>"
        )
        if found:
            return size, found


def spec_matches(training, text, vocabulary):
    for line in text:
        for i in range(1, len(line)):
            size, found = followers(line[:i], training)
            best = min(found, key=lambda w: (-found[w], vocabulary.words.index(w)))
            p = found[line[i]] / found.total()
            yield size, found.total(), len(found) == 1, p, best == line[i]


# -------------------------------------------------------------------------------- the suffix array
def assert_sorted_suffixes(ids, rows):
    """Rows are a permutation, and each suffix is smaller than the next."""
    assert np.array_equal(np.sort(rows), np.arange(ids.size))
    here, below = rows[:-1], rows[1:]
    while here.size:
        # a suffix that ends first is the smaller one
        assert np.all(below < ids.size)
        go_on = here < ids.size
        here, below = here[go_on], below[go_on]
        assert np.all(ids[here] <= ids[below])
        equal = ids[here] == ids[below]
        here, below = here[equal] + 1, below[equal] + 1


IDS = st.one_of(
    st.lists(st.integers(0, 2), max_size=40),
    st.lists(st.integers(-(2**62), 2**62), max_size=8),
    st.integers(0, 70).map(lambda n: [5] * n),
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=5), st.integers(1, 9)).map(
        lambda period: period[0] * period[1]
    ),
    st.text(max_size=20).map(lambda text: [ord(c) for c in text]),
)


@given(IDS)
@settings(max_examples=300)
def test_suffixes_are_sorted_as_python_sorts_them(ids):
    assert suffix_array(ids).tolist() == sorted(range(len(ids)), key=lambda i: ids[i:])


@given(IDS)
def test_rows_are_a_permutation_of_ordered_neighbours(ids):
    ids = np.array(ids, np.int64)
    before = ids.copy()
    assert_sorted_suffixes(ids, suffix_array(ids))
    assert np.array_equal(ids, before)


@pytest.mark.parametrize("kind", ["words", "characters", "constant", "period"])
def test_long_sequences_are_sorted(kind):
    rng = np.random.default_rng(0)
    zipf = 1 / np.arange(1, 5001)
    ids = {
        "words": rng.choice(5000, 60_000, p=zipf / zipf.sum()).astype(np.int32),
        "characters": np.frombuffer(corpora.load().text.encode()[:60_000], np.uint8),
        "constant": np.zeros(200_000, np.int64),
        "period": np.arange(200_000) % 7,
    }[kind]
    rows = suffix_array(ids)
    assert rows.dtype == np.int64
    if kind in ("words", "characters"):
        assert_sorted_suffixes(ids, rows)
    elif kind == "constant":
        assert np.array_equal(rows, np.arange(ids.size)[::-1])
    else:  # by first symbol, then the later the smaller
        assert np.array_equal(rows, np.lexsort((-np.arange(ids.size), ids)))


def test_ranks_and_position_too_wide_for_one_integer():
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 1 << 21, 1 << 21)  # 21 + 21 + 22 bits
    ids[-1000:] = ids[:1000]  # a passage that pairs of symbols do not tell apart
    assert_sorted_suffixes(ids, suffix_array(ids))


# -------------------------------------------------------------------------------------- matching
@given(SENTENCES, TEXT)
@settings(max_examples=300)
def test_matches_agree_with_the_specification(sentences, text):
    model = InfinityGram(sentences)
    known = model.vocabulary
    spec = list(spec_matches(lines(sentences, known), lines(text, known), known))
    found = model.matches(text)
    assert found.length.tolist() == [s[0] for s in spec]
    assert found.occurrences.tolist() == [s[1] for s in spec]
    assert found.sparse.tolist() == [s[2] for s in spec]
    assert found.probability.tolist() == [s[3] for s in spec]
    assert found.correct.tolist() == [s[4] for s in spec]
    assert model.token_probabilities(text).tolist() == [s[3] for s in spec]


@given(SENTENCES, TEXT)
def test_words_outside_a_given_vocabulary_are_one_word(sentences, text):
    vocabulary = corpora.Vocabulary(["b", "c"])
    model = InfinityGram(sentences, vocabulary)
    spec = spec_matches(lines(sentences, vocabulary), lines(text, vocabulary), vocabulary)
    assert model.vocabulary is vocabulary
    assert model.token_probabilities(text).tolist() == [s[3] for s in spec]


@given(SENTENCES, st.lists(st.sampled_from([*WORDS, "<s>", "</s>", "new"]), max_size=7))
@settings(max_examples=300)
def test_every_context_has_the_distribution_of_its_longest_known_suffix(sentences, context):
    model = InfinityGram(sentences)
    p = model.probabilities(context)
    known = model.vocabulary
    _, found = followers([w if w in known else "<unk>" for w in context], lines(sentences, known))
    assert p.shape == (len(known),)
    assert abs(p.sum() - 1) < 1e-12
    assert p[BOS] == 0
    assert p.tolist() == [found[w] / found.total() for w in known.words]


@given(SENTENCES, TEXT)
def test_one_context_at_a_time_and_all_at_once_agree(sentences, text):
    model = InfinityGram(sentences)
    at_once = iter(model.token_probabilities(text))
    best = iter(model.matches(text).correct)
    for sentence in text:
        line = ["<s>", *sentence, "</s>"]
        ids = model.vocabulary.encode(line)
        for i in range(1, len(line)):
            p = model.probabilities(line[:i])
            assert p[ids[i]] == next(at_once)
            assert (p.argmax() == ids[i]) == next(best)


@given(SENTENCES)
def test_training_sentences_are_matched_whole(sentences):
    found = InfinityGram(sentences).matches(sentences)
    assert found.length.tolist() == [i for s in sentences for i in range(1, len(s) + 2)]
    assert np.all(found.probability > 0)
    assert np.all(found.probability[found.sparse] == 1)
    assert np.all(found.correct[found.sparse])


def test_matches_on_the_embedded_corpus_agree_with_a_dictionary():
    sentences = corpora.load().sentences()[:4000]
    train, held_out = sentences[:-100], sentences[-100:]
    model = InfinityGram(train)
    after = {}  # context of 1 to 4 symbols -> what followed it
    for line in lines(train, model.vocabulary):
        for n in range(1, 5):
            for i in range(len(line) - n):
                after.setdefault(tuple(line[i : i + n]), Counter())[line[i + n]] += 1
    found = model.matches(held_out)
    at = checked = 0
    for line in lines(held_out, model.vocabulary):
        for i in range(1, len(line)):
            known = [n for n in range(1, min(i, 4) + 1) if tuple(line[i - n : i]) in after]
            longest = max(known, default=0)
            assert min(found.length[at], 4) == longest
            if 0 < found.length[at] < 4:
                follows = after[tuple(line[i - longest : i])]
                assert found.occurrences[at] == follows.total()
                assert found.sparse[at] == (len(follows) == 1)
                assert found.probability[at] == follows[line[i]] / follows.total()
                checked += 1
            at += 1
    assert checked > 500


def test_many_words_in_a_long_text_do_not_overflow():
    words = [f"w{i}" for i in range(50_000)]  # V · n is more than an int32 holds
    model = InfinityGram([words])
    found = model.matches([words[-10:]])
    assert found.length.tolist() == [1, *range(1, 11)]
    assert found.probability.tolist() == [0.0, *[1.0] * 10]
    assert model.count(words[-10:]) == 1


# -------------------------------------------------------------------------------------- counting
@given(SENTENCES, st.lists(st.sampled_from([*WORDS, "<s>", "</s>", "new"]), min_size=1, max_size=9))
@settings(max_examples=300)
def test_windows_of_any_length_have_their_count(sentences, window):
    model = InfinityGram(sentences)
    training = lines(sentences, model.vocabulary)
    wanted = [w if w in model.vocabulary else "<unk>" for w in window]
    n = len(window)
    expected = sum(line[i : i + n] == wanted for line in training for i in range(len(line)))
    assert model.count(window) == (0 if window == ["<s>"] else expected)


@given(SENTENCES)
def test_counts_agree_with_the_tables(sentences):
    model = InfinityGram(sentences)
    order = max(map(len, sentences)) + 2
    counts = Counts(sentences, order)
    for line in lines(sentences, model.vocabulary):
        for i in range(len(line)):
            for n in range(1, len(line) - i + 1):
                assert model.count(line[i : i + n]) == counts.count(line[i : i + n])


def test_windows_never_cross_sentences():
    model = InfinityGram([["a", "b"], ["c"], ["a", "b"]])
    for window in (["</s>", "<s>"], ["b", "</s>", "<s>", "c"], ["</s>", "<s>", "a"], ["b", "c"]):
        assert model.count(window) == 0
    assert model.count(["<s>", "a", "b", "</s>"]) == 2


# ----------------------------------------------------------------------------------- as a model
def test_there_is_no_smoothing():
    model = InfinityGram([["a", "b"], ["a", "c"]])
    assert model.order is None
    assert model.perplexity([["a", "b"]]).value == pytest.approx(2 ** (1 / 3))
    score = model.perplexity([["a", "a"]])
    assert (score.value, score.zeros, score.tokens) == (math.inf, 2, 3)


@given(SENTENCES, st.integers(0, 99))
def test_samples_continue_as_training_did(sentences, seed):
    model = InfinityGram(sentences)
    sample = model.sample(np.random.default_rng(seed), max_words=30)
    # with the whole sentence as context, every sample is a training sentence
    assert sample in sentences


# -------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: suffix_array([0.5]), "integers, got float64 of shape"),
        (lambda: suffix_array([[1, 2]]), r"integers, got int64 of shape \(1, 2\)"),
        (lambda: suffix_array(["a"]), "Encode words"),
        (lambda: InfinityGram([]), "nothing to count"),
        (lambda: InfinityGram([[]]), "every sentence is empty"),
        (lambda: InfinityGram("a b"), "one str"),
        (lambda: InfinityGram(["a b"]), "must be a list of words"),
        (lambda: InfinityGram([[1, 2]]), "words must be str, got 1"),
        (lambda: InfinityGram([["a", "</s>"]]), "own marks"),
        (lambda: InfinityGram([["a"]]).count("a"), "got the text 'a'"),
        (lambda: InfinityGram([["a"]]).count([]), "empty; expected a list of one word"),
        (lambda: InfinityGram([["a"]]).matches([]), "is empty"),
        (lambda: InfinityGram([["a"]]).matches(["a"]), "must be a list of words"),
        (lambda: InfinityGram([["a"]]).probabilities("a"), "got the str 'a'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
