"""Which files a command is about to write, and whether it may.

It is looked at before any work, from the settings as they are in the end: what
is read is never written to, by whatever path, and what is there is replaced
only where that is asked for, or where the same run has written it.
"""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from miri_jax.endings import ending_of, kind_of, results_of
from miri_jax.exceptions import ConfigError, sized
from miri_jax.runtime.files import partial_of, together
from miri_jax.runtime.workdir import (
    SETTINGS,
    WorkdirLock,
    claim_workdir,
    is_own,
    note_written,
    written_by,
)

# What a run leaves in its folder besides results.
_OWN = ("report.html", "summary.json", "metrics.jsonl")


class Place(NamedTuple):
    """Where a run writes.

    Attributes:
      folder: of the run.
      lock: of the folder.
      claim: looks whether results may be written.
      anew: whether what another run has left in the folder is deleted.
    """

    folder: pathlib.Path
    lock: WorkdirLock
    claim: Callable[[], Any]
    anew: bool

    def take(self, settings: Mapping[str, Any]) -> bool:
        """Takes the folder for a run of these settings, see `claim_workdir`."""
        self.lock.take()
        if self.anew:
            self.lock.clear()
        return claim_workdir(self.folder, settings)

    def writer(self) -> AbstractContextManager[Any]:
        """What writes results that appear together, see `together`."""

        def before(made: Mapping[pathlib.Path, str]) -> None:
            self.claim()  # Others may have written while a fit went on.
            note_written(self.folder, made)

        return together(before)


def hidden_folder(output: str) -> pathlib.Path:
    """Where a run has what it needs to go on after a stop."""
    path = pathlib.Path(output)
    return path.with_name(f".{path.name}.miri")


def claim_of_run(
    config: Any,
    folder: pathlib.Path,
    *,
    force: bool = False,
    passing: bool = False,
) -> list[pathlib.Path]:
    """Refuses a run that would lose something.

    Args:
      config: of the run, in the end.
      folder: of the run.
      force: whether existing results are replaced.
      passing: whether the folder goes away at the end.

    Returns:
      All files that the run is about to write, but for those that go away.

    Raises:
      ConfigError: naming the file, and the remedy.
    """
    data = config.data
    named = [data.get(name) for name in ("path", "images")]
    reads = [x.removeprefix("npz:").removeprefix("folder:") for x in named if x]
    own = [] if passing else [folder / name for name in _OWN]
    results, report = [], config.get("report")
    output = config.get("output")
    if output:
        ending_of(output, written=True)
    if data.source == "table":
        if data.path:
            found = results_of(
                "beijing.csv" if data.path == "beijing" else data.path,
                str(folder),
                output,
                max(config.draws, 1),
                config.get("long", False),
            )
            results = [*map(pathlib.Path, found)]
    elif output:
        raise ConfigError("output is for tables from a file; leave it out")
    else:
        results = [folder / "imputed.npz"]
    if report:
        if not str(report).lower().endswith((".html", ".htm")):
            raise ConfigError(
                f"report {report} is a page; choose a name that ends in .html"
            )
        results.append(pathlib.Path(report))
    # Of a folder with settings these are a run's, which `claim_workdir` checks.
    begun = os.path.isfile(folder / SETTINGS)
    claim(
        [*map(pathlib.Path, reads)],
        [*results, *own],
        folder,
        replaced=own if begun else (),
        force=force,
        passing=passing,
    )
    if data.source == "table" and data.path and data.path != "beijing":
        copies = config.draws if config.get("long", False) else 1
        refuse_full(pathlib.Path(data.path), results, copies)
    return results


def refuse_full(
    source: pathlib.Path, results: Iterable[pathlib.Path], copies: int = 1
) -> None:
    """Refuses results that the disk has no room for.

    Of the source's kind, each takes about what it does. Of other kinds nothing
    is known.

    Args:
      source: the table's file.
      results: names of files.
      copies: how often each holds the table.

    Raises:
      ConfigError: naming the folder, and the sizes.
    """
    try:
        each = copies * source.stat().st_size
    except OSError:
        return  # It is for who reads it to tell of.
    there: dict[pathlib.Path, int] = {}
    for path in results:
        name, like = path.name.lower(), source.name.lower()
        if pathlib.Path(name).suffix == pathlib.Path(like).suffix:
            folder = path.absolute().parent
            folder = folder if folder.is_dir() else folder.parent
            there[folder] = there.get(folder, 0) + each
    for folder, size in there.items():
        try:
            free = shutil.disk_usage(folder).free
        except OSError:
            continue
        if size > free:
            raise ConfigError(
                f"the results take about {sized(size)}, and in {folder}"
                f" {sized(free)} are free; make room there, or choose another"
                " folder"
            )


