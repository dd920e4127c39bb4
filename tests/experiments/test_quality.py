"""The experiment measures what it says, with the truth and without."""

import numpy as np
import pandas as pd
import pytest

from experiments import quality


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    frame = pd.DataFrame(
        {
            "a": z,
            "b": z + 0.3 * rng.normal(size=200),
            "kind": np.where(z + 0.3 * rng.normal(size=200) > 0, "x", "y"),
        }
    )
    gaps = rng.random(frame.shape) < [0, 0.3, 0.3]
    return frame, gaps


def test_fillings_at_random_are_measured(table):
    found = {
        kind: quality.measure(*table, 1, kind, columns=2)
        for kind in ("hot deck", "noise")
    }
    hot, noise = found["hot deck"], found["noise"]
    # Its own observed values are what the score is over.
    assert hot["truth"] == pytest.approx(1, abs=0.15)
    assert hot["true_coverage_90"] == pytest.approx(0.9, abs=0.12)
    for what in ("truth", "check", "energy"):
        assert noise[what] > hot[what], what
    assert hot["mi"] > 0 and noise["mi"] > 0


def test_pairs_are_ranked_within_a_table():
    rows = pd.DataFrame(
        {
            "name": list("aaabb"),
            "mechanism": "mar",
            "seed": 1,
            "truth": [1.0, 2, 3, 9, 8],
            "check": [1.0, 2, 3, 2, 1],
            "mi": [3.0, 2, 1, 1, 2],
        }
    )
    assert quality.agreement(rows, "check") == 1
    assert quality.agreement(rows, "mi") == 0
