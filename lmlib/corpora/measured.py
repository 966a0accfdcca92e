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


def runs(table, value, over, **where):
    """Pick one curve with its seeds out of a table of measurements.

    Returns x (X,), the values of column `over`, and y (seeds, X), those of column `value`, from
    the rows whose columns equal `where`; rows without a value (NaN) are left out.

    Raises ValueError if no row fits, or some x lacks a seed.
    """
    fit = ~np.isnan(table[value])
    for column, wanted in where.items():
        fit &= table[column] == wanted
    x, seeds = (np.unique(table[column][fit]) for column in (over, "seed"))
    if not fit.any() or fit.sum() != x.size * seeds.size:
        raise ValueError(
            f"{fit.sum()} rows with {where}: expected one for each of {x.size} values of {over} "
            f"and {seeds.size} seeds. Is a condition missing or misspelt?"
        )
    order = np.lexsort((table[over][fit], table["seed"][fit]))
    return x, table[value][fit][order].reshape(seeds.size, x.size)


def _numbers(cells):
    try:
        return np.array(cells, float)
    except ValueError:
        return np.array(cells)
