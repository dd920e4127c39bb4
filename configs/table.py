"""`--config table`, which works anywhere: see miri_jax/configs/table.py."""

from miri_jax.configs.table import get_config

__all__ = ["get_config"]
