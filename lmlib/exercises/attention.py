"""The exercises of the attention chapter's first half: the formula, piece by piece."""

import numpy as np

from lmlib import attention
from lmlib.exercises import Case, exercise


def softmax(scores, axis=-1):
    """Shared by the wrong answers, whose mistake lies elsewhere."""
    weights = np.exp(scores - scores.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def integers(rng, *shape, largest=3):
    """Small whole numbers as floats: a learner can follow them with a pencil."""
    return rng.integers(-largest, largest + 1, size=shape).astype(float)


# ------------------------------------------------------------------------- by hand
PRODUCTS, VALUES = np.array([2.0, 4.0, 0.0]), np.array([20.0, 10.0, 40.0])


@exercise(
    "attention.by-hand",
    title="What 坚持 takes home",
    hints=(
        "Four steps: three products, one division, three weights, one average. The division "
        "belongs between the products and the exponentials.",
        "The products are 2, 4 and 0, and √D = 2. So the weights are as e¹ : e² : e⁰; divide each "
        "by the sum of the three, then average the values with them.",
    ),
    minutes=5,
    remark="The scores are 1, 2, 0, the weights 0.245, 0.665, 0.090, and the output is 15.15: "
    "0.245 times 20, 0.665 times 10 and 0.090 times 40. Look at 他: its product is 0, "
    "and it still adds 3.6 to the output, because e⁰ is 1 and its value is large.",
)
def taken():
    """The output at 坚持, one number: 12.5, or 25/2."""
    weights = np.exp([2 / 2, 4 / 2, 0 / 2])
    weights /= weights.sum()
    return weights @ [20, 10, 40]


@taken.misconception(
    "forgets the scale",
    "You took the products as they are. Divide them by √D first; without that, 下雨了 gets 0.87 of "
    "the weight instead of 0.67.",
)
def _():
    return softmax(PRODUCTS) @ VALUES


@taken.misconception(
    "divides by D",
    "You divided the products by 4, the width itself. The formula has its *root*, so divide by 2.",
)
def _():
    return softmax(PRODUCTS / 4) @ VALUES


@taken.misconception(
    "scales the output",
    "You divided by √D at the end. The scale belongs to the scores, before the exponentials: "
    "there it decides how sharply the weights choose. At the end it would only shrink the output.",
)
def _():
    return softmax(PRODUCTS) @ VALUES / 2


@taken.misconception(
    "shares by the scores themselves",
    "You divided each score by their sum. The softmax takes the *exponentials* first. That is why "
    "a product of 0 still gets some weight, and a negative one would, too.",
)
def _():
    return PRODUCTS / PRODUCTS.sum() @ VALUES


@taken.misconception(
    "a product of zero is no weight",
    "You left 他 out, as its product is 0. But e⁰ is 1, not 0: a softmax never gives exactly "
    "nothing.",
)
def _():
    return softmax(PRODUCTS[:2] / 2) @ VALUES[:2]


@taken.misconception(
    "the best match takes all",
    "You took the value of the best match alone. Attention is a soft choice: it averages all "
    "values, and the best match only has the largest weight.",
)
def _():
    return 10


@taken.misconception(
    "weighs all alike",
    "You averaged the three values with equal weights. The weights come from the products.",
)
def _():
    return VALUES.mean()


@taken.misconception(
    "forgets to normalise",
    "You multiplied the values by the exponentials. Divide each of these by the sum of all three "
    "first: weights sum to 1, so the output lies between the smallest and the largest value.",
)
def _():
    return np.exp(PRODUCTS / 2) @ VALUES


@taken.misconception(
    "weighs with the scores",
    "You multiplied the values by the scores. Between the two stands the softmax, which turns "
    "scores into weights: positive numbers that sum to 1.",
)
def _():
    return PRODUCTS / 2 @ VALUES


@taken.misconception(
    "gives the largest weight",
    "That is the weight of 下雨了. The output is the average of the values that this weight and "
    "the other two make.",
)
def _():
    return softmax(PRODUCTS / 2).max()


# ------------------------------------------------------------------------- the three roles
def random_head(rng):
    T, C, D = rng.integers(2, 5, size=3)
    return Case(integers(rng, T, C), *(integers(rng, C, D, largest=1) for _ in range(3)))


@exercise(
    "attention.three-roles",
    title="Three roles for one token",
    cases=[
        Case(np.eye(2), np.array([[2.0, 0], [0, 1]]), np.eye(2), np.array([[1.0, 2], [3, 4]])),
        Case(np.array([[1.0, 0], [2, 1]]), np.eye(2), np.array([[0.0, 1], [1, 1]]), -np.eye(2)),
        random_head,
    ],
    hints=(
        "A token plays three roles, so it is projected three times. Which of the three makes what "
        "is compared, and which makes what is averaged?",
        "`attention.attention(query, key, value)` compares and averages; it returns the output "
        "and the weights. Give it three products of `x`, and keep the first of the two.",
    ),
    minutes=5,
    remark="Three matrices, because asking, being found and having something to say are three "
    "different things. With one matrix for queries and keys, the score of i for j would be that "
    "of j for i: 坚持 could not look for 下雨了 unless 下雨了 looked for 坚持.",
)
def self_attention(x, W_query, W_key, W_value):
    """Return the output (T, D) of one head; x is (T, C), a matrix (C, D)."""
    output, _ = attention.attention(x @ W_query, x @ W_key, x @ W_value)
    return output


@self_attention.misconception(
    "averages the tokens themselves",
    "You averaged the rows of `x`. What a token *says* is its value, `x` times the value matrix; "
    "it need not be what the token is, nor be as wide.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query, x @ W_key, x)[0]


@self_attention.misconception(
    "projects after averaging, too",
    "You multiplied by the value matrix twice. Once is enough, before the average or after it: "
    "both are linear.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query, x @ W_key, x @ W_value)[0] @ W_value


@self_attention.misconception(
    "swaps query and key",
    "You exchanged queries and keys, which turns the matrix of scores over: row i then says who "
    "looks *at* token i. Row i must be what token i looks at.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_key, x @ W_query, x @ W_value)[0]


@self_attention.misconception(
    "one projection for query and key",
    "You used the query matrix for the keys as well. What a token looks for and what it can be "
    "found by are two different things.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query, x @ W_query, x @ W_value)[0]


@self_attention.misconception(
    "pays out the keys",
    "You averaged the keys. The key decides *whether* a token is heard; what it says is its value.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query, x @ W_key, x @ W_key)[0]


@self_attention.misconception(
    "compares the tokens themselves",
    "You compared the rows of `x` with one another. Then every token finds what resembles itself; "
    "the two matrices let it look for something else.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x, x, x @ W_value)[0]


@self_attention.misconception(
    "scales by the width of the model",
    "Your scale is 1/√C. The products are sums over the D entries of a query and a key, so it is "
    "1/√D; the library takes it when you give none.",
)
def _(x, W_query, W_key, W_value):
    scale = x.shape[-1] ** -0.5
    return attention.attention(x @ W_query, x @ W_key, x @ W_value, scale=scale)[0]


@self_attention.misconception(
    "forgets the scale",
    "You did not scale the scores. They are sums over D entries: divide by √D, or leave it to "
    "`attention.attention`, which does so.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query, x @ W_key, x @ W_value, scale=1.0)[0]


@self_attention.misconception(
    "turns the matrices over",
    "You multiplied by the transposed matrices. `torch.nn.Linear` stores its weight as (out, in) "
    "and needs that; here each matrix is (C, D), so it is `x` times the matrix. With C = D nobody "
    "would have stopped you.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query.T, x @ W_key.T, x @ W_value.T)[0]


@self_attention.misconception(
    "gives the weights",
    "These are the weights, (T, T). The output is the average of the values that they make.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query, x @ W_key, x @ W_value)[1]


@self_attention.misconception(
    "gives output and weights",
    "`attention.attention` returns two arrays, the output and the weights. Keep the first.",
)
def _(x, W_query, W_key, W_value):
    return attention.attention(x @ W_query, x @ W_key, x @ W_value)


# ------------------------------------------------------------------------- the scale
def random_heads(rng):
    H, T, D = rng.integers(2, 4), rng.integers(2, 6), rng.integers(2, 7)
    return Case(integers(rng, H, T, D), integers(rng, H, T, D))


@exercise(
    "attention.scale",
    title="The missing root",
    cases=[
        Case(np.ones((2, 1, 3)), np.ones((2, 1, 3))),
        Case(
            np.array([[[2.0, 0], [0, 2], [1, 1]]] * 2), np.array([[[1.0, 1], [1, 0], [0, 0]]] * 2)
        ),
        random_heads,
    ],
    hints=(
        "A score is a sum. Over how many products does it run: the width of the model, or the "
        "width of one head?",
        "`key.swapaxes(-1, -2)` is (H, D, T), so `query @ key.swapaxes(-1, -2)` holds all scores, "
        "(H, T, T). `query.shape[-1]` is D. Scale first, then call the softmax.",
    ),
    minutes=5,
    remark="A sum of D products of independent numbers with variance 1 has variance D. Dividing "
    "by its standard deviation √D keeps the scores at the same size whatever the width of a head, "
    "and so keeps the softmax as sharp or as soft as it was.",
)
def weights_of(query, key):
    """Return the weights (H, T, T); query and key are (H, T, D)."""
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    return attention.masked_softmax(scores)


def products(query, key):
    return query @ key.swapaxes(-1, -2)


@weights_of.misconception(
    "scales by the width of the model",
    "You divided by √(H·D), the root of the model's width. A head compares D entries of the query "
    "with D of the key, and only these are summed: √D. With one head you would not notice.",
)
def _(query, key):
    H, _, D = query.shape
    return softmax(products(query, key) / np.sqrt(H * D))


@weights_of.misconception(
    "divides by D",
    "You divided by D, without the root. The *variance* of the products grows with D; their size, "
    "the standard deviation, grows with √D. Divided by D, wide heads would hardly choose at all.",
)
def _(query, key):
    return softmax(products(query, key) / query.shape[-1])


@weights_of.misconception(
    "forgets the scale",
    "You did not scale. The wider a head, the larger its products, and the sooner its softmax "
    "gives nearly everything to one token.",
)
def _(query, key):
    return softmax(products(query, key))


@weights_of.misconception(
    "scales after the softmax",
    "You divided the weights by √D, so the rows no longer sum to 1, and they are as hard as "
    "without a scale. It belongs to the scores, before the softmax.",
)
def _(query, key):
    return softmax(products(query, key)) / np.sqrt(query.shape[-1])


@weights_of.misconception(
    "multiplies by the root",
    "You multiplied by √D. The products are too large already; divide.",
)
def _(query, key):
    return softmax(products(query, key) * np.sqrt(query.shape[-1]))


@weights_of.misconception(
    "scales by the length",
    "You divided by √T, the root of the number of tokens. The scale belongs to the sum inside one "
    "score, and that runs over the D entries of a head. (`len(query)` and `shape[-2]` are not D.)",
)
def _(query, key):
    return softmax(products(query, key) / np.sqrt(query.shape[-2]))


@weights_of.misconception(
    "scales by the number of heads",
    "You divided by √H: `len(query)` and `shape[0]` count the heads. D is the last axis.",
)
def _(query, key):
    return softmax(products(query, key) / np.sqrt(len(query)))


@weights_of.misconception(
    "sums over the queries",
    "Your columns sum to 1. Each *query* has a weight of 1 to share out among the keys, and the "
    "queries are the rows: the softmax runs along the last axis.",
)
def _(query, key):
    return softmax(products(query, key) / np.sqrt(query.shape[-1]), axis=-2)


@weights_of.misconception(
    "stops at the scores",
    "These are the scaled scores. The softmax makes weights of them.",
)
def _(query, key):
    return products(query, key) / np.sqrt(query.shape[-1])
