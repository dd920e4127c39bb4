"""Several processes, as on the hosts of a TPU slice: one of them writes.

Each runs the same program on the same files; jit's programs span the devices of
all. What can fail in one of them fails in all.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from miri_jax.exceptions import ConfigError, MiriError, WorkdirError, first_line

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
            f"the other processes cannot be joined ({first_line(error)});"
            " check coordinator_address, num_processes and process_id",
            about=("distributed",),
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
            f"process {np.flatnonzero(failed)[0]} cannot go on; its last line"
            " has the reason"
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
