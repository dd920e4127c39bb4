"""Noise of a set of draws, and rows that move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from miri_jax.core.rows import (
    GapRows,
    all_noise,
    gap_rows,
    move_rows,
    normal_noise,
    padded_rows,
    row_names,
)
from miri_jax.types import Draw, Masked


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


NAMES, NOISE = jax.jit(row_names), jax.jit(all_noise, static_argnums=3)


def _rows(n, *dims, seed=0, rate=0.3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *dims)).astype(np.float32)
    return Masked(x, rng.random(x.shape) > rate)


def _take(data, rows):
    return Masked(*(part[rows] for part in data))


def test_a_name_is_of_what_is_observed_alone():
    data = _rows(60, 4)
    names = np.asarray(NAMES(data))
    assert len(np.unique(names[:, 0])) == len(np.unique(names[:, 1]))
    again = Masked(np.where(data.m, data.x, 7), data.m)
    np.testing.assert_array_equal(NAMES(again), names)
    order = np.random.default_rng(1).permutation(60)
    order = order[data.m[order].any(axis=1)]  # empty ones are equal
    np.testing.assert_array_equal(NAMES(_take(data, order)), names[order])
    for k in order[:20]:
        np.testing.assert_array_equal(NAMES(_take(data, [k]))[0], names[k])


def test_all_rows_of_few_levels_have_names_of_two_words_of_their_own():
    """All of 0, 1 and missing in nine columns, each once; then each again."""
    cells = np.indices((3,) * 9).reshape(9, -1).T
    cells = np.concatenate([cells, cells[::-1]])
    names = np.asarray(NAMES(Masked(cells.astype(np.float32), cells < 2)))
    n = len(cells) // 2
    assert len(np.unique(names[:, :2], axis=0)) == n == 3**9
    np.testing.assert_array_equal(names[:, 2], np.repeat([0, 1], n))
    for word in names[:n, :2].T:  # each by itself is a good hash as well
        assert len(np.unique(word)) > n - 3
        counts = np.bincount(word >> 28, minlength=16)
        assert stats.chisquare(counts).pvalue > 1e-3


def test_equal_rows_are_counted_and_zeros_are_equal():
    x = np.array([[1, 0], [2, 0], [1, -0.0], [1, 1e-42], [2, 0], [1, 0]])
    m = np.ones(x.shape, bool)
    m[5, 1] = False
    names = np.asarray(NAMES(Masked(x.astype(np.float32), m)))
    np.testing.assert_array_equal(names[:, 2], [0, 0, 1, 2, 1, 0])
    assert (names[[2, 3], :2] == names[0, :2]).all()
    assert (names[5, :2] != names[0, :2]).all()


def test_noise_of_single_rows_is_theirs_and_normal():
    """One by one, together, in another order: the same bits; N(0, I)."""
    data, key = _rows(3000, 3), jax.random.key(0)
    data.m[:, 0] = True  # no two are equal
    noise = np.asarray(NOISE(key, data))
    for k in range(100):
        alone = NOISE(key, _take(data, [k]))
        np.testing.assert_array_equal(alone[0], noise[k])
    order = np.random.default_rng(1).permutation(3000)
    np.testing.assert_array_equal(NOISE(key, _take(data, order)), noise[order])
    assert len(np.unique(noise)) > 0.999 * noise.size
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    near = dict(atol=4 / 3000**0.5)
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(3), **near)
    # Nor does it follow the row before or what is observed.
    before = np.corrcoef(noise[1:].T, noise[:-1].T)[:3, 3:]
    np.testing.assert_allclose(before, 0, **near)
    seen = np.corrcoef(noise.T, data.x[:, 0])[3, :3]
    np.testing.assert_allclose(seen, 0, **near)
    assert (NOISE(jax.random.key(1), data) != noise).mean() > 0.999


def test_equal_rows_have_noise_of_their_own():
    data = Masked(np.ones((50, 2), np.float32), np.tile([True, False], (50, 1)))
    noise = np.asarray(NOISE(jax.random.key(0), data))
    assert len(np.unique(noise)) == 100
    np.testing.assert_array_equal(
        NOISE(jax.random.key(0), _take(data, slice(1))), noise[:1]
    )


@pytest.mark.parametrize("dims", [(3,), (4, 5, 2)])
def test_padding_chunks_and_order_move_a_row_alike(dims):
    """A set of draws, too: one of them in each slice in every entry."""
    data, key = _rows(40, *dims), jax.random.key(0)
    behind = Masked(np.zeros((9, *dims), np.float32), np.ones((9, *dims), bool))
    padded = Masked(*(np.concatenate(p) for p in zip(data, behind)))
    moves = jax.jit(
        lambda data, chunk, draw: move_rows(
            key,
            data.x,
            data,
            gap_rows(data.m),
            lambda noise, x, x_obs, m: noise,
            chunk,
            draw,
        ),
        static_argnums=1,
    )
    sets = []
    for k in range(4):
        draw = Draw(jnp.int32(k), 4)
        plain = np.asarray(moves(data, 40, draw))
        np.testing.assert_array_equal(moves(data, 7, draw), plain)
        np.testing.assert_array_equal(moves(padded, 16, draw)[:40], plain)
        noise = np.asarray(NOISE(key, data, draw, 11))
        np.testing.assert_array_equal(plain[~data.m], noise[~data.m])
        sets.append(noise)
    slices = np.floor(4 * stats.norm.cdf(sets))
    np.testing.assert_array_equal(
        np.sort(slices, axis=0).reshape(4, -1),
        np.tile(np.arange(4)[:, None], (1, slices[0].size)),
    )


@pytest.mark.parametrize("n", [1, 7, 128, 129, 500, 768, 1599, 8192, 8193])
def test_rows_are_padded_to_few_numbers(n):
    more = padded_rows(n)
    assert n <= more <= max(128, 1.25 * n + 8192 * (n > 8192))
    assert padded_rows(more) == more
    assert len({padded_rows(k) for k in range(1, 8193)}) < 30
