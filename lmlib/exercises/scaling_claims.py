"""The exercises of the scaling-laws chapter on whom to believe: which form, and which count."""

import numpy as np

from lmlib.exercises import Case, exercise


# ------------------------------------------------------------------------- the hold-out
def rms(x):
    return np.sqrt(np.mean(np.square(x)))


def errors(x, y, degree, fitted, judged):
    """Predicted minus measured on the runs `judged`, from a fit to the runs `fitted`."""
    constants = np.polyfit(x[fitted], y[fitted], degree)
    return np.polyval(constants, x[judged]) - y[judged]


def scores(compute, loss, degrees, limit):
    """Error of each degree on the held-out runs, in log loss, and the same in loss."""
    x, y, cheap = np.log(compute), np.log(loss), compute <= limit
    log_errors = [errors(x, y, degree, cheap, ~cheap) for degree in degrees]
    losses = [rms(loss[~cheap] * np.expm1(error)) for error in log_errors]
    return np.array([[rms(error) for error in log_errors], losses])


def random_contest(rng):
    """A contest with a clear winner, in log loss as well as in loss."""
    while True:
        x = np.linspace(0, rng.uniform(0.5, 3), rng.integers(8, 12))
        floor, bend, noise = rng.choice([0, 1, 2]), rng.choice([0, 0.05]), rng.uniform(0.003, 0.03)
        loss = floor + np.exp(1 - 0.5 * x + bend * x**2) * np.exp(rng.normal(0, noise, x.size))
        compute = (10 ** (9 + x)).round(-6)
        limit = float(compute[-rng.integers(4, 6)])  # the dearest run that is fitted
        order = rng.permutation(x.size)
        case = compute[order], loss[order].round(3), rng.permutation([1, 2, 3]).tolist(), limit
        found = scores(*case)
        lowest, second = np.sort(found, axis=1)[:, :2].T
        if found[0].argmin() == found[1].argmin() and np.all(second > 1.15 * lowest):
            return Case(*case)


def decades(*loss):
    """Runs at 1, 10, 100, … FLOP."""
    return 10.0 ** np.arange(len(loss)), np.array(loss)


@exercise(
    "scaling_laws.hold-out",
    title="Judge by what it has not seen",
    cases=[
        Case(
            np.array([1e3, 1e1, 1e4, 1e0, 1e2, 1e5]),
            np.array([2.05, 4.5, 1.39, 6.6, 3.02, 0.94]),
            [1, 2, 3],
            1e3,
        ),
        Case(*decades(6.0, 4.01, 3.09, 2.66, 2.4, 2.3), [3, 2, 1], 1e3),
        # Rarely drawn: the last run alone, the mean error, or all runs would choose another form.
        Case(*decades(4.97, 3.15, 2.18, 1.64, 1.33, 1.19, 1.1), [1, 2, 3], 1e4),
        Case(*decades(4.94, 3.26, 2.3, 1.74, 1.42, 1.25, 1.14), [1, 2, 3], 1e3),
        Case(*decades(5.37, 3.42, 2.22, 1.75, 1.57, 1.18, 0.88, 0.77), [3, 1, 2], 1e5),
        random_contest,
    ],
    hints=(
        "Two groups of runs, and each has one task: the cheap ones fit, the dear ones judge. Which "
        "runs may a candidate never have seen?",
        "`cheap = compute <= limit` is a boolean array; `x[cheap]` are the runs to fit, "
        "`x[~cheap]` those to predict. `np.polyval(np.polyfit(x, y, degree), …)` predicts. Collect "
        "one error for each degree and take the degree with the smallest.",
    ),
    minutes=8,
    draws=30,
    remark="A form with one constant more always fits better, and so does R²: it says how closely "
    "a curve passes by the points that drew it. A scaling law is asked about a run that nobody has "
    "paid for yet. So leave out the dearest runs you have, and see who foresees them.",
)
def chosen(compute, loss, degrees, limit):
    """Return the degree that predicts the dearer runs best."""
    x, y, cheap = np.log(compute), np.log(loss), compute <= limit
    misses = []
    for degree in degrees:
        constants = np.polyfit(x[cheap], y[cheap], degree)
        misses.append(np.mean((np.polyval(constants, x[~cheap]) - y[~cheap]) ** 2))
    return degrees[int(np.argmin(misses))]


def smallest(degrees, miss):
    return min(degrees, key=miss)


def judged(compute, loss, degrees, fitted, against):
    """The degree with the smallest error when some runs are fitted and others judge."""
    x, y = np.log(compute), np.log(loss)
    return smallest(degrees, lambda degree: rms(errors(x, y, degree, fitted, against)))


@chosen.misconception(
    "judges on the runs it was fitted to",
    "You compared the errors, or the R², on the runs that were fitted. There the form with the "
    "most constants always wins; it may bend as it likes right behind the last point. Judge on the "
    "runs that cost more.",
)
def _(compute, loss, degrees, limit):
    return judged(compute, loss, degrees, compute <= limit, compute <= limit)


