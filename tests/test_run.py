"""run.py without a network: what it decides, says and leaves behind."""

import ast
import http.server
import importlib
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import run

ROOT = Path(__file__).resolve().parents[1]


# --------------------------------------------------------------------------- which Python, said how


def test_an_old_python_can_read_the_file():
    ast.parse((ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 8, 18), (3, 10, 13)])
def test_an_old_python_gets_one_line(version, monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    with pytest.raises(run.Stop) as stop:
        run.check_python(version)
    assert str(stop.value) == (
        f"Python 3.11, 3.12 or 3.13 is needed, this is {version[0]}.{version[1]}: "
        "get it from python.org."
    )


def test_a_newer_python_beside_the_old_one_is_named(monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda name: name == "python3.12")
    with pytest.raises(run.Stop, match=re.escape("run `python3.12 run.py` instead.")):
        run.check_python((3, 9, 2))


def test_supported_pythons_pass_and_later_ones_get_a_note(capsys):
    for minor in (11, 12, 13):
        run.check_python((3, minor, 0))
    assert capsys.readouterr().out == ""
    run.check_python((3, 14, 0))
    assert "3.14 is newer than those tested" in capsys.readouterr().out


def test_an_unknown_command_prints_the_help(capsys):
    assert run.main(["serve"]) == 2
    assert run.main(["help"]) == 0
    out = capsys.readouterr().out
    assert all(f"run.py {command}" in out for command in run.COMMANDS if command != "build")


# ------------------------------------------------------------------------------- what helps

# From real runs, shortened.
OFFLINE = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)'
ERROR: Could not find a version that satisfies the requirement jupyter-book (from versions: none)
ERROR: No matching distribution found for jupyter-book==1.0.4.post1
"""


@pytest.mark.parametrize(
    ("log", "help_"),
    [
        (OFFLINE, "package server cannot be reached"),
        ("npm error code EAI_AGAIN", "package server cannot be reached"),
        ("error: npm could not install the parts named", "package server cannot be reached"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build for this Python"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("npm error ENOSPC: no space left on device, write", "disk is full"),
        ("PermissionError: [Errno 13] Permission denied: '.venv'", "could not be written"),
        ("[WinError 5] Access is denied: 'python.exe'", "could not be written"),
        ("error: command 'gcc' failed: No such file or directory", "tried to compile"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'", "certificate was ref"),
        ("zipfile.BadZipFile: File is not a zip file", "arrived damaged"),
        ("Collecting torch\n(exit status -9)", "ran out of memory"),
    ],
)
def test_advice_fits_the_failure(log, help_):
    assert help_ in run.advice(log)


def test_no_advice_is_better_than_a_wrong_one():
    assert (
        run.advice("index.md:13: WARNING: cross-reference target not found (exit status 1)") == ""
    )


def test_a_short_output_is_shown_whole_and_a_long_one_by_its_errors():
    assert run.complaints(["what went wrong\n", "error: x\n"]) == "what went wrong\nerror: x\n"
    lines = ["Collecting x\n"] * 50 + ["WARNING: Location is ignored\n", "ERROR: broken\n"]
    assert run.complaints(lines) == "ERROR: broken\n"


# ---------------------------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_log_gets_a_line_every_15_seconds():
    clock, out = Clock(), io.StringIO()
    progress = run.Progress("installing", out, clock)
    for clock.now in range(60):
        progress.update("Collecting torch")
    progress.finish("done")
    assert out.getvalue().splitlines() == [
        "installing ...",
        *(f"installing {seconds:4} s  Collecting torch" for seconds in (15, 30, 45)),
        "installing: done in 59 s",
    ]


def test_a_terminal_gets_one_line_that_fits(monkeypatch):
    monkeypatch.setattr(run.shutil, "get_terminal_size", lambda: os.terminal_size((40, 24)))
    clock, out = Clock(), Terminal()
    progress = run.Progress("installing", out, clock)
    progress.update("Downloading " + "x" * 100)
    progress.update("short")
    progress.finish("done")
    shown = out.getvalue().rstrip("\n").split("\r")[1:]
    assert [line.split()[-1] for line in shown] == ["...", "x" * 8, "short", "s"]
    assert max(map(len, shown)) < 40
    assert len(shown[2]) == len(shown[1])  # the shorter line covers the longer one
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Collecting numpy==2.4.6 (from -r requirements.txt (line 6))", "Collecting numpy==2.4.6"),
        ("  Downloading torch-2.13.0.whl (192.2 MB)", "Downloading torch-2.13.0.whl (192.2 MB)"),
        ("Installing collected packages: a, b, c", "unpacking 3 packages"),
        ("WARNING: Retrying (Retry(total=4", "no answer from the package server, trying again"),
        ("reading sources... [ 50%] index", "reading sources... [ 50%] index"),
        ("Requirement already satisfied: x", None),
    ],
)
def test_headline(line, words):
    assert run.headline(line) == words


# -------------------------------------------------------------------------------------- steps


def test_a_step_keeps_everything_in_its_log(tmp_path, capsys):
    log = tmp_path / "new" / "x.log"
    code = "import sys; print('out'); print('\\x1b[91merr\\x1b[0m', file=sys.stderr)"
    run.step("working", [sys.executable, "-c", code], log)
    assert sorted(log.read_text(encoding="utf-8").splitlines()[-2:]) == ["err", "out"]
    assert "working: done in" in capsys.readouterr().out


def test_a_failed_step_says_what_to_do_and_where_to_look(tmp_path, capsys):
    code = "import sys; print('ERROR: [Errno 28] No space left on device'); sys.exit(3)"
    with pytest.raises(run.Stop) as stop:
        run.step("working", [sys.executable, "-c", code], tmp_path / "x.log")
    for part in ("ERROR: [Errno 28]", "The disk is full.", str(tmp_path / "x.log")):
        assert part in str(stop.value)
    assert "working: FAILED in" in capsys.readouterr().out


def test_ctrl_c_stops_the_child_too(tmp_path, monkeypatch):
    children = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: children.append(popen(*a, **k)) or children[0]
    )

    def interrupt(self, doing):
        raise KeyboardInterrupt

    monkeypatch.setattr(run.Progress, "update", interrupt)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run.step("w", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "x.log")
    assert children[0].poll() is not None
    assert time.monotonic() - started < 20


def test_children_see_nobody_elses_packages(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    ours = run.child_environment(EXTRA="1")
    assert "PYTHONPATH" not in ours
    assert (ours["PIP_USER"], ours["PYTHONUTF8"], ours["EXTRA"]) == ("0", "1", "1")


# -------------------------------------------------------------------------------- environments


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder of its own, in which steps are recorded instead of run."""
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(run, "answers", lambda url: False)
    for name in (*run.REQUIREMENTS["all"], "constraints.txt"):
        (tmp_path / name).write_text("torch==2.13.0\n" if name == "requirements.txt" else "x==1\n")
    steps = []

    def step(title, command, log):
        steps.append(title)
        if "venv" in command:
            python = Path(command[-1], "Scripts/python.exe" if os.name == "nt" else "bin/python")
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
            Path(run.sysconfig.get_path("purelib", "venv", vars={
                "base": str(command[-1]), "platbase": str(command[-1])
            })).mkdir(parents=True, exist_ok=True)  # fmt: skip

    monkeypatch.setattr(run, "step", step)
    return tmp_path, steps


