"""Draws from the conditional Gaussian fitted to the incomplete table."""

import jax
import jax.numpy as jnp

from miri_jax.sources.normal import draw_rows, em_round, fitted, init_state
from miri_jax.types import Imputer


def make_gaussian(
    *,
    num_iterations: int = 60,
    shrinkage: float = 0.3,
    chunk: int = 4096,
) -> Imputer:
    """Draws from the conditional Gaussian fitted to the incomplete table.

    Args:
      num_iterations: rounds; the moments are averaged over the later half.
      shrinkage: strength of the covariance's shrinkage towards its diagonal,
        see `from_moments`; matters where rows are few per column.
      chunk: rows drawn at a time.
    """
    burn_in = num_iterations // 2

    @jax.jit
    def step(key, state, data):
        state = em_round(
            key, state, data, burn_in=burn_in, shrinkage=shrinkage, chunk=chunk
        )
        variance = jnp.diagonal(state.second) - jnp.square(state.mean)
        return state, {"mean_variance": jnp.mean(variance)}

    @jax.jit
    def impute(key, state, data, draw=None):
        return draw_rows(key, data, fitted(state, shrinkage), chunk, draw)

    return Imputer(jax.jit(init_state), step, impute, num_iterations)
