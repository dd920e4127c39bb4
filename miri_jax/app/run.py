"""`run`: one fit from its config to its result files, resumable at any time."""

import dataclasses
import functools
import itertools
import math
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from miri_jax import engine
from miri_jax.app.claims import Place, claim_of_run
from miri_jax.app.command_line import RUN_FLAGS, command_given, with_flags
from miri_jax.app.watch import LaterWatch, RunWatch
from miri_jax.core import parallel
from miri_jax.data import Dataset, load_dataset
from miri_jax.data.writers import check_long, check_writable
from miri_jax.exceptions import ConfigError, DataError, DivergedError
from miri_jax.imputers import from_settings
from miri_jax.runtime import processes, provenance
from miri_jax.runtime.compiling import Told
from miri_jax.runtime.files import write_json
from miri_jax.runtime.progress import in_words, say
from miri_jax.runtime.provenance import Clock, Compilations
from miri_jax.runtime.workdir import WorkdirLock, flatten
from miri_jax.settings import check_seed
from miri_jax.types import Imputer, Masked


def run(
    config: ConfigDict,
    workdir: str,
    flags_of: Mapping[str, str] = RUN_FLAGS,
    *,
    force: bool = False,
    passing: bool = False,
) -> Any:
    """Fits an imputer to a table with gaps and writes the filled table.

    A run started again in the same folder goes on where it was and ends
    bit-identical to one never interrupted.

    Args:
      config: as one of configs/ returns it.
      workdir: the folder that receives everything, see docs/tables.md.
      flags_of: how the command is given what `Note.about` may name.
      force: whether existing results are replaced, see `app.claims`.
      passing: whether the folder is the run's alone: it is deleted at the end,
        and with `force` what another run has left there at the start.

    Returns:
      The imputer's final state; None where nothing was missing.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    if config.draws < 1:
        raise ConfigError(f"draws is {config.draws}; ask for at least 1")
    check_seed(config.seed)
    for name, value in flatten(config.to_dict()).items():
        if isinstance(value, float) and not np.isfinite(value):
            raise ConfigError(f"{name} is {value}; give a finite number")
    folder = pathlib.Path(workdir)
    claim = functools.partial(
        claim_of_run, config, folder, force=force, passing=passing
    )
    claim()
    if config.check and config.data.source == "images":
        raise ConfigError(
            "a check is for tables; leave it out", about=("check",)
        )
    start_devices(config)
    with Compilations() as compiled, Told(say), WorkdirLock(folder) as lock:
        place = Place(folder, lock, claim, anew=force and passing)
        try:
            state = _run(config, place, compiled, flags_of)
        except (DataError, DivergedError) as error:
            # What mends that makes another run, which the folder of this one
            # would refuse. Nothing was taken where the data are at fault.
            if passing and lock.taken:
                lock.remove()
            elif isinstance(error, DivergedError):
                raise DivergedError(
                    f"{error}; a run with another setting needs another folder",
                    about=(*error.about, "workdir", "restart"),
                ) from None
            raise
        if passing and processes.writes():
            lock.remove()
    return state


class _Prepared(NamedTuple):
    """What a run works on.

    Attributes:
      dataset: the data.
      data: the same as imputers take them, on the devices.
      fitted: and as fits take them.
      imputer: the method.
      how: the fits that draws come from.
      like: shapes and dtypes of a state.
      resumed: whether the run has begun before.
    """

    dataset: Dataset
    data: Masked
    fitted: Masked
    imputer: Imputer
    how: engine.Several
    like: Any
    resumed: bool


class _Filled(NamedTuple):
    """What a run has come to.

    Attributes:
      state: of the first fit; None where nothing was missing.
      draws: `[n, *dims]` each, raw scale.
      trace: the lines of metrics.jsonl.
      notes: sentences about what was read, and what went wrong on the way.
      chosen: of each column what the fit has chosen for it, where it has.
      changes: sentences on what was done to filled cells afterwards.
      check: how well known cells were filled again; None where not asked.
    """

    state: Any
    draws: list[np.ndarray]
    trace: list[dict[str, Any]]
    notes: list[str]
    chosen: dict[str, Any]
    changes: tuple[str, ...] = ()
    check: dict[str, Any] | None = None


def _run(
    config: ConfigDict,
    place: Place,
    compiled: Compilations,
    flags_of: Mapping[str, str],
) -> Any:
    clock, folder = Clock(), place.folder
    with clock("load"):
        ready = _prepare(config, place)
    dataset = ready.dataset
    read = [with_flags(note, flags_of) for note in dataset.notes]
    for note in read:
        say(note)
    say(
        f"{config.method}: {dataset.extent()} missing,"
        f" on {jax.devices()[0].device_kind}"
    )
    keys = engine.seed_keys(config.seed)
    key_trace, key_score = (
        jax.random.fold_in(keys.measure, k) for k in range(2)
    )
    if dataset.m.all():
        what = "to be filled" if dataset.gaps().any() else "missing"
        say(f"nothing is {what}: the table is returned as it is")
        filled = _Filled(None, [dataset.values] * config.draws, [], [], {})
    else:
        watch = RunWatch(
            config,
            folder,
            dataset,
            ready.like,
            key_trace,
            compiled,
            resumed=ready.resumed,
        )
        filled = _fill(config, folder, ready, keys, watch, clock)
        if config.check:
            with clock("check"):
                filled = _checked(config, folder, ready, keys, filled)
    dataset, draws, told = changed(config, dataset, filled.draws)
    with clock("evaluate"):
        final = dataset.score(key_score, draws)
    filled = filled._replace(
        draws=draws, changes=told, notes=[*read, *filled.notes]
    )
    if processes.writes():
        _leave(config, place, dataset, filled, final, clock, compiled)
    return filled.state


def _prepare(config: ConfigDict, place: Place) -> _Prepared:
    """Loads the data and claims the folder, in this order.

    What does not fit the data is refused before a file is written.
    """
    dataset = processes.agree(lambda: load_dataset(**config.data.to_dict()))
    changed(config, dataset, [dataset.values])
    long = config.get("long", False)
    if long:
        check_long(dataset.table)
    if config.get("output") and processes.writes():
        check_writable(dataset.table, config.output, long)
    layout, count = dataset.layout(), config.draws
    imputer = from_settings(config.method, method_settings(config), layout)
    proper = config.get("bootstrap", False) and count > 1 and layout is not None
    how = engine.several(imputer, count, proper=proper)
    if config.check:
        _check_checkable(config, imputer)
    masked = dataset.masked()
    known = dataset.fitted(masked)
    fitted = data = parallel.spread(masked, len(dataset.m))
    if known is not masked:
        fitted = parallel.spread(known, len(dataset.m))
    like = engine.state_like(how.imputer, data)
    resumed = processes.agree(lambda: _claim(place, config, dataset))
    return _Prepared(dataset, data, fitted, imputer, how, like, resumed)


def _fill(
    config: ConfigDict,
    folder: pathlib.Path,
    ready: _Prepared,
    keys: engine.Keys,
    watch: RunWatch,
    clock: Clock,
) -> _Filled:
    """Fits, and draws: from one fit, or each draw from another."""
    dataset, data, how = ready.dataset, ready.data, ready.how
    total = how.fits + how.resampled
    watches = itertools.chain(
        [watch],
        (
            LaterWatch(
                folder / "checkpoints" / f"fit_{k}",
                f"{config.method}: fit {k} of {total}, for draw"
                f" {k - (how.resampled > 0)}",
                ready.like,
            )
            for k in range(2, total + 1)
        ),
    )
    with clock("fit"):
        states = list(
            engine.fit_several(
                keys,
                how,
                ready.fitted,
                weights=dataset.weights(),
                watches=watches,
                retries=config.retries,
            )
        )
    with clock("draw"):
        found = engine.draw_several(
            keys.draw, how, states, data, bounds=dataset.bounds()
        )
        draws = [dataset.restore(x) for x in found]
    chosen, notes = _chosen(how.imputer, dataset, states[0]), [*watch.notes]
    if how.draws > 1 and how.caveat:
        notes.append(how.caveat)
        say(how.caveat)
    return _Filled(states[0], draws, watch.trace, notes, chosen)


def changed(
    config: ConfigDict, dataset: Dataset, draws: list[np.ndarray]
) -> tuple[Dataset, list[np.ndarray], tuple[str, ...]]:
    """Filled cells changed as `config.changes` says, and what was done.

    Raises:
      DataError: on a change that does not fit the table.
    """
    given = config.get("changes", ConfigDict()).to_dict()
    if not any(given.values()):
        return dataset, draws, ()
    # Not above: most runs change nothing.
    from miri_jax.sensitivity import adjust_draws, parse_changes

    table = dataset.table
    names = [column.name for column in table.columns]
    changes = parse_changes(
        names, given["shift"], given["scale"], given["odds"]
    )
    made = adjust_draws(table, draws, changes, seed=config.seed)
    dataset = dataclasses.replace(dataset, table=made.table)
    return dataset, made.draws, (*made.done, *made.limits)


def _check_checkable(config: ConfigDict, imputer: Imputer) -> None:
    """Refuses a check of a method whose draws could not be compared.

    Raises:
      ConfigError: naming why.
    """
    if not imputer.redraws:
        raise ConfigError(
            f"{config.method!r} has one imputation a fit, and a check compares"
            " several draws of cells; leave the check out, or use another"
            " method",
            about=("check",),
        )


def _checked(
    config: ConfigDict,
    folder: pathlib.Path,
    ready: _Prepared,
    keys: engine.Keys,
    filled: _Filled,
) -> _Filled:
    """With how well known cells are filled again, by another fit."""
    watch = LaterWatch(
        folder / "checkpoints" / "check",
        f"{config.method}: another fit, without some known cells",
        ready.like,
    )
    try:
        found = engine.overimpute(
            jax.random.fold_in(keys.measure, engine.CHECK),
            ready.imputer,
            ready.data,
            layout=ready.dataset.layout(),
            bounds=ready.dataset.bounds(),
            weights=ready.dataset.weights(),
            watches=iter([watch]),
            retries=config.retries,
        )
    except DataError as error:
        note = f"known cells were not filled again: {error}"
        say(note)
        return filled._replace(notes=[*filled.notes, note])
    return filled._replace(check=found.as_dict())


def _chosen(imputer: Imputer, dataset: Dataset, state: Any) -> dict[str, Any]:
    """What a fit has chosen for each column, by the column's name."""
    found = imputer.chosen(state) if imputer.chosen is not None else []
    if not found:
        return {}
    layout = dataset.layout()
    if layout is None:
        return {str(k): what for k, what in zip(dataset.columns, found)}
    own = [c.name for c in dataset.table.columns if c.width]
    return {str(k): what for k, what in zip(own, found)}


