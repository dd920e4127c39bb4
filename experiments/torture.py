"""Kills real runs at random moments; they must end as if nothing had been.

    PYTHONPATH=. python experiments/torture.py --kills 100

For each kind of run (a toy, a table from a CSV, small images) one is left
alone. Then the same run is started again and again in another folder, and
killed by SIGKILL, SIGTERM or SIGINT at a moment drawn at random from its whole
length, until `--kills` kills are spread over the kinds; whenever a run comes to
its end, results, metrics and checkpoint are compared byte by byte, and a new
one begins. Every run is left to end at last. After each kill, what lies in the
folder must be whole: the checkpoints by their names, all files that stand for a
finished thing, and the time from SIGTERM to the end is kept. Appends a line to
results/torture.jsonl and exits with 1 if anything differs.
"""

import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from experiments import records
from miri_jax.data.images import random_shapes

FLAGS = flags.FLAGS
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
# While Python still imports, the signals have their usual effect.
EARLY = {signal.SIGTERM: (-15,), signal.SIGINT: (-2, 1)}
COMMON = (
    "--config.checkpoint.every_seconds=0",
    "--config.draws=2",
    "--config.imputer.num_slices=2",
)
RUNS = {
    "toy": ("toy.py:smoke", "--config.imputer.num_iterations=6"),
    "table": (
        "table.py:smoke",
        "--config.data.path=table.csv",
        "--config.imputer.num_iterations=4",
        "--config.imputer.num_steps=40",
    ),
    "images": (
        "cifar10.py:smoke",
        "--config.data.images=npz:images.npz",
        "--config.imputer.num_steps=4",
        "--config.imputer.batch_size=8",
        "--config.imputer.ode_steps=1",
    ),
}


def write_data(folder: pathlib.Path) -> None:
    """A table of 200 rows and 24 images that the runs fill."""
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal(np.zeros(3), 0.4 * np.eye(3) + 0.6, 200)
    lines = ["a,b,c,kind"]
    for row in x:
        cells = [f"{v:.3f}" if rng.random() > 0.3 else "" for v in row]
        lines.append(",".join([*cells, rng.choice(["x", "y", ""])]))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    np.savez(folder / "images.npz", images=random_shapes(24, 16).pixels)


def command(kind: str, workdir: pathlib.Path) -> list[str]:
    """The command line of a run."""
    config, *settings = RUNS[kind]
    root = pathlib.Path(__file__).parents[1]
    return [
        *(sys.executable, "-m", "miri_jax.main"),
        *("--config", str(root / "configs" / config)),
        *("--workdir", str(workdir), *COMMON, *settings),
    ]


