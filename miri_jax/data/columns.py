"""Columns of any type as numbers that imputers see, and back.

    kind         inside                           comes back as
    real         the number or its normal score   number within bounds
    integer      likewise                         whole number within bounds
    datetime     seconds since 1970               time
    ordinal      rank of its level                level
    boolean      0 or 1                           level
    categorical  0/1 for each level, or bits      level
    id           nothing                          as it came

`detect` states how a kind is found where none is given. Levels come back by the
largest of their numbers, or by the nearest bits among those of levels that
exist, so that no value is ever made up.
"""

import datetime
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from miri_jax.exceptions import DataError

KINDS = (
    "real",
    "integer",
    "datetime",
    "ordinal",
    "boolean",
    "categorical",
    "id",
)
LEVEL_KINDS = ("ordinal", "boolean", "categorical")
# Up to so many levels a category has a number for each, beyond it has bits
# (analog bits: Chen, Zhang and Hinton, 2022).
MAX_ONE_HOT = 24
# Excess kurtosis from which numbers are taken by their normal scores, and the
# share of one value that has the same effect. A normal column has 0.
HEAVY_TAILS, POINT_MASS = 7.0, 0.2
NUM_KNOTS = 512
# Seconds of a day, an hour, a minute and a second: what times may be full of.
STEPS = (86400, 3600, 60, 1)
# Observed values below which tails cannot be told, and rows below which it is
# no sign that all cells differ or that there are 0 and 1 only.
MIN_VALUES, MIN_ROWS = 50, 20


