"""The exercises of the attention chapter on the softmax and the mask."""

from functools import partial

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers, softmax


# ------------------------------------------------------------------------- the softmax
def random_scores(rng):
    lead = [(), (2,)][rng.integers(2)]
    return Case(integers(rng, *lead, *rng.integers(2, 4, size=2)))


@exercise(
    "attention.softmax-axis",
    title="What sums to one",
    cases=[
        Case(np.array([[0.0, 1.0], [2.0, 2.0]])),
        Case(np.array([[1.0, 0.0, 3.0], [2.0, 2.0, 1.0]])),
        Case(np.array([[1000.0, 1000.0]])),
        Case(np.array([[0.0, 1.0], [-1000.0, -1000.0]])),
        random_scores,
    ],
    hints=(
        "Queries are the rows, keys the columns. Each query has a weight of 1 to share out. Along "
        "which axis do you sum? And what does `np.exp(1000.0)` give?",
        "Subtract from each row its own largest score: that changes no weight, as it cancels in "
        "the division, and no exponential is above 1. `keepdims=True` keeps the axis, so that "
        "each row meets its own maximum and its own sum.",
    ),
    minutes=6,
    remark="The maximum of the row is not a matter of taste. Without it, a score of 1000 is inf "
    "divided by inf; with one maximum for all rows, a row far below it is 0 divided by 0.",
)
def softmax_rows(scores):
    """Return the weights; scores are (..., T_q, T_k) and may be large."""
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def without_maximum(scores, axis):
    weights = np.exp(scores)
    return weights / weights.sum(axis, keepdims=True)


WRONG_AXES = {  # name -> (axis, what a learner reads)
    "sums over the queries": (
        -2,
        "Your columns sum to 1: you summed over the queries. Then the keys choose among the "
        "queries. Each *query*, a row, has a weight of 1 to share out; sum along the last axis.",
    ),
    "sums over everything": (
        None,
        "You divided by the sum of the whole array. So all queries share one weight of 1, and a "
        "query with small scores hears almost nothing. Each row has a sum of its own.",
    ),
    "sums over the first axis": (
        0,
        "You summed over axis 0. With leading axes, for batch and heads, that mixes sentences. The "
        "keys are the *last* axis, whatever stands before it: count from the end, with -1.",
    ),
    "takes the second axis for the last": (
        1,
        "You summed over axis 1. That is the last axis of a matrix; with heads before it, axis 1 "
        "holds the queries. Count from the end, with -1.",
    ),
}
for name, (axis, text) in WRONG_AXES.items():
    softmax_rows.misconception(name, text)(partial(softmax, axis=axis))
    softmax_rows.misconception(
        f"{name}, and overflows",
        f"{text} And subtract each row's largest score first: in floats, e¹⁰⁰⁰ is infinite.",
    )(partial(without_maximum, axis=axis))


@softmax_rows.misconception(
    "lets the exponential overflow",
    "Your formula is right on paper. In floats, e¹⁰⁰⁰ is infinite, and inf divided by inf is nan. "
    "Subtract the row's largest score first; it cancels in the division.",
)
def _(scores):
    return without_maximum(scores, axis=-1)


@softmax_rows.misconception(
    "one maximum for all rows",
    "You subtracted the largest score of the whole array. That is right on paper, but a row far "
    "below it becomes e⁻¹⁰⁰⁰ throughout, which is 0 in floats, and 0 divided by 0 is nan. Each row "
    "needs its own maximum.",
)
def _(scores):
    weights = np.exp(scores - scores.max())
    return weights / weights.sum(-1, keepdims=True)


@softmax_rows.misconception(
    "shares by the scores themselves",
    "You divided each score by the sum of its row. Scores may be negative, and their sum may be "
    "zero: take exponentials first, which are positive.",
)
def _(scores):
    return scores / scores.sum(-1, keepdims=True)


