#!/usr/bin/env python3
"""One entry point for the course. It needs nothing but Python.

    python3 run.py book              install what reading needs, build the book, serve it here
    python3 run.py book --no-serve   the same without serving (`build` is a shorter name for it)
    python3 run.py test [args]       install everything, run every check; args go to pytest instead
    python3 run.py lab [args]        open the notebooks in JupyterLab
    python3 run.py nb [names]        execute chapters, store their outputs (--check: only compare)
    python3 run.py bench [name …]    run benchmarks/<name>.py with its options; no name: list them

Environments live in .venv/, logs in .venv/*.log. PORT=9000 chooses the port of the book,
LM_CUDA=1 takes the torch build that pip finds instead of the smaller CPU build.
"""

# This file must parse on any Python 3.6, so that an old one can say what is needed.
import functools
import hashlib
import http.server
import importlib.util
import os
import platform
import queue
import re
import shutil
import socketserver
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SITE = ROOT / "_build" / "html"
OLDEST, NEWEST = (3, 11), (3, 13)
CONSTRAINTS, PEERS = "constraints.txt", "requirements-peers.txt"
REQUIREMENTS = {
    "book": ["requirements-book.txt"],
    "all": ["requirements.txt", "requirements-book.txt", PEERS],  # the first names the second
}
TORCH_CPU = "https://download.pytorch.org/whl/cpu"
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # no script: a moved folder works
BUILD_FLAGS = ["-W", "--keep-going", "-n"]  # warnings are errors, all of them, links included


class Stop(Exception):
    """End here; the message says what happened and what to do."""


# ------------------------------------------------------------------ what goes wrong, and what helps

ADVICE = [
    (
        r"No space left on device|Errno 28\b|WinError 112\b|ENOSPC",
        "The disk is full. Reading needs about 0.6 GB in this folder, the tests about 3 GB. "
        "Make room (`python3 -m pip cache purge` empties pip's own store) and run again.",
    ),
    (
        r"MemoryError|Cannot allocate memory|\(exit status -9\)|\(exit status 137\)",
        "The machine ran out of memory. Close other programs and run again.",
    ),
    (
        r"Permission denied|Operation not permitted|Access is denied|Read-only file system"
        r"|Errno 13\b|Errno 30\b|WinError 5\b|WinError 32\b|EACCES|EPERM",
        "A file could not be written. Keep this folder in your own home directory, on a disk that "
        "allows links, close programs that use .venv, do not use sudo, and run again.",
    ),
    (
        r"Microsoft Visual C\+\+|error: command '?.*(gcc|cc|clang|cl\.exe)|Failed building wheel"
        r"|metadata-generation-failed|Failed to build",
        "pip found no ready-made package for this Python and tried to compile one. "
        "Use a 64-bit Python 3.11, 3.12 or 3.13.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER",
        "The server's certificate was refused. Check this machine's clock; in a company network "
        "set PIP_CERT and NODE_EXTRA_CA_CERTS to its certificate file and run again.",
    ),
    (
        r"NewConnectionError|Failed to establish a new connection|NameResolutionError"
        r"|name resolution|getaddrinfo|ProxyError|ConnectTimeoutError|ReadTimeout|ConnectionReset"
        r"|RemoteDisconnected|Network is unreachable|Max retries exceeded"
        r"|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|npm could not install",
        "The package server cannot be reached. Check the connection (behind a proxy: set "
        "HTTPS_PROXY) and run again; what was already downloaded is kept.",
    ),
    (
        r"DO NOT MATCH THE HASHES|BadZipFile|IncompleteRead|EINTEGRITY|invalid distribution",
        "A download arrived damaged. Run `python3 -m pip cache purge`, then run again.",
    ),
    (
        r"No matching distribution found|Could not find a version|requires a different Python",
        "A package has no build for this Python and system. Use a 64-bit Python 3.11, 3.12 or "
        "3.13 (torch has none for Macs with an Intel processor: there only `book` works).",
    ),
]

CHROMIUM_ADVICE = """\
The site's tests need a Chromium browser. Install one and run again:
  Debian, Ubuntu   sudo apt install chromium
  Fedora           sudo dnf install chromium
  macOS            brew install --cask chromium       (Google Chrome works too)
  Windows          winget install Google.Chrome
To leave these tests out:  python3 run.py test tests --ignore=tests/test_site.py"""


def advice(log):
    """The sentence that helps after a failed step, from what the step printed ('' if unknown)."""
    return next((help_ for pattern, help_ in ADVICE if re.search(pattern, log, re.I)), "")


