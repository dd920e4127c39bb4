"""The velocity network for tables."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from miri_jax.types import Array, Cond

# A function of `jax.nn`.
Activation = Literal["silu", "relu", "gelu", "tanh", "elu", "selu", "softplus"]
# What is computed in.
Precision = Literal["float32", "bfloat16", "float16"]


def time_features(tau: Array, num_frequencies: int) -> Array:
    """Tau with its sines and cosines at frequencies pi, 2 pi, 4 pi, ...

    Args:
      tau: scalar in [0, 1].
      num_frequencies: number f of frequencies.

    Returns:
      `[1 + 2 f]`.
    """
    angles = tau * jnp.pi * 2.0 ** jnp.arange(num_frequencies, dtype=tau.dtype)
    return jnp.concatenate([tau[None], jnp.sin(angles), jnp.cos(angles)])


def moved_parts(x_tau: Array, cond: Cond) -> tuple[Array, Array]:
    """What a velocity sees of x_tau, and in the place of m0 * x0, `[*dims]`.

    Rows that start from a source have x0_m = x1_m: there the source's mean
    takes the place, and x_tau is seen from it.
    """
    first = cond.x0_m
    if cond.mean is not None:
        first = jnp.where(cond.m0, 0, cond.mean)
        x_tau = x_tau - cond.mean
    return jnp.where(cond.m0, 0, x_tau), first


def last_layer(zero: bool) -> dict[str, Any]:
    """Settings of a network's last layer, which may start at zero."""
    return {"kernel_init": nn.initializers.zeros} if zero else {}


def weights_by_column(
    sizes: Sequence[int], fan_in: int
) -> Callable[[Array, tuple[int, ...], Any], Array]:
    """First weights of a layer whose inputs are parts, joined.

    As `lecun_normal` has them, but that weights of a part's first entries are
    the same with others behind them (`rows.padded`) and without.

    Args:
      sizes: entries of each part.
      fan_in: how many inputs the weights are scaled for.
    """

    def init(key: Array, shape: tuple[int, ...], dtype: Any = float) -> Array:
        parts = []
        for i, size in enumerate(sizes):
            part = nn.initializers.variance_scaling(
                size / fan_in, "fan_in", "truncated_normal"
            )
            key_part = jax.random.fold_in(key, i)
            parts.append(part(key_part, (size, shape[1]), dtype))
        return jnp.concatenate(parts)

    return init


def weights_to_columns(
    key: Array, shape: tuple[int, ...], dtype: Any = float
) -> Array:
    """`lecun_normal` of a layer to a table's columns, see above."""
    init = nn.initializers.variance_scaling(
        1, "fan_in", "truncated_normal", in_axis=-1, out_axis=-2
    )
    return init(key, shape[::-1], dtype).T


class MLP(nn.Module):
    """One example's parts and a time, to a vector: the trunk of every method.

    Attributes:
      width: units of each hidden layer.
      depth: number of hidden layers, or of residual blocks of two layers each
        where `residual`.
      residual: add each block's output to its input (pre-activation blocks).
      num_frequencies: see `time_features`.
      activation: see `Activation`.
      zero_output: start with the last layer at zero.
      dtype: of the computation; parameters are float32.
    """

    width: int = 256
    depth: int = 3
    residual: bool = False
    num_frequencies: int = 4
    activation: Activation = "silu"
    zero_output: bool = False
    dtype: Precision = "float32"

    @nn.compact
    def __call__(self, *parts: Array, tau: Array | None = None) -> Array:
        """The parts `[*dims]` of one example to one array of the first's shape.

        Args:
          *parts: arrays of any shape, joined.
          tau: scalar in [0, 1], or None for a function without time.
        """
        return self.trunk(*parts, tau=tau)

    def trunk(self, *parts: Array, tau: Array | None) -> Array:
        """See `__call__`."""
        act = getattr(jax.nn, self.activation)
        dense = lambda width, **kw: nn.Dense(width, dtype=self.dtype, **kw)
        like = parts[0]
        flat = [part.ravel().astype(like.dtype) for part in parts]
        if tau is not None:
            flat.append(time_features(tau, self.num_frequencies))
        first, last = self.ends(tuple(map(len, flat)))
        h = jnp.concatenate(flat)
        if self.residual:
            h = dense(self.width, **first)(h)
            for _ in range(self.depth):
                h = h + dense(self.width)(act(dense(self.width)(act(h))))
            h = act(h)
        else:
            for layer in range(self.depth):
                h = act(dense(self.width, **({} if layer else first))(h))
        out = dense(like.size, **last)(h)
        return out.reshape(like.shape).astype(like.dtype)

    def ends(self, sizes: tuple[int, ...]) -> tuple[dict, dict]:
        """Settings of the first and last layer, by the sizes of the parts."""
        del sizes
        return {}, last_layer(self.zero_output)


class VelocityMLP(MLP):
    """v(x_tau * (1 - m0), m0 * x0, m0 * x1, m0, tau) of eq. 6, one example.

    It is told 1 - m0, which says the same: so a column of observed zeros gives
    it nothing but zeros, and with some behind a table (`rows.padded`) it is the
    network without. `zero_output` starts with a flow that leaves its start
    where it is.

    Attributes:
      columns: entries of a row that its first weights are scaled for; None for
        those that it sees.
    """

    columns: int | None = None

    @nn.compact
    def __call__(self, x_tau: Array, cond: Cond, tau: Array) -> Array:
        """Velocity `[*dims]` at `x_tau` `[*dims]` and scalar `tau`."""
        x_tau, first = moved_parts(x_tau, cond)
        return self.trunk(first, cond.x1_m, ~cond.m0, x_tau, tau=tau)

    def ends(self, sizes: tuple[int, ...]) -> tuple[dict, dict]:
        """See `MLP.ends`."""
        last = {"kernel_init": weights_to_columns}
        last |= last_layer(self.zero_output)
        fan_in = sum(sizes)
        if self.columns is not None:
            fan_in += 4 * (self.columns - sizes[0])
        return {"kernel_init": weights_by_column(sizes, fan_in)}, last
