"""What a run writes: settings, metrics, progress, results.

Files that stand for a finished thing are written beside their place and
renamed, so that a reader sees the old one or the new one, never half of one.
"""

import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import filelock
import numpy as np
import tensorboardX
import tqdm

from miri_jax import parallel
from miri_jax.exceptions import WorkdirError


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


def write_arrays(path: pathlib.Path, **arrays: np.ndarray) -> None:
    """Writes a compressed npz, atomically."""
    write_atomically(path, lambda p: np.savez_compressed(p, **arrays))


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
                " or use another --workdir"
            ) from None
        except OSError as error:
            raise WorkdirError(
                f"{self._workdir} cannot be written ({error.strerror}); use"
                " another --workdir"
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
            f"{path} cannot be read; use another --workdir or delete this one"
        ) from None
    now = flatten(settings)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise WorkdirError(
                f"{workdir} holds a run with {key}={before.get(key)!r}, this"
                f" one has {now.get(key)!r}; use another --workdir or delete"
                " that one"
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


class MetricsWriter:
    """metrics.jsonl, TensorBoard events, and lines or a bar on the terminal.

    A run that is started again drops the lines past its checkpoint, so that
    metrics.jsonl reads as if it had never stopped.
    """

    def __init__(
        self, workdir: pathlib.Path, *, first_step: int, num_iterations: int
    ) -> None:
        """Opens the files.

        Args:
          workdir: the run's folder.
          first_step: steps already done; later lines are dropped.
          num_iterations: outer iterations of the whole run.
        """
        self._path = workdir / "metrics.jsonl"
        kept = [row for row in self.rows() if row["step"] <= first_step]
        text = "".join(json.dumps(row) + "\n" for row in kept)
        write_atomically(self._path, lambda p: pathlib.Path(p).write_text(text))
        self._file = open(self._path, "a")
        self._events = tensorboardX.SummaryWriter(
            str(workdir / "tensorboard"), purge_step=first_step + 1
        )
        done = kept[-1]["iteration"] if kept else 0
        self._start, self._first = time.monotonic(), done
        self._total = num_iterations
        self._bar = None
        if sys.stderr.isatty():
            # A terminal may claim a size of 0, which would show nothing.
            columns, lines = shutil.get_terminal_size()
            self._bar = tqdm.tqdm(
                total=num_iterations,
                initial=done,
                unit="iteration",
                ncols=columns,
                nrows=lines,
            )

    def rows(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl; a last line cut by a crash is skipped."""
        if not self._path.exists():
            return []
        rows = []
        for line in self._path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def write(
        self, step: int, iteration: int, values: Mapping[str, float]
    ) -> None:
        """Adds one line: a step's number, its iteration and its metrics."""
        row = {"step": step, "iteration": iteration, **values}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def progress(self, iteration: int, values: Mapping[str, float]) -> None:
        """Shows how far the run is, with the time it has still to go."""
        shown = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        if self._bar is not None:
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update(iteration - self._bar.n)
            return
        done = iteration - self._first
        seconds = time.monotonic() - self._start
        line = f"iteration {iteration}/{self._total}  {shown}"
        if done:
            left = seconds / done * (self._total - iteration)
            line += f"  eta {left:.0f} s"
        say(line)

    def close(self) -> None:
        """Closes the files and the bar."""
        if self._bar is not None:
            self._bar.close()
        self._file.close()
        self._events.close()


class SilentWriter:
    """A `MetricsWriter` that writes nothing, for processes but the first."""

    def __init__(self, workdir: pathlib.Path, **settings: int) -> None:
        """Takes what `MetricsWriter` does."""
        del workdir, settings

    def rows(self) -> list[dict[str, Any]]:
        """No lines."""
        return []

    def write(
        self, step: int, iteration: int, values: Mapping[str, float]
    ) -> None:
        """Does nothing."""

    def progress(self, iteration: int, values: Mapping[str, float]) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def say(line: str) -> None:
    """One line for the person who watches; results go to files.

    Of several processes only the one that writes says anything.
    """
    if not parallel.writes():
        return
    tqdm.tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()
