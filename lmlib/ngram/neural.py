r"""The neural n-gram model: the window of an n-gram, and words that share what they learn.

A table of counts keeps every context apart: what it knows about "the salt road" tells it nothing
about "the salt path". Here a word is a vector of d learned numbers, and the next word follows from
the vectors of the n - 1 symbols before it (Bengio et al. 2003):

    x = [e(w_1), …, e(w_{n-1})]                the vectors of the context, laid end to end
    h = max(0, x W + b)                        the hidden layer
    z = h U + u                                back to the size of a word vector
    P(w | w_1 … w_{n-1}) = softmax over w of  e(w) · z + a(w)

Put one free number for every context and word in place of e(w) · z + a(w), and training finds the
relative frequencies: counting is the same softmax without sharing. With vectors, words that are
alike get alike probabilities and, as context, make alike predictions, whether or not their n-gram
was ever seen. Three things differ from the paper: max(0, ·) in place of tanh, the same vectors e
at the input and at the output, and no direct connections from x to the output.

`forward` and `backward` are the whole mathematics. The rest is training, and the interface that
this model shares with those that count.

Symbols: B contexts in a batch, n order, d width of a word vector, H hidden units, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array

from lmlib.corpora import Vocabulary
from lmlib.ngram.counting import BOS, Stream, encode
from lmlib.ngram.model import LanguageModel

Parameters = dict[str, np.ndarray]

CHUNK = 1024  # contexts scored at once: (CHUNK, V) numbers must fit in memory


# -------------------------------------------------------------------------------- the mathematics
def initialise(
    counts: np.ndarray,
    order: int,
    width: int,
    hidden: int,
    rng: np.random.Generator,
    dtype: type = np.float32,
) -> Parameters:
    """The parameters before training: predictions differ little from the words' frequencies.

    counts : (V,) how often each word is to be predicted in the training text. The output bias
        starts at log((count + 1) / (N + V)): what one bincount knows need not be learned.

    Returns a dict: ``embedding`` (V, d), ``hidden_weights`` ((n-1)·d, H), ``hidden_bias`` (H,),
    ``projection`` (H, d), ``projection_bias`` (d,), ``output_bias`` (V,), which are e, W, b, U, u
    and a of the equations.
    """
    inputs = (order - 1) * width
    parameters = {
        "embedding": rng.normal(0, 0.1, (len(counts), width)),
        "hidden_weights": rng.normal(0, inputs**-0.5, (inputs, hidden)),
        "hidden_bias": np.zeros(hidden),
        "projection": rng.normal(0, hidden**-0.5, (hidden, width)),
        "projection_bias": np.zeros(width),
        "output_bias": np.log((counts + 1) / (counts.sum() + len(counts))),
    }
    return {name: value.astype(dtype) for name, value in parameters.items()}


def forward(
    parameters: Parameters, contexts: np.ndarray, masks: Sequence = (1, 1, 1)
) -> tuple[np.ndarray, tuple]:
    """The log-probability of every word after each context, by the equations above.

    contexts : (B, n-1) int ids, oldest first
    masks : what x, h and z are multiplied by; `dropout_masks` while training

    Returns log_probabilities, (B, V) in nats, and the cache that `backward` needs. ``<s>`` has
    -inf: it is never predicted, and the other words share the whole probability.
    """
    p = parameters
    x = p["embedding"][contexts].reshape(len(contexts), -1) * masks[0]  # (B, (n-1)·d)
    h = np.maximum(0, x @ p["hidden_weights"] + p["hidden_bias"]) * masks[1]  # (B, H)
    z = (h @ p["projection"] + p["projection_bias"]) * masks[2]  # (B, d)
    scores = z @ p["embedding"].T + p["output_bias"]  # (B, V)
    scores[:, BOS] = -np.inf
    scores -= scores.max(-1, keepdims=True)  # or exp overflows
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores, (parameters, contexts, masks, x, h, z, scores)


def backward(targets: np.ndarray, cache: tuple) -> Parameters:
    """The gradient of the loss, the mean over the batch of -log P(target | context) in nats.

        d loss / d score(w) = (P(w | context) - [w is the target]) / B

    and from there back through `forward`, line by line.

    targets : (B,) int ids, none of them ``<s>``
    Returns a dict of gradients with the names and shapes of the parameters.
    """
    p, contexts, masks, x, h, z, log_probabilities = cache
    d_scores = np.exp(log_probabilities)  # (B, V)
    d_scores[np.arange(len(targets)), targets] -= 1
    d_scores /= len(targets)
    d_z = d_scores @ p["embedding"] * masks[2]  # (B, d)
    d_h = d_z @ p["projection"].T * masks[1] * (h > 0)  # (B, H)
    d_x = d_h @ p["hidden_weights"].T * masks[0]  # (B, (n-1)·d)
    # A word may stand in many contexts, and its gradients add up. As a product with the sparse
    # matrix of the look-up this takes a tenth of the time of np.add.at.
    looked_up = csr_array(
        (np.ones(contexts.size, d_x.dtype), contexts.ravel(), np.arange(contexts.size + 1)),
        shape=(contexts.size, d_scores.shape[1]),
    )
    return {
        "embedding": d_scores.T @ z + looked_up.T @ d_x.reshape(contexts.size, -1),
        "hidden_weights": x.T @ d_h,
        "hidden_bias": d_h.sum(0),
        "projection": h.T @ d_z,
        "projection_bias": d_z.sum(0),
        "output_bias": d_scores.sum(0),
    }


def dropout_masks(
    parameters: Parameters, batch: int, dropout: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Random masks for x, h and z: 0 with chance `dropout`, else 1 / (1 - dropout)."""
    widths = (*parameters["hidden_weights"].shape, parameters["embedding"].shape[1])
    scale = parameters["embedding"].dtype.type(1 / (1 - dropout))
    return [(rng.random((batch, n), np.float32) >= dropout) * scale for n in widths]


