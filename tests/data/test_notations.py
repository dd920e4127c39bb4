"""Numbers, times and marks of missing as people write them."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miri_jax.data import readers, tables
from miri_jax.data.dates import time_styles
from miri_jax.data.markers import NA_VALUES, SIGNS, sentinels
from miri_jax.data.notations import NumberStyle, number_styles
from miri_jax.exceptions import DataError
from tests.data.test_texts import SETTINGS, filled

STYLES = [
    NumberStyle(".2f", ",", "."),
    NumberStyle(".2f", ",", ""),
    NumberStyle(".1f", ".", ","),
    NumberStyle(".2f", ".", "'"),
    NumberStyle(".2f", ",", " "),
    NumberStyle(".2f", ",", "\u00a0"),
    NumberStyle(".2f", ".", ",", "$", "", "-"),
    NumberStyle(".2f", ".", ",", "$", "", "$-"),
    NumberStyle(".2f", ".", ",", "$", "", "()"),
    NumberStyle(".2f", ".", ",", "$ ", "", "$()"),
    NumberStyle(".2f", ",", ".", "", "", "1-"),
    NumberStyle(".2f", ",", ".", "", " €"),
    NumberStyle(".2f", ".", ",", "CHF ", ""),
    NumberStyle(".1f", ".", "", "", "%"),
    NumberStyle(".1f", ",", "", "", " %", "\u2212"),
]


def _column(cells, name="x", **given):
    """A `Table` of one column beside another, as read."""
    return _read(pd.DataFrame({name: cells, "other": "ab"[0]}), **given)


def _read(frame, folder=None, sep=";", **given):
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        path = f"{made}/in.csv"
        frame.to_csv(path, index=False, sep=sep)
        return readers.read_table(path, **given)


@settings(max_examples=60, **SETTINGS)
@given(
    style=st.sampled_from(STYLES),
    numbers=st.lists(
        st.floats(-2e6, 2e6).map(lambda x: round(x, 2)), min_size=4, max_size=9
    ),
)
def test_numbers_of_every_notation_are_read_and_written(style, numbers):
    """What is written is read as it was, and written so again."""
    anchor = [1234567.25, -9876.75, 12.5]
    cells = pd.Series([style.write(x) for x in [*anchor, *numbers]])
    (found,) = number_styles(cells)
    expected = [float(format(x, style.spec)) for x in [*anchor, *numbers]]
    np.testing.assert_allclose(found.read(cells), expected, rtol=1e-12)
    assert [found.write(x) for x in found.read(cells)] == cells.tolist()


def test_exponents_with_a_comma():
    (style,) = number_styles(pd.Series(["1,5e-3", "2E4", "-7,25e+1"]))
    assert style == NumberStyle(".7g", ",")
    read = style.read(pd.Series(["1,5e-3", "2E4", "-7,25e+1"]))
    assert read.tolist() == [0.0015, 20000, -72.5]
    assert style.write(1.5e-9) == "1,5e-09"


@pytest.mark.parametrize("style", STYLES)
def test_gaps_are_filled_in_the_columns_notation(style):
    numbers = np.linspace(-1234567.5, 1234567.5, 40) + 0.25
    cells = [style.write(x) for x in numbers]
    cells[3] = ""
    table = _column(cells)
    frame = tables.fill_table(
        table,
        tables.settle_table(table, np.where(table.m, table.values, 0.3)),
    )
    assert table.columns[0].kind == "real"
    new = frame["x"].iloc[3]
    kept = [k for k in range(40) if k != 3]
    assert [frame["x"].iloc[k] for k in kept] == [cells[k] for k in kept]
    assert style.write(style.read(pd.Series([new])).iloc[0]) == new


@pytest.mark.parametrize(
    "cells",
    [
        ["007", "012", "1,5"],
        ["$5", "€7", "$9"],
        ["1.2.3", "1.2.4", "2.0.0"],
        ["1,23,4", "2", "3"],
        ["12a", "13b", "14c"],
        ["1.234,5.6", "2", "7"],
        ["(5", "6)", "7"],
        ["10:20", "11:30", "12:40"],
        ["$5€", "$6€", "$7€"],
        ["1-", "2", "3-"],
        ["-", "2-4", "5-9"],
        ["$(5", "6)", "-(7)"],
    ],
)
def test_what_is_no_number_stays_text(cells):
    assert number_styles(pd.Series(cells)) == []


@pytest.mark.parametrize(
    "cells, numbers",
    [
        (["$ 12.50", "$   -", "$ 1,200.00"], [12.5, 0, 1200]),
        (["12,50 €", "-   €", "1.200,00 €"], [12.5, 0, 1200]),
        (["$     3.00", "$ (4.00)"], [3, -4]),
    ],
)
def test_no_money_is_zero_in_spreadsheets(cells, numbers):
    (style,) = number_styles(pd.Series(cells))
    assert style.read(pd.Series(cells)).tolist() == numbers


@pytest.mark.parametrize("words", [["OVER"], ["OVER", "n.d.", "clot"]])
@pytest.mark.parametrize("form", ["%.2f", "%.0f kr", "€%.2f"])
def test_numbers_among_many_words_are_no_text(form, words):
    """Up to half of the cells may be such words: all are named."""
    cells = [(form % (3.7 * k)).replace(".", ",") for k in range(40)]
    for k in range(0, 36, 4):
        cells[k] = words[k // 4 % len(words)]
    with pytest.raises(DataError, match="name it among the values") as error:
        _column(cells)
    for k, word in enumerate(words):
        assert f"{word!r} in row {4 * k + 1}" in str(error.value)
    table = _column(cells, na_values=words)
    assert table.columns[0].kind in ("real", "integer")
    assert table.missing[:, 0].sum() == 9


ANSWERS = ["Don't know", "REFUSED", "prefer not to say", "k.A.", "Weiß nicht"]


@pytest.mark.parametrize("none", ANSWERS)
def test_answers_that_are_none_are_named(none):
    cells = ["yes", "no", "yes", none, "no", "yes"] * 5
    table = _column(cells, na_values=["NA"])
    (note,) = [x for x in table.notes if ": kept as " in x]
    assert note.about == {"na_values": f"x={none}"} and repr(none) in note
    assert not table.missing.any()
    told = _column(cells, na_values=[f"x={none}"])
    assert told.missing[:, 0].sum() == 5
    assert not any(": kept as " in x for x in told.notes)


@pytest.mark.parametrize("cells", [["know", "no"], ["unsure"], ["refuse bin"]])
def test_levels_that_are_answers_are_not_named(cells):
    table = _column(cells * 10)
    assert not any(": kept as " in x for x in table.notes)


@pytest.mark.parametrize(
    "cells, given, sep, expected, doubt",
    [
        # Told by another column of the file.
        ({"x": "1.234", "y": "2,5"}, {}, ";", 1234, 0),
        ({"x": "1,234", "y": "2.5"}, {}, ";", 1234, 0),
        ({"x": "1,234", "y": "2,5"}, {}, ";", 1.234, 0),
        # Told by nothing but the user.
        ({"x": "1,234", "y": "a"}, {}, ";", 1.234, 1),
        ({"x": "1,234", "y": "a"}, {"decimal": "."}, ";", 1234, 0),
        ({"x": "1,234", "y": "a"}, {}, ",", 1234, 1),
        ({"x": "1,234", "y": "a"}, {"decimal": ","}, ",", 1.234, 0),
        ({"x": "1.234", "y": "a"}, {}, ",", 1.234, 0),
        ({"x": "1.234", "y": "a"}, {"decimal": ","}, ",", 1234, 0),
        # Told by the cells.
        ({"x": "0,234", "y": "a"}, {}, ",", 0.234, 0),
        ({"x": "1234 €", "y": "a"}, {}, ";", 1234, 0),
        ({"x": "1.234.567", "y": "a"}, {}, ";", 1234567, 0),
    ],
)
def test_marks_that_may_be_either_are_told_by_the_file(
    cells, given, sep, expected, doubt
):
    frame = pd.DataFrame({k: [v] * 4 for k, v in cells.items()})
    table = _read(frame, sep=sep, **given)
    assert table.columns[0].low == expected or table.values[0, 0] == expected
    notes = [n for n in table.notes if "decimal" in getattr(n, "about", {})]
    assert len(notes) == doubt
    if doubt:  # The flag that is named turns it round.
        mark = notes[0].about["decimal"]
        other = _read(frame, sep=sep, decimal=mark).values[0, 0]
        assert {expected, other} == {1234, 1.234}


def test_numbers_with_a_word_among_them_are_refused_by_name():
    cells = [f"{k},5" for k in range(20)] + ["tbd"]
    with pytest.raises(DataError, match="'tbd' in row 21"):
        _column(cells)


WHEN = st.datetimes(
    datetime.datetime(1970, 1, 1), datetime.datetime(2060, 1, 1)
)


@settings(max_examples=80, **SETTINGS)
@given(
    date=st.sampled_from(
        [
            *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"),
            *("%d-%m-%Y", "%d.%m.%y", "%m/%d/%y", "%d-%b-%Y", "%d %B %Y"),
            *("%d%b%Y", "%b %d, %Y", "%B %d, %Y", "%Y.%m.%d"),
        ]
    ),
    clock=st.sampled_from(["", " %H:%M", " %H:%M:%S", " %I:%M %p"]),
    bare=st.booleans(),
    when=st.lists(WHEN, min_size=3, max_size=8),
)
def test_times_of_every_notation_are_read_and_written(date, clock, bare, when):
    if "%y" in date:
        when = [x.replace(year=1970 + x.year % 70) for x in when if x.day < 29]
    # Both the 23rd and the 5th, so that nothing is in doubt.
    when += [
        datetime.datetime(2021, 5, 23, 14, 5),
        datetime.datetime(2021, 5, 5),
    ]
    when = pd.Series(when).dt.floor("min" if clock else "D")
    when = when.astype("datetime64[us]")
    cells = when.dt.strftime(date + clock)
    if bare and "%b" not in date and "%B" not in date and "%y" not in date:
        cells = cells.str.replace(r"\b0(\d)(?=[./-])", r"\1", regex=True)
        cells = cells.str.replace(r"(?<=[./-])0(\d)\b", r"\1", regex=True)
    (style,) = time_styles(cells)
    assert style.read(cells).tolist() == when.tolist()
    assert style.write(style.read(cells)).tolist() == cells.tolist()


@settings(max_examples=40, **SETTINGS)
@given(
    when=st.lists(WHEN, min_size=3, max_size=30, unique=True),
    form=st.sampled_from(["+02:00", "+0200", "Z", " +02:00"]),
    gap=st.sampled_from(["T", " "]),
)
def test_offsets_are_kept(when, form, gap):
    """Each time in the offset of the nearest one that was observed."""
    stamps = pd.Series(when).dt.floor("s").astype("datetime64[us]")
    stamps = stamps.drop_duplicates().reset_index(drop=True)
    zone = [
        form if form == "Z" or k % 2 else form.replace("02", "01")
        for k in range(len(stamps))
    ]
    hours = [0 if z == "Z" else int(z.strip()[1:3]) for z in zone]
    local = stamps + pd.to_timedelta(hours, unit="h").as_unit("us")
    cells = local.dt.strftime(f"%Y-%m-%d{gap}%H:%M:%S").astype(object) + zone
    (style,) = time_styles(cells)
    assert style.read(cells).tolist() == stamps.tolist()
    assert style.write(stamps).tolist() == cells.tolist()


def test_a_column_of_times_but_for_a_word_is_said_to_be_text():
    days = pd.date_range("2021-01-01", periods=30).strftime("%d.%m.%Y").tolist()
    frame = pd.DataFrame({"x": [*days, "soon"], "y": "a"})
    table = _read(frame, sep=",")
    assert "'soon' is not a time" in table.notes[0]
    marks = (*NA_VALUES, table.notes[0].about["na_values"])
    table = _read(frame, sep=",", na_values=marks)
    assert table.columns[0].kind == "datetime" and table.missing.sum() == 1


def test_days_and_months_are_told_by_the_file_or_asked_for():
    frame = pd.DataFrame({"x": ["03/04/2021", "05/06/2021"], "y": "a"})
    table = _read(frame, sep=",")
    assert "taken for the month" in table.notes[0]
    assert table.notes[0].about == {"dates": "dmy"}
    stamps = tables.times(table.values[:, 0])
    assert stamps.dt.month.tolist() == [3, 5]
    table = _read(frame, sep=",", dates="dmy")
    assert tables.times(table.values[:, 0]).dt.month.tolist() == [4, 6]
    assert not any("month" in note for note in table.notes)
    frame["y"] = ["23/04/2021", "24/06/2021"]
    table = _read(frame, sep=",")
    assert tables.times(table.values[:, 0]).dt.month.tolist() == [4, 6]
    with pytest.raises(DataError, match="dates is 'ymd'"):
        _read(frame, dates="ymd")


@pytest.mark.parametrize("cells", [["1-2-3", "4-5-6"], ["99.99.2021"], ["a 1"]])
def test_what_is_no_time_stays_text(cells):
    assert time_styles(pd.Series(cells)) == []


@pytest.mark.parametrize("mark", [m for m in (*NA_VALUES, *SIGNS) if m])
def test_marks_of_missing_are_gaps_of_numbers_times_and_text(mark):
    frame = pd.DataFrame(
        {
            "x": ["1.5", mark, "2.5", "3.5"],
            "day": ["2021-01-01", "2021-01-03", mark, "2021-01-07"],
            "k": [mark, "b", "b", "c"],
        }
    )
    table = _read(frame, sep=",")
    assert [c.kind for c in table.columns] == [
        "real",
        "datetime",
        "categorical",
    ]
    assert (
        table.missing.sum() == 3 and table.missing[[1, 2, 0], [0, 1, 2]].all()
    )


def test_a_sign_among_signs_is_a_level():
    frame = pd.DataFrame(
        {"test": ["+", "-", "+", "-"], "k": ["-", "a", "b", "a"]}
    )
    table = _read(frame, sep=",")
    assert table.missing.sum(0).tolist() == [0, 1]
    assert table.notes[0].about == {"na_values": "k="}
    # As the note says, it is kept when no mark is named for it.
    kept = _read(frame, sep=",", na_values=(*NA_VALUES, "k="))
    assert kept.missing.sum() == 0 and "-" in kept.columns[1].levels


def test_marks_of_one_column_and_numbers_however_written():
    frame = pd.DataFrame({"x": ["-99.0", "1.5", "2.0"], "y": ["-99", "3", "4"]})
    table = _read(frame, sep=",", na_values=(*NA_VALUES, "x=-99"))
    assert table.missing.sum(0).tolist() == [1, 0]
    table = _read(frame, sep=",", na_values=(*NA_VALUES, "-99"))
    assert table.missing.sum(0).tolist() == [1, 1]


@settings(max_examples=80, **SETTINGS)
@given(
    code=st.sampled_from([-9, -99, -999, 999, 9999, -1]),
    bulk=st.lists(st.integers(18, 90), min_size=20, max_size=60),
    count=st.integers(2, 9),
    scale=st.sampled_from([1.0, 0.5]),
)
def test_sentinels_are_named(code, bulk, count, scale):
    numbers = np.array([*(scale * x for x in bulk), *range(10, 60)], float)
    assert sentinels(numbers) == []
    found = sentinels(np.append(numbers, [code] * count))
    assert found == [(code, count)]


@pytest.mark.parametrize(
    "numbers",
    [
        [0, 1] * 9,
        [1, 2, 3, 4, 5, 6, 7] * 3,
        list(range(10)) * 2,
        [-1, 0, 1] * 5,
        [7.5, 8, 8, 8.5, 9, 9],
        [99.0] * 5,
        [1e6, 2e6, 999, 999, 3],
    ],
)
def test_levels_and_tails_are_no_sentinels(numbers):
    assert sentinels(np.array(numbers, float)) == []


def test_a_sentinel_is_kept_with_a_word_and_gone_when_named(tmp_path):
    rng = np.random.default_rng(0)
    bmi = rng.normal(25, 3, 60).round(1).astype(object)
    bmi[:4], bmi[5] = -99, ""
    content = "bmi,y\n" + "".join(f"{x},{k % 3}\n" for k, x in enumerate(bmi))
    table, _ = filled(tmp_path, content.encode())
    (note,) = [n for n in table.notes if "-99" in n]
    assert "-99 in 4 cells" in note and note.about == {"na_values": "bmi=-99"}
    marks = (*NA_VALUES, note.about["na_values"])
    table, _ = filled(tmp_path, content.encode(), na_values=marks)
    assert table.missing.sum() == 5 and not table.notes


@pytest.mark.parametrize(
    "rows, units",
    [
        ("x,y,k\ncm,kg,-\n1,2,a\n3,4,b\n5,,a\n", "cm, kg"),
        ("x,k\n[cm],\n1,a\n3,b\n,a\n", "[cm]"),
        ("x,k\ncm,-\n1,a\n3,b\n,a\n", "cm"),
    ],
)
def test_rows_of_units_are_carried_through(tmp_path, rows, units):
    table, out = filled(tmp_path, rows.encode())
    assert f"({units}) is taken for units" in table.notes[0]
    assert table.columns[0].kind == "integer" and len(table.frame) == 3
    assert out.decode().splitlines()[:3] == rows.splitlines()[:3]


def test_times_of_databases_are_read_and_written():
    """PostgreSQL leaves zeros of seconds' parts and of offsets out."""
    cells = ["2024-03-01 00:00:00+00", "2024-03-01 07:00:00.5+00"]
    cells += [
        "2024-07-02 10:00:00.001371+02",
        "",
        "2024-07-03 10:00:00.25-03:30",
    ]
    table = _read(pd.DataFrame({"t": cells, "x": 1.5}))
    style = table.styles[0]
    found = style.read(table.frame["t"].replace("", None).dropna())
    assert str(found[1]) == "2024-03-01 07:00:00.500000"
    assert str(found[2]) == "2024-07-02 08:00:00.001371"
    assert str(found[4]) == "2024-07-03 13:30:00.250000"
    new = pd.Series(pd.to_datetime(["2024-07-02 08:00:00"]))
    assert style.write(new)[0] == "2024-07-02 10:00:00.000000+02"


