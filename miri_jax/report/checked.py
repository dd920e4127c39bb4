"""What overimputation shows, in words; see `engine.overimpute`.

Sentences are said of what is beyond two and a half standard errors only.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from miri_jax.notes import percent
from miri_jax.report.text import (
    in_quotes,
    listed,
    number_text,
)

# Errors that a finding is beyond, and how far off does not matter.
SURE, SLIGHT, SLIGHT_BIAS = 2.5, 0.05, 0.1
# Fields of a column, see `metrics.overimputation.Check`.
Column = Mapping[str, Any]


class Row(NamedTuple):
    """A line of the table of checked columns, as text.

    Attributes:
      name: of the column.
      cells: how many were filled again.
      score: with its standard error.
      half: share within the interval of 50 %, and
      most: of 90 %; of levels "".
      bias: with its standard error; of levels "".
      right: of levels, how often the level drawn most is right, and
      hit: how often a draw is right, and two draws agree; of numbers "".
    """

    name: str
    cells: int
    score: str
    half: str
    most: str
    bias: str
    right: str
    hit: str


def check_rows(check: Mapping[str, Any], limit: int) -> list[Row]:
    """The columns, the worst first.

    Args:
      check: of `Overimputation.as_dict`.
      limit: how many.
    """
    worst = sorted(check["columns"].items(), key=lambda one: -one[1]["score"])
    return [_row(name, one) for name, one in worst[:limit]]


def check_verdict(check: Mapping[str, Any]) -> str:
    """What known cells, filled again, say of the filling."""
    columns = check["columns"]
    cells = sum(one["cells"] for one in columns.values())
    score = check["score"]
    told = (
        f"{cells} known cells were hidden as gaps are and filled again,"
        f" {check['draws']} times. Their score is {score:.2f}: 0 would be the"
        " true values, 1 is as good as drawing observed values at random."
    )
    if "coverage_90" in check:
        told += (
            " Of the true numbers"
            f" {percent(check['coverage_90'], 0)} lie where 90% of the draws"
            " should have them."
        )
    if "accuracy" in check:
        told += (
            f" Of the levels {percent(check['accuracy'], 0)} are right where"
            " the level drawn most is taken."
        )
    if not check_warnings(check):
        told += " Nothing is off by more than chance explains."
    return told


def check_warnings(check: Mapping[str, Any]) -> list[str]:
    """What is wrong by more than chance, each in a sentence or two."""
    said = []
    for named, advice in RULES:
        names = [
            f"{in_quotes(name)} ({found})"
            for name, one in check["columns"].items()
            if (found := named(one))
        ]
        said += [f"{listed(names)}: {advice}"] if names else []
    return said


def warnings_of_cells(name: str, one: Column) -> list[str]:
    """What is wrong in one column by more than chance, as `check_warnings`."""
    return [
        f"{in_quotes(name)} ({found}): {advice}"
        for rule, advice in RULES
        if (found := rule(one))
    ]


def _row(name: str, one: Column) -> Row:
    score = f"{one['score']:.2f} \N{PLUS-MINUS SIGN} {one['score_error']:.2f}"
    if "hit" in one:
        hit = f"{percent(one['hit'], 0)} / {percent(one['agreement'], 0)}"
        right = percent(one["accuracy"], 0)
        return Row(name, one["cells"], score, "", "", "", right, hit)
    bias = f"{one['bias']:+.2f} \N{PLUS-MINUS SIGN} {one['bias_error']:.2f}"
    shares = (percent(one[f"coverage_{k}"], 0) for k in (50, 90))
    return Row(name, one["cells"], score, *shares, bias, "", "")


def _no_better(one: Column) -> str:
    if not one["score"] - SURE * one["score_error"] > 1 + SLIGHT:
        return ""
    return f"score {one['score']:.2f}"


def _too_sure(one: Column) -> str:
    if "hit" in one:
        apart = one["agreement"] - one["hit"]
        if not apart - SURE * one["hit_error"] > SLIGHT:
            return ""
        return (
            f"draws agree in {percent(one['agreement'], 0)} of the cells and"
            f" are right in {percent(one['hit'], 0)}"
        )
    short = 0.9 - one["coverage_90"]
    if not short - SURE * one["coverage_error"] > SLIGHT:
        return ""
    return f"{percent(one['coverage_90'], 0)} instead of 90%"


def _too_wide(one: Column) -> str:
    if "hit" in one:
        return ""
    error = (0.25 / one["effective"]) ** 0.5
    if not one["coverage_50"] - 0.5 - SURE * error > SLIGHT:
        return ""
    return f"{percent(one['coverage_50'], 0)} instead of 50%"


def _biased(one: Column) -> str:
    if "hit" in one:
        return ""
    if not abs(one["bias"]) - SURE * one["bias_error"] > SLIGHT_BIAS:
        return ""
    how = "too high" if one["bias"] > 0 else "too low"
    return f"{number_text(abs(one['bias']), 2)} deviations {how}"


RULES: tuple[tuple[Callable[[Column], str], str], ...] = (
    (
        _no_better,
        "known cells filled again are worse than observed values drawn at"
        " random. Do not use what is filled in there; try another method.",
    ),
    (
        _too_sure,
        "the draws are too sure: true values lie outside of them more often"
        " than they should. Intervals that rest on them are too short.",
    ),
    (
        _too_wide,
        "the draws are too wide: true values lie in their middle more often"
        " than they should. What is estimated from them is less precise than"
        " it could be.",
    ),
    (
        _biased,
        "known cells filled again are off on average. Means of the column are"
        " off where many cells are missing.",
    ),
)