@chosen.misconception(
    "judges on all runs",
    "You fitted the cheap runs and judged on all. The runs that were fitted have no say here: they "
    "always favour the form with the most constants.",
)
def _(compute, loss, degrees, limit):
    return judged(compute, loss, degrees, compute <= limit, compute > 0)


@chosen.misconception(
    "leaves out single runs",
    "You left out one run at a time. Its neighbours on both sides then tell what it was; that is "
    "filling a gap, not looking ahead. Leave out the top, where you want to predict.",
)
def _(compute, loss, degrees, limit):
    x, y = np.log(compute), np.log(loss)

    def miss(degree):
        each = (np.arange(x.size) == i for i in range(x.size))
        return rms(np.concatenate([errors(x, y, degree, ~one, one) for one in each]))

    return smallest(degrees, miss)


@chosen.misconception(
    "holds out every other run",
    "You held out every other run along the scale. Between two runs every form knows its way. What "
    "you want to know is who can go *beyond* the last one: hold out the runs above `limit`.",
)
def _(compute, loss, degrees, limit):
    odd = np.argsort(np.argsort(compute)) % 2 == 1
    return judged(compute, loss, degrees, ~odd, odd)


@chosen.misconception(
    "holds out the end of the list",
    "You held out the last runs of the list. They are in no particular order, so these are any "
    "runs, as in a random split. Compare `compute` with `limit`.",
)
def _(compute, loss, degrees, limit):
    last = np.arange(compute.size) >= (compute <= limit).sum()
    return judged(compute, loss, degrees, ~last, last)


@chosen.misconception(
    "leaves the held-out runs in the fit",
    "You fitted all runs, and then judged on the dear ones. They are no test any more: the fit has "
    "seen them.",
)
def _(compute, loss, degrees, limit):
    return judged(compute, loss, degrees, compute > 0, compute > limit)


@chosen.misconception(
    "holds out the runs at the limit",
    "You held out the runs that cost exactly `limit`, too. The task fits the runs that cost *at "
    "most* so much: `<=`.",
)
def _(compute, loss, degrees, limit):
    return judged(compute, loss, degrees, compute < limit, compute >= limit)


@chosen.misconception(
    "takes the fewest constants",
    "You took the lowest degree. Often a good guess, but it is the held-out runs that decide; "
    "where the loss has a floor, the straight line misses them by far.",
)
def _(compute, loss, degrees, limit):
    return min(degrees)


@chosen.misconception(
    "lets the errors cancel",
    "You compared the mean errors. One prediction too high and one too low then make a perfect "
    "score. Square the errors before you take the mean.",
)
def _(compute, loss, degrees, limit):
    x, y, dear = np.log(compute), np.log(loss), compute > limit
    return smallest(degrees, lambda degree: abs(errors(x, y, degree, ~dear, dear).mean()))


@chosen.misconception(
    "judges by the last run alone",
    "You judged by the dearest run alone. Then the noise of one run chooses the law. Use all runs "
    "above `limit`.",
)
def _(compute, loss, degrees, limit):
    return judged(compute, loss, degrees, compute <= limit, compute == compute.max())


@chosen.misconception(
    "takes the largest error",
    "You chose the form with the largest error. The smallest wins.",
)
def _(compute, loss, degrees, limit):
    found, _ = scores(compute, loss, degrees, limit)
    return degrees[int(found.argmax())]


@chosen.misconception(
    "gives the place in the list",
    "You gave the place of the winner in `degrees`. Look the degree up there.",
)
def _(compute, loss, degrees, limit):
    return degrees.index(chosen(compute, loss, degrees, limit))


@chosen.misconception(
    "polynomials without logarithms",
    "Your polynomials are in compute itself, for the loss itself. On a scale of several decades "
    "the dearest runs pull at everything. The forms are polynomials in *log* compute for *log* "
    "loss; the first is then the power law.",
)
def _(compute, loss, degrees, limit):
    dear = compute > limit
    return smallest(degrees, lambda degree: rms(errors(compute, loss, degree, ~dear, dear)))


@chosen.misconception(
    "fits the loss, not its logarithm",
    "Your polynomials are for the loss itself. The forms are for log loss: only then is degree 1 "
    "the power law.",
)
def _(compute, loss, degrees, limit):
    x, dear = np.log(compute), compute > limit
    return smallest(degrees, lambda degree: rms(errors(x, loss, degree, ~dear, dear)))


# ------------------------------------------------------------------------- what counts
def random_models(rng):
    models, layers, width = [], int(rng.integers(1, 4)), int(rng.integers(2, 9)) * 8
    tokens = float(rng.integers(1, 10)) * 1e6
    for _ in range(rng.integers(3, 6)):
        models.append((layers, width, tokens))
        layers += int(rng.integers(0, 3))
        width = int(width * rng.uniform(1.2, 2)) // 8 * 8
        tokens = float(f"{tokens * rng.uniform(1.5, 6):.2g}")
    return Case(models, int(rng.integers(1, 40)) * 1000)


