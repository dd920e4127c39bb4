"""GAIN: generative adversarial imputation nets (Yoon et al., ICML 2018).

A generator fills the gaps; a discriminator is to tell, entry by entry, which
were filled. A hint reveals most of the mask to the discriminator, which is
scored on what is left. Section 2.2 of the MIRI paper is the same in its words.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from miri_jax.core import train
from miri_jax.core.flow import merge
from miri_jax.core.rows import gap_rows, move_rows
from miri_jax.core.statistics import observed_bounds
from miri_jax.models import matched_network
from miri_jax.settings import Range
from miri_jax.types import Array, Bounds, Draw, Imputer, PyTree

NEUTRAL = 0.5  # what a hint says of an entry that it does not reveal
NOISE_SCALE = 0.01


class GAINState(NamedTuple):
    """See `types.Imputer`.

    Attributes:
      iteration: int32 scalar.
      x: `[n, *dims]`.
      bounds: observed range of each column.
      generator: to one example's x in [0, 1], see `train.TrainState`.
      discriminator: to the logits of its mask, likewise.
    """

    iteration: Array
    x: Array
    bounds: Bounds
    generator: train.TrainState
    discriminator: train.TrainState


class Batch(NamedTuple):
    """What both updates of one step see.

    Attributes:
      x: `[b, *dims]` in [0, 1], noise where missing.
      m: `[b, *dims]` bool, True = observed.
      hint: `[b, *dims]`, see `draw_hint`.
      revealed: `[b, *dims]` bool.
    """

    x: Array
    m: Array
    hint: Array
    revealed: Array


def to_unit(x: Array, m: Array, bounds: Bounds) -> Array:
    """One example's observed entries on the scale of [0, 1], 0 where missing.

    Args:
      x: `[*dims]`.
      m: `[*dims]` bool, True = observed.
      bounds: become 0 and 1; a constant column becomes 0.
    """
    low, width = bounds.low, bounds.high - bounds.low
    spread = width > 0
    unit = (jnp.where(m, x, low) - low) / jnp.where(spread, width, 1)
    return jnp.where(m & spread, unit, 0)


def draw_hint(key: Array, m: Array, hint_rate: float) -> tuple[Array, Array]:
    """What the discriminator is told of the mask (section 3.3 of Yoon et al.).

    Args:
      key: PRNG key.
      m: of any shape, bool, True = observed.
      hint_rate: probability that an entry is revealed, each by itself.

    Returns:
      The hint, m where revealed and `NEUTRAL` elsewhere, and what is revealed.
    """
    revealed = jax.random.bernoulli(key, jnp.float32(hint_rate), m.shape)
    return jnp.where(revealed, m.astype(jnp.float32), NEUTRAL), revealed


def discriminator_loss(logits: Array, m: Array, revealed: Array) -> Array:
    """Mean cross-entropy of the mask over entries not revealed, in nats.

    Args:
      logits: of any shape, log odds that an entry is observed.
      m: likewise, bool, True = observed.
      revealed: likewise, bool.

    Returns:
      Scalar, 0 where all is revealed.
    """
    loss = jnp.where(m, jax.nn.softplus(-logits), jax.nn.softplus(logits))
    return _mean(loss, ~revealed)


def adversarial_loss(logits: Array, m: Array, revealed: Array) -> Array:
    """-log D of the missing entries, a mean over all entries not revealed.

    Shapes as `discriminator_loss`.
    """
    loss = jnp.where(m, 0, jax.nn.softplus(-logits))
    return _mean(loss, ~revealed)


def reconstruction_loss(x: Array, generated: Array, m: Array) -> Array:
    """Mean squared error over observed entries, on the scale of [0, 1]."""
    return _mean(jnp.square(jnp.where(m, x - generated, 0)), m)


def _mean(values: Array, where: Array) -> Array:
    total = jnp.sum(jnp.where(where, values, 0))
    return total / jnp.maximum(jnp.sum(where), 1)


def make_gain(
    *,
    num_iterations: int = 10,
    num_steps: int = 200,
    batch_size: int = 128,
    learning_rate: Annotated[float, Range(1e-12)] = 1e-3,
    hint_rate: Annotated[float, Range(0, 1, "[)")] = 0.9,
    alpha: float = 100.0,
    ema_decay: Annotated[float, Range(0, 1)] = 0.999,
    chunk: int = 4096,
    model: Mapping[str, Any] | None = None,
) -> Imputer:
    """GAIN, with networks of the size that the other methods have.

    The losses are the paper's, over the entries that the hint does not reveal,
    the settings those of the authors' code: Adam, one update of each network a
    step, both on the same batch. That code writes 0 for "not revealed" as for
    "missing" and takes the losses over all entries, which was measured to do
    far worse. It also takes 10,000 steps; at 60 % gaps 2000 were measured to do
    much better on 506 rows, which the discriminator comes to know by heart, and
    about as well on 1599. Each draw has noise of its own, but of so small a
    scale that the generator makes little of it: most draws are nearly alike.

    Args:
      num_iterations: outer iterations.
      num_steps: updates of each network in one.
      batch_size: rows in each.
      learning_rate: of Adam, constant.
      hint_rate: share of the mask that the discriminator is told; at 1 nothing
        would be left to learn.
      alpha: weight of the reconstruction of observed entries.
      ema_decay: of the average of the generator's weights that draws come
        from; 0 for the last weights, as the authors take them, although from
        one iteration to the next they swing widely.
      chunk: rows imputed at a time.
      model: overrides of the fields of `MLP`, or of `UNet`, for both networks.

    Returns:
      The imputer, see `types.Imputer`.
    """
    network = partial(matched_network, model=model)
    optimizer = optax.adam(learning_rate)

    def generate(params: PyTree, x: Array, m: Array) -> Array:
        return jax.nn.sigmoid(network(x).apply({"params": params}, x, m))

    def discriminate(params: PyTree, x: Array, hint: Array) -> Array:
        return network(x).apply({"params": params}, x, hint)

    generate_batch = jax.vmap(generate, (None, 0, 0))
    discriminate_batch = jax.vmap(discriminate, (None, 0, 0))

    def discriminator_objective(params: PyTree, x: Array, batch: Batch):
        logits = discriminate_batch(params, x, batch.hint)
        return discriminator_loss(logits, batch.m, batch.revealed)

    def generator_objective(params: PyTree, rival: PyTree, batch: Batch):
        generated = generate_batch(params, batch.x, batch.m)
        filled = merge(batch.x, generated, batch.m)
        logits = discriminate_batch(rival, filled, batch.hint)
        adversarial = adversarial_loss(logits, batch.m, batch.revealed)
        error = reconstruction_loss(batch.x, generated, batch.m)
        return adversarial + alpha * error, error

    def sample_batch(key: Array, x: Array, m: Array) -> Batch:
        key_rows, key_noise, key_hint = jax.random.split(key, 3)
        rows = jax.random.randint(key_rows, (batch_size,), 0, len(x), jnp.int32)
        m = m[rows]
        noise = jax.random.uniform(key_noise, m.shape, x.dtype, 0, NOISE_SCALE)
        return Batch(
            merge(x[rows], noise, m), m, *draw_hint(key_hint, m, hint_rate)
        )

    def fresh(key: Array, x: Array) -> train.TrainState:
        params = network(x).init(key, x, x)["params"]
        return train.init_train_state(params, optimizer)

    @jax.jit
    def init(key, data):
        key_generator, key_discriminator = jax.random.split(key)
        return GAINState(
            iteration=jnp.int32(0),
            x=merge(data.x, jnp.zeros_like(data.x), data.m),
            bounds=observed_bounds(data.x, data.m),
            generator=fresh(key_generator, data.x[0]),
            discriminator=fresh(key_discriminator, data.x[0]),
        )

    def moved(key, state, data, draw=None):
        low, high = state.bounds

        def move(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
            del x  # the old filling
            unit = to_unit(x_obs, m, state.bounds)
            uniform = NOISE_SCALE * jax.scipy.special.ndtr(noise)
            unit = merge(unit, uniform, m)
            return low + (high - low) * generate(state.generator.ema, unit, m)

        rows = gap_rows(data.m)
        return move_rows(key, data.x, data, rows, move, chunk, draw)

    @partial(jax.jit, donate_argnums=1)
    def step(key, state, data):
        key_fit, key_draw = jax.random.split(key)
        to_units = jax.vmap(to_unit, (0, 0, None))
        x = to_units(data.x, data.m, state.bounds)

        def play(players, s):
            generator, discriminator = players
            batch = sample_batch(jax.random.fold_in(key_fit, s), x, data.m)
            generated = generate_batch(generator.params, batch.x, batch.m)
            filled = merge(batch.x, generated, batch.m)
            loss, grads = jax.value_and_grad(discriminator_objective)(
                discriminator.params, filled, batch
            )
            discriminator = train.update(discriminator, grads, optimizer)
            (total, error), grads = jax.value_and_grad(
                generator_objective, has_aux=True
            )(generator.params, discriminator.params, batch)
            generator = train.update(generator, grads, optimizer, ema_decay)
            info = {
                "loss": total,
                "reconstruction_loss": error,
                "discriminator_loss": loss,
            }
            return (generator, discriminator), info

        players = state.generator, state.discriminator
        players, info = jax.lax.scan(play, players, jnp.arange(num_steps))
        generator, discriminator = players
        state = state._replace(
            iteration=state.iteration + 1,
            generator=generator,
            discriminator=discriminator,
        )
        return state._replace(x=moved(key_draw, state, data)), info

    @jax.jit
    def impute(key, state, data, draw: Draw | None = None):
        return moved(key, state, data, draw)

    return Imputer(init, step, impute, num_iterations)
