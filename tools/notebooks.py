"""Execute notebooks and store them in canonical form: the only way outputs get into the book.

    python3 run.py nb                    every chapter
    python3 run.py nb sparsity           one chapter, by name or path
    python3 run.py nb --check sparsity   execute, compare with the stored file, write nothing

The same sources give the same bytes: no times, no random ids, counts from 1, sorted keys, and the
alt text of each figure copied to where the book looks for it.
"""

import os
import re
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"
SECONDS_ALLOWED = 100  # from top to bottom on one core of a laptop
KEPT_METADATA = ("jupyter", "mystnb", "tags")  # editors add more, and each its own
FAILURES = (CellExecutionError, CellTimeoutError, DeadKernelError)
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def id_prefix(path):
    """What every cell id of a notebook begins with: scaling-laws- for scaling_laws.ipynb."""
    return path.stem.replace("_", "-") + "-"


def output_alt(cell):
    """The alt text that a figure's output brings along, or None if the cell draws no figure."""
    for output in cell.get("outputs", ()):
        for mime, metadata in output.get("metadata", {}).items():
            if mime.startswith("image/") and "alt" in metadata:
                return metadata["alt"]
    return None


def canonical(notebook, prefix):
    """A copy of an executed notebook with everything removed that varies between runs.

    Raises
    ------
    ValueError : a cell's id does not start with `prefix` (editors invent ids; the authored ones
        are what translations, verdicts and links hold on to), or two cells share one
    """
    notebook = deepcopy(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    count, seen = 0, set()
    for position, cell in enumerate(notebook.cells, 1):
        if cell.get("id") in seen:
            raise ValueError(f"cell {position}: the id {cell.id!r} is used twice")
        seen.add(cell.get("id"))
        if not cell.get("id", "").startswith(prefix):
            raise ValueError(
                f"cell {position} ({cell.source[:40]!r}) has the id {cell.get('id')!r}: "
                f"give it one that starts with {prefix!r} and says what the cell is for"
            )
        for key in set(cell.metadata) - set(KEPT_METADATA):
            del cell.metadata[key]
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
        cell.metadata.pop("mystnb", None)
        if alt := output_alt(cell):
            cell.metadata["mystnb"] = {"image": {"alt": alt}}
    nbformat.validate(notebook)
    return notebook


def to_text(notebook):
    """The one spelling of a notebook: sorted keys, one space of indent, letters as they are."""
    return nbformat.v4.writes(notebook) + "\n"


def execute(path):
    """Run a notebook in its own folder with a fresh kernel; return it in canonical form.

    Raises
    ------
    nbclient.exceptions.CellExecutionError and the like : a cell raised, took 600 s or killed the
        kernel; a note on the exception names the cell
    ValueError : a cell has no authored id
    """
    notebook = nbformat.v4.reads(path.read_text(encoding="utf-8"))
    canonical(notebook, id_prefix(path))  # complain about ids before minutes of computing
    with tempfile.TemporaryDirectory() as scratch:
        kernel_environment = dict(
            os.environ,
            PYTHONHASHSEED="0",  # the order of sets of words
            PYTHONPATH=str(ROOT),
            LMLIB_PROGRESS=str(Path(scratch, "progress.json")),  # not the author's own answers
        )
        client = NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],  # a local kernel warns that it is not encrypted
            resources={"metadata": {"path": str(path.parent)}},
        )
        started = []
        client.on_cell_start = lambda cell, cell_index: started.append(cell.id)
        try:
            client.execute(env=kernel_environment)
        except FAILURES as error:
            error.add_note(f"in cell {started[-1] if started else '(none)'}")
            raise
    return canonical(notebook, id_prefix(path))


def find(names):
    """Paths of the notebooks named (all chapters if none), by name or path.

    Raises
    ------
    ValueError : no such notebook; the message lists those there are
    """
    chapters = {path.stem: path for path in sorted(CHAPTERS.glob("*.ipynb"))}
    found = [chapters.get(name, Path(name).resolve()) for name in names or chapters]
    for name, path in zip(names, found, strict=False):
        if not path.is_file():
            raise ValueError(f"no notebook {name!r}; the chapters are: {', '.join(chapters)}")
    return found


def changed_cells(old, new):
    """Ids of the cells that differ between two notebooks."""
    before, after = ({cell.get("id"): cell for cell in nb.cells} for nb in (old, new))
    ids = [*after, *(id_ for id_ in before if id_ not in after)]
    return [id_ for id_ in ids if before.get(id_) != after.get(id_)]


def main(arguments):
    """Execute, and store or compare; return the number of notebooks that failed."""
    check = "--check" in arguments
    failures = 0
    try:
        paths = find([name for name in arguments if name != "--check"])
    except ValueError as error:
        sys.exit(str(error))
    for path in paths:
        print(f"{path.name} ...", end=" ", flush=True)
        started = time.monotonic()
        try:
            text = to_text(execute(path))
        except (*FAILURES, ValueError) as error:
            failures += 1
            where = " ".join(getattr(error, "__notes__", []))
            print(f"FAILED {where}, nothing stored\n{_plain(str(error))}")
            continue
        seconds = time.monotonic() - started
        stored = path.read_text(encoding="utf-8")
        if text == stored:
            word = "unchanged"
        else:
            ids = changed_cells(nbformat.v4.reads(stored), nbformat.v4.reads(text))
            word = f"{'differs' if check else 'stored'} ({', '.join(ids) or 'layout only'})"
            failures += check
            if not check:
                path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{word}, {seconds:.1f} s")
        if seconds > SECONDS_ALLOWED:
            print(f"  warning: a chapter may take {SECONDS_ALLOWED} s; ship long runs as numbers")
    return failures


def _plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)  # tracebacks come in colour


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
