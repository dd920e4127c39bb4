"""Names, numbers and times as they stand on the page and in figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from miri_jax.report.facts import View

DASH = "\N{EN DASH}"
# Letters of a name that is shown in full.
LONGEST = 160


def shorten(text: Any, limit: int = 80) -> str:
    """Text on one line of at most `limit` characters, its end kept.

    Names of one file often differ in their ends only.
    """
    kept = "\u200c\u200d"  # Parts of words in some scripts, if not printable.
    line = " ".join(str(text).split()) or "(empty)"
    line = "".join(
        c if c.isprintable() or c in kept else "\ufffd" for c in line
    )
    tail = min(8, limit // 3)
    if len(line) <= limit:
        return line
    return f"{line[: limit - tail - 1]}\N{HORIZONTAL ELLIPSIS}{line[-tail:]}"


def full_name(view: View) -> str:
    """A column's name on one line, in full unless it is endless.

    Of an endless one both ends stay, and the column's number is added, so that
    no two names become one.
    """
    name = shorten(view.name, 10**9)
    if len(name) <= LONGEST:
        return name
    return (
        f"{name[:90]}\N{HORIZONTAL ELLIPSIS}{name[-60:]} (column {view.number})"
    )


def quoted(view: View) -> str:
    """A column's name in quotes."""
    return f"\u201c{full_name(view)}\u201d"


def in_quotes(text: str) -> str:
    """Text in quotes, on one line."""
    return f"\u201c{shorten(text, 40)}\u201d"


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Names with commas, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def number_text(value: float, digits: int = 4) -> str:
    """A number to some digits, without an exponent where it needs none."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.{12 if abs(rounded) < 1e12 else digits}g}"


def value_text(view: View, value: float) -> str:
    """A number or time as text."""
    if view.kind != "datetime":
        return number_text(value, 6)
    text = str(np.datetime64(int(value), "s")).replace("T", " ")
    if view.clock:
        return text[11:].removesuffix(":00")
    return text[:-9] if text.endswith(" 00:00:00") else text[:-3]


def counted(number: int, name: str) -> str:
    """A number and what is counted: "1 row", "2 rows"."""
    return f"{number} {name}{'' if number == 1 else 's'}"
