"""Networks (flax.linen: init and apply are pure functions)."""

from collections.abc import Mapping
from typing import Any

from miri_jax.models.mlp import MLP, VelocityMLP, matched_mlp
from miri_jax.models.unet import UNet, VelocityUNet


def velocity_network(
    shape: tuple[int, ...], model: Mapping[str, Any]
) -> VelocityMLP | VelocityUNet:
    """The velocity of a table `[n, d]`, or of images `[n, h, w, c]`.

    Args:
      shape: of the data.
      model: fields of the network; those of the other kind are left out.
    """
    network = VelocityUNet if len(shape) == 4 else VelocityMLP
    fields = network.__dataclass_fields__
    return network(**{k: v for k, v in model.items() if k in fields})


__all__ = [
    "MLP",
    "UNet",
    "VelocityMLP",
    "VelocityUNet",
    "matched_mlp",
    "velocity_network",
]
