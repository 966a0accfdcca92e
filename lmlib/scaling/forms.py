r"""Each law as the engine sees it: coordinates, link, derivatives, and the way back.

The unknowns are chosen so that every coordinate is linear in them (see `newton`), and log N and
log D are centred, x = log N - mean, y = log D - mean. Without centring, A and alpha nearly cancel
each other and the Hessian has a condition number of 1e11; with it, the same problem is tame.

    additive     u = a - alpha x,   v = b - beta y,   e               L = e^u + e^v + e^e
    power mean   the same, and k = log q                              L = e^e + (e^qu + e^qv)^(1/q)
    coupled      u = a - rho x,     v = d - y,        k = log beta    L = (e^u + e^v)^beta
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lmlib.scaling import laws
from lmlib.scaling.newton import Problem, minimise


@dataclass(frozen=True)
class Form:
    """What `fitting` needs to know about a law.

    law : (params, tokens, *constants) -> loss
    names : names of the constants, in that order
    needs : how many different N, and D, tell the constants apart
    problem : (x, y, log_loss, delta) -> Problem
    constants : (theta (..., m), mean log N, mean log D) -> (..., m), in the order of `names`
    starts : (x, y, log_loss, delta) -> (P, m), points to descend from
    """

    law: Callable
    names: tuple[str, ...]
    needs: int
    problem: Callable
    constants: Callable
    starts: Callable


# --------------------------------------------------------------------------- variable projection
def project(basis, target, delta, rounds=4):
    """Best non-negative weights of fixed basis functions, for many bases at once.

    With the exponents fixed, a law is linear in what remains: E, A and B. So a grid over the
    exponents with a small linear solve at each point replaces thousands of random starts
    (variable projection, as Czech et al. 2026 use it for squared errors). A few rounds of
    reweighting make the solve about as robust as Huber's loss.

    Parameters
    ----------
    basis : (G, k, n) array, k functions of the n runs, at G grid points
    target : (n,) or (G, 1, n) array, what their weighted sum should be
    delta : float or (G, 1, 1) array > 0, relative residuals beyond it count linearly

    Returns
    -------
    weights : (G, k) array > 0
    cost : (G,) array, Huber's loss of the log residual
    """
    relative = basis / target  # residuals in log L are relative residuals, to first order
    trust = np.ones((len(basis), 1, basis.shape[2]))
    for _ in range(rounds + 1):
        weighted = relative * trust  # (G, k, n)
        normal = weighted @ relative.swapaxes(1, 2)  # (G, k, k)
        scale = np.sqrt(np.einsum("gii->gi", normal))
        normal = normal / (scale[:, :, None] * scale[:, None, :]) + 1e-12 * np.eye(basis.shape[1])
        right = weighted.sum(2) / scale
        weights = np.linalg.solve(normal, right[:, :, None])[:, :, 0] / scale  # (G, k)
        weights = np.maximum(weights, 1e-6 / relative.max(2))  # a negative one has no logarithm
        ratio = weights[:, None, :] @ relative  # (G, 1, n), predicted over measured
        trust = np.minimum(1, delta / np.maximum(np.abs(ratio - 1), 1e-15))
    residual = np.abs(np.log(ratio))
    psi = np.minimum(residual, delta)
    return weights, (psi * (residual - psi / 2)).sum((1, 2))


GRID = np.geomspace(0.03, 2.0, 16)  # exponents: published ones lie between 0.05 and 0.6


def _pairs(first, second):
    return (grid.ravel() for grid in np.meshgrid(first, second, indexing="ij"))


def _best(theta, cost, keep=8):
    return theta[np.argsort(cost)[:keep]]


# ----------------------------------------------------------------------------- the additive law
def additive_link(u, v, e):
    """L = e^u + e^v + e^e: each term is its own derivative, so f_k is its share of L."""
    # Log-sum-exp, with one shift for all runs of a problem: no exponential can overflow.
    top = np.maximum(np.maximum(u.max(1), v.max(1)), e[:, 0])[:, None]
    terms = [np.exp(u - top), np.exp(v - top), np.exp(e - top)]
    total = terms[0] + terms[1]
    total += terms[2]
    log_L = np.log(total)
    log_L += top
    np.divide(1, total, out=total)
    shares = [term * total for term in terms]
    return log_L, shares, {(k, k): share for k, share in enumerate(shares)}


def additive_problem(x, y, log_loss, delta):
    one = np.ones_like(x)
    features = [np.c_[one, -x], np.c_[one, -y], None]
    return Problem(features, [0.0, 0.0, 0.0], additive_link, log_loss, delta)


def additive_grid(x, y, log_loss, delta, alphas, betas):
    """The projected fit at every (alpha, beta): theta (G, 5) and its cost (G,)."""
    alpha, beta = _pairs(alphas, betas)
    u, v = np.exp(-alpha[:, None] * x), np.exp(-beta[:, None] * y)  # (G, n)
    weights, cost = project(np.stack([u, v, np.ones_like(u)], 1), np.exp(log_loss), delta)
    A, B, E = np.log(weights).T
    return np.stack([A, alpha, B, beta, E], 1), cost


def additive_starts(x, y, log_loss, delta):
    return _best(*additive_grid(x, y, log_loss, delta, GRID, GRID))


def additive_constants(theta, mean_x, mean_y):
    a, alpha, b, beta, e = np.moveaxis(theta, -1, 0)
    with np.errstate(over="ignore"):  # a resample of a handful of runs may have A = inf
        A, B = np.exp(a + alpha * mean_x), np.exp(b + beta * mean_y)
    return np.stack([np.exp(e), A, B, alpha, beta], -1)


CHINCHILLA = Form(
    laws.chinchilla,
    ("E", "A", "B", "alpha", "beta"),
    3,
    additive_problem,
    additive_constants,
    additive_starts,
)


# --------------------------------------------------------------------------------- the coupled law
def coupled_link(u, v, k):
    """L = (e^u + e^v)^beta with beta = e^k."""
    beta, joint = np.exp(k), np.logaddexp(u, v)
    share = np.exp(u - joint)  # of the first term
    both = beta * share * (1 - share)
    log_L = beta * joint
    first = [beta * share, beta * (1 - share), log_L]
    # Derivatives of log L, then of L: (log L)_kj + (log L)_k (log L)_j = L_kj / L.
    second = {(0, 0): both, (0, 1): -both, (1, 1): both}
    second |= {(0, 2): first[0], (1, 2): first[1], (2, 2): log_L}
    return log_L, first, {(k, j): d + first[k] * first[j] for (k, j), d in second.items()}


def coupled_problem(x, y, log_loss, delta):
    one = np.ones_like(x)
    features = [np.c_[one, -x], None, None]
    return Problem(features, [0.0, -y, 0.0], coupled_link, log_loss, delta)


def coupled_starts(x, y, log_loss, delta):
    """L^(1/beta) = e^a N^-rho + e^d / D is linear in both weights, so it is projected as well."""
    rho, beta = _pairs(np.geomspace(0.2, 5, 16), GRID)
    basis = np.stack(np.broadcast_arrays(np.exp(-rho[:, None] * x), np.exp(-y)), 1)  # (G, 2, n)
    # A relative error of L^(1/beta) is 1 / beta times that of L.
    target, delta = np.exp(log_loss / beta[:, None])[:, None, :], delta / beta[:, None, None]
    weights, cost = project(basis, target, delta)
    a, d = np.log(weights).T
    return _best(np.stack([a, rho, d, np.log(beta)], 1), cost * beta**2)


def coupled_constants(theta, mean_x, mean_y):
    a, rho, d, k = np.moveaxis(theta, -1, 0)
    with np.errstate(over="ignore"):
        return np.stack(
            [np.exp(a / rho + mean_x), np.exp(d + mean_y), rho * np.exp(k), np.exp(k)], -1
        )


KAPLAN = Form(
    laws.kaplan,
    ("N_c", "D_c", "alpha_N", "alpha_D"),
    2,
    coupled_problem,
    coupled_constants,
    coupled_starts,
)


# ------------------------------------------------------------------------------- the power mean
def power_mean_link(u, v, e, k):
    """L = e^e + S with S = (e^(qu) + e^(qv))^(1/q) and q = e^k."""
    q, gap = np.exp(k), u - v
    s = np.logaddexp(q * u, q * v) / q  # log S
    share, other = np.exp(q * (u - s)), np.exp(q * (v - s))  # of the terms in the mean
    entropy = q * (s - share * u - other * v)  # of (share, other), in nats
    spread = q * share * other
    # Derivatives of s in u, v and k, first and second; in e there are none.
    ds = {0: share, 1: other, 3: -entropy / q}
    dds = {(0, 0): spread, (0, 1): -spread, (1, 1): spread}
    dds |= {(0, 3): spread * gap, (1, 3): -spread * gap, (3, 3): spread * gap**2 + entropy / q}
    log_L = np.logaddexp(e, s)
    excess, floor = np.exp(s - log_L), np.exp(e - log_L)  # shares of L - E and of E
    first = [excess * ds[0], excess * ds[1], floor, excess * ds[3]]
    second = {(k, j): excess * (d + ds[k] * ds[j]) for (k, j), d in dds.items()}
    return log_L, first, second | {(2, 2): floor}


def power_mean_problem(x, y, log_loss, delta):
    one = np.ones_like(x)
    features = [np.c_[one, -x], np.c_[one, -y], None, None]
    return Problem(features, [0.0] * 4, power_mean_link, log_loss, delta)


def power_mean_starts(x, y, log_loss, delta):
    """The best fits of both children, which are points of this law, and couplings between."""
    args = x, y, log_loss, delta
    problem = additive_problem(*args)
    theta, cost = minimise(
        lambda theta, rows: problem.evaluate(theta), additive_starts(*args), iterations=30
    )
    additive = np.repeat(_best(theta, cost, 3), 4, 0)  # (12, 5)
    log_q = np.tile(np.log([1.0, 2.0, 4.0, 8.0]), 3)
    starts = [np.c_[additive, log_q]]
    problem = coupled_problem(*args)
    theta, cost = minimise(
        lambda theta, rows: problem.evaluate(theta), coupled_starts(*args), iterations=30
    )
    a, rho, d, k = _best(theta, cost, 3).T
    beta = np.exp(k)
    for floor in (1e-3, 0.5):  # E as a share of the lowest loss
        e = np.full_like(a, np.log(floor) + log_loss.min())
        starts.append(np.stack([a * beta, rho * beta, d * beta, beta, e, -k], 1))
    return np.concatenate(starts)


def power_mean_constants(theta, mean_x, mean_y):
    additive = additive_constants(theta[..., :5], mean_x, mean_y)
    return np.concatenate([additive, np.exp(theta[..., 5:])], -1)


POWER_MEAN = Form(
    laws.power_mean,
    ("E", "A", "B", "alpha", "beta", "q"),
    3,
    power_mean_problem,
    power_mean_constants,
    power_mean_starts,
)
