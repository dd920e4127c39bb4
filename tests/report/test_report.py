"""The report: what it says of a file without a truth, and that it is whole."""

import base64
import html.parser
import re

import numpy as np
import pandas as pd
import pytest

from miri_jax import report
from miri_jax.data import tables
from miri_jax.data.dataset import AmputatedTable, from_table
from miri_jax.data.transforms import fit_scaler
from miri_jax.report import facts as numbers
from miri_jax.report import figures as pictures

TRACE = [{"iteration": k, "loss": 2.0 - k, "mi": 1 / (k + 1)} for k in range(3)]


def _dataset(frame, missing, **settings):
    missing = np.asarray(missing, bool)
    return from_table(tables.make_table(frame, missing, **settings))


def _draws(dataset, count, seed=0):
    """Gaps filled with observed cells of their column, drawn at random."""
    rng, draws = np.random.default_rng(seed), []
    ends = np.cumsum([0, *(c.width for c in dataset.table.columns)])
    for _ in range(count):
        x = dataset.values.copy()
        for low, high in zip(ends, ends[1:]):
            observed = np.flatnonzero(dataset.m[:, low:high].all(axis=1))
            gaps = np.flatnonzero(~dataset.m[:, low:high].any(axis=1))
            if high > low and len(gaps) and len(observed):
                x[gaps, low:high] = x[rng.choice(observed, len(gaps)), low:high]
        draws.append(tables.settle_table(dataset.table, x))
    return draws


def _summary(dataset, draws, **changes):
    rows, columns = dataset.gaps().shape
    return {
        "method": "miri",
        "rows": rows,
        "columns": columns,
        "realised_rate": float(dataset.gaps().mean()),
        "draws": len(draws),
        "metrics": {"mi": 0.1},
        "results": ["imputed.csv"],
        "notes": list(dataset.notes),
        "versions": {"python": "3"},
        "device": "1 x cpu",
        **changes,
    }


def _write(folder, dataset, draws, trace=TRACE, **changes):
    summary = _summary(dataset, draws, **changes)
    address = report.write_report(folder, dataset, draws, trace, summary)
    assert address == (folder / "report.html").as_uri()
    return (folder / "report.html").read_text("utf-8")


def _words(page):
    """The page's text, without tags, style and pictures."""
    page = re.sub(r"<style>.*?</style>", " ", page, flags=re.S)
    return html.unescape(re.sub(r"<[^>]*>", " ", page))


def _view(observed, imputed, levels=None, **changes):
    observed = np.asarray(observed, np.float64)
    imputed = np.atleast_2d(np.asarray(imputed, np.float64))
    gaps = imputed.shape[1]
    missing = np.arange(len(observed) + gaps) < gaps
    kind = "real" if levels is None else "categorical"
    view = pictures.View(1, "a", kind, missing, observed, imputed, levels)
    return view._replace(**changes)


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
    dataset = _dataset(frame, missing)
    return frame, dataset, _draws(dataset, 3)


@pytest.fixture(scope="module")
def mixed_page(mixed, tmp_path_factory):
    _, dataset, draws = mixed
    folder = tmp_path_factory.mktemp("mixed")
    notes = ["a <i>note</i>", "column 'x' is constant"]
    names = ["a 'b' <c>.csv"]
    page = _write(folder, dataset, draws, notes=notes, results=names)
    return folder, page


