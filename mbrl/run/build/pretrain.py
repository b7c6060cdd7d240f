"""What comes before a run's first update: behaviour cloning of the actor, where it is asked for."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from mbrl.agents.pretrain import clone_behaviour
from mbrl.conf.schema import Config
from mbrl.core.checkpoint import exists
from mbrl.core.types import Agent
from mbrl.datasets import OfflineDataset
from mbrl.run.records import Point

PRETRAIN = ("pretrain_epochs", "pretrain_lr")
"""Options of an agent that its constructor does not need."""


def pretrain_from_config(
    config: Config, agent: Agent, dataset: OfflineDataset, folder: Path, points: Sequence[Point] = ()
) -> None:
    """Clone the data's behaviour into the actor, unless a checkpoint to continue from has what became of it.

    The loss of every epoch goes to <run>/tensorboard/pretrain, of a stack to each of its points'. A run stopped in
    the midst of it begins it anew. Raises what `clone_behaviour` raises.
    """
    epochs = getattr(config.agent, "pretrain_epochs", 0)
    if epochs == 0 or (config.resume and exists(folder / "checkpoint")):
        return

    points = points or [Point(folder, tuple(config.seeds))]

    def log(epoch: int, loss: Tensor) -> None:
        values = loss.tolist()
        for point, writer in zip(points, writers, strict=True):
            for seed, place in zip(point.seeds, point.places, strict=True):
                writer.add_scalar(f"pretrain/loss/seed_{seed}", values[place], epoch)

    with ExitStack() as stack:
        boards = [point.folder / "tensorboard" / "pretrain" for point in points]
        writers = [stack.enter_context(SummaryWriter(board)) for board in boards]
        loss = clone_behaviour(
            agent.actor,
            dataset.transitions.to(agent.device),
            seeds=config.seeds,
            epochs=epochs,
            lr=config.agent.pretrain_lr,
            batch_size=config.train.batch_size,
            progress=config.train.progress,
            on_epoch=log,
        )
    shown = ", ".join(f"{value:.3g}" for value in loss.tolist())
    print(f"  pretraining  {epochs} epochs of behaviour cloning, -log pi(a|s) {shown}")
