"""Tables of mixed types: DiffPuter's protocol, with categories.

    PYTHONPATH=. python experiments/mixed.py --folder FOLDER

FOLDER holds NAME.csv.gz, tables of the UCI repository (Adult, its first 20000
rows; Default of Credit Card Clients; Online Shoppers; Beijing PM2.5), "?" read
as missing, with the columns' names in mixed_tables.json beside this file. 70 %
of the rows are fitted; cells are hidden at random, 30 %, in all. What is filled
in the fitted rows is `in_sample`, in the others, without another fit,
`out_of_sample`. RMSE and MAE are of numerical cells, in deviations of the
complete column; accuracy of categorical cells.
Cells that are missing in the file itself are neither shown nor scored.

Methods of the registry run through `miri_jax.estimator.MIRIImputer`, all by
their defaults: the mean of `--draws` draws, the most frequent level. `mode` is
the mean and the most frequent level. Peers of experiments/peers.py: those of
scikit-learn see standardised numbers and indicators of levels, of which the
largest wins; those of HyperImpute see categories as whole numbers, and only
fitted rows, since they fit anew to whatever they fill.
"""

import json
import pathlib
import time
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pandas as pd
from absl import app, flags

from experiments import peers, records
from miri_jax.estimator import MIRIImputer
from miri_jax.imputers import IMPUTERS
from miri_jax.types import Masked

FLAGS = flags.FLAGS
Fill = Callable[[pd.DataFrame], pd.DataFrame]


def load(
    folder: str, name: str
) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """The complete table, its categorical columns, and all kinds."""
    schema = pathlib.Path(__file__).with_name("mixed_tables.json")
    schema = json.loads(schema.read_text("utf-8"))[name]
    frame = pd.read_csv(pathlib.Path(folder).expanduser() / f"{name}.csv.gz")
    frame = frame[schema["numerical"] + schema["categorical"]]
    for column in schema["categorical"]:
        known = frame[column].notna()
        frame[column] = frame[column].astype(str).where(known, None)
    kinds = {column: "categorical" for column in schema["categorical"]}
    return frame, schema["categorical"], kinds


def registered(
    method: str, seed: int, draws: int, kinds: dict[str, str]
) -> Callable[[pd.DataFrame], Fill]:
    """A method of the registry: fitted once, fills any rows."""

    def fit(frame: pd.DataFrame) -> Fill:
        imputer = MIRIImputer(
            method,
            n_imputations=draws,
            statistic="mean",
            kinds=kinds,
            random_state=seed,
            unseen="missing",
        )
        return imputer.fit(frame).transform

    return fit


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


def hyperimpute(name: str, seed: int, categorical: list[str]) -> Callable:
    """A plugin of HyperImpute on the fitted rows themselves."""

    def fit(frame: pd.DataFrame) -> Fill:
        def fill(rows: pd.DataFrame) -> pd.DataFrame:
            if rows is not frame:
                raise peers.PeerError("fits anew to what it fills")
            levels = {k: sorted(rows[k].dropna().unique()) for k in categorical}
            values = rows.copy()
            for column, known in levels.items():
                values[column] = pd.Categorical(rows[column], known).codes
            m = rows.notna().to_numpy()
            x = np.where(m, values.to_numpy(np.float64, na_value=0), 0)
            data = Masked(jnp.asarray(x, jnp.float32), jnp.asarray(m))
            filled = np.asarray(peers.PEERS[name](data, seed), np.float64)
            out = rows.copy()
            for j, column in enumerate(rows):
                found = filled[:, j]
                if column in levels:
                    top = len(levels[column]) - 1
                    rank = np.clip(np.round(found), 0, top).astype(int)
                    found = np.asarray(levels[column], object)[rank]
                out[column] = rows[column].where(m[:, j], found)
            return out

        return fill

    return fit


