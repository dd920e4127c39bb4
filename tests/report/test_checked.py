"""Sentences about known cells that were filled again."""

import numpy as np
import pandas as pd
import pytest

from miri_jax.metrics.overimputation import Cells, check_cells
from miri_jax.report.checked import check_rows, check_verdict, check_warnings
from tests.report.making import (
    ParsedPage,
    make_dataset,
    make_draws,
    words_of,
    write_page,
)


def _check(scale=1.0, shift=0.0, sure=False, cells=400):
    """As `Overimputation.as_dict`, of a number and of levels."""
    rng = np.random.default_rng(0)
    truth, seen = rng.normal(size=cells), rng.normal(size=900)
    draws = shift + scale * rng.normal(size=(20, cells))
    number = check_cells(Cells(truth, draws, np.ones(cells), seen), 0)
    levels = rng.integers(3, size=(21, cells))
    if sure:
        levels[1:] = levels[1]
    one = Cells(levels[0], levels[1:], np.ones(cells), rng.integers(3, size=90))
    both = {"<n>": number, "l $": check_cells(one, 3)}
    columns = {
        name: {k: v for k, v in found._asdict().items() if v is not None}
        for name, found in both.items()
    }
    return {
        "draws": 20,
        "score": np.mean([one["score"] for one in columns.values()]),
        "coverage_90": columns["<n>"]["coverage_90"],
        "accuracy": columns["l $"]["accuracy"],
        "columns": columns,
    }


def test_of_right_draws_nothing_is_wrong():
    check = _check()
    assert check_warnings(check) == []
    told = check_verdict(check)
    assert "800 known cells" in told and "Nothing is off" in told


@pytest.mark.parametrize(
    ("how", "part"),
    [
        (dict(scale=0.4), "too sure"),
        (dict(scale=2.5), "too wide"),
        (dict(shift=0.5), "deviations too high"),
        (dict(shift=-2.0), "worse than observed values"),
        (dict(sure=True), "draws agree in 100% of the cells and are right in"),
    ],
)
def test_what_is_wrong_is_said_of_the_column(how, part):
    check = _check(**how)
    said = check_warnings(check)
    name = "l $" if "sure" in how else "<n>"
    assert any(part in one and name in one for one in said), said
    assert "Nothing is off" not in check_verdict(check)


def test_what_chance_explains_is_not_said():
    assert check_warnings(_check(scale=0.7, cells=8)) == []


def test_the_page_shows_a_check(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"<n>": rng.normal(size=90), "l $": list("xyz") * 30})
    dataset = make_dataset(frame, rng.random(frame.shape) < 0.3)
    draws = make_draws(dataset, 2)
    without = words_of(write_page(tmp_path, dataset, draws))
    assert "Ask for the check" in without
    check = _check(scale=0.4)
    page = write_page(tmp_path, dataset, draws, check=check)
    assert ParsedPage(page).open == [] and "<n>" not in page
    words = words_of(page)
    first = words.index("How well are known cells filled again?")
    assert words.index("too sure") < first < words.index("Where are the gaps?")
    for row in check_rows(check, 9):
        for cell in filter(None, row):
            assert str(cell) in words
    assert page.count('aria-label="ranks of true values in &lt;n&gt;"') == 1
    assert "Ask for the check" not in words
