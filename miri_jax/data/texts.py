"""Text files of tables: read into cells, written back to the byte.

Of a file, `Form` keeps what its cells do not tell: encoding, line ends, quotes
and all lines that are no rows. `write_text` puts cells into it again.
"""

import gzip
import io
import zlib
from collections.abc import Hashable, Iterable
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data.cells import is_number
from miri_jax.data.encodings import Encoding, decode
from miri_jax.data.lines import (
    Lines,
    Masked,
    even_ends,
    find_lines,
    find_separator,
    mask_quotes,
    table_start,
)
from miri_jax.data.notes import Note
from miri_jax.endings import SEPARATORS, ending_of
from miri_jax.exceptions import DataError, first_line

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


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


def read_text(
    path: str,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    skip_rows: int | None = None,
    chunk: int = 100_000,
) -> tuple[pd.DataFrame, Form, list[Note]]:
    """All cells of a text file as str, their form, and notes.

    Args:
      path: the file; .gz is unpacked.
      separator: between two cells; None to find it.
      encoding: a codec's name; None to find it.
      skip_rows: how many lines are above the header; None to find them.
      chunk: how many rows are parsed at a time.

    Raises:
      DataError: naming the line, column or setting at fault and the remedy.
    """
    separator = _check(separator, skip_rows)
    text, coding = decode(path, _content(path), encoding)
    if not text.strip():
        raise DataError(f"{path} is empty; it needs a header and rows")
    usual = SEPARATORS[ending_of(path)]
    given, separator = separator, separator or find_separator(path, text, usual)
    text, back = mask_quotes(path, text, separator)
    text, end, ends = even_ends(text)
    lines = find_lines(text, separator)
    top = _find_header(path, text, lines, separator, skip_rows)
    start, stop = lines.starts[top : top + 2]
    header = text[start : stop - 1].decode().split(separator)
    rows = np.arange(top + 1, len(lines.counts))
    if len(header) > 1:  # else a blank line is a gap
        rows = rows[~lines.blank[rows]]
    if not len(rows):
        raise DataError(f"{path} has a header but no rows")
    masked = Masked(text, back)
    form = Form(
        coding,
        separator,
        end,
        {int(k): ends[r] for k, r in enumerate(rows) if r in ends}
        if ends
        else {},
        _between(masked, lines, rows, end, ends),
    )
    width = _width(path, text, lines, rows, len(header), separator)
    frame = _parse(path, text, lines, rows, separator, width, chunk)
    frame, form = _in_columns(
        path, frame, header, form, back, lines.counts[rows]
    )
    return frame, form, _notes(path, form, usual, given, encoding, top, lines)


def write_text(
    path: str, parts: Iterable[tuple[pd.DataFrame, np.ndarray]], form: Form
) -> None:
    """Writes parts of a table's cells into the form that they came in.

    Args:
      path: the file; .gz is packed.
      parts: of rows, in their order: cells as str `[n, c]`, and which `[n, c]`
        bool are new.
      form: as read.
    """
    with open(path, "wb") as file:
        packed = path.lower().endswith(".gz")
        # Without a name and a time, the same table gives the same bytes.
        out = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if packed else file
        out.write(form.encoding.mark)
        quotes = {name: _all_quoted(s) for name, s in form.quoted.items()}
        start = 0
        for frame, new in parts:
            _write_rows(out, start, frame, new, form, quotes)
            start += len(frame)
        out.write(form.encoding.encode(form.between.get(start, "")))
        if packed:
            out.close()


def _write_rows(
    out: BinaryIO,
    start: int,
    frame: pd.DataFrame,
    new: np.ndarray,
    form: Form,
    quotes: dict[Hashable, bool],
) -> None:
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
    text = "".join(
        form.between.get(k, "") + line + form.ends.get(k, form.end)
        for k, line in enumerate(lines, start)
    )
    out.write(form.encoding.encode(text))


