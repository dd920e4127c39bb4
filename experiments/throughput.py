"""Speed of the SGD step of Algorithm 1, beside its own dots and eager PyTorch.

    PYTHONPATH=. python experiments/throughput.py

Steps per second, for the network of `make_miri_paper` (3 x 256, batch 512), of

  train  miri_jax's loop: `pairs.draw_batch`, the loss of eq. 6, its gradient,
         clipped Adam on a cosine, all inside `train.sgd`;
  dots   a `lax.scan` over that step's matrix products alone: h W forward,
         h^T g and g W^T backward. The ceiling; goal: train >= 0.6 dots;
  torch  the same loop in eager PyTorch with its fused Adam, on all cores;
         goal: train >= 2 torch.

They take turns in rounds, in an order that rotates; a ratio is the median over
rounds of the ratio within a round, "best" the ratio of the fastest stretches.
Compilation is reported apart. Other work on the cores stalls PyTorch's threads
up to thirtyfold and flatters us: distrust a ratio with quartiles far apart.

1.5 minutes on 2 idle cores (AMD EPYC, jax 0.10.2, torch 2.13.0), 6 on shared
ones; what came of it and why: docs/throughput.md.
"""

import math
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import records
from miri_jax.core import flow, pairs, train
from miri_jax.models import VelocityMLP
from miri_jax.types import Array, Cond, PyTree

try:
    import torch

    from experiments import torch_miri
except ImportError:
    torch = None

TABLES = {"toy": (6000, 2), "columns11": (1600, 11)}
GOALS = {"dots": 0.6, "torch": 2.0}
TITLES = ("table", "rival", "train/rival", "quartiles", "best", "goal")
TITLES += ("train /s", "rival /s", "compile, s")
WIDTH, DEPTH, NUM_FREQUENCIES = 256, 3, 2
BATCH_SIZE, LEARNING_RATE, CLIP_NORM = 512, 2e-3, 1.0
LIFE = 10**6  # SGD steps of the cosine, so that no run outlives it

flags.DEFINE_integer("steps", 200, "SGD steps in each timed stretch.")
flags.DEFINE_integer("rounds", 15, "Timed stretches of each rival.")
flags.DEFINE_integer("seed", 0, "Of tables, masks, weights and batches.")
flags.DEFINE_string("out", "results/throughput.jsonl", "Appended to.")

Stretch = Callable[[], None]  # takes some steps, waits for the last


def layer_sizes(d: int) -> list[int]:
    """Inputs, hidden units and outputs of the network for `d` columns."""
    return [4 * d + 1 + 2 * NUM_FREQUENCIES, *[WIDTH] * DEPTH, d]


def make_train(key: Array, x: Array, m: Array, steps: int) -> Stretch:
    """The loop of `make_miri_paper` for `x`, `m` `[n, d]`, in one program."""
    network = VelocityMLP(
        WIDTH, DEPTH, num_frequencies=NUM_FREQUENCIES, activation="relu"
    )
    optimizer = train.cosine_adam(LEARNING_RATE, LIFE, CLIP_NORM)

    def apply_fn(params: PyTree, x_tau: Array, cond: Cond, tau: Array) -> Array:
        return network.apply({"params": params}, x_tau, cond, tau)

    def loss_fn(params: PyTree, batch: Any) -> tuple[Array, dict[str, Array]]:
        return flow.flow_loss(params, apply_fn, batch)

    @partial(jax.jit, donate_argnums=1)
    def iteration(key: Array, state: PyTree, x: Array, m: Array) -> PyTree:
        draw = partial(
            pairs.draw_batch, rows=pairs.bank(x, m), batch_size=BATCH_SIZE
        )
        return train.sgd(
            key, state, draw, steps, loss_fn=loss_fn, optimizer=optimizer
        )

    key_net, key_sgd = jax.random.split(key)
    cond = Cond(x[0], x[0], m[0])
    params = network.init(key_net, x[0], cond, jnp.float32(0))["params"]
    state = train.init_train_state(params, optimizer)

    def stretch() -> None:
        nonlocal state
        state, losses = iteration(key_sgd, state, x, m)
        if not np.isfinite(losses).all():
            raise FloatingPointError("train: the loss is not finite")

    return stretch


