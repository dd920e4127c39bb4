"""CIFAR-10 with pixels missing at random: section 6.3 of the MIRI paper.

    python -m miri_jax.main --config cifar10:cpu \
        --workdir runs/cifar10 --config.data.images=npz:FILE

The images come from TensorFlow Datasets (tfds:cifar10) unless told otherwise;
npz:FILE holds `images`, uint8 [n, 32, 32, 3]. `:smoke` draws its own.

Expected, 60 % missing, mask 1 (PSNR in dB and SSIM over 1000 images spread over
the file; experiments/inpainting.py, results/images.jsonl):

                     one draw        mean of 8
    :cpu             24.90  0.873    27.90  0.929    27 minutes, one core
    biharmonic                       26.89  0.915
    "" on an H200    25.77  0.892    28.68  0.939    214 seconds

`:smoke` takes about a minute. On a GPU or TPU a run may be cut into pieces: it
goes on where it was stopped (Ctrl-C or SIGTERM).
"""

from ml_collections import ConfigDict

from miri_jax.app.config import check_arg, image_config


def get_config(arg: str = "") -> ConfigDict:
    """For a GPU or TPU; `:cpu` half an hour on one core, `:smoke` a minute."""
    check_arg(arg, ("cpu", "smoke"))
    config = image_config(arg)
    config.data.images = "shapes" if arg == "smoke" else "tfds:cifar10"
    config.data.rows = 200 if arg == "smoke" else 5000
    config.data.rate = 0.6
    return config
