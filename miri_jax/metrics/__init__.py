"""How good an imputation is, with the truth and without.

With: errors, MMD. Without: the mutual information of filled table and mask.
"""

from miri_jax.metrics.conditional_mi import estimate_conditional_mi
from miri_jax.metrics.errors import errors
from miri_jax.metrics.mmd import median_distance, mmd
from miri_jax.metrics.mutual_information import (
    estimate_mutual_information,
    mutual_information,
)

__all__ = [
    "errors",
    "estimate_conditional_mi",
    "estimate_mutual_information",
    "median_distance",
    "mmd",
    "mutual_information",
]
