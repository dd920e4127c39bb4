"""Progress of a fit on the terminal."""

import tqdm

from miri_jax.engine import Snapshot, Watch
from miri_jax.types import Imputer, Info


class Bar(Watch):
    """Progress and the time left."""

    def __init__(self, name: str, disable: bool) -> None:
        """Of a fit's name; shows nothing where it is disabled."""
        self._name, self._disable = name, disable
        self._bar: tqdm.tqdm | None = None

    def begin(self, now: Snapshot, imputer: Imputer) -> None:
        """Opens the bar."""
        self.end()
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
        if self._bar is not None:
            self._bar.close()
