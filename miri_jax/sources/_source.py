"""What a source is: where a flow starts on the missing entries."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.flow import merge
from miri_jax.core.parallel import to_host
from miri_jax.core.rows import all_noise, draw_starts
from miri_jax.exceptions import ConfigError
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
          m: `[k, *dims]` bool, or `[1, *dims]` where all rows share a mask,
            which is never so on the host; True = observed.

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
      host: whether the functions work on the host, on NumPy arrays that are
        not to be written to, and cannot be traced: pairs are then drawn ahead
        of an iteration, of images ahead of each SGD step. What is drawn counts
        as a draw without a known mean.
      eager: whether `fit`, and nothing else, works on the host in part and
        cannot be traced.
      like: of a source with a fit on the host, which must have it, what its
        start looks like: a pytree of dtypes, whose arrays may have any shape.
      widened: `(start, columns)` to the start of a table of so many columns,
        those behind the ones of the fit being observed zeros; the draws of the
        others stay as they are. So tables of about the same width have the same
        programs. None where the source must see a table's own columns.
    """

    fit: FitSource
    draw: DrawSource | None
    near: bool = False
    host: bool = False
    eager: bool = False
    like: PyTree = None
    widened: Callable[[PyTree, int], PyTree] | None = None

    def first(
        self, key: Array, data: Masked, rows: Array | None
    ) -> tuple[PyTree, Array]:
        """What `fit` gives, as arrays of JAX; its arguments, wherever it works.

        Raises:
          ConfigError: if a source on the host gives something else than arrays,
            which could be neither saved nor handed to a program, or an X(0) of
            another shape.
        """
        if not self.host:
            return self.fit(key, data, rows)
        start, x = self.fit(key, *jax.tree.map(to_host, (data, rows)))
        for leaf in jax.tree.leaves(start):
            if np.asarray(leaf).dtype == object:
                raise ConfigError(
                    f"the start of a source holds a {type(leaf).__name__}; let"
                    " its fit give arrays alone, which a state can be saved"
                    " with, and make what else is needed of them in its draw"
                )
        _check_shape("fit", x, data.x)
        x = merge(data.x, jnp.asarray(x, data.x.dtype), data.m)
        return jax.tree.map(jnp.asarray, start), x

    def base(self, start: PyTree) -> Base | None:
        """The draw of a fitted source; None for the previous imputation.

        That of a source on the host takes arrays of any kind and gives NumPy's.
        """
        if self.draw is None:
            return None
        if not self.host:
            return lambda noise, x, m: self.draw(start, noise, x, m)
        start = jax.tree.map(to_host, start)

        def on_host(noise: Array, x: Array, m: Array) -> tuple:
            noise, x, m = (to_host(part) for part in (noise, x, m))
            z0, _ = self.draw(start, noise, x, m)
            _check_shape("draw", z0, x)
            return np.asarray(z0, x.dtype), None

        return on_host


def _check_shape(name: str, found: Array, wanted: Array) -> None:
    if np.shape(found) != wanted.shape:
        raise ConfigError(
            f"the {name} of a source gave an array of shape {np.shape(found)}"
            f" where {wanted.shape} is asked for"
        )


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
      key: PRNG key; each row has one folded from it, see `rows.row_names`.
      data: the rows, those of the fit or others.
      source: the source, with a `draw`.
      start: its fit.
      chunk: rows drawn at a time; on the host, rows whose noise is made.
      draw: which of a set of draws, see `rows.normal_noise`.
    """
    base = source.base(start)
    if not source.host:
        return draw_starts(key, data, base, chunk, draw)
    z0, _ = base(all_noise(key, data, draw, chunk), *data)
    return merge(data.x, z0, data.m)


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
