"""Draws from a fitted imputer: finite, within bounds, X(T) where it must be."""

import functools
from collections.abc import Callable, Iterator

import chex
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from miri_jax.core.parallel import spread, to_host
from miri_jax.core.rows import padded
from miri_jax.core.truncated import truncated_normal
from miri_jax.engine.fitting import check_data
from miri_jax.exceptions import ConfigError, NonFiniteError
from miri_jax.types import Array, Draw, Imputer, Masked, Region, State

# Rounds in which cells outside their bounds are drawn again, and how many tries
# of a row are in the first of them; every second round has twice as many.
ROUNDS, FIRST_TRIES = 10, 4
# Share of the rows to be drawn again from which on those that no draw brings
# right say that what was stated is at odds with the method.
HOPELESS = 0.5


def draw(
    key: Array,
    imputer: Imputer,
    state: State,
    data: Masked,
    *,
    bounds: Region | None = None,
) -> np.ndarray:
    """One imputation of any rows, those of the fit or others.

    The rows of a fit whose imputer does not redraw get X(T).

    Args:
      key: PRNG key.
      imputer: the method.
      state: its fit.
      data: the rows with gaps.
      bounds: where imputed entries have to be; None for anywhere.

    Returns:
      `[n, *dims]` float32 on the host, finite; observed entries are those of
      `data`, bit for bit.

    Raises:
      DataError: if the data are not as `Masked` says, or hardly any draw keeps
        what was stated of them.
      NonFiniteError: if the draw is not finite.
    """
    (x,) = draws(key, imputer, state, data, 1, bounds=bounds)
    return x


def draws(
    key: Array,
    imputer: Imputer,
    state: State,
    data: Masked,
    count: int,
    *,
    bounds: Region | None = None,
    spread_out: bool = True,
) -> Iterator[np.ndarray]:
    """Several imputations from one fit, one at a time.

    Each is a fresh draw of the missing entries given the observed ones. Those
    of methods that start from noise are spread out by Latin hypercube sampling
    (`rows.normal_noise`): their mean over a few draws is then nearly that over
    many, while the variance between draws comes out larger by a factor of up to
    count / (count - 1) than between independent ones.

    Args:
      key: PRNG key of the set.
      imputer: the method.
      state: its fit.
      data: the rows, those of the fit or others.
      count: how many draws.
      bounds: see `draw`.
      spread_out: False for independent draws, the first of them `draw`'s.

    Yields:
      `[n, *dims]`, `count` times, as `draw` gives one.

    Raises:
      ConfigError: where an imputer that does not redraw is asked for several.
      DataError: if the data are not as `Masked` says.
      NonFiniteError: if a draw is not finite.
    """
    check_data(data)
    if count > 1 and not imputer.redraws:
        raise ConfigError(
            "this method has one imputation a fit, X(T); for several, fit it"
            " several times (`fit_many`), or use a method that draws again"
        )
    fixed = not imputer.redraws and is_of_fit(state, data)
    asked, n = padded(data), len(data.x)
    key_first = jax.random.fold_in(key, 0)
    for k in range(count):
        which = None
        if count > 1:
            which = Draw(np.int32(k), count, spread_out)
        if fixed:
            x = to_host(state.x)
        else:
            # The same key on purpose: the draws of a set share its noise.
            one = jax.random.fold_in(key_first, 0 if spread_out else k)
            x = to_host(imputer.impute(one, state, asked, which))
        if bounds is not None:
            some = data if fixed else asked
            again = functools.partial(_key_again, key, k)
            x = _bounded(again, imputer, state, some, x, bounds, which)
        x = x[:n]
        chex.assert_shape(x, data.x.shape)
        if not np.isfinite(x).all():
            raise NonFiniteError(
                "a draw is not finite; fit again with a smaller learning_rate,"
                " or look for extreme values"
            )
        yield x


@jax.jit
def _agree(one: Array, other: Array, m: Array) -> Array:
    return jnp.all(jnp.where(m, one == other, True))


def is_of_fit(state: State, data: Masked) -> bool:
    """Whether rows are those that a state has filled, in their order."""
    same = state.x.shape == data.x.shape
    return same and bool(_agree(state.x, data.x, data.m))


def _key_again(key: Array, draw: int, turn: int) -> Array:
    """The key of a round in which cells of a draw are drawn again."""
    for number in (1, draw, turn):
        key = jax.random.fold_in(key, number)
    return key


