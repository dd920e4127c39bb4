"""The toy of the MIRI paper over the iterations of both presets (Figure 1d).

    PYTHONPATH=. python experiments/toy_numbers.py

By the functions, as no command tells of single iterations: prints MMD and MI
after each, and the final numbers as means over masks, beside those of filling
with the mean and of `exact`, which knows the two Gaussians and draws from the
true conditional.
"""

import time

import jax
import numpy as np
from absl import flags

from experiments import records
from experiments.fidelity import defaults
from miri_jax.data import Dataset
from miri_jax.data.toy import load_toy
from miri_jax.engine import finished, iterate
from miri_jax.imputers import make_imputer
from miri_jax.metrics import mutual_information

FLAGS = flags.FLAGS
flags.DEFINE_list("mask_seeds", ["1", "2", "3"], "Seeds of data and mask.")
flags.DEFINE_list(
    "methods", ["mean", "exact", "miri_paper", "miri"], "Which presets."
)
flags.DEFINE_integer("num_steps", 2000, "SGD steps of miri_paper.")
flags.DEFINE_string("out", "results/toy.jsonl", "Where lines are added.")


def main(argv: list[str]) -> None:
    """Runs all presets on all masks."""
    del argv
    rows: dict[str, list[dict]] = {name: [] for name in FLAGS.methods}
    for seed in map(int, FLAGS.mask_seeds):
        dataset = load_toy(mask_seed=seed)
        for name in FLAGS.methods:
            row = (exact if name == "exact" else measure)(dataset, name, seed)
            records.append(
                FLAGS.out,
                dataset="toy",
                mechanism="mcar",
                rate=0.3,
                realised_rate=float(np.mean(~dataset.m)),
                mask_seed=seed,
                method=name,
                draws=1,
                **row,
            )
            rows[name].append(row)
    print(f"{'method':12} mmd     rmse_all  mae_all  mi      seconds")
    for name, found in rows.items():
        of = lambda key: np.mean([row[key] for row in found])
        print(
            f"{name:12} {of('mmd'):.4f}  {of('rmse_all'):.3f}    "
            f" {of('mae_all'):.3f}    {of('mi'):.4f}  {of('seconds'):.1f}"
        )


def measure(dataset: Dataset, name: str, seed: int) -> dict:
    """Fits one preset; seconds are its steps, compilation included."""
    settings = {}
    if name == "miri_paper":
        settings = {"num_steps": FLAGS.num_steps, "keep_velocities": False}
    data, imputer = dataset.masked(), make_imputer(name, **settings)
    key_init, key_steps, key_mi = jax.random.split(jax.random.key(seed), 3)
    start = time.perf_counter()
    state = jax.block_until_ready(imputer.init(key_init, data))
    seconds = time.perf_counter() - start
    trace = [_score(jax.random.fold_in(key_mi, 0), dataset, state.x)]
    steps = iterate(key_steps, imputer, data, state)
    while not finished(imputer, state):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(next(steps))
        seconds += time.perf_counter() - start
        t = int(state.iteration)
        trace.append(_score(jax.random.fold_in(key_mi, t), dataset, state.x))
    for key in ("mmd", "mi"):
        shown = ", ".join(f"{row[key]:.4f}" for row in trace)
        print(f"{name} seed {seed} {key}: {shown}", flush=True)
    final = trace[-1]
    return {
        "settings": defaults(name) | settings | {"seed": seed},
        "mmd": final["mmd"],
        "rmse_draw": final["rmse"],
        "rmse_all": final["rmse_all"],
        "mae_all": final["mae_all"],
        "mi": final["mi"],
        "mmd_trace": [round(row["mmd"], 5) for row in trace],
        "mi_trace": [round(row["mi"], 5) for row in trace],
        "seconds": round(seconds, 2),
    }


def exact(dataset: Dataset, name: str, seed: int) -> dict:
    """Draws from the true conditional of the two Gaussians (section 6.1)."""
    del name
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    truth, m = dataset.truth, dataset.m
    # log p(observed | upper) - log p(observed | lower), deviation 0.5.
    odds = np.sum(np.where(m, 16 * truth, 0), axis=1)
    upper = rng.random(len(m)) < 1 / (1 + np.exp(-odds.clip(-50, 50)))
    centre = np.where(upper, 2, -2)[:, None]
    draw = centre + 0.5 * rng.standard_normal(m.shape)
    filled = np.where(m, truth, draw)
    final = dataset.compare(filled)
    mi = mutual_information(jax.random.key(seed), filled, m)
    return {
        "settings": {"seed": seed},
        "mmd": final["mmd"],
        "rmse_draw": final["rmse"],
        "rmse_all": final["rmse_all"],
        "mae_all": final["mae_all"],
        "mi": mi,
        "seconds": round(time.perf_counter() - start, 2),
    }


def _score(key: jax.Array, dataset: Dataset, x: jax.Array) -> dict[str, float]:
    scores = dataset.compare(dataset.restore(np.asarray(x)))
    return {**scores, "mi": mutual_information(key, x, dataset.m)}


if __name__ == "__main__":
    records.run(main)
