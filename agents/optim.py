"""Adam over stacked parameters, and its state as plain tensors."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn


def adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam is elementwise, so one optimiser over a stack steps every seed as its own would.

    Fused where the device offers it; on CUDA capturable, so that a graph may contain the step.
    """
    parameters = list(parameters)
    cuda = parameters[0].is_cuda
    return torch.optim.Adam(parameters, lr=lr, fused=True, capturable=cuda)


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


def norm_per_seed(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over all tensors [S, ...] of each seed, shape [S]."""
    return torch.stack([t.detach().flatten(1).square().sum(1) for t in tensors]).sum(0).sqrt()


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """Moments and step counts by parameter index; hyper-parameters are configuration and stay out."""
    state = optimiser.state_dict()["state"]
    return {str(i): dict(entries) for i, entries in state.items()}


def load_optimiser_state(optimiser: torch.optim.Optimizer, state: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Inverse of optimiser_state; {} is the state before the first step, which leaves no trace in a file.

    Copies, since torch would keep the given moments and step them in place for both owners.
    """
    groups = optimiser.state_dict()["param_groups"]
    entries = {int(i): {k: t.clone() for k, t in tensors.items()} for i, tensors in state.items()}
    optimiser.load_state_dict({"state": entries, "param_groups": groups})
