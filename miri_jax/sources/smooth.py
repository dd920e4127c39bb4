"""Images filled as smoothly as what is observed allows.

A start for flows on images, where the covariance of all pixels is neither to be
had nor of much use: the discrete biharmonic function through the observed
pixels (Damelin and Hoang, 2018), and noise as large as its errors, which are
large where the image is rough and alike in all channels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from miri_jax.core.flow import merge
from miri_jax.core.programs import full_precision
from miri_jax.core.rows import draw_starts, spaced
from miri_jax.exceptions import ConfigError
from miri_jax.sources._source import Source, by_mask
from miri_jax.types import Array, Masked

NUM_SWEEPS = 24
# Of conjugate gradients. At 60 % missing pixels of CIFAR-10 10 steps are within
# .03 dB of the limit, 20 within .001; at 80 % within .24 and .02.
NUM_STEPS = 20
# Images, and the share of their observed pixels, that errors are measured on.
NUM_IMAGES, HIDDEN = 512, 0.25
# Roughness is smoothed so often, and at least this share of its mean.
NUM_SMOOTHINGS, FLOOR = 2, 0.02
TINY = 1e-30  # of squares that are divided by


class Errors(NamedTuple):
    """What is known of the errors of `biharmonic_fill`.

    Attributes:
      floor: scalar, the least roughness.
      root: `[c, c]`, Cholesky factor of the covariance over channels of errors
        divided by roughness.
    """

    floor: Array
    root: Array


def biharmonic_fill(x: Array, m: Array, num_steps: int = NUM_STEPS) -> Array:
    """Fills one image with the least curvature.

    Gaps are first filled from means of ever larger squares (push and pull,
    Gortler et al., 1996), which closes holes of any size. Conjugate gradients
    then reduce the sum of squares of z - `_around(z)`, the Laplacian, whose
    minimum solves the biharmonic equation in the gaps. It may overshoot: each
    channel is kept within its observed values.

    Args:
      x: `[h, w, c]`, 0 where missing.
      m: `[h, w, c]` bool, True = observed.
      num_steps: of conjugate gradients.

    Returns:
      `[h, w, c]`; a channel without any observed pixel is 0.
    """
    curvature = lambda z: z - _around(z)
    adjoint = jax.linear_transpose(curvature, x)
    normal = lambda z: jnp.where(m, 0, adjoint(curvature(z))[0])
    over = dict(axis=(0, 1), keepdims=True)  # channel by channel
    dot = lambda a, b: jnp.sum(a * b, **over)

    def step(_: Array, carry: tuple) -> tuple:
        z, residual, direction, size = carry
        ahead = normal(direction)
        length = size / jnp.maximum(dot(direction, ahead), TINY)
        residual = residual - length * ahead
        now = dot(residual, residual)
        turned = residual + now / jnp.maximum(size, TINY) * direction
        return z + length * direction, residual, turned, now

    z = _closed(x, m)
    residual = -normal(z)
    carry = z, residual, residual, dot(residual, residual)
    z = jax.lax.fori_loop(0, num_steps, step, carry)[0]
    seen = jnp.any(m, **over)
    low = jnp.min(jnp.where(m, x, jnp.inf), **over)
    high = jnp.max(jnp.where(m, x, -jnp.inf), **over)
    inside = jnp.clip(z, jnp.where(seen, low, 0), jnp.where(seen, high, 0))
    return merge(x, inside, m)


def harmonic_fill(x: Array, m: Array, num_sweeps: int = NUM_SWEEPS) -> Array:
    """Fills one image so that each missing pixel is the mean of its neighbours.

    As `biharmonic_fill`, with Jacobi's iterations of the Laplace equation,
    which never leave the range of what is observed.

    Args:
      x: `[h, w, c]`, 0 where missing.
      m: `[h, w, c]` bool, True = observed.
      num_sweeps: Jacobi's iterations; the more, the nearer to harmonic.

    Returns:
      `[h, w, c]`; a channel without any observed pixel is 0.
    """
    sweep = lambda _, z: merge(x, _around(z), m)
    return jax.lax.fori_loop(0, num_sweeps, sweep, _closed(x, m))


def roughness(filled: Array, m: Array) -> Array:
    """How far observed pixels are from the mean of their neighbours.

    Args:
      filled: `[h, w, c]`, from `biharmonic_fill`.
      m: `[h, w, c]` bool, True = observed.

    Returns:
      `[h, w, 1]`: the mean over channels, continued into the gaps and smoothed.
    """
    known = jnp.any(m, axis=-1, keepdims=True)
    apart = jnp.abs(filled - _around(filled))
    rough = harmonic_fill(jnp.mean(apart, axis=-1, keepdims=True), known)
    for _ in range(NUM_SMOOTHINGS):
        rough = (rough + 4 * _around(rough)) / 5
    return rough


def _around(z: Array) -> Array:
    """The mean of the four neighbours, the image continued at its edges."""
    padded = jnp.pad(z, ((1, 1), (1, 1), (0, 0)), "edge")
    total = padded[:-2, 1:-1] + padded[2:, 1:-1]
    return (total + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4


def _closed(x: Array, m: Array) -> Array:
    """One image whose gaps hold means of ever larger squares around them."""
    return merge(x, _push_pull(jnp.where(m, x, 0), m.astype(x.dtype)), m)


def _push_pull(total: Array, weight: Array) -> Array:
    """Means `[h, w, c]` of sums by weights, from coarser squares where 0."""
    h, w, c = total.shape
    mean = total / jnp.maximum(weight, 1)
    if h == 1 and w == 1:
        return mean
    even = ((0, h % 2), (0, w % 2), (0, 0))
    halve = lambda a: (
        jnp.pad(a, even).reshape(-(-h // 2), 2, -(-w // 2), 2, c).sum((1, 3))
    )
    coarse = _push_pull(halve(total), halve(weight))
    coarse = coarse.repeat(2, axis=0).repeat(2, axis=1)[:h, :w]
    return jnp.where(weight > 0, mean, coarse)


@full_precision
def biharmonic_draw(
    noise: Array, x: Array, m: Array, errors: Errors
) -> tuple[Array, Array]:
    """A start of the flow, see `flow.Base`: `biharmonic_fill` and noise.

    Args:
      noise: `[k, h, w, c]`, standard normal.
      x: `[k, h, w, c]`, 0 where missing.
      m: `[h, w, c]` bool, True = observed.
      errors: of the filling.

    Returns:
      The start and its mean, `[k, h, w, c]` each.
    """

    def one(noise: Array, x: Array) -> tuple[Array, Array]:
        mean = biharmonic_fill(x, m)
        rough = jnp.maximum(roughness(mean, m), errors.floor)
        return merge(x, mean + rough * (noise @ errors.root.T), m), mean

    return jax.vmap(one)(noise, x)


@full_precision
def fit_errors(key: Array, data: Masked) -> Errors:
    """The errors of `biharmonic_fill` on pixels observed and hidden from it.

    Args:
      key: PRNG key of which pixels are hidden.
      data: images `[n, h, w, c]`.
    """
    some = spaced(len(data.x), NUM_IMAGES)
    x, m = data.x[some], data.m[some]
    hide = jax.random.uniform(key, x.shape[:3], x.dtype)[..., None] < HIDDEN

    def one(x: Array, m: Array, hide: Array) -> tuple[Array, Array]:
        filled = biharmonic_fill(x, m & ~hide)
        return filled - x, roughness(filled, m & ~hide)

    error, rough = jax.vmap(one)(x, m, hide)
    floor = jnp.maximum(FLOOR * jnp.mean(rough), 1e-4)
    error = jnp.where(m & hide, error / jnp.maximum(rough, floor), 0)
    error = error.reshape(-1, x.shape[-1])
    seen = (m & hide).reshape(error.shape).astype(x.dtype)
    cov = error.T @ error / jnp.maximum(seen.T @ seen, 1)
    variance = jnp.diagonal(cov)
    # Channels that are never hidden together do not tell how they go together.
    ridge = 1e-3 * variance + 1e-6
    values, vectors = jnp.linalg.eigh(cov)
    cov = (vectors * jnp.maximum(values, 0)[None]) @ vectors.T
    return Errors(floor, jnp.linalg.cholesky(cov + jnp.diag(ridge)))


def biharmonic(*, chunk: int = 4096) -> Source:
    """A smooth filling of images with noise as large as its errors.

    Args:
      chunk: images drawn at a time.
    """

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[Errors, Array]:
        del rows  # `fit_errors` looks at few images anyhow.
        if data.x.ndim != 4:
            raise ConfigError(
                "source='biharmonic' is for images; use 'gaussian' or 'noise'"
            )
        key_fill, key_errors = jax.random.split(key)
        start = fit_errors(key_errors, data)
        base = lambda noise, x, m: draw(start, noise, x, m)
        return start, draw_starts(key_fill, data, base, chunk)

    def draw(
        start: Errors, noise: Array, x: Array, m: Array
    ) -> tuple[Array, Array]:
        return by_mask(lambda noise, x, m: biharmonic_draw(noise, x, m, start))(
            noise, x, m
        )

    return Source(fit, draw, near=True)
