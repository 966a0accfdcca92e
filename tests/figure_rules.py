"""What every figure of the book keeps; each chapter's tests hold its figures to these rules.

A rule takes a function without arguments that draws one figure.
"""

import inspect
import io
import re

from matplotlib.text import Text

from lmlib.figures import PALETTE
from lmlib.figures.base import WIDTH

PHONE, CAPTION = 358, 12.8  # CSS px: the width of a figure, and of its caption's text, on a phone


def drawn_in(*modules) -> set[str]:
    """The names of the functions of these modules that draw a figure."""
    return {
        name
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and inspect.signature(function).return_annotation == "Figure"
    }


def is_reproducible_and_in_the_palette(draw):
    first, again = draw(), draw()
    svg = first.svg()
    assert svg == again.svg()
    assert first.png() == again.png()
    assert "<metadata>" not in svg
    assert "<image" not in svg, "a picture inside the SVG cannot be recoloured"
    colours = set(re.findall(r"#[0-9a-f]{6}\b", svg))
    assert colours <= set(PALETTE.values()), "the book cannot recolour other colours in dark mode"


def has_text_no_smaller_than_its_caption_on_a_phone(draw):
    figure = draw().figure
    scale = PHONE / (WIDTH * 96)
    figure.savefig(io.BytesIO())  # fills in the tick labels
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    assert shown
    assert min(t.get_fontsize() for t in shown) * 96 / 72 * scale >= CAPTION


def is_not_cut_off(draw):
    figure = draw().figure
    figure.savefig(io.BytesIO())  # lays it out
    drawn = figure.get_tightbbox()  # inches
    width, height = figure.get_size_inches()
    assert drawn.x0 >= -0.01
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01


def says_its_numbers_in_words(draw):
    figure = draw()
    assert len(figure.alt) > 100
    assert re.search(r"\d", figure.alt)
    data, metadata = figure._repr_mimebundle_()
    assert metadata["image/svg+xml"]["alt"] == metadata["image/png"]["alt"] == figure.alt
    assert figure.alt in data["text/plain"]
    assert all(key in data["text/plain"] for key in figure.digest)


RULES = (
    is_reproducible_and_in_the_palette,
    has_text_no_smaller_than_its_caption_on_a_phone,
    is_not_cut_off,
    says_its_numbers_in_words,
)
