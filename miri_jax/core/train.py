"""Stochastic gradient descent as one compiled `lax.scan`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from miri_jax.core.parallel import split_examples
from miri_jax.types import Array, PyTree

LossFn = Callable[[PyTree, Any], tuple[Array, dict[str, Array]]]


class TrainState(NamedTuple):
    """Everything that SGD needs to go on.

    Attributes:
      step: int32 scalar, SGD steps taken since `init_train_state`.
      params: parameters.
      opt_state: the optax optimizer's state.
      ema: exponential moving average of `params`.
    """

    step: Array
    params: PyTree
    opt_state: optax.OptState
    ema: PyTree


def init_train_state(
    params: PyTree, optimizer: optax.GradientTransformation
) -> TrainState:
    """The state before the first step; the average starts at `params`."""
    # A copy, so that no buffer is donated twice.
    ema = jax.tree.map(jnp.array, params)
    return TrainState(jnp.int32(0), params, optimizer.init(params), ema)


def update(
    state: TrainState,
    grads: PyTree,
    optimizer: optax.GradientTransformation,
    ema_decay: float = 0.0,
) -> TrainState:
    """One step of an optimizer and of the average; arguments as `sgd`."""
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
    ema = optax.incremental_update(params, state.ema, 1 - decay)
    return TrainState(state.step + 1, params, opt_state, ema)


def sgd(
    key: Array,
    train_state: TrainState,
    sample_batch: Callable[[Array], Any],
    num_steps: int,
    *,
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    ema_decay: float = 0.0,
) -> tuple[TrainState, Array]:
    """Takes `num_steps` SGD steps inside one `lax.scan`.

    Step s draws its batch with `fold_in(key, s)`, s counting from
    `init_train_state`: a run cut into parts draws the same numbers.

    Args:
      key: PRNG key of the whole stretch.
      train_state: where to start.
      sample_batch: `key -> batch`.
      num_steps: how many steps.
      loss_fn: `(params, batch) -> (scalar loss, aux)`.
      optimizer: an optax transformation.
      ema_decay: decay of the average; it is warmed up as
        min(ema_decay, (1 + s) / (10 + s)), and 0 makes it equal `params`.

    Returns:
      The new state, and the losses `[num_steps]` before each update.
    """
    one = partial(
        sgd_step,
        key,
        sample_batch=sample_batch,
        loss_fn=loss_fn,
        optimizer=optimizer,
        ema_decay=ema_decay,
    )
    return jax.lax.scan(
        lambda state, _: one(state), train_state, None, length=num_steps
    )


def sgd_step(
    key: Array,
    state: TrainState,
    *,
    sample_batch: Callable[[Array], Any],
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    ema_decay: float = 0.0,
) -> tuple[TrainState, Array]:
    """One step of `sgd`, with its arguments; the new state and the loss."""
    batch = split_examples(sample_batch(jax.random.fold_in(key, state.step)))
    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, _), grads = grad_fn(state.params, batch)
    return update(state, grads, optimizer, ema_decay), loss


def cosine_adam(
    learning_rate: float, num_steps: int, clip_norm: float = 1.0
) -> optax.GradientTransformation:
    """Adam on a cosine from `learning_rate` to 0 over `num_steps`, clipped.

    Args:
      learning_rate: the first step's size.
      num_steps: length of the schedule; later steps have size 0.
      clip_norm: global norm above which gradients are scaled down.
    """
    schedule = optax.cosine_decay_schedule(learning_rate, num_steps)
    return optax.chain(
        optax.clip_by_global_norm(clip_norm), optax.adam(schedule)
    )
