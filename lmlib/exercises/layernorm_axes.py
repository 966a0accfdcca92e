"""The exercises of the layer normalisation chapter on RMSNorm, and on finding a leak."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers
from lmlib.exercises.layernorm import Named, standardised


# ------------------------------------------------------------------------- RMSNorm
def random_rms(rng):
    shape = rng.integers(2, 5, size=rng.integers(2, 4))
    x = integers(rng, *shape, largest=5)
    return Case(x, integers(rng, shape[-1]), float(rng.choice([1e-5, 0.1, 1.0])))


@exercise(
    "layernorm.rms",
    title="Without the mean",
    cases=[
        Case(np.array([[1.0, 1, 1, 5]]), np.ones(4), 2.0),
        Case(np.array([[3.0, 4], [-1, 7]]), np.array([1.0, 2]), 1e-5),
        Case(np.array([[0.0, 0, 0], [2, 2, -1]]), np.ones(3), 1.0),
        Case(np.array([[[1.0, 0], [2, 2]], [[0, 3], [-1, 1]]]), np.array([2.0, 1]), 0.1),
        random_rms,
    ],
    hints=(
        "Read the name backwards: first the square, then the mean, then the root. The number that "
        "comes out is positive even if the features sum to zero.",
        "`(x**2).mean(-1, keepdims=True)` is the mean square of each token. Add `eps`, take the "
        "root, and divide `x` itself by it. Then the gain.",
    ),
    minutes=4,
    remark="One mean less and no bias. In the chapter's runs nothing was lost: LayerNorm and "
    "RMSNorm end within 0.05 nats of each other in all 20 cells of the map. What a token loses in "
    "LayerNorm and keeps here is its mean: add a constant to x, and RMSNorm notices.",
)
def rms_norm(x, gain, eps):
    """Return gain * x / sqrt(mean square of x + eps), per token."""
    mean_square = (x**2).mean(-1, keepdims=True)
    return gain * x / np.sqrt(mean_square + eps)


@rms_norm.misconception(
    "centres as LayerNorm does",
    "You subtracted the mean: that is LayerNorm without its bias. RMSNorm leaves the mean where "
    "it is, above the line and below it.",
)
def _(x, gain, eps):
    return gain * standardised(x, -1, eps)


@rms_norm.misconception(
    "divides by the standard deviation",
    "You divide x by its standard deviation, for which the mean has been subtracted. The root mean "
    "square is taken of x as it is.",
)
def _(x, gain, eps):
    return gain * x / np.sqrt(x.var(-1, keepdims=True) + eps)


@rms_norm.misconception(
    "centres above the line only",
    "Your denominator is right. The numerator is x itself; you subtracted the mean from it.",
)
def _(x, gain, eps):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / np.sqrt((x**2).mean(-1, keepdims=True) + eps)


@rms_norm.misconception(
    "forgets the root",
    "You divided by the mean square. Take its root: only then does the unit of x cancel.",
)
def _(x, gain, eps):
    return gain * x / ((x**2).mean(-1, keepdims=True) + eps)


@rms_norm.misconception(
    "divides by the length",
    "You divided by the root of the *sum* of the squares, which is the length of the vector. Take "
    "their mean; otherwise wide models would get smaller numbers than narrow ones.",
)
def _(x, gain, eps):
    return gain * x / np.sqrt((x**2).sum(-1, keepdims=True) + eps)


@rms_norm.misconception(
    "adds ε outside the root",
    "You added ε after the root. It belongs under it, beside the mean square.",
)
def _(x, gain, eps):
    return gain * x / (np.sqrt((x**2).mean(-1, keepdims=True)) + eps)


@rms_norm.misconception(
    "squares the mean",
    "You took the mean first and squared it, and root and square undo each other. Positive and "
    "negative features then cancel. Square each one first.",
)
def _(x, gain, eps):
    return gain * x / np.sqrt(x.mean(-1, keepdims=True) ** 2 + eps)


@rms_norm.misconception(
    "takes the mean of the absolute values",
    "You averaged the absolute values. That measures the size as well, but gives other numbers: a "
    "single large feature weighs more when it is squared.",
)
def _(x, gain, eps):
    return gain * x / (np.abs(x).mean(-1, keepdims=True) + eps)


@rms_norm.misconception(
    "leaves out ε",
    "You left ε out. A token of zeros then gives 0/0.",
)
def _(x, gain, eps):
    return gain * x / np.sqrt((x**2).mean(-1, keepdims=True))


@rms_norm.misconception(
    "over the tokens",
    "You averaged over the first axis. Each token is divided by its own root mean square: the "
    "last axis.",
)
def _(x, gain, eps):
    return gain * x / np.sqrt((x**2).mean(0, keepdims=True) + eps)


@rms_norm.misconception(
    "loses the axis it averaged over",
    "Your mean square has lost its last axis, so NumPy lines it up with the *features*. Where T "
    "and C differ it complains; where they are equal it quietly divides by the wrong one. Keep the "
    "axis, with length 1.",
)
def _(x, gain, eps):
    return gain * x / np.sqrt((x**2).mean(-1) + eps)


@rms_norm.misconception(
    "one size for everything",
    "You took one root mean square for the whole array. Each token has its own: name the axis, "
    "and keep it.",
)
def _(x, gain, eps):
    return gain * x / np.sqrt((x**2).mean() + eps)


@rms_norm.misconception(
    "forgets the gain",
    "You return x over its root mean square. Multiply by the gain, feature by feature.",
)
def _(x, gain, eps):
    return rms_norm(x, 1, eps)


@rms_norm.misconception(
    "multiplies before normalising",
    "You applied the gain to x first, so it changes the root mean square as well. Divide first.",
)
def _(x, gain, eps):
    return rms_norm(gain * x, 1, eps)


# ------------------------------------------------------------------------- the leak
def hears_nothing(x):
    return 0 * x


def norm_of_each_token(x):
    return standardised(x, -1, 1e-12)


def batch_norm_over_time(x):
    return standardised(x, 0, 0.1)


def mean_of_the_past(x):
    return x.cumsum(0) / np.arange(1, len(x) + 1)[:, None]


def hears_only_the_previous(x):
    return np.roll(x, 1, 0) * (np.arange(len(x)) > 0)[:, None]


def hears_the_previous(x):
    return x + hears_only_the_previous(x)


def hears_the_next(x):
    return x + np.roll(x, -1, 0) * (np.arange(len(x)) < len(x) - 1)[:, None]


def hears_two_ahead(x):
    return x + np.roll(x, -2, 0) * (np.arange(len(x)) < len(x) - 2)[:, None]


def first_hears_second(x):
    return x + (np.arange(len(x)) == 0)[:, None] * x[:2][-1]


def first_hears_last(x):
    return x + (np.arange(len(x)) == 0)[:, None] * x[-1]


def one_feature_hears_the_next(x):
    return x + (hears_the_next(x) - x) * (np.arange(x.shape[-1]) == 1)


def hears_the_next_normed(x):
    """Rounded, so that a change which the norm removes is removed exactly."""
    return hears_the_next(norm_of_each_token(x)).round(9)


LAYERS = [
    Named(layer)
    for layer in (
        hears_nothing,
        norm_of_each_token,
        batch_norm_over_time,
        mean_of_the_past,
        hears_only_the_previous,
        hears_the_previous,
        hears_the_next,
        hears_two_ahead,
        first_hears_second,
        first_hears_last,
        one_feature_hears_the_next,
        hears_the_next_normed,
    )
]
SEQUENCE = np.array([[1.0, 2, 0], [0, -1, 3], [2, 1, 1], [1, 0, -1]])


def random_layer(rng):
    T, C = rng.integers(3, 6), rng.integers(3, 5)
    return Case(LAYERS[rng.integers(len(LAYERS))], integers(rng, T, C) + np.arange(C) / 2)


@exercise(
    "layernorm.leak",
    title="Write the test that finds the leak",
    cases=[
        *(Case(layer, SEQUENCE) for layer in LAYERS),
        Case(Named(first_hears_last), SEQUENCE[:2]),
        Case(Named(hears_the_next), np.array([[1.0, 2, 0], [0, 0, 0], [0, 0, 0]])),
        random_layer,
    ],
    hints=(
        "Do not look into the layer: change a token and see who notices. If token s is changed, "
        "which outputs are allowed to move, and which are not?",
        "For every s from 1 on: copy `x`, put random numbers in place of token s, and compare "
        "`layer(changed)[:s]` with `layer(x)[:s]`. One difference is enough.",
    ),
    minutes=8,
    remark="A leak makes a language model look splendid while it is measured and useless when it "
    "writes. No error tells you; this test does, for any layer. *How* a token is changed matters: "
    "a norm does not notice a constant or a stretch, a mean does not notice an exchange. Random "
    "numbers are hard to miss. One limit remains: a leak that opens only for other sequences stays "
    "unseen.",
)
def leaks(layer, x):
    """Return True if any output of the layer depends on a later token."""
    before, rng = layer(x), np.random.default_rng(0)
    for s in range(1, len(x)):
        changed = x.copy()
        changed[s] = rng.normal(size=x.shape[1])
        if not np.allclose(layer(changed)[:s], before[:s]):
            return True
    return False


def moved(layer, x, change, looked_at, tokens=None):
    """For each changed token: which of the outputs looked at moved."""
    found = []
    for s in tokens or range(1, len(x)):
        changed = x.copy()
        changed[s] = change(x[s])
        different = ~np.isclose(layer(changed), layer(x)).all(-1)
        found.append(different[looked_at(s)])
    return found


def replace(token):
    return np.random.default_rng(0).normal(size=token.shape)


def earlier(s):
    return slice(s)


def some(found):
    return any(map(np.any, found))


@leaks.misconception(
    "looks at the changed token, too",
    "You let the output of the changed token count. That one must move. Compare only the outputs "
    "before it, `[:s]`.",
)
def _(layer, x):
    return some(moved(layer, x, replace, lambda s: slice(s + 1)))


@leaks.misconception(
    "looks at all outputs",
    "You compared all outputs. When token s is changed, those from s on may move, and in most "
    "layers do. Compare only those before it.",
)
def _(layer, x):
    return some(moved(layer, x, replace, lambda s: slice(None)))


@leaks.misconception(
    "looks into the past",
    "You compared the outputs *after* the changed token. They may depend on it; a leak is an "
    "output before it that does.",
)
def _(layer, x):
    return some(moved(layer, x, replace, lambda s: slice(s + 1, None), range(len(x))))


@leaks.misconception(
    "changes the last token only",
    "You changed the last token alone. A layer in which the first output hears the second token "
    "passes your test. Change each token in turn.",
)
def _(layer, x):
    return some(moved(layer, x, replace, earlier, [len(x) - 1]))


@leaks.misconception(
    "looks at the first output only",
    "You looked at the first output alone. A layer that looks one token ahead can hide from that "
    "if you change a far one; look at all outputs before the change.",
)
def _(layer, x):
    return some(moved(layer, x, replace, lambda s: slice(1), [len(x) - 1]))


@leaks.misconception(
    "looks at the neighbour only",
    "You looked at the output just before the changed token. A leak may jump over it: from the "
    "last token to the first, say. Look at all outputs before the change.",
)
def _(layer, x):
    return some(moved(layer, x, replace, lambda s: slice(s - 1, s)))


@leaks.misconception(
    "adds a constant to the token",
    "You added the same number to every feature of a token. A layer that normalises its input "
    "subtracts it again, and the leak stays hidden. Change each feature by a different amount.",
)
def _(layer, x):
    return some(moved(layer, x, lambda token: token + 1, earlier))


@leaks.misconception(
    "stretches the token",
    "You multiplied a token by a number. A layer that normalises its input divides it out again, "
    "and zeros stay zeros: the leak stays hidden. Put other numbers in its place.",
)
def _(layer, x):
    return some(moved(layer, x, lambda token: 2 * token, earlier))


@leaks.misconception(
    "sets the token to zero",
    "You set the token to zero, or cut the sequence off before it. Where it was zero already, that "
    "changes nothing, and shows nothing. Put random numbers in its place.",
)
def _(layer, x):
    return some(moved(layer, x, lambda token: 0 * token, earlier))


@leaks.misconception(
    "changes one feature only",
    "You changed one feature of the token. A leak through another one stays hidden. Change all of "
    "them.",
)
def _(layer, x):
    return some(moved(layer, x, lambda token: token + 9 * (np.arange(len(token)) == 0), earlier))


@leaks.misconception(
    "exchanges later tokens",
    "You put the later tokens into another order. A mean over all tokens does not notice that, and "
    "BatchNorm is made of such means. Put other numbers in their place.",
)
def _(layer, x):
    return some(
        ~np.isclose(layer(np.concatenate([x[:s], x[s:][::-1]]))[:s], layer(x)[:s])
        for s in range(1, len(x))
    )


@leaks.misconception(
    "wants every output to move",
    "You call it a leak only if *all* earlier outputs move. One is enough.",
)
def _(layer, x):
    return all(map(np.all, moved(layer, x, replace, earlier)))


@leaks.misconception(
    "answers the other way round",
    "Your test is good and its answer turned round: `True` means that there is a leak.",
)
def _(layer, x):
    return not leaks(layer, x)
