"""Solvers: order of convergence, exactness, and where tau is evaluated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.core import ode


def _slope(solve):
    """Slope of log error on log step for dz/dtau = z cos(tau)."""
    velocity = lambda z, args, tau: z * jnp.cos(tau)
    exact = np.exp(np.sin(1.0))
    steps = np.array([4, 8, 16, 32])
    errors = [
        abs(float(solve(velocity, jnp.ones(()), None, num_steps=n)) - exact)
        for n in steps
    ]
    return np.polyfit(np.log(1.0 / steps), np.log(errors), 1)[0]


@pytest.mark.parametrize("tau_at", ["start", "end"])
def test_euler_is_of_order_one(tau_at):
    slope = _slope(lambda *a, **kw: ode.euler(*a, **kw, tau_at=tau_at))
    assert slope == pytest.approx(1.0, abs=0.15)


def test_heun_is_of_order_two():
    assert _slope(ode.heun) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("solve", ode.SOLVERS.values())
def test_constant_velocity_is_exact_in_one_step(solve):
    v = jnp.array([1.5, -2.0, 0.25])
    z0 = jnp.array([0.5, 1.0, -1.0])
    z1 = solve(lambda z, args, tau: args, z0, v, num_steps=1)
    np.testing.assert_array_equal(z1, z0 + v)


def test_euler_evaluates_tau_as_algorithm_2_prints_it():
    """Line 2 of Algorithm 2: tau = k / N for k = 1..N."""
    velocity = lambda z, args, tau: tau
    at_end = ode.euler(velocity, jnp.zeros(()), None, num_steps=4)
    assert float(at_end) == pytest.approx((1 + 2 + 3 + 4) / 16)
    at_start = ode.euler(
        velocity, jnp.zeros(()), None, num_steps=4, tau_at="start"
    )
    assert float(at_start) == pytest.approx((0 + 1 + 2 + 3) / 16)


def test_rows_are_independent_under_vmap():
    velocity = lambda z, args, tau: -z * tau
    z0 = jnp.array([[1.0, 2.0], [3.0, -1.0]])
    solve = lambda z: ode.euler(velocity, z, None, num_steps=7)
    together = jax.vmap(solve)(z0)
    alone = jnp.stack([solve(z) for z in z0])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize("solve", ode.SOLVERS.values())
def test_no_steps_is_refused(solve):
    with pytest.raises(ValueError, match="num_steps is 0"):
        solve(lambda z, args, tau: z, jnp.zeros(2), None, num_steps=0)


def test_unknown_tau_at_is_refused():
    with pytest.raises(ValueError, match="'middle'"):
        ode.euler(
            lambda z, args, tau: z,
            jnp.zeros(2),
            0,
            num_steps=1,
            tau_at="middle",
        )
