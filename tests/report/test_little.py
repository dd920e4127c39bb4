"""Little's test: size, power, a closed form, and where it is left out."""

import numpy as np
import pytest

from miri_jax.report.little import little_test


def _normal(rng, n, d=4):
    return rng.normal(size=(n, d)) @ (np.eye(d) + 0.5)


def test_littles_p_is_uniform_where_gaps_are_completely_at_random():
    p = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        values = _normal(rng, 300)
        test = little_test(values, rng.random(values.shape) > 0.2)
        assert 10 < test.df < 30
        p.append(test.p)
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) < 0.05) < 0.2 and max(p) > 0.8


def test_littles_test_sees_gaps_that_depend_on_another_column():
    rng = np.random.default_rng(0)
    values = _normal(rng, 300)
    m = np.ones(values.shape, bool)
    m[:, 1] = rng.random(300) > 1 / (1 + np.exp(-2 * values[:, 0]))
    assert little_test(values, m).p < 1e-6
    # What stands in the gaps is not read.
    again = little_test(np.where(m, values, 1e9), m)
    assert again == little_test(values, m)


def test_littles_statistic_has_a_closed_form_with_one_column_of_gaps():
    """n1 n2 / n (mean1 - mean2)^2 / variance, of the complete column."""
    rng = np.random.default_rng(1)
    values = _normal(rng, 500, 2)
    m = np.ones(values.shape, bool)
    m[:150, 1] = False
    values[:150, 0] += 0.3
    x = values[:, 0]
    apart = (x[:150].mean() - x[150:].mean()) ** 2
    test = little_test(values, m)
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
    assert little_test(values, m) is None


def test_copied_columns_do_not_upset_littles_test():
    rng = np.random.default_rng(0)
    values = np.repeat(_normal(rng, 400, 2), 2, axis=1)
    test = little_test(values, rng.random(values.shape) > 0.2)
    assert 0.01 < test.p <= 1
