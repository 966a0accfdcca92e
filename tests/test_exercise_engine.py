"""The exercise engine against exercises made for the purpose: what it says to whom, and when."""

import contextlib
import copy
import functools
import html.parser
import io
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import exercises
from lmlib.exercises import (
    Case,
    audit,
    catalogue,
    check,
    declare,
    exercise,
    hint,
    logbook,
    messages,
    progress,
    running,
)
from lmlib.exercises.auditing import leaks
from lmlib.exercises.compare import first_difference
from lmlib.exercises.engine import judge
from lmlib.exercises.result import Result, in_html, show

# The fixtures' chapter is this module. They are declared into a registry of their own, so that
# they never appear in the course's catalogue.
THIS = __name__.rpartition(".")[2]
FIXTURES = {}
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(declare, "REGISTRY", FIXTURES)

    @exercise(
        f"{THIS}.mean",
        title="The mean",
        hints=("Add them up.", "Divide by `len(numbers)`."),
        cases=[
            *(Case([2.0, 4.0]), Case([7.0]), Case([0.0, 0.0, 6.0]), Case([1.0, 2.0])),
            lambda rng: Case(rng.integers(0, 99, size=rng.integers(4, 9)).tolist()),
        ],
        seconds=1.0,
        remark="It minimises $\\sum_i (x_i - m)^2$.",
    )
    def mean(numbers):
        """The arithmetic mean of a list of numbers.

        More about it, which the stub leaves out.
        """
        running_total = 0.0
        for number in numbers:
            running_total += number
        return running_total / len(numbers)

    @mean.misconception("rounds down", "You divided with `//`, which *rounds down*.")
    def _(numbers):
        return sum(numbers) // len(numbers)

    @mean.misconception("divides by n - 1", "You divided by one less than there are numbers.")
    def _(numbers):
        return sum(numbers) / (len(numbers) - 1)

    @mean.misconception("takes the median", "You took the middle one.")
    def _(numbers):
        return sorted(numbers)[len(numbers) // 2]

    @mean.misconception("changes its input", "You used up the list. Leave it as it is.")
    def _(numbers):
        n, total = len(numbers), 0.0
        while numbers:
            total += numbers.pop()
        return total / n

    @exercise(
        f"{THIS}.pairs",
        title="Count pairs",
        hints=("Look at `zip`.", "`zip(tokens, tokens[1:])`"),
        cases=[
            *(Case(["a", "b", "a"]), Case(["a"]), Case([]), Case(["a", "a", "a"])),
            lambda rng: Case(rng.choice(list("abc"), size=6).tolist()),
        ],
    )
    def count_pairs(tokens):
        """Pair of neighbours -> how often it occurs."""
        return Counter(zip(tokens, tokens[1:], strict=False))

    @count_pairs.misconception("every other pair is skipped", "A pair starts at every token.")
    def _(tokens):
        return Counter(zip(tokens[::2], tokens[1::2], strict=False))

    @count_pairs.misconception("order does not matter", "(a, b) is not (b, a).")
    def _(tokens):
        return Counter(tuple(sorted(p)) for p in zip(tokens, tokens[1:], strict=False))

    @count_pairs.misconception("counts each pair once", "You counted different pairs.")
    def _(tokens):
        return dict.fromkeys(zip(tokens, tokens[1:], strict=False), 1)

    @exercise(
        f"{THIS}.normalise",
        title="Make it sum to one",
        hints=("Divide.", "By the sum of the row."),
        cases=[
            *(Case(np.array([[1.0, 3.0], [2.0, 2.0]])), Case(np.array([[0.5, 0.5, 0.0]]))),
            lambda rng: Case(rng.random((3, 4))),
        ],
    )
    def normalise(rows):
        """Each row divided by its sum."""
        return rows / rows.sum(axis=1, keepdims=True)

    @normalise.misconception("by the total", "You divided by the sum of everything.")
    def _(rows):
        return rows / rows.sum()

    @normalise.misconception("by columns", "You divided the columns by their sums.")
    def _(rows):
        return rows / rows.sum(axis=0)

    @normalise.misconception("by the largest", "You divided by the maximum.")
    def _(rows):
        return rows / rows.max(axis=1, keepdims=True)

    @exercise(
        f"{THIS}.root",
        title="Square root",
        hints=("`math.sqrt`", "And raise."),
        cases=[Case(4.0), Case(-1.0), lambda rng: Case(float(rng.integers(2, 50)))],
    )
    def root(x):
        """The square root; a ValueError below zero."""
        if x < 0:
            raise ValueError("no root")
        return x**0.5

    @root.misconception("the root of minus one is minus one", "Squares are not negative.")
    def _(x):
        return math.copysign(abs(x) ** 0.5, x)

    @root.misconception("halves", "You halved it.")
    def _(x):
        return root(x) ** 2 / 2

    @root.misconception("returns nan", "nan hides the mistake; raise.")
    def _(x):
        return x**0.5 if x >= 0 else math.nan

    @exercise(f"{THIS}.third", title="Which share?", hints=("Count.", "Divide."))
    def share():
        """The share of vowels in "abc"."""
        return 1 / 3

    @share.misconception("the odds", "You divided by the others.")
    def _():
        return 1 / 2

    @share.misconception("the count", "You did not divide.")
    def _():
        return 1

    @share.misconception("upside down", "Turn it around.")
    def _():
        return 3

    @exercise(
        f"{THIS}.break",
        title="Break it",
        hints=("Small.", "Smaller."),
        view=lambda word: (len(word) > 2, word == word[::-1]),
    )
    def palindrome():
        """A word of three letters or more that reads the same backwards."""
        return "noon"

    @palindrome.misconception("too short", "That one is too short.")
    def _():
        return "aa"

    @palindrome.misconception("no palindrome", "Read it backwards.")
    def _():
        return "word"

    @palindrome.misconception("neither", "Longer, and the same backwards.")
    def _():
        return "ab"


MEAN, PAIRS, NORMALISE, ROOT, THIRD, BREAK = FIXTURES


@pytest.fixture(autouse=True)
def _only_fixtures(monkeypatch, tmp_path):
    monkeypatch.setattr(declare, "REGISTRY", dict(FIXTURES))
    monkeypatch.setattr(declare, "CHAPTERS", {})
    monkeypatch.setenv("LMLIB_PROGRESS", str(tmp_path / "progress.json"))


def texts(result):
    return result.message, repr(result), result._repr_html_()


def rows(result):
    return dict(result.details)


# ------------------------------------------------------------------------- declarations


@pytest.mark.parametrize("id", FIXTURES)
def test_the_fixtures_are_sound(id):
    assert audit(FIXTURES[id]) == []


def test_stub_call_and_details():
    assert mean.stub == (
        "def mean(numbers):\n"
        '    """The arithmetic mean of a list of numbers."""\n'
        "    ...  # your code here"
    )
    assert share.stub == '# The share of vowels in "abc".\nshare = ...  # your answer'
    assert mean.check_call() == f'check("{MEAN}", mean)'
    assert mean.source.startswith("def mean(numbers):\n")
    assert mean.source.endswith("    return running_total / len(numbers)")
    assert mean.details() == (
        "<details><summary>Hint 1</summary>\n\nAdd them up.\n\n</details>\n\n"
        "<details><summary>Hint 2</summary>\n\nDivide by `len(numbers)`.\n\n</details>\n\n"
        "<details><summary>Solution</summary>\n\n```python\n"
        f"{mean.source}\n```\n\nIt minimises $\\sum_i (x_i - m)^2$.\n\n</details>"
    )


def test_a_stub_keeps_annotations_and_defaults_and_escapes():
    @exercise("a.b", title="", hints=(), cases=[Case(1)])
    def f(
        x: int,
        *,
        base: float = 2.0,
    ) -> float:
        r"""The log, \log_b x."""
        return math.log(x, base)

    head, body = f.stub.split('r"""')
    assert head == "def f(\n    x: int,\n    *,\n    base: float = 2.0,\n) -> float:\n    "
    assert body == 'The log, \\log_b x."""\n    ...  # your code here'
    namespace = {}
    with warnings.catch_warnings(action="error"):  # an unescaped \l would warn
        exec(f.stub, namespace)
    assert judge(f, namespace["f"]).state == "todo"


def test_an_exercise_calls_its_solution_and_does_not_show_it():
    assert mean([1, 2]) == 1.5
    assert repr(mean) == f"<Exercise {MEAN}: The mean>"


def test_the_version_follows_the_solution():
    versions = {e.version for e in FIXTURES.values()}
    assert len(versions) == len(FIXTURES)
    assert bad_exercise(title="Another").version == mean.version


def test_random_cases_are_the_same_every_time():
    again = copy.copy(mean)
    again.__dict__.pop("inputs", None)
    assert repr(again.inputs) == repr(mean.inputs)
    assert len(mean.inputs) == 4 + mean.draws
    assert len({repr(case) for case in mean.inputs}) > 20


@pytest.mark.parametrize(
    ("id", "cases", "doc", "complaint"),
    [
        ("no-dot", [Case(1)], "Doc.", "looks like"),
        ("a.B", [Case(1)], "Doc.", "looks like"),
        ("a.b", [Case(1)], "", "docstring"),
        ("a.b", [], "Doc.", "0 cases for a solution with 1"),
        (MEAN, [Case(1)], "Doc.", "two exercises"),
    ],
)
def test_a_bad_declaration_says_why(id, cases, doc, complaint):
    def solution(x):
        return x

    solution.__doc__ = doc
    with pytest.raises(ValueError, match=complaint):
        exercise(id, title="", hints=(), cases=cases)(solution)


def test_two_misconceptions_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two misconceptions"):
        mean.misconception("takes the median", "Again.")


def test_a_random_case_must_be_a_case():
    @exercise("a.b", title="", hints=(), cases=[lambda rng: [1, 2]])
    def f(x):
        """Doc."""

    with pytest.raises(ValueError, match="must return Case"):
        f.inputs  # noqa: B018 (the property raises)


def test_a_module_may_be_loaded_again():
    """As IPython's autoreload does."""

    def declare_it():
        @exercise("a.b", title="", hints=(), cases=[Case(1)])
        def f(x):
            """Doc."""

        return f

    declare_it()
    assert declare_it() is declare.REGISTRY["a.b"]


def test_the_ten_lines_of_the_documentation_work():
    block = re.search(r"^    @exercise(?:.*\n)*?(?=\n1\.)", exercises.__doc__, re.M)[0]
    namespace = {"Case": Case, "exercise": exercise, "Counter": Counter}
    exec(textwrap.dedent(block), namespace)
    declared = namespace["count_bigrams"]
    assert judge(declared, declared.solution).state == "right"
    for name, function in declared.misconceptions.items():
        assert judge(declared, function).misconception == name


# ------------------------------------------------------------------------- chapters and modules


def test_a_chapter_may_be_several_modules(monkeypatch):
    loaded = []
    monkeypatch.setattr(declare, "CHAPTERS", {"one": ("first", "second"), "two": ("third",)})
    with monkeypatch.context() as patch:
        patch.setattr(declare.importlib, "import_module", loaded.append)
        declare.find("two.mean")
        assert loaded == ["lmlib.exercises.third"]
        declare.find("unknown.mean")
        assert len(loaded) == 1
        loaded.clear()
        catalogue()
    assert loaded == [f"lmlib.exercises.{name}" for name in ("first", "second", "third")]


def test_the_audit_knows_the_modules_of_a_chapter(monkeypatch):
    elsewhere = bad_exercise(id="other.mean")
    monkeypatch.setattr(declare, "CHAPTERS", {"other": ("another", THIS)})
    assert audit(elsewhere) == []
    monkeypatch.setattr(declare, "CHAPTERS", {"other": ("another",)})
    assert audit(elsewhere) == [f"other.mean: is declared in {THIS}, but its id says other"]


# ------------------------------------------------------------------------- the author's audit


def bad_exercise(**changes):
    """`mean` with one thing spoiled."""
    bad = copy.copy(mean)
    for cached in ("inputs", "source", "stub", "body", "version"):
        bad.__dict__.pop(cached, None)
    bad.misconceptions, bad.explanations = dict(mean.misconceptions), dict(mean.explanations)
    for name, value in changes.items():
        setattr(bad, name, value)
    return bad


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"misconceptions": {}}, "has 0 misconceptions"),
        ({"hints": ("one",)}, "has 1 hints"),
        ({"cases": (Case([1.0]), Case([1.0, 2.0, 6.0]))}, "no random cases"),
        ({"id": "other.mean"}, f"declared in {THIS}"),
        ({"tolerance": 1e9}, "is 'right'"),  # a checker that accepts misconceptions
        (
            {"explanations": {"rounds down": "Write return running_total / len(numbers)."}},
            "quotes the solution",
        ),
    ],
)
def test_the_audit_finds(changes, complaint):
    if "misconceptions" not in changes:
        changes = {"explanations": mean.explanations | changes.pop("explanations", {})} | changes
    assert any(complaint in problem for problem in audit(bad_exercise(**changes)))


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda numbers: sum(numbers) / len(numbers), "'new' is 'right'"),
        (lambda numbers: float(np.floor(np.mean(numbers))), "no case tells 'rounds down' from"),
        (lambda numbers: None, "'new' is 'todo'"),
    ],
)
def test_the_audit_finds_a_useless_misconception(function, complaint):
    bad = bad_exercise()
    bad.misconception("new", "A sentence.")(function)
    assert any(complaint in problem for problem in audit(bad))


