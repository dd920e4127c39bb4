"""What the README shows runs, and what it names is there."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


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
    for command in re.findall(r"python -m (.*)", README)[:3]:
        arguments = command.split("--")[-1].strip()
        assert arguments.split()[-1] in makefile, command


def test_every_file_it_names_is_there():
    for name in re.findall(r"\(((?:docs|results)/[^)]+)\)", README):
        assert (ROOT / name).exists(), name


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
