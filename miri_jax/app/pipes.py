"""Tables from stdin and to stdout, by way of files that are gone afterwards."""

import argparse
import contextlib
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator

from miri_jax.endings import PIPE, READ_ONLY, ending_of
from miri_jax.exceptions import DataError

# What files begin with that are no text of cells.
_STARTS = {b"PK\3\4": ".xlsx", b"PAR1": ".parquet", b"ARROW1": ".feather"}


@contextlib.contextmanager
def piped(given: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """The words of a command with files in the place of pipes.

    What comes is told by its first bytes; what goes is of the same kind. It is
    written at the end, if there is no error.

    Raises:
      DataError: where nothing comes.
    """
    reads, writes = given.input == PIPE, given.output == PIPE
    if not (reads or writes):
        yield given
        return
    made = argparse.Namespace(**vars(given))
    with tempfile.TemporaryDirectory() as folder:
        if reads:
            content = sys.stdin.buffer.read()
            if not content.strip():
                raise DataError("nothing came from stdin; give it a table")
            path = pathlib.Path(folder, f"stdin{_ending(content)}")
            path.write_bytes(content)
            made.input = str(path)
        if writes:
            ending = ending_of(made.input)
            ending = ".csv" if ending in READ_ONLY else ending
            made.output = str(pathlib.Path(folder, f"stdout{ending}"))
        yield made
        if writes:
            with open(made.output, "rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def _ending(content: bytes) -> str:
    for start, ending in _STARTS.items():
        if content.startswith(start):
            return ending
    return ".jsonl" if content.lstrip()[:1] == b"{" else ".csv"
