"""What a data set in parts is fitted to: rows of all its parts."""

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from miri_jax.app.workers import Each
from miri_jax.data.parts import Part, frames_of, together, types_of, weight_of
from miri_jax.data.tables import missing_cells
from miri_jax.exceptions import DataError
from miri_jax.runtime import interrupt

ROWS = 100_000
# A column of more levels, or of more numbers, keeps those that were drawn; of
# each column so many cells are observed, if there are.
MOST_LEVELS, MOST_NUMBERS, LEAST_CELLS = 1000, 20, 50


class Sample(NamedTuple):
    """Rows of a data set.

    Attributes:
      frame: the rows.
      rows: how many the data set has.
      drawn: how many were drawn at random; the others hold what these lack.
    """

    frame: pd.DataFrame
    rows: int
    drawn: int


class _Seen(NamedTuple):
    """What a part holds.

    Attributes:
      rows: how many.
      chosen: numbers of rows that were drawn.
      drawn: these rows.
      levels: of columns with few, each and the first row that holds it.
      cells: of each column the first rows where it is observed.
    """

    rows: int
    chosen: np.ndarray
    drawn: pd.DataFrame
    levels: dict[str, dict[Any, int]]
    cells: dict[str, list[int]]


def types_of_all(parts: Sequence[Part], each: Each) -> tuple[pa.Schema, int]:
    """The types of all parts, and their weights together, see `data.parts`.

    Raises:
      DataError: naming the part that cannot be read, or differs.
    """
    found = dict(each(_extent, [(part,) for part in parts]))
    types = None
    for k, part in enumerate(parts):  # in the order of their names
        types = together(found[k][0], part, types)
    return types, sum(weight for _, weight in found.values())


def _extent(part: Part) -> tuple[pa.Schema, int]:
    return types_of(part), weight_of(part)


def draw_sample(
    parts: Sequence[Part],
    types: pa.Schema,
    weight: int,
    each: Each,
    *,
    rows: int = ROWS,
    seed: int = 0,
    na_values: Sequence[Any] = (),
) -> Sample:
    """Rows of all parts, each with its share, and a row of each rare level.

    A part's rows are drawn at random without replacement. A level that none of
    them holds, of a column with few, comes with the first row that does; a
    column with few observed cells among them gets `LEAST_CELLS`, if there are.

    Args:
      parts: of the data set.
      types: of their columns, see `types_of_all`, as is `weight`.
      weight: of all parts.
      each: does work of parts.
      rows: how many are drawn, or all; of each part one at least.
      seed: of the choice.
      na_values: cells that mean "missing".

    Raises:
      DataError: where there are no rows.
    """
    share = rows / max(weight, 1)
    asked = [(part, types, share, seed, na_values) for part in parts]
    seen = dict(each(_look, asked))
    total = sum(one.rows for one in seen.values())
    if not total:
        raise DataError(
            f"{parts[0].path} has columns but no rows"
            + (", as all other parts have" if len(parts) > 1 else "")
        )
    drawn = [seen[k].drawn for k in range(len(parts))]
    frame = pd.concat([x for x in drawn if len(x)], ignore_index=True)
    count = len(frame)
    if count == total:
        return Sample(frame, total, count)
    wanted = _lacking(frame, [seen[k] for k in range(len(parts))], na_values)
    asked = [(parts[k], types, [*rows]) for k, rows in wanted.items()]
    more = dict(each(take_rows, asked))
    frame = pd.concat(
        [frame, *(more[k] for k in range(len(more)))], ignore_index=True
    )
    return Sample(frame, total, count)


def _frames(part: Part, types: pa.Schema) -> Iterator[pd.DataFrame]:
    for frame in frames_of(part, types):
        interrupt.stop_if_requested()
        yield frame


def _look(
    part: Part,
    types: pa.Schema,
    share: float,
    seed: int,
    na_values: Sequence[Any],
) -> _Seen:
    levels: dict[str, dict[Any, int]] = {name: {} for name in types.names}
    cells: dict[str, list[int]] = {name: [] for name in types.names}
    rows = 0
    for frame in _frames(part, types):
        known = ~missing_cells(frame, na_values)
        for j, name in enumerate(frame.columns):
            observed = np.flatnonzero(known[:, j])
            few = LEAST_CELLS - len(cells[name])
            cells[name] += (rows + observed[:few]).tolist()
            if name in levels:
                _add_levels(
                    levels, name, frame.iloc[observed, j], rows + observed
                )
        rows += len(frame)
    rng = np.random.default_rng([seed, zlib.crc32(part.name.encode())])
    count = min(math.ceil(share * weight_of(part)), rows)
    chosen = np.sort(rng.choice(rows, count, replace=False, shuffle=False))
    drawn = take_rows(part, types, chosen)
    return _Seen(rows, chosen, drawn, levels, cells)


def _add_levels(
    levels: dict[str, dict[Any, int]],
    name: str,
    cells: pd.Series,
    rows: np.ndarray,
) -> None:
    """Adds the levels of some cells, or leaves a column alone that has many."""
    most = _most(cells)
    try:
        first = ~cells.duplicated().to_numpy()
        if first.sum() <= most:
            for row, level in zip(rows[first].tolist(), cells[first]):
                levels[name].setdefault(level, row)
    except TypeError:  # lists and the like are no levels
        del levels[name]
        return
    if max(first.sum(), len(levels[name])) > most:
        del levels[name]


def _most(cells: pd.Series) -> int:
    kind = cells.dtype
    number = pd.api.types.is_numeric_dtype(kind)
    if number and not pd.api.types.is_bool_dtype(kind):
        return MOST_NUMBERS
    return MOST_LEVELS


def take_rows(
    part: Part, types: pa.Schema, chosen: Sequence[int] | np.ndarray
) -> pd.DataFrame:
    """Rows of a part by their numbers, which ascend."""
    found, start = [], 0
    for frame in _frames(part, types):
        low, high = np.searchsorted(chosen, (start, start + len(frame)))
        found.append(frame.iloc[np.asarray(chosen[low:high], int) - start])
        start += len(frame)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _lacking(
    frame: pd.DataFrame, seen: Sequence[_Seen], na_values: Sequence[Any]
) -> dict[int, list[int]]:
    """By part the rows that hold what the rows of a sample do not."""
    wanted: dict[int, set[int]] = {}
    known = ~missing_cells(frame, na_values)
    for j, name in enumerate(frame.columns):
        few = LEAST_CELLS - int(known[:, j].sum())
        if few > 0:
            places = [
                (k, row)
                for k, one in enumerate(seen)
                for row in sorted({*one.cells[name]} - {*one.chosen.tolist()})
            ]
            for k, row in places[:few]:
                wanted.setdefault(k, set()).add(row)
        if not all(name in one.levels for one in seen):
            continue
        levels: dict[Any, tuple[int, int]] = {}
        for k, one in enumerate(seen):
            for level, row in one.levels[name].items():
                levels.setdefault(level, (k, row))
        if len(levels) > _most(frame.iloc[:, j]):
            continue
        for level in levels.keys() - {*frame.iloc[known[:, j], j]}:
            k, row = levels[level]
            wanted.setdefault(k, set()).add(row)
    return {k: sorted(rows) for k, rows in sorted(wanted.items())}
