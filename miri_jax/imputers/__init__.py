"""The registry of imputation methods: one file a method, one entry here."""

import difflib
import inspect
from typing import Any

from miri_jax.exceptions import ConfigError
from miri_jax.imputers.gaussian import make_gaussian
from miri_jax.imputers.miri import make_miri, make_miri_paper
from miri_jax.imputers.simple import make_mean, make_median
from miri_jax.types import Imputer

IMPUTERS = {
    "miri": make_miri,
    "miri_paper": make_miri_paper,
    "gaussian": make_gaussian,
    "mean": make_mean,
    "median": make_median,
}


def make_imputer(name: str, **settings: Any) -> Imputer:
    """Builds a registered method.

    Args:
      name: a key of `IMPUTERS`.
      **settings: keyword arguments of its factory; what is left out keeps the
        method's own default.

    Raises:
      ConfigError: if the method, or a setting of it, does not exist.
    """
    if name not in IMPUTERS:
        near = difflib.get_close_matches(name, IMPUTERS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"no method {name!r}; {hint}known: {', '.join(IMPUTERS)}"
        )
    factory = IMPUTERS[name]
    known = inspect.signature(factory).parameters
    unknown = [key for key in settings if key not in known]
    if unknown:
        takes = ", ".join(known) or "no settings"
        raise ConfigError(
            f"method {name!r} has no setting {unknown[0]!r}; it takes {takes}"
        )
    return factory(**settings)


__all__ = ["IMPUTERS", "make_imputer"]
