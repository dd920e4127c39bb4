"""The distribution of one column given all others, as far as a table tells.

    donors    observed values of rows in the same leaf of a tree
    ridge     a ridge regression, on squares and products, too, where these
              gain, and donors of its leave-one-out residuals, which hang on
              little else, so that leaves are large: lines are kept, and go on
              beyond what was observed
    logits    a logistic regression of few levels, see `_levels`

Which of them a column has is chosen on held-out observed cells, by the fair
CRPS of numbers and the fair Brier score of levels. Cells count by how likely
cells like them are missing, since that is where the column is to be filled.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from miri_jax.metrics.logistic import ridge_path
from miri_jax.metrics.proper import fair_brier, fair_crps, ks_distance
from miri_jax.sources.chained._apart import helper_of
from miri_jax.sources.chained._features import (
    MAX_INDICATORS,
    Feature,
    apply_features,
    fit_features,
)
from miri_jax.sources.chained._forest import (
    Forest,
    draw_donors,
    draw_pooled,
    grow,
)
from miri_jax.sources.chained._levels import (
    MAX_LEVELS,
    Chances,
    draw_level,
    fit_chances,
)
from miri_jax.sources.chained._linear import (
    Linear,
    fit_linear,
    just,
    predict,
    size_of,
)
from miri_jax.types import Layout

# Held-out cells are looked at in so many folds and filled so often.
FOLDS, TRIES = 3, 6
# What a regression has to gain: a share of the donors' score.
LEAST_GAIN = 0.02
# What a line may lose where such a share of the gaps lies beyond what is
# observed, to which donors are bound: beyond the inner 98 % of its predictions.
MOST_LOSS, BEYOND = 0.1, 0.1
# Trees of residuals, at most, where models are compared. Of donors there are as
# many as in the last sweep: fewer say little of what several do together.
FEW = 2
# What predicts a column: nothing, so that trees alone tell it; a ridge
# regression, of levels a logistic one; one that leaves nothing but rounding.
TREES_ALONE, RIDGE, LINE = range(3)
# Residuals hang on little else, so that a leaf of theirs has at least so many.
RIDGE_LEAF = 30
# How far the distances of filled from true cells may lie apart.
MOST_APART = 0.015
# What share of draws may lie where none was observed, beside that of so many
# of the rows to learn from: else a column has edges, which a line runs over.
MOST_OUT, OUTERMOST = 0.01, 4
# Largest odds of being missing that a held-out cell counts with, over the mean.
MOST_ODDS = 10.0
# Penalties on the way to the odds, the last of which counts.
PENALTIES = (100.0, 10.0)
# Where rows belong together, folds take so many stretches of rows in turn, and
# leaves hold so many times the rows: those near to each other tell less.
STRETCHES, FEWER = 12, 4
# A relation is exact where rounding explains what a regression leaves: such a
# share of it, or all but for a column whose units are such a share of its
# deviation.
EXACT, FINE = 0.99, 0.05
# What single precision leaves of a column, as a share of its deviation.
ROUNDING = 1e-5
# How well a row is told at best, as a share of the column's deviation.
LEAST_SPREAD = 1e-3


class Growth(NamedTuple):
    """How the trees of a conditional are grown, see `_forest.grow`.

    `trees` is None for as many as the width of the table allows.
    """

    trees: int | None
    leaf: int

    def for_model(self, model: int) -> "Growth":
        """That of the residuals that a model leaves."""
        if model != RIDGE:
            return self
        return self._replace(leaf=max(self.leaf, RIDGE_LEAF))


class Conditional(NamedTuple):
    """How a column is drawn given all others.

    Attributes:
      features: what the trees see of the others.
      linear: the prediction whose residuals the donors are, or the chances of
        levels; None for donors of values.
      forest: holds the donors; None where there are chances.
      exact: whether the prediction is the value itself, but for rounding.
      spread: the feature in whose units donors are; None for those of y.
    """

    features: list[Feature]
    linear: Linear | Chances | None
    forest: Forest | None
    exact: bool
    spread: int | None = None


class Table(NamedTuple):
    """A table with gaps.

    Attributes:
      values: `[n, c]` float64, read where observed only.
      observed: `[n, c]` bool.
      layout: of its columns.
    """

    values: np.ndarray
    observed: np.ndarray
    layout: Layout


class Aim(NamedTuple):
    """A column to be told.

    Attributes:
      column: its number.
      others: the columns to tell it by.
      rows: `[r]`, numbers of rows to learn from, where it is observed.
      ridge: whether by a regression: of numbers a ridge regression and its
        residuals, of levels a logistic one.
    """

    column: int
    others: Sequence[int]
    rows: np.ndarray
    ridge: bool = False


def fit_conditional(
    values: np.ndarray,
    layout: Layout,
    aim: Aim,
    growth: Growth,
    rng: np.random.Generator,
) -> Conditional:
    """Learns a column from a filled table `[n, c]`."""
    column, others, rows, _ = aim
    features, x = fit_features(values, layout.levels, column, others, rows, rng)
    y = values[rows, column]
    return _fit(features, x, y, layout, aim, growth, rng)


def _fit(
    features: list[Feature],
    x: np.ndarray,
    y: np.ndarray,
    layout: Layout,
    aim: Aim,
    growth: Growth,
    rng: np.random.Generator,
) -> Conditional:
    linear, exact, levels = None, False, layout.levels[aim.column]
    if aim.ridge and levels:
        return Conditional(features, fit_chances(x, y, levels), None, False)
    if aim.ridge and is_told_alone(layout, aim):
        return _as_told(features, x, y, layout, aim, rng)
    if aim.ridge:
        linear, left = fit_linear(x, y)
        exact = _is_rounding(left, layout.units[aim.column], y)
        if exact:  # it goes on however far
            ends = np.full(x.shape[1], np.inf)
            linear = linear._replace(
                low=-ends, high=ends, least=-ends, most=ends
            )
        x, y = _beside(x, predict(linear, x)), left
    forest = grow(
        x,
        y,
        levels=levels,
        trees=1 if exact else growth.trees,
        leaf=growth.leaf * (FEWER if layout.told else 1),
        rng=rng,
    )
    return Conditional(features, linear, forest, exact)


def is_told_alone(layout: Layout, aim: Aim) -> bool:
    """Whether nothing but rows alike tells a column: see `Layout.told`."""
    helper, spread = helper_of(layout, aim.column)
    return helper in aim.others and set(aim.others) <= {helper, spread}


def _as_told(
    features: list[Feature],
    x: np.ndarray,
    y: np.ndarray,
    layout: Layout,
    aim: Aim,
    rng: np.random.Generator,
) -> Conditional:
    """A column as its helper has it, with errors as likely up as down.

    The helper is the best prediction already, which a regression on so few
    stretches as a table has, and their trees, could only bend. Donors are its
    errors in units of how well it tells each row.
    """
    helper, spread = helper_of(layout, aim.column)
    place = [feature.column for feature in features]
    k = place.index(helper)
    wide = place.index(spread) if spread in place else None
    left = y - x[:, k]
    if wide is not None:
        left = left / np.maximum(x[:, wide], LEAST_SPREAD)
    left = np.concatenate([left, -left])
    forest = grow(
        np.zeros((len(left), 1), np.float32),
        left,
        levels=0,
        trees=1,
        leaf=len(left),
        rng=rng,
    )
    return Conditional(features, just(k, x.shape[1]), forest, False, wide)


def _is_rounding(left: np.ndarray, unit: float, y: np.ndarray) -> bool:
    """Whether residuals `[r]` of a column `[r]` come from rounding alone."""
    size = size_of(y)
    deviation = size * (y / size).std()
    unit = max(unit, ROUNDING * deviation)
    if unit <= FINE * deviation:
        return bool(np.mean(np.abs(left) <= 2 * unit) >= EXACT)
    return bool(np.mean(np.abs(left) < unit / 2) >= EXACT)


def _beside(x: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    large = np.finfo(np.float32).max
    last = np.clip(prediction, -large, large).astype(np.float32)
    return np.concatenate([x, last[:, None]], axis=1)


def draw_column(
    conditional: Conditional,
    layout: Layout,
    column: int,
    values: np.ndarray,
    which: np.ndarray,
    place: np.ndarray,
    *,
    pooled: bool = False,
) -> np.ndarray:
    """A draw `[k]` of a column for rows `[k, c]`.

    By `draw_donors`, or by `draw_pooled`.
    """
    x = apply_features(conditional.features, values)
    take = draw_pooled if pooled else draw_donors
    return _draw(conditional, layout, column, x, which, place, take)


def _draw(
    conditional: Conditional,
    layout: Layout,
    column: int,
    x: np.ndarray,
    which: np.ndarray,
    place: np.ndarray,
    take: Callable[..., np.ndarray] = draw_donors,
) -> np.ndarray:
    """Draws `[..., k]` for features `[k, p]`."""
    if conditional.forest is None:
        return draw_level(conditional.linear, x, place)
    if conditional.linear is None:
        return take(conditional.forest, x, which, place)
    found = predict(conditional.linear, x)
    if conditional.spread is not None:
        wide = np.maximum(x[:, conditional.spread], LEAST_SPREAD)
        found = found + wide * take(conditional.forest, x, which, place)
    elif not conditional.exact:
        x = _beside(x, found)
        found = found + take(conditional.forest, x, which, place)
    found = np.broadcast_to(found, place.shape)
    return layout.settle(column, found.ravel()).reshape(place.shape)


def is_line(
    values: np.ndarray,
    layout: Layout,
    aim: Aim,
    rng: np.random.Generator,
) -> bool:
    """Whether a column is a linear combination of others, but for rounding."""
    column, others, rows, _ = aim
    if layout.levels[column] or len(rows) < 10 * FOLDS:
        return False
    _, x = fit_features(values, layout.levels, column, others, rows, rng)
    y = values[rows, column]
    left = fit_linear(x, y)[1]
    return _is_rounding(left, layout.units[column], y)


def choose_model(
    values: np.ndarray,
    observed: np.ndarray,
    layout: Layout,
    aim: Aim,
    growth: Growth,
    rng: np.random.Generator,
) -> int:
    """What fills held-out cells of a column best: see `TREES_ALONE`.

    Args:
      values: `[n, c]`, a filled table.
      observed: `[n]` bool, the rows that the column is observed in.
      layout: of the table.
      aim: the column, and rows to learn from.
      growth: of the trees, in the last sweep.
      rng: chooses the folds.
    """
    column, others, rows, _ = aim
    levels = layout.levels[column]
    if levels > MAX_LEVELS or levels == 1 or len(rows) < 10 * FOLDS:
        return TREES_ALONE
    features, x = fit_features(values, layout.levels, column, others, rows, rng)
    y, every = values[rows, column], apply_features(features, values)
    weight = odds_of(every, observed)[rows]
    fold = rng.permutation(len(rows)) % FOLDS
    if layout.told:
        fold = _by_stretches(rows)
    score, apart, off, out = np.zeros((4, 2, FOLDS))
    size = size_of(y)
    rate = fair_brier if levels else fair_crps
    for k in range(FOLDS):
        learn, ask = fold != k, fold == k
        average = partial(np.average, weights=weight[ask])
        for model, most in ((TREES_ALONE, growth.trees), (RIDGE, FEW)):
            one = aim._replace(ridge=model == RIDGE)
            by = growth.for_model(model)
            by = by._replace(trees=min(by.trees, most))
            fitted = _fit(features, x[learn], y[learn], layout, one, by, rng)
            u, v = rng.random((2, TRIES, int(ask.sum())))
            draws = _draw(fitted, layout, column, x[ask], u, v)
            score[model, k] = average(rate(draws, y[ask])) / size
            if levels:  # which have no distances
                continue
            apart[model, k] = np.mean(
                [ks_distance(one, y[ask]) for one in draws]
            )
            low, high = y[learn].min(), y[learn].max()
            out[model, k] = np.mean((draws < low) | (draws > high))
            if layout.told:  # cells of a stretch lie beyond others themselves
                out[model, k] -= np.mean((y[ask] < low) | (y[ask] > high))
            mean = draws.mean(axis=0)
            if one.ridge:
                mean = predict(fitted.linear, x[ask])
            off[model, k] = average(np.square((mean - y[ask]) / size))
    gain, base = score[0] - score[1], score[0].mean()
    least = max(LEAST_GAIN * base, gain.std() / np.sqrt(FOLDS))
    # The line by itself tells as much as donors, and goes on where they end.
    most = MOST_OUT + OUTERMOST / len(rows)
    if off[1].mean() < off[0].mean() and _lie_beyond(x, y, every[~observed]):
        least, most = -MOST_LOSS * base, 1.0
    better = gain.mean() > least and out[1].mean() <= most
    close = apart[1].mean() < apart[0].mean() + MOST_APART
    return RIDGE if better and close else TREES_ALONE


def _by_stretches(rows: np.ndarray) -> np.ndarray:
    """Folds `[r]` of whole stretches of the table, for rows `[r]` of it."""
    place = np.argsort(np.argsort(rows, kind="stable"), kind="stable")
    return place * STRETCHES // len(rows) % FOLDS


def reaches_beyond(
    values: np.ndarray,
    observed: np.ndarray,
    layout: Layout,
    aim: Aim,
    rng: np.random.Generator,
) -> bool:
    """Whether the gaps of a column lie where none of its cells is observed.

    Held-out cells then say nothing about them, and a line goes on.

    Args:
      values: `[n, c]`, a filled table.
      observed: `[n]` bool, the rows that the column is observed in.
      layout: of the table.
      aim: the column, and rows to learn from.
      rng: chooses folds of levels' means.
    """
    column, others, rows, _ = aim
    if layout.levels[column] or len(rows) < 10 * FOLDS:
        return False
    features, x = fit_features(values, layout.levels, column, others, rows, rng)
    gaps = apply_features(features, values[~observed])
    return _lie_beyond(x, values[rows, column], gaps)


def _lie_beyond(x: np.ndarray, y: np.ndarray, gaps: np.ndarray) -> bool:
    """Whether a line would go on where donors end.

    Args:
      x: `[r, p]` and
      y: `[r]`, what is observed.
      gaps: `[k, p]`, the features of gaps.
    """
    if not len(gaps):
        return False
    linear, _ = fit_linear(x, y, curved=False)
    low, high = np.quantile(predict(linear, x), [0.01, 0.99])
    found = predict(linear, gaps)
    return bool(np.mean((found < low) | (found > high)) > BEYOND)


def odds_of(x: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The odds `[n]` that a cell is missing given the rest of its row."""
    if observed.all():
        return np.ones(len(x))
    x = x / size_of(x)
    scale = x.std(axis=0, dtype=np.float64)
    z = (x - x.mean(axis=0, dtype=np.float64)) / np.where(scale > 0, scale, 1)
    z = np.clip(z, -5, 5)
    rate = np.clip(np.mean(~observed), 1e-6, 1 - 1e-6)
    known = np.log(rate / (1 - rate))
    logits = ridge_path(z, ~observed, known, PENALTIES)(z)[-1] + known
    odds = np.exp(np.minimum(logits, 30))
    return np.minimum(odds, MOST_ODDS * odds[observed].mean())


