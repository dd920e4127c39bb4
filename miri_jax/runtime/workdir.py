"""The folder of a run: one process at a time, one set of settings."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import filelock

from miri_jax.exceptions import WorkdirError
from miri_jax.runtime.files import write_json


class WorkdirLock:
    """Keeps other processes out of a run's folder while it is at work."""

    def __init__(self, workdir: pathlib.Path) -> None:
        """Of a folder that `take` will create."""
        self._workdir = workdir
        self._lock = filelock.FileLock(workdir / ".lock", timeout=0)

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
    path = workdir / "config.json"
    settings = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, settings)
        return False
    try:
        before = flatten(json.loads(path.read_text()))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise WorkdirError(
            f"{path} cannot be read; use another folder or delete this one",
            about=("workdir", "restart"),
        ) from None
    now = flatten(settings)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise WorkdirError(
                f"{workdir} holds a run with {key}={before.get(key)!r}, this"
                f" one has {now.get(key)!r}; use another folder or delete that"
                " one",
                about=("workdir", "restart"),
            )
    return True


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, its keys the paths with dots between."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else key)
    return flat
