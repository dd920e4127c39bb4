"""The peers that miri is measured against, each by its own package.

A peer takes the table standardised by its observed entries and gives one
filled table; a second call with another seed is a second, independent
imputation. Those of scikit-learn run in this process. HyperImpute's plugins
need older packages than this project and run in an environment of their own,
once a call, by experiments/hyperimpute_worker.py:

    python3 -m venv ENV
    ENV/bin/pip install -r experiments/hyperimpute_requirements.txt
    export HYPERIMPUTE_PYTHON=ENV/bin/python
"""

import os
import pathlib
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from miri_jax.types import Masked

HERE = pathlib.Path(__file__).parent
WORKER = HERE / "hyperimpute_worker.py"
REQUIREMENTS = HERE / "hyperimpute_requirements.txt"
# The variable that names the python of HyperImpute's environment.
HYPERIMPUTE_PYTHON = "HYPERIMPUTE_PYTHON"
# Name here -> (plugin there, its settings beyond the defaults).
HYPERIMPUTE: dict[str, tuple[str, dict[str, Any]]] = {
    "hyperimpute": ("hyperimpute", {}),
    "hyperimpute_mice": ("mice", {}),
    "hyperimpute_missforest": ("missforest", {}),
    "hyperimpute_miwae": ("miwae", {}),
    "hyperimpute_softimpute": ("softimpute", {}),
    "hyperimpute_em": ("EM", {}),
    "hyperimpute_sinkhorn": ("sinkhorn", {}),
    "hyperimpute_miracle": ("miracle", {}),
    "hyperimpute_gain": ("gain", {}),
}


class PeerError(RuntimeError):
    """A peer that cannot run, or whose output is not an imputation."""


def mice(seed: int) -> BaseEstimator:
    """MICE: chained Bayesian ridge regressions, drawn from their posterior."""
    return IterativeImputer(sample_posterior=True, random_state=seed)


def iterative(seed: int) -> BaseEstimator:
    """IterativeImputer as it comes: chained regressions, no sampling."""
    return IterativeImputer(random_state=seed)


def missforest(seed: int) -> BaseEstimator:
    """MissForest (Stekhoven and Buehlmann, 2012): chained forests.

    100 trees, mtry sqrt(d) and nodes of 5 or more as in the R package, of
    extremely randomised trees: on wine and housing, mask 11, they came out
    ahead of RandomForestRegressor, and both ahead of scikit-learn's own
    defaults for forests (all columns in each split, nodes of 1).
    """
    forest = ExtraTreesRegressor(
        100,
        min_samples_leaf=5,
        max_features="sqrt",
        random_state=seed,
        n_jobs=-1,
    )
    return IterativeImputer(estimator=forest, random_state=seed)


def knn(seed: int) -> BaseEstimator:
    """KNNImputer as it comes: the mean of the five nearest rows."""
    del seed  # Nothing here is random.
    return KNNImputer()


ESTIMATORS: dict[str, Callable[[int], BaseEstimator]] = {
    "mice": mice,
    "iterative": iterative,
    "missforest": missforest,
    "knn": knn,
}


def hyperimpute_python() -> str | None:
    """The python of HyperImpute's environment, where one is named."""
    return os.environ.get(HYPERIMPUTE_PYTHON) or None


def missing_python() -> str:
    """What to do where no python of HyperImpute's is named, in one line."""
    requirements = os.path.relpath(REQUIREMENTS)
    return (
        "HyperImpute needs an environment of its own: python3 -m venv ENV &&"
        f" ENV/bin/pip install -r {requirements} && export"
        f" {HYPERIMPUTE_PYTHON}=ENV/bin/python"
    )


