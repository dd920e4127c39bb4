"""Fits of an imputer: checked, rolled back, watched."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.parallel import spread
from miri_jax.exceptions import (
    DataError,
    DivergedError,
    NonFiniteError,
)
from miri_jax.settings import check_seed
from miri_jax.types import Array, Imputer, Info, Masked, State

# What the learning rate is multiplied by where a fit diverged, and how often.
SHRINK, RETRIES = 0.25, 3


class Keys(NamedTuple):
    """PRNG keys of a whole imputation, from one seed.

    Attributes:
      fit: of `fit`.
      draw: of `draw` and `draws`.
      measure: of what is measured on the way.
      other: of what else is random.
      resample: of fits to rows drawn with replacement, and of those rows.
    """

    fit: Array
    draw: Array
    measure: Array
    other: Array
    resample: Array


def seed_keys(seed: int) -> Keys:
    """The keys that a seed stands for, in scripts, commands and estimator.

    Raises:
      ConfigError: see `check_seed`.
    """
    return Keys(*(seed_key(seed, name) for name in Keys._fields))


def seed_key(seed: int, name: str) -> Array:
    """One of `seed_keys`, by its name, without the others."""
    check_seed(seed)
    # By `fold_in`, here as everywhere in a run: one program for all keys, where
    # `split` is one for each number of them, and another to take them apart.
    return jax.random.fold_in(jax.random.key(seed), Keys._fields.index(name))


class Snapshot(NamedTuple):
    """Where a fit is.

    Attributes:
      step: steps taken.
      state: of the imputer.
      scale: factor of the learning rate, below 1 after the fit diverged.
    """

    step: int
    state: State
    scale: float = 1.0


class Watch:
    """Looks on while a fit goes on; a subclass saves, logs, shows and stops."""

    def resume(self, imputer: Imputer, data: Masked) -> Snapshot | None:
        """What was saved last; None where a fit begins at its start."""
        del imputer, data

    def begin(self, now: Snapshot, imputer: Imputer) -> None:
        """Called before the first step, and after each way back."""

    def stepping(self) -> contextlib.AbstractContextManager[None]:
        """Entered around each step."""
        return contextlib.nullcontext()

    def step(self, now: Snapshot, info: Info, *, last: bool) -> None:
        """Called after each step whose values are finite.

        Args:
          now: where the fit is; its buffers may be gone after the next step.
          info: what the step logs.
          last: whether the fit is complete.
        """

    def diverged(self, sentence: str) -> None:
        """Called where the fit goes back; the sentence is for people."""

    def kept(self) -> str:
        """What a diverged fit can go back to, in words."""
        return "the start"

    def end(self) -> None:
        """Called at the end, also after an error."""


def fit(
    key: Array,
    imputer: Imputer,
    data: Masked,
    *,
    watch: Watch | None = None,
    retries: int = RETRIES,
) -> State:
    """Fits an imputer to a table with gaps.

    A step that leaves a value that is not finite is undone: the fit goes back
    to what `watch` has saved, or to its start, with `SHRINK` times the learning
    rate, `retries` times at most.

    Args:
      key: PRNG key of the whole fit. Iteration t uses a key folded with t, so
        that a fit which goes on from a saved state draws the numbers that it
        would have drawn.
      imputer: the method.
      data: the table with gaps, see `Masked`.
      watch: what looks on; None for nothing.
      retries: how often a diverged fit goes back.

    Returns:
      The final state, see `types.State`; its `x` is X(T).

    Raises:
      DataError: if the data are not as `Masked` says.
      NonFiniteError: with iteration and step, where there is no learning rate.
      DivergedError: where smaller steps do not help.
    """
    check_data(data)
    watch, scale = watch or Watch(), 1.0
    key_steps = jax.random.fold_in(key, 1)
    try:
        while True:
            now = watch.resume(imputer, data)
            if now is None:
                state = imputer.init(jax.random.fold_in(key, 0), data)
                now = Snapshot(0, state, scale)
            scale = min(scale, now.scale)
            now = now._replace(scale=scale)
            tries = round(np.log(scale) / np.log(SHRINK))
            try:
                return _steps(key_steps, imputer, data, now, watch)
            except NonFiniteError as error:
                if imputer.slowed is None:
                    raise
                if tries >= retries:
                    raise DivergedError(
                        f"{error}; going back with {SHRINK:g} times the"
                        f" learning rate did not help, {tries} times; try"
                        " another learning_rate, or look for extreme values",
                        about=("learning_rate",),
                    ) from None
                scale *= SHRINK
                watch.diverged(
                    f"{error}; going back to it with {scale:g} times the"
                    " learning rate"
                )
    finally:
        watch.end()


def fit_many(
    key: Array,
    imputer: Imputer,
    data: Masked,
    count: int,
    *,
    bootstrap: Array | None = None,
    weights: np.ndarray | None = None,
    watches: Iterator[Watch] | None = None,
    retries: int = RETRIES,
) -> Iterator[State]:
    """Several fits to one table, the first of them `fit`'s.

    Args:
      key: PRNG key; the first fit is that of `fit` with it.
      imputer: the method.
      data: the table with gaps.
      count: how many fits.
      bootstrap: PRNG key, for fits to rows drawn with replacement, the first of
        them too; None for fits that differ by their own chance alone.
      weights: `[n]` >= 0, how much each row counts, see `weighted_rows`; None
        for alike.
      watches: what looks on, one for each fit.
      retries: see `fit`.

    Yields:
      `count` final states, one at a time.
    """
    later = [jax.random.fold_in(key, k) for k in range(1, count)]
    for k, key_k in enumerate([key, *later]):
        some = data
        if bootstrap is not None:
            rows = resample(jax.random.fold_in(bootstrap, k), data.m, weights)
            some = Masked(data.x[rows], data.m[rows])
        elif weights is not None:
            rows = weighted_rows(weights, data.m)
            some = Masked(data.x[rows], data.m[rows])
        watch = next(watches) if watches is not None else None
        yield fit(key_k, imputer, some, watch=watch, retries=retries)


def weighted_rows(weights: np.ndarray, m: Array) -> np.ndarray:
    """Rows `[n]` as often as their weights say, to the nearest number around.

    A systematic sample in the order of the rows. A row that is there keeps its
    place, and what it is there again takes the places of those that are not.

    Args:
      weights: `[n]` >= 0, not all 0.
      m: `[n, *dims]` bool, True = observed.
    """
    n, m = len(weights), np.asarray(m).reshape(len(weights), -1)
    ends = np.cumsum(weights) * (n / weights.sum())
    often = np.diff(np.floor(ends + 0.5), prepend=0).astype(int)
    rows = np.arange(n)
    again = np.repeat(rows, np.maximum(often - 1, 0))
    free = np.flatnonzero(often == 0)
    some = min(len(free), len(again))
    rows[free[:some]] = again[:some]
    return _with_all(rows, m)


def _with_all(rows: np.ndarray, m: np.ndarray) -> np.ndarray:
    """With rows of columns that are seen in others only."""
    empty = np.flatnonzero(~m[rows].any(axis=0) & m.any(axis=0))
    needed = np.unique(m[:, empty].argmax(axis=0))
    rows[: len(needed)] = needed
    return rows


def resample(
    key: Array, m: Array, weights: np.ndarray | None = None
) -> np.ndarray:
    """Rows `[n]` drawn with replacement, each column with an observed cell.

    Args:
      key: PRNG key.
      m: `[n, *dims]` bool, True = observed.
      weights: `[n]`, how likely each row is; None for alike.
    """
    n, m = len(m), np.asarray(m).reshape(len(m), -1)
    for k in range(100):
        one = jax.random.fold_in(key, k)
        if weights is None:
            rows = np.array(jax.random.randint(one, (n,), 0, n, jnp.int32))
        else:
            share = np.cumsum(weights) / weights.sum()
            place = np.asarray(jax.random.uniform(one, (n,)), np.float64)
            rows = np.minimum(np.searchsorted(share, place, "right"), n - 1)
        empty = ~m[rows].any(axis=0) & m.any(axis=0)
        if not empty.any():
            return rows
    # Columns seen in a few rows only: one row of each is put in.
    needed = np.unique(m.argmax(axis=0)[m.any(axis=0)])
    rows[: len(needed)] = needed
    return rows


def iterate(
    key: Array, imputer: Imputer, data: Masked, state: State
) -> Iterator[tuple[State, Info]]:
    """Steps an imputer to its end, from any state, unchecked.

    Args:
      key: PRNG key of the steps.
      imputer: the method.
      data: the table with gaps.
      state: from `imputer.init`, or a saved one. Its buffers may be donated.

    Yields:
      `(State, Info)` after each step.
    """
    while not finished(imputer, state):
        step_key = jax.random.fold_in(key, int(state.iteration))
        state, info = imputer.step(step_key, state, data)
        if imputer.host:  # What it has made there is nobody else's yet.
            state = spread(state, len(data.x))
        yield state, info


def state_like(imputer: Imputer, data: Masked) -> State:
    """Shapes and dtypes of an imputer's state, without fitting.

    A dtype alone stands for an array of any shape, see `Imputer.like`.

    Raises:
      MiriError: if the imputer does not fit the data.
    """
    if imputer.like is not None:
        return imputer.like(data)
    return jax.eval_shape(imputer.init, jax.random.key(0), data)


def finished(imputer: Imputer, state: State) -> bool:
    """Whether a state is its fit's last, by number or by its own judgement."""
    if getattr(state, "done", False):
        return True
    return int(state.iteration) >= imputer.num_iterations


