"""Relations that nobody stated: what is found, what is kept, what is not."""

import numpy as np
import pandas as pd
import pytest

from miri_jax.app import impute
from miri_jax.data import tables
from miri_jax.data.found._simple import simplest
from miri_jax.estimator import MIRIImputer

DAYS = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(3000), "D")


def _holes(frame, rate=0.25, seed=1):
    rng = np.random.default_rng(seed)
    return frame.mask(rng.random(frame.shape) < rate)


def _found(frame, **settings):
    table = tables.make_table(
        frame, frame.isna().to_numpy(), look=True, **settings
    )
    related = table.related
    return (() if related is None else related.relations.found), table


def _exact(name, rng, n):
    """A table, the columns of its relation, and what must be 0 of it."""
    a, b = rng.gamma(3, 20, n).round(2), rng.gamma(2, 9, n).round(1)
    whole = rng.integers(1, 90, (n, 3)).astype(float)
    first = DAYS[rng.integers(0, 900, n)]
    last = DAYS[rng.integers(901, 3000, n)]
    return {
        "sum": ({"a": a, "b": b, "y": (a + b).round(2)}, 0.06),
        "difference": ({"y": (a - b).round(2), "a": a, "b": b}, 0.06),
        "unit": ({"a": b, "y": (1.8 * b + 32).round(1)}, 0.1),
        "multiple": ({"a": a, "y": (1.19 * a).round(2)}, 0.012),
        "product": ({"a": whole[:, 0], "b": a, "y": (whole[:, 0] * a)}, 0.5),
        "ratio": ({"a": a, "b": whole[:, 0], "y": a / whole[:, 0]}, 0.02),
        "power": (
            {
                "a": (50 + b).round(1),
                "b": 150 + whole[:, 1] / 2,
                "y": ((50 + b).round(1) / (1.5 + whole[:, 1] / 200) ** 2).round(
                    1
                ),
            },
            0.11,
        ),
        "total": (
            {
                **{f"p{k}": whole[:, k] for k in range(3)},
                "y": whole.sum(axis=1),
            },
            0.0,
        ),
        "twin": ({"a": a, "y": a}, 0.0),
        "days": ({"a": first, "b": last, "y": (last - first).days}, 0.0),
    }[name]


def _off(name, t):
    return {
        "sum": lambda: t.y - t.a - t.b,
        "difference": lambda: t.y - t.a + t.b,
        "unit": lambda: t.y - 1.8 * t.a - 32,
        "multiple": lambda: t.y - 1.19 * t.a,
        "product": lambda: t.y - t.a * t.b,
        "ratio": lambda: t.y * t.b / t.a - 1,
        "power": lambda: t.y - t.a / (t.b / 100) ** 2,
        "total": lambda: t.y - t.p0 - t.p1 - t.p2,
        "twin": lambda: t.y - t.a,
        "days": lambda: t.y - (t.b - t.a).dt.days,
    }[name]()


