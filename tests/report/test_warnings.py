"""Warnings: they name the columns that they are about, and no others."""

import re

import numpy as np
import pandas as pd
import pytest

from miri_jax.app.command_line import IMPUTE_FLAGS, with_flags
from miri_jax.data.readers import read_table
from miri_jax.engine.several import ONE_FIT, SAME_ROWS
from miri_jax.notes import Note
from miri_jax.report import facts
from miri_jax.report.warnings import warnings_of
from tests.report.making import (
    make_dataset,
    make_draws,
    words_of,
    write_page,
)


def _warnings(frame, missing, draws=None, count=3, **settings):
    dataset = make_dataset(frame, missing, **settings)
    draws = draws or make_draws(dataset, count)
    return warnings_of(facts.views_of_file(dataset, draws), [])


def test_a_harmless_table_has_no_warnings():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=300), "b": rng.choice(["x", "y"], 300)}
    )
    missing = rng.random(frame.shape) < 0.2
    missing[missing.all(axis=1), 0] = False
    assert _warnings(frame, missing) == []


def test_warnings_name_the_columns_and_only_those():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "fine": rng.normal(size=n),
            "empty": np.nan,
            "sparse": rng.normal(size=n),
            "few": rng.normal(size=n),
            "flat": 3.0,
            "town": ["x", "y"] * 198 + ["x", "y", "rare", "rare"],
        }
    )
    missing = rng.random(frame.shape) < 0.1
    missing[:, 1], missing[:100, 2], missing[100:, 2] = True, False, True
    missing[:, 3] = np.arange(n) >= 12
    missing[-2:, 5] = False
    missing[0], missing[1:, 0] = True, False
    found = _warnings(frame, missing, empty_value=0)
    for text, names in {
        "not one value was observed": ["empty"],
        "most cells are missing": ["sparse", "few"],
        "fewer than 30 values": ["few"],
        "all observed values are equal": ["flat"],
        "fewer than 5 times": ["town"],
        "no observed cell": [],
    }.items():
        (line,) = [line for line in found if text in line]
        said = re.findall("\u201c(.*?)\u201d", line.replace("\u201crare", ""))
        assert said[: len(names)] == names
    assert "\u201cfew\u201d (97%)" in found[1]
    assert "\u201cfew\u201d (11 values)" in found[2]
    assert "1 of 3 levels, such as \u201crare\u201d" in "".join(found)
    assert found[-1].startswith("1 row has no observed cell")
    assert not any("fine" in line for line in found)


def test_a_different_distribution_is_warned_of_with_its_numbers():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": np.round(rng.normal(0, 1, 500), 2),
            "b": ["x"] * 400 + ["y"] * 100,
        }
    )
    missing = np.zeros(frame.shape, bool)
    missing[::5, 0] = missing[1::5, 1] = True
    dataset = make_dataset(frame, missing)
    assert not _warnings(frame, missing)
    high, low = frame["a"].max(), frame["a"].quantile(0.9)
    filled = dataset.values.copy()
    filled[::5, 0] = np.linspace(low, high, 100)
    filled[1::5, 1] = 1
    draws = [np.where(dataset.m, dataset.values, filled)]
    (line,) = _warnings(frame, missing, draws)
    assert "\u201cb\u201d (0.80 on a scale" in line
    assert "\u201cy\u201d is 100% of the imputed and 20% of the obs" in line
    distance = float(re.search(r"\u201ca\u201d \((0\.\d+)", line)[1])
    assert distance == pytest.approx(0.9, abs=0.03)


def test_negative_values_where_none_was_observed_are_said():
    """Of so few rows that numbers are imputed as such, not by their scores."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {name: rng.gamma(2, 9, 45).round(1) for name in ("rain", "wind")}
    )
    missing = rng.random(frame.shape) < 0.2
    missing[missing.all(axis=1), 0] = False
    dataset = make_dataset(frame, missing)
    draws = make_draws(dataset, 2)
    assert not any(
        "are negative" in line for line in _warnings(frame, missing, draws)
    )
    row = np.flatnonzero(missing[:, 1])[0]
    draws[1][row, 1] = -4.5
    (line,) = [
        line
        for line in _warnings(frame, missing, draws)
        if "are negative" in line
    ]
    assert "\u201cwind\u201d" in line and "down to -4.5" in line
    assert "rain" not in line and "a lower bound of 0" in line


def test_cells_that_may_mean_missing_come_first(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(40, 9, 90).round()
    x[:6] = 999
    frame = pd.DataFrame(
        {"x": x, "y": rng.choice(["a", "b", "unknown"], 90), "z": 1.0}
    )
    missing = np.zeros(frame.shape, bool)
    missing[10::7, 0] = missing[8::9, 1] = missing[::3, 2] = True
    dataset = make_dataset(frame, missing)
    asked = [getattr(note, "about", {}) for note in dataset.notes]
    for about in ({"keep": "z"}, {"na_values": "x=999"}):
        assert about in asked
    assert {"na_values": "y=unknown"} in asked
    page = write_page(tmp_path, dataset, make_draws(dataset, 2))
    words = words_of(page)
    first = words.index("Column \u201cx\u201d holds 999 in 6 cells")
    assert first < words.index("Column \u201cy\u201d holds 'unknown'")
    assert first < words.index("\u201cz\u201d: constant: ")
    # Each stands in its column's section, too, and is counted.
    assert words.count("Column \u201cx\u201d holds 999") == 2
    row = re.search(r'href="#column-1">x</a></td>\s*(.*?)</tr>', page, re.S)
    assert re.findall("<td>(.*?)</td>", row[1])[1] == "1"


def test_what_a_note_weighs_is_not_in_its_words(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 2)), columns=["x", "y"])
    missing = np.zeros(frame.shape, bool)
    missing[10::7, 0] = True
    dataset = make_dataset(frame, missing)
    notes = [
        Note("'y', in other words", "beware", "y"),
        "these cells; if they mean missing, are mere words",
        Note("told elsewhere", "repeated"),
    ]
    page = write_page(tmp_path, dataset, make_draws(dataset, 2), notes=notes)
    words = words_of(page)
    assert "read the 1 point below" in words and "See also 1 note" in words
    assert words.count("\u201cy\u201d, in other words.") == 2
    assert words.count("are mere words") == 1 and "elsewhere" not in words
    row = re.search(r'href="#column-2">y</a></td>\s*(.*?)</tr>', page, re.S)
    assert re.findall("<td>(.*?)</td>", row[1])[1] == "1"


def test_guesses_at_a_file_weigh_and_keep_their_weight_with_flags(tmp_path):
    """What is filled in is wrong where one of them is."""
    cells = ["a", "b", "-", "d"] * 20
    number = [f"{k},{k + 100}" for k in range(1, 81)]
    days = [f"0{k % 9 + 1}/0{k % 7 + 1}/2021" for k in range(80)]
    text = [*days[:79], "soon"]
    frame = pd.DataFrame(
        {"sign": cells, "number": number, "day": days, "text": text}
    )
    frame.to_csv(tmp_path / "in.csv", index=False)
    table = read_table(str(tmp_path / "in.csv"), rules=("number > 40000",))
    told = [with_flags(note, IMPUTE_FLAGS) for note in table.notes]
    grave = {note.column for note in told if note.weight == "beware"}
    assert grave == {"sign", "number", "day", "text", None}
    assert all("--" in note for note in told if note.column)
    assert {ONE_FIT.weight, SAME_ROWS.weight} == {"beware"}
