"""A folder of images with gaps.

    python -m miri_jax.main --config inpaint:cpu \
        --workdir runs/mine --config.data.images=folder:PATH

Missing is where a PNG's alpha is 0, and where NAME.mask.png beside NAME.png is
black. Images are cut and resized to squares of `data.size`; the filled ones go
to runs/mine/imputed. `:cpu` takes as long as configs/cifar10.py:cpu for as many
pixels, on one core 27 minutes for 5000 images of 32 x 32.
"""

from ml_collections import ConfigDict

from miri_jax.app.config import check_arg, image_config


def get_config(arg: str = "") -> ConfigDict:
    """For a GPU or TPU; `:cpu` for less, `:smoke` for a minute."""
    check_arg(arg, ("cpu", "smoke"))
    config = image_config(arg)
    config.data.size = 64
    return config
