"""The command `miri-impute IN OUT`: fills the gaps of one file.

    miri-impute survey.csv filled.csv --draws 5

writes filled_1.csv ... filled_5.csv and filled.html, a report. It is
`python -m miri_jax.main --config configs/table.py` with fewer words: what a run
needs to go on after a stop is kept in a hidden folder beside OUT, which is
removed at the end. What is asked wrongly is told before anything heavy loads.
"""

import argparse
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Never

from miri_jax import __version__
from miri_jax.app.by_parts import check_parts, fills_folder
from miri_jax.app.claims import claim, hidden_folder
from miri_jax.app.command_line import (
    BELONG_FLAGS,
    CHANGE_FLAGS,
    IMPUTE_FLAGS,
    KIND_FLAGS,
    RELATION_FLAGS,
    TEXT_FLAGS,
    call,
    fail,
    own_process,
)
from miri_jax.app.pipes import piped
from miri_jax.endings import (
    ENDINGS,
    PIPE,
    check_form,
    ending_of,
    numbered,
    refuse_missing,
    stem_of,
)
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import IMPUTERS, check_method
from miri_jax.settings import check_seed, did_you_mean

# What each kind of KIND_FLAGS is.
_KINDS = {
    "real": "numbers",
    "integer": "whole numbers",
    "datetime": "times",
    "boolean": "one of two",
    "categorical": "levels, whatever they look like",
    "id": "names, kept and not used",
}
# What each flag of CHANGE_FLAGS takes, and its help.
_CHANGES = {
    "shift": (
        "NAME=NUMBER",
        "add a number; as NAME[COLUMN=LEVEL]=NUMBER in one group of rows",
    ),
    "scale": ("NAME=FACTOR", "multiply them; likewise"),
    "odds": ("NAME=LEVEL:FACTOR", "multiply the odds of a level; likewise"),
}
# Likewise of RELATION_FLAGS, but for `keep`.
_RELATIONS = {
    "formulas": ("NAME=EXPRESSION", "a column that others give"),
    "rules": ("CONDITION", "what holds in each row, as 'discharge >= admit'"),
    "only_if": ("NAME:CONDITION", "elsewhere cells of a column stay empty"),
    "below": ("NAME=LIMIT", "gaps of a column are known to lie below it"),
    "above": ("NAME=LIMIT", "gaps of a column are known to lie above it"),
    "gap_bounds": (
        "NAME=LOW:HIGH",
        "what imputed numbers lie between, where observed ones need not",
    ),
}
# Help of BELONG_FLAGS.
_BELONG = {
    "group": "a column whose equal cells make a group, as a person's rows",
    "time": "a column of numbers or times, by which rows follow each other",
    "weights": "a column of numbers: how much each row counts in a fit",
}


_EXAMPLES = """examples:
  miri-impute survey.csv --dry-run          what each column is taken for
  miri-impute survey.csv filled.csv         filled.csv and filled.html, a report
  miri-impute in.xlsx out.xlsx --sheet Data --na '?,-99' --categorical zip
  miri-impute in.csv out.csv --draws 20     out_1.csv ..., to be pooled
  miri-impute in.csv long.csv --draws 20 --long
  miri-impute in.csv out.csv --formula 'bmi = kg / (cm / 100) ** 2' \\
      --only-if "pack_years: smoking != 'never'" --bounds age=0:120
  psql -c '\\copy t to stdout csv header' | miri-impute - - > filled.csv"""


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=27)


