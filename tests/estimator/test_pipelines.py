"""MIRIImputer among others: pipelines, searches, indicators, threads."""

import threading

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from miri_jax import MIRIImputer, shift
from miri_jax.data.plain import as_type, to_plain, type_name
from miri_jax.exceptions import DataError
from tests.estimator.test_types import PANDAS

FEW = {"num_iterations": 1, "chains": 1}


def _numbers(n=60):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3))
    y = x @ [1.0, 2, 3]
    x[rng.random(x.shape) < 0.2] = np.nan
    return x, y


@pytest.fixture
def frame():
    x, _ = _numbers()
    frame = pd.DataFrame(x, columns=list("abc"))
    return frame.assign(b=0.5, s=["u", None, "v"] * 20)


def _pipeline():
    imputer = MIRIImputer("chained", random_state=0, settings=FEW)
    return Pipeline([("imputer", imputer), ("model", LinearRegression())])


@parametrize_with_checks(
    [MIRIImputer("mean", random_state=0, add_indicator=True)]
)
def test_scikit_learns_checks_with_indicators(estimator, check):
    check(estimator)


def test_settings_are_parameters():
    imputer = MIRIImputer("chained", settings=FEW)
    told = imputer.get_params()
    assert told["settings__num_iterations"] == 1
    assert "settings__num_iterations" not in imputer.get_params(deep=False)
    imputer.set_params(num_iterations=3)
    imputer.set_params(settings__chains=2, statistic="mean")
    assert imputer.settings == {"num_iterations": 3, "chains": 2}
    assert FEW == {"num_iterations": 1, "chains": 1}  # not the user's own
    assert clone(imputer).settings == imputer.settings
    with pytest.raises(ValueError, match="Invalid parameter 'num_rounds'"):
        imputer.set_params(num_rounds=1)
    with pytest.raises(ValueError, match="Invalid parameter 'chains'"):
        MIRIImputer("mean").set_params(chains=1)
    assert MIRIImputer().set_params(method="chained", chains=3).settings == {
        "chains": 3
    }


@pytest.mark.parametrize("name", ["num_iterations", "settings__num_iterations"])
def test_searches_reach_settings(name):
    grid = {f"imputer__{name}": [1, 2]}
    search = GridSearchCV(_pipeline(), grid, cv=2).fit(*_numbers())
    found = search.cv_results_["mean_test_score"]
    assert np.isfinite(found).all() and found[0] != found[1]
    best = search.best_estimator_["imputer"]
    assert best.settings == FEW | {
        "num_iterations": search.best_params_[f"imputer__{name}"]
    }


@pytest.mark.slow
def test_jobs_in_processes_end():
    """A fit of this process does not keep those of others from theirs."""
    x, y = _numbers()
    alone = cross_val_score(_pipeline(), x, y, cv=2)
    together = cross_val_score(_pipeline(), x, y, cv=2, n_jobs=2)
    np.testing.assert_allclose(together, alone)
    fitted = MIRIImputer("mean").fit(x)
    jobs = [joblib.delayed(fitted.transform)(x) for _ in range(2)]
    for found in joblib.Parallel(2)(jobs):
        np.testing.assert_array_equal(found, fitted.transform(x))


def test_changes_are_routed(frame):
    _, y = _numbers()
    with sklearn.config_context(enable_metadata_routing=True):
        imputer = MIRIImputer("mean").set_transform_request(changes=True)
        steps = [("imputer", imputer), ("model", LinearRegression())]
        pipeline = Pipeline(steps).fit(frame[["a", "c"]], y)
        plain = pipeline.predict(frame[["a", "c"]])
        moved = pipeline.predict(frame[["a", "c"]], changes={"a": shift(9)})
    gaps = frame["a"].isna().to_numpy()
    by = 9 * pipeline["model"].coef_[0]
    np.testing.assert_allclose((moved - plain)[gaps], by, rtol=1e-5)
    np.testing.assert_allclose(moved[~gaps], plain[~gaps])


def test_folds_with_empty_columns_and_new_levels_do_not_fail():
    x, y = _numbers()
    frame = pd.DataFrame(x, columns=list("abc"))
    frame["rare"] = [1.5, 2.5, *[np.nan] * 58]  # of the first fold only
    frame["level"] = pd.Series([*["p"] * 30, *["q"] * 30], dtype="category")
    encoded = ColumnTransformer(
        [("fill", MIRIImputer("mean"), ["a", "b", "c", "rare"])]
    )
    pipeline = Pipeline([("fill", encoded), ("model", LinearRegression())])
    with pytest.warns(UserWarning, match="'rare': no observed value"):
        scores = cross_val_score(pipeline, frame, y, cv=KFold(2))
    assert np.isfinite(scores).all()
    imputer = MIRIImputer("mean").fit(frame[:30])
    assert list(imputer.transform(frame[30:])["level"]) == ["q"] * 30


