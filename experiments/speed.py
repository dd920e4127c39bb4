"""Seconds and memory from the shell's prompt to a filled table, by its size.

    PYTHONPATH=. python experiments/speed.py

Made tables of numbers (a mixture of two Gaussians in four directions and noise,
30 % of the cells missing) are filled once by commands, from CSV to CSV, one
after the other: ours, `python -m miri_jax.main --config configs/table.py` with
an empty folder of compiled programs (`first`) and, of `miri`, with what that
left (`again`); R's mice with its default of five iterations ("r-" and a
method); scikit-learn's peers of experiments/peers.py ("sk-") and miceforest
("py-", in its own environment, see experiments/csv_worker.py). With `taskset -c
1` and OMP_NUM_THREADS=1 all have one core. Sizes are `--rows` with 20 columns,
then `--columns` with 2000 rows.

A line of results/speed.jsonl is a size and a method: seconds of the clock and
of the processors, the peak of memory, and of our methods the seconds of each
phase. A command is stopped after `--timeout` seconds; a size that would take
twice as long, were growth in proportion to the cells, is not tried.
Started again, the script goes on with what is not there yet. At the end, and
with `--show` at once, it prints the table and the exponents of power laws, and
`--figure` draws them.
"""

import json
import math
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from absl import flags

from experiments import peers, records
from experiments.fidelity import (
    CSV_WORKER,
    PYTHONS,
    R_ITERATIONS,
    R_SCRIPT,
    attempt,
    settings,
)
from experiments.timing import MAIN, timed

FLAGS = flags.FLAGS
KEYS = ("rows", "columns", "method", "repeat")
WIDTH, LENGTH, RATE = 20, 2000, 0.3  # beside other lengths and widths
# Along what sizes are compared, beside what, and how much of that.
AXES = (("rows", "columns", WIDTH), ("columns", "rows", LENGTH))
COMPILES = "miri"  # is run a second time
# Of the fitted power laws: sizes that take less are mostly start-up.
LEAST = 2.0


def table(rows: int, columns: int, seed: int) -> pd.DataFrame:
    """Numbers with four decimals, 30 % of them missing completely at random."""
    rng = np.random.default_rng(seed)
    loads = rng.standard_normal((4, columns)) / 2
    x = rng.standard_normal((rows, columns))
    x += rng.standard_normal((rows, 4)) @ loads + rng.choice([-1, 1], (rows, 1))
    x[rng.random(x.shape) < RATE] = np.nan
    return pd.DataFrame(x.round(4)).add_prefix("x")


def command(
    method: str, path: pathlib.Path, out: pathlib.Path
) -> tuple[list[str], pathlib.Path]:
    """The words that fill a CSV once, and where the filled table will be."""
    door, _, name = method.partition("-")
    first = out.with_name(f"{out.name}_1.csv")
    files = [str(path), str(out)]
    if door == "r":
        words = [*files, name, "1", str(R_ITERATIONS), "1"]
        return ["Rscript", str(R_SCRIPT), *words], first
    if door == "py":
        python = os.environ.get(PYTHONS.get(name, ""))
        if python is None:
            raise ValueError(f"{method}: see experiments/csv_worker.py")
        return [python, str(CSV_WORKER), name, *files, "1", "1"], first
    if door == "sk":
        words = [sys.executable, __file__, f"--peer={name}", *files]
        return words, first
    words = [sys.executable, *MAIN]
    words += ["--config", "configs/table.py", "--workdir", str(out)]
    words += [f"--config.data.path={path}", f"--config.method={method}"]
    return words, out / "imputed.csv"


