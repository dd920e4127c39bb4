"""One line of results: what was measured, how, with what and where."""

import datetime
import json
import os
import pathlib
import platform
import re
import sys
from collections.abc import Callable
from typing import Any

from absl import app

from miri_jax.app.command_line import fail
from miri_jax.exceptions import MiriError
from miri_jax.runtime.provenance import revision, versions


def machine() -> str:
    """The processor's name and its number of cores; a GPU's or TPU's too."""
    name = platform.processor() or platform.machine()
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux
    name = f"{name}, {os.cpu_count()} cores"
    jax = sys.modules.get("jax")
    if jax is not None and jax.default_backend() != "cpu":
        name += f", {jax.device_count()} x {jax.devices()[0].device_kind}"
    return name


def append(path: str, **row: Any) -> None:
    """Appends a row to a .jsonl, with how and where it was measured.

    That is the command, versions, the commit, the machine, its load over the
    last minute, and the date.
    """
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    row |= {
        "command": " ".join(["python", _script(), *map(short, sys.argv[1:])]),
        "versions": versions(),
        "revision": revision(),
        "machine": machine(),
        "load": os.getloadavg()[0],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    with open(file, "a") as out:
        out.write(json.dumps(row) + "\n")


def short(word: str) -> str:
    """A word of a command, with absolute paths by their last part alone."""
    return re.sub(r"(?<![\w.~-])/(?:[\w.+-]+/)*(?=[\w.+-])", "", word)


def _script() -> str:
    """The running script, from the root of the repository."""
    path, root = pathlib.Path(sys.argv[0]), pathlib.Path(__file__).parents[1]
    here = path.absolute()
    return str(here.relative_to(root) if here.is_relative_to(root) else path)


def run(main: Callable[[list[str]], None]) -> None:
    """Runs a script; what is wrong with its flags or files is one line."""

    def told(argv: list[str]) -> None:
        try:
            main(argv)
        except (MiriError, OSError) as error:
            fail(error)

    app.run(told)


def read(*paths: str | os.PathLike) -> list[dict]:
    """The lines of results files, in order; none of a file that is not there.

    A last line that was cut off, as by a machine that went down, is left out.
    """
    rows = []
    for path in paths:
        file = pathlib.Path(path)
        lines = file.read_text().splitlines() if file.exists() else []
        for k, line in enumerate(lines):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                if k < len(lines) - 1:
                    raise
    return rows
