"""Libraries that sum by several threads, kept to one."""

import contextlib
import functools

from threadpoolctl import ThreadpoolController


def one_thread(kind: str | None = None) -> contextlib.AbstractContextManager:
    """One thread for each library: sums depend on the number of threads.

    To look for libraries takes milliseconds, and is done once for each kind:
    ask only once those that matter are loaded.

    Args:
      kind: "blas" or "openmp"; None for both.
    """
    return _found(kind).limit(limits=1, user_api=kind)


@functools.cache
def _found(kind: str | None) -> ThreadpoolController:
    return ThreadpoolController()
