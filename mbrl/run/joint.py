"""Sources made of sources: those of one agent for a joint policy, and several side by side."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import Perishable, Policy, Reporting, Source, Stateful, Transitions, concatenate


class FlatPolicy:
    """A joint policy as one that sees and does everything: obs [S, B, sum O_i] to actions [S, B, sum A_i]."""

    def __init__(self, policy: Policy, layout: Layout) -> None:
        self.policy, self.layout = policy, layout

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """As Policy has it: every agent acts on its own share of the observation."""
        return self.layout.flat_action(self.policy.act(self.layout.joint_obs(obs), streams))


class JointSource:
    """A source of flat rows (rollouts in a model of all agents' observations, say) for a joint policy."""

    def __init__(self, source: Source, layout: Layout) -> None:
        self.source, self.layout, self.horizon = source, layout, source.horizon

    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """Joint rows [S, n * horizon, ...] and alive [S, n * horizon]."""
        rows, alive = self.source.draw(FlatPolicy(policy, self.layout), n, streams)
        return self.layout.joint_rows(rows), alive

    def metrics(self) -> dict[str, Tensor]:
        """The source's own."""
        return self.source.metrics() if isinstance(self.source, Reporting) else {}


class SideBySide:
    """Several sources at once: a refresh holds n starts' rows of each.

    horizon: the sum of theirs. A row's `step` is that in its own source.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """sources: by a name for their metrics. Raises ConfigError for none."""
        if not sources:
            raise ConfigError("sources side by side: none was given")
        self.sources = dict(sources)
        self.horizon = sum(source.horizon for source in self.sources.values())
        self.diverged: Mapping[int, str] = {}

    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """Rows [S, n * horizon, ...], source by source, and alive [S, n * horizon]."""
        drawn = [source.draw(policy, n, streams) for source in self.sources.values()]
        lost: dict[int, str] = {}
        for source in self.sources.values():
            lost |= source.diverged if isinstance(source, Perishable) else {}
        self.diverged = lost
        return concatenate([rows for rows, _ in drawn]), torch.cat([alive for _, alive in drawn], dim=-1)

    def metrics(self) -> dict[str, Tensor]:
        """Each source's own, as source/<name>_<figure> [S]."""
        found = {}
        for name, source in self.sources.items():
            own = source.metrics() if isinstance(source, Reporting) else {}
            found |= {f"source/{name}_{key.rpartition('/')[2]}": value for key, value in own.items()}
        return found

    def state_dict(self) -> dict[str, Any]:
        """Those of the sources that have one, by name."""
        return {name: source.state_dict() for name, source in self._stateful().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict. Raises KeyError where a source that needs a state finds none."""
        for name, source in self._stateful().items():
            # A source whose state is empty for now leaves no trace in a checkpoint.
            source.load_state_dict(state.get(name, {}))

    def _stateful(self) -> dict[str, Stateful]:
        return {name: s for name, s in self.sources.items() if isinstance(s, Stateful)}
