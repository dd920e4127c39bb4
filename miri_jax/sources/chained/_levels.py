"""Chances of levels, linear in the logit.

Trees blur what a few numbers tell of a level by what the others happen to say:
regressions on what they fill come out too flat. Where a logistic regression
fills held-out cells as well as trees do, it is taken.
"""

import warnings
from typing import NamedTuple

import numpy as np

# Levels beyond which trees alone tell them.
MAX_LEVELS = 8
# Deviations that features are cut at, and steps of a fit at most.
FARTHEST, STEPS = 4.0, 100
# The logit of a level that was never seen.
NEVER = -30.0


class Chances(NamedTuple):
    """Logits of the levels, of which each has its exponential's share.

    Attributes:
      centre: `[p]` and
      scale: `[p]`, what features are standardised by.
      weights: `[q, 1 + p]`, of a constant and of each feature.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray


def fit_chances(x: np.ndarray, y: np.ndarray, levels: int) -> Chances:
    """Learns the levels y `[r]` from features `[r, p]`, with a ridge."""
    # Here, so that those who fit none need not wait for it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    x = x.astype(np.float64)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    seen = np.unique(y).astype(int)
    weights = np.zeros((levels, 1 + x.shape[1]))
    weights[:, 0] = NEVER
    weights[seen, 0] = 0
    if len(seen) > 1:
        model = LogisticRegression(max_iter=STEPS)
        with warnings.catch_warnings():
            # So near to the end is near enough.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(_standard(x, centre, scale), y)
        found = np.column_stack([model.intercept_, model.coef_])
        weights[seen[-len(found) :]] = found
    return Chances(centre, scale, weights)


def draw_level(
    chances: Chances, x: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """Levels `[..., k]` for each row `[k, p]`, by its chances.

    Args:
      chances: of the levels.
      x: the features.
      place: `[..., k]` in [0, 1): the higher, the later the level.
    """
    z = _standard(x.astype(np.float64), chances.centre, chances.scale)
    logits = np.repeat(chances.weights[:, :1], len(x), axis=1)
    # No sum of a library, whose rounding may depend on the number of rows.
    for slopes, feature in zip(chances.weights[:, 1:].T, z.T):
        logits += slopes[:, None] * feature
    ends = np.cumsum(np.exp(logits - logits.max(axis=0)), axis=0)
    level = np.zeros(place.shape)
    for end in ends[:-1]:
        level += place * ends[-1] >= end
    return level


def _standard(
    x: np.ndarray, centre: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    return np.clip((x - centre) / scale, -FARTHEST, FARTHEST)
