"""What is refused before a fit: settings, and frames of no use."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from miri_jax import belonging
from miri_jax.belonging import BELONG, Stated
from miri_jax.data.related import Related
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.relations import STATED, Relations, state, with_found
from miri_jax.settings import check_seed

UNSEEN = ("error", "missing")
STATISTICS = ("draw", "mean")


def check_settings(given: Any, redraws: Callable[[], bool]) -> None:
    """Refuses settings of a `MIRIImputer` that do not exist or fit.

    Args:
      given: the imputer.
      redraws: whether its method draws again.

    Raises:
      ConfigError: naming the setting and the remedy.
    """
    for name, known in (("statistic", STATISTICS), ("unseen", UNSEEN)):
        value = getattr(given, name)
        if value not in known:
            raise ConfigError(
                f"{name} is {value!r}; use one of {', '.join(known)}"
            )
    count = given.n_imputations
    if not isinstance(count, int | np.integer) or count < 1:
        raise ConfigError(
            f"n_imputations is {count!r}; use a whole number from 1 on"
        )
    if given.bootstrap and not redraws():
        raise ConfigError(
            f"{given.method!r} fills the rows of its fit only, so that fits"
            " to resampled rows do not give imputations of the table; use"
            " bootstrap=False or another method"
        )


def check_frame(frame: pd.DataFrame) -> None:
    """Refuses a frame without cells, or with two columns of one name.

    Raises:
      DataError: naming what is wrong.
    """
    if not len(frame) or not frame.shape[1]:
        raise DataError(
            f"the table has {len(frame)} row(s) and {frame.shape[1]}"
            " column(s); give at least one of each"
        )
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"two columns are named {twice!r}; rename one")


def empty_columns(
    frame: pd.DataFrame,
    gaps: np.ndarray,
    relations: Relations | None,
    empty_value: float | None,
) -> list[Hashable]:
    """Columns without an observed value that get 0 of their type.

    Not those that relations tell of, nor any where a value was chosen for them,
    or where there would be no column left.
    """
    empty = gaps.all(axis=0)
    if empty_value is not None or empty.all():
        return []
    told: set[str] = set()
    if relations is not None:
        told = {*relations.named(), *relations.limited()}
        told |= relations.with_gaps()
    return [
        name
        for name, here in zip(frame.columns, empty)
        if here and str(name) not in told
    ]


def told_empty(names: Sequence[Hashable]) -> tuple[str, ...]:
    """A sentence about such columns; none where there is none."""
    if not names:
        return ()
    shown = ", ".join(map(repr, names[:9]))
    return (
        f"{shown}: no observed value, so that gaps are filled with 0 (as text,"
        " 'missing_value'); choose a number by empty_value, or remove it",
    )


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """A seed; that of the commands where it is a number.

    Raises:
      ConfigError: where it is none, see `check_seed`.
    """
    if isinstance(random_state, int | np.integer):
        check_seed(int(random_state), "random_state")
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def together_by(given: Any, names: Sequence[Hashable]) -> Stated | None:
    """The columns by which rows belong together, see `belonging.state`."""
    told = {what: getattr(given, what) for what in BELONG}
    return belonging.state(names, **told)


def stated_by(
    given: Any, names: Sequence[Hashable], fitted: bool = False
) -> Relations | None:
    """The relations that a `MIRIImputer` was told, see `relations.state`.

    Args:
      given: the imputer.
      names: of the table's columns.
      fitted: whether with those that it found in fitting.
    """
    stated = state(names, **{what: getattr(given, what) for what in STATED})
    return with_found(stated, names, *given.found_) if fitted else stated


def found_in(related: Related | None) -> tuple[list[Any], ...]:
    """What a table shows and nobody stated: formulas and rules, as text.

    And functions of levels, see `relations.Lookup`, as lists.
    """
    if related is None:
        return [], [], []
    relations, found = related.relations, related.relations.found
    return (
        [f.text for f in relations.formulas if f.text in found],
        [rule.text for rule in relations.rules if rule.text in found],
        [list(one) for one in relations.lookups],
    )
