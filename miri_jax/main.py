"""Fills a table with gaps: python -m miri_jax.main --config C --workdir DIR.

Calls `runner.run`, and turns every error that a user can act on into one line.
A config file is Python code: run only those you trust.
"""

import os
import sys

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from miri_jax import interrupt
from miri_jax.command_line import fail, make_parser
from miri_jax.exceptions import MiriError
from miri_jax.runner import run

_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="A file under configs/, or one like them."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and results."
)


def main(argv: list[str]) -> None:
    """Runs the config's fit; exits with 1 and one line on a user's error."""
    del argv  # The parser has refused what is no flag.
    _use_compilation_cache()
    interrupt.install()
    try:
        run(_CONFIG.value, _WORKDIR.value)
    except (MiriError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def _use_compilation_cache() -> None:
    """Keeps compiled programs between runs, so that a second starts at once."""
    if not jax.config.jax_compilation_cache_dir:
        home = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        jax.config.update(
            "jax_compilation_cache_dir", os.path.join(home, "miri_jax")
        )
    # A run has dozens of small programs; together they take seconds.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


if __name__ == "__main__":
    # Libraries log what is raised as well; here each error is one line.
    logging.set_verbosity(logging.FATAL)
    app.run(main, flags_parser=make_parser(_CONFIG, _WORKDIR))
