"""KnewImp: denoising score matching, kernel velocity, where the flow ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.engine import fit
from miri_jax.imputers import knewimp, make_imputer
from miri_jax.types import Bounds, Masked

COV = np.array([[1.0, 0.8], [0.8, 1.0]])
# No partners: the kernel's mean is over the row itself.
ALONE = knewimp.Particles(jnp.zeros((0, 2)), jnp.zeros((0, 2)))


def _normal_score(scale, x):
    """Score of N(0, scale COV)."""
    precision = jnp.asarray(np.linalg.inv(COV), jnp.float32)
    return -(precision @ x) / scale


def test_denoising_loss_is_smallest_at_the_smoothed_score():
    """For N(0, v) the score of the smoothed data is -x / (v + sigma^2), where
    the loss is v / (v + sigma^2); any other slope a costs more, by
    sigma^2 (v + sigma^2) (a - a*)^2."""
    v, sigma, n = 4.0, 0.5, 400_000
    key_x, key_noise = jax.random.split(jax.random.key(0))
    x = v**0.5 * jax.random.normal(key_x, (n, 1))
    noise = jax.random.normal(key_noise, (n, 1))
    best = 1 / (v + sigma**2)
    for slope in (best, best + 0.3, best - 0.2):
        found = knewimp.score_loss(
            jnp.float32(slope),
            lambda slope, x: -slope * x,
            x,
            noise,
            sigma,
            jnp.ones((n, 1)),
        )
        excess = sigma**2 * (v + sigma**2) * (slope - best) ** 2
        expected = v * best + excess
        assert float(found) == pytest.approx(expected, abs=6 / n**0.5)


def test_denoising_loss_leaves_out_what_has_no_weight():
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    weight = jnp.array([[1.0, 0.0], [0.0, 0.0]])
    noise = jnp.array([[0.5, 9.0], [9.0, 9.0]])
    found = knewimp.score_loss(None, lambda _, x: x, x, noise, 0.1, weight)
    assert float(found) == pytest.approx((0.1 * 1.05 + 0.5) ** 2, rel=1e-5)


@pytest.mark.parametrize("entropy_reg", [10.0, -1.0])
def test_velocity_equals_the_double_loop(entropy_reg):
    rng = np.random.default_rng(0)
    x, score = rng.standard_normal((2, 5, 3))
    h = 0.7
    kernel = lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * h**2))
    for i in range(5):
        expected = np.zeros(3)
        for j in range(5):
            grad = np.zeros(3)
            for c in range(3):  # in x', numerically
                e = 1e-5 * np.eye(3)[c]
                up, down = kernel(x[i], x[j] + e), kernel(x[i], x[j] - e)
                grad[c] = (up - down) / 2e-5
            expected += kernel(x[i], x[j]) * score[j] - entropy_reg * grad
        others = np.arange(5) != i
        found = knewimp.kernel_velocity(
            jnp.asarray(x[i], jnp.float32),
            jnp.asarray(score[i], jnp.float32),
            knewimp.Particles(
                jnp.asarray(x[others], jnp.float32),
                jnp.asarray(score[others], jnp.float32),
            ),
            h,
            entropy_reg,
        )
        np.testing.assert_allclose(found, expected / 5, rtol=2e-4, atol=1e-5)


def test_negative_entropy_draws_particles_together():
    """Where the score is flat, lambda > 0 leads to the others, and the sign of
    Stein variational gradient descent away from them."""
    others = knewimp.Particles(jnp.array([[0.5, 0.0]]), jnp.zeros((1, 2)))
    for entropy_reg, sign in ((10.0, 1), (-1.0, -1)):
        u = knewimp.kernel_velocity(
            jnp.zeros(2), jnp.zeros(2), others, 0.5, entropy_reg
        )
        assert sign * float(u[0]) > 0.1 and float(u[1]) == 0


def test_flow_ends_at_the_conditional_mode_and_observed_entries_stay():
    """With the exact score, E[x2 | x1] = 0.8 x1 from any start."""
    x = jnp.array([[1.5, -2.0], [-1.0, 3.0], [0.3, 0.7]])
    m = jnp.array([[True, False], [True, False], [True, True]])
    flow = lambda x, m: knewimp.flow_row(
        x,
        m,
        lambda x: _normal_score(1.0, x),
        ALONE,
        Bounds(jnp.full(2, -5.0), jnp.full(2, 5.0)),
        num_steps=300,
        step_size=0.1,
        bandwidth=0.5,
        entropy_reg=10.0,
    )
    moved = np.asarray(jax.jit(jax.vmap(flow))(x, m))
    np.testing.assert_allclose(moved[:2, 1], [1.2, -0.8], atol=0.02)
    np.testing.assert_array_equal(moved[:, 0], x[:, 0])
    np.testing.assert_array_equal(moved[2], x[2])


SETTINGS = knewimp.KnewImpSettings(
    num_steps=400,
    batch_size=128,
    learning_rate=5e-3,
    noise_scale=0.5,
    imputed_weight=0.0,
    initial_noise=0.1,
    flow_steps=5,
    step_size=0.1,
    bandwidth=0.7,
    entropy_reg=10.0,
    num_partners=4,
    chunk=3,
    model={"width": 16, "depth": 1},
)


@pytest.fixture(scope="module")
def start():
    """Twelve rows with gaps, and the state before the first step."""
    rng = np.random.default_rng(0)
    truth = rng.multivariate_normal(np.zeros(2), COV, 12).astype(np.float32)
    m = rng.random(truth.shape) > 0.4
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    init = jax.jit(partial(knewimp.init, SETTINGS))
    return data, init(jax.random.key(0), data)


def test_the_start_is_the_means_and_a_little_noise(start):
    data, state = start
    m, x = np.asarray(data.m), np.asarray(state.x)
    np.testing.assert_array_equal(x[m], data.x[m])
    mean = np.nanmean(np.where(m, data.x, np.nan), axis=0)
    np.testing.assert_allclose(state.mean, mean, atol=1e-6)
    away = (x - mean)[~m]
    assert 0 < abs(away).min() and abs(away).max() < 4 * 0.1
    assert len(set(state.rows.tolist())) == 4
    np.testing.assert_array_equal(state.partners, x[np.asarray(state.rows)])


def test_batches_weigh_imputed_entries_as_they_are_told(start):
    data, state = start
    for weight in (0.0, 0.25):
        batch = knewimp.draw_noisy(
            SETTINGS._replace(imputed_weight=weight),
            jax.random.key(1),
            state.x,
            data.m,
        )
        same = np.asarray(batch.x)[:, None] == np.asarray(state.x)[None]
        rows = same.all(-1).argmax(1)
        assert same[range(128), rows].all()
        expected = np.where(np.asarray(data.m)[rows], 1, weight)
        np.testing.assert_array_equal(batch.weight, expected)
    assert abs(np.mean(batch.noise)) < 4 / 256**0.5
    assert np.std(batch.noise) == pytest.approx(1, abs=4 / 512**0.5)


def test_score_matching_learns_the_score_of_the_smoothed_normal():
    """-x / (1 + sigma^2) for N(0, 1), from observed entries alone."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((4000, 1)), jnp.float32)
    m = jnp.arange(4000)[:, None] % 4 > 0
    x = jnp.where(m, x, 3.0)  # imputed entries have no weight
    data = Masked(x, m)
    state = knewimp.init(SETTINGS, jax.random.key(0), data)
    fit_score = jax.jit(partial(knewimp.fit_score, SETTINGS))
    network, losses = fit_score(jax.random.key(1), state.train, x, m)
    assert losses.shape == (400,)
    assert np.mean(losses[-50:]) < np.mean(losses[:20])
    at = jnp.linspace(-1.5, 1.5, 7)[:, None]
    score = partial(knewimp.score, SETTINGS, network.params)
    found = jax.vmap(score)(at)
    np.testing.assert_allclose(found, -at / (1 + 0.5**2), atol=0.25)


