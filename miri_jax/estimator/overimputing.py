"""Overimputation of a table by an estimator's method and settings."""

from typing import Any

import jax
import pandas as pd
from sklearn.base import clone

from miri_jax import engine
from miri_jax.engine.overimputing import DRAWS
from miri_jax.estimator.checks import seed_of
from miri_jax.estimator.imputer import MIRIImputer


def overimpute(
    imputer: MIRIImputer,
    X: Any,
    *,
    share: float | None = None,
    draws: int = DRAWS,
    folds: int = 1,
) -> pd.DataFrame:
    """How well an imputer fills known cells of a table, without the truth.

    Known cells are hidden as gaps are, the imputer's method is fitted to the
    rest, and draws are compared with what was hidden; see `engine.overimpute`.
    Takes `folds` fits. The imputer stays as it is, fitted or not.

    Args:
      imputer: method and settings.
      X: `[n, c]` array or frame with gaps.
      share: about that share of the rows loses cells; None for a fifth, of few
        rows more.
      draws: of each cell, from 2 on.
      folds: how often cells are chosen, and fitted without, anew.

    Returns:
      A row for each column with gaps, with the fields of
      `metrics.overimputation.Check`: those that are not of its kind are NaN.

    Raises:
      ConfigError: where the method does not draw again, or a number is wrong.
      DataError: where there is nothing to hide, or the table is refused.
    """
    own = clone(imputer)
    _, dataset = own._read(X)
    layout = dataset.layout()
    keys = engine.seed_keys(seed_of(imputer.random_state))
    found = engine.overimpute(
        jax.random.fold_in(keys.measure, engine.CHECK),
        own._make(layout),
        dataset.masked(),
        layout=layout,
        bounds=dataset.bounds(),
        weights=dataset.weights(),
        share=share,
        draws=draws,
        folds=folds,
    )
    rows = [one._asdict() for one in found.columns.values()]
    frame = pd.DataFrame(rows, index=pd.Index(found.columns, name="column"))
    return (
        frame.drop(columns="ranks")
        .astype(float)
        .assign(cells=frame["cells"], ranks=frame["ranks"])[frame.columns]
    )
