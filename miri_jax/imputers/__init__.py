"""The registry of imputation methods: one file a method, one entry here."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from miri_jax.exceptions import ConfigError
from miri_jax.imputers._registry import Factory, Methods
from miri_jax.settings import check, did_you_mean, refuse_unclear

# For hints only: the names of methods are asked for before JAX is loaded.
if TYPE_CHECKING:
    from miri_jax.types import Imputer, Layout

# From names to factories; those of other packages come in by entry points of
# the group `miri_jax.imputers`, and by `register`.
IMPUTERS = Methods(
    {
        "miri": "miri:make_miri",
        "miri_paper": "miri:make_miri_paper",
        "chained": "chained:make_chained",
        "gaussian": "gaussian:make_gaussian",
        "mean": "simple:make_mean",
        "median": "simple:make_median",
        "missdiff": "missdiff:make_missdiff",
        "diffputer": "diffputer:make_diffputer",
        "tabcsdi": "tabcsdi:make_tabcsdi",
        "gain": "gain:make_gain",
        "knewimp": "knewimp:make_knewimp",
    }
)


def register(name: str, factory: Factory) -> None:
    """Makes a method known to `make_imputer`, the estimator and configs.

    It is known to this process. A package makes its methods known to all, and
    to runs that are started again, by entry points:

        [project.entry-points."miri_jax.imputers"]
        hot_deck = "my_package.my_module:make_hot_deck"

    Args:
      name: of the method.
      factory: takes settings as keywords, with type hints that `settings.check`
        reads, and returns an imputer, see `types.Imputer`.

    Raises:
      ConfigError: if another factory has the name, or a setting is not
        keyword-only or has no type hint.
    """
    refuse_unclear(factory)
    if IMPUTERS.is_taken(name, factory):
        raise ConfigError(
            f"a method {name!r} already exists; register under another name,"
            f" or first `del IMPUTERS[{name!r}]`"
        )
    IMPUTERS[name] = factory


def check_method(name: str) -> None:
    """Refuses a name that no method has, without loading one.

    Raises:
      ConfigError: naming those that are known.
    """
    if name not in IMPUTERS:
        raise ConfigError(
            f"no method {name!r}{did_you_mean(name, IMPUTERS)} (known:"
            f" {', '.join(IMPUTERS)})"
        )


def make_imputer(
    name: str, *, layout: "Layout | None" = None, **settings: Any
) -> "Imputer":
    """Builds a registered method.

    Args:
      name: a key of `IMPUTERS`.
      layout: what stands behind the numbers of the table, for methods that
        ask; None where nothing is known.
      **settings: keyword arguments of its factory; what is left out keeps the
        method's own default.

    Raises:
      ConfigError: if the method, or a setting of it, does not exist, or its
        value is of another type or outside its range.
    """
    return from_settings(name, settings, layout)


def settings_of(name: Any) -> set[str]:
    """What the settings of a method are called; none if there is no such."""
    known = IMPUTERS.get(name) if isinstance(name, str) else None
    if known is None:
        return set()
    return set(inspect.signature(known).parameters) - {"layout"}


def from_settings(
    name: str, settings: Mapping[str, Any], layout: "Layout | None" = None
) -> "Imputer":
    """`make_imputer` for settings of users, of which none is `layout`."""
    check_method(name)
    factory = IMPUTERS[name]
    check(factory, settings, f"method {name!r}")
    known = inspect.signature(factory).parameters
    behind = {"layout": layout} if "layout" in known else {}
    imputer = factory(**settings, **behind)
    if imputer.slowed is not None or "learning_rate" not in known:
        return imputer
    rate = settings.get("learning_rate", known["learning_rate"].default)
    return imputer._replace(
        slowed=lambda scale: from_settings(
            name, {**settings, "learning_rate": scale * rate}, layout
        )
    )


__all__ = [
    "IMPUTERS",
    "check_method",
    "from_settings",
    "make_imputer",
    "register",
    "settings_of",
]
