"""Do pooled 95 % intervals cover the truth? Beside R's mice.

    PYTHONPATH=. python experiments/coverage.py

Tables of `--designs` lose cells by `--mechanisms` (experiments/simulated.py has
both, and what is estimated); every method fills each `--draws` times, through
`MIRIImputer` or R's mice, and the analyses are pooled. Methods are

    complete      the tables before they lost cells
    cases         their complete rows
    r-NAME        R's mice: norm, pmm, cart or rf for numbers; for levels by
                  norm and pmm mice's logistic regressions
    NAME          of the registry

with settings behind colons: `chained:one-fit` has all draws from one fit
(`bootstrap=False`), `chained:trees=1` a setting of the method, `r-pmm:maxit=20`
one of mice.

A line of results/coverage.jsonl is a design, a mechanism, rows, a method and
`--part` tables; started again, the script goes on with what is not there yet,
and lines of one cell are taken together. Of each estimate it has, means over
tables of `covered`, of the interval's `width` and that of the `complete` table,
of the `error` and its square, of the `shift` from the complete table's estimate
and its square, and of the variance `within` and `between` draws; `failed`
counts tables where it could not be had. What they mean is said by `cells`:

    coverage  share of the intervals that hold the truth, and its Monte Carlo
              error
    bias      mean error in standard deviations of the estimate over tables
    shift     the same of the shift, which chance blurs less
    width     mean width over that of the complete tables
    ratio     mean pooled variance over the variance of the estimate over tables
    between   mean of (1 + 1 / m) times the variance between draws over what it
              stands for, the variance of the shift over tables

`--table` prints, of each method and mechanism, how many cells (an estimate, a
design, rows) cover within .93 to .97, and how many do so as far as the Monte
Carlo error tells; `--cells` prints every cell.
"""

import ast
import functools
import itertools
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from absl import flags

from experiments import records
from experiments.simulated import DESIGNS, MECHANISMS, Design, holes
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import DataError
from miri_jax.pooling import pool, pool_correlations

FLAGS = flags.FLAGS
KEYS = ("design", "mechanism", "rows", "method", "draws")
R_SCRIPT = pathlib.Path(__file__).with_name("mice.R")
# Of numbers, two levels, more, and ordered ones.
R_METHODS = {name: f"{name},logreg,polyreg,polr" for name in ("norm", "pmm")}
LOW, HIGH = 0.93, 0.97
# What a line has of each estimate, means over its tables.
MEANS = ("covered", "width", "complete", "error", "error^2", "shift", "shift^2")
MEANS += ("within", "between")
# Complete rows fewer than these are not analysed.
FEWEST = 10


