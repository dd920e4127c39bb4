"""The MIRI algebra: pairs, interpolation, eq. 6 and eq. 7."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.core import flow, ode, pairs, train
from miri_jax.core.rows import gap_rows
from miri_jax.models import VelocityMLP
from miri_jax.types import Cond, FlowBatch


def test_interpolate_meets_its_ends():
    x0, x1 = jnp.array([1.0, 2.0]), jnp.array([-3.0, 7.0])
    np.testing.assert_array_equal(flow.interpolate(x0, x1, jnp.float32(0)), x0)
    np.testing.assert_array_equal(flow.interpolate(x0, x1, jnp.float32(1)), x1)
    quarter = flow.interpolate(x0, x1, jnp.float32(0.25))
    np.testing.assert_allclose(quarter, 0.75 * x0 + 0.25 * x1)


def _numbered_rows(n=50, d=3):
    """Rows that carry their own index, and masks that depend on it."""
    x = jnp.arange(n, dtype=jnp.float32)[:, None] + jnp.arange(d)[None] / 10
    m = jax.random.bernoulli(jax.random.key(7), 0.6, (n, d))
    return x, m


def test_pair_is_joint_and_marginal(key):
    """(x0, m0) is one row with its mask; x1 another row, independent of it."""
    x, m = _numbered_rows()
    chosen = pairs.of_table(key, pairs.bank(x, m), 4000)
    x0, x1, m1, cond = pairs.start(chosen, None)
    rows0, rows1 = x0[:, 0].astype(int), x1[:, 0].astype(int)
    np.testing.assert_array_equal(cond.m0, m[rows0])
    np.testing.assert_array_equal(m1, m[rows1])
    np.testing.assert_array_equal(x0, x[rows0])
    correlation = np.corrcoef(rows0, rows1)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(4000)
    for rows in (rows0, rows1):  # uniform over all rows
        counts = np.bincount(rows, minlength=50)
        assert np.sum((counts - 80) ** 2 / 80) < 100  # chi^2, 49 dof


def test_cond_holds_only_what_is_observed(key):
    x, m = _numbered_rows()
    chosen = pairs.of_table(key, pairs.bank(x, m), 64)
    x0, x1, _, cond = pairs.start(chosen, None)
    np.testing.assert_array_equal(cond.x0_m, np.where(cond.m0, x0, 0))
    np.testing.assert_array_equal(cond.x1_m, np.where(cond.m0, x1, 0))


def test_based_pair_starts_on_the_target_s_observed_part(key):
    x, m = _numbered_rows()
    base = lambda noise, x_obs, m0: (1000 + noise + x_obs.sum(), None)
    chosen = pairs.of_source(key, pairs.bank(x, m), 256)
    x0, x1, _, cond = pairs.start(chosen, base)
    np.testing.assert_array_equal(
        np.where(cond.m0, x0, 0), np.where(cond.m0, x1, 0)
    )
    assert np.all(np.asarray(x0)[~np.asarray(cond.m0)] > 900)
    assert not cond.m0.all(axis=1).any()  # masks come from rows with gaps


def test_pairs_that_share_a_mask_differ_in_all_else(key):
    x, m = _numbered_rows()
    m = m.at[:, 0].set(False)
    base = lambda noise, x_obs, m0: (noise, x_obs)
    chosen = pairs.of_source(key, pairs.bank(x, m), 240, share=8)
    x0, x1, _, cond = pairs.start(chosen, base)
    groups = np.asarray(cond.m0).reshape(30, 8, 3)
    assert np.all(groups == groups[:, :1])
    assert len(np.unique(groups[:, 0], axis=0)) > 2
    assert len(np.unique(x0[:, 0])) == 240  # noise
    assert len(np.unique(x1[:, 0])) > 40  # rows, of 50
    np.testing.assert_array_equal(cond.mean, np.where(cond.m0, x1, 0))


def test_a_source_on_the_host_sees_what_a_traced_one_sees(key):
    x, m = _numbered_rows()
    base = lambda noise, x_obs, m0: (noise + x_obs, None)
    chosen = pairs.of_source(key, pairs.bank(x, m), 240, share=8)
    host = pairs.start_on_host(
        jax.device_get(chosen), lambda *a: (np.add(*a[:2]), None)
    )
    for one, other in zip(
        jax.tree.leaves(pairs.start(chosen, base)), jax.tree.leaves(host)
    ):
        np.testing.assert_array_equal(one, other)


def test_gap_rows_finds_rows_with_gaps():
    m = jnp.array([[1, 1], [0, 1], [1, 1], [0, 0]], bool)
    order, count = gap_rows(m)
    assert count == 2
    np.testing.assert_array_equal(order[:2], [1, 3])


@pytest.mark.parametrize("imputed_weight", [None, 0.0, 0.25, 1.0])
def test_weights_of_the_batch(key, imputed_weight):
    x, m = _numbered_rows()
    weight = pairs.everywhere
    if imputed_weight is not None:
        weight = partial(pairs.where_moved, imputed=imputed_weight)
    batch = pairs.draw_batch(
        key, pairs.bank(x, m), batch_size=128, weight=weight
    )
    m0 = np.asarray(batch.cond.m0)
    if imputed_weight is None:
        np.testing.assert_array_equal(batch.weight, np.ones(m0.shape))
        return
    x1 = batch.x_tau + (1 - batch.tau[:, None]) * batch.target
    m1 = np.asarray(m)[np.round(np.asarray(x1)[:, 0]).astype(int)]
    expected = np.where(m0, 0, np.where(m1, 1, imputed_weight))
    np.testing.assert_array_equal(batch.weight, expected)


def test_batch_lies_on_the_line(key):
    x, m = _numbered_rows()
    batch = pairs.draw_batch(key, pairs.bank(x, m), batch_size=32)
    x0 = batch.x_tau - batch.tau[:, None] * batch.target
    np.testing.assert_allclose(x0, np.round(x0, 1), atol=1e-4)
    assert 0 <= batch.tau.min() and batch.tau.max() < 1


def test_loss_equals_numpy(key):
    keys = jax.random.split(key, 5)
    shape = (16, 3)
    x_tau, target, x1_m = (jax.random.normal(k, shape) for k in keys[:3])
    m0 = jax.random.bernoulli(keys[3], 0.5, shape)
    weight = jax.random.uniform(keys[4], shape)
    tau = jnp.linspace(0, 1, 16)
    batch = FlowBatch(tau, x_tau, target, weight, Cond(x1_m, x1_m, m0))
    apply_fn = lambda p, z, cond, t: p * z + cond.x1_m * t
    loss, aux = flow.flow_loss(jnp.float32(0.3), apply_fn, batch)
    v = 0.3 * np.asarray(x_tau) + np.asarray(x1_m) * np.asarray(tau)[:, None]
    w = np.asarray(weight)
    expected = np.sum(w * (np.asarray(target) - v) ** 2) / w.sum()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    zero = np.sum(w * np.asarray(target) ** 2) / w.sum()
    assert float(aux["zero"]) == pytest.approx(zero, rel=1e-5)


def test_loss_without_any_weight_is_zero_not_nan(key):
    x, m = _numbered_rows()
    batch = pairs.draw_batch(key, pairs.bank(x, m), batch_size=8)
    batch = batch._replace(weight=jnp.zeros_like(batch.weight))
    loss, _ = flow.flow_loss(0.0, lambda p, z, cond, t: z, batch)
    assert float(loss) == 0.0


def test_imputation_velocity_is_zero_where_observed_even_if_nan():
    m = jnp.array([True, False, True])
    apply_fn = lambda p, z, cond, t: jnp.where(cond.m0, jnp.nan, 2.0)
    velocity = flow.imputation_velocity(apply_fn)
    v = velocity(jnp.zeros(3), (None, jnp.ones(3), m, None), jnp.float32(0.5))
    np.testing.assert_array_equal(v, [0, 2, 0])


def test_normal_velocity_is_the_regression_and_moves_nothing():
    """E[x1 - x0 | x_tau] for two alike normals, and the ODE's end."""
    key0, key1 = jax.random.split(jax.random.key(1))
    x0 = 3 + 2 * jax.random.normal(key0, (20000,))
    x1 = 3 + 2 * jax.random.normal(key1, (20000,))
    for tau in (0.1, 0.5, 0.8):
        x_tau = (1 - tau) * x0 + tau * x1
        slope, start = np.polyfit(x_tau, x1 - x0, 1)
        at = lambda x, tau=tau: flow.normal_velocity(
            jnp.float32(x), jnp.float32(3), jnp.float32(tau)
        )
        # Standard error of the slope: at most 2.8 / 1.4 / sqrt(20000).
        assert float(at(4) - at(3)) == pytest.approx(slope, abs=0.06)
        assert float(at(3)) == pytest.approx(start + 3 * slope, abs=0.08)
    move = lambda z, mean, tau: flow.normal_velocity(z, mean, tau)
    z0 = jnp.array([-1.0, 3.0, 9.0])
    z1 = ode.heun(move, z0, jnp.full(3, 3.0), num_steps=10)
    np.testing.assert_allclose(z1, z0, rtol=3e-3)


