"""A fitted estimator in a folder: JSON and arrays, no pickle.

What is written are the attributes that a pickle would hold; the states of the
method go into a checkpoint, all else into model.json.
"""

import datetime
import json
import math
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from miri_jax import engine
from miri_jax.data import written
from miri_jax.data.belonging import from_plain, to_plain
from miri_jax.data.calendars import calendar_of
from miri_jax.data.columns import Column
from miri_jax.data.scores import knots_of
from miri_jax.data.transforms import Scaler
from miri_jax.estimator.schema import MOST_FITS, check_model
from miri_jax.exceptions import (
    DataError,
    MiriError,
    WorkdirError,
    first_line,
    sized,
)
from miri_jax.runtime.compiling import keep_programs
from miri_jax.runtime.files import read_json
from miri_jax.types import Masked

FORMAT = 4
# How many times larger than their files states may be, when they are large.
MOST_PACKED = 100
# What a file comes to that is not as `write` left it.
_DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(OverflowError, RecursionError, MemoryError, OSError),
)


def save(
    folder: pathlib.Path,
    attributes: Mapping[str, Any],
    pairs: Sequence[str],
    overwrite: bool,
) -> None:
    """`write`, also into a folder that holds a model if it may be replaced.

    Raises:
      DataError: as `write`, and if the folder holds something else.
    """
    if not (overwrite and (folder / "model.json").is_file()):
        write(folder, attributes, pairs)
        return
    folder = folder.resolve()
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}-", dir=folder.parent
    ) as beside:
        new, old = (pathlib.Path(beside) / name for name in ("new", "old"))
        write(new, attributes, pairs)
        folder.rename(old)
        new.rename(folder)


def write(
    folder: pathlib.Path, attributes: Mapping[str, Any], pairs: Sequence[str]
) -> None:
    """Writes the attributes of a fitted estimator.

    Args:
      folder: must not exist or be empty.
      attributes: by name.
      pairs: names of attributes that are mappings with keys of any type.

    Raises:
      DataError: if the folder is not empty, or JSON cannot hold an attribute.
    """
    # Not above: half a second that only saving and loading need.
    from miri_jax.runtime.checkpoint import CheckpointStore

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{folder} already exists; choose a new folder, or"
            " replace the model in it by overwrite=True"
        )
    rest = dict(attributes) | {"random_state": None}
    states = rest.pop("states_")
    text = _to_json(
        {"format": FORMAT, "fits": len(states)} | _plain(rest, pairs)
    )
    folder.mkdir(parents=True, exist_ok=True)
    store = CheckpointStore(folder / "state")
    store.save(1, states)
    store.close()
    # Last: a folder with this file is whole.
    (folder / "model.json").write_text(text, "utf-8")


def read(folder: pathlib.Path, cls: type, pairs: Sequence[str]) -> Any:
    """An estimator of class `cls` from what `write` wrote; runs no code of it.

    Raises:
      DataError: if the folder holds no model, or a damaged one.
    """
    keep_programs()
    try:
        content = read_json(folder / "model.json", finite=False)
        version, fits = content.pop("format"), content.pop("fits")
        if version != FORMAT:
            raise ValueError(f"format {version}, not {FORMAT}")
        attributes = _attributes(content, pairs)
        check_model(attributes, cls)
        if type(fits) is not int or not 0 < fits <= MOST_FITS:
            raise ValueError(f"fits is {str(fits)[:40]}")
        estimator = cls()
        estimator.__setstate__(attributes)
        shape = estimator._rows, estimator._width()
        estimator.states_ = _read_states(
            folder, estimator._several.imputer, shape, fits
        )
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no model; give a folder that save() wrote"
        ) from None
    except DataError:
        raise
    except MiriError as error:
        raise DataError(
            f"the model in {folder} cannot be read ({error}); save it again"
        ) from None
    except _DAMAGED as error:
        raise DataError(
            f"the model in {folder} cannot be read ({first_line(error)}); save"
            " it again"
        ) from None
    return estimator


