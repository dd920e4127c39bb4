"""Data parallelism: examples split over all devices, the rest copied.

What is computed of each example does not change, only where; sums over examples
are the same but for rounding. With one device, nothing here does anything.

Several processes, as on the hosts of a TPU slice, each run the same program on
the same files; jit's programs span the devices of all. The first one writes.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from miri_jax.exceptions import (
    ConfigError,
    MiriError,
    WorkdirError,
    first_line,
)
from miri_jax.types import PyTree

AXIS = "examples"
T = TypeVar("T")
# JAX may not be asked before `join`: that would start it.
_process, _count = 0, 1


def join(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Makes this process one of several; to be called before JAX starts.

    Args: see `jax.distributed.initialize`, which finds out by itself what is
      None on Cloud TPUs and under Slurm, Open MPI or Kubernetes.

    Raises:
      ConfigError: if the others cannot be found.
    """
    global _process, _count
    if _count > 1:
        return
    # Its handler of SIGTERM would take the place of `interrupt`'s.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address, num_processes, process_id
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise ConfigError(
            "the other processes cannot be joined, see --config.distributed:"
            f" {first_line(error)}"
        ) from error
    _process, _count = jax.process_index(), jax.process_count()


def writes() -> bool:
    """Whether this process is the one that writes files and lines."""
    return _process == 0


def agree(work: Callable[[], T]) -> T:
    """Calls `work` in every process; where it fails in one, it fails in all.

    Raises:
      MiriError: that of this process, or else one that names another.
    """
    if _count == 1:
        return work()
    result, raised = None, None
    try:
        result = work()
    except (MiriError, OSError) as error:
        raised = error
    failed = _gather([raised is not None])[:, 0]
    if raised is not None:
        raise raised
    if failed.any():
        raise WorkdirError(
            f"process {np.flatnonzero(failed)[0]} cannot go on, its own line"
            " says why"
        )
    return result


def any_of(flag: bool) -> bool:
    """Whether a flag is set in any process."""
    return bool(_gather([flag]).any())


def first_of(flag: bool) -> bool:
    """A flag of the process that writes, in all processes."""
    return bool(_gather([flag])[0, 0])


def _gather(flags: Sequence[bool]) -> np.ndarray:
    """Flags of all processes, `[processes, flags]`."""
    flags = np.asarray(flags)
    if _count == 1:
        return flags[None]
    return multihost_utils.process_allgather(flags)


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
