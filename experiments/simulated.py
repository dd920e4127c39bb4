"""Simulated tables whose truth is known, and gaps in them.

`DESIGNS` are three tables, `normal`, `nonlinear` and `mixed`; of each `draw`
gives complete rows, `analyse` estimates with their variances what
experiments/coverage.py asks for, and `truth` is what holds of all rows. All
have a column `a`, standard normal, that stays complete but for `mcar`, and
three visits one after the other. `holes` makes gaps:

    mcar     every cell with probability 0.3
    mar      every column but `a`, a share 0.3 of it, the more often the larger
             `a` is: a logistic of slope 1
    dropout  a row is left at one of the visits, and from there on: of those
             still there about 0.15, the more the larger what came before is
    blocks   two groups of columns, a share 0.3 of each: the columns of a group
             are missing together, of one where `a` is large, of the other
             where it is small

Intervals are lawful on complete tables: means by their variance, quantiles by
the density there, a correlation of (nearly) normal columns by Fisher's z,
regressions by their models; logistic ones of a column of numbers cut in two,
which are no such model, by the sandwich. What has no formula was simulated,
2 x 10^7 rows: `PYTHONPATH=. python experiments/simulated.py` prints it.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit
from statsmodels.tools.sm_exceptions import ModelWarning

from experiments import records

MECHANISMS = ("mcar", "mar", "dropout", "blocks")
RATE = 0.3
# Levels of the logistics: shares of RATE, and of 0.15 who leave at a visit.
LEVEL, LEAVING = -1.0184, -2.0478
# Correlations of the normal table's columns.
CORRELATION = 0.3 + 0.7 * 0.5 ** np.abs(np.subtract.outer(range(5), range(5)))


class Estimates(NamedTuple):
    """Estimates of one table that are pooled alike.

    Attributes:
      names: of them.
      values: `[k]`; correlations as they are.
      variances: `[k]`; of correlations, that of Fisher's z.
      df: degrees of freedom of the complete table's analysis.
      fisher: whether they are correlations.
    """

    names: tuple[str, ...]
    values: np.ndarray
    variances: np.ndarray
    df: float
    fisher: bool = False


class Design(NamedTuple):
    """A simulated table.

    Attributes:
      draw: takes a generator and a number of rows; gives the rows.
      analyse: takes a table without gaps; gives a list of `Estimates`.
      truth: by name.
      visits: columns in the order that rows are left in.
      blocks: groups of columns that are missing together.
    """

    draw: Callable[[np.random.Generator, int], pd.DataFrame]
    analyse: Callable[[pd.DataFrame], list[Estimates]]
    truth: dict[str, float]
    visits: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]


def holes(
    frame: pd.DataFrame,
    design: Design,
    mechanism: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """A table with gaps, see the docstring of this file."""
    n, a = len(frame), frame["a"].to_numpy()
    gone = pd.DataFrame(False, frame.index, frame.columns)
    if mechanism == "mcar":
        gone |= rng.random(frame.shape) < RATE
    elif mechanism == "mar":
        others = frame.columns.drop("a")
        chance = expit(LEVEL + a)[:, None]
        gone[others] = rng.random((n, len(others))) < chance
    elif mechanism == "dropout":
        left = np.zeros(n, bool)
        for before, visit in zip(("a", *design.visits), design.visits):
            score = (frame[before] - frame[before].mean()) / frame[before].std()
            left |= rng.random(n) < expit(LEAVING + score)
            gone[visit] = left
    elif mechanism == "blocks":
        for sign, block in zip((1, -1), design.blocks):
            together = rng.random(n) < expit(LEVEL + sign * a)
            for column in block:
                gone[column] = together
    else:
        raise ValueError(f"{mechanism!r} is none of {', '.join(MECHANISMS)}")
    return frame.mask(gone)


def mean(name: str, x: np.ndarray) -> Estimates:
    """The mean of a column, or the share of a level."""
    n = len(x)
    variance = x.var(ddof=1) / n
    return Estimates((name,), np.r_[x.mean()], np.r_[variance], n - 1)


def quartiles(name: str, x: np.ndarray) -> Estimates:
    """Both, their variances p (1 - p) / (n f^2), f a kernel's density there."""
    n, p = len(x), np.array([0.25, 0.75])
    values = np.quantile(x, p)
    scale = min(x.std(ddof=1), np.diff(values)[0] / 1.34)
    width = 0.6 * scale * n**-0.2  # two thirds of Silverman's: less bias
    with np.errstate(divide="ignore", invalid="ignore"):
        density = stats.norm.pdf((values[:, None] - x) / width).mean(axis=1)
        variances = p * (1 - p) * np.square(width / density) / n
    return Estimates((f"q25 {name}", f"q75 {name}"), values, variances, n - 1)


