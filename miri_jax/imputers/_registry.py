"""Factories by name: those of miri_jax, of other packages, registered ones."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from miri_jax.exceptions import ConfigError, first_line
from miri_jax.settings import refuse_unclear

if TYPE_CHECKING:
    from miri_jax.types import Imputer

# The entry points by which other packages name their methods.
GROUP = "miri_jax.imputers"

# Takes keyword settings with type hints, see `settings.check`.
Factory = Callable[..., "Imputer"]


class Methods(MutableMapping[str, Factory]):
    """A mapping from names to factories, which are imported when looked up.

    Other packages are looked for once, when it is first looked into. They do
    not replace what miri_jax has.
    """

    def __init__(self, own: Mapping[str, str]):
        """Starts with the methods of miri_jax.

        Args:
          own: from names to "MODULE:FACTORY" in `miri_jax.imputers`.
        """
        # Where a factory is, until it is looked up; from two places where two
        # packages take the same name.
        self._found: dict[str, Factory | tuple[EntryPoint, ...]] = {
            name: (EntryPoint(name, f"miri_jax.imputers.{place}", GROUP),)
            for name, place in own.items()
        }
        self._own, self._complete = frozenset(own), False

    def _all(self) -> dict[str, Factory | tuple[EntryPoint, ...]]:
        if not self._complete:
            self._complete = True
            for entry in entry_points(group=GROUP):
                here = self._found.get(entry.name, ())
                if entry.name in self._own or callable(here):
                    continue
                if entry.value not in [other.value for other in here]:
                    self._found[entry.name] = (*here, entry)
        return self._found

    def __getitem__(self, name: str) -> Factory:
        """The factory of that name.

        Raises:
          KeyError: if the name is unknown.
          ConfigError: if another package's cannot be imported or used.
        """
        found = self._all()[name]
        if isinstance(found, tuple):
            found = self._found[name] = _load(*found)
        return found

    def __setitem__(self, name: str, factory: Factory) -> None:
        self._all()[name] = factory

    def __delitem__(self, name: str) -> None:
        del self._all()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._all()  # without importing it

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"<methods: {', '.join(self)}>"

    def is_taken(self, name: str, factory: Factory) -> bool:
        """Whether another factory has the name."""
        found = self._all().get(name)
        if not isinstance(found, tuple):
            return found not in (None, factory)
        # Not imported: a package may register what its entry point names.
        place = (
            f"{getattr(factory, '__module__', '')}:"
            f"{getattr(factory, '__qualname__', '')}"
        )
        return any(entry.value != place for entry in found)


def _load(entry: EntryPoint, *others: EntryPoint) -> Factory:
    if entry.dist is None:  # of miri_jax
        return entry.load()
    if others:
        packages = [other.dist.name for other in (entry, *others)]
        raise ConfigError(
            f"method {entry.name!r} is of several packages:"
            f" {', '.join(packages)}; uninstall all but one"
        )
    where = f"method {entry.name!r} of the package {entry.dist.name}"
    try:
        factory = entry.load()
    except Exception as error:
        raise ConfigError(
            f"{where} cannot be imported from {entry.value}:"
            f" {first_line(error)}; mend or uninstall the package"
        ) from error
    try:
        refuse_unclear(factory)
    except ConfigError as error:
        raise ConfigError(f"{where} cannot be used: {error}") from error
    return factory