@softmax_rows.misconception(
    "divides exponentials by the sum of the scores",
    "You divided the exponentials by the sum of the *scores*. Divide them by their own sum, or "
    "the row does not sum to 1.",
)
def _(scores):
    return np.exp(scores - scores.max(-1, keepdims=True)) / scores.sum(-1, keepdims=True)


@softmax_rows.misconception(
    "forgets to normalise",
    "You took the exponentials and stopped. Divide each row by its sum.",
)
def _(scores):
    return np.exp(scores - scores.max(-1, keepdims=True))


@softmax_rows.misconception(
    "loses the axis",
    "`max(-1)` and `sum(-1)` drop the axis, and NumPy then lines up what is left with the *last* "
    "axis: other shapes are refused, and in a square matrix every column silently gets another "
    "row's number. Write `keepdims=True`.",
)
def _(scores):
    weights = np.exp(scores - scores.max(-1))
    return weights / weights.sum(-1)


@softmax_rows.misconception(
    "loses the axis of the sum",
    "Your maximum is right, but `sum(-1)` drops its axis, and NumPy then lines up the sums with "
    "the *columns*. In a square matrix it does so without a word. Write `keepdims=True` there too.",
)
def _(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1)


@softmax_rows.misconception(
    "loses the axis, and overflows",
    "`sum(-1)` drops its axis, and NumPy then lines up the sums with the *columns*: write "
    "`keepdims=True`. And subtract each row's largest score first: in floats, e¹⁰⁰⁰ is infinite.",
)
def _(scores):
    return np.exp(scores) / np.exp(scores).sum(-1)


# ------------------------------------------------------------------------- the causal mask
def random_square(rng):
    size = rng.integers(2, 5)
    return Case(integers(rng, size, size))


