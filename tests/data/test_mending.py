import numpy as np

from miri_jax.data.columns import Column
from miri_jax.data.mending import mended
from miri_jax.relations import evaluate
from miri_jax.relations._grammar import parse


def test_only_rules_that_a_row_breaks_are_tried():
    """So 200 rules take twice as long as 100, not four times."""
    n, count = 50, 40
    names = [f"c{j}" for j in range(count + 1)]
    by_name = {name: Column(name, "integer", decimals=0) for name in names}
    trees = [parse(f"{a} <= {b}") for a, b in zip(names, names[1:])]
    drawn = {name: np.full(n, float(j)) for j, name in enumerate(names)}
    drawn["c5"][7] = 9.0
    gaps = {name: np.full(n, name == "c5") for name in names}
    asked = []

    def wrong(values, rows, name):
        asked.append(len(rows))
        return sum((evaluate(tree, values) != 1).astype(int) for tree in trees)

    made = mended(by_name, trees, drawn, gaps, lambda v, rows: v, wrong)
    assert 4 <= made["c5"][7] <= 6
    for name in names:
        rows = np.arange(n) != (7 if name == "c5" else n)
        np.testing.assert_array_equal(made[name][rows], drawn[name][rows])
    # All once, and then the one row, before and after, for values of one
    # rule's two columns.
    assert asked[0] == n and sum(asked[1:]) <= 2 * 2 * 2 * 3


def test_of_a_chain_one_cell_after_the_other_gives_way():
    """Where a <= b <= c <= d <= e, b to d are gaps, and d is above e."""
    names = "abcde"
    by_name = {name: Column(name, "integer", decimals=0) for name in names}
    trees = [parse(f"{a} <= {b}") for a, b in zip(names, names[1:])]
    rows = [
        [0, 6, 7, 8, 5],  # all three are above e
        [0, 1, 7, 8, 5],
        [9, 6, 7, 8, 5],  # what is known is not in order
        [0, 1, 2, 3, 5],
    ]
    drawn = dict(zip(names, np.array(rows, float).T))
    gaps = {name: np.full(4, name in "bcd") for name in names}

    def wrong(values, rows, name):
        del rows, name
        return sum((evaluate(tree, values) != 1).astype(int) for tree in trees)

    made = mended(by_name, trees, drawn, gaps, lambda v, rows: v, wrong)
    found = np.stack([made[name] for name in names], axis=1)
    kept = np.diff(found, axis=1) >= 0
    assert kept[[0, 1, 3]].all()
    np.testing.assert_array_equal(found[3], rows[3])
    np.testing.assert_array_equal(found[:, [0, 4]], np.array(rows)[:, [0, 4]])
