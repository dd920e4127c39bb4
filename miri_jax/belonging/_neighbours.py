"""Numbers told by others: shrunken means of groups, neighbours in time.

A number is taken for a draw of a normal process: a mean of all, a random effect
of its group, a part that is alike for neighbours in time (a Matern process),
and noise. What the other observed numbers tell of it is the best linear
prediction (kriging; of groups alone the shrunken mean of a random intercept:
Robinson, 1991). A number never tells itself, and an observed one is told from
as far away as gaps are: what a gap cannot see is hidden from it, too.
"""

import itertools
from typing import NamedTuple

import numpy as np

# Which observed neighbours tell a number, counted from the nearest on.
NEAR = np.array([0, 1, 2, 4, 8, 16, 32])
# Lengths of the process in steps, shares of the group's effect, noise as a
# share of the variance.
LENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
SHARES, NOISE = (0.0, 0.5, 0.9), (1e-4, 1e-2, 0.1, 0.5)
# Observed cells that choose among them, and rows that are told at a time.
CHOOSING, PART = 300, 8192
# Gaps that are tried for how far away a cell is told from.
TRIES = 6
# Parts of the line whose errors tell chance from gain.
BLOCKS = 10
# Noise over the variance of groups' effects, to choose from.
RATIOS = np.geomspace(1e-3, 1e3, 31)


class Rows(NamedTuple):
    """Which rows belong together.

    Attributes:
      group: `[n]` int, codes from 0 on.
      time: `[n]` float64; None for no order.
    """

    group: np.ndarray
    time: np.ndarray | None = None


class Process(NamedTuple):
    """How numbers of a column are alike.

    Attributes:
      smooth: 0, 1 or 2: how smooth it is in time; -1 for groups alone.
      length: of its memory, in units of time.
      share: of the variance but noise that is between groups.
      noise: over the variance of the rest.
    """

    smooth: int
    length: float
    share: float
    noise: float


class Told(NamedTuple):
    """What others tell of numbers.

    Attributes:
      mean: `[n, w]`.
      spread: `[n]`, the deviation of what is left, as a share of the whole.
    """

    mean: np.ndarray
    spread: np.ndarray


def away(rows: Rows, observed: np.ndarray, most: int = 256) -> np.ndarray:
    """How far gaps are from what is observed before and after, `[k, 2]`.

    Infinite where there is nothing; of many gaps some, evenly spread.

    Args:
      rows: n.
      observed: `[n]` bool.
      most: of gaps.
    """
    gaps = np.flatnonzero(~observed)
    if rows.time is None or not gaps.size or not observed.any():
        return np.zeros((1, 2))
    line = _Line(rows, observed)
    gaps = gaps[np.lexsort((rows.time[gaps], rows.group[gaps]))]
    some = gaps[np.linspace(0, len(gaps) - 1, min(len(gaps), most)).astype(int)]
    found = np.full((len(some), 2), np.inf)
    for side, (at, inside) in enumerate(line.sides(some, np.zeros((1, 2)))):
        near = rows.time[line.seen[np.where(inside[:, 0], at[:, 0], 0)]]
        found[inside[:, 0], side] = np.abs(near - rows.time[some])[inside[:, 0]]
    return found


