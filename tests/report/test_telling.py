"""Gaps told by a classifier: at random, by other columns, by the filling."""

import numpy as np
import pandas as pd
import pytest

from miri_jax.report import facts
from miri_jax.report.telling import predict_gaps
from miri_jax.report.warnings import warnings_of
from tests.report.making import make_dataset


def _prediction(n, lose, fill, seed=0):
    """AUCs of the gaps of b = 0.8 a + 0.6 e, missing with chance lose(a)."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    b = 0.8 * a + 0.6 * rng.normal(size=n)
    frame = pd.DataFrame({"a": a, "b": b, "c": rng.normal(size=n)})
    missing = np.zeros(frame.shape, bool)
    missing[:, 1] = rng.random(n) < lose(a)
    dataset = make_dataset(frame, missing)
    filled = dataset.values.copy()
    filled[missing[:, 1], 1] = fill(a, rng)[missing[:, 1]]
    views = facts.views_of_file(dataset, [filled])
    (found,) = predict_gaps(dataset, views, filled)
    assert found.view.name == "b"
    return found, warnings_of(views, [found])


def _right(a, rng):
    return 0.8 * a + 0.6 * rng.normal(size=len(a))


def _told(warnings):
    return [text for text in warnings if "tells which of its cells" in text]


def test_gaps_at_random_cannot_be_predicted():
    found, warnings = _prediction(2000, lambda a: 0.3, _right)
    assert found.before == pytest.approx(0.5, abs=0.06)
    assert found.after == pytest.approx(0.5, abs=0.06)
    assert not _told(warnings)


def test_gaps_that_depend_on_another_column_can_be_predicted():
    found, warnings = _prediction(
        2000, lambda a: 1 / (1 + np.exp(2 - 3 * a)), _right
    )
    assert found.before > 0.8
    assert found.after < found.before + 0.03
    assert not _told(warnings)


def test_filling_with_the_mean_gives_itself_away():
    found, warnings = _prediction(
        2000, lambda a: 0.3, lambda a, rng: np.zeros(len(a))
    )
    assert found.before < 0.56 and found.after > 0.95
    (text,) = _told(warnings)
    assert text.startswith("\u201cb\u201d")
