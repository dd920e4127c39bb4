"""What imputed numbers lie between: by what the user says, and by the type.

The observed extremes are no bounds: what is missing may lie beyond.
"""

import datetime
import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.data.calendars import CLOCK, on_day
from miri_jax.data.cells import DAY, YEARS, integer_type, span_of
from miri_jax.data.transforms import is_constant
from miri_jax.exceptions import DataError

TIMES = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    np.datetime64,
    np.timedelta64,
    str,
)
# In seconds, what times are exact to.
MICROSECOND = 1e-6
# Whole numbers up to which float64 holds each.
WHOLE = 2.0**53


def find_bounds(
    name: Hashable,
    values: pd.Series,
    missing: np.ndarray,
    numbers: np.ndarray,
    *,
    kind: str,
    given: Sequence[float | None] | None,
    step: int | None,
    day: float | None,
    text: bool,
) -> tuple[float, float]:
    """Smallest and largest number of a column's imputed cells.

    Args:
      name: of the column, for messages.
      values: `[n]`, of any type; not read where missing.
      missing: `[n]` bool.
      numbers: those of the observed cells.
      kind: real, integer or datetime.
      given: the user's, None in place of one for none.
      step: see `columns.Column`.
      day: likewise.
      text: see `cells.span_of`.

    Returns:
      The user's, and the type's where there is none; infinite where the type
      has no end. A column of one value, but for rounding, has that as both.

    Raises:
      DataError: naming the column and the remedy.
    """
    if kind != "datetime" and pd.api.types.is_datetime64_any_dtype(
        values.dtype
    ):
        raise DataError(
            f"column {name!r} holds times or durations and cannot be {kind};"
            " call it datetime, or give it as numbers, such as"
            " .dt.total_seconds()"
        )
    low, high = _users(name, numbers, given, day)
    if kind == "integer":
        low, high = _whole_bounds(name, values.dtype, low, high)
    if len(numbers) and is_constant(numbers):
        only = float(np.sort(numbers)[len(numbers) // 2])
        return only, only
    least, most = span_of(values, missing, text=text)
    if kind == "integer":
        least, most = max(least, -WHOLE), min(most, WHOLE)
    elif kind == "datetime":
        least, most = max(least, YEARS[0]), min(most, YEARS[1])
    if day is not None:
        least, most = day, day + DAY - (step or MICROSECOND)
    if step is not None:
        least, most = math.ceil(least / step) * step, most // step * step
    # What is observed has a place in its type, whatever is thought of that.
    least = min(least, numbers.min(initial=np.inf))
    most = max(most, numbers.max(initial=-np.inf))
    return (
        float(least if np.isinf(low) else low),
        float(most if np.isinf(high) else high),
    )


def may_bound(kind: str, given: Sequence[Any]) -> bool:
    """Whether a column of a kind may have bounds: times have times."""
    if kind == "datetime":
        return all(isinstance(x, TIMES) for x in given if x is not None)
    return kind in ("real", "integer")


def _number(bound: Any, day: float | None) -> float:
    """A bound as a number: of a time the seconds since 1970, of a duration all.

    Text is a time, or a duration as ISO 8601 has it; of a clock the time of the
    day that begins so.
    """
    if day is not None:
        text = str(bound)
        text += ":00" * (text.count(":") == 1)
        return float(on_day(CLOCK + pd.Timedelta(text).total_seconds(), day))
    if isinstance(bound, str):
        is_span = bound.lstrip("-").startswith("P")
        bound = pd.Timedelta(bound) if is_span else pd.Timestamp(bound)
    if isinstance(bound, datetime.timedelta | np.timedelta64):
        return pd.Timedelta(bound).total_seconds()
    if isinstance(bound, datetime.date | np.datetime64):
        stamp = pd.Timestamp(bound)
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC").tz_localize(None)
        return (stamp - pd.Timestamp(0)).total_seconds()
    return float(bound)


def _users(
    name: Hashable,
    numbers: np.ndarray,
    given: Sequence[float | None] | None,
    day: float | None,
) -> tuple[float, float]:
    """The user's bounds, infinite where the user gives no bound."""
    try:
        low, high = (None, None) if given is None else given
        low = -np.inf if low is None else _number(low, day)
        high = np.inf if high is None else _number(high, day)
    except (TypeError, ValueError):
        raise DataError(
            f"the bounds of column {name!r} are {given!r}; give two numbers,"
            " None in place of one for no bound"
        ) from None
    if not low <= high:
        raise DataError(
            f"the bounds of column {name!r} are {low:g} and {high:g}; the first"
            " must be the smaller"
        )
    if np.any(numbers < low) or np.any(numbers > high):
        raise DataError(
            f"column {name!r} holds {numbers.min():g} to {numbers.max():g},"
            f" beyond its bounds {low:g} and {high:g}; widen them, or make"
            " those cells missing"
        )
    return low, high


def _whole_bounds(
    name: Hashable, dtype: Any, low: float, high: float
) -> tuple[float, float]:
    """The whole numbers between bounds, which a column's type must hold."""
    low, high = np.ceil(low), np.floor(high)
    if low > high:
        raise DataError(
            f"no whole number lies between the bounds of column {name!r}; widen"
            " them, or call it real",
            about=("real",),
        )
    plain = integer_type(dtype)
    for bound in (low, high) if plain is not None else ():
        span = np.iinfo(plain)
        if np.isfinite(bound) and not span.min <= bound <= span.max + 1:
            raise DataError(
                f"the bound {bound:g} of column {name!r} is beyond its type"
                f" {dtype}; give another, or the column a wider type"
            )
    return low, high
