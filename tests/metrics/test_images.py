"""Image metrics equal their closed forms and order what is worse."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from scipy.special import gammaln

from miri_jax.metrics import images
from miri_jax.metrics.images import (
    frechet_distance,
    psnr,
    sliced_wasserstein,
    ssim,
)


def _pictures(seed, n=24, size=64):
    """Smooth random images with edges, `[n, size, size, 3]` in [0, 1]."""
    rng = np.random.default_rng(seed)
    field = rng.standard_normal((n, size, size, 3))
    smooth = gaussian_filter(field, (0, 2, 2, 0))
    return np.clip(0.5 + 0.5 * np.sign(smooth) * abs(smooth) ** 0.3, 0, 1)


def test_psnr_is_minus_ten_log10_of_the_squared_error():
    truth = np.full((3, 8, 8, 3), 0.5)
    filled = truth + np.array([0.1, 0.01, 0.0])[:, None, None, None]
    found = psnr(truth, filled)
    assert found.shape == (3,)
    np.testing.assert_allclose(found, [20, 40, images.MAX_PSNR])
    assert psnr(truth, truth + 1e-9).max() == images.MAX_PSNR


def test_ssim_of_constant_images_is_the_luminance_term():
    a, b, c1 = 0.3, 0.6, 0.01**2
    found = ssim(np.full((2, 8, 8, 3), a), np.full((2, 8, 8, 3), b))
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    np.testing.assert_allclose(found, [expected] * 2)


def test_ssim_is_symmetric_one_for_equals_and_falls_with_noise():
    truth = _pictures(0, 3)
    np.testing.assert_allclose(ssim(truth, truth), 1)
    noise = np.random.default_rng(1).standard_normal(truth.shape)
    noisy = [np.clip(truth + s * noise, 0, 1) for s in (0.02, 0.1, 0.4)]
    found = np.array([ssim(truth, z) for z in noisy])
    assert (np.diff(found, axis=0) < 0).all() and (found < 1).all()
    np.testing.assert_allclose(ssim(noisy[1], truth), found[1])


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_pairs_that_do_not_fit_are_refused(metric):
    ones = np.ones((2, 8, 8, 3))
    with pytest.raises(ValueError, match="must agree"):
        metric(ones, ones[:1])
    with pytest.raises(ValueError, match="must agree"):
        metric(ones[0], ones[0])
    for bad in (255.0, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"filled leaves \[0, 1\]"):
            metric(ones, bad * ones)


def test_small_images_are_refused():
    small = np.ones((2, 6, 8, 3))
    with pytest.raises(ValueError, match="6 x 8; they need at least 7 x 7"):
        ssim(small, small)
    with pytest.raises(ValueError, match="6 x 8; they need at least 7 x 7"):
        sliced_wasserstein(0, small, small)


def test_the_laplacian_pyramid_adds_up():
    x = _pictures(0, 2, 50).astype(np.float32)
    fine, coarse = images._laplacian_pyramid(x)
    assert fine.shape == x.shape and coarse.shape == (2, 25, 25, 3)
    upsampled = np.zeros_like(x)
    upsampled[:, ::2, ::2] = coarse
    again = fine + 4 * images._blur(upsampled)
    np.testing.assert_allclose(again, x, atol=1e-6)
    sizes = [z.shape[1] for z in images._laplacian_pyramid(_pictures(0, 1))]
    assert sizes == [64, 32, 16]


def test_the_laplacian_of_a_constant_is_zero_below_its_coarsest():
    constant = np.full((1, 64, 64, 3), 0.7, np.float32)
    *details, rest = images._laplacian_pyramid(constant)
    for level in details:
        np.testing.assert_allclose(level, 0, atol=1e-6)
    np.testing.assert_allclose(rest, 0.7, rtol=1e-6)


def test_sliced_wasserstein_meets_its_closed_form():
    """Flat 7 x 7 images: W_1 along v is W_1 of the greys times |sum(v)|.

    Standardised greys are -1, -1, 1, 1 and -sqrt(2), 0, 0, sqrt(2): W_1 is
    sqrt(1/2). The directions are uniform on the unit sphere of R^49.
    """
    flat = lambda greys: np.ones((4, 7, 7, 1)) * np.reshape(greys, (4, 1, 1, 1))
    a, b = flat([0.4, 0.4, 0.6, 0.6]), flat([0.1, 0.5, 0.5, 0.9])
    log_ratio = gammaln(49 / 2) - gammaln(50 / 2)
    mean_sum = np.sqrt(49 / np.pi) * np.exp(log_ratio)
    found = sliced_wasserstein(0, a, b, patches=1, projections=20000)
    expected = 1000 * np.sqrt(0.5) * mean_sum
    # The deviation of |sum(v)| is 0.75 of its mean: 0.5 % at 20000.
    assert found == pytest.approx(expected, rel=0.02)


def test_sliced_wasserstein_is_a_deterministic_distance():
    a, b = _pictures(0), _pictures(1)[:9]
    assert sliced_wasserstein(0, a, a) == 0
    there = sliced_wasserstein(0, a, b)
    assert there > 0
    assert sliced_wasserstein(0, a, b) == there
    assert sliced_wasserstein(0, b, a) == pytest.approx(there)
    assert sliced_wasserstein(1, a, b) == pytest.approx(there, rel=0.2)
    assert sliced_wasserstein(0, 255 * a, b) == pytest.approx(there, rel=1e-3)


def test_sliced_wasserstein_grows_with_blur_and_with_noise():
    """From 0 against the set itself, and from chance against another one."""
    a, other = _pictures(0, 48), _pictures(1, 48)
    noise = np.random.default_rng(2).standard_normal(a.shape)
    blurred = [gaussian_filter(a, (0, s, s, 0)) for s in (0.5, 1, 2)]
    noisy = [a + s * noise for s in (0.1, 0.3, 0.9)]
    for worse in (blurred, noisy):
        for to in (a, other):
            found = [
                sliced_wasserstein(0, to, z, patches=32) for z in (a, *worse)
            ]
            assert (np.diff(found) > 0).all()


def test_sliced_wasserstein_of_two_samples_falls_with_their_size():
    few, many = (
        sliced_wasserstein(0, _pictures(0, n), _pictures(1, n), patches=32)
        for n in (12, 108)
    )
    assert many < 0.5 * few


def test_sliced_wasserstein_refuses_what_it_cannot_compare():
    a = np.ones((2, 8, 8, 3))
    with pytest.raises(ValueError, match=r"must be \[n, h, w, c\]"):
        sliced_wasserstein(0, a, np.ones((2, 8, 9, 3)))
    with pytest.raises(ValueError, match="at least one image"):
        sliced_wasserstein(0, a, a[:0])
    assert sliced_wasserstein(0, a, 0 * a) == 0  # nothing varies in either


def _exact(rng, n, mean, root):
    """`[n, f]` whose mean and covariance root.T @ root hold exactly."""
    z = rng.standard_normal((n, len(mean)))
    z = np.linalg.qr(z - z.mean(0))[0] * np.sqrt(n - 1)
    return mean + z @ root


def test_frechet_distance_of_independent_normals():
    """(mean_a - mean_b)^2 + (deviation_a - deviation_b)^2, summed."""
    rng = np.random.default_rng(0)
    a = _exact(rng, 50, np.array([1.0, -2.0, 0.0]), np.diag([1.0, 2.0, 0.5]))
    b = _exact(rng, 80, np.array([0.0, 1.0, 0.0]), np.diag([3.0, 2.0, 0.0]))
    expected = (1 + 9) + (4 + 0 + 0.25)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)


def test_frechet_distance_equals_the_papers_formula():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6))
    b = 1 + rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6))
    c_a, c_b = np.cov(a.T), np.cov(b.T)
    shared = np.trace(sqrtm(c_a @ c_b)).real
    shift = np.sum((a.mean(0) - b.mean(0)) ** 2)
    expected = shift + np.trace(c_a) + np.trace(c_b) - 2 * shared
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_with_fewer_rows_than_features():
    rng = np.random.default_rng(2)
    a = rng.standard_normal((5, 40))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(40 * 4)
    assert frechet_distance(a, 3 * (a - a.mean(0)) + a.mean(0)) == (
        pytest.approx(4 * np.trace(np.cov(a.T)))
    )


def test_frechet_distance_refuses_what_it_cannot_compare():
    with pytest.raises(ValueError, match=r"must be \[n, f\]"):
        frechet_distance(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="at least two rows"):
        frechet_distance(np.ones((4, 2)), np.ones((1, 2)))