def sleepy(numbers):
    """Doc."""
    time.sleep(0.05)
    return sum(numbers) / len(numbers)


def test_the_audit_finds_a_solution_that_is_too_slow():
    problems = audit(bad_exercise(solution=sleepy, seconds=0.1))
    assert any("the solution is 'error', not 'right'" in problem for problem in problems)


def test_the_audit_finds_a_solution_that_changes_its_input():
    bad = bad_exercise(solution=mean.misconceptions["changes its input"])
    bad.__dict__["stub"] = "_ = ..."
    assert any("the solution changes its inputs" in problem for problem in audit(bad))


# ------------------------------------------------------------------------- not attempted


def stub_pass(numbers):
    pass


def stub_doc(numbers):
    """Only a docstring."""


def stub_dots(numbers):
    """Doc."""
    ...  # your code here


def stub_return(numbers):
    return


def stub_closure():
    unused = 1

    def inner(numbers):
        if False:
            return unused

    return inner


def stub_raise(numbers):
    raise NotImplementedError("later")


def stub_half_done(numbers):
    total = sum(numbers)
    if total > 3:
        raise NotImplementedError
    return total / len(numbers)


def stub_returns_dots(numbers):
    total = sum(numbers)  # noqa: F841 (a learner's half-done work)
    return ...


