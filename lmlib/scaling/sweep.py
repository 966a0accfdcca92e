r"""Run many small experiments on any executor, and lose none of them.

    def measure(width, tokens, seed):            # in a module, where a worker can import it
        ...
        return {"loss": ..., "seconds": ...}

    rows = sweep.run(configurations, measure, "sweep.csv", executor=...)

Every result is a row of the CSV the moment it arrives. Run the same line again after a power cut,
Ctrl-C or a crash, and it does only what is missing. When a worker dies, what it was working on is
handed out again. The executor decides where the work is done:

    None                                     processes on this machine, one a core
    concurrent.futures.ThreadPoolExecutor()  threads
    dask.distributed.Client(...).get_executor()   a cluster
"""

import csv
import io
import multiprocessing
import os
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from numbers import Integral, Real
from pathlib import Path

from tqdm import tqdm


class SweepError(RuntimeError):
    """Some configurations could not be measured; all others are in the CSV.

    failed : list of (configuration, exception)
    """

    def __init__(self, message, failed):
        super().__init__(message)
        self.failed = failed


def run(configurations, measure, path, executor=None, *, attempts=3, progress=True):
    """Measure every configuration that the CSV does not have yet.

    Parameters
    ----------
    configurations : iterable of dicts with the same keys, all different; values int, float, str or
        bool
    measure : (**configuration) -> dict of int, float, str or bool, the same keys every time. It
        runs in a worker and must be importable there: a function of a module, not of a notebook.
    path : str or Path of the CSV: a column for each key of a configuration, then of its results
    executor : concurrent.futures.Executor, or None for processes on this machine. It is not shut
        down. A script that uses None needs the usual ``if __name__ == "__main__":``.
    attempts : int >= 1, with None: how often a configuration is tried whose worker died.  Other
        executors have rules of their own: a cluster tries again, a process pool is broken for good.
    progress : bool, show a progress bar on standard error

    Returns
    -------
    rows : list of dicts, configuration and results, in the order of `configurations`

    Raises
    ------
    ValueError : for configurations that are empty, repeated or of different keys, values a CSV
        cannot hold, or a CSV that belongs to another sweep
    SweepError : at the end, if some could not be measured; a later call tries those again
    """
    configurations = _checked(configurations)
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, got {attempts}.")
    table = _Table(Path(path), list(configurations[0]))
    missing = [c for c in configurations if _cells(c) not in table.rows]
    failed = []
    with tqdm(
        total=len(configurations),
        initial=len(configurations) - len(missing),
        disable=not progress,
        unit="run",
    ) as bar:

        def finished(configuration, future):
            try:
                results = table.checked(configuration, future.result())
            except BrokenExecutor as error:
                return error
            except Exception as error:
                failed.append((configuration, error))
            else:
                table.append(configuration, results)
            bar.update()
            return None

        if executor is None:
            lost = _on_own_processes(missing, measure, finished, attempts)
        else:
            lost = _on(executor, missing, measure, finished)
    if failed := sorted(failed + lost, key=lambda pair: configurations.index(pair[0])):
        first, error = failed[0]
        raise SweepError(
            f"{len(failed)} of {len(configurations)} configurations were not measured; the others "
            f"are safe in {path}. Call again to try those that are missing. The first was "
            f"{first}: {error!r}",
            failed,
        ) from error
    return [configuration | table.rows[_cells(configuration)] for configuration in configurations]


def _on(executor, configurations, measure, finished):
    """Measure on this executor; give the (configuration, error) lost to a dead worker, in order."""
    futures, lost = {}, {}
    try:
        for i, configuration in enumerate(configurations):
            try:
                futures[executor.submit(measure, **configuration)] = i
            except BrokenExecutor as error:  # it broke while work was still being handed out
                lost[i] = error
        for future in as_completed(futures):
            if error := finished(configurations[futures[future]], future):
                lost[futures[future]] = error
    finally:  # after Ctrl-C, say: nobody waits for these any more
        for future in futures:
            future.cancel()
    return [(configurations[i], lost[i]) for i in sorted(lost)]


