"""Each column has a section, that tells what is there and no more."""

import re

import numpy as np
import pandas as pd
import pytest

from miri_jax.relations import state
from miri_jax.report import drawing, facts, scales, sections
from miri_jax.report.partners import partners_of
from miri_jax.report.text import full_name
from tests.report.making import (
    ParsedPage,
    make_dataset,
    make_draws,
    make_view,
    words_of,
    write_page,
)


@pytest.fixture(scope="module")
def smokers():
    """Pack-years of smokers; two draws that differ in who smokes."""
    rng = np.random.default_rng(0)
    n = 300
    smoking = rng.choice(["never", "former", "current"], n)
    years = np.where(smoking == "never", np.nan, rng.gamma(4, 5, n).round(1))
    frame = pd.DataFrame(
        {"smoking": smoking, "years": years, "age": rng.integers(20, 80, n)}
    )
    missing = np.zeros(frame.shape, bool)
    missing[::5, 0] = True
    missing[:, 1] = np.isnan(years) | (rng.random(n) < 0.2)
    frame.loc[missing[:, 0], "smoking"] = None
    relations = state(
        list(frame.columns), only_if=["years: smoking != 'never'"]
    )
    dataset = make_dataset(frame, missing, relations=relations)
    return dataset, make_draws(dataset, 2)


def test_cells_that_stay_empty_are_in_no_number(smokers):
    dataset, draws = smokers
    view = facts.views_of_file(dataset, draws)[1]
    levels = facts.views_of_file(dataset, draws)[0]
    gaps = view.missing
    for k in range(2):
        never = np.zeros(len(gaps), bool)
        never[~levels.missing] = levels.observed == levels.levels.index("never")
        never[levels.missing] = levels.imputed[k] == levels.levels.index(
            "never"
        )
        np.testing.assert_array_equal(view.empty[k], never[gaps])
        assert len(view.filled(k)) == (gaps & ~never).sum()
    assert len(view.filled()) == sum(len(view.filled(k)) for k in range(2))
    assert view.always().shape == (2, (~view.empty.any(axis=0)).sum())
    # What is drawn where nothing is written changes nothing that is told.
    changed = view._replace(imputed=np.where(view.empty, 1e6, view.imputed))
    assert facts.difference(changed) == facts.difference(view)
    assert facts.draw_spread(changed) == facts.draw_spread(view)
    assert facts.draws_agree(changed) == facts.draws_agree(view)


def test_cells_that_stay_empty_are_told_and_not_drawn(smokers, tmp_path):
    dataset, draws = smokers
    views = facts.views_of_file(dataset, draws)
    page = write_page(tmp_path, dataset, draws)
    words = words_of(page)
    counts = sorted(views[1].empty.sum(axis=1))
    gaps = views[1].missing.sum()
    assert f"{counts[0]} to {counts[1]} of its {gaps} gaps stay empty" in words
    assert "stay empty" in re.search("<thead>.*?</thead>", page, re.S)[0]
    wrong = [np.where(np.isfinite(x), x, x) for x in draws]
    column = dataset.table.columns[1]
    at = sum(c.width for c in dataset.table.columns[:1])
    assert column.width == 1
    for k, x in enumerate(wrong):
        rows = np.flatnonzero(views[1].missing)[views[1].empty[k]]
        x[rows, at] = x[:, at].max()
    again = write_page(tmp_path, dataset, wrong)
    cut = lambda text: text[text.index('id="column-2"') :]
    both = [cut(p).split("</details>")[0] for p in (page, again)]
    assert both[0] == both[1]


def test_every_column_of_many_is_there_and_the_page_is_small(tmp_path):
    rng = np.random.default_rng(0)
    n, c = 150, 200
    base = rng.normal(size=(n, 1))
    frame = pd.DataFrame(3 * base + rng.lognormal(size=(n, c)))
    frame = frame.rename(columns=lambda k: f"the temperature of sensor {k} in")
    for k in range(0, c, 4):
        levels = [f"level {j} of a column" for j in range(40)]
        frame.isetitem(k, rng.choice(levels, n))
    # Too few gaps for the classifiers, which take their time.
    dataset = make_dataset(frame, rng.random(frame.shape) < 0.1)
    page = write_page(tmp_path, dataset, make_draws(dataset, 5))
    assert ParsedPage(page).open == []
    assert len(page.encode()) < 3_000_000
    assert page.count('class="guess"') > 100
    assert len(re.findall("<details class=.column.", page)) == c
    words = words_of(page)
    for k, name in enumerate(frame.columns, 1):
        assert f'<a href="#column-{k}">{name}</a>' in page
        assert f'id="column-{k}"' in page
        assert words.count(name) >= 2


