"""Images a second, floating-point operations and memory of a fit to images.

    PYTHONPATH=. python experiments/image_throughput.py \
        --config configs/cifar10.py --config.data.images=npz:FILE

Takes a few SGD steps of the config's fit, as a fit takes them, and appends a
line: the median of their images a second, the operations of the matrix products
and convolutions of a step, these as a share of the device's peak where
`--peak_tflops` gives it (one H200 in bfloat16: 989), and the device's peak
memory. Goal on a GPU: 35 % of the peak.
"""

import math
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from experiments import records
from miri_jax.app.run import method_settings, start_devices
from miri_jax.core import flow, pairs, parallel, train
from miri_jax.data import load_dataset
from miri_jax.models import velocity_network
from miri_jax.runtime.provenance import peak_memory
from miri_jax.sources import by_mask
from miri_jax.sources.smooth import biharmonic_draw, fit_errors
from miri_jax.types import Cond, Masked

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Measures, and keeps the line."""
    del argv
    config = FLAGS.config
    start_devices(config)
    data = load_dataset(**config.data.to_dict()).masked()
    settings = method_settings(config)
    size, model = settings["batch_size"], settings["model"]
    state, how = first_state(parallel.spread(data, len(data.x)), size, model)
    found = measure(state, how, size, FLAGS.steps)
    if FLAGS.peak_tflops:
        peak = FLAGS.peak_tflops * jax.device_count()
        found["share_of_peak"] = found["tflops"] / peak
    found |= {f"peak_{k}_bytes": v for k, v in peak_memory().items()}
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    records.append(
        FLAGS.out, batch_size=size, model=model, device=device, **found
    )
    print(found)


def first_state(
    data: Masked, size: int, model: Mapping[str, Any]
) -> tuple[train.TrainState, dict[str, Any]]:
    """A state, and the arguments of `train.sgd`, as miri's."""
    shape = (size, *data.x.shape[1:])
    network = velocity_network(shape, {"zero_output": True, **model})
    x, m = data.x[0], data.m[0]
    cond, tau = Cond(x, x, m, x), jnp.float32(0.5)
    params = network.init(jax.random.key(0), x, cond, tau)
    optimizer = train.cosine_adam(1e-3, 10**6)
    errors = fit_errors(jax.random.key(2), data)
    sample_batch = partial(
        pairs.draw_batch,
        rows=pairs.bank(*data),
        batch_size=size,
        choose=pairs.thinned(),
        base=by_mask(lambda z, x, m: biharmonic_draw(z, x, m, errors)),
        weight=pairs.where_moved,
    )
    apply_fn = lambda params, *args: network.apply(params, *args)
    how = dict(
        sample_batch=sample_batch,
        loss_fn=lambda p, batch: flow.flow_loss(p, apply_fn, batch),
        optimizer=optimizer,
    )
    return parallel.spread(train.init_train_state(params, optimizer), 0), how


def measure(
    state: train.TrainState, how: Mapping[str, Any], size: int, count: int
) -> dict[str, float]:
    """Images a second and operations, of `count` steps three times.

    As a fit takes them: in one program, on a CPU one by one. What comes first
    counts not.
    """
    key = jax.random.key(1)
    step = partial(train.sgd_step, **how)
    operations = operations_of(jax.make_jaxpr(step)(key, state).jaxpr)
    loop = jax.default_backend() != "cpu"
    if loop:
        step = partial(train.sgd, num_steps=count, **how)
    began = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=1).lower(key, state).compile()
    compiling = time.perf_counter() - began
    seconds = []
    for _ in range(4 if loop else count):
        began = time.perf_counter()
        state, loss = compiled(key, state)
        loss.block_until_ready()
        seconds.append((time.perf_counter() - began) / (count if loop else 1))
    median = float(np.median(seconds[1:]))
    return {
        "images_per_second": size / median,
        "tflop_per_step": operations / 1e12,
        "tflops": operations / median / 1e12,
        "compile_seconds": compiling,
    }


def operations_of(program: Any) -> int:
    """Operations of a program's matrix products and convolutions.

    Where a kernel reaches over an edge it counts whole; parts of loops once.
    """
    found = 0
    for equation in program.eqns:
        name, given = equation.primitive.name, equation.params
        if name == "dot_general":
            (summed, _), _ = given["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            each = math.prod(shape[i] for i in summed)
            found += 2 * equation.outvars[0].aval.size * each
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            outputs = kernel.shape[given["dimension_numbers"].rhs_spec[0]]
            found += 2 * equation.outvars[0].aval.size * kernel.size // outputs
        for inner in jax.tree.leaves([*given.values()]):
            inner = getattr(inner, "jaxpr", inner)
            found += operations_of(inner) if hasattr(inner, "eqns") else 0
    return found


def define_flags() -> None:
    """The command line."""
    config_flags.DEFINE_config_file("config", "configs/cifar10.py")
    flags.DEFINE_integer("steps", 20, "Timed SGD steps; the first counts not.")
    flags.DEFINE_float("peak_tflops", 0, "Of one device; 0 if unknown.")
    flags.DEFINE_string("out", "results/image_throughput.jsonl", "The line.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
