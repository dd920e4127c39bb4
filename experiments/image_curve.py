"""PSNR and SSIM of images against SGD steps.

    PYTHONPATH=. python experiments/image_curve.py --picture docs/FILE.png \
        --config configs/cifar10.py:cpu --config.data.images=npz:FILE

Fits as `miri_jax.main` does, and after some of the saved steps (at first each
second one is twice the one before it) fills `--images` images, spread over the
file, `--draws` times with the averaged weights of that moment. Appends a line
each time: PSNR (dB) and SSIM of whole images of one draw and of the mean of all
draws, SGD steps, and the seconds that went into fitting. `--picture` draws
them, with biharmonic inpainting of the same images; `--nofit` draws lines that
are there already.
"""

import pathlib
import time
from typing import Any

import jax
import numpy as np
from absl import flags
from matplotlib.figure import Figure
from ml_collections import ConfigDict, config_flags

from experiments import records
from experiments.inpainting import biharmonic
from miri_jax.app.run import method_settings, start_devices
from miri_jax.core import parallel
from miri_jax.core.rows import spaced
from miri_jax.data import Dataset, load_dataset
from miri_jax.data.images import mean_pixels, unit
from miri_jax.engine import draws, iterate
from miri_jax.exceptions import DataError
from miri_jax.imputers import make_imputer
from miri_jax.metrics.images import psnr, ssim

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Fits, looks now and then, and draws the picture."""
    del argv
    config = FLAGS.config
    start_devices(config)
    images = load_dataset(**config.data.to_dict())
    shown = images.take(spaced(len(images.m), FLAGS.images))
    about = dict(
        dataset=pathlib.Path(config.data.images).name,
        mechanism="mcar",
        rate=config.data.rate,
        mask_seed=config.data.mask_seed,
        method=config.method,
        images=len(shown.m),
        draws=FLAGS.draws,
        settings=method_settings(config),
    )
    if FLAGS.fit:
        follow(config, images, shown, about)
    if not FLAGS.picture:
        return
    lines = {
        row["sgd_steps"]: row  # the last one, where there are several
        for row in records.read(FLAGS.out)
        if about.items() <= row.items()
    }
    if not lines:
        raise DataError(f"{FLAGS.out} has no lines of this; leave --nofit out")
    truth = unit(shown.truth)
    peer = biharmonic(np.where(shown.m, truth, 0), shown.m)
    peer = np.clip(peer, 0, 1).astype(np.float32)
    plot(
        FLAGS.picture,
        [lines[steps] for steps in sorted(lines)],
        {
            "psnr": float(psnr(truth, peer).mean()),
            "ssim": float(ssim(truth, peer).mean()),
        },
    )


def follow(
    config: ConfigDict, images: Dataset, shown: Dataset, about: dict[str, Any]
) -> None:
    """Fits, and looks at `shown` now and then."""
    settings = about["settings"]
    imputer = make_imputer(config.method, **settings)
    part = shown.masked()
    data = parallel.spread(images.masked(), len(images.m))
    key_init, key_steps, key_draws = jax.random.split(
        jax.random.key(config.seed), 3
    )
    state = imputer.init(key_init, data)
    spent, look, before = 0.0, 1, (0, 0.0)
    start = time.perf_counter()
    for step, (state, info) in enumerate(
        iterate(key_steps, imputer, data, state), start=1
    ):
        losses = np.asarray(info["loss"])
        spent += time.perf_counter() - start
        last = int(state.iteration) == imputer.num_iterations
        if step == look or last:
            look = step + min(step, FLAGS.every)
            found = {
                "sgd_steps": int(state.train.step),
                "loss": float(losses.mean()),
                "seconds": round(spent, 1),
                # Since the last look.
                "images_per_second": settings["batch_size"]
                * (int(state.train.step) - before[0])
                / (spent - before[1]),
            }
            before = int(state.train.step), spent
            filled = [
                shown.restore(x)
                for x in draws(key_draws, imputer, state, part, FLAGS.draws)
            ]
            found |= shown.compare(filled[0])
            found |= {
                f"{k}_of_mean": v
                for k, v in shown.compare(mean_pixels(filled)).items()
            }
            print(found, flush=True)
            records.append(FLAGS.out, **about, **found)
        start = time.perf_counter()


def plot(
    path: str, lines: list[dict[str, float]], peer: dict[str, float]
) -> None:
    """PSNR and SSIM over SGD steps, one panel each."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    steps = [line["sgd_steps"] for line in lines]
    for axis, (name, label) in zip(
        figure.subplots(1, 2), {"psnr": "PSNR (dB)", "ssim": "SSIM"}.items()
    ):
        for key, kind in (
            (f"{name}_of_mean", f"mean of {FLAGS.draws} draws"),
            (name, "one draw"),
        ):
            values = [line[key] for line in lines]
            axis.plot(steps, values, marker="o", markersize=3, label=kind)
        axis.axhline(peer[name], color="0.4", ls="--", label="biharmonic")
        axis.set(xlabel="SGD steps", ylabel=label, xscale="log")
        axis.grid(alpha=0.3)
    axis.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110)


def define_flags() -> None:
    """The command line."""
    config_flags.DEFINE_config_file("config", "configs/cifar10.py:cpu")
    flags.DEFINE_integer("images", 200, "How many images, evenly spaced.")
    flags.DEFINE_integer("draws", 8, "How many draws of them.")
    flags.DEFINE_integer("every", 10, "At least each so many steps.")
    flags.DEFINE_bool("fit", True, "Else the lines of --out are drawn.")
    flags.DEFINE_string("out", "results/image_curve.jsonl", "Takes the lines.")
    flags.DEFINE_string("picture", "", "Where the curves are drawn, as .png.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