def _quote(cell: str, separator: str, always: bool) -> str:
    """A cell in quotes, where it needs them or all others have them."""
    if always or any(c in cell for c in (separator, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _all_quoted(cells: pd.Series) -> bool:
    """Whether all cells are quoted, but those that are empty or NA."""
    text = cells[~cells.isin(["", "NA", "NULL"])]
    return bool(len(text)) and bool(text.str.startswith('"').all())


def _check(separator: str | None, skip_rows: int | None) -> str | None:
    """The separator that is given by a character or a word.

    Raises:
      DataError: naming the setting that cannot be.
    """
    separator = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
    if separator is not None and (
        len(separator) != 1
        or not separator.isascii()
        or separator.isalnum()
        or separator in '"\r\n.-+'
    ):
        raise DataError(
            f"separator is {separator!r}; give one character, such as ; or tab",
            about=("separator",),
        )
    if skip_rows is not None and skip_rows < 0:
        raise DataError(
            f"skip_rows is {skip_rows}; give how many lines are above the"
            " header, 0 or more",
            about=("skip_rows",),
        )
    return separator


def _content(path: str) -> bytes:
    try:
        if path.lower().endswith(".gz"):
            with gzip.open(path) as file:
                return file.read()
        with open(path, "rb") as file:
            return file.read()
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as a table: {first_line(error)}"
        ) from None


def _find_header(
    path: str, text: bytes, lines: Lines, separator: str, skip: int | None
) -> int:
    """The number of the line that is the header."""
    full = np.flatnonzero(~lines.blank)
    if skip is not None:
        full = full[full >= skip]
        if not len(full):
            raise DataError(
                f"{path} has {len(lines.counts)} lines, so that none is left"
                f" below the first {skip}; give a smaller skip_rows",
                about=("skip_rows",),
            )
        return int(full[0])
    if text.startswith(b"sep=") and len(full) > 1:
        full = full[1:]
    start, width = table_start(lines.counts[full])
    while width > 2 and start + 1 < len(full):
        here, below = (
            text[lines.starts[k] : lines.starts[k + 1]].split(
                separator.encode()
            )
            for k in full[start : start + 2]
        )
        title = here[0].strip() and not b"".join(here[1:]).strip()
        if not title or not all(x.strip() for x in below):
            break
        start += 1  # a title, padded as spreadsheets do
    return int(full[start])


def _between(
    masked: Masked, lines: Lines, rows: np.ndarray, end: str, ends: dict
) -> dict[int, str]:
    """The text of lines that are no rows, by the row that follows."""
    other = np.setdiff1d(np.arange(len(lines.counts)), rows)
    found: dict[int, str] = {}
    for k, row in zip(other.tolist(), np.searchsorted(rows, other).tolist()):
        line = masked.text[lines.starts[k] : lines.starts[k + 1] - 1].decode()
        line = masked.unmask(line) + ends.get(k, end)
        found[row] = found.get(row, "") + line
    return found


def _width(
    path: str,
    text: bytes,
    lines: Lines,
    rows: np.ndarray,
    width: int,
    separator: str,
) -> int:
    """How many cells rows have: the header's, or one more.

    Raises:
      DataError: naming the first row that has too many.
    """
    counts = lines.counts[rows]
    longer = np.flatnonzero(counts > width)
    if not len(longer):
        return width
    if counts.max() == width + 1:
        ends = lines.starts[rows[longer] + 1] - 2
        if (np.frombuffer(text, np.uint8)[ends] == ord(separator)).all():
            return width + 1
        if counts.min() == width + 1 and len(counts) > 2:
            first = [
                text[lines.starts[r] : lines.starts[r + 1]].partition(
                    separator.encode()
                )[0]
                for r in rows
            ]
            if len(set(first)) == len(first):
                return width + 1  # names of rows, as R writes them
    raise DataError(
        f"{path} cannot be read as a table: line {rows[longer[0]] + 1} has"
        f" {counts[longer[0]]} cells, and the header has {width}"
    )


def _parse(
    path: str,
    text: bytes,
    lines: Lines,
    rows: np.ndarray,
    separator: str,
    width: int,
    chunk: int,
) -> pd.DataFrame:
    """The cells of rows; by parts, as parsing takes several times their size.

    Rows shorter than the header end in empty cells.
    """
    start = lines.starts[rows[0]]
    if len(rows) == len(lines.counts) - rows[0]:
        text = text[start:]
    else:
        text = b"".join(
            text[lines.starts[r] : lines.starts[r + 1]] for r in rows
        )
    with pd.read_csv(
        io.BytesIO(text),
        sep=separator,
        header=None,
        names=range(width),
        index_col=False,
        dtype=str,
        na_filter=False,
        quoting=3,
        skip_blank_lines=False,
        encoding="utf-8",
        lineterminator="\n",
        chunksize=chunk,
    ) as parts:
        return pd.concat([part.fillna("") for part in parts])


def _in_columns(
    path: str,
    frame: pd.DataFrame,
    header: list[str],
    form: Form,
    back: dict[str, str],
    counts: np.ndarray,
) -> tuple[pd.DataFrame, Form]:
    """Cells without quotes by the names of their columns."""
    came = {}
    for j in frame:
        if back and frame[j].str.contains('"', regex=False).any():
            cells = frame[j].str.translate(str.maketrans(back))
            came[j] = cells
            parts = cells.str.extract(r'(?s)^"((?:[^"]|"")*)"(.*)$')
            inner = parts[0].str.replace('""', '"', regex=False) + parts[1]
            frame[j] = inner.fillna(cells)
    names = [_name_of(x, back) for x in header]
    if frame.shape[1] > len(names):
        last = frame.iloc[:, -1].str.strip().eq("").all()
        names = [*names, ""] if last else ["", *names]
    tail = len(names)
    while tail > 1 and not names[tail - 1]:
        if not frame[tail - 1].str.strip().eq("").all():
            break
        tail -= 1
    if tail < len(names):
        form = form._replace(tails=_tails(frame, tail, counts, form.separator))
    labels = (
        tail > 1
        and not names[0]
        and not all(is_number(name) for name in names[1:tail])
    )
    if labels:
        form = form._replace(labels=came.get(0, frame[0]))
    kept = range(int(labels), tail)
    _check_names(path, names, kept, form.separator)
    frame = frame.iloc[:, kept.start : kept.stop].set_axis(
        [names[k] for k in kept], axis=1
    )
    quoted = {names[k]: came[k] for k in kept if k in came}
    return frame, form._replace(quoted=quoted)


def _name_of(cell: str, back: dict[str, str]) -> str:
    cell = cell.translate(str.maketrans(back)) if back else cell
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        cell = cell[1:-1].replace('""', '"')
    return cell.strip()


def _tails(
    frame: pd.DataFrame, tail: int, counts: np.ndarray, separator: str
) -> np.ndarray:
    """What is after the last column: separators, as many as came."""
    cells = frame.iloc[:, tail:].to_numpy(object)
    return np.array(
        [
            "".join(separator + cell for cell in row[: max(n - tail, 0)])
            for row, n in zip(cells, counts)
        ],
        object,
    )


def _check_names(
    path: str, names: list[str], kept: range, separator: str
) -> None:
    """Refuses names that are numbers, empty or there twice."""
    found = [names[k] for k in kept]
    if all(is_number(name) for name in found):
        raise DataError(
            f"{path} has no header: its first line is"
            f" {separator.join(found)[:60]!r}; put a line with the columns'"
            " names above it, or, where these are the names, a letter into one"
            " of them"
        )
    for k in kept:
        if not names[k]:
            raise DataError(f"column {k + 1} of {path} has no name; name it")
        if names[k] in names[kept.start : k]:
            raise DataError(
                f"{path} has two columns named {names[k]!r}; rename one"
            )


def _notes(
    path: str,
    form: Form,
    usual: str,
    separator: str | None,
    encoding: str | None,
    top: int,
    lines: Lines,
) -> list[Note]:
    """What was found in the file that is not as usual."""
    found, about = [], {}
    coding = form.encoding
    if not coding.plain and encoding is None:
        found.append(f"text in {coding.name}")
        if not coding.told:
            found[-1] += ", which is a guess"
            about["encoding"] = coding.name
    if form.separator != usual and separator is None:
        name = NAMES.get(form.separator, repr(form.separator))
        found.append(f"{name} between its cells")
        about["separator"] = form.separator
    above = int((~lines.blank[:top]).sum())
    if above:
        found.append(f"{above} line(s) above its header")
        about["skip_rows"] = str(top)
    if form.labels is not None:
        found.append("a first column without a name, taken for names of rows")
    if not found:
        return []
    said = "; ".join(found)
    return [Note(f"{path} has {said}: written back as it came", **about)]