STUBS = [stub_pass, stub_doc, stub_dots, stub_return, stub_raise, stub_half_done]
STUBS += [
    stub_closure(),
    stub_returns_dots,
    functools.cache(stub_pass),
    lambda numbers: None,
    lambda numbers: ...,
]
STUBS += [lambda numbers: NotImplemented, mean.stub]


def shown(value):
    """The name of a case: the same in every process, so without addresses."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))[:60]


@pytest.mark.parametrize("answer", [*STUBS, None, ..., NotImplemented], ids=shown)
def test_not_attempted(answer):
    if answer == mean.stub:
        namespace = {}
        exec(answer, namespace)
        answer = namespace["mean"]
    result = check(MEAN, answer)
    assert (result.state, result.message) == ("todo", messages.TODO_FUNCTION)


def test_not_attempted_without_an_answer_or_with_holes_in_a_value():
    assert check(MEAN).state == "todo"
    for answer in (..., None, lambda: ..., lambda: None):
        assert check(THIRD, answer).message == messages.TODO_VALUE


def no_return(numbers):
    sum(numbers) / len(numbers)


def assigns(numbers):
    result = 3  # noqa: F841 (a learner's mistake)


def returns_zero(numbers):
    return 0


def returns_zero_documented(numbers):
    """Doc."""
    return 0


@pytest.mark.parametrize("function", [no_return, assigns, returns_zero, returns_zero_documented])
def test_work_is_not_mistaken_for_a_stub(function):
    assert not running.is_stub(function)
    assert check(MEAN, function).state == "wrong"


@pytest.mark.parametrize("thing", [len, np.mean, functools.partial(stub_pass), int, object()])
def test_what_has_no_bytecode_is_no_stub(thing):
    assert not running.is_stub(thing)


def test_a_python_with_a_tracer_recognises_stubs_too():
    """Coverage and debuggers rewrite bytecode from Python 3.12 on."""
    sys.settrace(lambda *_: None)
    try:
        stub_doc([1])
        assert running.is_stub(stub_doc)
        assert running._raised_by_hand(stub_raise, caught(stub_raise, []))
    finally:
        sys.settrace(None)


def caught(function, *args):
    with pytest.raises(BaseException) as info:
        function(*args)
    return info.value


# ------------------------------------------------------------------------- errors


def divides_by_zero(numbers):
    total = sum(numbers)

    return total / len([])


def uses_helper(numbers):
    return divides_by_zero(numbers)


def test_an_exception_is_named_with_its_line():
    result = check(MEAN, divides_by_zero)
    assert result.state == "error"
    assert re.fullmatch(
        r"Your code raised `ZeroDivisionError: [a-z ]*division by zero` "
        r"in line 4 of your function: `return total / len\(\[\]\)`",
        result.message,
    )
    assert rows(result)["input"] == "numbers = [7.0]"  # the smallest
    assert rows(result)["got"] == "ZeroDivisionError raised"
    assert "in line 2 of your function" in check(MEAN, uses_helper).message


def test_an_exception_on_some_inputs_only():
    def answer(numbers):
        if len(numbers) == 3:
            raise KeyError("three")
        return mean(numbers)

    result = check(MEAN, answer)
    assert (result.state, rows(result)["input"]) == ("error", "numbers = [0.0, 0.0, 6.0]")
    assert "KeyError: 'three'" in result.message
    assert rows(result)["expected"] == "2.0"


def leaves(numbers):
    sys.exit("bye")


def recurses(numbers):
    return recurses(numbers)


def interrupts(numbers):
    raise KeyboardInterrupt


def multi_dimensional(numbers):
    return memoryview(b"abcd").cast("B", (2, 2))[0]  # C code, not the learner, is unfinished


def calls_unfinished(numbers):
    return stub_raise(numbers)


class BrokenError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raises_broken(numbers):
    raise BrokenError


def raises_long(numbers):
    raise ValueError("x" * 10_000)


@pytest.mark.parametrize(
    ("answer", "beginning"),
    [
        (leaves, messages.EXITED),
        (recurses, messages.RECURSION),
        (interrupts, messages.INTERRUPTED),
        (multi_dimensional, "Your code raised `NotImplementedError: multi-dimensional"),
        (calls_unfinished, "Your code raised `NotImplementedError: later` in line 2"),
        (raises_broken, "Your code raised `BrokenError` in line 2"),
        (raises_long, "Your code raised `ValueError: xxx"),
    ],
)
def test_other_ways_to_stop(answer, beginning):
    result = check(MEAN, answer)
    assert result.state == "error"
    assert result.message.startswith(beginning)
    assert len(result.message) < 500


def test_a_function_that_does_not_tell_its_arguments_is_run():
    assert check(MEAN, max).state == "wrong"
    assert check(THIRD, max).message.startswith("Your code raised `TypeError: max expected")


def test_an_error_in_a_value_given_as_a_function():
    assert "ZeroDivisionError" in check(THIRD, lambda: 1 / 0).message


# ------------------------------------------------------------------------- endless loops


def loops(numbers):
    n = 0
    while True:
        n += 1


def loops_and_catches(numbers):
    while True:
        try:
            sum(numbers)
        except Exception:
            numbers = [1]


def loops_and_catches_all(numbers):
    while True:
        try:
            sum(numbers)
        except:  # noqa: E722 (a learner's mistake)
            numbers = [1]


def gives_up_late(numbers):
    try:
        while True:
            pass
    except:  # noqa: E722
        return mean(numbers)


LOOPS = [loops, loops_and_catches, loops_and_catches_all, gives_up_late]


def in_a_thread(function, *args):
    found = []
    thread = threading.Thread(target=lambda: found.append(function(*args)))
    thread.start()
    thread.join(20)
    return found[0]


@pytest.mark.parametrize("where", ["main thread", "other thread"])
@pytest.mark.parametrize("answer", LOOPS)
def test_an_endless_loop_is_stopped(answer, where, monkeypatch):
    monkeypatch.setattr(mean, "seconds", 0.3)
    started = time.monotonic()
    arguments = (check, MEAN, answer)
    result = in_a_thread(*arguments) if where == "other thread" else check(MEAN, answer)
    assert result.state == "error"
    assert result.message.startswith("Your code ran for more than 0.3 s: is there an endless loop?")
    assert rows(result)["input"] == "numbers = [2.0, 4.0]"
    assert time.monotonic() - started < 10
    if answer is loops:
        assert re.search(r"line [34] of your function: `(while True:|n \+= 1)`", result.message)
    assert check(MEAN, mean.solution).state == "right"  # nothing strikes afterwards


def test_one_blow_is_enough_if_only_exceptions_are_caught():
    with running.time_limit(0.05) as limit, contextlib.suppress(running.TimeUp):
        loops_and_catches([1])
    assert limit.blows == 1


def test_a_sleep_is_stopped(monkeypatch):
    monkeypatch.setattr(mean, "seconds", 0.2)
    if hasattr(signal, "setitimer"):
        assert "endless" in check(MEAN, lambda numbers: time.sleep(60)).message


def test_the_limit_holds_for_the_check_and_not_for_one_call(monkeypatch):
    monkeypatch.setattr(mean, "seconds", 0.4)

    def slow(numbers):
        time.sleep(0.1)
        return mean(numbers)

    assert check(MEAN, slow).state == "error"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such alarm on Windows")
def test_somebody_elses_alarm_goes_on():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        started = time.monotonic()
        with running.time_limit(5):
            time.sleep(0.1)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.21
        while not rung and time.monotonic() < started + 5:
            time.sleep(0.01)
        assert rung[0] - started > 0.25
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("limit", [running._watched, running.time_limit])
def test_a_limit_that_is_kept_leaves_nothing_behind(limit):
    threads = threading.active_count()
    for _ in range(3):
        with limit(0.15):
            pass
    time.sleep(0.4)  # long enough for a forgotten blow
    assert threading.active_count() == threads


def busy_until(end):
    """On its own: Python 3.13 leaves a loop's jump outside the `try` or `with` that holds it."""
    while time.perf_counter() < end:
        pass


