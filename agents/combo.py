"""COMBO: values pushed down at actions a policy may take, up at the data's (Yu et al. 2021, arXiv 2102.08363).

No penalty on the reward and no look into the model: CQL's regulariser on rows mixed from data and rollouts.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mbrl.agents.conservative import conservative_gap, soft_maximum, uniform_log_density
from mbrl.agents.sac import SAC, Info
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.maths import squashed_sample
from mbrl.core.per_member import PerMember, listed, per_member
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions

STATES: dict[str, Callable[[Transitions], Tensor]] = {
    "mix": lambda batch: torch.ones_like(batch.terminal),
    "model": lambda batch: batch.step > 0,
}
"""rho(s): the rows on whose states values are pushed down; all of the batch, or the synthetic ones."""


class COMBO(SAC):
    """SAC whose critics also minimise w ( E_rho[ soft maximum of Q(s, .) ] - E_data[ Q(s, a) ] )."""

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        *,
        cql_weight: PerMember = 1.0,
        temperature: float = 1.0,
        repeats: int = 10,
        states: str = "mix",
        **sac: Any,
    ) -> None:
        """cql_weight: w, one or one a seed, beside a squared error without the paper's factor 1/2; repeats:
        actions drawn for a state from each of three distributions; states: a name in STATES; sac: arguments of
        SAC. Raises ConfigError for impossible values.
        """
        members = len(sac.get("seeds", (0,)))
        if min(listed("cql_weight", cql_weight, members)) < 0 or temperature <= 0 or repeats < 1:
            raise ConfigError(
                f"cql_weight={cql_weight}, temperature={temperature}, repeats={repeats}: must be at least 0, "
                "more than 0 and at least 1"
            )
        if states not in STATES:
            raise ConfigError(unknown_name("states", states, STATES))
        super().__init__(obs_dim, action_dim, **sac)
        self.cql_weight = per_member("cql_weight", cql_weight, members, self.device)
        self.temperature, self.repeats = temperature, repeats
        self.states = STATES[states]

    def critic_loss(self, batch: Transitions, target: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """SAC's loss [S] plus w times the gap. Its noise is drawn last, so that w = 0 is SAC's update bit for bit.

        NaN for a batch without real rows, or without synthetic ones where `states` asks for them.
        """
        loss, info = super().critic_loss(batch, target, streams)
        gap = self.conservative_gap(batch, streams)
        loss = loss + self.cql_weight * gap
        return loss, info | {"critic/loss": loss.detach(), "critic/conservative_gap": gap.detach()}

    def conservative_gap(self, batch: Transitions, streams: Streams) -> Tensor:
        """How far the soft maximum over actions lies above the data's values, [S], summed over critics.

        Differentiable with respect to the critics alone: the policy's actions and densities are constants here.
        """
        action, log_density = self.candidates(batch, streams)
        action = torch.cat([action, batch.action.unsqueeze(1)], dim=1)
        obs = batch.obs.unsqueeze(1).expand(-1, action.shape[1], -1, -1)
        q = self.critics(obs.flatten(1, 2), action.flatten(1, 2))
        q = q.unflatten(-1, action.shape[1:3])
        soft_max = soft_maximum(q[:, :, :-1], log_density, self.temperature)
        return conservative_gap(soft_max, q[:, :, -1], self.states(batch), batch.step == 0)

    @torch.no_grad()
    def candidates(self, batch: Transitions, streams: Streams) -> tuple[Tensor, Tensor]:
        """Actions [S, 3R, B, A] to weigh at batch.obs, and the log-density [S, 3R, B] of each.

        R = repeats uniform ones, then R from the policy at obs, then R from the policy at next_obs.
        """
        repeats, rows = self.repeats, len(batch)
        uniform = 2 * streams.rand(repeats, rows, self.action_dim) - 1
        density = torch.full_like(uniform[..., 0], uniform_log_density(self.action_dim))
        mean, log_std = self.actor(torch.cat([batch.obs, batch.next_obs], dim=-2))
        noise = streams.randn(repeats, 2 * rows, self.action_dim)
        action, log_prob = squashed_sample(mean.unsqueeze(1), log_std.unsqueeze(1), noise)
        return (
            torch.cat([uniform, *action.split(rows, dim=-2)], dim=1),
            torch.cat([density, *log_prob.split(rows, dim=-1)], dim=1),
        )
