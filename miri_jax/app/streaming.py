"""Tables that are larger than memory: fitted to a sample, filled by parts.

A file is one part, written to one file. Of a folder each part is filled by
itself, in any order, by this process or by others; what was made is in its
manifest, by which the same command goes on.
"""

import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from miri_jax.app.claims import refuse_unnameable
from miri_jax.app.manifest import (
    MODEL,
    Made,
    Manifest,
    begun_of,
    clear_model,
    make,
    open_manifest,
    places_of,
    refuse_foreign,
    stamp,
    standing,
)
from miri_jax.app.sampling import ROWS, Sample, draw_sample, types_of_all
from miri_jax.app.workers import Each, in_turn
from miri_jax.data import parts as data_parts
from miri_jax.data.limits import refuse_too_large
from miri_jax.data.parts import Part, write_part
from miri_jax.estimator import MIRIImputer
from miri_jax.estimator.checks import stated_by
from miri_jax.exceptions import WorkdirError
from miri_jax.runtime import interrupt
from miri_jax.runtime.files import write_atomically

SAMPLE_ROWS, PART_ROWS = ROWS, data_parts.ROWS
Say = Callable[[str], None]


def _silent(line: str) -> None:
    del line


def impute_parquet(
    source: str | pathlib.Path,
    target: str | pathlib.Path,
    imputer: MIRIImputer,
    *,
    sample_rows: int = SAMPLE_ROWS,
    part_rows: int = PART_ROWS,
    seed: int = 0,
    say: Say = _silent,
) -> None:
    """Fills a Parquet file of any length in memory that does not grow with it.

    The imputer is fitted to rows drawn at random, see `sampling.draw_sample`;
    all rows are then filled, some at a time, and written at once. What lies
    beyond the sample is kept as it is, where it is observed; give
    `unseen="missing"` to an imputer that shall take levels that the sample
    lacks.

    Args:
      source: the file.
      target: the filled one, of the same schema; not there until it is whole.
      imputer: settings and method; fitted afterwards.
      sample_rows: how many rows it is fitted to, or all.
      part_rows: how many are in memory at once.
      seed: of the choice of rows.
      say: called with a line after every hundredth of the rows.

    Raises:
      DataError: naming what cannot be used, and the remedy.
      NonFiniteError: if a gap was not filled.
    """
    refuse_too_large(str(source), ".parquet", max(sample_rows, part_rows))
    part = Part(pathlib.Path(source).name, str(source))
    types, sample = _fit([part], imputer, in_turn, sample_rows, seed, say)
    done = said = 0

    def told(rows: int) -> None:
        nonlocal done, said
        done += rows
        if 100 * done // sample.rows > said:
            said = 100 * done // sample.rows
            say(f"{said} % of {sample.rows} rows")

    write_atomically(
        pathlib.Path(target),
        lambda path: _write(part, [path], types, imputer, part_rows, told),
    )


def impute_parts(
    parts: Sequence[Part],
    out: pathlib.Path,
    imputer: MIRIImputer,
    *,
    settings: Mapping[str, Any],
    each: Each = in_turn,
    sample_rows: int = SAMPLE_ROWS,
    part_rows: int = PART_ROWS,
    force: bool = False,
    say: Say = _silent,
) -> None:
    """Fills each part of a data set to a file of its name in another folder.

    The imputer is fitted as by `impute_parquet` and kept there; parts that the
    same settings have left there stay as they are.

    Args:
      parts: of the data set, see `data.parts.find_parts`.
      out: the folder, with a folder for each of several draws.
      imputer: settings and method, the number of draws among them.
      settings: what else decides the result, for the manifest.
      each: does the work of parts, see `workers`.
      sample_rows: how many rows the fit takes, or all.
      part_rows: how many are in memory at once.
      force: whether what is there is replaced.
      say: called with a line now and then.

    Raises:
      MiriError: see its subclasses; parts that are filled stay.
    """
    begun, draws = time.monotonic(), imputer.n_imputations
    made_by = {**settings, "sample_rows": sample_rows, "rows": part_rows}
    manifest = open_manifest(out, made_by, force)
    left = _left(parts, out, manifest, draws, each, say)
    places = [name for part in left for name in places_of(part, draws)]
    for path in (out / name for name in places):
        refuse_unnameable(path, begun_of(path))
    if not force:
        known = [
            name for one in manifest.parts.values() for name in one["results"]
        ]
        refuse_foreign(out, iter(sorted({*places} - {*known})))
    if not left:
        say(f"all {len(parts)} parts are there")
        return
    for part in left:  # of others the reader takes some lines at a time
        if part.path.lower().endswith(".parquet"):
            refuse_too_large(part.path, ".parquet", part_rows)
    with manifest.begun():
        if manifest.model:
            say(f"the model in {out / MODEL} fills the parts that are left")
            types, _ = types_of_all(parts, each)
        else:
            seed = int(imputer.random_state or 0)
            types, sample = _fit(parts, imputer, each, sample_rows, seed, say)
            imputer.save(clear_model(out))
            manifest.fitted(
                rows=sample.rows,
                sample={"rows": len(sample.frame), "at_random": sample.drawn},
                notes=list(map(str, imputer.notes_)),
            )
        model = str((out / MODEL).absolute()), str(manifest.model)
        asked = [
            (part, str(out.absolute()), draws, types, part_rows, model)
            for part in left
        ]
        done = len(parts) - len(left)
        try:
            for _, made in each(_make, asked):
                manifest.add(made)
                done += 1
                if done * 100 // len(parts) > (done - 1) * 100 // len(parts):
                    say(f"{done} of {len(parts)} parts")
        finally:
            manifest.settle()
    mine = [manifest.parts[part.name] for part in parts]
    rows, filled = (sum(one[x] for one in mine) for x in ("rows", "filled"))
    seconds = round(time.monotonic() - begun, 1)
    manifest.end(rows=rows, filled=filled, seconds=seconds)
    say(f"filled {filled} cells of {rows} rows in {seconds:.0f} s")


