"""Draws from the conditional Gaussian fitted to the incomplete table."""

from typing import NamedTuple

import jax.numpy as jnp

from miri_jax.imputers._form import compiled
from miri_jax.sources.normal import (
    GaussianState,
    draw_rows,
    em_round,
    fitted,
    init_state,
)
from miri_jax.types import Array, Draw, Imputer, Info, Masked


class GaussianSettings(NamedTuple):
    """See `make_gaussian`."""

    num_iterations: int
    shrinkage: float
    chunk: int


def init(settings: GaussianSettings, key: Array, data: Masked) -> GaussianState:
    """Standard normal draws in the gaps."""
    del settings
    return init_state(key, data)


def step(
    settings: GaussianSettings, key: Array, state: GaussianState, data: Masked
) -> tuple[GaussianState, Info]:
    """One round of the fit, see `sources.gaussian.em_round`."""
    state = em_round(
        key,
        state,
        data,
        burn_in=settings.num_iterations // 2,
        shrinkage=settings.shrinkage,
        chunk=settings.chunk,
    )
    variance = jnp.diagonal(state.second) - jnp.square(state.mean)
    return state, {"mean_variance": jnp.mean(variance)}


def impute(
    settings: GaussianSettings,
    key: Array,
    state: GaussianState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A draw of the missing entries given the observed ones."""
    gaussian = fitted(state, settings.shrinkage)
    return draw_rows(key, data, gaussian, settings.chunk, draw)


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
    settings = GaussianSettings(num_iterations, shrinkage, chunk)
    return compiled(
        settings, num_iterations, init=init, step=step, impute=impute
    )
