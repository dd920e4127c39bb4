"""Trees as arrays, whose leaves hold the donors: observed values of rows.

scikit-learn grows the trees. A gap gets an observed value of a row that shares
its leaf (Burgette and Reiter, 2010), of a tree taken at random (Doove, Van
Buuren and Dusseldorp, 2014), so that heaps, rounding, codes and bounds come
out as they occur.
"""

from typing import Any, NamedTuple

import numpy as np

from miri_jax.sources.chained._features import coordinates

# Levels beyond which trees are grown on coordinates of theirs.
MAX_CLASSES = 32
# Donors that `draw_pooled` takes one of.
POOL = 40


class Forest(NamedTuple):
    """Trees, their nodes one after the other.

    Attributes:
      roots: `[b]` int32, the first node of each tree.
      feature: `[k]` int32, what a node asks for; below 0 at a leaf.
      threshold: `[k]` float64; up to it a row goes to the left.
      left: `[k]` int32, a node; and
      right: `[k]` int32, a node.
      first: `[k]` int32, a leaf's first donor; and
      count: `[k]` int32, how many it has.
      donors: `[q]` float64, those of a leaf ascending.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    first: np.ndarray
    count: np.ndarray
    donors: np.ndarray


def grow(
    x: np.ndarray,
    y: np.ndarray,
    *,
    levels: int,
    trees: int,
    leaf: int,
    rng: np.random.Generator,
) -> Forest:
    """A forest that tells y from x.

    Args:
      x: `[r, p]` float32.
      y: `[r]` float64, what the donors are.
      levels: how many levels y are ranks of; 0 for numbers.
      trees: how many; a single one is grown on all rows, else each on a
        bootstrap sample of them.
      leaf: rows in a leaf at least.
      rng: chooses rows and seeds.
    """
    # Here, so that those who grow none need not wait for it.
    from sklearn import config_context
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind, aim = DecisionTreeRegressor, y
    if not levels:  # ranks, so that no far value decides the splits
        aim = np.searchsorted(np.sort(y), y, "left").astype(np.float64)
    elif levels <= MAX_CLASSES:
        kind = DecisionTreeClassifier
    else:
        aim = coordinates(x, y.astype(int), levels)
    settings = {"min_samples_leaf": leaf}
    # Sums of whole numbers are exact in any order, so that equal rows may count
    # by a weight: the trees are the same, and grown from a third less.
    counted = aim.ndim == 1 and len(y) >= 2 * leaf
    if counted:
        rows, place = _distinct(x, aim)
        # Of so few rows of so many levels scikit-learn would warn.
        counted = trees > 1 or len(rows) < len(y)
        counted = counted and not 0 < len(rows) <= 2 * levels
    if counted:
        # Between what leaf - 1 and leaf rows weigh, whatever the rounding.
        settings = {"min_weight_fraction_leaf": (leaf - 0.25) / len(y)}
    else:
        rows = place = np.arange(len(y))
    grown, seen, told = [], x[rows], aim[rows]
    for _ in range(trees):
        some = np.arange(len(y))
        if trees > 1:
            some = rng.integers(len(y), size=len(y))
        tree = kind(random_state=int(rng.integers(2**31)), **settings)
        if counted:
            given = seen, told, np.bincount(place[some], minlength=len(rows))
        else:
            given = x[some], aim[some]
        # To check the same settings again takes a tenth of a small tree's time.
        with config_context(skip_parameter_validation=True):
            tree.fit(*given, check_input=False)
        leaves = tree.tree_.apply(seen)[place[some]]
        grown.append(_with_donors(tree.tree_, leaves, y[some]))
    nodes = np.cumsum([0] + [len(part[0]) for part in grown])
    donors = np.cumsum([0] + [len(part[-1]) for part in grown])
    feature, threshold, left, right, first, count, values = (
        [part[i] for part in grown] for i in range(7)
    )
    shift = lambda parts, by: np.concatenate(
        [part + k for part, k in zip(parts, by)]
    ).astype(np.int32)
    return Forest(
        nodes[:-1].astype(np.int32),
        np.concatenate(feature).astype(np.int32),
        np.concatenate(threshold),
        shift(left, nodes),
        shift(right, nodes),
        shift(first, donors),
        np.concatenate(count).astype(np.int32),
        np.concatenate(values),
    )


def _distinct(x: np.ndarray, aim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers `[u]` of rows that differ, and which of them each row is, `[r]`.

    Args:
      x: `[r, p]` float32.
      aim: `[r]`, whole numbers.
    """
    joined = np.column_stack([x, aim.astype(np.float32)])
    width = joined.itemsize * joined.shape[1]
    rows = joined.view(np.dtype((np.void, width)))[:, 0]
    return np.unique(rows, return_index=True, return_inverse=True)[1:]


def _with_donors(tree: Any, leaves: np.ndarray, y: np.ndarray) -> tuple:
    """A tree as arrays, and its donors, by the leaf `[r]` of each `[r]`."""
    order = np.lexsort((y, leaves))
    count = np.bincount(leaves, minlength=tree.node_count)
    return (
        tree.feature,
        tree.threshold,
        tree.children_left,
        tree.children_right,
        np.cumsum(count) - count,
        count,
        y[order],
    )


def leaves_of(forest: Forest, x: np.ndarray, tree: np.ndarray) -> np.ndarray:
    """The leaf `[..., k]` of each row `[k, p]` in trees `[..., k]`."""
    at = forest.roots[tree].ravel()
    moving = np.flatnonzero(forest.feature[at] >= 0)
    while moving.size:
        here = at[moving]
        asked = x[moving % len(x), forest.feature[here]]
        goes_left = asked <= forest.threshold[here]
        here = np.where(goes_left, forest.left[here], forest.right[here])
        at[moving] = here
        moving = moving[forest.feature[here] >= 0]
    return at.reshape(tree.shape)


def draw_donors(
    forest: Forest, x: np.ndarray, which: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """Donors' values `[..., k]` for each row.

    Args:
      forest: the trees.
      x: `[k, p]` float32.
      which: `[..., k]` in [0, 1), chooses the tree.
      place: `[..., k]` in [0, 1), chooses the donor, in their order.
    """
    tree = (which * len(forest.roots)).astype(np.int64)
    leaf = leaves_of(forest, x, tree)
    inside = (place * forest.count[leaf]).astype(np.int64)
    return forest.donors[forest.first[leaf] + inside]


def draw_pooled(
    forest: Forest, x: np.ndarray, which: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """A donor's value `[k]` for each row, of all trees together.

    Each tree gives a few donors of the row's leaf, evenly spaced in rank, and
    one of all of them is taken. The higher `place`, the higher is what is
    drawn, whatever the tree: draws with other places spread out.

    Args:
      forest: the trees.
      x: `[k, p]` float32.
      which: `[k]` in [0, 1), chooses each tree's donors.
      place: `[k]` in [0, 1), chooses among them, in their order.
    """
    trees = len(forest.roots)
    each = max(POOL // trees, 1)
    found = np.empty((len(x), trees, each))
    whole = np.repeat(np.arange(trees)[:, None], len(x), axis=1)
    for tree, leaf in enumerate(leaves_of(forest, x, whole)):
        shift = np.mod(which + tree / trees, 1.0)
        inside = (np.arange(each) + shift[:, None]) / each
        inside = (inside * forest.count[leaf][:, None]).astype(np.int64)
        found[:, tree] = forest.donors[forest.first[leaf][:, None] + inside]
    found = np.sort(found.reshape(len(x), -1), axis=1)
    chosen = (place * found.shape[1]).astype(np.int64)
    return found[np.arange(len(x)), chosen]
