"""Data sets in parts: a folder of files or one large file, by some rows.

Columns and types of all parts are the same, but for those of which a part has
no cell, and for whole numbers among others.
"""

import contextlib
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from miri_jax.data.forms import write_text
from miri_jax.data.packing import arrow_file
from miri_jax.data.plain import pandas_type
from miri_jax.data.tables import missing_cells
from miri_jax.data.texts import read_text
from miri_jax.endings import PARTS, ending_of
from miri_jax.exceptions import DataError, NonFiniteError, first_line

# Rows that are in memory at a time, and those of a part of a large file.
ROWS, PART_ROWS = 65_536, 1_000_000


class Part(NamedTuple):
    """A part of a data set.

    Attributes:
      name: of the file that it is filled to, below the folder of all.
      path: of the file that holds it.
      groups: of the file, its groups of rows from one to before another; None
        for all.
      text: how a text file is read, see `texts.read_text`.
    """

    name: str
    path: str
    groups: tuple[int, int] | None = None
    text: Mapping[str, Any] = {}


def find_parts(path: str, text: Mapping[str, Any] | None = None) -> list[Part]:
    """The parts of a folder, in the order of their names, or of a large file.

    Names that begin with a point or a low line stand for no parts, as in other
    tools.

    Args:
      path: the folder, with folders in it, or a Parquet file.
      text: how text files are read, where it is not found out.

    Raises:
      DataError: where there are none, or of two kinds.
    """
    root = pathlib.Path(path)
    if root.is_file():
        return [
            Part(f"part-{k:05}.parquet", str(root.absolute()), groups)
            for k, groups in enumerate(_groups(str(root)), 1)
        ]
    found: dict[str, str] = {}
    for one in sorted(root.rglob("*")):
        name = one.relative_to(root)
        hidden = any(x.startswith((".", "_")) for x in name.parts)
        if not hidden and one.is_file():
            with contextlib.suppress(DataError):
                ending = ending_of(one.name)
                if ending in PARTS:
                    found[name.as_posix()] = ending
    kinds = sorted({*found.values()})
    if not kinds:
        raise DataError(
            f"{path} holds no parts; give a folder of {' or '.join(PARTS)}"
            " files"
        )
    if len(kinds) > 1:
        raise DataError(
            f"{path} holds {' and '.join(kinds)} files; give a folder of one"
            " kind"
        )
    given = dict(text or {}) if kinds[0] != ".parquet" else {}
    return [
        Part(name, str((root / name).absolute()), None, given) for name in found
    ]


def _groups(path: str) -> Iterator[tuple[int, int]]:
    """Groups of rows of a large file, together `PART_ROWS` or more."""
    with _parquet(path) as file:
        rows, begin = 0, 0
        for k in range(file.num_row_groups):
            rows += file.metadata.row_group(k).num_rows
            if rows >= PART_ROWS or k == file.num_row_groups - 1:
                yield begin, k + 1
                rows, begin = 0, k + 1


def is_text(part: Part) -> bool:
    """Whether a part is a text file, which is in memory as a whole."""
    return ending_of(part.path) != ".parquet"


def weight_of(part: Part) -> int:
    """The rows of a part; of a text file its bytes, which go with them."""
    if is_text(part):
        return pathlib.Path(part.path).stat().st_size
    with _parquet(part.path) as file:
        return _rows_of(file, part)


def _rows_of(file: pq.ParquetFile, part: Part) -> int:
    if part.groups is None:
        return file.metadata.num_rows
    groups = map(file.metadata.row_group, range(*part.groups))
    return sum(group.num_rows for group in groups)


def types_of(part: Part) -> pa.Schema:
    """Names and types of a part's columns; those of text are text.

    Raises:
      DataError: naming a file that cannot be read.
    """
    if is_text(part):
        return _types_of_text(read_text(part.path, **part.text)[0])
    with _parquet(part.path) as file:
        return file.schema_arrow.remove_metadata()


def _types_of_text(frame: pd.DataFrame) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in frame.columns])


def together(types: pa.Schema, part: Part, seen: pa.Schema | None) -> pa.Schema:
    """The types of the columns of some parts and another.

    Whole numbers and others are numbers together, and a column without any
    cell is of any type.

    Args:
      types: of the other part.
      part: the other.
      seen: those of the parts before; None for none.

    Raises:
      DataError: naming the part and the first column that differs.
    """
    names = types.names
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{part.path} has two columns named {twice!r}; rename one"
        )
    if seen is None:
        return types
    for here, there, what in (
        (seen.names, names, "lacks the column"),
        (names, seen.names, "has, unlike other parts, a column"),
    ):
        more = [name for name in here if name not in there]
        if more:
            raise DataError(
                f"{part.path} {what} {more[0]!r}; give parts of the same"
                " columns"
            )
    if names != seen.names:
        raise DataError(
            f"{part.path} has its columns in another order than other parts;"
            " give all in one order"
        )
    return pa.schema([_joined(*pair, part) for pair in zip(types, seen)])


