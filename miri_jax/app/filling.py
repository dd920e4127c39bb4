"""What `miri-impute` does once its words are read: see `app.impute`.

It loads what fills tables, which takes a second.
"""

import argparse
import ast
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from miri_jax.app.by_parts import check_parts, fills_folder
from miri_jax.app.claims import (
    claim,
    claim_folder,
    hidden_folder,
    refuse_full,
)
from miri_jax.app.command_line import (
    BELONG_FLAGS,
    CHANGE_FLAGS,
    IMPUTE_FLAGS,
    KIND_FLAGS,
    RELATION_FLAGS,
    TEXT_FLAGS,
    with_flags,
)
from miri_jax.app.config import table_config
from miri_jax.app.planning import lines_of
from miri_jax.app.run import changed, method_settings, run
from miri_jax.data import load_dataset, parse_settings
from miri_jax.data.plans import plans_of
from miri_jax.endings import stem_of
from miri_jax.exceptions import ConfigError, printable
from miri_jax.runtime import interrupt
from miri_jax.runtime.progress import say
from miri_jax.runtime.workdir import SETTINGS, WorkdirLock, flatten
from miri_jax.settings import check_seed, did_you_mean, gone


def fill(given: argparse.Namespace, piped: bool = False) -> None:
    """Fills the table of a parsed command line by a run in a hidden folder.

    Args:
      given: the words.
      piped: whether the filled table goes to stdout.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    config = make_config(given)
    if piped and config.output != given.output:
        raise ConfigError("the table goes to stdout; leave output out of --set")
    config.output = config.output or given.output
    config.report = config.report or f"{stem_of(config.output)}.html"
    config.piped = piped
    # A fit that took less than the time between two checkpoints is repeated.
    config.checkpoint.at_end = False
    run(
        config,
        str(hidden_folder(config.output)),
        IMPUTE_FLAGS,
        force=given.force,
        passing=True,
    )


def show(given: argparse.Namespace) -> None:
    """Prints what is about to be done to each column, and does nothing.

    Raises:
      MiriError: see its subclasses.
    """
    config = make_config(given)
    dataset = load_dataset(**config.data.to_dict())
    changed(config, dataset, [dataset.values])
    for note in dataset.notes:
        say(with_flags(note, IMPUTE_FLAGS))
    plans = plans_of(dataset.table)
    lines = lines_of(plans, given.method, IMPUTE_FLAGS)
    print("\n".join(map(printable, lines)))


def stream(given: argparse.Namespace) -> None:
    """Fills a Parquet file, or the parts of a folder, see `app.streaming`.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    # Not above: scikit-learn takes a second that no other table need wait for.
    from miri_jax.app import streaming

    config = make_config(given)
    config.output = config.output or given.output
    check_seed(config.seed)
    words = {**config.data.to_dict(), **config.changes.to_dict()}
    words |= {name: config[name] for name in ("draws", "long", "check")}
    words |= {"dask": given.dask, "stream": given.stream}
    check_parts(config.data.path, config.output, words)
    output = pathlib.Path(os.path.abspath(config.output))
    source, folder = (
        pathlib.Path(config.data.path),
        hidden_folder(str(output)),
    )
    by_folder = fills_folder(config.data.path, config.output)
    if by_folder:
        claim_folder(source, output, folder)
    else:
        claim([source], [output], folder, force=given.force, passing=True)
        refuse_full(source, [output])
    with WorkdirLock(folder) as lock:
        lock.take()
        if given.force:
            lock.clear()
        try:
            if by_folder:
                _fill_parts(config, output, given)
            else:
                imputer = _imputer(config)
                streaming.impute_parquet(
                    source, output, imputer, seed=config.seed, say=say
                )
        except interrupt.Stopped as stopped:
            if not by_folder:
                stopped.remains = "nothing was written"
            raise
        finally:
            if not (folder / SETTINGS).exists():
                lock.remove()
    say(f"result: {config.output}")


def _imputer(config: ConfigDict) -> Any:
    from miri_jax.estimator import MIRIImputer

    data = config.data.to_dict()
    kinds = {kind: data[kind] for kind in KIND_FLAGS}
    return MIRIImputer(
        config.method,
        n_imputations=config.draws,
        bootstrap=None if config.bootstrap else False,
        settings=method_settings(config),
        missing_values=config.data.na_values,
        empty_value=config.data.empty_value,
        unseen="missing",
        random_state=config.seed,
        **parse_settings(config.data.bounds, config.data.orders, **kinds),
        **{what: data[what] for what in (*RELATION_FLAGS, *BELONG_FLAGS)},
        found=data["found"],
    )


def _fill_parts(
    config: ConfigDict, output: pathlib.Path, given: argparse.Namespace
) -> None:
    """Fills the parts of a folder, or of a large file, into a folder."""
    from miri_jax.app.streaming import impute_parts
    from miri_jax.app.workers import workers
    from miri_jax.data.parts import find_parts

    data = config.data.to_dict()
    text = {name: data[name] for name in ("separator", "encoding", "skip_rows")}
    parts = find_parts(data["path"], text)
    settings = {
        name: config[name] for name in ("method", "seed", "draws", "bootstrap")
    }
    settings |= {
        "imputer": config.imputer.to_dict(),
        "model": config.model.to_dict(),
        "data": {**data, "path": os.path.realpath(data["path"])},
    }
    with workers(given.dask, len(parts)) as each:
        impute_parts(
            parts,
            output,
            _imputer(config),
            # As JSON has it, where tuples are lists.
            settings=json.loads(json.dumps(settings)),
            each=each,
            force=given.force,
            say=say,
        )


def make_config(given: argparse.Namespace) -> ConfigDict:
    """The run's config.

    Raises:
      ConfigError: on a setting that does not exist.
    """
    config = table_config(given.method)
    config.data.path, config.output = given.input, given.output
    config.draws, config.seed = given.draws, given.seed
    config.bootstrap, config.long = not given.one_fit, given.long
    config.method, config.check = given.method, given.check
    config.data.bounds = tuple(given.bounds)
    config.data.orders = tuple(given.order)
    config.data.empty_value = given.empty_value
    config.data.found = not given.no_found
    for what in RELATION_FLAGS:
        value = getattr(given, what)
        if isinstance(value, str):
            value = value.split(",")
        config.data[what] = tuple(value or ())
    for name in (*TEXT_FLAGS, *BELONG_FLAGS):
        config.data[name] = getattr(given, name)
    config.data.na_values += tuple(_marks(given.na))
    for what in CHANGE_FLAGS:
        config.changes[what] = tuple(getattr(given, what))
    for kind in KIND_FLAGS:
        names = getattr(given, kind)
        if names:
            config.data[kind] = tuple(names.split(","))
    for setting in given.set:
        key, found, value = setting.partition("=")
        known = list(flatten(config.to_dict()))
        if not found or key not in known:
            hint = did_you_mean(key, known)
            raise ConfigError(f"no setting {setting!r} of NAME=VALUE{hint}")
        try:
            config.update_from_flattened_dict({key: _value(value)})
        except (TypeError, ValueError):
            raise ConfigError(
                f"{key} cannot be {value!r}; see configs/table.py"
                f"{gone(key.rpartition('.')[2], value)}"
            ) from None
    return config


def _marks(given: Sequence[str]) -> Iterator[str]:
    """Each cell that means missing, those of one column as NAME=CELL."""
    for cells in given:
        name, found, rest = cells.partition("=")
        yield from (
            (f"{name}={cell}" for cell in rest.split(","))
            if found
            else cells.split(",")
        )


def _value(text: str) -> object:
    """A number, None, a flag or a tuple where it reads as one, or the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
