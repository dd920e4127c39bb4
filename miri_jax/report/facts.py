"""What report.html says of a file, as numbers and as warnings.

Where gaps are and whether they are random, how imputed values differ from
observed ones, and draws from each other.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from miri_jax.data import Dataset, columns, tables
from miri_jax.data.transforms import Scaler, standardise
from miri_jax.report.figures import (
    MAX_COLUMNS,
    MAX_MATRIX,
    Prediction,
    View,
    shorten,
    with_gaps,
)

# What is warned of: a share of gaps, few observed values or cells of a level,
# distributions that differ by more, draws that differ by less than a share of
# the column's variance, gaps that filling makes easier to tell by more.
MANY_GAPS, FEW_VALUES, FEW_CELLS = 0.7, 30, 5
DIFFERENT, SAME_DRAWS, TELLING = 0.3, 4e-4, 0.1
# Rows of each class, cells of a class below which no model is fitted, folds,
# and columns that a model sees: all of it takes about two seconds.
CLASS_ROWS, MIN_CLASS, FOLDS, MAX_FEATURES = 1000, 25, 3, 20
# Rows and patterns of Little's test, and what keeps copied columns from
# dividing nothing by nothing.
LITTLE_ROWS, LITTLE_PATTERNS, RIDGE = 5000, 100, 1e-5
# Beyond it squares overflow.
LARGEST = 1e150


class McarTest(NamedTuple):
    """Little's test of whether gaps are completely at random.

    Attributes:
      statistic: chi-square.
      df: its degrees of freedom.
      p: the chance of a statistic as large if they were.
      columns: how many columns and
      patterns: how many patterns of gaps were compared.
    """

    statistic: float
    df: int
    p: float
    columns: int
    patterns: int


def views_of(dataset: Dataset, draws: Sequence[np.ndarray]) -> list[View]:
    """The columns of the file, or of the table where there is no file."""
    if getattr(dataset, "table", None) is None:
        return [
            View(
                j + 1,
                name,
                "real",
                ~m,
                dataset.values[m, j],
                np.stack([draw[~m, j] for draw in draws]),
                truth=None if dataset.truth is None else dataset.truth[~m, j],
            )
            for j, (name, m) in enumerate(zip(dataset.columns, dataset.m.T))
        ]
    table, views = dataset.table, []
    parts = [tables.split(table.columns, x) for x in (table.values, *draws)]
    for j, column in enumerate(table.columns):
        gaps = table.missing[:, j]
        blocks = [part[j][1] for part in parts]
        views.append(
            View(
                j + 1,
                str(column.name),
                column.kind,
                gaps,
                _own_units(column, blocks[0][~gaps]),
                np.stack([_own_units(column, x[gaps]) for x in blocks[1:]]),
                column.levels and tuple(map(str, column.levels)),
                _unit(column),
            )
        )
    return views


def difference(view: View) -> float:
    """How far imputed and observed values are apart, from 0 to 1.

    Kolmogorov and Smirnov's distance of numbers, the total variation distance
    of levels; 0 where there is nothing to compare.
    """
    imputed = view.imputed.ravel()
    if not len(imputed) or not len(view.observed):
        return 0.0
    if view.levels is not None:
        observed, imputed = level_shares(view)
        return float(np.abs(observed - imputed).sum() / 2)
    at = np.concatenate([imputed, view.observed])
    shares = [
        np.searchsorted(np.sort(x), at, "right") / len(x)
        for x in (imputed, view.observed)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def level_shares(view: View) -> np.ndarray:
    """Shares `[2, levels]` of each level, observed and imputed."""
    samples = (view.observed, view.imputed.ravel())
    return np.stack(
        [
            np.bincount(x.astype(int), minlength=len(view.levels))
            / max(len(x), 1)
            for x in samples
        ]
    )


def spread(view: View) -> float:
    """How far draws are apart: their deviation, mean over the gaps.

    In the column's units; of levels the share of the gaps where draws differ.
    """
    if not view.imputed.size:
        return 0.0
    if view.levels is not None:
        return float(np.mean(view.imputed.min(0) < view.imputed.max(0)))
    return float(np.mean(np.std(view.imputed, axis=0)))


def draws_agree(view: View) -> bool:
    """Whether all draws are nearly the same, though the column varies.

    Numbers are compared by their ranks among the observed ones, so that a few
    huge ones do not hide how the others differ.
    """
    draws, gaps = view.imputed.shape
    if draws < 2 or not gaps or not len(view.observed):
        return False
    if view.levels is not None:
        variety = 1 - np.sum(level_shares(view)[0] ** 2)
        differs = np.mean(view.imputed[1:] != view.imputed[:-1])
        # So many cells would differ, were they drawn without a look at others.
        enough = variety * gaps * (draws - 1) >= 20
        return bool(enough and differs < SAME_DRAWS * variety)
    ordered = np.sort(view.observed)
    rank = lambda x: (
        np.searchsorted(ordered, x) + np.searchsorted(ordered, x, "right")
    )
    variety = np.var(rank(ordered))
    apart = np.mean(np.diff(rank(view.imputed), axis=0) ** 2) / 2
    return bool(variety > 0 and apart < SAME_DRAWS * variety)


def predict_gaps(
    dataset: Dataset, views: Sequence[View], filled: np.ndarray
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
    # Here, as loading them takes a second that other runs save.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        learning_rate=0.4,
        max_iter=10,
        max_leaf_nodes=4,
        min_samples_leaf=10,
        max_bins=32,
        early_stopping=False,
        random_state=0,
    )
    ends = np.cumsum([0, *(c.width for c in dataset.table.columns)])
    missing = np.stack([view.missing for view in views], axis=1)
    found = []
    # On so few rows threads wait for each other longer than they work.
    with threadpool_limits(1, "openmp"):
        for view in with_gaps(enough, MAX_COLUMNS):
            j = view.number - 1
            rows, fold = _balanced_rows(view.missing)
            own = np.arange(ends[j], ends[j + 1])
            gaps = np.delete(missing[rows], j, axis=1)
            y = view.missing[rows]
            m = dataset.m[rows]
            before, after = (
                np.asarray(standardise(x[rows], seen, dataset.scaler).x)
                for x, seen in ((dataset.values, m), (filled, m | True))
            )
            after = np.hstack((after[:, own], np.delete(after, own, 1), gaps))
            before = np.hstack((np.delete(before, own, axis=1), gaps))
            aucs = (
                _held_out_auc(model, before, y, fold, keep=0),
                _held_out_auc(model, after, y, fold, keep=len(own)),
            )
            error = 0.5 / np.sqrt(min(y.sum(), (~y).sum()))
            found.append(Prediction(view, *aucs, float(error)))
    return found


def little_test(values: np.ndarray, m: np.ndarray) -> McarTest | None:
    """Little's test of gaps that are missing completely at random.

    Were they, the means of the rows of each pattern of gaps would differ by
    chance only. Mean and covariance are those of the most likely normal
    distribution, by EM. Under the hypothesis patterns do not depend on values,
    so that the test may look at the most frequent ones alone.

    Args:
      values: `[n, d]` numbers, not read in the gaps.
      m: `[n, d]` bool, True = observed.

    Returns:
      The `McarTest`; None where there is nothing to compare.

    Source: Little (1988), A test of missing completely at random for
    multivariate data with missing values, JASA 83, equation 6.
    """
    rows = _sample(np.flatnonzero(m.any(axis=1)), LITTLE_ROWS)
    patterns, index, counts = np.unique(
        m[rows], axis=0, return_inverse=True, return_counts=True
    )
    most = np.argsort(-counts, kind="stable")[:LITTLE_PATTERNS]
    rows = rows[np.isin(index, most)]
    z, m = np.where(m[rows], values[rows], 0.0), m[rows]
    number = m.sum(axis=0)
    mean = z.sum(axis=0) / np.maximum(number, 1)
    z = np.where(m, z - mean, 0)
    deviation = np.sqrt(np.sum(z**2, axis=0) / np.maximum(number, 1))
    varied = (deviation > 1e-9 * np.abs(mean)) & (number >= FEW_CELLS)
    if varied.sum() < 2 or len(rows) < FEW_VALUES:
        return None
    z, m = z[:, varied] / deviation[varied], m[:, varied]
    patterns, index = np.unique(m, axis=0, return_inverse=True)
    groups = [np.flatnonzero(index == p) for p in range(len(patterns))]
    mean, cov = _most_likely_normal(z, patterns, groups)
    precision = _precisions(cov, patterns)
    means = np.stack([z[group].mean(axis=0) for group in groups])
    apart = np.where(patterns, means - mean, 0)
    distance = np.einsum("pi,pij,pj->p", apart, precision, apart)
    statistic = float(np.sum([len(group) for group in groups] * distance))
    df = int(patterns.sum() - varied.sum())
    if df < 1:
        return None
    p = float(chdtrc(df, statistic))
    used = patterns.any(axis=1).sum()
    return McarTest(statistic, df, p, int(varied.sum()), int(used))


def little_of_file(dataset: Dataset, views: Sequence[View]) -> McarTest | None:
    """Little's test on a file's columns that have one number each."""
    ends = np.cumsum([column.width for column in dataset.table.columns])
    single = [
        view
        for view, column in zip(views, dataset.table.columns)
        if column.width == 1 and view.levels is None and len(view.observed)
    ]
    # Those with the most gaps, and the first of the others.
    order = sorted(single, key=lambda view: -int(view.missing.sum()))
    places = [ends[view.number - 1] - 1 for view in order[:MAX_MATRIX]]
    if not places:
        return None
    scaler = Scaler(*(part[places] for part in dataset.scaler))
    m = dataset.m[:, places]
    z = standardise(dataset.values[:, places], m, scaler).x
    return little_test(np.asarray(z, np.float64), m)


def warnings_of(
    views: Sequence[View], found: Sequence[Prediction]
) -> list[str]:
    """What a user should know before using the result, and what to do."""
    used = [view for view in views if view.kind != "id"]
    known = [v for v in used if v.missing.any() and len(v.observed)]
    rules = (*_rules_of_file(used, known), *_rules_of_draws(known, found))
    said = [f"{listed(names)}: {text}" for names, text in rules if names]
    empty = int(np.all([view.missing for view in used], axis=0).sum())
    if empty:
        said.append(
            f"{empty} row{'s have' if empty > 1 else ' has'} no observed cell:"
            " filled with draws that rest on nothing of their own. Remove them"
            " from an analysis."
        )
    return said


def _rules_of_file(
    used: Sequence[View], known: Sequence[View]
) -> tuple[tuple[list[str], str], ...]:
    """Columns, and what their observed cells give reason to say of them."""
    return (
        (
            [quoted(v) for v in used if v.missing.all()],
            "not one value was observed, so that every cell holds the number"
            " that you chose. Leave the column out of an analysis.",
        ),
        (
            [
                f"{quoted(v)} ({v.missing.mean():.0%})"
                for v in known
                if v.missing.mean() > MANY_GAPS
            ],
            "most cells are missing, and what is filled in rests on the few"
            " others. Look at the draws one by one, and see whether your"
            " results hold without the column.",
        ),
        (
            [
                f"{quoted(v)} ({len(v.observed)} values)"
                for v in known
                if len(v.observed) < FEW_VALUES
            ],
            f"fewer than {FEW_VALUES} values were observed, too few to learn"
            " from. Take what is filled in as a guess.",
        ),
        (
            [text for v in known if (text := _rare_levels(v))],
            f"levels observed less than {FEW_CELLS} times are hardly ever"
            " imputed well. Merge them with others in the file.",
        ),
        (
            [quoted(v) for v in used if _constant(v)],
            "constant: all observed values are equal, and gaps, if any, are"
            " filled with that value. Such a column tells nothing; leave it"
            " out.",
        ),
    )


def _rules_of_draws(
    known: Sequence[View], found: Sequence[Prediction]
) -> tuple[tuple[list[str], str], ...]:
    """Columns, and what their imputed cells give reason to say of them."""
    return (
        (
            [quoted(v) + _difference_text(v) for v in known if _differs(v)],
            "imputed values are distributed otherwise than observed ones. That"
            " is right where the gaps depend on other columns (say, the old"
            " answer less often); where you know of no reason, do not trust"
            " them.",
        ),
        (
            [quoted(v) for v in known if draws_agree(v) and not _constant(v)],
            "all draws are nearly equal, so that they do not show how"
            " uncertain the imputed values are. Unless the other columns"
            " determine this one, use a method that draws.",
        ),
        (
            [
                f"{quoted(p.view)} ({p.before:.2f} before, {p.after:.2f} after)"
                for p in found
                if p.after - p.before > TELLING + 2 * p.error
            ],
            "once filled, the column itself tells which of its cells were"
            " missing (before and after filling, 0.5 is guessing and 1 is"
            " certain). Let the fit run longer, or try another method.",
        ),
    )


def _own_units(column: columns.Column, block: np.ndarray) -> np.ndarray:
    """Encoded cells `[n, width]` as numbers, or ranks of levels, `[n]`."""
    if column.kind == "id":
        return np.zeros(0)
    values = columns.decode(column, block)
    if column.levels is not None:
        levels = pd.Index(column.levels, dtype=object)
        return levels.get_indexer(pd.Index(values)).astype(np.float64)
    return np.clip(values, -LARGEST, LARGEST)


def _unit(column: columns.Column) -> float:
    if column.step is not None:
        return float(column.step)
    return 0.0 if column.decimals is None else 10.0**-column.decimals


def too_few(view: View) -> bool:
    """Whether a column has too few gaps, or values, to predict its gaps."""
    return min(len(view.observed), view.missing.sum()) < MIN_CLASS


def _balanced_rows(missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows with and without a gap, and the fold of each."""
    classes = [
        _sample(np.flatnonzero(missing == gap), CLASS_ROWS)
        for gap in (False, True)
    ]
    folds = [np.arange(len(rows)) % FOLDS for rows in classes]
    return np.concatenate(classes), np.concatenate(folds)