def claim(
    reads: Iterable[pathlib.Path],
    writes: Iterable[pathlib.Path],
    folder: pathlib.Path,
    *,
    replaced: Iterable[pathlib.Path] = (),
    force: bool = False,
    passing: bool = False,
) -> None:
    """Refuses to write files where something would be lost, or cannot be.

    Args:
      reads: what is read.
      writes: what is to be written.
      folder: of the run, which knows what it has written before.
      replaced: files that may be there.
      force: whether all may be there, but for those that are read.
      passing: whether the folder goes away at the end, and what is in it.

    Raises:
      ConfigError: naming the file, and the remedy.
    """
    reads, writes, replaced = [*reads], [*writes], {*replaced}
    for path in writes:
        refuse_unnameable(path)
    if passing:
        _refuse_within(folder, reads, writes)
    written = written_by(folder)
    places: set[str] = set()
    for path in writes:
        for read in reads:
            if _same(path, read) or _same(partial_of(path), read):
                raise ConfigError(
                    f"output {path} is the table itself; choose another name"
                )
        _refuse_unwritable(path, folder)
        place = os.path.join(os.path.realpath(path.parent), path.name)
        if place in places:
            raise ConfigError(
                f"{path} would be written twice; choose another name"
            )
        places.add(place)
        if force or path in replaced or not os.path.lexists(path):
            continue
        if not is_own(path, written):
            raise ConfigError(
                f"{path} already exists; choose another name, or --force"
            )


def claim_folder(
    read: pathlib.Path, out: pathlib.Path, folder: pathlib.Path
) -> None:
    """Refuses a folder for filled parts where something would be lost.

    Args:
      read: a folder of parts, or a file.
      out: the folder that is to hold the filled ones.
      folder: of the run, which goes away at the end.

    Raises:
      ConfigError: naming it, and the remedy.
    """
    refuse_unnameable(out)
    _refuse_within(folder, [read], [out])
    here, there = os.path.realpath(read), os.path.realpath(out)
    if here == there:
        raise ConfigError(
            f"output {out} is the table itself; choose another name"
        )
    if os.path.commonpath([here, there]) in (here, there):
        raise ConfigError(
            f"output {out} and {read} are one in the other; choose another"
            " place"
        )
    kind = kind_of(out)
    if kind not in ("a folder", "nothing"):
        raise ConfigError(
            f"output {out} is {kind}; give the name of a folder for the filled"
            " parts"
        )
    _refuse_parent(out)
    if kind == "a folder" and not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(
            f"output {out}: nothing can be written in it; choose another folder"
        )


def _refuse_within(
    folder: pathlib.Path,
    reads: Iterable[pathlib.Path],
    writes: Iterable[pathlib.Path],
) -> None:
    """Refuses a folder that is about to be deleted with what it holds."""
    if folder.is_symlink():
        raise ConfigError(
            f"{folder} is a link, where a run would have its folder; delete"
            " it, or choose another name"
        )
    inside = os.path.realpath(folder) + os.sep
    for path in (*reads, *writes):
        if os.path.realpath(path).startswith(inside):
            raise ConfigError(
                f"{path} is in {folder}, which is deleted at the end; choose"
                " another place"
            )


def _same(path: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether two names stand for one file, whatever leads to it."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def refuse_unnameable(
    path: pathlib.Path, begun: pathlib.Path | None = None
) -> None:
    """Refuses a name that the system cannot have.

    Args:
      path: of a file or folder.
      begun: where it is written before it is whole, see `partial_of`.

    Raises:
      ConfigError: naming it.
    """
    longest = begun or (partial_of(path) if path.name else path)
    # Of a name in a folder that is not there the system says no more.
    there = longest.absolute().parent
    while not os.path.lexists(there):
        there = there.parent
    try:
        for name in (longest, there / longest.name):
            # Pages and settings, which name files, are UTF-8.
            name = str(name).encode().decode()
            with contextlib.suppress(FileNotFoundError):
                os.lstat(os.fsencode(name))
    except (NotADirectoryError, PermissionError):
        pass
    except ValueError:  # Also of what the locale cannot encode.
        raise ConfigError(
            f"output {str(path)!r} cannot be the name of a file here; choose"
            " another name"
        ) from None
    except OSError as error:
        reason = {errno.ENAMETOOLONG: "its name is too long"}.get(
            error.errno or 0, error.strerror
        )
        raise ConfigError(
            f"output {path} cannot be written: {reason}; choose another name"
        ) from None


def _refuse_unwritable(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Refuses a name where no file can be made; a run makes its folder."""
    kind = kind_of(path)
    if kind not in ("a file", "nothing"):
        raise ConfigError(f"output {path} is {kind}; give the name of a file")
    parent = path.absolute().parent
    if parent == folder.absolute() and not parent.exists():
        return
    _refuse_parent(path)


def _refuse_parent(path: pathlib.Path) -> None:
    parent = path.absolute().parent
    if not parent.is_dir():
        raise ConfigError(f"output {path}: there is no folder {parent}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(
            f"output {path}: nothing can be written in {parent}; choose"
            " another folder"
        )
