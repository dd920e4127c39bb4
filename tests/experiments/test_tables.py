"""The record's tables: of known lines, and those that the pages have."""

import json
import pathlib

import pytest

from experiments import benchmark, generation, measured, records, tables

ROOT = pathlib.Path(tables.__file__).parents[1]


def _row(method, seed, mmd, name="wine", **more):
    return {
        "dataset": name,
        "mechanism": "mcar",
        "rate": 0.6,
        "mask_seed": seed,
        "method": method,
        "draws": 10,
        "mmd": mmd,
        "rmse_mean": 2 * mmd,
        "settings": {},
        **more,
    }


@pytest.fixture
def results(tmp_path):
    """A folder with the lines that it is called with."""

    def write(rows, name="benchmark.jsonl"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / name).write_text(text)
        return tmp_path

    return write


def test_tables_of_known_lines(results):
    bare = _row("r-pmm", 1, 0.001)
    del bare["settings"]
    folder = results(
        [
            _row("mice", 1, 0.04),
            _row("miri", 1, 0.9),  # an older line of the same cell
            _row("miri", 1, 0.02),
            _row("miri", 1, 0.8, draws=5),
            _row("miri", 2, 0.04),
            _row("mice", 2, 0.06),
            _row("mice", 1, 0.01, "gas"),
            _row("miri", 1, 0.03, "gas"),
            _row("gain", 1, 0.5, error="no"),
            bare,
        ]
    )
    expected = """\
**60 % MCAR, MMD of a draw**

|  | wine | rank |
|---|---|---|
| `miri` | **0.0300 (0.0100)** | 1.0 |
| `mice` | 0.0500 (0.0100) | 2.0 |

`miri` is first on 1 of 1."""
    large = """**60 % MCAR, large tables, MMD of a draw**

|  | gas | rank |
|---|---|---|
| `miri` | 0.0300 | 2.0 |
| `mice` | **0.0100** | 1.0 |

`miri` is first on 0 of 1; behind on gas (mice)."""
    text = tables.BLOCKS["uci"](folder)
    assert expected in text and large in text
    failed = "- `gain` on wine, 60 % MCAR, mask 1: no"
    assert tables.BLOCKS["failures"](folder) == failed


def test_level_is_within_a_deviation(results):
    rows = [_row("miri", 1, 0.02), _row("miri", 2, 0.04)]
    rows += [_row("mice", 1, 0.02), _row("mice", 2, 0.03)]
    text = tables.first_or_level(tables.by_cell(rows), "mcar", 0.6, "mmd")
    assert text == (
        "first on 0 of 1, level within a deviation over its masks on 1"
    )


def test_the_standing_has_ranks_of_what_was_run_everywhere(results):
    rows = [
        _row(method, 1, mmd, name)
        for method, each in {
            "miri": (0.1, 0.4),
            "gaussian": (0.2, 0.1),
            "mice": (0.3, 0.2),
            "gain": (0.4, 0.3),
        }.items()
        for name, mmd in zip(("wine", "energy"), each)
    ]
    rows.append(_row("r-cart", 1, 0.05, "energy"))
    found = tables.by_cell(rows)
    assert tables.standing(found, "mcar", 0.6, "mmd") == (
        "first on 1 of 2; mean rank 2.5 of 4, next `mice` 2.5"
    )
    assert tables.ranks(found, "mcar", 0.6, "mmd")["gaussian"] == 1.5
    assert "first on 1 of 2; mean rank" in tables.firsts(results(rows))
    # Where a method failed it is last.
    rows.append(_row("r-cart", 1, 0.0, error="no"))
    found = tables.by_cell(rows)
    assert tables.ranks(found, "mcar", 0.6, "mmd")["r-cart"] == 3.0
    assert "of 5, next `r-cart` and `mice` 3.0" in tables.standing(
        found, "mcar", 0.6, "mmd"
    )


def test_images_and_curves_of_known_lines(results):
    image = {"settings": {}, "psnr": 27.9, "ssim": 0.93, "swd": 5.0}
    one = image | {"method": "miri, mean of 8", "rate": 0.6}
    apart = one | {"psnr": 30.0, "per_channel": True}
    old = one | {"psnr": 1.0}
    folder = results([old, one, apart], "images.jsonl")
    text = tables.BLOCKS["images-channels"](folder)
    assert "| `miri, mean of 8` | 30.00 | 0.930 | 5.0 |" in text
    assert "theirs" not in text
    text = tables.images(folder)
    assert "| `miri, mean of 8` | 27.90 | 0.930 | 5.0 |" in text
    assert "| *MIRI, theirs* | *23.22* | *0.806* |  |" in text
    errors = {"rmse": 0.5, "mae": 0.25}
    line = {
        "dataset": "magic",
        "mechanism": "mcar",
        "rate": 0.3,
        "rows": 2000,
        "method": "diffputer",
        "settings": {},
        "in_sample": errors,
        "out_of_sample": errors,
        "seconds_fit": 3.0,
        "seconds_in_sample": 4.0,
    }
    short = line | {"method": "diffputer:num_iterations=1", "seconds_fit": 1.0}
    whole = line | {"rows": 100_000, "in_sample": {"rmse": 0.4}}
    folder = results([line, short, whole], "mixed.jsonl")
    numbers = "0.250 | 0.500 | 0.250 | 0.500"
    text = tables.BLOCKS["diffputer-curves"](folder)
    assert f"| magic | `num_iterations=1` | {numbers} | 5 |" in text
    assert f"| magic | `num_iterations=5` | {numbers} | 7 |" in text
    text = tables.BLOCKS["diffputer"](folder)
    assert "num_iterations" not in text
    first, _, whole, _ = text.split("**MCAR, ")[1:]
    assert first.startswith("2000 rows, in-sample: RMSE**")
    assert "| `diffputer` | 0.500 |" in first
    assert whole.startswith("all rows, in-sample: RMSE**")
    assert "| `diffputer` | 0.400 |" in whole


