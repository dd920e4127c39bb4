"""A source made outside the package, and MIRI started from it.

    PYTHONPATH=. python experiments/own_source.py
    PYTHONPATH=. python experiments/own_source.py --host

MIRI's flow may start from any imputer that samples q(x_mis | x_obs), paper's
Proposition 2. Here it starts from a hot deck: of the k complete rows (donors)
that are nearest in what a row shows, one gives its values. Complete rows are
few where much is missing, and a biased choice where gaps depend on values; the
flow learns from all that is observed.

The table made here, a closed curve in four columns with 60 % of its entries
missing completely at random, leaves a few donors. Prints the MMD to the truth
of filling by the hot deck alone and of MIRI from it.

`hot_deck` is written in JAX, `hot_deck_on_host` in NumPy and scikit-learn: what
cannot be traced, a tree or a library, can be a source as well. Both draw the
same values from the same noise.
"""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from jax.scipy.special import ndtr
from sklearn.neighbors import NearestNeighbors

from miri_jax import FAST, engine, make_imputer, miri, register, sources
from miri_jax.core import masks
from miri_jax.metrics import median_distance, mmd
from miri_jax.types import Array, Imputer, Masked

FLAGS = flags.FLAGS


class Donors(NamedTuple):
    """What a hot deck has learnt.

    Attributes:
      x: `[n, d]`, the complete rows first.
      count: how many these are.
    """

    x: Array
    count: Array


def hot_deck(k: int = 5) -> sources.Source:
    """A hot deck as a source.

    Its functions are traced: whole iterations of MIRI stay one program.

    Args:
      k: nearest donors, one of which gives its values.
    """

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[Donors, Array]:
        seen = data if rows is None else Masked(data.x[rows], data.m[rows])
        complete = jnp.all(seen.m, axis=1)
        start = Donors(seen.x[jnp.argsort(~complete)], jnp.sum(complete))
        # X(0) is a draw of the source.
        return start, sources.fill(key, data, source, start, chunk=1024)

    def draw(
        start: Donors, noise: Array, x: Array, m: Array
    ) -> tuple[Array, None]:
        # |x - donor|^2 over what is observed, but for the term |x|^2.
        donors = start.x
        far = m.astype(x.dtype) @ jnp.square(donors).T - 2 * x @ donors.T
        is_donor = jnp.arange(len(donors)) < start.count
        far = jnp.where(is_donor[None], far, jnp.inf)
        u = ndtr(noise[:, 0])  # all that is random comes from the noise
        _, near = jax.lax.top_k(-far, k)
        which = _of(u, jnp.minimum(k, start.count))
        chosen = jnp.take_along_axis(near, which[:, None], axis=1)[:, 0]
        # To a row that shows nothing all donors are equally near.
        chosen = jnp.where(jnp.any(m, axis=1), chosen, _of(u, start.count))
        return donors[chosen], None

    source = sources.Source(fit, draw, near=True)
    return source


def _of(u: Array, count: Array) -> Array:
    """Integers in [0, count) from numbers in [0, 1]."""
    return jnp.clip(jnp.floor(u * count).astype(jnp.int32), 0, count - 1)


def hot_deck_on_host(k: int = 5) -> sources.Source:
    """`hot_deck` by scikit-learn.

    Its functions see and give NumPy arrays. The start is arrays too, so that a
    fit can be saved: the search trees are made in `draw`, one for each mask.

    Args:
      k: nearest donors, one of which gives its values.
    """

    def fit(
        key: Array, data: Masked, rows: np.ndarray | None
    ) -> tuple[np.ndarray, Array]:
        seen = data if rows is None else Masked(data.x[rows], data.m[rows])
        donors = seen.x[seen.m.all(axis=1)]
        return donors, sources.fill(key, data, source, donors, chunk=1024)

    def draw(
        donors: np.ndarray, noise: np.ndarray, x: np.ndarray, m: np.ndarray
    ) -> tuple[np.ndarray, None]:
        count = len(donors)
        u = np.asarray(ndtr(noise[:, 0]))
        some = lambda u, count: np.minimum((u * count).astype(int), count - 1)
        chosen = some(u, count)
        nearest = NearestNeighbors(n_neighbors=min(k, count))
        patterns, pattern_of = np.unique(m, axis=0, return_inverse=True)
        for i, shown in enumerate(patterns):
            here = pattern_of.ravel() == i
            if shown.any():
                nearest.fit(donors[:, shown])
                near = nearest.kneighbors(x[here][:, shown])[1]
                which = some(u[here], near.shape[1])
                chosen[here] = near[np.arange(len(near)), which]
        return donors[chosen], None

    like = np.dtype(np.float32)  # of the start
    source = sources.Source(fit, draw, near=True, host=True, like=like)
    return source


