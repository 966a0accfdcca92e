"""The course's exercises, proved: stubs, solutions, every misconception, and the notebooks.

A checker is only worth as much as the wrong answers it turns away, so each declared one must be
found wrong and recognised as itself. What the notebooks show must be what is declared and tested.
"""

import ast
import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest

import lmlib.exercises
from lmlib import attention, ngram
from lmlib.exercises import audit, catalogue, check
from lmlib.exercises.auditing import FEWEST_MISCONCEPTIONS, leaks
from lmlib.exercises.declare import CHAPTERS

CHAPTER_FOLDER = Path(__file__).parents[1] / "chapters"
EXERCISES = catalogue()
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
each_misconception = pytest.mark.parametrize(
    ("exercise", "name"),
    [(e, name) for e in EXERCISES for name in e.misconceptions],
    ids=lambda x: x if isinstance(x, str) else x.id,
)


# ------------------------------------------------------------------------- the declarations


@each_exercise
def test_declaration_is_sound(exercise):
    assert audit(exercise) == []


@each_exercise
def test_stub_is_not_attempted(exercise):
    namespace = dict(exercise.solution.__globals__)
    exec(exercise.stub, namespace)
    assert check(exercise.id, namespace[exercise.name]).state == "todo"


@each_exercise
def test_solution_is_right(exercise):
    result = check(exercise.id, exercise.solution)
    assert result.state == "right", result


@each_misconception
def test_misconception_is_wrong_and_recognised(exercise, name):
    result = check(exercise.id, exercise.misconceptions[name])
    assert (result.state, result.misconception) == ("wrong", name)
    assert result.message == exercise.explanations[name]


@each_misconception
def test_no_result_quotes_the_solution(exercise, name):
    result = check(exercise.id, exercise.misconceptions[name])
    for text in (result.message, repr(result), result._repr_html_()):
        assert leaks(exercise, text) == []


@each_exercise
def test_enough_misconceptions(exercise):
    assert len(exercise.misconceptions) >= FEWEST_MISCONCEPTIONS


def test_every_module_with_exercises_is_in_a_chapter():
    """A forgotten one would vanish from the catalogue, and from all these tests, in silence."""
    folder = Path(lmlib.exercises.__file__).parent
    declaring = {
        path.stem
        for path in folder.glob("*.py")
        if re.search(r"^@exercise\(", path.read_text(encoding="utf-8"), re.M)
    }
    assert declaring == {module for modules in CHAPTERS.values() for module in modules}


# ------------------------------------------------------------------------- and the library

TINY = [s.split() for s in ("the road is long", "the sea is salt", "the salt road is old")]
SOLVED = {exercise.id: exercise.solution for exercise in EXERCISES}


def test_add_one_agrees_with_the_library():
    model = ngram.fit(TINY, 2, "add_k", k=1)
    p = model.probabilities(["the"])[model.vocabulary.encode(["road"])]
    assert SOLVED["sparsity.add-one-cost"]() == pytest.approx(3 * p.item())


def test_em_steps_lead_where_the_library_does():
    p, q = np.random.default_rng(0).uniform(0.01, 1, (2, 50))
    weight = 0.5
    for _ in range(2000):
        weight = SOLVED["sparsity.em-step"](weight, p, q)
    expected = ngram.expectation_maximisation(np.stack([p, q]), tolerance=1e-12)[0, 0]
    assert weight == pytest.approx(expected, abs=1e-6)


def test_continuations_agree_with_the_library():
    counts = ngram.Counts(TINY, 2)
    padded = [["<s>", *s, "</s>"] for s in TINY]
    bigrams = [pair for s in padded for pair in zip(s, s[1:], strict=False)]
    a = ngram.continuation_counts(counts)[0]
    got = [SOLVED["sparsity.continuation"](bigrams, word) for word in counts.vocabulary.words]
    np.testing.assert_allclose(got, a / a.sum())


@pytest.mark.parametrize("context", ["the", "is", "<s>"])
def test_discounting_agrees_with_the_library(context):
    counts = ngram.Counts(TINY, 2)
    model = ngram.absolute_discounting(counts)
    words = model.vocabulary.words
    discount = ngram.discounts(counts.counts_of_counts(2))[0]
    seen = dict(zip(*counts.followers([context]), strict=True))
    lower = dict(zip(words, model.probabilities([]), strict=True))
    got = [SOLVED["sparsity.discount"](seen, word, discount, lower) for word in words]
    np.testing.assert_allclose(got, model.probabilities([context]), atol=1e-15)


