"""What times of a column lie on: half hours, mornings, Mondays, months' firsts.

A grid is found where observed times that were anywhere would hardly ever all
lie on it. It is that of the clocks on the walls: of times with a zone, or with
offsets, midnight is midnight in summer and winter.

Times of the day without a date are those of the first day of 1900, as
`strptime` has them.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

DAY = 86400
# Steps within a week that people take, in seconds, and those that are units.
UNITS = (DAY, 3600, 60, 1)
STEPS = (
    *(7 * DAY, DAY, DAY // 2, 8 * 3600, 6 * 3600, 4 * 3600, 3 * 3600, 2 * 3600),
    *(3600, 1800, 1200, 900, 720, 600, 360, 300, 240, 180, 120, 60),
    *(30, 20, 15, 10, 6, 5, 4, 3, 2, 1),
)
# Seconds from 1970 back to the first midnight of 1900.
CLOCK = -25567 * DAY
# Times that are anywhere lie on a grid at most as often as once in so many.
ODDS = 1000
# Days without a weekend that are enough to tell that there is none.
WORKING_DAYS = 20
# Changes of the offset that may be in a column: more are of places, not of
# summer and winter.
MOST_CHANGES = 200


class Calendar(NamedTuple):
    """A grid of times.

    Attributes:
      step: in seconds, or in months.
      phase: seconds, or months, that its points are beyond multiples of step.
      monthly: whether the step is in months.
      rest: of months, seconds that points are after a month's begin.
      weekdays: whether there are no Saturdays and Sundays.
      zone: of the clocks, by its name; "" for none.
      changes: seconds since 1970 at which the clocks' offset changes, `[k]`.
      offsets: `[k + 1]` of the clocks, in seconds; nothing for none.
    """

    step: int
    phase: int = 0
    monthly: bool = False
    rest: int = 0
    weekdays: bool = False
    zone: str = ""
    changes: tuple[float, ...] = ()
    offsets: tuple[int, ...] = ()


def calendar_of(content: list) -> Calendar:
    """A calendar from a list, as JSON holds it."""
    return Calendar(*(tuple(x) if isinstance(x, list) else x for x in content))


def fit_calendar(
    seconds: np.ndarray,
    zone: str = "",
    offsets: tuple[np.ndarray, np.ndarray] | None = None,
) -> Calendar | None:
    """The widest grid that times leave no doubt of; None for none.

    Args:
      seconds: `[n]` since 1970, of the observed times.
      zone: of their clocks, by its name.
      offsets: observed times in their order, and their clocks' offsets, `[n]`
        each, in seconds.
    """
    distinct = np.unique(seconds)
    if len(distinct) < 3 or np.any(distinct != np.round(distinct)):
        return None
    clocks = Calendar(1, zone=zone)
    if offsets is not None:
        clocks = clocks._replace(**_changes(*offsets))
    wall = np.unique(distinct + _offset(clocks, distinct)).astype(np.int64)
    days = wall // DAY
    found = _monthly(wall, clocks) or _regular(wall, clocks)
    weekday = (days + 3) % 7  # 1970 began on a Thursday.
    if len(np.unique(days)) >= WORKING_DAYS and weekday.max() < 5:
        if found is None or not (found.monthly or found.step > DAY):
            found = (found or clocks)._replace(weekdays=True)
    return found


def day_of(seconds: np.ndarray) -> float | None:
    """When the day of a clock's times begins; None of times with dates.

    At midnight, unless the widest stretch that the times leave empty is another
    one, of an hour or more, that times which were anywhere would hardly ever
    leave: it then begins amid that stretch, and 23:50 and 0:10 are near.

    Args:
      seconds: `[n]` since 1970, of the observed times.
    """
    after = seconds - CLOCK
    # The end of a day is 24:00.
    if not len(after) or after.min() < 0 or after.max() > DAY:
        return None
    clock = np.unique(np.mod(after, DAY))
    empty = np.diff(clock, append=clock[0] + DAY)
    widest, count = int(np.argmax(empty)), len(seconds)
    odds = ODDS * count * (1 - empty[widest] / DAY) ** (count - 1)
    if widest == len(clock) - 1 or empty[widest] < 3600 or odds > 1:
        return float(CLOCK)
    middle = clock[widest] + empty[widest] / 2
    return float(CLOCK + np.round(middle / 60) * 60)


def on_day(seconds: np.ndarray, day: float | None) -> np.ndarray:
    """Times `[n]` of a clock within the day that begins so; others as is."""
    if day is None:
        return seconds
    return day + np.mod(seconds - day, DAY)


def on_calendar(calendar: Calendar, seconds: np.ndarray) -> np.ndarray:
    """The point of a grid that is nearest to each time `[n]`."""
    wall = np.round(seconds + _offset(calendar, seconds))
    if calendar.monthly:
        wall = _nearest_month(calendar, wall)
    else:
        step, phase = calendar.step, calendar.phase
        wall = np.round((wall - phase) / step) * step + phase
    if calendar.weekdays:
        weekday = (wall // DAY + 3) % 7
        wall = wall + DAY * ((weekday == 6) * 1.0 - (weekday == 5))
    made = wall - _offset(calendar, seconds)
    return wall - _offset(calendar, made)


def _monthly(wall: np.ndarray, clocks: Calendar) -> Calendar | None:
    """A grid of months, from their begin or from their end."""
    stamps = wall.astype("datetime64[s]")
    for late in (0, DAY):
        months = (wall + late).astype("datetime64[s]").astype("datetime64[M]")
        rest = np.unique((stamps - months.astype("datetime64[s]")).astype(int))
        index = np.unique(months.astype(int))
        if len(rest) == 1 and len(index) >= 4:
            gap = int(np.gcd.reduce(np.diff(index)))
            step = max(
                s
                for s in (12, 6, 4, 3, 2, 1)
                if gap % s == 0 and (s == 1 or _told(s, len(index)))
            )
            return clocks._replace(
                step=step,
                phase=int(index[0] % step),
                monthly=True,
                rest=int(rest[0]),
            )
    return None


def _regular(wall: np.ndarray, clocks: Calendar) -> Calendar | None:
    """A grid of equal steps."""
    gap = int(np.gcd.reduce(np.diff(wall)))
    for step in STEPS:
        if gap % step:
            continue
        phase = int(wall[0] % step)
        # How much wider it is than the unit that the times have anyway.
        wider = step / next(u for u in UNITS if step > u or u == 1)
        if step == 1 or _told(wider, len(wall)):
            return clocks._replace(step=step, phase=phase)
    return None


def _told(wider: float, count: int) -> bool:
    """Whether so many times would hardly all lie on a grid so much wider."""
    return (count - 1) * np.log(wider) >= np.log(ODDS)


def _nearest_month(calendar: Calendar, wall: np.ndarray) -> np.ndarray:
    shifted = (wall - calendar.rest).astype("datetime64[s]")
    index = shifted.astype("datetime64[M]").astype(np.int64)
    step, phase = calendar.step, calendar.phase
    before = (index - phase) // step * step + phase
    ends = [
        (before + k * step).astype("datetime64[M]").astype("datetime64[s]")
        for k in range(2)
    ]
    low, high = (end.astype(np.int64) + calendar.rest for end in ends)
    return np.where(wall - low <= high - wall, low, high).astype(np.float64)


def _changes(
    seconds: np.ndarray, offsets: np.ndarray
) -> dict[str, tuple[float, ...]]:
    """When the offset changes, half way between observed times."""
    new = np.flatnonzero(np.diff(offsets)) + 1
    if len(new) > MOST_CHANGES:
        return {}
    middles = (seconds[new - 1] + seconds[new]) / 2
    values = (*offsets[:1], *offsets[new])
    return {
        "changes": tuple(map(float, middles)),
        "offsets": tuple(map(int, values)),
    }


def _offset(calendar: Calendar, seconds: np.ndarray) -> np.ndarray:
    """What clocks are ahead of UTC at times `[n]`, in seconds."""
    if calendar.offsets:
        place = np.searchsorted(calendar.changes, seconds, "right")
        return np.array(calendar.offsets, np.float64)[place]
    if not calendar.zone or not len(seconds):
        return np.zeros(len(seconds))
    micro = np.rint(seconds * 1e6).astype(np.int64).astype("datetime64[us]")
    here = pd.DatetimeIndex(micro).tz_localize("UTC").tz_convert(calendar.zone)
    wall = here.tz_localize(None).to_numpy("datetime64[us]")
    return (wall - micro).astype(np.int64) / 1e6
