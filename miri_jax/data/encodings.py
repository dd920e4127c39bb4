"""Bytes of text files: their encoding, and the mark at their start."""

import codecs
import re
from typing import NamedTuple

import charset_normalizer

from miri_jax.exceptions import DataError

# The longer marks first, as that of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Bytes of a file that its encoding is guessed from.
SAMPLE = 1 << 16
# Of the letters of western text that ASCII lacks, fewer stand side by side.
FEW = 0.4


class Encoding(NamedTuple):
    """How a file's bytes are text.

    Attributes:
      name: of the codec, without a mark.
      mark: the bytes before the text.
      told: whether the file or the user says so; else it is a guess.
    """

    name: str = "utf-8"
    mark: bytes = b""
    told: bool = True

    @property
    def plain(self) -> bool:
        """Whether there is nothing to be said about it."""
        return self.name == "utf-8"

    def encode(self, text: str) -> bytes:
        """Text as it stands in the file, without the mark."""
        return text.encode(self.name)


def decode(
    path: str, content: bytes, given: str | None = None
) -> tuple[bytes, Encoding]:
    """A file's text as UTF-8 without a mark, and its encoding.

    It is what is given, or the mark's, or UTF-8, or UTF-16 where every other
    byte is 0, or cp1252 where those that are not ASCII stand alone, or what
    charset-normalizer takes it for.

    Raises:
      DataError: where the bytes are no text in it.
    """
    found = _encoding_of(content, given)
    body = content[len(found.mark) :] if found is not None else b""
    if found is not None and found.plain:
        if _is_utf8(body) and b"\0" not in body:
            return body, found
    elif found is not None:
        try:
            text = body.decode(found.name)
            # Else observed cells would not come back to the byte.
            if "\0" not in text and text.encode(found.name) == body:
                return text.encode("utf-8"), found
        except (UnicodeError, LookupError):
            pass
    raise DataError(
        f"{path} is not text in {given or 'UTF-8'}, or in another encoding that"
        " can be told; name its encoding, as encoding='cp1252'",
        about=("encoding",),
    )


def _is_utf8(text: bytes) -> bool:
    try:
        # By parts, as the text may be gigabytes.
        reader = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(text), 1 << 24):
            reader.decode(text[start : start + (1 << 24)])
        reader.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _encoding_of(content: bytes, given: str | None) -> Encoding | None:
    marked = next(
        (Encoding(name, m) for m, name in MARKS if content.startswith(m)), None
    )
    if given is not None:
        try:
            name = codecs.lookup(given).name
        except (LookupError, ValueError):  # of a name with a zero in it
            raise DataError(
                f"encoding is {given!r}, which Python does not know; name"
                " another, as encoding='cp1252'",
                about=("encoding",),
            ) from None
        if marked is not None and marked.name.startswith(
            name.removesuffix("-sig")
        ):
            return marked
        ends = "-le" if name in ("utf-16", "utf-32") else ""
        return Encoding(name.removesuffix("-sig") + ends)
    if marked is not None:
        return marked
    if _is_utf8(content) and b"\0" not in content[:SAMPLE]:
        return Encoding()
    return _guess(content)


def _guess(content: bytes) -> Encoding | None:
    sample = content[:SAMPLE]
    for name, zeros in (("utf-16-le", 1), ("utf-16-be", 0)):
        if (
            len(content) % 2 == 0
            and sample[zeros::2].count(0) > len(sample) / 4
        ):
            return Encoding(name, told=False)
    if b"\0" in sample:
        return None
    # From where it is not ASCII, which may be far down.
    start = next(k for k, byte in enumerate(content) if byte > 127)
    sample = content[max(start - 1000, 0) :][:SAMPLE]
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", sample)]
    if sum(n for n in runs if n > 1) < FEW * sum(runs):
        try:
            content.decode("cp1252")
            return Encoding("cp1252", told=False)
        except UnicodeDecodeError:
            pass
    best = charset_normalizer.from_bytes(sample).best()
    return None if best is None else Encoding(best.encoding, told=False)
