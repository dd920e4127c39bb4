"""What was measured over the iterations, as curves."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from miri_jax.report.drawing import curve

TITLES = {
    "loss": "training error (loss)",
    "mmd": "distance to the true distribution (MMD)",
    "mi": "what tells filled cells from others (mutual information)",
    "conditional_mi": "what filled cells tell of having been gaps (conditional"
    " mutual information)",
}


class Curve(NamedTuple):
    """A quantity over the iterations, the first and last of which are told."""

    title: str
    path: str
    first: int
    last: int
    begin: float
    end: float


def curves_of(trace: Sequence[dict[str, Any]]) -> list[Curve]:
    """Curves of what was measured more than once.

    Args:
      trace: the lines of metrics.jsonl.
    """
    found = []
    for name, title in TITLES.items():
        rows = [(row["iteration"], row[name]) for row in trace if name in row]
        points = np.array([row for row in rows if np.isfinite(row[1])])
        if len(points) < 2:
            continue
        values = points[:, 1]
        path = curve(points, min(0, values.min()), max(1e-3, values.max()))
        ends = int(points[0, 0]), int(points[-1, 0])
        found.append(Curve(title, path, *ends, values[0], values[-1]))
    return found
