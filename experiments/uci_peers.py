"""MIRI against scikit-learn's MICE on UCI tables, same masks, one run.

    PYTHONPATH=. python experiments/uci_peers.py --folder FOLDER

FOLDER holds NAME.csv.gz as `miri_jax.data.uci` says. The peer is
IterativeImputer(sample_posterior=True), all other settings its defaults. All
methods see the table standardised by its observed entries. `mmd` and
`rmse_draw` are those of the first draw, `rmse_mean` that of the mean of
`draws` draws, seconds the fit with compilation, without the further draws.
"""

import time
import warnings

import jax
import numpy as np
from absl import app, flags
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from experiments import records
from miri_jax.data import Dataset
from miri_jax.data.uci import load_uci
from miri_jax.imputers import fit, make_imputer
from miri_jax.metrics import errors

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
flags.DEFINE_list("names", ["wine", "energy", "housing", "stock"], "Tables.")
flags.DEFINE_list("mask_seeds", ["1", "2", "3"], "Seeds of the masks.")
flags.DEFINE_list("methods", ["miri", "gaussian", "mice"], "What to compare.")
flags.DEFINE_string("mechanism", "mcar", "See miri_jax.masks.MECHANISMS.")
flags.DEFINE_float("rate", 0.6, "Share of missing entries.")
flags.DEFINE_integer("draws", 20, "Imputations for the mean.")
flags.DEFINE_string("out", "results/uci_peers.jsonl", "Where lines are added.")


def main(argv: list[str]) -> None:
    """Runs all cells and prints means over masks."""
    del argv
    cells: dict[tuple[str, str], list[dict]] = {}
    for name in FLAGS.names:
        for seed in map(int, FLAGS.mask_seeds):
            dataset = load_uci(
                name=name,
                folder=FLAGS.folder,
                mechanism=FLAGS.mechanism,
                rate=FLAGS.rate,
                mask_seed=seed,
            )
            for method in FLAGS.methods:
                row = measure(dataset, method, seed)
                records.append(
                    FLAGS.out,
                    dataset=name,
                    mechanism=FLAGS.mechanism,
                    rate=FLAGS.rate,
                    realised_rate=float(np.mean(~dataset.m)),
                    mask_seed=seed,
                    method=method,
                    draws=FLAGS.draws,
                    **row,
                )
                cells.setdefault((name, method), []).append(row)
    print(f"{'table':12} {'method':12} mmd (sd)         rmse_draw rmse_mean  s")
    for (name, method), rows in cells.items():
        of = lambda key: np.array([row[key] for row in rows])
        mmds = of("mmd")
        print(
            f"{name:12} {method:12} {mmds.mean():.4f} ({mmds.std():.4f})"
            f"  {of('rmse_draw').mean():.3f}     {of('rmse_mean').mean():.3f}"
            f"     {of('seconds').mean():.1f}"
        )


def measure(dataset: Dataset, method: str, seed: int) -> dict[str, float]:
    """Fits a method to a table and scores its draws."""
    start = time.perf_counter()
    draws = (mice if method == "mice" else miri)(dataset, method, seed)
    first = next(draws)
    seconds = time.perf_counter() - start
    tables = [first, *draws]
    one = dataset.compare(first)
    mean = errors(dataset.truth, np.mean(tables, axis=0), dataset.m)
    return {
        "mmd": one["mmd"],
        "rmse_draw": one["rmse"],
        "rmse_mean": mean["rmse"],
        "mae_mean": mean["mae"],
        "seconds": round(seconds, 2),
    }


def miri(dataset: Dataset, method: str, seed: int):
    """Yields draws of a registered method, raw scale."""
    data, imputer = dataset.masked(), make_imputer(method)
    key_fit, key_draws = jax.random.split(jax.random.key(seed))
    state = fit(key_fit, imputer, data)
    yield dataset.restore(np.asarray(state.x))
    for k in range(1, FLAGS.draws):
        x = imputer.impute(jax.random.fold_in(key_draws, k), state, data)
        yield dataset.restore(np.asarray(x))


def mice(dataset: Dataset, method: str, seed: int):
    """Yields draws of scikit-learn's MICE, raw scale; each is a fit."""
    del method
    data = dataset.masked()
    gaps = np.where(data.m, data.x, np.nan)
    for k in range(FLAGS.draws):
        imputer = IterativeImputer(
            sample_posterior=True, random_state=1000 * seed + k
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it never says it has converged
            yield dataset.restore(imputer.fit_transform(gaps))


if __name__ == "__main__":
    app.run(main)
