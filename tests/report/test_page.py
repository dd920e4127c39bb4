"""The page: whole, self-contained, escaped, for any table."""

import dataclasses
import html
import re

import numpy as np
import pandas as pd
import pytest

from miri_jax import report
from miri_jax.data.dataset import AmputatedTable
from miri_jax.data.images import load_images
from miri_jax.data.transforms import fit_scaler
from miri_jax.notes import Note, percent
from miri_jax.report import contents, facts
from tests.report.making import (
    TRACE,
    ParsedPage,
    make_dataset,
    make_draws,
    words_of,
    write_page,
)


@pytest.fixture(scope="module")
def mixed():
    """400 rows of all kinds, the gaps of two of which come together."""
    rng = np.random.default_rng(0)
    n = 400
    when = pd.Timestamp("2024-03-01") + pd.to_timedelta(
        rng.integers(0, 60, n), unit="D"
    )
    frame = pd.DataFrame(
        {
            "income": np.round(np.exp(rng.normal(8, 1.5, n)), 2),
            "<script>alert(1)</script>": rng.normal(size=n),
            "seen $x$": when,
            "member": rng.random(n) < 0.4,
            "town": rng.choice(["K\u00f6ln", "<b>Rome'", "\u6771\u4eac"], n),
            "size": pd.Categorical(
                rng.choice(list("SML"), n), categories=list("SML"), ordered=True
            ),
        }
    )
    missing = rng.random(frame.shape) < 0.2
    missing[:, 4] = missing[:, 3]
    dataset = make_dataset(frame, missing)
    return frame, dataset, make_draws(dataset, 3)


@pytest.fixture(scope="module")
def mixed_page(mixed, tmp_path_factory):
    _, dataset, draws = mixed
    folder = tmp_path_factory.mktemp("mixed")
    notes = ["a <i>note</i>", Note("column 'x' is constant", "repeated")]
    names = ["a 'b' <c>.csv"]
    page = write_page(folder, dataset, draws, notes=notes, results=names)
    return folder, page


def test_the_page_is_whole_and_needs_no_other_file(mixed, mixed_page):
    folder, text = mixed_page
    page = ParsedPage(text)
    assert page.open == [] and page.images == []
    assert not (folder / "pictures").exists()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert [link for link in page.links if link[0] != "#"] == [
        "a%20%27b%27%20%3Cc%3E.csv"
    ]
    ids = set(re.findall('id="(.*?)"', text))
    assert {link[1:] for link in page.links if link[0] == "#"} <= ids
    headings = re.findall("<h2[^>]*>(.*?)</h2>", text)
    assert headings == [
        *("What to beware of", "All columns", "Column by column"),
        *("Where are the gaps?", "Are the gaps random?", "The fit"),
        "How this was made",
    ]
    # Numbers and times are drawn, a line for each draw; levels have bars.
    assert text.count('<path class="area"') == 3
    assert text.count('class="draw"') == 3 * 3 + 2


def test_what_comes_from_the_file_is_escaped(mixed_page):
    _, text = mixed_page
    for raw in ("<script", "<b>Rome", "<i>note", "<c>"):
        assert raw not in text
    for shown in ("&lt;script&gt;", "&lt;b&gt;Rome&#39;", "&lt;i&gt;note"):
        assert shown in text
    # A warning says it, with a remedy.
    assert "column 'x' is constant" not in html.unescape(text)


def test_columns_are_shown_in_their_own_units(mixed, mixed_page):
    frame, dataset, _ = mixed
    views = facts.views_of_file(dataset, mixed[2])
    assert [view.name for view in views] == list(frame.columns)
    # Encoded as normal scores, which lie within -5 and 5.
    assert dataset.table.columns[0].knots is not None
    np.testing.assert_allclose(
        views[0].observed, frame["income"][~views[0].missing], rtol=1e-6
    )
    seen = views[2].observed.astype("datetime64[s]")
    np.testing.assert_array_equal(seen, frame["seen $x$"][~views[2].missing])
    town = np.array(views[4].levels, object)[views[4].observed.astype(int)]
    np.testing.assert_array_equal(town, frame["town"][~views[4].missing])
    words = words_of(mixed_page[1])
    assert "2024-03-01 to 2024-04-29" in words
    assert "3 levels" in words and "\u6771\u4eac" in words
    for view, gaps in zip(views, dataset.table.missing.T):
        assert view.imputed.shape == (3, gaps.sum())


def test_a_report_is_the_same_every_time(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 2)), columns=["a", "b"])
    dataset = make_dataset(frame, rng.random(frame.shape) < 0.4)
    draws = make_draws(dataset, 2)
    pages = [write_page(tmp_path, dataset, draws) for _ in range(2)]
    assert pages[0] == pages[1] and "0.5 is tossing a coin" in words_of(
        pages[0]
    )


def test_of_a_long_table_a_part_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "MAX_ROWS", 60)
    frame = pd.DataFrame({"a": np.arange(90.0) / 2, "b": np.arange(90.0) % 7})
    missing = np.random.default_rng(0).random(frame.shape) < 0.3
    dataset = make_dataset(frame, missing)
    page = write_page(tmp_path, dataset, make_draws(dataset, 2))
    words = words_of(page)
    assert "90 rows" in words and "of 60 rows chosen at random" in words
    few = np.zeros_like(missing)
    few[np.flatnonzero(~missing[:, 0])[0], 0] = True
    for row in np.flatnonzero(~missing[:, 0])[:9]:
        few[:], few[row, 0] = False, True  # mostly not among the 60 rows
        dataset = make_dataset(frame, few)
        page = write_page(tmp_path, dataset, make_draws(dataset, 2))
        assert "Nothing was missing" not in page
        assert "89 rows (98.9%) are complete" in words_of(page)


