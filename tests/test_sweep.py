"""lmlib.scaling.sweep: nothing is measured twice, and nothing is lost, whatever dies."""

import csv
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib.scaling import sweep

GRID = [{"width": width, "seed": seed} for width in (8, 16, 32) for seed in (0, 1)]


def loss(width, seed):
    return {"loss": 1 / width + seed / 3, "note": f"w{width}"}


# ------------------------------------------------- what the workers run; they import this module
def once_deadly(width, seed, folder):
    """Counts its calls; at the one place that is marked, kills its own process, once."""
    Path(folder, f"{width}-{seed}-{time.monotonic_ns()}-{os.getpid()}").touch()
    mark = Path(folder, f"kill-{width}-{seed}")
    if mark.exists():
        mark.unlink()
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    time.sleep(0.02)
    return loss(width, seed)


def deadly(width, seed):
    if width == 16:
        os._exit(1)
    return loss(width, seed)


def wrong_at_16(width, seed):
    if width == 16:
        raise ZeroDivisionError(f"no luck with seed {seed}")
    return loss(width, seed)


def calls(folder, width, seed):
    return len(list(Path(folder).glob(f"{width}-{seed}-*")))


def spawned(workers):
    return ProcessPoolExecutor(workers, get_context("spawn"))


class Inline(Executor):
    """Runs at once, in this thread."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Counting:
    """`loss`, counting its calls."""

    def __init__(self):
        self.seen = []

    def __call__(self, width, seed):
        self.seen.append((width, seed))
        return loss(width, seed)


def run(configurations, measure, path, executor=None, **options):
    return sweep.run(configurations, measure, path, executor or Inline(), progress=False, **options)


def expected(configurations=GRID):
    return [c | loss(c["width"], c["seed"]) for c in configurations]


# ------------------------------------------------------------------------------ any executor
@pytest.mark.parametrize("pool", [Inline, lambda: ThreadPoolExecutor(3), lambda: spawned(2), None])
def test_rows_come_in_the_order_of_the_configurations(tmp_path, pool):
    path = tmp_path / "sweep.csv"
    if pool is None:
        rows = sweep.run(GRID, loss, path, progress=False)
    else:
        with pool() as executor:
            rows = run(GRID, loss, path, executor)
    assert rows == expected()
    with path.open(newline="") as file:
        stored = list(csv.DictReader(file))
    assert sorted((r["width"], r["seed"]) for r in stored) == sorted(
        (str(c["width"]), str(c["seed"])) for c in GRID
    )


def test_a_finished_sweep_measures_nothing(tmp_path):
    path, measure = tmp_path / "sweep.csv", Counting()
    first = run(GRID, measure, path)
    content = path.read_bytes()
    assert run(GRID, measure, path) == first
    assert len(measure.seen) == len(GRID) and path.read_bytes() == content


def test_only_what_is_missing_is_measured(tmp_path):
    path, measure = tmp_path / "sweep.csv", Counting()
    run(GRID[1:4], measure, path)
    assert run(GRID, measure, path) == expected()
    assert measure.seen[3:] == [(c["width"], c["seed"]) for c in GRID[:1] + GRID[4:]]
    assert run(GRID[::-1], measure, path) == expected(GRID[::-1])  # rows of others stay


@given(cut=st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_a_file_cut_anywhere_is_mended(tmp_path_factory, cut):
    """A power cut may leave any beginning of the file."""
    path, measure = tmp_path_factory.mktemp("cut") / "sweep.csv", Counting()
    run(GRID, loss, path)
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    whole_rows = max(content[:cut].count(b"\n") - 1, 0)
    assert run(GRID, measure, path) == expected()
    assert len(measure.seen) == len(GRID) - whole_rows
    assert sorted(path.read_bytes().split(b"\n")) == sorted(content.split(b"\n"))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "x": st.floats(allow_nan=False) | st.integers() | st.booleans(),
                "name": st.text(
                    st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8
                ),
            }
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda c: (str(c["x"]), c["name"]),
    ),
    st.floats() | st.integers() | st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_values_survive_the_file_to_the_last_digit(tmp_path_factory, configurations, result):
    path = tmp_path_factory.mktemp("values") / "sweep.csv"
    first = run(configurations, lambda x, name: {"result": result}, path)
    again = run(configurations, None, path)  # nothing is left to measure
    for rows in (first, again):
        assert [{k: r[k] for k in ("x", "name")} for r in rows] == configurations
        for row in rows:
            assert type(row["result"]) is type(result)
            assert row["result"] == result or (math.isnan(result) and math.isnan(row["result"]))


def test_the_order_of_keys_does_not_matter(tmp_path):
    path = tmp_path / "sweep.csv"
    mixed = [c if c["seed"] else dict(reversed(c.items())) for c in GRID]

    def measure(width, seed):
        results = loss(width, seed)
        return results if seed else dict(reversed(results.items()))

    assert run(mixed, measure, path) == expected()
    assert path.read_text().startswith(("seed,width,loss,note\n", "seed,width,note,loss\n"))


def test_numpy_numbers_are_numbers(tmp_path):
    configurations = [{"n": n, "x": np.float32(0.1)} for n in np.arange(2)]
    rows = run(configurations, lambda n, x: {"y": np.float64(n) / 3}, tmp_path / "s.csv")
    assert [row["y"] for row in rows] == [0.0, 1 / 3]
    assert "np.float" not in (tmp_path / "s.csv").read_text()


def test_progress_counts_what_was_there_already(tmp_path, capsys):
    path = tmp_path / "sweep.csv"
    run(GRID[:2], loss, path)
    assert capsys.readouterr() == ("", "")
    sweep.run(GRID, loss, path, Inline())
    shown = capsys.readouterr()
    assert shown.out == "" and "2/6" in shown.err and "6/6" in shown.err


def test_each_row_is_on_disk_before_the_next_arrives(tmp_path, monkeypatch):
    path, lengths, synced = tmp_path / "sweep.csv", [], []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))

    class Slow(Inline):  # results arrive in order, one at a time
        def submit(self, function, /, **kwargs):
            future = super().submit(function, **kwargs)
            result = future.result

            def watched(*args):
                lengths.append(len(path.read_text().splitlines()) if path.exists() else 0)
                return result(*args)

            future.result = watched
            return future

    run(GRID, loss, path, Slow())
    assert lengths == [0, 2, 3, 4, 5, 6]
    assert len(synced) == len(GRID) and synced[-1] == path.stat().st_size  # nothing in a buffer


# ------------------------------------------------------------------------------- interruptions
def test_an_error_in_one_run_costs_no_other(tmp_path):
    path = tmp_path / "sweep.csv"
    with pytest.raises(sweep.SweepError, match=r"2 of 6 .* safe in .*sweep\.csv") as caught:
        run(GRID, wrong_at_16, path)
    assert [c["seed"] for c, _ in caught.value.failed] == [0, 1]
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "no luck with seed 0" in str(caught.value)
    measure = Counting()
    assert run(GRID, measure, path) == expected()
    assert sorted(measure.seen) == [(16, 0), (16, 1)]


def test_a_worker_that_dies_costs_nothing(tmp_path):
    path = tmp_path / "sweep.csv"
    configurations = [c | {"folder": str(tmp_path)} for c in GRID]
    Path(tmp_path, "kill-16-0").touch()
    rows = sweep.run(configurations, once_deadly, path, progress=False)
    assert [{k: v for k, v in row.items() if k != "folder"} for row in rows] == expected()
    assert calls(tmp_path, 16, 0) == 2  # killed once, tried again
    assert len(path.read_text().splitlines()) == 1 + len(GRID)


def test_what_always_kills_its_worker_is_given_up_and_the_rest_is_done(tmp_path):
    path = tmp_path / "sweep.csv"
    with pytest.raises(sweep.SweepError, match="2 of 6") as caught:
        sweep.run(GRID, deadly, path, attempts=2, progress=False)
    assert [c["width"] for c, _ in caught.value.failed] == [16, 16]
    measure = Counting()
    assert run(GRID, measure, path) == expected()
    assert sorted(measure.seen) == [(16, 0), (16, 1)]


def test_a_broken_pool_of_the_callers_is_reported_and_can_be_replaced(tmp_path):
    path = tmp_path / "sweep.csv"
    configurations = [c | {"folder": str(tmp_path)} for c in GRID]
    Path(tmp_path, "kill-32-0").touch()
    with spawned(1) as pool, pytest.raises(sweep.SweepError, match="Call again") as caught:
        run(configurations, once_deadly, path, pool)
    lost = len(caught.value.failed)
    assert 1 <= lost <= 2  # one worker: the first four were done
    with spawned(1) as pool:
        rows = run(configurations, once_deadly, path, pool)
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected()]
    assert calls(tmp_path, 8, 0) == 1


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    path = tmp_path / "sweep.csv"
    submitted = []

    class Interrupted(Inline):
        def submit(self, function, /, **kwargs):
            future = super().submit(function, **kwargs) if len(submitted) < 3 else Future()
            submitted.append(future)
            if len(submitted) == len(GRID):
                future.set_exception(KeyboardInterrupt())
            return future

    with pytest.raises(KeyboardInterrupt):
        run(GRID, loss, path, Interrupted())
    assert [future.cancelled() for future in submitted] == [False] * 3 + [True] * 2 + [False]
    done = len(path.read_text().splitlines()) - 1 if path.exists() else 0
    measure = Counting()
    assert run(GRID, measure, path) == expected()
    assert len(measure.seen) == len(GRID) - done


def test_a_killed_sweep_goes_on_where_it_was(tmp_path):
    """The whole program dies, without a chance to clean up."""
    path, script = tmp_path / "sweep.csv", tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]!r}
            from concurrent.futures import ThreadPoolExecutor
            import os
            from test_sweep import GRID, loss
            from lmlib.scaling import sweep

            def measure(width, seed):
                if width == 32:
                    os._exit(9)
                return loss(width, seed)

            sweep.run(GRID, measure, {str(path)!r}, ThreadPoolExecutor(1), progress=False)
        """)
    )
    assert subprocess.run([sys.executable, script], check=False, timeout=120).returncode == 9
    measure = Counting()
    assert run(GRID, measure, path) == expected()
    assert 2 <= len(measure.seen) <= 6 and set(measure.seen) >= {(32, 0), (32, 1)}


