"""Peak memory and seconds of `miri-impute` on a long CSV or Parquet file.

    PYTHONPATH=. python experiments/large_file.py --rows 2000000
    PYTHONPATH=. python experiments/large_file.py --rows 10000000 --stream

With `--stream` it is a Parquet file that is filled by parts. The file has 20
numbers of 5 decimals that share one factor and a column of two levels, 20 % of
the cells empty. Both files are deleted again.
"""

import os
import pathlib
import sys
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from absl import flags

from experiments import records
from experiments.timing import IMPUTE, timed

FLAGS = flags.FLAGS
PART = 100_000


def write_file(path: pathlib.Path, rows: int) -> None:
    """The file, by parts."""
    rng, writer = np.random.default_rng(0), None
    for start in range(0, rows, PART):
        n = min(PART, rows - start)
        x = rng.normal(size=(n, 1)) + rng.normal(size=(n, 20))
        frame = pd.DataFrame(x.round(5)).add_prefix("c")
        frame["t"] = np.where(x[:, 0] > 0, "high", "low")
        frame = frame.mask(rng.random(frame.shape) < 0.2)
        if path.suffix == ".parquet":
            table = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            continue
        mode = "a" if start else "w"
        frame.to_csv(path, index=False, header=not start, mode=mode)
    if writer:
        writer.close()


def main(argv: list[str]) -> None:
    """One line."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        ending = "parquet" if FLAGS.stream else "csv"
        path = pathlib.Path(folder, f"in.{ending}")
        write_file(path, FLAGS.rows)
        size = path.stat().st_size
        command = [
            *(sys.executable, *IMPUTE),
            *(path.name, f"out.{ending}"),
            *(["--stream"] if FLAGS.stream else []),
        ]
        here = {**os.environ, "PYTHONPATH": os.getcwd()}
        words = [*command, "--method", FLAGS.method]
        took = timed(words, cwd=folder, env=here)
    found = dict(
        rows=FLAGS.rows,
        stream=FLAGS.stream,
        method=FLAGS.method,
        file_mb=size / 1e6,
    )
    peak = took["peak_mb"] * 2**20 / 1e6
    found |= dict(peak_mb=peak, seconds=round(took["wall"], 1))
    records.append(FLAGS.out, **found)
    print(found)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_bool("stream", False, "A Parquet file, filled by parts.")
    flags.DEFINE_integer("rows", 2_000_000, "Rows of the file.")
    flags.DEFINE_string("method", "mean", "A registered method.")
    flags.DEFINE_string("out", "results/large_file.jsonl", "Takes the line.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
