"""Where a flow starts on the missing entries: functions that make a `Source`.

previous     the previous imputation: Algorithm 1 as printed
noise        N(0, 1)
gaussian     a draw of the conditional Gaussian fitted to the table
biharmonic   of images: a smooth filling, with noise as large as its errors
"""

from miri_jax.sources._source import (
    DrawSource,
    FitSource,
    Source,
    by_mask,
    fill,
)
from miri_jax.sources.normal import gaussian
from miri_jax.sources.plain import first_filling, noise, previous
from miri_jax.sources.smooth import biharmonic

__all__ = [
    "DrawSource",
    "FitSource",
    "Source",
    "biharmonic",
    "by_mask",
    "fill",
    "first_filling",
    "gaussian",
    "noise",
    "previous",
]
