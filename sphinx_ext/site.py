"""Everything around the text: the page frame, its one style sheet, addresses, and the corpus.

Addresses are known only when the book is published, so they come from the environment:

    BOOK_URL     where the book will live: canonical addresses, sitemap, social previews
    BOOK_REPO    the GitHub repository: links to Colab and to the source
    BOOK_BRANCH  its branch, "main" by default

Unset, the pages carry no link that leads nowhere.
"""

import json
import os
import re
import shutil
from html import escape
from pathlib import Path
from xml.sax.saxutils import escape as xml_escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from . import frontend

OWN_FILES = ("_static/lm.css", "_static/lm.js")
EXPLORERS = {  # element → its script and style, which come after those that all of them share
    "lm-ngram-explorer": "explorer",
    "lm-attention-explorer": "attention-explorer",
    "lm-map-browser": "layernorm-explorer",
    "lm-float-microscope": "layernorm-explorer",
    "lm-budget-planner": "planner",
}
SHARED = "explorable"
DESCRIPTION_LENGTH = 200
OLD_FONTS = re.compile(r",url\([^)]*\.(?:woff|ttf)\) format\(\"?\w+\"?\)")  # woff2 is enough


# ------------------------------------------------------------------------- files made for the page


def minified(css: str) -> str:
    """CSS without comments and without white space that carries no meaning."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    css = re.sub(r"\s+", " ", css)
    return re.sub(r" ?([{};,>]) ?", r"\1", css).replace(";}", "}").strip()


def make_static(app: Sphinx):
    """Make what Sphinx will copy: one style sheet (KaTeX's and ours), KaTeX's fonts, and data."""
    made = Path(app.doctreedir) / "made_static"
    shutil.rmtree(made, ignore_errors=True)
    (made / "fonts").mkdir(parents=True)
    try:
        katex = frontend.package("katex") / "dist"
    except frontend.FrontendError as error:
        raise ExtensionError(str(error)) from error
    css = (katex / "katex-swap.min.css").read_text("utf-8")
    css = OLD_FONTS.sub("", css)
    css += (Path(app.srcdir) / "static" / "lm.css").read_text("utf-8")
    (made / "lm.css").write_text(minified(css), "utf-8")
    for font in (katex / "fonts").glob("*.woff2"):
        shutil.copy(font, made / "fonts")
    data = Path(__file__).parents[1] / "lmlib" / "data"
    copy_corpus(data, made / "corpus")
    copy_model(data / "attention_model.json", made / "attention-model.js")
    app.config.html_static_path.append(str(made))


def copy_corpus(source: Path, target: Path):
    """The works the explorable reads, with an index. A page fetches them only when asked to."""
    target.mkdir()
    works = []
    for path in sorted(source.glob("[0-9]*.txt")):
        shutil.copy(path, target)
        text = path.read_text("utf-8")
        works.append(
            {"file": path.name, "title": text.partition("\n")[0], "words": len(text.split())}
        )
    (target / "index.json").write_text(json.dumps({"works": works}, indent=1), "utf-8")


def copy_model(source: Path, target: Path):
    """The attention chapter's model as a script, which a page opened as a file may load too."""
    target.write_text(f"lmAttentionModel({source.read_text('utf-8').strip()});\n", "utf-8")


# ------------------------------------------------------------------------------------ page context


def read_environment(app: Sphinx, config):
    url = os.environ.get("BOOK_URL", "")
    if url:
        config.html_baseurl = url.rstrip("/") + "/"


def description(doctree: nodes.document) -> str:
    """The first paragraph in plain words, cut at a word."""
    first = next((p.astext() for p in doctree.findall(nodes.paragraph) if len(p.astext()) > 40), "")
    words = " ".join(first.split())
    if len(words) <= DESCRIPTION_LENGTH:
        return words
    return words[: DESCRIPTION_LENGTH - 1].rpartition(" ")[0] + " …"


def frame(app: Sphinx, page: str, template: str, context: dict, doctree):
    """What the templates need beyond what Sphinx gives them."""
    body = context.get("body", "")
    files = OWN_FILES
    explorers = {name: None for element, name in EXPLORERS.items() if f"<{element}" in body}
    for name in (SHARED, *explorers) if explorers else ():
        app.add_css_file(f"{name}.css")
        app.add_js_file(f"{name}.js", loading_method="defer")
        files += (f"_static/{name}.css", f"_static/{name}.js")
    # other extensions register styles for the themes they know; this frame brings its own
    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context[kind] if str(file.filename) in files]

    # myst-nb names its fold "Toggle hidden content" whatever the visible label says
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    # docutils' role is deprecated in ARIA 1.2; its list expects list items
    context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')
    context["has_math"] = 'class="katex' in body

    title = re.sub("<[^>]*>", "", context.get("title", "")) or app.config.project
    is_root = page == app.config.root_doc
    context["page_title"] = title if is_root else f"{title} · {app.config.project}"
    meta = context.get("meta") or {}
    if doctree is not None:
        text = meta.get("description") or description(doctree)
        context["social"] = {
            "og:site_name": app.config.project,
            "og:title": title,
            "og:description": text,
            "og:type": "website" if is_root else "article",
        }
        context["description"] = text
        if app.config.html_baseurl:
            context["canonical"] = app.config.html_baseurl + ("" if is_root else f"{page}.html")
            context["social"]["og:url"] = context["canonical"]
            context["social"]["og:image"] = app.config.html_baseurl + "_static/og.png"
        else:
            context["social"]["og:image"] = context["pathto"]("_static/og.png", resource=True)
    context["social"] = {k: escape(v) for k, v in context.get("social", {}).items()}
    context["repository"] = repository = os.environ.get("BOOK_REPO", "").rstrip("/")
    context["notebook"] = page if context.get("page_source_suffix") == ".ipynb" else ""
    if repository and context["notebook"]:
        branch = os.environ.get("BOOK_BRANCH", "main")
        path = repository.removeprefix("https://github.com/")
        context["colab"] = (
            f"https://colab.research.google.com/github/{path}/blob/{branch}/{page}.ipynb"
        )


# ---------------------------------------------------------------------------------- after the build


def finish(app: Sphinx, error):
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    repair_search(out / "_static" / "searchtools.js")
    base = app.config.html_baseurl
    robots = "User-agent: *\nAllow: /\n"
    if base:
        pages = sorted(app.env.found_docs)
        places = [base + ("" if p == app.config.root_doc else f"{p}.html") for p in pages]
        urls = "".join(f"<url><loc>{xml_escape(place)}</loc></url>\n" for place in places)
        (out / "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n',
            "utf-8",
        )
        robots += f"Sitemap: {base}sitemap.xml\n"
    (out / "robots.txt").write_text(robots, "utf-8")


def repair_search(script: Path):
    """Keep what is drawn, and MathML that repeats a formula, out of the search page's excerpts."""
    text = script.read_text("utf-8")
    found = '[".headerlink", "script", "style"]'
    wanted = json.dumps([".headerlink", "script", "style", ".katex-mathml", "svg", *EXPLORERS])
    if wanted not in text:
        if found not in text:
            raise ExtensionError("Sphinx's searchtools.js has changed: see sphinx_ext/site.py")
        script.write_text(text.replace(found, wanted), "utf-8")


def setup(app: Sphinx):
    app.add_html_theme("lm", str(Path(__file__).with_name("theme")))
    app.add_css_file("lm.css")
    app.add_js_file("lm.js", loading_method="defer")
    app.connect("config-inited", read_environment)
    app.connect("builder-inited", make_static)
    app.connect("html-page-context", frame)
    app.connect("build-finished", finish)
