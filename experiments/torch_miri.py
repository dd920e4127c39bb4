"""Algorithm 1 of the MIRI paper in eager PyTorch, to compare speed with.

The network, optimiser and numbers of `make_miri_paper`; nothing is compiled.
Needs the extra `bench`.
"""

import math
import os
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

WIDTH, DEPTH, NUM_FREQUENCIES = 256, 3, 2
BATCH_SIZE, LEARNING_RATE, CLIP_NORM = 512, 2e-3, 1.0


def make_network(d: int) -> torch.nn.Sequential:
    """The MLP of `make_miri_paper` for d columns."""
    sizes = [4 * d + 1 + 2 * NUM_FREQUENCIES, *[WIDTH] * DEPTH]
    layers: list[torch.nn.Module] = []
    for i, o in pairwise(sizes):
        layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], d))


def inputs(
    x_tau: torch.Tensor,
    x0: torch.Tensor,
    x1: torch.Tensor,
    m0: torch.Tensor,
    tau: torch.Tensor,
) -> torch.Tensor:
    """What the network sees of rows `[b, d]` at times `[b, 1]` (eq. 6)."""
    angles = tau * math.pi * 2.0 ** torch.arange(NUM_FREQUENCIES)
    parts = [x_tau * (1 - m0), x0 * m0, x1 * m0, m0]
    return torch.cat([*parts, tau, angles.sin(), angles.cos()], 1)


def make_train(
    net: torch.nn.Module, x: torch.Tensor, m: torch.Tensor, life: int
) -> Callable[[int], None]:
    """Lines 4-9 of Algorithm 1: takes a number of the `life` SGD steps."""
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, life)

    def train(num_steps: int) -> None:
        for _ in range(num_steps):
            rows0, rows1 = torch.randint(len(x), (2, BATCH_SIZE))
            tau = torch.rand(BATCH_SIZE, 1)
            x0, x1, m0 = x[rows0], x[rows1], m[rows0]
            v = net(inputs((1 - tau) * x0 + tau * x1, x0, x1, m0, tau))
            loss = torch.nn.functional.mse_loss(v, x1 - x0)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
            optimizer.step()
            cosine.step()

    return train


@torch.no_grad()
def solve(
    net: torch.nn.Module, x: torch.Tensor, m: torch.Tensor, ode_steps: int
) -> torch.Tensor:
    """Line 10, by Algorithm 2."""
    z = x
    for k in range(1, ode_steps + 1):
        tau = torch.full((len(x), 1), k / ode_steps)
        z = z + (1 - m) * net(inputs(z, x, x, m, tau)) / ode_steps
    return z


def algorithm1(
    seed: int,
    x: np.ndarray,
    m: np.ndarray,
    *,
    num_iterations: int = 10,
    num_steps: int = 1000,
    ode_steps: int = 100,
) -> np.ndarray:
    """The filled table `[n, d]`, from a standardised one and its mask."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(seed)
    m = torch.tensor(np.asarray(m), dtype=torch.float32)
    x = torch.tensor(np.asarray(x)) * m
    x = x + (1 - m) * torch.randn(x.shape)
    for _ in range(num_iterations):
        net = make_network(x.shape[1])
        make_train(net, x, m, num_steps)(num_steps)
        x = solve(net, x, m, ode_steps)
    return x.numpy()
