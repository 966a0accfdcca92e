"""Checking an answer: run it on every case, compare, and say one useful thing.

The order in which an answer is looked at: not attempted; no function (or no value); wrong
arguments; right; a known misconception; an exception; any other wrong result.

A misconception is recognised if the answer's outcomes coincide with its outcomes over *all*
cases, also those where both are right. An outcome is a value, or the type of an exception,
together with whether an input was modified. So a misconception may raise: a learner whose code
then raises the same way is told why ("wrong"), not only what Python said ("error").
"""

import difflib
import inspect
from functools import cache

from lmlib.exercises import explain, logbook, messages
from lmlib.exercises.declare import Case, Exercise, catalogue, find
from lmlib.exercises.result import Note, Result, shorten, show
from lmlib.exercises.running import (
    Outcome,
    TimeUp,
    is_stub,
    mismatch,
    run,
    time_limit,
    undisturbed,
    where,
)

UNTOUCHED = (None, Ellipsis, NotImplemented)  # by identity: an answer's == may do anything
ID_LIMIT = 80  # characters of an unknown id that a message repeats
GIVEN_LIMIT = 120  # characters of the learner's signature


def check(id, answer=...) -> Result:
    """Check an answer to an exercise. Never raises, and never shows the solution.

    Parameters
    ----------
    id : the exercise, such as "sparsity.count-bigrams"
    answer : the learner's function; or, if the exercise asks for a value, the value itself or a
        function without arguments that returns it

    Returns
    -------
    Result with `.state` "todo", "error", "wrong" or "right", `.misconception` (a name or None)
    and `.message`; a notebook shows it as HTML. The first "right" is noted in `progress()`.
    """
    try:
        exercise = find(id)
        if exercise is None:
            return _unknown(id)
        result = judge(exercise, answer)
        if result.state == "right" and not logbook.record(exercise):
            return _result(exercise, "right", f"{result.message} {messages.NOT_SAVED}")
        return result
    except BaseException as problem:  # a notebook cell must not stop here, whatever happens
        fault = messages.ENGINE_FAULT.format(name=type(problem).__name__)
        return _about(id, fault)


def hint(id, level: int = 1) -> Note:
    """Hint number `level` of an exercise, 1 for the gentlest. Never raises."""
    try:
        exercise = find(id)
        if exercise is None:
            return _unknown(id)
        count = len(exercise.hints)
        if level not in range(1, count + 1):
            return Note(exercise.title, messages.NO_SUCH_HINT.format(count=count))
        title = messages.HINT_TITLE.format(level=level, count=count)
        return Note(f"{exercise.title}, {title}", exercise.hints[level - 1])
    except BaseException as problem:
        return _about(id, messages.ENGINE_FAULT.format(name=type(problem).__name__))


def judge(exercise: Exercise, answer) -> Result:
    """The result of one answer, without noting progress. `check` catches what this lets through."""
    if early := _before_running(exercise, answer):
        return early
    function = answer if callable(answer) else lambda: answer
    started: list[Case] = []  # the last one is running when the time is up
    try:
        with undisturbed():
            references(exercise)  # computed once, and not on the learner's time
            with time_limit(exercise.seconds) as limit:  # around one call: see `time_limit`
                return _by_running(exercise, function, started, limit)
    except TimeUp as problem:
        message = explain.time_up_message(exercise.seconds, where(function, problem))
        return _result(exercise, "error", message, explain.input_row(exercise, started[-1]))
    except KeyboardInterrupt:
        return _result(exercise, "error", messages.INTERRUPTED)


@cache
def references(exercise: Exercise) -> tuple[list[Outcome], dict[str, list[Outcome]]]:
    """The outcomes of the solution and of every misconception, case by case."""
    return (
        [run(exercise, exercise.solution, case) for case in exercise.inputs],
        {
            name: [run(exercise, function, case) for case in exercise.inputs]
            for name, function in exercise.misconceptions.items()
        },
    )


