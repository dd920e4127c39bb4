"""Parsing the command line, with one line for what cannot be parsed."""

import difflib
import sys
from collections.abc import Callable

from absl import flags
from ml_collections import ConfigDict

from miri_jax.exceptions import ConfigError


def make_parser(
    config: flags.FlagHolder, workdir: flags.FlagHolder
) -> Callable[[list[str]], list[str]]:
    """A parser for `app.run` that demands a config and a workdir.

    It exits with status 2 and one line on a flag or setting that does not
    exist, naming the nearest setting, and on a value that does not fit.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv, known_only=False)
            _demand(config, workdir, rest)
            return rest
        except (KeyError, AttributeError) as error:
            fail(_unknown_setting(argv, config) or error, status=2)
        # A config file is code, which may raise anything.
        except Exception as error:
            fail(_reason(error), status=2)

    return parse


def fail(error: object, status: int = 1) -> None:
    """Prints an error as one line and exits."""
    line = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {line}", file=sys.stderr)
    sys.exit(status)


def _demand(
    config: flags.FlagHolder, workdir: flags.FlagHolder, rest: list[str]
) -> None:
    if len(rest) > 1:
        raise ConfigError(f"unexpected argument {rest[1]!r}")
    if config.value is None:
        raise ConfigError("give --config=FILE, such as configs/toy.py")
    if not isinstance(config.value, ConfigDict):
        # It holds the error of loading, which reading a field raises.
        raise ConfigError(f"get_config returned no config: {config.value.data}")
    if not workdir.value:
        raise ConfigError("give --workdir=DIR, a folder for the results")


def _reason(error: Exception) -> str:
    """What went wrong, without the traceback that a config's error holds."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if len(lines) == 1 and isinstance(error, flags.Error | ConfigError):
        return lines[0]
    reason = lines[-1].removeprefix(
        f"{ConfigError.__module__}.{ConfigError.__name__}: "
    )
    return f"the config cannot be loaded: {reason}"


def _unknown_setting(argv: list[str], config: flags.FlagHolder) -> str | None:
    """Names the first --config.a.b that does not exist, and the nearest."""
    plain = [arg for arg in argv if not arg.startswith("--config.")]
    flags.FLAGS.unparse_flags()
    # config_flags looks for overrides in sys.argv, whatever it is given.
    argv_before, sys.argv = sys.argv, plain
    try:
        flags.FLAGS(plain, known_only=True)
    finally:
        sys.argv = argv_before
    known = [f"--config.{key}" for key in _paths(config.value)]
    for arg in argv:
        name = arg.partition("=")[0]
        if name.startswith("--config.") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"no setting {name}{hint}"
    return None


def _paths(config: ConfigDict, prefix: str = "") -> list[str]:
    found = []
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            found += _paths(value, f"{prefix}{key}.")
        found.append(f"{prefix}{key}")
    return found