class _Page(html.parser.HTMLParser):
    """Checks that all tags are closed, and keeps the pictures' sources."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in ("meta", "img", "html", "br"):
            self.open.append(tag)
        self.images += [dict(attrs)["src"]] if tag == "img" else []
        self.links += [dict(attrs)["href"]] if tag == "a" else []

    def handle_endtag(self, tag):
        assert tag == "html" or self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_other_file(mixed_page):
    folder, text = mixed_page
    page = _Page(text)
    assert page.open == []
    files = {path.read_bytes() for path in (folder / "pictures").glob("*.png")}
    assert len(files) == 6
    prefix = "data:image/png;base64,"
    assert {
        base64.b64decode(src.removeprefix(prefix)) for src in page.images
    } == files
    assert page.links == ["a%20%27b%27%20%3Cc%3E.csv"]
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == [
        *("What to beware of", "Where are the gaps?", "Are the gaps random?"),
        *("Observed and imputed values", "Draws against each other"),
        *("Over the iterations", "How good is it?", "Gaps by column"),
        "Made with",
    ]


def test_what_comes_from_the_file_is_escaped(mixed_page):
    _, text = mixed_page
    for raw in ("<script", "<b>Rome", "<i>note", "<c>"):
        assert raw not in text
    for shown in ("&lt;script&gt;", "&lt;b&gt;Rome&#x27;", "&lt;i&gt;note"):
        assert shown in text
    # A warning says it, with a remedy.
    assert "column 'x' is constant" not in html.unescape(text)


def test_columns_are_shown_in_their_own_units(mixed, mixed_page):
    frame, dataset, _ = mixed
    views = numbers.views_of(dataset, mixed[2])
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
    words = _words(mixed_page[1])
    assert "2024-03-01 to 2024-04-29" in words
    assert "3 levels" in words and "\u6771\u4eac" in words
    for view, gaps in zip(views, dataset.table.missing.T):
        assert view.imputed.shape == (3, gaps.sum())


def test_a_report_is_the_same_every_time(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 2)), columns=["a", "b"])
    dataset = _dataset(frame, rng.random(frame.shape) < 0.4)
    draws = _draws(dataset, 2)
    pages = [_write(tmp_path, dataset, draws) for _ in range(2)]
    assert pages[0] == pages[1] and "0.5 is no better" in pages[0]


def test_of_a_long_table_a_part_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAX_ROWS", 60)
    frame = pd.DataFrame({"a": np.arange(90.0), "b": np.arange(90.0) % 7})
    missing = np.random.default_rng(0).random(frame.shape) < 0.3
    dataset = _dataset(frame, missing)
    page = _write(tmp_path, dataset, _draws(dataset, 2))
    words = _words(page)
    assert "90 rows" in words and "of 60 rows chosen at random" in words
    few = np.zeros_like(missing)
    few[np.flatnonzero(~missing[:, 0])[0], 0] = True
    for row in np.flatnonzero(~missing[:, 0])[:9]:
        few[:], few[row, 0] = False, True  # mostly not among the 60 rows
        dataset = _dataset(frame, few)
        page = _write(tmp_path, dataset, _draws(dataset, 2))
        assert "Nothing was missing" not in page
        assert "89 rows (98.9%) are complete" in _words(page)


def test_patterns_are_counted_and_gaps_correlated():
    gaps = np.array([[0, 0, 0]] * 5 + [[1, 1, 0]] * 3 + [[0, 0, 1]] * 2, bool)
    views = [
        _view([], [])._replace(number=j + 1, missing=m)
        for j, m in enumerate(gaps.T)
    ]
    patterns, counts = pictures.gap_patterns(views)
    np.testing.assert_array_equal(counts, [5, 3, 2])
    np.testing.assert_array_equal(patterns[1], [True, True, False])
    shown, correlation = pictures.gap_correlation(views)
    assert len(shown) == 3
    assert correlation[0, 1] == pytest.approx(1)
    # phi = -(3 * 2) / sqrt(3 * 7 * 2 * 8)
    assert correlation[0, 2] == pytest.approx(-6 / np.sqrt(336))


def _prediction(n, lose, fill, seed=0):
    """AUCs of the gaps of b = 0.8 a + 0.6 e, missing with chance lose(a)."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    b = 0.8 * a + 0.6 * rng.normal(size=n)
    frame = pd.DataFrame({"a": a, "b": b, "c": rng.normal(size=n)})
    missing = np.zeros(frame.shape, bool)
    missing[:, 1] = rng.random(n) < lose(a)
    dataset = _dataset(frame, missing)
    filled = dataset.values.copy()
    filled[missing[:, 1], 1] = fill(a, rng)[missing[:, 1]]
    views = numbers.views_of(dataset, [filled])
    (found,) = numbers.predict_gaps(dataset, views, filled)
    assert found.view.name == "b"
    return found, numbers.warnings_of(views, [found])