@pytest.mark.parametrize("limit", [running._watched, running.time_limit])
def test_a_blow_at_the_last_moment_lands_inside(limit):
    """The block ends just as the time does; nothing may strike the code after it."""
    landed = 0
    for i in range(100):
        end = time.perf_counter() + 0.003 + 0.0002 * i  # the watcher may wait long for its turn
        try:
            with limit(0.005):
                busy_until(end)
        except running.TimeUp:
            landed += 1
        for _ in range(300):
            str(_)
    assert 0 < landed < 100


def test_the_watcher_leaves_the_interpreter_as_it_was():
    """A debugger's trace function hung CPython 3.11 after a blow had been taken back."""
    code = """
import sys
from lmlib.exercises import running
with running._watched(60):
    pass
sys.settrace(lambda *_: None)
(lambda: 1)()
"""
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)


def test_a_check_inside_a_check():
    def answer(numbers):
        assert check(PAIRS, count_pairs.solution).state == "right"
        return mean(numbers)

    assert check(MEAN, answer).state == "right"
    if hasattr(signal, "setitimer"):
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


# ------------------------------------------------------------------------- right


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        (MEAN, lambda numbers: sum(numbers) / len(numbers)),
        (MEAN, np.mean),  # a NumPy scalar
        (MEAN, lambda numbers: np.float32(np.mean(numbers))),
        (MEAN, lambda numbers: np.array(np.mean(numbers))),  # 0-d
        (MEAN, lambda numbers: Fraction(int(sum(numbers)), len(numbers))),
        (MEAN, lambda numbers, weights=None: np.mean(numbers)),
        (MEAN, functools.partial(np.average, axis=0)),
        (PAIRS, lambda t: dict(Counter(zip(t, t[1:], strict=False)))),
        (PAIRS, lambda t: OrderedDict(sorted(Counter(zip(t, t[1:], strict=False)).items()))),
        (NORMALISE, lambda rows: np.array([r / r.sum() for r in rows])),
        (ROOT, math.sqrt),  # raises a ValueError of its own
        (THIRD, 0.333),
        (THIRD, Fraction(1, 3)),
        (THIRD, np.float64(1 / 3)),
        (THIRD, lambda: 1 / 3),
        (BREAK, "level"),
        (BREAK, lambda: "racecar"),
    ],
)
def test_right_answers(id, answer):
    result = check(id, answer)
    assert (result.state, result.misconception) == ("right", None), result


def test_a_subclass_of_the_expected_exception_is_right():
    class Negative(ValueError):
        pass

    def answer(x):
        if x < 0:
            raise Negative
        return x**0.5

    assert check(ROOT, answer).state == "right"


def test_an_answer_that_returns_the_same_object_again():
    result = {}

    def answer(tokens):
        result.clear()
        result.update(count_pairs(tokens))
        return result

    assert check(PAIRS, answer).state == "right"


# ------------------------------------------------------------------------- wrong


class Weird:
    def __repr__(self):
        return "<Weird>"


WRONG = [
    # what was handed in
    (MEAN, 3.0, "got a number. Pass the function itself, without calling it: `check("),
    (MEAN, [1, 2], "got a list or tuple."),
    (MEAN, "mean", "got a string."),
    (MEAN, lambda: 1, "It is called as `mean(numbers)`; yours is `<lambda>()`."),
    (MEAN, lambda a, b: 1, "yours is `<lambda>(a, b)`."),
    (THIRD, lambda x: 1, "asks for a value, but your function wants arguments: `<lambda>(x)`."),
    # no return
    (MEAN, no_return, messages.NO_RETURN),
    (MEAN, lambda numbers: print(mean(numbers)), messages.NO_RETURN_PRINTED),
    (MEAN, lambda numbers: None if len(numbers) == 3 else mean(numbers), "every path end in"),
    # types
    (MEAN, lambda numbers: [mean(numbers)], "Got a list or tuple, but a number is expected."),
    (MEAN, lambda numbers: str(mean(numbers)), "Leave out the quotation marks."),
    (MEAN, lambda numbers: np.array([mean(numbers)]), "Got a NumPy array, but a number"),
    (MEAN, lambda numbers: mean(numbers) > 0, "Got True or False, but a number is expected."),
    (MEAN, lambda numbers: (x for x in numbers), "Got a generator"),
    (MEAN, lambda numbers: Weird(), "Got an object of type Weird"),
    (MEAN, lambda numbers: mean, "Got a function"),
    (PAIRS, lambda tokens: list(count_pairs(tokens).items()), "a dictionary is expected"),
    (NORMALISE, lambda rows: normalise(rows).tolist(), "`np.array(...)` makes an array of it."),
    # shapes and entries
    (NORMALISE, lambda rows: normalise(rows)[0], "The shape is (3,), but (1, 3) is expected."),
    (NORMALISE, lambda rows: normalise(rows) > 0.3, "The array holds bool, but float64 is"),
    (NORMALISE, lambda rows: normalise(rows) + np.eye(*rows.shape), "At index (0, 0): the value"),
    (NORMALISE, lambda rows: normalise(rows) * [[np.nan] * rows.shape[1]], "nan (not a number)"),
    (NORMALISE, lambda rows: rows / 0, "infinite. Look for a division by zero"),
    (PAIRS, lambda tokens: {}, "same result for every input. Missing: ('a', 'b'), ('b', 'a')."),
    (PAIRS, lambda tokens: count_pairs(tokens) | {"x": 1}, "Too many: 'x'."),
    (
        PAIRS,
        lambda tokens: {k: v + 1 for k, v in count_pairs(tokens).items()},
        "At key ('a', 'b'): the value",
    ),
    # numbers
    (MEAN, lambda numbers: mean(numbers) + 1e-3, "The value differs."),
    (MEAN, lambda numbers: 3.0, "same result for every input. The value differs."),
    (MEAN, lambda numbers: math.nan, "The result is nan"),
    (MEAN, lambda numbers: -math.inf, "The result is infinite"),
    (MEAN, lambda numbers: 10**400, "The value differs."),
    (MEAN, lambda numbers: mean(numbers) + 1e-3j, "The value differs."),
    # luck: what the fixed cases hold, looked up
    (MEAN, {(2.0, 4.0): 3, (7.0,): 7, (0.0, 0.0, 6.0): 2, (1.0, 2.0): 1.5}, "Right for 4 of 24"),
    # exceptions that are wanted
    (ROOT, lambda x: abs(x) ** 0.5, "For this input a `ValueError` should be raised."),
    # values
    (THIRD, 0.34, messages.TOO_COARSE),
    (THIRD, 0.4, messages.TOO_LARGE),
    (THIRD, -5, messages.TOO_SMALL),
    (THIRD, "1/3", "Got a string, but a number is expected. Leave out the quotation marks."),
    (THIRD, True, "Got True or False, but a number"),
    (THIRD, math.nan, "is nan"),
    (THIRD, 1j, messages.VALUE_DIFFERS),
    (THIRD, [1 / 3], "Got a list or tuple"),
]


