"""Small methods and tables that several files of tests use."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.engine import iterate
from miri_jax.imputers import IMPUTERS, make_imputer
from miri_jax.types import Masked

# Small enough for seconds; every method takes those it knows.
SMALL = {
    "num_iterations": 2,
    "num_steps": 8,
    "batch_size": 32,
    "ode_steps": 4,
    "flow_steps": 4,
    "diffusion_steps": 8,
    "gaussian_rounds": 4,
    "sampling_steps": 4,
    "num_resamples": 2,
    "num_samples": 2,
    "chains": 2,
    "noise": 0.1,  # of hot_deck
    "model": {"width": 8},
}
CASES = [
    *IMPUTERS,
    "miri source=previous",
    "miri_paper initial=mean num_slices=4",
    *(
        pytest.param(case, marks=pytest.mark.slow)
        for case in (
            "miri source=noise warm_start=False imputed_weight=1.0",
            "miri num_slices=2 solver=euler",
        )
    ),
]


def small_settings(name, **other):
    takes = inspect.signature(IMPUTERS[name]).parameters
    return {k: v for k, v in SMALL.items() if k in takes} | other


def make_case(case):
    name, *extra = case.split()
    settings = small_settings(name)
    for item in extra:
        key, _, value = item.partition("=")
        literal = {"False": False, "1.0": 1.0, "4": 4, "2": 2}
        settings[key] = literal.get(value, value)
    if "source=previous" in case:
        settings["keep_velocities"] = True
    return make_imputer(name, **settings)


def fit_case(imputer, data, seed=0):
    root = jax.random.key(seed)
    key_init, key_steps = jax.random.split(root)
    state = imputer.init(key_init, data)
    infos = []
    for state, info in iterate(key_steps, imputer, data, state):
        infos.append(info)
    return state, infos


def bits(x):
    return np.asarray(x, np.float32).view(np.int32)


def normal_with_gaps(n, rate, seed=0):
    rng = np.random.default_rng(seed)
    root = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [-0.5, 0.5, 0.7]])
    truth = (rng.standard_normal((n, 3)) @ root.T).astype(np.float32)
    m = rng.random(truth.shape) > rate
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    return data, truth, (root @ root.T)
