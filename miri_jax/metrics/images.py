"""How good filled images are: one by one (PSNR, SSIM) and as a set."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy.ndimage import convolve1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

MAX_PSNR = 100.0
# Burt and Adelson (1983): the generating kernel with a = 0.375.
KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16
PATCH = 7
COARSEST = 16
PROJECTIONS_AT_ONCE = 32


def psnr(truth: ArrayLike, filled: ArrayLike) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, over all its pixels.

    Args:
      truth: `[n, h, w, c]` in [0, 1].
      filled: `[n, h, w, c]` in [0, 1].

    Returns:
      `[n]` float64: -10 log10 of the mean squared error, in dB, at most
      `MAX_PSNR`, which equal images get.

    Raises:
      ValueError: if the shapes differ or a value lies outside [0, 1].
    """
    truth, filled = _pairs(truth, filled)
    with np.errstate(divide="ignore"):
        ratios = [
            peak_signal_noise_ratio(t, f, data_range=1)
            for t, f in zip(truth, filled)
        ]
    return np.minimum(np.array(ratios), MAX_PSNR)


def ssim(truth: ArrayLike, filled: ArrayLike) -> np.ndarray:
    """Structural similarity of each image (Wang et al., 2004, eq. 13).

    Mean over channels and over 7 x 7 windows of equal weight, the default of
    scikit-image; the paper's own windows are Gaussian.

    Args:
      truth: `[n, h, w, c]` in [0, 1], h and w at least 7.
      filled: `[n, h, w, c]` in [0, 1].

    Returns:
      `[n]` float64, at most 1, which equal images get.

    Raises:
      ValueError: if the shapes differ, a value lies outside [0, 1] or images
        are too small.
    """
    truth, filled = _pairs(truth, filled)
    _refuse_small(truth)
    return np.array(
        [
            structural_similarity(t, f, channel_axis=-1, data_range=1)
            for t, f in zip(truth, filled)
        ]
    )


def sliced_wasserstein(
    seed: int,
    a: ArrayLike,
    b: ArrayLike,
    *,
    patches: int = 128,
    projections: int = 512,
) -> float:
    """Sliced Wasserstein distance of patches (Karras et al., 2018, section 5).

    From each level of a Laplacian pyramid (Burt and Adelson, 1983), full
    resolution down to at least 16 x 16, come 7 x 7 patches; each set's patches
    are standardised by channel, by their own mean and deviation; W_1 of their
    projections on random directions is averaged. As in the paper, except that
    both sets are cut at the same random places, which takes away noise, and
    that each gives as many patches as the larger one where n differs from k.

    Args:
      seed: of the places and the directions.
      a: `[n, h, w, c]`, on any scale, h and w at least 7.
      b: `[k, h, w, c]`.
      patches: how many for each image of the larger set, at each level.
      projections: number of directions at each level.

    Returns:
      The mean over levels, times 1000 as the paper reports it; 0 for equal
      sets. Two samples of one distribution are apart by chance, less so the
      larger they are: compare only values of equal n and k.

    Raises:
      ValueError: if a set is empty, images differ in size or are too small.
    """
    a, b = (np.asarray(z, np.float32) for z in (a, b))
    if a.ndim != 4 or a.shape[1:] != b.shape[1:]:
        raise ValueError(f"a {a.shape} and b {b.shape} must be [n, h, w, c]")
    if not len(a) or not len(b):
        raise ValueError(
            "sliced_wasserstein needs at least one image in each set"
        )
    _refuse_small(a)
    rng = np.random.default_rng(seed)
    count = patches * max(len(a), len(b))
    distances = []
    for level_a, level_b in zip(_laplacian_pyramid(a), _laplacian_pyramid(b)):
        h, w, c = level_a.shape[1:]
        y = rng.integers(h - PATCH + 1, size=count)
        x = rng.integers(w - PATCH + 1, size=count)
        directions = rng.standard_normal(
            (projections, c * PATCH**2), np.float32
        )
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        pair = (_patches(level, y, x) for level in (level_a, level_b))
        distances.append(_mean_w1(*pair, directions))
    return 1000 * float(np.mean(distances))


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Frechet distance of normals fitted to features (Heusel et al., 2017).

    Their eq. 6, |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), with
    covariances C = R' R by n - 1. The trace of the root is the sum of the
    singular values of R_a R_b', so that no rounded matrix needs a root.

    Args:
      features_a: `[n, f]`.
      features_b: `[k, f]`.

    Returns:
      The squared distance, as papers report it, on the features' scale squared.

    Raises:
      ValueError: if the numbers of features differ or a set has less than two
        rows.
    """
    a, b = (np.asarray(z, np.float64) for z in (features_a, features_b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features {a.shape} and {b.shape} must be [n, f]")
    if min(len(a), len(b)) < 2:
        raise ValueError("frechet_distance needs at least two rows in each set")
    root_a, root_b = _covariance_root(a), _covariance_root(b)
    between = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    within = np.sum(root_a**2) + np.sum(root_b**2)
    shared = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    return float(max(between + within - 2 * shared, 0.0))


def _pairs(
    truth: ArrayLike, filled: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 `[n, h, w, c]` in [0, 1]."""
    truth, filled = (np.asarray(z, np.float64) for z in (truth, filled))
    if truth.ndim != 4 or truth.shape != filled.shape:
        raise ValueError(
            f"truth {truth.shape} and filled {filled.shape} must agree and be"
            " [n, h, w, c]"
        )
    for name, z in (("truth", truth), ("filled", filled)):
        if not np.all((z >= 0) & (z <= 1)):
            raise ValueError(f"{name} leaves [0, 1]; divide by 255, or clip")
    return truth, filled


