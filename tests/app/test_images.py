"""Images: the smooth filling, the network, and whole runs."""

import json
import re
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from miri_jax.app.config import image_config
from miri_jax.app.run import run
from miri_jax.core import pairs
from miri_jax.core.parallel import split_examples, spread
from miri_jax.data.images import load_images, mean_pixels, random_shapes
from miri_jax.engine import iterate
from miri_jax.exceptions import DataError
from miri_jax.imputers import make_imputer
from miri_jax.models import VelocityUNet
from miri_jax.sources.smooth import (
    biharmonic_draw,
    biharmonic_fill,
    fit_errors,
    harmonic_fill,
)
from miri_jax.types import Cond, Masked

MIRI = dict(
    source="biharmonic",
    thin=True,
    num_iterations=2,
    num_steps=4,
    num_slices=2,
    batch_size=8,
    ode_steps=1,
    chunk=16,
    model={"size": "nano"},
)


def _config(**data):
    config = image_config("smoke")
    config.data.update(images="shapes", rows=24, size=16, rate=0.6, **data)
    config.imputer.num_steps = 4
    config.imputer.num_slices = 2
    config.imputer.batch_size = 8
    config.imputer.ode_steps = 1
    return config


def test_other_methods_run_from_the_same_config(tmp_path):
    config = _config()
    config.method = "mean"
    for name in ("num_steps", "num_slices", "batch_size", "ode_steps"):
        config.imputer[name] = None
    run(config, str(tmp_path))
    with np.load(tmp_path / "imputed.npz") as found:
        assert (found["x"][0] == found["x"][1]).all()


@pytest.fixture(scope="module")
def bank():
    return load_images(images="shapes", rows=24, size=16, rate=0.5).masked()


