"""The downloader against a real server on this machine that does everything a server can do wrong.

Each test states the outcome, what the reader is told, how often the server was asked, and what is
left in the cache: the whole file, or nothing.
"""

import gzip
import hashlib
import re
import socket
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from lmlib import corpora
from lmlib.corpora import DownloadError, download, fetch

CONTENT = b"".join(
    b"line %d of a text that is fetched\n" % i for i in range(5_000)
)  # 178,890 bytes
HALF = len(CONTENT) // 2
LOGIN = b"<!DOCTYPE html><title>Welcome to the hotel network</title>"


class Server(ThreadingHTTPServer):
    """Answers the n-th request for a path with the n-th of its answers, then with the last."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/text"
        self.answers = {}
        self.requests = []
        self.sent = 0
        self.over = threading.Event()

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what some tests are about


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append(self.path)
        answers = server.answers[self.path]
        answers[min(server.requests.count(self.path), len(answers)) - 1](self)

    def start(self, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def write(self, content):
        self.wfile.write(content)
        self.wfile.flush()
        self.server.sent += len(content)

    def log_message(self, *args):
        pass


def good(handler):
    handler.start(Content_Length=len(CONTENT))
    handler.write(CONTENT)


def drips(handler):
    handler.start(Content_Length=len(CONTENT))
    for i in range(0, len(CONTENT), len(CONTENT) // 10):
        handler.write(CONTENT[i : i + len(CONTENT) // 10])
        time.sleep(0.05)  # together longer than the time-out, each less


def stalls_halfway(handler):
    handler.start(Content_Length=len(CONTENT))
    handler.write(CONTENT[:HALF])
    handler.server.over.wait(5)


def stalls_at_once(handler):
    handler.server.over.wait(5)


def truncates(handler):
    handler.start(Content_Length=len(CONTENT))
    handler.write(CONTENT[:HALF])


def hangs_up(handler):
    pass


def says(content, **headers):
    def answer(handler):
        handler.start(Content_Length=len(content), **headers)
        handler.write(content)

    return answer


def never_ends(handler):
    handler.start()
    while not handler.server.over.is_set():
        handler.write(CONTENT)


gzip_bomb = says(gzip.compress(bytes(30_000_000), 1), Content_Encoding="gzip")


def status(code):
    return lambda handler: handler.start(code, Content_Length=0)


def redirects(to):
    return lambda handler: handler.start(302, Location=to, Content_Length=0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LMLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(cache, monkeypatch):
    """A running server, and "test", a download that it is to serve."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        item = download.Download("Test", "", server.url, len(CONTENT), sha256, "test.txt")
        monkeypatch.setitem(download.DOWNLOADS, "test", item)
        monkeypatch.setattr(download, "TIMEOUT", (1, 0.25))
        monkeypatch.setattr(download, "WAITS", (0.01, 0.01, 0.01))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield server
        server.over.set()
        server.shutdown()


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------------------- success


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([good], 1),
        ([drips], 1),
        ([truncates, good], 2),
        ([hangs_up, stalls_halfway, good], 3),
        ([status(500), good], 2),
        ([status(503), status(429), status(500), good], 4),
        ([says(gzip.compress(CONTENT), Content_Encoding="gzip")], 1),
    ],
    ids=["good", "drips", "truncates", "stalls", "500", "busy", "gzip"],
)
def test_file_arrives_whole(server, cache, answers, requests):
    server.answers["/text"] = answers
    path = fetch("test")
    assert path == cache / "test.txt"
    assert path.read_bytes() == CONTENT
    assert left_in(cache) == ["test.txt"]
    assert len(server.requests) == requests


def test_file_is_fetched_once(server):
    server.answers["/text"] = [good]
    assert fetch("test") == fetch("test")
    assert len(server.requests) == 1


@pytest.mark.parametrize("absolute", [True, False])
def test_redirect_is_followed(server, cache, absolute):
    target = server.url.replace("/text", "/elsewhere") if absolute else "/elsewhere"
    server.answers = {"/text": [redirects(target)], "/elsewhere": [good]}
    assert fetch("test").read_bytes() == CONTENT
    assert server.requests == ["/text", "/elsewhere"]
    assert left_in(cache) == ["test.txt"]