def make_hot_deck_miri(
    *, k: int = 5, host: bool = False, num_iterations: int = 20
) -> Imputer:
    """MIRI's fast recipe, started from a hot deck.

    Args:
      k: nearest donors.
      host: whether the hot deck works on the host.
      num_iterations: outer iterations T.
    """
    source = hot_deck_on_host(k) if host else hot_deck(k)
    recipe = FAST._replace(source=source, num_iterations=num_iterations)
    return miri(recipe)


def curve(key: Array, n: int) -> Array:
    """Points `[n, 4]` of a closed curve with noise, standardised."""
    key_angle, key_noise = jax.random.split(key)
    a = jax.random.uniform(key_angle, (n,), jnp.float32, 0, 2 * jnp.pi)
    x = jnp.stack([jnp.cos(a), jnp.sin(a), jnp.cos(2 * a), jnp.sin(2 * a)], 1)
    x = x + 0.1 * jax.random.normal(key_noise, x.shape)
    return (x - jnp.mean(x, axis=0)[None]) / jnp.std(x, axis=0)[None]


def main(
    rows: int = 2000,
    rate: float = 0.6,
    k: int = 5,
    seed: int = 1,
    host: bool = False,
    **settings: int,
) -> dict[str, float]:
    """Fills the curve both ways; the MMD of each to the truth.

    Args:
      rows: of the curve.
      rate: share of its entries that go missing.
      k: nearest donors.
      seed: of all that is random.
      host: whether the hot deck works on the host.
      **settings: others of `make_hot_deck_miri`.
    """
    key_truth, key_mask = jax.random.split(jax.random.key(seed))
    truth = curve(key_truth, rows)
    m = masks.mcar(key_mask, truth.shape, rate).m
    data = Masked(jnp.where(m, truth, 0), m)
    keys = engine.seed_keys(seed)
    bandwidth = median_distance(truth)
    complete = int(jnp.sum(jnp.all(m, axis=1)))
    print(f"{rows} rows, {complete} of them complete", flush=True)

    source = hot_deck_on_host(k) if host else hot_deck(k)
    _, x = source.first(keys.other, data, None)
    found = {"hot deck": mmd(truth, x, bandwidth)}
    print(f"MMD of the hot deck     {found['hot deck']:.4f}", flush=True)

    # By its name the estimator and configs can ask for it as well.
    register("hot_deck_miri", make_hot_deck_miri)
    imputer = make_imputer("hot_deck_miri", k=k, host=host, **settings)
    begin = time.perf_counter()
    state = engine.fit(keys.fit, imputer, data)
    x = engine.draw(keys.draw, imputer, state, data)
    found["miri"] = mmd(truth, x, bandwidth)
    seconds = time.perf_counter() - begin
    print(f"MMD of MIRI from it     {found['miri']:.4f}  {seconds:.0f} s")
    return found


if __name__ == "__main__":
    flags.DEFINE_integer("rows", 2000, "Rows of the table.")
    flags.DEFINE_float("rate", 0.6, "Share of entries that go missing.")
    flags.DEFINE_integer("k", 5, "Nearest donors.")
    flags.DEFINE_integer("seed", 1, "Of all that is random.")
    flags.DEFINE_bool("host", False, "The hot deck by scikit-learn.")

    def run(argv: list[str]) -> None:
        """Reads the flags."""
        del argv
        main(FLAGS.rows, FLAGS.rate, FLAGS.k, FLAGS.seed, FLAGS.host)

    app.run(run)