class _Parser(argparse.ArgumentParser):
    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse has it, but a value of --na may begin with a minus."""
        words, joined = list(sys.argv[1:] if args is None else args), []
        for word in words:
            if joined[-1:] == ["--na"] and not word.startswith("--"):
                joined[-1] = f"--na={word}"
            else:
                joined.append(word)
        given, rest = super().parse_known_args(joined, namespace)
        for word in filter(lambda x: x.startswith("--"), rest):
            near = did_you_mean(word.split("=")[0], self._option_string_actions)
            if near:
                fail(f"there is no {word.split('=')[0]}{near}", status=2)
        if given.output is None and not given.dry_run:
            self.error("the following arguments are required: OUT")
        return given, rest

    def error(self, message: str) -> Never:
        fail(f"{message}; see miri-impute --help", status=2)


def make_parser() -> argparse.ArgumentParser:
    """The command line of `miri-impute`."""
    parser = _Parser(
        prog="miri-impute",
        usage="miri-impute IN OUT [options]",
        description="Fills the gaps of a table. Flags that take NAME=... may be"
        " repeated.",
        epilog=_EXAMPLES,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    endings = ", ".join(ENDINGS)
    parser.add_argument(
        "input",
        metavar="IN",
        help=f"the table: {endings}; - for stdin; or a folder of parts",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="the filled table; - for stdout",
    )
    add = parser.add_argument
    add(
        "--draws",
        type=int,
        metavar="N",
        default=1,
        help="how many imputations (1), to be pooled",
    )
    add(
        "--one-fit",
        action="store_true",
        help="take all draws from one fit: faster of most methods, each draw"
        " more like the table, intervals too short",
    )
    add("--method", metavar="NAME", default="miri", help=", ".join(IMPUTERS))
    add(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        help="from 0 to 4294967295 (0); the same seed, the same result",
    )
    many = functools.partial(add, action="append", default=[])
    _add_text(*_group(parser, "the file, where it is not found out"))
    _add_columns(*_group(parser, "the columns"))
    _add_changes(_group(parser, "filled cells, afterwards")[1])
    many(
        "--set",
        metavar="KEY=VALUE",
        help="a setting of configs/table.py, as imputer.num_iterations=5",
    )
    add(
        "--check",
        action="store_true",
        help="also fill known cells, and tell in the report how well; takes"
        " as long again",
    )
    add(
        "--stream",
        action="store_true",
        help="a Parquet file larger than memory: fit to 100000 rows drawn at"
        " random, fill by parts; one draw, no report. A folder of Parquet or"
        " CSV files is always filled so, into a folder",
    )
    add(
        "--dask",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="fill the parts of a folder, or of a Parquet file, in parallel: by"
        " the workers of a Dask cluster, or a number of local ones (the cores)",
    )
    add(
        "--long",
        action="store_true",
        help="all draws in one file, with a column 'draw'",
    )
    add(
        "--dry-run",
        action="store_true",
        help="only show what each column is taken for, and how it is filled",
    )
    add("--force", action="store_true", help="replace OUT where it is there")
    add("--version", action="version", version=f"miri_jax {__version__}")
    return parser


def _group(
    parser: argparse.ArgumentParser, title: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What adds a flag under a title, and one that may be repeated."""
    add = parser.add_argument_group(title).add_argument
    return add, functools.partial(add, action="append", default=[])


def _add_text(add: Callable[..., Any], many: Callable[..., Any]) -> None:
    """How a text file is written."""
    add(
        "--sep",
        dest="separator",
        metavar="CHAR",
        help="what is between two cells of a text file",
    )
    add("--encoding", metavar="NAME", help="of a text file, as cp1252")
    add(
        "--skip-rows",
        type=int,
        metavar="N",
        help="how many lines are above the header",
    )
    add(
        "--sheet",
        metavar="NAME",
        help="of a workbook, by name or number (the first)",
    )
    add(
        "--decimal",
        metavar="MARK",
        help="the decimal mark, . or ,",
    )
    add("--dates", metavar="ORDER", help="of dates, dmy or mdy")
    many(
        "--na",
        metavar="CELLS",
        help="what means missing besides empty, NA, NaN, NULL: a,b,... or, in"
        " one column, NAME=a,b,...",
    )


