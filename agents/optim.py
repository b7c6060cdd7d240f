"""Adam over stacked parameters, and its state as plain tensors."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mbrl.agents.stacked_adam import StackedAdam
from mbrl.core.errors import ConfigError
from mbrl.core.per_member import PerMember, listed


def adam(parameters: Iterable[nn.Parameter], lr: PerMember, cosine: int | None = None) -> torch.optim.Adam:
    """Adam is elementwise, so one optimiser over a stack steps every seed as its own would.

    lr: one step size, or one for each of the S members; cosine: the number of steps over which lr falls to 0 along
    half a cosine; None: it stays. Fused where the device offers it; on CUDA capturable, so that a graph may contain
    the step. Raises ConfigError for a cosine over less than 1 step, and for another number of step sizes.
    """
    parameters = list(parameters)
    device = parameters[0].device
    options = {"fused": True, "capturable": device.type == "cuda"}
    rates = listed("lr", lr, len(parameters[0]))
    if cosine is not None and cosine < 1:
        raise ConfigError(f"a step size cannot fall over {cosine} updates: at least 1")
    if len(set(rates)) == 1:
        optimiser = torch.optim.Adam(parameters, lr=rates[0], **options)
    else:
        optimiser = StackedAdam(parameters, rates, **options)
    if cosine is not None:
        for group in optimiser.param_groups:
            # A tensor, changed in place: a captured graph reads its current value.
            group["base_lr"] = group["lr"]
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)
        optimiser.register_step_pre_hook(_cosine_hook(cosine))
    return optimiser


def cosine_rate(lr: float, done: Tensor, total: int) -> Tensor:
    """lr (1 + cos(pi t / T)) / 2 after t = `done` of T = `total` steps, and 0 from T on; a tensor like `done`.

    SGDR without restarts (Loshchilov and Hutter 2017, eq. 5).
    """
    return lr * 0.5 * (1 + torch.cos(math.pi * done.clamp(max=total) / total))


def _cosine_hook(total: int) -> Callable[..., None]:
    """Sets the step size before each step from Adam's own count of steps, so a saved optimiser knows its place."""

    def hook(optimiser: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for group in optimiser.param_groups:
            done = optimiser.state.get(group["params"][0], {}).get("step")
            done = torch.zeros_like(group["lr"]) if done is None else done
            group["lr"].copy_(cosine_rate(group["base_lr"], done, total))

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
