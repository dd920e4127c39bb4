"""The settings that all of configs/ share."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from miri_jax.data.readers import NA_VALUES
from miri_jax.exceptions import ConfigError, first_line
from miri_jax.imputers import IMPUTERS
from miri_jax.runtime.files import read_json
from miri_jax.runtime.workdir import SETTINGS, flatten
from miri_jax.settings import hints, kinds

# Settings of miri for images, see `image_config`.
_IMAGE_FITS = {
    "": {
        "num_iterations": 5,
        "num_steps": 3000,
        "num_slices": 30,
        "batch_size": 128,
        "learning_rate": 1e-3,
    },
    "cpu": {
        "num_iterations": 8,
        "num_steps": 480,
        "num_slices": 10,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "ode_steps": 2,
        "max_rows": 640,
    },
    "smoke": {
        "num_iterations": 2,
        "num_steps": 10,
        "batch_size": 16,
        "ode_steps": 2,
    },
}


def base_config(method: str = "") -> ConfigDict:
    """A config without data.

    `imputer` holds every setting that any method's factory takes, `model` those
    of the velocity network. None means the method's own default.

    Args:
      method: leave out what only other methods take, which are not loaded
        then; "" for all settings.
    """
    found = _settings_of([method] if method else IMPUTERS)
    return ConfigDict(
        {
            "method": method or "miri",
            "seed": 0,
            "draws": 1,
            # Whether several draws of a table are to be pooled: see
            # `engine.several`.
            "bootstrap": False,
            # Devices that a CPU is taken for, each with one core.
            "cpu_devices": 1,
            # For several processes, as on the hosts of a TPU slice: see
            # `processes.join`. `initialize` alone lets JAX find out.
            "distributed": {
                "initialize": False,
                "coordinator_address": config_dict.placeholder(str),
                "num_processes": config_dict.placeholder(int),
                "process_id": config_dict.placeholder(int),
            },
            # Whether known cells are hidden and filled again, which takes
            # another fit, and tells how good the draws are: `overimpute`.
            "check": False,
            # Outer iterations between two lines with MMD and MI; 0 for the
            # first and the last line only.
            "eval_every": 1,
            "imputer": _placeholders(found),
            "model": _model_settings() if "model" in found else {},
            # Between two checkpoints; whether there is one at the end too.
            "checkpoint": {"every_seconds": 10.0, "keep": 3, "at_end": True},
            # How often a fit that turns non-finite goes back to its last
            # checkpoint with a smaller learning rate.
            "retries": 3,
            # Leave a trace of the second step in WORKDIR/profile, for
            # TensorBoard's profiler or ui.perfetto.dev.
            "profile": False,
        }
    )


def saved_config(path: str) -> ConfigDict:
    """The settings of another run, from its folder or its config.json.

    Nothing in it is code. Results go to the new run's folder, whatever the
    other's `output` and `report` were, and devices are those at hand.

    Raises:
      ConfigError: if the file is not such a one.
    """
    if pathlib.Path(path).is_dir():
        path = str(pathlib.Path(path) / SETTINGS)
    try:
        content = read_json(pathlib.Path(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(
            f"{path} is not the config.json of a run, or is no JSON ({error})"
        ) from error
    if "data" not in content:
        raise ConfigError(f"{path} is not the config.json of a run")
    base = base_config().to_dict()
    content |= {name: base[name] for name in ("cpu_devices", "distributed")}
    content |= {name: None for name in content.keys() & {"output", "report"}}
    content.pop("data_digest", None)
    for name, value in base.items():
        if not isinstance(content.get(name), type(value)):
            raise ConfigError(
                f"{path}: {name} is {content.get(name)!r}; as in {value!r}, it"
                f" must be of type {type(value).__name__}"
            )
    data = content["data"]
    if not isinstance(data, dict) or not isinstance(data.get("source"), str):
        raise ConfigError(f"{path}: data names no source")
    kinds = {"table": table_config, "images": lambda: image_config("")}
    like = kinds.get(data["source"], base_config)()
    _refuse_unlike(path, "", like.to_dict(), content)
    known = flatten(like.to_dict())
    for name, value in flatten(content).items():
        if name in known:
            try:
                like.update_from_flattened_dict({name: value})
            except (TypeError, ValueError, KeyError) as error:
                raise ConfigError(
                    f"{path}: {name} is of a wrong type"
                    f" ({first_line(error)[:200]})"
                ) from None
    return ConfigDict(content)


def _refuse_unlike(path: str, name: str, like: Any, value: Any) -> None:
    """Refuses settings that are not built as those of a config are.

    Raises:
      ConfigError: naming the setting.
    """
    if isinstance(like, dict):
        good = isinstance(value, dict)
        for key in like if good else ():
            if key in value:
                inner = f"{name}.{key}".lstrip(".")
                _refuse_unlike(path, inner, like[key], value[key])
            # Of methods and networks only what they take is there.
            elif name not in ("imputer", "model") and like[key] is not None:
                raise ConfigError(f"{path} lacks {name}.{key}")
    elif isinstance(like, tuple):
        good = isinstance(value, list) and all(
            isinstance(x, str) for x in value
        )
    else:
        good = not isinstance(value, dict | list)
        good = good and (value is not None or like is None)
    if not good:
        raise ConfigError(f"{path}: {name} is {str(value)[:60]!r}")


def table_config(method: str = "") -> ConfigDict:
    """A config for a CSV, TSV, Parquet or Feather file with gaps.

    Args:
      method: see `base_config`.
    """
    config = base_config(method)
    config.eval_every, config.bootstrap = 0, True
    config.data = {
        "source": "table",
        "path": config_dict.placeholder(str),
        # Cells that mean "missing"; as "NAME=CELL" in one column.
        "na_values": NA_VALUES,
        # Names of columns whose kind is not the one that is found, see
        # `miri_jax.data.columns.detect`.
        "real": (),
        "integer": (),
        "datetime": (),
        "boolean": (),
        "categorical": (),
        "id": (),
        # Levels of ordinal columns in their order, as ("size=S<M<L",).
        "orders": (),
        # What imputed cells lie between, as ("age=0:120",); by default what
        # the column's type can hold.
        "bounds": (),
        # Relations of columns, see docs/structure.md: as
        # ("gross = net + tax",), ("discharge >= admit",),
        # ("pack_years: smoking != 'never'",), ("notes", "id2"), ("crp=0.25",),
        # ("crp=90",) and ("age=0:110",).
        "formulas": (),
        "rules": (),
        "only_if": (),
        "keep": (),
        "below": (),
        "above": (),
        "gap_bounds": (),
        # Whether relations that hold in all rows are looked for, and kept.
        "found": True,
        # By which columns rows belong together: equal cells make a group, times
        # order its rows, and weights say how much each row counts.
        "group": config_dict.placeholder(str),
        "time": config_dict.placeholder(str),
        "weights": config_dict.placeholder(str),
        # Of a text file, where they are not found: what is between two cells,
        # its encoding, and how many lines are above its header.
        "separator": config_dict.placeholder(str),
        "encoding": config_dict.placeholder(str),
        "skip_rows": config_dict.placeholder(int),
        # Of a workbook, the name or number of the sheet; by default the first.
        "sheet": config_dict.placeholder(str),
        # Where its cells leave it open: the decimal mark, "." or ",", and the
        # order of dates, "dmy" or "mdy".
        "decimal": config_dict.placeholder(str),
        "dates": config_dict.placeholder(str),
        # What a column without any observed value is filled with.
        "empty_value": config_dict.placeholder(float),
    }
    # What is done to filled cells afterwards, see `miri_jax.sensitivity`: as
    # ("weight=-2", "weight[arm=treated]=-1"), ("income=1.1",) and
    # ("smoker=yes:1.5",).
    config.changes = {"shift": (), "scale": (), "odds": ()}
    # Where the filled table goes; by default imputed.ENDING in the workdir.
    # With several draws, NAME_1.ENDING, NAME_2.ENDING and so on.
    config.output = config_dict.placeholder(str)
    # Whether all draws go into one file, with a first column of their numbers.
    config.long = False
    # Whether results go on elsewhere, so that their files are no news.
    config.piped = False
    # Where the report goes; by default report.html in the workdir.
    config.report = config_dict.placeholder(str)
    return config


def image_config(scale: str) -> ConfigDict:
    """A config for images, see `miri_jax.data.images.load_images`.

    Args:
      scale: "" for a GPU or TPU, "cpu" for half an hour on one core, "smoke"
        for a minute.
    """
    config = base_config()
    config.draws = 2 if scale == "smoke" else 8
    if scale == "cpu":
        # XLA's convolutions use one core of a device.
        config.cpu_devices = 2
    every = {
        "chunk": {"": 512, "cpu": 128, "smoke": 100}[scale],
        "model": {
            "size": {"": "base", "cpu": "tiny", "smoke": "nano"}[scale],
            "dtype": "float32" if scale else "bfloat16",
        },
    }
    networks = ("miri_paper", "gain", "missdiff", "tabcsdi")
    # What `imputer` and `model` leave open.
    config.method_defaults = {
        "miri": {**every, **_IMAGE_FITS[scale]},
        **{name: every for name in networks},
    }
    config.eval_every = 0
    config.data = {
        "source": "images",
        "images": config_dict.placeholder(str),
        # Side of the square that images are cut and resized to.
        "size": config_dict.placeholder(int),
        # How many images, the first ones.
        "rows": config_dict.placeholder(int),
        # Share of the pixels that is hidden; 0 for images with gaps.
        "rate": 0.0,
        "per_channel": False,
        "mask_seed": 0,
    }
    return config


def check_arg(arg: str, known: tuple[str, ...]) -> None:
    """Refuses a config's argument (`--config toy.py:ARG`) that means nothing.

    Raises:
      ConfigError: naming the arguments that do.
    """
    if arg and arg not in known:
        raise ConfigError(f"no argument {arg!r}; known: {', '.join(known)}")


def _settings_of(methods: Iterable[str]) -> dict[str, tuple[type, ...]]:
    """What the factories of methods take, and of which types it may be."""
    # Methods may take a setting by one name with several types.
    found: dict[str, tuple[type, ...]] = {}
    for method in methods:
        try:
            factory = IMPUTERS[method]
        except ConfigError:  # It is told to those who ask for that method.
            continue
        for name, hint in hints(factory).items():
            found[name] = found.get(name, ()) + kinds(hint)
    return found


def _model_settings() -> ConfigDict:
    from miri_jax.models import network_settings

    return _placeholders(
        {name: kinds(hint) for name, hint in network_settings().items()}
    )


def _placeholders(found: Mapping[str, tuple[type, ...]]) -> ConfigDict:
    """None for each setting that has a scalar type, which it will keep.

    `object` where there are several, as of `int | Literal["auto"]`.
    """
    placeholders = {}
    for name, types in found.items():
        scalars = set(types) & {bool, int, float, str}
        if scalars:
            kind = scalars.pop() if len(scalars) == 1 else object
            placeholders[name] = config_dict.placeholder(kind)
    return ConfigDict(placeholders)
