"""What decides which columns the flow draws."""

import numpy as np

from miri_jax.imputers._blend import _shrunken, compare
from miri_jax.sources.chained import Table, layout_for


def _trial(n=600, cells=(300, 300, 300)):
    """Three columns told by a fourth; good draws of held-out cells, and bad."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, 1))
    values = np.hstack([z + 0.3 * rng.standard_normal((n, 3)), z])
    held = np.zeros(values.shape, bool)
    for j, count in enumerate(cells):
        held[rng.permutation(n)[:count], j] = True
    observed = rng.random(values.shape) > 0.1
    observed |= held
    observed[:, 3] = True
    table = Table(values, observed, layout_for(None, 4))
    noise = rng.standard_normal((5, n, 4))
    good = np.where(held, z + 0.3 * noise, values)
    bad = np.where(held, np.sqrt(1.09) * noise, values)
    return table, held, good, bad


def test_the_better_of_two_draws_a_column():
    table, held, good, bad = _trial()
    rows = np.flatnonzero(held.any(axis=1))
    by_flow = compare(table, held, rows, bad[:, rows], good[:, rows])
    assert by_flow.by_flow[:3].all() and (by_flow.gain[:3] > 0.4).all()
    by_chain = compare(table, held, rows, good[:, rows], bad[:, rows])
    assert not by_chain.by_flow[:3].any() and (by_chain.gain[:3] < -0.5).all()
    mixed = np.where(np.arange(4) == 1, good, bad)
    other = np.where(np.arange(4) == 1, bad, good)
    found = compare(table, held, rows, other[:, rows], mixed[:, rows])
    assert found.by_flow[:3].tolist() == [False, True, False]


def test_two_that_are_equally_good_gain_nothing():
    table, held, good, _ = _trial()
    rng = np.random.default_rng(1)
    again = np.where(
        held, table.values[:, 3:] + 0.3 * rng.standard_normal(good.shape), good
    )
    rows = np.arange(len(held))
    found = compare(table, held, rows, good, again)
    assert np.abs(found.gain).max() < 0.08


def test_few_cells_are_believed_less():
    """A column with four held-out cells is judged as the others are."""
    table, held, good, bad = _trial(cells=(300, 300, 4))
    rows = np.arange(len(held))
    mixed = np.where(np.arange(4) == 2, bad, good)
    other = np.where(np.arange(4) == 2, good, bad)
    found = compare(table, held, rows, other, mixed)
    # By itself it would lose more than the score is.
    cells = compare(table, held & (np.arange(4) == 2), rows, other, mixed)
    assert cells.gain[2] < found.gain[2]


def test_gains_are_drawn_to_their_mean_as_far_as_errors_say():
    same = np.full(4, 0.1)
    np.testing.assert_allclose(
        _shrunken(np.array([0.05, 0.0, 0.02, 0.01]), same)[0], 0.02
    )
    far = np.array([1.0, -1, 0.5, -0.5])
    found, *_ = _shrunken(far, same)
    assert (np.abs(found) < np.abs(far)).all()
    np.testing.assert_allclose(found, far, atol=0.05)
    # Nothing held out: nothing known but the others' mean.
    error = np.array([0.1, 0.1, 0.1, np.inf])
    found, *_ = _shrunken(np.array([0.3, 0.2, 0.1, 0.0]), error)
    assert (
        found[3] == np.mean(found[:3]).round(12) or abs(found[3] - 0.2) < 0.02
    )
    assert not _shrunken(np.ones(2), np.full(2, np.inf))[0].any()