def _add_columns(add: Callable[..., Any], many: Callable[..., Any]) -> None:
    """What is known of columns."""
    for kind in KIND_FLAGS:
        add(
            f"--{kind}",
            metavar="NAMES",
            help=f"columns that are {_KINDS[kind]}: a,b,...",
        )
    many(
        "--order",
        metavar="NAME=A<B<C",
        help="an ordinal column's levels in order",
    )
    many(
        "--bounds",
        metavar="NAME=LOW:HIGH",
        help="what imputed numbers lie between",
    )
    for what, (form, does) in _RELATIONS.items():
        many(
            RELATION_FLAGS[what],
            dest=what,
            metavar=form,
            help=does,
        )
    add(
        "--keep",
        metavar="NAMES",
        help="columns whose gaps stay, and which still tell of others",
    )
    add(
        "--no-found",
        action="store_true",
        help="keep no relation that the table shows and nobody stated",
    )
    for what, does in _BELONG.items():
        add(BELONG_FLAGS[what], metavar="NAME", help=does)
    add(
        "--empty-value",
        type=float,
        metavar="X",
        help="what to fill a column without any value with",
    )


def _add_changes(many: Callable[..., Any]) -> None:
    """What is done to cells once they are filled."""
    for what, (form, does) in _CHANGES.items():
        many(
            CHANGE_FLAGS[what],
            dest=what,
            metavar=form,
            help=does,
        )


def impute(given: argparse.Namespace) -> None:
    """Fills the table of a parsed command line.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    by_parts = given.stream or given.dask is not None
    by_parts |= os.path.isdir(given.input)
    _check(given, by_parts)
    # Not above, see the module's docstring.
    from miri_jax.app import filling

    with piped(given) as made:
        if given.dry_run:
            filling.show(made)
        elif by_parts:
            filling.stream(made)
        else:
            filling.fill(made, piped=given.output == PIPE)


def _check(given: argparse.Namespace, by_parts: bool) -> None:
    """Refuses what can be seen to be wrong before a table is read."""
    check_method(given.method)
    check_seed(given.seed)
    if given.draws < 1 and not given.dry_run:
        raise ConfigError(f"draws is {given.draws}; ask for at least 1")
    folder = os.path.isdir(given.input)
    if folder and given.dry_run:
        raise ConfigError(
            f"{given.input} is a folder; give one of its files to --dry-run"
        )
    if given.input != PIPE and not folder:
        ending_of(given.input)
    if not given.dry_run:
        _check_output(given, by_parts)
    if given.input != PIPE and not folder:
        check_form(given.input, {x: getattr(given, x) for x in TEXT_FLAGS})
        refuse_missing(given.input)


def _check_output(given: argparse.Namespace, by_parts: bool) -> None:
    if given.output == PIPE and given.draws > 1 and not given.long:
        raise ConfigError(
            f"{given.draws} tables cannot go to stdout; add --long for one"
            " with all draws, or name a file"
        )
    if by_parts and PIPE in (given.input, given.output):
        raise ConfigError("--stream and --dask need names of files")
    if given.output == PIPE:
        return
    if by_parts:
        check_parts(given.input, given.output, vars(given))
        if fills_folder(given.input, given.output):
            return
    ending_of(given.output, written=True)
    if given.set:
        return  # It may change what is written.
    written = numbered(given.output, 1 if given.long else given.draws)
    if not by_parts:
        written.append(stem_of(given.output) + ".html")
    # Once more from the config, before the work.
    claim(
        [pathlib.Path(given.input)],
        map(pathlib.Path, written),
        hidden_folder(given.output),
        force=given.force,
        passing=True,
    )


def main() -> None:
    """The entry point; exits with 1 and one line on a user's error."""
    with own_process():
        given = make_parser().parse_args()
        table = "the table" if given.input == PIPE else given.input
        call(lambda: impute(given), IMPUTE_FLAGS, f"reading {table}")


if __name__ == "__main__":
    main()
