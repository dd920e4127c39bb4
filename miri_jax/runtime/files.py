"""Files that stand for a finished thing: the old one or the new, never half.

They are written beside their place and renamed, several of them when all are
whole.
"""

import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from miri_jax.exceptions import WorkdirError

Fill = Callable[[str], None]


def partial_of(path: pathlib.Path) -> pathlib.Path:
    """Where a file is written before it is whole.

    The name ends as that of the file does, since writers go by endings.
    """
    return path.with_name(f".partial-{path.name}")


@contextlib.contextmanager
def together(
    before: Callable[[Mapping[pathlib.Path, str]], None] = lambda made: None,
) -> Iterator[Callable[[pathlib.Path, Fill], None]]:
    """Files that appear at the end, when all of them are whole, or not at all.

    Args:
      before: called with the digest of each file, when all are whole and none
        has appeared.

    Yields:
      What lets `fill` write a file, whose name it is given, for a path.

    Raises:
      WorkdirError: naming the file that cannot be written.
    """
    made: dict[pathlib.Path, str] = {}

    def write(path: pathlib.Path, fill: Fill) -> None:
        made[path] = ""
        partial = partial_of(path)
        with naming(path):
            fill(str(partial))
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            made[path] = digest_of(partial)

    try:
        yield write
        before(made)
        for path in made:
            with naming(path):
                os.replace(partial_of(path), path)
        for folder in {path.parent for path in made}:
            with naming(folder):
                sync_folder(folder)
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                partial_of(path).unlink(missing_ok=True)


def write_atomically(path: pathlib.Path, write: Fill) -> None:
    """Lets `write` fill a file beside `path`, then renames it to `path`.

    Raises:
      WorkdirError: naming the file, where it cannot be written.
    """
    with together() as one:
        one(path, write)


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes an object as indented JSON, atomically."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda p: pathlib.Path(p).write_text(text))


def read_json(path: pathlib.Path, finite: bool = True) -> dict[str, Any]:
    """An object from a JSON file.

    Args:
      path: the file.
      finite: whether NaN and infinite numbers are refused.

    Raises:
      OSError: where it cannot be read.
      ValueError: where it holds something else.
    """
    try:
        found = json.loads(
            path.read_text("utf-8"), parse_constant=_refuse if finite else None
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it holds no object of settings")
    return found


def digest_of(path: pathlib.Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Where the system refuses to write, the error names the file.

    Raises:
      WorkdirError: naming it.
    """
    try:
        yield
    except OSError as error:
        # Libraries that write keep the number and have other words.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise WorkdirError(
            f"{path} cannot be written: {reason}; nothing that was there is"
            " lost, and the same command goes on once that is mended"
        ) from error


def folder_of_programs() -> str:
    """Where compiled programs are kept, if nothing else is said."""
    # What is empty or relative counts as not set, by the XDG specification.
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.cache")
    return os.path.join(home, "miri_jax")


def sync_folder(folder: pathlib.Path) -> None:
    """Makes sure that renamed files keep their names if the power fails."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows has no such thing.
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _refuse(word: str) -> None:
    raise ValueError(f"it holds {word}, which is no finite number")