def _edge_cases():
    rng = np.random.default_rng(0)
    normal = lambda n, d=1: rng.normal(size=(n, d))
    frame = pd.DataFrame
    at_random = lambda f: rng.random(f.shape) < 0.3
    one_row = frame({"a": [1.5], "b": [2]})
    yield "one row, full", one_row, [[0, 0]], {}
    yield "one row", one_row, [[0, 1]], {"empty_value": 3}
    yield (
        "one column",
        (f := frame(normal(60), columns=["a"])),
        at_random(f),
        {},
    )
    f = frame({"a": normal(50)[:, 0], "b": ["x", "y"] * 25})
    yield "no gaps", f, np.zeros(f.shape), {}
    f = frame({"key": [f"k{i}" for i in range(40)], "a": normal(40)[:, 0]})
    m = at_random(f)
    m[:, 0] = False
    yield "id", f, m, {}
    f = frame(normal(40, 300)).rename(columns=str)
    yield "wide", f, at_random(f), {}
    f = frame({"l": [f"level {i}" for i in range(500)] * 2, "a": range(1000)})
    yield "many levels", f, at_random(f), {}
    f = frame({"one": np.ones(40), "text": ["x"] * 40, "none": np.nan})
    m = at_random(f)
    m[:, 2] = True
    yield "constant and empty", f, m, {"empty_value": 7}
    names = ["x" * 3000, "\n", "\u540d\u524d \U0001f98a", "a\x00\u202e", "$\\$"]
    f = frame(normal(60, 5), columns=names)
    yield "names", f, at_random(f), {}
    f = frame({"a": [1e308, -1e308] * 30, "b": 1e16 + 2 * np.arange(60) % 6})
    f["c"] = 10.0 ** rng.uniform(-300, 300, 60)
    yield "large numbers", f, at_random(f), {}
    times = ["1700-01-01", "9999-12-31", "0001-01-02"] * 20
    f = frame({"far": np.array(times, "datetime64[us]")})
    apart = np.arange(60).astype("timedelta64[ms]")
    f["near"] = np.datetime64("2020-01-01T00:00:00.5") + apart
    yield "times", f, at_random(f), {}


CASES = {name: case for name, *case in _edge_cases()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("error")
def test_no_table_is_too_odd_for_a_report(name, tmp_path):
    frame, missing, settings = CASES[name]
    dataset = make_dataset(frame, missing, **settings)
    trace = [*TRACE, {"iteration": 3, "loss": np.nan}]
    draws = make_draws(dataset, 3)
    page = write_page(tmp_path, dataset, draws, trace, metrics={"mi": np.inf})
    assert ParsedPage(page).open == []
    assert not re.search(r"\b(nan|NaN|inf|Inf|None)\b", words_of(page))
    assert len(re.findall("<tr><td>", page)) == frame.shape[1]
    assert ("Nothing was missing" in page) == (not np.any(missing))
    assert ("Where are the gaps" in page) == bool(np.any(missing))


def test_what_is_left_out_is_said(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 30))).rename(columns=str)
    frame["l"] = [f"level {k}" for k in range(90)]
    missing = rng.random(frame.shape) < np.where(np.arange(31) < 15, 0.5, 0.1)
    missing[:4] = False
    dataset = make_dataset(frame, missing, kinds={"l": "categorical"})
    words = words_of(write_page(tmp_path, dataset, make_draws(dataset, 1)))
    assert "The 12 most frequent of" in words
    assert "Left out: 16 columns with fewer than 25 gaps or values" in words
    assert "Not tried, as it takes long: 3 columns with fewer gaps" in words
    assert "There is one draw only" in words and "more levels" in words


def test_a_table_from_no_file_keeps_its_page(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 2))
    m = rng.random(truth.shape) > 0.3
    dataset = AmputatedTable(
        ("x", "y"), truth, m, fit_scaler(truth, m), np.ones(2), 1.0
    )
    filled = np.where(m, truth, 0.0)
    page = write_page(tmp_path, dataset, [filled, filled + ~m])
    found = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert found == {"pairs", "columns", "trace"}
    assert "no truth" not in page and "Are the gaps random" not in page


@pytest.mark.parametrize("known", [True, False])
def test_images_have_a_page(known, tmp_path):
    images = load_images(images="shapes", rows=9, size=8)
    filled = np.where(images.m, images.values, 7).astype(np.uint8)
    if not known:
        images = dataclasses.replace(images, truth=None)
    page = write_page(tmp_path, images, [filled] * 2)
    assert ParsedPage(page).open == [] and len(ParsedPage(page).images) == 2
    words = words_of(page)
    assert "9 images of 8 x 8, 59.5%" in words and "(2 draws)" in words
    assert ("no truth" in words) != known


def test_of_other_things_no_report_is_known(tmp_path):
    with pytest.raises(TypeError, match="ndarray"):
        report.write_report(tmp_path, np.zeros((2, 2)), [], [], {})


def test_a_share_of_few_cells_is_not_told_as_none():
    told = [percent(x) for x in (0, 0.0004, 0.0005, 0.5, 3e-6, 1)]
    assert told == ["0.0%", "0.04%", "0.1%", "50.0%", "0.0003%", "100.0%"]
    assert [percent(x, 0) for x in (0.0, 0.004, 0.99)] == ["0%", "0.4%", "99%"]
