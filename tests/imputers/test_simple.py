"""Mean and median filling."""

import numpy as np
import pytest

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
