"""How programs are compiled."""

import jax
import jax.numpy as jnp
import pytest

from miri_jax.core import propensity
from miri_jax.core.rows import gap_rows
from miri_jax.imputers import make_imputer
from miri_jax.imputers.knewimp import Particles, kernel_velocity
from miri_jax.metrics.mmd import _kernel_row_means, _squared_distances
from miri_jax.sources import normal, smooth

HIGHEST = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)


def products(jaxpr):
    """The precision of each matrix product and convolution of a program."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("dot_general", "conv_general_dilated"):
            yield eqn.params["precision"]
        for inner in jax.tree.leaves(
            list(eqn.params.values()),
            is_leaf=lambda p: isinstance(p, jax.extend.core.ClosedJaxpr),
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def conditional(k):
    """A draw of `k` rows of one mask."""
    eye = jnp.eye(3)
    rows, m = jnp.ones((k, 3)), jnp.array([True, False, True])
    gaussian = normal.Gaussian(jnp.zeros(3), eye, eye)
    return lambda: normal.conditional_draw(rows, rows, m, gaussian, 5)


def of_propensities():
    x, m = jnp.ones((9, 3)), jnp.ones((9, 3), bool)
    return propensity.inverse_weights(propensity.fitted()(x, m), x)


def of_images():
    x, m = jnp.ones((2, 4, 4, 3)), jnp.ones((4, 4, 3), bool)
    data = smooth.Masked(x, jnp.stack([m, m]))
    errors = smooth.fit_errors(jax.random.key(0), data)
    return smooth.biharmonic_draw(x, x, m, errors)


def of_particles():
    x = jnp.ones(3)
    return kernel_velocity(x, x, Particles(x[None], x[None]), 1.0, 0.0)


@pytest.mark.parametrize(
    "function",
    [
        conditional(1),
        conditional(4),
        of_propensities,
        of_images,
        of_particles,
        lambda: _squared_distances(jnp.ones((2, 3)), jnp.ones((4, 3))),
        lambda: _kernel_row_means(
            jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.float32(1), 2
        ),
    ],
)
def test_products_keep_all_digits(function):
    """GPUs and TPUs would drop them; a CPU would not show it."""
    found = [*products(jax.make_jaxpr(function)().jaxpr)]
    assert found and all(precision == HIGHEST for precision in found)


def test_a_table_drawn_by_a_gaussian(table):
    data, _ = table
    imputer = make_imputer("gaussian", num_iterations=2)
    key = jax.random.key(0)
    state = imputer.init(key, data)
    draw = jax.make_jaxpr(lambda key: imputer.impute(key, state, data))(key)
    found = [*products(draw.jaxpr)]
    assert found and all(precision == HIGHEST for precision in found)


def test_networks_may_be_faster(table):
    """As is usual; `gap_rows` and other parts have no products."""
    data, _ = table
    assert not [*products(jax.make_jaxpr(gap_rows)(data.m).jaxpr)]
    imputer = make_imputer("missdiff", num_iterations=1, num_steps=1)
    key = jax.random.key(0)
    state = imputer.init(key, data)
    step = jax.make_jaxpr(lambda key: imputer.step(key, state, data))(key)
    assert None in [*products(step.jaxpr)]
