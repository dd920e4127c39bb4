"""Do measures that need no truth rank fillings as the truth does?

    PYTHONPATH=. python experiments/quality.py --folder FOLDER

FOLDER holds NAME.csv.gz, as for fidelity.py. Of each table `--rows` complete
rows are drawn and gaps are made (`fidelity.holes`); methods, good and bad, fill
them. With the truth: the score of the draws in the gaps, CRPS of numbers and
Brier score of levels over that of observed values drawn at random. Without:

    check     the same score of known cells that were hidden and filled again
              (`engine.overimpute`), and the coverage of intervals
    energy    the energy-I-score, of the first `--columns` columns with gaps
    mi        the conditional mutual information of filled table and mask

Smaller is better of all. A cell is a line of results/quality.jsonl; started
again, it goes on with what is not there yet. `--show` prints means, and by how
many of all pairs of methods of a table each measure agrees with the truth.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from absl import flags

from experiments import records
from experiments.fidelity import holes
from miri_jax import engine
from miri_jax.data.dataset import FileTable, from_table
from miri_jax.data.tables import make_table
from miri_jax.imputers import make_imputer
from miri_jax.metrics import estimate_conditional_mi
from miri_jax.metrics.energy_i_score import energy_i_score
from miri_jax.metrics.overimputation import Cells, check_cells
from miri_jax.types import Imputer, Layout, Masked

FLAGS = flags.FLAGS
NAMES = ("california", "magic", "adult", "beijing")
METHODS = ("chained", "gaussian", "shuffled", "hot deck", "mean", "noise")
DRAWS = 20
KEYS = ("name", "mechanism", "seed", "method", "rows")
MEASURES = ("check", "energy", "mi")


class _State(NamedTuple):
    """See `types.State`; the table with gaps, and its mask."""

    iteration: jax.Array
    x: jax.Array
    m: jax.Array


def at_random(kind: str, layout: Layout | None) -> Imputer:
    """Fills without a look at the rest of a row.

    Args:
      kind: "hot deck", with observed cells of the column; "noise", with normal
        numbers of three times its deviation.
      layout: of the table.
    """

    def impute(key, state, data, draw=None):
        index = 0 if draw is None else draw.index
        words = jax.random.key_data(jax.random.fold_in(key, index))
        rng = np.random.default_rng(np.asarray(words))
        known, seen = np.asarray(state.x), np.asarray(state.m)
        x, m = (np.array(part) for part in data)
        owners = layout.owners(x.shape[1])
        for j in np.unique(owners):
            own = owners == j
            values = known[seen[:, own][:, 0]][:, own]
            filled = values[rng.integers(len(values), size=len(x))]
            if kind == "noise":
                filled = rng.normal(
                    values.mean(axis=0), 3 * values.std(axis=0), filled.shape
                )
            x[:, own] = np.where(m[:, own], x[:, own], filled)
        return x.astype(np.float32)

    return Imputer(
        init=lambda key, data: _State(jnp.int32(0), *data),
        step=lambda key, state, data: (
            state._replace(iteration=jnp.int32(1)),
            {},
        ),
        impute=impute,
        num_iterations=1,
        host=True,
    )


def shuffled(imputer: Imputer) -> Imputer:
    """Draws of an imputer, each column's shuffled over the rows."""

    def impute(key, state, data, draw=None):
        x, m = (np.array(part) for part in data)
        found = np.asarray(imputer.impute(key, state, data, draw))
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        for k in range(x.shape[1]):
            gaps = np.flatnonzero(~m[:, k])
            x[gaps, k] = found[rng.permutation(gaps), k]
        return x

    return imputer._replace(impute=impute)


def make(method: str, layout: Layout | None) -> Imputer:
    """A method by name."""
    if method in ("hot deck", "noise"):
        return at_random(method, layout)
    if method == "shuffled":
        return shuffled(make_imputer("chained", layout=layout))
    settings = {"layout": layout} if method in ("chained", "miri") else {}
    return make_imputer(method, **settings)


def measure(
    frame: pd.DataFrame, gaps: np.ndarray, seed: int, method: str, columns: int
) -> dict[str, float]:
    """All measures of one filling.

    Args:
      frame: `[n, c]`, complete.
      gaps: `[n, c]` bool, the cells to fill.
      seed: of the method and the measures.
      method: see `make`.
      columns: how many the energy-I-score looks at.
    """
    dataset = from_table(make_table(frame.mask(gaps), gaps))
    data, layout = dataset.masked(), dataset.layout()
    keys = engine.seed_keys(seed)
    imputer = make(method, layout)
    state = engine.fit(keys.fit, imputer, data)
    drawn = [
        layout.unpack(x)
        for x in engine.draws(
            keys.draw, imputer, state, data, DRAWS, spread_out=False
        )
    ]
    key_check, key_energy, key_mi = (
        jax.random.fold_in(keys.measure, k) for k in range(3)
    )
    checked = engine.overimpute(key_check, imputer, data, layout=layout)
    observed = layout.observed(np.asarray(data.m))
    mixed = np.flatnonzero(~observed.all(axis=0))[:columns]
    energy = energy_i_score(
        key_energy,
        drawn[0],
        observed,
        engine.column_imputer(lambda part: make(method, part), layout),
        levels=layout.levels,
        columns=mixed.tolist(),
    )
    mi = estimate_conditional_mi(key_mi, drawn[0], observed, layout.levels)
    true = with_truth(frame, dataset, data, np.stack(drawn))
    return {
        "truth": true["score"],
        "true_coverage_90": true["coverage_90"],
        "check": checked.mean("score"),
        "coverage_90": checked.mean("coverage_90"),
        "energy": energy.score,
        "energy_error": energy.error,
        "mi": mi.nats,
        "mi_error": mi.error,
    }


