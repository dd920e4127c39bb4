"""The MIRI algebra: pairs, interpolation, the loss of eq. 6, the ODE of eq. 7.

Symbols follow the paper: `(x0, m0)` from the joint of filled table and mask,
`x1` from the marginal of the filled table, independent of the pair;
`x_tau = (1 - tau) x0 + tau x1`. Velocities are written for one example:
`apply_fn(params, x_tau [*dims], cond: Cond, tau []) -> [*dims]`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from miri_jax.types import Array, Cond, FlowBatch, PyTree

ApplyFn = Callable[[PyTree, Array, Cond, Array], Array]


def interpolate(x0: Array, x1: Array, tau: Array) -> Array:
    """The straight line (1 - tau) x0 + tau x1 of one example (section 2.3).

    Args:
      x0: `[*dims]`.
      x1: `[*dims]`.
      tau: scalar in [0, 1].

    Returns:
      `[*dims]`; exactly x0 at tau = 0 and x1 at tau = 1.
    """
    return (1 - tau) * x0 + tau * x1


def flow_loss(
    params: PyTree, apply_fn: ApplyFn, batch: FlowBatch
) -> tuple[Array, dict[str, Array]]:
    """The rectified-flow objective, eq. 6, as a weighted mean of squares.

    The sum of squares is divided by the sum of the weights, so that the scale
    depends neither on the batch, the columns nor the missing rate; with unit
    weights the gradient is Algorithm 1's up to the factor 1 / (b d).

    Args:
      params: parameters of the velocity.
      apply_fn: velocity of one example.
      batch: see `FlowBatch`.

    Returns:
      The loss (scalar, squared standardised units) and a dict with `zero`, the
      loss of the velocity that is zero everywhere: the scale to compare with.
    """
    v = jax.vmap(apply_fn, (None, 0, 0, 0))(
        params, batch.x_tau, batch.cond, batch.tau
    )
    count = jnp.maximum(jnp.sum(batch.weight), 1.0)
    loss = jnp.sum(batch.weight * jnp.square(batch.target - v)) / count
    zero = jnp.sum(batch.weight * jnp.square(batch.target)) / count
    return loss, {"zero": zero}


def imputation_velocity(
    apply_fn: ApplyFn,
) -> Callable[[Array, PyTree, Array], Array]:
    """The right-hand side of the imputation ODE, eq. 7, for one example.

    Returns:
      `velocity(z [*dims], (params, x, m, mean), tau) -> [*dims]`, with x, m and
      mean `[*dims]` (None where the source has none):
      (1 - m) * v(z, x_m, x_m, m, tau), exactly 0 on observed entries.
    """

    def velocity(z: Array, args: PyTree, tau: Array) -> Array:
        params, x, m, mean = args
        x_m = jnp.where(m, x, 0)
        v = apply_fn(params, z, Cond(x_m, x_m, m, mean), tau)
        return jnp.where(m, 0, v)

    return velocity


def normal_velocity(x_tau: Array, mean: Array, tau: Array) -> Array:
    """E[x1 - x0 | x_tau] of one example where x0 and x1 are normal and alike.

    With x0 and x1 independent draws of N(mean, S), whatever S, x_tau is normal
    with covariance (tau^2 + (1 - tau)^2) S, and its covariance with x1 - x0 is
    (2 tau - 1) S. The ODE with this velocity ends where it began.

    Args:
      x_tau: `[*dims]`.
      mean: `[*dims]`.
      tau: scalar in [0, 1].

    Returns:
      `[*dims]`.
    """
    scale = (2 * tau - 1) / (tau**2 + (1 - tau) ** 2)
    return scale * (x_tau - mean)


def merge(x_obs: Array, x_new: Array, m: Array) -> Array:
    """Observed entries of `x_obs`, the others of `x_new`; shapes alike."""
    return jnp.where(m, x_obs, x_new)