def test_progress_is_shown_on_standard_error(server, cache, capfd):
    server.answers["/text"] = [good]
    fetch("test")
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"Test: +100%.*\d+k/\d+k", err)
    (cache / "test.txt").unlink()
    fetch("test", progress=False)
    out, err = capfd.readouterr()
    assert out == "" and "%" not in err


def test_wait_before_each_new_attempt_grows(server, monkeypatch):
    slept = []
    monkeypatch.setattr(download, "WAITS", (0.5, 1, 2))
    monkeypatch.setattr(download.time, "sleep", slept.append)
    server.answers["/text"] = [status(500)]
    with pytest.raises(DownloadError):
        fetch("test")
    assert slept == [0.5, 1, 2]


def test_downloads_at_once_never_show_a_partial_file(server, cache):
    server.answers["/text"] = [drips]
    paths, seen = [], []
    threads = [threading.Thread(target=lambda: paths.append(fetch("test", False))) for _ in "1234"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (cache / "test.txt").exists():
            seen.append((cache / "test.txt").read_bytes() == CONTENT)
        time.sleep(0.005)
    assert paths == [cache / "test.txt"] * 4
    assert all(seen)
    assert (cache / "test.txt").read_bytes() == CONTENT
    assert left_in(cache) == ["test.txt"]


# ---------------------------------------------------------------------------- failure


@pytest.mark.parametrize(
    ("answer", "requests", "reason"),
    [
        pytest.param(
            stalls_at_once,
            4,
            r"4 attempts failed \(no network\?\).*Read timed out",
            id="stalls-at-once",
        ),
        pytest.param(
            stalls_halfway,
            4,
            r"4 attempts failed \(no network\?\).*Read timed out",
            id="stalls-halfway",
        ),
        pytest.param(truncates, 4, rf"4 attempts failed.*\D{HALF} bytes read", id="truncates"),
        pytest.param(
            hangs_up, 4, r"4 attempts failed.*closed connection without response", id="hangs-up"
        ),
        pytest.param(status(500), 4, r"4 attempts failed.*500 Server Error", id="500"),
        pytest.param(status(404), 1, r"404 Client Error: Not Found for url: http://127", id="404"),
        pytest.param(status(403), 1, r"403 Client Error", id="403"),
        pytest.param(
            says(CONTENT.swapcase()),
            1,
            r"hash of downloaded file \(test.txt\) does not match",
            id="wrong-bytes",
        ),
        pytest.param(
            says(LOGIN),
            1,
            r"sent 58 bytes of another file, not 178,890 \(a login page.*DOCTYPE",
            id="login-page",
        ),
        pytest.param(says(b""), 1, r"sent 0 bytes of another file", id="empty"),
        pytest.param(
            says(CONTENT + b"!"), 1, r"sent more than 178,890 bytes: b'line 0", id="one-too-many"
        ),
        pytest.param(never_ends, 1, r"sent more than 178,890 bytes", id="never-ends"),
        pytest.param(gzip_bomb, 1, r"sent more than 178,890 bytes", id="gzip-bomb"),
        pytest.param(redirects("/text"), 31, r"Exceeded 30 redirects", id="redirect-loop"),
    ],
)
def test_failure_is_explained_and_leaves_nothing(server, cache, answer, requests, reason):
    server.answers["/text"] = [answer]
    with pytest.raises(DownloadError, match=reason) as caught:
        fetch("test")
    assert len(server.requests) == requests
    assert left_in(cache) == []
    assert server.sent < 20_000_000  # what the sockets hold, not what the server would send
    message = str(caught.value)
    assert message.startswith("Test (178,890 bytes) could not be downloaded.")
    for help_needed in (server.url, str(cache / "test.txt"), hashlib.sha256(CONTENT).hexdigest()):
        assert help_needed in message


def test_login_page_behind_a_redirect(server, cache):
    server.answers = {"/text": [redirects("/login")], "/login": [says(LOGIN)]}
    with pytest.raises(DownloadError, match="a login page or a proxy"):
        fetch("test")
    assert server.requests == ["/text", "/login"]
    assert left_in(cache) == []


def test_offline(server, cache, monkeypatch):
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/text"
        monkeypatch.setitem(
            download.DOWNLOADS, "test", replace(download.DOWNLOADS["test"], url=url)
        )
        with pytest.raises(
            OSError, match=r"4 attempts failed \(no network\?\).*(refused|timed out)"
        ) as caught:
            fetch("test")
    assert isinstance(caught.value, DownloadError)
    assert url in str(caught.value) and f"save it as\n  {cache / 'test.txt'}\n" in str(caught.value)
    assert left_in(cache) == []


def test_interrupted_download_leaves_nothing(server, cache, monkeypatch):
    on_disk = []

    def ctrl_c(bar, length):  # arrives after the first piece: at a chosen moment, not a lucky one
        on_disk.extend(path for path in cache.glob("*/*") if path.is_file())
        raise KeyboardInterrupt

    server.answers["/text"] = [good]
    monkeypatch.setattr("tqdm.tqdm.update", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        fetch("test")
    assert on_disk, "nothing had been written yet: the test interrupted too early"
    assert len(server.requests) == 1
    assert left_in(cache) == []


# ---------------------------------------------------------------------------- by hand


def test_file_placed_by_hand_needs_no_network(server, cache):
    cache.mkdir()
    (cache / "test.txt").write_bytes(CONTENT)
    assert fetch("test").read_bytes() == CONTENT
    assert server.requests == []


def test_wrong_file_placed_by_hand_is_named_and_kept(server, cache):
    cache.mkdir()
    (cache / "test.txt").write_bytes(LOGIN)
    with pytest.raises(DownloadError) as caught:
        fetch("test")
    message = str(caught.value)
    assert message.startswith(f"{cache / 'test.txt'} is not Test: 58 bytes with sha256")
    assert hashlib.sha256(LOGIN).hexdigest() in message
    assert "expected 178,890 bytes" in message and "delete it to download again" in message
    assert server.url in message
    assert (cache / "test.txt").read_bytes() == LOGIN
    assert server.requests == []


def test_cache_that_cannot_be_written(server, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="the cache cannot be used") as caught:
        fetch("test")
    assert str(cache / "test.txt") in str(caught.value) and "LMLIB_CACHE" in str(caught.value)
    assert server.requests == []


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("LMLIB_CACHE", "~/texts")
    assert corpora.cache_dir() == Path.home() / "texts"
    monkeypatch.setenv("LMLIB_CACHE", "texts")
    assert corpora.cache_dir() == Path.cwd() / "texts"
    monkeypatch.setenv("LMLIB_CACHE", "")
    assert corpora.cache_dir() == Path(pooch.os_cache("lmlib"))
    monkeypatch.delenv("LMLIB_CACHE")
    assert corpora.cache_dir() == Path(pooch.os_cache("lmlib"))


# ---------------------------------------------------------------------------- the real ones


def test_download_loads_as_a_corpus_of_one_work(server, monkeypatch):
    names = replace(download.DOWNLOADS["test"], title="Names")
    monkeypatch.setitem(download.DOWNLOADS, "names", names)
    server.answers["/text"] = [good]
    loaded = corpora.load("names")
    assert loaded.name == "names" and len(loaded) == 1
    assert loaded["names"] is loaded["Names"] is loaded[0]
    assert loaded.text.encode() == CONTENT
    assert loaded.sentences()[7] == ["line", "7", "of", "a", "text", "that", "is", "fetched"]


@pytest.mark.parametrize(
    ("name", "size", "sha256"),
    [
        ("tiny-shakespeare", 1_115_394, "86c4e6aa9db7c042"),
        ("names", 228_145, "0a30b5557f192f32"),
    ],
)
def test_addresses_name_a_commit_and_the_texts_we_measured(name, size, sha256):
    item = download.DOWNLOADS[name]
    assert (item.size, item.sha256[:16], len(item.sha256)) == (size, sha256, 64)
    assert re.match(r"https://raw\.githubusercontent\.com/karpathy/[\w-]+/[0-9a-f]{40}/", item.url)


def test_unknown_download():
    with pytest.raises(ValueError, match="no download 'brown'; there are tiny-shakespeare, names"):
        fetch("brown")
