"""What a filling lost is said, and nothing else."""

import numpy as np
import pandas as pd

from miri_jax.data import tables
from miri_jax.report.filling import filling_warnings
from tests.report.making import make_dataset


def _made(n=1500, seed=0):
    """A table whose gaps follow a driver, and which cells they are in."""
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 80, n).astype(float)
    frame = pd.DataFrame(
        {
            "age": age,
            "town": np.where(
                rng.random(n) < 0.08, "small", np.where(age > 50, "old", "new")
            ),
            "spend": np.where(
                rng.random(n) < 0.3, 0.0, rng.gamma(2, 20, n).round(2)
            ),
            "size": (age / 10 + rng.standard_normal(n)).round(2),
        }
    )
    missing = np.zeros(frame.shape, bool)
    odds = np.exp((age - 50) / 12)
    for j in (1, 2, 3):
        missing[:, j] = rng.random(n) < 0.5 * odds / (1 + odds)
    return frame, missing


def _filled(dataset, frame):
    """A draw that is the table as it is said to be."""
    whole = tables.encode_rows(
        frame, np.zeros(frame.shape, bool), dataset.table.columns
    )
    return np.where(dataset.m, dataset.values, whole.values)


def test_the_truth_is_no_fault_though_gaps_change_shares():
    for seed in range(5):
        frame, missing = _made(seed=seed)
        dataset = make_dataset(frame, missing)
        assert filling_warnings(dataset, [_filled(dataset, frame)]) == []


def test_shares_that_gaps_explain_are_no_fault():
    frame, missing = _made()
    # Only the old have gaps, and all of them live in one town.
    frame["town"] = np.where(frame.age > 50, "old", "new")
    missing[:, 1] &= frame.age > 50
    dataset = make_dataset(frame, missing)
    assert filling_warnings(dataset, [_filled(dataset, frame)]) == []


def test_lost_levels_heaps_and_far_values_are_named():
    frame, missing = _made()
    dataset = make_dataset(frame, missing)
    made = frame.copy()
    made.loc[made.town == "small", "town"] = "old"
    made.loc[made.spend == 0, "spend"] = 0.01
    made.loc[made.index % 20 == 0, "size"] = 30.0
    said = filling_warnings(dataset, [_filled(dataset, made)])
    assert len(said) == 3
    for line, name, what in zip(
        said,
        ("town", "spend", "size"),
        ("“small”: ", "0: ", "far outside"),
    ):
        assert name in line and what in line
        others = {"town", "spend", "size"} - {name}
        assert not any(f"“{other}”" in line for other in others)


def test_a_found_order_that_a_draw_breaks_is_named():
    rng = np.random.default_rng(0)
    low = rng.gamma(2, 20, 900).round(1)
    frame = pd.DataFrame(
        {"low": low, "high": (low + rng.exponential(5, 900)).round(1)}
    )
    missing = rng.random(frame.shape) < 0.2
    missing[missing.all(axis=1)] = False
    dataset = make_dataset(frame, missing, look=True)
    assert dataset.table.related.relations.found == ("low <= high",)
    assert filling_warnings(dataset, [_filled(dataset, frame)]) == []
    wrong = frame.assign(high=frame.high.where(~missing[:, 1], 0.5))
    (line,) = filling_warnings(dataset, [_filled(dataset, wrong)])[:1]
    assert "low <= high" in line and "does not hold" in line
