"""The exercises of the scaling-laws chapter on what a budget must also pay for, or cannot buy."""

import numpy as np

from lmlib.exercises import Case, exercise


# ------------------------------------------------------------------------- repetition
def random_epochs(rng):
    unique = float(rng.integers(1, 100)) * 10.0 ** rng.integers(5, 9)
    return Case(unique, float(rng.integers(2, 40) / 2), float(rng.integers(10, 200) / 10))


@exercise(
    "scaling_laws.repetition",
    title="The fifth time round",
    cases=[
        Case(100.0, 1.0, 15.4),
        Case(100.0, 2.0, 1.0),
        Case(1e9, 4.0, 15.4),
        Case(1e9, 40.0, 15.4),
        random_epochs,
    ],
    hints=(
        "After one epoch nothing has been repeated yet. What is R then, and what is D′?",
        "R is `epochs - 1`. The first U counts in full; the repetitions add U·R*·(1 − exp(−R/R*)).",
    ),
    minutes=5,
    remark="With R* = 15.4, four epochs over U are worth 3.7 U: nearly as good as fresh data. "
    "Forty are worth 15.2 U, and no number of them more than 16.4 U. So *more epochs* is good "
    "advice up to a point, but not what Chinchilla said: that was more *new* tokens. And R* is no "
    "constant of nature. The small network of this section, with nothing to keep it from learning "
    "by heart, wears its data out much sooner.",
)
def effective_tokens(unique, epochs, R_star):
    """Return D', the fresh tokens that the training is worth."""
    R = epochs - 1
    return unique + unique * R_star * (1 - np.exp(-R / R_star))


def saturating(R, R_star):
    return R_star * (1 - np.exp(-R / R_star))


@effective_tokens.misconception(
    "epochs as data",
    "You counted every token each time it was seen. That is what the training *costs*. The fifth "
    "time round, a token teaches less than the first.",
)
def _(unique, epochs, R_star):
    return unique * epochs


@effective_tokens.misconception(
    "repeated data are worth nothing",
    "You counted the unique tokens alone. A second look teaches nearly as much as the first.",
)
def _(unique, epochs, R_star):
    return unique


@effective_tokens.misconception(
    "counts the first epoch as a repetition",
    "You put the number of epochs in for R. The first epoch repeats nothing: R is one less.",
)
def _(unique, epochs, R_star):
    return unique * (1 + saturating(epochs, R_star))


@effective_tokens.misconception(
    "forgets the first epoch",
    "You gave what the repetitions are worth. The first epoch comes on top: U in full.",
)
def _(unique, epochs, R_star):
    return unique * saturating(epochs - 1, R_star)


@effective_tokens.misconception(
    "everything saturates",
    "You let the first epoch saturate along with the rest: no U before the bracket, and all epochs "
    "in it. The first one counts in full, and only R, the repetitions, wears out.",
)
def _(unique, epochs, R_star):
    return unique * saturating(epochs, R_star)


@effective_tokens.misconception(
    "four epochs and no more",
    "You counted up to four epochs in full and the rest not at all. *Four epochs are nearly as "
    "good as new* is a rule of thumb for one R*; the law has no step there.",
)
def _(unique, epochs, R_star):
    return unique * min(epochs, 4)


@effective_tokens.misconception(
    "a step at R*",
    "You counted repetitions in full up to R* and the rest not at all. R* is no step: after R* "
    "repetitions, 63 % of all that repeating can give has been had.",
)
def _(unique, epochs, R_star):
    return unique * (1 + min(epochs - 1, R_star))


@effective_tokens.misconception(
    "adds up epoch by epoch",
    "You added up one factor exp(−k/R*) for each repetition k. That is the idea behind the law, "
    "and close to it, but the law is a smooth curve and allows half epochs.",
)
def _(unique, epochs, R_star):
    steps = np.arange(1, int(epochs))
    return unique * (1 + np.exp(-steps / R_star).sum())


@effective_tokens.misconception(
    "forgets the minus in the exponent",
    "Your exponent is +R/R*, so the bracket is negative and the data are worth less with every "
    "epoch. It is −R/R*.",
)
def _(unique, epochs, R_star):
    return unique * (1 + R_star * (1 - np.exp((epochs - 1) / R_star)))


@effective_tokens.misconception(
    "forgets R* before the bracket",
    "You left out the R* before the bracket. Then all repetitions together would be worth one "
    "epoch at most.",
)
def _(unique, epochs, R_star):
    return unique * (1 + saturating(epochs - 1, R_star) / R_star)


