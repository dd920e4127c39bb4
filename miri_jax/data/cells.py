"""What single cells hold: numbers, times, logical values, text."""

import datetime
import decimal
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.exceptions import DataError

DAY = 86400
# Seconds since 1970 of the years 1 to 9999, which Python's dates have, and of
# the years 1677 to 2262, which 64 bits of nanoseconds hold; a day inside, as
# times of other zones are ahead or behind. In text, years have four digits.
YEARS = (-62135596800 + DAY, 253402300799 - DAY)
NANOSECOND_YEARS = (-9223372036 + DAY, 9223372036 - DAY)
TEXT_YEARS = (-30610224000, YEARS[1])


def to_numbers(
    name: Hashable, values: pd.Series, missing: np.ndarray
) -> np.ndarray:
    """Numbers, or seconds since 1970, `[n]` float64, 0 where missing.

    Raises:
      DataError: naming the column and the first cell that is no number.
    """
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
        # Nearly all columns; what is wrong is told of below.
        numbers = np.where(missing, 0, values.to_numpy(np.float64))
        if np.isfinite(numbers).all():
            return numbers
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if holds_dates(values[~missing]):
        stamps = np.full(len(values), "NaT", "datetime64[us]")
        stamps[~missing] = values[~missing].to_numpy("datetime64[us]")
        values = pd.Series(stamps, values.index)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if values.dt.tz is not None:
            values = values.dt.tz_convert("UTC").dt.tz_localize(None)
        # Whole microseconds: float64 holds them exactly for 280 years.
        micro = values.astype("datetime64[us]").to_numpy().astype(np.int64)
        return np.where(missing, 0, micro / 1e6)
    observed = values[~missing]
    numbers = np.zeros(len(values))
    if pd.api.types.is_complex_dtype(values.dtype):
        raise DataError(
            f"column {name!r} holds complex numbers; give their real and"
            " imaginary parts as two columns"
        )
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        raise DataError(
            f"column {name!r} holds durations; give them as numbers, such as"
            " .dt.total_seconds()"
        )
    try:
        parsed = pd.to_numeric(observed, errors="coerce")
        parsed = parsed.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):
        parsed = np.full(len(observed), np.nan)
    rows = np.flatnonzero(~missing)
    for k in np.flatnonzero(~np.isfinite(parsed))[:1]:
        cell = observed.iloc[k]
        where = f"({cell_text(cell)} in row {rows[k] + 1})"
        if isinstance(cell, float | np.floating) or is_number(cell):
            raise DataError(
                f"column {name!r} holds an infinite value {where}; correct it,"
                " or name it among the values that mean missing",
                about=("na_values",),
            )
        what = "text" if isinstance(cell, str) else type(cell).__name__
        raise DataError(
            f"column {name!r} holds {what} {where}; name it among the values"
            " that mean missing, or call the column categorical",
            about=("na_values", "categorical"),
        )
    numbers[~missing] = parsed
    return numbers


def holds(observed: pd.Series, *kinds: type) -> bool:
    """Whether a column is of objects, and all of them of some kinds."""
    if observed.dtype != object or not len(observed):
        return False
    return all(isinstance(x, kinds) for x in observed)


def holds_dates(observed: pd.Series) -> bool:
    """Whether a column's objects are all dates, or times without a zone."""
    return holds(observed, datetime.date) and not any(
        getattr(x, "tzinfo", None) is not None for x in observed
    )


def is_logical(observed: pd.Series) -> bool:
    """Whether a column is of logical values."""
    if pd.api.types.is_bool_dtype(observed.dtype):
        return True
    return holds(observed, bool, np.bool_)


def is_text(observed: pd.Series) -> bool:
    """Whether a column is text: mixed with numbers it is not."""
    return isinstance(observed.dtype, pd.StringDtype) or holds(observed, str)


def beyond_floats(whole: pd.Series) -> bool:
    """Whether floats do not tell some whole numbers apart.

    Beyond 2^53 numbers so near to each other are names of things, as of
    messages, and no amounts.

    Args:
      whole: integers, or the text of them.
    """
    if pd.api.types.is_integer_dtype(whole.dtype):
        whole = whole[(whole > 2**53) | (whole < -(2**53))]
    numbers = {x for x in map(int, whole.unique()) if 2**53 < abs(x) < 2**1023}
    return len({*map(float, numbers)}) < len(numbers)


def is_number(cell: Any) -> bool:
    """Whether a cell is a number or the text of one."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def integer_type(dtype: Any) -> np.dtype | None:
    """NumPy's type of a column of integers, pandas' nullable ones too."""
    plain = getattr(dtype, "numpy_dtype", dtype)
    return plain if getattr(plain, "kind", "") in ("i", "u") else None


def span_of(
    values: pd.Series, missing: np.ndarray, *, text: bool = False
) -> tuple[float, float]:
    """The smallest and largest number that cells of a column's type can hold.

    Args:
      values: `[n]`, of any type; not read where missing.
      missing: `[n]` bool.
      text: whether they were read from text and are written as such.

    Returns:
      Numbers, or seconds since 1970; infinite where the type has no end.
    """
    dtype, observed = values.dtype, values[~missing]
    plain = integer_type(dtype)
    if plain is not None:
        span = np.iinfo(plain)
        return float(span.min), float(span.max)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        unit = getattr(dtype, "unit", None) or np.datetime_data(dtype)[0]
        years = NANOSECOND_YEARS if unit == "ns" else YEARS
        return TEXT_YEARS if text else years
    if holds_dates(observed):
        return YEARS
    if holds(observed, decimal.Decimal):
        # The type is not told; it holds as many digits as these have.
        digits = max(max(x.adjusted() + 1, 0) for x in observed)
        last = decimals_of(observed)
        end = float(10**digits) - 0.1**last
        end = end if end < 10**digits else np.nextafter(end, 0)
        return -end, end
    return -np.inf, np.inf


def decimals_of(observed: pd.Series) -> int:
    """How many digits after the point the longest of `Decimal`s has."""
    return max(max(-x.as_tuple().exponent, 0) for x in observed)


def fitting(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Numbers `[n]` that a type of floats holds: beyond it, its extremes."""
    plain = getattr(dtype, "numpy_dtype", dtype)
    if getattr(plain, "kind", "") != "f" or values.dtype.kind != "f":
        return values
    largest = float(np.finfo(plain).max)
    return np.clip(values, -largest, largest)


def whole(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Whole numbers `[n]` of float64 in an integer type, int64 by default."""
    plain = integer_type(dtype)
    plain = np.dtype(np.int64) if plain is None else plain
    span = np.iinfo(plain)
    # The largest whole number of 64 bits is no float64, but rounds up to one.
    last = float(span.max)
    last = np.nextafter(last, 0) if int(last) > span.max else last
    return np.clip(values, float(span.min), last).astype(plain)


def with_levels(array: Any, new: Any) -> Any:
    """A column's array whose type, if it is of levels, has those of some cells.

    Those of new rows may lack levels of the fit.
    """
    if not isinstance(array, pd.Categorical):
        return array
    known = set(array.categories)
    more = [x for x in dict.fromkeys(new) if x not in known]
    return array.add_categories(more) if more else array


def cell_text(cell: Any) -> str:
    """A cell as a message shows it, on one line and not too long."""
    text = repr(cell.item() if isinstance(cell, np.generic) else cell)
    return text if len(text) <= 40 else text[:37] + "..."
