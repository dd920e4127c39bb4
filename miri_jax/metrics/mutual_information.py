"""Mutual information of a filled table and its mask, on held-out rows.

MI(X, M) = sum_j E log p(m_j | x, m_<j) / p(m_j | m_<j): the chain rule turns it
into d binary classifications. Both probabilities are learnt on some rows and
their ratio is averaged over others, fold by fold, so that memorising earns
nothing. An imputation is good when nothing in the filled table tells which
cells were filled: MI = 0. It needs no truth.
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

from miri_jax.types import Array, PyTree


class _Rows(NamedTuple):
    """Features `[n, f]` of X and the mask `[n, d]` (1 = observed)."""

    features: Array
    m: Array


class _Classifier(nn.Module):
    """Logits of all m_j, without x (`prior`) and with it (prior + evidence).

    The evidence starts at zero and learns only what the prior leaves, so that
    with nothing to learn the ratio stays 1.
    """

    width: int

    @nn.compact
    def __call__(self, features: Array, m: Array, j: Array):
        d = m.shape[-1]
        revealed = (jnp.arange(d) < j).astype(m.dtype)
        shown = revealed * (2 * m - 1)
        prior = nn.Dense(d, kernel_init=nn.initializers.zeros)(shown)
        h = jnp.concatenate([features, shown, revealed])
        for _ in range(2):
            h = nn.silu(nn.Dense(self.width)(h))
        evidence = nn.Dense(d, kernel_init=nn.initializers.zeros)(h)
        return prior, jax.lax.stop_gradient(prior) + evidence


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
      num_steps: SGD steps of the classifier of each fold; the best of 12
        snapshots is chosen on rows held out for that.
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
    data = _Rows(_features(x, rows), np.asarray(m[:, mixed], np.float32))
    gains = [
        _held_out_gain(
            jax.random.fold_in(key_fit, k),
            jax.tree.map(lambda a: a[np.delete(folds, k, 0).ravel()], data),
            jax.tree.map(lambda a: a[folds[k]], data),
            columns,
            num_steps=num_steps,
            batch_size=batch_size,
            width=width,
        )
        for k in range(num_folds)
    ]
    return float(np.mean(gains)) * len(mixed) / len(columns)


def _features(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`[n, 2 d]`: standardised, clipped values, and how often each is tied.

    Filling with a constant puts an atom into a continuous column, which a
    smooth network cannot see; the count of equal values shows it at once.
    """
    scale = x[rows].std(axis=0)
    values = (x - x[rows].mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    ties = np.empty_like(values)
    for j in range(x.shape[1]):
        _, inverse, count = np.unique(
            x[:, j], return_inverse=True, return_counts=True
        )
        ties[:, j] = np.log(count[inverse]) / np.log(max(len(x), 2))
    both = np.concatenate([np.clip(values, -5, 5), 4 * ties], axis=1)
    return both.astype(np.float32)


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
    """Mean over `test` of the sum over `columns` of the log ratios, in nats."""
    num_snapshots = 12
    model = _Classifier(width)
    optimizer = optax.adamw(
        optax.cosine_decay_schedule(3e-3, num_steps), weight_decay=1e-2
    )
    key_init, key_steps = jax.random.split(key)
    held = max(train.m.shape[0] // 6, 1)  # to choose the snapshot by
    valid = jax.tree.map(lambda a: a[:held], train)
    train = jax.tree.map(lambda a: a[held:], train)
    first = jnp.int32(0)
    params = model.init(key_init, train.features[0], train.m[0], first)
    # Start the prior at the columns' observed rates.
    rate = jnp.clip(jnp.mean(train.m, 0), 1e-3, 1 - 1e-3)
    params["params"]["Dense_0"]["bias"] = jnp.log(rate) - jnp.log1p(-rate)

    def sgd_step(carry: Any, i: Array) -> tuple[Any, None]:
        params, opt_state = carry
        key_rows, key_j = jax.random.split(jax.random.fold_in(key_steps, i))
        rows = jax.random.randint(
            key_rows, (batch_size,), 0, train.m.shape[0]
        )
        j = jax.random.randint(key_j, (batch_size,), 0, train.m.shape[1])
        grads = jax.grad(_classifier_loss)(
            params, model, jax.tree.map(lambda a: a[rows], train), j
        )
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def snapshot(carry: Any, i: Array) -> tuple[Any, None]:
        params, opt_state, best, best_gain = carry
        steps = i * (num_steps // num_snapshots) + jnp.arange(
            num_steps // num_snapshots
        )
        (params, opt_state), _ = jax.lax.scan(
            sgd_step, (params, opt_state), steps
        )
        gain = _gain(params, model, valid, columns)
        better = gain > best_gain
        best = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), params, best
        )
        best_gain = jnp.maximum(gain, best_gain)
        return (params, opt_state, best, best_gain), None

    # The start has no evidence: gain 0, the one to beat.
    carry = (params, optimizer.init(params), params, jnp.float32(0))
    carry, _ = jax.lax.scan(snapshot, carry, jnp.arange(num_snapshots))
    return _gain(carry[2], model, test, columns)


def _log_likelihood(logits: Array, m: Array) -> Array:
    return -optax.sigmoid_binary_cross_entropy(logits, m)


def _classifier_loss(
    params: PyTree, model: _Classifier, rows: _Rows, j: Array
) -> Array:
    """Cross-entropy of the columns not yet revealed, summed and averaged."""
    prior, posterior = jax.vmap(partial(model.apply, params))(
        rows.features, rows.m, j
    )
    hidden = jnp.arange(rows.m.shape[1])[None, :] >= j[:, None]
    loss = -_log_likelihood(prior, rows.m) - _log_likelihood(posterior, rows.m)
    return jnp.sum(jnp.where(hidden, loss, 0)) / jnp.sum(hidden)


def _gain(
    params: PyTree, model: _Classifier, rows: _Rows, columns: Array
) -> Array:
    """Mean over rows of sum over j of log p(m_j|x,m_<j) - log p(m_j|m_<j)."""

    def one_column(j: Array) -> Array:
        prior, posterior = jax.vmap(
            lambda f, m: model.apply(params, f, m, j)
        )(rows.features, rows.m)
        m_j = rows.m[:, j]
        return jnp.mean(
            _log_likelihood(posterior[:, j], m_j)
            - _log_likelihood(prior[:, j], m_j)
        )

    return jnp.sum(jax.lax.map(one_column, columns))
