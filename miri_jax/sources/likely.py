"""The most likely normal distribution of a table with gaps, on the host.

By EM with exact expectations, pattern by pattern of what is observed, which
Anderson mixing makes several times faster: at 80 % missing, where EM alone
takes a thousand rounds, some fifty. All in float64 by NumPy and LAPACK, as
compiling would take longer than most fits.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from miri_jax.core.rows import spaced
from miri_jax.core.threads import one_thread
from miri_jax.sources._by_gradients import draw

# Rows that are learnt from at most, and the patterns times columns^3 of a
# round: with more patterns the rows are fewer, LEAST of them in any case.
ROWS, WORK, LEAST = 16384, 2**33, 1024
# The same of all steps of a fit, which are FEWEST in any case.
ALL_WORK, FEWEST = 2**36, 10
# Above so many columns expectations are by draws, of so many rows, in rounds
# that are fewer the wider the table is.
WIDE, WIDE_ROWS, WIDE_ROUNDS = 150, 4096, 20
# Rounds of EM that are mixed in one step.
ORDER = 6
# A rise of the log likelihood below which a fit is at its end, times (d + 1)^5:
# 1e-6 of the covariance where columns are few, and well within what chance
# leaves open where they are many.
TOLERANCE = 1e-12
# Of unit variances: keeps exact lines from a likelihood without an end. It is
# far below the rounding of tables; the square root of float64's, as a
# covariance's inverse must be told from rounding.
RIDGE = 1e-8
# Strength of the shrinkage where nobody says another.
SHRINKAGE = 2.0
# The power of correlations that those of no evidence are shrunk towards.
POWER = 101
# The part of them in what a fit begins with.
INWARD = 0.1
# Deviation of columns that are constant as far as is known.
CONSTANT = 1e-3


class Normal(NamedTuple):
    """A normal distribution over rows of d entries.

    Attributes:
      mean: `[d]` float64.
      cov: `[d, d]` float64, positive definite.
    """

    mean: np.ndarray
    cov: np.ndarray


class Rows(NamedTuple):
    """Rows whose patterns observe the same number o of columns.

    Attributes:
      columns: `[p, o]`, those of each pattern.
      values: `[r, o]`, of each row.
      of: `[r]`, the pattern of each row, in order.
      count: `[p]`, the rows of each pattern.
    """

    columns: np.ndarray
    values: np.ndarray
    of: np.ndarray
    count: np.ndarray


class Problem(NamedTuple):
    """What a fit is to, in units of each column's deviation.

    Attributes:
      groups: the rows; of a wide table a single tuple of `[n, d]` values,
        and what is observed of them.
      n: how many rows.
      shift: `[d]` and
      scale: `[d]`, what columns were made standard by.
      share: `[d]`, what the penalty adds to variances.
      prior: `[d, d]`, the penalty is tr(prior cov^-1) / 2.
      start: where to begin.
    """

    groups: tuple
    n: int
    shift: np.ndarray
    scale: np.ndarray
    share: np.ndarray
    prior: np.ndarray
    start: Normal

    @property
    def wide(self) -> bool:
        """Whether expectations are by draws."""
        return len(self.shift) > WIDE

    def in_units(self, fit: Normal) -> Normal:
        """A fit in the units of the table, shrunk."""
        unit = self.scale / np.sqrt(1 + self.share)
        return Normal(
            self.shift + self.scale * fit.mean, fit.cov * np.outer(unit, unit)
        )


def most_likely(
    x: np.ndarray,
    m: np.ndarray,
    *,
    shrinkage: float,
    rounds: int = 60,
    tolerance: float = TOLERANCE,
) -> Normal:
    """Fits a normal distribution to rows with gaps.

    With `shrinkage=0` and rows enough the distribution is that of most
    likelihood (Dempster, Laird and Rubin, 1977; Little and Rubin, 2019,
    chapter 11), to 1e-6. See `problem_of` for the shrinkage and for tables that
    are large, whose rows are a sample, or wide, of which it is an estimate by
    draws.

    Args:
      x: `[n, d]`, read where observed only.
      m: `[n, d]` bool, True = observed.
      shrinkage: strength of the shrinkage; 0 for none.
      rounds: steps of `ORDER` rounds of EM, at most.
      tolerance: see `TOLERANCE`.
    """
    problem = problem_of(x, m, shrinkage)
    fit, before = problem.start, -np.inf
    for k in range(rounds):
        fit, value = advance(problem, fit, k)
        if ended(problem, k, before, value, tolerance):
            break
        before = value
    return problem.in_units(fit)


def ended(
    problem: Problem,
    k: int,
    before: float,
    value: float,
    tolerance: float = TOLERANCE,
) -> bool:
    """Whether step k, with its log likelihood and the one before, is the last.

    Of wide tables, whose likelihood nobody knows, by number; and of those with
    many patterns of gaps for their width, where a step takes a second.
    """
    if k + 1 >= _most_steps(problem):
        return True
    return (
        not problem.wide
        and value - before < tolerance * (len(problem.shift) + 1) ** 5
    )


def problem_of(x: np.ndarray, m: np.ndarray, shrinkage: float) -> Problem:
    """What a fit is to, and where it begins: moments of pairs seen together.

    Shrinkage is a penalty, tr(prior cov^-1) / 2, whose weight is fixed before
    the first round: for each observed cell `share`, the part of the squared
    correlations that n complete rows have by chance (after Schaefer and
    Strimmer, 2005), times `shrinkage`. A weak correlation of columns observed
    at a rate p comes out about 1 / (1 + (2 / p - 1) share) times as large.
    Those next to 1 (to the power of `POWER`) and all variances stay. Relations
    of several columns that too few rows see whole, which the likelihood would
    take for exact, are held back.

    A table with more than `ROWS` rows, or with too many patterns of gaps for
    its width (`WORK`), is learnt from evenly spaced rows; that of more than
    `WIDE` columns by draws of the missing entries (stochastic approximation EM;
    Delyon, Lavielle and Moulines, 1999), in a few rounds that need not have
    converged.
    """
    m = m[seen] if not (seen := m.any(axis=1)).all() else m
    x = x[seen]
    d = x.shape[1]
    some = spaced(len(x), WIDE_ROWS if d > WIDE else ROWS)
    if d <= WIDE and len(some):
        patterns = len(np.unique(np.packbits(m[some], axis=1), axis=0))
        if patterns * d**3 > WORK:
            some = spaced(len(x), max(WORK // d**3, LEAST))
    m = m[some]
    x = np.where(m, x[some], 0).astype(np.float64)
    mean, deviation, r = _pairwise(x, m)
    count = m.sum(axis=0)
    varied = (deviation > 0) & (count > 1)
    scale = np.where(varied, deviation, np.where(count, CONSTANT, 1.0))
    weight = _share(r, max(len(x), 1), shrinkage) * count.sum() / d
    target = _consistent(r**POWER, 0.0)
    share = np.where(varied, weight / np.maximum(count, 1), 0)
    unit = np.sqrt(1 + share)
    # From next to the edge EM moves slowly.
    start = (1 - INWARD) * _consistent(r, RIDGE) + INWARD * target
    m = m & varied
    z = np.where(m, (x - mean) / scale, 0)
    return Problem(
        ((z, m),) if d > WIDE else tuple(_groups(z, m)),
        len(x),
        mean,
        scale,
        share,
        np.outer(varied, varied) * weight * target
        + RIDGE * np.diag(m.sum(axis=0)),
        Normal(np.zeros(d), start * np.outer(unit, unit)),
    )


def advance(problem: Problem, fit: Normal, k: int) -> tuple[Normal, float]:
    """Step k of a fit: `ORDER` rounds of EM, mixed.

    Anderson mixing (Henderson and Varadhan, 2019, restarted): from the means
    and Cholesky factors that the rounds begin with and lead to, those are
    extrapolated which a round would not move. Where the likelihood falls, the
    plain round is taken instead.

    Returns:
      The next fit, and the penalised log likelihood that was reached, which no
      step lowers; 0 where it is not known.
    """
    with one_thread("blas"):
        if problem.wide:
            return _by_draws(problem, fit, k), 0.0
        if not problem.groups:
            return fit, 0.0
        return _mixed(problem, fit)


def _mixed(problem: Problem, fit: Normal) -> tuple[Normal, float]:
    here, best, safe = _vector(fit), -np.inf, _vector(fit)
    begun: list[np.ndarray] = []
    moved: list[np.ndarray] = []
    for _ in range(ORDER):
        value, after = em_round(problem, _normal(here, problem))
        if after is None or value < best:
            here, begun, moved = safe, [], []
            continue
        best, safe = value, _vector(after)
        begun, moved = [*begun, here], [*moved, safe - here]
        here = safe
        if len(begun) > 1:
            steps, turns = (np.diff(a, axis=0) for a in (begun, moved))
            gram = turns @ turns.T
            gram += 1e-10 * np.trace(gram) * np.eye(len(gram)) + 1e-300
            mix = np.linalg.solve(gram, turns @ moved[-1])
            here = safe - mix @ (steps + turns)
    return _normal(safe, problem), best


def em_round(problem: Problem, fit: Normal) -> tuple[float, Normal | None]:
    """The penalised log likelihood of a fit, and the fit after a round of EM.

    With W the inverse covariance of a row's observed entries, 0 elsewhere, and
    w = W (x - mean), the expected moments of the filled row are mean + S w and
    S + S (w w' - W) S, so that no other conditional need be taken.

    Returns:
      The log likelihood, less its constant and tr(prior cov^-1) / 2, and the
      next fit; -inf and None where the covariance is not positive definite.
    """
    mean, cov = fit
    n, d = problem.n, len(mean)
    factor, failed = dpotrf(cov, lower=1)
    if failed:
        return -np.inf, None
    inverse = _symmetric(dpotri(factor, lower=1)[0])
    value = -0.5 * np.sum(inverse * problem.prior)
    first, second = np.zeros(d), np.zeros((d, d))
    for rows in problem.groups:
        found = _expected(rows, mean, cov)
        if found is None:
            return -np.inf, None
        value += found[0]
        first += found[1]
        second += found[2]
    step = cov @ first / n
    new = cov + cov @ (second / n) @ cov - np.outer(step, step)
    new = 0.5 * (new + new.T) + problem.prior / n
    if dpotrf(new, lower=1)[1]:
        new = _floored(new)
    return float(value), Normal(mean + step, new)


def _expected(
    rows: Rows, mean: np.ndarray, cov: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Log likelihood, sum of w, and sum of w w' - W, see `em_round`."""
    d = len(mean)
    place = rows.columns[:, :, None] * d + rows.columns[:, None, :]
    inverse = np.ascontiguousarray(cov).ravel()[place]
    size = np.empty(len(inverse))
    for k, block in enumerate(inverse):
        factor, failed = dpotrf(block, lower=1)
        if failed:
            return None
        size[k] = np.sum(np.log(factor.diagonal()))
        inverse[k] = dpotri(factor, lower=1, overwrite_c=1)[0]
    inverse = _symmetric(inverse)
    away = rows.values - mean[rows.columns[rows.of]]
    each = inverse if len(away) == len(inverse) else inverse[rows.of]
    w = np.einsum("rij,rj->ri", each, away)
    value = -rows.count @ size - 0.5 * np.sum(w * away)
    full = np.zeros((len(w), d))
    np.put_along_axis(full, rows.columns[rows.of], w, axis=1)
    weighted = inverse * rows.count[:, None, None]
    spread = np.bincount(place.ravel(), weighted.ravel(), d * d)
    return value, full.sum(axis=0), full.T @ full - spread.reshape(d, d)


def _symmetric(lower: np.ndarray) -> np.ndarray:
    """Matrices `[..., d, d]` of which the lower triangle is given."""
    return np.tril(lower) + np.swapaxes(np.tril(lower, -1), -1, -2)


def _groups(x: np.ndarray, m: np.ndarray) -> Iterator[Rows]:
    """Rows by the number of columns that they observe, in bounded parts."""
    if not len(m):
        return
    _, first, of, count = np.unique(
        np.packbits(m, axis=1),
        axis=0,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    patterns, of = m[first], of.ravel()
    order = np.argsort(of, kind="stable")
    ends = np.cumsum(count)
    observed = patterns.sum(axis=1)
    for o in np.unique(observed[observed > 0]):
        ours = np.flatnonzero(observed == o)
        for few in _parts(ours, count[ours], 2**20 // int(o * o)):
            rows = np.concatenate(
                [order[ends[p] - count[p] : ends[p]] for p in few]
            )
            columns = np.nonzero(patterns[few])[1].reshape(-1, o)
            each = np.repeat(np.arange(len(few)), count[few])
            values = x[rows[:, None], columns[each]]
            yield Rows(columns, values, each, count[few])


def _parts(
    patterns: np.ndarray, count: np.ndarray, most: int
) -> list[np.ndarray]:
    """Patterns in parts of about `most` rows, of which one may have more."""
    return np.split(
        patterns,
        np.flatnonzero(np.diff(np.cumsum(count) // max(most, 1))) + 1,
    )


def _pairwise(
    x: np.ndarray, m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, deviations, and correlations of rows where both are observed."""
    seen = m.astype(np.float64)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = x.sum(axis=0) / count
    z = (x - mean) * seen
    deviation = np.sqrt(np.sum(z**2, axis=0) / count)
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    deviation = np.where(constant, 0, deviation)
    z = np.where(constant, 0, z / np.where(constant, 1, deviation))
    pairs = np.maximum(seen.T @ seen, 1)
    away = z.T @ seen / pairs  # the mean of one where the other is observed
    variance = np.maximum((z**2).T @ seen / pairs - away**2, 0)
    scale = np.sqrt(variance * variance.T)
    r = (z.T @ z / pairs - away * away.T) / np.where(scale > 1e-9, scale, 1)
    r = np.where(scale > 1e-9, np.clip(r, -1, 1), 0)
    np.fill_diagonal(r, 1)
    # Deviations of columns that are as good as one are of the same rows.
    tie = np.where(scale > 1e-9, 1e4 * np.abs(r) ** POWER, 0)
    ratio = 0.5 * np.log(np.where(tie > 0, variance, 1))
    pull = np.sum(tie * (ratio - ratio.T), axis=1)
    ties = np.diag(1 + tie.sum(axis=1)) - tie
    return mean, deviation * np.exp(np.linalg.solve(ties, pull)), r


def _share(r: np.ndarray, n: int, strength: float) -> float:
    """The part of squared correlations that is chance, weighed by their size.

    So columns that are related to none say little about those that are. Less
    than three numbers are best left as they are (James and Stein, 1961), so
    are the correlations of a column in a table of three.
    """
    others = len(r) - 1
    if others < 3:
        return 0.0
    strength *= (others - 2) / others
    square = np.where(np.eye(len(r)) > 0, 0, r**2)
    chance = np.sum(square * (1 - square) ** 2) / n
    return float(
        np.clip(strength * chance / max(np.sum(square**2), 1e-9), 0, 1)
    )


def _consistent(r: np.ndarray, least: float) -> np.ndarray:
    """A correlation matrix near one of pairs, eigenvalues >= about `least`."""
    if len(r) == 1:
        return r
    values, vectors = np.linalg.eigh(r)
    r = (vectors * np.maximum(values, least)) @ vectors.T
    scale = np.sqrt(np.maximum(r.diagonal(), 1e-12))
    return r / np.outer(scale, scale)


def _floored(cov: np.ndarray) -> np.ndarray:
    """A covariance that rounding has taken below the ridge."""
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.maximum(values, RIDGE)) @ vectors.T


def _vector(fit: Normal) -> np.ndarray:
    """Mean and Cholesky factor, whose diagonal is logarithmic, as numbers."""
    factor = np.linalg.cholesky(fit.cov)
    np.fill_diagonal(factor, np.log(factor.diagonal()))
    return np.concatenate([fit.mean, factor[np.tril_indices(len(factor))]])


def _normal(vector: np.ndarray, problem: Problem) -> Normal:
    """The inverse of `_vector`."""
    d = len(problem.shift)
    factor = np.zeros((d, d))
    factor[np.tril_indices(d)] = vector[d:]
    # What is extrapolated too far is no fit, which the likelihood tells.
    logs = np.clip(factor.diagonal(), -30, 30)
    np.fill_diagonal(factor, np.exp(logs))
    return Normal(vector[:d], factor @ factor.T)


def _most_steps(problem: Problem) -> int:
    if problem.wide:
        return _wide_rounds(problem)
    patterns = sum(len(rows.count) for rows in problem.groups)
    size = max(patterns * len(problem.shift) ** 3, 1)
    return max(ALL_WORK // size, FEWEST)


def _wide_rounds(problem: Problem) -> int:
    return max(round(WIDE_ROUNDS * (WIDE / len(problem.shift)) ** 2), 4)


def _by_draws(problem: Problem, fit: Normal, k: int) -> Normal:
    """Round k of stochastic approximation EM; the later half is averaged."""
    ((x, m),) = problem.groups
    if not problem.n:
        return fit
    noise = np.random.default_rng(k).standard_normal(x.shape)
    filled = draw(fit.mean, fit.cov, noise, x, m)
    gain = 1 / max(k - _wide_rounds(problem) // 2 + 1, 1)
    mean = filled.mean(axis=0)
    away = filled - mean
    cov = away.T @ away / problem.n + problem.prior / problem.n
    between = mean - fit.mean
    cov = (
        (1 - gain) * fit.cov
        + gain * cov
        + gain * (1 - gain) * np.outer(between, between)
    )
    return Normal(fit.mean + gain * between, cov)
