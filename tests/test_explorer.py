"""The n-gram explorer: the numbers in Python, the same numbers in the page, and the page itself."""

import functools
import gzip
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import site_checks as checks
from explorer_page import (
    STATIC,
    Tables,
    expect_text,
    overflow,
    stays_in_place,
    visits,
    write_pages,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import corpora
from lmlib.explorer import LINES, ORDERS, REACH, SHOWN, NgramExplorer, TokenStream, ngram_explorer
from sphinx_ext.site import copy_corpus

ROOT = Path(__file__).parents[1]
SIZE_LIMIT = 10_000  # bytes, script and style together, gzipped


@functools.cache
def embedded():
    return TokenStream([(work.title, work.text) for work in corpora.load().works])


@functools.cache
def explorer():
    return ngram_explorer()


# --------------------------------------------------------------------------- counting, in Python
def view_by_loops(tokens, context, size):
    """`TokenStream.view`, without the lines, as its definition reads."""
    rows = []
    for k in range(len(context) + 1):
        ending = context[len(context) - k :]
        following = Counter(  # a Counter keeps the order of first appearance among equals ...
            tokens[i + k] for i in range(size - k) if tokens[i : i + k] == ending
        )
        appearance = {w: i for i, w in reversed(list(enumerate(tokens)))}  # ... in this row only
        top = sorted(following.items(), key=lambda item: (-item[1], appearance[item[0]]))
        rows.append([following.total(), len(following), [list(item) for item in top[:SHOWN]]])
    begin = len(tokens) - len(tokens) // 10
    unseen = []
    for n in range(1, ORDERS + 1):
        seen = {tuple(tokens[i : i + n]) for i in range(min(size, begin) - n + 1)}
        new = [tuple(tokens[i : i + n]) for i in range(begin, len(tokens) - n + 1)]
        unseen.append([sum(gram not in seen for gram in new), len(new)])
    missing = [w for w in context if w not in tokens[:size]]
    return {
        "tokens": len(tokens), "size": size, "context": context,
        "missing": missing, "rows": rows, "unseen": unseen,
    }  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(1000, 1200),
    letters=st.integers(1, 12),
    context=st.lists(st.sampled_from("abcdefz"), max_size=4),
    size=st.one_of(st.integers(ORDERS, 20), st.integers(ORDERS, 1000)),  # 20: words still missing
)
def test_view_is_what_its_definition_says(seed, length, letters, context, size):
    tokens = np.random.default_rng(seed).choice(list("abcdefghijkl")[:letters], length).tolist()
    cut = length // 3
    works = [("One", " ".join(tokens[:cut])), ("Two", "\n" + " ".join(tokens[cut:]))]
    view = TokenStream(works).view(context, size)
    view.pop("lines")
    assert view == view_by_loops(tokens, context, size)


def test_probabilities_of_a_text_known_by_heart():
    # after "a": b three times in four, c once in four; the last "a" has no next token
    stream = TokenStream([("Song", "a b a b a b a c " * 125 + "a")])
    view = stream.view(["a"], 1001)
    assert view["rows"][1] == [500, 2, [["b", 375], ["c", 125]]]
    assert view["unseen"] == [[0, 101 - n] for n in range(1, ORDERS + 1)]
    assert stream.view(["a", "a"], 1001)["rows"][2] == [0, 0, []]
    assert stream.view(["a", "c"], 7)["missing"] == ["c"]  # it is the next new word


def test_lines_are_quotations():
    stream = embedded()
    flat = re.sub(r"\s+", " ", stream.text)
    for context in (["the"], ["the", "end", "of", "the"], [".", '"'], ["once", "upon", "a"]):
        lines = stream.view(context, stream.ids.size)["lines"]
        assert 1 <= len(lines) <= LINES
        for left, match, following, right, title in lines:
            assert corpora.tokenise(match) == context
            assert len(corpora.tokenise(following)) == 1
            assert max(len(left), len(right)) <= REACH + 2
            quotation = left.removeprefix("… ") + match + following + right.removesuffix(" …")
            assert re.sub(r"\s+", " ", quotation).strip() in flat
            work = re.sub(r"\s+", " ", corpora.load()[title].text)
            assert re.sub(r"\s+", " ", match + following) in work


