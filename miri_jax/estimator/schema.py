"""What a saved model may hold: looked at as a whole before it is used.

The types are those that the code itself states: of the estimator's arguments
and of the tuples that columns are made of. What numbers mean together is
stated here.
"""

import collections.abc
import inspect
import math
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from miri_jax.data.belonging import Belonging, Helper
from miri_jax.data.calendars import CLOCK, DAY
from miri_jax.data.columns import KINDS, Column
from miri_jax.data.dates import TimeStyle
from miri_jax.data.notations import NumberStyle
from miri_jax.data.transforms import Scaler

# Digits after the point that a float64 may have, and what other counts may be.
MOST_DECIMALS, MOST = 400, 2**40
# More fits than anybody takes, few enough to make a list of.
MOST_FITS = 10_000
_SCALARS = (str, int, float, bool, type(None))
# Attributes of a fitted estimator besides its arguments.
_FITTED: dict[str, Any] = {
    "_framed": bool,
    "feature_names_in_": np.ndarray,
    "n_features_in_": int,
    "_styles": Mapping[Hashable, NumberStyle | TimeStyle],
    "_empty": Sequence[Hashable],
    "_told": Sequence[str],
    "indicator_features_": Sequence[int],
    "_seed": int,
    "columns_": tuple[Column, ...],
    "notes_": tuple[str, ...],
    "found_": Sequence[Sequence[Any]],
    "_together": Belonging | None,
    "_came": Sequence[str | None],
    "_dtypes": Sequence[str],
    "_scaler": Scaler,
    "_rows": int,
    "_rates": np.ndarray,
    "_sklearn_version": str,
}
_MAY_LACK = ("feature_names_in_", "_sklearn_version")


def check_model(found: dict[str, Any], cls: type) -> None:
    """Refuses attributes that no fitted estimator has.

    Args:
      found: attributes by name, as an estimator has them.
      cls: of the estimator.

    Raises:
      ValueError: naming the first that is wrong.
    """
    given = inspect.signature(cls.__init__, eval_str=True).parameters
    hints = {k: v.annotation for k, v in given.items() if k != "self"} | _FITTED
    for name in hints:
        _need(name in found or name in _MAY_LACK, f"it lacks {name}")
    marks = found["missing_values"]
    if isinstance(marks, list):  # Any number may be one, NaN as well.
        marks = [x for x in marks if type(x) is not float]
    for name, value in (found | {"missing_values": marks}).items():
        _need(name in hints, f"{name[:60]!r} is not known")
        _need(fits(value, hints[name]), f"{name} is {_short(value)}")
    columns, count = found["columns_"], found["n_features_in_"]
    for k, column in enumerate(columns):
        _check_column(column, f"columns_[{k}]")
    for name in ("columns_", "_came", "_dtypes", "feature_names_in_"):
        if name in found:
            _need(
                len(found[name]) == count,
                f"{name} and n_features_in_ are of {len(found[name])} and"
                f" {count} columns",
            )
    width = sum(column.width for column in columns)
    scaler, rates = found["_scaler"], found["_rates"]
    for name, array in (
        ("_scaler.mean", scaler.mean),
        ("_scaler.deviation", scaler.deviation),
        ("_rates", rates),
    ):
        good = array.shape == (width,) and array.dtype.kind in "fiu"
        _need(
            good and np.isfinite(array).all(), f"{name} is no {width} numbers"
        )
    _need((scaler.deviation > 0).all(), "_scaler.deviation is not positive")
    _need(((rates >= 0) & (rates <= 1)).all(), "_rates is no list of shares")
    _need(0 < found["_rows"] < MOST, f"_rows is {found['_rows']}")
    _need(0 < found["n_imputations"] < MOST, "n_imputations is out of range")
    _need(0 <= found["_seed"] < 2**32, "_seed is out of range")
    indicated = found["indicator_features_"]
    _need(
        all(0 <= k < count for k in indicated), "indicator_features_ is wrong"
    )
    _need(
        [*found.get("feature_names_in_", [])]
        in ([], [column.name for column in columns]),
        "feature_names_in_ are not the names of columns_",
    )
    names = {column.name for column in columns}
    for name in ("_styles", "_empty"):
        _need(names.issuperset(found[name]), f"{name} names another column")
    for name, style in found["_styles"].items():
        _check_style(style, f"_styles[{name!r}]")
    if found["_together"] is not None:
        _check_together(found["_together"], columns)


