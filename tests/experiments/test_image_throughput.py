"""Operations, as the share of a device's peak has them."""

import jax
import jax.numpy as jnp

from experiments import image_throughput


def test_operations_of_products_and_convolutions():
    """Two for each multiplication and addition, in programs within it too."""
    a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
    product = jax.make_jaxpr(jax.jit(lambda a, b: jnp.sin(a @ b)))(a, b)
    assert image_throughput.operations_of(product.jaxpr) == 2 * 3 * 4 * 5
    x, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 7))
    conv = lambda x, kernel: jax.lax.conv_general_dilated(
        *(x, kernel, (1, 1), "SAME"), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    once = 2 * (2 * 8 * 8 * 7) * (3 * 3 * 3)
    forward = jax.make_jaxpr(conv)(x, kernel).jaxpr
    assert image_throughput.operations_of(forward) == once
    loss = lambda x, kernel: jnp.sum(jnp.square(conv(x, kernel)))
    both = jax.make_jaxpr(jax.grad(loss, (0, 1)))(x, kernel).jaxpr
    assert image_throughput.operations_of(both) == 3 * once
