"""Seconds of a table with many rules, beside the same table with none.

    PYTHONPATH=. python experiments/rules.py

Half of the columns are sums of ever more positive numbers, so that each is at
most the next; the others share what the first of these holds. A tenth of the
cells is empty. Rules are pairs of the former. The table is filled by the
command with them, without any (`--no-found` leaves out the orders that it finds
by itself), and with those that it finds. `kept` is the share of rows of the
filled table that meet all the rules.
"""

import itertools
import os
import sys
import tempfile

import numpy as np
import pandas as pd
from absl import flags

from experiments import records
from experiments.timing import IMPUTE, timed

FLAGS = flags.FLAGS


def table(rows: int, columns: int) -> tuple[pd.DataFrame, int]:
    """The table, and how many of its first columns are in order."""
    rng, ordered = np.random.default_rng(0), columns // 2 + 1
    steps = np.abs(rng.normal(size=(rows, ordered))) + 0.01
    x = np.cumsum(steps, axis=1)
    rest = rng.normal(size=(rows, columns - ordered)) + x[:, :1]
    frame = pd.DataFrame(np.c_[x, rest].round(3)).add_prefix("c")
    return frame.mask(rng.random(frame.shape) < 0.1), ordered


def main(argv: list[str]) -> None:
    """A line for each way."""
    del argv
    frame, ordered = table(FLAGS.rows, FLAGS.columns)
    pairs = list(itertools.combinations(range(ordered), 2))[: FLAGS.rules]
    stated = [w for a, b in pairs for w in ("--rule", f"c{a} <= c{b}")]
    ways = ("none", ["--no-found"]), ("found", []), ("stated", stated)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("in.csv", "out.csv")]
        frame.to_csv(files[0], index=False)
        for name, words in ways:
            words = [*files, "--force", "--method", FLAGS.method, *words]
            took = timed([sys.executable, *IMPUTE, *words])
            made = pd.read_csv(files[1])
            os.remove(files[1])
            kept = np.ones(len(made), bool)
            for a, b in pairs:
                kept &= made[f"c{a}"] <= made[f"c{b}"]
            row = dict(
                rows=FLAGS.rows,
                columns=FLAGS.columns,
                method=FLAGS.method,
                way=name,
                rules=len(pairs),
                kept=round(float(kept.mean()), 5),
                seconds=round(took["wall"], 1),
                cpu_seconds=round(took["cpu"], 1),
            )
            records.append(FLAGS.out, **row)
            print(row)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_integer("rows", 100_000, "Rows.")
    flags.DEFINE_integer("columns", 40, "Columns.")
    flags.DEFINE_integer("rules", 200, "How many are stated, at most.")
    flags.DEFINE_string("method", "gaussian", "A registered method.")
    flags.DEFINE_string("out", "results/rules.jsonl", "Takes the lines.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
