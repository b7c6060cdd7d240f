"""What learners of several modules and optimisers are made of, as nested dicts of tensors and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mbrl.core.optim import load_optimiser_state, optimiser_state

Parts = Mapping[str, nn.Module]
Optimisers = Mapping[str, torch.optim.Optimizer]


def saved(parts: Parts, optimisers: Optimisers) -> dict[str, Any]:
    """Weights by part, live, and what each optimiser has accumulated."""
    networks = {name: dict(part.state_dict()) for name, part in parts.items()}
    return {**networks, "optimisers": {name: optimiser_state(o) for name, o in optimisers.items()}}


@torch.no_grad()
def restore(parts: Parts, optimisers: Optimisers, state: Mapping[str, Any]) -> None:
    """Inverse of saved, in place, so that optimisers and captured graphs keep their parameters."""
    for name, part in parts.items():
        part.load_state_dict(state[name])
    for name, optimiser in optimisers.items():
        load_optimiser_state(optimiser, state.get("optimisers", {}).get(name, {}))