SKEWED = {
    "log-normal": lambda r: r.lognormal(3, 2.5, 900),
    "a heap of zeros": lambda r: np.where(
        r.random(900) < 0.9, 0, r.lognormal(7, 1, 900)
    ),
    "few far away": lambda r: np.append(r.normal(size=890), [1e6] * 10),
    "negative and skewed": lambda r: -r.lognormal(3, 2.5, 900),
    "both sides": lambda r: r.standard_cauchy(900) ** 3,
    "whole numbers": lambda r: np.floor(r.lognormal(2, 2, 900)),
}


@pytest.mark.parametrize("name", SKEWED)
def test_no_skewed_column_is_one_bar(name):
    values = SKEWED[name](np.random.default_rng(0))
    unit = 1.0 if name == "whole numbers" else 0.0
    view = make_view(values, values[::9], unit=unit)
    (section,) = sections.sections_of(
        [view], [_plan(view)], partners_of([view]), "m", {1: []}
    )
    heaps = [float(bar.name) for bar in section.bars]
    rest = values[~np.isin(values, heaps)]
    assert section.picture is not None and len(rest) > 50
    scale = scales.scale_of(rest)
    edges = scales.edges_of(scale, unit, 30)
    counts = np.histogram(rest, edges)[0]
    assert counts.sum() == len(rest)
    assert counts.max() < 0.55 * len(rest)
    places = scale.place(edges)
    assert np.all(np.diff(places) > 0.3 / 30)


def _plan(view):
    from miri_jax.data.plans import Plan

    gaps = int(view.missing.sum())
    return Plan(view.name, view.kind, "", "", gaps, gaps, 0, 0, False)


def test_a_scale_gives_back_what_was_put_on_it():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=99), rng.lognormal(0, 3, 99), [2.0, 2.0]):
        values = np.asarray(values)
        scale = scales.scale_of(values)
        places = scale.place(values)
        assert places.min() >= 0 and places.max() <= 1
        np.testing.assert_allclose(scale.value(places), values, rtol=1e-6)
        order = np.argsort(values)
        assert np.all(np.diff(places[order]) >= 0)


def test_partners_are_found_and_chance_is_none():
    rng = np.random.default_rng(0)
    n = 1500
    a = rng.normal(size=n)
    town = np.where(a > 0.5, 0.0, np.where(rng.random(n) < 0.5, 1.0, 2.0))
    columns = {
        "a": (a, None),
        "minus a": (-(a**3), None),
        "town": (town, ("x", "y", "z")),
        "noise": (rng.normal(size=n), None),
    }
    views = []
    for k, (name, (x, levels)) in enumerate(columns.items(), 1):
        gone = rng.random(n) < 0.2
        if name == "noise":
            gone = rng.random(n) < 1 / (1 + np.exp(-2 * a))
        views.append(
            facts.View(
                k,
                name,
                "real" if levels is None else "categorical",
                gone,
                x[~gone],
                x[gone][None],
                levels,
            )
        )
    found = partners_of(views)
    one = found.of_values[1]
    assert one.view.name == "minus a" and one.correlation < -0.95
    assert found.of_values[3].view.name in ("a", "minus a")
    assert found.of_values[4] is None
    assert found.of_gaps[4].view.name in ("a", "minus a")
    assert abs(found.of_gaps[4].correlation) > 0.4
    assert [found.of_gaps[k] for k in (1, 2, 3)] == [None] * 3
    groups = sections.groups_of(views[3], views[0])
    shares = [group.missing for group in groups]
    assert shares == sorted(shares) and shares[-1] > 0.8 and len(groups) == 5
    assert sum(group.rows for group in groups) == len(views[0].observed)


def test_shares_of_bars_are_those_of_the_cells():
    view = make_view([0, 0, 0, 1], [[0, 1], [1, 1]], ("x", "y"))
    x, y = sections.bars_of(view, np.array([0, 1]), ["x", "y"])
    assert (x.observed, x.imputed, x.low, x.high) == (0.75, 0.25, 0.0, 0.5)
    assert (y.observed, y.imputed, y.low, y.high) == (0.25, 0.75, 0.5, 1.0)


