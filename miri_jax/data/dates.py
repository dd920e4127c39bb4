"""Times as text: the common notations, zones, and which number is the day.

`time_styles` tells the ways that a column can be read; `settle_dates` which of
them it is, by what the other columns of its file leave no doubt of.
"""

import re
from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from miri_jax.notes import Note

# What a first cell looks like, and the formats that may read it; {} is what is
# between its parts.
_DATES = (
    (r"\d{4}([-/.])\d{1,2}\1\d{1,2}", ("%Y{}%m{}%d",)),
    (r"\d{1,2}([-/.])\d{1,2}\1\d{4}", ("%d{}%m{}%Y", "%m{}%d{}%Y")),
    (r"\d{1,2}([/.])\d{1,2}\1\d{2}", ("%d{}%m{}%y", "%m{}%d{}%y")),
    (r"\d{1,2}([- ]?)[A-Za-z]{3,9}\1\d{4}", ("%d{}%b{}%Y", "%d{}%B{}%Y")),
    (r"\d{1,2}([- ])[A-Za-z]{3,9}\1\d{2}", ("%d{}%b{}%y",)),
    (r"[A-Za-z]{3,9}( )\d{1,2}, \d{4}", ("%b{}%d, %Y", "%B{}%d, %Y")),
)
_CLOCKS = (
    (r"\d{1,2}:\d{2}:\d{2}\.\d+", "%H:%M:%S.%f"),
    (r"\d{1,2}:\d{2}:\d{2}", "%H:%M:%S"),
    (r"\d{1,2}:\d{2}", "%H:%M"),
    (r"\d{1,2}:\d{2}:\d{2} ?[AaPp][Mm]", "%I:%M:%S{}%p"),
    (r"\d{1,2}:\d{2} ?[AaPp][Mm]", "%I:%M{}%p"),
)
_ZONE = re.compile(r" ?(?:Z|[-+]\d{2}(?::?\d{2})?)$")
# The end of a day, which programs do not read.
_END = re.compile(r"(^|[T ])24(:00(?::00)?)$")
# A cell of a column whose seconds have parts, unless these are 0.
_PARTS = r":\d{2}\.\d"
_WHOLE = rf"(:\d{{2}}:\d{{2}})(?=$| ?[AaPp]|{_ZONE.pattern})"


