"""CODA as a source: segments of a diffusion model that follow the current joint policy, drawn anew each time.

Hedman et al. 2026 (arXiv 2604.23308) for several agents; with one, policy-guided diffusion (Jackson et al. 2024,
arXiv 2404.06356), which is the same code. weight = 0 is refreshed but unguided; with once, static augmentation.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mbrl.core.accelerate import Runner, accelerate
from mbrl.core.errors import CheckpointError, MismatchError
from mbrl.core.maths import all_finite
from mbrl.core.seeds import Streams
from mbrl.core.types import Guide, Policy, Transitions
from mbrl.dynamics.diffusion.guided import Guiding, guided
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.policies import as_guide
from mbrl.dynamics.diffusion.sampler import Sampler, sample

MOST = 1000.0
"""Deviations from the data's mean beyond which an entry is void, the sampler having diverged: no value of a million
rows is further from their mean (Samuelson 1968)."""


class Coda:
    """A core.types.Source (Stateful, Reporting): `horizon` transitions a segment, guided by the policy it is given.

    weight: lambda. guide, schedule, normalise: as in Guiding. width: deviation that deterministic policies are
    given. once: the first draw is kept and returned ever after. sampler: further options of Sampler (steps, order,
    ...); churn is on, since rewards then keep up with actions that are led (docs/diffusion_guidance.md), and 10 is
    the most that 24 steps can take. Actions come back in [-1, 1] by the model's action map. mode: eager; graph or
    auto capture draws as a CUDA graph after the first ones (mbrl.core.accelerate), and the policy may then change
    in place only, as learners do. Raises ConfigError for impossible options.
    """

    def __init__(
        self,
        model: DiffusionModel,
        *,
        weight: float = 1.0,
        guide: str = "posterior",
        schedule: str = "constant",
        normalise: bool = False,
        width: float | None = 0.1,
        once: bool = False,
        churn: float = 10.0,
        progress: bool = False,
        mode: str = "eager",
        **sampler: Any,
    ) -> None:
        self.model, self.horizon = model, model.shape.horizon
        self.guiding = Guiding(guide=guide, weight=weight, schedule=schedule, normalise=normalise)
        self.sampler = Sampler(churn=churn, **sampler)
        self.width, self.once, self.progress, self.mode = width, once, progress, mode
        self._asked: tuple[Policy, int, Streams] | None = None
        self._kept: tuple[Transitions, Tensor] | None = None
        self._figures: dict[str, Tensor] = {}

    def check(self, policy: Any) -> None:
        """Raise ConfigError now, rather than at the first draw, if the policy cannot guide."""
        if self.guiding.weight:
            as_guide(policy, self.width)

    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """n segments a seed as rows [S, n * horizon, ...], step by step, and alive [S, n * horizon] bool.

        Void are rows that are not finite or beyond MOST, and those after one of their segment that is void or
        terminal. Raises
        ConfigError for a policy that cannot guide, MismatchError for another size than that of a draw kept.
        """
        if self._kept is None or not self.once:
            x = self.segments(policy, n, streams)
            x = torch.where(x.abs() <= MOST, x, torch.nan)
            rows = self.model.shape.transitions(self.model.decode(x))
            found = _sound(rows, self.horizon)
            if self.once:
                self._kept = found
        else:
            found = self._again(n * self.horizon, len(streams))
        self._figures = figures(policy, *found, entries=sum(self.model.shape.layout.action_dims))
        return found

    def segments(self, policy: Policy, n: int, streams: Streams) -> Tensor:
        """n guided segments a seed [S, n, T + 1, D], in the model's units; a captured draw overwrites the last one.

        Raises ConfigError where a draw under this policy cannot be captured.
        """
        before = self._asked
        if before is None or before[0] is not policy or before[1] != n or before[2] is not streams:
            self._asked = policy, n, streams
            self._run: Runner = accelerate(lambda s: {"x": self._sample(policy, n, s)}, streams, self.mode)
        return self._run()["x"]

    @torch.no_grad()
    def _sample(self, policy: Policy, n: int, streams: Streams) -> Tensor:
        lead: Guide | None = as_guide(policy, self.width) if self.guiding.weight else None
        denoise = guided(self.model, lead, self.guiding, self.sampler.sigma_max)
        mask, dtype = self.model.mask, self.model.mean.dtype
        return sample(denoise, n, mask, streams, self.sampler, dtype=dtype, progress=self.progress)

    def metrics(self) -> dict[str, Tensor]:
        """Figures [S] about the latest draw (see `figures`)."""
        return self._figures

    def state_dict(self) -> dict[str, Any]:
        """The draw that is kept, if any."""
        if self._kept is None:
            return {}
        rows, alive = self._kept
        names = ("obs", "action", "reward", "next_obs", "terminal", "timeout", "step")
        return {"kept": {**{name: getattr(rows, name) for name in names}, "alive": alive}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict. Raises CheckpointError for a state that lacks a field."""
        if "kept" not in state:
            self._kept = None
            return
        kept = {name: x.to(self.model.device) for name, x in state["kept"].items()}
        try:
            alive = kept.pop("alive")
            self._kept = Transitions(**kept), alive
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"diffusion source: the draw it kept is damaged ({error})") from error

    def _again(self, count: int, seeds: int) -> tuple[Transitions, Tensor]:
        rows, alive = self._kept
        if tuple(alive.shape) != (seeds, count):
            raise MismatchError(
                f"diffusion source: a draw made once has {tuple(alive.shape)} rows, asked for {(seeds, count)}"
            )
        return rows, alive


@torch.no_grad()
def figures(policy: Policy, rows: Transitions, alive: Tensor, *, entries: int) -> dict[str, Tensor]:
    """What a draw is like, [S] each, over its rows that are alive.

    source/action_distance: root mean square, over the `entries` of a joint action that are no padding, of the
    sampled action less the policy's deterministic one there; source/reward: mean; source/void: share that is void.
    """
    action = policy.act(rows.obs)
    square = (rows.action - action).square().flatten(2).sum(-1) / entries
    count = alive.sum(-1).clamp_min(1)
    return {
        "source/action_distance": ((square * alive).sum(-1) / count).sqrt(),
        "source/reward": (rows.reward * alive).sum(-1) / count,
        "source/void": 1.0 - alive.float().mean(-1),
    }


def _sound(rows: Transitions, horizon: int) -> tuple[Transitions, Tensor]:
    """The rows with 0 where they are not finite, and alive: finite, and after no terminal or void row."""
    finite = all_finite(rows.obs.flatten(2)) & all_finite(rows.next_obs.flatten(2))
    finite = finite & all_finite(rows.action.flatten(2)) & rows.reward.isfinite()
    steps = finite.unflatten(-1, (horizon, -1)).long()
    going = (finite & ~rows.terminal).unflatten(-1, (horizon, -1)).long()
    before = torch.cat([torch.ones_like(going[:, :1]), going[:, :-1]], dim=1).cumprod(1)
    alive = (before * steps).flatten(1).bool()
    return rows.map(lambda x: torch.where(x.isfinite(), x, torch.zeros_like(x))), alive
