"""Tables that a benchmark makes row by row, and goes on with after an interruption."""

import csv


def kept(path):
    """The rows that an interrupted run has left in `path`; none if there was no such run."""
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, rows, append=False):
    """Write rows, all with the same columns, or add them to those that are there."""
    with path.open("a" if append else "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        if not append:
            writer.writeheader()
        writer.writerows(rows)
