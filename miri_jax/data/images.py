"""Images with gaps, and the way back to pixels."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Self

import jax
import numpy as np
from PIL import Image

from miri_jax.core.masks import pixels
from miri_jax.core.rows import spaced
from miri_jax.data.dataset import Write, digest_of
from miri_jax.data.extras import needed
from miri_jax.data.image_files import Images, read_images
from miri_jax.data.transforms import Scaler, standardise
from miri_jax.exceptions import DataError
from miri_jax.notes import percent
from miri_jax.types import Masked, Region

# Images that PSNR and SSIM are a mean over, at most.
MAX_COMPARED = 1000


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images with gaps; a `dataset.Dataset`.

    Attributes:
      values: `[n, h, w, 3]` uint8; undefined where missing.
      m: `[n, h, w, 3]` bool, True = observed.
      scaler: of the channels, from [0, 1] to standardised.
      names: n names, of files where they are files.
      truth: `[n, h, w, 3]` uint8, the complete images, where they are known.
      notes: none.
    """

    values: np.ndarray
    m: np.ndarray
    scaler: Scaler
    names: tuple[str, ...]
    truth: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> Self:
        """Some of the images, on the same scale."""
        return dataclasses.replace(
            self,
            values=self.values[rows],
            m=self.m[rows],
            names=tuple(self.names[i] for i in rows),
            truth=None if self.truth is None else self.truth[rows],
        )

    def masked(self) -> Masked:
        """The images as imputers take them."""
        return standardise(unit(self.values), self.m, self.scaler)

    def layout(self) -> None:
        """None: pixels are numbers."""
        return None

    def gaps(self) -> np.ndarray:
        """The gaps `[n, h, w, 3]`."""
        return ~self.m

    def fitted(self, data: Masked) -> Masked:
        """See `Dataset`."""
        return data

    def weights(self) -> np.ndarray | None:
        """None."""

    def bounds(self) -> Region | None:
        """None: pixels are clipped to [0, 1], which hides nothing of note."""
        return None

    def extent(self) -> str:
        """How many images there are, their size, and the share of gaps."""
        n, height, width, _ = self.m.shape
        share = percent(self.gaps().mean())
        return f"{n} images of {height} x {width}, {share}"

    def restore(self, x: np.ndarray) -> np.ndarray:
        """Filled, standardised images as pixels `[n, h, w, 3]` uint8."""
        x = np.asarray(x, np.float32)
        raw = x * self.scaler.deviation.astype(np.float32)
        raw += self.scaler.mean.astype(np.float32)
        filled = np.rint(255 * np.clip(raw, 0, 1)).astype(np.uint8)
        return np.where(self.m, self.values, filled)

    def compare(self, filled: np.ndarray) -> dict[str, float]:
        """PSNR (dB) and SSIM of filled images, means over 1000 at most.

        Images of less than 7 x 7 pixels have no SSIM.

        Args:
          filled: `[n, h, w, 3]`, 0 to 255; of whole images, as in Table 1 of
            the MIRI paper.

        Returns:
          An empty dict where the truth is unknown.
        """
        if self.truth is None:
            return {}
        # Not above: scikit-image takes a second that tables need not wait for.
        from miri_jax.metrics.images import PATCH, psnr, ssim

        truth, filled = self._compared(filled)
        found = {"psnr": float(np.mean(psnr(truth, filled)))}
        if min(truth.shape[1:3]) >= PATCH:
            found["ssim"] = float(np.mean(ssim(truth, filled)))
        return found

    def compare_sets(self, filled: np.ndarray) -> dict[str, float]:
        """Sliced Wasserstein distance of two sets of at most 1000 images.

        Images of less than 7 x 7 pixels have none.
        """
        if self.truth is None:
            return {}
        from miri_jax.metrics.images import PATCH, sliced_wasserstein

        if min(self.truth.shape[1:3]) < PATCH:
            return {}
        return {"swd": sliced_wasserstein(0, *self._compared(filled))}

    def trace(self, key: jax.Array, x: np.ndarray) -> dict[str, float]:
        """`compare` of filled, standardised images."""
        del key
        return self.compare(self.restore(x))

    def score(
        self, key: jax.Array, draws: Sequence[np.ndarray]
    ) -> dict[str, float]:
        """Metrics of the first draw `[n, h, w, 3]` and of the mean of all."""
        del key
        found = {**self.compare(draws[0]), **self.compare_sets(draws[0])}
        if len(draws) > 1:
            of_mean = self.compare(mean_pixels(draws))
            found |= {f"{k}_of_mean": v for k, v in of_mean.items()}
        return found

    def save(
        self,
        draws: Sequence[np.ndarray],
        folder: pathlib.Path,
        output: str | None,
        write: Write,
        long: bool = False,
    ) -> list[pathlib.Path]:
        """Writes all draws and their mean; images with own gaps as .png too."""
        del output, long
        path, mean = folder / "imputed.npz", mean_pixels(draws)
        arrays = dict(x=np.stack(draws), mean=mean, m=self.m)
        if self.truth is not None:
            arrays["truth"] = self.truth
        write(path, lambda name: np.savez_compressed(name, **arrays))
        if self.truth is not None:
            return [path]
        (folder / "imputed").mkdir(exist_ok=True)
        for k, images in enumerate((mean, *draws)):
            kind = f"draw{k}" if k else "mean"
            for name, image in zip(self.names, images):
                file = f"{pathlib.Path(name).stem}_{kind}.png"
                write(folder / "imputed" / file, Image.fromarray(image).save)
        return [path, folder / "imputed"]

    def digest(self) -> str:
        """See `dataset.Dataset`."""
        return digest_of(self.values, self.m)

    def _compared(self, filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        some = spaced(len(self.truth), MAX_COMPARED)
        return unit(self.truth[some]), unit(filled[some])


def mean_pixels(draws: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of k draws `[n, h, w, 3]` uint8, rounded to uint8."""
    total = np.zeros(draws[0].shape, np.float32)
    for draw in draws:
        total += draw
    return np.rint(total / len(draws)).astype(np.uint8)


def unit(pixels: np.ndarray) -> np.ndarray:
    """0 to 255 as float32 in [0, 1]."""
    return np.asarray(pixels, np.float32) / np.float32(255)


def load_images(
    *,
    images: str | None,
    size: int | None = None,
    rows: int | None = None,
    rate: float = 0.6,
    per_channel: bool = False,
    mask_seed: int = 0,
) -> ImageSet:
    """Images with gaps, or with pixels hidden at random.

    Args:
      images: see `image_files.read_images`; or "shapes" for `random_shapes`.
      size: likewise.
      rows: how many images, the first ones; None for all.
      rate: share of the pixels that is hidden in complete images; 0 where the
        images have gaps.
      per_channel: hide each channel on its own.
      mask_seed: seed of the mask.

    Raises:
      DataError: naming what cannot be used, and the remedy.
    """
    if images == "shapes":
        found = random_shapes(
            1000 if rows is None else rows, 32 if size is None else size
        )
    elif images:
        found = read_images(images, size=size, limit=rows)
    else:
        raise DataError(
            "no images to fill; give images='folder:PATH', 'npz:PATH' or"
            " 'tfds:cifar10'",
            about=("images",),
        )
    if found.observed is not None:
        if rate:
            raise DataError(
                f"{images} already has gaps; set rate=0 to fill them",
                about=("rate",),
            )
        m, truth = found.observed, None
    elif not rate:
        raise DataError(
            f"nothing is missing in {images}; set rate=0.6 to hide pixels, or"
            " give images with alpha = 0 or mask files",
            about=("rate",),
        )
    else:
        key = jax.random.key(mask_seed)
        shape = found.pixels.shape
        # Told before a fit: what compares with the truth, at its end, has it.
        needed("skimage", "images", "comparing images with the truth")
        m = np.asarray(pixels(key, shape, rate, per_channel=per_channel).m)
        truth = found.pixels
    for c in np.flatnonzero(~m.any(axis=(0, 1, 2)))[:1]:
        raise DataError(
            f"{images}: channel {c} has no observed pixel; nothing can be"
            " learnt of it"
        )
    scaler = _channel_scaler(found.pixels, m)
    return ImageSet(found.pixels, m, scaler, found.names, truth)


def random_shapes(n: int, side: int) -> Images:
    """Images to try things on: two discs or boxes before a shaded ground.

    Args:
      n: how many, always the same ones.
      side: height and width.
    """
    rng = np.random.default_rng(0)
    at = np.linspace(0, 1, side)
    y, x = at[:, None, None], at[None, :, None]
    pixels = np.empty((n, side, side, 3), np.uint8)
    for image in pixels:
        low, high, *colours = rng.uniform(0, 255, (4, 3))
        shade = low + (high - low) * (x if rng.random() < 0.5 else y)
        shade = np.broadcast_to(shade, image.shape)
        for colour in colours:
            cy, cx, radius = rng.uniform([0.2, 0.2, 0.1], [0.8, 0.8, 0.35])
            far = np.maximum if rng.random() < 0.5 else np.hypot
            inside = far(abs(y - cy), abs(x - cx)) < radius
            shade = np.where(inside, colour, shade)
        image[:] = shade
    return Images(pixels, None, tuple(f"{i:06d}" for i in range(n)))


def _channel_scaler(values: np.ndarray, m: np.ndarray) -> Scaler:
    """Mean and deviation of each channel's observed pixels in [0, 1], `[3]`."""
    moments = []
    for c in range(values.shape[-1]):
        observed = values[..., c][m[..., c]] / 255.0
        deviation = observed.std()
        # The deviation of a constant is rounding error.
        moments.append((observed.mean(), deviation if deviation > 1e-6 else 1))
    return Scaler(*np.array(moments).T)
