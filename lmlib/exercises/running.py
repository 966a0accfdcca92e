"""Running a learner's function once, whatever it does: outcomes, time limit, no side effects."""

import contextlib
import copy
import ctypes
import dis
import inspect
import io
import linecache
import random
import signal
import sys
import threading
import time
import warnings
from dataclasses import dataclass

import numpy as np

from lmlib.exercises.compare import Difference, first_difference
from lmlib.exercises.declare import Case, Exercise

PRINTED_LIMIT = 500  # characters kept of what the learner's code prints


class TimeUp(BaseException):
    """The time limit. Not an `Exception`, so that `except Exception` in a loop cannot eat it."""


@dataclass(frozen=True)
class Outcome:
    """What one call did: a value, or the type of the exception that it raised."""

    value: object = None
    seen: object = None  # what is compared: the value through the exercise's view
    view_failed: bool = False
    raised: type | None = None
    error: str = ""  # "ZeroDivisionError: division by zero"
    line: tuple[int, str] | None = None  # within the function, and its text
    unfinished: bool = False  # `raise NotImplementedError` in the function's own text
    changed: tuple[str, ...] = ()  # names of the arguments modified in place
    printed: str = ""


def run(exercise: Exercise, function, case: Case) -> Outcome:
    """Call the function with a copy of the case. Only TimeUp and KeyboardInterrupt escape."""
    args, kwargs = copy.deepcopy((case.args, case.kwargs))
    printed = _Excerpt()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            value = function(*args, **kwargs)
    except (TimeUp, KeyboardInterrupt):
        raise
    except BaseException as problem:  # SystemExit included: exit() must not stop the notebook
        return Outcome(
            raised=type(problem),
            error=_describe(problem),
            line=where(function, problem),
            unfinished=_raised_by_hand(function, problem),
            printed=printed.getvalue(),
        )
    after = exercise.arguments(Case(*args, **kwargs))
    changed = tuple(
        name
        for name, before in exercise.arguments(case).items()
        if first_difference(after[name], before, 0, 0, opaque=True)
    )
    with contextlib.suppress(Exception):  # some objects have no copy; those are compared as are
        value = copy.deepcopy(value)  # the function may return the same object again, changed
    seen, view_failed = value, False
    if exercise.view:
        try:
            seen = exercise.view(value)
        except Exception:
            view_failed = True
    return Outcome(value, seen, view_failed, changed=changed, printed=printed.getvalue())


def mismatch(exercise: Exercise, outcome: Outcome, reference: Outcome) -> Difference | None:
    """How one outcome differs from that of the solution, or of a misconception."""
    if reference.raised:
        if not outcome.raised:
            return Difference("not raised", outcome.value, reference.raised)
        same = issubclass(outcome.raised, reference.raised)
        return None if same else Difference("raised", outcome.raised, reference.raised)
    if outcome.raised:
        return Difference("raised", outcome.raised, reference.value)
    if outcome.view_failed:
        return Difference("type", outcome.value, reference.value)
    found = first_difference(outcome.seen, reference.seen, exercise.tolerance, exercise.absolute)
    if not found and bool(outcome.changed) != bool(reference.changed):
        return Difference("changed", outcome.changed, reference.changed)
    return found


