"""Names of files with tables: their endings, and what is named after them.

Commands look at them before they load what reads and writes tables.
"""

import pathlib

from miri_jax.exceptions import ConfigError, DataError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".feather")


def ending_of(path: str) -> str:
    """The ending of a table's file, without .gz.

    Raises:
      DataError: if `ENDINGS` lacks it.
    """
    suffixes = [s.lower() for s in pathlib.Path(path).suffixes]
    packed = suffixes[-1:] == [".gz"]
    ending = suffixes[-2 if packed else -1] if len(suffixes) > packed else ""
    if ending + ".gz" * packed not in ENDINGS:
        raise DataError(f"{path} does not end in {', '.join(ENDINGS)}")
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


def refuse_missing(path: str) -> None:
    """Refuses a table's file that is not there.

    Raises:
      DataError: naming it.
    """
    if not pathlib.Path(path).is_file():
        raise DataError(f"no such file: {path}")


def stem_of(path: str) -> str:
    """The path of a table's file without its ending."""
    ending = next(e for e in ENDINGS[::-1] if path.lower().endswith(e))
    return path[: -len(ending)]
