"""Networks (flax.linen: init and apply are pure functions)."""

from collections.abc import Mapping
from typing import Any, TypeVar

from miri_jax.exceptions import ConfigError
from miri_jax.models.mlp import MLP, VelocityMLP
from miri_jax.models.unet import UNet, VelocityUNet
from miri_jax.settings import check, did_you_mean, hints
from miri_jax.types import Array

Network = TypeVar("Network", bound=MLP | UNet)


def network_settings(*networks: type[MLP] | type[UNet]) -> dict[str, Any]:
    """The settings of networks, each with its type hint; of all by default."""
    found: dict[str, Any] = {}
    for network in networks or (MLP, UNet):
        found |= hints(network)
    # Of flax.
    return {k: v for k, v in found.items() if k not in ("parent", "name")}


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
    """`matched_mlp` for rows; for images the network that miri has.

    Args:
      example: `[d]` or `[h, w, c]`.
      model: see `matched_mlp`.
    """
    if example.ndim == 3:
        _refuse_others(UNet, model or {})
        return _make(UNet, model or {})
    return matched_mlp(model)


def _refuse_others(
    network: type[MLP] | type[UNet], model: Mapping[str, Any]
) -> None:
    """Refuses the fields that only the other kind of network has."""
    taken = network_settings(network)
    for name in sorted(model.keys() & network_settings()):
        if name not in taken:
            other = "tables" if issubclass(network, UNet) else "images"
            raise ConfigError(
                f"model.{name} is a setting of networks for {other}; leave it"
                " out"
            )


def _make(network: type[Network], model: Mapping[str, Any]) -> Network:
    """A network with those of the settings that its kind has."""
    known, taken = network_settings(), network_settings(network)
    for name in sorted(model.keys() - known):
        raise ConfigError(
            f"no model setting {name!r}; known: {', '.join(sorted(known))}"
            f"{did_you_mean(name, known)}"
        )
    found = {name: value for name, value in model.items() if name in taken}
    check(network, found, prefix="model.")
    return network(**found)


__all__ = [
    "MLP",
    "UNet",
    "VelocityMLP",
    "VelocityUNet",
    "matched_mlp",
    "matched_network",
    "network_settings",
    "velocity_network",
]