def test_perplexities_and_bits_agree_with_the_library():
    model = ngram.fit(TINY, 2, "witten_bell")
    sentences = [["the", "sea", "is", "wide"], ["old", "salt"]]
    log10_p = np.log10(model.token_probabilities(sentences)).tolist()
    tokens = ["the", "sea", "is", "<unk>", "</s>", "old", "salt", "</s>"]
    expected = model.perplexity(sentences)
    everything, known, words = SOLVED["sparsity.three-perplexities"](tokens, log10_p)
    assert (everything, known) == pytest.approx((expected.value, expected.excluding_oov))
    kept = [x for t, x in zip(tokens, log10_p, strict=True) if t not in ("<unk>", "</s>")]
    assert words == pytest.approx(10 ** -np.mean(kept))
    characters = len("the sea is wide\nold salt\n")
    bits = SOLVED["sparsity.bits-per-character"](expected.value, expected.tokens, characters)
    assert bits == pytest.approx(expected.bits_per_character)


def random_qkv(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(3, *shape))


def test_attention_by_hand_agrees_with_the_library():
    query = np.array([[1.0, 1, 0, 1]])
    key = np.array([[1.0, 1, 3, 0], [2, 1, 0, 1], [1, -1, 2, 0]])
    output, _ = attention.attention(query, key, np.array([[20.0], [10.0], [40.0]]))
    assert SOLVED["attention.by-hand"]() == pytest.approx(output.item())


def test_weights_agree_with_the_library():
    query, key, value = random_qkv((3, 5, 4))
    _, weights = attention.attention(query, key, value)
    np.testing.assert_allclose(SOLVED["attention.scale"](query, key), weights, atol=1e-15)
    far = np.array([[1e3], [-1e3], [1.0], [-1e5], [-1e10]])  # one row with a level of its own each
    scores = query @ key.swapaxes(-1, -2) + far
    expected = attention.masked_softmax(scores)
    np.testing.assert_allclose(SOLVED["attention.softmax-axis"](scores), expected, atol=1e-15)
    scores = scores[0, ::-1] + 1e10 * np.triu(np.ones((5, 5)), 2)  # and a loud future
    expected = attention.masked_softmax(scores, attention.causal_mask(5))
    np.testing.assert_allclose(SOLVED["attention.causal-mask"](scores), expected, atol=1e-15)


def test_one_head_and_many_agree_with_the_library():
    x, *_ = random_qkv((5, 6))
    matrices = random_qkv((6, 6), seed=1)
    projections = attention.Projections(*matrices, np.eye(6))
    for heads in (1, 3):
        expected, _ = attention.multi_head_attention(x, projections, heads)
        got = SOLVED["attention.heads"](*(x @ matrix for matrix in matrices), heads)
        np.testing.assert_allclose(got, expected, atol=1e-13)
    narrow = matrices[..., :2]  # the first of three heads
    expected = SOLVED["attention.heads"](*(x @ matrix for matrix in matrices), 3)[:, :2]
    got = SOLVED["attention.three-roles"](x, *narrow)
    np.testing.assert_allclose(got, expected, atol=1e-13)


def test_rope_agrees_with_the_library():
    query, key, value = random_qkv((7, 6))
    turned = SOLVED["attention.rope"](query, key, value)
    for i, expected in enumerate((attention.rope(query), attention.rope(key), value)):
        np.testing.assert_allclose(turned[i], expected, atol=1e-14)


@pytest.mark.parametrize("scale", [0.5, 1e4])  # with 1e4, a factor above 1 overflows
def test_merged_halves_agree_with_the_library(scale):
    query, key, value = random_qkv((8, 4))
    scores = scale * query[0] @ key.T
    halves = []
    for part in (slice(3), slice(3, None)):
        weights = np.exp(scores[part] - scores[part].max())
        halves.append((scores[part].max(), weights.sum(), weights @ value[part]))
    expected, cache = attention.blocked_attention_forward(query, key, value, block=3, scale=scale)
    for pair in (halves, halves[::-1]):
        top, total, mixed = SOLVED["attention.online-softmax"](*pair)
        np.testing.assert_allclose(mixed / total, expected[0], atol=1e-13)
        assert top + np.log(total) == pytest.approx(cache.log_total[0])


