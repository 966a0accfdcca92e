"""The exercises of the scaling-laws chapter on the frontier: the best split, and how sure it is."""

import numpy as np

from lmlib.exercises import Case, exercise


# ------------------------------------------------------------------------- the frontier
def random_law(rng):
    A, B = (float(x) for x in rng.integers(1, 40, size=2) * 50)
    alpha, beta = (float(x) for x in rng.choice(np.arange(20, 60), 2, replace=False) / 100)
    return Case(float(10 ** rng.uniform(15, 25)), A, B, alpha, beta)


@exercise(
    "scaling_laws.optimum",
    title="Spend it well",
    cases=[
        Case(600.0, 4.0, 1.0, 0.5, 0.5),
        Case(5.76e23, 406.4, 410.7, 0.34, 0.28),
        random_law,
    ],
    hints=(
        "With D = C/6N, the loss is a function of N alone: a term that falls with N, and one that "
        "rises. Where is its derivative zero? E plays no part.",
        "The derivative is zero where α·A/N^α = β·B/D^β. Put D = C/6N in: N^(α+β) = "
        "(αA/βB)·(C/6)^β. Take the root, then D = C/6N.",
    ),
    minutes=10,
    view=list,
    tolerance=2e-3,
    remark="With $G = (\\alpha A / \\beta B)^{1/(\\alpha+\\beta)}$ it is $N = G\\,(C/6)^a$ and "
    "$D = (C/6)^b / G$, with $a = \\beta/(\\alpha+\\beta)$ and $b = 1 - a$. So $D/N$ stays the "
    "same for all budgets only if $\\alpha = \\beta$. The famous 20 tokens for each "
    "parameter belong to one budget, and to two of that paper's three approaches. Its law, the "
    "third, asks for 93 at the same budget with the constants as printed, and for 59 with the "
    "constants before they were rounded.",
)
def optimum(compute, A, B, alpha, beta):
    """Return [N, D] of the lowest loss for 6 N D = compute."""
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    N = G * (compute / 6) ** (beta / (alpha + beta))
    return [N, compute / (6 * N)]


def spent(compute, A, B, alpha, beta, per_pair=6, ratio=None, root=None, share=None):
    """N and D, with one of the three parts replaced: alpha A / beta B, the root, the exponent a."""
    ratio = alpha * A / (beta * B) if ratio is None else ratio
    root = 1 / (alpha + beta) if root is None else root
    share = beta / (alpha + beta) if share is None else share
    N = ratio**root * (compute / per_pair) ** share
    return [N, compute / (per_pair * N)]


@optimum.misconception(
    "twenty tokens for each parameter",
    "You took 20 tokens for each parameter. That is no law: it is the answer for one set of "
    "constants and one budget, and it moves with both unless α = β.",
)
def _(compute, A, B, alpha, beta):
    N = np.sqrt(compute / 120)
    return [N, 20 * N]


@optimum.misconception(
    "forgets the six",
    "You spent C = N·D. Each parameter costs 6 FLOP for each token, so divide the compute by 6.",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, per_pair=1)


@optimum.misconception(
    "pays for the forward pass only",
    "You spent C = 2ND, the way forward alone. Training also goes back, which costs twice as much: "
    "6ND.",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, per_pair=2)


@optimum.misconception(
    "forgets the six in the tokens",
    "Your N is right. Your D is C/N, which would cost six times the budget.",
)
def _(compute, A, B, alpha, beta):
    N, D = optimum(compute, A, B, alpha, beta)
    return [N, 6 * D]


@optimum.misconception(
    "exchanges the exponents",
    "You exchanged a and b. The exponent of N is β/(α+β): the faster more *data* help, the less of "
    "them you need, and the more is left for parameters.",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, share=alpha / (alpha + beta))


@optimum.misconception(
    "turns G over",
    "Your exponents are right, G is upside down. The larger A is, the more there is to gain from "
    "parameters: αA stands above, βB below.",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, ratio=beta * B / (alpha * A))


@optimum.misconception(
    "balances the two terms",
    "You made A/N^α and B/D^β equal. At the lowest point it is their *slopes* that balance: "
    "α·A/N^α = β·B/D^β. What counts is what the next FLOP gains, not what is left.",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, ratio=A / B)


@optimum.misconception(
    "turns the exponents in G over",
    "In G you have βA/αB. The derivative of A/N^α brings α down beside A: αA/βB.",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, ratio=beta * A / (alpha * B))


@optimum.misconception(
    "forgets the root",
    "You left out the root: G is αA/βB to the power of 1/(α+β).",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, root=1)


@optimum.misconception(
    "forgets G",
    "You have (C/6) to the power of a, and of b. That would be right if A and B had no say; the "
    "factor G is missing, in N and, as 1/G, in D.",
)
def _(compute, A, B, alpha, beta):
    return spent(compute, A, B, alpha, beta, ratio=1)


