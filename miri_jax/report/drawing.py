"""Geometry of the page's pictures: paths and places in SVG's units.

Templates turn them into marks, whose colours follow the reader's scheme. A
picture is `WIDTH` wide, about what a phone shows, so that its text stays as
large as the page's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.report.facts import View
from miri_jax.report.scales import Scale, bins_of, scale_of, ticks_of
from miri_jax.report.text import shorten

WIDTH, HEIGHT = 360, 128
# Left of a scatter stand numbers.
LEFT, RIGHT, TOP = 8, 352, 8
BASE = HEIGHT - 20
SCATTER_LEFT, SCATTER_HEIGHT = 56, 236
# Draws that have a line each; of more, what they span.
LINES = 8
# How much higher than what is observed a picture may be.
HIGHER = 2.5
# Levels that have a strip each, and how high.
STRIPS, STRIP = 6, 44
# Letters that fit above a strip.
LETTERS = 48
# What axes are, in words.
AXES = {
    "plain": "",
    "log": "logarithmic axis: each step multiplies",
    "ranks": "axis by rank: as many observed cells on each part of it",
}


class Tick(NamedTuple):
    """A text and where it stands, and how: start, middle or end."""

    place: float
    text: str
    anchor: str


class Histogram(NamedTuple):
    """Observed against imputed numbers.

    Attributes:
      observed: a path, to be filled.
      draws: paths, a line for each draw; of many draws the middle one.
      band: what many draws span, to be filled; "" for few.
      ticks: below the axis.
      axis: what it is, where it is not plain.
    """

    observed: str
    draws: list[str]
    band: str
    ticks: list[Tick]
    axis: str


class Scatter(NamedTuple):
    """Two columns against each other.

    Attributes:
      height: of the picture.
      observed: a path, a point for each row where both are observed.
      imputed: likewise where the first is imputed, in the first draw.
      across: ticks below.
      up: ticks at the left; none of strips.
      names: levels of strips, and where they stand.
      axes: what they are, where they are not plain.
    """

    height: int
    observed: str
    imputed: str
    across: list[Tick]
    up: list[Tick]
    names: list[Tick]
    axes: list[str]


def histogram(
    view: View, observed: np.ndarray, draws: Sequence[np.ndarray], bins: int
) -> Histogram | None:
    """Observed numbers against those of each draw; None where there are none.

    Args:
      view: the column.
      observed: `[k]`, those of its numbers that are to be shown.
      draws: likewise, of each draw.
      bins: at most about so many.
    """
    draws = [x for x in draws if len(x)]
    every = np.concatenate([observed, *draws])
    if not len(every):
        return None
    scale, edges = bins_of(observed, draws, view.unit, bins)
    if scale.kind == "plain":
        # From edge to edge: half a unit more than from number to number.
        scale = scale._replace(values=edges[[0, -1]])
    places = scale.place(edges)
    heights = [_heights(x, edges, places) for x in (observed, *draws)]
    top = max(h.max() for h in heights) or 1.0
    if len(observed):
        # Few imputed cells make high bars; what is observed stays visible.
        top = min(top, HIGHER * heights[0].max())
    x = LEFT + (RIGHT - LEFT) * places
    steps = [BASE - (BASE - TOP) * np.minimum(h / top, 1) for h in heights]
    lines, band = steps[1:], ""
    if len(lines) > LINES:
        every = np.stack(lines)
        band = _band(x, every.min(axis=0), every.max(axis=0))
        lines = [np.median(every, axis=0)]
    return Histogram(
        _area(x, steps[0]) if len(observed) else "",
        [_steps(x, line) for line in lines],
        band,
        _across(view, scale, LEFT),
        AXES[scale.kind],
    )


def scatter(
    view: View,
    other: View,
    pairs: np.ndarray,
    imputed: np.ndarray,
) -> Scatter | None:
    """A column against another, one of them of numbers; None of two of levels.

    Args:
      view: the column whose imputed cells are marked.
      other: goes across, where it has numbers.
      pairs: `[k, 2]`, cells of the column and of the other.
      imputed: `[k]` bool, those where the column is imputed.
    """
    if not len(pairs) or (view.levels is not None and other.levels is not None):
        return None
    if view.levels is None and other.levels is None:
        return _points(view, other, pairs, imputed)
    if view.levels is None:
        return _strips(other, view, pairs[:, ::-1], imputed)
    return _strips(view, other, pairs, imputed)


def bars(shares: np.ndarray) -> str:
    """A path of bars side by side, as high as shares; 1 / their number: half.

    Args:
      shares: `[k]`, of 1.
    """
    width = (RIGHT - LEFT) / len(shares)
    high = np.minimum(np.asarray(shares) * len(shares) / 2, 1)
    return "".join(
        f"M{LEFT + k * width + 1:.1f} {BASE}V{BASE - (BASE - TOP) * h:.1f}"
        f"h{width - 2:.1f}V{BASE}Z"
        for k, h in enumerate(high)
    )


def curve(points: np.ndarray, lowest: float, highest: float) -> str:
    """A path through points `[k, 2]`, between two heights."""
    x, y = points.T
    across = LEFT + (RIGHT - LEFT) * (x - x.min()) / max(np.ptp(x), 1e-9)
    span = max(highest - lowest, 1e-12)
    up = BASE - (BASE - TOP) * (y - lowest) / span
    return f"M{'L'.join(f'{a:.1f} {b:.1f}' for a, b in zip(across, up))}"


def _points(
    view: View, other: View, pairs: np.ndarray, imputed: np.ndarray
) -> Scatter:
    base = SCATTER_HEIGHT - 20
    up, across = (scale_of(pairs[:, k]) for k in (0, 1))
    x = SCATTER_LEFT + (RIGHT - SCATTER_LEFT) * across.place(pairs[:, 1])
    y = base - (base - TOP) * up.place(pairs[:, 0])
    ticks = [
        Tick(round(base - (base - TOP) * place, 1), text, "end")
        for place, text in ticks_of(view, up)
    ]
    axes = [
        f"{way}: {AXES[scale.kind]}"
        for way, scale in (("Across", across), ("Up", up))
        if AXES[scale.kind]
    ]
    return Scatter(
        SCATTER_HEIGHT,
        _dots(x[~imputed], y[~imputed]),
        _dots(x[imputed], y[imputed]),
        _across(other, across, SCATTER_LEFT),
        ticks,
        [],
        axes,
    )


def _strips(
    levels: View, numbers: View, pairs: np.ndarray, imputed: np.ndarray
) -> Scatter:
    """Numbers across, a strip for each of the most frequent levels."""
    shown, counts = np.unique(pairs[:, 0], return_counts=True)
    shown = shown[np.argsort(-counts, kind="stable")[:STRIPS]]
    shown = np.sort(shown) if levels.kind == "ordinal" else shown
    scale = scale_of(pairs[:, 1])
    x = LEFT + (RIGHT - LEFT) * scale.place(pairs[:, 1])
    # Steps of the golden section: near points are far apart in height.
    height = np.arange(len(pairs)) * 0.618034 % 1
    y, names = np.full(len(pairs), np.nan), []
    for k, level in enumerate(shown):
        top = k * STRIP + 17
        here = pairs[:, 0] == level
        y[here] = top + (STRIP - 22) / 2 * (height[here] + imputed[here])
        name = shorten(levels.levels[int(level)], LETTERS)
        names.append(Tick(top - 4, name, "start"))
    drawn = ~np.isnan(y)
    axis = AXES[scale.kind]
    return Scatter(
        len(shown) * STRIP + 22,
        _dots(x[drawn & ~imputed], y[drawn & ~imputed]),
        _dots(x[drawn & imputed], y[drawn & imputed]),
        _across(numbers, scale, LEFT),
        [],
        names,
        [f"Across: {axis}"] if axis else [],
    )


def _across(view: View, scale: Scale, left: float) -> list[Tick]:
    """Ticks below an axis, those at its ends within the picture."""
    found: list[Tick] = []
    free = 0.0
    for place, text in ticks_of(view, scale):
        at = left + (RIGHT - left) * place
        width = 7.0 * len(text)
        anchor = "middle"
        if at - width / 2 < left - 6:
            anchor, begin = "start", at
        elif at + width / 2 > WIDTH:
            anchor, begin = "end", at - width
        else:
            begin = at - width / 2
        if begin >= free:
            found.append(Tick(round(at, 1), text, anchor))
            free = begin + width + 8
    return found


def _heights(
    values: np.ndarray, edges: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Shares in bins by their width on the page."""
    if not len(values):
        return np.zeros(len(edges) - 1)
    shares = np.histogram(values, edges)[0] / len(values)
    width = np.diff(places)
    return np.where(width > 0, shares / np.where(width > 0, width, 1), 0)


def _steps(x: np.ndarray, y: np.ndarray) -> str:
    """A path of steps, `[k + 1]` edges and `[k]` heights."""
    parts = [f"M{x[0]:.1f} {BASE}"]
    parts += [f"V{h:.1f}H{right:.1f}" for h, right in zip(y, x[1:])]
    return "".join(parts) + f"V{BASE}"


def _area(x: np.ndarray, y: np.ndarray) -> str:
    return _steps(x, y) + "Z"


def _band(x: np.ndarray, high: np.ndarray, low: np.ndarray) -> str:
    """Between two lines of steps."""
    there = "".join(f"V{h:.1f}H{right:.1f}" for h, right in zip(high, x[1:]))
    back = "".join(
        f"V{h:.1f}H{left:.1f}" for h, left in zip(low[::-1], x[:-1][::-1])
    )
    return f"M{x[0]:.1f} {high[0]:.1f}{there}{back}Z"


def _dots(x: np.ndarray, y: np.ndarray) -> str:
    return "".join(f"M{a:.0f} {b:.0f}h0" for a, b in zip(x, y))
