"""Programs that are kept, and the line about waiting for them."""

import os
import time

import jax
import pytest

from miri_jax.runtime import compiling
from miri_jax.runtime.files import folder_of_programs

LOWERED = compiling._LOWERED
COMPILED = compiling._COMPILED


def record(event, seconds):
    jax.monitoring.record_event_duration_secs(event, seconds)


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", 0.1)
    found = []
    with compiling.Told(found.append):
        yield found


def test_a_long_program_is_told_of_while_one_waits(lines):
    record(LOWERED, 0.0)
    time.sleep(0.3)
    assert len(lines) == 1 and "compiling" in lines[0]
    record(COMPILED, 0.3)


def test_many_short_ones_are_told_of_once(lines):
    for _ in range(5):
        record(LOWERED, 0.0)
        record(COMPILED, 0.06)
        time.sleep(0.02)
    assert not lines or len(lines) == 1
    record(LOWERED, 0.0)
    time.sleep(0.1)
    record(LOWERED, 0.0)
    time.sleep(0.1)
    assert len(lines) == 1


def test_what_is_quick_is_not_told_of(lines):
    record(LOWERED, 0.0)
    record(COMPILED, 0.01)
    time.sleep(0.2)
    assert not lines


@pytest.fixture
def config():
    """JAX without a folder for programs; as it was afterwards."""
    names = ("jax_compilation_cache_dir",)
    names += ("jax_persistent_cache_min_compile_time_secs",)
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield jax.config
    for name, value in before.items():
        jax.config.update(name, value)
    compiling.compilation_cache.reset_cache()


def test_programs_are_kept_where_nothing_else_is_said(
    config, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiling.keep_programs()
    assert config.jax_compilation_cache_dir == str(tmp_path / "miri_jax")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    compiling.keep_programs()
    assert config.jax_compilation_cache_dir == str(tmp_path / "miri_jax")


def test_nothing_is_kept_where_nothing_can_be_written(
    config, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    compiling.keep_programs()
    assert config.jax_compilation_cache_dir is None


@pytest.mark.parametrize("home", ["", "here", "./here", "~/here"])
def test_programs_are_kept_in_no_folder_that_depends_on_where_one_is(
    monkeypatch, home
):
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    found = folder_of_programs()
    assert found == os.path.expanduser("~/.cache/miri_jax")
