"""GAIN: hint, losses, what a discriminator can and cannot tell."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from miri_jax.core import train
from miri_jax.core.statistics import observed_bounds
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import gain, make_imputer
from miri_jax.models import MLP
from miri_jax.types import Masked

RATE = 0.3
ENTROPY = -RATE * np.log(RATE) - (1 - RATE) * np.log(1 - RATE)


def _correlated(n, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n, 2)).astype(np.float32)
    truth[:, 1] = 0.8 * truth[:, 0] + 0.6 * truth[:, 1]
    return truth, rng.random(truth.shape) > RATE


def test_hint_reveals_its_share_and_is_neutral_elsewhere(key):
    key_mask, key_hint = jax.random.split(key)
    m = jax.random.bernoulli(key_mask, 0.7, (5000, 4))
    hint, revealed = gain.draw_hint(key_hint, m, 0.9)
    hint, revealed, m = map(np.asarray, (hint, revealed, m))
    np.testing.assert_array_equal(hint[revealed], m[revealed])
    np.testing.assert_array_equal(hint[~revealed], 0.5)
    # Each entry by itself, whatever the mask says.
    for part in (revealed[m], revealed[~m]):
        error = 4 * (0.9 * 0.1 / part.size) ** 0.5
        assert part.mean() == pytest.approx(0.9, abs=error)
    np.testing.assert_allclose(
        np.corrcoef(revealed.T), np.eye(4), atol=4 / 5000**0.5
    )


def test_losses_equal_their_closed_forms():
    probability = np.array([[0.9, 0.2, 0.6], [0.3, 0.5, 0.8]])
    logits = jnp.asarray(np.log(probability / (1 - probability)), jnp.float32)
    m = jnp.array([[True, False, False], [True, True, False]])
    revealed = jnp.array([[False, False, True], [True, False, False]])
    # Not revealed: (0, 0), (0, 1), (1, 1), (1, 2).
    expected = -(np.log(0.9) + np.log(0.8) + np.log(0.5) + np.log(0.2)) / 4
    found = gain.discriminator_loss(logits, m, revealed)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    expected = -(np.log(0.2) + np.log(0.8)) / 4
    found = gain.adversarial_loss(logits, m, revealed)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    x = jnp.array([[0.1, 9.0, 9.0], [0.4, 0.8, 9.0]])
    generated = jnp.array([[0.3, 0.0, 0.0], [0.4, 0.7, 0.0]])
    found = gain.reconstruction_loss(x, generated, m)
    assert float(found) == pytest.approx((0.04 + 0.01) / 3, rel=1e-5)


def test_losses_are_finite_where_nothing_counts():
    huge = jnp.array([[1e4, -1e4]])
    m = jnp.array([[False, True]])
    hidden = jnp.zeros_like(m)
    loss = lambda f, revealed: np.asarray(f(huge, m, revealed))
    for f in (gain.discriminator_loss, gain.adversarial_loss):
        assert np.isfinite(loss(f, hidden)) and loss(f, ~hidden) == 0


def test_unit_scale_comes_from_observed_entries_only():
    x = jnp.array([[1.0, 5.0, 99.0], [3.0, 99.0, 99.0], [99.0, 5.0, 99.0]])
    m = x < 99
    bounds = observed_bounds(x, m)
    np.testing.assert_array_equal(bounds.low, [1, 5, 0])
    np.testing.assert_array_equal(bounds.high - bounds.low, [2, 0, 0])
    unit = jax.vmap(gain.to_unit, (0, 0, None))(x, m, bounds)
    np.testing.assert_array_equal(unit, [[0, 0, 0], [1, 0, 0], [0, 0, 0]])


SETTINGS = gain.GAINSettings(
    num_steps=1,
    batch_size=64,
    learning_rate=1e-3,
    hint_rate=0.5,
    alpha=10.0,
    ema_decay=0.9,
    chunk=64,
    model={"width": 8, "depth": 1},
)


@pytest.fixture(scope="module")
def game():
    """A table, its state before the first step, and one batch of it."""
    truth, m = _correlated(200)
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    init = jax.jit(partial(gain.init, SETTINGS))
    state = init(jax.random.key(0), data)
    unit = jax.vmap(gain.to_unit, (0, 0, None))(data.x, data.m, state.bounds)
    draw = jax.jit(partial(gain.draw_hinted, SETTINGS))
    batch = draw(jax.random.key(1), unit, data.m)
    players = gain.Players(state.generator, state.discriminator)
    return unit, data.m, players, batch


def test_a_batch_is_rows_with_noise_in_their_gaps(game):
    unit, m, _, batch = game
    assert batch.x.shape == batch.m.shape == (64, 2)
    unit, m, seen = map(np.asarray, (unit, m, np.where(batch.m, batch.x, 0)))
    rows = {(*x.tolist(), *o.tolist()) for x, o in zip(unit, m)}
    for x, o in zip(seen, np.asarray(batch.m)):
        assert (*x.tolist(), *o.tolist()) in rows
    noise = np.asarray(batch.x)[~np.asarray(batch.m)]
    assert (noise >= 0).all() and noise.max() < gain.NOISE_SCALE
    assert len(np.unique(noise)) == len(noise)


def test_a_filled_batch_keeps_what_was_observed(game):
    _, _, players, batch = game
    generated, filled = gain.fill_batch(
        SETTINGS, players.generator.params, batch
    )
    m = np.asarray(batch.m)
    made = np.asarray(generated)
    assert (made > 0).all() and (made < 1).all()
    np.testing.assert_array_equal(np.asarray(filled)[m], batch.x[m])
    np.testing.assert_array_equal(np.asarray(filled)[~m], made[~m])


def test_objectives_are_their_losses(game):
    """Each is its losses at the rival's present parameters, in closed form."""
    _, _, (generator, discriminator), batch = game
    generated, filled = gain.fill_batch(SETTINGS, generator.params, batch)
    odds = gain.judge_batch(SETTINGS, discriminator.params, filled, batch)
    probability = 1 / (1 + np.exp(-np.asarray(odds, np.float64)))
    m, open_ = np.asarray(batch.m), ~np.asarray(batch.revealed)
    right = np.where(m, probability, 1 - probability)
    found = gain.discriminator_objective(
        discriminator.params, SETTINGS, filled, batch
    )
    assert float(found) == pytest.approx(-np.log(right[open_]).mean(), rel=1e-5)
    fooled = np.where(m, 0, -np.log(probability))[open_].mean()
    error = np.square(np.asarray(batch.x - generated)[m]).mean()
    total, part = gain.generator_objective(
        generator.params, SETTINGS, discriminator.params, batch
    )
    assert float(part) == pytest.approx(error, rel=1e-5)
    assert float(total) == pytest.approx(fooled + 10 * error, rel=1e-5)


