"""Chances of levels that are linear in the logit."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from miri_jax import MIRIImputer
from miri_jax.sources.chained._levels import draw_level, fit_chances


def _levels(n, count, seed=0):
    """Levels `[n]` by a multinomial logit of two columns."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 2)) * [1, 20] + [0, 300]
    slopes = np.array([[0.0, 0.0], [1.5, -0.02], [-1.0, 0.05]])[:count]
    utility = x @ slopes.T - [0, -6, 15][:count] + rng.gumbel(size=(n, count))
    return x.astype(np.float32), utility.argmax(axis=1).astype(float)


def test_two_levels_have_the_logits_of_scikit_learn():
    x, y = _levels(800, 2)
    found = fit_chances(x, y, 2).weights[1]
    scale = x.std(axis=0)
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000)
    model.fit((x - x.mean(axis=0)) / scale, y)
    np.testing.assert_allclose(found[1:], model.coef_[0], atol=0.03)
    np.testing.assert_allclose(found[0], model.intercept_[0], atol=0.03)


@pytest.mark.parametrize("count", [2, 3])
def test_levels_come_as_often_as_they_do(count):
    """All together, and where a column is large."""
    x, y = _levels(20000, count)
    chances = fit_chances(x, y, count)
    place = np.random.default_rng(1).random(len(x))
    drawn = draw_level(chances, x, place)
    for rows in (np.full(len(x), True), x[:, 0] > 1, x[:, 1] < 290):
        for level in range(count):
            share = np.mean(y[rows] == level)
            assert abs(np.mean(drawn[rows] == level) - share) < 0.03
    # The higher the place, the later the level; a row alone is as in a batch.
    assert (draw_level(chances, x, place / 2) <= drawn).all()
    one = draw_level(chances, x[7:8], place[7:8])
    assert one[0] == drawn[7]


def test_levels_that_no_row_has_and_constant_features_do_no_harm():
    x, y = _levels(100, 2)
    x[:, 1] = 3
    drawn = draw_level(fit_chances(x, y, 4), x, np.linspace(0, 1, 100) * 0.999)
    assert set(drawn) <= {0.0, 1.0, 2.0, 3.0} and np.mean(drawn > 1) < 0.05
    x[5] = np.finfo(np.float32).max
    assert np.isfinite(fit_chances(x, y, 2).weights).all()


def _slopes(frame):
    x = sm.add_constant(frame[["u", "v"]].to_numpy(float))
    return sm.Logit((frame["b"] == "yes").to_numpy(float), x).fit(disp=0).params


def test_what_is_regressed_on_filled_levels_is_not_flat():
    """By trees alone they were."""
    rng, found = np.random.default_rng(0), []
    for seed in range(4):
        u, v, w, e = rng.standard_normal((4, 600))
        logit = 0.8 * u - 0.6 * v + rng.logistic(size=600)
        b = np.where(logit > 0, "yes", "no")
        truth = pd.DataFrame({"u": u, "v": v, "w": w, "e": e, "b": b})
        frame = truth.copy()
        frame.loc[rng.random(600) < 1 / (1 + np.exp(-u)), "b"] = np.nan
        imputer = MIRIImputer("chained", n_imputations=10, random_state=seed)
        draws = imputer.fit(frame).imputations(frame)
        mean = np.mean([_slopes(one) for one in draws], axis=0)
        found.append(mean[1:] / _slopes(truth)[1:])
    assert np.abs(np.mean(found, axis=0) - 1).max() < 0.12
