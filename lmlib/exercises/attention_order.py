"""The exercises of the attention chapter on order, and on what two layers make of it."""

from collections import Counter

import numpy as np

from lmlib.exercises import Case, exercise
from lmlib.exercises.attention import integers


# ------------------------------------------------------------------------- RoPE
def random_turns(rng):
    T, D = rng.integers(2, 5), 2 * rng.integers(1, 4)
    return Case(*(integers(rng, T, D) for _ in range(3)))


@exercise(
    "attention.rope",
    title="Turn by position",
    cases=[
        Case(*(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) * c for c in (1, 2, 3))),
        Case(*(np.eye(2, 4) * c + 1 for c in (1, 2, 3))),
        random_turns,
    ],
    hints=(
        "Each pair is a point in the plane. A turn by a needs cos a and sin a. The angle depends "
        "on two things: on the position (the row), and on which pair it is.",
        "`x[:, 0::2]` and `x[:, 1::2]` are the first and the second numbers of all pairs, (T, D/2) "
        "each, as the angles are. A point (u, w) goes to (u cos a − w sin a, u sin a + w cos a). "
        "`np.stack(..., -1)` puts the two beside each other again.",
    ),
    minutes=10,
    remark="Both partners turn, and what is left in their product is the difference of the two "
    "turns: the distance. Values do not turn. They are not compared with anything, and the reader "
    "of an average could not undo turns that differ from token to token.",
)
def with_positions(query, key, value):
    """Return query, key and value, all (T, D), turned where RoPE turns."""
    T, D = query.shape
    angles = np.arange(T)[:, None] * 10_000.0 ** (-np.arange(0, D, 2) / D)
    cos, sin = np.cos(angles), np.sin(angles)

    def turn(x):
        first, second = x[:, 0::2], x[:, 1::2]
        return np.stack([first * cos - second * sin, first * sin + second * cos], -1).reshape(T, D)

    return turn(query), turn(key), value


