"""The exercises of the layer normalisation chapter on what a map shows and what can be left out."""

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers
from lmlib.exercises.layernorm import as_numbers


# ------------------------------------------------------------------------- read the map
def random_map(rng):
    shape = rng.integers(2, 4), rng.integers(2, 4), rng.integers(2, 4)
    losses = rng.integers(240, 330, size=shape) / 100 + 0.005  # never equal to guessing less margin
    losses[rng.random(shape) < 0.1] = np.nan
    losses[0, 0] = rng.integers(240, 280, size=shape[-1]) / 100 + 0.005  # one cell has learned
    return Case(losses, 3.1, float(rng.choice([0.05, 0.1, 0.2])))


NAN = np.nan


@exercise(
    "layernorm.read-map",
    title="Read the map",
    view=as_numbers,
    cases=[
        Case(np.array([[[2.5, 2.6], [2.4, 3.3]], [[2.7, 2.8], [NAN, NAN]]]), 3.1, 0.1),
        Case(np.array([[[2.9, 2.8], [2.2, 3.2]], [[3.05, 3.05], [2.1, NAN]]]), 3.1, 0.1),
        Case(np.array([[[2.53, 2.52, 2.54], [2.47, 2.61, 2.45]]]), 3.1, 0.1),
        Case(np.array([[[2.5, 2.5, 2.5]], [[3.15, 3.15, 3.15]]]), 3.1, 0.1),
        random_map,
    ],
    hints=(
        "Two questions, and the second one is asked of the cells that passed the first. What does "
        "`nan < 3.0` give, and what would `not (nan >= 3.0)` give?",
        "`losses < guessing - margin` is an array of booleans. Which of `.all(-1)`, `.any(-1)` "
        "and `.mean(-1)` says “every seed”? The result picks cells out of `losses.mean(-1)`.",
    ),
    minutes=6,
    remark="The two numbers measure two things: over how many settings a design works, and how "
    "well it does at its best. Most quarrels about normalisation mix them. In this chapter Pre-LN "
    "and scaled branches without a norm both learn in 20 of 20 cells, and the lower loss is that "
    "of the branches without a norm.",
)
def read_map(losses, guessing, margin):
    """Return [cells that learned, lowest mean loss among them]."""
    learned = (losses < guessing - margin).all(-1)
    return [learned.sum(), losses.mean(-1)[learned].min()]


def best(losses, learned):
    """The lowest seed mean among some cells, diverged runs left out."""
    means = np.nanmean(losses, -1)[learned]
    return float(np.nanmin(means)) if np.isfinite(means).any() else float("nan")


@read_map.misconception(
    "judges the mean of the seeds",
    "You compared the mean of the seeds with guessing. A seed that collapsed can hide behind two "
    "that did well. Every one has to pass.",
)
def _(losses, guessing, margin):
    learned = losses.mean(-1) < guessing - margin
    return [int(learned.sum()), best(losses, learned)]


@read_map.misconception(
    "any seed will do",
    "You let a cell pass if one of its seeds did. Training that works with luck does not work; "
    "every seed has to pass.",
)
def _(losses, guessing, margin):
    learned = (losses < guessing - margin).any(-1)
    return [int(learned.sum()), best(losses, learned)]


@read_map.misconception(
    "counts a diverged run as learned",
    "You asked whether a run is *not above* the limit. NaN is neither above nor below anything, "
    "so diverged runs pass. Ask whether it is below.",
)
def _(losses, guessing, margin):
    learned = ~(losses >= guessing - margin).any(-1)
    return [int(learned.sum()), best(losses, learned)]


@read_map.misconception(
    "leaves the diverged runs out",
    "You left out the runs that diverged and judged the others. A cell where one seed of three "
    "blows up is not one to train in.",
)
def _(losses, guessing, margin):
    below = losses < guessing - margin
    learned = (below | np.isnan(losses)).all(-1) & below.any(-1)
    return [int(learned.sum()), best(losses, learned)]


@read_map.misconception(
    "forgets the margin",
    "You compared with guessing itself. A run stuck at guessing wobbles about it, and half of the "
    "time it is below. Ask for the margin.",
)
def _(losses, guessing, margin):
    return read_map(losses, guessing, 0)


@read_map.misconception(
    "adds the margin",
    "You added the margin, so a run may be *worse* than guessing and pass. Better means lower: "
    "subtract it.",
)
def _(losses, guessing, margin):
    return read_map(losses, guessing, -margin)


@read_map.misconception(
    "takes the luckiest run for the best cell",
    "Your count is right. Then you took the lowest single run. Among many runs one is always "
    "lucky; the loss of a cell is the mean of its seeds.",
)
def _(losses, guessing, margin):
    learned = (losses < guessing - margin).all(-1)
    return [int(learned.sum()), losses[learned].min()]


@read_map.misconception(
    "takes the best of all cells",
    "Your count is right. Then you looked for the lowest mean in the whole map; a cell that has "
    "not learned can win there, with a lucky seed and a lost one. Look among those that learned.",
)
def _(losses, guessing, margin):
    count, _ = read_map(losses, guessing, margin)
    means = losses.mean(-1)
    return [count, means[np.isfinite(means)].min()]