KINDS = (
    *("sum", "difference", "unit", "multiple", "product", "ratio", "power"),
    *("total", "twin", "days"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_is_found_and_kept(kind):
    rng = np.random.default_rng(0)
    content, slack = _exact(kind, rng, 500)
    frame = pd.DataFrame({**content, "other": rng.standard_normal(500)})
    holes = _holes(frame)
    imputer = MIRIImputer("mean", random_state=0).fit(holes)
    assert len(imputer.found_[0]) == 1, imputer.found_
    filled = imputer.transform(holes)
    assert (filled == holes).to_numpy()[holes.notna()].all()
    assert np.abs(_off(kind, filled)).max() <= slack + 1e-9
    # New rows of another table go by it, too.
    new = _holes(frame.iloc[:40], seed=5)
    assert np.abs(_off(kind, imputer.transform(new))).max() <= slack + 1e-9
    without = MIRIImputer("mean", found=False, random_state=0).fit(holes)
    assert without.found_ == ([], [], [])
    assert np.abs(_off(kind, without.transform(holes))).max() > slack + 1e-9


def test_a_form_that_fails_in_one_row_is_none():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(3, 20, (2, 400)).round(2)
    frame = pd.DataFrame({"a": a, "b": b, "y": (a + b).round(2)})
    assert len(_found(frame)[0]) == 1
    frame.loc[7, "y"] += 1
    assert not _found(frame)[0]


@pytest.mark.parametrize("seed", range(24))
def test_nothing_is_found_by_chance(seed):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(20, 200)), int(rng.integers(3, 30))
    made = (
        lambda: rng.integers(0, rng.integers(2, 9), (n, p)) * 1.0,
        lambda: rng.standard_normal((n, p)).cumsum(axis=1).round(1),
        lambda: rng.standard_normal((n, 1)) + rng.integers(0, 3, (n, p)),
        lambda: rng.poisson(0.4, (n, p)) * 10.0,
    )[seed % 4]()
    frame = _holes(pd.DataFrame(made).add_prefix("c"), 0.2, seed)
    found, table = _found(frame, empty_value=0.0)
    assert not found
    assert not [n for n in table.notes if "is empty in all" in n]


def test_formulas_make_no_circle_so_that_all_cells_can_be_computed():
    rng = np.random.default_rng(0)
    net = rng.gamma(3, 20, 600).round(2)
    tax = (0.19 * net).round(2)
    frame = pd.DataFrame(
        {
            "net": net,
            "tax": tax,
            "gross": (net + tax).round(2),
            "again": net,
            "fee": rng.gamma(2, 3, 600).round(2),
        }
    )
    frame["total"] = (frame.gross + frame.fee).round(2)
    holes = _holes(frame, 0.4)
    imputer = MIRIImputer("mean", random_state=0).fit(holes)
    filled = imputer.transform(holes)
    assert len(imputer.found_[0]) == 4
    assert (filled.total - filled.gross - filled.fee).abs().max() < 0.04
    assert (filled.gross - 1.19 * filled.net).abs().max() < 0.04
    assert (filled.again - filled.net).abs().max() < 0.04


def test_what_is_stated_comes_first():
    rng = np.random.default_rng(0)
    net = rng.gamma(3, 20, 600).round(2)
    tax = (0.19 * net).round(2)
    frame = pd.DataFrame({"net": net, "tax": tax, "gross": net + tax})
    imputer = MIRIImputer(
        "mean", formulas=["gross = net + tax"], random_state=0
    ).fit(_holes(frame))
    filled = imputer.transform(_holes(frame))
    assert (filled.gross - filled.net - filled.tax).abs().max() < 1e-9


def test_an_order_is_found_where_cells_come_close():
    rng = np.random.default_rng(0)
    n = 800
    admit = DAYS[rng.integers(0, 900, n)]
    stay = rng.exponential(9, n).astype(int)
    frame = pd.DataFrame(
        {
            "admit": admit,
            "discharge": admit + pd.to_timedelta(stay, "D"),
            # Far above, and as far apart as two scales are.
            "pulse": rng.normal(70, 5, n).round(),
            "pressure": rng.normal(130, 5, n).round(),
            # Mostly 0, both.
            "gain": rng.poisson(0.1, n) * 1.0,
            "loss": rng.poisson(0.1, n) * 100.0,
        }
    )
    holes = _holes(frame)
    assert _found(holes)[0] == ("admit <= discharge",)
    imputer = MIRIImputer("chained", random_state=0).fit(holes)
    filled = imputer.transform(holes)
    assert (filled.admit <= filled.discharge).all()


def test_bounds_come_before_what_is_found():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(3, 20, (2, 500)).round(1)
    frame = pd.DataFrame({"a": a, "b": b, "y": (a - b).round(1)})
    holes = _holes(frame)
    imputer = MIRIImputer("chained", bounds={"a": (0, None), "b": (0, None)})
    filled = imputer.set_params(random_state=0).fit_transform(holes)
    assert filled.a.min() >= 0 and filled.b.min() >= 0


def _blank_frame(n=400):
    rng = np.random.default_rng(0)
    smoking = rng.choice(["never", "former", "current"], n)
    age = rng.integers(5, 90, n).astype(float)
    packs = rng.gamma(3, 5, n).round(1)
    gone = rng.random(n) < 0.2
    return pd.DataFrame(
        {
            "smoking": smoking,
            "age": age,
            "packs": np.where((smoking == "never") | gone, np.nan, packs),
            "wage": np.where(age < 18, np.nan, 20 * packs),
            "free": np.where(gone, np.nan, packs + age),
        }
    )


def test_gaps_that_follow_a_rule_are_said_and_filled():
    frame = _blank_frame()
    table = _found(frame)[1]
    told = {n.about["only_if"] for n in table.notes if "is empty in" in n}
    assert told == {"packs: smoking != 'never'", "wage: age >= 18"}
    imputer = MIRIImputer("mean").fit(frame)
    assert imputer.transform(frame).notna().all(axis=None)
    # Said as it is told, they stay empty, and nothing is told any more.
    again = MIRIImputer("mean", only_if=sorted(told)).fit(frame)
    filled = again.transform(frame)
    assert (filled.packs.isna() == (frame.smoking == "never")).all()
    assert (filled.wage.isna() == (frame.age < 18)).all()
    assert not [n for n in again.notes_ if "is empty in" in n]


def test_columns_that_are_never_seen_together_are_said():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((600, 3)), columns=list("abc"))
    frame.loc[:299, "b"] = np.nan
    frame.loc[300:, "c"] = np.nan
    told = [n for n in _found(frame)[1].notes if "same row" in n]
    assert len(told) == 1 and "'b' and 'c'" in told[0]
    frame.loc[:20, "b"] = 1.5
    assert not [n for n in _found(frame)[1].notes if "together" in n]