def adam(
    parameters: Parameters,
    gradients: Parameters,
    moments: dict[str, tuple[np.ndarray, np.ndarray]],
    step: int,
    learning_rate: float,
) -> None:
    r"""One step of Adam (Kingma & Ba 2015), in place; the first step is 1.

        m += (1 - β₁) (g - m),      v += (1 - β₂) (g² - v)
        parameter -= learning_rate · m / (1 - β₁^step) / (sqrt(v / (1 - β₂^step)) + 1e-8)

    with β₁ = 0.9 and β₂ = 0.98. `moments` keeps (m, v) of every parameter, zeros at the start.
    """
    for name, gradient in gradients.items():
        mean, square = moments[name]
        mean += 0.1 * (gradient - mean)
        square += 0.02 * (gradient * gradient - square)
        size = np.sqrt(square / (1 - 0.98**step)) + 1e-8
        parameters[name] -= learning_rate / (1 - 0.9**step) * mean / size


# -------------------------------------------------------------------------------------- the model
class NeuralNgram(LanguageModel):
    """A trained network as a language model; `fit_neural` makes one.

    Whatever it was trained in, it predicts in float64, so that its probabilities sum to 1. A
    context of fewer than n - 1 symbols is filled up with ``<s>`` on the left.

    parameters : dict of float64 arrays, as in `initialise`
    history : list of (step, perplexity of the validation text)

    Raises
    ------
    ValueError : if the embedding has not one row for each word of the vocabulary
    """

    def __init__(
        self,
        parameters: Parameters,
        vocabulary: Vocabulary,
        history: Iterable[tuple[int, float]] = (),
    ):
        rows, width = parameters["embedding"].shape
        if rows != len(vocabulary):
            raise ValueError(
                f"the embedding has {rows:,} rows and the vocabulary {len(vocabulary):,} words: "
                "pass the vocabulary that the model was trained with."
            )
        self.order = parameters["hidden_weights"].shape[0] // width + 1
        self.vocabulary = vocabulary
        self.parameters = {name: p.astype(np.float64) for name, p in parameters.items()}
        self.history = list(history)

    def neighbours(self, word: str, count: int = 5) -> list[str]:
        """The words whose vectors point most nearly the same way (cosine), nearest first."""
        e = self.parameters["embedding"]
        (i,) = self.vocabulary.encode([word], unknown="raise")
        cosine = e @ e[i] / np.linalg.norm(e, axis=1)  # (V,) times the length of e[i]
        others = [j for j in np.argsort(-cosine) if j != i and j > 2]  # 0, 1, 2 are no words
        return self.vocabulary.decode(others[:count])

    def _token_probabilities(self, stream: Stream) -> np.ndarray:
        return np.exp(_log_probabilities(self.parameters, *windows(stream, self.order)))

    def _distribution(self, context: np.ndarray) -> np.ndarray:
        padded = [BOS] * (self.order - 1 - len(context)) + list(context)
        return np.exp(forward(self.parameters, np.array([padded]))[0][0])


