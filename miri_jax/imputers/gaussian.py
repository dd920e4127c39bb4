"""Draws from the conditional Gaussian fitted to the incomplete table."""

import functools
import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.parallel import to_host
from miri_jax.core.programs import compiled
from miri_jax.sources.likely import (
    SHRINKAGE,
    Normal,
    Problem,
    advance,
    ended,
    problem_of,
)
from miri_jax.sources.normal import Gaussian, draw_rows, filled, to_device
from miri_jax.types import Array, Draw, ImputeFn, Imputer, Info, Masked


class GaussianSettings(NamedTuple):
    """See `make_gaussian`."""

    num_iterations: int
    shrinkage: float
    chunk: int


class GaussianState(NamedTuple):
    """See `types.State`.

    Attributes:
      iteration: int32 scalar.
      x: `[n, *dims]`.
      done: bool scalar, whether the fit has converged.
      gaussian: over flattened rows.
      fit: uint8 `[8 (1 + d + d^2)]`, the float64 numbers that the fit goes on
        from: its log likelihood, mean and covariance.
    """

    iteration: Array
    x: Array
    done: Array
    gaussian: Gaussian
    fit: Array


def init(settings: GaussianSettings, key: Array, data: Masked) -> GaussianState:
    """Draws from the moments of pairs that are observed together."""
    problem = _problem(settings, data)
    return _state(settings, key, data, problem, problem.start, 0, -np.inf)


def step(
    settings: GaussianSettings, key: Array, state: GaussianState, data: Masked
) -> tuple[GaussianState, Info]:
    """Some rounds of EM, see `sources.likely.advance`, and a draw."""
    problem, k = _problem(settings, data), int(state.iteration)
    d = len(problem.shift)
    numbers = np.frombuffer(to_host(state.fit).tobytes(), np.float64)
    before, mean, cov = np.split(numbers, [1, 1 + d])
    fit, value = advance(problem, Normal(mean, cov.reshape(d, d)), k)
    done = ended(problem, k, before[0], value)
    state = _state(settings, key, data, problem, fit, k + 1, value, done)
    return state, {"log_likelihood": np.float32(value / max(problem.n, 1))}


def _problem(settings: GaussianSettings, data: Masked) -> Problem:
    x, m = (to_host(part).reshape(len(part), -1) for part in data)
    return problem_of(x, m, settings.shrinkage)


def _state(
    settings: GaussianSettings,
    key: Array,
    data: Masked,
    problem: Problem,
    fit: Normal,
    iteration: int,
    value: float,
    done: bool = False,
) -> GaussianState:
    gaussian = to_device(problem.in_units(fit))
    numbers = np.concatenate([[value], fit.mean, fit.cov.ravel()])
    return GaussianState(
        np.asarray(iteration, np.int32),
        filled(key, data, gaussian, settings.chunk),
        np.asarray(done),
        gaussian,
        numbers.view(np.uint8),
    )


def impute(
    settings: GaussianSettings,
    key: Array,
    state: GaussianState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A draw of the missing entries given the observed ones."""
    return draw_rows(key, data, state.gaussian, settings.chunk, draw)


@functools.lru_cache(maxsize=8)
def _impute_program(settings: GaussianSettings) -> ImputeFn:
    return compiled(partial(impute, settings))


def _like(data: Masked) -> GaussianState:
    d, of = math.prod(data.x.shape[1:]), jax.ShapeDtypeStruct
    return GaussianState(
        of((), jnp.int32),
        of(data.x.shape, jnp.float32),
        of((), bool),
        Gaussian(*(of(s, jnp.float32) for s in ((d,), (d, d), (d, d)))),
        of((8 * (1 + d + d**2),), jnp.uint8),
    )


def make_gaussian(
    *,
    num_iterations: int = 60,
    shrinkage: float = SHRINKAGE,
    chunk: int = 4096,
) -> Imputer:
    """Draws from the conditional Gaussian fitted to the incomplete table.

    The fit is on the host, see `sources.likely.problem_of`, also for what holds
    of large and of wide tables; draws are programs.

    Args:
      num_iterations: steps of the fit, each some rounds of EM, at most; it ends
        when a step hardly raises the log likelihood, see `likely.TOLERANCE`.
      shrinkage: strength of the shrinkage of weak correlations, which matters
        where rows are few; 0 for the distribution of most likelihood.
      chunk: rows drawn at a time.
    """
    settings = GaussianSettings(num_iterations, shrinkage, chunk)
    return Imputer(
        init=partial(init, settings),
        step=partial(step, settings),
        impute=_impute_program(settings),
        num_iterations=num_iterations,
        host=True,
        like=_like,
    )
