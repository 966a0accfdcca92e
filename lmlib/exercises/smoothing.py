"""The exercises of the sparsity chapter's second half on how counting is repaired."""

from collections import Counter

import numpy as np

from lmlib.exercises import Case, exercise


# ------------------------------------------------------------------------- add-one, by hand
@exercise(
    "sparsity.add-one-cost",
    title="What adding one costs",
    hints=(
        "Find three numbers: how often `the road` occurs, how many symbols follow *the* in the "
        "three sentences, repetitions included, and how many different symbols can be predicted.",
        "C = 1 and S = 3. The symbols that can be predicted are the seven words, `</s>` and "
        "`<unk>`; `<s>` is given, never predicted.",
    ),
    minutes=4,
    remark="$C^* = (1 + 1) \\cdot 3 / (3 + 9) = \\tfrac12$: of one real occurrence, half is left. "
    "The other half, and as much from *the sea* and *the salt*, went to the six symbols that never "
    "follow *the*. They now hold half of the probability, and this is a world of nine symbols. "
    "Where |V| is in the thousands and S is small, nearly everything goes.",
)
def effective_count():
    """The effective count of "the road" under add-one: 0.8, or 4/5."""
    count, context, symbols = 1, 3, 9
    return (count + 1) * context / (context + symbols)


@effective_count.misconception(
    "counts the start mark as a symbol",
    "You took |V| = 10. The start mark `<s>` is given, never predicted, so it gets no share.",
)
def _():
    return 2 * 3 / (3 + 10)


@effective_count.misconception(
    "leaves out the unknown word",
    "You took |V| = 8. A word that the text does not hold may still come; `<unk>` stands for it, "
    "and gets its one like every other symbol.",
)
def _():
    return 2 * 3 / (3 + 8)


@effective_count.misconception(
    "counts only the seven words",
    "You took |V| = 7. A sentence may end here, or an unknown word may come: `</s>` and `<unk>` "
    "can be predicted too, and each gets its one.",
)
def _():
    return 2 * 3 / (3 + 7)


@effective_count.misconception(
    "adds one to the seen continuations only",
    "An effective count of 1 would mean that adding one costs nothing. It adds one to *every* "
    "symbol that can be predicted, not only to the three that were seen after *the*, and each of "
    "them raises the denominator.",
)
def _():
    return 2 * 3 / (3 + 3)


@effective_count.misconception(
    "gives the probability",
    "That is the probability of *road* after *the*. The effective count is that probability times "
    "S: the count which would give it without any smoothing.",
)
def _():
    return 2 / (3 + 9)


@effective_count.misconception(
    "the raw count plus one",
    "That is the count after one was added. The denominator has grown as well; the effective "
    "count brings it back to S, so that you can compare it with the raw count.",
)
def _():
    return 2


@effective_count.misconception(
    "adds one below the line only",
    "You made the denominator larger and left the count as it was. Add one to the count, too.",
)
def _():
    return 1 * 3 / (3 + 9)


@effective_count.misconception(
    "takes the pairs for the vocabulary",
    "You took |V| = 13, the number of different pairs. After *the* comes one symbol, so |V| "
    "counts symbols.",
)
def _():
    return 2 * 3 / (3 + 13)


@effective_count.misconception(
    "takes all tokens for S",
    "You took S = 16, all tokens of the text. S is how many of them follow *the*.",
)
def _():
    return 2 * 16 / (16 + 9)


# ------------------------------------------------------------------------- one step of EM
def random_pair_of_models(rng):
    size = rng.integers(2, 6)
    p, q = rng.integers(1, 100, size=(2, size)) / 100
    return Case(rng.integers(1, 10) / 10, p, q)


@exercise(
    "sparsity.em-step",
    title="One step of EM",
    cases=[
        Case(0.5, np.array([0.3]), np.array([0.1])),
        Case(0.25, np.array([0.2, 0.0]), np.array([0.4, 0.5])),
        Case(1.0, np.array([0.1, 0.2]), np.array([0.6, 0.7])),
        random_pair_of_models,
    ],
    hints=(
        "First one token. The mixture gave it `weight * p + (1 - weight) * q`. Which share of "
        "this sum came from model p?",
        "The share is `weight * p` divided by the sum. It is a number between 0 and 1 for each "
        "token; the new weight is their mean.",
    ),
    minutes=8,
    remark="Every step makes the held-out text more likely or leaves it as it was. Repeat it until "
    "the weight stands still, and you have the best one. A weight of 0 or 1 never moves again, so "
    "start at one half.",
)
def em_step(weight, p, q):
    """Return the new weight of model p; p and q are arrays."""
    from_p, from_q = weight * p, (1 - weight) * q
    return np.mean(from_p / (from_p + from_q))


