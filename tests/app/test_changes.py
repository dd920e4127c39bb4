"""Changes of filled cells are one for command, estimator and function."""

import json

import numpy as np
import pandas as pd
import pytest

from miri_jax.app import impute
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.sensitivity import adjust, odds, scale, shift

WORDS = (
    *("--delta", "weight=-2", "--delta", "weight[arm=treated]=-1.5"),
    *("--scale", "count=1.4", "--odds", "smoker[arm=treated]=yes:3"),
)
CHANGES = {
    "weight": shift(-2) + shift({"treated": -1.5}, by="arm"),
    "count": scale(1.4),
    "smoker": odds({"treated": 3}, "yes", by="arm"),
}
SEED = 3


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "weight": rng.normal(70, 10, 120).round(1),
            "count": rng.integers(0, 30, 120),
            "arm": rng.choice(["treated", "control"], 120),
            "smoker": rng.choice(["yes", "no"], 120),
        }
    )
    return frame.mask(rng.random(frame.shape) < 0.3)


def _command(folder, *words):
    given = [folder / "in.csv", folder / "out.csv", "--method", "gaussian"]
    given += ["--set", "imputer.num_iterations=3", "--seed", SEED, *words]
    impute.impute(impute.make_parser().parse_args([str(x) for x in given]))


def _imputer(frame, **how):
    settings = {"num_iterations": 3}
    return MIRIImputer(
        "gaussian", settings=settings, random_state=SEED, **how
    ).fit(frame)


def _same(one, other):
    numbers = ["weight", "count"]
    np.testing.assert_allclose(one[numbers], other[numbers], atol=1e-9)
    assert (one[["arm", "smoker"]] == other[["arm", "smoker"]]).all(axis=None)


def test_command_estimator_and_function_change_alike(tmp_path, frame):
    frame.to_csv(tmp_path / "in.csv", index=False)
    _command(tmp_path, *WORDS)
    by_command = pd.read_csv(tmp_path / "out.csv")
    imputer = _imputer(frame)
    before = imputer.transform(frame)
    made = imputer.transform(frame, changes=CHANGES)
    _same(made, by_command)
    (wanted,) = adjust([before], frame.isna(), CHANGES, seed=SEED)
    pd.testing.assert_frame_equal(made, wanted)
    assert (made.dtypes == frame.dtypes).all()
    assert (made != before).any()[["weight", "count", "smoker"]].all()
    assert (made == before).to_numpy()[frame.notna()].all()
    page = (tmp_path / "out.html").read_text("utf-8")
    for part in ("were shifted by -2: an", "multiplied by 1.4: an", "odds of"):
        assert part in page
    assert "an assumption, not an estimate" in page


def test_imputations_are_those_that_the_function_changes(frame):
    imputer = _imputer(frame)
    wanted = adjust(
        imputer.imputations(frame, 3), frame.isna(), CHANGES, seed=SEED
    )
    made = imputer.imputations(frame, 3, changes=CHANGES)
    for one, other in zip(made, wanted):
        pd.testing.assert_frame_equal(one, other)


def test_what_is_changed_stands_in_the_summary(tmp_path, frame):
    from miri_jax.app.config import table_config
    from miri_jax.app.run import run

    frame.to_csv(tmp_path / "in.csv", index=False)
    config = table_config("mean")
    config.data.path = str(tmp_path / "in.csv")
    config.data.bounds = ("weight=10:",)
    config.changes.shift = ("weight=-900",)
    run(config, str(tmp_path / "run"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    count = int(frame["weight"].isna().sum())
    assert summary["changes"] == [
        "filled cells of 'weight' were shifted by -900: an assumption, not an"
        " estimate",
        f"{count} of {count} changed cells of 'weight' would lie below 10 and"
        " were set to it",
    ]


def test_what_the_estimator_refuses_and_warns_of(frame):
    imputer = _imputer(frame)
    with pytest.raises(DataError, match="'x', which is not a column"):
        imputer.transform(frame, changes={"x": shift(1)})
    imputer.set_params(statistic="mean")
    with pytest.raises(ConfigError, match="changes are of draws"):
        imputer.transform(frame, changes=CHANGES)
    imputer = _imputer(frame, bounds={"count": (0, None)})
    with pytest.warns(UserWarning, match="would lie below 0"):
        made = imputer.transform(frame, changes={"count": shift(-99)})
    assert (made["count"][frame["count"].isna()] == 0).all()
