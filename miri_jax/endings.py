"""Names of files with tables: their endings, and what is named after them.

Commands look at them before they load what reads and writes tables.
"""

import os
import pathlib
import stat
from collections.abc import Mapping
from typing import Any

from miri_jax.exceptions import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
# A JSON object each line.
LINES = (".jsonl", ".ndjson")
# Files of statistics programs, of which the last are read only.
STATISTICS = (".sav", ".dta", ".sas7bdat")
READ_ONLY = (".sas7bdat",)
PACKED = (".gz", ".bz2", ".xz", ".zst")
_TEXT = (*SEPARATORS, *LINES)
ENDINGS = (*_TEXT, ".xlsx", ".parquet", ".feather", *STATISTICS)
# Files that a folder of parts may be of.
PARTS = (".parquet", ".csv", ".tsv")
# What stands for stdin and stdout.
PIPE = "-"

_KINDS_OF_FILES = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


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
    if os.path.basename(path) in ("", os.curdir, os.pardir):
        raise DataError(
            f"{path!r} is not the name of a file; give one, such as out.csv"
        )
    packed = packing_of(path)
    suffixes = [s.lower() for s in pathlib.Path(path).suffixes]
    suffixes = suffixes[: -1 if packed else None]
    ending = suffixes[-1] if suffixes else ""
    known = _TEXT if packed else ENDINGS
    if ending not in known:
        after = f" before {packed}" if packed else ""
        shown = path if path == path.strip() else repr(path)
        raise DataError(f"{shown} does not end in {', '.join(known)}{after}")
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


def results_of(
    path: str, folder: str, output: str | None, count: int, long: bool
) -> list[str]:
    """Names of the files that hold a table's filled draws.

    Args:
      path: of the table that is read.
      folder: of the run, where they go if nothing else is said.
      output: the name that is asked for.
      count: of draws.
      long: whether all go into one file.
    """
    if not output:
        ending = ending_of(path)
        ending = ".csv" if ending in READ_ONLY else ending
        output = str(pathlib.Path(folder, f"imputed{ending}"))
    return numbered(output, 1 if long else count)


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
    """Refuses a table's file that is not there, or is no file.

    Raises:
      DataError: naming it.
    """
    kind = kind_of(path)
    if kind == "nothing":
        raise DataError(f"no such file: {path}")
    if kind != "a file":
        raise DataError(
            f"{path} is {kind}; give the name of a file, or - for stdin"
        )


def kind_of(path: str | os.PathLike[str]) -> str:
    """What a name stands for, links followed: "a file", "nothing", ..."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return "nothing"
    return _KINDS_OF_FILES.get(stat.S_IFMT(mode), "a device")


def stem_of(path: str) -> str:
    """The path of a table's file without its ending."""
    return path[: -len(ending_of(path) + packing_of(path))]
