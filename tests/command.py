"""The real commands, each in a process of its own, started in no time.

The processes are forked from one that has imported the project already: half of
what a short command takes is imports.
"""

import contextlib
import multiprocessing
import os
import pathlib
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
_context = multiprocessing.get_context("forkserver")
# What commands import late, and most of them do.
LATE = ["orbax.checkpoint", "tensorboardX", "sklearn.tree", "pyarrow.parquet"]
_context.set_forkserver_preload(
    ["miri_jax.app.run", "miri_jax.report", *LATE, "tests.command"]
)


class Command:
    """`python -m MODULE WORDS`, as `subprocess.Popen` would start it."""

    def __init__(
        self,
        module: str,
        *words: Any,
        cwd: pathlib.Path = ROOT,
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Starts it, with what it prints going to files.

        Args:
          module: what `python -m` would be given.
          *words: the words of the command line.
          cwd: the working directory.
          environment: variables to add.
          before: called in the new process, before the command.
        """
        self._out, self._err = (
            tempfile.NamedTemporaryFile("r", encoding="utf-8") for _ in range(2)
        )
        self._process = _context.Process(
            target=_run,
            args=(
                module,
                [str(word) for word in words],
                str(cwd),
                os.environ | (environment or {}),
                self._out.name,
                self._err.name,
                before,
            ),
        )
        self._process.start()

    def poll(self) -> int | None:
        """The exit status, or None."""
        return self._process.exitcode

    def send(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self._process.pid, number)

    def said(self) -> str:
        """What it has printed to stderr so far."""
        return pathlib.Path(self._err.name).read_text("utf-8")

    def wait_for(self, text: str, timeout: float = 300) -> None:
        """Returns when `text` was printed to stderr, or it has ended."""
        end = time.monotonic() + timeout
        while text not in self.said() and self.poll() is None:
            assert time.monotonic() < end, self.said()
            time.sleep(0.005)

    def end(self, timeout: float = 300) -> tuple[int, str, str]:
        """Waits; exit status (-n after signal n), stdout and stderr."""
        self._process.join(timeout)
        status, err = self.poll(), self.said()
        if status is None:
            self.send(signal.SIGKILL)
            raise TimeoutError(err)
        out = pathlib.Path(self._out.name).read_text("utf-8")
        self._out.close()
        self._err.close()
        return status, out, err


def _run(
    module: str,
    words: list[str],
    cwd: str,
    environment: dict[str, str],
    out: str,
    err: str,
    before: Callable[[], None] | None,
) -> None:
    for path, number in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.update(environment)
    import jax

    # Read from the environment when JAX was imported, which is past.
    cache = environment["JAX_COMPILATION_CACHE_DIR"]
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    if before:
        before()
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
