"""Data parallelism: examples split over all local devices, the rest copied.

What is computed of each example does not change, only where; sums over examples
are the same but for rounding. With one device, nothing here does anything.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from miri_jax.types import PyTree

AXIS = "examples"


def mesh() -> Mesh:
    """All local devices in one row."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def split_examples(tree: PyTree) -> PyTree:
    """Inside jit: the leading axis of each leaf split over the devices.

    Leaves whose leading axis the number of devices does not divide stay whole.

    Args:
      tree: arrays `[b, ...]`.
    """
    count = jax.local_device_count()
    if count == 1:
        return tree
    split = NamedSharding(mesh(), PartitionSpec(AXIS))

    def one(leaf: jax.Array) -> jax.Array:
        if len(leaf) % count:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, split)

    return jax.tree.map(one, tree)


def on_all_devices(tree: PyTree) -> PyTree:
    """A copy of each leaf on every device."""
    if jax.local_device_count() == 1:
        return tree
    return jax.device_put(tree, NamedSharding(mesh(), PartitionSpec()))
