"""Measurements too long for a notebook: small tables, each with the command that repeats it."""

import csv
from importlib import resources

import numpy as np


def measured(name):
    """A table of measurements, as a dict from column name to (rows,) array.

    Columns of numbers come as float64, all others as str. Where each table comes from, and the
    command that makes it again, stands in lmlib/data/MANIFEST.json.

    Raises
    ------
    ValueError : for a name that is no table, listing those there are
    """
    folder = resources.files("lmlib") / "data"
    tables = sorted(f.name[:-4] for f in folder.iterdir() if f.name.endswith(".csv"))
    if name not in tables:
        raise ValueError(f"no table {name!r}; there are: {', '.join(tables)}")
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {column: _numbers([row[column] for row in rows]) for column in rows[0]}


def _numbers(cells):
    try:
        return np.array(cells, float)
    except ValueError:
        return np.array(cells)