def _on_own_processes(configurations, measure, finished, attempts):
    """Processes of our own: when one dies its pool is broken, and the next pool takes over."""
    # "spawn" on every platform: a forked child inherits the locks of threads it does not have.
    context, workers = multiprocessing.get_context("spawn"), os.cpu_count() or 1
    suspects = []
    while configurations:
        with ProcessPoolExecutor(min(workers, len(configurations)), context) as pool:
            lost = _on(pool, configurations, measure, finished)
        # Work starts in order, so whatever killed the worker is among the first `workers` lost.
        suspects += lost[:workers]
        configurations = [configuration for configuration, _ in lost[workers:]]
    given_up = []
    for configuration, error in suspects:  # each alone, where it can hurt no other
        tries = 1
        while error and tries < attempts:
            with ProcessPoolExecutor(1, context) as pool:
                lost = _on(pool, [configuration], measure, finished)
            tries, error = tries + 1, lost[0][1] if lost else None
        if error:
            given_up.append((configuration, error))
    return given_up


# ------------------------------------------------------------------------------------ the table
class _Table:
    """The CSV: read once, then only appended to, a row at a time."""

    def __init__(self, path, names):
        self.path, self.names, self.rows, self.columns = path, names, {}, None
        if path.exists():
            self._read()

    def _read(self):
        content = self.path.read_bytes().decode("utf-8", errors="replace")
        header, newline, _ = content.partition("\n")
        ours = _line(self.names)[:-1] + ","
        if not (header.startswith(ours) or (not newline and ours.startswith(header))):
            raise ValueError(
                f"{self.path} begins with {header[:100]!r}, expected {ours!r} and then results: is "
                "it from another sweep? Choose another file, or the same keys in the same order."
            )
        # A line without its newline was being written when the power went: it never happened.
        whole, newline, torn = content.rpartition("\n")
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len((whole + newline).encode("utf-8")))
        if newline:
            header, *rows = csv.reader(io.StringIO(whole, newline=""))
            self.columns = header[len(self.names) :]
            for row in rows:
                self._keep(row)

    def _keep(self, row):
        k = len(self.names)
        values = map(_parse, row[k:])
        self.rows[tuple(row[:k])] = dict(zip(self.columns, values, strict=True))

    def checked(self, configuration, results):
        """The results in the order of the columns, or a ValueError."""
        if not isinstance(results, dict) or not results:
            raise ValueError(f"measure must return a dict of results, got {results!r}.")
        if shared := sorted(results.keys() & configuration.keys()):
            raise ValueError(f"{shared} are keys of the configuration and of the results.")
        _check_values(results)
        columns = self.columns or list(results)
        if results.keys() != set(columns):
            raise ValueError(
                f"measure returned {list(results)}, and before {columns}: every run must return "
                "the same results."
            )
        return {name: results[name] for name in columns}

    def append(self, configuration, results):
        row = _cells(configuration) + _cells(results)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            if self.columns is None:
                self.columns = list(results)
                file.write(_line(self.names + self.columns))
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())  # on the disk, not in a buffer, before the next one counts
        self._keep(row)


def _checked(configurations):
    """The configurations as dicts with their keys in one order, or a ValueError."""
    configurations = [dict(configuration) for configuration in configurations]
    if not configurations:
        raise ValueError("no configurations: there is nothing to run.")
    names = list(configurations[0])
    seen = set()
    for i, configuration in enumerate(configurations):
        if configuration.keys() != set(names):
            raise ValueError(
                f"every configuration needs the keys {names}, got {list(configuration)}."
            )
        _check_values(configuration)
        configurations[i] = {name: configuration[name] for name in names}
        if (cells := _cells(configurations[i])) in seen:
            raise ValueError(f"{configuration} occurs twice; add a seed to repeat a measurement.")
        seen.add(cells)
    return configurations


def _check_values(values):
    for name, value in values.items():
        if not isinstance(value, Real | str):
            raise ValueError(
                f"{name} must be an int, a float, a str or a bool to be a cell of a CSV, got "
                f"{value!r} ({type(value).__name__})."
            )
        if isinstance(value, str) and ("\n" in value or "\r" in value):
            raise ValueError(f"{name} must be a single line, got {value!r}.")


def _cells(values):
    """What the CSV holds; repr keeps every digit of a float."""
    return tuple(
        str(v) if isinstance(v, Integral | str) else repr(float(v)) for v in values.values()
    )


def _line(cells):
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _parse(cell):
    if cell in ("True", "False"):
        return cell == "True"
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return cell
