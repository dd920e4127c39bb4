"""Imputers that draw by a function, right or wrong, without a fit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.types import Imputer


class _State(NamedTuple):
    iteration: jax.Array
    x: jax.Array


def drawing(fill, redraws=True):
    """The imputer that fills `[n, d]` by `fill(rng, x, m)`."""

    def impute(key, state, data, draw=None):
        words = [*np.asarray(jax.random.key_data(key))]
        words += [] if draw is None else [int(draw.index)]
        x, m = np.asarray(data.x), np.asarray(data.m)
        filled = fill(np.random.default_rng(words), x, m)
        return np.where(m, x, filled).astype(np.float32)

    return Imputer(
        init=lambda key, data: _State(jnp.int32(0), data.x),
        step=lambda key, state, data: (_State(jnp.int32(1), state.x), {}),
        impute=impute,
        num_iterations=1,
        host=True,
        redraws=redraws,
    )


def conditional(cov):
    """Right draws of a normal table with mean 0."""

    def fill(rng, x, m):
        out, noise = np.array(x, np.float64), rng.normal(size=x.shape)
        for seen in np.unique(m, axis=0):
            rows, gaps = np.flatnonzero((m == seen).all(axis=1)), ~seen
            weights = cov[np.ix_(gaps, seen)] @ np.linalg.pinv(
                cov[np.ix_(seen, seen)]
            )
            left = cov[np.ix_(gaps, gaps)] - weights @ cov[np.ix_(seen, gaps)]
            root = np.linalg.cholesky(left + 1e-9 * np.eye(gaps.sum()))
            out[np.ix_(rows, gaps)] = (
                x[np.ix_(rows, seen)] @ weights.T
                + noise[np.ix_(rows, gaps)] @ root.T
            )
        return out

    return fill


def bad_fillings(x, m, right):
    """Wrong ways to fill, by name: each is wrong in another way.

    Args:
      x: `[n, d]`, observed values.
      m: `[n, d]` bool.
      right: the right one.
    """
    seen = [column[known] for column, known in zip(x.T, m.T)]
    columns = lambda of: (
        lambda rng, a, _: np.stack(
            [of(rng, values, len(a)) for values in seen], axis=1
        )
    )

    def permuted(rng, a, known):
        filled = right(rng, a, known)
        return rng.permutation(filled)

    def mean_of_draws(rng, a, known):
        return np.mean([right(rng, a, known) for _ in range(20)], axis=0)

    return {
        "mean": columns(lambda rng, v, n: np.full(n, v.mean())),
        "constant": columns(lambda rng, v, n: np.full(n, v.max())),
        "hot deck": columns(lambda rng, v, n: rng.choice(v, n)),
        "permuted": permuted,
        "noise": columns(
            lambda rng, v, n: rng.normal(v.mean(), 3 * v.std(), n)
        ),
        "mean of draws": mean_of_draws,
    }
