"""Inpainting's classical peers on the images of a finished run.

    python -m miri_jax.main --config configs/cifar10.py:cpu \
        --workdir runs/cifar10 --config.data.images=npz:FILE
    PYTHONPATH=. python experiments/inpainting.py --workdir runs/cifar10

Reads imputed.npz and appends a line for the run's draws, for the mean of them
and for each peer, over the same `--images` images: PSNR (dB) and SSIM of
whole images, their means, and the sliced Wasserstein distance (times 1000) of
filled to true images, which is to be compared at one number of images only.
`--picture` writes a grid of some of them. `--inception=FILE`, the weights of
Inception (see `inception_features`), adds the Frechet inception distance, of
which at least 2048 images are needed for features of full rank.

Peers: `biharmonic` of scikit-image (Damelin and Hoang, 2018), `linear`
interpolation between observed pixels of scipy (nearest beyond their hull),
`mean` of the channel's observed pixels. Where channels are missing one by one
(`data.per_channel`), each is filled by itself.
"""

import json
import pathlib
import time
import warnings
from collections.abc import Callable

import numpy as np
from absl import app, flags
from ml_collections import ConfigDict
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from skimage.restoration import inpaint_biharmonic

from experiments import records
from miri_jax.app.run import method_settings
from miri_jax.core.rows import spaced
from miri_jax.data.images import unit
from miri_jax.metrics.images import (
    frechet_distance,
    psnr,
    sliced_wasserstein,
    ssim,
)
from miri_jax.report.figures import image_grid

FLAGS = flags.FLAGS
SHOWN = 8
BATCH = 64


def biharmonic(images: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Each image by scikit-image, all channels at once."""
    filled = [
        inpaint_biharmonic(image, ~seen[..., 0], channel_axis=-1)
        for image, seen in zip(images, m)
    ]
    return np.stack(filled)


def linear(images: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Piecewise linear over Delaunay's triangles, all channels at once."""
    filled = images.copy()
    for image, seen in zip(filled, m[..., 0]):
        at, gaps = np.argwhere(seen), np.argwhere(~seen)
        inside = LinearNDInterpolator(at, image[seen])(gaps)
        outside = NearestNDInterpolator(at, image[seen])(gaps)
        image[~seen] = np.where(np.isnan(inside), outside, inside)
    return filled


def by_channel(fill: Callable, images: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Each channel by itself, where they are not missing together."""
    if (m == m[..., :1]).all():
        return fill(images, m)
    parts = ([c] for c in range(images.shape[-1]))
    return np.concatenate([fill(images[..., c], m[..., c]) for c in parts], -1)


def mean(images: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The mean of all observed pixels of a channel."""
    centre = np.where(m, images, 0).sum((0, 1, 2)) / m.sum((0, 1, 2))
    return np.where(m, images, centre)


PEERS: dict[str, Callable] = {
    "biharmonic": biharmonic,
    "linear": linear,
    "mean": mean,
}


def main(argv: list[str]) -> None:
    """Scores the run and its peers."""
    del argv
    folder = pathlib.Path(FLAGS.workdir)
    with np.load(folder / "imputed.npz") as found:
        m = found["m"]
        if "truth" not in found:
            raise app.UsageError(
                f"{folder} has no true images to compare with; hide pixels by"
                " --config.data.rate"
            )
        some = spaced(len(m), FLAGS.images)
        truth, m = found["truth"][some], m[some]
        draws, average = found["x"][:, some], found["mean"][some]
    settings = json.loads((folder / "config.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    truth, method = unit(truth), settings["method"]
    filled = {f"{method}, one draw": unit(draws[0])}
    if len(draws) > 1:
        filled[f"{method}, mean of {len(draws)}"] = unit(average)
    seconds = dict.fromkeys(filled, sum(summary["seconds"].values()))
    gaps = np.where(m, truth, 0)
    for name, fill in PEERS.items() if FLAGS.peers else ():
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            filled[name] = np.clip(by_channel(fill, gaps, m), 0, 1).astype(
                np.float32
            )
        seconds[name] = time.perf_counter() - start
    features = None
    if FLAGS.inception:
        features = inception_features(FLAGS.inception)
        of_truth = features(truth)
    else:
        print("fid is left out: it takes --inception=FILE")
    for name, images in filled.items():
        found = {
            "psnr": float(psnr(truth, images).mean()),
            "ssim": float(ssim(truth, images).mean()),
            "swd": sliced_wasserstein(0, truth, images),
        }
        if features:
            found["fid"] = frechet_distance(of_truth, features(images))
        records.append(
            FLAGS.out,
            dataset=pathlib.Path(settings["data"]["images"]).name,
            mechanism="mcar",
            rate=settings["data"]["rate"],
            realised_rate=float(1 - m.mean()),
            mask_seed=settings["data"]["mask_seed"],
            per_channel=settings["data"]["per_channel"],
            method=name,
            images=len(truth),
            **found,
            seconds=round(seconds[name], 1),
            settings={}
            if name in PEERS
            else method_settings(ConfigDict(settings)),
        )
        print(name, found, flush=True)
    if FLAGS.picture:
        shown = spaced(len(truth), SHOWN)
        rows = {"true": truth, "with gaps": np.where(m, truth, 0.5), **filled}
        rows = {name: images[shown] for name, images in rows.items()}
        image_grid(rows, left=1.4).savefig(FLAGS.picture, dpi=110)


def inception_features(path: str) -> Callable[[np.ndarray], np.ndarray]:
    """The features of the Frechet inception distance.

    Args:
      path: TorchScript that takes uint8 `[n, 3, h, w]` and `return_features`,
        as the inception-2015-12-05.pt of StyleGAN's authors. Such a file is
        code: take it only from those you trust.

    Returns:
      `images [n, h, w, 3] in [0, 1] -> [n, f]`.
    """
    try:
        import torch
    except ImportError:
        raise app.UsageError("--inception needs pip install torch") from None
    network = torch.jit.load(path).eval()

    def features(images: np.ndarray) -> np.ndarray:
        pixels = np.rint(255 * images).astype(np.uint8).transpose(0, 3, 1, 2)
        found = []
        with torch.no_grad():
            for start in range(0, len(pixels), BATCH):
                part = torch.from_numpy(pixels[start : start + BATCH].copy())
                found.append(network(part, return_features=True).numpy())
        return np.concatenate(found)

    return features


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("workdir", "runs/cifar10", "A finished run.")
    flags.DEFINE_integer("images", 1000, "How many images, evenly spaced.")
    flags.DEFINE_string("out", "results/images.jsonl", "Takes the lines.")
    flags.DEFINE_bool("peers", True, "Whether the peers are scored too.")
    flags.DEFINE_string("inception", "", "Inception's weights, TorchScript.")
    flags.DEFINE_string("picture", "", "Where a grid is drawn to, as .png.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
