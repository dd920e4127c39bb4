"""Mean and median filling."""

import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer
from miri_jax.imputers import make_imputer
from tests.imputers.small import fit_case


@pytest.mark.parametrize(
    "name, statistic", [("mean", np.nanmean), ("median", np.nanmedian)]
)
def test_simple_filling_equals_numpy(name, statistic, table):
    data, _ = table
    state, _ = fit_case(make_imputer(name), data)
    gaps = np.where(data.m, data.x, np.nan)
    expected = np.where(data.m, data.x, statistic(gaps, axis=0)[None])
    np.testing.assert_allclose(state.x, expected, atol=1e-6)


@pytest.mark.parametrize("count", [30, 400])
def test_numbers_of_a_table_have_their_own_mean_and_median(count):
    """And not that of their normal scores, which a skewed column shows."""
    rng = np.random.default_rng(0)
    heap = np.where(rng.random(count) < 0.6, 0, rng.exponential(10, count))
    truth = pd.DataFrame(
        {
            "skewed": np.exp(1.2 * rng.standard_normal(count)),
            "heap": heap,
            "count": rng.poisson(1, count),
            "code": rng.choice([10, 20, 25], count, p=[0.6, 0.3, 0.1]),
            "day": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 800, count), "D"),
            "level": rng.choice(list("abc"), count, p=[0.6, 0.3, 0.1]),
        }
    )
    gaps = truth.mask(rng.random(truth.shape) < 0.3)
    gone = gaps.isna()
    for method in ("mean", "median"):
        filled = MIRIImputer(method).fit_transform(gaps)
        for name in ("skewed", "heap", "count"):
            expected = getattr(gaps[name].astype(float), method)()
            np.testing.assert_allclose(
                filled.loc[gone[name], name].astype(float),
                np.round(expected) if name == "count" else expected,
                rtol=1e-4,
                atol=1e-4,
            )
        if count > 50:  # Of codes the nearest that there is.
            assert set(filled.loc[gone["code"], "code"]) == {10}
        days = filled.loc[gone["day"], "day"] - getattr(gaps["day"], method)()
        assert abs(days.dt.total_seconds()).max() <= 86400 / 2 + 1
        assert set(filled.loc[gone["level"], "level"]) == {"a"}
