"""Files of SPSS, Stata and SAS, with their labels."""

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data.detecting import MIN_ROWS, NEW
from miri_jax.data.extras import needed
from miri_jax.data.markers import is_no_answer, kept_note
from miri_jax.exceptions import DataError, first_line
from miri_jax.notes import Note

# When a .sav or .dta file was made, as its head tells.
TIME = rb"[ \d]\d [A-Z][a-z]{2} \d\d(\d\d )?\d\d:\d\d(:\d\d)?"
# So many numbers may be ranks where a file says so and names none.
MAX_RANKS = 24


class Labels(NamedTuple):
    """What such a file says besides its cells.

    Attributes:
      ending: of the file that was read.
      meta: pyreadstat's.
    """

    ending: str
    meta: Any


def read_statistics(
    path: str, ending: str
) -> tuple[pd.DataFrame, Labels, dict[str, str], list[Note]]:
    """A file's cells, labels, kinds of columns, and notes.

    Values that a user of SPSS calls missing are gaps. Numbers all of which have
    labels are levels: in their order where SPSS says so.

    Raises:
      DataError: where it cannot be read.
    """
    pyreadstat = needed("pyreadstat", "statistics", path)
    read = getattr(pyreadstat, f"read_{ending[1:]}")
    try:
        frame, meta = read(path)
        if ending == ".sav":  # else it is silent on what a user calls missing
            meta = read(path, metadataonly=True, user_missing=True)[1]
    except Exception as error:  # of a damaged file, any kind
        raise DataError(
            f"{path} cannot be read as {ending[1:]}: {first_line(error)}"
        ) from None
    if not frame.size:
        raise DataError(f"{path} has no rows")
    kinds = {}
    for name in frame.columns:
        kind = _kind(
            frame[name].dropna(),
            meta.variable_value_labels.get(name, {}),
            meta.variable_measure.get(name, "unknown"),
        )
        if kind:
            kinds[name] = kind
    notes = _unanswered(frame, meta)
    for kind in ("categorical", "ordinal"):
        names = [name for name in kinds if kinds[name] == kind]
        if names:
            text = f"taken for {kind}, by labels or measure: {', '.join(names)}"
            notes.append(Note(text))
    return frame, Labels(ending, meta), kinds, notes


def _unanswered(frame: pd.DataFrame, meta: Any) -> list[Note]:
    """Sentences on numbers whose labels say that they are no answers."""
    notes = []
    for name, labels in meta.variable_value_labels.items():
        none = {
            f"{x:g}": label
            for x, label in labels.items()
            if is_no_answer(label) and frame[name].eq(x).any()
        }
        if none:
            shown = [f"{x} ({label})" for x, label in none.items()]
            notes.append(kept_note(name, [*none], shown, "such"))
    return notes


def _kind(observed: pd.Series, labels: dict[Any, str], measure: str) -> str:
    """The kind that a file says a column of numbers has; "" for nothing."""
    if not len(observed) or not pd.api.types.is_numeric_dtype(observed):
        return ""
    counts = observed.value_counts()
    labelled = bool(labels) and observed.isin(list(labels)).all()
    if measure == "ordinal" and (labelled or len(counts) <= MAX_RANKS):
        return "ordinal"
    if labelled and measure == "unknown":
        return "categorical"
    if measure == "nominal":
        alone = len(counts) >= MIN_ROWS and (counts == 1).mean() > NEW
        return "id" if alone else "categorical"
    return ""


def write_statistics(
    path: str, ending: str, frame: pd.DataFrame, labels: Labels | None
) -> None:
    """Writes a table for SPSS or Stata, with the labels that it came with."""
    pyreadstat = needed("pyreadstat", "statistics", path)
    frame = frame.rename(columns=str).reset_index(drop=True)
    for name in frame.columns:
        kind = frame[name].dtype
        if pd.api.types.is_extension_array_dtype(kind):
            if pd.api.types.is_numeric_dtype(kind):
                frame[name] = frame[name].astype(np.float64)
            elif not isinstance(kind, pd.DatetimeTZDtype):
                frame[name] = frame[name].astype(object)
        if isinstance(frame[name].dtype, pd.DatetimeTZDtype):
            frame[name] = frame[name].dt.tz_convert("UTC").dt.tz_localize(None)
        if pd.api.types.is_datetime64_dtype(frame[name].dtype):
            # Of whole seconds pyreadstat makes other times.
            frame[name] = frame[name].astype("datetime64[us]")
    given: dict[str, Any] = {}
    if labels is not None:
        meta = labels.meta
        given = {
            "file_label": meta.file_label or "",
            "column_labels": meta.column_names_to_labels,
            "variable_value_labels": meta.variable_value_labels,
        }
        if ending == labels.ending == ".sav":
            given |= {
                "missing_ranges": meta.missing_ranges,
                "variable_display_width": meta.variable_display_width,
                "variable_measure": meta.variable_measure,
                "variable_format": meta.original_variable_types,
            }
        elif ending == labels.ending:
            given["variable_format"] = meta.original_variable_types
    try:
        getattr(pyreadstat, f"write_{ending[1:]}")(frame, path, **given)
    except Exception as error:  # names and values that the format cannot hold
        raise DataError(
            f"{path} cannot be written: {first_line(error)}; choose another"
            " ending, as .csv"
        ) from None
    _forget_time(path, ending)


def _forget_time(path: str, ending: str) -> None:
    """Takes the time out of a file: the same table, the same bytes."""
    with open(path, "r+b") as file:
        head = file.read(1024)
        if ending == ".sav":
            place, time = 92, b"01 Jan 7000:00:00"
        else:
            place = head.find(b"<timestamp>") + len(b"<timestamp>") + 1
            time = b"01 Jan 1970 00:00"
        if re.fullmatch(TIME, head[place : place + len(time)]):
            file.seek(place)
            file.write(time)
