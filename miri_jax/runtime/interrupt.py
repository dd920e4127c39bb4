"""Ctrl-C and SIGTERM between two steps: neither lost, nor tearing anything.

Python raises `KeyboardInterrupt` wherever it happens to be: inside a callback
of the garbage collector, where it is printed and forgotten, or inside a save,
which then never ends. SIGTERM is what a machine that is taken away sends: the
run then saves and ends with status 143. If a step takes so long that this
cannot be done in `GRACE_SECONDS`, the process ends as it is, and the checkpoint
before it stands.
"""

import os
import signal
import socket
import threading
from types import FrameType

# SIGKILL follows after ten seconds or more where machines are taken away.
GRACE_SECONDS = 8.0
_requested: int | None = None


class Stopped(KeyboardInterrupt):
    """A run was asked to stop.

    Attributes:
      status: the process's exit status: 130 after Ctrl-C, 143 after SIGTERM.
      remains: what is left, for the person who stopped it.
    """

    def __init__(self, number: int) -> None:
        """From the signal's number."""
        super().__init__()
        self.status = 128 + number
        self.remains = "the same command goes on from here"


def install() -> None:
    """Makes the first Ctrl-C and SIGTERM requests, the second immediate."""
    signal.signal(signal.SIGINT, _request)
    signal.signal(signal.SIGTERM, _request)
    # Python's handlers wait while the main thread is in compiled code; what is
    # written here is not.
    read, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    args = (read, write)
    threading.Thread(target=_countdown, args=args, daemon=True).start()


def requested() -> bool:
    """Whether the run was asked to stop since `install`."""
    return _requested is not None


def stop_if_requested() -> None:
    """To be called where a run can stop.

    Raises:
      Stopped: if that was requested since `install`.
    """
    if _requested is not None:
        raise Stopped(_requested)


def stop() -> None:
    """Stops for a request to another process; raises `Stopped`."""
    raise Stopped(_requested or signal.SIGTERM)


def _request(number: int, frame: FrameType | None) -> None:
    del frame
    global _requested
    stop_if_requested()
    _requested = number
    # Not by a file object, which may be in the middle of a write.
    os.write(2, b"\nstopping after this step; once more stops at once\n")


def _countdown(read: socket.socket, write: socket.socket) -> None:
    del write  # held open here
    while signal.SIGTERM not in read.recv(1):
        pass
    threading.Event().wait(GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)
