"""What a run does while a fit goes on: saves, logs, shows, stops."""

import contextlib
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from miri_jax.core import parallel
from miri_jax.data import Dataset
from miri_jax.engine import Snapshot, Watch
from miri_jax.runtime import interrupt, processes
from miri_jax.runtime.checkpoint import CheckpointStore
from miri_jax.runtime.progress import MetricsWriter, SilentWriter, say
from miri_jax.runtime.provenance import Compilations
from miri_jax.types import Imputer, Info, Masked

# Steps after the second iteration that may compile something without a word.
MAX_LATE = 3


class RunWatch(Watch):
    """Looks on at the first fit of a run.

    Attributes:
      trace: the lines of metrics.jsonl, once the fit has ended.
      notes: sentences about what went wrong on the way.
    """

    def __init__(
        self,
        config: ConfigDict,
        folder: pathlib.Path,
        dataset: Dataset,
        like: Any,
        key: jax.Array,
        compiled: Compilations,
        *,
        resumed: bool,
    ) -> None:
        """Opens the folder of checkpoints.

        Args:
          config: of the run.
          folder: of the run.
          dataset: the data.
          like: shapes and dtypes of the imputer's state.
          key: PRNG key of what is measured.
          compiled: counts what JAX compiles.
          resumed: whether the run has begun before.
        """
        self.trace: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._config, self._folder, self._dataset = config, folder, dataset
        self._key, self._compiled, self._resumed = key, compiled, resumed
        self._like = like
        self._store = CheckpointStore(
            folder / "checkpoints", keep=config.checkpoint.keep
        )
        self._metrics: MetricsWriter | SilentWriter | None = None
        self._saved = self._before = self._number = self._late = 0
        self._programs, self._saved_at = 0, time.monotonic()

    def resume(self, imputer: Imputer, data: Masked) -> Snapshot | None:
        """The last checkpoint."""
        now = load(self._store, self._like, len(data.x))
        if self._resumed:
            where = "anew"
            if now is not None:
                where = f"after iteration {int(now.state.iteration)}"
            say(f"resuming in {self._folder}: {where}")
            self._resumed = False
        return now

    def begin(self, now: Snapshot, imputer: Imputer) -> None:
        """Opens metrics.jsonl, whose first line is of the start."""
        self._every = self._config.eval_every or imputer.num_iterations
        kind = MetricsWriter if processes.writes() else SilentWriter
        self._metrics = kind(
            self._folder,
            first_step=now.step,
            num_iterations=imputer.num_iterations,
        )
        if processes.first_of(not self._metrics.rows()):
            values = self._measured(0, now.state.x)
            self._metrics.write(0, 0, values)
            self._metrics.progress(0, values)
        self._saved, self._saved_at = now.step, time.monotonic()
        self._before = int(now.state.iteration)
        self._total, self._at_end = imputer.num_iterations, imputer.at_end
        self._compiled_before = self._compiled.seconds

    @contextlib.contextmanager
    def stepping(self) -> Iterator[None]:
        """Profiles the second step, where that is wanted."""
        self._number += 1
        self._programs = self._compiled.programs
        if self._config.profile and self._number == 2:
            with jax.profiler.trace(str(self._folder / "profile")):
                yield
        else:
            yield

    def step(self, now: Snapshot, info: Info, *, last: bool) -> None:
        """A line of metrics.jsonl; a checkpoint where one is due."""
        iteration = int(now.state.iteration)
        anew = self._compiled.programs > self._programs
        self._late += iteration > 2 and anew
        values = means_of(info)
        whole = iteration > self._before
        if whole and (iteration % self._every == 0 or last):
            values |= self._measured(iteration, now.state.x)
        self._metrics.write(now.step, iteration, values)
        if whole:
            self._metrics.progress(
                iteration,
                values,
                compiling=self._compiled.seconds - self._compiled_before,
                may_stop=hasattr(now.state, "done"),
                at_end=self._at_end,
            )
        self._before = iteration
        if last and iteration < self._total:
            say(
                f"ended after iteration {iteration} of at most {self._total}:"
                " it got no better"
            )
        limit = self._config.checkpoint.every_seconds
        due = time.monotonic() - self._saved_at >= limit
        stop = processes.any_of(interrupt.requested())
        at_end = last and self._config.checkpoint.at_end
        if at_end or stop or processes.first_of(due):
            save(self._store, now)
            self._saved, self._saved_at = now.step, time.monotonic()
        if stop:
            interrupt.stop()

    def diverged(self, sentence: str) -> None:
        """A line for who watches, and for the summary."""
        self.notes.append(sentence)
        say(sentence)
        self._metrics.close()

    def kept(self) -> str:
        """The last checkpoint, if there is one."""
        return f"checkpoint {self._saved}" if self._saved else super().kept()

    def end(self) -> None:
        """Closes the files."""
        self._store.close()
        if self._metrics is not None:
            self.trace = self._metrics.rows()
            self._metrics.close()
        if self._late > MAX_LATE:
            self.notes.append(
                f"{self._late} steps compiled programs anew, which a step after"
                " the first two iterations should not; please report it"
            )

    def _measured(self, iteration: int, x: jax.Array) -> dict[str, float]:
        key = jax.random.fold_in(self._key, iteration)
        return self._dataset.trace(key, parallel.to_host(x))


class LaterWatch(Watch):
    """Looks on at a further fit of a run, for a further imputation."""

    def __init__(self, folder: pathlib.Path, name: str, like: Any) -> None:
        """Opens the folder of checkpoints.

        Args:
          folder: the fit's checkpoints.
          name: of the fit, for who watches.
          like: shapes and dtypes of the imputer's state.
        """
        self._name, self._like = name, like
        self._store = CheckpointStore(folder, keep=1)

    def resume(self, imputer: Imputer, data: Masked) -> Snapshot | None:
        """The last checkpoint."""
        now = load(self._store, self._like, len(data.x))
        if now is None:
            say(self._name)
        return now

    def step(self, now: Snapshot, info: Info, *, last: bool) -> None:
        """A checkpoint at the end, and where the run is to stop."""
        stop = processes.any_of(interrupt.requested())
        if last or stop:
            save(self._store, now)
        if stop:
            interrupt.stop()

    def diverged(self, sentence: str) -> None:
        """A line for who watches."""
        say(f"{self._name}: {sentence}")

    def end(self) -> None:
        """Closes the files."""
        self._store.close()


def save(store: CheckpointStore, now: Snapshot) -> None:
    """Saves a fit, to go on from there."""
    scale = parallel.spread(jnp.float32(now.scale), 0)
    store.save(now.step, {"state": now.state, "learning_rate_scale": scale})


def load(store: CheckpointStore, like: Any, rows: int) -> Snapshot | None:
    """What `save` saved last, if anything; damaged checkpoints are said.

    Args:
      store: the checkpoints.
      like: shapes and dtypes of the imputer's state.
      rows: of the table, see `CheckpointStore.load_latest`.
    """
    saved_as = {"state": like, "learning_rate_scale": np.float32(1)}
    step, found, damaged = store.load_latest(saved_as, rows=rows)
    for note in damaged:
        say(note)
    if found is None:
        return None
    return Snapshot(step, found["state"], float(found["learning_rate_scale"]))


def means_of(info: Mapping[str, jax.Array]) -> dict[str, float]:
    """Means of what a step logs."""
    return {
        name: float(np.mean(np.asarray(value))) for name, value in info.items()
    }
