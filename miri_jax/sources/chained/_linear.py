"""Ridge regression whose strength and shape leave-one-out errors choose."""

from typing import NamedTuple

import numpy as np

# Strengths of the ridge, relative to the features' mean eigenvalue of 1.
STRENGTHS = 10.0 ** np.arange(-9, 3)
NO_PAIRS = np.zeros((0, 2), np.int64)


# Features whose squares and products a curved prediction has: the first so
# many, and as many as leave so many rows for each. What it has to gain of the
# leave-one-out error.
CURVED, ROWS_EACH, LEAST_GAIN = 12, 5, 0.03


# Of numbers above, squares may be beyond what can be told.
LARGE = 1e100


def size_of(values: np.ndarray) -> np.ndarray:
    """What to divide numbers `[r, ...]` by before they are squared, `[...]`.

    The largest of them where it is above `LARGE`, else 1.
    """
    size = np.abs(values).max(axis=0, initial=0).astype(np.float64)
    return np.where(size > LARGE, size, 1.0)


class Linear(NamedTuple):
    """A prediction that is linear in features, or in their products, too.

    Attributes:
      mean: `[p]` and
      scale: `[p]`, what the features are standardised by.
      low: `[p]` and
      high: `[p]`, what they are cut at: twice the span that was seen.
      least: `[p]` and
      most: `[p]`, what they are cut at in products: that span.
      weights: `[p + q]`.
      pairs: `[q, 2]`, numbers of the features of each product.
      level: scalar, the prediction where all else is 0.
    """

    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    least: np.ndarray
    most: np.ndarray
    weights: np.ndarray
    pairs: np.ndarray
    level: float


def fit_linear(
    x: np.ndarray, y: np.ndarray, *, curved: bool = True
) -> tuple[Linear, np.ndarray]:
    """The regression of y `[r]` on x `[r, p]`, and leave-one-out residuals.

    If `curved`, on squares and products, too, where those errors gain by it.
    """
    if (size := size_of(y)) > 1:
        linear, left = fit_linear(x, y / size, curved=curved)
        weights, level = size * linear.weights, size * linear.level
        return linear._replace(weights=weights, level=level), size * left
    x = x.astype(np.float64)
    least, most = x.min(axis=0), x.max(axis=0)
    half = (most - least) / 2
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (x - mean) / scale
    weights, level, left = _ridge(z, y)
    ends = least - half, most + half, least, most
    linear = Linear(mean, scale, *ends, weights, NO_PAIRS, level)
    pairs = _pairs_of(z) if curved else NO_PAIRS
    if not len(pairs):
        return linear, left
    weights, level, bent = _ridge(np.hstack([z, _products(z, pairs)]), y)
    few = 1 - LEAST_GAIN
    if np.mean(bent**2) >= few * np.mean(left**2) or (
        np.abs(bent).mean() >= few * np.abs(left).mean()
    ):
        return linear, left
    return linear._replace(weights=weights, pairs=pairs, level=level), bent


def just(feature: int, count: int) -> Linear:
    """What predicts one of `count` features itself, however far."""
    none, ends = np.zeros(count), np.full(count, np.inf)
    weights = np.where(np.arange(count) == feature, 1.0, 0.0)
    ones = np.ones(count)
    return Linear(none, ones, -ends, ends, -ends, ends, weights, NO_PAIRS, 0.0)


def _pairs_of(z: np.ndarray) -> np.ndarray:
    """Which products of features `[r, p]` there are to be, `[q, 2]`."""
    rows, count = z.shape
    for few in range(min(count, CURVED), 0, -1):
        i, j = np.triu_indices(few)
        # The square of an indicator is the indicator.
        two = np.array([len(np.unique(z[:, k])) <= 2 for k in range(few)])
        pairs = np.stack([i, j], axis=1)[(i != j) | ~two[i]]
        if rows >= ROWS_EACH * (count + len(pairs)):
            return pairs
    return NO_PAIRS


def _products(z: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return z[:, pairs[:, 0]] * z[:, pairs[:, 1]]


def _ridge(
    x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Weights `[p]`, level and leave-one-out residuals `[r]`.

    The eigenvectors of the features' covariance make the errors of all
    strengths cheap (Golub, Heath and Wahba, 1979).
    """
    mean, scale, level = x.mean(axis=0), x.std(axis=0), float(y.mean())
    scale = np.where(scale > 0, scale, 1.0)
    z, e = (x - mean) / scale, y - level
    variance, axes = np.linalg.eigh(z.T @ z / len(z))
    variance = np.maximum(variance, 0)
    turned = z @ axes
    with_y = turned.T @ e / len(z)
    squares = np.square(turned)
    best = (np.inf, e, np.zeros(x.shape[1]))
    for strength in STRENGTHS:
        weights = with_y / (variance + strength)
        own = 1 / len(z) + squares @ (1 / (variance + strength) / len(z))
        left = (e - turned @ weights) / np.maximum(1 - own, 1e-3)
        error = np.mean(np.square(left))
        if error < best[0]:
            best = (error, left, weights)
    weights = axes @ best[2] / scale
    return weights, level - float(mean @ weights), best[1]


def predict(linear: Linear, x: np.ndarray) -> np.ndarray:
    """The prediction `[k]` for features `[k, p]`."""
    x = x.astype(np.float64)
    parts = np.clip(x, linear.low, linear.high)
    parts = (parts - linear.mean) / linear.scale
    if len(linear.pairs):
        z = np.clip(x, linear.least, linear.most)
        z = (z - linear.mean) / linear.scale
        parts = np.hstack([parts, _products(z, linear.pairs)])
    found = np.full(len(x), linear.level)
    # No sum of a library, whose rounding may depend on the number of rows.
    for share in (parts * linear.weights).T:
        found += share
    return found
