r"""What a transformer costs: its parameters and its FLOP, counted from its shape.

Every count comes in parts, because papers disagree about which parts to count, and half of the
famous disagreements of this field are about nothing else. Counted per layer:

    queries, keys, values   3 C A          A = heads · head width, the width of attention
    attention output        A C
    feed-forward            2 C F          C width, F feed-forward width

With A = C and F = 4 C this is 12 C² a layer: Kaplan's N ≈ 12 l d². A multiplication of a vector by
a matrix of p weights is 2 p FLOP (multiply, add) per token, and the backward pass costs twice the
forward pass; hence 6 N a token. What 6 N leaves out is attention itself, T positions looking at T
others: 4 T A FLOP a layer and token, half of that if each looks only back.

Symbols: C width, A attention width, F feed-forward width, V vocabulary, T context, l layers.
"""

from dataclasses import dataclass
from numbers import Integral


@dataclass(frozen=True)
class Shape:
    """The shape of a decoder-only transformer.

    layers, width, heads, vocabulary, context : int >= 1
    head_width : int, width / heads if None; models exist where heads · head_width is not the width
    feedforward : int, 4 · width if None
    biases : bool, of the linear maps inside the layers and of the normalisations
    attention_biases : bool, of the attention's maps alone; as `biases` if None
    positions : "learned" (a table of T · C), "relative" (Transformer-XL: a projection and two bias
        vectors in every layer) or "none" (no parameters: sinusoids, rotations)
    norms : bool, two in every layer and one at the end
    tied : bool, the output uses the embedding table; if False it has its own
    """

    layers: int
    width: int
    heads: int
    vocabulary: int
    context: int
    head_width: int | None = None
    feedforward: int | None = None
    biases: bool = True
    attention_biases: bool | None = None
    positions: str = "learned"
    norms: bool = True
    tied: bool = True

    def __post_init__(self):
        if self.head_width is None:
            if self.width % self.heads:
                raise ValueError(
                    f"{self.heads} heads do not divide the width {self.width}: choose a multiple, "
                    "or give head_width."
                )
            object.__setattr__(self, "head_width", self.width // self.heads)
        if self.feedforward is None:
            object.__setattr__(self, "feedforward", 4 * self.width)
        if self.attention_biases is None:
            object.__setattr__(self, "attention_biases", self.biases)
        for name, value in vars(self).items():
            if name in ("biases", "attention_biases", "positions", "norms", "tied"):
                continue
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
        if self.positions not in ("learned", "relative", "none"):
            raise ValueError(
                f'positions must be "learned", "relative" or "none", got {self.positions!r}.'
            )

    @property
    def attention_width(self):
        """A = heads · head_width."""
        return self.heads * self.head_width


def parameters(shape):
    """The parameters of a transformer, part by part.

    Returns
    -------
    parts : dict of int: embedding, positions, attention, feedforward, norms, output; the output is
        0 when it shares the embedding table.  sum(parts.values()) is what torch counts.

    Examples
    --------
    >>> gpt2 = Shape(layers=12, width=768, heads=12, vocabulary=50257, context=1024)
    >>> parts = parameters(gpt2)
    >>> sum(parts.values()), sum(parts.values()) - parts["positions"]
    (124439808, 123653376)
    >>> without_embedding(gpt2), 12 * 12 * 768**2      # Kaplan's N, and 12 l d²
    (85056000, 84934656)
    """
    C, A, F, bias = shape.width, shape.attention_width, shape.feedforward, int(shape.biases)
    attention = 4 * C * A + int(shape.attention_biases) * (3 * A + C)
    if shape.positions == "relative":
        attention += C * A + 2 * A  # r projected to keys; one content and one position bias
    feedforward = C * F + bias * F + F * C + bias * C
    norm = C + bias * C
    return {
        "embedding": shape.vocabulary * C,
        "positions": shape.context * C if shape.positions == "learned" else 0,
        "attention": shape.layers * attention,
        "feedforward": shape.layers * feedforward,
        "norms": (2 * shape.layers + 1) * norm if shape.norms else 0,
        "output": 0 if shape.tied else shape.vocabulary * C,
    }


def without_embedding(shape):
    """N as Kaplan et al. (2020) count it: the layers and norms, no table of words or positions."""
    parts = parameters(shape)
    return parts["attention"] + parts["feedforward"] + parts["norms"]


def flop_per_token(shape, *, causal=False, backward=True):
    """The FLOP of one token of a full context, part by part.

    Multiplications by weights and between positions, two FLOP each; normalisations, biases,
    activations and the lookup of an embedding, which multiplies nothing, are left out.

    Parameters
    ----------
    shape : Shape; T = shape.context
    causal : bool, count only the positions a token may look at, (T + 1) / 2 on average, instead of
        all T, which most implementations compute and papers count
    backward : bool, training: three times the forward pass

    Returns
    -------
    parts : dict of float: projections, positions, scores (queries · keys and weights · values),
        softmax (3 FLOP an entry), feedforward, logits

    Examples
    --------
    >>> parts = flop_per_token(Shape(layers=2, width=64, heads=4, vocabulary=100, context=32))
    >>> parts["projections"] + parts["feedforward"], 6 * 2 * 12 * 64**2
    (589824, 589824)
    >>> parts["scores"] == 12 * 2 * 64 * 32                 # 12 l A T
    True
    """
    C, A, T, l = shape.width, shape.attention_width, shape.context, shape.layers  # noqa: E741
    seen = (T + 1) / 2 if causal else T
    times = 3 if backward else 1
    relative = shape.positions == "relative"
    return {
        "projections": times * l * 2 * 4 * C * A,
        # Transformer-XL projects its T relative positions once for the whole context, so T tokens
        # share one projection of T vectors, and scores them against every query.
        "positions": times * l * (2 * C * A + 2 * seen * A) if relative else 0,
        "scores": times * l * 4 * seen * A,
        "softmax": times * l * 3 * seen * shape.heads,
        "feedforward": times * l * 4 * C * shape.feedforward,
        "logits": times * 2 * C * shape.vocabulary,
    }


def chinchilla_shape(width, feedforward, head_width, heads, layers, context=2048):
    """A row of Table A9 of Hoffmann et al. (2022) as a `Shape`, by the conventions that fit it.

    With a vocabulary of 32,000, relative positions, biases, no norms, and the table counted once,
    all 50 published counts come out within their rounding; with C instead of A for the width of
    attention, the six models where they differ are off by up to 7 %.
    """
    return Shape(
        layers,
        width,
        heads,
        32_000,
        context,
        head_width,
        feedforward,
        positions="relative",
        norms=False,
    )
