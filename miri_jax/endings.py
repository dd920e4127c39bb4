"""Names of files with tables: their endings, and what is named after them.

Commands look at them before they load what reads and writes tables.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from miri_jax.exceptions import ConfigError, DataError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
# A JSON object each line.
LINES = (".jsonl", ".ndjson")
# Files of statistics programs, of which the last are read only.
STATISTICS = (".sav", ".dta", ".sas7bdat")
READ_ONLY = (".sas7bdat",)
PACKED = (".gz", ".bz2", ".xz", ".zst")
_TEXT = (*SEPARATORS, *LINES)
ENDINGS = (*_TEXT, ".xlsx", ".parquet", ".feather", *STATISTICS)
# What stands for stdin and stdout.
PIPE = "-"


def packing_of(path: str) -> str:
    """The last ending of a packed file; "" of another."""
    return next((end for end in PACKED if path.lower().endswith(end)), "")


def ending_of(path: str, written: bool = False) -> str:
    """The ending of a table's file, without .gz and the like.

    Args:
      path: of the file.
      written: whether it is to be written.

    Raises:
      DataError: if `ENDINGS` lacks it, or nothing writes it.
    """
    packed = packing_of(path)
    suffixes = [s.lower() for s in pathlib.Path(path).suffixes]
    suffixes = suffixes[: -1 if packed else None]
    ending = suffixes[-1] if suffixes else ""
    known = _TEXT if packed else ENDINGS
    if ending not in known:
        after = f" before {packed}" if packed else ""
        raise DataError(f"{path} does not end in {', '.join(known)}{after}")
    if written and ending in READ_ONLY:
        raise DataError(
            f"{path}: nothing writes {ending} files; choose another ending, as"
            " .csv"
        )
    return ending


def numbered(path: str, count: int) -> list[str]:
    """`count` names of files: the path itself, or NAME_1.ENDING and so on."""
    if count == 1:
        return [path]
    stem = stem_of(path)
    ending = path[len(stem) :]
    return [f"{stem}_{k + 1}{ending}" for k in range(count)]


def refuse_itself(read: str, output: str, count: int) -> None:
    """Refuses to write `count` files where the table is that is read.

    Raises:
      ConfigError: naming the output.
    """
    written = [output, *numbered(output, count)]
    if pathlib.Path(read).absolute() in [
        pathlib.Path(path).absolute() for path in written
    ]:
        raise ConfigError(
            f"output {output} is the table itself; choose another name"
        )


def check_form(path: str, given: Mapping[str, Any]) -> None:
    """Refuses settings that the form of a file does not have.

    Raises:
      DataError: naming one.
    """
    ending = ending_of(path)
    for name, value in given.items():
        cells = ending in (*LINES, ".xlsx") and name in ("decimal", "dates")
        rows = ending == ".xlsx" and name == "skip_rows"
        own = ending == ".xlsx" if name == "sheet" else ending in SEPARATORS
        if value is not None and not (own or cells or rows):
            what = "workbooks" if name == "sheet" else "text files"
            raise DataError(
                f"{name} is a setting of {what}, and {path} is none; leave it"
                " out",
                about=(name,),
            )


def refuse_missing(path: str) -> None:
    """Refuses a table's file that is not there.

    Raises:
      DataError: naming it.
    """
    if not pathlib.Path(path).is_file():
        raise DataError(f"no such file: {path}")


def stem_of(path: str) -> str:
    """The path of a table's file without its ending."""
    return path[: -len(ending_of(path) + packing_of(path))]
