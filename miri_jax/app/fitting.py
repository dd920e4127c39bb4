"""The fit of a run: saved, resumed, rolled back where it is not finite."""

import dataclasses
import inspect
import itertools
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from miri_jax.core import parallel
from miri_jax.data import Dataset
from miri_jax.exceptions import NonFiniteError
from miri_jax.imputers import IMPUTERS, finished, iterate, make_imputer
from miri_jax.runtime import interrupt, processes
from miri_jax.runtime.checkpoint import CheckpointStore
from miri_jax.runtime.progress import MetricsWriter, SilentWriter, say
from miri_jax.runtime.provenance import Compilations
from miri_jax.types import Imputer, Masked

# What the learning rate is multiplied by at each rollback.
SHRINK = 0.25
# Steps after the second iteration that may compile something without a word.
MAX_LATE = 3


class Fitted(NamedTuple):
    """A fit at its end.

    Attributes:
      imputer: the method as it was at the end: after a rollback it has another
        learning rate.
      state: its final state.
      trace: the lines of metrics.jsonl.
      notes: sentences about what went wrong on the way.
    """

    imputer: Imputer
    state: Any
    trace: list[dict[str, Any]]
    notes: list[str]


def fit(
    keys: tuple[jax.Array, jax.Array, jax.Array],
    imputer: Imputer,
    like: Any,
    dataset: Dataset,
    data: Masked,
    config: ConfigDict,
    settings: Mapping[str, Any],
    folder: pathlib.Path,
    *,
    resumed: bool,
    compiled: Compilations,
) -> Fitted:
    """Steps a method from its start or its last checkpoint to its end.

    A step that leaves a value that is not finite is undone: the fit goes back
    to the last checkpoint, or to the start, with `SHRINK` times the learning
    rate, `config.retries` times at most. The factor is saved with the state.

    Args:
      keys: PRNG keys of the start, of the steps and of the metrics.
      imputer: the method.
      like: shapes and dtypes of its state.
      dataset: the data.
      data: the same as imputers take them, on the devices.
      config: of the run.
      settings: of the method.
      folder: the run's.
      resumed: whether the run has begun before.
      compiled: counts what JAX compiles.

    Raises:
      NonFiniteError: with iteration, step and the last good checkpoint, where
        smaller steps do not help.
      WorkdirError: if nothing can be saved or read.
    """
    store = CheckpointStore(folder / "checkpoints", keep=config.checkpoint.keep)
    steps = _Steps(keys, dataset, data, config, folder, store, compiled)
    notes = []
    try:
        start = steps.start(imputer, like, settings)
        if resumed:
            where = f"after iteration {int(start.state.iteration)}"
            where = where if start.step else "anew"
            say(f"resuming in {folder}: {where}")
        while True:
            try:
                state, trace = steps.take(start)
                return Fitted(
                    start.imputer, state, trace, notes + steps.notes()
                )
            except NonFiniteError as error:
                if not _has_rate(config.method):
                    raise
                tries = round(np.log(start.scale) / np.log(SHRINK))
                if tries >= config.retries:
                    raise NonFiniteError(
                        f"{error}; going back with {SHRINK:g} times the"
                        f" learning rate did not help, {tries} times; try"
                        " another --config.imputer.learning_rate in a new"
                        " --workdir, or look for extreme values"
                    ) from None
                scale = start.scale * SHRINK
                notes.append(
                    f"{error}; going back to it with {scale:g} times the"
                    " learning rate"
                )
                say(notes[-1])
                start = steps.start(imputer, like, settings, scale)
    finally:
        store.close()


def _has_rate(method: str) -> bool:
    return "learning_rate" in inspect.signature(IMPUTERS[method]).parameters


def _slowed(
    method: str, settings: Mapping[str, Any], scale: float
) -> dict[str, Any]:
    """The settings with the learning rate times `scale`."""
    known = inspect.signature(IMPUTERS[method]).parameters
    rate = settings.get("learning_rate", known["learning_rate"].default)
    return {**settings, "learning_rate": scale * rate}


class _Start(NamedTuple):
    """Where steps begin: after `step` of them, at `scale` times the rate."""

    imputer: Imputer
    step: int
    state: Any
    scale: float


