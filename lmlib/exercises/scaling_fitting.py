"""The exercises of the scaling-laws chapter on fitting: a valley, and what the fit makes small."""

import numpy as np

from lmlib.exercises import Case, exercise


# ------------------------------------------------------------------------- the valley
def random_valley(rng):
    sizes = 2.0 ** np.arange(rng.integers(9, 12)) * rng.integers(2, 9) * 1e5
    best = sizes[rng.integers(3, 5)] * rng.uniform(0.8, 1.25)
    distance = np.log(sizes / best)
    loss = 2 + 0.3 * np.exp(-0.4 * distance) + 0.24 * np.exp(0.5 * distance)  # steeper to the right
    loss += rng.normal(0, 0.002, sizes.size)
    order = rng.permutation(sizes.size)
    return Case(sizes[order], loss[order].round(4), float(rng.choice([3, 5])))


@exercise(
    "scaling_laws.isoflop-minimum",
    title="The bottom of the valley",
    cases=[
        Case(np.array([1e6, 2e6, 4e6]), np.array([3.2, 3.0, 3.1]), 3.0),
        Case(np.array([1e6, 16e6, 2e6, 8e6, 4e6]), np.array([3.5, 3.6, 3.1, 3.2, 3.0]), 5.0),
        random_valley,
    ],
    hints=(
        "Three steps: which run is the best; which runs are near it; where the parabola through "
        "these is lowest. In all three, distance is a *factor*: use log N.",
        "`np.abs(np.log(params / best)) <= np.log(window)` finds the runs near the best one. "
        "`np.polyfit(x, y, 2)` gives a, b and c of a·x² + b·x + c, lowest at x = −b/2a. That x is "
        "still a logarithm.",
    ),
    minutes=7,
    tolerance=1e-4,
    remark="The best run is a lottery: it can only be one of the sizes you happened to train, and "
    "in a flat valley noise chooses among them. The parabola uses the neighbours. But no valley is "
    "a parabola: the wider the window, the further the bottom leans to the flatter side.",
)
def best_size(params, loss, window):
    """Return the N of the parabola's lowest point."""
    x = np.log(params)
    near = np.abs(x - x[loss.argmin()]) <= np.log(window)
    a, b, _ = np.polyfit(x[near], loss[near], 2)
    return np.exp(-b / (2 * a))


def nearby(params, loss, window):
    """The runs that the task wants used."""
    near = np.abs(np.log(params / params[loss.argmin()])) <= np.log(window)
    return params[near], loss[near]


def vertex(x, y):
    a, b, _ = np.polyfit(x, y, 2)
    return -b / (2 * a)


@best_size.misconception(
    "takes the best run",
    "You took the best of the sizes that were trained. The lowest point of the valley lies between "
    "them, and noise has a say in which of them wins. Fit a parabola to several.",
)
def _(params, loss, window):
    return params[loss.argmin()]


@best_size.misconception(
    "a parabola in N",
    "Your parabola runs over N itself. The sizes double from one to the next, and so a valley that "
    "is nearly even in log N is very lopsided in N. Fit it against the logarithm.",
)
def _(params, loss, window):
    return vertex(*nearby(params, loss, window))


@best_size.misconception(
    "uses all runs",
    "You used all runs. Far from its bottom the valley is no parabola: it is steeper on one side, "
    "and the far runs pull the lowest point to the other. Keep those within the window. (A factor "
    "of `window` is a distance of `np.log(window)`.)",
)
def _(params, loss, window):
    return np.exp(vertex(np.log(params), loss))


@best_size.misconception(
    "takes the window for a distance",
    "You compared the difference of the logarithms with `window` itself. The window is a factor; "
    "its logarithm is the distance. With a window of 3, yours lets in factors up to e³ = 20.",
)
def _(params, loss, window):
    x = np.log(params)
    near = np.abs(x - x[loss.argmin()]) <= window
    return np.exp(vertex(x[near], loss[near]))


@best_size.misconception(
    "uses the three best runs",
    "You used the three best runs, or the best with its two neighbours. A parabola through three "
    "points fits them exactly, and their noise with it. Use all runs within the window.",
)
def _(params, loss, window):
    best = np.argsort(loss)[:3]
    return np.exp(vertex(np.log(params[best]), loss[best]))


