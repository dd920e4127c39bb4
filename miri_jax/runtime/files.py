"""Files that stand for a finished thing: the old one or the new, never half.

They are written beside their place and renamed.
"""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any


def write_atomically(path: pathlib.Path, write: Callable[[str], None]) -> None:
    """Lets `write` fill a file beside `path`, then renames it to `path`.

    The temporary name ends as `path` does, since writers go by endings.
    """
    temporary = path.with_name(f".partial-{path.name}")
    try:
        write(str(temporary))
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes an object as indented JSON, atomically."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda p: pathlib.Path(p).write_text(text))


def folder_of_programs() -> str:
    """Where compiled programs are kept, if nothing else is said."""
    home = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    return os.path.join(home, "miri_jax")
