"""Random numbers of rows that depend on the rows' own seeds alone."""

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


def seeds_of(noise: np.ndarray) -> np.ndarray:
    """A seed uint64 `[n]` for each row of noise `[n, d]` float32."""
    bits = np.ascontiguousarray(noise, np.float32).view(np.uint32)
    bits = bits.reshape(len(noise), -1).astype(np.uint64)
    places = mixed(np.arange(bits.shape[1], dtype=np.uint64))
    return mixed(np.sum(mixed(bits ^ places), axis=1, dtype=np.uint64))
