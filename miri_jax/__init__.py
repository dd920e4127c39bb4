"""miri_jax: missing data imputation by mutual information reducing iterations.

    miri_jax.MIRIImputer, pool, overimpute                       # people
    miri_jax.with_imputations, d1, d2, d3,
        pool_correlations, pool_r_squared
    miri_jax.adjust, shift, scale, odds, tipping_point
    miri_jax.plots                                               # notebooks
    miri_jax.make_imputer, fit, draw, IMPUTERS, register         # scripts
    miri_jax.miri, PAPER, FAST, IMAGES, sources, core            # research

All of them are loaded when they are first asked for. `python -m miri_jax.main`
and `miri-impute` are the commands.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

# Where each public name is; "" for a module.
_PLACES = {
    "MIRIImputer": "estimator",
    "overimpute": "estimator",
    "pool": "pooling",
    "with_imputations": "pooling",
    "d1": "pooling",
    "d2": "pooling",
    "d3": "pooling",
    "pool_correlations": "pooling",
    "pool_r_squared": "pooling",
    "adjust": "sensitivity",
    "shift": "sensitivity",
    "scale": "sensitivity",
    "odds": "sensitivity",
    "tipping_point": "sensitivity",
    "make_imputer": "imputers",
    "fit": "engine",
    "draw": "engine",
    "IMPUTERS": "imputers",
    "register": "imputers",
    "miri": "imputers.miri",
    "PAPER": "imputers.miri",
    "FAST": "imputers.miri",
    "IMAGES": "imputers.miri",
    "plots": "",
    "sources": "",
    "core": "",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = _PLACES[name]
    if not place:
        return importlib.import_module(f"{__name__}.{name}")
    module = importlib.import_module(f"{__name__}.{place}")
    found = getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