@pytest.mark.parametrize(("id", "answer", "part"), WRONG, ids=shown)
def test_wrong_answers_have_their_message(id, answer, part):
    if isinstance(answer, dict):
        table, answer = answer, lambda numbers: table.get(tuple(numbers), 0.0)
    result = check(id, answer)
    assert (result.state, result.misconception) == ("wrong", None)
    assert part in result.message
    assert result.message[0].isupper()


def test_changing_the_input_is_noticed_though_the_result_is_right():
    def answer(rows):
        rows /= rows.sum(axis=1, keepdims=True)
        return rows

    result = check(NORMALISE, answer)
    assert result.message == messages.CHANGES_INPUT.format(names="rows")

    def tokens_sorted(tokens):
        counts = count_pairs(tokens)
        tokens.append("!")
        return counts

    assert "changes its input `tokens`" in check(PAIRS, tokens_sorted).message


def test_a_random_generator_as_input_may_be_used():
    @exercise(
        "a.draw",
        title="",
        hints=(),
        cases=[lambda rng: Case(np.random.default_rng(rng.integers(9)))],
    )
    def draw(rng):
        """A number from the generator."""
        return float(rng.random())

    assert running.run(draw, draw.solution, draw.inputs[0]).changed == ()
    assert judge(draw, lambda rng: rng.random()).state == "right"
    assert judge(draw, lambda rng: rng.random() + rng.random()).state == "wrong"


def test_the_smallest_failing_input_is_shown():
    result = check(MEAN, lambda numbers: mean(numbers) if len(numbers) < 2 else 1e6)
    assert rows(result) == {"input": "numbers = [2.0, 4.0]", "got": "1000000.0", "expected": "3.0"}
    result = check(MEAN, lambda numbers: 0.0 if len(numbers) == 5 else mean(numbers))
    assert rows(result)["input"].count(",") == 4


def test_long_results_that_begin_alike_are_not_called_the_same():
    @exercise("a.long", title="", hints=(), cases=[Case(n) for n in range(5)])
    def long(n):
        """Doc."""
        return [*range(50), n]

    assert "same result" not in judge(long, lambda n: [*range(50), n + 1]).message
    assert "same result" in judge(long, lambda n: [3]).message


def test_a_value_is_never_told():
    for answer in (0.34, 12, "x", [1], math.inf):
        for text in texts(check(THIRD, answer)):
            assert "0.333" not in text
            assert "expected  " not in text


def test_keys_of_a_value_are_not_told_either():
    @exercise("a.who", title="", hints=())
    def who():
        """The most frequent words and their counts."""
        return {"secret": 3, "the": 5}

    for text in texts(judge(who, {"the": 5, "cat": 1})):
        assert "secret" not in text
        assert "cat" in text
    assert "secret" not in repr(judge(who, {"the": 5}))
    assert (
        judge(who, {"the": 5, "secret": 2}).message == "At key 'secret': Your answer is too small."
    )


def test_a_result_that_the_view_cannot_look_at():
    assert "Got a number, but a string is expected." in check(BREAK, 12).message


def test_many_missing_keys_are_cut_short():
    @exercise("a.many", title="", hints=(), cases=[Case(30)])
    def many(n):
        """Doc."""
        return dict.fromkeys(range(n))

    assert "Missing: 0, 1, 2, 3, 4 and 25 more." in judge(many, lambda n: {}).message


# ------------------------------------------------------------------------- misconceptions


@pytest.mark.parametrize(
    ("id", "name"), [(id, name) for id, e in FIXTURES.items() for name in e.misconceptions]
)
def test_misconceptions_are_recognised(id, name):
    result = check(id, FIXTURES[id].misconceptions[name])
    assert (result.state, result.misconception) == ("wrong", name)
    assert result.message == FIXTURES[id].explanations[name]


@pytest.mark.parametrize(
    ("id", "answer", "name"),
    [
        (MEAN, lambda numbers: math.floor(np.mean(numbers)), "rounds down"),
        (MEAN, lambda n: np.sum(n) * (1 / (len(n) - 1)), "divides by n - 1"),  # 1/0 raises as well
        (MEAN, lambda n: float(np.partition(n, len(n) // 2)[len(n) // 2]), "takes the median"),
        (
            PAIRS,
            lambda t: dict.fromkeys(set(zip(t, t[1:], strict=False)), 1),
            "counts each pair once",
        ),
        (ROOT, lambda x: math.nan if x < 0 else math.sqrt(x), "returns nan"),
        (THIRD, 0.5, "the odds"),
        (THIRD, Fraction(1, 2), "the odds"),
        (BREAK, "house", "no palindrome"),
    ],
)
def test_the_same_mistake_in_other_words(id, answer, name):
    result = check(id, answer)
    assert (result.state, result.misconception) == ("wrong", name)


def test_nearly_the_same_mistake_is_not_diagnosed():
    def answer(numbers):
        return sum(numbers) // len(numbers) if len(numbers) != 7 else 0.25

    assert check(MEAN, answer).misconception is None


def test_the_same_numbers_without_the_modification_are_right():
    """What `changes its input` returns is right; only the modification is wrong."""
    assert check(MEAN, lambda numbers: sum(numbers) / len(numbers)).state == "right"


def test_a_misconception_that_two_declarations_share_is_not_guessed():
    twice = bad_exercise()
    twice.misconception("again", "Another sentence.")(mean.misconceptions["takes the median"])
    assert judge(twice, mean.misconceptions["takes the median"]).misconception is None


# ------------------------------------------------------------------------- comparison

scalars = st.one_of(
    st.integers(-99, 99), st.text(max_size=3), st.booleans(), st.none(), st.floats(allow_nan=True)
)
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4)
    ),
    max_leaves=12,
)


