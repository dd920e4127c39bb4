"""How a text file holds its cells, and cells put into it again."""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data.encodings import Encoding
from miri_jax.data.packing import written


class Form(NamedTuple):
    """How a text file holds its cells.

    Attributes:
      encoding: of its bytes.
      separator: between two cells.
      end: of a line.
      ends: of rows that end otherwise, by row.
      between: lines that are no rows, by the row before which they are, as
        they came: what is above the first row, blank lines, the end.
      quoted: cells as they came, of columns where one has quotes.
      labels: cells as they came of a column without a name before the others;
        None for none.
      tails: what is in each row after the last column; None for nothing.
    """

    encoding: Encoding = Encoding()
    separator: str = ","
    end: str = "\n"
    ends: dict[int, str] = {}
    between: dict[int, str] = {}
    quoted: dict[Hashable, pd.Series] = {}
    labels: pd.Series | None = None
    tails: np.ndarray | None = None


def write_text(
    path: str, parts: Iterable[tuple[pd.DataFrame, np.ndarray]], form: Form
) -> None:
    """Writes parts of a table's cells into the form that they came in.

    Args:
      path: the file; packed as its ending says.
      parts: of rows, in their order: cells as str `[n, c]`, and which `[n, c]`
        bool are new.
      form: as read.
    """
    with written(path) as out:
        out.write(form.encoding.mark)
        quotes = {name: _all_quoted(s) for name, s in form.quoted.items()}
        start = 0
        for frame, new in parts:
            text = rows_text(start, frame, new, form, quotes)
            out.write(form.encoding.encode(text))
            start += len(frame)
        out.write(form.encoding.encode(form.between.get(start, "")))


def rows_text(
    start: int,
    frame: pd.DataFrame,
    new: np.ndarray,
    form: Form,
    quotes: dict[Hashable, bool],
) -> str:
    """Rows, and what is between them, as they stand in the file."""
    rows, columns = slice(start, start + len(frame)), []
    for j, name in enumerate(frame.columns):
        cells, here = frame[name].to_numpy(object, copy=True), new[:, j]
        made = [
            _quote(cell, form.separator, quotes.get(name, False))
            for cell in cells[here]
        ]
        if name in form.quoted:
            cells = form.quoted[name].iloc[rows].to_numpy(object, copy=True)
        cells[here] = made
        columns.append(cells)
    if form.labels is not None:
        columns.insert(0, form.labels.iloc[rows])
    lines = map(form.separator.join, zip(*columns))
    if form.tails is not None:
        lines = map("".join, zip(lines, form.tails[rows]))
    return "".join(
        form.between.get(k, "") + line + form.ends.get(k, form.end)
        for k, line in enumerate(lines, start)
    )


def _quote(cell: str, separator: str, always: bool) -> str:
    """A cell in quotes, where it needs them or all others have them."""
    if always or any(c in cell for c in (separator, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _all_quoted(cells: pd.Series) -> bool:
    """Whether all cells are quoted, but those that are empty or NA."""
    text = cells[~cells.isin(["", "NA", "NULL"])]
    return bool(len(text)) and bool(text.str.startswith('"').all())