class TimeStyle(NamedTuple):
    """How the times of a column are written.

    Attributes:
      date: format of the day, for `strftime`; "" for none.
      gap: what is between the day and the clock.
      clock: format of the clock; "" for none.
      day_zeros: whether days and months below 10 have a zero before them.
      hour_zeros: whether hours below 10 have.
      case: "upper" or "lower" for names of months and am, pm; "" as they are.
      fraction: digits of a second's part.
      zones: seconds since 1970 of observed times, in their order, and the text
        of each one's offset; None where times have none.
    """

    date: str
    gap: str = ""
    clock: str = ""
    day_zeros: bool = True
    hour_zeros: bool = True
    case: str = ""
    fraction: int = 6
    zones: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def order(self) -> str:
        """Which of the three parts comes first, as "dmy"."""
        return "".join(re.findall("%([dmyY])", self.date)).lower()

    def read(self, cells: pd.Series) -> pd.Series:
        """The times `[n]` of cells, in UTC where they have a zone."""
        spec = self.date + self.gap + self.clock
        shift = np.timedelta64(0, "us")
        if self.zones is not None:
            texts = cells.str.extract(f"({_ZONE.pattern})")[0].fillna("")
            cells = cells.str.replace(_ZONE.pattern, "", regex=True)
            shift = texts.map({t: _seconds(t) for t in texts.unique()})
            shift = pd.to_timedelta(shift, unit="s").to_numpy("timedelta64[us]")
        if self.clock.endswith("%f"):
            cells = cells.str.replace(_WHOLE, r"\1.0", regex=True)
        late = np.timedelta64(0, "us")
        if "%H" in spec:
            early = cells.str.replace(_END, r"\g<1>00\2", regex=True)
            late = (cells != early).to_numpy(bool) * np.timedelta64(1, "D")
            cells = early
        times = pd.to_datetime(cells, format=spec, errors="coerce")
        return times.astype("datetime64[us]") - shift + late

    def write(self, stamps: pd.Series) -> np.ndarray:
        """Times `[n]`, in UTC where there are zones, as cells."""
        zones = ""
        if self.zones is not None:
            seconds = stamps.to_numpy("datetime64[us]").astype(np.int64) / 1e6
            zones = self._nearest_zones(seconds)
            shift = [_seconds(text) for text in zones]
            stamps = stamps + pd.to_timedelta(shift, unit="s").as_unit("us")
        date = stamps.dt.strftime(self.date)
        if not self.day_zeros:
            date = date.str.replace(r"\b0(\d)\b", r"\1", regex=True)
        clock = stamps.dt.strftime(self.clock) if self.clock else ""
        if self.clock and not self.hour_zeros:
            clock = clock.str.replace(r"^0", "", regex=True)
        if self.clock.endswith("%f"):
            clock = clock.str[: self.fraction - 6 or None]
        text = date + self.gap + clock
        if self.case:
            text = getattr(text.str, self.case)()
        return (text.astype(object) + zones).to_numpy(object)

    def offsets(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Observed times and their offsets, `[n]` seconds each, if any."""
        if self.zones is None:
            return None
        texts = {text: _seconds(text) for text in np.unique(self.zones[1])}
        return self.zones[0], np.array([texts[x] for x in self.zones[1]])

    def _nearest_zones(self, seconds: np.ndarray) -> np.ndarray:
        """The offset of the observed time that is nearest to each."""
        known, texts = self.zones
        if len(known) == 1:
            return np.repeat(texts, len(seconds))
        after = np.searchsorted(known, seconds).clip(1, len(known) - 1)
        left = seconds - known[after - 1] <= known[after] - seconds
        return texts[np.where(left, after - 1, after)]


def time_styles(observed: pd.Series, share: float = 1.0) -> list[TimeStyle]:
    """The ways that cells `[n]`, one or more, without blanks, are times.

    None where they are none; two where either of two numbers may be the day.

    Args:
      observed: the cells.
      share: of the cells, how many at least must be times.
    """
    first = observed.iloc[0]
    if re.search(r":\d{2}:\d{2}", first):
        parts = observed.str.contains(_PARTS)
        first = observed[parts].iloc[0] if parts.any() else first
    if len(first) > 40 or not any(c.isdigit() for c in first):
        return []
    zoned = _ZONE.search(first) is not None and ":" in first
    bare = _ZONE.sub("", first) if zoned else first
    found = []
    for date, gap, clock in _formats(bare):
        style = TimeStyle(date, gap, clock)
        if zoned:
            style = style._replace(zones=(np.zeros(1), np.array([""])))
            if observed.str.contains(_ZONE.pattern).mean() < share:
                return []
        times = style.read(observed)
        known = times.notna()
        if known.mean() >= share:
            found.append(_as_written(style, observed[known], times[known]))
    if len(found) == 2 and found[0].order == found[1].order:
        return found[:1]
    return found


def settle_dates(
    options: Mapping[Hashable, list[TimeStyle]],
    dates: str | None,
    decimal: str | None,
) -> tuple[dict[Hashable, TimeStyle], list[Note]]:
    """The one way that each column is read, and notes on what is in doubt.

    Args:
      options: the ways that columns can be read, one or two.
      dates: "dmy" or "mdy", what the user says; None for nothing.
      decimal: the decimal mark of the file, if it is known.
    """
    sure = {
        found[0].order
        for found in options.values()
        if len(found) == 1 and found[0].order in ("dmy", "mdy")
    }
    file = dates or (sure.pop() if len(sure) == 1 else None)
    chosen, notes = {}, []
    for name, found in options.items():
        # Only where English is written the month comes first, and a slash.
        guess = "mdy" if "/" in found[0].date and decimal != "," else "dmy"
        order = file or guess
        style = next((s for s in found if s.order == order), found[0])
        chosen[name] = style
        if len(found) == 2 and file is None and "." not in style.date:
            other = next(s.order for s in found if s != style)
            first = {"dmy": "day", "mdy": "month"}[style.order]
            notes.append(
                Note(
                    f"column {name!r}: the first number of its dates is taken"
                    f" for the {first}, as nothing in the file tells; name the"
                    " order if it is another",
                    "beware",
                    name,
                    dates=other,
                )
            )
    return chosen, notes


def _formats(cell: str) -> list[tuple[str, str, str]]:
    """Formats of the day, what follows it, and of the clock."""
    if clock := _clock(cell):
        return [("", "", clock)]
    for shape, dates in _DATES:
        found = re.match(shape + r"(?=$|[T ,])", cell)
        if not found:
            continue
        rest = re.fullmatch(r"(?:(T|,? )(\d.*))?", cell[found.end() :])
        if not rest:
            return []
        gap, text = rest[1] or "", rest[2] or ""
        clock = _clock(text)
        if text and not clock:
            return []
        return [(d.format(*[found[1]] * 2), gap, clock) for d in dates]
    return []


def _clock(text: str) -> str:
    """The format of a clock; "" where a text is none."""
    for pattern, spec in _CLOCKS:
        if re.fullmatch(pattern, text):
            return spec.format(" " if " " in text else "")
    return ""


def _as_written(
    style: TimeStyle, observed: pd.Series, times: pd.Series
) -> TimeStyle:
    """A style with the zeros, letters and zones of observed cells."""
    start = r"(?:^|[-/. ])\d(?:[-/. ,]|$)"
    day = observed
    if style.clock:
        day = observed.str.extract(r"^(.*?)(?:T|,? )\d{1,2}:")[0].fillna("")
    zeros = not day.str.contains(start).any()
    hours = True
    if style.clock:
        hours = not observed.str.contains(r"(?:^|[T ])\d:").any()
    letters = "".join(c for c in observed.iloc[0] if c.isalpha())
    case = ""
    if "%b" in style.date or "%B" in style.date or "%p" in style.clock:
        case = {True: "upper"}.get(letters.isupper(), "")
        case = case or ("lower" if letters.islower() else "")
    fraction = 6
    if style.clock.endswith("%f"):
        part = observed.str.extract(r"\.(\d+)")[0].str.len()
        fraction = int(part.max())
    zones = None
    if style.zones is not None:
        texts = observed.str.extract(f"({_ZONE.pattern})")[0].to_numpy(object)
        seconds = times.to_numpy("datetime64[us]").astype(np.int64) / 1e6
        order = np.argsort(seconds, kind="stable")
        zones = seconds[order], texts[order]
    return style._replace(
        day_zeros=zeros,
        hour_zeros=hours,
        case=case,
        fraction=min(fraction, 6),
        zones=zones,
    )


def _seconds(zone: str) -> int:
    """Seconds that an offset is ahead of UTC."""
    text = zone.strip().replace(":", "")
    if text in ("", "Z"):
        return 0
    sign = -1 if text[0] == "-" else 1
    return sign * (int(text[1:3]) * 3600 + int(text[3:5] or 0) * 60)
