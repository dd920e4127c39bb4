"""Figures of draws: what is drawn are the cells that are there."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import miri_jax
from miri_jax.exceptions import DataError


@pytest.fixture(scope="module")
def filled():
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "n": rng.lognormal(0, 3, n),
            "l": rng.choice(["x", "y"], n),
            "t": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 90, n), unit="D"),
        }
    )
    table = frame.mask(rng.random(frame.shape) < 0.3)
    left = frame.copy()
    # A gap that stays empty is in no picture.
    left.loc[table["n"].isna().idxmax(), "n"] = np.nan
    return table, [frame, left]


@pytest.mark.parametrize("column", ["n", "l", "t"])
def test_distribution_has_what_is_observed_and_each_draw(filled, column):
    axes = Figure().subplots()
    table, draws = filled
    assert miri_jax.plots.distribution(axes, table, draws, column) is axes
    if column == "l":
        shares = [bar.get_height() for bar in axes.patches]
        assert sum(shares[:2]) == pytest.approx(1)
        assert sum(shares[2:]) == pytest.approx(1)
    else:
        assert len(axes.patches) == 3
    assert axes.get_xscale() == {"n": "log"}.get(column, "linear")
    axes.figure.canvas.draw()


def test_relation_draws_rows_where_the_other_is_observed(filled):
    table, (_, left) = filled
    axes = miri_jax.plots.relation(Figure().subplots(), table, left, "n", "l")
    observed, imputed = (len(c.get_offsets()) for c in axes.collections)
    there = table["l"].notna()
    assert observed == (there & table["n"].notna()).sum()
    assert imputed == (there & table["n"].isna() & left["n"].notna()).sum()


def test_missing_shows_shares_by_group(filled):
    table, _ = filled
    axes = miri_jax.plots.missing(Figure().subplots(), table, "n", "l")
    found = {
        label.get_text(): bar.get_width()
        for label, bar in zip(axes.get_yticklabels(), axes.patches)
    }
    for level, share in found.items():
        rows = table["l"] == level
        assert share == pytest.approx(table["n"][rows].isna().mean())


def test_what_is_not_there_is_said(filled):
    table, draws = filled
    with pytest.raises(DataError, match="no column 'z'"):
        miri_jax.plots.missing(None, table, "z", "l")
    with pytest.raises(DataError, match="other rows"):
        miri_jax.plots.distribution(None, table, [draws[0][:9]], "n")
