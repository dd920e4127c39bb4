"""The registry of imputation methods: one file a method, one entry here."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.parallel import spread, to_host
from miri_jax.exceptions import ConfigError
from miri_jax.imputers._registry import Factory, Methods
from miri_jax.settings import check, did_you_mean, refuse_unclear
from miri_jax.types import Array, Bounds, Draw, Imputer, Masked

# From names to factories; those of other packages come in by entry points of
# the group `miri_jax.imputers`, and by `register`.
IMPUTERS = Methods(
    {
        "miri": "miri:make_miri",
        "miri_paper": "miri:make_miri_paper",
        "gaussian": "gaussian:make_gaussian",
        "mean": "simple:make_mean",
        "median": "simple:make_median",
        "missdiff": "missdiff:make_missdiff",
        "diffputer": "diffputer:make_diffputer",
        "tabcsdi": "tabcsdi:make_tabcsdi",
        "gain": "gain:make_gain",
        "knewimp": "knewimp:make_knewimp",
    }
)


def register(name: str, factory: Factory) -> None:
    """Makes a method known to `make_imputer`, the estimator and configs.

    It is known to this process. A package makes its methods known to all, and
    to runs that are started again, by entry points:

        [project.entry-points."miri_jax.imputers"]
        hot_deck = "my_package.my_module:make_hot_deck"

    Args:
      name: of the method.
      factory: takes settings as keywords, with type hints that `settings.check`
        reads, and returns an imputer, see `types.Imputer`.

    Raises:
      ConfigError: if another factory has the name, or a setting is not
        keyword-only or has no type hint.
    """
    refuse_unclear(factory)
    if IMPUTERS.is_taken(name, factory):
        raise ConfigError(
            f"a method {name!r} already exists; register under another name,"
            f" or first `del IMPUTERS[{name!r}]`"
        )
    IMPUTERS[name] = factory


def make_imputer(name: str, **settings: Any) -> Imputer:
    """Builds a registered method.

    Args:
      name: a key of `IMPUTERS`.
      **settings: keyword arguments of its factory; what is left out keeps the
        method's own default.

    Raises:
      ConfigError: if the method, or a setting of it, does not exist, or its
        value is of another type or outside its range.
    """
    if name not in IMPUTERS:
        raise ConfigError(
            f"no method {name!r}{did_you_mean(name, IMPUTERS)} (known:"
            f" {', '.join(IMPUTERS)})"
        )
    factory = IMPUTERS[name]
    check(factory, settings, f"method {name!r}")
    return factory(**settings)


def finished(imputer: Imputer, state: Any) -> bool:
    """Whether a state is its fit's last, by number or by its own judgement."""
    if getattr(state, "done", False):
        return True
    return int(state.iteration) >= imputer.num_iterations


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
    while not finished(imputer, state):
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


def draws(
    key: Array, imputer: Imputer, state: Any, data: Masked, count: int
) -> Iterator[Array]:
    """A set of imputations from one fit, one at a time.

    Each is a fresh draw of the missing entries given the observed ones. Methods
    that start from noise spread it over the set by Latin hypercube sampling
    (`rows.normal_noise`): their mean over a few draws is then nearly that over
    many, while the variance between draws comes out larger by a factor of up to
    count / (count - 1) than between independent ones.

    Args:
      key: PRNG key of the set.
      imputer: the method.
      state: its fit.
      data: the rows, those of the fit or others.
      count: how many draws.

    Yields:
      `[n, *dims]`, `count` times.
    """
    for k in range(count):
        # The same key on purpose: the draws share its noise.
        same = jax.random.clone(key)
        yield imputer.impute(same, state, data, Draw(jnp.int32(k), count))


def redraw_outside(
    key: Array,
    imputer: Imputer,
    state: Any,
    data: Masked,
    x: Array,
    bounds: Bounds | None,
    draw: Draw | None = None,
    *,
    rounds: int = 10,
) -> np.ndarray:
    """Draws the rows again that have an imputed entry outside its bounds.

    What is kept is a draw of the distribution truncated at the bounds, where
    entries set to the bound would pile up there. Rows that are outside still
    after `rounds` rounds stay as they are.

    Args:
      key: PRNG key, another one than that of `x`.
      imputer: the method.
      state: its fit.
      data: the rows that `x` fills.
      x: `[n, *dims]`, a draw.
      bounds: `[*dims]` each, standardised as `data`; None for none.
      draw: as it was given to the imputer for `x`: another would be compiled
        anew.
      rounds: how often at most.
    """
    x = to_host(x)
    if bounds is None:
        return x
    m = to_host(data.m)
    gaps = tuple(range(1, m.ndim))
    for k in range(rounds):
        outside = ~m & ((x < bounds.low) | (x > bounds.high))
        rows = outside.any(axis=gaps, keepdims=True)
        if not rows.any():
            break
        # Rows without gaps cost nothing.
        part = Masked(data.x, spread(jnp.asarray(m | ~rows), len(m)))
        new = imputer.impute(jax.random.fold_in(key, k), state, part, draw)
        x = np.where(rows, to_host(new), x)
    return x


__all__ = [
    "IMPUTERS",
    "draws",
    "finished",
    "fit",
    "iterate",
    "make_imputer",
    "redraw_outside",
    "register",
]
