"""Tables that are larger than memory: fitted to a sample, filled by parts."""

import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from miri_jax.data.limits import refuse_too_large
from miri_jax.data.plain import NULLABLE
from miri_jax.estimator import MIRIImputer
from miri_jax.estimator.checks import stated_by
from miri_jax.exceptions import DataError, NonFiniteError
from miri_jax.runtime import interrupt
from miri_jax.runtime.files import write_atomically

SAMPLE_ROWS, PART_ROWS = 100_000, 65_536


def impute_parquet(
    source: str | pathlib.Path,
    target: str | pathlib.Path,
    imputer: MIRIImputer,
    *,
    sample_rows: int = SAMPLE_ROWS,
    part_rows: int = PART_ROWS,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Fills a Parquet file of any length in memory that does not grow with it.

    The imputer is fitted to rows drawn at random; all rows are then filled part
    by part and written at once. What lies beyond the sample is kept as it is,
    where it is observed; give `unseen="missing"` to an imputer that shall take
    levels that the sample lacks.

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
    try:
        # Buffered ahead, it would all be in memory at the end.
        file = pq.ParquetFile(source, pre_buffer=False)
    except FileNotFoundError:
        raise DataError(f"no such file: {source}") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{source} cannot be read as parquet: {error}"
        ) from None
    with file:
        rows = file.metadata.num_rows
        sample = _sample(file, min(sample_rows, rows), part_rows, seed)
        if not len(sample):
            raise DataError(f"{source} has columns but no rows")
        imputer.fit(sample)
        say(f"fitted to {len(sample)} of {rows} rows drawn at random")
        write_atomically(
            pathlib.Path(target),
            lambda path: _fill(file, path, imputer, part_rows, say),
        )


def _parts(file: pq.ParquetFile, part_rows: int) -> Iterator[pd.DataFrame]:
    for batch in file.iter_batches(part_rows, use_threads=False):
        interrupt.stop_if_requested()
        yield batch.to_pandas(types_mapper=NULLABLE.get)


def _sample(
    file: pq.ParquetFile, count: int, part_rows: int, seed: int
) -> pd.DataFrame:
    """Rows drawn without replacement, in their order."""
    rows = file.metadata.num_rows
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(rows, count, replace=False, shuffle=False))
    found, start = [], 0
    for part in _parts(file, part_rows):
        low, high = np.searchsorted(chosen, (start, start + len(part)))
        found.append(part.iloc[chosen[low:high] - start])
        start += len(part)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _fill(
    file: pq.ParquetFile,
    path: str,
    imputer: MIRIImputer,
    part_rows: int,
    say: Callable[[str], None],
) -> None:
    schema, rows, done, said = file.schema_arrow, file.metadata.num_rows, 0, 0
    with pq.ParquetWriter(path, schema) as writer:
        stated = stated_by(imputer, schema.names)
        with_gaps = stated.with_gaps() if stated is not None else set()
        with_gaps |= {c.name for c in imputer.columns_ if c.kind == "id"}
        for filled in imputer.transform_parts(_parts(file, part_rows)):
            whole = filled.columns[~filled.columns.isin(with_gaps)]
            if not filled[whole].notna().all(axis=None):
                raise NonFiniteError("a gap was not filled; nothing is written")
            table = pa.Table.from_pandas(filled, schema)
            writer.write_table(table)
            done += len(filled)
            if 100 * done // rows > said:
                said = 100 * done // rows
                say(f"{said} % of {rows} rows")
