"""`--config uci`, which works anywhere: see miri_jax/configs/uci.py."""

from miri_jax.configs.uci import get_config

__all__ = ["get_config"]
