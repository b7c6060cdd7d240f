"""Actors and critics of N agents, stacked over seeds and agents: actors lead with (S, N), critics with (S, N, K).

Padding never counts: networks zero what the layout says is padding in all they read, and actions are zero there.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mbrl.agents import fused
from mbrl.agents.multi.views import View
from mbrl.agents.squashed import log_density, moments
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.maths import HALF_LOG_2PI, tanh_log_det
from mbrl.core.nets import StackedMLP, affine, hidden_bias, uniform
from mbrl.core.seeds import Streams

Start = Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
"""A joint action [N][A], or one a seed [S][N][A]; what it says of padding does not matter."""


BLOCK_ROWS = {"cpu": 8192}
"""Rows of all networks together that pass the critics at a time, by kind of device; elsewhere, all of them."""


def require_shape(name: str, x: Tensor, layout: Layout) -> None:
    """Raises MismatchError unless x [..., N, O or A], "obs" or "action" by name, is padded as the layout has it."""
    sizes = {"obs": layout.obs_dims, "action": layout.action_dims}[name]
    if tuple(x.shape[-2:]) != (len(sizes), max(sizes)):
        raise MismatchError(
            f"{name} ends in {tuple(x.shape[-2:])}; these {len(sizes)} agents with {name} sizes {sizes} need "
            f"[S, B, {len(sizes)}, {max(sizes)}], padded with zeros"
        )


class Actors(nn.Module):
    """One network an agent, from its own observation: obs [S, B, N, O] -> [S, B, N, heads * A].

    Initialised as the single agent's: hidden biases 0.1, head U(-1e-3, 1e-3).
    """

    def __init__(
        self,
        layout: Layout,
        hidden: Sequence[int],
        streams: Streams,
        *,
        heads: int = 1,
        start: Start | None = None,
    ) -> None:
        """start: the (mode of the) joint action that all policies begin with, whatever they see.

        Raises ConfigError for a start of another shape, or not strictly within (-1, 1).
        """
        super().__init__()
        self.net = StackedMLP(
            (len(streams), layout.agents),
            (layout.obs_dim, *hidden, heads * layout.action_dim),
            streams,
            init=hidden_bias(0.1),
            init_last=uniform(1e-3),
        )
        self.layout = layout
        self.register_buffer("obs_mask", layout.obs_mask(), persistent=False)
        self.register_buffer("action_mask", layout.action_mask(), persistent=False)
        if start is not None:
            self._begin_at(start)

    def raw(self, obs: Tensor) -> Tensor:
        """The networks' outputs [S, B, N, heads * A]. Raises MismatchError for obs of another layout."""
        require_shape("obs", obs, self.layout)
        own = torch.where(self.obs_mask, obs, 0.0).transpose(1, 2)
        return self.net(own).transpose(1, 2)

    @torch.no_grad()
    def _begin_at(self, start: Start) -> None:
        head, width = self.net.layers[-1], self.layout.action_dim
        action = _joint_action(start, self.layout, head.lead[0]).to(head.weight.dtype)
        # Zero weights, so that it is the start whatever is observed; their own gradient is not zero, so they learn.
        head.weight[..., :width].zero_()
        head.bias[..., 0, :width].copy_(torch.atanh(action))


class DeterministicActors(Actors):
    """Actions tanh(net(o))."""

    def forward(self, obs: Tensor) -> Tensor:
        """Action [S, B, N, A], zero in the padding."""
        return torch.where(self.action_mask, torch.tanh(self.raw(obs)), 0.0)


