"""Pairs of rows that a velocity is learnt from (Algorithm 1, lines 5-7).

Rows and masks are chosen first (`of_table`, `of_source`), then the source is
drawn for them (`start`), which may happen outside a compiled program, then
pairs are interpolated (`make_batch`).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from miri_jax.core.flow import interpolate, merge
from miri_jax.core.rows import GapRows, for_columns, gap_rows
from miri_jax.exceptions import ConfigError
from miri_jax.types import Array, Base, Cond, FlowBatch

START_CHUNK = 512  # pairs started at a time


class Bank(NamedTuple):
    """What the pairs of an iteration are drawn from.

    Attributes:
      x: `[r, *dims]`, rows of the filled table X(t-1).
      m: `[r, *dims]` bool, True = observed.
      targets: `[r, *dims]` float32, what entries count as targets: 0 where
        they are imputed or held out, else 1 or a weight, see `propensity`.
      gaps: the rows of `m` with gaps.
      count: how many rows there are: those behind them are not drawn.
    """

    x: Array
    m: Array
    targets: Array
    gaps: GapRows
    count: Array | int


class Choice(NamedTuple):
    """Rows and masks of b pairs whose source is still to be drawn.

    Attributes:
      x0: `[b, *dims]`, the rows that the masks belong to, where the source is
        the filled table itself; else None.
      x1: `[b, *dims]`, from the marginal of the filled table.
      w1: `[b, *dims]` float32, what targets count; 0 where imputed.
      m0: `[c, *dims]` bool, c dividing b: masks, each of b / c pairs.
      noise: `[b, *dims]`, standard normal, for a source; None beside an x0.
    """

    x0: Array | None
    x1: Array
    w1: Array
    m0: Array
    noise: Array | None


class Pairs(NamedTuple):
    """Pairs of rows before they are interpolated.

    Attributes:
      x0: `[b, *dims]`, from the joint of filled table and mask.
      x1: `[b, *dims]`, from the marginal of the filled table.
      w1: `[b, *dims]` float32, what targets count; 0 where imputed.
      cond: the `Cond` of the velocity, with a leading `[b]`.
    """

    x0: Array
    x1: Array
    w1: Array
    cond: Cond


# (key, bank, how many pairs) to their rows and masks.
Choose = Callable[[Array, Bank, int], Choice]
# (m0, w1), [b, *dims] each, to the weights of coordinates in the loss.
Weight = Callable[[Array, Array], Array]


def bank(
    x: Array,
    m: Array,
    targets: Array | None = None,
    count: Array | int | None = None,
) -> Bank:
    """A `Bank` of the rows `[r, *dims]` of a filled table and their masks.

    Targets, bool or weights, are those observed where they are not given. Only
    the first `count` rows are meant; None for all.
    """
    targets = m if targets is None else targets
    chex.assert_equal_shape((x, m, targets))
    chex.assert_type(m, bool)
    count = len(x) if count is None else count
    return Bank(x, m, targets.astype(jnp.float32), gap_rows(m), count)


def of_table(key: Array, rows: Bank, count: int) -> Choice:
    """(x0, m0) and x1 from the filled table, drawn apart (Algorithm 1).

    Args:
      key: PRNG key.
      rows: what to draw from, with replacement.
      count: number b of pairs.
    """
    key0, key1, _ = jax.random.split(key, 3)
    x1, w1 = _targets(key1, rows, count)
    rows0 = jax.random.randint(key0, (count,), 0, rows.count, jnp.int32)
    return Choice(rows.x[rows0], x1, w1, rows.m[rows0], None)


def of_source(
    key: Array, rows: Bank, count: int, *, share: int = 1, thin: bool = False
) -> Choice:
    """x1 and masks m0 for a source that is drawn given x1's own observed part.

    Any imputer that samples q(x_mis | x_obs) is a lawful source (Prop. 2). Rows
    without gaps teach such a flow nothing, so m0 comes from rows with gaps.

    With `thin`, the source rests on what is really observed of x1 alone, and a
    random share of what m0 misses is shown: m0 becomes w1 > 0 and (m0 or
    U < u), with u uniform on (0, 1) for each pair. A convolution could
    otherwise read a hidden pixel from the imputed ones beside it, which were
    made from it.

    Args:
      key: PRNG key.
      rows: what to draw from, with replacement.
      count: number b of pairs.
      share: how many pairs share a mask; must divide `count`, and be 1 with
        `thin`.
      thin: see above.
    """
    key0, key1, key_noise = jax.random.split(key, 3)
    x1, w1 = _targets(key1, rows, count)
    most = jnp.maximum(rows.gaps.count, 1)
    rows0 = jax.random.randint(key0, (count // share,), 0, most, jnp.int32)
    m0 = rows.m[rows.gaps.order[rows0]]
    if thin:
        key_noise, key_shown = jax.random.split(key_noise)
        m0 = (w1 > 0) & (m0 | shown(key_shown, m0))
    noise = for_columns(jax.random.normal, key_noise, x1.shape)
    return Choice(None, x1, w1, m0, noise)


def _targets(key: Array, rows: Bank, count: int) -> tuple[Array, Array]:
    chosen = jax.random.randint(key, (count,), 0, rows.count, jnp.int32)
    return rows.x[chosen], rows.targets[chosen]


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
    own = for_columns(jax.random.uniform, key_place, m.shape)
    return jnp.where(together, own[..., :1], own) < share


def start(choice: Choice, base: Base | None) -> Pairs:
    """Draws the source of chosen pairs, in memory bounded in their number.

    Args:
      choice: b pairs.
      base: the source, traceable; None where the choice has its x0.

    Raises:
      ConfigError: if a choice that has its x0 meets a source, or one without it
        none.
    """
    _check_start(choice, base)
    if base is None:
        return _joined(choice, choice.x0, None)
    b, c = len(choice.x1), len(choice.m0)
    group = lambda a: a.reshape(c, -1, *a.shape[1:])

    def one(noise: Array, x1: Array, m: Array) -> tuple[Array, Array | None]:
        return base(noise, jnp.where(m, x1, 0), m[None])

    z0, mean = jax.lax.map(
        lambda args: one(*args),
        (group(choice.noise), group(choice.x1), choice.m0),
        batch_size=max(START_CHUNK * c // b, 1),
    )
    flat = lambda a: a.reshape(-1, *a.shape[2:])
    mean = None if mean is None else flat(mean)
    return _joined(choice, flat(z0), mean)


def start_on_host(choice: Choice, base: Base) -> Pairs:
    """As `start`, by a source that works on the host, on all pairs at once."""
    _check_start(choice, base)
    m0 = _masks(choice)
    z0, mean = base(choice.noise, jnp.where(m0, choice.x1, 0), m0)
    return _joined(choice, jnp.asarray(z0), mean)


def _check_start(choice: Choice, base: Base | None) -> None:
    if (choice.x0 is None) == (base is None):
        raise ConfigError(
            "pairs and source do not go together: `pairs.of_table` is for the"
            " source that is the previous imputation, `pairs.of_source` for all"
            " that draw"
        )


def _masks(choice: Choice) -> Array:
    """`[b, *dims]`."""
    return jnp.repeat(choice.m0, len(choice.x1) // len(choice.m0), axis=0)


def _joined(choice: Choice, z0: Array, mean: Array | None) -> Pairs:
    x1, m0 = choice.x1, _masks(choice)
    x1_m = jnp.where(m0, x1, 0)
    if choice.x0 is not None:
        cond = Cond(jnp.where(m0, choice.x0, 0), x1_m, m0)
        return Pairs(choice.x0, x1, choice.w1, cond)
    return Pairs(merge(x1, z0, m0), x1, choice.w1, Cond(x1_m, x1_m, m0, mean))


def everywhere(m0: Array, w1: Array) -> Array:
    """The paper's loss: all coordinates count alike (eq. 6)."""
    del m0
    return jnp.ones(w1.shape, jnp.float32)


