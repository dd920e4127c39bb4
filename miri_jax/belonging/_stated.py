"""Which columns say that rows belong together, and their checks."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from miri_jax.exceptions import DataError
from miri_jax.settings import no_column

# The arguments of `state`, as people know them.
BELONG = ("group", "time", "weights")


class Stated(NamedTuple):
    """Names of columns as text; None for none.

    Attributes:
      group: its equal cells make a group.
      time: numbers or times that order rows.
      weights: how much each row counts.
    """

    group: str | None = None
    time: str | None = None
    weights: str | None = None


def state(
    names: Sequence[Hashable],
    *,
    group: Hashable | None = None,
    time: Hashable | None = None,
    weights: Hashable | None = None,
) -> Stated | None:
    """The columns that say that rows belong together.

    Args:
      names: of the table's columns.
      group: the name of one; None or "" for none.
      time: likewise.
      weights: likewise.

    Returns:
      What was stated; None where that is nothing.

    Raises:
      DataError: naming a column that is not there, or is named twice.
    """
    known, found = [str(name) for name in names], {}
    for what, name in (("group", group), ("time", time), ("weights", weights)):
        if name is None or name == "":
            continue
        if str(name) not in known:
            raise DataError(no_column(what, str(name), known), about=(what,))
        if str(name) in found.values():
            raise DataError(
                f"column {str(name)!r} is named twice, as {what} too; it can"
                " be one of group, time and weights",
                about=(what,),
            )
        found[what] = str(name)
    return Stated(**found) if found else None
