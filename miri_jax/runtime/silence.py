"""Lines for those who wait: what goes on, said once nothing else was for long.

Nothing heavy is imported here, as the first of these lines is due before.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

# Seconds of silence after which a phase tells its name, a command its first
# line, and an estimator that it is at work.
PATIENCE, FIRST, LONG = 2.0, 1.5, 5.0
_waiting: set[threading.Timer] = set()


@contextlib.contextmanager
def said_after(
    seconds: float, line: str, say: Callable[[str], None]
) -> Iterator[None]:
    """Says a line if the block goes on for long and nothing else is said.

    Args:
      seconds: how long.
      line: what to say, in a thread of its own.
      say: how; what else is said calls `broken`.
    """
    timer = threading.Timer(seconds, say, [line])
    timer.daemon = True
    _waiting.add(timer)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _waiting.discard(timer)


def broken() -> None:
    """Something was said: what waits to be has no need to any more."""
    for timer in list(_waiting):
        timer.cancel()
