"""The floor is the mean over splits; the summary compares like with like."""

import numpy as np
import pandas as pd
import pytest

from experiments import fidelity, patterns


@pytest.mark.parametrize("rows", [40, 25])
def test_chance_is_the_mean_energy_distance_of_true_rows(rows):
    rng = np.random.default_rng(0)
    found, energies = [], []
    for _ in range(400):
        a, b = (
            pd.DataFrame(rng.normal(size=(n, 3)) * (1, 5, 0.1))
            for n in (rows, 40)
        )
        found.append(patterns.chance(b, rows))
        energies.append(fidelity.energy_to(b)(a))
    error = np.std(energies) / np.sqrt(len(energies))
    # b's own deviations stand for those of its law.
    assert np.mean(found) == pytest.approx(np.mean(energies), abs=4 * error)
    assert np.std(found) < np.std(energies) / 2


def test_chance_equals_the_mean_over_all_splits():
    rows = pd.DataFrame({"a": [0.0, 1.0, 3.0, 7.0]})
    rows /= rows.std()
    halves = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    mean = lambda p, q: np.abs(p[:, None] - q).mean()
    energies = []
    for half in halves:
        parts = half, {0, 1, 2, 3} - {*half}
        x, y = (rows["a"].to_numpy()[list(k)] for k in parts)
        energies.append(2 * mean(x, y) - mean(x, x) - mean(y, y))
    expected = np.mean(energies)  # n/2 is 1
    assert patterns.chance(rows, 4) == pytest.approx(expected)


def _line(name, method, energy, seed=1, floor=2.0):
    return {
        "name": name,
        "method": method,
        "energy": energy,
        "seed": seed,
        "floor": floor,
    }


def test_summary_takes_means_over_seeds_and_medians_of_shared_tables():
    rows = [
        _line("forest", "r-cart", 3.0),
        _line("forest", "r-cart", 5.0, seed=2),
        _line("forest", "miri", 3.0),
        _line("other", "miri", 30.0),
        {"name": "other", "method": "r-cart", "seed": 1, "error": "too long"},
    ]
    table = patterns.summary(rows)
    forest = table.loc["forest"].to_dict()
    assert forest == {"floor": 2, "true": 3.31, "r-cart": 4, "miri": 3}
    assert table.loc["median / floor", "r-cart"] == pytest.approx(2)
    assert table.loc["median / floor", "miri"] == pytest.approx(1.5)
