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
from typing import TYPE_CHECKING, Any

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

# Type checkers and editors run nothing, so that they are told once more.
if TYPE_CHECKING:
    from miri_jax import core as core
    from miri_jax import plots as plots
    from miri_jax import sources as sources
    from miri_jax.engine import draw as draw
    from miri_jax.engine import fit as fit
    from miri_jax.estimator import MIRIImputer as MIRIImputer
    from miri_jax.estimator import overimpute as overimpute
    from miri_jax.imputers import IMPUTERS as IMPUTERS
    from miri_jax.imputers import make_imputer as make_imputer
    from miri_jax.imputers import register as register
    from miri_jax.imputers.miri import FAST as FAST
    from miri_jax.imputers.miri import IMAGES as IMAGES
    from miri_jax.imputers.miri import PAPER as PAPER
    from miri_jax.imputers.miri import miri as miri
    from miri_jax.pooling import d1 as d1
    from miri_jax.pooling import d2 as d2
    from miri_jax.pooling import d3 as d3
    from miri_jax.pooling import pool as pool
    from miri_jax.pooling import pool_correlations as pool_correlations
    from miri_jax.pooling import pool_r_squared as pool_r_squared
    from miri_jax.pooling import with_imputations as with_imputations
    from miri_jax.sensitivity import adjust as adjust
    from miri_jax.sensitivity import odds as odds
    from miri_jax.sensitivity import scale as scale
    from miri_jax.sensitivity import shift as shift
    from miri_jax.sensitivity import tipping_point as tipping_point


def _load(name: str) -> Any:
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


# A type checker that saw it would take any name for a public one.
if not TYPE_CHECKING:
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
