"""Multi-agent SAC with K critics an agent, and their diversity (SAC-N, EDAC and RAVL for teams).

With critics of the joint action, an agent's soft value counts the entropy of all policies: then all agents' values
are those of one objective, E sum_t gamma^t (r + sum_j alpha_j H(pi_j)), which is SAC's for the joint policy
prod_j pi_j, and no agent learns to take entropy from another. Independent critics see one agent, and count its own
entropy. One agent is mbrl.agents.SAC, bit for bit.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mbrl.agents import losses as single
from mbrl.agents.multi import losses, state
from mbrl.agents.multi.metrics import Info, critic_metrics, ordered_mean
from mbrl.agents.multi.networks import GaussianActors, JointCritics, Start, require_shape
from mbrl.agents.multi.per_seed import per_seed
from mbrl.agents.multi.views import ENTROPY, OTHERS, VIEWS, among, pick
from mbrl.agents.optim import adam, step
from mbrl.agents.soft import needs_diversity, temperatures
from mbrl.core.joint import Layout
from mbrl.core.maths import polyak_
from mbrl.core.optim import norm_per_seed
from mbrl.core.per_member import PerMember, listed
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class MASAC:
    """S stacked teams; batches carry rows [S, B, N, ...], losses are [S, N] and metrics [S]."""

    compilable = ("target", "critic_loss", "actor_loss")

    def __init__(
        self,
        layout: Layout,
        *,
        seeds: Sequence[int] = (0,),
        num_critics: int = 2,
        eta: PerMember = 0.0,
        hidden: Sequence[int] = (256, 256),
        critic: str = "central",
        others: str = "data",
        gamma: float = 0.99,
        tau: float = 0.005,
        actor_lr: PerMember = 3e-4,
        critic_lr: PerMember = 3e-4,
        alpha_lr: PerMember = 3e-4,
        auto_alpha: bool = True,
        alpha: PerMember = 1.0,
        alpha_max: float | None = None,
        target_entropy: PerMember | None = None,
        backup_entropy: bool = True,
        log_std_bounds: tuple[float, float] = (-5.0, 2.0),
        start: Start | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """As mbrl.agents.SAC, with a temperature an agent: eta, alpha, target_entropy (of every agent; None: minus
        the number of its actions) and step sizes may be given one a seed. critic: a name in VIEWS; others: a name
        in OTHERS; start: the mode [N][A] of the joint policy, or one a seed, to begin with. Raises ConfigError for
        unknown names and impossible values.
        """
        members = len(seeds)
        self.diverse = needs_diversity(eta, num_critics, hidden, members)
        alphas, self.alpha_max = temperatures(alpha, alpha_max, members)
        self.layout, self.gamma, self.tau, self.auto_alpha = layout, gamma, tau, auto_alpha
        self.backup_entropy = backup_entropy
        self.others, self.entropy = pick("others", others, OTHERS), pick("critic", critic, ENTROPY)
        self.device = torch.device(device)
        self.eta = per_seed("eta", eta, members, self.device)
        self.target_entropy = self._target_entropy(target_entropy, members)
        # Drawn on the CPU whatever the device, so that a seed means the same weights everywhere.
        init = Streams(seeds, "agent.init")
        self.actors = GaussianActors(layout, hidden, init, log_std_bounds, start).to(self.device)
        self.critics = JointCritics(layout, num_critics, hidden, init, VIEWS[critic]).to(self.device)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        start_alpha = torch.tensor(alphas, device=self.device).unsqueeze(-1).repeat(1, layout.agents)
        self.log_alpha = nn.Parameter(start_alpha.log())
        self.actor_parameters = list(self.actors.parameters())
        self.critic_parameters = list(self.critics.parameters())
        self.actor_optimiser = adam(self.actor_parameters, actor_lr)
        self.critic_optimiser = adam(self.critic_parameters, critic_lr)
        self.alpha_optimiser = adam([self.log_alpha], alpha_lr)

    @property
    def alpha(self) -> Tensor:
        """Temperatures [S, N], without gradient."""
        return self.log_alpha.detach().exp().clamp_max(self.alpha_max)

    @torch.no_grad()
    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [S, B, N, A] for obs [S, B, N, O]: sampled with streams, else the deterministic one."""
        if streams is None:
            return self.actors.mode(obs)
        return self.actors.sample(obs, self._noise(obs, streams))[0]

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """log pi_i(a_i|o_i) [S, B, N], differentiable in action and finite (`GaussianActors.log_prob`)."""
        return self.actors.log_prob(obs, action)

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std [S, B, N, A] of the policies' actions (`GaussianActors.gaussian`)."""
        return self.actors.gaussian(obs)

    @torch.no_grad()
    def values(self, obs: Tensor) -> Tensor:
        """Q(s, pi(s)) [S, K, B] at the deterministic action, for obs [S, B, N, O], as `ordered_mean` has them."""
        return self.q_values(obs, self.actors.mode(obs))

    @torch.no_grad()
    def q_values(self, obs: Tensor, action: Tensor) -> Tensor:
        """Q(s, a) [S, K, B] for obs [S, B, N, O] and action [S, B, N, A], as `ordered_mean` has them."""
        return ordered_mean(self.critics(obs, action.unsqueeze(1)))

    def update(self, batch: Transitions, streams: Streams) -> Info:
        """Temperatures, actors, critics, targets, once each, on rows [S, B, N, ...]; metrics [S], no host sync."""
        require_shape("action", batch.action, self.layout)
        info = self._update_actors(batch, streams) | self._update_critics(batch, streams)
        polyak_(self.targets.parameters(), self.critic_parameters, self.tau)
        return info

    def target(self, batch: Transitions, streams: Streams) -> Tensor:
        """The critics' regression target [S, N, B]: r + gamma (min_k Q'_ik(s', a') - cost).

        a' is drawn from all policies. cost: sum_j alpha_j log pi_j(a'_j|o'_j) of critics of the joint action,
        alpha_i log pi_i(a'_i|o'_i) of independent ones, 0 without backup_entropy.
        """
        action, log_prob = self.actors.sample(batch.next_obs, self._noise(batch.next_obs, streams))
        q = self.targets(batch.next_obs, action.unsqueeze(1))
        weight = self.alpha.unsqueeze(-1) * float(self.backup_entropy)
        value = losses.soft_values(q, self.entropy(weight * log_prob.transpose(1, 2)))
        return single.bellman_target(
            batch.reward.unsqueeze(1), batch.terminal.unsqueeze(1), value, self.gamma
        )

    def critic_loss(self, batch: Transitions, target: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Loss [S, N] of each agent's critics together, and metrics.

        Diversity (An et al. 2021, EDAC) is that of gradients by all actions the critics see: targets are taken at
        joint actions that are new in every agent's part.
        """
        action = batch.action.unsqueeze(1)
        if not self.diverse:
            q = self.critics.fused_value(batch.obs, action)
            loss, extra = single.critic_regression(q, target), {}
        else:
            q, gradients = self.critics.fused_value_and_action_gradient(batch.obs, action)
            spread = single.diversity(gradients)
            loss = single.critic_regression(q, target) + self.eta * spread
            extra = {"critic/diversity": spread.detach().mean(dim=-1)}
        return loss, critic_metrics(loss, q, target) | extra

    def actor_loss(self, batch: Transitions, action: Tensor, log_prob: Tensor) -> tuple[Tensor, Info]:
        """Loss [S, N] of the actors for their own actions [S, B, N, A] and log_prob [S, N, B] at batch.obs.

        E[ alpha_i log pi_i - min_k Q_ik(s, a_i, others') ].
        """
        joint = among(action, self.others(action, batch.action))
        least = self.critics(batch.obs, joint).amin(dim=-2)
        loss = single.actor_objective(log_prob, least, self.alpha)
        entropy = -log_prob.detach().mean(dim=(-1, -2))
        return loss, {"actor/loss": loss.detach().mean(dim=-1), "actor/entropy": entropy}

    def _update_actors(self, batch: Transitions, streams: Streams) -> Info:
        action, log_prob = self.actors.sample(batch.obs, self._noise(batch.obs, streams))
        log_prob = log_prob.transpose(1, 2)
        if self.auto_alpha:
            loss = single.temperature_loss(self.log_alpha, log_prob, self.target_entropy)
            step(self.alpha_optimiser, loss, [self.log_alpha])
        loss, info = self.actor_loss(batch, action, log_prob)
        gradients = step(self.actor_optimiser, loss, self.actor_parameters)
        temperature = {"actor/alpha": self.alpha.mean(dim=-1)}
        return info | temperature | {"actor/gradient_norm": norm_per_seed(gradients)}

    def _update_critics(self, batch: Transitions, streams: Streams) -> Info:
        with torch.no_grad():
            target = self.target(batch, streams)
        loss, info = self.critic_loss(batch, target, streams)
        gradients = step(self.critic_optimiser, loss, self.critic_parameters)
        return info | {"critic/gradient_norm": norm_per_seed(gradients)}

    def _noise(self, obs: Tensor, streams: Streams) -> Tensor:
        return streams.randn(obs.shape[1], self.layout.agents, self.layout.action_dim)

    def _target_entropy(self, given: PerMember | None, members: int) -> Tensor:
        """[S, N], or [N] where seeds agree by default."""
        if given is None:
            return -torch.tensor(self.layout.action_dims, dtype=torch.get_default_dtype(), device=self.device)
        values = torch.tensor(listed("target_entropy", given, members), device=self.device)
        return values.unsqueeze(-1).expand(-1, self.layout.agents)

    def _parts(self) -> state.Parts:
        return {"actors": self.actors, "critics": self.critics, "targets": self.targets}

    def _optimisers(self) -> state.Optimisers:
        return {
            "actors": self.actor_optimiser,
            "critics": self.critic_optimiser,
            "alpha": self.alpha_optimiser,
        }

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, temperatures and optimisers as nested dicts of tensors."""
        return {**state.saved(self._parts(), self._optimisers()), "log_alpha": self.log_alpha.detach()}

    @torch.no_grad()
    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Inverse of state_dict, in place."""
        state.restore(self._parts(), self._optimisers(), found)
        self.log_alpha.copy_(found["log_alpha"])
