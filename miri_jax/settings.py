"""What the values of settings may be."""

import difflib
import math
import numbers
import typing
from collections.abc import Iterable, Mapping
from typing import Any


class Range(typing.NamedTuple):
    """What a number lies between."""

    low: float
    high: float = math.inf


def misfit(
    value: Any, hint: Any, low: float = 0, high: float = math.inf
) -> str:
    """Says what a setting must be, where its value is something else.

    Args:
      value: of the setting.
      hint: its type: `int`, `float`, `bool`, `str`, a mapping, None or a union
        of some; of any other type everything is taken.
      low: the least that a number may be; 1 for whole numbers, if it is below.
      high: the greatest that a `float` may be.

    Returns:
      What it must be, for a message; "" where it is.
    """
    if "Literal" in str(hint):
        return ""
    kinds = typing.get_args(hint) or (hint,)
    plain = not isinstance(value, bool)
    whole = isinstance(value, numbers.Integral) and plain
    real = isinstance(value, numbers.Real) and plain and math.isfinite(value)
    least = max(low, 1)
    admitted = [
        (fits, takes)
        for kind, fits, takes in (
            (int, whole and value >= least, f"a whole number from {least} on"),
            (float, real and low <= value <= high, _between(low, high)),
            (bool, isinstance(value, bool), "True or False"),
            (str, isinstance(value, str), "a text"),
            (Mapping[str, Any], isinstance(value, Mapping), "a mapping"),
            (type(None), value is None, "None"),
        )
        if kind in kinds
    ]
    if not admitted or any(fits for fits, _ in admitted):
        return ""
    return " or ".join(takes for _, takes in admitted)


def _between(low: float, high: float) -> str:
    if high < math.inf:
        return f"a number from {low:g} to {high:g}"
    return f"a number from {low:g} on"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message, if something known is named alike; else ""."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
