"""Records and Protocols that cross package borders.

Axes, here and in every docstring of the project: S seeds, E ensemble members, N agents, B batch, T time,
O obs, A action, D simulator state. `...` stands for any leading axes, usually S.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from mbrl.core.errors import DataError
from mbrl.core.seeds import Streams


@dataclass(frozen=True)
class Transitions:
    """Experience, real or synthetic, one transition a row.

    obs, next_obs [..., B, O] float32; action [..., B, A] float32; reward [..., B] float32; of several agents
    obs, next_obs [..., B, N, O] and action [..., B, N, A], padded with zeros at the end of each agent's row
    (mbrl.core.joint.Layout), while all else is shared;
    terminal [..., B] bool: the MDP ended, do not bootstrap; timeout [..., B] bool: only the record ended,
    bootstrap goes on; step [..., B] int64: rollout step, 0 for real data and 1..k for model rollouts;
    sim_state [..., B, D] float64, optional: the simulator's state at `obs`; next_value [..., B] float32, optional:
    a known value of next_obs under the policy that drew the row, NaN where none is known.
    """

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminal: Tensor
    timeout: Tensor
    step: Tensor
    sim_state: Tensor | None = None
    next_value: Tensor | None = None

    def __post_init__(self) -> None:
        """Raise DataError unless all fields agree on their leading axes and the flags are boolean."""
        lead = self.reward.shape
        own = {"obs": self._own, "action": self._own, "next_obs": self._own, "sim_state": 1}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None:
                continue
            got = value.shape[: value.dim() - own.get(f.name, 0)]
            if got != lead:
                raise DataError(f"{f.name}: leading axes {tuple(got)} do not match reward's {tuple(lead)}")
        if self.obs.shape != self.next_obs.shape:
            shapes = tuple(self.next_obs.shape), tuple(self.obs.shape)
            raise DataError(f"next_obs is shaped {shapes[0]}, obs {shapes[1]}; they must agree")
        if self._own == 2 and self.obs.shape[-2] != self.action.shape[-2]:
            raise DataError(f"obs of {self.obs.shape[-2]} agents, actions of {self.action.shape[-2]}")
        if self.terminal.dtype != torch.bool or self.timeout.dtype != torch.bool:
            raise DataError(f"terminal and timeout are bool, got {self.terminal.dtype}, {self.timeout.dtype}")

    def map(self, fn: Callable[[Tensor], Tensor]) -> "Transitions":
        """Apply `fn` to every tensor that is present."""
        present = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: fn(v) for k, v in present.items() if v is not None})

    def to(self, device: torch.device | str) -> "Transitions":
        """The same rows on `device`."""
        return self.map(lambda x: x.to(device))

    def __getitem__(self, index: Any) -> "Transitions":
        """Rows by index on the leading axes; an index tensor [S, B] on flat data gives [S, B, ...]."""
        return self.map(lambda x: x[index])

    def __len__(self) -> int:
        """Rows on the last batch axis."""
        return self.reward.shape[-1]

    @property
    def _own(self) -> int:
        """Axes of an observation itself: 1, or 2 with an axis of agents."""
        return 2 if self.obs.dim() - self.reward.dim() == 2 else 1

    @property
    def agents(self) -> int | None:
        """N; None for rows without an axis of agents."""
        return self.obs.shape[-2] if self._own == 2 else None

    @property
    def obs_dim(self) -> int:
        """O."""
        return self.obs.shape[-1]

    @property
    def action_dim(self) -> int:
        """A."""
        return self.action.shape[-1]


def concatenate(parts: Sequence[Transitions], axis: int | None = None) -> Transitions:
    """Join along the batch axis, or another one; sim_state is kept only if every part has it, next_value if any
    part does."""
    if any(p.next_value is not None for p in parts):
        parts = [_with_next_value(p) for p in parts]
    names = [f.name for f in fields(Transitions) if all(getattr(p, f.name) is not None for p in parts)]
    axis = parts[0].reward.dim() - 1 if axis is None else axis
    return Transitions(**{n: torch.cat([getattr(p, n) for p in parts], dim=axis) for n in names})


def _with_next_value(rows: Transitions) -> Transitions:
    if rows.next_value is not None:
        return rows
    return replace(rows, next_value=torch.full_like(rows.reward, torch.nan))


@dataclass(frozen=True)
class EnvSpec:
    """The environment a dataset was recorded in and its agents are evaluated in.

    versions: what recorded it, e.g. {"mujoco": "3.4.0", "gymnasium": "1.4.0"}; empty where unknown.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class Prediction(NamedTuple):
    """What each member of a model says about (next_obs, reward): what uncertainty penalties read.

    mean, std [..., E, B, O + 1]: next_obs first (absolute, not a difference), reward last.
    elites [..., K] int64: the members a rollout samples from.
    """

    mean: Tensor
    std: Tensor
    elites: Tensor


class DynamicsStep(NamedTuple):
    """One step of a model: an environment's step, plus the carry and the members' predictions."""

    carry: Any
    next_obs: Tensor
    reward: Tensor
    terminal: Tensor
    prediction: Prediction | None


