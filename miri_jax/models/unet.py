"""The velocity network for images."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from miri_jax.models.mlp import (
    Precision,
    last_layer,
    moved_parts,
    time_features,
)
from miri_jax.types import Array, Cond

GROUP = 16  # channels that GroupNorm normalises together


class Size(NamedTuple):
    """How large a `UNet` is.

    Attributes:
      widths: channels at each resolution, the first that of the image, each
        later one half of the one before.
      blocks: residual blocks at each resolution, on the way down and up.
      heads: of the attention at the lowest resolution; 0 for none.
      norm: whether activations are normalised.
    """

    widths: tuple[int, ...]
    blocks: int
    heads: int
    norm: bool


# All but the U-Net stay at the image's resolution and scale. With 60 % of the
# pixels missing and 50 CPU seconds of fitting what a smooth filling lacks, that
# took PSNR from 26.93 to 27.32 dB; three resolutions took it to 26.99 in 35 and
# to 27.09 in 95, and with norms to 26.94 in 47 seconds. After 3000 steps of 128
# on a GPU, with as many operations each, base has 28.54 and unet 27.99.
SIZES = {
    "nano": Size((16,), 1, 0, False),
    "tiny": Size((32,), 2, 0, False),
    "base": Size((128,), 8, 0, False),
    "unet": Size((128, 256, 256), 2, 4, True),
}


class UNet(nn.Module):
    """One example's images and a time, to an image.

    Residual blocks, a sum of channels from the way down into the way up,
    attention at the lowest resolution, GroupNorm (Ronneberger et al., 2015; as
    in Ho et al., 2020). All but one have one resolution and neither of the last
    two, see `SIZES`.

    Attributes:
      size: a name in `SIZES`.
      num_frequencies: see `mlp.time_features`.
      zero_output: start with the last layer at zero.
      dtype: of the computation; parameters, sums and the result are float32.
      remat: compute the blocks' insides anew in the backward pass, for less
        memory.
    """

    size: Literal["nano", "tiny", "base", "unet"] = "tiny"
    num_frequencies: int = 4
    zero_output: bool = False
    dtype: Precision = "float32"
    remat: bool = False

    # Whether its gradient is taken in a compiled loop.
    in_loop = True

    @nn.compact
    def __call__(self, *parts: Array, tau: Array | None = None) -> Array:
        """The parts `[h, w, c]` of one example to one image as the first.

        Args:
          *parts: images of one size, joined by their channels.
          tau: scalar in [0, 1], or None for a function without time.
        """
        return self.trunk(*parts, tau=tau)

    def trunk(self, *parts: Array, tau: Array | None) -> Array:
        """See `__call__`."""
        size, like = SIZES[self.size], parts[0]
        dtype = jnp.dtype(self.dtype)
        kind = nn.remat(_Block) if self.remat else _Block
        norm = _norm if size.norm else lambda h, dtype: h
        numbers = itertools.count()
        conv = partial(
            nn.Conv,
            kernel_size=(3, 3),
            dtype=dtype,
            conv_general_dilated=conv_in_loop if self.in_loop else None,
        )
        # Named, as remat would name them otherwise.
        block = lambda width: kind(
            width, dtype, norm, conv, name=f"block{next(numbers)}"
        )
        time = None
        if tau is not None:
            time = time_features(tau, self.num_frequencies)
            time = nn.silu(nn.Dense(4 * size.widths[0], dtype=dtype)(time))
        h = jnp.concatenate([part.astype(dtype) for part in parts], axis=-1)
        h = conv(size.widths[0])(h)
        kept = []
        for level, width in enumerate(size.widths):
            if level:
                h = conv(width, strides=2)(h)
            for _ in range(size.blocks):
                h = block(width)(h, time)
            kept.append(h)
        if size.heads:
            h = _Attention(size.heads, dtype)(h)
        h = block(size.widths[-1])(h, time)
        for level in reversed(range(len(size.widths) - 1)):
            width, before = size.widths[level], kept[level]
            h = jax.image.resize(h, (*before.shape[:2], h.shape[-1]), "nearest")
            h = conv(width)(h) + before
            for _ in range(size.blocks):
                h = block(width)(h, time)
        h = nn.silu(norm(h, dtype))
        return conv(like.shape[-1], **last_layer(self.zero_output))(h).astype(
            like.dtype
        )


class VelocityUNet(UNet):
    """v(x_tau * (1 - m0), m0 * x0, m0 * x1, m0, tau) of eq. 6, one example."""

    in_loop = False

    @nn.compact
    def __call__(self, x_tau: Array, cond: Cond, tau: Array) -> Array:
        """Velocity `[h, w, c]` at `x_tau` `[h, w, c]` and scalar `tau`."""
        x_tau, first = moved_parts(x_tau, cond)
        return self.trunk(x_tau, first, cond.x1_m, cond.m0, tau=tau)


class _Block(nn.Module):
    """Two convolutions beside the identity; the time shifts the first's."""

    width: int
    dtype: Any
    norm: Callable[[Array, Any], Array]
    conv: Callable[..., nn.Conv]

    @nn.compact
    def __call__(self, x: Array, time: Array | None) -> Array:
        conv = partial(self.conv, self.width)
        h = conv()(nn.silu(self.norm(x, self.dtype)))
        if time is not None:
            h = h + nn.Dense(self.width, dtype=self.dtype)(time)[None, None]
        h = nn.silu(self.norm(h, self.dtype))
        # Each block starts as the identity.
        return x + conv(kernel_init=nn.initializers.zeros)(h)