def check_python(version=sys.version_info):
    """Stop with one line unless this Python is new enough; name a newer one if it is installed."""
    if tuple(version[:2]) >= OLDEST:
        if tuple(version[:2]) > NEWEST:
            print("note: Python {}.{} is newer than those tested (3.11 to 3.13)".format(*version))
        return
    newer = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
    raise Stop(
        "Python 3.11, 3.12 or 3.13 is needed, this is {}.{}: ".format(*version)
        + (f"run `{newer[0]} run.py` instead." if newer else "get it from python.org.")
    )


# ---------------------------------------------------------------------- running things, visibly


class Progress:
    """One live line on a terminal; elsewhere a plain line every 15 seconds, so that logs live."""

    def __init__(self, title, stream=None, clock=time.monotonic, every=15):
        self.title, self.clock, self.every = title, clock, every
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.started = self.printed = clock()
        self.width = 0
        self.write(title + " ...")

    def update(self, doing):
        now = self.clock()
        if not self.live and now - self.printed < self.every:
            return
        self.printed = now
        self.write(f"{self.title} {now - self.started:4.0f} s  {doing}")

    def finish(self, word):
        self.write(f"{self.title}: {word} in {self.clock() - self.started:.0f} s")
        if self.live:
            print(file=self.stream, flush=True)

    def write(self, text):
        if not self.live:
            print(text, file=self.stream, flush=True)
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        print("\r" + text.ljust(self.width), end="", file=self.stream, flush=True)
        self.width = len(text)


def headline(line):
    """What pip or Sphinx does now, in a few words; None if this line does not say."""
    line = line.strip()
    if line.startswith("Installing collected packages:"):
        return "unpacking {} packages".format(line.count(",") + 1)
    if "Retrying (" in line:
        return "no answer from the package server, trying again"
    match = re.match(r"(Collecting|Downloading|Building|reading sources|writing output)\b.*", line)
    return re.sub(r" \(from .*", "", match.group()) if match else None


def child_environment(**extra):
    """The environment of everything started here: UTF-8, nobody else's packages, nothing asked."""
    ours = dict(os.environ, PYTHONUTF8="1", PYTHONNOUSERSITE="1", PIP_USER="0", PIP_NO_INPUT="1")
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX"):
        ours.pop(name, None)
    return dict(ours, **extra)


def step(title, command, log):
    """Run a long command: progress here, its output in `log`, advice if it fails."""
    progress, said, doing = Progress(title), [], "working"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as record:
        record.write("\n$ {}\n".format(" ".join(map(str, command))))
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=str(ROOT),
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        lines = queue.Queue()
        reader = threading.Thread(target=read_lines, args=(process.stdout, lines), daemon=True)
        reader.start()  # a thread, because the seconds must move while pip is silent
        try:
            while True:
                try:
                    line = lines.get(timeout=0.25)
                    if line is None:
                        break
                    record.write(line)
                    record.flush()
                    said.append(line)
                    doing = headline(line) or doing
                except queue.Empty:
                    pass
                progress.update(doing)
            status = process.wait()
        except BaseException:  # Ctrl+C must not leave pip running behind our back
            process.terminate()
            process.wait()
            reader.join(2)
            progress.finish("stopped")
            raise
    if status == 0:
        progress.finish("done")
        return
    progress.finish("FAILED")
    help_ = advice("".join(said) + f"(exit status {status})")
    raise Stop(f"{complaints(said)}\n{help_}\nThe whole log is in {log}")


def read_lines(pipe, lines):
    """Put each line of a pipe into a queue, without its colours; None at the end."""
    with pipe:
        for line in pipe:
            lines.put(re.sub(r"\x1b\[[0-9;]*m", "", line))
    lines.put(None)


def complaints(lines, most=20):
    """What a reader must see of a failed step's output: all of it if short, else the errors."""
    lines = [line for line in lines if "Retrying (" not in line and "is ignored" not in line]
    errors = [line for line in lines if re.search(r"\b(error|warning)\b", line, re.I)]
    return "".join((errors if errors and len(lines) > most else lines)[-most:])


def call(python, *arguments, **environment):
    """Run a command that talks to the terminal itself; return its exit status."""
    command = [str(python)] + [str(argument) for argument in arguments]
    return subprocess.run(command, cwd=str(ROOT), env=child_environment(**environment)).returncode


# ------------------------------------------------------------------------------- environments


def fingerprint(paths, *extra):
    """Changes when one of these files (or `extra`) changes."""
    digest = hashlib.sha256(repr(extra).encode())
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def read_stamp(path):
    return path.read_text(encoding="utf-8") if path.is_file() else None


