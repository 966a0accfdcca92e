"""lmlib.ngram against a specification of ten lines, and against what must always hold."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import corpora, ngram
from lmlib.ngram import counting

WORDS = ["a", "b", "c", "die", "été", "虽然"]
SENTENCES = st.lists(st.lists(st.sampled_from(WORDS), max_size=6), min_size=1, max_size=6).filter(
    any
)
ORDERS = st.integers(1, 5)


# ------------------------------------------------------------------- the specification, in loops
def spec_counts(sentences, n):
    counts = Counter()
    for sentence in sentences:
        line = ["<s>", *sentence, "</s>"]
        counts.update(tuple(line[i : i + n]) for i in range(len(line) - n + 1))
    counts.pop(("<s>",), None)
    return counts


def spec_probabilities(sentences, order, text):
    """The probability of every predicted symbol of `text`, straight from the definition."""
    counts = {n: spec_counts(sentences, n) for n in range(1, order + 1)}
    p = []
    for sentence in text:
        line = ["<s>", *sentence, "</s>"]
        for i in range(1, len(line)):
            window = tuple(line[max(0, i - order + 1) : i + 1])
            table = counts[len(window)]
            total = sum(c for w, c in table.items() if w[:-1] == window[:-1])
            p.append(table[window] / total if total else 0.0)
    return p


def longest(sentences):
    return max(map(len, sentences)) + 2


# --------------------------------------------------------------------------------------- counting
@given(SENTENCES, ORDERS)
def test_counts_agree_with_the_specification(sentences, order):
    order = min(order, longest(sentences))
    counts = ngram.Counts(sentences, order)
    for n in range(1, order + 1):
        spec = spec_counts(sentences, n)
        assert counts.types(n) == len(spec)
        assert counts.tokens(n) == sum(spec.values())
        assert all(counts.count(window) == c for window, c in spec.items())
        assert sorted(ngram.rank_frequency(counts, n)) == sorted(spec.values())
        by_count = Counter(spec.values())
        assert counts.counts_of_counts(n, 7).tolist() == [by_count[r] for r in range(1, 8)]


@given(SENTENCES, st.lists(st.sampled_from([*WORDS, "<s>", "</s>", "new"]), min_size=1, max_size=4))
def test_any_window_has_its_count(sentences, window):
    order = min(4, longest(sentences))
    window = window[:order]
    expected = spec_counts(sentences, len(window))[tuple(window)]
    assert ngram.Counts(sentences, order).count(window) == expected


@given(SENTENCES, st.lists(st.sampled_from([*WORDS, "<s>", "new"]), max_size=2))
def test_followers_are_all_and_in_order(sentences, context):
    context = context[: longest(sentences) - 1]
    counts = ngram.Counts(sentences, min(3, longest(sentences)))
    context = context[: counts.order - 1]
    words, how_often = counts.followers(context)
    spec = {
        w[-1]: c
        for w, c in spec_counts(sentences, len(context) + 1).items()
        if w[:-1] == tuple(context)
    }
    assert dict(zip(words, how_often.tolist(), strict=True)) == spec
    assert how_often.tolist() == sorted(how_often.tolist(), reverse=True)


def test_windows_never_cross_sentences():
    counts = ngram.Counts([["a", "b"], ["c"]], 2)
    assert counts.count(["b", "c"]) == counts.count(["</s>", "<s>"]) == 0


def test_large_keys_take_the_other_path_to_the_same_groups():
    rng = np.random.default_rng(0)
    small, at = rng.integers(0, 50, 1000), np.arange(1, 1001)
    large = small + (1 << 60)  # no room left to pack the position beside the key
    packed, plain = counting._group(small.copy(), at), counting._group(large, at)
    assert np.array_equal(packed[0], plain[0] - (1 << 60))
    assert np.array_equal(packed[0], np.unique(small))
    for a, b in zip(packed[1:], plain[1:], strict=True):
        assert np.array_equal(a, b)


def test_possible_ngrams_count_words_and_the_end_mark():
    counts = ngram.Counts([["a", "b"], ["c"]], 2)
    assert counts.possible(1) == 4
    assert counts.possible(2) == 16


def test_a_corpus_is_read_once_and_in_chunks_to_the_same_counts():
    sentences = [[f"w{i % 977}", f"w{i * i % 641}"] for i in range(40_000)]  # several chunks
    once, again = ngram.Counts(iter(sentences), 2), ngram.Counts(sentences[::-1], 2)
    assert once.tokens(1) == again.tokens(1) == 120_000
    assert once.types(2) == again.types(2) == len(spec_counts(sentences, 2))
    assert once.count(["w5", "w25"]) == sum(s == ["w5", "w25"] for s in sentences)


def test_with_a_given_vocabulary_other_words_are_counted_as_unknown():
    counts = ngram.Counts([["a", "x", "y"], ["x"]], 2, corpora.Vocabulary(["a"]))
    assert counts.count(["<unk>"]) == 3
    assert counts.count(["<unk>", "<unk>"]) == 1


# ------------------------------------------------------------------------------ maximum likelihood
@given(SENTENCES, SENTENCES, ORDERS)
@settings(max_examples=60)
def test_probabilities_agree_with_the_specification(sentences, text, order):
    order = min(order, longest(sentences))
    model = ngram.fit(sentences, order, method="mle")
    p = model.token_probabilities(text)
    assert p == pytest.approx(spec_probabilities(sentences, order, text), abs=1e-15)


@given(SENTENCES, ORDERS)
def test_every_observed_context_has_a_distribution(sentences, order):
    order = min(order, longest(sentences))
    model = ngram.fit(sentences, order, method="mle")
    contexts = {w[:-1] for n in range(1, order + 1) for w in spec_counts(sentences, n)}
    for context in contexts:
        p = model.probabilities(list(context))
        assert p.shape == (len(model.vocabulary),)
        assert abs(p.sum() - 1) < 1e-12
        assert p[ngram.BOS] == p[ngram.UNK] == 0


@given(SENTENCES)
def test_a_longer_context_never_raises_training_perplexity(sentences):
    orders = range(1, longest(sentences) + 1)
    scores = [ngram.fit(sentences, n, method="mle").perplexity(sentences).value for n in orders]
    assert all(b <= a * (1 + 1e-12) for a, b in zip(scores, scores[1:], strict=False))


def test_perplexity_of_a_uniform_model_is_the_number_of_choices():
    model = ngram.fit([["a"], ["b"], ["c"]], 2, method="mle")  # three ways to begin, one way to end
    score = model.perplexity([["a"], ["b"]])
    assert score.value == pytest.approx(math.sqrt(3))
    assert (score.tokens, score.oov, score.zeros) == (4, 0, 0)


def test_one_zero_makes_perplexity_infinite_and_unknown_words_are_told_apart():
    model = ngram.fit([["a", "b"], ["b"]], 1, method="mle")
    score = model.perplexity([["a", "new"]])
    assert (score.value, score.tokens, score.oov, score.zeros) == (math.inf, 3, 1, 1)
    assert score.excluding_oov == pytest.approx(math.sqrt(5 / 1 * 5 / 2))


@given(SENTENCES, st.integers(0, 99))
@settings(max_examples=40)
def test_samples_are_sentences_the_model_allows(sentences, seed):
    model = ngram.fit(sentences, min(3, longest(sentences)), method="mle")
    sample = model.sample(np.random.default_rng(seed), max_words=8)
    assert len(sample) <= 8
    p = model.token_probabilities([sample])
    assert np.all(p[:-1] > 0)  # the last symbol is </s>, which a cut-off sample did not draw
    assert sample == model.sample(np.random.default_rng(seed), max_words=8)


def test_an_unseen_context_is_refused_not_guessed():
    model = ngram.fit([["a", "b"]], 2, method="mle")
    with pytest.raises(ValueError, match=r"'b a' never occurs.*0/0|'a b'"):
        ngram.fit([["a", "b", "b"]], 3, method="mle").probabilities(["b", "a"])
    with pytest.raises(ValueError, match="never occurs in the training text"):
        model.probabilities(["new"])


# -------------------------------------------------------------------------------------- sparsity
@given(SENTENCES, SENTENCES)
def test_unseen_share_agrees_with_the_specification(sentences, text):
    order = min(3, longest(sentences), longest(text))
    share = ngram.unseen_share(ngram.Counts(sentences, order), text)
    for n in range(1, order + 1):
        known, held_out = spec_counts(sentences, n), spec_counts(text, n)
        new = sum(c for w, c in held_out.items() if w not in known)
        assert share[n - 1] == pytest.approx(new / held_out.total())


@given(SENTENCES)
def test_nothing_of_the_training_text_is_unseen(sentences):
    order = min(4, longest(sentences))
    assert not ngram.unseen_share(ngram.Counts(sentences, order), sentences).any()


@given(SENTENCES, ORDERS)
def test_missing_mass_is_the_chance_that_a_hidden_window_is_new_to_the_rest(sentences, n):
    n = min(n, longest(sentences))
    windows = list(spec_counts(sentences, n).elements())
    new = sum(windows.count(w) == 1 for w in windows)
    counts = ngram.Counts(sentences, n)
    assert ngram.missing_mass(counts, n) == pytest.approx(new / len(windows))
    assert ngram.singleton_share(counts, n) == pytest.approx(new / len(set(windows)))


@given(SENTENCES, SENTENCES, ORDERS)
def test_counts_elsewhere_agree_with_the_specification(sentences, text, n):
    n = min(n, longest(sentences))
    counts = ngram.Counts(sentences, n)
    elsewhere, new = ngram.counts_elsewhere(counts, text, n)
    here, there = spec_counts(sentences, n), spec_counts(text, n)
    for window in here:
        assert elsewhere[counts.index.row(counts.index.ids(window))] == there[window]
    assert elsewhere[counts.counts(n) > 0].sum() == sum(there[w] for w in here)
    if n > 1:
        assert new == sum(c for w, c in there.items() if w not in here)


@given(SENTENCES, SENTENCES)
@settings(max_examples=50)
def test_effective_counts_agree_with_the_specification(sentences, text):
    counts = ngram.Counts(sentences, 2)
    effective = ngram.effective_counts(counts, text, 2, up_to=2)
    here, there = spec_counts(sentences, 2), spec_counts(text, 2)
    symbols = {w for s in sentences for w in s} | {"</s>", "<unk>"}
    total = Counter()
    for (context, _), c in here.items():
        total[context] += c
    cells = [(c, w) for c in total for w in symbols]  # the contexts seen, and all that may follow
    for r in range(3):
        group = [g for g in cells if here[g] == r]
        assert effective["ngrams"][r] == len(group)
        if not group:
            assert all(np.isnan(effective[k][r]) for k in ("add_one", "elsewhere", "good_turing"))
            continue
        add_one = [(r + 1) * total[c] / (total[c] + len(symbols)) for c, _ in group]
        assert effective["add_one"][r] == pytest.approx(np.mean(add_one))
        n_next = sum(c == r + 1 for c in here.values())
        assert effective["good_turing"][r] == pytest.approx((r + 1) * n_next / len(group))
        if r > 0:  # at 0, all that is new there is shared out, whatever its context
            assert effective["elsewhere"][r] == pytest.approx(np.mean([there[g] for g in group]))
        else:
            new = sum(c for g, c in there.items() if g not in here)
            assert effective["elsewhere"][0] == pytest.approx(new / len(group))


@given(st.floats(-3, 3), st.floats(0.1, 10))
def test_slope_of_an_exact_power_law(exponent, scale):
    x = np.array([1.0, 3.0, 10.0, 200.0])
    assert ngram.power_law_slope(x, scale * x**exponent) == pytest.approx(exponent, abs=1e-9)


def test_good_turing_is_right_on_the_embedded_corpus_and_counting_is_fast_enough_to_test_it():
    sentences = corpora.load().sentences()
    train, held_out = corpora.split_iid(sentences, 0.1, np.random.default_rng(7))
    counts = ngram.Counts(train, 5)
    predicted = [ngram.missing_mass(counts, n) for n in range(1, 6)]
    assert ngram.unseen_share(counts, held_out) == pytest.approx(predicted, abs=0.02)


def test_a_very_long_sentence_of_one_word():
    counts = ngram.Counts([["a"] * 100_000], 3)
    assert counts.count(["a", "a", "a"]) == 99_998
    assert counts.types(3) == 3  # <s> a a, a a a, a a </s>


# -------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ngram.Counts([], 2), "nothing to count"),
        (lambda: ngram.Counts([["a"]], 0), "at least 1, got 0"),
        (lambda: ngram.Counts([["a"]], 2.0), "integer"),
        (lambda: ngram.Counts([["a"]], 4), "longer than every sentence.*has 3 symbols"),
        (lambda: ngram.Counts("a b", 2), "one str"),
        (lambda: ngram.Counts(["a b"], 2), "must be a list of words"),
        (lambda: ngram.Counts([[1, 2]], 2), "words must be str, got 1"),
        (lambda: ngram.Counts([[["a"]]], 1), "got \\['a'\\].*one level of lists too many"),
        (lambda: ngram.Counts([3], 1), "each sentence must be a list of words, got 3"),
        (lambda: ngram.Counts([[], []], 1), "every sentence is empty"),
        (lambda: ngram.Counts([["<s>", "a"]], 1), "the library's own marks"),
        (lambda: ngram.Counts([["<unk>", "a"]], 1), "rename <unk> to UNK"),
        (lambda: ngram.encode([["a", "</s>"]], ngram.Counts([["a"]], 1).vocabulary), "added here"),
        (lambda: ngram.fit([["a"]], 1, method="magic"), "unknown method 'magic'"),
        (lambda: ngram.Counts([["a"]], 1).count("a"), "got the str 'a'"),
        (lambda: ngram.Counts([["a"]], 1).followers(["a"]), "needs n-grams of order 2"),
        (lambda: ngram.Counts([["a"]], 2).counts(3), "1 … 2"),
        (lambda: ngram.unseen_share(ngram.Counts([["a"] * 5], 5), [["a"]]), "no 4-gram|4 symbols"),
        (lambda: ngram.power_law_slope([1, 2], [0, 1]), "must be positive"),
        (lambda: ngram.power_law_slope([1], [1]), "2 or more"),
        (lambda: ngram.fit([["a"]], 1, method="mle").perplexity([]), "nothing to count"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------- the bracket language
@given(st.integers(1, 30), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.integers(1, 4))
def test_brackets_match_at_the_distances_asked_for(count, distances, fillers):
    sentences = corpora.brackets(np.random.default_rng(0), count, distances, fillers)
    assert len(sentences) == count
    for opening, *words, closing in sentences:
        assert opening + closing in ("()", "[]")
        assert len(words) in distances
        assert set(words) <= {f"w{k}" for k in range(fillers)}


@pytest.mark.parametrize(
    ("distances", "fillers", "message"),
    [([], 1, "one or more"), ([-1], 1, ">= 0"), ([1], 0, "at least 1")],
)
def test_brackets_need_a_distance_and_a_word(distances, fillers, message):
    with pytest.raises(ValueError, match=message):
        corpora.brackets(np.random.default_rng(0), 1, distances, fillers)
