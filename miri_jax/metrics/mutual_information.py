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
# The smallest eigenvalue of the correlations, and of a residual variance.
RIDGE = 1e-2
# Entries of the matrices of the rows that are regressed at a time.
CELLS = 2**22
MAX_REGRESSED = 256


class Estimate(NamedTuple):
    """An estimate of MI and its standard error over rows, in nats."""

    nats: float
    error: float


class _Rows(NamedTuple):
    """What the classifiers see of n rows.

    Attributes:
      features: `[n, f]`, for the networks.
      cells: `[n, d, c]`, features of each cell by itself.
      m: `[n, d]`, the mask, 1 = observed.
    """

    features: Array
    cells: Array
    m: Array


class _Logits(nn.Module):
    """A small network that starts at logits 0, whatever its input.

    Beside it a linear part, whose weights all columns share, sees each column's
    own `cells` `[d, c]`: a few hundred rows suffice to teach it something.
    """

    width: int
    columns: int

    @nn.compact
    def __call__(self, features: Array, cells: Array, *mask: Array) -> Array:
        zeros = nn.initializers.zeros
        h = jnp.concatenate([features, *mask])
        for _ in range(2):
            h = nn.silu(nn.Dense(self.width)(h))
        logits = nn.Dense(self.columns, kernel_init=zeros)(h)
        shared = nn.Dense(1, use_bias=False, kernel_init=zeros)(cells)
        return logits + shared[:, 0]


def mutual_information(
    key: Array, x: ArrayLike, m: ArrayLike, **settings: int
) -> float:
    """`estimate_mutual_information` without its standard error."""
    return estimate_mutual_information(key, x, m, **settings).nats


