"""Groups, time and weights hold in every method, and by every door."""

import json

import numpy as np
import pandas as pd
import pytest

from miri_jax.app import impute
from miri_jax.estimator import MIRIImputer, overimpute
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.imputers import IMPUTERS
from tests.golden import FEW

QUICK = ("mean", "median", "chained")
# These do not look at other columns, or not at all in so short a fit.
BLUNT = {"miri_paper", "missdiff", "tabcsdi", "gain", "knewimp", "diffputer"}


def _panel(n=40, each=5, seed=0):
    rng = np.random.default_rng(seed)
    who, visit = np.repeat(np.arange(n), each), np.tile(np.arange(each), n)
    level = 8 * rng.normal(size=n)
    weight = 70 + level[who] + 1.5 * rng.normal(size=n * each)
    city = rng.choice(list("abc"), n)[who]
    whole = pd.DataFrame(
        {
            "person": [f"p{k:02}" for k in who],
            "visit": visit,
            "sex": rng.choice(["f", "m"], n)[who],
            "born": rng.integers(1940, 2000, n)[who].astype(float),
            "weight": weight.round(1),
            "city": np.where(rng.random(n * each) < 0.9, city, "d"),
        }
    )
    frame = whole.copy()
    for name in ("sex", "born", "weight", "city"):
        frame.loc[rng.random(len(frame)) < 0.25, name] = np.nan
    # Nothing is known of them.
    frame.loc[frame.person == "p03", ["sex", "born", "weight"]] = np.nan
    return whole, frame


def _check_panel(frame, made):
    assert made.notna().all(axis=None)
    assert (made == frame).to_numpy()[frame.notna()].all()
    assert made.groupby("person")[["sex", "born"]].nunique().eq(1).all(None)


def _off(whole, frame, made, name="weight"):
    rows = frame[name].isna() & (frame.person != "p03")
    return np.sqrt(np.mean((made[name] - whole[name])[rows] ** 2))


@pytest.mark.parametrize(
    "method",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in IMPUTERS
    ],
)
def test_every_method_takes_a_panel(method):
    whole, frame = _panel()
    imputer = MIRIImputer(
        method,
        settings=FEW[method],
        random_state=0,
        group="person",
        time="visit",
    ).fit(frame)
    made = imputer.transform(frame)
    _check_panel(frame, made)
    if method not in BLUNT:
        # Of 8 between persons, 1.5 within.
        assert _off(whole, frame, made) < 3.5
    if imputer._several.imputer.redraws:
        new = frame[frame.person == "p05"].assign(person="new")
        assert imputer.transform(new).notna().all(axis=None)


@pytest.mark.parametrize("method", ["mean", "chained"])
def test_a_group_tells_levels(method):
    whole, frame = _panel(60, 8)
    made = MIRIImputer(
        method, settings=FEW[method], random_state=0, group="person"
    ).fit_transform(frame)
    rows = frame.city.isna()
    # Without the group about a third is right.
    assert np.mean((made.city == whole.city)[rows]) > 0.7


