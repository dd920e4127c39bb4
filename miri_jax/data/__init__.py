"""Sources of data behind one name."""

import os
from typing import Any

from miri_jax.data.dataset import Dataset, from_table
from miri_jax.data.tables import NA_VALUES, read_table
from miri_jax.data.toy import load_toy
from miri_jax.data.uci import load_uci
from miri_jax.exceptions import ConfigError, DataError

BEIJING = os.path.join(os.path.dirname(__file__), "beijing_pm25.csv")


def load_table(
    *,
    path: str | None,
    na_values: tuple[str, ...] = NA_VALUES,
    categorical: tuple[str, ...] = (),
    empty_value: float | None = None,
) -> Dataset:
    """A file with gaps of its own, see `tables.read_table`.

    `path="beijing"` is the table that the package ships, see beijing_pm25.md.
    """
    if not path:
        raise DataError(
            "no table to fill; give --config.data.path=IN.csv, or try"
            " --config configs/table.py:beijing"
        )
    if path == "beijing":
        path, categorical = BEIJING, ("cbwd",)
    return from_table(
        read_table(
            path,
            na_values=na_values,
            categorical=categorical,
            empty_value=empty_value,
        )
    )


SOURCES = {"toy": load_toy, "uci": load_uci, "table": load_table}


def load_dataset(source: str, **settings: Any) -> Dataset:
    """Loads a dataset by its source's name and settings.

    Raises:
      ConfigError: if there is no such source.
      DataError: if the data cannot be used as it is.
    """
    if source not in SOURCES:
        raise ConfigError(
            f"no data source {source!r}; known: {', '.join(SOURCES)}"
        )
    return SOURCES[source](**settings)


__all__ = ["SOURCES", "Dataset", "load_dataset"]
