"""How faithful are filled tables, as people get them? Beside R's mice.

    PYTHONPATH=. python experiments/fidelity.py --folder FOLDER

FOLDER holds NAME.csv.gz, tables with a header (adult, bean, beijing,
california, default, letter, magic, shoppers of the UCI repository and StatLib).
Of each, `--rows` complete rows are drawn and gaps are made (`holes`); every
method fills the CSV `--draws` times through the command that people type,
`miri-impute` (`miri:one-fit` with a flag) or R's mice (`r-cart`: method cart,
`r-default`, ...; of Debian's packages r-base-core, r-cran-mice, r-cran-rpart
and r-cran-ranger); `hot` fills with observed cells of the same column, drawn at
random. A finished cell is a line of results/fidelity.jsonl with seconds of the
whole process; started again, it goes on with what is not there yet. `--show`
prints means over seeds, and how they compare with `r-cart` (`ratios`).

What is measured, smaller is better (`scores`):

    margin  distance of filled to true cells, column by column: Kolmogorov and
            Smirnov's of numbers, total variation of levels; `floor` is that of
            a bootstrap sample of the true cells, `hot` that of observed cells
            drawn at random
    c2st    AUC of a boosted classifier that tells rows with filled cells from
            the same rows as they truly are, folds by row; 0.5 is right
    crps    fair CRPS of numbers, fair Brier score of levels, of the draws over
            that of a hot deck
    energy  energy distance of filled rows to other true rows, n/2 (2 XY - XX -
            YY) on standardised numbers, over that of the true rows
"""

import inspect
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from absl import flags
from scipy.spatial.distance import cdist
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from experiments import peers, records
from miri_jax.imputers import IMPUTERS, settings_of
from miri_jax.metrics import proper
from miri_jax.metrics.proper import ks_distance

FLAGS = flags.FLAGS
NAMES = (
    "adult",
    "bean",
    "beijing",
    "california",
    "default",
    "letter",
    "magic",
    "shoppers",
)
R_SCRIPT = pathlib.Path(__file__).with_name("mice.R")
R_ITERATIONS = 5  # of mice, its default
MIN_GAPS = 5  # in a column that is scored
HOT_DECKS = 20
KEYS = ("name", "mechanism", "rate", "rows", "seed", "method", "draws")
CSV_WORKER = pathlib.Path(__file__).with_name("csv_worker.py")
# The variables that name the python of a package's environment.
PYTHONS = {
    "miceforest": "MICEFOREST_PYTHON",
    "hyperimpute": "HYPERIMPUTE_PYTHON",
    "missforest": "HYPERIMPUTE_PYTHON",
}
CART = "r-cart"  # what the others are compared with


def holes(
    frame: pd.DataFrame, seed: int, mechanism: str, rate: float
) -> pd.DataFrame:
    """A complete table `[n, c]` with gaps.

    "mcar": each cell with probability `rate`. "mar": 30 % of the columns stay
    complete and drive the others; the gaps of a column, a share `rate`, follow
    a logistic of random weights on the drivers' ranks (of levels: the rank of
    their frequency), slope 1.5 on the standardised score.
    """
    n, c = frame.shape
    rng = np.random.default_rng(1000 + seed)
    if mechanism == "mcar":
        return frame.astype(object).mask(rng.random((n, c)) < rate)
    ranks = np.column_stack(
        [_standardised_ranks(frame[name]) for name in frame]
    )
    drivers = rng.permutation(c)[: max(1, round(0.3 * c))]
    gone = np.zeros((n, c), bool)
    for j in set(range(c)) - set(drivers):
        score = ranks[:, drivers] @ rng.standard_normal(len(drivers))
        score = 1.5 * (score - score.mean()) / (score.std() or 1)
        order = np.argsort(-(score + rng.logistic(size=n)))
        gone[order[: round(rate * n)], j] = True
    return frame.astype(object).mask(gone)


def _standardised_ranks(series: pd.Series) -> np.ndarray:
    values = series if is_number(series) else series.map(series.value_counts())
    ranks = values.rank().to_numpy()
    return (ranks - ranks.mean()) / (ranks.std() or 1)


def is_number(series: pd.Series) -> bool:
    """Whether a column is scored as numbers."""
    return pd.api.types.is_numeric_dtype(
        series
    ) and not pd.api.types.is_bool_dtype(series)


def fair_crps(draws: np.ndarray, truth: np.ndarray) -> float:
    """Mean fair CRPS of draws `[m, k]`, m > 1, of `[k]`."""
    return float(np.mean(proper.fair_crps(draws, truth)))


