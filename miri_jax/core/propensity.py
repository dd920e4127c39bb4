"""How likely each entry is observed given the others of its row, as weights.

Targets of a loss are observed entries. Where it depends on other columns which
they are, their rows are no random sample; weighted by the inverse of their
chance to be observed they stand for all rows (Robins, Rotnitzky and Zhao,
1994). Logistic regressions on the filled table and its squares tell the chance,
all columns at once, in matrix products only.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.programs import full_precision
from miri_jax.core.rows import Extent, extent
from miri_jax.types import Array, Layout

# Steps of accelerated gradients.
STEPS = 100
# Columns up to which their squares tell, too.
SQUARES = 64
# Penalty on squared coefficients of features in deviations, and their bound.
RIDGE, BOUND = 3.0, 4.0
# The largest weight.
MOST = 10.0


class Propensity(NamedTuple):
    """Logistic regressions of a mask on the other columns.

    Attributes:
      centre: `[p]` and
      scale: `[p]`, of the features.
      weights: `[p, d]`, coefficients; 0 of a column's own features.
      constant: `[d]`.
      rate: `[d]`, the share of observed entries.
    """

    centre: Array
    scale: Array
    weights: Array
    constant: Array
    rate: Array


# (x, m), [n, d] each, how far the table reaches, and for each entry the first
# of its column, or None, to the regressions.
Fit = Callable[[Array, Array, Extent, Array | None], Propensity]


def fitted(layout: Layout | None = None) -> Fit:
    """A function that learns a `Propensity` from a filled table.

    Args:
      layout: of the table, where the function is not told; None where each
        entry is a column by itself.
    """
    return partial(_fit, layout)


@full_precision
def _fit(
    layout: Layout | None,
    x: Array,
    m: Array,
    reach: Extent | None = None,
    owners: Array | None = None,
) -> Propensity:
    """Regressions, shrunken by what they may owe to chance.

    The factor is 1 - p / LR of p coefficients and the likelihood ratio that
    they reach (van Houwelingen and Le Cessie, 1990): under MCAR about 0.
    """
    reach = extent(x.shape) if reach is None else reach
    x, y = x[reach.some], m[reach.some].astype(jnp.float32)
    real = reach.real.astype(jnp.float32)[:, None]
    n, d = real.sum(), x.shape[1]
    mean = lambda values: jnp.sum(real * values, axis=0) / n
    raw = _raw(x)
    centre = mean(raw)
    scale = jnp.sqrt(mean((raw - centre[None]) ** 2))
    a = real * _features(x, centre, scale)
    if owners is None:
        owners = np.arange(d) if layout is None else layout.owners(d)
    others = owners[:, None] != owners[None, :]
    others = others & (jnp.arange(d) < reach.columns)[:, None]
    free = jnp.tile(others, (a.shape[1] // d, 1)).astype(jnp.float32)
    rate = mean(y)
    # A column that is always observed, or never, has nothing to tell.
    inner = jnp.clip(rate, 0.5 / n, 1 - 0.5 / n)
    constant = jnp.log(inner / (1 - inner))[None]
    # The curvature is a quarter of that of squares at most.
    step = 4 / (_largest_eigenvalue(a) + 4 * RIDGE)

    def one(k: Array, carry: tuple) -> tuple:
        (w, c), (w_before, c_before) = carry
        ahead = k / (k + 3)
        w_now = w + ahead * (w - w_before)
        c_now = c + ahead * (c - c_before)
        left = real * (y - jax.nn.sigmoid(a @ w_now + c_now))
        w_next = w_now + step * free * (a.T @ left - RIDGE * w_now)
        return (w_next, c_now + 4 * mean(left)[None]), (w, c)

    begin = (jnp.zeros((a.shape[1], d), jnp.float32), constant)
    (weights, shift), _ = jax.lax.fori_loop(0, STEPS, one, (begin, begin))
    logits = a @ weights + shift
    gain = _log_likelihood(logits, y, real) - _log_likelihood(constant, y, real)
    count = free.sum(axis=0)
    trust = jnp.clip(1 - count / jnp.maximum(2 * gain, 1e-6), 0, 1)
    constant = (constant + trust[None] * (shift - constant))[0]
    return Propensity(centre, scale, trust[None] * weights, constant, rate)


@full_precision
def inverse_weights(found: Propensity, x: Array) -> Array:
    """Weights `[n, d]` float32 of entries of a filled table as targets.

    The share of observed entries over the chance of each; `MOST` at most.
    """
    a = _features(x, found.centre, found.scale)
    chance = jax.nn.sigmoid(a @ found.weights + found.constant[None])
    return jnp.minimum(found.rate[None] / jnp.maximum(chance, 1e-6), MOST)


def _raw(x: Array) -> Array:
    x = jnp.clip(x, -BOUND, BOUND)
    return jnp.hstack([x, x**2]) if x.shape[1] <= SQUARES else x


def _features(x: Array, centre: Array, scale: Array) -> Array:
    return (_raw(x) - centre[None]) / jnp.maximum(scale[None], 1e-6)


def _largest_eigenvalue(a: Array) -> Array:
    """Of a^T a, by the power method, a little more to be safe."""

    def one(_: Array, v: Array) -> Array:
        v = a.T @ (a @ v)
        return v / jnp.maximum(jnp.linalg.norm(v), 1e-30)

    v = jnp.ones(a.shape[1], a.dtype) / math.sqrt(a.shape[1])
    v = jax.lax.fori_loop(0, 30, one, v)
    return 1.1 * jnp.vdot(a @ v, a @ v)


def _log_likelihood(logits: Array, y: Array, real: Array) -> Array:
    """`[d]`, summed over rows that count."""
    return jnp.sum(real * (y * logits - jnp.logaddexp(0, logits)), axis=0)
