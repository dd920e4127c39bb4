"""Sheets of Excel's workbooks, and what else is in them left alone."""

import datetime
import io
import re
import zipfile
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.data.extras import needed
from miri_jax.data.heads import HEAD, find_names
from miri_jax.data.limits import refuse_too_many
from miri_jax.data.lines import table_start
from miri_jax.data.objects import Objects, text_of
from miri_jax.exceptions import DataError, first_line
from miri_jax.notes import Note

# In the place of the time at which a workbook is written.
LONG_AGO = datetime.datetime(1980, 1, 1)


def read_sheet(
    path: str, sheet: str | None, skip_rows: int | None
) -> tuple[Objects, list[Note]]:
    """The table of a sheet.

    Titles above it are passed over, as is a first column without a name.

    Args:
      path: of the workbook.
      sheet: its name, or number from 1 on; None for the first.
      skip_rows: rows above the header; None to find them.

    Raises:
      DataError: naming what cannot be read and the remedy.
    """
    openpyxl = needed("openpyxl", "excel", path)
    try:
        book = openpyxl.load_workbook(path, data_only=True)
        plain = openpyxl.load_workbook(path)
    except Exception as error:  # of a damaged file, any kind
        raise DataError(
            f"{path} cannot be read as xlsx: {first_line(error)}"
        ) from None
    name = _sheet_of(path, book.sheetnames, sheet)
    page = book[name]
    refuse_too_many(path, f"sheet {name!r}", page.max_row * page.max_column)
    rows = [list(row) for row in page.iter_rows(values_only=True)]
    names, places, top = _names(path, rows, _header(path, rows, skip_rows))
    body = [
        k
        for k in range(top + 1, len(rows))
        if any(rows[k][j - 1] is not None for j in places)
    ]
    if not body:
        raise DataError(f"{path} has a header but no rows")
    cells = pd.DataFrame(
        [[rows[k][j - 1] for j in places] for k in body],
        columns=names,
        dtype=object,
    )
    cells = cells.where(cells.notna(), None)
    for k, i in np.argwhere(cells.isna().to_numpy())[:, :]:
        formula = plain[name].cell(body[k] + 1, places[i]).value
        if formula is not None:
            raise DataError(
                f"column {names[i]!r} of {path} has a formula without a value"
                f" in row {body[k] + 1}; open the file in Excel and save it, or"
                " put the values there"
            )
    said = []
    if len(book.sheetnames) > 1 and sheet is None:
        other = next(x for x in book.sheetnames if x != name)
        said = [
            Note(
                f"{path} has {len(book.sheetnames)} sheets: {name!r} is taken,"
                " and the others stay as they are; name another",
                sheet=other,
            )
        ]
    above = sum(any(x is not None for x in row) for row in rows[:top])
    if above:
        text = f"{path} has {above} row(s) above its header: left as they came"
        said.append(Note(text, skip_rows=str(top)))
    rows_of = [k + 1 for k in body]
    return Objects(cells, name, path, rows_of, places), said


def write_sheet(path: str, source: Objects, cells: pd.DataFrame) -> None:
    """Writes a workbook anew, with new cells in what were gaps of its sheet.

    Args:
      path: the file.
      source: where the cells came from.
      cells: `[n, c]` objects.
    """
    openpyxl = needed("openpyxl", "excel", path)
    book = openpyxl.load_workbook(source.path)
    sheet = book[source.sheet]
    for j, place in enumerate(source.places):
        came = source.cells.iloc[:, j].to_numpy(object)
        now = cells.iloc[:, j].to_numpy(object)
        seen = [k for k, cell in enumerate(came) if cell is not None]
        for k, (old, new) in enumerate(zip(came, now)):
            if old is new or (old == new and type(old) is type(new)):
                continue
            cell = sheet.cell(source.rows[k], place)
            plain = cell.number_format == "General"
            cell.value = new  # Of a time this sets a format.
            if seen and plain:
                like = sheet.cell(source.rows[seen[0]], place)
                cell.number_format = like.number_format
    _save(book, path)


