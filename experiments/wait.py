"""How long one waits for filled tables: `miri-impute` beside R's mice.

    PYTHONPATH=. python experiments/wait.py --folder FOLDER

Of NAME.csv.gz, a table with a header as in experiments/fidelity.py, `--rows`
complete rows get gaps (`fidelity.holes`). `--repeats` times the commands that
people type fill the same CSV `--draws` times, one after the other:
`miri-impute --method M` as on a new machine, with an empty cache of compiled
programs (`first`), then once more with what that left (`again`); and R's mice
with method cart (`r-cart`) and its default of five iterations, which compiles
nothing. What is measured are seconds of the whole process. A finished cell is
a line of results/wait.jsonl; started again, it goes on with what is not there
yet. At the end, and with `--show` at once, it prints medians over repeats, and
of the ratio to cart's seconds in the same repeat.
"""

import itertools
import os
import pathlib
import tempfile
from collections.abc import Sequence

import pandas as pd
from absl import flags

from experiments import records
from experiments.fidelity import CART, attempt, fill, holes, sample, settings

FLAGS = flags.FLAGS
KEYS = ("name", "rows", "repeat", "method", "draws", "mechanism", "rate")


def measure(name: str, rows: int, repeat: int, method: str) -> dict:
    """Seconds of a command: with an empty cache, then with what it left."""
    truth, _ = sample(FLAGS.folder, name, rows, repeat)
    if len(truth) < rows:
        raise ValueError(f"{name} has {len(truth)} complete rows, not {rows}")
    gaps = holes(truth, repeat, FLAGS.mechanism, FLAGS.rate)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # of the commands
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        compiles = not method.startswith("r-")
        for time in ("first", "again") if compiles else ("first",):
            path = pathlib.Path(folder) / time / "in.csv"
            path.parent.mkdir()
            gaps.to_csv(path, index=False)
            found[time] = fill(
                method, path, FLAGS.draws, repeat, FLAGS.timeout
            )[1]
    return found


def main(argv: list[str]) -> None:
    """Measures the cells that are not yet in the file."""
    del argv
    rows = records.read(FLAGS.out)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    # Methods take turns, so that what else the machine does meets all.
    cells = itertools.product(
        FLAGS.names, map(int, FLAGS.rows), range(FLAGS.repeats), FLAGS.methods
    )
    for name, count, repeat, method in () if FLAGS.show else cells:
        cell = (name, count, repeat, method)
        cell += (FLAGS.draws, FLAGS.mechanism, FLAGS.rate)
        if cell in done:
            continue
        found = attempt(lambda: measure(name, count, repeat, method))
        records.append(
            FLAGS.out,
            **dict(zip(KEYS, cell)),
            settings=settings(method, FLAGS.draws, repeat),
            **found,
        )
        print(name, count, repeat, method, found, flush=True)
    print(summary(records.read(FLAGS.out)).round(2).to_string(na_rep=""))


def summary(rows: Sequence[dict]) -> pd.DataFrame:
    """Medians over repeats of seconds, and of their ratio to those of cart.

    Returns:
      Columns `first`, `again`, `first / cart` and `again / cart`; a row is a
      table, its number of rows and a method.
    """
    rows = [row for row in rows if "error" not in row]
    frame = pd.DataFrame(rows, columns=[*KEYS, "first", "again"])
    cell = [key for key in KEYS if key != "method"]
    cart = frame[frame["method"] == CART][[*cell, "first"]]
    frame = frame.merge(cart, "left", on=cell, suffixes=("", "_cart"))
    what = ["first", "again"]
    for time in ("first", "again"):
        frame[f"{time} / cart"] = frame[time] / frame["first_cart"]
        what.append(f"{time} / cart")
    return frame.groupby(["name", "rows", "method"])[what].median()


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("folder", "~/real_tables", "Holds NAME.csv.gz.")
    flags.DEFINE_list("names", ["adult"], "Tables.")
    flags.DEFINE_list("rows", ["2000", "20000"], "Rows to fill.")
    methods = ["miri", "chained", "gaussian", CART]
    flags.DEFINE_list("methods", methods, "Methods.")
    flags.DEFINE_integer("repeats", 3, "Of everything.")
    flags.DEFINE_string("mechanism", "mar", "mar or mcar.")
    flags.DEFINE_float("rate", 0.25, "Share of gaps in a column with gaps.")
    flags.DEFINE_integer("draws", 5, "Filled tables.")
    flags.DEFINE_float("timeout", 3600, "Seconds for a command.")
    flags.DEFINE_bool("show", False, "Print what is in the file.")
    flags.DEFINE_string("out", "results/wait.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
