"""Early stopping on the velocity loss over held-out observed entries."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core import flow
from miri_jax.core.pairs import make_batch, pairs_from_base
from miri_jax.types import Array, Base, PyTree

NUM_ROWS = 4096
NUM_PAIRS = 4096


class HeldOut(NamedTuple):
    """Observed entries that no loss sees, to tell fitting from overfitting.

    Attributes:
      key: uint32 data of the PRNG key of the validation pairs, which are the
        same in every iteration but for the imputed values among them.
      rows: `[h]`, the rows that the held-out entries are in.
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
    share: float,
    params: PyTree,
) -> HeldOut:
    """Chooses the held-out entries.

    Args:
      key: PRNG key.
      m: `[n, *dims]` bool, True = observed.
      rows: row numbers, whose rows give entries.
      share: of their observed entries, in (0, 1); one at least is held out.
      params: of the shape of those that will be compared.
    """
    rows = jnp.asarray(rows, jnp.int32)
    key_entries, key_pairs = jax.random.split(key)
    u = jax.random.uniform(key_entries, m[rows].shape, jnp.float32)
    u = jnp.where(m[rows], u, 2)
    entries = (u < share) | (u == jnp.min(u))
    return HeldOut(
        key=jax.random.key_data(key_pairs),
        rows=rows,
        targets=m.at[rows].set(m[rows] & ~entries),
        best=jax.tree.map(jnp.array, params),  # a copy: buffers are donated
        loss=jnp.float32(jnp.inf),
        since=jnp.int32(0),
    )


def validate(
    held_out: HeldOut,
    params: PyTree,
    apply_fn: flow.ApplyFn,
    x: Array,
    m: Array,
    base: Base,
) -> HeldOut:
    """Compares parameters with the best so far.

    The velocity is asked for the held-out entries of a row from what else is
    known of it, under masks of other rows in which they are missing too. Rows,
    masks, noise and times are the same whenever this is called.

    Args:
      held_out: the best so far.
      params: parameters to compare.
      apply_fn: the velocity.
      x: `[n, *dims]`, the filled table.
      m: `[n, *dims]` bool, True = observed.
      base: the start of the flow.
    """
    key = jax.random.wrap_key_data(held_out.key)
    key_rows, key_noise, key_tau = jax.random.split(key, 3)
    rows = jnp.resize(held_out.rows, NUM_PAIRS)
    x1, entries = x[rows], m[rows] & ~held_out.targets[rows]
    m0 = (
        m[jax.random.randint(key_rows, (NUM_PAIRS,), 0, len(m), jnp.int32)]
        & ~entries
    )
    pairs = pairs_from_base(key_noise, x1, entries, m0, base)
    tau = jax.random.uniform(key_tau, (NUM_PAIRS,), x.dtype)
    loss, aux = flow.flow_loss(params, apply_fn, make_batch(tau, pairs, 0.0))
    loss /= jnp.maximum(aux["zero"], 1e-12)
    better = loss < held_out.loss
    choose = lambda new, old: jnp.where(better, new, old)
    return held_out._replace(
        best=jax.tree.map(choose, params, held_out.best),
        loss=choose(loss, held_out.loss),
        since=choose(0, held_out.since + 1),
    )
