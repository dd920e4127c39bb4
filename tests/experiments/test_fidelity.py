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


def test_energy_equals_its_definition():
    rng = np.random.default_rng(0)
    a = pd.DataFrame(rng.normal(1, 2, (30, 2)), columns=list("ab"))
    b = pd.DataFrame(rng.normal(0, 3, (20, 2)), columns=list("ab"))
    a["same"], b["same"] = 4.0, 4.0  # is not divided by its deviation
    x, y = (((part - b.mean()) / b.std())[["a", "b"]] for part in (a, b))
    mean = lambda p, q: np.mean(
        [np.hypot(*(u - v)) for u in p.to_numpy() for v in q.to_numpy()]
    )
    expected = 10 * (2 * mean(x, y) - mean(x, x) - mean(y, y))
    distance = fidelity.energy_to(b)
    assert distance(a) == pytest.approx(expected)
    assert distance(b) == pytest.approx(0, abs=1e-9)


def test_hot_deck_gives_observed_cells_and_repeats(table, tmp_path):
    truth, gaps, _ = table
    path = tmp_path / "in.csv"
    gaps.to_csv(path, index=False)
    first, _ = fidelity.fill("hot", path, 3, 1, 60)
    again, _ = fidelity.fill("hot", path, 3, 1, 60)
    other, _ = fidelity.fill("hot", path, 3, 2, 60)
    missing = gaps.isna()
    for k, filled in enumerate(first):
        pd.testing.assert_frame_equal(filled, again[k])
        assert not filled.equals(other[k]) and not filled.equals(first[k - 1])
        for name in truth:
            gone = missing[name]
            assert (filled[name][~gone] == truth[name][~gone]).all()
            assert set(filled[name][gone]) <= set(filled[name][~gone])
    share = np.mean([(f["k"][missing["k"]] == "x").mean() for f in first])
    seen = (truth["k"][~missing["k"]] == "x").mean()
    assert share == pytest.approx(seen, abs=0.05)


def _line(name, seed, method, margin, c2st, crps, mechanism="mar"):
    same = {"rate": 0.25, "rows": 2000, "draws": 5, "floor": 0.03}
    return same | {
        "name": name,
        "mechanism": mechanism,
        "seed": seed,
        "method": method,
        "margin": margin,
        "c2st": c2st,
        "crps": crps,
    }


def test_ratios_to_cart_are_of_the_same_seeds():
    rows = [
        _line("a", 1, "r-cart", 0.04, 0.6, 0.5),
        _line("a", 2, "r-cart", 0.06, 0.8, 0.7),
        _line("b", 1, "r-cart", 0.04, 0.5, 1.0),
        _line("a", 1, "miri", 0.05, 0.7, 0.4),
        _line("b", 1, "miri", 0.05, 0.7, 0.4),
        _line("c", 1, "miri", 0.9, 0.9, 0.9),  # no cart to compare with
        _line("a", 1, "hot", 0.07, 0.9, 1.0),
        _line("a", 2, "hot", 0.07, 0.9, 1.0),
        _line("a", 1, "r-cart", 0.04, 0.6, 0.5, "mcar"),
    ]
    found = fidelity.ratios(rows)
    margin = found["margin - floor", "mar"]
    assert margin.loc["a"].to_dict() == pytest.approx({"miri": 2, "hot": 2})
    assert margin.loc["median", "miri"] == pytest.approx(2)
    c2st = found["c2st - 0.5", "mar"]
    assert c2st.loc["a"].to_dict() == pytest.approx({"miri": 2, "hot": 2})
    assert np.isnan(c2st.loc["b", "miri"])  # nothing to be worse than
    crps = found["crps", "mar"]["miri"].to_dict()
    assert crps == pytest.approx({"a": 0.8, "b": 0.4, "median": 0.6})


def test_ratios_without_cart_are_empty():
    assert fidelity.ratios([_line("a", 1, "miri", 0.05, 0.7, 0.4)]) == {}
