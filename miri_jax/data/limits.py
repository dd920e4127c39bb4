"""How much memory a table takes, looked at before and while it is read.

Files say how large they are unpacked, or are unpacked and counted. What they
do not tell the system catches: a reader gets no more memory than is free.
"""

import contextlib
import math
import os
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from miri_jax.data.extras import needed
from miri_jax.data.packing import arrow_file, unpacked_size
from miri_jax.endings import LINES, SEPARATORS, STATISTICS
from miri_jax.exceptions import DataError, first_line, sized

# What a table takes at the highest (experiments/large_file.py: 6.3 bytes for
# each byte of a CSV of numbers of 5 decimals, which are 7.5 bytes each).
BYTES_A_BYTE, BYTES_A_CELL = 7.3, 48
# Likewise of JSON lines (17 and 20 of numbers of 5 decimals and of 1 digit) and
# of a workbook's pages, which are read twice (21 of numbers, 12 of text).
BYTES_A_BYTE_OF_LINES, BYTES_A_BYTE_OF_SHEETS = 20, 21
BYTES_A_CELL_OF_SHEETS = 200
# Texts of so many bytes need not be counted.
FEW = 2**26


def free_memory() -> int:
    """Bytes of memory that this process may still take; 0 where unknown.

    That is what the system has, with swap, or less where its group of
    processes or itself is limited.
    """
    free = _free_here()
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        for kind, name in (
            (resource.RLIMIT_AS, "VmSize:"),
            (resource.RLIMIT_DATA, "VmData:"),
        ):
            most, _ = resource.getrlimit(kind)
            if most != resource.RLIM_INFINITY:
                left = max(most - _number_of("/proc/self/status", name), 1)
                free = min(free or left, left)
    return free


def _free_here() -> int:
    free = _number_of("/proc/meminfo", "MemAvailable:")
    if free:
        free += _number_of("/proc/meminfo", "SwapFree:")
    else:
        with contextlib.suppress(AttributeError, ValueError, OSError):
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = pathlib.Path("/sys/fs/cgroup")
    # Of a group without a limit that is "max", and none has no such file.
    with contextlib.suppress(ValueError, OSError):
        most = int((group / "memory.max").read_text())
        taken = int((group / "memory.current").read_text())
        free = min(free or most, max(most - taken, 1))
    return free


def _number_of(path: str, name: str) -> int:
    """Bytes that a file of the system has behind a name; 0 where it has not."""
    with contextlib.suppress(ValueError, OSError):
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def refuse_too_large(path: str, ending: str, rows: float = math.inf) -> None:
    """Refuses a table that would not fit into the memory that is free.

    Args:
      path: of the file.
      ending: of its name.
      rows: how many of its rows are in memory at once.

    Raises:
      DataError: naming the sizes and the remedy.
    """
    free, size = free_memory(), 0.0
    # A damaged file is for its reader to tell of.
    with contextlib.suppress(OSError, ValueError, zipfile.BadZipFile):
        size = _bytes_of(path, ending, free or math.inf, rows)
    if free and size > free:
        raise _too_large(
            path,
            f"about {sized(size)} of memory, and {sized(free)} are free",
        )


def refuse_too_many(path: str, what: str, cells: int) -> None:
    """Refuses more cells than there is memory for.

    Args:
      path: of the file.
      what: of the file has them.
      cells: how many, empty ones as well.

    Raises:
      DataError: naming the sizes and the remedy.
    """
    free = free_memory()
    if free and BYTES_A_CELL_OF_SHEETS * cells > free:
        raise DataError(
            f"{what} of {path} has {cells} cells, most of them empty, for"
            f" which the {sized(free)} of free memory are too few; delete"
            " what is far below and beside the table, or save it as CSV"
        )


@contextlib.contextmanager
def within_memory(path: str) -> Iterator[None]:
    """What reads a file fails once it takes more memory than is free.

    Without that, the system ends the process, or another one, where a file
    unpacks to more than it says. Linux alone has such a limit.

    Raises:
      DataError: naming the file and the remedy.
    """
    free, before = free_memory(), None
    taken = _number_of("/proc/self/status", "VmData:")
    if free and taken:
        import resource

        before = resource.getrlimit(resource.RLIMIT_DATA)
        most = [x for x in before if x != resource.RLIM_INFINITY]
        limit = min([taken + free, *most]), before[1]
        resource.setrlimit(resource.RLIMIT_DATA, limit)
    try:
        yield
    except Exception as error:
        if _is_of_memory(error):
            size = f" than the {sized(free)} that are free"
            raise _too_large(path, f"more memory{size}") from None
        raise
    finally:
        if before is not None:
            resource.setrlimit(resource.RLIMIT_DATA, before)


