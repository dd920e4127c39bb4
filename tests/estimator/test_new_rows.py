"""Rows that come one by one, and in other orders, as in a table."""

import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer


@pytest.fixture(scope="module")
def fitted():
    """A plane with correlation 0.8, fitted; 100 rows that miss the second."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 2))
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    table = pd.DataFrame(x, columns=["a", "b"])
    table.iloc[:200, 1] = np.nan
    settings = {"num_iterations": 20}
    imputer = MIRIImputer("gaussian", settings=settings, random_state=0)
    return imputer.fit(table), table.iloc[:100]


def test_single_rows_get_what_they_get_in_a_table(fitted):
    imputer, rows = fitted
    alone = [imputer.transform(rows.iloc[[k]]) for k in range(100)]
    alone = pd.concat(alone)["b"].to_numpy()
    together = imputer.transform(rows)["b"].to_numpy()
    np.testing.assert_allclose(alone, together, atol=1e-5)
    noise = (alone - 0.8 * rows["a"].to_numpy()) / 0.6
    assert len(np.unique(noise)) == 100
    assert abs(noise.mean()) < 0.4 and 0.75 < noise.std() < 1.25


def test_rows_in_another_order_get_the_same(fitted):
    imputer, rows = fitted
    order = np.random.default_rng(1).permutation(100)
    found = imputer.transform(rows.iloc[order])["b"]
    expected = imputer.transform(rows)["b"].iloc[order]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_equal_rows_differ_within_a_table_and_between_parts(fitted):
    imputer, rows = fitted
    equal = rows.iloc[[0] * 50]
    first = imputer.transform(equal)["b"]
    assert first.nunique() == 50 and 0.4 < first.std() < 0.8
    one = imputer.transform(rows.iloc[[0]])["b"]
    np.testing.assert_allclose(one, first.iloc[:1], atol=1e-5)
    parts = [imputer.transform(equal, part=name)["b"] for name in "uv"]
    np.testing.assert_allclose([p.iloc[0] for p in parts], first.iloc[0])
    assert pd.concat(parts).nunique() == 99
    again = imputer.imputations(equal, part="u")[0]["b"]
    np.testing.assert_array_equal(again, parts[0])


def test_rows_get_the_same_whatever_the_parts(fitted):
    imputer, rows = fitted
    whole = imputer.transform(rows, part="whole")["b"]
    parts = np.split(np.random.default_rng(1).permutation(100), [9, 50])
    for k, part in enumerate(parts):
        found = imputer.transform(rows.iloc[part], part=str(k))["b"]
        np.testing.assert_allclose(found, whole.iloc[part], atol=1e-5)


def test_a_row_unlike_all_others_is_filled_within_the_tails():
    # Two columns that go together, and a third that is their difference many
    # times over: of a new row where they part it would be any number.
    rng = np.random.default_rng(2)
    a = rng.standard_normal(400)
    part = rng.standard_normal(400)
    frame = pd.DataFrame({"a": a, "b": a + 0.01 * part, "c": np.exp(part)})
    new = pd.DataFrame({"a": [2.0, -2.0], "b": [-2.0, 2.0], "c": np.nan})
    imputer = MIRIImputer("gaussian", random_state=0).fit(
        frame.mask(rng.random(frame.shape) < 0.1)
    )
    filled = imputer.transform(new)["c"]
    assert 0 < filled.min() and filled.max() < 3 * frame["c"].max()
