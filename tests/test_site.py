"""The built book as a reader meets it: offline, light and dark, on a phone and on a desk."""

import json
import pkgutil
import re

import pytest
import site_checks as checks
from site_checks import SITE

pytestmark = pytest.mark.site
PAGES = checks.pages(SITE) or [None]
browser = pytest.fixture(scope="module")(checks.open_browser)


@pytest.fixture(scope="module", autouse=True)
def _built():
    if PAGES == [None]:
        checks.missing(f"there is no book in {SITE}: run `python3 run.py book --no-serve` first")


@pytest.fixture(scope="module")
def base():
    yield from checks.serve(SITE)


@pytest.fixture
def visit(browser, base):
    tabs = []

    def go(page, scheme="light", width=1280, **options):
        tabs.append(checks.visit(browser, base, page, scheme, width, **options))
        return tabs[-1]

    yield go
    for tab in tabs:
        tab.context.close()


# ----------------------------------------------------------------------------------- every page


@pytest.mark.parametrize("page", PAGES)
def test_files(page):
    assert not checks.external_loads(SITE, page)
    assert not checks.broken_links(SITE, page)
    assert not checks.repeated_ids(SITE, page)
    assert not checks.bad_head(SITE, page)
    assert not checks.bad_alternatives(SITE, page)


def test_style_sheets():
    assert not checks.external_loads_in_css(SITE)


