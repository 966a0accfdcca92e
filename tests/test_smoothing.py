"""Every method of lmlib.ngram against its published definition in loops, and what must hold."""

import math
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import ngram
from lmlib.corpora import Vocabulary

SMOOTHED = [method for method in ngram.METHODS if method != "mle"]
DISCOUNTED = [
    "katz",
    "absolute_discounting",
    "backoff_kneser_ney",
    "kneser_ney",
    "modified_kneser_ney",
]


# ------------------------------------------------------------------------------- random corpora
def zipf(seed, sentences=60, words=25):
    """Text whose words follow Zipf's law, so that counts of counts behave."""
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, words + 1)
    lengths = rng.integers(0, 9, sentences)
    lengths[0] = 3
    return [[f"w{k}" for k in rng.choice(words, n, p=p / p.sum())] for n in lengths]


FEW = st.sampled_from(["a", "b", "c", "été", "虽然"])
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3).filter(
    lambda word: word != "<s>"  # the only mark that short
)
SENTENCES = st.one_of(
    st.builds(zipf, st.integers(0, 10**6)),
    st.lists(st.lists(FEW, max_size=6), min_size=1, max_size=8),
    st.lists(st.lists(ANY, max_size=4), min_size=1, max_size=4),
    st.builds(lambda n: [["a"] * n], st.integers(1, 12)),  # one repeated word
    st.builds(lambda n: [[f"{i}", f"{-i - 1}"] for i in range(n)], st.integers(1, 6)),  # all new
).filter(any)
KNOWN = st.sampled_from(["all", "half", "none"])  # which words the vocabulary is given