def test_the_command_says_what_it_found_and_how_to_leave_it_out(
    tmp_path, capsys
):
    rng = np.random.default_rng(0)
    net = rng.gamma(3, 20, 300).round(2)
    frame = pd.DataFrame({"net": net, "gross": (1.19 * net).round(2)})
    _holes(frame).to_csv(tmp_path / "in.csv", index=False)
    words = [str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]
    words += ["--method", "mean"]
    parser = impute.make_parser()
    impute.impute(parser.parse_args(words))
    said = capsys.readouterr().err
    assert "found: gross = 1.19 * net in all" in said
    assert "(--formula 'gross = 1.19 * net')" in said
    assert "(--no-found)" in said
    filled = pd.read_csv(tmp_path / "out.csv").dropna()
    assert (filled.gross - 1.19 * filled.net).abs().max() < 0.012
    impute.impute(parser.parse_args([*words, "--no-found", "--force"]))
    assert "found:" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "low, high, text",
    [
        (1.799, 1.8004, "1.8"),
        (9990, 10008, "10000"),
        (0.8402, 0.8405, "1.19"),
        (0.55555, 0.55556, "1.8"),
        (-3.01, -2.995, "3"),
        (0.0027378, 0.0027380, "0.002738"),
    ],
)
def test_the_simplest_number(low, high, text):
    found = simplest(low, high)
    assert low <= found.value <= high and found.text == text


def test_no_simplest_number_about_zero():
    assert simplest(-1, 1) is None and simplest(0, 1) is None


