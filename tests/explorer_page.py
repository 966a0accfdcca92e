"""A tab that shows an explorer, and what every explorer's test asks of it."""

import re


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
