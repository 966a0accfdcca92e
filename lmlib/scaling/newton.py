r"""The engine under every fit: a robust objective, its exact derivatives, many problems at once.

A law is written as L(z_1, ..., z_K), every coordinate z_k *linear* in the unknowns. Chinchilla's,
for example, has three:

    u = a - alpha log N,    v = b - beta log D,    e;      L = exp u + exp v + exp e

The objective is Huber's loss of the residuals in log L, summed over the runs (Hoffmann et al. 2022,
eq. 3). It is quadratic up to `delta` and linear beyond, so one bad run cannot pull the law far:

    J = sum_i w_i huber(r_i),    r = log L - log measured,    huber(r) = psi (r - psi / 2),
    psi = clip(r, -delta, delta)

Its derivatives follow by the chain rule. Write f_k for dL/dz_k / L and f_kj for d²L/dz_k dz_j / L:

    dJ/dz_k       = sum_i w_i psi f_k
    d²J/dz_k dz_j = sum_i w_i ( ([|r| <= delta] - psi) f_k f_j + psi f_kj )

Only runs inside delta have curvature of their own, so the terms with psi matter; Gauss-Newton,
which leaves them out, would stall.

Shapes: P problems (resamples, or starting points), n runs, K coordinates, m unknowns.
"""

from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np

CHUNK = 64  # problems at a time: their (64, n) temporaries stay in the processor's cache


@dataclass(frozen=True)
class Problem:
    """The runs, and a law laid out over them.

    features : K arrays (n, m_k): a coordinate is the sum of its m_k unknowns, each times its
        feature; or None for a coordinate that is a single unknown, the same for all runs
    offsets : K arrays (n,) or zeros, added to the coordinates
    link : K arrays (P, n), or (P, 1) where None -> log L (P, n), f_k (K of them), f_kj (dict over
        k <= j; those that are zero left out)
    log_loss : (n,), measured
    delta : float > 0
    """

    features: list
    offsets: list
    link: object
    log_loss: np.ndarray
    delta: float
    columns: list = field(init=False)  # the features, ones for None
    blocks: list = field(init=False)  # slices of theta: the unknowns of each coordinate
    products: dict = field(init=False)  # (n, m_k m_j) for k <= j, features times features

    def __post_init__(self):
        one = np.ones((len(self.log_loss), 1))
        columns = [one if feature is None else feature for feature in self.features]
        ends = np.cumsum([column.shape[1] for column in columns])
        blocks = [slice(e - c.shape[1], e) for e, c in zip(ends, columns, strict=True)]
        products = {
            (k, j): (columns[k][:, :, None] * columns[j][:, None, :]).reshape(len(one), -1)
            for k, j in combinations_with_replacement(range(len(columns)), 2)
        }
        vars(self).update(columns=columns, blocks=blocks, products=products)

    def evaluate(self, theta, weights=None, rows=None):
        """J, its gradient and its Hessian: (P,), (P, m), (P, m, m).

        weights : (all problems, n) array or None for ones; rows : (P,) int, which of them to use
        """
        P, m = theta.shape
        value, gradient, hessian = np.empty(P), np.empty((P, m)), np.empty((P, m, m))
        # A wild step may overflow: J is inf or nan there, and whoever asked turns back.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for start in range(0, P, CHUNK):
                at = slice(start, start + CHUNK)
                w = None if weights is None else weights[at if rows is None else rows[at]]
                self._chunk(theta[at], w, value[at], gradient[at], hessian[at])
        return value, gradient, hessian

    def _chunk(self, theta, weights, value, gradient, hessian):
        z = [
            (theta[:, b] if f is None else theta[:, b] @ f.T) + offset  # (P, 1) or (P, n)
            for b, f, offset in zip(self.blocks, self.features, self.offsets, strict=True)
        ]
        log_L, first, second = self.link(*z)
        residual = log_L - self.log_loss  # (P, n)
        psi = np.clip(residual, -self.delta, self.delta)
        inside = (psi == residual).astype(float)
        residual -= psi / 2
        if weights is not None:
            psi *= weights
            inside *= weights
        np.einsum("pn,pn->p", psi, residual, out=value)
        inside -= psi
        for k, b in enumerate(self.blocks):
            gradient[:, b] = (psi * first[k]) @ self.columns[k]
            bend = inside * first[k]
            for j in range(k, len(z)):
                part = bend * first[j]
                if (k, j) in second:
                    part += psi * second[k, j]
                block = hessian[:, b, self.blocks[j]]
                block[...] = (part @ self.products[k, j]).reshape(block.shape)
                hessian[:, self.blocks[j], b] = block.swapaxes(1, 2)


def minimise(evaluate, theta, tolerance=1e-13, iterations=1000):
    """Damped Newton on all problems together (Levenberg-Marquardt damping, exact Hessian).

    A step that lowers J is taken and the damping eased; one that does not is dropped and the
    damping raised, which turns the step towards the gradient. Converged problems leave the batch.

    Parameters
    ----------
    evaluate : (theta, rows) -> J, gradient, Hessian of the problems `rows`
    theta : (P, m) array, starting points
    tolerance : float, stop when a step changes J, or promises to, by less than this fraction

    Returns
    -------
    theta : (P, m) array
    value : (P,) array, J there
    """
    theta = theta.copy()
    P, m = theta.shape
    active, diagonal = np.arange(P), np.arange(m)
    value, gradient, hessian = evaluate(theta, active)
    damping = np.full(P, 1e-3)
    for _ in range(iterations):
        if not active.size:
            break
        scale = np.sqrt(np.maximum(np.abs(hessian[active][:, diagonal, diagonal]), 1e-12))
        scaled = hessian[active] / (scale[:, :, None] * scale[:, None, :])
        scaled[:, diagonal, diagonal] += damping[active, None]
        step = -np.linalg.solve(scaled, (gradient[active] / scale)[:, :, None])[:, :, 0] / scale
        np.clip(step, -2, 2, out=step)
        promised = -(gradient[active] * step).sum(1)
        # Below rounding, J itself is noise: log L is known to about 1e-16.
        enough = tolerance * value[active] + 1e-31
        # A step that promises too little to matter, or is nan, is not worth evaluating J for.
        worth = np.abs(promised) > enough
        active, step, promised, enough = (a[worth] for a in (active, step, promised, enough))
        trial = evaluate(theta[active] + step, active)
        better = trial[0] < value[active]
        change = np.where(better, value[active] - trial[0], np.abs(promised))
        done = change <= enough
        taken = active[better]
        theta[taken] += step[better]
        value[taken], gradient[taken], hessian[taken] = (part[better] for part in trial)
        damping[taken] = np.maximum(damping[taken] / 10, 1e-10)
        dropped = active[~better]
        damping[dropped] = np.minimum(damping[dropped] * 10, 1e9)
        active = active[~done]
    return theta, value
