"""Random numbers of rows that depend on the rows' own seeds alone."""

import functools
from collections.abc import Sequence

import numpy as np

from miri_jax.core.blocks import by_blocks
from miri_jax.core.hashing import STEP, mixed


def uniform(seeds: np.ndarray, *place: int) -> np.ndarray:
    """Numbers in [0, 1), one for each seed uint64 `[n]`, at a place."""
    words = seeds
    for number in place:
        words = mixed(words ^ _word(number))
    return (words >> np.uint64(11)) * 2.0**-53


@functools.lru_cache(maxsize=4096)  # the same few for each row of many
def _word(number: int) -> np.uint64:
    return mixed(np.array([number], np.uint64))[0]


def stratified(
    seeds: np.ndarray, index: int, count: int, *place: int
) -> np.ndarray:
    """Of `count` draws the one numbered `index`: `uniform`, spread over them.

    With the same seeds the draws fall one each into the slices [i, i + 1) /
    count, see `core.rows.normal_noise`.
    """
    if count == 1:
        return uniform(seeds, *place, 1, index)
    order = [uniform(seeds, *place, 0, k) for k in range(count)]
    rank = sum((one < order[index]).astype(np.int64) for one in order)
    return (rank + uniform(seeds, *place, 1, index)) / count


def seeds_of(noise: np.ndarray) -> np.ndarray:
    """A seed uint64 `[n]` for each row of noise `[n, d]` float32."""
    bits = np.ascontiguousarray(noise, np.float32).view(np.uint32)
    return mixed(_hashed(bits.reshape(len(noise), -1).astype(np.uint64)))


def _hashed(words: np.ndarray) -> np.ndarray:
    """A hash `[n]` of each row of uint64 `[n, d]`."""
    places = mixed(np.arange(words.shape[1], dtype=np.uint64))
    return np.sum(mixed(words ^ places), axis=1, dtype=np.uint64)


def seeds_of_rows(
    words: Sequence[int], x: np.ndarray, m: np.ndarray
) -> np.ndarray:
    """A seed uint64 `[n]` for each row, by what is observed in it alone.

    Equal rows count, so that each has another; see `core.rows.row_names`.

    Args:
      words: of a PRNG key and what else all seeds depend on.
      x: `[n, d]` float32.
      m: `[n, d]` bool, True = observed.
    """
    names = by_blocks(_names, x, m)
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    first = np.searchsorted(ordered, ordered, "left")
    count = np.empty(len(names), np.uint64)
    count[order] = np.arange(len(names)) - first
    seeds = mixed(names ^ mixed(count))
    for word in words:
        seeds = mixed(seeds ^ _word(word))
    return seeds


def _names(x: np.ndarray, m: np.ndarray) -> np.ndarray:
    """A hash `[n]` of what is observed in each row."""
    # Adding 0 turns -0.0 into 0.0.
    bits = np.ascontiguousarray(x, np.float32) + np.float32(0)
    return _hashed(np.where(m, bits.view(np.uint32).astype(np.uint64), STEP))