def fair_brier(draws: np.ndarray, truth: np.ndarray) -> float:
    """Mean fair Brier score of drawn levels `[m, k]`, m > 1, of `[k]`."""
    return float(np.mean(proper.fair_brier(draws, truth)))


def tv_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Total variation distance of two samples of levels."""
    shares = [pd.Series(x).value_counts(normalize=True) for x in (a, b)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def scores(
    truth: pd.DataFrame,
    gaps: pd.DataFrame,
    filled: Sequence[pd.DataFrame],
    others: pd.DataFrame,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """What the docstring of this file says, and of each column its part.

    Args:
      truth: `[n, c]`, complete.
      gaps: `[n, c]`, with gaps.
      filled: m tables `[n, c]`.
      others: complete rows that are not in `truth`.
      seed: of what is drawn at random.
    """
    rng = np.random.default_rng(seed)
    missing = gaps.isna()
    columns = {
        name: _column_scores(
            truth[name],
            missing[name].to_numpy(),
            [f[name] for f in filled],
            rng,
        )
        for name in truth
        if missing[name].sum() >= MIN_GAPS
    }
    found = {
        what: float(np.mean([column[what] for column in columns.values()]))
        for what in ("margin", "floor", "hot", "crps")
    }
    rows = missing.any(axis=1).to_numpy()
    found["c2st"] = float(
        np.mean([two_sample_auc(truth[rows], f[rows]) for f in filled[:2]])
    )
    numbers = [name for name in truth if is_number(truth[name])]
    distance = energy_to(others[numbers])
    found["energy"] = float(
        np.mean([distance(f[rows][numbers]) for f in filled])
        / distance(truth[rows][numbers])
    )
    return found, columns


def _column_scores(
    truth: pd.Series,
    gaps: np.ndarray,
    filled: Sequence[pd.Series],
    rng: np.random.Generator,
) -> dict[str, float]:
    kind = float if is_number(truth) else str
    distance, proper = (
        (ks_distance, fair_crps) if kind is float else (tv_distance, fair_brier)
    )
    true = truth[gaps].to_numpy().astype(kind)
    seen = truth[~gaps].to_numpy().astype(kind)
    draws = np.stack([f[gaps].to_numpy().astype(kind) for f in filled])
    hot = rng.choice(seen, (HOT_DECKS, len(true)))
    boots = rng.choice(true, (HOT_DECKS, len(true)))
    mean = lambda sample: float(np.mean([distance(d, true) for d in sample]))
    return {
        "margin": mean(draws),
        "floor": mean(boots),
        "hot": mean(hot),
        "crps": proper(draws, true) / max(proper(hot, true), 1e-12),
    }


def two_sample_auc(truth: pd.DataFrame, filled: pd.DataFrame) -> float:
    """How well a classifier tells filled rows from the same rows, 0.5 best."""
    both = pd.concat([truth, filled], ignore_index=True)
    for name in both:
        if is_number(truth[name]):
            both[name] = both[name].astype(float)
        else:
            codes = both[name].astype(str).astype("category").cat.codes
            both[name] = codes.astype(float)
    label = np.repeat([0, 1], len(truth))
    row = np.tile(np.arange(len(truth)), 2)
    told = np.zeros(len(both))
    # The same trees from any number of threads, which on busy cores wait for
    # each other: 200 seconds with two, 1.3 with one.
    with threadpool_limits(1):
        for learn, ask in GroupKFold(3).split(both, label, row):
            model = HistGradientBoostingClassifier(
                max_iter=150, learning_rate=0.08, random_state=0
            )
            model.fit(both.iloc[learn], label[learn])
            told[ask] = model.predict_proba(both.iloc[ask])[:, 1]
    return float(roc_auc_score(label, told))


def energy_to(b: pd.DataFrame) -> Callable[[pd.DataFrame], float]:
    """Energy distance of samples of rows to `b`, n/2 (2 XY - XX - YY).

    Columns are standardised by `b`, n is the number of its rows.
    """
    mean, scale = b.mean(), b.std().replace(0, 1)
    scaled = lambda part: ((part - mean) / scale).to_numpy(float)
    y = scaled(b)
    within = cdist(y, y).mean()

    def distance(a: pd.DataFrame) -> float:
        x = scaled(a)
        between = 2 * cdist(x, y).mean() - cdist(x, x).mean() - within
        return float(len(y) / 2 * between)

    return distance


def sample(
    folder: str, name: str, rows: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Complete rows to fill, and as many others to compare with."""
    path = pathlib.Path(folder).expanduser() / f"{name}.csv.gz"
    frame = pd.read_csv(path).dropna()
    order = np.random.default_rng(seed).permutation(len(frame))
    parts = order[:rows], order[rows : 2 * rows]
    return tuple(frame.iloc[part].reset_index(drop=True) for part in parts)


