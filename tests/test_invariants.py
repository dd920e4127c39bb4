"""What holds for every mask, table and filling, whatever the numbers."""

import os
import pathlib
import tempfile

import chex
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings

from miri_jax.core import flow, masks
from miri_jax.core.rows import normal_noise
from miri_jax.data.transforms import LARGEST, fit_scaler, restore, standardise
from miri_jax.engine import finished, iterate
from miri_jax.exceptions import WorkdirError
from miri_jax.imputers import make_imputer
from miri_jax.metrics import errors, mmd
from miri_jax.metrics.images import psnr, sliced_wasserstein, ssim
from miri_jax.pooling import pool
from miri_jax.runtime.checkpoint import CheckpointStore
from miri_jax.sources.smooth import biharmonic_fill, harmonic_fill
from miri_jax.types import Draw

# As many in the long run: FUZZ=10000 pytest tests/test_invariants.py
SETTINGS = dict(
    deadline=None,
    derandomize=True,
    max_examples=int(os.environ.get("FUZZ", 20)),
)
# Each shape is compiled, so there are few.
SHAPES = st.sampled_from([(1, 1), (5, 3), (40, 4)])
# XLA takes numbers below 1e-38 for 0.
FLOATS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
UNIT = st.floats(0, 1, width=32)
ANY = st.floats(allow_nan=True, allow_infinity=True, width=32)
SEEDS = st.integers(0, 2**31 - 1)


def _tables(elements=FLOATS, dtype=np.float32):
    return SHAPES.flatmap(
        lambda shape: st.tuples(
            hnp.arrays(dtype, shape, elements=elements),
            hnp.arrays(dtype, shape, elements=elements),
            hnp.arrays(bool, shape),
        )
    )


@settings(**SETTINGS)
@given(_tables(ANY))
def test_a_merge_takes_each_entry_from_one_side_bit_for_bit(table):
    x, new, m = table
    merged = np.asarray(flow.merge(x, new, m))
    assert merged[m].tobytes() == x[m].tobytes()
    assert merged[~m].tobytes() == new[~m].tobytes()
    again = np.asarray(flow.merge(x, merged, m))
    assert again.tobytes() == merged.tobytes()


@settings(**SETTINGS)
@given(_tables())
def test_the_line_begins_at_one_end_and_ends_at_the_other(table):
    x0, x1, _ = table
    for tau, end in ((0.0, x0), (1.0, x1)):
        found = flow.interpolate(x0, x1, jnp.float32(tau))
        np.testing.assert_array_equal(found, end)


@settings(**SETTINGS)
@given(_tables(st.floats(-LARGEST, LARGEST), np.float64))
@example(
    (
        np.array([[LARGEST], [-LARGEST / 2], [-LARGEST / 2]]),
        None,
        np.ones((3, 1), bool),
    )
)
@example(
    (
        np.array([[LARGEST], *([[-LARGEST]] * 9)]),
        None,
        np.ones((10, 1), bool),
    )
)
def test_standardising_and_back_is_the_identity(table):
    x, _, m = table
    scaler = fit_scaler(x, m)
    masked = standardise(x, m, scaler)
    assert np.isfinite(masked.x).all()
    np.testing.assert_array_equal(np.asarray(masked.x)[~m], 0)
    back = restore(np.asarray(masked.x), x, m, scaler)
    assert back[m].tobytes() == x[m].tobytes()
    assert np.isfinite(back).all()
    # What is not observed comes to the same but for float32's digits.
    other = restore(np.asarray(masked.x), x, np.zeros_like(m), scaler)
    largest = np.abs(x).max(axis=0) / 2 + scaler.deviation / 2
    apart = np.abs(other / 2 - x / 2)
    assert (apart[m] <= (1e-5 * largest + 0 * x)[m]).all()