def test_indicators_are_those_of_scikit_learn(frame):
    numbers = frame[["a", "b", "c"]]
    simple = SimpleImputer(add_indicator=True).fit(numbers)
    ours = MIRIImputer("mean", add_indicator=True).fit(numbers)
    names = ["a", "b", "c", "missingindicator_a", "missingindicator_c"]
    assert list(ours.get_feature_names_out()) == names
    assert list(simple.get_feature_names_out()) == names
    expected = simple.transform(numbers)
    done = ours.transform(numbers).astype(float)
    np.testing.assert_allclose(done, expected, atol=1e-6)
    array = numbers.to_numpy()
    found = clone(ours).fit_transform(array)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # New rows have the columns of the fit.
    one = ours.transform(numbers.fillna(0.0).assign(b=np.nan))
    assert list(one) == names and not one[names[3:]].any(axis=None)
    for kind in (pl.from_pandas, pa.Table.from_pandas):
        done = clone(ours).fit_transform(kind(numbers))
        done = done.to_pandas() if isinstance(done, pa.Table) else done
        assert list(done.columns) == names
        assert list(done[names[4]]) == list(numbers["c"].isna())
    masked = clone(ours).fit_transform(np.ma.masked_invalid(array))
    assert masked.shape == (60, 5)
    wrapped = clone(ours).set_output(transform="pandas").fit_transform(array)
    assert list(wrapped)[3:] == ["missingindicator_x0", "missingindicator_x2"]
    assert list(ours.transform(numbers[9:], part="b")) == names
    assert list(ours.imputations(numbers, 1)[0]) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_outputs_of_both_libraries(frame, kind):
    library = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[kind]
    for table in (frame, pl.from_pandas(frame), frame[["a", "c"]].to_numpy()):
        imputer = MIRIImputer("mean").set_output(transform=kind)
        done = imputer.fit_transform(table)
        assert isinstance(done, library)
        assert list(done.columns) == list(imputer.get_feature_names_out())


def test_a_model_replaces_one_only_if_asked(frame, tmp_path):
    folder = tmp_path / "model"
    MIRIImputer("mean", add_indicator=True).fit(frame).save(folder)
    other = MIRIImputer("median").fit(frame)
    with pytest.raises(DataError, match="already exists"):
        other.save(folder)
    other.save(folder, overwrite=True)
    loaded = MIRIImputer.load(folder)
    assert loaded.method == "median" and [*tmp_path.iterdir()] == [folder]
    pd.testing.assert_frame_equal(
        loaded.transform(frame), other.transform(frame)
    )
    # What is no model is not removed.
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("a")
    with pytest.raises(DataError, match="already exists"):
        other.save(notes, overwrite=True)
    assert (notes / "a.txt").exists()


@pytest.mark.parametrize("method, settings", [("mean", None), ("chained", FEW)])
def test_threads_give_what_one_gives(frame, method, settings):
    imputer = MIRIImputer(method, settings=settings, random_state=0).fit(frame)
    sizes = (60, 31, 7)
    alone = [imputer.transform(frame[:k]) for k in sizes]
    fresh = MIRIImputer(method, settings=settings, random_state=0).fit(frame)
    found = {}

    def work(number):
        for k in sizes:
            found[number, k] = fresh.transform(frame[:k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    for (_, k), done in found.items():
        pd.testing.assert_frame_equal(done, alone[sizes.index(k)])


@pytest.mark.parametrize("name", PANDAS)
def test_a_plain_column_finds_its_type_again(name):
    """By the type's name, which a saved model holds."""
    series = PANDAS[name](False)
    kind = type_name(PANDAS[name](True))
    plain = to_plain(series).series
    if kind is None:
        return
    again = as_type(plain, kind)
    pd.testing.assert_series_equal(again, series)


@pytest.mark.slow
def test_synthetic_rows_have_the_types_that_came(tmp_path):
    names = [
        name
        for name in PANDAS
        if not name.startswith(("objects", "Interval", "string of"))
        or name in ("objects of clocks", "objects of durations")
    ]
    frame = pd.DataFrame({name: PANDAS[name](True) for name in names})
    settings = {"num_iterations": 2}
    imputer = MIRIImputer("gaussian", random_state=0, settings=settings)
    rows = imputer.fit(frame).sample(5)
    for name in names:
        series = frame[name].dropna()
        assert rows[name].dtype == series.dtype, name
        first, cell = rows[name].iloc[0], series.iloc[0]
        assert isinstance(cell, float) or type(first) is type(cell), name
    assert rows["arrow text of dates"].str.fullmatch(r"\d\d\.\d\d\.\d{4}").all()
    imputer.save(tmp_path / "model")
    loaded = MIRIImputer.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.sample(5), rows)
