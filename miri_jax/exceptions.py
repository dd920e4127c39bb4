"""Errors a user can act on; `main` prints each as one line and exits with 1.

Every message names the thing that is wrong and the remedy, in words that hold
in a script as well. How the remedy is given on a command line is for the
command to add, which reads `MiriError.about`.
"""

import re

# What a terminal would act on, or break a line at, or show in another order.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class MiriError(Exception):
    """Base of all errors that miri_jax raises on purpose.

    Attributes:
      about: names of the arguments or settings that the remedy is about, or of
        what else there is to do, such as "restart".
    """

    def __init__(self, message: str, *, about: tuple[str, ...] = ()) -> None:
        """Of a message, with what its remedy is about."""
        super().__init__(message)
        self.about = about


class DataError(MiriError, ValueError):
    """The input table, or a setting about it, cannot be used as it is."""


class ConfigError(MiriError, ValueError):
    """A setting does not exist or does not fit the method."""


class WorkdirError(MiriError):
    """The working directory belongs to another run or cannot be used."""


class NonFiniteError(MiriError, FloatingPointError):
    """A loss or a filled table turned NaN or infinite."""


class DivergedError(NonFiniteError):
    """A fit turned NaN or infinite however small its steps."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def printable(line: str) -> str:
    """A line as a terminal may be given it.

    Names of files and columns and cells may hold anything: a new line, which
    would make two of one, or what moves the cursor.
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], line)


def sized(count: float) -> str:
    """A number of bytes with three digits, as "18 bytes" and "1.25 GB"."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {_UNITS[unit]}"