def _refuse_small(images: np.ndarray) -> None:
    if min(images.shape[1:3]) < PATCH:
        h, w = images.shape[1:3]
        raise ValueError(
            f"images are {h} x {w}; they need at least 7 x 7 pixels"
        )


def _laplacian_pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Details at each resolution, and what is left at the coarsest."""
    levels = []
    while min(images.shape[1:3]) >= 2 * COARSEST:
        coarse = _blur(images)[:, ::2, ::2]
        upsampled = np.zeros_like(images)
        upsampled[:, ::2, ::2] = coarse
        levels.append(images - 4 * _blur(upsampled))
        images = coarse
    return [*levels, images]


def _blur(images: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        images = convolve1d(images, KERNEL, axis=axis, mode="mirror")
    return images


def _patches(level: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Standardised patches `[count, c * 49]` at rows y and columns x."""
    windows = sliding_window_view(level, (PATCH, PATCH), axis=(1, 2))
    found = windows[np.arange(len(y)) % len(level), y, x]
    axes = (0, 2, 3)
    mean = found.mean(axis=axes, keepdims=True, dtype=np.float64)
    deviation = found.std(axis=axes, keepdims=True, dtype=np.float64)
    found = (found - mean) / np.where(deviation > 0, deviation, 1.0)
    return found.reshape(len(found), -1).astype(np.float32)


def _mean_w1(a: np.ndarray, b: np.ndarray, directions: np.ndarray) -> float:
    """Mean W_1 of the projections of `[count, f]` on `[projections, f]`."""
    blocks = range(0, len(directions), PROJECTIONS_AT_ONCE)
    total = 0.0
    for start in blocks:
        block = directions[start : start + PROJECTIONS_AT_ONCE]
        gaps = np.sort(block @ a.T, axis=1) - np.sort(block @ b.T, axis=1)
        total += np.abs(gaps).mean(axis=1, dtype=np.float64).sum()
    return total / len(directions)


def _covariance_root(features: np.ndarray) -> np.ndarray:
    """R `[min(n, f), f]` with R' R the covariance."""
    centred = features - features.mean(axis=0)
    return np.linalg.qr(centred / np.sqrt(len(features) - 1), mode="r")
