"""The exercises of the sparsity chapter's second half on how models are judged."""

import numpy as np

from lmlib.exercises import Case, exercise


# ------------------------------------------------------------------------- three perplexities
def random_scores(rng):
    tokens = []
    for _ in range(rng.integers(1, 4)):
        tokens += rng.choice(["sea", "road", "<unk>"], size=rng.integers(1, 4)).tolist()
        tokens += ["salt", "</s>"]  # one word is known, so that no mean is over nothing
    return Case(tokens, (-rng.integers(10, 400, size=len(tokens)) / 100).tolist())


@exercise(
    "sparsity.three-perplexities",
    title="Same model, three numbers",
    cases=[
        Case(["sea", "</s>"], [-2.0, -1.0]),
        Case(["<unk>", "sea", "</s>"], [-4.0, -2.0, -0.5]),
        Case(["sea", "<unk>", "salt", "</s>", "road", "</s>"], [-1, -3, -2, -1, -2, -0.5]),
        random_scores,
    ],
    hints=(
        "All three are the same mean, over fewer and fewer tokens. A token that is left out takes "
        "its logarithm with it.",
        "For each of the three, collect the logarithms of the tokens that stay. Then take 10 to "
        "the power of minus their mean; the logarithms have base 10, so the power has it too.",
    ),
    minutes=8,
    remark="One model, one text, and three numbers that may all be called *perplexity*. Leave out "
    "the dear tokens or the cheap ones, and the number moves while the model stays as it is. A "
    "perplexity says something only together with the tokens it was taken over; that is why "
    "`lmlib` gives their number beside it, and how many of them were unknown.",
)
def perplexities(tokens, log10_p):
    """Return perplexities: of all, without <unk>, without <unk> and </s>."""
    tokens, log10_p = np.array(tokens), np.array(log10_p)
    known = tokens != "<unk>"
    words = known & (tokens != "</s>")
    kept = log10_p, log10_p[known], log10_p[words]
    return [10 ** -part.mean() for part in kept]


def parts(tokens, log10_p):
    """The logarithms that stay, three times."""
    pairs = list(zip(tokens, log10_p, strict=True))
    return [[x for token, x in pairs if token not in out] for out in LEFT_OUT]


LEFT_OUT = (), ("<unk>",), ("<unk>", "</s>")


@perplexities.misconception(
    "takes them for natural logarithms",
    "You raised e to the mean. These logarithms have base 10, as KenLM prints them, so the power "
    "must have base 10 as well.",
)
def _(tokens, log10_p):
    return [np.exp(-np.mean(part)) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "takes them for bits",
    "You raised 2 to the mean. These logarithms have base 10, as KenLM prints them, so the power "
    "must have base 10 as well.",
)
def _(tokens, log10_p):
    return [2 ** -np.mean(part) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "divides by all tokens",
    "You left tokens out of the sum and still divided by the number of all. That treats them as "
    "predicted with certainty, which flatters the model. Divide by the number that stays.",
)
def _(tokens, log10_p):
    return [10 ** (-sum(part) / len(tokens)) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "keeps the logarithms of what it leaves out",
    "You divided by fewer tokens, but the sum above still holds the logarithms of those left out, "
    "so the others pay for them. Leave both out.",
)
def _(tokens, log10_p):
    return [10 ** (-sum(log10_p) / len(part)) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "brings the unknown words back",
    "Your first two numbers are right. The third leaves out the end marks *and* the unknown words.",
)
def _(tokens, log10_p):
    words = [x for token, x in zip(tokens, log10_p, strict=True) if token != "</s>"]
    return [*perplexities(tokens, log10_p)[:2], 10 ** -np.mean(words)]


@perplexities.misconception(
    "counts the start marks",
    "You counted one token more for each sentence. The start mark `<s>` is given, never "
    "predicted: it has no logarithm here, and is no token.",
)
def _(tokens, log10_p):
    sentences = tokens.count("</s>")
    return [10 ** (-sum(part) / (len(part) + sentences)) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "forgets to divide",
    "You summed the logarithms. Divide each sum by the number of tokens in it, or every longer "
    "text looks harder.",
)
def _(tokens, log10_p):
    return [10 ** -sum(part) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "forgets the minus sign",
    "Your numbers lie between 0 and 1: they are mean probabilities. Perplexity is one over that; "
    "put a minus sign before the mean.",
)
def _(tokens, log10_p):
    return [10 ** np.mean(part) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "averages the inverse probabilities",
    "You turned each logarithm into 1/p and took the mean of those. Take the mean of the "
    "logarithms first, then one power.",
)
def _(tokens, log10_p):
    return [np.mean(10 ** -np.array(part)) for part in parts(tokens, log10_p)]


