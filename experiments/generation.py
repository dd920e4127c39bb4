"""Rows generated from an incomplete table: MissDiff's fidelity and utility.

    PYTHONPATH=. python experiments/generation.py --folder FOLDER

FOLDER holds adult.csv.gz, the paper's Census, as for mixed.py, and
california.csv.gz, whose target is a number, for its MIMIC4ED, which is not to
be had; `network` is the Bayesian network of its appendix C.2. `--rows` complete
rows get gaps and are fitted, as many others are held out. Every method is
fitted through `miri_jax.MIRIImputer` and gives as many rows by `sample`.
`delete` is missdiff fitted to the rows without gaps, `mean` missdiff fitted to
the table filled with means and most frequent levels (the paper's Diff-delete
and Diff-mean), `whole` missdiff fitted to the table before it had gaps, and
`real` are the rows of that table themselves.

Fidelity is the overall quality of SDMetrics of the made rows beside the
complete training rows, of which it knows the kinds of columns; None where that
package is not installed. Utility: six models learn the target from the made
rows and predict it for those held out; scikit-learn's boosted trees stand in
for XGBoost. Of levels accuracy, F1 of the rarer one, F1 weighted as in appendix
C.6.2 and AUROC; of numbers RMSE, in deviations of those held out, and R^2; of
each model, and their means. The paper's Figure 1 is `network` at several
`--rates`, drawn by figures.py.
"""

import itertools
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from absl import flags
from sklearn import ensemble
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, r2_score, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from experiments import mixed, records
from experiments.fidelity import attempt, defaults
from miri_jax.estimator import MIRIImputer
from miri_jax.imputers import IMPUTERS

FLAGS = flags.FLAGS
KEYS = ("dataset", "mechanism", "rate", "rows", "mask_seed", "method")
TARGETS = {
    "adult": "income",
    "network": "D3",
    "california": "median_house_value",
}
MECHANISMS = ["mcar_row", "mcar_column", "mcar", "mar", "mnar"]
METHODS = ["real", "whole", "missdiff", "delete", "mean"]
METHODS += ["gaussian", "chained", "miri"]
OF_MISSDIFF = ("delete", "mean", "whole")


def _scaled(model: Callable) -> Callable[[int], object]:
    """A model of standardised columns."""
    return lambda seed: make_pipeline(StandardScaler(), model(seed))


def _seeded(model: type, **settings: int) -> Callable[[int], object]:
    return lambda seed: model(random_state=seed, **settings)


CLASSIFIERS = {
    "tree": _seeded(DecisionTreeClassifier),
    "adaboost": _seeded(ensemble.AdaBoostClassifier),
    "logistic": _scaled(_seeded(LogisticRegression, max_iter=1000)),
    "mlp": _scaled(_seeded(MLPClassifier, max_iter=300)),
    "forest": _seeded(ensemble.RandomForestClassifier),
    "boosting": _seeded(ensemble.HistGradientBoostingClassifier),
}
REGRESSORS = {
    "tree": _seeded(DecisionTreeRegressor),
    "adaboost": _seeded(ensemble.AdaBoostRegressor),
    "linear": lambda seed: LinearRegression(),
    "mlp": _scaled(_seeded(MLPRegressor, max_iter=300)),
    "forest": _seeded(ensemble.RandomForestRegressor),
    "boosting": _seeded(ensemble.HistGradientBoostingRegressor),
}


def network(rows: int, seed: int) -> pd.DataFrame:
    """Rows of the Bayesian network of MissDiff, appendix C.2.

    The second parameter of its normal distributions is taken for a variance.
    """
    rng = np.random.default_rng(seed)
    c1 = rng.normal(25, np.sqrt(2), rows)
    c2 = rng.normal(0.1 * c1 + 50, np.sqrt(5))
    d1 = rng.random(rows) < 0.3
    shares = np.select(
        [
            (~d1)[:, None],
            ((c1 > 26) & (c2 > 55))[:, None],
            (c1 > 26)[:, None],
            (c2 > 55)[:, None],
        ],
        [[0.05, 0.05, 0.9], [0.3, 0.6, 0.1], [0.2, 0.3, 0.5], [0.7, 0.1, 0.2]],
        [0.1, 0.2, 0.7],
    )
    d2 = (rng.random(rows)[:, None] > shares.cumsum(axis=1)[:, :2]).sum(axis=1)
    d3 = rng.random(rows) < np.array([0.2, 0.4, 0.8])[d2]
    levels = {"D1": d1 * 1, "D2": d2, "D3": d3 * 1}
    levels = {name: [f"l{k}" for k in x] for name, x in levels.items()}
    return pd.DataFrame({"C1": c1, "C2": c2, **levels})


