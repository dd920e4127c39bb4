"""Denoising diffusion (Ho et al., 2020): what its imputers share.

Symbols follow MissDiff, Algorithms 1-3: beta_t, alpha_t = 1 - beta_t and
alpha_bar_t their product, t = 1 ... T; t = 0 is the data.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from miri_jax.core import train
from miri_jax.core.rows import gap_rows, move_chunks
from miri_jax.core.statistics import observed_bounds
from miri_jax.imputers._form import Info
from miri_jax.models import MLP, UNet, matched_network
from miri_jax.types import Array, Bounds, Draw, Masked, PyTree

MIN_STEPS = 15000
MAX_STEPS = 30000

# (what the network sees of one example, t) to the noise in it [*dims].
Predict = Callable[[tuple[Array, ...], Array], Array]


class Schedule(NamedTuple):
    """A variance-preserving noise schedule; index 0 is the clean data.

    Attributes:
      beta: `[T + 1]`, 0 and then beta_1 ... beta_T.
      signal: `[T + 1]`, sqrt(alpha_bar_t), 1 at t = 0.
      noise: `[T + 1]`, sqrt(1 - alpha_bar_t), 0 at t = 0.
    """

    beta: Array
    signal: Array
    noise: Array


def quadratic_schedule(
    num_steps: int, beta_min: float = 1e-4, beta_max: float = 0.5
) -> Schedule:
    """sqrt(beta_t) linear in t (MissDiff, appendix C.4; CSDI; TabCSDI).

    Args:
      num_steps: T.
      beta_min: beta_1.
      beta_max: beta_T.
    """
    beta = np.linspace(beta_min**0.5, beta_max**0.5, num_steps) ** 2
    beta = np.concatenate([[0.0], beta])
    alpha_bar = np.cumprod(1 - beta)
    # In float32, 1 - alpha_bar_1 = 1e-4 would have three digits left.
    parts = beta, np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    return Schedule(*(jnp.asarray(part, jnp.float32) for part in parts))


def diffuse(schedule: Schedule, x0: Array, noise: Array, t: Array) -> Array:
    """x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise.

    Args:
      schedule: the noise schedule.
      x0: `[*dims]`.
      noise: `[*dims]`, standard normal.
      t: int32 scalar in 0 ... T.

    Returns:
      `[*dims]`; exactly x0 at t = 0.
    """
    return schedule.signal[t] * x0 + schedule.noise[t] * noise


def ancestral(
    key: Array,
    noise_fn: Callable[[Array, Array], Array],
    schedule: Schedule,
    bounds: Bounds,
    constrain: Callable[[Array, Array, Array], Array] | None = None,
    resamplings: int = 1,
) -> Array:
    """Ancestral sampling of one example, t = T ... 1, in one `lax.scan`.

    x_{t-1} = (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t) +
    sigma_t noise, with sigma_t^2 = beta_t (1 - alpha_bar_{t-1}) /
    (1 - alpha_bar_t), which is 0 at t = 1. The mean is written by the estimate
    of x0 that eps implies, so that it can be kept within `bounds`: where
    alpha_bar_t is small, a slip of eps puts that estimate far outside all data.

    Args:
      key: PRNG key.
      noise_fn: `(x_t [*dims], t) -> [*dims]`, the noise eps in x_t.
      schedule: the noise schedule.
      bounds: of the estimate of x0, and so of the sample.
      constrain: None, or `(key, x, t) -> [*dims]`, what becomes of each x_t.
      resamplings: how often each step is taken, x_{t-1} being diffused to x_t
        between two times (RePaint: Lugmayr et al., 2022, with jumps of 1).

    Returns:
      `[*dims]`, x_0.
    """
    beta, signal, noise = schedule

    def back(x: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
        t, i = now
        keys = jax.random.split(jax.random.fold_in(key, i), 3)
        normal = lambda key: jax.random.normal(key, x.shape, x.dtype)
        x0 = (x - noise[t] * noise_fn(x, t)) / signal[t]
        x0 = jnp.clip(x0, bounds.low, bounds.high)
        variance = jnp.square(noise[t - 1] / noise[t])
        mean = signal[t - 1] * beta[t] / jnp.square(noise[t]) * x0 + (
            jnp.sqrt(1 - beta[t]) * variance * x
        )
        x = mean + jnp.sqrt(variance * beta[t]) * normal(keys[0])
        if constrain is not None:
            x = constrain(keys[1], x, t - 1)
        if resamplings > 1:
            up = jnp.sqrt(1 - beta[t]) * x + jnp.sqrt(beta[t]) * normal(keys[2])
            x = jnp.where(i % resamplings, up, x)
        return x, None

    t = np.repeat(np.arange(len(beta) - 1, 0, -1), resamplings)
    i = np.arange(1, len(t) + 1)
    shape, dtype = bounds.low.shape, bounds.low.dtype
    x = jax.random.normal(jax.random.fold_in(key, 0), shape, dtype)
    return jax.lax.scan(back, x, (t, i))[0]


def epoch_steps(rows: int, batch_size: int, epochs: int = 250) -> int:
    """SGD steps of a whole fit: `epochs` passes, within bounds.

    250 epochs of the papers' Census table are more than 100 000 steps. With
    fewer than `MIN_STEPS` small tables are not learned: on the 768 rows of
    energy the MMD of TabCSDI is 0.052 after 4000 steps and 0.040 after 15 000.
    `MAX_STEPS` bounds the time.
    """
    steps = math.ceil(rows / batch_size) * epochs
    return min(max(steps, MIN_STEPS), MAX_STEPS)


def step_decay_adam(
    learning_rate: float, num_steps: int, factor: float = 0.1
) -> optax.GradientTransformation:
    """Adam whose rate falls by `factor` at 25, 50, 75 and 90 % of `num_steps`.

    MissDiff, appendix C.4, and the public code of TabCSDI have a factor of 0.1.
    """
    falls = [int(share * num_steps) for share in (0.25, 0.5, 0.75, 0.9)]
    # Falls at one and the same step, in the shortest of fits, all count.
    scales: dict[int, float] = {}
    for fall in falls:
        scales[fall] = scales.get(fall, 1.0) * factor
    schedule = optax.piecewise_constant_schedule(learning_rate, scales)
    return optax.adam(schedule)


class Batch(NamedTuple):
    """Examples of the denoising loss.

    Attributes:
      inputs: arrays `[b, *dims]` that the network sees, x_t the first.
      noise: `[b, *dims]`, the noise in x_t.
      counts: `[b, *dims]` bool, the entries that the loss is over.
      t: `[b]` int32, 1 ... T.
    """

    inputs: tuple[Array, ...]
    noise: Array
    counts: Array
    t: Array


def diffuse_rows(
    key: Array, data: Masked, schedule: Schedule, batch_size: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Rows, their masks, times, noise and diffused rows, 0 in the gaps.

    Returns:
      x `[b, *dims]`, m `[b, *dims]`, t `[b]`, noise and x_t `[b, *dims]`.
    """
    key_rows, key_t, key_noise = jax.random.split(key, 3)
    rows = jax.random.randint(
        key_rows, (batch_size,), 0, len(data.x), jnp.int32
    )
    m = data.m[rows]
    x = jnp.where(m, data.x[rows], 0)
    t = jax.random.randint(
        key_t, (batch_size,), 1, len(schedule.beta), jnp.int32
    )
    noise = jax.random.normal(key_noise, x.shape, x.dtype)
    x_t = jax.vmap(diffuse, (None, 0, 0, 0))(schedule, x, noise, t)
    return x, m, t, noise, x_t


