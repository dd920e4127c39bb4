"""Data sets in parts: filled one by one, and gone on with by what is there."""

import itertools
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from miri_jax import MIRIImputer
from miri_jax.app import impute, sampling, streaming
from miri_jax.app.workers import in_turn
from miri_jax.data import parts as data_parts
from miri_jax.data.parts import find_parts
from miri_jax.exceptions import MiriError, NonFiniteError

MEAN = ("--method", "mean")
CHAINED = ("--method", "chained", "--set", "imputer.num_iterations=1")


def _impute(*words):
    given = impute.make_parser().parse_args([str(word) for word in words])
    impute.impute(given)


def _frame(k, rows=60):
    rng = np.random.default_rng(k)
    x = rng.normal(size=(rows, 2)) @ [[1, 0.9], [0, 0.4]]
    frame = pd.DataFrame(
        {
            "id": [f"{k}-{row}" for row in range(rows)],
            "a": x[:, 0],
            "b": (10 * x[:, 1]).round().astype(int),
            "sign": np.where(x[:, 0] > 0, "plus", "minus"),
        }
    ).convert_dtypes(convert_floating=False)
    hidden = rng.random(frame.shape) < 0.2
    hidden[:, 0] = False
    return frame.mask(hidden)


@pytest.fixture
def big(tmp_path, monkeypatch):
    """Three parts, one in a folder of its own and one without any sign."""
    folder = tmp_path / "big"
    (folder / "more").mkdir(parents=True)
    for k, name in enumerate(("a", "more/b", "c")):
        frame = _frame(k)
        if name == "c":
            frame["sign"] = pd.Series([None] * len(frame), dtype=object)
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    (folder / "_SUCCESS").touch()
    monkeypatch.chdir(tmp_path)
    return folder


def _contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.parquet")
    }


def _manifest(out):
    return json.loads((out / "_manifest.json").read_text())


def test_each_part_is_filled_to_a_file_of_its_name(big, capsys):
    _impute("big", "out", *MEAN)
    out = big.with_name("out")
    assert [*_contents(out)] == [*_contents(big)]
    for name in _contents(big):
        before, after = (pq.read_table(f / name) for f in (big, out))
        if name != "c.parquet":
            assert after.schema.equals(before.schema)
        before, after = before.to_pandas(), after.to_pandas()
        for column in before:
            known = before[column].notna()
            assert (after[column] == before[column])[known].all()
        assert after.notna().all(axis=None)
    # A column without a cell has the type of the others'.
    kinds = [pq.read_schema(out / f"{x}.parquet").field("sign") for x in "ac"]
    assert kinds[0].type == kinds[1].type
    # What else is there does not keep others from reading it.
    assert len(pd.read_parquet(out)) == 180
    found = _manifest(out)
    gaps = sum(
        pd.read_parquet(big / x).isna().sum().sum() for x in found["parts"]
    )
    assert found["rows"] == 180 and found["filled"] == gaps
    assert found["settings"]["seed"] == 0 and len(found["model"]) == 64
    assert len(MIRIImputer.load(out / "_model").columns_) == 4
    assert {p.name for p in big.parent.iterdir()} == {"big", "out"}
    assert "fitted to 180 of 180 rows" in capsys.readouterr().err
    _impute("big", "out", *MEAN)
    assert "all 3 parts are there" in capsys.readouterr().err


def _stop_after(count, monkeypatch):
    real, done = streaming._make, []

    def make(*words):
        if len(done) == count:
            raise NonFiniteError("stopped")
        done.append(words[0].name)
        return real(*words)

    monkeypatch.setattr(streaming, "_make", make)
    return done


def test_the_same_command_goes_on_with_what_is_not_there(big, monkeypatch):
    """And ends with the bytes of one that was never stopped."""
    _impute("big", "whole", *CHAINED)
    with monkeypatch.context() as patched:
        _stop_after(2, patched)
        with pytest.raises(MiriError, match="stopped"):
            _impute("big", "out", *CHAINED)
    out = big.with_name("out")
    assert len(_contents(out)) == len(_manifest(out)["parts"]) == 2
    # What a killed process leaves behind.
    (out / ".partial-0-c.parquet").touch()
    with monkeypatch.context() as patched:
        patched.setattr(streaming, "_fit", None)
        done = _stop_after(9, patched)
        _impute("big", "out", *CHAINED)
    assert len(done) == 1 and not [*out.glob(".partial*")]
    whole = big.with_name("whole")
    assert _contents(out) == _contents(whole)
    assert _manifest(out)["filled"] == _manifest(whole)["filled"]
    # A part that is new, one that is gone and one that was changed since.
    _frame(5).to_parquet(big / "d.parquet", index=False)
    _frame(6).to_parquet(big / "a.parquet", index=False)
    (out / "c.parquet").unlink()
    done = _stop_after(9, monkeypatch)
    _impute("big", "out", *CHAINED)
    assert sorted(done) == ["a.parquet", "c.parquet", "d.parquet"]
    same = ("c.parquet", "more/b.parquet")
    after, before = _contents(out), _contents(whole)
    assert all(after[name] == before[name] for name in same)
    assert after["a.parquet"] != before["a.parquet"]


