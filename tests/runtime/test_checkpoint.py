"""Checkpoints: whole, exact, and passed over where they are damaged."""

import pathlib
import shutil

import chex
import jax
import jax.numpy as jnp
import pytest

from miri_jax.core import train
from miri_jax.exceptions import WorkdirError
from miri_jax.imputers import make_imputer
from miri_jax.runtime import checkpoint
from miri_jax.runtime.checkpoint import CheckpointStore


@pytest.fixture(scope="module")
def state(table):
    imputer = make_imputer(
        "miri", source="noise", num_steps=4, ode_steps=2, model={"width": 8}
    )
    state = imputer.init(jax.random.key(0), table[0])
    return imputer.step(jax.random.key(1), state, table[0])[0]


def _number(state, i):
    return state._replace(iteration=jnp.int32(i))


def test_round_trip_is_bit_exact(tmp_path, state):
    store = CheckpointStore(tmp_path)
    store.save(1, state)
    like = jax.eval_shape(lambda: state)
    step, loaded, notes = store.load_latest(like)
    assert (step, notes) == (1, [])
    chex.assert_trees_all_equal(loaded, state)
    assert jax.tree.structure(loaded) == jax.tree.structure(state)
    store.close()


def test_without_any_checkpoint(tmp_path, state):
    store = CheckpointStore(tmp_path / "new")
    assert store.load_latest(state) == (0, None, [])
    store.close()


def test_only_the_last_are_kept(tmp_path, state):
    store = CheckpointStore(tmp_path, keep=2)
    for i in range(1, 6):
        store.save(i, _number(state, i))
    store.close()
    steps = sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit())
    assert steps == [4, 5]


def _largest_file(folder: pathlib.Path) -> pathlib.Path:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return max(files, key=lambda p: p.stat().st_size)


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 10])


def _flip(path):
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data), 97):
        data[place] ^= 1
    path.write_bytes(bytes(data))


def _delete(path):
    path.unlink()


@pytest.mark.parametrize("damage", [_cut, _flip, _delete])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, state, damage):
    store = CheckpointStore(tmp_path)
    for i in (1, 2):
        store.save(i, _number(state, i))
    store.close()
    damage(_largest_file(tmp_path / "2"))
    store = CheckpointStore(tmp_path)
    step, loaded, notes = store.load_latest(state)
    assert step == 1 and int(loaded.iteration) == 1
    assert len(notes) == 1 and notes[0].startswith("checkpoint 2 is damaged")
    # The damaged one is replaced as the run comes to its step again.
    store.save(2, _number(state, 2))
    assert store.load_latest(state)[::2] == (2, [])
    store.close()


def test_all_damaged_is_an_error_that_names_the_folder(tmp_path, state):
    store = CheckpointStore(tmp_path)
    store.save(1, state)
    _cut(_largest_file(tmp_path / "1"))
    with pytest.raises(WorkdirError, match="no checkpoint in .* is whole"):
        store.load_latest(state)
    store.close()


def test_a_half_written_folder_is_ignored(tmp_path, state):
    """What a kill in the middle of writing leaves behind."""
    store = CheckpointStore(tmp_path)
    store.save(1, state)
    store.close()
    (tmp_path / "2.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    store = CheckpointStore(tmp_path)
    assert store.load_latest(state)[::2] == (1, [])
    store.close()


# A checkpoint that version 1 of the format has written; never to be changed.
FIXTURE = pathlib.Path(__file__).with_name("checkpoint_format_1")


def saved_fit():
    """The state in `FIXTURE`, as `fitting.fit` saves it."""
    x = jnp.arange(12, dtype=jnp.float32).reshape(4, 3)
    params = {"layer": {"kernel": x[:2] / 7, "bias": jnp.zeros(3)}}
    network = train.init_train_state(params, train.cosine_adam(1e-3, 10))
    state = {"iteration": jnp.int32(3), "x": x, "m": x > 2, "train": network}
    return {"state": state, "learning_rate_scale": jnp.float32(0.25)}


def test_checkpoints_of_format_1_are_still_read(tmp_path):
    shutil.copytree(FIXTURE, tmp_path / "checkpoints")
    store = CheckpointStore(tmp_path / "checkpoints")
    step, found, notes = store.load_latest(jax.eval_shape(saved_fit))
    store.close()
    assert (step, notes) == (7, [])
    # A seventh is rounded as the version of XLA has it.
    chex.assert_trees_all_close(found, saved_fit(), rtol=1e-6)


@pytest.mark.parametrize(
    "state, difference",
    [
        ({"a": jnp.zeros(2)}, "b is float32\\[3\\], not nothing"),
        (
            {"a": jnp.zeros(2), "c": jnp.zeros(())},
            "b is float32\\[3\\], not nothing",
        ),
        ({"a": jnp.zeros(2), "b": jnp.zeros(4)}, "not float32\\[4\\]"),
        ({"a": jnp.arange(2), "b": jnp.zeros(3)}, "not int32\\[2\\]"),
    ],
)
def test_a_whole_checkpoint_of_another_version_is_said(
    tmp_path, state, difference
):
    """Neither damaged, nor read into something else."""
    store = CheckpointStore(tmp_path)
    store.save(1, {"a": jnp.zeros(2), "b": jnp.zeros(3)})
    with pytest.raises(WorkdirError, match=f"another version.*{difference}"):
        store.load_latest(state)
    store.close()


def test_a_later_format_is_said(tmp_path, monkeypatch):
    state = {"a": jnp.zeros(2)}
    store = CheckpointStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 2)
        store.save(1, state)
    with pytest.raises(
        WorkdirError, match="format 2, not 1.*another folder"
    ) as error:
        store.load_latest(state)
    assert error.value.about == ("workdir", "restart")
    store.close()


def test_what_the_storage_layer_says_of_a_full_disk_is_the_systems(
    tmp_path, state, monkeypatch
):
    store = CheckpointStore(tmp_path)

    def fail(*args, **kwargs):
        raise ValueError(
            'RESOURCE_EXHAUSTED: Error writing "x": Failed to write 879 bytes'
            " to file 11: No space [source locations='a\\nb']\n"
            "[os_error_code='28']"
        )

    monkeypatch.setattr(store._checkpointer, "save", fail)
    with pytest.raises(WorkdirError, match="stay: No space left on device$"):
        store.save(1, state)