def tables(
    design: Design, mechanism: str, rows: int, seeds: Sequence[int]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Complete tables, and the same with gaps."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        truth = design.draw(rng, rows)
        yield truth, holes(truth, design, mechanism, rng)


def imputed(
    method: str, gaps: Sequence[pd.DataFrame], draws: int, seeds: Sequence[int]
) -> Iterator[list[pd.DataFrame]]:
    """Filled tables of each table with gaps; what is no imputation, twice."""
    name, *words = method.split(":")
    if name.startswith("r-"):
        yield from _by_mice(name[2:], words, gaps, draws, seeds)
        return
    bootstrap, settings = "one-fit" not in words, _settings(words)
    for table, seed in zip(gaps, seeds):
        if name == "cases":
            yield [table.dropna()] * 2
            continue
        imputer = MIRIImputer(
            name,
            n_imputations=draws,
            bootstrap=bootstrap,
            settings=settings,
            random_state=seed,
        )
        yield imputer.fit(table).imputations(table)


def _settings(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` as numbers, words or truth values."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            if word != "one-fit":
                raise ValueError(f"{word!r}: one-fit, or KEY=VALUE")
            continue
        try:
            found[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key] = value
    return found


def _by_mice(
    name: str,
    words: Sequence[str],
    gaps: Sequence[pd.DataFrame],
    draws: int,
    seeds: Sequence[int],
) -> Iterator[list[pd.DataFrame]]:
    maxit = _settings(words).get("maxit", 5)
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        jobs = [
            (str(place / f"{k}.csv"), str(place / str(k)), str(seed))
            for k, seed in enumerate(seeds)
        ]
        for table, (path, _, _) in zip(gaps, jobs):
            table.to_csv(path, index=False)
        (path, out, seed), *more = jobs
        method = R_METHODS.get(name, name)
        command = ["Rscript", str(R_SCRIPT), path, out, method]
        command += [str(draws), str(maxit), seed]
        command += [word for job in more for word in job]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for _, out, _ in jobs:
            yield [pd.read_csv(f"{out}_{k + 1}.csv") for k in range(draws)]


@functools.cache
def mice_version() -> str:
    """Versions of R and its package mice."""
    words = 'cat(R.version.string, format(packageVersion("mice")))'
    return subprocess.check_output(["Rscript", "-e", words], text=True)


def pooled(filled: Sequence[pd.DataFrame], design: Design) -> pd.DataFrame:
    """A row for each estimate: estimate, low, high, within, between.

    What cannot be had of these tables, as where rows are too few, is NaN.
    """
    names = ["estimate", "low", "high", "within", "between"]
    if len(filled[0]) < FEWEST:
        return pd.DataFrame(np.nan, list(design.truth), names)
    if all(table is filled[0] for table in filled):
        analyses = [design.analyse(filled[0])] * len(filled)
    else:
        analyses = [design.analyse(table) for table in filled]
    found = {}
    for parts in zip(*analyses):
        values = np.stack([part.values for part in parts])
        variances = np.stack([part.variances for part in parts])
        try:
            rows = _pooled(parts, values, variances)
        except DataError:  # a regression without an answer
            rows = np.full((len(values[0]), 5), np.nan)
        found |= dict(zip(parts[0].names, rows))
    return pd.DataFrame.from_dict(found, orient="index", columns=names)


def _pooled(parts, values: np.ndarray, variances: np.ndarray) -> np.ndarray:
    if parts[0].fisher:  # on Fisher's scale, as the truth will be
        both = pool_correlations(values, 3 + 1 / variances[:, 0])
        one, ends = both.z, both.z.interval()
    else:
        one = pool(values, variances, parts[0].df)
        ends = one.interval()
    return np.stack([one.estimate, *ends, one.within, one.between], axis=1)


def measure(
    design: Design,
    mechanism: str,
    rows: int,
    method: str,
    draws: int,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """What a line has, see the docstring of this file."""
    pairs = list(tables(design, mechanism, rows, seeds))
    whole = [pooled([table] * 2, design) for table, _ in pairs]
    gaps = [table for _, table in pairs]
    began = _seconds()
    if method == "complete":
        found = whole
    else:
        filled = imputed(method, gaps, draws, seeds)
        found = [pooled(one, design) for one in filled]
    spent = _seconds() - began
    each = [_scores(one, two, design) for one, two in zip(found, whole)]
    stacked = pd.concat(each, keys=range(len(each)))
    by_name = stacked.groupby(level=1, sort=False)
    means = by_name.mean().dropna()
    failed = stacked["error"].isna().groupby(level=1, sort=False).sum()
    missing = np.mean([table.isna().to_numpy().mean() for table in gaps])
    return {
        "tables": len(pairs),
        "missing": float(missing),
        "cpu_seconds": spent / len(pairs),
        "failed": {k: int(v) for k, v in failed[failed > 0].items()},
        **{key: means[key].to_dict() for key in MEANS},
    }


def _scores(
    found: pd.DataFrame, whole: pd.DataFrame, design: Design
) -> pd.DataFrame:
    truth = pd.Series(design.truth)[found.index]
    fisher = found.index.str.startswith("cor ")
    truth = truth.where(~fisher, np.arctanh(truth.where(fisher, 0)))
    error = found["estimate"] - truth
    shift = found["estimate"] - whole["estimate"]
    covered = (found["low"] <= truth) & (truth <= found["high"])
    return pd.DataFrame(
        {
            "covered": covered.astype(float).where(error.notna()),
            "width": found["high"] - found["low"],
            "complete": whole["high"] - whole["low"],
            "error": error,
            "error^2": error**2,
            "shift": shift,
            "shift^2": shift**2,
            "within": found["within"],
            "between": found["between"],
        }
    )


def _seconds() -> float:
    """Of the processor: this process's, and its children's."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def main(argv: list[str]) -> None:
    """Measures the parts that are not yet in the file."""
    del argv
    lines = records.read(FLAGS.out)
    if FLAGS.table or FLAGS.cells:
        found = cells(lines)
        shown = found if FLAGS.cells else summary(found)
        print(shown.round(3).to_string(na_rep=""))
        return
    # All cells advance together, so that those of a run cut short compare.
    last = FLAGS.first_seed + FLAGS.tables
    for first, rows, design, mechanism, method in itertools.product(
        range(FLAGS.first_seed, last, FLAGS.part),
        map(int, FLAGS.rows),
        FLAGS.designs,
        FLAGS.mechanisms,
        FLAGS.methods,
    ):
        cell = (design, mechanism, rows, method, FLAGS.draws)
        wanted = range(first, min(first + FLAGS.part, last))
        for seeds in missing_seeds(lines, cell, wanted):
            found = measure(
                DESIGNS[design], mechanism, rows, method, FLAGS.draws, seeds
            )
            if method.startswith("r-"):
                found["mice"] = mice_version()
            found = {"first_seed": seeds[0]} | found
            records.append(FLAGS.out, **dict(zip(KEYS, cell)), **found)
            covered = {k: round(v, 2) for k, v in found["covered"].items()}
            spent = round(found["cpu_seconds"], 2)
            print(*cell, seeds[0], spent, covered, flush=True)


def missing_seeds(
    lines: Sequence[dict], cell: tuple, wanted: Sequence[int]
) -> list[list[int]]:
    """Those that no line of a cell has, in runs without a break."""
    done = {
        line["first_seed"] + k
        for line in lines
        if tuple(line[key] for key in KEYS) == cell
        for k in range(line["tables"])
    }
    runs: list[list[int]] = []
    for seed in wanted:
        if seed in done:
            continue
        if not runs or runs[-1][-1] != seed - 1:
            runs.append([])
        runs[-1].append(seed)
    return runs


def cells(lines: Sequence[dict]) -> pd.DataFrame:
    """A row for each method, mechanism, design, rows and estimate.

    Lines of one cell are taken together; columns as the docstring of this file
    has them, `within` and `seen` are whether coverage is between `LOW` and
    `HIGH`, and whether it may be, two Monte Carlo errors allowed.
    """
    by = ["method", "mechanism", "design", "rows", "draws", "estimate"]
    each = pd.DataFrame(
        [
            {key: line[key] for key in by[:-1]}
            | {"estimate": name}
            | {"tables": line["tables"] - line["failed"].get(name, 0)}
            | {key: line[key][name] for key in MEANS}
            for line in lines
            for name in line["covered"]
        ],
        columns=[*by, "tables", *MEANS],
    )
    weighed = each[list(MEANS)].mul(each["tables"], axis=0)
    weighed[by], weighed["tables"] = each[by], each["tables"]
    total = weighed.groupby(by, sort=False).sum()
    n = total.pop("tables")
    mean = total.div(n, axis=0)
    spread, moved = (
        (mean[f"{key}^2"] - mean[key] ** 2) * n / (n - 1)
        for key in ("error", "shift")
    )
    # Not of complete rows, nor of a column without gaps, but for rounding.
    several = mean["between"] > 1e-9 * mean["within"]
    m = mean.index.get_level_values("draws").to_numpy()
    gain = mean["between"] * (1 + 1 / m)
    error = lambda p: 2 * np.sqrt(p * (1 - p) / n)
    coverage = mean["covered"]
    return pd.DataFrame(
        {
            "tables": n,
            "coverage": coverage,
            "monte_carlo": error(coverage) / 2,
            "bias": mean["error"] / np.sqrt(spread),
            "shift": mean["shift"] / np.sqrt(spread),
            "width": mean["width"] / mean["complete"],
            "ratio": (mean["within"] + gain) / spread,
            "between": (gain / moved).where(several),
            "within": coverage.between(LOW, HIGH),
            "seen": (coverage >= LOW - error(LOW))
            & (coverage <= HIGH + error(HIGH)),
        }
    )


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """A row for each method and mechanism, over designs, rows and estimates."""
    by = found.groupby(["mechanism", "method"], sort=False)
    table = pd.DataFrame(
        {
            "cells": by.size(),
            "within": by["within"].sum(),
            "seen": by["seen"].sum(),
            "least": by["coverage"].min(),
            "mean": by["coverage"].mean(),
            "most": by["coverage"].max(),
            "shift": found["shift"].abs().groupby(level=[1, 0]).max(),
            "width": by["width"].mean(),
            "ratio": by["ratio"].median(),
            "between": by["between"].median(),
            "tables": by["tables"].min(),
        }
    )
    worst = by["coverage"].idxmin()
    # By name: rows of the table are in another order.
    table["least of"] = worst.map(lambda cell: " ".join(map(str, cell[2:])))
    return table


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_list("designs", list(DESIGNS), "normal, nonlinear, mixed.")
    flags.DEFINE_list("mechanisms", list(MECHANISMS), "How cells are lost.")
    flags.DEFINE_list("rows", ["200", "500", "2000"], "Of a table.")
    methods = ["complete", "cases", "r-norm", "r-pmm", "r-cart"]
    methods += ["gaussian", "chained", "chained:one-fit", "miri"]
    flags.DEFINE_list("methods", methods, "Methods, with settings.")
    flags.DEFINE_integer("draws", 20, "Imputations of each table.")
    flags.DEFINE_integer("tables", 500, "Simulated tables of a cell.")
    flags.DEFINE_integer("part", 50, "Tables of a line.")
    flags.DEFINE_integer("first_seed", 1, "Seed of the first table.")
    flags.DEFINE_bool("table", False, "Print a summary of what is there.")
    flags.DEFINE_bool("cells", False, "Print every cell that is there.")
    flags.DEFINE_string("out", "results/coverage.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
