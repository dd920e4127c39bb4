"""Conditional Gaussian imputation: draws in matrix products only.

Mean and covariance are fitted on the host, see `sources.likely`. An imputer by
itself, and the start of the flow of `miri`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import cg

from miri_jax.core.parallel import to_host
from miri_jax.core.programs import compiled, full_precision
from miri_jax.core.rows import (
    draw_starts,
    padded,
    padded_columns,
    shrunk,
)
from miri_jax.sources._source import Source, by_mask
from miri_jax.sources.likely import SHRINKAGE, Normal, most_likely
from miri_jax.types import Array, Base, Draw, Masked

# Of each variance: a pivot below it is rounding, and no new column.
DEVICE_RIDGE = 1e-6


class Gaussian(NamedTuple):
    """A normal distribution over flattened rows of d entries.

    Attributes:
      mean: `[d]`.
      cov: `[d, d]`, symmetric positive definite.
      root: `[d, d]`, lower triangular, root @ root.T = cov.
    """

    mean: Array
    cov: Array
    root: Array


@full_precision
def conditional_draw(
    noise: Array, x_obs: Array, m: Array, gaussian: Gaussian, max_steps: int
) -> tuple[Array, Array]:
    """Draws missing entries given observed ones, for k rows that share a mask.

    With z ~ N(0, S) and y the solution of (M S M + 1 - M) y = M (x - mean - z),
    mean + z + S y follows N(mean, S) conditioned on the observed entries
    (Matheron's rule); without z it is their conditional mean. For one row both
    y come from Jacobi-preconditioned conjugate gradients, which under `vmap`
    cost one `[2 n, d] x [d, d]` product a step and freeze each row as soon as
    its residual is small relative to its right-hand side. For more rows S y is
    the mask's `regression` times the right-hand sides. An entry that comes out
    non-finite is replaced by one from the marginal.

    Args:
      noise: `[k, *dims]`, standard normal.
      x_obs: `[k, *dims]`, read where observed only.
      m: `[*dims]` bool, True = observed.
      gaussian: over the flattened row.
      max_steps: the most conjugate-gradient steps.

    Returns:
      The draws and the means, `[k, *dims]`; observed entries are those of
      `x_obs`.
    """
    shape, k, m = noise.shape, len(noise), m.reshape(1, -1)
    x_obs = x_obs.reshape(k, -1)
    mean, cov, root = gaussian
    z = noise.reshape(k, -1) @ root.T
    start = mean[None] + jnp.concatenate([z, jnp.zeros_like(z)])
    residual = jnp.where(m, jnp.tile(x_obs, (2, 1)) - start, 0)
    if k > 1:
        x = start + residual @ regression(cov, m[0]).T
    else:
        diagonal = jnp.where(m, jnp.diagonal(cov)[None], 1.0)
        y, _ = cg(
            lambda y: jnp.where(m, jnp.where(m, y, 0) @ cov, y),
            residual,
            tol=1e-3,
            maxiter=max_steps,
            M=lambda r: r / diagonal,
        )
        x = start + jnp.where(m, y, 0) @ cov
    x = jnp.where(jnp.isfinite(x), x, start)
    draw, mean = (jnp.where(m, x_obs, new) for new in (x[:k], x[k:]))
    return draw.reshape(shape), mean.reshape(shape)


def regression(cov: Array, m: Array) -> Array:
    """Regression coefficients of the missing entries on the observed ones.

    By the sweep operator (Beaton, 1964; Little and Rubin, 2019, section 7.4),
    d rank-one updates: unlike a decomposition it needs no library call that
    takes one matrix at a time, and masks differ in a `where` only.

    Args:
      cov: `[d, d]`, symmetric positive definite.
      m: `[d]` bool, True = observed.

    Returns:
      `[d, d]`: row i holds S_io S_oo^-1 in the observed columns where entry i
      is missing; all else is 0.
    """
    least = DEVICE_RIDGE / 2 * jnp.diagonal(cov)

    def pivot(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        a, used = carry
        take = m[k] & (a[k, k] > least[k])
        row, column, scale = a[k], a[:, k], 1 / a[k, k]
        swept = a - jnp.outer(column, row) * scale
        swept = swept.at[k].set(row * scale).at[:, k].set(column * scale)
        a = jnp.where(take, swept.at[k, k].set(-scale), a)
        return a, used.at[k].set(take)

    none = jnp.zeros_like(m)
    swept, used = jax.lax.fori_loop(0, len(cov), pivot, (cov, none))
    return jnp.where(used[None] & ~m[:, None], swept, 0)


def to_device(normal: Normal) -> Gaussian:
    """A fit as draws take it, float32, with a ridge that float32 can tell."""
    cov = normal.cov + np.diag(DEVICE_RIDGE * normal.cov.diagonal() + 1e-9)
    parts = (normal.mean, cov, np.linalg.cholesky(cov))
    return Gaussian(*(part.astype(np.float32) for part in parts))


def draw_rows(
    key: Array,
    data: Masked,
    gaussian: Gaussian,
    chunk: int,
    draw: Draw | None = None,
) -> Array:
    """`conditional_draw` for all rows `[n, *dims]`, `chunk` rows at a time."""
    return draw_starts(key, data, conditional_base(gaussian), chunk, draw)


def conditional_base(gaussian: Gaussian) -> Base:
    """`conditional_draw` as the start of a flow."""
    max_steps = 20 + 2 * gaussian.mean.size
    return by_mask(
        lambda noise, x, m: conditional_draw(noise, x, m, gaussian, max_steps)
    )


_draw_rows = compiled(draw_rows, static_argnums=3)


def filled(key: Array, data: Masked, gaussian: Gaussian, chunk: int) -> Array:
    """`draw_rows` as a program, which tables of about this shape share."""
    wide = data
    if data.x.ndim == 2:
        columns = padded_columns(data.x.shape[1])
        wide, gaussian = padded(data, columns), widened(gaussian, columns)
    return shrunk(_draw_rows(key, wide, gaussian, chunk), data.x.shape)


def widened(gaussian: Gaussian, columns: int) -> Gaussian:
    """With entries behind that are 0 and tell nothing, `columns` together."""
    d = len(gaussian.mean)
    mean, cov, root = (
        np.pad(to_host(part), (0, columns - d)) for part in gaussian
    )
    behind = np.arange(d, columns)
    cov[behind, behind] = 1  # a variance that can be divided by
    return Gaussian(mean, cov, root)


def gaussian(
    *, rounds: int = 60, shrinkage: float = SHRINKAGE, chunk: int = 4096
) -> Source:
    """The conditional Gaussian fitted to the table, as a source.

    The flow then carries only what is not Gaussian.

    Args:
      rounds: of the fit, at most, see `likely.most_likely`.
      shrinkage: strength of the shrinkage, see `likely.problem_of`.
      chunk: rows drawn at a time.
    """

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[Gaussian, Array]:
        x, m = (to_host(part).reshape(len(part), -1) for part in data)
        some = slice(None) if rows is None else to_host(rows)
        found = to_device(
            most_likely(x[some], m[some], shrinkage=shrinkage, rounds=rounds)
        )
        return found, filled(key, data, found, chunk)

    def draw(
        start: Gaussian, noise: Array, x: Array, m: Array
    ) -> tuple[Array, Array]:
        return conditional_base(start)(noise, x, m)

    like = Gaussian(*(np.dtype(np.float32) for _ in Gaussian._fields))
    return Source(fit, draw, near=True, eager=True, like=like, widened=widened)
