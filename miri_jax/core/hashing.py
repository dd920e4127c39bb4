"""A hash of 64-bit words on the host, the same on every machine."""

import numpy as np

# Of SplitMix64 (Steele, Lea and Flood, 2014).
STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mixed(words: np.ndarray) -> np.ndarray:
    """One step of SplitMix64 of uint64 `[n]`, a bijection."""
    words = words + STEP
    words = (words ^ (words >> np.uint64(30))) * _MIX[0]
    words = (words ^ (words >> np.uint64(27))) * _MIX[1]
    return words ^ (words >> np.uint64(31))
