"""The protocol of the DiffPuter paper, tables of numbers and of mixed types.

    PYTHONPATH=. python experiments/mixed.py --folder FOLDER

FOLDER holds NAME.csv.gz, tables with a header: of the paper's ten adult (its
first 20000 rows), bean, beijing, california, default, letter, magic and
shoppers; News and Gesture are not among them. Columns with levels are named in
mixed_tables.json beside this file; of a table that it does not name, the
columns of numbers are taken. Of the complete rows `--rows` are drawn, 70 % of
them are fitted, and cells are hidden in all, by `masks.amputate` on the ranks
of numbers and of levels. What is filled in the fitted rows is `in_sample`, in
the others, without another fit, `out_of_sample`. RMSE and MAE are of numerical
cells, in deviations of the complete column, `rmse_minmax` in its range;
accuracy of categorical cells. With `--names adult --mechanisms mcar_row --rate
0.2` it is the column Census of MissDiff's Table 1.

Methods of the registry run through `miri_jax.MIRIImputer`, all by their
defaults: the mean of `--draws` draws, the most frequent level; diffputer, whose
imputation is itself a mean of ten draws, has one. `mode` is the mean and the
most frequent level. Peers of scikit-learn see standardised numbers and
indicators of levels, of which the largest wins. A method may have settings
behind colons, as `diffputer:num_samples=5`. A finished cell is a line of
results/mixed.jsonl; started again, this goes on with what is not there yet.
`--curves` runs the paper's Figures 3 to 6 instead (`CURVES`, `RATES`), on one
mask of the tables of `--names`.
"""

import itertools
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
import pandas as pd
from absl import flags

from experiments import peers, records
from experiments.fidelity import attempt, defaults
from miri_jax.core.masks import amputate
from miri_jax.estimator import MIRIImputer
from miri_jax.imputers import IMPUTERS

FLAGS = flags.FLAGS
Fill = Callable[[pd.DataFrame], pd.DataFrame]
KEYS = ("dataset", "mechanism", "rate", "rows", "mask_seed", "method", "draws")
TABLES = ["california", "magic", "bean", "letter"]
TABLES += ["adult", "default", "shoppers", "beijing"]
METHODS = ["mode", "iterative", "missforest", "gaussian", "chained"]
METHODS += ["miri", "diffputer"]
MECHANISMS = ["mcar", "mar", "mnar"]
ROWS = 2000  # where the paper has all
# Figures 3 to 5 of the paper: settings of diffputer, one changed at a time.
CURVES = {
    "num_iterations": (1, 2, 3, 5, 8),
    "num_samples": (1, 2, 5, 10, 20),
    "sampling_steps": (5, 10, 20, 50),
}
RATES = (0.3, 0.5, 0.7, 0.9, 0.99)  # Figure 6
OF_RATES = ("mode", "diffputer", "chained")


def load(
    folder: str, name: str, rows: int, seed: int
) -> tuple[pd.DataFrame, list[str]]:
    """Complete rows in random order, and the categorical columns."""
    schema = pathlib.Path(__file__).with_name("mixed_tables.json")
    schema = json.loads(schema.read_text("utf-8")).get(name)
    path = pathlib.Path(folder).expanduser() / f"{name}.csv.gz"
    frame = pd.read_csv(path).dropna()
    if schema is None:
        schema = {"numerical": [*frame.select_dtypes("number")]}
    levels = schema.get("categorical", [])
    frame = frame[schema["numerical"] + levels].astype(
        dict.fromkeys(levels, str)
    )
    return frame.sample(min(rows, len(frame)), random_state=seed), levels


def hide(
    truth: pd.DataFrame, mechanism: str, rate: float, seed: int
) -> np.ndarray:
    """`[n, c]` bool, True where a cell is hidden."""
    ranks = np.column_stack([truth[name].rank() for name in truth])
    ranks = (ranks - ranks.mean(axis=0)) / ranks.std(axis=0).clip(1e-9)
    key = jax.random.key(seed)
    return ~np.asarray(amputate(key, ranks, mechanism=mechanism, rate=rate).m)


