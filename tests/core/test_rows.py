"""Noise of a set of draws, and rows that move."""

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.rows import GapRows, move_rows, normal_noise
from miri_jax.types import Draw


def _set_of_noise(count, shape, seed=0):
    key = jax.random.key(seed)
    return np.stack(
        [
            normal_noise(jnp.copy(key), shape, Draw(jnp.int32(k), count))
            for k in range(count)
        ]
    )


def test_noise_of_a_set_is_normal_and_stratified():
    """Each draw by itself N(0, I); over the set one value in each slice."""
    noise = _set_of_noise(5, (4000, 3))
    slices = np.searchsorted([-0.8416, -0.2533, 0.2533, 0.8416], noise)
    for entry in slices.reshape(5, -1).T[:200]:
        assert sorted(entry) == [0, 1, 2, 3, 4]
    assert abs(noise.mean(axis=(1, 2))).max() < 4 / 12000**0.5
    np.testing.assert_allclose(noise.std(axis=(1, 2)), 1, atol=0.03)
    # Entries of one draw are independent of each other ...
    np.testing.assert_allclose(
        np.corrcoef(noise[2].T), np.eye(3), atol=4 / 4000**0.5
    )
    # ... and any two draws of a set are related alike.
    between = np.corrcoef(noise.reshape(5, -1))[np.triu_indices(5, 1)]
    np.testing.assert_allclose(between, -0.25, atol=0.04)


def test_move_rows_leaves_the_other_rows(table):
    data, _ = table
    three = np.flatnonzero(~np.asarray(data.m).all(axis=1))[[2, 5, 60]]
    order = jnp.resize(jnp.array([*three, 0]), 200)
    rows = GapRows(order, jnp.int32(3))
    before = jnp.where(data.m, data.x, 5.0)
    after = move_rows(
        jax.random.key(0),
        before,
        data,
        rows,
        lambda noise, x, x_obs, m: jnp.full_like(x, 9.0),
        chunk=2,
    )
    moved = np.flatnonzero((np.asarray(after) == 9).any(axis=1))
    np.testing.assert_array_equal(moved, three)
