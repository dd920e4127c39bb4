"""Draws that may be pooled differ by what a fit does not know, too."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer, engine
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import make_imputer
from miri_jax.sources.chained import unpack_chains
from miri_jax.types import Masked
from tests.golden import FEW

DRAWS = 8


def _frames(count, n=120):
    """Tables of a column that tells half of another, and with gaps in that."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(n)
        y = x + rng.standard_normal(n)
        truth = pd.DataFrame({"x": x, "y": y})
        gone = rng.random(n) < 0.5
        yield truth, truth.assign(y=np.where(gone, np.nan, y)), seed


def _ratio(method, bootstrap, count):
    """Variance between draws of a mean, over what it stands for.

    That is the variance, over tables, of what gaps do to the mean.
    """
    between, shift = [], []
    for truth, frame, seed in _frames(count):
        imputer = MIRIImputer(
            method,
            n_imputations=DRAWS,
            bootstrap=bootstrap,
            random_state=seed,
        )
        draws = imputer.fit(frame).imputations(frame)
        means = [one["y"].mean() for one in draws]
        between.append(np.var(means, ddof=1) * (1 + 1 / DRAWS))
        shift.append(np.mean(means) - truth["y"].mean())
    return np.mean(between) / np.mean(np.square(shift))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["chained", "gaussian"])
def test_variance_between_draws_is_what_it_stands_for(method):
    """The ratio has a relative error of .2 here (a chi square of 60)."""
    proper = _ratio(method, None, 60)
    assert 0.65 < proper < 1.6
    assert _ratio(method, False, 60) < 0.8 * proper


def _data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)).astype(np.float32)
    m = rng.random(x.shape) > 0.2
    return Masked(jnp.asarray(np.where(m, x, 0)), jnp.asarray(m))


@pytest.mark.parametrize(
    ("method", "proper", "fits", "resampled"),
    [
        ("chained", True, 1, 0),
        ("miri", True, 1, 0),
        ("gaussian", True, 1, 4),
        ("gaussian", False, 1, 0),
        ("miri_paper", True, 4, 0),
    ],
)
def test_how_several_draws_come_about(method, proper, fits, resampled):
    how = engine.several(make_imputer(method), 4, proper=proper)
    assert (how.fits, how.resampled, how.draws) == (fits, resampled, 4)
    assert bool(how.caveat) == (not proper or method == "miri_paper")


def test_each_draw_has_a_chain_of_its_own_and_no_more_than_were_fitted():
    data, keys = _data(), engine.seed_keys(0)
    how = engine.several(make_imputer("chained"), 3, proper=True)
    (state,) = engine.fit_several(keys, how, data)
    found = list(engine.draw_several(keys.draw, how, [state], data))
    assert len(np.unique(np.stack(found)[:, ~np.asarray(data.m)], axis=0)) == 3
    with pytest.raises(ConfigError, match="n_imputations=4"):
        list(engine.draw_several(keys.draw, how, [state], data, 4))


@pytest.mark.parametrize("method", ["chained", "miri"])
def test_no_chain_is_fitted_that_no_draw_is_taken_from(method):
    """And the draw is the same as where others are there."""
    data, keys = _data(), engine.seed_keys(0)
    every = make_imputer(method, **FEW[method])
    drawn = []
    for imputer in every, engine.several(every, 1, proper=False).imputer:
        state = engine.fit(keys.fit, imputer, data)
        chains = unpack_chains(np.asarray(state.chains)).kept.chains
        drawn.append(
            (len(chains), engine.draw(keys.draw, imputer, state, data))
        )
    (many, of_many), (one, of_one) = drawn
    assert many > one == 1
    np.testing.assert_allclose(of_one, of_many, atol=1e-6)


def test_a_single_draw_to_be_pooled_is_of_a_fit_of_its_own():
    """As for who fits anew for each; `transform` fills by the table's fit."""
    _, frame, _ = next(_frames(1))
    plain, own = (
        MIRIImputer("gaussian", bootstrap=b, random_state=0).fit(frame)
        for b in (False, True)
    )
    assert (len(plain.states_), len(own.states_)) == (1, 2)
    filled = plain.transform(frame)
    pd.testing.assert_frame_equal(plain.imputations(frame)[0], filled)
    pd.testing.assert_frame_equal(own.transform(frame), filled)
    assert not own.imputations(frame)[0].equals(filled)


def test_images_have_no_set_from_one_fit():
    x = jnp.zeros((4, 8, 8, 1))
    how = engine.several(make_imputer("miri"), 3, proper=True)
    with pytest.raises(ConfigError, match="images"):
        how.imputer.init(jax.random.key(0), Masked(x, x == 0))


def test_draws_of_one_fit_are_said_to_be_such():
    _, frame, _ = next(_frames(1))
    imputer = MIRIImputer("chained", random_state=0).fit(frame)
    with pytest.warns(UserWarning, match="too short; fit with n_imputations=3"):
        assert len(imputer.imputations(frame, 3)) == 3
