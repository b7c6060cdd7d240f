"""SAC and EDAC once more, as plainly as PyTorch allows: one seed, a list of critics, double backward, Adam."""

import copy

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from mbrl.agents import SAC
from mbrl.core.nets import StackedMLP
from mbrl.core.types import Transitions


def sequential(net: StackedMLP, index: tuple[int, ...]) -> nn.Sequential:
    """One member of a stack as nn.Linear layers with ReLU between them."""
    modules: list[nn.Module] = []
    for layer in net.layers:
        linear = nn.Linear(layer.fan_in, layer.fan_out)
        with torch.no_grad():
            linear.weight.copy_(layer.weight[index].T)
            linear.bias.copy_(layer.bias[index].squeeze(0))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class NaiveSAC:
    """Starts from the weights of seed s of `agent` and has its hyper-parameters, but none of its code."""

    def __init__(self, agent: SAC, s: int, lr: float) -> None:
        self.eta, self.gamma, self.tau, self.entropy = agent.eta, agent.gamma, agent.tau, agent.target_entropy
        self.actor = sequential(agent.actor.net, (s,))
        self.critics = [sequential(agent.critics.net, (s, i)) for i in range(agent.num_critics)]
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = agent.log_alpha.detach()[s].clone().requires_grad_()
        critic_parameters = [p for critic in self.critics for p in critic.parameters()]
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), lr=lr)
        self.critic_optimiser = torch.optim.Adam(critic_parameters, lr=lr)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], lr=lr)

    def sample(self, obs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.actor(obs).chunk(2, dim=-1)
        normal = Normal(mean, log_std.clamp(-5, 2).exp())
        u = mean + normal.stddev * noise
        action = torch.tanh(u)
        return action, (normal.log_prob(u) - torch.log(1 - action**2)).sum(-1)

    def update(self, batch: Transitions, actor_noise: Tensor, next_noise: Tensor) -> dict[str, float]:
        action, log_prob = self.sample(batch.obs, actor_noise)
        alpha_loss = -(self.log_alpha * (log_prob.detach() + self.entropy)).mean()
        descend(self.alpha_optimiser, alpha_loss)
        alpha = self.log_alpha.detach().exp()
        q = torch.stack([c(torch.cat([batch.obs, action], -1)).squeeze(-1) for c in self.critics])
        actor_loss = (alpha * log_prob - q.min(0).values).mean()
        descend(self.actor_optimiser, actor_loss)

        with torch.no_grad():
            next_action, next_log_prob = self.sample(batch.next_obs, next_noise)
            x = torch.cat([batch.next_obs, next_action], -1)
            next_q = torch.stack([c(x).squeeze(-1) for c in self.targets]).min(0).values
            value = next_q - alpha * next_log_prob
            target = batch.reward + self.gamma * (1 - batch.terminal.double()) * value
        loss, diversity = self.critic_loss(batch, target)
        descend(self.critic_optimiser, loss)
        for critic, old in zip(self.critics, self.targets, strict=True):
            for p, t in zip(critic.parameters(), old.parameters(), strict=True):
                t.data = (1 - self.tau) * t.data + self.tau * p.data
        return {
            "actor/loss": actor_loss.item(),
            "actor/alpha": alpha.item(),
            "actor/entropy": -log_prob.mean().item(),
            "critic/loss": loss.item(),
            "critic/target_mean": target.mean().item(),
            **({"critic/diversity": diversity} if self.eta else {}),
        }

    def critic_loss(self, batch: Transitions, target: Tensor) -> tuple[Tensor, float]:
        total, units = torch.zeros(()), []
        for critic in self.critics:
            action = batch.action.clone().requires_grad_()
            q = critic(torch.cat([batch.obs, action], -1)).squeeze(-1)
            (g,) = torch.autograd.grad(q.sum(), action, create_graph=True)
            units.append(g / g.norm(dim=-1, keepdim=True))
            total = total + (q - target).square().mean()
        if not self.eta:
            return total, 0.0
        n = len(units)
        pairs = sum((units[i] * units[j]).sum(-1).mean() for i in range(n) for j in range(n) if i != j)
        diversity = pairs / (n - 1)
        return total + self.eta * diversity, diversity.item()


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
