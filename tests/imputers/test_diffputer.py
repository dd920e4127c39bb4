"""DiffPuter against closed forms of normal distributions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.engine import fit
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import diffputer, make_imputer
from miri_jax.imputers.diffputer import SIGMA_DATA
from miri_jax.types import Draw, Masked

COV = np.array([[1.0, 0.8], [0.8, 1.0]])


def _normal_denoiser(cov):
    """E[x | x + sigma eps] for x ~ N(0, SIGMA_DATA^2 cov)."""
    cov = SIGMA_DATA**2 * jnp.asarray(cov, jnp.float32)

    def denoise(x, sigma):
        noisy = cov + sigma**2 * jnp.eye(len(cov))
        return cov @ jnp.linalg.solve(noisy, x)

    return denoise


@functools.cache
def _sampler(denoiser, sampling_steps, num_resamples):
    levels = diffputer.sampler_levels(sampling_steps, num_resamples)
    return jax.jit(
        jax.vmap(
            lambda key, x, m: (
                diffputer.conditional_sample(
                    key, denoiser, SIGMA_DATA * x, m, levels
                )
                / SIGMA_DATA
            )
        )
    )


def _draw(denoiser, x, m, n=10000, sampling_steps=50, num_resamples=1):
    """`n` draws for one standardised row, `[n, d]`."""
    sampler = _sampler(denoiser, sampling_steps, num_resamples)
    keys = jax.random.split(jax.random.key(0), n)
    tile = lambda a: jnp.tile(jnp.asarray(a)[None], (n, 1))
    return np.asarray(sampler(keys, tile(x), tile(m)))


def test_noise_levels_run_from_80_to_0():
    levels = diffputer.noise_levels(50)
    assert levels.shape == (51,)
    assert np.all(np.diff(levels) < 0)
    np.testing.assert_allclose(levels[[0, -2]], [80, 0.002], rtol=1e-6)
    assert levels[-1] == 0
    # EDM's eq. 5: evenly spaced in sigma^(1 / 7).
    np.testing.assert_allclose(np.diff(levels[:-1] ** (1 / 7), 2), 0, atol=1e-9)


def test_levels_that_matter_are_resampled_but_the_last():
    sigma, after, renoise = map(np.asarray, diffputer.sampler_levels(6, 3))
    levels = diffputer.noise_levels(6)
    assert levels[2] > 5 * SIGMA_DATA > levels[3]
    order = np.array([0, 1, 2, 3, 3, 3, 4, 4, 4, 5])
    np.testing.assert_allclose(sigma, levels[order], rtol=1e-6)
    np.testing.assert_allclose(after, levels[order + 1], rtol=1e-6)
    again = np.array([0, 0, 0, 1, 1, 0, 1, 1, 0, 0], bool)
    np.testing.assert_array_equal(renoise > 0, again)
    # Noise added to the next level leads back to the level before.
    back = np.sqrt(after**2 + renoise**2)[again]
    np.testing.assert_allclose(back, sigma[again], rtol=1e-6)
    assert not np.any(diffputer.sampler_levels(6, 1).renoise)


def test_preconditioning_equals_its_closed_forms():
    """EDM's Table 1, with its limits of no and of much noise."""
    half = 0.5**0.5
    expected = {0.0: (1, 0, 2), SIGMA_DATA: (0.5, 0.5 * half, 2 * half)}
    for sigma, values in expected.items():
        found = diffputer.preconditioning(jnp.float32(sigma))
        np.testing.assert_allclose(found, values, rtol=1e-6)
    c_skip, c_out, c_in = diffputer.preconditioning(jnp.float32(80.0))
    assert c_skip < 1e-4
    assert float(c_out) == pytest.approx(SIGMA_DATA, rel=1e-4)
    assert float(c_in) == pytest.approx(1 / 80, rel=1e-4)
    ends = [diffputer.noise_time(jnp.float32(s)) for s in (0.002, 80)]
    np.testing.assert_allclose(ends, [0, 1], atol=1e-6)


def test_loss_equals_its_closed_form():
    """A network of zeros has a loss of 1 on data of deviation SIGMA_DATA; the
    exact denoiser has the weight times the posterior's variance."""
    n = 50_000
    key_x, key_loss = jax.random.split(jax.random.key(0))
    root = SIGMA_DATA * jnp.linalg.cholesky(jnp.asarray(COV, jnp.float32))
    x = jax.random.normal(key_x, (n, 2)) @ root.T

    def skip_only(x, sigma):
        return diffputer.preconditioning(sigma)[0] * x

    zero, _ = diffputer.edm_loss(jax.random.clone(key_loss), skip_only, x)
    assert float(zero) == pytest.approx(1, abs=0.02)
    # Along the eigenvector of variance v: weight * v sigma^2 / (v + sigma^2).
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    square = np.exp(2 * (-1.2 + 1.2 * points))
    data = SIGMA_DATA**2
    v = data * np.linalg.eigvalsh(COV)[:, None]
    values = (square + data) / (square * data) * v * square / (v + square)
    expected = np.mean(values @ weights) / weights.sum()
    exact, _ = diffputer.edm_loss(key_loss, _normal_denoiser(COV), x)
    assert float(exact) == pytest.approx(expected, rel=0.02)
    assert expected < 0.9


