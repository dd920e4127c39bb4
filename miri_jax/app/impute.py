"""The command `miri-impute IN OUT`: fills the gaps of one file.

    miri-impute survey.csv filled.csv --draws 5

writes filled_1.csv ... filled_5.csv and filled.html, a report. It is
`python -m miri_jax.main --config configs/table.py` with fewer words: what a run
needs to go on after a stop is kept in a hidden folder beside OUT, which is
removed at the end. What is asked wrongly is told before anything heavy loads.
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Never

from miri_jax import __version__
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
from miri_jax.endings import (
    ENDINGS,
    ending_of,
    numbered,
    refuse_itself,
    stem_of,
)
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import IMPUTERS, check_method

# What each flag of CHANGE_FLAGS takes, and its help.
_CHANGES = {
    "shift": ("NAME=NUMBER", "add a number to filled cells of a column"),
    "scale": ("NAME=FACTOR", "multiply filled cells of a column"),
    "odds": ("NAME=LEVEL:FACTOR", "multiply the odds of a level"),
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
        return super().parse_known_args(joined, namespace)

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
    add(
        "--draws",
        type=int,
        default=1,
        help="how many imputations (1), to be pooled",
    )
    add(
        "--one-fit",
        action="store_true",
        help="take all draws from one fit: faster of most methods, each draw"
        " more like the table, intervals too short",
    )
    add("--method", default="miri", help=", ".join(IMPUTERS))
    add("--seed", type=int, default=0, help="the same seed, the same result")
    many = functools.partial(add, action="append", default=[])
    _add_text(add, many)
    _add_columns(add, many)
    _add_changes(many)
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
        " random, fill by parts; one draw, no report",
    )
    add("--force", action="store_true", help="replace OUT where it is there")
    add("--version", action="version", version=f"miri_jax {__version__}")
    return parser


def _add_text(add: Callable[..., Any], many: Callable[..., Any]) -> None:
    """How a text file is written."""
    add(
        "--sep",
        dest="separator",
        metavar="CHAR",
        help="what is between two cells of a text file, where it is not found",
    )
    add("--encoding", help="of a text file, as utf-16 or cp1252; likewise")
    add(
        "--skip-rows",
        type=int,
        metavar="N",
        help="how many lines of a text file are above its header; likewise",
    )
    add(
        "--decimal",
        metavar="MARK",
        help="the decimal mark, . or , where a text file leaves it open",
    )
    add("--dates", metavar="ORDER", help="of dates, dmy or mdy; likewise")
    many(
        "--na",
        metavar="CELLS",
        help="what means missing besides empty, NA, N/A, NaN, NULL: a,b,... or,"
        " in one column, NAME=a,b,...; may be repeated",
    )


def _add_columns(add: Callable[..., Any], many: Callable[..., Any]) -> None:
    """What is known of columns."""
    for kind in KIND_FLAGS:
        add(
            f"--{kind}",
            metavar="NAMES",
            help=f"columns that are {kind}, where it is not found: a,b,...",
        )
    many(
        "--order",
        metavar="NAME=A<B<C",
        help="an ordinal column's levels in order; may be repeated",
    )
    many(
        "--bounds",
        metavar="NAME=LOW:HIGH",
        help="what imputed numbers lie between; may be repeated",
    )
    for what, (form, does) in _RELATIONS.items():
        many(
            RELATION_FLAGS[what],
            dest=what,
            metavar=form,
            help=f"{does}; may be repeated",
        )
    add(
        "--keep",
        metavar="NAMES",
        help="columns that stay as they are, and still tell of others: a,b,...",
    )
    for what, does in _BELONG.items():
        add(BELONG_FLAGS[what], metavar="NAME", help=does)
    add(
        "--empty-value",
        type=float,
        help="what to fill a column with that has no observed value",
    )


def _add_changes(many: Callable[..., Any]) -> None:
    """What is done to cells once they are filled."""
    for what, (form, does) in _CHANGES.items():
        many(
            CHANGE_FLAGS[what],
            dest=what,
            metavar=form,
            help=f"{does} once it is filled, as NAME[COLUMN=LEVEL]=... for one"
            " group; may be repeated",
        )


def impute(given: argparse.Namespace) -> None:
    """Fills the table of a parsed command line.

    Raises:
      MiriError: see its subclasses; nothing that was there is lost.
    """
    _check(given)
    # Not above, see the module's docstring.
    from miri_jax.app import filling

    if given.stream:
        filling.stream(given)
    else:
        filling.fill(given)


def _check(given: argparse.Namespace) -> None:
    """Refuses what can be seen to be wrong before a table is read."""
    check_method(given.method)
    ending_of(given.output)
    if given.stream:
        for path in (given.input, given.output):
            if ending_of(path) != ".parquet":
                raise ConfigError(
                    f"--stream takes Parquet files; {path} is another kind"
                )
        if given.draws != 1:
            raise ConfigError(f"--stream gives one draw, not {given.draws}")
        for what, flag in TEXT_FLAGS.items():
            if getattr(given, what) is not None:
                raise ConfigError(
                    f"--stream takes Parquet files; leave out {flag}"
                )
        for what, flag in CHANGE_FLAGS.items():
            if getattr(given, what):
                raise ConfigError(
                    f"--stream cannot change filled cells; leave out {flag}"
                )
        for what in ("group", "time"):
            if getattr(given, what):
                raise ConfigError(
                    "--stream fills by parts, and rows that belong together"
                    f" may be in several; leave out {BELONG_FLAGS[what]}"
                )
        if given.check:
            raise ConfigError(
                "--stream gives no report, so that --check has no place; leave"
                " one of them out"
            )
    if given.draws < 1:
        raise ConfigError(f"draws is {given.draws}; ask for at least 1")
    refuse_itself(given.input, given.output, given.draws)
    written = numbered(given.output, given.draws)
    if not given.stream:
        written.append(stem_of(given.output) + ".html")
    for path in written:
        if pathlib.Path(path).exists() and not given.force:
            raise ConfigError(
                f"{path} already exists; choose another name, or --force"
            )


def main() -> None:
    """The entry point; exits with 1 and one line on a user's error."""
    with own_process():
        given = make_parser().parse_args()
        call(lambda: impute(given), IMPUTE_FLAGS)


if __name__ == "__main__":
    main()
