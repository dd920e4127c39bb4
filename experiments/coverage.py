"""Do pooled 95 % intervals cover the truth? Regressions on simulated tables.

    PYTHONPATH=. python experiments/coverage.py

Each table has 500 rows of two correlated normal predictors, a binary one and
y = 1 + x1 - x2 / 2 + b + noise, and loses 30 % of its cells completely at
random, or 22 % of them at random given y, which stays complete (`mar`: x1, x2
and b are missing the more often the larger y is). It is imputed `--draws`
times; ordinary least squares on each, pooled by Rubin's rules. `coverage` is
the share of the nominal 95 % intervals that hold the true coefficient, `width`
their mean width, `bias` the mean error in standard deviations of the estimate.
`complete` is the regression on the tables before they lost cells, `rows` that
on complete rows.
"""

import jax
import numpy as np
import pandas as pd
from absl import app, flags
from scipy.special import expit

from experiments import records
from miri_jax.estimator import MIRIImputer
from miri_jax.pooling import Pooled, with_imputations

FLAGS = flags.FLAGS
TRUTH = np.array([1.0, 1.0, -0.5, 1.0])
NAMES = ("intercept", "x1", "x2", "b")


def simulate(seed: int, n: int, mechanism: str) -> tuple[pd.DataFrame, ...]:
    """A complete table and the same with gaps."""
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], n)
    b = x @ [0.7, 0.7] + rng.standard_normal(n) > 0
    y = TRUTH[0] + x @ TRUTH[1:3] + TRUTH[3] * b + rng.standard_normal(n)
    table = pd.DataFrame({"y": y, "x1": x[:, 0], "x2": x[:, 1], "b": b})
    table["b"] = table["b"].astype("boolean")
    if mechanism == "mcar":
        hidden = rng.random(table.shape) < 0.3
    else:
        chance = expit((y - y.mean()) / y.std() - 1.0)
        hidden = rng.random(table.shape) < chance[:, None]
        hidden[:, 0] = False
    return table, table.mask(hidden)


def regress(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of y on the rest, and their variances."""
    x = table[["x1", "x2", "b"]].to_numpy(float)
    x, y = np.column_stack([np.ones(len(x)), x]), table["y"].to_numpy(float)
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    variance = np.sum((y - x @ beta) ** 2) / (len(y) - x.shape[1])
    return beta, variance * np.diag(inverse)


def analyse(table: pd.DataFrame, gaps: pd.DataFrame, seed: int) -> Pooled:
    """One method's pooled regression."""
    rows = len(table) - len(TRUTH)
    if FLAGS.method in ("complete", "rows"):
        used = table if FLAGS.method == "complete" else gaps.dropna()
        return with_imputations([used] * 2, regress, rows)
    imputer = MIRIImputer(
        FLAGS.method,
        n_imputations=FLAGS.draws,
        bootstrap=FLAGS.bootstrap,
        random_state=seed,
    )
    found = imputer.fit(gaps).imputations(gaps)
    return with_imputations(found, regress, rows)


def main(argv: list[str]) -> None:
    """Runs all tables and appends one line for each mechanism."""
    del argv
    for mechanism in FLAGS.mechanisms:
        covered, widths, errors = [], [], []
        for k in range(FLAGS.tables):
            seed = FLAGS.first_seed + k
            table, gaps = simulate(seed, FLAGS.rows, mechanism)
            pooled = analyse(table, gaps, seed)
            low, high = pooled.interval()
            covered.append((low <= TRUTH) & (TRUTH <= high))
            widths.append(high - low)
            errors.append(pooled.estimate - TRUTH)
            if k % 10 == 9:
                print(k + 1, np.mean(covered, axis=0), flush=True)
        bias = np.mean(errors, axis=0) / np.std(errors, axis=0)
        numbers = {
            "coverage": np.mean(covered, axis=0),
            "width": np.mean(widths, axis=0),
            "bias": bias,
        }
        records.append(
            FLAGS.out,
            method=FLAGS.method,
            mechanism=mechanism,
            rate=float(gaps.isna().to_numpy().mean()),
            tables=FLAGS.tables,
            rows=FLAGS.rows,
            draws=FLAGS.draws,
            bootstrap=FLAGS.bootstrap,
            first_seed=FLAGS.first_seed,
            device=jax.devices()[0].device_kind,
            **{
                key: dict(zip(NAMES, map(float, value)))
                for key, value in numbers.items()
            },
        )
        print(FLAGS.method, mechanism, numbers, flush=True)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("method", "miri", "Registered, or complete, or rows.")
    flags.DEFINE_list("mechanisms", ["mcar", "mar"], "mcar and mar.")
    flags.DEFINE_integer("tables", 100, "Simulated tables.")
    flags.DEFINE_integer("rows", 500, "Rows of each.")
    flags.DEFINE_integer("draws", 10, "Imputations of each.")
    flags.DEFINE_bool("bootstrap", True, "A fit for each imputation.")
    flags.DEFINE_integer("first_seed", 1000, "Seed of the first.")
    flags.DEFINE_string("out", "results/coverage.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