def _joined(field: pa.Field, before: pa.Field, part: Part) -> pa.Field:
    pair = [pa.schema([one.with_nullable(True)]) for one in (before, field)]
    numbers = [
        pa.types.is_integer(x.type) or pa.types.is_floating(x.type)
        for x in (before, field)
    ]
    nothing = [pa.types.is_null(x.type) for x in (before, field)]
    if any(nothing) or all(numbers) or before.type == field.type:
        with contextlib.suppress(pa.ArrowInvalid, pa.ArrowTypeError):
            made = pa.unify_schemas(pair, promote_options="permissive")
            return made.field(0)
    raise DataError(
        f"column {field.name!r} is {field.type} in {part.path} and"
        f" {before.type} in other parts; give parts of the same types"
    )


def frames_of(
    part: Part, types: pa.Schema, rows: int = ROWS
) -> Iterator[pd.DataFrame]:
    """The cells of a part, some rows after others.

    Args:
      part: which.
      types: of the columns of all parts, see `together`.
      rows: how many at a time.

    Raises:
      DataError: naming a file that cannot be read, or has other columns.
    """
    if is_text(part):
        frame = read_text(part.path, **part.text)[0]
        yield from _rows_of_text(frame, part, types, rows)
        return
    with _parquet(part.path) as file:
        schema = _schema(file.schema_arrow, part, types)
        groups = None if part.groups is None else [*range(*part.groups)]
        try:
            # By threads, the file would be read ahead.
            for batch in file.iter_batches(rows, groups, use_threads=False):
                if batch.schema != schema:
                    batch = batch.cast(schema)
                yield batch.to_pandas(types_mapper=pandas_type)
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(part.path, error) from None


def _rows_of_text(
    frame: pd.DataFrame, part: Part, types: pa.Schema, rows: int
) -> Iterator[pd.DataFrame]:
    together(_types_of_text(frame), part, types)
    for begin in range(0, len(frame), rows):
        yield frame.iloc[begin : begin + rows]


def _schema(schema: pa.Schema, part: Part, types: pa.Schema) -> pa.Schema:
    """A part's types, with those of all where it has no cell of a column."""
    together(schema.remove_metadata(), part, types)
    for k, field in enumerate(schema):
        if pa.types.is_null(field.type):
            schema = schema.set(k, field.with_type(types.field(k).type))
    return schema


def write_part(
    part: Part,
    paths: Sequence[str],
    types: pa.Schema,
    fill: Callable[[pd.DataFrame, str], Sequence[pd.DataFrame]],
    *,
    na_values: Sequence[Any] = (),
    with_gaps: Collection[Any] = (),
    rows: int = ROWS,
) -> tuple[int, int]:
    """Fills a part, each draw to a file in the form that it came in.

    Args:
      part: which.
      paths: of files to write, one for each draw.
      types: see `frames_of`.
      fill: gives of some rows, and a name for them, a filled frame for each
        draw.
      na_values: cells that mean "missing".
      with_gaps: columns that may keep gaps.
      rows: how many at a time.

    Returns:
      How many rows it has, and how many cells were filled.

    Raises:
      DataError: naming what cannot be filled.
      NonFiniteError: if a gap was not filled.
    """
    count = [0, 0]

    def filled(
        frames: Iterator[pd.DataFrame],
    ) -> Iterator[tuple[pd.DataFrame, Sequence[pd.DataFrame]]]:
        for k, frame in enumerate(frames):
            draws = fill(frame, f"{part.name} {k}")
            whole = ~frame.columns.isin([*with_gaps])
            before = missing_cells(frame, na_values)
            for one in draws:
                after = missing_cells(one, na_values)
                if after[:, whole].any():
                    raise NonFiniteError(
                        f"a gap of {part.path} was not filled; nothing is"
                        " written"
                    )
            count[0] += len(frame)
            count[1] += int((before & ~after).sum())
            yield frame, draws

    if is_text(part):
        frame, form, _ = read_text(part.path, **part.text)
        made = [*filled(_rows_of_text(frame, part, types, rows))]
        for k, path in enumerate(paths):
            cells = ((draws[k], _new(came, draws[k])) for came, draws in made)
            write_text(path, cells, form)
        return count[0], count[1]
    with _parquet(part.path) as file:
        schema = _schema(file.schema_arrow, part, types)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(pq.ParquetWriter(path, schema))
            for path in paths
        ]
        for _, draws in filled(frames_of(part, types, rows)):
            for writer, one in zip(writers, draws):
                writer.write_table(_as_table(one, schema, part))
    return count[0], count[1]


def _new(came: pd.DataFrame, filled: pd.DataFrame) -> np.ndarray:
    return came.to_numpy(object) != filled.to_numpy(object)


def _as_table(frame: pd.DataFrame, schema: pa.Schema, part: Part) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"{part.path} cannot hold what fills it ({first_line(error)});"
            " give parts of the same types"
        ) from None


def _parquet(path: str) -> pq.ParquetFile:
    """A Parquet file; buffered ahead, it would all be in memory at the end."""
    try:
        return pq.ParquetFile(arrow_file(path), pre_buffer=False)
    except FileNotFoundError:
        raise DataError(f"no such file: {path}") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as parquet: {first_line(error)}")
