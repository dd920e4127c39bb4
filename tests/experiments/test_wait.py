"""Seconds are compared within a repeat, the first and later ones apart."""

import pytest

from experiments import wait


def _line(method, repeat, first, **more):
    same = {"name": "adult", "rows": 2000, "draws": 5}
    same |= {"mechanism": "mar", "rate": 0.25}
    return same | {"method": method, "repeat": repeat, "first": first} | more


def test_ratios_are_medians_over_repeats_of_the_same_repeat():
    rows = [
        _line("r-cart", 0, 10.0),
        _line("miri", 0, 20.0, again=5.0),
        _line("r-cart", 1, 100.0),  # the machine was busy
        _line("miri", 1, 200.0, again=50.0),
        _line("r-cart", 2, 10.0),
        _line("miri", 2, 30.0, again=5.0),
        {"method": "miri", "repeat": 3, "error": "too long"},
    ]
    table = wait.summary(rows)
    assert table.loc[("adult", 2000, "miri")].to_dict() == pytest.approx(
        {"first": 30, "again": 5, "first / cart": 2, "again / cart": 0.5}
    )
    cart = table.loc[("adult", 2000, "r-cart")]
    assert cart["first"] == 10 and cart["first / cart"] == 1


def test_seconds_without_cart_are_shown():
    table = wait.summary([_line("gaussian", 0, 3.0, again=2.0)])
    assert table.loc[("adult", 2000, "gaussian"), "again"] == 2
    assert table["first / cart"].isna().all()


def test_nothing_measured_shows_nothing():
    assert wait.summary([{"method": "miri", "error": "too long"}]).empty