def test_of_many_draws_a_band_is_drawn():
    rng = np.random.default_rng(0)
    view = make_view(rng.normal(size=200), rng.normal(size=(20, 90)))
    many = drawing.histogram(view, view.observed, list(view.imputed), 30)
    assert len(many.draws) == 1 and many.band.endswith("Z")
    few = drawing.histogram(view, view.observed, list(view.imputed[:5]), 30)
    assert len(few.draws) == 5 and not few.band


def test_no_two_names_become_one():
    views = [
        make_view([], [])._replace(number=k, name="x" * 999 + part + "y" * 999)
        for k, part in enumerate(("one", "two"), 1)
    ]
    assert full_name(views[0]) != full_name(views[1])
    name = "the mean monthly temperature at the station in the north, 2 m"
    assert full_name(make_view([], [], name=name)) == name


def test_the_page_opens_with_whether_the_table_can_be_used(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    missing = rng.random(frame.shape) < 0.2
    missing[missing.all(axis=1)] = False
    dataset = make_dataset(frame, missing)
    draws = make_draws(dataset, 2)
    words = words_of(write_page(tmp_path, dataset, draws, notes=[]))
    assert "As far as can be seen, yes." in words
    assert "was not tried" in words
    facts_of_run = {
        "notes": ["a note"],
        "filling": ["Something was lost."],
        "input": "in <1>.csv",
        "seed": 7,
        "command": "miri-impute 'in <1>.csv' out.csv",
        "finished": "2026-01-02 03:04 UTC",
    }
    page = write_page(tmp_path, dataset, draws, **facts_of_run)
    words = words_of(page)
    assert "Not before you have read the 1 point below" in words
    assert "also 1 note" in words and "yes" not in words
    assert words.index("Can I use this table?") < words.index("Something was")
    assert words.index("a note") < words.index("taken for")
    for shown in ("in <1>.csv", "seed 7", "miri-impute", "03:04 UTC"):
        assert shown in words
    assert "<1>" not in page
    for said in (page, words):
        assert "Nothing stands out" not in said


@pytest.mark.parametrize(
    "first, last, texts",
    [
        ("2016-01-27", "2024-03-18", ["2018", "2020", "2022", "2024"]),
        ("2020-01-01", "2020-07-01", ["2020-01", "2020-04", "2020-07"]),
        (
            *("2024-03-01", "2024-03-21"),
            ["2024-03-07", "2024-03-14", "2024-03-21"],
        ),
        (
            *("2024-03-01T13:00", "2024-03-02T07:00"),
            ["18:00", "2024-03-02", "06:00"],
        ),
    ],
)
def test_an_axis_of_times_has_round_ones(first, last, texts):
    ends = [float(np.datetime64(x, "s").astype(int)) for x in (first, last)]
    values = np.linspace(*ends, 50)
    view = make_view(values, values[:5], kind="datetime", unit=1.0)
    ticks = scales.ticks_of(view, scales.scale_of(values))
    assert [text for _, text in ticks] == texts
    at = [place for place, _ in ticks]
    assert 0 <= min(at) and max(at) <= 1 and at == sorted(at)


def test_bars_of_a_complete_column_are_of_observed_cells_only(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"whole": rng.choice(["x", "y"], 80), "gaps": rng.normal(size=80)}
    )
    missing = np.zeros(frame.shape, bool)
    missing[::4, 1] = True
    dataset = make_dataset(frame, missing)
    page = write_page(tmp_path, dataset, make_draws(dataset, 2))
    part = page.split('id="column-1"')[1].split('id="column-2"')[0]
    share = (frame["whole"] == "x").mean()
    assert f"{share:.1%}" in part and "<br>" not in part
    # The largest share fills the place of a bar.
    assert part.count('class="observed" style="width:100.0%"') == 1
    assert 'class="imputed"' not in part


@pytest.mark.parametrize(("gaps", "told"), [(80, 2), (4, 1)])
def test_shares_of_too_few_imputed_cells_are_left_out(gaps, told):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 300)
    y = np.where(rng.random(300) < 0.9, x, 1 - x)
    frame = pd.DataFrame(
        {"x": np.array(["a", "b"])[x], "y": np.array(["no", "yes"])[y]}
    )
    missing = np.zeros(frame.shape, bool)
    missing[:gaps, 1] = True
    dataset = make_dataset(frame, missing)
    views = facts.views_of_file(dataset, make_draws(dataset, 2))
    names, lines = sections._crossed(views[1], views[0])
    assert len(names) == len(lines) == 2
    assert {len(share) for _, shares in lines for share in shares} == {told}