def angles_of(x, start=0, exponent=2.0):
    T, D = x.shape
    return np.arange(start, start + T)[:, None] * 10_000.0 ** (-exponent * np.arange(D // 2) / D)


def turned(x, angles):
    points = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * angles)
    return np.stack([points.real, points.imag], -1).reshape(x.shape)


def both(query, key, value, **options):
    angles = angles_of(query, **options)
    return turned(query, angles), turned(key, angles), value


@with_positions.misconception(
    "turns the values as well",
    "You turned the values, too. Only what is *compared* needs to know its position. An average "
    "of values, each turned by another angle, could not be read by anyone.",
)
def _(query, key, value):
    return *both(query, key, value)[:2], turned(value, angles_of(value))


@with_positions.misconception(
    "turns the queries only",
    "You turned the queries and left the keys. Then a score depends on where the query stands, not "
    "on the distance. Turn both: what is left in the product is the difference of the turns.",
)
def _(query, key, value):
    return turned(query, angles_of(query)), key, value


@with_positions.misconception(
    "turns the keys the other way",
    "You turned the keys backwards, so the turns add up in the product: it depends on the *sum* of "
    "the two positions. Turn both the same way, and the difference is left.",
)
def _(query, key, value):
    angles = angles_of(query)
    return turned(query, angles), turned(key, -angles), value


@with_positions.misconception(
    "turns clockwise",
    "You turned the wrong way: the minus sign stands in the first number of the pair, not in the "
    "second. A model trained that way would be as good, but weights from elsewhere would not fit.",
)
def _(query, key, value):
    angles = angles_of(query)
    return turned(query, -angles), turned(key, -angles), value


@with_positions.misconception(
    "pairs the two halves",
    "You paired coordinate i with i + D/2. Much code does so, and a model trained that way is as "
    "good. Here, as in the paper, *neighbours* make a pair; weights trained for one pairing are "
    "wrong for the other.",
)
def _(query, key, value):
    def turn(x):
        first, second = np.split(x, 2, axis=-1)
        points = (first + 1j * second) * np.exp(1j * angles_of(x))
        return np.concatenate([points.real, points.imag], -1)

    return turn(query), turn(key), value


@with_positions.misconception(
    "forgets the position",
    "Your angle depends on the pair but not on the position, so every token turns alike, and the "
    "products stay as they were. Multiply the frequency by the row number.",
)
def _(query, key, value):
    angles = np.broadcast_to(angles_of(query, start=1)[:1], angles_of(query).shape)
    return turned(query, angles), turned(key, angles), value


@with_positions.misconception(
    "one frequency for all pairs",
    "You turned all pairs by the same angle. Each has a frequency of its own, from one radian for "
    "each position down to almost none: the fast ones tell neighbours apart, the slow ones "
    "do not repeat for thousands of positions.",
)
def _(query, key, value):
    return both(query, key, value, exponent=0.0)


@with_positions.misconception(
    "numbers the pairs by one",
    "Your exponent runs over 0, 1, 2 … divided by D. It is 2i/D for pair number i, so `0, 2, 4 …` "
    "divided by D; otherwise the slow pairs of a wide head turn nearly a hundred times too fast.",
)
def _(query, key, value):
    return both(query, key, value, exponent=1.0)


@with_positions.misconception(
    "the frequencies grow",
    "The sign of your exponent is missing: the frequencies rise with the pair, up to thousands of "
    "radians for one position. They start at 1 and fall.",
)
def _(query, key, value):
    return both(query, key, value, exponent=-2.0)


@with_positions.misconception(
    "starts at position one",
    "You gave the first token position 1. It stands at 0 and is not turned. (The scores would not "
    "notice, as only the difference counts; a cache filled from 0 would.)",
)
def _(query, key, value):
    return both(query, key, value, start=1)


@with_positions.misconception(
    "uses a number that is already turned",
    "You overwrote the first number of each pair and then used it for the second, already turned. "
    "Keep the old one until both are computed.",
)
def _(query, key, value):
    cos, sin = np.cos(angles_of(query)), np.sin(angles_of(query))

    def turn(x):
        first = x[:, 0::2] * cos - x[:, 1::2] * sin
        return np.stack([first, first * sin + x[:, 1::2] * cos], -1).reshape(x.shape)

    return turn(query), turn(key), value


@with_positions.misconception(
    "puts the pairs apart",
    "Your turns are right, but you put all first numbers before all second ones. Lay them back "
    "where they were, as neighbours.",
)
def _(query, key, value):
    def apart(x):
        return np.concatenate([x[:, 0::2], x[:, 1::2]], -1)

    query, key, _ = both(query, key, value)
    return apart(query), apart(key), value


# ------------------------------------------------------------------------- induction
def random_repeats(rng):
    return Case(rng.choice(list("abc"), size=rng.integers(2, 9)).tolist())


@exercise(
    "attention.induction",
    title="What came next last time",
    cases=[
        Case(["a", "b", "a"]),
        Case(["a", "b", "c", "a", "c", "b", "a"]),
        Case(["a", "b", "a", "b", "a", "c", "a"]),
        Case(["a", "a", "a"]),
        Case(["a"]),
        random_repeats,
    ],
    hints=(
        "For each position, look back for an earlier place with the same token. If there are "
        "several, the latest counts. What does the head copy from there: that token, or its "
        "neighbour?",
        "For position t, collect all `s in range(t)` with `tokens[s] == tokens[t]`. The last of "
        "them, plus 1, is the position to copy; it is never beyond t. If there is none, `None`.",
    ),
    minutes=6,
    remark="The head must attend to the token *after* the match, so that token has to know who "
    "stood before it. One layer writes this down, and the next one can look for it: two layers, "
    "two heads in a row. One layer alone compares tokens as they come, and cannot.",
)
def induction(tokens):
    """Return a list: what an induction head copies to each position."""
    copied = []
    for t, token in enumerate(tokens):
        matches = [s for s in range(t) if tokens[s] == token]
        copied.append(tokens[matches[-1] + 1] if matches else None)
    return copied


def places(tokens, t):
    return [s for s in range(t) if tokens[s] == tokens[t]]


@induction.misconception(
    "copies the match itself",
    "You copied the earlier occurrence itself. That is the token which stands here already; what "
    "helps to predict is the one that came *after* it.",
)
def _(tokens):
    return [tokens[t] if places(tokens, t) else None for t in range(len(tokens))]


@induction.misconception(
    "copies the token before the match",
    "You went one step the wrong way and copied what stood *before* the earlier occurrence. The "
    "head predicts what comes next, so it copies what came next.",
)
def _(tokens):
    found = [places(tokens, t) for t in range(len(tokens))]
    return [tokens[m[-1] - 1] if m and m[-1] else None for m in found]


@induction.misconception(
    "takes the earliest match",
    "You took the *first* occurrence. The task asks for the latest one before the present.",
)
def _(tokens):
    found = [places(tokens, t) for t in range(len(tokens))]
    return [tokens[m[0] + 1] if m else None for m in found]


@induction.misconception(
    "takes the most frequent follower",
    "You counted all followers and took the most frequent. That is a bigram model of the text so "
    "far; the head of this exercise looks at one place only, the latest.",
)
def _(tokens):
    found = [Counter(tokens[s + 1] for s in places(tokens, t)) for t in range(len(tokens))]
    return [max(c, key=c.get) if c else None for c in found]


@induction.misconception(
    "looks at the answer",
    "You took the present position for a match of itself, and copied the token after it. That one "
    "is to be predicted: the causal mask hides it. Look at the positions *before* t only.",
)
def _(tokens):
    return [*tokens[1:], None]


@induction.misconception(
    "asks for a token after the end",
    "You took the present position for a match of itself, and asked for the token after it. That "
    "one is to be predicted, and at the end of the text there is none, so Python stops. Look at "
    "the positions *before* t only.",
)
def _(tokens):
    return [tokens[t + 1] for t in range(len(tokens))]


@induction.misconception(
    "looks up the last place in the whole text",
    "You looked up the last occurrence in the *whole* text, which may be the present one or lie in "
    "the future. At position t, only what stands before t exists.",
)
def _(tokens):
    last = {token: s for s, token in enumerate(tokens)}
    return [tokens[last[x] + 1] if last[x] + 1 < len(tokens) else None for x in tokens]


@induction.misconception(
    "looks into the future",
    "You looked for the same token in the whole text, also after the present position. The causal "
    "mask hides that part.",
)
def _(tokens):
    copied = []
    for t, token in enumerate(tokens):
        found = [s for s in range(len(tokens) - 1) if s != t and tokens[s] == token]
        copied.append(tokens[found[-1] + 1] if found else None)
    return copied


@induction.misconception(
    "finds the match by the token before",
    "You looked for the token *before* the present one, and copied what followed it. That shows "
    "what could stand here; the head predicts what stands next.",
)
def _(tokens):
    found = [places(tokens, t - 1) if t else [] for t in range(len(tokens))]
    return [tokens[m[-1] + 1] if m else None for m in found]


@induction.misconception(
    "gives positions",
    "These are the positions to copy from. Return the tokens that stand there.",
)
def _(tokens):
    found = [places(tokens, t) for t in range(len(tokens))]
    return [m[-1] + 1 if m else None for m in found]


@induction.misconception(
    "leaves positions out",
    "You left out the positions where nothing is found. Each position has its entry: `None` where "
    "the token is new.",
)
def _(tokens):
    return [copy for copy in induction(tokens) if copy is not None]