def odds(table: Table, column: int) -> np.ndarray:
    """The odds `[n]` that a cell of a column is missing given what is seen.

    Columns with gaps count by their mean there, and by where the gaps are.
    """
    parts = []
    for j, size in enumerate(table.layout.levels):
        if j == column:
            continue
        seen = table.observed[:, j]
        values = table.values[:, j]
        if not seen.all():
            parts.append(seen.astype(np.float64))
        if not size:
            mean = values[seen].mean() if seen.any() else 0.0
            parts.append(np.where(seen, values, mean))
        elif size <= MAX_INDICATORS:
            levels = np.eye(size)[np.where(seen, values, 0).astype(int)]
            parts += list((levels * seen[:, None]).T)
    if not parts:
        return np.ones(len(table.values))
    return odds_of(np.stack(parts, axis=1), table.observed[:, column])


def to_plain(conditional: Conditional) -> dict:
    """What `_blob.pack` can hold."""
    linear = conditional.linear
    return {
        "columns": [feature.column for feature in conditional.features],
        "tables": [feature.table for feature in conditional.features],
        "linear": None if linear is None else linear._asdict(),
        "forest": conditional.forest and conditional.forest._asdict(),
        "exact": conditional.exact,
        "spread": conditional.spread,
    }


def from_plain(content: dict) -> Conditional:
    """The inverse of `to_plain`."""
    linear, forest = content["linear"], content["forest"]
    if linear is not None:
        linear = (Chances if forest is None else Linear)(**linear)
    return Conditional(
        [Feature(*one) for one in zip(content["columns"], content["tables"])],
        linear,
        forest and Forest(**forest),
        content["exact"],
        content["spread"],
    )
