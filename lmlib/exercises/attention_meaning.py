"""The exercises of the attention chapter on what weights mean, and how they thin out."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers


# ------------------------------------------------------------------------- contributions
def random_writing(rng):
    H, T, D, C = rng.integers(1, 3), rng.integers(2, 5), rng.integers(1, 4), rng.integers(2, 4)
    weights = rng.integers(1, 9, size=(H, T)).astype(float)
    weights /= weights.sum(-1, keepdims=True)
    value = integers(rng, H, T, D)
    value[:, 0] = np.arange(1, D + 1)  # one token writes for sure, so that no share is 0/0
    return Case(weights, value, np.abs(integers(rng, H, D, C)) + np.eye(D, C))


@exercise(
    "attention.contribution",
    title="Heard, but saying nothing",
    cases=[
        Case(np.array([[0.75, 0.25]]), np.array([[[1.0], [6.0]]]), np.array([[[1.0]]])),
        Case(
            np.array([[0.5, 0.5], [0.5, 0.5]]),
            np.array([[[1.0], [1.0]], [[-1.0], [1.0]]]),
            np.ones((2, 1, 2)),
        ),
        Case(
            np.array([[0.9, 0.1]]), np.array([[[0.0, 2.0], [3.0, 0.0]]]), np.eye(2)[None] * [4, 1]
        ),
        random_writing,
    ],
    hints=(
        "What one token adds to the output is a *vector*: weight times value times matrix, added "
        "up over the heads. Only then ask how long it is.",
        "`value @ W_output` is (H, T, C). Multiply it by `weights[..., None]`, sum over the first "
        "axis, and take `np.linalg.norm` along the last. Divide the T lengths by their sum.",
    ),
    minutes=7,
    remark="Give one token three quarters of the weight and a value of length 1, and another the "
    "last quarter and a value of length 6: the first makes one third of what is written. That is a "
    "sink in small, a place to put weight where it does no harm. And even this share is only about "
    "the output of *this* layer; a later one may make something else of it.",
)
def contributions(weights, value, W_output):
    """Return T shares; shapes (H, T), (H, T, D) and (H, D, C)."""
    written = (weights[..., None] * (value @ W_output)).sum(0)
    length = np.linalg.norm(written, axis=-1)
    return length / length.sum()


def shares(x):
    return x / x.sum()


@contributions.misconception(
    "averages the weights",
    "You averaged the weights over the heads and left the values out. A weight says how loudly a "
    "token is heard, not how much it says: multiply by the value before you measure.",
)
def _(weights, value, W_output):
    return weights.mean(0)


@contributions.misconception(
    "leaves the weights out",
    "You measured the values alone. A long value with a weight near 0 adds nearly nothing.",
)
def _(weights, value, W_output):
    return shares(np.linalg.norm((value @ W_output).sum(0), axis=-1))


@contributions.misconception(
    "forgets the output matrix",
    "You measured weight times value and left out `W_output`. A value may be long in a direction "
    "that the matrix throws away; what counts is what is written into the output.",
)
def _(weights, value, W_output):
    return shares(np.linalg.norm((weights[..., None] * value).sum(0), axis=-1))


@contributions.misconception(
    "weight times length, head by head",
    "You multiplied each weight by the length of the value and added up over the heads. Two things "
    "are missing: `W_output`, through which a value is written, and that two heads can write "
    "opposite things. Add the written *vectors* first, and measure the sum.",
)
def _(weights, value, W_output):
    return shares((weights * np.linalg.norm(value, axis=-1)).sum(0))


@contributions.misconception(
    "adds lengths over the heads",
    "You measured each head on its own and added the lengths. Two heads can write opposite things, "
    "and then nothing is left: add the vectors first, and measure the sum.",
)
def _(weights, value, W_output):
    written = weights[..., None] * (value @ W_output)
    return shares(np.linalg.norm(written, axis=-1).sum(0))


@contributions.misconception(
    "averages weights and values apart",
    "You averaged weights and values over the heads separately and then multiplied. A head's "
    "weight belongs to that head's value: multiply within each head, then add.",
)
def _(weights, value, W_output):
    written = weights.mean(0)[:, None] * (value @ W_output).mean(0)
    return shares(np.linalg.norm(written, axis=-1))


@contributions.misconception(
    "sums the entries",
    "You summed the entries of each vector. There plus and minus cancel; the length of a vector is "
    "its norm.",
)
def _(weights, value, W_output):
    return shares((weights[..., None] * (value @ W_output)).sum((0, -1)))


@contributions.misconception(
    "squares the lengths",
    "You took the squares of the lengths. That makes the large ones look larger still; take the "
    "root.",
)
def _(weights, value, W_output):
    return shares(((weights[..., None] * (value @ W_output)).sum(0) ** 2).sum(-1))


@contributions.misconception(
    "measures the features, not the tokens",
    "You took the norm over the tokens, so you have one number for each feature. There should be "
    "one for each token: the norm runs along the last axis.",
)
def _(weights, value, W_output):
    return shares(np.linalg.norm((weights[..., None] * (value @ W_output)).sum(0), axis=0))


@contributions.misconception(
    "forgets to share",
    "These are the lengths. Divide them by their sum, so that the shares of all tokens make 1.",
)
def _(weights, value, W_output):
    return np.linalg.norm((weights[..., None] * (value @ W_output)).sum(0), axis=-1)


# ------------------------------------------------------------------------- the same output
SCENE = np.array([[1.0, 2.0], [0.0, 0.0], [10.0, 0.0], [5.0, -2.0]])
SHOWN = np.array([0.4, 0.1, 0.1, 0.4])


def as_numbers(weights):
    """A list, a tuple and an array are the same answer."""
    return [float(weight) for weight in weights]


@exercise(
    "attention.same-output",
    title="The same output, without the two that mattered",
    view=as_numbers,
    hints=(
        "Compute the output first. With the weights of A and D at 0, only B and C are left, and B "
        "is the zero vector. So what must the weight of C be?",
        "The output is (3.4, 0). C is (10, 0), so it needs a weight of 0.34. B gets what is "
        "missing to 1.",
    ),
    minutes=5,
    remark="The map showed 80 % on A and D. With 0 % on them, the next layer would see the very "
    "same numbers. This is no accident of four tokens: whatever the length of the context, at most "
    "D + 1 of its tokens are needed for an output of width D (Carathéodory). Weights tell how an "
    "output *was* made. They do not tell that it needed those tokens.",
)
def same_output():
    """The weights of A, B, C, D, such as [0, 0.25, 0.75, 0]."""
    return [0, 0.66, 0.34, 0]


@same_output.misconception(
    "shares the rest as before",
    "You crossed out A and D and scaled the others up, to one half each. That output is (5, 0). "
    "The weights of B and C must be found from the output they have to make.",
)
def _():
    return [0, 0.5, 0.5, 0]


@same_output.misconception(
    "gives the weights shown",
    "These are the weights that the head had. The question asks for others with the same output, "
    "which are 0 at A and at D.",
)
def _():
    return SHOWN.tolist()


@same_output.misconception(
    "the zero vector needs no weight",
    "The output is right, but your weights sum to 0.34. A softmax has no choice: its weights sum "
    "to 1. What is left over has to go somewhere, and B, which adds nothing, is the place.",
)
def _():
    return [0, 0, 0.34, 0]


@same_output.misconception(
    "leaves B as it was",
    "The output is right, but your weights sum to 0.44. B adds nothing, so you can give it as much "
    "as is missing to 1.",
)
def _():
    return [0, 0.1, 0.34, 0]


@same_output.misconception(
    "swaps B and C",
    "You exchanged the two: with 0.66 on C the output is (6.6, 0). C is the long one, and needs "
    "the small weight.",
)
def _():
    return [0, 0.34, 0.66, 0]


# ------------------------------------------------------------------------- dilution
def random_crowd(rng):
    return Case(int(rng.integers(3, 5000)), int(rng.integers(10, 95)) / 100)


@exercise(
    "attention.dilution",
    title="One voice in a crowd",
    cases=[Case(2, 0.9), Case(3, 0.5), Case(1001, 0.5), random_crowd],
    hints=(
        "Let the others score 0 and the one Δ. Write down its weight as a fraction. How many "
        "terms are below the line, and which of them hold Δ?",
        "The weight is e^Δ / (e^Δ + n − 1). Call e^Δ = u, solve for u, and take the logarithm.",
    ),
    minutes=5,
    remark="Each tenfold crowd asks for 2.3 more. A head whose scores are bounded cannot keep up "
    "for ever: from some length on, its weights must spread. This is what scores multiplied by "
    "log n are meant to repair.",
)
def margin(n, weight):
    """Return the margin that gives one of n tokens this weight."""
    return np.log((n - 1) * weight / (1 - weight))


@margin.misconception(
    "the one is among the others",
    "You counted n others. The token itself is one of the n, so n − 1 compete with it.",
)
def _(n, weight):
    return np.log(n * weight / (1 - weight))


@margin.misconception(
    "the crowd does not count",
    "Your margin does not depend on n: it is right for two tokens. Every further one takes its "
    "part of the weight, so the margin must grow.",
)
def _(n, weight):
    return np.log(weight / (1 - weight))


@margin.misconception(
    "forgets itself below the line",
    "You divided e^Δ by the sum of the *others* alone. A softmax divides by the sum of all, and "
    "that includes e^Δ itself.",
)
def _(n, weight):
    return np.log((n - 1) * weight)


@margin.misconception(
    "gives the factor, not the margin",
    "That is e^Δ: how many times as large the exponential must be. The margin is its logarithm.",
)
def _(n, weight):
    return (n - 1) * weight / (1 - weight)


@margin.misconception(
    "turns the odds over",
    "You have the odds upside down, so a larger weight would need a *smaller* margin. The odds are "
    "weight : (1 − weight).",
)
def _(n, weight):
    return np.log((n - 1) * (1 - weight) / weight)


@margin.misconception(
    "takes the crowd for a help",
    "You divided by the number of the others, as if a crowd made it easier. In 1 − weight they all "
    "share, so the one must be that many times louder.",
)
def _(n, weight):
    return np.log(weight / (1 - weight) / (n - 1))


@margin.misconception(
    "takes the logarithm to base 2",
    "You took the logarithm to base 2. The softmax raises e, so it is the natural one.",
)
def _(n, weight):
    return np.log2((n - 1) * weight / (1 - weight))


@margin.misconception(
    "takes the logarithm to base 10",
    "You took the logarithm to base 10. The softmax raises e, so it is the natural one.",
)
def _(n, weight):
    return np.log10((n - 1) * weight / (1 - weight))
