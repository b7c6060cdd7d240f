"""One cell of the study of polynomial games: a game, its data and an augmentation, as one stack of seeds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from mbrl.agents.multi.matd3_bc import MATD3BC
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.seeds import Streams
from mbrl.core.types import Source
from mbrl.datasets.dataset import OfflineDataset
from mbrl.dynamics.diffusion.fit import fit_diffusion
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.segments import segments
from mbrl.dynamics.diffusion.shape import SegmentShape
from mbrl.dynamics.diffusion.source import Coda
from mbrl.dynamics.games.dataset import game_dataset
from mbrl.dynamics.games.game import make_game
from mbrl.run.experience import MixedData, RealData
from mbrl.run.pjap import PJAP


@dataclass(frozen=True)
class Cell:
    """What varies. data, augmentation, learner: names in DATA, AUGMENTATIONS, LEARNERS.

    weight (lambda) and width: of CODA's guidance; refresh_every (M): updates between refreshes of any source.
    """

    game: str
    data: str
    augmentation: str
    learner: str = "others_data"
    agents: int = 2
    weight: float = 1.0
    width: float = 0.2
    refresh_every: int = 50


@dataclass(frozen=True)
class Training:
    """What all cells share; the constants are ours. One dataset, and one diffusion model of it, for all seeds.

    rows: of the dataset. real_ratio: share of the data in a batch, where there is any other. draws: rows a refresh,
    which replace the last one's. Policies begin at (-start, +start, ..), each moved by up to start_spread.
    """

    seeds: tuple[int, ...] = tuple(range(100))
    updates: int = 4000
    eval_every: int = 200
    rows: int = 5000
    batch_size: int = 32
    real_ratio: float = 0.0
    hidden: int = 32
    actor_lr: float = 2.5e-4
    critic_lr: float = 5e-3
    start: float = 0.6
    start_spread: float = 0.1
    draws: int = 64
    sampler_steps: int = 12
    churn: float = 12.0
    diffusion_updates: int = 5000
    diffusion_width: int = 64
    diffusion_depth: int = 3
    diffusion_lr: float = 3e-3
    diffusion_ema: float = 0.995
    diffusion_batch: int = 512


LEARNERS: dict[str, dict[str, Any]] = {
    "others_data": {"others": "data"},
    "others_policies": {"others": "policies"},
}
"""Multi-agent TD3 with central critics, without cloning: each actor's best response to the others' actions in the
batch (Tilbury et al. 2024, best response under data), or to what the others do now."""

Augmentation = Callable[[Cell, Training, OfflineDataset, DiffusionModel], Source | None]


def _coda(cell: Cell, plan: Training, model: DiffusionModel, **options: Any) -> Coda:
    return Coda(model, width=cell.width, steps=plan.sampler_steps, churn=plan.churn, **options)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": lambda cell, plan, dataset, model: None,
    "pjap": lambda cell, plan, dataset, model: PJAP(
        dataset.transitions, entries=dataset.layout.action_mask()
    ),
    "static": lambda cell, plan, dataset, model: _coda(cell, plan, model, weight=0.0, once=True),
    "refreshed_unguided": lambda cell, plan, dataset, model: _coda(cell, plan, model, weight=0.0),
    "coda": lambda cell, plan, dataset, model: _coda(cell, plan, model, weight=float(cell.weight)),
}
"""What the learner gets besides the data. The last three are one source with three settings."""


def data_of(cell: Cell, plan: Training) -> OfflineDataset:
    """The dataset of a cell. Raises ConfigError for a game or data that is not known."""
    return game_dataset(cell.game, cell.data, plan.rows, 0, game={"agents": cell.agents})


def new_model(dataset: OfflineDataset, plan: Training) -> DiffusionModel:
    """A diffusion model of one-step segments, not fitted."""
    shape = SegmentShape(1, dataset.layout)
    return DiffusionModel(shape, network="mlp", width=plan.diffusion_width, depth=plan.diffusion_depth)


@lru_cache(maxsize=2)
def fitted_model(game: str, data: str, agents: int, plan: Training) -> DiffusionModel:
    """The diffusion model of a game's data, which all augmentations and seeds of it share."""
    dataset = data_of(Cell(game, data, "none", agents=agents), plan)
    model = new_model(dataset, plan)
    sizes = {"batch_size": plan.diffusion_batch, "lr": plan.diffusion_lr, "ema": plan.diffusion_ema}
    fit_diffusion(model, segments(dataset, 1), steps=plan.diffusion_updates, progress=False, **sizes)
    return model


def start_actions(cell: Cell, plan: Training) -> Tensor:
    """[S, N, 1]: (-start, +start, -start, ..) + U(-start_spread, start_spread), a draw a seed and agent."""
    offset = Streams(plan.seeds, "game.start").rand(cell.agents, 1) * 2 - 1
    signs = offset.new_tensor([1.0 if i % 2 else -1.0 for i in range(cell.agents)]).unsqueeze(-1)
    return plan.start * signs + plan.start_spread * offset


class Learner:
    """A team, its game and its experience, ready to be updated."""

    def __init__(self, cell: Cell, plan: Training, model: DiffusionModel | None = None) -> None:
        """model: as `fitted_model` gives it; without one, an untrained one, which shows that all fits together.

        Raises ConfigError for a name that is not known.
        """
        for kind, name, known in (
            ("augmentation", cell.augmentation, AUGMENTATIONS),
            ("learner", cell.learner, LEARNERS),
        ):
            if name not in known:
                raise ConfigError(unknown_name(kind, name, known))
        self.cell, self.plan = cell, plan
        self.game = make_game(cell.game, {"agents": cell.agents})
        self.dataset = data_of(cell, plan)
        self.start = start_actions(cell, plan)
        self.agent = MATD3BC(
            self.game.layout,
            bc_weight=0.0,
            seeds=plan.seeds,
            hidden=(plan.hidden, plan.hidden),
            critic="central",
            num_critics=1,  # In one step nothing is bootstrapped, so there is no target to take the least of,
            policy_noise=0.0,  # none to smooth,
            policy_delay=1,  # and none to wait for.
            start=self.start.tolist(),
            actor_lr=plan.actor_lr,
            critic_lr=plan.critic_lr,
            **LEARNERS[cell.learner],
        )
        model = new_model(self.dataset, plan) if model is None else model
        source = AUGMENTATIONS[cell.augmentation](cell, plan, self.dataset, model)
        self.experience = self._experience(source)
        self.streams = Streams(plan.seeds, "train")
        self.update = 0

    def _experience(self, source: Source | None) -> RealData | MixedData:
        plan, rows = self.plan, self.dataset.transitions
        if source is None:
            return RealData(rows, batch_size=plan.batch_size)
        sizes = {"starts": plan.draws, "retain": 1, "refresh_every": self.cell.refresh_every}
        return MixedData(rows, source, batch_size=plan.batch_size, real_ratio=plan.real_ratio, **sizes)

    def advance(self, updates: int) -> None:
        """That many updates, with new synthetic rows where they are due."""
        every = self.experience.refresh_every
        for _ in range(updates):
            if every and self.update % every == 0:
                self.experience.refresh(self.agent, self.streams)
            self.agent.update(self.experience.sample(self.streams), self.streams)
            self.update += 1


def needs_model(cell: Cell) -> bool:
    """Whether the cell's augmentation samples from a diffusion model."""
    return cell.augmentation in ("static", "refreshed_unguided", "coda")
