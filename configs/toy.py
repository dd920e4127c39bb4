"""`--config toy`, which works anywhere: see miri_jax/configs/toy.py."""

from miri_jax.configs.toy import get_config

__all__ = ["get_config"]