def _check_together(together: Belonging, columns: Sequence[Column]) -> None:
    names = {None, *(str(column.name) for column in columns)}
    _need(names.issuperset(together.stated), "_together is of another column")
    told = [helper.column for helper in together.helpers]
    _need(
        all(
            0 <= j < len(columns)
            for j in (*together.constants, *together.signs, *told)
        ),
        "_together is of a column that is not there",
    )
    if together.time is not None:
        _check_column(together.time, "_together.time")
    for helper in together.helpers:
        pairs = all(
            isinstance(pair, tuple)
            and len(pair) == 2
            and all(type(x) in (int, float) and x >= 0 for x in pair)
            for pair in helper.away
        )
        _need(pairs, "_together.helpers are away by what is no distance")
        width = columns[helper.column].width
        _need(
            len(helper.low) == len(helper.high)
            and len(helper.center) in (1, width)
            and all(low <= high for low, high in zip(helper.low, helper.high)),
            "_together.helpers are not of their columns",
        )


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, all that is within it as well.

    Numbers must be finite and whole ones below 2^64.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in args)
    if origin is Literal:
        return value in args
    if origin is tuple and args[1:] != (...,):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(args)
            and all(map(fits, value, args))
        )
    if origin in (tuple, list, collections.abc.Sequence):
        return isinstance(value, list | tuple) and all(
            fits(x, args[0]) for x in value
        )
    if origin is collections.abc.Mapping:
        return isinstance(value, dict) and all(
            fits(k, args[0]) and fits(v, args[1]) for k, v in value.items()
        )
    if hasattr(hint, "_fields"):
        return isinstance(value, hint) and all(
            fits(getattr(value, name), one)
            for name, one in typing.get_type_hints(hint).items()
            if (hint, name) not in _INFINITE
        )
    if hint is Any:
        return _is_plain(value)
    if hint is Hashable:
        return _is_plain(value) and not isinstance(value, dict | list)
    if hint is None or hint is type(None):
        return value is None
    if hint is float and type(value) is int:
        return abs(value) < 2**64
    if hint in (int, float, bool, str):
        return type(value) is hint and _is_plain(value)
    return isinstance(value, hint)


# Where a number may be infinite; each is looked at by itself.
_INFINITE = {(Column, "low"), (Column, "high"), (Helper, "away")}


def _is_plain(value: Any) -> bool:
    """Whether a value is what JSON holds, finite and of sensible size."""
    if isinstance(value, dict):
        return all(map(_is_plain, value)) and all(
            map(_is_plain, value.values())
        )
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    if type(value) is int:
        return abs(value) < 2**64
    return isinstance(value, _SCALARS)


