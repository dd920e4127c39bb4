"""The report's pictures as figures of matplotlib: axes in, axes out.

    draws = MIRIImputer(n_imputations=5).fit(frame).imputations(frame)
    plots.distribution(axes, frame, draws, "age")

Gaps are the cells of the frame that pandas takes as missing; cells that a draw
leaves empty are not drawn.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.exceptions import DataError
from miri_jax.report.facts import View
from miri_jax.report.partners import cells
from miri_jax.report.scales import Scale, bins_of
from miri_jax.report.sections import bars_of, groups_of

OBSERVED, IMPUTED = "#7f8ca3", "#c2570c"
BINS = 36


def distribution(
    axes: Any,
    frame: pd.DataFrame,
    draws: Sequence[pd.DataFrame],
    column: Hashable,
) -> Any:
    """Observed against imputed values, a line for each draw; levels: bars.

    Args:
      axes: of matplotlib.
      frame: the table with gaps.
      draws: filled tables of the same rows.
      column: its name.

    Returns:
      The axes.

    Raises:
      DataError: if there is no such column, or a draw has other rows.
    """
    view = _view(frame, draws, column)
    axes.set_xlabel(str(column).replace("$", r"\$"))
    if view.levels is not None:
        return _bars(axes, view)
    filled = [view.filled(k) for k in range(len(draws))]
    scale, edges = bins_of(view.observed, filled, 0.0, BINS)
    _set_scale(axes, scale)
    for k, x in enumerate([view.observed, *filled], -1):
        if not len(x):
            continue
        shares = np.histogram(x, edges)[0] / len(x)
        axes.stairs(
            shares / np.diff(scale.place(edges)),
            edges,
            fill=k < 0,
            color=OBSERVED if k < 0 else IMPUTED,
            alpha=0.6 if k < 0 else 0.8,
            label={-1: "observed", 0: "imputed"}.get(k),
        )
    axes.set_yticks([])
    axes.legend(frameon=False)
    return axes


def relation(
    axes: Any,
    frame: pd.DataFrame,
    draw: pd.DataFrame,
    column: Hashable,
    other: Hashable,
) -> Any:
    """A column against another, rows where it is imputed marked.

    Args:
      axes: of matplotlib.
      frame: the table with gaps.
      draw: a filled table of the same rows.
      column: the name of the one that goes up.
      other: of the one across; only rows where it is observed are drawn.

    Returns:
      The axes.

    Raises:
      DataError: see `distribution`.
    """
    views = [_view(frame, [draw], name) for name in (other, column)]
    places, shown = [], ~views[0].missing
    for view, axis in zip(views, (axes.xaxis, axes.yaxis)):
        places.append(cells(view))
        shown &= ~np.isnan(places[-1])
        if view.levels is not None:
            axis.set_ticks(range(len(view.levels)), view.levels)
    for name, rows, colour in (
        ("observed", ~views[1].missing, OBSERVED),
        ("imputed", views[1].missing, IMPUTED),
    ):
        x, y = (place[rows & shown] for place in places)
        axes.scatter(x, y, s=9, alpha=0.7, color=colour, label=name)
    axes.set_xlabel(str(other).replace("$", r"\$"))
    axes.set_ylabel(str(column).replace("$", r"\$"))
    axes.legend(frameon=False)
    return axes


def missing(
    axes: Any, frame: pd.DataFrame, column: Hashable, other: Hashable
) -> Any:
    """How much of a column is missing, by the observed values of another.

    Args:
      axes: of matplotlib.
      frame: the table with gaps.
      column: the name of the one whose gaps are counted.
      other: of the other; numbers are cut into fifths.

    Returns:
      The axes.

    Raises:
      DataError: if there is no such column.
    """
    view, by = (_view(frame, [frame], name) for name in (column, other))
    groups = groups_of(view, by)
    names = [group.name for group in groups]
    axes.barh(names, [group.missing for group in groups], color=IMPUTED)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share missing", ylabel=str(other))
    return axes


def _view(
    frame: pd.DataFrame, draws: Sequence[pd.DataFrame], column: Hashable
) -> View:
    if column not in frame.columns:
        raise DataError(f"there is no column {column!r}; name one of the table")
    if any(len(draw) != len(frame) for draw in draws):
        raise DataError(
            "a draw has other rows than the table; give draws of this table"
        )
    gaps = frame[column].isna().to_numpy()
    parts = [frame[column][~gaps], *(draw[column][gaps] for draw in draws)]
    levels = None
    kind = "real"
    if pd.api.types.is_datetime64_any_dtype(frame[column]):
        kind = "datetime"
        values = [
            pd.to_datetime(x).to_numpy("datetime64[s]").astype(float)
            for x in parts
        ]
        known = [x.notna().to_numpy() for x in parts]
        values = [np.where(k, x, np.nan) for k, x in zip(known, values)]
    elif pd.api.types.is_numeric_dtype(
        frame[column]
    ) and not pd.api.types.is_bool_dtype(frame[column]):
        values = [x.to_numpy(float, na_value=np.nan) for x in parts]
    else:
        kind, found = (
            "categorical",
            pd.Index(pd.concat(parts).dropna().unique()),
        )
        levels = tuple(map(str, found))
        places = [found.get_indexer(pd.Index(x)) for x in parts]
        values = [np.where(x < 0, np.nan, x) for x in places]
    imputed = np.stack(values[1:])
    stays = np.isnan(imputed)
    return View(
        1,
        str(column),
        kind,
        gaps,
        values[0],
        np.where(stays, 0.0, imputed),
        levels,
        stays=stays if stays.any() else None,
    )


def _bars(axes: Any, view: View) -> Any:
    """Shares of levels, and what draws span."""
    bars = bars_of(view, np.arange(len(view.levels)), view.levels)
    places = np.arange(len(bars))
    axes.bar(
        places - 0.2,
        [bar.observed for bar in bars],
        0.4,
        color=OBSERVED,
        label="observed",
    )
    imputed = np.array([bar.imputed for bar in bars])
    spans = np.array([[bar.low, bar.high] for bar in bars]).T
    axes.bar(
        places + 0.2,
        imputed,
        0.4,
        color=IMPUTED,
        yerr=np.maximum(np.abs(spans - imputed), 0),
        label="imputed",
    )
    axes.set_xticks(places, view.levels, rotation=30, ha="right")
    axes.set_ylabel("share")
    axes.legend(frameon=False)
    return axes


def _set_scale(axes: Any, scale: Scale) -> None:
    if scale.kind == "log":
        axes.set_xscale("log")
    elif scale.kind == "ranks":
        axes.set_xscale("function", functions=(scale.place, scale.value))