def check_data(data: Masked) -> None:
    """Refuses data that are not as `Masked` says, where a mistake is likely.

    Raises:
      DataError: naming what is wrong and the remedy.
    """
    x, m = data
    if x.shape != m.shape or x.ndim < 2 or not x.size:
        raise DataError(
            f"x has shape {x.shape} and m {m.shape}; give both as [n, *dims],"
            " with a row and a column at least"
        )
    if m.dtype != bool or x.dtype != jnp.float32:
        raise DataError(
            f"x is {x.dtype} and m is {m.dtype}; give float32, and bool that is"
            " True where a value is observed"
        )
    if not _all_finite(x):
        raise DataError(
            "x holds values that are not finite; put 0 where m is False, as"
            " data.transforms.standardise does"
        )


def _steps(
    key: Array,
    imputer: Imputer,
    data: Masked,
    now: Snapshot,
    watch: Watch,
) -> State:
    """Goes on to the end, or to a value that is not finite."""
    step, state, scale = now
    if scale < 1:
        imputer = imputer.slowed(scale)
    chex.assert_equal_shape([state.x, data.x])
    chex.assert_type(state.x, jnp.float32)
    watch.begin(now, imputer)
    steps = iterate(key, imputer, data, state)
    last = finished(imputer, state)
    while not last:
        with watch.stepping():
            state, info = next(steps)
            _check_step(state, info, watch)
        step, last = step + 1, finished(imputer, state)
        watch.step(Snapshot(step, state, scale), info, last=last)
    return state


def _check_step(state: State, info: Info, watch: Watch) -> None:
    """Stops at the first value that is not finite.

    Raises:
      NonFiniteError: with iteration, step and what can be gone back to.
    """
    iteration, kept = int(state.iteration), watch.kept()
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


def _all_finite(x: Array) -> bool:
    """Whether all entries are; NumPy sees what is in the host's memory."""
    if jax.default_backend() == "cpu" and jax.process_count() == 1:
        return bool(np.isfinite(x).all())
    return bool(_all_finite_on_device(x))


@jax.jit
def _all_finite_on_device(x: Array) -> Array:
    return jnp.isfinite(x).all()