@read_map.misconception(
    "counts the runs",
    "You counted runs. Count cells: one depth at one rate, all seeds together.",
)
def _(losses, guessing, margin):
    return [int((losses < guessing - margin).sum()), read_map(losses, guessing, margin)[1]]


@read_map.misconception(
    "counts the cells near the best",
    "You counted the cells within the margin of the best one. That asks where a design is good; "
    "whether it *learns* is asked against guessing, the same line for all designs.",
)
def _(losses, guessing, margin):
    _, lowest = read_map(losses, guessing, margin)
    return [int((losses.mean(-1) <= lowest + margin).sum()), lowest]


@read_map.misconception(
    "gives the share",
    "You gave the share of the cells. The question is how many.",
)
def _(losses, guessing, margin):
    count, lowest = read_map(losses, guessing, margin)
    return [count / losses[..., 0].size, lowest]


@read_map.misconception(
    "takes the worst",
    "Your count is right. Then you gave the highest loss of the cells that learned; lower is "
    "better.",
)
def _(losses, guessing, margin):
    learned = (losses < guessing - margin).all(-1)
    return [int(learned.sum()), losses.mean(-1)[learned].max()]


# ------------------------------------------------------------------------- fold the gain away
def random_fold(rng):
    C, D = rng.integers(2, 5, size=2)
    return Case(*(integers(rng, *shape) for shape in ((C,), (C,), (C, D), (D,))))


@exercise(
    "layernorm.fold",
    title="The gain that was not there",
    cases=[
        Case(np.array([2.0, 3]), np.zeros(2), np.array([[1.0, 2], [3, 4]]), np.zeros(2)),
        Case(np.ones(2), np.array([1.0, 2]), np.array([[1.0, 2], [3, 4]]), np.array([5.0, 6])),
        Case(
            np.array([2.0, 1, 3]),
            np.array([1.0, 0, -1]),
            np.array([[1.0, 2], [3, 4], [5, 6]]),
            np.array([1.0, 0]),
        ),
        random_fold,
    ],
    hints=(
        "Write (γ x̂ + β) W + b as a sum of two terms, one with x̂ and one without it. The first "
        "gives W2, the second b2.",
        "Feature i of x̂ is multiplied by γᵢ and then meets row i of W: so γ multiplies the *rows*, "
        "`gain[:, None]`. What is left is β W + b, a vector of length D.",
    ),
    minutes=6,
    remark="After the norm of a Pre-LN block comes a linear layer, always. So gain and bias let "
    "the model say nothing that it could not say without them; they only change how it gets there "
    "in training. Without them the losses of this chapter did not change by more than the seeds "
    "do.",
)
def fold(gain, bias, W, b):
    """Return W2 (C, D) and b2 (D,) that make gain and bias needless."""
    return gain[:, None] * W, bias @ W + b


@fold.misconception(
    "multiplies the columns",
    "You multiplied the *columns* of W by the gain, as NumPy does with `gain * W` where the "
    "shapes allow it. In y @ W feature i meets row i: the gain belongs to the rows.",
)
def _(gain, bias, W, b):
    return gain * W, bias @ W + b


@fold.misconception(
    "adds the bias as it is",
    "You added β to b. But β goes through the linear layer like the rest of y: what arrives is "
    "β W. It need not even have the length of b.",
)
def _(gain, bias, W, b):
    return gain[:, None] * W, bias + b


@fold.misconception(
    "forgets the bias",
    "Your W2 is right. β goes through the linear layer, too, and comes out as a constant that b2 "
    "must hold.",
)
def _(gain, bias, W, b):
    return gain[:, None] * W, b


@fold.misconception(
    "forgets the old b",
    "You replaced b by β W. The linear layer's own b is still added.",
)
def _(gain, bias, W, b):
    return gain[:, None] * W, bias @ W


@fold.misconception(
    "multiplies from the wrong side",
    "You computed W β. The layer computes y W, with y on the left: β meets the rows of W as y "
    "does. If W is square, no shape warns you.",
)
def _(gain, bias, W, b):
    return gain[:, None] * W, W @ bias + b


@fold.misconception(
    "multiplies the bias by the gain",
    "You sent β through W2, where the gain is already in it. The gain multiplies x̂ only; β is "
    "added after it and meets W as it was.",
)
def _(gain, bias, W, b):
    return gain[:, None] * W, bias @ (gain[:, None] * W) + b


@fold.misconception(
    "divides by the gain",
    "You divided the rows by the gain. Nothing has to be undone: W2 must do what γ and W did one "
    "after the other, so multiply.",
)
def _(gain, bias, W, b):
    return W / gain[:, None], bias @ W + b


@fold.misconception(
    "leaves W as it was",
    "Your b2 is right, and W2 is W. Then the gain is lost, unless all of it is 1.",
)
def _(gain, bias, W, b):
    return W, bias @ W + b
