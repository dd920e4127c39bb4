"""What README and docs/ show runs, and what they name exists."""

import contextlib
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys

import pytest

from miri_jax.app import impute
from miri_jax.app.config import image_config, table_config
from miri_jax.imputers import IMPUTERS
from miri_jax.imputers._recipe import Recipe
from miri_jax.runtime.workdir import flatten
from tests.command import ROOT

README = (ROOT / "README.md").read_text()
# errors.md shows commands that are wrong.
DOCS = [f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))]
DOCS = ["README.md", *(name for name in DOCS if "errors" not in name)]


def _scripts(name):
    """The Python of a document, block by block."""
    text = (ROOT / name).read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def _run(script, folder=ROOT):
    """What a script prints that runs in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_runs(tmp_path):
    """From any folder, and the expression of a preset after it."""
    script, *others = _scripts("README.md")
    assert len(script.strip().splitlines()) <= 10
    script = script.replace("num_iterations=10", "num_iterations=3")
    scores = eval(_run("".join([script, *others]), tmp_path))
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
def test_every_file_it_names_exists(name):
    text = (ROOT / name).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / name).parent.joinpath(link).exists(), link
    for script in re.findall(r"\b(?:experiments|configs|tests)/\S+\.py", text):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("name", DOCS)
def test_every_name_of_the_package_exists(name):
    text = (ROOT / name).read_text()
    for dotted in set(re.findall(r"\bmiri_jax(?:\.[A-Za-z_]\w*)+", text)):
        # A command's module is found, not imported: it defines flags.
        with contextlib.suppress(ModuleNotFoundError):
            if importlib.util.find_spec(dotted):
                continue
        pkgutil.resolve_name(dotted)


def test_every_method_has_its_sentences():
    text = (ROOT / "docs" / "methods.md").read_text()
    found = re.findall(r"^\*\*`(\w+)`\*\*(?: and \*\*`(\w+)`\*\*)?", text, re.M)
    assert {name for both in found for name in both if name} == set(IMPUTERS)


def test_every_field_of_a_recipe_has_its_row():
    text = (ROOT / "docs" / "methods.md").read_text()
    assert tuple(re.findall(r"^\| `(\w+)` \|", text, re.M)) == Recipe._fields


def test_the_scripts_on_methods_run():
    """Recipes, and a method from outside, which fills a table."""
    fill = """
import numpy as np
data = miri_jax.types.Masked(jnp.ones((8, 2)), jnp.arange(16).reshape(8, 2) > 3)
keys = miri_jax.engine.seed_keys(0)
state = miri_jax.fit(keys.fit, imputer, data)
x = miri_jax.draw(keys.draw, imputer, state, data)
assert np.isfinite(x).all() and len(np.unique(x)) == 5
"""
    blocks = [*_scripts("docs/methods.md"), "import miri_jax.engine", fill]
    _run("\n".join(blocks))


def test_every_setting_in_the_table_exists():
    config = table_config()
    known = {*config.keys(), *flatten(config.to_dict())}
    text = (ROOT / "docs" / "tables.md").read_text()
    rows = re.findall(r"^\| (.*?) \|", text.partition("## Settings")[2], re.M)
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    assert len(names) > 20 and set(names) <= known, set(names) - known


def test_every_test_that_is_named_exists():
    """By its file, and by a part of its name after `-k`."""
    seen = 0
    for line in re.findall(
        r"`([^`]*pytest [^`]*)`", (ROOT / "docs" / "reliability.md").read_text()
    ):
        files = re.findall(r"tests/[\w/]+\.py", line)
        text = "".join((ROOT / file).read_text() for file in files)
        for word in re.findall(r"-k (\w+)", line):
            assert re.search(rf"def test_\w*{word}", text), line
            seen += 1
    assert seen > 5


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
    config.draws = config.output = None
    known = set(flatten(config.to_dict()))
    known |= set(flatten(image_config("cpu").to_dict()))
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
        for config in re.findall(r"--config[ =]([\w/.]+)", line):
            path = f"configs/{config}.py" if "." not in config else config
            # docs/methods.md says what its own one holds.
            assert path == "noise_config.py" or (ROOT / path).exists(), line
    assert seen > 40


def test_the_tutorial_runs(tmp_path):
    """As printed, but for the method: one that fits in seconds."""
    blocks = _scripts("docs/tutorial.md")
    assert len(blocks[0].strip().splitlines()) <= 15
    script = "".join(blocks).replace("Imputer(n", "Imputer('gaussian', n")
    assert "'gaussian'" in script
    lines = [line.split() for line in _run(script, tmp_path).splitlines()]
    names = [line[0] for line in lines]
    assert names[0] == "Intercept" and {"TEMP", "DEWP"} <= set(names)
    for _, estimate, low, high, missing in lines:
        assert float(low) < float(estimate) < float(high)
        assert 0 < float(missing) < 1
    assert (tmp_path / "model" / "model.json").exists()


def test_the_page_on_pooling_runs(tmp_path):
    """As printed, but for the method."""
    script = "".join(_scripts("docs/pooling.md"))
    script = script.replace("Imputer(n", "Imputer('gaussian', n")
    assert "'gaussian'" in script
    told = _run(script, tmp_path)
    assert {"Intercept", "TEMP", "DEWP", "fmi"} <= {*told.split()}
    assert len(re.findall(r"JointTest\(statistic=\S+ df=3", told)) == 3