INSTALL = ["preparing book", "installing book"]


def test_the_second_run_installs_nothing(project):
    _, steps = project
    first = run.environment("book")
    assert first.exists()
    assert steps == INSTALL
    assert run.environment("book") == first
    assert steps == INSTALL


@pytest.mark.parametrize("file", ["requirements-book.txt", "constraints.txt"])
def test_a_changed_pin_rebuilds(project, file):
    root, steps = project
    run.environment("book")
    (root / "requirements.txt").write_text("not the book's business\n")
    run.environment("book")
    assert steps == INSTALL
    (root / file).write_text("x==2\n")
    run.environment("book")
    assert steps == INSTALL * 2


def test_another_python_rebuilds(project, monkeypatch):
    _, steps = project
    run.environment("book")
    monkeypatch.setattr(run.platform, "python_version_tuple", lambda: ("3", "99", "0"))
    run.environment("book")
    assert steps == INSTALL * 2


def test_a_missing_interpreter_rebuilds(project):
    _, steps = project
    run.environment("book").unlink()
    run.environment("book")
    assert steps == INSTALL * 2


@pytest.mark.parametrize("failure", [KeyboardInterrupt, run.Stop])
def test_an_interrupted_install_is_not_taken_for_a_whole_one(project, monkeypatch, failure):
    root, steps = project
    run.environment("book")
    (root / "requirements-book.txt").write_text("x==2\n")

    def fail(*_):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(run, "pip", fail)
        with pytest.raises(failure):
            run.environment("book")
    (root / "requirements-book.txt").write_text("x==1\n")  # even where the old stamp would fit
    run.environment("book")
    assert steps == [*INSTALL, "preparing book", *INSTALL]


