"""The real command: it survives kills, and refuses bad input in one line."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from experiments import torture
from miri_jax.app.config import saved_config, table_config
from miri_jax.app.run import run
from miri_jax.core import train
from miri_jax.exceptions import MiriError
from miri_jax.runtime import interrupt
from tests.command import ROOT, Command


def _words(config, workdir, *settings):
    return [
        *("--config", ROOT / "configs" / config),
        *("--workdir", workdir),
        *settings,
    ]


def _start(*args, **options):
    return Command("miri_jax.main", *_words(*args), **options)


def _run(*args, **options):
    return _start(*args, **options).end()


# A run of 30 saved steps, each a fifth of an iteration.
KILLED = (
    "toy.py:smoke",
    "--config.imputer.num_iterations=6",
    "--config.imputer.num_slices=5",
    "--config.checkpoint.every_seconds=0",
    "--config.eval_every=6",
    "--config.draws=2",
)


def _table(workdir):
    with np.load(workdir / "imputed.npz") as arrays:
        return {name: arrays[name] for name in arrays}


def _metrics(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def _words_of_chains(folder):
    """A run of six saved sweeps, of a file of two columns."""
    x = np.random.default_rng(0).standard_normal((400, 2)).cumsum(axis=1)
    lines = [f"{a:.3f},{b:.3f}" for a, b in x]
    lines[::5] = [line.split(",")[0] + "," for line in lines[::5]]
    lines[1::5] = ["," + line.split(",")[1] for line in lines[1::5]]
    (folder / "in.csv").write_text("\n".join(["a,b", *lines]) + "\n")
    return (
        "table.py",
        f"--config.data.path={folder / 'in.csv'}",
        "--config.method=chained",
        "--config.imputer.num_iterations=6",
        *KILLED[3:],
    )


@pytest.mark.parametrize(
    "method, wanted_steps",
    [
        pytest.param("miri", (0, 8, 30), marks=pytest.mark.slow),
        ("chained", (0, 2, 6)),
    ],
)
def test_a_killed_run_ends_bit_identical(tmp_path, method, wanted_steps):
    """SIGKILL at several moments; the table, all draws and metrics agree."""
    words = KILLED if method == "miri" else _words_of_chains(tmp_path)
    config, *settings = words
    code, _, err = _run(config, tmp_path / "whole", *settings)
    assert code == 0, err
    killed = tmp_path / "killed"
    kills, resumed = 0, []
    for wanted in wanted_steps:
        process = _start(config, killed, *settings)
        deadline = time.monotonic() + 200
        while process.poll() is None and time.monotonic() < deadline:
            if _last_step(killed) >= wanted:
                process.send(signal.SIGKILL)
                break
            time.sleep(0.002)
        code, _, err = process.end()
        kills += code == -signal.SIGKILL
        resumed.append("resuming" in err)
    assert kills >= 2, "the run ended before it was killed"
    assert any(resumed[1:])
    code, _, err = _run(config, killed, *settings)
    assert code == 0, err
    if method == "miri":
        one, two = _table(tmp_path / "whole"), _table(killed)
        assert one["x"].shape[0] == 2
        one, two = (
            {name: array.tobytes() for name, array in part.items()}
            for part in (one, two)
        )
    else:
        one, two = (
            {p.name: p.read_bytes() for p in folder.glob("imputed_*.csv")}
            for folder in (tmp_path / "whole", killed)
        )
        assert len(one) == 2
    assert one.keys() == two.keys()
    for name in one:
        assert one[name] == two[name], name
    assert _metrics(tmp_path / "whole") == _metrics(killed)
    summaries = [
        json.loads((w / "summary.json").read_text())["metrics"]
        for w in (tmp_path / "whole", killed)
    ]
    assert summaries[0] == summaries[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", torture.RUNS)
def test_a_hundred_kills_change_nothing(tmp_path, kind):
    torture.write_data(tmp_path)
    counts, wrong, waited = torture.torture(tmp_path, kind, 34, seed=0)
    assert not wrong
    assert counts["kills"] >= 34 and counts["identical"] == counts["ended"] > 0
    assert max(waited) < 10


def _last_step(workdir):
    """The last step in metrics.jsonl, which a run may be writing to."""
    try:
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        return max(json.loads(line)["step"] for line in lines)
    except (OSError, ValueError):
        return -1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_saves_and_is_one_line(tmp_path, number):
    config, *settings = KILLED
    settings[2] = "--config.checkpoint.every_seconds=1000"
    process = _start(config, tmp_path, *settings)
    while _last_step(tmp_path) < 5 and process.poll() is None:
        time.sleep(0.01)
    process.send(number)
    code, _, err = process.end()
    assert code == 128 + number
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    last = _last_step(tmp_path)
    assert (tmp_path / "checkpoints" / str(last)).is_dir()


def _never_ends(*args, **settings):
    time.sleep(60)


def _stuck():
    """A step that takes longer than there is time after SIGTERM."""
    interrupt.GRACE_SECONDS = 0.5
    train.sgd_step = _never_ends


def test_sigterm_does_not_wait_for_a_long_step(tmp_path):
    config, *settings = KILLED
    process = _start(config, tmp_path, *settings, before=_stuck)
    process.wait_for("iteration 0/6")
    process.send(signal.SIGTERM)
    start = time.monotonic()
    assert process.end()[0] == 143
    assert time.monotonic() - start < 30


TABLE = "a,b\n1,2\n,4\n3,\n2,5\n"


def test_a_workdir_of_another_config_is_refused(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(TABLE)
    workdir = tmp_path / "run"
    settings = (f"--config.data.path={path}", "--config.method=mean")
    assert _run("table.py", workdir, *settings)[0] == 0
    before = {p: p.read_bytes() for p in workdir.rglob("*") if p.is_file()}
    code, _, err = _run("table.py", workdir, settings[0], "--config.seed=1")
    assert code == 1 and "holds a run with method='mean'" in err
    path.write_text(TABLE.replace("5", "6"))
    code, _, err = _run("table.py", workdir, *settings)
    assert code == 1 and "the input changed" in err
    after = {p: p.read_bytes() for p in workdir.rglob("*") if p.is_file()}
    assert before == after


def test_a_run_is_run_again_from_its_config_json(tmp_path):
    (tmp_path / "in.csv").write_text(TABLE)
    first, again = tmp_path / "first", tmp_path / "again"
    path = f"--config.data.path={tmp_path / 'in.csv'}"
    settings = (path, "--config.method=gaussian", "--config.draws=2")
    assert _run("table.py", first, *settings)[0] == 0
    config = json.loads((first / "config.json").read_text())
    # A stranger's file does not choose where to write.
    config["output"] = str(tmp_path / "elsewhere.csv")
    (tmp_path / "config.json").write_text(json.dumps(config))
    # A run's folder stands for its config.json.
    rerun = (f"--rerun={tmp_path}", f"--workdir={again}")
    code, _, err = Command("miri_jax.main", *rerun).end()
    assert code == 0, err
    assert not (tmp_path / "elsewhere.csv").exists()
    for name in ("imputed_1.csv", "imputed_2.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("import os", "is no JSON"),
        ("[1]", "is not the config.json of a run"),
        ('{"data": {}, "bootstrap": 3}', "bootstrap is 3"),
    ],
)
def test_a_bad_config_json_is_one_line(tmp_path, text, message):
    path = tmp_path / "config.json"
    if text:
        path.write_text(text)
    words = (f"--rerun={path}", f"--workdir={tmp_path / 'run'}")
    code, out, err = Command("miri_jax.main", *words).end()
    assert code == 1 and message in err and not out
    assert len(err.splitlines()) == 1 and not (tmp_path / "run").exists()


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    """/dev/full stands for the disk: every write to it fails with ENOSPC."""
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    path = tmp_path / "in.csv"
    path.write_text(TABLE)
    workdir = tmp_path / "run"
    settings = (f"--config.data.path={path}", "--config.method=mean")
    assert _run("table.py", workdir, *settings)[0] == 0
    before = (workdir / "imputed.csv").read_bytes()
    (workdir / ".partial-imputed.csv").symlink_to("/dev/full")
    code, _, err = _run("table.py", workdir, *settings)
    assert code == 1
    assert "No space left on device" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert (workdir / "imputed.csv").read_bytes() == before
    assert _run("table.py", workdir, *settings)[0] == 0


def _limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))
    jax.config.update("jax_enable_compilation_cache", False)


def test_a_checkpoint_that_cannot_be_written_is_one_line(tmp_path):
    """A limit on the size of files stands for the disk that is full."""
    config, *settings = KILLED
    code, out, err = _run(
        *(config, tmp_path, *settings, "--config.model.width=128"),
        before=_limit_files,
    )
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert "checkpoint 1 cannot be saved" in last and "File too large" in last
    assert "Traceback" not in out + err


def test_no_gaps_returns_the_table_as_it_is(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("a,b\n1,2.50\n3,4\n")
    code, _, err = _run(
        "table.py", tmp_path / "run", f"--config.data.path={path}"
    )
    assert code == 0 and "nothing is missing" in err
    result = (tmp_path / "run" / "imputed.csv").read_text()
    assert result == path.read_text()


@pytest.mark.slow
def test_a_damaged_checkpoint_is_said_and_survived(tmp_path):
    config, *settings = KILLED
    settings[0] = "--config.imputer.num_iterations=2"
    code, _, err = _run(config, tmp_path / "run", *settings)
    assert code == 0, err
    before = _table(tmp_path / "run")
    last = max(
        (tmp_path / "run" / "checkpoints").glob("[0-9]*"),
        key=lambda p: int(p.name),
    )
    for file in last.rglob("*"):
        if file.is_file() and file.stat().st_size > 2000:
            file.write_bytes(file.read_bytes()[:1000])
    code, _, err = _run(config, tmp_path / "run", *settings)
    assert code == 0, err
    assert f"checkpoint {last.name} is damaged" in err
    after = _table(tmp_path / "run")
    assert before["x"].tobytes() == after["x"].tobytes()


@pytest.mark.slow
def test_a_terminal_shows_a_bar_with_the_time_left(tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "miri_jax.main"),
            *_words("toy.py:smoke", tmp_path, "--config.eval_every=3"),
        ],
        cwd=ROOT,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "3/3 [" in text and "iteration" in text and "<" in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("changes",), None),
        (("changes",), {}),
        (("changes", "shift"), [3]),
        (("checkpoint", "every_seconds"), None),
        (("checkpoint",), {"q": 1}),
        (("data", "na_values"), None),
        (("data", "bounds"), [[[1]]]),
        (("data", "path"), {"q": 1}),
        (("data", "skip_rows"), {}),
        (("data", "encoding"), "\0"),
        (("data", "source"), 3),
        (("seed",), 10**30),
        (("seed",), 2**32),
        (("seed",), -1),
        (("data",), []),
    ],
)
def test_settings_of_a_wrong_form_are_refused(tmp_path, path, value):
    (tmp_path / "config.json").write_text(
        json.dumps(_changed_config(path, value))
    )
    with pytest.raises(MiriError) as error:
        run(saved_config(str(tmp_path / "config.json")), str(tmp_path / "run"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def _changed_config(path, value):
    content = json.loads(json.dumps(table_config("mean").to_dict()))
    inner = content
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return content
