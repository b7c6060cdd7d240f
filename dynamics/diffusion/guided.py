"""A denoiser led by a policy: what a guide asks for, computed from the model and the policy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.types import Guide
from mbrl.dynamics.diffusion.guidance import BACKWARD, GUIDES, SCHEDULES, View, unit
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.sampler import Denoise


@dataclass(frozen=True)
class Guiding:
    """How samples follow a policy: by which guide (GUIDES), how much (weight, lambda), and when (SCHEDULES).

    normalise: the shift's direction alone, of length lambda * sigma * sd / sqrt(sigma^2 + sd^2) (c_out) times the
    root of the number of actions; what it samples from is then no product with the policy any more.
    Raises ConfigError for unknown names and a weight that is negative or not finite.
    """

    guide: str = "posterior"
    weight: float = 1.0
    schedule: str = "constant"
    normalise: bool = False

    def __post_init__(self) -> None:
        if self.guide not in GUIDES:
            raise ConfigError(unknown_name("guide", self.guide, GUIDES))
        if self.schedule not in SCHEDULES:
            raise ConfigError(unknown_name("guidance schedule", self.schedule, SCHEDULES))
        if not 0 <= self.weight < float("inf"):
            raise ConfigError(f"guidance: weight={self.weight} (lambda) must be at least 0 and finite")


def guided(model: DiffusionModel, policy: Guide, how: Guiding, sigma_max: float) -> Denoise:
    """The model's denoiser under guidance; at lambda = 0 the model's own, which asks no policy anything."""
    if how.weight == 0:
        return model.denoise

    guide = GUIDES[how.guide]

    def denoise(x: Tensor, sigma: float) -> Tensor:
        weight = how.weight * SCHEDULES[how.schedule](sigma, sigma_max)
        if weight == 0:
            return model.denoise(x, sigma)
        view, estimate = look(model, policy, x, sigma, differentiable=guide in BACKWARD)
        shift = guide(view, weight)
        if how.normalise:
            shift = unit(shift) * weight * _length(model, sigma)
        return estimate + _as_tokens(model, shift)

    return denoise


def look(
    model: DiffusionModel, policy: Guide, x: Tensor, sigma: float, *, differentiable: bool = False
) -> tuple[View, Tensor]:
    """What guides may ask at x [S, n, T + 1, D], actions [S, n, T, N, A]; and D(x; sigma), without a gradient.

    differentiable: keep what `pull` needs.
    """
    start = x.detach().requires_grad_(differentiable)
    with torch.set_grad_enabled(differentiable):
        estimate = model.denoise(start, sigma)
    now = _Now(model, policy, estimate.detach())

    def pull(v: Tensor) -> Tensor:
        (back,) = torch.autograd.grad(estimate, start, _as_tokens(model, v), retain_graph=True)
        return _actions(model, back)

    view = View(
        sigma=sigma,
        sd=model.sigma_data,
        noisy=_actions(model, x),
        denoised=_actions(model, estimate.detach()),
        score=now.score,
        gaussian=now.gaussian,
        pull=pull,
    )
    return view, estimate.detach()


class _Now:
    """A policy at the denoised observations, in the model's units: u = (map(a) - mean) / std."""

    def __init__(self, model: DiffusionModel, policy: Guide, estimate: Tensor) -> None:
        self.model, self.policy, self.shape = model, policy, model.shape
        self.lead = (*estimate.shape[:-2], model.shape.horizon)
        obs = self.shape.split(model.decode(estimate))[0][..., :-1, :, :]
        self.obs = self._rows(obs)
        units = self.shape.split(torch.stack([model.mean, model.std]))
        self.mean, self.std = units.action
        self.mask = self.shape.split(model.mask[:1]).action

    def score(self, u: Tensor) -> Tensor:
        """d sum log pi / d u = slope * std * d log pi / d a.

        Taken at the nearest action in bounds, as if the bound were not there: the gradient still leads back.
        """
        action = self.model.actions.decode(self.mean + self.std * u)
        with torch.enable_grad():
            rows = self._rows(action).detach().requires_grad_(True)
            total = self.policy.log_prob(self.obs, rows).sum()
            (gradient,) = torch.autograd.grad(total, rows)
        return self._back(gradient) * self.model.actions.slope(action) * self.std * self.mask

    def gaussian(self) -> tuple[Tensor, Tensor]:
        """Mean and std in the model's units; through a squashing map to first order around the mean."""
        mean, std = (self._back(x) for x in self.policy.gaussian(self.obs))
        slope = self.model.actions.slope(mean)
        u = (self.model.actions.encode(mean) - self.mean) / self.std
        # Padding has mean and std 0 here, and no part in anything: a std of 1 keeps it finite.
        return u * self.mask, torch.where(self.mask, std / slope / self.std, 1.0)

    def _rows(self, x: Tensor) -> Tensor:
        """[S, n, T, N, K] -> what policies take: [S, n * T, N, K], or [S, n * T, K] of a single agent's data."""
        rows = x.flatten(1, 2)
        return rows if self.shape.joint else rows.squeeze(-2)

    def _back(self, rows: Tensor) -> Tensor:
        """Inverse of _rows."""
        x = rows if self.shape.joint else rows.unsqueeze(-2)
        return x.detach().unflatten(1, self.lead[1:])


def _actions(model: DiffusionModel, x: Tensor) -> Tensor:
    """The actions [..., T, N, A] of x [..., T + 1, D]."""
    return model.shape.split(x).action[..., :-1, :, :]


def _as_tokens(model: DiffusionModel, action: Tensor) -> Tensor:
    """[..., T, N, A] -> [..., T + 1, D], 0 in all that is no action."""
    out = action.new_zeros(*action.shape[:-3], model.shape.tokens, model.shape.width)
    out[..., :-1, model.shape.action_columns] = action.flatten(-2)
    return out * model.mask


def _length(model: DiffusionModel, sigma: float) -> float:
    count = sum(model.shape.layout.action_dims) * model.shape.horizon
    return sigma * model.sigma_data / (sigma**2 + model.sigma_data**2) ** 0.5 * count**0.5
