"""Bytes of files that may be packed: .gz, .bz2, .xz and .zst."""

import bz2
import contextlib
import gzip
import lzma
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from miri_jax.endings import packing_of


def read_bytes(path: str) -> bytes:
    """What a file holds, unpacked.

    Raises:
      EOFError, OSError, lzma.LZMAError, zlib.error: where it is damaged.
    """
    with _opened(path) as file:
        return file.read()


def arrow_file(path: str) -> pa.NativeFile:
    """A file as Arrow reads it, whatever its name looks like.

    Given the name, Arrow takes "s3:x.parquet" for an address elsewhere, and
    refuses bytes that are no text.

    Raises:
      OSError: where it cannot be read.
    """
    return pa.OSFile(os.fsencode(path))


def _opened(path: str) -> Any:
    packed = packing_of(path)
    if packed == ".zst":
        return pa.CompressedInputStream(arrow_file(path), "zstd")
    unpack: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return unpack.get(packed, open)(path, "rb")


def unpacked_size(
    path: str,
    most: float,
    most_marks: float = math.inf,
    marks: Sequence[bytes] = (),
) -> tuple[int, int]:
    """How much a file holds, unpacked; counted until it is above a limit.

    Of a damaged file, what there is before the damage.

    Args:
      path: the file.
      most: bytes from which on nothing more is counted.
      most_marks: and marks.
      marks: bytes that are counted one by one, unless so few bytes hold fewer
        than `most_marks`.

    Returns:
      Bytes and marks.
    """
    plain = not packing_of(path)
    size, count = (os.path.getsize(path) if plain else 0), 0
    if plain and (size > most or size <= most_marks or not marks):
        return size, 0
    read = 0
    with contextlib.suppress(EOFError, OSError, lzma.LZMAError, zlib.error):
        with _opened(path) as file:
            while read <= most and count <= most_marks:
                part = file.read(2**20)
                if not part:
                    break
                read += len(part)
                count += sum(map(part.count, marks))
    return max(size, read), count


@contextlib.contextmanager
def written(path: str) -> Iterator[IO[bytes]]:
    """A file to be written, packed as its name says.

    The same content gives the same bytes: no name and no time is in them.
    """
    packed = packing_of(path)
    with open(path, "wb") as file:
        if packed == ".gz":
            out: Any = gzip.GzipFile("", "wb", fileobj=file, mtime=0)
        elif packed == ".bz2":
            out = bz2.BZ2File(file, "wb")
        elif packed == ".xz":
            out = lzma.LZMAFile(file, "wb")
        elif packed == ".zst":
            out = pa.CompressedOutputStream(file, "zstd")
        else:
            out = contextlib.nullcontext(file)
        with out as inner:
            yield inner
