"""What all parts of one benchmark share: sizes, device, threads, how often, and who else is timed."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch

from mbrl.agents import SAC
from mbrl.bench.case import Build, Candidate, Floor, Plan
from mbrl.bench.measure import timed
from mbrl.bench.modes import Mode
from mbrl.bench.peers import Peers
from mbrl.bench.sizes import Sizes
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.dynamics import Ensemble


@dataclass(frozen=True)
class Setup:
    """rounds: how often each candidate is timed; threads: of torch, of the simulator, and of other libraries."""

    sizes: Sizes
    device: torch.device
    threads: int
    rounds: int
    modes: tuple[Mode, ...] = (Mode("eager"),)
    peers: Peers | None = None

    def timed(self, name: str, build: Build) -> Plan:
        """The plan of a timed case."""
        return timed(name, build, device=self.device, rounds=self.rounds, at_least=self.sizes.at_least)

    def peer(self, library: str, task: dict[str, Any], floor: Floor, stack: ExitStack) -> list[Candidate]:
        """The library's version of `task`, if it is to be timed."""
        if self.peers is None or not self.peers.has(library):
            return []
        task = {**task, "device": str(self.device), "threads": self.threads}
        return [Candidate(library, self.peers.clock(library, task, stack), floor)]

    def agent(self, seeds: int = 1, *, critics: int = 10, eta: float = 1.0, **options: Any) -> SAC:
        """A new learner of these sizes; RAVL's by default."""
        sizes, common = self.sizes, {"seeds": range(seeds), "device": self.device}
        dims = sizes.obs_dim, sizes.action_dim
        return SAC(*dims, num_critics=critics, eta=eta, hidden=sizes.hidden, **common, **options)

    def ensemble(self) -> Ensemble:
        """A new model of these sizes."""
        sizes = self.sizes
        options = {"members": sizes.members, "elites": sizes.elites, "hidden": sizes.model_hidden}
        decay = (5e-5,) * (len(sizes.model_hidden) + 1)
        return Ensemble(sizes.obs_dim, sizes.action_dim, weight_decay=decay, device=self.device, **options)

    def streams(self, seeds: int = 1) -> Streams:
        """Random numbers for what is timed."""
        return Streams(range(seeds), "bench", self.device)

    def rows(self, *lead: int, seed: int = 0) -> Transitions:
        """Transitions [*lead, ...] of these dims on the device: normal states, uniform actions, no ends."""
        g = torch.Generator().manual_seed(seed)
        o, a = self.sizes.obs_dim, self.sizes.action_dim
        flags = torch.zeros(*lead, dtype=torch.bool)
        found = Transitions(
            obs=torch.randn(*lead, o, generator=g),
            action=2 * torch.rand(*lead, a, generator=g) - 1,
            reward=torch.randn(*lead, generator=g),
            next_obs=torch.randn(*lead, o, generator=g),
            terminal=flags,
            timeout=flags.clone(),
            step=torch.zeros(*lead, dtype=torch.int64),
        )
        return found.to(self.device)
