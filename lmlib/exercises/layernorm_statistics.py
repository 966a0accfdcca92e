"""The exercises of the layer normalisation chapter on statistics: whose, and how exact."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers
from lmlib.exercises.layernorm import standardised


# ------------------------------------------------------------------------- BatchNorm
def random_batch(rng):
    B, T, C = rng.integers(2, 4), rng.integers(2, 4), rng.integers(2, 4)
    x = integers(rng, B, T, C, largest=5)
    variance = rng.integers(1, 9, size=C).astype(float)
    return Case(x, integers(rng, C), variance, bool(rng.integers(2)), float(rng.choice([0.1, 1.0])))


RUNNING = np.array([1.0, 0.0]), np.array([4.0, 9.0])
PAIR = np.array([[[1.0, 0], [3, 2]], [[5, 2], [7, 8]]])


@exercise(
    "layernorm.batch-norm",
    title="One norm, two behaviours",
    cases=[
        Case(PAIR, *RUNNING, True, 1.0),
        Case(PAIR, *RUNNING, False, 1.0),
        Case(PAIR[:1], *RUNNING, True, 0.1),
        Case(PAIR[:1, :1], *RUNNING, False, 0.1),
        random_batch,
    ],
    hints=(
        "The last line is the same in both modes. They differ in where mean and variance come "
        "from, so let an `if` decide that first. Which axes are gone from a mean of shape (C,)?",
        "While training, replace both by `x.mean((0, 1))` and `x.var((0, 1))`. A (C,) array "
        "broadcasts against (B, T, C) as it is.",
    ),
    minutes=7,
    remark="Two behaviours, and each has its price. While training, an output depends on every "
    "other token in the batch: later ones, strangers, padding. In use it does not, but then the "
    "model meets statistics other than those it was trained with. LayerNorm has one behaviour.",
)
def batch_norm(x, mean, variance, training, eps):
    """Return x (B, T, C), each feature normalised over batch and time."""
    if training:
        mean, variance = x.mean((0, 1)), x.var((0, 1))
    return (x - mean) / np.sqrt(variance + eps)


def scaled(x, mean, variance, eps):
    return (x - mean) / np.sqrt(variance + eps)


@batch_norm.misconception(
    "uses the batch's statistics in use",
    "You took the batch's own mean and variance in both modes. In use that makes an answer depend "
    "on who else is asking, and a single token would be its own mean: nothing would be left.",
)
def _(x, mean, variance, training, eps):
    return standardised(x, (0, 1), eps)


@batch_norm.misconception(
    "uses the running statistics always",
    "You took the running statistics in both modes. While training, each batch is normalised with "
    "its own, and the gradient goes through them.",
)
def _(x, mean, variance, training, eps):
    return scaled(x, mean, variance, eps)


@batch_norm.misconception(
    "exchanges the two modes",
    "You have both ways, the wrong way round. The batch's own statistics belong to training.",
)
def _(x, mean, variance, training, eps):
    return batch_norm(x, mean, variance, not training, eps)


@batch_norm.misconception(
    "each position by itself",
    "You averaged over the batch alone, so each position has its own (T, C) statistics. With a "
    "batch of one, nothing would be left. Here they run over batch *and* time.",
)
def _(x, mean, variance, training, eps):
    return standardised(x, 0, eps) if training else scaled(x, mean, variance, eps)


@batch_norm.misconception(
    "each sequence by itself",
    "You averaged over time alone, so each sequence has its own statistics. That is called "
    "instance normalisation. Here they run over batch *and* time.",
)
def _(x, mean, variance, training, eps):
    return standardised(x, 1, eps) if training else scaled(x, mean, variance, eps)


@batch_norm.misconception(
    "computes LayerNorm",
    "While training, you averaged over the features of each token: that is LayerNorm. BatchNorm "
    "compares a feature with the *same* feature of other tokens.",
)
def _(x, mean, variance, training, eps):
    return standardised(x, -1, eps) if training else scaled(x, mean, variance, eps)


@batch_norm.misconception(
    "one mean for all features",
    "While training, you took one mean and one variance for the whole array. Each feature has its "
    "own: the result of the mean must be (C,).",
)
def _(x, mean, variance, training, eps):
    return standardised(x, None, eps) if training else scaled(x, mean, variance, eps)


@batch_norm.misconception(
    "divides by n − 1 while training",
    "Your variance of the batch divides by n − 1. The batch is normalised with the plain mean of "
    "squares. (The *running* variance is gathered with n − 1; that is another line.)",
)
def _(x, mean, variance, training, eps):
    if training:
        mean, variance = x.mean((0, 1)), x.var((0, 1), ddof=1)
    return scaled(x, mean, variance, eps)


@batch_norm.misconception(
    "takes the running variance for a standard deviation",
    "In use, you divided by the running variance without taking its root.",
)
def _(x, mean, variance, training, eps):
    return standardised(x, (0, 1), eps) if training else (x - mean) / (variance + eps)


@batch_norm.misconception(
    "adds ε outside the root",
    "You added ε after the root. It belongs under it, in both modes.",
)
def _(x, mean, variance, training, eps):
    if training:
        mean, variance = x.mean((0, 1)), x.var((0, 1))
    return (x - mean) / (np.sqrt(variance) + eps)


@batch_norm.misconception(
    "the batch's mean, the running variance",
    "While training, you took the mean from the batch and left the variance the running one. Both "
    "come from the batch.",
)
def _(x, mean, variance, training, eps):
    return scaled(x, x.mean((0, 1)) if training else mean, variance, eps)


@batch_norm.misconception(
    "blends the two",
    "While training, you moved the running statistics by a tenth towards the batch's, and "
    "normalised with the result. That is how the running ones are *gathered*; the batch itself is "
    "normalised with its own.",
)
def _(x, mean, variance, training, eps):
    if training:
        mean = 0.9 * mean + 0.1 * x.mean((0, 1))
        variance = 0.9 * variance + 0.1 * x.var((0, 1))
    return scaled(x, mean, variance, eps)


# ------------------------------------------------------------------------- a variance that survives
def random_rows(rng):
    n, C = rng.integers(1, 4), rng.integers(3, 9)
    rows = integers(rng, n, C, largest=4)
    rows[:, :2] = [0, 3]  # no row of equal values
    level = rng.choice([0, 100, 1000, 10000, -10000], size=(n, 1))
    return Case((rows + level).astype(np.float32))


def in_float32(*rows):
    return np.array(rows, dtype=np.float32)


@exercise(
    "layernorm.variance",
    title="A variance that survives",
    tolerance=2e-3,
    absolute=1e-6,
    cases=[
        Case(in_float32([1, 2, 3])),
        Case(in_float32([10000, 10001, 10002])),
        Case(in_float32([0, 4, 4, 8], [10001, 10003, 10003, 10009])),
        Case(in_float32([5, 9, 1, 1], [-9999, -10001, -9998, -10002], [500, 500, 501, 503])),
        Case(in_float32([9997, 10003, 9996, 10004, 10001, 9999, 10000, 10007])),
        Case(in_float32([10002, 9998, 10003, 9997, 10003], [10000.5, 10001, 10003.5, 9999, 9998])),
        random_rows,
    ],
    hints=(
        "10,001² is 100,020,001. A float32 keeps seven digits: what is left of the 1 at the end? "
        "The naive formula subtracts two such numbers. Make them small *before* you square.",
        "Subtract the mean of each row first, `x.mean(-1, keepdims=True)`. The differences are "
        "exact, or nearly so, and their squares are small numbers.",
    ),
    minutes=5,
    remark="Two passes instead of one, and nothing is lost. Converting to float64 first is right, "
    "too, here; it moves the trouble from 10,000 to 100 million. `np.var` takes two passes as "
    "well. Where one pass is a must, Welford's update is the way.",
)
def variance(x):
    """Return the variance of each row of x (n, C), as an array (n,)."""
    centred = x - x.mean(-1, keepdims=True)
    return (centred**2).mean(-1)


def naive(x):
    return (x * x).mean(-1) - x.mean(-1) ** 2


@variance.misconception(
    "the mean of the squares less the square of the mean",
    "On paper your formula is right. Here both terms are huge, up to 100 million, where float32 "
    "numbers lie 8 apart, and their difference should be a few units. Subtract the mean before you "
    "square.",
)
def _(x):
    return naive(x)


@variance.misconception(
    "hides the negative ones",
    "You cut off what fell below zero. The results that came out too large are as wrong, and you "
    "cannot see them. The subtraction has to come before the squares.",
)
def _(x):
    return np.maximum(naive(x), 0)


@variance.misconception(
    "turns the negative ones round",
    "You took the absolute value. A negative variance is not a matter of sign: all of its digits "
    "are rounding. The subtraction has to come before the squares.",
)
def _(x):
    return np.abs(naive(x))


@variance.misconception(
    "converts after squaring",
    "You squared in float32 and converted then. The digits were lost in the square, and float64 "
    "cannot bring them back. Convert first, or subtract the mean first.",
)
def _(x):
    return (x * x).astype(np.float64).mean(-1) - x.astype(np.float64).mean(-1) ** 2


@variance.misconception(
    "shifts by the mean of all rows",
    "You subtracted one mean, that of the whole array. A row that lies elsewhere keeps a large "
    "offset. Each row has its own.",
)
def _(x):
    return naive(x - x.mean())


@variance.misconception(
    "measures from the mean of all rows",
    "You took the differences from the mean of the whole array, so the distances between the rows "
    "count as spread. Each row has its own mean.",
)
def _(x):
    return ((x - x.mean()) ** 2).mean(-1)


@variance.misconception(
    "measures from the first value",
    "You took the first value for the mean and left it at that. As a shift it is good; then the "
    "square of what remains of the mean must still be subtracted.",
)
def _(x):
    return ((x - x[:, :1]) ** 2).mean(-1)


@variance.misconception(
    "divides by C − 1",
    "You divided by one less than there are values. The norm divides by C.",
)
def _(x):
    return x.var(-1, ddof=1)


@variance.misconception(
    "gives the standard deviation",
    "That is the standard deviation; the variance is its square.",
)
def _(x):
    return x.std(-1)


@variance.misconception(
    "takes absolute differences",
    "You averaged the absolute differences. The variance is the mean of their squares.",
)
def _(x):
    return np.abs(x - x.mean(-1, keepdims=True)).mean(-1)


@variance.misconception(
    "forgets to divide",
    "You summed the squared differences. Divide by C.",
)
def _(x):
    return x.var(-1) * x.shape[-1]
