"""The exercises of the sparsity chapter."""

import math
from collections import Counter

import numpy as np

from lmlib.exercises import Case, exercise

TINY = ["the road is long", "the sea is salt", "the salt road is old"]


# ------------------------------------------------------------------------- 1.1 by hand
@exercise(
    "sparsity.new-sentence",
    title="A sentence nobody has said",
    hints=(
        "Write the sentence with its marks: `<s> the salt road is long </s>`. A bigram model "
        "multiplies six probabilities, one for each arrow between neighbours.",
        "Four of the six are 1. For the other two, count what follows *the* and what follows "
        "*salt* in the three training sentences; the end of a sentence counts as a follower.",
    ),
    minutes=4,
    remark="The six factors are $1 \\cdot \\tfrac13 \\cdot \\tfrac12 \\cdot 1 \\cdot \\tfrac13 "
    "\\cdot 1 = \\tfrac1{18}$. Nobody has said this sentence in our corpus, and still it gets a "
    "probability: a bigram model only asks that every *pair* was seen.",
)
def p_new_sentence():
    """P("the salt road is long") under the bigrams: 0.25, or 2/7."""
    return 1 * (1 / 3) * (1 / 2) * 1 * (1 / 3) * 1


@p_new_sentence.misconception(
    "an unseen sentence is impossible",
    "The whole sentence was never seen, but the model does not look at whole sentences. It "
    "multiplies the probabilities of neighbouring pairs, and each of these six pairs was seen.",
)
def _():
    return 0.0


@p_new_sentence.misconception(
    "the end of a sentence is no follower",
    "You took `road` to be all that can follow `salt`. In `the sea is salt` the sentence ends "
    "after it, so the end mark is its other follower.",
)
def _():
    return 1 / 9


@p_new_sentence.misconception(
    "divides by all tokens",
    "You divided each pair's count by the number of all pairs. That is how often the pair occurs; "
    "a conditional probability divides by how often its *first* word occurs.",
)
def _():
    return (3 * 1 * 1 * 2 * 1 * 1) / 16**6


@p_new_sentence.misconception(
    "adds instead of multiplying",
    "You added up the six probabilities. Both this *and* that happening multiplies.",
)
def _():
    return 1 + 1 / 3 + 1 / 2 + 1 + 1 / 3 + 1


# ---------------------------------------------------------------------- 1.2 implement counting
def random_sentences(rng):
    sentences = [
        rng.choice(list("abc"), size=rng.integers(1, 6)).tolist() for _ in range(rng.integers(1, 5))
    ]
    return Case(sentences, int(rng.integers(1, 5)))


@exercise(
    "sparsity.count-ngrams",
    title="Count the windows",
    cases=[
        Case([["a", "b"], ["a"]], 2),
        Case([["a", "a", "a"]], 2),
        Case([["a"]], 1),
        random_sentences,
    ],
    hints=(
        "Put the two marks around *one* sentence, then slide a window over it. Where can a window "
        "of n symbols start? A window of one symbol that holds only `<s>` is not counted: the "
        "start mark is never predicted.",
        "`padded[i : i + n]` is the window that starts at `i`, and `i` runs over "
        "`range(len(padded) - n + 1)`.",
    ),
    minutes=10,
    remark="Three choices hide in these lines, and every toolkit makes them differently: one "
    "start mark or n − 1 of them, whether the end mark is predicted, and whether windows may "
    "cross from one sentence into the next. A perplexity means nothing until you know them.",
)
def count_ngrams(sentences, n):
    """Return a dictionary: tuple of n symbols -> how often seen."""
    counts = Counter()
    for sentence in sentences:
        padded = ["<s>", *sentence, "</s>"]
        for i in range(len(padded) - n + 1):
            counts[tuple(padded[i : i + n])] += 1
    counts.pop(("<s>",), None)
    return counts


def windows(symbols, n):
    return Counter(tuple(symbols[i : i + n]) for i in range(len(symbols) - n + 1))


def without_start(counts):
    counts.pop(("<s>",), None)
    return counts


@count_ngrams.misconception(
    "windows cross sentences",
    "Your windows run from the end of one sentence into the next, so you count pairs that nobody "
    "wrote. Slide the window over one sentence at a time.",
)
def _(sentences, n):
    joined = [symbol for s in sentences for symbol in ("<s>", *s, "</s>")]
    return without_start(windows(joined, n))


@count_ngrams.misconception(
    "forgets the end mark",
    "You never count `</s>`. A model without it does not know where a sentence may end, and its "
    "probabilities of whole sentences do not add up to 1.",
)
def _(sentences, n):
    return without_start(sum((windows(["<s>", *s], n) for s in sentences), Counter()))


