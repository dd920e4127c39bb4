"""What is plain and restored is what came, for any cells of any type."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miri_jax.data.plain import put, to_plain

FIRST, LAST = datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)
TIMES = st.datetimes(FIRST, LAST)
SECONDS = TIMES.map(lambda x: x.replace(microsecond=0))
AWARE = st.datetimes(FIRST, LAST, timezones=st.just(datetime.UTC))
DAYS = st.dates(FIRST.date(), LAST.date())
CLOCKS = st.times()
SPANS = st.timedeltas(datetime.timedelta(-70000), datetime.timedelta(70000))
WHOLE = st.integers(-100, 100)
REAL = st.floats(-(2.0**99), 2.0**99, width=32)
TEXT = st.text("abcé ", min_size=1, max_size=3)
DIGITS = st.decimals(-9999, 9999, places=2)
ZONE = "Asia/Tokyo"
ARROW = [
    (TEXT, pa.string()),
    (TEXT, pa.large_string()),
    (TEXT, pa.dictionary(pa.int8(), pa.string())),
    (WHOLE, pa.dictionary(pa.int32(), pa.int64())),
    (st.booleans(), pa.bool_()),
    (WHOLE, pa.int8()),
    (WHOLE, pa.int64()),
    (REAL, pa.float32()),
    (REAL, pa.float64()),
    (DAYS, pa.date32()),
    (DAYS, pa.date64()),
    (CLOCKS.map(lambda x: x.replace(microsecond=0)), pa.time32("s")),
    (CLOCKS, pa.time64("us")),
    (CLOCKS, pa.time64("ns")),
    (SPANS, pa.duration("us")),
    (TIMES, pa.timestamp("ns")),
    (SECONDS, pa.timestamp("s")),
    (AWARE, pa.timestamp("us", ZONE)),
    (DIGITS, pa.decimal128(9, 2)),
    (DIGITS, pa.decimal256(50, 4)),
]
PANDAS = [
    (WHOLE, "Int8"),
    (REAL, "Float64"),
    (st.booleans(), "boolean"),
    (TEXT, "string"),
    (TEXT, "category"),
    (TIMES, "datetime64[ns]"),
    (AWARE, f"datetime64[us, {ZONE}]"),
    (SPANS, "timedelta64[us]"),
    (SPANS, "timedelta64[ns]"),
    (REAL, pd.SparseDtype(float, np.nan)),
    (REAL, pd.SparseDtype(float, 0.0)),
    *(
        (TIMES.map(lambda x, f=f: pd.Period(x, f)), f"period[{f}]")
        for f in ("Y", "Q", "M", "D", "h")
    ),
]
OBJECTS = {
    "dates": DAYS,
    "times": TIMES,
    "times with zone": AWARE,
    "clocks": CLOCKS,
    "durations": SPANS,
    "Timestamp": TIMES.map(pd.Timestamp),
    "Timestamp with zone": AWARE.map(
        lambda x: pd.Timestamp(x).tz_convert(ZONE)
    ),
    "Timedelta": SPANS.map(pd.Timedelta),
    "datetime64": TIMES.map(np.datetime64),
    "timedelta64": SPANS.map(np.timedelta64),
    "Period": TIMES.map(lambda x: pd.Period(x, "M")),
    "Decimal": DIGITS,
    "text": TEXT,
    "numbers": st.one_of(WHOLE, REAL),
}
TYPES = {
    **{f"arrow {kind}": (s, pd.ArrowDtype(kind)) for s, kind in ARROW},
    **{str(kind): (s, kind) for s, kind in PANDAS},
    **{f"objects: {name}": (s, object) for name, s in OBJECTS.items()},
}


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_what_is_restored_is_what_came(name, data):
    strategy, kind = TYPES[name]
    cells = data.draw(st.lists(strategy, min_size=2, max_size=9))
    none = st.sampled_from([None, pd.NA, np.nan, pd.NaT])
    blank = data.draw(none) if kind is object else None
    gaps = np.array(
        data.draw(
            st.lists(st.booleans(), min_size=len(cells), max_size=len(cells))
        )
    )
    gaps[0] = False
    index = pd.Index([3] * len(cells))
    make = lambda given: pd.Series(given, index, dtype=kind)
    whole = make(cells)
    if isinstance(whole.dtype, pd.CategoricalDtype):
        kind = whole.dtype
    came = make([blank if gap else x for x, gap in zip(cells, gaps)])
    new = to_plain(whole).series[gaps]
    done = put(came, gaps, to_plain(came).restore(new))
    pd.testing.assert_series_equal(done, whole)
    if kind is object:
        types = lambda series: [type(x) for x in series]
        assert types(done) == types(whole)
