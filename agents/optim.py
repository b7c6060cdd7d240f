"""Adam over stacked parameters, and its state as plain tensors."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mbrl.core.errors import ConfigError


def adam(parameters: Iterable[nn.Parameter], lr: float, cosine: int | None = None) -> torch.optim.Adam:
    """Adam is elementwise, so one optimiser over a stack steps every seed as its own would.

    cosine: the number of steps over which lr falls to 0 along half a cosine; None: it stays.
    Fused where the device offers it; on CUDA capturable, so that a graph may contain the step. Raises ConfigError
    for a cosine over less than 1 step.
    """
    parameters = list(parameters)
    options = {"fused": True, "capturable": parameters[0].is_cuda}
    if cosine is None:
        return torch.optim.Adam(parameters, lr=lr, **options)
    if cosine < 1:
        raise ConfigError(f"a step size cannot fall over {cosine} updates: at least 1")
    # A tensor, changed in place: a captured graph reads its current value.
    rate = torch.tensor(lr, dtype=torch.float32, device=parameters[0].device)
    optimiser = torch.optim.Adam(parameters, lr=rate, **options)
    optimiser.register_step_pre_hook(_cosine_hook(lr, cosine))
    return optimiser


def cosine_rate(lr: float, done: Tensor, total: int) -> Tensor:
    """lr (1 + cos(pi t / T)) / 2 after t = `done` of T = `total` steps, and 0 from T on; a tensor like `done`.

    SGDR without restarts (Loshchilov and Hutter 2017, eq. 5).
    """
    return lr * 0.5 * (1 + torch.cos(math.pi * done.clamp(max=total) / total))


def _cosine_hook(lr: float, total: int) -> Callable[..., None]:
    """Sets the step size before each step from Adam's own count of steps, so a saved optimiser knows its place."""

    def hook(optimiser: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        group = optimiser.param_groups[0]
        done = optimiser.state.get(group["params"][0], {}).get("step")
        group["lr"].copy_(cosine_rate(lr, torch.zeros_like(group["lr"]) if done is None else done, total))

    return hook


def step(optimiser: torch.optim.Optimizer, loss: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """One step on the sum over seeds of loss [S], with respect to `parameters` alone; returns the gradients.

    Differentiating for the wanted parameters only spares, in the actor's step, the critics' weight gradients.
    """
    gradients = torch.autograd.grad(loss.sum(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # The fused step walks memory and ignores strides: a transposed gradient would be applied scrambled.
        parameter.grad = gradient.contiguous()
    optimiser.step()
    return list(gradients)
