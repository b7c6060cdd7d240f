"""What an optimiser over stacked parameters has accumulated, as plain tensors; and norms of each seed's share."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def norm_per_seed(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over all tensors [S, ...] of each seed, shape [S]."""
    norms = [torch.linalg.vector_norm(t.detach().flatten(1), dim=1) for t in tensors]
    return torch.linalg.vector_norm(torch.stack(norms), dim=0)


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
