"""Stated relations hold in every method, and by every door."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from miri_jax.app import impute
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import DataError
from miri_jax.imputers import IMPUTERS
from miri_jax.sources.chained import unpack_chains
from tests.golden import FEW

STATED = dict(
    formulas=["gross = net + tax", "days = discharge - admit"],
    rules=["discharge >= admit", "tax <= net"],
    only_if={"pack": "smoking != 'never'"},
    keep=["note"],
    below={"crp": 0.3},
    above={"top": 90},
    gap_bounds={"age": (0, 110)},
)
WORDS = (
    *("--formula", "gross = net + tax"),
    *("--formula", "days = discharge - admit"),
    *("--rule", "discharge >= admit", "--rule", "tax <= net"),
    *("--only-if", "pack: smoking != 'never'", "--keep", "note"),
    *("--below", "crp=0.3", "--above", "top=90", "--gap-bounds", "age=0:110"),
)


def _whole(n=120, seed=0):
    rng = np.random.default_rng(seed)
    days = lambda most: pd.to_timedelta(rng.integers(0, most, n), "D")
    admit = pd.Timestamp("2024-01-01") + days(60)
    discharge = admit + days(9)
    net = rng.gamma(3, 20, n).round(2)
    tax = (net * 0.19).round(2)
    smoking = rng.choice(["never", "former", "current"], n)
    pack = rng.gamma(3, 5, n).round(1)
    return pd.DataFrame(
        {
            "admit": admit,
            "discharge": discharge,
            "days": (discharge - admit).days.astype(float),
            "net": net,
            "tax": tax,
            "gross": (net + tax).round(2),
            "smoking": smoking,
            "pack": np.where(smoking == "never", np.nan, pack),
            "note": rng.choice(["long", "short"], n),
            "crp": rng.lognormal(0, 1, n).round(3),
            "top": (70 + 15 * rng.standard_normal(n)).round(1),
            # Some observed cells lie outside.
            "age": rng.integers(-9, 80, n).astype(float),
        }
    )


@pytest.fixture(scope="module")
def frame():
    frame = _whole()
    rng = np.random.default_rng(1)
    gaps = rng.random(frame.shape) < 0.25
    names = list(frame.columns)
    gaps[:, names.index("crp")] = frame["crp"] < 0.3
    gaps[:, names.index("top")] = frame["top"] > 90
    return frame.mask(gaps)


def _check(frame, made):
    gaps, known = frame.isna(), frame.notna()
    assert (made == frame).to_numpy()[known].all()
    off = made["gross"] - made["net"] - made["tax"]
    assert off.abs().max() < 1e-9
    stay = (made["discharge"] - made["admit"]).dt.days
    assert (stay == made["days"]).all() and (stay >= 0).all()
    assert (made["tax"] <= made["net"]).all()
    empty = made["pack"].isna()
    assert (empty == (made["smoking"] == "never")).all()
    assert (made["note"].isna() == gaps["note"]).all()
    assert made["crp"][gaps["crp"]].between(-1e9, 0.3, "neither").all()
    assert (made["top"][gaps["top"]] > 90).all()
    assert made["age"][gaps["age"]].between(0, 110).all()
    whole = made.drop(columns=["pack", "note"])
    assert whole.notna().all(axis=None)


# The Gaussian goes through all doors below.
QUICK = ("mean", "chained")


@pytest.mark.parametrize(
    "method",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in IMPUTERS
    ],
)
def test_every_method_keeps_what_is_stated(method, frame):
    imputer = MIRIImputer(
        method, settings=FEW[method], random_state=0, **STATED
    ).fit(frame)
    _check(frame, imputer.transform(frame))


@pytest.fixture(scope="module")
def imputer(frame):
    how = dict(settings=FEW["gaussian"], random_state=3)
    return MIRIImputer("gaussian", **how, **STATED).fit(frame)


def test_command_and_estimator_give_the_same(frame, imputer, tmp_path):
    frame.to_csv(tmp_path / "in.csv", index=False)
    words = [tmp_path / "in.csv", tmp_path / "out.csv", "--method", "gaussian"]
    for name, value in FEW["gaussian"].items():
        words += ["--set", f"imputer.{name}={value}"]
    words += ["--seed", 3, *WORDS]
    impute.impute(impute.make_parser().parse_args([str(x) for x in words]))
    dates = ["admit", "discharge"]
    made = pd.read_csv(tmp_path / "out.csv", parse_dates=dates)
    _check(frame, made)
    wanted = imputer.transform(frame)
    for name in frame.columns:
        if pd.api.types.is_float_dtype(wanted[name]):
            np.testing.assert_allclose(made[name], wanted[name], atol=1e-9)
    page = (tmp_path / "out.html").read_text("utf-8")
    assert "are given by formulas" in page and "is kept: its" in page


def test_a_row_is_the_same_alone_and_after_saving(frame, imputer, tmp_path):
    imputer.save(tmp_path / "model")
    again = MIRIImputer.load(tmp_path / "model")
    assert again.only_if == STATED["only_if"]
    made = imputer.transform(frame)
    pd.testing.assert_frame_equal(again.transform(frame), made)
    for k in (0, 7, 33):
        alone = imputer.transform(frame.iloc[[k]])
        pd.testing.assert_frame_equal(alone, made.iloc[[k]])


@pytest.mark.slow
def test_imputations_keep_it_too(frame):
    imputer = MIRIImputer(
        "gaussian", n_imputations=3, random_state=0, **STATED
    ).fit(frame)
    draws = imputer.imputations(frame)
    for made in draws:
        _check(frame, made)
    assert draws[0]["net"].ne(draws[1]["net"]).any()


def test_what_others_determine_is_arithmetic_in_every_draw():
    frame = _whole()[["net", "tax", "gross", "days"]]
    rng, holes = np.random.default_rng(2), frame.copy()
    for row, k in enumerate(rng.integers(0, 4, len(frame))):
        holes.iloc[row, k] = np.nan
    imputer = MIRIImputer("mean", formulas=["gross = net + tax"]).fit(holes)
    made = imputer.transform(holes)
    money = ["net", "tax", "gross"]
    np.testing.assert_allclose(made[money], frame[money], atol=1e-9)


def test_contradictions_among_observed_cells_are_told_and_stay():
    frame = _whole()
    frame.loc[4, "gross"] += 1
    frame.loc[6, "admit"] = frame.loc[6, "discharge"] + pd.Timedelta(days=1)
    frame.loc[frame.index % 5 == 0, "age"] = np.nan
    holes = frame.copy()
    imputer = MIRIImputer("mean", **(STATED | {"below": {}, "above": {}}))
    made = imputer.fit_transform(holes)
    notes = "\n".join(imputer.notes_)
    assert "formula 'gross = net + tax' does not hold of what is" in notes
    assert "in 1 row(s), as in row 5" in notes
    assert "rule 'discharge >= admit' does not hold" in notes
    assert (made == frame).to_numpy()[frame.notna()].all()


def test_a_rule_that_no_draw_meets_ends_in_a_line(frame):
    rules = ["net > 1000000000 or net < 0 and net > 0 or abs(net) == 77.123"]
    imputer = MIRIImputer("gaussian", rules=rules, random_state=0)
    with pytest.raises(DataError, match=r"of all draws .* 0\.00% met all"):
        imputer.fit(frame).transform(frame.assign(net=np.nan))


def test_draws_of_a_rule_are_conditional_ones():
    """Rejection: of two independent normal numbers, the larger is larger."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((4000, 2)), columns=["a", "b"])
    holes = frame.assign(b=frame["b"].where(frame.index < 3000))
    imputer = MIRIImputer("gaussian", rules=["a <= b"], random_state=0)
    made = imputer.fit_transform(holes)
    new = made.index >= 3000
    a, b = made["a"][new], made["b"][new]
    assert (a <= b).all()
    expected = norm.pdf(a) / norm.sf(a)
    assert abs((b - expected).mean()) < 4 * b.std() / np.sqrt(new.sum())