def test_a_filled_image_is_harmonic_in_its_gaps():
    key_x, key_m = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (9, 12, 3))
    m = jax.random.bernoulli(key_m, 0.5, x.shape)
    z = harmonic_fill(x, m, 500)
    np.testing.assert_array_equal(z[m], x[m])
    padded = np.pad(z, ((1, 1), (1, 1), (0, 0)), "edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1]
    around = (around + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
    np.testing.assert_allclose(z[~m], around[~np.asarray(m)], atol=1e-4)


def test_a_biharmonic_filling_has_the_least_curvature():
    key_x, key_m = jax.random.split(jax.random.key(1))
    x = jax.random.normal(key_x, (7, 8, 2))
    m = jax.random.bernoulli(key_m, 0.6, x.shape)
    z = np.asarray(biharmonic_fill(x, m, 200))
    np.testing.assert_array_equal(z[m], x[m])
    # Each pixel's Laplacian, as a matrix over the pixels of a channel.
    laplacian = np.eye(56)
    for i, j in np.ndindex(7, 8):
        for a, b in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            beside = 8 * min(max(a, 0), 6) + min(max(b, 0), 7)
            laplacian[8 * i + j, beside] -= 0.25
    for c in range(2):
        flat, seen = x[..., c].ravel(), np.asarray(m[..., c]).ravel()
        least = np.linalg.lstsq(
            laplacian[:, ~seen], -laplacian[:, seen] @ flat[seen], rcond=None
        )[0]
        least = least.clip(flat[seen].min(), flat[seen].max())
        np.testing.assert_allclose(z[..., c].ravel()[~seen], least, atol=1e-3)


@pytest.mark.parametrize("fill", [biharmonic_fill, harmonic_fill])
def test_a_shade_is_filled_exactly_and_an_empty_channel_with_zero(fill):
    x = jnp.broadcast_to(jnp.linspace(0, 1, 16)[:, None, None], (16, 16, 2))
    m = jnp.ones(x.shape, bool).at[4:9, 3:12, 0].set(False)
    m = m.at[..., 1].set(False)
    z = fill(jnp.where(m, x, 7.0), m, 400)
    np.testing.assert_allclose(z[..., 0], x[..., 0], atol=1e-3)
    np.testing.assert_array_equal(z[..., 1], 0)


def test_starts_are_as_far_off_as_the_filling():
    """Images of which a half is rough, channels alike: so is the noise."""
    key_x, key_m, key_hide, key_noise = jax.random.split(jax.random.key(0), 4)
    rough = jnp.where(jnp.arange(24) < 12, 1.0, 0.1)[None, None, :, None]
    grey = rough * jax.random.normal(key_x, (64, 24, 24, 1))
    x = jnp.concatenate([grey, 0.5 * grey], axis=-1)
    m = jax.random.bernoulli(key_m, 0.7, (64, 24, 24, 1))
    m = jnp.broadcast_to(m, x.shape)
    data = Masked(jnp.where(m, x, 0), m)
    errors = jax.jit(fit_errors)(key_hide, data)
    noise = jax.random.normal(key_noise, x.shape)
    start, mean = jax.jit(
        jax.vmap(
            lambda e, x, m: jax.tree.map(
                lambda a: a[0], biharmonic_draw(e[None], x[None], m, errors)
            )
        )
    )(noise, data.x, m)
    for columns in (slice(2, 9), slice(15, 22)):
        gaps = ~np.asarray(m[:, :, columns])
        spread, error = (
            np.asarray(a - mean)[:, :, columns][gaps].reshape(-1, 2)
            for a in (start, x)
        )
        assert spread.std(0) == pytest.approx(error.std(0), rel=0.5)
        assert np.corrcoef(spread.T)[0, 1] > 0.95
    np.testing.assert_array_equal(start[m], data.x[m])


def test_thinned_masks_show_only_what_was_observed(bank):
    # What is imputed can be told.
    rows = pairs.bank(bank.x + 5 * ~bank.m, bank.m)
    chosen = pairs.of_source(jax.random.key(0), rows, 64, thin=True)
    found = pairs.start(chosen, lambda noise, x, m: (noise, x))
    m0 = np.asarray(found.cond.m0)
    assert ((found.w1 > 0) | ~m0).all()
    assert (m0 == m0[..., :1]).all()
    # A half is observed, of that a half by the other mask and u of the rest.
    assert m0.mean() == pytest.approx(0.5 * (0.5 + 0.5 * 0.5), abs=0.04)
    shares = m0.mean(axis=(1, 2, 3)) / np.mean(found.w1 > 0, axis=(1, 2, 3))
    assert shares.min() < 0.6 and shares.max() > 0.9
    np.testing.assert_array_equal(found.cond.mean, found.cond.x1_m)


@pytest.mark.parametrize(
    "size",
    [
        "nano",
        *(pytest.param(s, marks=pytest.mark.slow) for s in ("base", "unet")),
    ],
)
def test_the_network_of_images(size):
    apply = jax.jit(lambda net, *a: net.apply(*a), static_argnums=0)
    x = jax.random.normal(jax.random.key(0), (12, 8, 3))
    cond = Cond(x, x, x > 0, 0.5 * x)
    args = x, cond, jnp.float32(0.3)
    plain = VelocityUNet(size)
    params = jax.jit(plain.init)(jax.random.key(1), *args)
    v = apply(plain, params, *args)
    assert v.shape == x.shape
    remat = apply(VelocityUNet(size, remat=True), params, *args)
    np.testing.assert_allclose(remat, v, atol=1e-5)
    half = apply(VelocityUNet(size, dtype="bfloat16"), params, *args)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, v, atol=0.1)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    zero = VelocityUNet(size, zero_output=True)
    params = jax.jit(zero.init)(jax.random.key(1), *args)
    np.testing.assert_array_equal(apply(zero, params, *args), 0)
    # Of what it moves only the missing entries are seen.
    other = jnp.where(cond.m0, 99.0, x), cond, jnp.float32(0.3)
    params = jax.tree.map(lambda p: p + 0.01, params)
    np.testing.assert_array_equal(
        apply(zero, params, *args), apply(zero, params, *other)
    )


@pytest.mark.slow
def test_steps_one_by_one_are_those_of_the_whole_program(bank, monkeypatch):
    imputer = make_imputer("miri", **MIRI)
    state = imputer.init(jax.random.key(0), bank)
    copy = jax.tree.map(jnp.array, state)  # buffers are donated
    key = jax.random.key(1)
    parts, info = imputer.step(jax.random.clone(key), state, bank)
    # On other devices it is one program, with a loop inside.
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    whole, same = imputer.step(key, copy, bank)
    np.testing.assert_allclose(info["loss"], same["loss"], rtol=1e-4)
    chex.assert_trees_all_close(
        parts.train.params, whole.train.params, atol=1e-4
    )


def test_a_run_fills_images_and_shows_them(tmp_path):
    config = _config()
    run(config, str(tmp_path))
    with np.load(tmp_path / "imputed.npz") as found:
        x, mean, m, truth = (found[k] for k in ("x", "mean", "m", "truth"))
    assert x.shape == (2, 24, 16, 16, 3) and x.dtype == np.uint8
    np.testing.assert_array_equal(x[:, m], truth[None, m].repeat(2, 0))
    np.testing.assert_array_equal(mean, mean_pixels(list(x)))
    assert (x[0] != x[1])[~m].mean() > 0.5
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    assert metrics["psnr_of_mean"] > metrics["psnr"] > 10
    page = (tmp_path / "report.html").read_text()
    assert "24 images of 16 x 16" in page and "swd" in page
    assert (tmp_path / "pictures" / "images.png").stat().st_size > 5000
    # Done before: nothing is fitted again, and the same comes out.
    run(config, str(tmp_path))
    with np.load(tmp_path / "imputed.npz") as found:
        np.testing.assert_array_equal(found["x"], x)


@pytest.mark.slow
def test_a_folder_with_real_gaps_is_filled(tmp_path):
    (tmp_path / "in").mkdir()
    for k, image in enumerate(random_shapes(24, 16).pixels):
        alpha = np.full((16, 16, 1), 255, np.uint8)
        alpha[3 : 6 + k % 8, 4:9] = 0
        rgba = np.concatenate([image, alpha], axis=2)
        Image.fromarray(rgba).save(tmp_path / "in" / f"p{k:02}.png")
    config = _config()
    config.data.update(images=f"folder:{tmp_path / 'in'}", rows=None, rate=0.0)
    run(config, str(tmp_path / "out"))
    found = Image.open(tmp_path / "out" / "imputed" / "p02_mean.png")
    before = random_shapes(24, 16).pixels[2]
    seen = np.ones((16, 16), bool)
    seen[3:8, 4:9] = False
    np.testing.assert_array_equal(np.asarray(found)[seen], before[seen])
    assert (np.asarray(found)[~seen] > 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "give images='folder:PATH'"),
        ({"rate": 0}, "set rate=0.6"),
        ({"rows": 0}, "0"),
        ({"rate": 1.5}, "1.5"),
        ({"images": "folder:nowhere"}, "nowhere"),
    ],
)
def test_bad_images_are_one_line(change, message):
    settings = {"images": "shapes", "rows": 4, "rate": 0.5, **change}
    with pytest.raises(DataError, match=message.replace(".", r"\.")) as error:
        load_images(**settings)
    assert "\n" not in str(error.value)