def estimate_mutual_information(
    key: Array,
    x: ArrayLike,
    m: ArrayLike,
    *,
    num_folds: int = 3,
    num_steps: int = 360,
    batch_size: int = 32,
    width: int = 64,
    max_rows: int = 6000,
    max_columns: int = 64,
) -> Estimate:
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
      The `Estimate`; 0 where every column is fully observed or fully missing,
      or where there are fewer than 10 rows a fold.
    """
    x, m = np.asarray(x), np.asarray(m, bool)
    key_rows, key_fit = jax.random.split(key)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key_rows)))
    rows = rng.permutation(len(x))[:max_rows]
    x = x[rows].astype(np.float64).reshape(len(rows), -1)
    m = m[rows].reshape(len(rows), -1)
    size = len(rows) // num_folds
    mixed = np.flatnonzero(m.any(0) & ~m.all(0))
    if size < 10 or not len(mixed):
        return Estimate(0.0, 0.0)
    folds = np.arange(size * num_folds).reshape(num_folds, size)
    columns = np.sort(rng.permutation(len(mixed))[:max_columns])
    seen = np.asarray(m[:, mixed], np.float32)
    learn, held_out = [], []
    for k, fold in enumerate(folds):
        others = np.delete(folds, k, axis=0).ravel()
        features, cells = _features(x, m, mixed, others)
        for out, chosen in ((learn, others), (held_out, fold)):
            out.append(_Rows(features[chosen], cells[chosen], seen[chosen]))
    stack = lambda parts: jax.tree.map(lambda *a: np.stack(a), *parts)
    gains = _held_out_gains(
        key_fit,
        stack(learn),
        stack(held_out),
        columns,
        num_steps=num_steps,
        batch_size=batch_size,
        width=width,
    )
    gains = np.asarray(gains, np.float64) * len(mixed) / len(columns)
    return Estimate(float(gains.mean()), float(gains.std() / gains.size**0.5))


def _features(
    x: np.ndarray, m: np.ndarray, mixed: np.ndarray, learn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`[n, 2 d]` for the networks and `[n, len(mixed), 6]` cell by cell.

    For the networks: standardised, clipped values, and whether each is an atom.
    Filling with a constant puts an atom into a continuous column, which a
    smooth network cannot see: an atom is a value that fills 5 % or more of the
    gaps of its column in the rows to learn from.

    For each cell: how far it is from its column's mean and from what the row's
    observed cells in the columns before it (of more than `MAX_REGRESSED`, in
    the same group of neighbours) let expect, see `_residuals`.
    Filling at random makes these residuals large, a regression makes them
    small. The log odds of two Gaussians are linear in these features.
    """
    seen = m[learn]
    count = np.maximum(seen.sum(axis=0), 1)
    centre = np.where(seen, x[learn], 0).sum(axis=0) / count
    square = np.where(seen, x[learn] - centre, 0) ** 2
    scale = np.sqrt(square.sum(axis=0) / count)
    values = (x - centre) / np.where(scale > 0, scale, 1.0)
    values = np.clip(values, -5, 5)
    # A regression on d columns takes d^3: of wide tables, in groups of columns.
    groups = -(-x.shape[1] // MAX_REGRESSED)
    parts = [
        _residuals(values[:, some], m[:, some], learn)
        for some in np.array_split(np.arange(x.shape[1]), groups)
    ]
    residuals, log_variance = (np.hstack(part) for part in zip(*parts))
    residuals = np.clip(residuals, -5, 5)
    atoms = np.zeros(x.shape)
    for j in range(x.shape[1]):
        filled = x[learn, j][~m[learn, j]]
        found, often = np.unique(filled, return_counts=True)
        often = often >= max(0.05 * len(filled), 2)
        atoms[:, j] = np.isin(x[:, j], found[often])
    features = np.concatenate([values, 4 * atoms], axis=1)
    sizes = [np.abs(residuals), residuals**2, np.abs(values), values**2]
    cells = np.stack([*sizes, log_variance, 4 * atoms], axis=-1)[:, mixed]
    cells -= cells[learn].mean(axis=(0, 1))
    return features.astype(np.float32), cells.astype(np.float32)


def _residuals(
    values: np.ndarray, m: np.ndarray, learn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of linear regressions on observed cells of earlier columns.

    Args:
      values: `[n, d]`, standardised by observed mean and deviation.
      m: `[n, d]` bool, True = observed.
      learn: the rows to learn the correlations from, of observed pairs.

    Returns:
      `[n, d]` residuals in their own deviations, and `[n, d]` the logarithm of
      the share of the variance that they have left.
    """
    d = values.shape[1]
    shown = np.where(m, values, 0)
    pairs = m[learn].T.astype(float) @ m[learn]
    cov = shown[learn].T @ shown[learn] / np.maximum(pairs, 1)
    # Few pairs make a noisy correlation; they also need not be consistent.
    cov *= np.where(np.eye(d, dtype=bool), 1, pairs / (pairs + d))
    values_, vectors = np.linalg.eigh(cov)
    cov = (vectors * np.maximum(values_, RIDGE)) @ vectors.T
    variance = np.diag(cov)
    residuals, log_variance = np.empty((2, *values.shape))
    size = max(CELLS // d**2, 1)
    for start in range(0, len(values), size):
        rows = slice(start, start + size)
        seen = m[rows, :, None]
        known = np.where(seen & seen.swapaxes(1, 2), cov, np.eye(d))
        root = np.linalg.cholesky(known)
        sides = np.concatenate(
            [np.where(seen, cov, 0), shown[rows, :, None]], axis=2
        )
        solved = np.linalg.solve(root, sides)
        # Column j of the first d, up to row j: the weights on what is earlier.
        weights = np.triu(solved[:, :, :d], 1)
        left = variance - np.sum(weights**2, axis=1)
        left = np.maximum(left, RIDGE * variance)
        mean = np.einsum("nkj,nk->nj", weights, solved[:, :, d])
        residuals[rows] = (values[rows] - mean) / np.sqrt(left)
        log_variance[rows] = np.log(left / variance)
    return residuals, log_variance


# Logits `[d]` of one row's mask, of which the columns before j are revealed.
_LogitsFn = Callable[[PyTree, _Rows, Array], Array]


@partial(jax.jit, static_argnames=("num_steps", "batch_size", "width"))
def _held_out_gains(
    key: Array,
    train: _Rows,
    test: _Rows,
    columns: Array,
    **settings: int,
) -> Array:
    """`_held_out_gain` of all folds at once: `[folds, n]`."""
    gain = lambda *fold: _held_out_gain(*fold, columns, **settings)
    keys = jax.random.split(key, len(train.m))
    return jax.vmap(gain)(keys, train, test)


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
    """Sum over `columns` of the log ratios of each row of `test`, in nats.

    The prior p(m_j | m_<j) is learnt first. The evidence of x is then learnt on
    top of it, starting from none, so that where x tells nothing the ratio stays
    1.
    """
    d = train.m.shape[1]
    network = _Logits(width, d)
    held = max(train.m.shape[0] // 6, 1)  # to choose the snapshot by
    valid = jax.tree.map(lambda a: a[:held], train)
    train = jax.tree.map(lambda a: a[held:], train)
    rate = jnp.clip(jnp.mean(train.m, 0), 1e-3, 1 - 1e-3)
    start = jnp.log(rate) - jnp.log1p(-rate)

    def apply(params: PyTree, row: _Rows, j: Array, with_x: Array) -> Array:
        revealed = (jnp.arange(d) < j).astype(row.m.dtype)
        return network.apply(
            params,
            with_x * row.features,
            with_x * row.cells,
            revealed * (2 * row.m - 1),
            revealed,
        )

    def stage(prior: PyTree, inputs: tuple[Array, ...]) -> tuple[Any, Array]:
        key_init, key_fit, with_x = inputs

        def logits(params: PyTree, row: _Rows, j: Array) -> Array:
            known = start + apply(prior, row, j, jnp.zeros_like(with_x))
            return known + apply(params, row, j, with_x)

        params = _fit_best(
            key_fit,
            init(key_init),
            logits,
            train=train,
            valid=valid,
            columns=columns,
            num_steps=num_steps,
            batch_size=batch_size,
        )
        return params, _log_likelihood(params, logits, test, columns)

    def init(key: Array) -> PyTree:
        row = jax.tree.map(lambda a: a[0], train)
        return network.init(key, row.features, row.cells, row.m, row.m)

    key_init, key_fit = jax.random.split(key)
    # At its start a network says nothing, which is the prior's own prior.
    key_zero, key_init = jax.random.split(key_init)
    keys = jax.random.split(key_init), jax.random.split(key_fit)
    stages = (*keys, jnp.arange(2.0))
    _, (prior, posterior) = jax.lax.scan(stage, init(key_zero), stages)
    return posterior - prior


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
        optax.cosine_decay_schedule(1e-2, num_steps), weight_decay=1e-2
    )

    def loss_fn(params: PyTree, rows: _Rows, j: Array) -> Array:
        """Cross-entropy of the columns not yet revealed."""
        logits = jax.vmap(logits_fn, (None, 0, 0))(params, rows, j)
        hidden = jnp.arange(rows.m.shape[1])[None, :] >= j[:, None]
        loss = optax.sigmoid_binary_cross_entropy(logits, rows.m)
        return jnp.sum(jnp.where(hidden, loss, 0)) / jnp.sum(hidden)

    def sgd_step(carry: Any, i: Array) -> tuple[Any, None]:
        params, opt_state = carry
        key_rows, key_j = jax.random.split(jax.random.fold_in(key, i))
        n, d = train.m.shape
        rows = jax.random.randint(key_rows, (batch_size,), 0, n, jnp.int32)
        j = jax.random.randint(key_j, (batch_size,), 0, d, jnp.int32)
        batch = jax.tree.map(lambda a: a[rows], train)
        grads = jax.grad(loss_fn)(params, batch, j)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def score_of(params: PyTree) -> Array:
        return jnp.mean(_log_likelihood(params, logits_fn, valid, columns))

    def snapshot(carry: Any, steps: Array) -> tuple[Any, None]:
        params, opt_state, best, best_score = carry
        score = score_of(params)
        best = jax.tree.map(
            lambda new, old: jnp.where(score > best_score, new, old),
            params,
            best,
        )
        best_score = jnp.maximum(score, best_score)
        (params, opt_state), _ = jax.lax.scan(
            sgd_step, (params, opt_state), steps
        )
        return (params, opt_state, best, best_score), None

    # The first snapshot is the start; the steps after the last are of size 0.
    carry = (params, optimizer.init(params), params, -jnp.inf)
    size = max(num_steps // NUM_SNAPSHOTS, 1)
    steps = jnp.arange((NUM_SNAPSHOTS + 1) * size)
    steps = steps.reshape(NUM_SNAPSHOTS + 1, size)
    return jax.lax.scan(snapshot, carry, steps)[0][2]


def _log_likelihood(
    params: PyTree, logits_fn: _LogitsFn, rows: _Rows, columns: Array
) -> Array:
    """Sum over `columns` of log p(m_j | ...) of each row: `[n]`."""

    def add_column(total: Array, j: Array) -> tuple[Array, None]:
        logits = jax.vmap(lambda row: logits_fn(params, row, j)[j])(rows)
        loss = optax.sigmoid_binary_cross_entropy(logits, rows.m[:, j])
        return total - loss, None

    zero = jnp.zeros(len(rows.m))
    return jax.lax.scan(add_column, zero, columns)[0]