def test_generation_of_known_lines(results):
    one = {"accuracy": 0.8, "f1": 0.25, "weighted_f1": 0.5, "auroc": 0.75}
    by = {name: one for name in generation.CLASSIFIERS}
    by["boosting"] = one | {"accuracy": 0.9}
    mean = one | {"accuracy": 0.816}
    of = {"mechanism": "mar", "rate": 0.2, "mask_seed": 1, "settings": {}}
    line = {"method": "missdiff", "sdmetrics": 0.8, **of}
    adult = line | {"dataset": "adult", "by": by, **mean}
    rows = [
        adult | {"sdmetrics": 0.1},  # an older line of the same cell
        adult,
        adult | {"mask_seed": 2, "sdmetrics": 0.9},
        line | {"dataset": "network", "by": by, **mean},
        line | {"dataset": "network", "by": by, **mean, "rate": 0.4},
    ]
    number = {"rmse": 0.75, "r2": 0.4375}
    number |= {"by": {"boosting": {"rmse": 0.5, "r2": 0.75}}}
    rows.append(line | {"dataset": "california", **number})
    folder = results(rows, "generation.jsonl")
    text = tables.BLOCKS["generation"](folder)
    shares = "85.0 (5.0) | 90.0 (0.0) | 0.250 (0.000) | 0.500 (0.000)"
    assert f"| adult | 20 % MAR | `missdiff` | {shares} |" in text
    theirs = "*77.45* | *79.95* | *0.346* | *0.473* | *0.833* |"
    assert f"| adult | 20 % MAR | *missdiff, theirs* | {theirs}" in text
    assert "| california | 20 % MAR | `missdiff` | 80.0 | 0.500 | 0.750 |" in (
        text
    )
    assert "network" not in text
    each = " | ".join(["80.0 (0.0)"] * 5 + ["90.0 (0.0)"])
    text = tables.BLOCKS["generation-models"](folder)
    assert f"| 20 % MAR | `missdiff` | {each} |" in text
    text = tables.BLOCKS["generation-rates"](folder)
    assert "| MAR | `missdiff` | 80.0 | 80.0 |" in text


def test_the_plan_counts_what_was_run(results):
    folder = results([_row("miri", 1, 0.1), _row("miri", 2, 0.1, draws=20)])
    lines = tables.BLOCKS["plan"](folder).splitlines()
    (fig2,) = (line for line in lines if line.startswith("| Fig. 2, small"))
    assert fig2.startswith("| Fig. 2, small: 60 % MCAR | 6 x 3 | 2 | 0 |")
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 1 + len(benchmark.BLOCKS)
    assert any(line.startswith("- HyperImpute, ") for line in lines)


def test_a_table_beside_the_papers_own(results):
    one = _row("miri_paper", 1, 0.01, "toy", rate=0.3)
    folder = results([one | {"rmse_all": 0.9, "mae_all": 0.3}])
    assert (
        "| `miri_paper` | 1 | 0.900 | 0.300 | 0.010 | *0.938 (0.022)* |"
        " *0.325 (0.009)* | *0.036 (0.007)* |"
    ) in tables.BLOCKS["toy"](folder)


def test_a_page_gets_its_tables_and_a_changed_number_is_seen(results):
    folder = results([_row("miri", 1, 0.02)])
    page = "a\n<!-- results: failures -->\nold\n<!-- end -->\nb\n"
    new = tables.filled(page, folder)
    assert new == "a\n<!-- results: failures -->\nNone.\n<!-- end -->\nb\n"
    assert tables.differing(page, new) == ["failures"]
    assert not tables.differing(new, tables.filled(new, folder))


@pytest.mark.parametrize("name", tables.PAGES)
def test_pages_have_the_numbers_of_results(name):
    """`python experiments/tables.py` writes them."""
    text = (ROOT / name).read_text()
    assert tables.MARK.search(text)
    new = tables.filled(text, ROOT / "results")
    assert not tables.differing(text, new)


def test_commands_of_results_have_no_path_of_a_machine():
    word = "--config.data.images=npz:/home/me/x.npz"
    assert records.short(word) == "--config.data.images=npz:x.npz"
    assert records.short("/home/me/uci") == "uci"
    assert records.short("runs/a.csv") == "runs/a.csv"
    for path in sorted((ROOT / "results").glob("*.jsonl")):
        for row in records.read(path):
            for one in row["command"].split():
                assert records.short(one) == one, (path.name, row["command"])


def test_prose_has_the_numbers_of_results():
    for name, phrases in measured.said(ROOT / "results").items():
        text = " ".join((ROOT / name).read_text().split())
        for phrase in phrases:
            assert phrase in text, (name, phrase)
