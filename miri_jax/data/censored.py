"""Numbers whose gaps are known to lie beyond a limit, as of detection.

Observed numbers alone would tell a wrong distribution. So the gaps have their
share of it beyond the limit, where it goes on as the observed numbers near to
it do in the normal score (regression on order statistics: Helsel, 2012, Chapter
6); and a fit finds each at a number drawn there given the rest of its row (data
augmentation of a censored normal: Chib, 1992).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri

from miri_jax.core.truncated import truncated_normal
from miri_jax.data.cells import to_numbers
from miri_jax.data.columns import Column, starts_of
from miri_jax.data.related import Related
from miri_jax.data.scores import Knots, all_atoms
from miri_jax.exceptions import DataError
from miri_jax.types import Masked, Region

# Rounds of data augmentation, and the weight of a coefficient's 0 in rows.
ROUNDS, RIDGE = 30, 1.0
# Correlation with the score from which on numbers are on one line.
STRAIGHT = 0.98


def censor(
    column: Column,
    values: pd.Series,
    missing: np.ndarray,
    below: float | None,
    above: float | None,
) -> Column:
    """A column of numbers some of which are only known to be beyond a limit.

    Args:
      column: by its observed cells.
      values: `[n]`; not read where missing.
      missing: `[n]` bool: what lies beyond.
      below: the limit that they lie below, or
      above: the one that they lie above.

    Raises:
      DataError: where the column can hold nothing there.
    """
    limit = below if above is None else above
    if column.levels is not None or column.kind in ("id", "datetime"):
        return column  # which is refused with all that was stated
    if (column.low if above is None else -column.high) >= (
        limit if above is None else -limit
    ):
        raise DataError(
            f"the gaps of column {column.name!r} are said to lie"
            f" {'below' if above is None else 'above'} {limit:g}, and its"
            f" numbers lie between {column.low:g} and {column.high:g}; change"
            " one of them",
            about=("bounds", "below", "above"),
        )
    column = column._replace(censored=True)
    if column.knots is None:
        return column
    if all_atoms(column.knots):
        # Codes have nothing beyond the last of them.
        return column._replace(knots=None)
    numbers = to_numbers(column.name, values, missing)[~missing]
    share = missing.mean()
    if above is None:
        knots = _moved(column.knots, numbers, share, limit, numbers.min() > 0)
    else:
        # The numbers with the other sign lie below the limit with it.
        turned = _moved(_turned(column.knots), -numbers, share, -limit, False)
        knots = _turned(turned)
    return column._replace(knots=knots)


def _turned(knots: Knots) -> Knots:
    """The distribution function of the numbers with the other sign."""
    return knots._replace(
        shares=tuple(1 - u for u in reversed(knots.shares)),
        values=tuple(-v for v in reversed(knots.values)),
        slopes=(knots.slopes[1], knots.slopes[0]),
    )


def _moved(
    knots: Knots,
    numbers: np.ndarray,
    share: float,
    limit: float,
    positive: bool,
) -> Knots:
    """With a share of all numbers below a limit that some of them are above."""
    shares, values = np.array(knots.shares), np.array(knots.values)
    seen = np.mean(numbers < limit)
    at_limit = share + (1 - share) * seen
    over = at_limit + (shares - seen) * (1 - at_limit) / max(1 - seen, 1e-12)
    under = shares * at_limit / max(seen, 1e-12)
    shares = np.where(shares < seen, under, over)
    score = ndtri(shares)
    used = np.isfinite(score)
    if seen or used.sum() < 3:
        return knots._replace(shares=tuple(shares.tolist()))
    log, (slope, start) = _line(score[used], values[used], positive)
    # Where the share beyond the limit ends, the line may be below the limit.
    edge = ndtri(at_limit)
    first = start + slope * edge
    first = min(float(np.exp(first) if log else first), limit, values[0])
    return knots._replace(
        shares=(float(at_limit), *shares.tolist()),
        values=(first, *knots.values),
        slopes=(float(slope), knots.slopes[1]),
        log_below=log,
    )


def _line(
    scores: np.ndarray, values: np.ndarray, positive: bool
) -> tuple[bool, np.ndarray]:
    """Slope and start of the values, or of their logarithms, by the score.

    By all that was observed where that is straight; else by its lower half.
    """
    logs = positive and values[0] > 0
    for part in (slice(None), slice(0, max(len(values) // 2, 3))):
        z, v = scores[part], values[part]
        ys = [(False, v)] + ([(True, np.log(v))] if logs else [])
        straight = [np.corrcoef(z, y)[0, 1] for _, y in ys]
        best = int(np.argmax(straight))
        if straight[best] > STRAIGHT:
            break
    return ys[best][0], np.polyfit(z, ys[best][1], 1)


def start_limited(
    related: Related,
    columns: Sequence[Column],
    data: Masked,
    region: Region,
) -> Masked:
    """Data in which gaps beyond a limit have a value there, for a fit.

    Each is drawn given the rest of its row, by a linear regression within
    limits; other gaps are taken for the mean of their column there.

    Args:
      related: of the table.
      columns: c.
      data: `[n, d]`, standardised.
      region: where its gaps are to be, with limits of each row.
    """
    names = _censored(related)
    x, m = (np.array(part) for part in data)
    starts = starts_of(columns)
    places = [starts[k] for k, c in enumerate(columns) if str(c.name) in names]
    places = [j for j in places if not m[:, j].all()]
    if not places:
        return data
    rng, x, asked = np.random.default_rng(0), x.astype(np.float64), ~m
    for j in places:
        x[asked[:, j], j] = _within(
            rng, np.zeros(asked[:, j].sum()), 1.0, region, asked[:, j], j
        )
    for _ in range(ROUNDS):
        for j in places:
            rows = asked[:, j]
            others = np.delete(x, j, axis=1)
            a = np.column_stack([np.ones(len(x)), others])
            gram = a.T @ a + RIDGE * np.eye(a.shape[1])
            fitted = a @ np.linalg.solve(gram, a.T @ x[:, j])
            spread = np.sqrt(np.mean((x[:, j] - fitted) ** 2))
            x[rows, j] = _within(rng, fitted[rows], spread, region, rows, j)
    m[:, places] = True
    return Masked(np.where(m, x, 0).astype(np.float32), m)


def _censored(related: Related) -> set[str]:
    stated = related.relations
    return {name for name, _ in (*stated.below, *stated.above)}


def _within(
    rng: np.random.Generator,
    mean: np.ndarray,
    spread: float,
    region: Region,
    rows: np.ndarray,
    j: int,
) -> np.ndarray:
    """Normal numbers within the limits of some rows of column j."""
    low, high = (np.asarray(end)[rows, j] for end in region[:2])
    # Spread out evenly, as chance in their mean would be one in all draws.
    u = (rng.permutation(len(mean)) + rng.uniform(size=len(mean))) / len(mean)
    return truncated_normal(u, mean, spread, low, high)
