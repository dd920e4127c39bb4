"""Patients who leave a study: four visits, of which the last ones are missing.

Whether a patient comes again depends on the last value that was seen, so that
those who stay are not like those who left, and all the more so visit by visit.
"""

import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer

NAMES = ["x1", "x2", "x3", "x4"]
KINDS = {
    "linear": lambda x: 0.8 * x,
    "bent": lambda x: 2 * np.tanh(1.5 * x),
}


def _visits(kind, n, seed):
    """Complete visits, and those that are observed."""
    rng = np.random.default_rng(seed)
    x = np.empty((n, 4))
    x[:, 0] = rng.standard_normal(n)
    for k in range(3):
        x[:, k + 1] = KINDS[kind](x[:, k]) + 0.6 * rng.standard_normal(n)
    stays = np.ones(n, bool)
    frame = pd.DataFrame(x, columns=NAMES)
    truth = frame.copy()
    for k in range(3):
        leaves = 1 / (1 + np.exp(1.4 - 1.2 * x[:, k]))
        stays &= rng.random(n) > leaves
        frame.loc[~stays, NAMES[k + 1]] = np.nan
    return truth, frame


def _off(method, kind, n, seeds, settings=None):
    """How far mean and correlations are off, averaged over tables and draws."""
    mean, correlation = [], []
    for seed in seeds:
        truth, frame = _visits(kind, n, seed)
        imputer = MIRIImputer(
            method, bootstrap=False, settings=settings, random_state=seed
        )
        draws = imputer.fit(frame).imputations(frame, 5)
        x4 = np.mean([one["x4"].mean() for one in draws])
        mean.append((x4 - truth["x4"].mean()) / truth["x4"].std())
        found = np.mean([one.corr().to_numpy() for one in draws], axis=0)
        correlation.append(found - truth.corr().to_numpy())
    return abs(np.mean(mean)), np.abs(np.mean(correlation, axis=0)).max()


@pytest.mark.parametrize("kind", KINDS)
def test_chained_equations_know_what_the_lost_visits_were(kind):
    """The last visit's mean followed those who stayed.

    About a third of the patients comes to the last visit, so that by chance a
    mean is off by sqrt(1/350 - 1/1000) = 0.04 deviations, of one table: three
    times that is allowed, where the mean of those who stay is off by more.
    """
    truth, frame = _visits(kind, 1000, 0)
    stay = (frame["x4"].mean() - truth["x4"].mean()) / truth["x4"].std()
    assert abs(stay) > 0.3
    mean, correlation = _off("chained", kind, 1000, [0], {"chains": 2})
    assert mean < 0.12
    assert correlation < 0.1


ENDS = pytest.mark.xfail(
    reason="trees know nothing of where next to no visit was kept: .1 sd off"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("linear", "chained"),
        ("linear", "miri"),
        pytest.param("bent", "chained", marks=ENDS),
        ("bent", "miri"),
    ],
)
def test_lost_visits_over_several_tables(kind, method):
    mean, correlation = _off(method, kind, 2000, range(3))
    assert mean < 0.03
    assert correlation < 0.05
