"""The vocabulary: the named tuples that the modules hand to each other.

Convention everywhere: `m` is True where a value is OBSERVED (the MIRI paper's
M; the DiffPuter papers use the opposite).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

Array = jax.Array
PyTree = Any
Info = dict[str, Array]


class Masked(NamedTuple):
    """A table or image bank with gaps, as every imputer receives it.

    Attributes:
      x: `[n, *dims]` float32, 0 where missing; columns standardised with the
        observed mean and deviation. Never NaN.
      m: `[n, *dims]` bool, True where observed.
    """

    x: Array
    m: Array


class Layout(Protocol):
    """What stands behind the d numbers that imputers see of c columns.

    Methods that treat levels as levels, and numbers on their own scale, ask it;
    to all others a table is its numbers.

    Attributes:
      names: of the c columns, as people know them.
      levels: how many levels each column has; 0 for numbers, and for levels
        in an order, whose ranks count as numbers.
      units: what the numbers of each column are whole multiples of; 0 where
        that is nothing.
      told: of each of the d numbers which other one is what rows like it tell
        of it, -1 for none; empty where rows are taken one by one.
      censored: numbers of columns whose gaps are known to lie beyond a limit. A
        fit finds them filled (`data.censored`), and draws them all the same.
    """

    names: tuple[Any, ...]
    levels: tuple[int, ...]
    units: tuple[float, ...]
    told: tuple[int, ...]
    censored: tuple[int, ...]

    def owners(self, width: int) -> np.ndarray:
        """Of each of d = `width` numbers the column it belongs to, `[d]`."""

    def observed(self, m: np.ndarray) -> np.ndarray:
        """`[k, c]`: each column's first entry of `[k, d]`, as of a mask."""

    def unpack(self, x: np.ndarray) -> np.ndarray:
        """`[k, c]` float64: numbers on their own scale, and ranks of levels.

        Args:
          x: `[k, d]` float32, standardised.
        """

    def pack(self, values: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The inverse of `unpack`, `[k, d]` float32.

        Args:
          values: `[k, c]` float64.
          place: `[k, c]` in (0, 1): where in its width the score of a value
            lies that many cells share.
        """

    def settle(self, column: int, values: np.ndarray) -> np.ndarray:
        """The numbers `[k]` nearest to some that the column can hold."""

    def take(self, columns: Sequence[int]) -> "Layout":
        """That of some of the c columns, in the order given."""


class Bounds(NamedTuple):
    """`[*dims]` each: what the entries of a column lie between."""

    low: Array
    high: Array


class Region(NamedTuple):
    """Where imputed entries are to be, on the scale of the data.

    Attributes:
      low: `[*dims]`, or `[n, *dims]` for each row its own, and
      high: likewise: what entries lie between.
      broken: of some rows `[k, *dims]` and their numbers `[k]`, which entries
        belong to a relation that the row breaks, bool; None for no relations.
      mend: the rows nearest to such ones that keep all relations, where they
        are found, else the same; with `broken`.
      refuse: raises what is to be said of rows that no draw brought right,
        given these two and the share of draws that were; with `broken`.
      tails: least and largest, `[*dims]` each: what is drawn further out is
        brought there, and not drawn again; None for no ends.
    """

    low: np.ndarray
    high: np.ndarray
    broken: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    mend: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    refuse: Callable[[np.ndarray, np.ndarray, float], None] | None = None
    tails: tuple[np.ndarray, np.ndarray] | None = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Draw:
    """Which one of a set of draws is meant.

    Attributes:
      index: int32 scalar in [0, count).
      count: size of the set.
      spread: whether the noise of the set is spread out over its draws, see
        `rows.normal_noise`.
    """

    index: Array
    count: int = dataclasses.field(metadata={"static": True})
    spread: bool = dataclasses.field(default=True, metadata={"static": True})


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


class State(Protocol):
    """What the next step of a method needs: a NamedTuple with these fields.

    A fit that may end before `Imputer.num_iterations` has a third public one,
    `done` (bool scalar).

    Attributes:
      iteration: int32 scalar, finished OUTER iterations.
      x: `[n, *dims]` float32, the filled table X(iteration), observed entries
        untouched.
    """

    iteration: Array
    x: Array


class InitFn(Protocol):
    """The state before the first iteration."""

    def __call__(self, key: Array, data: Masked) -> Any:
        """From a PRNG key and the rows with gaps."""


class StepFn(Protocol):
    """One outer iteration, or one of its equal parts.

    The key is the iteration's and the same for all its parts. The old state's
    buffers may be donated. `Info` is only logged; any value in it that is not
    finite stops a fit.
    """

    def __call__(
        self, key: Array, state: Any, data: Masked
    ) -> tuple[Any, Info]:
        """The state after it, and what is logged of it."""


class ImputeFn(Protocol):
    """A fresh draw `[n, *dims]` for any rows, also rows never seen in fitting.

    With the same key and `Draw(0, K) ... Draw(K - 1, K)`, a set of K draws:
    each is distributed as a single one, and methods may spread them, see
    `engine.draws`.
    """

    def __call__(
        self, key: Array, state: Any, data: Masked, draw: Draw | None = None
    ) -> Array:
        """Observed entries are those of `data`, bit for bit."""


class SampleFn(Protocol):
    """Whole rows, where a method generates."""

    def __call__(self, key: Array, state: Any, shape: tuple[int, ...]) -> Array:
        """Rows of a `shape` (k, *dims), standardised."""


class Imputer(NamedTuple):
    """The one interface of every method: pure functions over a state.

    Attributes:
      init: see `InitFn`.
      step: see `StepFn`.
      impute: see `ImputeFn`.
      num_iterations: outer iterations after which the fit is complete.
      sample: see `SampleFn`, only where a method generates rows.
      redraws: whether `impute` draws the rows of the fit again as well as the
        fit did. Where it is False, X(T) is the fit's one imputation.
      slowed: the same imputer with its learning rate times a factor, for a fit
        that diverged; None where there is no learning rate.
      host: whether parts of it work on the host, so that no function of it can
        be traced or compiled as a whole.
      like: of an imputer on the host, what its state for some data looks like
        without fitting: as `jax.eval_shape` gives it, with a dtype in place of
        an array whose shape is known only after a fit.
      chosen: what a fit has chosen for each column of the table, in words and
        numbers that JSON can hold; None where there is nothing to choose.
      several: the same imputer for as many draws from one fit as it is told,
        and no more; told True, so that they may be pooled, see
        `engine.several`. None where each of those takes a fit of its own.
      at_end: what the last step does besides, in words, where that takes longer
        than a step; "" for nothing.
    """

    init: InitFn
    step: StepFn
    impute: ImputeFn
    num_iterations: int
    sample: SampleFn | None = None
    redraws: bool = True
    slowed: Callable[[float], "Imputer"] | None = None
    host: bool = False
    like: Callable[[Masked], Any] | None = None
    chosen: Callable[[Any], list[dict[str, Any]]] | None = None
    several: Callable[[int, bool], "Imputer"] | None = None
    at_end: str = ""