def environment(name):
    """The Python of .venv/<name>; installed first if it is missing, half made or out of date."""
    folder, log = VENV / name, VENV / (name + ".log")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed.txt"  # written last: an interrupted install has none
    wanted = fingerprint(
        [ROOT / file for file in [*REQUIREMENTS[name], CONSTRAINTS]],
        platform.python_implementation(),
        platform.python_version_tuple()[:2],
        platform.system(),
        platform.machine(),
    )
    if not (python.exists() and read_stamp(stamp) == wanted):
        create(folder, log)
        if name == "all":
            install_cpu_torch(python, log)
        pip(python, "installing " + name, log, "-r", REQUIREMENTS[name][0], "-c", CONSTRAINTS)
        if name == "all":
            install_peers(python, log)
        stamp.write_text(wanted, encoding="utf-8")
    find_ourselves(folder)
    return python


def create(folder, log):
    """Make an empty virtual environment, over whatever was there."""
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise Stop(
            "This Python cannot make virtual environments. On Debian and Ubuntu:\n"
            "  sudo apt install python3-venv\nand run again."
        )
    log.unlink(missing_ok=True)
    (folder / "installed.txt").unlink(missing_ok=True)
    step("preparing " + folder.name, [sys.executable, "-m", "venv", "--clear", folder], log)


def pip(python, title, log, *arguments):
    quiet = ["--progress-bar", "off", "--disable-pip-version-check"]
    step(title, [python, "-m", "pip", "install", *quiet, *arguments], log)


def install_cpu_torch(python, log):
    """Take torch's CPU build where its index answers: on Linux pip's choice brings 3 GB of CUDA.

    Not an --extra-index-url in requirements.txt: pip would ask that index for every package, and
    wait a minute and a half for each refusal where it is out of reach.
    """
    if sys.platform != "linux" or os.environ.get("LM_CUDA") or not answers(TORCH_CPU + "/torch/"):
        return
    torch = re.search(r"^torch==\S+", (ROOT / "requirements.txt").read_text("utf-8"), re.M).group()
    try:
        pip(python, "installing torch for the CPU", log, torch, "--index-url", TORCH_CPU)
    except Stop:
        print("The CPU build could not be installed; going on with the one pip finds.")


def install_peers(python, log):
    """Take the programs we compare with, where they can be had; nothing else depends on them."""
    try:
        pip(python, "installing programs to compare with", log, "-r", PEERS, "-c", CONSTRAINTS)
    except Stop:
        print("KenLM could not be installed: it needs a C++ compiler. Going on; the tests that")
        print("compare with it will be skipped, and say so.")


def answers(url, seconds=4):
    """True if the address answers in time; in a thread, as a name lookup knows no time limit."""
    answered = []

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                answered.append(True)
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answered)


def find_ourselves(folder):
    """Let the environment import lmlib from this folder, wherever the folder is today.

    A path file instead of `pip install -e .`: no build tools to download, true after a move, and
    it also holds for kernels that an editor starts.
    """
    base = str(folder)
    packages = sysconfig.get_path("purelib", "venv", vars={"base": base, "platbase": base})
    path_file = Path(packages) / "lmlib-course.pth"
    if read_stamp(path_file) != str(ROOT) + "\n":
        path_file.write_text(str(ROOT) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------ commands


def build():
    """Build the book into _build/html; return the Python it was built with."""
    python, log = environment("book"), VENV / "build.log"
    log.unlink(missing_ok=True)
    step("front-end parts", [python, "-m", "sphinx_ext.frontend"], log)
    # Sphinx re-reads changed pages only, and reports the warnings of those pages only. So start
    # over after a failure, and when something that shapes every page has changed.
    stamp = ROOT / "_build" / "inputs.txt"
    shared = [*ROOT.glob("_*.yml"), *ROOT.glob("sphinx_ext/**/*.*"), *ROOT.glob("static/*.*")]
    shared = [path for path in shared if path.is_file() and path.suffix != ".pyc"]
    settings = [os.environ.get(name) for name in ("BOOK_URL", "BOOK_REPO", "BOOK_BRANCH")]
    wanted = fingerprint(shared, settings, read_stamp(VENV / "book" / "installed.txt"))
    if read_stamp(stamp) != wanted:
        shutil.rmtree(str(ROOT / "_build"), ignore_errors=True)
    else:
        stamp.unlink()
    step("building the book", [python, "-c", JUPYTER_BOOK, "build", ".", *BUILD_FLAGS], log)
    stamp.write_text(wanted, encoding="utf-8")
    return python


class Handler(http.server.SimpleHTTPRequestHandler):
    """Quiet, and with our own file types: Windows may call a script text/plain and break it."""

    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".css": "text/css",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".woff2": "font/woff2",
        ".ipynb": "application/x-ipynb+json",
    }

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # on Windows it would let two servers share one port


def open_server(first, handler, tries=50):
    """A server on 127.0.0.1 at port `first`, or at the next one that is free."""
    for port in range(first, min(first + tries, 65536)):
        try:
            return Server(("127.0.0.1", port), handler)
        except OSError:
            continue
    raise Stop(f"No free port from {first} on. Choose another: PORT=9000 python3 run.py book")


