"""TabCSDI (Zheng and Charoenphakdee, 2022): CSDI's diffusion for tables.

A conditional diffusion model of some observed entries given the others, split
at random; imputation is conditioned on all observed entries. CSDI: Tashiro et
al., 2021.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from miri_jax.imputers import _ddpm
from miri_jax.imputers._form import compiled
from miri_jax.settings import Range
from miri_jax.types import Array, Bounds, Imputer, Masked


def split_observed(
    key: Array, m: Array, target_share: float | None
) -> tuple[Array, Array]:
    """Splits the observed entries of one example at random.

    Args:
      key: PRNG key.
      m: `[*dims]` bool, True = observed.
      target_share: share of the observed entries that become targets, rounded;
        None for a number of targets that is uniform on 1 ... all of them.

    Returns:
      Masks of conditioning and of target entries, `[*dims]` bool each; their
      union is m.
    """
    key_share, key_order = jax.random.split(key)
    count = jnp.sum(m)
    if target_share is None:
        share = jax.random.uniform(key_share, (), jnp.float32, 1e-6)
        targets = jnp.ceil(share * count)
    else:
        targets = jnp.round(target_share * count)
    order = jax.random.uniform(key_order, m.shape, jnp.float32)
    order = jnp.where(m, order, 2).ravel()
    rank = jnp.argsort(jnp.argsort(order)).reshape(m.shape)
    target = m & (rank < targets)
    return m & ~target, target


def network_inputs(x_t: Array, x: Array, cond: Array) -> tuple[Array, ...]:
    """What the network sees of one example or of a batch.

    Args:
      x_t: diffused, read where `cond` is False.
      x: read where `cond` is True.
      cond: bool, conditioning entries.
    """
    return jnp.where(cond, 0, x_t), jnp.where(cond, x, 0), cond


def split_batch(
    key: Array,
    data: Masked,
    schedule: _ddpm.Schedule,
    batch_size: int,
    *,
    target_share: float | None,
) -> _ddpm.Batch:
    """Rows, times, noise and splits; target entries count."""
    key_rows, key_split = jax.random.split(key)
    x, m, t, noise, x_t = _ddpm.diffuse_rows(
        key_rows, data, schedule, batch_size
    )
    keys = jax.random.split(key_split, batch_size)
    cond, target = jax.vmap(split_observed, (0, 0, None))(keys, m, target_share)
    return _ddpm.Batch(network_inputs(x_t, x, cond), noise, target, t)


def draw_row(
    key: Array,
    predict: _ddpm.Predict,
    schedule: _ddpm.Schedule,
    bounds: Bounds,
    x_obs: Array,
    m: Array,
) -> Array:
    """Draws all missing entries of one row given all observed ones."""

    def noise(x_t: Array, t: Array) -> Array:
        return predict(network_inputs(x_t, x_obs, m), t)

    return _ddpm.ancestral(key, noise, schedule, bounds)


def make_tabcsdi(
    *,
    num_iterations: int = 10,
    num_steps: int | None = None,
    batch_size: int = 64,
    learning_rate: Annotated[float, Range(1e-12)] = 2e-3,
    decay: Annotated[float, Range(0, 1)] = 0.5,
    ema_decay: Annotated[float, Range(0, 1)] = 0.999,
    diffusion_steps: Annotated[int, Range(2)] = 100,
    target_share: Annotated[float, Range(0, 1)] | None = None,
    chunk: int = 4096,
    model: Mapping[str, Any] | None = None,
) -> Imputer:
    """Learns the noise in some observed entries given the others.

    Each draw is one imputation; the authors' point estimate is the median of
    100. Small tables are trained longer than for 250 epochs, at a rate of 2e-3
    that falls by 0.5 each time and with an average of weights, where the public
    code has 5e-4 that falls by 0.1: on energy, 60 % missing, mask 11, that
    brings the MMD from 0.061 to 0.040. X stays as it was, with 0 in the gaps,
    until the last iteration.

    Args:
      num_iterations: parts that the fit is cut into.
      num_steps: SGD steps in each; None for 250 epochs in all, within bounds,
        see `_ddpm.epoch_steps`.
      batch_size: rows in each SGD step.
      learning_rate: of Adam, at first.
      decay: factor of `_ddpm.step_decay_adam`.
      ema_decay: of the average of weights that draws come from; 0 for none.
      diffusion_steps: T.
      target_share: see `split_observed`. The public code has 0.8, rounded, by
        which rows with one or two observed entries have nothing to be
        conditioned on; CSDI, and the default here, a random share.
      chunk: rows imputed at a time.
      model: overrides of `MLP`'s fields. The authors have a transformer over
        columns.

    Returns:
      The imputer, see `types.Imputer`.
    """
    settings = _ddpm.DiffusionSettings(
        draw_batch=partial(split_batch, target_share=target_share),
        draw_row=draw_row,
        num_iterations=num_iterations,
        num_steps=num_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        decay=decay,
        ema_decay=ema_decay,
        diffusion_steps=diffusion_steps,
        chunk=chunk,
        model=model,
    )
    return compiled(
        settings,
        num_iterations,
        init=_ddpm.init,
        step=_ddpm.step,
        impute=_ddpm.impute,
    )