def test_command_and_estimator_give_the_same(tmp_path):
    _, frame = _panel()
    frame = frame.assign(w=np.tile([1.0, 3.0], len(frame) // 2))
    frame.to_csv(tmp_path / "in.csv", index=False)
    words = [tmp_path / "in.csv", tmp_path / "out.csv", "--method", "mean"]
    words += ["--group", "person", "--time", "visit", "--weights", "w"]
    impute.impute(impute.make_parser().parse_args([str(x) for x in words]))
    made = pd.read_csv(tmp_path / "out.csv")
    wanted = MIRIImputer(
        "mean", random_state=0, group="person", time="visit", weights="w"
    ).fit_transform(frame)
    pd.testing.assert_frame_equal(made, wanted, check_dtype=False)
    page = (tmp_path / "out.html").read_text("utf-8")
    assert "has one value in each group" in page


def test_rows_in_another_order_are_told_the_same():
    _, frame = _panel()
    imputer = MIRIImputer("mean", group="person").fit(frame)
    made = imputer.transform(frame)
    order = np.random.default_rng(0).permutation(len(frame))
    mixed = imputer.transform(frame.iloc[order])
    alike = made.iloc[order][["weight", "city"]]
    pd.testing.assert_frame_equal(mixed[["weight", "city"]], alike)


def test_a_saved_model_tells_the_same(tmp_path):
    _, frame = _panel()
    imputer = MIRIImputer("mean", group="person", time="visit", random_state=0)
    made = imputer.fit_transform(frame)
    imputer.save(tmp_path / "model")
    text = (tmp_path / "model" / "model.json").read_text()
    assert json.loads(text)["_together"]["stated"]["group"] == "person"
    again = MIRIImputer.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.transform(frame), made)
    assert list(again.sample(3).columns) == list(frame.columns)


def test_a_check_hides_no_helper():
    _, frame = _panel()
    imputer = MIRIImputer(
        "chained", settings=FEW["chained"], random_state=0, group="person"
    )
    found = overimpute(imputer, frame)
    # What is constant is known, but of one person.
    assert set(found.index) <= {"sex", "born", "weight", "city"}
    assert found.loc["weight", "score"] < 0.5


@pytest.mark.parametrize(
    "formula", ["age = 2010 + visit - born", "born = 2010 + visit - age"]
)
def test_groups_compose_with_relations(formula):
    _, frame = _panel()
    frame = frame.assign(age=2010 + frame.visit - frame.born)
    frame.loc[::3, "age"] = np.nan
    made = MIRIImputer(
        "chained",
        settings=FEW["chained"],
        random_state=0,
        group="person",
        formulas=[formula],
        rules=["weight > 40"],
        keep=["city"],
    ).fit_transform(frame)
    assert (made.age == 2010 + made.visit - made.born).all()
    assert made.groupby("person")["born"].nunique().eq(1).all()
    assert (made.city.isna() == frame.city.isna()).all()


def _sensors(seed=0, n=400):
    rng = np.random.default_rng(seed)
    wave = 5 * np.sin(np.arange(n) / 23) + 0.05 * np.cumsum(rng.normal(size=n))
    one = 20 + wave + 0.05 * rng.normal(size=n)
    whole = pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=n, freq="10min"),
            "one": one.round(2),
            "two": (one + 1 + 0.05 * rng.normal(size=n)).round(2),
            "walk": (1000 + 0.1 * np.cumsum(rng.normal(size=n))).round(2),
        }
    )
    frame = whole.copy()
    frame.loc[100:130, ["one", "two"]] = np.nan
    frame.loc[[20, 37, 86, 167, 192], "one"] = np.nan
    frame.loc[250:280, "walk"] = np.nan
    return whole, frame


def test_gaps_of_a_series_are_filled_from_both_sides():
    """The mean of five draws is as near as lines; draws spread as they must."""
    whole, frame = _sensors()
    imputer = MIRIImputer("chained", n_imputations=5, time="when")
    draws = imputer.set_params(random_state=0).fit(frame).imputations(frame)
    for name, most in (("one", 0.8), ("two", 0.8), ("walk", 1.1)):
        rows = frame[name].isna()
        found = np.stack([x.loc[rows, name] for x in draws])
        true = whole.loc[rows, name].to_numpy()
        line = frame[name].interpolate()[rows].to_numpy()
        size = lambda x: np.sqrt(np.mean(x**2))
        off = size(found.mean(axis=0) - true)
        assert off < most * size(line - true), name
        # They are no means: they differ by a third of what they miss at least.
        assert size(found.std(axis=0, ddof=1)) > off / 3, name


