"""DiffPuter's and MissDiff's protocols, on small tables."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments import generation, mixed


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(60)
    frame = pd.DataFrame(
        {"a": x, "b": x + rng.standard_normal(60), "word": ["u", "v"] * 30}
    )
    frame.loc[0, "a"] = np.nan
    frame.to_csv(tmp_path / "plain.csv.gz", index=False)
    return str(tmp_path)


def test_complete_rows_of_numbers(folder):
    frame, levels = mixed.load(folder, "plain", 50, 1)
    assert levels == [] and list(frame) == ["a", "b"] and len(frame) == 50
    assert frame.notna().all(axis=None)
    assert len(mixed.load(folder, "plain", 99, 1)[0]) == 59


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar"])
def test_cells_are_hidden_by_ranks(mechanism):
    truth, _, _ = generation.load("network", "", 300, 1)
    hidden = mixed.hide(truth, mechanism, 0.3, 1)
    assert hidden.shape == truth.shape and not hidden.all(axis=1).any()
    share = hidden.mean(axis=0)
    assert share[share > 0].mean() == pytest.approx(0.3, abs=0.04)


def test_errors_of_numbers_and_accuracy_of_levels():
    truth = pd.DataFrame({"a": [0.0, 2.0], "k": ["u", "v"]})
    filled = pd.DataFrame({"a": [1.0, 2.0], "k": ["u", "u"]})
    hidden = np.array([[True, True], [False, True]])
    scale = truth.std(ddof=0, numeric_only=True)
    span = 2 * scale  # of two values
    found = mixed.score(truth, filled, hidden, ["k"], scale, span)
    of_a = {"rmse": 1.0, "mae": 1.0, "rmse_minmax": 0.5}
    assert found == {**of_a, "accuracy": 0.5}
    part = truth[["a"]], filled[["a"]], hidden[:, :1]
    assert mixed.score(*part, [], scale, span) == of_a


def test_a_regression_fills_numbers_and_levels():
    truth, _, levels = generation.load("network", "", 200, 1)
    gaps = truth.mask(mixed.hide(truth, "mcar", 0.3, 1))
    for make in (mixed.scikit("iterative", 1, levels), mixed.mode):
        filled = make(gaps[:150])(gaps[150:])
        assert filled.notna().all(axis=None)
        seen = gaps[150:].notna()
        assert (
            (filled.where(seen) == gaps[150:]).where(seen, True).all(axis=None)
        )
        assert set(filled["D2"]) <= {"l0", "l1", "l2"}
    assert mixed.parted("gaussian:rounds=3") == ("gaussian", {"rounds": 3})
    settings = mixed.settings("diffputer:num_samples=3", 1, 1)
    assert settings["imputer"]["num_samples"] == 3
    settings = mixed.settings("iterative", 1, 1)
    assert json.loads(json.dumps(settings)) == settings


def test_the_network_has_its_shares():
    rows = generation.network(20_000, 1)
    level = lambda name, k: rows[name] == f"l{k}"
    near = lambda x: pytest.approx(x, abs=0.02)
    assert level("D1", 1).mean() == near(0.3)
    assert level("D2", 2)[level("D1", 0)].mean() == near(0.9)
    some = level("D1", 1) & (rows["C1"] > 26) & (rows["C2"] > 55)
    assert level("D2", 1)[some].mean() == pytest.approx(0.6, abs=0.05)
    for k, share in enumerate((0.2, 0.4, 0.8)):
        assert level("D3", 1)[level("D2", k)].mean() == near(share)
    assert (
        rows["C2"].mean() == near(52.5) or abs(rows["C2"].mean() - 52.5) < 0.1
    )


def test_rows_made_and_their_scores(monkeypatch):
    train, test, levels = generation.load("network", "", 150, 1)
    gaps = train.mask(mixed.hide(train, "mcar_row", 0.2, 1))
    make = lambda method: generation.generate(method, train, gaps, levels, 1)
    assert make("real") is train
    with pytest.raises(ValueError, match="no complete rows"):
        make("delete")
    made = make("gaussian")
    assert made.shape == train.shape and made.notna().all(axis=None)
    two = {name: generation.CLASSIFIERS[name] for name in ("tree", "logistic")}
    monkeypatch.setattr(generation, "CLASSIFIERS", two)
    found = generation.score(train, train, test, "D3", levels, 1)
    assert set(found["by"]) == {"tree", "logistic"}
    assert 0.5 < found["accuracy"] < 1
    mean = np.mean([one["auroc"] for one in found["by"].values()])
    assert found["auroc"] == pytest.approx(mean)


def test_scores_of_a_level_and_of_a_number(monkeypatch):
    """F1 of each class weighs the other's share (MissDiff, C.6.2)."""

    class Said:
        def predict(self, x):
            return x["said"].to_numpy()

        def predict_proba(self, x):
            return np.column_stack([1 - x["said"], x["said"]])

    x = pd.DataFrame({"said": [1, 1, 0, 0, 0, 0, 0, 1]})
    y = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    found = generation.classified(Said(), x, y)
    f1 = 2 / 3, 4 / 5  # two of three and three said; four of five and five
    assert found["f1"] == pytest.approx(f1[0])
    weighted = f1[0] * 5 / 8 + f1[1] * 3 / 8
    assert found["weighted_f1"] == pytest.approx(weighted)
    assert found["accuracy"] == 0.75
    found = generation.regressed(Said(), x, y + 1.0)
    errors = np.mean((x["said"] - y - 1.0) ** 2)
    assert found["rmse"] == pytest.approx(errors**0.5)
    assert found["r2"] == pytest.approx(1 - errors / np.var(y))

    rng = np.random.default_rng(0)
    a = rng.standard_normal(400)
    frame = pd.DataFrame({"a": a, "b": 1e4 * (a + rng.standard_normal(400))})
    monkeypatch.setattr(
        generation, "REGRESSORS", {"linear": generation.REGRESSORS["linear"]}
    )
    found = generation.score(frame[:200], frame[:200], frame[200:], "b", [], 1)
    assert found["r2"] == pytest.approx(0.5, abs=0.1)
    assert found["rmse"] == pytest.approx((1 - found["r2"]) ** 0.5, abs=1e-6)