def load(
    name: str, folder: str, rows: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Training rows, rows held out, and the categorical columns."""
    if name == "network":
        frame, levels = network(2 * rows, seed), ["D1", "D2", "D3"]
    else:
        frame, levels = mixed.load(folder, name, 2 * rows, seed)
    cut = len(frame) // 2
    parts = frame[:cut], frame[cut:]
    return *(part.reset_index(drop=True) for part in parts), levels


def generate(
    method: str,
    train: pd.DataFrame,
    gaps: pd.DataFrame,
    levels: list[str],
    seed: int,
) -> pd.DataFrame:
    """As many rows as there are in training.

    Raises:
      ValueError: if `delete` has no row left.
    """
    if method == "real":
        return train
    table = gaps
    if method == "delete":
        table = gaps.dropna()
        if len(table) < 2:
            raise ValueError("no complete rows are left")
    elif method == "mean":
        table = mixed.mode(gaps)(gaps)
    elif method == "whole":
        table = train
    imputer = MIRIImputer(
        "missdiff" if method in OF_MISSDIFF else method,
        kinds=dict.fromkeys(levels, "categorical"),
        random_state=seed,
    )
    return imputer.fit(table).sample(len(train))


def score(
    made: pd.DataFrame,
    train: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    levels: list[str],
    seed: int,
) -> dict:
    """Fidelity and utility of made rows."""
    both = pd.concat([made, test], keys=["made", "test"])
    x = pd.get_dummies(
        both.drop(columns=target),
        columns=[name for name in levels if name != target],
        dtype=float,
    )
    learn = np.arange(len(both)) < len(made)
    found = {"sdmetrics": sdmetrics(train, made, levels), "by": {}}
    if target in levels:
        models, of_model = CLASSIFIERS, classified
        rare = test[target].value_counts().idxmin()
        y = (both[target] == rare).to_numpy(int)
    else:
        models, of_model = REGRESSORS, regressed
        y = both[target].to_numpy(float)
        y = (y - y[~learn].mean()) / y[~learn].std()
    for name, make in models.items():
        model = make(seed).fit(x[learn], y[learn])
        found["by"][name] = of_model(model, x[~learn], y[~learn])
    each = pd.DataFrame(found["by"].values())
    return found | {key: float(each[key].mean()) for key in each}


def classified(model, x: pd.DataFrame, y: np.ndarray) -> dict[str, float]:
    """Of two classes: F1 weighted by the share of the other (C.6.2)."""
    sure = model.predict_proba(x)
    sure = sure[:, 1] if sure.shape[1] > 1 else np.zeros(len(y))
    predicted = model.predict(x)
    both = f1_score(y, predicted, labels=[0, 1], average=None, zero_division=0)
    return {
        "accuracy": float(accuracy_score(y, predicted)),
        "f1": float(both[1]),
        "weighted_f1": float(both @ [y.mean(), 1 - y.mean()]),
        "auroc": float(roc_auc_score(y, sure)),
    }


def regressed(model, x: pd.DataFrame, y: np.ndarray) -> dict[str, float]:
    """Of a number in deviations."""
    predicted = model.predict(x)
    rmse = np.sqrt(np.mean((predicted - y) ** 2))
    return {"rmse": float(rmse), "r2": float(r2_score(y, predicted))}


def sdmetrics(
    real: pd.DataFrame, made: pd.DataFrame, levels: list[str]
) -> float | None:
    """SDMetrics' overall quality in [0, 1]; None where it is not installed."""
    try:
        from sdmetrics.reports.single_table import QualityReport
    except ImportError:
        return None
    kinds = {
        name: {"sdtype": "categorical" if name in levels else "numerical"}
        for name in real
    }
    report = QualityReport()
    report.generate(real, made, {"columns": kinds}, verbose=False)
    return float(report.get_score())


def measure(
    name: str, mechanism: str, rate: float, rows: int, seed: int, method: str
) -> dict:
    """Scores of the rows that one method makes of one table."""
    train, test, levels = load(name, FLAGS.folder, rows, seed)
    hidden = mixed.hide(train, mechanism, rate, seed)
    start = time.perf_counter()
    made = generate(method, train, train.mask(hidden), levels, seed)
    seconds = time.perf_counter() - start
    scores = score(made, train, test, TARGETS[name], levels, seed)
    return {
        "realised_rate": float(hidden.mean()),
        **scores,
        "seconds": round(seconds, 2),
    }


def main(argv: list[str]) -> None:
    """Runs what is not in the file yet."""
    del argv
    done = {tuple(row[k] for k in KEYS) for row in records.read(FLAGS.out)}
    for cell in itertools.product(
        FLAGS.names,
        FLAGS.mechanisms,
        map(float, FLAGS.rates),
        [FLAGS.rows],
        map(int, FLAGS.mask_seeds),
        FLAGS.methods,
    ):
        if cell in done:
            continue
        found = attempt(lambda: measure(*cell))
        method = "missdiff" if cell[-1] in OF_MISSDIFF else cell[-1]
        of_method = defaults(method) if method in IMPUTERS else {}
        records.append(
            FLAGS.out,
            **dict(zip(KEYS, cell)),
            settings={
                "seed": cell[4],
                "door": "MIRIImputer.sample",
                "imputer": of_method,
            },
            **found,
        )
        print(*cell, {k: v for k, v in found.items() if k != "by"}, flush=True)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("folder", "~/tables", "Where the tables are.")
    flags.DEFINE_list("names", list(TARGETS), "Tables.")
    flags.DEFINE_list("methods", METHODS, "Methods.")
    flags.DEFINE_list("mechanisms", MECHANISMS, "Of gaps.")
    flags.DEFINE_list("rates", ["0.2"], "Shares of gaps.")
    flags.DEFINE_list("mask_seeds", ["1"], "Of rows, masks and methods.")
    flags.DEFINE_integer("rows", 2000, "Of training, and as many held out.")
    flags.DEFINE_string("out", "results/generation.jsonl", "Where lines go.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
