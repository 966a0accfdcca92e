"""The attention explorer: NumPy, torch and the page say the same, and the page itself."""

import functools
import gzip
import json
import re
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

from lmlib.attention import conjunctions
from lmlib.attention.conjunctions import PAIRS, PREDICATES, SENTENCE, SUBJECTS
from lmlib.attention_explorer import (
    EXAMPLES,
    FILLERS,
    LONGEST,
    SHOWN,
    WORDS,
    attention_explorer,
    attention_model,
    fillers,
)
from sphinx_ext.site import EXPLORERS, copy_model

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "lmlib" / "data" / "attention_model.json"
SIZE_LIMIT = 10_000  # bytes, script and style together, gzipped
MODEL_LIMIT = 200_000  # bytes, as it lies on the disk
HEADS = range(4)


@functools.cache
def explorer():
    return attention_explorer()


@functools.cache
def asked():
    """(text, heads knocked out): the examples, and 40 drawn sentences, short and long."""
    rng = np.random.default_rng(5)
    found = [(text, []) for text in EXAMPLES]
    for k in range(40):
        drawn = conjunctions.sentences(rng, 1, fillers=int(rng.integers(0, 10)), before=k % 3)
        removed = rng.choice(4, rng.integers(0, 4), replace=False).tolist() if k % 2 else []
        found.append((drawn[0].text, sorted(removed)))
    return [*found, ("虽", [0, 1, 2, 3]), ("。。。", []), (FULL, [2])]


FULL = "虽然下雨了，" + "".join(fillers()) + "但是他坚持去跑步。"


# -------------------------------------------------------------------------------- NumPy and torch
@functools.cache
def torch_model(removed):
    """The stored weights in `SequenceModel`, float64; a removed head's output columns are zero."""
    torch = pytest.importorskip("torch")
    from lmlib.attention import training

    layers = training.attention_layers(2, 44, 2, hidden=88)
    model = training.SequenceModel(len(conjunctions.CHARACTERS), 44, layers).double()
    state = {k: torch.tensor(v) for k, v in attention_model().parameters.items()}
    for k in removed:
        columns = slice(22 * (k % 2), 22 * (k % 2) + 22)
        state[f"layers.{2 * (k // 2)}.output.weight"][:, columns] = 0
    model.load_state_dict(state)
    return model


def torch_forward(text, removed):
    import torch

    model = torch_model(tuple(removed))
    tokens = torch.tensor([[conjunctions.CHARACTERS.index(c) for c in text]])
    with torch.no_grad():
        chances = model(tokens)[0].softmax(-1).numpy()
    return chances, np.concatenate([layer[0].numpy() for layer in model.weights(tokens)])


