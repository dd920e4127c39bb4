"""Seconds and memory of a folder of parts: one by one, and by workers of Dask.

    PYTHONPATH=. python experiments/parts.py --rows 1000000 --parts 20

The folder has 10 columns that share one factor, two of them whole numbers and
two of levels, 20 % of the cells empty. The folders are deleted again.
"""

import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import psutil
from absl import flags

from experiments import records

FLAGS = flags.FLAGS


def write_parts(folder: pathlib.Path, rows: int, parts: int) -> None:
    """The folder, part by part."""
    folder.mkdir()
    for k in range(parts):
        rng, n = np.random.default_rng(k), rows // parts
        x = rng.normal(size=(n, 1)) + rng.normal(size=(n, 10))
        frame = pd.DataFrame(x.round(5)).add_prefix("c")
        for j in (6, 7):
            frame[f"c{j}"] = (10 * x[:, j]).round()
        for j in (8, 9):
            frame[f"c{j}"] = np.array(["low", "mid", "high"])[
                np.digitize(x[:, j], (-1, 1))
            ]
        frame = frame.mask(rng.random(frame.shape) < 0.2)
        frame.to_parquet(folder / f"part-{k:03}.parquet", index=False)


def measure(words: list[str], folder: str) -> dict[str, float]:
    """Seconds, CPU seconds, and peak megabytes of the command and its workers.

    The resident set of each process is looked at ten times a second.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun, peak = time.perf_counter(), {"command": 0, "worker": 0, "sum": 0}
    here = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-m", "miri_jax.app.impute", *words]
    process = subprocess.Popen(command, cwd=folder, env=here)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        sizes = []
        for one in (root, *_children(root)):
            try:
                sizes.append(one.memory_info().rss)
            except psutil.Error:
                sizes.append(0)
        peak["command"] = max(peak["command"], sizes[0])
        peak["worker"] = max(peak["worker"], *sizes[1:], 0)
        peak["sum"] = max(peak["sum"], sum(sizes))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = sum(
        getattr(after, x) - getattr(before, x) for x in ("ru_utime", "ru_stime")
    )
    found = {f"{name}_mb": round(size / 1e6) for name, size in peak.items()}
    seconds = time.perf_counter() - begun
    return found | {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(spent, 1),
    }


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def _digests(folder: pathlib.Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*.parquet"))]


def main(argv: list[str]) -> None:
    """A line for each way."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        write_parts(here / "big", FLAGS.rows, FLAGS.parts)
        size = sum(path.stat().st_size for path in (here / "big").iterdir())
        for how in FLAGS.how:
            words = ["big", f"out-{how}", "--method", FLAGS.method]
            words += ["--dask", how] if how != "0" else []
            found = measure(words, folder)
            same = _digests(here / f"out-{how}") == _digests(
                here / f"out-{FLAGS.how[0]}"
            )
            row = dict(
                rows=FLAGS.rows,
                parts=FLAGS.parts,
                method=FLAGS.method,
                workers=int(how),
                same_bytes=same,
                folder_mb=round(size / 1e6, 1),
                **found,
            )
            records.append(FLAGS.out, **row)
            print(row)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_integer("rows", 1_000_000, "Rows of all parts.")
    flags.DEFINE_integer("parts", 20, "Files.")
    flags.DEFINE_list("how", ["0", "2"], "Workers; 0 for none.")
    flags.DEFINE_string("method", "gaussian", "A registered method.")
    flags.DEFINE_string("out", "results/parts.jsonl", "Takes the lines.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
