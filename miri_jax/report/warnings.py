"""What a user should know before using the result, and what to do.

Each rule looks at one column; those that it applies to stand in one sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.notes import percent
from miri_jax.report.facts import (
    View,
    difference,
    draws_agree,
    holds_one_value,
    level_shares,
)
from miri_jax.report.telling import Prediction, told_by_filling
from miri_jax.report.text import (
    in_quotes,
    listed,
    quoted,
    value_text,
)

# What is warned of: a share of gaps, few observed values or cells of a level,
# and distributions that differ by more.
MANY_GAPS, FEW_VALUES, FEW_CELLS, DIFFERENT = 0.7, 30, 5, 0.3


class Rule(NamedTuple):
    """A reason to warn of a column.

    Attributes:
      named: the column as the warning names it; "" where the rule does not
        apply.
      advice: what follows the names.
      only_gaps: whether the rule is asked only of columns with gaps and with
        observed values.
    """

    named: Callable[[View], str]
    advice: str
    only_gaps: bool = True


def named_by_rules(views: Sequence[View]) -> dict[int, list[str]]:
    """Of each column, by its number, how each rule names it; "" for not."""
    return {
        view.number: [_named(rule, view) for rule in RULES] for view in views
    }


def warnings_of(
    views: Sequence[View],
    found: Sequence[Prediction],
    named: Mapping[int, Sequence[str]] | None = None,
) -> list[str]:
    """The warnings of a file, a sentence or two each.

    Args:
      views: its columns.
      found: how well their gaps can be told.
      named: of `named_by_rules`, where it is known.
    """
    used = [view for view in views if view.kind != "id"]
    named = named_by_rules(views) if named is None else named
    said = []
    for k, rule in enumerate(RULES):
        names = [named[view.number][k] for view in used]
        said += _sentence(filter(None, names), rule.advice)
    said += _sentence(
        [
            f"{quoted(p.view)} ({p.before:.2f} before, {p.after:.2f} after)"
            for p in found
            if told_by_filling(p)
        ],
        "once filled, the column itself tells which of its cells were missing"
        " (before and after filling, 0.5 is guessing and 1 is certain). Let"
        " the fit run longer, or try another method.",
    )
    empty = int(np.all([view.missing for view in used], axis=0).sum())
    if empty:
        said.append(
            f"{empty} row{'s have' if empty > 1 else ' has'} no observed cell,"
            " so that nothing tells what belongs there. Leave such rows out of"
            " an analysis."
        )
    return said


def warnings_of_column(named: Sequence[str]) -> list[str]:
    """What a user should know of one column, as `named_by_rules` names it."""
    return [
        f"{name}: {rule.advice}" for name, rule in zip(named, RULES) if name
    ]


def _named(rule: Rule, view: View) -> str:
    if view.kind == "id":
        return ""
    known = view.missing.any() and len(view.observed)
    return rule.named(view) if known or not rule.only_gaps else ""


def _sentence(names: Sequence[str], advice: str) -> list[str]:
    names = list(names)
    return [f"{listed(names)}: {advice}"] if names else []


def _empty(view: View) -> str:
    return quoted(view) if view.missing.all() else ""


def _mostly_missing(view: View) -> str:
    share = view.missing.mean()
    return f"{quoted(view)} ({percent(share, 0)})" if share > MANY_GAPS else ""


def _few_values(view: View) -> str:
    count = len(view.observed)
    return f"{quoted(view)} ({count} values)" if count < FEW_VALUES else ""


def _rare_levels(view: View) -> str:
    if view.levels is None:
        return ""
    counts = np.bincount(view.observed.astype(int), minlength=len(view.levels))
    rare = np.flatnonzero(counts < FEW_CELLS)
    if not len(rare):
        return ""
    return (
        f"{quoted(view)} ({len(rare)} of {len(counts)} levels, such as"
        f" {in_quotes(view.levels[rare[0]])})"
    )


def _constant(view: View) -> str:
    return quoted(view) if holds_one_value(view) else ""


def _different(view: View) -> str:
    """How imputed values differ from observed ones, if by more than chance."""
    apart = difference(view)
    sizes = 1 / max(view.missing.sum(), 1) + 1 / max(len(view.observed), 1)
    levels = 8 if view.levels is None else len(view.levels)
    if not apart > DIFFERENT + np.sqrt(levels * sizes) / 2:
        return ""
    measure = f"{quoted(view)} ({apart:.2f} on a scale of 0, alike, to 1; "
    if view.levels is not None:
        shares = level_shares(view)
        k = int(np.argmax(shares[1] - shares[0]))
        return (
            f"{measure}{in_quotes(view.levels[k])} is {shares[1, k]:.0%} of the"
            f" imputed and {shares[0, k]:.0%} of the observed cells)"
        )
    imputed, observed = (
        " to ".join(
            value_text(view, x) for x in np.quantile(values, [0.25, 0.75])
        )
        for values in (view.filled(), view.observed)
    )
    return (
        f"{measure}half of the imputed cells lie in {imputed}, half of the"
        f" observed in {observed})"
    )


def _negative(view: View) -> str:
    """A column with imputed cells below 0, where no observed one is."""
    filled = view.filled()
    numbers = view.kind in ("real", "integer") and filled.size
    if not numbers or view.observed.min() < 0 or filled.min() >= 0:
        return ""
    share, low = (filled < 0).mean(), filled.min()
    return (
        f"{quoted(view)} ({percent(share)} of the imputed cells, down to"
        f" {value_text(view, low)})"
    )


def _agreeing(view: View) -> str:
    """A column whose draws are nearly the same, though it varies."""
    agree = draws_agree(view) and not holds_one_value(view)
    return quoted(view) if agree else ""


RULES = (
    Rule(
        _empty,
        "not one value was observed, so that every cell holds the number that"
        " you chose. Leave the column out of an analysis.",
        only_gaps=False,
    ),
    Rule(
        _mostly_missing,
        "most cells are missing, and what is filled in rests on the few"
        " others. Look at the draws one by one, and see whether your results"
        " hold without the column.",
    ),
    Rule(
        _few_values,
        f"fewer than {FEW_VALUES} values were observed, too few to learn from."
        " Take what is filled in as a guess.",
    ),
    Rule(
        _rare_levels,
        f"levels observed fewer than {FEW_CELLS} times are hardly ever imputed"
        " well. Merge them with others in the file.",
    ),
    Rule(
        _constant,
        "constant: all observed values are equal, and gaps, if any, are filled"
        " with that value. Where an empty cell means something else, such as a"
        " cross that was not made, keep the gaps; elsewhere the column tells"
        " nothing, so leave it out.",
        only_gaps=False,
    ),
    Rule(
        _different,
        "imputed values are distributed differently from observed ones. That is"
        " right where the gaps depend on other columns (say, the old answer"
        " less often); where you know of no reason, do not trust them.",
    ),
    Rule(
        _negative,
        "imputed values are negative, though no observed one is. Where such"
        " values cannot exist, give the column a lower bound of 0 and fill it"
        " again.",
    ),
    Rule(
        _agreeing,
        "all draws are nearly equal, so that they do not show how uncertain the"
        " imputed values are. Unless the other columns determine this one, use"
        " a method that draws.",
    ),
)