@perplexities.misconception(
    "stops at the mean",
    "These are the mean negative logarithms. Perplexity is 10 to that power.",
)
def _(tokens, log10_p):
    return [-np.mean(part) for part in parts(tokens, log10_p)]


# ------------------------------------------------------------------------- tune on dev
def random_tuning(rng):
    settings = rng.permutation([0.01, 0.03, 0.1, 0.3, 1.0])[: rng.integers(2, 6)].tolist()
    dev, test = rng.choice(np.arange(800, 1600), size=(2, len(settings)), replace=False) / 10
    return Case(
        dict(zip(settings, dev.tolist(), strict=True)),
        dict(zip(settings, test.tolist(), strict=True)),
    )


@exercise(
    "sparsity.tune-on-dev",
    title="The right text to tune on",
    cases=[
        Case({0.01: 100.0, 0.1: 90.0, 1.0: 120.0}, {0.01: 98.0, 0.1: 99.0, 1.0: 130.0}),
        Case({1.0: 80.0, 0.1: 85.0}, {1.0: 95.0, 0.1: 91.0}),
        Case({0.5: 70.0}, {0.5: 75.0}),
        random_tuning,
    ],
    hints=(
        "Two steps, and each text may be used in one of them only. Which one chooses, and which "
        "one judges?",
        "`min(dev, key=dev.get)` is the k with the lowest perplexity on the development text.",
    ),
    minutes=3,
    remark="The number you report need not be the lowest in either dictionary, and that is as it "
    "should be. A minimum over many tries is partly luck. Chosen and measured on the same text, "
    "the luck is reported as skill; on another text it is gone.",
)
def tuned(dev, test):
    """Return the perplexity you may report; both are k -> perplexity."""
    best = min(dev, key=dev.get)
    return test[best]


@tuned.misconception(
    "tunes on the test text",
    "You took the lowest test perplexity, so the test text chose k. It can no longer judge: of "
    "several tries on it, one was the luckiest. Choose on the development text.",
)
def _(dev, test):
    return min(test.values())


@tuned.misconception(
    "reports the development text",
    "You report the perplexity on the text that chose k. It is the lowest of several tries there, "
    "so it is too good. Choose with it, then look the same k up in the other dictionary.",
)
def _(dev, test):
    return min(dev.values())


@tuned.misconception(
    "tunes on both texts",
    "You chose the k with the best mean over both texts. That lets the test text have a say in "
    "the choice that it should judge.",
)
def _(dev, test):
    return test[min(dev, key=lambda k: dev[k] + test[k])]


@tuned.misconception(
    "swaps the two texts",
    "You chose on the test text and reported the development text. It is the other way round: "
    "the test text is looked at once, at the very end.",
)
def _(dev, test):
    return dev[min(test, key=test.get)]


@tuned.misconception(
    "takes the largest",
    "You chose the k with the highest perplexity. Lower is better: the model is less surprised.",
)
def _(dev, test):
    return test[max(dev, key=dev.get)]


@tuned.misconception(
    "takes the smallest k",
    "You used the smallest k. `min` of a dictionary compares its keys; you want the key with the "
    "smallest *value*.",
)
def _(dev, test):
    return test[min(dev)]


@tuned.misconception(
    "takes the first k",
    "You used the k that comes first, whatever its perplexity. Compare the values.",
)
def _(dev, test):
    return test[next(iter(dev))]


@tuned.misconception(
    "looks up a perplexity",
    "You looked up a perplexity, such as `min(dev.values())`, where a k is wanted: both "
    "dictionaries have k for their keys. Find the k that belongs to the lowest perplexity.",
)
def _(dev, test):
    return test[min(dev.values())]