def vocabulary_of(sentences, known):
    """None, or a vocabulary that makes <unk> a word of the training text."""
    words = list(dict.fromkeys(word for sentence in sentences for word in sentence))
    return {"all": None, "half": Vocabulary(words[: len(words) // 2]), "none": Vocabulary([])}[
        known
    ]


def longest(sentences):
    return max(map(len, sentences)) + 2


SMALL = [["a", "b"], ["a", "c"]]


# ------------------------------------------------------------------ the specifications, in loops
class NotDetermined(Exception):
    """The discounts cannot be estimated."""


def marked(sentences, vocabulary=None):
    """<s> w_1 … w_T </s>, words outside the vocabulary as <unk>."""
    return [
        ["<s>", *(w if vocabulary is None or w in vocabulary else "<unk>" for w in s), "</s>"]
        for s in sentences
    ]


def symbols_of(lines):
    """What can be predicted: all but <s>."""
    return list(dict.fromkeys(["<unk>", "</s>", *(w for line in lines for w in line[1:-1])]))


def windows(lines, n):
    """{n-gram: how often}, <s> itself left out."""
    counts = Counter(tuple(s[i : i + n]) for s in lines for i in range(len(s) - n + 1))
    counts.pop(("<s>",), None)
    return counts


def raw(lines, order):
    return {n: windows(lines, n) for n in range(1, order + 1)}


def continuations(lines, order):
    """The number of different symbols before it; the count at the top and after <s>."""
    numbers = raw(lines, order)
    for n in range(1, order):
        before = defaultdict(set)
        for first, *rest in windows(lines, n + 1):
            before[tuple(rest)].add(first)
        for g in numbers[n]:
            if g[0] != "<s>":
                numbers[n][g] = len(before[g])
    return numbers


def by_context(numbers):
    """{context: {word: number}}, over all orders."""
    rows = defaultdict(dict)
    for table in numbers.values():
        for g, number in table.items():
            rows[g[:-1]][g[-1]] = number
    return rows


def interpolated(rows, symbols, alpha_gamma):
    """P(w | c) = alpha + gamma · P(w | c'), with P_0 = 1 / |V|."""

    @cache
    def p(word, context):
        lower = p(word, context[1:]) if context else 1 / len(symbols)
        if not rows.get(context):
            return lower
        alpha, gamma = alpha_gamma(context, rows[context], rows[context].get(word, 0))
        return alpha + gamma * lower

    return p


def backed_off(rows, symbols, unigram, alpha):
    """P(w | c) = alpha where seen, else what is left shared out in proportion to P(w | c')."""

    @cache
    def total_and_gamma(context):
        row = rows[context]
        total = math.fsum(alpha(context, row, number) for number in row.values())
        unseen = math.fsum(p(v, context[1:]) for v in symbols if v not in row)
        return (total, (1 - total) / unseen) if len(row) < len(symbols) else (total, None)

    @cache
    def p(word, context):
        if not context:
            return unigram(word)
        if context not in rows:
            return p(word, context[1:])
        total, gamma = total_and_gamma(context)
        if word in rows[context]:
            seen = alpha(context, rows[context], rows[context][word])
            return seen / total if gamma is None else seen
        return gamma * p(word, context[1:])

    return p


def witten_bell_weights(context, row, number):
    total, types = sum(row.values()), len(row)
    return number / (total + types), types / (total + types)


def discounts_of(table, how_many, fallback):
    """[D_0 = 0, D_1, …] from a table's counts of counts."""
    n = Counter(table.values())
    if n[1] and n[2] and (n[3] or how_many == 1):
        y = n[1] / (n[1] + 2 * n[2])
        d = [i - (i + 1) * y * n[i + 1] / n[i] for i in range(1, how_many + 1)]
        if all(0 <= d_i <= i for i, d_i in enumerate(d, start=1)):
            return [0, *d]
    if not fallback:
        raise NotDetermined
    return [0, 0.5, 1, 1.5][: how_many + 1]


def spec_add_k(lines, order, symbols, k=1.0, **_):
    rows = by_context(raw(lines, order))

    def p(word, context):
        row = rows.get(context, {})
        return (row.get(word, 0) + k) / (sum(row.values()) + k * len(symbols))

    return p


def spec_witten_bell(lines, order, symbols, **_):
    return interpolated(by_context(raw(lines, order)), symbols, witten_bell_weights)


def spec_katz(lines, order, symbols, fallback=False, k=5):
    tables = raw(lines, order)
    ratio = {}
    for n in range(2, order + 1):
        n_r = Counter(tables[n].values())
        try:
            a = (k + 1) * n_r[k + 1] / n_r[1]
            d = [((r + 1) * n_r[r + 1] / n_r[r] / r - a) / (1 - a) for r in range(1, k + 1)]
        except ZeroDivisionError:
            d = [0]
        if not all(0 < d_r < 1 - 1e-9 for d_r in d):
            if not fallback:
                raise NotDetermined
            d = [(r - 0.5) / r for r in range(1, k + 1)]
        ratio[n] = dict(enumerate(d, start=1))

    def alpha(context, row, r):
        if min(row.values()) > k:
            return r / (sum(row.values()) + 1)
        return ratio[len(context) + 1].get(r, 1) * r / sum(row.values())

    unigram = interpolated(by_context({1: tables[1]}), symbols, witten_bell_weights)
    return backed_off(by_context(tables), symbols, lambda w: unigram(w, ()), alpha)


def discounting(numbers, symbols, how_many, fallback, backoff=False):
    d = {n: discounts_of(table, how_many, fallback) for n, table in numbers.items()}

    def off(context, number):
        return d[len(context) + 1][min(number, how_many)]

    def weights(context, row, number):
        total = sum(row.values())
        freed = sum(off(context, other) for other in row.values())
        return (number - off(context, number)) / total, freed / total

    rows = by_context(numbers)
    interpolation = interpolated(rows, symbols, weights)
    if not backoff:
        return interpolation
    return backed_off(
        rows, symbols, lambda w: interpolation(w, ()), lambda *args: weights(*args)[0]
    )


def spec_absolute_discounting(lines, order, symbols, fallback=False):
    return discounting(raw(lines, order), symbols, 1, fallback)


def spec_kneser_ney(lines, order, symbols, fallback=False):
    return discounting(continuations(lines, order), symbols, 1, fallback)


def spec_backoff_kneser_ney(lines, order, symbols, fallback=False):
    return discounting(continuations(lines, order), symbols, 1, fallback, backoff=True)


def spec_modified_kneser_ney(lines, order, symbols, fallback=False):
    return discounting(continuations(lines, order), symbols, 3, fallback)


def stupid_score(lines, order, symbols, alpha=0.4):
    rows = by_context(raw(lines, order))
    unigram = interpolated(by_context({1: windows(lines, 1)}), symbols, witten_bell_weights)

    @cache
    def score(word, context):
        if not context:
            return unigram(word, ())
        row = rows.get(context, {})
        return row[word] / sum(row.values()) if word in row else alpha * score(word, context[1:])

    return score


def spec_stupid_backoff(lines, order, symbols, alpha=0.4, **_):
    score = stupid_score(lines, order, symbols, alpha)
    z = cache(lambda context: math.fsum(score(v, context) for v in symbols))
    rows = by_context(raw(lines, order))

    def p(word, context):
        # after a context never seen, every score is alpha times the shorter one's
        assert context in rows or z(context) == pytest.approx(alpha * z(context[1:]))
        return score(word, context) / z(context)

    return p


def spec_jelinek_mercer(lines, order, symbols, held_out, buckets=True, **_):
    """Loops of expectation-maximisation, order by order, each group of contexts by itself."""
    rows = by_context(raw(lines, order))
    weight = {}

    def group(context):
        return len(context), int(math.log2(sum(rows[context].values()))) if buckets else 0

    def weights(context, row, number):
        trust = weight.get(group(context), 0.5)
        return trust * number / sum(row.values()), 1 - trust

    for length in range(order):
        lower = interpolated({c: r for c, r in rows.items() if len(c) < length}, symbols, weights)
        pairs = defaultdict(list)
        for line in held_out:
            for i in range(max(1, length), len(line)):
                context, word = tuple(line[i - length : i]), line[i]
                if context in rows:
                    row = rows[context]
                    relative = row.get(word, 0) / sum(row.values())
                    below = lower(word, context[1:]) if length else 1 / len(symbols)
                    pairs[group(context)].append((relative, below))
        new = dict.fromkeys(pairs, 0.5)
        for _ in range(1000):
            old = new
            new = {
                g: (sum(old[g] * f / (old[g] * f + (1 - old[g]) * q) for f, q in some) + 0.5)
                / (len(some) + 1)  # one imaginary token
                for g, some in pairs.items()
            }
            if all(abs(new[g] - old[g]) < 1e-7 for g in pairs):
                break
        weight.update(new)
    return interpolated(rows, symbols, weights)


SPECIFICATIONS = {
    "add_k": spec_add_k,
    "witten_bell": spec_witten_bell,
    "jelinek_mercer": spec_jelinek_mercer,
    "katz": spec_katz,
    "absolute_discounting": spec_absolute_discounting,
    "backoff_kneser_ney": spec_backoff_kneser_ney,
    "kneser_ney": spec_kneser_ney,
    "modified_kneser_ney": spec_modified_kneser_ney,
    "stupid_backoff": spec_stupid_backoff,
}


def test_every_smoothed_method_has_a_specification():
    assert list(SPECIFICATIONS) == SMOOTHED


def contexts_of(lines, longest, extra=()):
    """Every context met, those that end a sentence too, and some never met."""
    met = {
        tuple(line[i : i + n])
        for line in lines
        for n in range(longest + 1)
        for i in range(len(line) - n + 1)
    }
    never = [("</s>", "<s>"), ("<unk>", "<unk>"), ("</s>", "</s>", "</s>"), *extra]
    never += [("<unk>", *c) for c in sorted(met)[:3]] + [(*c, "<unk>") for c in sorted(met)[:3]]
    return sorted(met) + [c for c in never if len(c) <= longest]


def fitted(method, sentences, order, vocabulary, held_out, fallback=False, **options):
    if method in DISCOUNTED:
        options["discount_fallback"] = fallback
    if method == "jelinek_mercer":
        options["held_out"] = held_out
    return ngram.fit(sentences, order, method, vocabulary, **options)


def assert_agrees(method, sentences, text, order, known="all", fallback=False, **options):
    order = min(order, longest(sentences))
    vocabulary = vocabulary_of(sentences, known)
    lines = marked(sentences, vocabulary)
    vocabulary_words = Vocabulary.from_sentences(sentences) if vocabulary is None else vocabulary
    text_lines = marked(text, vocabulary_words)
    symbols = (
        symbols_of(lines) if vocabulary is None else [w for w in vocabulary.words if w != "<s>"]
    )
    more = {"held_out": text_lines} if method == "jelinek_mercer" else {"fallback": fallback}
    try:
        p = SPECIFICATIONS[method](lines, order, symbols, **more, **options)
    except NotDetermined:
        with pytest.raises(ValueError, match=r"cannot be estimated.*discount_fallback=True"):
            fitted(method, sentences, order, vocabulary, text, fallback, **options)
        return False
    model = fitted(method, sentences, order, vocabulary, text, fallback, **options)
    assert model.order == order
    contexts = contexts_of(lines, order - 1)
    words = model.vocabulary.words
    for context in contexts[:: max(1, len(contexts) // 40)]:
        got = model.probabilities(list(context))
        expected = [0 if w == "<s>" else p(w, context) for w in words]
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-13), context
        assert abs(got.sum() - 1) < 1e-12, context
        assert np.all(got >= 0)
    got = model.token_probabilities(text)
    expected = [
        p(line[i], tuple(line[max(0, i - order + 1) : i]))
        for line in text_lines
        for i in range(1, len(line))
    ]
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-13)
    return True


# ------------------------------------------------------------ every method is what it says it is
@pytest.mark.parametrize("method", SMOOTHED)
@given(SENTENCES, SENTENCES, st.integers(1, 4), KNOWN, st.booleans())
@settings(max_examples=25, deadline=None)
def test_random_text(method, sentences, text, order, known, fallback):
    text = [*text, *sentences[:3], ["new", *sentences[0], "new"]]
    assert_agrees(method, sentences, text, order, known, fallback)


@pytest.mark.parametrize("method", DISCOUNTED)
@pytest.mark.parametrize("order", [2, 3])
def test_estimated_discounts(method, order):
    """Enough text for the discounts of every order, which random text seldom is."""
    options = {"k": 2} if method == "katz" else {}
    estimated = [
        assert_agrees(
            method, zipf(seed, 250, 60), zipf(seed + 100, 20, 70), order, known, **options
        )
        for seed, known in [(1, "all"), (9, "half"), (3, "all")]
    ]
    assert sum(estimated) >= 2


@pytest.mark.parametrize("method", SMOOTHED)
def test_a_very_long_line(method):
    line = [word for sentence in zipf(5, 120, 12) for word in sentence]
    assert_agrees(method, [line], [line[::-1][:50]], 3, fallback=True)


@given(SENTENCES, SENTENCES, st.integers(1, 4), KNOWN)
@settings(max_examples=25, deadline=None)
def test_jelinek_mercer_with_one_weight_per_order(sentences, text, order, known):
    assert_agrees("jelinek_mercer", sentences, text, order, known, buckets=False)


@given(SENTENCES, st.integers(1, 4), KNOWN, st.floats(0.01, 1))
@settings(max_examples=25, deadline=None)
def test_stupid_backoff_scores_and_their_sums(sentences, order, known, alpha):
    order = min(order, longest(sentences))
    vocabulary = vocabulary_of(sentences, known)
    model = ngram.fit(sentences, order, "stupid_backoff", vocabulary, alpha=alpha)
    text = [["new", *sentences[0], "new"], *sentences, []]
    symbols = [word for word in model.vocabulary.words if word != "<s>"]
    score = stupid_score(marked(sentences, vocabulary), order, symbols, alpha)
    places = [
        (line[i], tuple(line[max(0, i - order + 1) : i]))
        for line in marked(text, model.vocabulary)
        for i in range(1, len(line))
    ]
    assert model.scores(iter(text)) == pytest.approx([score(*place) for place in places], rel=1e-9)
    z = [math.fsum(score(v, context) for v in symbols) for _, context in places]
    assert model.normalisers(text) == pytest.approx(z, rel=1e-9)


@given(SENTENCES, st.integers(1, 3), st.floats(0, 100))
@settings(max_examples=25, deadline=None)
def test_any_k_can_be_added(sentences, order, k):
    assert_agrees("add_k", sentences, sentences, order, k=k + 1e-6)


def test_adding_ever_more_makes_all_words_alike():
    p = ngram.fit(zipf(0), 2, "add_k", k=1e9).probabilities(["w0"])
    assert np.delete(p, ngram.BOS) == pytest.approx(1 / (p.size - 1), rel=1e-6)


# ------------------------------------------------------------------------- it is a distribution
@pytest.mark.parametrize("known", ["all", "half"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("method", ngram.METHODS)
def test_every_context_has_a_distribution(method, order, known):
    sentences, held_out = zipf(3, 80, 30), zipf(4, 20, 35)
    vocabulary = vocabulary_of(sentences, known)
    model = fitted(method, sentences, order, vocabulary, held_out, fallback=True)
    contexts = contexts_of(marked(sentences, vocabulary), order - 1, [("w0", "new"), ("new", "w0")])
    assert len(contexts) > [0, 15, 80, 200][order - 1]
    seen = {g[:-1] for n in range(1, order + 1) for g in windows(marked(sentences, vocabulary), n)}
    for context in contexts:
        read = tuple(w if w in model.vocabulary else "<unk>" for w in context)
        if method == "mle" and read not in seen:
            with pytest.raises(ValueError, match="never occurs in the training text"):
                model.probabilities(context)
            continue
        p = model.probabilities(context)
        assert p.shape == (len(model.vocabulary),) and p.dtype == np.float64
        assert abs(p.sum() - 1) < 1e-12, context
        assert p[ngram.BOS] == 0
        assert np.all(p >= 0)
        assert method == "mle" or np.all(np.delete(p, ngram.BOS) > 0), context


@pytest.mark.parametrize("known", ["all", "half"])
@pytest.mark.parametrize("method", SMOOTHED)
def test_tokens_and_distributions_tell_the_same(method, known):
    sentences, text = zipf(3, 80, 30), [*zipf(4, 20, 40), [], ["new", "new", "w0"]]
    vocabulary = vocabulary_of(sentences, known)
    for order in (1, 2, 4):
        model = fitted(method, sentences, order, vocabulary, text, fallback=True)
        one_by_one = [
            model.probabilities(line[:i])[model.vocabulary.encode([line[i]])[0]]
            for line in marked(text, model.vocabulary)
            for i in range(1, len(line))
        ]
        assert model.token_probabilities(text) == pytest.approx(one_by_one, rel=1e-12)


@pytest.mark.parametrize("method", SMOOTHED)
def test_the_context_is_cut_to_what_the_model_sees_and_unknown_words_are_one(method):
    model = fitted(method, zipf(3, 80, 30), 3, None, zipf(4), fallback=True)
    far = model.probabilities(["w5", "</s>", "w1", "w0"])
    assert np.array_equal(far, model.probabilities(["w1", "w0"]))
    new = model.probabilities(["new", "w0"])
    assert np.array_equal(new, model.probabilities(["<unk>", "w0"]))
    # nothing was ever seen after a context with an unknown word
    if method != "add_k":
        assert new == pytest.approx(model.probabilities(["w0"]), rel=1e-12)


@pytest.mark.parametrize("method", ["katz", "backoff_kneser_ney"])
def test_where_every_word_was_seen_the_seen_words_keep_the_mass(method):
    words = ["a", "b"]
    sentences = [[x, y] for x in [*words, "new"] for y in [*words, "new"]] * 2 + [["a"], ["b"], []]
    sentences += [["new"], ["a", "a", "a"]]
    model = ngram.fit(sentences, 3, method, Vocabulary(words), discount_fallback=True)
    contexts = contexts_of(marked(sentences, model.vocabulary), 2)
    followed = windows(marked(sentences, model.vocabulary), 2)
    assert {w for c, w in followed if c == "<s>"} == {"a", "b", "<unk>", "</s>"}
    for context in contexts:
        p = model.probabilities(context)
        assert np.all(np.delete(p, ngram.BOS) > 0) and abs(p.sum() - 1) < 1e-12


# --------------------------------------------------------------- the numbers behind the methods
@given(SENTENCES, st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_continuation_counts_are_sizes_of_sets(sentences, order):
    order = min(order, longest(sentences))
    counts = ngram.Counts(sentences, order)
    numbers = ngram.continuation_counts(counts)
    spec = continuations(marked(sentences), order)
    assert len(numbers) == order
    for n in range(1, order + 1):
        rows = {g: counts.index.row(counts.index.ids(g)) for g in spec[n]}
        assert {g: numbers[n - 1][row] for g, row in rows.items()} == spec[n]
        assert numbers[n - 1].sum() == sum(spec[n].values())  # no other n-gram has any


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_discounts_in_a_loop(n):
    d = ngram.discounts(n)
    assert d.shape == (3,)
    for i in (1, 2, 3):
        if n[i - 1] and n[0]:
            y = n[0] / (n[0] + 2 * n[1])
            assert d[i - 1] == pytest.approx(i - (i + 1) * y * n[i] / n[i - 1])
        elif not n[i - 1]:
            assert np.isnan(d[i - 1])


def test_one_discount_is_the_first_of_three():
    assert ngram.discounts([6, 3, 1, 1])[0] == pytest.approx(6 / 12)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8))
def test_good_turing_in_a_loop(n):
    r_star = ngram.good_turing_counts(n)
    assert len(r_star) == len(n) - 1
    for r in range(1, len(n)):
        if n[r - 1]:
            assert r_star[r - 1] == pytest.approx((r + 1) * n[r] / n[r - 1])
        else:
            assert np.isnan(r_star[r - 1])


def test_katz_refuses_a_ratio_of_one():
    """n_1 = 2 n_2 would leave nothing after contexts seen once, and 0/0 after longer ones."""
    sentences = zipf(1094, *np.random.default_rng(1094).integers([4, 4], [40, 25]).tolist())
    counts = ngram.Counts(sentences, 3)
    assert counts.counts_of_counts(2, 2).tolist() == [42, 21]
    with pytest.raises(ValueError, match=r"order 2 cannot be estimated.*d_1 … d_3 are \[1\."):
        ngram.katz(counts, k=3)


def test_katz_refuses_a_ratio_of_zero():
    """n_{k+1} = 0 would give n-grams seen k times no probability at all."""
    sentences = [[f"once{i}"] for i in range(10)] + [[f"twice{i % 3}"] for i in range(6)]
    with pytest.raises(ValueError, match=r"order 2 cannot be estimated.*are \[0\.6 0\. \]"):
        ngram.fit(sentences, 2, "katz", k=2)


def test_kneser_ney_counts_contexts_and_modified_at_order_one_counts_words():
    francisco = [["san", "francisco"]] * 6 + [[f"my{i}", "glasses"] for i in range(3)]
    for method in ("kneser_ney", "backoff_kneser_ney", "modified_kneser_ney"):
        model = ngram.fit(francisco, 2, method, discount_fallback=True)
        p = dict(zip(model.vocabulary.words, model.probabilities([]), strict=True))
        assert p["francisco"] < p["glasses"], method
        one = ngram.fit(francisco, 1, method, discount_fallback=True)
        p = dict(zip(one.vocabulary.words, one.probabilities([]), strict=True))
        assert p["francisco"] > p["glasses"], method


def test_the_fallback_discounts_can_be_chosen():
    sentences = [["a", "b"], ["a", "c"]]
    given_ = ngram.modified_kneser_ney(ngram.Counts(sentences, 2), (0.5, 1, 1.5))
    usual = ngram.modified_kneser_ney(ngram.Counts(sentences, 2), True)
    other = ngram.modified_kneser_ney(ngram.Counts(sentences, 2), (0.25, 0.5, 3))
    assert np.array_equal(given_.probability[1], usual.probability[1])
    # a was seen twice, each time with another word behind it: 0.25 of each count is freed
    p = other.probabilities(["a"])
    assert p[3] == pytest.approx(0.25 * other.probabilities([])[3])


def test_estimable_orders_keep_their_discounts_beside_a_fallback():
    counts = ngram.Counts(zipf(1, 250, 60), 3)
    strict = ngram.modified_kneser_ney(counts)
    assert np.array_equal(
        strict.probability[2], ngram.modified_kneser_ney(counts, (0.1, 0.1, 0.1)).probability[2]
    )


@pytest.mark.parametrize(
    "ending", [["zz"], ["w1", "zz"], ["zz", "w2", "zz"], ["w3", "w1", "zz", "zz"]]
)
@pytest.mark.parametrize("repeats", [1, 3])
def test_kenlm_tallies_its_last_ngram_by_count(ending, repeats):
    order = 4
    sentences = zipf(1, 400, 100) + [ending] * repeats
    lines = marked(sentences)
    ids = {w: i for i, w in enumerate(["<unk>", "<s>", "</s>"])}
    for line in lines:
        for word in line:
            ids.setdefault(word, len(ids))
    numbers, counts = continuations(lines, order), raw(lines, order)
    d = {}
    for n, table in numbers.items():
        if n < order:  # the last in the order of suffixes: by the last word, the one before, …
            last = max(table, key=lambda g: [ids[w] for w in reversed(g)])
            table = table | {last: counts[n][last]}
        d[n] = discounts_of(table, 3, fallback=False)

    def weights(context, row, number):
        off = d[len(context) + 1]
        total, freed = sum(row.values()), sum(off[min(a, 3)] for a in row.values())
        return (number - off[min(number, 3)]) / total, freed / total

    p = interpolated(by_context(numbers), symbols_of(lines), weights)
    model = ngram.fit(sentences, order, kenlm_compatible=True)
    for context in contexts_of(lines, order - 1)[::40]:
        expected = [0 if w == "<s>" else p(w, context) for w in model.vocabulary.words]
        assert model.probabilities(context) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("buckets", [True, False])
def test_jelinek_mercer_weights_are_the_likeliest(buckets):
    sentences, held_out = zipf(1, 250, 60), zipf(2, 250, 60)
    counts = ngram.Counts(sentences, 2)
    model = ngram.jelinek_mercer(counts, held_out, buckets)
    rows = by_context(raw(marked(sentences), 2))
    unigrams = dict(zip(model.vocabulary.words, model.probabilities([]), strict=True))
    groups = defaultdict(list)
    for line in marked(held_out, model.vocabulary):
        for context, word in zip(line, line[1:], strict=False):
            if row := rows.get((context,)):
                total = sum(row.values())
                trust = 1 - model.backoff[0][model.vocabulary.encode([context])[0]]
                group = total.bit_length() if buckets else 0
                groups[group].append((trust, row.get(word, 0) / total, unigrams[word]))
    grid = np.linspace(0.001, 0.999, 999)
    assert len(groups) > 3 or not buckets
    for group, entries in groups.items():
        trust, relative, lower = np.array(entries).T
        assert np.ptp(trust) == 0, group  # one weight for the whole group
        mixed = np.log(np.outer(grid, relative) + np.outer(1 - grid, lower)).sum(1)
        mixed += np.log(grid * (1 - grid)) / 2  # one imaginary token, half of it on either side
        own = np.log(trust * relative + (1 - trust) * lower).sum()
        own += np.log(trust[0] * (1 - trust[0])) / 2
        assert own > mixed.max() - 1e-6 * trust.size, group


def test_an_order_that_the_held_out_text_never_reaches_gets_equal_weights():
    model = ngram.fit(SMALL, 3, "jelinek_mercer", held_out=[[]])
    assert model.backoff[1][model.index.row(model.index.ids(["<s>", "a"]))] == 0.5
    p = model.probabilities(["<s>", "a"])
    lower = model.probabilities(["a"])
    assert p[model.vocabulary.encode(["b"])] == pytest.approx(0.5 * 0.5 + 0.5 * lower[4])


# ------------------------------------------------------------------------ perplexity and samples
def test_every_field_of_a_perplexity_by_hand():
    model = ngram.fit([["ab", "c"], ["c"]], 1, "add_k")  # |V| = 4; C: ab 1, c 2, </s> 2
    score = model.perplexity(s for s in [["ab", "new"], ["c"], []])
    p = [2 / 9, 1 / 9, 3 / 9, 3 / 9, 3 / 9, 3 / 9]  # ab new </s> c </s> </s>
    assert score.value == pytest.approx(math.prod(p) ** (-1 / 6))
    assert score.excluding_oov == pytest.approx((math.prod(p) * 9) ** (-1 / 5))
    assert (score.tokens, score.oov, score.zeros) == (6, 1, 0)
    bits = -math.log2(math.prod(p))
    assert score.bits_per_character == pytest.approx(bits / len("ab new\nc\n\n"))
    apart = model.perplexity([["ab", "new"], ["c"], []], separator="")
    assert apart.bits_per_character == pytest.approx(bits / len("abnew\nc\n\n"))
    wide = model.perplexity([["ab", "new"], ["c"], []], separator=" | ")
    assert wide.bits_per_character == pytest.approx(bits / len("ab | new\nc\n\n"))


@given(SENTENCES, SENTENCES)
@settings(max_examples=30, deadline=None)
def test_perplexity_is_the_mean_of_the_tokens(sentences, text):
    model = ngram.fit(sentences, min(3, longest(sentences)), "witten_bell")
    p, score = model.token_probabilities(text), model.perplexity(text)
    known = [w in model.vocabulary for line in marked(text) for w in line[1:]]
    assert score.value == pytest.approx(math.exp(-np.log(p).mean()))
    assert score.excluding_oov == pytest.approx(math.exp(-np.log(p[known]).mean()))
    assert (score.tokens, score.oov) == (len(known), len(known) - sum(known))
    assert score.tokens == sum(len(s) + 1 for s in text)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_follow_the_sharpened_probabilities(temperature):
    model = ngram.fit([["a"], ["a"], ["a", "b"], ["c"]], 2, "witten_bell")
    rng = np.random.default_rng(0)
    drawn = [model.sample(rng, max_words=2, temperature=temperature) for _ in range(6000)]
    assert max(map(len, drawn)) == 2
    for context, nexts in [
        ("<s>", [[*s, "</s>"][0] for s in drawn]),
        ("a", [s[1] if len(s) > 1 else "</s>" for s in drawn if s[:1] == ["a"]]),
    ]:
        p = model.probabilities([context]) ** (1 / temperature)
        p /= p.sum()
        seen = Counter(nexts)
        how_often = np.array([seen[word] for word in model.vocabulary.words])
        error = np.sqrt(p * (1 - p) / len(nexts))
        assert np.all(np.abs(how_often / len(nexts) - p) <= 4 * error), context
        assert seen["<s>"] == 0


def test_a_cold_sample_is_the_likeliest_and_a_seed_repeats():
    model = ngram.fit(zipf(3), 2, "kneser_ney", discount_fallback=True)
    cold = model.sample(np.random.default_rng(1), temperature=1e-3, max_words=5)
    line = ["<s>"]
    for word in [*cold, "</s>"][:5]:
        p = model.probabilities(line)
        assert word == model.vocabulary.words[int(p.argmax())]
        line.append(word)
    one, two, other = (model.sample(np.random.default_rng(s), 30) for s in (5, 5, 6))
    assert one == two != other
    assert model.sample(np.random.default_rng(0), max_words=0) == []


def test_not_even_the_lowest_draw_gives_a_word_of_probability_zero():
    class Lowest:
        def random(self):
            return 0.0

    # <unk> stands first among the words, and has probability zero
    assert ngram.fit([["a"], ["b"]], 2, "mle").sample(Lowest()) == ["a"]


# ----------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("method", ngram.METHODS)
@pytest.mark.parametrize(
    ("sentences", "order", "message"),
    [
        ([], 2, "sentences is empty"),
        ([[]], 1, "no tokens"),
        (SMALL, 0, "at least 1, got 0"),
        (SMALL, -1, "at least 1, got -1"),
        (SMALL, 2.0, "must be an integer"),
        (SMALL, 5, "order 5 is longer than every sentence.*has 4 symbols"),
        ([["a", 1]], 2, r"words must be str, got 1 \(int\)"),
        ([["a", None]], 2, "words must be str, got None"),
        ([["a", ["b"]]], 2, r"words must be str, got \['b'\]"),
        (["a b"], 2, "must be a list of words, got the str 'a b'"),
        ("a b", 2, "sentences is one str"),
        ([["a", "<s>"]], 2, "contains .*<s>"),
    ],
)
def test_no_method_takes_bad_text(method, sentences, order, message):
    with pytest.raises(ValueError, match=message):
        fitted(method, sentences, order, None, SMALL, fallback=True)


@pytest.mark.parametrize("method", DISCOUNTED)
def test_discounts_that_cannot_be_estimated_offer_the_fallback(method):
    with pytest.raises(
        ValueError, match=r"order \d cannot be estimated.*n_1 = .*small or.*_fallback"
    ):
        ngram.fit([["a", "a"]] * 3, 2, method)
    ngram.fit([["a", "a"]] * 3, 2, method, discount_fallback=True)


def counts(order=2):
    return ngram.Counts(SMALL, order)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ngram.fit(SMALL, 2, "magic"), "unknown method 'magic'; known: mle, add_k,"),
        (lambda: ngram.fit(SMALL, 2, "add_k", k=-1), "at least 0, got -1"),
        (lambda: ngram.fit(SMALL, 2, "add_k", k=math.nan), "finite.*nan"),
        (lambda: ngram.fit(SMALL, 2, "add_k", k=math.inf), "finite.*inf"),
        (lambda: ngram.fit(SMALL, 2, "katz", k=0), "k must be an integer of at least 2, got 0"),
        (lambda: ngram.fit(SMALL, 2, "katz", k=1), "got 1"),
        (lambda: ngram.fit(SMALL, 2, "katz", k=2.5), "got 2.5"),
        (lambda: ngram.fit(SMALL, 2, "jelinek_mercer"), "pass held_out=sentences"),
        (lambda: ngram.fit(SMALL, 2, "jelinek_mercer", held_out=[]), "sentences is empty"),
        (lambda: ngram.fit(SMALL, 2, "jelinek_mercer", held_out=["a"]), "got the str 'a'"),
        (lambda: ngram.fit(SMALL, 2, "stupid_backoff", alpha=0), r"\(0, 1\], got 0"),
        (lambda: ngram.fit(SMALL, 2, "stupid_backoff", alpha=1.5), r"\(0, 1\], got 1.5"),
        (lambda: ngram.fit(SMALL, 2, "stupid_backoff", alpha=math.nan), "got nan"),
        (lambda: ngram.modified_kneser_ney(counts(), (0.5, 1)), "three discounts"),
        (lambda: ngram.modified_kneser_ney(counts(), (0.5, 1, 4)), "three discounts"),
        (lambda: ngram.modified_kneser_ney(counts(), (-0.5, 1, 1)), "three discounts"),
        (lambda: ngram.modified_kneser_ney(counts(), (math.nan, 1, 1)), "three discounts"),
        (lambda: ngram.kneser_ney(counts(), discount_fallback=None), "three discounts.*None"),
        (
            lambda: ngram.fit(SMALL, 2, vocabulary=Vocabulary(["a"]), kenlm_compatible=True),
            "leave vocabulary=None",
        ),
        (
            lambda: ngram.fit(SMALL, 2, vocabulary=Vocabulary([*"abcd"]), kenlm_compatible=True),
            "leave vocabulary=None",
        ),
        (lambda: ngram.fit(SMALL, 2, "witten_bell").perplexity([]), "sentences is empty"),
        (lambda: ngram.fit(SMALL, 2, "witten_bell").perplexity("a b"), "one str"),
        (lambda: ngram.fit(SMALL, 2, "witten_bell").perplexity([["<s>"]]), "contains"),
        (lambda: ngram.fit(SMALL, 2, "witten_bell").token_probabilities(["a"]), "got the str"),
        (lambda: ngram.fit(SMALL, 2, "witten_bell").token_probabilities([[1]]), "must be str"),
        (lambda: ngram.fit(SMALL, 2, "witten_bell").probabilities("a"), "got the str 'a'"),
        (lambda: ngram.fit(SMALL, 2, "stupid_backoff").scores([]), "sentences is empty"),
        (lambda: ngram.fit(SMALL, 2, "stupid_backoff").normalisers([]), "sentences is empty"),
        *[
            (
                lambda t=t: ngram.fit(SMALL, 2, "mle").sample(np.random.default_rng(0), 5, t),
                "temperature must be above 0",
            )
            for t in (0, -1, math.nan)
        ],
    ],
)
def test_bad_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_option_of_another_method_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'k'"):
        ngram.fit(SMALL, 2, "witten_bell", k=1)
