"""What relations make of a table that is filled: see `data.related`."""

from collections.abc import Sequence

import numpy as np

from miri_jax.data.columns import Column, values_of
from miri_jax.data.formulas import by_name_of, env_of
from miri_jax.data.mending import Values
from miri_jax.data.related import (
    Related,
    completed,
    held,
)


def finished(
    related: Related | None,
    parts: Sequence[tuple[Column, np.ndarray]],
    missing: np.ndarray,
) -> tuple[np.ndarray, Values]:
    """What stays empty of a filled table, and what relations make of it.

    Args:
      related: of the table; None for no relations.
      parts: c columns, each with its part of encoded, filled values.
      missing: `[n, c]` bool.

    Returns:
      `[n, c]` bool, and the values `[n]` of columns that relations name.
    """
    kept = np.array([column.kind == "id" for column, _ in parts], bool)
    empty = missing & kept
    if related is None:
        return empty, {}
    drawn = values_in(related, parts)
    found = completed(related, [column for column, _ in parts], drawn)
    for j, (column, _) in enumerate(parts):
        name = str(column.name)
        if name in related.relations.keep:
            empty[:, j] = missing[:, j]
        elif name in found.empty:
            empty[:, j] = found.empty[name]
    return empty, found.values


def values_in(
    related: Related, parts: Sequence[tuple[Column, np.ndarray]]
) -> Values:
    """Values `[n]` of the columns that relations name.

    Args:
      related: of the table.
      parts: each column and its part of encoded values.
    """
    return {
        str(column.name): values_of(column, block)
        for column, block in parts
        if str(column.name) in related.known
    }


def broken_in(
    related: Related, columns: Sequence[Column], drawn: Values
) -> list[tuple[str, int]]:
    """Relations that were found and a draw breaks, and in how many rows.

    Args:
      related: of the table.
      columns: c.
      drawn: `[n]` of each column that relations name.
    """
    by_name, relations = by_name_of(columns), related.relations
    env = env_of(by_name, completed(related, columns, drawn).values)
    texts = [one.text for one in (*relations.formulas, *relations.rules)]
    rows = [
        (said, int((holds == 0).sum()))
        for text, (said, holds) in zip(
            texts, held(by_name, relations, env, related.known)
        )
        if text in relations.found
    ]
    return [(said, count) for said, count in rows if count]
