"""A saved model is looked at as a whole: whatever it holds, one line or a use.

Each place in model.json is given what does not belong there.
"""

import copy
import json
import resource
import shutil

import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer
from miri_jax.exceptions import DataError, MiriError


def _frame():
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n).round(2),
            "level": rng.choice(["x", "y", "z"], n),
            "day": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 99, n), "D"),
            "text": [f"{x:.2f}" for x in rng.normal(size=n)],
            "code": rng.choice([10, 20, 25], n),
            "time": [f"{d:02d}.03.2024" for d in rng.integers(1, 29, n)],
        }
    )
    for k, name in enumerate(frame):
        frame.loc[k::7, name] = None
    return frame


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    frame = _frame()
    imputer = MIRIImputer(
        "mean", random_state=1, bounds={"a": (-9, 9)}, found=False
    )
    imputer.fit(frame).save(folder)
    return folder, json.loads((folder / "model.json").read_text()), frame


def _deep():
    value = 0
    for _ in range(300):
        value = [value]
    return value


WRONG = {
    "text": "x",
    "none": None,
    "negative": -3,
    "huge": 10**9,
    "beyond": 10**30,
    "nan": float("nan"),
    "infinite": float("inf"),
    "list": [],
    "object": {},
    "deep": _deep(),
    "fraction": 0.5,
}


def _places(content, path=()):
    """Paths to all that a model holds; of long lists the first two."""
    yield path
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _places(value, (*path, name))
    elif isinstance(content, list):
        for k, value in enumerate(content[:2]):
            yield from _places(value, (*path, k))


def _with(content, path, value):
    made = copy.deepcopy(content)
    if not path:
        return value
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return made


def _tried(model, tmp_path, text):
    """What becomes of a model with another model.json."""
    folder, _, frame = model
    there = tmp_path / "model"
    if not there.exists():
        shutil.copytree(folder, there)
    (there / "model.json").write_text(text)
    try:
        filled = MIRIImputer.load(there).transform(frame.head(20))
    except MiriError as error:
        assert "\n" not in str(error) and len(str(error)) < 900, error
        return "refused"
    shown = frame.head(20).notna()
    for name in frame:
        came = frame[name].head(20)[shown[name]]
        assert list(filled[name][shown[name]]) == list(came), name
    assert filled.notna().all(axis=None)
    return "used"


def _check(model, tmp_path, places):
    found, wrong = {"refused": 0, "used": 0}, []
    for path in places:
        for what, value in WRONG.items():
            text = json.dumps(_with(model[1], path, value))
            try:
                found[_tried(model, tmp_path, text)] += 1
            except Exception as error:
                wrong.append((path, what, type(error).__name__, str(error)))
    assert not wrong, "\n".join(map(str, wrong))
    return found


# What an argument may be, also in the types of NumPy.
LAWFUL = {
    "orders": {"level": ["S", "M", "L"]},
    "kinds": {"count": "categorical"},
    "bounds": {"x": np.array([-9.0, 9.0]), "count": (None, np.int64(9))},
    "gap_bounds": ["count=0:4"],
    "below": {"x": np.float64(9)},
    "above": {"x": -9},
    "keep": ("when",),
    "only_if": {"count": "level != 'S'"},
    "rules": ["x <= count + 100"],
    "group": "person",
    "time": "visit",
    "weights": "visit",
    "missing_values": [-99, "?", float("nan"), float("inf")],
    "empty_value": 0,
    "random_state": np.random.RandomState(1),
    "n_imputations": np.int64(2),
    "add_indicator": True,
    "bootstrap": False,
    "found": False,
    "verbose": 0,
}


@pytest.mark.parametrize("name", LAWFUL)
def test_what_an_argument_may_be_is_read_again(name, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=60),
            "count": rng.integers(0, 5, 60).astype(float),
            "level": rng.choice(list("SML"), 60),
            "when": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 900, 60), unit="D"),
        }
    ).mask(rng.random((60, 4)) < 0.3)
    frame["person"] = np.repeat([f"p{k}" for k in range(12)], 5)
    frame["visit"] = np.tile(range(1, 6), 12)
    imputer = MIRIImputer("mean", **{"random_state": 0, name: LAWFUL[name]})
    imputer.fit(frame).save(tmp_path / "model")
    loaded = MIRIImputer.load(tmp_path / "model")
    pd.testing.assert_frame_equal(
        loaded.transform(frame), imputer.transform(frame)
    )


def test_what_does_not_belong_in_a_model_is_one_line(model, tmp_path):
    places = [*_places(model[1])]
    assert len(places) > 100
    chosen = np.random.default_rng(0).permutation(len(places))[:12]
    found = _check(model, tmp_path, [places[k] for k in chosen])
    assert found["refused"] > 0.7 * found["used"]


@pytest.mark.slow
def test_whatever_does_not_belong_in_a_model_is_one_line(model, tmp_path):
    found = _check(model, tmp_path, [*_places(model[1])])
    assert found["refused"] > 0.7 * found["used"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("columns_", 0, "decimals"), 1000000, "decimals is 1000000"),
        (("columns_", 2, "step"), 0, "step is 0"),
        (("columns_", 0, "low"), float("nan"), "low is nan"),
        (("columns_", 0, "knots", 1, 0), float("nan"), "columns_ is"),
        (("_scaler", 1, 0), 0, "deviation is not positive"),
        (("_scaler", 0), [1.0], "_scaler.mean is no"),
        (("_rates", 0), -1, "no list of shares"),
        (("_rows",), 0, "_rows is 0"),
        (("fits",), 10**9, "fits is 1000000000"),
        (("method",), "none", "no method 'none'"),
        (("columns_", 1, "levels"), ["x", "x", "y"], "not distinct"),
        (("unknown",), 3, "'unknown' is not known"),
    ],
)
def test_numbers_that_mean_nothing_are_named(
    model, tmp_path, path, value, message
):
    shutil.copytree(model[0], tmp_path / "model")
    text = json.dumps(_with(model[1], path, value))
    (tmp_path / "model" / "model.json").write_text(text)
    with pytest.raises(DataError, match=message):
        MIRIImputer.load(tmp_path / "model")


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{", '{"a":' * 10**5, "[" * 10**5, "1" * 5000]
)
def test_what_is_no_model_is_one_line(model, tmp_path, text):
    assert _tried(model, tmp_path, text) == "refused"


def test_large_claims_take_no_memory(tmp_path):
    frame = _frame()[["a", "code"]]
    imputer = MIRIImputer("gaussian", random_state=1, found=False).fit(frame)
    imputer.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    content = json.loads(path.read_text())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for rows in (10**6, 10**9, 2**39):
        path.write_text(json.dumps(content | {"_rows": rows}))
        with pytest.raises(DataError, match="the model in"):
            MIRIImputer.load(tmp_path / "model")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 2**18  # KiB
