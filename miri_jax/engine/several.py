"""Several imputations of one table, and the fits that they come from.

Rubin's rules ask that imputations differ by what the fit does not know as well
as by chance (proper imputation: Rubin, 1987, chapter 4). Draws of one fit do
not: intervals from them are too short. So each draw has a fit of its own to
rows drawn with replacement; or, where a method has a cheaper way to the same
end, what `Imputer.several` gives, as chained equations with a bootstrap sample
for each chain.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from miri_jax.engine.drawing import draw, draws
from miri_jax.engine.fitting import Keys, Watch, fit_many
from miri_jax.exceptions import ConfigError
from miri_jax.notes import Note
from miri_jax.types import Array, Imputer, Masked, Region, State

ONE_FIT = Note(
    "all draws are of one fit: what that does not know is missing from their"
    " spread, and intervals pooled from them are too short",
    "beware",
)
SAME_ROWS = Note(
    "this method has one draw a fit, and its fits differ by chance alone:"
    " intervals pooled from them are too short",
    "beware",
)


class Several(NamedTuple):
    """How a number of draws come about.

    Attributes:
      imputer: what is fitted.
      draws: how many are wanted.
      fits: to the table itself.
      resampled: further fits, each to rows drawn with replacement.
      caveat: why the draws may not be pooled, a sentence; "" where they may.
    """

    imputer: Imputer
    draws: int
    fits: int
    resampled: int
    caveat: str


def several(imputer: Imputer, count: int, *, proper: bool) -> Several:
    """The fits that `count` draws are to come from.

    Args:
      imputer: the method.
      count: of draws.
      proper: whether they are to be pooled. A method that does not redraw has
        as many fits as draws in any case, which differ by chance alone.
    """
    if not imputer.redraws:
        return Several(imputer, count, count, 0, SAME_ROWS)
    if imputer.several is not None:
        caveat = "" if proper else ONE_FIT
        return Several(imputer.several(count, proper), count, 1, 0, caveat)
    if not proper:
        return Several(imputer, count, 1, 0, ONE_FIT)
    return Several(imputer, count, 1, count, "")


def fit_several(
    keys: Keys,
    how: Several,
    data: Masked,
    *,
    weights: np.ndarray | None = None,
    watches: Iterator[Watch] | None = None,
    **options: int,
) -> Iterator[State]:
    """All fits, those to the table itself first.

    Args:
      keys: see `seed_keys`.
      how: see `several`.
      data: the table with gaps.
      weights: `[n]`, how much each row counts; None for alike.
      watches: what looks on, one for each fit.
      **options: see `fit_many`.

    Yields:
      `how.fits + how.resampled` final states.

    Raises:
      ConfigError: if rows have weights, and the method fills its fit's only.
    """
    if weights is not None and not how.imputer.redraws:
        raise ConfigError(
            "this method fills the rows of its fit only, which are drawn by"
            " their weights; leave the weights out, or use another method",
            about=("weights",),
        )
    options = dict(options, watches=watches, weights=weights)
    yield from fit_many(keys.fit, how.imputer, data, how.fits, **options)
    if how.resampled:
        key_fit, key_rows = jax.random.split(keys.resample)
        yield from fit_many(
            key_fit,
            how.imputer,
            data,
            how.resampled,
            bootstrap=key_rows,
            **options,
        )


def draw_several(
    key: Array,
    how: Several,
    states: Sequence[State],
    data: Masked,
    count: int | None = None,
    *,
    bounds: Region | None = None,
) -> Iterator[np.ndarray]:
    """Draws of any rows, see `drawing.draws`.

    Args:
      key: PRNG key of the set.
      how: see `several`.
      states: from `fit_several`.
      data: the rows.
      count: how many; None for `how.draws`.
      bounds: see `drawing.draw`.

    Raises:
      ConfigError: if that are more than `several` was told of, but of one fit
        that any number of draws may be taken from.
    """
    count = how.draws if count is None else count
    if count > how.draws and how.caveat != ONE_FIT:
        raise ConfigError(
            f"{count} imputations are wanted and {how.draws} were fitted;"
            f" fit with n_imputations={count}"
        )
    if how.fits + how.resampled == 1:
        yield from draws(
            key, how.imputer, states[0], data, count, bounds=bounds
        )
        return
    states = states[-how.draws :]  # behind that of the table itself, if any
    for one, state in zip(jax.random.split(key, count), states):
        yield draw(one, how.imputer, state, data, bounds=bounds)
