"""Relations between columns that users state, in a small safe grammar.

    stated = state(names, formulas=["gross = net + tax"], below={"crp": 0.25})

docs/structure.md says what they do. How they become cells is
`miri_jax.data.related`'s.
"""

from miri_jax.relations._grammar import (
    COMPARISONS,
    Call,
    Expression,
    Text,
    names_in,
    parse,
)
from miri_jax.relations._stated import (
    STATED,
    Condition,
    Formula,
    Lookup,
    Relations,
    state,
    with_found,
    with_kinds,
)
from miri_jax.relations._values import DAY, Kind, evaluate, resolved, solve

__all__ = [
    "COMPARISONS",
    "DAY",
    "STATED",
    "Call",
    "Condition",
    "Expression",
    "Formula",
    "Kind",
    "Lookup",
    "Relations",
    "Text",
    "evaluate",
    "names_in",
    "parse",
    "resolved",
    "solve",
    "state",
    "with_found",
    "with_kinds",
]
