"""What every registered imputer must do, and what each one promises."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.core.rows import GapRows, move_rows, normal_noise
from miri_jax.engine import draws, fit, iterate
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import IMPUTERS, _early_stopping, make_imputer, miri
from miri_jax.settings import hints, kinds
from miri_jax.sources import normal as gaussian
from miri_jax.types import Draw, Masked

# Small enough for seconds; every method takes those it knows.
SMALL = {
    "num_iterations": 2,
    "num_steps": 8,
    "batch_size": 32,
    "ode_steps": 4,
    "flow_steps": 4,
    "diffusion_steps": 8,
    "gaussian_rounds": 4,
    "sampling_steps": 4,
    "num_resamples": 2,
    "num_samples": 2,
    "model": {"width": 8},
}
CASES = [
    *IMPUTERS,
    "miri source=previous",
    "miri_paper initial=mean num_slices=4",
    *(
        pytest.param(case, marks=pytest.mark.slow)
        for case in (
            "miri source=noise warm_start=False imputed_weight=1.0",
            "miri num_slices=2 solver=euler",
        )
    ),
]


def _small(name, **other):
    takes = inspect.signature(IMPUTERS[name]).parameters
    return {k: v for k, v in SMALL.items() if k in takes} | other


def _make(case):
    name, *extra = case.split()
    settings = _small(name)
    for item in extra:
        key, _, value = item.partition("=")
        literal = {"False": False, "1.0": 1.0, "4": 4, "2": 2}
        settings[key] = literal.get(value, value)
    if "source=previous" in case:
        settings["keep_velocities"] = True
    return make_imputer(name, **settings)


def _fit(imputer, data, seed=0):
    root = jax.random.key(seed)
    key_init, key_steps = jax.random.split(root)
    state = imputer.init(key_init, data)
    infos = []
    for state, info in iterate(key_steps, imputer, data, state):
        infos.append(info)
    return state, infos


@pytest.fixture(scope="module")
def odd(table):
    """The table beside a constant column, an empty one and one with a cell."""
    data, _ = table
    n = len(data.x)
    first = jnp.arange(n) == 1
    empty = jnp.zeros(n, bool)
    m = jnp.stack([data.m[:, 0], empty, first], axis=1)
    x = jnp.where(m, jnp.array([[0.5, 0, 1]]), 0)
    return Masked(jnp.hstack([data.x, x]), jnp.hstack([data.m, m]))


@pytest.fixture(scope="module", params=CASES)
def fitted(request, odd):
    imputer = _make(request.param)
    state, infos = _fit(imputer, odd)
    return imputer, state, infos


def _bits(x):
    return np.asarray(x, np.float32).view(np.int32)


def test_observed_entries_are_bit_identical(fitted, odd):
    imputer, state, _ = fitted
    drawn = imputer.impute(jax.random.key(5), state, odd)
    m = np.asarray(odd.m)
    for x in (state.x, drawn):
        assert x.shape == odd.x.shape and x.dtype == jnp.float32
        np.testing.assert_array_equal(_bits(x)[m], _bits(odd.x)[m])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_x64_changes_nothing_but_rounding(case, odd):
    """Draws and states keep their types, so one goes on where another began."""
    found = []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            imputer = _make(case)
            state, _ = _fit(imputer, odd)
            x = imputer.impute(jax.random.key(5), state, odd)
            found.append((state, x))
    chex.assert_trees_all_equal_shapes_and_dtypes(*found)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-3)


def test_nothing_but_finite_numbers(fitted, odd):
    imputer, state, infos = fitted
    drawn = imputer.impute(jax.random.key(5), state, odd)
    assert np.isfinite(drawn).all() and np.isfinite(state.x).all()
    for info in infos:
        chex.assert_tree_all_finite(info)


def test_hidden_values_are_never_read(fitted, odd):
    """What `x` holds where m is False must not matter: it is 0 by contract,
    and a different value there changes nothing."""
    imputer, state, _ = fitted
    other = Masked(jnp.where(odd.m, odd.x, 77.0), odd.m)
    one = imputer.impute(jax.random.key(5), state, odd)
    two = imputer.impute(jax.random.key(5), state, other)
    np.testing.assert_array_equal(one, two)


def test_rows_never_seen_are_imputed(fitted):
    imputer, state, _ = fitted
    x = jnp.zeros((2, 6)).at[0, 0].set(3.0)
    drawn = imputer.impute(jax.random.key(5), state, Masked(x, x != 0))
    assert np.isfinite(drawn).all()
    assert float(drawn[0, 0]) == 3.0


def test_same_key_same_bits_from_one_trace(fitted, odd, caplog):
    """A second fit ends bit-identical, and nothing was compiled for it or for
    a further iteration: shapes and static arguments never change."""
    imputer, state, _ = fitted
    with jax.log_compiles():
        again, _ = _fit(imputer, odd)
    chex.assert_trees_all_equal(again, state)
    compiled = [r.message for r in caplog.records if "Compiling" in r.message]
    assert not compiled


@pytest.mark.parametrize("case", IMPUTERS)
def test_sampled_rows_are_finite(case, odd):
    imputer = _make(case)
    if imputer.sample is None:
        pytest.skip("generates no rows")
    state = imputer.init(jax.random.key(0), odd)
    rows = imputer.sample(jax.random.key(1), state, (7, 6))
    assert rows.shape == (7, 6) and np.isfinite(rows).all()


@pytest.mark.parametrize("case", ["gain", "knewimp"])
def test_filled_entries_stay_within_the_observed_range(case):
    """An empty column gets 0, a constant one its constant."""
    x = jnp.array([[2.0, 0, 1], [2.0, 0, 0], [0, 0, 3], [0, 0, 0]])
    m = jnp.array([[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    state, _ = _fit(_make(case), Masked(x, m))
    filled = np.asarray(state.x)
    np.testing.assert_array_equal(filled[:, :2], [[2, 0]] * 4)
    assert (filled[:, 2] >= 1).all() and (filled[:, 2] <= 3).all()


def test_slices_add_up_to_an_iteration(table):
    """An iteration cut into parts ends where the whole one does."""
    whole, _ = _fit(_make("miri_paper"), table[0])
    parts, infos = _fit(_make("miri_paper num_slices=4"), table[0])
    assert len(infos) == 8 and infos[0]["loss"].shape == (2,)
    np.testing.assert_allclose(whole.x, parts.x, atol=1e-5)


def test_paper_starts_each_iteration_afresh(table):
    """Algorithm 1, line 3, against the warm start of the fast preset."""
    data, _ = table
    for case, continues in (("miri_paper", False), ("miri", True)):
        imputer = _make(case)
        state = imputer.init(jax.random.key(0), data)
        state, _ = imputer.step(jax.random.key(1), state, data)
        first = int(state.train.step)
        state, _ = imputer.step(jax.random.key(2), state, data)
        assert int(state.train.step) == first * (2 if continues else 1)


def test_paper_keeps_the_velocity_of_every_iteration(table):
    data, _ = table
    imputer = _make("miri_paper")
    state = imputer.init(jax.random.key(0), data)
    kept = []
    for i in range(imputer.num_iterations):
        state, _ = imputer.step(jax.random.key(i), state, data)
        kept.append(jax.tree.map(np.asarray, state.train.params))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *kept)
    chex.assert_trees_all_equal(state.kept, stacked)


def test_new_draws_need_kept_velocities(table):
    imputer = make_imputer(
        "miri_paper",
        keep_velocities=False,
        num_iterations=1,
        num_steps=2,
        ode_steps=2,
        model={"width": 8},
    )
    state, _ = _fit(imputer, table[0])
    with pytest.raises(ConfigError, match="keep_velocities=True"):
        imputer.impute(jax.random.key(0), state, table[0])


@pytest.mark.parametrize(
    "name, statistic", [("mean", np.nanmean), ("median", np.nanmedian)]
)
def test_simple_filling_equals_numpy(name, statistic, table):
    data, _ = table
    state, _ = _fit(make_imputer(name), data)
    gaps = np.where(data.m, data.x, np.nan)
    expected = np.where(data.m, data.x, statistic(gaps, axis=0)[None])
    np.testing.assert_allclose(state.x, expected, atol=1e-6)


def _normal_with_gaps(n, rate, seed=0):
    rng = np.random.default_rng(seed)
    root = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [-0.5, 0.5, 0.7]])
    truth = (rng.standard_normal((n, 3)) @ root.T).astype(np.float32)
    m = rng.random(truth.shape) > rate
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    return data, truth, (root @ root.T)


@pytest.mark.parametrize("share", [1, 20000])  # conjugate gradients, sweep
def test_conditional_draw_equals_the_normal_distribution(share):
    """Mean and covariance of x_mis | x_obs, within their standard error."""
    _, _, cov = _normal_with_gaps(1, 0)
    mean = np.array([1.0, -2.0, 0.5])
    normal = gaussian.Gaussian(
        jnp.asarray(mean, jnp.float32),
        jnp.asarray(cov, jnp.float32),
        jnp.asarray(np.linalg.cholesky(cov), jnp.float32),
    )
    m = jnp.array([False, True, False])
    x = jnp.array([0.0, 1.5, 0.0])
    n = 20000
    noise = jax.random.normal(jax.random.key(0), (n // share, share, 3))
    x_obs = jnp.broadcast_to(x, noise.shape)
    draw = lambda z, x: gaussian.conditional_draw(z, x, m, normal, 20)
    drawn, means = np.reshape(jax.vmap(draw)(noise, x_obs), (2, n, 3))
    gain = cov[[0, 2], 1] / cov[1, 1]
    expected = mean[[0, 2]] + gain * (1.5 - mean[1])
    left = cov[np.ix_([0, 2], [0, 2])] - np.outer(gain, cov[1, [0, 2]])
    error = np.sqrt(np.diag(left) / n)
    assert np.all(abs(drawn[:, [0, 2]].mean(0) - expected) < 4 * error)
    np.testing.assert_allclose(
        np.cov(drawn[:, [0, 2]].T), left, atol=4 * left.max() * (2 / n) ** 0.5
    )
    np.testing.assert_array_equal(drawn[:, 1], np.float32(1.5))
    np.testing.assert_allclose(means[0, [0, 2]], expected, atol=5e-3)
    np.testing.assert_array_equal(means, np.tile(means[:1], (n, 1)))


def test_regression_equals_its_closed_form():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    cov = root @ root.T + 0.1 * np.eye(6)
    for m in rng.random((5, 6)) < 0.5:
        expected = np.zeros((6, 6))
        expected[np.ix_(~m, m)] = np.linalg.solve(
            cov[np.ix_(m, m)], cov[np.ix_(m, ~m)]
        ).T
        found = gaussian.regression(
            jnp.asarray(cov, jnp.float32), jnp.asarray(m)
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_gaussian_recovers_the_covariance_from_gaps():
    data, _, cov = _normal_with_gaps(4000, 0.4)
    fitted, x = jax.jit(gaussian.fit_gaussian)(jax.random.key(0), data)
    np.testing.assert_allclose(fitted.cov, cov, atol=0.08)
    # The filled table has the covariance too: imputed cells are draws.
    np.testing.assert_allclose(np.cov(np.asarray(x).T), cov, atol=0.1)


def test_gaussian_survives_collinear_and_constant_columns():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((1000, 2))
    truth = np.c_[base, base[:, :1], base.sum(1), np.zeros(1000)]
    m = rng.random(truth.shape) > 0.5
    data = Masked(
        jnp.where(m, jnp.asarray(truth, jnp.float32), 0), jnp.asarray(m)
    )
    state, _ = _fit(make_imputer("gaussian"), data)
    x = np.asarray(state.x)
    assert np.isfinite(x).all() and abs(x).max() < 10
    both = m[:, 0] & ~m[:, 2]  # the copy of a seen value is known
    # Shrinkage leaves what some hundred pairs can say of a correlation of 1.
    assert np.std(x[both, 2] - truth[both, 0]) < 0.15
    assert abs(x[:, 4]).max() < 0.05


@pytest.mark.parametrize(
    "source",
    ["gaussian", pytest.param("noise", marks=pytest.mark.slow), "previous"],
)
def test_miri_meets_the_conditional_mean_of_a_normal(source):
    """E[x_mis | x_obs] of a bivariate normal, within its standard error."""
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((3000, 2)).astype(np.float32)
    truth[:, 1] = 0.8 * truth[:, 0] + 0.6 * truth[:, 1]
    m = np.ones(truth.shape, bool)
    m[:1500, 1] = False  # column 2 is hidden, MCAR, in half the rows
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    imputer = make_imputer(
        "miri",
        source=source,
        num_iterations=6,
        num_steps=150,
        batch_size=256,
        model={"width": 48},
    )
    state, _ = _fit(imputer, data)
    x = np.asarray(state.x)[:1500]
    slope, intercept = np.polyfit(x[:, 0], x[:, 1], 1)
    # Standard errors: the draws' and the fit's, each 0.6 / sqrt(n).
    assert slope == pytest.approx(0.8, abs=4 * 0.6 / 1500**0.5 * 2**0.5)
    assert intercept == pytest.approx(0.0, abs=4 * 0.6 / 1500**0.5 * 2**0.5)
    residual = x[:, 1] - slope * x[:, 0] - intercept
    assert residual.std() == pytest.approx(0.6, abs=0.08)


def _set_of_noise(count, shape, seed=0):
    key = jax.random.key(seed)
    return np.stack(
        [
            normal_noise(jnp.copy(key), shape, Draw(jnp.int32(k), count))
            for k in range(count)
        ]
    )


def test_noise_of_a_set_is_normal_and_stratified():
    """Each draw by itself N(0, I); over the set one value in each slice."""
    noise = _set_of_noise(5, (4000, 3))
    slices = np.searchsorted([-0.8416, -0.2533, 0.2533, 0.8416], noise)
    for entry in slices.reshape(5, -1).T[:200]:
        assert sorted(entry) == [0, 1, 2, 3, 4]
    assert abs(noise.mean(axis=(1, 2))).max() < 4 / 12000**0.5
    np.testing.assert_allclose(noise.std(axis=(1, 2)), 1, atol=0.03)
    # Entries of one draw are independent of each other ...
    np.testing.assert_allclose(
        np.corrcoef(noise[2].T), np.eye(3), atol=4 / 4000**0.5
    )
    # ... and any two draws of a set are related alike.
    between = np.corrcoef(noise.reshape(5, -1))[np.triu_indices(5, 1)]
    np.testing.assert_allclose(between, -0.25, atol=0.04)


@pytest.mark.parametrize("case", ["gaussian", "miri"])
def test_mean_of_a_set_is_closer_than_that_of_independent_draws(case, table):
    data, _ = table
    imputer = _make(case)
    state, _ = _fit(imputer, data)
    gaps = ~np.asarray(data.m)
    count = 8
    of_set = [
        np.mean(
            list(draws(jax.random.key(s), imputer, state, data, count)), axis=0
        )
        for s in range(8)
    ]
    single = [
        np.mean(
            [
                imputer.impute(jax.random.key(100 * s + k), state, data)
                for k in range(count)
            ],
            axis=0,
        )
        for s in range(8)
    ]
    assert np.std(of_set, axis=0)[gaps].mean() < 0.5 * (
        np.std(single, axis=0)[gaps].mean()
    )


@pytest.mark.parametrize("case", ["gaussian", "miri", "miri_paper"])
def test_draws_of_a_set_differ(case, table):
    data, _ = table
    imputer = _make(case)
    state, _ = _fit(imputer, data)
    one, two = draws(jax.random.key(0), imputer, state, data, 2)
    gaps = ~np.asarray(data.m)
    assert np.mean(np.asarray(one)[gaps] == np.asarray(two)[gaps]) < 0.01


@pytest.mark.parametrize(
    "method",
    [
        "gaussian",
        pytest.param("miri", marks=pytest.mark.slow),
        pytest.param("missdiff", marks=pytest.mark.slow),
    ],
)
def test_the_chunk_size_changes_nothing(method, table):
    """But the rounding of products of matrices of other sizes."""
    data = Masked(*(a[:50] for a in table[0]))
    few = {"num_iterations": 1}
    if method != "gaussian":
        few |= {"num_steps": 4, "batch_size": 8, "model": {"width": 8}}
    if method == "missdiff":
        few["diffusion_steps"] = 5
    found = []
    for chunk in (7, 50):
        imputer = make_imputer(method, chunk=chunk, **few)
        state = fit(jax.random.key(0), imputer, data)
        draw = Draw(jnp.int32(1), 3)
        key = jax.random.key(1)
        found.append(np.asarray(imputer.impute(key, state, data, draw)))
    np.testing.assert_allclose(*found, atol=1e-4)
    assert np.ptp(found[0][~np.asarray(data.m)]) > 0.5


def test_move_rows_leaves_the_other_rows(table):
    data, _ = table
    three = np.flatnonzero(~np.asarray(data.m).all(axis=1))[[2, 5, 60]]
    order = jnp.resize(jnp.array([*three, 0]), 200)
    rows = GapRows(order, jnp.int32(3))
    before = jnp.where(data.m, data.x, 5.0)
    after = move_rows(
        jax.random.key(0),
        before,
        data,
        rows,
        lambda noise, x, x_obs, m: jnp.full_like(x, 9.0),
        chunk=2,
    )
    moved = np.flatnonzero((np.asarray(after) == 9).any(axis=1))
    np.testing.assert_array_equal(moved, three)


def test_early_stopping_keeps_the_best_weights():
    """Overtrained on 60 rows, the fit ends early and holds its best loss."""
    data, _, _ = _normal_with_gaps(60, 0.4)
    imputer = make_imputer(
        "miri",
        num_iterations=30,
        num_steps=40,
        batch_size=64,
        held_out=0.2,
        patience=3,
        model={"width": 32},
    )
    state, infos = _fit(imputer, data)
    assert bool(state.done) and int(state.iteration) < 30
    assert int(state.held_out.since) == 3
    losses = [float(info["held_out_loss"]) for info in infos]
    assert losses == sorted(losses, reverse=True)
    # Draws come from the weights of that loss, not from the last ones.
    nowhere = jax.tree.map(jnp.ones_like, state.train.ema)
    other = state._replace(train=state.train._replace(ema=nowhere))
    of = lambda s: imputer.impute(jax.random.key(1), s, data)
    np.testing.assert_array_equal(of(state), of(other))
    worse = state._replace(held_out=state.held_out._replace(best=nowhere))
    assert not np.array_equal(of(state), of(worse))


@pytest.mark.parametrize(
    "source", [pytest.param("gaussian", marks=pytest.mark.slow), "previous"]
)
def test_auto_ends_when_mi_stops_falling(source, table):
    """On a table that a Gaussian fills, the first look at MI is the last."""
    data, _ = table
    imputer = make_imputer(
        "miri",
        source=source,
        keep_velocities=True,
        **_small("miri", num_iterations="auto"),
    )
    state, infos = _fit(imputer, data)
    looks = [float(info["mi"]) for info in infos if "mi" in info]
    assert bool(state.done) or int(state.iteration) == miri.MAX_ITERATIONS
    assert int(state.iteration) == miri.MI_EVERY * len(looks)
    assert float(state.mi) == looks[-1]
    if source == "gaussian":
        assert len(looks) == 1
    m = np.asarray(data.m)
    np.testing.assert_array_equal(_bits(state.x)[m], _bits(data.x)[m])


def test_held_out_entries_are_observed_and_no_targets():
    m = jax.random.bernoulli(jax.random.key(0), 0.5, (300, 4))
    held = _early_stopping.hold_out(
        jax.random.key(1), m, jnp.arange(300), 0.1, {}
    )
    entries = m & ~held.targets
    assert not bool((held.targets & ~m).any())
    share = float(entries.sum() / m.sum())
    assert share == pytest.approx(0.1, abs=4 * (0.09 / 600) ** 0.5)


def test_more_rows_than_an_iteration_takes():
    """Iterations take turns over the rows; the last one moves them all."""
    data, truth, cov = _normal_with_gaps(3000, 0.3)
    imputer = make_imputer(
        "miri",
        max_rows=500,
        chunk=128,
        num_iterations=3,
        num_steps=20,
        batch_size=64,
        model={"width": 16},
    )
    state = fit(jax.random.key(0), imputer, data)
    x = np.asarray(state.x)
    assert bool(state.done)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.12)
    gaps = ~np.asarray(data.m)
    assert np.std((x - truth)[gaps]) > 0.3  # they are draws
    first = imputer.init(jax.random.key(0), data).x
    assert np.all(np.asarray(first)[gaps] != x[gaps])


def test_unknown_method_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean gaussian"):
        make_imputer("gausian")


def test_unknown_setting_is_refused_by_name():
    with pytest.raises(ConfigError, match="'mean' has no setting 'num_steps'"):
        make_imputer("mean", num_steps=3)


def test_auto_is_refused_where_a_method_does_not_know_it():
    with pytest.raises(ConfigError, match="num_iterations is 'auto'; method"):
        make_imputer("gaussian", num_iterations="auto")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"source": "prior"}, "source is 'prior'"),
        ({"initial": "mode"}, "initial is 'mode'"),
        ({"solver": "rk4"}, "solver is 'rk4'"),
        ({"num_iterations": "often"}, "num_iterations is 'often'"),
        ({"num_iterations": 0}, "num_iterations is 0"),
        ({"num_steps": 10, "num_slices": 3}, "num_slices=3 does not divide"),
        ({"imputed_weight": 2.0}, "2.0; .* a number from 0 to 1 or None"),
        ({"num_slices": 0}, "num_slices is 0; .* a whole number from 1 on"),
        ({"chunk": -5}, "chunk is -5"),
        ({"chunk": True}, "chunk is True"),
        ({"ode_steps": 2.0}, "ode_steps is 2.0; .* a whole number"),
        ({"held_out": 1.5}, "held_out is 1.5; .* a number from 0 to 0.9"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"warm_start": 1}, "warm_start is 1; .* True or False"),
        ({"model": 3}, "model is 3; .* a mapping or None"),
        ({"model": {"width": 0}}, "model.width is 0; use a whole number"),
        ({"model": {"activation": "sillu"}}, "model.activation is 'sillu'"),
        ({"model": {"dtype": "foo"}}, "model.dtype is 'foo'; use one of flo"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message, table):
    with pytest.raises(ConfigError, match=message):
        make_imputer("miri", **settings).init(jax.random.key(0), table[0])


@pytest.mark.parametrize("name", IMPUTERS)
def test_no_method_takes_a_count_of_zero(name):
    """Of whole numbers, each method's own."""
    for key, hint in hints(IMPUTERS[name]).items():
        if int in kinds(hint):
            with pytest.raises(ConfigError, match=f"{key} is 0"):
                make_imputer(name, **{key: 0})


@pytest.mark.parametrize("case", ["gaussian", "miri", "miri_paper", "mean"])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 3),
        *(
            pytest.param(shape, marks=pytest.mark.slow)
            for shape in ((5, 1), (2, 2))
        ),
    ],
)
def test_tiny_tables(case, shape):
    x = jnp.ones(shape)
    m = jnp.zeros(shape, bool).at[0, 0].set(True)
    state, _ = _fit(_make(case), Masked(jnp.where(m, x, 0), m))
    assert np.isfinite(state.x).all()
