"""Commands: one line for what cannot be parsed, and for what went wrong.

The library's errors name arguments and settings, for scripts too; a command
adds how they are given to it, from its table of flags.
"""

import contextlib
import gc
import lzma
import os
import pathlib
import shlex
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping

from absl import flags
from ml_collections import ConfigDict

from miri_jax import __version__
from miri_jax.app.named import path_of
from miri_jax.exceptions import ConfigError, MiriError, first_line, printable
from miri_jax.notes import Note
from miri_jax.runtime import interrupt
from miri_jax.runtime.files import folder_of_programs
from miri_jax.runtime.silence import FIRST, said_after
from miri_jax.settings import did_you_mean, gone

# Seconds that a command which failed waits for its threads.
PATIENCE = 5.0
# Kinds of columns that a flag gives; an ordinal one is given by its order.
KIND_FLAGS = ("real", "integer", "datetime", "boolean", "categorical", "id")
# Kinds of changes of filled cells, by the flag that gives each.
CHANGE_FLAGS = {"shift": "--delta", "scale": "--scale", "odds": "--odds"}
# Relations of columns, by the flag that gives each.
RELATION_FLAGS = {
    "formulas": "--formula",
    "rules": "--rule",
    "only_if": "--only-if",
    "keep": "--keep",
    "below": "--below",
    "above": "--above",
    "gap_bounds": "--gap-bounds",
}
# Columns by which rows belong together, by the flag that gives each.
BELONG_FLAGS = {"group": "--group", "time": "--time", "weights": "--weights"}
# How the forms of files are given, by the name of the setting.
TEXT_FLAGS = {
    "separator": "--sep",
    "encoding": "--encoding",
    "skip_rows": "--skip-rows",
    "sheet": "--sheet",
    "decimal": "--decimal",
    "dates": "--dates",
}
GONE = (
    "the working directory is gone; change into one that exists (`cd`), and"
    " start again"
)
# Errors beyond what is foreseen: of too little memory, and of codecs.
_BEYOND: dict[type[Exception], str] = {
    MemoryError: "there is not enough memory; give fewer rows or columns, or"
    " use a larger machine",
    RecursionError: "something is nested too deeply to be read",
    OverflowError: "a number is too large",
    UnicodeError: "a text cannot be read or written",
    EOFError: "a file ends too early",
    zlib.error: "a packed file is damaged",
    lzma.LZMAError: "a packed file is damaged",
}
# How the program's file is called where it is started by Python.
_PROGRAMS = {"main.py": "python -m miri_jax.main", "impute.py": "miri-impute"}
# How `miri-impute` is given what `MiriError.about` may name.
IMPUTE_FLAGS = {
    "restart": "--force, which starts anew",
    "seed": "--seed",
    "parts": "--stream",
    "dask": "--dask",
    "check": "--check",
    "learning_rate": "--set imputer.learning_rate",
    "na_values": "--na",
    "empty_value": "--empty-value",
    "bounds": "--bounds",
    "found": "--no-found",
    **TEXT_FLAGS,
    **{kind: f"--{kind}" for kind in KIND_FLAGS},
    **CHANGE_FLAGS,
    **RELATION_FLAGS,
    **BELONG_FLAGS,
}
# How `python -m miri_jax.main` is given what `MiriError.about` may name.
RUN_FLAGS = {
    "workdir": "--workdir",
    "seed": "--config.seed",
    "mask_seed": "--config.data.mask_seed",
    "parts": "miri-impute IN.parquet OUT.parquet --stream",
    "learning_rate": "--config.imputer.learning_rate",
    "distributed": "--config.distributed",
    **{name: f"--config.changes.{name}" for name in CHANGE_FLAGS},
    "check": "--config.check",
    **{
        name: f"--config.data.{name}"
        for name in (
            *("path", "na_values", "empty_value", "bounds", "found"),
            *("folder", "images", "rate"),
            *TEXT_FLAGS,
            *KIND_FLAGS,
            *RELATION_FLAGS,
            *BELONG_FLAGS,
        )
    },
}


