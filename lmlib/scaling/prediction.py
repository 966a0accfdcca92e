r"""Sign, then train: say what a run will give, seal it, and be judged by it afterwards.

A prediction that nobody wrote down is remembered as right. Written down, and its sha256 shown
before the run, it cannot be changed afterwards without being noticed:

    prediction = predict_run(fit, N, D, draws, rng)
    print(seal(prediction))                     # before the run
    prediction.score(measured)                  # after it
    seal(prediction) == what_was_printed

The seal binds; it does not hide. A text with so few digits can be found by trying them all, so keep
nothing secret this way without adding a long random word to it.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lmlib.scaling import checks

DIGITS = 4  # of a nat: more than any run repeats


class Score(NamedTuple):
    """How a prediction fared.

    error : float, predicted minus measured, nats; positive is pessimistic
    percent : float, the error in per cent of the measured loss
    inside : bool, whether the measured loss lies in the interval
    """

    error: float
    percent: float
    inside: bool


@dataclass(frozen=True)
class Prediction:
    """What a run will give. The losses are rounded to four digits: what is written is what counts.

    params, tokens : int, N and D of the run
    loss : float, nats per token
    low, high : float, the interval
    level : float, the chance that the measured loss lies in it

    Raises
    ------
    ValueError : for counts or losses that are not positive, or a loss outside its interval
    """

    params: int
    tokens: int
    loss: float
    low: float
    high: float
    level: float = 0.95

    def __post_init__(self):
        checks.positive(params=self.params, tokens=self.tokens, loss=self.loss, low=self.low)
        if not self.low <= self.loss <= self.high or not 0 < self.level < 1:
            raise ValueError(
                f"expected low <= loss <= high and a level between 0 and 1, got {self.low}, "
                f"{self.loss}, {self.high} and {self.level}."
            )
        written = {name: round(float(getattr(self, name))) for name in ("params", "tokens")}
        written |= {n: round(float(getattr(self, n)), DIGITS) for n in ("loss", "low", "high")}
        for name, value in written.items():
            object.__setattr__(self, name, value)

    def __str__(self):
        return (
            f"{self.params} parameters, {self.tokens} tokens: {self.loss:.{DIGITS}f} nats per "
            f"token, {100 * self.level:g} % between {self.low:.{DIGITS}f} and "
            f"{self.high:.{DIGITS}f}"
        )

    def score(self, measured):
        """The `Score` of this prediction against the measured loss, nats per token."""
        (measured,) = checks.positive(measured=measured)
        measured = float(measured)
        error = self.loss - measured
        return Score(error, 100 * error / measured, bool(self.low <= measured <= self.high))


def predict_run(fit, params, tokens, draws, rng, level=0.95):
    """Predict one run that has not been done, with an interval for *this run*.

    Two things are uncertain: where the curve lies (the draws of the bootstrap), and how far a
    single run falls from it. A share of the draws holds the curve; to hold the run, each draw is
    multiplied by exp(r), with r a residual of log L of the fitted runs, drawn at random and made
    larger by sqrt(n / (n - constants)), because a fit bends towards the runs it sees. What no
    interval here knows is whether the law still holds so far out.

    Parameters
    ----------
    fit : Fit
    params, tokens : N and D of the run
    draws : (n, constants) array from ``fit.bootstrap``
    rng : numpy Generator
    level : float between 0 and 1

    Returns
    -------
    prediction : Prediction
    """
    draws = np.asarray(draws)
    constants, n = len(fit.constants), len(fit.loss)
    if draws.ndim != 2 or draws.shape[1] != constants:
        raise ValueError(
            f"expected draws of {constants} constants from this fit's bootstrap, got shape "
            f"{draws.shape}."
        )
    if not n > constants:
        raise ValueError(f"{n} runs fitted by {constants} constants have no residuals to judge by.")
    curve = fit.form.law(params, tokens, *draws.T)  # (draws,)
    residuals = np.log(fit.loss / fit.predict(fit.params, fit.tokens))
    scatter = rng.choice(residuals, len(curve)) * np.sqrt(n / (n - constants))
    low, high = np.quantile(curve * np.exp(scatter), [(1 - level) / 2, (1 + level) / 2])
    loss = float(fit.predict(params, tokens))
    return Prediction(params, tokens, loss, min(low, loss), max(high, loss), level)


def seal(prediction):
    """The sha256 of the prediction's text, in hexadecimal: ``sha256sum`` gives the same.

    >>> prediction = Prediction(34_000, 780_000, 2.8863, 2.8635, 2.9023)
    >>> print(prediction)
    34000 parameters, 780000 tokens: 2.8863 nats per token, 95 % between 2.8635 and 2.9023
    >>> seal(prediction)[:16]
    '9c0f14f852466001'
    """
    return hashlib.sha256(str(prediction).encode()).hexdigest()