def test_the_environment_finds_lmlib_and_follows_a_moved_folder(project, monkeypatch):
    root, _ = project
    run.environment("book")
    [path_file] = root.rglob("lmlib-course.pth")
    assert path_file.read_text() == f"{root}\n"
    monkeypatch.setattr(run, "ROOT", root / "moved")
    run.find_ourselves(root / ".venv" / "book")
    assert path_file.read_text() == f"{root / 'moved'}\n"


def test_a_python_without_venv_is_explained(project, monkeypatch):
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(run.Stop, match="sudo apt install python3-venv"):
        run.environment("book")


def test_torch_for_the_cpu_where_its_index_answers(project, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "pip", lambda python, title, log, *arguments: asked.append(arguments))
    monkeypatch.setattr(run.sys, "platform", "linux")
    monkeypatch.delenv("LM_CUDA", raising=False)
    log = Path("x.log")

    run.install_cpu_torch("python", log)
    assert asked == []  # the index does not answer
    monkeypatch.setattr(run, "answers", lambda url: url.startswith(run.TORCH_CPU))
    run.install_cpu_torch("python", log)
    assert asked == [("torch==2.13.0", "--index-url", run.TORCH_CPU)]
    monkeypatch.setenv("LM_CUDA", "1")
    run.install_cpu_torch("python", log)
    monkeypatch.delenv("LM_CUDA")
    monkeypatch.setattr(run.sys, "platform", "darwin")
    run.install_cpu_torch("python", log)
    assert len(asked) == 1


def test_without_the_cpu_build_the_install_goes_on(project, monkeypatch):
    monkeypatch.setattr(run.sys, "platform", "linux")
    monkeypatch.setattr(run, "answers", lambda url: True)

    def refuse(*_):
        raise run.Stop("gone")

    monkeypatch.setattr(run, "pip", refuse)
    run.install_cpu_torch("python", Path("x.log"))


def test_without_a_compiler_the_install_goes_on_and_says_so(project, monkeypatch, capsys):
    def refuse(python, title, log, *arguments):
        if run.PEERS in arguments:
            raise run.Stop("no C++ compiler")

    monkeypatch.setattr(run, "pip", refuse)
    assert run.environment("all").exists()
    assert "it needs a C++ compiler. Going on" in capsys.readouterr().out


def test_a_changed_peer_rebuilds_the_full_environment_only(project):
    root, steps = project
    run.environment("book")
    run.environment("all")
    before = len(steps)
    (root / run.PEERS).write_text("x==2\n")
    run.environment("book")
    assert len(steps) == before
    run.environment("all")
    assert steps[before:] == [
        "preparing all",
        "installing all",
        "installing programs to compare with",
    ]


def test_a_slow_name_lookup_is_not_waited_for(monkeypatch):
    def look_up(*_, **__):
        time.sleep(2)
        raise OSError

    monkeypatch.setattr(run.urllib.request, "urlopen", look_up)
    started = time.monotonic()
    assert not run.answers("https://example.org/", seconds=0.1)
    assert time.monotonic() - started < 1.5


