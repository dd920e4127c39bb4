"""Proper scores of draws, and a distance of samples, in NumPy.

"Fair" scores take the draws for independent ones, and expect of a few what many
would have (Ferro, 2014).
"""

import numpy as np


def fair_crps(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fair CRPS `[k]` of draws of numbers `[m, k]`, m > 1, of `[k]`."""
    m, ordered = len(draws), np.sort(draws, axis=0)
    weight = (2 * np.arange(1, m + 1) - m - 1)[:, None]
    spread = np.sum(weight * ordered, axis=0) / (m * (m - 1))
    return np.abs(draws - truth).mean(axis=0) - spread


def fair_brier(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fair Brier score `[k]` of drawn levels `[m, k]`, m > 1, of `[k]`."""
    m = len(draws)
    hit = (draws == truth).mean(axis=0)
    same = [np.sum(draws == one, axis=0) - 1 for one in draws]
    return 1 - 2 * hit + np.sum(same, axis=0) / (m * (m - 1))


def ks_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov and Smirnov's distance of two samples of numbers."""
    at = np.concatenate([a, b])
    one, other = (
        np.searchsorted(np.sort(part), at, "right") / len(part)
        for part in (a, b)
    )
    return float(np.abs(one - other).max())
