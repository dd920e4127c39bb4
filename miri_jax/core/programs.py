"""How programs are compiled: fast, and with all digits where they matter."""

import functools
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

from miri_jax.types import Array

P = ParamSpec("P")
R = TypeVar("R")
LEVEL = "xla_backend_optimization_level"
# Of LLVM on CPUs, where XLA_FLAGS does not say. Its highest, which XLA asks
# for, unrolls the loops of random bits, which takes five times as long; what is
# compiled runs no faster (docs/speed.md).
CPU_LEVEL = 1


def compiled(function: Callable[..., Any], **settings: Any) -> Any:
    """`jax.jit`, with less optimisation on a CPU.

    What JAX runs on is asked at the first call. Within another program the
    function is a part of that.

    Args:
      function: what to compile.
      **settings: of `jax.jit`.
    """

    @functools.cache
    def program(alone: bool) -> Any:
        options, asked = None, LEVEL in os.environ.get("XLA_FLAGS", "")
        if alone and not asked and jax.default_backend() == "cpu":
            options = {LEVEL: CPU_LEVEL}
        return jax.jit(function, compiler_options=options, **settings)

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        leaves = jax.tree.leaves((args, named))
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        return program(not traced)(*args, **named)

    return call


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose matrix products keep all digits of single precision.

    Where they are not asked for, GPUs keep 11 bits of each factor and TPUs 8.
    That is enough for networks, and too little where digits cancel: in
    conditional covariances, or distances from squares.
    """

    @functools.wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        with jax.default_matmul_precision("highest"):
            return function(*args, **named)

    return call


@functools.partial(compiled, static_argnums=1)
def split(key: Array, count: int) -> tuple[Array, ...]:
    """`jax.random.split`, apart, as one program for each number of keys."""
    return tuple(jax.random.split(key, count))
