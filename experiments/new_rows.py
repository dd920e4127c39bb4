"""Rows never seen in fitting: the protocol of the DiffPuter paper.

    PYTHONPATH=. python experiments/new_rows.py --folder FOLDER

70 % of the rows, chosen at random, are fitted; the other 30 % are imputed by
the fitted state without another step. RMSE and MAE of the mean of `draws`
draws on columns standardised with the complete data, for both.
"""

import jax
import numpy as np
from absl import app, flags

from experiments import benchmark, records
from miri_jax.data.uci import load_uci
from miri_jax.engine import draws, fit
from miri_jax.metrics import errors
from miri_jax.types import Masked

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
flags.DEFINE_list(
    "names", ["wine", "parkinsons", "pumadyn32nm", "bike"], "Tables."
)
flags.DEFINE_list("methods", ["miri"], "Methods.")
flags.DEFINE_string("mechanism", "mcar", "See miri_jax.core.masks.MECHANISMS.")
flags.DEFINE_float("rate", 0.6, "Share of missing entries.")
flags.DEFINE_integer("mask_seed", 1, "Seed of mask and split.")
flags.DEFINE_integer("draws", 20, "Draws of which the mean is taken.")
flags.DEFINE_string("out", "results/new_rows.jsonl", "Where lines are added.")


def main(argv: list[str]) -> None:
    """Runs all tables."""
    del argv
    print("table        method      fitted  new     ratio")
    for name in FLAGS.names:
        seed = FLAGS.mask_seed
        dataset = load_uci(
            name=name,
            folder=FLAGS.folder,
            mechanism=FLAGS.mechanism,
            rate=FLAGS.rate,
            mask_seed=seed,
        )
        data = dataset.masked()
        order = np.random.default_rng(seed).permutation(len(data.x))
        cut = int(0.7 * len(order))
        parts = {"fitted": order[:cut], "new": order[cut:]}
        part = lambda rows, data=data: Masked(data.x[rows], data.m[rows])
        for method in FLAGS.methods:
            imputer, drawing = benchmark.make(method)
            key_fit, key_draws = jax.random.split(jax.random.key(seed))
            state = fit(key_fit, imputer, part(parts["fitted"]))
            mean = dataset.restore(np.zeros(data.x.shape))
            for rows in parts.values():
                found = draws(
                    key_draws, drawing, state, part(rows), FLAGS.draws
                )
                table = np.zeros(data.x.shape)
                table[rows] = np.mean([np.asarray(x) for x in found], axis=0)
                mean[rows] = dataset.restore(table)[rows]
            error = {
                f"{key}_{which}": value
                for which, rows in parts.items()
                for key, value in _errors(dataset, mean, rows).items()
                if key in ("rmse", "mae")
            }
            ratio = error["rmse_new"] / error["rmse_fitted"]
            print(
                f"{name:12} {method:10}  {error['rmse_fitted']:.4f}"
                f"  {error['rmse_new']:.4f}  {ratio:.3f}",
                flush=True,
            )
            records.append(
                FLAGS.out,
                dataset=name,
                method=method,
                mechanism=FLAGS.mechanism,
                rate=FLAGS.rate,
                mask_seed=seed,
                draws=FLAGS.draws,
                **error,
                ratio=ratio,
            )


def _errors(dataset, mean: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Errors over the missing cells of some rows, on the table's scale."""
    m = np.ones(dataset.m.shape, bool)
    m[rows] = dataset.m[rows]
    return errors(dataset.truth, mean, m)


if __name__ == "__main__":
    app.run(main)
