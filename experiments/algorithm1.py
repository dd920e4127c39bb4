"""Algorithms 1 and 2 of the MIRI paper by hand: no imputer, no engine.

    PYTHONPATH=. python experiments/algorithm1.py

Fills the toy of section 6.1 (6000 rows, 30 % of the entries missing completely
at random) and prints the MMD to the truth after each iteration: 0.28 at first,
0.012 after 8 of them, where the paper's Table 3 has 0.036. A minute on two CPU
cores that others use too. Numbers in comments are the lines of Algorithm 1 as
printed. The network and the optimiser, which the paper leaves to its
supplement, are an MLP of 3 x 128 and Adam on a cosine.
"""

import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from absl import app, flags

from miri_jax.core import flow, masks, ode, pairs, rows, train
from miri_jax.data.toy import two_gaussians
from miri_jax.metrics import mmd
from miri_jax.models import VelocityMLP
from miri_jax.types import Array, Cond, FlowBatch, Masked

FLAGS = flags.FLAGS
BATCH_SIZE, LEARNING_RATE, ODE_STEPS = 512, 2e-3, 100


def algorithm1(
    key: Array, data: Masked, iterations: int, steps: int
) -> Iterator[Array]:
    """Algorithm 1, single imputation.

    Args:
      key: PRNG key.
      data: the table with gaps, `[n, d]`.
      iterations: T.
      steps: SGD steps N of each.

    Yields:
      The filled tables X(0), X(1) ... X(T), `[n, d]` each.
    """
    network = VelocityMLP(width=128, depth=3, activation="relu")
    v = network.apply  # v(params, x_tau, (m0 * x0, m0 * x1, m0), tau)
    sgd_update = train.cosine_adam(LEARNING_RATE, steps)
    one_row = Cond(data.x[0], data.x[0], data.m[0])

    @jax.jit
    def iteration(key: Array, x: Array) -> Array:
        key_net, key_sgd, key_ode = jax.random.split(key, 3)
        table = pairs.bank(x, data.m)
        # 3: initialize a neural network model v.
        params = network.init(key_net, x[0], one_row, jnp.float32(0))

        def sample_batch(key: Array) -> FlowBatch:
            key_pairs, key_tau = jax.random.split(key)
            # 5: (X_0, M_0) ~ P(X(t-1), M); 6: X_1 ~ P(X(t-1)), tau ~ U(0, 1).
            choice = pairs.of_table(key_pairs, table, BATCH_SIZE)
            tau = jax.random.uniform(key_tau, (BATCH_SIZE,))
            # 7: X_tau <- (1 - tau) X_0 + tau X_1; Y <- X_1 - X_0.
            return pairs.make_batch(tau, pairs.start(choice, None))

        # 4, 9: for n = 1 to N.
        trained, _ = train.sgd(
            key_sgd,
            train.init_train_state(params, sgd_update),
            sample_batch,
            steps,
            # 8: v <- SGD_update(grad of the sum of || Y - v(X_tau, ...) ||^2).
            loss_fn=lambda params, batch: flow.flow_loss(params, v, batch),
            optimizer=sgd_update,
        )

        def ode_solver(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
            del noise  # the flow starts from X(t-1)
            # Algorithm 2: tau = k / N; X <- X + (1 - M) * v(X, M, tau) / N.
            args = (trained.params, x_obs, m, None)
            moves = flow.imputation_velocity(v)
            return ode.euler(moves, x, args, num_steps=ODE_STEPS)

        # 10: X(t) <- M * X(t-1) + (1 - M) * ODE_Solver((1 - M) * v, X(t-1), M).
        gaps = rows.gap_rows(data.m)
        return rows.move_rows(key_ode, x, data, gaps, ode_solver, chunk=4096)

    key_fill, key_steps = jax.random.split(key)
    # 1: X(0) <- initial_impute(X, M), by N(0, 1).
    normal = jax.random.normal(key_fill, data.x.shape)
    x = flow.merge(data.x, normal, data.m)
    yield x
    for t in range(iterations):  # 2, 11
        x = iteration(jax.random.fold_in(key_steps, t), x)
        yield x  # 12: the last one is the imputation.


def main(
    rows: int = 6000, iterations: int = 8, steps: int = 1500, seed: int = 1
) -> tuple[Masked, Array, list[float]]:
    """Fills the toy; its gaps, X(T), and the MMD of each X(t) to the truth."""
    key_toy, key_mask, key = jax.random.split(jax.random.key(seed), 3)
    truth = two_gaussians(key_toy, rows)
    m = masks.mcar(key_mask, truth.shape, 0.3, allow_empty_rows=True).m
    data = Masked(jnp.where(m, truth, 0), m)
    found, begin = [], time.perf_counter()
    for t, x in enumerate(algorithm1(key, data, iterations, steps)):
        found.append(mmd(truth, x, bandwidth=1.0))
        seconds = time.perf_counter() - begin
        print(f"t = {t}  MMD {found[-1]:.4f}  {seconds:.0f} s", flush=True)
    return data, x, found


if __name__ == "__main__":
    flags.DEFINE_integer("rows", 6000, "Rows of the toy.")
    flags.DEFINE_integer("iterations", 8, "Iterations T.")
    flags.DEFINE_integer("steps", 1500, "SGD steps N of each.")
    flags.DEFINE_integer("seed", 1, "Of the data, the mask and the algorithm.")

    def run(argv: list[str]) -> None:
        """Reads the flags."""
        del argv
        main(FLAGS.rows, FLAGS.iterations, FLAGS.steps, FLAGS.seed)

    app.run(run)
