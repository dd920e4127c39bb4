"""What every registered imputer must do."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.engine import draws, fit
from miri_jax.imputers import IMPUTERS, make_imputer, register
from miri_jax.types import Draw, Masked
from tests.imputers import hot_deck
from tests.imputers.small import CASES, bits, fit_case, make_case


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


@pytest.fixture(scope="module", autouse=True)
def from_outside():
    """A method that the package does not have, under the name "hot_deck"."""
    register("hot_deck", hot_deck.make_hot_deck)
    yield
    del IMPUTERS["hot_deck"]


@pytest.fixture(scope="module", params=[*CASES, "hot_deck"])
def fitted(request, odd):
    imputer = make_case(request.param)
    state, infos = fit_case(imputer, odd)
    return imputer, state, infos


def test_observed_entries_are_bit_identical(fitted, odd):
    imputer, state, _ = fitted
    drawn = imputer.impute(jax.random.key(5), state, odd)
    m = np.asarray(odd.m)
    for x in (state.x, drawn):
        assert x.shape == odd.x.shape and x.dtype == jnp.float32
        np.testing.assert_array_equal(bits(x)[m], bits(odd.x)[m])


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CASES, "hot_deck"])
def test_x64_changes_nothing_but_rounding(case, odd):
    """Draws and states keep their types, so one goes on where another began."""
    found = []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            imputer = make_case(case)
            state, _ = fit_case(imputer, odd)
            x = imputer.impute(jax.random.key(5), state, odd)
            found.append((state, x))
    # Packed bytes, which are of trees, have any length.
    kind = lambda a: f"{a.dtype} {'' if a.dtype == np.uint8 else a.shape}"
    kinds = lambda tree: jax.tree.map(kind, tree)
    assert kinds(found[0]) == kinds(found[1])
    # Trees may split elsewhere where numbers differ by rounding.
    near = np.isclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-3)
    assert near.mean() > 0.98


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
        again, _ = fit_case(imputer, odd)
    chex.assert_trees_all_equal(again, state)
    compiled = [r.message for r in caplog.records if "Compiling" in r.message]
    assert not compiled


@pytest.mark.parametrize("case", [*IMPUTERS, "hot_deck"])
def test_sampled_rows_are_finite(case, odd):
    imputer = make_case(case)
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
    state, _ = fit_case(make_case(case), Masked(x, m))
    filled = np.asarray(state.x)
    np.testing.assert_array_equal(filled[:, :2], [[2, 0]] * 4)
    assert (filled[:, 2] >= 1).all() and (filled[:, 2] <= 3).all()


@pytest.mark.parametrize(
    "case, most",
    [
        ("gaussian", 0.5),
        *(
            pytest.param(case, most, marks=pytest.mark.slow)
            for case, most in (
                ("miri source=gaussian", 0.5),
                ("miri", 0.65),
                ("chained", 0.65),  # cells that were drawn tell others
            )
        ),
    ],
)
def test_mean_of_a_set_is_closer_than_that_of_independent_draws(
    case, most, table
):
    data, _ = table
    imputer = make_case(case)
    state, _ = fit_case(imputer, data)
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
    assert np.std(of_set, axis=0)[gaps].mean() < most * (
        np.std(single, axis=0)[gaps].mean()
    )


@pytest.mark.parametrize("case", ["gaussian", "miri", "hot_deck"])
def test_draws_of_a_set_differ(case, table):
    data, _ = table
    imputer = make_case(case)
    state, _ = fit_case(imputer, data)
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


@pytest.mark.parametrize(
    "case",
    [
        "gaussian",
        "miri source=previous",
        *(
            pytest.param(case, marks=pytest.mark.slow)
            for case in (
                "miri",
                "chained",
                "gain",
                "missdiff",
                "tabcsdi",
                "diffputer",
                "knewimp",
            )
        ),
    ],
)
def test_a_row_is_drawn_alike_alone_among_others_and_in_any_order(case, table):
    imputer, data = make_case(case), Masked(*(a[:60] for a in table[0]))
    state, _ = fit_case(imputer, data)
    impute = lambda rows: imputer.impute(
        jax.random.key(1), state, Masked(*(part[rows] for part in data))
    )
    found = np.asarray(impute(np.arange(60)))
    seen = np.asarray(data.m).any(axis=1)  # empty rows are equal
    order = np.random.default_rng(0).permutation(np.flatnonzero(seen))
    np.testing.assert_allclose(impute(order), found[order], atol=1e-4)
    gaps = ~np.asarray(data.m).all(axis=1)
    alone = np.flatnonzero(seen & gaps)[-1:]
    np.testing.assert_allclose(impute(alone), found[alone], atol=1e-4)


@pytest.mark.parametrize(
    "case",
    ["gaussian", "miri", "miri_paper", "chained", "mean", "hot_deck"],
)
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
    state, _ = fit_case(make_case(case), Masked(jnp.where(m, x, 0), m))
    assert np.isfinite(state.x).all()