def _bounded(
    key_of: Callable[[int], Array],
    imputer: Imputer,
    state: State,
    data: Masked,
    x: np.ndarray,
    bounds: Region,
    which: Draw | None,
) -> np.ndarray:
    """Brings imputed entries to where they are to be, given the rest.

    Those beyond the end of a tail are brought to it. The entries of a row that
    lie outside, or belong to a relation that the row breaks, are drawn again
    given all else of it, observed and imputed, several times at once, until a
    draw lies inside: one of their conditional distribution truncated there.
    What `ROUNDS` rounds do not bring inside, and what an imputer that does not
    redraw leaves outside, goes to the nearest value inside; where rows have
    limits of their own, to a draw of the normal distribution of its tries,
    truncated there, so that no heap is at a limit. A row has the same tries
    wherever it stands, as `rows.row_names` has it.

    Raises:
      DataError: where relations stay broken, or hardly any draw keeps them.
    """
    gaps = ~to_host(data.m)
    x = _within_tails(bounds, np.array(x), gaps)
    own_limits = np.ndim(bounds.low) == x.ndim
    low, high = (_by_row(bound, x) for bound in bounds[:2])

    def broken(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        # Those behind the table have no gaps.
        found = np.zeros(x.shape, bool)
        if bounds.broken is not None and len(rows):
            some = gaps[rows].reshape(len(rows), -1).any(axis=1)
            found[some] = bounds.broken(x[some], rows[some])
        return found

    def wrong(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        outside = (x < low[rows]) | (x > high[rows])
        return gaps[rows] & (outside | broken(x, rows))

    outside = wrong(x, np.arange(len(x)))
    needed = int(outside.reshape(len(x), -1).any(axis=1).sum())
    tried, right, varied = 0, 0, False
    of_tries = np.zeros((3, *x.shape) if own_limits else 0)
    for k in range(ROUNDS if imputer.redraws else 0):
        rows = np.flatnonzero(outside.reshape(len(x), -1).any(axis=1))
        if not rows.size:
            return x
        tries, key_k = FIRST_TRIES << k // 2, key_of(k)
        size = max(len(x), tries)
        for call, some in _calls(x[rows], outside[rows], size // tries):
            some = rows[some]
            each = np.repeat(some, tries)
            asked = _asked(x[each], outside[each], size)
            key_call = jax.random.fold_in(key_k, call)
            found = to_host(imputer.impute(key_call, state, asked, which))
            found = _within_tails(bounds, found[: len(each)], gaps[each])
            varied |= bool(np.any(found != x[each], where=outside[each]))
            inside = ~wrong(found, each) & outside[each]
            found, inside = (
                part.reshape(len(some), tries, *x.shape[1:])
                for part in (found, inside)
            )
            if own_limits:
                first, mean = found[:, 0], found.mean(axis=1)
                of_tries[:, some] = first, mean, found.std(axis=1)
            all_right = (inside == outside[some][:, None]).reshape(
                len(some), tries, -1
            )
            tried += len(each)
            right += int(all_right.all(axis=2).sum())
            best = np.arange(len(some)), _first_best(inside)
            x[some] = np.where(inside[best], found[best], x[some])
            outside[some] = wrong(x[some], some)
    low, high = (np.asarray(bound, x.dtype) for bound in (low, high))
    inside = np.clip(x, low, high)
    if own_limits and varied:
        inside = _truncated(of_tries, inside, low, high)
    x = np.where(outside, inside, x)
    if bounds.broken is None:
        return x
    rows = np.flatnonzero(broken(x, np.arange(len(x))).any(axis=1))
    hopeless = varied and len(rows) > HOPELESS * needed
    if len(rows) and not hopeless:
        x[rows] = bounds.mend(x[rows], rows)
        rows = rows[broken(x[rows], rows).any(axis=1)]
    if len(rows):
        bounds.refuse(x[rows], rows, right / max(tried, 1))
    return x


def _within_tails(
    bounds: Region, x: np.ndarray, gaps: np.ndarray
) -> np.ndarray:
    """Entries `[n, *dims]`, gaps beyond the ends of tails brought to them."""
    if bounds.tails is None:
        return x
    low, high = (np.asarray(end, x.dtype) for end in bounds.tails)
    return np.where(gaps, np.clip(x, low, high), x)


def _truncated(
    of_tries: np.ndarray, nearest: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Entries `[n, *dims]` within limits, where their tries differ.

    Args:
      of_tries: `[3, n, *dims]`, the first try, and mean and deviation of all:
        of those the quantile of the first is a uniform number.
      nearest: `[n, *dims]`, what lies at the limits, for tries of one value.
      low: `[n, *dims]` and
      high: the limits.
    """
    first, mean, spread = of_tries
    u = ndtr((first - mean) / np.where(spread > 0, spread, 1))
    found = truncated_normal(u, mean, spread, low, high)
    return np.where(spread > 0, found, nearest).astype(nearest.dtype)


def _by_row(bound: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A bound of each row `[n, *dims]`; those behind the table are full."""
    bound = np.asarray(bound)
    if bound.ndim == x.ndim and len(bound) < len(x):
        behind = ((0, len(x) - len(bound)), *((0, 0),) * (x.ndim - 1))
        bound = np.pad(bound, behind)
    return np.broadcast_to(bound, x.shape)


def _first_best(inside: np.ndarray) -> np.ndarray:
    """Of each row the first try with the most entries inside, `[r]`.

    Args:
      inside: `[r, tries, *dims]`.
    """
    count = inside.reshape(*inside.shape[:2], -1).sum(axis=2)
    return count.argmax(axis=1)


def _calls(
    x: np.ndarray, outside: np.ndarray, most: int
) -> Iterator[tuple[int, np.ndarray]]:
    """What the key of each call is folded with, and which rows are in it.

    A key gives equal rows different noise within a call, not in two: the first
    of equals go by one key, in as many calls as it takes, the others by one a
    call.

    Args:
      x: `[r, *dims]`.
      outside: `[r, *dims]` bool, what is not observed for these calls.
      most: how many rows fit into one.
    """
    rest = np.where(outside, 0, x) + np.float32(0)  # -0.0 is 0.0
    content = np.stack([rest, outside], axis=1).reshape(len(x), -1)
    _, first = np.unique(content, axis=0, return_index=True)
    first.sort()
    others = np.setdiff1d(np.arange(len(x)), first)
    for begin in range(0, len(first), most):
        yield 0, first[begin : begin + most]
    for begin in range(0, len(others), most):
        yield 1 + begin // most, others[begin : begin + most]


def _asked(x: np.ndarray, gaps: np.ndarray, size: int) -> Masked:
    """Rows with gaps, and rows without behind them up to `size`."""
    behind = ((0, size - len(x)), *((0, 0),) * (x.ndim - 1))
    parts = np.pad(np.where(gaps, 0, x), behind), ~np.pad(gaps, behind)
    return Masked(*(spread(jax.device_put(part), size) for part in parts))