def choose(
    rows: Rows,
    values: np.ndarray,
    observed: np.ndarray,
    center: np.ndarray,
    far: np.ndarray,
) -> Process:
    """The process by which observed numbers are told best, from afar.

    Args:
      rows: n.
      values: `[n, w]` float64, read where observed.
      observed: `[n]` bool.
      center: `[w]`, their mean.
      far: as `away` gives it.
    """
    if rows.time is None:
        errors = []
        for ratio in RATIOS:
            one = Process(-1, np.inf, 1.0, float(ratio))
            mean = tell(rows, values, observed, center, far, one).mean
            errors.append(np.mean((mean - values)[observed] ** 2))
        return Process(-1, np.inf, 1.0, float(RATIOS[np.argmin(errors)]))
    seen = np.flatnonzero(observed)
    pick = np.linspace(0, len(seen) - 1, min(len(seen), CHOOSING)).astype(int)
    line = _Line(rows, observed)
    seen = seen[pick][np.argsort(line.place[seen[pick]], kind="stable")]
    asked = [
        _Asked(line, seen, values, distance)
        for distance in (
            np.zeros((len(seen), 2)),
            _far_of(line, seen, observed, far),
        )
    ]
    parts = np.array_split(np.arange(len(seen)), min(BLOCKS, len(seen)))

    def score(process: Process) -> np.ndarray:
        """Of each part of the line the log of errors, from near and far."""
        errors = [
            np.mean(
                (one.told(process, center).mean - values[seen]) ** 2, axis=1
            )
            for one in asked
        ]
        return np.array(
            [sum(np.log(e[k].mean() + 1e-12) for e in errors) for k in parts]
        )

    most = line.span / line.step
    lengths = [line.step * x for x in LENGTHS if x <= 4 * most]
    groups = len(np.unique(rows.group[observed])) > 1
    straight = Process(0, line.step * max(LENGTHS), 0.0, NOISE[0])
    found = {
        one: score(one)
        for one in itertools.starmap(
            Process,
            itertools.product(
                range(3),
                lengths or [line.step],
                SHARES if groups else (0.0,),
                NOISE,
            ),
        )
    }
    best = min(found, key=lambda one: found[one].mean())
    # A straight line from neighbour to neighbour, unless another is better
    # beyond chance.
    gain = score(straight) - found[best]
    chance = gain.std() / np.sqrt(max(len(gain) - 1, 1))
    return best if gain.mean() > chance else straight


def tell(
    rows: Rows,
    values: np.ndarray,
    observed: np.ndarray,
    center: np.ndarray,
    far: np.ndarray,
    process: Process,
) -> Told:
    """What the observed numbers of others tell of each.

    Args:
      rows: n.
      values: `[n, w]` float64, read where observed.
      observed: `[n]` bool.
      center: `[w]`, the mean of all.
      far: as `away` gives it: from how far observed cells are told.
      process: how numbers are alike.
    """
    if not observed.any():
        return Told(np.tile(center, (len(values), 1)), np.ones(len(values)))
    if process.smooth < 0:
        return _by_groups(rows, values, observed, center, process.noise)
    line, every = _Line(rows, observed), np.arange(len(values))
    distance = _far_of(line, every, observed, far)
    mean, spread = np.empty(values.shape), np.empty(len(values))
    for part in range(0, len(every), PART):
        some = every[part : part + PART]
        asked = _Asked(line, some, values, distance[some])
        mean[some], spread[some] = asked.told(process, center)
    return Told(mean, spread)


def _by_groups(
    rows: Rows,
    values: np.ndarray,
    observed: np.ndarray,
    center: np.ndarray,
    ratio: float,
) -> Told:
    """Shrunken means of the others of a group."""
    count = int(rows.group.max()) + 1
    off = np.where(observed[:, None], values - center, 0.0)
    sums = np.stack([np.bincount(rows.group, x, count) for x in off.T], axis=1)
    cells = np.bincount(rows.group, observed, count)[rows.group] - observed
    mean = (sums[rows.group] - off) / (cells + ratio)[:, None]
    left = (1 / (1 + cells / ratio) + ratio) / (1 + ratio)
    return Told(center + mean, np.sqrt(left))


def _far_of(
    line: "_Line", some: np.ndarray, observed: np.ndarray, far: np.ndarray
) -> np.ndarray:
    """From how far rows are told, `[k, 2]`: gaps as they are, others as gaps.

    Of a few gaps taken at random, the first that has as many sides where there
    is something to tell the row by; else from as near as can be.
    """
    rng = np.random.default_rng(len(some))
    found = np.zeros((len(some), 2))
    todo = np.flatnonzero(observed[some])
    for _ in range(TRIES):
        asked = far[rng.integers(len(far), size=len(todo))]
        sides = line.sides(some[todo], asked)
        there = np.stack([inside[:, 0] for _, inside in sides], axis=1)
        fits = (there | np.isinf(asked)).all(axis=1) & there.any(axis=1)
        found[todo[fits]] = asked[fits]
        todo = todo[~fits]
    return found


