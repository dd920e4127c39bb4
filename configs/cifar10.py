"""CIFAR-10 with pixels missing at random: section 6.3 of the MIRI paper.

    python -m miri_jax.main --config configs/cifar10.py:cpu \
        --workdir runs/cifar10 --config.data.images=npz:FILE

The images come from TensorFlow Datasets (tfds:cifar10) unless told otherwise;
npz:FILE holds `images`, uint8 [n, 32, 32, 3]. `:smoke` draws its own.
"""

from ml_collections import ConfigDict

from miri_jax.config import check_arg, image_config


def get_config(arg: str = "") -> ConfigDict:
    """For a GPU or TPU; `:cpu` half an hour on 2 cores, `:smoke` a minute."""
    check_arg(arg, ("cpu", "smoke"))
    config = image_config(arg)
    config.data.images = "shapes" if arg == "smoke" else "tfds:cifar10"
    config.data.rows = 200 if arg == "smoke" else 5000
    config.data.rate = 0.6
    return config