@exercise(
    "attention.causal-mask",
    title="Nobody looks ahead",
    cases=[
        Case(np.array([[7.0]])),
        Case(np.zeros((2, 2))),
        Case(np.array([[0.0, 1.0], [1.0, 0.0]])),
        Case(np.array([[-2e4, -2e4], [-2e4, -2e4]])),
        Case(np.array([[-2e10, -2e10], [-2e10, -2e10]])),
        Case(np.array([[0.0, 900.0], [900.0, 900.0]])),
        Case(np.array([[0.0, 2e4], [0.0, 0.0]])),
        Case(np.array([[0.0, 2e10], [0.0, 0.0]])),
        random_square,
    ],
    hints=(
        "First find out who may look at whom: token 0 sees token 0, token 1 sees 0 and 1. What "
        "must the score of a forbidden pair be, so that its exponential is exactly 0, however "
        "small the other scores are?",
        "`np.tri(len(scores), dtype=bool)` is True on and below the diagonal. `np.where` puts -inf "
        "where it is False. Then comes the softmax, with the row's maximum taken *after* masking.",
    ),
    minutes=8,
    remark="The order matters: first the mask, then the maximum, then the exponentials. And −inf "
    "is the one number that no score can undercut. A fill of −10,000 looks safe until all the "
    "allowed scores of a row are below it; then all the weight goes to the future.",
)
def causal_weights(scores):
    """Return the weights under a causal mask; scores are (T, T)."""
    allowed = np.tri(len(scores), dtype=bool)
    masked = np.where(allowed, scores, -np.inf)
    exponentials = np.exp(masked - masked.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def filled(scores, fill, allowed):
    return softmax(np.where(allowed, scores, fill))


def lower(scores, k=0):
    return np.tri(len(scores), k=k, dtype=bool)


@causal_weights.misconception(
    "a token may not see itself",
    "You masked the diagonal as well. A token may look at itself: the model predicts the *next* "
    "token, so the present one is no secret. And token 0 would have nothing left: 0/0 is nan.",
)
def _(scores):
    return filled(scores, -np.inf, lower(scores, -1))


@causal_weights.misconception(
    "one token too far",
    "Your mask is off by one: each token sees the one after it, which is exactly the one that has "
    "to be predicted. Training would look wonderful. Keep the diagonal, and nothing above it.",
)
def _(scores):
    return filled(scores, -np.inf, lower(scores, 1))


@causal_weights.misconception(
    "looks ahead only",
    "Your mask is upside down: token 0 sees everything, and the last one only itself. Row i may "
    "see the columns 0 to i, which is the *lower* triangle.",
)
def _(scores):
    return filled(scores, -np.inf, lower(scores).T)


@causal_weights.misconception(
    "hides what may be seen",
    "You masked the past and the token itself, and let the future through. In this course True "
    "means *may attend*; elsewhere it may mean the opposite.",
)
def _(scores):
    return filled(scores, -np.inf, ~lower(scores))


@causal_weights.misconception(
    "masks after the softmax",
    "You set weights to 0 after the softmax, so the rows no longer sum to 1, and what is missing "
    "depends on the future scores. Mask the scores, then take the softmax.",
)
def _(scores):
    return softmax(scores) * lower(scores)


@causal_weights.misconception(
    "the future decides what is rounded away",
    "On paper your weights are right. But the future scores had a say before they were masked: in "
    "a first softmax, or in the maximum that you subtracted. Where they are far larger than the "
    "allowed ones, these are rounded to 0, and 0/0 is nan. Mask first.",
)
def _(scores):
    weights = softmax(scores) * lower(scores)
    return weights / weights.sum(-1, keepdims=True)


@causal_weights.misconception(
    "multiplies the mask into the scores",
    "You set the forbidden scores to 0. But e⁰ is 1, not 0: a score of 0 is a perfectly good "
    "score. Set it to −inf.",
)
def _(scores):
    return softmax(scores * lower(scores))


LEAK = (
    "You filled the forbidden scores with a finite number, {fill}. Here all allowed scores are "
    "still smaller, so the future gets all the weight. Only −inf is below every score."
)


@causal_weights.misconception("a fill of -1e4 leaks", LEAK.format(fill="about −10⁴"))
def _(scores):
    return filled(scores, -1e4, lower(scores))


@causal_weights.misconception("a fill of -1e9 leaks", LEAK.format(fill="about −10⁹"))
def _(scores):
    return filled(scores, -1e9, lower(scores))


ADDED = (
    "You added a finite number, {number}, to the forbidden scores. A future score that is larger "
    "by more than that wins all the same. Only −inf pushes every score down to nothing."
)


@causal_weights.misconception("adding -1e4 is not enough", ADDED.format(number="about −10⁴"))
def _(scores):
    return softmax(scores - 1e4 * ~lower(scores))


@causal_weights.misconception("adding -1e9 is not enough", ADDED.format(number="about −10⁹"))
def _(scores):
    return softmax(scores - 1e9 * ~lower(scores))


@causal_weights.misconception(
    "zero times infinity",
    "You multiplied a matrix of zeros and ones by −inf to get the mask. 0 times inf is nan, so "
    "everything allowed was destroyed. Choose with `np.where` instead.",
)
def _(scores):
    return softmax(scores + (1 - np.tri(len(scores))) * -np.inf)


@causal_weights.misconception(
    "forgets the maximum",
    "Your mask is right, but the softmax takes the exponentials of the scores as they are: e⁹⁰⁰ is "
    "infinite, and e to the −20,000 is 0. Subtract the row's largest score first.",
)
def _(scores):
    weights = np.exp(np.where(lower(scores), scores, -np.inf))
    return weights / weights.sum(-1, keepdims=True)


@causal_weights.misconception(
    "masks the exponentials",
    "You set the exponentials of forbidden scores to 0, which is right on paper. But e⁹⁰⁰ is "
    "infinite, and infinity times 0 is nan. Mask the scores, subtract the row's largest, and only "
    "then take exponentials.",
)
def _(scores):
    weights = np.exp(scores) * lower(scores)
    return weights / weights.sum(-1, keepdims=True)


@causal_weights.misconception(
    "forgets the mask",
    "There is weight above the diagonal: tokens look ahead.",
)
def _(scores):
    return softmax(scores)
