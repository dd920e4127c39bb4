"""What the README shows runs, and what it names is there."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from miri_jax.app import impute
from miri_jax.app.config import table_config
from miri_jax.runtime.workdir import flatten

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# errors.md shows commands that are wrong.
DOCS = [f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))]
DOCS = ["README.md", *(name for name in DOCS if "errors" not in name)]


def test_the_script_runs():
    script = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(script.strip().splitlines()) <= 10
    script = script.replace("num_iterations=10", "num_iterations=3")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    scores = eval(done.stdout)
    assert scores.keys() == {"mmd", "rmse", "mae", "rmse_all", "mae_all"}
    assert scores["mmd"] < 0.1  # filling with the mean scores 0.336


def test_the_plain_commands_are_those_of_make():
    makefile = (ROOT / "Makefile").read_text()
    makefile = makefile.replace("$(RUN)", "$(BIN)/python -m miri_jax.main")
    commands = [
        c.strip() for c in re.findall(r"^    (python -m .*)", README, re.M)
    ]
    assert len(commands) >= 3
    for command in commands[:3]:
        assert f"$(BIN)/{command}\n" in makefile, command


@pytest.mark.parametrize("name", DOCS)
def test_every_file_it_names_is_there(name):
    text = (ROOT / name).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / name).parent.joinpath(link).exists(), link
    for script in re.findall(r"\b(?:experiments|configs)/\w+\.py", text):
        assert (ROOT / script).exists(), script


def _commands():
    """The commands of the documents, each on one line."""
    for name in DOCS:
        text = re.sub(r"\\\n\s+", "", (ROOT / name).read_text())
        # In a sentence a command is between backticks, over two lines at most.
        quoted = re.findall(r"`([^`]+)`", re.sub(r"\n(?! *\n)", " ", text))
        for line in (*re.findall(r"^    (.*)", text, re.M), *quoted):
            if re.match(r"(PYTHONPATH=\. )?python |miri-impute ", line):
                yield line


def test_every_flag_of_a_command_is_there():
    config = table_config()
    config.data.images = config.draws = config.output = None
    known = set(flatten(config.to_dict()))
    parser = impute.make_parser()._option_string_actions
    seen = 0
    for line in _commands():
        script = re.search(r"experiments/\w+\.py", line)
        source = (ROOT / script[0]).read_text() if script else ""
        for flag in re.findall(r" (--[\w.-]+)", line):
            name, seen = flag[2:], seen + 1
            if name.startswith("config."):
                assert name.removeprefix("config.") in known, line
            elif line.startswith("miri-impute"):
                assert flag in parser, line
            elif script:
                plain = name.removeprefix("no")
                assert f'"{name}"' in source or f'"{plain}"' in source, line
            else:
                assert name in ("config", "workdir", "rerun"), line
    assert seen > 40


def test_the_tutorial_runs(tmp_path):
    """As printed, but for the method: one that fits in seconds."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks[0].strip().splitlines()) <= 15
    script = "".join(blocks).replace("Imputer(n", "Imputer('gaussian', n")
    assert "'gaussian'" in script
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    names = [line[0] for line in lines]
    assert names[0] == "Intercept" and {"TEMP", "DEWP"} <= set(names)
    for _, estimate, low, high, missing in lines:
        assert float(low) < float(estimate) < float(high)
        assert 0 < float(missing) < 1
    assert (tmp_path / "model" / "model.json").exists()