def test_the_flow_of_a_table_equals_the_loop_over_its_rows(start):
    """Adam's steps along the kernel's velocity, in NumPy."""
    data, state = start
    flow = jax.jit(partial(knewimp.flow_table, SETTINGS))
    found = flow(jax.random.key(1), state, data, state.x)
    score = jax.jit(partial(knewimp.score, SETTINGS, state.train.params))
    partners = np.asarray(state.partners)
    scores = np.stack([score(x) for x in partners])
    low, high = map(np.asarray, state.bounds)
    m, expected = np.asarray(data.m), np.array(state.x)
    for i in range(len(expected)):
        x, first, second = expected[i], np.zeros(2), np.zeros(2)
        for t in range(1, 6):
            u = np.array(score(jnp.asarray(x)), np.float64)
            for other, s in zip(partners, scores):
                k = np.exp(-np.sum((x - other) ** 2) / (2 * 0.7**2))
                u += k * s - 10.0 * k * (x - other) / 0.7**2
            down = np.where(m[i], 0, -u / 5)
            first = 0.9 * first + 0.1 * down
            second = 0.999 * second + 0.001 * down**2
            size = first / (1 - 0.9**t)
            size = size / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
            moved = np.clip(x - 0.1 * size, low, high)
            x = np.where(m[i], x, moved).astype(np.float32)
        expected[i] = x
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert abs(np.asarray(found) - state.x)[~m].max() > 0.1


