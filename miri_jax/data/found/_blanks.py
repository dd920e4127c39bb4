"""Gaps that another column tells for certain, and columns never seen together.

A cell that is empty in every row with a certain level, or number, of another
column may have to be: pack-years of never-smokers. It may as well be a cell
that nobody could observe, so that this is said and no more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.data.columns import Column
from miri_jax.data.found._pool import sample_rows, usable_name
from miri_jax.data.found._simple import quoted

# Gaps that are told, at least; the most that are elsewhere, and the share of
# all that levels, or a limit, tell.
GAPS, ELSEWHERE, TOLD, TOLD_BY_LIMIT = 10, 0.5, 0.5, 0.9
# Evidence beyond what counts the pairs there are, in nats.
SURE = 12.0
# Levels of a column that tells, and of a condition, at most.
LEVELS, NAMED = 50, 4
# Rows in which columns are seen together, below which nothing is known.
TOGETHER, ALONE = 5, 30


class Blank(NamedTuple):
    """A column that is empty in all rows of a kind.

    Attributes:
      name: of the column.
      unless: an expression of where it is not, as `only_if` takes it.
      where: likewise, where it is.
      rows: in how many rows it is empty there.
      others: how many cells are empty elsewhere, and
      seen: how many rows there are elsewhere.
    """

    name: str
    unless: str
    where: str
    rows: int
    others: int
    seen: int


class _Teller(NamedTuple):
    """A column that may tell of gaps.

    Attributes:
      place: its number.
      of_levels: whether by its levels, else by a limit.
    """

    place: int
    of_levels: bool


def blanks_of(
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    skip: Sequence[str] = (),
) -> list[Blank]:
    """Columns whose gaps another tells, with the one that tells most.

    Args:
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
      skip: names of columns that are not asked of.
    """
    names = [str(column.name) for column in columns]
    asked = [
        j
        for j in range(len(columns))
        if (~known[:, j]).sum() >= GAPS
        and known[:, j].sum() >= GAPS
        and names[j] not in skip
        and usable_name(names[j])
    ]
    if not asked:
        return []
    rows = sample_rows(len(known))
    tellers = [
        _Teller(j, column.levels is not None)
        for j, column in enumerate(columns)
        if column.kind != "id"
        and usable_name(names[j])
        and names.count(names[j]) == 1
        and len(column.levels or ()) <= LEVELS
    ]
    best: dict[int, tuple[tuple[int, bool], Blank]] = {}
    for teller in tellers:
        likely = _likely(
            columns[teller.place],
            numbers[rows, teller.place],
            known[rows, teller.place],
            known[np.ix_(rows, asked)],
        )
        for j in (asked[k] for k in likely if asked[k] != teller.place):
            tests = len(asked) * len(tellers) * LEVELS
            found = _blank(columns, numbers, known, j, teller, tests)
            if found is None:
                continue
            rank = (found.rows, teller.of_levels)
            if j not in best or rank > best[j][0]:
                best[j] = rank, found
    return [best[j][1] for j in sorted(best)]


def _likely(
    column: Column, values: np.ndarray, known: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """Which columns `[k]` are empty in a part of a sample that one tells.

    Args:
      column: the one.
      values: `[s]`.
      known: `[s]` bool.
      seen: `[s, k]` bool, where the others are known.
    """
    values, seen = values[known], seen[known]
    if column.levels is None:
        low, high = _ends(values, seen)
        told = (values[:, None] < low) | (values[:, None] > high)
        count = told.sum(axis=0)
    else:
        ranks = values.astype(int)
        size = np.bincount(ranks, minlength=len(column.levels))
        kinds = np.zeros((len(size), len(ranks)), np.float32)
        kinds[ranks, np.arange(len(ranks))] = 1
        there = kinds @ seen.astype(np.float32)
        count = np.where(there == 0, size[:, None], 0).sum(axis=0)
    gaps = (~seen).sum(axis=0)
    return np.flatnonzero((count >= GAPS / 4) & (count >= TOLD / 2 * gaps))


def _ends(
    values: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value `[k]` of rows where others are seen."""
    low = np.where(seen, values[:, None], np.inf).min(axis=0, initial=np.inf)
    high = np.where(seen, values[:, None], -np.inf).max(axis=0, initial=-np.inf)
    return low, high