@pytest.mark.slow
@settings(**{**SETTINGS, "max_examples": SETTINGS["max_examples"] // 2})
@given(st.sampled_from(sorted(masks.MECHANISMS)), st.floats(0, 0.75), SEEDS)
def test_amputation_hides_its_share_and_empties_no_row(name, rate, seed):
    key_x, key_m = jax.random.split(jax.random.key(seed))
    x = jax.random.normal(key_x, (500, 4))
    found = masks.amputate(key_m, x, mechanism=name, rate=rate)
    m = np.asarray(found.m)
    assert m.dtype == bool and m.any(axis=1).all()
    if rate == 0:
        assert m.all()
    if name in ("mcar", "mcar_column") and rate < 0.5:
        # Four deviations of 2000 coins, and what keeps rows from being empty.
        assert abs((~m).mean() - rate) < 0.045 + rate**4
    again = jax.random.clone(key_m)
    again = masks.amputate(again, x, mechanism=name, rate=rate)
    np.testing.assert_array_equal(again.m, m)


@settings(**SETTINGS)
@given(_tables(st.floats(-100, 100, width=32)))
def test_errors_are_zero_for_the_truth_and_count_gaps_alone(table):
    truth, x, m = table
    assert set(errors(truth, truth, m).values()) == {0.0}
    found = errors(truth, x, m)
    assert found == errors(truth, np.where(m, truth, x), m)
    assert all(np.isfinite(v) and v >= 0 for v in found.values())
    assert found["rmse"] >= found["mae"] * (1 - 1e-12)
    turned = errors(-truth, -x, m)
    assert turned == pytest.approx(found)


@settings(**SETTINGS)
@given(_tables(st.floats(-10, 10, width=32)), st.floats(1, 10))
def test_mmd_is_a_distance(table, bandwidth):
    a, b, _ = table
    assert mmd(a, a, bandwidth) == pytest.approx(0, abs=1e-3)
    one, other = mmd(a, b, bandwidth), mmd(b, a, bandwidth)
    # Its square is a difference of means of float32.
    assert one**2 == pytest.approx(other**2, abs=3e-6)
    assert 0 <= one <= 2**0.5 + 1e-6
    shuffled = mmd(a, b[::-1].copy(), bandwidth)
    assert shuffled**2 == pytest.approx(one**2, abs=3e-6)


@settings(**SETTINGS | {"max_examples": max(SETTINGS["max_examples"] // 7, 3)})
@given(hnp.arrays(np.float32, (2, 2, 16, 16, 3), elements=UNIT))
def test_distances_of_images_are_zero_for_equals_and_symmetric(images):
    a, b = images
    assert sliced_wasserstein(0, a, a) == 0
    assert sliced_wasserstein(0, a, b) == pytest.approx(
        sliced_wasserstein(0, b, a), rel=1e-4
    )
    np.testing.assert_allclose(ssim(a, a), 1)
    np.testing.assert_allclose(ssim(a, b), ssim(b, a), atol=1e-6)
    np.testing.assert_allclose(psnr(a, b), psnr(b, a))


@settings(**SETTINGS)
@given(
    hnp.arrays(np.float32, (9, 7, 2), elements=st.floats(-50, 50, width=32)),
    hnp.arrays(bool, (9, 7, 2)),
)
def test_a_smooth_filling_stays_between_what_is_observed(x, m):
    for fill in _fills:
        filled = np.asarray(fill(x, m))
        assert filled[m].tobytes() == x[m].tobytes()
        for c in range(2):
            seen = x[..., c][m[..., c]]
            low, high = (seen.min(), seen.max()) if seen.size else (0, 0)
            slack = 1e-4 * max(abs(low), abs(high), 1)
            assert (filled[..., c] >= low - slack).all()
            assert (filled[..., c] <= high + slack).all()


_fills = [jax.jit(fill) for fill in (biharmonic_fill, harmonic_fill)]


@pytest.mark.slow
@settings(**SETTINGS)
@given(SEEDS, st.sampled_from([2, 5]))
def test_noise_of_a_set_has_one_draw_in_each_slice(seed, count):
    key = jax.random.key(seed)
    noise = np.stack(
        [
            normal_noise(jax.random.clone(key), (6,), Draw(jnp.int32(k), count))
            for k in range(count)
        ]
    )
    slices = np.floor(count * jax.scipy.special.ndtr(noise)).clip(0, count - 1)
    np.testing.assert_array_equal(
        np.sort(slices, axis=0), np.tile(np.arange(count)[:, None], (1, 6))
    )


@settings(**SETTINGS)
@given(
    hnp.arrays(float, (4,), elements=st.floats(-100, 100)),
    hnp.arrays(float, (4,), elements=st.floats(0.1, 100)),
    st.floats(-10, 10),
)
def test_pooling_follows_a_shift_and_never_shrinks_the_variance(
    estimates, variances, shift
):
    one, moved = pool(estimates, variances), pool(estimates + shift, variances)
    assert moved.estimate == pytest.approx(one.estimate + shift, abs=1e-9)
    assert one.variance >= variances.mean() - 1e-9
    assert moved.variance == pytest.approx(one.variance, rel=1e-6)


@settings(**SETTINGS | {"max_examples": max(SETTINGS["max_examples"] // 4, 5)})
@given(
    st.sets(st.integers(1, 6), min_size=1, max_size=3),
    st.sets(st.integers(1, 6)),
    st.integers(0, 10**6),
    st.integers(0, 255),
)
def test_a_run_goes_on_from_its_last_whole_checkpoint(
    steps, damaged, place, byte
):
    """Whatever byte of whichever checkpoints is not what was written."""
    with tempfile.TemporaryDirectory() as folder:
        store = CheckpointStore(folder, keep=9)
        for step in sorted(steps):
            store.save(step, _numbered(step))
        store.close()
        changed = {
            step
            for step in steps & damaged
            if _damage(folder, step, place, byte)
        }
        store = CheckpointStore(folder, keep=9)
        try:
            step, state, notes = store.load_latest(_numbered(0))
        except WorkdirError:
            assert changed
            return
        finally:
            store.close()
    # Not every byte means something: a damaged one may still be whole.
    assert step >= max(steps - changed, default=0)
    assert len(notes) == len([other for other in steps if other > step])
    chex.assert_trees_all_equal(state, _numbered(step))


def _numbered(step):
    return {"x": jnp.arange(40.0).reshape(8, 5) * step, "n": jnp.int32(step)}


def _damage(folder, step, place, byte):
    """Sets one byte of a checkpoint; whether it was another one before."""
    files = pathlib.Path(folder, str(step)).rglob("*")
    files = sorted(p for p in files if p.is_file() and p.stat().st_size)
    path = files[place % len(files)]
    data = bytearray(path.read_bytes())
    place = place // len(files) % len(data)
    before, data[place] = data[place], byte
    path.write_bytes(bytes(data))
    return before != byte


@pytest.fixture(scope="module")
def whole_fit(table):
    """An imputer of six steps, its data, and its end without a stop."""
    imputer = make_imputer(
        "miri",
        source="noise",
        num_iterations=6,
        num_steps=4,
        ode_steps=2,
        model={"width": 8},
    )
    return imputer, table[0], _in_pieces(imputer, table[0], ())


def _in_pieces(imputer, data, stops):
    """The end of a fit that is taken to the host and back at some steps."""
    init_key, key = jax.random.split(jax.random.key(0))
    state, steps = imputer.init(init_key, data), 0
    while not finished(imputer, state):
        for state, _ in iterate(key, imputer, data, state):
            steps += 1
            if steps in stops:
                break
        state = jax.tree.map(jnp.asarray, jax.device_get(state))
    assert steps == 6
    return state


@pytest.mark.slow
@settings(**SETTINGS)
@given(stops=st.sets(st.integers(1, 6)))
def test_a_fit_that_stops_anywhere_ends_with_the_same_bits(whole_fit, stops):
    """The state is all there is: nothing of a fit lives outside of it."""
    imputer, data, end = whole_fit
    chex.assert_trees_all_equal(_in_pieces(imputer, data, stops), end)
