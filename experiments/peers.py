"""The peers of scikit-learn, and a check of what any peer has filled."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer


class PeerError(ValueError):
    """A peer that cannot run, or whose output is not an imputation."""


def mice(seed: int) -> BaseEstimator:
    """MICE: chained Bayesian ridge regressions, drawn from their posterior."""
    return IterativeImputer(sample_posterior=True, random_state=seed)


def iterative(seed: int) -> BaseEstimator:
    """IterativeImputer as it comes: chained regressions, no sampling."""
    return IterativeImputer(random_state=seed)


def missforest(seed: int) -> BaseEstimator:
    """MissForest (Stekhoven and Buehlmann, 2012): chained forests.

    100 trees, mtry sqrt(d) and nodes of 5 or more as in the R package, of
    extremely randomised trees: on wine and housing, mask 11, they came out
    ahead of RandomForestRegressor, and both ahead of scikit-learn's own
    defaults for forests (all columns in each split, nodes of 1).
    """
    forest = ExtraTreesRegressor(
        100,
        min_samples_leaf=5,
        max_features="sqrt",
        random_state=seed,
        n_jobs=-1,
    )
    return IterativeImputer(estimator=forest, random_state=seed)


def knn(seed: int) -> BaseEstimator:
    """KNNImputer as it comes: the mean of the five nearest rows."""
    del seed  # Nothing here is random.
    return KNNImputer()


ESTIMATORS: dict[str, Callable[[int], BaseEstimator]] = {
    "mice": mice,
    "iterative": iterative,
    "missforest": missforest,
    "knn": knn,
}


def method_settings(name: str) -> dict[str, Any]:
    """All settings of a peer but its seed, its defaults among them."""
    found = ESTIMATORS[name](0).get_params()
    return {
        key: repr(value) if isinstance(value, float | BaseEstimator) else value
        for key, value in found.items()
        if "random_state" not in key and isinstance(value, _PLAIN)
    }


_PLAIN = bool | int | float | str | None | BaseEstimator


def fill(
    name: str, gaps: pd.DataFrame, draws: int, seed: int
) -> list[pd.DataFrame]:
    """Tables of numbers `[n, d]`, each filled with another seed.

    The peer sees columns standardised by their observed entries.
    """
    mean, scale = gaps.mean(), gaps.std(ddof=0).replace(0, 1)
    filled = []
    for k in range(draws):
        estimator = ESTIMATORS[name](1000 * seed + k)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it never says it has converged
            x = estimator.fit_transform(((gaps - mean) / scale).to_numpy())
        x = pd.DataFrame(x, gaps.index, gaps.columns)
        filled.append(gaps.fillna(x * scale + mean))
    return filled


def check_filled(
    name: str, gaps: np.ndarray, filled: np.ndarray, constant: bool = False
) -> None:
    """Raises PeerError where an output is no imputation of the table.

    A package that fails inside may hand back what it started from. So the
    output must be finite, hold every observed entry, and not be, in all
    columns with gaps at once, a constant: the mean, the median or the most
    frequent of their observed entries, or whatever else.

    Args:
      name: of the peer.
      gaps: `[n, d]`, NaN where missing.
      filled: `[n, d]`.
      constant: whether a constant is what it is to fill with.
    """
    m = ~np.isnan(gaps)
    if filled.shape != gaps.shape:
        raise PeerError(f"{name} gave {filled.shape} for a table {gaps.shape}")
    if not np.isfinite(filled).all():
        bad = int(np.sum(~np.isfinite(filled)))
        raise PeerError(f"{name} left {bad} entries that are not finite")
    if not np.allclose(filled[m], gaps[m], rtol=1e-9, atol=1e-12):
        raise PeerError(f"{name} changed observed entries")
    holes = np.flatnonzero(~m.all(axis=0))
    if (
        holes.size
        and not constant
        and all(
            _constant_fill(gaps[m[:, j], j], filled[~m[:, j], j]) for j in holes
        )
    ):
        raise PeerError(
            f"{name} filled every column with a constant, as its mean, median"
            " or most frequent value: it has imputed nothing"
        )


def _constant_fill(seen: np.ndarray, filled: np.ndarray) -> bool:
    """Whether all of a column's gaps hold one value, or one a statistic."""
    if not seen.size:
        return True
    if len(filled) > 1:
        return bool(np.ptp(filled) < 1e-4 * (np.std(seen) or 1))
    values, counts = np.unique(seen, return_counts=True)
    frequent = values[np.argmax(counts)]
    return any(
        np.allclose(filled, statistic, rtol=1e-4, atol=1e-4 * np.std(seen))
        for statistic in (seen.mean(), np.median(seen), frequent)
    )
