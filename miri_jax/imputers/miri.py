"""MIRI: mutual information reducing iterations with rectified flows.

Three recipes of one imputer. `PAPER` is Algorithm 1 as printed. `FAST` differs
in three things, each of which may be had without the others:

- one network lives on through many short iterations, and draws come from an
  exponential moving average of its weights;
- the flow starts from a source that samples q(x_mis | x_obs), which is all that
  Proposition 2 asks of an imputation to start from;
- targets that are themselves imputed have no weight in the loss, and those that
  are observed the inverse of their chance to be, given the other columns.

`IMAGES` is `FAST` for images. `make_miri` turns the words of a config into a
recipe, `_algorithm.miri` a recipe into an imputer.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import jax

from miri_jax import sources
from miri_jax.core import ode, pairs, propensity
from miri_jax.exceptions import ConfigError
from miri_jax.imputers._algorithm import miri
from miri_jax.imputers._blended import blended
from miri_jax.imputers._early_stopping import Stop
from miri_jax.imputers._recipe import (
    ALL_ROWS,
    SGD,
    MakeNetwork,
    Memory,
    Recipe,
)
from miri_jax.models import velocity_network
from miri_jax.settings import Range
from miri_jax.sources import Source
from miri_jax.sources.chained import PLAN, chained
from miri_jax.sources.likely import SHRINKAGE
from miri_jax.sources.plain import Initial
from miri_jax.types import Array, Imputer, Layout, Masked, PyTree

MAX_ITERATIONS = 20


def auto_width(shape: tuple[int, ...]) -> int:
    """Units of a hidden layer for a table of `shape` (n, *dims)."""
    return 64 if math.prod(shape) < 2**15 else 128


def auto_steps(shape: tuple[int, ...]) -> int:
    """SGD steps of an iteration on a table of `shape` (n, *dims)."""
    return 100 * min(max(round(math.sqrt(math.prod(shape) / 2**15)), 1), 4)


def auto_share(shape: tuple[int, ...]) -> int:
    """Pairs drawn ahead that share a mask, for a table of `shape` (n, *dims).

    One up to 63 columns; then so many that the cost of a pair's start, d^3
    operations a mask, grows as d.
    """
    return max(math.prod(shape[1:]) // 32, 1) ** 2


def network(**model: Any) -> MakeNetwork:
    """Velocities whose fields are given, the others following the table.

    Args:
      **model: fields of `VelocityMLP`, whose width is else `auto_width` of the
        table, or of images of `VelocityUNet`.
    """

    def make(
        shape: tuple[int, ...], zero_output: bool, params: PyTree = None
    ) -> Any:
        fields: dict[str, Any] = dict(zero_output=zero_output)
        if len(shape) == 2:
            width = auto_width(shape)
            if params is not None:
                width = params["Dense_0"]["kernel"].shape[-1]
            fields |= dict(depth=1, residual=True, width=width)
        made = velocity_network(shape, {**fields, **model})
        return made.clone(columns=shape[1]) if len(shape) == 2 else made

    return make


def sharing(key: Array, rows: pairs.Bank, count: int) -> pairs.Choice:
    """`pairs.of_source` where `auto_share` pairs have one mask.

    Their number is `count`, or the next that the share divides: for pairs that
    are drawn ahead.
    """
    share = auto_share(rows.x.shape)
    size = share * -(-count // share)
    return pairs.of_source(key, rows, size, share=share)


PAPER_NETWORK = dict(
    width=256,
    depth=3,
    residual=False,
    zero_output=False,
    num_frequencies=2,
    activation="relu",
)
PAPER = Recipe(
    source=sources.previous("normal"),
    pairs=pairs.of_table,
    reuse=1,
    weight=pairs.everywhere,
    propensity=None,
    network=network(**PAPER_NETWORK),
    sgd=SGD(lambda shape: 1000, 512, 2e-3, ema_decay=0.0),
    memory=Memory(network=False, velocities=True),
    stop=None,
    solve=partial(ode.euler, num_steps=100),
    max_rows=ALL_ROWS,
    num_iterations=10,
    chunk=4096,
)
FAST = Recipe(
    source=sources.gaussian(),
    pairs=sharing,
    reuse=4,
    weight=pairs.where_moved,
    propensity=propensity.fitted(),
    network=network(),
    sgd=SGD(auto_steps, 512, 4e-3, ema_decay=0.995),
    memory=Memory(network=True, velocities=False),
    stop=Stop(share=0.05, patience=8),
    solve=partial(ode.heun, num_steps=10),
    max_rows=32768,
    num_iterations=MAX_ITERATIONS,
    chunk=4096,
)
IMAGES = FAST._replace(
    source=sources.biharmonic(),
    pairs=pairs.thinned(),
    reuse=1,
    propensity=None,
    stop=None,
)


def make_miri(
    *,
    num_iterations: int = MAX_ITERATIONS,
    num_steps: int | None = None,
    num_slices: int = 1,
    batch_size: int = 512,
    pair_reuse: int = 4,
    learning_rate: Annotated[float, Range(1e-12)] = 4e-3,
    warm_start: bool = True,
    source: Literal[
        "auto", "previous", "noise", "gaussian", "chained", "biharmonic"
    ]
    | None = None,
    imputed_weight: Annotated[float, Range(0, 1)] | None = 0.0,
    propensity_weights: bool = True,
    ema_decay: Annotated[float, Range(0, 1)] = 0.995,
    initial: Initial = "normal",
    solver: Literal["euler", "heun"] = "heun",
    ode_steps: int = 10,
    keep_velocities: bool | None = None,
    held_out: Annotated[float, Range(0, 0.9)] | None = None,
    patience: int = 8,
    max_rows: int = 32768,
    gaussian_rounds: int = 60,
    shrinkage: float = SHRINKAGE,
    chunk: int = 4096,
    thin: bool | None = None,
    model: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
) -> Imputer:
    """The fast preset: `FAST` on tables, `IMAGES` on images, in words.

    Args:
      num_iterations: outer iterations T; `held_out` may end a fit before.
      num_steps: SGD steps N in each; None for `auto_steps` of the table.
      num_slices: parts that an iteration is cut into, between which a run can
        be saved; must divide `num_steps`.
      batch_size: pairs B in each SGD step.
      pair_reuse: how often a pair is used, at other times tau, where pairs are
        drawn ahead of an iteration; 1 draws new ones for each step, as is
        always done of images.
      learning_rate: of Adam, on a cosine to 0 over the life of the network.
      warm_start: keep one network through all iterations, or a fresh one each.
      source: the flow's start on the missing entries. "previous": the previous
        imputation (Algorithm 1); "noise": N(0, 1); "gaussian": a draw of the
        conditional Gaussian fitted to the incomplete table, so that the flow
        carries only what is not Gaussian; "chained": chained equations by
        trees; "biharmonic": of images, a smooth filling with noise as large as
        its errors, see `sources.smooth`. "auto": the flow starts from the
        conditional Gaussian, and draws the columns of which it fills held-out
        cells better than chained equations do; those draw the others. None:
        "auto" for tables, "biharmonic" for images.
      imputed_weight: weight in [0, 1] in the loss of targets that are
        themselves imputed, the loss then being over the coordinates the ODE
        moves; None for the paper's loss over all coordinates. With 0 only
        values really observed teach.
      propensity_weights: weigh observed targets by the inverse of their chance
        to be observed given the other columns, see `core.propensity`, learnt
        anew in each iteration. Without, a fit is unbiased where gaps are
        completely at random or depend on columns that are always observed;
        where a driver of the gaps has gaps too, means and correlations of what
        it hides are biased. Of tables, with a source of its own and a number as
        `imputed_weight`.
      ema_decay: of the average of weights that draws come from; 0 for none.
      initial: X(0), see `sources.first_filling`; other sources have their own.
      solver: "euler" (Algorithm 2) or "heun".
      ode_steps: solver steps.
      keep_velocities: keep the parameters of every iteration; only then can
        `source="previous"` impute new rows. None: where it is the source.
      held_out: share of the observed entries (of at most 4096 rows) that no
        loss sees; draws come from the weights with the smallest loss on them,
        and the fit stops when that has not fallen for `patience` iterations. 0
        for no early stopping, and none with `source="previous"`, where no
        network stands for itself, nor with `thin`. None: 0.1 with "auto", which
        needs them, else 0.05.
      patience: see `held_out`.
      max_rows: rows that one iteration learns from and moves; a larger table
        takes turns, and all its rows move after the last iteration.
      gaussian_rounds: steps of the Gaussian's fit, at most.
      shrinkage: strength of the Gaussian's shrinkage, see
        `sources.likely.problem_of`.
      chunk: rows of the ODE solved at a time.
      thin: let a flow that does not start from the previous imputation rest on
        what was really observed alone, see `pairs.of_source`. None: of images.
      model: overrides of the fields of `VelocityMLP`, whose width is else
        `auto_width` of the table, or of images of `VelocityUNet`.
      layout: of the table; None for numbers alone.

    Returns:
      The imputer, see `types.Imputer`.

    Raises:
      ConfigError: on settings that do not go together.
    """
    words = {name: it for name, it in locals().items() if name != "layout"}
    if num_steps is not None and num_steps % num_slices:
        raise ConfigError(
            f"num_slices={num_slices} does not divide num_steps={num_steps}"
        )

    def imputer(images: bool) -> Imputer:
        found = _recipe(images, layout, words)
        flow = miri(found, layout)
        if source not in (None, "auto") or images or found.stop is None:
            return flow
        return blended(flow, PLAN._replace(sweeps=1), layout)

    return _of_rows_or_images(imputer, redraws=source != "previous")


def _recipe(
    images: bool, layout: Layout | None, words: Mapping[str, Any]
) -> Recipe:
    """That of the words of `make_miri`: one for equal words, where it can be.

    So imputers for other tables find its programs compiled.
    """
    words = dict(words)
    fields = words.pop("model") or {}
    if words["source"] != "chained":  # whose draws go by the layout
        with contextlib.suppress(TypeError):  # fields that cannot be hashed
            return _equal_recipe(
                images,
                tuple(sorted(words.items())),
                tuple(sorted(fields.items())),
            )
    return _recipe_of(images, layout, fields, **words)


@functools.lru_cache(maxsize=32)
def _equal_recipe(images: bool, words: tuple, fields: tuple) -> Recipe:
    return _recipe_of(images, None, dict(fields), **dict(words))


def _recipe_of(
    images: bool,
    layout: Layout | None,
    fields: Mapping[str, Any],
    *,
    num_iterations: int,
    num_steps: int | None,
    num_slices: int,
    batch_size: int,
    pair_reuse: int,
    learning_rate: float,
    warm_start: bool,
    source: str | None,
    imputed_weight: float | None,
    propensity_weights: bool,
    ema_decay: float,
    initial: Initial,
    solver: str,
    ode_steps: int,
    keep_velocities: bool | None,
    held_out: float | None,
    patience: int,
    max_rows: int,
    gaussian_rounds: int,
    shrinkage: float,
    chunk: int,
    thin: bool | None,
) -> Recipe:
    """A recipe from the words of `make_miri`.

    Args: see `make_miri`; `fields` are those of its `model`.
    """
    name = source or ("biharmonic" if images else "auto")
    share = held_out
    if share is None:
        share = 0.1 if name == "auto" else 0.05
    own = name != "previous"
    thinned = own and (images if thin is None else thin)
    choose = pairs.thinned() if thinned else pairs.of_source
    if pair_reuse > 1 and not thinned and not images:
        choose = sharing
    kept = not own if keep_velocities is None else keep_velocities
    stops = share and own and not thinned
    weighted = propensity_weights and own and not images
    weighted &= imputed_weight is not None
    return Recipe(
        source=_source(
            name, initial, gaussian_rounds, shrinkage, chunk, layout
        ),
        pairs=choose if own else pairs.of_table,
        reuse=1 if images else pair_reuse,
        weight=_weight(imputed_weight),
        propensity=propensity.fitted() if weighted else None,
        network=network(**fields),
        sgd=SGD(
            _sliced(num_steps, num_slices),
            batch_size,
            learning_rate,
            ema_decay,
            num_slices,
        ),
        memory=Memory(warm_start, kept),
        stop=Stop(share, patience) if stops else None,
        solve=partial(ode.SOLVERS[solver], num_steps=ode_steps),
        max_rows=max_rows if own else ALL_ROWS,
        num_iterations=num_iterations,
        chunk=chunk,
    )


def make_miri_paper(
    *,
    num_iterations: int = 10,
    num_steps: int = 1000,
    num_slices: int = 1,
    batch_size: int = 512,
    learning_rate: Annotated[float, Range(1e-12)] = 2e-3,
    initial: Initial = "normal",
    solver: Literal["euler", "heun"] = "euler",
    ode_steps: int = 100,
    keep_velocities: bool = True,
    chunk: int = 4096,
    model: Mapping[str, Any] | None = None,
) -> Imputer:
    """Algorithm 1 as printed, with the ODE of Algorithm 2: `PAPER` in words.

    A fresh network each iteration, started from the previous imputation, loss
    over all coordinates, 100 Euler steps, the last weights and no average. The
    paper's text leaves the network, T, N, B and the optimiser to its
    supplement, which is not to be had. Here they are an MLP of 3 x 256 and
    Adam, chosen on masks of the toy other than those that are reported.

    X(T) is the imputation of a fit, and the only one: the imputer does not
    redraw. `impute` fills new rows by the kept velocities in order, from a new
    X(0). Each was learned on the one table that went before, so on few rows
    what it has not seen drives it off (768 rows: MMD 0.026 of X(T), 0.54 where
    the same rows are imputed so; 6000 rows of the toy: no difference).

    Args: see `make_miri`.
    """
    words = dict(
        num_iterations=num_iterations,
        num_steps=num_steps,
        num_slices=num_slices,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warm_start=False,
        source="previous",
        imputed_weight=None,
        propensity_weights=False,
        ema_decay=0.0,
        initial=initial,
        solver=solver,
        ode_steps=ode_steps,
        keep_velocities=keep_velocities,
        pair_reuse=1,
        held_out=0.0,
        chunk=chunk,
    )

    def of(images: bool) -> Imputer:
        fields = {} if images else PAPER_NETWORK
        return make_miri(**words, model={**fields, **(model or {})})

    return _of_rows_or_images(of, redraws=False)


def _sliced(
    num_steps: int | None, num_slices: int
) -> Callable[[tuple[int, ...]], int]:
    """SGD steps by the shape of a table, as a multiple of the slices."""
    if num_steps is not None:
        return lambda shape: num_steps
    return lambda shape: num_slices * -(-auto_steps(shape) // num_slices)


def _source(
    name: str,
    initial: Initial,
    rounds: int,
    shrinkage: float,
    chunk: int,
    layout: Layout | None,
) -> Source:
    if name == "chained":
        return chained(PLAN, layout)
    if name in ("auto", "gaussian"):
        return sources.gaussian(rounds=rounds, shrinkage=shrinkage, chunk=chunk)
    if name == "biharmonic":
        return sources.biharmonic(chunk=chunk)
    return getattr(sources, name)(initial)


def _weight(imputed_weight: float | None) -> pairs.Weight:
    if imputed_weight is None:
        return pairs.everywhere
    return partial(pairs.where_moved, imputed=imputed_weight)


def _of_rows_or_images(
    make: Callable[[bool], Imputer], *, redraws: bool
) -> Imputer:
    """An imputer that is chosen when it sees the data.

    Args:
      make: whether the data are images to their imputer.
      redraws: see `Imputer`.
    """
    of = functools.cache(make)
    pick = lambda data: of(data.x.ndim == 4)
    chosen, several = of(False).chosen, of(False).several

    def planned(count: int, pooled: bool) -> Imputer:
        def make_planned(images: bool) -> Imputer:
            if images and pooled:
                raise ConfigError(
                    "images have no draws that may be pooled from one fit;"
                    " fit each (`engine.fit_many`)"
                )
            return of(True) if images else several(count, pooled)

        return _of_rows_or_images(make_planned, redraws=redraws)

    return Imputer(
        init=lambda key, data: pick(data).init(key, data),
        step=lambda key, state, data: pick(data).step(key, state, data),
        impute=lambda key, state, data, draw=None: pick(data).impute(
            key, state, data, draw
        ),
        num_iterations=of(False).num_iterations,
        redraws=redraws,
        host=of(False).host,
        like=lambda data: _like(pick(data), data),
        chosen=chosen
        and (lambda state: [] if state.x.ndim == 4 else chosen(state)),
        several=several and planned,
    )


def _like(imputer: Imputer, data: Masked) -> Any:
    if imputer.like is not None:
        return imputer.like(data)
    return jax.eval_shape(imputer.init, jax.random.key(0), data)
