"""Disks that fail and processes that die: nothing is lost, the same comes out.

Whatever a run does to files is counted, and what comes as the k-th fails.
"""

import builtins
import errno
import io
import os
import pathlib
import signal

import pytest

from miri_jax.app import command_line, impute
from tests.command import Command

TEXT = "a,b,c\n1,2,x\n,3,y\n4,,x\n5,6,\n7,8,y\n2,1,x\n"
WORDS = ("in.csv", "out.csv", "--method", "mean", "--draws", "3")
OUTPUTS = ("out_1.csv", "out_2.csv", "out_3.csv")
# A run of WORDS does less than that to files.
CALLS = 112
# Which of them the slow tests disturb, as EVERY=3 for each third.
PLACES = range(0, CALLS, int(os.environ.get("EVERY", "1")))


class _Torn:
    """A file that has room for half of what is written first."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def write(self, content):
        self._file.write(content[: len(content) // 2])
        self._file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Faults:
    """Fails at the k-th of what is done to files of a folder."""

    def __init__(self, folder, k, how):
        self.folder, self.k, self.how, self.count = folder, k, how, 0

    def due(self):
        self.count += 1
        return self.count - 1 == self.k

    def fail(self, name):
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        given = (name,) if name else ()
        raise OSError(errno.EIO, os.strerror(errno.EIO), *given)

    def within(self, name):
        if isinstance(name, int):
            return False
        path = os.path.abspath(os.fsdecode(name))
        return path.startswith(f"{self.folder}{os.sep}")

    def install(self, put):
        """Takes the place of what the system offers; `put` sets attributes."""
        opened, rename, sync = builtins.open, os.replace, os.fsync
        mkdir, unlink = os.mkdir, os.unlink

        def open_(name, mode="r", *args, **kwargs):
            if not set(mode) & set("wxa+") or not self.within(name):
                return opened(name, mode, *args, **kwargs)
            if not self.due():
                return opened(name, mode, *args, **kwargs)
            if self.how == "torn":
                return _Torn(opened(name, mode, *args, **kwargs))
            return self.fail(name)

        def replace_(source, target, **kwargs):
            if self.within(target) and self.due():
                self.fail(target)
            return rename(source, target, **kwargs)

        def sync_(number):
            if self.due():
                self.fail(None)
            return sync(number)

        def mkdir_(name, *args, **kwargs):
            if self.within(name) and self.due():
                self.fail(name)
            return mkdir(name, *args, **kwargs)

        def unlink_(name, **kwargs):
            # Of a folder that is deleted, names are relative to it.
            inside = kwargs.get("dir_fd") is None and self.within(name)
            if inside and os.path.lexists(name) and self.due():
                self.fail(name)
            return unlink(name, **kwargs)

        for module, name, new in (
            (builtins, "open", open_),
            (io, "open", open_),
            (os, "replace", replace_),
            (os, "rename", replace_),
            (os, "fsync", sync_),
            (os, "mkdir", mkdir_),
            (os, "unlink", unlink_),
        ):
            put(module, name, new)


def _impute():
    impute.impute(impute.make_parser().parse_args(WORDS))


def _table(folder):
    folder.mkdir()
    (folder / "in.csv").write_text(TEXT)


def _results(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """What comes out of a run that nothing disturbs, and how much it does."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    _table(folder)
    faults = Faults(folder, -1, "failed")
    with pytest.MonkeyPatch.context() as patch:
        faults.install(patch.setattr)
        patch.chdir(folder)
        _impute()
    return _results(folder), _names(folder), faults.count


class _Disturber:
    """Installs `Faults` in another process; can be sent there."""

    def __init__(self, folder, k, how):
        self.folder, self.k, self.how = folder, k, how

    def __call__(self):
        command_line.PATIENCE = 0.2  # Nothing here ends well by waiting.
        Faults(self.folder, self.k, self.how).install(setattr)


def _command(folder, before=None):
    return Command("miri_jax.app.impute", *WORDS, cwd=folder, before=before)


def _checked(folder, k, how, reference):
    """A run whose k-th call fails, and the same command again."""
    results, names, _ = reference
    _table(folder)
    code, _, told = _command(folder, _Disturber(folder, k, how)).end()
    if code:
        reasons = (os.strerror(x) for x in (errno.EIO, errno.ENOSPC))
        assert any(reason in told for reason in reasons), told
        assert str(folder) in told or "out" in told, told
    assert (folder / "in.csv").read_text() == TEXT
    there = {name for name in OUTPUTS if (folder / name).exists()}
    for name in there:  # None is ever half of one.
        assert (folder / name).read_bytes() == results[name]
    if not code:  # At most the run's folder could not be deleted.
        assert there == set(OUTPUTS)
        assert {*_names(folder)} - {*names} <= {".out.csv.miri"}
        return
    if set(_names(folder)) != set(names):
        code, _, told = _command(folder).end()
        assert code == 0, told
    assert _results(folder) == results
    assert (folder / "in.csv").read_text() == TEXT
    assert _names(folder) == names


def test_many_things_are_done_to_files(reference):
    assert 30 < reference[2] < CALLS


@pytest.mark.parametrize("how", ["failed", "torn"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.95])
def test_a_disk_that_fails_loses_nothing(tmp_path, share, how, reference):
    k = int(share * reference[2])
    _checked(tmp_path / "run", k, how, reference)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["failed", "torn"])
@pytest.mark.parametrize("k", PLACES)
def test_a_disk_that_fails_anywhere_loses_nothing(tmp_path, k, how, reference):
    _checked(tmp_path / "run", k, how, reference)


@pytest.mark.slow
@pytest.mark.parametrize("k", PLACES)
def test_a_kill_anywhere_loses_nothing(tmp_path, k, reference):
    results, names, _ = reference
    folder = tmp_path / "run"
    _table(folder)
    for before in (_Disturber(folder, k, "killed"), None):
        command = _command(folder, before)
        whole = (
            not before and not (folder / ".out.csv.miri/config.json").exists()
        )
        code, _, err = command.end()
        if code == 0:
            break
        if whole and "already exists" in err:  # The run had come to its end.
            break
        assert before and code == -signal.SIGKILL, err
        assert (folder / "in.csv").read_text() == TEXT
        there = [name for name in OUTPUTS if (folder / name).exists()]
        for name in there:
            assert (folder / name).read_bytes() == results[name]
    assert _results(folder) == results
    assert {*_names(folder)} - {*names} <= {".out.csv.miri"}
    assert pathlib.Path(folder, "in.csv").read_text() == TEXT
