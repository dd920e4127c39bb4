"""Images from an .npz file, a folder or TensorFlow Datasets, at one size."""

import math
import os
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from miri_jax.exceptions import DataError, first_line

ENDINGS = (".png", ".jpg", ".jpeg")
MASK_ENDING = ".mask.png"
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, Image.DecompressionBombError),
)
# Song and Ermon (2019) and the code of Song et al. (2021) cut aligned CelebA,
# 218 x 178, to the 140 x 140 in its centre: the face without its background.
CROPS = {"celeb_a": 140}


class Images(NamedTuple):
    """A bank of images with or without gaps.

    Attributes:
      pixels: `[n, h, w, 3]` uint8, RGB, 0 where missing.
      observed: `[n, h, w, 3]` bool, True = observed; None if nothing is
        missing.
      names: n names: of files, or numbers in the order of the source.
    """

    pixels: np.ndarray
    observed: np.ndarray | None
    names: tuple[str, ...]


class _Source(NamedTuple):
    """What can be read image by image.

    Attributes:
      names: one for each image.
      read: from an index to pixels `[h, w, 3]` uint8 and observed `[h, w, 3]`
        bool, None if nothing is missing.
      crop: side of the centre crop before resizing; None for the shorter side.
    """

    names: tuple[str, ...]
    read: Callable[[int], tuple[np.ndarray, np.ndarray | None]]
    crop: int | None = None


def read_images(
    source: str, *, size: int | None = None, limit: int | None = None
) -> Images:
    """Reads images, all of one size.

    Args:
      source: one of
        `npz:PATH`: `images`, `[n, h, w, 3]` uint8, and perhaps `m`, bool of the
          same shape or `[n, h, w]`, True = observed;
        `folder:PATH`: PNG and JPEG files by name. Missing is where alpha is 0,
          and where NAME.mask.png beside NAME.png or NAME.jpg is black;
        `tfds:NAME` or `tfds:NAME/SPLIT` (`tfds:NAME/CONFIG/SPLIT` where there
          are configurations): the feature `image` of a dataset prepared as
          ArrayRecord under TFDS_DATA_DIR; tensorflow is not imported.
      size: side of the square that each image's centre is cut and resized to,
        by an antialiased triangle filter; celeb_a is cut to 140 x 140 first. A
        resized pixel is observed if all that it is an average of is. None
        leaves images as they are.
      limit: how many images to read, the first ones; None for all.

    Raises:
      DataError: if the source is unknown, absent or broken, or images differ in
        size.
    """
    for name, value in (("size", size), ("limit", limit)):
        if value is not None and value < 1:
            raise DataError(f"data.{name} is {value}; give at least 1, or None")
    kind, _, place = source.partition(":")
    if kind not in _SOURCES or not place:
        raise DataError(
            f"no image source {source!r}; known: npz:PATH, folder:PATH,"
            " tfds:NAME, tfds:NAME/SPLIT"
        )
    names, read, crop = _SOURCES[kind](place)
    names = names[:limit]
    pixels, observed = None, None
    for i, name in enumerate(names):
        image, m = _resized(*read(i), size, crop)
        if pixels is None:
            pixels = np.empty((len(names), *image.shape), np.uint8)
        if image.shape != pixels.shape[1:]:
            raise DataError(
                f"{source}: {name} is {_size(image)} and {names[0]} is"
                f" {_size(pixels[0])}; set data.size to bring all to one size"
            )
        pixels[i] = image
        if m is not None and not m.all():
            if observed is None:
                observed = np.ones(pixels.shape, bool)
            observed[i] = m
            pixels[i][~m] = 0
    return Images(pixels, observed, names)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"