@runtime_checkable
class Dynamics(Protocol):
    """A transition model in batch. Whatever is more than the observation lives in the carry."""

    obs_dim: int
    action_dim: int

    def begin(self, obs: Tensor, sim_state: Tensor | None = None) -> Any:
        """Carry at the start states obs [S, B, O]; sim_state [S, B, D] where the model needs it."""

    def step(
        self, carry: Any, obs: Tensor, action: Tensor, streams: Streams, *, members: bool = False
    ) -> DynamicsStep:
        """Advance obs [S, B, O] by action [S, B, A]: next_obs [S, B, O], reward and terminal [S, B].

        members: also return every member's prediction (costs a pass through all of them).
        """


@runtime_checkable
class Policy(Protocol):
    """Anything that acts."""

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [S, B, A] in [-1, 1] for obs [S, B, O]; without streams, the deterministic action."""


@runtime_checkable
class Agent(Policy, Protocol):
    """A learner: a function of batches, with a state that can be saved."""

    def update(self, batch: Transitions, streams: Streams) -> dict[str, Tensor]:
        """One gradient step on rows [S, B, ...]; returns metrics [S] on the device, no host sync."""

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, optimisers, temperature: nested dicts of tensors, live ones where that is possible.

        Those that lead with S are the members'; all others are shared.
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict."""


class Source(Protocol):
    """Synthetic experience from the current policy: truncated model rollouts, guided diffusion, ...

    horizon: rows a start gives; their `step` runs from 1 to horizon. A source may also be Stateful (its state
    is then part of the checkpoint) and Reporting (its metrics are then logged).
    """

    horizon: int

    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """Rows [S, n * horizon, ...] from n starts a seed, and alive [S, n * horizon] bool: others are void."""


@runtime_checkable
class Stateful(Protocol):
    """A source, or anything else, with a state that a resumed run needs back."""

    def state_dict(self) -> dict[str, Any]:
        """Nested dicts of tensors."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict."""


@runtime_checkable
class Reporting(Protocol):
    """A source with figures of its own about its latest draw."""

    def metrics(self) -> dict[str, Tensor]:
        """Metrics [S] by "<group>/<name>"."""


@runtime_checkable
class Perishable(Protocol):
    """A source that can lose members of a stack in a draw, and go on for the others.

    diverged: {place in the stack: diagnosis} of those that the latest draw has lost.
    """

    diverged: Mapping[int, str]


@runtime_checkable
class Tracing(Protocol):
    """A dynamics whose carry holds the simulator's state, so that rows can be recorded with theirs."""

    def sim_state(self, carry: Any) -> Tensor:
        """[S, B, D] float64 at the carry's observation."""


@runtime_checkable
class Reconstructing(Protocol):
    """A true dynamics whose observation is not always a state."""

    def reconstructable(self, obs: Tensor) -> Tensor:
        """[S, B] bool: which of obs [S, B, O] the simulator's state can be computed from."""


@runtime_checkable
class Parking(Protocol):
    """A dynamics whose steps are dear enough to leave out the rows that nobody asks for."""

    def park(self, carry: Any, rows: Tensor) -> Any:
        """The carry with `rows` [S, B] bool not simulated any further; the other rows' steps are the same bits."""


@runtime_checkable
class Counted(Protocol):
    """A dynamics that says without a step how many members its predictions have: one has none to disagree with."""

    members: int


@runtime_checkable
class SoftPolicy(Policy, Protocol):
    """A policy whose values count an entropy bonus besides the rewards (SAC and its relatives)."""

    def act_soft(self, obs: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
        """A sampled action [S, B, A] and its bonus -alpha log pi(a|s) [S, B]."""


@runtime_checkable
class ValuedPolicy(Policy, Protocol):
    """A policy with critics, as an adversary of its values meets it. gamma: the discount of those values."""

    gamma: float

    def values(self, obs: Tensor) -> Tensor:
        """Q_i(s, pi(s)) [S, N, B] at the deterministic action, for obs [S, B, O]; no gradient."""

    def q_values(self, obs: Tensor, action: Tensor) -> Tensor:
        """Q_i(s, a) [S, N, B] for obs [S, B, O] and action [S, B, A]; no gradient."""


@runtime_checkable
class Guide(Protocol):
    """A policy with a density, which samples of a diffusion model can be led by (joint ones: one an agent)."""

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """log pi(a|o) [S, B], of several agents [S, B, N]; differentiable in the action, finite on its bounds."""

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std, each shaped as the action: the Gaussian over actions with the moments of pi(.|o)."""


class ValueOracle(Protocol):
    """True values of a policy, where the truth is known."""

    def value(self, policy: Policy, batch: Transitions, where: Tensor, streams: Streams) -> Tensor:
        """The policy's (soft) value at batch.next_obs [S, B]; rows outside `where` [S, B] bool may be 0.

        batch.sim_state is needed where an observation is not a state; raises MismatchError without it.
        """


EdgeTreatment = Callable[[Policy, Transitions, Tensor, Streams], Tensor]
"""(policy, batch, value, streams) -> value [S, B]: what a target bootstraps from, changed at the edge."""

Termination = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(obs, action, next_obs) -> terminal [..., B] bool."""

Penalty = Callable[[Tensor, Tensor, Prediction], tuple[Tensor, Tensor]]
"""(reward, terminal, prediction) -> penalised reward and terminal, each [..., B]."""
