"""Configs by name, which a command looks up before anything heavy loads."""

import pathlib

from miri_jax.exceptions import ConfigError
from miri_jax.settings import did_you_mean

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


def path_of(config: str) -> str:
    """The file that a config's name stands for.

    Args:
      config: "NAME" or "NAME:ARG" of a file in miri_jax/configs, or a file,
        "PATH.py:ARG", which comes back as it is. "configs/NAME.py" is such a
        file in a clone, and elsewhere means NAME.

    Raises:
      ConfigError: if it is neither.
    """
    name, colon, arg = config.partition(":")
    known = sorted(path.stem for path in CONFIGS.glob("[a-z]*.py"))
    path = pathlib.Path(name)
    shipped = path.parent.name == "configs" and path.suffix == ".py"
    if shipped and path.stem in known and not path.exists():
        name = path.stem
    if name in known:
        return f"{CONFIGS / name}.py{colon}{arg}"
    if name.isidentifier() and not pathlib.Path(name).exists():
        raise ConfigError(
            f"no config {name!r}{did_you_mean(name, known)} (known:"
            f" {', '.join(known)}; or give a file)"
        )
    return config