def test_numpy_is_torch():
    for text, removed in asked():
        for ours, theirs in zip(
            attention_model().forward(text, removed), torch_forward(text, removed), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_the_model_speaks_the_language():
    model = attention_model()
    assert model.characters == conjunctions.CHARACTERS and model.heads == 2 and model.depth == 2
    assert sum(p.size for p in model.parameters.values()) == 40_046
    rng = np.random.default_rng(8)
    right = []
    for distance in (0, 6, FILLERS):
        for drawn in conjunctions.sentences(rng, 20, fillers=distance):
            chances = model.forward(drawn.text[: drawn.second])[0][-1][conjunctions.SECONDS]
            right.append(chances.argmax() == drawn.pair)
            assert 0.1 < chances[drawn.pair] < 0.6  # END is 0.3
    assert np.mean(right) > 0.95


def test_what_the_chapter_shows():
    """One head of layer 2 looks at the first conjunction, at any distance, and it alone decides."""
    model = attention_model()
    for text in (FULL[:6], FULL[: FULL.index("但是")]):
        view = model.view(text, len(text) - 1)
        assert view["next"][0][0] == "但" and view["weights"][2][0] > 0.85
        without = [model.view(text, len(text) - 1, [k])["first"] for k in HEADS]
        assert [first[0] for first in without] == ["但"] * 4
        assert [first[1] < 0.05 for first in without] == [False, False, True, False]


@settings(max_examples=25, deadline=None)
@given(
    text=st.text(st.sampled_from(conjunctions.CHARACTERS), min_size=1, max_size=30),
    removed=st.sets(st.sampled_from(HEADS)),
)
def test_properties(text, removed):
    model, last = attention_model(), len(text) - 1
    chances, weights = model.forward(text, sorted(removed))
    assert chances.shape == (len(text), 94) and weights.shape == (4, len(text), len(text))
    np.testing.assert_allclose(chances.sum(-1), 1)
    np.testing.assert_allclose(weights.sum(-1), 1)
    assert not np.triu(weights, 1).any()
    for position in {0, last // 2, last}:
        view = model.view(text, position, sorted(removed))
        assert view == json.loads(json.dumps(view))
        np.testing.assert_allclose(
            view["weights"], weights[:, position, : position + 1], atol=1e-12
        )
        best = [chance for _, chance, _ in view["next"]]
        np.testing.assert_allclose(best, np.sort(chances[position])[::-1][:SHOWN], atol=1e-12)
        whole = model.forward(text)[0][position]
        for character, now, was in [*view["next"], view["first"]]:
            k = model.characters.index(character)
            np.testing.assert_allclose([now, was], [chances[position, k], whole[k]], atol=1e-12)
        assert view["first"][2] == pytest.approx(whole.max())


def test_a_head_of_layer_2_changes_no_weight():
    view = [attention_model().view(SENTENCE, 5, removed)["weights"] for removed in ([], [2, 3])]
    assert view[0] == view[1]
    assert view[0][2:] != attention_model().view(SENTENCE, 5, [0])["weights"][2:]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: attention_explorer(""), "empty"),
        (lambda: attention_explorer("虽然下雪了，"), "never met 雪; its 94"),
        (lambda: attention_explorer("雨" * (LONGEST + 1)), "61 characters; expected at most 60"),
        (lambda: attention_explorer("下雨了，", 4), "position 4 is not in a text of 4"),
        (lambda: attention_explorer("下雨了，", -1), "position -1"),
        (lambda: attention_model().forward("雨", [4]), "no head 4: they are 0 … 3"),
        (lambda: attention_model().forward("雨", [-1]), "no head -1"),
    ],
)
def test_what_cannot_be_read_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_default_position():
    assert explorer().view["position"] == SENTENCE.index("，") == 5
    assert attention_explorer("他很累").view["position"] == 2


def test_words_are_those_of_the_language():
    assert [*WORDS] == [*"|".join(f"{a}|{b}" for a, b in PAIRS).split("|"), *SUBJECTS, *PREDICATES]
    syllable = {}
    for word, (pinyin, meaning) in WORDS.items():
        assert len(pinyin.split()) == len(word) and meaning.isascii()
        for character, sound in zip(word, pinyin.split(), strict=True):
            assert syllable.setdefault(character, sound) == sound  # one reading each
    assert {*syllable, "，", "。"} == {*conjunctions.CHARACTERS}
    spoken = [syllable[c] for c in SENTENCE if c in syllable]
    assert spoken == [sound for sound in conjunctions.PINYIN if sound.isalpha()]
    clause = f"({'|'.join(SUBJECTS)})?({'|'.join(PREDICATES)})，"
    assert len(fillers()) == FILLERS and all(re.fullmatch(clause, filler) for filler in fillers())
    assert EXAMPLES[0] == SENTENCE and all(len(text) <= LONGEST for text in EXAMPLES)


# ------------------------------------------------------------------------------- static fallback
class Marked(Tables):
    """The same, but text in Chinese must be marked as such."""

    lang = False

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        self.lang = dict(attrs).get("lang") == "zh"

    def handle_endtag(self, tag):
        super().handle_endtag(tag)
        self.lang = False

    def handle_data(self, data):
        super().handle_data(data)
        unmarked = re.search(r"[\u3000-\u9fff\uff00-\uffef]", data) and not self.lang
        assert not unmarked, f"Chinese without lang: {data}"


def test_static_tables_hold_the_numbers_and_are_accessible():
    found, view = Marked(explorer()._repr_html_()), explorer().view
    assert len(found.captions) == 2 and all(found.captions)
    assert found.scopes == ["col"] * 5 + ["row"] * 6 + ["col"] * 6 + ["row"] * SHOWN
    seen, chances = found.rows[1:7], found.rows[8:]
    for t, (name, *cells) in enumerate(seen):
        assert name.startswith(SENTENCE[t])
        assert cells == [f"{weights[t]:.3f}" for weights in view["weights"]]
    without = [attention_model().forward(SENTENCE[:6], [k])[0][-1] for k in HEADS]
    for (name, *cells), (character, now, _) in zip(chances, view["next"], strict=True):
        k = conjunctions.CHARACTERS.index(character)
        assert name.startswith(character)
        assert cells == [f"{chance:.3f}" for chance in (now, *(row[k] for row in without))]
    assert chances[0][0] == "但 dàn"


