"""Ridge regression whose strength leave-one-out errors choose."""

from typing import NamedTuple

import numpy as np

# Strengths of the ridge, relative to the features' mean eigenvalue of 1.
STRENGTHS = 10.0 ** np.arange(-9, 3)


class Linear(NamedTuple):
    """A linear prediction.

    Attributes:
      mean: `[p]` and
      scale: `[p]`, what the features are standardised by.
      low: `[p]` and
      high: `[p]`, what they are cut at: twice the span that was seen.
      weights: `[p]`.
      level: scalar, the mean of what is predicted.
    """

    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weights: np.ndarray
    level: float


def fit_linear(x: np.ndarray, y: np.ndarray) -> tuple[Linear, np.ndarray]:
    """The regression of y `[r]` on x `[r, p]`, and leave-one-out residuals.

    The eigenvectors of the features' covariance make the errors of all
    strengths cheap (Golub, Heath and Wahba, 1979).
    """
    x = x.astype(np.float64)
    least, most = x.min(axis=0), x.max(axis=0)
    half = (most - least) / 2
    mean, scale, level = x.mean(axis=0), x.std(axis=0), float(y.mean())
    scale = np.where(scale > 0, scale, 1.0)
    z, e = (x - mean) / scale, y - level
    variance, axes = np.linalg.eigh(z.T @ z / len(z))
    variance = np.maximum(variance, 0)
    turned = z @ axes
    with_y = turned.T @ e / len(z)
    best = (np.inf, e, np.zeros(x.shape[1]))
    for strength in STRENGTHS:
        weights = with_y / (variance + strength)
        own = 1 / len(z) + np.square(turned) @ (
            1 / (variance + strength) / len(z)
        )
        left = (e - turned @ weights) / np.maximum(1 - own, 1e-3)
        error = np.mean(np.square(left))
        if error < best[0]:
            best = (error, left, weights)
    linear = Linear(
        mean, scale, least - half, most + half, axes @ best[2], level
    )
    return linear, best[1]


def predict(linear: Linear, x: np.ndarray) -> np.ndarray:
    """The prediction `[k]` for features `[k, p]`."""
    x = np.clip(x.astype(np.float64), linear.low, linear.high)
    found = np.full(len(x), linear.level)
    # No sum of a library, whose rounding may depend on the number of rows.
    for share in ((x - linear.mean) / linear.scale * linear.weights).T:
        found += share
    return found