@tuned.misconception(
    "returns the setting",
    "That is the right k. The question asks for the perplexity you may report with it.",
)
def _(dev, test):
    return min(dev, key=dev.get)


# ------------------------------------------------------------------------- the selection trap
def random_matches(rng):
    context = rng.integers(0, 3, size=rng.integers(3, 9))
    hit = rng.random(context.size) < 0.5  # whether the token was seen after its longest context
    ngram = np.where(hit, context + 1, rng.integers(0, context + 1))
    gain = rng.integers(-200, 300, size=context.size) / 100
    return Case(context.tolist(), ngram.tolist(), gain.tolist())


@exercise(
    "sparsity.selection-trap",
    title="Who wins where",
    cases=[
        Case([2, 2, 1], [3, 1, 2], [-0.5, 1.5, 0.25]),
        Case([1, 1, 1, 3], [2, 2, 0, 2], [-1.0, -0.5, 3.0, 1.0]),
        random_matches,
    ],
    hints=(
        "A fair group must be known *before* the token is. Which of the two lengths could you "
        "write down while the token is still hidden?",
        "The context stands before the token, the n-gram ends in it. Collect the gains of each "
        "`matched_context`, then divide each sum by the number in its own group.",
    ),
    minutes=6,
    remark="Grouped by the n-gram, counting looks good where the match is long, whatever its "
    "rival: a long match *is* a token that counting has seen there. This is called selection on "
    "the outcome. The answer is built into the groups before anything is measured.",
)
def mean_gain(matched_context, matched_ngram, gain):
    """Return a dictionary: length -> mean gain, grouped fairly."""
    lengths, gain = np.array(matched_context), np.array(gain)
    return {n: gain[lengths == n].mean() for n in set(matched_context)}


def grouped(lengths, gain):
    """length -> array of the gains in that group."""
    lengths, gain = np.array(lengths), np.array(gain)
    return {int(n): gain[lengths == n] for n in np.unique(lengths)}


@mean_gain.misconception(
    "groups by the outcome",
    "You grouped by the n-gram that ends in the token itself. It is long exactly when counting has "
    "seen the token there, so the long groups collect the tokens that suit counting. Group by "
    "what is known before the token comes.",
)
def _(matched_context, matched_ngram, gain):
    return {n: g.mean() for n, g in grouped(matched_ngram, gain).items()}


@mean_gain.misconception(
    "takes the n-gram less one for the context",
    "You grouped by the length of the n-gram, less one. That is the length of the context only if "
    "the token was seen after it. When it is new there, the n-gram is shorter, and the outcome "
    "has chosen the group again.",
)
def _(matched_context, matched_ngram, gain):
    return {n: g.mean() for n, g in grouped([n - 1 for n in matched_ngram], gain).items()}


@mean_gain.misconception(
    "drops the tokens new in their context",
    "You kept only the tokens that were seen after their longest context. These are the ones that "
    "counting can get right; the others belong to the comparison as well.",
)
def _(matched_context, matched_ngram, gain):
    triples = zip(matched_context, matched_ngram, gain, strict=True)
    seen = [(c, g) for c, n, g in triples if n == c + 1]
    return {n: g.mean() for n, g in grouped(*zip(*seen, strict=True)).items()} if seen else {}


@mean_gain.misconception(
    "keeps only the wins",
    "You took the mean over the tokens that the network wins. Among its wins it always wins. "
    "Every token of a group counts, whoever won it.",
)
def _(matched_context, matched_ngram, gain):
    groups = grouped(matched_context, gain).items()
    return {n: g[g > 0].mean() for n, g in groups if np.any(g > 0)}


@mean_gain.misconception(
    "counts the wins",
    "You gave the share of tokens that the network wins. A win by a hair then weighs as much as a "
    "defeat by a factor of a thousand; perplexity feels the size. Take the mean of the gains.",
)
def _(matched_context, matched_ngram, gain):
    return {n: np.mean(g > 0) for n, g in grouped(matched_context, gain).items()}


@mean_gain.misconception(
    "sums the gains",
    "You summed the gains of each group. Groups have different sizes, so divide each sum by the "
    "number of tokens in its group.",
)
def _(matched_context, matched_ngram, gain):
    return {n: g.sum() for n, g in grouped(matched_context, gain).items()}


