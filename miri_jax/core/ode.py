"""Fixed-step solvers for one example; callers `vmap`, `lax.scan` inside."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from miri_jax.types import Array, PyTree

Velocity = Callable[[Array, PyTree, Array], Array]


def euler(
    velocity: Velocity,
    z0: Array,
    args: PyTree,
    *,
    num_steps: int,
    tau_at: str = "end",
) -> Array:
    """Solves dz/dtau = velocity(z, args, tau) from tau = 0 to 1 by Euler steps.

    Algorithm 2 of the MIRI paper (appendix H) evaluates step k = 1..N at the
    END of its interval, tau = k / N; that is the default. `tau_at="start"` is
    the textbook explicit Euler method, tau = (k - 1) / N. Both are of order 1.

    Args:
      velocity: `(z [*dims], args, tau []) -> [*dims]`.
      z0: `[*dims]`, the state at tau = 0.
      args: passed to `velocity` untouched.
      num_steps: number of steps N, at least 1.
      tau_at: "end" or "start".

    Returns:
      `[*dims]`, the state at tau = 1.

    Raises:
      ValueError: on `num_steps` < 1 or another `tau_at`.
    """
    _check_steps(num_steps)
    if tau_at not in ("start", "end"):
        raise ValueError(f"tau_at is {tau_at!r}; use 'start' or 'end'")
    offset = 1 if tau_at == "end" else 0
    h = 1.0 / num_steps

    def one_step(z: Array, k: Array) -> tuple[Array, None]:
        return z + h * velocity(z, args, h * (k + offset)), None

    return jax.lax.scan(one_step, z0, _steps(z0, num_steps))[0]


def heun(
    velocity: Velocity, z0: Array, args: PyTree, *, num_steps: int
) -> Array:
    """As `euler`, by Heun's method: order 2, two velocities a step."""
    _check_steps(num_steps)
    h = 1.0 / num_steps

    def one_step(z: Array, k: Array) -> tuple[Array, None]:
        slope = velocity(z, args, h * k)
        end = velocity(z + h * slope, args, h * (k + 1))
        return z + 0.5 * h * (slope + end), None

    return jax.lax.scan(one_step, z0, _steps(z0, num_steps))[0]


SOLVERS = {"euler": euler, "heun": heun}


def _check_steps(num_steps: int) -> None:
    if num_steps < 1:
        raise ValueError(f"num_steps is {num_steps}; it must be at least 1")


def _steps(z0: Array, num_steps: int) -> Array:
    return jnp.arange(num_steps, dtype=z0.dtype)