@best_size.misconception(
    "mixes base 10 and e",
    "You took logarithms to base 10 and came back with `np.exp`. The way back from `np.log10` is "
    "10 to that power.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    return np.exp(vertex(np.log10(params), loss))


@best_size.misconception(
    "mixes e and base 10",
    "You took natural logarithms and came back with a power of 10. The way back from `np.log` is "
    "`np.exp`.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    return 10 ** vertex(np.log(params), loss)


@best_size.misconception(
    "stops at the logarithm",
    "That is log N at the lowest point. Take it back with `np.exp`.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    return vertex(np.log(params), loss)


@best_size.misconception(
    "stops at the logarithm to base 10",
    "That is the logarithm to base 10 of N at the lowest point. Take it back: 10 to that power.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    return vertex(np.log10(params), loss)


@best_size.misconception(
    "forgets the two",
    "You took −b/a. The slope of a·x² + b·x + c is 2a·x + b, so it is zero at −b/2a.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    return np.exp(2 * vertex(np.log(params), loss))


@best_size.misconception(
    "turns the sign",
    "You took +b/2a. The slope 2a·x + b is zero at −b/2a.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    return np.exp(-vertex(np.log(params), loss))


@best_size.misconception(
    "takes the logarithm of the loss, too",
    "You took the logarithm of the loss as well. Only the sizes spread over factors; the losses of "
    "a valley lie close together, and the task fits them as they are.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    return np.exp(vertex(np.log(params), np.log(loss)))


@best_size.misconception(
    "gives the loss",
    "That is how low the parabola gets. The question is at which size.",
)
def _(params, loss, window):
    params, loss = nearby(params, loss, window)
    curve = np.polyfit(np.log(params), loss, 2)
    return np.polyval(curve, vertex(np.log(params), loss))


# ------------------------------------------------------------------------- the objective
def random_losses(rng):
    loss = 2 + rng.exponential(1, rng.integers(3, 7))
    residual = rng.normal(0, 0.1, loss.size) * rng.choice([0.2, 3], loss.size)
    predicted = loss * np.exp(residual)
    return Case(predicted.round(3), loss.round(3), float(rng.choice([0.03, 0.1])))


@exercise(
    "scaling_laws.huber-sum",
    title="What the fit makes small",
    cases=[
        Case(np.array([2.0]), np.array([2.1]), 0.1),
        Case(np.array([3.0]), np.array([2.0]), 0.1),
        Case(np.array([2.0, 3.0, 2.5]), np.array([2.1, 4.0, 2.5]), 0.1),
        random_losses,
    ],
    hints=(
        "First the residuals: one logarithm minus another. Then a choice for each of them, by its "
        "size and not by its sign. Then one number out of many.",
        "`np.where(condition, this, that)` chooses entry by entry. The condition is |r| ≤ δ.",
    ),
    minutes=5,
    remark="Sum or mean: on paper the lowest point is the same. But an optimiser stops when the "
    "objective changes by less than its tolerance, and scipy's is absolute once the objective is "
    "below 1. Divided by 240 runs, every step looks too small to go on. On Chinchilla's data this "
    "one word moves the exponent a from 0.51 to 0.45; section 5 comes back to it.",
)
def objective(predicted, loss, delta):
    """Return the summed Huber loss of the log residuals."""
    r = np.abs(np.log(predicted) - np.log(loss))
    return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)).sum()


def huber(r, delta):
    return np.where(np.abs(r) <= delta, r**2 / 2, delta * (np.abs(r) - delta / 2))


def log_residuals(predicted, loss):
    return np.log(predicted / loss)


@objective.misconception(
    "takes the mean",
    "You took the mean. The lowest point is the same, but an optimiser stops once the objective "
    "changes by less than its tolerance, and dividing by the number of runs makes all changes "
    "small. On Chinchilla's data this moves the exponent a from 0.51 to 0.45. Sum.",
)
def _(predicted, loss, delta):
    return huber(log_residuals(predicted, loss), delta).mean()


@objective.misconception(
    "squares all residuals",
    "You squared every residual, also those beyond δ. Then one run that went wrong outweighs a "
    "hundred good ones. Beyond δ, the Huber loss grows only linearly.",
)
def _(predicted, loss, delta):
    return (log_residuals(predicted, loss) ** 2 / 2).sum()


@objective.misconception(
    "takes all residuals linearly",
    "You took the linear part for all residuals. Within δ, the Huber loss is r²/2.",
)
def _(predicted, loss, delta):
    return (delta * (np.abs(log_residuals(predicted, loss)) - delta / 2)).sum()


@objective.misconception(
    "uses the losses themselves",
    "Your residuals are differences of losses. Take the difference of their logarithms: an error "
    "of 1 % then weighs the same at a loss of 5 as at a loss of 2.",
)
def _(predicted, loss, delta):
    return huber(predicted - loss, delta).sum()


@objective.misconception(
    "uses the relative error",
    "Your residuals are relative errors. They are close to differences of logarithms, but only "
    "while they are small, and an error up weighs more than the same factor down.",
)
def _(predicted, loss, delta):
    return huber((predicted - loss) / loss, delta).sum()


@objective.misconception(
    "logarithms to base 10",
    "You took logarithms to base 10, so your residuals are 2.3 times too small and fewer of them "
    "lie beyond δ. The task means natural ones.",
)
def _(predicted, loss, delta):
    return huber(np.log10(predicted / loss), delta).sum()


@objective.misconception(
    "forgets half a delta",
    "Beyond δ you took δ·|r|. Without the −δ²/2, the function jumps at δ from δ²/2 to δ², and no "
    "optimiser likes a jump.",
)
def _(predicted, loss, delta):
    r = np.abs(log_residuals(predicted, loss))
    return np.where(r <= delta, r**2 / 2, delta * r).sum()


@objective.misconception(
    "divides by delta",
    "Your number is too large by a factor of 1/δ: r²/2δ within, |r| − δ/2 beyond. That is the "
    "smooth L1 loss of PyTorch. Huber's is r²/2 within, whatever δ is.",
)
def _(predicted, loss, delta):
    return huber(log_residuals(predicted, loss), delta).sum() / delta


@objective.misconception(
    "measures residuals in deltas",
    "You divided the residuals by δ and then used a threshold of 1. That is a function of the same "
    "shape, but larger by a factor of 1/δ².",
)
def _(predicted, loss, delta):
    return huber(log_residuals(predicted, loss), delta).sum() / delta**2


@objective.misconception(
    "forgets the half",
    "Within δ you took r² instead of r²/2. Then the two parts do not meet at δ.",
)
def _(predicted, loss, delta):
    r = np.abs(log_residuals(predicted, loss))
    return np.where(r <= delta, r**2, delta * (r - delta / 2)).sum()


@objective.misconception(
    "twice the Huber loss",
    "Your number is twice what the task defines: r² within and 2δ|r| − δ² beyond. The lowest point "
    "is the same, but the number is not.",
)
def _(predicted, loss, delta):
    return 2 * huber(log_residuals(predicted, loss), delta).sum()


@objective.misconception(
    "forgets the absolute value",
    "You compared r with δ without taking its absolute value. A residual of −1 then passes for a "
    "small one, and is squared.",
)
def _(predicted, loss, delta):
    r = log_residuals(predicted, loss)
    return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)).sum()


@objective.misconception(
    "cuts residuals off",
    "You counted each residual beyond δ as δ. Then it no longer matters how far off such a run is, "
    "and no slope tells the fit to come closer. The Huber loss goes on, linearly.",
)
def _(predicted, loss, delta):
    return huber(np.clip(log_residuals(predicted, loss), -delta, delta), delta).sum()


@objective.misconception(
    "exchanges the two cases",
    "You exchanged the two cases: linear within δ, squared beyond. It is the *large* residuals "
    "that must not be squared.",
)
def _(predicted, loss, delta):
    r = np.abs(log_residuals(predicted, loss))
    return np.where(r > delta, r**2 / 2, delta * (r - delta / 2)).sum()


@objective.misconception(
    "does not sum",
    "These are the Huber losses of the single runs. The fit makes one number small: their sum.",
)
def _(predicted, loss, delta):
    return huber(log_residuals(predicted, loss), delta)
