"""What is refused before a fit: settings, and frames of no use."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from miri_jax import belonging
from miri_jax.belonging import BELONG, Stated
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.relations import STATED, Relations, state

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


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """A seed; that of the commands where it is a number."""
    generator = check_random_state(random_state)
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(generator.randint(2**31 - 1))


def together_by(given: Any, names: Sequence[Hashable]) -> Stated | None:
    """The columns by which rows belong together, see `belonging.state`."""
    told = {what: getattr(given, what) for what in BELONG}
    return belonging.state(names, **told)


def stated_by(given: Any, names: Sequence[Hashable]) -> Relations | None:
    """The relations that a `MIRIImputer` was told, see `relations.state`."""
    return state(names, **{what: getattr(given, what) for what in STATED})
