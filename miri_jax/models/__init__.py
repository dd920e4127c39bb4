"""Velocity networks (flax.linen: init and apply are pure functions)."""

from miri_jax.models.mlp import VelocityMLP

__all__ = ["VelocityMLP"]