def _resized(
    image: np.ndarray, m: np.ndarray | None, size: int | None, crop: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Centre crop and resize of an image and its mask, `[h, w, 3]` each."""
    if size is None:
        return image, m
    image = _centre(image, crop)
    resized = np.asarray(_resize(Image.fromarray(image), size))
    if m is None:
        return resized, None
    # The filter has no negative weight: 0 is where it met nothing missing.
    missing = np.moveaxis(~_centre(m, crop), -1, 0).astype(np.float32)
    touched = [np.asarray(_resize(Image.fromarray(c), size)) for c in missing]
    return resized, np.stack(touched, -1) == 0


def _centre(image: np.ndarray, crop: int | None) -> np.ndarray:
    """The square `[crop, crop, c]`, or less, in the centre of `[h, w, c]`."""
    h, w = image.shape[:2]
    side = min(h, w, crop or h)
    top, left = (h - side) // 2, (w - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def _resize(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)


def _numbers(n: int) -> tuple[str, ...]:
    return tuple(f"{i:06d}" for i in range(n))


def _npz(path: str) -> _Source:
    """The images of an .npz file; see `read_images`."""
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise DataError(f"no such file: {path}; give npz:PATH of an .npz file")
    arrays = _arrays(path)
    if "images" not in arrays:
        raise DataError(
            f"{path} has no array 'images' but {', '.join(arrays) or 'none'};"
            " save it by numpy.savez(path, images=...)"
        )
    images, m = arrays["images"], arrays.get("m")
    shape = images.shape
    if images.dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3:
        raise DataError(
            f"'images' in {path} is {images.dtype} {list(shape)}; it must be"
            " uint8 [n, h, w, 3]"
        )
    if not images.size:
        raise DataError(f"'images' in {path} is empty; give at least one image")
    if m is None:
        return _Source(_numbers(len(images)), lambda i: (images[i], None))
    if m.dtype != bool or m.shape not in (shape, shape[:-1]):
        raise DataError(
            f"'m' in {path} is {m.dtype} {list(m.shape)}; it must be bool"
            f" {list(shape)} or {list(shape[:-1])}, True = observed"
        )
    m = np.broadcast_to(m if m.ndim == 4 else m[..., None], shape)
    return _Source(_numbers(len(images)), lambda i: (images[i], m[i]))


def _refuse_claims(path: str) -> None:
    """Refuses arrays that are to be larger than what the file holds.

    Raises:
      ValueError: naming one.
    """
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            if info.filename not in ("images.npy", "m.npy"):
                continue
            with file.open(info) as member:
                version = np.lib.format.read_magic(member)
                shape, _, dtype = (
                    np.lib.format.read_array_header_1_0(member)
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0(member)
                )
            size = math.prod(shape) * dtype.itemsize
            # Deflation makes nothing smaller than a thousandth.
            if size > min(info.file_size, 1100 * info.compress_size):
                raise ValueError(
                    f"{info.filename} claims to hold {size} bytes, in"
                    f" {info.compress_size}"
                )


def _arrays(path: str) -> dict[str, np.ndarray]:
    """The arrays `images` and `m`; of others only the name counts."""
    if not zipfile.is_zipfile(path):  # numpy would suggest to trust it
        raise DataError(
            f"{path} is no whole .npz file; save it by numpy.savez(path,"
            " images=...)"
        )
    try:
        _refuse_claims(path)
        with np.load(path, allow_pickle=False) as file:
            return {k: file[k] if k in ("images", "m") else None for k in file}
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read ({first_line(error)}); save it by"
            " numpy.savez(path, images=...), without objects"
        ) from error


def _folder(path: str) -> _Source:
    """The images of a folder; see `read_images`."""
    path = os.path.expanduser(path)
    if not os.path.isdir(path):
        raise DataError(f"no such folder: {path}; give folder:PATH of images")
    files = sorted(f for f in os.listdir(path) if not f.startswith("."))
    masks = {f for f in files if f.lower().endswith(MASK_ENDING)}
    names = [f for f in files if f.lower().endswith(ENDINGS) and f not in masks]
    if not names:
        raise DataError(
            f"no images in {path}; put {', '.join(ENDINGS)} files there"
        )
    stems = [_stem(f) for f in names]
    for k, stem in enumerate(stems):
        if stem in stems[:k]:
            raise DataError(
                f"{path}: {names[stems.index(stem)]} and {names[k]} differ in"
                " their endings only; rename one"
            )
    mask_of = {f[: -len(MASK_ENDING)]: f for f in masks}
    for stem in sorted(mask_of.keys() - {_stem(f) for f in names})[:1]:
        raise DataError(
            f"{path}: {mask_of[stem]} is the mask of no image; name it"
            f" NAME{MASK_ENDING} for NAME.png or NAME.jpg"
        )

    def read(i: int) -> tuple[np.ndarray, np.ndarray | None]:
        image, m = _open(os.path.join(path, names[i]))
        mask = mask_of.get(_stem(names[i]))
        if mask is None:
            return image, m
        marks, _ = _open(os.path.join(path, mask))
        if marks.shape != image.shape:
            raise DataError(
                f"{path}: {mask} is {_size(marks)} and {names[i]} is"
                f" {_size(image)}; give both one size"
            )
        seen = np.broadcast_to(marks.any(-1, keepdims=True), image.shape)
        return image, seen if m is None else m & seen

    return _Source(tuple(names), read)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _open(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB `[h, w, 3]` uint8, and where alpha is not 0, if there is alpha."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read as an image ({first_line(error)}); replace"
            " or remove it"
        ) from error
    if image.mode.startswith(("I", "F")):
        raise DataError(
            f"{path} has more than 8 bits a channel (mode {image.mode}); save"
            " it with 8"
        )
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB")), None
    rgba = np.asarray(image.convert("RGBA"))
    seen = rgba[..., 3:] > 0
    return rgba[..., :3], np.broadcast_to(seen, (*seen.shape[:2], 3))


def _tfds(place: str) -> _Source:
    """The images of a prepared TensorFlow Dataset; see `read_images`."""
    name, _, split = place.rpartition("/") if "/" in place else (place, "", "")
    builder = _builder(name)
    try:
        records = builder.as_data_source(split or "train")
    except NotImplementedError as error:
        raise _absent(builder) from error
    except ValueError as error:
        raise DataError(
            f"{name} has no split {split!r}; known:"
            f" {', '.join(builder.info.splits)}"
        ) from error

    def read(i: int) -> tuple[np.ndarray, None]:
        image = records[i]["image"]
        return np.broadcast_to(image, (*image.shape[:2], 3)), None

    return _Source(_numbers(len(records)), read, CROPS.get(builder.name))


def _builder(name: str):
    """The `tfds.core.DatasetBuilder` of a prepared dataset of images."""
    # Half a second that other sources need not wait.
    import tensorflow_datasets as tfds

    # tfds reads this variable when it is imported; here it counts at the call.
    folder = os.environ.get("TFDS_DATA_DIR")
    try:
        builder = tfds.builder(name, data_dir=folder)
    except ValueError as error:
        raise DataError(
            f"tfds cannot load {name!r} ({first_line(error)}); give tfds:NAME"
            " or tfds:NAME/SPLIT of a dataset that it knows or that is there"
        ) from error
    if not builder.info.splits:
        raise _absent(builder)
    features = builder.info.features
    image = features["image"] if "image" in features else None
    if (
        not isinstance(image, tfds.features.Image)
        or image.np_dtype != np.uint8
        or image.shape[-1] not in (1, 3)
    ):
        raise DataError(
            f"{name} has no 'image' of 1 or 3 channels of uint8 but"
            f" {', '.join(features)}; choose a dataset that has"
        )
    return builder


def _absent(builder) -> DataError:
    return DataError(
        f"no ArrayRecord files of {builder.name} in {builder.data_dir}; where"
        f" tensorflow is installed, `tfds build {builder.name}"
        " --file_format=array_record --data_dir=FOLDER` makes them in a new"
        " FOLDER: set TFDS_DATA_DIR to it; or take other images, as npz:FILE,"
        " folder:PATH or, drawn by this package, shapes",
        about=("images",),
    )


_SOURCES = {"npz": _npz, "folder": _folder, "tfds": _tfds}
