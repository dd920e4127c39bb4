"""How good an imputation is, with the truth (errors, MMD) and without (MI)."""

from miri_jax.metrics.errors import errors
from miri_jax.metrics.mmd import median_distance, mmd
from miri_jax.metrics.mutual_information import mutual_information

__all__ = ["errors", "median_distance", "mmd", "mutual_information"]
