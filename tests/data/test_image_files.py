"""Images come at one size with their gaps; bad sources are named."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from miri_jax.data.image_files import read_images
from miri_jax.exceptions import DataError


def _noise(*shape):
    return np.random.default_rng(0).integers(1, 256, shape, np.uint8)


def _save(folder, name, pixels):
    Image.fromarray(np.asarray(pixels)).save(folder / name)


def _npz(tmp_path, **arrays):
    path = tmp_path / "bank.npz"
    np.savez(path, **arrays)
    return f"npz:{path}"


def _line(source, **settings):
    with pytest.raises(DataError) as error:
        read_images(source, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_npz_comes_back_as_it_is(tmp_path):
    pixels = _noise(4, 6, 5, 3)
    bank = read_images(_npz(tmp_path, images=pixels))
    np.testing.assert_array_equal(bank.pixels, pixels)
    assert bank.pixels.dtype == np.uint8
    assert bank.observed is None
    assert bank.names == ("000000", "000001", "000002", "000003")
    two = read_images(_npz(tmp_path, images=pixels), limit=2)
    np.testing.assert_array_equal(two.pixels, pixels[:2])
    assert two.names == bank.names[:2]


@pytest.mark.parametrize("channels", [True, False])
def test_npz_with_gaps(tmp_path, channels):
    pixels = _noise(3, 4, 4, 3)
    m = np.random.default_rng(1).random((3, 4, 4, 3)) > 0.3
    m = m if channels else m[..., 0]
    bank = read_images(_npz(tmp_path, images=pixels, m=m))
    full = m if channels else np.repeat(m[..., None], 3, -1)
    np.testing.assert_array_equal(bank.observed, full)
    np.testing.assert_array_equal(bank.pixels, np.where(full, pixels, 0))


def test_a_mask_of_nothing_is_none(tmp_path):
    m = np.ones((2, 4, 4), bool)
    bank = read_images(_npz(tmp_path, images=_noise(2, 4, 4, 3), m=m))
    assert bank.observed is None


def test_resizing_averages_the_centre(tmp_path):
    pixels = np.zeros((1, 4, 8, 3), np.uint8)
    pixels[0, :, 2:6] = 200
    bank = read_images(_npz(tmp_path, images=pixels), size=2)
    np.testing.assert_array_equal(bank.pixels, np.full((1, 2, 2, 3), 200))
    fine = np.zeros((1, 64, 64, 3), np.uint8)
    fine[:, ::2] = 200  # without antialiasing all 0 or all 200
    bank = read_images(_npz(tmp_path, images=fine), size=8)
    np.testing.assert_allclose(bank.pixels, 100, atol=8)


def test_a_square_at_its_size_is_not_touched(tmp_path):
    pixels = _noise(2, 5, 7, 3)
    m = np.random.default_rng(1).random((2, 5, 7, 3)) > 0.5
    bank = read_images(_npz(tmp_path, images=pixels, m=m), size=5)
    kept, full = m[:, :, 1:6], pixels[:, :, 1:6]
    np.testing.assert_array_equal(bank.observed, kept)
    np.testing.assert_array_equal(bank.pixels, np.where(kept, full, 0))


@pytest.mark.parametrize("size", [3, 8, 20])
def test_resized_pixels_are_observed_if_they_owe_nothing_to_a_gap(
    tmp_path, size
):
    m = np.random.default_rng(2).random((6, 16, 16, 3)) > 0.02
    pixels = _noise(6, 16, 16, 3)
    one = read_images(_npz(tmp_path, images=pixels, m=m), size=size)
    other = np.where(m, pixels, 255 - pixels)
    two = read_images(_npz(tmp_path, images=other, m=m), size=size)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    whole = read_images(_npz(tmp_path, images=pixels), size=size).pixels
    seen = one.observed
    assert 0 < seen.mean() < 1
    np.testing.assert_array_equal(one.pixels[seen], whole[seen])


def test_a_folder_is_read_by_name(tmp_path):
    pixels = _noise(3, 6, 5, 3)
    for name, image in zip(("c.png", "a.PNG", "b.png"), pixels):
        _save(tmp_path, name, image)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("nor this")
    bank = read_images(f"folder:{tmp_path}")
    assert bank.names == ("a.PNG", "b.png", "c.png")
    np.testing.assert_array_equal(bank.pixels, pixels[[1, 2, 0]])
    assert bank.observed is None


def test_gaps_of_a_folder_by_alpha_and_by_file(tmp_path):
    pixels = _noise(3, 4, 4, 3)
    alpha = np.full((4, 4, 1), 255, np.uint8)
    alpha[0], alpha[1] = 0, 1  # nearly transparent is still observed
    mask = np.zeros((4, 4, 3), np.uint8)
    mask[2:, :, 2] = 1  # anything but black
    rgba = np.concatenate([pixels, np.stack([alpha] * 3)], -1)
    _save(tmp_path, "a.png", rgba[0])
    _save(tmp_path, "b.png", rgba[1])
    _save(tmp_path, "b.mask.png", mask)
    _save(tmp_path, "c.png", pixels[2])
    bank = read_images(f"folder:{tmp_path}")
    assert bank.names == ("a.png", "b.png", "c.png")
    rows = np.array([[0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]], bool)
    seen = np.broadcast_to(rows[:, :, None, None], pixels.shape)
    np.testing.assert_array_equal(bank.observed, seen)
    np.testing.assert_array_equal(bank.pixels, np.where(seen, pixels, 0))


def test_grey_palette_and_jpeg_become_rgb(tmp_path):
    grey = np.full((8, 8), 90, np.uint8)
    _save(tmp_path, "a.jpg", grey)
    _save(tmp_path, "b.png", grey)
    Image.fromarray(grey).convert("P").save(tmp_path / "c.png")
    mask = Image.fromarray(np.eye(8, dtype=bool))
    mask.save(tmp_path / "a.mask.png")
    bank = read_images(f"folder:{tmp_path}")
    np.testing.assert_array_equal(bank.observed[0, ..., 1], np.eye(8))
    assert bank.observed[1:].all()
    np.testing.assert_array_equal(bank.pixels[bank.observed], 90)


def test_sizes_that_differ_are_brought_to_one(tmp_path):
    _save(tmp_path, "a.png", _noise(4, 4, 3))
    _save(tmp_path, "b.png", _noise(6, 9, 3))
    assert read_images(f"folder:{tmp_path}", size=4).pixels.shape[1:3] == (4, 4)
    found = _line(f"folder:{tmp_path}")
    assert "b.png is 6 x 9 and a.png is 4 x 4; set data.size" in found


def test_bad_settings_are_refused():
    assert "no image source 'zip:x'; known: npz:PATH" in _line("zip:x")
    assert "no image source 'npz:'" in _line("npz:")
    assert "data.size is 0; give at least 1" in _line("npz:x", size=0)
    assert "data.limit is -1; give at least 1" in _line("npz:x", limit=-1)


def test_bad_folders_are_refused_by_name(tmp_path):
    assert "no such folder: " in _line(f"folder:{tmp_path / 'none'}")
    assert f"no images in {tmp_path}; put .png" in _line(f"folder:{tmp_path}")
    _save(tmp_path, "a.png", _noise(4, 4, 3))
    _save(tmp_path, "a.mask.png", _noise(5, 4, 3))
    found = _line(f"folder:{tmp_path}")
    assert "a.mask.png is 5 x 4 and a.png is 4 x 4; give both" in found
    (tmp_path / "a.mask.png").rename(tmp_path / "a.png.mask.png")
    found = _line(f"folder:{tmp_path}")
    assert "a.png.mask.png is the mask of no image; name it" in found
    _save(tmp_path, "a.jpg", _noise(4, 4, 3))
    assert "a.jpg and a.png differ in their endings" in _line(
        f"folder:{tmp_path}"
    )


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_bad_images_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing")
    assert f"{name} cannot be read as an image" in _line(f"folder:{tmp_path}")
    _save(tmp_path, name, _noise(64, 64, 3))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    assert "replace or remove it" in _line(f"folder:{tmp_path}")


def test_deep_images_are_refused(tmp_path):
    _save(tmp_path, "a.png", np.full((4, 4), 40000, np.uint16))
    assert "more than 8 bits a channel" in _line(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": np.ones(2)}, "has no array 'images' but x; save it by"),
        (
            {"images": np.ones((2, 4, 4, 3))},
            "is float64 [2, 4, 4, 3]; it must be uint8 [n, h, w, 3]",
        ),
        ({"images": _noise(2, 4, 4)}, "is uint8 [2, 4, 4]; it must be"),
        ({"images": _noise(2, 4, 4, 1)}, "is uint8 [2, 4, 4, 1]"),
        ({"images": _noise(0, 4, 4, 3)}, "is empty; give at least one"),
        (
            {"images": _noise(2, 4, 4, 3), "m": np.ones((2, 4, 4))},
            "is float64 [2, 4, 4]; it must be bool [2, 4, 4, 3] or [2, 4, 4]",
        ),
        (
            {"images": _noise(2, 4, 4, 3), "m": np.ones((2, 4, 3), bool)},
            "'m' in ",
        ),
        ({"images": np.array([None])}, "cannot be read (Object arrays"),
    ],
)
def test_bad_arrays_are_refused_by_name(tmp_path, arrays, message):
    assert message in _line(_npz(tmp_path, **arrays))


def test_bad_npz_files_are_refused_by_name(tmp_path):
    assert "no such file: " in _line(f"npz:{tmp_path / 'none.npz'}")
    source = _npz(tmp_path, images=_noise(9, 9, 9, 3))
    path = tmp_path / "bank.npz"
    whole = path.read_bytes()
    for content in (b"", b"nothing", whole[:99], whole[:500] + whole[600:]):
        path.write_bytes(content)
        line = _line(source)
        assert "cannot be read (" in line or "no whole .npz file" in line
    with open(path, "wb") as file:
        np.save(file, _noise(9, 9, 9, 3))
    assert "no whole .npz file" in _line(source)


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _prepare(folder, name, version, features, examples):
    """A dataset as tfds makes it; encoded images need no tensorflow."""
    import tensorflow_datasets as tfds

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(version)
        # To find it tfds needs importlib_resources, which it does not ask for.
        code_path = None

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            del manager
            return {k: self._generate_examples(v) for k, v in examples.items()}

        def _generate_examples(self, found):
            yield from enumerate(found)

    Builder.name = name
    tfds.disable_progress_bar()
    builder = Builder(data_dir=folder, file_format="array_record")
    builder.download_and_prepare()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder of tfds with `tiny` and a `celeb_a` of white centres."""
    import tensorflow_datasets as tfds

    folder = str(tmp_path_factory.mktemp("tfds"))
    shades = [np.full((8, 8), 10 * i, np.uint8) for i in range(5)]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(num_classes=9),
        }
    )
    tiny = [{"image": _png(x), "label": i} for i, x in enumerate(shades)]
    _prepare(
        *(folder, "tiny", "1.0.0", features),
        {"train": tiny[:3], "test": tiny[3:]},
    )
    faces = tfds.builder("celeb_a", data_dir=folder)
    face = np.zeros((218, 178, 3), np.uint8)
    face[39:179, 19:159] = 255
    example = {
        k: {name: 0 for name in faces.info.features[k]}
        for k in ("attributes", "landmarks", "identity")
        if k in faces.info.features
    }
    _prepare(
        *(folder, "celeb_a", str(faces.version), faces.info.features),
        {"train": [{"image": _png(face), **example}]},
    )
    return folder