def _smokers(n=2000, seed=0):
    """Whether one smokes has gaps, and so have pack-years of smokers."""
    rng = np.random.default_rng(seed)
    smoking = rng.choice(["never", "former", "current"], n, p=[0.3, 0.4, 0.3])
    pack = rng.gamma(4, np.where(smoking == "current", 6.0, 4.0)).round(1)
    never = smoking == "never"
    age = np.round(55 + 8 * (smoking == "former") + rng.normal(0, 10, n))
    frame = pd.DataFrame({"smoking": smoking, "pack": pack, "age": age})
    frame = frame.mask(
        (rng.random((n, 3)) < 0.2) & np.array([True, True, False])
    )
    return smoking, frame.assign(pack=frame["pack"].mask(never))


@pytest.mark.parametrize(
    "method",
    [
        "gaussian",
        "chained",
        pytest.param("miri", marks=pytest.mark.slow),
    ],
)
def test_an_empty_cell_tells_of_its_condition(method):
    smoking, frame = _smokers()
    settings = {"chains": 1} if method == "chained" else None
    made = MIRIImputer(
        method,
        settings=settings,
        random_state=0,
        only_if={"pack": "smoking != 'never'"},
    ).fit_transform(frame)
    gaps = frame["smoking"].isna()
    there = gaps & frame["pack"].notna()
    assert there.any() and (made["smoking"][there] != "never").all()
    for level in ("never", "former", "current"):
        true, found = (
            np.mean(x[gaps] == level) for x in (smoking, made["smoking"])
        )
        # Chance in the truth, and in the draw.
        error = np.sqrt(2 * true * (1 - true) / gaps.sum())
        assert abs(found - true) < 3 * error, level
    # Where nothing is there it is what 0.3 and a fifth of 0.7 make it.
    empty = gaps & frame["pack"].isna()
    found = np.mean(made["smoking"][empty] == "never")
    assert abs(found - 0.3 / (0.3 + 0.2 * 0.7)) < 3 * np.sqrt(
        0.44 / empty.sum()
    )


