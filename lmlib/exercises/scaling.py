"""The exercises of the scaling-laws chapter's beginning: a floor, an exponent, a price.

N is the number of parameters, D the number of tokens, E the loss that nobody can go below.
"""

import numpy as np

from lmlib.exercises import Case, exercise


# ------------------------------------------------------------------------- by hand: the floor
@exercise(
    "scaling_laws.three-runs",
    title="Three runs and a floor",
    hints=(
        "Every model is 8 times the size of the one before. How much does the first step gain, "
        "and how much the second? By which factor does the gain shrink?",
        "The gains are 0.6 and 0.3: each step gains half of what the last one did. The next gains "
        "0.15. What do all further steps gain together: 0.15 + 0.075 + …?",
    ),
    minutes=5,
    view=list,
    remark="Above the floor of 2.0, the losses are 1.2, 0.6 and 0.3: *these* halve with each "
    "step, so $\\alpha = \\log 2 / \\log 8 = 1/3$. The losses themselves do not. A straight line "
    "through log loss against log N, laid through the last two runs, promises 2.03 for the fourth, "
    "and for a model large enough it promises zero.",
)
def fourth_run():
    """The loss of the fourth model, and the floor: [2.5, 1.5]."""
    gain = (2.6 - 2.3) / (3.2 - 2.6)
    step = (2.6 - 2.3) * gain
    return [2.3 - step, 2.3 - step / (1 - gain)]


for name, answer, text in (
    (
        "a straight line on log-log",
        [2.3**2 / 2.6, 0.0],
        "You continued the last two runs in a straight line on log-log, where each step multiplies "
        "the loss by the same factor. Then there is no floor. But from the first run to the second "
        "the factor is 0.81, and from the second to the third 0.88: it is the *excess* over a "
        "floor that shrinks by the same factor.",
    ),
    (
        "the mean factor",
        [2.3 * (2.3 / 3.2) ** 0.5, 0.0],
        "You took one factor for the loss from step to step, the mean over both. That is a law "
        "without a floor, and the two factors, 0.81 and 0.88, already say that it bends. Look at "
        "how the *gains* shrink.",
    ),
    (
        "no floor",
        [2.15, 0.0],
        "Your fourth loss is right. But the gains halve: 0.15, 0.075, and so on. Together they "
        "never reach 0.3, however many steps you take, and so the loss never reaches zero.",
    ),
    (
        "the gain stays the same",
        [2.0, 0.0],
        "You let the loss fall by 0.3 once more. Each step is eight times the size of the one "
        "before and gains less: first 0.6, then 0.3.",
    ),
    (
        "the gain shrinks by a fixed amount",
        [2.3, 2.3],
        "You took 0.3 off the gain once more, and nothing was left. A power law multiplies: each "
        "gain is half of the last one, not 0.3 less.",
    ),
    (
        "the gain shrinks by the growth of the model",
        [2.3 - 0.3 / 8, 2.3 - 0.3 / 8 / (1 - 1 / 8)],
        "You divided the gain by 8, because the model is 8 times as large. That would be an "
        "exponent of 1. The runs say how fast the gain shrinks: from 0.6 to 0.3.",
    ),
    (
        "the fourth run is the floor",
        [2.15, 2.15],
        "Your fourth loss is right, and a fifth model would be better still: it gains half of 0.15 "
        "once more. Add up *all* the gains to come.",
    ),
    (
        "the floor below the third run's first gain",
        [2.15, 2.15 - 0.3],
        "Your fourth loss is right. From there on the gains are 0.075, 0.0375, …, which sum to "
        "0.15 and not to 0.3.",
    ),
    (
        "gives the excess",
        [0.15, 2.0],
        "You gave what the fourth model loses *above* the floor. Add the floor to it.",
    ),
    (
        "the floor first",
        [2.0, 2.15],
        "Your two numbers are right, in the other order: first the loss, then the floor.",
    ),
    (
        "gives the exponent",
        [2.15, 1 / 3],
        "Your fourth loss is right, and 1/3 is the exponent. The second number should be the "
        "floor E, in nats.",
    ),
):
    fourth_run.misconception(name, text)(lambda answer=answer: answer)


# ------------------------------------------------------------------------- the exponent
def random_runs(rng):
    floor, alpha = rng.integers(5, 30) / 10, rng.integers(20, 60) / 100
    params = rng.permutation(1000.0 * 3 ** np.arange(rng.integers(4, 8)))
    excess = 2 * (params / params.min()) ** -alpha * np.exp(rng.normal(0, 0.03, params.size))
    return Case(params, (floor + excess).round(4), float(floor))


