"""Soft actor-critic with N critics: the spine of every value-based agent here.

Two critics without diversity are the base procedure (SAC; on model rollouts, MBPO). More critics are SAC-N;
with the diversity term, EDAC (An et al. 2021); EDAC's critics on truncated model rollouts are RAVL (Sims et
al. 2024). These differ in configuration alone. An algorithm that changes more overrides one of the three
hooks `target`, `critic_loss` and `actor_loss`.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mbrl.agents import losses
from mbrl.agents.networks import Actor, Critics
from mbrl.agents.optim import adam, step
from mbrl.agents.soft import needs_diversity, temperatures
from mbrl.core.maths import polyak_
from mbrl.core.optim import load_optimiser_state, norm_per_seed, optimiser_state
from mbrl.core.per_member import PerMember, per_member
from mbrl.core.seeds import Streams
from mbrl.core.types import EdgeTreatment, Transitions

Info = dict[str, Tensor]


class SAC:
    """S stacked learners; batches carry rows [S, B, ...] and every metric is [S]."""

    compilable = ("target", "critic_loss", "actor_loss")
    """What mbrl.core.accelerate may compile: the hooks, of fixed shapes and without steps of optimisers."""

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        *,
        seeds: Sequence[int] = (0,),
        num_critics: int = 2,
        eta: PerMember = 0.0,
        hidden: Sequence[int] = (256, 256, 256),
        gamma: float = 0.99,
        tau: float = 0.005,
        actor_lr: PerMember = 3e-4,
        actor_lr_cosine: int | None = None,
        critic_lr: PerMember = 3e-4,
        alpha_lr: PerMember = 3e-4,
        auto_alpha: bool = True,
        alpha: PerMember = 1.0,
        alpha_max: float | None = None,
        target_entropy: PerMember | None = None,
        backup_entropy: bool = True,
        log_std_bounds: tuple[float, float] = (-5.0, 2.0),
        edge: EdgeTreatment | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """eta, alpha, target_entropy and the step sizes may be given one a seed. eta weighs the diversity term;
        actor_lr falls to 0 along half a cosine over actor_lr_cosine updates where
        that is given; alpha is the temperature, its start value where auto_alpha tunes it, and
        used as alpha_max where it is larger; target_entropy None means -A; backup_entropy False leaves the
        policy's entropy out of targets and values ("deterministic backup"); edge changes what targets bootstrap
        from at the last rollout step (mbrl.agents.edge). Raises ConfigError for fewer than 1 critic, or eta
        without 2, and for a temperature or a cap that is not positive."""
        self.diverse = needs_diversity(eta, num_critics, hidden, len(seeds))
        alphas, self.alpha_max = temperatures(alpha, alpha_max, len(seeds))
        self.obs_dim, self.action_dim, self.num_critics = obs_dim, action_dim, num_critics
        self.gamma, self.tau, self.auto_alpha = gamma, tau, auto_alpha
        self.backup_entropy, self.edge = backup_entropy, edge
        self.device = torch.device(device)
        self.eta = per_member("eta", eta, len(seeds), self.device)
        entropy = -float(action_dim) if target_entropy is None else target_entropy
        self.target_entropy = per_member("target_entropy", entropy, len(seeds), self.device)
        # Drawn on the CPU whatever the device, so that a seed means the same weights everywhere.
        init = Streams(seeds, "agent.init")
        self.actor = Actor(obs_dim, action_dim, hidden, init, log_std_bounds).to(self.device)
        self.critics = Critics(obs_dim, action_dim, num_critics, hidden, init).to(self.device)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.log_alpha = nn.Parameter(torch.tensor(alphas, device=self.device).log())
        self.actor_parameters = list(self.actor.parameters())
        self.critic_parameters = list(self.critics.parameters())
        self.actor_optimiser = adam(self.actor_parameters, actor_lr, actor_lr_cosine)
        self.critic_optimiser = adam(self.critic_parameters, critic_lr)
        self.alpha_optimiser = adam([self.log_alpha], alpha_lr)

    @property
    def alpha(self) -> Tensor:
        """Temperature [S], without gradient."""
        return self.log_alpha.detach().exp().clamp_max(self.alpha_max)

    @property
    def value_alpha(self) -> Tensor:
        """What entropy counts for in values [S]: the temperature, or 0 where targets leave entropy out."""
        return self.alpha * float(self.backup_entropy)

    @torch.no_grad()
    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [S, B, A] for obs [S, B, O]: sampled with streams, else the deterministic one."""
        if streams is None:
            return self.actor.mode(obs)
        return self.actor.sample(obs, streams.randn(obs.shape[-2], self.action_dim))[0]

    @torch.no_grad()
    def act_soft(self, obs: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
        """A sampled action [S, B, A] and the bonus [S, B] for it that values include: -alpha log pi(a|s), or 0."""
        action, log_prob = self.actor.sample(obs, streams.randn(obs.shape[-2], self.action_dim))
        return action, -self.value_alpha.unsqueeze(-1) * log_prob

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """log pi(a|s) [S, B] for obs [S, B, O], differentiable in action [S, B, A] and finite for any."""
        return self.actor.log_prob(obs, action)

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std [S, B, A] of the policy's action at obs [S, B, O]."""
        return self.actor.gaussian(obs)

    @torch.no_grad()
    def values(self, obs: Tensor) -> Tensor:
        """Q_i(s, pi(s)) [S, N, B] of every critic at the deterministic action, for obs [S, B, O]."""
        return self.critics(obs, self.actor.mode(obs))

    @torch.no_grad()
    def q_values(self, obs: Tensor, action: Tensor) -> Tensor:
        """Q_i(s, a) [S, N, B] of every critic, for obs [S, B, O] and action [S, B, A]."""
        return self.critics(obs, action)

    def update(self, batch: Transitions, streams: Streams) -> Info:
        """Temperature, actor, critics, targets, once each, on rows [S, B, ...]; metrics [S], no host sync.

        The order is that of the official EDAC and RAVL codes.
        """
        info = self._update_actor(batch, streams) | self._update_critics(batch, streams)
        polyak_(self.targets.parameters(), self.critic_parameters, self.tau)
        return info

    def target(self, batch: Transitions, streams: Streams) -> Tensor:
        """Hook: the critics' regression target [S, B]."""
        noise = streams.randn(*batch.action.shape[-2:])
        next_action, next_log_prob = self.actor.sample(batch.next_obs, noise)
        next_q = self.targets(batch.next_obs, next_action)
        value = losses.soft_value(next_q, next_log_prob, self.value_alpha)
        if self.edge is not None:
            value = self.edge(self, batch, value, streams)
        return losses.bellman_target(batch.reward, batch.terminal, value, self.gamma)

    def critic_loss(self, batch: Transitions, target: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Hook: loss [S] of all critics together, and metrics. `streams` serves overrides that sample."""
        if not self.diverse:
            q = self.critics.fused_value(batch.obs, batch.action)
            loss, extra = losses.critic_regression(q, target), {}
        else:
            q, gradients = self.critics.fused_value_and_action_gradient(batch.obs, batch.action)
            spread = losses.diversity(gradients)
            loss = losses.critic_regression(q, target) + self.eta * spread
            extra = {"critic/diversity": spread.detach()}
        q = q.detach()
        return loss, extra | {
            "critic/loss": loss.detach(),
            "critic/q_mean": q.mean(dim=(-1, -2)),
            "critic/q_max": q.amax(dim=(-1, -2)),
            "critic/q_std": q.std(dim=-2, correction=0).mean(dim=-1),
            "critic/target_mean": target.mean(dim=-1),
        }

    def actor_loss(self, batch: Transitions, action: Tensor, log_prob: Tensor) -> tuple[Tensor, Info]:
        """Hook: loss [S] of the actor for its own action [S, B, A] and log_prob [S, B] at batch.obs."""
        least = self.critics.least_value(batch.obs, action)
        loss = losses.actor_objective(log_prob, least, self.alpha)
        return loss, {"actor/loss": loss.detach(), "actor/entropy": -log_prob.detach().mean(dim=-1)}

    def _update_actor(self, batch: Transitions, streams: Streams) -> Info:
        action, log_prob = self.actor.sample(batch.obs, streams.randn(*batch.action.shape[-2:]))
        if self.auto_alpha:
            loss = losses.temperature_loss(self.log_alpha, log_prob, self.target_entropy)
            step(self.alpha_optimiser, loss, [self.log_alpha])
        loss, info = self.actor_loss(batch, action, log_prob)
        gradients = step(self.actor_optimiser, loss, self.actor_parameters)
        return info | {"actor/alpha": self.alpha, "actor/gradient_norm": norm_per_seed(gradients)}

    def _update_critics(self, batch: Transitions, streams: Streams) -> Info:
        with torch.no_grad():
            target = self.target(batch, streams)
        loss, info = self.critic_loss(batch, target, streams)
        gradients = step(self.critic_optimiser, loss, self.critic_parameters)
        return info | {"critic/gradient_norm": norm_per_seed(gradients)}

    def _parts(self) -> dict[str, nn.Module]:
        return {"actor": self.actor, "critics": self.critics, "targets": self.targets}

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "actor": self.actor_optimiser,
            "critics": self.critic_optimiser,
            "alpha": self.alpha_optimiser,
        }

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, temperature and optimisers as nested dicts of tensors."""
        networks = {name: dict(part.state_dict()) for name, part in self._parts().items()}
        optimisers = {name: optimiser_state(o) for name, o in self._optimisers().items()}
        return {**networks, "log_alpha": self.log_alpha.detach(), "optimisers": optimisers}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict, in place, so that optimisers and captured graphs keep their parameters."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.log_alpha.copy_(state["log_alpha"])
        for name, optimiser in self._optimisers().items():
            load_optimiser_state(optimiser, state.get("optimisers", {}).get(name, {}))
