"""Inpainting's classical peers on the images of a finished run.

    python -m miri_jax.main --config configs/cifar10.py:cpu \
        --workdir runs/cifar10 --config.data.images=npz:FILE
    PYTHONPATH=. python experiments/inpainting.py --workdir runs/cifar10

Reads imputed.npz and appends a line for the run's draws, for the mean of them
and for each peer, over the same `--images` images: PSNR (dB) and SSIM of
whole images, their means, and the sliced Wasserstein distance (times 1000) of
filled to true images, which is to be compared at one number of images only.
`--picture` writes a grid of some of them.

Peers: `biharmonic` of scikit-image (Damelin and Hoang, 2018), `linear`
interpolation between observed pixels of scipy (nearest beyond their hull),
`mean` of the channel's observed pixels.
"""

import json
import pathlib
import time
import warnings
from collections.abc import Callable

import numpy as np
from absl import app, flags
from matplotlib.figure import Figure
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from skimage.restoration import inpaint_biharmonic

from experiments import records
from miri_jax.data.images import spaced, unit
from miri_jax.metrics.images import psnr, sliced_wasserstein, ssim

FLAGS = flags.FLAGS
SHOWN = 8


def biharmonic(images: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Each image by scikit-image; all channels of a pixel miss together."""
    filled = [
        inpaint_biharmonic(image, ~seen[..., 0], channel_axis=-1)
        for image, seen in zip(images, m)
    ]
    return np.stack(filled)


def linear(images: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Piecewise linear over Delaunay's triangles."""
    filled = images.copy()
    for image, seen in zip(filled, m[..., 0]):
        at, gaps = np.argwhere(seen), np.argwhere(~seen)
        inside = LinearNDInterpolator(at, image[seen])(gaps)
        outside = NearestNDInterpolator(at, image[seen])(gaps)
        image[~seen] = np.where(np.isnan(inside), outside, inside)
    return filled


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
        if "truth" not in found or (found["m"] != found["m"][..., :1]).any():
            raise app.UsageError(
                "the peers need images with a truth, all channels of a pixel"
                " missing together"
            )
        some = spaced(len(found["m"]), FLAGS.images)
        truth, m = found["truth"][some], found["m"][some]
        draws, average = found["x"][:, some], found["mean"][some]
    settings = json.loads((folder / "config.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    truth = unit(truth)
    filled = {
        "miri, one draw": unit(draws[0]),
        f"miri, mean of {len(draws)}": unit(average),
    }
    seconds = dict.fromkeys(filled, sum(summary["seconds"].values()))
    gaps = np.where(m, truth, 0)
    for name, fill in PEERS.items():
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            filled[name] = np.clip(fill(gaps, m), 0, 1).astype(np.float32)
        seconds[name] = time.perf_counter() - start
    for name, images in filled.items():
        found = {
            "psnr": float(psnr(truth, images).mean()),
            "ssim": float(ssim(truth, images).mean()),
            "swd": sliced_wasserstein(0, truth, images),
        }
        records.append(
            FLAGS.out,
            dataset=pathlib.Path(settings["data"]["images"]).name,
            mechanism="mcar",
            rate=settings["data"]["rate"],
            realised_rate=float(1 - m.mean()),
            mask_seed=settings["data"]["mask_seed"],
            method=name,
            images=len(truth),
            **found,
            seconds=round(seconds[name], 1),
            settings=settings.get("method_defaults", {}).get("miri", {})
            | {k: v for k, v in settings["imputer"].items() if v is not None}
            if name.startswith("miri")
            else {},
        )
        print(name, found, flush=True)
    if FLAGS.picture:
        grid(FLAGS.picture, truth, m, filled)


def grid(
    path: str, truth: np.ndarray, m: np.ndarray, filled: dict[str, np.ndarray]
) -> None:
    """Some images: true, with gaps, and as each method filled them."""
    rows = {"true": truth, "with gaps": np.where(m, truth, 0.5), **filled}
    shown = spaced(len(truth), SHOWN)
    figure = Figure(figsize=(1.4 + 0.9 * SHOWN, 0.9 * len(rows)))
    axes = figure.subplots(len(rows), SHOWN)
    width = figure.get_figwidth()
    figure.subplots_adjust(1.4 / width, 0, 1, 1, 0.04, 0.04)
    for line, (name, images) in zip(axes, rows.items()):
        for axis, k in zip(line, shown):
            axis.imshow(images[k], interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=110)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("workdir", "runs/cifar10", "A finished run.")
    flags.DEFINE_integer("images", 1000, "How many images, evenly spaced.")
    flags.DEFINE_string("out", "results/images.jsonl", "Takes the lines.")
    flags.DEFINE_string("picture", "", "Where a grid is drawn to, as .png.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
