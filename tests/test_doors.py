"""Command, estimator and function give the same values for the same seed."""

import json

import jax
import numpy as np
import pandas as pd
import pytest

from miri_jax import engine
from miri_jax.app import impute
from miri_jax.app.config import table_config
from miri_jax.app.run import run
from miri_jax.data import load_dataset
from miri_jax.data.dataset import from_table
from miri_jax.data.readers import read_table
from miri_jax.data.tables import fill_table
from miri_jax.estimator import MIRIImputer, overimpute
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import IMPUTERS, make_imputer
from tests.golden import FEW

SEED = 7


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A CSV of numbers and levels with gaps, one column bounded."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(60)
    frame = pd.DataFrame(
        {
            "a": np.round(z, 3),
            "b": np.round(np.abs(z + rng.standard_normal(60)), 3),
            "kind": np.where(z + rng.standard_normal(60) > 0, "x", "y"),
        }
    )
    frame = frame.mask(rng.random(frame.shape) < 0.25)
    path = tmp_path_factory.mktemp("doors") / "in.csv"
    frame.to_csv(path, index=False)
    return path


def _by_function(path, method, count, **how):
    dataset = from_table(read_table(str(path), bounds={"b": (0, None)}))
    layout, keys = dataset.layout(), engine.seed_keys(SEED)
    imputer = make_imputer(method, layout=layout, **FEW[method])
    data, bounds = dataset.masked(), dataset.bounds()
    state = engine.fit(keys.fit, imputer, data)
    found = engine.draws(
        keys.draw, imputer, state, data, count, bounds=bounds, **how
    )
    return [fill_table(dataset.table, dataset.restore(x)) for x in found]


def _to_be_pooled(path, method, count):
    dataset = from_table(read_table(str(path), bounds={"b": (0, None)}))
    layout, keys = dataset.layout(), engine.seed_keys(SEED)
    imputer = make_imputer(method, layout=layout, **FEW[method])
    data, bounds = dataset.masked(), dataset.bounds()
    how = engine.several(imputer, count, proper=True)
    states = list(engine.fit_several(keys, how, data))
    found = engine.draw_several(keys.draw, how, states, data, bounds=bounds)
    return [fill_table(dataset.table, dataset.restore(x)) for x in found]


def _by_command(path, folder, method, count, bootstrap=True, check=False):
    config = table_config()
    config.data.path, config.data.bounds = str(path), ("b=0:",)
    config.method, config.draws, config.seed = method, count, SEED
    config.bootstrap = bootstrap
    config.check = check
    for name, value in FEW[method].items():
        config.imputer[name] = value
    run(config, str(folder))
    return [pd.read_csv(p, dtype=str) for p in sorted(folder.glob("im*.csv"))]


def _estimator(path, method, count, bootstrap=None):
    imputer = MIRIImputer(
        method,
        settings=FEW[method],
        bounds={"b": (0, None)},
        n_imputations=count,
        bootstrap=bootstrap,
        random_state=SEED,
    )
    frame = pd.read_csv(path)
    return imputer.fit(frame), frame


def _same(one, other):
    """To the digits of the file."""
    pd.testing.assert_frame_equal(
        one.astype({"a": float, "b": float}),
        other.astype({"a": float, "b": float}),
        check_dtype=False,
        rtol=0,
        atol=1e-9,
    )


@pytest.mark.parametrize(
    "method",
    [
        name
        if name in ("miri", "gaussian")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in IMPUTERS
    ],
)
def test_all_doors_give_the_same_values(method, path, tmp_path):
    (of_function,) = _by_function(path, method, 1)
    (of_command,) = _by_command(path, tmp_path / "run", method, 1)
    imputer, frame = _estimator(path, method, 1)
    of_estimator = imputer.transform(frame)
    _same(of_command, of_estimator)
    _same(of_command, of_function)
    assert (of_estimator["b"] >= 0).all()
    observed = frame.notna()
    assert of_estimator.where(observed).equals(frame)


@pytest.mark.parametrize(
    "method",
    ["gaussian", "chained", pytest.param("miri", marks=pytest.mark.slow)],
)
def test_several_draws_are_the_same_through_all_doors(method, path, tmp_path):
    """Draws that may be pooled, in each of them."""
    of_command = _by_command(path, tmp_path / "run", method, 3)
    of_function = _to_be_pooled(path, method, 3)
    imputer, frame = _estimator(path, method, 3)
    for one, other, third in zip(
        of_command, of_function, imputer.imputations(frame)
    ):
        _same(one, other)
        _same(one, third)