def _play(settings, players, batch):
    return jax.jit(partial(gain.play, settings))(players, batch)


def test_one_step_lowers_the_loss_of_each_player(game):
    """On the batch of the step, with the other player held."""
    _, _, before, batch = game
    after, info = _play(SETTINGS, before, batch)
    _, filled = gain.fill_batch(SETTINGS, before.generator.params, batch)
    at = lambda players: gain.discriminator_objective(
        players.discriminator.params, SETTINGS, filled, batch
    )
    assert float(info["discriminator_loss"]) == pytest.approx(
        float(at(before)), rel=1e-5
    )
    assert at(after) < at(before)
    # The generator meets the discriminator after its update.
    at = lambda players: gain.generator_objective(
        players.generator.params, SETTINGS, after.discriminator.params, batch
    )[0]
    assert float(info["loss"]) == pytest.approx(float(at(before)), rel=1e-5)
    assert at(after) < at(before)


def test_the_generators_loss_leaves_the_discriminator_alone(game):
    """Its update is Adam's on its own loss, whatever the generator wants."""
    _, _, before, batch = game
    after, _ = _play(SETTINGS, before, batch)
    other, _ = _play(SETTINGS._replace(alpha=0.0), before, batch)
    chex.assert_trees_all_equal(after.discriminator, other.discriminator)
    assert not np.array_equal(
        jax.tree.leaves(after.generator.params)[1],
        jax.tree.leaves(other.generator.params)[1],
    )
    # By Adam's first step, each parameter moves by the rate against the sign.
    _, filled = gain.fill_batch(SETTINGS, before.generator.params, batch)
    params = before.discriminator.params
    objective = lambda p: gain.discriminator_objective(
        p, SETTINGS, filled, batch
    )
    grads = jax.jit(jax.grad(objective))(params)
    expected = jax.tree.map(
        lambda p, g: p - 1e-3 * g / (abs(g) + 1e-8), params, grads
    )
    chex.assert_trees_all_close(after.discriminator.params, expected, atol=1e-6)


