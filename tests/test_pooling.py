"""Pooling against published values, closed forms and the numbers of R's mice.

Those of mice are in pooling.json, which experiments/pooling.R writes.
"""

import json
import pathlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from miri_jax import pooling
from miri_jax.exceptions import DataError

NAMES = ["(Intercept)", "age", "bmi", "hyp"]
MICE = {
    name: np.array(values)
    for name, values in json.loads(
        pathlib.Path(__file__).with_name("pooling.json").read_text()
    ).items()
}


def _matrices():
    """Covariances `[m, 4, 4]`, from lower triangles column by column."""
    found = np.zeros((4, 4, 4))
    upper = np.triu_indices(4)
    found[:, *upper] = found[:, *upper[::-1]] = MICE["covariances"]
    return found


class Fit:
    """As a fit of statsmodels."""

    def __init__(self, params, covariances, names=NAMES, df_resid=21.0):
        self.params = pd.Series(params, names)
        self.bse = pd.Series(np.sqrt(np.diag(covariances)), names)
        self.df_resid = df_resid
        self._covariances = pd.DataFrame(covariances, names, names)

    def cov_params(self):
        return self._covariances


def _fits(**more):
    return [Fit(*both, **more) for both in zip(MICE["estimates"], _matrices())]


def _agree(found, name):
    """To eight digits, where six are asked for."""
    np.testing.assert_allclose(found, MICE[name], rtol=1e-8)


def test_the_worked_example_of_mice():
    """`pool.scalar`'s own example: bmi ~ age of nhanes, m = 2, n = 25."""
    pooled = pooling.pool([-1.5457, -1.428], [0.9723**2, 1.041**2], 25 - 2)
    np.testing.assert_allclose(pooled.estimate, -1.48685)
    np.testing.assert_allclose(pooled.within, 1.0145241, rtol=1e-6)
    np.testing.assert_allclose(pooled.between, 0.006926645, rtol=1e-6)
    np.testing.assert_allclose(pooled.variance, 1.0249141, rtol=1e-6)
    # lambda 0.0101374; 9730.7 and 21.0155 degrees of freedom, combined.
    np.testing.assert_allclose(pooled.df, 20.9702, rtol=1e-4)
    np.testing.assert_allclose(pooled.increase, 0.0102412, rtol=1e-4)
    np.testing.assert_allclose(pooled.missing_information, 0.092726, rtol=1e-4)


def test_degrees_of_freedom_of_a_large_sample():
    """SAS, PROC MIANALYZE: m = 5 and r = 10 % give 484."""
    assert pooling.barnard_rubin(5, 0.1 / 1.1) == pytest.approx(484)


def test_degrees_of_freedom_never_exceed_those_without_gaps():
    """Barnard and Rubin (1999): at most (v + 1) / (v + 3) v."""
    share = np.linspace(0, 0.99, 50)
    df = pooling.barnard_rubin(5, share, 20)
    assert (df <= 20 * 21 / 23 + 1e-9).all() and (np.diff(df) < 0).all()
    few = pooling.barnard_rubin(5, share[1:], 1e9)
    np.testing.assert_allclose(few, 4 / share[1:] ** 2, rtol=1e-4)


def test_without_a_difference_between_tables_it_is_the_analysis_itself():
    pooled = pooling.pool([[2.0, 3.0]] * 3, [[0.25, 1.0]] * 3)
    np.testing.assert_array_equal(pooled.estimate, [2, 3])
    np.testing.assert_array_equal(pooled.error, [0.5, 1])
    low, high = pooled.interval()
    np.testing.assert_allclose(high - low, 2 * 1.959964 * pooled.error, 1e-5)
    np.testing.assert_array_equal(pooled.increase, 0)


def test_intervals_and_p_values_agree():
    pooled = pooling.pool([1.0, 1.4, 0.8, 1.2], [0.09] * 4, 50)
    low, high = pooled.interval(0.95)
    np.testing.assert_allclose(pooled.p_value(low), 0.05)
    np.testing.assert_allclose(pooled.p_value(high), 0.05)
    assert pooled.p_value() < 0.05 < low