@count_ngrams.misconception(
    "counts the start mark as a token",
    "For n = 1 you counted `<s>` itself. The start mark is given, never predicted, so it is no "
    "token; it only serves as context.",
)
def _(sentences, n):
    return sum((windows(["<s>", *s, "</s>"], n) for s in sentences), Counter())


@count_ngrams.misconception(
    "forgets the start mark",
    "You never count `<s>`, so the model cannot learn which words begin a sentence.",
)
def _(sentences, n):
    return sum((windows([*s, "</s>"], n) for s in sentences), Counter())


@count_ngrams.misconception(
    "pads with n - 1 start marks",
    "You put n − 1 start marks before each sentence. Some toolkits do; here a sentence has "
    "exactly one, whatever n is.",
)
def _(sentences, n):
    padded = (["<s>"] * max(1, n - 1) + [*s, "</s>"] for s in sentences)
    return without_start(sum((windows(s, n) for s in padded), Counter()))


@count_ngrams.misconception(
    "windows do not overlap",
    "Your windows stand side by side. An n-gram starts at *every* position, so neighbouring "
    "windows share n − 1 symbols.",
)
def _(sentences, n):
    counts = Counter()
    for s in sentences:
        padded = ["<s>", *s, "</s>"]
        counts.update(tuple(padded[i : i + n]) for i in range(0, len(padded) - n + 1, n))
    return without_start(counts)


# ------------------------------------------------------------------------------ 1.3 perplexity
@exercise(
    "sparsity.perplexity",
    title="Perplexity, from scratch",
    cases=[
        Case(np.array([0.5, 0.5, 0.5])),
        Case(np.array([0.5, 0.125])),
        Case(np.array([0.25, 0.0])),
        Case(np.array([1.0])),
        lambda rng: Case(rng.uniform(0.01, 1, size=rng.integers(2, 9))),
    ],
    hints=(
        "Work in logarithms: the mean of the negative logs first, then one `exp`.",
        "NumPy's `np.log(0.0)` is `-inf`, and that is the right answer here; only silence its "
        "warning with `np.errstate(divide='ignore')`.",
    ),
    minutes=6,
    remark="One zero makes the mean infinite, whatever the other tokens do. A function that skips "
    "zeros, or puts a small number in their place, reports a perplexity that no probability "
    "model has.",
)
def perplexity(probabilities):
    """Return exp of the mean of -ln p, over an array of p."""
    with np.errstate(divide="ignore"):
        return np.exp(-np.mean(np.log(probabilities)))


def quiet(values):
    with np.errstate(divide="ignore", over="ignore"):
        return values()


@perplexity.misconception(
    "mixes two bases",
    "You took natural logarithms and raised 2 to their mean. The base of the logarithm and the "
    "base of the power must be the same; then it does not matter which.",
)
def _(probabilities):
    return quiet(lambda: 2.0 ** -np.mean(np.log(probabilities)))


@perplexity.misconception(
    "forgets to divide by the length",
    "You summed the negative logs. Divide by the number of tokens, or every longer text looks "
    "harder.",
)
def _(probabilities):
    return quiet(lambda: np.exp(-np.sum(np.log(probabilities))))


@perplexity.misconception(
    "averages the probabilities",
    "You took one over the arithmetic mean of the probabilities. Perplexity is one over their "
    "*geometric* mean, because the probabilities of the tokens multiply.",
)
def _(probabilities):
    return 1 / np.mean(probabilities)


@perplexity.misconception(
    "averages the inverse probabilities",
    "You took the arithmetic mean of 1/p. Average the logarithms instead.",
)
def _(probabilities):
    return quiet(lambda: np.mean(1 / probabilities))


@perplexity.misconception(
    "skips the zeros",
    "You left out the tokens with probability zero. They are the ones the model got most wrong: "
    "with one of them the perplexity is infinite.",
)
def _(probabilities):
    seen = probabilities[probabilities > 0]
    return np.exp(-np.mean(np.log(seen)))


@perplexity.misconception(
    "stops at the mean",
    "That is the mean negative log, in nats per token. Perplexity is exp of it.",
)
def _(probabilities):
    return quiet(lambda: -np.mean(np.log(probabilities)))


