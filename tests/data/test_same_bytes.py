"""The same table gives the same bytes, whatever the time, in all formats."""

import time

import numpy as np
import pandas as pd
import pytest

from miri_jax.data.packing import unpacked_size
from miri_jax.data.readers import read_table
from miri_jax.data.writers import write_long, write_table
from miri_jax.endings import ENDINGS, PACKED, READ_ONLY

WRITTEN = [end for end in ENDINGS if end not in READ_ONLY]
WRITTEN += [f".csv{packed}" for packed in PACKED]


def test_no_time_is_in_a_file(tmp_path):
    pytest.importorskip("openpyxl"), pytest.importorskip("pyreadstat")
    pd.DataFrame({"a": [1.5, None, 2.5], "b": ["x", "y", None]}).to_excel(
        tmp_path / "in.xlsx", index=False
    )
    (tmp_path / "in.csv").write_text("a,b\n1.5,x\n,y\n2.5,\n")
    tables = [read_table(str(tmp_path / f"in.{e}")) for e in ("csv", "xlsx")]
    names = []
    for number in range(2):
        for k, table in enumerate(tables):
            values = np.nan_to_num(table.values)
            for ending in WRITTEN:
                path = tmp_path / f"{number}_{k}{ending}"
                write_table(str(path), table, values)
                names.append(f"{k}{ending}")
        path = tmp_path / f"{number}_long.xlsx"
        write_long(str(path), tables[0], [values, values])
        time.sleep(0 if number else 2.1)
    for name in ("long.xlsx", *names):
        one, other = (tmp_path / f"{k}_{name}" for k in range(2))
        assert one.read_bytes() == other.read_bytes(), name
    assert b"01 Jan 1970 00:00" in (tmp_path / "0_0.dta").read_bytes()[:1024]
    assert read_table(str(tmp_path / "0_1.xlsx")).frame.shape == (3, 2)


@pytest.mark.parametrize("ending", ["", *PACKED])
def test_the_size_of_a_packed_file_is_that_of_its_content(tmp_path, ending):
    table = tmp_path / "in.csv"
    table.write_text("a,b\n" + "1,2\n,3\n" * 300000)
    path = tmp_path / f"out.csv{ending}"
    write_table(str(path), read_table(str(table)), np.ones((600000, 2)))
    size, none = unpacked_size(str(path), 10**9)
    assert (size, none) == (4 + 600000 * 4, 0)
    marks = unpacked_size(str(path), 10**9, 100000, [b",", b"\n"])
    assert marks[1] > 100000
    assert unpacked_size(str(path), 10**9, 10**6, [b"\n"])[1] in (600001, 0)
    # Counting ends soon after what there is room for.
    assert unpacked_size(str(path), 1000)[0] <= max(size, 2**20)