def test_lines_quote_the_longest_context_that_occurs():
    lines = embedded().view(["the", "river", "was", "low"], embedded().ids.size)["lines"]
    assert [corpora.tokenise(line[1]) for line in lines] == [["was", "low"]] * 3
    assert embedded().view(["zyxw"], 5000)["lines"] == []


@pytest.mark.parametrize("context", ["", "  ", "one two three four five", 'he said , "'])
def test_contexts_of_a_wrong_length_are_refused(context):
    if len(corpora.tokenise(context)) == 4:
        assert ngram_explorer(context).view["context"] == ["he", "said", ",", '"']
    else:
        with pytest.raises(ValueError, match="expected 1 to 4"):
            ngram_explorer(context)


def test_a_short_text_is_refused():
    with pytest.raises(ValueError, match="hold 3 tokens"):
        TokenStream([("Short", "one two three")])


# ------------------------------------------------------------------------------ static fallback
def test_static_tables_hold_the_numbers_and_are_accessible():
    found = Tables(explorer()._repr_html_())
    assert len(found.captions) == 2 and all(found.captions)
    assert set(found.scopes) == {"row", "col"} and len(found.scopes) == 5 + 5 + 2 + 5
    view, cells = explorer().view, [cell for row in found.rows for cell in row]
    for seen, kinds, top in view["rows"]:
        i = cells.index(f"{seen:,}")
        assert cells[i + 1] == f"{kinds:,}"
        for word, count in top:
            assert f"“{word}” {count:,} ({count / seen:.3f})" in cells[i + 2]
    for unseen, of in view["unseen"]:
        assert f"{100 * unseen / of:.1f} %" in cells


def test_data_for_the_page_survive_html():
    view = embedded().view(["the"], 5000)
    view["lines"][0][4] = "<b>\"Tom\" & 'Jerry'</b></lm-ngram-explorer>"
    text = NgramExplorer(view, ["<i>"])._repr_html_()
    assert Tables(text).data == [view | {"examples": ["<i>"]}]
    assert "<b>" not in text and "<i>" not in text


def test_text_version_has_every_order_and_never_changes():
    text = explorer()._repr_mimebundle_()["text/plain"]
    assert text == repr(ngram_explorer()) and len(text) < 1500
    assert explorer()._repr_mimebundle_()["text/html"] == ngram_explorer()._repr_html_()
    for n, (seen, kinds, _) in enumerate(explorer().view["rows"], start=1):
        assert re.search(rf"^{n} .* {seen:,} +{kinds:,} ", text, re.MULTILINE)


def test_size():
    both = (STATIC / "explorer.js").read_bytes() + (STATIC / "explorer.css").read_bytes()
    assert len(gzip.compress(both, 9)) <= SIZE_LIMIT


