"""Formulas are rendered by KaTeX while the book is built; the reader downloads no math engine.

A formula KaTeX cannot parse is a Sphinx warning with its place in the source, so a build with
`-W` fails on it.
"""

import json
import re
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from . import frontend

logger = logging.getLogger(__name__)


class KatexError(ValueError):
    """KaTeX could not parse a formula; the message is KaTeX's own."""


class Katex:
    """One node process that answers one formula at a time, started at the first formula."""

    def __init__(self):
        self.process = None
        self.known = {}  # the same symbols return on every page

    def start(self):
        try:
            script = frontend.package("katex") / "dist" / "katex.js"
            command = [frontend.node(), str(Path(__file__).with_name("katex_render.cjs"))]
        except frontend.FrontendError as error:
            raise ExtensionError(str(error)) from error
        self.process = subprocess.Popen(
            [*command, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def render(self, tex: str, display: bool) -> str:
        """HTML with MathML of one formula.

        Raises
        ------
        KatexError : if KaTeX cannot parse `tex`
        ExtensionError : if KaTeX is not installed, or the node process died
        """
        if (tex, display) not in self.known:
            if self.process is None:
                self.start()
            try:
                self.process.stdin.write(json.dumps({"tex": tex, "display": display}) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except OSError:
                line = ""
            if not line:
                raise ExtensionError("the node process that renders formulas died")
            answer = json.loads(line)
            if "error" in answer:
                raise KatexError(answer["error"])
            # the sign of a root is a picture; the MathML beside it is what is read aloud
            self.known[tex, display] = answer["html"].replace("<svg ", '<svg aria-hidden="true" ')
        return self.known[tex, display]

    def close(self, *_):
        """End the node process (connected to `build-finished`)."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=10)
            self.process.stdout.close()
            self.process = None


katex = Katex()


def rendered(translator, node: nodes.Element, display: bool) -> str:
    tex = node.astext().strip()
    # Sphinx numbers labelled equations itself; KaTeX would number these environments again
    tex = re.sub(r"\\(begin|end)\{(align|gather|equation|alignat)\}", r"\\\1{\2*}", tex)
    try:
        return katex.render(tex, display)
    except KatexError as error:
        message = str(error).splitlines()[0]
        logger.warning("%s in: %s", message, tex, location=node, type="lm", subtype="math")
        return f"<code>{translator.encode(tex)}</code>"


def visit_inline(translator, node: nodes.Element):
    html = rendered(translator, node, display=False)
    translator.body.append(f'<span class="math notranslate nohighlight">{html}</span>')
    raise nodes.SkipNode


def visit_block(translator, node: nodes.Element):
    tag = re.search(r"\\tag\{([\w.]+)\}", node.astext())
    if tag:  # $$ ... \tag{1.2} $$ can be linked to as #eq-1-2
        node["ids"].append("eq-" + tag[1].replace(".", "-"))
    translator.body.append(
        translator.starttag(node, "div", CLASS="math lm-scroll notranslate nohighlight")
    )
    translator.body.append(rendered(translator, node, display=True))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx):
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.connect("build-finished", katex.close)