def test_answers_in_time_or_not_at_all():
    class Yes(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with run.open_server(0, Yes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert run.answers(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts, and never says a word
        started = time.monotonic()
        assert not run.answers(f"http://127.0.0.1:{mute.getsockname()[1]}/", seconds=0.3)
        assert time.monotonic() - started < 2
        closed = mute.getsockname()[1]
    assert not run.answers(f"http://127.0.0.1:{closed}/")


# ----------------------------------------------------------------------------- building, serving


def test_a_failed_build_starts_over_and_a_good_one_goes_on(project, monkeypatch):
    root, steps = project
    (root / "_config.yml").write_text("title: x\n")
    page = root / "_build" / "html" / "index.html"

    def build(title, command, log, fails=False):
        if title == "building the book":
            page.parent.mkdir(parents=True, exist_ok=True)
            steps.append("warm" if page.exists() else "cold")
            page.touch()
            if fails:
                raise run.Stop("a warning")

    monkeypatch.setattr(run, "environment", lambda name: Path("python"))
    monkeypatch.setattr(run, "step", build)
    run.build()
    run.build()
    (root / "_config.yml").write_text("title: y\n")
    run.build()
    monkeypatch.setattr(run, "step", lambda *a: build(*a, fails=True))
    with pytest.raises(run.Stop):
        run.build()
    monkeypatch.setattr(run, "step", build)
    run.build()
    assert steps == ["cold", "warm", "cold", "warm", "cold"]


def test_the_published_address_shapes_every_page(project, monkeypatch):
    root, _ = project
    monkeypatch.setattr(run, "environment", lambda name: Path("python"))
    monkeypatch.setattr(run, "step", lambda *_: (root / "_build").mkdir(exist_ok=True))
    stamps = []
    for address in ("", "https://example.org/book/"):
        monkeypatch.setenv("BOOK_URL", address)
        run.build()
        stamps.append((root / "_build" / "inputs.txt").read_text())
    assert stamps[0] != stamps[1]


def test_a_taken_port_gives_the_next_one():
    with run.open_server(0, run.Handler) as first:
        taken = first.server_port
        with run.open_server(taken, run.Handler) as second:
            assert second.server_port > taken
            assert second.server_address[0] == "127.0.0.1"
        with pytest.raises(run.Stop, match=f"No free port from {taken} on"):
            run.open_server(taken, run.Handler, tries=1)
    with run.open_server(taken, run.Handler) as again:
        assert again.server_port == taken


@pytest.mark.parametrize("text", ["http", "-1", "65536", "", "80.5"])
def test_a_wrong_port_is_explained(text):
    with pytest.raises(run.Stop, match=re.escape(f"not {text!r}")):
        run.wanted_port(text)


def test_the_server_serves_the_book_quietly(tmp_path, capfd):
    (tmp_path / "a.js").write_text("1")
    (tmp_path / "b.woff2").write_text("2")
    handler = run.functools.partial(run.Handler, directory=str(tmp_path))
    with run.open_server(0, handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, kind in (("a.js", "text/javascript"), ("b.woff2", "font/woff2")):
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{name}") as answer:
                assert answer.headers["Content-Type"] == kind
        server.shutdown()
    assert capfd.readouterr() == ("", "")


def test_book_knows_its_one_option(capsys):
    assert run.main(["book", "--fast"]) == 1
    assert "--no-serve" in capsys.readouterr().err


# -------------------------------------------------------------------------------------- testing


def test_the_browser_named_by_the_environment_comes_first(tmp_path, monkeypatch):
    chrome = tmp_path / "chrome"
    chrome.touch()
    monkeypatch.setenv("CHROMIUM", str(chrome))
    assert run.browser() == str(chrome)


def test_without_a_browser_the_tests_say_which_package_to_install(monkeypatch, capsys):
    monkeypatch.setattr(run, "browser", lambda: None)
    monkeypatch.setattr(run, "build", lambda: None)
    monkeypatch.setattr(run, "environment", lambda name: "python")
    monkeypatch.setattr(run, "call", lambda *a, **k: 1)
    assert run.main(["test"]) == 1
    assert "sudo apt install chromium" in capsys.readouterr().err


@pytest.fixture
def called(monkeypatch):
    """What `run.py test` would call, each call with its settings; the first one fails."""
    calls = []
    monkeypatch.setattr(run, "browser", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(run, "build", lambda: None)
    monkeypatch.setattr(run, "environment", lambda name: "python")
    monkeypatch.setattr(run, "other_machine", lambda python: {"OMP_NUM_THREADS": "1"})
    monkeypatch.setattr(run, "call", lambda *a, **k: calls.append((a[1:], k)) or len(calls) == 1)
    return calls


def test_one_failed_check_fails_the_run_and_hides_no_other(called, capsys):
    assert run.main(["test"]) == 1
    assert capsys.readouterr().err == "failed: code style\n"
    modules = [arguments[1] for arguments, _ in called]
    assert modules == ["ruff", "ruff", "codespell_lib", "pytest", "pytest", "pytest"]
    other, here, tests = called[3:]
    assert other[1] == {"OMP_NUM_THREADS": "1"}
    assert other[0][2] == "chapters"
    assert other[0][-3:] == ("loadscope", "--nbval-sanitize-with", "tests/other_machine.cfg")
    assert here == (("-m", "pytest", "chapters"), {})
    assert tests[0][:3] == ("-m", "pytest", "tests")  # last: its closing line counts them
    assert tests[1]["CHROMIUM"] == "/usr/bin/chromium"


def test_arguments_go_to_pytest_alone(called):
    assert run.main(["test", "tests/test_ngram.py", "-x"]) == 1
    assert called == [
        (("-m", "pytest", "tests/test_ngram.py", "-x"), {"CHROMIUM": "/usr/bin/chromium"})
    ]


def test_the_other_machine_really_computes_without_wide_simd():
    settings = run.other_machine(sys.executable)
    code = (
        "import numpy._core._multiarray_umath as m;"
        "print(*[f for f in m.__cpu_dispatch__ if m.__cpu_features__[f]])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=dict(os.environ, **settings),
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_bench_lists_and_runs(project, monkeypatch, capsys):
    root, _ = project
    assert run.main(["bench"]) == 0
    assert "no benchmark yet" in capsys.readouterr().out
    (root / "benchmarks").mkdir()
    for name in ("counting.py", "smoothing.py", "_shared.py"):
        (root / "benchmarks" / name).touch()
    assert run.main(["bench"]) == 0
    assert capsys.readouterr().out == "counting\nsmoothing\n"
    assert run.main(["bench", "sorting"]) == 1
    assert "there are: counting, smoothing" in capsys.readouterr().err
    calls = []
    monkeypatch.setattr(run, "call", lambda *command: calls.append(command[1:]) or 1)
    assert run.main(["bench", "counting", "part", "--write"]) == 1  # its own status
    assert calls == [(root / "benchmarks" / "counting.py", "part", "--write")]


# ---------------------------------------------------------- what is written down twice must agree


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def test_every_requirement_is_an_exact_version_named_once():
    files = (*run.REQUIREMENTS["all"], "constraints.txt")
    names = []
    for line in [line for name in files for line in pins(name)]:
        requirement = Requirement(line)
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), line
        names.append(re.sub(r"[-_.]+", "-", requirement.name.lower()))
    assert sorted(names) == sorted(set(names))


def test_the_pins_lie_in_the_ranges_of_the_library():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = {
        Requirement(p).name: str(Requirement(p).specifier)[2:] for p in pins("requirements.txt")
    }
    for dependency in map(Requirement, project["dependencies"]):
        assert dependency.specifier.contains(versions[dependency.name]), dependency


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    assert importlib.import_module("lmlib").__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## ([\d.]+)", changelog, re.M)[1] == version


@pytest.mark.parametrize(
    "file", ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/ci.yml", "index.md"]
)
def test_documented_commands_exist(file):
    commands = re.findall(r"run\.py ([a-z]+)", (ROOT / file).read_text(encoding="utf-8"))
    assert commands
    assert set(commands) <= set(run.COMMANDS)
