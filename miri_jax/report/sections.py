"""What the page tells of each column: pictures, numbers, relations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.data.plans import Plan
from miri_jax.notes import percent
from miri_jax.report.drawing import Histogram, Scatter, histogram, scatter
from miri_jax.report.facts import View
from miri_jax.report.partners import ENOUGH, Partner, Partners, cells
from miri_jax.report.text import (
    DASH,
    full_name,
    quoted,
    shorten,
    value_text,
)
from miri_jax.report.warnings import FEW_CELLS, warnings_of_column

# Numbers that are shown one by one: so many different ones, or a share of the
# observed cells.
FEW_NUMBERS, HEAP = 12, 0.4
# Levels that are shown at once, and in all, of a table of few columns.
SHOWN, MOST = 10, 100
# Levels of a table of two columns.
DOWN, ACROSS = 6, 3
GROUPS = 5
# Points of a scatter, bins, and columns from which on there are fewer.
POINTS, BINS, MANY_COLUMNS = 400, 36, 60
QUARTILES = ("lowest", "lower quarter", "middle", "upper quarter", "highest")


class Bar(NamedTuple):
    """A level or number with its shares of observed and imputed cells.

    Attributes:
      name: as text.
      observed: share of the observed cells.
      imputed: of the imputed ones, all draws together.
      low: the least and
      high: the largest of one draw.
    """

    name: str
    observed: float
    imputed: float
    low: float
    high: float


class Group(NamedTuple):
    """Rows of some values of another column, and what is missing there."""

    name: str
    rows: int
    missing: float


class Section(NamedTuple):
    """What is told of a column.

    Attributes:
      view: the column.
      name: in full, or so much that it is told from others.
      how: its gaps are filled, in words.
      stays: how many of its gaps stay empty, in words; "" for none.
      beware: warnings.
      bars: levels, or numbers that many cells have.
      more_bars: other levels, and
      left_out: how many have no bar.
      picture: the other numbers.
      rest: share of the observed cells that it is of, where not all.
      quartiles: name, observed, imputed, as text.
      partner: the column that goes with it most.
      alone: why there is none, in words; "" where there is one.
      relation: both, drawn.
      crossed: both, of levels: names across, and a line for each level.
      gap_partner: the column whose values go with its gaps most.
      gap_groups: by these, how much is missing.
      gaps_with: the column that misses the same rows most, or least.
    """

    view: View
    name: str
    how: str
    stays: str
    beware: list[str]
    bars: list[Bar]
    more_bars: list[Bar]
    left_out: int
    picture: Histogram | None
    rest: float
    quartiles: list[tuple[str, str, str]]
    partner: Partner | None
    alone: str
    relation: Scatter | None
    crossed: tuple[list[str], list[tuple[str, list[list[str]]]]] | None
    gap_partner: Partner | None
    gap_groups: list[Group]
    gaps_with: Partner | None


def sections_of(
    views: Sequence[View],
    plans: Sequence[Plan],
    partners: Partners,
    method: str,
    named: Mapping[int, Sequence[str]],
) -> list[Section]:
    """A section for each column of a file, none left out.

    Args:
      views: its columns.
      plans: of the same columns.
      partners: likewise.
      method: that filled them.
      named: how rules that warn name them, see `named_by_rules`.
    """
    return [
        _section(
            view,
            plan,
            partners,
            method,
            len(views),
            warnings_of_column(named[view.number]),
        )
        for view, plan in zip(views, plans)
    ]


def bars_of(view: View, values: np.ndarray, names: Sequence[str]) -> list[Bar]:
    """Shares of some values, by their names."""
    draws = [view.filled(k) for k in range(len(view.imputed))]
    shares = [
        [np.mean(x == value) if len(x) else 0.0 for x in draws]
        for value in values
    ]
    every = view.filled()
    return [
        Bar(
            name,
            float(np.mean(view.observed == value)) if len(view.observed) else 0,
            float(np.mean(every == value)) if len(every) else 0.0,
            min(parts, default=0.0),
            max(parts, default=0.0),
        )
        for value, name, parts in zip(values, names, shares)
    ]


def _section(
    view: View,
    plan: Plan,
    partners: Partners,
    method: str,
    columns: int,
    beware: list[str],
) -> Section:
    few = min(1.0, MANY_COLUMNS / columns)
    bars, more, left_out = _level_bars(view, columns)
    picture, rest = None, 1.0
    if view.levels is None and view.kind != "id":
        bars, shown = _number_bars(view)
        if shown is not None:
            observed, draws = shown
            bins = BINS if few == 1 else BINS // 2
            picture = histogram(view, observed, draws, bins)
            rest = len(observed) / max(len(view.observed), 1)
    partner = partners.of_values[view.number] if view.missing.any() else None
    relation, crossed = None, None
    if partner is not None:
        pairs, imputed = _pairs(view, partner.view, int(few * POINTS))
        relation = scatter(view, partner.view, pairs, imputed)
        if relation is None:
            crossed = _crossed(view, partner.view)
    gap_partner = partners.of_gaps[view.number]
    return Section(
        view,
        full_name(view),
        plan.told(method) if plan.gaps else "",
        stays_text(view),
        beware,
        bars,
        more,
        left_out,
        picture,
        rest,
        _quartiles(view),
        partner,
        "" if partner else alone_text(view, plan),
        relation,
        crossed,
        gap_partner,
        groups_of(view, gap_partner.view) if gap_partner else [],
        partners.gaps_with[view.number],
    )


def alone_text(view: View, plan: Plan) -> str:
    """Why no column is shown that goes with one, in words."""
    if plan.given:
        return f"Other columns give {plan.given} of its gaps exactly."
    count = len(view.observed)
    if view.levels is not None and count:
        count = np.bincount(view.observed.astype(int)).max()
    if count < ENOUGH:
        return "Its values are too few, or too rare, to tell what goes with it."
    return "No other column goes with it, beyond chance."


def stays_text(view: View) -> str:
    """How many gaps stay empty, over the draws; "" for none."""
    counts = view.empty.sum(axis=1)
    if not counts.any():
        return ""
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low} to {high}"


def _level_bars(view: View, columns: int) -> tuple[list[Bar], list[Bar], int]:
    if view.levels is None:
        return [], [], 0
    most = int(np.clip(6000 / columns, SHOWN, MOST))
    counts = np.bincount(view.observed.astype(int), minlength=len(view.levels))
    counts = counts + 1e-6 * np.bincount(
        view.filled().astype(int), minlength=len(view.levels)
    )
    order = np.argsort(-counts, kind="stable")
    order = np.arange(len(order)) if view.kind == "ordinal" else order
    shown = order[:most]
    names = [shorten(view.levels[k], 120) for k in shown]
    bars = bars_of(view, shown, names)
    return bars[:SHOWN], bars[SHOWN:], len(order) - len(shown)


def _number_bars(
    view: View,
) -> tuple[list[Bar], tuple[np.ndarray, list[np.ndarray]] | None]:
    """Numbers that many cells have, and the others, observed and by draw."""
    draws = [view.filled(k) for k in range(len(view.imputed))]
    every = np.unique(np.concatenate([view.observed, *draws]))
    if len(every) <= FEW_NUMBERS:
        return bars_of(view, every, [value_text(view, x) for x in every]), None
    found, counts = np.unique(view.observed, return_counts=True)
    heaps = found[counts >= HEAP * max(len(view.observed), 1)]
    if not len(heaps):
        return [], (view.observed, draws)
    bars = bars_of(view, heaps, [value_text(view, x) for x in heaps])
    others = [x[~np.isin(x, heaps)] for x in (view.observed, *draws)]
    return bars, (others[0], others[1:])


def _quartiles(view: View) -> list[tuple[str, str, str]]:
    if view.levels is not None or not len(view.observed):
        return []
    at = np.linspace(0, 1, 5)
    filled = view.filled()
    observed = [value_text(view, x) for x in _nearest(view.observed, at)]
    imputed = (
        [value_text(view, x) for x in _nearest(filled, at)]
        if len(filled)
        else [""] * 5
    )
    return list(zip(QUARTILES, observed, imputed))


def _nearest(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Quantiles that are among the values."""
    return np.quantile(values, at, method="nearest")


