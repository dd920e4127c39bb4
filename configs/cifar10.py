"""`--config cifar10`, which works anywhere: see miri_jax/configs/cifar10.py."""

from miri_jax.configs.cifar10 import get_config

__all__ = ["get_config"]
