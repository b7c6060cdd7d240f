"""RAMBO's model phase for one seed without a stack, and the small parts its tests are made of."""

import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.dynamics import Ensemble
from mbrl.dynamics.adversarial import AdversarialModel
from tests.fakes import random_transitions

SMALL = {"members": 3, "elites": 2, "hidden": (8,), "weight_decay": (1e-2, 2e-2)}
SEEDS = (4, 1, 7)


class LinearValues:
    """A noisy policy with two critics, linear in obs and action; sees what a model asks it."""

    gamma = 0.9

    def __init__(self) -> None:
        self.asked: list[torch.Tensor] = []

    def act(self, obs: torch.Tensor, streams: Streams | None = None) -> torch.Tensor:
        self.asked.append(obs.clone())
        return 0.3 * torch.tanh(obs[..., :2]) + 0.1 * streams.randn(obs.shape[1], 2)

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.stack([obs.sum(-1), 2 * obs[..., 0]], dim=-2)

    def q_values(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return torch.stack([obs[..., 1] + action[..., 0], 0.5 * obs[..., 2]], dim=-2)


def rows(n: int = 200, **options: int) -> Transitions:
    dtype = torch.get_default_dtype()
    data = random_transitions(n, **options)
    return data.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def ends(obs: torch.Tensor, action: torch.Tensor, next_obs: torch.Tensor) -> torch.Tensor:
    return next_obs[..., 0] > 0.5


def model(seeds: tuple[int, ...] = (0,), **options: object) -> Ensemble:
    ensemble = Ensemble(3, 2, seeds=seeds, **{**SMALL, "logvar_init": (-3.0, 0.5), **options})
    ensemble.elites.copy_(torch.tensor([2, 0]))
    return ensemble


def adversary(ensemble: Ensemble, seeds: tuple[int, ...], **options: object) -> AdversarialModel:
    given = {"horizon": 3, "updates": 8, "batch_size": 16, "lr": 1e-2, "progress": False}
    return AdversarialModel(ensemble, rows(), seeds=seeds, **{**given, **options})


def naive_phase(ensemble: Ensemble, data: Transitions, agent: LinearValues, streams: Streams, weight: float):
    """The eight steps of `adversary` for one seed: torch's own distributions, decay as a term of the loss."""
    obs_all, size, updates, horizon = data.obs, 16, 8, 3
    targets = torch.cat([data.next_obs - data.obs, data.reward.unsqueeze(-1)], dim=-1)
    inputs = torch.cat([data.obs, data.action], dim=-1)
    optimiser = torch.optim.Adam(list(ensemble.networks().values()), lr=1e-2)
    living = []
    for i in range(updates):
        if i % horizon == 0:
            start = obs = obs_all[streams.randint(len(obs_all), size)]
            alive = torch.ones(1, size, dtype=torch.bool)
        action = agent.act(obs, streams)
        mean, logvar = ensemble(torch.cat([obs, action], dim=-1).unsqueeze(1))
        member = torch.tensor([2, 0])[streams.randint(2, size)][0]
        noise = streams.randn(size, 4)[0]
        everyone = torch.arange(size)
        x = (mean[0, member, everyone] + (0.5 * logvar[0, member, everyone]).exp() * noise).detach()
        parts = Independent(
            Normal(mean[0, [2, 0]].movedim(0, 1), (0.5 * logvar[0, [2, 0]]).exp().movedim(0, 1)), 1
        )
        log_prob = MixtureSameFamily(Categorical(torch.ones(size, 2)), parts).log_prob(x)
        next_obs, total, count, gains = obs[0] + x[:, :3], 0.0, int(alive.sum()), []
        for b in range(size):
            v = min(next_obs[b].sum(), 2 * next_obs[b, 0])
            q = min(obs[0, b, 1] + action[0, b, 0], 0.5 * obs[0, b, 2])
            over = next_obs[b, 0] > 0.5
            gains.append((x[b, 3] + (0.0 if over else 0.9 * v) - q).item())
        kept = torch.tensor([g for g, a in zip(gains, alive[0], strict=True) if a])
        for b in range(size):
            if alive[0, b]:
                total = total + log_prob[b] * (gains[b] - kept.mean()) / kept.std(correction=0) / count
        picked = streams.randint(len(data), 3, size)[0]
        loss = weight * total
        for e in range(3):
            mean, logvar = (out[0, e] for out in ensemble(inputs[picked[e]][None, None].expand(1, 3, -1, -1)))
            loss = loss + ((mean - targets[picked[e]]) ** 2 / logvar.exp() + logvar).mean()
            loss = loss + 0.05 * (ensemble.logvar_max - ensemble.logvar_min)[0, e].sum()
        for layer, decay in zip(ensemble.net.layers, (1e-2, 2e-2), strict=True):
            loss = loss + 0.5 * decay * layer.weight.square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        living.append(count / size)
        alive = alive & (next_obs[:, 0] <= 0.5)
        obs = torch.where(alive.unsqueeze(-1), next_obs, start)
    return sum(living) / updates
