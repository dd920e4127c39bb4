"""Who does the work of many parts: this process, or workers of Dask."""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from miri_jax.exceptions import ConfigError, WorkdirError, first_line
from miri_jax.runtime import interrupt

# Of what is done with some arguments, each with its place, as it is done.
Each = Callable[
    [Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]
]
# Seconds that a cluster has to answer, that it may be without a worker, and in
# which a local worker that died has to come again, on a machine under load.
PATIENCE, LONELY, AGAIN = 10, 120, 600


def in_turn(
    work: Callable[..., Any], asked: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """Does one after the other, here."""
    for k, words in enumerate(asked):
        interrupt.stop_if_requested()
        yield k, work(*words)


@contextlib.contextmanager
def workers(where: str | None, parts: int) -> Iterator[Each]:
    """What does work of parts.

    Args:
      where: the address of a cluster of Dask, or a number of processes, "" for
        one a core; None for this process.
      parts: how many there are.

    Raises:
      ConfigError: where there is no such cluster, or no Dask.
    """
    if where is None:
        yield in_turn
        return
    try:
        import dask
        import distributed
    except ImportError:
        raise ConfigError(
            "Dask is not installed; pip install 'miri_jax[dask]', or leave"
            " --dask out"
        ) from None
    with contextlib.ExitStack() as stack:
        if where == "" or where.isdecimal():
            most = int(where or os.cpu_count() or 1)
            stack.enter_context(
                dask.config.set(
                    {"distributed.deploy.lost-worker-timeout": AGAIN}
                )
            )
            cluster: Any = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=max(min(most, parts), 1),
                    threads_per_worker=1,
                    # The usual port may be another cluster's.
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,
                )
            )
        else:
            cluster = where
        try:
            client = stack.enter_context(
                distributed.Client(cluster, timeout=PATIENCE)
            )
            client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"no cluster with workers answers at {where} within"
                f" {PATIENCE} s ({first_line(error)}); give its scheduler's"
                " address, as tcp://HOST:8786",
                about=("dask",),
            ) from None
        yield _of_client(distributed, client)


def _of_client(distributed: Any, client: Any) -> Each:
    def each(
        work: Callable[..., Any], asked: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        futures = {
            client.submit(work, *words, pure=False): k
            for k, words in enumerate(asked)
        }
        waiting, met = {*futures}, time.monotonic()
        try:
            while waiting:
                interrupt.stop_if_requested()
                if client.ncores():
                    met = time.monotonic()
                elif time.monotonic() - met > LONELY:
                    raise _gone()
                done = _done(distributed, waiting)
                waiting -= done.keys()
                for one, result in done.items():
                    yield futures[one], result
        finally:
            client.cancel([*waiting])

    return each


def _gone() -> WorkdirError:
    return WorkdirError(
        "no worker is left; the same command goes on once there are some",
        about=("dask",),
    )


def _done(distributed: Any, waiting: set[Any]) -> dict[Any, Any]:
    """What was done within a second, and what it came to."""
    found: dict[Any, Any] = {}
    try:
        done, _ = distributed.wait(waiting, 1, return_when="FIRST_COMPLETED")
        for one in done:
            # Who has a result may die with it; then it is done again.
            found[one] = one.result(timeout=1)
    except TimeoutError:
        pass
    except distributed.KilledWorker as error:
        raise WorkdirError(
            "a worker died, and so did those that its work was given to"
            f" ({first_line(error)[:60]}), as where there is not enough"
            " memory; start fewer workers, or give smaller parts. The same"
            " command goes on",
            about=("dask",),
        ) from None
    except (distributed.CancelledError, distributed.comm.CommClosedError):
        raise _gone() from None
    return found
