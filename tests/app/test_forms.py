"""Files as people have them, through the command."""

import pandas as pd
import pytest

from miri_jax.app import filling, impute
from tests.command import Command


def _config(*words):
    given = impute.make_parser().parse_args(["in.csv", "out.csv", *words])
    return filling.make_config(given)


@pytest.mark.parametrize(
    "words, marks",
    [
        (["--na", "-99"], ("-99",)),
        (["--na", "-99,999"], ("-99", "999")),
        (["--na=-99,999"], ("-99", "999")),
        (["--na", "bmi=-99,-98"], ("bmi=-99", "bmi=-98")),
        (["--na", "?", "--na", "bmi=-99", "--na=-"], ("?", "bmi=-99", "-")),
        (["--na", "k="], ("k=",)),
    ],
)
def test_marks_of_missing_are_given_for_all_columns_or_one(words, marks):
    known = _config().data.na_values
    assert _config(*words).data.na_values == (*known, *marks)


def test_a_file_from_a_spreadsheet_comes_back_as_it_was(tmp_path):
    """And the lines say what was found, with the flag that settles it."""
    rows = ["Straße;Preis;Tag", "Köln;1.234,50 €;05.03.2021"]
    rows += [
        "Würzburg;;06.04.2021",
        "München;12,25 €;",
        "N/A;-99,00 €;7.5.2021",
    ]
    rows += [f"Köln;{k},00 €;08.05.2021" for k in range(200, 212)]
    rows += ["München;-99,00 €;08.05.2021"]
    content = "Export\r\n\r\n" + "\r\n".join(rows)
    (tmp_path / "in.csv").write_bytes(content.encode("cp1252"))
    words = ["in.csv", "out.csv", "--method", "mean"]
    code, _, err = Command("miri_jax.app.impute", *words, cwd=tmp_path).end()
    assert code == 0, err
    assert "--encoding cp1252" in err and "--sep ';'" in err
    assert "--na Preis=-99" in err and "holds -99 in 2 cells" in err
    back = (tmp_path / "out.csv").read_bytes().decode("cp1252").split("\r\n")
    assert back[:4] == ["Export", "", *rows[:2]] and back[7:] == rows[5:]
    assert back[4].startswith("Würzburg;") and back[4].endswith(
        ",00 €;06.04.2021"[3:]
    )
    assert back[4].count(" €") == 1
    town, price, day = back[6].split(";")
    assert town == "Köln" and (price, day) == ("-99,00 €", "7.5.2021")


def test_flags_of_text_files_reach_the_reader(tmp_path):
    content = "skip;me\nand;me\na|x\n'1,5'|01/02/2021\n'2,5'|03/04/2021\n|\n"
    (tmp_path / "in.csv").write_bytes(content.replace("'", "").encode("utf-16"))
    words = ["in.csv", "out.csv", "--method", "mean", "--sep", "|"]
    words += ["--skip-rows", "2", "--decimal", ",", "--dates", "dmy"]
    words += ["--encoding", "utf-16"]
    code, _, err = Command("miri_jax.app.impute", *words, cwd=tmp_path).end()
    assert code == 0, err
    back = (tmp_path / "out.csv").read_bytes().decode("utf-16").splitlines()
    assert back[:5] == content.replace("'", "").splitlines()[:5]
    assert back[5] == "2,0|04/03/2021"


@pytest.mark.parametrize("ending", ["parquet", "tsv"])
def test_another_ending_takes_the_values(tmp_path, ending):
    rows = ["x;day;k", "1.234,5;05.03.2021;ä", ";06.03.2015;b", "2,25;;"]
    (tmp_path / "in.csv").write_text("\n".join(rows), "cp1252")
    given = impute.make_parser().parse_args(
        [
            str(tmp_path / "in.csv"),
            str(tmp_path / f"out.{ending}"),
            *("--method", "mean"),
        ]
    )
    impute.impute(given)
    if ending == "parquet":
        found = pd.read_parquet(tmp_path / "out.parquet")
        assert found["x"].iloc[[0, 2]].tolist() == [1234.5, 2.25]
        assert str(found["day"].iloc[0]) == "2021-03-05 00:00:00"
    else:
        found = pd.read_csv(tmp_path / "out.tsv", sep="\t", dtype=str)
        assert found["x"].iloc[0] == "1.234,5" and found.notna().all(axis=None)
