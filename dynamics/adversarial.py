"""RAMBO: a model trained to be pessimistic about the policy while it goes on fitting the data.

Rigter et al. 2022 (arXiv 2204.12581), official code github.com/marc-rigter/rambo. The parameters phi minimise
lambda V_phi^pi - E_data[ log p_phi(s', r | s, a) ]; for the gradient of V see model_gradient.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.optim import load_optimiser_state, norm_per_seed, optimiser_state
from mbrl.core.progress import progress as progress_bar
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions, ValuedPolicy
from mbrl.dynamics.ensemble import Ensemble, pick_member
from mbrl.dynamics.epochs import CHECK_EVERY, member_loss, parameter_groups
from mbrl.dynamics.fit import regression_pairs
from mbrl.dynamics.model_gradient import advantage, adversarial_loss, mixture_log_prob, normalise
from mbrl.dynamics.per_seed import copy_per_seed

FIGURES = ("adversarial_loss", "supervised_loss", "advantage", "alive")
"""What is recorded of every step."""


class _Rollouts(NamedTuple):
    """Rollouts under way: start and current obs [S, B, O], and which have not ended [S, B]."""

    start: Tensor
    obs: Tensor
    alive: Tensor


class AdversarialModel:
    """An ensemble for every seed, which `train` turns against a policy; the one it was made from stays as it is.

    `dynamics` is the model: one object throughout, changed in place.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        data: Transitions,
        *,
        seeds: Sequence[int],
        horizon: int = 5,
        adv_weight: float = 3e-4,
        updates: int = 1000,
        lr: float = 3e-4,
        batch_size: int = 256,
        sum_over_batch: bool = False,
        logvar_coef: float = 0.01,
        progress: bool = True,
    ) -> None:
        """data: flat rows [n] with true successors, to start from and to keep fitting; horizon: k, steps a rollout;
        adv_weight: lambda; updates: steps of one `train`; logvar_coef: as in `fit`.

        sum_over_batch: the adversarial term is summed over its rows, while the supervised one is a mean. (The
        official code sums a vector to which the supervised loss was added, so that this, too, counts B times:
        up to a factor, to which Adam is blind, that is the mean.) Raises ConfigError for impossible values, and
        what `regression_pairs` and `copy_per_seed` raise.
        """
        counts = {"horizon": horizon, "batch_size": batch_size}
        for name, count in counts.items():
            if count < 1:
                raise ConfigError(f"{name}={count}: must be at least 1")
        if adv_weight < 0 or updates < 0 or lr <= 0:
            raise ConfigError(
                f"adv_weight={adv_weight}, updates={updates}, lr={lr}: must be at least 0, at least 0 and positive"
            )
        self.inputs, self.targets = regression_pairs(ensemble, data)
        self.dynamics = copy_per_seed(ensemble, seeds)
        self.horizon, self.updates, self.batch_size = horizon, updates, batch_size
        self.adv_weight, self.sum_over_batch = adv_weight, sum_over_batch
        self.logvar_coef, self.progress = logvar_coef, progress
        self.optimiser = torch.optim.Adam(parameter_groups(self.dynamics), lr=lr, fused=True)
        self.fitted = {name: p.detach().clone() for name, p in self.dynamics.networks().items()}
        self.done, self.latest = 0, {}
        self.diverged: dict[int, str] = {}

    def train(self, agent: ValuedPolicy, streams: Streams) -> None:
        """`updates` steps against the agent, each on one step of its rollouts and on real rows.

        Rollouts start from states of the data, every `horizon` steps anew; they go on with the model as it is by
        then, and end at terminals. A seed's model that diverges is named in `diverged`, with the step; nothing of
        it reaches the others, which go on. Raises DivergenceError if all of them do.
        """
        self.diverged = {}
        seen: list[Tensor] = []
        shown = {"enabled": self.progress, "unit": "step", "leave": False}
        with progress_bar(self.updates, "adversarial model", **shown) as bar:
            for i in range(self.updates):
                if i % self.horizon == 0:
                    rollouts = self._begin(streams)
                rollouts, figures = self._step(agent, rollouts, streams)
                seen.append(figures)
                bar.update()
                if (i + 1) % CHECK_EVERY == 0 or i + 1 == self.updates:
                    self._check(seen)
        if seen:
            self.done += len(seen)
            means = torch.stack(seen).mean(0)
            self.latest = dict(zip(FIGURES, means.unbind(-1), strict=True)) | {"change": self._change()}

    def metrics(self) -> dict[str, Tensor]:
        """Means over the latest `train`, each [S]; {} before the first.

        The adversarial loss without its weight, the supervised one (mean over members), the advantage before it is
        normalised, the share of rows alive; and how far the parameters are from the fit, relative to their norm.
        """
        return {f"model/{name}": value for name, value in self.latest.items()}

    def _begin(self, streams: Streams) -> _Rollouts:
        start = self.inputs[streams.randint(len(self.inputs), self.batch_size), : self.dynamics.obs_dim]
        return _Rollouts(start, start, torch.ones(start.shape[:-1], dtype=torch.bool, device=start.device))

    def _step(self, agent: ValuedPolicy, rollouts: _Rollouts, streams: Streams) -> tuple[_Rollouts, Tensor]:
        """One optimiser step; the rollouts one step on, and FIGURES [S, 4] of it."""
        following, adversarial, gain, alive = self._pessimism(agent, rollouts, streams)
        rows = streams.randint(len(self.inputs), self.dynamics.members, self.batch_size)
        fit, nll = member_loss(self.dynamics, self.inputs[rows], self.targets[rows], self.logvar_coef)
        self.optimiser.zero_grad(set_to_none=True)
        (self.adv_weight * adversarial + fit.sum(-1)).sum().backward()
        self.optimiser.step()
        figures = [adversarial, nll.mean(-1), gain, alive]
        return following, torch.stack([f.detach().double() for f in figures], dim=-1)

    def _pessimism(
        self, agent: ValuedPolicy, rollouts: _Rollouts, streams: Streams
    ) -> tuple[_Rollouts, Tensor, Tensor, Tensor]:
        """The rollouts one step on; of this step the adversarial loss, mean advantage and share alive, each [S].

        As in the official code, values are the smallest critic's, V(s') at the policy's deterministic action and
        without the entropy bonus.
        """
        start, obs, alive = rollouts
        action = agent.act(obs, streams)
        mean, logvar = self.dynamics(torch.cat([obs, action], dim=-1).unsqueeze(1))
        sample, lost = self._sample(mean, logvar, streams)
        next_obs, reward = obs + sample[..., :-1], sample[..., -1]
        terminal = self.dynamics.termination(obs, action, next_obs)
        values = agent.values(next_obs).amin(dim=-2), agent.q_values(obs, action).amin(dim=-2)
        gain = advantage(reward, terminal, *values, agent.gamma)
        alive = alive & ~lost
        log_prob = mixture_log_prob(sample, mean, logvar, self.dynamics.elites)
        loss = adversarial_loss(log_prob, normalise(gain, alive), alive, total=self.sum_over_batch)
        count = alive.sum(-1)
        gain = torch.where(alive, gain, torch.zeros_like(gain)).sum(-1) / count.clamp_min(1)
        on = alive & ~terminal
        # A rollout that has ended stands at its start: void, and no value far off is computed there.
        following = _Rollouts(start, torch.where(on.unsqueeze(-1), next_obs, start), on)
        return following, loss, gain, count / self.batch_size

    @torch.no_grad()
    def _sample(self, mean: Tensor, logvar: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
        """(next_obs - obs, reward) [S, B, O + 1] from one elite a row; and which rows [S, B] are not finite: 0.

        The draws of Ensemble.step, kept apart from its predictions because these need their gradient.
        """
        elites = self.dynamics.elites
        member = elites.gather(1, streams.randint(elites.shape[-1], mean.shape[-2]))
        noise = streams.randn(*mean.shape[-2:])
        sample = pick_member(mean, member) + torch.exp(0.5 * pick_member(logvar, member)) * noise
        lost = ~sample.isfinite().all(-1)
        return torch.where(lost.unsqueeze(-1), torch.zeros_like(sample), sample), lost

    def _check(self, seen: Sequence[Tensor]) -> None:
        """Note the seeds with a step whose losses are not finite, or with parameters that are not.

        Raises DivergenceError if none is left.
        """
        figures = torch.stack(seen)
        for step, place in (~figures.isfinite().all(-1)).nonzero().tolist():
            losses = zip(FIGURES, figures[step, place].tolist(), strict=True)
            self._note(place, step, ", ".join(f"{name} {value:.4g}" for name, value in losses))
        for place in (~self._change().isfinite()).nonzero().flatten().tolist():
            self._note(place, len(seen) - 1, "its parameters are not finite")
        if len(self.diverged) == len(self.dynamics.seeds):
            raise DivergenceError("; ".join(self.diverged.values()), members=self.diverged)

    def _note(self, place: int, step: int, what: str) -> None:
        """Keep the first diagnosis of a seed."""
        text = (
            f"seed {self.dynamics.seeds[place]}: the adversarial model diverged at its step "
            f"{self.done + step + 1} ({what}); lower source.adv_weight={self.adv_weight:g} or source.model_lr"
        )
        self.diverged.setdefault(place, text)

    def _change(self) -> Tensor:
        """|phi - phi_fit| / |phi_fit|, [S]."""
        parameters = self.dynamics.networks()
        moved = norm_per_seed([parameters[name] - fitted for name, fitted in self.fitted.items()])
        return moved / norm_per_seed(list(self.fitted.values()))

    def state_dict(self) -> dict[str, Any]:
        """Parameters, optimiser, steps done and the latest metrics."""
        return {
            "networks": {name: p.detach() for name, p in self.dynamics.networks().items()},
            "optimiser": optimiser_state(self.optimiser),
            "done": torch.tensor(self.done),
            "latest": self.latest,
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict, in place; the optimiser's and the metrics are empty before the first step."""
        for name, p in self.dynamics.networks().items():
            p.copy_(state["networks"][name])
        load_optimiser_state(self.optimiser, state.get("optimiser", {}))
        device = self.dynamics.elites.device
        self.done = int(state["done"])
        self.latest = {name: value.to(device) for name, value in state.get("latest", {}).items()}
