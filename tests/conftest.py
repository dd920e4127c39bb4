"""Strict settings for all tests, and small data that several of them use."""

import importlib.util
import os
import pathlib
import shutil
import tempfile

import jax
import numpy as np
import pytest

from miri_jax.types import Masked

# Most of the time goes into compiling small programs, which this cuts by a
# third. It is read when JAX first looks for its devices.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "standard")
# The workers of one run share what they compile; the next run starts afresh.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
CACHE = os.path.join(tempfile.gettempdir(), f"miri_jax_tests_{_RUN}")
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE  # for commands
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def pytest_sessionfinish():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(CACHE, ignore_errors=True)


def load_config(name, arg="smoke"):
    """What a file of configs/ returns."""
    root = pathlib.Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location(
        name, root / "configs" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(arg)


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="session")
def plane():
    """4000 x 2 normal rows with correlation 0.8 and 20 % gaps."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((4000, 2)).astype(np.float32)
    truth[:, 1] = 0.8 * truth[:, 0] + 0.6 * truth[:, 1]
    m = rng.random(truth.shape) > 0.2
    return Masked(jax.numpy.where(m, truth, 0), jax.numpy.asarray(m))


@pytest.fixture(scope="session")
def table():
    """200 x 3 correlated normal rows with 30 % gaps, and the truth."""
    rng = np.random.default_rng(0)
    cov = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])
    truth = rng.multivariate_normal(np.zeros(3), cov, 200)
    truth = truth.astype(np.float32)
    m = rng.random(truth.shape) > 0.3
    m[0] = False
    m[1] = True
    return Masked(jax.numpy.where(m, truth, 0), jax.numpy.asarray(m)), truth