def test_data_for_the_page_survive_html():
    data = Tables(explorer()._repr_html_()).data[0]
    assert data["text"] == SENTENCE and data["position"] == 5 and data["removed"] == []
    for name in ("weights", "next", "first"):
        numbers = [
            np.array(re.findall(r"\d\.[\de-]+", json.dumps(view[name])), float)
            for view in (data, explorer().view)
        ]
        np.testing.assert_allclose(*numbers, rtol=0, atol=6e-7)
    assert data["fillers"] == fillers() and data["characters"] == conjunctions.CHARACTERS
    assert data["words"]["虽然"] == ["suī rán", "although"] and data["examples"] == [*EXAMPLES]


def test_text_version_has_every_number():
    text = explorer()._repr_mimebundle_()["text/plain"]
    assert text == repr(attention_explorer()) and len(text) < 1500
    found = Tables(explorer()._repr_html_()).rows
    numbers = [cell for row in (*found[1:7], *found[8:]) for cell in row[1:]]
    assert re.findall(r"\b\d\.\d{3}\b", text) == numbers


# --------------------------------------------------------------------------------------- the page
def test_size():
    script = (STATIC / "attention-explorer.js").read_bytes()
    style = (STATIC / "attention-explorer.css").read_bytes()
    assert len(gzip.compress(script + style, 9)) <= SIZE_LIMIT
    assert script.count(b"\n") <= 300


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A book of two pages, as the real one lays out its files."""
    root = tmp_path_factory.mktemp("site")
    element = explorer()._repr_html_()
    write_pages(root, "attention-explorer", one=[element], two=[element, element])
    copy_model(MODEL, root / "_static" / "attention-model.js")
    return root


@pytest.fixture(scope="module")
def base(site):
    yield from checks.serve(site)


browser = pytest.fixture(scope="module")(checks.open_browser)


@pytest.fixture
def visit(browser, base):
    yield from visits(browser, base)


def model_requests(tab):
    return [url for url in tab.requests if url.endswith("attention-model.js")]


def expect_says(tab, pattern):
    """Wait until the (first) headline matches."""
    expect_text(tab, ".lm-x-says", pattern)


def heights(tab, row):
    """The bars of one head, in per cent."""
    return tab.evaluate(
        "row => [...document.querySelectorAll('.lm-a-column:not(.lm-a-key)')].map("
        "c => parseFloat(c.children[row].firstChild.style.height))",
        row,
    )


def shown(tab):
    return [float(text) for text in tab.locator(".lm-a-both ol b").all_inner_texts()]


def test_page_computes_what_torch_computes(visit):
    pytest.importorskip("torch")
    tab = visit()
    found = tab.evaluate(
        """async asked => {
            const explorer = document.querySelector("lm-attention-explorer"), found = [];
            for (const [text, removed] of asked) {
                const { chances, weights } = await explorer.forward(text, removed);
                found.push([chances.map(c => [...c]), weights.map(h => h.map(w => [...w]))]);
            }
            return JSON.stringify(found);
        }""",
        asked(),
    )
    found = json.loads(found)
    assert len(found) >= 30
    for (text, removed), (chances, weights) in zip(asked(), found, strict=True):
        expected, seen = torch_forward(text, removed)
        assert np.abs(np.array(chances) - expected).max() < 1e-6  # erf is 1.5e-7 off
        for ours, theirs in zip(weights, seen, strict=True):
            for t, row in enumerate(ours):
                assert len(row) == t + 1 and np.abs(row - theirs[t, : t + 1]).max() < 1e-6
    assert tab.problems == []


def test_page_views_what_python_views(visit):
    rng = np.random.default_rng(6)
    questions = [
        [text, int(rng.integers(len(text))), removed] for text, removed in asked() if len(text) < 60
    ]
    tab = visit()
    found = tab.evaluate(
        """asked => Promise.all(asked.map(
            question => document.querySelector("lm-attention-explorer").view(...question)))""",
        questions,
    )
    for question, view in zip(questions, found, strict=True):
        expected = attention_model().view(*question)
        assert view.keys() == expected.keys()
        assert [view[k] for k in ("text", "position", "removed")] == question
        for rows in ("next", "first"):
            ours, theirs = (np.array(v[rows], object).reshape(-1, 3) for v in (view, expected))
            assert ours[:, 0].tolist() == theirs[:, 0].tolist()
            assert np.abs(ours[:, 1:].astype(float) - theirs[:, 1:].astype(float)).max() < 1e-6
        assert np.abs(np.array(view["weights"]) - np.array(expected["weights"])).max() < 1e-6


def test_model_is_loaded_once_and_only_on_use(visit):
    tab = visit("two")
    tab.wait_for_load_state("networkidle")
    tab.mouse.move(600, 300)
    tab.mouse.wheel(0, 400)
    assert model_requests(tab) == []
    first, second = tab.locator("lm-attention-explorer").all()
    first.get_by_role("button", name="because").click()
    expect_says(tab, "因为下雨了， .* first choice is 所")
    second.get_by_label("Filler clauses").fill("3")
    second.locator(".lm-x-says").get_by_text("(23 characters read)").wait_for()
    assert "所" in first.locator(".lm-x-says").text_content()  # each has its own state
    assert len(model_requests(tab)) == 1
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids)) and tab.problems == []


def test_page_shows_the_view_before_and_after_loading(visit):
    tab = visit()
    lines = ".lm-a-both li, .lm-a-gloss, .lm-x-says, .lm-x-slider"
    before = tab.locator(lines).all_inner_texts()
    bars = [heights(tab, k) for k in HEADS]
    height = tab.evaluate("document.querySelector('lm-attention-explorer').offsetHeight")
    for k, weights in enumerate(explorer().view["weights"]):
        np.testing.assert_allclose(bars[k], 100 * np.array(weights + [0] * 9), atol=1e-3)
    assert shown(tab) == [round(now, 3) for _, now, _ in explorer().view["next"]]
    place = tab.get_by_label("The model has read")
    with tab.expect_response("**/attention-model.js"):
        place.fill("6")
    expect_says(tab, "7 characters read")
    place.fill("5")
    expect_says(tab, "虽然下雨了， .6 characters read. .* 但, probability 0.273.$")
    assert tab.locator(lines).all_inner_texts() == before
    assert [heights(tab, k) for k in HEADS] == [pytest.approx(row, abs=1e-3) for row in bars]
    assert tab.evaluate("document.querySelector('lm-attention-explorer').offsetHeight") == height


def test_distance_and_a_knocked_out_head(visit):
    tab = visit()
    tab.get_by_label("Filler clauses").fill(str(FILLERS))
    read = FULL.index("但是")
    expect_says(tab, rf"在家休息|， .{read} characters read. .* choice is 但")
    assert tab.locator(".lm-a-column:not(.lm-a-key)").count() == len(FULL)
    text = tab.locator(".lm-a-strip").text_content()
    assert text.removeprefix("1.11.22.12.2") == FULL
    assert heights(tab, 2)[0] > 85
    item = tab.locator(".lm-a-both ul li").nth(2)
    assert f"虽 {heights(tab, 2)[0] / 100:.3f}, {read - 1} characters back" in item.inner_text()
    before = shown(tab)[0]
    assert before == round(attention_model().view(FULL, read - 1)["next"][0][1], 3)
    tab.get_by_label("knock out layer 2, head 1").check()
    expect_says(tab, f"Without layer 2, head 1, 但 falls from {before} to 0.001; .* now")
    expected = attention_model().view(FULL, read - 1, [2])
    assert shown(tab) == [round(now, 3) for _, now, _ in expected["next"]]
    mark = tab.locator(".lm-x-bar u").first
    assert mark.is_visible()
    was = float(mark.evaluate("m => m.style.left").removesuffix("%"))
    assert was == pytest.approx(100 * expected["next"][0][2], abs=1e-3)
    assert tab.locator(".lm-a-cell .lm-a-out").count() == len(FULL)
    tab.get_by_label("knock out layer 2, head 1").uncheck()
    expect_says(tab, f"choice is 但, probability {before}.$")
    assert not mark.is_visible()
    assert tab.problems == []


def test_the_place_moves_with_the_fillers(visit):
    tab = visit()
    between, place = tab.get_by_label("Filler clauses"), tab.get_by_label("The model has read")
    first, second = (len(filler) for filler in fillers()[:2])
    for fill, at in ((1, 5 + first), (2, 5 + first + second), (0, 5)):
        between.fill(str(fill))
        assert place.input_value() == str(at)
    place.fill("2")
    between.fill("1")
    assert place.input_value() == "2"  # before the fillers: it stays
    place.fill("8")
    between.fill("0")
    assert place.input_value() == "5"  # within them: back to the comma
    tab.locator(".lm-a-column").nth(11).click()  # the key, then the characters
    expect_says(tab, r"\(11 characters read\)")
    assert place.get_attribute("aria-valuetext") == "11 of 15 characters, up to 持"
    tab.locator(".lm-a-key").click()
    assert place.input_value() == "10"


def test_a_reader_with_a_keyboard_only(visit):
    tab = visit()
    press = tab.keyboard.press
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    press("Tab")
    assert tab.evaluate("document.activeElement.labels[0].textContent") == "Sentence"
    assert tab.evaluate(outline) == "solid"
    press("Control+A")
    tab.keyboard.insert_text("只有很累，")
    expect_says(tab, "只有很累， .5 characters read. .* choice is 才")
    for _ in range(3):
        press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "如果 if"
    press("Space")
    expect_says(tab, "如果下雨了， .* choice is 那")
    assert tab.get_by_label("Sentence").input_value() == EXAMPLES[2]
    while tab.evaluate("document.activeElement.type") != "range":
        press("Tab")
    press("ArrowRight")
    press("ArrowRight")
    expect_says(tab, r"\(16 characters read\)")
    press("Home")
    expect_says(tab, r"\(6 characters read\)")
    press("Tab")
    press("End")
    expect_says(tab, r"\(15 characters read\)")
    press("Home")
    expect_says(tab, r"After 如 \(1 character read\)")
    press("End")
    press("Tab")
    assert tab.evaluate("document.activeElement.type") == "checkbox"
    press("Space")
    expect_says(tab, "Without layer 1, head 1, ")
    press("Tab")
    press("Space")
    expect_says(tab, "Without layer 1, head 1 and layer 1, head 2, ")
    for _ in range(3):
        press("Tab")
    assert "lm-a-scroll" in tab.evaluate("document.activeElement.className")
    assert tab.evaluate(outline) == "solid" and tab.problems == []


TYPED = [  # what is typed, the headline, the second line under the field
    ("因为很累，", "^After 因为很累， .* choice is 所", "‘because’ ‘very tired’,$"),
    ("因为 很累, ", "^After 因为很累， ", "yīn wèi hěn lèi,"),
    ("猫很累，", "^The model never met 猫: it knows the 94 .* After 很累， ", "‘very tired’,$"),
    ("rain", "^The model never met rain: .* Nothing to read", "Word by word: $"),
    ("", "^Nothing to read", "Word by word: $"),
    ("坚持了", "^After 坚持了 ", "jiān chí le.*: jiān chí le$"),
    ("<img src=x onerror=alert(1)>", "never met <", ""),
    ("雨" * 5000, r"\(60 characters read\)", ""),
    ("🐙虽然", "never met 🐙: .* After 虽然 ", "‘although’$"),
    ("，", "After ， .1 character read", "Word by word: ,$"),
]


def test_whatever_is_typed(visit):
    tab = visit(width=390)
    field = tab.get_by_label("Sentence")
    for typed, says, gloss in TYPED:
        field.fill(typed)
        expect_says(tab, says)
        assert re.search(gloss, tab.locator(".lm-a-gloss").text_content()), typed
        assert overflow(tab) <= 0 and tab.locator("lm-attention-explorer img").count() == 0
        assert tab.get_by_label("Filler clauses").is_disabled() == (not re.search("[，,]", typed))
        assert tab.problems == []


def test_pinyin_on_its_way_to_a_character_is_not_read(visit):
    tab = visit()
    tab.evaluate("""() => {
        const field = document.querySelector(".lm-x-field input");
        const send = (kind, type, props) => field.dispatchEvent(new kind(type, props));
        send(CompositionEvent, "compositionstart");
        field.value = "yin wei";
        send(InputEvent, "input", { isComposing: true });
    }""")
    tab.wait_for_timeout(500)
    assert "虽然下雨了" in tab.locator(".lm-x-says").text_content()
    tab.evaluate("""() => {
        const field = document.querySelector(".lm-x-field input");
        field.value = "因为";
        field.dispatchEvent(new CompositionEvent("compositionend"));
    }""")
    expect_says(tab, "^After 因为 .2")


@pytest.mark.parametrize(
    "answer",
    [
        lambda route: route.fulfill(status=404, body="not here"),
        lambda route: route.fulfill(body="", content_type="text/javascript"),
    ],
)
def test_a_failed_download_is_said_and_tried_again(visit, answer):
    tab = visit(routes=[("**/attention-model.js", answer)])
    before = tab.locator(".lm-a-both").inner_text()
    tab.get_by_role("button", name="because").click()
    expect_says(tab, "could not be loaded")
    assert tab.locator(".lm-a-both").inner_text() == before
    assert not [p for p in tab.problems if "Failed to load resource" not in p]
    tab.context.unroute("**/attention-model.js")
    tab.get_by_role("button", name="because").click()
    expect_says(tab, "因为下雨了，")


def test_opened_as_a_file(browser, site):
    tab = browser.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(error))
    tab.goto((site / "chapters" / "one.html").as_uri())
    tab.get_by_role("button", name="rather than").click()
    expect_says(tab, "与其下雨了， .* choice is 不, probability 0.265")
    assert errors == []
    tab.close()


def test_without_scripts_and_in_print_there_are_tables(visit):
    tab = visit(java_script_enabled=False, width=390)
    assert tab.locator("table").nth(0).is_visible() and tab.locator("table").nth(1).is_visible()
    box = tab.locator("lm-attention-explorer").bounding_box()
    assert box["height"] < 1200 and box["x"] + box["width"] <= 390
    tab = visit()
    assert not tab.locator("table").first.is_visible()
    tab.emulate_media(media="print")
    assert tab.locator("table").first.is_visible() and not tab.locator(".lm-x-live").is_visible()


def chinese_without_lang(tab):
    """Texts with Chinese in them whose language is not said."""
    return tab.evaluate("""() => {
        const walk = document.createTreeWalker(document.querySelector(".lm-x-live"), 4), found = [];
        while (walk.nextNode()) {
            const { data, parentElement } = walk.currentNode;
            const said = parentElement.closest("[lang]").lang;
            if (/\\p{Script=Han}/u.test(data) !== (said === "zh") && !/^[，。]*$/.test(data))
                found.push(data);
        }
        return found;
    }""")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_and_within_the_screen(visit, theme, width):
    tab = visit(theme=theme, width=width, reduced_motion="reduce")
    assert overflow(tab) <= 0
    tab.get_by_label("Sentence").fill("虽然猫很累，但是他坚持")
    tab.get_by_label("Filler clauses").fill("30")
    tab.get_by_label("knock out layer 2, head 1").check()
    expect_says(tab, "猫.* 但 falls")
    assert checks.axe_violations(tab) == [] and overflow(tab) <= 0
    tab.get_by_label("The model has read").fill("1")
    expect_says(tab, "2 characters read")
    assert chinese_without_lang(tab) == []
    duration = "getComputedStyle(document.querySelector('.lm-x-bar i')).transitionDuration"
    assert tab.evaluate(duration) == "0s"
    tab.set_viewport_size({"width": 320, "height": 800})
    assert overflow(tab) <= 0


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_when_the_script_arrives(visit, width):
    assert stays_in_place(visit, "attention-explorer", width=width)


def test_what_the_script_repeats_is_true(base, site):
    script = (STATIC / "attention-explorer.js").read_text(encoding="utf-8")
    assert f"SHOWN = {SHOWN}, LONGEST = {LONGEST}" in script
    size = (site / "_static" / "attention-model.js").stat().st_size
    assert f"({size / 1e3:.0f} kB)" in script and size <= MODEL_LIMIT
    assert f"probability {conjunctions.END:.2f}" in script
    training = (ROOT / "benchmarks" / "attention_model.py").read_text(encoding="utf-8")
    longest = re.search(r"longest: int = (\d+)", training)[1]
    assert f"for certain after {longest} clauses" in script
    assert re.findall(r'zh\("([^"]+)"\)', script) == ["虽然", "下雨了"]
    assert 'never: str = "虽然下雨了"' in training
    assert EXPLORERS["lm-attention-explorer"] == "attention-explorer"
