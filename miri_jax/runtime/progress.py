"""What a run writes: settings, metrics, progress, results.

Files that stand for a finished thing are written beside their place and
renamed, so that a reader sees the old one or the new one, never half of one.
"""

import json
import pathlib
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

import tqdm

from miri_jax.exceptions import printable
from miri_jax.runtime import processes, silence
from miri_jax.runtime.files import naming, write_atomically

# What metrics are called for who watches, see docs/speed.md.
WORDS = {
    "loss": "training error",
    "held_out_loss": "error on held-out cells",
    "reconstruction_loss": "error of the generator",
    "discriminator_loss": "error of the discriminator",
    "log_likelihood": "log of a row's likelihood",
    "ridge": "share of models that begin with a regression",
    "by_flow": "share of columns that the flow alone fills",
    "mi": "what the table gives away of its gaps",
    "conditional_mi": "what filled cells give away of themselves",
    "mmd": "distance to the true distribution",
    "rmse": "error of filled cells",
    "mae": "mean absolute error of filled cells",
    "psnr": "likeness to the true images",
    "ssim": "likeness of their structure",
}
# What a bar has room for: the first of these.
_OF_A_BAR = ("held_out_loss", "loss", *WORDS)


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
        # Not above: another 0.1 s that no other command need wait for.
        import tensorboardX

        self._board = workdir / "tensorboard"
        with naming(self._board):
            self._events = tensorboardX.SummaryWriter(
                str(self._board), purge_step=first_step + 1
            )
        done = kept[-1]["iteration"] if kept else 0
        # From where the pace of what is left is taken.
        self._since, self._from = time.monotonic(), done
        self._paced = False
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
        with naming(self._path):
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        with naming(self._board):
            for name, value in values.items():
                self._events.add_scalar(name, value, step)

    def progress(
        self,
        iteration: int,
        values: Mapping[str, float],
        *,
        compiling: float = 0.0,
        may_stop: bool = False,
        at_end: str = "",
    ) -> None:
        """Shows how far the run is, with the time it has still to go.

        Its pace is that since the first iteration, which loads and compiles;
        until there is one, that of the first.

        Args:
          iteration: how many are done.
          values: metrics.
          compiling: seconds that compiling took since the start, which the
            rest need not take again.
          may_stop: whether the fit may end before its last iteration.
          at_end: what the last iteration does besides.
        """
        if self._bar is not None:
            shown = [
                f"{WORDS[k]} {values[k]:.3g}" for k in _OF_A_BAR if k in values
            ]
            self._bar.set_postfix_str("".join(shown[:1]), refresh=False)
            self._bar.update(iteration - self._bar.n)
            return
        done = iteration - self._from
        now = time.monotonic() - compiling
        told = [in_words(values)] if values else []
        if done and iteration < self._total:
            left = (now - self._since) / done * (self._total - iteration)
            left = max(left, 0)
            how = "at most" if may_stop and left >= 0.5 else "about"
            more = f", then {at_end}" if at_end else ""
            told.append(f"{how} {left:.0f} s to go{more}")
        if done and not self._paced:
            self._since, self._from, self._paced = now, iteration, True
        line = f"iteration {iteration}/{self._total}"
        say(f"{line}: {', '.join(told)}" if told else line)

    def close(self) -> None:
        """Closes the files and the bar."""
        if self._bar is not None:
            self._bar.close()
        self._file.close()
        self._events.close()


def in_words(values: Mapping[str, float]) -> str:
    """Metrics for who watches, with their names in metrics.jsonl."""
    return ", ".join(
        f"{WORDS[name]} {value:.4g} ({name})"
        if name in WORDS
        else f"{name} {value:.4g}"
        for name, value in values.items()
    )


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

    def progress(
        self, iteration: int, values: Mapping[str, float], **settings: float
    ) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def say(line: str) -> None:
    """One line for the person who watches; results go to files.

    Of several processes only the one that writes says anything.
    """
    silence.broken()
    if not processes.writes():
        return
    tqdm.tqdm.write(printable(line), file=sys.stderr)
    sys.stderr.flush()
