"""The parts of the benchmark by name. A new one is a module with `plans(setup)`, and a line here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mbrl.bench.case import Plan
    from mbrl.bench.setup import Setup


@dataclass(frozen=True)
class Part:
    """about: what it times, for --help. module: where its `plans` is, imported when it is asked for."""

    about: str
    module: str

    @property
    def plans(self) -> "Callable[[Setup], list[Plan]]":
        """The cases of this part, none of them begun."""
        return importlib.import_module(self.module).plans


PARTS: dict[str, Part] = {
    "update": Part("one gradient step: critics 2 to 50, diversity, stacks of seeds", "mbrl.bench.update"),
    "dynamics": Part("one training step of the ensemble of dynamics models", "mbrl.bench.dynamics"),
    "rollout": Part("a policy's steps in the learned model, from many starts", "mbrl.bench.rollout"),
    "diffusion": Part("segments of a diffusion model, guided and not", "mbrl.bench.diffusion"),
    "simulator": Part("the true dynamics, against MuJoCo alone", "mbrl.bench.simulator"),
    "buffer": Part("sampling a batch of real and synthetic rows", "mbrl.bench.buffer"),
    "evaluation": Part(
        "episodes in the real environment; their share of a run's time", "mbrl.bench.evaluation"
    ),
    "endtoend": Part("a whole run: updates, refreshes, evaluation, log, checkpoints", "mbrl.bench.endtoend"),
    "memory": Part("the most that a run holds, by rows and critics", "mbrl.bench.memory"),
}
