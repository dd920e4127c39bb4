"""Text files as lines of cells: separators, quotes, what is above a table.

All of it is UTF-8 in bytes, as a file may be gigabytes. Within quotes,
separators and line ends are masked by control characters that the text lacks,
so that what is left of them ends a cell or a line.
"""

import re
from typing import NamedTuple

import numpy as np

from miri_jax.exceptions import DataError

CANDIDATES = (",", ";", "\t", "|")
# Bytes and lines that a separator is told by.
SAMPLE, SAMPLE_LINES = 1 << 18, 500
# Of a table's lines, the share that has as many cells as most have.
REGULAR = 0.9
# Bytes whose cells are counted at once.
BLOCK = 1 << 24


class Masked(NamedTuple):
    """A text whose quoted cells hold no separator and no line end.

    Attributes:
      text: in UTF-8.
      back: what each control character stands for; none of a text without
        quotes.
    """

    text: bytes
    back: dict[str, str]

    def unmask(self, text: str) -> str:
        """A part of the text as it was."""
        return text.translate(str.maketrans(self.back)) if self.back else text


def mask_quotes(path: str, text: bytes, separators: str) -> Masked:
    """A text whose quoted cells are masked, for some separators.

    Raises:
      DataError: where a quote is not closed, with its line.
    """
    if b'"' not in text:
        return Masked(text, {})
    free = (c for c in range(1, 32) if bytes([c]) not in text)
    inside = [c for c in (*separators, "\r", "\n")]
    marks = dict(zip(inside, map(chr, free)))
    table = bytes.maketrans(
        "".join(marks).encode(), "".join(marks.values()).encode()
    )
    starts = re.escape(separators.encode()) + rb"\r\n"
    quoted = re.compile(
        rb"(?:(?<=[" + starts + rb'])|\A)"[^"]*(?:""[^"]*)*("|\Z)'
    )

    def masked(found: re.Match) -> bytes:
        if not found[1]:
            line = text.count(b"\n", 0, found.start()) + 1
            raise DataError(
                f"{path} cannot be read as a table: the quote that opens in"
                f" line {line} is not closed"
            )
        return found[0].translate(table)

    return Masked(
        quoted.sub(masked, text), {new: old for old, new in marks.items()}
    )


def find_separator(path: str, text: bytes, usual: str) -> str:
    """The separator of a text: the usual one, unless another fits better.

    The usual one fits where the first line has it and nearly all lines have
    as many; another where nearly all lines below those above the table do.
    """
    told = re.match(rb"sep=(.)\r?\n", text)
    if told:  # A line that Excel reads, and no other program.
        return told[1].decode()
    best, most = usual, None
    cut = text[:SAMPLE]
    if len(cut) < len(text):
        cut = cut[: max(cut.rfind(b"\n"), cut.rfind(b"\r")) + 1] or cut
    for separator in dict.fromkeys((usual, *CANDIDATES)):
        try:
            sample = mask_quotes(path, cut, separator).text
        except DataError:  # Cut within a quoted cell, or no such file at all.
            sample = cut
        lines = [x for x in sample.splitlines() if x.strip()][:SAMPLE_LINES]
        counts = np.array([x.count(separator.encode()) + 1 for x in lines])
        start, width = table_start(counts)
        if width < 2:
            continue
        share = float(np.mean(counts[start:] == width))
        if separator == usual and start == 0 and share >= REGULAR:
            return usual
        score = (-start, share, width)
        if share >= REGULAR and (most is None or score > most):
            best, most = separator, score
    return best


def table_start(counts: np.ndarray) -> tuple[int, int]:
    """The line that a table begins with, and how many cells its lines have.

    Lines above it are titles: they have one cell, or lack several.

    Args:
      counts: cells `[lines]` of lines that are not blank.
    """
    if not len(counts):
        return 0, 0
    kinds, often = np.unique(counts[:SAMPLE_LINES], return_counts=True)
    # Of two that are as frequent the larger, as rows may be cut short.
    width = int(kinds[np.flatnonzero(often == often.max())[-1]])
    for start in range(len(counts)):
        few = counts[start] == 1 or counts[start] < width - 1
        if counts[start] >= width or not few:
            return start, width
    return 0, width


class Lines(NamedTuple):
    """The lines of a text that ends in line feeds, one number each.

    Attributes:
      starts: where each begins, and the length of the text.
      counts: how many cells each has.
      blank: whether it has blanks only.
    """

    starts: np.ndarray
    counts: np.ndarray
    blank: np.ndarray


def find_lines(text: bytes, separator: str) -> Lines:
    """The lines of a text whose lines end in line feeds."""
    starts, counts, start = [0], [], 0
    while start < len(text):
        end = text.rfind(b"\n", start, start + BLOCK) + 1
        end = end or text.find(b"\n", start) + 1
        part = np.frombuffer(text[start:end], np.uint8)
        ends = np.flatnonzero(part == 10)
        cuts = np.flatnonzero(part == ord(separator))
        counts.append(np.diff(np.searchsorted(cuts, ends), prepend=0) + 1)
        starts.append(ends + 1 + start)
        start = end
    starts, counts = np.hstack(starts), np.hstack(counts or [[]]).astype(int)
    length = np.diff(starts) - 1
    every = np.frombuffer(text, np.uint8)
    first, last = every[starts[:-1]], every[starts[1:] - 2]
    blanks = (32,) if separator == "\t" else (32, 9)
    blank = length == 0
    doubt = ~blank & np.isin(first, blanks) & np.isin(last, blanks)
    for k in np.flatnonzero(doubt):
        line = text[starts[k] : starts[k + 1] - 1]
        blank[k] = not line.strip(bytes(blanks))
    return Lines(starts, counts, blank)


def even_ends(text: bytes) -> tuple[bytes, str, dict[int, str]]:
    """A text with line feeds, its usual end, and those that are otherwise."""
    ends = {}
    pairs = text.count(b"\r\n")
    alone = {
        "\n": text.count(b"\n") - pairs,
        "\r\n": pairs,
        "\r": text.count(b"\r") - pairs,
    }
    usual = max(alone, key=alone.get) if any(alone.values()) else "\n"
    count = sum(alone.values())
    if count > alone[usual]:
        for k, found in enumerate(re.finditer(rb"\r\n?|\n", text)):
            if found[0] != usual.encode():
                ends[k] = found[0].decode()
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not text.endswith(b"\n"):
        ends[count] = ""
        text += b"\n"
    return text, usual, ends