def _before_running(exercise, answer) -> Result | None:
    todo = messages.TODO_VALUE if exercise.is_value else messages.TODO_FUNCTION
    if any(answer is nothing for nothing in UNTOUCHED):
        return _result(exercise, "todo", todo)
    if not callable(answer):
        if exercise.is_value:
            return None
        message = messages.NOT_A_FUNCTION.format(
            kind=explain.kind_in_words(answer), call=exercise.check_call()
        )
        return _result(exercise, "wrong", message, ((messages.GOT, show(answer)),))
    if is_stub(answer):
        return _result(exercise, "todo", todo)
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):  # some functions written in C tell nothing about themselves
        return None
    try:
        for case in exercise.inputs:
            signature.bind(*case.args, **case.kwargs)
    except TypeError:
        given = shorten(f"{getattr(answer, '__name__', exercise.name)}{signature}", GIVEN_LIMIT)
        wanted = f"{exercise.name}{inspect.signature(exercise.solution)}"
        template = messages.NOT_A_VALUE if exercise.is_value else messages.WRONG_ARGUMENTS
        message = template.format(signature=given, given=given, wanted=wanted)
        return _result(exercise, "wrong", message)
    return None


def _by_running(exercise, function, started, limit) -> Result:
    solution, misconceptions = references(exercise)
    outcomes = []
    for case in exercise.inputs:
        started.append(case)
        outcomes.append(run(exercise, function, case))
        limit.check()
    if any(o.unfinished for o in outcomes) or all(_is_hole(o) for o in outcomes):
        todo = messages.TODO_VALUE if exercise.is_value else messages.TODO_FUNCTION
        return _result(exercise, "todo", todo)

    found = [mismatch(exercise, o, s) for o, s in zip(outcomes, solution, strict=True)]
    failing = [i for i, difference in enumerate(found) if difference]
    if not failing:
        message = messages.RIGHT_FUNCTION.format(total=len(outcomes))
        return _result(exercise, "right", messages.RIGHT_VALUE if exercise.is_value else message)
    failing.sort(key=lambda i: explain.size(exercise.inputs[i]))  # the smallest one is shown

    def report(state, i, message, misconception=None):
        rows = explain.details(exercise, exercise.inputs[i], outcomes[i], solution[i])
        return _result(exercise, state, message, rows, misconception)

    coincide = [
        name
        for name, wrong in misconceptions.items()
        if not any(mismatch(exercise, o, w) for o, w in zip(outcomes, wrong, strict=True))
    ]
    if len(coincide) == 1:
        return report("wrong", failing[0], exercise.explanations[coincide[0]], coincide[0])
    for i in failing:
        if found[i].kind == "raised":
            return report("error", i, explain.error_message(outcomes[i]))
    i = failing[0]
    if exercise.is_value:
        return report("wrong", i, explain.value_message(found[i]))
    return report("wrong", i, explain.function_message(i, outcomes, solution, found))


def _is_hole(outcome: Outcome) -> bool:
    return outcome.raised is None and (outcome.value is ... or outcome.value is NotImplemented)


def _result(exercise, state, message, details=(), misconception=None) -> Result:
    return Result(
        title=exercise.title,
        message=message,
        details=tuple(details),
        id=exercise.id,
        state=state,
        misconception=misconception,
    )


def _unknown(id) -> Result:
    known = [exercise.id for exercise in catalogue()]
    near = difflib.get_close_matches(id, known, n=2) if isinstance(id, str) else []
    message = messages.UNKNOWN_ID.format(id=_id_text(id))
    if near:
        names = messages.OR.join(f"`{name}`" for name in near)
        message = f"{message} {messages.DID_YOU_MEAN.format(names=names)}"
    return _about(id, message)


def _about(id, message) -> Result:
    """An "error" that belongs to no exercise, or to none that could be read."""
    return Result(title=_id_text(id), message=message, id=_id_text(id))


def _id_text(id) -> str:
    return shorten(id, ID_LIMIT) if type(id) is str else show(id, ID_LIMIT)  # __class__ may lie
