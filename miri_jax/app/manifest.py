"""The folder of filled parts, and the one file that tells what is in it.

Names that begin with a low line stand for no parts in other tools, so that the
folder can be read as a data set.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from miri_jax import __version__
from miri_jax.data.parts import Part
from miri_jax.exceptions import ConfigError, DataError, WorkdirError
from miri_jax.runtime.files import (
    digest_of,
    naming,
    read_json,
    sync_folder,
    write_json,
)
from miri_jax.runtime.workdir import flatten, refuse_others

MANIFEST, MODEL = "_manifest.json", "_model"
# Seconds between two writes of the manifest, which names all parts.
_PAUSE = 1.0
_BEGUN = ".partial-"


class Made(NamedTuple):
    """A part that is filled and not yet in its place.

    Attributes:
      name: of the part.
      rows: how many it has.
      filled: how many cells were filled.
      source: of its file, see `stamp`.
      results: by name below the folder, the name of what is to be there, and
        its digest.
    """

    name: str
    rows: int
    filled: int
    source: Mapping[str, int]
    results: Mapping[str, tuple[str, str]]


def stamp(path: str) -> dict[str, int]:
    """What tells that a file is the one that was read."""
    found = os.stat(path)
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}


def places_of(part: Part, draws: int) -> list[str]:
    """Where the draws of a part go, below the folder."""
    if draws == 1:
        return [part.name]
    return [f"draw_{k + 1}/{part.name}" for k in range(draws)]


def begun_of(path: pathlib.Path) -> pathlib.Path:
    """Where a filled part is written before it is whole: no other has it."""
    return path.with_name(f"{_BEGUN}{uuid.uuid4().hex}-{path.name}")


def make(
    part: Part,
    folder: str,
    draws: int,
    write: Callable[[list[str]], tuple[int, int]],
) -> Made:
    """Lets `write` fill a part to files beside their places.

    Raises:
      WorkdirError: naming the file that cannot be written.
    """
    source = stamp(part.path)
    places = {
        name: pathlib.Path(folder, name) for name in places_of(part, draws)
    }
    begun = {name: begun_of(path) for name, path in places.items()}
    try:
        with naming(next(iter(places.values()))):
            for path in begun.values():
                path.parent.mkdir(parents=True, exist_ok=True)
            rows, filled = write([str(path) for path in begun.values()])
            results = {}
            for name, path in begun.items():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
                here = path.relative_to(folder).as_posix()
                results[name] = (here, digest_of(path))
    except BaseException:
        for path in begun.values():
            path.unlink(missing_ok=True)
        raise
    return Made(part.name, rows, filled, source, results)


class Manifest:
    """What is in a folder of filled parts; one process writes it."""

    def __init__(self, folder: pathlib.Path, content: dict[str, Any]) -> None:
        """Of a folder, and what its manifest holds."""
        self._folder, self._content = folder, content
        self._waiting: list[Made] = []
        self._written = 0.0

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """By name what was made of each part."""
        return self._content["parts"]

    @property
    def model(self) -> str | None:
        """The digest of the model; None where there is none yet."""
        return self._content["model"]

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Writes it for the first time, which makes the folder a run's.

        Where settings are at fault and no part is filled nothing stays: what
        mends them makes other settings, which the folder would refuse.
        """
        self._folder.mkdir(exist_ok=True)
        self._write()
        try:
            yield
        except DataError:
            if not self.parts:
                self._remove()
            raise

    def fitted(self, **facts: Any) -> None:
        """Takes the model that is in its place, with facts about its fit."""
        self._content["model"] = digest_of_folder(self._folder / MODEL)
        self._content |= facts
        self._write()

    def add(self, made: Made) -> None:
        """Takes a part; it is in its place after `settle` at the latest."""
        self._waiting.append(made)
        if time.monotonic() - self._written > _PAUSE:
            self.settle()

    def settle(self) -> None:
        """Names the parts that wait, and puts them in their places."""
        for made in self._waiting:
            self.parts[made.name] = {
                "rows": made.rows,
                "filled": made.filled,
                "source": dict(made.source),
                "results": {
                    name: digest for name, (_, digest) in made.results.items()
                },
            }
        if self._waiting:
            # Before they are there: what is there and not named is not ours.
            self._write()
        folders = set()
        for made in self._waiting:
            for name, (begun, _) in made.results.items():
                path = self._folder / name
                with naming(path):
                    os.replace(self._folder / begun, path)
                folders.add(path.parent)
        for folder in folders:
            with naming(folder):
                sync_folder(folder)
        self._waiting = []

    def end(self, **facts: Any) -> None:
        """Adds facts about the whole, and deletes what died workers left."""
        self._content |= facts
        self._write()
        _sweep(self._folder)

    def _remove(self) -> None:
        """Deletes it with the model, and the folder if it holds nothing."""
        _sweep(self._folder)
        clear_model(self._folder)
        _clear(self._folder, self._content)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _write(self) -> None:
        write_json(self._folder / MANIFEST, self._content)
        self._written = time.monotonic()


