"""The mathematics, in JAX only: masks, pairs, flows, ODE, SGD, rows.

Nothing here imports pandas, ml_collections or scikit-learn. A module is loaded
when it is first asked for: what is not trained needs no optax.
"""

import importlib
from typing import Any

__all__ = [
    "flow",
    "masks",
    "ode",
    "pairs",
    "parallel",
    "rows",
    "statistics",
    "train",
]


def __getattr__(name: str) -> Any:
    """A module, loaded when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