def test_a_walk_that_nothing_else_tells_is_no_worse_than_lines():
    """Its stretches lie beyond each other; a tree would end where they do."""
    off, lines = [], []
    for seed in (20, 21, 22):
        whole, frame = _sensors(seed, 300)
        imputer = MIRIImputer(
            "chained", n_imputations=5, time="when", random_state=0
        )
        draws = imputer.fit(frame).imputations(frame)
        rows = frame.walk.isna()
        mean = np.mean([x.walk[rows] for x in draws], axis=0)
        off.append(mean - whole.walk[rows])
        lines.append(frame.walk.interpolate()[rows] - whole.walk[rows])
    size = lambda parts: np.sqrt(np.mean(np.concatenate(parts) ** 2))
    # Of a mean of five draws a twentieth is chance.
    assert size(off) < 1.06 * size(lines)


def test_an_instrument_tells_another_that_is_out():
    whole, frame = _sensors(3)
    frame = frame.assign(one=whole.one.mask(frame.index.isin(range(100, 131))))
    frame["two"] = whole["two"]
    made = MIRIImputer("chained", random_state=0, time="when").fit_transform(
        frame
    )
    rows = frame.one.isna()
    off = np.sqrt(np.mean((made.one - whole.one)[rows] ** 2))
    line = frame.one.interpolate()
    assert off < 0.3 * np.sqrt(np.mean((line - whole.one)[rows] ** 2))


def test_time_in_any_order_of_rows():
    _, frame = _sensors(n=300)
    frame = frame.drop(columns="two")
    imputer = MIRIImputer("mean", time="when").fit(frame)
    order = np.random.default_rng(0).permutation(len(frame))
    mixed = imputer.transform(frame.iloc[order]).sort_index()
    rows = frame.one.isna() | frame.walk.isna()
    made = imputer.transform(frame)
    pd.testing.assert_frame_equal(mixed[rows], made[rows])


@pytest.mark.parametrize(
    "method",
    ["mean", "chained", pytest.param("gaussian", marks=pytest.mark.slow)],
)
def test_weights_count(method):
    rng = np.random.default_rng(0)
    n = 800
    first = rng.random(n) < 0.5
    whole = np.where(first, 10.0, 0.0) + rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "y": np.where(rng.random(n) < 0.3, np.nan, whole.round(2)),
            "x": rng.normal(size=n).round(2),
            "w": np.where(first, 1.0, 9.0),
        }
    )
    how = dict(settings=FEW[method], random_state=0, kinds={"w": "real"})
    means = {}
    for weights in (None, "w"):
        imputer = MIRIImputer(method, weights=weights, **how).fit(frame)
        rows = frame.assign(y=np.nan, w=np.nan)
        means[weights] = imputer.transform(rows).y.mean()
    assert abs(means["w"] - np.average(whole, weights=frame.w)) < 1.2
    assert means[None] > means["w"] + 1.5


def test_equal_weights_change_nothing():
    _, frame = _panel()
    frame = frame.assign(w=2.0)
    how = dict(settings=FEW["chained"], random_state=0)
    plain = MIRIImputer("chained", **how).fit_transform(frame)
    equal = MIRIImputer("chained", weights="w", **how).fit_transform(frame)
    pd.testing.assert_frame_equal(plain, equal)


def test_weighted_rows_are_there_as_often_as_they_weigh():
    from miri_jax.engine import resample, weighted_rows

    rng = np.random.default_rng(0)
    weights, m = rng.gamma(0.5, size=500), np.ones((500, 2), bool)
    rows = weighted_rows(weights, m)
    often = np.bincount(rows, minlength=500)
    assert np.abs(often - 500 * weights / weights.sum()).max() <= 1
    assert (rows[often > 0] == np.flatnonzero(often > 0)).all()
    import jax

    drawn = [
        np.bincount(resample(jax.random.key(k), m, weights), minlength=500)
        for k in range(20)
    ]
    share = np.mean(drawn, axis=0) / 500
    assert np.corrcoef(share, weights)[0, 1] > 0.95
    m[:, 1] = False
    m[int(np.argmin(weights)), 1] = True
    assert m[weighted_rows(weights, m), 1].any()


