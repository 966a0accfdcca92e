"""The tasks of the attention chapter, its wrapper and loop, and the probes that look inside."""

import doctest
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmlib import attention as att
from lmlib.attention import conjunctions, probes, tasks, training
from lmlib.attention.tasks import NOTHING

FUZZ = settings(max_examples=40, deadline=None)  # a busy machine is no error
SEEDS = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["tasks", "conjunctions", "training", "probes"])
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(import_module(f"lmlib.attention.{name}"), extraglobs={"np": np})
    assert result.attempted
    assert not result.failed


# --------------------------------------------------- the tasks, each against a reader of its tokens
def answers_of_recall(tokens, noise):
    answer, answers = NOTHING, []
    for token in tokens:
        answers.append(answer)
        if token >= noise:
            answer = token - noise
    return answers


@given(SEEDS, st.integers(1, 5), st.integers(2, 20), st.integers(1, 4), st.integers(1, 5))
@FUZZ
def test_recall_asks_for_the_cue_ever_after(seed, batch, length, cues, noise):
    tokens, targets = tasks.recall(rng(seed), batch, length, None, cues, noise)
    assert tokens.shape == targets.shape == (batch, length)
    assert ((tokens >= noise).sum(1) == 1).all()
    assert (tokens >= noise).argmax(1).max() < max(1, length // 2)
    assert tokens.max() < noise + cues
    assert targets.tolist() == [answers_of_recall(row, noise) for row in tokens]


def test_recall_uses_every_place_cue_and_noise_and_a_fixed_place_when_given():
    tokens, _ = tasks.recall(rng(), 2000, 8, cues=3, noise=4)
    assert set(tokens.ravel().tolist()) == set(range(7))
    assert set((tokens >= 4).argmax(1).tolist()) == {0, 1, 2, 3}
    tokens, _ = tasks.recall(rng(), 9, 8, position=6)
    assert (tokens[:, 6] >= 16).all()


def answers_of_key_value(tokens, keys, values):
    memory, answers = {}, []
    for token in tokens:
        if token < keys * values:
            memory[token // values] = token % values
            answers.append(NOTHING)
        else:
            answers.append(memory[token - keys * values])
    return answers


@given(SEEDS, st.integers(1, 5), st.integers(1, 6), st.integers(0, 3), st.integers(1, 4))
@FUZZ
def test_key_value_asks_each_key_once(seed, batch, pairs, spare, values):
    keys = pairs + spare
    tokens, targets = tasks.key_value(rng(seed), batch, pairs, keys, values)
    assert targets.tolist() == [answers_of_key_value(row, keys, values) for row in tokens]
    told = np.sort(tokens[:, :pairs] // values, 1)
    assert (np.diff(told, axis=1) > 0).all()
    assert (np.sort(tokens[:, pairs:] - keys * values, 1) == told).all()


def test_key_value_asks_in_any_order_and_tells_any_value():
    tokens, targets = tasks.key_value(rng(), 500, 3, 3, 4)
    orders = {tuple((row[3:, None] - 12 == row[:3] // 4).argmax(1).tolist()) for row in tokens}
    assert len(orders) == 6
    assert set(targets[:, 3:].ravel().tolist()) == {0, 1, 2, 3}


@given(SEEDS, st.integers(1, 5), st.integers(1, 6), st.integers(0, 4), st.integers(1, 9))
@FUZZ
def test_repeats_go_round(seed, batch, least, more, extra):
    length = least + more + extra
    tokens, targets, period = tasks.repeats(
        rng(seed), batch, length, words=50, periods=(least, least + more)
    )
    assert tokens.shape == targets.shape == (batch, length)
    assert (least <= period).all()
    assert (period <= least + more).all()
    for row, asked, p in zip(tokens, targets, period, strict=True):
        assert all(row[t] == row[t - p] for t in range(p, length))
        known = [row[t + 1 - p] if t >= p else NOTHING for t in range(length)]
        assert asked.tolist() == known


def test_repeats_draw_all_periods_and_words():
    tokens, _, period = tasks.repeats(rng(), 400, 9, words=5, periods=(2, 4))
    assert set(period.tolist()) == {2, 3, 4}
    assert set(tokens.ravel().tolist()) == set(range(5))


@given(SEEDS, st.integers(1, 5), st.integers(0, 6), st.integers(0, 6), st.integers(2, 6))
@FUZZ
def test_copies_repeat_the_span_after_the_gap(seed, batch, gap, before, span):
    tokens, targets = tasks.copies(rng(seed), batch, gap, before, span, words=7, fillers=3)
    assert tokens.shape == (batch, before + 2 * span + gap)
    for row, asked in zip(tokens.tolist(), targets.tolist(), strict=True):
        first, second = row[before : before + span], row[before + span + gap :]
        assert first == second
        assert len({*first}) == span
        assert max(first) < 7
        filling = row[:before] + row[before + span : before + span + gap]
        assert all(7 <= token < 10 for token in filling)
        assert asked[-span:-1] == second[1:]
        assert {*asked[:-span], asked[-1]} == {NOTHING}


def test_backcopy_copies_after_triggers_and_follows_the_table_elsewhere():
    transitions = np.array([[0.1, 0.6, 0.3], [0.5, 0.0, 0.5], [0.2, 0.2, 0.6]])
    tokens, targets = tasks.backcopy(rng(), 3000, 12, transitions, triggers=[2])
    assert (tokens[:, 0] == 3).all()
    assert (targets[:, :-1] == tokens[:, 1:]).all()
    at_trigger = (tokens == 2) & (np.arange(12) > 1)
    before = np.roll(tokens, 1, axis=1)
    assert (targets[at_trigger] == before[at_trigger]).all()
    for token in (0, 1):
        after = targets[tokens == token]
        shares = np.bincount(after, minlength=3) / after.size
        assert np.abs(shares - transitions[token]).max() < 0.02
    first = np.bincount(tokens[:, 1], minlength=3) / 3000
    assert np.abs(first - 1 / 3).max() < 0.04
    behind_start = targets[:, 1][tokens[:, 1] == 2]  # nothing to copy but ⟨s⟩
    assert np.abs(np.bincount(behind_start) / behind_start.size - transitions[2]).max() < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: tasks.recall(r, 0, 8), "batch must be"),
        (lambda r: tasks.recall(r, 1, 1), "length must be"),
        (lambda r: tasks.recall(r, 1, 8, 7), "position must lie in 0 … 6"),
        (lambda r: tasks.recall(r, 1, 8, -1), "position must lie"),
        (lambda r: tasks.recall(r, 1, 8, cues=0), "cues must be"),
        (lambda r: tasks.key_value(r, 1, 0), "pairs must be"),
        (lambda r: tasks.key_value(r, 1, 5, keys=4), "5 pairs need"),
        (lambda r: tasks.repeats(r, 1, 32), "periods must be"),
        (lambda r: tasks.repeats(r, 1, 32, periods=(5, 4)), "periods must be"),
        (lambda r: tasks.repeats(r, 1, 32, periods=(0, 4)), "periods must be"),
        (lambda r: tasks.copies(r, 1, -1), "gap must be"),
        (lambda r: tasks.copies(r, 1, 1, span=1), "span must be"),
        (lambda r: tasks.copies(r, 1, 1, span=9, words=8), "span of 9"),
        (lambda r: tasks.backcopy(r, 1, 4, np.ones((2, 2)), [0]), "rows that sum to 1"),
        (lambda r: tasks.backcopy(r, 1, 4, np.array([[2, -1], [0, 1]]), [0]), "rows that sum"),
        (lambda r: tasks.backcopy(r, 1, 4, np.ones((1, 2)) / 2, [0]), "must be \\(V, V\\)"),
        (lambda r: tasks.backcopy(r, 1, 4, np.eye(2), [2]), "every trigger"),
        (lambda r: tasks.letter_transitions("a"), "needs two characters"),
        (lambda r: conjunctions.sentences(r, 0), "count must be"),
        (lambda r: conjunctions.sentences(r, 1, longest=-1), "longest must be"),
        (lambda r: conjunctions.sentences(r, 1, fillers=-1), "fillers must be"),
        (lambda r: conjunctions.sentences(r, 1, before=-1), "before must be"),
        (lambda r: conjunctions.sentences(r, 1, never="。"), "every sentence contains"),
        (lambda r: conjunctions.encode([]), "a character to read"),
        (lambda r: conjunctions.encode(["很"]), "a character to read"),
        (lambda r: conjunctions.encode(["hi，"]), "has no h i"),
    ],
)
def test_tasks_refuse_what_makes_no_sense(call, message):
    with pytest.raises(ValueError, match=message):
        call(rng())


# ------------------------------------------------------------------------------- the conjunctions
def parse(text):
    """(pair, number of clauses before, between) by reading the text alone, or None."""
    subjects = sorted(conjunctions.SUBJECTS, key=len, reverse=True)

    def is_clause(part):
        return part in conjunctions.PREDICATES or any(
            part.startswith(s) and part[len(s) :] in conjunctions.PREDICATES for s in subjects
        )

    *parts, last = text.rstrip("。").split("，")
    found = []
    for pair, (first, second) in enumerate(conjunctions.PAIRS):
        if not last.startswith(second) or not is_clause(last[len(second) :]):
            continue
        for at, part in enumerate(parts):
            if part.startswith(first) and is_clause(part[len(first) :]):
                others = parts[:at] + parts[at + 1 :]
                if all(map(is_clause, others)):
                    found.append((pair, at, len(others) - at))
    return found[0] if len(found) == 1 else None


@given(SEEDS, st.integers(0, 3), st.integers(0, 3), st.booleans())
@FUZZ
def test_sentences_are_what_they_say(seed, longest, before, fixed):
    fillers = longest if fixed else None
    for s in conjunctions.sentences(rng(seed), 5, longest, fillers, before):
        pair, opening, between = parse(s.text)
        first, second = conjunctions.PAIRS[s.pair]
        assert pair == s.pair
        assert s.text[s.first :].startswith(first)
        assert s.text[s.second :].startswith(second)
        assert s.text[s.second - 1] == "，"
        assert opening <= before
        assert between == longest if fixed else between <= longest


def test_the_second_half_begins_with_the_same_chance_at_every_comma():
    drawn = conjunctions.sentences(rng(), 6000, longest=3)
    between = np.array([s.text.count("，") - 1 for s in drawn])
    for k in range(3):  # the last comma ends all that have come so far
        assert abs((between[between >= k] == k).mean() - conjunctions.END) < 0.03
    assert between.max() == 3
    pairs = np.bincount([s.pair for s in drawn]) / len(drawn)
    assert np.abs(pairs - 1 / 6).max() < 0.02
    named = np.mean([s.text[2] in "他她我小妈老朋" for s in drawn])
    assert abs(named - conjunctions.WITH_SUBJECT) < 0.03


def test_the_sentence_of_the_notes_belongs_to_the_language_and_can_be_withheld():
    assert parse(conjunctions.SENTENCE) == (0, 0, 0)
    assert len(conjunctions.PINYIN) == len(conjunctions.SENTENCE)
    drawn = conjunctions.sentences(rng(), 3000, never="虽然下雨了")
    assert not any("虽然下雨了" in s.text for s in drawn)
    assert any("虽然很累" in s.text for s in drawn)
    drawn = conjunctions.sentences(rng(), 3000)
    assert any("虽然下雨了" in s.text for s in drawn)


def test_encoding_is_read_back_and_fills_up_behind_the_text():
    texts = ["虽然很累，但是我写作业。", "很累，"]
    tokens, targets = conjunctions.encode(texts)
    letters = np.array([*conjunctions.CHARACTERS])
    assert "".join(letters[tokens[0]]) == texts[0][:-1]
    assert "".join(letters[targets[0]]) == texts[0][1:]
    assert "".join(letters[tokens[1]]) == "很累，" + "。" * (len(texts[0]) - 4)
    assert targets[1].tolist() == [*targets[1, :2].tolist(), *[NOTHING] * (len(texts[0]) - 3)]
    assert "".join(letters[targets[1, :2]]) == "累，"
    assert len({*conjunctions.CHARACTERS}) == len(conjunctions.CHARACTERS)
    assert [conjunctions.CHARACTERS[k] for k in conjunctions.SECONDS] == [*"但所那而不才"]


def test_a_batch_is_encoded_sentences():
    drawn = conjunctions.sentences(rng(4), 6, longest=2, before=1, never="很累")
    expected = conjunctions.encode([s.text for s in drawn])
    found = conjunctions.batch(rng(4), 6, longest=2, before=1, never="很累")
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_only_the_six_second_conjunctions_compete():
    drawn = conjunctions.sentences(rng(), 40)
    tokens, _ = conjunctions.encode([s.text for s in drawn])
    logits = rng(1).standard_normal((*tokens.shape, len(conjunctions.CHARACTERS)))
    expected = []
    for row, s in zip(logits, drawn, strict=True):
        at_comma = dict(zip(conjunctions.CHARACTERS, row[s.text.rindex("，")], strict=True))
        best = max((second[0] for _, second in conjunctions.PAIRS), key=at_comma.get)
        expected.append(best == conjunctions.PAIRS[s.pair][1][0])
    assert conjunctions.right_pairs(logits, drawn).tolist() == expected
    assert 0 < np.mean(expected) < 0.5
    with pytest.raises(ValueError, match="those of these sentences"):
        conjunctions.right_pairs(logits[:, 1:], drawn)


@given(st.text("abc", min_size=2, max_size=30))
@FUZZ
def test_letter_transitions_are_shares_of_pairs(text):
    letters, shares = tasks.letter_transitions(text)
    assert letters == "".join(sorted({*text}))
    for a, row in zip(letters, shares, strict=True):
        after = [y for x, y in zip(text, text[1:], strict=False) if x == a] or [*letters]
        assert np.allclose(row, [after.count(b) / len(after) for b in letters])


# ----------------------------------------------------------------------------- the wrapper and loop
def small_model(seed=0, **kwargs):
    layers = training.attention_layers(2, 8, 2, hidden=6, generator=generator(seed))
    return training.SequenceModel(5, 8, layers, generator=generator(seed), **kwargs).double()


def test_the_wrapper_is_pre_norm_residual_layers():
    positions = att.AddedPositions(8, "sinusoidal", scale=0.5)
    model = small_model(classes=3, positions=positions)
    tokens = torch.tensor([[1, 4, 0, 2]])
    x = model.embedding[tokens] + 0.5 * torch.from_numpy(att.sinusoidal_positions(4, 8))
    for layer in model.layers:
        x = x + layer(F.layer_norm(x, (8,)))
    expected = F.layer_norm(x, (8,)) @ model.head.weight.T + model.head.bias
    assert torch.allclose(model(tokens), expected, atol=1e-12)
    assert torch.allclose(model.read_out(model.embed(tokens)), expected, atol=1e-12)
    assert expected.shape == (1, 4, 3)


def test_feed_forward_is_two_maps_with_a_gelu_between():
    layer = training.FeedForward(4, 6, generator()).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator())
    hidden = x @ layer.input.weight.T + layer.input.bias
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    assert torch.allclose(layer(x), gelu @ layer.output.weight.T + layer.output.bias, atol=1e-12)


def test_weights_are_those_that_give_the_output():
    model = small_model()
    tokens = torch.randint(0, 5, (2, 6), generator=generator())
    weights = model.weights(tokens)
    assert [tuple(w.shape) for w in weights] == [(2, 2, 6, 6)] * 2
    x = model.embed(tokens)
    for norm, layer in zip(model.norms, model.layers, strict=True):
        z = norm(x)
        if isinstance(layer, att.MultiHeadAttention):
            value = layer.value(z).unflatten(-1, (2, -1)).transpose(1, 2)
            update = layer.output((weights.pop(0) @ value).transpose(1, 2).flatten(2))
        else:
            update = layer(z)
        x = x + update
    assert torch.allclose(model.head(model.norm(x)), model(tokens), atol=1e-12)
    assert not weights


def test_layers_and_weights_come_from_the_generator_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, two, other = small_model(3), small_model(3), small_model(4)
    assert torch.equal(before, torch.get_rng_state())
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(one.embedding, other.embedding)
    assert abs(one.embedding.std().item() - 0.5) < 0.15
    kinds = [type(layer).__name__ for layer in training.attention_layers(2, 8, 2)]
    assert kinds == ["MultiHeadAttention"] * 2
    rope = training.attention_layers(1, 8, 2, "rope")[0]
    assert rope.positions == "rope"
    assert rope.causal


class Table(nn.Module):
    """Logits by token, nothing else: one row of parameters each."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(3, 4, dtype=torch.float64))

    def forward(self, tokens):
        return self.logits[tokens]


def test_training_is_adam_with_clipping_on_the_asked_targets():
    tokens = np.array([[0, 1, 2], [2, 0, 1]])
    targets = np.array([[3, NOTHING, 1], [NOTHING, 3, 0]])
    ours, theirs = Table(), Table()
    seen = []

    def watch(model):
        seen.append(model.logits.detach().clone())
        return len(seen)

    history = training.train(
        ours, lambda: (tokens, targets, "more"), 6, 0.1, (0.8, 0.9), 0.05, watch, every=3
    )
    optimiser = torch.optim.Adam(theirs.parameters(), lr=0.1, betas=(0.8, 0.9))
    losses, states = [], [theirs.logits.detach().clone()]
    for _ in range(6):
        log_p = theirs.logits.log_softmax(-1)
        loss = -(log_p[0, 3] + log_p[2, 1] + log_p[0, 3] + log_p[1, 0]) / 4
        optimiser.zero_grad()
        loss.backward()
        gradient = theirs.logits.grad
        gradient *= min(1, 0.05 / (gradient.norm() + 1e-6))
        optimiser.step()
        losses.append(loss.item())
        states.append(theirs.logits.detach().clone())
    assert np.allclose(history.loss, losses, atol=1e-12)
    assert torch.allclose(ours.logits, theirs.logits, atol=1e-12)
    assert history.watched == [(0, 1), (3, 2), (6, 3)]
    for found, step in zip(seen, (0, 3, 6), strict=True):
        assert torch.allclose(found, states[step], atol=1e-12)
    assert history.accuracy[0] == 0.25  # all logits equal: the first class is chosen
    assert history.accuracy[-1] == 1.0


def test_training_learns_recall_and_is_repeatable():
    def run():
        layers = training.attention_layers(1, 16, 1, hidden=16, generator=generator())
        model = training.SequenceModel(8, 16, layers, 4, generator=generator())
        r = rng(1)
        history = training.train(model, lambda: tasks.recall(r, 16, 12, cues=4, noise=4), 150, 1e-2)
        return model, history

    model, history = run()
    assert np.array_equal(history.loss, run()[1].loss)
    test = tasks.recall(rng(2), 64, 12, cues=4, noise=4)
    assert np.nanmean(training.right(model, *test)) > 0.95


def test_right_marks_only_what_is_asked():
    model = Table()
    with torch.no_grad():
        model.logits[0, 2] = model.logits[1, 3] = 1.0
    tokens, targets = np.array([[0, 1, 2]]), np.array([[2, 0, NOTHING]])
    assert np.array_equal(training.right(model, tokens, targets), [[1, 0, np.nan]], equal_nan=True)


def test_training_refuses_what_cannot_be_learned():
    tokens = np.array([[0, 1]])
    with pytest.raises(ValueError, match="asks nothing"):
        training.train(Table(), lambda: (tokens, np.full((1, 2), NOTHING)), 1)
    with pytest.raises(ValueError, match="steps must be"):
        training.train(Table(), lambda: (tokens, tokens), 0)
    broken = Table()
    with torch.no_grad():
        broken.logits[0, 0] = torch.inf
    with pytest.raises(ValueError, match="the loss is nan at step 0"):
        training.train(broken, lambda: (tokens, tokens), 1)
    with pytest.raises(ValueError, match="expected int64"):
        small_model()(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="depth must be"):
        training.attention_layers(0, 8, 2)
    with pytest.raises(ValueError, match="hidden must be"):
        training.FeedForward(8, 0)


# ------------------------------------------------------------------------------------- the probes
@pytest.mark.parametrize("name", ["attention", "lstm", "cnn"])
def test_gradients_agree_with_finite_differences(name):
    layer = {
        "attention": lambda: att.MultiHeadAttention(4, 2, generator=generator()),
        "lstm": lambda: att.LSTM(4, generator=generator()),
        "cnn": lambda: att.CNN(4, dilations=(1, 1), generator=generator()),
    }[name]().double()
    x = torch.randn(7, 4, dtype=torch.float64, generator=generator())
    found = probes.gradient_by_distance(layer, x)
    step, expected = 1e-6, np.zeros(7)
    with torch.no_grad():
        for d in range(7):
            for c in range(4):
                up, down = x.clone(), x.clone()
                up[6 - d, c] += step
                down[6 - d, c] -= step
                slope = (layer(up[None]) - layer(down[None]))[0, -1] / (2 * step)
                expected[d] += (slope**2).sum().item()
    expected = np.sqrt(expected / 4)
    assert np.allclose(found, expected, atol=1e-8)
    if name == "cnn":
        assert (found[layer.receptive_field :] == 0).all()
        assert (found[: layer.receptive_field] > 0).all()


def test_gradient_of_a_read_out_is_over_its_own_classes():
    model = small_model(classes=3)
    x = model.embed(torch.tensor([[1, 2, 3]]))[0]
    jacobian = torch.autograd.functional.jacobian(lambda x: model.read_out(x[None])[0, -1], x)
    expected = (jacobian.pow(2).sum((0, 2)) / 3).sqrt().flip(0).numpy()
    assert np.allclose(probes.gradient_by_distance(model.read_out, x), expected, atol=1e-12)
    with pytest.raises(ValueError, match="one sequence"):
        probes.gradient_by_distance(model.read_out, x[None])


@given(SEEDS, st.integers(1, 3), st.integers(1, 3), st.integers(3, 8))
@FUZZ
def test_head_scores_agree_with_loops(seed, B, H, T):
    weights = rng(seed).random((B, H, T, T))
    period = rng(seed).integers(1, T, B)
    previous, induction = np.zeros(H), np.zeros(H)
    for h in range(H):
        previous[h] = np.mean([weights[b, h, t, t - 1] for b in range(B) for t in range(1, T)])
        induction[h] = np.mean(
            [
                np.mean([weights[b, h, t, t - p + 1] for t in range(p, T)])
                for b, p in enumerate(period)
            ]
        )
    assert np.allclose(probes.previous_token_score(weights), previous)
    assert np.allclose(probes.induction_score(weights, period), induction)


@pytest.mark.parametrize("inside", [None, "learned"])
def test_removing_a_contribution_is_setting_its_weight_to_zero(inside):
    layers = training.attention_layers(2, 8, 2, inside, 6, generator=generator())
    model = training.SequenceModel(5, 8, layers, generator=generator()).double()
    tokens = torch.randint(0, 5, (2, 6), generator=generator())
    key = np.broadcast_to(rng().integers(0, 6, 6), (2, 6))  # a view that torch must not write to
    for which in (0, 2):
        x = model.embed(tokens)
        for k, (norm, layer) in enumerate(zip(model.norms, model.layers, strict=True)):
            z = norm(x)
            update, *more = layer(z, return_weights=True) if k % 2 == 0 else (layer(z),)
            if k == which:
                weights = more[0].clone()
                for b in range(2):
                    for t in range(6):
                        weights[b, :, t, key[b, t]] = 0
                z = z if layer.added is None else layer.added(z)
                value = layer.value(z).unflatten(-1, (2, -1)).transpose(1, 2)
                update = layer.output((weights @ value).transpose(1, 2).flatten(2))
            x = x + update
        p, q = model(tokens).softmax(-1), model.head(model.norm(x)).softmax(-1)
        expected = (p - q).clamp(min=0).sum(-1).detach().numpy()
        found = probes.effect_of_removing(model, tokens, which, key)
        assert np.allclose(found, expected, atol=1e-12)
        assert found.max() > 1e-3


def test_removing_refuses_other_layers_and_positions():
    model, tokens = small_model(), torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="layer 1 is a FeedForward"):
        probes.effect_of_removing(model, tokens, 1, np.zeros((2, 3), int))
    for key in (np.zeros(3, int), np.zeros((2, 3)), np.full((2, 3), 3), np.full((2, 3), -1)):
        with pytest.raises(ValueError, match="a position in 0 … 2"):
            probes.effect_of_removing(model, tokens, 0, key)


@given(SEEDS, st.integers(1, 40), st.integers(1, 6))
@FUZZ
def test_the_same_output_needs_no_more_tokens_than_caratheodory_says(seed, T, D_v):
    r = rng(seed)
    weights = np.exp(1.5 * r.standard_normal(T))
    weights /= weights.sum()
    value = r.standard_normal((T, D_v))
    kept = weights.copy()
    others = probes.same_output_from_fewer(weights, value)
    assert np.array_equal(weights, kept)
    assert np.count_nonzero(others) <= D_v + 1
    assert (others >= 0).all()
    assert abs(others.sum() - 1) < 1e-10
    assert np.abs(others @ value - weights @ value).max() < 1e-10
    if D_v + 1 >= T:
        assert np.array_equal(others, weights)


def test_the_favoured_token_is_among_the_first_to_go():
    tops = []
    for seed in range(5):
        r = rng(seed)
        weights = np.exp(1.5 * r.standard_normal(128))
        weights /= weights.sum()
        others = probes.same_output_from_fewer(weights, r.standard_normal((128, 4)))
        tops.append(others[weights.argmax()])
    assert np.mean(np.array(tops) == 0) >= 0.8


def test_values_that_repeat_do_not_stop_the_walk():
    value = np.repeat(np.eye(2), 5, axis=0)
    others = probes.same_output_from_fewer(np.full(10, 0.1), value)
    assert np.count_nonzero(others) <= 3
    assert np.allclose(others @ value, [0.5, 0.5])


@pytest.mark.parametrize(
    ("weights", "value", "message"),
    [
        (np.array([0.5, 0.6]), np.ones((2, 1)), "sum to 1"),
        (np.array([1.5, -0.5]), np.ones((2, 1)), "non-negative"),
        (np.array([1.0]), np.ones((2, 1)), "do not fit"),
        (np.ones((1, 1)), np.ones((1, 1)), "do not fit"),
        (np.array([1.0, np.nan]), np.ones((2, 1)), "contains nan"),
        (np.array([0.5, 0.5]), np.ones(2), "do not fit"),
        ([0.5, 0.5], np.ones((2, 1)), "expected a NumPy array"),
    ],
)
def test_weights_that_are_no_average_are_refused(weights, value, message):
    with pytest.raises(ValueError, match=message):
        probes.same_output_from_fewer(weights, value)
