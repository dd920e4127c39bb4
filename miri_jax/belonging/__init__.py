"""Rows that belong together: of a group, in time, and how much each counts.

    stated = state(names, group="person", time="visit", weights="w")

docs/structure.md says what they do. How they become cells is
`miri_jax.data.belonging`'s.
"""

from miri_jax.belonging._constants import constant_by, filled_by
from miri_jax.belonging._neighbours import (
    Process,
    Rows,
    Told,
    away,
    choose,
    tell,
)
from miri_jax.belonging._resembling import by_itself, panel_of
from miri_jax.belonging._stated import BELONG, Stated, state

__all__ = [
    "BELONG",
    "Process",
    "Rows",
    "Stated",
    "Told",
    "away",
    "by_itself",
    "choose",
    "constant_by",
    "filled_by",
    "panel_of",
    "state",
    "tell",
]
