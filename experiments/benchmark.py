"""All methods on the toy and the UCI tables, through what people type.

    PYTHONPATH=. python experiments/benchmark.py --folder FOLDER

FOLDER holds NAME.csv.gz as `miri_jax.data.uci` says. A cell is a table with a
mask and a method. The table is written as a CSV, the method's command fills it
(`METHODS`), and the filled files are read again and scored on the truth
(`scores`). A finished cell is a line of results/benchmark.jsonl with all
settings that the method had; started again, this goes on with what is not there
yet. A cell that fails is a line with its error, tried again with `--retry`.

Cells are planned in blocks (`BLOCKS`), in order of value; experiments/tables.py
shows which of them have been run. A method that is not in `METHODS` is a word
of `miri-impute` with flags behind colons, as
`miri:set=imputer.num_iterations=5`.
"""

import itertools
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from absl import flags
from scipy.stats import norm

from experiments import fidelity, peers, records
from experiments.coverage import mice_version
from experiments.fidelity import attempt, energy_to
from miri_jax.data import Dataset
from miri_jax.data.dataset import amputated
from miri_jax.data.toy import load_toy
from miri_jax.data.uci import load_uci
from miri_jax.metrics import errors
from miri_jax.metrics.overimputation import Cells, check_cells

FLAGS = flags.FLAGS
SCORED_DRAWS = 5  # over which scores of a single draw are averaged
LEAST_DRAWS = 10  # of which intervals are taken
ENERGY_ROWS = 2000  # at most, as the distance takes their square


class Way(NamedTuple):
    """How a method fills a CSV.

    Attributes:
      words: the method and its flags, see `fidelity.fill`.
      draws: the most that are taken.
    """

    words: str
    draws: int | None = None


# Rivals draw from one fit, as their papers do; a second draw of miri_paper
# would be a second fit; an imputation of diffputer is the mean of its draws;
# mean and regressions have one.
METHODS: dict[str, Way] = {
    "miri": Way("miri"),
    "chained": Way("chained"),
    "gaussian": Way("gaussian"),
    "miri_paper": Way("miri_paper", 1),
    "missdiff": Way("missdiff:one-fit"),
    "tabcsdi": Way("tabcsdi:one-fit"),
    "gain": Way("gain:one-fit"),
    "knewimp": Way("knewimp:one-fit"),
    "diffputer": Way("diffputer", 1),
    "mean": Way("mean", 1),
    "r-pmm": Way("r-pmm"),
    "r-cart": Way("r-cart"),
    "missforest": Way("sk-missforest", 1),
    "iterative": Way("sk-iterative", 1),
    "mice": Way("sk-mice"),
    "hyperimpute": Way("py-hyperimpute", 1),
}
ONE_FIT = ("miri:one-fit",)
SMALL = ("wine", "energy", "housing", "stock", "solar", "forest")
LARGE = ("parkinsons", "pumadyn32nm", "bike", "gas")
SIMULATED = ("gaussian20", "uniform20", "mixed20")


class Block(NamedTuple):
    """Planned cells: the product of tables, masks and methods."""

    what: str
    names: tuple[str, ...]
    mechanism: str
    rate: float
    mask_seeds: tuple[int, ...]
    draws: int = LEAST_DRAWS
    methods: tuple[str, ...] = tuple(METHODS)


# The sensitivity study: one setting changed at a time.
CHANGED = tuple(
    f"{method}:set=imputer.{change}" if change else method
    for method, changes in {
        "gaussian": ("",),
        "miri": (
            "",
            "num_iterations=5",
            "num_iterations=40",
            "ode_steps=5",
            "learning_rate=0.001",
            "batch_size=128",
        ),
        "miri_paper": (
            "",
            "num_iterations=5",
            "num_iterations=20",
            "ode_steps=50",
            "learning_rate=0.001",
            "num_steps=500",
        ),
    }.items()
    for change in changes
)
BLOCKS = (
    Block("Table 3", ("toy",), "mcar", 0.3, tuple(range(1, 11)), 1),
    Block("Fig. 2, small", SMALL, "mcar", 0.6, (1, 2, 3)),
    Block("slides, small", SMALL, "mar", 0.4, (1, 2, 3)),
    Block("Fig. 4, small", SMALL, "mcar", 0.2, (1, 2, 3)),
    Block("Fig. 4, small", SMALL, "mcar", 0.4, (1, 2, 3)),
    Block("MNAR, small", SMALL, "mnar", 0.3, (1, 2, 3)),
    Block("slides, small", SMALL, "mar", 0.8, (1, 2, 3)),
    # miri as the rivals draw: these draws may not be pooled.
    *(
        Block("of one fit", SMALL, *missing, (1, 2, 3), methods=ONE_FIT)
        for missing in (
            ("mcar", 0.6),
            ("mar", 0.4),
            ("mcar", 0.2),
            ("mcar", 0.4),
            ("mnar", 0.3),
            ("mar", 0.8),
        )
    ),
    Block("MissDiff's Table 1", ("wine",), "mcar_row", 0.2, (1, 2, 3, 4, 5)),
    Block("sensitivity", SIMULATED, "mcar", 0.2, (1,), 5, CHANGED),
    Block("Fig. 2, large", LARGE, "mcar", 0.6, (1,)),
    Block("Fig. 4, large", LARGE, "mcar", 0.4, (1,)),
    Block("Fig. 4, large", LARGE, "mcar", 0.2, (1,)),
    Block("slides, large", LARGE, "mar", 0.4, (1,)),
    Block("slides, large", LARGE, "mar", 0.8, (1,)),
    Block("MNAR, large", LARGE, "mnar", 0.3, (1,)),
)


