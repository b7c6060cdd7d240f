"""Behaviour cloning of every agent from joint data: the floor that learners have to clear."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mbrl.agents.multi import state
from mbrl.agents.multi.losses import masked_square
from mbrl.agents.multi.metrics import Info
from mbrl.agents.multi.networks import DeterministicActors, Start, require_shape
from mbrl.agents.optim import adam, step
from mbrl.core.joint import Layout
from mbrl.core.optim import norm_per_seed
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class JointBC:
    """S stacked teams, each agent's policy regressed on its own actions in the data."""

    deterministic = True

    def __init__(
        self,
        layout: Layout,
        *,
        seeds: Sequence[int] = (0,),
        hidden: Sequence[int] = (256, 256),
        lr: PerMember = 3e-4,
        start: Start | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """start: the joint action [N][A], or one a seed, that all policies begin with."""
        self.layout, self.device = layout, torch.device(device)
        self.actors = DeterministicActors(layout, hidden, Streams(seeds, "agent.init"), start=start)
        self.actors.to(self.device)
        self.parameters = list(self.actors.parameters())
        self.optimiser = adam(self.parameters, lr)

    @torch.no_grad()
    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [S, B, N, A] for obs [S, B, N, O]; the same with and without streams."""
        return self.actors(obs)

    def update(self, batch: Transitions, streams: Streams) -> Info:
        """One regression step on rows [S, B, N, ...]; metrics [S]."""
        require_shape("action", batch.action, self.layout)
        loss = masked_square(self.actors(batch.obs), batch.action, self.actors.action_mask)
        gradients = step(self.optimiser, loss, self.parameters)
        return {"actor/loss": loss.detach().mean(dim=-1), "actor/gradient_norm": norm_per_seed(gradients)}

    def state_dict(self) -> dict[str, Any]:
        """Networks and optimiser."""
        return state.saved({"actors": self.actors}, {"actors": self.optimiser})

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Inverse of state_dict, in place."""
        state.restore({"actors": self.actors}, {"actors": self.optimiser}, found)
