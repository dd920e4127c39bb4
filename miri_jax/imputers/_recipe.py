"""A MIRI imputer as a tuple of functions, and the state of its fit.

imputer = miri(FAST._replace(source=sources.noise()))
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from miri_jax.core import pairs, propensity, train
from miri_jax.core.ode import Velocity
from miri_jax.imputers import _early_stopping
from miri_jax.models import VelocityMLP, VelocityUNet
from miri_jax.sources import Source
from miri_jax.types import (
    Array,
    PyTree,
)

ALL_ROWS = sys.maxsize


class MakeNetwork(Protocol):
    """Makes the velocity's network."""

    def __call__(
        self, shape: tuple[int, ...], zero_output: bool, params: PyTree = None
    ) -> VelocityMLP | VelocityUNet:
        """For a table of `shape` (n, d), or images (n, h, w, c).

        Where a fit has `params` already, its own network: the rows that are
        drawn may be more than those it was learnt from.
        """


class Solve(Protocol):
    """Solves an ODE from tau = 0 to 1 for one example, see `core.ode`."""

    def __call__(self, velocity: Velocity, z0: Array, args: PyTree) -> Array:
        """The state `[*dims]` at tau = 1."""


class SGD(NamedTuple):
    """How a network learns within an iteration.

    Attributes:
      num_steps: SGD steps N on a table of a shape (n, *dims).
      batch_size: pairs B in each.
      learning_rate: of Adam, on a cosine to 0 over the network's life.
      ema_decay: of the average of weights that draws come from; 0 for none.
      num_slices: parts that an iteration is cut into, between which a fit can
        be saved; must divide the steps.
    """

    num_steps: Callable[[tuple[int, ...]], int]
    batch_size: int
    learning_rate: float
    ema_decay: float
    num_slices: int = 1


class Memory(NamedTuple):
    """What an iteration leaves to the next.

    Attributes:
      network: whether one network lives on through all iterations, or each has
        a fresh one (Algorithm 1, line 3).
      velocities: whether the parameters of every iteration are kept, for new
        rows of a fit whose source is the previous imputation.
    """

    network: bool
    velocities: bool


class Recipe(NamedTuple):
    """A MIRI imputer, as functions.

    Attributes:
      source: where the flow starts on the missing entries.
      pairs: rows and masks of (x0, m0) and x1: `pairs.of_table` beside the
        source "previous", else `pairs.of_source` or one like it.
      reuse: how often a pair is used, at other times tau, where pairs are drawn
        ahead of an iteration; 1 draws new ones for each SGD step, and with a
        source on the host as many ahead. Of images it is not looked at.
      weight: of coordinates in the loss of eq. 6: `pairs.everywhere` or
        `pairs.where_moved`.
      propensity: learns from a filled table and its mask how likely entries are
        observed, anew in each iteration, by which targets are weighted; None
        for alike.
      network: the velocity.
      sgd: how it learns.
      memory: what lives on.
      stop: when a fit ends early; None for never.
      solve: the ODE's solver, as `partial(ode.euler, num_steps=100)`.
      max_rows: rows that one iteration learns from and moves; a larger table
        takes turns, and all its rows move after the last. `ALL_ROWS` for all.
      num_iterations: outer iterations T.
      chunk: rows of the ODE solved at a time.
    """

    source: Source
    pairs: pairs.Choose
    reuse: int
    weight: pairs.Weight
    propensity: propensity.Fit | None
    network: MakeNetwork
    sgd: SGD
    memory: Memory
    stop: _early_stopping.Stop | None
    solve: Solve
    max_rows: int
    num_iterations: int
    chunk: int


class MIRIState(NamedTuple):
    """See `types.State`.

    Attributes:
      iteration: int32 scalar, finished outer iterations t.
      x: `[n, *dims]`, X(t).
      done: bool scalar, whether the fit is complete.
      slice: int32 scalar, finished slices of the iteration under way.
      train: the network under way, see `train.TrainState`.
      order: `[n]`, the rows in random order, for tables of more than
        `max_rows` rows; else ().
      kept: velocity parameters of every iteration, stacked `[T, ...]`, where
        they are kept; else ().
      start: of the source.
      propensity: of entries to be observed, where targets are weighted by it;
        else ().
      held_out: where the fit may stop early; else ().
    """

    iteration: Array
    x: Array
    done: Array
    slice: Array
    train: train.TrainState
    order: Any
    kept: PyTree
    start: PyTree
    propensity: Any
    held_out: Any
