"""Text that is the same on every machine, for the figures in reference/lmplz.json.

Only integer arithmetic: no NumPy, no `random`, no floats, so the text never changes under them.
Words follow roughly Zipf's law, depend on up to three words before them, and come in set phrases,
so that n-grams repeat at every order and discounts can be estimated.
"""

from dataclasses import dataclass

MASK = 2**64 - 1
PRIME = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Recipe:
    """How one corpus is made; what each is for stands in `RECIPES`."""

    seed: int
    train: int  # sentences
    test: int
    bits: int  # up to 2**bits - 1 different words
    length: int  # sentences have 0 … length words, or 1 … length where `shortest` is 1
    shortest: int = 0
    letters: bool = False  # one letter a word
    coda: bool = False  # the last sentence brings a word of its own and is said three times


RECIPES = {
    # rare words, so that the test part has unknown ones; empty sentences
    "small": Recipe(seed=1, train=2_000, test=200, bits=11, length=18),
    # enough text for the counts of counts to be smooth
    "large": Recipe(seed=2, train=20_000, test=500, bits=13, length=18),
    # the n-grams that lmplz counts last have a raw count other than their adjusted one
    "coda": Recipe(seed=3, train=2_000, test=200, bits=10, length=18, coda=True),
    # an alphabet so small that no letter is rare: lmplz needs --discount_fallback
    "letters": Recipe(seed=4, train=2_000, test=200, bits=4, length=10, shortest=1, letters=True),
}


class Draws:
    """A linear congruential generator (Knuth's MMIX constants); only its high bits are used."""

    def __init__(self, seed):
        self.state = seed
        self.below(1)

    def below(self, limit):
        """A whole number, 0 <= number < limit <= 2**32."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & MASK
        return (self.state >> 32) * limit >> 32


def make(name):
    """(train, test) of the recipe with this name: two lists of sentences, each a list of words."""
    recipe = RECIPES[name]
    draws = Draws(recipe.seed)
    sentences = [_sentence(draws, recipe) for _ in range(recipe.train + recipe.test)]
    train, test = sentences[: recipe.train], sentences[recipe.train :]
    if recipe.coda:
        train += [[*max(train, key=len), "coda"]] * 3
    return train, test


def _sentence(draws, recipe):
    ids = [0, 0, 0]  # a start that every sentence shares
    length = recipe.shortest + draws.below(recipe.length + 1 - recipe.shortest)
    while len(ids) < 3 + length:
        if draws.below(8) == 0:  # a set phrase of three to seven words, by Zipf too
            phrase = Draws(_zipf(draws, 10) * PRIME & MASK)
            ids += [_zipf(phrase, recipe.bits) for _ in range(3 + phrase.below(5))]
            continue
        depends_on = draws.below(4)  # this many words of context
        key = draws.below(2 ** draws.below(6))  # a few likely followers, and some unlikely ones
        for word in ids[len(ids) - depends_on :]:
            key = ((key ^ word) * PRIME + depends_on) & MASK
            key ^= key >> 29
        ids.append(_zipf(Draws(key) if depends_on else draws, recipe.bits))
    return [_spelt(word, recipe) for word in ids[3 : 3 + length]]


def _zipf(draws, bits):
    """A number from 1 to 2**bits - 1: every octave is as likely, so P(r) falls as 1/r."""
    octave = draws.below(bits)
    return 2**octave + draws.below(2**octave)


def _spelt(word, recipe):
    if recipe.letters:
        return chr(ord("a") + word - 1)
    if word % 16 == 5:
        return f"n\u00ba\u00a0{word}"  # a no-break space is part of a word for lmplz
    return f"w{word}"
