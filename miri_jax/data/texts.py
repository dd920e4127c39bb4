"""Text files of tables: bytes become cells.

Of a file, its `Form` keeps what its cells do not tell: encoding, line ends,
quotes and all lines that are no rows.
"""

import io
import lzma
import zlib
from collections.abc import Collection

import numpy as np
import pandas as pd

from miri_jax.data.cells import is_number
from miri_jax.data.encodings import decode
from miri_jax.data.forms import Form, rows_text
from miri_jax.data.heads import HEAD, find_names, find_units
from miri_jax.data.lines import (
    Lines,
    Masked,
    even_ends,
    find_lines,
    find_separator,
    mask_quotes,
    table_start,
)
from miri_jax.data.packing import read_bytes
from miri_jax.endings import SEPARATORS, ending_of
from miri_jax.exceptions import DataError, first_line
from miri_jax.notes import Note

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


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
      path: the file; .gz and the like are unpacked.
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
    names, top = _find_names(text, lines, separator, top, back)
    rows = np.arange(top + 1, len(lines.counts))
    if len(names) > 1:  # else a blank line is a gap
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
    width = _width(path, text, lines, rows, len(names), separator)
    frame = _parse(path, text, lines, rows, separator, width, chunk)
    frame, form = _in_columns(
        path, frame, names, form, back, lines.counts[rows]
    )
    return frame, form, _notes(path, form, usual, given, encoding, top, lines)


def without_units(
    frame: pd.DataFrame, form: Form, marks: Collection[str]
) -> tuple[pd.DataFrame, Form, list[Note]]:
    """A table without first rows of units, which are put above its rows.

    Args:
      frame: as `read_text` gives it, as is `form`.
      form: of the file.
      marks: cells that mean missing.
    """
    count, notes = find_units(frame, marks)
    if not count:
        return frame, form, []
    none = np.zeros((count, frame.shape[1]), bool)
    above = rows_text(0, frame.iloc[:count], none, form, {})
    after = {k - count: text for k, text in form.between.items() if k >= count}
    form = form._replace(
        between={**after, 0: above + after.get(0, "")},
        ends={k - count: end for k, end in form.ends.items() if k >= count},
        quoted={
            name: cells.iloc[count:].reset_index(drop=True)
            for name, cells in form.quoted.items()
        },
        labels=None if form.labels is None else form.labels.iloc[count:],
        tails=None if form.tails is None else form.tails[count:],
    )
    return frame.iloc[count:].reset_index(drop=True), form, notes


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
        return read_bytes(path)
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
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
    if start + 1 < len(full) and lines.counts[full[start]] > width:
        # A title may have more cells than the table, as those of loggers.
        below = _cells_of(text, lines, full[start + 1], separator)
        named = all(below) and not any(is_number(x.strip('"')) for x in below)
        start += len(below) == width == len({*below}) and named
    for k in range(start, min(start + 20, len(full)) if width > 2 else 0):
        line = text[lines.starts[full[k]] : lines.starts[full[k] + 1]]
        cells = [cell.strip() for cell in line.split(separator.encode())]
        if all(cells):
            return int(full[k])
        if any(cells[1:]):
            break
        # A title, with empty cells after it as spreadsheets have them.
    return int(full[start])


def _find_names(
    text: bytes, lines: Lines, separator: str, top: int, back: dict[str, str]
) -> tuple[list[str], int]:
    """The names of columns, and the line that they end in."""
    full = np.flatnonzero(~lines.blank)
    at = int(np.searchsorted(full, top))
    near = full[max(at - 1, 0) : at + HEAD]
    rows = [
        [_name_of(x, back) for x in _cells_of(text, lines, k, separator)]
        for k in near
    ]
    names, last = find_names(rows, min(at, 1))
    own = max(lines.counts[near[last]], sum(map(bool, names)))
    return names[:own], int(near[last])


def _cells_of(
    text: bytes, lines: Lines, line: int, separator: str
) -> list[str]:
    start, stop = lines.starts[line : line + 2]
    return text[start : stop - 1].decode().split(separator)


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
    names: list[str],
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
    if not any(found):
        raise DataError(
            f"{path} has no header: its first line is empty; write the columns'"
            " names into it"
        )
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
        about["separator"] = form.separator.replace("\t", "tab")
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
