"""What a column is taken for where nobody says: its kind, and why.

Where another answer is likely enough that a reader should know, `Found.other`
is the kind to name for it.
"""

import datetime
import decimal
import re
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data.cells import (
    beyond_floats,
    cell_text,
    holds,
    holds_dates,
    is_logical,
    is_text,
    to_numbers,
)
from miri_jax.data.dates import time_styles
from miri_jax.data.numbers import digits
from miri_jax.data.scores import MAX_NEXT, are_codes
from miri_jax.exceptions import DataError

# Rows below which it is no sign that all cells differ or that there are 0 and 1
# only; and cells that are enough where they are all text, and others are gaps.
MIN_ROWS, MIN_APART = 20, 10
# Cells with a value that occurs once are as many as gaps that hold a new one
# (Good and Turing): from this share on no gap can be filled.
NEW = 0.5
# Codes of one length: so many digits and so many cells for each value at least,
# no more than this share of values that occur once, and no more than this share
# of the numbers between the smallest and the largest.
CODE_DIGITS, CELLS_PER_CODE, NEW_CODES, MAX_DENSE = 3, 3, 0.1, 0.3
# Names of numbers that are names.
NAMES = frozenset(
    "id ids code codes zip zipcode plz postcode postal ssn phone tel isbn ean"
    " sku barcode uuid key".split()
)
# What a column of numbers may hold; nothing can be told of gaps among others.
_NUMBERS = (int, float, bool, np.number, np.bool_, decimal.Decimal)
_USABLE = (*_NUMBERS, complex, str, datetime.date, datetime.timedelta)


class Found(NamedTuple):
    """What a column is taken for.

    Attributes:
      kind: one of `columns.KINDS`.
      why: in words.
      other: the kind that it may be instead, in doubt; "" for none.
      codes: whether its numbers are codes, of which none but those that occur
        is to be expected.
    """

    kind: str
    why: str
    other: str = ""
    codes: bool = False


def detect(name: Hashable, values: pd.Series, missing: np.ndarray) -> Found:
    """The kind of a column by what it holds.

    - logical values: boolean; a pandas Categorical: ordinal where it is
      ordered, else categorical; times: datetime;
    - whole numbers: integer, but from 20 of them on categorical where they are
      0 and 1, and id where they count the rows by one;
    - other numbers, and a column without any value: real;
    - whole numbers beyond 2^53 that floats do not tell apart: categorical where
      they repeat;
    - text: from 20 cells on id where most cells have a text to themselves, in
      20 rows from 10 cells on where all have, else categorical;
    - what nothing is known of, as lists, bytes or clock times: id.

    Args:
      name: of the column.
      values: `[n]`, of any type; not read where missing.
      missing: `[n]` bool.

    Raises:
      DataError: naming the column, if it is of none of these.
    """
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        if kind.ordered:
            return Found("ordinal", "a type of ordered levels")
        return Found("categorical", "a type of levels")
    if pd.api.types.is_datetime64_any_dtype(kind):
        return Found("datetime", "times")
    observed = values[~missing]
    if not len(observed):
        return Found("real", "no cell has a value")
    if holds_dates(observed):
        return Found("datetime", "dates or times")
    if is_logical(observed):
        return Found("boolean", "logical values")
    if is_text(observed):
        return _text(observed, len(missing))
    whole = pd.api.types.is_integer_dtype(kind) or holds(observed, int)
    if whole and beyond_floats(observed):
        names = _text(observed, len(missing), "whole numbers beyond 2^53")
        if names.kind == "categorical":
            return names
    if unusable := _unusable(observed, missing):
        return Found("id", f"{unusable} objects, which are not filled")
    return _numbers(name, to_numbers(name, values, missing)[~missing], ~missing)


def check_times(name: Hashable, values: pd.Series, missing: np.ndarray) -> None:
    """Refuses a column that is said to be of times and holds none.

    Args:
      name: of the column.
      values: `[n]`, of any type; not read where missing.
      missing: `[n]` bool.

    Raises:
      DataError: naming the column and its first cell that is no time.
    """
    observed = values[~missing]
    if (
        not len(observed)
        or pd.api.types.is_datetime64_any_dtype(values.dtype)
        or holds_dates(observed)
    ):
        return
    rows, text = np.flatnonzero(~missing), is_text(observed)
    apart = (
        k
        for k, cell in enumerate(observed)
        if not (text and time_styles(pd.Series([cell.strip() or "-"])))
        and not isinstance(cell, datetime.date)
    )
    k = next(apart, 0)
    cell = observed.iloc[k]
    what = "text" if isinstance(cell, str) else type(cell).__name__
    what = "a number" if isinstance(cell, _NUMBERS) else what
    where = f"({cell_text(cell)} in row {rows[k] + 1})"
    raise DataError(
        f"column {name!r} holds {what} {where}, which is no date or time; write"
        " them all as 2020-01-31 or 2020-01-31 14:30, name what is none among"
        " the values that mean missing, or leave datetime out",
        about=("na_values", "datetime"),
    )


