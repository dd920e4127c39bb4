"""One answer from several imputations.

An analysis is run on each of m imputed tables; here its m answers become one,
whose uncertainty counts what the gaps leave unknown (Rubin, 1987).

    pool, with_imputations             # estimates, by Rubin's rules
    d1, d2, d3                         # tests of several parameters at once
    pool_r_squared, pool_correlations  # by way of Fisher's z

They give what the R package mice gives for the same numbers, and take fitted
models as they come: what statsmodels and others call `params`, `cov_params()`,
`bse` and `df_resid` is found by its name.
"""

from miri_jax.pooling._fisher import (
    FisherPooled,
    pool_correlations,
    pool_r_squared,
)
from miri_jax.pooling._joint import JointTest, d1, d2, d3
from miri_jax.pooling._rubin import (
    Pooled,
    barnard_rubin,
    pool,
    with_imputations,
)

__all__ = [
    "FisherPooled",
    "JointTest",
    "Pooled",
    "barnard_rubin",
    "d1",
    "d2",
    "d3",
    "pool",
    "pool_correlations",
    "pool_r_squared",
    "with_imputations",
]