def fill(
    method: str, path: pathlib.Path, draws: int, seed: int, timeout: float
) -> tuple[list[pd.DataFrame], float]:
    """Fills a CSV through the command that people type.

    Args:
      method: of miri-impute, with flags behind colons, "r-" and one of
        mice's, "py-" and a package of csv_worker.py, "sk-" and one of
        `peers.ESTIMATORS`, which takes numbers, or "hot" (`hot_deck`).
      path: of the CSV; files are written beside it.
      draws: how many tables to fill.
      seed: of the method.
      timeout: seconds.

    Returns:
      The filled tables, and seconds of the whole process.

    Raises:
      subprocess.SubprocessError: if the command fails or takes too long.
    """
    began = time.perf_counter()
    if method == "hot" or method.startswith("sk-"):
        gaps = pd.read_csv(path)
        if method == "hot":
            filled = hot_deck(gaps, draws, seed)
        else:
            filled = peers.fill(method[3:], gaps, draws, seed)
        return filled, time.perf_counter() - began
    out = path.with_name("out")
    names = [f"{out}_{k + 1}.csv" for k in range(draws)]
    if method.startswith("r-"):
        words = ["Rscript", str(R_SCRIPT), str(path), str(out)]
        words += [method.removeprefix("r-"), str(draws)]
        words += [str(R_ITERATIONS), str(seed)]
    elif method.startswith("py-"):
        package = method.removeprefix("py-")
        python = os.environ.get(PYTHONS.get(package, ""))
        if python is None:
            raise ValueError(f"{method}: see experiments/csv_worker.py")
        words = [python, str(CSV_WORKER), package, str(path), str(out)]
        words += [str(draws), str(seed)]
    else:
        name, *more = method.split(":")
        words = [sys.executable, "-m", "miri_jax.app.impute", str(path)]
        words += [f"{out}.csv", "--method", name]
        words += ["--draws", str(draws), "--seed", str(seed)]
        words += [f"--{word}" for word in more]
        names = names if draws > 1 else [f"{out}.csv"]
    subprocess.run(
        words,
        check=True,
        timeout=timeout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    seconds = time.perf_counter() - began
    return [pd.read_csv(name) for name in names], seconds


def settings(method: str, draws: int, seed: int) -> dict[str, Any]:
    """All settings of what `fill` is given, a method's defaults among them."""
    name, *given = method.split(":")
    found: dict[str, Any] = {"seed": seed, "draws": draws}
    door, _, of_door = name.partition("-")
    if door == "r":
        return found | {
            "door": "mice.R",
            "method": of_door,
            "maxit": R_ITERATIONS,
        }
    if door == "sk":
        return found | {"door": "scikit-learn"} | peers.method_settings(of_door)
    if door == "py":
        return found | {"door": "csv_worker.py", "package": of_door}
    if name == "hot":
        return found
    prefix = "set=imputer."
    words = (w.removeprefix(prefix) for w in given if w.startswith(prefix))
    pairs = (word.split("=") for word in words)
    changed = {key: json.loads(value) for key, value in pairs}
    return found | {
        "door": "miri-impute",
        "flags": given,
        "imputer": defaults(name) | changed,
    }


def defaults(method: str) -> dict[str, Any]:
    """All settings of a method of the registry, as JSON has them."""
    takes, known = inspect.signature(IMPUTERS[method]), settings_of(method)
    found = {
        name: one.default
        for name, one in takes.parameters.items()
        if name in known
    }
    return json.loads(json.dumps(found, default=repr))


def hot_deck(gaps: pd.DataFrame, draws: int, seed: int) -> list[pd.DataFrame]:
    """Tables whose gaps hold observed cells of the column, at random."""
    rng, filled = np.random.default_rng(seed), []
    for _ in range(draws):
        table = gaps.copy()
        for name in table:
            gone = table[name].isna()
            table.loc[gone, name] = rng.choice(table[name][~gone], gone.sum())
        filled.append(table)
    return filled


def measure(name: str, mechanism: str, seed: int, method: str) -> dict:
    """One cell: a table, a mechanism, a seed and a method."""
    truth, others = sample(FLAGS.folder, name, FLAGS.rows, seed)
    gaps = holes(truth, seed, mechanism, FLAGS.rate)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "in.csv"
        gaps.to_csv(path, index=False)
        # As both commands see it: types as a reader finds them.
        gaps = pd.read_csv(path)
        filled, seconds = fill(method, path, FLAGS.draws, seed, FLAGS.timeout)
    found, columns = scores(truth, gaps, filled, others)
    left = int(sum(f.isna().to_numpy().sum() for f in filled))
    return {**found, "seconds": seconds, "gaps_left": left, "columns": columns}


def attempt(what: Callable[[], dict]) -> dict:
    """What a measurement finds, or the last line of why it could not."""
    try:
        return what()
    except (subprocess.SubprocessError, ValueError) as error:
        lines = (getattr(error, "stderr", None) or b"").decode()
        why = (lines.strip().splitlines() or [str(error)])[-1]
        return {"error": why[-300:]}


def main(argv: list[str]) -> None:
    """Measures the cells that are not yet in the file."""
    del argv
    rows = records.read(FLAGS.out)
    if FLAGS.show:
        show(rows)
        return
    done = {tuple(row[key] for key in KEYS) for row in rows}
    cells = itertools.product(
        map(int, FLAGS.seeds), FLAGS.names, FLAGS.mechanisms, FLAGS.methods
    )
    for seed, name, mechanism, method in cells:
        cell = (name, mechanism, FLAGS.rate, FLAGS.rows, seed)
        cell += (method, FLAGS.draws)
        if cell in done:
            continue
        found = attempt(lambda: measure(name, mechanism, seed, method))
        records.append(
            FLAGS.out,
            **dict(zip(KEYS, cell)),
            settings=settings(method, FLAGS.draws, seed),
            **found,
        )
        shown = {
            k: round(v, 3) for k, v in found.items() if isinstance(v, float)
        }
        print(name, mechanism, seed, method, shown or found, flush=True)


def show(rows: Sequence[dict]) -> None:
    """Prints means over seeds, and what they are of those of cart."""
    found = [row for row in rows if "error" not in row]
    what = ["margin", "floor", "c2st", "crps", "energy", "seconds"]
    by = ["mechanism", "name", "method"]
    print(pd.DataFrame(found).groupby(by)[what].mean().round(3).to_string())
    for row in rows:
        if "error" in row:
            print(json.dumps({k: row[k] for k in (*by, "seed", "error")}))
    for (measured, mechanism), table in ratios(found).items():
        print(f"\n{mechanism}: {measured}, that of {CART} is 1")
        print(table.round(2).to_string(na_rep=""))


def ratios(rows: Sequence[dict]) -> dict[tuple[str, str], pd.DataFrame]:
    """What methods' scores are of those of cart, smaller is better.

    These are the excess of the margin over its floor, that of the classifier's
    AUC over 0.5, and CRPS; of each the mean over the seeds that a method shares
    with cart, over cart's mean of the same seeds. There is none where cart is
    not worse than right.

    Returns:
      Of each score and mechanism a table: a row is one of the tables, and a
      last one their median; a column is a method.
    """
    frame = pd.DataFrame(rows)
    excess = {
        "margin - floor": frame["margin"] - frame["floor"],
        "c2st - 0.5": frame["c2st"] - 0.5,
        "crps": frame["crps"],
    }
    found = {}
    by = [key for key in KEYS if key != "method"]
    for label, values in excess.items():
        wide = frame.assign(value=values).pivot_table(
            "value", index=by, columns="method"
        )
        wide = wide[wide[CART].notna()] if CART in wide else wide[:0]
        for mechanism, part in wide.groupby("mechanism"):
            group = part.index.get_level_values("name")
            cart = part.notna().mul(part[CART], axis=0).where(part.notna())
            whole = cart.groupby(group).mean()
            table = part.groupby(group).mean() / whole.where(whole > 0)
            table = table.drop(columns=CART).dropna(how="all", axis=1)
            table.loc["median"] = table.median()
            found[label, mechanism] = table
    return found


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("folder", "~/real_tables", "Holds NAME.csv.gz.")
    flags.DEFINE_list("names", list(NAMES), "Tables.")
    flags.DEFINE_list("mechanisms", ["mar"], "mar, mcar.")
    flags.DEFINE_float("rate", 0.25, "Share of gaps in a column with gaps.")
    flags.DEFINE_integer("rows", 2000, "Rows to fill.")
    flags.DEFINE_list("seeds", ["1"], "Of rows, gaps and fits.")
    flags.DEFINE_list("methods", ["miri", "gaussian", "r-cart"], "Methods.")
    flags.DEFINE_integer("draws", 5, "Filled tables.")
    flags.DEFINE_float("timeout", 900, "Seconds for a command.")
    flags.DEFINE_bool("show", False, "Print what is in the file.")
    flags.DEFINE_string("out", "results/fidelity.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
