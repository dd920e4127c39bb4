"""Filled cells changed on purpose: closed forms, and what stays."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from miri_jax.data.tables import fill_table
from miri_jax.exceptions import DataError
from miri_jax.sensitivity import (
    Change,
    adjust,
    adjust_draws,
    odds,
    parse_changes,
    scale,
    shift,
)
from tests.report.making import make_dataset, make_draws

ROWS = 400


def make_tables(m=3, rows=ROWS, gaps=0.3):
    """A table with gaps, and m that are filled from its columns at random."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "weight": rng.normal(70, 10, rows).round(1),
            "count": rng.integers(0, 30, rows),
            "arm": rng.choice(["treated", "control"], rows),
            "smoker": rng.choice(["yes", "no"], rows, p=[0.3, 0.7]),
            "size": pd.Categorical(
                rng.choice(["S", "M", "L"], rows), ["S", "M", "L"], ordered=True
            ),
            "event": rng.random(rows) < 0.4,
        }
    )
    missing = rng.random(frame.shape) < gaps
    tables = []
    for _ in range(m):
        table = frame.copy()
        for j, name in enumerate(frame):
            at = missing[:, j]
            drawn = rng.choice(np.flatnonzero(~at), at.sum())
            table.loc[at, name] = frame[name].array[drawn]
        tables.append(table)
    return tables, missing


TABLES, MISSING = make_tables()


def _part(name):
    return MISSING[:, list(TABLES[0]).index(name)]


@pytest.mark.parametrize("amount", [-2.0, 0.5, 7.0])
def test_a_shift_moves_the_mean_by_itself_times_the_share_filled(amount):
    gaps = _part("weight")
    made = adjust(TABLES, MISSING, {"weight": shift(amount)})
    for old, new in zip(TABLES, made):
        moved = new["weight"].mean() - old["weight"].mean()
        np.testing.assert_allclose(moved, amount * gaps.mean(), rtol=1e-9)
        inside = new["weight"][gaps].std() / old["weight"][gaps].std()
        np.testing.assert_allclose(inside, 1, rtol=1e-9)


def test_a_cell_becomes_c_y_plus_d_whatever_the_order():
    gaps = _part("weight")
    some = scale(2) + shift(-1) + scale(0.5) + shift(0.4) + scale(3)
    for changes in (some, some[::-1]):
        made = adjust(TABLES, MISSING, {"weight": changes}, rounding=False)
        for old, new in zip(TABLES, made):
            np.testing.assert_allclose(
                new["weight"][gaps], 3 * old["weight"][gaps] - 0.6
            )


def test_groups_are_those_of_each_filled_table_before_any_change():
    changes = {
        "weight": shift({"treated": -2, "control": 1}, by="arm"),
        "arm": odds(50, "treated"),
    }
    made = adjust(TABLES, MISSING, changes)
    gaps = _part("weight")
    assert any((a["arm"] != b["arm"]).any() for a, b in zip(TABLES, made))
    for old, new in zip(TABLES, made):
        wanted = np.where(old["arm"] == "treated", -2.0, 1.0) * gaps
        np.testing.assert_allclose(
            new["weight"] - old["weight"], wanted, atol=1e-9
        )


def test_a_group_may_be_of_whole_numbers():
    made = adjust(TABLES, MISSING, {"weight": shift({3: 5}, by="count")})
    for old, new in zip(TABLES, made):
        moved = (new["weight"] - old["weight"]).to_numpy()
        rows = _part("weight") & (old["count"] == 3).to_numpy()
        np.testing.assert_allclose(moved, np.where(rows, 5.0, 0.0), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "level", "factor"),
    [
        ("smoker", "yes", 3.0),
        ("smoker", "yes", 0.25),
        ("event", None, 2.0),
        ("size", "M", 5.0),
        ("size", "M", 0.2),
    ],
)
def test_odds_among_filled_cells_are_multiplied(name, level, factor):
    """Within four standard errors, and other levels keep their ratios."""
    tables, missing = make_tables(m=2, rows=40_000)
    gaps = missing[:, list(tables[0]).index(name)]
    made = adjust(tables, missing, {name: odds(factor, level)})
    wanted = True if level is None else level
    old, new = (pd.concat(x[name][gaps] for x in ts) for ts in (tables, made))
    p, q = ((x == wanted).mean() for x in (old, new))
    error = np.sqrt(factor / (len(old) * min(p * (1 - p), q * (1 - q))))
    ratio = q / (1 - q) / (p / (1 - p))
    np.testing.assert_allclose(ratio, factor, rtol=4 * error)
    if name == "size":
        ratios = [(x == "S").sum() / (x == "L").sum() for x in (old, new)]
        np.testing.assert_allclose(*ratios, rtol=0.05)


