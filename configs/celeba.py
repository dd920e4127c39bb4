"""`--config celeba`, which works anywhere: see miri_jax/configs/celeba.py."""

from miri_jax.configs.celeba import get_config

__all__ = ["get_config"]
