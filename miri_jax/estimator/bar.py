"""Progress of a fit on the terminal."""

import sys

import tqdm

from miri_jax.engine import Snapshot, Watch
from miri_jax.runtime.compiling import Told, keep_programs
from miri_jax.types import Imputer, Info, Masked


class Bar(Watch):
    """Progress and the time left."""

    def __init__(self, name: str, disable: bool) -> None:
        """Of a fit's name; shows nothing where it is disabled."""
        self._name, self._disable = name, disable
        self._bar: tqdm.tqdm | None = None
        self._told: Told | None = None

    def resume(self, imputer: Imputer, data: Masked) -> Snapshot | None:
        """Keeps what is compiled; from here on it is told what takes long."""
        keep_programs()
        if not self._disable and self._told is None:
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
        )

    def step(self, now: Snapshot, info: Info, *, last: bool) -> None:
        """Moves the bar."""
        self._bar.update(int(now.state.iteration) - self._bar.n)

    def diverged(self, sentence: str) -> None:
        """Says so, whether or not progress is shown."""
        tqdm.tqdm.write(sentence)

    def end(self) -> None:
        """Closes the bar."""
        self._close()
        if self._told is not None:
            self._told.__exit__()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _say(line: str) -> None:
    tqdm.tqdm.write(line, file=sys.stderr)
