"""Bytes of files that may be packed: .gz, .bz2, .xz and .zst."""

import bz2
import contextlib
import gzip
import lzma
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from miri_jax.endings import packing_of


def read_bytes(path: str) -> bytes:
    """What a file holds, unpacked.

    Raises:
      EOFError, OSError, lzma.LZMAError, zlib.error: where it is damaged.
    """
    packed = packing_of(path)
    if packed == ".zst":
        with pa.input_stream(path, compression="zstd") as file:
            return file.read()
    unpack: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    with unpack.get(packed, open)(path, "rb") as file:
        return file.read()


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
