"""Tables with gaps by patterns: how far filled rows are from other true rows.

    PYTHONPATH=. python experiments/patterns.py --folder FOLDER

FOLDER holds the tables of FLOWGEM (gkremling/FLOWGEM, arXiv 2604.04567):
NAME_gaps.csv.gz, half of a table, MAR by patterns, and NAME_other.csv.gz, the
other half, complete. Every method fills the first `--draws` times through the
command that people type, as in experiments/fidelity.py (`r-norm`, `r-pmm`,
`r-cart`, `r-rf`: R's mice). A finished cell is a line of
results/patterns.jsonl; started again, it goes on with what is not there yet.
`--show` prints the table.

What is measured, smaller is better: `energy`, the mean over draws of the energy
distance of the filled half to the other, n/2 (2 XY - XX - YY), columns
standardised by the other half, n its rows. `floor` is what chance leaves
(`chance`): the mean of that distance over random halves of complete rows,
estimated from the other half. It is not the distance of the true values in the
gaps, which for one split is above or below it; the folder has not those, but
they were measured once (`TRUE`).
"""

import itertools
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
import pandas as pd
from absl import flags
from scipy.spatial.distance import pdist

from experiments import records
from experiments.fidelity import attempt, energy_to, fill, settings

FLAGS = flags.FLAGS
KEYS = ("name", "seed", "method", "draws")
# Energy distance of the half with its true values to the other.
TRUE = {
    "concrete": 3.26,
    "forest": 3.31,
    "housing": 5.12,
    "stock": 3.99,
    "windspeed": 1.83,
}


def chance(other: pd.DataFrame, rows: int) -> float:
    """Mean energy distance of `rows` true rows to as many as `other` has.

    Of rows that are drawn alike, XY is the mean distance E of two different
    ones, and of k rows XX is (1 - 1/k) E, as each is at 0 from itself. So
    n/2 (2 XY - XX - YY) has the mean E (1 + n / rows) / 2, which is E for
    halves, whatever n. The same holds for all splits of one table in two.
    """
    scaled = (other - other.mean()) / other.std().replace(0, 1)
    return float(pdist(scaled).mean() * (1 + len(other) / rows) / 2)


def measure(name: str, seed: int, method: str) -> dict:
    """One cell: a table, a seed and a method."""
    folder = pathlib.Path(FLAGS.folder).expanduser()
    other = pd.read_csv(folder / f"{name}_other.csv.gz")
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "in.csv"
        gaps = pd.read_csv(folder / f"{name}_gaps.csv.gz")
        gaps.to_csv(path, index=False)
        filled, seconds = fill(method, path, FLAGS.draws, seed, FLAGS.timeout)
    left = int(sum(table.isna().to_numpy().sum() for table in filled))
    if left:
        raise ValueError(f"{left} cells are not filled")
    distance = energy_to(other)
    energies = [distance(table[other.columns]) for table in filled]
    return {
        "energy": float(np.mean(energies)),
        "energies": energies,
        "floor": chance(other, len(gaps)),
        "rows": len(gaps),
        "missing": float(gaps.isna().to_numpy().mean()),
        "seconds": seconds,
    }


def main(argv: list[str]) -> None:
    """Measures the cells that are not yet in the file."""
    del argv
    rows = records.read(FLAGS.out)
    if FLAGS.show:
        print(summary(rows).round(2).to_string(na_rep=""))
        return
    done = {tuple(row[key] for key in KEYS) for row in rows}
    for seed, name, method in itertools.product(
        map(int, FLAGS.seeds), FLAGS.names or _names(), FLAGS.methods
    ):
        cell = (name, seed, method, FLAGS.draws)
        if cell in done:
            continue
        found = attempt(lambda: measure(name, seed, method))
        records.append(
            FLAGS.out,
            **dict(zip(KEYS, cell)),
            settings=settings(method, FLAGS.draws, seed),
            **found,
        )
        shown = found.get("error") or {
            key: round(found[key], 2) for key in ("energy", "floor", "seconds")
        }
        print(name, seed, method, shown, flush=True)


def _names() -> list[str]:
    """The tables in the folder, small ones first."""
    end = "_other.csv.gz"
    files = pathlib.Path(FLAGS.folder).expanduser().glob(f"*{end}")
    files = sorted(files, key=lambda file: file.stat().st_size)
    return [file.name.removesuffix(end) for file in files]


def summary(rows: Sequence[dict]) -> pd.DataFrame:
    """Energy distances by table and method, means over seeds.

    A last row has the medians of their ratio to the floor, over the tables
    that every method filled.
    """
    rows = [row for row in rows if "error" not in row]
    frame = pd.DataFrame(rows, columns=["name", "method", "energy", "floor"])
    table = frame.pivot_table("energy", index="name", columns="method")
    floor = frame.groupby("name")["floor"].mean()
    table.insert(0, "floor", floor)
    table.insert(1, "true", [TRUE.get(name, np.nan) for name in table.index])
    ratio = table.div(floor, axis=0)
    shared = ratio.drop(columns="true").notna().all(axis=1)
    table.loc["median / floor"] = ratio[shared].median()
    return table


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("folder", "~/flowgem", "Holds NAME_gaps.csv.gz.")
    flags.DEFINE_list("names", None, "Tables; all of the folder.")
    flags.DEFINE_list("seeds", ["1"], "Of fits.")
    flags.DEFINE_list(
        "methods",
        ["r-norm", "r-pmm", "r-cart", "r-rf", "gaussian", "chained", "miri"],
        "Methods.",
    )
    flags.DEFINE_integer("draws", 5, "Filled tables.")
    flags.DEFINE_float("timeout", 900, "Seconds for a command.")
    flags.DEFINE_bool("show", False, "Print what is in the file.")
    flags.DEFINE_string("out", "results/patterns.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
