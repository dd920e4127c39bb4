"""Sources that work on the host, where nothing can be traced."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax import FAST, IMAGES, PAPER, core, draw, fit, miri, sources
from miri_jax.engine import draws, state_like
from miri_jax.exceptions import ConfigError
from miri_jax.imputers._early_stopping import Stop
from miri_jax.imputers.miri import SGD, network
from miri_jax.runtime.checkpoint import CheckpointStore
from miri_jax.types import Masked
from tests.imputers.small import bits

SMALL = FAST._replace(
    sgd=SGD(lambda shape: 8, 32, 4e-3, ema_decay=0.9),
    network=network(width=8),
    solve=lambda velocity, z0, args: core.ode.euler(
        velocity, z0, args, num_steps=3
    ),
    num_iterations=3,
)


def _noise_on_host():
    """`sources.noise` in NumPy, which refuses what is not NumPy's."""

    def fit(key, data, rows):
        assert all(type(part) is np.ndarray for part in data)
        assert rows is None or type(rows) is np.ndarray
        scale = np.ones(1)  # double precision, as NumPy has it
        return {"scale": scale}, sources.noise().fit(key, data, rows)[1]

    def draw(start, noise, x, m):
        for part in (start["scale"], noise, x, m):
            assert type(part) is np.ndarray
        assert m.shape == x.shape == noise.shape and len(x)
        assert m.dtype == bool and not x[~m].any()
        # In double precision, and junk where nothing is read.
        return np.where(m, np.nan, start["scale"] * noise.astype(float)), x

    like = {"scale": np.dtype(np.float32)}
    return sources.Source(fit, draw, host=True, like=like)


HOST = _noise_on_host()
CASES = {
    "plain": {"stop": None},
    "turns": {"max_rows": 64},
    "slices of fresh networks": {
        "sgd": SMALL.sgd._replace(num_slices=4),
        "memory": SMALL.memory._replace(network=False),
    },
    "turns of two rows, ended early": {
        "max_rows": 2,
        "stop": Stop(0.1, 1),
        "num_iterations": 6,
    },
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow) if case != "plain" else case
        for case in CASES
    ],
)
def test_a_source_on_the_host_fills_as_one_that_is_traced(case, table):
    recipe = SMALL._replace(**CASES[case])
    found = []
    # One on the host sees the table's own columns.
    for source in (sources.noise()._replace(widened=None), HOST):
        imputer = miri(recipe._replace(source=source))
        state = fit(jax.random.key(0), imputer, table[0])
        x = [*draws(jax.random.key(1), imputer, state, table[0], 2)]
        found.append((state.x, state.train.params, state.iteration, x))
    assert imputer.host
    for host, traced in zip(*map(jax.tree.leaves, found[::-1]), strict=True):
        np.testing.assert_allclose(host, traced, rtol=1e-3, atol=1e-4)
    m = np.asarray(table[0].m)
    for x in (found[1][0], *found[1][3]):
        np.testing.assert_array_equal(bits(x)[m], bits(table[0].x)[m])


def test_a_fit_is_the_same_again_and_can_be_saved(table, tmp_path):
    imputer = miri(SMALL._replace(source=HOST))
    states = [fit(jax.random.key(0), imputer, table[0]) for _ in range(2)]
    chex.assert_trees_all_equal(*states)
    store = CheckpointStore(tmp_path)
    store.save(1, states[0])
    _, read, _ = store.load_latest(state_like(imputer, table[0]))
    store.close()
    chex.assert_trees_all_equal(read, states[0])
    # What the estimator reads back is NumPy's.
    read = jax.tree.map(np.asarray, states[0])
    x = [
        draw(jax.random.key(1), imputer, state, table[0])
        for state in (states[0], read)
    ]
    np.testing.assert_array_equal(*x)


def test_new_rows_and_rows_without_gaps(table):
    imputer = miri(SMALL._replace(source=HOST))
    state = fit(jax.random.key(0), imputer, table[0])
    new = Masked(table[0].x[:5], table[0].m[:5])
    x = draw(jax.random.key(1), imputer, state, new)
    assert np.isfinite(x).all() and x.shape == (5, 3)
    # A row is filled alike, whatever else is filled with it.
    all_of_it = imputer.impute(jax.random.key(1), state, table[0])
    few = imputer.impute(jax.random.key(1), state, new)
    np.testing.assert_allclose(few, all_of_it[:5], atol=1e-5)
    full = Masked(new.x, jnp.ones_like(new.m))
    x = draw(jax.random.key(1), imputer, state, full)
    np.testing.assert_array_equal(x, full.x)


def test_pairs_are_drawn_ahead_without_reuse_too(table):
    recipe = SMALL._replace(source=HOST, reuse=1)
    state = fit(jax.random.key(0), miri(recipe), table[0])
    assert np.isfinite(state.x).all()


@pytest.mark.slow
def test_images_from_a_source_on_the_host():
    key_x, key_m = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (12, 8, 8, 1))
    m = jax.random.uniform(key_m, x.shape) > 0.3
    data, sizes = Masked(jnp.where(m, x, 0), m), []

    def counted(start, noise, x, m):
        sizes.append(len(x))
        return HOST.draw(start, noise, x, m)

    recipe = IMAGES._replace(
        source=HOST._replace(draw=counted),
        network=network(size="nano"),
        sgd=SMALL.sgd._replace(
            num_steps=lambda shape: 4, batch_size=6, num_slices=2
        ),
        solve=SMALL.solve,
        num_iterations=2,
    )
    imputer = miri(recipe)
    state = fit(jax.random.key(0), imputer, data)
    # Each step's pairs by themselves, then the images.
    assert sizes == [*[6] * 4, 12] * 2
    for x in (state.x, draw(jax.random.key(1), imputer, state, data)):
        assert np.isfinite(x).all()
        where = np.asarray(m)
        np.testing.assert_array_equal(bits(x)[where], bits(data.x)[where])


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            lambda key, data, rows: ({"tree": object()}, data.x),
            "start of a source holds a object",
        ),
        (lambda key, data, rows: ((), data.x[1:]), r"\(199, 3\) where \(200"),
    ],
)
def test_a_fit_on_the_host_that_gives_no_arrays(wrong, message, table):
    imputer = miri(SMALL._replace(source=HOST._replace(fit=wrong)))
    with pytest.raises(ConfigError, match=message):
        fit(jax.random.key(0), imputer, table[0])


def test_a_start_on_the_host_that_nobody_could_read_back():
    with pytest.raises(ConfigError, match="give `like`, such as np.dtype"):
        miri(SMALL._replace(source=HOST._replace(like=None)))


def test_a_draw_on_the_host_of_another_shape(table):
    wrong = HOST._replace(draw=lambda start, noise, x, m: (x[:, :1], None))
    imputer = miri(SMALL._replace(source=wrong))
    with pytest.raises(ConfigError, match=r"draw of a source .* \(\d+, 1\)"):
        fit(jax.random.key(0), imputer, table[0])


@pytest.mark.parametrize("source", [HOST, sources.noise()])
def test_pairs_that_do_not_go_with_the_source(source, table):
    for recipe in (
        SMALL._replace(source=source, pairs=core.pairs.of_table),
        PAPER._replace(pairs=core.pairs.of_source),
    ):
        with pytest.raises(ConfigError, match="do not go together"):
            fit(jax.random.key(0), miri(recipe), table[0])