def wanted_port(text):
    """The port named in PORT."""
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise Stop(f"PORT must be a number from 0 to 65535, not {text!r}.")
    return int(text)


def book(arguments):
    if arguments not in ([], ["--no-serve"]):
        raise Stop("`book` knows one option, --no-serve; given: " + " ".join(arguments))
    port = wanted_port(os.environ.get("PORT", "8000"))
    build()
    if arguments:
        print("The book is in {}".format(SITE / "index.html"))
        return
    with open_server(port, functools.partial(Handler, directory=str(SITE))) as server:
        print(f"\nThe book is at  http://127.0.0.1:{server.server_port}/   (Ctrl+C stops it)")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def browser():
    """Path of a Chromium that the site's tests can drive, or None."""
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
    found = [os.environ.get("CHROMIUM")] + [shutil.which(name) for name in names]
    programs = [os.environ.get(name, "") for name in ("PROGRAMFILES", "PROGRAMFILES(X86)")]
    found += [folder + r"\Google\Chrome\Application\chrome.exe" for folder in programs if folder]
    found += [
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ]
    return next((path for path in found if path and Path(path).is_file()), None)


OTHER_CPU = """
from numpy._core._multiarray_umath import __cpu_dispatch__ as known, __cpu_features__ as has
print(*[name for name in known if has[name]])
"""


def other_machine(python):
    """Settings under which this computer rounds like another: no wide SIMD, one thread.

    numpy refuses names it does not know, so it is asked which ones it would use here.
    """
    names = subprocess.run(
        [str(python), "-c", OTHER_CPU], stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    return {
        "NPY_DISABLE_CPU_FEATURES": names.stdout.strip(),
        "ATEN_CPU_CAPABILITY": "default",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def test(arguments):
    """Every check; with arguments, only what pytest selects by them."""
    chromium = browser()
    build()
    python = environment("all")
    if arguments:
        return call(python, "-m", "pytest", *arguments, **chromium_setting(chromium))
    if not chromium:  # playwright's own, where it can be downloaded
        print("No Chromium found; trying to download one for these tests only.")
        if call(python, "-m", "playwright", "install", "chromium"):
            raise Stop(CHROMIUM_ADVICE)
    # Workers share the cores: with more threads than that, small matrices take many times longer.
    together = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist"]
    elsewhere = [*together, "loadscope", "--nbval-sanitize-with", "tests/other_machine.cfg"]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    checks = [
        ("code style", ["-m", "ruff", "check", "."], {}),
        ("code format", ["-m", "ruff", "format", "--check", "."], {}),
        ("spelling", ["-m", "codespell_lib"], {}),
        (
            "notebooks as on another machine",
            ["-m", "pytest", "chapters", *elsewhere],
            other_machine(python),
        ),
        ("notebooks", ["-m", "pytest", "chapters"], {}),
        (
            "tests",
            ["-m", "pytest", "tests", *together, "worksteal"],
            {**one_thread, **chromium_setting(chromium)},
        ),
    ]
    failed = []
    for title, command, settings in checks:
        print(f"\n== {title}", flush=True)
        if call(python, *command, **settings):
            failed.append(title)
    if failed:
        raise Stop("failed: " + ", ".join(failed))


def chromium_setting(path):
    return {"CHROMIUM": path} if path else {}


def lab(arguments):
    """JupyterLab in this folder, with the list of chapters open."""
    flags = ["--notebook-dir", ROOT, "--LabApp.default_url=/lab/tree/chapters"]
    return call(environment("all"), "-m", "jupyterlab", *flags, *arguments)


def nb(arguments):
    return call(environment("all"), "tools/notebooks.py", *arguments)


def bench(arguments):
    files = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("[!_]*.py"))}
    if not arguments:
        print("\n".join(files) or "There is no benchmark yet.")
        return None
    name, options = arguments[0], arguments[1:]  # the options are the benchmark's own
    if name not in files:
        raise Stop("No benchmark {}; there are: {}".format(name, ", ".join(files) or "none"))
    return call(environment("all"), files[name], *options)


COMMANDS = {
    "book": book,
    "build": lambda arguments: book([*arguments, "--no-serve"]),
    "test": test,
    "lab": lab,
    "nb": nb,
    "bench": bench,
}


def main(arguments):
    """Run one command; return the exit status."""
    name, rest = (arguments or ["help"])[0], arguments[1:]
    if name not in COMMANDS:
        print(__doc__)
        return 0 if name in ("help", "-h", "--help") else 2
    try:
        check_python()
        return COMMANDS[name](rest) or 0
    except Stop as stop:
        print(stop, file=sys.stderr)
        return 1
    except OSError as error:
        print(error, advice(str(error)), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