def _leave(
    config: ConfigDict,
    place: Place,
    dataset: Dataset,
    filled: _Filled,
    final: dict[str, float],
    clock: Clock,
    compiled: Compilations,
) -> None:
    """Writes results, report and summary."""
    # Not above: its pictures take half a second to load.
    from miri_jax import report

    folder = place.folder
    with clock("write"), place.writer() as write:
        results = dataset.save(
            filled.draws,
            folder,
            config.get("output"),
            write,
            long=config.get("long", False),
        )
    page = pathlib.Path(config.get("report") or folder / "report.html")
    notes, full = [*filled.notes], provenance.memory_note()
    if full:
        notes.append(full)
        say(full)
    summary = _summary(config, dataset, final, results, page.parent, notes)
    if filled.changes:
        summary["changes"] = list(filled.changes)
        for line in filled.changes:
            say(line)
    if filled.check:
        summary["check"] = filled.check
        say(
            f"known cells filled again: score {filled.check['score']:.3g} (0:"
            " as they were, 1: as drawn at random)"
        )
    if filled.chosen:
        summary["columns_by"] = filled.chosen
        say(_told(filled.chosen))
    with clock("report"):
        # Cells that were changed afterwards are off as they were asked to be.
        lost = (
            []
            if filled.changes
            else report.filling_warnings(dataset, filled.draws)
        )
        for line in lost:
            say(line)
        if lost:
            summary["filling"] = lost
        report.write_report(
            folder, dataset, filled.draws, filled.trace, summary
        )
        if page != folder / "report.html":
            text = (folder / "report.html").read_text("utf-8")
            with place.writer() as write:
                write(page, lambda p: pathlib.Path(p).write_text(text, "utf-8"))
    summary["seconds"] = {k: round(v, 3) for k, v in clock.seconds.items()}
    summary["compiled"] = {
        "programs": compiled.programs,
        "from_cache": compiled.cached,
        "seconds": round(compiled.seconds, 3),
    }
    summary["peak_bytes"] = provenance.peak_memory()
    write_json(folder / "summary.json", summary)
    shown = in_words(final)
    # Who fills a file reads in the report what the numbers mean.
    say(f"done: {shown}" if shown and not config.get("output") else "done")
    if config.get("piped", False):
        return
    for path in results:
        say(f"result: {path}")
    say(f"report: {page.absolute().as_uri()}")