# ---------------------------------------------------------------------------- 1.4 break the model
def tiny_probability(words):
    """The bigram probability of a sentence, counted on TINY."""
    pairs, firsts = Counter(), Counter()
    for line in TINY:
        symbols = ["<s>", *line.split(), "</s>"]
        pairs.update(zip(symbols, symbols[1:], strict=False))
        firsts.update(symbols[:-1])
    symbols = ["<s>", *words, "</s>"]
    return math.prod(
        pairs[pair] / firsts[pair[0]] if firsts[pair[0]] else 0.0
        for pair in zip(symbols, symbols[1:], strict=False)
    )


def broken(sentence):
    """What the task asks of a sentence: words, all of them known, and probability zero."""
    words = sentence.split()
    known = set(" ".join(TINY).split())
    unknown = sorted(set(words) - known)
    return {
        "has words": bool(words),
        "uses only known words": not unknown,
        "has probability zero": tiny_probability(words) == 0,
        "is a training sentence": sentence in TINY,
    }


@exercise(
    "sparsity.break-it",
    title="Break it with known words",
    view=broken,
    hints=(
        "Every word must be one of the seven in the corpus, and one *pair* of neighbours must be "
        "new. The pair may include a mark.",
        "Which words never end a sentence in the corpus? Which never begin one?",
    ),
    minutes=3,
    remark="Almost any reordering works. The model has seen all seven words, and of the pairs "
    "they can form it has seen a handful: knowing the words is not the difficulty.",
)
def impossible_sentence():
    """A sentence of known words that the model calls impossible, a str."""
    return "the sea is old road"


@impossible_sentence.misconception(
    "uses an unknown word",
    "The model gives this probability zero, but only because one of its words never occurs in the "
    "corpus. Find a sentence in which every word is known.",
)
def _():
    return "the lighthouse is old"


@impossible_sentence.misconception(
    "takes a training sentence",
    "This sentence stands in the corpus, so each of its pairs was seen and its probability is not "
    "zero.",
)
def _():
    return "the sea is salt"


@impossible_sentence.misconception(
    "a new sentence of seen pairs",
    "Nobody wrote this sentence, but each of its pairs was seen, so the model gives it a "
    "probability above zero. One pair of neighbours must be new.",
)
def _():
    return "the salt road is long"


@impossible_sentence.misconception(
    "gives no words",
    "An empty sentence has no words in it. Write a sentence with some.",
)
def _():
    return ""


# ---------------------------------------------------------------------------- 1.5 unseen share
def random_texts(rng):
    letters = list("abcd")
    train = rng.choice(letters, size=rng.integers(6, 16)).tolist()
    test = rng.choice(letters, size=rng.integers(6, 16)).tolist()
    return Case(train, test, int(rng.integers(1, 4)))


@exercise(
    "sparsity.unseen-share",
    title="How much of tomorrow is new",
    cases=[
        Case(list("abab"), list("abba"), 2),
        Case(list("abc"), list("abc"), 2),
        Case(list("ab"), list("cdcd"), 1),
        random_texts,
    ],
    hints=(
        "Collect the training n-grams in a `set`. Then walk over the held-out windows, with "
        "repetitions.",
        "The share of *windows*, not of different n-grams: a new pair that occurs three times "
        "surprises you three times.",
    ),
    minutes=8,
    remark="Counting windows rather than types makes this a probability: the chance that the next "
    "window you meet is new. It is also what the held-out perplexity feels.",
)
def share_unseen(train, test, n):
    """Return the share of windows in test that train does not hold."""
    known = {tuple(train[i : i + n]) for i in range(len(train) - n + 1)}
    held_out = [tuple(test[i : i + n]) for i in range(len(test) - n + 1)]
    return sum(window not in known for window in held_out) / len(held_out)


@share_unseen.misconception(
    "counts types, not windows",
    "You counted each different n-gram once. A window that occurs often should weigh as often as "
    "it occurs.",
)
def _(train, test, n):
    held_out = set(windows(test, n))
    return len(held_out - set(windows(train, n))) / len(held_out)


@share_unseen.misconception(
    "gives the seen share",
    "That is the share of windows that *were* seen. The question is about the others: one minus "
    "your answer.",
)
def _(train, test, n):
    known, held_out = windows(train, n), windows(test, n)
    return sum(c for w, c in held_out.items() if w in known) / held_out.total()


@share_unseen.misconception(
    "swaps training and held-out text",
    "You looked for training windows in the held-out text. Ask it the other way round: what do "
    "you meet tomorrow that you did not see today?",
)
def _(train, test, n):
    known, held_out = windows(test, n), windows(train, n)
    return sum(c for w, c in held_out.items() if w not in known) / held_out.total()


@share_unseen.misconception(
    "looks for the words one by one",
    "You asked whether the single words are known. A window is new when the *combination* is.",
)
def _(train, test, n):
    held_out = windows(test, n)
    return sum(c for w, c in held_out.items() if not set(w) <= set(train)) / held_out.total()