def correlation(name: str, x: np.ndarray, y: np.ndarray) -> Estimates:
    """The correlation of two columns."""
    r = np.corrcoef(x, y)[0, 1]
    return Estimates((name,), np.r_[r], np.r_[1 / (len(x) - 3)], np.inf, True)


def slopes(
    name: str, y: np.ndarray, columns: dict[str, np.ndarray]
) -> Estimates:
    """The slopes of a least-squares regression; NaN of too few rows."""
    x = np.column_stack([np.ones(len(y)), *columns.values()])
    if len(y) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return _no_slopes(name, columns)
    return _slopes_of(name, columns, sm.OLS(y, x).fit())


def logistic_slopes(
    name: str, y: np.ndarray, columns: dict[str, np.ndarray], **how: str
) -> Estimates:
    """The slopes of a logistic regression; `how` as statsmodels has it.

    NaN where there are none: a few rows may be told apart without error.
    """
    x = np.column_stack([np.ones(len(y)), *columns.values()])
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore", ModelWarning)
        try:
            fit = sm.Logit(y, x).fit(disp=0, **how)
            if fit.mle_retvals["converged"]:
                return _slopes_of(name, columns, fit)
        except np.linalg.LinAlgError:
            pass
    return _no_slopes(name, columns)


def _slopes_of(name: str, columns: dict, fit) -> Estimates:
    variances = np.diag(fit.cov_params())[1:]
    names = _names(name, columns)
    return Estimates(names, fit.params[1:], variances, fit.df_resid)


def _no_slopes(name: str, columns: dict) -> Estimates:
    nothing = np.full(len(columns), np.nan)
    return Estimates(_names(name, columns), nothing, nothing, np.inf)


def _names(name: str, columns: dict) -> tuple[str, ...]:
    return tuple(f"{name} {column}" for column in columns)


