"""Files of JSON objects, one a line."""

import datetime
import json
import re
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.data.objects import Objects
from miri_jax.data.packing import read_bytes, written
from miri_jax.exceptions import DataError, first_line

# Lists and objects in one another that a cell may have.
MOST_DEPTH = 100


def read_lines(path: str) -> Objects:
    """A table of a file's objects; a name that one lacks is a gap of it.

    Raises:
      DataError: naming the line at fault.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except Exception as error:  # of a damaged file, any kind
        raise DataError(
            f"{path} cannot be read as JSON lines: {first_line(error)}"
        ) from None
    lines, names = [], {}
    for k, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"line {k} of {path} is no JSON: {first_line(error)}"
            ) from None
        if _depth(line) > MOST_DEPTH:
            raise DataError(
                f"line {k} of {path} is nested more than {MOST_DEPTH} deep;"
                " leave out what is so, or write it as text"
            )
        if "\\ud" in line.lower():
            _refuse_halves(path, k, found)
        if not isinstance(found, dict):
            raise DataError(
                f"line {k} of {path} is no object; write one on each line, as"
                ' {"age": 31}'
            )
        lines.append(found)
        names |= dict.fromkeys(found)
    if not lines or not names:
        raise DataError(f"{path} has no rows")
    made = {}
    for name in names:
        column = np.empty(len(lines), object)
        column[:] = [line.get(name) for line in lines]
        made[name] = column
    return Objects(pd.DataFrame(made, dtype=object), lines=lines)


def _depth(line: str) -> int:
    """Lists and objects in one another, or more where text has brackets."""
    opened = line.count("[") + line.count("{")
    if opened <= MOST_DEPTH:
        return opened
    deepest = depth = 0
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"|[][{}]', line):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark, 0)
        deepest = max(deepest, depth)
    return deepest


def _refuse_halves(path: str, k: int, found: Any) -> None:
    """Refuses halves of characters, which no file of text can hold."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.start + 1]
        raise DataError(
            f"line {k} of {path} holds half of a character ({ascii(half)[1:-1]}"
            "); leave it out, or write both halves"
        ) from None


def write_lines(path: str, source: Objects, cells: pd.DataFrame) -> None:
    """Writes objects anew, with new cells in what were gaps of them."""
    columns = {name: cells[name].to_numpy(object) for name in cells}
    made = []
    for k, line in enumerate(source.lines):
        new = {name: column[k] for name, column in columns.items()}
        new = {n: x for n, x in new.items() if x is not None or n in line}
        made.append({**line, **new})
    _write(path, made)


def new_lines(path: str, frame: pd.DataFrame) -> None:
    """Writes each row of a table as an object; an empty cell is null."""
    columns = [frame[name].astype(object).tolist() for name in frame]
    names = [str(name) for name in frame.columns]
    _write(path, [dict(zip(names, row)) for row in zip(*columns)])


def _write(path: str, objects: list[dict[str, Any]]) -> None:
    with written(path) as file:
        for line in objects:
            text = json.dumps(
                {name: _plain(x) for name, x in line.items()},
                ensure_ascii=False,
            )
            file.write(text.encode() + b"\n")


def _plain(cell: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(cell, np.ndarray):
        return [_plain(x) for x in cell.tolist()]
    if isinstance(cell, list | tuple):
        return [_plain(x) for x in cell]
    if isinstance(cell, dict):
        return {str(name): _plain(x) for name, x in cell.items()}
    if cell is pd.NaT or cell is pd.NA:
        return None
    if isinstance(cell, np.generic):
        return _plain(cell.item())
    if isinstance(cell, float):
        return None if np.isnan(cell) else cell
    if isinstance(cell, datetime.datetime):
        date = cell.isoformat()
        return date.removesuffix("T00:00:00")
    if cell is None or isinstance(cell, str | bool | int):
        return cell
    return str(cell)