def _text(observed: pd.Series, rows: int, what: str = "text") -> Found:
    counts = observed.value_counts()
    apart = counts.iloc[0] == 1
    if apart and rows >= MIN_ROWS and len(observed) >= MIN_APART:
        return Found("id", f"{what}, no two cells alike", "categorical")
    if len(observed) < MIN_ROWS:
        return Found("categorical", f"{what}, {len(counts)} level(s)")
    alone = int((counts == 1).sum())
    if alone > NEW * len(observed):
        why = f"{what}, {alone} of {len(observed)} cells are like no other"
        return Found("id", why, "categorical")
    return Found("categorical", f"{what}, {len(counts)} level(s)")


def _unusable(observed: pd.Series, missing: np.ndarray) -> str:
    """What a column holds that is neither number, text nor time; "" if not."""
    dtype = observed.dtype
    if not missing.any():
        if pd.api.types.is_complex_dtype(dtype):
            return "complex"
        if pd.api.types.is_timedelta64_dtype(dtype):
            return "timedelta"
    if not pd.api.types.is_object_dtype(dtype):
        return ""
    if missing.any():
        other = [x for x in observed if not isinstance(x, _USABLE)]
    else:
        plain = (*_NUMBERS, str, datetime.date)
        other = [x for x in observed if not isinstance(x, plain)]
    return type(other[0]).__name__ if len(other) == len(observed) else ""


def _numbers(name: Hashable, numbers: np.ndarray, here: np.ndarray) -> Found:
    """Of observed numbers, and where they stand among the rows `[n]` bool."""
    whole = np.all(numbers == np.round(numbers))
    if not whole or np.abs(numbers).max() > 2e15:
        decimals = digits(numbers)
        why = "numbers"
        if not whole and decimals is not None:
            why = f"numbers with {decimals} decimal(s)"
        unit = 0.0 if decimals is None else 0.1**decimals
        return _codes(numbers, unit, Found("real", why))
    enough = len(numbers) >= MIN_ROWS
    if enough and set(np.unique(numbers)) == {0, 1}:
        return Found("categorical", "numbers that are 0 or 1")
    if enough and np.ptp(numbers - np.flatnonzero(here)) == 0:
        return Found("id", "whole numbers that count the rows", "integer")
    if enough and is_name(name):
        alone = np.unique(numbers, return_counts=True)[1] == 1
        if np.sum(alone) > NEW * len(numbers):
            why = "a name of codes, and most cells are like no other"
            return Found("id", why, "integer")
        return Found("integer", "a name of codes", "categorical", True)
    return _codes(numbers, 1.0, Found("integer", "whole numbers"))


def _codes(numbers: np.ndarray, unit: float, plain: Found) -> Found:
    count = len(np.unique(numbers))
    why = f"{count} numbers with others between them, each of them often"
    if count > 1 and are_codes(numbers, unit):
        return plain._replace(why=why, codes=True)
    if count > 1 and _of_one_length(numbers):
        return plain._replace(why=why, codes=True, other="categorical")
    return plain


def _of_one_length(numbers: np.ndarray) -> bool:
    """Whether numbers `[n]` are codes of one length, as those of towns.

    Numbers that are measured come anywhere between others once they come more
    than once.
    """
    values, counts = np.unique(numbers, return_counts=True)
    if (
        len(numbers) < max(MIN_ROWS, CELLS_PER_CODE * len(values))
        or values[0] < 10 ** (CODE_DIGITS - 1)
        or not np.all(values == np.round(values))
        or len(f"{values[0]:.0f}") != len(f"{values[-1]:.0f}")
        or values[-1] > 2e15
        or len(values) < 2
    ):
        return False
    step = np.gcd.reduce(np.diff(values).astype(np.int64))
    near = np.diff(values) <= step
    has_next = np.append(near, False) | np.append(False, near)
    places = (values[-1] - values[0]) / step + 1
    return bool(
        np.sum(counts == 1) <= NEW_CODES * len(numbers)
        and counts[has_next].sum() <= MAX_NEXT * len(numbers)
        and len(values) <= MAX_DENSE * places
    )


def is_name(name: Hashable) -> bool:
    """Whether a column's name says that its numbers are names."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", str(name))
    return bool(NAMES & {word.lower() for word in words})
