"""The registry of imputation methods: one file a method, one entry here."""

import inspect
from typing import Any

from miri_jax.exceptions import ConfigError
from miri_jax.imputers.diffputer import make_diffputer
from miri_jax.imputers.gain import make_gain
from miri_jax.imputers.gaussian import make_gaussian
from miri_jax.imputers.knewimp import make_knewimp
from miri_jax.imputers.miri import make_miri, make_miri_paper
from miri_jax.imputers.missdiff import make_missdiff
from miri_jax.imputers.simple import make_mean, make_median
from miri_jax.imputers.tabcsdi import make_tabcsdi
from miri_jax.settings import check, did_you_mean
from miri_jax.types import Imputer

IMPUTERS = {
    "miri": make_miri,
    "miri_paper": make_miri_paper,
    "gaussian": make_gaussian,
    "mean": make_mean,
    "median": make_median,
    "missdiff": make_missdiff,
    "diffputer": make_diffputer,
    "tabcsdi": make_tabcsdi,
    "gain": make_gain,
    "knewimp": make_knewimp,
}


def make_imputer(name: str, **settings: Any) -> Imputer:
    """Builds a registered method.

    Args:
      name: a key of `IMPUTERS`.
      **settings: keyword arguments of its factory; what is left out keeps the
        method's own default.

    Raises:
      ConfigError: if the method, or a setting of it, does not exist, or its
        value is of another type or outside its range.
    """
    if name not in IMPUTERS:
        raise ConfigError(
            f"no method {name!r}{did_you_mean(name, IMPUTERS)} (known:"
            f" {', '.join(IMPUTERS)})"
        )
    factory = IMPUTERS[name]
    check(factory, settings, f"method {name!r}")
    imputer = factory(**settings)
    known = inspect.signature(factory).parameters
    if imputer.slowed is not None or "learning_rate" not in known:
        return imputer
    rate = settings.get("learning_rate", known["learning_rate"].default)
    return imputer._replace(
        slowed=lambda scale: make_imputer(
            name, **{**settings, "learning_rate": scale * rate}
        )
    )


__all__ = ["IMPUTERS", "make_imputer"]
