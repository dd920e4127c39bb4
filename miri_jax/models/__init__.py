"""Networks (flax.linen: init and apply are pure functions)."""

from miri_jax.models.mlp import MLP, VelocityMLP, matched_mlp

__all__ = ["MLP", "VelocityMLP", "matched_mlp"]
