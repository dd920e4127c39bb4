"""Random commands on random tables, some killed, and what must hold after each.

    PYTHONPATH=. python experiments/soak.py --seconds 3600

Each round has a seed: round k of `--seed S` is the same command on the same
table, whatever came before, so that `--start K --rounds 1` repeats one. A round
makes a table (numbers, whole numbers, levels, times, booleans; 5 to 400 rows),
writes it as a file of a random kind, and fills it by a random method, number of
draws and of threads, with bounds, a rule or parts where they suit, by
miri-impute. A third of the rounds are killed by SIGKILL, SIGTERM or SIGINT at a
random moment, once or twice, and the command is typed again.

After each: observed cells are as they came, no gap is left, levels are known
ones, numbers are finite and within bounds, the rule holds, the input has the
same bytes, nothing else is in the folder, no process or temporary file stays.
Every tenth round one process draws from one fitted estimator many times over:
memory, file descriptors and threads must not grow. Appends a line for each
round to --lines, and a summary to results/soak.jsonl; exits with 1 where
something did not hold.
"""

import collections
import gc
import json
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import pandas as pd
from absl import flags

from experiments import records
from miri_jax.data.readers import read_table

FLAGS = flags.FLAGS
ENDINGS = (
    *("csv", "csv.gz", "tsv", "jsonl", "xlsx"),
    *("parquet", "feather", "sav", "dta"),
)
METHODS = ("mean", "median", "gaussian", "gaussian", "chained", "miri")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LOW, HIGH = -3.0, 3.0


