"""Chained equations by trees, part by part."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from miri_jax.sources._by_gradients import draw
from miri_jax.sources.chained import PLAN, Table, layout_for
from miri_jax.sources.chained._blob import pack, unpack
from miri_jax.sources.chained._chains import _well_known, choose
from miri_jax.sources.chained._conditional import (
    LINE,
    RIDGE,
    TREES_ALONE,
    Aim,
    is_line,
    odds_of,
)
from miri_jax.sources.chained._features import screened, strengths
from miri_jax.sources.chained._forest import (
    draw_donors,
    draw_pooled,
    grow,
    leaves_of,
)
from miri_jax.sources.chained._linear import STRENGTHS, fit_linear, predict
from miri_jax.sources.chained._numbers import seeds_of, stratified, uniform
from miri_jax.sources.chained._source import begin_normal
from miri_jax.sources.likely import Normal, most_likely
from miri_jax.types import Masked


def _seeds(n):
    return seeds_of(np.random.default_rng(0).standard_normal((n, 2)))


def _numbers(values, observed=None):
    if observed is None:
        observed = np.ones(values.shape, bool)
    return Table(values, observed, layout_for(None, values.shape[1]))


def test_a_blob_comes_back_as_it_was():
    content = {
        "none": None,
        "list": [1, 2.5, "é", True, np.arange(3, dtype=np.int32)],
        "in": {"empty": np.zeros((0, 2)), "odd": np.array([True, False, True])},
        "ends": np.array([-np.inf, np.nan, np.inf]),
        "one": np.array(7, np.uint64),
    }
    blob = pack(content)
    assert blob.dtype == np.uint8 and blob.ndim == 1
    found = unpack(blob)
    assert found.keys() == content.keys()
    assert found["none"] is None and found["list"][:4] == content["list"][:4]
    for one, other in (
        (found["list"][4], content["list"][4]),
        *((found["in"][k], content["in"][k]) for k in content["in"]),
        *((found[k], content[k]) for k in ("ends", "one")),
    ):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(pack(found), blob)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_places_of_a_set_lie_in_a_slice_each(count):
    seeds = _seeds(2000)
    places = np.stack([stratified(seeds, k, count, 3) for k in range(count)])
    slices = np.sort((places * count).astype(int), axis=0)
    np.testing.assert_array_equal(
        slices, np.arange(count)[:, None] + 0 * slices
    )
    # Each draw by itself is uniform: its mean within four standard errors.
    assert abs(places[0].mean() - 0.5) < 4 * np.sqrt(1 / 12 / 2000)
    assert len(np.unique(places)) == places.size
    other = stratified(seeds, 0, count, 4)
    assert abs(np.corrcoef(places[0], other)[0, 1]) < 4 / np.sqrt(2000)


def test_leaves_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3)).astype(np.float32)
    y = x[:, 0] + np.abs(x[:, 1]) + 0.1 * rng.standard_normal(300)
    settings = {"levels": 0, "trees": 1, "leaf": 5}
    forest = grow(x, y, **settings, rng=np.random.default_rng(1))
    seed = int(np.random.default_rng(1).integers(2**31))
    tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=seed)
    tree.fit(x, np.argsort(np.argsort(y)).astype(float))
    new = rng.standard_normal((500, 3)).astype(np.float32)
    leaves = leaves_of(forest, new, np.zeros(500, int))
    np.testing.assert_array_equal(leaves, tree.apply(new))
    # The lowest and the highest donor of a leaf are those of its rows.
    own, where = tree.apply(x), tree.apply(new)
    zeros = np.zeros(500)
    for place, end in ((0.0, np.min), (1 - 1e-9, np.max)):
        found = draw_donors(forest, new, zeros, zeros + place)
        expected = [end(y[own == leaf]) for leaf in where]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("levels", [0, 4])
def test_trees_are_those_of_their_bootstrap_samples(levels):
    """Rows that are drawn several times count by a weight, to the same end."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 4)).round(1).astype(np.float32)
    y = x[:, 0] + rng.standard_normal(150)
    if levels:
        y = np.digitize(y, [-1, 0, 1]).astype(float)
    x, y = np.repeat(x, 2, axis=0), np.repeat(y, 2)
    given = {"levels": levels, "trees": 5, "leaf": 7}
    forest = grow(x, y, **given, rng=np.random.default_rng(1))
    again, kind = np.random.default_rng(1), DecisionTreeRegressor
    aim = np.searchsorted(np.sort(y), y).astype(float)
    if levels:
        kind, aim = DecisionTreeClassifier, y
    ends = [*forest.roots[1:], len(forest.feature)]
    for first, end in zip(forest.roots, ends):
        rows = again.integers(300, size=300)
        seed = int(again.integers(2**31))
        tree = kind(min_samples_leaf=7, random_state=seed)
        tree = tree.fit(x[rows], aim[rows]).tree_
        for name in ("feature", "threshold"):
            own = getattr(forest, name)[first:end]
            np.testing.assert_array_equal(own, getattr(tree, name))
        leaves = np.flatnonzero(tree.feature < 0)
        np.testing.assert_array_equal(
            forest.count[first:end][leaves], tree.n_node_samples[leaves]
        )
        leaf = tree.apply(x[rows])[0]
        donors = forest.first[first + leaf] + np.arange(
            forest.count[first + leaf]
        )
        np.testing.assert_array_equal(
            forest.donors[donors], np.sort(y[rows][tree.apply(x[rows]) == leaf])
        )


