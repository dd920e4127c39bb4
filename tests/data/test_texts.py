"""Text files of all forms: read alike, written back to the byte."""

import codecs
import gzip
import pathlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miri_jax.data import readers, tables, writers
from miri_jax.exceptions import DataError

SETTINGS = dict(
    deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
}
TOWNS = [
    "München",
    "Köln",
    "Å; b",
    "Bad, Ems",
    'the "Hof"',
    "zwei\nZeilen",
    "b|c",
]


def filled(path, content, name="in.csv", **given):
    """What a file comes back as, its numbers filled with the column's mean."""
    path = pathlib.Path(path)
    (path / name).write_bytes(content)
    table = readers.read_table(str(path / name), **given)
    values = np.where(table.m, table.values, 0.0)
    values = tables.settle_table(table, values)
    out = path / f"out-{name}"
    writers.write_table(str(out), table, values)
    return table, out.read_bytes()


@st.composite
def files(draw):
    """Lines of cells, gaps as None, and how they are written."""
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    style = draw(st.sampled_from(["needed", "text", "all"]))
    encoding = draw(
        st.sampled_from([*MARKS, "utf-8 plain", "cp1252", "utf-16-le plain"])
    )
    plain = encoding.removesuffix(" plain")
    mark = MARKS.get(encoding, b"")
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    n = draw(st.integers(5, 12))
    towns = st.sampled_from(TOWNS)
    number = st.decimals(-99, 99, places=2).map(str)
    rows = [
        [draw(towns), draw(number), draw(st.one_of(st.none(), number))]
        for _ in range(n)
    ]
    rows[0][2], rows[1][2] = "3.25", None
    return {
        "rows": rows,
        "separator": separator,
        "quote": style,
        "encoding": plain,
        "mark": mark,
        "end": end,
        "last": draw(st.booleans()),
        "blank": draw(st.sets(st.integers(1, n), max_size=2)),
        "titles": draw(
            st.sampled_from([[], ["Stätion 7"], ["One", "", "Two"]])
        ),
        "tail": draw(st.booleans()),
        "labels": draw(st.booleans()),
    }


def written(how, rows):
    """The bytes of a file of rows."""

    def cell(text, is_text):
        need = any(c in text for c in (how["separator"], '"', "\n", "\r"))
        if (
            need
            or how["quote"] == "all"
            or (how["quote"] == "text" and is_text)
        ):
            return '"' + text.replace('"', '""') + '"'
        return text

    header = ["Straße", "temp", "last"]
    lines = [[cell(x, True) for x in header]]
    lines += [
        [cell(row[0], True), *(cell(x, False) for x in row[1:])] for row in rows
    ]
    if how["labels"]:
        lines = [
            [cell("" if k == 0 else str(k - 1), k == 0), *line]
            for k, line in enumerate(lines)
        ]
    lines = [
        how["separator"].join(line) + how["separator"] * how["tail"]
        for line in lines
    ]
    for k in sorted(how["blank"], reverse=True):
        lines.insert(k, "")
    text = how["end"].join([*how["titles"], *lines])
    text += how["end"] * how["last"]
    return how["mark"] + text.encode(how["encoding"])


@settings(max_examples=60, **SETTINGS)
@given(how=files())
def test_files_of_every_form_come_back_to_the_byte(tmp_path_factory, how):
    folder = tmp_path_factory.mktemp("form")
    name = "in.csv"
    gaps = [[*row[:2], row[2] or ""] for row in how["rows"]]
    table, found = filled(folder, written(how, gaps), name)
    assert list(table.frame.columns) == ["Straße", "temp", "last"]
    assert table.frame.iloc[:, 0].tolist() == [row[0] for row in how["rows"]]
    mean = tables.fill_table(
        table,
        tables.settle_table(table, np.where(table.m, table.values, 0.0)),
    )
    whole = [
        [*row[:2], row[2] or mean.iloc[k, 2]]
        for k, row in enumerate(how["rows"])
    ]
    assert found == written(how, whole)


def _mixed(text):
    return text.encode("utf-8")


@pytest.mark.parametrize(
    "content",
    [
        _mixed("a,b\n1,2\r\n3,4\n5,6"),  # ends of two kinds
        _mixed("a,b\n\n1,2\n  \n3,4\n\n\n"),
        _mixed('a,b\n1,"x"\n2,x\n3,"y ""z"""\n4,"q"r\n'),
        _mixed(" a , b\n 1,2 \n3 , 4\n"),
        _mixed("sep=;\r\na;b\r\n1;2\r\n3;4\r\n"),
        _mixed("a,b,,\n1,2,,\n3,4,,\n"),
        _mixed("a,b\n1,2,\n3,4,\n"),
        _mixed("Report,,\n,,\nx,y,z\n1,2,3\n4,5,7\n"),
        _mixed("Report,,\nx,y,z\n1,2,3\n4,5,7\n"),
        _mixed('"x","y"\n"r1",1,2\n"r2",3,5\n"r3",4,4\n'),  # R's names of rows
    ],
)
def test_files_without_gaps_come_back_to_the_byte(tmp_path, content):
    assert filled(tmp_path, content)[1] == content


def test_packed_files_are_the_same_bytes_again(tmp_path):
    content = gzip.compress("a;b\r\nä;2\r\nö;\r\nä;3\r\n".encode("cp1252"))
    one = filled(tmp_path, content, "in.csv.gz")[1]
    assert one == filled(tmp_path, content, "in.csv.gz")[1]
    assert gzip.decompress(one).startswith(b"a;b\r\n\xe4;2\r\n\xf6;")


def test_what_is_found_is_said(tmp_path):
    content = "Export\nStraße;t\nKöln;1\nMünchen;\nKöln;2\n".encode("cp1252")
    notes = filled(tmp_path, content)[0].notes
    assert "text in cp1252, which is a guess; semicolons between" in notes[0]
    assert "1 line(s) above its header" in notes[0]
    assert notes[0].about == {
        "encoding": "cp1252",
        "separator": ";",
        "skip_rows": "1",
    }
    given = dict(encoding="cp1252", separator=";", skip_rows=1)
    assert not filled(tmp_path, content, **given)[0].notes[0].count("cp1252")


@pytest.mark.parametrize(
    "given, message",
    [
        ({"encoding": "utf-9"}, "which Python does not know"),
        ({"encoding": "ascii"}, "is not text in ascii"),
        ({"skip_rows": 9}, "give a smaller skip_rows"),
        ({"skip_rows": -1}, "skip_rows is -1"),
        ({"separator": ";;"}, "separator is ';;'"),
        ({"separator": '"'}, "separator is"),
    ],
)
def test_settings_of_text_are_checked(tmp_path, given, message):
    with pytest.raises(DataError, match=message):
        filled(tmp_path, "a,b\nä,2\n,3\n".encode(), **given)