class _Line:
    """Observed rows in the order of their groups and times."""

    def __init__(self, rows: Rows, observed: np.ndarray) -> None:
        self.rows, time = rows, rows.time - rows.time.min()
        self.span = float(time.max()) or 1.0
        # Groups lie apart on one line.
        self.place = rows.group * (4.0 * self.span) + time
        seen = np.flatnonzero(observed)
        self.seen = seen[np.argsort(self.place[seen], kind="stable")]
        self.at = self.place[self.seen]
        self.rank = np.full(len(observed), -1)
        self.rank[self.seen] = np.arange(len(self.seen))
        steps = np.diff(np.unique(self.place))
        steps = steps[steps <= self.span]
        self.step = float(np.median(steps)) if steps.size else 1.0

    def sides(
        self, some: np.ndarray, far: np.ndarray
    ) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Places among the observed of neighbours before and after.

        Args:
          some: `[k]`, rows.
          far: `[k, 2]`, how far away at least.

        Returns:
          Of each side `[k, q]` int, and bool: whether there is one.
        """
        here, own = self.place[some], self.rank[some]
        base = self.rows.group[some] * (4.0 * self.span)
        far = np.minimum(far, 1.5 * self.span)
        nudge = 1e-9 * self.span
        first = np.searchsorted(self.at, base - self.span)
        last = np.searchsorted(self.at, base + 2 * self.span)
        left = np.searchsorted(self.at, here - far[:, 0] + nudge, "right")
        right = np.searchsorted(self.at, here + far[:, 1] - nudge, "left")
        mine = own >= 0
        left = np.where(mine, np.minimum(left, own), left)
        right = np.where(mine, np.maximum(right, own + 1), right)
        # What has the same time as a gap lies on one side of it.
        right = np.maximum(right, left)
        before = left[:, None] - 1 - NEAR
        after = right[:, None] + NEAR
        return (
            (before, before >= first[:, None]),
            (after, after < last[:, None]),
        )


class _Asked:
    """Rows to be told, and their neighbours."""

    def __init__(
        self, line: _Line, some: np.ndarray, values: np.ndarray, far: np.ndarray
    ) -> None:
        sides = line.sides(some, far)
        at, self.inside = (
            np.concatenate(part, axis=1) for part in zip(*sides, strict=True)
        )
        near = line.seen[np.where(self.inside, at, 0)]
        time = line.rows.time
        self.values = values[near]
        self.apart = np.abs(time[near][:, :, None] - time[near][:, None])
        self.off = np.abs(time[near] - time[some][:, None])

    def told(self, process: Process, center: np.ndarray) -> Told:
        """See `tell`."""
        inside = self.inside
        both = inside[:, :, None] & inside[:, None]
        alike = np.where(both, _alike(process, self.apart), 0.0)
        alike += (
            np.eye(inside.shape[1])
            * np.where(inside, process.noise + 1e-8, 1.0)[:, None]
        )
        to_own = np.where(inside, _alike(process, self.off), 0.0)
        weight = np.linalg.solve(alike, to_own[:, :, None])[:, :, 0]
        off = np.where(inside[:, :, None], self.values - center, 0.0)
        left = 1 - np.sum(weight * to_own, axis=1) + process.noise
        left = np.maximum(left, 0) / (1 + process.noise)
        return Told(
            center + np.einsum("kq,kqw->kw", weight, off), np.sqrt(left)
        )


def _alike(process: Process, apart: np.ndarray) -> np.ndarray:
    """Correlation of two numbers without their noise, so far apart in time."""
    x = apart / process.length
    if process.smooth == 0:
        found = np.exp(-x)
    elif process.smooth == 1:
        found = (1 + np.sqrt(3) * x) * np.exp(-np.sqrt(3) * x)
    else:
        x = np.sqrt(5) * x
        found = (1 + x + x**2 / 3) * np.exp(-x)
    return process.share + (1 - process.share) * found
