"""Images filled so that each missing pixel is the mean of its neighbours.

A start for flows on images, where the covariance of all pixels is neither to be
had nor of much use: the discrete harmonic function that the observed pixels are
the boundary values of, as in diffusion inpainting (Bertalmio et al., 2000), and
noise as large as its errors.
"""

import jax
import jax.numpy as jnp

from miri_jax.flow import gap_rows, merge
from miri_jax.imputers.rows import move_rows
from miri_jax.types import Array, Masked

NUM_SWEEPS = 24
# Images, and the share of their observed pixels, that errors are measured on.
NUM_IMAGES, HIDDEN = 512, 0.25


def harmonic_fill(x: Array, m: Array, num_sweeps: int = NUM_SWEEPS) -> Array:
    """Fills one image.

    Gaps are first filled from means of ever larger squares (push and pull,
    Gortler et al., 1996), which closes holes of any size; Jacobi's iterations
    of the Laplace equation then smooth what is filled.

    Args:
      x: `[h, w, c]`, 0 where missing.
      m: `[h, w, c]` bool, True = observed.
      num_sweeps: Jacobi iterations.

    Returns:
      `[h, w, c]`; a channel without any observed pixel is 0.
    """
    filled = _push_pull(jnp.where(m, x, 0), m.astype(x.dtype))

    def sweep(_: Array, z: Array) -> Array:
        padded = jnp.pad(z, ((1, 1), (1, 1), (0, 0)), "edge")
        total = padded[:-2, 1:-1] + padded[2:, 1:-1]
        total += padded[1:-1, :-2] + padded[1:-1, 2:]
        return merge(x, total / 4, m)

    return jax.lax.fori_loop(0, num_sweeps, sweep, merge(x, filled, m))


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


def harmonic_draw(
    noise: Array, x: Array, m: Array, scale: Array
) -> tuple[Array, Array]:
    """A start of the flow, see `flow.Base`: `harmonic_fill` and noise.

    Args:
      noise: `[k, h, w, c]`, standard normal.
      x: `[k, h, w, c]`, 0 where missing.
      m: `[h, w, c]` bool, True = observed.
      scale: `[c]`, of the noise.

    Returns:
      The start and its mean, `[k, h, w, c]` each.
    """
    mean = jax.vmap(harmonic_fill, (0, None))(x, m)
    return merge(x, mean + scale * noise, m), mean


def draw_images(key: Array, data: Masked, scale: Array, chunk: int) -> Array:
    """`harmonic_draw` for all images `[n, h, w, c]`, `chunk` at a time."""

    def move(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
        del x  # the old filling
        return harmonic_draw(noise[None], x_obs[None], m, scale)[0][0]

    return move_rows(key, data.x, data, gap_rows(data.m), move, chunk)


def residual_scale(key: Array, data: Masked) -> Array:
    """The error of `harmonic_fill`: root mean square of hidden pixels, `[c]`.

    Args:
      key: PRNG key of which pixels are hidden.
      data: images `[n, h, w, c]`.

    Returns:
      `[c]`, at least 1e-3, in the units of `data`.
    """
    x, m = data.x[:NUM_IMAGES], data.m[:NUM_IMAGES]
    hide = jax.random.uniform(key, x.shape[:3])[..., None] < HIDDEN
    filled = jax.vmap(harmonic_fill)(x, m & ~hide)
    hidden = m & hide
    square = jnp.where(hidden, jnp.square(filled - x), 0)
    count = jnp.maximum(hidden.sum((0, 1, 2)), 1)
    return jnp.maximum(jnp.sqrt(square.sum((0, 1, 2)) / count), 1e-3)
