"""lmlib.ngram.neural against torch, finite differences, loops, and what must always hold."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lmlib import corpora, ngram
from lmlib.ngram import neural

SIZES = st.tuples(  # B, n, d, H, V: all different on most draws, so that a transposed axis shows
    st.integers(1, 7), st.integers(2, 5), st.integers(1, 6), st.integers(1, 9), st.integers(4, 11)
)
SETTINGS = {
    "width": 4,
    "hidden": 6,
    "dropout": 0.0,
    "learning_rate": 0.01,
    "batch": 8,
    "steps": 20,
}
TEXT = [["the", "salt", "road"], ["the", "old", "road"], ["a", "boat"]] * 4


def random_case(sizes, seed, masked=True):
    """Parameters, contexts, targets and masks of random numbers."""
    batch, order, width, hidden, words = sizes
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, words)
    parameters = neural.initialise(counts, order, width, hidden, rng, np.float64)
    parameters = {name: p + rng.normal(0, 0.5, p.shape) for name, p in parameters.items()}
    contexts = rng.integers(0, words, (batch, order - 1))
    targets = rng.choice([0, *range(2, words)], batch)  # anything but <s>
    masks = neural.dropout_masks(parameters, batch, 0.4, rng) if masked else (1, 1, 1)
    return parameters, contexts, targets, masks


def in_torch(parameters, contexts, targets, masks):
    """The same network in torch: log-probabilities, and the gradients by autograd."""
    p = {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}
    m = [torch.as_tensor(mask) for mask in masks]
    x = torch.nn.functional.embedding(torch.tensor(contexts), p["embedding"]).flatten(1) * m[0]
    h = torch.relu(x @ p["hidden_weights"] + p["hidden_bias"]) * m[1]
    z = (h @ p["projection"] + p["projection_bias"]) * m[2]
    scores = torch.nn.functional.linear(z, p["embedding"], p["output_bias"])
    start = torch.arange(scores.shape[1]) == ngram.BOS
    log_p = scores.masked_fill(start, -torch.inf).log_softmax(-1)
    torch.nn.functional.nll_loss(log_p, torch.tensor(targets)).backward()
    return log_p.detach().numpy(), {name: value.grad.numpy() for name, value in p.items()}


def loss(parameters, contexts, targets, masks):
    log_p, _ = neural.forward(parameters, contexts, masks)
    return -log_p[np.arange(len(targets)), targets].mean()


# ---------------------------------------------------------------------------------- the mathematics
@settings(deadline=None)
@given(SIZES, st.integers(0, 2**32), st.booleans())
def test_forward_and_backward_agree_with_torch(sizes, seed, masked):
    parameters, contexts, targets, masks = random_case(sizes, seed, masked)
    log_p, cache = neural.forward(parameters, contexts, masks)
    gradients = neural.backward(targets, cache)
    torch_log_p, torch_gradients = in_torch(parameters, contexts, targets, masks)
    np.testing.assert_allclose(log_p, torch_log_p, rtol=1e-10, atol=1e-10)
    assert gradients.keys() == parameters.keys()
    for name, gradient in gradients.items():
        assert gradient.shape == parameters[name].shape
        np.testing.assert_allclose(gradient, torch_gradients[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["embedding", "hidden_weights", "hidden_bias", "output_bias"])
def test_backward_agrees_with_finite_differences(name):
    parameters, contexts, targets, masks = random_case((5, 4, 3, 7, 9), 0)
    gradient = neural.backward(targets, neural.forward(parameters, contexts, masks)[1])[name]
    step = 1e-6
    for place in np.ndindex(gradient.shape):
        either = []
        for change in (step, -step):
            moved = {key: value.copy() for key, value in parameters.items()}
            moved[name][place] += change
            either.append(loss(moved, contexts, targets, masks))
        assert (either[0] - either[1]) / (2 * step) == pytest.approx(gradient[place], abs=1e-8)


def test_initial_parameters():
    p = neural.initialise(np.array([0, 5, 3]), 4, 50, 400, np.random.default_rng(0))
    shapes = {name: value.shape for name, value in p.items()}
    assert shapes == {
        "embedding": (3, 50),
        "hidden_weights": (150, 400),
        "hidden_bias": (400,),
        "projection": (400, 50),
        "projection_bias": (50,),
        "output_bias": (3,),
    }
    assert all(value.dtype == np.float32 for value in p.values())
    assert np.exp(p["output_bias"]) == pytest.approx(np.array([1, 6, 4]) / 11)
    # so that h is about as large as x, and z as h, however many units there are
    assert p["hidden_weights"].std() == pytest.approx(150**-0.5, rel=0.02)
    assert p["projection"].std() == pytest.approx(400**-0.5, rel=0.02)


def test_probabilities_stay_finite_for_large_scores():
    parameters, contexts, _, _ = random_case((3, 3, 4, 5, 8), 1, masked=False)
    parameters["output_bias"] *= 1e5
    log_p, _ = neural.forward(parameters, contexts)
    assert np.exp(log_p).sum(-1) == pytest.approx(np.ones(3))


@given(st.floats(0.05, 0.9), st.sampled_from([np.float32, np.float64]))
@settings(deadline=None, max_examples=20)
def test_dropout_keeps_the_mean(dropout, dtype):
    rng = np.random.default_rng(0)
    parameters = neural.initialise(np.ones(9), 4, 50, 70, rng, dtype)
    masks = neural.dropout_masks(parameters, 80, dropout, rng)
    assert [mask.shape for mask in masks] == [(80, 150), (80, 70), (80, 50)]
    for mask in masks:
        assert mask.dtype == dtype
        assert set(np.unique(mask)) == {0, dtype(1 / (1 - dropout))}
        spread = (dropout / (1 - dropout) / mask.size) ** 0.5
        assert mask.mean() == pytest.approx(1, abs=5 * spread)


def test_adam_agrees_with_torch():
    rng = np.random.default_rng(0)
    ours = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=5)}
    theirs = [torch.tensor(value, requires_grad=True) for value in ours.values()]
    torch_adam = torch.optim.Adam(theirs, lr=0.03, betas=(0.9, 0.98), eps=1e-8)
    moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in ours.items()}
    for step in range(1, 8):
        gradients = {name: rng.normal(size=p.shape) for name, p in ours.items()}
        for p, gradient in zip(theirs, gradients.values(), strict=True):
            p.grad = torch.tensor(gradient)
        torch_adam.step()
        neural.adam(ours, gradients, moments, step, 0.03)
    for p, q in zip(ours.values(), theirs, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12)


# -------------------------------------------------------------------------------------- the windows
@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcx"), max_size=6), min_size=1, max_size=5),
    st.integers(2, 5),
)
@example([[]], 5)  # a text shorter than the window
def test_windows_are_the_words_before(text, order):
    vocabulary = corpora.Vocabulary(["a", "b", "c"])
    contexts, targets = neural.windows(ngram.encode(text, vocabulary), order)
    expected = []
    for sentence in text:
        line = [*["<s>"] * (order - 1), *(w if w in "abc" else "<unk>" for w in sentence), "</s>"]
        expected += [line[i - order + 1 : i + 1] for i in range(order - 1, len(line))]
    found = [
        [*vocabulary.decode(c), *vocabulary.decode([t])]
        for c, t in zip(contexts, targets, strict=True)
    ]
    assert found == expected


# ---------------------------------------------------------------------------------------- the model
@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    return neural.fit_neural(TEXT, TEXT, 4, **SETTINGS, rng=rng)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<s>", "the", "salt", "road", "boat", "new"]), max_size=6))
def test_every_distribution_sums_to_one(model, context):
    p = model.probabilities(context)
    assert p.dtype == np.float64 and p.shape == (len(model.vocabulary),)
    assert abs(p.sum() - 1) < 1e-12
    assert p[ngram.BOS] == 0
    assert (np.delete(p, ngram.BOS) > 0).all()
    assert (p == model.probabilities(["old", *["<s>"] * 3, *context][-3:])).all()


def test_both_ways_to_ask_agree(model):
    text = [["the", "salt", "road", "the", "new", "boat"], [], ["road"]]
    p = iter(model.token_probabilities(text))
    for sentence in text:
        line = ["<s>", *sentence, "</s>"]
        for i in range(1, len(line)):
            (word,) = model.vocabulary.encode([line[i]])
            assert next(p) == pytest.approx(model.probabilities(line[:i])[word], rel=1e-12)
    assert next(p, None) is None


def test_chunks_leave_no_trace(model, monkeypatch):
    whole = model.token_probabilities(TEXT)
    monkeypatch.setattr(neural, "CHUNK", 5)
    np.testing.assert_allclose(model.token_probabilities(TEXT), whole, rtol=1e-12)


def test_it_mixes_and_samples_like_any_other(model):
    counting = ngram.fit(TEXT, 2, "witten_bell", vocabulary=model.vocabulary)
    mixture = ngram.Mixture.fit([counting, model], TEXT)
    best = min(counting.perplexity(TEXT).value, model.perplexity(TEXT).value)
    assert mixture.perplexity(TEXT).value <= best * (1 + 1e-6)
    words = {w for s in range(20) for w in model.sample(np.random.default_rng(s), 8)}
    assert "road" in words and not words & {"<s>", "</s>"}


def test_neighbours_are_the_largest_cosines(model):
    rng = np.random.default_rng(0)
    e = rng.normal(size=(30, 4)) * rng.lognormal(0, 2, (30, 1))  # lengths that would mislead
    vocabulary = corpora.Vocabulary([f"w{i}" for i in range(27)])
    parameters = model.parameters | {"embedding": e, "output_bias": np.zeros(30)}
    net = neural.NeuralNgram(parameters, vocabulary)
    for i in range(3, 30):
        cosine = {
            j: e[i] @ e[j] / np.linalg.norm(e[i]) / np.linalg.norm(e[j])
            for j in range(3, 30)
            if j != i
        }
        expected = vocabulary.decode(sorted(cosine, key=cosine.get, reverse=True))
        (word,) = vocabulary.decode([i])
        assert net.neighbours(word) == expected[:5]
        assert net.neighbours(word, 99) == expected
    with pytest.raises(ValueError, match="not in the vocabulary"):
        net.neighbours("new")


def test_a_strange_vocabulary_is_refused(model):
    with pytest.raises(ValueError, match="pass the vocabulary that the model was trained with"):
        neural.NeuralNgram(model.parameters, corpora.Vocabulary(["the", "salt"]))


# ------------------------------------------------------------------------------------- the training
def spec_fit(text, held_out, order, vocabulary, seed, dtype, evaluated, **settings):
    """`fit_neural` without dropout, as its docstring tells it."""
    s, rng = settings, np.random.default_rng(seed)
    contexts, targets = neural.windows(ngram.encode(text, vocabulary), order)
    counts = [np.sum(targets == word) for word in range(len(vocabulary))]
    p = neural.initialise(np.array(counts), order, s["width"], s["hidden"], rng, dtype)
    moments = {name: (np.zeros_like(v), np.zeros_like(v)) for name, v in p.items()}
    history, kept = [], []
    for step in range(s["steps"] + 1):
        if step:
            chosen = rng.integers(0, len(targets), s["batch"])
            g = neural.backward(targets[chosen], neural.forward(p, contexts[chosen])[1])
            falling = s["learning_rate"] * (s["steps"] + 1 - step) / s["steps"]
            neural.adam(p, g, moments, step, falling)
        if step in evaluated:
            model = neural.NeuralNgram(p, vocabulary)
            history.append((step, model.perplexity(held_out).value))
            kept.append(model)
    return history, kept[np.argmin([perplexity for _, perplexity in history])]


@pytest.mark.parametrize("order", [2, 3])
def test_training_does_what_it_says(order):
    settings = {"width": 3, "hidden": 5, "learning_rate": 0.1, "batch": 6, "steps": 150}
    train, held_out = TEXT[:6], TEXT[1:3]
    vocabulary = corpora.Vocabulary.from_sentences(TEXT)
    history, best = spec_fit(
        train, held_out, order, vocabulary, 7, np.float64, [0, 50, 100, 150], **settings
    )
    model = neural.fit_neural(
        iter(train), iter(held_out), order, **settings, dropout=0, evaluations=3,
        rng=np.random.default_rng(7), vocabulary=vocabulary, dtype=np.float64,
    )  # fmt: skip
    assert [step for step, _ in model.history] == [0, 50, 100, 150]
    np.testing.assert_allclose(model.history, history, rtol=1e-9)
    for name, p in best.parameters.items():
        np.testing.assert_allclose(model.parameters[name], p, rtol=1e-9, atol=1e-9)


def test_the_first_prediction_is_word_frequency():
    source = corpora.hidden_classes(np.random.default_rng(0), 3, 20)
    text = source.sample(np.random.default_rng(1), 400)
    model = neural.fit_neural(
        text, text, 3, **(SETTINGS | {"steps": 1}), rng=np.random.default_rng(0)
    )
    frequencies = ngram.fit(text, 1, "add_k", k=1)
    assert model.history[0][0] == 0
    assert model.history[0][1] == pytest.approx(frequencies.perplexity(text).value, rel=0.01)


def test_it_learns_a_few_sentences_by_heart():
    text = [["one", "two", "three", "one", "four"], ["two", "one", "one"]]
    settings = SETTINGS | {"width": 12, "hidden": 24, "steps": 500, "learning_rate": 0.02}
    model = neural.fit_neural(text, text, 4, **settings, rng=np.random.default_rng(0))
    # Only the first word of a sentence is a matter of chance: 2 of the 10 tokens cost a factor 2.
    assert model.perplexity(text).value == pytest.approx(2**0.2, rel=0.02)


def test_it_shares_what_counting_keeps_apart():
    source = corpora.hidden_classes(np.random.default_rng(0), 5, 40, concentration=0.1)
    text, held_out, test = (source.sample(np.random.default_rng(s), n) for s, n in
                            ((1, 1000), (2, 100), (3, 300)))  # fmt: skip
    vocabulary = corpora.Vocabulary(source.words)
    settings = SETTINGS | {
        "width": 8,
        "hidden": 32,
        "learning_rate": 0.02,
        "batch": 128,
        "steps": 800,
    }
    model = neural.fit_neural(
        text, held_out, 3, **settings, rng=np.random.default_rng(0), vocabulary=vocabulary
    )
    counting = ngram.fit(text, 3, vocabulary=vocabulary, discount_fallback=True)
    floor = np.exp(-np.log(source.token_probabilities(test)).mean())
    net, counts = model.perplexity(test).value, counting.perplexity(test).value
    assert floor < net < 1.15 * floor < 0.7 * counts
    assert np.mean([model.neighbours(w, 1)[0][0] == w[0] for w in source.words]) > 0.9


def test_the_best_parameters_are_kept():
    rng = np.random.default_rng(0)
    noise = [list(rng.choice(list("abcdefghij"), 5)) for _ in range(40)]
    settings = SETTINGS | {"width": 16, "hidden": 64, "steps": 300, "learning_rate": 0.03}
    model = neural.fit_neural(noise[:20], noise[20:], 3, **settings, rng=rng)
    seen = [perplexity for _, perplexity in model.history]
    assert min(seen) < 0.5 * seen[-1]
    assert model.perplexity(noise[20:]).value == pytest.approx(min(seen), rel=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_seed_decides(dropout):
    settings = SETTINGS | {"dropout": dropout}
    one, same, other = (
        neural.fit_neural(TEXT, TEXT, 3, **settings, rng=np.random.default_rng(s)).parameters
        for s in (1, 1, 2)
    )
    assert all((one[name] == same[name]).all() for name in one)
    assert not any((one[name] == other[name]).all() for name in one)


def test_dropout_takes_part_in_training():
    fits = [
        neural.fit_neural(
            TEXT, TEXT, 3, **(SETTINGS | {"dropout": d}), rng=np.random.default_rng(1)
        )
        for d in (0.0, 0.5)
    ]
    assert fits[0].history[0] == fits[1].history[0]
    assert fits[0].history[-1] != fits[1].history[-1]


def test_words_come_from_the_training_text_unless_given():
    rng = np.random.default_rng(0)
    free = neural.fit_neural(TEXT, [["the", "harbour"]], 2, **SETTINGS, rng=rng)
    assert free.vocabulary == corpora.Vocabulary.from_sentences(TEXT)
    small = corpora.Vocabulary(["the", "road"])
    given_ = neural.fit_neural(TEXT, TEXT, 2, **SETTINGS, rng=rng, vocabulary=small)
    assert given_.vocabulary is small and given_.order == 2
    assert given_.perplexity(TEXT).oov == 16


# ---------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 1}, "order must be an integer of at least 2, got 1"),
        ({"order": 2.0}, "order must be an integer"),
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
        ({"hidden": 0}, "hidden must be"),
        ({"batch": 0}, "batch must be"),
        ({"steps": 0}, "steps must be"),
        ({"evaluations": 0}, "evaluations must be"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ({"dropout": float("nan")}, "dropout must lie"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive and finite, got nan"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"learning_rate": float("inf")}, "learning_rate must be positive and finite"),
        ({"rng": 0}, "rng must be a numpy Generator, got 0"),
        ({"dtype": np.float16}, "dtype must be np.float32 or np.float64"),
        ({"vocabulary": ["the"]}, "vocabulary must be a corpora.Vocabulary"),
        ({"validation": []}, "validation is empty"),
        ({"train": []}, "no tokens"),
        ({"train": ["the", "road"]}, "expected a list of words, got the text 'the'"),
        ({"learning_rate": 1e30}, "diverged by step 2: try a learning_rate well below 1e"),
    ],
)
def test_bad_input_is_named(options, message):
    options = (
        {"train": TEXT, "validation": TEXT, "order": 3, "rng": np.random.default_rng(0)}
        | SETTINGS
        | options
    )
    with pytest.raises(ValueError, match=message):
        neural.fit_neural(options.pop("train"), options.pop("validation"), **options)
