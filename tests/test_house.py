"""The architecture: which wing may import what, and what is loaded when."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "miri_jax"
# From the ground up: a wing imports wings of lower storeys.
STOREYS = (
    ("types", "exceptions", "notes"),
    ("settings", "pooling", "endings"),
    ("core", "models", "metrics", "relations", "belonging"),
    ("data", "sources", "runtime"),
    ("engine", "imputers", "report", "sensitivity"),
    ("estimator", "plots"),
    ("app",),
    ("configs", "main"),
)
HEIGHT = {wing: k for k, storey in enumerate(STOREYS) for wing in storey}
# Wings that know tables of numbers only.
WALLED = ("core", "sources", "models", "imputers", "metrics")
OUTSIDE_THE_WALL = {"pandas", "ml_collections", "sklearn"}
# A source that is scikit-learn's trees, and so works on the host.
IN_THE_WALL = {PACKAGE / "sources" / "chained": {"sklearn"}}
FILES = sorted(PACKAGE.rglob("*.py"))
# Who may name flags of the commands, and flags of others' commands.
SHELL = ("app", "configs", "main")
FLAG = re.compile(r"(?<![\w-])--(?=\w)[\w.-]+|miri-impute|miri_jax\.main")
OTHERS = {
    *("--porcelain", "--untracked-files"),  # git status
    *("--file_format", "--data_dir"),  # tfds build
}


def _wing(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(path):
    """Full names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_arrow_points_up(path):
    here = _wing(path)
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "miri_jax" or here == "__init__":
            continue
        if parts[1] == "__version__":  # of the package itself
            continue
        there = parts[1]
        assert there in HEIGHT, f"{path} imports {name}"
        assert there == here or HEIGHT[there] < HEIGHT[here], name


@pytest.mark.parametrize("wing", WALLED)
def test_the_wall_stands(wing):
    for path in FILES:
        if _wing(path) == wing:
            roots = {name.split(".")[0] for name in _imports(path)}
            allowed = IN_THE_WALL.get(path.parent, set())
            assert not roots & OUTSIDE_THE_WALL - allowed, path


def test_modules_of_a_wing_are_no_circle():
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): {
            name.rpartition(".")[0] for name in _imports(path)
        }
        | set(_imports(path))
        for path in FILES
    }
    graph = {k: v & graph.keys() - {k} for k, v in graph.items()}
    while graph:
        free = [name for name, needs in graph.items() if not needs]
        assert free, f"these import each other: {sorted(graph)}"
        graph = {k: v - set(free) for k, v in graph.items() if k not in free}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_long_file_says_why_it_is(path):
    text = path.read_text()
    if text.count("\n") > 500:
        assert "long because" in ast.get_docstring(ast.parse(text)), path


def _strings(tree):
    """All strings in some code, but those that stand alone, as docstrings."""
    alone = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [getattr(part, "value", "") for part in node.values]
            yield "".join(x if isinstance(x, str) else "x" for x in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in alone:
                yield node.value


def test_flags_are_found_in_strings():
    code = '"--doc"; x = "--a.b=1"; y = f"give --{x}=1"; z = "a--b - --- -c"'
    found = [FLAG.findall(text) for text in _strings(ast.parse(code))]
    assert sorted(sum(found, [])) == ["--a.b", "--x"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_names_no_flags(path):
    """Its messages are read in scripts too; `MiriError.about` is for flags."""
    if _wing(path) not in SHELL:
        for text in _strings(ast.parse(path.read_text())):
            assert not {*FLAG.findall(text)} - OTHERS, text


def _loaded(code):
    """Top-level modules that are loaded after some code, elsewhere."""
    code += "\nimport sys; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}",
        ],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_costs_nothing():
    heavy = {"jax", "numpy", "pandas", "sklearn", "flax", "matplotlib"}
    assert not _loaded("import miri_jax") & heavy


def test_research_needs_no_tables():
    """The names for scripts and research load what they need, no more."""
    names = "FAST, core, draw, fit, make_imputer, miri, sources"
    code = f"from miri_jax import {names}"
    loaded = _loaded(code)
    assert "jax" in loaded and not loaded & OUTSIDE_THE_WALL


def test_all_public_names_are_there():
    import miri_jax

    for name in miri_jax.__all__:
        assert getattr(miri_jax, name) is not None
        assert name in dir(miri_jax)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        miri_jax.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (["--help"], 0, "--draws"),
        (["--version"], 0, "miri_jax "),
        (["in.csv"], 2, "OUT"),
        (["in.csv", "out.csv", "--draw", "5"], 2, "--draw"),
        (["in.csv", "out.csv", "--draws", "0"], 1, "at least 1"),
        (["in.csv", "out.xls"], 1, ".csv"),
        (["in.csv", "out.csv", "--method", "man"], 1, "did you mean"),
        (["nowhere.csv", "out.csv"], 1, "no such file: nowhere.csv"),
    ],
)
def test_what_needs_no_table_is_answered_before_libraries_load(
    words, code, answer
):
    run = f"""
from miri_jax.app import impute
sys.argv = ["miri-impute", *{words!r}]
sys.stdout = sys.stderr = io.StringIO()
try:
    impute.main()
except SystemExit as stop:
    assert stop.code in {(code, code or None)!r}, stop.code
told, sys.stdout = sys.stderr.getvalue(), sys.__stdout__
assert {answer!r} in told, told
"""
    loaded = _loaded("import io, sys" + run)
    assert "argparse" in loaded
    assert not loaded & {"jax", "numpy", "pandas", "matplotlib", "scipy"}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--help"], "--workdir"),
        (["--version"], "miri_jax "),
        (["--no_such_flag"], "no_such_flag"),
        (["--config", "tabel", "--workdir", "w"], "did you mean table"),
    ],
)
def test_the_long_form_answers_before_libraries_load(words, answer):
    run = f"""
sys.argv = ["miri_jax.main", *{words!r}]
sys.stdout = sys.stderr = io.StringIO()
try:
    runpy.run_module("miri_jax.main", run_name="__main__")
except SystemExit as stop:
    assert stop.code or "--version" in sys.argv, stop.code
told, sys.stdout = sys.stderr.getvalue(), sys.__stdout__
assert {answer!r} in told, told
"""
    loaded = _loaded("import io, runpy, sys" + run)
    assert "absl" in loaded
    assert not loaded & {"jax", "numpy", "pandas", "matplotlib", "scipy"}


def test_a_fill_loads_what_it_uses_only(tmp_path):
    """No networks for a mean, no checkpoints, no pictures that nobody draws."""
    (tmp_path / "in.csv").write_text("a,b\n1,2\n,3\n4,\n2,1\n")
    words = ["in.csv", "out.csv", "--method", "mean"]
    loaded = _loaded(
        f"import os; os.chdir({str(tmp_path)!r})\n"
        f"sys.argv = ['miri-impute', *{words!r}]\n"
        "from miri_jax.app import impute; impute.main()"
    )
    assert (tmp_path / "out.csv").exists()
    assert not loaded & {"flax", "optax", "orbax", "matplotlib"}
