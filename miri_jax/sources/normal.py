"""Conditional Gaussian imputation, in matrix products only.

Mean and covariance are estimated from the incomplete table by stochastic
approximation EM (Delyon, Lavielle and Moulines, 1999): draw the missing entries
given the present estimate, take the moments of the filled table, average them.
An imputer by itself, and the start of the flow of `miri`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from miri_jax.core.flow import merge
from miri_jax.core.rows import draw_starts
from miri_jax.sources._source import Source, by_mask
from miri_jax.types import Array, Base, Draw, Masked


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

    def pivot(k: Array, a: Array) -> Array:
        row, column, scale = a[k], a[:, k], 1 / a[k, k]
        swept = a - jnp.outer(column, row) * scale
        swept = swept.at[k].set(row * scale).at[:, k].set(column * scale)
        return jnp.where(m[k], swept.at[k, k].set(-scale), a)

    swept = jax.lax.fori_loop(0, len(cov), pivot, cov)
    return jnp.where(m[None] & ~m[:, None], swept, 0)


def from_moments(
    mean: Array, second: Array, rows: Array, strength: float = 1.0
) -> Gaussian:
    """The Gaussian with the given moments, shrunk and made well conditioned.

    Covariances shrink towards 0 by the share that minimises the expected
    squared error of all correlations r_ij (Schaefer and Strimmer, 2005),
    sum Var(r_ij) / sum r_ij^2 over i != j, with Var(r_ij) = (1 - r_ij^2)^2 /
    rows.

    Args:
      mean: `[d]`, E[x].
      second: `[d, d]`, E[x x'].
      rows: scalar, how many rows each correlation comes from.
      strength: factor of that share; 0 for no shrinkage.

    Returns:
      The `Gaussian`; a relative ridge of 1e-4 and an absolute one of 1e-6 keep
      it positive definite where columns are collinear or constant.
    """
    cov = second - jnp.outer(mean, mean)
    cov = 0.5 * (cov + cov.T)
    variance = jnp.maximum(jnp.diagonal(cov), 0.0)
    ridge = 1e-4 * variance + 1e-6
    scale = jnp.sqrt(variance + 1e-6)
    other = 1 - jnp.eye(len(mean), dtype=cov.dtype)
    square = other * jnp.square(jnp.clip(cov / jnp.outer(scale, scale), -1, 1))
    error = jnp.sum(other * jnp.square(1 - square)) / jnp.maximum(rows, 1)
    share = jnp.clip(strength * error / (jnp.sum(square) + 1e-6), 0, 1)
    cov = (1 - share) * cov + jnp.diag(share * variance + ridge)
    return Gaussian(mean, cov, jnp.linalg.cholesky(cov))


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


class GaussianState(NamedTuple):
    """See `types.Imputer`; `mean` and `second` are the averaged moments.

    Attributes:
      iteration: int32 scalar.
      x: `[n, *dims]`.
      mean: `[d]`, averaged E[x].
      second: `[d, d]`, averaged E[x x'].
      rows: scalar, observed rows per column.
    """

    iteration: Array
    x: Array
    mean: Array
    second: Array
    rows: Array


def init_state(key: Array, data: Masked) -> GaussianState:
    """Standard normal draws in the gaps, standard moments."""
    d = data.m[0].size
    noise = jax.random.normal(key, data.x.shape, data.x.dtype)
    return GaussianState(
        iteration=jnp.int32(0),
        x=merge(data.x, noise, data.m),
        mean=jnp.zeros(d, noise.dtype),
        second=jnp.eye(d, dtype=noise.dtype),
        rows=jnp.sum(data.m, dtype=noise.dtype) / d,
    )


def fitted(state: GaussianState, strength: float) -> Gaussian:
    """The Gaussian that a state has come to, see `from_moments`."""
    return from_moments(state.mean, state.second, state.rows, strength)


def em_round(
    key: Array,
    state: GaussianState,
    data: Masked,
    *,
    burn_in: int,
    shrinkage: float,
    chunk: int,
) -> GaussianState:
    """One round: the filled table's moments, then a draw from them.

    The moments replace the old ones for `burn_in` rounds and are averaged with
    weight 1 / k in the k-th round after (SAEM's step sizes).
    """
    rows = state.x.reshape(state.x.shape[0], -1)
    gain = 1.0 / jnp.maximum(state.iteration - burn_in + 1, 1)
    mean = state.mean + gain * (jnp.mean(rows, 0) - state.mean)
    second = rows.T @ rows / rows.shape[0]
    second = state.second + gain * (second - state.second)
    state = state._replace(
        iteration=state.iteration + 1, mean=mean, second=second
    )
    return state._replace(
        x=draw_rows(key, data, fitted(state, shrinkage), chunk)
    )


@partial(jax.jit, static_argnames=("num_rounds", "shrinkage", "chunk"))
def fit_gaussian(
    key: Array,
    data: Masked,
    *,
    num_rounds: int = 60,
    shrinkage: float = 0.3,
    chunk: int = 4096,
) -> tuple[Gaussian, Array]:
    """Fits a Gaussian to a table with gaps, in one compiled loop.

    Returns:
      The `Gaussian` and a table `[n, *dims]` filled with draws from it.
    """
    key_init, key_rounds = jax.random.split(key)

    def one_round(state: GaussianState, i: Array) -> tuple[GaussianState, None]:
        key = jax.random.fold_in(key_rounds, i)
        burn_in = num_rounds // 2
        state = em_round(
            key, state, data, burn_in=burn_in, shrinkage=shrinkage, chunk=chunk
        )
        return state, None

    state = init_state(key_init, data)
    state, _ = jax.lax.scan(one_round, state, jnp.arange(num_rounds))
    return fitted(state, shrinkage), state.x


def gaussian(
    *, rounds: int = 60, shrinkage: float = 0.3, chunk: int = 4096
) -> Source:
    """The conditional Gaussian fitted to the table, as a source.

    The flow then carries only what is not Gaussian.

    Args:
      rounds: of the fit.
      shrinkage: strength of the covariance's shrinkage, see `from_moments`.
      chunk: rows drawn at a time.
    """
    settings = dict(num_rounds=rounds, shrinkage=shrinkage, chunk=chunk)

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[Gaussian, Array]:
        if rows is None:
            return fit_gaussian(key, data, **settings)
        key_fit, key_draw = jax.random.split(key)
        some = Masked(data.x[rows], data.m[rows])
        fitted, _ = fit_gaussian(key_fit, some, **settings)
        return fitted, draw_rows(key_draw, data, fitted, chunk)

    def draw(
        start: Gaussian, noise: Array, x: Array, m: Array
    ) -> tuple[Array, Array]:
        return conditional_base(start)(noise, x, m)

    return Source(fit, draw, near=True)
