"""Columns that tell where gaps were, beside a filled table."""

from collections.abc import Hashable, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.lib import recfunctions

PREFIX = "missingindicator_"  # as scikit-learn has it


def flag_name(name: Hashable) -> Hashable:
    """What the column is called that tells of a column's gaps."""
    if isinstance(name, tuple):  # of several levels
        return (f"{PREFIX}{name[0]}", *name[1:])
    return f"{PREFIX}{name}"


def with_flags(table: Any, gaps: np.ndarray, names: Sequence[Hashable]) -> Any:
    """A filled table with a column for each of some columns' gaps.

    Args:
      table: `[n, c]`, a frame or an array.
      gaps: `[n, k]` bool.
      names: k names.

    Returns:
      `[n, c + k]`; logical values in frames, 0 and 1 in arrays of numbers.
    """
    if isinstance(table, pd.DataFrame):
        added = pd.DataFrame(gaps, index=table.index)
        added.columns = pd.Index(names)
        parts = {k: table.iloc[:, k] for k in range(table.shape[1])}
        more = {table.shape[1] + k: added.iloc[:, k] for k in range(len(names))}
        out = pd.DataFrame({**parts, **more}, index=table.index)
        out.columns = table.columns.append(added.columns)
        return out
    if not isinstance(table, np.ndarray):
        outer = nw.from_native(table, eager_only=True)
        made = [
            nw.new_series(
                name, gap.tolist(), nw.Boolean(), backend=outer.implementation
            )
            for name, gap in zip(names, gaps.T)
        ]
        return outer.with_columns(*made).to_native()
    if table.dtype.names is not None:
        return recfunctions.append_fields(
            table, list(names), list(gaps.T), usemask=np.ma.isMA(table)
        )
    stack = np.ma.hstack if np.ma.isMA(table) else np.hstack
    return stack([table, gaps.astype(table.dtype)])
