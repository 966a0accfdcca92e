"""The exercises of the layer normalisation chapter on deep stacks: wiring, gradients, maps."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers
from lmlib.exercises.layernorm import Named, as_numbers, standardised


# ------------------------------------------------------------------------- wiring
def layer_norm(x):
    return 2 * standardised(x, -1, 0.1)  # a gain of 2: normed twice is not normed once


def rms_norm(x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1)


def add_past(x):
    return x.cumsum(0)


def square(x):
    return x**2


def cut_off(x):
    return np.maximum(x, 0)


NORMS = [Named(layer_norm), Named(rms_norm)]
SUBLAYERS = [Named(add_past), Named(square), Named(cut_off)]


def random_stack(rng):
    x = integers(rng, *rng.integers(2, 4, size=2)) + 0.5
    chosen = rng.integers(len(SUBLAYERS), size=rng.integers(1, 4))
    return Case(x, [SUBLAYERS[i] for i in chosen], NORMS[rng.integers(2)])


@exercise(
    "layernorm.residual",
    title="Where the norm stands",
    cases=[
        Case(np.array([[1.0, 2], [4, -2]]), SUBLAYERS[1:2], NORMS[0]),
        Case(np.array([[1.0, 3, -1]]), [SUBLAYERS[1], SUBLAYERS[2]], NORMS[1]),
        Case(np.array([[1.0, 2, 0], [0, 5, 1]]), SUBLAYERS, NORMS[0]),
        random_stack,
    ],
    hints=(
        "Follow the path of `x` alone, past all sublayers: in Pre-LN nothing but additions happens "
        "to it. Where does the norm stand, then? And who normalises the sum for the head?",
        "Each step adds `sublayer(norm(x))` to `x`. After the last one, one more norm stands "
        "before the head.",
    ),
    minutes=5,
    remark="From the input to the last norm there is a path of additions: what the first layer "
    "wrote is still there, and the gradient comes back the same way. The price is that the sum "
    "grows with each layer. So one norm more is needed at the end, which the usual two formulas do "
    "not show.",
)
def pre_norm(x, sublayers, norm):
    """Return what the head reads, from a stack in Pre-LN wiring."""
    for sublayer in sublayers:
        x = x + sublayer(norm(x))
    return norm(x)


def chain(x, sublayers, step):
    for sublayer in sublayers:
        x = step(x, sublayer)
    return x


@pre_norm.misconception(
    "wires Post-LN",
    "You normalise the sum, `norm(x + sublayer(x))`: that is Post-LN. In Pre-LN the norm stands on "
    "the branch, before the sublayer, and the sum is left alone.",
)
def _(x, sublayers, norm):
    return chain(x, sublayers, lambda x, f: norm(x + f(x)))


@pre_norm.misconception(
    "wires Post-LN and adds a last norm",
    "You normalise each sum and then once more: that is Post-LN with a norm too many. In Pre-LN "
    "the norm stands on the branch, before the sublayer.",
)
def _(x, sublayers, norm):
    return norm(chain(x, sublayers, lambda x, f: norm(x + f(x))))


@pre_norm.misconception(
    "forgets the last norm",
    "Your blocks are right. But nothing has normalised their sum, which grows with each layer, and "
    "the head would read it as it is. One norm is missing.",
)
def _(x, sublayers, norm):
    return chain(x, sublayers, lambda x, f: x + f(norm(x)))


@pre_norm.misconception(
    "takes the residual after the norm",
    "You overwrote `x` with its norm and added the branch to that. The free path is gone: each "
    "block normalises what the ones before it wrote. Add to the `x` that came in.",
)
def _(x, sublayers, norm):
    return norm(chain(x, sublayers, lambda x, f: norm(x) + f(norm(x))))


@pre_norm.misconception(
    "takes the residual after the norm, and forgets the last one",
    "You overwrote `x` with its norm and added the branch to that, so the free path is gone; and "
    "the sum that the head reads has no norm. Add to the `x` that came in, and normalise at the "
    "end.",
)
def _(x, sublayers, norm):
    return chain(x, sublayers, lambda x, f: norm(x) + f(norm(x)))


@pre_norm.misconception(
    "normalises what the sublayer says",
    "You normalised the sublayer's output. That is a design of its own (OLMo 2 has it), but in "
    "Pre-LN the norm stands before the sublayer.",
)
def _(x, sublayers, norm):
    return norm(chain(x, sublayers, lambda x, f: x + norm(f(x))))


@pre_norm.misconception(
    "normalises before and after",
    "You put a norm before the sublayer and one behind it. That is Peri-LN; Pre-LN has only the "
    "first of the two.",
)
def _(x, sublayers, norm):
    return norm(chain(x, sublayers, lambda x, f: x + norm(f(norm(x)))))


@pre_norm.misconception(
    "forgets the residual",
    "You passed on what the sublayer says and dropped `x`. The sublayer's output is *added* to "
    "what came in.",
)
def _(x, sublayers, norm):
    return norm(chain(x, sublayers, lambda x, f: f(norm(x))))


@pre_norm.misconception(
    "normalises only at the end",
    "You gave each sublayer the sum as it is. Each of them has a norm before it.",
)
def _(x, sublayers, norm):
    return norm(chain(x, sublayers, lambda x, f: x + f(x)))


@pre_norm.misconception(
    "normalises once, before the first block",
    "You normalised the input once and no more until the end. Each sublayer has a norm of its own "
    "before it, on its branch.",
)
def _(x, sublayers, norm):
    return norm(chain(norm(x), sublayers, lambda x, f: x + f(x)))


@pre_norm.misconception(
    "normalises the sum as well",
    "You normalise before each sublayer and each sum on top. Then nothing gets past a block "
    "unchanged. The sum is normalised once, after the last block.",
)
def _(x, sublayers, norm):
    return chain(x, sublayers, lambda x, f: norm(x + f(norm(x))))


@pre_norm.misconception(
    "all sublayers read the input",
    "Each of your sublayers reads what entered the first block. The second reads what the first "
    "has written, too.",
)
def _(x, sublayers, norm):
    return norm(x + sum(f(norm(x)) for f in sublayers))


# ------------------------------------------------------------------------- the exponent
def random_law(rng):
    depth = 2 ** np.arange(1, rng.integers(5, 8))
    a, p = rng.uniform(1, 9), rng.choice([-0.5, -1.0, 0.25])
    noise = rng.uniform(0.8, 1.25, size=len(depth))
    gradient = a * depth**p * noise
    gradient[0] *= 0.5  # the shallowest one is off the line
    return Case(depth, gradient.round(3), int(rng.choice([2, 4])), int(rng.choice([64, 1000])))


@exercise(
    "layernorm.exponent",
    title="How fast the gradient falls",
    view=as_numbers,
    cases=[
        Case(np.array([2, 4, 8, 16]), np.array([9.0, 4, 2, 1]), 4, 32),
        Case(np.array([2, 4, 8, 16, 32]), np.array([0.614, 0.577, 0.427, 0.339, 0.207]), 4, 64),
        Case(np.array([4, 8, 16, 32]), np.array([1.0, 1.2, 1.1, 1.4]), 1, 64),
        Case(np.array([2, 5, 20, 100]), np.array([3.0, 2, 5, 4]), 5, 10),
        random_law,
    ],
    hints=(
        "Take the logarithm of g = a Nᵖ. Of what is it a straight line, and what are its slope and "
        "its intercept?",
        "`np.polyfit(np.log(N), np.log(g), 1)` returns slope and intercept, for the depths you "
        "keep. The intercept is log a: undo the logarithm before you use it.",
    ),
    minutes=7,
    remark="The second case is what the chapter measured for Pre-LN. Without depth 2 the exponent "
    "is −0.48, with it −0.39. The theorem, with its −1/2, is about large depth: which points may "
    "join the fit must be said, and said before looking.",
)
def power_law(depth, gradient, start, target):
    """Return [p, a * target**p] of the least-squares fit g = a * N**p."""
    kept = depth >= start
    p, log_a = np.polyfit(np.log(depth[kept]), np.log(gradient[kept]), 1)
    return [p, np.exp(log_a) * target**p]


def line(x, y):
    return np.polyfit(x, y, 1)


@power_law.misconception(
    "fits without logarithms",
    "You fitted a straight line to the numbers themselves. A power law is straight where *both* "
    "axes are logarithmic.",
)
def _(depth, gradient, start, target):
    slope, at_zero = line(depth[depth >= start], gradient[depth >= start])
    return [slope, at_zero + slope * target]


@power_law.misconception(
    "takes the logarithm of the depth only",
    "You took the logarithm of the depth and not that of the gradient. A slope in that plot is no "
    "exponent: it changes with the unit of the gradient.",
)
def _(depth, gradient, start, target):
    slope, at_one = line(np.log(depth[depth >= start]), gradient[depth >= start])
    return [slope, at_one + slope * np.log(target)]


@power_law.misconception(
    "takes the logarithm of the gradient only",
    "You took the logarithm of the gradient and not that of the depth. That fits an exponential, "
    "which falls by the same factor with each *layer*; a power law does with each doubling.",
)
def _(depth, gradient, start, target):
    slope, log_a = line(depth[depth >= start], np.log(gradient[depth >= start]))
    return [slope, np.exp(log_a + slope * target)]


@power_law.misconception(
    "uses every depth",
    "You fitted all depths. Leave out those below `start`; the law is one for deep models.",
)
def _(depth, gradient, start, target):
    return power_law(depth, gradient, 0, target)


@power_law.misconception(
    "leaves out the start",
    "You left out the depth `start` itself. The fit begins there.",
)
def _(depth, gradient, start, target):
    return power_law(depth, gradient, start + 0.5, target)


@power_law.misconception(
    "forgets to undo the logarithm",
    "Your exponent is right. The intercept of the line is log a, not a.",
)
def _(depth, gradient, start, target):
    kept = depth >= start
    p, log_a = line(np.log(depth[kept]), np.log(gradient[kept]))
    return [p, log_a * target**p]


@power_law.misconception(
    "mixes two logarithms",
    "Your exponent is right: the slope is the same in any base. The intercept is not. You took "
    "logarithms to base 10 and undid them with e.",
)
def _(depth, gradient, start, target):
    kept = depth >= start
    p, log_a = line(np.log10(depth[kept]), np.log10(gradient[kept]))
    return [p, np.exp(log_a) * target**p]


@power_law.misconception(
    "gives the logarithm of the gradient",
    "Your exponent is right. The second number is the logarithm of the gradient; undo it.",
)
def _(depth, gradient, start, target):
    p, predicted = power_law(depth, gradient, start, target)
    return [p, np.log(predicted)]


@power_law.misconception(
    "exchanges the axes",
    "You fitted the depth as a function of the gradient. Its slope is no exponent of the gradient, "
    "and with noise not even one over it.",
)
def _(depth, gradient, start, target):
    kept = depth >= start
    slope, at = line(np.log(gradient[kept]), np.log(depth[kept]))
    return [slope, np.exp(at) * target**slope]


@power_law.misconception(
    "joins first and last",
    "You drew the line through the first and the last point. Least squares lets all points have a "
    "say.",
)
def _(depth, gradient, start, target):
    ends = np.flatnonzero(depth >= start)[[0, -1]]
    return power_law(depth[ends], gradient[ends], 0, target)


@power_law.misconception(
    "draws the law through the last point",
    "Your exponent is right. Then you started from the last point, as if it had no noise. The "
    "fitted line has a factor of its own.",
)
def _(depth, gradient, start, target):
    p, _ = power_law(depth, gradient, start, target)
    return [p, gradient[-1] * (target / depth[-1]) ** p]


@power_law.misconception(
    "turns the sign",
    "You gave −p. An exponent below zero says that the gradient falls with depth; keep the sign.",
)
def _(depth, gradient, start, target):
    p, predicted = power_law(depth, gradient, start, target)
    return [-p, predicted]