@pytest.fixture
def tfds_folder(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", prepared)
    return prepared


@pytest.mark.usefixtures("tfds_folder")
def test_tfds_splits():
    train = read_images("tfds:tiny")
    assert train.pixels.shape == (3, 8, 8, 3) and train.observed is None
    assert sorted(train.pixels[:, 0, 0, 0]) == [0, 10, 20]
    assert (train.pixels == train.pixels[:, :1, :1, :1]).all()
    assert train.names == ("000000", "000001", "000002")
    test = read_images("tfds:tiny/test", size=4, limit=1)
    assert test.pixels.shape == (1, 4, 4, 3)
    assert test.pixels[0, 0, 0, 0] in (30, 40)


@pytest.mark.usefixtures("tfds_folder")
def test_celeb_a_is_cut_to_140_before_resizing():
    small = read_images("tfds:celeb_a", size=14)
    np.testing.assert_array_equal(small.pixels, np.full((1, 14, 14, 3), 255))
    raw = read_images("tfds:celeb_a/train")
    assert raw.pixels.shape == (1, 218, 178, 3)
    assert (raw.pixels == 255).sum() == 140 * 140 * 3


def test_tfds_does_not_import_tensorflow(tfds_folder, tmp_path):
    stand_in = tmp_path / "tensorflow"
    stand_in.mkdir()
    (stand_in / "__init__.py").write_text("")
    code = (
        "import sys, importlib.util\n"
        "assert importlib.util.find_spec('tensorflow') is not None\n"
        "from miri_jax.data.image_files import read_images\n"
        "assert len(read_images('tfds:tiny').pixels) == 3\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    paths = [str(tmp_path), os.getcwd(), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_absent_tfds_data_tells_how_to_get_it(tfds_folder):
    found = _line("tfds:cifar10")
    assert f"no ArrayRecord files of cifar10 in {tfds_folder}" in found
    assert "`tfds build cifar10 --file_format=array_record" in found
    assert "tensorflow is installed" in found
    assert "or take other images, as npz:FILE, folder:PATH" in found
    found = _line("tfds:tiny/validation")
    assert found == "tiny has no split 'validation'; known: train, test"
    assert "tfds cannot load 'tiniest'" in _line("tfds:tiniest")


def test_tfds_in_another_format_is_absent(monkeypatch, tmp_path, tfds_folder):
    source = os.path.join(tfds_folder, "tiny", "1.0.0", "dataset_info.json")
    folder = tmp_path / "tiny" / "1.0.0"
    folder.mkdir(parents=True)
    with open(source) as file:
        info = file.read().replace('"array_record"', '"tfrecord"')
    (folder / "dataset_info.json").write_text(info)
    features = os.path.join(os.path.dirname(source), "features.json")
    with open(features) as file:
        (folder / "features.json").write_text(file.read())
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert "no ArrayRecord files of tiny" in _line("tfds:tiny")