@optimum.misconception(
    "forgets G in the tokens",
    "Your N is right. Your D lacks the factor 1/G, so 6ND is not your budget.",
)
def _(compute, A, B, alpha, beta):
    N, _ = optimum(compute, A, B, alpha, beta)
    return [N, (compute / 6) ** (alpha / (alpha + beta))]


@optimum.misconception(
    "gives G to the tokens as it is",
    "Your N is right. D has the factor 1/G, not G: what N takes more, D must take less.",
)
def _(compute, A, B, alpha, beta):
    N, D = optimum(compute, A, B, alpha, beta)
    return [N, D * (alpha * A / (beta * B)) ** (2 / (alpha + beta))]


@optimum.misconception(
    "halves the logarithm",
    "You took as many tokens as parameters. That is right only if A = B and α = β.",
)
def _(compute, A, B, alpha, beta):
    return [np.sqrt(compute / 6)] * 2


@optimum.misconception(
    "gives the tokens first",
    "Your two numbers are right, in the other order: first N, then D.",
)
def _(compute, A, B, alpha, beta):
    return optimum(compute, A, B, alpha, beta)[::-1]


# ------------------------------------------------------------------------- the interval
RESAMPLES = 41  # then the 2.5 % and 97.5 % points fall on a prediction, however one interpolates


def resampled(rng, configurations):
    """Rows of configurations; no row holds the same one throughout, as that makes no line."""
    picks = rng.integers(0, configurations, (RESAMPLES, configurations))
    picks[np.ptp(picks, axis=1) == 0, 0] += 1
    return picks % configurations


def random_sweep(rng):
    rows, seeds = int(rng.integers(3, 7)), int(rng.integers(2, 4))
    compute = rng.permutation(1e9 * 4.0 ** np.arange(rows))
    line = 0.8 * (compute / 1e9) ** -rng.uniform(0.1, 0.4)
    form = rng.normal(0, 0.05, rows)  # shared by the seeds of a configuration
    excess = line[:, None] * np.exp(form[:, None] + rng.normal(0, 0.05, (rows, seeds)))
    return Case(compute, excess.round(4), 1e9 * 4.0**rows * 10, resampled(rng, rows))


FEW = np.array([[0.42, 0.38], [0.2, 0.21], [0.1, 0.11]])


@exercise(
    "scaling_laws.interval",
    title="How sure is the line?",
    cases=[
        Case(
            np.array([1e3, 1e5, 1e7]),
            FEW,
            1e9,
            np.array([[0, 1, 2], [0, 0, 1], [1, 2, 2], [0, 2, 2], [0, 1, 1]] * 8 + [[0, 1, 2]]),
        ),
        random_sweep,
    ],
    hints=(
        "For each row of `picks`: which configurations are in it, how often, and which line fits "
        "all their runs? Keep the prediction at `new`, and nothing else of that line.",
        "`excess[row]` holds all the runs of one resample, a configuration drawn twice with two "
        "rows. `np.polyfit(x, y, 1)` takes a y with several columns only if each may have its own "
        "line; so take the mean of the *logarithms* over the seeds, or repeat x for each seed.",
    ),
    minutes=10,
    view=list,
    remark="This is an interval for the *line*, where the mean of many seeds would fall. One run "
    "scatters about it as well: to bet on a run, add the spread between seeds. And no resampling "
    "of small runs can see that the form itself bends further out. So when you sign, be a little "
    "wider than the bootstrap.",
)
def interval(compute, excess, new, picks):
    """Return [low, high], the middle 95 % of the excess at new."""
    x, y = np.log(compute), np.log(excess).mean(axis=1)
    predicted = []
    for row in picks:
        slope, intercept = np.polyfit(x[row], y[row], 1)
        predicted.append(np.exp(intercept + slope * np.log(new)))
    return list(np.quantile(predicted, [0.025, 0.975]))


def lines(compute, excess, picks):
    """(resamples, 2): slope and intercept of each."""
    x, y = np.log(compute), np.log(excess).mean(axis=1)
    return np.array([np.polyfit(x[row], y[row], 1) for row in picks])


def at(lines, new):
    return np.exp(lines[..., 1] + lines[..., 0] * np.log(new))


def predictions(compute, excess, new, picks):
    return at(lines(compute, excess, picks), new)


def middle(predicted):
    return list(np.quantile(predicted, [0.025, 0.975]))


@interval.misconception(
    "resamples seeds as runs of their own",
    "You let `picks` count single runs. The seeds of one configuration share its compute and its "
    "distance from the line; they are not independent witnesses, and so such an interval comes out "
    "too narrow. Draw configurations, and each brings all its seeds.",
)
def _(compute, excess, new, picks):
    runs = excess.reshape(-1, 1)
    return middle(predictions(np.repeat(compute, excess.shape[1]), runs, new, picks))


