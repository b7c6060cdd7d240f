"""An offline dataset: transitions, the episode of each, and what was found on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mbrl.core.errors import DataError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec, Transitions


@dataclass(frozen=True)
class Stats:
    """What a dataset holds.

    transitions: rows emitted; dropped: rows left out, by reason, so that transitions + sum(dropped) is the
    number of rows in the file. The rest is counted over all rows of the file, dropped ones included:
    episodes (an unfinished last one too), undiscounted returns and lengths of episodes, rows marked terminal
    and timeout. notes: one sentence for each thing a user should know.
    """

    transitions: int
    episodes: int
    return_min: float
    return_mean: float
    return_max: float
    length_mean: float
    terminals: int
    timeouts: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OfflineDataset:
    """Transitions [B] on the CPU, bound to the environment they were recorded in.

    id: source and name: "d4rl/hopper-medium-v2", "minari/mujoco/hopper/medium-v0", "sample/..", "local/..".
    transitions: obs, action (in [-1, 1]), reward, next_obs, float32; terminal, timeout; step 0; sim_state
        float64, qpos then qvel at obs, where it was recorded and agrees with obs.
    episode [B] int64: number of the episode in the file, never decreasing; a number is skipped where all
        rows of an episode were dropped.
    successor_known [B] bool: False at terminal rows of files that do not store the successor. There next_obs
        repeats obs, so such a row is good for values (terminal: nothing is bootstrapped) and must not be
        taught to a model of the dynamics: fit those to `with_successor()`.
    sha256: of the file, or of the arrays where there is no single file.
    layout: the agents' own sizes, where there are several; transitions then have an axis N of agents.
    """

    id: str
    transitions: Transitions
    episode: Tensor
    successor_known: Tensor
    env: EnvSpec | None
    sha256: str
    stats: Stats
    behaviour: str = ""
    layout: Layout | None = None

    def __post_init__(self) -> None:
        """Raise DataError unless episode and successor_known have a value a transition, and agents fit."""
        agents = None if self.layout is None else self.layout.agents
        if self.transitions.agents != agents:
            raise DataError(
                f"{self.id}: transitions of {self.transitions.agents} agents with a layout of {agents}"
            )
        rows = (len(self.transitions),)
        for name, dtype in (("episode", torch.int64), ("successor_known", torch.bool)):
            value = getattr(self, name)
            if value.shape != rows or value.dtype != dtype:
                raise DataError(
                    f"{self.id}: {name} is {dtype} {rows}, got {value.dtype} {tuple(value.shape)}"
                )

    def __len__(self) -> int:
        """B."""
        return len(self.transitions)

    @property
    def obs_dim(self) -> int:
        """O."""
        return self.transitions.obs_dim

    @property
    def action_dim(self) -> int:
        """A."""
        return self.transitions.action_dim

    def with_successor(self) -> Transitions:
        """The transitions whose next_obs was recorded: what a model of the dynamics may learn from."""
        return (
            self.transitions if bool(self.successor_known.all()) else self.transitions[self.successor_known]
        )

    def summary(self) -> str:
        """A few lines for people: counts, returns, what was dropped and why, identity, environment."""
        s = self.stats
        lines = [
            f"dataset {self.id}",
            f"  transitions  {s.transitions:,} (obs {self.obs_dim}, action {self.action_dim}"
            f"{', simulator state' if self.transitions.sim_state is not None else ''})",
            *_agents(self.layout),
            f"  episodes     {s.episodes:,}, mean length {s.length_mean:.1f}",
            f"  return       min {s.return_min:.2f}, mean {s.return_mean:.2f}, max {s.return_max:.2f}",
            f"  terminals    {s.terminals:,}, timeouts {s.timeouts:,}",
            f"  dropped      {_dropped(s.dropped)}",
            f"  sha256       {self.sha256}",
            f"  environment  {_environment(self.env)}",
        ]
        if self.behaviour:
            lines.append(f"  behaviour    {self.behaviour}")
        return "\n".join(lines + [f"  note         {note}" for note in s.notes])


def _agents(layout: Layout | None) -> list[str]:
    if layout is None:
        return []
    sizes = zip(layout.names, layout.obs_dims, layout.action_dims, strict=True)
    return [f"  agents       {', '.join(f'{n} (obs {o}, action {a})' for n, o, a in sizes)}"]


def _dropped(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "none"


def _environment(env: EnvSpec | None) -> str:
    if env is None:
        return "unknown: pass env= to bind one"
    kwargs = "".join(f" {k}={v}" for k, v in env.kwargs.items())
    versions = ", ".join(f"{k} {v}" for k, v in env.versions.items())
    return (
        f"{env.id}{kwargs} ({f'recorded with {versions}' if versions else 'recorded with unknown versions'})"
    )
