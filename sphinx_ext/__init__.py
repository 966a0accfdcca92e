"""The book's one local Sphinx extension; each module is a concern of its own."""

from sphinx.application import Sphinx

from . import claims, figures, maths, motif, notebook, site


def setup(app: Sphinx):
    for module in (maths, figures, notebook, claims, motif, site):
        module.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