def test_induction_is_what_two_layers_of_attention_do():
    """One layer tells each token who stood before it, the next looks for that; the latest wins."""
    for text in ("abcacbab", "aaab", "abc"):
        T, token = len(text), np.array([[x == y for y in "abc"] for x in text], float)
        previous = np.vstack([np.zeros(3), token[:-1]])
        causal = attention.causal_mask(T)
        latest = np.broadcast_to(np.arange(0.0, 50 * T, 50), (T, T))
        copied, _ = attention.attention(token, previous, token, causal, 1e4, bias=latest)
        found = (causal & (token @ previous.T > 0)).any(1)
        expected = ["abc"[i] if f else None for i, f in zip(copied.argmax(1), found, strict=True)]
        assert SOLVED["attention.induction"](list(text)) == expected


@pytest.mark.parametrize(("n", "weight"), [(2, 0.9), (50, 0.5), (4000, 0.2)])
def test_the_margin_keeps_its_weight_in_the_library(n, weight):
    scores = np.zeros((1, n))
    scores[0, 0] = SOLVED["attention.dilution"](n, weight)
    assert attention.masked_softmax(scores)[0, 0] == pytest.approx(weight)


def test_other_weights_make_the_same_output():
    value = np.array([[1.0, 2], [0, 0], [10, 0], [5, -2]])  # as in the statement
    shown = np.array([0.4, 0.1, 0.1, 0.4])
    other = np.array(SOLVED["attention.same-output"]())
    np.testing.assert_allclose(other @ value, shown @ value, atol=1e-15)
    assert other.min() == 0 and other.sum() == pytest.approx(1) and not other[[0, 3]].any()


def test_contributions_are_the_shares_of_what_the_layer_writes():
    rng = np.random.default_rng(0)
    x, projections = rng.normal(size=(5, 6)), attention.Projections(*rng.normal(size=(4, 6, 6)))
    output, cache = attention.multi_head_attention_forward(x, projections, 2)
    weights, value = cache.attention.weights[:, -1], cache.attention.value  # of the last query
    W_output = projections.output.reshape(2, 3, 6)
    length = []
    for t in range(5):  # the output is linear in the values: leave all of them out but one
        alone = np.where(np.arange(5)[:, None] == t, value, 0)
        length.append(np.linalg.norm((weights[:, None] @ alone @ W_output).sum(0)))
    got = SOLVED["attention.contribution"](weights, value, W_output)
    np.testing.assert_allclose(got, np.array(length) / sum(length))
    written = sum(weights[h] @ value[h] @ W_output[h] for h in range(2))
    np.testing.assert_allclose(written, output[-1], atol=1e-14)


def test_path_lengths_are_where_signals_arrive():
    """A signal set at the first token, spread layer by layer, as the statement says."""
    for n, kernel in ((2, 2), (9, 3), (28, 3), (40, 4)):
        reach, counted = np.arange(n) == 0, []
        for dilations in ([1] * n, [kernel**i for i in range(n)]):
            seen, layers = reach.copy(), 0
            while not seen[-1]:
                shifts = [dilations[layers] * tap for tap in range(kernel)]
                seen = np.array([any(t >= s and seen[t - s] for s in shifts) for t in range(n)])
                layers += 1
            counted.append(layers)
        assert SOLVED["attention.path-length"](n, kernel) == [n - 1, *counted, 1]


@pytest.mark.parametrize(("T", "C"), [(1, 2), (4, 3), (9, 8)])
def test_multiplications_are_counted_one_by_one(T, C):
    without = cached = 0
    for t in range(1, T + 1):
        without += sum(4 * C * C for _ in range(t)) + sum(2 * C for _ in range(t) for _ in range(t))
        cached += 4 * C * C + sum(2 * C for _ in range(t))
    assert SOLVED["attention.kv-cache-cost"](T, C) == [without, cached]


# ------------------------------------------------------------------------- the notebooks


def source(cell):
    return "".join(cell["source"])  # a string or a list of lines, both are valid


def tagged(cell, tag):
    return tag in cell["metadata"].get("tags", [])


def checked_id(cell):
    """The exercise id in a check cell, or None."""
    try:
        call = ast.parse(source(cell)).body[-1].value
        return call.args[0].value if call.func.id == "check" else None
    except (SyntaxError, AttributeError, IndexError):
        return None


