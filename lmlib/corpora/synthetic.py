"""Texts whose rule is known, so that a model can be judged against the truth."""

import numpy as np


def brackets(rng, count, distances, fillers):
    """Sentences in which one bracket decides another, some words later.

    Each sentence is an opening bracket, ``(`` or ``[`` with equal chance; d filler words, each
    drawn evenly; and the closing bracket of the same kind. Only the closing bracket can be
    predicted, and only from the opening one, d + 1 symbols before it.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int, how many sentences
    distances : sequence of int >= 0, the values that d takes, each equally often on average
    fillers : int >= 1, how many different filler words there are

    Returns
    -------
    list of lists of str

    Raises
    ------
    ValueError : if there is no distance, a negative one, or no filler word
    """
    distances = np.asarray(distances, dtype=int)
    if distances.size == 0 or distances.min() < 0:
        raise ValueError(f"distances must be one or more whole numbers >= 0, got {distances}.")
    if fillers < 1:
        raise ValueError(f"fillers must be at least 1, got {fillers}: a sentence needs words.")
    kinds = rng.integers(0, 2, count)
    return [
        ["(["[kind], *(f"w{word}" for word in rng.integers(0, fillers, d)), ")]"[kind]]
        for kind, d in zip(kinds, rng.choice(distances, count), strict=True)
    ]