class Knots(NamedTuple):
    """A distribution function, linear between its points, flat at atoms.

    Attributes:
      shares: ascending, from 0 to 1.
      values: the quantiles there, ascending.
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]


class Column(NamedTuple):
    """How one column is turned into numbers and back.

    Attributes:
      name: as in the header.
      kind: one of `KINDS`.
      levels: what a level comes back as, in order; None for other kinds.
      low: smallest and
      high: largest number that an imputed cell may have.
      decimals: digits after the point that its numbers have; None for any.
      step: seconds that its times are whole multiples of; None for any.
      knots: of its normal scores, where it has heavy tails.
    """

    name: Hashable
    kind: str
    levels: tuple[Any, ...] | None = None
    low: float = -math.inf
    high: float = math.inf
    decimals: int | None = None
    step: int | None = None
    knots: Knots | None = None

    @property
    def one_hot(self) -> bool:
        """Whether each level has a number of its own."""
        return (
            self.kind == "categorical" and 2 < len(self.levels) <= MAX_ONE_HOT
        )

    @property
    def width(self) -> int:
        """How many numeric columns imputers see for it."""
        if self.kind == "id":
            return 0
        if self.kind not in ("categorical", "boolean"):
            return 1
        if self.one_hot:
            return len(self.levels)
        return max((len(self.levels) - 1).bit_length(), 1)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """Names of its numeric columns."""
        if self.width == 1:
            return (str(self.name),)
        if self.one_hot:
            return tuple(f"{self.name}={level}" for level in self.levels)
        return tuple(f"{self.name}, bit {k}" for k in range(self.width))


def detect(name: Hashable, values: pd.Series, missing: np.ndarray) -> str:
    """The kind of a column by what it holds.

    - logical values: boolean; a pandas Categorical: ordinal where it is
      ordered, else categorical; times: datetime;
    - whole numbers: integer, but from 20 of them on categorical where they are
      0 and 1, and id where they count the rows by one without a gap;
    - other numbers, and a column without any value: real;
    - text: id where no cell is missing and no two are equal (from 20 rows on),
      else categorical.

    Raises:
      DataError: naming the column, if it is of none of these.
    """
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return "ordinal" if kind.ordered else "categorical"
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "datetime"
    observed = values[~missing]
    if not len(observed):
        return "real"
    if holds_dates(observed):
        return "datetime"
    if _is_logical(observed):
        return "boolean"
    if _is_text(observed):
        return (
            "id"
            if not missing.any()
            and len(values) >= MIN_ROWS
            and observed.is_unique
            else "categorical"
        )
    numbers = to_numbers(name, values, missing)[~missing]
    if not np.all(numbers == np.round(numbers)) or np.abs(numbers).max() > 2e15:
        return "real"
    if len(numbers) >= MIN_ROWS and set(np.unique(numbers)) == {0, 1}:
        return "categorical"
    steps = np.diff(numbers)
    if not missing.any() and len(steps) >= MIN_ROWS - 1 and np.all(steps == 1):
        return "id"
    return "integer"


def fit_column(
    name: Hashable,
    values: pd.Series,
    missing: np.ndarray,
    *,
    kind: str | None = None,
    bounds: tuple[float | None, float | None] | None = None,
    levels: Sequence[Any] | None = None,
    decimals: int | None = None,
) -> Column:
    """How a column is to be turned into numbers.

    Args:
      name: of the column, for messages.
      values: `[n]`, of any type; not read where missing.
      missing: `[n]` bool, True where a cell is a gap.
      kind: one of `KINDS`; None for `detect`.
      bounds: smallest and largest number that an imputed cell may have; None
        in place of one, or of both, for the smallest or largest observed.
      levels: the levels in order, of an ordinal column.
      decimals: digits after the point of imputed numbers; None for as many as
        the observed ones need (any number of them from 8 on).

    Returns:
      The `Column`.

    Raises:
      DataError: naming the column and the remedy.
    """
    if kind is None:
        kind = "ordinal" if levels is not None else None
        kind = kind or detect(name, values, missing)
    if kind not in KINDS:
        raise DataError(
            f"column {name!r} cannot be {kind!r}; use one of {', '.join(KINDS)}"
        )
    if bounds is not None and kind not in ("real", "integer"):
        raise DataError(
            f"column {name!r} is {kind} and has no bounds; leave them out, or"
            " call it real or integer"
        )
    if levels is not None and kind != "ordinal":
        raise DataError(
            f"column {name!r} is {kind}, but has an order of levels; call it"
            " ordinal or leave the order out"
        )
    if kind == "id":
        if missing.any():
            raise DataError(
                f"column {name!r} is an id and {int(missing.sum())} of its"
                " cells are missing, which nothing can fill; complete it, or"
                " call it categorical"
            )
        return Column(name, kind)
    if kind in LEVEL_KINDS:
        return _fit_levels(name, values, missing, kind, levels)
    numbers = to_numbers(name, values, missing)[~missing]
    if kind == "integer" and not np.all(numbers == np.round(numbers)):
        odd = numbers[numbers != np.round(numbers)][0]
        raise DataError(
            f"column {name!r} is to be integer, but holds {odd:g}; call it real"
        )
    low, high = _bounds(name, numbers, bounds)
    if kind == "integer":
        low, high = _whole_bounds(name, values.dtype, low, high)
    if kind != "real":
        decimals = 0 if kind == "integer" else None
    elif decimals is None:
        decimals = _decimals(numbers)
    step = knots = None
    if kind == "datetime":
        whole = [s for s in STEPS if not np.any(np.mod(numbers, s))]
        step = whole[0] if whole else None
    elif has_heavy_tails(numbers):
        knots = fit_knots(numbers, low, high)
    return Column(name, kind, None, low, high, decimals, step, knots)


def encode(
    column: Column, values: pd.Series, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers.

    Args:
      column: how.
      values: `[n]`; not read where missing.
      missing: `[n]` bool.

    Returns:
      `[n, width]` float64, 0 where there is no number, and `[n]` bool, True
      where a level is not among those of the fit, which is 0 as well.

    Raises:
      DataError: naming the column, where a cell is no number but should be.
    """
    none = np.zeros(len(values), bool)
    if column.kind == "id":
        return np.zeros((len(values), 0)), none
    if column.levels is None:
        numbers = to_numbers(column.name, values, missing)
        if column.knots is not None:
            numbers = np.where(missing, 0, scores(column.knots, numbers))
        return numbers[:, None], none
    codes = pd.Index(column.levels, dtype=object).get_indexer(
        pd.Index(values.astype(object))
    )
    codes = np.where(missing, -1, codes)
    known = codes >= 0
    numbers = _code_book(column)[codes] * known[:, None]
    return numbers, ~known & ~missing


