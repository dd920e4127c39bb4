"""The mathematics, in JAX only: masks, pairs, flows, ODE, SGD, rows.

Nothing here imports pandas, ml_collections or scikit-learn.
"""

from miri_jax.core import (
    flow,
    masks,
    ode,
    pairs,
    parallel,
    rows,
    statistics,
    train,
)

__all__ = [
    "flow",
    "masks",
    "ode",
    "pairs",
    "parallel",
    "rows",
    "statistics",
    "train",
]
