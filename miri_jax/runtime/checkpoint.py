"""Checkpoints: a whole state at once, atomically, with a digest (orbax v1).

A checkpoint is a flat dict of arrays named by their place in the state, so that
no class is needed to read it. Orbax writes it beside its place and renames it;
a digest of all bytes goes along, so that a file that was cut or altered later
is noticed, and the checkpoint before it is used.
"""

import functools
import hashlib
import math
import os
import pathlib
import re
from typing import Any

import jax
import numpy as np

from miri_jax.core.parallel import sharding, to_host
from miri_jax.exceptions import WorkdirError, first_line
from miri_jax.types import PyTree

FORMAT = 1
# Bytes up to which a checkpoint of another state is read.
MOST_OF_ANOTHER = 2**27
# Where the storage layer tells the system's number of an error.
_SYSTEM = re.compile(r"os_error_code='(\d+)'")


class CheckpointStore:
    """The checkpoints of one run, the last few kept."""

    def __init__(self, directory: str | pathlib.Path, *, keep: int = 3) -> None:
        """Of a folder, which is made where it is not there.

        Args:
          directory: the folder.
          keep: how many of the last checkpoints are kept.
        """
        self._directory = pathlib.Path(directory).absolute()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._keep, self._failed = keep, False

    @functools.cached_property
    def _checkpointer(self) -> Any:
        """Orbax's, which takes half a second to load, once it is needed."""
        from orbax.checkpoint import v1 as ocp

        policies = ocp.training.preservation_policies
        return ocp.training.Checkpointer(
            self._directory,
            preservation_policy=policies.LatestN(self._keep),
            cleanup_tmp_directories=True,
        )

    def save(self, step: int, state: PyTree) -> None:
        """Saves a state of arrays under a step's number; returns when done.

        Raises:
          WorkdirError: if it cannot be written; the earlier ones stay.
        """
        arrays = _flatten(state)
        metadata = {"format": FORMAT, "sha256": _digest(arrays)}
        try:
            # Overwrites what a damaged checkpoint of this step left behind.
            self._checkpointer.save(
                step, arrays, overwrite=True, custom_metadata=metadata
            )
        # A full disk comes as an OSError or as an error of the storage layer.
        except Exception as error:
            self._failed = True
            raise WorkdirError(
                f"checkpoint {step} cannot be saved in {self._directory}, the"
                f" earlier ones stay: {_reason(error)}"
            ) from error

    def load_latest(
        self, like: PyTree, rows: int = 0
    ) -> tuple[int, Any, list[str]]:
        """Loads the last whole checkpoint onto the devices at hand.

        Args:
          like: a state of the same structure, shapes and dtypes; the
            `ShapeDtypeStruct`s of `jax.eval_shape` will do, and a dtype alone
            for an array of any shape.
          rows: of arrays with so many rows each device gets a part, see
            `parallel.spread`; of all others a copy.

        Returns:
          The step, the state, and one sentence for each damaged checkpoint that
          was passed over. Without any checkpoint: 0, None and no sentence.

        Raises:
          WorkdirError: if there are checkpoints, but all are damaged; or if the
            last whole one holds another state than `like`.
        """
        notes: list[str] = []
        if not any(self._directory.iterdir()):
            return 0, None, notes
        steps = sorted(c.step for c in self._checkpointer.checkpoints)
        for step in reversed(steps):
            try:
                return step, self._load(step, like, rows), notes
            except WorkdirError:
                raise
            except (PermissionError, MemoryError) as error:
                raise WorkdirError(
                    f"checkpoint {step} in {self._directory} cannot be read:"
                    f" {first_line(error)}"
                ) from error
            # A damaged file makes the reader raise any kind of error.
            except Exception as error:
                notes.append(
                    f"checkpoint {step} is damaged ({type(error).__name__});"
                    " going on from the one before it"
                )
                reason = first_line(error)[:120]
        if steps:
            raise WorkdirError(
                f"no checkpoint in {self._directory} is whole ({reason});"
                " delete that folder to start again",
                about=("restart",),
            )
        return 0, None, notes

    def close(self) -> None:
        """Lets go of the folder."""
        # After a failure it would raise the same error again.
        if "_checkpointer" in vars(self) and not self._failed:
            self._checkpointer.close()

    def _load(self, step: int, like: PyTree, rows: int) -> PyTree:
        about = self._checkpointer.metadata(step)
        saved = about.custom_metadata
        there = {
            name: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=sharding(leaf.shape, rows)
            )
            for name, leaf in about.metadata.items()
        }
        wanted = _flatten(like)
        difference = _difference(saved["format"], there, wanted)
        # A few bytes may claim to be large arrays; small ones are read, as
        # damage may have made the difference.
        if not (difference and _bytes_of(there) > MOST_OF_ANOTHER):
            arrays = self._checkpointer.load(step, there)
            if saved["sha256"] != _digest(arrays):
                raise ValueError("its digest does not match")
        if difference:
            raise WorkdirError(
                f"checkpoint {step} in {self._directory} is of another version"
                f" of miri_jax or of JAX's settings ({difference}); go on with"
                " those, or start again in another folder",
                about=("workdir", "restart"),
            )
        tree = jax.tree.structure(like)
        return jax.tree.unflatten(tree, [arrays[name] for name in wanted])


def _reason(error: Exception) -> str:
    """Why nothing could be written: the system's words, where it has said so.

    The storage layer tells the system's number among words of its own.
    """
    number = getattr(error, "errno", None)
    if found := _SYSTEM.search(str(error)):
        number = int(found[1])
    if number:
        return os.strerror(number)
    return (str(error).strip().splitlines() or [repr(error)])[-1][-120:]


def _flatten(state: PyTree) -> dict[str, jax.Array]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in leaves
    }


def _bytes_of(there: dict[str, Any]) -> int:
    """How much memory arrays of these shapes and dtypes take."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in there.values())


def _difference(
    version: int, found: dict[str, jax.Array], wanted: dict[str, jax.Array]
) -> str:
    """What keeps arrays that were read from being the state; "" for nothing."""
    if version != FORMAT:
        return f"format {version}, not {FORMAT}"
    for name in sorted(found.keys() | wanted.keys()):
        here, there = found.get(name), wanted.get(name)
        any_shape = isinstance(there, np.dtype)
        if _kind(here, any_shape) != _kind(there, any_shape):
            return f"{name} is {_kind(here)}, not {_kind(there)}"
    return ""


def _kind(leaf: Any, any_shape: bool = False) -> str:
    """What an array is, in words; a dtype stands for one of any shape."""
    if leaf is None:
        return "nothing"
    if isinstance(leaf, np.dtype) or any_shape:
        return str(getattr(leaf, "dtype", leaf))
    return f"{leaf.dtype}{list(leaf.shape)}"


def _digest(arrays: dict[str, jax.Array]) -> str:
    sha = hashlib.sha256()
    for name, leaf in sorted(arrays.items()):
        array = np.ascontiguousarray(to_host(leaf))
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