def test_larger_odds_change_more_cells_and_one_changes_none():
    sets = []
    for factor in (1.0, 1.5, 4.0, 1e9):
        made = adjust(TABLES, MISSING, {"smoker": odds(factor, "yes")})
        cells = [
            np.flatnonzero(a["smoker"] != b["smoker"])
            for a, b in zip(TABLES, made)
        ]
        sets.append({(k, i) for k, at in enumerate(cells) for i in at})
    assert not sets[0] and sets[0] < sets[1] < sets[2] < sets[3]
    gaps = _part("smoker")
    assert all((x["smoker"][gaps] == "yes").all() for x in made)


def test_observed_cells_and_types_stay():
    changes = {
        "weight": scale(1.1) + shift(-2.04),
        "count": scale(1.3),
        "smoker": odds(4, "yes"),
        "size": odds(
            0.1,
            "L",
        ),
        "event": odds({"yes": 3}, by="smoker"),
    }
    made = adjust(TABLES, MISSING, changes)
    for old, new in zip(TABLES, made):
        assert (new.dtypes == old.dtypes).all()
        assert new.index.equals(old.index)
        for j, name in enumerate(old):
            at = ~MISSING[:, j]
            assert new[name][at].equals(old[name][at])
            assert (new[name] != old[name]).any() == (name in changes)
    weights = made[0]["weight"].to_numpy()
    np.testing.assert_array_equal(weights, weights.round(1))


def test_polars_and_arrays_come_back_as_such():
    changes = {"weight": shift(-2), "count": scale(1.5)}
    wanted = adjust(TABLES, MISSING, changes)[1]
    frames = [pl.from_pandas(x) for x in TABLES]
    made = adjust(frames, MISSING, changes)[1]
    assert made.schema == frames[1].schema
    assert made["count"].to_list() == wanted["count"].to_list()
    free = adjust(frames, MISSING, changes, rounding=False)[1]
    whole = frames[1]["count"].to_numpy() * np.where(_part("count"), 1.5, 1)
    np.testing.assert_allclose(free["count"].to_numpy(), whole)
    arrays = [x[["weight", "count"]].to_numpy(np.float32) for x in TABLES]
    made = adjust(arrays, MISSING[:, :2], {0: shift(-2), 1: scale(1.5)})[1]
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, wanted[["weight", "count"]], rtol=1e-6)


def test_bounds_hold_and_a_warning_says_how_many_were_cut():
    gaps = _part("weight")
    with pytest.warns(UserWarning, match=r"of \d+ changed cells of 'weight'"):
        made = adjust(
            TABLES,
            MISSING,
            {"weight": scale(0.1)},
            bounds={"weight": (20, None)},
        )
    assert all((x["weight"][gaps] == 20).all() for x in made)


def test_cells_of_other_imputers_stay_where_nothing_is_to_change():
    """Also ones that are not whole in a column of whole numbers."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"k": rng.integers(0, 9, 90) * 1.0, "g": ["a", "b"] * 45}
    )
    gaps = np.zeros(frame.shape, bool)
    gaps[:20, 0] = True
    frame.loc[:19, "k"] = 3.7
    made = adjust([frame], gaps, {"k": shift({"a": 1}, by="g")})[0]
    assert (made["k"][:20] == [5, 3.7] * 10).all()


def test_where_nothing_was_filled_nothing_is_said_to_be_done():
    frame = pd.DataFrame({"a": [1.5, 2.0, None], "b": [1.0, 2.5, 3.0]})
    dataset = make_dataset(frame, frame.isna())
    made = adjust_draws(dataset.table, [dataset.values], {"b": shift(1)})
    line = "no cell of 'b' that was to be changed was filled"
    assert made.done == () and made.limits == (line,)
    full = frame.fillna(2.0)
    with pytest.warns(UserWarning, match=line):
        (same,) = adjust([full], frame.isna(), {"b": shift(1)})
    pd.testing.assert_frame_equal(same, full)


def test_what_cannot_be_multiplied_is_said():
    frame = pd.DataFrame({"s": ["y", "n"] * 20})
    gaps = np.zeros(frame.shape, bool)
    gaps[::2] = True
    gaps[0] = False
    with pytest.warns(UserWarning, match="each filled cell of 's' is 'y'"):
        made = adjust([frame], gaps, {"s": odds(0.1, "y")})
    pd.testing.assert_frame_equal(made[0], frame)


def test_encoded_draws_take_values_that_no_observed_cell_has():
    """Their scores tell apart what was observed only."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "dose": rng.choice([10, 20, 25], 200) * 1.0,
            "size": pd.Categorical(
                rng.choice(["S", "M", "L"], 200), ["S", "M", "L"], ordered=True
            ),
        }
    ).mask(rng.random((200, 2)) < 0.2)
    gaps = frame.isna()
    dataset = make_dataset(frame, gaps)
    draws = make_draws(dataset, 2)
    changes = {"dose": shift(-3), "size": odds(1e9, "L")}
    table, after, done, limits = adjust_draws(dataset.table, draws, changes)
    assert len(done) == 2 and not limits
    for x, y in zip(draws, after):
        old, new = fill_table(dataset.table, x), fill_table(table, y)
        assert (new["dose"] - old["dose"] == -3 * gaps["dose"]).all()
        assert (new["size"][gaps["size"]] == "L").all()
        known = ~gaps["size"]
        assert new["size"][known].equals(frame["size"][known])
        assert (y[:, 1] == x[:, 1])[known].all()


