"""What if gaps are not at random: filled cells changed on purpose.

Imputation holds what is missing to be like what is observed, given the rest of
the row (missing at random). How far a conclusion rests on that is seen by
changing the filled cells by a stated amount, and looking when it tips.

    shift, scale, odds   # what is to be changed
    adjust               # imputed tables, changed
    tipping_point        # a pooled estimate over a range of changes

docs/statistics.md says when to use what.
"""

from miri_jax.sensitivity._changes import (
    Change,
    Changes,
    odds,
    parse_changes,
    scale,
    shift,
)
from miri_jax.sensitivity._tables import TableDraws, adjust, adjust_draws
from miri_jax.sensitivity._tipping import TippingPoint, tipping_point

__all__ = [
    "Change",
    "Changes",
    "TableDraws",
    "TippingPoint",
    "adjust",
    "adjust_draws",
    "odds",
    "parse_changes",
    "scale",
    "shift",
    "tipping_point",
]
