"""Ctrl-C between two steps, where it can neither be lost nor tear anything.

Python raises `KeyboardInterrupt` wherever it happens to be: inside a callback
of the garbage collector, where it is printed and forgotten, or inside a save,
which then never ends.
"""

import os
import signal
from types import FrameType

_requested = False


def install() -> None:
    """Makes the first Ctrl-C a request, and the second one immediate."""
    signal.signal(signal.SIGINT, _request)


def check() -> None:
    """To be called where a run can stop.

    Raises:
      KeyboardInterrupt: if it was requested since `install`.
    """
    if _requested:
        raise KeyboardInterrupt


def _request(number: int, frame: FrameType | None) -> None:
    del number, frame
    global _requested
    check()
    _requested = True
    # Not by a file object, which may be in the middle of a write.
    os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")