def test_signs_of_conditions_are_saved_and_of_the_row_alone(tmp_path):
    _, frame = _smokers(300)
    imputer = MIRIImputer(
        "gaussian", random_state=0, only_if={"pack": "smoking != 'never'"}
    ).fit(frame)
    made = imputer.transform(frame)
    imputer.save(tmp_path / "model")
    again = MIRIImputer.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.transform(frame), made)
    row = int(np.argmax(frame["smoking"].isna() & frame["pack"].isna()))
    alone = imputer.transform(frame.iloc[[row]])
    pd.testing.assert_frame_equal(alone, made.iloc[[row]])


def test_there_is_no_heap_at_a_limit():
    rng = np.random.default_rng(3)
    z = rng.standard_normal((2, 400))
    frame = pd.DataFrame({"x": np.exp(z[0] + 0.5 * z[1]).round(4), "z": z[0]})
    low = frame["x"] < 0.5
    holes = frame.assign(x=frame["x"].mask(low))
    imputer = MIRIImputer(
        "chained", n_imputations=2, random_state=0, below={"x": 0.5}
    ).fit(holes)
    for draw in imputer.imputations(holes):
        found = draw["x"][low]
        assert found.max() < 0.5
        assert np.mean(found > 0.499) <= 0.01


@pytest.mark.parametrize("method", ["gaussian", "chained"])
def test_numbers_below_a_limit_have_their_distribution(method):
    """A censored lognormal: the mean of what lies below, and its relation."""
    rng = np.random.default_rng(0)
    z, n = rng.standard_normal((2, 1500)), 1500
    x = np.exp(0.7 * z[0] + 0.7 * z[1])
    frame = pd.DataFrame({"x": x.round(4), "z": z[0].round(3)})
    low = frame["x"] < 0.5
    holes = frame.assign(x=frame["x"].where(~low))
    imputer = MIRIImputer(
        method,
        n_imputations=8,
        bootstrap=False,
        below={"x": 0.5},
        random_state=0,
    ).fit(holes)
    draws = [made["x"][low] for made in imputer.imputations(holes)]
    for made in draws:
        assert (made < 0.5).all() and (made > 0).all()
        assert abs(made.mean() / frame["x"][low].mean() - 1) < 0.1
    assert abs(np.mean(draws) / frame["x"][low].mean() - 1) < 0.05
    relation = np.mean(
        [np.corrcoef(np.log(made), frame["z"][low])[0, 1] for made in draws]
    )
    wanted = np.corrcoef(np.log(frame["x"][low]), frame["z"][low])[0, 1]
    assert abs(relation - wanted) < 0.15
    assert n == len(made) + (~low).sum()