def draw_normal(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Five normal columns."""
    x = rng.standard_normal((n, 5)) @ np.linalg.cholesky(CORRELATION).T
    return pd.DataFrame(x, columns=["a", "b", "v1", "v2", "v3"])


def analyse_normal(table: pd.DataFrame) -> list[Estimates]:
    """Of the last visit mostly, which dropout hits most."""
    a, b, v1, _, v3 = table.to_numpy(float).T
    upper = (v3 > 0).astype(float)
    return [
        mean("mean v3", v3),
        quartiles("v3", v3),
        slopes("v3 on", v3, {"a": a, "b": b, "v1": v1}),
        logistic_slopes("v3>0 on", upper, {"a": a, "v1": v1}, cov_type="HC0"),
        correlation("cor v1,v3", v1, v3),
    ]


def draw_nonlinear(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """A square, a product and a skewed column of three normal ones."""
    a, e_b, e_1, e_2, e_3 = rng.standard_normal((5, n))
    b = 0.5 * a + np.sqrt(0.75) * e_b
    v1 = 0.5 * b + np.sqrt(0.75) * e_1
    v2 = np.exp(0.4 * b + 0.4 * e_2)
    v3 = 0.5 * v1 + 0.4 * v1**2 + 0.4 * a * b + 0.7 * e_3
    return pd.DataFrame({"a": a, "b": b, "v1": v1, "v2": v2, "v3": v3})


def analyse_nonlinear(table: pd.DataFrame) -> list[Estimates]:
    """Regressions that know the square and the product."""
    a, b, v1, v2, v3 = table.to_numpy(float).T
    curve = {"v1": v1, "v1^2": v1**2, "a": a, "b": b, "a*b": a * b}
    upper = (v2 > 1).astype(float)
    return [
        mean("mean v3", v3),
        quartiles("v3", v3),
        mean("mean v2", v2),
        slopes("v3 on", v3, curve),
        logistic_slopes("v2>1 on", upper, {"b": b}, cov_type="HC0"),
        correlation("cor b,v1", b, v1),
    ]


def draw_mixed(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Numbers, one of them skewed, three levels and a yes or no."""
    a, e_1, e_2, e_3 = rng.standard_normal((4, n))
    # The level with the largest utility: a multinomial logit.
    utility = rng.gumbel(size=(n, 3)) + np.outer(a, [0, 0.8, -0.5])
    level = utility.argmax(axis=1)
    v1 = 0.5 * a + np.array([0, 0.5, -0.5])[level] + 0.8 * e_1
    v2 = np.exp(0.3 * v1 + 0.2 * a + 0.4 * e_2)
    chance = expit(-0.2 + 0.8 * v1 + 0.5 * (level == 2))
    b = rng.random(n) < chance
    v3 = 0.5 * v1 + 0.5 * v2 + 0.6 * b + e_3
    v3 += np.array([0, 0.4, -0.4])[level]
    return pd.DataFrame(
        {
            "a": a,
            "g": np.array(["low", "mid", "high"])[level],
            "b": np.where(b, "yes", "no"),
            "v1": v1,
            "v2": v2,
            "v3": v3,
        }
    )


def analyse_mixed(table: pd.DataFrame) -> list[Estimates]:
    """Regressions that are the law of the last visit and of the yes or no."""
    v1, v2, v3 = (table[name].to_numpy(float) for name in ("v1", "v2", "v3"))
    b = (table["b"] == "yes").to_numpy(float)
    mid, high = ((table["g"] == g).to_numpy(float) for g in ("mid", "high"))
    given = {"v1": v1, "v2": v2, "b": b, "mid": mid, "high": high}
    return [
        mean("mean v3", v3),
        mean("mean v2", v2),
        quartiles("v2", v2),
        mean("share b", b),
        mean("share high", high),
        slopes("v3 on", v3, given),
        logistic_slopes("b on", b, {"v1": v1, "high": high}),
        correlation("cor v1,v3", v1, v3),
    ]


def normal_truth() -> dict[str, float]:
    """What has a formula in the normal table."""
    quarter = stats.norm.ppf(0.75)
    cause = CORRELATION[:3, :3]
    weights = np.linalg.solve(cause, CORRELATION[:3, 4])
    return {
        "mean v3": 0.0,
        "q25 v3": -quarter,
        "q75 v3": quarter,
        **{f"v3 on {x}": w for x, w in zip(("a", "b", "v1"), weights)},
        "cor v1,v3": CORRELATION[2, 4],
    }


NONLINEAR_TRUTH = {
    "mean v3": 0.6,  # 0.4 E v1^2 + 0.4 cov(a, b)
    "mean v2": np.exp(0.16),
    "v3 on v1": 0.5,
    "v3 on v1^2": 0.4,
    "v3 on a": 0.0,
    "v3 on b": 0.0,
    "v3 on a*b": 0.4,
    "cor b,v1": 0.5,
}
MIXED_TRUTH = {
    "v3 on v1": 0.5,
    "v3 on v2": 0.5,
    "v3 on b": 0.6,
    "v3 on mid": 0.4,
    "v3 on high": -0.4,
    "b on v1": 0.8,
    "b on high": 0.5,
}
# Without a formula; what this script prints.
SIMULATED: dict[str, dict[str, float]] = {
    "normal": {"v3>0 on a": 0.28863, "v3>0 on v1": 0.76196},
    "nonlinear": {
        "q25 v3": -0.16599,
        "q75 v3": 1.18306,
        "v2>1 on b": 1.69897,
    },
    "mixed": {
        "mean v3": 0.91636,
        "mean v2": 1.22018,
        "q25 v2": 0.65403,
        "q75 v2": 1.53454,
        "share b": 0.49486,
        "share high": 0.34442,
        "cor v1,v3": 0.71100,
    },
}
DESIGNS = {
    "normal": Design(
        draw_normal,
        analyse_normal,
        normal_truth() | SIMULATED["normal"],
        ("v1", "v2", "v3"),
        (("b", "v1"), ("v2", "v3")),
    ),
    "nonlinear": Design(
        draw_nonlinear,
        analyse_nonlinear,
        NONLINEAR_TRUTH | SIMULATED["nonlinear"],
        ("v1", "v2", "v3"),
        (("b", "v1"), ("v2", "v3")),
    ),
    "mixed": Design(
        draw_mixed,
        analyse_mixed,
        MIXED_TRUTH | SIMULATED["mixed"],
        ("v1", "v2", "v3"),
        (("g", "v1"), ("b", "v2", "v3")),
    ),
}


def simulated_truth(
    name: str, rows: int = 10**6, repeats: int = 20, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """What large tables give, and its Monte Carlo error, by name."""
    design, found = DESIGNS[name], []
    for k in range(repeats):
        rng = np.random.default_rng([seed, k])
        parts = design.analyse(design.draw(rng, rows))
        names = [each for part in parts for each in part.names]
        found.append(np.concatenate([part.values for part in parts]))
    error = np.std(found, axis=0, ddof=1) / np.sqrt(repeats)
    return dict(zip(names, zip(np.mean(found, axis=0), error)))


def main(argv: list[str]) -> None:
    """Prints all truths, simulated, with their errors and what is stored."""
    del argv
    for name, design in DESIGNS.items():
        for what, (value, error) in simulated_truth(name).items():
            known = design.truth.get(what, np.nan)
            print(f"{name} {what!r}: {value:.5f} +- {error:.5f}, {known:.5f}")


if __name__ == "__main__":
    records.run(main)
