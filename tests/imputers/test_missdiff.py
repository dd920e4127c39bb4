"""MissDiff and the diffusion that it shares with TabCSDI."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer
from miri_jax.engine import fit
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import _ddpm, make_imputer, missdiff
from miri_jax.types import Bounds, Masked

WIDE = Bounds(jnp.full(2, -9.0), jnp.full(2, 9.0))


def test_schedule_equals_its_closed_form():
    """Appendix C.4, with alpha_bar as a product in double precision."""
    schedule = _ddpm.quadratic_schedule(100)
    t = np.arange(1, 101)
    beta = ((100 - t) / 99 * 1e-4**0.5 + (t - 1) / 99 * 0.5**0.5) ** 2
    alpha_bar = np.cumprod(1 - beta)
    np.testing.assert_allclose(schedule.beta[1:], beta, rtol=1e-6)
    np.testing.assert_allclose(schedule.signal[1:], alpha_bar**0.5, rtol=1e-6)
    np.testing.assert_allclose(
        schedule.noise[1:], (1 - alpha_bar) ** 0.5, rtol=1e-6
    )
    assert float(schedule.beta[1]) == pytest.approx(1e-4)
    assert float(schedule.beta[100]) == pytest.approx(0.5)
    assert float(schedule.signal[100]) < 1e-3  # nothing of the data is left
    assert [float(part[0]) for part in schedule] == [0, 1, 0]


def test_diffusion_ends_in_the_data_and_in_noise():
    schedule = _ddpm.quadratic_schedule(100)
    x0, noise = jnp.array([5.0, -3.0]), jnp.array([0.3, 1.0])
    at = lambda t: _ddpm.diffuse(schedule, x0, noise, jnp.int32(t))
    np.testing.assert_array_equal(at(0), x0)
    np.testing.assert_allclose(at(100), noise, atol=3e-3)


def test_step_decay_at_the_stated_shares():
    """The rate falls to a tenth at 25, 50, 75 and 90 % of the steps."""
    optimizer = _ddpm.step_decay_adam(1.0, 100)
    params = jnp.zeros(())
    state = optimizer.init(params)
    update_fn = jax.jit(optimizer.update)
    sizes = []
    for _ in range(100):
        # Adam's step for a constant gradient is the rate itself.
        update, state = update_fn(jnp.ones(()), state, params)
        sizes.append(-float(update))
    for at, size in ((24, 1), (25, 0.1), (50, 1e-2), (75, 1e-3), (90, 1e-4)):
        assert sizes[at] == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize(
    "rows, steps",
    [
        (10, _ddpm.MIN_STEPS),
        (64 * 80, 80 * 250),
        (64 * 80 + 1, 81 * 250),
        (10**6, _ddpm.MAX_STEPS),
    ],
)
def test_steps_are_epochs_within_bounds(rows, steps):
    assert _ddpm.epoch_steps(rows, 64) == steps


def test_ancestral_sampling_of_a_normal_is_as_computed():
    """Mean and deviation with the true noise of N(mean, scale^2).

    All is linear. With sigma_t as in the public code of CSDI, 100 steps lose
    some 5 % of the deviation.
    """
    schedule = _ddpm.quadratic_schedule(100)
    mean, scale = np.array([1.0, -0.5]), np.array([0.5, 1.0])
    beta, signal, noise = (np.asarray(part, np.float64) for part in schedule)
    variance = np.ones(2)
    for t in range(100, 0, -1):
        total = (signal[t] * scale) ** 2 + noise[t] ** 2
        eps = noise[t] / total  # of x_t less its mean
        kept = (1 - beta[t] / noise[t] * eps) / np.sqrt(1 - beta[t])
        sigma2 = beta[t] * (noise[t - 1] / noise[t]) ** 2
        variance = kept**2 * variance + sigma2
    deviation = np.sqrt(variance)
    np.testing.assert_allclose(deviation, scale, rtol=0.06)

    mean, scale = jnp.asarray(mean, "float32"), jnp.asarray(scale, "float32")

    def predict(x, t):
        variance = (schedule.signal[t] * scale) ** 2 + schedule.noise[t] ** 2
        return schedule.noise[t] / variance * (x - schedule.signal[t] * mean)

    n = 4000
    x = jax.vmap(lambda key: _ddpm.ancestral(key, predict, schedule, WIDE))(
        jax.random.split(jax.random.key(0), n)
    )
    assert np.all(abs(x.mean(0) - mean) < 4 * scale / n**0.5)
    np.testing.assert_allclose(x.std(0), deviation, rtol=4 / (2 * n) ** 0.5)
    assert abs(np.corrcoef(x.T)[0, 1]) < 4 / n**0.5


def test_estimates_of_the_data_stay_within_bounds():
    """Also where the network predicts nonsense."""
    schedule = _ddpm.quadratic_schedule(20)
    bounds = Bounds(jnp.array([-1.0, 0.0]), jnp.array([1.0, 0.0]))
    nonsense = lambda x, t: 50 * jnp.square(x) - 7
    x = _ddpm.ancestral(jax.random.key(0), nonsense, schedule, bounds)
    assert abs(float(x[0])) <= 1 and float(x[1]) == 0


def _batch(key, n=64):
    key_x, key_m, key_noise = jax.random.split(key, 3)
    return _ddpm.Batch(
        inputs=(jax.random.normal(key_x, (n, 3)),),
        noise=jax.random.normal(key_noise, (n, 3)),
        counts=jax.random.bernoulli(key_m, 0.6, (n, 3)),
        t=jnp.ones(n, jnp.int32),
    )


def test_loss_of_a_zero_network_is_the_mean_square_of_the_noise(key):
    batch = _batch(key)
    zero = lambda params, inputs, t: jnp.zeros_like(inputs[0])
    loss, _ = _ddpm.noise_loss((), zero, batch)
    expected = np.mean(np.asarray(batch.noise)[np.asarray(batch.counts)] ** 2)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_loss_ignores_entries_that_do_not_count(key):
    """Neither what is predicted there nor the noise there."""
    batch = _batch(key)
    same = lambda params, inputs, t: inputs[0]
    loss, _ = _ddpm.noise_loss((), same, batch)
    off = jnp.where(batch.counts, 0, jnp.nan)
    other = batch._replace(
        inputs=(batch.inputs[0] + off,), noise=batch.noise - off
    )
    assert float(_ddpm.noise_loss((), same, other)[0]) == float(loss)
    empty = batch._replace(counts=jnp.zeros_like(batch.counts))
    assert float(_ddpm.noise_loss((), same, empty)[0]) == 0


def test_batches_are_diffused_rows_with_zeros_in_the_gaps(key, table):
    data, _ = table
    schedule = _ddpm.quadratic_schedule(50)
    hidden = Masked(jnp.where(data.m, data.x, jnp.nan), data.m)
    draw = jax.jit(missdiff.observed_batch, static_argnums=3)
    batch = draw(key, hidden, schedule, 500)
    t = np.asarray(batch.t)
    assert t.min() == 1 and t.max() == 50
    # Later the signal is too small to be told from rounding.
    early = t < 30
    x0 = batch.inputs[0] - schedule.noise[batch.t][:, None] * batch.noise
    x0 = np.asarray(x0 / schedule.signal[batch.t][:, None])[early]
    seen = np.asarray(batch.counts)[early]
    np.testing.assert_allclose(x0[~seen], 0, atol=1e-4)
    rows = np.where(data.m, data.x, 0)
    nearest = abs(x0[:, None] - rows[None]).max(-1).argmin(-1)
    np.testing.assert_allclose(x0, rows[nearest], atol=1e-4)
    np.testing.assert_array_equal(seen, np.asarray(data.m)[nearest])


def _true_noise(schedule, cov):
    def predict(inputs, t):
        signal, noise = schedule.signal[t], schedule.noise[t]
        total = signal**2 * cov + noise**2 * jnp.eye(2)
        return noise * jnp.linalg.solve(total, inputs[0])

    return predict


def _inpainted(rho, num_steps, resamplings):
    """Slope and deviation of x2 given x1 by Algorithm 2 and the true score.

    All of it is linear: x2 = slope * x1 + noise, of which each step changes the
    slope and the variance.
    """
    beta = np.linspace(1e-4**0.5, 0.5**0.5, num_steps) ** 2
    alpha_bar = np.cumprod(np.append(1.0, 1 - beta))
    cov = np.array([[1, rho], [rho, 1]])
    slope, variance = 0.0, 1.0
    for t in range(num_steps, 0, -1):
        a, before, b = alpha_bar[t], alpha_bar[t - 1], beta[t - 1]
        x0 = np.sqrt(a) * cov @ np.linalg.inv(a * cov + (1 - a) * np.eye(2))
        by_x0 = np.sqrt(before) * b / (1 - a) * x0[1]
        by_x2 = by_x0[1] + np.sqrt(1 - b) * (1 - before) / (1 - a)
        for k in range(resamplings):
            if k:
                slope = np.sqrt(1 - b) * slope
                variance = (1 - b) * variance + b
            slope = by_x2 * slope + by_x0[0] * np.sqrt(a)
            variance = by_x2**2 * variance + by_x0[0] ** 2 * (1 - a)
            variance += b * (1 - before) / (1 - a)
    return slope, variance**0.5


@pytest.mark.parametrize("resamplings, near", [(1, 0.49), (5, 0.73)])
def test_inpainting_with_the_true_score_is_as_biased_as_computed(
    resamplings, near
):
    """Correlation 0.8: Algorithm 2 itself does not come out at 0.8."""
    num_steps, n = 100, 2000
    schedule = _ddpm.quadratic_schedule(num_steps)
    cov = jnp.array([[1, 0.8], [0.8, 1]])
    given = np.linspace(-2, 2, n, dtype=np.float32)
    one = lambda key, x: missdiff.inpaint(
        key,
        _true_noise(schedule, cov),
        schedule,
        WIDE,
        jnp.stack([x, jnp.nan]),
        jnp.array([True, False]),
        resamplings=resamplings,
    )
    keys = jax.random.split(jax.random.key(0), n)
    x = jax.jit(jax.vmap(one))(keys, given)
    x = np.asarray(x)
    np.testing.assert_allclose(x[:, 0], given, atol=1e-6)
    slope, intercept = np.polyfit(given, x[:, 1], 1)
    expected, deviation = _inpainted(0.8, num_steps, resamplings)
    assert expected == pytest.approx(near, abs=0.005)
    error = deviation / n**0.5
    assert slope == pytest.approx(expected, abs=4 * error / np.std(given))
    assert intercept == pytest.approx(0, abs=4 * error)
    residual = x[:, 1] - slope * given
    assert np.std(residual) == pytest.approx(deviation, rel=4 / (2 * n) ** 0.5)


@pytest.fixture(scope="module")
def normal(plane):
    """A fit to a normal plane, correlation 0.8, 20 % missing."""
    imputer = make_imputer(
        "missdiff",
        num_iterations=2,
        num_steps=700,
        batch_size=64,
        learning_rate=4e-3,
        model={"width": 32, "depth": 1},
    )
    return imputer, fit(jax.random.key(0), imputer, plane)


def test_generated_rows_have_the_mean_and_covariance(normal):
    """Within 0.15: zeros in the gaps of what it learns from cost a little."""
    imputer, state = normal
    x = np.asarray(imputer.sample(jax.random.key(1), state, (2000, 2)))
    np.testing.assert_allclose(x.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(np.cov(x.T), [[1, 0.8], [0.8, 1]], atol=0.15)


def test_imputation_is_near_what_the_true_score_gives(normal):
    """Within 0.1 of the conditional mean that Algorithm 2 has, which is biased.

    The deviation comes out larger, here by up to 0.15: the score is learned
    from rows with zeros in their gaps.
    """
    imputer, state = normal
    given = np.linspace(-1.5, 1.5, 2000, dtype=np.float32)
    x = jnp.stack([jnp.asarray(given), jnp.zeros(2000)], axis=1)
    m = jnp.ones((2000, 2), bool).at[:, 1].set(False)
    drawn = imputer.impute(jax.random.key(2), state, Masked(x, m))[:, 1]
    slope, intercept = np.polyfit(given, drawn, 1)
    expected, deviation = _inpainted(0.8, 100, 1)
    assert slope == pytest.approx(expected, abs=0.1)
    assert intercept == pytest.approx(0.0, abs=0.1)
    residual = np.std(drawn - slope * given)
    assert residual == pytest.approx(deviation, abs=0.15)


def test_rows_of_another_width_are_refused(normal):
    imputer, state = normal
    with pytest.raises(ConfigError, match="rows of shape \\(3,\\)"):
        imputer.sample(jax.random.key(0), state, (5, 3))


def test_the_network_is_told_of_gaps_among_levels():
    """A gap is a category of its own (appendix C.4), and no number is one."""
    rng = np.random.default_rng(0)
    data = Masked(
        jnp.asarray(rng.standard_normal((40, 3)), jnp.float32),
        jnp.asarray(rng.random((40, 3)) < 0.5),
    )
    schedule = _ddpm.quadratic_schedule(10)
    levels = (False, True, True)
    batch = missdiff.observed_batch(
        jax.random.key(0), data, schedule, 64, levels=levels
    )
    x_t, missing = batch.inputs
    assert x_t.shape == missing.shape == (64, 3)
    np.testing.assert_array_equal(missing[:, 0], 0)
    np.testing.assert_array_equal(missing[:, 1:], ~batch.counts[:, 1:])
    plain = missdiff.observed_batch(jax.random.key(0), data, schedule, 64)
    np.testing.assert_array_equal(plain.inputs[0], x_t)
    assert len(plain.inputs) == 1


def test_tables_with_levels_are_filled_and_generated():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.standard_normal(60), "b": rng.choice([*"xyz"], 60)}
    )
    frame = frame.mask(rng.random(frame.shape) < 0.3)
    few = {"num_iterations": 1, "num_steps": 5, "diffusion_steps": 4}
    imputer = MIRIImputer("missdiff", settings=few, random_state=0).fit(frame)
    for made in (imputer.transform(frame), imputer.sample(7)):
        assert made.notna().all(axis=None)
        assert set(made["b"]) <= set("xyz")
