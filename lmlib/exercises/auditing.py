"""What an author, and CI, must know about a declaration: would it teach, and not mislead?"""

from itertools import combinations

from lmlib.exercises import declare
from lmlib.exercises.declare import Case, Exercise
from lmlib.exercises.engine import judge, references
from lmlib.exercises.running import mismatch, undisturbed

FEWEST_MISCONCEPTIONS = 3
FEWEST_HINTS = 2


def audit(exercise: Exercise) -> list[str]:
    """Everything that is wrong with a declared exercise, in words; an empty list is a good one.

    The stub must be "todo", the solution "right", every misconception "wrong" *and* diagnosed as
    itself; explanations must not quote the solution; random cases must stop lookup tables.
    """
    problems = []
    if len(exercise.misconceptions) < FEWEST_MISCONCEPTIONS:
        problems.append(
            f"has {len(exercise.misconceptions)} misconceptions, needs {FEWEST_MISCONCEPTIONS}"
        )
    if len(exercise.hints) < FEWEST_HINTS:
        problems.append(f"has {len(exercise.hints)} hints, needs {FEWEST_HINTS}")
    if not exercise.is_value and all(isinstance(case, Case) for case in exercise.cases):
        problems.append("has no random cases, so a table of the fixed answers would pass")
    home = exercise.solution.__module__.rpartition(".")[2]
    if home not in declare.CHAPTERS.get(exercise.chapter, (exercise.chapter,)):
        problems.append(f"is declared in {home}, but its id says {exercise.chapter}")
    for name, text in exercise.explanations.items():
        problems += [f"{name!r} quotes the solution: {line}" for line in leaks(exercise, text)]
    return [f"{exercise.id}: {problem}" for problem in problems + _behaviour(exercise)]


def _behaviour(exercise) -> list[str]:
    problems = []
    namespace = dict(exercise.solution.__globals__)
    exec(exercise.stub, namespace)
    for what, answer, state in (
        ("stub", namespace[exercise.name], "todo"),
        ("solution", exercise.solution, "right"),
    ):
        result = judge(exercise, answer)
        if result.state != state:
            problems.append(f"the {what} is {result.state!r}, not {state!r}: {result.message}")
    with undisturbed():
        solution, wrong = references(exercise)
    if any(outcome.changed for outcome in solution):
        problems.append("the solution changes its inputs")
    for name, function in exercise.misconceptions.items():
        result = judge(exercise, function)
        if result.state != "wrong":
            problems.append(f"misconception {name!r} is {result.state!r}: {result.message}")
        elif result.misconception != name:
            problems.append(f"misconception {name!r} is diagnosed as {result.misconception!r}")
    for one, other in combinations(wrong, 2):
        pairs = zip(wrong[one], wrong[other], strict=True)
        if not any(mismatch(exercise, a, b) for a, b in pairs):
            problems.append(f"no case tells {one!r} from {other!r}")
    return problems


def leaks(exercise: Exercise, text: str, shortest: int = 8) -> list[str]:
    """Lines of the solution's body (of 8 characters or more without spaces) that a text holds."""
    squeezed = "".join(text.split())
    return [line for line in exercise.body if len(line) >= shortest and line in squeezed]
