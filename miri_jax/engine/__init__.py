"""The one path of every imputation: `fit`, then `draw`.

    keys = seed_keys(0)
    state = fit(keys.fit, imputer, data)
    x = draw(keys.draw, imputer, state, data)

Scripts, both commands and the estimator come through here, so that all of them
give the same values for the same seed and table.
"""

from miri_jax.engine.drawing import draw, draws, is_of_fit
from miri_jax.engine.fitting import (
    Keys,
    Snapshot,
    Watch,
    check_data,
    finished,
    fit,
    fit_many,
    iterate,
    resample,
    seed_keys,
    state_like,
)
from miri_jax.engine.overimputing import (
    CHECK,
    Overimputation,
    overimpute,
)
from miri_jax.engine.refitting import column_imputer

__all__ = [
    "CHECK",
    "Keys",
    "Overimputation",
    "Snapshot",
    "Watch",
    "check_data",
    "column_imputer",
    "draw",
    "draws",
    "finished",
    "fit",
    "fit_many",
    "is_of_fit",
    "iterate",
    "overimpute",
    "resample",
    "seed_keys",
    "state_like",
]
