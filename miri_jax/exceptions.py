"""Errors a user can act on; `main` prints each as one line and exits with 1.

Every message names the thing that is wrong and the remedy, in words that hold
in a script as well. How the remedy is given on a command line is for the
command to add, which reads `MiriError.about`.
"""


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
