"""The guards, broken on purpose: a book with a fault must not build, a page with one must not pass.

A tiny book with every fault in it is built once; each test looks for its own complaint. The same
book without faults builds clean, so every complaint is about its fault.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import site_checks as checks
from site_checks import ROOT

from sphinx_ext import claims, figures, frontend

pytestmark = pytest.mark.site
ALT = "Line chart of the share of new n-grams against n; it rises from 1 % to 95 %."
SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 width="374.4pt" height="72pt" viewBox="0 0 374.4 72" version="1.1">
 <defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
 <g id="figure_1"><g id="patch_1"><path d="M 0 0 L 374.4 0 L 374.4 72 z" style="fill: #ffffff"/></g>
 <g id="line_1"><defs><path id="mark" d="M 0 0 h 1"/></defs><g clip-path="url(#box)">
 <use xlink:href="#mark" x="1.23456" style="stroke: #0068a8"/></g></g>
 <text style="font: italic 13px 'DejaVu Sans', sans-serif; fill: #1a1a1a">n</text>
 <clipPath id="box"><rect width="9" height="9"/></clipPath></g></svg>"""
VERDICT = {"id": "S4", "verdict": "holds", "evidence": "tiny-figure"}
SENTENCE = "> **Claim S4 holds.** The share rises from 1 % to 95 %."


def markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def code(source, data, metadata=None, **cell):
    output = {"output_type": "display_data", "data": data, "metadata": metadata or {}}
    return {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": source,
        "outputs": [output],
    } | cell