@pytest.mark.parametrize("width", checks.WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_page(visit, page, width):
    tab = visit(page, "light", width)
    assert not checks.bad_layout(tab)
    assert not tab.complaints
    assert not checks.axe_violations(tab), "light"
    tab.emulate_media(color_scheme="dark")
    assert not checks.axe_violations(tab, checks.COLOUR_RULES), "dark"
    for other in (320, 700, 1000):
        tab.set_viewport_size({"width": other, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), other


def test_notation_names_what_exists():
    """The notation page says what a symbol is called in the library."""
    names = re.findall(r"`(\w+(?:\.\w+)+)`", checks.read(checks.ROOT / "reference/notation.md"))
    assert len(names) >= 6
    for name in names:
        assert pkgutil.resolve_name(f"lmlib.{name}")  # imports modules on the way


def test_titles_and_descriptions_differ():
    """A search engine shows them side by side."""
    contents = [checks.parsed(SITE / page) for page in PAGES if page != "search.html"]
    titles = [content.title for content in contents]
    descriptions = [content.meta()["description"] for content in contents]
    assert len(set(titles)) == len(titles)
    assert len(set(descriptions)) == len(descriptions)


def test_weight():
    """What a phone loads to read any page, uncompressed: a jump means that something crept in."""
    for page in PAGES:
        assert (SITE / page).stat().st_size < 850_000, page
    assert (SITE / "_static/lm.css").stat().st_size < 60_000
    assert (SITE / "_static/lm.js").stat().st_size < 10_000


# ------------------------------------------------------------------------------------ behaviour


def results(tab):
    """Titles and excerpts that the search page shows, once it says that it is done."""
    tab.wait_for_selector("#search-results .search-summary:not(:empty)")
    tab.wait_for_load_state("networkidle")
    return tab.locator("#search-results li").all_inner_texts()


def test_search(visit):
    tab = visit("index.html")
    tab.keyboard.press("/")
    tab.keyboard.type("perplexity")
    tab.keyboard.press("Enter")
    found = results(tab)
    assert any(text.startswith("Notation") for text in found)
    notation = next(text for text in found if text.startswith("Notation"))
    assert "perplexity" in notation and "\\" not in notation, "a formula's source is in the excerpt"
    tab.locator("#search-results a", has_text="Glossary").first.click()
    assert tab.title().startswith("Glossary")
    assert not tab.complaints


def test_search_that_finds_nothing(visit):
    tab = visit("search.html?q=xyzzyplugh")
    assert results(tab) == []
    assert "did not match" in tab.locator("#search-results").inner_text()
    assert not tab.complaints


def background(tab):
    return tab.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scheme_is_kept(visit, scheme):
    """The button changes the colours, the choice outlives the page, and can be taken back."""
    tab = visit("index.html", scheme, 390)
    before = background(tab)
    button = tab.get_by_role("button", name="Dark colours")
    assert (button.get_attribute("aria-pressed") == "true") == (scheme == "dark")
    button.click()
    after = background(tab)
    assert after != before
    tab.goto(tab.url.replace("index.html", "reference/notation.html"))
    assert background(tab) == after
    tab.get_by_role("button", name="Dark colours").click()
    assert background(tab) == before
    assert tab.evaluate("localStorage.getItem('lm-scheme')") is None, "follows the system again"


def focus(tab):
    """The focused element: its name and whether the focus can be seen."""
    return tab.evaluate("""() => {
      const e = document.activeElement, style = getComputedStyle(e);
      const box = e.getBoundingClientRect();
      const name = e.getAttribute("aria-label") || e.innerText || e.name || e.id;
      return [name.trim(), style.outlineStyle !== "none" && box.bottom > 0 && box.width > 0];
    }""")


def test_keyboard(visit):
    tab = visit("reference/notation.html")
    tab.keyboard.press("Tab")
    assert focus(tab) == ["Skip to the text", True]
    names = []
    for _ in range(16):
        tab.keyboard.press("Tab")
        name, visible = focus(tab)
        assert visible, f"the focus on {name!r} cannot be seen"
        names.append(name)
    for expected in ("Dark colours", "Search this book", "Claims ledger", "Glossary"):
        assert expected in names
    tab.reload()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"


def test_menu_on_a_phone(visit):
    tab = visit("reference/notation.html", width=390)
    chapters = tab.get_by_role("navigation", name="Book")
    assert not chapters.is_visible()
    tab.get_by_role("button", name="Chapters").focus()
    tab.keyboard.press("Enter")
    assert chapters.is_visible()
    tab.keyboard.press("Escape")
    assert not chapters.is_visible()
    tab.get_by_role("button", name="On this page").click()
    sections = tab.get_by_role("navigation", name="On this page")
    sections.get_by_role("link", name="Networks").click()
    assert not sections.is_visible(), "the list covers the section that was chosen"
    assert tab.url.endswith("#networks")
    top = tab.locator("#networks").evaluate("e => e.getBoundingClientRect().top")
    bar = tab.locator(".lm-side").evaluate("e => e.getBoundingClientRect().bottom")
    assert top >= bar, "the heading hides behind the bar"


def test_scrolling_boxes(visit):
    """A table that is wider than a phone scrolls in its own box, which the keyboard can reach."""
    tab = visit("reference/notation.html", width=300)
    tab.wait_for_selector(".lm-scroll[tabindex='0'][role='group'][aria-label]")
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.wait_for_function("!document.querySelector('.lm-scroll[tabindex]')")


def test_copy_button(visit):
    tab = visit("index.html", permissions=["clipboard-read", "clipboard-write"])
    tab.get_by_role("button", name="Copy").first.click()
    tab.get_by_text("Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()").strip() == "python3 run.py lab"


@pytest.mark.parametrize("width", [390, 1280])
def test_without_scripts(visit, width):
    """Text, formulas, chapters and sections need no script; the scheme button is not shown."""
    tab = visit("reference/notation.html", width=width, java_script_enabled=False)
    assert tab.locator(".katex-html").first.is_visible()
    assert tab.locator(".lm-theme").is_hidden()
    if width == 390:
        tab.get_by_role("button", name="Chapters").click()
    assert tab.get_by_role("link", name="Self-attention").is_visible()


def test_print(visit):
    """On paper: no navigation, and what was folded is open."""
    chapters = [page for page in PAGES if "<details" in checks.read(SITE / page)]
    if not chapters:
        pytest.skip("no page has a fold yet")
    tab = visit(chapters[0])
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details:not([open])").count() == 0
    tab.emulate_media(media="print")
    assert not tab.get_by_role("navigation", name="Book").is_visible()


# ------------------------------------------------------------------------------ files around it


def test_no_dead_buttons():
    """Without an address to publish at, nothing points to one; with it, everything does."""
    for page in PAGES:
        text = checks.read(SITE / page)
        for link in re.findall(r'href="(https://colab[^"]*)"', text):
            assert re.search(r"/github/[^/]+/[^/]+/blob/\S+\.ipynb$", link)
        assert 'href=""' not in text


def test_corpus_for_the_explorable():
    """The page fetches the index, then the works; both must say the same as the library's data."""
    folder = SITE / "_static" / "corpus"
    works = json.loads(checks.read(folder / "index.json"))["works"]
    data = checks.ROOT / "lmlib" / "data"
    assert [work["file"] for work in works] == sorted(p.name for p in data.glob("[0-9]*.txt"))
    for work in works:
        text = checks.read(folder / work["file"])
        assert text == checks.read(data / work["file"])
        assert text.startswith(work["title"] + "\n")
        assert len(text.split()) == work["words"]
    total = sum(work["words"] for work in works)
    assert f"about {round(total, -2):,} words" in checks.read(SITE / "index.html")