def _pairs(
    view: View, other: View, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cells `[k, 2]` of two columns, and which are imputed in the first.

    Rows where both are observed, and rows where the first is imputed and
    the other is observed: each a random half of what is shown.
    """
    both = np.stack([cells(view), cells(other)], axis=1)
    usable = ~np.isnan(both).any(axis=1) & ~other.missing
    rng, rows = np.random.default_rng(0), []
    for part in (~view.missing, view.missing):
        found = np.flatnonzero(usable & part)
        rows.append(rng.permutation(found)[: limit // 2])
    chosen = np.concatenate(rows)
    return both[chosen], np.arange(len(chosen)) >= len(rows[0])


def _crossed(
    view: View, other: View
) -> tuple[list[str], list[tuple[str, list[list[str]]]]]:
    """Shares of a column's levels in those of another, observed and imputed.

    Observed ones alone where imputed cells are too few to have any.
    """
    x, y = cells(other), cells(view)
    usable = ~np.isnan(x) & ~np.isnan(y) & ~other.missing
    x, y, imputed = x[usable], y[usable], view.missing[usable]
    down, across = _frequent(x, DOWN), _frequent(y, ACROSS)
    lines = []
    for level in down:
        parts = [y[(x == level) & (imputed == k)] for k in (False, True)]
        shares = [
            [
                percent(np.mean(part == k), 0)
                if len(part) >= FEW_CELLS
                else DASH
                for part in parts
            ]
            for k in across
        ]
        lines.append((shorten(other.levels[int(level)], 60), shares))
    if all(share[1] == DASH for _, shares in lines for share in shares):
        lines = [
            (name, [share[:1] for share in shares]) for name, shares in lines
        ]
    return [shorten(view.levels[int(k)], 60) for k in across], lines


def _frequent(x: np.ndarray, most: int) -> np.ndarray:
    found, counts = np.unique(x, return_counts=True)
    return found[np.argsort(-counts, kind="stable")[:most]]


def groups_of(view: View, other: View) -> list[Group]:
    """How much is missing of a column, by the observed values of another."""
    x = np.full(len(other.missing), np.nan)
    x[~other.missing] = other.observed
    seen = ~np.isnan(x)
    if other.levels is not None:
        found = _frequent(x[seen], DOWN)
        parts = [
            (shorten(other.levels[int(k)], 60), seen & (x == k)) for k in found
        ]
    else:
        at = np.quantile(other.observed, np.linspace(0, 1, GROUPS + 1))
        at = np.unique(at)
        place = np.clip(np.searchsorted(at, x, "right") - 1, 0, len(at) - 2)
        parts = []
        for k in range(max(len(at) - 1, 1)):
            here = seen & (place == k)
            if here.any():
                ends = [value_text(other, f(x[here])) for f in (min, max)]
                text = ends[0] if ends[0] == ends[1] else " to ".join(ends)
                parts.append((text, here))
    return [
        Group(name, int(rows.sum()), float(view.missing[rows].mean()))
        for name, rows in parts
    ]


def partner_text(partner: Partner | None) -> str:
    """A column and how much it goes with another, in words."""
    if partner is None:
        return ""
    size = abs(partner.correlation)
    words = (
        "strongly" if size > 0.6 else "clearly" if size > 0.3 else "a little"
    )
    return f"{words} with {quoted(partner.view)}"
