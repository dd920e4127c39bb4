"""Fitted chained equations: single rows, cores, and what a folder holds."""

import os

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from miri_jax import MIRIImputer
from miri_jax.sources.chained import unpack_chains

FEW = {"chained": {"chains": 2, "trees": 2, "num_iterations": 2}}
FEW["miri"] = {"num_iterations": 2, "num_steps": 10, "gaussian_rounds": 4}


def _mixed(n=300, wide=0):
    rng = np.random.default_rng(0)
    z = rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "line": np.round(2 * z + 0.5 * rng.standard_normal(n), 2),
            "heap": np.maximum(z + rng.standard_normal(n), 0),
            "level": np.where(z > 1, "a", np.where(z > -0.5, "b", "c")),
            "z": z + 0.1 * rng.standard_normal(n),
        }
        | {f"n{k}": rng.standard_normal(n) for k in range(wide)}
    )
    return frame.mask(rng.random(frame.shape) < 0.3)


@pytest.fixture(scope="module")
def fitted():
    frame = _mixed()
    imputer = MIRIImputer("chained", settings=FEW["chained"], random_state=0)
    return imputer.fit(frame), frame


def test_rows_one_by_one_are_filled_as_in_a_table(fitted):
    """A row's draw hung on the rows that came with it."""
    imputer, frame = fitted
    together = imputer.transform(frame)
    some = np.flatnonzero(frame.notna().any(axis=1))[:40]  # equal ones differ
    alone = [imputer.transform(frame.iloc[[k]]) for k in some]
    pd.testing.assert_frame_equal(pd.concat(alone), together.iloc[some])
    order = np.random.default_rng(0).permutation(some)
    pd.testing.assert_frame_equal(
        imputer.transform(frame.iloc[order]), together.iloc[order]
    )


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here"
)
@pytest.mark.parametrize("wide", [0, pytest.param(40, marks=pytest.mark.slow)])
def test_the_number_of_cores_changes_nothing(wide):
    """Chains ran in threads, and sums took as many parts as there are cores."""
    frame, found = _mixed(150, wide), []
    settings = FEW["chained"] | {"num_iterations": 1}
    cores = os.sched_getaffinity(0)
    for some in ({min(cores)}, cores):
        try:
            os.sched_setaffinity(0, some)
            with threadpool_limits(len(some)):
                imputer = MIRIImputer(
                    "chained", settings=settings, random_state=0
                ).fit(frame)
                filled = imputer.transform(frame)
        finally:
            os.sched_setaffinity(0, cores)
        found.append((imputer.states_[0].chains.tobytes(), filled))
    assert found[0][0] == found[1][0]
    pd.testing.assert_frame_equal(found[0][1], found[1][1])


@pytest.mark.parametrize(
    "method", ["chained", pytest.param("miri", marks=pytest.mark.slow)]
)
def test_a_saved_model_fills_as_before(method, tmp_path):
    """States whose shapes only a fit knows come back without pickle.

    That of `miri` holds no chains where the flow draws all columns.
    """
    frame = _mixed()
    imputer = MIRIImputer(method, settings=FEW[method], random_state=0)
    imputer.fit(frame).save(tmp_path / "model")
    for path in (tmp_path / "model").rglob("*"):
        assert path.suffix not in (".pkl", ".pickle")
    read = MIRIImputer.load(tmp_path / "model")
    assert len(read.states_[0].chains)
    pd.testing.assert_frame_equal(
        read.transform(frame), imputer.transform(frame)
    )


def test_a_saved_model_holds_no_row_of_the_table(fitted):
    """What is kept of the table is single values, in order within leaves.

    So neither a row nor a column can be read off: no filled table, no two
    numbers of a row side by side, no values in the order of the rows.
    """
    imputer, frame = fitted
    state = imputer.states_[0]
    assert not np.any(state.x)
    chains = unpack_chains(state.chains)
    assert not chains.filled
    names = ["line", "heap", "z"]
    blob, whole = state.chains.tobytes(), frame[names].dropna().to_numpy()
    for dtype in (np.float64, np.float32):
        for row in whole.astype(dtype):
            for pair in (row[:2], row[1:]):
                assert pair.tobytes() not in blob or not pair.all()
        for name in names:
            seen = frame[name].dropna().to_numpy(dtype)
            assert seen[:8].tobytes() not in blob
    for by in chains.kept.chains:
        for conditional in by.values():
            forest = conditional.forest
            leaves = np.flatnonzero(forest.feature < 0)
            assert forest.count[leaves].min() >= 5
            for first, count in zip(forest.first[leaves], forest.count[leaves]):
                donors = forest.donors[first : first + count]
                assert (np.diff(donors) >= 0).all()
