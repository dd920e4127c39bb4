"""Where a conclusion tips, against what can be worked out by hand."""

import functools

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import optimize, stats

from miri_jax.exceptions import DataError
from miri_jax.pooling import pool
from miri_jax.sensitivity import adjust, odds, scale, shift, tipping_point
from tests.sensitivity.test_adjust import make_tables

TABLES, MISSING = make_tables(m=5)
GAPS = MISSING[:, 0]
VARIANCE = 0.04


def _mean(table):
    """The mean above 69, as if its variance were known."""
    return table["weight"].mean() - 69, VARIANCE


def _difference(table):
    """Between arms, with its variance: two parameters with names."""
    parts = [x for _, x in table.groupby("arm")["weight"]]
    variance = sum(x.var() / len(x) for x in parts)
    gap = parts[1].mean() - parts[0].mean()
    names = ["mean", "treated"]
    return (
        pd.Series([table["weight"].mean(), gap], names),
        pd.Series([table["weight"].var() / len(table), variance], names),
    )


def test_the_delta_where_the_mean_tips_is_the_analytic_one():
    """A shift adds delta times the share filled, and no variance."""
    grid = np.linspace(-12, 12, 8)
    found = tipping_point(TABLES, MISSING, _mean, "weight", grid)
    pooled = pool([_mean(x) for x in TABLES])
    reach = stats.t.ppf(0.975, pooled.df) * pooled.error
    share = GAPS.mean()
    wanted = (np.array([-reach, reach]) - pooled.estimate) / share
    np.testing.assert_allclose(found.tips, wanted, rtol=1e-6)
    np.testing.assert_allclose(
        found.estimate, pooled.estimate + grid * share, rtol=1e-9
    )
    np.testing.assert_allclose(found.error, pooled.error, rtol=1e-9)
    assert list(dict.fromkeys(found.conclusion)) == [
        "below",
        "includes",
        "above",
    ]
    # Where the interval meets 0, p crosses .05.
    assert ((found.p < 0.05) == (found.conclusion != "includes")).all()


def test_it_is_that_of_a_root_finder_where_the_variance_moves_as_well():
    def end(delta):
        made = adjust(TABLES, MISSING, {"weight": shift(delta)}, rounding=False)
        return pool([_real(x) for x in made]).interval()[0]

    def _real(table):
        return table["weight"].mean() - 69, table["weight"].var() / len(table)

    wanted = optimize.brentq(end, 0, 12, xtol=1e-3)
    errors = []
    for points in (5, 21):
        found = tipping_point(
            TABLES, MISSING, _real, "weight", np.linspace(0, 12, points)
        )
        errors.append(abs(found.tips[-1] - wanted))
    assert errors[1] < max(errors[0] / 4, 2e-3) and errors[1] < 0.02


def test_without_a_change_it_is_the_pooled_analysis():
    found = tipping_point(
        TABLES, MISSING, _difference, "weight", [0.0], term="treated"
    )
    row = pool([_difference(x) for x in TABLES]).summary().loc["treated"]
    (got,) = found.to_frame().to_dict("records")
    for name in ("estimate", "se", "df", "low", "high", "p"):
        np.testing.assert_allclose(got[name], row[name], rtol=1e-9)
    assert not len(found.tips) and "nothing tips" in repr(found)


def test_two_arms_make_a_grid_with_a_curve():
    deltas = {"treated": np.linspace(-9, 9, 4), "control": [0.0, -3.0, 3.0]}
    how = dict(by="arm", term="treated")
    found = tipping_point(TABLES, MISSING, _difference, "weight", deltas, **how)
    names = [f"shift of weight[arm={x}]" for x in deltas]
    assert [*found.axes] == names == [*found.to_frame()][:2]
    assert found.deltas.shape == (12, 2)
    one = {"treated": found.deltas[4:5, 0], "control": found.deltas[4:5, 1]}
    alone = tipping_point(TABLES, MISSING, _difference, "weight", one, **how)
    np.testing.assert_allclose(found.estimate[4], alone.estimate[0])
    # The difference falls as the other arm rises.
    table = found.estimate.reshape(4, 3)
    assert (np.diff(table, axis=0) > 0).all()
    assert (np.diff(table, axis=1) < 0).all()
    ax = found.plot()
    assert ax.get_xlabel() == "shift of weight[arm=treated]"
    assert len(ax.collections) > 1  # the map and a curve
    with pytest.raises(DataError, match="along a curve"):
        _ = found.tips


def test_the_picture_is_drawn_where_it_is_wanted():
    found = tipping_point(
        TABLES, MISSING, _mean, "weight", np.linspace(-9, 9, 3)
    )
    ax = Figure().subplots()
    assert found.plot(ax) is ax
    at = {round(float(line.get_xdata()[0]), 9) for line in ax.lines}
    assert at >= {round(float(tip), 9) for tip in found.tips}
    assert found.plot().get_ylabel() == "estimate, 95% interval"


def test_scales_odds_and_bounds_over_a_grid():
    found = tipping_point(
        TABLES,
        MISSING,
        _mean,
        "weight",
        [0.5, 1.0],
        change=scale,
        bounds={"weight": (30.0, None)},
        null=-40.0,
        level=0.9,
    )
    assert found.axes == ("scale of weight",)
    assert found.cut[1] == 0 < found.cut[0] < 1
    assert "90% interval lies above -40" in found.verdict()

    def smokers(table):
        return (table["smoker"] == "yes").mean(), 1e-4

    change = functools.partial(odds, level="yes")
    found = tipping_point(
        TABLES, MISSING, smokers, "smoker", [0.2, 1, 5], change=change
    )
    assert (np.diff(found.estimate) > 0).all()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (dict(deltas=[]), "one or more finite numbers"),
        (dict(deltas=["a"]), "one or more finite numbers"),
        (dict(deltas={"treated": [1]}), "need both a column and"),
        (dict(deltas=[1], by="arm"), "need both a column and"),
        (
            dict(deltas={"a": [1], "b": [1], "c": [1]}, by="arm"),
            "deltas are of 3 groups",
        ),
        (dict(deltas=[1], term=None), "gives 2 estimates, and term is None"),
        (dict(deltas=[1], term="tretaed"), "give one of mean, treated"),
        (dict(deltas=[1], column="x", term=0), "'x', which is not a column"),
        (dict(deltas=[1], tables=TABLES[:1], term=0), "pool at least 2"),
    ],
)
def test_what_is_refused(words, line):
    given = dict(
        tables=TABLES, missing=MISSING, analyse=_difference, column="weight"
    )
    with pytest.raises(DataError) as caught:
        tipping_point(**(given | words))
    assert line in str(caught.value)
