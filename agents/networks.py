"""Actor and critics, stacked over seeds S (and critics N in place of members E)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mbrl.agents import fused
from mbrl.agents.squashed import log_density, moments
from mbrl.core.maths import squashed_sample
from mbrl.core.nets import StackedMLP, hidden_bias, uniform
from mbrl.core.seeds import Streams

GROUP_CRITICS, GROUP_WORK = 4, 1 << 22
"""From how many critics, and multiplications a critic, it pays to take the actor's gradient critic by critic."""


def _may_group(rows: Tensor) -> bool:
    """Whether counting rows on the host is free: not on a GPU, nor inside a compiled graph of fixed shapes."""
    return rows.device.type == "cpu" and not torch.compiler.is_compiling()


class Actor(nn.Module):
    """Squashed Gaussian policy; its mean and log-std are two halves of one linear head.

    Initialised as EDAC's official code does: hidden biases 0.1, head U(-1e-3, 1e-3).
    """

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        hidden: Sequence[int],
        streams: Streams,
        log_std_bounds: tuple[float, float] = (-5.0, 2.0),
    ) -> None:
        super().__init__()
        self.log_std_bounds = tuple(log_std_bounds)
        self.net = StackedMLP(
            (len(streams),),
            (obs_dim, *hidden, 2 * action_dim),
            streams,
            init=hidden_bias(0.1),
            init_last=uniform(1e-3),
        )

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-std before squashing, each [S, B, A], for obs [S, B, O]."""
        mean, log_std = self.net(obs).chunk(2, dim=-1)
        return mean, log_std.clamp(*self.log_std_bounds)

    def sample(self, obs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Action [S, B, A] and log-probability [S, B], reparameterised by noise [S, B, A]."""
        return squashed_sample(*self(obs), noise)

    def mode(self, obs: Tensor) -> Tensor:
        """The deterministic action tanh(mean) [S, B, A]."""
        return torch.tanh(self(obs)[0])

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """log pi(a|s) [S, B], differentiable in action [S, B, A], finite for any (`log_density`)."""
        return log_density(action, *self(obs)).sum(-1)

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std [S, B, A] of the action itself (`moments`)."""
        return moments(*self(obs))


class Critics(nn.Module):
    """N independent ReLU critics a seed. Initialised as EDAC: hidden biases 0.1, head U(-3e-3, 3e-3)."""

    def __init__(
        self, obs_dim: int, action_dim: int, num_critics: int, hidden: Sequence[int], streams: Streams
    ) -> None:
        super().__init__()
        self.obs_dim, self.num_critics = obs_dim, num_critics
        self.net = StackedMLP(
            (len(streams), num_critics),
            (obs_dim + action_dim, *hidden, 1),
            streams,
            init=hidden_bias(0.1),
            init_last=uniform(3e-3),
        )

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """Values [S, N, B] of obs [S, B, O] and action [S, B, A]."""
        return self.net(torch.cat([obs, action], dim=-1).unsqueeze(-3)).squeeze(-1)

    def value_and_action_gradient(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Values [S, N, B] and their gradients with respect to the action [S, N, B, A], both differentiable.

        The plain pass, which `fused_value_and_action_gradient` is held against. For ReLU layers the gradient is
        the chain of transposed weights through the units' on/off masks, whose own derivative is zero almost
        everywhere; so this equals `autograd.grad(q.sum(), action, create_graph=True)` without a second graph.
        """
        x = torch.cat([obs, action], dim=-1).unsqueeze(-3)
        first, *hidden, last = self.net.layers
        active = []
        for layer in (first, *hidden):
            x = torch.relu(layer(x))
            active.append((x > 0).to(x.dtype))
        q = last(x).squeeze(-1)
        chain = last.weight.transpose(-1, -2) * active.pop()
        for layer in reversed(hidden):
            chain = (chain @ layer.weight.transpose(-1, -2)) * active.pop()
        return q, chain @ first.weight[..., self.obs_dim :, :].transpose(-1, -2)

    def fused_value_and_action_gradient(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """`value_and_action_gradient` in the fewest products, differentiable once, for the weights alone."""
        lead = self.net.layers[0].lead
        x = torch.cat([obs, action], dim=-1).unsqueeze(-3)
        x = x.expand(*lead, *x.shape[-2:]).flatten(0, 1).to(self.net.product_dtype or x.dtype)
        q, gradient = fused.value_and_action_gradient(x, self.obs_dim, self.net.flat_layers())
        return q.unflatten(0, lead).to(obs.dtype), gradient.unflatten(0, lead).to(obs.dtype)

    def fused_value(self, obs: Tensor, action: Tensor) -> Tensor:
        """`forward` for a regression: differentiable once, for the weights alone."""
        if len(self.net.layers) == 1:
            return self(obs, action)
        return self.fused_value_and_action_gradient(obs, action)[0]

    def least_value(self, obs: Tensor, action: Tensor) -> Tensor:
        """min_i Q_i(s, a) [S, B] for an actor to climb: its gradient is for the action alone where that is cheaper.

        Small networks, and devices that would have to wait for a grouping of rows, take the plain pass.
        """
        hidden = self.net.layers[:-1]
        work = obs.shape[-2] * sum(layer.weight[0, 0].numel() for layer in hidden)
        if not _may_group(obs) or self.num_critics < GROUP_CRITICS or work < GROUP_WORK:
            return self(obs, action).amin(dim=-2)
        x = torch.cat([obs, action], dim=-1).to(self.net.product_dtype or obs.dtype)
        return fused.least_value(x, self.num_critics, self.net.flat_layers()).to(obs.dtype)
