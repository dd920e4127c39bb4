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
    seed_key,
    seed_keys,
    state_like,
    weighted_rows,
)
from miri_jax.engine.overimputing import (
    CHECK,
    Overimputation,
    overimpute,
)
from miri_jax.engine.refitting import column_imputer
from miri_jax.engine.several import (
    Several,
    draw_several,
    fit_several,
    several,
)

__all__ = [
    "CHECK",
    "Keys",
    "Overimputation",
    "Several",
    "Snapshot",
    "Watch",
    "check_data",
    "column_imputer",
    "draw",
    "draw_several",
    "draws",
    "finished",
    "fit",
    "fit_many",
    "fit_several",
    "is_of_fit",
    "iterate",
    "overimpute",
    "resample",
    "seed_key",
    "seed_keys",
    "several",
    "state_like",
    "weighted_rows",
]