class Cell(NamedTuple):
    """One line of results."""

    dataset: str
    mechanism: str
    rate: float
    mask_seed: int
    method: str
    draws: int


def way_of(method: str) -> Way:
    """How a method fills; see the docstring of this file."""
    base = METHODS.get(method.partition(":")[0])
    return METHODS.get(method) or Way(method, base.draws if base else None)


def cells(blocks: Iterable[Block]) -> Iterator[Cell]:
    """Cells in the order they are run: mask by mask, table by table."""
    for block in blocks:
        for seed, name, method in itertools.product(
            block.mask_seeds, block.names, block.methods
        ):
            draws = min(block.draws, way_of(method).draws or block.draws)
            yield Cell(name, block.mechanism, block.rate, seed, method, draws)


def settings(cell: Cell) -> dict[str, Any]:
    """All settings of a cell's method, its defaults among them."""
    words = way_of(cell.method).words
    return fidelity.settings(words, cell.draws, cell.mask_seed)


def load(cell: Cell, folder: str) -> Dataset:
    """A cell's table with its mask."""
    mask = {
        "mechanism": cell.mechanism,
        "rate": cell.rate,
        "mask_seed": cell.mask_seed,
    }
    if cell.dataset == "toy":
        return load_toy(**mask)
    if cell.dataset in SIMULATED:
        return simulated(**mask, name=cell.dataset)
    return load_uci(name=cell.dataset, folder=folder, **mask)


def simulated(
    name: str, mechanism: str, rate: float, mask_seed: int
) -> Dataset:
    """1000 rows of 20 columns, as in MIRI's sensitivity study (appendix E).

    The paper does not say how its columns depend on each other: here they are
    normal with correlation 0.7^|i - j|, their normal distribution function in
    "uniform20", and that in every other column in "mixed20".
    """
    place = np.arange(20)
    covariance = 0.7 ** np.abs(place[:, None] - place)
    rng = np.random.default_rng(mask_seed)
    x = rng.multivariate_normal(np.zeros(20), covariance, 1000)
    uniform = {"gaussian20": [], "uniform20": place, "mixed20": place[1::2]}
    x[:, uniform[name]] = norm.cdf(x[:, uniform[name]])
    names = tuple(f"x{j + 1}" for j in place)
    key = jax.random.key(mask_seed)
    return amputated(
        key,
        x,
        names,
        mechanism=mechanism,
        rate=rate,
        allow_empty_rows=False,
    )


def measure(cell: Cell, dataset: Dataset, timeout: float) -> dict:
    """One cell: a method on a table with its mask."""
    filled, seconds = imputations(cell, dataset, timeout)
    of_mice = cell.method.startswith("r-")
    return ({"mice": mice_version()} if of_mice else {}) | {
        "realised_rate": float(np.mean(~dataset.m)),
        **scores(dataset, filled),
        "seconds": round(seconds, 2),
    }


def imputations(
    cell: Cell, dataset: Dataset, timeout: float = 3600
) -> tuple[np.ndarray, float]:
    """Filled tables `[k, n, d]`, and the seconds of the command.

    Raises:
      subprocess.SubprocessError: if the command fails or takes too long.
      PeerError: where its output is no imputation.
    """
    names = [f"column {j + 1}" for j in range(dataset.truth.shape[1])]
    gaps = np.where(dataset.m, dataset.truth, np.nan)
    words = way_of(cell.method).words
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "in.csv"
        pd.DataFrame(gaps, columns=names).to_csv(path, index=False)
        tables, seconds = fidelity.fill(
            words, path, cell.draws, cell.mask_seed, timeout
        )
    filled = np.stack([table.to_numpy(float) for table in tables])
    for one in filled:
        peers.check_filled(cell.method, gaps, one, constant=words == "mean")
    return filled, seconds