# ------------------------------------------------------------------------------------- a cluster
@pytest.mark.slow
def test_a_dask_cluster_loses_a_worker_and_no_result(tmp_path):
    distributed = pytest.importorskip("distributed")
    path = tmp_path / "sweep.csv"
    configurations = [
        {"width": width, "seed": seed, "folder": str(tmp_path)}
        for width in (8, 16, 32, 64)
        for seed in range(5)
    ]
    Path(tmp_path, "kill-16-3").touch()
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = set(client.run(os.getpid).values())
        assert len(before) == 2
        rows = run(configurations, once_deadly, path, client.get_executor())
        assert not Path(tmp_path, "kill-16-3").exists()  # one of them did die
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(client.scheduler_info()["workers"]) < 2:
            time.sleep(0.1)
        assert set(client.run(os.getpid).values()) != before
        # The cluster is still there for the next sweep, and this one has nothing left to do.
        assert run(configurations, None, path, client.get_executor()) == rows
    assert [row["loss"] for row in rows] == [loss(r["width"], r["seed"])["loss"] for r in rows]
    assert calls(tmp_path, 16, 3) == 2
    assert len(path.read_text().splitlines()) == 1 + len(configurations)


# ------------------------------------------------------------------------------------ bad input
def test_configurations_that_cannot_be_told_apart_are_refused(tmp_path):
    path = tmp_path / "sweep.csv"
    for configurations, message in (
        ([], "nothing to run"),
        ([{"n": 1}, {"n": 1}], "occurs twice; add a seed"),
        ([{"n": 1}, {"m": 1}], r"needs the keys \['n'\]"),
        ([{"n": [1, 2]}], r"n must be an int, .* got \[1, 2\] \(list\)"),
        ([{"n": None}], "got None"),
        ([{"n": "a\nb"}], "n must be a single line"),
    ):
        with pytest.raises(ValueError, match=message):
            run(configurations, loss, path)
    with pytest.raises(ValueError, match="attempts must be at least 1"):
        run(GRID, loss, path, attempts=0)
    assert not path.exists()


def test_the_file_of_another_sweep_is_left_alone(tmp_path):
    path = tmp_path / "sweep.csv"
    for content in (
        "depth,seed,loss\n1,0,2.5\n",
        "width,seed\n8,0\n",
        "seed,width,loss\n",
        "no table",
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match="is it from another sweep"):
            run(GRID, loss, path)
        assert path.read_text() == content


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (3.5, "must return a dict of results, got 3.5"),
        ({}, "must return a dict"),
        ({"seed": 1}, r"\['seed'\] are keys of the configuration and of the results"),
        ({"loss": [1]}, "loss must be an int"),
    ],
)
def test_results_that_are_none_fail_their_run_only(tmp_path, results, message):
    path = tmp_path / "sweep.csv"
    with pytest.raises(sweep.SweepError, match=message):
        run(GRID, lambda width, seed: results if width == 16 else loss(width, seed), path)
    assert len(run(GRID, loss, path)) == len(GRID)


def test_results_must_keep_their_columns(tmp_path):
    with pytest.raises(sweep.SweepError, match="every run must return the same results"):
        run(GRID, lambda width, seed: {"a" if seed else "b": 1.0}, tmp_path / "sweep.csv")