class _Attention(nn.Module):
    """Self-attention of all places of an image, beside the identity."""

    heads: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        h = _norm(x, self.dtype).reshape(-1, x.shape[-1])
        h = nn.MultiHeadDotProductAttention(
            self.heads,
            dtype=self.dtype,
            out_kernel_init=nn.initializers.zeros,
        )(h)
        return x + h.reshape(x.shape)


def conv_in_loop(
    x: Array,
    kernel: Array,
    window_strides: Sequence[int],
    padding: str,
    **more: Any,
) -> Array:
    """`lax.conv_general_dilated` of Flax, for gradients in compiled loops.

    There XLA's CPU programs take the gradient by the kernel some 20 times
    slower than outside of them, so that it is matrix products here.
    """
    strided = any(step > 1 for step in window_strides)
    if jax.default_backend() != "cpu" or strided or padding != "SAME":
        return jax.lax.conv_general_dilated(
            x, kernel, window_strides, padding, **more
        )
    return _same(x, kernel)


@jax.custom_vjp
def _same(x: Array, kernel: Array) -> Array:
    """Images `[n, h, w, c]`, kernel `[k, k, c, o]`, k odd: `[n, h, w, o]`."""
    of = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=of
    )


def _same_forward(x: Array, kernel: Array) -> tuple[Array, Any]:
    return _same(x, kernel), (x, kernel)


def _same_backward(of: Any, g: Array) -> tuple[Array, Array]:
    """Gradients by images and kernel, of that `g` by the result."""
    x, kernel = of
    (rows, columns), (h, w) = kernel.shape[:2], x.shape[1:3]
    by_x = _same(g, jnp.swapaxes(kernel[::-1, ::-1], 2, 3))
    around = ((k - 1) // 2 for k in (rows, columns))
    sides = [(k, k) for k in around]
    x = jnp.pad(x, [(0, 0), *sides, (0, 0)])
    product = partial(
        jnp.einsum, "nhwc,nhwo->co", preferred_element_type=jnp.float32
    )
    by_kernel = jnp.stack(
        [
            product(x[:, i : i + h, j : j + w], g)
            for i in range(rows)
            for j in range(columns)
        ]
    )
    return by_x, by_kernel.reshape(kernel.shape).astype(kernel.dtype)


_same.defvjp(_same_forward, _same_backward)


def _norm(x: Array, dtype: Any) -> Array:
    """GroupNorm of one image `[h, w, c]`, its moments in float32."""
    return nn.GroupNorm(
        num_groups=None,
        group_size=min(GROUP, x.shape[-1]),
        reduction_axes=(-3, -2, -1),
        dtype=dtype,
    )(x)
