"""What is pooled, read from fitted models, mappings, pairs or arrays.

No library of models is imported: a fit is what has attributes, methods or keys
of these names.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from miri_jax.exceptions import DataError, first_line

# By falling preference; the first of each is what statsmodels has.
ESTIMATES = ("params", "params_", "estimates", "estimate")
COVARIANCES = ("cov_params", "covariance", "cov", "variance_matrix_")
VARIANCES = ("variances", "variance")
ERRORS = ("bse", "std_errors", "errors", "error")
DEGREES = ("df_resid", "df_complete")


class Fits(NamedTuple):
    """Analyses of m tables, checked.

    Attributes:
      estimates: `[m, *k]`.
      variances: `[m, *k]`.
      covariances: `[m, k, k]`, or None where there are variances only.
      names: k of them, or None.
      df_complete: degrees of freedom without gaps.
    """

    estimates: np.ndarray
    variances: np.ndarray
    covariances: np.ndarray | None
    names: tuple[Hashable, ...] | None
    df_complete: float


class _Fit(NamedTuple):
    """One analysis: estimates `[*k]`, and variances or a covariance matrix."""

    estimates: np.ndarray
    spread: np.ndarray
    names: tuple[Hashable, ...] | None
    df: float = np.inf


def read(
    estimates: Any, variances: Any = None, df_complete: float | None = None
) -> Fits:
    """Reads m >= 2 analyses.

    Args:
      estimates: m fits, or with `variances` the estimates `[m, *k]`.
      variances: None, or `[m, *k]`, or covariances `[m, k, k]`.
      df_complete: None for the least that the fits say; infinite where they
        say nothing.

    Returns:
      `Fits`.

    Raises:
      DataError: on fewer than two, on fits that differ in names or shapes, and
        on numbers that are not finite or variances below 0.
    """
    if variances is None:
        fits = [_of_fit(fit, k) for k, fit in enumerate(listed(estimates), 1)]
    else:
        q, u = listed(estimates), listed(variances)
        if len(q) != len(u):
            raise DataError(
                f"estimates are of {len(q)} tables and variances of {len(u)};"
                " give one variance for each estimate"
            )
        fits = [_of_pair(*pair, k) for k, pair in enumerate(zip(q, u), 1)]
    at_least_two(len(fits))
    for k, fit in enumerate(fits[1:], 2):
        _check_alike(fits[0], fit, k)
    if df_complete is None:
        df_complete = min(fit.df for fit in fits)
    if not df_complete > 0:
        raise DataError(
            f"df_complete, the degrees of freedom without gaps, is"
            f" {df_complete}; give a positive number, inf for a large sample"
        )
    q, u = (np.stack(x) for x in list(zip(*fits))[:2])
    matrices, u = (u, _diagonal(u)) if u.ndim > q.ndim else (None, u)
    return Fits(q, u, matrices, fits[0].names, float(df_complete))


def listed(values: Any) -> list[Any]:
    """One item for each analysis; what is no list is a list of one."""
    if isinstance(values, pd.DataFrame):
        return [row for _, row in values.iterrows()]
    if isinstance(values, Mapping):
        return [values]
    try:
        return list(values)
    except TypeError:
        return [values]


def part(fit: Any, words: tuple[str, ...]) -> Any:
    """What a fit has by the first of some names, or None."""
    for word in words:
        if isinstance(fit, Mapping):
            found = fit.get(word)
        else:
            found = getattr(fit, word, None)
        if found is not None:
            return _called(found, word) if callable(found) else found
    return None


def _called(method: Callable[[], Any], word: str) -> Any:
    """What a fit's method gives; some have it and cannot."""
    try:
        return method()
    except ValueError as error:
        raise DataError(
            f"{word}() of a fit fails ({first_line(error)}); look at each"
            " table's analysis"
        ) from error


def numbers(values: Any, what: str) -> np.ndarray:
    """An array of floats; `what` is what an error calls them."""
    if isinstance(values, Mapping):
        values = list(values.values())
    try:
        return np.asarray(values, float)
    except (TypeError, ValueError):
        raise DataError(
            f"{what} cannot be read as numbers; give arrays, Series or"
            " mappings of numbers"
        ) from None


def at_least_two(m: int) -> None:
    """Refuses a single imputation."""
    if m < 2:
        raise DataError(
            f"{m} imputation(s) say nothing of what the gaps leave unknown;"
            " pool at least 2"
        )


