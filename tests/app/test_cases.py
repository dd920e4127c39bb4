"""Small tables of the kinds that people bring: what each comes to."""

import re

import numpy as np
import pandas as pd
import pytest

from miri_jax.app import impute
from miri_jax.data.readers import read_table
from miri_jax.data.tables import settle_table
from miri_jax.data.writers import write_table
from miri_jax.exceptions import DataError

RNG = np.random.default_rng(0)
N = 40
TEMP = [f"{x:.2f}" for x in RNG.normal(20, 3, N)]
LOAD = [f"{x:.1f}" for x in RNG.normal(900, 400, N)]
DAYS = [f"{d:02d}.{m:02d}.2021" for d, m in zip([*range(1, 29)] * 2, [3] * N)]
TENS = [f"2024-01-01 {k // 6:02d}:{k % 6}0" for k in range(N)]
SPEND = [cell if float(cell) > 900 else "0" for cell in LOAD]
LIKERT = ["disagree", "neutral", "agree"]
OPEN = [k for k in range(N) if k % 4 == 2]


def _gap(cells, mark=""):
    return [mark if k in OPEN else cell for k, cell in enumerate(cells)]


def _file(columns, sep=",", *, quote=False, end="\n"):
    rows = [list(columns), *zip(*columns.values())]
    shown = (
        [f'"{x}"' if quote or sep in str(x) else str(x) for x in row]
        for row in rows
    )
    return end.join(map(sep.join, shown)) + end


def _comma(cells):
    return [cell.replace(".", ",") for cell in cells]


def _at_four(days):
    return [f"2021-03-{day[:2]}T04:00:00+02:00" for day in days]


def _thousands(cells):
    return [f"{float(cell) * 111.11:,.2f}" for cell in cells]


