"""Axes on which no column is one bar: plain, by logarithm, or by rank."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.report.facts import View
from miri_jax.report.text import value_text

# An axis is taken where most numbers span at least that share of it, of a
# plain one and of one by logarithm, and no bin of so many holds more of them.
PLAIN, LOG, BINS, ONE_BIN = 0.2, 0.12, 30, 0.5
TICKS = 4
# Steps between round times, the finest first.
DATES = (
    *(("m", k) for k in (1, 5, 15, 30)),
    *(("h", k) for k in (1, 3, 6, 12)),
    *(("D", k) for k in (1, 2, 7, 14)),
    *(("M", k) for k in (1, 3, 6)),
    *(("Y", k) for k in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
)


class Scale(NamedTuple):
    """Where numbers stand on an axis.

    Attributes:
      kind: "plain", "log" or "ranks".
      values: `[k]` increasing, their logarithms where `kind` is "log".
      places: `[k]`, where these stand, from 0 to 1; between them by line.
    """

    kind: str
    values: np.ndarray
    places: np.ndarray

    def place(self, x: np.ndarray) -> np.ndarray:
        """Where numbers stand, from 0 to 1; what is beyond, at the end."""
        if self.kind == "log":
            x = np.log(np.maximum(x, np.finfo(float).tiny))
        return np.interp(x, self.values, self.places)

    def value(self, places: np.ndarray) -> np.ndarray:
        """What stands at some places."""
        found = np.interp(places, self.places, self.values)
        return np.exp(found) if self.kind == "log" else found


def scale_of(values: np.ndarray, among: np.ndarray | None = None) -> Scale:
    """The first scale on which numbers are spread over the axis.

    Args:
      values: `[n]`, at least one.
      among: what else is to have a place.
    """
    every = values if among is None else np.concatenate([values, among])
    plain = _plain(every)
    if _spread(plain, values, PLAIN):
        return plain
    if every.min() > 0:
        log = Scale("log", np.log([every.min(), every.max()]), np.arange(2.0))
        if _spread(log, values, LOG):
            return log
    quantiles = np.quantile(values, np.linspace(0, 1, 41))
    ends = [every.min(), every.max()]
    knots, counts = np.unique(
        np.concatenate([quantiles, ends]), return_counts=True
    )
    if len(knots) < 3:
        return plain
    # A value that many cells have takes the place of one step, not of many.
    return Scale("ranks", knots, np.linspace(0, 1, len(knots)))


def bins_of(
    observed: np.ndarray, draws: Sequence[np.ndarray], unit: float, bins: int
) -> tuple[Scale, np.ndarray]:
    """The scale, and the edges of bins, for observed and imputed numbers.

    Args:
      observed: `[k]`.
      draws: of each draw `[q]`.
      unit: what numbers are multiples of; 0 for nothing.
      bins: at most about so many, and the fewer the fewer numbers there are.
    """
    every = np.concatenate([observed, *draws])
    scale = scale_of(observed if len(observed) else every, every)
    fewest = min((len(x) for x in (observed, *draws) if len(x)), default=1)
    count = int(np.clip(2 * np.sqrt(fewest), 8, bins))
    return scale, edges_of(scale, unit, count)


def edges_of(scale: Scale, unit: float, count: int) -> np.ndarray:
    """Edges `[k]` of at most about `count` bins, as numbers.

    Args:
      scale: the axis.
      unit: all numbers are multiples of it; 0 where it is not known. Then a
        bin holds whole units, else a flat distribution looks like a comb.
      count: of bins.
    """
    if scale.kind == "plain" and unit:
        low, high = scale.values
        units = np.floor((high - low) / unit + 0.5) + 1
        if units < 1e9:
            each = np.ceil(units / count)
            bins = np.arange(np.ceil(units / each) + 1)
            return low + (bins * each - 0.5) * unit
    edges = scale.value(np.linspace(0, 1, count + 1))
    if unit:
        inner = (np.round(edges / unit) + 0.5) * unit
        first = (np.round(edges[0] / unit) - 0.5) * unit
        edges = np.concatenate([[first], inner])
    edges = np.unique(edges)
    # A narrow bin would stand out by its height.
    places, kept = scale.place(edges), [0]
    for k in range(1, len(edges)):
        if places[k] - places[kept[-1]] >= 0.6 / count:
            kept.append(k)
    kept[-1] = len(edges) - 1 if len(kept) > 1 else kept[-1]
    return edges[kept] if len(kept) > 1 else edges[[0, -1]]


def ticks_of(view: View, scale: Scale) -> list[tuple[float, str]]:
    """Places on an axis, and what stands there, as text."""
    if scale.kind == "plain" and view.kind == "datetime":
        if dates := _round_dates(*scale.values):
            return [(float(scale.place(x)), text) for x, text in dates]
    if scale.kind == "plain" and view.kind != "datetime":
        at = _round_numbers(*scale.values)
    elif scale.kind == "log":
        at = _powers(*np.exp(scale.values))
    else:
        at = scale.value(np.linspace(0.0, 1.0, TICKS))
        if view.unit and np.all(at / view.unit < 1e15):
            at = np.round(at / view.unit) * view.unit
    return [
        (float(scale.place(x)), value_text(view, x).partition(" ")[0])
        for x in at
    ]


def _plain(values: np.ndarray) -> Scale:
    low, high = values.min(), values.max()
    if low == high:
        margin = 0.05 * abs(low) or 0.5
        low, high = low - margin, high + margin
    return Scale("plain", np.array([low, high]), np.arange(2.0))


def _spread(scale: Scale, values: np.ndarray, least: float) -> bool:
    """Whether most numbers are not in one place of an axis."""
    places = scale.place(values)
    bins = np.minimum(places * BINS, BINS - 1).astype(int)
    fullest = np.bincount(bins).max() / len(values)
    span = np.subtract(*np.quantile(places, [0.95, 0.05]))
    return bool(span >= least and fullest <= ONE_BIN)


def _round_numbers(low: float, high: float) -> np.ndarray:
    """A few round numbers between two."""
    rough = (high - low) / (TICKS + 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(k for k in (1, 2, 2.5, 5, 10) if k * power >= rough) * power
    first, last = np.ceil(low / step), np.floor(high / step)
    if not last - first < 10:  # Apart by less than numbers are exact.
        return np.array([low, high])
    # Zero without a sign.
    return np.arange(first, last + 1) * step + 0.0


def _round_dates(low: float, high: float) -> list[tuple[float, str]]:
    """A few round times between two, and how they are written; [] for none.

    Args:
      low: in seconds since 1970.
      high: likewise.
    """
    for unit, step in DATES:
        first, last = (
            np.datetime64(int(x), "s").astype(f"M8[{unit}]").astype(int)
            for x in (np.ceil(low) - 1, np.floor(high))
        )
        # Years are counted from 1970.
        shift = 1970 % step if unit == "Y" else 0
        ends = (first + shift) // step + 1, (last + shift) // step + 1
        if 2 <= ends[1] - ends[0] <= TICKS + 1:
            steps = np.arange(*ends) * step - shift
            at = steps.astype(f"M8[{unit}]")
            # Of a time of day, but for midnight, the date is left out.
            texts = [
                str(x).removesuffix("T00:00").rpartition("T")[2]
                for x in at.astype("M8[m]" if unit == "h" else at.dtype)
            ]
            seconds = at.astype("M8[s]").astype(float)
            return list(zip(seconds.tolist(), texts))
    return []


def _powers(low: float, high: float) -> np.ndarray:
    """A few round numbers between two, evenly by their logarithm."""
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1.0,) if np.log10(high) - np.log10(low) > 2 else (1.0, 2.0, 5.0)
    at = np.concatenate([step * 10.0**decades for step in steps])
    at = np.sort(at[(at >= low) & (at <= high)])
    if len(at) < 2:
        return np.array([low, high])
    return at[:: -(-len(at) // (TICKS + 1))]