def _sample(rows: np.ndarray, limit: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(rows)[:limit]


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
        # The squared correlation with the class, but for a factor.
        variance = np.einsum("nf,nf->f", x, x) / len(x) - x.mean(axis=0) ** 2
        telling = ((learnt - learnt.mean()).astype(x.dtype) @ x) ** 2
        telling /= np.where(variance > 1e-6, variance, np.inf)
        telling[:keep] = np.inf
        seen = np.argsort(-telling, kind="stable")[: keep + MAX_FEATURES]
        model.fit(x[:, seen], learnt)
        score = model.decision_function(held_out[:, seen])
        low, high = np.sort(score[~asked]), score[asked]
        below = np.searchsorted(low, high) + np.searchsorted(low, high, "right")
        areas.append(np.mean(below) / 2 / len(low))
    return float(np.mean(areas))


def _most_likely_normal(
    z: np.ndarray, patterns: np.ndarray, groups: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean `[d]` and covariance `[d, d]` of rows `[n, d]` with gaps, by EM.

    Args:
      z: rows, 0 in the gaps, of about unit variance.
      patterns: `[p, d]` bool, True = observed.
      groups: the rows of each pattern.
    """
    mean, cov = np.zeros(z.shape[1]), np.eye(z.shape[1])
    counts = np.array([len(group) for group in groups])
    filled = z.copy()
    for _ in range(50):
        slopes = cov @ _precisions(cov, patterns)
        for group, slope, observed in zip(groups, slopes, patterns):
            rest = np.where(observed, z[group] - mean, 0)
            filled[group] = np.where(observed, z[group], mean + rest @ slope.T)
        # What the gaps vary by, given the observed cells of their row.
        unknown = ~patterns[:, :, None] & ~patterns[:, None, :]
        within = np.where(unknown, cov - slopes @ cov, 0)
        mean, last = filled.mean(axis=0), cov
        centred = filled - mean
        cov = centred.T @ centred + np.einsum("p,pij->ij", counts, within)
        cov /= len(z)
        if np.abs(cov - last).max() < 1e-4:
            break
    return mean, cov


def _precisions(cov: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Inverse covariance `[p, d, d]` of each pattern's columns, 0 elsewhere."""
    eye = np.eye(len(cov))
    both = patterns[:, :, None] & patterns[:, None, :]
    return np.linalg.inv(np.where(both, cov + RIDGE * eye, eye)) * both


def _constant(view: View) -> bool:
    values = view.observed
    return bool(len(values) and values.min() == values.max())


def _differs(view: View) -> bool:
    """Whether imputed values differ from observed ones by more than chance."""
    sizes = 1 / max(view.missing.sum(), 1) + 1 / max(len(view.observed), 1)
    levels = 8 if view.levels is None else len(view.levels)
    return difference(view) > DIFFERENT + np.sqrt(levels * sizes) / 2


def _difference_text(view: View) -> str:
    """How imputed values differ from observed ones."""
    measure = f" ({difference(view):.2f} on a scale of 0, alike, to 1; "
    if view.levels is not None:
        shares = level_shares(view)
        k = int(np.argmax(shares[1] - shares[0]))
        return (
            f"{measure}{_quote(view.levels[k])} is {shares[1, k]:.0%} of the"
            f" imputed and {shares[0, k]:.0%} of the observed cells)"
        )
    middle = [
        " to ".join(
            value_text(view, x) for x in np.quantile(values, [0.25, 0.75])
        )
        for values in (view.imputed.ravel(), view.observed)
    ]
    return (
        f"{measure}half of the imputed cells lie in {middle[0]}, half of the"
        f" observed in {middle[1]})"
    )


def _rare_levels(view: View) -> str:
    if view.levels is None:
        return ""
    counts = np.bincount(view.observed.astype(int), minlength=len(view.levels))
    rare = np.flatnonzero(counts < FEW_CELLS)
    if not len(rare):
        return ""
    return (
        f"{quoted(view)} ({len(rare)} of {len(counts)} levels, such as"
        f" {_quote(view.levels[rare[0]])})"
    )


def value_text(view: View, value: float) -> str:
    """A number or time as text."""
    if view.kind != "datetime":
        return number_text(value, 6)
    text = str(np.datetime64(int(value), "s")).replace("T", " ")
    return text[:-9] if text.endswith(" 00:00:00") else text[:-3]


def quoted(view: View) -> str:
    """A column's name in quotes."""
    return _quote(view.name)


def _quote(text: str) -> str:
    return f"\u201c{shorten(text, 40)}\u201d"


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Names with commas, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def number_text(value: float, digits: int = 4) -> str:
    """A number to some digits, without an exponent where it needs none."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.{12 if abs(rounded) < 1e12 else digits}g}"