def _first_losses():
    data = load_images(images="shapes", rows=24, size=16, rate=0.5).masked()
    data = spread(data, 24)
    imputer = make_imputer("miri", **MIRI)
    state = imputer.init(jax.random.key(0), data)
    losses = []
    for _ in range(MIRI["num_slices"]):
        state, info = imputer.step(jax.random.key(1), state, data)
        losses += np.asarray(info["loss"]).tolist()
    return jax.device_count(), losses, float(np.std(state.x))


def _gathered():
    """The shapes that a batch's program brings together on every device."""
    data = load_images(images="shapes", rows=1600, size=16).masked()
    data = spread(data, 1600)
    assert len(data.x.addressable_shards[0].data) == 200

    def batch(key, x, m):
        drawn = pairs.draw_batch(key, pairs.bank(x, m), batch_size=64)
        return split_examples(drawn)

    program = jax.jit(batch).lower(jax.random.key(0), *data).compile()
    return re.findall(r"= \S*\[(.*?)\]\S* all-gather", program.as_text())


DEVICES = """
import json, jax
jax.config.update("jax_num_cpu_devices", 8)
from tests.app.test_images import _first_losses, _gathered
print(json.dumps([*_first_losses(), _gathered()]))
"""


@pytest.mark.slow
def test_eight_devices_give_the_losses_of_one():
    with jax.debug_key_reuse(False):
        one, losses, deviation = _first_losses()
    done = subprocess.run(
        [sys.executable, "-c", DEVICES],
        capture_output=True,
        text=True,
        check=True,
    )
    eight, same, also, gathered = json.loads(done.stdout.splitlines()[-1])
    assert (one, eight) == (1, 8) and len(losses) == 4
    np.testing.assert_allclose(same, losses, rtol=1e-3)
    assert also == pytest.approx(deviation, rel=1e-3)
    # The images stay where they are: only the batch's rows travel.
    assert gathered and not any("1600" in shape for shape in gathered)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("miri_paper", {"ode_steps": 2}),
        ("gain", {}),
        ("missdiff", {"diffusion_steps": 4}),
        ("tabcsdi", {"diffusion_steps": 4}),
        ("diffputer", {}),
        ("knewimp", {}),
    ],
)
def test_rivals_take_images(method, settings, bank):
    imputer = make_imputer(
        method,
        num_iterations=1,
        num_steps=2,
        batch_size=4,
        model={"size": "nano"},
        **settings,
    )
    state = imputer.init(jax.random.key(0), bank)
    for state, _ in iterate(jax.random.key(1), imputer, bank, state):
        pass
    assert state.x.shape == bank.x.shape and np.isfinite(state.x).all()
    np.testing.assert_array_equal(state.x[bank.m], bank.x[bank.m])