def make_flag_parser(
    config: flags.FlagHolder,
    workdir: flags.FlagHolder,
    rerun: flags.FlagHolder,
    version: flags.FlagHolder,
) -> Callable[[list[str]], list[str]]:
    """A parser for `app.run` that demands a config and a workdir.

    It prints the version where that is asked for, and ends. It exits with
    status 2 and one line on a flag or setting that does not exist, naming the
    nearest setting, and on a value that does not fit.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            argv = _with_paths(argv)
            rest = flags.FLAGS(argv, known_only=False)
            if version.value:
                print(f"miri_jax {__version__}")
                sys.exit()
            _demand(config, workdir, rerun, rest)
            return rest
        except (KeyError, AttributeError) as error:
            fail(_unknown_setting(argv, config) or error, status=2)
        # A config file is code, which may raise anything.
        except Exception as error:
            fail(f"{_reason(error)}{_gone(argv)}", status=2)

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


@contextlib.contextmanager
def own_process() -> Iterator[None]:
    """A process that is for one command, to be entered before JAX is loaded.

    Compiled programs are kept between runs, also the small ones: a run has a
    dozen. And garbage is seldom collected, as that walks all that is loaded,
    many times while libraries load and once more at the end: a second together.
    A command that failed does not wait for threads of the checkpointer, which
    wait for a folder that will never be there.
    """
    kept = folder_of_programs()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", kept)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    gc.set_threshold(100_000, 10, 10)
    try:
        yield
    except SystemExit as stop:
        if stop.code:
            _leave_soon(stop.code if isinstance(stop.code, int) else 1)
        raise
    finally:
        gc.freeze()


def _leave_soon(status: int) -> None:
    """Ends the process after `PATIENCE`, whatever its threads wait for."""
    timer = threading.Timer(PATIENCE, os._exit, [status])
    timer.daemon = True
    timer.start()


def call(
    command: Callable[[], object], flags_of: Mapping[str, str], first: str
) -> None:
    """Runs a command; exits with 1 and one line on an error of the user's.

    Args:
      command: what to run.
      flags_of: how the command is given what `MiriError.about` may name.
      first: what is said where nothing else is for a moment.
    """
    interrupt.install()
    try:
        with said_after(FIRST, first, _to_stderr):
            command()
    except MiriError as error:
        fail(f"{error}{_hint(error.about, flags_of)}")
    except OSError as error:
        fail(error if _has_a_place() else GONE)
    except interrupt.Stopped as stopped:
        print(f"\nstopped; {printable(stopped.remains)}", file=sys.stderr)
        sys.exit(stopped.status)
    except Exception as error:
        line = beyond(error)
        if not line:
            raise
        fail(line)


def _has_a_place() -> bool:
    """Whether the working directory is there; else errors name no file."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _to_stderr(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def beyond(error: Exception) -> str:
    """A line on what is beyond what can be; "" of other errors.

    Those are numbers, sizes and bytes that readers and methods have not
    foreseen, wherever they came from.
    """
    said = first_line(error)
    # JAX raises its own.
    if "RESOURCE_EXHAUSTED" in said:
        return f"{_BEYOND[MemoryError]} ({said})"
    for kind, line in _BEYOND.items():
        if isinstance(error, kind):
            return f"{line} ({said})"
    return ""


def fail(error: object, status: int = 1) -> None:
    """Prints an error as one line and exits."""
    line = str(error).strip() or type(error).__name__
    print(f"error: {printable(line)}", file=sys.stderr)
    sys.exit(status)


def with_flags(note: str, flags_of: Mapping[str, str]) -> Note:
    """A note, and how its reader settles it on a command line."""
    note = Note.of(note)
    known = [
        f"{flags_of[name]} {_in_quotes(value)}" if value else flags_of[name]
        for name, value in note.about.items()
        if name in flags_of
    ]
    return note.reworded(f"{note} ({', '.join(known)})") if known else note


def _in_quotes(value: str) -> str:
    """A word of a command line, with double quotes about single ones."""
    if "'" in value and not set('"$`\\') & set(value):
        return f'"{value}"'
    return shlex.quote(value)


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


def _gone(argv: list[str]) -> str:
    """What to do instead of a value that was taken once, see `gone`."""
    pairs = (arg.partition("=") for arg in argv if arg.startswith("--config."))
    found = (gone(name.rpartition(".")[2], value) for name, _, value in pairs)
    return next(filter(None, found), "")


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


def command_given() -> str:
    """The command as it was given to a shell; "" where none of ours was."""
    program = pathlib.Path(sys.argv[0])
    ours = program.parent.name in ("miri_jax", "app")
    name = _PROGRAMS.get(program.name) if ours else program.stem
    if name not in _PROGRAMS.values():
        return ""
    return f"{name} {shlex.join(sys.argv[1:])}"