def _told(chosen: dict[str, Any]) -> str:
    """Who draws which columns, in a line."""
    by_flow = [name for name, what in chosen.items() if what["by"] == "flow"]
    if not by_flow:
        return "drawn by the flow, then once more by chained equations"
    names = ", ".join(by_flow[:9]) + (", ..." if len(by_flow) > 9 else "")
    if len(by_flow) == len(chosen):
        names = "all columns"
    return f"drawn by the flow alone: {names}"


def start_devices(config: ConfigDict) -> None:
    """Sets what JAX must be told before it starts."""
    count, others = config.cpu_devices, config.distributed.to_dict()
    if count > 1:
        try:
            jax.config.update("jax_num_cpu_devices", count)
        except RuntimeError:
            say(f"JAX has started already: cpu_devices={count} is not used")
    if others.pop("initialize") or others["coordinator_address"]:
        processes.join(**others)


def _claim(place: Place, config: ConfigDict, dataset: Dataset) -> bool:
    """`claim_workdir`, with what decides a run's results."""
    if not processes.writes():
        return False
    # Where a run goes on may have another number of devices or processes.
    settings = config.to_dict() | {"cpu_devices": None, "distributed": None}
    settings["data_digest"] = dataset.digest()
    return place.take(settings)


def _summary(
    config: ConfigDict,
    dataset: Dataset,
    metrics: dict[str, float],
    results: list[pathlib.Path],
    page_folder: pathlib.Path,
    notes: list[str],
) -> dict[str, Any]:
    """What summary.json and the report say, but what the run took."""
    rows, *columns = dataset.gaps().shape
    return {
        "method": config.method,
        "rows": rows,
        "columns": math.prod(columns),
        "realised_rate": float(dataset.gaps().mean()),
        "draws": config.draws,
        "seed": config.seed,
        "input": pathlib.Path(config.data.get("path") or "").name,
        "command": command_given(),
        "finished": provenance.now(),
        "metrics": metrics,
        "results": [os.path.relpath(path, page_folder) for path in results],
        "notes": notes,
        "versions": provenance.versions(),
        "revision": provenance.revision(),
        "device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}",
        "machine": f"{platform.machine()}, {platform.system()}",
    }


def method_settings(config: ConfigDict) -> dict[str, Any]:
    """The settings of `config.method`'s factory: those that are not None."""
    defaults = config.get("method_defaults", ConfigDict()).to_dict()
    defaults = defaults.get(config.method, {})
    given = {k: v for k, v in config.imputer.items() if v is not None}
    model = {k: v for k, v in config.model.items() if v is not None}
    model = {**defaults.get("model", {}), **model}
    given = {**defaults, **given}
    return {**given, "model": model} if model else given
