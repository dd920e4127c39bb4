"""One face for every kind of data: what a run asks of it, and what it gets."""

import inspect
import pathlib

import jax
import numpy as np
import pandas as pd
import pytest

from miri_jax.data import load_dataset, tables
from miri_jax.data.dataset import Dataset, digest_of, from_table

METHODS = [
    name
    for name, value in vars(Dataset).items()
    if inspect.isfunction(value) and not name.startswith("_")
]


def _file():
    frame = pd.DataFrame(
        {"a": [1.5, None, 3.25, 4.0] * 20, "k": ["x", "y", None, "x"] * 20}
    )
    return from_table(tables.make_table(frame, tables.missing_cells(frame)))


MAKE = {
    "toy": lambda: load_dataset(source="toy", rows=60),
    "file": _file,
    "images": lambda: load_dataset(
        source="images", images="shapes", rows=6, size=8
    ),
}


@pytest.fixture(params=MAKE)
def make(request):
    return MAKE[request.param]


@pytest.fixture
def dataset(make):
    return make()


def test_every_kind_of_data_has_every_method(dataset):
    assert len(METHODS) == 14
    for name in METHODS:
        asked = inspect.signature(getattr(Dataset, name)).parameters
        given = inspect.signature(getattr(dataset, name)).parameters
        assert list(given) == [k for k in asked if k != "self"], name
    for name in Dataset.__annotations__:
        assert hasattr(dataset, name)


def test_shapes_and_observed_entries(dataset):
    data = dataset.masked()
    assert data.x.shape == dataset.m.shape == dataset.values.shape
    filled = dataset.restore(np.zeros(dataset.m.shape, np.float32))
    np.testing.assert_array_equal(filled[dataset.m], dataset.values[dataset.m])
    assert str(len(dataset.m)) in dataset.extent()
    assert f"{dataset.gaps().mean():.1%}" in dataset.extent()
    assert isinstance(dataset.notes, tuple)


def test_metrics_of_a_draw_are_those_of_the_last_iteration(dataset):
    key = jax.random.key(0)
    x = np.zeros(dataset.m.shape, np.float32)
    filled = dataset.restore(x)
    one = dataset.score(jax.random.clone(key), [filled])
    trace = dataset.trace(key, x)
    for name in dataset.compare(filled):
        assert one[name] == trace[name]
    assert all(np.isfinite(v) for v in [*one.values(), *trace.values()])
    assert (dataset.truth is None) == (not dataset.compare(filled))


def test_errors_of_the_mean_are_of_several_draws_with_a_truth(dataset):
    filled = dataset.restore(np.zeros(dataset.m.shape, np.float32))
    key = jax.random.key(0)
    one = dataset.score(jax.random.clone(key), [filled])
    two = dataset.score(key, [filled, filled])
    more = set(two) - set(one)
    assert all(name.endswith("_of_mean") for name in more)
    assert bool(more) == (dataset.truth is not None)
    for name in more:  # of two equal draws it is that of one
        assert two[name] == pytest.approx(one[name.removesuffix("_of_mean")])


def test_some_rows_keep_the_scale(dataset):
    rows = np.array([5, 1])
    some = dataset.take(rows)
    np.testing.assert_array_equal(some.m, dataset.m[rows])
    np.testing.assert_array_equal(some.gaps(), dataset.gaps()[rows])
    np.testing.assert_array_equal(some.masked().x, dataset.masked().x[rows])
    assert (some.truth is None) == (dataset.truth is None)


def test_a_digest_changes_with_observed_entries_alone(make, dataset):
    assert make().digest() == dataset.digest()
    values = dataset.values.copy()
    values[~dataset.m] += 1
    assert digest_of(values, dataset.m) == dataset.digest()
    values[tuple(np.argwhere(dataset.m)[0])] += 1
    assert digest_of(values, dataset.m) != dataset.digest()


def test_what_is_saved_is_what_was_drawn(dataset, tmp_path):
    filled = dataset.restore(np.zeros(dataset.m.shape, np.float32))
    written = []

    def write(path, fill):
        written.append(path)
        fill(str(path))

    paths = dataset.save([filled, filled], tmp_path, None, write)
    assert all(pathlib.Path(path).exists() for path in paths)
    assert set(written) >= {path for path in paths if path.is_file()}
    if paths[0].suffix == ".npz":
        with np.load(paths[0]) as found:
            np.testing.assert_array_equal(found["x"], [filled, filled])
            np.testing.assert_array_equal(found["m"], dataset.m)
    else:
        assert [path.name for path in paths] == [
            "imputed_1.csv",
            "imputed_2.csv",
        ]
        assert pd.read_csv(paths[0]).notna().all(axis=None)
