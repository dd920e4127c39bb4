"""Fills a table with gaps: python -m miri_jax.main --config C --workdir DIR.

Calls `app.run.run`, and turns every error that a user can act on into one line.
A config file is Python code: run only those you trust. The config.json that a
run leaves is not: `--rerun=DIR` takes the place of `--config`.
"""

from absl import app, flags, logging
from ml_collections import config_flags

from miri_jax.app.command_line import (
    RUN_FLAGS,
    call,
    make_flag_parser,
    own_process,
)

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    help_string="A name such as toy or table:beijing, or a file like those of"
    " configs/.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and results."
)
_RERUN = flags.DEFINE_string(
    "rerun", None, "A run's folder or config.json, in the place of --config."
)
_FORCE = flags.DEFINE_bool(
    "force", False, "Replace results that are there: output, report."
)
_VERSION = flags.DEFINE_bool("version", False, "Print the version, and end.")


def main(argv: list[str]) -> None:
    """Runs the config's fit; exits with 1 and one line on a user's error."""
    del argv  # The parser has refused what is no flag.

    def command() -> None:
        # Not above: what they load takes a second.
        from miri_jax.app.config import saved_config
        from miri_jax.app.run import run

        config = _CONFIG.value
        if _RERUN.value:
            config = saved_config(_RERUN.value)
        run(config, _WORKDIR.value, force=_FORCE.value)

    call(command, RUN_FLAGS, "reading the data")


if __name__ == "__main__":
    # Libraries log what is raised as well; here each error is one line.
    logging.set_verbosity(logging.FATAL)
    with own_process():
        app.run(
            main,
            flags_parser=make_flag_parser(_CONFIG, _WORKDIR, _RERUN, _VERSION),
        )
