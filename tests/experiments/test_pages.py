"""The pages of experiments/ that show how to compose, and their index."""

import pathlib
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import algorithm1, own_source
from miri_jax import FAST, draw, fit, miri
from miri_jax.engine import draws
from miri_jax.imputers import IMPUTERS
from miri_jax.imputers._early_stopping import Stop
from miri_jax.imputers.miri import SGD, network
from miri_jax.types import Masked
from tests.imputers.small import bits

FOLDER = pathlib.Path(own_source.__file__).parent
MEAN = 0.34  # MMD of the toy filled with the mean


def test_algorithm_1_by_hand_fills_the_toy():
    data, x, found = algorithm1.main(rows=1000, iterations=3, steps=200)
    assert len(found) == 4 and found[0] > 0.2
    assert found[-1] < 0.1 < MEAN and found == sorted(found, reverse=True)
    m = np.asarray(data.m)
    assert np.isfinite(x).all() and 0.25 < 1 - m.mean() < 0.35
    np.testing.assert_array_equal(bits(x)[m], bits(data.x)[m])


@pytest.fixture
def unregistered():
    yield
    del IMPUTERS["hot_deck_miri"]


@pytest.mark.slow
def test_miri_from_a_hot_deck_is_nearer_than_the_hot_deck(unregistered):
    found = own_source.main(rows=600, num_iterations=6)
    assert found["miri"] < 0.8 * found["hot deck"]


@pytest.fixture(scope="module")
def curve():
    """300 rows, 30 % of their entries missing, one row empty, one complete."""
    truth = own_source.curve(jax.random.key(0), 300)
    m = np.random.default_rng(0).random(truth.shape) > 0.3
    m[0], m[1] = False, True
    return Masked(jnp.where(m, truth, 0), jnp.asarray(m))


DECKS = {False: own_source.hot_deck, True: own_source.hot_deck_on_host}


def test_one_of_the_nearest_complete_rows_gives_its_values(curve):
    complete = np.asarray(curve.m).all(axis=1)
    x, m = (np.asarray(part) for part in curve)
    for host, hot_deck in DECKS.items():
        source = hot_deck(k=3)
        assert source.host == host
        start, x0 = source.first(jax.random.key(1), curve, None)
        np.testing.assert_array_equal(bits(x0)[m], bits(x)[m])
        z0, mean = source.base(start)(np.zeros(m.shape, np.float32), x, m)
        assert mean is None
        for row in range(2, 40):
            far = np.square(x[complete] - x[row])[:, m[row]].sum(axis=1)
            # Noise of 0 is the middle one of three.
            second = x[complete][np.argsort(far)[1]]
            if m[row].any() and not m[row].all():
                np.testing.assert_array_equal(z0[row], second)


def test_both_hot_decks_draw_the_same(curve):
    drawn = []
    for hot_deck in DECKS.values():
        some = jnp.arange(0, 300, 2)
        for rows in (None, some):
            source = hot_deck(k=4)
            drawn.append(source.first(jax.random.key(1), curve, rows)[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(drawn[1], drawn[3])
    assert not np.array_equal(drawn[0], drawn[1])


SMALL = FAST._replace(
    sgd=SGD(lambda shape: 8, 32, 4e-3, ema_decay=0.9, num_slices=2),
    network=network(width=8),
    stop=Stop(0.1, 2),
    max_rows=128,
    num_iterations=3,
)


@pytest.mark.parametrize(
    "host", [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_a_recipe_with_a_hot_deck_keeps_the_contract(host, curve):
    """With slices, turns and early stopping."""
    imputer = miri(SMALL._replace(source=DECKS[host](k=3)))
    states = [fit(jax.random.key(0), imputer, curve) for _ in range(2)]
    chex.assert_trees_all_equal(*states)
    new = Masked(curve.x[:7], curve.m[:7])
    filled = [(curve, states[0].x)]
    filled += [(new, draw(jax.random.key(1), imputer, states[0], new))]
    some = draws(jax.random.key(2), imputer, states[0], curve, 2)
    filled += [(curve, x) for x in some]
    for data, x in filled:
        m = np.asarray(data.m)
        assert np.isfinite(x).all()
        np.testing.assert_array_equal(bits(x)[m], bits(data.x)[m])
    assert not np.array_equal(filled[2][1], filled[3][1])


def test_the_index_names_every_script():
    text = (FOLDER / "README.md").read_text()
    named = set(re.findall(r"`(\w+\.py)`", text))
    there = {path.name for path in FOLDER.glob("*.py")} - {"__init__.py"}
    assert named == there, named ^ there
    for file in re.findall(r"\b(?:results|docs|configs)/[\w.]+", text):
        assert (FOLDER.parent / file).exists(), file
