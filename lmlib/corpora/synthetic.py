"""Texts whose rule is known, so that a model can be judged against the truth."""

from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase

import numpy as np

# scipy.special is imported where it is used: counting needs none of it, and it is large.

LARGEST_TABLE = 10**8  # numbers, 0.8 GB


def brackets(rng, count, distances, fillers):
    """Sentences in which one bracket decides another, some words later.

    Each sentence is an opening bracket, ``(`` or ``[`` with equal chance; d filler words, each
    drawn evenly; and the closing bracket of the same kind. Only the closing bracket can be
    predicted, and only from the opening one, d + 1 symbols before it.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int, how many sentences
    distances : sequence of int >= 0, the values that d takes, each equally often on average
    fillers : int >= 1, how many different filler words there are

    Returns
    -------
    list of lists of str

    Raises
    ------
    ValueError : if there is no distance, a negative one, or no filler word
    """
    distances = np.asarray(distances, dtype=int)
    if distances.size == 0 or distances.min() < 0:
        raise ValueError(f"distances must be one or more whole numbers >= 0, got {distances}.")
    if fillers < 1:
        raise ValueError(f"fillers must be at least 1, got {fillers}: a sentence needs words.")
    kinds = rng.integers(0, 2, count)
    return [
        ["(["[kind], *(f"w{word}" for word in rng.integers(0, fillers, d)), ")]"[kind]]
        for kind, d in zip(kinds, rng.choice(distances, count), strict=True)
    ]


@dataclass(frozen=True, eq=False)
class ClassSource:
    """A source of sentences whose entropy is known; `hidden_classes` makes one.

    Words fall into K classes of M words. A class follows the two classes before it; the word is
    drawn within its class, whatever stands around it; after every word the sentence ends with
    chance s. For the word w of class c after words of the classes a, b,

        P(w | a, b) = T[a, b, c] · E[rank of w]        and 1 - s as a factor, after a first word,
        P(</s>)     = s

    Nothing else about the past matters. So a model that knows the class of each word needs K³
    numbers to predict as well as can be, where a table of trigrams has (K·M)³ cells. The source
    tells the classes to nobody: to the reader they are the letter of a word, `c7` being the
    seventh word of the third class, and to a model every word is just another id.

    Attributes
    ----------
    transitions : (K + 1, K + 1, K) float64, T; index K stands for "before the sentence"
    emissions : (M,) float64, E, the same in every class
    stop : float, s, the chance that a sentence ends after a word
    """

    transitions: np.ndarray
    emissions: np.ndarray
    stop: float

    @property
    def words(self):
        """tuple of K·M str, class by class, the most frequent of each class first."""
        letters = ascii_lowercase[: self.transitions.shape[-1]]
        return tuple(f"{c}{rank}" for c in letters for rank in range(1, self.emissions.size + 1))

    @property
    def entropy(self):
        """float, the entropy in nats per predicted token, `</s>` included: no model does better.

            h = [sum over (a, b) of v(a, b) · H(T[a, b])  +  L · (H(E) + H(s))] / (L + 1)

        v(a, b) is how often an average sentence is about to draw a word after the classes a, b;
        L = 1/s is its mean number of words, and L + 1 its mean number of tokens. H(p) is the sum
        of -p log p, and H(s) that of the two chances s and 1 - s.
        """
        from scipy.special import entr

        classes = self.transitions.shape[-1]
        pairs = np.zeros((classes + 1,) * 4)  # from (a, b) to (b, c)
        for b in range(classes + 1):
            pairs[:, b, b, :classes] = (1 - self.stop) * self.transitions[:, b]
        pairs = pairs.reshape((classes + 1) ** 2, -1)
        start = np.zeros(len(pairs))
        start[-1] = 1
        visits = np.linalg.solve(np.eye(len(pairs)) - pairs.T, start)  # v = start + v · pairs
        per_word = entr(self.emissions).sum() + entr(self.stop) + entr(1 - self.stop)
        choices = visits @ entr(self.transitions).sum(-1).ravel()
        length = 1 / self.stop
        return float((choices + length * per_word) / (length + 1))

    def sample(self, rng, count):
        """Draw `count` sentences, each a list of one word or more."""
        if not count >= 1:
            raise ValueError(f"count must be at least 1 sentence, got {count!r}")
        outside = self.transitions.shape[-1]
        cumulative = self.transitions.cumsum(-1)
        lengths = rng.geometric(self.stop, count)
        ends = np.cumsum(lengths)
        classes = np.empty(ends[-1], np.int64)
        older, newer = np.full((2, count), outside)
        for position in range(lengths.max()):  # of all sentences at once, not of all words
            alive = np.flatnonzero(lengths > position)
            chances = cumulative[older[alive], newer[alive]]  # (alive, K)
            drawn = (rng.random((alive.size, 1)) >= chances).sum(-1)
            drawn = np.minimum(drawn, outside - 1)  # the last of the sums may be 1 - 1e-16
            classes[(ends - lengths)[alive] + position] = drawn
            older[alive], newer[alive] = newer[alive], drawn
        ranks = rng.choice(self.emissions.size, ends[-1], p=self.emissions)
        words = np.array(self.words, object)[classes * self.emissions.size + ranks]
        return [part.tolist() for part in np.split(words, ends[:-1])]

    def token_probabilities(self, sentences):
        """(tokens,) float64: the true probability of every word and `</s>`, in reading order.

        -log of these averages to `entropy` on a long text, and on any text its perplexity is the
        floor for that text: a model that beats it on many tokens has seen them.

        Raises
        ------
        ValueError : for no sentence, or a word that is not of this source
        """
        sentences = [list(sentence) for sentence in sentences]
        if not sentences:
            raise ValueError("sentences is empty: there is nothing to predict.")
        table = {word: i for i, word in enumerate(self.words)}
        known = [[table.get(word, -1) for word in sentence] for sentence in sentences]
        lengths = np.fromiter(map(len, known), np.int64, len(known))
        ends = np.cumsum(lengths)
        ids = np.fromiter((i for sentence in known for i in sentence), np.int64, ends[-1])
        if (ids < 0).any():
            strange = next(w for s in sentences for w in s if w not in table)
            raise ValueError(
                f"{strange!r} is not a word of this source, whose words are {self.words[0]!r} to "
                f"{self.words[-1]!r}: was the text drawn from it?"
            )
        outside = self.transitions.shape[-1]
        position = np.arange(ids.size) - np.repeat(ends - lengths, lengths)
        classes, ranks = np.divmod(ids, self.emissions.size)
        newer = np.where(position >= 1, np.roll(classes, 1), outside)
        older = np.where(position >= 2, np.roll(classes, 2), outside)
        p = self.transitions[older, newer, classes] * self.emissions[ranks]
        p[position >= 1] *= 1 - self.stop
        return np.insert(p, ends, np.where(lengths > 0, self.stop, 0.0))


