"""Standardisation of columns by their observed entries, and back."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from miri_jax.types import Masked


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
    count = np.maximum(m.sum(axis=0), 1)
    # By the largest magnitude first, so that squares neither over- nor
    # underflow.
    largest = np.max(np.abs(np.where(m, values, 0.0)), axis=0, initial=0.0)
    unit = np.where(largest > 0, largest, 1.0)
    shares = np.where(m, values, 0.0) / unit
    mean = shares.sum(axis=0) / count
    centred = np.where(m, shares - mean, 0.0)
    deviation = np.sqrt(np.sum(centred**2, axis=0) / count)
    # Below this, the spread is rounding error and the column is constant.
    constant = deviation <= 1e-12
    return Scaler(mean * unit, np.where(constant, 1.0, deviation) * unit)


def standardise(values: np.ndarray, m: np.ndarray, scaler: Scaler) -> Masked:
    """The table as imputers take it: float32, standardised, 0 in the gaps."""
    z = np.where(m, values, 0.0)
    z -= scaler.mean
    z /= scaler.deviation
    z = np.where(m, z, 0.0).astype(np.float32)
    return Masked(jnp.asarray(z), jnp.asarray(m))


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
    largest = np.finfo(np.float64).max
    return np.clip(raw, -largest, largest, out=raw)