def decode(column: Column, numbers: np.ndarray) -> np.ndarray:
    """What imputed numbers stand for.

    Args:
      column: as `encode` had it.
      numbers: `[n, width]`, finite.

    Returns:
      `[n]`: float64 of real, integer and datetime (in seconds) columns, objects
      of the others. Numbers beyond the bounds are mirrored at them, so that no
      heap arises there; `imputers.redraw_outside` draws them again before.
    """
    if column.levels is not None:
        levels = np.empty(len(column.levels), object)
        levels[:] = column.levels
        return levels[_nearest_level(column, numbers)]
    values = numbers[:, 0]
    if column.knots is not None:
        shares = ndtr(values)
        values = np.interp(shares, column.knots.shares, column.knots.values)
    values = mirror(values, column.low, column.high)
    if column.decimals is not None:
        # Adding 0 turns -0.0, which would be written "-0", into 0.0.
        values = np.round(values, column.decimals) + 0.0
    if column.step is not None:
        values = np.round(values / column.step) * column.step
    return np.clip(values, column.low, column.high)


def settle(column: Column, numbers: np.ndarray) -> np.ndarray:
    """The numbers `[n, width]` of what imputed numbers `[n, width]` become."""
    if column.kind == "id":
        return numbers
    if column.levels is not None:
        return _code_book(column)[_nearest_level(column, numbers)]
    values = decode(column, numbers)
    if column.knots is not None:
        values = scores(column.knots, values)
    return values[:, None]


