"""What a wheel holds, asks for and says of itself, and that it runs alone."""

import ast
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest
import setuptools

import miri_jax
from miri_jax.app.named import CONFIGS, path_of
from miri_jax.exceptions import DataError
from tests.command import ROOT

# Distributions that are not called as what is imported from them.
CALLED = {
    "PIL": "pillow",
    "absl": "absl-py",
    "orbax": "orbax-checkpoint",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
# Imported by name, where a file asks for them.
BY_NAME = {"openpyxl", "pyreadstat"}


def _setup(monkeypatch, home=""):
    """What setup.py gives to setuptools."""
    given = {}
    monkeypatch.setenv("MIRI_JAX_HOME", home)
    monkeypatch.setattr(setuptools, "setup", given.update)
    code = (ROOT / "setup.py").read_text()
    exec(compile(code, "setup.py", "exec"), {"__file__": ROOT / "setup.py"})
    return given


def _names(requirements):
    return {re.split(r"[>=\[]", line)[0] for line in requirements}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")))
def test_a_config_goes_by_its_name_and_by_its_path(path, tmp_path, monkeypatch):
    """In a clone, and in any other folder, as where a wheel is used."""
    shipped = f"{CONFIGS / path.name}"
    monkeypatch.chdir(tmp_path)
    assert path_of(path.stem) == shipped
    assert path_of(f"{path.stem}:smoke") == f"{shipped}:smoke"
    assert path_of(f"configs/{path.name}:smoke") == f"{shipped}:smoke"
    monkeypatch.chdir(ROOT)
    assert path_of(f"configs/{path.name}") == f"configs/{path.name}"


def test_files_of_configs_hold_nothing_but_names_of_the_package():
    for path in CONFIGS.glob("[a-z]*.py"):
        text = (ROOT / "configs" / path.name).read_text()
        words, imported, names = ast.parse(text).body
        assert imported.module == f"miri_jax.configs.{path.stem}"


def test_what_is_imported_is_asked_for(monkeypatch):
    given = _setup(monkeypatch)
    imported = set(BY_NAME)
    for path in (ROOT / "miri_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "miri_jax"}
    asked = _names(given["install_requires"])
    extras = _names(given["extras_require"]["all"])
    found = {CALLED.get(name, name).replace("_", "-") for name in imported}
    known = {name.replace("_", "-") for name in asked | extras}
    assert not found - known
    # What needs no extra is there, but for what an extra alone brings.
    assert found - {x.replace("_", "-") for x in asked} == {
        *("dask", "distributed", "openpyxl", "pyreadstat", "scikit-image")
    }


def test_the_page_of_an_index_has_no_link_to_nowhere(monkeypatch):
    bare = _setup(monkeypatch)["long_description"]
    assert not re.search(r"\]\((?!https?://)", bare)
    assert "docs/tutorial.md" in bare and "![" not in bare
    home = "https://host/owner/miri_jax/blob/main"
    given = _setup(monkeypatch, home + "/")
    assert not re.search(r"\]\((?!https?://)", given["long_description"])
    assert f"({home}/docs/tutorial.md)" in given["long_description"]
    assert f"({home}/docs/toy.png?raw=true)" in given["long_description"]
    assert given["project_urls"]["Changelog"] == f"{home}/CHANGELOG.md"


def test_versions_agree(monkeypatch):
    version = _setup(monkeypatch)["version"]
    cited = (ROOT / "CITATION.cff").read_text()
    told = (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version}\n" in cited
    assert re.search(r"^## (\S+)", told, re.M)[1] == version


def test_images_without_their_extra_are_told_before_a_fit(monkeypatch):
    from miri_jax.data import load_images

    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(DataError, match=r"pip install 'miri_jax\[images\]'"):
        load_images(images="shapes", rows=4, size=8)


@pytest.mark.slow
def test_a_wheel_runs_alone_in_another_folder(tmp_path):
    """Built as pip builds it, once from the sources of an sdist."""
    folder = tmp_path / "wheel"
    build = "from setuptools import build_meta as b; b.build_sdist({!r})"
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    for name in files:
        copy = tmp_path / "clone" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-c", build.format(str(tmp_path))],
        cwd=tmp_path / "clone",
        check=True,
        capture_output=True,
    )
    (sources,) = tmp_path.glob("*.tar.gz")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-deps", "-q"),
            *("-w", str(folder), str(sources)),
        ],
        check=True,
        cwd=tmp_path,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = [sys.executable, "-m", "miri_jax.main"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}

    def told(*words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = told("-c", "import miri_jax; print(miri_jax.__file__)")
    assert pathlib.Path(place.strip()).is_relative_to(tmp_path)
    assert told("-m", "miri_jax.main", "--version").startswith("miri_jax ")
    for config in ("toy:smoke", "configs/toy.py:smoke", "table:smoke"):
        name = re.sub(r"\W", "_", config)
        told(*run[1:], "--config", config, "--workdir", name)
        assert (elsewhere / name / "report.html").exists()


def test_type_checkers_are_told_every_public_name():
    tree = ast.parse((ROOT / "miri_jax" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {}
    for line in block.body:
        (name,) = line.names
        # As itself: else a checker takes it for private.
        assert name.asname == name.name
        place = line.module.removeprefix("miri_jax").lstrip(".")
        told[name.name] = place
    assert told == miri_jax._PLACES
