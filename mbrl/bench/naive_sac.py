"""SAC, SAC-N, EDAC and RAVL with the passes that the published PyTorch codes make: what we are timed against.

It mirrors the operations of RAVL's official code (edge-of-reach, which has EDAC's update from CORL) in our own
words: critics stacked in one batched product a layer, but inputs copied for each of them; a forward pass for the
regression and another, on a batch tiled N times, for the diversity term; its gradient by `autograd.grad` with
`create_graph`, so that the backward pass goes through autograd's own; all pairs of critics as an N x N einsum; an
actor's loss whose backward pass also computes the critics' weight gradients; a policy pass of its own for the
temperature; Adam with torch's defaults; a loop over parameters for the targets; a few metrics read as numbers. What
can be spared without changing that structure is spared: no diversity term where eta is 0, no forward passes for
logging, no checks.
"""

import copy

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from mbrl.agents import SAC
from mbrl.core.maths import tanh_log_det
from mbrl.core.nets import StackedMLP
from mbrl.core.types import Transitions

Noise = tuple[Tensor, Tensor, Tensor]
"""Standard normal [B, A] for the temperature's, the actor's and the target's action."""


class NaiveStack(nn.Module):
    """N critics: x [N, B, I] -> [N, B], with the weights of one seed of a stacked network."""

    def __init__(self, net: StackedMLP, seed: int) -> None:
        super().__init__()
        layers = net.layers
        self.weights = nn.ParameterList(layer.weight.detach()[seed].clone() for layer in layers)
        self.biases = nn.ParameterList(layer.bias.detach()[seed].clone() for layer in layers)

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """Q_i [N, B] of obs and action [B, ...], or [N, B, ...] where each critic has rows of its own."""
        x = torch.cat([obs, action], dim=-1)
        if x.dim() == 2:
            x = x.unsqueeze(0).repeat(len(self.weights[0]), 1, 1)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight + bias
            if i < last:
                x = torch.relu(x)
        return x.squeeze(-1)