NAMES = ["weight", "arm", "a=b", "w[arm=x]", "smoker", "no: 1"]


@pytest.mark.parametrize(
    ("given", "name", "change"),
    [
        (dict(shifts=["weight=-2"]), "weight", Change("shift", -2.0)),
        (
            dict(shifts=["weight[arm=treated]=-2"]),
            "weight",
            Change("shift", -2.0, "arm", "treated"),
        ),
        (dict(scales=["a=b=1.1"]), "a=b", Change("scale", 1.1)),
        (dict(shifts=["w[arm=x]=3"]), "w[arm=x]", Change("shift", 3.0)),
        (
            dict(shifts=["w[arm=x][a=b=c=d]=3"]),
            "w[arm=x]",
            Change("shift", 3.0, "a=b", "c=d"),
        ),
        (
            dict(odds_of=["smoker=yes:2"]),
            "smoker",
            Change("odds", 2.0, level="yes"),
        ),
        (dict(odds_of=["smoker:2"]), "smoker", Change("odds", 2.0)),
        (
            dict(odds_of=["no: 1=x:y:2"]),
            "no: 1",
            Change("odds", 2.0, level="x:y"),
        ),
        (
            dict(odds_of=["smoker[arm=a]=yes:2"]),
            "smoker",
            Change("odds", 2.0, "arm", "a", "yes"),
        ),
    ],
)
def test_text_is_read_by_the_columns_that_there_are(given, name, change):
    assert parse_changes(NAMES, **given) == {name: (change,)}


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: adjust(TABLES, MISSING, {"x": shift(1)}), "'x', which is not"),
        (lambda: adjust([], MISSING, {}), "no table to change"),
        (
            lambda: adjust(TABLES, TABLES[0], {"weight": shift(1)}),
            "give True and False, such as frame.isna",
        ),
        (
            lambda: adjust(TABLES, MISSING[1:], {"weight": shift(1)}),
            "give the gaps of these rows and columns",
        ),
        (
            lambda: adjust(TABLES, MISSING, {"smoker": shift(1)}),
            "column 'smoker' is categorical, which is no number to shift",
        ),
        (
            lambda: adjust(TABLES, MISSING, {"weight": odds(2, "x")}),
            "column 'weight' is real and has no odds",
        ),
        (
            lambda: adjust(TABLES, MISSING, {"smoker": odds(2)}),
            "has the levels no, yes; say whose odds",
        ),
        (
            lambda: adjust(TABLES, MISSING, {"smoker": odds(2, "yess")}),
            "no level 'yess'; did you mean yes?",
        ),
        (
            lambda: adjust(
                TABLES, MISSING, {"weight": shift({"trated": 1}, by="arm")}
            ),
            "no level 'trated'; did you mean treated?",
        ),
        (
            lambda: adjust(
                TABLES, MISSING, {"weight": shift({1.5: 1}, by="weight")}
            ),
            "column 'weight' is real and makes no groups",
        ),
        (
            lambda: adjust(
                TABLES, MISSING, {"weight": shift({99: 1}, by="count")}
            ),
            "no cell of column 'count' is '99'",
        ),
        (
            lambda: adjust(
                TABLES, MISSING, {"weight": shift({"a": 1}, by="amr")}
            ),
            "by names 'amr', which is not a column",
        ),
        (lambda: adjust(TABLES, MISSING, {"weight": [2]}), "give what shift"),
        (lambda: shift("x"), "shift by 'x': give a finite number"),
        (lambda: scale(np.inf), "scale by inf: give a finite number"),
        (lambda: odds(0, "yes"), "give a number above 0"),
        (lambda: shift({"a": 1}), "needs both a column and amounts"),
        (
            lambda: adjust(
                [TABLES[0].where(~MISSING)], MISSING, {"weight": shift(1)}
            ),
            "column 'weight' of table 1 still has gaps",
        ),
        (
            lambda: adjust(
                [TABLES[0], TABLES[1][::-1]], MISSING, {"weight": shift(1)}
            ),
            "tables 1 and 2 differ in cells of column 'weight' that were",
        ),
        (
            lambda: adjust(TABLES, np.ones_like(MISSING), {"weight": shift(1)}),
            "column 'weight' has no observed value",
        ),
        (lambda: parse_changes(NAMES, ["wight=2"]), "did you mean weight?"),
        (lambda: parse_changes(NAMES, ["weight"]), "write NAME=NUMBER or"),
        (
            lambda: parse_changes(NAMES, ["weight[amr=x]=1"]),
            "names 'amr', which is not a column; did you mean arm?",
        ),
    ],
)
def test_what_is_refused_is_said_in_one_line(call, line):
    with pytest.raises(DataError) as caught:
        call()
    assert line in str(caught.value) and "\n" not in str(caught.value)
