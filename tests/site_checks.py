"""What must be true of every page of the book, as functions that return lists of complaints.

`test_site.py` applies them to the built book, `test_guards.py` proves on doctored pages that each
of them can complain.
"""

import functools
import http.server
import os
import re
import shutil
import threading
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(os.environ.get("BOOK_HTML") or ROOT / "_build" / "html")
WIDTHS = [1280, 390]
COLOUR_RULES = ["color-contrast", "link-in-text-block"]  # all that a colour scheme can break
SHORTEST_ALT = 20
LOADING_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "manifest", "prefetch"}


def missing(reason: str):
    """Skip on a reader's machine; fail where everything is supposed to be installed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def pages(site: Path) -> list[str]:
    """Every page of the site, as addresses relative to it."""
    found = (path.relative_to(site) for path in site.rglob("*.html"))
    return sorted(path.as_posix() for path in found if not path.parts[0].startswith("_"))


# ------------------------------------------------------------------- what the files themselves say


class Page(HTMLParser):
    """The elements of one page that the checks ask about."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.addresses, self.elements, self.title = [], [], [], ""
        self._open = None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attrs))
        self._open = tag
        if "id" in attrs:
            self.ids.append(attrs["id"])
        for name in ("href", "src", "poster", "data", "action"):
            if attrs.get(name) and (tag, name) != ("use", "href"):
                self.addresses.append((tag, attrs, attrs[name]))

    def handle_data(self, data):
        if self._open == "title" and not any(tag == "svg" for tag, _ in self.elements):
            self.title += data

    def meta(self) -> dict[str, str]:
        """Content of each meta element, by its name or property."""
        return {
            attrs.get("name") or attrs.get("property", ""): attrs.get("content", "")
            for tag, attrs in self.elements
            if tag == "meta"
        }


@functools.cache
def parsed(path: Path) -> Page:
    return Page(path)


def is_loaded(tag: str, attrs: dict) -> bool:
    """Whether a browser fetches the address without being asked to go there."""
    if tag == "link":
        return bool(LOADING_LINKS & set(attrs.get("rel", "").split()))
    return tag not in ("a", "area", "form")


def external_loads(site: Path, page: str) -> list[str]:
    """Addresses of other hosts that this page would fetch by itself."""
    return [
        f"{tag} loads {address}"
        for tag, attrs, address in parsed(site / page).addresses
        if is_loaded(tag, attrs)
        and (urlsplit(address).netloc or urlsplit(address).scheme not in ("", "data", "blob"))
    ]


def external_loads_in_css(site: Path) -> list[str]:
    """Addresses of other hosts in the site's style sheets."""
    found = []
    for path in site.rglob("*.css"):
        for address in re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", read(path)
        ):
            found.append(f"{path.name} loads {address}")
    return found


def read(path: Path) -> str:
    return path.read_text("utf-8")


def broken_links(site: Path, page: str) -> list[str]:
    """Internal addresses without a file, and fragments without an element."""
    here, found = site / page, []
    for tag, _, address in parsed(here).addresses:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
        anchor = unquote(parts.fragment)
        if not target.is_file():
            found.append(f"{tag} points to {address}, which is not there")
        elif anchor and target.suffix == ".html" and anchor not in parsed(target).ids:
            found.append(f"{tag} points to {address}, which has no such anchor")
    return found


def repeated_ids(site: Path, page: str) -> list[str]:
    return [
        f"id {name!r} is used {n} times"
        for name, n in Counter(parsed(site / page).ids).items()
        if n > 1
    ]


def bad_head(site: Path, page: str) -> list[str]:
    """Language, title, description and what a link preview needs."""
    content = parsed(site / page)
    html = next(attrs for tag, attrs in content.elements if tag == "html")
    complaints = [] if re.fullmatch(r"[a-z]{2}(-[A-Za-z]+)*", html.get("lang", "")) else ["no lang"]
    if len(content.title.strip()) < 5:
        complaints.append("no title")
    if page != "search.html":  # it says noindex
        meta = content.meta()
        complaints += [
            f"no {name}"
            for name in ("description", "og:title", "og:description", "og:type", "og:image")
            if not meta.get(name)
        ]
        if not 40 <= len(meta.get("description", "")) <= 260:
            complaints.append("the description is too short or too long")
    return complaints


