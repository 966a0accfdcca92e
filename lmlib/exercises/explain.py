"""Putting one failing outcome into words: the message, and the details below it."""

import numbers
from collections.abc import Mapping

import numpy as np

from lmlib.exercises import messages
from lmlib.exercises.compare import Difference, key_differences, kind_of, plain
from lmlib.exercises.declare import Case, Exercise
from lmlib.exercises.result import shorten, show
from lmlib.exercises.running import Outcome

LINE_LIMIT = 100  # characters of a learner's line that a message repeats
ERROR_LIMIT = 200  # characters of an exception's text
NAME_LIMIT = 60  # characters of a type's name, or of a key
NAMES_LIMIT = 5  # missing keys that are named
COARSE = 0.05  # a value this near, relatively, was probably rounded too early


def error_message(outcome: Outcome) -> str:
    """About an exception that the learner's code raised."""
    if issubclass(outcome.raised, RecursionError):
        return messages.RECURSION
    if issubclass(outcome.raised, SystemExit):
        return messages.EXITED
    error = shorten(outcome.error, ERROR_LIMIT)
    if outcome.line is None:
        return messages.RAISED.format(error=error)
    line, text = outcome.line
    return messages.RAISED_AT.format(error=error, line=line, text=shorten(text, LINE_LIMIT))


def time_up_message(seconds: float, line: tuple[int, str] | None) -> str:
    """About code that did not end, and where it was if that is known."""
    if line is None:
        return messages.TIME_UP.format(seconds=seconds)
    text = shorten(line[1], LINE_LIMIT)
    return messages.TIME_UP_AT.format(seconds=seconds, line=line[0], text=text)


def value_message(difference: Difference) -> str:
    """About a single value: the expected one is the answer, so it is never told."""
    got, expected = plain(difference.got), plain(difference.expected)
    if difference.kind != "value":
        return _difference_message(difference, hide=True)
    place = _place(difference.path)
    if kind_of(expected) != "number" or isinstance(got, complex) or isinstance(expected, complex):
        return place + messages.VALUE_DIFFERS
    exact = isinstance(expected, numbers.Integral)
    if not exact and abs(float(got) - float(expected)) <= COARSE * abs(float(expected)):
        return place + messages.TOO_COARSE
    return place + (messages.TOO_LARGE if got > expected else messages.TOO_SMALL)


def function_message(index, outcomes, solution, found) -> str:
    """About the wrong result for case `index`, seen together with all the other outcomes."""
    outcome, difference = outcomes[index], found[index]
    if outcome.value is None and difference.kind == "type":
        if all(o.value is None and not o.raised for o in outcomes):
            return messages.NO_RETURN_PRINTED if outcome.printed else messages.NO_RETURN
        return messages.NO_RETURN_HERE
    if difference.kind == "changed":
        return messages.CHANGES_INPUT.format(names=", ".join(outcome.changed))
    if difference.kind == "not raised":
        return messages.SHOULD_RAISE.format(name=difference.expected.__name__)
    message = _difference_message(difference)
    right = found.count(None)
    if _constant(outcomes) and not _constant(solution):
        return f"{messages.SAME_FOR_ALL} {message}"
    if right:
        return f"{messages.SOME_RIGHT.format(right=right, total=len(found))} {message}"
    return message


def _constant(outcomes) -> bool:
    """Whether every case gave the same, as far as a reader can see."""
    shown = {_shown(outcome) for outcome in outcomes}
    return len(shown) == 1 and "..." not in shown.pop()  # cut short: the rest may differ


def _difference_message(difference: Difference, hide=False) -> str:
    """One sentence on the first difference; `hide` keeps every expected value out of it."""
    got, expected, kind = difference.got, difference.expected, difference.kind
    if kind == "type":
        pair = kind_in_words(got), kind_in_words(expected)
        text = messages.WRONG_TYPE.format(got=pair[0], expected=pair[1])
        text = f"{text} {messages.WRONG_TYPE_HINTS.get(pair, '')}".strip()
    elif kind == "dtype":
        text = messages.WRONG_DTYPE.format(got=got.dtype, expected=expected.dtype)
    elif kind == "shape":
        text = messages.WRONG_SHAPE.format(got=tuple(got.shape), expected=tuple(expected.shape))
    elif kind == "length":
        text = messages.WRONG_LENGTH.format(got=len(got), expected=len(expected))
    elif kind == "keys":
        missing, extra = key_differences(got, expected)
        parts = [messages.EXTRA_KEYS.format(names=_names(extra))] if extra else []
        if missing and not hide:
            parts.insert(0, messages.MISSING_KEYS.format(names=_names(missing)))
        text = " ".join(parts) or messages.VALUE_DIFFERS
    elif kind == "nan":
        text = messages.IS_NAN
    elif kind == "infinite":
        text = messages.IS_INFINITE
    elif difference.count and difference.count[1] > 1:
        text = messages.DIFFERS_ARRAY.format(count=difference.count[0], total=difference.count[1])
    else:
        text = messages.DIFFERS
    return _place(difference.path) + (text if difference.path else text[:1].upper() + text[1:])


def _place(path) -> str:
    """Such as "At key 'a', index 0: "; nothing at the top."""
    if not path:
        return ""
    steps = {"key": messages.AT_KEY, "index": messages.AT_INDEX}
    named = (steps[step].format(key=show(at, NAME_LIMIT), index=at) for step, at in path)
    return messages.AT.format(place=messages.JOIN.join(named))


def _names(keys) -> str:
    names = messages.JOIN.join(show(key, NAME_LIMIT) for key in keys[:NAMES_LIMIT])
    more = len(keys) - NAMES_LIMIT
    return messages.AND_MORE.format(names=names, more=more) if more > 0 else names


def kind_in_words(x) -> str:
    kind = kind_of(x)
    return messages.KINDS.get(kind) or messages.OTHER_KIND.format(name=shorten(kind, NAME_LIMIT))


def details(exercise: Exercise, case: Case, outcome: Outcome, wanted: Outcome):
    """Input, got, expected, printed: of a function; of a value, only what was got."""
    rows = list(input_row(exercise, case))
    rows.append((messages.GOT, _shown(outcome)))
    if not exercise.is_value:
        rows.append((messages.EXPECTED, _shown(wanted)))
    if outcome.printed.strip():
        rows.append((messages.PRINTED, outcome.printed.rstrip()))
    return tuple(rows)


def _shown(outcome):
    if outcome.raised:
        return messages.AN_EXCEPTION.format(name=outcome.raised.__name__)
    return show(outcome.value)


def input_row(exercise: Exercise, case: Case):
    """The row that shows a case; none for a value, which has no input."""
    arguments = exercise.arguments(case)
    if not arguments:
        return ()
    text = messages.JOIN.join(f"{name} = {show(value)}" for name, value in arguments.items())
    return ((messages.INPUT, text),)


def size(case: Case) -> tuple[int, int]:
    """How much there is to read in an input: things first, then digits."""
    return _things((case.args, case.kwargs)), len(show(case))


def _things(x) -> int:
    if isinstance(x, str):
        return 1 + len(x)
    if isinstance(x, Mapping):
        return 1 + sum(_things(k) + _things(v) for k, v in x.items())
    if isinstance(x, (list, tuple, set, frozenset)):
        return 1 + sum(map(_things, x))
    return 1 + int(np.prod(getattr(x, "shape", ())))
