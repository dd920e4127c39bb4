"""Random numbers of rows that depend on the rows' own seeds alone."""

from collections.abc import Sequence

import numpy as np

_STEP, _MIX_1, _MIX_2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)


def mixed(words: np.ndarray) -> np.ndarray:
    """SplitMix64's output function (Steele, Lea and Flood, 2014) of uint64."""
    words = words + _STEP
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))


def uniform(seeds: np.ndarray, *place: int) -> np.ndarray:
    """Numbers in [0, 1), one for each seed uint64 `[n]`, at a place."""
    words = seeds
    for number in place:
        words = mixed(words ^ mixed(np.array([number], np.uint64)))
    return (words >> np.uint64(11)) * 2.0**-53


def stratified(
    seeds: np.ndarray, index: int, count: int, *place: int
) -> np.ndarray:
    """Of `count` draws the one numbered `index`: `uniform`, spread over them.

    With the same seeds the draws fall one each into the slices [i, i + 1) /
    count, see `core.rows.normal_noise`.
    """
    order = [uniform(seeds, *place, 0, k) for k in range(count)]
    rank = sum((one < order[index]).astype(np.int64) for one in order)
    return (rank + uniform(seeds, *place, 1, index)) / count


def seeds_of(noise: np.ndarray) -> np.ndarray:
    """A seed uint64 `[n]` for each row of noise `[n, d]` float32."""
    bits = np.ascontiguousarray(noise, np.float32).view(np.uint32)
    bits = bits.reshape(len(noise), -1).astype(np.uint64)
    places = mixed(np.arange(bits.shape[1], dtype=np.uint64))
    return mixed(np.sum(mixed(bits ^ places), axis=1, dtype=np.uint64))


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
    # Adding 0 turns -0.0 into 0.0.
    bits = np.ascontiguousarray(x, np.float32) + np.float32(0)
    bits = np.where(m, bits.view(np.uint32).astype(np.uint64), _STEP)
    places = mixed(np.arange(bits.shape[1], dtype=np.uint64))
    names = np.sum(mixed(bits ^ places), axis=1, dtype=np.uint64)
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    first = np.searchsorted(ordered, ordered, "left")
    count = np.empty(len(names), np.uint64)
    count[order] = np.arange(len(names)) - first
    seeds = mixed(names ^ mixed(count))
    for word in words:
        seeds = mixed(seeds ^ mixed(np.array([word], np.uint64)))
    return seeds
