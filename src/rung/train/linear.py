"""A linear classifier on fixed vectors, fitted to the end: any loss of the table, weights, an L2 penalty.

Multinomial logistic regression is the case of cross-entropy. The optimiser is SciPy's L-BFGS; training bodies is the
loop's business.
"""

from __future__ import annotations

import numpy as np
import torch

from rung.train.losses import RowLoss

TOLERANCE, MOST_STEPS = 1e-5, 500
SMALL = 2_000_000  # logits up to which they are held in float64


def fit_linear(
    vectors: np.ndarray,
    codes: np.ndarray,
    classes: int,
    loss: RowLoss,
    strength: float,
    *,
    weights: np.ndarray | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    most_steps: int = MOST_STEPS,
) -> tuple[np.ndarray, np.ndarray]:
    """Weight (classes, d) and bias (classes,), float32, that minimise Σ wᵢ lᵢ / Σ wᵢ + |W|² / (2 · strength · Σ wᵢ).

    `vectors` (n, d), `codes` (n,) from 0 to classes - 1, `weights` (n,) or all 1. With two classes, which differ along one
    direction only, the penalty counts that direction once, as a regression with a single row of weights would. `start`
    warms up with what another strength gave. The bias carries no penalty.
    """
    from scipy.optimize import minimize

    inputs, targets = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)), torch.from_numpy(codes)
    own = torch.ones(len(codes)) if weights is None else torch.from_numpy(weights)
    own = own.double()
    total = float(own.sum())
    shrink = (2.0 if classes == 2 else 1.0) / (2.0 * strength * total)
    shape = (classes, vectors.shape[1])
    # The line search compares values that differ in their last digits; with many rows their errors cancel.
    exact = torch.float64 if len(codes) * classes <= SMALL else torch.float32

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        table = torch.from_numpy(flat.astype(np.float32)).reshape(classes, -1)
        weight, bias = table[:, :-1].contiguous(), table[:, -1]
        logits = torch.addmm(bias, inputs, weight.T).to(exact).requires_grad_(True)
        value = (loss(logits, targets).double() * own).sum() / total
        (slope,) = torch.autograd.grad(value, logits)
        slope = slope.float()
        gradient = torch.cat([slope.T @ inputs + 2 * shrink * weight, slope.sum(0)[:, None]], 1)
        penalty = shrink * float((weight.double() ** 2).sum())
        return float(value.detach()) + penalty, gradient.double().numpy().ravel()

    first = np.zeros((classes, shape[1] + 1))
    if start is not None:
        first = np.concatenate([start[0], start[1][:, None]], axis=1).astype(float)
    options = {"maxiter": most_steps, "gtol": TOLERANCE, "ftol": 1e-12, "maxcor": 10}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    table = found.x.reshape(classes, -1).astype(np.float32)
    return np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(table[:, -1])
