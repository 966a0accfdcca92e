"""The claims ledger, made from the chapters' own verdicts so that it cannot drift.

A chapter decides a claim twice: in prose, `> **Claim S4 holds.** …`, and in the JSON output of
its last cell, where the number behind the sentence is recomputed. Both must agree. Claims nobody
has decided yet say which chapter will decide them.

Used as ```` ```{claims-ledger} claims.json ```` in a Markdown page.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

MIME = "application/vnd.lmlib.claims+json"
SENTENCE = re.compile(
    r"^> \*\*Claim (?P<id>[A-Z]\d+) "
    r"(?P<verdict>holds with a condition|holds|is wrong as stated)\.\*\*\s*(?P<text>.*(?:\n>.*)*)",
    re.M,
)
VERDICTS = {"holds": "holds", "holds with a condition": "condition", "wrong as stated": "wrong"}


@dataclass(frozen=True)
class Verdict:
    """What one chapter says about one claim, in prose."""

    id: str
    verdict: str  # a key of VERDICTS
    text: str  # Markdown, the sentence after the bold words
    chapter: str  # document name, such as chapters/sparsity
    evidence: str  # id of the cell that shows it


def prose_verdicts(notebook: dict) -> list[tuple[str, str, str]]:
    """(id, verdict, text) of every verdict sentence in a notebook's Markdown, in order."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for match in SENTENCE.finditer("".join(cell["source"])):
                text = re.sub(r"\s*\n>\s*", " ", match["text"]).strip()
                found.append((match["id"], match["verdict"].removeprefix("is "), text))
    return found


def recomputed_verdicts(notebook: dict) -> list[dict]:
    """The `verdicts` of the claims cell's JSON output: dicts with id, verdict, evidence."""
    return [
        verdict
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for verdict in output.get("data", {}).get(MIME, {}).get("verdicts", [])
    ]


def read_verdicts(path: Path, chapter: str) -> tuple[list[Verdict], list[str]]:
    """Verdicts of one notebook, and every way in which its prose and its claims cell disagree."""
    notebook = json.loads(path.read_text("utf-8"))
    cells = {cell.get("id") for cell in notebook["cells"]}
    prose, computed = prose_verdicts(notebook), recomputed_verdicts(notebook)
    by_id = {verdict["id"]: verdict for verdict in computed}
    problems = [
        f"claim {name} is decided more than once in the {where}"
        for where, names in (
            ("prose", [name for name, _, _ in prose]),
            ("claims cell", [verdict["id"] for verdict in computed]),
        )
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    verdicts = []
    for name, verdict, text in prose:
        answer = by_id.pop(name, None)
        if answer is None:
            problems.append(f"the prose decides claim {name}, the claims cell does not")
        elif answer["verdict"] != verdict:
            problems.append(
                f"claim {name}: the prose says {verdict!r}, the claims cell {answer['verdict']!r}"
            )
        elif answer["evidence"] not in cells:
            problems.append(f"claim {name}: no cell has the id {answer['evidence']!r}")
        else:
            verdicts.append(Verdict(name, verdict, text, chapter, answer["evidence"]))
    problems += [f"the claims cell decides claim {name}, the prose does not" for name in by_id]
    return verdicts, problems


class ClaimsLedger(SphinxDirective):
    """One table per topic: the claim, its verdict, and the sentence with the measured number."""

    required_arguments = 1

    def run(self):
        # beside this page: [{"title", "question", "chapter", "claims": [{"id", "text"}]}]
        source = Path(self.env.doc2path(self.env.docname)).with_name(self.arguments[0])
        self.env.note_reread()  # what the chapters say, and which there are, may change any time
        topics = json.loads(source.read_text("utf-8"))
        verdicts = self.verdicts({claim["id"] for topic in topics for claim in topic["claims"]})
        return [self.topic(topic, verdicts) for topic in topics]

    def verdicts(self, known: set[str]) -> dict[str, Verdict]:
        found = {}
        for docname in sorted(self.env.found_docs):
            path = Path(self.env.doc2path(docname))
            if path.suffix != ".ipynb":
                continue
            verdicts, problems = read_verdicts(path, docname)
            for verdict in verdicts:
                if verdict.id not in known:
                    problems.append(f"claim {verdict.id} is not in {self.arguments[0]}")
                elif verdict.id in found:
                    other = found[verdict.id].chapter
                    problems.append(f"claim {verdict.id} is also decided in {other}")
                found[verdict.id] = verdict
            for problem in problems:
                logger.warning(problem, location=docname, type="lm", subtype="claims")
        return found

    def topic(self, topic: dict, verdicts: dict[str, Verdict]) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(topic["title"])])
        section += nodes.title("", "", *self.inline(topic["title"]))
        section += nodes.paragraph("", "", *self.inline(topic["question"]))
        table = nodes.table(classes=["lm-ledger"])
        group = nodes.tgroup(cols=3)
        table += group
        group += [nodes.colspec(colwidth=width) for width in (8, 42, 50)]
        header = nodes.row()
        for text in ("Claim", "The notes say", "What we found"):
            header += nodes.entry("", nodes.paragraph("", text))
        group += nodes.thead("", header)
        body = nodes.tbody()
        for claim in topic["claims"]:
            verdict = verdicts.get(claim["id"])
            found = self.decided(verdict) if verdict else self.open(topic)
            row = nodes.row()
            row += nodes.entry("", nodes.paragraph("", claim["id"]))
            row += nodes.entry("", nodes.paragraph("", "", *self.inline(claim["text"])))
            row += nodes.entry("", found)
            body += row
        group += body
        section += table
        self.set_source_info(section)
        return section

    def decided(self, verdict: Verdict) -> nodes.paragraph:
        tone = "lm-" + VERDICTS[verdict.verdict]
        badge = nodes.inline("", verdict.verdict, classes=["lm-badge", tone])
        paragraph = nodes.paragraph("", "", badge, nodes.Text(" "))
        paragraph += self.inline(verdict.text)
        paragraph += nodes.Text(" ")
        paragraph += self.link("in the text", verdict.chapter, f"claim-{verdict.id.lower()}")
        paragraph += nodes.Text(" · ")
        paragraph += self.link("the cell that shows it", verdict.chapter, verdict.evidence)
        return paragraph

    def open(self, topic: dict) -> nodes.paragraph:
        badge = nodes.inline("", "open", classes=["lm-badge", "lm-open"])
        link = self.link(topic["title"], topic["chapter"])
        return nodes.paragraph("", "", badge, nodes.Text(" to be decided in "), link)

    def link(self, text: str, docname: str, anchor: str = "") -> nodes.reference:
        uri = self.env.app.builder.get_relative_uri(self.env.docname, docname)
        return nodes.reference("", text, internal=True, refuri=f"{uri}#{anchor}" if anchor else uri)

    def inline(self, markdown: str) -> list[nodes.Node]:
        holder = nodes.Element()
        lines = StringList([markdown], source="ledger")
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder.children[0].children if holder.children else []


def setup(app: Sphinx):
    app.add_directive("claims-ledger", ClaimsLedger)
