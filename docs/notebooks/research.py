# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Research: Algorithm 1 by hand, and a source of your own
#
# Everything that `miri` does is made of functions. First the algorithm of the
# paper out of a dozen of them, then the fast recipe with another source.
#
# ## Data with a truth
#
# The toy of the paper's section 6.1: two Gaussians in the plane, 30 % of the
# cells missing completely at random. `m` is True where a cell is observed, and
# a missing cell holds 0.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from miri_jax.core import flow, masks, ode, pairs, rows, train
from miri_jax.data.toy import two_gaussians
from miri_jax.metrics import mmd
from miri_jax.models import VelocityMLP
from miri_jax.types import Cond, Masked

key_toy, key_mask, key = jax.random.split(jax.random.key(1), 3)
truth = two_gaussians(key_toy, 2000)
m = masks.mcar(key_mask, truth.shape, 0.3).m
data = Masked(jnp.where(m, truth, 0), m)

# %% [markdown]
# ## Algorithm 1 of the paper
#
# In each iteration a fresh network learns the velocity from pairs of rows of
# the filled table, and its ODE moves what is missing. The long form, with the
# numbers of the lines as the paper prints them, is
# `experiments/algorithm1.py` in a clone.

# %%
BATCH, STEPS, EULER = 256, 600, 50
network = VelocityMLP(width=64, depth=2, activation="relu")
optimizer = train.cosine_adam(2e-3, STEPS)
one_row = Cond(data.x[0], data.x[0], data.m[0])
gaps = rows.gap_rows(data.m)


@jax.jit
def iteration(key, x):
    """X(t) of X(t-1)."""
    key_net, key_sgd, key_ode = jax.random.split(key, 3)
    table = pairs.bank(x, data.m)
    params = network.init(key_net, x[0], one_row, jnp.float32(0))

    def sample_batch(key):
        key_pairs, key_tau = jax.random.split(key)
        choice = pairs.of_table(key_pairs, table, BATCH)
        tau = jax.random.uniform(key_tau, (BATCH,))
        return pairs.make_batch(tau, pairs.start(choice, None))

    trained, _ = train.sgd(
        key_sgd,
        train.init_train_state(params, optimizer),
        sample_batch,
        STEPS,
        loss_fn=lambda p, batch: flow.flow_loss(p, network.apply, batch),
        optimizer=optimizer,
    )

    def solve(noise, x, x_obs, m):
        del noise  # the flow starts from X(t-1)
        velocity = flow.imputation_velocity(network.apply)
        args = (trained.params, x_obs, m, None)
        return ode.euler(velocity, x, args, num_steps=EULER)

    return rows.move_rows(key_ode, x, data, gaps, solve, chunk=4096)


key_fill, key_steps = jax.random.split(key)
x = flow.merge(data.x, jax.random.normal(key_fill, truth.shape), m)
tables = [x]
for t in range(5):
    tables.append(iteration(jax.random.fold_in(key_steps, t), tables[-1]))
for t, x in enumerate(tables):
    print(f"t = {t}  MMD to the truth {mmd(truth, x, bandwidth=1.0):.3f}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharex=True, sharey=True)
shown = {"truth": truth, "X(0)": tables[0], "X(5)": tables[-1]}
for ax, (name, points) in zip(axes, shown.items()):
    ax.scatter(*np.asarray(points).T, s=3)
    ax.set_title(name)

# %% [markdown]
# ## The fast recipe, from a source of your own
#
# `FAST` is a tuple of functions. Its flow starts from a source: what a source
# fits, and what it draws, are two functions. This one gives a gap the value
# that another row, chosen at random, has in that column.

# %%
from miri_jax import FAST, engine, miri, sources


def hot_deck():
    """Each gap has the value of a row chosen at random, column by column."""

    def fit(key, data, which):
        del which  # what rows to learn from; here all
        # Observed cells first, column by column.
        order = jnp.argsort(~data.m, axis=0)
        start = (
            jnp.take_along_axis(data.x, order, axis=0),
            jnp.sum(data.m, axis=0),
        )
        return start, sources.fill(key, data, source, start, chunk=1024)

    def draw(start, noise, x, m):
        donors, count = start
        u = jax.scipy.stats.norm.cdf(noise)  # all that is random is the noise
        chosen = jnp.floor(u * count[None]).astype(jnp.int32)
        chosen = jnp.clip(chosen, 0, count[None] - 1)
        return jnp.take_along_axis(donors, chosen, axis=0), None

    source = sources.Source(fit, draw, near=False)
    return source


keys = engine.seed_keys(0)
imputer = miri(FAST._replace(source=hot_deck(), num_iterations=20))
state = engine.fit(keys.fit, imputer, data)
x = engine.draw(keys.draw, imputer, state, data)
_, start = hot_deck().first(keys.other, data, None)
print(f"MMD of the hot deck  {mmd(truth, start, bandwidth=1.0):.3f}")
print(f"MMD of MIRI from it  {mmd(truth, x, bandwidth=1.0):.3f}")

# %% [markdown]
# `miri_jax.register("mine", factory)` gives it a name, by which the estimator,
# the command and configs can ask for it: [methods](../methods.md). A source may
# work on the host as well, with a library: `experiments/own_source.py`.
