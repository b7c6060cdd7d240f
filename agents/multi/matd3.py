"""Multi-agent TD3, the spine of the learners with deterministic policies; each overrides a hook.

An agent has an actor of its own observation, K critics, and targets of both. With critics of the joint action this
is MADDPG (Lowe et al. 2017) with TD3's twin critics, target smoothing and delays (Fujimoto et al. 2018; MATD3,
Ackermann et al. 2019).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mbrl.agents.losses import bellman_target, critic_regression
from mbrl.agents.multi import state
from mbrl.agents.multi.metrics import Info, critic_metrics, ordered_mean
from mbrl.agents.multi.networks import DeterministicActors, JointCritics, Start, require_shape
from mbrl.agents.multi.views import OTHERS, VIEWS, among, pick
from mbrl.agents.optim import adam, step
from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.maths import polyak_
from mbrl.core.optim import norm_per_seed
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class MATD3:
    """S stacked teams; batches carry rows [S, B, N, ...], losses are [S, N] and metrics [S]."""

    deterministic = True
    """No density: as a guide of samples, a policy of a width that the guidance states."""
    compilable = ("target", "critic_loss", "actor_loss")

    def __init__(
        self,
        layout: Layout,
        *,
        seeds: Sequence[int] = (0,),
        hidden: Sequence[int] = (256, 256),
        critic: str = "central",
        others: str = "data",
        num_critics: int = 2,
        gamma: float = 0.99,
        tau: float = 0.005,
        actor_lr: PerMember = 3e-4,
        critic_lr: PerMember = 3e-4,
        policy_noise: float = 0.2,
        noise_clip: float = 0.5,
        policy_delay: int = 2,
        start: Start | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """critic: a name in VIEWS; others: a name in OTHERS, whose actions actors respond to (no matter
        to independent critics). policy_noise: std of the noise on target actions, cut at noise_clip; policy_delay:
        critic updates per update of actors and targets; start: the joint action [N][A], or one a seed, that all
        policies begin with. Raises ConfigError for unknown names and impossible values.
        """
        if num_critics < 1 or policy_delay < 1 or policy_noise < 0 or noise_clip < 0:
            raise ConfigError(
                f"num_critics={num_critics}, policy_delay={policy_delay}, policy_noise={policy_noise}, "
                f"noise_clip={noise_clip}: the first two are at least 1, the others at least 0"
            )
        self.layout, self.gamma, self.tau = layout, gamma, tau
        self.policy_noise, self.noise_clip, self.policy_delay = policy_noise, noise_clip, policy_delay
        self.others = pick("others", others, OTHERS)
        self.device = torch.device(device)
        # Drawn on the CPU whatever the device, so that a seed means the same weights everywhere.
        init = Streams(seeds, "agent.init")
        view = pick("critic", critic, VIEWS)
        self.actors = DeterministicActors(layout, hidden, init, start=start).to(self.device)
        self.critics = JointCritics(layout, num_critics, hidden, init, view).to(self.device)
        self.target_actors = copy.deepcopy(self.actors).requires_grad_(False)
        self.target_critics = copy.deepcopy(self.critics).requires_grad_(False)
        self.actor_parameters = list(self.actors.parameters())
        self.critic_parameters = list(self.critics.parameters())
        self.actor_optimiser = adam(self.actor_parameters, actor_lr)
        self.critic_optimiser = adam(self.critic_parameters, critic_lr)
        self.since_actors = 0
        self.actor_info: Info = {}

    @property
    def capturable(self) -> bool:
        """Whether every update launches the same kernels, so that one may be replayed as a CUDA graph."""
        return self.policy_delay == 1

    @torch.no_grad()
    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [S, B, N, A] for obs [S, B, N, O]; the same with and without streams."""
        return self.actors(obs)

    @torch.no_grad()
    def values(self, obs: Tensor) -> Tensor:
        """Q(s, pi(s)) [S, K, B] for obs [S, B, N, O], as `ordered_mean` has them."""
        return self.q_values(obs, self.actors(obs))

    @torch.no_grad()
    def q_values(self, obs: Tensor, action: Tensor) -> Tensor:
        """Q(s, a) [S, K, B] for obs [S, B, N, O] and action [S, B, N, A], as `ordered_mean` has them."""
        return ordered_mean(self.critics(obs, action.unsqueeze(1)))

    def update(self, batch: Transitions, streams: Streams) -> Info:
        """Critics; then, in every policy_delay-th update from the first on, actors and targets. Metrics [S].

        No host sync. Between their updates the actors' metrics are the latest ones.
        """
        require_shape("action", batch.action, self.layout)
        info = self._update_critics(batch, streams)
        if self.since_actors == 0:
            self.actor_info = self._update_actors(batch, streams)
            polyak_(self.target_critics.parameters(), self.critic_parameters, self.tau)
            polyak_(self.target_actors.parameters(), self.actor_parameters, self.tau)
        # Counts no further than it must: with a delay of 1 it stands still, and a graph may hold the update.
        self.since_actors = (self.since_actors + 1) % self.policy_delay
        return info | self.actor_info

    def target(self, batch: Transitions, streams: Streams) -> Tensor:
        """Hook: the critics' regression target [S, N, B]: r + gamma min_k Q'_ik(s', pi'(s') + cut noise).

        TD3 (Fujimoto et al. 2018, sec. 4.2 and 5.3), all agents acting as their target policies.
        """
        next_action = self.target_actors(batch.next_obs)
        if self.policy_noise > 0:
            noise = self.policy_noise * streams.randn(*batch.action.shape[1:])
            next_action = (next_action + noise.clamp_(-self.noise_clip, self.noise_clip)).clamp_(-1.0, 1.0)
        value = self.target_critics(batch.next_obs, next_action.unsqueeze(1)).amin(dim=-2)
        return bellman_target(batch.reward.unsqueeze(1), batch.terminal.unsqueeze(1), value, self.gamma)

    def critic_loss(self, batch: Transitions, target: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Hook: loss [S, N] of each agent's critics together, and metrics."""
        q = self.critics.fused_value(batch.obs, batch.action.unsqueeze(1))
        loss = critic_regression(q, target)
        return loss, critic_metrics(loss, q, target)

    def actor_loss(self, batch: Transitions, action: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Hook: loss [S, N] of the actors for their own actions [S, B, N, A] at batch.obs: -E[Q_i1]."""
        loss = -self.own_value(batch, action).mean(dim=-1)
        return loss, {"actor/loss": loss.detach().mean(dim=-1)}

    def own_value(self, batch: Transitions, action: Tensor) -> Tensor:
        """Q_i1 [S, N, B] of agent i's action [S, B, N, A] among the others', which get no gradient."""
        return self.critics.first(batch.obs, among(action, self.others(action, batch.action)))

    def _update_critics(self, batch: Transitions, streams: Streams) -> Info:
        with torch.no_grad():
            target = self.target(batch, streams)
        loss, info = self.critic_loss(batch, target, streams)
        gradients = step(self.critic_optimiser, loss, self.critic_parameters)
        return info | {"critic/gradient_norm": norm_per_seed(gradients)}

    def _update_actors(self, batch: Transitions, streams: Streams) -> Info:
        loss, info = self.actor_loss(batch, self.actors(batch.obs), streams)
        gradients = step(self.actor_optimiser, loss, self.actor_parameters)
        return info | {"actor/gradient_norm": norm_per_seed(gradients)}

    def _parts(self) -> state.Parts:
        names = ("actors", "critics", "target_actors", "target_critics")
        return {name: getattr(self, name) for name in names}

    def _optimisers(self) -> state.Optimisers:
        return {"actors": self.actor_optimiser, "critics": self.critic_optimiser}

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, optimisers, critic updates since the actors' last, and the actors' latest metrics."""
        reported = {name.removeprefix("actor/"): value for name, value in self.actor_info.items()}
        return {
            **state.saved(self._parts(), self._optimisers()),
            "updates": torch.tensor(self.since_actors),
            "actor_info": reported,
        }

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Inverse of state_dict, in place."""
        state.restore(self._parts(), self._optimisers(), found)
        self.since_actors = int(found["updates"]) % self.policy_delay
        reported = found.get("actor_info", {})
        self.actor_info = {f"actor/{name}": value.clone() for name, value in reported.items()}
