"""Chained equations by trees of scikit-learn, as a source and for a method.

Each column is drawn in turn given all others, levels as levels and numbers on
their own scale. Works on the host, and compiles nothing.
"""

from miri_jax.sources.chained._conditional import (
    Table,
    odds,
)
from miri_jax.sources.chained._numbers import seeds_of_rows
from miri_jax.sources.chained._source import (
    PLAN,
    Chains,
    Growth,
    Plan,
    advance,
    begin,
    begin_normal,
    chained,
    draw_of_set,
    flat,
    layout_for,
    of_set,
    pack_chains,
    reaches_out,
    run,
    seeds_of_set,
    start_of,
    table_of,
    to_rows,
    unpack_chains,
    words_of,
)

__all__ = [
    "PLAN",
    "Chains",
    "Growth",
    "Plan",
    "Table",
    "advance",
    "begin",
    "begin_normal",
    "chained",
    "draw_of_set",
    "flat",
    "layout_for",
    "odds",
    "of_set",
    "pack_chains",
    "reaches_out",
    "run",
    "seeds_of_rows",
    "seeds_of_set",
    "start_of",
    "table_of",
    "to_rows",
    "unpack_chains",
    "words_of",
]
