"""Notebook figures are inlined, so that they follow the page's colours and font.

A stored SVG uses a fixed palette of hex colours; each becomes a CSS variable here, and dark mode
is then a matter of style. A figure without a meaningful alternative text, or with a colour
outside the palette, is a warning (a failed build).
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path, PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from .notebook import bold_start

logger = logging.getLogger(__name__)

PALETTE = {
    "#1a1a1a": "ink",
    "#6b6b6b": "muted",
    "#d9d9d9": "grid",
    "#ffffff": "paper",
    "#0068a8": "blue",
    "#b84a00": "vermillion",
    "#00734f": "green",
    "#9c3f75": "purple",
    "#7f6000": "ochre",
    "#56b4e9": "sky",
}
SHORTEST_ALT = 20
FONT = re.compile(r"font: ((?:[\w.]+ )*?[\d.]+px) [^;]*")  # the shorthand, less its families
PX_PER_UNIT = {"pt": 96 / 72, "in": 96, "px": 1, "": 1}


class lm_figure(nodes.General, nodes.Element):
    """An inlined figure: attribute `svg` (markup), children: its caption, if there is one."""


def alt_problem(alt: str, uri: str) -> str | None:
    """What is wrong with an alternative text, or None.

    It should say what the figure shows; an empty one, a label, or a file name does not.
    """
    alt = " ".join(alt.split())
    if not alt:
        return "no alternative text"
    if alt in (uri, PurePosixPath(uri).name, PurePosixPath(uri).stem):
        return f"alternative text {alt!r} is the file's name"
    if len(alt) < SHORTEST_ALT:
        return f"alternative text {alt!r} is shorter than {SHORTEST_ALT} characters"
    if " " not in alt:
        return f"alternative text {alt!r} is an identifier, not a sentence"
    return None


def length_px(text: str) -> float:
    """CSS pixels of an SVG length: "374.4pt" is 499.2."""
    number, unit = re.fullmatch(r"([\d.]+)([a-z]*)", text.strip()).groups()
    return float(number) * PX_PER_UNIT[unit]


def inline_svg(svg: str, alt: str, prefix: str) -> tuple[str, set[str]]:
    """Markup to put into the page, and the colours that are not in the palette.

    Ids get `prefix` (unreferenced ones go), numbers are cut to two decimals, the white page
    behind the figure is removed, and the fixed size becomes a natural width the page may shrink.
    """
    root = ET.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", svg))
    width, height = length_px(root.get("width")), length_px(root.get("height"))
    for parent in list(root.iter()):
        for child in list(parent):
            name = child.tag.rpartition("}")[2]
            # the only style sheet matplotlib writes selects *, which inline means the whole page
            if name in ("metadata", "style", "title") or (
                name == "g" and child.get("id") == "patch_1" and "#ffffff" in svg_of(child)
            ):
                parent.remove(child)
    referenced = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg_of(root)))
    strange = set()

    def colour(match):
        name = PALETTE.get(match[0].lower())
        if name is None:
            strange.add(match[0])
            return match[0]
        return f"var(--lm-{name})"

    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text = element.text if element.tag in ("text", "tspan") else None
        element.tail = element.tail if element.tag == "tspan" else None
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            name = key.rpartition("}")[2]
            if name == "id":
                if value not in referenced:
                    continue
                value = prefix + value
            elif name == "href" and value.startswith("#"):
                value = f"#{prefix}{value[1:]}"
            elif name in ("fill", "stroke") and value.startswith("#"):
                # a presentation attribute cannot hold var(), a declaration can
                name, value = "style", f"{element.get('style', '')};{name}:{value}".lstrip(";")
            if name != "href":
                value = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", value)
                value = re.sub(r"\s+", " ", value).strip()
            if name == "style":
                value = re.sub(r"#[0-9A-Fa-f]{6}\b", colour, value)
                value = FONT.sub(r"font:\1 var(--lm-sans)", value)
                value = re.sub(r"([:;]) ", r"\1", value)
            element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    # a box that knows its size lets the browser put off drawing until the reader comes near
    box = f"max-width:{width:.0f}px;aspect-ratio:{width:.0f}/{height:.0f}"
    return f'<div class="lm-drawing" style="{box}">{svg_of(root)}</div>', strange


def svg_of(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def following_caption(node: nodes.Node) -> nodes.paragraph | None:
    """The paragraph after the figure's cell, if it starts with a bold "Figure"."""
    while not isinstance(node, nodes.section | nodes.document):
        after = node.next_node(descend=False, siblings=True)
        if after is not None:
            return after if bold_start(after).startswith("Figure ") else None
        node = node.parent
    return None


class InlineFigures(SphinxPostTransform):
    """Replace notebook SVG images by `lm_figure` nodes; check every image's alternative text."""

    default_priority = 10  # after myst-nb has chosen the output's format (4)
    formats = ("html",)

    def run(self, **kwargs):
        for number, image in enumerate(list(self.document.findall(nodes.image)), 1):
            uri, alt = image["uri"], " ".join(image.get("alt", "").split())
            problem = alt_problem(alt, uri)
            if problem:
                self.warn("%s: %s", PurePosixPath(uri).name, problem, image)
            if uri.endswith(".svg") and "jupyter_execute" in uri:
                image.replace_self(self.figure(image, alt, f"f{number}-"))

    def figure(self, image: nodes.image, alt: str, prefix: str) -> lm_figure:
        path = Path(self.env.srcdir, image["candidates"]["*"])
        svg, strange = inline_svg(path.read_text("utf-8"), alt, prefix)
        if strange:
            self.warn("%s: colours outside the palette: %s", path.name, sorted(strange), image)
        figure = lm_figure(svg=svg)
        caption = following_caption(image)
        if caption is not None:
            caption.parent.remove(caption)
            figure += caption
            label = re.match(r"Figure ([\w.]*\w)", caption.astext())
            if label:  # can be linked to as #figure-1-2
                figure["ids"].append("figure-" + label[1].replace(".", "-"))
        return figure

    def warn(self, message, name, detail, node):
        while node.line is None and node.parent is not None:
            node = node.parent
        logger.warning(message, name, detail, location=node, type="lm", subtype="figure")


def visit_figure(translator, node: lm_figure):
    translator.body.append(translator.starttag(node, "figure", CLASS="lm-figure"))
    translator.body.append(node["svg"])
    if node.children:
        translator.body.append("<figcaption>")


def depart_figure(translator, node: lm_figure):
    translator.body.append("</figcaption></figure>\n" if node.children else "</figure>\n")


def setup(app: Sphinx):
    app.add_node(lm_figure, html=(visit_figure, depart_figure))
    app.add_post_transform(InlineFigures)