def test_a_mark_with_a_sign_of_equality_is_one_where_a_cell_is_that(tmp_path):
    content = b"x,y\n1,a=b\n2,c\n,d\n4,a=b\n"
    marks = (*NA_VALUES, "a=b", "x=4")
    table, _ = filled(tmp_path, content, na_values=marks)
    np.testing.assert_array_equal(table.missing.sum(axis=0), [2, 2])
    with pytest.raises(DataError, match="names 'z', which is not a column"):
        filled(tmp_path, content, na_values=(*marks, "z=4"))
    frame = pd.DataFrame({"x": [1.0, 4.0, 2.0], "y": ["a=b", "c", "d"]})
    found = tables.missing_cells(frame, ["x=4", "a=b"])
    assert found.tolist() == [[False, True], [True, False], [False, False]]
    with pytest.raises(DataError, match="did you mean x"):
        tables.missing_cells(frame, ["xx=4"])


def test_whole_numbers_beyond_floats_are_text():
    near = [str(2**60 + k) for k in range(3)]
    assert not number_styles(pd.Series([*near, "5"]))
    even = [str(2**60 + 1), str(-(2**61)), "5"]
    assert number_styles(pd.Series(even))


@pytest.mark.parametrize(
    ("cells", "spec", "written"),
    [
        (["+1.5", "-2.25", "0"], "+.2f", "+3.00"),
        (["+1.5", "2.5"], ".1f", "3.0"),
        (["-1", "-2"], ".0f", "3"),
        (["1.5E+08", "2E+07"], ".7G", "3"),
        (["+1e-3", "-1e5"], "+.7g", "+3"),
        (["1.5e-05", "0.001"], ".7g", "3"),
        (["1e3", "1E3"], ".7g", "3"),
    ],
)
def test_signs_and_exponents_are_written_as_they_came(cells, spec, written):
    (style,) = number_styles(pd.Series(cells))
    assert style == NumberStyle(spec) and style.write(3.0) == written
    numbers = style.read(pd.Series(cells))
    assert numbers.tolist() == [float(cell) for cell in cells]
