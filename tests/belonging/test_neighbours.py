"""What others tell of a number: closed forms, and nothing of itself."""

import numpy as np
import pytest

from miri_jax.belonging import (
    Process,
    Rows,
    away,
    by_itself,
    choose,
    constant_by,
    filled_by,
    panel_of,
    tell,
)

LINE = Process(0, 1e4, 0.0, 0.0)


def _near(rows, values, seen, process):
    center = values[seen].mean(axis=0)
    return tell(rows, values, seen, center, np.zeros((1, 2)), process).mean


def test_a_process_of_long_memory_draws_straight_lines():
    rng = np.random.default_rng(0)
    time = np.sort(rng.random(60)) * 100
    values, seen = rng.normal(size=(60, 1)), rng.random(60) < 0.7
    seen[[0, -1]] = True
    told = _near(Rows(np.zeros(60, int), time), values, seen, LINE)
    line = np.interp(time[~seen], time[seen], values[seen, 0])
    np.testing.assert_allclose(told[~seen, 0], line, atol=0.02)


def test_a_group_tells_its_shrunken_mean():
    group = np.array([0, 0, 0, 1, 1, 2])
    values = np.array([[3.0], [5.0], [0.0], [9.0], [11.0], [0.0]])
    seen = np.array([True, True, False, True, True, False])
    told = _near(Rows(group), values, seen, Process(-1, np.inf, 1.0, 0.5))
    center = values[seen].mean()
    off = values[:, 0] - center
    wanted = [
        off[1] / 1.5,
        off[0] / 1.5,
        (off[0] + off[1]) / 2.5,
        off[4] / 1.5,
        off[3] / 1.5,
        0.0,
    ]
    np.testing.assert_allclose(told[:, 0] - center, wanted)


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_no_number_tells_itself_or_other_groups(timed, seed):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 4, 80)
    time = rng.integers(0, 30, 80) * 1.0 if timed else None
    rows, seen = Rows(group, time), rng.random(80) < 0.7
    values = rng.normal(size=(80, 2))
    process = Process(1, 3.0, 0.5, 0.1) if timed else Process(-1, 1, 1, 0.3)
    far, center = away(rows, seen), np.zeros(2)
    told = tell(rows, values, seen, center, far, process).mean
    one = int(np.flatnonzero(seen)[5])
    changed = values.copy()
    changed[one] += 100
    changed[~seen] += 7
    again = tell(rows, changed, seen, center, far, process).mean
    moved = np.abs(again - told).max(axis=1) > 1e-9
    assert not moved[one] and not moved[group != group[one]].any()
    assert moved[group == group[one]].any()


def test_observed_numbers_are_told_from_as_far_as_gaps():
    """The errors of what is told are those of an outage, not of neighbours."""
    rng = np.random.default_rng(0)
    n = 1000
    rows = Rows(np.zeros(n, int), np.arange(n) * 1.0)
    errors = []
    for seed in range(8):
        walk = np.cumsum(rng.normal(size=n))[:, None]
        seen = np.ones(n, bool)
        seen[300 + 10 * seed : 340 + 10 * seed] = False
        far, center = away(rows, seen), walk[seen].mean(axis=0)
        told = tell(rows, walk, seen, center, far, LINE).mean
        off = (told - walk)[:, 0] ** 2
        errors.append([off[seen].mean(), off[~seen].mean()])
    of_seen, of_gaps = np.sqrt(np.mean(errors, axis=0))
    assert 0.7 < of_seen / of_gaps < 1.4
    assert of_seen > 1.5  # one step away it would be .7


def _gain(series):
    """RMSE in an outage over that of straight lines."""
    n = len(series)
    seen = np.ones(n, bool)
    seen[200:230] = seen[400:410] = False
    rows, values = Rows(np.zeros(n, int), np.arange(n) * 1.0), series[:, None]
    far, center = away(rows, seen), values[seen].mean(axis=0)
    process = choose(rows, values, seen, center, far)
    told = tell(rows, values, seen, center, far, process).mean[~seen, 0]
    line = np.interp(np.flatnonzero(~seen), np.flatnonzero(seen), series[seen])
    size = lambda x: np.sqrt(np.mean((x - series[~seen]) ** 2))
    return size(told) / size(line)


def test_a_process_is_no_worse_than_lines_and_better_where_it_can_be():
    rng = np.random.default_rng(1)
    n = 500
    smooth = np.sin(np.arange(n) / 15) + 0.2 * rng.normal(size=n)
    assert _gain(smooth) < 0.85
    assert _gain(rng.normal(size=n)) < 0.95
    assert _gain(np.cumsum(rng.normal(size=n))) < 1.05


def test_constants_are_told_from_chance():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 4)
    assert constant_by(group, rng.integers(0, 2, 40)[group] * 1.0)
    once = rng.integers(0, 2, 40)[group] * 1.0
    once[0] = 1 - once[0]
    assert not constant_by(group, once)
    assert not constant_by(np.arange(160), rng.normal(size=160))
    assert not constant_by(group, np.zeros(160))
    rare = np.zeros(160)
    rare[156:] = 1  # one group of the others' level may well be chance
    assert not constant_by(group[:8], rare[-8:])


def test_a_group_is_filled_by_its_one_value():
    group = np.array([0, 0, 1, 1, 2, 2])
    values = np.array([7.0, 0, 1, 2, 0, 0])
    known = np.array([True, False, True, True, False, False])
    found, there = filled_by(group, values, known)
    assert there.tolist() == [True, True, False, False, False, False]
    assert found[1] == 7


@pytest.mark.parametrize("seed", range(5))
def test_only_series_look_like_series(seed):
    rng = np.random.default_rng(seed)
    n = 300
    age = rng.integers(20, 80, n) * 1.0
    bulk = np.stack([age, age / 20 + rng.normal(size=n)], axis=1)
    known, numbers = rng.random((n, 2)) < 0.9, np.ones(2, bool)
    assert not by_itself(bulk, known, numbers).any()
    order = np.argsort(age)
    assert not by_itself(bulk[order], known[order], numbers).any()
    walk = np.cumsum(rng.normal(size=(n, 2)), axis=0)
    assert by_itself(walk, known, numbers).all()
    mixed = rng.permutation(n)
    assert not by_itself(walk[mixed], known, numbers).any()
    assert by_itself(walk[mixed], known, numbers, mixed).all()


def test_only_panels_look_like_panels():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(30), 5) * 1.0
    born = rng.integers(0, 40, 30)[who.astype(int)] * 1.0
    other = rng.integers(0, 3, 150) * 1.0
    values = np.stack([who, born, other], axis=1)
    known = np.ones(values.shape, bool)
    known[:, 1:] = rng.random((150, 2)) < 0.8
    keys = np.ones(3, bool)
    assert panel_of(values, known, keys) == 0
    assert panel_of(values[:, [0, 2]], known[:, [0, 2]], keys[:2]) is None
