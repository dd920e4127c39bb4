"""The head of a table: names in one row or two, and rows of units below."""

from collections import Counter
from collections.abc import Collection, Sequence

import pandas as pd

from miri_jax.data.cells import is_number
from miri_jax.data.dates import time_styles
from miri_jax.data.markers import SIGNS, WORDS
from miri_jax.data.notations import number_styles
from miri_jax.notes import Note

# Rows that tell what the header is.
HEAD = 30
# Rows that tell whether the first are of another kind, and how many may be:
# loggers have one of units and one of what was done, as mean or maximum.
LOOKED_AT, MOST = 500, 2


def find_names(
    rows: Sequence[Sequence[str]], top: int
) -> tuple[list[str], int]:
    """The names of a table's columns, and the number of the row they end in.

    Where the header lacks names, or has some twice, they may be in two rows:
    groups of columns above, as in merged cells, their names below.

    Args:
      rows: of text, without blanks around; none of them blank.
      top: the row that is taken for the header.
    """
    width = max(map(len, rows[top:]))
    rows = [[*row, *[""] * width][:width] for row in rows]
    above = [] if all(rows[top]) else [top - 1]
    for upper in (top, *above):
        if 0 <= upper < len(rows) - 1:
            below = pd.DataFrame(rows[upper + 2 :], dtype=str)
            found = _joined(rows[upper], rows[upper + 1], below)
            if found:
                return found, upper + 1
    return rows[top], top


def _joined(
    upper: Sequence[str], lower: Sequence[str], below: pd.DataFrame
) -> list[str]:
    """Names `[c]` of groups and of columns; none where rows are not these.

    Args:
      upper: `[c]`, groups, where each begins or above each column.
      lower: `[c]`, names; nothing where the group is one column.
      below: `[r, c]`, cells of the table.
    """
    named = [j for j, name in enumerate(upper) if name]
    if not named:
        return []
    last = max(j for j in range(len(upper)) if upper[j] or lower[j])
    hollow = {j for j in range(min(named), last) if not upper[j]}
    if not upper[last]:
        hollow.add(last)
    often = Counter(upper)
    twice = {j for j in named if often[upper[j]] > 1}
    words = [name for name in lower if name]
    if (
        min(len(named), len(words)) < 2
        or not all(lower[j] for j in hollow | twice)
        or not hollow | twice
        or any(_is_value(name) for name in words)
        # Numbers below text: it is no row of the table.
        or not any(lower[j] and _of_values(below[j], ("",)) for j in below)
    ):
        return []
    group, names = "", []
    for j, name in enumerate(lower):
        group = upper[j] or group
        whole = not hollow or j in twice or lower.count(name) > 1
        whole = whole and group and name
        names.append(f"{group} {name}" if whole else name or upper[j])
    return names


def _of_values(cells: pd.Series, marks: Collection[str]) -> bool:
    """Whether cells are numbers or times, two or more of them."""
    known = cells[~cells.isin([*marks, *SIGNS, *WORDS])]
    return len(known) > 1 and bool(number_styles(known) or time_styles(known))


def _is_value(cell: str) -> bool:
    """Whether a cell is a number or a time."""
    alone = pd.Series([cell])
    return is_number(cell) or bool(number_styles(alone) or time_styles(alone))


def find_units(
    frame: pd.DataFrame, marks: Collection[str]
) -> tuple[int, list[Note]]:
    """How many first rows of a table are of units, and a sentence on them.

    Such a row has text in every column that holds numbers or times below it: in
    two or more of them, or in brackets, or beside nothing but signs.

    Args:
      frame: `[n, c]`, text.
      marks: cells that mean missing.
    """
    rows: list[list[str]] = []
    while len(rows) < min(MOST, len(frame) - 1):
        units = _units(frame.iloc[len(rows) : LOOKED_AT], marks)
        if not units:
            break
        rows.append(units)
    if not rows:
        return 0, []
    shown = "; ".join(", ".join(units) for units in rows)[:60]
    first = "the first row" if len(rows) == 1 else f"the first {len(rows)} rows"
    verb = "is" if len(rows) == 1 else "are"
    return len(rows), [Note(f"{first} ({shown}) {verb} taken for units")]


def _units(frame: pd.DataFrame, marks: Collection[str]) -> list[str]:
    """The units in the first row of a table; none where there are none."""
    first = frame.iloc[0].str.strip()
    units, other = [], []
    for name in frame:
        here = first[name]
        if _of_values(frame[name].iloc[1:].str.strip(), marks):
            if here not in marks and _is_value(here):
                return []
            if here not in marks and here not in SIGNS:
                units.append(here)
        else:
            other.append(here)
    bracketed = all(x[0] in "[(" and x[-1] in ")]" for x in units)
    signs = all(x == "" or x in SIGNS or x[0] in "[(" for x in other)
    if not units or not (len(units) > 1 or bracketed or signs and other):
        return []
    return units
