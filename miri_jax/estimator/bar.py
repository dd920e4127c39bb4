"""Progress of a fit on the terminal."""

import contextlib
import sys

import tqdm

from miri_jax.engine import Snapshot, Watch
from miri_jax.runtime.compiling import Told, keep_programs
from miri_jax.runtime.silence import LONG, broken, said_after
from miri_jax.types import Imputer, Info, Masked


class Bar(Watch):
    """Progress and the time left."""

    def __init__(self, name: str, verbose: bool | int | None) -> None:
        """Of a fit's name; None shows something once the fit takes long."""
        self._name, self._verbose = name, verbose
        # A bar in a file is no bar; a notebook shows it as a terminal does.
        seen = sys.stderr.isatty() or "ipykernel" in sys.modules
        self._disable = not (seen if verbose is None else verbose)
        self._delay = LONG if verbose is None else 0.0
        self._waiting: contextlib.ExitStack | None = None
        self._bar: tqdm.tqdm | None = None
        self._told: Told | None = None

    def resume(self, imputer: Imputer, data: Masked) -> Snapshot | None:
        """Keeps what is compiled; from here on it is told what takes long."""
        keep_programs()
        if self._verbose is None and self._waiting is None:
            self._waiting = contextlib.ExitStack()
            line = f"{self._name}; verbose=False shows nothing"
            self._waiting.enter_context(said_after(LONG, line, self._speak))
        if self._verbose and self._told is None:
            self._told = Told(_say).__enter__()
        return super().resume(imputer, data)

    def begin(self, now: Snapshot, imputer: Imputer) -> None:
        """Opens the bar."""
        self._close()
        self._bar = tqdm.tqdm(
            total=imputer.num_iterations,
            disable=self._disable,
            unit="iteration",
            desc=self._name,
            delay=self._delay,
        )

    def step(self, now: Snapshot, info: Info, *, last: bool) -> None:
        """Moves the bar."""
        self._bar.update(int(now.state.iteration) - self._bar.n)

    def diverged(self, sentence: str) -> None:
        """Says so, whether or not progress is shown."""
        tqdm.tqdm.write(sentence)

    def end(self) -> None:
        """Closes the bar."""
        if self._waiting is not None:
            self._waiting.close()
        self._close()
        if self._told is not None:
            self._told.__exit__()

    def _speak(self, line: str) -> None:
        """Says a line, from which on the bar is shown, its end as well."""
        self._delay = 0.0
        if self._bar is not None:
            self._bar.delay = self._delay
        _say(line)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _say(line: str) -> None:
    broken()
    tqdm.tqdm.write(line, file=sys.stderr)