def hidden_classes(rng, classes=10, words=60, length=20, concentration=0.15):
    """Make a source of known entropy in which what matters about a word is its class.

    The chances of the next class after each pair of classes are drawn from a Dirichlet
    distribution, those of the words within a class follow Zipf's law (the r-th in proportion to
    1/r), and the number of words in a sentence is geometric. See `ClassSource`.

    Parameters
    ----------
    rng : numpy.random.Generator, draws the rules, not yet a text
    classes : int from 1 to 26, K
    words : int >= 1, M, how many words a class has
    length : float >= 1, the mean number of words in a sentence
    concentration : float > 0, of the Dirichlet distribution: the smaller, the fewer classes can
        follow a pair, and the lower the entropy

    Returns
    -------
    source : ClassSource

    Raises
    ------
    ValueError : if a size is out of its range, or rng is not a Generator

    Examples
    --------
    >>> source = hidden_classes(np.random.default_rng(0), classes=3, words=4)
    >>> text = source.sample(np.random.default_rng(1), 5000)
    >>> floor = -np.log(source.token_probabilities(text)).mean()
    >>> bool(abs(floor - source.entropy) < 0.02)
    True
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy Generator, got {rng!r}: np.random.default_rng(0)")
    if not 1 <= classes <= len(ascii_lowercase):
        raise ValueError(f"classes must lie in 1 … 26, one letter each; got {classes!r}")
    if not words >= 1:
        raise ValueError(f"words must be at least 1 in each class, got {words!r}")
    if not 1 <= length < np.inf:
        raise ValueError(f"length must be a mean of at least 1 word in a sentence, got {length!r}")
    if not 0 < concentration < np.inf:
        raise ValueError(f"concentration must be positive and finite, got {concentration!r}")
    transitions = rng.dirichlet(np.full(classes, concentration), (classes + 1, classes + 1))
    emissions = 1 / np.arange(1, words + 1)
    return ClassSource(transitions, emissions / emissions.sum(), 1 / length)


@dataclass(frozen=True, eq=False)
class MarkovSource:
    """An endless text of V symbols whose every chance is known; `markov_logits` makes one.

    A symbol follows the K symbols before it, and nothing else matters. Since P(w | past) is known
    for every symbol, so is the lowest loss that any model can have on a given text, not only on
    average: the mean of -log P over that very text.

    Attributes
    ----------
    probabilities : (V, …, V, V) float64 with K + 1 axes: P(w | oldest, …, newest), w last
    """

    probabilities: np.ndarray

    @property
    def symbols(self):
        """int, V."""
        return self.probabilities.shape[-1]

    @property
    def order(self):
        """int, K, how many symbols of the past matter."""
        return self.probabilities.ndim - 1

    @cached_property
    def contexts(self):
        """(V, …, V) float64 with K axes: how often each context occurs in a long text."""
        share = np.full(self.probabilities.shape[:-1], 1.0 / self.symbols**self.order)
        for _ in range(10_000):
            following = (share[..., None] * self.probabilities).sum(0)  # the oldest is forgotten
            change = np.abs(following - share).sum()
            share = following
            if change < 1e-13:
                return share
        raise ValueError("no long-run frequencies: the source seems to go round in a cycle.")

    @property
    def entropy(self):
        """float, nats per symbol of an endless text: no model does better in the long run."""
        from scipy.special import entr

        return float((self.contexts * entr(self.probabilities).sum(-1)).sum())

    def sample(self, rng, texts, length):
        """Draw texts side by side, each of which begins in the middle of an endless one.

        Parameters
        ----------
        rng : numpy.random.Generator
        texts, length : int >= 1, how many, and symbols of each; at least K

        Returns
        -------
        ids : (texts, length) int64, from 0 to V - 1
        """
        V, K = self.symbols, self.order
        if not texts >= 1 or not length >= K:
            raise ValueError(f"need 1 text or more of {K} symbols or more, got {texts}, {length}.")
        # Row r of the table holds r + the cumulated chances after context r: all rows make one
        # rising sequence, and one binary search draws for every text at once.
        rising = self.probabilities.reshape(-1, V).cumsum(1)
        rising[:, -1] = 1
        rising = (rising + np.arange(len(rising))[:, None]).ravel()
        context = rng.choice(V**K, texts, p=self.contexts.ravel())
        ids = np.empty((length, texts), np.int64)
        ids[:K] = np.unravel_index(context, (V,) * K)
        for position in range(K, length):
            place = np.searchsorted(rising, context + rng.random(texts), side="right")
            # Rounded up, context + 0.999… is the next row.
            ids[position] = np.minimum(place - context * V, V - 1)
            context = (context * V + ids[position]) % V**K
        return ids.T

    def token_probabilities(self, ids):
        """(texts, length - K) float64: the true probability of each symbol but the first K.

        ids : (texts, length) int array

        Raises
        ------
        ValueError : for an id that is not of this source, or texts of K symbols or fewer
        """
        ids = np.asarray(ids)
        if ids.ndim != 2 or ids.shape[1] <= self.order or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(
                f"expected whole numbers, (texts, length) with length > {self.order}, got "
                f"{ids.dtype} {ids.shape}."
            )
        if ids.size and not 0 <= ids.min() <= ids.max() < self.symbols:
            raise ValueError(f"ids must lie in 0 … {self.symbols - 1}: are these of this source?")
        windows = np.lib.stride_tricks.sliding_window_view(ids, self.order + 1, axis=1)
        return self.probabilities[tuple(np.moveaxis(windows, -1, 0))]


def markov_logits(rng, symbols=64, scales=(1.5, 1.0), zipf=0.8):
    """Make a Markov source that gives a network something to learn at every size.

    The logit of the next symbol w is a sum: how common it is, what the last symbol says, what the
    last two say, and so on.

        P(w | past) ∝ exp( -zipf · log(w + 1)  +  Σ_k scales[k-1] · G_k[last k symbols, w] )

    with G_k standard normal numbers, drawn once. The rules about one symbol are few and used often,
    those about pairs many and used rarely: a model of any size has some of them still to learn, so
    its loss goes on falling slowly, as it does on real text.

    Parameters
    ----------
    rng : numpy.random.Generator, draws the rules, not yet a text
    symbols : int >= 2, V
    scales : K >= 1 floats >= 0
    zipf : float >= 0

    Returns
    -------
    source : MarkovSource

    Raises
    ------
    ValueError : if a number is out of its range, rng is not a Generator, or the table of V^(K + 1)
        chances is too large to hold

    Examples
    --------
    >>> source = markov_logits(np.random.default_rng(0), symbols=8)
    >>> text = source.sample(np.random.default_rng(1), texts=100, length=200)
    >>> floor = -np.log(source.token_probabilities(text)).mean()
    >>> bool(abs(floor - source.entropy) < 0.02)
    True
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy Generator, got {rng!r}: np.random.default_rng(0)")
    if not symbols >= 2:
        raise ValueError(f"symbols must be at least 2, got {symbols!r}: one is no news.")
    order = len(scales)
    if not order >= 1 or not all(0 <= scale < np.inf for scale in scales):
        raise ValueError(f"scales must be one or more finite numbers >= 0, got {scales!r}")
    if not 0 <= zipf < np.inf:
        raise ValueError(f"zipf must be finite and at least 0, got {zipf!r}")
    if symbols ** (order + 1) > LARGEST_TABLE:
        raise ValueError(
            f"{symbols} symbols and a past of {order} need {symbols ** (order + 1):.1g} chances, "
            f"more than {LARGEST_TABLE:.0g}: choose fewer symbols or a shorter past."
        )
    logits = np.broadcast_to(-zipf * np.log(np.arange(1, symbols + 1)), (symbols,) * (order + 1))
    for k, scale in enumerate(scales, 1):
        logits = logits + scale * rng.standard_normal((symbols,) * (k + 1))  # the last k + 1 axes
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    return MarkovSource(chances / chances.sum(-1, keepdims=True))