def test_flow_between_two_gaussians_moves_mean_and_variance():
    """Trained on N(-1, 1) -> N(2, 0.5^2), the ODE carries one to the other."""
    key0, key1, key_fit, key_init, key_z = jax.random.split(
        jax.random.key(3), 5
    )
    source = -1 + jax.random.normal(key0, (4000, 1))
    target = 2 + 0.5 * jax.random.normal(key1, (4000, 1))
    m0 = jnp.zeros((256, 1), bool)
    nothing = jnp.zeros((256, 1))
    network = VelocityMLP(width=32, depth=2)
    cond = Cond(nothing[0], nothing[0], m0[0])
    params = network.init(key_init, source[0], cond, jnp.float32(0))

    def sample_batch(key):
        keys = jax.random.split(key, 3)
        x0 = jax.random.choice(keys[0], source, (256,))
        x1 = jax.random.choice(keys[1], target, (256,))
        tau = jax.random.uniform(keys[2], (256,))
        x_tau = jax.vmap(flow.interpolate)(x0, x1, tau)
        ones = jnp.ones_like(x0)
        conds = Cond(nothing, nothing, m0)
        return FlowBatch(tau, x_tau, x1 - x0, ones, conds)

    optimizer = train.cosine_adam(3e-3, 1500)
    apply_fn = lambda p, z, c, t: network.apply(p, z, c, t)
    fit = jax.jit(
        lambda state: train.sgd(
            key_fit,
            state,
            sample_batch,
            1500,
            loss_fn=lambda p, b: flow.flow_loss(p, apply_fn, b),
            optimizer=optimizer,
        )
    )
    state, _ = fit(train.init_train_state(params, optimizer))
    n = 4000
    z0 = -1 + jax.random.normal(key_z, (n, 1))
    velocity = flow.imputation_velocity(apply_fn)
    args = (state.params, jnp.zeros(1), jnp.zeros(1, bool), None)
    solve = lambda z: ode.heun(velocity, z, args, num_steps=20)
    z1 = np.asarray(jax.vmap(solve)(z0))
    assert z1.mean() == pytest.approx(2.0, abs=0.08)
    assert z1.std() == pytest.approx(0.5, abs=0.06)


def test_merge_is_bit_exact():
    x = jnp.array([1e-40, -0.0, 3.0])
    m = jnp.array([True, True, False])
    out = np.asarray(flow.merge(x, jnp.full(3, 9.0), m))
    np.testing.assert_array_equal(
        out.view(np.int32)[:2], np.asarray(x).view(np.int32)[:2]
    )
    assert out[2] == 9.0
