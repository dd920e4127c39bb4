"""Logistic regression by Newton's method, with a ridge, on the host."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Newton steps at each penalty, from the solution at the one before.
STEPS = 2
# The least weight of a row in a step: of rows that are told for sure the
# curvature is next to nothing, and the step would go anywhere.
LEAST_WEIGHT = 1e-3


class Logits(NamedTuple):
    """Learnt logits, linear in f features.

    Attributes:
      centre: `[f]` and
      scale: `[f]`, what features are standardised by; infinite for constants.
      weights: `[p, 1 + f]` float32, of a constant and of each feature, for p
        penalties.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The logits `[p, k]` of rows `[k, f]`."""
        return self.weights @ _design(x, self.centre, self.scale).T


def ridge_path(
    x: np.ndarray,
    y: np.ndarray,
    known: np.ndarray | float,
    penalties: Sequence[float],
) -> Logits:
    """Learns the logits of y beyond known ones, for several penalties.

    Args:
      x: `[n, f]`.
      y: `[n]`, 0 or 1.
      known: `[n]`, logits that are added, or one number.
      penalties: on the squared coefficients of x in deviations, halved, summed;
        the strongest first.

    Returns:
      The `Logits`, of each penalty.
    """
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-6, scale, np.inf)
    a = _design(x, centre, scale)
    found, weights = [], np.zeros(a.shape[1], np.float32)
    for penalty in penalties:
        # The constant has next to no penalty.
        ridge = np.full(len(weights), penalty)
        ridge[0] = 1e-2
        for _ in range(STEPS):
            p = _sigmoid(known + a @ weights)
            slope = (y - p) @ a - ridge * weights
            weight = np.maximum(p * (1 - p), LEAST_WEIGHT)
            curvature = (a * weight[:, None]).T @ a + np.diag(ridge)
            step = np.linalg.solve(curvature, slope)
            weights = (weights + step).astype(np.float32)
        found.append(weights)
    return Logits(centre, scale, np.stack(found))


def _design(x: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    ones = np.ones((len(x), 1), np.float32)
    return np.hstack([ones, (x - centre) / scale], dtype=np.float32)


def log_likelihoods(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of 0 or 1 `[n]`, given logits `[..., n]`, in nats: `[..., n]`."""
    return -np.logaddexp(0, np.where(y > 0.5, -logits, logits))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
