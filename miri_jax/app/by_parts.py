"""What cannot be asked for where a table is filled by parts.

It loads nothing heavy, as words are looked at before a table is.
"""

import os
from collections.abc import Mapping
from typing import Any

from miri_jax.app.command_line import BELONG_FLAGS, CHANGE_FLAGS, TEXT_FLAGS
from miri_jax.endings import ending_of
from miri_jax.exceptions import ConfigError, DataError


def fills_folder(read: str, written: str) -> bool:
    """Whether filled parts go into a folder, and not into one file."""
    return os.path.isdir(read) or not _ending(written)


def _ending(path: str) -> str:
    """The ending of a table's name; "" where it is of none."""
    try:
        return ending_of(path)
    except DataError:
        return ""


def check_parts(read: str, written: str, given: Mapping[str, Any]) -> None:
    """Refuses what cannot be had where a table is filled by parts.

    Args:
      read: the table's file, or a folder of its parts.
      written: the file that is filled, or the folder.
      given: settings by name, of words or of a config.

    Raises:
      ConfigError: naming the first, and its flag.
    """
    flag, folder = "--stream", fills_folder(read, written)
    if given["dask"] is not None:
        flag = "--dask"
        _check_workers(given["dask"])
        if not folder:
            raise ConfigError(
                f"--dask fills parts; name a folder for them, not {written}"
            )
    elif not given["stream"]:
        flag = "a folder"
    if os.path.isdir(read):
        if _ending(written):
            raise ConfigError(
                f"{read} is a folder of parts, which are filled into a folder;"
                f" {written} ends in {_ending(written)}"
            )
        text = ("sheet", "decimal", "dates")
    else:
        text = (*TEXT_FLAGS,)
        for path in (read,) if folder else (read, written):
            if ending_of(path) != ".parquet":
                raise ConfigError(
                    f"{flag} takes Parquet files; {path} is another kind"
                )
    if given["draws"] != 1 and not folder:
        raise ConfigError(
            f"--stream gives one draw, not {given['draws']}; name a folder for"
            " the parts of several"
        )
    for what in text:
        if given[what] is not None:
            files = "Parquet files" if len(text) > 3 else "Parquet or CSV"
            raise ConfigError(
                f"{flag} takes {files}; leave out {TEXT_FLAGS[what]}"
            )
    for what, word in CHANGE_FLAGS.items():
        if given[what]:
            raise ConfigError(
                f"{flag} cannot change filled cells; leave out {word}"
            )
    if given["long"]:
        raise ConfigError(f"{flag} gives no long form; leave out --long")
    for what in ("group", "time"):
        if given[what]:
            raise ConfigError(
                f"{flag} fills by parts, and rows that belong together may be"
                f" in several; leave out {BELONG_FLAGS[what]}"
            )
    if given["check"]:
        raise ConfigError(
            f"{flag} gives no report, so that --check has no place; leave one"
            " of them out"
        )


def _check_workers(where: str) -> None:
    """Refuses what is neither an address nor a number of workers."""
    if where == "" or (where.isdecimal() and int(where)):
        return
    host, _, port = where.rpartition(":")
    if not host.strip("/") or not port.isdecimal():
        raise ConfigError(
            f"--dask takes a scheduler's address, as tcp://HOST:8786, a number"
            f" of workers, or nothing; it was given {where!r}"
        )