def leaf_paths(x, path=()):
    if isinstance(x, dict):
        return [p for k, v in x.items() for p in leaf_paths(v, (*path, ("key", k)))]
    if isinstance(x, list):
        return [p for i, v in enumerate(x) for p in leaf_paths(v, (*path, ("index", i)))]
    return [path]


@given(nested)
def test_everything_equals_its_copy_and_the_other_kind_of_sequence(x):
    def tuples(x):
        if isinstance(x, list):
            return tuple(map(tuples, x))
        return defaultdict(int, {k: tuples(v) for k, v in x.items()}) if isinstance(x, dict) else x

    assert first_difference(copy.deepcopy(x), x, 1e-9, 0) is None
    assert first_difference(tuples(x), x, 1e-9, 0) is None
    assert first_difference(x, tuples(x), 1e-9, 0) is None


@given(nested, st.data())
def test_the_one_changed_leaf_is_the_difference(x, data):
    paths = leaf_paths(x)
    if not paths:
        return
    path = data.draw(st.sampled_from(paths))
    changed = [copy.deepcopy(x)]  # in a list, so that the root is a leaf like any other
    *way, (_, last) = (("index", 0), *path)
    place = changed
    for _, step in way:
        place = place[step]
    place[last] = Weird()
    found = first_difference(changed[0], x, 1e-9, 0)
    assert found.path == path
    assert isinstance(found.got, Weird)


@given(
    st.floats(allow_nan=True),
    st.floats(allow_nan=True),
    st.sampled_from([0, 1e-9, 0.1]),
    st.sampled_from([0, 1e-9, 0.1]),
)
def test_numbers_and_arrays_agree_on_what_is_close(got, expected, rtol, atol):
    if math.isfinite(got) and math.isfinite(expected):
        wanted = abs(got - expected) <= max(rtol * abs(expected), atol)
    else:
        wanted = got == expected or (math.isnan(got) and math.isnan(expected))
    one = first_difference(got, expected, rtol, atol)
    many = first_difference(np.array([1.0, got]), np.array([1.0, expected]), rtol, atol)
    assert (one is None, many is None) == (wanted, wanted)
    if not wanted:
        assert many.kind == one.kind
        assert many.path == (("index", 1),)
        assert many.count == (1, 2)


@pytest.mark.parametrize(
    ("got", "expected", "kind"),
    [
        (12.0, 12, None),
        (12.000001, 12, "value"),  # integers are exact
        (True, 1, "type"),
        (1, True, "type"),
        (np.True_, True, None),
        (np.int64(3), 3, None),
        (np.str_("a"), "a", None),
        (math.inf, math.inf, None),
        (-math.inf, math.inf, "value"),
        (math.nan, math.inf, "nan"),
        (1e300, math.inf, "value"),
        (1 + 1e-12j, 1.0, None),
        ({1, 2}, frozenset({1, 2}), None),
        ({1: 0}.keys(), {1}, None),
        ({1}, {1, 2}, "keys"),
        (deque([1]), [1], None),
        (range(3), [0, 1, 2], None),
        ("ab", ["a", "b"], "type"),
        (b"a", b"a", None),
        ([1, 2], [1, 2, 3], "length"),
        (Counter("aab"), {"a": 2, "b": 1}, None),
        (Counter(a=1, b=0), {"a": 1}, "keys"),
        (np.array([1, 2]), np.array([1.0, 2.0]), None),
        (np.array([1.0, 2.5]), np.array([1, 2]), "value"),
        (np.array([200], np.uint8), np.array([100], np.uint8), "value"),
        (np.array([1, 0]), np.array([True, False]), "dtype"),
        (np.array([True]), np.array([True]), None),
        (np.array(["a"]), np.array(["b"]), "value"),
        (np.array([1, None], object), np.array([1, None], object), None),
        (np.array([[1, "x"]], object), np.array([[1, "y"]], object), "value"),
        (np.array([np.nan, np.inf]), np.array([np.nan, np.inf]), None),
        (np.array([1.0, 2.0]), np.array([1.0, np.inf]), "value"),
        (np.array([1.0, np.inf]), np.array([1.0, 2.0]), "infinite"),
        (np.zeros((0, 2)), np.zeros((0, 2)), None),
        (np.zeros((0, 2)), np.zeros((2, 0)), "shape"),
        (np.float32(0.1), 0.1, None),
        (None, None, None),
        (None, 0, "type"),
        (len, len, None),
    ],
)
def test_comparison_table(got, expected, kind):
    found = first_difference(got, expected, 1e-6, 1e-9)
    assert (found and found.kind) == kind


def test_the_boundary_belongs_to_the_tolerance():
    for kind in (float, lambda x: np.array([x])):
        assert first_difference(kind(1.5), kind(1.0), 0.5, 0) is None
        assert first_difference(kind(1.5), kind(1.0), 0, 0.5) is None


def test_objects_that_cannot_be_compared_are_different():
    assert first_difference(Hostile(), Hostile(), 0, 0).kind == "value"


def test_tensors():
    torch = pytest.importorskip("torch")
    ones = torch.ones(2, 3, requires_grad=True)
    assert first_difference(ones * 1, torch.ones(2, 3), 1e-6, 0) is None
    assert first_difference(ones.bfloat16(), torch.ones(2, 3), 1e-6, 0) is None
    assert first_difference(
        torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 3.0]]), 1e-6, 0
    ).path == (("index", (0, 1)),)
    assert first_difference(np.ones(2), torch.ones(2), 0, 0).kind == "type"
    assert show(torch.tensor([1.5, 2.0], requires_grad=True)) == "tensor([1.5, 2. ])"
    result = check(NORMALISE, lambda rows: torch.tensor(rows))
    assert "Got a torch tensor, but a NumPy array is expected. `.numpy()`" in result.message
    assert "`.item()` makes a number" in check(MEAN, lambda n: torch.tensor(sum(n))).message