def start(kind: str, workdir: pathlib.Path) -> subprocess.Popen:
    """Starts a run beside its data."""
    root = str(pathlib.Path(__file__).parents[1])
    return subprocess.Popen(
        command(kind, workdir),
        cwd=workdir.parent,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(workdir: pathlib.Path) -> dict[str, bytes]:
    """What must not depend on kills, by name."""
    found = {"metrics.jsonl": (workdir / "metrics.jsonl").read_bytes()}
    summary = json.loads((workdir / "summary.json").read_text())
    found["metrics"] = json.dumps(summary["metrics"]).encode()
    for path in sorted(workdir.glob("imputed*")):
        if path.suffix != ".npz":
            found[path.name] = path.read_bytes()
            continue
        with np.load(path) as arrays:
            for name in arrays:
                found[f"{path.name} {name}"] = arrays[name].tobytes()
    return found


def torn(workdir: pathlib.Path) -> list[str]:
    """Files of a killed run that are there, but not whole."""
    bad = []
    for path in (workdir / "checkpoints").glob("[0-9]*"):
        # Orbax writes elsewhere and renames; metadata come last.
        if path.name.isdigit() and not list(path.rglob("_CHECKPOINT_METADATA")):
            bad.append(str(path))
    for name in ("config.json", "summary.json"):
        path = workdir / name
        try:
            path.exists() and json.loads(path.read_text())
        except json.JSONDecodeError:
            bad.append(str(path))
    for path in workdir.glob("imputed*.npz"):
        try:
            with np.load(path) as arrays:
                [arrays[name] for name in arrays]
        except Exception:  # a zip file that was cut raises many kinds
            bad.append(str(path))
    return bad


def kill(
    process: subprocess.Popen, number: int, after: float
) -> tuple[int, float, str]:
    """Sends a signal after so many seconds; status, seconds to the end, stderr.

    The seconds are 0 if it ended before.
    """
    try:
        _, err = process.communicate(timeout=after)
        return process.returncode, 0.0, err
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    began = time.monotonic()
    _, err = process.communicate()
    return process.returncode, time.monotonic() - began, err


def torture(
    folder: pathlib.Path, kind: str, kills: int, seed: int
) -> tuple[collections.Counter, list[str], list[float]]:
    """Kills one kind of run `kills` times.

    Returns:
      Counts (`kills`, each signal's name, `ended` runs that were killed at
      least once, `identical` ones), what was wrong, and the seconds that
      SIGTERM took.
    """
    rng = random.Random(f"{seed} {kind}")
    counts, wrong, waited = collections.Counter(), [], []
    for alone in (folder / f"{kind}-first", folder / f"{kind}-again"):
        # The second has its programs from the cache, as the killed ones.
        began = time.monotonic()
        start(kind, alone).communicate()
        length = time.monotonic() - began
    whole = outcome(alone)
    if outcome(folder / f"{kind}-first") != whole:
        wrong.append(f"{kind} does not repeat")
    workdir, hit = folder / f"{kind}-killed", 0
    while counts["kills"] < kills or hit:
        enough = counts["kills"] >= kills
        number = rng.choice(SIGNALS)
        after = 3600.0 if enough else rng.uniform(0, length)
        status, seconds, err = kill(start(kind, workdir), number, after)
        early = (
            status in EARLY.get(number, ())
            and "Traceback" not in (err.split("KeyboardInterrupt")[-1])
        )
        if seconds and (status == STATUS[number] or early):
            counts["kills"] += 1
            counts["while importing"] += early
            counts[signal.Signals(number).name] += 1
            hit += 1
            if number == signal.SIGTERM and not early:
                waited.append(seconds)
            wrong += torn(workdir)
        elif status == 0:
            if hit:
                counts["ended"] += 1
                same = outcome(workdir) == whole
                counts["identical"] += same
                if not same:
                    wrong.append(f"{kind} after {hit} kills differs")
            shutil.rmtree(workdir)
            hit = 0
        else:
            wrong.append(f"{kind}: status {status}: {err[-300:]}")
            if len(wrong) > 5:
                break
        print(kind, dict(counts), wrong, flush=True)
    return counts, wrong, waited


def main(argv: list[str]) -> None:
    """Tortures all kinds, and keeps the line."""
    del argv
    kinds = FLAGS.kinds or list(RUNS)
    total, wrong, waited = collections.Counter(), [], []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_data(folder)
        for k, kind in enumerate(kinds):
            share = FLAGS.kills // len(kinds) + (k < FLAGS.kills % len(kinds))
            found = torture(folder, kind, share, FLAGS.seed)
            total += found[0]
            wrong += found[1]
            waited += found[2]
    records.append(
        FLAGS.out,
        kinds=list(kinds),
        seed=FLAGS.seed,
        counts=dict(total),
        wrong=[text.replace(name, "") for text in wrong],
        longest_sigterm_seconds=round(max(waited, default=0), 2),
    )
    print(dict(total), wrong)
    sys.exit(bool(wrong))


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_integer("kills", 100, "How many, over all kinds of runs.")
    flags.DEFINE_multi_enum("kinds", [], list(RUNS), "Which; all by default.")
    flags.DEFINE_integer("seed", 0, "Of the moments and signals.")
    flags.DEFINE_string("out", "results/torture.jsonl", "Takes the line.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
