"""What the flow's solver costs and how exact it must be: one fit, many solvers.

    PYTHONPATH=. python experiments/ode_cost.py --folder FOLDER

Fits `miri` once to each table and draws from it with Euler and Heun at several
numbers of steps: seconds of one draw, its distance to the draw from the same
noise by 100 Heun steps (root mean square over missing cells, in deviations),
MMD of a draw (mean of 5) and RMSE of the mean of 20.
"""

import time

import jax
import numpy as np
from absl import flags

from experiments import records
from miri_jax.data.uci import load_uci
from miri_jax.engine import draws, fit
from miri_jax.imputers import make_imputer
from miri_jax.metrics import errors

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
flags.DEFINE_list("names", ["housing", "wine"], "Tables.")
flags.DEFINE_integer("mask_seed", 11, "Seed of the mask: one for tuning.")
flags.DEFINE_string("out", "results/ode_cost.jsonl", "Where lines are added.")

SOLVERS = [("heun", n) for n in (1, 2, 3, 5, 10, 20)]
SOLVERS += [("euler", n) for n in (2, 5, 10, 20, 40, 100)]


def main(argv: list[str]) -> None:
    """Runs all solvers on all tables."""
    del argv
    print("table    solver  steps  s/draw  distance  mmd     rmse_mean")
    for name in FLAGS.names:
        seed = FLAGS.mask_seed
        dataset = load_uci(name=name, folder=FLAGS.folder, mask_seed=seed)
        data = dataset.masked()
        imputer = make_imputer("miri", source="gaussian")
        state = fit(jax.random.key(seed), imputer, data)
        exact = _draws(state, data, "heun", 100)
        for solver, steps in SOLVERS:
            found = _draws(state, data, solver, steps)
            raw = [dataset.restore(x) for x in found["draws"]]
            gap = (found["draws"][0] - exact["draws"][0])[~dataset.m]
            row = {
                "solver": solver,
                "ode_steps": steps,
                "seconds_per_draw": round(found["seconds"], 4),
                "distance": float(np.sqrt(np.mean(gap**2))),
                "mmd": float(
                    np.mean([dataset.compare(x)["mmd"] for x in raw[:5]])
                ),
                "rmse_mean": errors(
                    dataset.truth, np.mean(raw, axis=0), dataset.m
                )["rmse"],
            }
            print(
                f"{name:8} {solver:7} {steps:5d}"
                f"  {row['seconds_per_draw']:.4f}  {row['distance']:.4f}"
                f"    {row['mmd']:.4f}  {row['rmse_mean']:.4f}",
                flush=True,
            )
            records.append(
                FLAGS.out, dataset=name, rate=0.6, mask_seed=seed, **row
            )


def _draws(state, data, solver: str, steps: int) -> dict:
    """20 draws and the median seconds of one, compilation apart."""
    words = {"source": "gaussian", "solver": solver, "ode_steps": steps}
    imputer = make_imputer("miri", **words)
    found, seconds, start = [], [], time.perf_counter()
    for x in draws(jax.random.key(0), imputer, state, data, 20):
        found.append(np.asarray(x))
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return {"draws": found, "seconds": float(np.median(seconds[1:]))}


if __name__ == "__main__":
    records.run(main)
