r"""Fit a law to runs, and say how far to trust it.

The objective is that of Hoffmann et al. (2022, eq. 3): the *sum* over the runs of Huber's loss of
log L(N, D) - log L, with delta = 1e-3. (Divide by n and an optimiser with an absolute tolerance
stops 9 % above the minimum; that is how the paper's exponents went astray.)

    fit = fit_chinchilla(params, tokens, loss)
    fit.E, fit.alpha, fit.predict(N, D), fit.optimal(C)
    draws = fit.bootstrap(4000, rng)
    print(fit.summary(draws))

Any consistent units will do: with N in millions, A changes and nothing else.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar

from lmlib.scaling import checks
from lmlib.scaling.allocation import compute_optimal
from lmlib.scaling.forms import CHINCHILLA, KAPLAN, POWER_MEAN, Form, additive_grid
from lmlib.scaling.laws import effective, kaplan_as_power_mean
from lmlib.scaling.newton import minimise

WIDEST_E = 0.2  # an interval on E wider than this share of the lowest loss is no measurement


def fit_chinchilla(params, tokens, loss, *, delta=1e-3, compute=None):
    """Fit L = E + A / N^alpha + B / D^beta: the additive law (Hoffmann et al. 2022, eqs. 2, 3).

    Parameters
    ----------
    params, tokens : (n,) sequences, N and D of n >= 5 runs
    loss : (n,) sequence, nats per token
    delta : float > 0, residuals of log L beyond it count linearly.  Small, 1e-3: nearly least
        absolute deviations; large, 1: least squares.
    compute : (n,) sequence of FLOP or None, only to check the units: 6 N D should be near it

    Returns
    -------
    fit : `Fit` with E, A, B, alpha, beta

    Raises
    ------
    ValueError : for fewer than five runs, fewer than three different N or D, values that are not
        positive and finite, or a loss that does not fall with N or with D

    Warns
    -----
    UserWarning : if compute is not within a factor of two of 6 N D

    Examples
    --------
    >>> N, D = (grid.ravel() for grid in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
    >>> fit = fit_chinchilla(N, D, 2 + 100 / N**0.5 + 200 / D**0.25)
    >>> round(fit.E, 6), round(fit.alpha, 6), round(fit.beta, 6)
    (2.0, 0.5, 0.25)
    >>> [round(float(x)) for x in fit.optimal(6e18)]
    [1000000, 1000000000000]
    """
    return _fit(CHINCHILLA, params, tokens, loss, delta, compute)


def fit_kaplan(params, tokens, loss, *, delta=1e-3, compute=None):
    """Fit L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D (Kaplan et al. 2020, eq. 1.5).

    Parameters, errors and warnings are those of `fit_chinchilla`; four runs and two different N
    and D are enough.

    Returns
    -------
    fit : `Fit` with N_c, D_c, alpha_N, alpha_D
    """
    return _fit(KAPLAN, params, tokens, loss, delta, compute)


def fit_power_mean(params, tokens, loss, *, delta=1e-3, compute=None):
    """Fit L = E + [(A / N^alpha)^q + (B / D^beta)^q]^(1/q), the parent of both other laws.

    One constant more always fits better in sample, and may extrapolate worse: let
    `extrapolation` decide. Parameters, errors and warnings are those of `fit_chinchilla`, with six
    runs or more.

    Returns
    -------
    fit : `Fit` with E, A, B, alpha, beta, q
    """
    return _fit(POWER_MEAN, params, tokens, loss, delta, compute)


def _fit(form, params, tokens, loss, delta, compute):
    params, tokens, loss = checks.runs(params, tokens, loss, len(form.names), form.needs)
    checks.positive(delta=delta)
    if compute is not None:
        checks.same_units(params, tokens, compute, stacklevel=3)
    x, y = np.log(params), np.log(tokens)
    centred = x - x.mean(), y - y.mean(), np.log(loss)
    # From a wide delta, near least squares, to the one asked for: a tiny one leaves Newton's
    # method almost no curvature to go by until it is close.
    ladder = [delta * 10**k for k in range(12) if k == 0 or delta * 10**k < 0.02][::-1]
    with np.errstate(all="ignore"):  # some starts may overflow on wild data; others will not
        theta = form.starts(*centred, ladder[0])
        for width in ladder:
            problem = form.problem(*centred, width)
            theta, objective = _best(problem, theta, keep=4, iterations=50)
        theta, objective = _best(problem, theta, keep=1)
        fit = Fit(form, params, tokens, loss, float(delta), float(objective[0]), theta[0], problem)
        shape = fit.shape
        drops = {
            "params": np.ptp(params ** -shape["alpha"]) * shape["A"] * np.sign(shape["alpha"]),
            "tokens": np.ptp(tokens ** -shape["beta"]) * shape["B"] * np.sign(shape["beta"]),
        }
    for resource, drop in drops.items():
        if not 1e-4 * loss.min() <= drop < np.inf:  # nor nan: constants without bound are none
            raise ValueError(
                f"the loss does not fall with {resource}: the best fit is {fit!r}. Are the columns "
                "in order, and was every run trained well?"
            )
    return fit


def _best(problem, theta, keep, **options):
    theta, objective = minimise(lambda part, rows: problem.evaluate(part), theta, **options)
    order = np.argsort(objective)[:keep]
    return theta[order], objective[order]


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A law with the constants that fit the runs best; every constant is an attribute as well.

    form : Form, which law
    params, tokens, loss : (n,) arrays, the runs
    delta : float
    objective : float, the summed Huber loss at the optimum
    """

    form: Form
    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    delta: float
    objective: float
    _theta: np.ndarray
    _problem: object = field(repr=False)

    def __post_init__(self):
        vars(self).update(self.constants)

    @property
    def constants(self):
        """dict: the constants by name, in the order of the columns of `bootstrap`."""
        values = self._constants(self._theta).tolist()
        return dict(zip(self.form.names, values, strict=True))

    @property
    def shape(self):
        """dict: the same law as a power mean, in the names of `laws.power_mean`."""
        if self.form is KAPLAN:
            return kaplan_as_power_mean(*self._constants(self._theta))
        return {"q": 1.0} | self.constants

    @property
    def exponent(self):
        """float: a = beta / (alpha + beta) of N* ∝ C^a, how the law splits compute."""
        return self.shape["beta"] / (self.shape["alpha"] + self.shape["beta"])

    def __repr__(self):
        # No E here: a floor without its interval is not a result; see `summary`.
        shown = {name: value for name, value in self.constants.items() if name != "E"}
        values = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
        return f"<{self.form.law.__name__} fit of {len(self.loss)} runs: {values}>"

    def predict(self, params, tokens):
        """The loss this law expects of N parameters and D tokens, in nats per token.

        For an interval, give the law all draws at once:
        ``laws.chinchilla(N, D, *fit.bootstrap(1000, rng).T)``.
        """
        return self.form.law(params, tokens, **self.constants)

    def optimal(self, compute):
        """The N and D of the lowest loss that `compute` FLOP = 6 N D can buy; see `allocation`."""
        law = self.shape
        return compute_optimal(compute, **{name: law[name] for name in law if name != "E"})

    def bootstrap(self, n, rng):
        """Fit n resamples of the runs, all at once: the spread is the uncertainty.

        A resample draws as many runs, with replacement; so it only re-weights the runs that are
        there, and each descent starts from the fit. What resampling cannot see is a wrong form:
        an interval may be narrow and miss the truth (see `extrapolation`).

        Parameters
        ----------
        n : int >= 1
        rng : numpy Generator

        Returns
        -------
        draws : (n, constants) array, columns in the order of `constants`
        """
        if n < 1:
            raise ValueError(f"n must be at least 1 resample, got {n}.")
        runs = len(self.loss)
        weights = rng.multinomial(runs, np.full(runs, 1 / runs), n).astype(float)  # (n, runs)
        theta, _ = minimise(
            lambda theta, rows: self._problem.evaluate(theta, weights, rows),
            np.repeat(self._theta[None], n, 0),
            tolerance=1e-10,
        )
        return self._constants(theta)

    def profile(self, alphas, betas):
        """The objective at each fixed (alpha, beta), minimised over E, A and B.

        The map shows what a list of starting points cannot: how many basins there are, and how flat
        their floor is. `local_minima` reads it.

        Parameters
        ----------
        alphas, betas : (I,), (J,) sequences of float > 0

        Returns
        -------
        objective : (I, J) array, nowhere below `fit.objective` but for rounding

        Raises
        ------
        ValueError : for a law other than Chinchilla's, or exponents that are not positive
        """
        if self.form is not CHINCHILLA:
            raise ValueError("only the additive law is linear in all but alpha and beta.")
        alphas, betas = checks.positive(alphas=alphas, betas=betas)
        problem, free = self._problem, [0, 2, 4]
        x, y = -problem.features[0][:, 1], -problem.features[1][:, 1]
        start, _ = additive_grid(x, y, problem.log_loss, self.delta, alphas, betas)

        def evaluate(part, rows):
            theta = start[rows]
            theta[:, free] = part
            value, gradient, hessian = problem.evaluate(theta)
            return value, gradient[:, free], hessian[:, free][:, :, free]

        _, objective = minimise(evaluate, start[:, free], tolerance=1e-10)
        return objective.reshape(len(alphas), len(betas))

    def summary(self, draws, level=0.95):
        """The constants with their intervals, as text; E only where it was measured at all.

        An interval holds the middle `level` of the draws. Where the one of E is wider than a fifth
        of the lowest loss, the runs do not say where the floor lies, and no number is given.

        Parameters
        ----------
        draws : (n, constants) array from `bootstrap`
        level : float between 0 and 1
        """
        draws = np.asarray(draws)
        if draws.ndim != 2 or draws.shape[1] != len(self.form.names):
            raise ValueError(
                f"expected draws of {len(self.form.names)} constants from this fit's bootstrap, "
                f"got shape {draws.shape}."
            )
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, got {level}.")
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        lines = [f"{self.form.law.__name__}: {len(self.loss)} runs, {level:.0%} intervals"]
        for i, (name, value) in enumerate(self.constants.items()):
            if name == "E" and high[i] < 1e-6 * self.loss.min():
                said = "pressed to zero: these runs show no floor, or obey another law"
            elif name == "E" and high[i] - low[i] > WIDEST_E * self.loss.min():
                said = "not determined by these runs: anything from {:.2g} to {:.2g}"
            else:
                said = f"{value:.5g}  [{{:.5g}}, {{:.5g}}]"
            lines.append(f"{name:>8}  {said.format(low[i], high[i])}")
        return "\n".join(lines)

    def _constants(self, theta):
        mean_x, mean_y = np.log(self.params).mean(), np.log(self.tokens).mean()
        return self.form.constants(theta, mean_x, mean_y)


def fit_repetition(epochs, multiple):
    """R* of `laws.effective`, from what repeated tokens were worth (Muennighoff et al. 2023).

    The form can only rise, so epochs after the one that was worth most, where more of the same
    begins to hurt, are left out.

    Parameters
    ----------
    epochs : (n,) sequence of float >= 1, rising
    multiple : (n,) sequence of float > 0, D' / U: the fresh tokens that give the same loss, over U

    Returns
    -------
    R_star : float, with the least squared error of log D' / U
    turn : float, the last of the epochs that were used

    Raises
    ------
    ValueError : for values that are not positive and finite, epochs that do not rise or begin below
        1, or fewer than two epochs up to the turn beyond the first

    Examples
    --------
    >>> epochs = np.array([1.0, 2, 4, 8, 16])
    >>> R_star, turn = fit_repetition(epochs, effective(epochs, 1, 5.0))
    >>> round(R_star, 3), turn
    (5.0, 16.0)
    """
    epochs, multiple = checks.positive(epochs=epochs, multiple=multiple)
    if epochs.ndim != 1 or epochs.shape != multiple.shape or not np.all(np.diff(epochs) > 0):
        raise ValueError(
            f"one multiple for each of some rising epochs, got {epochs} and {multiple.shape}."
        )
    used = slice(0, int(multiple.argmax()) + 1)
    if epochs[0] < 1 or (epochs[used] > 1).sum() < 2:
        raise ValueError(
            "R* needs two epochs beyond the first before repetition stops helping, and none below "
            f"1: got {epochs} with {multiple}."
        )

    def error(log_R):
        law = effective(epochs[used], 1, np.exp(log_R))
        return np.sum(np.log(law / multiple[used]) ** 2)

    found = minimize_scalar(error, bounds=(-4, 8), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x)), float(epochs[used][-1])


def local_minima(profile):
    """Where a map of the objective lies below all its neighbours: one place is one basin.

    Parameters
    ----------
    profile : (I, J) array from `Fit.profile`

    Returns
    -------
    places : list of (i, j), lowest first; those on the edge of the map included

    Examples
    --------
    >>> local_minima(np.array([[2.0, 1.0, 2.0], [3.0, 2.0, 0.5], [4.0, 5.0, 2.0]]))
    [(1, 2)]
    """
    around = np.pad(np.asarray(profile, float), 1, constant_values=np.inf)
    rows, columns = np.shape(profile)
    lowest = np.ones((rows, columns), bool)
    for i in range(3):
        for j in range(3):
            if (i, j) != (1, 1):
                lowest &= profile < around[i : i + rows, j : j + columns]
    places = [tuple(map(int, place)) for place in np.argwhere(lowest)]
    return sorted(places, key=lambda place: profile[place])
