"""How good an imputation is, with the truth (errors, MMD) and without (MI)."""

from miri_jax.metrics.errors import errors
from miri_jax.metrics.mmd import median_distance, mmd
from miri_jax.metrics.mutual_information import (
    estimate_mutual_information,
    mutual_information,
)

__all__ = [
    "errors",
    "estimate_mutual_information",
    "median_distance",
    "mmd",
    "mutual_information",
]
