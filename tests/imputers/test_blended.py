"""The blend of a flow and chained equations, and the trial that decides."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax import FAST, core, sources
from miri_jax.engine import state_like
from miri_jax.imputers import make_imputer, miri
from miri_jax.imputers._blend import compare
from miri_jax.imputers._early_stopping import Stop
from miri_jax.imputers.miri import SGD, network
from miri_jax.runtime.checkpoint import CheckpointStore
from miri_jax.sources.chained import PLAN, table_of
from miri_jax.types import Masked
from tests.imputers.small import small_settings

FLOW = FAST._replace(
    source=sources.gaussian(rounds=4),
    solve=partial(core.ode.euler, num_steps=3),
    sgd=SGD(lambda shape: 4, 32, 4e-3, ema_decay=0.9),
    network=network(width=8),
    stop=Stop(0.1, 8),
    num_iterations=2,
)


@pytest.fixture(scope="module")
def fitted(table):
    """A blend, all of its states, and the flow in it."""
    flow = miri.miri(FLOW)
    imputer = miri.blended(flow, PLAN._replace(chains=2, sweeps=1))
    state = imputer.init(jax.random.key(0), table[0])
    states = [jax.tree.map(jnp.array, state)]
    for k in range(imputer.num_iterations):
        state, info = imputer.step(jax.random.key(k), state, table[0])
        states.append(jax.tree.map(jnp.array, state))
    assert bool(state.done) and 0 <= info["by_flow"] <= 1
    return imputer, states, flow


def test_a_column_is_drawn_by_what_fills_it_better():
    """Draws of the truth's distribution given the row against any cells."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2000, 2))
    x = (z + 0.3 * rng.standard_normal(z.shape)).astype(np.float32)
    table = table_of(Masked(x, rng.random(x.shape) > 0.2), None)
    held = table.observed & (rng.random(x.shape) < 0.2)
    rows = np.flatnonzero(held.any(axis=1))
    near = z[rows] + 0.3 * rng.standard_normal((5, len(rows), 2))
    far = rng.standard_normal((5, len(rows), 2))
    chained, flow = near.copy(), near.copy()
    chained[..., 0], flow[..., 1] = far[..., 0], far[..., 1]
    found = compare(table, held, rows, chained, flow)
    np.testing.assert_array_equal(found.by_flow, [True, False])
    assert found.gain[0] > 0.3 and found.gain[1] < -0.3
    # Cells that nobody held out say nothing.
    nothing = compare(table, 0 * held > 0, rows, chained, flow)
    np.testing.assert_array_equal(nothing.gain, 0)


def test_each_column_comes_from_its_own_method(fitted, table):
    """Of the flow to the bit; the others drawn once more given its draw."""
    imputer, (*_, state), flow = fitted
    data, gaps = table[0], ~np.asarray(table[0].m)
    of = lambda *by_flow: np.asarray(
        imputer.impute(
            jax.random.key(1),
            state._replace(by_flow=jnp.array(by_flow)),
            data,
        )
    )
    by_flow = np.asarray(flow.impute(jax.random.key(1), state.flow, data))
    np.testing.assert_array_equal(of(True, True, True), by_flow)
    mixed, by_chains = of(True, False, True), of(False, False, False)
    np.testing.assert_array_equal(mixed[:, [0, 2]], by_flow[:, [0, 2]])
    for j in range(3):
        hidden = gaps[:, j]
        assert (by_chains[hidden, j] != by_flow[hidden, j]).all()
        observed = np.asarray(data.x)[~hidden, j]
        np.testing.assert_array_equal(mixed[~hidden, j], observed)
    both = gaps[:, 0] & gaps[:, 1]
    assert np.mean(mixed[both, 1] != by_chains[both, 1]) > 0.2
    # Column 1 follows the drawn column 0 as it does the observed one.
    assert np.corrcoef(mixed[both, :2].T)[0, 1] > 0.5


def test_every_state_can_be_saved_and_gone_on_from(fitted, table, tmp_path):
    imputer, states, _ = fitted
    data, like = table[0], state_like(imputer, table[0])
    for k, state in enumerate(states[:-1]):
        store = CheckpointStore(tmp_path / str(k))
        store.save(1, state)
        _, read, _ = store.load_latest(like)
        store.close()
        chex.assert_trees_all_equal(read, state)
    # The last step is the trial.
    end, _ = imputer.step(jax.random.key(k), read, data)
    chex.assert_trees_all_equal(end, states[-1])


def test_the_flow_holds_no_table(fitted):
    """The estimator empties `x` of what it saves."""
    assert fitted[1][-1].flow.x == ()


def test_where_nobody_tried_nothing_was_measured(fitted, table):
    """Draws of several fits are pooled: all columns have the chains last."""
    imputer, states, _ = fitted
    assert all("gain_of_flow_alone" in x for x in imputer.chosen(states[-1]))
    pooled = imputer.several(2, True)
    before = jax.tree.map(jnp.array, states[-2])
    end, info = pooled.step(jax.random.key(1), before, table[0])
    assert bool(end.done) and "by_flow" not in info and "loss" in info
    assert pooled.chosen(end) == [{"by": "flow, chained"}] * len(end.gain)


def test_the_blend_is_for_tables_and_early_stopping_alone(table):
    make = lambda **words: make_imputer(
        "miri", **(small_settings("miri") | words)
    )
    of = lambda imputer, data: hasattr(state_like(imputer, data), "by_flow")
    assert of(make(), table[0]) and of(make(source="auto"), table[0])
    assert not of(make(source="gaussian"), table[0])
    assert not of(make(held_out=0.0), table[0])
    images = Masked(jnp.zeros((4, 8, 8, 1)), jnp.ones((4, 8, 8, 1), bool))
    assert not of(make_imputer("miri"), images)