@exercise(
    "scaling_laws.exponent",
    title="Read the exponent",
    cases=[
        Case(np.array([1.0, 100.0]), np.array([5.0, 1.4]), 1.0),
        Case(np.array([1.0, 16.0, 256.0]), np.array([10.0, 6.0, 4.0]), 2.0),
        Case(np.array([1e6, 4e6, 1.6e7, 6.4e7]), np.array([2.9, 2.45, 2.2, 2.1]), 1.9),
        random_runs,
    ],
    hints=(
        "The logarithm of E + A/N^α is no straight line in log N. Of what must you take the "
        "logarithm, so that a product is left?",
        "With y = log(L − E) and x = log N, the law is y = log A − α·x. `np.polyfit(x, y, 1)` "
        "gives slope and intercept. One has the wrong sign, the other is still a logarithm.",
    ),
    minutes=6,
    view=list,
    remark="Base 10 would do as well, if the way back has the same base. The slope does not change "
    "with the base as long as both axes have the same; A does, if you forget. And without E, the "
    "slope is no exponent at all: it depends on which models you happened to train.",
)
def exponent(params, loss, floor):
    """Return [alpha, A] of the law loss = floor + A / params**alpha."""
    slope, intercept = np.polyfit(np.log(params), np.log(loss - floor), 1)
    return [-slope, np.exp(intercept)]


def line(x, y):
    """alpha and A, if x and y are natural logarithms: shared by the wrong answers."""
    slope, intercept = np.polyfit(x, y, 1)
    return [-slope, np.exp(intercept)]


@exponent.misconception(
    "leaves the floor in",
    "You fitted the loss with its floor. Log-log plots of such a loss look nearly straight over a "
    "decade or two, with a fine R², and their slope is far too small: most of what you plotted "
    "never falls. Subtract the floor first.",
)
def _(params, loss, floor):
    return line(np.log(params), np.log(loss))


@exponent.misconception(
    "divides by the floor",
    "You took log L − log E, which is the logarithm of the quotient L/E. That shifts the curve and "
    "bends it no less. Subtract first, then take the logarithm.",
)
def _(params, loss, floor):
    return line(np.log(params), np.log(loss) - np.log(floor))


@exponent.misconception(
    "subtracts the floor from the logarithm",
    "You took log L − E: the floor came off after the logarithm. It is in nats like the loss, so "
    "subtract it from the loss.",
)
def _(params, loss, floor):
    return line(np.log(params), np.log(loss) - floor)


@exponent.misconception(
    "takes the lowest loss for the floor",
    "You subtracted the lowest loss you have seen. For that run nothing is left, and the logarithm "
    "of 0 is minus infinity. The floor lies below every run; here it is given.",
)
def _(params, loss, floor):
    x, y = np.log(params), np.log(loss - loss.min())
    slope = np.cov(x, y)[0, 1] / np.var(x, ddof=1)  # nan, without handing -inf to LAPACK
    return [-slope, np.exp(y.mean() - slope * x.mean())]


@exponent.misconception(
    "comes back with the wrong base",
    "Your exponent is right, your A is not: you took logarithms to base 10 and came back with "
    "`np.exp`. The way back from `np.log10` is 10 to that power.",
)
def _(params, loss, floor):
    return line(np.log10(params), np.log10(loss - floor))


@exponent.misconception(
    "comes back from e with 10",
    "Your exponent is right, your A is not: you took natural logarithms and came back with a power "
    "of 10. The way back from `np.log` is `np.exp`.",
)
def _(params, loss, floor):
    slope, intercept = np.polyfit(np.log(params), np.log(loss - floor), 1)
    return [-slope, 10**intercept]


@exponent.misconception(
    "a different base on each axis",
    "Your axes have different bases, 10 for N and e for the loss. That multiplies the slope by "
    "log 10 = 2.30. Any base will do, if both axes have the same.",
)
def _(params, loss, floor):
    return line(np.log10(params), np.log(loss - floor))


@exponent.misconception(
    "fits a straight line in N",
    "You fitted the logarithm of the excess against N itself. A straight line there is an "
    "exponential. A power law is straight when *both* axes are logarithms.",
)
def _(params, loss, floor):
    return line(params, np.log(loss - floor))


@exponent.misconception(
    "fits the two axes the other way round",
    "You fitted log N against the logarithm of the excess, and turned the line over. Least squares "
    "puts all the noise into what it fits, and the noise is in the loss.",
)
def _(params, loss, floor):
    slope, intercept = np.polyfit(np.log(loss - floor), np.log(params), 1)
    return [-1 / slope, np.exp(-intercept / slope)]


@exponent.misconception(
    "draws the line through two runs",
    "You drew the line through the smallest and the largest model. Then the noise of these two "
    "runs decides alone. Let all runs have a say, by least squares.",
)
def _(params, loss, floor):
    ends = [params.argmin(), params.argmax()]
    return line(np.log(params[ends]), np.log(loss[ends] - floor))


@exponent.misconception(
    "keeps the sign of the slope",
    "That is the slope of the line, which falls. The law has the minus sign in it already, as "
    "A *divided* by a power of N, so alpha is positive.",
)
def _(params, loss, floor):
    alpha, A = exponent(params, loss, floor)
    return [-alpha, A]


@exponent.misconception(
    "leaves A a logarithm",
    "Your second number is log A. Take it back with `np.exp`.",
)
def _(params, loss, floor):
    alpha, A = exponent(params, loss, floor)
    return [alpha, np.log(A)]


