"""Fills a table with gaps: python -m miri_jax.main --config C --workdir DIR.

Calls `runner.run`, and turns every error that a user can act on into one line.
A config file is Python code: run only those you trust.
"""

from absl import app, flags, logging
from ml_collections import config_flags

from miri_jax.command_line import call, make_parser
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
    call(lambda: run(_CONFIG.value, _WORKDIR.value))


if __name__ == "__main__":
    # Libraries log what is raised as well; here each error is one line.
    logging.set_verbosity(logging.FATAL)
    app.run(main, flags_parser=make_parser(_CONFIG, _WORKDIR))