def registered(
    method: str, seed: int, draws: int, categorical: Sequence[str]
) -> Callable[[pd.DataFrame], Fill]:
    """A method of the registry: fitted once, fills any rows."""
    name, changed = parted(method)

    def fit(frame: pd.DataFrame) -> Fill:
        imputer = MIRIImputer(
            name,
            settings=changed,
            n_imputations=draws,
            statistic="mean",
            kinds=dict.fromkeys(categorical, "categorical"),
            random_state=seed,
            unseen="missing",
        )
        return imputer.fit(frame).transform

    return fit


def parted(method: str) -> tuple[str, dict[str, int]]:
    """A method's name, and the settings that it is given behind colons."""
    name, *given = method.split(":")
    pairs = (each.split("=") for each in given)
    return name, {setting: int(value) for setting, value in pairs}


def mode(frame: pd.DataFrame) -> Fill:
    """The mean of numbers, the most frequent of levels."""
    fills = {
        name: frame[name].mean()
        if pd.api.types.is_numeric_dtype(frame[name])
        else frame[name].mode()[0]
        for name in frame
    }
    return lambda rows: rows.fillna(fills)


def scikit(name: str, seed: int, categorical: list[str]) -> Callable:
    """A peer of scikit-learn on standardised numbers and indicators of levels.

    The first level of each column has none: all of them together would predict
    each other perfectly, and stay where they started.
    """

    def fit(frame: pd.DataFrame) -> Fill:
        numbers = [k for k in frame if k not in categorical]
        center, scale = frame[numbers].mean(), frame[numbers].std(ddof=0)
        levels = {k: np.sort(frame[k].dropna().unique()) for k in categorical}

        def encode(rows: pd.DataFrame) -> np.ndarray:
            blocks = [((rows[numbers] - center) / scale).to_numpy(float)]
            for k, known in levels.items():
                cells = rows[k].to_numpy(object)[:, None]
                seen = np.isin(cells, known)
                blocks.append(np.where(seen, cells == known[1:], np.nan))
            return np.hstack(blocks).astype(float)

        estimator = peers.ESTIMATORS[name](seed)
        estimator.set_params(keep_empty_features=True)
        estimator.fit(encode(frame))

        def fill(rows: pd.DataFrame) -> pd.DataFrame:
            x = estimator.transform(encode(rows))
            found = pd.DataFrame(x[:, : len(numbers)], rows.index, numbers)
            out, start = rows.fillna(found * scale + center), len(numbers)
            for k, known in levels.items():
                block = x[:, start : start + len(known) - 1]
                first = 1 - block.sum(axis=1, keepdims=True)
                best = known[np.hstack([first, block]).argmax(axis=1)]
                out[k] = rows[k].where(rows[k].notna(), best)
                start += len(known) - 1
            return out

        return fill

    return fit


def score(
    truth: pd.DataFrame,
    filled: pd.DataFrame,
    hidden: np.ndarray,
    categorical: Sequence[str],
    scale: pd.Series,
    span: pd.Series,
) -> dict[str, float]:
    """RMSE and MAE of numbers, accuracy of levels, over hidden cells.

    Args:
      truth: the complete rows.
      filled: the same, filled.
      hidden: `[n, c]`, True where a cell was.
      categorical: columns of levels.
      scale: deviation of each numerical column.
      span: its range, which `rmse_minmax` is in.
    """
    errors, right, parts = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]
    for j, name in enumerate(truth):
        here = hidden[:, j]
        true, found = truth[name][here], filled[name][here]
        if name in categorical:
            right.append(true.to_numpy(object) == found.to_numpy(object))
        else:
            difference = found.to_numpy(float) - true.to_numpy(float)
            errors.append(difference / scale[name])
            parts.append(difference / span[name])
    error, right = np.concatenate(errors), np.concatenate(right)
    found = {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "rmse_minmax": float(np.sqrt(np.mean(np.concatenate(parts) ** 2))),
    }
    if right.size:
        found["accuracy"] = float(np.mean(right))
    return found