def open_manifest(
    folder: pathlib.Path, settings: Mapping[str, Any], force: bool
) -> Manifest:
    """The manifest of a folder that has one of these settings, or a new one.

    Args:
      folder: of filled parts.
      settings: everything that decides what they hold.
      force: whether what another run has left there goes away.

    Raises:
      WorkdirError: naming a setting that differs, or a manifest or model that
        is damaged.
    """
    path = folder / MANIFEST
    new = {
        "made_by": f"miri_jax {__version__}",
        "settings": dict(settings),
        "model": None,
        "parts": {},
    }
    if not os.path.lexists(path):
        return Manifest(folder, new)
    try:
        content = read_json(path)
        before = flatten(content["settings"])
        for one in content["parts"].values():
            dict(one["source"]), dict(one["results"])
        content["model"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        content = {}
    if force:
        _clear(folder, content)
        return Manifest(folder, new)
    if not content:
        raise WorkdirError(
            f"{path} cannot be read; use another folder or delete this one",
            about=("restart",),
        )
    refuse_others(folder, before, flatten(dict(settings)))
    _sweep(folder)
    made = Manifest(folder, content)
    if made.model and made.model != digest_of_folder(folder / MODEL):
        raise WorkdirError(
            f"{folder / MODEL} is not the model that filled the parts beside"
            " it; use another folder, or fill all parts anew",
            about=("restart",),
        )
    return made


def _sweep(folder: pathlib.Path) -> None:
    for begun in folder.rglob(f"{_BEGUN}*"):
        begun.unlink(missing_ok=True)


def _clear(folder: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Deletes what a run has left in a folder, and nothing else."""
    for part in content.get("parts", {}).values():
        for name in part["results"]:
            path = folder / name
            if folder.resolve() in path.resolve().parents:
                path.unlink(missing_ok=True)
    (folder / MANIFEST).unlink()


def digest_of_folder(folder: pathlib.Path) -> str:
    """SHA-256 of the names and digests of all files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{path.relative_to(folder).as_posix()} {digest_of(path)}\n"
        for path in files
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def clear_model(folder: pathlib.Path) -> pathlib.Path:
    """Where the model goes, of which nothing is left there."""
    path = folder / MODEL
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    return path


def standing(folder: str, results: Mapping[str, str]) -> str:
    """How files stand that were written.

    Args:
      folder: that they are in.
      results: their digests, by name.

    Returns:
      "": as they were; the name of one that is not; "gone" where one is not
      there.
    """
    paths = {name: pathlib.Path(folder, name) for name in results}
    there = [name for name, path in paths.items() if path.is_file()]
    changed = (n for n in there if digest_of(paths[n]) != results[n])
    return next(changed, "" if len(there) == len(paths) else "gone")


def refuse_foreign(folder: pathlib.Path, names: Iterator[str]) -> None:
    """Refuses to replace files that no run is known to have written.

    Raises:
      ConfigError: naming the first.
    """
    for name in names:
        if os.path.lexists(folder / name):
            raise ConfigError(
                f"{folder / name} already exists; choose another name, or"
                " --force"
            )
