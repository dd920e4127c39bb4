"""Seconds and memory of a command, in a process of its own."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

HERE = pathlib.Path(__file__).absolute()
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
    with tempfile.TemporaryDirectory() as folder:
        told = pathlib.Path(folder, "told.json")
        process = subprocess.Popen(
            [sys.executable, "-S", str(HERE), str(told), *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **how,
        )
        try:
            _, said = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise subprocess.TimeoutExpired(words[:1], timeout) from None
        if process.returncode and (check or not told.exists()):
            raise subprocess.CalledProcessError(
                process.returncode, words, stderr=said
            )
        return json.loads(told.read_text())


def _launch(told: str, words: Sequence[str]) -> int:
    """Runs a command, writes what it took, and returns its status.

    In a small process: the peak of what is forked is at least what its parent
    holds.
    """
    began = time.perf_counter()
    status = subprocess.call(words)
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 2**10
    found = {
        "wall": round(wall, 3),
        "cpu": round(used.ru_utime + used.ru_stime, 3),
        "peak_mb": round(used.ru_maxrss * unit / 2**20, 1),
    }
    pathlib.Path(told).write_text(json.dumps(found))
    return status


if __name__ == "__main__":
    sys.exit(_launch(sys.argv[1], sys.argv[2:]))