def notebook(sentence=SENTENCE, verdicts=(VERDICT,), alt=ALT, svg=SVG, more=""):
    """A chapter of a few cells: a figure with its caption, a verdict, the claims cell."""
    png = base64.b64encode(b"\x89PNG").decode()
    image = {"mystnb": {"image": {"alt": alt}}} if alt else {}
    cells = [
        markdown("# Tiny"),
        code(
            "draw()",
            {"image/svg+xml": svg, "image/png": png, "text/plain": "a figure"},
            metadata=image,
            id="tiny-figure",
        ),
        markdown("**Figure 1.1.** The share rises, $P = 0.95$ at the end."),
        markdown(sentence),
        markdown(f"$$P = 1 \\tag{{1.1}}$$\n\n{more}"),
        code(
            "claims",
            {
                "text/plain": "all hold",
                claims.MIME: {"chapter": "tiny", "verdicts": list(verdicts)},
            },
            id="tiny-claims",
        ),
    ]
    cells[1]["metadata"] = image
    cells[-1]["metadata"] = {"tags": ["claims", "hide-input"]}
    for number, cell in enumerate(cells):
        cell.setdefault("id", f"tiny-{number}")
    language = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    metadata["language_info"] = language
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def build(folder, chapters, environment=None):
    """Build a book from our own configuration; return (exit code, warnings, html folder)."""
    for name in ("_config.yml", "static", "reference/claims.json", "reference/references.bib"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    config = folder / "_config.yml"
    text = config.read_text("utf-8")
    assert "sphinx_ext: ." in text
    text = text.replace("sphinx_ext: .", f'sphinx_ext: "{ROOT.as_posix()}"')
    config.write_text(text, "utf-8")
    (folder / "index.md").write_text("# Tiny book\n\nA book for tests.\n", "utf-8")
    for name in ("scaling_laws", "attention", "layernorm"):  # the ledger points to them
        chapters.setdefault(f"chapters/{name}.md", "# A chapter\n\nNot written.\n")
    chapters["reference/claims.md"] = "# Ledger\n\n```{claims-ledger} claims.json\n```\n"
    for name, content in chapters.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    files = "".join(f"- file: {name.rpartition('.')[0]}\n" for name in chapters)
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n{files}", "utf-8")
    run = "from jupyter_book.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", run, "build", ".", "-W", "--keep-going", "-n"],
        cwd=folder,
        env={**os.environ, **(environment or {}), "NO_COLOR": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    log = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    warnings = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|rror:", line)]
    return done.returncode, warnings, folder / "_build" / "html"


@pytest.fixture(scope="module", autouse=True)
def _frontend():
    if not frontend.is_installed():
        checks.missing(f"front-end parts are missing: run `{frontend.COMMAND}`")


# ------------------------------------------------------------- the build that must fail

FAULTS = {
    "formula": (notebook(more=r"$$\frac{1}{2 \tag{9}$$"), r"KaTeX parse error.*\\frac"),
    "no-alt": (notebook(alt=""), r"\.svg: no alternative text"),
    "short-alt": (notebook(alt="A line chart"), r"'A line chart' is shorter than 20"),
    "name-alt": (
        notebook(alt="sparsity-unseen-share-by-order"),
        r"is an identifier, not a sentence",
    ),
    "colour": (
        notebook(svg=SVG.replace("#0068a8", "#123456")),
        r"colours outside the palette: \['#123456'\]",
    ),
    "page-link": (notebook(more="See [this](nowhere.ipynb)."), r"nowhere\.ipynb"),
    "anchor-link": (notebook(more="See [this](#no-such-place)."), r"no-such-place"),
    "level": (notebook(more="#### Too deep"), r"[Hh]eader.*H1 to H4"),
    "verdict": (
        notebook(sentence=SENTENCE.replace("holds.", "is wrong as stated.")),
        r"claim S4: the prose says 'wrong as stated', the claims cell 'holds'",
    ),
    "prose-only": (notebook(verdicts=()), r"the prose decides claim S4, the claims cell does not"),
    "cell-only": (
        notebook(sentence="None."),
        r"the claims cell decides claim S4, the prose does not",
    ),
    "evidence": (
        notebook(verdicts=[VERDICT | {"evidence": "gone"}]),
        r"claim S4: no cell has the id 'gone'",
    ),
    "twice": (
        notebook(sentence=SENTENCE + "\n\n" + SENTENCE),
        r"claim S4 is decided more than once",
    ),
    "unknown": (
        notebook(SENTENCE.replace("S4", "Z9"), [VERDICT | {"id": "Z9"}]),
        r"claim Z9 is not in claims\.json",
    ),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    chapters = {f"chapters/{name}.ipynb": text for name, (text, _) in FAULTS.items()}
    chapters["chapters/sparsity.ipynb"] = notebook()
    code, warnings, _ = build(tmp_path_factory.mktemp("faulty"), chapters)
    assert code != 0
    return warnings


@pytest.mark.parametrize("name", FAULTS)
def test_build_fails_on(faulty, name):
    _, complaint = FAULTS[name]
    place = rf"chapters[/\\]{name}\b"
    assert any(re.search(complaint, line) and re.search(place, line) for line in faulty), faulty


def test_a_claim_is_decided_once(faulty):
    assert any("claim S4 is also decided in chapters/" in line for line in faulty)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The same book without faults, built as if it were published."""
    published = {"BOOK_URL": "https://books.example/lm", "BOOK_REPO": "https://github.com/some/one"}
    chapters = {"chapters/sparsity.ipynb": notebook()}
    code, warnings, site = build(tmp_path_factory.mktemp("sound"), chapters, published)
    assert (code, warnings) == (0, [])
    return site


def test_ledger(sound):
    text = checks.read(sound / "reference" / "claims.html")
    row = re.search(r"<td><p>S4</p></td>.*?</tr>", text, re.S)[0]
    assert "rises from 1\u00a0% to 95\u00a0%" in row, "a number keeps its per cent sign on its line"
    assert 'href="../chapters/sparsity.html#claim-s4"' in row
    assert 'href="../chapters/sparsity.html#tiny-figure"' in row
    assert text.count('<span class="lm-badge lm-open">open</span>') == 31
    assert not checks.broken_links(sound, "reference/claims.html")


def test_figure_in_the_page(sound):
    text = checks.read(sound / "chapters" / "sparsity.html")
    figure = re.search(r'<figure class="lm-figure" id="figure-1-1">.*?</figure>', text, re.S)[0]
    assert f'aria-label="{ALT}"' in figure and 'role="img"' in figure
    assert "var(--lm-blue)" in figure and "#" not in figure.replace("#f1-", "").replace('"#', "")
    assert "max-width:499px;aspect-ratio:499/96" in figure
    assert " height=" not in figure[: figure.index("<g")]
    assert "<style" not in figure and "patch" not in figure, "the page is the paper"
    assert 'href="#f1-mark"' in figure and 'id="f1-mark"' in figure and "url(#f1-box)" in figure
    assert "font:italic 13px var(--lm-sans)" in figure and 'x="1.23"' in figure
    assert "<figcaption>" in figure and "The share rises" in figure
    assert 'id="eq-1-1"' in text and "lm-verdict lm-holds" in text
    assert figures.PALETTE["#0068a8"] == "blue"


def test_published_addresses(sound):
    text = checks.read(sound / "chapters" / "sparsity.html")
    address = "https://books.example/lm/chapters/sparsity.html"
    assert f'<link rel="canonical" href="{address}">' in text
    assert f'<meta property="og:url" content="{address}">' in text
    assert '<meta property="og:image" content="https://books.example/lm/_static/og.png">' in text
    colab = "https://colab.research.google.com/github/some/one/blob/main/chapters/sparsity.ipynb"
    assert f'href="{colab}"' in text
    assert f"<loc>{address}</loc>" in checks.read(sound / "sitemap.xml")
    robots = checks.read(sound / "robots.txt")
    assert robots.endswith("Sitemap: https://books.example/lm/sitemap.xml\n")


# ---------------------------------------------------------- the page that must not pass

PAGE = """<!DOCTYPE html><html lang="en"><head><title>A doctored page</title>
<meta name="description" content="A page with faults, made to see whether the checks see them.">
<meta property="og:title" content="t"><meta property="og:description" content="d">
<meta property="og:type" content="article"><meta property="og:image" content="i.png">
<link rel="icon" href="data:,"></head>
<body><main id="main"><h1>A doctored page</h1>{}</main></body></html>"""
FIGURE = """<figure class="lm-figure"><svg role="img" aria-label="A line that rises to the right"
 viewBox="0 0 400 100" style="width:{}"><text style="font-size:{}">n</text></svg>
<figcaption style="font-size:13px">A caption</figcaption></figure>"""
NUMBERED = """<p><span class="katex-base" style="display:inline-block;width:200px">x</span>
<span class="katex-tag" style="position:absolute;left:150px">(1)</span></p>"""
PICTURE = '<img src="a.svg" alt="A line that rises to the right">'


@pytest.fixture
def doctored(tmp_path):
    (tmp_path / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>', "utf-8")

    def make(body):
        (tmp_path / "page.html").write_text(PAGE.format(body), "utf-8")
        checks.parsed.cache_clear()
        return tmp_path, "page.html"

    return make


@pytest.mark.parametrize(
    ("check", "body", "complaint"),
    [
        (checks.external_loads, '<img src="https://example.org/a.png" alt="">', "img loads https"),
        (checks.external_loads, '<script src="//example.org/a.js"></script>', "script loads //"),
        (checks.external_loads, '<iframe src="http://example.org"></iframe>', "iframe loads http"),
        (checks.broken_links, '<a href="gone.html">x</a>', "gone.html, which is not there"),
        (checks.broken_links, '<a href="page.html#gone">x</a>', "no such anchor"),
        (checks.broken_links, '<a href="#gone">x</a>', "no such anchor"),
        (checks.broken_links, '<script src="gone.js"></script>', "script points to gone.js"),
        (checks.repeated_ids, '<p id="main">x</p>', "id 'main' is used 2 times"),
        (checks.bad_alternatives, '<img src="a.svg">', "alternative text ''"),
        (checks.bad_alternatives, '<img src="a.svg" alt="a.svg">', "alternative text 'a.svg'"),
        (checks.bad_alternatives, '<svg role="img" aria-label="Plot"></svg>', "text 'Plot'"),
        (checks.bad_alternatives, "<svg></svg>", "neither role=img nor aria-hidden"),
    ],
)
def test_file_checks_complain(doctored, check, body, complaint):
    assert not check(
        *doctored(f'{PICTURE}<a href="page.html#main">x</a><a href="https://a.b">y</a>')
    )
    assert any(complaint in line for line in check(*doctored(body)))


def test_head_check_complains(doctored):
    folder, page = doctored("")
    assert not checks.bad_head(folder, page)
    text = (folder / page).read_text("utf-8")
    for part in (' lang="en"', "A doctored page</title>", 'name="description"', "og:image"):
        (folder / page).write_text(
            text.replace(part, "</title>" if "title" in part else ""), "utf-8"
        )
        checks.parsed.cache_clear()
        assert checks.bad_head(folder, page), part


def test_style_sheet_check_complains(tmp_path):
    sheet = tmp_path / "a.css"
    sheet.write_text("p{background:url(data:,)} @font-face{src:url(fonts/a.woff2)}", "utf-8")
    assert not checks.external_loads_in_css(tmp_path)
    for text in ('@import "https://example.org/a.css";', "p{background:url(//example.org/a.png)}"):
        sheet.write_text(text, "utf-8")
        assert checks.external_loads_in_css(tmp_path)


browser = pytest.fixture(scope="module")(checks.open_browser)


@pytest.fixture
def base(tmp_path):
    yield from checks.serve(tmp_path)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<img src="https://example.org/a.png" alt="">', "external request https://example.org"),
        ("<script>fetch('https://example.org/x').catch(() => 0)</script>", "external request"),
        ("<script>console.error('oh')</script>", "console: oh"),
        ("<script>nothing()</script>", "script error: nothing is not defined"),
        ('<img src="gone.png" alt="">', "404"),
        ('<span class="math">x^2</span>', "formula not rendered"),
        (NUMBERED, "number over formula"),
        ('<div style="width:500px">wide</div>', "the page scrolls sideways (5"),
        (FIGURE.format("500px", "20px"), "wider than the screen: svg"),
        (FIGURE.format("300px", "13px"), "figure text of 9.8 px, caption 13 px"),
        ('<p style="color:#aaa;background:#fff">pale</p>', "color-contrast"),
        ('<div style="overflow:auto;height:2em">a<br>b<br>c<br>d</div>', "scrollable-region"),
        ("<button></button>", "button-name"),
    ],
)
def test_browser_checks_complain(browser, base, doctored, body, complaint):
    def complaints(content):
        doctored(content)
        tab = checks.visit(browser, base, "page.html", width=390)
        found = checks.bad_layout(tab) + tab.complaints
        if not found:
            found = checks.axe_violations(tab)
        tab.context.close()
        return found

    assert any(complaint in line for line in complaints(body))


def test_browser_checks_pass_a_sound_page(browser, base, doctored):
    doctored(PICTURE + FIGURE.format("340px", "16px"))
    tab = checks.visit(browser, base, "page.html", width=390)
    assert checks.bad_layout(tab) + tab.complaints + checks.axe_violations(tab) == []
    tab.context.close()


# ------------------------------------------------------------------------------ the front-end parts


def test_without_the_registry(tmp_path, monkeypatch):
    """Offline, the message says what could not be fetched, and nothing half-made stays behind."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(frontend, "ROOT", tmp_path)
    monkeypatch.setattr(frontend, "MODULES", tmp_path / "node_modules")
    monkeypatch.setattr(frontend, "STAMP", tmp_path / "node_modules" / ".lock-sha256")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(frontend.FrontendError, match="internet connection") as caught:
        frontend.install()
    assert "127.0.0.1" in str(caught.value), "npm's own reason is passed on"
    assert not (tmp_path / "node_modules").exists()
    with pytest.raises(frontend.FrontendError, match=re.escape(frontend.COMMAND)):
        frontend.package("katex")


def test_lock_file_names_no_registry():
    """A reader's npm uses the registry they have set; every package is pinned by its checksum."""
    packages = json.loads(checks.read(ROOT / "package-lock.json"))["packages"]
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert name == "" or package["integrity"].startswith("sha512-")
