"""Fills a table with gaps: python -m miri_jax.main --config C --workdir DIR.

Parses flags, turns every error that a user can act on into one line, and calls
`runner.run`. A config file is Python code: run only those you trust.
"""

import difflib
import os
import sys

import jax
import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from miri_jax.exceptions import ConfigError, MiriError
from miri_jax.runner import run

_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="A file under configs/, or one like them."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and results."
)


def main(argv: list[str]) -> None:
    """Runs the config's fit; exits with 1 and one line on a user's error."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    if not _WORKDIR.value:
        raise app.UsageError("give --workdir=DIR, a folder for the results")
    _use_compilation_cache()
    try:
        run(_CONFIG.value, _WORKDIR.value)
    except (MiriError, OSError) as error:
        _fail(error)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def parse_flags(argv: list[str]) -> list[str]:
    """As absl parses, with one line for what cannot be parsed.

    Raises:
      SystemExit: with status 2, on an unknown flag or setting.
    """
    try:
        rest = flags.FLAGS(argv, known_only=False)
        if not isinstance(_CONFIG.value, ml_collections.ConfigDict):
            raise ConfigError("give --config=FILE, such as configs/toy.py")
        return rest
    except (KeyError, AttributeError) as error:
        _fail(_unknown_setting(argv) or error, status=2)
    except (flags.Error, ValueError, TypeError, OSError) as error:
        _fail(error, status=2)


def _unknown_setting(argv: list[str]) -> str | None:
    """Names the first --config.a.b that does not exist, and the nearest."""
    plain = [arg for arg in argv if not arg.startswith("--config.")]
    flags.FLAGS.unparse_flags()
    # config_flags looks for overrides in sys.argv, whatever it is given.
    argv_before, sys.argv = sys.argv, plain
    try:
        flags.FLAGS(plain, known_only=True)
    finally:
        sys.argv = argv_before
    known = [f"--config.{key}" for key in _paths(_CONFIG.value)]
    for arg in argv:
        name = arg.partition("=")[0]
        if name.startswith("--config.") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"no setting {name}{hint}"
    return None


def _paths(config: ml_collections.ConfigDict, prefix: str = "") -> list[str]:
    found = []
    for key, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            found += _paths(value, f"{prefix}{key}.")
        found.append(f"{prefix}{key}")
    return found


def _use_compilation_cache() -> None:
    """Keeps compiled programs between runs, so that a second starts at once."""
    if not jax.config.jax_compilation_cache_dir:
        home = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        jax.config.update(
            "jax_compilation_cache_dir", os.path.join(home, "miri_jax")
        )
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _fail(error: object, status: int = 1) -> None:
    line = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {line}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main, flags_parser=parse_flags)
