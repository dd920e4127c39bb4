"""What is about to be done to each column of a table, before it is done."""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from miri_jax.data.columns import starts_of
from miri_jax.data.tables import Table


class Plan(NamedTuple):
    """What a column is taken for, and what becomes of its gaps.

    Attributes:
      name: of the column.
      kind: see `columns.KINDS`.
      why: it is of this kind, in words.
      other: the kind to call it, where it is in doubt; "" for none.
      gaps: how many of its cells are missing.
      drawn: how many of these a method fills.
      given: how many follow from what was stated.
      kept: how many stay empty for certain.
      some_kept: whether some of those drawn may stay empty.
    """

    name: Hashable
    kind: str
    why: str
    other: str
    gaps: int
    drawn: int
    given: int
    kept: int
    some_kept: bool

    def told(self, method: str) -> str:
        """How its gaps are filled, in words."""
        by = {
            f"by {method}": self.drawn,
            "by arithmetic": self.given,
            "kept empty": self.kept,
        }
        parts = {how: count for how, count in by.items() if count}
        if len(parts) == 1:
            text = next(iter(parts))
        else:
            text = ", ".join(f"{n} {how}" for how, n in parts.items())
        return f"{text}, or empty" if self.some_kept else text


def plans_of(table: Table) -> list[Plan]:
    """What is about to be done to each column of a table."""
    starts, related = starts_of(table.columns), table.related
    keep, only_if = set(), {}
    if related is not None:
        keep = set(related.relations.keep)
        only_if = dict(related.relations.only_if)
    found = []
    for j, column in enumerate(table.columns):
        gaps = int(table.missing[:, j].sum())
        kept = gaps if column.kind == "id" or str(column.name) in keep else 0
        given = 0
        if column.width and not kept:
            known = table.m[:, starts[j]] & table.missing[:, j]
            given = int(np.sum(known))
        found.append(
            Plan(
                column.name,
                column.kind,
                column.why,
                column.other,
                gaps,
                gaps - kept - given,
                given,
                kept,
                bool(gaps) and str(column.name) in only_if,
            )
        )
    return found
