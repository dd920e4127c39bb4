"""Numbers as text: decimal marks, thousands, currencies, per cent.

`number_styles` tells the ways that a column can be read; `settle_decimals`
which of them it is, by what the other columns of its file leave no doubt of.
"""

import re
from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data.cells import beyond_floats
from miri_jax.notes import Note

_MONEY = (
    r"[$€£¥₹₽₩₺₴₪฿₫₦]|[A-Z]{1,2}\$|kr\.?|zł|Kč|Ft|lei|Fr\.|Rs\.?|"
    r"(?:EUR|USD|GBP|CHF|JPY|CNY|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|INR|BRL|AUD|"
    r"CAD|NZD|MXN|ZAR|RUB|KRW|SGD|HKD)"
)
_BLANK = "[ \u00a0\u202f]"
_NUMBER = re.compile(
    rf"(?P<open>\()?(?P<sign>[-+\u2212]?)(?P<before>(?:{_MONEY}){_BLANK}*)?"
    r"(?P<late>\()?(?P<inner>[-+\u2212]?)"
    rf"(?P<body>\d(?:[\d.,'\u2019]|{_BLANK}(?=\d))*(?:[eE][-+]?\d+)?|"
    r"[.,]\d+(?:[eE][-+]?\d+)?)(?P<behind>[-\u2212])?"
    rf"(?P<after>{_BLANK}*(?:%|‰|{_MONEY}))?(?P<close>\))?"
)
# What spreadsheets show for no money.
_ZERO = (
    rf"^(?P<a>(?:{_MONEY}){_BLANK}*)[-\u2013]$|"
    rf"^[-\u2013](?P<b>{_BLANK}*(?:{_MONEY}))$"
)
# One without currency and blanks.
_BARE = r"[-+]?\d[\d.,']*(?:[eE][-+]?\d+)?"
_GROUPS = {
    ".": ",'\u2019 \u00a0\u202f",
    ",": ".'\u2019 \u00a0\u202f",
}
# What makes a number one below 0.
_BRACKETS, _SIGNS = ["open", "late"], ["sign", "inner", "behind"]
# Of a column's cells, the share that must be numbers for others to be faults.
MOSTLY = 0.9


class NumberStyle(NamedTuple):
    """How the numbers of a column are written.

    Attributes:
      spec: for `format`: ".2f", "+.2f" or, with any number of digits, ".7g".
      decimal: the mark between whole and part.
      group: what is between thousands; "" for nothing.
      before: a currency before the number.
      after: one after it, or per cent.
      minus: "-" before all, "$-" before the digits, "1-" behind them, "()"
        around all, "$()" around the digits; with another sign than "-" where
        that is the column's.
    """

    spec: str
    decimal: str = "."
    group: str = ""
    before: str = ""
    after: str = ""
    minus: str = "-"

    @property
    def decimals(self) -> int | None:
        """Digits after the mark; None for any number."""
        digits = self.spec.lstrip("+.")
        return int(digits[:-1]) if digits.endswith("f") else None

    def write(self, number: float) -> str:
        """A number as a cell."""
        plain = self == NumberStyle(self.spec)
        if plain:
            return format(number, self.spec)
        comma = "," if self.group else ""
        text = format(abs(number), f"{comma}{self.spec}")
        marks = {",": self.group, ".": self.decimal}
        text = text.translate(str.maketrans(marks))
        if not number < 0:
            return f"{self.before}{text}{self.after}"
        if self.minus == "()":
            return f"({self.before}{text}{self.after})"
        if self.minus == "$()":
            return f"{self.before}({text}{self.after})"
        if self.minus.startswith("1"):
            return f"{self.before}{text}{self.minus[1:]}{self.after}"
        if self.minus.startswith("$"):
            return f"{self.before}{self.minus[1:]}{text}{self.after}"
        return f"{self.minus}{self.before}{text}{self.after}"

    def read(self, cells: pd.Series) -> pd.Series:
        """The numbers `[n]` float64 of cells; NaN where there is none."""
        if self == NumberStyle(self.spec):
            return plain_numbers(cells)
        parts = _parts(cells)
        body = parts["body"]
        if self.group:
            body = body.str.replace(self.group, "", regex=False)
        body = body.str.replace(self.decimal, ".", regex=False)
        numbers = pd.to_numeric(body.astype(object), errors="coerce")
        numbers = numbers.astype(np.float64)
        return numbers.where(~_negative(parts), -numbers)