def notebook_problems(notebook, exercises):
    """Where a notebook differs from the declared exercises, in words."""
    cells, problems, seen = notebook["cells"], [], []
    declared = {exercise.id: exercise for exercise in exercises}
    for i, cell in enumerate(cells):
        if not tagged(cell, "check"):
            continue
        id = checked_id(cell)
        if id not in declared:
            problems.append(f"{cell['id']} checks {id!r}, which is not declared")
            continue
        exercise = declared[id]
        seen.append(id)
        stub, details = cells[i - 1], [*cells, cell][i + 1]
        if not tagged(stub, "exercise") or source(stub) != exercise.stub:
            problems.append(f"{id}: the cell before the check is not its stub")
        if source(cell) != exercise.check_call():
            problems.append(f"{id}: the check cell is not {exercise.check_call()}")
        if details["cell_type"] != "markdown" or source(details) != exercise.details():
            problems.append(f"{id}: the cell after the check is not its hints and solution")
        above = [source(c) for c in cells[: i - 1] if c["cell_type"] == "markdown"]
        if not above or exercise.title not in above[-1]:
            problems.append(f"{id}: its title is not in the statement above")
    problems += [f"{id} is not in the notebook" for id in sorted(set(declared) - set(seen))]
    problems += [f"{id} is there twice" for id in sorted(declared) if seen.count(id) > 1]
    stubs = sum(tagged(cell, "exercise") for cell in cells)
    if stubs != len(seen):
        problems.append(f"{stubs} stubs for {len(seen)} checks")
    return problems


def read(chapter):
    return json.loads((CHAPTER_FOLDER / f"{chapter}.ipynb").read_text(encoding="utf-8"))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_notebook_shows_what_is_declared(chapter):
    exercises = [exercise for exercise in EXERCISES if exercise.chapter == chapter]
    assert notebook_problems(read(chapter), exercises) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_shown_solutions_work_in_the_notebook(chapter):
    """With what the notebook imports, and nothing else: no private helper of the module."""
    imports = {"__name__": "notebook"}
    for cell in read(chapter)["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse(source(cell))
            tree.body = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
            exec(compile(tree, chapter, "exec"), imports)
    for exercise in EXERCISES:
        if exercise.chapter == chapter:
            shown = exercise.details().rpartition("```python\n")[2].partition("\n```")[0]
            namespace = dict(imports)
            exec(shown, namespace)
            assert check(exercise.id, namespace[exercise.name]).state == "right", exercise.id


# ------------------------------------------------------------------------- and these tests


def make_notebook(exercises):
    """A correct notebook, as a baseline for breaking."""
    cells = []
    for e in exercises:
        for kind, tags, text in (
            ("markdown", [], f"### {e.title}\n\nDo it."),
            ("code", ["exercise"], e.stub),
            ("code", ["check"], e.check_call()),
            ("markdown", [], e.details()),
        ):
            name = f"{e.id}-{len(cells)}"
            cells.append(
                {"cell_type": kind, "id": name, "metadata": {"tags": tags}, "source": text}
            )
    return {"cells": cells}


def test_a_generated_notebook_has_no_problems():
    assert notebook_problems(make_notebook(EXERCISES), EXERCISES) == []


@pytest.mark.parametrize(
    ("cell", "old", "new", "complaint"),
    [
        (0, "### ", "### X", None),
        (0, EXERCISES[0].title, "Another title", "title"),
        (1, "...", "1 / 18", "not its stub"),
        (2, EXERCISES[0].name, "other", "check cell"),
        (2, EXERCISES[0].id, "sparsity.unknown", "not declared"),
        (3, "Hint 2", "Hint 3", "hints and solution"),
        (3, "return", "return 1 *", "hints and solution"),
    ],
)
def test_a_changed_cell_is_noticed(cell, old, new, complaint):
    notebook = make_notebook(EXERCISES)
    text = notebook["cells"][cell]["source"]
    assert old in text
    notebook["cells"][cell]["source"] = text.replace(old, new, 1)
    problems = notebook_problems(notebook, EXERCISES)
    assert bool(problems) == bool(complaint)
    assert complaint is None or complaint in problems[0]


def test_a_missing_and_a_doubled_exercise_are_noticed():
    notebook = make_notebook(EXERCISES)
    missing = copy.deepcopy(notebook)
    del missing["cells"][:4]
    assert notebook_problems(missing, EXERCISES) == [f"{EXERCISES[0].id} is not in the notebook"]
    notebook["cells"] += notebook["cells"][:4]
    assert notebook_problems(notebook, EXERCISES) == [f"{EXERCISES[0].id} is there twice"]
