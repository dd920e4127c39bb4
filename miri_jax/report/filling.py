"""What a filling lost, beside what gaps that depend on the others explain.

Levels and heaps of equal numbers are counted among the imputed cells and
compared with what the observed cells of rows like those with gaps hold (each
is weighed by the odds of a gap, as a classifier tells them from the other
columns: Robins, Rotnitzky and Zhao, 1994). A filling may go beyond what was
observed, but for many cells, and far, nothing speaks. It is cheap: only what
looks wrong is weighed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from miri_jax.data import Dataset, FileTable
from miri_jax.data.related_draws import broken_in, values_in
from miri_jax.data.tables import split
from miri_jax.data.transforms import scaled
from miri_jax.notes import percent
from miri_jax.report.facts import View, sample_rows, views_of_file
from miri_jax.report.telling import classifier, features_that_tell
from miri_jax.report.text import (
    in_quotes,
    listed,
    quoted,
    value_text,
)

# Heaps are told of from that share of a column on, where the imputed cells
# have less than that part of it, by more standard errors.
HEAP, LOST, SURE = 0.03, 0.4, 4.0
# Cells that are expected, at least.
EXPECTED = 10
# Rows that weights are learnt from, folds, and the largest odds.
ROWS, FOLDS, ODDS = 4000, 2, 30.0
# What is far: beyond the observed by this part of what 98 % of them span; and
# the share of the imputed cells that is, and how many.
FAR, MANY, CELLS = 0.25, 0.01, 5
LONGEST = 200_000
# Columns that a sentence names: no other place does.
NAMED = 25


class _Atom(NamedTuple):
    """A value that many cells have, and that imputed ones seem to lack."""

    value: float
    share: float
    imputed: float


def filling_warnings(
    dataset: Dataset, draws: Sequence[np.ndarray]
) -> list[str]:
    """What a filling lost, a sentence or two each; nothing of other data.

    Args:
      dataset: of a file.
      draws: filled tables `[n, d]`, encoded, raw scale.
    """
    if not isinstance(dataset, FileTable) or not dataset.gaps().any():
        return []
    said = _broken(dataset, draws)
    if len(dataset.m) > LONGEST:
        rows = np.sort(sample_rows(np.arange(len(dataset.m)), LONGEST))
        dataset, draws = dataset.take(rows), [x[rows] for x in draws]
    # What was stated of gaps is no fault of theirs.
    related, apart = dataset.table.related, set()
    if related is not None:
        stated = related.relations
        apart = {*stated.limited(), *stated.with_gaps()}
    views = [
        view
        for view in views_of_file(dataset, draws[:1])
        if view.missing.any()
        and len(view.observed)
        and view.kind != "id"
        and view.name not in apart
    ]
    lost: dict[bool, list[str]] = {True: [], False: []}
    for view in views:
        atoms = _suspects(view)
        weights = _weights(dataset, view) if atoms else np.zeros(0)
        atoms.sort(key=lambda one: one.imputed - one.share)
        named = list(filter(None, (_named(view, a, weights) for a in atoms)))
        if named:
            found = listed(named, 1)
            lost[view.levels is None].append(f"{quoted(view)} ({found})")
    if lost[False]:
        said.append(
            f"{listed(lost[False], NAMED)}: levels are hardly imputed, though"
            " rows like those with gaps have them. Try another method."
        )
    if lost[True]:
        said.append(
            f"{listed(lost[True], NAMED)}: numbers that many observed cells"
            " have are hardly imputed, though rows like those with gaps have"
            " them. Try another method, or call the column categorical."
        )
    far = [text for view in views if (text := _far(view))]
    if far:
        said.append(
            f"{listed(far, NAMED)}: imputed values lie far outside of what was"
            " observed, where no cell tells what is right. Give bounds where"
            " such values cannot be, and see whether results rest on them."
        )
    return said


def _broken(dataset: FileTable, draws: Sequence[np.ndarray]) -> list[str]:
    """Relations that were found and that a filled table breaks."""
    related = dataset.table.related
    if related is None or not related.relations.found:
        return []
    filled = values_in(related, split(dataset.table.columns, draws[0]))
    found = broken_in(related, dataset.table.columns, filled)
    return [
        f"{text}, which all observed cells keep, does not hold in {rows} filled"
        f" row{'s' if rows > 1 else ''}: the method does not draw by it. State"
        " what must hold, or correct these rows."
        for text, rows in found
    ]


def _suspects(view: View) -> list[_Atom]:
    """Values that imputed cells have much less often than observed ones."""
    imputed = view.imputed[0]
    values, counts = np.unique(view.observed, return_counts=True)
    share = counts / len(view.observed)
    ordered = np.sort(imputed)
    near = 1e-9 * np.abs(values) + view.unit / 4
    have = np.searchsorted(ordered, values + near, "right")
    have = have - np.searchsorted(ordered, values - near)
    have = have / len(imputed)
    often = share * len(imputed) >= EXPECTED
    if view.levels is None:
        often &= share >= HEAP
    return [
        _Atom(values[k], share[k], have[k])
        for k in np.flatnonzero(often & (have < LOST * share))
    ]


def _named(view: View, atom: _Atom, weights: np.ndarray) -> str:
    """A value that is lost, with both shares; "" where gaps explain it."""
    same = view.observed == atom.value
    expected = weights[same].sum() / weights.sum()
    enough = weights.sum() ** 2 / (weights**2).sum()
    size = 1 / enough + 1 / view.imputed.shape[1]
    error = np.sqrt(expected * (1 - expected) * size)
    if not atom.imputed < min(LOST * expected, expected - SURE * error):
        return ""
    if expected * view.imputed.shape[1] < EXPECTED:
        return ""
    name = (
        value_text(view, atom.value)
        if view.levels is None
        else in_quotes(view.levels[int(atom.value)])
    )
    return (
        f"{name}: {percent(expected)} expected, {percent(atom.imputed)} imputed"
    )


def _weights(dataset: FileTable, view: View) -> np.ndarray:
    """The odds of a gap of each row whose cell is observed, `[n_observed]`."""
    j = view.number - 1
    ends = np.cumsum([0, *(c.width for c in dataset.table.columns)])
    x = scaled(dataset.values, dataset.m, dataset.scaler)
    gaps = np.delete(dataset.gaps(), j, axis=1)
    x = np.hstack([x[:, : ends[j]], x[:, ends[j + 1] :], gaps])
    observed, gone = np.flatnonzero(~view.missing), np.flatnonzero(view.missing)
    model, odds = classifier(), np.ones(len(observed))
    fold = np.arange(len(observed)) % FOLDS
    for k in range(FOLDS):
        learnt = sample_rows(observed[fold != k], ROWS)
        learnt = np.concatenate([learnt, sample_rows(gone, ROWS)])
        y = view.missing[learnt]
        seen = features_that_tell(x[learnt], y)
        if not len(seen) or min(y.sum(), (~y).sum()) < 2:
            continue
        with threadpool_limits(1, "openmp"):
            model.fit(x[np.ix_(learnt, seen)], y)
            score = model.decision_function(
                x[np.ix_(observed[fold == k], seen)]
            )
        odds[fold == k] = np.exp(np.clip(score, -np.log(ODDS), np.log(ODDS)))
    return odds


def _far(view: View) -> str:
    """How many imputed cells lie far outside, of which range; "" for few."""
    if view.levels is not None or len(view.observed) < 30:
        return ""
    low, high = view.observed.min(), view.observed.max()
    span = np.subtract(*np.quantile(view.observed, [0.99, 0.01]))
    imputed = view.imputed[0]
    out = (imputed > high + FAR * span) | (imputed < low - FAR * span)
    if not span > 0 or out.sum() < max(CELLS, MANY * len(imputed)):
        return ""
    ends = [value_text(view, x) for x in (low, high)]
    worst = imputed[out][np.argmax(np.abs(imputed[out] - (low + high) / 2))]
    return (
        f"{quoted(view)} ({percent(out.mean())} of the imputed cells, as"
        f" {value_text(view, worst)}; observed {ends[0]} to {ends[1]})"
    )