def plain_numbers(cells: pd.Series) -> pd.Series:
    """The numbers of cells as programs write them; NaN where there is none."""
    parsed = pd.to_numeric(cells.astype(object), errors="coerce")
    # Before pandas 3 what is beyond float64, such as 1e999, was no number.
    for k in np.flatnonzero(parsed.isna())[:1]:
        try:
            if "_" not in cells.iloc[k]:
                parsed.iloc[k] = float(cells.iloc[k])
        except ValueError:
            pass
    return parsed


def plain_style(observed: pd.Series) -> NumberStyle:
    """As many digits after the point as the longest, and a sign if all have.

    Seven digits with exponents, by E where these are.
    """
    sign = ""
    if observed.str.startswith("+").any():
        above = observed[plain_numbers(observed) > 0]
        sign = "+" if above.str.startswith("+").all() and len(above) else ""
    if not observed.str.contains("[eE]").any():
        decimals = observed.str.partition(".")[2].str.len().max()
        return NumberStyle(f"{sign}.{decimals}f")
    small = observed.str.contains("e", regex=False).any()
    return NumberStyle(f"{sign}.7{'g' if small else 'G'}")


def number_styles(
    observed: pd.Series, share: float = MOSTLY
) -> list[NumberStyle]:
    """The ways that cells `[n]`, one or more, without blanks, are numbers.

    None where they are text; one where all of them are in no other; two where
    a mark may be the decimals' or the thousands', as in 1,234.

    Args:
      observed: the cells.
      share: of the cells, how many at least must be numbers.
    """
    # Codes, such as those of towns.
    if observed.str.match(r"^0\d").any():
        return []
    distinct = pd.Series(observed.unique())
    long = distinct[distinct.str.len() > 15]
    if beyond_floats(long[long.str.fullmatch(r"[-+]?\d+")]):
        return []
    plain = plain_numbers(distinct)
    if plain.notna().all():
        found = [plain_style(distinct)]
        pointed = distinct.str.fullmatch(
            r"[-+]?(?:[1-9]\d{0,2}\.\d{3}|\d{1,3})"
        )
        if found[0].decimals == 3 and pointed.all():
            found.append(NumberStyle(".0f", ",", "."))
        return found
    parts = _parts(distinct)
    known = parts["body"].notna()
    if not known.all():
        if observed.isin(distinct[known]).mean() < share:
            return []
        parts = parts[known]
    affixes = {}
    for side in ("before", "after"):
        affixes[side] = parts[side].dropna()
        if affixes[side].str.strip().nunique() > 1:
            return []  # Two currencies are not one scale.
    style = NumberStyle(
        "",
        before=_most(affixes["before"]),
        after=_most(affixes["after"]),
        minus=_minus(parts),
    )
    every = (_with_mark(style, parts["body"], mark) for mark in (".", ","))
    every = [made for made in every if made is not None]
    if any(s.group or s.decimals != 0 for s in every):
        return every
    return every[:1]  # Whole numbers have no mark.


