"""Chances of levels, linear in the logit.

Trees blur what a few numbers tell of a level by what the others happen to say:
regressions on what they fill come out too flat. Where a logistic regression
fills held-out cells as well as trees do, it is taken.
"""

from typing import NamedTuple

import numpy as np

from miri_jax.metrics.logistic import ridge_path

# Levels beyond which trees alone tell them.
MAX_LEVELS = 8
# Penalties on the way, the last of which counts.
PENALTIES = (100.0, 10.0, 1.0)
# Deviations that features are cut at.
FARTHEST = 4.0


class Chances(NamedTuple):
    """Logits of each level against all others.

    Attributes:
      centre: `[p]` and
      scale: `[p]`, what features are standardised by.
      weights: `[q, 1 + p]`, of a constant and of each feature; of two levels
        those of the second alone.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray


def fit_chances(x: np.ndarray, y: np.ndarray, levels: int) -> Chances:
    """Learns the levels y `[r]` from features `[r, p]`."""
    x = x.astype(np.float64)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = np.clip((x - centre) / scale, -FARTHEST, FARTHEST)
    weights = []
    for level in range(1 if levels == 2 else 0, levels):
        hit = (y == level).astype(np.float64)
        rate = (hit.sum() + 0.5) / (len(hit) + 1)
        known = np.log(rate / (1 - rate))
        inner = ridge_path(z, hit, known, PENALTIES)
        slopes = inner.weights[-1, 1:].astype(np.float64) / inner.scale
        level_0 = inner.weights[-1, 0] + known - inner.centre @ slopes
        weights.append(np.append(level_0, slopes))
    return Chances(centre, scale, np.stack(weights))


def draw_level(
    chances: Chances, x: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """A level `[k]` for each row `[k, p]`, by its chances.

    Args:
      chances: of the levels.
      x: the features.
      place: `[k]` in [0, 1): the higher, the later the level.
    """
    z = (x.astype(np.float64) - chances.centre) / chances.scale
    z = np.clip(z, -FARTHEST, FARTHEST)
    logits = np.repeat(chances.weights[:, :1], len(x), axis=1)
    # No sum of a library, whose rounding may depend on the number of rows.
    for slopes, feature in zip(chances.weights[:, 1:].T, z.T):
        logits = logits + slopes[:, None] * feature
    p = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    if len(p) == 1:
        return (place >= 1 - p[0]).astype(np.float64)
    ends = np.cumsum(p, axis=0)
    return np.sum(place * ends[-1] >= ends[:-1], axis=0).astype(np.float64)