def score(
    truth: pd.DataFrame,
    filled: pd.DataFrame,
    hidden: np.ndarray,
    categorical: list[str],
    scale: pd.Series,
) -> dict[str, float]:
    """RMSE and MAE of numbers, accuracy of levels, over hidden cells."""
    errors, right = [], []
    for j, name in enumerate(truth):
        here = hidden[:, j]
        true, found = truth[name][here], filled[name][here]
        if name in categorical:
            right.append(true.to_numpy(object) == found.to_numpy(object))
        else:
            difference = found.to_numpy(float) - true.to_numpy(float)
            errors.append(difference / scale[name])
    error, right = np.concatenate(errors), np.concatenate(right)
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "accuracy": float(np.mean(right)),
    }


def measure(name: str, method: str, seed: int) -> None:
    """One line for each part of one table that a method fills."""
    truth, categorical, kinds = load(FLAGS.folder, name)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(truth))
    if FLAGS.rows:
        order = order[: FLAGS.rows]
    known = truth.notna().to_numpy()
    hidden = known & (rng.random(truth.shape) < FLAGS.rate)
    gaps = truth.mask(hidden)
    scale = truth.std(ddof=0, numeric_only=True)
    cut = int(0.7 * len(order))
    parts = {"in_sample": order[:cut], "out_of_sample": order[cut:]}
    if method == "mode":
        fit = mode
    elif method in IMPUTERS:
        fit = registered(method, seed, FLAGS.draws, kinds)
    elif method in peers.ESTIMATORS:
        fit = scikit(method, seed, categorical)
    else:
        fit = hyperimpute(method, seed, categorical)
    start = time.perf_counter()
    fitted = gaps.iloc[parts["in_sample"]]
    fill = fit(fitted)
    seconds = {"seconds_fit": round(time.perf_counter() - start, 1)}
    for part, rows in parts.items():
        some = fitted if part == "in_sample" else gaps.iloc[rows]
        start = time.perf_counter()
        try:
            filled = fill(some)
        except peers.PeerError as error:
            print(name, method, part, "left out:", error)
            continue
        seconds["seconds_fill"] = round(time.perf_counter() - start, 1)
        found = score(
            truth.iloc[rows], filled, hidden[rows], categorical, scale
        )
        records.append(
            FLAGS.out,
            dataset=name,
            method=method,
            part=part,
            rows=len(rows),
            mechanism="mcar",
            rate=FLAGS.rate,
            realised_rate=float(hidden[rows].mean()),
            mask_seed=seed,
            draws=FLAGS.draws if method in IMPUTERS else 1,
            **found,
            **seconds,
        )
        shown = "  ".join(f"{k} {v:.4f}" for k, v in found.items())
        print(name, method, part, shown, seconds, flush=True)


def main(argv: list[str]) -> None:
    """Runs what is not in the file yet."""
    del argv
    for name in FLAGS.names:
        for seed in map(int, FLAGS.mask_seeds):
            for method in FLAGS.methods:
                done = any(
                    (row["dataset"], row["mask_seed"], row["method"])
                    == (name, seed, method)
                    for row in records.read(FLAGS.out)
                )
                if not done:
                    measure(name, method, seed)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("folder", "~/tables", "Where the tables are.")
    flags.DEFINE_list(
        "names", ["adult", "default", "shoppers", "beijing"], "Tables."
    )
    flags.DEFINE_list(
        "methods",
        ["mode", "iterative", "miri", "missforest", "hyperimpute_missforest"],
        "Methods.",
    )
    flags.DEFINE_list("mask_seeds", ["1"], "Seeds of split and masks.")
    flags.DEFINE_float("rate", 0.3, "Share of the cells that is hidden.")
    flags.DEFINE_integer("draws", 10, "Draws that the mean is taken of.")
    flags.DEFINE_integer("rows", 0, "Rows at most, 0 for all: for tuning.")
    flags.DEFINE_string("out", "results/mixed.jsonl", "Where lines are added.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
