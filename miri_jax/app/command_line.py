"""Commands: one line for what cannot be parsed, and for what went wrong.

The library's errors name arguments and settings, for scripts too; a command
adds how they are given to it, from its table of flags.
"""

import os
import sys
from collections.abc import Callable, Mapping

import jax
from absl import flags
from ml_collections import ConfigDict

from miri_jax.app.config import path_of
from miri_jax.data.columns import KINDS
from miri_jax.exceptions import ConfigError, MiriError
from miri_jax.runtime import interrupt
from miri_jax.settings import did_you_mean

# How `python -m miri_jax.main` is given what `MiriError.about` may name.
RUN_FLAGS = {
    "workdir": "--workdir",
    "parts": "miri-impute IN.parquet OUT.parquet --stream",
    "learning_rate": "--config.imputer.learning_rate",
    "distributed": "--config.distributed",
    **{
        name: f"--config.data.{name}"
        for name in (
            *("path", "na_values", "empty_value", "folder", "images", "rate"),
            *(kind for kind in KINDS if kind != "ordinal"),
        )
    },
}


def make_flag_parser(
    config: flags.FlagHolder,
    workdir: flags.FlagHolder,
    rerun: flags.FlagHolder,
) -> Callable[[list[str]], list[str]]:
    """A parser for `app.run` that demands a config and a workdir.

    It exits with status 2 and one line on a flag or setting that does not
    exist, naming the nearest setting, and on a value that does not fit.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            argv = _with_paths(argv)
            rest = flags.FLAGS(argv, known_only=False)
            _demand(config, workdir, rerun, rest)
            return rest
        except (KeyError, AttributeError) as error:
            fail(_unknown_setting(argv, config) or error, status=2)
        # A config file is code, which may raise anything.
        except Exception as error:
            fail(_reason(error), status=2)

    return parse


def _with_paths(argv: list[str]) -> list[str]:
    """The command line with files in the place of configs' names."""
    found, value_next = [], False
    for word in argv:
        name, equals, value = word.partition("=")
        if value_next:
            word = path_of(word)
        elif name in ("--config", "-config") and equals:
            word = f"{name}={path_of(value)}"
        value_next = word in ("--config", "-config")
        found.append(word)
    return found


def call(command: Callable[[], object], flags_of: Mapping[str, str]) -> None:
    """Runs a command; exits with 1 and one line on an error of the user's.

    Args:
      command: what to run.
      flags_of: how the command is given what `MiriError.about` may name.
    """
    use_compilation_cache()
    interrupt.install()
    try:
        command()
    except MiriError as error:
        fail(f"{error}{_hint(error.about, flags_of)}")
    except OSError as error:
        fail(error)
    except interrupt.Stopped as stopped:
        print(f"\nstopped; {stopped.remains}", file=sys.stderr)
        sys.exit(stopped.status)


def use_compilation_cache() -> None:
    """Keeps compiled programs between runs, so that a second starts at once."""
    if not jax.config.jax_compilation_cache_dir:
        home = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        jax.config.update(
            "jax_compilation_cache_dir", os.path.join(home, "miri_jax")
        )
    # A run has dozens of small programs; together they take seconds.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def fail(error: object, status: int = 1) -> None:
    """Prints an error as one line and exits."""
    line = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {line}", file=sys.stderr)
    sys.exit(status)


def _hint(about: tuple[str, ...], flags_of: Mapping[str, str]) -> str:
    """How to say on a command line what a remedy is about, if it can be."""
    known = [flags_of[name] for name in about if name in flags_of]
    return f" ({', '.join(known)})" if known else ""


def _demand(
    config: flags.FlagHolder,
    workdir: flags.FlagHolder,
    rerun: flags.FlagHolder,
    rest: list[str],
) -> None:
    if len(rest) > 1:
        raise ConfigError(f"unexpected argument {rest[1]!r}")
    if rerun.value:
        if config.value is not None:
            raise ConfigError("give --config or --rerun, not both")
    elif config.value is None:
        raise ConfigError("give --config=FILE, such as configs/toy.py")
    elif not isinstance(config.value, ConfigDict):
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
            return f"no setting {name}{did_you_mean(name, known)}"
    return None


def _paths(config: ConfigDict, prefix: str = "") -> list[str]:
    found = []
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            found += _paths(value, f"{prefix}{key}.")
        found.append(f"{prefix}{key}")
    return found
