"""Libraries that only some files, and images, need."""

import importlib
from typing import Any

from miri_jax.exceptions import DataError


def needed(module: str, extra: str, path: str) -> Any:
    """A module of an extra of this package.

    Args:
      module: its name.
      extra: of the package, that has it.
      path: the file, or the work, that takes it.

    Raises:
      DataError: with the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise DataError(
            f"{path} takes {module}, which is not installed: pip install"
            f" 'miri_jax[{extra}]'"
        ) from None
