"""Pages and a tab that show an explorer, and what every explorer's test asks of them."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

STATIC = Path(__file__).parents[1] / "static"


def write_pages(book, name, **pages):
    """Lay out a small book as the real one lays out its files.

    name : of the explorer's script and style; pages : name → the elements that it shows
    """
    (book / "_static").mkdir(parents=True)
    (book / "chapters").mkdir()
    for file in ("lm.css", "explorable.css", f"{name}.css", "explorable.js", f"{name}.js"):
        shutil.copy(STATIC / file, book / "_static")
    for page, elements in pages.items():
        (book / "chapters" / f"{page}.html").write_text(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Explorer</title>'
            '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
            '<link rel="stylesheet" href="../_static/lm.css">'
            '<link rel="stylesheet" href="../_static/explorable.css">'
            f'<link rel="stylesheet" href="../_static/{name}.css">'
            '<script defer src="../_static/explorable.js"></script>'
            f'<script defer src="../_static/{name}.js"></script></head>'
            '<body style="display: block"><main class="lm-main" style="margin: auto">'
            f"<h1>Explorer</h1>{''.join(elements)}<p id=after>After.</p></main></body>",
            encoding="utf-8",
        )


class Tables(HTMLParser):
    """Captions, scopes and rows of all static tables, and the data of their elements."""

    def __init__(self, text):
        super().__init__()
        self.captions, self.scopes, self.rows, self.data, self.open = [], [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "data-view" in attrs:
            self.data.append(json.loads(attrs["data-view"]))
        if tag == "tr":
            self.rows.append([])
        if tag == "th":
            self.scopes.append(attrs.get("scope"))
        if tag in ("th", "td", "caption"):
            self.open = self.captions if tag == "caption" else self.rows[-1]
            self.open.append("")

    def handle_endtag(self, tag):
        if tag in ("th", "td", "caption"):
            self.open = None

    def handle_data(self, data):
        if self.open is not None:
            self.open[-1] += data


def visits(browser, base):
    """Yield a function that opens a page (as a pytest fixture).

    `tab.requests` and `tab.problems` collect what happens on it. In the end no tab may have asked
    any other address.
    """
    contexts, pages = [], []

    def go(page="one", theme="light", width=1280, routes=(), wait="load", **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(8000)
        tab.requests, tab.problems = [], []
        tab.on("request", lambda r: tab.requests.append(r.url))
        tab.on("pageerror", lambda e: tab.problems.append(str(e)))
        tab.on("console", lambda m: m.type == "error" and tab.problems.append(m.text))
        for pattern, handler in routes:
            context.route(pattern, handler)
        tab.goto(f"{base}chapters/{page}.html", wait_until=wait)
        if options.get("java_script_enabled", True):
            tab.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        pages.append(tab)
        return tab

    yield go
    for tab in pages:
        assert all(url.startswith((base, "data:")) for url in tab.requests)
    for context in contexts:
        context.close()


def expect_text(tab, selector, pattern):
    """Wait until the (first) such element matches; checked in every frame, so it costs no time."""
    text = f"document.querySelector('{selector}').textContent"
    try:
        tab.wait_for_function(f"pattern => new RegExp(pattern, 's').test({text})", arg=pattern)
    except Exception:
        assert re.search(pattern, tab.evaluate(text))
        raise


def overflow(tab):
    """Pixels by which the page is wider than its window."""
    return tab.evaluate("document.documentElement.scrollWidth - innerWidth")


def stays_in_place(visit, script, page="one", width=1280, ready=".lm-x-live"):
    """The text below an explorer hardly moves when its script, held back, arrives at last."""
    held = []
    hold = [(f"**/{script}.js", lambda route: held.append(route))]
    tab = visit(page, width=width, routes=hold, wait="commit")
    tab.locator("[data-view]").first.wait_for(state="attached")
    tab.wait_for_timeout(200)
    place = "document.getElementById('after').getBoundingClientRect().top"
    before = tab.evaluate(place)
    held[0].continue_()
    tab.locator(ready).wait_for()
    return abs(tab.evaluate(place) - before) < 0.08 * before  # fonts differ; unreserved: far more
