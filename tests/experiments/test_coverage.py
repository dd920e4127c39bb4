"""Truths are true, gaps are as said, and lines of a cell add up."""

import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import coverage, records
from experiments.simulated import DESIGNS, MECHANISMS, holes, simulated_truth


@pytest.fixture(scope="module", autouse=True)
def known_flags():
    if "first_seed" not in flags.FLAGS:
        coverage.define_flags()
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["coverage"])


@pytest.mark.parametrize("name", DESIGNS)
def test_truths_are_what_many_rows_give(name):
    found = simulated_truth(name, rows=50_000, repeats=8, seed=7)
    assert set(found) == set(DESIGNS[name].truth)
    for what, (value, error) in found.items():
        # t of 7 degrees of freedom: 6 errors are one in 2000.
        assert value == pytest.approx(DESIGNS[name].truth[what], abs=6 * error)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_gaps_are_as_many_and_where_they_are_said_to_be(name, mechanism):
    design, rng = DESIGNS[name], np.random.default_rng(0)
    table = design.draw(rng, 20_000)
    gone = holes(table, design, mechanism, rng).isna()
    visits, blocks = gone[list(design.visits)], design.blocks
    if mechanism == "mcar":
        assert gone.mean().to_numpy() == pytest.approx(0.3, abs=0.015)
        return
    assert not gone["a"].any()
    if mechanism == "dropout":
        assert (visits.astype(int).diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
        assert 0.3 < visits.iloc[:, -1].mean() < 0.45
        return
    some = gone.drop(columns="a")
    assert some.mean().to_numpy() == pytest.approx(0.3, abs=0.015)
    for name in some:
        assert abs(table["a"][gone[name]].mean()) > 0.4
    if mechanism == "blocks":
        for block in blocks:
            assert gone[list(block)].nunique(axis=1).eq(1).all()


def test_intervals_of_complete_tables_cover():
    found = coverage.measure(
        DESIGNS["nonlinear"], "mcar", 200, "complete", 5, range(100)
    )
    for share in found["covered"].values():
        assert share == pytest.approx(0.95, abs=5 * np.sqrt(0.05 * 0.95 / 100))
    assert found["width"] == found["complete"]


def test_correlations_are_judged_on_fishers_scale():
    table = DESIGNS["normal"].draw(np.random.default_rng(0), 60)
    one = coverage.pooled([table] * 2, DESIGNS["normal"]).loc["cor v1,v3"]
    z = np.arctanh(table["v1"].corr(table["v3"]))
    assert one["estimate"] == pytest.approx(z)
    assert one["high"] - z == pytest.approx(1.96 / np.sqrt(57), rel=1e-3)


def test_methods_are_measured_and_a_second_start_measures_nothing(tmp_path):
    out = tmp_path / "coverage.jsonl"
    methods = ["complete", "cases", "chained:trees=2"]
    with flagsaver.flagsaver(
        designs=["normal"],
        mechanisms=["mcar"],
        rows=["60"],
        methods=methods,
        draws=2,
        tables=3,
        part=2,
        first_seed=5,
        out=str(out),
    ):
        coverage.main([])
        lines = records.read(out)
        coverage.main([])
        assert records.read(out) == lines
    assert [line["method"] for line in lines] == methods * 2
    assert [line["tables"] for line in lines] == [2] * 3 + [1] * 3
    found = coverage.cells(lines)
    assert len(found) == 3 * 9
    few = found["tables"] < 3  # one table has too few complete rows
    assert set(found.index[few].get_level_values("method")) == {"cases"}
    assert found["coverage"].between(0, 1).all()
    assert (found.loc["complete", "width"] == 1).all()
    assert (found.loc[methods[2], "width"] > 1).mean() > 0.5
    # Methods whose names are in another order than those of the lines.
    summary = coverage.summary(found)
    assert summary["cells"].tolist() == [9] * 3
    for (mechanism, method), row in summary.iterrows():
        design, rows, draws, estimate = row["least of"].split(" ", 3)
        cell = (method, mechanism, design, int(rows), int(draws), estimate)
        assert found.loc[cell, "coverage"] == row["least"]


def _line(seed, tables, **means):
    means = dict.fromkeys(coverage.MEANS, 1.0) | means
    return {
        **dict(zip(coverage.KEYS, ("normal", "mar", 9, "x", 4))),
        "first_seed": seed,
        "tables": tables,
        "failed": {},
        **{key: {"mean": value} for key, value in means.items()},
    }


def test_lines_of_a_cell_are_taken_together():
    # Errors of 3 tables: 1, -1, 3; shifts 0, 2, 4; within 1; between 2.
    several = {"error": 0.0, "error^2": 1.0, "shift": 1.0, "shift^2": 2.0}
    single = {"error": 3.0, "error^2": 9.0, "shift": 4.0, "shift^2": 16.0}
    lines = [
        _line(1, 2, covered=1.0, between=2.0, **several),
        _line(3, 1, covered=0.0, between=2.0, **single),
    ]
    one = coverage.cells(json.loads(json.dumps(lines))).iloc[0]
    assert one["tables"] == 3
    assert one["coverage"] == pytest.approx(2 / 3)
    # Variances over tables are 4, of errors as of shifts.
    assert one["bias"] == pytest.approx(1 / 2)
    assert one["shift"] == pytest.approx(2 / 2)
    assert one["ratio"] == pytest.approx((1 + 2.5) / 4)
    assert one["between"] == pytest.approx(2.5 / 4)
    assert not one["within"] and one["seen"]


def test_seeds_of_lines_are_not_wanted_again():
    lines = [_line(3, 2), _line(8, 1)]
    cell = "normal", "mar", 9, "x", 4
    found = coverage.missing_seeds(lines, cell, range(1, 10))
    assert found == [[1, 2], [5, 6, 7], [9]]
    other = "mixed", "mar", 9, "x", 4
    assert coverage.missing_seeds(lines, other, range(3)) == [[0, 1, 2]]


def test_settings_stand_behind_colons():
    words = "chains=20:bootstrap=True:source=noise:one-fit".split(":")
    expected = {"chains": 20, "bootstrap": True, "source": "noise"}
    assert coverage._settings(words) == expected
    with pytest.raises(ValueError, match="KEY=VALUE"):
        coverage._settings(["one-fits"])