def new_sheet(path: str, frame: pd.DataFrame) -> None:
    """Writes a table as the one sheet of a workbook."""
    openpyxl = needed("openpyxl", "excel", path)
    book = openpyxl.Workbook()
    book.properties.created = LONG_AGO
    sheet = book.active
    sheet.append([str(name) for name in frame.columns])
    for row in frame.itertuples(index=False):
        sheet.append([_cell(x) for x in row])
    _save(book, path)


def _cell(x: Any) -> Any:
    """A value as a workbook can hold it."""
    if x is None or x is pd.NaT or x is pd.NA:
        return None
    if isinstance(x, float) and np.isnan(x):
        return None
    if isinstance(x, np.generic):
        return _cell(x.item())
    if isinstance(x, pd.Timestamp):
        # Excel knows no zones.
        return (
            x.isoformat()
            if x.tzinfo is not None
            else x.to_pydatetime(warn=False)
        )
    if isinstance(x, list | dict | tuple | np.ndarray | bytes):
        return str(x)
    return x


def _sheet_of(path: str, names: list[str], given: str | None) -> str:
    if given is None:
        return names[0]
    if given in names:
        return given
    if given.isdigit() and 1 <= int(given) <= len(names):
        return names[int(given) - 1]
    raise DataError(
        f"{path} has no sheet {given!r}; there are {', '.join(names)}",
        about=("sheet",),
    )


def _header(path: str, rows: list[list[Any]], skip: int | None) -> int:
    """The number of the row that is the header, from 0 on."""
    widths = [
        max((j + 1 for j, x in enumerate(row) if x is not None), default=0)
        for row in rows
    ]
    full = [k for k, width in enumerate(widths) if width and k >= (skip or 0)]
    if not full:
        raise DataError(f"{path} is empty; it needs a header and rows")
    if skip is not None:
        return full[0]
    filled = [sum(x is not None for x in rows[k]) for k in full]
    start, width = table_start(np.array([widths[k] for k in full]))
    for k in range(start, min(start + 20, len(full))):
        if filled[k] >= width - 1 and filled[k] > 0:
            return full[k]
        if filled[k] > 1:
            break
    return full[start]


def _names(
    path: str, rows: list[list[Any]], top: int
) -> tuple[list[str], list[int], int]:
    """The columns' names and places, from 1 on, and the row of the last."""
    full = [k for k, row in enumerate(rows) if any(x is not None for x in row)]
    at = full.index(top)
    near = full[max(at - 1, 0) : at + HEAD]
    head = [[text_of(x).strip() for x in rows[k]] for k in near]
    names, last = find_names(head, min(at, 1))
    top = near[last]
    found: dict[str, int] = {}
    for j, name in enumerate(names, 1):
        if not name:
            below = any(row[j - 1] is not None for row in rows[top + 1 :])
            if j > 1 and below:
                raise DataError(f"column {j} of {path} has no name; name it")
            continue
        if name in found:
            raise DataError(
                f"{path} has two columns named {name!r}; rename one"
            )
        found[name] = j
    return list(found), list(found.values()), top


def _save(book: Any, path: str) -> None:
    """Saves a workbook without the time: the same cells, the same bytes."""
    content = io.BytesIO()
    book.save(content)
    with (
        zipfile.ZipFile(content) as made,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for name in made.namelist():
            part = made.read(name)
            if name == "docProps/core.xml":
                part = re.sub(
                    rb"(<dcterms:modified[^>]*>)[^<]*",
                    rb"\g<1>" + f"{LONG_AGO:%Y-%m-%dT%H:%M:%SZ}".encode(),
                    part,
                )
            plain = zipfile.ZipInfo(name, LONG_AGO.timetuple()[:6])
            file.writestr(plain, part, zipfile.ZIP_DEFLATED)
