"""`run`: what it leaves in its folder, and how it goes on."""

import html.parser
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from miri_jax import imputers
from miri_jax.app import run
from miri_jax.exceptions import DivergedError, NonFiniteError, WorkdirError
from miri_jax.runtime.checkpoint import CheckpointStore
from miri_jax.runtime.workdir import WorkdirLock
from tests.conftest import load_config

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    config = load_config("toy")
    config.draws = 2
    return folder, config, run.run(config, str(folder))


def _lines(folder):
    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_leaves_what_it_promises(toy_run):
    folder, config, state = toy_run
    found = {path.name for path in folder.glob("[!.]*")}
    assert {
        *("config.json", "metrics.jsonl", "tensorboard", "checkpoints"),
        *("summary.json", "report.html", "pictures", "imputed.npz"),
    } == found
    saved = json.loads((folder / "config.json").read_text())
    assert saved["imputer"]["num_steps"] == config.imputer.num_steps
    assert list((folder / "tensorboard").glob("events*"))
    assert int(state.iteration) == config.imputer.num_iterations


def test_the_metrics_are_those_of_the_result(toy_run):
    folder, _, _ = toy_run
    with np.load(folder / "imputed.npz") as saved:
        x, m, truth = saved["x"], saved["m"], saved["truth"]
    assert x.shape == (2, 400, 2) and np.isfinite(x).all()
    np.testing.assert_array_equal(x[:, m], np.stack([truth[m]] * 2))
    assert not np.array_equal(x[0][~m], x[1][~m])
    metrics = json.loads((folder / "summary.json").read_text())["metrics"]
    rmse_all = np.sqrt(np.mean((x[0] - truth) ** 2))
    assert metrics["rmse_all"] == pytest.approx(rmse_all)
    z = (x.mean(0) - truth) / truth.std(0)
    assert metrics["rmse_of_mean"] == pytest.approx(
        np.sqrt(np.mean(z[~m] ** 2))
    )


def test_each_iteration_is_a_line(toy_run):
    folder, _, _ = toy_run
    lines = _lines(folder)
    assert [line["iteration"] for line in lines] == [0, 1, 2, 3]
    for line in lines:
        assert {"mmd", "mi", "rmse_all"} <= line.keys()
    assert all("loss" in line for line in lines[1:])


def test_a_short_fit_need_not_be_saved_and_is_done_again(toy_run, tmp_path):
    _, config, state = toy_run
    config = config.copy_and_resolve_references()
    config.draws = 1
    config.checkpoint.at_end, config.checkpoint.every_seconds = False, 1e6
    for _ in range(2):
        found = run.run(config, str(tmp_path))
        assert not list((tmp_path / "checkpoints").iterdir())
        np.testing.assert_array_equal(found.x, state.x)
        assert [line["iteration"] for line in _lines(tmp_path)] == [0, 1, 2, 3]
    config.checkpoint.every_seconds = 0.0
    found = run.run(config, str(tmp_path / "each"))
    saved = {p.name for p in (tmp_path / "each" / "checkpoints").iterdir()}
    assert str(int(found.iteration)) in saved


def test_a_finished_run_is_not_run_again(toy_run):
    folder, config, _ = toy_run
    with np.load(folder / "imputed.npz") as saved:
        before, lines = dict(saved), _lines(folder)
    run.run(config, str(folder))
    with np.load(folder / "imputed.npz") as saved:
        assert saved.keys() == before.keys()
        for name in before:
            assert saved[name].tobytes() == before[name].tobytes(), name
    assert _lines(folder) == lines


def test_another_config_is_refused_by_the_key_that_differs(toy_run):
    folder, config, _ = toy_run
    config = config.copy_and_resolve_references()
    config.imputer.num_steps = 61
    with pytest.raises(WorkdirError, match="imputer.num_steps=60"):
        run.run(config, str(folder))


