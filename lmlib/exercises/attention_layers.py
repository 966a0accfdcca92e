"""The exercises of the attention chapter on heads, and on the way from token to token."""

import numpy as np

from lmlib import attention
from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers


# ------------------------------------------------------------------------- the heads
def random_projected(rng):
    T, H, D = rng.integers(2, 5), rng.integers(1, 4), rng.integers(1, 4)
    return Case(*(integers(rng, T, H * D) for _ in range(3)), int(H))


@exercise(
    "attention.heads",
    title="Split, attend, merge",
    cases=[
        Case(np.eye(2), np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), 2),
        Case(np.eye(3, 4), np.eye(3, 4), np.arange(12.0).reshape(3, 4), 2),
        Case(np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]]), np.array([[5.0, 6.0]]), 1),
        random_projected,
    ],
    hints=(
        "Head h owns the columns h·D to (h+1)·D − 1 of *every* token. Print `np.arange(8).reshape("
        "2, 2, 2)`: which axis holds the tokens of a (2, 4) array after that, and which the heads?",
        "`x.reshape(T, heads, D)` first, then exchange its first two axes: (heads, T, D). "
        "`attention.attention` treats the leading axis as many separate problems. Undo both steps "
        "in the opposite order.",
    ),
    minutes=10,
    remark="Reshaping alone never moves a number, it only counts differently. `reshape(heads, T, "
    "D)` has the right shape and the wrong contents: a head gets whole *tokens* instead of its "
    "columns. No shape complains; only a comparison with other code, or with one head at a time, "
    "shows it.",
)
def multi_head(query, key, value, heads):
    """Return the (T, C) output of all heads; the inputs are (T, C)."""
    T, C = query.shape
    split = [x.reshape(T, heads, C // heads).swapaxes(0, 1) for x in (query, key, value)]
    output, _ = attention.attention(*split)
    return output.swapaxes(0, 1).reshape(T, C)


def in_heads(x, heads):
    return attention.split_heads(x, heads)


def renamed(x, heads):
    return x.reshape(heads, len(x), -1)


def attended(split, *inputs, **options):
    """The output of attention over inputs that `split` has taken apart."""
    *arrays, heads = inputs
    return attention.attention(*(split(x, heads) for x in arrays), **options)[0]


@multi_head.misconception(
    "renames the axes instead of moving them",
    "You reshaped straight to (heads, T, D). The shape is right, the contents are not: a head now "
    "holds whole neighbouring *tokens*, cut up, instead of its columns of every token. Reshape to "
    "(T, heads, D), then exchange the axes.",
)
def _(query, key, value, heads):
    return attended(renamed, query, key, value, heads).reshape(query.shape)


@multi_head.misconception(
    "splits by renaming, merges well",
    "You merge as one should, but split by reshaping straight to (heads, T, D). That fills a head "
    "with whole tokens, cut up, instead of its columns of every token.",
)
def _(query, key, value, heads):
    return attention.merge_heads(attended(renamed, query, key, value, heads))


@multi_head.misconception(
    "merges by renaming",
    "Your heads are right. When you merge them, (heads, T, D) must become (T, heads, D) *before* "
    "the reshape, or the numbers of different tokens end up in one row.",
)
def _(query, key, value, heads):
    return attended(in_heads, query, key, value, heads).reshape(query.shape)


@multi_head.misconception(
    "the heads of a token attend to each other",
    "You left the axes as (T, heads, D). The leading axis counts separate problems, so each token "
    "became one, and its *heads* attended to each other. No token heard another. Exchange the "
    "first two axes.",
)
def _(query, key, value, heads):
    def split(x, heads):
        return x.reshape(len(x), heads, -1)

    return attended(split, query, key, value, heads).reshape(query.shape)


@multi_head.misconception(
    "averages the heads",
    "You averaged the heads, so the output is only D wide, and what one head found the others "
    "blur. Put them side by side.",
)
def _(query, key, value, heads):
    return attended(in_heads, query, key, value, heads).mean(0)


@multi_head.misconception(
    "adds the heads",
    "You added the heads up. Put them side by side; to mix them is the job of the output "
    "projection, which comes next.",
)
def _(query, key, value, heads):
    return attended(in_heads, query, key, value, heads).sum(0)


@multi_head.misconception(
    "one head of full width",
    "You let one head of the full width attend. There are `heads` of them, each with weights of "
    "its own, made from its own columns.",
)
def _(query, key, value, heads):
    return attention.attention(query, key, value)[0]


@multi_head.misconception(
    "scales by the width of the model",
    "You scaled by 1/√C. A head compares D entries, so its scale is 1/√D; the library takes it "
    "when you give none.",
)
def _(query, key, value, heads):
    scale = query.shape[-1] ** -0.5
    return attention.merge_heads(attended(in_heads, query, key, value, heads, scale=scale))


@multi_head.misconception(
    "deals the columns like cards",
    "You gave head h the columns h, h + heads, h + 2·heads and so on. Trained from the start that "
    "way, a model would be as good; but here, and in nearly all other code, a head owns columns "
    "that stand together.",
)
def _(query, key, value, heads):
    def split(x, heads):
        return x.reshape(len(x), -1, heads).transpose(2, 0, 1)

    return attended(split, query, key, value, heads).transpose(1, 2, 0).reshape(query.shape)


@multi_head.misconception(
    "stops before merging",
    "These are the outputs of the heads, (heads, T, D). Put them side by side: (T, C).",
)
def _(query, key, value, heads):
    return attended(in_heads, query, key, value, heads)


# ------------------------------------------------------------------------- path lengths
def steps(tokens, growth):
    """Layers until a reach that starts at 1 and is multiplied by `growth` covers the tokens."""
    layers, reach = 0, 1
    while reach < tokens:
        layers, reach = layers + 1, reach * growth
    return layers


def random_length(rng):
    kernel = int(rng.integers(2, 6))
    tokens = int(rng.integers(2, 200))
    tokens += kernel ** steps(tokens, kernel) == tokens  # a float logarithm fails at some powers
    return Case(tokens, kernel)


@exercise(
    "attention.path-length",
    title="From the first token to the last",
    cases=[
        Case(2, 3),
        Case(9, 3),
        Case(10, 3),
        Case(16, 2),
        Case(100, 4),
        random_length,
    ],
    hints=(
        "From the first of n tokens to the last it is n − 1 places. How many places can a signal "
        "move in one step of each net?",
        "A kernel of k tokens moves it by k − 1 places; divide and round *up*. With dilation, one "
        "layer sees k tokens, two see k·k, three k·k·k: count layers until that is at least n.",
    ),
    minutes=7,
    remark="The path is one reason among several. It says how often a signal is transformed on its "
    "way, not whether it survives: the gates of an LSTM carry it over hundreds of steps, and "
    "attention, with a path of 1, can still thin it out among many tokens.",
)
def path_lengths(n, kernel):
    """Return a list of steps: RNN, CNN, dilated CNN, attention."""
    dilated, reach = 0, 1
    while reach < n:
        dilated, reach = dilated + 1, reach * kernel
    return [n - 1, -(-(n - 1) // (kernel - 1)), dilated, 1]


def up(a, b):
    return -(-a // b)


@path_lengths.misconception(
    "counts the tokens, not the steps",
    "You gave the RNN n steps. Between n tokens there are n − 1 steps.",
)
def _(n, kernel):
    return [n, *path_lengths(n, kernel)[1:]]


@path_lengths.misconception(
    "a kernel moves by its width",
    "You divided by the width of the kernel. A kernel of k tokens ends at the token itself, so the "
    "farthest it sees is k − 1 places back.",
)
def _(n, kernel):
    rnn, _, dilated, one = path_lengths(n, kernel)
    return [rnn, up(rnn, kernel), dilated, one]


ORDER_OF_GROWTH = (
    "{what} O(n/k) says how the path grows and does not mind a one here or there; a count does. "
    "The signal has n − 1 places to go, and a kernel of k tokens, which ends at the token itself, "
    "moves it by k − 1."
)


@path_lengths.misconception(
    "takes O(n/k) for the count", ORDER_OF_GROWTH.format(what="You gave the CNN n/k, rounded up.")
)
def _(n, kernel):
    rnn, _, dilated, one = path_lengths(n, kernel)
    return [rnn, up(n, kernel), dilated, one]


@path_lengths.misconception(
    "takes O(n) and O(n/k) for the count",
    ORDER_OF_GROWTH.format(what="You gave the RNN n and the CNN n/k, rounded up."),
)
def _(n, kernel):
    return [n, up(n, kernel), *path_lengths(n, kernel)[2:]]


@path_lengths.misconception(
    "gives the formulas of the table",
    ORDER_OF_GROWTH.format(what="You gave n, n/k and the logarithm as they are.")
    + " And a layer that is needed in part is needed: round up.",
)
def _(n, kernel):
    return [n, n / kernel, np.log(n) / np.log(kernel), 1]


@path_lengths.misconception(
    "divides the tokens, not the distance",
    "You divided the number of tokens by k − 1. The signal starts at the first token, so it has "
    "n − 1 places to go.",
)
def _(n, kernel):
    rnn, _, dilated, one = path_lengths(n, kernel)
    return [rnn, up(n, kernel - 1), dilated, one]


@path_lengths.misconception(
    "rounds down",
    "You rounded the number of layers down. A layer that is only needed in part must be there "
    "all the same: round up.",
)
def _(n, kernel):
    layers = steps(n, kernel)
    return [n - 1, (n - 1) // (kernel - 1), layers - (kernel**layers > n), 1]


@path_lengths.misconception(
    "the kernel looks ahead, too",
    "You let the kernel reach half of its width to each side, so a signal moves (k − 1)/2 places. "
    "In a language model nobody looks ahead: all of the kernel lies in the past.",
)
def _(n, kernel):
    rnn, _, dilated, one = path_lengths(n, kernel)
    return [rnn, up(2 * rnn, kernel - 1), dilated, one]


@path_lengths.misconception(
    "doubles whatever the kernel is",
    "You doubled the reach in each layer. It is multiplied by the width of the kernel; only with a "
    "kernel of 2 does it double.",
)
def _(n, kernel):
    rnn, cnn, _, one = path_lengths(n, kernel)
    return [rnn, cnn, steps(n, 2), one]


@path_lengths.misconception(
    "dilation changes nothing",
    "You gave the dilated net as many layers as the plain one. Its gaps grow from layer to layer, "
    "1, k, k·k, so its reach is multiplied in each layer, not lengthened.",
)
def _(n, kernel):
    rnn, cnn, _, one = path_lengths(n, kernel)
    return [rnn, cnn, cnn, one]


@path_lengths.misconception(
    "one layer more than needed",
    "You stopped the dilated net only when its reach was *above* n. A reach of n tokens holds the "
    "first and the last: that is enough.",
)
def _(n, kernel):
    rnn, cnn, _, one = path_lengths(n, kernel)
    return [rnn, cnn, steps(n + 1, kernel), one]


@path_lengths.misconception(
    "takes cost for path",
    "For attention you gave the number of comparisons. That is what it *costs*; the path is how "
    "many steps lie between two tokens, and here any two are joined directly.",
)
def _(n, kernel):
    return [*path_lengths(n, kernel)[:3], n * n]


@path_lengths.misconception(
    "attention walks past every token",
    "You gave attention a path of n − 1. The last token is compared with the first directly: one "
    "step.",
)
def _(n, kernel):
    return [*path_lengths(n, kernel)[:3], n - 1]


@path_lengths.misconception(
    "attention needs no step",
    "You gave attention a path of 0. It is one step, whatever the distance.",
)
def _(n, kernel):
    return [*path_lengths(n, kernel)[:3], 0]