def _read_states(
    folder: pathlib.Path, imputer: Any, shape: tuple[int, int], fits: int
) -> tuple[Any, ...]:
    from miri_jax.runtime.checkpoint import CheckpointStore

    data = Masked(
        jax.ShapeDtypeStruct(shape, jnp.float32),
        jax.ShapeDtypeStruct(shape, bool),
    )
    like = engine.state_like(imputer, data)
    size = fits * sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(like)
        if hasattr(leaf, "dtype")  # not one of any length
    )
    there = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    if size > max(MOST_PACKED * there, 2**28):
        raise ValueError(
            f"its states would take {sized(size)}, of {sized(there)}"
        )
    store = CheckpointStore(folder / "state")
    try:
        _, states, _ = store.load_latest((like,) * fits)
    except WorkdirError as error:
        raise DataError(
            f"the model in {folder} is damaged or of another version; save it"
            f" again ({error})"
        ) from None
    finally:
        store.close()
    if states is None:
        raise DataError(f"the model in {folder} is damaged; save it again")
    return tuple(jax.tree.map(np.asarray, states))


def _plain(
    attributes: Mapping[str, Any], pairs: Sequence[str]
) -> dict[str, Any]:
    """Attributes as JSON can hold them."""
    content = dict(attributes)
    if isinstance(content["bounds"], Mapping):
        content["bounds"] = {
            name: [*map(_bound, bounds)]
            for name, bounds in content["bounds"].items()
        }
    for name in pairs:
        if isinstance(content[name], Mapping):
            # As pairs: the names of JSON's objects are text.
            pairs_of = [list(pair) for pair in content[name].items()]
            content[name] = {"pairs": pairs_of}
    content["missing_values"] = list(content["missing_values"])
    content["columns_"] = [c._asdict() for c in content["columns_"]]
    content["_scaler"] = [part.tolist() for part in content["_scaler"]]
    content["_styles"] = [
        [name, written.to_json(style)]
        for name, style in content["_styles"].items()
    ]
    content["_told"] = list(content["_told"])
    content["_rates"] = content["_rates"].tolist()
    content["_together"] = to_plain(content["_together"])
    if "feature_names_in_" in content:
        content["feature_names_in_"] = list(content["feature_names_in_"])
    return content


def _attributes(
    content: Mapping[str, Any], pairs: Sequence[str]
) -> dict[str, Any]:
    """The attributes that `_plain` made plain."""
    found = dict(content)
    for name in pairs:
        if isinstance(found[name], dict):
            found[name] = dict(map(tuple, found[name]["pairs"]))
    found["columns_"] = tuple(map(_column, found["columns_"]))
    found["notes_"] = tuple(found["notes_"])
    found["_scaler"] = Scaler(*map(np.array, found["_scaler"]))
    found["_styles"] = {
        _name(name): written.from_json(style)
        for name, style in found["_styles"]
    }
    found["_empty"] = [*map(_name, found["_empty"])]
    found["_rates"] = np.array(found["_rates"])
    found["_together"] = from_plain(found["_together"])
    if "feature_names_in_" in found:
        names = np.asarray(found["feature_names_in_"], dtype=object)
        found["feature_names_in_"] = names
    return found


def _column(content: Mapping[str, Any]) -> Column:
    found = dict(content)
    for name in ("levels", "offsets"):
        if found[name] is not None:
            found[name] = tuple(found[name])
    if found["book"] is not None:
        found["book"] = tuple(map(tuple, found["book"]))
    if found["knots"] is not None:
        found["knots"] = knots_of(found["knots"])
    if found["calendar"] is not None:
        found["calendar"] = calendar_of(found["calendar"])
    return Column(**found | {"name": _name(found["name"])})


def _name(name: Any) -> Any:
    """A column's name; JSON turns those of several levels into lists."""
    return tuple(name) if isinstance(name, list) else name


def _bound(bound: Any) -> Any:
    """A bound as JSON can hold it; `bounds.find_bounds` takes it as it is."""
    if isinstance(bound, datetime.timedelta | np.timedelta64):
        return pd.Timedelta(bound).isoformat()
    if isinstance(bound, datetime.time):
        return bound.isoformat()
    if isinstance(bound, datetime.date | np.datetime64):
        return pd.Timestamp(bound).isoformat()
    return bound


def _to_json(content: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(type(value).__name__)

    try:
        return json.dumps(content, default=plain)
    except TypeError as error:
        raise DataError(
            f"the model holds a {error}, which JSON cannot; use levels and"
            " names that are text, numbers or logical values"
        ) from None
