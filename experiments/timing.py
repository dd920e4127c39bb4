"""Seconds and memory of a command, in a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

IMPUTE, MAIN = ("-m", "miri_jax.app.impute"), ("-m", "miri_jax.main")


def timed(
    words: Sequence[str],
    timeout: float | None = None,
    *,
    check: bool = True,
    **how: Any,
) -> dict[str, float]:
    """What a command takes.

    Args:
      words: the command's.
      timeout: seconds after which it is killed, with all that it started; None
        for no end.
      check: whether it is to end well.
      **how: arguments of `subprocess.Popen`.

    Returns:
      `wall` and `cpu`, seconds of the clock and of the processors, and
      `peak_mb`, memory of its largest process.

    Raises:
      subprocess.SubprocessError: if it takes too long, or fails and is not to.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            **how,
        )
        late = threading.Timer(
            timeout or threading.TIMEOUT_MAX,
            lambda: os.killpg(process.pid, signal.SIGKILL),
        )
        late.daemon = True
        late.start()
        _, status, used = os.wait4(process.pid, 0)
        late.cancel()
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if timeout and wall >= timeout:
            raise subprocess.TimeoutExpired(words, timeout)
        if check and process.returncode:
            said.seek(0)
            raise subprocess.CalledProcessError(
                process.returncode, words, stderr=said.read()
            )
    unit = 1 if sys.platform == "darwin" else 2**10
    return {
        "wall": round(wall, 3),
        "cpu": round(used.ru_utime + used.ru_stime, 3),
        "peak_mb": round(used.ru_maxrss * unit / 2**20, 1),
    }