def measure(
    name: str, mechanism: str, rate: float, rows: int, seed: int, method: str
) -> dict:
    """Scores of both parts of one table that a method fills."""
    truth, levels = load(FLAGS.folder, name, rows, seed)
    hidden = hide(truth, mechanism, rate, seed)
    gaps = truth.mask(hidden)
    scale = truth.std(ddof=0, numeric_only=True)
    span = truth[scale.index].max() - truth[scale.index].min()
    cut = int(0.7 * len(truth))
    if method == "mode":
        fit = mode
    elif parted(method)[0] in IMPUTERS:
        fit = registered(method, seed, draws_of(method), levels)
    else:
        fit = scikit(method, seed, levels)
    start = time.perf_counter()
    fill = fit(gaps[:cut])
    found = {"seconds_fit": round(time.perf_counter() - start, 1)}
    parts = {"in_sample": slice(cut), "out_of_sample": slice(cut, None)}
    for part, some in parts.items():
        start = time.perf_counter()
        filled = fill(gaps[some])
        found[f"seconds_{part}"] = round(time.perf_counter() - start, 1)
        found[part] = score(
            truth[some], filled, hidden[some], levels, scale, span
        )
    return found | {"realised_rate": float(hidden.mean())}


def draws_of(method: str) -> int:
    """Of how many draws a mean is taken."""
    name = parted(method)[0]
    return FLAGS.draws if name in IMPUTERS and name != "diffputer" else 1


def settings(method: str, draws: int, seed: int) -> dict:
    """All settings of a method, its defaults among them."""
    found = {"seed": seed, "draws": draws, "statistic": "mean", "fitted": 0.7}
    name, changed = parted(method)
    if name in IMPUTERS:
        return found | {
            "door": "MIRIImputer",
            "imputer": defaults(name) | changed,
        }
    if method in peers.ESTIMATORS:
        found |= {"door": "scikit-learn", **peers.method_settings(method)}
    return found


def main(argv: list[str]) -> None:
    """Runs what is not in the file yet."""
    del argv
    done = {tuple(row[k] for k in KEYS) for row in records.read(FLAGS.out)}
    for cell in dict.fromkeys(curves() if FLAGS.curves else tables()):
        if cell in done:
            continue
        *of, draws = cell
        found = attempt(lambda: measure(*of))
        records.append(
            FLAGS.out,
            **dict(zip(KEYS, cell)),
            settings=settings(of[-1], draws, of[-2]),
            **found,
        )
        print(*cell, found, flush=True)


def tables() -> Iterator[tuple]:
    """Cells of the paper's tables, by `KEYS`."""
    for seed, mechanism, name, method in itertools.product(
        map(int, FLAGS.mask_seeds),
        FLAGS.mechanisms,
        FLAGS.names,
        FLAGS.methods,
    ):
        draws = draws_of(method)
        yield name, mechanism, FLAGS.rate, FLAGS.rows, seed, method, draws


def changes() -> Iterator[tuple[str, float, str]]:
    """What is changed in Figures 3 to 6, the share of gaps and the method.

    The first as a table shows it.
    """
    usual = defaults("diffputer")
    for setting, values in CURVES.items():
        for value in values:
            change = f"{setting}={value}"
            same = value == usual[setting]
            method = "diffputer" if same else f"diffputer:{change}"
            yield f"`{change}`", RATES[0], method
    for rate, method in itertools.product(RATES, OF_RATES):
        yield f"{round(100 * rate)} % MCAR, `{method}`", rate, method


def curves() -> Iterator[tuple]:
    """Cells of the paper's Figures 3 to 6, by `KEYS`."""
    seed = int(FLAGS.mask_seeds[0])
    for name, (_, rate, method) in itertools.product(FLAGS.names, changes()):
        draws = draws_of(method)
        yield name, "mcar", rate, FLAGS.rows, seed, method, draws


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("folder", "~/tables", "Where the tables are.")
    flags.DEFINE_list("names", TABLES, "Tables.")
    flags.DEFINE_list("methods", METHODS, "Methods.")
    flags.DEFINE_list("mechanisms", MECHANISMS, "Of gaps.")
    flags.DEFINE_list("mask_seeds", ["1"], "Of rows, masks and methods.")
    flags.DEFINE_float("rate", 0.3, "Share of the cells that is hidden.")
    flags.DEFINE_integer("draws", 10, "Draws that the mean is taken of.")
    flags.DEFINE_integer("rows", ROWS, "Rows at most.")
    flags.DEFINE_bool("curves", False, "The paper's figures, not its tables.")
    flags.DEFINE_string("out", "results/mixed.jsonl", "Where lines are added.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