def make_table(rng: np.random.Generator) -> pd.DataFrame:
    """A table with gaps; `start` is never above `end`, `x` within bounds."""
    n = int(rng.choice([5, 20, 60, 150, 400]))
    x = np.clip(rng.normal(size=n), LOW, HIGH).round(3)
    start = rng.integers(0, 50, n)
    every = {
        "x": x,
        "y": (x + rng.normal(0, 0.3, n)).round(2),
        "start": start,
        "end": start + rng.integers(0, 30, n),
        "level": rng.choice(["red", "green", "blué", "a b"], n),
        "day": pd.Timestamp("2021-03-01")
        + pd.to_timedelta(rng.integers(0, 700, n), "D"),
        "skewed": np.exp(rng.normal(2, 1.5, n)).round(1),
    }
    other = [name for name in every if name not in ("x", "start", "end")]
    kept = rng.choice(other, rng.integers(1, len(other) + 1), replace=False)
    frame = pd.DataFrame(every)[["x", "start", "end", *sorted(kept)]]
    gaps = rng.random(frame.shape) < rng.choice([0.05, 0.2, 0.5])
    # A fifth of each column, or one cell, is always observed.
    for j in range(frame.shape[1]):
        gaps[rng.permutation(n)[: max(n // 5, 2)], j] = False
    return frame.mask(gaps)


def write_file(frame: pd.DataFrame, path: pathlib.Path) -> None:
    """Writes a table as a file of the kind that its name says."""
    ending = path.name.partition(".")[2]
    whole = {"start": "Int64", "end": "Int64"}
    if ending in ("csv", "csv.gz", "tsv"):
        text = frame.astype(whole).to_csv(
            index=False, sep="\t" if ending == "tsv" else ","
        )
        from miri_jax.data.packing import written

        with written(str(path)) as file:
            file.write(text.encode())
    elif ending == "jsonl":
        frame.astype(whole).to_json(
            path, orient="records", lines=True, date_format="iso"
        )
    elif ending == "xlsx":
        frame.to_excel(path, index=False)
    elif ending == "parquet":
        frame.astype(whole).to_parquet(path)
    elif ending == "feather":
        frame.astype(whole).to_feather(path)
    else:
        import pyreadstat

        getattr(pyreadstat, f"write_{ending}")(frame, str(path))


def words_of(draw: random.Random, rng: np.random.Generator) -> dict[str, Any]:
    """What is asked for in a round."""
    ending = draw.choice(ENDINGS)
    asked: dict[str, Any] = {
        "ending": ending,
        "method": draw.choice(METHODS),
        "draws": draw.choice([1, 1, 2, 4]),
        "stream": ending == "parquet" and draw.random() < 0.4,
        "bounds": draw.random() < 0.5,
        "rule": draw.random() < 0.5,
        "threads": draw.choice([1, 2]),
        "kills": draw.choice([0, 0, 0, 0, 1, 2]),
    }
    if asked["stream"]:
        asked |= {"draws": 1}
    del rng
    return asked


def command(asked: dict[str, Any], seed: int) -> list[str]:
    """The words of miri-impute, and its name."""
    words = ["in." + asked["ending"], "out." + asked["ending"]]
    words += ["--method", asked["method"], "--draws", str(asked["draws"])]
    words += ["--seed", str(seed), "--no-found"]
    if asked["stream"]:
        words.append("--stream")
    if asked["bounds"]:
        words += ["--bounds", f"x={LOW}:{HIGH}"]
    if asked["rule"]:
        words += ["--rule", "start <= end"]
    if asked["method"] == "miri":
        words += ["--set", "imputer.num_iterations=2"]
    return [sys.executable, "-m", "miri_jax.app.impute", *words]


def typed(
    words: list[str], folder: pathlib.Path, threads: int, after: float | None
) -> tuple[int, str]:
    """Runs a command; killed after so many seconds, if any."""
    limit = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    root = pathlib.Path(__file__).parents[1]
    temporary = folder.parent / "tmp"
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            "XLA_FLAGS": limit,
            "OMP_NUM_THREADS": str(threads),
            "TMPDIR": str(temporary),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    number = random.Random(f"{after}").choice(SIGNALS)
    try:
        _, told = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, told = process.communicate()
    return process.returncode, told


def wrong_with(
    folder: pathlib.Path, asked: dict[str, Any], before: bytes
) -> list[str]:
    """Sentences on what does not hold after a command has ended."""
    source, bad = folder / f"in.{asked['ending']}", []
    if source.read_bytes() != before:
        bad.append("the input has other bytes")
    count = asked["draws"]
    outs = [
        f"out{'' if count == 1 else f'_{k + 1}'}.{asked['ending']}"
        for k in range(count)
    ]
    expected = {source.name, *outs, *([] if asked["stream"] else ["out.html"])}
    there = {path.name for path in folder.iterdir()}
    if there != expected:
        bad.append(f"there are {sorted(there ^ expected)} too many or too few")
    left = [*(folder.parent / "tmp").iterdir()]
    if left:
        bad.append(f"temporary files stay: {[p.name for p in left]}")
    came = read_table(str(source), found=False)
    for name in outs:
        if name not in there:
            continue
        found = read_table(str(folder / name), found=False)
        bad += [f"{name}: {what}" for what in _cells(came, found, asked)]
    return bad


def _cells(came: Any, found: Any, asked: dict[str, Any]) -> list[str]:
    bad = []
    if found.missing.any():
        bad.append(f"{int(found.missing.sum())} gaps are left")
    if came.frame.shape != found.frame.shape:
        return [*bad, f"{found.frame.shape} is another shape"]
    for j, name in enumerate(came.frame.columns):
        shown = ~came.missing[:, j]
        old, new = (t.frame.iloc[:, j].to_numpy(object) for t in (came, found))
        if list(old[shown]) != list(new[shown]):
            bad.append(f"observed cells of {name} are others")
        if name == "level" and not {*new} <= {*old[shown]}:
            bad.append(f"levels of {name} are new")
        if name in ("x", "y", "start", "end", "skewed"):
            numbers = pd.to_numeric(pd.Series(new)).to_numpy(float)
            if not np.isfinite(numbers).all():
                bad.append(f"{name} is not finite")
            if name == "x" and asked["bounds"]:
                if numbers.min() < LOW or numbers.max() > HIGH:
                    bad.append("x is out of its bounds")
    if asked["rule"]:
        start, end = (
            pd.to_numeric(found.frame[name]).to_numpy(float)
            for name in ("start", "end")
        )
        if (start > end).any():
            bad.append("the rule does not hold")
    return bad


def one_round(seed: int, k: int) -> dict[str, Any]:
    """A command, killed or not, and what does not hold after it."""
    draw, rng = random.Random(f"{seed} {k}"), np.random.default_rng((seed, k))
    asked, frame = words_of(draw, rng), make_table(rng)
    words, began = command(asked, k), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place, "here")
        folder.mkdir()
        pathlib.Path(place, "tmp").mkdir()
        source = folder / f"in.{asked['ending']}"
        write_file(frame, source)
        before, kills = source.read_bytes(), 0
        for _ in range(asked["kills"]):
            after = draw.uniform(0.5, FLAGS.longest)
            code, told = typed(words, folder, asked["threads"], after)
            kills += code != 0
            if not code or "Traceback (most" in told and code == 1:
                break
        if not kills or not asked["kills"] or code:
            if not asked["kills"] or code:
                code, told = typed(words, folder, asked["threads"], None)
        bad = []
        if "already exists" in told and kills:
            code = 0  # It had come to its end.
        if code:
            bad.append(f"status {code}: {told.strip().splitlines()[-1:]}")
        elif kills:
            # A folder that was being deleted may stay, see reliability.md.
            _forget(folder / f".out.{asked['ending']}.miri")
            _forget(pathlib.Path(place, "tmp"))
        if not code:
            bad += wrong_with(folder, asked, before)
        elif source.read_bytes() != before:
            bad.append("the input has other bytes")
    return {
        "round": k,
        "seed": seed,
        "words": shlex.join(words[3:]),
        "rows": len(frame),
        "kills": kills,
        "threads": asked["threads"],
        "seconds": round(time.monotonic() - began, 1),
        "wrong": bad,
    }


def _forget(folder: pathlib.Path) -> None:
    """Takes away what a killed process may leave."""
    import shutil

    keep = folder.name == "tmp"
    shutil.rmtree(folder, ignore_errors=True)
    if keep:
        folder.mkdir()


def leaks(seed: int, k: int, times: int = 30) -> list[str]:
    """Whether a process that fits and draws many times over grows."""
    from miri_jax import MIRIImputer

    rng = np.random.default_rng((seed, k))
    frame = make_table(rng).drop(columns=["day"], errors="ignore")
    taken: list[tuple[float, int, int]] = []
    for turn in range(times):
        imputer = MIRIImputer("gaussian", random_state=turn, found=False)
        imputer.fit_transform(frame)
        gc.collect()
        taken.append(_held())
    middle, last = taken[times // 3], taken[-1]
    bad = []
    if last[0] - middle[0] > 30:
        bad.append(f"memory grew by {last[0] - middle[0]:.0f} MB")
    for what, old, new in zip(("files", "threads"), middle[1:], last[1:]):
        if new > old:
            bad.append(f"{what} open grew from {old} to {new}")
    return bad


def _held() -> tuple[float, int, int]:
    """MB of memory, file descriptors and threads of this process."""
    status = pathlib.Path("/proc/self/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    memory = int(found["VmRSS"].split()[0]) / 1024
    return memory, len(os.listdir("/proc/self/fd")), int(found["Threads"])


def main(argv: list[str]) -> None:
    """Rounds until the time is over."""
    del argv
    end, wrong, k = time.monotonic() + FLAGS.seconds, [], FLAGS.start
    began, seen = time.monotonic(), collections.Counter()
    lines = open(FLAGS.lines, "a") if FLAGS.lines else None
    while time.monotonic() < end and k < FLAGS.start + FLAGS.rounds:
        if k % 10 == 9:
            bad = leaks(FLAGS.seed, k)
            row = {"round": k, "seed": FLAGS.seed, "leaks": True, "wrong": bad}
            seen["leaks"] += 1
        else:
            row = one_round(FLAGS.seed, k)
            seen["commands"] += 1
            seen["kills"] += row["kills"]
            seen["killed"] += row["kills"] > 0
        if row["wrong"]:
            wrong.append(row)
            print(json.dumps(row), flush=True)
        if lines:
            print(json.dumps(row), file=lines, flush=True)
        k += 1
    records.append(
        "results/soak.jsonl",
        seed=FLAGS.seed,
        start=FLAGS.start,
        rounds=k - FLAGS.start,
        seconds=round(time.monotonic() - began),
        **seen,
        wrong=wrong,
    )
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    flags.DEFINE_float("seconds", 3600, "how long")
    flags.DEFINE_integer("rounds", 10**9, "how many at most")
    flags.DEFINE_integer("seed", 0, "of all rounds")
    flags.DEFINE_integer("start", 0, "the first round")
    flags.DEFINE_float("longest", 20, "seconds to a kill, at most")
    flags.DEFINE_string("lines", "", "a file for a line of each round")
    records.run(main)