@em_step.misconception(
    "the more probable model takes all",
    "You counted the tokens to which model p gave more than model q. A token belongs to both "
    "models, in parts: 0.3 against 0.1 is three to one, not all to nothing. And what a model says "
    "counts in proportion to its weight.",
)
def _(weight, p, q):
    return np.mean(p > q)


@em_step.misconception(
    "the larger part takes all",
    "You gave each token whole to the model with the larger part in it. Give each model its "
    "part: a token for which the parts are 0.3 and 0.1 is three quarters of a token for model p.",
)
def _(weight, p, q):
    return np.mean(weight * p > (1 - weight) * q)


@em_step.misconception(
    "forgets the weight",
    "You compared p with q as if both models had the same weight, so the step would give the same "
    "answer wherever it starts. Multiply each by its weight first.",
)
def _(weight, p, q):
    return np.mean(p / (p + q))


@em_step.misconception(
    "weighs one model only",
    "You multiplied p by its weight and left q as it is. The mixture gives model q the rest, one "
    "minus the weight.",
)
def _(weight, p, q):
    return np.mean(weight * p / (weight * p + q))


@em_step.misconception(
    "gives the factor, not the weight",
    "You divided p by the mixture and left its weight out above the line. The mean of that is the "
    "factor by which the weight changes; the new weight is the old one times this factor.",
)
def _(weight, p, q):
    return np.mean(p / (weight * p + (1 - weight) * q))


@em_step.misconception(
    "divides the sums",
    "You added up over the tokens first and divided once. Then the easy tokens, which both models "
    "make probable, decide alone. Divide for each token, then take the mean.",
)
def _(weight, p, q):
    return np.sum(weight * p) / np.sum(weight * p + (1 - weight) * q)


@em_step.misconception(
    "asks which model wrote the whole text",
    "You multiplied the probabilities over the text. That asks which *one* of the models wrote all "
    "of it, and soon says 0 or 1. In a mixture, every token may come from another model.",
)
def _(weight, p, q):
    from_p, from_q = weight * np.prod(p), (1 - weight) * np.prod(q)
    return from_p / (from_p + from_q)


@em_step.misconception(
    "gives the weight of the other model",
    "That is the new weight of model q. The weight of model p is what is missing to 1.",
)
def _(weight, p, q):
    return 1 - em_step(weight, p, q)


@em_step.misconception(
    "sums the shares",
    "You added up the shares. Divide by the number of tokens: a weight lies between 0 and 1.",
)
def _(weight, p, q):
    return np.sum(weight * p / (weight * p + (1 - weight) * q))


@em_step.misconception(
    "stops at the shares",
    "These are the shares of model p, one for each token. The new weight is one number: their "
    "mean.",
)
def _(weight, p, q):
    return weight * p / (weight * p + (1 - weight) * q)


# ------------------------------------------------------------------------- continuation counts
def random_bigrams(rng):
    bigrams = []
    for _ in range(rng.integers(2, 5)):
        sentence = ["<s>", *rng.choice(list("abc"), size=rng.integers(1, 5)).tolist(), "</s>"]
        bigrams += zip(sentence[:-1], sentence[1:], strict=True)
    return Case(bigrams, str(rng.choice(["a", "b", "c", "</s>"])))


@exercise(
    "sparsity.continuation",
    title="Count contexts, not tokens",
    cases=[
        Case([("hong", "kong"), ("hong", "kong"), ("a", "road"), ("the", "road")], "kong"),
        Case([("<s>", "a"), ("a", "b"), ("b", "a"), ("a", "</s>"), ("<s>", "a")], "a"),
        Case([("<s>", "a"), ("a", "</s>")], "b"),
        random_bigrams,
    ],
    hints=(
        "A pair that occurs a hundred times counts once. What does Python offer that keeps one of "
        "each?",
        "Make a `set` of the pairs. The numerator is how many of them end in the word; the "
        "denominator is how many there are.",
    ),
    minutes=6,
    remark="Over all words these probabilities sum to 1, because every different pair ends in "
    "exactly one word. In some texts *kong* is as frequent as *road*, but it follows *hong* only. "
    "The lower order is asked when the pair is new, that is after some other word, and there "
    "*kong* is a bad guess.",
)
def continuation(bigrams, word):
    """Return the continuation probability of word."""
    different = set(bigrams)
    return sum(second == word for _, second in different) / len(different)


