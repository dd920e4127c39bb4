"""What is compiled: once for tables of about the same shape."""

import jax
import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer, make_imputer
from miri_jax.core import rows
from miri_jax.imputers import _algorithm
from miri_jax.runtime.provenance import Compilations
from miri_jax.sources import normal
from miri_jax.types import Masked

SETTINGS = {
    "num_iterations": 2,
    "num_steps": 8,
    "batch_size": 32,
    "ode_steps": 2,
    "model": {"width": 8},
}


def frame(n, seed, numbers="abc"):
    """Numbers and levels that share a factor, a quarter of them missing."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 1))
    x = z + 0.5 * rng.standard_normal((n, len(numbers)))
    found = pd.DataFrame(x, columns=list(numbers))
    found["level"] = np.where(z[:, 0] > 0, "x", np.where(x[:, 0] > 0, "y", "z"))
    return found.mask(rng.random(found.shape) < 0.25)


@pytest.fixture(scope="module")
def first():
    return MIRIImputer(settings=SETTINGS, random_state=0).fit(frame(130, 0))


@pytest.mark.parametrize("method", ["miri", "chained"])
def test_another_fold_compiles_nothing(first, method):
    """It has as many rows or a few more, other values and other scales."""
    settings = SETTINGS if method == "miri" else {"num_iterations": 1}
    make = lambda: MIRIImputer(method, settings=settings, random_state=0)
    if method == "chained":
        make().fit(frame(130, 0)).transform(frame(130, 0))
    first.transform(frame(130, 0))
    with Compilations() as compiled:
        fold = make().fit(frame(157, 1))
        fold.transform(frame(150, 2))
        assert compiled.programs == 0
    one = frame(150, 3).iloc[:1]
    fold.transform(one)
    with Compilations() as compiled:
        fold.transform(frame(150, 4).iloc[3:9])
        assert compiled.programs == 0


@pytest.mark.parametrize("numbers", ["ab", "abcde"])
def test_other_columns_compile_nothing(first, numbers):
    """A fit of five to eight encoded columns; rows as above."""
    del first
    make = lambda: MIRIImputer(settings=SETTINGS, random_state=0)
    with Compilations() as compiled:
        other = make().fit(frame(141, 1, numbers))
    assert compiled.programs == 0
    other.transform(frame(141, 1, numbers))


def test_few_numbers_of_columns():
    found = [rows.padded_columns(d) for d in range(1, 130)]
    assert sorted(set(found)) == [
        *(8, 12, 16, 24, 32, 40, 48, 56, 64),
        *(80, 96, 112, 128, 160),
    ]
    assert all(d <= columns for d, columns in enumerate(found, 1))


@pytest.mark.parametrize(
    "source", ["gaussian", pytest.param("noise", marks=pytest.mark.slow)]
)
def test_what_is_behind_a_table_changes_only_rounding(source, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 3)).astype(np.float32)
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    m = rng.random(x.shape) > 0.3
    data = Masked(*jax.device_put((np.where(m, x, 0), m)))
    settings = {**SETTINGS, "held_out": 0.1}
    imputer = make_imputer("miri", source=source, **settings)

    def fit():
        state = imputer.init(jax.random.key(0), data)
        held = np.asarray(state.held_out.targets)
        assert held[150:].all() and held[:, 3:].all()
        held = held[:150, :3]
        for k in range(2):
            state, info = imputer.step(jax.random.key(1 + k), state, data)
        draw = imputer.impute(jax.random.key(5), state, data)
        assert state.x.shape == draw.shape == data.x.shape
        loss = np.asarray(info["held_out_loss"])
        return held, loss, np.asarray(state.x), np.asarray(draw)

    # By which settings go either way, and the scale of first weights.
    like, shapes = _algorithm._shape_like, []
    keep = lambda recipe, shape: shapes.append(like(recipe, shape)) or shapes[0]
    monkeypatch.setattr(_algorithm, "_shape_like", keep)
    with_rows = fit()
    monkeypatch.setattr(rows, "is_padded", lambda shape: False)
    monkeypatch.setattr(_algorithm, "_wide_shape", lambda recipe, shape: shape)
    monkeypatch.setattr(normal, "padded_columns", lambda d: d)
    with Compilations() as compiled:
        without = fit()
        assert compiled.programs > 4  # other shapes
    assert without[0].any() and not without[0].all()
    for one, other in zip(with_rows, without):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_a_state_looks_as_it_was_said_to():
    data = Masked(*jax.device_put((np.zeros((150, 3), np.float32),) * 2))
    m = np.arange(450).reshape(150, 3) % 4 > 0
    data = Masked(data.x, jax.device_put(m))
    imputer = make_imputer("miri", source="noise", **SETTINGS)
    state = imputer.init(jax.random.key(0), data)
    like = imputer.like(data)
    shapes = lambda tree: jax.tree.map(lambda a: (a.shape, a.dtype), tree)
    assert shapes(state) == shapes(like)


@pytest.mark.parametrize("n", [1, 97, 128, 129, 500, 4097, 8192, 8193, 40000])
def test_the_least_rows_of_a_number(n):
    padded, least = rows.padded_rows(n), rows.least_rows(n)
    assert least <= n <= padded
    assert rows.padded_rows(least) == padded
    assert least == 1 or rows.padded_rows(least - 1) < padded