def method_settings(name: str) -> dict[str, Any]:
    """All settings of a peer but its seed, its defaults among them.

    Those of a plugin of HyperImpute are given and the rest are its own.
    """
    if name in HYPERIMPUTE:
        plugin, settings = HYPERIMPUTE[name]
        return {"plugin": plugin, **settings}
    found = ESTIMATORS[name](0).get_params()
    return {
        key: repr(value) if isinstance(value, float | BaseEstimator) else value
        for key, value in found.items()
        if "random_state" not in key and isinstance(value, _PLAIN)
    }


_PLAIN = bool | int | float | str | None | BaseEstimator


def check_filled(name: str, data: Masked, filled: np.ndarray) -> None:
    """Raises PeerError where an output is no imputation of the table.

    A package that fails inside may hand back what it started from. So the
    output must be finite, hold every observed entry, and not be, in all
    columns with gaps at once, a constant: the mean, the median or the most
    frequent of their observed entries, or whatever else.

    Args:
      name: of the peer.
      data: the table.
      filled: `[n, d]`, standardised.
    """
    x, m = np.asarray(data.x), np.asarray(data.m)
    if filled.shape != x.shape:
        raise PeerError(f"{name} gave {filled.shape} for a table {x.shape}")
    if not np.isfinite(filled).all():
        bad = int(np.sum(~np.isfinite(filled)))
        raise PeerError(f"{name} left {bad} entries that are not finite")
    if not np.allclose(filled[m], x[m], rtol=1e-5, atol=1e-5):
        raise PeerError(f"{name} changed observed entries")
    gaps = np.flatnonzero(~m.all(axis=0))
    if gaps.size and all(
        _constant_fill(x[m[:, j], j], filled[~m[:, j], j]) for j in gaps
    ):
        raise PeerError(
            f"{name} filled every column with a constant, as its mean, median"
            " or most frequent value: it has imputed nothing"
        )


def _constant_fill(seen: np.ndarray, filled: np.ndarray) -> bool:
    """Whether all of a column's gaps hold one value, or one a statistic."""
    if not seen.size:
        return True
    if len(filled) > 1:
        return bool(np.ptp(filled) < 1e-4)
    values, counts = np.unique(seen, return_counts=True)
    frequent = values[np.argmax(counts)]
    return any(
        np.allclose(filled, statistic, rtol=1e-4, atol=1e-4)
        for statistic in (seen.mean(), np.median(seen), frequent)
    )


def _scikit_learn(name: str, data: Masked, seed: int) -> np.ndarray:
    """Filled `[n, d]`, standardised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it never says it has converged
        filled = ESTIMATORS[name](seed).fit_transform(_with_gaps(data))
    check_filled(name, data, filled)
    return filled


def _hyperimpute(name: str, data: Masked, seed: int) -> np.ndarray:
    """Filled `[n, d]`, standardised; seconds include the worker's start."""
    python = hyperimpute_python()
    if python is None:
        raise PeerError(missing_python())
    plugin, settings = HYPERIMPUTE[name]
    with tempfile.TemporaryDirectory() as folder:
        here = os.path.join(folder, "in.npz")
        back = os.path.join(folder, "out.npz")
        np.savez(here, x=_with_gaps(data), seed=seed, **settings)
        # It also keeps its models' own logs in the working directory.
        done = subprocess.run(
            [os.path.abspath(python), str(WORKER), plugin, here, back],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if done.returncode or not os.path.exists(back):
            said = done.stderr.strip().splitlines() or ["no message"]
            raise PeerError(
                f"{name} ended with code {done.returncode}: {said[-1]}"
            )
        with np.load(back) as found:
            filled = found["x"]
    check_filled(name, data, filled)
    # Columns that went through float32 and back come out a little off.
    return np.where(data.m, data.x, filled)


def _with_gaps(data: Masked) -> np.ndarray:
    return np.where(data.m, data.x, np.nan)


PEERS: dict[str, Callable[[Masked, int], np.ndarray]] = {
    **{name: partial(_scikit_learn, name) for name in ESTIMATORS},
    **{name: partial(_hyperimpute, name) for name in HYPERIMPUTE},
}
