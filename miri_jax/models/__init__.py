"""Networks (flax.linen: init and apply are pure functions)."""

from collections.abc import Mapping
from typing import Any

from miri_jax.exceptions import ConfigError
from miri_jax.models.mlp import ACTIVATIONS, DTYPES, MLP, VelocityMLP
from miri_jax.models.unet import SIZES, UNet, VelocityUNet
from miri_jax.settings import misfit
from miri_jax.types import Array

_FIELDS = {*MLP.__dataclass_fields__, *UNet.__dataclass_fields__}
_FIELDS -= {"parent", "name"}


def velocity_network(
    shape: tuple[int, ...], model: Mapping[str, Any]
) -> VelocityMLP | VelocityUNet:
    """The velocity of a table `[n, d]`, or of images `[n, h, w, c]`.

    Args:
      shape: of the data.
      model: fields of the network.

    Raises:
      ConfigError: if the network has no such field.
    """
    network = VelocityUNet if len(shape) == 4 else VelocityMLP
    _refuse_others(network, model)
    return _make(network, model)


def matched_mlp(model: Mapping[str, Any] | None = None) -> MLP:
    """The network of the methods that miri is compared with.

    One size for all, so that a comparison is of methods (section 6 of the MIRI
    paper).

    Args:
      model: overrides of `MLP`'s fields; those of `UNet` are left out.

    Raises:
      ConfigError: if neither kind has such a field.
    """
    matched = {"width": 128, "depth": 2, "residual": True}
    return _make(MLP, {**matched, **(model or {})})


def matched_network(
    example: Array, model: Mapping[str, Any] | None = None
) -> MLP | UNet:
    """`matched_mlp` for rows; for images the U-Net that miri has.

    Args:
      example: `[d]` or `[h, w, c]`.
      model: see `matched_mlp`.
    """
    if example.ndim == 3:
        _refuse_others(UNet, model or {})
        return _make(UNet, model or {})
    return matched_mlp(model)


def _refuse_others(network: type, model: Mapping[str, Any]) -> None:
    """Refuses the fields that only the other kind of network has."""
    for name in sorted(model.keys() & _FIELDS):
        if name not in network.__dataclass_fields__:
            other = "images" if name in UNet.__dataclass_fields__ else "tables"
            raise ConfigError(
                f"model.{name} is a setting of networks for {other}; leave it"
                " out"
            )


def _make(network: type, model: Mapping[str, Any]) -> Any:
    for name in sorted(model.keys() - _FIELDS):
        known = ", ".join(sorted(_FIELDS))
        raise ConfigError(f"no model setting {name!r}; known: {known}")
    fields = network.__dataclass_fields__
    known = {"size": SIZES, "dtype": DTYPES, "activation": ACTIVATIONS}
    found = {name: value for name, value in model.items() if name in fields}
    for name, value in found.items():
        takes = misfit(value, fields[name].type)
        if name in known and value not in known[name]:
            takes = f"one of {', '.join(known[name])}"
        if takes:
            raise ConfigError(f"model.{name} is {value!r}; use {takes}")
    return network(**found)


__all__ = [
    "MLP",
    "UNet",
    "VelocityMLP",
    "VelocityUNet",
    "matched_mlp",
    "matched_network",
    "velocity_network",
]
