"""The simplest number of an interval, and linear forms and products as text."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Factor(NamedTuple):
    """A number as people write it.

    Attributes:
      value: of it.
      text: of its size, without a sign; of what is divided by, the divisor.
      divides: whether it is written as a division.
      digits: how many it has.
    """

    value: float
    text: str
    divides: bool
    digits: int


def simplest(low: float, high: float) -> Factor | None:
    """The number of the fewest digits in an interval that is not 0.

    None where the interval has 0 in it, or no number of 9 digits.
    """
    if not (np.isfinite(low) and np.isfinite(high)) or low * high <= 0:
        return None
    plain, other = _fewest(low, high), _fewest(1 / high, 1 / low)
    if other is not None and (plain is None or other.digits < plain.digits):
        return Factor(1 / other.value, other.text, True, other.digits + 1)
    return plain


def _fewest(low: float, high: float) -> Factor | None:
    middle = (low + high) / 2
    size = math.floor(math.log10(abs(middle)))
    for digits in range(1, 10):
        value = float(f"{middle:.{digits - 1}e}")
        if low <= value <= high:
            return Factor(value, _text(abs(value)), False, digits)
        # A step up or down may still lie inside.
        step = 10.0 ** (size - digits + 1)
        for near in (value - step, value + step):
            near = float(f"{near:.{digits - 1}e}")
            if low <= near <= high:
                return Factor(near, _text(abs(near)), False, digits)
    return None


def _text(value: float) -> str:
    text = f"{value:.12g}"
    return f"{value:.12f}".rstrip("0") if "e-0" in text else text


def quoted(name: str) -> str:
    """A column's name as expressions have it."""
    letters = name.replace(".", "_")
    plain = letters.isidentifier() and not name.startswith(".")
    words = ("and", "or", "not", "min", "max", "abs", "log", "exp", "round")
    return name if plain and name not in words else f"`{name}`"


def linear_text(
    names: Sequence[str], factors: Sequence[Factor], constant: Factor | None
) -> str:
    """A sum of columns, each with its factor, one above 0 first."""
    terms = []
    for name, factor in zip(names, factors):
        text = quoted(name)
        if factor.divides:
            text = f"{text} / {factor.text}"
        elif factor.text != "1":
            text = f"{factor.text} * {text}"
        terms.append((factor.value < 0, text))
    first = next((k for k, (below, _) in enumerate(terms) if not below), 0)
    terms.insert(0, terms.pop(first))
    if constant is not None:
        terms.append((constant.value < 0, written(constant)))
    first, *rest = terms
    return ("-" if first[0] else "") + "".join(
        [first[1], *(f" {'-' if below else '+'} {t}" for below, t in rest)]
    )


def written(factor: Factor) -> str:
    """The size of a number that stands alone."""
    return f"1 / {factor.text}" if factor.divides else factor.text


def product_text(
    names: Sequence[str], powers: Sequence[float], factor: Factor
) -> str:
    """A product of powers of columns and a number."""
    above, below = [], []
    if factor.divides:
        below.append(factor.text)
    elif factor.text != "1":
        above.append(factor.text)
    for name, power in zip(names, powers):
        size = abs(power)
        text = quoted(name) + ("" if size == 1 else f" ** {_text(size)}")
        (above if power > 0 else below).append(text)
    text = " * ".join(above) or "1"
    return text + "".join(f" / {part}" for part in below)