@pytest.mark.parametrize("fresh", [False, True])
def test_the_flow_leaves_observed_entries_to_the_bit(start, fresh):
    """Though what is not finite, as the score of an outlier, drives it."""
    data, state = start
    wild = data.x.at[0].set(1e30)
    data = Masked(wild, data.m.at[0].set(jnp.array([True, False])))
    x = None if fresh else jnp.where(data.m, data.x, state.x)
    flow = jax.jit(partial(knewimp.flow_table, SETTINGS))
    found = flow(jax.random.key(1), state, data, x)
    m, found = np.asarray(data.m), np.asarray(found)
    bits = lambda a: np.asarray(a, np.float32).view(np.int32)
    np.testing.assert_array_equal(bits(found)[m], bits(data.x)[m])
    low, high = map(np.asarray, state.bounds)
    inside = (found >= low) & (found <= high)
    assert np.isfinite(found).all() and inside[~m].all()


@pytest.mark.slow
def test_knewimp_ends_at_the_smoothed_mode_of_a_normal():
    """Where particles follow p, Stein's identity makes both terms of the
    velocity multiples of E_x'[k(x, x') (x' - x)], which vanishes at the modes
    of p smoothed by the kernel: for p = N(0, COV) at x2 = 0.8 / (1 + h^2) x1.
    The error is the score network's and that of imputed rows among the
    particles."""
    rng = np.random.default_rng(0)
    truth = rng.multivariate_normal(np.zeros(2), COV, 2000).astype(np.float32)
    m = np.ones(truth.shape, bool)
    m[:600, 1] = False
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    imputer = make_imputer(
        "knewimp",
        num_iterations=2,
        num_steps=400,
        batch_size=256,
        learning_rate=3e-3,
        flow_steps=100,
        entropy_reg=1.0,
        model={"width": 32},
    )
    state = fit(jax.random.key(0), imputer, data)
    new = imputer.impute(jax.random.key(1), state, data)
    for x in (np.asarray(state.x), np.asarray(new)):
        slope, offset = np.polyfit(x[:600, 0], x[:600, 1], 1)
        assert slope == pytest.approx(0.8 / (1 + 0.5**2), abs=0.08)
        assert offset == pytest.approx(0.0, abs=0.1)
    np.testing.assert_array_equal(state.partners, state.x[state.rows])
