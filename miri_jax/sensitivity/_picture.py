"""The picture of a tipping point."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LINE, TIPS, PALE = "#4c566a", "#d08770", "#e5e9f0"


def picture(found: Any, ax: Axes | None = None) -> Axes:
    """A pooled estimate over what filled cells were changed by.

    Over one delta the estimate with its interval, and dashed lines where the
    conclusion tips; over two a heat map of the estimate, and the curve.

    Args:
      found: a `TippingPoint`.
      ax: where to draw; None for a new figure.

    Returns:
      The `Axes`.
    """
    if ax is None:
        ax = Figure(figsize=(6, 4), layout="constrained").subplots()
    draw = _line if len(found.axes) == 1 else _map
    draw(found, ax)
    ax.set_xlabel(_plain(found.axes[0]))
    return ax


def _line(found: Any, ax: Axes) -> None:
    at = found.deltas[:, 0]
    marker = "o" if len(at) == 1 else None
    ax.fill_between(at, found.low, found.high, color=PALE)
    ax.plot(at, found.estimate, color=LINE, marker=marker)
    ax.axhline(found.null, color=LINE, linewidth=0.8)
    for tip in found.tips:
        ax.axvline(tip, color=TIPS, linestyle="--")
        ax.annotate(
            f"{tip:.3g}",
            (tip, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -10),
            textcoords="offset points",
            color=TIPS,
        )
    ax.set_ylabel(f"{_estimate(found)}, {found.level:.0%} interval")


def _map(found: Any, ax: Axes) -> None:
    x, y = (np.unique(column) for column in found.deltas.T)
    shape = len(x), len(y)
    mesh = ax.pcolormesh(
        x, y, found.estimate.reshape(shape).T, cmap="cividis", shading="nearest"
    )
    ax.figure.colorbar(mesh, ax=ax, label=_estimate(found))
    if min(shape) > 1:
        for end in (found.low, found.high):
            apart = (end - found.null).reshape(shape).T
            if apart.min() <= 0 < apart.max():
                ax.contour(x, y, apart, [0.0], colors=TIPS, linewidths=2)
    ax.set_ylabel(_plain(found.axes[1]))


def _estimate(found: Any) -> str:
    return "estimate" if found.term is None else _plain(found.term)


def _plain(name: Any) -> str:
    """A name that starts no mathematics."""
    return str(name).replace("$", r"\$")
