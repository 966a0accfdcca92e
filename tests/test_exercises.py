"""The course's exercises, proved: stubs, solutions, every misconception, and the notebooks.

A checker is only worth as much as the wrong answers it turns away, so each declared one must be
found wrong and recognised as itself. What the notebooks show must be what is declared and tested.
"""

import ast
import copy
import json
from pathlib import Path

import pytest

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
