"""How well gaps can be told from the other cells, by a small classifier."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from miri_jax.data import FileTable
from miri_jax.data.transforms import scaled
from miri_jax.report.facts import MAX_COLUMNS, View, sample_rows, with_filled

# Rows of each class, cells of a class below which no model is fitted, folds,
# and columns that a model sees: all of it takes about two seconds.
CLASS_ROWS, MIN_CLASS, FOLDS, MAX_FEATURES = 1000, 25, 2, 20
# A difference of areas under the ROC curve that is told of.
TELLING = 0.1


class Prediction(NamedTuple):
    """How well a column's gaps can be told, as areas under the ROC curve.

    Attributes:
      view: the column.
      before: from the other columns' observed values and gaps.
      after: from the others, filled, and their gaps, and its own filled values.
      error: about the standard error of both.
    """

    view: View
    before: float
    after: float
    error: float


def predict_gaps(
    dataset: FileTable, views: Sequence[View], filled: np.ndarray
) -> list[Prediction]:
    """How well each column's gaps can be told, before and after filling.

    Before: from the other columns, their gaps filled with the mean, and from
    where those are. After: from all columns filled, its own among them, and
    from the others' gaps. What is then told better is told by the filling.

    Args:
      dataset: of a file.
      views: its columns.
      filled: `[n, d]`, encoded, raw scale.

    Returns:
      A prediction for each column that has enough gaps and enough values, at
      most `MAX_COLUMNS`.
    """
    enough = [view for view in views if not too_few(view)]
    if not enough:
        return []
    from threadpoolctl import threadpool_limits

    # Before the limit, which is set on libraries that are loaded.
    model = classifier()
    missing = np.stack([view.missing for view in views], axis=1)
    # On so few rows threads wait for each other longer than they work.
    with threadpool_limits(1, "openmp"):
        return [
            _predict_column(model, dataset, view, missing, filled)
            for view in with_filled(enough, MAX_COLUMNS)
        ]


def told_before(prediction: Prediction) -> bool:
    """Whether other columns tell where the gaps are."""
    return prediction.before > 0.5 + TELLING / 2 + 2 * prediction.error


def told_by_filling(prediction: Prediction) -> bool:
    """Whether the imputed values give themselves away."""
    gain = prediction.after - prediction.before
    return gain > TELLING + 2 * prediction.error


def too_few(view: View) -> bool:
    """Whether a column has too few gaps, or values, to predict its gaps."""
    return min(len(view.observed), view.missing.sum()) < MIN_CLASS


def _predict_column(
    model: Any,
    dataset: FileTable,
    view: View,
    missing: np.ndarray,
    filled: np.ndarray,
) -> Prediction:
    """How well the gaps of one column can be told, see `predict_gaps`.

    Args:
      model: a classifier of scikit-learn.
      dataset: of a file.
      view: the column.
      missing: `[n, c]` bool, of all the columns of the file.
      filled: `[n, d]`, encoded, raw scale.
    """
    j = view.number - 1
    ends = np.cumsum([0, *(c.width for c in dataset.table.columns)])
    own = np.arange(ends[j], ends[j + 1])
    rows, fold = _balanced_rows(view.missing)
    y, m = view.missing[rows], dataset.m[rows]
    before, after = (
        scaled(x[rows], seen, dataset.scaler)
        for x, seen in ((dataset.values, m), (filled, m | True))
    )
    gaps = np.delete(missing[rows], j, axis=1)
    before = np.hstack((np.delete(before, own, axis=1), gaps))
    after = np.hstack((after[:, own], np.delete(after, own, axis=1), gaps))
    error = 0.5 / np.sqrt(min(y.sum(), (~y).sum()))
    return Prediction(
        view,
        _held_out_auc(model, before, y, fold, keep=0),
        _held_out_auc(model, after, y, fold, keep=len(own)),
        float(error),
    )


def classifier() -> Any:
    """A small classifier, fitted in a moment."""
    # Here, as loading it takes a second that other runs save.
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.4,
        max_iter=10,
        max_leaf_nodes=4,
        min_samples_leaf=10,
        max_bins=32,
        early_stopping=False,
        random_state=0,
    )


def _balanced_rows(missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows with and without a gap, and the fold of each."""
    classes = [
        sample_rows(np.flatnonzero(missing == gap), CLASS_ROWS)
        for gap in (False, True)
    ]
    folds = [np.arange(len(rows)) % FOLDS for rows in classes]
    return np.concatenate(classes), np.concatenate(folds)


def _held_out_auc(
    model: Any, features: np.ndarray, y: np.ndarray, fold: np.ndarray, keep: int
) -> float:
    """Area under the ROC curve of rows not learnt from, mean of the folds.

    Args:
      model: a classifier of scikit-learn.
      features: `[n, f]` float32, about standardised; a model sees the first
        `keep` of them and those that go with the class most, in the rows that
        it learns from.
      y: `[n]` bool, the class.
      fold: `[n]`, the fold that a row is held out in.
      keep: see `features`.
    """
    if not features.shape[1]:
        return 0.5
    areas = []
    for k in range(FOLDS):
        x, held_out = features[fold != k], features[fold == k]
        learnt, asked = y[fold != k], y[fold == k]
        seen = features_that_tell(x, learnt, keep)
        model.fit(x[:, seen], learnt)
        score = model.decision_function(held_out[:, seen])
        low, high = np.sort(score[~asked]), score[asked]
        below = np.searchsorted(low, high) + np.searchsorted(low, high, "right")
        areas.append(np.mean(below) / 2 / len(low))
    return float(np.mean(areas))


def features_that_tell(
    x: np.ndarray, y: np.ndarray, keep: int = 0
) -> np.ndarray:
    """The features that go with a class most, `MAX_FEATURES` at most.

    Args:
      x: `[n, f]`.
      y: `[n]` bool.
      keep: the first, which are among them and do not count.
    """
    # The squared correlation with the class, but for a factor.
    variance = np.einsum("nf,nf->f", x, x) / len(x) - x.mean(axis=0) ** 2
    telling = ((y - y.mean()).astype(x.dtype) @ x) ** 2
    telling /= np.where(variance > 1e-6, variance, np.inf)
    telling[:keep] = np.inf
    return np.argsort(-telling, kind="stable")[: keep + MAX_FEATURES]
