"""Chained equations by trees of scikit-learn, as a source and for a method.

Each column is drawn in turn given all others, levels as levels and numbers on
their own scale. Works on the host, and compiles nothing.
"""

from miri_jax.sources.chained._chains import (
    Growth,
    Kept,
    Plan,
    Table,
    choose,
    draw_rows,
    first_fillings,
    kept_from_plain,
    kept_to_plain,
    sweep_all,
)
from miri_jax.sources.chained._blob import pack, unpack
from miri_jax.sources.chained._numbers import mixed, seeds_of, uniform

__all__ = [
    "Growth",
    "Kept",
    "Plan",
    "Table",
    "choose",
    "draw_rows",
    "first_fillings",
    "kept_from_plain",
    "kept_to_plain",
    "mixed",
    "pack",
    "seeds_of",
    "sweep_all",
    "uniform",
    "unpack",
]
