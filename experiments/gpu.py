"""What only a GPU or TPU shows, in one go of under ten minutes.

    PYTHONPATH=. python experiments/gpu.py --images npz:FILE

FILE holds `images`, uint8 [n, 32, 32, 3]. One after the other, each as a
command of its own, whose end is told if it fails or takes too long:

- `image_throughput.py`: images a second, operations as a share of
  `--peak_tflops`, for each of `--batches`;
- `python -m miri_jax.main --config cifar10`, a whole fit with 60 % of the
  pixels missing, its draws scored by `inpainting.py`;
- `image_curve.py`: PSNR and SSIM against SGD steps of the same;
- a short fit, and the same stopped by SIGTERM and started again: whether what
  they fill is the same to the last bit (with XLA's deterministic operations).

`--fit` are settings of the two fits, as `--config.imputer.num_steps=500`.
Lines go to `--out`, by the names that results/ has.
"""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
SHORT = (
    "--config.model.size=tiny",
    "--config.imputer.num_iterations=2",
    "--config.imputer.num_steps=200",
    "--config.imputer.num_slices=10",
    "--config.imputer.batch_size=32",
    "--config.checkpoint.every_seconds=0",
    "--config.data.rows=512",
)
SAME = "--xla_gpu_deterministic_ops=true"


def main(argv: list[str]) -> None:
    """Runs all, and says how long each took."""
    del argv
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    data = [f"--config.data.images={FLAGS.images}", "--config.data.mask_seed=1"]
    fit = shlex.split(FLAGS.fit)
    for batch in FLAGS.batches:
        run(
            f"throughput, batches of {batch}",
            "experiments/image_throughput.py",
            *("--config", "configs/cifar10.py", *data, *fit),
            f"--config.imputer.batch_size={batch}",
            f"--peak_tflops={FLAGS.peak_tflops}",
            f"--out={out / 'image_throughput.jsonl'}",
        )
    workdir = out / "run"
    run(
        "fit and draws",
        *("-m", "miri_jax.main", "--config", "cifar10", *data, *fit),
        *("--workdir", str(workdir)),
    )
    run(
        "scores",
        *("experiments/inpainting.py", "--workdir", str(workdir)),
        *("--nopeers", f"--out={out / 'images.jsonl'}"),
        f"--picture={out / 'images.png'}",
    )
    resumed(out, data)
    run(
        "curve",
        *("experiments/image_curve.py", "--config", "configs/cifar10.py"),
        *(*data, *fit, f"--out={out / 'image_curve.jsonl'}"),
        f"--picture={out / 'image_curve.png'}",
    )


def run(what: str, *words: str) -> None:
    """One command, and how it went."""
    began = time.perf_counter()
    print(f"--- {what}: python {' '.join(words)}", flush=True)
    try:
        code = subprocess.run(
            [sys.executable, *words], timeout=FLAGS.limit
        ).returncode
    except subprocess.TimeoutExpired:
        code = f"stopped after {FLAGS.limit} seconds"
    took = time.perf_counter() - began
    print(f"--- {what}: {code or 'done'}, {took:.0f} seconds", flush=True)


def resumed(out: pathlib.Path, data: list[str]) -> None:
    """A fit, and the same stopped and started again, compared."""
    flags_of_xla = f"{os.environ.get('XLA_FLAGS', '')} {SAME}".strip()
    start = lambda folder: subprocess.Popen(
        [sys.executable, "-m", "miri_jax.main", "--config", "cifar10"]
        + [*data, *SHORT, "--workdir", str(folder)],
        env={**os.environ, "XLA_FLAGS": flags_of_xla},
        stdout=subprocess.DEVNULL,
    )
    whole, cut = out / "whole", out / "cut"
    at_once, process = start(whole), start(cut)
    end = time.monotonic() + FLAGS.limit
    left = lambda: max(end - time.monotonic(), 1)
    running = [at_once, process]
    try:
        while process.poll() is None and time.monotonic() < end:
            if (cut / "checkpoints" / "3").is_dir():
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.05)
        status = process.wait(left())
        running.append(start(cut))
        again = running[-1].wait(left())
        at_once.wait(left())
    except subprocess.TimeoutExpired:
        print(f"--- resume: stopped after {FLAGS.limit} seconds", flush=True)
        return
    finally:
        for one in running:
            one.kill()
    if again or at_once.returncode:
        print(f"--- resume: failed, {again} and {at_once.returncode}")
        return
    with (
        np.load(whole / "imputed.npz") as one,
        np.load(cut / "imputed.npz") as two,
    ):
        apart = np.abs(one["x"].astype(float) - two["x"]).max()
    print(
        f"--- resume: stopped with status {status}, went on with {again};"
        f" filled images are {apart:g} apart at most",
        flush=True,
    )


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("images", None, "npz:FILE.", required=True)
    flags.DEFINE_multi_integer("batches", [128, 512], "For the throughput.")
    flags.DEFINE_float(
        "peak_tflops", 989, "Of the device: an H200 in bfloat16."
    )
    flags.DEFINE_string("fit", "", "Settings of the fits.")
    flags.DEFINE_integer("limit", 300, "Seconds that one command may take.")
    flags.DEFINE_string("out", "runs/gpu", "Where everything goes.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