def windows(stream: Stream, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Every predicted symbol of a stream, with the order - 1 symbols before it.

    Returns contexts (tokens, order-1), filled up with ``<s>`` on the left where a sentence has
    just begun, and targets (tokens,): int ids.
    """
    at = np.flatnonzero(stream.predicted)
    lags = np.arange(order - 1, 0, -1)
    inside = stream.depth[at, None] >= lags  # (tokens, order-1)
    before = np.maximum(at[:, None] - lags, 0)  # where it is not inside, any place will do
    return np.where(inside, stream.ids[before], BOS), stream.ids[at]


def _log_probabilities(parameters, contexts, targets):
    """(tokens,) float64: log P(target | context), a chunk at a time."""
    parts = []
    for start in range(0, len(targets), CHUNK):
        part = slice(start, start + CHUNK)
        log_probabilities, _ = forward(parameters, contexts[part])
        parts.append(np.take_along_axis(log_probabilities, targets[part, None], axis=1)[:, 0])
    return np.concatenate(parts).astype(np.float64)


# --------------------------------------------------------------------------------------- training
def fit_neural(
    train: Iterable[Sequence[str]],
    validation: Iterable[Sequence[str]],
    order: int,
    *,
    width: int,
    hidden: int,
    dropout: float,
    learning_rate: float,
    batch: int,
    steps: int,
    rng: np.random.Generator,
    vocabulary: Vocabulary | None = None,
    dtype: type = np.float32,
    evaluations: int = 10,
) -> NeuralNgram:
    """Train a neural n-gram model by Adam on random batches.

    The learning rate falls linearly to zero. At the start and `evaluations` times on the way the
    validation text is predicted, and the parameters that did so best are kept: with little text
    the last ones can be far worse than the first. Training ends after a number of steps, not of
    seconds, so a seed gives the same model again, up to the rounding of the machine.

    Parameters
    ----------
    train, validation : iterables of lists of words
    order : int >= 2, n: the model sees n - 1 symbols
    width, hidden : int >= 1, d and H
    dropout : float in [0, 1), the share of x, h and z set to zero at random in every step
    learning_rate : float > 0, that of the first step; about 0.01 suits such small models
    batch, steps : int >= 1, contexts in a step, and steps
    rng : numpy.random.Generator, for the first parameters, the batches and dropout
    vocabulary : the words to tell apart; all words of `train` when None. Without a word that it
        leaves out, such as the rare ones under ``min_count=2``, ``<unk>`` is never trained.
    dtype : np.float32 or np.float64, of the training
    evaluations : int >= 1

    Returns
    -------
    model : NeuralNgram

    Raises
    ------
    ValueError : a number out of its range, no training or no validation text, a vocabulary that
        is none, or a training that diverges
    """
    _check_integer("order", order, 2)
    _check_integer("width", width)
    _check_integer("hidden", hidden)
    _check_integer("batch", batch)
    _check_integer("steps", steps)
    _check_integer("evaluations", evaluations)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1): a share to leave out; got {dropout!r}.")
    if not 0 < learning_rate < np.inf:
        raise ValueError(f"learning_rate must be positive and finite, got {learning_rate!r}.")
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy Generator, got {rng!r}: np.random.default_rng(0).")
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be np.float32 or np.float64, got {dtype!r}.")
    train, validation = list(train), list(validation)
    if not validation:
        raise ValueError(
            "validation is empty: without held-out text nobody knows when the model starts to "
            "learn its training text by heart. corpora.split_iid holds sentences out."
        )
    if vocabulary is None:
        vocabulary = Vocabulary.from_sentences(train)
    elif not isinstance(vocabulary, Vocabulary):
        raise ValueError(f"vocabulary must be a corpora.Vocabulary, got {type(vocabulary)}.")

    contexts, targets = windows(encode(train, vocabulary), order)
    held_out = windows(encode(validation, vocabulary), order)
    counts = np.bincount(targets, minlength=len(vocabulary))
    parameters = initialise(counts, order, width, hidden, rng, dtype)
    moments = {k: (np.zeros_like(p), np.zeros_like(p)) for k, p in parameters.items()}
    evaluated = set(np.linspace(0, steps, evaluations + 1).round().astype(int).tolist())
    history, lowest, best = [], np.inf, parameters
    for step in range(steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # said in words, a few lines below
            if step > 0:
                chosen = rng.integers(0, len(targets), batch)
                masks = dropout_masks(parameters, batch, dropout, rng) if dropout else (1, 1, 1)
                _, cache = forward(parameters, contexts[chosen], masks)
                gradients = backward(targets[chosen], cache)
                rate = learning_rate * (1 - (step - 1) / steps)
                adam(parameters, gradients, moments, step, rate)
            if step not in evaluated:
                continue
            perplexity = float(np.exp(-_log_probabilities(parameters, *held_out).mean()))
        if not np.isfinite(perplexity):
            raise ValueError(
                f"training has diverged by step {step}: try a learning_rate well below "
                f"{learning_rate}."
            )
        history.append((step, perplexity))
        if perplexity < lowest:
            lowest, best = perplexity, {name: p.copy() for name, p in parameters.items()}
    return NeuralNgram(best, vocabulary, history)


def _check_integer(name, value, least=1):
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
