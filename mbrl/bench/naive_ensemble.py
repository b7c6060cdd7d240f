"""A probabilistic ensemble as published PyTorch codes train it and roll it out: what we are timed against.

It mirrors OfflineRL-Kit's ensemble dynamics and RAVL's official code in our own words: data as numpy arrays,
gathered for all members at the start of an epoch and copied to the device batch by batch; an einsum a layer, with
the bias added after it; weight decay as a sum over squared weights in the loss; Adam with torch's defaults; the
loss read as a number every step. Rollouts go through all members, one after the other as RAVL's do (on a CPU that
is the faster way), and choose one for each row afterwards, on numpy arrays: observations to the device and back
twice a step, noise for all members, finished rows taken out. What can be spared without changing that structure is
spared: torch's own SiLU, float32 noise from numpy's fast generator, no penalty, no copies of what is not used.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mbrl.core.types import Termination
from mbrl.dynamics import Ensemble

Array = np.ndarray
Act = Callable[[Array], Array]
"""A policy on numpy arrays: obs [B, O] -> action [B, A]."""
Rows = dict[str, Array]
"""obs, action, reward [B], next_obs and terminal [B] of rollouts."""


class NaiveEnsemble(nn.Module):
    """E members with the weights of the first model of `model`; one pair of log-variance bounds for all of them."""

    def __init__(self, model: Ensemble, *, lr: float = 1e-3, logvar_coef: float = 0.01) -> None:
        super().__init__()
        layers = model.net.layers
        self.weights = nn.ParameterList(layer.weight.detach()[0].clone() for layer in layers)
        self.biases = nn.ParameterList(layer.bias.detach()[0].clone() for layer in layers)
        self.low = nn.Parameter(model.logvar_min.detach()[0, 0].clone())
        self.high = nn.Parameter(model.logvar_max.detach()[0, 0].clone())
        self.decay, self.logvar_coef = model.weight_decay, logvar_coef
        self.mean = model.normaliser.mean.flatten().cpu().numpy()
        self.std = model.normaliser.std.flatten().cpu().numpy()
        self.elites = model.elites[0].cpu().numpy()
        self.device, self.dtype = model.logvar_min.device, model.logvar_min.dtype
        self.optimiser = torch.optim.Adam(self.parameters(), lr=lr)

    def forward(self, inputs: Array) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [E, B, O + 1] for standardised inputs [E, B, I], each member on its own rows."""
        x = torch.as_tensor(inputs, dtype=self.dtype, device=self.device)
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in hidden:
            x = functional.silu(torch.einsum("ebi,eio->ebo", x, weight) + bias)
        return self._gaussian(torch.einsum("ebi,eio->ebo", x, last[0]) + last[1])

    @torch.no_grad()
    def predict(self, inputs: Array) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [E, B, O + 1] of every member for the same standardised inputs [B, I]."""
        shared = torch.as_tensor(inputs, dtype=self.dtype, device=self.device)
        outputs = []
        for member in range(len(self.weights[0])):
            x = shared
            *hidden, last = [
                (w[member].T, b[member, 0]) for w, b in zip(self.weights, self.biases, strict=True)
            ]
            for weight, bias in hidden:
                x = functional.silu(functional.linear(x, weight, bias))
            outputs.append(functional.linear(x, *last))
        return self._gaussian(torch.stack(outputs))

    def _gaussian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer's output as mean and bounded log-variance."""
        mean, logvar = torch.chunk(x, 2, dim=-1)
        logvar = self.high - functional.softplus(self.high - logvar)
        return mean, self.low + functional.softplus(logvar - self.low)

    def loss(self, inputs: Array, targets: Array) -> Tensor:
        """What a step descends: NLL and decay summed over members, and the width of the bounds."""
        wanted = torch.as_tensor(targets, dtype=self.dtype, device=self.device)
        mean, logvar = self(inputs)
        error = ((mean - wanted).pow(2) * torch.exp(-logvar)).mean(dim=(1, 2))
        loss = error.sum() + logvar.mean(dim=(1, 2)).sum()
        for weight, decay in zip(self.weights, self.decay, strict=True):
            loss = loss + 0.5 * decay * weight.pow(2).sum()
        return loss + self.logvar_coef * self.high.sum() - self.logvar_coef * self.low.sum()

    def train_epoch(self, inputs: Array, targets: Array, rows: Array, batch_size: int) -> list[float]:
        """A pass over rows [E, n] of standardised inputs and targets in their order; the loss of every step."""
        inputs, targets = inputs[rows], targets[rows]
        losses = []
        for first in range(0, rows.shape[1], batch_size):
            part = slice(first, first + batch_size)
            loss = self.loss(inputs[:, part], targets[:, part])
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            losses.append(loss.item())
        return losses

    def step(self, obs: Array, action: Array, choice: Array, noise: Array) -> tuple[Array, Array]:
        """next_obs [B, O] and reward [B] from member choice [B] and noise [E, B, O + 1]."""
        inputs = (np.concatenate([obs, action], axis=-1) - self.mean) / self.std
        mean, logvar = (x.cpu().numpy() for x in self.predict(inputs))
        mean[..., :-1] += obs
        samples = mean + np.sqrt(np.exp(logvar)) * noise
        chosen = samples[choice, np.arange(len(obs))]
        return chosen[:, :-1], chosen[:, -1]


def naive_rollout(
    model: NaiveEnsemble,
    act: Act,
    obs: Array,
    horizon: int,
    rng: np.random.Generator,
    termination: Termination | None = None,
) -> Rows:
    """Up to `horizon` steps from obs [B, O]; rows that ended are left out of the next step."""
    found: list[Rows] = []
    for _ in range(horizon):
        action = act(obs)
        choice = rng.choice(model.elites, len(obs))
        noise = rng.standard_normal((len(model.weights[0]), len(obs), obs.shape[1] + 1), dtype=np.float32)
        next_obs, reward = model.step(obs, action, choice, noise)
        terminal = np.zeros(len(obs), dtype=bool)
        if termination is not None:
            terminal = termination(*map(torch.as_tensor, (obs, action, next_obs))).numpy()
        found.append(
            {"obs": obs, "action": action, "reward": reward, "next_obs": next_obs, "terminal": terminal}
        )
        obs = next_obs[~terminal]
        if not len(obs):
            break
    return {key: np.concatenate([rows[key] for rows in found]) for key in found[0]}


def numpy_policy(act: Callable[[Tensor], Tensor], device: torch.device) -> Act:
    """A policy of tensors on numpy arrays, as published codes step environments and models with one."""

    def numpy_act(obs: Array) -> Array:
        return act(torch.as_tensor(obs, dtype=torch.float32, device=device)).cpu().numpy()

    return numpy_act
