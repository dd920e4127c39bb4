"""The UCI tables through the command that people type, scored on the truth.

    PYTHONPATH=. python experiments/command_uci.py --folder FOLDER

A table and its gaps are those of experiments/benchmark.py with the same seed
(`load`). They are written as a CSV, `miri-impute --draws 20` fills it, and the
filled files are read again. `mmd` and `rmse_draw` are means over the first
five, each by itself, `rmse_mean` is of the mean of all, as there; `seconds` are
those of the whole process. A finished cell is a line of
results/command_uci.jsonl; started again, it goes on with what is not there yet.
`--show` prints means over masks, beside those of the function and of the best
other method in results/benchmark.jsonl.
"""

import itertools
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
import pandas as pd
from absl import app, flags

from experiments import records
from experiments.benchmark import Cell, load
from experiments.fidelity import attempt, fill
from miri_jax.metrics import errors

FLAGS = flags.FLAGS
KEYS = ("dataset", "mechanism", "rate", "mask_seed", "method", "draws")
SCORES = ("mmd", "rmse_mean")
MMD_DRAWS = 5  # over which the scores of a single draw are averaged


def measure(cell: Cell) -> dict:
    """One cell: a table, a mask and a method."""
    dataset = load(cell, FLAGS.folder)
    truth, m = dataset.truth, dataset.m
    names = [f"column {j + 1}" for j in range(truth.shape[1])]
    gaps = pd.DataFrame(np.where(m, truth, np.nan), columns=names)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "in.csv"
        gaps.to_csv(path, index=False)
        filled, seconds = fill(
            cell.method, path, cell.draws, cell.mask_seed, FLAGS.timeout
        )
    filled = [table.to_numpy(float) for table in filled]
    scores = [dataset.compare(one) for one in filled[:MMD_DRAWS]]
    of_mean = errors(truth, np.mean(filled, axis=0), m)
    return {
        "mmd": float(np.mean([one["mmd"] for one in scores])),
        "rmse_draw": float(np.mean([one["rmse"] for one in scores])),
        "rmse_mean": of_mean["rmse"],
        "seconds": seconds,
    }


def main(argv: list[str]) -> None:
    """Measures the cells that are not yet in the file."""
    del argv
    rows = records.read(FLAGS.out)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    cells = itertools.product(
        FLAGS.mechanisms,
        map(float, FLAGS.rates),
        map(int, FLAGS.mask_seeds),
        FLAGS.names,
        FLAGS.methods,
    )
    for mechanism, rate, seed, name, method in () if FLAGS.show else cells:
        cell = Cell(name, mechanism, rate, seed, method, FLAGS.draws)
        if tuple(cell._asdict()[key] for key in KEYS) in done:
            continue
        found = attempt(lambda: measure(cell))
        records.append(FLAGS.out, **cell._asdict(), **found)
        print(*cell, found, flush=True)
    print(summary(records.read(FLAGS.out), records.read(FLAGS.benchmark)))


def summary(rows: Sequence[dict], others: Sequence[dict]) -> str:
    """Means over masks, beside what the function and other methods had."""
    cell = ["mechanism", "rate", "dataset"]
    frame = pd.DataFrame([row for row in rows if "error" not in row])
    other = pd.DataFrame([row for row in others if not row.get("failed")])
    masks = frame[[*cell, "mask_seed"]].drop_duplicates()
    other = other.merge(masks, on=[*cell, "mask_seed"])
    mean = lambda part: part.groupby([*cell, "method"])[[*SCORES]].mean()
    own, other = (mean(part).reset_index() for part in (frame, other))
    function = other[other["method"] == "miri"]
    rivals = other[~other["method"].isin(["miri", "gaussian", "miri_paper"])]
    best = rivals.groupby(cell)[[*SCORES]].min().reset_index()
    found = own.merge(
        function.drop(columns="method"),
        "left",
        cell,
        suffixes=("", " function"),
    )
    found = found.merge(best, "left", cell, suffixes=("", " others"))
    return found.round(4).to_string(index=False)


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("folder", "~/uci_datasets", "Holds NAME.csv.gz.")
    names = ["wine", "energy", "housing", "stock", "forest", "solar"]
    names += ["parkinsons", "pumadyn32nm", "bike", "gas"]
    flags.DEFINE_list("names", names, "Tables.")
    flags.DEFINE_list("mechanisms", ["mcar"], "As in the benchmark.")
    flags.DEFINE_list("rates", ["0.6", "0.4", "0.2"], "Shares of gaps.")
    flags.DEFINE_list("mask_seeds", ["1"], "Of masks, and of the method.")
    flags.DEFINE_list("methods", ["miri"], "Of miri-impute.")
    flags.DEFINE_integer("draws", 20, "Filled tables.")
    flags.DEFINE_float("timeout", 3600, "Seconds for a command.")
    flags.DEFINE_bool("show", False, "Print what is in the file.")
    flags.DEFINE_string("out", "results/command_uci.jsonl", "Where lines go.")
    flags.DEFINE_string(
        "benchmark", "results/benchmark.jsonl", "Lines to compare with."
    )


if __name__ == "__main__":
    define_flags()
    app.run(main)
