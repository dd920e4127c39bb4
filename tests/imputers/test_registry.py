"""Methods from outside: registered, or named by another package."""

import functools
import os
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

from miri_jax.app.config import base_config
from miri_jax.engine import fit
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import IMPUTERS, make_imputer, register
from miri_jax.imputers.simple import make_mean, make_median
from tests.command import ROOT
from tests.imputers.hot_deck import make_hot_deck


@pytest.fixture
def registered():
    register("hot_deck", make_hot_deck)
    yield
    del IMPUTERS["hot_deck"]


def test_a_registered_method_is_one_like_the_others(registered, table):
    assert "hot_deck" in IMPUTERS and "hot_deck" in list(IMPUTERS)
    assert IMPUTERS["hot_deck"] is make_hot_deck
    imputer = make_imputer("hot_deck", noise=0.5)
    x = np.asarray(fit(jax.random.key(0), imputer, table[0]).x)
    assert np.isfinite(x).all()
    register("hot_deck", make_hot_deck)  # the same once more is no harm
    with pytest.raises(
        ConfigError, match="noise is 2; method 'hot_deck' takes"
    ):
        make_imputer("hot_deck", noise=2)
    with pytest.raises(ConfigError, match="did you mean hot_deck"):
        make_imputer("hotdeck")


def test_configs_and_the_estimator_know_a_registered_method(registered):
    config = base_config()
    assert config.imputer.get_type("noise") is float
    config.imputer.noise = 0.25
    frame = pd.DataFrame({"a": [1.0, 2, None, 4, 5, 6], "b": [3.0, 1, 2] * 2})
    filled = MIRIImputer("hot_deck").fit_transform(frame)
    assert filled["a"][2] in {1, 2, 4, 5, 6}


def test_the_mapping_is_left_as_it_was():
    assert "hot_deck" not in IMPUTERS and len(IMPUTERS) == len({*IMPUTERS})
    assert IMPUTERS["mean"] is make_mean
    assert IMPUTERS.get("hot_deck") is None
    with pytest.raises(KeyError):
        IMPUTERS["hot_deck"]
    assert all(callable(factory) for factory in IMPUTERS.values())


def by_place(noise: float = 0.0):
    """A setting that is not keyword-only."""


def without_hint(*, noise=0.0):
    """A setting without a hint."""


def of_a_layout(*, layout: str = "rows"):
    """A setting by a name that the program gives a value to."""


def of_any_name(**settings: float):
    """Settings whose names nobody can know."""


def with_a_hint_of_nothing(*, noise: "Nois" = 0.0):  # noqa: F821
    """A hint that is a text without a meaning."""


@pytest.mark.parametrize(
    "factory, message",
    [
        (by_place, r"'noise' of by_place is not keyword-only; write `def"),
        (of_any_name, "'settings' of of_any_name is not keyword-only"),
        (without_hint, "without_hint has no type hint for 'noise'; write"),
        (of_a_layout, "'layout' of of_a_layout is what the program tells"),
        (with_a_hint_of_nothing, "'Nois' is not defined"),
        (3, "type hints of 3 cannot be read"),
    ],
)
def test_factories_that_cannot_be_checked_are_refused(factory, message):
    with pytest.raises(ConfigError, match=message):
        register("hot_deck", factory)
    assert "hot_deck" not in IMPUTERS


def test_a_name_that_is_taken_is_refused():
    for name in ("mean", "miri"):
        with pytest.raises(ConfigError, match=f"{name!r} already exists"):
            register(name, make_median)
    register("mean", make_mean)
    assert IMPUTERS["mean"] is make_mean


def test_settings_may_be_bound_before():
    """A preset of a method is one too."""
    register("noisy_deck", functools.partial(make_hot_deck, noise=0.3))
    try:
        with pytest.raises(ConfigError, match="noise is -1"):
            make_imputer("noisy_deck", noise=-1)
        assert make_imputer("noisy_deck").num_iterations == 1
    finally:
        del IMPUTERS["noisy_deck"]


ENTRIES = """[miri_jax.imputers]
deck_of_x = x_methods:make_hot_deck
broken = x_methods_that_fail:make
nowhere = x_methods:make_nothing
unclear = x_methods:unclear
mean = x_methods:make_hot_deck
"""
SCRIPT = """
from miri_jax.imputers import IMPUTERS, make_imputer, register
from miri_jax.exceptions import ConfigError
assert "deck_of_x" in IMPUTERS and "broken" in IMPUTERS
import sys
assert "x_methods" not in sys.modules
from miri_jax.app.config import base_config
assert base_config().imputer.get_type("noise") is float
assert make_imputer("deck_of_x", noise=0.1).num_iterations == 1
import x_methods
register("deck_of_x", x_methods.make_hot_deck)
assert IMPUTERS["mean"].__module__ == "miri_jax.imputers.simple"
for name in ("broken", "nowhere", "unclear"):
    try:
        make_imputer(name)
    except ConfigError as error:
        print(error)
"""


def test_methods_of_another_package_are_found_by_name(tmp_path):
    """A distribution as pip leaves it: a module, and a folder that names it."""
    info = tmp_path / "x-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: x\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "x_methods.py").write_text(
        "from tests.imputers.hot_deck import make_hot_deck as _make\n"
        "def make_hot_deck(*, noise: float = 0.0): return _make(noise=noise)\n"
        "def unclear(noise): return _make(noise=noise)\n"
    )
    (tmp_path / "x_methods_that_fail.py").write_text("import nothing_here\n")
    ended = subprocess.run(
        [sys.executable, "-W", "error:::miri_jax", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    broken, nowhere, unclear = ended.stdout.splitlines()
    assert "'broken' of the package x cannot be imported from" in broken
    assert "No module named 'nothing_here'" in broken
    assert "make_nothing" in nowhere and "package x" in nowhere
    assert "'noise' of unclear is not keyword-only" in unclear
    assert not ended.stderr
