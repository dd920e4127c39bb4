"""Data parallelism: examples split over all devices, the rest copied.

What is computed of each example does not change, only where; sums over examples
are the same but for rounding. With one device, nothing here does anything.

Several processes, as on the hosts of a TPU slice, each run the same program on
the same files; jit's programs span the devices of all. The first one writes.
"""

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from miri_jax.types import PyTree

AXIS = "examples"


def mesh() -> Mesh:
    """All devices, of all processes, in one row."""
    return Mesh(np.array(jax.devices()), (AXIS,))


def split_examples(tree: PyTree) -> PyTree:
    """Inside jit: the leading axis of each leaf split over the devices.

    Leaves whose leading axis the number of devices does not divide stay whole.

    Args:
      tree: arrays `[b, ...]`.
    """
    count = jax.device_count()
    if count == 1:
        return tree
    split = NamedSharding(mesh(), PartitionSpec(AXIS))

    def one(leaf: jax.Array) -> jax.Array:
        if len(leaf) % count:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, split)

    return jax.tree.map(one, tree)


def spread(tree: PyTree, rows: int) -> PyTree:
    """Puts arrays on the devices: those of `rows` rows split, others copied.

    Args:
      tree: arrays, the same in every process.
      rows: the leading axis of what is split. Where the number of devices does
        not divide it, each device holds all.
    """
    if jax.device_count() == 1:
        return tree

    def one(leaf: jax.Array) -> jax.Array:
        place = sharding(leaf.shape, rows)
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            whole = np.asarray(leaf)
            return jax.make_array_from_callback(
                leaf.shape, place, lambda part: whole[part]
            )
        return jax.device_put(leaf, place)

    return jax.tree.map(one, tree)


def sharding(shape: tuple[int, ...], rows: int) -> jax.sharding.Sharding:
    """Where `spread` puts an array."""
    count = jax.device_count()
    if count == 1:
        return jax.sharding.SingleDeviceSharding(jax.devices()[0])
    split = shape[:1] == (rows,) and rows % count == 0
    spec = PartitionSpec(AXIS) if split else PartitionSpec()
    return NamedSharding(mesh(), spec)


def to_host(x: jax.Array | np.ndarray) -> np.ndarray:
    """A whole array in every process; to be called in all."""
    if isinstance(x, jax.Array) and not (
        x.is_fully_addressable or x.is_fully_replicated
    ):
        x = multihost_utils.process_allgather(x, tiled=True)
    return np.asarray(x)
