"""Heads of tables: names in two rows, rows of units, titles of any width."""

import numpy as np
import pytest

from miri_jax.data.readers import read_table
from miri_jax.data.tables import settle_table
from miri_jax.data.writers import write_table

N = 30
RNG = np.random.default_rng(0)
GAP = [k % 5 == 2 for k in range(N)]
BODY = [
    [f"s{k % 4}", f"2024-03-{k % 28 + 1:02d}", *(f"{x:.1f}" for x in row)]
    for k, row in enumerate(RNG.normal(20, 3, (N, 3)))
]
NAMES = ["site", "day", "low", "high", "rate"]
# Rows above the body, how many of them are above the rows, and the names.
HEADS = {
    "groups of cells": (
        [
            ["site", "when", "temp", "", "other"],
            ["", "day", "low", "high", "rate"],
        ],
        NAMES,
    ),
    "groups over all": (
        [["where", "", "temp", "", ""], NAMES],
        NAMES,
    ),
    "names twice below groups": (
        [["site", "day", "2023", "2024", ""], ["", "", "low", "low", "rate"]],
        ["site", "day", "2023 low", "2024 low", "rate"],
    ),
    "groups that are repeated": (
        [["a", "a", "b", "b", "b"], NAMES],
        ["a site", "a day", "b low", "b high", "b rate"],
    ),
    "a row of units": ([NAMES, ["", "", "degC", "degC", "mm"]], NAMES),
    "units of times": ([NAMES, ["", "UTC", "degC", "degC", "mm"]], NAMES),
    "units and what was done": (
        [
            NAMES,
            ["", "TS", "Deg C", "Deg C", "mm"],
            ["", "", "Min", "Max", "Avg"],
        ],
        NAMES,
    ),
    "a title and units": (
        [["Station 7"], [], NAMES, ["-", "", "[degC]", "[degC]", "[mm]"]],
        NAMES,
    ),
}


def _filled(path, out):
    table = read_table(str(path))
    values = np.where(table.m, table.values, 0.0)
    write_table(str(out), table, settle_table(table, values))
    return table


@pytest.mark.parametrize("sep", [",", "\t"])
@pytest.mark.parametrize("name", HEADS)
def test_heads_of_text_are_found_and_stay(tmp_path, name, sep):
    head, names = HEADS[name]
    rows = [
        [*row[:2], "" if gap else row[2], *row[3:]]
        for row, gap in zip(BODY, GAP)
    ]
    lines = [sep.join(row) for row in (*head, *rows)]
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("\r\n".join(lines) + "\r\n", newline="")
    table = _filled(path, out)
    assert [c.name for c in table.columns] == names
    assert [c.kind for c in table.columns][1:] == ["datetime", *["real"] * 3]
    after = out.read_bytes().decode().split("\r\n")
    assert len(after) == len(lines) + 1
    for k, (x, y) in enumerate(zip(lines, after)):
        gap = k >= len(head) and GAP[k - len(head)]
        assert (x != y) == gap, (x, y)


@pytest.mark.parametrize("name", HEADS)
def test_heads_of_sheets_are_found_and_stay(tmp_path, name):
    openpyxl = pytest.importorskip("openpyxl")
    head, names = HEADS[name]
    book = openpyxl.Workbook()
    for row in head:
        book.active.append([cell or None for cell in row])
    for row, gap in zip(BODY, GAP):
        numbers = [float(x) for x in row[2:]]
        book.active.append(
            [*row[:2], None if gap else numbers[0], *numbers[1:]]
        )
    path, out = tmp_path / "in.xlsx", tmp_path / "out.xlsx"
    book.save(path)
    table = _filled(path, out)
    assert [c.name for c in table.columns] == names
    assert [c.kind for c in table.columns][1:] == ["datetime", *["real"] * 3]
    after = openpyxl.load_workbook(out).active
    changed = [
        cell.coordinate
        for before, row in zip(book.active.iter_rows(), after.iter_rows())
        for old, cell in zip(before, row)
        if old.value != cell.value
    ]
    first = len(head) + 1
    assert changed == [f"C{first + k}" for k in range(N) if GAP[k]]


@pytest.mark.parametrize(
    "head",
    [
        [NAMES],
        [["", "day", "low", "high", "rate"]],  # names of rows
        [NAMES, ["s9", "2024-04-01", "", "", "1.5"]],
        [NAMES, ["s9", "", "", "", ""]],
    ],
)
def test_first_rows_of_a_table_are_no_heads(tmp_path, head):
    path = tmp_path / "in.csv"
    path.write_text("\n".join(map(",".join, (*head, *BODY))) + "\n")
    table = read_table(str(path))
    assert len(table.frame) == N + len(head) - 1
    assert [c.name for c in table.columns] == [x for x in head[0] if x]


def test_a_title_may_have_more_cells_than_the_table(tmp_path):
    """As those of loggers, TOA5."""
    head = [
        '"TOA5","CR1000","CR1000","1234","CR1000.Std.25","p.CR1","9","T1"',
        '"TIMESTAMP","RECORD","BattV","AirTC_Avg"',
        '"TS","RN","Volts","Deg C"',
        '"","","Min","Avg"',
    ]
    rows = [
        f'"2024-03-31 00:{k:02d}:00",{900 + k * k},12.{k % 7}1,'
        + ('"NAN"' if gap else f"{k * 37 % 11}.125")
        for k, gap in enumerate(GAP)
    ]
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("\r\n".join([*head, *rows, ""]), newline="")
    table = _filled(path, out)
    names = [c.name for c in table.columns]
    assert names == ["TIMESTAMP", "RECORD", "BattV", "AirTC_Avg"]
    after = out.read_bytes().decode().split("\r\n")
    assert after[:4] == head and "NAN" not in "".join(after)
    assert [x for x, gap in zip(after[4:], GAP) if not gap] == [
        x for x, gap in zip(rows, GAP) if not gap
    ]
