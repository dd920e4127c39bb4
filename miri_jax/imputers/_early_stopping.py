"""Early stopping on the velocity loss over held-out observed entries."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core import flow
from miri_jax.core.pairs import Choice, Pairs, make_batch, where_moved
from miri_jax.core.propensity import Propensity, inverse_weights
from miri_jax.core.rows import Extent, extent, for_columns
from miri_jax.types import Array, Layout, PyTree

NUM_PAIRS = 4096


class Stop(NamedTuple):
    """When a fit ends before its last iteration.

    Attributes:
      share: of the observed entries (of at most `rows.SOME` rows) that no loss
        sees, in (0, 1).
      patience: iterations that the loss on them may fail to fall.
      layout: of a table whose columns are held out as a whole, where the fit
        is not told it: what is left of a level tells it. None where each entry
        is by itself.
    """

    share: float
    patience: int
    layout: Layout | None = None


class HeldOut(NamedTuple):
    """Observed entries that no loss sees, to tell fitting from overfitting.

    Attributes:
      key: uint32 data of the PRNG key of the validation pairs, which are the
        same in every iteration but for the imputed values among them.
      rows: `[h]`, the rows that the held-out entries are in; behind those of a
        shorter table, rows that are not its own.
      targets: `[n, *dims]` bool, the observed entries that are not held out.
      best: the averaged parameters with the smallest held-out loss so far.
      loss: scalar, that loss, relative to that of no velocity at all.
      since: int32 scalar, iterations since.
    """

    key: Array
    rows: Array
    targets: Array
    best: PyTree
    loss: Array
    since: Array


def hold_out(
    key: Array,
    m: Array,
    rows: Array | np.ndarray,
    stop: Stop,
    params: PyTree,
    reach: Extent | None = None,
    owners: Array | None = None,
) -> HeldOut:
    """Chooses the held-out entries.

    Args:
      key: PRNG key.
      m: `[n, *dims]` bool, True = observed.
      rows: row numbers, whose rows give entries.
      stop: how many of their observed entries; one at least is held out.
      params: of the shape of those that will be compared.
      reach: how far the table reaches, of which `rows` and `m` may have more
        at their end; None for all.
      owners: `[d]`, for each entry the first of its column; None for those of
        the layout of `stop`.
    """
    reach = extent(m.shape) if reach is None else reach
    rows = jnp.asarray(rows, jnp.int32)
    key_entries, key_pairs = jax.random.split(key)
    u = jax.vmap(
        lambda i: jax.random.uniform(
            jax.random.fold_in(key_entries, i), m.shape[1:], jnp.float32
        )
    )(jnp.arange(len(rows)))
    if owners is None and stop.layout is not None:
        owners = first_of(stop.layout.owners(m.shape[1]))
    if owners is not None:
        u = u[:, owners]
    real = jnp.arange(len(rows)) < reach.count
    real = real.reshape(-1, *(1,) * (m.ndim - 1))
    if m.ndim == 2:
        real = real & (jnp.arange(m.shape[1]) < reach.columns)[None]
    u = jnp.where(m[rows] & real, u, 2)
    entries = real & ((u < stop.share) | (u == jnp.min(u)))
    return HeldOut(
        key=jax.random.key_data(key_pairs),
        rows=rows,
        targets=m.at[rows].set(m[rows] & ~entries),
        best=jax.tree.map(jnp.array, params),  # a copy: buffers are donated
        loss=jnp.float32(jnp.inf),
        since=jnp.int32(0),
    )


def first_of(owners: np.ndarray) -> np.ndarray:
    """For each entry `[d]` the first of its column, of `Layout.owners`."""
    return np.searchsorted(owners, owners).astype(np.int32)


def choose(
    held_out: HeldOut,
    x: Array,
    m: Array,
    propensity: Propensity | tuple = (),
    count: Array | int | None = None,
) -> tuple[Choice, Array]:
    """What a velocity is asked for to compare parameters, and when.

    The held-out entries of a row from what else is known of it, under masks of
    other rows in which they are missing too. Rows, masks, noise and times are
    the same whenever this is called.

    Args:
      held_out: the entries.
      x: `[n, *dims]`, the filled table.
      m: `[n, *dims]` bool, True = observed.
      propensity: what weighs the entries; () where they count alike.
      count: rows of the table, of which `x` and `m` may have more at their
        end; None for all.

    Returns:
      `NUM_PAIRS` pairs whose source is still to be drawn, and times.
    """
    key = jax.random.wrap_key_data(held_out.key)
    key_rows, key_noise, key_tau = jax.random.split(key, 3)
    count = len(m) if count is None else count
    turns = jnp.arange(NUM_PAIRS) % jnp.minimum(count, len(held_out.rows))
    rows = held_out.rows[turns]
    x1, entries = x[rows], m[rows] & ~held_out.targets[rows]
    masks = jax.random.randint(key_rows, (NUM_PAIRS,), 0, count, jnp.int32)
    noise = for_columns(jax.random.normal, key_noise, x1.shape)
    tau = jax.random.uniform(key_tau, (NUM_PAIRS,), x.dtype)
    w1 = entries.astype(jnp.float32)
    if propensity:
        w1 *= inverse_weights(propensity, x1)
    return Choice(None, x1, w1, m[masks] & ~entries, noise), tau


def judge(
    held_out: HeldOut,
    params: PyTree,
    apply_fn: flow.ApplyFn,
    pairs: Pairs,
    tau: Array,
) -> HeldOut:
    """Compares parameters with the best so far.

    Args:
      held_out: the best so far.
      params: parameters to compare.
      apply_fn: the velocity.
      pairs: those of `choose`, started.
      tau: likewise.
    """
    batch = make_batch(tau, pairs, where_moved)
    loss, aux = flow.flow_loss(params, apply_fn, batch)
    loss /= jnp.maximum(aux["zero"], 1e-12)
    better = loss < held_out.loss
    choose = lambda new, old: jnp.where(better, new, old)
    return held_out._replace(
        best=jax.tree.map(choose, params, held_out.best),
        loss=choose(loss, held_out.loss),
        since=choose(0, held_out.since + 1),
    )
