"""RMSE and MAE in the two conventions that the papers use."""

import numpy as np
from numpy.typing import ArrayLike


def column_scale(truth: np.ndarray) -> np.ndarray:
    """Deviation `[d]` of each column; 1 where that is but rounding."""
    deviation = truth.std(axis=0)
    least = 1e-12 * np.max(np.abs(truth), axis=0, initial=0.0)
    return np.where(deviation > least, deviation, 1.0)


def errors(truth: ArrayLike, x: ArrayLike, m: ArrayLike) -> dict[str, float]:
    """Errors of a filled table against the truth.

    Args:
      truth: `[n, d]`, complete, raw scale.
      x: `[n, d]`, filled, raw scale.
      m: `[n, d]` bool, True = observed.

    Returns:
      `rmse`, `mae`: over missing entries, on columns standardised with the
      truth's mean and deviation (the usual convention of benchmarks);
      `rmse_all`, `mae_all`: over all entries on the raw scale (the convention
      that reproduces Table 3 of the MIRI paper). All 0 where nothing is
      missing.

    Raises:
      ValueError: if the shapes differ.
    """
    truth, x = (np.asarray(a, np.float64) for a in (truth, x))
    m = np.asarray(m, bool)
    if not truth.shape == x.shape == m.shape:
        raise ValueError(
            f"truth {truth.shape}, x {x.shape} and m {m.shape} must agree"
        )
    error = np.where(m, 0.0, x - truth)
    scaled = error / column_scale(truth)
    missing = max(np.sum(~m), 1)
    return {
        "rmse": float(np.sqrt(np.sum(scaled**2) / missing)),
        "mae": float(np.sum(np.abs(scaled)) / missing),
        "rmse_all": float(np.sqrt(np.mean(error**2))),
        "mae_all": float(np.mean(np.abs(error))),
    }
