"""The notebooks of the site run, and every page of docs/ is in its navigation.

`make docs` builds the site, whose warnings are errors, and executes them too.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.command import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.py"))


def test_every_page_is_in_the_navigation():
    """Or is a file elsewhere, which docs/hooks.py makes a page of."""
    text = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    named = set(re.findall(r"[\w/]+\.(?:md|py)", text))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    pages |= {f"notebooks/{path.name}" for path in NOTEBOOKS}
    hooks = (ROOT / "docs" / "hooks.py").read_text()
    made = dict(re.findall(r'^    "(\w+\.md)": "([\w/]+\.md)"', hooks, re.M))
    assert all((ROOT / source).exists() for source in made.values())
    assert len(NOTEBOOKS) == 4 and len(made) == 4
    assert named == pages | made.keys()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_links_to_exists(path):
    links = re.findall(r"\]\(([^)#]+)", path.read_text())
    assert links
    for link in links:
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_how_its_cells_are_written(path):
    """Without the ending the site shows marks of cells as text."""
    head = path.read_text().split("# ---\n")[1]
    told = dict(re.findall(r"^# +(\w+): (\S.*)$", head, re.M))
    assert told["extension"] == ".py" and told["format_name"] == "percent"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    """As a script, which each is: what is wrong in it raises."""
    commands = os.path.dirname(sys.executable)
    done = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        env=os.environ
        | {
            "MPLBACKEND": "agg",
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