# A function that only returns None may hold these instructions, in any Python from 3.11 on:
# comparing names, not bytes, survives the renumbering and the fused RETURN_CONST of 3.12.
_IDLE = {"RESUME", "NOP", "CACHE", "EXTENDED_ARG", "MAKE_CELL", "COPY_FREE_VARS"}
_CONSTANT = {"LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}


def is_stub(function) -> bool:
    """Whether the body is only a docstring, `pass`, `...` or `return None`."""
    code = _code(function)
    return code is not None and all(
        step.opname in _IDLE or (step.opname in _CONSTANT and step.argval is None)
        for step in dis.get_instructions(code)
    )


def where(function, problem: BaseException) -> tuple[int, str] | None:
    """(line within the function, its text) of the last step inside the function's own code."""
    code, found, step = _code(function), None, problem.__traceback__
    while step:
        if step.tb_frame.f_code is code:
            text = linecache.getline(code.co_filename, step.tb_lineno).strip()
            found = (step.tb_lineno - code.co_firstlineno + 1, text) if text else None
        step = step.tb_next
    return found


def _raised_by_hand(function, problem) -> bool:
    """Whether the function itself says `raise NotImplementedError`; torch raises it for others."""
    step = problem.__traceback__
    if not isinstance(problem, NotImplementedError) or step is None:
        return False
    while step.tb_next:
        step = step.tb_next
    code = step.tb_frame.f_code
    return code is _code(function) and code.co_code[step.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _code(function):
    return getattr(inspect.unwrap(function), "__code__", None)


def _describe(problem) -> str:
    try:
        text = str(problem)
    except Exception:  # a learner's exception class may be broken as well
        text = ""
    name = type(problem).__name__
    return f"{name}: {text}" if text else name


class _Excerpt(io.StringIO):
    """Keeps the beginning of what is written, so that a printing loop cannot fill the memory."""

    def write(self, text):
        super().write(text[: max(0, PRINTED_LIMIT - self.tell())])
        return len(text)


@contextlib.contextmanager
def undisturbed():
    """Keep warnings quiet, and the streams and global random generators as the notebook left them.

    The streams are put back here as well as in `run`: a blow of the time limit may strike there.
    """
    streams = sys.stdout, sys.stderr
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout, sys.stderr = streams
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(states[2])


STRIKE_EVERY = 0.1  # seconds: time enough for one exception to leave the learner's code ...
HAIL_EVERY = 0.001  # ... but if blows are eaten, one has to land outside their `try`
PATIENCE = 3  # blows before the hail


@dataclass
class Limit:
    """A running time limit. `blows` counts also those that a bare `except:` has eaten."""

    active: bool = False
    blows: int = 0

    def check(self):
        if self.blows:
            raise TimeUp


def time_limit(seconds: float):
    """Context manager that raises TimeUp inside its block after so many seconds.

    It interrupts Python code, not one long call into C (a huge product, a regular expression).
    It strikes repeatedly, because a bare `except:` in a loop eats single blows. The block should
    be one call: from 3.13 on, a loop's jump back is not covered by the `with` or `try` around it.
    """
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        return _alarm(seconds)
    return _watched(seconds)


@contextlib.contextmanager
def _alarm(seconds):
    limit = Limit()

    def strike(*_):
        if limit.active:
            limit.blows += 1
            if limit.blows == PATIENCE:
                signal.setitimer(signal.ITIMER_REAL, HAIL_EVERY, HAIL_EVERY)
            raise TimeUp

    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, strike)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds, STRIKE_EVERY)
    try:
        limit.active = True  # not earlier: a blow before the `try` would leave the alarm on
        yield limit
    finally:
        limit.active = False  # first, and not a call: a late blow must not strike in here
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if delay:  # somebody else's alarm was running: let it go on
            left = max(delay - (time.monotonic() - started), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, interval)


@contextlib.contextmanager
def _watched(seconds):
    """The same from a second thread, for Windows and for code outside the main thread."""
    limit = Limit(active=True)
    target = ctypes.c_ulong(threading.get_ident())
    alarm_off = threading.Lock()
    alarm_off.acquire()

    def watch():
        wait = seconds
        while limit.active:
            if not alarm_off.acquire(timeout=wait):
                limit.blows += 1
                ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(TimeUp))
                wait = STRIKE_EVERY if limit.blows < PATIENCE else HAIL_EVERY

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        with contextlib.suppress(RuntimeError):  # no threads here (WebAssembly): no limit either
            watcher.start()
        yield limit
    finally:
        limit.active = False
        # A blow may be under way: let it land here, where it does no harm. (To take it back, with
        # NULL for the exception, leaves CPython 3.11 looking for it at every step, for ever.)
        while watcher.is_alive():
            try:
                if alarm_off.locked():
                    alarm_off.release()
                watcher.join()
            except TimeUp:
                pass