# ---------------------------------------------------------------------------- 1.6 Good-Turing
def random_tokens(rng):
    letters = list("abcdefghij")
    weights = 1 / np.arange(1, 11)
    size = rng.integers(4, 30)
    return Case(rng.choice(letters, size=size, p=weights / weights.sum()).tolist())


@exercise(
    "sparsity.missing-mass",
    title="Predict the unseen",
    cases=[Case(list("aab")), Case(list("abcabd")), Case(list("aaaa")), random_tokens],
    hints=(
        "Count the items first; then count the items whose count is 1.",
        "The denominator is the number of tokens N, repetitions included: the estimate is the "
        "share of *draws* that gave a singleton.",
    ),
    minutes=6,
    remark="Hide one token, and ask whether the rest has seen it. The answer is no exactly when "
    "the hidden token is a singleton, and a token drawn at random is one with probability "
    "$n_1/N$. That is the whole idea of Good and Turing.",
)
def good_turing_missing_mass(tokens):
    """Return the estimated probability that the next token is new."""
    counts = Counter(tokens)
    singletons = sum(1 for count in counts.values() if count == 1)
    return singletons / len(tokens)


@good_turing_missing_mass.misconception(
    "divides by the types",
    "You divided by the number of different items. That is the share of types seen once; the "
    "probability divides by the number of tokens N.",
)
def _(tokens):
    counts = Counter(tokens)
    return sum(c == 1 for c in counts.values()) / len(counts)


@good_turing_missing_mass.misconception(
    "types per token",
    "You divided the number of different items by N. Items seen twice say nothing about the next "
    "one being new: use only those seen once.",
)
def _(tokens):
    return len(set(tokens)) / len(tokens)


@good_turing_missing_mass.misconception(
    "smooths the denominator",
    "You divided by N + 1. That is Laplace's thinking, one imagined extra draw; Good and Turing "
    "divide by N.",
)
def _(tokens):
    return sum(c == 1 for c in Counter(tokens).values()) / (len(tokens) + 1)


@good_turing_missing_mass.misconception(
    "the maximum-likelihood answer",
    "Zero is what relative frequencies say about anything unseen. But each singleton was new when "
    "it came: new things do happen, and n₁/N says how often.",
)
def _(tokens):
    return 0.0


# ------------------------------------------------------------------------------ 1.7 read a plot
@exercise(
    "sparsity.read-the-slope",
    title="How much more text?",
    tolerance=0.1,
    hints=(
        "On logarithmic axes a power law is a straight line. Its exponent is the ratio of the two "
        "logarithms: of the shares, and of the sizes.",
        "b = log(0.34/0.21) / log(4) is about 0.35. Then solve 0.21 · (N/200,000)^(−b) = 0.10 "
        "for N.",
    ),
    minutes=6,
    remark="About eight times the text, to halve the share. And pairs are the easy case: for "
    "triples the exponent is nearer to 0.2, and the same question has an answer in the hundreds "
    "of millions.",
)
def tokens_needed():
    """How many tokens until only 10 % of the pairs are new?"""
    exponent = np.log(0.34 / 0.21) / np.log(200_000 / 50_000)
    return 200_000 * (0.21 / 0.10) ** (1 / exponent)


@tokens_needed.misconception(
    "extends a straight line",
    "You drew a straight line through the two points. The share falls ever more slowly: the line "
    "is straight in logarithms.",
)
def _():
    per_token = (0.34 - 0.21) / (200_000 - 50_000)
    return 200_000 + (0.21 - 0.10) / per_token


@tokens_needed.misconception(
    "half the share for twice the text",
    "You took the share to fall in proportion to the text. Four times the text took it from 34 % "
    "to 21 %, which is far from a quarter.",
)
def _():
    return 200_000 * 0.21 / 0.10


@tokens_needed.misconception(
    "turns the exponent upside down",
    "Your exponent b is right, but you raised the ratio of the shares to b. Solving "
    "0.21 · (N/200,000)^(−b) = 0.10 for N gives the power 1/b.",
)
def _():
    exponent = math.log(0.34 / 0.21) / math.log(4)
    return 200_000 * (0.21 / 0.10) ** exponent


@tokens_needed.misconception(
    "gives the factor, not the size",
    "That is how many times more text you need. The question asks for the number of tokens.",
)
def _():
    exponent = math.log(0.34 / 0.21) / math.log(4)
    return (0.21 / 0.10) ** (1 / exponent)