@mean_gain.misconception(
    "divides by all tokens",
    "You divided each group's sum by the number of all tokens. That is what the group adds to the "
    "overall mean; the mean within the group divides by the tokens in it.",
)
def _(matched_context, matched_ngram, gain):
    return {n: g.sum() / len(gain) for n, g in grouped(matched_context, gain).items()}


# ------------------------------------------------------------------------- bits per character
def random_text_size(rng):
    tokens = int(rng.integers(2, 1000))
    return Case(float(rng.integers(2, 400)), tokens, tokens * int(rng.integers(2, 8)) + 1)


@exercise(
    "sparsity.bits-per-character",
    title="Words against characters",
    cases=[
        Case(8.0, 1, 6),
        Case(2.0, 12, 12),
        Case(1.0, 5, 30),
        Case(100.0, 1_000, 5_000),
        random_text_size,
    ],
    hints=(
        "What does one token cost, in bits? What does the whole text cost?",
        "A perplexity of 8 is 3 bits for each token: the logarithm to base 2. Multiply by the "
        "tokens, then share the sum among the characters.",
    ),
    minutes=4,
    remark="Both models pay for the same text, so what they pay in all can be compared, and per "
    "character too. Perplexities of different tokens cannot: a model over words is asked rarely "
    "and finds it hard, a model over characters is asked often and finds it easy.",
)
def bits_per_character(perplexity, tokens, characters):
    """Return the bits that a text costs, shared among its characters."""
    return tokens * np.log2(perplexity) / characters


@bits_per_character.misconception(
    "gives nats",
    "You took the natural logarithm, so these are nats. A bit is a choice between two: use the "
    "logarithm to base 2.",
)
def _(perplexity, tokens, characters):
    return tokens * np.log(perplexity) / characters


@bits_per_character.misconception(
    "gives decimal digits",
    "You took the logarithm to base 10. A bit is a choice between two: use the logarithm to base "
    "2.",
)
def _(perplexity, tokens, characters):
    return tokens * np.log10(perplexity) / characters


@bits_per_character.misconception(
    "shares out the perplexity itself",
    "You shared the perplexity among the characters. Perplexities multiply from token to token, "
    "only their logarithms add up. Take the logarithm first.",
)
def _(perplexity, tokens, characters):
    return perplexity * tokens / characters


@bits_per_character.misconception(
    "takes the logarithm last",
    "You shared the perplexity among the characters and took the logarithm of the result. Bits "
    "add up and can be shared, perplexities cannot: the logarithm comes first.",
)
def _(perplexity, tokens, characters):
    return np.log2(perplexity * tokens / characters)


@bits_per_character.misconception(
    "raises before it takes the logarithm",
    "Perplexity to the power of the number of tokens is one over the probability of the whole "
    "text, too large for any float. Take the logarithm first; then the power is a product.",
)
def _(perplexity, tokens, characters):
    return np.log2(perplexity**tokens) / characters


@bits_per_character.misconception(
    "multiplies by the length of a token",
    "You turned the ratio upside down, as if a character cost more than a whole token. Multiply by "
    "the tokens and divide by the characters.",
)
def _(perplexity, tokens, characters):
    return np.log2(perplexity) * characters / tokens


@bits_per_character.misconception(
    "stops at bits per token",
    "These are the bits for each token. The text has more characters than tokens, so each "
    "character costs less.",
)
def _(perplexity, tokens, characters):
    return np.log2(perplexity)


@bits_per_character.misconception(
    "gives the bits of the whole text",
    "That is what the whole text costs. Share it among the characters.",
)
def _(perplexity, tokens, characters):
    return tokens * np.log2(perplexity)


@bits_per_character.misconception(
    "shares out one token",
    "You shared the bits of *one* token among all characters. Multiply by the number of tokens "
    "first.",
)
def _(perplexity, tokens, characters):
    return np.log2(perplexity) / characters


@bits_per_character.misconception(
    "gives a perplexity per character",
    "That is the perplexity per character, and it tells the same story. Its logarithm to base 2 is "
    "the number of bits.",
)
def _(perplexity, tokens, characters):
    return perplexity ** (tokens / characters)
