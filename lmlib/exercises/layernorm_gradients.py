"""The exercises of the layer normalisation chapter on the gradient, and on ε."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers
from lmlib.exercises.layernorm import standardised


# ------------------------------------------------------------------------- backward
def random_backward(rng):
    T, C = rng.integers(1, 4), rng.integers(3, 6)
    x = integers(rng, T, C, largest=5) + np.arange(C) / 2  # never a row of equal values
    rstd = 1 / x.std(-1, keepdims=True)
    return Case(integers(rng, T, C), standardised(x), rstd, rng.permutation(C) - 1.0)


SIGNS = np.array([[1.0, -1, 1, -1]])


@exercise(
    "layernorm.backward",
    title="Back through the norm",
    cases=[
        Case(np.array([[4.0, 0, 0, 0]]), SIGNS, np.array([[0.5]]), np.ones(4)),
        Case(np.array([[1.0, 2, 3, 4]]), SIGNS, np.array([[2.0]]), np.array([1.0, 0, 2, 1])),
        Case(np.ones((1, 4)), SIGNS, np.array([[0.5]]), np.ones(4)),
        Case(
            np.array([[1.0, 0, 0, 2], [0, 3, 1, 0]]),
            np.array([[1.0, -1, -1, 1], [-1, -1, 1, 1]]),
            np.array([[0.5], [4.0]]),
            np.array([1.0, 2, 1, 3]),
        ),
        random_backward,
    ],
    hints=(
        "Go backwards through y = γ x̂ + β first: that gives the derivative by x̂. Then ask which "
        "two changes of x leave x̂ as it is. The derivative by x cannot point along either of them.",
        "With g = γ · d_y, take away the mean of g (adding a constant to x changes nothing) and x̂ "
        "times the mean of g · x̂ (stretching x changes nothing). Both means run over the features "
        "of one token. Multiply what is left by `rstd`.",
    ),
    minutes=8,
    remark="Two projections and a factor: what points along 1 and along x̂ is taken out, and the "
    "rest is multiplied by 1/σ. Where x is large, the gradient through the norm is small, whatever "
    "comes from above. Drop the first projection and you have RMSNorm's gradient; drop both, and "
    "you have that of BatchNorm in use, where mean and variance are given numbers.",
)
def input_gradient(d_y, normalised, rstd, gain):
    """Return d_x (T, C), the derivative of the loss by x."""
    d_normalised = gain * d_y
    along_ones = d_normalised.mean(-1, keepdims=True)
    along_self = (d_normalised * normalised).mean(-1, keepdims=True)
    return rstd * (d_normalised - along_ones - along_self * normalised)


def projected(g, normalised, axis=-1):
    """g without what points along 1 and along x̂."""
    along_self = (g * normalised).mean(axis, keepdims=True)
    return g - g.mean(axis, keepdims=True) - along_self * normalised


@input_gradient.misconception(
    "takes mean and variance for constants",
    "You went back through the division and no further, as if mean and σ were given numbers. But "
    "x moves both. Each of the two takes something away from your gradient.",
)
def _(d_y, normalised, rstd, gain):
    return rstd * gain * d_y


@input_gradient.misconception(
    "forgets that x moves the mean",
    "You took out what comes through the variance. x also moves the mean that is subtracted from "
    "it; what you have is RMSNorm's gradient. The entries of d_x must sum to 0.",
)
def _(d_y, normalised, rstd, gain):
    g = gain * d_y
    return rstd * (g - (g * normalised).mean(-1, keepdims=True) * normalised)


@input_gradient.misconception(
    "forgets that x moves the variance",
    "You took out what comes through the mean. x also moves σ, by which it is divided. Stretch x, "
    "and nothing changes: so d_x and x̂ must be orthogonal, and yours are not.",
)
def _(d_y, normalised, rstd, gain):
    g = gain * d_y
    return rstd * (g - g.mean(-1, keepdims=True))


@input_gradient.misconception(
    "forgets 1/σ",
    "Both projections are right. The forward pass divided by σ, so the gradient is divided by it "
    "as well.",
)
def _(d_y, normalised, rstd, gain):
    return projected(gain * d_y, normalised)


@input_gradient.misconception(
    "divides by 1/σ",
    "You divided by `rstd`. It is one over the spread already: multiply.",
)
def _(d_y, normalised, rstd, gain):
    return projected(gain * d_y, normalised) / rstd


@input_gradient.misconception(
    "forgets the gain",
    "You left the gain out. y is γ x̂, so what arrives at x̂ is γ times what arrives at y.",
)
def _(d_y, normalised, rstd, gain):
    return rstd * projected(d_y, normalised)


@input_gradient.misconception(
    "applies the gain last",
    "You projected first and multiplied by the gain then. Backwards the order turns round: the "
    "gain came last in the forward pass, so it comes first now.",
)
def _(d_y, normalised, rstd, gain):
    return rstd * gain * projected(d_y, normalised)


@input_gradient.misconception(
    "means without the gain",
    "The gain is in your first term but not in the two means. All three are made of the "
    "derivative by x̂, which is γ · d_y.",
)
def _(d_y, normalised, rstd, gain):
    return rstd * (gain * d_y + projected(d_y, normalised) - d_y)


@input_gradient.misconception(
    "the second mean without x̂",
    "You subtracted the mean of g · x̂ as it is. It says *how much* of g lies along x̂; multiply it "
    "by x̂ to have the part itself.",
)
def _(d_y, normalised, rstd, gain):
    g = gain * d_y
    return rstd * (g - g.mean(-1, keepdims=True) - (g * normalised).mean(-1, keepdims=True))


@input_gradient.misconception(
    "sums instead of means",
    "You subtracted sums. The forward pass divides by C twice, in the mean and in the variance, "
    "and so must you: take means over the features.",
)
def _(d_y, normalised, rstd, gain):
    C = normalised.shape[-1]
    return rstd * (C * projected(gain * d_y, normalised) - (C - 1) * gain * d_y)


@input_gradient.misconception(
    "adds the projections",
    "You added the two terms. They take something out of the gradient: subtract both.",
)
def _(d_y, normalised, rstd, gain):
    return rstd * (2 * gain * d_y - projected(gain * d_y, normalised))


@input_gradient.misconception(
    "means over the tokens",
    "Your means run over the tokens. Each token was normalised by itself, so its gradient knows "
    "nothing of the others: the last axis.",
)
def _(d_y, normalised, rstd, gain):
    return rstd * projected(gain * d_y, normalised, axis=0)


@input_gradient.misconception(
    "loses the axis it averaged over",
    "Your means have lost their last axis, so NumPy lines them up with the *features*. Where T and "
    "C differ it complains; where they are equal it quietly subtracts the wrong means. Keep the "
    "axis, with length 1.",
)
def _(d_y, normalised, rstd, gain):
    g = gain * d_y
    return rstd * (g - g.mean(-1) - (g * normalised).mean(-1) * normalised)


@input_gradient.misconception(
    "means over everything",
    "Your means run over the whole array. Each token was normalised by itself: take them along "
    "the last axis, and keep it.",
)
def _(d_y, normalised, rstd, gain):
    return rstd * projected(gain * d_y, normalised, axis=None)


# ------------------------------------------------------------------------- epsilon
@exercise(
    "layernorm.epsilon",
    title="A quiet token",
    hints=(
        "The formula divides by a root. What stands under it, in numbers? The variance is not the "
        "standard deviation.",
        "The variance is 10⁻⁶, and ε is ten times as large. So x is divided by √(11 · 10⁻⁶), which "
        "is about 0.0033.",
    ),
    minutes=3,
    remark="The output's spread is σ/√(σ² + ε) = √(1/11) = 0.302, not 1. ε is no guard against "
    "dividing by zero alone: √ε, here 0.0032, is the spread below which a token counts as quiet. "
    "Much louder tokens are all brought to 1, and much quieter ones are passed on in proportion.",
)
def spread_after():
    """The standard deviation of the output, one number: 0.25, or 1/4."""
    variance, eps = 0.001**2, 1e-5
    return 0.001 / np.sqrt(variance + eps)


@spread_after.misconception(
    "takes ε for nothing",
    "You say that LayerNorm always gives the spread 1. It does where the variance is large "
    "against ε. Here it is 10⁻⁶, a tenth of ε.",
)
def _():
    return 1


@spread_after.misconception(
    "adds ε outside the root",
    "You added ε to the standard deviation. It is added to the variance, under the root; there it "
    "weighs far more.",
)
def _():
    return 0.001 / (0.001 + 1e-5)


@spread_after.misconception(
    "gives the variance",
    "That is the *variance* of the output. Take its root.",
)
def _():
    return 1e-6 / (1e-6 + 1e-5)


@spread_after.misconception(
    "forgets to square",
    "You put 0.001 under the root. That is the standard deviation; the variance is its square, "
    "10⁻⁶.",
)
def _():
    return 0.001 / np.sqrt(0.001 + 1e-5)


@spread_after.misconception(
    "divides by the variance",
    "You divided by the variance and ε, without the root. No spread of 90 can come out: LayerNorm "
    "gives 1 at most.",
)
def _():
    return 0.001 / (1e-6 + 1e-5)


@spread_after.misconception(
    "divides by √ε alone",
    "Close: you divided by √ε alone. The variance is a tenth of ε and belongs under the root as "
    "well.",
)
def _():
    return 0.001 / np.sqrt(1e-5)


@spread_after.misconception(
    "gives the divisor",
    "That is the root the features are divided by. The question is what the spread 0.001 becomes "
    "when divided by it.",
)
def _():
    return np.sqrt(1e-6 + 1e-5)


# ------------------------------------------------------------------------- gain and bias learn
def random_parameter_gradient(rng):
    shape = (rng.integers(2, 4), rng.integers(1, 4), rng.integers(2, 5))
    return Case(integers(rng, *shape), integers(rng, *shape, largest=2))


@exercise(
    "layernorm.gain-gradient",
    title="What gain and bias learn",
    view=list,  # of two arrays, also if they were stacked
    cases=[
        Case(np.array([[[1.0, 2]]]), np.array([[[-1.0, 1]]])),
        Case(np.array([[[1.0, 2]], [[3, 4]]]), np.array([[[-1.0, 1]], [[1, -1]]])),
        Case(
            np.array([[[1.0, 0, 2], [3, 1, 1]], [[0, 5, 1], [2, 2, 0]]]),
            np.array([[[-1.0, 0, 1], [1, -1, 0]], [[0, 1, -1], [1, 0, -1]]]),
        ),
        random_parameter_gradient,
    ],
    hints=(
        "y = γ x̂ + β, and the same γ and β are used at every position. If one number acts in many "
        "places, how do its derivatives from these places combine?",
        "They add up. Sum over batch and time, `(0, 1)`, and keep the features. For the gain, each "
        "derivative is multiplied by the x̂ that γ multiplied.",
    ),
    minutes=4,
    remark="2C numbers, however long the text: gain and bias cost nothing to store. Two sums over "
    "all positions are the only place in LayerNorm where tokens meet, and they meet in the "
    "gradient, not in the output.",
)
def parameter_gradients(d_y, normalised):
    """Return (d_gain, d_bias), each (C,)."""
    return (d_y * normalised).sum((0, 1)), d_y.sum((0, 1))


SHARED = (
    "The two parameters act at every position of every sequence, so their derivatives add up over "
    "batch *and* time."
)


@parameter_gradients.misconception(
    "averages over the positions",
    "You took means. If the loss is a mean, then `d_y` is small already; here the contributions "
    "of all positions are added.",
)
def _(d_y, normalised):
    return (d_y * normalised).mean((0, 1)), d_y.mean((0, 1))


@parameter_gradients.misconception(
    "sums over the batch only",
    "Yours are still (T, C): you summed over the batch. " + SHARED,
)
def _(d_y, normalised):
    return (d_y * normalised).sum(0), d_y.sum(0)


@parameter_gradients.misconception(
    "sums over time only",
    "Yours are still (B, C): you summed over time. " + SHARED,
)
def _(d_y, normalised):
    return (d_y * normalised).sum(1), d_y.sum(1)


@parameter_gradients.misconception(
    "sums over the features",
    "You summed over the features, as the norm itself does. But each feature has a gain of its "
    "own, and needs a derivative of its own. " + SHARED,
)
def _(d_y, normalised):
    return (d_y * normalised).sum(-1), d_y.sum(-1)


@parameter_gradients.misconception(
    "sums over everything",
    "You summed over all axes and have two numbers. Each feature has its own gain and bias.",
)
def _(d_y, normalised):
    return (d_y * normalised).sum(), d_y.sum()


@parameter_gradients.misconception(
    "does not sum at all",
    "These are the contributions of each position. " + SHARED,
)
def _(d_y, normalised):
    return d_y * normalised, d_y


@parameter_gradients.misconception(
    "forgets x̂",
    "Your two are the same. The gain multiplies x̂, so its derivative is d_y times x̂, before you "
    "sum.",
)
def _(d_y, normalised):
    return d_y.sum((0, 1)), d_y.sum((0, 1))


@parameter_gradients.misconception(
    "multiplies after summing",
    "You summed d_y and x̂ separately and multiplied the sums. Each d_y belongs to the x̂ of its "
    "own position: multiply first.",
)
def _(d_y, normalised):
    return d_y.sum((0, 1)) * normalised.sum((0, 1)), d_y.sum((0, 1))


@parameter_gradients.misconception(
    "exchanges the two",
    "Both are right, in the wrong order. The gain's comes first.",
)
def _(d_y, normalised):
    return d_y.sum((0, 1)), (d_y * normalised).sum((0, 1))