@exercise(
    "scaling_laws.what-counts",
    title="Counted or not",
    cases=[
        Case([(1, 10, 1e4), (1, 100, 1e6)], 100),
        Case([(2, 64, 2e7), (4, 128, 8e7), (8, 256, 6e8)], 32_000),
        random_models,
    ],
    hints=(
        "Do the whole thing twice, from the counting of N to the slope. What does C use for its N, "
        "each time?",
        "The slope is that of log N against log C: `np.polyfit(np.log(C), np.log(N), 1)[0]`. The "
        "second time, N and C = 6ND are both without the table.",
    ),
    minutes=8,
    view=list,
    remark="The same models, the same training, two exponents. In small models the table is most "
    "of the parameters, so what is left without it grows faster. Kaplan and his colleagues left it "
    "out and found 0.73; Hoffmann and his colleagues counted it and found 0.50. According to "
    "Pearce and Song, Chinchilla's own law, read without the table over Kaplan's small models, "
    "gives 0.74 to 0.78.",
)
def exponents(models, vocabulary):
    """Return the exponent of N with C: [with the table, without it]."""
    layers, width, tokens = np.array(models, dtype=float).T
    found = []
    for table in (vocabulary, 0):
        N = 12 * layers * width**2 + table * width
        C = 6 * N * tokens
        found.append(np.polyfit(np.log(C), np.log(N), 1)[0])
    return found


def counts(models, vocabulary):
    """Parameters with the table, without it, and the tokens."""
    layers, width, tokens = np.array(models, float).T
    inner = 12 * layers * width**2
    return inner + vocabulary * width, inner, tokens


def slope(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


@exponents.misconception(
    "leaves the table in the compute",
    "Your first exponent is right. For the second you left the table out of N and still counted it "
    "in C. Two different N in one law: this is how exponents of different papers come to "
    "disagree. Take it out of both.",
)
def _(models, vocabulary):
    N, inner, tokens = counts(models, vocabulary)
    return [slope(N * tokens, N), slope(N * tokens, inner)]


@exponents.misconception(
    "leaves the table in the parameters",
    "Your first exponent is right. For the second you left the table out of C and still counted it "
    "in N. Take it out of both.",
)
def _(models, vocabulary):
    N, inner, tokens = counts(models, vocabulary)
    return [slope(N * tokens, N), slope(inner * tokens, N)]


@exponents.misconception(
    "leaves the table out of the compute, both times",
    "You left the table out of C both times. A lookup multiplies nothing, so there is something to "
    "be said for it, but in the task both N are the same each time.",
)
def _(models, vocabulary):
    N, inner, tokens = counts(models, vocabulary)
    return [slope(inner * tokens, N), slope(inner * tokens, inner)]


@exponents.misconception(
    "counts the table twice",
    "You counted the table twice, for input and output. In the task there is one.",
)
def _(models, vocabulary):
    return exponents(models, 2 * vocabulary)


@exponents.misconception(
    "the exponent of the tokens",
    "These are the exponents of D with C. Those of N are what is missing to 1, since N times D is "
    "C/6.",
)
def _(models, vocabulary):
    N, inner, tokens = counts(models, vocabulary)
    return [slope(N * tokens, tokens), slope(inner * tokens, tokens)]


@exponents.misconception(
    "the two axes exchanged",
    "You fitted log C against log N, which gives the exponent of C with N. The question is how N "
    "grows with C.",
)
def _(models, vocabulary):
    N, inner, tokens = counts(models, vocabulary)
    return [slope(N, N * tokens), slope(inner, inner * tokens)]


@exponents.misconception(
    "parameters against tokens",
    "You fitted log N against log D. The exponent a is that of N with the *compute*.",
)
def _(models, vocabulary):
    N, inner, tokens = counts(models, vocabulary)
    return [slope(tokens, N), slope(tokens, inner)]


@exponents.misconception(
    "the line through the two ends",
    "You drew the line through the first and the last model. Let all of them have a say, by least "
    "squares.",
)
def _(models, vocabulary):
    return exponents([models[0], models[-1]], vocabulary)


@exponents.misconception(
    "one layer in every model",
    "You counted one layer in every model. There are `layers` of them, and the larger models have "
    "more.",
)
def _(models, vocabulary):
    return exponents([(1, width, tokens) for _, width, tokens in models], vocabulary)


@exponents.misconception(
    "no logarithms",
    "You fitted N against C as they are. That slope is no exponent: take the logarithm of both.",
)
def _(models, vocabulary):
    N, inner, tokens = counts(models, vocabulary)
    return [np.polyfit(6 * n * tokens, n, 1)[0] for n in (N, inner)]


@exponents.misconception(
    "without the table first",
    "Your two numbers are right, in the other order: first with the table, then without it.",
)
def _(models, vocabulary):
    return exponents(models, vocabulary)[::-1]
