"""Pictures: labels that can be read, bins that do not mislead."""

import numpy as np
import pytest

from miri_jax.report import figures
from tests.report.making import make_view


def test_labels_stay_readable():
    view = make_view([], [], name="price in $ or $", number=7)
    assert figures.label(view) == r"price in \$ or \$"
    assert figures.label(view._replace(name="\u4f53\u91cd")) == "column 7"
    names = [f"the temperature of sensor {k}" for k in range(2)]
    short = [figures.label(view._replace(name=name)) for name in names]
    assert short[0] != short[1] and max(map(len, short)) == 20


@pytest.mark.parametrize("top", [3, 39, 40, 41, 99, 1000])
def test_bins_hold_as_many_whole_numbers_each(top):
    """Else a flat distribution would look like a comb."""
    values = np.arange(top + 1.0)
    view = make_view(values, values, kind="integer", unit=1.0)
    edges = figures._bin_edges(view)
    counts = np.histogram(values, edges)[0]
    assert counts.sum() == len(values) and len(counts) <= 40
    assert len(set(counts[:-1])) == 1 and 0 < counts[-1] <= counts[0]
