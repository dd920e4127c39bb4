"""Tables encoded: places of rows in atoms, points of many levels."""

import numpy as np
import pandas as pd

from miri_jax.data import columns as cols
from miri_jax.data import tables
from miri_jax.data.places import hash_rows, place_of
from miri_jax.data.tables import encode_rows, make_table, missing_cells
from miri_jax.estimator import MIRIImputer

RNG = np.random.default_rng(0)


def _heaped(n=600):
    """Heaps, levels and gaps."""
    x = RNG.standard_normal(n)
    frame = pd.DataFrame(
        {
            "x": x.round(3),
            "spend": np.where(x + RNG.standard_normal(n) > 0.7, x.round(2), 0),
            "visits": RNG.poisson(np.exp(x / 2)),
            "grade": pd.Categorical(RNG.choice(list("abc"), n), ordered=True),
            "town": RNG.choice(["york", "rome"], n),
        }
    )
    return frame.mask(RNG.random(frame.shape) < 0.2)


def test_a_row_is_encoded_alike_alone_and_among_others():
    frame = _heaped()
    table = make_table(frame, missing_cells(frame))
    for rows in (slice(0, 600), slice(7, 8), slice(599, None, -3)):
        part = frame.iloc[rows]
        again = encode_rows(part, missing_cells(part), table.columns)
        np.testing.assert_array_equal(again.values, table.values[rows])
        np.testing.assert_array_equal(again.m, table.m[rows])


def test_cells_of_a_heap_are_spread_over_its_scores():
    frame = _heaped()
    table = make_table(frame, missing_cells(frame))
    for column, block in tables.split(table.columns, table.values):
        if column.knots is None:
            continue
        observed = block[~frame[column.name].isna().to_numpy(), 0]
        assert abs(observed.mean()) < 0.1, column.name
        assert abs(observed.std() - 1) < 0.1, column.name
    spend = table.values[(frame["spend"] == 0).to_numpy(), 1]
    # Rows that are the same, as far as is known, have the same place.
    assert len(np.unique(spend)) > 0.8 * len(spend)


def test_places_are_even_and_differ_by_column():
    columns = [cols.Column(name, "real") for name in "ab"]
    numbers = RNG.standard_normal((20000, 2))
    known = RNG.random(numbers.shape) < 0.7
    known[:, 0] = True
    rows = hash_rows(columns, numbers, known)
    places = np.stack([place_of(rows, j) for j in range(3)])
    assert (places > 0).all() and (places < 1).all()
    count = np.stack([np.histogram(p, 20, (0, 1))[0] for p in places])
    assert np.abs(count - 1000).max() < 150
    others = np.vstack([places, numbers[:, 0], known[:, 1]])
    assert np.abs(np.corrcoef(others)[:3] - np.eye(5)[:3]).max() < 0.03
    # Gaps are not read; a zero has no sign; one cell more is another row.
    odd = np.where(known, numbers, 7.0)
    np.testing.assert_array_equal(rows, hash_rows(columns, odd, known))
    zeros = hash_rows(
        columns, np.array([[0.0, 1], [-0.0, 1]]), np.ones((2, 2)) > 0
    )
    assert zeros[0] == zeros[1]
    assert (hash_rows(columns, numbers, ~known) != rows).all()


def _panel(persons=80, waves=6):
    """Weights by person, with a year of birth and noise."""
    rng = np.random.default_rng(3)
    weight = rng.normal(75, 12, persons)
    frame = pd.DataFrame(
        {
            "person": np.repeat([f"p{k:03d}" for k in range(persons)], waves),
            "weight": np.repeat(weight, waves)
            + rng.normal(0, 2, persons * waves),
            "noise": rng.standard_normal(persons * waves),
        }
    )
    truth = frame["weight"].to_numpy()
    gaps = rng.random(len(frame)) < 0.3
    return frame.assign(weight=frame["weight"].mask(gaps)), truth, gaps


def test_many_levels_tell_what_goes_with_them():
    """Better than the person's observed mean would be by half again at most."""
    frame, truth, gaps = _panel()
    imputer = MIRIImputer(
        "gaussian", n_imputations=10, statistic="mean", random_state=0
    )
    filled = imputer.fit(frame).transform(frame)
    person = frame.groupby("person")["weight"].transform("mean")
    best = np.sqrt(np.mean((person - truth)[gaps] ** 2))
    found = np.sqrt(np.mean((filled["weight"] - truth)[gaps] ** 2))
    assert found < 1.5 * best < 0.4 * truth.std()


def test_points_of_levels_are_all_different_and_come_back():
    frame, _, _ = _panel()
    frame.loc[3, "person"] = None
    table = make_table(frame, missing_cells(frame))
    column = table.columns[0]
    assert column.book is not None and column.width <= 7
    assert column.encoded_names[0] == "person, coordinate 0"
    assert len(np.unique(np.array(column.book), axis=0)) == 80
    values = np.arange(80.0)
    block = cols.block_of(column, values)
    np.testing.assert_array_equal(cols.values_of(column, block), values)
    m = table.m[:, : column.width]
    assert not m[3].any() and m[4:].all()


def test_levels_that_go_with_nothing_keep_their_bits():
    words = [f"w{k}" for k in range(40)] * 3
    alone = pd.DataFrame({"word": words})
    once = pd.DataFrame(
        {"word": [*(f"w{k}" for k in range(119)), None], "x": RNG.random(120)}
    )
    for frame in (alone, once):
        kinds = {"word": "categorical"}
        table = make_table(frame, missing_cells(frame), kinds=kinds)
        column = table.columns[0]
        assert column.book is None and column.width in (6, 7)


def test_a_model_of_points_and_heaps_comes_back_from_a_folder(tmp_path):
    frame, _, _ = _panel(30, 8)
    frame["heap"] = np.where(frame["noise"] > 0.5, frame["noise"].round(2), 0)
    frame["town"] = RNG.choice(["york", "rome", "ulm"], len(frame))
    frame.loc[::5, ["heap", "town"]] = None
    imputer = MIRIImputer("gaussian", random_state=0).fit(frame)
    imputer.save(tmp_path / "model")
    again = MIRIImputer.load(tmp_path / "model")
    assert again.columns_ == imputer.columns_
    pd.testing.assert_frame_equal(
        again.transform(frame[:50]), imputer.transform(frame[:50])
    )


def test_many_levels_are_drawn_as_often_as_observed():
    """Nine in ten are one level, as in a column of countries."""
    n, rng = 4000, np.random.default_rng(5)
    share = np.append(0.9, np.full(39, 0.1 / 39))
    rank = rng.choice(40, n, p=share)
    frame = pd.DataFrame(
        {
            "land": np.array([f"l{k:02d}" for k in range(40)])[rank],
            "x": rng.standard_normal(n) + np.sin(rank) * (rank > 0),
            "y": rng.standard_normal(n) + np.cos(rank) * (rank > 0),
        }
    )
    table = make_table(frame, missing_cells(frame))
    column = table.columns[0]
    assert column.book is not None
    block = table.values[:, : column.width]
    drawn = rng.multivariate_normal(block.mean(0), np.cov(block.T), 20000)
    found = np.bincount(cols.values_of(column, drawn).astype(int), minlength=40)
    true = np.bincount(rank, minlength=40)
    assert np.abs(found / 20000 - true / n).sum() / 2 < 0.05
    # Points themselves are their levels', whatever the offsets.
    np.testing.assert_array_equal(cols.values_of(column, block), rank)