@exponent.misconception(
    "gives A first",
    "Your two numbers are right, in the other order: first alpha, then A.",
)
def _(params, loss, floor):
    return exponent(params, loss, floor)[::-1]


# ------------------------------------------------------------------------- by hand: the cost
@exercise(
    "scaling_laws.cost",
    title="What a model costs",
    hints=(
        "One layer has six matrices: four of attention, two of the feed-forward part. Write the "
        "size of each beside it. How often is a weight used for one token, forwards and backwards?",
        "Attention has 4 · 1,000 · 800 weights and the feed-forward part 2 · 1,000 · 4,000; then "
        "ten such layers. A weight costs 2 FLOP for each token on the way forward, a "
        "multiplication and an addition, and twice as much on the way back.",
    ),
    minutes=6,
    view=list,
    remark="It is 112 million parameters and 6.72 · 10¹⁸ FLOP, that is 6ND. Kaplan's rule of thumb "
    "$N \\approx 12\\,l\\,d^2$ says 120 million: it supposes that all heads together are as wide "
    "as the model. In Chinchilla's table of 50 models they are not always, and that puzzled those "
    "who tried to recompute it.",
)
def cost():
    """The parameters, and the FLOP of the training: [1.5e8, 2.5e19]."""
    layer = 4 * 1e3 * 800 + 2 * 1e3 * 4e3
    params = 10 * layer
    return [params, 6 * params * 10e9]


def priced(params, per_parameter=6, tokens=10e9):
    return [params, per_parameter * params * tokens]


for name, answer, text in (
    (
        "attention as wide as the model",
        priced(120e6),
        "You used 12 · layers · width². That is right when all heads together are as wide as the "
        "model. Here they are 8 · 100 = 800 wide, not 1,000, so attention is smaller.",
    ),
    (
        "attention only",
        priced(32e6),
        "You counted the four matrices of attention. The feed-forward part has two more, and they "
        "are larger.",
    ),
    (
        "four square matrices only",
        priced(40e6),
        "You counted 4 · width² for each layer. That is attention alone, and as wide as the model; "
        "here it is 800 wide, and the feed-forward part comes on top.",
    ),
    (
        "feed-forward only",
        priced(80e6),
        "You counted the feed-forward part alone. The four projections of attention have weights, "
        "too: 4 · 1,000 · 800 in each layer.",
    ),
    (
        "one feed-forward matrix",
        priced(72e6),
        "You counted one matrix of the feed-forward part. There are two: from 1,000 to 4,000, and "
        "back.",
    ),
    (
        "forgets the output projection",
        priced(104e6),
        "You counted three projections in attention. There is a fourth, from 800 back to 1,000.",
    ),
    (
        "one head",
        priced(84e6),
        "You counted the projections of one head. There are 8 of them, 100 wide each.",
    ),
    (
        "the heads twice",
        priced(336e6),
        "You multiplied by the 8 heads once too often. 800 is what all heads have together.",
    ),
    (
        "one layer",
        priced(11.2e6),
        "That is one layer. The model has ten.",
    ),
    (
        "counts the table of words",
        priced(132e6),
        "You counted the table of words, 20,000 · 1,000. Looking up a row multiplies nothing, so "
        "the table costs no FLOP there, and in small models it hides the law. It is a matter of "
        "convention, and the task leaves it out; section 5 shows how much hangs on that.",
    ),
    (
        "the table of words in the compute",
        [112e6, 6 * 132e6 * 10e9],
        "Your parameters are right. For the FLOP you took another N, with the table of words in "
        "it. One of the famous disagreements of this field comes from two counts in one formula: "
        "use the same N in both.",
    ),
    (
        "forward only",
        priced(112e6, 2),
        "Your parameters are right. 2ND is the way forward, a multiplication and an addition for "
        "each weight. Training also goes back, which costs twice as much.",
    ),
    (
        "backward only",
        priced(112e6, 4),
        "Your parameters are right. 4ND is the way back; add the way forward.",
    ),
    (
        "a multiplication without its addition",
        priced(112e6, 3),
        "Your parameters are right. You counted one operation for each weight, three times. A "
        "weight is multiplied *and* the product added: two operations.",
    ),
    (
        "one operation for each weight",
        priced(112e6, 1),
        "Your parameters are right. N·D counts each weight once for each token. It is multiplied "
        "and added, and the way back costs twice what the way forward does.",
    ),
    (
        "tokens in billions",
        priced(112e6, 6, 10),
        "You counted the tokens in billions and the FLOP in ones. 10 billion are 10¹⁰.",
    ),
    (
        "one token",
        priced(112e6, 6, 1),
        "That is what one token costs. There are 10 billion.",
    ),
    (
        "the FLOP first",
        priced(112e6)[::-1],
        "Your two numbers are right, in the other order: first the parameters, then the FLOP.",
    ),
):
    cost.misconception(name, text)(lambda answer=answer: answer)