def _fit(
    parts: Sequence[Part],
    imputer: MIRIImputer,
    each: Each,
    rows: int,
    seed: int,
    say: Say,
) -> tuple[pa.Schema, Sample]:
    """Fits to rows of all parts; also gives the types of their columns."""
    types, weight = types_of_all(parts, each)
    sample = draw_sample(
        parts,
        types,
        weight,
        each,
        rows=rows,
        seed=seed,
        na_values=imputer.missing_values,
    )
    imputer.fit(sample.frame)
    more = len(sample.frame) - sample.drawn
    say(
        f"fitted to {sample.drawn} of {sample.rows} rows drawn at random"
        + (f", and {more} more with what these lack" if more else "")
    )
    return types, sample


def _left(
    parts: Sequence[Part],
    out: pathlib.Path,
    manifest: Manifest,
    draws: int,
    each: Each,
    say: Say,
) -> list[Part]:
    """The parts that are still to be filled.

    Raises:
      WorkdirError: naming a file that was changed since it was written.
    """
    known = [part for part in parts if part.name in manifest.parts]
    results = [manifest.parts[part.name]["results"] for part in known]
    found = dict(each(standing, [(str(out), one) for one in results]))
    whole = set()
    for k, part in enumerate(known):
        if found[k] not in ("", "gone"):
            raise WorkdirError(
                f"{out / found[k]} is not as it was written; delete it, and"
                " the same command makes it anew, or make all anew",
                about=("restart",),
            )
        if found[k] == "gone":
            say(f"{part.name} is gone: it is made anew")
        elif manifest.parts[part.name]["source"] != stamp(part.path):
            say(f"{part.path} changed since it was filled: it is filled anew")
        else:
            whole.add(part.name)
    if whole:
        say(f"{len(whole)} of {len(parts)} parts are there")
    return [part for part in parts if part.name not in whole]


def _make(
    part: Part,
    out: str,
    draws: int,
    types: pa.Schema,
    rows: int,
    model: tuple[str, str],
) -> Made:
    """Fills a part by a saved model, in whatever process."""
    imputer = _loaded(*model)

    def write(paths: list[str]) -> tuple[int, int]:
        return _write(part, paths, types, imputer, rows)

    return make(part, out, draws, write)


@functools.lru_cache(maxsize=1)
def _loaded(path: str, digest: str) -> MIRIImputer:
    """A model, read once by each process while it is the same."""
    del digest
    return MIRIImputer.load(path)


def _write(
    part: Part,
    paths: list[str],
    types: pa.Schema,
    imputer: MIRIImputer,
    rows: int,
    told: Callable[[int], None] = lambda rows: None,
) -> tuple[int, int]:
    """Writes the draws of a part, see `parts.write_part`."""
    stated = stated_by(imputer, types.names)
    with_gaps = stated.with_gaps() if stated is not None else set()
    with_gaps |= {c.name for c in imputer.columns_ if c.kind == "id"}

    def fill(frame: pd.DataFrame, name: str) -> list[pd.DataFrame]:
        interrupt.stop_if_requested()
        draws = imputer.imputations(frame, len(paths), part=name)
        told(len(frame))
        return draws

    return write_part(
        part,
        paths,
        types,
        fill,
        na_values=imputer.missing_values,
        with_gaps=with_gaps,
        rows=rows,
    )