def test_what_is_not_ours_or_of_another_model_is_refused(big):
    out = big.with_name("out")
    out.mkdir()
    (out / "c.parquet").write_bytes(b"precious")
    with pytest.raises(MiriError, match="c.parquet already exists"):
        _impute("big", "out", *MEAN)
    assert [p.name for p in out.iterdir()] == ["c.parquet"]
    _impute("big", "out", *MEAN, "--force")
    kept = _contents(out)

    def refused(message, *words):
        before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
        with pytest.raises(MiriError, match=message) as error:
            _impute("big", "out", *MEAN, *words)
        after = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
        assert after == before and error.value.about[-1:] == ("restart",)

    refused("with seed=0, this one has 3", "--seed", 3)
    (out / "a.parquet").write_bytes(b"tampered")
    refused("a.parquet is not as it was written; delete it")
    (out / "a.parquet").unlink()
    _impute("big", "out", *MEAN)
    assert _contents(out) == kept
    model = out / "_model" / "model.json"
    text = model.read_text()
    model.write_text(text + " ")
    (out / "a.parquet").unlink()
    refused("_model is not the model that filled the parts")
    model.write_text(text)
    manifest = (out / "_manifest.json").read_text()
    (out / "_manifest.json").write_text(manifest[:200])
    refused("_manifest.json cannot be read")
    _impute("big", "out", *MEAN, "--seed", 3, "--force")
    assert _contents(out).keys() == kept.keys()


def test_values_do_not_depend_on_the_order_of_the_work(big):
    out = [big.with_name(name) for name in ("one", "other")]
    orders = (
        in_turn,
        lambda work, asked: reversed([*in_turn(work, asked)]),
    )
    for folder, each in zip(out, orders):
        imputer = MIRIImputer(
            "chained", settings={"num_iterations": 1}, random_state=0
        )
        streaming.impute_parts(
            find_parts("big"), folder, imputer, settings={}, each=each
        )
    assert _contents(out[0]) == _contents(out[1])


def test_several_draws_have_a_folder_each(big):
    _impute("big", "out", *CHAINED, "--draws", 2)
    out = big.with_name("out")
    assert {p.name for p in out.iterdir() if p.name[0] != "_"} == {
        "draw_1",
        "draw_2",
    }
    one, other = (pd.read_parquet(out / f"draw_{k}") for k in (1, 2))
    assert len(one) == len(other) == 180 and not one.equals(other)
    assert (one["id"] == other["id"]).all()


def test_parts_of_text_come_back_as_they_came(big):
    for path in big.rglob("*.parquet"):
        frame = pd.read_parquet(path).assign(sign="plus")
        frame["a"] = frame["a"].map(
            lambda x: f"{x:.2f}".replace(".", ","), "ignore"
        )
        path.unlink()
        frame.to_csv(path.with_suffix(".csv"), index=False, sep=";", na_rep="-")
    _impute("big", "out", *MEAN)
    for path in big.rglob("*.csv"):
        there = big.with_name("out") / path.relative_to(big)
        before, after = (x.read_text().splitlines() for x in (path, there))
        assert before[0] == after[0] and len(before) == len(after)
        for line, filled in zip(before[1:], after[1:]):
            cells = [*zip(line.split(";"), filled.split(";"))]
            assert all(a == b for a, b in cells if a != "-")
            assert "," in cells[1][1] and cells[2][1].lstrip("-").isdecimal()


def test_a_large_file_becomes_parts(big, monkeypatch):
    frame = pd.concat([_frame(k) for k in range(4)], ignore_index=True)
    frame.to_parquet("long.parquet", index=False, row_group_size=40)
    monkeypatch.setattr(data_parts, "PART_ROWS", 100)
    _impute("long.parquet", "out", "--stream", *MEAN)
    found = [p.name for p in sorted(big.with_name("out").glob("*.parquet"))]
    assert found == [f"part-{k:05}.parquet" for k in (1, 2)]
    filled = pd.concat(map(pd.read_parquet, map("out/{}".format, found)))
    assert [*filled["id"]] == [*frame["id"]]
    assert filled.notna().all(axis=None)


def _one_more(frame):
    return frame.assign(c=1)