class NaivePolicy(nn.Module):
    """A squashed Gaussian: a trunk of nn.Linear, one head for the mean and one for the log-std."""

    def __init__(self, net: StackedMLP, seed: int, bounds: tuple[float, float] = (-5.0, 2.0)) -> None:
        super().__init__()
        *hidden, head = net.layers
        self.bounds = bounds
        parts = [(layer.weight.detach()[seed], layer.bias.detach()[seed]) for layer in hidden]
        self.trunk = nn.Sequential(*[m for w, b in parts for m in (_linear(w, b), nn.ReLU())])
        weights = head.weight.detach()[seed].chunk(2, dim=-1)
        biases = head.bias.detach()[seed].chunk(2, dim=-1)
        self.mean, self.log_std = (_linear(w, b) for w, b in zip(weights, biases, strict=True))

    def forward(self, obs: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Action [B, A] and its log-probability [B] for obs [B, O]."""
        h = self.trunk(obs)
        normal = Normal(self.mean(h), self.log_std(h).clamp(*self.bounds).exp())
        u = normal.rsample() if noise is None else normal.mean + normal.stddev * noise
        action = torch.tanh(u)
        # Published codes take log(1 - tanh^2 + 1e-6), which costs the same and differs from the exact value.
        log_prob = normal.log_prob(u) - tanh_log_det(u)
        return action, log_prob.sum(-1)

    @torch.no_grad()
    def act(self, obs: Tensor) -> Tensor:
        """A sampled action [B, A]."""
        return self(obs)[0]

    @torch.no_grad()
    def mode(self, obs: Tensor) -> Tensor:
        """The deterministic action [B, A]."""
        return torch.tanh(self.mean(self.trunk(obs)))


class NaiveSAC:
    """One seed, from the weights of member `seed` of `agent`; steps with torch's default Adam."""

    def __init__(
        self,
        agent: SAC,
        seed: int = 0,
        *,
        eta: float,
        gamma: float = 0.99,
        tau: float = 0.005,
        lr: float = 3e-4,
    ) -> None:
        self.eta, self.gamma, self.tau, self.target_entropy = eta, gamma, tau, -float(agent.action_dim)
        device = agent.log_alpha.device
        self.policy = NaivePolicy(agent.actor.net, seed).to(device)
        self.critics = NaiveStack(agent.critics.net, seed).to(device)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.log_alpha = agent.log_alpha.detach()[seed].clone().requires_grad_()
        self.alpha = self.log_alpha.detach().exp()
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=lr)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), lr=lr)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], lr=lr)

    def update(self, batch: Transitions, noise: Noise | None = None) -> dict[str, float]:
        """One step of temperature, actor, critics and targets on rows [B, ...]."""
        first, second, third = noise or (None, None, None)
        alpha_loss = self.alpha_loss(batch.obs, first)
        descend(self.alpha_optimiser, alpha_loss)
        self.alpha = self.log_alpha.exp().detach()
        actor_loss, entropy = self.actor_loss(batch.obs, second)
        descend(self.policy_optimiser, actor_loss)
        critic_loss = self.critic_loss(batch, self.target(batch, third))
        descend(self.critic_optimiser, critic_loss)
        with torch.no_grad():
            for old, new in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                old.data.copy_((1 - self.tau) * old.data + self.tau * new.data)
        losses = {"alpha": alpha_loss, "actor": actor_loss, "critic": critic_loss, "entropy": entropy}
        return {name: loss.item() for name, loss in losses.items()}

    def alpha_loss(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        """-log alpha E[log pi + target entropy]."""
        with torch.no_grad():
            _, log_prob = self.policy(obs, noise)
        return (-self.log_alpha * (log_prob + self.target_entropy)).mean()

    def actor_loss(self, obs: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """E[alpha log pi - min_i Q_i], and the entropy."""
        action, log_prob = self.policy(obs, noise)
        value = self.critics(obs, action).min(dim=0).values
        return (self.alpha * log_prob - value).mean(), -log_prob.mean()

    @torch.no_grad()
    def target(self, batch: Transitions, noise: Tensor | None = None) -> Tensor:
        """r + gamma (1 - terminal) (min_i Q'_i - alpha log pi) [B]."""
        action, log_prob = self.policy(batch.next_obs, noise)
        value = self.targets(batch.next_obs, action).min(dim=0).values - self.alpha * log_prob
        return batch.reward + self.gamma * (1 - batch.terminal.to(value.dtype)) * value

    def critic_loss(self, batch: Transitions, target: Tensor) -> Tensor:
        """Sum over critics of the squared error, plus eta times the diversity term."""
        q = self.critics(batch.obs, batch.action)
        loss = (q - target.view(1, -1)).pow(2).mean(dim=1).sum(dim=0)
        return loss if self.eta == 0 else loss + self.eta * self.diversity(batch.obs, batch.action)

    def diversity(self, obs: Tensor, action: Tensor) -> Tensor:
        """Mean cosine between the critics' action gradients, over pairs (An et al. 2021, eq. 4), times N."""
        critics = len(self.critics.weights[0])
        obs = obs.unsqueeze(0).repeat(critics, 1, 1)
        action = action.unsqueeze(0).repeat(critics, 1, 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.critics(obs, action).sum(), action, create_graph=True)
        unit = gradient / (gradient.norm(p=2, dim=-1, keepdim=True) + 1e-10)
        unit = unit.transpose(0, 1)
        cosines = torch.einsum("bik,bjk->bij", unit, unit)
        others = 1 - torch.eye(critics, device=obs.device).unsqueeze(0).repeat(len(unit), 1, 1)
        return (others * cosines).sum(dim=(1, 2)).mean() / (critics - 1)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down a loss, with gradients for whatever the loss was computed from."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """nn.Linear with weight [I, O] and bias [1, O] of a stacked layer."""
    made = nn.Linear(*weight.shape, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        made.weight.copy_(weight.T)
        made.bias.copy_(bias.squeeze(0))
    return made
