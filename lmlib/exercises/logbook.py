"""Which exercises are done: one small local JSON file, written when one is solved first.

The file is `~/.lmlib/progress.json`, or what the environment variable LMLIB_PROGRESS names. It
holds exercise ids, the version of the exercise and the date, nothing else, and goes nowhere.
"""

import contextlib
import datetime
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lmlib.exercises import messages
from lmlib.exercises.declare import Exercise, catalogue
from lmlib.exercises.result import Note, in_html


def location() -> Path:
    if named := os.environ.get("LMLIB_PROGRESS"):
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:  # a container without a home directory
        home = Path(tempfile.gettempdir())
    return home / ".lmlib" / "progress.json"


def load() -> tuple[dict[str, dict], bool]:
    """(id -> {"version", "date"}, whether the file could be read); no file is a good, empty one."""
    try:
        entries = json.loads(location().read_text(encoding="utf-8"))["done"].items()
        return {id: {k: str(e[k]) for k in ("version", "date")} for id, e in entries}, True
    except FileNotFoundError:
        return {}, True
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}, False


def record(exercise: Exercise) -> bool:
    """Note that the exercise is solved; False if that cannot be written."""
    try:
        version = exercise.version
    except OSError:  # the library was installed without its source text
        return False
    done, readable = load()
    if done.get(exercise.id, {}).get("version") == version:
        return True
    done[exercise.id] = {"version": version, "date": datetime.date.today().isoformat()}
    return _save(done, keep_old=not readable)


def _save(done, keep_old=False) -> bool:
    """Write all at once: another kernel sees the old file or the new one, never half of it."""
    path, temporary = location(), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if keep_old and path.is_file():  # not a folder that somebody named by mistake
            os.replace(path, path.with_name(path.name + ".unreadable"))
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump({"done": done}, file, indent=1, sort_keys=True)
        os.replace(temporary, path)
        return True
    except OSError:  # read-only, full, or a folder of that name
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return False


@dataclass(frozen=True, repr=False)
class Progress(Note):
    """An overview, and `done`: the ids of the exercises solved in their present version."""

    done: frozenset[str] = frozenset()

    def _rows_html(self):
        rows = (
            f"<li>{'✓' if label.startswith(_MARKS['done']) else '○'} {in_html(text)}</li>"
            for label, text in self.details
        )
        return f'<ul style="list-style:none;padding:0;margin:.4rem 0 0">{"".join(rows)}</ul>'


_MARKS = {"done": "[x]", "changed": "[~]", "open": "[ ]"}


def progress(reset: bool = False) -> Progress:
    """Which exercises of the course are done on this computer. `reset=True` forgets them all."""
    try:
        if reset:
            _save({})
        return _overview(*load())
    except Exception as problem:  # a notebook cell must not stop here
        fault = messages.ENGINE_FAULT.format(name=type(problem).__name__)
        return Progress(messages.PROGRESS, fault)


def _overview(solved, readable) -> Progress:
    rows, done = [], set()
    for exercise in catalogue():
        entry = solved.get(exercise.id)
        if not entry:
            state, status = "open", messages.NOT_DONE
        elif entry["version"] == exercise.version:
            state, status = "done", messages.DONE.format(date=entry["date"])
            done.add(exercise.id)
        else:
            state, status = "changed", messages.CHANGED_SINCE
        rows.append((f"{_MARKS[state]} {exercise.id}", f"{exercise.title} ({status})"))
    title = messages.PROGRESS_TITLE.format(done=len(done), total=len(rows))
    note = messages.KEPT_IN if readable else messages.UNREADABLE
    return Progress(title, note.format(path=location()), tuple(rows), frozenset(done))
