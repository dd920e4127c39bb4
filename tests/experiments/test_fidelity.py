"""The scores of filled tables equal their closed forms, and rank fillings."""

import itertools

import numpy as np
import pandas as pd
import pytest

from experiments import fidelity


def test_fair_crps_equals_its_definition():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(5, 40)), rng.normal(size=40)
    error = np.abs(draws - truth).mean(axis=0)
    pairs = [
        np.abs(draws[i] - draws[j])
        for i, j in itertools.permutations(range(5), 2)
    ]
    expected = np.mean(error - np.mean(pairs, axis=0) / 2)
    assert fidelity.fair_crps(draws, truth) == pytest.approx(expected)


def test_fair_brier_equals_its_definition():
    rng = np.random.default_rng(0)
    draws, truth = rng.choice(list("abc"), (4, 50)), rng.choice(list("abc"), 50)
    total = 0.0
    for level in "abc":
        hit, p = truth == level, (draws == level).mean(axis=0)
        total += (p - hit) ** 2 - p * (1 - p) / 3  # unbiased in the draws
    assert fidelity.fair_brier(draws, truth) == pytest.approx(total.mean())


def test_distances_of_margins():
    a = np.arange(10.0)
    assert fidelity.ks_distance(a, a) == 0
    assert fidelity.ks_distance(a, a + 5) == pytest.approx(0.5)
    one, other = np.array(list("aabb")), np.array(list("abbb"))
    assert fidelity.tv_distance(one, other) == pytest.approx(0.25)


@pytest.fixture(scope="module")
def table():
    """Two related numbers and a level, its gaps, and as many other rows."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=1200)
    frame = pd.DataFrame(
        {
            "a": z,
            "b": 0.9 * z + 0.3 * rng.normal(size=1200),
            "k": np.where(z + 0.5 * rng.normal(size=1200) > 0.8, "x", "y"),
        }
    )
    truth = frame[:600].reset_index(drop=True)
    return truth, fidelity.holes(truth, 1, "mcar", 0.3), frame[600:]


def _fill(truth, gaps, name, make):
    filled = truth.copy()
    k = gaps[name].isna().to_numpy()
    filled.loc[k, name] = make(k)
    return filled


def test_better_fillings_score_better(table):
    truth, gaps, others = table
    rng = np.random.default_rng(1)
    regress = lambda: _fill(
        truth,
        gaps,
        "b",
        lambda k: 0.9 * truth["a"][k] + 0.3 * rng.normal(size=k.sum()),
    )
    noise = lambda: _fill(
        truth, gaps, "b", lambda k: rng.normal(size=k.sum()) * truth["b"].std()
    )
    mean = lambda: _fill(truth, gaps, "b", lambda k: truth["b"].mean())
    found = {
        make: fidelity.scores(truth, gaps, [make() for _ in range(4)], others)[
            0
        ]
        for make in (regress, noise, mean)
    }
    good, random, flat = (found[make] for make in (regress, noise, mean))
    assert good["c2st"] < 0.6 < min(random["c2st"], flat["c2st"])
    assert good["crps"] < min(random["crps"], flat["crps"])
    assert good["margin"] < flat["margin"] and random["margin"] < flat["margin"]
    assert good["energy"] < min(random["energy"], flat["energy"])


@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_holes_have_the_rate_and_the_dependence(mechanism):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(4000, 5)), columns=list("abcde"))
    gaps = fidelity.holes(frame, 3, mechanism, 0.25).isna()
    holed = gaps.any()
    assert holed.sum() == (5 if mechanism == "mcar" else 3)
    rates = gaps.loc[:, holed].mean().to_numpy()
    np.testing.assert_allclose(rates, 0.25, atol=0.03)
    if mechanism == "mar":
        name = gaps.columns[holed][0]
        apart = [
            abs(np.corrcoef(gaps[name], frame[driver])[0, 1])
            for driver in gaps.columns[~holed]
        ]
        assert max(apart) > 0.1