def scores(dataset: Dataset, filled: np.ndarray) -> dict[str, float]:
    """How near filled tables `[k, n, d]` are to the truth.

    `mmd`, `rmse_draw`, `rmse_all`, `mae_all` and `energy` (n/2 (2 XY - XX - YY)
    on standardised columns) are means over the first five, each by itself;
    `rmse_mean`, `mae_mean` and `rmse_minmax` (columns scaled to [0, 1] by the
    complete data) of the mean of all; `coverage_90` is the share of missing
    values within the central interval of 90 % of ten draws or more.
    """
    truth, m = dataset.truth, dataset.m
    some = [dataset.compare(one) for one in filled[:SCORED_DRAWS]]
    over = lambda key: float(np.mean([one[key] for one in some]))
    mean = filled.mean(axis=0)
    of_mean = errors(truth, mean, m)
    rows = np.random.default_rng(0).permutation(len(truth))[:ENERGY_ROWS]
    distance = energy_to(pd.DataFrame(truth[rows]))
    found = {
        "mmd": over("mmd"),
        "rmse_draw": over("rmse"),
        "rmse_all": over("rmse_all"),
        "mae_all": over("mae_all"),
        "rmse_mean": of_mean["rmse"],
        "mae_mean": of_mean["mae"],
        "rmse_minmax": rmse_minmax(truth, mean, m),
        "energy": float(
            np.mean(
                [
                    distance(pd.DataFrame(one[rows]))
                    for one in filled[:SCORED_DRAWS]
                ]
            )
        ),
    }
    if len(filled) >= LEAST_DRAWS:
        gone = ~m
        cells = Cells(
            truth[gone], filled[:, gone], np.ones(gone.sum()), truth[m]
        )
        found["coverage_90"] = check_cells(cells, 0).coverage_90
    return found


def rmse_minmax(truth: np.ndarray, x: np.ndarray, m: np.ndarray) -> float:
    """RMSE over missing entries, columns scaled to [0, 1] by the truth."""
    span = np.ptp(truth, axis=0)
    error = np.where(m, 0, x - truth) / np.where(span > 0, span, 1)
    return float(np.sqrt(np.sum(error**2) / max(np.sum(~m), 1)))


def unfinished(
    wanted: Iterable[Cell], rows: Sequence[dict], retry: bool
) -> list[Cell]:
    """Cells that no line has with the settings that they have today.

    Args:
      wanted: the cells.
      rows: lines of the results file; the last one of a cell counts.
      retry: whether a failed cell is to be run again.
    """
    found = {tuple(row[key] for key in Cell._fields): row for row in rows}
    left = []
    for cell in dict.fromkeys(wanted):
        row = found.get(tuple(cell))
        if row is None or row["settings"] != settings(cell):
            left.append(cell)
        elif "error" in row and retry:
            left.append(cell)
    return left


def main(argv: list[str]) -> None:
    """Runs the cells that are not yet in the file."""
    del argv
    chosen = [
        block._replace(
            names=_among(block.names, FLAGS.names),
            mask_seeds=_among(block.mask_seeds, FLAGS.mask_seeds),
            methods=_among(block.methods, FLAGS.methods),
        )
        for block in BLOCKS
        if not FLAGS.mechanisms or block.mechanism in FLAGS.mechanisms
        if not FLAGS.rates or str(block.rate) in FLAGS.rates
    ]
    rows = records.read(FLAGS.out)
    left = unfinished(cells(chosen), rows, FLAGS.retry)
    print(len(left), "cells to run", flush=True)
    for cell in left:
        dataset = load(cell, FLAGS.folder)
        found = attempt(lambda: measure(cell, dataset, FLAGS.timeout))
        records.append(
            FLAGS.out, **cell._asdict(), settings=settings(cell), **found
        )
        shown = {
            key: round(found[key], 4)
            for key in ("mmd", "rmse_mean", "seconds")
            if key in found
        }
        print(*cell, shown or found, flush=True)


def _among(planned: tuple, given: Sequence[str] | None) -> tuple:
    """What is planned and was not left out by a flag."""
    return tuple(one for one in planned if not given or str(one) in given)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
    flags.DEFINE_list("names", None, "Only these tables.")
    flags.DEFINE_list("mechanisms", None, "Only these.")
    flags.DEFINE_list("rates", None, "Only these shares of gaps.")
    flags.DEFINE_list("mask_seeds", None, "Only these masks.")
    flags.DEFINE_list("methods", None, "Only these methods.")
    flags.DEFINE_float("timeout", 3600, "Seconds of a command.")
    flags.DEFINE_bool("retry", False, "Run failed cells again.")
    flags.DEFINE_string("out", "results/benchmark.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
