"""Sources of data behind one name."""

import os
from collections.abc import Sequence
from typing import Any

from miri_jax.belonging import BELONG
from miri_jax.data.dataset import (
    AmputatedTable,
    Dataset,
    FileTable,
    from_table,
)
from miri_jax.data.images import ImageSet, load_images
from miri_jax.data.readers import NA_VALUES, read_table
from miri_jax.data.toy import load_toy
from miri_jax.data.uci import load_uci
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.relations import STATED
from miri_jax.settings import check_seed

BEIJING = os.path.join(os.path.dirname(__file__), "beijing_pm25.csv")


def load_table(
    *,
    path: str | None,
    na_values: tuple[str, ...] = NA_VALUES,
    bounds: tuple[str, ...] = (),
    orders: tuple[str, ...] = (),
    empty_value: float | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    skip_rows: int | None = None,
    sheet: str | None = None,
    decimal: str | None = None,
    dates: str | None = None,
    found: bool = True,
    **kinds: tuple[str, ...],
) -> FileTable:
    """A file with gaps, see `readers.read_table`.

    Args:
      path: the file; "beijing" is the table that the package ships, see
        beijing_pm25.md.
      na_values: see `readers.read_table`.
      bounds: of columns, each "NAME=LOW:HIGH"; either may be left out.
      orders: of the levels of ordinal columns, each "NAME=LEVEL<LEVEL<...".
      empty_value: see `readers.read_table`.
      separator: likewise.
      encoding: likewise.
      skip_rows: likewise.
      sheet: likewise.
      decimal: likewise.
      dates: likewise.
      found: likewise.
      **kinds: names of columns by their kind, as `categorical=("a", "b")`; and
        what `relations.state` takes, as `rules=("a <= b",)`, and
        `belonging.state`, as `group="person"`.

    Raises:
      DataError: naming what cannot be used, and the remedy.
    """
    if not path:
        raise DataError(
            "no table to fill; give path='IN.csv', or path='beijing' for the"
            " table that comes with the package",
            about=("path",),
        )
    stated = {name: kinds.pop(name, ()) for name in STATED}
    stated |= {name: kinds.pop(name, None) for name in BELONG}
    return from_table(
        read_table(
            BEIJING if path == "beijing" else path,
            na_values=na_values,
            empty_value=empty_value,
            separator=separator,
            encoding=encoding,
            skip_rows=skip_rows,
            sheet=sheet,
            decimal=decimal,
            dates=dates,
            found=found,
            **parse_settings(bounds, orders, **kinds),
            **stated,
        )
    )


def parse_settings(
    bounds: Sequence[str], orders: Sequence[str], **kinds: Sequence[str]
) -> dict[str, Any]:
    """`bounds`, `orders` and `kinds` of columns as `read_table` takes them.

    Args: see `load_table`.

    Raises:
      DataError: naming what cannot be read.
    """
    kind_of: dict[str, str] = {}
    for kind, names in kinds.items():
        for name in names:
            if name in kind_of:
                raise DataError(
                    f"column {name!r} is named as {kind_of[name]} and as"
                    f" {kind}; choose one"
                )
            kind_of[name] = kind
    return dict(
        kinds=kind_of,
        bounds=dict(map(_parse_bounds, bounds)),
        orders=dict(map(_parse_order, orders)),
    )


def _parse_bounds(text: str) -> tuple[str, list[float | None]]:
    """("age", [0.0, None]) of "age=0:"."""
    name, _, values = text.rpartition("=")
    try:
        low, high = (float(x) if x.strip() else None for x in values.split(":"))
    except ValueError:
        name = ""
    if not name:
        raise DataError(
            f"bounds {text!r} cannot be read; write NAME=LOW:HIGH, as age=0:120"
        )
    return name, [low, high]


def _parse_order(text: str) -> tuple[str, list[str]]:
    """("size", ["S", "M"]) of "size=S<M"."""
    name, _, levels = text.partition("=")
    found = [level.strip() for level in levels.split("<")]
    if not name or len(found) < 2 or len(set(found)) < len(found):
        raise DataError(
            f"the order {text!r} cannot be read; write NAME=LEVEL<LEVEL<..., as"
            " size=S<M<L"
        )
    return name, found


SOURCES = {
    "toy": load_toy,
    "uci": load_uci,
    "table": load_table,
    "images": load_images,
}


def load_dataset(source: str, **settings: Any) -> Dataset:
    """Loads a dataset by its source's name and settings.

    Raises:
      ConfigError: if there is no such source, or no such `mask_seed`.
      DataError: if the data cannot be used as it is.
    """
    if source not in SOURCES:
        raise ConfigError(
            f"no data source {source!r}; known: {', '.join(SOURCES)}"
        )
    check_seed(settings.get("mask_seed", 0), "mask_seed")
    return SOURCES[source](**settings)


__all__ = [
    "SOURCES",
    "AmputatedTable",
    "Dataset",
    "FileTable",
    "ImageSet",
    "parse_settings",
    "load_dataset",
]
