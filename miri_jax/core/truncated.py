"""Normal numbers within limits."""

import numpy as np
from scipy.special import ndtr, ndtri


def truncated_normal(
    u: np.ndarray,
    mean: np.ndarray,
    spread: float | np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Quantiles of normal distributions that are cut at limits.

    Args:
      u: in [0, 1], which quantile; of one shape with all others.
      mean: before the cut.
      spread: likewise, the deviation.
      low: what numbers lie above, -inf for nothing.
      high: what they lie below.
    """
    # What is far above its limits is far below them with the other sign.
    spread = np.maximum(np.asarray(spread, np.float64), 1e-6)
    a, b = (low - mean) / spread, (high - mean) / spread
    turn = a > -b
    a, b = np.where(turn, -b, a), np.where(turn, -a, b)
    share = ndtr(a) + np.where(turn, 1 - u, u) * (ndtr(b) - ndtr(a))
    drawn = np.clip(ndtri(np.clip(share, 1e-300, 1 - 1e-16)), a, b)
    found = mean + spread * np.where(turn, -drawn, drawn)
    return np.clip(found, low, high)