def _right(a, rng):
    return 0.8 * a + 0.6 * rng.normal(size=len(a))


def _told(warnings):
    return [text for text in warnings if "tells which of its cells" in text]


def test_gaps_at_random_cannot_be_predicted():
    found, warnings = _prediction(2000, lambda a: 0.3, _right)
    assert found.before == pytest.approx(0.5, abs=0.06)
    assert found.after == pytest.approx(0.5, abs=0.06)
    assert not _told(warnings)


def test_gaps_that_depend_on_another_column_can_be_predicted():
    found, warnings = _prediction(
        2000, lambda a: 1 / (1 + np.exp(2 - 3 * a)), _right
    )
    assert found.before > 0.8
    assert found.after < found.before + 0.03
    assert not _told(warnings)


def test_filling_with_the_mean_gives_itself_away():
    found, warnings = _prediction(
        2000, lambda a: 0.3, lambda a, rng: np.zeros(len(a))
    )
    assert found.before < 0.56 and found.after > 0.95
    (text,) = _told(warnings)
    assert text.startswith("\u201cb\u201d")


def _normal(rng, n, d=4):
    return rng.normal(size=(n, d)) @ (np.eye(d) + 0.5)


def test_littles_p_is_uniform_where_gaps_are_completely_at_random():
    p = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        values = _normal(rng, 300)
        test = numbers.little_test(values, rng.random(values.shape) > 0.2)
        assert 10 < test.df < 30
        p.append(test.p)
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) < 0.05) < 0.2 and max(p) > 0.8


def test_littles_test_sees_gaps_that_depend_on_another_column():
    rng = np.random.default_rng(0)
    values = _normal(rng, 300)
    m = np.ones(values.shape, bool)
    m[:, 1] = rng.random(300) > 1 / (1 + np.exp(-2 * values[:, 0]))
    assert numbers.little_test(values, m).p < 1e-6
    # What stands in the gaps is not read.
    again = numbers.little_test(np.where(m, values, 1e9), m)
    assert again == numbers.little_test(values, m)


def test_littles_statistic_has_a_closed_form_with_one_column_of_gaps():
    """n1 n2 / n (mean1 - mean2)^2 / variance, of the complete column."""
    rng = np.random.default_rng(1)
    values = _normal(rng, 500, 2)
    m = np.ones(values.shape, bool)
    m[:150, 1] = False
    values[:150, 0] += 0.3
    x = values[:, 0]
    apart = (x[:150].mean() - x[150:].mean()) ** 2
    test = numbers.little_test(values, m)
    expected = 150 * 350 / 500 * apart / x.var()
    assert test.statistic == pytest.approx(expected, rel=0.01)
    assert (test.df, test.columns, test.patterns) == (1, 2, 2)


@pytest.mark.parametrize("case", ["one row", "no gaps", "constant", "few"])
def test_littles_test_is_left_out_where_there_is_nothing_to_compare(case):
    rng = np.random.default_rng(0)
    values, m = _normal(rng, 100), rng.random((100, 4)) > 0.3
    values, m = {
        "one row": (values[:1], m[:1]),
        "no gaps": (values, np.ones_like(m)),
        "constant": (np.ones_like(values), m),
        "few": (values[:10], m[:10]),
    }[case]
    assert numbers.little_test(values, m) is None


def test_copied_columns_do_not_upset_littles_test():
    rng = np.random.default_rng(0)
    values = np.repeat(_normal(rng, 400, 2), 2, axis=1)
    test = numbers.little_test(values, rng.random(values.shape) > 0.2)
    assert 0.01 < test.p <= 1


def test_difference_is_a_distance_between_distributions():
    assert numbers.difference(_view([1, 2, 3, 4], [1, 2, 3, 4])) == 0
    assert numbers.difference(_view([1, 2, 3, 4], [3, 4, 5, 6])) == 0.5
    assert numbers.difference(_view([1, 2], [3, 4])) == 1
    levels = ("x", "y", "z")
    view = _view([0, 0, 1, 1], [[0, 0, 2], [0, 0, 0]], levels)
    # Shares 1/2, 1/2, 0 against 5/6, 0, 1/6.
    assert numbers.difference(view) == pytest.approx(0.5)


