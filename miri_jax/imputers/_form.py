"""The form of a method: settings, and functions over them and a state.

The file of a method has a NamedTuple of settings, which are fixed while it
runs, and functions of a module, each of which a test can call by itself:

    init(settings, key, data) -> state
    step(settings, key, state, data) -> (state, info)
    impute(settings, key, state, data, draw) -> x
    sample(settings, key, state, shape) -> x        # where it generates rows

See `types.Imputer` for what they must do. Its factory binds and compiles them.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax

from miri_jax.types import Array, Draw, Imputer, Info, Masked

Settings = TypeVar("Settings")
State = TypeVar("State")


def compiled(
    settings: Settings,
    num_iterations: int,
    *,
    init: Callable[[Settings, Array, Masked], State],
    step: Callable[[Settings, Array, State, Masked], tuple[State, Info]],
    impute: Callable[[Settings, Array, State, Masked, Draw | None], Array],
    sample: (
        Callable[[Settings, Array, State, tuple[int, ...]], Array] | None
    ) = None,
) -> Imputer:
    """A method's functions, bound to its settings and compiled.

    Args:
      settings: any object; the functions are compiled for it.
      num_iterations: outer iterations of a fit.
      init: the state before the first of them.
      step: the next state; the buffers of the old one are donated.
      impute: a fresh draw; its `draw` may be left out.
      sample: new rows of a shape, which is static; None where the method
        generates none.

    Returns:
      The imputer, see `types.Imputer`.
    """
    if sample is not None:
        sample = jax.jit(partial(sample, settings), static_argnums=2)
    return Imputer(
        init=jax.jit(partial(init, settings)),
        step=jax.jit(partial(step, settings), donate_argnums=1),
        impute=jax.jit(partial(impute, settings)),
        num_iterations=num_iterations,
        sample=sample,
    )