def test_the_average_is_of_the_generators_weights_only(game):
    """The discriminator's is its last weights: no draw is made with it."""
    _, _, before, batch = game
    after, _ = _play(SETTINGS, before, batch)
    chex.assert_trees_all_equal(
        after.discriminator.ema, after.discriminator.params
    )
    # Warmed up: the first decay is 1 / 10.
    expected = jax.tree.map(
        lambda old, new: 0.1 * old + 0.9 * new,
        before.generator.params,
        after.generator.params,
    )
    chex.assert_trees_all_close(after.generator.ema, expected, atol=1e-6)


def _held_out_entropy(filled, m):
    """Cross-entropy on half the rows of a discriminator fitted to the rest."""
    network = MLP(width=32, depth=1, residual=True)
    discriminate = jax.vmap(
        lambda params, *parts: network.apply({"params": params}, *parts),
        (None, 0, 0),
    )
    filled, m, half = jnp.asarray(filled), jnp.asarray(m), len(m) // 2

    def sample_batch(key):
        key_rows, key_hint = jax.random.split(key)
        rows = jax.random.randint(key_rows, (256,), 0, half)
        return filled[rows], m[rows], *gain.draw_hint(key_hint, m[rows], 0.5)

    def loss_fn(params, batch):
        x, m, hint, revealed = batch
        logits = discriminate(params, x, hint)
        return gain.discriminator_loss(logits, m, revealed), {}

    params = network.init(jax.random.key(0), filled[0], filled[0])["params"]
    optimizer = optax.adam(3e-3)
    state, _ = jax.jit(
        lambda key, state: train.sgd(
            key,
            state,
            sample_batch,
            300,
            loss_fn=loss_fn,
            optimizer=optimizer,
        )
    )(jax.random.key(1), train.init_train_state(params, optimizer))
    hint, revealed = gain.draw_hint(jax.random.key(2), m[half:], 0.5)
    batch = filled[half:], m[half:], hint, revealed
    return float(loss_fn(state.params, batch)[0])


def test_discriminator_is_at_chance_on_a_perfect_imputation():
    """Section 2.2 of the MIRI paper: with data and mask independent, nothing
    tells which entries were filled; on means a great deal does."""
    truth, m = _correlated(6000)
    at_chance = _held_out_entropy(truth, m)
    # Of 3000 x 2 / 2 entries; log odds times the deviation of the mask.
    error = np.log(0.7 / 0.3) * (0.3 * 0.7 / 3000) ** 0.5
    assert at_chance == pytest.approx(ENTROPY, abs=4 * error)
    assert _held_out_entropy(np.where(m, truth, 0), m) < 0.5 * ENTROPY


def test_gain_comes_near_the_conditional_mean_of_a_normal():
    """Half as far from it as the column's mean, whose distance is 0.8. Nearer
    cannot be asked for: an adversary's equilibrium is circled, not reached, and
    slopes from 0.6 to 0.9 came from other seeds. Without a hint and with less
    weight on copying this takes the fewest steps."""
    truth, _ = _correlated(3000, seed=1)
    m = np.ones(truth.shape, bool)
    m[:1500, 1] = False
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    imputer = make_imputer(
        "gain",
        num_iterations=4,
        num_steps=500,
        learning_rate=3e-3,
        hint_rate=0.0,
        alpha=10.0,
        ema_decay=0.998,
        model={"width": 32, "depth": 1},
    )
    state = imputer.init(jax.random.key(0), data)
    for t in range(4):
        key = jax.random.fold_in(jax.random.key(100), t)
        state, info = imputer.step(key, state, data)
    assert np.mean(info["reconstruction_loss"]) < 1e-3
    x = np.asarray(state.x)[:1500]
    assert np.mean((x[:, 1] - 0.8 * x[:, 0]) ** 2) ** 0.5 < 0.4


def test_a_hint_of_everything_is_refused():
    with pytest.raises(ConfigError, match="hint_rate is 1.0"):
        make_imputer("gain", hint_rate=1.0)
