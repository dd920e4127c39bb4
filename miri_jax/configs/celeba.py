"""CelebA at 64 x 64, each channel missing on its own: the MIRI paper, 6.3.

    python -m miri_jax.main --config celeba --workdir /disk/runs/celeba

The first 5000 faces of TensorFlow Datasets (tfds:celeb_a, prepared under
TFDS_DATA_DIR; docs/images.md), the 140 x 140 in their centre resized to
64 x 64; npz:FILE and folder:PATH do as well. 60 % of the values are hidden,
red, green and blue each on its own. `:smoke` draws its own images.

Not run yet, for want of CelebA; CIFAR-10 with channels that are missing one by
one is in docs/papers.md. `:cpu` has four times the pixels of
configs/cifar10.py:cpu, which takes 27 minutes on one core; `:smoke` takes one.
On a GPU or TPU a run may be cut into pieces: it goes on where it was stopped
(Ctrl-C or SIGTERM).
"""

from ml_collections import ConfigDict

from miri_jax.app.config import check_arg, image_config


def get_config(arg: str = "") -> ConfigDict:
    """For a GPU or TPU; `:cpu` two hours on one core, `:smoke` a minute."""
    check_arg(arg, ("cpu", "smoke"))
    config = image_config(arg)
    smoke = arg == "smoke"
    config.data.images = "shapes" if smoke else "tfds:celeb_a"
    config.data.rows = 100 if smoke else 5000
    config.data.size = None if smoke else 64
    config.data.rate = 0.6
    config.data.per_channel = True
    return config
