"""Mixtures of models: the weights are the best ones, and the mixture is a distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import ngram
from lmlib.corpora import Vocabulary


def zipf(seed, sentences, words=25):
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, words + 1)
    return [
        [f"w{k}" for k in rng.choice(words, rng.integers(1, 9), p=p / p.sum())]
        for _ in range(sentences)
    ]


WORDS = Vocabulary([f"w{k}" for k in range(20)])
TRAIN, HELD_OUT = zipf(0, 120), zipf(1, 60)


def fit(order, method, **options):
    return ngram.fit(TRAIN, order, method, WORDS, **options)


@pytest.fixture(scope="module")
def models():
    return [
        fit(3, "kneser_ney", discount_fallback=True),
        fit(1, "witten_bell"),
        fit(2, "add_k", k=0.1),
    ]


def log_likelihood(weights, p):
    return np.log(np.asarray(weights) @ p).sum()


# ------------------------------------------------------------------------------ the best weights
def test_two_weights_against_a_fine_grid(models):
    p = np.stack([model.token_probabilities(HELD_OUT) for model in models[:2]])
    grid = np.linspace(0, 1, 10_001)
    best = grid[np.argmax([log_likelihood([w, 1 - w], p) for w in grid])]
    mixture = ngram.Mixture.fit(models[:2], HELD_OUT)
    assert 0.05 < best < 0.95
    assert mixture.weights[0] == pytest.approx(best, abs=1e-4)
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-15)


def test_three_weights_against_a_grid(models):
    p = np.stack([model.token_probabilities(HELD_OUT) for model in models])
    steps = np.linspace(0, 1, 101)
    best = max(log_likelihood([a, b, 1 - a - b], p) for a in steps for b in steps if a + b <= 1)
    assert log_likelihood(ngram.Mixture.fit(models, HELD_OUT).weights, p) > best - 1e-3


def test_the_tuned_mixture_is_at_least_as_good_as_each_part(models):
    tuned = ngram.Mixture.fit(models, iter(HELD_OUT)).perplexity(HELD_OUT).value
    assert all(tuned < model.perplexity(HELD_OUT).value for model in models)


POSITIVE = st.floats(1e-6, 1)


@given(st.lists(st.tuples(POSITIVE, POSITIVE, POSITIVE), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_each_step_raises_the_likelihood(tokens):
    p = np.array(tokens).T  # (models, tokens)
    before = -math.inf
    for steps in (1, 2, 3, 10, 1000):
        weights = np.full(3, 1 / 3)
        for _ in range(steps):
            joint = weights[:, None] * p
            weights = (joint / joint.sum(0)).mean(1)
        after = log_likelihood(weights, p)
        assert after >= before - 1e-9
        before = after
    found = ngram.expectation_maximisation(p)
    assert found.shape == (3, 1)
    assert np.all(found >= 0) and found.sum() == pytest.approx(1)
    assert log_likelihood(found[:, 0], p) > before - 1e-3
    assert log_likelihood(found[:, 0], p) >= log_likelihood(np.full(3, 1 / 3), p) - 1e-9


@given(
    st.lists(st.tuples(POSITIVE, POSITIVE, st.integers(0, 3)), min_size=1, max_size=40),
)
@settings(max_examples=30, deadline=None)
def test_groups_are_apart(tokens):
    *p, group = map(np.array, zip(*tokens, strict=True))
    p = np.stack(p)
    weights = ngram.expectation_maximisation(p, group, 5)
    assert weights.shape == (2, 5)
    for g in range(5):
        if np.any(group == g):
            alone = ngram.expectation_maximisation(p[:, group == g])[:, 0]
            # the groups stop together, so one of them may go further than it would alone
            both = [log_likelihood(w, p[:, group == g]) for w in (weights[:, g], alone)]
            assert both[0] >= both[1] - 1e-6
            assert weights[:, g] == pytest.approx(alone, abs=0.02)
        else:
            assert weights[:, g].tolist() == [0.5, 0.5]


def test_one_step_by_hand():
    p = np.array([[0.8, 0.2], [0.2, 0.2]])
    # equal weights give the first token to the first model by 0.8, the second by 0.5: mean 0.65
    assert ngram.expectation_maximisation(p, tolerance=1)[:, 0] == pytest.approx([0.65, 0.35])


def test_a_model_that_is_never_better_gets_nothing():
    p = np.array([[0.5, 0.4, 0.9], [0.1, 0.1, 0.2]])
    assert ngram.expectation_maximisation(p)[:, 0] == pytest.approx([1, 0], abs=1e-6)


# ----------------------------------------------------------------------------- it is a distribution
def test_it_is_the_weighted_mean_and_sums_to_one(models):
    weights = [0.2, 0.5, 0.3]
    mixture = ngram.Mixture(models, weights)
    assert mixture.order == 3 and mixture.vocabulary == WORDS
    contexts = {
        tuple(["<s>", *s][max(0, i - n) : i])
        for s in TRAIN[:20]
        for i in range(9)
        for n in range(4)
    }
    for context in [*contexts, ("new",), ("</s>",), ("w0", "new", "w1", "w2")]:
        expected = sum(
            w * model.probabilities(context) for w, model in zip(weights, models, strict=True)
        )
        p = mixture.probabilities(context)
        assert p == pytest.approx(expected, rel=1e-14)
        assert abs(p.sum() - 1) < 1e-12 and p[ngram.BOS] == 0 and np.all(p >= 0)


def test_tokens_and_distributions_tell_the_same(models):
    mixture = ngram.Mixture(models, [0.2, 0.5, 0.3])
    lines = [["<s>", *sentence, "</s>"] for sentence in HELD_OUT]
    one_by_one = [
        mixture.probabilities(line[:i])[WORDS.encode([line[i]])[0]]
        for line in lines
        for i in range(1, len(line))
    ]
    assert mixture.token_probabilities(HELD_OUT) == pytest.approx(one_by_one, rel=1e-12)


def test_mixtures_can_be_mixed_and_sampled(models):
    inner = ngram.Mixture(models[:2], [0.5, 0.5])
    outer = ngram.Mixture([inner, models[2]], [0.4, 0.6])
    flat = ngram.Mixture(models, [0.2, 0.2, 0.6])
    assert outer.perplexity(HELD_OUT).value == pytest.approx(flat.perplexity(HELD_OUT).value)
    assert outer.sample(np.random.default_rng(0)) == flat.sample(np.random.default_rng(0))


def test_a_zero_is_mended_by_the_other(models):
    mle = fit(3, "mle")
    assert math.isinf(mle.perplexity(HELD_OUT).value)
    mixture = ngram.Mixture.fit([mle, models[1]], HELD_OUT)
    assert mixture.perplexity(HELD_OUT).value < models[1].perplexity(HELD_OUT).value


class Unlimited(ngram.LanguageModel):
    """A model that looks at the whole context: it answers with its length."""

    order = None
    vocabulary = WORDS

    def _distribution(self, context):
        p = np.zeros(len(WORDS))
        p[3 + len(context)] = 1
        return p


def test_a_part_without_a_limit_sees_the_whole_context(models):
    mixture = ngram.Mixture([Unlimited(), models[0]], [0.5, 0.5])
    assert mixture.order is None
    context = ["<s>", "w1", "w2", "w3", "w4"]
    expected = (Unlimited().probabilities(context) + models[0].probabilities(context)) / 2
    assert Unlimited().probabilities(context)[8] == 1
    assert mixture.probabilities(context) == pytest.approx(expected)


# ----------------------------------------------------------------------------------- bad input
def unlike():
    return ngram.fit(TRAIN, 2, "witten_bell", Vocabulary(["w0", "w1"]))


@pytest.mark.parametrize("weights", [[0.5], [0.5, 0.2, 0.3], 0.5, [[0.5, 0.5]]])
def test_as_many_weights_as_models(models, weights):
    with pytest.raises(ValueError, match="as many weights; got 2 models and weights of shape"):
        ngram.Mixture(models[:2], weights)


@pytest.mark.parametrize("weights", [[-0.1, 1.1], [0.5, 0.6], [0, 0], [math.nan, 1], [math.inf, 0]])
def test_weights_share_out_one(models, weights):
    with pytest.raises(ValueError, match="weights must be >= 0 and sum to 1, got"):
        ngram.Mixture(models[:2], weights)


def test_nothing_to_mix():
    with pytest.raises(ValueError, match=r"one or more models.*got 0 models"):
        ngram.Mixture([], [])
    with pytest.raises(ValueError, match=r"one or more models.*got 0 models"):
        ngram.Mixture.fit([], HELD_OUT)


def test_different_vocabularies_are_refused(models):
    for make in (
        lambda: ngram.Mixture([models[0], models[1], unlike()], [0.5, 0.2, 0.3]),
        lambda: ngram.Mixture.fit([unlike(), models[0]], HELD_OUT),
    ):
        with pytest.raises(ValueError, match="different vocabularies"):
            make()
    same_words_other_ids = ngram.fit(TRAIN, 2, "witten_bell", Vocabulary(WORDS.words[:2:-1]))
    with pytest.raises(ValueError, match="different vocabularies"):
        ngram.Mixture([models[0], same_words_other_ids], [0.5, 0.5])


def test_a_token_that_nobody_expects_is_counted():
    one, two = fit(1, "mle"), fit(2, "mle")
    vain = [["w0", "w1"], ["w0", "new"]]
    never = ngram.fit([["w0", "w1"]], 1, "mle", WORDS)
    with pytest.raises(
        ValueError, match="1 of 6 held-out tokens have probability zero under every"
    ):
        ngram.Mixture.fit([never, never], vain)
    assert ngram.Mixture.fit([one, two], vain).weights.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match=r"2 of 3 .*zero under every"):
        ngram.expectation_maximisation(np.array([[0.0, 0.5, np.nan], [0.0, 0.0, np.nan]]))


def test_nothing_held_out(models):
    with pytest.raises(ValueError, match="sentences is empty"):
        ngram.Mixture.fit(models, [])


def test_imaginary_tokens_keep_a_weight_off_zero_and_one():
    p = np.array([[0.9], [0.1]])  # one token, better under the first model
    assert ngram.expectation_maximisation(p)[0, 0] == pytest.approx(1)
    assert ngram.expectation_maximisation(p, imaginary=1)[0, 0] < 1
    # at the limit, (posterior + 1/2) / 2 is the weight itself
    weight = ngram.expectation_maximisation(p, imaginary=1)[0, 0]
    posterior = weight * 0.9 / (weight * 0.9 + (1 - weight) * 0.1)
    assert weight == pytest.approx((posterior + 0.5) / 2, abs=1e-6)