def measure(rows: int, columns: int, method: str, seed: int) -> dict[str, Any]:
    """What filling a table of a size takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = name  # of the commands
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        path = folder / "in.csv"
        table(rows, columns, seed).to_csv(path, index=False)
        words, filled = command(method, path, folder / "out")
        found: dict[str, Any] = {"first": timed(words, FLAGS.timeout)}
        if pd.read_csv(filled).isna().to_numpy().any():
            raise ValueError("gaps are left")
        if "-" in method:
            return found
        told = json.loads((folder / "out" / "summary.json").read_text())
        found["phases"] = told["seconds"]
        if method == COMPILES:
            words, _ = command(method, path, folder / "out2")
            found["again"] = timed(words, FLAGS.timeout)
        return found


def _door(method: str) -> dict[str, str]:
    return {} if "-" in method else {"door": "miri_jax.main"}


def sizes() -> list[tuple[int, int]]:
    """Rows and columns, of each axis the smallest first."""
    long = [(int(rows), WIDTH) for rows in FLAGS.rows]
    return long + [(LENGTH, int(columns)) for columns in FLAGS.columns]


def hopeless(size: tuple[int, int], method: str, rows: Iterable[dict]) -> bool:
    """Whether a size would take far too long, as the next smaller one did."""
    smaller = {
        (row["rows"], row["columns"]): row
        for row in rows
        if row["method"] == method
        and (row["rows"] == size[0] or row["columns"] == size[1])
        and (row["rows"], row["columns"]) < size
    }
    if not smaller:
        return False
    nearest = max(smaller, key=math.prod)
    row = smaller[nearest]
    took = row["first"]["wall"] if "first" in row else row["timeout"]
    took *= math.prod(size) / math.prod(nearest)
    return took > 2 * FLAGS.timeout


def main(argv: list[str]) -> None:
    """Measures what is not yet in the file."""
    if FLAGS.peer:
        _, path, out = argv
        filled = peers.fill(FLAGS.peer, pd.read_csv(path), 1, 1)
        filled[0].to_csv(f"{out}_1.csv", index=False)
        return
    for repeat in () if FLAGS.show else range(FLAGS.repeats):
        for size in sizes():
            for method in FLAGS.methods:
                rows = records.read(FLAGS.out)
                cell = (*size, method, repeat)
                if any(cell == tuple(row[k] for k in KEYS) for row in rows):
                    continue
                if hopeless(size, method, rows):
                    continue
                found = attempt(lambda: measure(*size, method, repeat))
                records.append(
                    FLAGS.out,
                    **dict(zip(KEYS, cell)),
                    settings=settings(method, 1, 1) | _door(method),
                    timeout=FLAGS.timeout,
                    **found,
                )
                print(*cell, found, flush=True)
    rows = records.read(FLAGS.out)
    for what in ("wall", "cpu", "peak_mb"):
        print(what, shown(rows, what).round(1).to_string(na_rep=""), sep="\n")
    print(powers(rows).round(2).to_string(na_rep=""))
    if FLAGS.figure:
        draw(rows, FLAGS.figure)


def shown(rows: Sequence[dict], what: str) -> pd.DataFrame:
    """Medians over repeats: a row is a method, a column a size."""
    found = [
        {
            "method": f"{row['method']}{'' if time == 'first' else ', again'}",
            "rows": row["rows"],
            "columns": row["columns"],
            what: row[time][what],
        }
        for row in rows
        for time in ("first", "again")
        if time in row
    ]
    frame = pd.DataFrame(found, columns=["method", "rows", "columns", what])
    keys = ["method", "rows", "columns"]
    order = list(dict.fromkeys(frame["method"]))
    table = frame.groupby(keys)[what].median().unstack(["rows", "columns"])
    return table.reindex(order).sort_index(axis=1)


def powers(rows: Sequence[dict]) -> pd.DataFrame:
    """Exponents of processor seconds against rows and against columns.

    By least squares of logarithms over sizes that took `LEAST` seconds more
    than the smallest, which is subtracted as what any size takes; NaN where
    there are fewer than two.
    """
    found = shown(rows, "cpu")
    given = {}
    for axis, other, fixed in AXES:
        for method, line in _along(found, axis, other, fixed):
            more = line - line.min()
            more = more[more > LEAST]
            power = np.nan
            if len(more) > 1:
                logs = np.log([more.index.to_numpy(float), more.to_numpy()])
                power = np.polyfit(*logs, 1)[0]
            given.setdefault(method, {})[axis] = power
    return pd.DataFrame.from_dict(given, "index")


def _along(
    found: pd.DataFrame, axis: str, other: str, fixed: int
) -> Iterator[tuple[str, pd.Series]]:
    """Of each method what was measured along an axis, by the size there."""
    here = found.columns.get_level_values(other) == fixed
    part = found.loc[:, here].droplevel(other, axis=1)
    for method, line in part.iterrows():
        line = line.dropna().sort_index()
        if len(line):
            yield method, line


def draw(rows: Sequence[dict], path: str) -> None:
    """Seconds against rows and against columns, both logarithmic, as a file."""
    from matplotlib import pyplot

    found = shown(rows, "wall")
    figure, places = pyplot.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    for place, (axis, other, fixed) in zip(places, AXES, strict=True):
        for method, line in _along(found, axis, other, fixed):
            ours = "-" not in method
            place.plot(
                line.index,
                line,
                marker="o",
                markersize=3,
                linewidth=1.8 if ours else 0.9,
                linestyle="-" if ours else "--",
                label=method,
            )
        place.set(xscale="log", yscale="log", xlabel=axis)
        place.set_title(f"{fixed} {other}", fontsize=10)
        place.grid(alpha=0.3)
    places[0].set_ylabel("seconds to one filled table")
    places[1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def define_flags() -> None:
    """The script's flags."""
    methods = ["chained", "miri", "gaussian"]
    methods += ["r-norm", "r-pmm", "r-cart", "r-rf"]
    methods += ["sk-mice", "sk-missforest", "py-miceforest"]
    flags.DEFINE_list("methods", methods, "What fills.")
    lengths = ["1000", "10000", "100000", "1000000"]
    flags.DEFINE_list("rows", lengths, f"With {WIDTH} columns.")
    widths = ["8", "32", "128", "512", "2000"]
    flags.DEFINE_list("columns", widths, f"With {LENGTH} rows.")
    flags.DEFINE_integer("repeats", 1, "Of everything.")
    flags.DEFINE_float("timeout", 200, "Seconds for a command.")
    flags.DEFINE_bool("show", False, "Print what is in the file.")
    flags.DEFINE_string("figure", "", "Where a picture is written.")
    flags.DEFINE_string("out", "results/speed.jsonl", "Where lines go.")
    flags.DEFINE_string("peer", "", "Internal: fills argv[1] to argv[2]_1.csv.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