class _Page(html.parser.HTMLParser):
    """Counts tags and checks that all are closed."""

    def __init__(self, text):
        super().__init__()
        self.count, self.open, self.images = {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ("meta", "img", "html"):
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_endtag(self, tag):
        if tag != "html":
            assert self.open.pop() == tag


def test_the_report_is_one_whole_page(toy_run):
    folder, _, _ = toy_run
    text = (folder / "report.html").read_text()
    page = _Page(text)
    assert page.open == []
    assert len(page.images) == 3
    assert all(src.startswith("data:image/png;base64,") for src in page.images)
    assert not re.search(r"(src|href)=['\"](https?:)?//", text)
    assert len(list((folder / "pictures").glob("*.png"))) == 3


def test_a_table_comes_back_with_its_cells_and_types(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "whole": rng.integers(0, 50, 60),
            "part": np.round(rng.normal(size=60), 3),
            "kind": rng.choice(["x", "y <i>", "z"], 60),
        }
    )
    text = frame.astype(str)
    text[rng.random(text.shape) < 0.2] = ""
    path = tmp_path / "in.csv"
    text.to_csv(path, index=False)
    config = load_config("table")
    config.data.path = str(path)
    config.data.categorical = ("kind",)
    config.draws = 2
    run.run(config, str(tmp_path / "run"))
    for name in ("imputed_1.csv", "imputed_2.csv"):
        filled = pd.read_csv(tmp_path / "run" / name, dtype=str)
        assert list(filled.columns) == ["whole", "part", "kind"]
        observed = text != ""
        pd.testing.assert_frame_equal(
            filled.where(observed, ""), text, check_dtype=False
        )
        assert filled["whole"].str.fullmatch(r"-?\d+").all()
        assert filled["part"].str.fullmatch(r"-?\d+\.\d{3}|-?\d+\.\d+").all()
        assert set(filled["kind"]) <= {"x", "y <i>", "z"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "y <i>" not in page


def test_names_in_the_report_are_escaped(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("<script>alert(1)</script>,$x^$\n1,2\n,3\n4,\n5,6\n")
    config = load_config("table")
    config.method = "mean"
    config.imputer = {}
    config.model = {}
    config.data.path = str(path)
    run.run(config, str(tmp_path / "run"))
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page


def _break(monkeypatch, limit=None):
    """Registers a method whose third iteration has a loss that is NaN.

    With a limit, one that has a learning rate and fails above that limit.
    """
    make = imputers.IMPUTERS["mean"]

    def make_broken(learning_rate):
        mean = make()

        def step(key, state, data):
            state, _ = mean.step(key, state, data)
            loss = jnp.full(10, learning_rate)
            if int(state.iteration) == 3 and learning_rate > (limit or 0):
                loss = loss.at[4].set(jnp.nan)
            return state, {"loss": loss}

        return mean._replace(step=step, num_iterations=5)

    def with_rate(*, learning_rate: float = 1.0):
        return make_broken(learning_rate)

    def without():
        return make_broken(1.0)

    broken = with_rate if limit else without
    monkeypatch.setitem(imputers.IMPUTERS, "broken", broken)
    config = load_config("toy")
    config.method = "broken"
    config.imputer = {}
    config.model = {}
    config.eval_every = 5
    config.checkpoint.every_seconds = 0.0
    return config


def test_a_loss_that_is_not_finite_stops_with_where(tmp_path, monkeypatch):
    """Iteration, step and last good checkpoint; nothing else is written."""
    config = _break(monkeypatch)
    with pytest.raises(
        NonFiniteError, match=r"iteration 3, SGD step 4 .* checkpoint 2$"
    ):
        run.run(config, str(tmp_path))
    assert not (tmp_path / "imputed.npz").exists()
    assert [line["iteration"] for line in _lines(tmp_path)] == [0, 1, 2]


def test_a_loss_that_is_not_finite_goes_back_with_smaller_steps(
    tmp_path, monkeypatch, capsys
):
    config = _break(monkeypatch, limit=0.1)
    run.run(config, str(tmp_path / "whole"))
    said = capsys.readouterr().err
    assert said.count("going back to it with") == 2
    assert "good state is checkpoint 2; going back to it with 0.0625" in said
    lines = _lines(tmp_path / "whole")
    assert [line["iteration"] for line in lines] == [0, 1, 2, 3, 4, 5]
    # It does not learn faster again.
    rates = [line["loss"] for line in lines[1:]]
    assert rates == [1.0, 1.0, 0.0625, 0.0625, 0.0625]
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert sum("going back" in note for note in summary["notes"]) == 2

    config.retries = 1
    with pytest.raises(DivergedError, match="another folder$") as error:
        run.run(config, str(tmp_path / "given up"))
    assert error.value.about == ("learning_rate", "workdir", "restart")

    # What is saved goes on with the smaller steps too.
    config.retries = 2
    folder = tmp_path / "stopped"
    save = CheckpointStore.save

    def save_and_stop(store, step, state):
        save(store, step, state)
        if step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run.run(config, str(folder))
    run.run(config, str(folder))
    assert [line["loss"] for line in _lines(folder)[1:]] == rates


def test_steps_that_compile_anew_are_said(tmp_path, monkeypatch):
    """As where a shape or a constant changes from step to step."""
    make = imputers.IMPUTERS["mean"]

    def make_changing():
        mean = make()

        def step(key, state, data):
            length = int(state.iteration) + 3
            jax.jit(lambda a: a + length)(jnp.zeros(length))
            return mean.step(key, state, data)

        return mean._replace(step=step, num_iterations=8)

    monkeypatch.setitem(imputers.IMPUTERS, "changing", make_changing)
    config = load_config("toy")
    config.method, config.imputer, config.model = "changing", {}, {}
    config.eval_every = 8
    run.run(config, str(tmp_path))
    notes = json.loads((tmp_path / "summary.json").read_text())["notes"]
    assert any("compiled programs anew" in note for note in notes)


def test_smaller_steps_that_do_not_help_end_with_a_diagnosis(
    tmp_path, monkeypatch
):
    config = _break(monkeypatch, limit=1e-9)
    config.retries = 2
    with pytest.raises(
        NonFiniteError, match="did not help, 2 times; try another"
    ):
        run.run(config, str(tmp_path))
    assert not (tmp_path / "imputed.npz").exists()


def test_a_second_run_in_one_folder_is_refused(tmp_path):
    with WorkdirLock(tmp_path / "run") as lock:
        lock.take()
        with pytest.raises(WorkdirError, match="is at work in .*run; wait"):
            run.run(load_config("toy"), str(tmp_path / "run"))
    run.run(load_config("toy"), str(tmp_path / "run"))


def test_the_summary_says_what_the_run_took(toy_run):
    folder, _, _ = toy_run
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["seconds"].keys() >= {"load", "fit", "draw", "report"}
    assert summary["compiled"]["programs"] >= 1
    assert summary["peak_bytes"]["process"] > 2**26
    assert 0 < summary["realised_rate"] < 1
    assert summary["versions"]["jax"] == jax.__version__
    assert "device" in summary
    if (ROOT / ".git").exists():  # of the clone
        assert re.fullmatch(r"[0-9a-f]{40}\+?", summary["revision"])
    else:
        assert summary["revision"] is None


@pytest.mark.slow
def test_a_profile_is_left_where_it_is_wanted(tmp_path):
    config = load_config("toy")
    config.profile = True
    run.run(config, str(tmp_path))
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_settings_left_at_none_are_the_methods_own():
    config = load_config("table", "")
    assert run.method_settings(config) == {}
    config.imputer.num_steps = 7
    config.model.width = 9
    assert run.method_settings(config) == {
        "num_steps": 7,
        "model": {"width": 9},
    }


CONFIGS = sorted(p.stem for p in (ROOT / "configs").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_says_how_to_run_it_and_has_a_smoke(name):
    text = (ROOT / "miri_jax" / "configs" / f"{name}.py").read_text()
    docstring = text.split('"""')[1]
    assert f"--config {name}" in docstring
    assert re.search(r"\d+ (seconds|minutes?)", docstring)
    smoke = load_config(name)
    fit = run.method_settings(smoke)
    assert fit["num_iterations"] <= 3
    assert smoke.to_dict().keys() == load_config(name, "").to_dict().keys()
