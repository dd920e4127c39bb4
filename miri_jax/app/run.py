"""`run`: one fit from its config to its result files, resumable at any time."""

import math
import os
import pathlib
import platform
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from miri_jax import report
from miri_jax.app.fitting import fit
from miri_jax.core import parallel
from miri_jax.data import Dataset, load_dataset
from miri_jax.data.readers import ending_of
from miri_jax.data.writers import numbered
from miri_jax.exceptions import ConfigError, NonFiniteError
from miri_jax.imputers import draws as draw_set
from miri_jax.imputers import make_imputer, redraw_outside
from miri_jax.runtime import processes, provenance
from miri_jax.runtime.files import write_atomically, write_json
from miri_jax.runtime.progress import say
from miri_jax.runtime.provenance import Clock, Compilations
from miri_jax.runtime.workdir import WorkdirLock, claim_workdir, flatten
from miri_jax.types import Draw, Imputer, Masked


def run(config: ConfigDict, workdir: str) -> Any:
    """Fits an imputer to a table with gaps and writes the filled table.

    A run started again in the same folder goes on where it was and ends
    bit-identical to one never interrupted.

    Args:
      config: as one of configs/ returns it.
      workdir: the folder that receives everything, see README.md.

    Returns:
      The imputer's final state; None where nothing was missing.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    if config.draws < 1:
        raise ConfigError(f"draws is {config.draws}; ask for at least 1")
    for name, value in flatten(config.to_dict()).items():
        if isinstance(value, float) and not np.isfinite(value):
            raise ConfigError(f"{name} is {value}; give a finite number")
    output = config.get("output")
    if output:
        check_output(output, config)
    start_devices(config)
    folder = pathlib.Path(workdir)
    with Compilations() as compiled, WorkdirLock(folder) as lock:
        return _run(config, folder, lock, compiled)


def _run(
    config: ConfigDict,
    folder: pathlib.Path,
    lock: WorkdirLock,
    compiled: Compilations,
) -> Any:
    clock, output = Clock(), config.get("output")
    with clock("load"):
        dataset = processes.agree(lambda: load_dataset(**config.data.to_dict()))
        settings = settings_of(config)
        imputer = make_imputer(config.method, **settings)
        data = parallel.spread(dataset.masked(), len(dataset.m))
        # Refuses, before a file is written, what does not fit the data.
        like = jax.eval_shape(imputer.init, jax.random.key(0), data)
        resumed = processes.agree(lambda: _claim(folder, lock, config, dataset))
    for note in dataset.notes:
        say(note)
    say(
        f"{config.method}: {dataset.extent()} missing,"
        f" on {jax.devices()[0].device_kind}"
    )
    root = jax.random.key(config.seed)
    key_init, key_steps, key_draws, key_metrics, key_final = jax.random.split(
        root, 5
    )
    trace, notes = [], []
    if dataset.m.all():
        say("nothing is missing: the table is returned as it is")
        state, draws = None, [dataset.values] * config.draws
    else:
        with clock("fit"):
            imputer, state, trace, notes = fit(
                (key_init, key_steps, key_metrics),
                imputer,
                like,
                dataset,
                data,
                config,
                settings,
                folder,
                resumed=resumed,
                compiled=compiled,
            )
        with clock("draw"):
            draws = _draw(
                key_draws, imputer, state, data, dataset, config.draws
            )
    with clock("evaluate"):
        final = dataset.score(key_final, draws)
    if not processes.writes():
        return state
    with clock("write"):
        results = dataset.save(draws, folder, output, write_atomically)
    page = pathlib.Path(config.get("report") or folder / "report.html")
    full = provenance.memory_note()
    if full:
        notes.append(full)
        say(full)
    summary = _summary(config, dataset, final, results, page.parent, notes)
    with clock("report"):
        report.write_report(folder, dataset, draws, trace, summary)
        if page != folder / "report.html":
            text = (folder / "report.html").read_text("utf-8")
            write_atomically(
                page, lambda p: pathlib.Path(p).write_text(text, "utf-8")
            )
    summary["seconds"] = {k: round(v, 3) for k, v in clock.seconds.items()}
    summary["compiled"] = {
        "programs": compiled.programs,
        "from_cache": compiled.cached,
        "seconds": round(compiled.seconds, 3),
    }
    summary["peak_bytes"] = provenance.peak_memory()
    write_json(folder / "summary.json", summary)
    shown = "  ".join(f"{k} {v:.4g}" for k, v in final.items())
    say(f"done: {shown}")
    for path in results:
        say(f"result: {path}")
    say(f"report: {page.absolute().as_uri()}")
    return state


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


def _claim(
    folder: pathlib.Path,
    lock: WorkdirLock,
    config: ConfigDict,
    dataset: Dataset,
) -> bool:
    """`claim_workdir`, with what decides a run's results."""
    if not processes.writes():
        return False
    # Where a run goes on may have another number of devices or processes.
    settings = config.to_dict() | {"cpu_devices": None, "distributed": None}
    settings["data_digest"] = dataset.digest()
    lock.take()
    return claim_workdir(folder, settings)


def check_output(output: str, config: ConfigDict) -> None:
    """Finds out before the fit that the result cannot be written.

    Raises:
      ConfigError: naming what is wrong with the file's name.
    """
    ending_of(output)
    if config.data.source != "table":
        raise ConfigError("output is for tables from a file; leave it out")
    parent = pathlib.Path(output).absolute().parent
    if not parent.is_dir():
        raise ConfigError(f"output {output}: there is no folder {parent}")
    read = pathlib.Path(config.data.path or "").absolute()
    written = [output, *numbered(output, config.draws)]
    if read in [pathlib.Path(p).absolute() for p in written]:
        raise ConfigError(
            f"output {output} is the table itself; choose another name"
        )


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
        "metrics": metrics,
        "results": [os.path.relpath(path, page_folder) for path in results],
        "notes": [*dataset.notes, *notes],
        "versions": provenance.versions(),
        "revision": provenance.revision(),
        "device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}",
        "machine": f"{platform.machine()}, {platform.system()}",
    }


def settings_of(config: ConfigDict) -> dict[str, Any]:
    """The settings of `config.method`'s factory: those that are not None."""
    defaults = config.get("method_defaults", ConfigDict()).to_dict()
    defaults = defaults.get(config.method, {})
    given = {k: v for k, v in config.imputer.items() if v is not None}
    model = {k: v for k, v in config.model.items() if v is not None}
    model = {**defaults.get("model", {}), **model}
    given = {**defaults, **given}
    return {**given, "model": model} if model else given


def _draw(
    key: jax.Array,
    imputer: Imputer,
    state: Any,
    data: Masked,
    dataset: Dataset,
    count: int,
) -> list[np.ndarray]:
    """X(T) where one draw is wanted, else a set of fresh ones; raw scale."""
    key_set, key_again = jax.random.split(key)
    found = [state.x]
    if count > 1:
        found = draw_set(key_set, imputer, state, data, count)
    bounds, draws = dataset.bounds(), []
    for k, x in enumerate(found):
        draw = Draw(jnp.int32(k), count) if count > 1 else None
        key_k = jax.random.fold_in(key_again, k)
        x = redraw_outside(key_k, imputer, state, data, x, bounds, draw)
        if not np.isfinite(x).all():
            raise NonFiniteError("a draw is not finite; nothing was written")
        draws.append(dataset.restore(x))
    return draws
