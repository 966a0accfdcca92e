"""Drawing, kept apart from computing: arrays in, a `Figure` with its alt text out.

One module per chapter. `base` holds what they share: the palette, the style, the `Figure`.
"""

from lmlib.figures.base import PALETTE, Figure, Table, new_axes

__all__ = ["PALETTE", "Figure", "Table", "new_axes"]
