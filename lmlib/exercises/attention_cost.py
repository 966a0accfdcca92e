"""The exercises of the attention chapter on what attention costs, in memory and in time."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers


# ------------------------------------------------------------------------- online softmax
def summary(scores, values):
    """(top, total, mixed) of one block, as the exercise defines them."""
    weights = np.exp(scores - scores.max())
    return float(scores.max()), float(weights.sum()), weights @ values


def random_blocks(rng):
    width = rng.integers(1, 3)
    sizes = rng.integers(1, 4, size=2)
    return Case(*(summary(integers(rng, n), integers(rng, n, width)) for n in sizes))


@exercise(
    "attention.online-softmax",
    title="Two halves of a softmax",
    cases=[
        Case((0.0, 1.0, np.array([2.0])), (0.0, 3.0, np.array([6.0]))),
        Case((1.0, 1.0, np.array([1.0])), (0.0, 1.0, np.array([3.0]))),
        Case((0.0, 2.0, np.array([1.0])), (2.0, 1.0, np.array([5.0]))),
        Case((-1000.0, 1.0, np.array([1.0])), (0.0, 1.0, np.array([2.0]))),
        Case((0.0, 1.0, np.array([1.0])), (-1000.0, 1.0, np.array([2.0]))),
        random_blocks,
    ],
    hints=(
        "Each half counted its exponentials relative to its own top. Before you may add them, both "
        "must be counted relative to the same one. Which?",
        "The top of both is the larger of the two. A half with top m is worth exp(m − top) of what "
        "it says, and this factor multiplies its total *and* its mixed values.",
    ),
    minutes=7,
    remark="`mixed / total` is the output, and no array here grew with the length of the text. "
    "Merged in any order, blocks of any size give the same, up to rounding. So attention can be "
    "computed in pieces that fit into a cache, or on several machines.",
)
def merge(left, right):
    """Return (top, total, mixed) of both halves, each such a triple."""
    top = max(left[0], right[0])
    keep_left, keep_right = np.exp(left[0] - top), np.exp(right[0] - top)
    total = keep_left * left[1] + keep_right * right[1]
    mixed = keep_left * left[2] + keep_right * right[2]
    return top, total, mixed


def factors(left, right):
    top = max(left[0], right[0])
    return top, np.exp(left[0] - top), np.exp(right[0] - top)


@merge.misconception(
    "forgets to rescale",
    "You took the larger top and added the rest as it was. But the other half had counted its "
    "exponentials relative to *its* top: they are too large by now, and must shrink first.",
)
def _(left, right):
    return max(left[0], right[0]), left[1] + right[1], left[2] + right[2]


@merge.misconception(
    "rescales the totals only",
    "Your total is right. The mixed values were summed with the same exponentials, so they must "
    "shrink by the same factor.",
)
def _(left, right):
    top, _, _ = factors(left, right)
    return top, merge(left, right)[1], left[2] + right[2]


@merge.misconception(
    "rescales the mixed values only",
    "Your mixed values are right. The totals are sums of the same exponentials, so they must "
    "shrink by the same factor.",
)
def _(left, right):
    return max(left[0], right[0]), left[1] + right[1], merge(left, right)[2]


@merge.misconception(
    "rescales the left half only",
    "You shrank the left half and took the right one as it is. That is right while tops only "
    "grow; when the right half has the smaller top, it is the one to shrink.",
)
def _(left, right):
    top, keep, _ = factors(left, right)
    return top, keep * left[1] + right[1], keep * left[2] + right[2]


@merge.misconception(
    "rescales the right half only",
    "You shrank the right half and took the left one as it is. The half with the *smaller* top "
    "has to shrink, and that may be the left one.",
)
def _(left, right):
    top, _, keep = factors(left, right)
    return top, left[1] + keep * right[1], left[2] + keep * right[2]


@merge.misconception(
    "rescales the wrong way",
    "Your factor is exp(top − m), which is above 1: the quieter half grew instead of shrinking. "
    "Turn the difference round.",
)
def _(left, right):
    top, keep_left, keep_right = factors(left, right)
    total = left[1] / keep_left + right[1] / keep_right
    return top, total, left[2] / keep_left + right[2] / keep_right


@merge.misconception(
    "keeps the right top",
    "You used the top of the right half for both. On paper any common number will do; in floats "
    "exp(1000) is infinite. Only the larger of the two keeps every factor at 1 or below.",
)
def _(left, right):
    keep = np.exp(left[0] - right[0])
    return right[0], keep * left[1] + right[1], keep * left[2] + right[2]


@merge.misconception(
    "keeps the left top",
    "You used the top of the left half for both. On paper any common number will do; in floats "
    "exp(1000) is infinite. Only the larger of the two keeps every factor at 1 or below.",
)
def _(left, right):
    keep = np.exp(right[0] - left[0])
    return left[0], left[1] + keep * right[1], left[2] + keep * right[2]


@merge.misconception(
    "takes the smaller top",
    "You took the smaller top. Relative to it, the exponentials of the other half grow beyond any "
    "float; take the larger one.",
)
def _(left, right):
    top = min(left[0], right[0])
    keep_left, keep_right = np.exp(left[0] - top), np.exp(right[0] - top)
    total = keep_left * left[1] + keep_right * right[1]
    return top, total, keep_left * left[2] + keep_right * right[2]


@merge.misconception(
    "divides before it is done",
    "You divided the mixed values by the total. Then a further half could not be merged any more: "
    "leave the division for the very end.",
)
def _(left, right):
    top, total, mixed = merge(left, right)
    return top, total, mixed / total


@merge.misconception(
    "adds the outputs",
    "You divided each half by its own total and added the two. These are two averages, and each "
    "sums its weights to 1 already. The sums must meet *before* anything is divided.",
)
def _(left, right):
    top, total, _ = merge(left, right)
    return top, total, left[2] / left[1] + right[2] / right[1]


# ------------------------------------------------------------------------- the KV cache
def random_sizes(rng):
    return Case(int(rng.integers(2, 40)), int(rng.integers(2, 65)))


@exercise(
    "attention.kv-cache-cost",
    title="What the cache saves",
    cases=[Case(1, 2), Case(2, 3), Case(3, 4), Case(512, 64), random_sizes],
    hints=(
        "Take step t first. How many tokens are projected in it, and how many pairs are compared: "
        "without the cache, and with it?",
        "Without: t tokens and t·t pairs. With: 1 token and t pairs. A token costs 4·C² and a pair "
        "2·C. Sum over t = 1, 2, …, T.",
    ),
    minutes=7,
    remark="For T = 512 and C = 64 it is 7.9 billion against 25 million, a factor of 313. "
    "Without a cache the comparisons grow like T³, with it like T². The cache does not make "
    "attention cheap: the new token still looks at all that came before.",
)
def multiplications(T, C):
    """Return the multiplications for T steps: [without a cache, with it]."""
    steps = range(1, T + 1)
    without = sum(4 * C**2 * t + 2 * C * t**2 for t in steps)
    cached = sum(4 * C**2 + 2 * C * t for t in steps)
    return [without, cached]


def total(T, cost):
    return sum(cost(t) for t in range(1, T + 1))


@multiplications.misconception(
    "the last step only",
    "You counted the last step. To write T tokens takes T of them, from 1 token to all: add up.",
)
def _(T, C):
    return [4 * C**2 * T + 2 * C * T**2, 4 * C**2 + 2 * C * T]


@multiplications.misconception(
    "every step costs what the last one does",
    "You multiplied the cost of the last step by T. The early steps are cheaper, as there is less "
    "to look at: add up over t.",
)
def _(T, C):
    return [T * (4 * C**2 * T + 2 * C * T**2), T * (4 * C**2 + 2 * C * T)]


@multiplications.misconception(
    "the cache saves the comparisons",
    "With the cache you counted no comparisons with the past. The cache keeps keys and values, "
    "not scores: the query is new, so at step t it meets t keys and t values.",
)
def _(T, C):
    return [multiplications(T, C)[0], T * (4 * C**2 + 2 * C)]


@multiplications.misconception(
    "projects the past again",
    "With the cache you still projected all t tokens at each step. That is what it saves: the keys "
    "and values of the past lie there.",
)
def _(T, C):
    return [multiplications(T, C)[0], total(T, lambda t: 4 * C**2 * t + 2 * C * t)]


@multiplications.misconception(
    "compares all pairs again",
    "With the cache you still counted t·t pairs. Only the new token asks: t pairs.",
)
def _(T, C):
    return [multiplications(T, C)[0], total(T, lambda t: 4 * C**2 + 2 * C * t**2)]


@multiplications.misconception(
    "only the newest token asks, even without a cache",
    "Without the cache you counted t pairs. There the whole text runs through the layer again, so "
    "each of the t tokens is compared with all t.",
)
def _(T, C):
    return [total(T, lambda t: 4 * C**2 * t + 2 * C * t), multiplications(T, C)[1]]


@multiplications.misconception(
    "halves the pairs for the mask",
    "You counted t(t + 1)/2 pairs. The mask hides the upper half *after* it was computed; "
    "in the task all t·t pairs are compared.",
)
def _(T, C):
    half = total(T, lambda t: 4 * C**2 * t + C * t * (t + 1))
    return [half, multiplications(T, C)[1]]


@multiplications.misconception(
    "forgets to average the values",
    "You counted C for each pair. A pair is multiplied twice: query with key, and weight with "
    "value.",
)
def _(T, C):
    return [total(T, lambda t: 4 * C**2 * t + C * t**2), total(T, lambda t: 4 * C**2 + C * t)]


@multiplications.misconception(
    "forgets the output projection",
    "You counted three projections. There is a fourth, which mixes the heads at the end.",
)
def _(T, C):
    return [
        total(T, lambda t: 3 * C**2 * t + 2 * C * t**2),
        total(T, lambda t: 3 * C**2 + 2 * C * t),
    ]


@multiplications.misconception(
    "starts with nothing to look at",
    "You let t run from 0 to T − 1. At the first step there is one token already, and it is "
    "compared with itself.",
)
def _(T, C):
    return [
        sum(4 * C**2 * t + 2 * C * t**2 for t in range(T)),
        sum(4 * C**2 + 2 * C * t for t in range(T)),
    ]


@multiplications.misconception(
    "gives the two in the other order",
    "Your two numbers are right, in the other order: first without the cache, then with it.",
)
def _(T, C):
    return multiplications(T, C)[::-1]