def test_each_tree_keeps_its_donors():
    """Several trees lie one after the other, and none takes another's."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 2)).astype(np.float32)
    y = 3 * x[:, 0] + 0.1 * rng.standard_normal(400)
    forest = grow(x, y, levels=0, trees=4, leaf=5, rng=rng)
    seeds = _seeds(400)
    u, v = uniform(seeds, 0), uniform(seeds, 1)
    for take in (draw_donors, draw_pooled):
        found = take(forest, x, u, v)
        assert np.isin(found, y).all()
        assert np.sqrt(np.mean(np.square(found - y))) < 0.5
    low, high = (draw_pooled(forest, x, u, np.full(400, p)) for p in (0.1, 0.9))
    assert (low <= high).all() and (low < high).mean() > 0.9


def test_levels_are_drawn_as_often_as_they_are():
    rng = np.random.default_rng(0)
    y = np.repeat([0.0, 1, 2], [600, 380, 20])
    x = rng.standard_normal((1000, 2)).astype(np.float32)
    forest = grow(x, y, levels=3, trees=8, leaf=5, rng=rng)
    new = rng.standard_normal((4000, 2)).astype(np.float32)
    seeds = _seeds(4000)
    found = draw_pooled(forest, new, uniform(seeds, 0), uniform(seeds, 1))
    share = np.bincount(found.astype(int), minlength=3) / 4000
    np.testing.assert_allclose(share, [0.6, 0.38, 0.02], atol=0.03)


def test_residuals_are_those_of_leaving_one_out():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5))
    y = x @ np.array([2.0, 0, -1, 0, 0]) + rng.standard_normal(40) + 7
    linear, left = fit_linear(x, y)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    ones = np.hstack([np.ones((40, 1)), z])
    best = None
    for strength in STRENGTHS:
        # What is taken off is the same for all rows; the level is free.
        penalty = 40 * strength * np.diag([0.0, 1, 1, 1, 1, 1])
        found = np.empty(40)
        for k in range(40):
            a, b = np.delete(ones, k, 0), np.delete(y, k)
            weights = np.linalg.solve(a.T @ a + penalty, a.T @ b)
            found[k] = y[k] - ones[k] @ weights
        if best is None or np.mean(found**2) < np.mean(best[0] ** 2):
            whole = np.linalg.solve(ones.T @ ones + penalty, ones.T @ y)
            best = (found, ones @ whole)
    np.testing.assert_allclose(left, best[0], atol=1e-8)
    np.testing.assert_allclose(predict(linear, x), best[1], atol=1e-8)


def _wide():
    """Column 3 is told by 7 alone, and 5 is a category told by 0."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((500, 12))
    values[:, 3] = np.exp(values[:, 7] + 0.1 * rng.standard_normal(500))
    values[:, 5] = np.digitize(values[:, 0], [-0.5, 0.5])
    observed = rng.random(values.shape) > 0.3
    levels = tuple(3 if j == 5 else 0 for j in range(12))
    return (
        np.where(observed, values, 1e9 * ~np.isin(np.arange(12), 5)),
        (observed),
        levels,
    )


