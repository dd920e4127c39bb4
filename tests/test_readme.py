"""What the README shows runs, and what it names is there."""

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
