"""Well-known texts on demand: fetched once, checked, kept in a cache you can fill by hand."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# pooch and requests are imported where they are used: the embedded corpus needs neither.


@dataclass(frozen=True)
class Download:
    """Where a file comes from, and how we know that it is the one we measured."""

    title: str
    about: str
    url: str
    size: int  # bytes
    sha256: str
    filename: str


# Each address names a commit, so what it serves cannot change.
DOWNLOADS = {
    "tiny-shakespeare": Download(
        title="Tiny Shakespeare",
        about="40,000 lines of Shakespeare's plays (public domain; from A. Karpathy's char-rnn)",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/"
        "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
        size=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        filename="tiny-shakespeare.txt",
    ),
    "names": Download(
        title="Names",
        about="32,033 first names, one a line (ssa.gov, 2018; from A. Karpathy's makemore)",
        url="https://raw.githubusercontent.com/karpathy/makemore/"
        "988aa59e4d8fefa526d06f3b453ad116258398d4/names.txt",
        size=228_145,
        sha256="0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        filename="names.txt",
    ),
}

TIMEOUT = (10, 30)  # seconds: to connect, and between two pieces of the answer
WAITS = (0.5, 1, 2)  # seconds before the second, third and fourth attempt


class DownloadError(OSError):
    """A text could not be had; the message says which, why, and where to put it by hand."""


def cache_dir():
    """The folder for downloads: `LMLIB_CACHE` if set, else the user's cache folder."""
    if folder := os.environ.get("LMLIB_CACHE"):
        return Path(folder).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("lmlib"))


def fetch(name, progress=True):
    """Give the path of a downloaded text, downloading it unless the cache has it.

    A file that you put there yourself is as good as a downloaded one, if its checksum is right.
    The file appears in the cache complete and checked or not at all, whatever interrupts the
    download, and any number of processes may fetch it at once.

    Parameters
    ----------
    name : "tiny-shakespeare" or "names"
    progress : bool, show a progress bar on standard error

    Returns
    -------
    path : pathlib.Path

    Raises
    ------
    ValueError : for another name
    DownloadError : if the file in the cache is another one (it is left as it is), or there is none
        and it cannot be downloaded.  Failures that may pass (no connection, time-out, broken
        answer, server error) are tried four times.
    """
    if name not in DOWNLOADS:
        raise ValueError(f"no download {name!r}; there are {', '.join(DOWNLOADS)}")
    import pooch

    item = DOWNLOADS[name]
    path = cache_dir() / item.filename
    try:
        if path.exists():
            if (found := pooch.file_hash(path)) == item.sha256:
                return path
            raise DownloadError(
                f"{path} is not {item.title}: {path.stat().st_size:,} bytes with sha256 {found}, "
                f"expected {item.size:,} bytes with {item.sha256}. It was left as it is: delete it "
                f"to download again, or replace it by {item.url}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not in the cache itself: a folder vanishes with all that an interrupted download left in
        # it, and os.replace is atomic on Windows too, where pooch's own move is not.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as folder:
            os.replace(_retrieve(item, path, folder, progress), path)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(_message(item, path, f"the cache cannot be used: {error}")) from error
    return path


def _retrieve(item, path, folder, progress):
    """Download into `folder` with pooch, which checks the sha256; again if it may help."""
    import pooch
    import requests

    def downloader(url, output_file, _):
        _stream(url, output_file, item, progress)

    for wait in (*WAITS, None):
        try:
            return pooch.retrieve(
                item.url, f"sha256:{item.sha256}", item.filename, folder, downloader=downloader
            )
        except (requests.RequestException, ValueError) as error:
            if not _may_pass(error):
                raise DownloadError(_message(item, path, error)) from error
            if wait is None:
                reason = f"{len(WAITS) + 1} attempts failed (no network?), the last with: {error}"
                raise DownloadError(_message(item, path, reason)) from error
        time.sleep(wait)


def _stream(url, output_file, item, progress):
    """Write the answer to a file, and stop as soon as it is longer than what was promised."""
    import requests
    from tqdm import tqdm

    # Unpacked: a compressed answer could grow past the limit within one piece.
    headers = {"Accept-Encoding": "identity"}
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
        response.raise_for_status()
        bar = tqdm(
            desc=item.title, total=item.size, unit="B", unit_scale=True, disable=not progress
        )
        with bar, open(output_file, "wb") as file:
            start = b""
            for piece in response.iter_content(chunk_size=2**14):
                start = start or piece[:64]
                if file.tell() + len(piece) > item.size:
                    raise ValueError(f"the server sent more than {item.size:,} bytes: {start}")
                file.write(piece)
                bar.update(len(piece))
            if file.tell() < item.size:
                raise ValueError(
                    f"the server sent {file.tell():,} bytes of another file, not {item.size:,} "
                    f"(a login page or a proxy?): {start}"
                )


def _may_pass(error):
    """Whether another attempt may succeed: not after 404, a redirect loop or a wrong content."""
    import requests

    if isinstance(error, requests.HTTPError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    broken = requests.exceptions.ChunkedEncodingError
    return isinstance(error, (requests.ConnectionError, requests.Timeout, broken))


def _message(item, path, reason):
    return (
        f"{item.title} ({item.size:,} bytes) could not be downloaded.\n"
        f"  from:   {item.url}\n"
        f"  reason: {reason}\n"
        f"  To go on without it, get this file elsewhere (a browser will do) and save it as\n"
        f"  {path}\n"
        f"  or in the folder that LMLIB_CACHE names. Its sha256 must be {item.sha256}."
    )
