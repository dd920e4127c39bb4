"""The folder of a run: one process at a time, one set of settings."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import filelock

from miri_jax.exceptions import WorkdirError
from miri_jax.runtime.files import digest_of, read_json, write_json

# The settings of the run, and the digests of what it has written elsewhere.
SETTINGS, RESULTS = "config.json", ".results.json"
_LOCK = ".lock"


class WorkdirLock:
    """Keeps other processes out of a run's folder while it is at work."""

    def __init__(self, workdir: pathlib.Path) -> None:
        """Of a folder that `take` will create."""
        self._workdir = workdir
        self._lock = filelock.FileLock(workdir / _LOCK, timeout=0)

    def __enter__(self) -> "WorkdirLock":
        """Takes nothing yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Lets others in; the system does so too where the process dies."""
        self._lock.release()

    def take(self) -> None:
        """Takes the folder.

        Raises:
          WorkdirError: if another process is at work there, or nothing can be
            written.
        """
        try:
            self._workdir.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except filelock.Timeout:
            raise WorkdirError(
                f"another process is at work in {self._workdir}; wait for it,"
                " or use another folder",
                about=("workdir",),
            ) from None
        except OSError as error:
            raise WorkdirError(
                f"{self._workdir} cannot be written ({error.strerror}); use"
                " another folder",
                about=("workdir",),
            ) from error

    @property
    def taken(self) -> bool:
        """Whether the folder is."""
        return self._lock.is_locked

    def clear(self) -> None:
        """Deletes what the folder holds, but for the lock, which is taken.

        The settings go last: what is left of a run has them beside it, and a
        run without settings has ended.
        """
        if not self.taken:
            raise ValueError("a folder is cleared by who has taken it")
        last = (SETTINGS, RESULTS)
        for path in self._workdir.iterdir():
            if path.name in (_LOCK, *last):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (self._workdir / SETTINGS).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Nobody reads it without settings.
            (self._workdir / RESULTS).unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes the folder, which is taken, and lets others in."""
        self.clear()
        # Not all systems let go of a file that is open.
        with contextlib.suppress(OSError):
            (self._workdir / _LOCK).unlink(missing_ok=True)
        self._lock.release()
        with contextlib.suppress(OSError):
            (self._workdir / _LOCK).unlink(missing_ok=True)
            self._workdir.rmdir()


def claim_workdir(workdir: pathlib.Path, settings: Mapping[str, Any]) -> bool:
    """Makes sure that a folder is new or holds a run of the same settings.

    Args:
      workdir: the folder.
      settings: everything that decides the result; must survive JSON.

    Returns:
      True if a run of the same settings has begun there.

    Raises:
      WorkdirError: naming the first setting that differs.
    """
    path = workdir / SETTINGS
    settings = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, settings)
        return False
    try:
        before = flatten(read_json(path))
    except (ValueError, OSError):
        raise WorkdirError(
            f"{path} cannot be read; use another folder or delete this one",
            about=("workdir", "restart"),
        ) from None
    refuse_others(workdir, before, flatten(settings))
    return True


def refuse_others(
    workdir: pathlib.Path, before: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Refuses settings that are not those of the run in a folder.

    Args:
      workdir: the folder.
      before: settings of the run, see `flatten`.
      now: those that are given.

    Raises:
      WorkdirError: naming the first setting that differs.
    """
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) == now.get(key):
            continue
        what = f"with {key}={before.get(key)!r}, this one has {now.get(key)!r}"
        if key == "data_digest" and before.get(key):
            what = "of this input as it was: the input changed (data_digest)"
        raise WorkdirError(
            f"{workdir} holds a run {what}; use another folder or delete that"
            " one",
            about=("workdir", "restart"),
        )


def written_by(workdir: pathlib.Path) -> dict[str, str]:
    """Digests of files that the run of a folder has written or was about to.

    Returns:
      By absolute path; nothing where there is no such list, or a damaged one,
      or no run that it belongs to.
    """
    if not (workdir / SETTINGS).exists():
        return {}
    try:
        found = read_json(workdir / RESULTS)
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)}


def note_written(
    workdir: pathlib.Path, made: Mapping[pathlib.Path, str]
) -> None:
    """Adds files and their digests to what `written_by` finds."""
    new = {os.path.abspath(path): digest for path, digest in made.items()}
    write_json(workdir / RESULTS, written_by(workdir) | new)


def is_own(path: pathlib.Path, written: Mapping[str, str]) -> bool:
    """Whether a file is as a run has written it, see `written_by`."""
    digest = written.get(os.path.abspath(path))
    return (
        digest is not None
        and path.is_file()
        and not path.is_symlink()
        and digest_of(path) == digest
    )


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, its keys the paths with dots between."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else key)
    return flat