def test_gaps_beyond_a_limit_are_drawn_by_a_forest():
    """A fit finds them filled, as it does a column without gaps."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.standard_normal((60, 2)))
    frame = pd.DataFrame(x, columns=["x", "z"])
    frame["x"] = frame["x"].where(frame["x"] > 0.5)
    imputer = MIRIImputer("chained", below={"x": 0.5}, random_state=0)
    chains = np.asarray(imputer.fit(frame).states_[0].chains)
    kept = unpack_chains(chains).kept.chains[0]
    assert [len(kept[column].forest.roots) for column in (0, 1)] == [8, 1]


def test_a_kept_column_need_not_be_one_that_can_be_filled():
    frame = _whole(40).assign(empty=np.nan, number=np.arange(40.0))
    frame.loc[3, ["net", "number"]] = np.nan
    imputer = MIRIImputer(
        "mean", keep=["empty", "number", "pack"], kinds={"number": "id"}
    )
    made = imputer.fit_transform(frame)
    assert made["empty"].isna().all() and made["number"].isna().sum() == 1
    assert made["net"].notna().all()
    assert (made["pack"].isna() == frame["pack"].isna()).all()


@pytest.mark.parametrize(
    "formula", ["density = mass / volume", "mass = density * volume"]
)
def test_of_several_gaps_the_one_that_varies_most_is_computed(formula):
    # The ratio of a drawn mass and a drawn volume would be anything.
    rng = np.random.default_rng(3)
    volume = rng.lognormal(3, 1, 300).round(1)
    density = (2.7 + 0.01 * rng.standard_normal(300)).round(4)
    whole = pd.DataFrame({"density": density, "volume": volume})
    whole["mass"] = (density * volume).round(2)
    if formula.startswith("density"):
        whole["density"] = (whole["mass"] / whole["volume"]).round(4)
    frame = whole.mask(rng.random(whole.shape) < 0.5)
    fitted = MIRIImputer("gaussian", formulas=[formula], random_state=0)
    fitted = fitted.fit(frame)
    with pytest.warns(UserWarning, match="one fit"):
        draws = fitted.imputations(frame, 5)
    assert len(draws) == 5
    known = frame["density"]
    for filled in draws:
        found = filled["density"][known.isna()]
        # A tail beyond the extremes is one of the column's own.
        assert known.min() - 0.02 < found.min()
        assert found.max() < known.max() + 0.02
        given = filled["mass"] / filled["volume"]
        slack = 1e-4 + 0.15 / filled["volume"]
        assert (np.abs(given - filled["density"]) <= slack).all()


def test_gaps_lie_on_numbers_that_their_column_has():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(1, 9, 80), "b": rng.random(80)})
    frame = frame.astype({"a": float}).mask(rng.random((80, 2)) < 0.2)
    gaps = frame["a"].isna()
    fill = lambda **settings: MIRIImputer("gaussian", **settings).fit_transform(
        frame
    )["a"][gaps]
    assert set(fill(gap_bounds={"a": (2.2, 4.8)})) <= {3, 4}
    assert set(fill(gap_bounds={"a": (2, 2)})) == {2}
    frame["a"] /= 10  # whose multiples of .1 are not all exact
    assert set(fill(gap_bounds={"a": (0.3, 0.3)})) == {0.3}
    assert set(fill(gap_bounds={"a": (0.25, 0.7)})) <= {0.3, 0.4, 0.5, 0.6, 0.7}
    frame["a"] = (10 * frame["a"]).round()
    with pytest.raises(DataError, match="no whole number lies between 2.2 and"):
        fill(gap_bounds={"a": (2.2, 2.8)})
    with pytest.raises(DataError, match="no whole number lies between 5 and 1"):
        fill(gap_bounds={"a": (5, 9)}, below={"a": 2})


def test_a_formula_that_gives_no_number_is_told_as_such():
    a, b = np.arange(40) % 7 + 1.0, np.arange(40) % 4 * 1.0
    with np.errstate(divide="ignore"):
        c = np.where(b > 0, a / b, np.nan).round(3)
    frame = pd.DataFrame({"a": a, "b": b, "c": c})
    with pytest.raises(DataError, match="gives no number in 10 row"):
        MIRIImputer("mean", formulas=["c = a / b"]).fit_transform(frame)
    settings = {"formulas": ["c = a / b"], "only_if": ["c: b != 0"]}
    filled = MIRIImputer("mean", **settings).fit_transform(frame)
    assert filled["c"].isna().sum() == 10