def test_screening_finds_what_tells_a_column():
    values, observed, levels = _wide()
    strength = strengths(values, observed, levels)
    others = screened(strength, 4)
    assert [len(one) for one in others] == [4] * 12
    assert others[3][0] == 7 and others[7][0] == 3
    assert others[5][0] == 0 and others[0][0] == 5
    assert all(j not in one for j, one in enumerate(others))
    for j, one in enumerate(screened(strength, 40)):
        assert sorted(one) == [k for k in range(12) if k != j]
    # What was put in place of gaps is not read.
    again = strengths(np.where(observed, values, 0), observed, levels)
    np.testing.assert_array_equal(again, strength)
    with threadpool_limits(1):
        np.testing.assert_array_equal(
            strengths(values, observed, levels), strength
        )


def test_chains_begin_with_what_agrees():
    """Both of a pair were drawn by themselves, and chains never left that."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(800).astype(np.float32)
    m = rng.random((800, 3)) > 0.4
    x = np.stack([x, 2 * x + 1, rng.standard_normal(800)], axis=1)
    data = Masked(np.where(m, x, np.nan).astype(np.float32), m)
    table, chains = begin_normal(data, None, PLAN, (1, 2))
    assert len(chains.filled) == PLAN.chains
    both = ~m[:, :2].any(axis=1)
    for values in chains.filled:
        np.testing.assert_array_equal(values[m], table.values[m])
        apart = values[both, 1] - (2 * values[both, 0] + 1)
        assert np.sqrt(np.mean(np.square(apart))) < 0.25  # of 2
    assert not np.array_equal(*chains.filled[:2])


def _normal(n=4000):
    rng = np.random.default_rng(3)
    root = np.array([[1, 0, 0], [0.9, 0.5, 0], [-0.6, 0.6, 0.8]])
    mean = np.array([1.0, -2, 0])
    return (
        rng,
        Normal(mean, root @ root.T),
        mean + rng.normal(size=(n, 3)) @ root.T,
    )


def test_moments_of_a_normal_table_are_found():
    """Where the second column is observed tells on the first, always seen."""
    rng, truth, x = _normal()
    m = rng.random(x.shape) > 0.5
    m[:, 0], m[:, 1] = True, x[:, 0] + rng.normal(size=len(x)) > 1
    found = most_likely(np.where(m, x, np.nan), m, shrinkage=1.0)
    assert abs(x[m[:, 1], 1].mean() - truth.mean[1]) > 0.4  # of those observed
    np.testing.assert_allclose(found.mean, truth.mean, atol=0.08)
    np.testing.assert_allclose(found.cov, truth.cov, atol=0.12)


def test_draws_have_the_conditional_moments():
    rng, (mean, cov), x = _normal()
    m = np.array([True, False, True]) + np.zeros(x.shape, bool)
    noise = rng.standard_normal(x.shape)
    drawn = draw(mean, cov, noise, np.where(m, x, np.nan), m)
    np.testing.assert_array_equal(drawn[m], x[m])
    seen = [0, 2]
    weights = np.linalg.solve(cov[np.ix_(seen, seen)], cov[seen, 1])
    left = drawn[:, 1] - mean[1] - (x[:, seen] - mean[seen]) @ weights
    variance = cov[1, 1] - cov[1, seen] @ weights
    assert abs(left.mean()) < 4 * np.sqrt(variance / len(x))
    assert left.var() == pytest.approx(variance, rel=0.1)
    assert np.abs(np.corrcoef(left, x[:, 0])[0, 1]) < 0.06
    # A row by itself, and one of which nothing is known.
    alone = draw(mean, cov, noise[:1], x[:1], m[:1])
    np.testing.assert_allclose(alone, drawn[:1], atol=1e-6)
    nothing = draw(mean, cov, noise, x * np.nan, m & False)
    np.testing.assert_allclose(np.cov(nothing.T), cov, atol=0.12)


def _chosen(columns, observed=None):
    values, count = np.stack(columns, axis=1), len(columns)
    if observed is None:  # of a column without gaps nothing is compared
        observed = np.arange(len(values))[:, None] % 50 + np.arange(count) > 0
    table = _numbers(values, observed)
    others = [[k for k in range(count) if k != j] for j in range(count)]
    return choose(table, table.values, others, PLAN, (0, 1))


def test_a_ridge_is_for_lines_and_not_for_heaps():
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((4, 600))
    line = parts.sum(axis=0) + 0.5 * rng.standard_normal(600)
    heap = np.maximum(parts.sum(axis=0), 0)
    bent = np.abs(parts[0]) + 0.1 * rng.standard_normal(600)
    curve = parts[0] ** 2 + parts[1] * parts[2]
    noisy = curve + rng.standard_normal(600)
    edged = np.argsort(np.argsort(line)) / 600  # uniform: a line runs over
    for column, expected in (
        (line, RIDGE),
        (heap, TREES_ALONE),
        (bent, TREES_ALONE),
        (noisy, RIDGE),
        (edged, TREES_ALONE),
        (parts.sum(axis=0), LINE),
        (curve, LINE),
    ):
        assert _chosen([column, *parts])[0] == expected


def test_a_curve_is_taken_where_it_gains_and_ends_where_the_data_do():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    x[:, 2] = x[:, 2] > 0
    noise = 0.5 * rng.standard_normal(400)
    line, _ = fit_linear(x, x @ [1.0, 2.0, 3.0] + noise)
    assert not len(line.pairs)
    law = lambda x: x[:, 0] ** 2 - 2 * x[:, 1] * x[:, 2]
    curve, left = fit_linear(x, law(x) + noise)
    # The square of an indicator is itself, so there is none of it.
    assert [*map(tuple, curve.pairs)] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
    ]
    assert np.std(left) < 0.55
    new = rng.uniform(-2, 2, (400, 3))
    new[:, 2] = new[:, 2] > 0
    assert np.std(predict(curve, new) - law(new)) < 0.2
    far = np.array([[100.0, 0, 0], [1000.0, 0, 0]])
    assert np.ptp(predict(curve, far)) < 1e-9
    assert predict(curve, far)[0] < 2 * np.max(np.square(x[:, 0]))


def test_where_gaps_lie_beyond_the_observed_a_line_goes_on():
    rng = np.random.default_rng(0)
    driver = rng.standard_normal(1500)
    y = 2 * driver + rng.standard_normal(1500)
    observed = np.ones((1500, 2), bool)
    observed[:, 0] = driver < 0.7
    assert _chosen([y, driver], observed)[0] == RIDGE
    bent = 2 * np.cos(4 * driver) + 0.1 * rng.standard_normal(1500)
    assert _chosen([bent, driver], observed)[0] == TREES_ALONE


def test_a_line_is_seen_beside_forty_unrelated_columns():
    """A first filling that is far off hid it."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((400, 42))
    truth[:, 1] = 1.19 * truth[:, 0]
    observed = rng.random(truth.shape) > 0.25
    filled = np.where(observed, truth, rng.standard_normal(truth.shape))
    layout = layout_for(None, 42)
    strength = strengths(truth, observed, layout.levels)
    others = screened(strength, 40)[0]
    aim = Aim(0, others, np.flatnonzero(observed[:, 0]))
    known = aim._replace(rows=_well_known(observed, aim))
    assert observed[known.rows, 1].all()
    assert is_line(filled, layout, known, rng)
    assert not is_line(filled, layout, aim, rng)
    noise = aim._replace(column=5, others=[*range(5), *range(6, 42)])
    assert not is_line(filled, layout, noise, rng)


def test_numbers_whose_squares_are_too_large_are_learnt_as_others():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3)).astype(np.float32)
    y = x @ [1.0, 2.0, 0.0] + 0.1 * rng.standard_normal(200)
    (one, left), (far, apart) = fit_linear(x, y), fit_linear(x, 1e300 * y)
    np.testing.assert_allclose(apart / 1e300, left, rtol=1e-9)
    found = predict(far, x) / 1e300
    np.testing.assert_allclose(found, predict(one, x), rtol=1e-9)
    seen, wide = rng.random(200) < 0.7, x.astype(float)
    odds = odds_of(wide * [1e300, 1.0, 1e200], seen)
    np.testing.assert_allclose(odds, odds_of(wide, seen), rtol=1e-5)
