"""The registry of imputation methods: one file a method, one entry here."""

import difflib
import inspect
from collections.abc import Iterator
from typing import Any

import jax

from miri_jax.exceptions import ConfigError
from miri_jax.imputers.gaussian import make_gaussian
from miri_jax.imputers.miri import make_miri, make_miri_paper
from miri_jax.imputers.simple import make_mean, make_median
from miri_jax.types import Array, Imputer, Masked

IMPUTERS = {
    "miri": make_miri,
    "miri_paper": make_miri_paper,
    "gaussian": make_gaussian,
    "mean": make_mean,
    "median": make_median,
}


def make_imputer(name: str, **settings: Any) -> Imputer:
    """Builds a registered method.

    Args:
      name: a key of `IMPUTERS`.
      **settings: keyword arguments of its factory; what is left out keeps the
        method's own default.

    Raises:
      ConfigError: if the method, or a setting of it, does not exist.
    """
    if name not in IMPUTERS:
        near = difflib.get_close_matches(name, IMPUTERS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"no method {name!r}; {hint}known: {', '.join(IMPUTERS)}"
        )
    factory = IMPUTERS[name]
    known = inspect.signature(factory).parameters
    unknown = [key for key in settings if key not in known]
    if unknown:
        takes = ", ".join(known) or "no settings"
        raise ConfigError(
            f"method {name!r} has no setting {unknown[0]!r}; it takes {takes}"
        )
    return factory(**settings)


def iterate(
    key: Array, imputer: Imputer, data: Masked, state: Any
) -> Iterator[tuple[Any, dict[str, Array]]]:
    """Steps an imputer to its end, from any state.

    Iteration t uses `fold_in(key, t)`, so that a fit which goes on from a saved
    state draws the numbers it would have drawn.

    Args:
      key: PRNG key of the whole fit.
      imputer: the method.
      data: the table with gaps.
      state: from `imputer.init`, or a saved one. Its buffers may be donated.

    Yields:
      `(State, Info)` after each step.
    """
    while int(state.iteration) < imputer.num_iterations:
        step_key = jax.random.fold_in(key, int(state.iteration))
        state, info = imputer.step(step_key, state, data)
        yield state, info


def fit(key: Array, imputer: Imputer, data: Masked) -> Any:
    """Fits an imputer from its start; returns its final state."""
    key_init, key_steps = jax.random.split(key)
    state = imputer.init(key_init, data)
    for state, _ in iterate(key_steps, imputer, data, state):
        pass
    return state


__all__ = ["IMPUTERS", "fit", "iterate", "make_imputer"]