def _check_column(column: Column, where: str) -> None:
    kind, levels = column.kind, column.levels
    _need(kind in KINDS, f"{where}.kind is {_short(kind)}")
    leveled = kind in ("ordinal", "boolean", "categorical")
    suits = len(levels) > 0 if levels is not None else True
    suits = suits and leveled == (levels is not None)
    _need(suits, f"{where}.levels do not suit its kind")
    for name in ("low", "high"):
        bound = getattr(column, name)
        good = type(bound) in (int, float) and not math.isnan(bound)
        _need(good, f"{where}.{name} is {_short(bound)}")
    _need(column.low <= column.high, f"{where}.low is above high")
    decimals, step = column.decimals, column.step
    _need(
        decimals is None or -MOST_DECIMALS <= decimals <= MOST_DECIMALS,
        f"{where}.decimals is {_short(decimals)}",
    )
    _need(step is None or 0 < step < MOST, f"{where}.step is {_short(step)}")
    if levels:
        scalars = all(isinstance(x, _SCALARS) for x in levels)
        _need(scalars, f"{where}.levels are no values")
        _need(len({*levels}) == len(levels), f"{where}.levels are not distinct")
    count = len(levels or ())
    if column.book is not None:
        widths = {len(point) for point in column.book}
        _need(
            len(column.book) == count and len(widths) == 1 and 0 not in widths,
            f"{where}.book has not a point for each level",
        )
    if column.offsets is not None:
        _need(
            len(column.offsets) == count,
            f"{where}.offsets has not a number for each level",
        )
    if column.knots is not None:
        _check_knots(column.knots, f"{where}.knots")
    day = column.day
    good = day is None or CLOCK <= day < CLOCK + DAY
    _need(good, f"{where}.day is {_short(day)}")
    if column.calendar is not None:
        _check_calendar(column.calendar, f"{where}.calendar")


def _check_knots(knots: Any, where: str) -> None:
    shares, values, middles = knots.shares, knots.values, knots.middles
    _need(len(shares) == len(values) > 0, f"{where} has points of one number")
    good = _ascends(shares) and shares[0] >= 0 and shares[-1] <= 1
    _need(good, f"{where}.shares is no distribution")
    _need(_ascends(values), f"{where}.values do not ascend")
    _need(min(knots.slopes) >= 0, f"{where}.slopes are negative")
    _need(
        not middles or (2 * len(middles) == len(values) and _ascends(middles)),
        f"{where}.middles are not those of its values",
    )
    _need(not knots.log_below or values[0] > 0, f"{where}.log_below is of 0")


def _check_calendar(calendar: Any, where: str) -> None:
    _need(0 < calendar.step < MOST, f"{where}.step is out of range")
    for name in ("phase", "rest"):
        good = -MOST < getattr(calendar, name) < MOST
        _need(good, f"{where}.{name} is out of range")
    _need(_ascends(calendar.changes), f"{where}.changes do not ascend")
    offsets = calendar.offsets
    _need(
        len(offsets) in (0, len(calendar.changes) + 1),
        f"{where}.offsets are not those of its changes",
    )
    good = all(abs(offset) <= 2 * 86400 for offset in offsets)
    _need(good, f"{where}.offsets are out of range")
    if calendar.zone:
        import zoneinfo

        try:
            zoneinfo.ZoneInfo(calendar.zone)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            _need(False, f"{where}.zone is {_short(calendar.zone)}")


def _check_style(style: Any, where: str) -> None:
    if isinstance(style, NumberStyle):
        digits = style.spec[1:-1]
        good = style.spec[:1] == "." and style.spec[-1:] in ("f", "g")
        good = good and digits.isascii() and digits.isdigit()
        good = good and len(digits) < 4 and int(digits) <= MOST_DECIMALS
        _need(good, f"{where}.spec is {_short(style.spec)}")
        return
    _need(style.case in ("", "upper", "lower"), f"{where}.case is unknown")
    _need(0 <= style.fraction <= 9, f"{where}.fraction is out of range")
    if style.zones is not None:
        seconds, texts = style.zones
        good = seconds.ndim == 1 and seconds.dtype.kind in "fi"
        good = good and np.isfinite(seconds).all()
        good = good and texts.shape == seconds.shape and len(seconds) > 0
        good = good and all(isinstance(text, str) for text in texts)
        _need(good, f"{where}.zones are no offsets")


def _ascends(numbers: Sequence[float]) -> bool:
    return all(a <= b for a, b in pairwise(numbers))


def _need(good: Any, otherwise: str) -> None:
    if not good:
        raise ValueError(otherwise)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