def test_sampler_reproduces_a_normal_distribution():
    """Nothing observed: mean within four standard errors, covariance within
    that and the 6 % by which 50 steps fall short."""
    x = _draw(_normal_denoiser(COV), np.zeros(2), np.zeros(2, bool))
    assert np.all(abs(x.mean(axis=0)) < 4 / len(x) ** 0.5)
    np.testing.assert_allclose(np.cov(x.T), COV, atol=0.06 + 0.04)
    # For independent columns the steps are exact.
    x = _draw(_normal_denoiser(np.eye(2)), np.zeros(2), np.zeros(2, bool))
    np.testing.assert_allclose(np.cov(x.T), np.eye(2), atol=4 * 0.014)


@pytest.mark.slow
def test_resampling_brings_the_conditional_distribution():
    """x2 = 1.5 seen: x1 is N(1.2, 0.6^2). Merging alone leaves the mean well
    short of it, as the MIRI paper says in section 5.3; resampling repairs it.
    """
    x, m = np.array([0.0, 1.5], np.float32), np.array([False, True])
    means, deviations = {}, {}
    for resamples in (1, 10, 20):
        drawn = _draw(
            _normal_denoiser(COV), x, m, n=2000, num_resamples=resamples
        )
        np.testing.assert_array_equal(drawn[:, 1], np.float32(1.5))
        means[resamples] = drawn[:, 0].mean()
        deviations[resamples] = drawn[:, 0].std()
    assert means[1] < 0.8
    assert means[10] == pytest.approx(1.2, abs=0.08 + 0.06)
    assert means[20] == pytest.approx(1.2, abs=0.03 + 0.06)
    assert deviations[20] == pytest.approx(0.6, abs=0.04)


def _half_hidden(n=1000):
    """Correlated normal columns; the second hidden in half of the rows."""
    rng = np.random.default_rng(1)
    truth = rng.multivariate_normal(np.zeros(2), COV, n).astype(np.float32)
    m = np.ones(truth.shape, bool)
    m[: n // 2, 1] = False
    return Masked(jnp.where(m, truth, 0), jnp.asarray(m))


@pytest.fixture(scope="module")
def fitted():
    settings = dict(
        num_iterations=4,
        num_steps=200,
        batch_size=256,
        sampling_steps=20,
        num_resamples=20,
        learning_rate=4e-3,
        model={"width": 32, "depth": 1},
    )
    data = _half_hidden()
    several = make_imputer("diffputer", **settings, num_samples=5)
    single = make_imputer("diffputer", **settings, num_samples=1)
    return several, single, fit(jax.random.key(0), several, data), data


def test_starts_from_the_means():
    """x^(0) = 0 in the gaps (section 4.3), whatever they hold."""
    data = _half_hidden(20)
    spoilt = Masked(jnp.where(data.m, data.x, 9.0), data.m)
    imputer = make_imputer("diffputer", model={"width": 8})
    state = imputer.init(jax.random.key(0), spoilt)
    np.testing.assert_array_equal(state.x, np.where(data.m, data.x, 0))


def test_expectation_maximisation_meets_the_conditional_mean(fitted):
    """Within what 200 SGD steps leave, doubled by half the column's filling;
    the means that the fit starts from have a slope of 0."""
    several, _, state, data = fitted
    n = int(np.sum(~np.asarray(data.m)))
    for x in (state.x, several.impute(jax.random.key(1), state, data)):
        x = np.asarray(x)[:n]
        slope, intercept = np.polyfit(x[:, 0], x[:, 1], 1)
        assert slope == pytest.approx(0.8, abs=0.15)
        assert intercept == pytest.approx(0, abs=0.2)


def test_mean_of_draws_has_a_smaller_variance(fitted):
    """One fit serves both: the mean of 5 draws varies by 1 / 5 as much, within
    3.5 standard errors of the ratio."""
    several, single, state, data = fitted
    data = Masked(data.x[:200], data.m[:200])
    gaps = ~np.asarray(data.m)

    def variance(imputer):
        keys = jax.random.split(jax.random.key(2), 5)
        x = np.stack([imputer.impute(key, state, data) for key in keys])
        return np.var(x, axis=0, ddof=1)[gaps].mean()

    one = variance(single)
    assert variance(several) == pytest.approx(one / 5, rel=0.25)
    assert one**0.5 == pytest.approx(0.55, abs=0.2)


def test_draws_of_a_set_differ_and_rows_never_seen_are_drawn(fitted):
    _, single, state, _ = fitted
    data = Masked(jnp.array([[3.0, 0.0], [0.0, 0.0]]), jnp.zeros((2, 2), bool))
    data = data._replace(m=data.x != 0)
    one, two = (
        single.impute(jax.random.key(3), state, data, Draw(jnp.int32(k), 2))
        for k in range(2)
    )
    assert float(one[0, 0]) == float(two[0, 0]) == 3.0
    assert not np.any(np.isclose(one, two)[~np.asarray(data.m)])


def test_samples_have_the_moments_of_the_filled_table(fitted):
    several, _, state, _ = fitted
    x = several.sample(jax.random.key(4), state, (4000, 2))
    np.testing.assert_allclose(np.mean(x, axis=0), 0, atol=0.15)
    filled = np.cov(np.asarray(state.x).T)
    np.testing.assert_allclose(np.cov(np.asarray(x).T), filled, atol=0.2)


def test_steps_grow_with_the_table_between_bounds():
    shapes = (506, 13), (4096, 32), (10**6, 20)
    assert [diffputer.table_steps(shape) for shape in shapes] == [
        500,
        2000,
        4000,
    ]


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="num_samples is 0"):
        make_imputer("diffputer", num_samples=0)
