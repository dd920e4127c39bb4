"""Filled times lie on the grid of the column's times, by its clocks."""

import numpy as np
import pandas as pd
import pytest

from miri_jax.app import impute
from miri_jax.data.calendars import fit_calendar, on_calendar
from miri_jax.estimator import MIRIImputer

# Times of a column, and which rows they are of; all else are gaps.
GRIDS = {
    "quarter hours": pd.date_range("2024-01-01", periods=90, freq="15min"),
    "half hours": pd.date_range("2024-01-01 00:10", periods=90, freq="30min"),
    "days": pd.date_range("2024-01-01", periods=90),
    "mornings": pd.date_range("2024-01-01 06:30", periods=90),
    "Tuesdays": pd.date_range("2024-01-02", periods=60, freq="7D"),
    "months' firsts": pd.date_range("2015-01-01", periods=90, freq="MS"),
    "months' ends": pd.date_range("2015-01-31", periods=90, freq="ME"),
    "quarters": pd.date_range("2001-04-01", periods=80, freq="3MS"),
    "years": pd.date_range("1950-01-01", periods=70, freq="YS"),
    "weekdays": pd.bdate_range("2024-01-01", periods=90),
    "ten seconds": pd.date_range("2024-01-01 00:00:03", periods=90, freq="10s"),
}
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]


def _seconds(times):
    return times.as_unit("us").asi8 / 1e6


@pytest.mark.parametrize("name", GRIDS)
def test_points_of_a_grid_stay_and_others_come_to_the_nearest(name):
    times = GRIDS[name]
    seconds, rng = _seconds(times), np.random.default_rng(0)
    calendar = fit_calendar(seconds[rng.random(len(seconds)) < 0.6])
    np.testing.assert_array_equal(on_calendar(calendar, seconds), seconds)
    anywhere = rng.uniform(seconds[0], seconds[-1], 500)
    found = on_calendar(calendar, anywhere)
    assert set(found) <= set(seconds)
    distance = np.abs(seconds[:, None] - anywhere)
    slack = 86400 if name == "weekdays" else 0  # the clock stays
    best = distance.min(axis=0) + slack
    assert np.all(np.abs(found - anywhere) <= best + 1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("freq", ["D", "MS", "6h", "30min"])
def test_a_grid_is_that_of_the_clocks_of_a_zone(zone, freq):
    """Over the days of March and October when clocks are turned."""
    times = pd.date_range("2023-01-01", "2024-12-31", freq=freq).tz_localize(
        zone, nonexistent="NaT", ambiguous="NaT"
    )
    times = times[times.notna()][: 20000 : 7 if freq == "30min" else 1]
    seconds = _seconds(times)
    calendar = fit_calendar(seconds, zone)
    rng = np.random.default_rng(0)
    near = seconds + rng.uniform(-500, 500, len(seconds))
    np.testing.assert_array_equal(on_calendar(calendar, near), seconds)


@pytest.mark.parametrize("few", [1, 2])
def test_few_times_are_no_grid(few):
    assert fit_calendar(np.arange(few) * 86400.0) is None


def test_times_that_are_anywhere_have_the_grid_of_seconds_only():
    rng = np.random.default_rng(0)
    seconds = np.round(rng.uniform(0, 1e9, 100))
    assert fit_calendar(seconds).step == 1
    assert fit_calendar(seconds + 0.5) is None
    days = np.round(rng.uniform(0, 1e4, 100)) * 86400
    calendar = fit_calendar(days)
    assert (calendar.step, calendar.weekdays) == (86400, False)


def _table(times):
    n = len(times)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"when": times, "x": np.arange(n) + rng.normal(size=n)}
    )
    gaps = np.arange(n) % 3 == 1
    frame["when"] = frame["when"].mask(gaps)
    return frame, gaps


@pytest.mark.parametrize(
    "name", ["quarter hours", "months' firsts", "weekdays"]
)
def test_the_estimator_fills_with_times_of_the_grid(name, tmp_path):
    frame, gaps = _table(GRIDS[name])
    imputer = MIRIImputer("chained", random_state=0).fit(frame)
    filled = imputer.transform(frame)["when"]
    assert set(filled) <= set(GRIDS[name]) and filled[gaps].nunique() > 5
    imputer.save(tmp_path / "model")
    again = MIRIImputer.load(tmp_path / "model")
    assert again.columns_ == imputer.columns_
    pd.testing.assert_series_equal(again.transform(frame)["when"], filled)


def test_text_with_offsets_has_midnight_in_summer_and_winter(tmp_path):
    days = pd.date_range("2023-01-01", periods=365, tz="Europe/Berlin")
    frame, gaps = _table(days.map(lambda x: x.isoformat()).to_series(name="t"))
    frame.index = range(len(frame))
    frame.to_csv(tmp_path / "in.csv", index=False)
    words = [str(tmp_path / f"{x}.csv") for x in ("in", "out")]
    words += ["--method", "chained"]
    impute.impute(impute.make_parser().parse_args(words))
    found = pd.read_csv(tmp_path / "out.csv")["when"]
    assert found.str.contains("T00:00:00+0", regex=False).all()
    assert set(found.str[-6:]) == {"+01:00", "+02:00"}
    near = pd.to_datetime(found[gaps], utc=True).dt.tz_convert("Europe/Berlin")
    turned = near.dt.hour != 0  # between a change and the next observed time
    assert turned.mean() < 0.02


def test_a_frame_with_a_zone_keeps_it():
    days = pd.date_range("2023-01-01", periods=365, tz="Europe/Berlin")
    frame, gaps = _table(days)
    filled = MIRIImputer("chained", random_state=0).fit(frame).transform(frame)
    assert filled["when"].dtype == frame["when"].dtype
    assert set(filled["when"].dt.hour) == {0}
