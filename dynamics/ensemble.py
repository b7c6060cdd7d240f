"""The probabilistic ensemble of PETS and MBPO (Chua et al. 2018; Janner et al. 2019) as one stacked module.

Every member is a network of its own: weights, biases and log-variance bounds all have the lead (S_d, E). (The
papers' code shares one pair of bounds between members; bounds of their own keep members, and stacked seeds,
independent, so that a member's best snapshot holds everything that made it.)
S_d == 1 is one model shared by every seed of a rollout; else S_d must equal the rollout's S.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.maths import all_finite, soft_clamp
from mbrl.core.nets import ACTIVATIONS, IN_PLACE, StackedMLP, truncated_normal
from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep, Prediction, Termination
from mbrl.datasets.normaliser import Normaliser
from mbrl.dynamics.routing import Evaluate, Pick, route
from mbrl.dynamics.termination import never

CHUNK = 16384
"""Rows times members that all members see at a time: bounds memory without a gradient."""


class Ensemble(nn.Module):
    """p(next_obs, reward | obs, action): E Gaussians over (next_obs - obs, reward), inputs standardised.

    members E and elites K <= E; weight_decay: a coefficient a layer, so len(hidden) + 1, used by `fit`;
    logvar_init: where the trainable bounds of the log-variance start. Seed s's initial weights depend on
    seeds[s] alone. Raises ConfigError for impossible sizes.
    """

    elites: Tensor
    nonfinite: Tensor

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        *,
        seeds: Sequence[int] = (0,),
        members: int = 7,
        elites: int = 5,
        hidden: Sequence[int] = (200, 200, 200, 200),
        activation: str = "silu",
        weight_decay: Sequence[float] = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4),
        logvar_init: tuple[float, float] = (-10.0, 0.5),
        termination: Termination = never,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.obs_dim, self.action_dim = obs_dim, action_dim
        self.seeds, self.members = tuple(int(s) for s in seeds), members
        self.hidden, self.activation = tuple(hidden), activation
        self.weight_decay, self.logvar_init = tuple(weight_decay), tuple(logvar_init)
        self._check_sizes(elites)
        lead, dim_in, dim_out = (len(self.seeds), members), obs_dim + action_dim, obs_dim + 1
        self.net = StackedMLP(
            lead,
            (dim_in, *self.hidden, 2 * dim_out),
            Streams(self.seeds, "dynamics.init"),
            activation=activation,
            init=truncated_normal,
        )
        self.logvar_min = nn.Parameter(torch.full((*lead, 1, dim_out), logvar_init[0]))
        self.logvar_max = nn.Parameter(torch.full((*lead, 1, dim_out), logvar_init[1]))
        self.normaliser = Normaliser((lead[0], 1), dim_in)  # shared by the members
        self.register_buffer("elites", torch.arange(elites).repeat(lead[0], 1))
        self.register_buffer("nonfinite", torch.zeros((), dtype=torch.int64), persistent=False)
        self.termination = termination
        self.to(device)

    def _check_sizes(self, elites: int) -> None:
        if not self.seeds or self.members < 1 or min(self.obs_dim, self.action_dim, *self.hidden) < 1:
            raise ConfigError("ensemble: seeds, members, dims and hidden sizes must all be at least 1")
        if not 1 <= elites <= self.members:
            raise ConfigError(f"elites={elites}: must lie between 1 and members={self.members}")
        if len(self.weight_decay) != len(self.hidden) + 1:
            raise ConfigError(
                f"weight_decay has {len(self.weight_decay)} entries; one a layer is {len(self.hidden) + 1}"
            )
        if self.logvar_init[0] >= self.logvar_init[1]:
            raise ConfigError(f"logvar_init={self.logvar_init}: the lower bound must come first")
        if self.activation not in ACTIVATIONS:
            raise ConfigError(
                f"activation {self.activation!r} is unknown; known: {', '.join(sorted(ACTIVATIONS))}"
            )

    def config(self) -> dict[str, Any]:
        """The constructor's arguments that JSON can hold: all but termination and device."""
        return {
            "obs_dim": self.obs_dim,
            "action_dim": self.action_dim,
            "seeds": list(self.seeds),
            "members": self.members,
            "elites": self.elites.shape[-1],
            "hidden": list(self.hidden),
            "activation": self.activation,
            "weight_decay": list(self.weight_decay),
            "logvar_init": list(self.logvar_init),
        }

    def networks(self) -> dict[str, nn.Parameter]:
        """The members' trainable tensors by name, all with lead (S_d, E); a learned head is not among them."""
        own = {"logvar_min": self.logvar_min, "logvar_max": self.logvar_max}
        return own | {f"net.{name}": p for name, p in self.net.named_parameters()}

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [S_d, E, B, O + 1] of (next_obs - obs, reward), with gradients.

        inputs [S_d, E or 1, B, O + A]: obs and action side by side, not standardised.
        """
        mean, logvar = self.net(self.normaliser(inputs)).chunk(2, dim=-1)
        return mean, soft_clamp(logvar, self.logvar_min, self.logvar_max)

    @torch.no_grad()
    def predict(self, obs: Tensor, action: Tensor) -> Prediction:
        """Mean and std [S, E, B, O + 1] of (next_obs, reward) by every member; obs [S, B, O], action [S, B, A]."""
        inputs = self._inputs(obs, action)
        parts = [self(part[:, None]) for part in inputs.split(max(1, CHUNK // self.members), dim=1)]
        mean, logvar = (torch.cat(p, dim=2) for p in zip(*parts, strict=True))
        mean, std = (self._spread(x, obs.shape[0]) for x in (mean, torch.exp(0.5 * logvar)))
        # A new tensor: adding in place would write through the expanded view.
        mean = torch.cat([mean[..., :-1] + obs[:, None], mean[..., -1:]], dim=-1)
        return Prediction(mean, std, self.elites.expand(obs.shape[0], -1))

    def begin(self, obs: Tensor, sim_state: Tensor | None = None) -> None:
        """Nothing to carry: the model's state is the observation."""

    @torch.no_grad()
    def step(
        self, carry: None, obs: Tensor, action: Tensor, streams: Streams, *, members: bool = False
    ) -> DynamicsStep:
        """Sample an elite for each row, then (next_obs, reward) from its Gaussian (MBPO, Janner et al. 2019).

        obs [S, B, O], action [S, B, A] -> next_obs [S, B, O], reward and terminal [S, B]. Draws are the same
        with and without `members`; without, each row passes through its own elite only.
        A row that is not finite is returned as it is, marked terminal and counted in `nonfinite`: whoever rolls
        out must leave it out. Raises MismatchError for shapes that do not fit the model.
        """
        choice = streams.randint(self.elites.shape[-1], obs.shape[1])
        noise = streams.randn(obs.shape[1], self.obs_dim + 1)
        member = self.elites.expand(obs.shape[0], -1).gather(1, choice)
        prediction = self.predict(obs, action) if members else None
        if prediction is None:
            mean, std = self._sampled_members(obs, action, member)
        else:
            mean, std = (pick_member(x, member) for x in prediction[:2])
        sample = mean + std * noise
        next_obs, reward = sample[..., :-1], sample[..., -1]
        lost = ~all_finite(sample)
        self.nonfinite += lost.sum()
        terminal = self.termination(obs, action, next_obs) | lost
        return DynamicsStep(None, next_obs, reward, terminal, prediction)

    def _sampled_members(self, obs: Tensor, action: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std [S, B, O + 1] of (next_obs, reward) from the named member [S, B] of each row."""
        inputs = self.normaliser(self._inputs(obs, action)[:, None]).flatten(0, 2)
        networks = len(self.seeds) * self.members
        if len(self.seeds) > 1:
            member = torch.arange(0, networks, self.members, device=obs.device).unsqueeze(-1) + member
        found = route(inputs, member.flatten(), networks, self._evaluation())
        mean, logvar = found.view(*obs.shape[:-1], -1).chunk(2, dim=-1)
        mean = torch.cat([mean[..., :-1] + obs, mean[..., -1:]], dim=-1)
        return mean, torch.exp(0.5 * logvar)

    def _evaluation(self) -> Evaluate:
        """Mean and clamped log-variance side by side, [T, B, 2 (O + 1)], of T networks at standardised x."""
        *hidden, last = self.net.flat_layers()
        floor, ceiling = self.logvar_min.flatten(0, 1), self.logvar_max.flatten(0, 1)
        activation = IN_PLACE.get(self.net.activation, self.net.activation)

        def evaluate(x: Tensor, pick: Pick) -> Tensor:
            exact, x = x.dtype, x.to(last[0].dtype)
            for weight, bias in hidden:
                x = activation(torch.baddbmm(pick(bias), x, pick(weight)))
            mean, logvar = torch.baddbmm(pick(last[1]), x, pick(last[0])).to(exact).chunk(2, dim=-1)
            return torch.cat([mean, soft_clamp(logvar, pick(floor), pick(ceiling))], dim=-1)

        return evaluate

    def _inputs(self, obs: Tensor, action: Tensor) -> Tensor:
        """obs and action as [S_d, B', O + A]: a model shared by all seeds takes them as one batch."""
        want = (*obs.shape[:2], self.obs_dim), (*obs.shape[:2], self.action_dim)
        if obs.dim() != 3 or (tuple(obs.shape), tuple(action.shape)) != want:
            raise MismatchError(
                f"model takes obs [S, B, {self.obs_dim}] and action [S, B, {self.action_dim}], "
                f"got {tuple(obs.shape)} and {tuple(action.shape)}"
            )
        if len(self.seeds) not in (1, obs.shape[0]):
            raise MismatchError(
                f"a model of {len(self.seeds)} seeds cannot serve a rollout of {obs.shape[0]}"
            )
        inputs = torch.cat([obs, action], dim=-1)
        return inputs.reshape(len(self.seeds), -1, inputs.shape[-1])

    def _spread(self, x: Tensor, num_seeds: int) -> Tensor:
        """[S_d, E, B', D] -> [S, E, B, D]: undo the one batch of `_inputs`."""
        if x.shape[0] == num_seeds:
            return x
        return x.reshape(self.members, num_seeds, -1, x.shape[-1]).transpose(0, 1)


def pick_member(x: Tensor, member: Tensor) -> Tensor:
    """x [S, E, B, D] at member [S, B] -> [S, B, D]."""
    return x.gather(1, member[:, None, :, None].expand(-1, 1, -1, x.shape[-1])).squeeze(1)
