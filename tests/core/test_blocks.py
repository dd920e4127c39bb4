import numpy as np

from miri_jax.core.blocks import by_blocks


def test_rows_are_taken_a_block_at_a_time():
    """Whatever their number is, and whether the last block is full."""
    sizes = []

    def both(a, b):
        sizes.append(len(a))
        return np.stack([a + b, a], axis=1)

    for n in (0, 1, 4, 5, 8, 9):
        a, b = np.arange(n), np.arange(n) ** 2
        found = by_blocks(both, a, b, rows=4)
        np.testing.assert_array_equal(found, np.stack([a + b, a], axis=1))
    assert max(sizes) == 4 and sum(sizes) == 27
