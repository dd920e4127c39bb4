"""Mutual information of a filled table and its mask, on held-out rows.

MI(X, M) = sum_j E log p(m_j | x, m_<j) / p(m_j | m_<j): the chain rule turns it
into d binary classifications. Both probabilities are learnt on some rows and
their ratio is averaged over others, fold by fold, so that memorising earns
nothing. An imputation is good when nothing in the filled table tells which
cells were filled: MI = 0. It needs no truth.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

from miri_jax.types import Array, PyTree

NUM_SNAPSHOTS = 12


class _Rows(NamedTuple):
    """Features `[n, f]` of X and the mask `[n, d]` (1 = observed)."""

    features: Array
    m: Array


class _Logits(nn.Module):
    """A small network that starts at logits 0, whatever its input."""

    width: int
    columns: int

    @nn.compact
    def __call__(self, *inputs: Array) -> Array:
        h = jnp.concatenate(inputs)
        for _ in range(2):
            h = nn.silu(nn.Dense(self.width)(h))
        return nn.Dense(self.columns, kernel_init=nn.initializers.zeros)(h)


def mutual_information(
    key: Array,
    x: ArrayLike,
    m: ArrayLike,
    *,
    num_folds: int = 3,
    num_steps: int = 600,
    batch_size: int = 256,
    width: int = 64,
    max_rows: int = 6000,
    max_columns: int = 64,
) -> float:
    """Estimates MI(X, M) in nats.

    It is a lower bound in expectation where the mask's columns are independent
    (MCAR), as classifiers learnt from finite data fall short. Filling with the
    mean gives the entropy of the mask, d * h(rate); the true table under MCAR
    gives 0, within the sampling error, which may take it slightly below 0.

    Args:
      key: PRNG key.
      x: `[n, *dims]`, filled, any scale.
      m: `[n, *dims]` bool, True = observed.
      num_folds: folds of rows, each held out once.
      num_steps: SGD steps of each of a fold's two classifiers; the best of
        `NUM_SNAPSHOTS` snapshots is chosen on rows held out for that.
      batch_size: rows in an SGD step.
      width: units in each of the classifier's two layers.
      max_rows: above this many rows, a random subset of this size is used.
      max_columns: above this many columns, the sum over j is estimated from
        this many random ones.

    Returns:
      Nats; 0 where every column is fully observed or fully missing, or where
      there are fewer than 10 rows a fold.
    """
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    m = np.asarray(m, bool).reshape(len(m), -1)
    key_rows, key_columns, key_fit = jax.random.split(key, 3)
    rows = np.asarray(jax.random.permutation(key_rows, len(x)))[:max_rows]
    size = len(rows) // num_folds
    mixed = np.flatnonzero(m.any(0) & ~m.all(0))
    if size < 10 or not len(mixed):
        return 0.0
    folds = rows[: size * num_folds].reshape(num_folds, size)
    columns = np.asarray(jax.random.permutation(key_columns, len(mixed)))
    columns = np.sort(columns[:max_columns])
    seen = np.asarray(m[:, mixed], np.float32)
    gains = []
    for k in range(num_folds):
        learn, held_out = np.delete(folds, k, axis=0).ravel(), folds[k]
        features = _features(x, m, learn)
        gain = _held_out_gain(
            jax.random.fold_in(key_fit, k),
            _Rows(features[learn], seen[learn]),
            _Rows(features[held_out], seen[held_out]),
            columns,
            num_steps=num_steps,
            batch_size=batch_size,
            width=width,
        )
        gains.append(gain)
    return float(np.mean(gains)) * len(mixed) / len(columns)


def _features(x: np.ndarray, m: np.ndarray, learn: np.ndarray) -> np.ndarray:
    """`[n, 2 d]`: standardised, clipped values, and whether each is an atom.

    Filling with a constant puts an atom into a continuous column, which a
    smooth network cannot see. An atom is a value that fills 5 % or more of the
    gaps of its column in the rows to learn from.
    """
    centre, scale = x[learn].mean(axis=0), x[learn].std(axis=0)
    values = (x - centre) / np.where(scale > 0, scale, 1.0)
    atoms = np.zeros(x.shape)
    for j in range(x.shape[1]):
        filled = x[learn, j][~m[learn, j]]
        found, count = np.unique(filled, return_counts=True)
        often = count >= max(0.05 * len(filled), 2)
        atoms[:, j] = np.isin(x[:, j], found[often])
    both = np.concatenate([np.clip(values, -5, 5), 4 * atoms], axis=1)
    return both.astype(np.float32)


# Logits `[d]` of one row's mask, of which the columns before j are revealed.
_LogitsFn = Callable[[PyTree, Array, Array, Array], Array]


@partial(jax.jit, static_argnames=("num_steps", "batch_size", "width"))
def _held_out_gain(
    key: Array,
    train: _Rows,
    test: _Rows,
    columns: Array,
    *,
    num_steps: int,
    batch_size: int,
    width: int,
) -> Array:
    """Mean over `test` of the sum over `columns` of the log ratios, in nats.

    The prior p(m_j | m_<j) is learnt first. The evidence of x is then learnt on
    top of it, starting from none, so that where x tells nothing the ratio stays
    1.
    """
    d = train.m.shape[1]
    network = _Logits(width, d)
    key_prior, key_evidence, key_fit, key_fit_evidence = jax.random.split(
        key, 4
    )
    held = max(train.m.shape[0] // 6, 1)  # to choose the snapshot by
    valid = jax.tree.map(lambda a: a[:held], train)
    train = jax.tree.map(lambda a: a[held:], train)
    rate = jnp.clip(jnp.mean(train.m, 0), 1e-3, 1 - 1e-3)
    start = jnp.log(rate) - jnp.log1p(-rate)

    def shown(m: Array, j: Array) -> tuple[Array, Array]:
        revealed = (jnp.arange(d) < j).astype(m.dtype)
        return revealed * (2 * m - 1), revealed

    def prior_logits(params, features, m, j):
        del features
        return start + network.apply(params, *shown(m, j))

    fit = partial(
        _fit_best,
        train=train,
        valid=valid,
        columns=columns,
        num_steps=num_steps,
        batch_size=batch_size,
    )
    zero = jnp.int32(0)
    params = network.init(key_prior, *shown(train.m[0], zero))
    prior = fit(key_fit, params, prior_logits)

    def logits(params, features, m, j):
        evidence = network.apply(params, features, *shown(m, j))
        return prior_logits(prior, features, m, j) + evidence

    params = network.init(
        key_evidence, train.features[0], *shown(train.m[0], zero)
    )
    posterior = fit(key_fit_evidence, params, logits)
    return _log_likelihood(posterior, logits, test, columns) - _log_likelihood(
        prior, prior_logits, test, columns
    )


def _fit_best(
    key: Array,
    params: PyTree,
    logits_fn: _LogitsFn,
    *,
    train: _Rows,
    valid: _Rows,
    columns: Array,
    num_steps: int,
    batch_size: int,
) -> PyTree:
    """Trains `params` and returns the snapshot that is best on `valid`."""
    optimizer = optax.adamw(
        optax.cosine_decay_schedule(3e-3, num_steps), weight_decay=1e-2
    )

    def loss_fn(params: PyTree, rows: _Rows, j: Array) -> Array:
        """Cross-entropy of the columns not yet revealed."""
        logits = jax.vmap(logits_fn, (None, 0, 0, 0))(
            params, rows.features, rows.m, j
        )
        hidden = jnp.arange(rows.m.shape[1])[None, :] >= j[:, None]
        loss = optax.sigmoid_binary_cross_entropy(logits, rows.m)
        return jnp.sum(jnp.where(hidden, loss, 0)) / jnp.sum(hidden)

    def sgd_step(carry: Any, i: Array) -> tuple[Any, None]:
        params, opt_state = carry
        key_rows, key_j = jax.random.split(jax.random.fold_in(key, i))
        n, d = train.m.shape
        rows = jax.random.randint(key_rows, (batch_size,), 0, n)
        j = jax.random.randint(key_j, (batch_size,), 0, d)
        batch = jax.tree.map(lambda a: a[rows], train)
        grads = jax.grad(loss_fn)(params, batch, j)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def snapshot(carry: Any, steps: Array) -> tuple[Any, None]:
        params, opt_state, best, best_score = carry
        (params, opt_state), _ = jax.lax.scan(
            sgd_step, (params, opt_state), steps
        )
        score = _log_likelihood(params, logits_fn, valid, columns)
        best = jax.tree.map(
            lambda new, old: jnp.where(score > best_score, new, old),
            params,
            best,
        )
        best_score = jnp.maximum(score, best_score)
        return (params, opt_state, best, best_score), None

    score = _log_likelihood(params, logits_fn, valid, columns)
    carry = (params, optimizer.init(params), params, score)
    size = max(num_steps // NUM_SNAPSHOTS, 1)
    steps = jnp.arange(NUM_SNAPSHOTS * size).reshape(NUM_SNAPSHOTS, size)
    return jax.lax.scan(snapshot, carry, steps)[0][2]


def _log_likelihood(
    params: PyTree, logits_fn: _LogitsFn, rows: _Rows, columns: Array
) -> Array:
    """Mean over rows of the sum over `columns` of log p(m_j | ...)."""

    def one_column(j: Array) -> Array:
        logits = jax.vmap(lambda f, m: logits_fn(params, f, m, j)[j])(*rows)
        loss = optax.sigmoid_binary_cross_entropy(logits, rows.m[:, j])
        return -jnp.mean(loss)

    return jnp.sum(jax.lax.map(one_column, columns))
