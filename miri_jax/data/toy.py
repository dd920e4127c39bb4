"""The toy of the MIRI paper: two Gaussians in the plane (section 6.1, E.1)."""

import jax
import numpy as np

from miri_jax.data.dataset import AmputatedTable, amputated
from miri_jax.types import Array


def two_gaussians(key: Array, n: int) -> Array:
    """Half the rows from N([-2, -2], 0.25 I), half from N([2, 2], 0.25 I).

    Args:
      key: PRNG key.
      n: number of rows.

    Returns:
      `[n, 2]`, in random order.
    """
    key_noise, key_order = jax.random.split(key)
    centre = np.where(np.arange(n) < n // 2, -2.0, 2.0).astype(np.float32)
    centre = jax.random.permutation(key_order, centre)
    noise = jax.random.normal(key_noise, (n, 2), centre.dtype)
    return centre[:, None] + 0.5 * noise


def load_toy(
    *,
    rows: int = 6000,
    mechanism: str = "mcar",
    rate: float = 0.3,
    mask_seed: int = 0,
    allow_empty_rows: bool = True,
) -> AmputatedTable:
    """The toy with gaps; the paper's mask may empty a row.

    Args:
      rows: number of rows.
      mechanism: a name in `masks.MECHANISMS`.
      rate: share of missing entries.
      mask_seed: seed of data and mask.
      allow_empty_rows: whether a row may lose both entries.
    """
    key_data, key_mask = jax.random.split(jax.random.key(mask_seed))
    truth = np.asarray(two_gaussians(key_data, rows))
    return amputated(
        key_mask,
        truth,
        ("x1", "x2"),
        mechanism=mechanism,
        rate=rate,
        allow_empty_rows=allow_empty_rows,
        bandwidth=1.0,
    )