def test_torch_is_not_imported_for_a_check():
    code = (
        "import sys; from lmlib.exercises import compare; "
        "compare.first_difference([1], [1], 0, 0); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


# ------------------------------------------------------------------------- never raises


class Hostile:
    """Raises in everything that a checker might call."""

    def fail(self, *args, **kwargs):
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __ne__ = __len__ = __iter__ = __bool__ = fail
    __hash__ = __lt__ = __float__ = __complex__ = __deepcopy__ = __reduce_ex__ = fail
    __getattr__ = __contains__ = __getitem__ = fail


class Liar(Hostile):
    @property
    def __class__(self):
        raise RuntimeError("who, me?")


class Exits(Hostile):
    def __eq__(self, other):
        raise SystemExit

    def __repr__(self):
        raise KeyboardInterrupt

    __hash__ = None


class HostileList(list):
    __len__ = __repr__ = __iter__ = Hostile.fail


class HostileFloat(float):
    __eq__ = __repr__ = __float__ = __abs__ = Hostile.fail
    __hash__ = None


class HostileArray(np.ndarray):
    __eq__ = __array_ufunc__ = __repr__ = Hostile.fail
    __hash__ = None


def cyclic():
    x = [1]
    x.append(x)
    return x


MONSTERS = [
    Hostile,
    Liar,
    Exits,
    lambda: HostileList([1]),
    lambda: HostileFloat(1.5),
    lambda: np.ones((1, 3)).view(HostileArray),
    cyclic,
    lambda: {1: cyclic()},
    lambda: np.zeros((1000, 1000)),
    lambda: "xy" * 10**6,
    lambda: list(range(20_000)),
    lambda: dict.fromkeys(range(20_000)),
    lambda: {Hostile: 1},
    lambda: functools.reduce(lambda x, _: [x], range(500), 1),
    lambda: type("Long" * 500, (), {})(),
    lambda: (_ for _ in ()),
    lambda: np.ma.masked,
    lambda: "\ud800",  # half a character
]


@pytest.mark.parametrize("make", MONSTERS)
@pytest.mark.parametrize("id", FIXTURES)
def test_monsters_get_a_polite_bounded_answer(id, make):
    for answer in (make(), lambda *args: make(), make):
        result = check(id, answer)
        assert result.state in ("error", "wrong")
        assert max(map(len, texts(result))) < 6000
        assert "hostile" not in repr(result)


def test_the_engines_own_faults_are_polite(monkeypatch):
    def broken(*args):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("lmlib.exercises.engine.judge", broken)
    result = check(MEAN, mean.solution)
    assert (result.state, result.message) == (
        "error",
        messages.ENGINE_FAULT.format(name="RuntimeError"),
    )
    monkeypatch.setattr("lmlib.exercises.logbook.load", broken)
    assert "RuntimeError" in progress().message


anything = st.one_of(
    nested,
    st.binary(max_size=3),
    st.complex_numbers(),
    st.fractions(),
    st.decimals(allow_nan=True),
    st.sets(st.integers()),
    st.builds(np.array, st.lists(st.floats(), max_size=3)),
    st.builds(lambda x: lambda *a, **k: x, nested),
    st.functions(like=lambda numbers: None, returns=nested, pure=True),
)


@settings(deadline=None)
@given(st.sampled_from(list(FIXTURES)), anything)
def test_no_answer_raises(id, answer):
    result = check(id, answer)
    assert result.state in messages.HEADLINES
    assert result.message
    assert max(map(len, texts(result))) < 6000


@pytest.mark.parametrize(
    "make",
    [lambda: "", lambda: "no.such", lambda: 7, list, Hostile, Liar, Exits, lambda: "x" * 10_000],
)
def test_an_unknown_exercise(make):
    id = make()
    result = check(id, 3)
    assert (result.state, type(hint(id))) == ("error", Result)
    assert len(repr(result)) < 400


def test_an_unknown_exercise_suggests_near_ones():
    for result in (check(f"{THIS}.pears", len), hint(f"{THIS}.pears")):
        assert f"Did you mean `{PAIRS}`" in result.message


# ------------------------------------------------------------------------- no leaks


def test_no_text_quotes_the_solution():
    answers = [mean.solution, *mean.misconceptions.values(), divides_by_zero, loops, leaves]
    answers += [recurses, no_return, 3, "x", Hostile(), lambda: 1, lambda n: {}, lambda n: mean]
    assert len(mean.body) == 4
    assert leaks(mean, f"Just {mean.source}") != []
    for answer in [*answers, *STUBS[:-1]]:
        result = check(MEAN, answer)
        for text in (*texts(result), repr(result.__dict__), repr(check), repr(catalogue())):
            assert leaks(mean, text) == []


def test_a_result_holds_only_text():
    for answer in (divides_by_zero, mean.solution, 3):
        for value in vars(check(MEAN, answer)).values():
            flat = [t for row in value for t in row] if isinstance(value, tuple) else [value]
            assert all(text is None or type(text) is str for text in flat)


# ------------------------------------------------------------------------- no side effects


def test_the_notebooks_randomness_is_undisturbed():
    def answer(numbers):
        random.seed(1)
        np.random.seed(1)
        return mean(numbers) + random.random() + np.random.rand()

    random.seed(5)
    np.random.seed(5)
    wanted = random.random(), np.random.rand()
    random.seed(5)
    np.random.seed(5)
    check(MEAN, answer)
    assert (random.random(), np.random.rand()) == wanted


def test_what_a_function_prints_is_kept_short_and_shown_when_wrong(capsys):
    def chatty(numbers):
        print("<b>numbers</b>", numbers)
        print("y" * 10_000)
        print("warned", file=sys.stderr)
        warnings.warn("really", stacklevel=1)
        return 1.0

    streams = sys.stdout, sys.stderr
    result = check(MEAN, chatty)
    assert (sys.stdout, sys.stderr) == streams
    assert tuple(capsys.readouterr()) == ("", "")
    assert result.state == "wrong"  # and not "error" for the warning
    assert rows(result)["printed"].startswith("<b>numbers</b> [7.0]\nyyy")
    assert len(rows(result)["printed"]) <= running.PRINTED_LIMIT
    assert "<b>numbers" not in result._repr_html_()


def test_the_cases_survive_what_answers_do_to_them():
    def spoils(numbers):
        numbers.clear()
        return 0.0

    before = repr(mean.inputs)
    check(MEAN, spoils)
    assert repr(mean.inputs) == before
    assert check(MEAN, mean.solution).state == "right"


def test_numpy_warnings_stay_quiet_and_settings_stay():
    old = np.seterr(all="raise")
    try:
        assert check(NORMALISE, lambda rows: rows / 0).state == "wrong"
        assert np.geterr()["divide"] == "raise"
    finally:
        np.seterr(**old)


# ------------------------------------------------------------------------- text and HTML


class Balanced(html.parser.HTMLParser):
    """Collects tags, and fails on one that is not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(markup):
    parser = Balanced()
    parser.feed(markup)
    parser.close()
    assert parser.open == []
    return parser


@pytest.mark.parametrize(
    ("answer", "state"),
    [(..., "todo"), (divides_by_zero, "error"), (lambda n: 1, "wrong"), (mean.solution, "right")],
)
def test_html_has_its_class_and_role(answer, state):
    result = check(MEAN, answer)
    page = parsed(result._repr_html_())
    tag, attributes = page.seen[0]
    assert (tag, attributes["class"], attributes["role"]) == (
        "div",
        f"lm-check lm-{state}",
        "status",
    )
    assert "background" not in result._repr_html_()  # it would not suit a dark page
    assert "The mean" in page.text
    assert messages.HEADLINES[state][1] in page.text.lower()


def test_html_is_escaped_and_marked_up():
    def answer(numbers):
        return "<script>alert(1)</script> *no* `no`"

    page = check(MEAN, answer)._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    page = check(MEAN, mean.misconceptions["rounds down"])._repr_html_()
    assert "You divided with <code>//</code>, which <em>rounds down</em>." in page
    assert in_html("`a*b` ` 2 * 3 *e f*\n") == "<code>a*b</code> ` 2 * 3 <em>e f</em><br>"
    page = check(f"{THIS}.<img src=x>", 1)._repr_html_()
    assert "<img" not in page


@given(st.text(max_size=60))
def test_any_text_gives_balanced_html(text):
    result = Result(title=text, message=text, details=((text, text),), id=text)
    page = parsed(result._repr_html_())
    assert {tag for tag, _ in page.seen} <= {"div", "strong", "br", "dl", "dt", "dd", "code", "em"}


def test_text_form():
    assert repr(check(MEAN, lambda numbers: mean(numbers) if len(numbers) > 1 else 0.1 + 0.2)) == (
        "[not right yet] The mean\n"
        "Right for 23 of 24 inputs, but not for this one. The value differs.\n"
        "  input     numbers = [7.0]\n"
        "  got       0.3\n"
        "  expected  7.0"
    )
    text = repr(check(NORMALISE, lambda rows: rows[:, ::-1] if len(rows) == 2 else normalise(rows)))
    assert "  got       array([[3., 1.],\n                   [2., 2.]])" in text
    repr(check(MEAN)).encode("ascii")  # any terminal can print the engine's own words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (np.float64(0.5), "0.5"),
        ([np.int64(3), np.str_("a")], "[3, 'a']"),
        (Counter("ab"), "{'a': 1, 'b': 1}"),
        (np.array([0.5, 1.0]), "array([0.5, 1. ])"),
        (list(range(99)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]"),
        (Exits, "<class"),
        (np.arange(1000.0), "array([  0.,   1.,   2., ..., 997., 998., 999.])"),
    ],
)
def test_values_are_shown_short(value, text):
    assert show(value).startswith(text)


@given(nested)
def test_shown_values_are_bounded(x):
    assert len(show([x] * 50)) <= 400


def test_hints():
    assert hint(MEAN).message == "Add them up."
    assert repr(hint(MEAN, 2)) == "The mean, Hint 2 of 2\nDivide by `len(numbers)`."
    assert "<code>len(numbers)</code>" in hint(MEAN, 2)._repr_html_()
    for level in (0, 3, -1, "1", None, Hostile()):
        assert hint(MEAN, level).message in (
            "This exercise has hints 1 to 2.",
            hint(MEAN).message,
        ) or ("Sorry" in hint(MEAN, level).message)


def test_all_sentences_live_in_one_place():
    """For translation: no running text outside messages.py, but docstrings and author's errors."""
    import ast

    folder = Path(exercises.__file__).parent
    for name in ("compare", "running", "result", "engine", "explain", "logbook"):
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
            and isinstance(node.body[0], ast.Expr)
        }
        found = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docs
            and re.search(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}", node.value)
        ]
        assert found == []


