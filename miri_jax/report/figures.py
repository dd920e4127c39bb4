"""The pictures of pages of images and of tables that come from no file.

No pyplot, which keeps figures alive, and margins set by hand: a layout found
by trial takes as long as drawing.
"""

import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import dates, font_manager
from matplotlib.figure import Figure

from miri_jax.core.rows import spaced
from miri_jax.data import AmputatedTable, ImageSet
from miri_jax.data.images import mean_pixels
from miri_jax.report.facts import (
    DAY,
    MAX_COLUMNS,
    View,
    with_filled,
)
from miri_jax.report.text import shorten

OBSERVED, IMPUTED, TRUE = "#4c566a", "#d08770", "#5e81ac"
PALE = "#e5e9f0"
# Images in a grid, and what their gaps are shown as.
MAX_IMAGES, GREY = 10, np.uint8(128)
# Dates that matplotlib can put on an axis with a margin around them.
FIRST_DATE, LAST_DATE = -59_000_000_000, 220_000_000_000


def label(view: View, limit: int = 20) -> str:
    """A column's name in a figure: its number, where the font lacks a letter.

    A name may hold a dollar, which would start mathematics.
    """
    return _drawable(view.name, limit) or f"column {view.number}"


def _drawable(name: str, limit: int = 20) -> str:
    """A name as figures take it; "" where the font lacks a letter."""
    name = shorten(name, limit)
    lacks = not _letters().issuperset(map(ord, name))
    return "" if lacks else name.replace("$", r"\$")


def pairs_picture(dataset: AmputatedTable, filled: np.ndarray) -> Figure | None:
    """Density of the first two columns: true, filled by mean, filled (Fig. 1).

    Only where there are just two columns.
    """
    if dataset.m.shape[1] != 2:
        return None
    mean_fill = dataset.restore(np.zeros(dataset.m.shape))
    panels = {
        "truth": dataset.truth,
        "filled with the mean": mean_fill,
        "filled by this run": filled,
    }
    figure, axes = _panels(3, 3, (3.3, 3.6), sharex=True, sharey=True)
    low, high = dataset.truth.min(axis=0), dataset.truth.max(axis=0)
    bins = [np.linspace(low[k], high[k], 61) for k in range(2)]
    counts = {k: np.histogram2d(*v.T, bins=bins)[0] for k, v in panels.items()}
    # One scale for all, set by the truth, so that panels can be compared.
    top = counts["truth"].max()
    for axis, (title, count) in zip(axes.flat, counts.items()):
        axis.pcolormesh(*bins, count.T, cmap="magma", vmin=0, vmax=top)
        axis.set_title(title)
        axis.set_xlabel(dataset.columns[0])
    axes.flat[0].set_ylabel(dataset.columns[1])
    return figure


def images_picture(dataset: ImageSet, draws: Sequence[np.ndarray]) -> Figure:
    """A few images: true, with gaps, two draws, mean (Figures 3, 5 to 7)."""
    shown = spaced(len(dataset.m), MAX_IMAGES)
    grey = np.where(dataset.m, dataset.values, GREY)
    rows = {"true": dataset.truth, "with gaps": grey, "a draw": draws[0]}
    if len(draws) > 1:
        rows["another"] = draws[1]
        rows[f"mean of {len(draws)}"] = mean_pixels(draws)
    rows = {k: images for k, images in rows.items() if images is not None}
    return image_grid({k: images[shown] for k, images in rows.items()})