def average(column: Column, draws: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several imputations `[n, width]` of a column, encoded.

    Of levels without an order it is the most frequent, of other columns the
    mean on their own scale, which normal scores are not.
    """
    if column.levels is not None and column.kind != "ordinal":
        ranks = [_nearest_level(column, numbers) for numbers in draws]
        count = np.apply_along_axis(
            np.bincount, 0, np.array(ranks), minlength=len(column.levels)
        )
        return _code_book(column)[np.argmax(count, axis=0)]
    if column.knots is None:
        return np.mean(draws, axis=0)
    values = np.mean([decode(column, numbers) for numbers in draws], axis=0)
    return scores(column.knots, values)[:, None]


def limits(columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that imputed ones should lie between, `[d]` each.

    Infinite where `decode` needs no limit. A whole number has half a unit more
    on both sides, as all that rounds to a bound is at it.
    """
    low, high = [], []
    for column in columns:
        numbers = column.levels is None and column.knots is None
        slack = 0.5 * (0.1 ** (column.decimals or 0)) if numbers else 0.0
        if column.decimals is None or column.low == column.high:
            slack = 0.0
        one = [column.low - slack, column.high + slack]
        one = one if numbers and column.low < column.high else [-np.inf, np.inf]
        low += [one[0]] * column.width
        high += [one[1]] * column.width
    return np.array(low), np.array(high)


def mirror(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Reflects values at both bounds until they lie between them."""
    if not low < high:
        return np.full_like(values, low)
    if math.isfinite(low) and math.isfinite(high):
        # Halves, as a difference or a sum could overflow.
        width = high / 2 - low / 2
        turn = np.mod((values / 2 - low / 2) / width, 2)
        inside = (values >= low) & (values <= high)
        folded = 2 * (low / 2 + width * np.minimum(turn, 2 - turn))
        return np.where(inside, values, folded)
    if math.isfinite(low):
        return low + np.abs(values - low)
    return high - np.abs(high - values) if math.isfinite(high) else values


def has_heavy_tails(numbers: np.ndarray) -> bool:
    """Whether numbers `[n]` are far from normal in their tails, or pile up."""
    if len(numbers) < MIN_VALUES:
        return False
    _, counts = np.unique(numbers, return_counts=True)
    if len(counts) < 10:
        return False
    largest = np.max(np.abs(numbers))
    centred = numbers / largest - np.mean(numbers / largest)
    variance = np.mean(centred**2)
    kurtosis = np.mean(centred**4) / max(variance**2, 1e-300) - 3
    return kurtosis > HEAVY_TAILS or counts.max() > POINT_MASS * len(numbers)


def fit_knots(numbers: np.ndarray, low: float, high: float) -> Knots:
    """The distribution function of numbers `[n]` on [low, high].

    Values that are a hundredth of all or more are atoms: all shares within
    them have the same quantile.
    """
    values, counts = np.unique(numbers, return_counts=True)
    above = np.cumsum(counts) / len(numbers)
    below = above - counts / len(numbers)
    atom = counts >= max(0.01 * len(numbers), 2)
    middle = np.flatnonzero(~atom)
    if len(middle) > NUM_KNOTS:
        places = np.linspace(0, len(middle) - 1, NUM_KNOTS).round()
        middle = middle[places.astype(int)]
    points = [
        *zip(below[atom], values[atom]),
        *zip(above[atom], values[atom]),
        *zip((below + above)[middle] / 2, values[middle]),
        # Without a bound, quantiles end at what was observed.
        (0.0, values[0] if np.isinf(low) else low),
        (1.0, values[-1] if np.isinf(high) else high),
    ]
    shares, quantiles = zip(*sorted((float(u), float(v)) for u, v in points))
    return Knots(shares, quantiles)


def scores(knots: Knots, numbers: np.ndarray) -> np.ndarray:
    """Normal scores of numbers `[n]`: an atom's are in its middle."""
    shares, values = np.array(knots.shares), np.array(knots.values)
    # The last point of equal values from the left, the first from the right.
    first = np.searchsorted(values, numbers, "left")
    last = np.searchsorted(values, numbers, "right") - 1
    atom = (first < len(values)) & (last > first)
    at = np.clip(first, 0, len(values) - 1), np.clip(last, 0, len(values) - 1)
    middle = (shares[at[0]] + shares[at[1]]) / 2
    unique, index = np.unique(values, return_index=True)
    between = np.interp(numbers, unique, shares[index])
    share = np.where(atom, middle, between)
    return ndtri(np.clip(share, 1e-6, 1 - 1e-6))


def to_numbers(
    name: Hashable, values: pd.Series, missing: np.ndarray
) -> np.ndarray:
    """Numbers, or seconds since 1970, `[n]` float64, 0 where missing.

    Raises:
      DataError: naming the column and the first cell that is no number.
    """
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
        where = f"({_shown(cell)} in row {rows[k] + 1})"
        if isinstance(cell, float | np.floating) or is_number(cell):
            raise DataError(
                f"column {name!r} holds an infinite value {where}; correct it,"
                " or name it among the values that mean missing"
            )
        what = "text" if isinstance(cell, str) else type(cell).__name__
        raise DataError(
            f"column {name!r} holds {what} {where}; name it among the values"
            " that mean missing, or call the column categorical"
        )
    numbers[~missing] = parsed
    return numbers


def column_settings(
    what: str, given: Mapping[Hashable, Any] | None, names: Sequence[Hashable]
) -> dict[Hashable, Any]:
    """A setting by column, checked for columns that do not exist.

    Raises:
      DataError: naming the setting and the column.
    """
    given = dict(given or {})
    for name in given:
        if name not in names:
            known = ", ".join(map(str, names))
            raise DataError(
                f"{what} names {name!r}, which is not a column; there are"
                f" {known[:300]}"
            )
    return given


def _fit_levels(
    name: Hashable,
    values: pd.Series,
    missing: np.ndarray,
    kind: str,
    levels: Sequence[Any] | None,
) -> Column:
    observed = values[~missing].astype(object)
    try:
        found = list(pd.unique(observed))
    except TypeError:
        what = type(observed.iloc[0]).__name__
        raise DataError(
            f"column {name!r} holds {what} objects; give numbers, text,"
            " logical values or times"
        ) from None
    if levels is None and isinstance(values.dtype, pd.CategoricalDtype):
        known = values.dtype.categories
        levels = [x for x in known if values.dtype.ordered or x in set(found)]
    if levels is None:
        levels = _sorted(found)
    else:
        levels = list(levels)
        for k, level in enumerate(levels):
            if level in levels[:k]:
                raise DataError(
                    f"column {name!r} has {_shown(level)} twice in its order of"
                    " levels; name each once"
                )
        for level in found:
            if level not in levels:
                raise DataError(
                    f"column {name!r} holds {_shown(level)}, which is not in"
                    " its order of levels; add it there"
                )
    if kind == "boolean" and len(levels) > 2:
        raise DataError(
            f"column {name!r} is to be boolean, but has {len(levels)} different"
            " values; call it categorical"
        )
    plain = [x.item() if isinstance(x, np.generic) else x for x in levels]
    return Column(name, kind, levels=tuple(plain))


def _bounds(
    name: Hashable,
    numbers: np.ndarray,
    bounds: tuple[float | None, float | None] | None,
) -> tuple[float, float]:
    found = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 0.0)
    try:
        low, high = (None, None) if bounds is None else bounds
        low = float(found[0] if low is None else low)
        high = float(found[1] if high is None else high)
    except (TypeError, ValueError):
        raise DataError(
            f"the bounds of column {name!r} are {bounds!r}; give two numbers,"
            " None in place of one for the observed"
        ) from None
    if not low <= high:
        raise DataError(
            f"the bounds of column {name!r} are {low:g} and {high:g}; the first"
            " must be the smaller"
        )
    if len(numbers) and (low > found[0] or high < found[1]):
        raise DataError(
            f"column {name!r} holds {found[0]:g} to {found[1]:g}, beyond its"
            f" bounds {low:g} and {high:g}; widen them, or make those cells"
            " missing"
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
            " them, or call it real"
        )
    plain = _integer_type(dtype)
    for bound in (low, high) if plain is not None else ():
        span = np.iinfo(plain)
        if np.isfinite(bound) and not span.min <= bound <= span.max + 1:
            raise DataError(
                f"the bound {bound:g} of column {name!r} is beyond its type"
                f" {dtype}; give another, or the column a wider type"
            )
    return low, high


def _integer_type(dtype: Any) -> np.dtype | None:
    """NumPy's type of a column of integers, pandas' nullable ones too."""
    plain = getattr(dtype, "numpy_dtype", dtype)
    return plain if getattr(plain, "kind", "") in ("i", "u") else None


def whole(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Whole numbers `[n]` of float64 in an integer type, int64 by default."""
    plain = _integer_type(dtype)
    plain = np.dtype(np.int64) if plain is None else plain
    span = np.iinfo(plain)
    # The largest whole number of 64 bits is no float64, but rounds up to one.
    last = float(span.max)
    last = np.nextafter(last, 0) if int(last) > span.max else last
    return np.clip(values, float(span.min), last).astype(plain)


def _decimals(numbers: np.ndarray) -> int | None:
    """The fewest digits after the point that hold all numbers; None from 8."""
    with np.errstate(over="ignore"):  # rounds to infinity, which is not equal
        for decimals in range(8):
            if np.array_equal(np.round(numbers, decimals), numbers):
                return decimals
    return None


def _code_book(column: Column) -> np.ndarray:
    """The numbers `[levels, width]` of each level."""
    count = len(column.levels)
    ranks = np.arange(count)
    if column.kind == "ordinal":
        return ranks[:, None].astype(np.float64)
    if column.one_hot:
        return np.eye(count)
    bits = np.arange(column.width)
    return (ranks[:, None] >> bits & 1).astype(np.float64)


def _nearest_level(column: Column, numbers: np.ndarray) -> np.ndarray:
    """The level whose code is nearest to numbers `[n, width]`: `[n]`."""
    book = _code_book(column)
    if column.kind == "ordinal":
        ranks = mirror(numbers[:, 0], -0.5, len(book) - 0.5)
        return np.clip(np.round(ranks), 0, len(book) - 1).astype(int)
    # |a - b|^2 without |a|^2, which is the same for all levels.
    distance = np.sum(book**2, axis=1) - 2 * numbers @ book.T
    return np.argmin(distance, axis=1)


def _sorted(levels: list[Any]) -> list[Any]:
    try:
        return sorted(levels)
    except TypeError:  # of several types
        return sorted(levels, key=lambda x: (type(x).__name__, str(x)))


def _is_logical(observed: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(observed.dtype):
        return True
    return holds(observed, bool, np.bool_)


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


def _is_text(observed: pd.Series) -> bool:
    """Whether a column is text: mixed with numbers it is not."""
    return isinstance(observed.dtype, pd.StringDtype) or holds(observed, str)


def is_number(cell: Any) -> bool:
    """Whether a cell is a number or the text of one."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _shown(cell: Any) -> str:
    """A cell as a message shows it, on one line and not too long."""
    text = repr(cell.item() if isinstance(cell, np.generic) else cell)
    return text if len(text) <= 40 else text[:37] + "..."
