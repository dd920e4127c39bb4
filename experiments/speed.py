"""Seconds, memory and quality of miri and its peers, side by side in one run.

    PYTHONPATH=. python experiments/speed.py --folder FOLDER

First `compare`: on each table, one after the other in processes of their own,
`miri_paper` (Algorithm 1), `miri` (the fast preset), Algorithm 1 in eager
PyTorch (extra `bench`; the toy only) and scikit-learn's peers of
experiments/peers.py. `first` are the seconds of a fit with its first draw in a
fresh process, compilation included and no cache; `again` those of the same call
once more. Peak memory is that of the process, beyond what it had after its
imports and with the table loaded; compilation is part of it.

Then `process`: `python -m miri_jax.main --config configs/uci.py:NAME`, 20 draws
and report included, twice: with an empty compilation cache and with the one
that this left. Seconds from the shell's prompt to the first line of progress,
which holds MI and MMD of the table that the fit starts from; to the end of the
first iteration; and to the end of the process.

Then `scaling`: `miri` on synthetic tables (a mixture of two Gaussians, 30 %
MCAR) of 10^3 to 10^6 rows and of 8 to 512 columns: seconds of a fit and one
draw once compiled, peak memory, and the exponents of power laws fitted to them
by least squares of logarithms, over all sizes and over the largest ones.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from experiments import records
from miri_jax.data import Dataset
from miri_jax.data.toy import load_toy
from miri_jax.data.uci import load_uci
from miri_jax.engine import draws, fit
from miri_jax.imputers import make_imputer
from miri_jax.metrics import errors
from miri_jax.types import Masked

FLAGS = flags.FLAGS
METHODS = ("miri_paper", "miri", "torch", "mice", "iterative", "missforest")
flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
flags.DEFINE_list("names", ["toy", "energy", "housing", "wine"], "Tables.")
flags.DEFINE_list("methods", list(METHODS), "What to compare.")
flags.DEFINE_list(
    "processes", ["stock", "energy", "housing", "wine"], "Whole runs."
)
flags.DEFINE_list(
    "rows", ["1000", "10000", "100000", "1000000"], "With 20 columns."
)
flags.DEFINE_list("columns", ["8", "32", "128", "512"], "With 2000 rows.")
flags.DEFINE_integer("mask_seed", 1, "Seed of all masks.")
flags.DEFINE_integer("draws", 20, "For the mean, where the method draws.")
flags.DEFINE_string("out", "results/speed.jsonl", "Where lines are added.")
flags.DEFINE_string("task", "", "Internal: what a child process measures.")


def main(argv: list[str]) -> None:
    """Runs the children, prints and keeps what they say."""
    del argv
    if FLAGS.task:
        print(json.dumps(_child(json.loads(FLAGS.task))))
        return
    print("table    method       first, s  again, s  MB     mmd     rmse_mean")
    for name in FLAGS.names:
        for method in FLAGS.methods:
            if method == "torch" and name != "toy":
                continue
            row = _measure(kind="compare", dataset=name, method=method)
            if row is not None:
                print(
                    f"{name:8} {method:12} {row['first']:8.2f}"
                    f"  {row['again']:8.2f}  {row['peak_mb']:5.0f}"
                    f"  {row['mmd']:.4f}  {row['rmse_mean']:.4f}",
                    flush=True,
                )
    print("table    cache  first line, s  iteration 1, s  all, s")
    for name in FLAGS.processes:
        for row in _processes(name):
            print(
                f"{name:8} {row['cache']:5}  {row['first_line']:13.2f}"
                f"  {row['iteration_1']:14.2f}  {row['all']:6.2f}",
                flush=True,
            )
    print("rows     columns  seconds  MB     table, MB")
    sizes = [(int(n), 20) for n in FLAGS.rows]
    sizes += [(2000, int(d)) for d in FLAGS.columns]
    found = [_measure(kind="scaling", rows=n, columns=d) for n, d in sizes]
    for row in filter(None, found):
        print(
            f"{row['rows']:7d}  {row['columns']:7d}  {row['seconds']:7.2f}"
            f"  {row['peak_mb']:5.0f}  {row['table_mb']:8.1f}",
            flush=True,
        )
    for axis, part in (
        ("rows", list(filter(None, found[: len(FLAGS.rows)]))),
        ("columns", list(filter(None, found[len(FLAGS.rows) :]))),
    ):
        for what in ("seconds", "peak_mb"):
            for label, some in (("all", part), ("largest two", part[-2:])):
                if len(some) < 2:
                    continue
                power = np.polyfit(
                    np.log([row[axis] for row in some]),
                    np.log([row[what] for row in some]),
                    1,
                )[0]
                print(f"{what} ~ {axis}^{power:.2f} ({label})")
                records.append(
                    FLAGS.out,
                    kind="power law",
                    axis=axis,
                    of=what,
                    sizes=label,
                    exponent=round(float(power), 3),
                )


def _measure(**task) -> dict | None:
    """What a child process of its own measures; None where it cannot."""
    command = [sys.executable, *sys.argv, f"--task={json.dumps(task)}"]
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment
    )
    if done.returncode:
        print(task, "failed:", done.stderr.strip().splitlines()[-1:])
        return None
    row = {**task, **json.loads(done.stdout.strip().splitlines()[-1])}
    records.append(FLAGS.out, **row)
    return row


def _processes(name: str) -> Iterator[dict]:
    """Seconds of a run from the shell, with a cold and with a warm cache."""
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("cold", "warm"):
            command = [sys.executable, "-m", "miri_jax.main"]
            command += ["--config", f"configs/uci.py:{name}"]
            command += ["--workdir", os.path.join(folder, cache)]
            command += [f"--config.data.folder={FLAGS.folder}"]
            environment = {**os.environ, "XDG_CACHE_HOME": folder}
            row = {"kind": "process", "dataset": name, "cache": cache}
            start = time.perf_counter()
            with subprocess.Popen(
                command, stderr=subprocess.PIPE, text=True, env=environment
            ) as process:
                line = ""
                for line in process.stderr:
                    spent = round(time.perf_counter() - start, 2)
                    if line.startswith("iteration 0/"):
                        row["first_line"] = spent
                    elif line.startswith("iteration 1/"):
                        row["iteration_1"] = spent
            if process.returncode:
                print(name, "failed:", line.strip())
                return
            row["all"] = round(time.perf_counter() - start, 2)
            records.append(FLAGS.out, **row)
            yield row


def _peak_mb() -> float:
    """Highest resident memory of this process so far."""
    unit = 2**10 if sys.platform == "linux" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _child(task: dict) -> dict:
    if task["kind"] == "scaling":
        return _scale(task["rows"], task["columns"])
    return _compare(task["dataset"], task["method"])


def _compare(name: str, method: str) -> dict:
    seed = FLAGS.mask_seed
    if name == "toy":
        dataset = load_toy(mask_seed=seed)
    else:
        dataset = load_uci(name=name, folder=FLAGS.folder, mask_seed=seed)
    data = dataset.masked()
    before = _peak_mb()
    seconds = []
    # Eager PyTorch compiles nothing: once will do.
    for _ in range(1 if method == "torch" else 2):
        start = time.perf_counter()
        tables = _imputations(dataset, data, method, seed)
        first = next(tables)
        seconds.append(round(time.perf_counter() - start, 3))
    peak = _peak_mb() - before
    # A draw of miri_paper is ten flows of a hundred steps each.
    count = {"miri": FLAGS.draws, "miri_paper": 4}.get(method, 1)
    kept = [next(tables) for _ in range(count)] if count > 1 else [first]
    mean = errors(dataset.truth, np.mean(kept, axis=0), dataset.m)
    return {
        "mask_seed": seed,
        "rate": 0.3 if name == "toy" else 0.6,
        "first": seconds[0],
        "again": seconds[-1],
        "peak_mb": round(peak, 1),
        "draws": count,
        "mmd": dataset.compare(first)["mmd"],
        "rmse_mean": mean["rmse"],
    }


def _imputations(dataset: Dataset, data: Masked, method: str, seed: int):
    """Yields the fit's table, then draws from it, raw scale."""
    if method == "torch":
        from experiments.torch_miri import algorithm1  # slow to import

        yield dataset.restore(algorithm1(seed, data.x, data.m))
        return
    if method in ("mice", "iterative", "missforest"):
        from experiments.peers import PEERS

        yield dataset.restore(PEERS[method](data, seed))
        return
    imputer = _imputer(method)
    key_fit, key_draws = jax.random.split(jax.random.key(seed))
    state = fit(key_fit, imputer, data)
    yield dataset.restore(np.asarray(state.x))
    count = FLAGS.draws if method == "miri" else 4
    for x in draws(key_draws, imputer, state, data, count):
        yield dataset.restore(np.asarray(x))


