"""Standardisation of columns by their observed entries, and back."""

from typing import NamedTuple

import jax
import numpy as np

from miri_jax.types import Masked

LARGEST = np.finfo(np.float64).max


class Scaler(NamedTuple):
    """Location and scale of each column, float64 `[d]`, scale > 0."""

    mean: np.ndarray
    deviation: np.ndarray


def fit_scaler(values: np.ndarray, m: np.ndarray) -> Scaler:
    """Mean and deviation of the observed entries of each column.

    Args:
      values: `[n, d]` float64, finite where observed.
      m: `[n, d]` bool, True = observed.

    Returns:
      The `Scaler`; deviation 1 where a column is constant, mean 0 and deviation
      1 where it has no observed entry.
    """
    found = np.empty((2, values.shape[1]))
    # Column by column, as tables may be gigabytes.
    for j in range(values.shape[1]):
        unit, mean, deviation = _moments(values[m[:, j], j])
        found[:, j] = mean * unit, (deviation or 1.0) * unit
    return Scaler(*found)


def is_constant(observed: np.ndarray) -> bool:
    """Whether numbers `[n]` differ by no more than rounding."""
    return _moments(observed)[2] == 0


def _moments(observed: np.ndarray) -> tuple[float, float, float]:
    """Unit, and mean and deviation in it; 0 where that is but rounding.

    The unit is the largest magnitude, so that squares neither over- nor
    underflow.
    """
    unit = np.max(np.abs(observed), initial=0.0) or 1.0
    shares = observed / unit
    mean = shares.sum() / max(len(shares), 1)
    deviation = np.sqrt(np.sum((shares - mean) ** 2) / max(len(shares), 1))
    return unit, mean, deviation if deviation > 1e-12 else 0.0


def standardise(values: np.ndarray, m: np.ndarray, scaler: Scaler) -> Masked:
    """The table as imputers take it, on the device, see `scaled`."""
    # `jnp.asarray` would be a program for each shape.
    return Masked(*jax.device_put((scaled(values, m, scaler), m)))


def scaled(values: np.ndarray, m: np.ndarray, scaler: Scaler) -> np.ndarray:
    """`[n, d]` float32: the values standardised, 0 in the gaps.

    Args:
      values: `[n, d]` float64, finite where observed.
      m: `[n, d]` bool, True = observed.
      scaler: of the columns.
    """
    z = np.where(m, values, 0.0)
    with np.errstate(over="ignore"):
        z -= scaler.mean
    # Where a column spans more than float64, by halves.
    far = np.nonzero(np.isinf(z))
    mean, deviation = (part[far[-1]] / 2 for part in scaler)
    z /= scaler.deviation
    z[far] = (values[far] / 2 - mean) / deviation
    z[~m] = 0
    return z.astype(np.float32)


def restore(
    x: np.ndarray, values: np.ndarray, m: np.ndarray, scaler: Scaler
) -> np.ndarray:
    """A filled table on the raw scale, observed entries as they came.

    Args:
      x: `[n, d]`, filled, standardised.
      values: `[n, d]` float64, raw; read where observed only.
      m: `[n, d]` bool, True = observed.
      scaler: the one that standardised it.

    Returns:
      `[n, d]` float64.
    """
    raw = unscale(x, scaler)
    np.copyto(raw, values, where=m)
    return raw


def unscale(x: np.ndarray, scaler: Scaler) -> np.ndarray:
    """Standardised numbers `[n, d]` on the raw scale, float64 and finite."""
    # In place, as tables may be gigabytes.
    with np.errstate(over="ignore"):
        raw = np.multiply(x, scaler.deviation, dtype=np.float64)
        raw += scaler.mean
        far = np.nonzero(np.isinf(raw))
        mean, deviation = (part[far[-1]] / 2 for part in scaler)
        half = np.asarray(x, np.float64)[far] * deviation + mean
    raw[far] = 2 * np.clip(half, -LARGEST / 2, LARGEST / 2)
    return raw
