"""What a command is about to do to each column, as lines for its reader."""

import shlex
from collections.abc import Mapping, Sequence

from miri_jax.data.plans import Plan

# Longer names are cut.
WIDEST = 24


def lines_of(
    plans: Sequence[Plan], method: str, flags_of: Mapping[str, str]
) -> list[str]:
    """A header, and a line for each column.

    Args:
      plans: of the columns.
      method: that fills what is drawn.
      flags_of: how the command is given a kind.
    """
    rows = [("column", "taken for", "gaps", "filled", "because")]
    for plan in plans:
        name, why = str(plan.name), plan.why
        if plan.other in flags_of:
            name = shlex.quote(name)
            why += f" (else {flags_of[plan.other]} {name})"
        rows.append(
            (
                _cut(str(plan.name)),
                plan.kind,
                str(plan.gaps),
                plan.told(method) if plan.gaps else "",
                why,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(
            cell.rjust(width) if k == 2 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def _cut(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= WIDEST else name[: WIDEST - 3] + "..."
