"""Nested dicts and lists of arrays as one array of bytes, and back.

What a source keeps has shapes that are known only after its fit; as bytes it is
one array of a state, which a checkpoint holds without pickle.
"""

import json
from typing import Any

import numpy as np

# Arrays begin at multiples of so many bytes.
_ALIGNED = 8


def pack(content: Any) -> np.ndarray:
    """One uint8 array of dicts with text as keys, lists, arrays, plain values.

    Args:
      content: arrays of numbers, or bool, in any nesting.
    """
    arrays: list[np.ndarray] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(np.ascontiguousarray(value))
            return {"": [value.dtype.str, list(value.shape)]}
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        return value

    head = json.dumps(plain(content)).encode()
    parts = [np.uint64(len(head)).tobytes(), _padded(head)]
    parts += [_padded(array.tobytes()) for array in arrays]
    return np.frombuffer(b"".join(parts), np.uint8)


def unpack(blob: np.ndarray) -> Any:
    """What `pack` was given; its arrays cannot be written to."""
    data = np.asarray(blob, np.uint8).tobytes()
    size = int(np.frombuffer(data[:_ALIGNED], np.uint64)[0])
    head = json.loads(data[_ALIGNED : _ALIGNED + size].decode())
    place = _ALIGNED + _whole(size)

    def full(value: Any) -> Any:
        nonlocal place
        if isinstance(value, list):
            return [full(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "" not in value:
            return {name: full(part) for name, part in value.items()}
        kind, shape = np.dtype(value[""][0]), value[""][1]
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, kind, count, place).reshape(shape)
        place += _whole(array.nbytes)
        return array

    return full(head)


def _whole(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _padded(data: bytes) -> bytes:
    return data.ljust(_whole(len(data)), b"\0")