# Of each kind: its text, the kinds of its columns, and what a filled cell of
# the column `y` looks like.
CASES = {
    "decimal commas and semicolons": (
        _file({"x": _comma(TEMP), "y": _gap(_comma(LOAD))}, ";"),
        {"x": "real", "y": "real"},
        r"\d+,\d",
    ),
    "points and semicolons": (
        _file({"x": TEMP, "y": _gap(LOAD)}, ";"),
        {"x": "real", "y": "real"},
        r"\d+\.\d",
    ),
    "quoted decimal commas": (
        _file({"x": _comma(TEMP), "y": _gap(_comma(LOAD))}, quote=True),
        {"x": "real", "y": "real"},
        r'"\d+,\d"',
    ),
    "tabs in a .csv": (
        _file({"x": _comma(TEMP), "y": _gap(_comma(LOAD))}, "\t"),
        {"x": "real", "y": "real"},
        r"\d+,\d",
    ),
    "money": (
        _file({"x": TEMP, "y": _gap([f"${c}" for c in _thousands(LOAD)])}),
        {"x": "real", "y": "real"},
        r'"\$[\d,]+\.\d\d"',
    ),
    "per cent": (
        _file({"x": TEMP, "y": _gap([f"{k / 10}%" for k in range(N)])}),
        {"x": "real", "y": "real"},
        r"\d\.\d%",
    ),
    **{
        f"marked {mark}": (
            _file({"x": TEMP, "y": _gap(LOAD, mark)}),
            {"x": "real", "y": "real"},
            r"\d+\.\d",
        )
        for mark in ("N/A", "#N/A", "-", ".", "NULL", "?")
    },
    "marked text": (
        _file({"x": TEMP, "y": _gap(["I", "II"] * N, "#N/A")}),
        {"x": "real", "y": "categorical"},
        "I|II",
    ),
    "days first": (
        _file({"x": DAYS, "y": _gap(DAYS)}),
        {"x": "datetime", "y": "datetime"},
        r"\d\d\.03\.2021",
    ),
    "months first": (
        _file({"y": _gap([f"{d[3:5]}/{d[:2]}/2021" for d in DAYS]), "x": TEMP}),
        {"y": "datetime", "x": "real"},
        r"03/\d\d/2021",
    ),
    "offsets": (
        _file(
            {
                "x": TEMP,
                "y": _gap([f"2021-03-{d[:2]}T04:00:00+02:00" for d in DAYS]),
            }
        ),
        {"x": "real", "y": "datetime"},
        r"2021-03-\d\dT04:00:00\+02:00",
    ),
    "a questionnaire": (
        _file({"x": [1 + k % 5 for k in range(N)], "y": _gap(LIKERT * N)}),
        {"x": "integer", "y": "categorical"},
        "|".join(LIKERT),
    ),
    "sensors": (
        _file(
            {
                "y": _gap(
                    [f"2024-01-01 {k // 6:02d}:{k % 6}0" for k in range(N)]
                ),
                "x": TEMP,
            }
        ),
        {"y": "datetime", "x": "real"},
        r"2024-01-01 0\d:\d0",
    ),
    "many zeros": (
        _file(
            {"x": TEMP, "y": _gap([c if float(c) > 900 else "0" for c in LOAD])}
        ),
        {"x": "real", "y": "real"},
        r"\d+\.\d",
    ),
    "an index": (
        _file({"": range(N), "x": TEMP, "y": _gap(LOAD)}),
        {"x": "real", "y": "real"},
        r"\d+\.\d",
    ),
    "separators at the end": (
        _file({"x": TEMP, "y": _gap(LOAD), "": [""] * N}),
        {"x": "real", "y": "real"},
        r"\d+\.\d",
    ),
    "titles": (
        "Station 7\nMade 2024-01-02\n\n" + _file({"x": TEMP, "y": _gap(LOAD)}),
        {"x": "real", "y": "real"},
        r"\d+\.\d",
    ),
    "units": (
        _file({"x": ["degC", *TEMP[1:]], "y": ["mm", *_gap(LOAD)[1:]]}),
        {"x": "real", "y": "real"},
        r"\d+\.\d",
    ),
    "codes": (
        _file({"x": TEMP, "y": _gap([10117, 80331, 50667, 20095] * N)}),
        {"x": "real", "y": "integer"},
        "10117|80331|50667|20095",
    ),
    "codes with zeros": (
        _file({"x": TEMP, "y": _gap(["01067", "80331", "04109"] * N)}),
        {"x": "real", "y": "categorical"},
        "01067|80331|04109",
    ),
    "notes": (
        _file({"x": _gap(TEMP), "y": _gap([f"letter {k}" for k in range(N)])}),
        {"x": "real", "y": "id"},
        "",
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("name", CASES)
def test_what_people_bring_is_read_and_only_gaps_change(
    tmp_path, name, encoding
):
    text, kinds, filled = CASES[name]
    text = text.replace("x", "Straße", 1) if encoding != "utf-8" else text
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes(text.encode(encoding))
    table = read_table(str(path))
    found = {str(c.name).replace("Straße", "x"): c.kind for c in table.columns}
    assert found == kinds
    means = table.values.sum(axis=0) / table.m.sum(axis=0)
    values = np.where(table.m, table.values, means)
    write_table(str(out), table, settle_table(table, values))
    back = out.read_bytes()
    assert back[:2] == path.read_bytes()[:2]
    lines = zip(text.splitlines(), back.decode(encoding).splitlines())
    gaps = table.missing[:, list(kinds).index("y")]
    changed = 0
    for before, after in lines:
        if before != after:
            changed += 1
            ends = re.escape(before.rstrip(",;\t\n?.-#N/AUL").rstrip('"'))
            start = re.escape(before.lstrip(",;\t\n?.-#N/AUL").lstrip('"'))
            either = f"{ends}.*({filled}).*|({filled}).*{start}"
            assert re.fullmatch(either, after), (before, after)
    assert changed == (gaps.sum() or len(OPEN)) and changed >= len(OPEN) - 1


def test_limits_of_an_assay_are_named_with_their_remedy(tmp_path):
    cells = [c if float(c) > 700 else "<700" for c in LOAD]
    (tmp_path / "in.csv").write_text(_file({"x": TEMP, "y": cells}))
    with pytest.raises(DataError, match="holds limits .'<700' in") as error:
        read_table(str(tmp_path / "in.csv"))
    assert error.value.about == ("na_values", "below", "id")
    words = [str(tmp_path / f"{x}.csv") for x in ("in", "out")]
    words += ["--na", "y=<700", "--below", "y=700", "--method", "mean"]
    impute.impute(impute.make_parser().parse_args(words))
    filled = pd.read_csv(tmp_path / "out.csv")["y"]
    assert (filled[[c == "<700" for c in cells]] < 700).all()
    kept = read_table(str(tmp_path / "in.csv"), kinds={"y": "id"})
    assert kept.columns[1].kind == "id"


def _impute(tmp_path, frame, *words):
    frame.to_csv(tmp_path / "in.csv", index=False)
    paths = [str(tmp_path / f"{x}.csv") for x in ("in", "out")]
    words = [*paths, "--method", "chained", *words]
    impute.impute(impute.make_parser().parse_args(words))
    return pd.read_csv(tmp_path / "out.csv")


def test_totals_of_a_questionnaire_are_those_of_its_answers(tmp_path):
    rng, n = np.random.default_rng(1), 300
    mood = rng.normal(size=(n, 1))
    bins = [-1.2, -0.4, 0.4, 1.2]
    answers = np.digitize(mood + 0.6 * rng.normal(size=(n, 5)), bins) + 1
    frame = pd.DataFrame(answers, columns=[f"q{k}" for k in range(2, 7)])
    frame.insert(0, "q1", np.array([*LIKERT])[np.digitize(mood[:, 0], [-1, 1])])
    frame["total"] = answers.sum(axis=1)
    gaps = rng.random(frame.shape) < 0.15
    filled = _impute(tmp_path, frame.astype(object).mask(gaps))
    assert (filled == frame).to_numpy()[~gaps].all()
    items = filled[[f"q{k}" for k in range(2, 7)]]
    assert set(np.unique(items)) == {1, 2, 3, 4, 5}
    assert set(filled["q1"]) == set(LIKERT)
    assert (filled["total"] == items.sum(axis=1)).all()
    # Words tell of the answers: those filled go with them as the others do.
    means = items.mean(axis=1).groupby(filled["q1"]).mean()
    assert means["disagree"] + 1 < means["neutral"] < means["agree"] - 1
    assert means[LIKERT].to_numpy() == pytest.approx(
        frame.filter(regex="q[2-6]")
        .mean(axis=1)
        .groupby(frame["q1"])
        .mean()[LIKERT]
        .to_numpy(),
        abs=0.15,
    )


def test_zeros_stay_where_nothing_was_counted(tmp_path):
    """The mean of the filled cells was a quarter too small."""
    rng, n = np.random.default_rng(2), 600
    x = rng.normal(size=n)
    visits = rng.poisson(np.exp(0.6 + 0.6 * x))
    spend = (visits * rng.lognormal(2.5, 0.6, n)).round(2)
    frame = pd.DataFrame({"x": x.round(3), "visits": visits, "spend": spend})
    gaps = rng.random(n) < 1 / (1 + np.exp(-x))
    filled = _impute(tmp_path, frame.assign(spend=frame["spend"].mask(gaps)))
    assert (filled["spend"] >= 0).all()
    new, true = filled["spend"][gaps], frame["spend"][gaps]
    assert abs((new == 0).mean() - (true == 0).mean()) < 0.05
    assert abs(new.mean() / true.mean() - 1) < 0.15
    nothing = gaps & (visits == 0)
    assert (filled["spend"][nothing] == 0).mean() > 0.8
    assert (filled["spend"][gaps & (visits > 0)] > 0).mean() > 0.9