def test_no_variance_within_is_all_missing_information():
    pooled = pooling.pool([1.0, 2.0], [0.0, 0.0])
    assert pooled.missing_information == 1 and np.isinf(pooled.increase)


def test_fits_are_pooled_as_mice_does():
    pooled = pooling.pool(_fits())
    frame = pooled.summary()
    assert [*frame.index] == NAMES and pooled.imputations == 4
    words = "estimate se t df p low high riv lambda fmi"
    assert [*frame.columns] == words.split()
    _agree(frame, "pool")
    pd.testing.assert_frame_equal(frame, pooled.to_frame(0.95))
    assert "4 imputations" in repr(pooled)
    assert all(word in repr(pooled) for word in (*NAMES, "0.6751", "fmi"))
    narrow = pooled.summary(0.5)
    assert (narrow["low"] > frame["low"]).all()


MATRICES = _matrices()
VARIANCES = np.diagonal(MATRICES, axis1=1, axis2=2)
FORMS = {
    "bse": lambda q, u, c: SimpleNamespace(params=q, bse=u**0.5),
    "cov": lambda q, u, c: SimpleNamespace(
        params=q.values, cov_params=lambda: c
    ),
    "mapping": lambda q, u, c: {"estimates": q, "covariance": c},
    "errors": lambda q, u, c: {"estimates": q, "errors": dict(u**0.5)},
    "pair": lambda q, u, c: (q, u.values),
    "pair of matrices": lambda q, u, c: (q, c.values),
    "pair of mappings": lambda q, u, c: (dict(q), dict(u)),
    "array": lambda q, u, c: SimpleNamespace(
        params=q.values,
        bse=u.values**0.5,
        model=SimpleNamespace(exog_names=NAMES),
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_fits_of_any_form(form):
    fits = _fits()
    many = [form(f.params, f.bse**2, f.cov_params()) for f in fits]
    for found in (
        pooling.pool(many, df_complete=21),
        pooling.with_imputations(range(4), many.__getitem__, 21),
    ):
        _agree(found.summary(), "pool")
        assert [*found.names] == NAMES
    large = pooling.pool(many)
    expected = pooling.pool(MICE["estimates"], VARIANCES)
    np.testing.assert_allclose(large.df, expected.df)


def test_numbers_keep_the_names_that_they_come_with():
    fits = _fits()
    q = [fit.params for fit in fits]
    for found in (
        pooling.pool(q, [fit.bse**2 for fit in fits], 21),
        pooling.pool(pd.DataFrame(q), MATRICES, 21),
    ):
        assert [*found.names] == NAMES
        _agree(found.summary(), "pool")
    plain = pooling.pool(np.zeros((3, 2, 2)), np.ones((3, 2, 2)))
    assert [*plain.summary().index] == ["0,0", "0,1", "1,0", "1,1"]
    assert [*pooling.pool([1.0, 2.0], [1.0, 1.0]).summary().index] == ["0"]


def test_several_equations_come_one_after_the_other():
    """As a multinomial model has them: parameters by equation."""
    q = pd.DataFrame([[1.0, 3.0], [2.0, 4.0]], ["a", "b"])
    labels = ((0, "a"), (0, "b"), (1, "a"), (1, "b"))
    for params, names in ((q, labels), (q.to_numpy(), None)):
        fit = SimpleNamespace(params=params, cov=np.diag([1, 2, 3, 4]))
        pooled = pooling.pool([fit, fit])
        np.testing.assert_array_equal(pooled.estimate, [1, 2, 3, 4])
        np.testing.assert_array_equal(pooled.within, [1, 2, 3, 4])
        assert pooled.names == names and len(pooled.summary()) == 4


def test_fits_say_their_degrees_of_freedom_and_the_least_counts():
    fits = _fits()
    fits[2].df_resid = 12
    small = pooling.pool(fits)
    q, u = MICE["estimates"], VARIANCES
    np.testing.assert_array_equal(small.df, pooling.pool(q, u, 12).df)
    given = pooling.pool(fits, df_complete=np.inf)
    np.testing.assert_array_equal(given.df, pooling.pool(q, u).df)


def test_d1_is_that_of_mice():
    q, u = MICE["estimates"], MATRICES
    smaller = [
        Fit(*both, ["(Intercept)", "hyp"])
        for both in zip(q[:, :2], u[:, :2, :2])
    ]
    _agree(pooling.d1(_fits(), restricted=smaller), "d1")
    _agree(pooling.d1(q, u, names=[1, 2], df_complete=21), "d1")
    _agree(pooling.d1(_fits(), names=NAMES[1:]), "d1_of_all")
    _agree(pooling.d1(q, u, names=[2, 1]), "d1_large")
    _agree(pooling.d1(q[:2], u[:2], names=[1, 2]), "d1_of_two")


def test_d1_of_one_parameter_is_the_pooled_t_test():
    """Where mice takes Reiter's series beyond its range, k (m - 1) > 4."""
    found = pooling.d1(_fits(), names=["bmi"])
    one = pooling.pool(_fits()).summary().loc["bmi"]
    np.testing.assert_allclose(
        found, [one["t"] ** 2, 1, *one[["df", "p", "riv"]]]
    )
    np.testing.assert_allclose(found[::4], MICE["d1_of_one"][::4], rtol=1e-8)


def test_d1_without_a_difference_between_tables_is_the_wald_test():
    q, u = MICE["estimates"][0], MATRICES[0]
    found = pooling.d1([q] * 3, [u] * 3, df_complete=np.inf)
    wald = q @ np.linalg.solve(u, q)
    np.testing.assert_allclose(
        found, [wald / 4, 4, np.inf, stats.chi2.sf(wald, 4), 0]
    )
    # Of m imputations, two parameters; with more gaps fewer degrees.
    few = pooling.d1(
        MICE["estimates"][:2], MATRICES[:2], names=[1, 2], df_complete=21
    )
    assert few.df_error < MICE["d1_of_two"][2]


@pytest.mark.parametrize("seed", range(20))
def test_degrees_of_freedom_of_d1_grow_to_those_of_a_large_sample(seed):
    rng = np.random.default_rng(seed)
    k, m = rng.integers(1, 5), rng.integers(2, 8)
    q, u = rng.normal(size=(m, k)), [np.eye(k) * rng.uniform(0.2, 5)] * m
    df = [
        pooling.d1(q, u, df_complete=n).df_error
        for n in (1, 5, 20, 1e3, 1e9, np.inf)
    ]
    assert 0 < df[0] and np.isfinite(df).all()
    np.testing.assert_allclose(df[-2], df[-1], rtol=0.01)


def test_d2_is_that_of_mice():
    at = slice(1, 3)
    q, u = MICE["estimates"][:, at], MATRICES[:, at, at]
    wald = np.einsum("mi,mij,mj->m", q, np.linalg.inv(u), q)
    _agree(pooling.d2(wald, 2), "d2_wald")
    full, restricted = MICE["likelihoods"][:2]
    _agree(pooling.d2(2 * (full - restricted), 2), "d2")
    same = pooling.d2([6.0] * 3, 2)
    np.testing.assert_allclose(same, [3, 2, np.inf, stats.chi2.sf(6, 2), 0])


def test_d3_is_that_of_mice():
    _agree(pooling.d3(*MICE["likelihoods"], 2), "d3")
    full, restricted = np.array([-3.0, -4.0]), np.array([-6.0, -7.0])
    same = pooling.d3(full, restricted, full, restricted, 2)
    np.testing.assert_allclose(same, [3, 2, np.inf, stats.chi2.sf(6, 2), 0])
    assert pooling.d3(full, restricted, full + 1, restricted, 2).increase == 0


def test_r_squared_is_that_of_mice():
    """Whose interval takes 1.96 for the quantile, and turns back below 0."""
    level = 2 * stats.norm.cdf(1.96) - 1
    plain = pooling.pool_r_squared(MICE["r_squared"], 25, level=level)
    words = ("estimate", "low", "high")
    found = [getattr(plain, word) for word in words]
    _agree([*found, plain.z.missing_information], "pool_r_squared")
    fits = [
        SimpleNamespace(rsquared=r, rsquared_adj=a, nobs=25.0)
        for r, a in zip(MICE["r_squared"], MICE["adjusted"])
    ]
    assert pooling.pool_r_squared(fits, level=level)[:3] == plain[:3]
    found = pooling.pool_r_squared(fits, adjusted=True, level=level)
    estimate, _, *rest = MICE["pool_adjusted"]
    np.testing.assert_allclose(
        [found.estimate, found.low, found.high, found.z.missing_information],
        [estimate, 0, *rest],
        rtol=1e-8,
    )


def test_correlations_are_pooled_on_fishers_scale():
    r = [0.2, 0.4, 0.35]
    found = pooling.pool_correlations(r, 103)
    z = pooling.pool(np.arctanh(r), [0.01] * 3)
    np.testing.assert_allclose(found.estimate, np.tanh(z.estimate))
    np.testing.assert_allclose(found[1:3], np.tanh(z.interval()))
    assert found.z.p_value() == z.p_value()


def test_matrices_of_correlations_keep_their_diagonals():
    tables = [[[1, r], [r, 1]] for r in (0.2, 0.4, -0.1)]
    found = pooling.pool_correlations(tables, [103, 99, 50])
    np.testing.assert_array_equal(np.diag(found.z.p_value()), 0)
    for ends in found[:3]:
        np.testing.assert_array_equal(np.diag(ends), 1)
        assert ends[0, 1] == ends[1, 0]
    assert found.low[0, 1] < found.estimate[0, 1] < found.high[0, 1] < 1


def _mixed(**more):
    """Two fits, the second another."""
    one, other = _fits()[:2]
    for name, value in more.items():
        setattr(other, name, value)
    return [one, other]


MATRIX = [np.eye(2)] * 2
ONES = [[1.0, 1.0]] * 2


def _no_covariances():
    raise ValueError("need covariance")


REFUSED = {
    "a fit that has no covariances": (
        lambda: pooling.pool(_mixed(cov_params=_no_covariances)),
        r"cov_params\(\) of a fit fails \(need covariance\); look",
    ),
    "one fit": (lambda: pooling.pool(_fits()[:1]), "pool at least 2"),
    "a fit alone": (lambda: pooling.pool(_fits()[0]), "pool at least 2"),
    "no fits": (lambda: pooling.pool([]), "pool at least 2"),
    "names": (
        lambda: pooling.pool(
            [_fits()[0], Fit(np.ones(4), np.eye(4), [*"abcd"])]
        ),
        r"fit 1 has the parameters \(Intercept\), .* and fit 2 a, b, c, d",
    ),
    "names of one": (
        lambda: pooling.pool([_fits()[0], (np.ones(4), np.eye(4))]),
        "fit 2 without names",
    ),
    "order of names": (
        lambda: pooling.pool([({"a": 1}, {"a": 1}), ({"a": 1}, {"b": 1})]),
        "estimates of fit 2 are named a and its variances b",
    ),
    "shapes": (
        lambda: pooling.pool([([1, 2], [1, 1]), ([1, 2, 3], [1, 1, 1])]),
        r"fit 1 has numbers of shape \(2,\) and fit 2 of \(3,\)",
    ),
    "a matrix and none": (
        lambda: pooling.pool([([1, 2], [1, 1]), ([1, 2], np.eye(2))]),
        "pool fits of one model",
    ),
    "not finite": (
        lambda: pooling.pool([(1, 1), (np.inf, 1)]),
        "estimate of fit 2 is not finite",
    ),
    "negative diagonal": (
        lambda: pooling.pool([([1], [[1]]), ([1], [[-1]])]),
        "fit 2 is not finite or a variance is negative",
    ),
    "no fit": (lambda: pooling.pool([3, 4]), "fit 1, a int, has no params"),
    "no spread": (
        lambda: pooling.pool([{"params": [1]}] * 2),
        r"fit 1, a dict, has no cov_params\(\) or bse",
    ),
    "series": (
        lambda: pooling.pool([pd.Series([1.0])] * 2),
        "fit 1, a Series, has no params",
    ),
    "text": (
        lambda: pooling.pool([("a", 1), ("b", 1)]),
        "estimates of fit 1 cannot be read as numbers",
    ),
    "degrees": (
        lambda: pooling.pool(_mixed(df_resid=0)),
        "degrees of freedom without gaps, is 0",
    ),
    "d1 of variances": (
        lambda: pooling.d1(ONES, ONES),
        "D1 needs covariance matrices",
    ),
    "d1 of a name": (
        lambda: pooling.d1(_fits(), names=["sex"]),
        "'sex' is no parameter of the model; it has",
    ),
    "d1 of nothing": (
        lambda: pooling.d1(_fits(), restricted=_fits()),
        "nothing is tested",
    ),
    "d1 twice": (
        lambda: pooling.d1(ONES, MATRIX, names=[1, 1]),
        "one parameter twice",
    ),
    "d1 of both": (
        lambda: pooling.d1(_fits(), names=["age"], restricted=_fits()),
        "not both",
    ),
    "d1 without names": (
        lambda: pooling.d1(ONES, MATRIX, restricted=_fits()),
        "no names to compare the models by",
    ),
    "d1 of the same": (
        lambda: pooling.d1(ONES, [np.ones((2, 2))] * 2),
        "not positive definite",
    ),
    "d1 of scalars": (
        lambda: pooling.d1([1.0, 2.0], [1.0, 1.0]),
        "D1 needs covariance matrices",
    ),
    "d2 of one": (lambda: pooling.d2([3.0], 1), "pool at least 2"),
    "d2 below 0": (lambda: pooling.d2([3.0, -1], 1), "is below 0"),
    "d2 of nan": (
        lambda: pooling.d2([3.0, np.nan], 1),
        "finite number of each",
    ),
    "d2 of k": (lambda: pooling.d2([3.0, 2], 0), "k is 0"),
    "d3 of lengths": (
        lambda: pooling.d3([1, 2], [1, 2], [1, 2], [1, 2, 3], 1),
        "different numbers of tables",
    ),
    "r": (
        lambda: pooling.pool_correlations([0.5, 1.2], 30),
        "between -1 and 1",
    ),
    "one r": (lambda: pooling.pool_correlations(0.5, 30), "pool at least 2"),
    "no r": (lambda: pooling.pool_correlations([], 30), "pool at least 2"),
    "an r of 1": (
        lambda: pooling.pool_correlations([0.5, 1], 30),
        "between -1",
    ),
    "rows": (lambda: pooling.pool_correlations([0.5, 0.4], 3), "4 or more"),
    "rows of some": (
        lambda: pooling.pool_r_squared([0.5, 0.4], [9, 9, 9]),
        "of all tables or of each",
    ),
    "R^2 of nothing": (lambda: pooling.pool_r_squared([]), "pool at least 2"),
    "R^2 of numbers": (
        lambda: pooling.pool_r_squared([0.5, 0.4]),
        "fit 1, a float, has no rsquared",
    ),
}


@pytest.mark.parametrize("call, message", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_said_in_one_line(call, message):
    with pytest.raises(DataError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "estimates, variances, message",
    [
        ([1.0], [1.0], "pool at least 2"),
        (1.0, 1.0, "pool at least 2"),
        ([1.0, 2.0], [1.0], "one variance for each"),
        ([1.0, np.nan], [1.0, 1.0], "not finite"),
        ([1.0, 2.0], [1.0, -1.0], "negative"),
    ],
)
def test_what_cannot_be_pooled(estimates, variances, message):
    with pytest.raises(DataError, match=message):
        pooling.pool(estimates, variances)