@continuation.misconception(
    "counts tokens",
    "You counted every occurrence. That is the relative frequency of the word; here a pair that "
    "occurs often counts once.",
)
def _(bigrams, word):
    return sum(second == word for _, second in bigrams) / len(bigrams)


@continuation.misconception(
    "counts tokens above the line",
    "Your denominator is right, but above it you counted every occurrence of the word. Count the "
    "different symbols that stand before it.",
)
def _(bigrams, word):
    return sum(second == word for _, second in bigrams) / len(set(bigrams))


@continuation.misconception(
    "divides by all tokens",
    "You counted the contexts of the word well, but divided by the number of all pairs, "
    "repetitions included. Count each different pair once below the line as well, or the "
    "probabilities will not sum to 1.",
)
def _(bigrams, word):
    return len({first for first, second in bigrams if second == word}) / len(bigrams)


@continuation.misconception(
    "divides by the words",
    "You divided by the number of different words that follow something. One word may stand in "
    "many different pairs, so this can exceed 1. Divide by the number of different pairs.",
)
def _(bigrams, word):
    before = {first for first, second in bigrams if second == word}
    return len(before) / len({second for _, second in bigrams})


@continuation.misconception(
    "divides by the contexts",
    "You gave the share of all contexts in which the word was seen. One context may be followed by "
    "many words, so over all words these shares exceed 1. Divide by the number of different pairs.",
)
def _(bigrams, word):
    before = {first for first, second in bigrams if second == word}
    return len(before) / len({first for first, _ in bigrams})


@continuation.misconception(
    "counts what follows",
    "You counted the pairs that *begin* with the word. The question is how many different symbols "
    "it can follow, so look at what stands before it.",
)
def _(bigrams, word):
    different = set(bigrams)
    return sum(first == word for first, _ in different) / len(different)


@continuation.misconception(
    "the start mark is no context",
    "You left `<s>` out of the contexts of the word. To stand first in a sentence is one more "
    "place in which it was seen.",
)
def _(bigrams, word):
    different = set(bigrams)
    inside = [second for first, second in different if first != "<s>"]
    return inside.count(word) / len(different)


@continuation.misconception(
    "drops the pairs with the start mark",
    "You dropped the pairs that begin with `<s>`. They are pairs like the others: to stand first "
    "in a sentence is one more place in which a word was seen.",
)
def _(bigrams, word):
    different = {pair for pair in bigrams if pair[0] != "<s>"}
    return sum(second == word for _, second in different) / len(different)


@continuation.misconception(
    "stops at the number of contexts",
    "That is how many different symbols stand before the word. To make a probability of it, "
    "divide by the sum of this number over all words.",
)
def _(bigrams, word):
    return len({first for first, second in bigrams if second == word})


# ------------------------------------------------------------------------- absolute discounting
def random_context(rng):
    words = list("abcd")
    seen = Counter(rng.choice(words[: rng.integers(1, 5)], size=rng.integers(1, 8)).tolist())
    shares = rng.multinomial(16, [0.25] * 4) + 1
    lower = dict(zip(words, (shares / 20).tolist(), strict=True))
    return Case(dict(seen), str(rng.choice(words)), rng.integers(1, 10) / 10, lower)


