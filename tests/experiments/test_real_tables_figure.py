"""The figure's bars are shares of the cells that were gaps."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from experiments import fidelity
from experiments import real_tables_figure as figure

ROWS = (
    figure.Row("t", "a", "number", (-0.5, 0.5, 1.5), ((0.5, "0"),)),
    figure.Row("t", "k", "level", ("x", "y", "z"), ((0.5, "x"),)),
    figure.Row(
        "t",
        "a",
        "by b",
        ticks=((0, "0"),),
        against="b",
        limits=(-1, 1, -1, 2),
    ),
)


def test_shares_of_numbers_and_levels():
    values = pd.Series([-9.0, 0.0, 1.0, 1.4, 2.0, 3.0, 99.0, 1.5])
    found = figure.shares(values, (-np.inf, 0.5, 1.5, 2.5))
    np.testing.assert_allclose(found, [25, 25, 50])  # 99 is in the last
    levels = pd.Series(list("xxyx"))
    np.testing.assert_allclose(
        figure.shares(levels, ("x", "y", "z")), [75, 25, 0]
    )


def test_all_columns_that_are_shown_have_gaps():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 6)), columns=list("abcdef"))
    seed = figure.telling_seed(frame, ["a", "b", "c"], 0.25)
    for k in range(1, seed + 1):
        gaps = fidelity.holes(frame, k, "mar", 0.25)[["a", "b", "c"]].isna()
        assert gaps.any().all() == (k == seed)


def test_panels_show_only_what_was_missing():
    truth = pd.DataFrame({"a": [0, 1, 1, 0], "k": list("xyxy"), "b": 0.0})
    gaps = truth.mask(
        np.array([[0, 0, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0]]) > 0
    )
    first, second = truth.copy(), truth.copy()
    second.loc[2, "a"], second.loc[1, "k"] = 0, "z"
    of = {"truth": [truth], "gaps": [gaps], "miri": [first, second]}
    of["r-cart"] = [truth, truth]
    drawn = figure.picture(ROWS, {"t": of}, ["miri", "r-cart"])
    panels = np.array(drawn.axes).reshape(3, 3)
    heights = lambda axes: [list(bar.get_data().values) for bar in axes.patches]
    assert heights(panels[0, 0]) == [[0, 100], [0, 100]]  # the truth, twice
    assert heights(panels[0, 1]) == [[25, 75], [0, 100]]  # filled, outline
    assert heights(panels[1, 1]) == [[50, 25, 25], [50, 50, 0]]
    grey, dots = panels[2, 1].collections
    assert len(grey.get_offsets()) == len(dots.get_offsets()) == 2
    shades = [to_hex(axes.patches[0].get_facecolor()) for axes in panels[0]]
    assert shades == [figure.GREY, figure.OURS, figure.MICE]


@pytest.mark.parametrize("row", figure.ROWS, ids=lambda row: row.column)
def test_rows_are_shown_by_bins_or_against_a_column(row):
    assert bool(len(row.bins)) != bool(row.against)
    if len(row.bins) and not isinstance(row.bins[0], str):
        assert (np.diff(row.bins) > 0).all()