def noise_loss(
    params: PyTree,
    predict_fn: Callable[[PyTree, tuple[Array, ...], Array], Array],
    batch: Batch,
) -> tuple[Array, Info]:
    """Squared error of the noise over the entries that count.

    Args:
      params: parameters.
      predict_fn: `(params, inputs, t) -> [*dims]`, the noise in one example.
      batch: see `Batch`.

    Returns:
      The mean over the batch's entries that count, and an empty dict. A network
      that is 0 everywhere has 1 on average.
    """
    found = jax.vmap(predict_fn, (None, 0, 0))(params, batch.inputs, batch.t)
    error = jnp.where(batch.counts, batch.noise - found, 0)
    count = jnp.maximum(jnp.sum(batch.counts), 1)
    return jnp.sum(jnp.square(error)) / count, {}


class DiffusionState(NamedTuple):
    """See `types.Imputer`.

    Attributes:
      iteration: int32 scalar.
      x: `[n, *dims]`, 0 in the gaps until the last iteration.
      bounds: `[*dims]` each, observed range of each column.
      train: the network, see `train.TrainState`.
    """

    iteration: Array
    x: Array
    bounds: Bounds
    train: train.TrainState


class DiffusionSettings(NamedTuple):
    """What tells an imputer by diffusion from the others.

    Attributes:
      draw_batch: `(key, data, schedule, batch_size) -> Batch`.
      draw_row: `(key, predict, schedule, bounds, x_obs, m) -> [*dims]`, one
        row's imputation by the fitted network.
      num_iterations: and the others as `make_missdiff` takes them.
    """

    draw_batch: Callable[[Array, Masked, Schedule, int], Batch]
    draw_row: Callable[[Array, Predict, Schedule, Bounds, Array, Array], Array]
    num_iterations: int
    num_steps: int | None
    batch_size: int
    learning_rate: float
    decay: float
    ema_decay: float
    diffusion_steps: int
    chunk: int
    model: Mapping[str, Any] | None

    @property
    def schedule(self) -> Schedule:
        """The noise schedule."""
        return quadratic_schedule(self.diffusion_steps)

    def network(self, example: Array) -> MLP | UNet:
        """The network that predicts the noise of an `example` `[*dims]`."""
        return matched_network(example, self.model)

    def steps(self, rows: int) -> int:
        """SGD steps of an iteration on so many rows."""
        if self.num_steps is not None:
            return self.num_steps
        return -(-epoch_steps(rows, self.batch_size) // self.num_iterations)

    def optimizer(self, rows: int) -> optax.GradientTransformation:
        """Adam with the falls of its rate over the whole fit."""
        life = self.steps(rows) * self.num_iterations
        return step_decay_adam(self.learning_rate, life, self.decay)


def predict(
    settings: DiffusionSettings,
    params: PyTree,
    inputs: tuple[Array, ...],
    t: Array,
) -> Array:
    """The noise `[*dims]` in one example at time t."""
    tau = t.astype(inputs[0].dtype) / settings.diffusion_steps
    network = settings.network(inputs[0])
    return network.apply({"params": params}, *inputs, tau=tau)


def init(
    settings: DiffusionSettings, key: Array, data: Masked
) -> DiffusionState:
    """The state before the first SGD step."""
    key_net, key_batch = jax.random.split(key)
    batch = settings.draw_batch(key_batch, data, settings.schedule, 1)
    inputs = jax.tree.map(lambda a: a[0], batch.inputs)
    network = settings.network(inputs[0])
    params = network.init(key_net, *inputs, tau=jnp.float32(0))
    optimizer = settings.optimizer(len(data.x))
    return DiffusionState(
        iteration=jnp.int32(0),
        x=jnp.where(data.m, data.x, 0),
        bounds=observed_bounds(data.x, data.m),
        train=train.init_train_state(params["params"], optimizer),
    )


def step(
    settings: DiffusionSettings, key: Array, state: DiffusionState, data: Masked
) -> tuple[DiffusionState, Info]:
    """A stretch of SGD; after the last one X is imputed."""
    key_sgd, key_fill = jax.random.split(key)
    n, schedule, size = len(data.x), settings.schedule, settings.batch_size
    network, losses = train.sgd(
        key_sgd,
        state.train,
        lambda key: settings.draw_batch(key, data, schedule, size),
        settings.steps(n),
        loss_fn=lambda p, b: noise_loss(p, partial(predict, settings), b),
        optimizer=settings.optimizer(n),
        ema_decay=settings.ema_decay,
    )
    state = state._replace(iteration=state.iteration + 1, train=network)
    x = jax.lax.cond(
        state.iteration == settings.num_iterations,
        lambda: impute(settings, key_fill, state, data),
        lambda: state.x,
    )
    return state._replace(x=x), {"loss": losses}


def impute(
    settings: DiffusionSettings,
    key: Array,
    state: DiffusionState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A fresh draw by the averaged weights; those of a set are independent."""
    if draw is not None:
        key = jax.random.fold_in(key, draw.index)
    fitted = partial(predict, settings, state.train.ema)
    schedule = settings.schedule

    def one(key: Array, x_obs: Array, m: Array) -> Array:
        return settings.draw_row(key, fitted, schedule, state.bounds, x_obs, m)

    def move(keys: Array, x: Array, x_obs: Array, m: Array) -> Array:
        del x  # the old filling
        return jax.vmap(one)(keys, x_obs, m)

    rows = gap_rows(data.m)
    return move_chunks(key, data.x, data, rows, move, settings.chunk)
