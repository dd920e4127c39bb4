"""MIRI against MICE, IterativeImputer and MissForest on the UCI tables.

    PYTHONPATH=. python experiments/uci_peers.py --folder FOLDER

FOLDER holds NAME.csv.gz as `miri_jax.data.uci` says; the peers are those of
experiments/peers.py. All methods see the table standardised by its observed
entries and the same masks. `mmd` and `rmse_draw` are those of one draw,
`rmse_mean` that of the mean of `draws` draws where the method draws, seconds
the fit with its first draw and its compilation. What is in the output file
already, with the same draws, is not run again; `--summary` runs nothing and
prints the file's comparisons, each over the masks that both methods have.
"""

import itertools
import json
import os
import pathlib
import time
from collections.abc import Iterator

import jax
import numpy as np
from absl import app, flags

from experiments import records
from experiments.peers import PEERS
from miri_jax.data import Dataset
from miri_jax.data.uci import NAMES, load_uci
from miri_jax.imputers import draws as draw_set
from miri_jax.imputers import fit, make_imputer
from miri_jax.metrics import errors

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
flags.DEFINE_list("names", list(NAMES), "Tables.")
flags.DEFINE_list("mask_seeds", ["1", "2", "3"], "Seeds of the masks.")
flags.DEFINE_list("methods", ["miri", "gaussian", *PEERS], "What to compare.")
flags.DEFINE_list("mechanisms", ["mcar"], "See miri_jax.masks.MECHANISMS.")
flags.DEFINE_list("rates", ["0.6"], "Shares of missing entries.")
flags.DEFINE_integer("draws", 20, "Imputations for the mean; peers give one.")
flags.DEFINE_string("out", "results/uci_peers.jsonl", "Where lines are added.")

flags.DEFINE_bool("summary", False, "Only print what the file says.")

CELL = ("dataset", "mechanism", "rate", "mask_seed", "method", "draws")


def main(argv: list[str]) -> None:
    """Runs the cells that are not yet in the file."""
    del argv
    if FLAGS.summary:
        summarise(read(FLAGS.out))
        return
    done = {tuple(row[k] for k in CELL) for row in read(FLAGS.out)}
    for rate, mechanism, seed, name in itertools.product(
        map(float, FLAGS.rates),
        FLAGS.mechanisms,
        map(int, FLAGS.mask_seeds),
        FLAGS.names,
    ):
        dataset = None
        for method in FLAGS.methods:
            draws = 1 if method in PEERS else FLAGS.draws
            cell = (name, mechanism, rate, seed, method, draws)
            if cell in done:
                continue
            dataset = dataset or load_uci(
                name=name,
                folder=FLAGS.folder,
                mechanism=mechanism,
                rate=rate,
                mask_seed=seed,
            )
            row = dict(zip(CELL, cell, strict=True))
            row["realised_rate"] = float(np.mean(~dataset.m))
            row |= measure(dataset, method, seed, draws)
            records.append(FLAGS.out, **row, load=os.getloadavg()[0])
            print(
                *cell,
                *(f"{k} {row[k]:.4g}" for k in ("mmd", "rmse_mean", "seconds")),
                flush=True,
            )


def read(path: str) -> list[dict]:
    """The lines of a results file; none where there is no file."""
    file = pathlib.Path(path)
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def summarise(rows: list[dict]) -> None:
    """Prints MMD against MICE and RMSE against the better regressor."""
    found: dict[tuple, dict[int, dict]] = {}
    for row in rows:
        setting = (row["mechanism"], row["rate"], row["dataset"])
        cell = found.setdefault((*setting, row["method"]), {})
        cell[row["mask_seed"]] = row

    def compare(setting: tuple, rival: str, key: str) -> str:
        ours = found.get((*setting, "miri"), {})
        theirs = found.get((*setting, rival), {})
        both = sorted(set(ours) & set(theirs))
        if not both:
            return f"{'':32}"
        a = np.array([ours[seed][key] for seed in both])
        b = np.array([theirs[seed][key] for seed in both])
        sign = "<" if a.mean() < b.mean() else ">"
        return (
            f"{a.mean():.4f} ({a.std():.4f}) {sign} {b.mean():.4f}"
            f" [{len(both)}]  "
        )

    print("mmd miri (sd) against mice; rmse_mean against iterative, missforest")
    for setting in dict.fromkeys(cell[:3] for cell in found):
        print(
            f"{setting[0]} {setting[1]} {setting[2]:12}",
            compare(setting, "mice", "mmd"),
            compare(setting, "iterative", "rmse_mean"),
            compare(setting, "missforest", "rmse_mean"),
        )


def measure(
    dataset: Dataset, method: str, seed: int, count: int
) -> dict[str, float]:
    """Fits a method to a table and scores its draws."""
    start = time.perf_counter()
    draws = draw(dataset, method, seed, count)
    first = next(draws)
    seconds = time.perf_counter() - start
    mean = errors(dataset.truth, np.mean([first, *draws], axis=0), dataset.m)
    one = dataset.compare(first)
    return {
        "mmd": one["mmd"],
        "rmse_draw": one["rmse"],
        "rmse_mean": mean["rmse"],
        "mae_mean": mean["mae"],
        "seconds": round(seconds, 2),
    }


def draw(
    dataset: Dataset, method: str, seed: int, count: int
) -> Iterator[np.ndarray]:
    """Yields `count` draws of a peer or a registered method, raw scale."""
    data = dataset.masked()
    if method in PEERS:
        for k in range(count):
            yield dataset.restore(PEERS[method](data, 1000 * seed + k))
        return
    imputer = make_imputer(method)
    key_fit, key_draws = jax.random.split(jax.random.key(seed))
    state = fit(key_fit, imputer, data)
    for x in draw_set(key_draws, imputer, state, data, count):
        yield dataset.restore(np.asarray(x))


if __name__ == "__main__":
    app.run(main)