DIFFERING = {
    "a column more": (_one_more, "unlike other parts, a column 'c'"),
    "one less": (lambda f: f.drop(columns="a"), "lacks the column 'a'"),
    "order": (lambda f: f[[*f][::-1]], "in another order"),
    "type": (
        lambda f: f.assign(a=f["a"].astype(str)),
        "column 'a' is .*string in .*d.parquet and double in other parts",
    ),
}


@pytest.mark.parametrize("what", DIFFERING)
def test_parts_that_differ_are_refused(big, what):
    change, message = DIFFERING[what]
    change(_frame(3)).to_parquet(big / "d.parquet", index=False)
    with pytest.raises(MiriError, match=message):
        _impute("big", "out", *MEAN)
    assert not _contents(big.with_name("out"))
    if what != "type":
        return
    # As well where the model is there.
    (big / "d.parquet").rename(big.with_name("d.parquet"))
    _impute("big", "out", *MEAN)
    big.with_name("d.parquet").rename(big / "d.parquet")
    with pytest.raises(MiriError, match=message):
        _impute("big", "out", *MEAN)


def test_whole_numbers_and_others_are_numbers(big):
    """As pandas writes whole numbers where some are missing."""
    _frame(3).astype({"b": "Float64"}).to_parquet(
        big / "d.parquet", index=False
    )
    pd.DataFrame(_frame(3).iloc[:0]).to_parquet(big / "e.parquet", index=False)
    _impute("big", "out", *MEAN)
    out = big.with_name("out")
    for name, kind in (("a", pa.int64()), ("d", pa.float64())):
        made = pq.read_table(out / f"{name}.parquet")
        assert made.schema.field("b").type == kind
        assert (made.to_pandas()["b"] % 1 == 0).all()
    # A part without rows.
    assert pq.read_table(out / "e.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.parquet", b"PAR1", "d.parquet cannot be read as parquet"),
        ("d.csv", b"a,b\n1,2\n", "holds .csv and .parquet files"),
    ],
)
def test_what_is_no_part_is_refused(big, name, content, message):
    (big / name).write_bytes(content)
    with pytest.raises(MiriError, match=message):
        _impute("big", "out", *MEAN)
    assert not big.with_name("out").exists() or not _contents(
        big.with_name("out")
    )


def test_a_part_that_cannot_be_written_loses_nothing(big, monkeypatch):
    real, count = streaming.write_part, itertools.count()

    def write(*words, **more):
        if next(count) == 1:
            raise OSError(28, "No space left on device")
        return real(*words, **more)

    with monkeypatch.context() as patched:
        patched.setattr(streaming, "write_part", write)
        with pytest.raises(MiriError, match="cannot be written: No space"):
            _impute("big", "out", *MEAN)
    out = big.with_name("out")
    assert len(_contents(out)) == 1 and not [*out.rglob(".partial*")]
    _impute("big", "out", *MEAN)
    assert len(_contents(out)) == 3


def test_a_sample_has_rows_of_all_parts_and_what_is_rare(big):
    for k in range(4):
        frame = _frame(k, rows=5000).assign(few=None)
        frame["few"] = frame["few"].astype("Float64")
        if k == 2:
            frame.loc[4321, "sign"] = "seldom"
            frame.loc[100:130, "few"] = 1.5
        frame.to_parquet(big / f"{'abcd'[k]}.parquet", index=False)
    (big / "more" / "b.parquet").unlink()
    parts = find_parts("big")
    types, weight = sampling.types_of_all(parts, in_turn)
    found = sampling.draw_sample(parts, types, weight, in_turn, rows=400)
    share = found.frame["id"].iloc[: found.drawn].str[0].value_counts()
    assert found.rows == 20_000 and [*share] == [100] * 4
    assert (found.frame["sign"] == "seldom").sum() == 1
    assert found.frame["few"].notna().sum() == 31
    assert not found.frame["id"].duplicated().any()
    # Levels by the thousand, as names are, are left as they were drawn.
    assert len(found.frame) <= 400 + 1 + 31
    again = sampling.draw_sample(parts, types, weight, in_turn, rows=400)
    pd.testing.assert_frame_equal(found.frame, again.frame)
    other = sampling.draw_sample(
        parts, types, weight, in_turn, rows=400, seed=1
    )
    assert not found.frame["id"].equals(other.frame["id"])


def test_settings_that_no_part_can_meet_leave_nothing(big):
    """What mends them is another run, which must not be refused."""
    wrong = ("--rule", "b > 900 and b < 9")
    with pytest.raises(MiriError, match="is not met by the draws"):
        _impute(big, "filled", *MEAN, *wrong)
    assert sorted(p.name for p in big.parent.iterdir()) == ["big"]
    _impute(big, "filled", *MEAN)
    assert len(list((big.parent / "filled").rglob("*.parquet"))) == 3