@dataclasses.dataclass
class _Steps:
    """Steps of one fit, up to its end or to a value that is not finite."""

    keys: tuple[jax.Array, jax.Array, jax.Array]
    dataset: Dataset
    data: Masked
    config: ConfigDict
    folder: pathlib.Path
    store: CheckpointStore
    compiled: Compilations
    late: int = 0

    def start(
        self,
        imputer: Imputer,
        like: Any,
        settings: Mapping[str, Any],
        scale: float = 1.0,
    ) -> _Start:
        """The last checkpoint, or else the method's own start."""
        saved = {"state": like, "learning_rate_scale": jnp.float32(1)}
        step, found, damaged = self.store.load_latest(
            saved, rows=len(self.dataset.m)
        )
        for note in damaged:
            say(note)
        if found is not None:
            scale = min(scale, float(found["learning_rate_scale"]))
        if scale < 1:
            slowed = _slowed(self.config.method, settings, scale)
            imputer = make_imputer(self.config.method, **slowed)
        if found is None:
            state = imputer.init(self.keys[0], self.data)
        else:
            state = found["state"]
        return _Start(imputer, step, state, scale)

    def take(self, start: _Start) -> tuple[Any, list[dict[str, Any]]]:
        """Goes on from there; the final state, and metrics.jsonl."""
        imputer, step, state, scale = start
        _, key_steps, key_metrics = self.keys
        evaluate = lambda now, x: self.dataset.trace(
            jax.random.fold_in(key_metrics, now), parallel.to_host(x)
        )
        kind = MetricsWriter if processes.writes() else SilentWriter
        metrics = kind(
            self.folder, first_step=step, num_iterations=imputer.num_iterations
        )
        try:
            if processes.first_of(not metrics.rows()):
                values = evaluate(0, state.x)
                metrics.write(0, 0, values)
                metrics.progress(0, values)
            saved, saved_at = step, time.monotonic()
            scale = parallel.spread(jnp.float32(scale), 0)
            limits = self.config.checkpoint
            every = self.config.eval_every or imputer.num_iterations
            before = int(state.iteration)
            steps = iterate(key_steps, imputer, self.data, state)
            for state, info in self.watched(steps):
                step, now = step + 1, int(state.iteration)
                values = _log_values(info, state, now, saved)
                last = finished(imputer, state)
                if now > before and (now % every == 0 or last):
                    values |= evaluate(now, state.x)
                metrics.write(step, now, values)
                if now > before:
                    metrics.progress(now, values)
                due = time.monotonic() - saved_at >= limits.every_seconds
                stop = processes.any_of(interrupt.requested())
                if last or stop or processes.first_of(due):
                    whole = {"state": state, "learning_rate_scale": scale}
                    self.store.save(step, whole)
                    saved, saved_at = step, time.monotonic()
                if stop:
                    interrupt.stop()
                before = now
            return state, metrics.rows()
        finally:
            metrics.close()

    def notes(self) -> list[str]:
        """What could be better about how the steps ran."""
        if self.late <= MAX_LATE:
            return []
        return [
            f"{self.late} steps compiled programs anew, which a step after the"
            " first two iterations should not; please report it"
        ]

    def watched(
        self, steps: Iterator[tuple[Any, Any]]
    ) -> Iterator[tuple[Any, Any]]:
        """The steps, the second of them profiled where that is wanted."""
        for number in itertools.count(1):
            programs = self.compiled.programs
            if self.config.profile and number == 2:
                with jax.profiler.trace(str(self.folder / "profile")):
                    found = jax.block_until_ready(next(steps, None))
            else:
                found = next(steps, None)
            if found is None:
                return
            late = int(found[0].iteration) > 2
            self.late += late and self.compiled.programs > programs
            yield found


def _log_values(
    info: Mapping[str, jax.Array],
    state: Any,
    iteration: int,
    saved: int,
) -> dict[str, float]:
    """Means of what a step logs; stops at the first value that is not finite.

    Raises:
      NonFiniteError: with iteration, step and the last good checkpoint.
    """
    kept = f"checkpoint {saved}" if saved else "the start"
    for name, value in info.items():
        bad = np.flatnonzero(~np.isfinite(np.ravel(value)))
        if bad.size:
            raise NonFiniteError(
                f"{name} is not finite in iteration {iteration}, SGD step"
                f" {bad[0]} of this call; the last good state is {kept}"
            )
    if not _all_finite(state.x):
        raise NonFiniteError(
            f"the filled table is not finite after iteration {iteration}; the"
            f" last good state is {kept}"
        )
    return {
        name: float(np.mean(np.asarray(value))) for name, value in info.items()
    }


@jax.jit
def _all_finite(x: jax.Array) -> jax.Array:
    return jnp.isfinite(x).all()
