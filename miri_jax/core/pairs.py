"""Pairs of rows that a velocity is learnt from (Algorithm 1, lines 5-7)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from miri_jax.core.flow import interpolate, merge
from miri_jax.core.rows import GapRows
from miri_jax.types import Array, Base, Cond, FlowBatch

START_CHUNK = 512  # pairs started at a time


class Pairs(NamedTuple):
    """Pairs of rows before they are interpolated.

    Attributes:
      x0: `[b, *dims]`, from the joint of filled table and mask.
      x1: `[b, *dims]`, from the marginal of the filled table.
      m1: `[b, *dims]` bool, which targets were really observed.
      cond: the `Cond` of the velocity, with a leading `[b]`.
    """

    x0: Array
    x1: Array
    m1: Array
    cond: Cond


def draw_pair(
    key: Array,
    x: Array,
    m: Array,
    *,
    batch_size: int,
    base: Base | None = None,
    gaps: GapRows | None = None,
    targets: Array | None = None,
    share: int = 1,
    thin: bool = False,
) -> Pairs:
    """Draws (x0, m0) from the joint and x1 from the marginal (Algorithm 1).

    With `base=None` ("previous") the source is the filled table itself: x0 and
    m0 are one row, x1 another, drawn independently with replacement.

    With a `base`, any imputer that samples q(x_mis | x_obs) will do (Prop. 2),
    so the source is built on x1's own observed part: x0 = x1 where m0, and
    base(noise, m0 * x1, m0) elsewhere. Rows without gaps teach such a flow
    nothing, so m0 may then be drawn from the rows in `gaps` only.

    With `thin`, such a source rests on what is really observed of x1 alone, and
    a random share of what m0 misses is shown: m0 becomes m1 and (m0 or U < u),
    with u uniform on (0, 1) for each pair. A convolution could otherwise read a
    hidden pixel from the imputed ones beside it, which were made from it.

    Args:
      key: PRNG key.
      x: `[n, *dims]`, the filled table X(t-1).
      m: `[n, *dims]` bool, True = observed.
      batch_size: number b of pairs.
      base: None, or the start of the flow on the missing entries.
      gaps: None, or the rows m0 is drawn from where there is a `base`.
      targets: `[n, *dims]` bool, what counts as observed in m1; None for `m`.
      share: how many pairs share a mask m0 where there is a `base`; must divide
        `batch_size`, and be 1 with `thin`.
      thin: see above.

    Returns:
      `Pairs` of `batch_size` examples.
    """
    key0, key1, key_noise = jax.random.split(key, 3)
    n = x.shape[0]
    rows1 = jax.random.randint(key1, (batch_size,), 0, n, jnp.int32)
    count = jnp.maximum(gaps.count, 1) if base and gaps else n
    masks = batch_size // share if base else batch_size
    rows0 = jax.random.randint(key0, (masks,), 0, count, jnp.int32)
    x1, m1 = x[rows1], (m if targets is None else targets)[rows1]
    if base is None:
        x0, m0 = x[rows0], m[rows0]
        cond = Cond(jnp.where(m0, x0, 0), jnp.where(m0, x1, 0), m0)
        return Pairs(x0, x1, m1, cond)
    m0 = m[gaps.order[rows0] if gaps else rows0]
    if thin:
        key_noise, key_shown = jax.random.split(key_noise)
        m0 = m1 & (m0 | shown(key_shown, m0))
    return pairs_from_base(key_noise, x1, m1, m0, base)


def shown(key: Array, m: Array) -> Array:
    """Which places are shown though a mask `[b, *dims]` misses them.

    Each with a chance that is uniform on (0, 1) over the b examples; all
    channels of a pixel together where a mask has them missing together.
    """
    key_share, key_place = jax.random.split(key)
    share = jax.random.uniform(
        key_share, (len(m), *(1,) * (m.ndim - 1)), jnp.float32
    )
    together = m.ndim == 4 and jnp.all(
        m == m[..., :1], axis=(1, 2, 3), keepdims=True
    )
    own = jax.random.uniform(key_place, m.shape, jnp.float32)
    return jnp.where(together, own[..., :1], own) < share


def pairs_from_base(
    key: Array, x1: Array, m1: Array, m0: Array, base: Base
) -> Pairs:
    """Pairs whose source is drawn given x1's own observed part.

    Args:
      key: PRNG key.
      x1: `[b, *dims]`, rows of the filled table.
      m1: `[b, *dims]` bool, which of their entries count as observed.
      m0: `[c, *dims]` bool, c dividing b: False where the flow starts from
        `base`, for b / c rows of x1 each.
      base: the start.
    """
    group = lambda a: a.reshape(len(m0), -1, *a.shape[1:])
    noise = jax.random.normal(key, x1.shape, x1.dtype)

    def start(noise: Array, x1: Array, m: Array) -> tuple[Array, Cond]:
        x1_m = jnp.where(m, x1, 0)
        x0, mean = base(noise, x1_m, m)
        m0 = jnp.broadcast_to(m, x1.shape)
        return merge(x1, x0, m), Cond(x1_m, x1_m, m0, mean)

    started = jax.lax.map(
        lambda args: start(*args),
        (group(noise), group(x1), m0),
        batch_size=max(START_CHUNK * len(m0) // len(x1), 1),
    )
    x0, cond = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), started)
    return Pairs(x0, x1, m1, cond)


def make_batch(
    tau: Array, pairs: Pairs, imputed_weight: float | None = None
) -> FlowBatch:
    """Interpolates pairs at times tau (Algorithm 1, lines 6-7).

    Args:
      tau: `[b]`, in [0, 1].
      pairs: b pairs.
      imputed_weight: None for the paper's loss over all coordinates. A number
        in [0, 1] restricts the loss to the coordinates the ODE moves (m0 = 0)
        and gives this weight to targets that are themselves imputed (m1 = 0):
        0 learns only from values really observed.

    Returns:
      A `FlowBatch` of b examples.
    """
    x0, x1, m1, cond = pairs
    if imputed_weight is None:
        weight = jnp.ones_like(x1)
    else:
        weight = jnp.where(m1, jnp.float32(1), imputed_weight) * (~cond.m0)
    x_tau = jax.vmap(interpolate)(x0, x1, tau)
    return FlowBatch(tau, x_tau, x1 - x0, weight, cond)


def draw_batch(
    key: Array,
    x: Array,
    m: Array,
    *,
    batch_size: int,
    imputed_weight: float | None = None,
    **settings: Any,
) -> FlowBatch:
    """Draws one training batch (Algorithm 1, lines 5-7).

    Args:
      key: PRNG key.
      x: `[n, *dims]`, the filled table.
      m: `[n, *dims]` bool, True = observed.
      batch_size: number of pairs.
      imputed_weight: see `make_batch`.
      **settings: see `draw_pair`.

    Returns:
      A `FlowBatch` of `batch_size` examples.
    """
    key_pair, key_tau = jax.random.split(key)
    pairs = draw_pair(key_pair, x, m, batch_size=batch_size, **settings)
    tau = jax.random.uniform(key_tau, (batch_size,), x.dtype)
    return make_batch(tau, pairs, imputed_weight)


def draw_from_pool(
    key: Array,
    pool: Pairs,
    *,
    batch_size: int,
    imputed_weight: float | None = None,
) -> FlowBatch:
    """As `draw_batch`, with pairs drawn earlier, at times of their own.

    Args:
      key: PRNG key.
      pool: pairs to choose from, with replacement.
      batch_size: number of pairs.
      imputed_weight: see `make_batch`.

    Returns:
      A `FlowBatch` of `batch_size` examples.
    """
    key_pair, key_tau = jax.random.split(key)
    chosen = jax.random.randint(
        key_pair, (batch_size,), 0, len(pool.x1), jnp.int32
    )
    pairs = jax.tree.map(lambda a: a[chosen], pool)
    tau = jax.random.uniform(key_tau, (batch_size,), pool.x1.dtype)
    return make_batch(tau, pairs, imputed_weight)
