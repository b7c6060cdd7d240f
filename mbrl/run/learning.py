"""S stacked runs under way: all that an update changes, and so all that a checkpoint holds."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mbrl.core.accelerate import accelerate as accelerated
from mbrl.core.checkpoint import flatten, unflatten
from mbrl.core.errors import MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, Stateful
from mbrl.run.experience import MixedData, RealData
from mbrl.run.frozen import End, Frozen

Metrics = dict[str, Tensor]
AGENT, SOURCE = "agent", "experience/source"
"""Where a checkpoint has the state of which members own slices, by path."""


class Learning:
    """An agent and its experience, the streams they draw from, and the sums of metrics since the last look."""

    def __init__(
        self,
        agent: Agent,
        experience: RealData | MixedData,
        seeds: Sequence[int],
        device: torch.device | str = "cpu",
        accelerate: str = "eager",
    ) -> None:
        """accelerate: a name in mbrl.core.accelerate.MODES, or auto."""
        self.agent, self.experience, self.device = agent, experience, device
        self.streams = Streams(seeds, "train", device)
        self.run_step = accelerated(self._learn, self.streams, accelerate, agent=agent)
        self.update, self.summed = 0, 0
        self.refresh_seconds = 0.0
        self.sums: Metrics = {}
        self.refreshed: Metrics = {}
        source = getattr(experience, "source", None)
        parts = {AGENT: agent, **({SOURCE: source} if isinstance(source, Stateful) else {})}
        self.frozen = Frozen(len(self.streams), parts, device)

    def refresh(self) -> None:
        """New synthetic rows where they are due; raises DivergenceError as MixedData.refresh does."""
        every = self.experience.refresh_every
        if every and self.update % every == 0:
            began = time.perf_counter()
            try:
                self.experience.refresh(self.agent, self.streams)
            finally:
                # Its last act reads from the device, so that all of its work is in here.
                self.refresh_seconds += time.perf_counter() - began
                self.frozen.put_back(SOURCE)
                self.refreshed = self.experience.reported

    def step(self) -> None:
        """One update, its metrics added to the running sums on the device."""
        metrics = self.run_step()
        self.frozen.put_back(AGENT)
        self.update += 1
        if self.summed:
            # By name: sums from a checkpoint are in the file's order, and may have figures of neighbours'.
            self.sums = {name: self.sums[name] for name in metrics}
            torch._foreach_add_(list(self.sums.values()), list(metrics.values()))
        else:
            self.sums = {k: v.clone() for k, v in metrics.items()}
        self.summed += 1

    def _learn(self, streams: Streams) -> Metrics:
        return self.agent.update(self.experience.sample(streams), streams)

    def means(self) -> Metrics:
        """Averages over the updates since the last look."""
        return {k: v / self.summed for k, v in self.sums.items()}

    def freeze(self, diagnoses: Mapping[int, str], tree: Mapping[str, Any]) -> None:
        """Put members back to a checkpoint's `tree`, and keep them there."""
        self.frozen.add({place: self.end(text) for place, text in diagnoses.items()}, tree)
        places = torch.tensor(list(diagnoses), device=self.device)
        # Their figures are not looked at any more, and a sound checkpoint holds none that is not finite.
        for name in ("sums", "refreshed"):
            setattr(self, name, {k: v.index_fill(0, places, 0) for k, v in getattr(self, name).items()})

    def end(self, diagnosis: str) -> End:
        """What is recorded of a member that has diverged by now."""
        return {"update": self.update, "diagnosis": diagnosis}

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(tree, meta) for a checkpoint."""
        # Metric names hold a slash, which a checkpoint reads as nesting.
        tree = {
            "agent": self.agent.state_dict(),
            "experience": self.experience.state_dict(),
            "streams": self.streams.state_dict(),
            "sums": unflatten(self.sums if self.summed else {}),
            "refreshed": unflatten(self.refreshed),
        }
        ends = {str(place): end for place, end in self.frozen.ends.items()}
        meta = {"update": self.update, "summed": self.summed, "refresh_seconds": self.refresh_seconds}
        return tree, {**meta, **({"frozen": ends} if ends else {})}

    def load(self, tree: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Inverse of state. Raises MismatchError for the state of another agent or buffer."""
        try:
            self.agent.load_state_dict(tree.get("agent", {}))
            self.experience.load_state_dict(tree.get("experience", {}))
        except (KeyError, ValueError, RuntimeError) as error:
            raise MismatchError(str(error)) from error
        unknown = flatten(tree.get("agent", {})).keys() - flatten(self.agent.state_dict()).keys()
        if unknown:
            raise MismatchError(f"an agent which has no {sorted(unknown)[0]}: was it another kind of agent?")
        self.streams.load_state_dict(tree["streams"])
        for name in ("sums", "refreshed"):
            setattr(self, name, {k: v.to(self.device) for k, v in flatten(tree.get(name, {})).items()})
        self.update, self.summed = meta["update"], meta["summed"]
        self.refresh_seconds = meta.get("refresh_seconds", 0.0)
        self.frozen.add({int(place): end for place, end in meta.get("frozen", {}).items()}, tree)
