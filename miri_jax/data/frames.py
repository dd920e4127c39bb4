"""Frames of pandas, polars and others, and NumPy arrays, in and out.

Each comes as a pandas frame with its way back: a function from the filled frame
to what came, with its gaps filled and all else as it was.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from miri_jax.data.tables import missing_cells

Back = Callable[[pd.DataFrame], Any]


def is_frame(table: Any) -> bool:
    """Whether a table is a frame of pandas, or of what narwhals knows."""
    return isinstance(table, pd.DataFrame) or nw.dependencies.is_into_dataframe(
        table
    )


def from_frame(
    table: Any,
    missing_values: Sequence[Any] = (),
    gaps: np.ndarray | None = None,
) -> tuple[pd.DataFrame, Back]:
    """A frame in pandas, and the way back.

    Args:
      table: `[n, c]`, see `is_frame`.
      missing_values: see `tables.missing_cells`.
      gaps: `[n, c]` bool, the cells that will change; None for the missing.
    """
    if isinstance(table, pd.DataFrame):
        return table, lambda filled: filled
    outer = nw.from_native(table, eager_only=True)
    frame = outer.to_pandas()
    if gaps is None:
        gaps = missing_cells(frame, missing_values)
    return frame, lambda filled: _to_native(filled, gaps, outer)


def from_array(array: np.ndarray) -> tuple[pd.DataFrame, Back]:
    """An array `[n, c]` of any type as a frame, and the way back.

    Floats come back in their precision, others in the type that holds all
    columns.
    """
    frame = pd.DataFrame(array)
    if array.dtype == object:
        frame = frame.infer_objects()
    kind = array.dtype if array.dtype.kind == "f" else None

    def back(filled: pd.DataFrame) -> np.ndarray:
        out = filled.to_numpy()
        return out.astype(kind) if kind is not None else out

    return frame, back


def cast(series: pd.Series, dtype: str) -> pd.Series:
    """To a type by its name, where the values fit it."""
    try:
        return series.astype(dtype)
    except (TypeError, ValueError):
        return series


def _to_native(filled: pd.DataFrame, missing: np.ndarray, outer: Any) -> Any:
    """The frame that came with its gaps filled, all else as it is."""
    series = functools.partial(nw.new_series, backend=outer.implementation)
    made = []
    for j, (name, kind) in enumerate(outer.schema.items()):
        gaps = missing[:, j]
        if not gaps.any():
            continue
        cast = int if kind.is_integer() else lambda cell: cell
        cells = [
            cast(cell) if gap else None
            for cell, gap in zip(filled.iloc[:, j].tolist(), gaps)
        ]
        here = series(name, gaps.tolist(), nw.Boolean())
        new = series(name, cells, kind)
        if new.dtype != kind:  # dates come as times
            new = new.cast(kind)
        made.append(new.zip_with(here, outer[name]))
    return outer.with_columns(*made).to_native()