@exercise(
    "sparsity.discount",
    title="Take a little from everyone",
    cases=[
        Case({"road": 3, "sea": 1}, "road", 0.5, {"road": 0.25, "sea": 0.25, "salt": 0.5}),
        Case({"road": 3, "sea": 1}, "salt", 0.5, {"road": 0.25, "sea": 0.25, "salt": 0.5}),
        Case({"a": 1}, "a", 0.8, {"a": 0.5, "b": 0.5}),
        random_context,
    ],
    hints=(
        "Two parts, added. First what is left of the word's own count; a word that was not seen "
        "has nothing to lose. Then its part of what was freed.",
        "Each different word after the context lost `discount`, so `discount * len(counts) / S` "
        "was freed, with S the sum of the counts. The lower order shares it out, to seen words "
        "as well.",
    ),
    minutes=8,
    remark="Add this up over all words. With T different words and D taken from each, the first "
    "part leaves $(S - DT)/S$, the second gives $DT/S$ back, and the sum is 1. Nothing had to be "
    "normalised afterwards. Kneser and Ney change one thing only, the lower order: it counts "
    "contexts.",
)
def discounted(counts, word, discount, lower):
    """Return P(word | context) by interpolated absolute discounting."""
    total = sum(counts.values())
    freed = discount * len(counts) / total
    return max(counts.get(word, 0) - discount, 0) / total + freed * lower[word]


def kept(counts, word, discount):
    """What is left of the word's own relative frequency."""
    return max(counts.get(word, 0) - discount, 0) / sum(counts.values())


def freed(counts, discount):
    return discount * len(counts) / sum(counts.values())


@discounted.misconception(
    "one discount is all that is freed",
    "You took the discount from each of the words and gave back what one of them lost. Freed is "
    "the discount times the number of different words seen here.",
)
def _(counts, word, discount, lower):
    return kept(counts, word, discount) + discount / sum(counts.values()) * lower[word]


@discounted.misconception(
    "every token pays",
    "You gave the lower order the weight `discount`. That is what would be freed if every *token* "
    "had lost it; but it was taken once from each different word.",
)
def _(counts, word, discount, lower):
    return kept(counts, word, discount) + discount * lower[word]


@discounted.misconception(
    "forgets to divide what was freed",
    "You divided the word's own part by S, but not what was freed. Both are counts, and both "
    "become probabilities by the same division.",
)
def _(counts, word, discount, lower):
    return kept(counts, word, discount) + discount * len(counts) * lower[word]


@discounted.misconception(
    "gives the freed part to unseen words only",
    "You asked the lower order only about words that were not seen here. It shares out all that "
    "was freed, over *all* words, so the part that would go to seen words got lost and your sum "
    "is below 1.",
)
def _(counts, word, discount, lower):
    return kept(counts, word, discount) if word in counts else freed(counts, discount) * lower[word]


@discounted.misconception(
    "takes nothing away",
    "You left the counts whole and added the lower order's part on top, so the sum is above 1. "
    "What you give must first be taken.",
)
def _(counts, word, discount, lower):
    return kept(counts, word, 0) + freed(counts, discount) * lower[word]


@discounted.misconception(
    "an unseen word pays too",
    "You took the discount from a word that was never seen here, so its own part fell below zero. "
    "It has nothing to lose: that part is 0.",
)
def _(counts, word, discount, lower):
    own = (counts.get(word, 0) - discount) / sum(counts.values())
    return own + freed(counts, discount) * lower[word]


@discounted.misconception(
    "an unseen word is no key",
    "A word that was not seen after this context is no key of `counts`, so `counts[word]` stops. "
    "Its count is 0; `counts.get(word, 0)` says so.",
)
def _(counts, word, discount, lower):
    own = (counts[word] - discount) / sum(counts.values())
    return own + freed(counts, discount) * lower[word]


@discounted.misconception(
    "takes the discount from S, too",
    "You divided by what is left of the counts after discounting. S is their sum *before*: what "
    "was taken away is not gone, it is given to the lower order.",
)
def _(counts, word, discount, lower):
    total = sum(counts.values())
    left = total - discount * len(counts)
    return (total * kept(counts, word, discount) + discount * len(counts) * lower[word]) / left


@discounted.misconception(
    "every word of the vocabulary pays",
    "You multiplied the discount by the number of all words. Only the words seen in this context "
    "had something to give.",
)
def _(counts, word, discount, lower):
    share = discount * len(lower) / sum(counts.values())
    return kept(counts, word, discount) + share * lower[word]


@discounted.misconception(
    "shares out evenly",
    "You gave every word the same part of what was freed. The lower order knows better: it gives "
    "each word in proportion to `lower`.",
)
def _(counts, word, discount, lower):
    return kept(counts, word, discount) + freed(counts, discount) / len(lower)
