"""The velocity network sees what eq. 6 says it sees, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.models import VelocityMLP, unet
from miri_jax.models.mlp import time_features
from miri_jax.types import Cond

COND = Cond(
    jnp.array([1.0, 0.0, 2.0]),
    jnp.array([3.0, 0.0, 4.0]),
    jnp.array([True, False, True]),
)
X = jnp.array([5.0, 6.0, 7.0])
TAU = jnp.float32(0.3)


@pytest.mark.parametrize("residual", [False, True])
def test_observed_coordinates_of_x_tau_are_not_read(key, residual):
    network = VelocityMLP(width=16, depth=2, residual=residual)
    params = network.init(key, X, COND, TAU)
    v = network.apply(params, X, COND, TAU)
    moved = X.at[0].add(100.0)
    np.testing.assert_array_equal(network.apply(params, moved, COND, TAU), v)
    moved = X.at[1].add(1.0)
    assert not np.array_equal(network.apply(params, moved, COND, TAU), v)


@pytest.mark.parametrize("field", ["x0_m", "x1_m", "m0", "tau"])
def test_every_input_matters(key, field):
    network = VelocityMLP(width=16)
    params = network.init(key, X, COND, TAU)
    v = network.apply(params, X, COND, TAU)
    cond, tau = COND, TAU
    if field == "tau":
        tau = jnp.float32(0.9)
    elif field == "m0":
        cond = COND._replace(m0=COND.m0.at[0].set(False))
    else:
        cond = COND._replace(**{field: getattr(COND, field).at[0].add(1.0)})
    assert not np.allclose(network.apply(params, X, cond, tau), v)


def test_zero_output_starts_with_no_flow(key):
    network = VelocityMLP(width=16, residual=True, zero_output=True)
    params = network.init(key, X, COND, TAU)
    np.testing.assert_array_equal(network.apply(params, X, COND, TAU), 0 * X)


def test_shape_of_images_is_kept(key):
    x = jnp.ones((4, 4, 3))
    network = VelocityMLP(width=8)
    cond = Cond(x, x, x > 0)
    params = network.init(key, x, cond, TAU)
    assert network.apply(params, x, cond, TAU).shape == x.shape


def test_time_features_equal_numpy():
    expected = [0.3]
    for f in (np.sin, np.cos):
        expected += [f(np.pi * 0.3 * 2**k) for k in range(3)]
    np.testing.assert_allclose(time_features(TAU, 3), expected, atol=1e-5)


def test_bfloat16_computes_and_keeps_float32_outside(key):
    network = VelocityMLP(width=16, dtype=jnp.bfloat16)
    params = network.init(key, X, COND, TAU)
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert network.apply(params, X, COND, TAU).dtype == jnp.float32


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_convolutions_in_loops_have_the_gradients_of_others(dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 7, 5, 3), dtype)
    kernel = jax.random.normal(keys[1], (3, 3, 3, 4), dtype)
    weight = jax.random.normal(keys[2], (2, 7, 5, 4), dtype)
    of = dict(dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def gradients(conv, strides=(1, 1)):
        def value(x, kernel):
            found = conv(x, kernel, strides, "SAME", **of)
            return jnp.sum(
                found * weight[:, : found.shape[1], : found.shape[2]]
            )

        return jax.jit(jax.value_and_grad(value, (0, 1)))(x, kernel)

    rough = 0.05 if dtype == jnp.bfloat16 else 1e-5
    for strides in ((1, 1), (2, 2)):
        one = gradients(unet.conv_in_loop, strides)
        other = gradients(jax.lax.conv_general_dilated, strides)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other)):
            assert a.dtype == b.dtype and a.shape == b.shape
            a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
            np.testing.assert_allclose(a, b, atol=rough * np.abs(b).max())