class GaussianActors(Actors):
    """Squashed Gaussian policies; mean and log-std are two halves of one linear head an agent."""

    def __init__(
        self,
        layout: Layout,
        hidden: Sequence[int],
        streams: Streams,
        log_std_bounds: tuple[float, float] = (-5.0, 2.0),
        start: Start | None = None,
    ) -> None:
        super().__init__(layout, hidden, streams, heads=2, start=start)
        self.log_std_bounds = tuple(log_std_bounds)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-std before squashing, each [S, B, N, A]."""
        mean, log_std = self.raw(obs).chunk(2, dim=-1)
        return mean, log_std.clamp(*self.log_std_bounds)

    def mode(self, obs: Tensor) -> Tensor:
        """The deterministic action tanh(mean) [S, B, N, A]."""
        return torch.where(self.action_mask, torch.tanh(self(obs)[0]), 0.0)

    def sample(self, obs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Action [S, B, N, A] and each agent's log-probability [S, B, N], reparameterised by noise [S, B, N, A].

        SAC (Haarnoja et al. 2018, app. C); padded entries of the noise have no effect.
        """
        mean, log_std = self(obs)
        u = mean + torch.exp(log_std) * noise
        log_prob = -0.5 * noise.square() - log_std - HALF_LOG_2PI - tanh_log_det(u)
        return torch.where(self.action_mask, torch.tanh(u), 0.0), self._total(log_prob)

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """log pi_i(a_i|o_i) [S, B, N], differentiable in action [S, B, N, A], finite for any (`log_density`)."""
        return self._total(log_density(torch.where(self.action_mask, action, 0.0), *self(obs)))

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std [S, B, N, A] of the actions themselves (`moments`); of padding 0 and 1."""
        mean, std = moments(*self(obs))
        return torch.where(self.action_mask, mean, 0.0), torch.where(self.action_mask, std, 1.0)

    def _total(self, log_prob: Tensor) -> Tensor:
        return torch.where(self.action_mask, log_prob, 0.0).sum(-1)


class JointCritics(nn.Module):
    """K independent ReLU critics an agent, each of what `view` shows that agent of (obs, action).

    Initialised as the single agent's: hidden biases 0.1, head U(-3e-3, 3e-3); no two begin alike. In the methods
    obs is [S, B, N, O] and action [S, M, B, N, A]: joint action i is for agent i's critics where M = N, and for all
    agents' where M = 1.
    """

    def __init__(
        self, layout: Layout, num_critics: int, hidden: Sequence[int], streams: Streams, view: View
    ) -> None:
        super().__init__()
        self.view, self.num_critics = view, num_critics
        obs_mask, action_mask = layout.obs_mask()[None, None], layout.action_mask()[None, None, None]
        self.register_buffer("mask", view(obs_mask, action_mask), persistent=False)
        self.obs_width = view(obs_mask, action_mask[..., :0]).shape[-1]
        self.net = StackedMLP(
            (len(streams), layout.agents, num_critics),
            (self.mask.shape[-1], *hidden, 1),
            streams,
            init=hidden_bias(0.1),
            init_last=uniform(3e-3),
        )

    def inputs(self, obs: Tensor, action: Tensor) -> Tensor:
        """What the critics read, [S, M, B, I] or [S, N, B, I], zero in the padding."""
        return torch.where(self.mask, self.view(obs, action), 0.0)

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """Values [S, N, K, B]."""
        return self.net(self.inputs(obs, action).unsqueeze(-3)).squeeze(-1)

    def first(self, obs: Tensor, action: Tensor) -> Tensor:
        """Values [S, N, B] of every agent's first critic."""
        seeds, agents, _ = self.net.layers[0].lead
        x = self.inputs(obs, action)
        flat = x.expand(seeds, agents, *x.shape[-2:]).flatten(0, 1).to(self.net.product_dtype or x.dtype)
        parts = []
        for h, (*hidden, last) in _blocks(flat, self._layers_of_first()):
            for weight, bias in hidden:
                h = affine(h, weight, bias).relu_()
            parts.append(affine(h, *last).squeeze(-1))
        return torch.cat(parts).unflatten(0, (seeds, agents)).to(x.dtype)

    def fused_value_and_action_gradient(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Values [S, N, K, B] and their gradients [S, N, K, B, D] by all D actions the view shows.

        Zero in the padding; differentiable once, for the weights alone. Needs a hidden layer.
        """
        lead = self.net.layers[0].lead
        x = self.inputs(obs, action)
        flat = x.unsqueeze(-3).expand(*lead, *x.shape[-2:]).flatten(0, 2)
        flat = flat.to(self.net.product_dtype or x.dtype)
        parts = [
            fused.value_and_action_gradient(rows, self.obs_width, layers)
            for rows, layers in _blocks(flat, self.net.flat_layers())
        ]
        q, gradient = (torch.cat(part).unflatten(0, lead).to(x.dtype) for part in zip(*parts, strict=True))
        real = self.mask[..., self.obs_width :].unsqueeze(-3)
        return q, torch.where(real, gradient, 0.0)

    def fused_value(self, obs: Tensor, action: Tensor) -> Tensor:
        """`forward` for a regression: differentiable once, for the weights alone."""
        if len(self.net.layers) == 1:
            return self(obs, action)
        return self.fused_value_and_action_gradient(obs, action)[0]

    def _layers_of_first(self) -> list[tuple[Tensor, Tensor]]:
        lead = self.net.layers[0].lead
        return [
            tuple(p.unflatten(0, lead)[:, :, 0].flatten(0, 1) for p in pair)
            for pair in self.net.flat_layers()
        ]


def _blocks(x: Tensor, layers: fused.Layers) -> Iterator[tuple[Tensor, fused.Layers]]:
    """Inputs [L, B, I] and layers, some networks at a time where their activations would outgrow the cache."""
    most = BLOCK_ROWS.get(x.device.type)
    count = len(x) if most is None else max(1, most // x.shape[1])
    if count >= len(x):
        yield x, layers
        return
    split = [tuple(p.split(count) for p in layer) for layer in layers]
    for i, rows in enumerate(x.split(count)):
        yield rows, [(weight[i], bias[i]) for weight, bias in split]


def _joint_action(start: Any, layout: Layout, seeds: int) -> Tensor:
    shape = (layout.agents, layout.action_dim)
    try:
        action = torch.as_tensor(start, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"start={start}: not a table of numbers ({error})") from error
    if tuple(action.shape) not in (shape, (seeds, *shape)):
        raise ConfigError(
            f"start is shaped {tuple(action.shape)}; {layout.agents} agents of {layout.action_dim} actions need "
            f"{shape}, or {(seeds, *shape)} with one a seed"
        )
    action = torch.where(layout.action_mask(), action, 0.0)
    if not (action.abs() < 1).all():
        raise ConfigError(
            f"start={start}: policies are tanh of something finite, so each entry is within (-1, 1)"
        )
    return action.expand(seeds, *shape)
