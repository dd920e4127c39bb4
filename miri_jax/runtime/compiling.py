"""Compiled programs: kept between processes, and told of while one waits."""

import os
import threading
from collections.abc import Callable

import jax
from jax.experimental.compilation_cache import compilation_cache

from miri_jax.runtime.files import folder_of_programs

# Seconds of compiling from which on it is told, and what a program must take
# to be kept where others' programs are too.
PATIENCE, LEAST = 2.0, 0.1
SENTENCE = (
    "compiling for tables of this size and kind, once: the next takes what was"
    " compiled"
)
_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILED = "/jax/core/compile/backend_compile_duration"


def keep_programs() -> None:
    """Keeps compiled programs for the next process.

    Where JAX has been told of a folder, or not to keep any
    (`JAX_ENABLE_COMPILATION_CACHE=false`), that stays; likewise where nothing
    can be written.
    """
    config = jax.config
    if (
        config.jax_compilation_cache_dir
        or not config.jax_enable_compilation_cache
    ):
        return
    folder = folder_of_programs()
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    config.update("jax_compilation_cache_dir", folder)
    config.update("jax_persistent_cache_min_compile_time_secs", LEAST)
    # JAX looks for a folder once, with the first program.
    compilation_cache.reset_cache()


class Told:
    """Tells in a line, once, where programs take seconds to compile."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Takes what says the line."""
        self._say, self._spent, self._done = say, 0.0, False
        self._timer: threading.Timer | None = None

    def __enter__(self) -> "Told":
        """Starts to look on."""
        jax.monitoring.register_event_duration_secs_listener(self._seen)
        return self

    def __exit__(self, *error: object) -> None:
        """Ends that."""
        jax.monitoring.unregister_event_duration_listener(self._seen)
        self._stop()

    def _seen(self, event: str, seconds: float, **facts: object) -> None:
        del facts
        if self._done:
            return
        if event == _LOWERED:  # what is lowered is compiled next
            self._stop()
            left = max(PATIENCE - self._spent, 0)
            self._timer = threading.Timer(left, self._tell)
            self._timer.daemon = True
            self._timer.start()
        elif event == _COMPILED:
            self._stop()
            self._spent += seconds

    def _tell(self) -> None:
        if not self._done:
            self._done = True
            self._say(SENTENCE)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
