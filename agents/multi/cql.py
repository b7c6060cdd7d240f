"""CQL's regulariser for each of several agents' critics, over that agent's own actions."""

import torch
from torch import Tensor

from mbrl.agents.conservative import uniform_log_density
from mbrl.agents.losses import critic_regression
from mbrl.agents.multi import losses
from mbrl.agents.multi.matd3 import MATD3
from mbrl.agents.multi.metrics import Info, critic_metrics
from mbrl.agents.multi.per_seed import at_least, per_seed
from mbrl.agents.multi.views import own_values
from mbrl.core.errors import ConfigError
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class Conservatism:
    """w sum_k ( E[ T log int exp(Q_ik(s, a) / T) da_i ] - E[ Q_ik(s, a) ] ), the others' actions being fixed.

    CQL(H) (Kumar et al. 2020, arXiv 2006.04779) as Pan et al. 2022 (arXiv 2111.11188) give it to agents. The
    integral is an importance-weighted mean over 3R actions of agent i: R uniform ones, R about its policy at the
    observation and R about its policy at the next one. Deterministic policies get the density of a Gaussian of std
    `width` cut to the bounds. The others act as the batch has it, or as their policies (`others` of the agent); all
    rows of a batch count as data, synthetic ones included.
    """

    def __init__(
        self, weight: PerMember, temperature: float, repeats: int, width: float, agent: MATD3, members: int
    ) -> None:
        """weight: w, one or one a seed, beside a squared error without a factor 1/2; temperature: T; repeats: R.

        Raises ConfigError for impossible values.
        """
        at_least(0, members, cql_weight=weight)
        if temperature <= 0 or repeats < 1 or width <= 0:
            raise ConfigError(
                f"temperature={temperature}, repeats={repeats}, cql_width={width}: must be more than 0, at least 1 "
                "and more than 0"
            )
        self.weight = per_seed("cql_weight", weight, members, agent.device)
        self.temperature, self.repeats, self.width = temperature, repeats, width

    def critic_loss(
        self, agent: MATD3, batch: Transitions, target: Tensor, streams: Streams
    ) -> tuple[Tensor, Info]:
        """Regression on target [S, N, B] plus w times the gap, [S, N], and metrics."""
        q = agent.critics.fused_value(batch.obs, batch.action.unsqueeze(1))
        gap = self.gap(agent, batch, q, streams)
        loss = critic_regression(q, target) + self.weight * gap
        extra = {"critic/conservative_gap": gap.detach().mean(dim=-1)}
        return loss, critic_metrics(loss, q, target) | extra

    def gap(self, agent: MATD3, batch: Transitions, q_data: Tensor, streams: Streams) -> Tensor:
        """How far each agent's soft maximum lies above its values q_data [S, N, K, B] of the batch, [S, N].

        Differentiable with respect to the critics alone.
        """
        policies, later = agent.act(batch.obs), agent.act(batch.next_obs)
        action, log_density = self.candidates(policies, later, agent.actors.action_mask, streams)
        others = agent.others(policies, batch.action)
        q = own_values(agent.critics.fused_value, batch.obs, action, others)
        return losses.conservative_gap(losses.soft_maximum_own(q, log_density, self.temperature), q_data)

    def candidates(
        self, policies: Tensor, later: Tensor, mask: Tensor, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """Own actions [S, 3R, B, N, A] to weigh, and log-densities [S, 3R, B, N] over mask [N, A], the real ones.

        R uniform ones, R about the policies' actions [S, B, N, A] at obs, R about those at next_obs.
        """
        drawn = streams.rand(3 * self.repeats, *policies.shape[1:])
        uniform, near = drawn.split([self.repeats, 2 * self.repeats], dim=1)
        mean = torch.stack([policies, later], dim=1).repeat_interleave(self.repeats, dim=1)
        action, log_density = losses.truncated_noise(mean, self.width, near)
        flat = torch.full_like(uniform, uniform_log_density(1))
        density = torch.where(mask, torch.cat([flat, log_density], dim=1), 0.0).sum(-1)
        return torch.cat([2 * uniform - 1, action], dim=1), density
