"""The exercises of the scaling-laws chapter's end: when to stop optimising, and a plan."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.scaling_budget import saturating


# ------------------------------------------------------------------------- best of n
def kl(n):
    return np.log(n) - (n - 1) / n


def reward_at(distance, alpha, beta):
    return distance * (alpha - beta * distance)


def random_candidates(rng):
    """A reward that peaks among the candidates, and no near ties."""
    while True:
        n = rng.choice(2 ** np.arange(13), size=rng.integers(4, 9), replace=False)
        alpha, beta = float(rng.integers(5, 20) / 10), float(rng.integers(20, 60) / 100)
        gold = np.sort(reward_at(np.sqrt(kl(n)), alpha, beta))
        if gold[-1] > 0 and gold[-1] - gold[-2] > 0.01 * gold[-1]:
            return Case(n, alpha, beta)


@exercise(
    "scaling_laws.best-of-n",
    title="When to stop picking",
    cases=[
        Case(np.array([1, 4, 1000]), 1.0, 0.4),
        Case(np.array([1024, 64, 16, 4, 2, 1]), 1.0, 0.3),
        random_candidates,
    ],
    hints=(
        "Three steps for each n: how many nats, which distance, which reward. Then the n with the "
        "largest reward, which need not be the largest n.",
        "`d = np.sqrt(np.log(n) - (n - 1) / n)` works for a whole array of n. The reward is "
        "d·(α − β·d), with a parabola's peak at d = α/2β; `np.argmax` finds the candidate.",
    ),
    minutes=7,
    view=list,
    remark="Past d = α/2β you pay for answers that the reward model likes better and people like "
    "less. The reward model never says so: its own score rises with every n. So the number to stop "
    "at cannot be read from the score that is optimised. It takes a second judge, and few "
    "questions put to it.",
)
def stop(candidates, alpha, beta):
    """Return [n, reward]: the best candidate and its true reward."""
    d = np.sqrt(np.log(candidates) - (candidates - 1) / candidates)
    reward = d * (alpha - beta * d)
    best = reward.argmax()
    return [candidates[best], reward[best]]


def with_highest(candidates, reward):
    best = np.argmax(reward)
    return [candidates[best], reward[best]]


def with_distance(candidates, distance, alpha, beta):
    return with_highest(candidates, reward_at(distance, alpha, beta))


@stop.misconception(
    "takes the divergence for the distance",
    "You put the KL itself in for d. The distance is its square root, because a KL grows with the "
    "square of a small step.",
)
def _(candidates, alpha, beta):
    return with_distance(candidates, kl(candidates), alpha, beta)


@stop.misconception(
    "logarithms to base 10",
    "You took the logarithm to base 10. A KL in nats needs the natural one; yours even becomes "
    "negative for some n.",
)
def _(candidates, alpha, beta):
    divergence = np.log10(candidates) - (candidates - 1) / candidates
    return with_distance(candidates, np.sqrt(np.maximum(divergence, 0)), alpha, beta)


@stop.misconception(
    "logarithms to base 10, and nan",
    "You took the logarithm to base 10. A KL in nats needs the natural one; yours is negative for "
    "some n, its root is nan, and `np.argmax` takes a nan for the largest number.",
)
def _(candidates, alpha, beta):
    divergence = np.log10(candidates) - (candidates - 1) / candidates
    return with_distance(candidates, np.sqrt(divergence), alpha, beta)


@stop.misconception(
    "logarithms to base 2",
    "You took the logarithm to base 2, which gives bits. Gao's law has nats: the natural one.",
)
def _(candidates, alpha, beta):
    divergence = np.log2(candidates) - (candidates - 1) / candidates
    return with_distance(candidates, np.sqrt(divergence), alpha, beta)


@stop.misconception(
    "forgets (n − 1)/n",
    "You took log n for the KL. The term (n − 1)/n is nearly 1 for a large n, and that is a lot "
    "beside log n.",
)
def _(candidates, alpha, beta):
    return with_distance(candidates, np.sqrt(np.log(candidates)), alpha, beta)


@stop.misconception(
    "trusts the proxy",
    "You took the largest n. The score of the reward model does rise with n, for ever; the true "
    "reward turns at d = α/2β. That is what over-optimisation means.",
)
def _(candidates, alpha, beta):
    n = candidates.max()
    return [n, reward_at(np.sqrt(kl(n)), alpha, beta)]


@stop.misconception(
    "forgets what is lost",
    "You took d·α for the reward: what picking gains at first. The part β·d², which is lost "
    "because the reward model is only a stand-in, is missing.",
)
def _(candidates, alpha, beta):
    return with_highest(candidates, alpha * np.sqrt(kl(candidates)))


@stop.misconception(
    "uses the law for reinforcement learning",
    "You used d·(α − β·log d), Gao's law for reinforcement learning. For best-of-n it is "
    "d·(α − β·d).",
)
def _(candidates, alpha, beta):
    d = np.sqrt(kl(candidates))
    return with_highest(candidates, np.where(d > 0, d * (alpha - beta * np.log(d)), 0))


@stop.misconception(
    "forgets the factor d",
    "You took α − β·d for the reward. That is largest where nothing is picked at all. The factor d "
    "before it is missing.",
)
def _(candidates, alpha, beta):
    return with_highest(candidates, alpha - beta * np.sqrt(kl(candidates)))


@stop.misconception(
    "stops where nothing is left",
    "You looked for d = α/β. There all that was gained is lost again; the peak lies half way.",
)
def _(candidates, alpha, beta):
    d = np.sqrt(kl(candidates))
    best = np.argmin(np.abs(d - alpha / beta))
    return [candidates[best], reward_at(d[best], alpha, beta)]


@stop.misconception(
    "takes α/2β for n",
    "You took the n nearest to α/2β. That is where the *distance* d has its peak; n is related to "
    "it by the KL, and is much larger.",
)
def _(candidates, alpha, beta):
    n = candidates[np.argmin(np.abs(candidates - alpha / (2 * beta)))]
    return [n, reward_at(np.sqrt(kl(n)), alpha, beta)]


@stop.misconception(
    "gives the score of the reward model",
    "Your n is right. You gave d·α beside it, as the reward model would see it; the true reward "
    "there is d·(α − β·d).",
)
def _(candidates, alpha, beta):
    n, _ = stop(candidates, alpha, beta)
    return [n, alpha * np.sqrt(kl(n))]


@stop.misconception(
    "gives the distance",
    "Your n is right. The second number should be the reward there, not the distance d.",
)
def _(candidates, alpha, beta):
    n, _ = stop(candidates, alpha, beta)
    return [n, np.sqrt(kl(n))]


# ------------------------------------------------------------------------- the plan
R_STAR = 15.4  # as in the statement


def tokens_and_worth(sizes, compute, unique):
    """D, and the fresh tokens it is worth, for each size."""
    D = compute / (6 * sizes)
    repeated = np.maximum(D / unique - 1, 0)
    return D, np.minimum(D, unique) + unique * saturating(repeated, R_STAR)


def loss_of(sizes, tokens, law):
    return law["E"] + law["A"] / sizes ** law["alpha"] + law["B"] / tokens ** law["beta"]


def random_plan(rng):
    """Data that run out for some sizes and not for others; no near ties."""
    while True:
        law = {
            "E": float(rng.integers(10, 20) / 10),
            "A": float(rng.integers(2, 10) * 50),
            "B": float(rng.integers(2, 30) * 50),
            "alpha": float(rng.integers(30, 40) / 100),
            "beta": float(rng.integers(30, 40) / 100),
        }
        sizes = rng.permutation(1e7 * 2.0 ** np.arange(rng.integers(6, 9)))
        compute = float(f"{10 ** rng.uniform(17, 19):.2g}")
        unique = float(f"{compute / 6 / np.median(sizes) / 10 ** rng.uniform(-0.5, 2):.2g}")
        _, worth = tokens_and_worth(sizes, compute, unique)
        losses = np.sort(loss_of(sizes, worth, law))
        if losses[1] - losses[0] > 1e-3:
            return Case(sizes, compute, unique, law)


EVEN = {"E": 1.0, "A": 100.0, "B": 100.0, "alpha": 0.5, "beta": 0.5}


@exercise(
    "scaling_laws.limited-data",
    title="Plan with the data you have",
    cases=[
        Case(np.array([1e4]), 6e9, 1e6, EVEN),
        Case(np.array([1e4]), 6e9, 2e4, EVEN),
        Case(np.array([1e4, 4e4, 16e4, 64e4]), 6e10, 1e5, EVEN),
        Case(np.array([64e4, 4e4, 16e4, 1e4]), 6e10, 3e3, EVEN),
        random_plan,
    ],
    hints=(
        "For each size: how many tokens can you pay for, how many of them are repeated, and what "
        "are they all worth? Where D is below U, nothing is repeated.",
        "`once = np.minimum(D, unique)` are the tokens that count in full, and `R = D / once - 1` "
        "is 0 where nothing is repeated. D′ is once + once·15.4·(1 − exp(−R/15.4)); the law takes "
        "D′ where it had D.",
    ),
    minutes=10,
    view=list,
    remark="When data are short, the best model is larger than the law without a limit says: a "
    "FLOP spent on the tenth look at the same page buys less than one spent on parameters. That "
    "goes on only up to a point. Muennighoff's full law discounts surplus parameters as well, "
    "and the explorable of this section uses it.",
)
def plan(sizes, compute, unique, law):
    """Return [N, loss] of the size with the lowest loss."""
    D = compute / (6 * sizes)
    once = np.minimum(D, unique)
    R = D / once - 1
    worth = once + once * 15.4 * (1 - np.exp(-R / 15.4))
    loss = law["E"] + law["A"] / sizes ** law["alpha"] + law["B"] / worth ** law["beta"]
    best = loss.argmin()
    return [sizes[best], loss[best]]


def with_lowest(sizes, tokens, law):
    loss = loss_of(sizes, tokens, law)
    best = np.argmin(loss)
    return [sizes[best], loss[best]]


@plan.misconception(
    "counts repeated tokens as fresh",
    "You put all tokens into the law, as if each were new. Beyond U they repeat, and the law needs "
    "D′, what they are worth.",
)
def _(sizes, compute, unique, law):
    return with_lowest(sizes, compute / (6 * sizes), law)


@plan.misconception(
    "never repeats",
    "You stopped when the data were used up. There is compute left, and a second look at the data "
    "is worth nearly as much as the first.",
)
def _(sizes, compute, unique, law):
    return with_lowest(sizes, np.minimum(compute / (6 * sizes), unique), law)


@plan.misconception(
    "four epochs and no more",
    "You counted up to four epochs in full and the rest not at all. Four is a rule of thumb; the "
    "law has no step there.",
)
def _(sizes, compute, unique, law):
    return with_lowest(sizes, np.minimum(compute / (6 * sizes), 4 * unique), law)


@plan.misconception(
    "repeats data it does not need",
    "Where D is below U you still used the formula, with a negative R. Nothing is repeated there: "
    "D′ is D.",
)
def _(sizes, compute, unique, law):
    D = compute / (6 * sizes)
    return with_lowest(sizes, unique * (1 + saturating(D / unique - 1, R_STAR)), law)


@plan.misconception(
    "reads all the data, whatever the budget",
    "Where D is below U you counted U tokens. You have them, but you cannot pay for reading them: "
    "D′ is D there.",
)
def _(sizes, compute, unique, law):
    worth = unique * (1 + saturating(np.maximum(compute / (6 * sizes) / unique - 1, 0), R_STAR))
    return with_lowest(sizes, worth, law)


@plan.misconception(
    "counts the first epoch as a repetition",
    "You put the number of epochs in for R. The first epoch repeats nothing: R is one less.",
)
def _(sizes, compute, unique, law):
    D = compute / (6 * sizes)
    once = np.minimum(D, unique)
    return with_lowest(sizes, once * (1 + saturating(D / once, R_STAR)), law)


@plan.misconception(
    "plans without the limit and pays for it later",
    "You chose the size as if data were unlimited, and then looked up its loss with the data you "
    "have. The limit changes the choice, too: it favours larger models.",
)
def _(sizes, compute, unique, law):
    D, worth = tokens_and_worth(sizes, compute, unique)
    best = loss_of(sizes, D, law).argmin()
    return [sizes[best], loss_of(sizes, worth, law)[best]]


@plan.misconception(
    "twenty tokens for each parameter",
    "You took the size whose D is nearest to 20N. That ratio knows neither your law nor how much "
    "data you have.",
)
def _(sizes, compute, unique, law):
    D, worth = tokens_and_worth(sizes, compute, unique)
    best = np.argmin(np.abs(np.log(D / sizes / 20)))
    return [sizes[best], loss_of(sizes, worth, law)[best]]


@plan.misconception(
    "takes the largest model",
    "You took the largest model. The compute is given, so a larger model sees fewer tokens; the "
    "law weighs one against the other.",
)
def _(sizes, compute, unique, law):
    _, worth = tokens_and_worth(sizes, compute, unique)
    return [sizes.max(), loss_of(sizes, worth, law)[sizes.argmax()]]


@plan.misconception(
    "forgets the six",
    "You paid for D = C/N tokens. Each costs 6 FLOP for each parameter: D = C/6N.",
)
def _(sizes, compute, unique, law):
    return plan(sizes, 6 * compute, unique, law)


@plan.misconception(
    "pays for the forward pass only",
    "You paid 2N for each token. Training goes back as well: D = C/6N.",
)
def _(sizes, compute, unique, law):
    return plan(sizes, 3 * compute, unique, law)


@plan.misconception(
    "forgets the floor",
    "Your N is right, but E is missing from the loss.",
)
def _(sizes, compute, unique, law):
    return plan(sizes, compute, unique, law | {"E": 0.0})


@plan.misconception(
    "gives the tokens",
    "Your N is right. The second number should be the loss, not the tokens.",
)
def _(sizes, compute, unique, law):
    N, _ = plan(sizes, compute, unique, law)
    return [N, compute / (6 * N)]