@effective_tokens.misconception(
    "halves with every R*",
    "You used 2 to the power of −R/R*, as for a half-life. The law has e.",
)
def _(unique, epochs, R_star):
    return unique * (1 + R_star * (1 - 2 ** (-(epochs - 1) / R_star)))


@effective_tokens.misconception(
    "counts repetitions in tokens",
    "You put the number of repeated tokens in for R. R says how *often* the data are repeated, a "
    "number of epochs.",
)
def _(unique, epochs, R_star):
    return unique * (1 + saturating(unique * (epochs - 1), R_star))


@effective_tokens.misconception(
    "gives epochs",
    "That is D′ in epochs. Multiply by the number of unique tokens.",
)
def _(unique, epochs, R_star):
    return 1 + saturating(epochs - 1, R_star)


# ------------------------------------------------------------------------- inference
def needed(sizes, target, law):
    """The tokens that reach the target, nan for sizes that never do."""
    left = target - law["E"] - law["A"] / sizes ** law["alpha"]
    return (law["B"] / np.where(left > 0, left, np.nan)) ** (1 / law["beta"])


def prices(sizes, target, demand, law):
    return 6 * sizes * needed(sizes, target, law) + 2 * sizes * demand


def random_demand(rng):
    """A target that the smallest sizes miss, and a demand that matters; no near ties."""
    while True:
        law = {
            "E": float(rng.integers(10, 20) / 10),
            "A": float(rng.integers(2, 10) * 50),
            "B": float(rng.integers(2, 10) * 50),
            "alpha": float(rng.integers(30, 45) / 100),
            "beta": float(rng.integers(30, 45) / 100),
        }
        sizes = rng.permutation(1e7 * 2.0 ** np.arange(rng.integers(7, 10)))
        target = round(law["E"] + law["A"] / 3e7 ** law["alpha"] + float(rng.uniform(0.02, 0.1)), 3)
        tokens = np.nanmedian(needed(sizes, target, law))
        demand = float(f"{tokens * 10 ** rng.uniform(-0.5, 1.5):.2g}")
        cost = np.sort(prices(sizes, target, demand, law))  # nan comes last
        if cost[1] > 1.02 * cost[0]:
            return Case(sizes, target, demand, law)


SMALL = {"E": 1.0, "A": 100.0, "B": 50.0, "alpha": 0.5, "beta": 0.4}


@exercise(
    "scaling_laws.inference",
    title="Cheap to train, or cheap to use",
    cases=[
        Case(np.array([2e4, 4e4, 8e4]), 2.0, 0.0, SMALL),
        Case(np.array([1e4, 2e4, 4e4, 8e4]), 2.0, 1e6, SMALL),
        Case(np.array([8e4, 5e3, 2e4, 4e4]), 2.0, 1e5, SMALL),
        random_demand,
    ],
    hints=(
        "All candidates are equally good: each is trained until it reaches the target. Solve the "
        "law for D. Which sizes have no solution?",
        "What N leaves of the target is target − E − A/N^α; it must be positive. Then D is "
        "(B / what is left)^(1/β), and the price is 6ND + 2N·demand. `np.where(left > 0, price, "
        "np.inf)` keeps the hopeless sizes from winning.",
    ),
    minutes=10,
    view=list,
    remark="The more a model will be used, the smaller it should be, and the longer it is worth "
    "training it, far beyond what is compute-optimal for the training alone. That is why small "
    "open models are trained on a thousand tokens for each parameter, and more.",
)
def cheapest(sizes, target, demand, law):
    """Return [N, D] of the size that reaches the target at the lowest price."""
    left = target - law["E"] - law["A"] / sizes ** law["alpha"]
    able = left > 0
    N = sizes[able]
    D = (law["B"] / left[able]) ** (1 / law["beta"])
    best = np.argmin(6 * N * D + 2 * N * demand)
    return [N[best], D[best]]


def at_lowest(sizes, target, law, price):
    """N and D of the size with the lowest price, a function of N and D."""
    tokens = needed(sizes, target, law)
    best = np.nanargmin(price(sizes, tokens))
    return [sizes[best], tokens[best]]