_made: dict[str, object] = {}


def _imputer(method: str):
    """One imputer a process, so that the second fit finds it compiled."""
    return _made.setdefault(method, make_imputer(method))


def synthetic(n: int, d: int, seed: int) -> Masked:
    """A mixture of two Gaussians with 30 % MCAR, standardised, float32."""
    rng = np.random.default_rng(seed)
    loads = rng.standard_normal((4, d), np.float32) / 2
    x = np.empty((n, d), np.float32)
    for i in range(0, n, 10000):  # no second copy of a large table
        size = min(10000, n - i)
        part = rng.standard_normal((size, d), np.float32)
        part += rng.standard_normal((size, 4), np.float32) @ loads
        part += rng.choice([-1, 1], (size, 1)).astype(np.float32)
        x[i : i + size] = part
    x -= x.mean(axis=0)
    x /= x.std(axis=0)
    m = rng.random((n, d), np.float32) > 0.3
    x[~m] = 0
    return Masked(jnp.asarray(x), jnp.asarray(m))


def _scale(n: int, d: int) -> dict:
    imputer = make_imputer("miri", source="gaussian")
    data = synthetic(n, d, FLAGS.mask_seed)
    jax.block_until_ready(data)
    before, key = _peak_mb(), jax.random.key(FLAGS.mask_seed)
    init = jax.jit(imputer.init).lower(key, data).compile()
    like = jax.eval_shape(imputer.init, key, data)
    start = time.perf_counter()
    step = jax.jit(imputer.step, donate_argnums=1)
    step = step.lower(key, like, data).compile()
    compiling = time.perf_counter() - start
    start = time.perf_counter()
    state = init(key, data)
    k = 0
    while not bool(state.done):
        state, _ = step(jax.random.fold_in(key, k), state, data)
        k += 1
    finite = bool(jnp.isfinite(state.x).all())
    seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 3),
        "compiling_step": round(compiling, 2),
        "iterations": k,
        "finite": finite,
        "peak_mb": round(_peak_mb() - before, 1),
        "table_mb": round(n * d * 4 / 2**20, 2),
    }


if __name__ == "__main__":
    app.run(main)
