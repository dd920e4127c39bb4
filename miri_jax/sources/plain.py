"""Sources that look at no other entry: the previous imputation, and noise."""

from typing import Literal

import jax
import jax.numpy as jnp

from miri_jax.core.flow import merge
from miri_jax.core.rows import all_noise
from miri_jax.core.statistics import observed_mean, observed_median
from miri_jax.sources._source import Source
from miri_jax.types import Array, Masked

Initial = Literal["normal", "uniform", "mean", "median"]


def first_filling(key: Array, data: Masked, initial: Initial) -> Array:
    """X(0): a filled table to start from (section 3.3 of the MIRI paper).

    Args:
      key: PRNG key; each row has one folded from it, see `rows.row_names`.
      data: rows `[n, *dims]`, standardised.
      initial: "normal" N(0, 1) or "uniform" U(0, 1) draws (the paper's choice),
        or the columns' "mean" or "median".

    Returns:
      `[n, *dims]`.
    """
    if initial == "normal":
        fill = all_noise(key, data)
    elif initial == "uniform":
        fill = jax.scipy.special.ndtr(all_noise(key, data))
    else:
        column = {"mean": observed_mean, "median": observed_median}[initial]
        fill = jnp.broadcast_to(column(data.x, data.m), data.x.shape)
    return merge(data.x, fill, data.m)


def previous(initial: Initial = "normal") -> Source:
    """The previous imputation, as Algorithm 1 has it.

    Args:
      initial: X(0), see `first_filling`.
    """

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[tuple, Array]:
        del rows
        return (), first_filling(key, data, initial)

    return Source(fit, None)


def noise(initial: Initial = "normal") -> Source:
    """Standard normal noise.

    Args:
      initial: X(0), see `first_filling`.
    """

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[tuple, Array]:
        del rows
        return (), first_filling(key, data, initial)

    def draw(start: tuple, noise: Array, x: Array, m: Array) -> tuple:
        del start
        return merge(x, noise, m), None

    return Source(fit, draw, widened=lambda start, columns: start)
