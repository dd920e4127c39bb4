"""Sentences about a table that a reader should know."""


class Note(str):
    """A sentence, with the settings that are for the reader to settle.

    Attributes:
      about: values of settings by name, as `MiriError.about` names them.
    """

    about: dict[str, str]

    def __new__(cls, text: str, **about: str) -> "Note":
        """Of a sentence and settings."""
        made = super().__new__(cls, text)
        made.about = about
        return made