def with_truth(
    frame: pd.DataFrame, dataset: FileTable, data: Masked, drawn: np.ndarray
) -> dict[str, float]:
    """Scores and coverage of the gaps themselves, means over their columns."""
    layout, gaps = (
        dataset.layout(),
        ~dataset.layout().observed(np.array(data.m)),
    )
    found, count = [], []
    for j, column in enumerate(layout.columns):
        missing = gaps[:, j]
        if not missing.any():
            continue
        values = frame[column.name]
        if column.levels is not None:
            index = pd.Index(column.levels, dtype=object)
            values = index.get_indexer(pd.Index(values.astype(object)))
        values = np.asarray(values, np.float64)
        known = values[missing] >= 0 if layout.levels[j] else slice(None)
        cells = Cells(
            values[missing][known],
            drawn[:, missing, j][:, known],
            np.ones(missing.sum())[known],
            values[~missing],
        )
        found.append(check_cells(cells, layout.levels[j]))
        count.append(missing.sum())
    gaps = dict(enumerate(count))
    whole = engine.Overimputation(dict(enumerate(found)), gaps, DRAWS)
    return {k: whole.mean(k) for k in ("score", "coverage_90")}


def agreement(rows: pd.DataFrame, what: str) -> float:
    """Share of pairs of methods of a table that it ranks as the truth does."""
    same = []
    for _, some in rows.groupby(["name", "mechanism", "seed"]):
        for (_, a), (_, b) in itertools.combinations(some.iterrows(), 2):
            same.append((a[what] < b[what]) == (a["truth"] < b["truth"]))
    return float(np.mean(same))


def show(rows: pd.DataFrame) -> None:
    """Prints means by method, and how measures agree with the truth."""
    kept = ["truth", *MEASURES, "true_coverage_90", "coverage_90"]
    means = rows.groupby(["mechanism", "method"], sort=False)[kept].mean()
    print(means.round(3).to_string())
    for mechanism, some in rows.groupby("mechanism"):
        said = (f"{k} {agreement(some, k):.2f}" for k in MEASURES)
        print(f"{mechanism}: pairs ranked as by the truth:", ", ".join(said))


def main(argv: list[str]) -> None:
    """Measures what is not there yet, then prints all."""
    del argv
    old = records.read(FLAGS.out)
    done = {tuple(row[k] for k in KEYS) for row in old}
    cells = itertools.product(
        FLAGS.names, FLAGS.mechanisms, map(int, FLAGS.seeds), FLAGS.methods
    )
    for cell in [] if FLAGS.show else cells:
        if (*cell, FLAGS.rows) in done:
            continue
        name, mechanism, seed, method = cell
        frame = pd.read_csv(f"{FLAGS.folder}/{name}.csv.gz").dropna()
        frame = frame.sample(FLAGS.rows, random_state=seed)
        frame = frame.reset_index(drop=True)
        gaps = holes(frame, seed, mechanism, FLAGS.rate).isna().to_numpy()
        found = measure(frame, gaps, seed, method, FLAGS.columns)
        print(*cell, {k: round(v, 3) for k, v in found.items()}, flush=True)
        row = dict(zip(KEYS, (*cell, FLAGS.rows)))
        records.append(FLAGS.out, **row, **found)
    show(pd.DataFrame(records.read(FLAGS.out)))


if __name__ == "__main__":
    flags.DEFINE_string("folder", "~/tables", "Where the tables are.")
    flags.DEFINE_list("names", list(NAMES), "Tables.")
    flags.DEFINE_list("mechanisms", ["mcar", "mar"], "How gaps are made.")
    flags.DEFINE_list("seeds", ["1"], "Seeds of rows, gaps and methods.")
    flags.DEFINE_list("methods", list(METHODS), "How gaps are filled.")
    flags.DEFINE_integer("rows", 800, "Rows of each table.")
    flags.DEFINE_float("rate", 0.25, "Share of gaps, see fidelity.holes.")
    flags.DEFINE_integer("columns", 3, "Columns of the energy-I-score.")
    flags.DEFINE_string(
        "out", "results/quality.jsonl", "Where lines are added."
    )
    flags.DEFINE_bool("show", False, "Run nothing, print what the file holds.")
    records.run(main)
