r"""Tasks that ask one thing each of a model, so that its failures can be told apart.

    recall       one fact, far back                    how far?
    key_value    many facts, near                      how many?
    repeats      "what followed this the last time?"   two layers or one?
    copies       the same across a gap of fillers      does order survive a longer gap?
    backcopy     most tokens need nothing              where does a head look then?

Every function returns `tokens` and `targets`, (B, T) int64: the model reads tokens[:, : t + 1] and
is asked for targets[:, t]. Where nothing is asked the target is `NOTHING`, which torch's
cross-entropy leaves out. The paired conjunctions, a task in Chinese, stand in `conjunctions`.

Symbols: B batch, T time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmlib.attention.core import check_count

NOTHING = -100  # torch's ignore_index


def recall(
    rng: np.random.Generator,
    batch: int,
    length: int,
    position: int | None = None,
    cues: int = 8,
    noise: int = 16,
) -> tuple[np.ndarray, np.ndarray]:
    """One cue among noise; every later token must name it.

    Tokens 0 … noise − 1 are noise, noise + k is cue k. The answer after the cue, at whatever
    distance, is k. Asking at every position makes one sequence a lesson at many distances.

    Parameters
    ----------
    rng : numpy.random.Generator
    batch, length : int >= 1 and >= 2, B and T
    position : where the cue stands; drawn from the first half of each sequence when None
    cues, noise : int >= 1, how many different cues and noise tokens there are

    Returns
    -------
    tokens : (B, T) int64 in 0 … noise + cues − 1
    targets : (B, T) int64, the number of the cue after it, `NOTHING` up to it

    Raises
    ------
    ValueError : for a count that is too small, or a position from which nothing follows

    Examples
    --------
    >>> tokens, targets = recall(np.random.default_rng(0), 1, 6, position=1)
    >>> tokens, targets
    (array([[13, 16,  8,  4,  4,  0]]), array([[-100, -100,    0,    0,    0,    0]]))
    """
    for name, value, least in (
        ("batch", batch, 1),
        ("length", length, 2),
        ("cues", cues, 1),
        ("noise", noise, 1),
    ):
        check_count(name, value, least)
    if position is not None and not 0 <= position < length - 1:
        raise ValueError(
            f"position must lie in 0 … {length - 2}, got {position}: a cue needs a token after it."
        )
    tokens = rng.integers(0, noise, (batch, length))
    cue = rng.integers(0, cues, batch)
    at = rng.integers(0, length // 2, batch) if position is None else np.full(batch, position)
    tokens[np.arange(batch), at] = noise + cue
    after = np.arange(length) > at[:, None]  # (B, T)
    return tokens, np.where(after, cue[:, None], NOTHING)


def key_value(
    rng: np.random.Generator, batch: int, pairs: int, keys: int = 32, values: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of key and value to remember, then every key again, in another order.

    A pair is one token, key · values + value; a question is the token keys · values + key. Nothing
    is far away. What grows with `pairs` is how much must be kept at once: log₂ `values` bits each.

    Parameters
    ----------
    rng : numpy.random.Generator
    batch : int >= 1, B
    pairs : int in 1 … keys, n; all keys of a sequence differ
    keys, values : int >= 1, how many different ones there are

    Returns
    -------
    tokens : (B, 2n) int64, n pairs and n questions, in 0 … keys · values + keys − 1
    targets : (B, 2n) int64, `NOTHING` for the pairs, the value for each question

    Raises
    ------
    ValueError : for a count below 1 or more pairs than keys

    Examples
    --------
    >>> key_value(np.random.default_rng(0), 1, pairs=2, keys=4, values=2)
    (array([[ 6,  5, 10, 11]]), array([[-100, -100,    1,    0]]))
    """
    for name, value in (("batch", batch), ("pairs", pairs), ("keys", keys), ("values", values)):
        check_count(name, value, 1)
    if pairs > keys:
        raise ValueError(f"{pairs} pairs need as many different keys, but there are {keys}.")
    key = distinct(rng, batch, pairs, keys)
    value = rng.integers(0, values, (batch, pairs))
    order = distinct(rng, batch, pairs, pairs)
    asked = keys * values + np.take_along_axis(key, order, 1)
    tokens = np.concatenate([key * values + value, asked], 1)  # (B, 2n)
    targets = np.full_like(tokens, NOTHING)
    targets[:, pairs:] = np.take_along_axis(value, order, 1)
    return tokens, targets