def settle_decimals(
    options: Mapping[Hashable, list[NumberStyle]],
    decimal: str | None,
    separator: str,
) -> tuple[dict[Hashable, NumberStyle], list[Note]]:
    """The one way that each column is read, and notes on what is in doubt.

    Args:
      options: the ways that columns can be read, one or two.
      decimal: the mark that the user names; None for none.
      separator: of the file's cells.
    """
    sure = {
        found[0].decimal
        for found in options.values()
        if len(found) == 1 and (found[0].decimals != 0 or found[0].group)
    }
    file = decimal or (sure.pop() if len(sure) == 1 else None)
    chosen, doubt = {}, {}
    for name, found in options.items():
        # A semicolon is between cells where the comma is the decimals' mark.
        commas = any(s.decimal == "." and s.group == "," for s in found)
        guess = "," if separator == ";" and commas else "."
        mark = file or guess
        style = next((s for s in found if s.decimal == mark), found[0])
        chosen[name] = style
        if len(found) == 2 and file is None and (commas or separator == ";"):
            doubt[name] = style
    notes = []
    for name, style in doubt.items():
        other = next(s for s in options[name] if s != style)
        seen = other.group or style.group
        shown = f"1{seen}234"
        value, instead = ("1234", "1.234") if style.group else ("1.234", "1234")
        notes.append(
            Note(
                f"column {name!r}: {shown} is taken for {value}, as nothing in"
                f" the file tells; name the decimal mark for {instead}",
                "beware",
                name,
                decimal=other.decimal,
            )
        )
    return chosen, notes


def _parts(cells: pd.Series) -> pd.DataFrame:
    if cells.str.fullmatch(_BARE).all():
        # Most are so, and what follows takes ten times as long.
        body = cells.str.lstrip("+-")
        sign = cells.str.slice(0, 1).where(body != cells)
        none = pd.Series(np.nan, cells.index, dtype=object)
        names = _NUMBER.groupindex
        return pd.DataFrame(
            {**dict.fromkeys(names, none), "sign": sign, "body": body}
        )
    cells = cells.astype(object).str.replace(_ZERO, r"\g<a>0\g<b>", regex=True)
    parts = cells.str.extract(rf"^{_NUMBER.pattern}$")
    minus = [*_BRACKETS, *_SIGNS]
    unpaired = (parts["open"].notna() | parts["late"].notna()) != parts[
        "close"
    ].notna()
    twice = parts[minus].fillna("").ne("").sum(axis=1) > 1
    both = parts["before"].notna() & parts["after"].notna()
    # A mark at school is 2-, a sum of money 2,00- in bookkeeping.
    marks = parts["behind"].notna() & ~parts["body"].str.contains(
        r"\D", na=False
    )
    return parts.mask(unpaired | twice | both | marks)


def _negative(parts: pd.DataFrame) -> pd.Series:
    signs = parts[_SIGNS].isin(["-", "\u2212"]).any(axis=1)
    return signs | parts[_BRACKETS].notna().any(axis=1)


def _minus(parts: pd.DataFrame) -> str:
    """How a column writes what is below 0."""
    for name, style in zip(_BRACKETS, ("()", "$()")):
        if parts[name].notna().any():
            return style
    below = parts[_negative(parts)]
    if not len(below):
        return "-"
    if behind := below["behind"].dropna().tolist():
        return f"1{behind[0]}"
    inner = below["inner"].fillna("").ne("").any() and below["before"].any()
    first = "".join(below[["sign", "inner"]].fillna("").iloc[0])
    return f"${first}" if inner else first


def _most(affixes: pd.Series) -> str:
    return str(affixes.mode().iloc[0]) if len(affixes) else ""


def _with_mark(
    style: NumberStyle, body: pd.Series, mark: str
) -> NumberStyle | None:
    """A style with a decimal mark, and the thousands' that goes with it."""
    seen = set("".join(body.unique())) & set(_GROUPS[mark])
    if len(seen) > 1:
        return None
    group = seen.pop() if seen else ""
    whole = r"\d+"
    if group:
        # Five digits without a mark are none of a column with thousands'.
        whole = rf"\d{{1,4}}|[1-9]\d{{0,2}}(?:{re.escape(group)}\d{{3}})+"
    part = rf"(?:{re.escape(mark)}\d*)?(?:[eE][-+]?\d+)?"
    fits = body.str.fullmatch(rf"(?:{whole}){part}|{re.escape(mark)}\d+")
    if not fits.all():
        return None
    if body.str.contains("[eE]").any():
        return style._replace(spec=".7g", decimal=mark, group=group)
    decimals = body.str.partition(mark)[2].str.len().max()
    return style._replace(spec=f".{decimals}f", decimal=mark, group=group)
