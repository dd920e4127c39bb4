"""What expressions are of rows: numbers, times in days, truths and text.

Numbers, times and truths (1 and 0) are float64 with NaN where a cell they
need is unknown, text is objects with None there. A truth is unknown only where
the unknown cells decide it. Two numbers are equal within rounding.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from miri_jax.exceptions import DataError
from miri_jax.relations._grammar import (
    COMPARISONS,
    Call,
    Expression,
    Name,
    Number,
    Text,
    names_in,
)
from miri_jax.settings import did_you_mean

# Numbers are equal that differ by this part of the larger one.
SAME = 1e-9
DAY = 86400


class Kind(NamedTuple):
    """What the cells of a column are to an expression.

    Attributes:
      what: number, time, truth or text; "" for what nothing can be said of.
      levels: of text, all that may occur; () where that is not known.
      day: of a clock's times, in days since 1970 when their day begins; None
        of times with dates.
    """

    what: str
    levels: Sequence[Any] = ()
    day: float | None = None


Env = Mapping[str, np.ndarray]


def resolved(
    tree: Expression, kinds: Mapping[str, Kind], said: str
) -> tuple[Expression, str]:
    """A tree with its times as numbers of days, and what it gives.

    Args:
      tree: of columns that exist.
      kinds: of the columns.
      said: the expression, for messages.

    Returns:
      The tree, and number, time, truth or text.

    Raises:
      DataError: where an operation does not fit what it is applied to.
    """
    if isinstance(tree, Number):
        return tree, "number"
    if isinstance(tree, Text):
        return tree, "text"
    if isinstance(tree, Name):
        if not kinds[tree.value].what:
            raise DataError(
                f"{said!r} uses column {tree.value!r}, which is taken for an"
                " id; give it a kind, such as real or categorical",
                about=("real", "categorical"),
            )
        return tree, kinds[tree.value].what
    parts = [resolved(part, kinds, said) for part in tree.args]
    args, found = zip(*parts)
    if tree.what in COMPARISONS:
        return _comparison(tree.what, args, found, kinds, said)
    if tree.what in ("and", "or", "not"):
        _demand(found, ("truth",), tree.what, said)
        return Call(tree.what, args), "truth"
    if "time" in found and tree.what in ("+", "min", "max"):
        return Call(tree.what, args), _of_times(tree, found, said)
    if tree.what == "neg" and found == ("time",):
        # Only as a part of a sum.
        return Call("neg", args), "minus time"
    _demand(found, ("number", "truth"), tree.what, said)
    return Call(tree.what, args), "number"


def _of_times(tree: Call, found: Sequence[str], said: str) -> str:
    """Time + days is time, time - time is days; the latest of times is one."""
    times = found.count("time") - found.count("minus time")
    rest = set(found) - {"time", "minus time"}
    if tree.what != "+" and set(found) == {"time"}:
        return "time"
    if tree.what == "+" and rest <= {"number"} and times in (0, 1):
        return ("number", "time")[times]
    raise DataError(
        f"{said!r} adds or compares times and something else; their difference"
        " is a number of days, and days can be added to one"
    )


def _comparison(
    sign: str,
    args: Sequence[Expression],
    found: Sequence[str],
    kinds: Mapping[str, Kind],
    said: str,
) -> tuple[Expression, str]:
    args, found = list(args), list(found)
    for k, other in ((0, 1), (1, 0)):
        if isinstance(args[k], Text) and found[other] == "time":
            day = None
            if isinstance(args[other], Name):
                day = kinds[args[other].value].day
            days = _days(args[k].value, said, day)
            args[k], found[k] = Number(days), "time"
        elif isinstance(args[k], Text) and isinstance(args[other], Name):
            _check_level(args[k].value, args[other].value, kinds, said)
    numbers = {"number", "truth"}
    if "minus time" in found or not (
        found[0] == found[1] or set(found) <= numbers
    ):
        raise DataError(
            f"{said!r} compares {found[0]} and {found[1]}; write text in"
            " quotes, numbers without"
        )
    if found[0] == "text" and sign not in ("==", "!="):
        raise DataError(
            f"{said!r} compares text by {sign}, which has no order; use == or"
            " !="
        )
    return Call(sign, tuple(args)), "truth"


def _check_level(
    text: str, name: str, kinds: Mapping[str, Kind], said: str
) -> None:
    kind = kinds[name]
    if kind.what != "text":
        raise DataError(
            f"{said!r} compares column {name!r}, a {kind.what}, with the text"
            f" {text!r}; write numbers without quotes, or call it categorical",
            about=("categorical",),
        )
    if kind.levels and text not in kind.levels:
        known = [str(level) for level in kind.levels]
        hint = did_you_mean(text, known) or f"; there are {', '.join(known)}"
        raise DataError(
            f"{said!r}: column {name!r} has no level {text!r}{hint[:300]}"
        )


def _days(text: str, said: str, day: float | None) -> float:
    if day is not None:
        clock = re.fullmatch(r"(\d{1,2}):(\d\d)(?::(\d\d))?", text)
        if not clock:
            raise DataError(
                f"{said!r} compares the time of a clock with {text!r}; write it"
                " as '18:30'"
            )
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        here = (hours * 3600 + minutes * 60 + seconds) / DAY
        return day + (here - day) % 1
    try:
        moment = np.datetime64(text, "us")
    except ValueError:
        moment = np.datetime64("NaT", "us")
    if np.isnat(moment):
        raise DataError(
            f"{said!r} compares a time with {text!r}; write it as '2024-01-31'"
        )
    return moment.astype(np.int64) / 1e6 / DAY


def _demand(
    found: Sequence[str], wanted: tuple[str, ...], what: str, said: str
) -> None:
    for kind in found:
        if kind not in wanted:
            raise DataError(
                f"{said!r} takes {kind} where {what!r} needs a {wanted[0]}"
            )


def evaluate(tree: Expression, env: Env) -> np.ndarray:
    """The values `[n]`, or `[]` of what is the same in all rows.

    Args:
      tree: from `resolved`.
      env: each column by name, `[n]`.
    """
    with np.errstate(all="ignore"):
        return _value(tree, env)


def _value(tree: Expression, env: Env) -> np.ndarray:
    if isinstance(tree, Number):
        return np.float64(tree.value)
    if isinstance(tree, Text):
        return np.array(tree.value, object)
    if isinstance(tree, Name):
        return env[tree.value]
    args = [_value(part, env) for part in tree.args]
    if tree.what in COMPARISONS:
        return _compared(tree.what, *args)
    found = _OPERATIONS[tree.what](*args)
    # Beyond what numbers are, nothing is known.
    return np.where(np.isfinite(found), found, np.nan)


def _compared(sign: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.asarray(a).dtype == object or np.asarray(b).dtype == object:
        unknown = np.equal(a, None) | np.equal(b, None)
        same = np.equal(a, b).astype(bool)
        found = same if sign == "==" else ~same
        return np.where(unknown.astype(bool), np.nan, found)
    near = np.abs(a - b) <= SAME * np.maximum(np.abs(a), np.abs(b))
    found = {
        "<": (a < b) & ~near,
        "<=": (a <= b) | near,
        ">": (a > b) & ~near,
        ">=": (a >= b) | near,
        "==": near,
        "!=": ~near,
    }[sign]
    return np.where(np.isnan(a) | np.isnan(b), np.nan, found)


def _all(*parts: np.ndarray) -> np.ndarray:
    parts = np.broadcast_arrays(*parts)
    unknown = np.isnan(parts).any(axis=0)
    wrong = np.any([part == 0 for part in parts], axis=0)
    return np.where(wrong, 0.0, np.where(unknown, np.nan, 1.0))


def _not(part: np.ndarray) -> np.ndarray:
    return 1 - np.where(np.isnan(part), np.nan, part != 0)


def _round(x: np.ndarray, digits: float | np.ndarray = 0) -> np.ndarray:
    scale = 10.0 ** np.round(digits)
    return np.round(x * scale) / scale


_OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "+": lambda *parts: sum(parts[1:], parts[0]),
    "neg": np.negative,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "min": lambda *parts: np.min(np.broadcast_arrays(*parts), axis=0),
    "max": lambda *parts: np.max(np.broadcast_arrays(*parts), axis=0),
    "abs": np.abs,
    "log": np.log,
    "exp": np.exp,
    "round": _round,
    "and": _all,
    "or": lambda *parts: _not(_all(*map(_not, parts))),
    "not": _not,
}


def solve(
    tree: Expression, name: str, value: np.ndarray, env: Env
) -> np.ndarray:
    """What a column must be for an expression to have a value.

    Args:
      tree: from `resolved`, a number or time.
      name: of the column; what `env` has of it is not read.
      value: `[n]`.
      env: see `evaluate`.

    Returns:
      `[n]`, NaN where it is not known; of a power the root above 0. Found where
      the tree is linear in the column, or has it once beneath + - * / ** log
      exp and round, which is taken for its argument.
    """
    with np.errstate(all="ignore"):
        if _count(tree, name) == 1:
            found = _inverse(tree, name, value, env)
        elif _linear(tree, name):
            at = [_value(tree, {**env, name: np.float64(x)}) for x in (0, 1)]
            found = (value - at[0]) / (at[1] - at[0])
        else:
            found = np.nan
    found = np.broadcast_to(found, np.shape(value))
    return np.where(np.isfinite(found), found, np.nan)


def _count(tree: Expression, name: str) -> int:
    if isinstance(tree, Call):
        return sum(_count(part, name) for part in tree.args)
    return int(tree == Name(name))


def _linear(tree: Expression, name: str) -> bool:
    if not isinstance(tree, Call) or name not in names_in(tree):
        return True
    inside = [name in names_in(part) for part in tree.args]
    if not all(_linear(part, name) for part in tree.args):
        return False
    if tree.what in ("+", "neg"):
        return True
    if tree.what == "*":
        return sum(inside) == 1
    return tree.what == "/" and not inside[1]


def _inverse(
    tree: Expression, name: str, value: np.ndarray, env: Env
) -> np.ndarray:
    if isinstance(tree, Name):
        return value
    k = next(i for i, part in enumerate(tree.args) if _count(part, name))
    rest = [_value(part, env) for i, part in enumerate(tree.args) if i != k]
    if tree.what == "+":
        value = value - sum(rest)
    elif tree.what == "neg":
        value = -value
    elif tree.what == "*":
        value = value / rest[0]
    elif tree.what == "/":
        value = rest[0] / value if k else value * rest[0]
    elif tree.what == "**":
        value = (
            np.log(value) / np.log(rest[0])
            if k
            else np.power(value, 1 / rest[0])
        )
    elif tree.what == "log":
        value = np.exp(value)
    elif tree.what == "exp":
        value = np.log(value)
    elif tree.what != "round" or k:
        return np.nan
    return _inverse(tree.args[k], name, value, env)