def _blank(
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    place: int,
    teller: _Teller,
    tests: int,
) -> Blank | None:
    column, rows = columns[teller.place], known[:, teller.place]
    values, gap = numbers[rows, teller.place], ~known[rows, place]
    said = (_by_levels if teller.of_levels else _by_limit)(column, values, gap)
    if said is None:
        return None
    told, unless, where = said
    count, others = int(told.sum()), int(gap[~told].sum())
    seen = int((~told).sum())
    rate = (others + 1) / (seen + 1)
    share = TOLD if teller.of_levels else TOLD_BY_LIMIT
    if count < GAPS or rate > ELSEWHERE or count < share * gap.sum():
        return None
    if count * -np.log(rate) < np.log(tests) + SURE:
        return None
    name = str(columns[place].name)
    return Blank(name, unless, where, count, others, seen)


def _by_levels(
    column: Column, values: np.ndarray, gap: np.ndarray
) -> tuple[np.ndarray, str, str] | None:
    ranks = values.astype(int)
    size = np.bincount(ranks, minlength=len(column.levels))
    gaps = np.bincount(ranks, gap, minlength=len(column.levels))
    empty = (size > 0) & (gaps == size)
    # A level of few rows may be empty by chance, and is then left out.
    rate = (gaps[~empty].sum() + 1) / (size[~empty].sum() + 1)
    empty &= size * -np.log(min(rate, 1)) > np.log(len(size)) + SURE / 2
    full = (size > 0) & ~empty
    if not empty.any() or not full.any():
        return None
    name = quoted(str(column.name))
    parts = [
        [f"{name} {{}} {_level(column.levels[k])}" for k in np.flatnonzero(of)]
        for of in (empty, full)
    ]
    if min(len(part) for part in parts) > NAMED:
        return None
    if len(parts[0]) <= len(parts[1]):
        unless = " and ".join(part.format("!=") for part in parts[0])
        where = " or ".join(part.format("==") for part in parts[0])
    else:
        unless = " or ".join(part.format("==") for part in parts[1])
        where = " and ".join(part.format("!=") for part in parts[1])
    return empty[ranks], unless, where


def _level(level: object) -> str:
    if isinstance(level, str):
        return f'"{level}"' if "'" in level else f"'{level}'"
    return f"{float(level):.12g}"


def _by_limit(
    column: Column, values: np.ndarray, gap: np.ndarray
) -> tuple[np.ndarray, str, str] | None:
    low, high = (float(end[0]) for end in _ends(values, ~gap[:, None]))
    below, above = values < low, values > high
    if below.sum() >= above.sum():
        told, signs, limit = below, (">=", "<"), low
    else:
        told, signs, limit = above, ("<=", ">"), high
    name = quoted(str(column.name))
    text = f"{limit:.12g}"
    if column.kind == "datetime":
        text = f"'{np.datetime64(int(limit), 's')}'"
    return told, f"{name} {signs[0]} {text}", f"{name} {signs[1]} {text}"


def never_together(
    columns: Sequence[Column], known: np.ndarray
) -> list[tuple[str, str, int]]:
    """Pairs of columns seen together in hardly any row, and in how many.

    Where columns would be together by chance as seldom, nothing is said.

    Args:
      columns: c.
      known: `[n, c]` bool.
    """
    used = [
        j
        for j, column in enumerate(columns)
        if not known[:, j].all() and known[:, j].sum() >= ALONE
    ]
    seen = known[:, used].astype(np.float32)
    both, alone = seen.T @ seen, seen.sum(axis=0)
    wanted = np.outer(alone, alone) / max(len(known), 1)
    few = (both < TOGETHER) & (wanted > 2 * TOGETHER + both)
    return [
        (
            str(columns[used[a]].name),
            str(columns[used[b]].name),
            int(both[a, b]),
        )
        for a, b in np.argwhere(np.triu(few, 1))
    ]
