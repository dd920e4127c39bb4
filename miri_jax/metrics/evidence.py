"""How much more is known of masks with some evidence than without, in nats.

Classifiers learn each column of a mask twice, from what is known before and
from the evidence as well, on some rows; on others the logarithms of the ratio
of their probabilities are averaged, fold by fold, so that memorising earns
nothing. They are logistic regressions on the host: they take a tenth of a
second, where a program for a network would take seconds to compile.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from miri_jax.metrics.logistic import log_likelihoods, ridge_path

# Penalties, the strongest first, of which the best is chosen, and how many of
# the features are looked at: those that tell most.
PENALTIES, MAX_FEATURES = (3e4, 3e3, 3e2, 30.0, 3.0, 0.3), 64
# Rows of a fold below which nothing can be learnt.
MIN_FOLD = 10


class Estimate(NamedTuple):
    """An estimate of information in nats, and its standard error over rows.

    The error is above 0: n rows do not tell less than 1 / n nats from none.
    Both are NaN where there are too few rows to estimate anything.
    """

    nats: float
    error: float


class Question(NamedTuple):
    """What is asked of the columns of a mask. Rows are numbers `[k]`.

    Attributes:
      known: (column, rows) to `[k, f]`, what is known before.
      evidence: (column, rows) to `[k, g]`.
      answer: (column, rows) to `[k]`, 1 where observed.
    """

    known: Callable[[int, np.ndarray], np.ndarray]
    evidence: Callable[[int, np.ndarray], np.ndarray]
    answer: Callable[[int, np.ndarray], np.ndarray]


def estimate(
    ask: Callable[[np.ndarray], Question],
    rows: int,
    columns: Sequence[int],
    of: int,
    num_folds: int,
) -> Estimate:
    """The sum over columns of what the evidence adds, per row.

    Args:
      ask: from the rows to learn from, to what is asked.
      rows: how many there are, in random order.
      columns: those that are asked for.
      of: how many columns they stand for.
      num_folds: folds of rows, each held out once.
    """
    if not len(columns):
        return Estimate(0.0, 1 / max(rows, 1))
    size = rows // num_folds
    if size < MIN_FOLD:
        return Estimate(np.nan, np.nan)
    folds = np.arange(size * num_folds).reshape(num_folds, size)
    gains = []
    # On such small matrices threads wait for each other longer than they work.
    with threadpool_limits(1, "blas"):
        for k, fold in enumerate(folds):
            others = np.delete(folds, k, axis=0).ravel()
            gains.append(_held_out_gain(ask(others), others, fold, columns))
    gains = np.concatenate(gains) * of / len(columns)
    error = np.hypot(gains.std() / gains.size**0.5, 1 / gains.size)
    return Estimate(float(gains.mean()), float(error))


def _held_out_gain(
    asked: Question,
    learn: np.ndarray,
    test: np.ndarray,
    columns: Sequence[int],
) -> np.ndarray:
    """Sum over columns of the log ratios of each row of `test`, in nats.

    What was known is learnt first. The evidence is then learnt on top of it,
    so that where it tells nothing the ratio is near 1: of `PENALTIES` that is
    taken, for all columns, which is the best for rows held out to choose by.
    """
    held = max(len(learn) // 6, 1)
    parts = learn[held:], learn[:held], test
    scores, gains = 0.0, 0.0
    for j in columns:
        y = [asked.answer(j, rows) for rows in parts]
        none = [np.zeros(len(rows)) for rows in parts]
        prior = _learnt([asked.known(j, rows) for rows in parts], y[0], none)
        best = np.argmax(log_likelihoods(prior[1], y[1]).sum(axis=1))
        known = [logits[best] for logits in prior]
        seen = [asked.evidence(j, rows) for rows in parts]
        ratios = [
            log_likelihoods(logits, y_) - log_likelihoods(start, y_)
            for logits, start, y_ in zip(_learnt(seen, y[0], known), known, y)
        ]
        scores = scores + ratios[1].sum(axis=1)
        gains = gains + ratios[2]
    return gains[np.argmax(scores)]


def _learnt(
    x: Sequence[np.ndarray], y: np.ndarray, known: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Logits of several groups of rows, for each of `PENALTIES`.

    Args:
      x: `[n, f]` of each group; the first is learnt from.
      y: `[n]` of the first group, 0 or 1.
      known: `[n]` of each group, logits that are known before.

    Returns:
      `[p, n]` of each group.
    """
    seen = _telling(x[0], y, known[0])
    added = ridge_path(x[0][:, seen], y, known[0], PENALTIES)
    return [start + added(part[:, seen]) for part, start in zip(x, known)]


def _telling(x: np.ndarray, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which of x `[n, f]` go most with y `[n]` beyond known logits `[n]`.

    Returns:
      At most `MAX_FEATURES` places, ascending.
    """
    left = y - 1 / (1 + np.exp(-known))
    spread = np.maximum(x.std(axis=0), 1e-6)
    found = np.abs((left - left.mean()) @ x) / spread
    return np.sort(np.argsort(-found)[:MAX_FEATURES])
