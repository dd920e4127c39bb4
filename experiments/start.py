"""How long one waits before anything happens: seconds beside imports.

    PYTHONPATH=. python experiments/start.py

B is what `import jax, pandas, sklearn.ensemble` takes, measured anew in each
repeat; all else is given in seconds and as a multiple of it. Commands are
processes, with an empty folder of compiled programs (`miri, first`), and then
with what that left, on a table of the same shape (`miri, again`), one with
another number of rows (`miri, more rows`) and one with another number of
columns too (`miri, fewer columns`). What the estimator does is timed in
one process that begins with an empty folder too, and loading in another. CPU
seconds, user and system, tell more than those of the clock on a machine that
others use. A line of results/start.jsonl is one thing in one repeat; `--show`
prints medians.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from absl import flags

from experiments import records
from experiments.timing import IMPUTE, MAIN, timed

FLAGS = flags.FLAGS
BASE = "import jax, pandas, sklearn.ensemble"


def table(rows: int, columns: int = 9, seed: int = 0) -> pd.DataFrame:
    """Numbers, one of them whole, and a level; a quarter of them missing."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(rows, 3))
    x = np.tanh(factors @ rng.normal(size=(3, columns)))
    x += 0.3 * rng.normal(size=x.shape)
    frame = pd.DataFrame(x.round(3)).add_prefix("x")
    frame["x1"] = (10 * frame["x1"]).round()
    frame["x2"] = np.select([x[:, 2] > 0.4, x[:, 2] > -0.4], ["a", "b"], "c")
    return frame.mask(rng.random(x.shape) < 0.25)


def process(*words: str) -> dict[str, float]:
    """Seconds that Python takes for some words, whatever it ends with."""
    took = timed([sys.executable, *words], check=False)
    return {name: took[name] for name in ("cpu", "wall")}


def commands(folder: pathlib.Path) -> Iterator[tuple[str, dict[str, float]]]:
    """What people type."""
    yield "miri-impute --help", process(*IMPUTE, "--help")
    yield "miri-impute --version", process(*IMPUTE, "--version")
    yield "no such file", process(*IMPUTE, str(folder / "no.csv"), "out.csv")
    yield "miri_jax.main --help", process(*MAIN, "--help")
    yield "no such flag", process(*MAIN, "--nothing")
    yield "import miri_jax", process("-c", "import miri_jax")
    out = str(folder / "out.csv")
    for what, method, rows, columns in (
        ("chained", "chained", 500, 9),
        ("miri, first", "miri", 500, 9),
        ("miri, again", "miri", 500, 9),
        ("miri, more rows", "miri", 501, 9),
        ("miri, fewer columns", "miri", 502, 8),
    ):
        path = folder / f"{rows}.csv"
        table(rows, columns, seed=rows).to_csv(path, index=False)
        words = str(path), out, "--method", method, "--force"
        yield what, process(*IMPUTE, *words)
        if not os.path.exists(out):
            raise RuntimeError(f"{what} wrote nothing")
        os.remove(out)


def estimator(method: str, folder: str) -> None:
    """Prints what a fit and draws of new rows take, as JSON."""
    from miri_jax import MIRIImputer
    from miri_jax.runtime.provenance import Compilations

    found: dict[str, dict[str, float]] = {}

    def lap(what: str, do: Callable[[], object], times: int = 1) -> object:
        with Compilations() as compiled:
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(times):
                given = do()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        found[f"{method}, {what}"] = {
            "cpu": cpu / times,
            "wall": wall / times,
            "programs": compiled.programs,
        }
        return given

    make = lambda: MIRIImputer(method, random_state=0)
    one = table(500, seed=3).iloc[[7]].assign(x0=np.nan)
    if os.path.exists(folder):
        load = lambda: MIRIImputer.load(folder).transform(one)
        lap("loaded, first row", load)
    else:
        fitted = lap("first fit", lambda: make().fit(table(500)))
        lap("fit of one row more", lambda: make().fit(table(501, seed=1)))
        lap("one row, first", lambda: fitted.transform(one))
        lap("one row", lambda: fitted.transform(one), 20)
        fitted.save(folder)
    print(json.dumps(found))


def estimators(folder: pathlib.Path) -> Iterator[tuple[str, dict[str, float]]]:
    """What scripts do."""
    for method in ("chained", "miri"):
        for _ in range(2):  # the second process loads
            worker = [__file__, f"--worker={method}"]
            worker += [f"--model={folder / method}"]
            done = subprocess.run(
                [sys.executable, *worker],
                capture_output=True,
                text=True,
                check=True,
            )
            yield from json.loads(done.stdout.splitlines()[-1]).items()


def main(argv: list[str]) -> None:
    """Measures, and prints medians."""
    del argv
    if FLAGS.worker:
        estimator(FLAGS.worker, FLAGS.model)
        return
    for repeat in () if FLAGS.show else range(FLAGS.repeats):
        base = process("-c", BASE)
        records.append(FLAGS.out, what="B", repeat=repeat, **base)
        for measure in (commands, estimators):
            with tempfile.TemporaryDirectory() as folder:
                os.environ["XDG_CACHE_HOME"] = folder  # of the processes
                os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
                for what, took in measure(pathlib.Path(folder)):
                    took["cpu / B"] = took["cpu"] / base["cpu"]
                    took["wall / B"] = took["wall"] / base["wall"]
                    row = {"what": what, "repeat": repeat, **took}
                    records.append(FLAGS.out, **row)
                    print(row, flush=True)
    frame = pd.DataFrame(records.read(FLAGS.out))
    shown = ["cpu", "cpu / B", "wall", "wall / B", "programs"]
    medians = frame.groupby("what", sort=False)[shown].median()
    print(medians.round(3).to_string(na_rep=""))


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_integer("repeats", 3, "Of everything.")
    flags.DEFINE_string("worker", "", "Times the estimator's method here.")
    flags.DEFINE_string("model", "", "Where a worker saves, or loads.")
    flags.DEFINE_bool("show", False, "Print what is in the file.")
    flags.DEFINE_string("out", "results/start.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
