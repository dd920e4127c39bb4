"""Sentences about a table that a reader should know."""

import math
from collections.abc import Hashable
from typing import Literal, Self

# How much a sentence weighs in a report: it is said; what one concludes may
# change by it, as it tells of a guess or of what is not as it was stated to be;
# or the report says the same, with what to do, of what it sees itself.
Weight = Literal["said", "beware", "repeated"]


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 in percent; what is something is not told as nothing."""
    told = f"{share:.{digits}%}"
    if share > 0 and float(told[:-1]) == 0:
        power = math.floor(math.log10(100 * share))
        return f"{100 * share:.{-power}f}%"
    return told


class Note(str):
    """A sentence, with what a program may want to know of it.

    Attributes:
      weight: how much it weighs.
      column: the one that it is about; None for several, or none.
      about: values of settings that are for the reader to settle, by name, as
        `MiriError.about` names them.
    """

    weight: Weight
    column: Hashable
    about: dict[str, str]

    def __new__(
        cls,
        text: str,
        /,
        weight: Weight = "said",
        column: Hashable = None,
        **about: str,
    ) -> Self:
        """Of a sentence and settings."""
        made = super().__new__(cls, text)
        made.weight, made.column, made.about = weight, column, about
        return made

    @classmethod
    def of(cls, text: str) -> "Note":
        """A note as it is; any other sentence as one that is only said."""
        return text if isinstance(text, Note) else cls(text)

    def reworded(self, text: str) -> "Note":
        """The same in other words."""
        return Note(text, self.weight, self.column, **self.about)
