"""The ten UCI regression tables of the MIRI paper's Table 2."""

import os

import jax
import numpy as np
import pandas as pd

from miri_jax.data.dataset import AmputatedTable, amputated
from miri_jax.exceptions import DataError

NAMES = (
    "wine",
    "energy",
    "parkinsons",
    "stock",
    "pumadyn32nm",
    "housing",
    "forest",
    "bike",
    "solar",
    "gas",
)


def read_uci(name: str, folder: str, target: bool = False) -> np.ndarray:
    """Reads the features `[n, d]` float64 of one table.

    Args:
      name: one of `NAMES`.
      folder: holds NAME.csv.gz: no header, the last column is the target, which
        is not a feature.
      target: whether to keep that column.

    Raises:
      DataError: if the name is unknown or the file is not there, with the way
        to get it.
    """
    if name not in NAMES:
        raise DataError(f"no UCI table {name!r}; known: {', '.join(NAMES)}")
    path = os.path.join(os.path.expanduser(folder), f"{name}.csv.gz")
    if not os.path.exists(path):
        raise DataError(
            f"no {path}; put {name}.csv.gz there (no header, target last), from"
            " github.com/treforevans/uci_datasets, or set folder to where"
            " it is",
            about=("folder",),
        )
    table = pd.read_csv(path, header=None).to_numpy(np.float64)
    return table if target else table[:, :-1]


def load_uci(
    *,
    name: str,
    folder: str,
    mechanism: str = "mcar",
    rate: float = 0.6,
    mask_seed: int = 0,
    allow_empty_rows: bool = False,
) -> AmputatedTable:
    """A UCI table with gaps; arguments as `read_uci` and `amputated`."""
    truth = read_uci(name, folder)
    return amputated(
        jax.random.key(mask_seed),
        truth,
        tuple(f"{name}{j}" for j in range(truth.shape[1])),
        mechanism=mechanism,
        rate=rate,
        allow_empty_rows=allow_empty_rows,
    )