# ------------------------------------------------------------------------- progress


def saved():
    return json.loads(logbook.location().read_text(encoding="utf-8"))["done"]


def test_progress_is_noted_once_and_only_when_right():
    assert progress().done == frozenset()
    for answer in (..., 3, divides_by_zero, lambda n: 1, mean.misconceptions["rounds down"]):
        check(MEAN, answer)
    assert not logbook.location().exists()
    check(MEAN, mean.solution)
    first = logbook.location().stat()
    assert list(saved()) == [MEAN]
    check(MEAN, mean.solution)
    assert logbook.location().stat().st_mtime_ns == first.st_mtime_ns
    check(THIRD, 1 / 3)
    assert progress().done == {MEAN, THIRD}
    assert sorted(os.listdir(logbook.location().parent)) == ["progress.json"]


def test_progress_is_shown():
    check(MEAN, mean.solution)
    view = progress()
    assert repr(view).splitlines()[0] == "1 of 6 exercises done"
    assert re.search(rf"\[x\] {MEAN} +The mean \(done on \d{{4}}-\d\d-\d\d\)", repr(view))
    assert "Count pairs (not done yet)" in repr(view)
    page = parsed(view._repr_html_())
    assert [tag for tag, _ in page.seen].count("li") == 6
    assert page.text.count("✓") == 1


def test_progress_knows_when_an_exercise_changed(monkeypatch):
    check(MEAN, mean.solution)
    monkeypatch.setitem(mean.__dict__, "version", "another")
    view = progress()
    assert view.done == frozenset()
    assert "The mean (changed since you solved it)" in repr(view)
    check(MEAN, mean.solution)
    assert progress().done == {MEAN}


def test_progress_can_be_reset():
    check(MEAN, mean.solution)
    assert progress(reset=True).done == frozenset()
    assert progress().done == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"done": 3}',
        b'{"done": {"x": 1}}',
        b'{"done": {"x": {}}}',
        b"\xff",
    ],
)
def test_a_corrupted_file_is_reported_kept_and_replaced(text):
    path = logbook.location()
    path.write_bytes(text)
    assert "cannot be read" in progress().message
    assert path.read_bytes() == text
    assert check(MEAN, mean.solution).state == "right"
    assert list(saved()) == [MEAN]
    assert path.with_name("progress.json.unreadable").read_bytes() == text


def test_an_unwritable_place_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for place in (tmp_path / "file" / "progress.json", tmp_path / "folder"):
        monkeypatch.setenv("LMLIB_PROGRESS", str(place))
        result = check(MEAN, mean.solution)
        assert result.state == "right"
        assert messages.NOT_SAVED in result.message
        assert progress().done == frozenset()
    assert sorted(tmp_path.rglob("*")) == before


def test_without_a_home_directory(monkeypatch, tmp_path):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.delenv("LMLIB_PROGRESS")
    monkeypatch.setattr(logbook.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(logbook.Path, "home", homeless)
    assert check(MEAN, mean.solution).state == "right"
    assert (tmp_path / ".lmlib" / "progress.json").exists()


def test_a_right_answer_is_right_even_if_the_source_is_gone(monkeypatch):
    def gone(*_):
        raise OSError("could not get source code")

    monkeypatch.setattr(declare.inspect, "getsource", gone)
    bare = bad_exercise()
    monkeypatch.setitem(declare.REGISTRY, MEAN, bare)
    assert check(MEAN, mean.solution).state == "right"


def test_several_kernels_keep_the_file_whole():
    """Many writers at once: every moment's file is complete, and the next solve repairs a loss."""
    ids = [MEAN, PAIRS, NORMALISE, ROOT]
    stop, broken = threading.Event(), []

    def read():
        while not stop.is_set():
            if not logbook.load()[1]:
                broken.append(1)

    def write(id):
        for _ in range(20):
            logbook.record(FIXTURES[id])

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(id,)) for id in ids]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert broken == []
    for id in ids:
        logbook.record(FIXTURES[id])
    assert set(saved()) == set(ids)


def test_nothing_is_printed(capsys):
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        check(MEAN, mean.solution), progress(), hint(MEAN), audit(mean)
    assert stream.getvalue() == ""