def _of_fit(fit: Any, k: int) -> _Fit:
    """The k-th fit, read."""
    q = part(fit, ESTIMATES)
    u = None if q is None else _spread(fit, k)
    if q is None and isinstance(fit, tuple) and len(fit) == 2:
        return _of_pair(*fit, k)
    if q is None or u is None:
        raise DataError(
            f"fit {k}, a {type(fit).__name__}, has no"
            f" {'params' if q is None else 'cov_params() or bse'}; give fitted"
            " models, or pairs (tuples) of estimates and variances"
        )
    if np.ndim(q) == 2 and np.shape(u) == (np.size(q),) * 2:
        q, u = _by_equation(q), np.asarray(u)
    df = part(fit, DEGREES)
    one = _of_pair(q, u, k)._replace(df=np.inf if df is None else float(df))
    if one.names is None:
        one = one._replace(names=_names_of_model(fit, one.estimates.shape))
    return one


def _by_equation(q: Any) -> Any:
    """Parameters `[p, equations]`, one equation after the other.

    So they are in the covariance matrix of a multinomial model.
    """
    flat = np.ravel(q, order="F")
    if not isinstance(q, pd.DataFrame):
        return flat
    return pd.Series(flat, pd.MultiIndex.from_product([q.columns, q.index]))


def _spread(fit: Any, k: int) -> Any:
    """Covariances of a fit, else its variances, or None."""
    found = part(fit, COVARIANCES)
    found = part(fit, VARIANCES) if found is None else found
    if found is None and (errors := part(fit, ERRORS)) is not None:
        squares = numbers(errors, f"standard errors of fit {k}") ** 2
        names = _labels(errors)
        found = squares if names is None else pd.Series(squares, names)
    return found


def _of_pair(estimates: Any, spread: Any, k: int) -> _Fit:
    """Estimates and their variances or covariances, of the k-th fit."""
    q = numbers(estimates, f"estimates of fit {k}")
    u = numbers(spread, f"variances of fit {k}")
    square = q.shape * 2 if q.ndim == 1 else q.shape
    if u.shape not in (q.shape, square):
        raise DataError(
            f"estimates of fit {k} are {q.shape} and variances {u.shape}; give"
            " one variance for each estimate, or a square covariance matrix"
        )
    own = _diagonal(u) if u.ndim > q.ndim else u
    if not np.isfinite(q).all() or not np.isfinite(u).all() or (own < 0).any():
        raise DataError(
            f"an estimate of fit {k} is not finite or a variance is negative;"
            " look at that table's analysis"
        )
    names, of_spread = _labels(estimates), _labels(spread)
    if None not in (names, of_spread) and names != of_spread:
        raise DataError(
            f"estimates of fit {k} are named {_told(names)} and its variances"
            f" {_told(of_spread)}; name both alike, in the same order"
        )
    return _Fit(q, u, of_spread if names is None else names)


def _labels(values: Any) -> tuple[Hashable, ...] | None:
    """Names of numbers that come with some."""
    if isinstance(values, pd.Series | pd.DataFrame):
        return tuple(values.index)
    return tuple(values) if isinstance(values, Mapping) else None


def _names_of_model(fit: Any, shape: tuple[int, ...]) -> tuple[str, ...] | None:
    """Names that a fit to arrays has, as statsmodels makes them."""
    names = part(fit, ("names",))
    if names is None:
        names = part(part(fit, ("model",)), ("exog_names",))
    return None if names is None or shape != (len(names),) else tuple(names)


def _check_alike(first: _Fit, fit: _Fit, k: int) -> None:
    """Refuses fits of different models."""
    if first.names != fit.names:
        raise DataError(
            f"fit 1 has the parameters {_told(first.names)} and fit {k}"
            f" {_told(fit.names)}; pool fits of one model, in the same order"
        )
    for one, other in zip(first[:2], fit[:2]):
        if one.shape != other.shape:
            raise DataError(
                f"fit 1 has numbers of shape {one.shape} and fit {k} of"
                f" {other.shape}; pool fits of one model"
            )


def _told(names: tuple[Hashable, ...] | None) -> str:
    return "without names" if names is None else ", ".join(map(str, names))


def _diagonal(matrices: np.ndarray) -> np.ndarray:
    return np.diagonal(matrices, axis1=-2, axis2=-1)
