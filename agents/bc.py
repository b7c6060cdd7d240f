"""Behaviour cloning: the floor that every offline agent has to clear."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mbrl.agents.losses import behaviour_cloning
from mbrl.agents.networks import Actor
from mbrl.agents.optim import adam, step
from mbrl.core.optim import load_optimiser_state, norm_per_seed, optimiser_state
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class BC:
    """S stacked policies regressed on the data's actions; deterministic, as a squared error has no width."""

    deterministic = True

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        *,
        seeds: Sequence[int] = (0,),
        hidden: Sequence[int] = (256, 256, 256),
        lr: float = 3e-4,
        device: torch.device | str = "cpu",
    ) -> None:
        self.obs_dim, self.action_dim = obs_dim, action_dim
        self.device = torch.device(device)
        self.actor = Actor(obs_dim, action_dim, hidden, Streams(seeds, "agent.init")).to(self.device)
        self.parameters = list(self.actor.parameters())
        self.optimiser = adam(self.parameters, lr)

    @torch.no_grad()
    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [S, B, A] for obs [S, B, O]; the same with and without streams."""
        return self.actor.mode(obs)

    def update(self, batch: Transitions, streams: Streams) -> dict[str, Tensor]:
        """One regression step on rows [S, B, ...]; metrics [S]."""
        loss = behaviour_cloning(self.actor.mode(batch.obs), batch.action)
        gradients = step(self.optimiser, loss, self.parameters)
        return {"actor/loss": loss.detach(), "actor/gradient_norm": norm_per_seed(gradients)}

    def state_dict(self) -> dict[str, Any]:
        """Network and optimiser."""
        return {"actor": dict(self.actor.state_dict()), "optimiser": optimiser_state(self.optimiser)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict."""
        self.actor.load_state_dict(state["actor"])
        load_optimiser_state(self.optimiser, state.get("optimiser", {}))
