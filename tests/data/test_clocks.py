"""Times of the day: filled as such, near each other across midnight."""

import datetime
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from miri_jax.app import impute
from miri_jax.data import readers, tables, writers
from miri_jax.data.calendars import CLOCK, DAY, day_of, on_day
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import DataError

N = 60
RNG = np.random.default_rng(0)
# Minutes around midnight, and by day.
NIGHT = np.round(RNG.normal(0, 50, N)).astype(int) % 1440
NOON = np.round(RNG.normal(740, 90, N)).astype(int)
GAP = np.arange(N) % 4 == 1


def _times(minutes, seconds=0):
    return [datetime.time(m // 60, m % 60, seconds) for m in minutes]


def _from_midnight(cells):
    """Minutes after midnight, those before it negative."""
    found = [int(x[:-3]) * 60 + int(x[-2:]) for x in cells]
    return np.array([m - 1440 if m > 720 else m for m in found])


NOTATIONS = {
    "%H:%M": r"[0-2]\d:[0-5]\d",
    "%H:%M:%S": r"[0-2]\d:[0-5]\d:00",
    "%-H:%M": r"1?\d:[0-5]\d|2\d:[0-5]\d",
    "%I:%M %p": r"[01]\d:[0-5]\d [AP]M",
    "%-I:%M%p": r"1?\d:[0-5]\d[AP]M",
    "%H:%M:%S.0": r"[0-2]\d:[0-5]\d:00\.0",
}


@pytest.mark.parametrize("mark", ["", "NA", "-"])
@pytest.mark.parametrize("notation", NOTATIONS)
def test_clocks_of_text_are_filled_in_their_notation(tmp_path, notation, mark):
    cells = [x.strftime(notation) for x in _times(NIGHT)]
    lines = [mark if gap else x for x, gap in zip(cells, GAP)]
    text = "x,t\n" + "".join(f"{k},{x}\n" for k, x in enumerate(lines))
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text(text)
    table = readers.read_table(str(path), kinds={"x": "real"})
    assert table.columns[1].kind == "datetime"
    assert table.columns[1].why == "times of the day"
    assert table.missing[:, 1].tolist() == GAP.tolist()
    # A score of nothing in particular is the middle of what was observed.
    writers.write_table(
        str(out), table, tables.settle_table(table, table.values.copy())
    )
    back = [line.partition(",")[2] for line in out.read_text().split("\n")]
    for k, (before, after) in enumerate(zip(lines, back[1:])):
        assert GAP[k] or before == after
        assert re.fullmatch(NOTATIONS[notation], after), after


def test_what_is_near_midnight_is_filled_near_midnight(tmp_path):
    cells = [f"{x:%H:%M}" for x in _times(NIGHT)]
    lines = ["" if gap else x for x, gap in zip(cells, GAP)]
    (tmp_path / "in.csv").write_text("x,t\n1," + "\n2,".join(lines) + "\n")
    words = [str(tmp_path / f"{x}.csv") for x in ("in", "out")]
    for method, width in (("mean", 15), ("chained", 200)):
        said = [*words, "--method", method, "--force"]
        impute.impute(impute.make_parser().parse_args(said))
        found = pd.read_csv(tmp_path / "out.csv")["t"]
        assert np.abs(_from_midnight(found[GAP])).max() < width
        assert found[~GAP].tolist() == list(np.array(cells)[~GAP])


def test_a_day_begins_where_nothing_is_but_at_midnight_if_it_can():
    night, noon = (CLOCK + 60.0 * x for x in (NIGHT, NOON))
    assert CLOCK + DAY / 4 < day_of(night) < CLOCK + DAY * 3 / 4
    assert day_of(noon) == CLOCK
    anywhere = CLOCK + np.floor(RNG.uniform(0, DAY, 500))
    assert day_of(anywhere) == CLOCK
    assert day_of(night[:2]) == CLOCK  # Nothing is told by two.
    assert day_of(noon + DAY) is None and day_of(noon[:0]) is None
    moved = on_day(night, day_of(night))
    assert np.ptp(moved) < 6 * 3600
    np.testing.assert_array_equal(on_day(moved, float(CLOCK)), night)


def test_times_of_day_are_within_the_day_where_it_begins_at_midnight(tmp_path):
    """As calls that take some minutes: none lasts until the night before."""
    short = np.round(RNG.gamma(1, 4, N)).astype(int)
    cells = ["" if gap else f"0:{m:02d}" for m, gap in zip(short, GAP)]
    (tmp_path / "in.csv").write_text("x,t\n1," + "\n2,".join(cells) + "\n")
    table = readers.read_table(str(tmp_path / "in.csv"))
    values = np.where(table.m, table.values, CLOCK - 900.0)
    out = str(tmp_path / "out.csv")
    writers.write_table(out, table, tables.settle_table(table, values))
    assert set(pd.read_csv(out)["t"][GAP]) == {"0:00"}


def test_the_end_of_a_day_is_read(tmp_path):
    rows = [f"2024-01-{d:02d} {h}:00,{h}:00" for d in (1, 2) for h in (8, 16)]
    rows += [f"2024-01-0{d} 24:00,24:00" for d in (1, 2)]
    (tmp_path / "in.csv").write_text(
        "d,t\n" + "\n".join(rows) + "\n2024-01-03 8:00,\n"
    )
    table = readers.read_table(str(tmp_path / "in.csv"))
    assert [c.kind for c in table.columns] == ["datetime"] * 2
    seconds = table.values[:, 0] - table.values[0, 0]
    assert seconds[4] == 16 * 3600 and seconds[5] == 40 * 3600
    assert table.values[4, 1] == CLOCK


def _frame():
    times = [None if gap else x for x, gap in zip(_times(NIGHT), GAP)]
    return pd.DataFrame({"x": RNG.normal(size=N), "t": times})


@pytest.mark.parametrize("ending", ["xlsx", "parquet", "feather"])
def test_clocks_with_a_type_come_back_with_it(tmp_path, ending):
    frame = _frame()
    path, out = (str(tmp_path / f"{x}.{ending}") for x in ("in", "out"))
    if ending == "xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in (["x", "t"], *frame.to_numpy(object).tolist()):
            book.active.append(row)
        book.save(path)
        read = pd.read_excel
    else:
        table = pa.table(
            {"x": frame["x"], "t": pa.array(frame["t"], pa.time32("ms"))}
        )
        write = pq.write_table if ending == "parquet" else feather.write_feather
        write(table, path)
        read = getattr(pd, f"read_{ending}")
    words = [path, out, "--method", "chained"]
    impute.impute(impute.make_parser().parse_args(words))
    before, after = read(path)["t"], read(out)["t"]
    assert after[~GAP].tolist() == before[~GAP].tolist()
    assert {type(x) for x in after} == {datetime.time}
    shown = [f"{x:%H:%M}" for x in after[GAP]]
    assert np.abs(_from_midnight(shown)).max() < 200


def test_clocks_of_json_are_text(tmp_path):
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"x": k % 7, "t": x and f"{x:%H:%M}"}
        for k, x in enumerate(_frame()["t"])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    impute.impute(
        impute.make_parser().parse_args(
            [str(path), str(out), "--method", "mean"]
        )
    )
    found = [json.loads(x)["t"] for x in out.read_text().splitlines()]
    assert np.abs(_from_midnight(np.array(found)[GAP])).max() < 15


def test_nanoseconds_of_a_clock_stay(tmp_path):
    nanos = [None if k % 5 == 2 else 10**12 + 1001 * k for k in range(30)]
    table = pa.table({"t": pa.array(nanos, pa.time64("ns")), "x": range(30)})
    pq.write_table(table, tmp_path / "in.parquet")
    found = readers.read_table(str(tmp_path / "in.parquet"))
    out = str(tmp_path / "out.parquet")
    writers.write_table(out, found, tables.settle_table(found, found.values))
    back = pq.read_table(out)
    assert back.schema.equals(table.schema)
    after = back["t"].cast(pa.int64()).to_pylist()
    assert all(x == y for x, y in zip(nanos, after) if x is not None)
    assert all(abs(x - 10**12) < 10**9 for x in after)


def test_new_rows_have_the_day_of_the_fit(tmp_path):
    frame = _frame()
    imputer = MIRIImputer("chained", random_state=0).fit(frame)
    alone = imputer.transform(frame.iloc[1:2])["t"].iloc[0]
    assert alone == imputer.transform(frame)["t"].iloc[1]
    assert abs(_from_midnight([f"{alone:%H:%M}"])[0]) < 200
    imputer.save(tmp_path / "model")
    again = MIRIImputer.load(tmp_path / "model")
    assert again.columns_ == imputer.columns_
    assert (
        again.transform(frame)["t"].tolist()
        == imputer.transform(frame)["t"].tolist()
    )


def test_rules_and_bounds_are_of_the_clock(tmp_path):
    frame = _frame().assign(up=_times(NOON))
    late = {"t": (datetime.time(23, 30), "01:15")}
    with pytest.raises(DataError, match="beyond its bounds"):
        MIRIImputer("chained", bounds=late).fit(frame)
    inside = frame["t"].map(
        lambda x: (
            x
            if x
            and (x.hour, x.minute) <= (1, 15)
            or x
            and x.hour == 23
            and x.minute >= 30
            else None
        )
    )
    bound = MIRIImputer("chained", bounds=late, random_state=0)
    filled = bound.fit_transform(frame.assign(t=inside))["t"]
    shown = _from_midnight([f"{x:%H:%M}" for x in filled])
    assert shown.min() >= -30 and shown.max() <= 75
    ruled = MIRIImputer("chained", rules=["t >= '23:45'"], random_state=0)
    done = ruled.fit_transform(frame)["t"][GAP]
    # After a quarter to midnight are the first hours of the day, too.
    assert _from_midnight([f"{x:%H:%M}" for x in done]).min() >= -15
    with pytest.raises(DataError, match="write it as '18:30'"):
        MIRIImputer("chained", rules=["t >= '2024-01-01'"]).fit(frame)