def _too_large(path: str, takes: str) -> DataError:
    return DataError(
        f"{path} takes {takes}; leave out rows or columns, or save it as"
        " Parquet and fill it by parts, from a fit to some of its rows",
        about=("parts",),
    )


def _is_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was made of, is of too little memory."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        if "out of memory" in first_line(error):  # pandas' parser
            return True
        error = error.__cause__ or error.__context__
    return False


def _bytes_of(path: str, ending: str, free: float, rows: float) -> float:
    """Bytes of memory that a file takes, counted up to a little above `free`.

    Raises:
      OSError, ValueError, zipfile.BadZipFile: where it is damaged.
    """
    if ending in SEPARATORS:
        separator = SEPARATORS[ending].encode()
        size, cells = unpacked_size(
            path, free / BYTES_A_BYTE, free / BYTES_A_CELL, (separator, b"\n")
        )
        return max(BYTES_A_BYTE * size, BYTES_A_CELL * cells)
    if ending in LINES:
        size, _ = unpacked_size(path, free / BYTES_A_BYTE_OF_LINES)
        return BYTES_A_BYTE_OF_LINES * size
    if ending == ".xlsx":
        with zipfile.ZipFile(path) as file:
            sizes = [x.file_size for x in file.infolist()]
        return BYTES_A_BYTE_OF_SHEETS * sum(sizes)
    if ending == ".parquet":
        return _bytes_of_parquet(path, free, rows)
    if ending == ".feather":
        return _bytes_of_feather(path, free)
    if ending in STATISTICS:
        return _bytes_of_statistics(path, ending)
    raise ValueError(f"no sizes are known of {ending}")


def _bytes_of_statistics(path: str, ending: str) -> float:
    pyreadstat = needed("pyreadstat", "statistics", path)
    try:
        read = getattr(pyreadstat, f"read_{ending[1:]}")
        _, meta = read(path, metadataonly=True)
    except Exception as error:  # of a damaged file, any kind
        raise ValueError(first_line(error)) from None
    return BYTES_A_CELL * (meta.number_rows or 0) * meta.number_columns


def _bytes_of_parquet(path: str, free: float, rows: float) -> float:
    """Cells as the file's metadata say, and its texts, if these are many."""
    with pq.ParquetFile(arrow_file(path)) as file:
        meta = file.metadata
        share = min(rows / max(meta.num_rows, 1), 1)
        cells, texts = 0, 0
        suspected: dict[str, int] = {}
        for group in range(meta.num_row_groups):
            for leaf in range(meta.num_columns):
                chunk = meta.row_group(group).column(leaf)
                cells += chunk.num_values
                if chunk.physical_type != "BYTE_ARRAY":
                    continue
                # Each value may be one of the chunk's bytes once more.
                most = chunk.num_values * chunk.total_uncompressed_size
                if most > FEW:
                    name = chunk.path_in_schema
                    suspected[name] = max(
                        suspected.get(name, 1), chunk.total_uncompressed_size
                    )
                else:
                    texts += chunk.total_uncompressed_size
        found = BYTES_A_CELL * max(cells, meta.num_rows * meta.num_columns)
        for name, largest in suspected.items():
            if share * (found + texts) > free:
                break
            part = int(min(max(free / 8 // largest, 1), 65536))
            for batch in file.iter_batches(part, columns=[name]):
                texts += batch.nbytes
                if share * (found + texts) > free:
                    break
    return share * (found + texts)


def _bytes_of_feather(path: str, free: float) -> float:
    """Cells and bytes of a file's parts, unpacked one after another."""
    with (
        pa.memory_map(os.fsencode(path)) as source,
        pa.ipc.open_file(source) as file,
    ):
        cells, size = 0, 0
        for k in range(file.num_record_batches):
            batch: Any = file.get_batch(k)
            cells += batch.num_rows * batch.num_columns
            size += batch.nbytes
            found = max(BYTES_A_CELL * cells, size)
            if found > free:
                break
    return max(BYTES_A_CELL * cells, size)
