"""`--config inpaint`, which works anywhere: see miri_jax/configs/inpaint.py."""

from miri_jax.configs.inpaint import get_config

__all__ = ["get_config"]
