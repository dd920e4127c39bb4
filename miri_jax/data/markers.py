"""Cells that stand for nothing: marks of missing, and numbers such as -99."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.data.cells import is_number
from miri_jax.exceptions import DataError
from miri_jax.notes import Note
from miri_jax.settings import no_column

# What programs write where a value is missing; in a text column, too.
NA_VALUES = (
    *("", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "NULL", "null", "Null"),
    *("<NA>", "NaT", "(null)", "(NULL)", "[NULL]", "<null>", "<NULL>"),
    *("#N/A", "#N/A N/A", "#NA", "#NULL!", "#VALUE!", "#DIV/0!", "#REF!"),
    # The same of spreadsheets in German, French, Italian and Spanish.
    *("#NV", "#WERT!", "#BEZUG!", "#ZAHL!", "#N/D", "#VALEUR!", "#VALORE!"),
    *(
        "#\u00a1VALOR!",
        "#NAME?",
        "#NUM!",
        "\\N",
        "-nan",
        "-NaN",
        "1.#QNAN",
        "-1.#IND",
        "1.#IND",
    ),
)
# Marks that may be a level of a text column, such as the result of a test.
SIGNS = ("-", "--", "---", ".", "..", "...", "?", "??", "\u2013", "\u2014", "*")
# What else is no number among numbers, and no time among times.
WORDS = (
    *("None", "none", "NONE", "na", "Na", "n.a.", "N.A.", "k.A.", "k. A."),
    *("missing", "Missing", "MISSING", "unknown", "Unknown", "UNKNOWN"),
    *("no data", "No data", "No Data", "NO DATA", "NoData", "NODATA"),
)
# What questionnaires have for no answer, in small letters.
NO_ANSWER = frozenset(
    (
        *("don't know", "dont know", "do not know", "dk", "not sure", "unsure"),
        *("unknown", "refused", "refuse", "refusal", "declined", "no answer"),
        *("prefer not to say", "prefer not to answer", "prefer not to state"),
        *("not stated", "not asked", "not answered", "not reported", "missing"),
        *("not available", "no response", "decline to answer", "no data"),
        *("weiß nicht", "weiss nicht", "keine angabe", "k.a.", "verweigert"),
        *("unbekannt", "keine antwort", "ne sait pas", "refus", "sans réponse"),
        *("inconnu", "no sabe", "no contesta", "ns/nc", "non so", "não sabe"),
        *("not known", "not specified", "none given", "undefined", "n.k."),
        *("sconosciuto", "desconocido", "na", "n.a."),
    )
)
# Fewer cells with an extreme are no sign that it means missing.
OFTEN = 2
# How many such numbers may stand at one end of a column.
MOST = 5


def split_marks(
    given: Sequence[str], frame: pd.DataFrame
) -> tuple[list[str], dict[Hashable, list[str]]]:
    """Marks of all columns, and of single ones, given as "NAME=MARK".

    One with a sign of equality is of all where a cell is that itself.

    Raises:
      DataError: on a NAME that is no column.
    """
    every, single, names = [], {}, list(frame.columns)
    for mark in map(str, given):
        name, found, cell = (part.strip() for part in mark.partition("="))
        if found and name in names:
            single.setdefault(name, []).append(cell)
            continue
        every.append(mark.strip())
        if found and name and not _occurs(every[-1], frame):
            raise DataError(
                no_column("na_values", name, list(map(str, names))),
                about=("na_values",),
            )
    return every, single


def _occurs(text: str, frame: pd.DataFrame) -> bool:
    """Whether a cell is a text, but for blanks around it."""
    cells = (frame.iloc[:, j].astype(str) for j in range(frame.shape[1]))
    return any((column.str.strip() == text).any() for column in cells)


def are_marks(cells: pd.Series, marks: Sequence[str]) -> np.ndarray:
    """Whether cells `[n]`, without blanks, are among marks.

    A number is met however it is written, so that -99 is -99.0 as well.
    """
    found = cells.isin(marks).to_numpy(bool, copy=True)
    numbers = [float(x) for x in marks if is_number(x)]
    numbers = [x for x in numbers if np.isfinite(x)]
    if numbers:
        digit = cells.str.contains(r"\d", na=False)
        parsed = pd.to_numeric(cells[digit].astype(object), errors="coerce")
        found[digit.to_numpy(bool)] |= parsed.isin(numbers).to_numpy()
    return found


def sign_marks(observed: pd.Series) -> list[str]:
    """The signs that mean missing in a text column.

    None where another level is a sign as well, as + is beside -.
    """
    levels = observed.unique()
    signs = [x for x in levels if x in SIGNS]
    other = [
        x for x in levels if x not in SIGNS and not any(c.isalnum() for c in x)
    ]
    return [] if other or len(signs) == len(levels) else signs


# Of numbers that differ by more than a number can be nothing is far.
@np.errstate(over="ignore")
def sentinels(numbers: np.ndarray) -> list[tuple[float, int]]:
    """Numbers among `[n]` that seem to mean missing, and how often each is.

    Extremes such as -9, 99 or 999 that are there several times, far from all
    else: by more than three of the other numbers' widest step, and by a quarter
    of their range; or below 0, where no other is.
    """
    values, counts = np.unique(numbers, return_counts=True)
    low, high = 0, len(values)
    # Some of their kind may stand side by side, as -99 and -98.
    while low < min(MOST, high - 2) and _is_code(values[low]):
        low += 1
    while high > max(len(values) - MOST, low + 2) and _is_code(
        values[high - 1]
    ):
        high -= 1
    bulk, found = values[low:high], []
    if len(bulk) < 2:
        return []
    step, span = np.diff(bulk).max(), bulk[-1] - bulk[0]
    for k in (*range(low), *range(high, len(values))):
        gap = max(bulk[0] - values[k], values[k] - bulk[-1])
        far = gap > 3 * step and gap > span / 4
        # The only one below 0, but for what is one below counts.
        below = values[k] < 0 <= bulk[0] and (bulk[0] > 0 or values[k] < -1)
        if counts[k] >= OFTEN and (far or below):
            found.append((float(values[k]), int(counts[k])))
    return found


def sentinel_notes(name: Hashable, numbers: np.ndarray) -> list[Note]:
    """A sentence for each of `sentinels` of a column."""
    return [
        Note(
            f"column {name!r} holds {value:.15g} in {count} cells, far from all"
            " others: it is kept as a number; if it means missing, name it"
            " among the values that do",
            "beware",
            name,
            na_values=f"{name}={value:.15g}",
        )
        for value, count in sentinels(numbers)
    ]


def answer_notes(name: Hashable, levels: Sequence[Any]) -> list[Note]:
    """A sentence on levels that are no answers, if a column has others."""
    none = list(filter(is_no_answer, levels))
    if not none or len(none) == len(levels):
        return []
    kept = "a level" if len(none) == 1 else "levels"
    return [kept_note(name, none, [*map(repr, none[:MOST])], kept)]


def kept_note(
    name: Hashable, cells: Sequence[str], shown: Sequence[str], kept: str
) -> Note:
    """A sentence on cells that are kept, and may mean missing.

    Args:
      name: of the column.
      cells: as one names them.
      shown: how they, or the first of them, are shown.
      kept: as what.
    """
    they = "it means" if len(cells) == 1 else "they mean"
    return Note(
        f"column {name!r} holds {', '.join(shown)}: kept as {kept}; if {they}"
        " missing, name that among the values that do",
        "beware",
        name,
        na_values=f"{name}={','.join(cells)}",
    )


def is_no_answer(level: Any) -> bool:
    """Whether a level is a text that questionnaires have for no answer."""
    text = str(level).strip().lower().replace("\u2019", "'")
    return text in NO_ANSWER or f"{text}." in NO_ANSWER


def _is_code(value: float) -> bool:
    """Whether a number is one that questionnaires use for no answer."""
    if value != round(value) or abs(value) > 1e9:
        return False
    text = f"{abs(value):.0f}"
    if set(text) in ({"9"}, {"8"}, {"7"}):
        return True
    if text in ("1", "97", "98", "96", "997", "998", "996"):
        return value < 0 or text != "1"
    return value < 0 and len(set(text)) == 1 and len(text) > 1