def where_moved(m0: Array, w1: Array, *, imputed: float = 0.0) -> Array:
    """Only coordinates that the ODE moves count (m0 = 0).

    Args:
      m0: `[b, *dims]` bool.
      w1: `[b, *dims]`, what targets count.
      imputed: weight in [0, 1] of targets that are themselves imputed (w1 = 0);
        with 0 only values really observed teach. Where w1 does not weigh them,
        that is unbiased where the drivers of missingness are always observed.
    """
    return jnp.where(w1 > 0, w1, imputed) * (~m0)


def make_batch(
    tau: Array, pairs: Pairs, weight: Weight = everywhere
) -> FlowBatch:
    """Interpolates pairs at times tau (Algorithm 1, lines 6-7).

    Args:
      tau: `[b]`, in [0, 1].
      pairs: b pairs.
      weight: of each coordinate, see `everywhere`.

    Returns:
      A `FlowBatch` of b examples.
    """
    x0, x1, w1, cond = pairs
    x_tau = jax.vmap(interpolate)(x0, x1, tau)
    return FlowBatch(tau, x_tau, x1 - x0, weight(cond.m0, w1), cond)


def draw_batch(
    key: Array,
    rows: Bank,
    *,
    batch_size: int,
    choose: Choose = of_table,
    base: Base | None = None,
    weight: Weight = everywhere,
) -> FlowBatch:
    """Draws one training batch (Algorithm 1, lines 5-7).

    Args:
      key: PRNG key.
      rows: the filled table, see `bank`.
      batch_size: number of pairs.
      choose: `of_table`, or `of_source` beside a `base`.
      base: the source; None for the filled table itself.
      weight: of each coordinate, see `everywhere`.

    Returns:
      A `FlowBatch` of `batch_size` examples.
    """
    key_pair, key_tau = jax.random.split(key)
    pairs = start(choose(key_pair, rows, batch_size), base)
    tau = jax.random.uniform(key_tau, (batch_size,), rows.x.dtype)
    return make_batch(tau, pairs, weight)


def draw_from_pool(
    key: Array, pool: Pairs, *, batch_size: int, weight: Weight = everywhere
) -> FlowBatch:
    """As `draw_batch`, with pairs drawn earlier, at new times.

    Args:
      key: PRNG key.
      pool: pairs to choose from, with replacement.
      batch_size: number of pairs.
      weight: of each coordinate, see `everywhere`.

    Returns:
      A `FlowBatch` of `batch_size` examples.
    """
    key_pair, key_tau = jax.random.split(key)
    chosen = jax.random.randint(
        key_pair, (batch_size,), 0, len(pool.x1), jnp.int32
    )
    pairs = jax.tree.map(lambda a: a[chosen], pool)
    tau = jax.random.uniform(key_tau, (batch_size,), pool.x1.dtype)
    return make_batch(tau, pairs, weight)


def all_of_pool(key: Array, pool: Pairs, *, weight: Weight) -> FlowBatch:
    """As `draw_from_pool`, with each pair once."""
    tau = jax.random.uniform(key, (len(pool.x1),), pool.x1.dtype)
    return make_batch(tau, pool, weight)


def thinned() -> Choose:
    """`of_source` for convolutions, see there."""
    return partial(of_source, thin=True)
