"""The vocabulary: the named tuples that the modules hand to each other.

Convention everywhere: `m` is True where a value is OBSERVED (the MIRI paper's
M; the DiffPuter papers use the opposite).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = jax.Array
PyTree = Any


class Masked(NamedTuple):
    """A table or image bank with gaps, as every imputer receives it.

    Attributes:
      x: `[n, *dims]` float32, 0 where missing; columns standardised with the
        observed mean and deviation. Never NaN.
      m: `[n, *dims]` bool, True where observed.
    """

    x: Array
    m: Array


class Bounds(NamedTuple):
    """`[*dims]` each: what the entries of a column lie between."""

    low: Array
    high: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Draw:
    """Which one of a set of draws is meant.

    Attributes:
      index: int32 scalar in [0, count).
      count: size of the set.
    """

    index: Array
    count: int = dataclasses.field(metadata={"static": True})


class Cond(NamedTuple):
    """What the velocity is conditioned on besides x_tau and tau (eq. 6).

    Attributes:
      x0_m: `[*dims]`, m0 * x0.
      x1_m: `[*dims]`, m0 * x1.
      m0: `[*dims]` bool, True where observed.
      mean: `[*dims]`, what the source expects given the observed entries, where
        it knows; else None.
    """

    x0_m: Array
    x1_m: Array
    m0: Array
    mean: Array | None = None


# Turns standard normal noise [k, *dims] and k rows [k, *dims] that share a mask
# [*dims] into a start Z0 and its mean given the observed entries, [k, *dims]
# each; the mean is None where the base has none.
Base = Callable[[Array, Array, Array], tuple[Array, Array | None]]


class FlowBatch(NamedTuple):
    """One batch of rectified-flow regression targets (Algorithm 1, lines 5-8).

    Attributes:
      tau: `[b]`, uniform on (0, 1).
      x_tau: `[b, *dims]`, (1 - tau) x0 + tau x1.
      target: `[b, *dims]`, x1 - x0.
      weight: `[b, *dims]`, >= 0: weight of each coordinate in the loss.
      cond: `Cond` with a leading `[b]`.
    """

    tau: Array
    x_tau: Array
    target: Array
    weight: Array
    cond: Cond


class Imputer(NamedTuple):
    """The one interface of every method: pure functions and a count.

    A `State` is a NamedTuple that holds what the next step needs. Two of its
    fields are public: `iteration` (int32 scalar, finished OUTER iterations) and
    `x` (`[n, *dims]`, the filled table X(iteration), observed entries
    untouched). A fit that may end before `num_iterations` has a third, `done`
    (bool scalar). `Info` is a dict of arrays that are only logged; any
    non-finite value in it stops a run.

    Attributes:
      init: `(key, data: Masked) -> State`.
      step: `(key, state, data) -> (State, Info)`. One outer iteration, or one
        of its `num_slices` equal parts where the method has slices; the key is
        the iteration's and the same for all its parts. The old state's buffers
        may be donated.
      impute: `(key, state, data, draw=None) -> x [n, *dims]`, a fresh draw for
        any rows, also rows never seen in fitting. With the same key and
        `Draw(0, K) ... Draw(K - 1, K)`, a set of K draws: each is distributed
        as a single one, and methods may spread them, see `imputers.draws`.
      num_iterations: outer iterations after which the fit is complete.
      sample: `(key, state, shape) -> x`, only where a method generates rows.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    impute: Callable[..., Array]
    num_iterations: int
    sample: Callable[..., Array] | None = None