def repeats(
    rng: np.random.Generator,
    batch: int,
    length: int,
    words: int = 64,
    periods: tuple[int, int] = (16, 32),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random tokens that start again from the beginning, after a period that nobody announces.

    From the second round on, the next token can be known: find this token's last occurrence, and
    take what followed it. The period differs between sequences, so that "look 20 back" is no help.

    Parameters
    ----------
    rng : numpy.random.Generator
    batch, length : int, B and T; length must exceed the longest period
    words : int >= 1, how many different tokens there are; within a period they may occur twice
    periods : least and greatest period, drawn evenly, ends included

    Returns
    -------
    tokens : (B, T) int64
    targets : (B, T) int64, the next token from the start of the second round on
    period : (B,) int64

    Raises
    ------
    ValueError : for counts below 1, or periods that are no range or do not fit into the length
    """
    for name, value in (("batch", batch), ("length", length), ("words", words)):
        check_count(name, value, 1)
    least, greatest = periods
    if not 1 <= least <= greatest < length:
        raise ValueError(
            f"periods must be (least, greatest) with 1 <= least <= greatest < {length}, "
            f"got {periods}: the second round has to begin within the sequence."
        )
    period = rng.integers(least, greatest + 1, batch)
    once = rng.integers(0, words, (batch, greatest))
    at = np.arange(length + 1) % period[:, None]  # (B, T + 1)
    whole = np.take_along_axis(once, at, 1)
    known = np.arange(length) >= period[:, None]
    return whole[:, :-1], np.where(known, whole[:, 1:], NOTHING), period


def copies(
    rng: np.random.Generator,
    batch: int,
    gap: int,
    before: int = 0,
    span: int = 12,
    words: int = 48,
    fillers: int = 16,
) -> tuple[np.ndarray, np.ndarray]:
    """A span of different words, a gap of fillers, and the span once more.

    Within the second span each next word is what followed this one in the first. Fillers are the
    tokens words … words + fillers − 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    batch : int >= 1, B
    gap, before : int >= 0, fillers between the spans, and before the first
    span : int in 2 … words, length of the span
    words, fillers : int >= 1, how many different ones there are

    Returns
    -------
    tokens : (B, T) int64, T = before + 2 · span + gap
    targets : (B, T) int64, the next word within the second span

    Raises
    ------
    ValueError : for a count that is too small or a span longer than there are words

    Examples
    --------
    >>> copies(np.random.default_rng(0), 1, gap=1, span=3, words=5)
    (array([[ 3,  2,  1, 15,  3,  2,  1]]), array([[-100, -100, -100, -100,    2,    1, -100]]))
    """
    for name, value, least in (
        ("batch", batch, 1),
        ("gap", gap, 0),
        ("before", before, 0),
        ("span", span, 2),
        ("fillers", fillers, 1),
    ):
        check_count(name, value, least)
    if span > words:
        raise ValueError(f"a span of {span} different words needs as many, but there are {words}.")
    chosen = distinct(rng, batch, span, words)
    filling = rng.integers(words, words + fillers, (batch, before + gap))
    tokens = np.concatenate([filling[:, :before], chosen, filling[:, before:], chosen], 1)
    targets = np.full_like(tokens, NOTHING)
    targets[:, -span:-1] = tokens[:, 1 - span :]
    return tokens, targets


def backcopy(
    rng: np.random.Generator,
    batch: int,
    length: int,
    transitions: np.ndarray,
    triggers: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    r"""Text in which a token follows from the one before it, except after a trigger.

        next ~ transitions[token]                 after most tokens: attention has nothing to add
        next = the token before the trigger       after a trigger: attention must look one back

    The Bigram-Backcopy task of Guo et al. (2024). Token V is ⟨s⟩, the start of every sequence.

    Parameters
    ----------
    rng : numpy.random.Generator
    batch, length : int >= 1, B and T
    transitions : (V, V) float, rows sum to 1
    triggers : ids of the triggers, each in 0 … V − 1

    Returns
    -------
    tokens : (B, T) int64 in 0 … V; ⟨s⟩ first, then a token drawn evenly
    targets : (B, T) int64, the next token, everywhere

    Raises
    ------
    ValueError : for rows that are no distributions, or a trigger that is no token
    """
    check_count("batch", batch, 1)
    check_count("length", length, 1)
    transitions = np.asarray(transitions, float)
    V = len(transitions)
    if transitions.shape != (V, V) or not (
        (transitions >= 0).all() and np.allclose(transitions.sum(1), 1, atol=1e-6)
    ):
        raise ValueError(
            f"transitions must be (V, V) with rows that sum to 1, got shape {transitions.shape}. "
            "Divide the counts by their row sums."
        )
    triggers = np.asarray(triggers, dtype=np.int64)
    if not np.isin(triggers, np.arange(V)).all():
        raise ValueError(f"every trigger must be a token in 0 … {V - 1}, got {triggers.tolist()}.")
    steps = transitions.cumsum(1)  # (V, V): the inverse of a row draws from it
    steps[:, -1] = 1.0  # rounding must not leave a draw beyond the last token
    draws = rng.random((batch, length))
    whole = np.empty((batch, length + 1), dtype=np.int64)
    whole[:, 0] = V
    whole[:, 1] = (draws[:, 0] * V).astype(np.int64)
    for t in range(1, length):
        now = whole[:, t]
        drawn = (steps[now] <= draws[:, t, None]).sum(1)  # (B,)
        # behind ⟨s⟩ there is nothing to copy: the first token is no trigger
        copied = np.isin(now, triggers) & (t > 1)
        whole[:, t + 1] = np.where(copied, whole[:, t - 1], drawn)
    return whole[:, :-1], whole[:, 1:]


def letter_transitions(text: str) -> tuple[str, np.ndarray]:
    """What follows each character of a text: its different characters, and (V, V) shares.

    Row a holds the share of b among the characters that follow a. A character at the very end that
    occurs nowhere else is followed by every character equally.

    Raises ValueError for a text of fewer than two characters.

    >>> letter_transitions("abac")
    ('abc', array([[0.        , 0.5       , 0.5       ],
           [1.        , 0.        , 0.        ],
           [0.33333333, 0.33333333, 0.33333333]]))
    """
    if len(text) < 2:
        raise ValueError(f"a transition needs two characters, got {text!r}.")
    letters, ids = np.unique([*text], return_inverse=True)
    V = letters.size
    counts = np.bincount(ids[:-1] * V + ids[1:], minlength=V * V).reshape(V, V).astype(float)
    counts[counts.sum(1) == 0] = 1
    return "".join(letters), counts / counts.sum(1, keepdims=True)


def distinct(rng: np.random.Generator, rows: int, count: int, things: int) -> np.ndarray:
    """(rows, count) ids, those of a row all different, in random order."""
    return rng.random((rows, things)).argsort(1)[:, :count]