@interval.misconception(
    "one seed of each",
    "You used the first seed of each configuration only. A configuration that is drawn brings all "
    "its seeds along.",
)
def _(compute, excess, new, picks):
    return middle(predictions(compute, excess[:, :1], new, picks))


@interval.misconception(
    "resamples the residuals",
    "You kept the configurations and dealt out their residuals anew. That supposes that the line "
    "is right and every residual could have stood anywhere, which is what you want to find out. "
    "Draw the configurations themselves.",
)
def _(compute, excess, new, picks):
    x, y = np.log(compute), np.log(excess).mean(axis=1)
    fitted = np.polyval(np.polyfit(x, y, 1), x)
    drawn = [fitted + (y - fitted)[row] for row in picks]
    return middle([at(np.polyfit(x, y, 1), new) for y in drawn])


@interval.misconception(
    "an interval for each constant",
    "You cut slope and intercept each on its own and then drew the two extreme lines. Slope and "
    "intercept go together: a steeper line starts higher. Predict with each line first, then cut "
    "the *predictions*.",
)
def _(compute, excess, new, picks):
    return sorted(at(np.quantile(lines(compute, excess, picks), [0.025, 0.975], axis=0), new))


@interval.misconception(
    "takes the standard error of the mean",
    "You divided the spread of the predictions by the root of their number. More resamples would "
    "then make you surer, without one more run. The spread itself is the uncertainty.",
)
def _(compute, excess, new, picks):
    predicted = predictions(compute, excess, new, picks)
    reach = 1.96 * predicted.std() / np.sqrt(len(predicted))
    return [predicted.mean() - reach, predicted.mean() + reach]


@interval.misconception(
    "two standard deviations",
    "You took the mean ± 1.96 standard deviations. That supposes a bell curve, and predictions far "
    "out are lopsided. You have the predictions: cut 2.5 % off either end.",
)
def _(compute, excess, new, picks):
    predicted = predictions(compute, excess, new, picks)
    reach = 1.96 * predicted.std()
    return [predicted.mean() - reach, predicted.mean() + reach]


@interval.misconception(
    "the scatter about the line",
    "You took one line and the scatter of the runs about it, ± 1.96 standard deviations. That is "
    "how far a run lies from the line where there are runs. Far out, it is the line itself that is "
    "uncertain.",
)
def _(compute, excess, new, picks):
    x, y = np.log(compute), np.log(excess).mean(axis=1)
    constants = np.polyfit(x, y, 1)
    reach = 1.96 * (y - np.polyval(constants, x)).std()
    return [at(constants, new) * np.exp(-reach), at(constants, new) * np.exp(reach)]


@interval.misconception(
    "cuts five per cent off either end",
    "You cut 5 % off either end, which leaves 90 %. For the middle 95 %, cut 2.5 %.",
)
def _(compute, excess, new, picks):
    return list(np.quantile(predictions(compute, excess, new, picks), [0.05, 0.95]))


@interval.misconception(
    "cuts one end only",
    "You cut 5 % off the upper end and nothing off the lower one. The middle 95 % leave out 2.5 % "
    "at either end.",
)
def _(compute, excess, new, picks):
    return list(np.quantile(predictions(compute, excess, new, picks), [0, 0.95]))


@interval.misconception(
    "the smallest and the largest",
    "You gave the smallest and the largest prediction. These grow apart with every resample more; "
    "cut 2.5 % off either end.",
)
def _(compute, excess, new, picks):
    return list(np.quantile(predictions(compute, excess, new, picks), [0, 1]))


@interval.misconception(
    "each configuration once",
    "You used each configuration of a resample once, as in a set. Drawing with repetition is what "
    "makes a bootstrap: a configuration that was drawn twice weighs twice.",
)
def _(compute, excess, new, picks):
    return middle(predictions(compute, excess, new, [np.unique(row) for row in picks]))


@interval.misconception(
    "averages before the logarithm",
    "You took the mean over the seeds first and its logarithm after. The line is fitted to the "
    "logarithms of the runs, so take these first; their mean is a little lower.",
)
def _(compute, excess, new, picks):
    return middle(predictions(compute, excess.mean(axis=1, keepdims=True), new, picks))


@interval.misconception(
    "a line without logarithms",
    "You fitted a straight line to excess and compute themselves. It falls below zero before long. "
    "The law is a straight line in the logarithms.",
)
def _(compute, excess, new, picks):
    y = excess.mean(axis=1)
    fits = [np.polyfit(compute[row], y[row], 1) for row in picks]
    return middle([np.polyval(constants, new) for constants in fits])


@interval.misconception(
    "stops at the logarithm",
    "You gave the logarithms of the excess. Take them back with `np.exp`.",
)
def _(compute, excess, new, picks):
    return [np.log(x) for x in interval(compute, excess, new, picks)]
