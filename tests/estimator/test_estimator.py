"""MIRIImputer: scikit-learn's contract, types as they came, save and load."""

import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.imputers import IMPUTERS

FAST = {"num_iterations": 10}


def _mixed(n=300, rate=0.3, seed=0):
    """A frame of all types that share one factor, and its gaps."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    noise = lambda: 0.4 * rng.standard_normal(n)
    start = pd.Timestamp("2020-01-01")
    frame = pd.DataFrame(
        {
            "real": z + noise(),
            "small": (z + noise()).astype(np.float32),
            "count": pd.array(rng.poisson(np.exp(1 + z / 2)), "Int64"),
            "text": np.where(z + noise() > 0, "x", np.where(z > -1, "y", "é")),
            "flag": pd.array(z + noise() > 0, "boolean"),
            "when": start + pd.to_timedelta(np.round(900 * z), unit="min"),
            "zone": (start + pd.to_timedelta(np.round(30 * z), unit="D"))
            .tz_localize("UTC")
            .tz_convert("Asia/Tokyo"),
            "heavy": np.exp(2 * z),
            "size": pd.Categorical(
                np.where(z > 1, "L", np.where(z > -0.5, "M", "S")),
                ["S", "M", "L"],
                ordered=True,
            ),
            "key": [f"id{k}" for k in range(n)],
        },
        index=pd.Index(rng.permutation(n), name="row"),
    )
    gaps = rng.random(frame.shape) < rate
    gaps[:, -1] = False
    return frame.mask(gaps), gaps, frame


@pytest.fixture(scope="module")
def fitted():
    frame, gaps, truth = _mixed()
    imputer = MIRIImputer(
        "gaussian",
        settings=FAST,
        random_state=0,
        n_imputations=3,
        bounds={"heavy": (0, None)},
    )
    return imputer.fit(frame), frame, gaps, truth


@parametrize_with_checks([MIRIImputer("mean", random_state=0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        MIRIImputer("gaussian", settings=FAST, random_state=0),
        MIRIImputer(
            settings={"num_iterations": 1, "num_steps": 10}, random_state=0
        ),
    ]
)
def test_scikit_learns_checks_of_fits(estimator, check):
    check(estimator)


def test_a_frame_comes_back_whole_and_as_it_came(fitted):
    imputer, frame, gaps, truth = fitted
    kept = frame.copy()
    filled = imputer.transform(frame)
    pd.testing.assert_frame_equal(frame, kept)  # the input is not touched
    assert filled.notna().all(axis=None)
    pd.testing.assert_series_equal(filled.dtypes, frame.dtypes)
    pd.testing.assert_index_equal(filled.index, frame.index)
    assert list(filled.columns) == list(frame.columns)
    for j, name in enumerate(frame):
        observed = ~gaps[:, j]
        pd.testing.assert_series_equal(
            filled[name][observed], frame[name][observed]
        )
    # What is filled follows the other columns.
    hidden = gaps[:, 0]
    r = np.corrcoef(filled["real"][hidden], truth["real"][hidden])[0, 1]
    assert r > 0.5
    assert set(filled["text"]) == {"x", "y", "é"}
    same = filled["flag"][gaps[:, 4]] == truth["flag"][gaps[:, 4]]
    assert same.mean() > 0.65
    assert (filled["when"].dt.second == 0).all()
    assert (filled["heavy"] > 0).all()


def test_the_same_seed_gives_the_same_numbers(fitted):
    imputer, frame, _, _ = fitted
    once, again = imputer.transform(frame), clone(imputer).fit(frame)
    pd.testing.assert_frame_equal(again.transform(frame), once)
    other = clone(imputer).set_params(random_state=1).fit(frame)
    assert not other.transform(frame).equals(once)


def test_new_rows_are_filled_by_the_fit(fitted):
    imputer, _, _, _ = fitted
    new, _, _ = _mixed(n=17, seed=5)
    state = [np.array(x) for x in _leaves(imputer)]
    filled = imputer.transform(new)
    assert filled.notna().all(axis=None) and len(filled) == 17
    for before, after in zip(state, _leaves(imputer)):
        np.testing.assert_array_equal(before, after)
    one = imputer.transform(new.iloc[:1])
    assert one.notna().all(axis=None)


def test_several_imputations_differ_in_gaps_only(fitted):
    imputer, frame, gaps, _ = fitted
    found = imputer.imputations(frame)
    assert len(found) == 3 and len(imputer.imputations(frame, 2)) == 2
    first, second = found[0]["real"], found[1]["real"]
    assert (first != second)[gaps[:, 0]].all()
    assert (first == second)[~gaps[:, 0]].all()


def test_the_mean_is_of_numbers_and_the_most_frequent_of_levels(fitted):
    imputer, frame, gaps, truth = fitted
    mean = clone(imputer).set_params(statistic="mean", n_imputations=9)
    filled = mean.fit(frame).transform(frame)
    draw = imputer.transform(frame)
    hidden = gaps[:, 0]
    error = lambda x: np.std((x["real"] - truth["real"])[hidden])
    assert error(filled) < error(draw)
    assert set(filled["text"]) <= {"x", "y", "é"}
    assert filled.notna().all(axis=None)
    pd.testing.assert_series_equal(filled.dtypes, frame.dtypes)


def test_synthetic_rows_have_the_types_and_the_relations(fitted):
    imputer, frame, _, truth = fitted
    rows = imputer.sample(600)
    assert list(rows.columns) == list(frame.columns) and len(rows) == 600
    assert rows.notna().all(axis=None)
    kept = [name for name in frame if name != "key"]
    pd.testing.assert_series_equal(rows[kept].dtypes, frame[kept].dtypes)
    r = np.corrcoef(rows["real"], rows["small"])[0, 1]
    assert abs(r - np.corrcoef(truth["real"], truth["small"])[0, 1]) < 0.15
    assert (rows["heavy"] > 0).all()  # as its bound says


def test_a_saved_model_gives_the_same_values(fitted, tmp_path):
    imputer, frame, _, _ = fitted
    imputer.save(tmp_path / "model")
    loaded = MIRIImputer.load(tmp_path / "model")
    once = imputer.transform(frame)
    pd.testing.assert_frame_equal(loaded.transform(frame), once)
    pd.testing.assert_frame_equal(loaded.sample(5), imputer.sample(5))
    pickled = pickle.loads(pickle.dumps(imputer))
    pd.testing.assert_frame_equal(pickled.transform(frame), once)
    # No row of the table is in it.
    written = b"".join(
        path.read_bytes()
        for path in (tmp_path / "model").rglob("*")
        if path.is_file()
    )
    assert b"id17" not in written
    with pytest.raises(DataError, match="already exists; choose"):
        imputer.save(tmp_path / "model")


def test_a_saved_model_keeps_its_settings_by_column(tmp_path):
    frame = pd.DataFrame({0: [1, 2, None, 3], 1: ["S", None, "M", "S"]})
    imputer = MIRIImputer(
        "mean",
        kinds={0: "real"},
        bounds={0: (0, 9)},
        orders={1: ["S", "M", "L"]},
    ).fit(frame)
    imputer.save(tmp_path / "model")
    loaded = MIRIImputer.load(tmp_path / "model")
    assert loaded.kinds == imputer.kinds and loaded.orders == imputer.orders
    assert tuple(loaded.bounds[0]) == (0, 9)
    again = clone(loaded).fit(frame)
    assert again.columns_ == imputer.columns_


def test_bootstrapped_fits_differ_and_spread_wider(table):
    """Each imputation then has parameters of its own (Rubin, 1987)."""
    x = np.where(table[0].m, table[0].x, np.nan)[:60]
    found = {}
    for bootstrap in (False, True):
        imputer = MIRIImputer(
            "gaussian",
            settings=FAST,
            n_imputations=60,
            bootstrap=bootstrap,
            random_state=0,
        )
        found[bootstrap] = imputer.fit(x)
        # One of all rows, which `transform` uses, and one a resampling.
        assert len(imputer.states_) == (61 if bootstrap else 1)
    fits = [np.asarray(state.gaussian.mean) for state in found[True].states_]
    assert len(np.unique(fits, axis=0)) == 61
    means = {
        bootstrap: np.var(
            [filled.mean(axis=0) for filled in imputer.imputations(x)], axis=0
        ).sum()
        for bootstrap, imputer in found.items()
    }
    assert means[True] > 1.2 * means[False]


def test_a_model_that_is_none_is_refused(fitted, tmp_path):
    imputer, _, _, _ = fitted
    with pytest.raises(DataError, match="holds no model"):
        MIRIImputer.load(tmp_path)
    imputer.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(DataError, match="format 99"):
        MIRIImputer.load(tmp_path / "model")
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        MIRIImputer.load(tmp_path / "model")
    path.write_text(json.dumps(content))
    files = (tmp_path / "model" / "state").rglob("*")
    for file in [file for file in files if file.is_file()]:
        file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(DataError, match="is damaged"):
        MIRIImputer.load(tmp_path / "model")


def test_pipelines_and_cross_validation(table):
    x = np.where(table[0].m, table[0].x, np.nan)
    y = table[1][:, 0]
    imputer = MIRIImputer("mean")
    pipeline = make_pipeline(imputer, LinearRegression())
    scores = cross_val_score(pipeline, x, y, cv=3)
    assert np.isfinite(scores).all() and scores.mean() > 0.3
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    some = ColumnTransformer([("fill", imputer, ["a", "c"])])
    some.set_output(transform="pandas")
    assert list(some.fit_transform(frame)) == ["fill__a", "fill__c"]


def test_outputs_can_be_chosen(fitted):
    imputer, frame, _, _ = fitted
    numbers = frame[["real", "heavy"]].to_numpy()
    found = MIRIImputer("mean").fit(numbers)
    assert isinstance(found.transform(numbers), np.ndarray)
    assert list(found.get_feature_names_out()) == ["x0", "x1"]
    found.set_output(transform="pandas")
    assert list(found.transform(numbers)) == ["x0", "x1"]
    assert list(imputer.get_feature_names_out()) == list(frame)


def test_polars_comes_back_as_polars():
    frame = pl.DataFrame(
        {
            "n": [1, None, 3, 7],
            "s": ["a", "b", None, "a"],
            "x": [0.5, None, 2.25, 1.0],
            "b": [True, None, False, True],
        }
    )
    filled = MIRIImputer("mean").fit(frame).transform(frame)
    assert isinstance(filled, pl.DataFrame) and filled.schema == frame.schema
    assert filled.null_count().sum_horizontal().item() == 0
    assert filled["n"][2] == 3 and filled["s"][0] == "a"


@pytest.mark.parametrize(
    "method",
    [
        name
        if name in ("mean", "gaussian", "chained")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in IMPUTERS
    ],
)
def test_every_method_fills_mixed_tables(method):
    """With the least work; that the methods are good is for other tests."""
    settings = {
        "miri": {"num_iterations": 1, "num_steps": 10, "gaussian_rounds": 4},
        "miri_paper": {"num_iterations": 1, "num_steps": 10, "ode_steps": 2},
        "chained": {"num_iterations": 2, "chains": 2},
        "gaussian": FAST,
        "missdiff": {"num_iterations": 1, "num_steps": 10},
        "tabcsdi": {"num_iterations": 1, "num_steps": 10},
        "diffputer": {"num_iterations": 1, "num_steps": 10, "num_samples": 1},
        "gain": {"num_iterations": 1, "num_steps": 10},
        "knewimp": {"num_iterations": 1, "num_steps": 10, "flow_steps": 2},
    }.get(method)
    frame, _, _ = _mixed(n=60)
    imputer = MIRIImputer(method, settings=settings, random_state=0)
    filled = imputer.fit(frame).transform(frame)
    assert filled.notna().all(axis=None)
    pd.testing.assert_series_equal(filled.dtypes, frame.dtypes)


def test_a_table_without_gaps_teaches_how_to_fill_others():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((500, 1))
    x = z + 0.3 * rng.standard_normal((500, 3))
    imputer = MIRIImputer("gaussian", settings=FAST, random_state=0).fit(x)
    new = x[:200].copy()
    new[:, 1] = np.nan
    filled = imputer.transform(new)
    assert np.corrcoef(filled[:, 1], x[:200, 1])[0, 1] > 0.7
    np.testing.assert_array_equal(imputer.transform(x), x)


def test_bounds_are_kept_by_drawing_again():
    """A normal column cut at its middle has no heap of imputed cells there.

    Where there is no bound, imputed cells go beyond what was observed.
    """
    rng = np.random.default_rng(0)
    x = np.abs(rng.standard_normal((2000, 2))) - 1
    x[rng.random(x.shape) < 0.8] = np.nan
    imputer = MIRIImputer(
        "gaussian", settings=FAST, random_state=0, bounds={0: (-1, None)}
    )
    whole = imputer.fit(x).transform(x)
    filled = whole[np.isnan(x[:, 0]), 0]
    assert filled.min() >= -1
    assert whole[np.isnan(x[:, 1]), 1].min() < -1
    assert np.mean(filled < -0.999) < 0.01
    share = np.mean(filled < -0.8)
    assert share == pytest.approx(0.16, abs=0.08)


def test_unseen_levels_are_refused_or_kept():
    frame = pd.DataFrame({"k": ["a", "b", None] * 9, "x": np.arange(27.0) / 2})
    new = pd.DataFrame({"k": ["a", "new", None], "x": [1.0, np.nan, 2.0]})
    imputer = MIRIImputer("mean").fit(frame)
    filled = imputer.transform(new)
    assert list(filled["k"][:2]) == ["a", "new"]
    assert filled["k"][2] in ("a", "b") and filled.notna().all(axis=None)
    imputer.set_params(unseen="error")
    with pytest.raises(DataError, match="'k' holds 'new' in row 2"):
        imputer.transform(new)


def test_other_marks_of_missing():
    x = np.array([[1.0, -99], [2.5, 3], [-99, 4], [3.5, 5]])
    filled = MIRIImputer("mean", missing_values=[-99]).fit(x).transform(x)
    np.testing.assert_array_equal(filled[:, 1], [4, 3, 4, 5])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"method": "mirri"}, "did you mean miri"),
        ({"statistic": "median"}, "use one of draw, mean"),
        ({"unseen": "drop"}, "use one of error, missing"),
        ({"n_imputations": 0}, "whole number from 1"),
        ({"settings": {"num_rownds": 1}}, "has no setting 'num_rownds'"),
        ({"kinds": {"z": "real"}}, "'z', which is not a column"),
        ({"bounds": {"z": (0, 1)}}, "'z', which is not a column"),
        ({"orders": {"z": "ab"}}, "'z', which is not a column"),
    ],
)
def test_settings_are_checked(settings, message):
    frame = pd.DataFrame({"a": [1.0, None, 2.5], "b": [1.5, 2.0, None]})
    with pytest.raises((ConfigError, DataError), match=message):
        MIRIImputer(**settings).fit(frame)


@pytest.mark.parametrize(
    "frame, message",
    [
        (pd.DataFrame({"a": []}), "0 row"),
        (pd.DataFrame(index=[1, 2]), "0 column"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "named 'a'"),
        (pd.DataFrame({"a": [None, None]}), "'a' has no observed"),
        (pd.DataFrame({"a": [f"u{k}" for k in range(30)]}), "nothing to fill"),
    ],
)
def test_tables_that_cannot_be_fitted(frame, message):
    with pytest.raises(DataError, match=message):
        MIRIImputer("mean").fit(frame)


def test_other_columns_than_those_of_the_fit():
    frame = pd.DataFrame({"a": [1.0, 2.5, None], "b": [1.5, None, 2.0]})
    imputer = MIRIImputer("mean").fit(frame)
    with pytest.raises(ValueError, match="missing:\n- b"):
        imputer.transform(frame[["a"]])
    with pytest.raises(ValueError, match="same order"):
        imputer.transform(frame[["b", "a"]])
    with pytest.raises(ValueError, match="unseen at fit time"):
        imputer.transform(frame.assign(c=1))
    numbered = frame.set_axis([0, 1], axis=1)
    imputer = MIRIImputer("mean").fit(numbered)
    with pytest.raises(DataError, match=r"\[1, 0\], .* \[0, 1\]; give"):
        imputer.transform(numbered[[1, 0]])


def _leaves(imputer):
    import jax

    return jax.tree.leaves(imputer.states_)
