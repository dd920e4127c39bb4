"""What a run took and ran on: seconds, programs, memory, versions."""

import contextlib
import datetime
import importlib.metadata
import pathlib
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import jax

from miri_jax.exceptions import sized
from miri_jax.runtime import interrupt
from miri_jax.runtime.progress import say
from miri_jax.runtime.silence import PATIENCE, said_after

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "pandas")
# Share of the memory from which on a run is said to be bound by it.
NEARLY_ALL = 0.9
# What is said of phases of a run that take long, but for its fit and before,
# which say more.
_NAMES = {
    "draw": "drawing",
    "check": "filling known cells again",
    "evaluate": "measuring what was filled",
    "write": "writing the results",
    "report": "making the report",
}
_COMPILED = "/jax/core/compile/backend_compile_duration"
_CACHED = "/jax/compilation_cache/cache_hits"


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        """Starts with no phase."""
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Adds the time inside the block to a phase; Ctrl-C may end it."""
        start = time.perf_counter()
        with contextlib.ExitStack() as stack:
            if phase in _NAMES:
                line = _NAMES[phase]
                stack.enter_context(said_after(PATIENCE, line, say))
            yield
        interrupt.stop_if_requested()
        spent = time.perf_counter() - start
        self.seconds[phase] = self.seconds.get(phase, 0.0) + spent


class Compilations:
    """Programs that JAX compiles inside a `with` block.

    Attributes:
      programs: how many, those from the cache included.
      cached: how many of them came from the compilation cache.
      seconds: what they took.
    """

    def __init__(self) -> None:
        """Counts nothing yet."""
        self.programs, self.cached, self.seconds = 0, 0, 0.0

    def __enter__(self) -> "Compilations":
        """Starts to count."""
        jax.monitoring.register_event_listener(self._event)
        jax.monitoring.register_event_duration_secs_listener(self._duration)
        return self

    def __exit__(self, *error: object) -> None:
        """Stops counting."""
        jax.monitoring.unregister_event_listener(self._event)
        jax.monitoring.unregister_event_duration_listener(self._duration)

    def _event(self, event: str, **facts: object) -> None:
        del facts
        self.cached += event == _CACHED

    def _duration(self, event: str, seconds: float, **facts: object) -> None:
        del facts
        if event == _COMPILED:
            self.programs += 1
            self.seconds += seconds


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def revision() -> str | None:
    """The git commit that the package lies in; None if it does not.

    With "+" behind it where files differ from it.
    """
    folder = pathlib.Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    git = ["git", "-C", str(folder)]
    try:
        found = [
            subprocess.run(
                [*git, *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for command in (
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0] + "+" * bool(found[1])


def now() -> str:
    """The time here, to the minute, with its zone."""
    return f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"


def peak_memory() -> dict[str, int]:
    """Bytes at the highest: of this process, and of its fullest accelerator."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {
        "process": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    }
    used = [stats["peak_bytes_in_use"] for stats in _memory_stats()]
    return found | ({"device": max(used)} if used else {})


def memory_note() -> str | None:
    """One sentence where a device's memory was nearly full, else None."""
    for stats in _memory_stats():
        peak, limit = stats["peak_bytes_in_use"], stats.get("bytes_limit")
        if limit and peak > NEARLY_ALL * limit:
            return (
                f"the device's memory was nearly full ({sized(peak)} of"
                f" {sized(limit)}); a smaller chunk or batch_size of"
                " the imputer takes less"
            )
    return None


def _memory_stats() -> list[dict[str, int]]:
    """Of devices that keep any, which CPUs do not."""
    found = [device.memory_stats() for device in jax.local_devices()]
    return [stats for stats in found if stats and "peak_bytes_in_use" in stats]