@cheapest.misconception(
    "ignores the use",
    "You looked for the cheapest *training*. Each of the `demand` tokens costs 2N on top, and that "
    "favours smaller models that were trained for longer.",
)
def _(sizes, target, demand, law):
    return at_lowest(sizes, target, law, lambda N, D: 6 * N * D)


@cheapest.misconception(
    "looks at the use only",
    "You took the smallest model that reaches the target. It is the cheapest to use, but it may "
    "need an enormous number of tokens to get there. Add both prices.",
)
def _(sizes, target, demand, law):
    return at_lowest(sizes, target, law, lambda N, D: N + 0 * D)


@cheapest.misconception(
    "one price for training and use",
    "You charged the same for a token of the demand as for one of the training. Training goes "
    "forwards and backwards, 6N a token; use goes forwards only, 2N.",
)
def _(sizes, target, demand, law):
    return at_lowest(sizes, target, law, lambda N, D: 6 * N * (D + demand))


@cheapest.misconception(
    "the fewest tokens",
    "You took the size that needs the fewest tokens in training. That is the largest one, and it "
    "is dear to train and dear to use.",
)
def _(sizes, target, demand, law):
    return at_lowest(sizes, target, law, lambda N, D: D)


@cheapest.misconception(
    "twenty tokens for each parameter",
    "You took the size whose D is nearest to 20N. That ratio is for the cheapest training at one "
    "budget. It knows nothing of your law, nor of the demand.",
)
def _(sizes, target, demand, law):
    return at_lowest(sizes, target, law, lambda N, D: np.abs(np.log(D / N / 20)))


@cheapest.misconception(
    "keeps the tokens of the cheapest training",
    "You fixed D at what the cheapest training needs and then made the model smaller. A smaller "
    "model on the same tokens is worse: it misses the target. Keep the *loss* fixed; each size has "
    "a D of its own.",
)
def _(sizes, target, demand, law):
    _, tokens = at_lowest(sizes, target, law, lambda N, D: 6 * N * D)
    return [sizes.min(), tokens]


@cheapest.misconception(
    "right size, tokens of the cheapest training",
    "Your N is right. Your D is that of the size which is cheapest to train. The size you chose "
    "needs a D of its own to reach the target.",
)
def _(sizes, target, demand, law):
    _, tokens = at_lowest(sizes, target, law, lambda N, D: 6 * N * D)
    return [cheapest(sizes, target, demand, law)[0], tokens]


@cheapest.misconception(
    "forgets the floor",
    "You left E out when you solved for D. So your models seem to reach the target with far too "
    "few tokens: most of the loss is the floor, which no tokens remove.",
)
def _(sizes, target, demand, law):
    return cheapest(sizes, target, demand, law | {"E": 0.0})


@cheapest.misconception(
    "forgets the root",
    "You gave B / what is left for D. That is D to the power of β; take the root, (…)^(1/β).",
)
def _(sizes, target, demand, law):
    tokens = needed(sizes, target, law) ** law["beta"]
    best = np.nanargmin(6 * sizes * tokens + 2 * sizes * demand)
    return [sizes[best], tokens[best]]


@cheapest.misconception(
    "lets sizes win that never reach the target",
    "Some sizes never reach the target: what they leave for B/D^β is negative, its root is nan, "
    "and `np.argmin` takes a nan for the smallest number. Drop these sizes first.",
)
def _(sizes, target, demand, law):
    best = np.argmin(prices(sizes, target, demand, law))
    return [sizes[best], needed(sizes, target, law)[best]]


@cheapest.misconception(
    "ignores the sign of what is left",
    "You took the absolute value of what is left of the target. If it is negative, that size never "
    "gets there, whatever D is. Drop it.",
)
def _(sizes, target, demand, law):
    left = np.abs(target - law["E"] - law["A"] / sizes ** law["alpha"])
    tokens = (law["B"] / left) ** (1 / law["beta"])
    best = np.argmin(6 * sizes * tokens + 2 * sizes * demand)
    return [sizes[best], tokens[best]]


@cheapest.misconception(
    "counts the demand as training",
    "Your N is right. D is what the model is trained on; the tokens it reads and writes later do "
    "not belong to it.",
)
def _(sizes, target, demand, law):
    N, D = cheapest(sizes, target, demand, law)
    return [N, D + demand]


@cheapest.misconception(
    "gives the tokens first",
    "Your two numbers are right, in the other order: first N, then D.",
)
def _(sizes, target, demand, law):
    return cheapest(sizes, target, demand, law)[::-1]
