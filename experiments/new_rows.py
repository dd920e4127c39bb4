"""Rows never seen in fitting: the protocol of the DiffPuter paper.

    PYTHONPATH=. python experiments/new_rows.py --folder FOLDER

70 % of the rows, chosen at random, are fitted; the other 30 % are imputed by
the fitted state without another step. RMSE of the mean of `draws` draws on
columns standardised with the complete data, 60 % MCAR, for both.
"""

import jax
import numpy as np
from absl import app, flags

from experiments import records
from miri_jax.data.uci import load_uci
from miri_jax.imputers import draws, fit, make_imputer
from miri_jax.metrics import errors
from miri_jax.types import Masked

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
flags.DEFINE_list(
    "names", ["wine", "parkinsons", "pumadyn32nm", "bike"], "Tables."
)
flags.DEFINE_list("methods", ["miri"], "Methods.")
flags.DEFINE_integer("mask_seed", 1, "Seed of mask and split.")
flags.DEFINE_integer("draws", 20, "Draws of which the mean is taken.")
flags.DEFINE_string("out", "results/new_rows.jsonl", "Where lines are added.")


def main(argv: list[str]) -> None:
    """Runs all tables."""
    del argv
    print("table        method      fitted  new     ratio")
    for name in FLAGS.names:
        seed = FLAGS.mask_seed
        dataset = load_uci(name=name, folder=FLAGS.folder, mask_seed=seed)
        data = dataset.masked()
        order = np.random.default_rng(seed).permutation(len(data.x))
        cut = int(0.7 * len(order))
        parts = {"fitted": order[:cut], "new": order[cut:]}
        part = lambda rows, data=data: Masked(data.x[rows], data.m[rows])
        for method in FLAGS.methods:
            imputer = make_imputer(method)
            key_fit, key_draws = jax.random.split(jax.random.key(seed))
            state = fit(key_fit, imputer, part(parts["fitted"]))
            mean = dataset.restore(np.zeros(data.x.shape))
            for rows in parts.values():
                found = draws(
                    key_draws, imputer, state, part(rows), FLAGS.draws
                )
                table = np.zeros(data.x.shape)
                table[rows] = np.mean([np.asarray(x) for x in found], axis=0)
                mean[rows] = dataset.restore(table)[rows]
            rmse = {
                which: _rmse(dataset, mean, rows)
                for which, rows in parts.items()
            }
            ratio = rmse["new"] / rmse["fitted"]
            print(
                f"{name:12} {method:10}  {rmse['fitted']:.4f}"
                f"  {rmse['new']:.4f}  {ratio:.3f}",
                flush=True,
            )
            records.append(
                FLAGS.out,
                dataset=name,
                method=method,
                rate=0.6,
                mask_seed=seed,
                draws=FLAGS.draws,
                rmse_fitted=rmse["fitted"],
                rmse_new=rmse["new"],
                ratio=ratio,
            )


def _rmse(dataset, mean: np.ndarray, rows: np.ndarray) -> float:
    """RMSE over the missing cells of some rows, on the table's scale."""
    m = np.ones(dataset.m.shape, bool)
    m[rows] = dataset.m[rows]
    return errors(dataset.truth, mean, m)["rmse"]


if __name__ == "__main__":
    app.run(main)