def test_draws_that_agree_are_noticed():
    rng = np.random.default_rng(0)
    observed = rng.standard_cauchy(500)
    once = rng.standard_cauchy(100)
    draws = rng.standard_cauchy((5, 100))
    assert numbers.draws_agree(_view(observed, [once] * 5))
    assert not numbers.draws_agree(_view(observed, draws))
    assert not numbers.draws_agree(_view(observed, [once]))
    levels = rng.integers(0, 2, 500)
    same = [levels[:100]] * 5
    assert numbers.draws_agree(_view(levels, same, ("x", "y")))
    different = rng.integers(0, 2, (5, 100))
    assert not numbers.draws_agree(_view(levels, different, ("x", "y")))
    # With so few gaps a frequent level comes out all the same.
    rare = np.arange(500) == 0
    assert not numbers.draws_agree(_view(rare, np.zeros((5, 9)), ("x", "y")))


def _warnings(frame, missing, draws=None, count=3, **settings):
    dataset = _dataset(frame, missing, **settings)
    draws = draws or _draws(dataset, count)
    return numbers.warnings_of(numbers.views_of(dataset, draws), [])


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
        "less than 5 times": ["town"],
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
    dataset = _dataset(frame, missing)
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
    f["near"] = np.datetime64("2020-01-01T00:00:00.5") + np.arange(60)
    yield "times", f, at_random(f), {}


CASES = {name: case for name, *case in _edge_cases()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("error")
def test_no_table_is_too_odd_for_a_report(name, tmp_path):
    frame, missing, settings = CASES[name]
    dataset = _dataset(frame, missing, **settings)
    trace = [*TRACE, {"iteration": 3, "loss": np.nan}]
    draws = _draws(dataset, 3)
    page = _write(tmp_path, dataset, draws, trace, metrics={"mi": np.inf})
    assert _Page(page).open == []
    assert not re.search(r"\b(nan|NaN|inf|Inf|None)\b", _words(page))
    assert len(re.findall("<tr><td>", page)) == frame.shape[1]
    assert ("Nothing was missing" in page) == (not np.any(missing))
    assert ("Where are the gaps" in page) == bool(np.any(missing))


def test_what_is_left_out_of_the_pictures_is_said(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(30, 30))).rename(columns=str)
    dataset = _dataset(frame, rng.random(frame.shape) < 0.3)
    words = _words(_write(tmp_path, dataset, _draws(dataset, 1)))
    assert "Of 30 columns with gaps the 25 with the most are shown" in words
    assert "12 columns with the most gaps; 18 more have gaps" in words
    assert "There is one draw only" in words


def test_a_table_from_no_file_keeps_its_page(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 2))
    m = rng.random(truth.shape) > 0.3
    dataset = AmputatedTable(
        ("x", "y"), truth, m, fit_scaler(truth, m), np.ones(2), 1.0
    )
    filled = np.where(m, truth, 0.0)
    page = _write(tmp_path, dataset, [filled, filled + ~m])
    found = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert found == {"pairs", "columns", "trace"}
    assert "no truth" not in page and "Are the gaps random" not in page


def test_labels_stay_readable():
    view = _view([], [], name="price in $ or $", number=7)
    assert pictures.label(view) == r"price in \$ or \$"
    assert pictures.label(view._replace(name="\u4f53\u91cd")) == "column 7"
    names = [f"the temperature of sensor {k}" for k in range(2)]
    short = [pictures.label(view._replace(name=name)) for name in names]
    assert short[0] != short[1] and max(map(len, short)) == 20


@pytest.mark.parametrize("top", [3, 39, 40, 41, 99, 1000])
def test_bins_hold_as_many_whole_numbers_each(top):
    """Else a flat distribution would look like a comb."""
    values = np.arange(top + 1.0)
    view = _view(values, values, kind="integer", unit=1.0)
    edges = pictures._bin_edges(view)
    counts = np.histogram(values, edges)[0]
    assert counts.sum() == len(values) and len(counts) <= 40
    assert len(set(counts[:-1])) == 1 and 0 < counts[-1] <= counts[0]
