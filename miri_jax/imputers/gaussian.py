"""Conditional Gaussian imputation, in matrix products only.

Mean and covariance are estimated from the incomplete table by stochastic
approximation EM (Delyon, Lavielle and Moulines, 1999): draw the missing entries
given the present estimate, take the moments of the filled table, average them.
An imputer of its own, and the start of the flow of `miri`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from miri_jax.flow import merge
from miri_jax.types import Array, Imputer, Masked


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


class GaussianState(NamedTuple):
    """See `types.Imputer`; `mean` and `second` are the averaged moments.

    Attributes:
      iteration: int32 scalar.
      x: `[n, *dims]`.
      mean: `[d]`, averaged E[x].
      second: `[d, d]`, averaged E[x x'].
      shrinkage: scalar, see `from_moments`.
    """

    iteration: Array
    x: Array
    mean: Array
    second: Array
    shrinkage: Array


def conditional_draw(
    noise: Array, x_obs: Array, m: Array, gaussian: Gaussian, max_steps: int
) -> Array:
    """Draws one row's missing entries given its observed ones.

    With z ~ N(mean, S) and y the solution of (M S M + 1 - M) y = M (x - z),
    z + S y follows N(mean, S) conditioned on the observed entries (Matheron's
    rule). y comes from Jacobi-preconditioned conjugate gradients, which under
    `vmap` cost one `[n, d] x [d, d]` product a step and freeze each row as soon
    as its residual is small relative to its right-hand side. An entry that
    comes out non-finite is replaced by that of z, a draw from the marginal.

    Args:
      noise: `[*dims]`, standard normal.
      x_obs: `[*dims]`, read where observed only.
      m: `[*dims]` bool, True = observed.
      gaussian: over the flattened row.
      max_steps: the most conjugate-gradient steps.

    Returns:
      `[*dims]`; observed entries are those of `x_obs`.
    """
    shape = m.shape
    x_obs, m = x_obs.ravel(), m.ravel()
    mean, cov, root = gaussian
    z = mean + root @ noise.ravel()
    diagonal = jnp.where(m, jnp.diagonal(cov), 1.0)

    def matvec(y: Array) -> Array:
        return jnp.where(m, cov @ jnp.where(m, y, 0), y)

    y, _ = cg(
        matvec,
        jnp.where(m, x_obs - z, 0),
        tol=1e-4,
        maxiter=max_steps,
        M=lambda r: r / diagonal,
    )
    x = z + cov @ jnp.where(m, y, 0)
    x = jnp.where(jnp.isfinite(x), x, z)
    return jnp.where(m, x_obs, x).reshape(shape)


def from_moments(mean: Array, second: Array, shrinkage: Array) -> Gaussian:
    """The Gaussian with the given moments, shrunk and made well conditioned.

    Args:
      mean: `[d]`, E[x].
      second: `[d, d]`, E[x x'].
      shrinkage: share in [0, 1] of the off-diagonal that is taken away.

    Returns:
      The `Gaussian`; a relative ridge of 1e-4 and an absolute one of 1e-6 keep
      it positive definite where columns are collinear or constant.
    """
    cov = second - jnp.outer(mean, mean)
    cov = 0.5 * (cov + cov.T)
    variance = jnp.maximum(jnp.diagonal(cov), 0.0)
    ridge = 1e-4 * variance + 1e-6
    cov = (1 - shrinkage) * cov + jnp.diag(shrinkage * variance + ridge)
    return Gaussian(mean, cov, jnp.linalg.cholesky(cov))


def draw_rows(
    key: Array, data: Masked, gaussian: Gaussian, chunk: int
) -> Array:
    """`conditional_draw` for all rows `[n, *dims]`, `chunk` rows at a time."""
    noise = jax.random.normal(key, data.x.shape, data.x.dtype)
    max_steps = 20 + 2 * data.m[0].size
    draw = lambda row: conditional_draw(*row, gaussian, max_steps)
    return map_rows(draw, (noise, data.x, data.m), chunk)


def map_rows(fn: Any, rows: Any, chunk: int) -> Any:
    """`vmap` of `fn` over the leading axis in chunks that bound the memory.

    Args:
      fn: function of one row.
      rows: a pytree of arrays `[n, ...]`.
      chunk: how many rows at a time.
    """
    n = jax.tree.leaves(rows)[0].shape[0]
    if n <= chunk:
        return jax.vmap(fn)(rows)
    return jax.lax.map(fn, rows, batch_size=chunk)


def init_state(key: Array, data: Masked, strength: float) -> GaussianState:
    """Standard normal draws in the gaps, standard moments.

    `strength` sets how much covariances shrink where rows are few per column:
    strength * d / (d + observed rows per column).
    """
    d = data.m[0].size
    noise = jax.random.normal(key, data.x.shape, data.x.dtype)
    return GaussianState(
        iteration=jnp.int32(0),
        x=merge(data.x, noise, data.m),
        mean=jnp.zeros(d),
        second=jnp.eye(d),
        shrinkage=strength * d / (d + jnp.sum(data.m) / d),
    )


def fitted(state: GaussianState) -> Gaussian:
    """The Gaussian that a state has come to."""
    return from_moments(state.mean, state.second, state.shrinkage)


def em_round(
    key: Array,
    state: GaussianState,
    data: Masked,
    *,
    burn_in: int,
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
    return state._replace(x=draw_rows(key, data, fitted(state), chunk))


@partial(jax.jit, static_argnames=("num_rounds", "shrinkage", "chunk"))
def fit_gaussian(
    key: Array,
    data: Masked,
    *,
    num_rounds: int = 60,
    shrinkage: float = 0.1,
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
        return em_round(key, state, data, burn_in=burn_in, chunk=chunk), None

    state = init_state(key_init, data, shrinkage)
    state, _ = jax.lax.scan(one_round, state, jnp.arange(num_rounds))
    return fitted(state), state.x


def make_gaussian(
    *,
    num_iterations: int = 60,
    shrinkage: float = 0.1,
    chunk: int = 4096,
) -> Imputer:
    """Draws from the conditional Gaussian fitted to the incomplete table.

    Args:
      num_iterations: rounds; the moments are averaged over the later half.
      shrinkage: strength of the covariance's shrinkage towards its diagonal,
        see `init_state`; matters where rows are few per column.
      chunk: rows drawn at a time.
    """
    burn_in = num_iterations // 2

    @jax.jit
    def step(key, state, data):
        state = em_round(key, state, data, burn_in=burn_in, chunk=chunk)
        variance = jnp.diagonal(state.second) - jnp.square(state.mean)
        return state, {"mean_variance": jnp.mean(variance)}

    @jax.jit
    def impute(key, state, data):
        return draw_rows(key, data, fitted(state), chunk)

    init = jax.jit(partial(init_state, strength=shrinkage))
    return Imputer(init, step, impute, num_iterations)