def make_dots(key: Array, d: int, steps: int) -> Stretch:
    """The matrix products of the step for `d` columns, in one program.

    Each step's gradients change one entry of the input and of every weight, in
    place, so that XLA can neither hoist nor drop a product.
    """
    sizes = layer_sizes(d)
    key_x, *keys = jax.random.split(key, len(sizes))
    inputs = jax.random.normal(key_x, (BATCH_SIZE, sizes[0]))
    weights = [
        jax.random.normal(k, (i, o)) / math.sqrt(i)
        for k, (i, o) in zip(keys, pairwise(sizes), strict=True)
    ]
    touch = lambda w, grad: w.at[0, 0].add(1e-9 * grad[0, 0])

    def step(carry: PyTree, _: None) -> tuple[PyTree, None]:
        x, weights, grads = carry
        hs, grads = [x], list(grads)
        for w in weights:
            hs.append(hs[-1] @ w)
        g = hs.pop()
        for i in reversed(range(len(weights))):
            grads[i] = hs[i].T @ g
            if i:  # nothing asks for the gradient of the input
                g = g @ weights[i].T
        x, weights = touch(x, grads[0]), list(map(touch, weights, grads))
        return (x, weights, grads), None

    iteration = jax.jit(
        lambda carry: jax.lax.scan(step, carry, length=steps)[0],
        donate_argnums=0,
    )
    carry = (inputs, weights, [jnp.zeros_like(w) for w in weights])

    def stretch() -> None:
        nonlocal carry
        carry = jax.block_until_ready(iteration(carry))

    return stretch


def make_torch(seed: int, x: Array, m: Array, steps: int) -> Stretch:
    """The loop of `make_train` in eager PyTorch; nothing is compiled."""
    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(seed)
    x = torch.from_numpy(np.array(x))
    m = torch.from_numpy(np.array(m, np.float32))
    net = torch_miri.make_network(x.shape[1])
    return partial(torch_miri.make_train(net, x, m, LIFE), steps)


def timed(stretch: Stretch) -> float:
    """Seconds of one stretch."""
    start = time.perf_counter()
    stretch()
    return time.perf_counter() - start


def measure(table: str, steps: int, rounds: int, seed: int) -> list[dict]:
    """Times the rivals on one table; prints and returns each comparison."""
    n, d = TABLES[table]
    key_x, key_m, *keys = jax.random.split(jax.random.key(seed), 4)
    x = jax.random.normal(key_x, (n, d))
    m = jax.random.bernoulli(key_m, 0.7, (n, d))
    rivals = {"train": make_train(keys[0], x, m, steps)}
    rivals["dots"] = make_dots(keys[1], d, steps)
    if torch:
        rivals["torch"] = make_torch(seed, x, m, steps)
    names, rows = list(rivals), []
    first = {k: timed(rivals[k]) for k in names}
    seconds = {k: [] for k in names}
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            seconds[name].append(timed(rivals[name]))
    median = {k: float(np.median(seconds[k])) for k in names}
    for rival in names[1:]:
        ratios = np.divide(seconds[rival], seconds["train"])
        low, mid, high = np.percentile(ratios, (25, 50, 75)).round(3).tolist()
        best = round(min(seconds[rival]) / min(seconds["train"]), 3)
        pair = ("train", rival)
        rates = {k: round(steps / median[k], 1) for k in pair}
        compiling = round(first["train"] - median["train"], 2)
        rows.append({
            "table": table, "comparison": f"train / {rival}", "ratio": mid,
            "quartiles": [low, high], "best": best, "goal": GOALS[rival],
            "steps_per_second": rates, "compile_seconds_train": compiling,
        })  # fmt: skip
        cells = (table, rival, mid, f"{low}-{high}", best, GOALS[rival])
        cells += (*rates.values(), compiling)
        print(*(f"{cell!s:<12}" for cell in cells), flush=True)
    return rows


def main(_: list[str]) -> None:
    """Measures every table, prints and appends the comparisons."""
    if not torch:
        print("torch cannot be imported; the comparison with it is skipped")
    f = flags.FLAGS
    settings = {"steps": f.steps, "rounds": f.rounds, "seed": f.seed}
    context = {
        "torch": torch.__version__ if torch else None,
        "backend": jax.default_backend(),
    }
    print(*(f"{title:<12}" for title in TITLES))
    for table in TABLES:
        for row in measure(table, **settings):
            records.append(f.out, **row, **settings, **context)


if __name__ == "__main__":
    records.run(main)
