"""What users write, for type checkers: nothing runs it, see CONTRIBUTING.md."""

from typing import Any, assert_type

import jax
import numpy as np
import pandas as pd

import miri_jax
from miri_jax import MIRIImputer, make_imputer, overimpute, pool
from miri_jax.data.toy import load_toy
from miri_jax.engine import seed_keys
from miri_jax.pooling import Pooled
from miri_jax.types import Imputer


def fill(frame: pd.DataFrame) -> None:
    """An analyst's table."""
    imputer = MIRIImputer(
        "chained",
        n_imputations=5,
        random_state=0,
        bounds={"a": (0, None)},
        kinds={"b": "categorical"},
        settings={"sweeps": 2},
        rules=["a <= c"],
        verbose=False,
    )
    assert_type(imputer.fit(frame), MIRIImputer)
    assert_type(imputer.fit_transform(frame), Any)
    assert_type(imputer.imputations(frame), list[Any])
    assert_type(imputer.notes_, tuple[str, ...])
    rows: pd.DataFrame = imputer.sample(1000)
    imputer.save("model", overwrite=True)
    assert_type(MIRIImputer.load("model"), MIRIImputer)
    found = overimpute(MIRIImputer(), rows)
    assert_type(found, pd.DataFrame)


def conclude() -> None:
    """Estimates of several imputations."""
    pooled = pool(np.ones((5, 2)), np.ones((5, 2)))
    assert_type(pooled, Pooled)


def compose() -> None:
    """Functions, as in README."""
    toy = load_toy(rows=2000, rate=0.3, mask_seed=1)
    imputer = make_imputer("miri", num_iterations=10)
    assert_type(imputer, Imputer)
    keys = seed_keys(0)
    state = miri_jax.fit(keys.fit, imputer, toy.masked())
    x: np.ndarray = miri_jax.draw(keys.draw, imputer, state, toy.masked())
    assert_type(toy.compare(toy.restore(x)), dict[str, float])
    source = miri_jax.sources.noise()
    assert_type(miri_jax.miri(miri_jax.FAST._replace(source=source)), Imputer)
    again = imputer.impute(jax.random.key(0), state, toy.masked())
    assert_type(again, jax.Array)