def test_draws_of_one_fit_are_the_same_through_all_doors(path, tmp_path):
    of_command = _by_command(
        path, tmp_path / "run", "gaussian", 3, bootstrap=False
    )
    for one, other in zip(of_command, _by_function(path, "gaussian", 3)):
        _same(one, other)
    imputer, frame = _estimator(path, "gaussian", 3, bootstrap=False)
    for one, other in zip(of_command, imputer.imputations(frame)):
        _same(one, other)


def test_a_check_is_the_same_through_all_doors(path, tmp_path):
    folder, settings = tmp_path / "run", FEW["chained"]
    _by_command(path, folder, "chained", 1, check=True)
    summary = json.loads((folder / "summary.json").read_text())
    frame = overimpute(
        MIRIImputer(
            "chained",
            settings=settings,
            bounds={"b": (0, None)},
            random_state=SEED,
        ),
        pd.read_csv(path),
    )
    assert list(frame.index) == ["a", "b", "kind"]
    for name, found in summary["check"]["columns"].items():
        known = {k: v for k, v in frame.loc[name].items() if np.all(v == v)}
        known["ranks"] = known["ranks"] and list(known["ranks"])
        assert found == {k: v for k, v in known.items() if v is not None}
    dataset = from_table(read_table(str(path), bounds={"b": (0, None)}))
    layout, keys = dataset.layout(), engine.seed_keys(SEED)
    of_function = engine.overimpute(
        jax.random.fold_in(keys.measure, engine.CHECK),
        make_imputer("chained", layout=layout, **settings),
        dataset.masked(),
        layout=layout,
        bounds=dataset.bounds(),
    )
    made = json.loads(json.dumps(of_function.as_dict()))
    assert made == summary["check"]


def test_what_cannot_draw_again_gives_its_fits_through_all_doors(
    path, tmp_path
):
    """Several draws of Algorithm 1 are several fits, never a redraw."""
    of_command = _by_command(path, tmp_path / "run", "miri_paper", 2)
    imputer, frame = _estimator(path, "miri_paper", 2)
    assert len(imputer.states_) == 2
    of_estimator = imputer.imputations(frame)
    for one, other in zip(of_command, of_estimator):
        _same(one, other)
    assert not of_estimator[0].equals(of_estimator[1])
    with pytest.warns(UserWarning, match="fitted to other rows"):
        imputer.transform(frame.iloc[:20])


def _run_of(path, folder, **settings):
    config = table_config("mean")
    config.data.path = str(path)
    config.update_from_flattened_dict(settings)
    run(config, str(folder / "run"))


def _miri_impute(path, folder, *words):
    out = str(folder / f"out{path.suffix}")
    words = ("--method", "mean", *map(str, words))
    impute.impute(impute.make_parser().parse_args([str(path), out, *words]))


SEEDED = {
    "command": lambda path, to, x: _miri_impute(path, to, "--seed", x),
    "its settings": lambda path, to, x: _miri_impute(
        path, to, "--set", f"seed={x}"
    ),
    "by parts": lambda path, to, x: _miri_impute(
        path.with_suffix(".parquet"), to, "--stream", "--seed", x
    ),
    "run": lambda path, to, x: _run_of(path, to, seed=x),
    "mask": lambda path, to, x: load_dataset("toy", mask_seed=x),
    "estimator": lambda path, to, x: MIRIImputer("mean", random_state=x).fit(
        np.array([[1.0, 2], [np.nan, 3], [3, 4]])
    ),
    "function": lambda path, to, x: engine.seed_keys(x),
}


@pytest.mark.parametrize("seed", [-1, 2**32, 10**30])
@pytest.mark.parametrize("door", SEEDED)
def test_what_would_be_another_seed_is_none(path, tmp_path, door, seed):
    """Of 2^32 was made 0, of -1 what 2^32 - 1 gives; --stream raised."""
    pd.read_csv(path).to_parquet(path.with_suffix(".parquet"))
    with pytest.raises(ConfigError, match=f"is {seed}; give a whole number"):
        SEEDED[door](path, tmp_path, seed)
    assert not any(tmp_path.iterdir())