def test_a_method_of_its_own_rows_takes_no_weights():
    _, frame = _panel()
    frame = frame.assign(w=np.tile([1.0, 3.0], len(frame) // 2))
    imputer = MIRIImputer(
        "miri_paper", settings=FEW["miri_paper"], weights="w", random_state=0
    )
    with pytest.raises(ConfigError, match="leave the weights out"):
        imputer.fit(frame)


def test_who_says_nothing_is_warned():
    _, frame = _panel()
    notes = MIRIImputer("mean").fit(frame).notes_
    (note,) = (x for x in notes if "one by one" in x)
    assert note.about == {"group": "person"}
    _, frame = _sensors()
    notes = MIRIImputer("mean").fit(frame).notes_
    (note,) = (x for x in notes if "one by one" in x)
    assert note.about == {"time": "when"}
    notes = MIRIImputer("mean", time="when").fit(frame).notes_
    assert not any("one by one" in x for x in notes)


def test_the_command_names_the_flag(tmp_path, capsys):
    _, frame = _panel()
    frame.to_csv(tmp_path / "in.csv", index=False)
    words = [str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]
    words += ["--method", "mean"]
    impute.impute(impute.make_parser().parse_args(words))
    told = capsys.readouterr()
    assert "(--group person)" in told.out + told.err
    assert "one by one" in (tmp_path / "out.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ({"group": "persn"}, "did you mean person"),
        ({"group": "sex"}, "says which rows belong together, and"),
        ({"time": "weight"}, "says how rows follow each other, and"),
        ({"time": "person"}, "and no time"),
        ({"weights": "person"}, "holds no weights"),
        ({"weights": "off"}, "holds -1 in row 2; weights are 0 or more"),
        ({"weights": "none"}, "weights are 0 or more, and some more"),
        ({"group": "visit", "time": "visit"}, "is named twice"),
    ],
)
def test_what_is_said_wrongly_is_refused(how, part):
    _, frame = _panel()
    frame = frame.assign(off=1.0, none=0.0)
    frame.loc[1, "off"] = -1
    with pytest.raises(DataError, match=part):
        MIRIImputer("mean", **how).fit(frame)


def test_new_rows_need_their_group_and_no_weights():
    _, frame = _panel()
    frame = frame.assign(w=np.tile([1.0, 3.0], len(frame) // 2))
    imputer = MIRIImputer("mean", group="person", weights="w").fit(frame)
    new = frame.head(5).assign(w=np.nan)
    assert imputer.transform(new).notna().all(axis=None)
    new.loc[0, "person"] = None
    with pytest.raises(DataError, match="1 of its cells are missing"):
        imputer.transform(new)


def test_arrays_have_groups_by_number():
    _, frame = _panel()
    array = frame[["visit", "weight", "born"]].to_numpy(float)
    array[:, 0] = np.repeat(np.arange(40), 5)
    made = MIRIImputer("mean", group=0).fit_transform(array)
    for k in range(40):
        assert len(np.unique(made[5 * k : 5 * k + 5, 2])) == 1


def test_a_table_without_gaps_fits_helpers_too():
    whole, frame = _panel()
    imputer = MIRIImputer(
        "chained", settings=FEW["chained"], random_state=0, group="person"
    ).fit(whole)
    made = imputer.transform(frame)
    _check_panel(frame, made)
    assert _off(whole, frame, made) < 3.5


def test_rows_that_nobody_joined_are_told_by_no_helper():
    """Chained equations have other leaves and folds where there are helpers."""
    imputer = MIRIImputer("chained", settings={"chains": 1}).fit(_panel()[1])
    assert imputer._layout().told == ()
    joined = MIRIImputer("mean", group="person").fit(_panel()[1])
    assert max(joined._layout().told) >= 0
