"""Several processes that fill the same images, as on the hosts of a TPU slice.

They train, save and stop together, and what they saved goes on elsewhere.
"""

import json
import shutil
import signal
import socket

import numpy as np
import pytest

from miri_jax.app.run import run
from tests.command import Command
from tests.conftest import load_config

COMMON = {
    "draws": 2,
    "imputer.num_iterations": 3,
    "imputer.num_steps": 4,
    "imputer.num_slices": 2,
    "imputer.batch_size": 8,
    "imputer.ode_steps": 1,
    "checkpoint.every_seconds": 0,
    "eval_every": 3,
}
SETTINGS = {
    "toy": {"data.rows": 60, **COMMON},
    "cifar10": {"data.rows": 24, "data.size": 16, **COMMON},
}


def _start(config, workdir, settings):
    return Command(
        "miri_jax.main",
        f"--config=configs/{config}.py:smoke",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in settings.items()),
    )


def _start_two(config, workdir):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    together = {
        "distributed.coordinator_address": address,
        "distributed.num_processes": 2,
    }
    return [
        _start(
            config,
            workdir,
            {**SETTINGS[config], **together, "distributed.process_id": i},
        )
        for i in range(2)
    ]


def _end(processes):
    """Their exit statuses, and what they said."""
    codes, _, said = zip(*(process.end() for process in processes))
    return list(codes), said


def _run_here(config, folder):
    """The same in one process, on one device."""
    settings = load_config(config)
    settings.update_from_flattened_dict(SETTINGS[config])
    run(settings, str(folder))
    return folder


def _losses(folder):
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    return {
        row["step"]: row["loss"]
        for row in map(json.loads, rows)
        if "loss" in row
    }


def _assert_same(folder, other):
    mine, theirs = _losses(folder), _losses(other)
    assert mine.keys() == theirs.keys() == set(range(1, 7))
    for step, loss in mine.items():
        assert loss == pytest.approx(theirs[step], rel=1e-3), step
    x, y = (np.load(f / "imputed.npz")["x"] for f in (folder, other))
    assert x.shape == y.shape and len(x) == 2
    if x.dtype == np.uint8:  # rounded to whole numbers
        assert np.mean(x != y) < 0.02
        assert np.ptp(x.astype(int) - y) <= 4
    else:
        np.testing.assert_allclose(x, y, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["toy", "cifar10"])
def test_two_processes_stop_together_and_go_on_as_two_or_one(config, tmp_path):
    alone = _run_here(config, tmp_path / "alone")
    folder = tmp_path / "two"
    two = _start_two(config, folder)
    two[0].wait_for("iteration 1/3")
    two[1].send(signal.SIGTERM)
    codes, said = _end(two)
    assert codes == [143, 143], said
    assert "goes on from here" in said[0]
    assert not (folder / "imputed.npz").exists()
    shutil.copytree(folder, tmp_path / "one")

    codes, said = _end(_start_two(config, folder))
    assert codes == [0, 0], said
    assert "resuming in" in said[0] and "after iteration" in said[0]
    # Only one of them speaks and writes.
    assert "iteration" not in said[1]
    _assert_same(folder, alone)
    _assert_same(_run_here(config, tmp_path / "one"), alone)


def test_what_one_process_cannot_do_ends_both(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    codes, said = _end(_start_two("toy", tmp_path))
    assert codes == [1, 1], said
    assert "use another folder or delete" in said[0]
    assert "(--workdir)" in said[0]
    assert "process 0 cannot go on" in said[1]
