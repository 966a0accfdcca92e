"""The exercises of the layer normalisation chapter on the formula itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers


@dataclass(frozen=True)
class Named:
    """A function that cases may hold; a message then shows its name and no address."""

    function: Callable

    def __call__(self, x):
        return self.function(x)

    def __repr__(self):
        return self.function.__name__


def as_numbers(answer):
    """A list, a tuple and an array of the same numbers are the same answer."""
    return np.array(answer, dtype=float)


def standardised(x, axis=-1, eps=0.0):
    """Shared by the wrong answers, whose mistake lies elsewhere: x̂ along any axis."""
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


# ------------------------------------------------------------------------- by hand
X = np.array([2.0, 4.0, 4.0, 10.0])
GAIN, BIAS, EPS = np.array([1.0, 2.0, 4.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0]), 7


@exercise(
    "layernorm.by-hand",
    title="Four numbers, normalised",
    view=as_numbers,
    hints=(
        "Five steps: the mean, the differences from it, the mean of their squares, one root, and "
        "then each number times its gain plus its bias. ε is added before the root is taken.",
        "The mean is 5, so the differences are −3, −1, −1 and 5. Their squares sum to 36, and a "
        "quarter of that is 9. With ε the root is that of 16.",
    ),
    minutes=5,
    remark="The differences −3, −1, −1, 5 are divided by 4, then stretched and shifted one by one. "
    "The third feature was as large as the second, and comes out as −1 instead of 0.5: gain and "
    "bias treat the features differently, the normalisation treats them all alike. With ε = 7 the "
    "spread of x̂ is 3/4. With ε = 0 it would be 1, whatever x was.",
)
def normalised_by_hand():
    """The four outputs, such as [1, 1.5, -2, 0]."""
    x = np.array([2, 4, 4, 10])
    centred = x - 5
    normalised = centred / np.sqrt(9 + 7)
    return (np.array([1, 2, 4, 2]) * normalised + [1, 1, 0, 0]).tolist()


@normalised_by_hand.misconception(
    "divides by C − 1",
    "You divided the sum of squares, 36, by 3. LayerNorm divides by C, here 4: it describes these "
    "four numbers, and does not estimate a spread that they were drawn from.",
)
def _():
    return GAIN * (X - 5) / np.sqrt(12 + EPS) + BIAS


@normalised_by_hand.misconception(
    "adds ε outside the root",
    "You took the root of 9 and added 7. In the formula ε stands under the root, beside the "
    "variance: 9 + 7, then the root.",
)
def _():
    return GAIN * (X - 5) / (3 + EPS) + BIAS


@normalised_by_hand.misconception(
    "divides by the variance",
    "You divided by 16. That is the variance and ε; divide by its *root*, 4. Divided by a "
    "variance, x in metres and x in centimetres would not give the same.",
)
def _():
    return GAIN * (X - 5) / (9 + EPS) + BIAS


@normalised_by_hand.misconception(
    "forgets the mean",
    "You divided 2, 4, 4 and 10 themselves. Subtract their mean first; x̂ has the mean 0.",
)
def _():
    return GAIN * X / np.sqrt(9 + EPS) + BIAS


@normalised_by_hand.misconception(
    "takes the mean square for the variance",
    "You divided by the root of the mean of x², and of ε. That is RMSNorm's denominator; the "
    "variance is the mean square of the *differences* from the mean.",
)
def _():
    return GAIN * (X - 5) / np.sqrt((X**2).mean() + EPS) + BIAS


@normalised_by_hand.misconception(
    "computes RMSNorm",
    "You left the mean where it was, in the numerator and in the denominator. That is RMSNorm, "
    "with a bias added. LayerNorm subtracts the mean first.",
)
def _():
    return GAIN * X / np.sqrt((X**2).mean() + EPS) + BIAS


@normalised_by_hand.misconception(
    "forgets to divide the sum by C",
    "You took the root of 36 + 7. That is a sum of squares; the variance is their mean, 36/4.",
)
def _():
    return GAIN * (X - 5) / np.sqrt(36 + EPS) + BIAS


@normalised_by_hand.misconception(
    "leaves out ε",
    "You divided by 3. ε is often too small to be seen; here it is 7, and the root is that of "
    "9 + 7.",
)
def _():
    return GAIN * (X - 5) / 3 + BIAS


@normalised_by_hand.misconception(
    "multiplies before normalising",
    "You multiplied by the gain first and normalised then. The gain acts on x̂, after mean and "
    "spread are gone; otherwise the next step would divide much of it out again.",
)
def _():
    return standardised(GAIN * X, eps=EPS) + BIAS


@normalised_by_hand.misconception(
    "adds the bias before multiplying",
    "You added the bias to x̂ and multiplied both by the gain. Multiply first: y = γ x̂ + β.",
)
def _():
    return GAIN * ((X - 5) / 4 + BIAS)


@normalised_by_hand.misconception(
    "exchanges gain and bias",
    "You multiplied by β and added γ. It is the other way round: γ is the gain, β the bias.",
)
def _():
    return BIAS * (X - 5) / 4 + GAIN


@normalised_by_hand.misconception(
    "forgets the bias",
    "These are γ x̂. Add the bias β.",
)
def _():
    return GAIN * (X - 5) / 4


@normalised_by_hand.misconception(
    "stops at x̂",
    "That is x̂. Multiply each number by its gain and add its bias.",
)
def _():
    return (X - 5) / 4


# ------------------------------------------------------------------------- forward
def random_tokens(rng):
    shape = rng.integers(2, 5, size=rng.integers(2, 4))
    shape[-1] = rng.integers(3, 6)
    return Case(
        integers(rng, *shape, largest=5),
        integers(rng, shape[-1]),
        integers(rng, shape[-1]),
        float(rng.choice([1e-5, 0.1, 1.0])),
    )


@exercise(
    "layernorm.forward",
    title="Each token for itself",
    cases=[
        Case(np.array([1.0, 3.0]), np.ones(2), np.zeros(2), 1e-5),
        Case(np.array([2.0, 4, 4, 10]), np.array([1.0, 2, 4, 2]), np.array([1.0, 1, 0, 0]), 7.0),
        Case(np.array([[1.0, 3], [10, 50]]), np.array([1.0, 2]), np.array([0.0, 5]), 0.1),
        Case(np.array([[2.0, 2, 2], [0, 3, 6]]), np.ones(3), np.array([0.0, 1, 2]), 1e-5),
        Case(
            np.array([[[0.0, 4], [2, 2], [9, 1]], [[5, 7], [1, 0], [3, 8]]]),
            np.ones(2),
            np.array([0.0, 1]),
            0.1,
        ),
        random_tokens,
    ],
    hints=(
        "How many means are there? Each token has its own, so for `x` of shape (B, T, C) there are "
        "B·T of them. Which axis disappears, and how do you subtract the rest from `x`?",
        "`x.mean(-1, keepdims=True)` has the shape (B, T, 1), which broadcasts against `x`. The "
        "variance works the same way; `x.var` divides by C unless you ask for something else.",
    ),
    minutes=6,
    remark="No line mentions batch or time. That is why one function serves a single vector, a "
    "sequence and a batch, and why nothing a token does can reach another through the norm. In "
    "the row 2, 2, 2 nothing is left after centring, and without ε it would be 0/0.",
)
def layer_norm(x, gain, bias, eps):
    """Return gain * (x - mean) / sqrt(variance + eps) + bias."""
    mean = x.mean(-1, keepdims=True)
    variance = x.var(-1, keepdims=True)
    return gain * (x - mean) / np.sqrt(variance + eps) + bias


@layer_norm.misconception(
    "divides by C − 1",
    "Your variance divides by C − 1. LayerNorm takes the plain mean of the squares, over C. Over "
    "768 features nobody would notice; over these few it shows.",
)
def _(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps) + bias


@layer_norm.misconception(
    "adds ε to the standard deviation",
    "You added ε after the root. It belongs under it, beside the variance. The two differ most "
    "where the spread is small: that is where ε matters at all.",
)
def _(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / (x.std(-1, keepdims=True) + eps) + bias


@layer_norm.misconception(
    "leaves out ε",
    "You left ε out. A token whose features are all alike then gives 0/0, and with a larger ε the "
    "numbers differ everywhere.",
)
def _(x, gain, bias, eps):
    return gain * standardised(x) + bias


@layer_norm.misconception(
    "divides by the variance",
    "You divided by the variance. Take the root: only then does the unit of x cancel.",
)
def _(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / (x.var(-1, keepdims=True) + eps) + bias


@layer_norm.misconception(
    "forgets to divide the sum by C",
    "You divided by the root of the *sum* of the squares. The variance is their mean.",
)
def _(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / np.sqrt((centred**2).sum(-1, keepdims=True) + eps) + bias


@layer_norm.misconception(
    "forgets the brackets",
    "You divided only the mean: in `x - mean / root`, the division comes first. Put the difference "
    "in brackets.",
)
def _(x, gain, bias, eps):
    root = np.sqrt(x.var(-1, keepdims=True) + eps)
    return gain * (x - x.mean(-1, keepdims=True) / root) + bias


@layer_norm.misconception(
    "normalises over the first axis",
    "You averaged over the first axis: over tokens, or over the batch. That is what BatchNorm "
    "does. In LayerNorm a token is compared with itself, feature against feature: the last axis.",
)
def _(x, gain, bias, eps):
    return gain * standardised(x, 0, eps) + bias


@layer_norm.misconception(
    "normalises over axis 1",
    "You averaged over axis 1. In (T, C) these are the features, but in (B, T, C) they are the "
    "tokens of a sequence. Counted from the end, the features are always axis −1.",
)
def _(x, gain, bias, eps):
    return gain * standardised(x, 1, eps) + bias


@layer_norm.misconception(
    "one mean for a whole sequence",
    "You took one mean and one variance for a whole sequence, over its tokens and features. Then "
    "a loud token turns the others down, and a later one changes an earlier. Each token gets its "
    "own.",
)
def _(x, gain, bias, eps):
    return gain * standardised(x, tuple(range(x.ndim))[-2:], eps) + bias


@layer_norm.misconception(
    "one mean for everything",
    "You took one mean and one variance for the whole array. Each token has its own: name the "
    "axis.",
)
def _(x, gain, bias, eps):
    return gain * standardised(x, None, eps) + bias


@layer_norm.misconception(
    "loses the axis it averaged over",
    "Your mean has lost its last axis: for (T, C) it is (T,), and NumPy lines that up with the "
    "*features*. Where T and C differ it complains; where they are equal it quietly subtracts the "
    "wrong means. Keep the axis, with length 1.",
)
def _(x, gain, bias, eps):
    return gain * (x - x.mean(-1)) / np.sqrt(x.var(-1) + eps) + bias


@layer_norm.misconception(
    "forgets the mean",
    "You divided by the right number but did not subtract the mean first.",
)
def _(x, gain, bias, eps):
    return gain * x / np.sqrt(x.var(-1, keepdims=True) + eps) + bias


@layer_norm.misconception(
    "computes RMSNorm",
    "You divided by the root mean square and subtracted no mean. That is RMSNorm. LayerNorm "
    "centres first, and then the mean square is the variance.",
)
def _(x, gain, bias, eps):
    return gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) + bias


@layer_norm.misconception(
    "takes the mean square for the variance",
    "You subtract the mean, but the square below the line is that of x itself. The variance is "
    "the mean square of what is left after centring.",
)
def _(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / np.sqrt((x**2).mean(-1, keepdims=True) + eps) + bias


@layer_norm.misconception(
    "multiplies before normalising",
    "You applied the gain to x. It acts on x̂, when mean and spread are gone. Put before, a gain "
    "that is the same for all features would do nothing.",
)
def _(x, gain, bias, eps):
    return standardised(gain * x, -1, eps) + bias


@layer_norm.misconception(
    "adds the bias before multiplying",
    "You multiplied the bias by the gain as well. First the gain, then the bias.",
)
def _(x, gain, bias, eps):
    return gain * (standardised(x, -1, eps) + bias)


@layer_norm.misconception(
    "forgets the bias",
    "Your output is γ x̂. Add the bias.",
)
def _(x, gain, bias, eps):
    return gain * standardised(x, -1, eps)


@layer_norm.misconception(
    "forgets the gain",
    "Your output is x̂ + β. Multiply x̂ by the gain first.",
)
def _(x, gain, bias, eps):
    return standardised(x, -1, eps) + bias


@layer_norm.misconception(
    "forgets gain and bias",
    "You return x̂. Multiply it by the gain and add the bias, feature by feature.",
)
def _(x, gain, bias, eps):
    return standardised(x, -1, eps)
