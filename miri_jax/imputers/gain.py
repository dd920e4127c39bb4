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
from miri_jax.imputers._form import compiled
from miri_jax.models import MLP, UNet, matched_network
from miri_jax.settings import Range
from miri_jax.types import Array, Bounds, Draw, Imputer, Info, Masked, PyTree

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


class GAINSettings(NamedTuple):
    """See `make_gain`."""

    num_steps: int
    batch_size: int
    learning_rate: float
    hint_rate: float
    alpha: float
    ema_decay: float
    chunk: int
    model: Mapping[str, Any] | None

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Of both networks."""
        return optax.adam(self.learning_rate)

    def network(self, example: Array) -> MLP | UNet:
        """Generator or discriminator of examples as one, `[*dims]`."""
        return matched_network(example, self.model)


class Players(NamedTuple):
    """The two networks, as in `GAINState`."""

    generator: train.TrainState
    discriminator: train.TrainState


class Hinted(NamedTuple):
    """Rows with hints: what both updates of one step see.

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


def generate(
    settings: GAINSettings, params: PyTree, x: Array, m: Array
) -> Array:
    """One example's entries in [0, 1], `[*dims]`, from noise in its gaps."""
    network = settings.network(x)
    return jax.nn.sigmoid(network.apply({"params": params}, x, m))


def discriminate(
    settings: GAINSettings, params: PyTree, x: Array, hint: Array
) -> Array:
    """Log odds `[*dims]` that entries of a filled example are observed."""
    return settings.network(x).apply({"params": params}, x, hint)


def fill_batch(
    settings: GAINSettings, params: PyTree, batch: Hinted
) -> tuple[Array, Array]:
    """What the generator makes of a batch, and the batch filled with it.

    Returns:
      `[b, *dims]` each, in [0, 1].
    """
    one = partial(generate, settings)
    generated = jax.vmap(one, (None, 0, 0))(params, batch.x, batch.m)
    return generated, merge(batch.x, generated, batch.m)


def judge_batch(
    settings: GAINSettings, params: PyTree, filled: Array, batch: Hinted
) -> Array:
    """The discriminator's log odds `[b, *dims]` of a filled batch."""
    one = partial(discriminate, settings)
    return jax.vmap(one, (None, 0, 0))(params, filled, batch.hint)


def discriminator_objective(
    params: PyTree, settings: GAINSettings, filled: Array, batch: Hinted
) -> Array:
    """What the discriminator lowers, a function of its parameters.

    Args:
      params: the discriminator's.
      settings: of the method.
      filled: `[b, *dims]`, the batch as the generator fills it.
      batch: the batch.
    """
    logits = judge_batch(settings, params, filled, batch)
    return discriminator_loss(logits, batch.m, batch.revealed)


def generator_objective(
    params: PyTree, settings: GAINSettings, rival: PyTree, batch: Hinted
) -> tuple[Array, Array]:
    """What the generator lowers, a function of its parameters.

    Args:
      params: the generator's.
      settings: of the method.
      rival: the discriminator's parameters.
      batch: the batch.

    Returns:
      The objective, and the error of reconstruction in it.
    """
    generated, filled = fill_batch(settings, params, batch)
    logits = judge_batch(settings, rival, filled, batch)
    adversarial = adversarial_loss(logits, batch.m, batch.revealed)
    error = reconstruction_loss(batch.x, generated, batch.m)
    return adversarial + settings.alpha * error, error


def draw_hinted(
    settings: GAINSettings, key: Array, x: Array, m: Array
) -> Hinted:
    """Draws rows of a table `[n, *dims]` in [0, 1], noise and hints."""
    key_rows, key_noise, key_hint = jax.random.split(key, 3)
    rows = jax.random.randint(
        key_rows, (settings.batch_size,), 0, len(x), jnp.int32
    )
    m = m[rows]
    noise = jax.random.uniform(key_noise, m.shape, x.dtype, 0, NOISE_SCALE)
    hint, revealed = draw_hint(key_hint, m, settings.hint_rate)
    return Hinted(merge(x[rows], noise, m), m, hint, revealed)


def play(
    settings: GAINSettings, players: Players, batch: Hinted
) -> tuple[Players, Info]:
    """One update of the discriminator, then one of the generator.

    Both see the same batch; the generator meets the discriminator after its
    update.
    """
    generator, discriminator = players
    _, filled = fill_batch(settings, generator.params, batch)
    loss, grads = jax.value_and_grad(discriminator_objective)(
        discriminator.params, settings, filled, batch
    )
    discriminator = train.update(discriminator, grads, settings.optimizer)
    (total, error), grads = jax.value_and_grad(
        generator_objective, has_aux=True
    )(generator.params, settings, discriminator.params, batch)
    generator = train.update(
        generator, grads, settings.optimizer, settings.ema_decay
    )
    info = {
        "loss": total,
        "reconstruction_loss": error,
        "discriminator_loss": loss,
    }
    return Players(generator, discriminator), info


def init(settings: GAINSettings, key: Array, data: Masked) -> GAINState:
    """Two fresh networks, and zeros in the gaps."""
    key_generator, key_discriminator = jax.random.split(key)

    def fresh(key: Array) -> train.TrainState:
        x = data.x[0]
        params = settings.network(x).init(key, x, x)["params"]
        return train.init_train_state(params, settings.optimizer)

    return GAINState(
        iteration=jnp.int32(0),
        x=merge(data.x, jnp.zeros_like(data.x), data.m),
        bounds=observed_bounds(data.x, data.m),
        generator=fresh(key_generator),
        discriminator=fresh(key_discriminator),
    )


def step(
    settings: GAINSettings, key: Array, state: GAINState, data: Masked
) -> tuple[GAINState, Info]:
    """`num_steps` updates of both networks, and a draw of the table."""
    key_fit, key_draw = jax.random.split(key)
    to_units = jax.vmap(to_unit, (0, 0, None))
    x = to_units(data.x, data.m, state.bounds)

    def one(players: Players, s: Array) -> tuple[Players, Info]:
        key = jax.random.fold_in(key_fit, s)
        return play(settings, players, draw_hinted(settings, key, x, data.m))

    players = Players(state.generator, state.discriminator)
    players, info = jax.lax.scan(one, players, jnp.arange(settings.num_steps))
    state = state._replace(
        iteration=state.iteration + 1,
        generator=players.generator,
        discriminator=players.discriminator,
    )
    return state._replace(x=impute(settings, key_draw, state, data)), info


def impute(
    settings: GAINSettings,
    key: Array,
    state: GAINState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A draw by the average of the generator's weights."""
    low, high = state.bounds

    def move(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
        del x  # the old filling
        unit = to_unit(x_obs, m, state.bounds)
        uniform = NOISE_SCALE * jax.scipy.special.ndtr(noise)
        unit = merge(unit, uniform, m)
        unit = generate(settings, state.generator.ema, unit, m)
        return low + (high - low) * unit

    rows = gap_rows(data.m)
    return move_rows(key, data.x, data, rows, move, settings.chunk, draw)


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
    about as well on 1599. Each draw has other noise, but of so small a
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
    settings = GAINSettings(
        num_steps=num_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        hint_rate=hint_rate,
        alpha=alpha,
        ema_decay=ema_decay,
        chunk=chunk,
        model=model,
    )
    return compiled(
        settings, num_iterations, init=init, step=step, impute=impute
    )