def bad_alternatives(site: Path, page: str) -> list[str]:
    """Pictures without a meaningful text, unless they are marked as decoration."""
    found = []
    for tag, attrs in parsed(site / page).elements:
        if tag == "img":
            text, name = attrs.get("alt", ""), Path(urlsplit(attrs.get("src", "")).path).name
        elif tag == "svg" and attrs.get("aria-hidden") != "true":
            text, name = attrs.get("aria-label", ""), ""
            if attrs.get("role") != "img":
                found.append("an svg that is neither role=img nor aria-hidden")
        else:
            continue
        if len(text.strip()) < SHORTEST_ALT or text == name or " " not in text.strip():
            found.append(f"{tag} {name} has the alternative text {text!r}")
    return found


# --------------------------------------------------------------------------- what a browser shows


def open_browser():
    """Yield a Chromium (as a pytest fixture); the environment variable CHROMIUM may name it."""
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
            )
        except sync_api.Error as error:
            missing(f"no browser (set CHROMIUM to its path): {str(error).splitlines()[0]}")
        yield browser
        browser.close()


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".woff2": "font/woff2",
    }

    def log_message(self, *_):
        pass


def serve(folder: Path):
    """Yield the address of a server for a folder (as a pytest fixture)."""
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def visit(browser, base: str, page: str, scheme="light", width=1280, **options):
    """A tab that shows the page; `tab.complaints` collects what went wrong while it loaded."""
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, **options
    )
    tab = context.new_page()
    tab.complaints = complaints = []

    def gate(route):
        if route.request.url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            complaints.append(f"external request {route.request.url}")
            route.abort()

    context.route("**/*", gate)
    tab.on("console", lambda m: m.type == "error" and complaints.append(f"console: {m.text}"))
    tab.on("pageerror", lambda error: complaints.append(f"script error: {error}"))
    tab.on("response", lambda r: r.status >= 400 and complaints.append(f"{r.status} {r.url}"))
    tab.goto(base + page, wait_until="networkidle")
    return tab


LAYOUT = """() => {
  const found = [], wide = innerWidth + 0.5;
  const name = e => `${e.tagName.toLowerCase()}#${e.id} ${e.textContent.trim().slice(0, 30)}`;
  document.querySelectorAll("details").forEach(d => d.open = true);
  for (const m of document.querySelectorAll(".math"))
    if (!m.querySelector(".katex")) found.push("formula not rendered: " + name(m));
  for (const tag of document.querySelectorAll(".katex-tag")) {
    const end = Math.max(...[...tag.parentElement.querySelectorAll(":scope > .katex-base")]
      .map(base => base.getBoundingClientRect().right));
    if (end > tag.getBoundingClientRect().left) found.push("number over formula: " + name(tag));
  }
  if (document.documentElement.scrollWidth > wide)
    found.push(`the page scrolls sideways (${document.documentElement.scrollWidth} px)`);
  for (const f of document.querySelectorAll("figure, figure svg, img")) {
    const box = f.getBoundingClientRect();
    if (box.right > wide || box.left < -0.5) found.push("wider than the screen: " + name(f));
  }
  for (const f of document.querySelectorAll("figure.lm-figure")) {
    const svg = f.querySelector("svg"), caption = f.querySelector("figcaption");
    if (!svg || !caption) continue;
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const least = parseFloat(getComputedStyle(caption.querySelector("p") || caption).fontSize);
    for (const text of svg.querySelectorAll("text")) {
      // a superscript is smaller than its line: the largest part of each text counts
      const parts = [text, ...text.querySelectorAll("tspan")].filter(p => p.textContent.trim());
      const size = Math.max(...parts.map(p => parseFloat(getComputedStyle(p).fontSize))) * scale;
      if (size < least - 0.05)
        found.push(`figure text of ${size.toFixed(1)} px, caption ${least} px: ${name(text)}`);
    }
  }
  return [...new Set(found)];
}"""


def bad_layout(tab) -> list[str]:
    """Unrendered formulas, sideways scrolling, figures that are too wide or too small to read."""
    return tab.evaluate(LAYOUT)


def axe_violations(tab, rules: list[str] | None = None) -> list[str]:
    """What axe finds, with every fold open; by all its rules, or only by some."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    # two frames: opening folds makes the page mark what now scrolls
    tab.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    violations = axe.run(
        tab,
        # KaTeX's boxes: thousands, hidden from screen readers, in the colour of the text around
        context={"exclude": [[".katex-html"]]},
        # preload: axe would fetch style sheets from addresses of its own making
        options={"preload": False} | ({"runOnly": rules} if rules else {}),
    ).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['target']} and {len(v['nodes']) - 1} more" for v in violations
    ]
