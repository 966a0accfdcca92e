"""What the plain Markdown of a notebook means to the book: verdicts, notes, anchors, tables.

Notebooks hold no roles or directives (they must also read well in JupyterLab), so the meaning is
in the wording: a quotation that starts with bold words is a box, a bold "Table" starts a caption.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

from .claims import VERDICTS

VERDICT = re.compile(rf"Claim ([A-Z]\d+) (?:is )?({'|'.join(sorted(VERDICTS, reverse=True))})\.")
LEADS = ("Question", "In short")
CLAIMS_PROMPT = "Every number in the text above, recomputed"


def bold_start(node: nodes.Node | None) -> str:
    """The bold words a paragraph or a quotation starts with, or an empty string."""
    if not isinstance(node, nodes.block_quote | nodes.paragraph):
        return ""
    # the Markdown parser leaves an empty text before a leading bold word
    first = next((child for child in node.children if child.astext()), None)
    if isinstance(node, nodes.block_quote):
        return bold_start(first)
    return first.astext() if isinstance(first, nodes.strong) else ""


class Boxes(SphinxTransform):
    """Name the boxes: a verdict gets the id `claim-s4`, a note the class `lm-note`."""

    default_priority = 500

    def apply(self, **kwargs):
        for quote in self.document.findall(nodes.block_quote):
            words = bold_start(quote)
            verdict = VERDICT.match(words)
            if verdict:
                quote["ids"].append(f"claim-{verdict[1].lower()}")
                quote["classes"] += ["lm-box", "lm-verdict", "lm-" + VERDICTS[verdict[2]]]
            elif words:
                quote["classes"] += ["lm-box", "lm-note"]
        for paragraph in self.document.findall(nodes.paragraph):
            words = bold_start(paragraph)
            if re.match(r"(Figure|Table) \d", words):
                paragraph["classes"].append("lm-caption")
            elif words.rstrip(".:") in LEADS:
                paragraph["classes"].append("lm-lead")


class UnbrokenNumbers(SphinxPostTransform):
    """Keep "21 %" and "n = 5" on one line: the notebook's source stays free of invisible spaces."""

    default_priority = 900
    together = re.compile(r"(?<=\d) (?=%)|(?<=\bn) (?==)|(?<==) (?=\d)")

    def run(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(text.parent, nodes.FixedTextElement | nodes.math | nodes.literal):
                continue
            joined = self.together.sub("\u00a0", text)
            if joined != text:
                text.parent.replace(text, nodes.Text(joined))


class CellAnchors(SphinxTransform):
    """Give each code cell's authored id to its place in the page: `#sparsity-good-turing`."""

    default_priority = 500

    def apply(self, **kwargs):
        path = Path(self.env.doc2path(self.env.docname))
        if path.suffix != ".ipynb":
            return
        cells = json.loads(path.read_text("utf-8"))["cells"]
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code":
                cell_id = cells[cell["cell_index"]].get("id")
                if cell_id and cell_id not in cell["ids"]:
                    cell["ids"].append(cell_id)


class FoldedClaims(SphinxTransform):
    """Fold the claims cell, code and table, behind one line that says what it is."""

    default_priority = 500

    def apply(self, **kwargs):
        for cell in self.document.findall(nodes.container):
            if "tag_claims" in cell["classes"]:
                cell["hide_mode"] = "all"
                cell["prompt_show"] = cell["prompt_hide"] = CLAIMS_PROMPT


class ScrollingTables(SphinxPostTransform):
    """Let a wide table scroll inside its own box, never the page."""

    default_priority = 20
    formats = ("html",)

    def run(self, **kwargs):
        for table in list(self.document.findall(nodes.table)):
            box = nodes.container(classes=["lm-scroll"])
            table.replace_self(box)
            box += table


def setup(app: Sphinx):
    app.add_transform(Boxes)
    app.add_transform(CellAnchors)
    app.add_transform(FoldedClaims)
    app.add_post_transform(UnbrokenNumbers)
    app.add_post_transform(ScrollingTables)
