"""What a run gives: filled tables as they came, or arrays."""

import pathlib

import numpy as np
from PIL import Image

from miri_jax.data import Dataset, ImageSet
from miri_jax.data.images import mean_pixels
from miri_jax.data.table_files import numbered, write_table
from miri_jax.runtime.files import write_arrays, write_atomically


def write_results(
    folder: pathlib.Path,
    dataset: Dataset,
    draws: list[np.ndarray],
    output: str | None = None,
) -> list[pathlib.Path]:
    """Writes the filled tables: as they came, or as imputed.npz.

    Args:
      folder: where to.
      dataset: the table with gaps.
      draws: filled tables `[n, d]`, raw scale.
      output: the table's file, or None for one in `folder`.

    Returns:
      The files.
    """
    if isinstance(dataset, ImageSet):
        return _write_images(folder, dataset, draws)
    if dataset.table is None:
        path = folder / "imputed.npz"
        write_arrays(path, x=np.stack(draws), m=dataset.m, truth=dataset.truth)
        return [path]
    output = output or str(folder / f"imputed{dataset.table.ending}")
    paths = [pathlib.Path(p) for p in numbered(output, len(draws))]
    for path, draw in zip(paths, draws, strict=True):
        write_atomically(path, lambda p: write_table(p, dataset.table, draw))
    return paths


def _write_images(
    folder: pathlib.Path, dataset: ImageSet, draws: list[np.ndarray]
) -> list[pathlib.Path]:
    """All draws and their mean as .npz; images with own gaps as .png too."""
    path, mean = folder / "imputed.npz", mean_pixels(draws)
    truth = {} if dataset.truth is None else {"truth": dataset.truth}
    write_arrays(path, x=np.stack(draws), mean=mean, m=dataset.m, **truth)
    if truth:
        return [path]
    (folder / "imputed").mkdir(exist_ok=True)
    for k, images in enumerate((mean, *draws)):
        kind = f"draw{k}" if k else "mean"
        for name, image in zip(dataset.names, images):
            file = folder / "imputed" / f"{pathlib.Path(name).stem}_{kind}.png"
            write_atomically(file, Image.fromarray(image).save)
    return [path, folder / "imputed"]


def _write_text(path: str, text: str) -> None:
    pathlib.Path(path).write_text(text, "utf-8")