@pytest.mark.parametrize("name", ["gross", " gross price\x1c"])
def test_a_model_keeps_what_it_found_when_saved(tmp_path, name):
    rng = np.random.default_rng(0)
    net = rng.gamma(3, 20, 300).round(2)
    frame = pd.DataFrame({"net": net, name: (1.19 * net).round(2)})
    imputer = MIRIImputer("mean", random_state=0).fit(_holes(frame))
    imputer.save(tmp_path / "model")
    again = MIRIImputer.load(tmp_path / "model")
    new = _holes(frame, seed=9)
    pd.testing.assert_frame_equal(again.transform(new), imputer.transform(new))


def _places(n=900, seed=0):
    rng = np.random.default_rng(seed)
    zips = rng.integers(0, 30, n)
    city = zips // 3
    return pd.DataFrame(
        {
            "zip": [f"z{k:02}" for k in zips],
            "city": [f"city {k}" for k in city],
            "number": city * 7.0 + 1,
            "state": np.where(city % 3 == 0, "north", "south"),
            "other": rng.choice(["x", "y"], n),
            "size": rng.standard_normal(n),
        }
    )


@pytest.mark.parametrize("method", ["mean", "chained"])
def test_functions_of_levels_are_found_and_kept(method, tmp_path):
    frame = _places()
    rng = np.random.default_rng(1)
    gaps = rng.random(frame.shape) < 0.25
    holes = frame.mask(gaps)
    imputer = MIRIImputer(method, random_state=0).fit(holes)
    found = {(target, source) for target, source, *_ in imputer.found_[2]}
    both = {("city", "number"), ("number", "city")}
    assert found == both | {
        *(("city", "zip"), ("number", "zip"), ("state", "zip")),
        *(("state", "city"), ("state", "number")),
    }
    filled = imputer.transform(holes)
    assert (filled == holes).to_numpy()[~gaps].all()
    place = filled.zip.str[1:].astype(int) // 3
    assert (filled.city == place.map("city {}".format)).all()
    assert (filled.number == place * 7 + 1).all()
    assert (filled.state == np.where(place % 3, "south", "north")).all()
    # A row is filled alike whatever comes with it, and by a saved model.
    imputer.save(tmp_path / "model")
    again = MIRIImputer.load(tmp_path / "model").transform(holes[40:60])
    assert (again.city == filled.city[40:60]).all()
    assert (again.zip == filled.zip[40:60]).all()


def test_no_function_is_found_by_chance():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(30, 300))
        frame = pd.DataFrame(
            {
                f"c{k}": rng.choice(list("abcdefgh")[: k % 7 + 2], n)
                for k in range(12)
            }
        )
        frame["rare"] = np.where(np.arange(n) < 3, "yes", "no")
        holes = _holes(frame, 0.2, seed)
        table = _found(holes)[1]
        assert table.related is None or not table.related.relations.lookups


def test_of_several_formulas_the_surest_gives_a_cell():
    """A tax, its net price and both: to the cent wherever two are known."""
    rng = np.random.default_rng(7)
    net = rng.uniform(10, 1000, 400).round(2)
    tax = (net * 0.19).round(2)
    whole = pd.DataFrame({"net": net, "tax": tax, "gross": net + tax}).round(2)
    frame = _holes(whole)
    imputer = MIRIImputer("mean").fit(frame)
    filled = imputer.transform(frame)
    two = frame.isna().sum(axis=1) == 1
    assert two.sum() > 100
    off = (filled["gross"] - filled["net"] - filled["tax"]).abs()[two]
    # The third was computed from tax, 6.26 times its rounding, in all of them.
    lost = frame["gross"].isna()[two]
    assert (off[lost] < 0.0051).mean() > 0.95 and off.max() < 0.0151
    (said,) = (n for n in imputer.notes_ if "to the last digit" in n)
    assert said.startswith("gross = net + tax in all rows")
    stated = MIRIImputer("mean", formulas=["gross = net + tax"]).fit(frame)
    assert not any("to the last digit" in note for note in stated.notes_)
    filled = stated.transform(frame)
    off = (filled["gross"] - filled["net"] - filled["tax"]).abs()
    assert off.max() < 1e-6
