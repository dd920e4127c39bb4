"""The command `miri-impute IN OUT`: fills the gaps of one file.

    miri-impute survey.csv filled.csv --draws 5

writes filled_1.csv ... filled_5.csv and filled.html, a report. It is
`python -m miri_jax.main --config configs/table.py` with fewer words: what a run
needs to go on after a stop is kept in a hidden folder beside OUT, which is
removed at the end.
"""

import argparse
import ast
import pathlib
import shutil
from typing import Never

import ml_collections

from miri_jax.app.command_line import call, fail
from miri_jax.app.config import table_config
from miri_jax.app.run import check_output, method_settings, run
from miri_jax.data import parse_settings
from miri_jax.data.columns import KINDS
from miri_jax.data.readers import ENDINGS, ending_of
from miri_jax.data.writers import numbered, stem_of
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import IMPUTERS
from miri_jax.runtime import interrupt
from miri_jax.runtime.progress import say
from miri_jax.runtime.workdir import flatten
from miri_jax.settings import did_you_mean

# How this command is given what `MiriError.about` may name.
FLAGS = {
    "restart": "--force, which starts anew",
    "parts": "--stream",
    "learning_rate": "--set imputer.learning_rate",
    "na_values": "--na",
    "empty_value": "--empty-value",
    **{kind: f"--{kind}" for kind in KINDS if kind != "ordinal"},
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        fail(f"{message}; see miri-impute --help", status=2)


def make_parser() -> argparse.ArgumentParser:
    """The command line of `miri-impute`."""
    parser = _Parser(
        prog="miri-impute",
        description="Fills the gaps of a table.",
        allow_abbrev=False,
    )
    endings = ", ".join(ENDINGS)
    parser.add_argument("input", metavar="IN", help=f"the table: {endings}")
    parser.add_argument("output", metavar="OUT", help="the filled table")
    add = parser.add_argument
    add("--draws", type=int, default=1, help="how many imputations (1)")
    add("--method", default="miri", help=", ".join(IMPUTERS))
    add("--seed", type=int, default=0, help="the same seed, the same result")
    add(
        "--na",
        metavar="CELLS",
        help="what means missing besides empty, NA, NaN, NULL: a,b,...",
    )
    for kind in KINDS:
        if kind != "ordinal":
            add(
                f"--{kind}",
                metavar="NAMES",
                help=f"columns that are {kind}, where it is not found: a,b,...",
            )
    add(
        "--order",
        action="append",
        default=[],
        metavar="NAME=A<B<C",
        help="an ordinal column's levels in order; may be repeated",
    )
    add(
        "--bounds",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="what imputed numbers lie between; may be repeated",
    )
    add(
        "--empty-value",
        type=float,
        help="what to fill a column with that has no observed value",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of configs/table.py, as imputer.num_iterations=5",
    )
    add(
        "--stream",
        action="store_true",
        help="a Parquet file larger than memory: fit to 100000 rows drawn at"
        " random, fill by parts; one draw, no report",
    )
    add("--force", action="store_true", help="replace OUT where it is there")
    return parser


def make_config(given: argparse.Namespace) -> ml_collections.ConfigDict:
    """The run's config.

    Raises:
      ConfigError: on a setting that does not exist.
    """
    config = table_config()
    config.data.path, config.output = given.input, given.output
    config.draws, config.seed = given.draws, given.seed
    config.method = given.method
    config.data.bounds = tuple(given.bounds)
    config.data.orders = tuple(given.order)
    config.data.empty_value = given.empty_value
    if given.na is not None:
        config.data.na_values += tuple(given.na.split(","))
    for kind in KINDS:
        names = getattr(given, kind, None)
        if names:
            config.data[kind] = tuple(names.split(","))
    for setting in given.set:
        key, found, value = setting.partition("=")
        known = list(flatten(config.to_dict()))
        if not found or key not in known:
            hint = did_you_mean(key, known)
            raise ConfigError(f"no setting {setting!r} of NAME=VALUE{hint}")
        try:
            config.update_from_flattened_dict({key: _value(value)})
        except (TypeError, ValueError):
            raise ConfigError(
                f"{key} cannot be {value!r}; see configs/table.py"
            ) from None
    return config


def impute(given: argparse.Namespace) -> None:
    """Fills the table of a parsed command line.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    if given.stream:
        return stream(given)
    output = pathlib.Path(given.output)
    ending_of(given.output)
    if given.draws < 1:
        raise ConfigError(f"draws is {given.draws}; ask for at least 1")
    results = [pathlib.Path(p) for p in numbered(given.output, given.draws)]
    report = pathlib.Path(stem_of(given.output) + ".html")
    _refuse_to_replace(given, *results, report)
    workdir = output.with_name(f".{output.name}.miri")
    config = make_config(given)
    config.report = str(report)
    if given.force and workdir.exists():
        shutil.rmtree(workdir)
    run(config, str(workdir))
    shutil.rmtree(workdir)


def _refuse_to_replace(given: argparse.Namespace, *paths: pathlib.Path) -> None:
    for path in paths:
        if path.exists() and not given.force:
            raise ConfigError(
                f"{path} already exists; choose another name, or --force"
            )


def stream(given: argparse.Namespace) -> None:
    """Fills a Parquet file by parts, see `streaming.impute_parquet`.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    # Not above: scikit-learn takes seconds that no other table need wait for.
    from miri_jax.app.streaming import impute_parquet
    from miri_jax.estimator import MIRIImputer

    output = pathlib.Path(given.output)
    for path in (given.input, given.output):
        if ending_of(path) != ".parquet":
            raise ConfigError(
                f"--stream takes Parquet files; {path} is another kind"
            )
    if given.draws != 1:
        raise ConfigError(f"--stream gives one draw, not {given.draws}")
    config = make_config(given)
    check_output(given.output, config)
    _refuse_to_replace(given, output)
    data = config.data.to_dict()
    kinds = {kind: data[kind] for kind in KINDS if kind in data}
    imputer = MIRIImputer(
        config.method,
        settings=method_settings(config),
        missing_values=config.data.na_values,
        empty_value=config.data.empty_value,
        unseen="missing",
        random_state=config.seed,
        **parse_settings(config.data.bounds, config.data.orders, **kinds),
    )
    try:
        impute_parquet(given.input, output, imputer, seed=config.seed, say=say)
    except interrupt.Stopped as stopped:
        stopped.remains = "nothing was written"
        raise
    say(f"result: {output}")


def main() -> None:
    """The entry point; exits with 1 and one line on a user's error."""
    given = make_parser().parse_args()
    call(lambda: impute(given), FLAGS)


def _value(text: str) -> object:
    """A number, None, a flag or a tuple where it reads as one, or the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