def image_grid(rows: dict[str, np.ndarray], left: float = 1.0) -> Figure:
    """Rows of images side by side.

    Args:
      rows: by name, `[k, h, w, 3]` each, uint8 or within [0, 1].
      left: inches for the names.
    """
    count, side = len(next(iter(rows.values()))), 0.9
    size = left + side * count, side * len(rows)
    figure = Figure(figsize=size)
    axes = figure.subplots(len(rows), count, squeeze=False)
    figure.subplots_adjust(left / size[0], 0, 1, 1, 0.04, 0.04)
    for line, (name, images) in zip(axes, rows.items()):
        for axis, image in zip(line, images):
            axis.imshow(image, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def columns_picture(views: Sequence[View]) -> Figure | None:
    """Histograms of observed and imputed numbers, column by column."""
    shown = [v for v in with_filled(views, MAX_COLUMNS) if v.levels is None]
    if not shown:
        return None
    figure, axes = _panels(len(shown), 3, (3.4, 2.1))
    for axis, view in zip(axes.flat, shown):
        _histograms(axis, view)
    first = axes.flat[0]
    first.set_ylim(top=1.5 * first.get_ylim()[1])
    first.legend(frameon=False, fontsize=8, loc="upper right")
    return figure


def trace_picture(trace: Sequence[dict[str, Any]]) -> Figure | None:
    """Loss, MMD and MI over iterations; what was not measured is left out."""
    labels = {
        "psnr": "PSNR of X(t) (dB)",
        "ssim": "SSIM of X(t)",
        "mi": "mutual information (nats)",
        "conditional_mi": "conditional MI (nats)",
        "mmd": "MMD to the truth",
    }
    series = {}
    for name in ("loss", "mmd", "mi", "conditional_mi", "psnr", "ssim"):
        points = [(row["iteration"], row[name]) for row in trace if name in row]
        points = [point for point in points if np.isfinite(point[1])]
        if len(points) > 1:
            series[name] = np.array(points)
    if not series:
        return None
    figure, axes = _panels(len(series), 3, (3.4, 2.6))
    for axis, (name, points) in zip(axes.flat, series.items()):
        axis.plot(*points.T, color=TRUE, marker="o", markersize=3)
        axis.set_title(labels.get(name, f"training {name}"), fontsize=10)
        axis.set_xlabel("iteration")
        axis.locator_params(axis="x", integer=True)
        low, high = points[:, 1].min(), points[:, 1].max()
        axis.set_ylim(min(0, low), 1.08 * max(1e-3, high))
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    # Of these pictures stronger packing saves 6% and takes half the time.
    pack = {"compress_level": 1}
    figure.savefig(buffer, format="png", dpi=130, pil_kwargs=pack)
    return buffer.getvalue()


@functools.cache
def _letters() -> frozenset[int]:
    """The letters of matplotlib's font: others would be empty boxes."""
    path = font_manager.findfont(font_manager.FontProperties())
    return frozenset(font_manager.get_font(path).get_charmap())


def _panels(
    count: int, columns: int, size: tuple[float, float], **shared: bool
) -> tuple[Figure, np.ndarray]:
    """A figure of `count` panels of `size` (width, height) in inches."""
    width, height = min(count, columns), -(-count // columns)
    figure = Figure(figsize=(size[0] * width, size[1] * height))
    axes = figure.subplots(height, width, squeeze=False, **shared)
    left, right, top, bottom = 0.6, 0.15, 0.35, 0.55
    inner = size[0] - left - right, size[1] - top - bottom
    figure.subplots_adjust(
        left=left / figure.get_figwidth(),
        right=1 - right / figure.get_figwidth(),
        top=1 - top / figure.get_figheight(),
        bottom=bottom / figure.get_figheight(),
        wspace=(left + right) / inner[0],
        hspace=(top + bottom) / inner[1],
    )
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes


def _histograms(axis: Any, view: View) -> None:
    edges = _bin_edges(view)
    places = edges
    if view.kind == "datetime":
        places = _date_axis(axis, edges, view.clock)
    else:
        axis.locator_params(axis="x", nbins=4)
    groups = [("observed", view.observed, OBSERVED, True)]
    if view.truth is not None:
        groups.append(("true, hidden", view.truth, TRUE, False))
    groups.append(("imputed", view.imputed.ravel(), IMPUTED, False))
    for name, sample, colour, solid in groups:
        if len(sample):
            axis.stairs(
                np.histogram(sample, edges)[0] / len(sample),
                places,
                label=name,
                color=colour,
                fill=solid,
                alpha=0.35 if solid else 1,
                linewidth=1.4,
            )
    axis.set_title(label(view, 34), fontsize=10)
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)


def _date_axis(axis: Any, seconds: np.ndarray, clock: bool) -> np.ndarray:
    """Places `[k]` of times on an axis that shows them as dates, or clocks."""
    if seconds[0] < FIRST_DATE or seconds[-1] > LAST_DATE:
        axis.locator_params(axis="x", nbins=4)
        axis.set_xlabel("year")
        return 1970 + seconds / (365.2425 * DAY)
    locator = dates.AutoDateLocator(minticks=3, maxticks=5)
    axis.xaxis.set_major_locator(locator)
    shown = dates.ConciseDateFormatter(locator)
    shown = dates.DateFormatter("%H:%M") if clock else shown
    axis.xaxis.set_major_formatter(shown)
    return seconds / DAY


def _bin_edges(view: View) -> np.ndarray:
    """Edges `[k]` of a histogram of at most 40 bins."""
    samples = [view.observed, view.imputed.ravel()]
    if view.truth is not None:
        samples.append(view.truth)
    values = np.concatenate(samples)
    low, high = values.min(), values.max()
    inner = np.quantile(values, [0.005, 0.995])
    if high - low > 3 * (inner[1] - inner[0]) > 0:
        low, high = inner
    # Few values in many bins look like a comb.
    fewest = min(len(x) for x in samples if len(x))
    most = int(np.clip(2 * np.sqrt(fewest), 8, 40))
    count = (high - low) / view.unit + 1 if view.unit else np.inf
    if 1 < count < np.inf:
        # As many units in each bin, for the same reason.
        per_bin = np.ceil(count / most)
        low = np.floor(low / view.unit) * view.unit
        bins = np.arange(np.ceil(count / per_bin) + 1)
        return low + (bins * per_bin - 0.5) * view.unit
    if low == high:
        margin = 0.05 * abs(low) or 0.5
        low, high = low - margin, high + margin
    return np.linspace(low, high, most + 1)
