"""What a source is: where a flow starts on the missing entries."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax

from miri_jax.core.rows import all_noise, draw_starts
from miri_jax.types import Array, Base, Draw, Masked, PyTree


class FitSource(Protocol):
    """Fits a source to a table with gaps."""

    def __call__(
        self, key: Array, data: Masked, rows: Array | None
    ) -> tuple[PyTree, Array]:
        """What the source needs to draw, and the first filled table.

        Args:
          key: PRNG key.
          data: the table `[n, *dims]`.
          rows: the numbers of the rows to learn from; None for all.

        Returns:
          The start, a pytree of arrays, and X(0) `[n, *dims]`.
        """


class DrawSource(Protocol):
    """Draws the missing entries given the observed ones."""

    def __call__(
        self, start: PyTree, noise: Array, x: Array, m: Array
    ) -> tuple[Array, Array | None]:
        """Draws k rows, given nothing but what is observed in each of them.

        Args:
          start: from the fit.
          noise: `[k, *dims]`, standard normal: all that is random comes from
            it (its `ndtr` is uniform).
          x: `[k, *dims]`, 0 where missing.
          m: `[k, *dims]` bool, or `[1, *dims]` where all rows share a mask;
            True = observed.

        Returns:
          The draw and its conditional mean, `[k, *dims]` each; None for a mean
          that is not known. Entries where m is True are not read.
        """


class Source(NamedTuple):
    """Where a flow starts on the missing entries, as functions.

    Any imputer that samples q(x_mis | x_obs) is a lawful source (MIRI paper,
    Proposition 2).

    Attributes:
      fit: see `FitSource`.
      draw: see `DrawSource`; None where the flow starts from the previous
        imputation (Algorithm 1).
      near: whether a flow at rest already imputes; the network then starts at
        zero, and its first weights are the ones to beat.
      host: whether the functions work on the host, on NumPy arrays, and cannot
        be traced: pairs are then drawn ahead of an iteration. Such a source
        gives no mean.
    """

    fit: FitSource
    draw: DrawSource | None
    near: bool = False
    host: bool = False

    def base(self, start: PyTree) -> Base | None:
        """The draw of a fitted source; None where there is none."""
        if self.draw is None:
            return None
        return lambda noise, x, m: self.draw(start, noise, x, m)


def fill(
    key: Array,
    data: Masked,
    source: Source,
    start: PyTree,
    chunk: int,
    draw: Draw | None = None,
) -> Array:
    """All rows `[n, *dims]` filled by a fitted source.

    Args:
      key: PRNG key; each row has one folded from it.
      data: the rows, those of the fit or others.
      source: the source, with a `draw`.
      start: its fit.
      chunk: rows drawn at a time, except on the host.
      draw: which of a set of draws, see `rows.normal_noise`.
    """
    if not source.host:
        return draw_starts(key, data, source.base(start), chunk, draw)
    noise = all_noise(key, data.x.shape, draw)
    z0, _ = source.draw(start, *jax.device_get((noise, data.x, data.m)))
    return jax.numpy.where(data.m, data.x, jax.numpy.asarray(z0, data.x.dtype))


def by_mask(
    draw: Callable[[Array, Array, Array], tuple[Array, Array | None]],
) -> Base:
    """A draw for rows that share a mask `[*dims]`, for masks of each row too.

    Args:
      draw: `(noise [k, *dims], x [k, *dims], m [*dims])` to a draw and a mean.
    """

    def every(noise: Array, x: Array, m: Array) -> tuple[Array, Array | None]:
        if len(m) == 1:
            return draw(noise, x, m[0])
        found = jax.vmap(lambda z, x, m: draw(z[None], x[None], m))(noise, x, m)
        return jax.tree.map(lambda a: a[:, 0], found)

    return every