# -------------------------------------------------------------------------------------- the page
@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A book of two pages under a sub-path, as the real one lays out its files."""
    root = tmp_path_factory.mktemp("site")
    book = root / "some" / "book"
    element = explorer()._repr_html_()
    write_pages(book, "explorer", one=[element], two=[element, element])
    copy_corpus(ROOT / "lmlib" / "data", book / "_static" / "corpus")
    return root


@pytest.fixture(scope="module")
def base(site):
    for address in checks.serve(site):
        yield f"{address}some/book/"


browser = pytest.fixture(scope="module")(checks.open_browser)


@pytest.fixture
def visit(browser, base):
    yield from visits(browser, base)


def corpus_requests(tab):
    return [url for url in tab.requests if "/corpus/" in url]


def expect_says(tab, pattern):
    """Wait until the (first) headline matches."""
    expect_text(tab, ".lm-x-says", pattern)


VIEW = """asked => {
    const explorer = document.querySelector("lm-ngram-explorer");
    return Promise.all(asked.map(([context, size]) => explorer.view(context, size)));
}"""


def test_page_counts_what_python_counts(visit):
    stream, rng = embedded(), np.random.default_rng(4)
    ends = np.cumsum([len(corpora.tokenise(w.text)) for w in corpora.load().works]).tolist()
    asked = [([], size) for size in (1000, *ends)]
    words = np.array(stream.words, object)
    for i in rng.integers(stream.ids.size, size=50):
        context = words[stream.ids[i : i + rng.integers(1, 5)]].tolist()
        if rng.random() < 0.3:  # a context that hardly ever occurs
            context[0] = rng.choice([*words, "zyxw"])
        asked.append((context, int(rng.choice([1000, 1300, 20_000, *ends]))))
    asked += [(["the", "end", "of", "the"], stream.ids.size), (["the"], 5), (["constructor"], 5000)]
    tab = visit()
    found = tab.evaluate(VIEW, asked)
    for (context, size), view in zip(asked, found, strict=True):
        assert view == stream.view(context, size)
    assert tab.problems == []


def test_page_tokenises_as_python_does(browser):
    spaces = range(0x1C, 0x20)  # in Python only
    likely = [chr(c) for c in range(128) if c not in spaces] + list("aZ'-.,19 " * 10)
    rng = np.random.default_rng(9)
    texts = ["".join(rng.choice(likely, rng.integers(40))) for _ in range(500)]
    texts += ["don't well-known -a- 1,234.5. 10.30 a1b2 x_y '--' \"Q\"", "Żółw café"]
    texts += [work.text for work in corpora.load().works]
    tab = browser.new_page()
    tab.goto("about:blank")
    script = "".join(
        (STATIC / f"{name}.js").read_text("utf-8") for name in ("explorable", "explorer")
    )
    tab.set_content("<base href='http://127.0.0.1/'>")
    tab.evaluate(
        "code => { const s = document.createElement('script');"
        "s.textContent = code.replace('document.currentScript.src', 'document.baseURI');"
        "document.head.append(s) }",
        script,
    )
    found = tab.evaluate(
        "texts => texts.map(t => customElements.get('lm-ngram-explorer').tokenise(t).join(' '))",
        texts,
    )
    tab.close()
    for text, tokens in zip(texts, found, strict=True):
        assert tokens == " ".join(corpora.tokenise(text, lowercase=True))


def test_text_is_loaded_once_and_only_on_use(visit):
    tab = visit("two")
    tab.wait_for_load_state("networkidle")
    tab.mouse.move(600, 300)
    tab.mouse.wheel(0, 400)
    assert corpus_requests(tab) == []
    first, second = tab.locator("lm-ngram-explorer").all()
    first.get_by_role("button", name="the river was low").click()
    expect_says(tab, "“\u2068the river was low\u2069” never occurs")
    second.get_by_label("Context").fill("of the")
    second.locator(".lm-x-says").get_by_text("occurs 837 times").wait_for()
    assert "river" in first.locator(".lm-x-says").text_content()  # each has its own state
    assert len(corpus_requests(tab)) == 1 + 6
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids)) and tab.problems == []


def test_page_shows_the_view_before_and_after_loading(visit):
    tab = visit()
    lines = ".lm-x-row, .lm-x-shares, .lm-x-quotes, .lm-x-says"
    before = tab.locator(lines).all_inner_texts()
    height = tab.evaluate("document.querySelector('lm-ngram-explorer').offsetHeight")
    with tab.expect_response("**/corpus/06*.txt"):
        tab.get_by_label("Context").focus()
    tab.evaluate("document.querySelector('lm-ngram-explorer').view([], 1000)")
    tab.wait_for_timeout(300)  # longer than the headline waits
    assert tab.locator(lines).all_inner_texts() == before
    assert tab.evaluate("document.querySelector('lm-ngram-explorer').offsetHeight") == height


def test_a_reader_with_a_keyboard_only(visit):
    tab = visit()
    press = tab.keyboard.press
    press("Tab")
    assert tab.evaluate("document.activeElement.labels[0].textContent") == "Context"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert tab.evaluate(outline) == "solid"
    press("Control+A")
    tab.keyboard.type("Once upon")
    expect_says(tab, "once upon\u2069” occurs 1 time in 207,011 tokens; one word follows: “\u2068a")
    press("Tab")  # remove last word
    press("Enter")
    expect_says(tab, "“\u2068once\u2069” occurs")
    for _ in range(3):  # clear, then the examples: the, of the
        press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "of the"
    press("Space")
    expect_says(tab, "of the\u2069” occurs 837 .* 519 different .* most often “\u2068wall")
    while tab.evaluate("document.activeElement.type") != "range":
        press("Tab")
    press("Home")
    expect_says(tab, "“\u2068of the\u2069” occurs . times in 1,000 tokens")
    assert tab.evaluate("document.activeElement.getAttribute('aria-valuetext')") == "1,000 tokens"
    press("End")
    expect_says(tab, "in 207,011 tokens")
    for _ in range(9):  # four words at n = 1, four at n = 2, the first at n = 3
        press("Tab")
    assert tab.evaluate(outline) == "solid"
    press("Enter")
    expect_says(tab, "“\u2068of the wall\u2069” occurs 11 times")
    press("Enter")  # the focus stays where the reader works
    expect_says(tab, "“\u2068of the wall ")
    assert tab.problems == []


def test_a_walk_into_a_dead_end_offers_the_way_back(visit):
    tab = visit()
    row = tab.locator(".lm-x-row").nth(5)  # n = 5; row 0 is the head
    row.get_by_role("button", name="week").click()
    expect_says(tab, "“\u2068end of the week\u2069” occurs 1 time in")
    assert tab.get_by_label("Context").input_value() == "the end of the week"
    assert row.locator("button:visible").count() == 1
    # the button that was pressed is gone, the focus is not
    assert tab.evaluate("document.activeElement.textContent") == "Remove last word"
    tab.get_by_label("Context").fill("the end of zyxw")
    expect_says(tab, "The word “\u2068zyxw\u2069” never occurs in 207,011 tokens")
    assert "never seen: no estimate" in row.inner_text()
    assert row.locator("button:visible").count() == 0


TYPED = [  # what is typed, the headline, the hint
    ("", "No context: .* 8,018 are different; most often “\u2068.\u2069”", ""),
    ("THE End of The", "“\u2068the end of the\u2069” occurs 22 times", ""),
    ("she ran to the top of the", "“\u2068the top of the\u2069” occurs 19", "last four.*the top"),
    ("zyxw the", "The word “\u2068zyxw\u2069” never occurs", ""),
    ("the 🐙", "The word “\u2068🐙\u2069” never occurs", ""),
    ("مرحبا", "The word “\u2068مرحبا\u2069” never occurs", ""),
    ("don’t know", "“\u2068don't know\u2069” ", ""),
    (", “", "“\u2068, \"\u2069” occurs", ""),
    ("<img src=x onerror=alert(1)>", "never occurs", "last four"),
    ("x" * 5000, "The word “\u2068x{59}…\u2069” never occurs", ""),
    ("the " * 3000, "“\u2068the the the the\u2069” never occurs", "last four"),
]  # fmt: skip


def test_whatever_is_typed(visit):
    tab = visit(width=390)
    for typed, says, hint in TYPED:
        tab.get_by_label("Context").fill(typed)
        expect_says(tab, says)
        assert re.search(hint, tab.locator(".lm-x-hint").text_content(), re.DOTALL), typed
        assert overflow(tab) <= 0 and tab.locator("lm-ngram-explorer img").count() == 0
        assert tab.problems == []


def test_fewer_tokens_leave_more_unseen(visit):
    tab = visit()
    slider = tab.get_by_role("slider")
    shares = []
    for step, size in (("24", "207,011"), ("20", "100,000"), ("10", "10,000"), ("0", "1,000")):
        slider.fill(step)
        expect_says(tab, f"in {size} tokens")
        shown = tab.locator(".lm-x-shares b").all_inner_texts()
        shares.append([float(share.removesuffix(" %")) for share in shown])
    assert shares[0] == [round(100 * k / of, 1) for k, of in explorer().view["unseen"]]
    assert np.all(np.diff(shares, axis=0) >= 0) and np.all(np.diff(shares, axis=1) >= 0)
    slider.fill("23")
    expect_says(tab, "in 200,000 tokens")
    assert "in the first 186,310" in tab.locator(".lm-x-below").inner_text()


def missing(route):
    route.fulfill(status=404, body="not here")


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        ("**/corpus/index.json", missing),
        ("**/corpus/04*.txt", missing),
        ("**/corpus/index.json", lambda route: route.fulfill(body="<html>")),
    ],
)
def test_a_failed_download_is_said_and_tried_again(visit, pattern, answer):
    tab = visit(routes=[(pattern, answer)])
    before = tab.locator(".lm-x-table").inner_text()
    tab.get_by_role("button", name="of the", exact=True).click()
    expect_says(tab, "could not be loaded")
    assert tab.locator(".lm-x-table").inner_text() == before
    assert not [p for p in tab.problems if "Failed to load resource" not in p]
    tab.context.unroute(pattern)
    tab.get_by_role("button", name="of the", exact=True).click()
    expect_says(tab, "“\u2068of the\u2069” occurs 837 times")


def test_a_slow_download_ends_with_the_last_request(visit):
    held = []
    tab = visit(routes=[("**/corpus/03*.txt", lambda route: held.append(route))])
    tab.get_by_role("button", name="of the", exact=True).click()
    expect_says(tab, "Loading the text")
    tab.get_by_label("Context").fill("once upon a")
    tab.wait_for_timeout(400)
    held[0].continue_()
    expect_says(tab, "“\u2068once upon a\u2069” occurs 1 time")
    assert tab.problems == [] and len(held) == 1


def test_opened_as_a_file(browser, site):
    tab = browser.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(error))
    tab.goto((site / "some" / "book" / "chapters" / "one.html").as_uri())
    tab.get_by_label("Context").fill("of the")
    expect_says(tab, "opened as a file")
    assert "22" in tab.locator(".lm-x-table").inner_text() and errors == []
    tab.close()


def test_without_scripts_and_in_print_there_are_tables(visit):
    tab = visit(java_script_enabled=False, width=390)
    assert tab.locator("table").nth(0).is_visible() and tab.locator("table").nth(1).is_visible()
    assert (
        tab.locator("lm-ngram-explorer").bounding_box()["height"] < 1400
    )  # not the room for controls
    tab = visit()
    assert not tab.locator("table").first.is_visible()
    tab.emulate_media(media="print")
    assert tab.locator("table").first.is_visible() and not tab.locator(".lm-x-live").is_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_and_within_the_screen(visit, theme, width):
    tab = visit(theme=theme, width=width, reduced_motion="reduce")
    assert overflow(tab) <= 0
    tab.get_by_role("button", name="the river was low").click()
    tab.get_by_role("slider").fill("14")
    expect_says(tab, "never occurs in 25,000 tokens")
    assert checks.axe_violations(tab) == [] and overflow(tab) <= 0
    duration = "getComputedStyle(document.querySelector('.lm-x-bar i')).transitionDuration"
    assert tab.evaluate(duration) == "0s"


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_when_the_script_arrives(visit, width):
    assert stays_in_place(visit, "explorer", width=width)


def test_fast_enough_to_drag(visit):
    tab = visit()
    best = tab.evaluate("""async () => {
        const e = document.querySelector("lm-ngram-explorer"), times = [];
        await e.view([], 1000);
        for (let i = 0; i < 5; i++) {
            const begin = performance.now();
            await e.view(["the", "end", "of", "the"], 207011);
            times.push(performance.now() - begin);
        }
        return Math.min(...times);
    }""")
    assert best < 150  # ms


def test_what_the_script_repeats_is_true():
    script = (STATIC / "explorer.js").read_text(encoding="utf-8")
    size = sum(len(work.text.encode()) for work in corpora.load().works)
    assert f"({size / 1e6:.1f} MB)" in script
    constants = f"ORDERS = {ORDERS}, SHOWN = {SHOWN}, LINES = {LINES}, REACH = {REACH}"
    assert constants in script
